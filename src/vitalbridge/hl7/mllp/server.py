"""An MLLP server on asyncio protocols, for plain TCP and TLS (HL7 v2 MLLP Release 1)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .connection import PAUSED, Connection, Exchange
from .events import Events, Peer
from .limits import Limits
from .listener import Listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

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
        self._listeners: list[Listener] = []
        self._connections: set[Connection] = set()
        self._opening: dict[Connection, asyncio.Task[None]] = {}
        self._per_address: dict[str, int] = {}
        self._paused = False
        self._draining = False
        self._all_gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Connections that are open now, those still in their TLS handshake included."""
        return len(self._connections) + len(self._opening)

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
        listener = Listener(partial(self._accept, ssl))
        bound = await listener.start(host, port)
        self._listeners.append(listener)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._tick_seconds(), self._tick)
        return bound

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
        for opening in tuple(self._opening.values()):
            opening.cancel()
        for connection in tuple(self._connections):
            connection.finish()
        if self.connections:
            self._all_gone.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._all_gone.wait()
            except TimeoutError:
                for connection in tuple(self._connections):
                    connection.abort()
                await self._all_gone.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _accept(
        self, context: ssl.SSLContext | None, connected: socket.socket, address: tuple[Any, ...]
    ) -> None:
        peer = _peer_at(address)
        reason = self._refusal(peer)
        if reason:
            connected.close()
            self.events.refused(peer, reason)
            return
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, peer, paused=self._paused)
        self._per_address[peer.address] = self._per_address.get(peer.address, 0) + 1
        opening = asyncio.get_running_loop().create_task(self._open(connection, connected, context))
        self._opening[connection] = opening
        opening.add_done_callback(partial(self._opening_ended, connection, connected))

    def _refusal(self, peer: Peer) -> str | None:
        if self.connections >= self.limits.max_connections:
            return "max_connections"
        if self._per_address.get(peer.address, 0) >= self.limits.max_connections_per_address:
            return "max_connections_per_address"
        return None

    async def _open(
        self, connection: Connection, connected: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """Give the socket to the loop and wait for the TLS handshake, if there is one."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection,
            connected,
            ssl=context,
            ssl_handshake_timeout=self.limits.handshake_timeout if context else None,
            ssl_shutdown_timeout=_TLS_CLOSE_SECONDS if context else None,
        )

    def _opening_ended(
        self, connection: Connection, connected: socket.socket, opening: asyncio.Task[None]
    ) -> None:
        error = None if opening.cancelled() else opening.exception()
        if self._opening.pop(connection, None) is not None:
            # Not established, so nobody else will close the socket and count it out.
            connected.close()
            self._forget(connection)
            if error is not None:
                self.events.refused(connection.peer, "tls_handshake")
        if error is not None and not isinstance(error, OSError):
            raise error

    def established(self, connection: Connection) -> None:
        """A connection can be used."""
        self._opening.pop(connection, None)
        self._connections.add(connection)
        self.events.opened(connection.peer)
        if self._draining:
            connection.finish()

    def lost(self, connection: Connection) -> None:
        """A connection that had been established is gone."""
        self._connections.discard(connection)
        self._forget(connection)
        self.events.closed(connection.peer)

    def _forget(self, connection: Connection) -> None:
        address = connection.peer.address
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
        if not self.connections:
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


def _peer_at(address: tuple[Any, ...]) -> Peer:
    host = str(address[0])
    if ":" in host:
        mapped = ipaddress.IPv6Address(host.partition("%")[0]).ipv4_mapped
        host = str(mapped) if mapped else host
    return Peer(host, int(address[1]))
