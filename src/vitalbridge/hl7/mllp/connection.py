"""The server's end of one connection: frames in, answers out in the order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, cast

from .events import Peer
from .framing import UNFINISHED, Framer, frame
from .tls import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import Events
    from .limits import Limits

# Why a connection takes no further message for now; several may hold at once.
STARTING: Final = 1
PAUSED: Final = 2
UNANSWERED: Final = 4
UNREAD_ANSWERS: Final = 8
FINISHING: Final = 16

_LINGER_SECONDS: Final = 1.0
_COLLECTED_AT_MOST: Final = 65536


class Exchange:
    """One received message and the answer that it will get.

    ``message`` is the content of the frame. When it exceeded the limit, ``oversize`` is its full
    size in bytes and ``message`` holds no more than its first 64 KiB; otherwise ``oversize`` is
    None. ``answer`` is the framed answer once there is one. To be used on the loop's thread.
    """

    __slots__ = ("_connection", "answer", "message", "oversize")

    def __init__(self, connection: Connection, message: bytes, oversize: int | None) -> None:
        self._connection = connection
        self.answer: bytes | None = None
        self.message = message
        self.oversize = oversize

    @property
    def peer(self) -> Peer:
        """Who sent the message."""
        return self._connection.peer

    def reply(self, payload: bytes) -> None:
        """Answer, exactly once; nothing happens when the connection is gone.

        Answers leave in the order in which the messages came, whatever the order of the replies.

        Raises RuntimeError on the second call.
        """
        if self.answer is not None:
            raise RuntimeError("the message has been answered")
        self.answer = frame(payload)
        self._connection.answered(self)

    def leave_unanswered(self) -> None:
        """Give up the message's place among the answers: its sender asked for none (MSH-15 NE)."""
        if self.answer is not None:
            raise RuntimeError("the message has been answered")
        self.answer = b""
        self._connection.answered(self)


