"""An HTTP server inside a running event loop, beside everything else that the process does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp

_GRACE = 2
_FIRST_REQUEST = 5.0


class _Server(uvicorn.Server):
    """uvicorn that leaves the process's signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 that also bounds how long a request line and headers may take.

    uvicorn bounds only the pause between two requests, so that connections that never ask anything
    would use up all places.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request(min(_FIRST_REQUEST, self.timeout_keep_alive))

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_came()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        self._request_came()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request(self.timeout_keep_alive)

    def _expect_request(self, seconds: float) -> None:
        self._request_came()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _request_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class HttpServer:
    """One listening port that answers with an ASGI application."""

    def __init__(self, app: ASGIApp, *, max_connections: int = 100, idle_timeout: int = 30) -> None:
        """Beyond ``max_connections`` answers are 503.

        A connection without a complete request ends after ``idle_timeout`` seconds, a new one after
        five: whoever connects and says nothing must not keep the probes of a supervisor out.
        """
        self._config = uvicorn.Config(
            app,
            http=_Protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=idle_timeout,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port that was bound; raises OSError when it can't be."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=128)
        listening.setblocking(False)
        bound: int = listening.getsockname()[1]
        self._socket = listening
        server = self._server = _Server(self._config)
        self._task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            self._task.result()
        return bound

    @property
    def port(self) -> int:
        """The port that is listened on; 0 when none is."""
        if self._socket is None or self._socket.fileno() < 0:
            return 0
        bound: int = self._socket.getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Answer what is being answered, for two seconds at most, and close."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=_GRACE + 1)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._socket is not None:
            self._socket.close()
        self._server = self._task = None
