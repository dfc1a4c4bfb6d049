"""An MLLP client: one persistent connection, one message under way at a time."""

from __future__ import annotations

import asyncio
import select
import ssl as tls
from typing import TYPE_CHECKING, Final, cast

from .errors import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionRefused,
    ConnectionTimeout,
    FrameRejected,
    MllpError,
    ReplyTimeout,
    TlsFailed,
)
from .framing import END, Framer, frame

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_REPLY_SIZE: Final = 1024 * 1024
_CLOSE_SECONDS: Final = 2.0
_TURNS_TO_NOTICE: Final = 3


class MllpClient:
    """Sends messages over one connection and returns what is answered.

    Frames that nobody waits for are dropped and given to ``unexpected``. To be used by one loop;
    concurrent calls of :meth:`send` take turns.
    """

    def __init__(
        self,
        *,
        max_reply_size: int = _MAX_REPLY_SIZE,
        unexpected: Callable[[bytes], None] | None = None,
    ) -> None:
        self._max_reply_size = max_reply_size
        self._unexpected = unexpected
        self._protocol: _ClientProtocol | None = None
        self._turn = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return self._protocol is not None and self._protocol.open

    async def connect(
        self,
        host: str,
        port: int,
        ssl: tls.SSLContext | None = None,
        *,
        timeout: float = 30.0,
        server_hostname: str | None = None,
    ) -> None:
        """Connect, within ``timeout`` seconds including the TLS handshake.

        ``server_hostname`` is the name that the server's certificate must carry, ``host`` if None.
        An open connection is closed first.

        Raises ConnectionRefused, ConnectionTimeout, TlsFailed, else ConnectionFailed.
        """
        await self.close()
        try:
            async with asyncio.timeout(timeout):
                _, self._protocol = await asyncio.get_running_loop().create_connection(
                    lambda: _ClientProtocol(self._max_reply_size, self._unexpected),
                    host,
                    port,
                    ssl=ssl,
                    server_hostname=(server_hostname or host) if ssl else None,
                )
        except TimeoutError as error:
            raise ConnectionTimeout("Connection timeout") from error
        except ConnectionRefusedError as error:
            raise ConnectionRefused("Connection refused") from error
        except tls.SSLError as error:
            raise TlsFailed(f"TLS handshake failed: {_reason(error)}") from error
        except OSError as error:
            if ssl is not None and isinstance(error, ConnectionError):
                raise TlsFailed("TLS handshake failed: the peer ended it") from error
            raise ConnectionFailed(f"Connection failed: {error.strerror or error}") from error

    async def send(
        self,
        payload: bytes,
        timeout: float,
        *,
        accept: Callable[[bytes], bool] | None = None,
    ) -> bytes:
        """Send one message and return the content of the frame that answers it.

        ``timeout`` seconds run from the sending to the reply. ``accept`` may refuse a frame that
        belongs to something else (another MSA-2); waiting then goes on. After any failure the
        connection is closed, so that a late reply can't be taken for that of a later message.

        Raises ConnectionClosed, ReplyTimeout, FrameRejected, TlsFailed (a server that does not like
        the client's certificate may say so only now); their ``sent`` tells whether the message's
        last byte had left.
        """
        if END in payload:
            raise FrameRejected("the message contains an MLLP end block")
        async with self._turn:
            protocol = self._protocol
            if protocol is None:
                raise ConnectionClosed("not connected")
            await protocol.catch_up()
            reply = protocol.send(frame(payload), accept)
            try:
                async with asyncio.timeout(timeout):
                    return await reply
            except TimeoutError as error:
                protocol.abort()
                raise ReplyTimeout("no reply in time", sent=protocol.sent) from error
            except asyncio.CancelledError:
                protocol.abort()
                raise

    async def close(self) -> None:
        """Close the connection and wait until it is closed; nothing happens without one."""
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        protocol.close()
        # A peer that reads nothing, or does not answer the end of TLS, must not keep us here.
        await asyncio.wait({protocol.gone}, timeout=_CLOSE_SECONDS)
        if not protocol.gone.done():
            protocol.abort()
            await protocol.gone


class _ClientProtocol(asyncio.Protocol):
    def __init__(self, max_reply_size: int, unexpected: Callable[[bytes], None] | None) -> None:
        self._framer = Framer(max_reply_size)
        self._unexpected = unexpected
        self._reply: asyncio.Future[bytes] | None = None
        self._accept: Callable[[bytes], bool] | None = None
        self._transport: asyncio.Transport | None = None
        self.sent = False
        self.open = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface without inheriting it.
        self._transport = cast("asyncio.Transport", transport)
        # With no room in the buffer, pause_writing and resume_writing tell when all bytes left.
        self._transport.set_write_buffer_limits(high=0)
        self.open = True

    def send(self, data: bytes, accept: Callable[[bytes], bool] | None) -> asyncio.Future[bytes]:
        """Write a frame; the future gets the reply. Raises ConnectionClosed."""
        transport = self._transport
        if not self.open or transport is None or transport.is_closing():
            raise ConnectionClosed("the connection is closed")
        self._reply = asyncio.get_running_loop().create_future()
        self._accept = accept
        self.sent = True
        transport.write(data)
        return self._reply

    async def catch_up(self) -> None:
        """Let the loop see what the peer has done meanwhile, above all that it has closed."""
        transport = self._transport
        if transport is None or not self.open or transport.is_closing():
            return
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        for _ in range(_TURNS_TO_NOTICE):
            if not poll.poll(0):
                return
            await asyncio.sleep(0)

    def abort(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        self.sent = False

    def resume_writing(self) -> None:
        self.sent = True

    def data_received(self, data: bytes) -> None:
        framer = self._framer
        framer.feed(data)
        while (content := framer.take()) is not None:
            waiting = self._reply
            if waiting is None or waiting.done() or not self._accepts(content):
                if self._unexpected is not None:
                    self._unexpected(content)
                continue
            if framer.oversize is not None:
                self._fail(FrameRejected("the reply exceeds the limit", sent=True))
                self.abort()
                return
            self._reply = None
            waiting.set_result(content)
        framer.report()

    def _accepts(self, content: bytes) -> bool:
        return self._accept is None or self._accept(content)

    def eof_received(self) -> None:
        self.open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if isinstance(exc, tls.SSLError):
            self._fail(TlsFailed(f"TLS failed: {_reason(exc)}", sent=self.sent))
        else:
            self._fail(
                ConnectionClosed("the peer closed the connection before replying", sent=self.sent)
            )
        if not self.gone.done():
            self.gone.set_result(None)

    def _fail(self, error: MllpError) -> None:
        waiting, self._reply = self._reply, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _reason(error: tls.SSLError) -> str:
    if isinstance(error, tls.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "unknown reason").lower().replace("_", " ")
