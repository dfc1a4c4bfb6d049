"""MLLP load: many connections, each sending in order and checking every acknowledgement.

HL7 v2.5.1 2.9.2 (original mode) and 2.9.3 (commit acknowledgements); frames as of the MLLP
transport specification, release 1.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import msgspec

from vitalbridge.operations.demo.garbage import END, START
from vitalbridge.operations.demo.hospital import BROKEN_LANE, Sending
from vitalbridge.operations.demo.tally import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vitalbridge.operations.demo.tally import Tally

_BACKLOG = 64  # sendings that may wait for one connection before the source is held
_ATTEMPTS = 3


class Target(msgspec.Struct, frozen=True):
    """Where to send."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Unreachable(Exception):
    """Nothing answers at the target."""


def acknowledgement(message: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2 of an acknowledgement; two empty strings when it has no MSA."""
    separator = message[3:4]
    found = message.find(b"\rMSA" + separator) if separator else -1
    if found < 0:
        return "", ""
    end = message.find(b"\r", found + 1)
    fields = message[found + 1 : end if end >= 0 else len(message)].split(separator)
    if len(fields) < 3:
        return "", ""
    return fields[1].decode("latin-1"), fields[2].decode("latin-1")


class _Waiting(msgspec.Struct):
    sending: Sending
    since: float = 0.0
    attempts: int = 0


class Connection(asyncio.Protocol):
    """One MLLP connection with at most ``in_flight`` unanswered messages, oldest first.

    A lost connection is opened again and what wasn't answered is sent again, the same bytes, as an
    HL7 sender must (HL7 v2.5.1 2.9.2). After three attempts a message counts as unanswered.
    """

    def __init__(
        self,
        target: Target,
        tally: Tally,
        on_accepted: Callable[[Sending, float], None] | None,
        *,
        in_flight: int = 1,
        ack_timeout: float = 30.0,
    ) -> None:
        self._target = target
        self._tally = tally
        self._on_accepted = on_accepted
        self._window = in_flight
        self._ack_timeout = ack_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: deque[_Waiting] = deque()
        self._unanswered: deque[_Waiting] = deque()
        self._buffer = bytearray()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._lost = asyncio.Event()
        self._draining = False
        self._idle.set()
        self._room.set()

    async def run(self) -> None:
        """Keep the connection open until cancelled."""
        delay = 0.1
        while True:
            try:
                await self._open()
                delay = 0.1
            except OSError:
                if self._draining:
                    self._give_up()
                delay = min(delay * 2, 2.0)
            else:
                await self._watch()
                self._tally.reconnects += 1
                self._take_back()
            await asyncio.sleep(delay)

    async def _open(self) -> None:
        self._lost.clear()
        self._buffer.clear()
        await self._loop.create_connection(lambda: self, self._target.host, self._target.port)

    async def _watch(self) -> None:
        """Return when the connection is lost; close it when an answer is overdue."""
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await self._lost.wait()
            except TimeoutError:
                late = time.monotonic() - self._ack_timeout
                if self._unanswered and self._unanswered[0].since < late and self._transport:
                    self._transport.abort()

    def _take_back(self) -> None:
        while self._unanswered:
            waiting = self._unanswered.pop()
            if waiting.attempts < _ATTEMPTS:
                self._queue.appendleft(waiting)
            else:
                self._tally.note_silence(waiting.sending)
        self._set_idle()

    async def offer(self, sending: Sending) -> None:
        """Queue a sending; waits while too much is queued."""
        if not self._room.is_set():
            await self._room.wait()
        self._queue.append(_Waiting(sending))
        self._idle.clear()
        if len(self._queue) >= _BACKLOG:
            self._room.clear()
        self._write()

    async def drained(self) -> None:
        """Return when everything offered is answered or given up.

        While it waits, nothing is held for a target that can't be reached any more.
        """
        self._draining = True
        await self._idle.wait()

    def _give_up(self) -> None:
        for waiting in self._queue:
            if waiting.attempts:
                self._tally.note_silence(waiting.sending)
        self._queue.clear()
        self._set_idle()

    def _write(self) -> None:
        transport = self._transport
        if transport is None:
            return
        while self._queue and len(self._unanswered) < self._window:
            waiting = self._queue.popleft()
            if not waiting.attempts:
                self._tally.note_sent(waiting.sending)
            waiting.attempts += 1
            waiting.since = time.monotonic()
            self._unanswered.append(waiting)
            transport.write(waiting.sending.frame)
        if len(self._queue) < _BACKLOG // 2:
            self._room.set()

    def _set_idle(self) -> None:
        if not self._queue and not self._unanswered:
            self._idle.set()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send."""
        # uvloop's transports are no asyncio.Transport, though they do the same.
        self._transport = cast("asyncio.Transport", transport)
        self._write()

    def data_received(self, data: bytes) -> None:
        """Take acknowledgements off the stream."""
        self._buffer += data
        while (end := self._buffer.find(END)) >= 0:
            begin = self._buffer.find(START, 0, end)
            message = bytes(self._buffer[begin + 1 : end])
            del self._buffer[: end + len(END)]
            if self._unanswered:
                waiting = self._unanswered.popleft()
                code, control_id = acknowledgement(message)
                sending = waiting.sending
                self._tally.note_answer(sending, code, control_id, time.monotonic() - waiting.since)
                if self._on_accepted and sending.scheduled and code in ACCEPTED:
                    self._on_accepted(sending, waiting.since)
        self._write()
        self._set_idle()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let :meth:`run` open it again."""
        self._transport = None
        self._lost.set()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class BrokenSender:
    """Sends what is wrong, each thing over a connection of its own, and notes what comes back.

    Silence takes time to notice, so what comes while too much waits is left out.
    """

    def __init__(self, target: Target, tally: Tally, patience: float = 5.0) -> None:
        self._target = target
        self._tally = tally
        self._patience = patience
        self._queue: asyncio.Queue[Sending] = asyncio.Queue(_BACKLOG)

    async def offer(self, sending: Sending) -> None:
        """Queue a sending unless too much is queued."""
        if not self._queue.full():
            self._queue.put_nowait(sending)

    async def drained(self) -> None:
        """Return when everything queued has been sent."""
        await self._queue.join()

    async def run(self) -> None:
        """Send until cancelled, four things at a time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            sending = await self._queue.get()
            try:
                await self._send(sending)
            finally:
                self._queue.task_done()

    async def _send(self, sending: Sending) -> None:
        try:
            reader, writer = await asyncio.open_connection(self._target.host, self._target.port)
        except OSError:
            self._tally.reconnects += 1
            return
        self._tally.note_sent(sending)
        since = time.monotonic()
        patience = 0.2 if sending.expected == "no answer" else self._patience
        try:
            writer.write(sending.frame)
            async with asyncio.timeout(patience):
                answer = await reader.readuntil(END)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            self._tally.note_silence(sending)
        else:
            code, control_id = acknowledgement(answer[answer.find(START) + 1 : -len(END)])
            self._tally.note_answer(sending, code, control_id, time.monotonic() - since)
        finally:
            writer.close()


async def send(
    source: Iterable[Sending],
    target: Target,
    tally: Tally,
    *,
    rate: float | None,
    connections: int = 8,
    in_flight: int = 1,
    ack_timeout: float = 30.0,
    on_accepted: Callable[[Sending, float], None] | None = None,
) -> None:
    """Send all of ``source``, ``rate`` a second (None: as fast as answers come), and return.

    What shares a lane goes over one connection, in order. ``on_accepted`` gets each accepted
    sending that puts something on the worklist, with the time (time.monotonic) of its first byte.
    Raises :class:`Unreachable` when the target can't be reached at the start.
    """
    try:
        _, writer = await asyncio.open_connection(target.host, target.port)
    except OSError as error:
        raise Unreachable(f"nothing answers at {target}: {error.strerror or error}") from error
    writer.close()
    lanes = [
        Connection(target, tally, on_accepted, in_flight=in_flight, ack_timeout=ack_timeout)
        for _ in range(connections)
    ]
    broken = BrokenSender(target, tally)
    async with asyncio.TaskGroup() as group:
        senders: list[Connection | BrokenSender] = [*lanes, broken]
        running = [group.create_task(sender.run()) for sender in senders]
        try:
            await _feed(source, lanes, broken, rate)
            for sender in senders:
                await sender.drained()
        finally:
            for task in running:
                task.cancel()
            for connection in lanes:
                connection.close()


async def _feed(
    source: Iterable[Sending],
    lanes: Sequence[Connection],
    broken: BrokenSender,
    rate: float | None,
) -> None:
    due = time.monotonic()
    step = 1 / rate if rate else 0.0
    for count, sending in enumerate(source):
        if step:
            due += step
            if (wait := due - time.monotonic()) > 0.001:
                await asyncio.sleep(wait)
        elif not count & 63:
            await asyncio.sleep(0)
        lane = broken if sending.lane == BROKEN_LANE else lanes[sending.lane % len(lanes)]
        await lane.offer(sending)
