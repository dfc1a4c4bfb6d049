"""A TCP connection as the upper layer sees it: whole PDUs, time limits, no polling."""

from __future__ import annotations

import select
import socket
from time import monotonic
from typing import Final

from vitalbridge.dicom import pdu

MAX_PDU_LENGTH: Final = 128 * 1024
"""The maximum length that we announce; larger than usual because each PDU costs a system call."""

_CHUNK: Final = 64 * 1024
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}


class ConnectionLost(OSError):
    """The peer closed the connection, or nothing can be sent any more."""


class TooSlow(OSError):
    """What was awaited did not come in time."""


class Woken(Exception):
    """The wake-up descriptor became readable while nothing was arriving."""


class PduStream:
    """PDUs over a connected socket, for one thread at a time.

    ``max_length`` bounds what a peer may make us buffer; a longer PDU is a ``PduError``.
    ``wake`` is a descriptor that ends an idle wait with :class:`Woken`.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        send_timeout: float,
        max_length: int = MAX_PDU_LENGTH,
        wake: int | None = None,
    ) -> None:
        # Answers are small and awaited: with Nagle's algorithm each would wait for an
        # acknowledgement that the peer delays by some 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that lost its power says nothing: the kernel asks after a minute of silence and
        # gives up after another.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.settimeout(send_timeout)
        self._socket = sock
        self._max_length = max_length
        self._buffer = bytearray()
        # Not select(): it can't watch descriptors beyond 1023.
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._wake = wake
        self._readable_or_woken = select.poll()
        self._readable_or_woken.register(sock, select.POLLIN)
        if wake is not None:
            self._readable_or_woken.register(wake, select.POLLIN)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send whole PDUs; raises :class:`ConnectionLost` or :class:`TooSlow`."""
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise TooSlow("peer does not read") from error
        except OSError as error:
            raise ConnectionLost("connection lost") from error

    def receive(self, idle_timeout: float | None, pdu_timeout: float) -> tuple[int, bytes]:
        """Wait for a PDU and return (type, body).

        ``idle_timeout`` in seconds is for its first byte (None: for ever), ``pdu_timeout`` for all
        the others. Raises :class:`TooSlow`, :class:`ConnectionLost`, :class:`Woken` and
        ``PduError``.
        """
        if not self._buffer:
            self._await(self._readable_or_woken, idle_timeout)
            self._fill()
        deadline = monotonic() + pdu_timeout
        while (found := self._take()) is None:
            self._await(self._readable, deadline - monotonic())
            self._fill()
        return found

    def receive_nowait(self) -> tuple[int, bytes] | None:
        """Return a PDU that has arrived whole, else None; raises as :meth:`receive`."""
        if self._has_data(self._readable, 0):
            self._fill()
        return self._take()

    def is_at_end(self, timeout: float) -> bool:
        """Wait for the peer to close, discarding what it still sends; return whether it did."""
        deadline = monotonic() + timeout
        try:
            while (remaining := deadline - monotonic()) > 0:
                self._await(self._readable, remaining)
                self._fill()
                self._buffer.clear()
        except ConnectionLost:
            return True
        except TooSlow:
            pass
        return False

    def _has_data(self, poll: select.poll, milliseconds: float | None) -> bool:
        pending = getattr(self._socket, "pending", None)
        if pending is not None and pending():
            return True
        ready = poll.poll(milliseconds)
        if not ready:
            return False
        # Data before the wake-up: a request that has arrived is still served.
        if all(descriptor == self._wake for descriptor, _ in ready):
            raise Woken
        return True

    def _await(self, poll: select.poll, seconds: float | None) -> None:
        milliseconds = None if seconds is None else max(seconds, 0) * 1000
        if not self._has_data(poll, milliseconds):
            raise TooSlow("peer does not send")

    def _fill(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise TooSlow("peer does not send") from error
        except OSError as error:
            raise ConnectionLost("connection lost") from error
        if not data:
            raise ConnectionLost("connection closed by the peer")
        self._buffer += data

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if not buffer:
            return None
        if not pdu.ASSOCIATE_RQ <= buffer[0] <= pdu.ABORT:
            raise pdu.PduError("unrecognized PDU")
        if len(buffer) < pdu.HEADER.size:
            return None
        kind, length = pdu.HEADER.unpack_from(buffer)
        if length > self._max_length:
            raise pdu.PduError("PDU longer than agreed")
        end = pdu.HEADER.size + length
        if len(buffer) < end:
            return None
        body = bytes(buffer[pdu.HEADER.size : end])
        del buffer[:end]
        return kind, body