class Owner(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    events: Events
    receive: Callable[[Exchange], None]

    def established(self, connection: Connection) -> None:
        """The connection can be used."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """Protocol of one accepted connection."""

    def __init__(self, owner: Owner, peer: Peer, *, paused: bool) -> None:
        self.peer = peer
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._receive = owner.receive
        self._max_unanswered = owner.limits.max_unanswered
        self._framer = Framer(owner.limits.max_message_size)
        self._pending: deque[Exchange] = deque()
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._transport: asyncio.Transport | None = None
        self._holds = STARTING | (PAUSED if paused else 0)
        self._taking = False
        self._lost = False
        self._ended = False
        self._discard = False
        self._is_tls = False
        self._unread = False
        self._linger: asyncio.TimerHandle | None = None
        # Read by the owner's timer: activity since its last look, and since when things stand.
        self._active = True
        self._idle_since = 0.0
        self._frame_since: float | None = None
        self._unread_since: float | None = None

    @property
    def unanswered(self) -> int:
        """Messages that were received and have no answer yet."""
        return len(self._pending)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface without inheriting it.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._is_tls = True
            self.peer = Peer(self.peer.address, self.peer.port, subject_of(secured))
        self._idle_since = self._loop.time()
        self._owner.established(self)
        self.release(STARTING)

    def hold(self, reason: int) -> None:
        """Take no further messages until :meth:`release` for the same reason."""
        transport = self._transport
        if not self._holds and transport is not None and not transport.is_closing():
            transport.pause_reading()
        self._holds |= reason

    def release(self, reason: int) -> None:
        """One reason less to wait; go on when it was the last."""
        if not self._holds & reason:
            return
        self._holds &= ~reason
        transport = self._transport
        if self._holds or transport is None or transport.is_closing():
            return
        now = self._loop.time()
        self._idle_since = now
        if self._frame_since is not None:
            self._frame_since = now
        self._take()
        self._read_on(transport)

    def _read_on(self, transport: asyncio.Transport) -> None:
        if not self._holds and not self._ended and not transport.is_closing():
            transport.resume_reading()

    def finish(self) -> None:
        """Take no further messages, answer those that were taken, then close."""
        self._unread = bool(self._pending or self._holds)
        self.hold(FINISHING)
        self._close_when_done()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def answered(self, exchange: Exchange) -> None:
        """An exchange has its answer: send it and those that waited behind it."""
        pending = self._pending
        if self._lost or pending[0] is not exchange:
            return
        answer = b""
        while pending:
            following = pending[0].answer
            if following is None:
                break
            answer += following
            pending.popleft()
        self._active = True
        # One write for all answers of this turn of the loop: a pipelining sender gets them in one
        # packet, and a write costs more than everything else that is done for a message.
        if not self._unsent:
            self._loop.call_soon(self._send_collected)
        self._unsent.append(answer)
        self._unsent_size += len(answer)
        if self._unsent_size > _COLLECTED_AT_MOST:
            self._send_collected()
        if self._holds & UNANSWERED and len(pending) * 2 <= self._max_unanswered:
            self.release(UNANSWERED)
        if not pending:
            self._close_when_done()

    def data_received(self, data: bytes) -> None:
        if self._discard:
            return
        self._framer.feed(data)
        if not self._holds:
            self._take()
        elif self._transport is not None:
            # uvloop begins to read after connection_made, whatever was asked for in it.
            self._transport.pause_reading()

    def _take(self) -> None:
        """Hand over complete frames until there is none or a reason to wait."""
        if self._taking:
            return
        self._taking = True
        framer = self._framer
        pending = self._pending
        try:
            while not self._holds:
                message = framer.take()
                if message is None:
                    break
                exchange = Exchange(self, message, framer.oversize)
                pending.append(exchange)
                self._active = True
                self._frame_since = None
                if len(pending) >= self._max_unanswered:
                    self.hold(UNANSWERED)
                if framer.oversize is not None:
                    framer.errors.append("oversize")
                self._receive(exchange)
        except Exception as error:
            # The owner's mistake must end neither the loop nor whoever replied to another message.
            self._loop.call_exception_handler(
                {"message": "the receiver of an MLLP message failed", "exception": error}
            )
            self.abort()
        finally:
            self._taking = False
        if framer.stray or framer.errors:
            self._report()
        if not framer.begun:
            self._frame_since = None
        elif self._frame_since is None:
            self._frame_since = self._loop.time()
        if self._ended:
            self._close_when_done()

    def _send_collected(self) -> None:
        answers = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_size = 0
        transport = self._transport
        if answers and transport is not None and not transport.is_closing():
            transport.write(answers)

    def _report(self) -> None:
        stray, errors = self._framer.report()
        if stray:
            self._owner.events.stray_bytes(stray)
        for kind in errors:
            self._owner.events.frame_error(kind)

    def eof_received(self) -> bool:
        """The peer will send no more; what it sent is still answered (not over TLS, whose
        transports close both directions at once)."""
        self._ended = True
        # The transport may close as soon as this returns, and takes no answers after that.
        self._send_collected()
        if self._is_tls or self._discard:
            return False
        return bool(self._pending or self._framer.waiting)

    def _close_when_done(self) -> None:
        """Close if nothing is left to answer and nothing more will be taken."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._pending or self._taking:
            return
        if not self._holds & FINISHING and (not self._ended or self._framer.waiting):
            return
        self._send_collected()
        if self._ended or not transport.can_write_eof() or not self._owes_reading():
            transport.close()
            return
        # Closing a socket with unread input resets it, and a reset overtakes the answers that the
        # peer has not read yet. So end our half only and let its input run dry.
        if self._discard:
            return
        self._discard = True
        transport.write_eof()
        transport.resume_reading()
        self._linger = self._loop.call_later(_LINGER_SECONDS, transport.close)

    def _owes_reading(self) -> bool:
        """Whether the peer may have sent more than was read."""
        return bool(self._framer.begun or self._framer.waiting or self._unread)

    def pause_writing(self) -> None:
        self._unread_since = self._loop.time()
        self.hold(UNREAD_ANSWERS)

    def resume_writing(self) -> None:
        self._unread_since = None
        self.release(UNREAD_ANSWERS)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._lost = True
        if self._linger is not None:
            self._linger.cancel()
        if self._framer.begun and not self._discard:
            self._owner.events.frame_error(UNFINISHED)
        self._pending.clear()
        self._framer = Framer(self._owner.limits.max_message_size)
        if self._transport is not None:
            self._owner.lost(self)

    def overdue(self, now: float) -> str | None:
        """Which timeout has passed, for the owner's timer: the kinds of Events.timed_out."""
        limits = self._owner.limits
        if self._active:
            self._active = False
            self._idle_since = now
        if self._unread_since is not None:
            return _passed(self._unread_since, limits.read_timeout, now, "write")
        if self._holds:
            return None
        if self._frame_since is None:
            if self._pending:
                return None
            return _passed(self._idle_since, limits.idle_timeout, now, "idle")
        elapsed = now - self._frame_since
        if (
            elapsed > limits.slow_sender_grace
            and self._framer.begun < limits.min_bytes_per_second * elapsed
        ):
            return "slow_sender"
        return _passed(self._frame_since, limits.read_timeout, now, "read")


def _passed(since: float, limit: float, now: float, kind: str) -> str | None:
    return kind if limit and now - since > limit else None
