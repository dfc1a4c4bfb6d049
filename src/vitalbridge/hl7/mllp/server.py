"""An MLLP server on asyncio protocols, for plain TCP and TLS (HL7 v2 MLLP Release 1)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final, cast

from cryptography import x509

from .connection import PAUSED, Connection, Exchange
from .events import Events, Peer
from .limits import Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_BACKLOG: Final = 1024
_TLS_CLOSE_SECONDS: Final = 1.0


class MllpServer:
    """Receives messages on any number of listeners and sends the answers.

    ``receive`` is called on the loop's thread for each message and answers through its Exchange,
    at once or later. All methods belong to the loop's thread.
    """

    def __init__(
        self,
        receive: Callable[[Exchange], None],
        limits: Limits | None = None,
        events: Events | None = None,
    ) -> None:
        self.receive = receive
        self.limits = limits or Limits()
        self.events = events or Events()
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._accepted: dict[Connection, asyncio.Transport] = {}
        self._per_address: dict[str, int] = {}
        self._handshakes: set[asyncio.Task[None]] = set()
        self._paused = False
        self._draining = False
        self._all_gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Connections that are open now, those still in their TLS handshake included."""
        return len(self._accepted)

    @property
    def unanswered(self) -> int:
        """Messages received and not answered yet, over all connections."""
        return sum(connection.unanswered for connection in self._connections)

    async def start(
        self, host: str | None, port: int, ssl: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Listen on one more address; returns the address and port that were bound.

        Port 0 takes a free one. ``::`` means all IPv6 addresses only, None all addresses of both
        families. Raises OSError when the address can't be bound.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: _Accepting(self, ssl), host, port, backlog=_BACKLOG, reuse_address=True
        )
        self._listeners.append(listener)
        if self._timer is None:
            self._timer = loop.call_later(self._tick_seconds(), self._tick)
        bound = listener.sockets[0].getsockname()
        return bound[0], bound[1]

    def pause(self) -> None:
        """Take no further messages on any connection; new connections are still accepted."""
        self._paused = True
        for connection in self._connections:
            connection.hold(PAUSED)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self._paused = False
        for connection in tuple(self._connections):
            connection.release(PAUSED)

    async def drain(self, timeout: float) -> None:
        """Stop listening, answer the messages that were taken, close; idle connections go at once.

        What is still open after ``timeout`` seconds is aborted. A message that was not taken yet
        stays with its sender, who has no answer to it. A drained server can't be started again.
        """
        self._draining = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection, transport in tuple(self._accepted.items()):
            if connection in self._connections:
                connection.finish()
            else:
                transport.abort()
        if self._accepted:
            self._all_gone.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._all_gone.wait()
            except TimeoutError:
                for transport in tuple(self._accepted.values()):
                    transport.abort()
                await self._all_gone.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def accept(
        self, transport: asyncio.Transport, context: ssl.SSLContext | None
    ) -> Connection | None:
        """Take or turn away a connection that the operating system has accepted."""
        peer = _peer_of(transport)
        reason = self._refusal(peer)
        if reason:
            transport.abort()
            self.events.refused(peer, reason)
            return None
        _keep_alive(transport)
        connection = Connection(self, peer, paused=self._paused)
        self._accepted[connection] = transport
        self._per_address[peer.address] = self._per_address.get(peer.address, 0) + 1
        # Nothing may be read before the connection's own protocol, or TLS, is in place.
        transport.pause_reading()
        if context is None:
            transport.set_protocol(connection)
            self._open(connection, transport, tls=False)
        else:
            handshake = asyncio.get_running_loop().create_task(
                self._shake_hands(connection, transport, context)
            )
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)
        return connection

    def _refusal(self, peer: Peer) -> str | None:
        if self._draining:
            return "draining"
        if len(self._accepted) >= self.limits.max_connections:
            return "max_connections"
        if self._per_address.get(peer.address, 0) >= self.limits.max_connections_per_address:
            return "max_connections_per_address"
        return None

    async def _shake_hands(
        self, connection: Connection, transport: asyncio.Transport, context: ssl.SSLContext
    ) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                context,
                server_side=True,
                ssl_handshake_timeout=self.limits.handshake_timeout,
                ssl_shutdown_timeout=_TLS_CLOSE_SECONDS,
            )
        except OSError:
            secured = None
        if secured is None or connection not in self._accepted:
            transport.abort()
            self._forget(connection)
            self.events.refused(connection.peer, "tls_handshake")
            return
        peer = connection.peer
        connection.peer = Peer(peer.address, peer.port, _subject_of(secured))
        self._accepted[connection] = secured
        self._open(connection, secured, tls=True)

    def _open(self, connection: Connection, transport: asyncio.Transport, *, tls: bool) -> None:
        self._connections.add(connection)
        self.events.opened(connection.peer)
        connection.start(transport, tls=tls)

    def lost(self, connection: Connection) -> None:
        """A connection's transport is gone."""
        self._forget(connection)
        if connection in self._connections:
            self._connections.discard(connection)
            self.events.closed(connection.peer)

    def _forget(self, connection: Connection) -> None:
        if self._accepted.pop(connection, None) is None:
            return
        address = connection.peer.address
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
        if not self._accepted:
            self._all_gone.set()

    def _tick_seconds(self) -> float:
        """How often the one timer looks at all connections: a fraction of the shortest timeout."""
        limits = self.limits
        times = (limits.idle_timeout, limits.read_timeout, limits.slow_sender_grace)
        return min(1.0, *(seconds / 4 for seconds in times if seconds))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._connections):
            kind = connection.overdue(now)
            if kind:
                self.events.timed_out(connection.peer, kind)
                if kind == "idle":
                    connection.finish()
                else:
                    connection.abort()
        self._timer = loop.call_later(self._tick_seconds(), self._tick)


class _Accepting(asyncio.Protocol):
    """Stands in until the server has decided about a new connection."""

    def __init__(self, server: MllpServer, context: ssl.SSLContext | None) -> None:
        self._server = server
        self._context = context
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface without inheriting it.
        self._connection = self._server.accept(cast("asyncio.Transport", transport), self._context)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._connection is not None:
            self._server.lost(self._connection)


def _peer_of(transport: asyncio.Transport) -> Peer:
    name = transport.get_extra_info("peername")
    if not name:
        # The peer was gone before it was accepted.
        return Peer("", 0)
    address = name[0]
    if ":" in address:
        mapped = ipaddress.IPv6Address(address.partition("%")[0]).ipv4_mapped
        address = str(mapped) if mapped else address
    return Peer(address, name[1])


def _keep_alive(transport: asyncio.Transport) -> None:
    connected = transport.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _subject_of(transport: asyncio.Transport) -> str | None:
    secured = transport.get_extra_info("ssl_object")
    certificate = secured.getpeercert(binary_form=True)
    if certificate is None:
        return None
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
