"""Listening sockets: accept in the loop, decide about a connection before anything else is made.

asyncio's own server would build the transport, and the TLS layer on it, before the limits are
asked, and would keep a failed handshake to itself.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG: Final = 1024
_ACCEPTED_AT_ONCE: Final = 128
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SECONDS_TO_RECOVER: Final = 1.0


class Listener:
    """Sockets bound to one host and port; ``accepted`` gets each connection and its address."""

    def __init__(self, accepted: Callable[[socket.socket, Any], None]) -> None:
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._recovery: asyncio.TimerHandle | None = None

    async def start(self, host: str | None, port: int) -> tuple[str, int]:
        """Bind and listen; returns the address and port of the first socket. Raises OSError."""
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                self._sockets.append(_bound(family, kind, protocol, (address[0], port)))
                # Port 0: whatever is free in the first family is used in the others too.
                port = port or self._sockets[0].getsockname()[1]
        except OSError:
            self.close()
            raise
        self._resume()
        name = self._sockets[0].getsockname()
        return name[0], name[1]

    def close(self) -> None:
        """Listen no more."""
        self._pause()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def _pause(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None
        for listening in self._sockets:
            self._loop.remove_reader(listening)

    def _resume(self) -> None:
        self._recovery = None
        for listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connected, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                # The connection stays in the backlog and would wake the loop again at once.
                self._loop.call_exception_handler(
                    {"message": "an MLLP connection can't be accepted now", "exception": error}
                )
                self._pause()
                self._recovery = self._loop.call_later(_SECONDS_TO_RECOVER, self._resume)
                return
            connected.setblocking(False)
            self._accepted(connected, address)


def _bound(family: int, kind: int, protocol: int, address: tuple[Any, int]) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
