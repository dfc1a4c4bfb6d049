"""The load generator: a process of its own, raw asyncio protocols on uvloop, frames made as sent.

`python -m benchmarks.load OPTIONS-AS-JSON` sends and prints one JSON object. Without a rate every
connection sends its next message when the last is answered. With a rate, messages are due at fixed
times whatever the answers do, and latencies count from when a message was due (no coordinated
omission).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks import messages

_END = b"\x1c\r"
_GOOD = (b"\rMSA|AA|", b"\rMSA|CA|")


class Options(msgspec.Struct):
    """What to send. ``record`` names a file that gets the time of sending of each message."""

    port: int
    host: str = "127.0.0.1"
    kind: str = "order"
    connections: int = 1
    seconds: float = 5.0
    warmup: float = 1.0
    rate: float = 0.0
    first: int = 1
    count: int = 0
    record: str = ""


class Counters:
    """What all connections count together."""

    def __init__(self, count: int) -> None:
        self.left = count or sys.maxsize
        self.answered = 0
        self.refused = 0
        self.latencies = array("d")
        self.sent = array("d")
        self.lost = 0
        self.sending = True

    def take(self) -> bool:
        """Return whether one more may be sent."""
        self.left -= 1
        return self.left >= 0


class Sender(asyncio.Protocol):
    """One connection; at most one message is unanswered."""

    def __init__(self, counters: Counters, next_frame: Any, closed_loop: bool) -> None:
        self.counters = counters
        self.next_frame = next_frame
        self.closed_loop = closed_loop
        self.transport: Any = None
        self.since = 0.0
        self.busy = False
        self.buffer = b""
        self.due: deque[tuple[float, bytes]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        self.counters.lost += self.counters.sending

    def start(self) -> None:
        if self.counters.take():
            self.send(time.monotonic(), self.next_frame())

    def offer(self, since: float, frame: bytes) -> None:
        if self.busy:
            self.due.append((since, frame))
        else:
            self.send(since, frame)

    def send(self, since: float, frame: bytes) -> None:
        self.busy = True
        self.since = since
        self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        if not data.endswith(_END):
            self.buffer = data
            return
        self.buffer = b""
        counters = self.counters
        now = time.monotonic()
        counters.latencies.append(now - self.since)
        if _GOOD[0] in data or _GOOD[1] in data:
            counters.answered += 1
        else:
            counters.refused += 1
        self.busy = False
        if self.closed_loop:
            if counters.sending and counters.take():
                self.send(now, self.next_frame())
        elif self.due:
            self.send(*self.due.popleft())


async def run(options: Options, counters: Counters) -> dict[str, Any]:
    """Send for the time or the count, and return what was measured after the warm-up."""
    now = datetime.now().astimezone()
    stamp = now.strftime("%Y%m%d%H%M%S")
    if options.kind == "order":
        start = (now + timedelta(hours=1)).strftime("%Y%m%d%H%M%S")
        template = messages.order(stamp, start)
    else:
        template = messages.adt(stamp)
    next_frame = messages.numbered(template, options.first)
    loop = asyncio.get_running_loop()
    senders = []
    for _ in range(options.connections):
        _, protocol = await loop.create_connection(
            lambda: Sender(counters, next_frame, not options.rate), options.host, options.port
        )
        senders.append(protocol)
    began = time.monotonic()
    if options.rate:
        await _paced(options, counters, senders, next_frame)
        seconds = time.monotonic() - began
        first = 0
    else:
        for sender in senders:
            sender.start()
        first = 0 if options.count else await _warmed_up(options, counters)
        began = time.monotonic()
        if options.count:
            await _answered(counters, options.count, options.seconds)
        else:
            await asyncio.sleep(options.seconds)
        seconds = time.monotonic() - began
        counters.sending = False
    latencies = sorted(counters.latencies[first:])
    for sender in senders:
        sender.transport.abort()
    return {
        "answered": counters.answered,
        "refused": counters.refused,
        "lost": counters.lost,
        "seconds": seconds,
        "measured": len(latencies),
        "rate": len(latencies) / seconds,
        **{f"p{p}": _percentile(latencies, p) for p in (50, 95, 99)},
    }


async def _paced(
    options: Options, counters: Counters, senders: list[Sender], next_frame: Any
) -> None:
    total = options.count or int(options.rate * options.seconds)
    step = 1 / options.rate
    due = time.monotonic() + 0.01
    sent = 0
    while sent < total:
        now = time.monotonic()
        while due <= now and sent < total:
            counters.sent.append(due)
            senders[sent % len(senders)].offer(due, next_frame())
            sent += 1
            due += step
        await asyncio.sleep(max(0.0005, due - time.monotonic()))
    await _answered(counters, total, 60.0)
    counters.sending = False


async def _warmed_up(options: Options, counters: Counters) -> int:
    await asyncio.sleep(options.warmup)
    return len(counters.latencies)


async def _answered(counters: Counters, count: int, seconds: float) -> None:
    """Wait until so many are answered, a connection is lost, or the time is over."""
    deadline = time.monotonic() + seconds
    # An event would cost every answer something.
    while len(counters.latencies) < count and not counters.lost:
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.01)


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def main() -> None:
    """Run with the options given as JSON."""
    options = msgspec.json.decode(sys.argv[1], type=Options)
    counters = Counters(options.count)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run(options, counters))
    if options.record:
        Path(options.record).write_bytes(counters.sent.tobytes())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
