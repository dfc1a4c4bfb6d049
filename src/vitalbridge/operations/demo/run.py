"""One run of the demo: senders, modalities and the display together, until stopped."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from rich.live import Live

from vitalbridge.operations.demo.catalogue import STATIONS
from vitalbridge.operations.demo.display import View, line, screen, summary
from vitalbridge.operations.demo.hospital import Hospital, Sending
from vitalbridge.operations.demo.modalities import Modality, Probe, Worklist
from vitalbridge.operations.demo.senders import Target, send
from vitalbridge.operations.demo.tally import Tally
from vitalbridge.operations.demo.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

_DRAIN = 10.0  # how long the last answers are waited for


class Options(msgspec.Struct, kw_only=True):
    """What to run. ``rate`` None is as fast as answers come; ``worklist`` None asks none."""

    target: Target
    rate: float | None = 50.0
    seed: int = 7
    connections: int = 8
    in_flight: int = 1
    count: int | None = None
    duration: float | None = None
    worklist: Worklist | None = None
    query_interval: float = 3.0
    health_url: str = ""
    metrics_url: str = ""
    command: str = "vitalbridge"


async def demonstrate(options: Options, console: Console, stop: asyncio.Event) -> View:
    """Send and query until the count or duration is reached, or ``stop`` is set.

    Shows a live screen if ``console`` is a terminal, else a line every two seconds, and at the end
    a summary. Returns the last view. Raises
    :class:`~vitalbridge.operations.demo.senders.Unreachable` when nothing listens at the target.
    """
    with _querying(options) as (probe, modalities):
        view = await _run(options, console, probe, modalities, stop)
    for text in summary(view):
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return view


async def _run(
    options: Options,
    console: Console,
    probe: Probe | None,
    modalities: Sequence[Modality],
    stop: asyncio.Event,
) -> View:
    tally = Tally()
    watch = Watch(options.health_url, options.metrics_url)
    began = time.monotonic()

    def on_accepted(sending: Sending, since: float) -> None:
        scheduled = sending.scheduled
        if probe is None or scheduled is None:
            return
        probe.offer(scheduled, since)
        for modality in modalities:
            if modality.view.station in scheduled.stations:
                modality.expect(scheduled)

    speed = _Speed()

    def view() -> View:
        return View(
            title=f"Vitalbridge demo to {options.target}",
            elapsed=time.monotonic() - began,
            rate=speed.of(tally.total_sent),
            tally=tally,
            health=watch.status if options.health_url else "",
            problems=watch.problems,
            queue_depth=watch.queue_depth,
            stations=[modality.view for modality in modalities],
            to_worklist=probe.latencies if probe else None,
            lost=probe.lost if probe else 0,
            newest=list(probe.newest) if probe else [],
            tips=tips(options),
        )

    background: set[asyncio.Task[None]] = set()
    if options.health_url:
        background.add(asyncio.create_task(watch.run()))
    show = _live if console.is_terminal else _lines
    background.add(asyncio.create_task(show(console, view)))
    sending = asyncio.create_task(
        send(
            _until(options, stop),
            options.target,
            tally,
            rate=options.rate,
            connections=options.connections,
            in_flight=options.in_flight,
            on_accepted=on_accepted,
        )
    )
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(
            (sending, stopping, *background),
            timeout=options.duration,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for shown in background:
            if shown.done():
                shown.result()
        stop.set()
        if not sending.done():
            await asyncio.wait((sending,), timeout=_DRAIN)
        if sending.done():
            sending.result()
        return view()
    finally:
        for task in (sending, stopping, *background):
            task.cancel()
        await asyncio.gather(sending, stopping, *background, return_exceptions=True)


def _until(options: Options, stop: asyncio.Event) -> Iterator[Sending]:
    """Yield the day's messages until there are enough or ``stop`` is set."""
    pace = 1 / options.rate if options.rate else 0.0005
    # An order should stay on the worklist long enough to be seen there.
    stories = max(60, min(20_000, int(8 / pace)))
    hospital = Hospital(
        options.seed,
        datetime.now().astimezone().replace(tzinfo=None, microsecond=0),
        pace=pace,
        stories=stories,
    )
    for sending in islice(hospital.messages(), options.count):
        if stop.is_set():
            return
        yield sending


@contextmanager
def _querying(options: Options) -> Iterator[tuple[Probe | None, list[Modality]]]:
    """Run the probe and one thread per station while inside."""
    if options.worklist is None:
        yield None, []
        return
    probe = Probe(options.worklist)
    modalities = [
        Modality(options.worklist, station, modality, options.query_interval)
        for modality, stations in STATIONS.items()
        for station in stations
    ]
    threads: list[Probe | Modality] = [probe, *modalities]
    for thread in threads:
        thread.start()
    try:
        yield probe, modalities
    finally:
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join()


class _Speed:
    """Messages a second over the last five seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def of(self, count: int) -> float:
        now = time.monotonic()
        self._points.append((now, count))
        while len(self._points) > 2 and now - self._points[0][0] > 5:
            self._points.popleft()
        since, before = self._points[0]
        return (count - before) / (now - since) if now > since else 0.0


async def _live(console: Console, view: Callable[[], View]) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(view(), console.height), refresh=True)
            await asyncio.sleep(0.25)


async def _lines(console: Console, view: Callable[[], View]) -> None:
    while True:
        await asyncio.sleep(2)
        console.print(line(view()), highlight=False, markup=False, soft_wrap=True)


def tips(options: Options) -> list[tuple[str, list[str]]]:
    """Return commands that work against this target, by what they do."""
    target = options.target
    found = [("send", [f"{options.command} order | nc -N -w 5 {target.host} {target.port}"])]
    worklist = options.worklist
    if worklist is not None:
        found.append(
            (
                "query",
                [
                    f"findscu -W -aec {worklist.ae_title} {worklist.host} {worklist.port}"
                    " -k PatientName \\",
                    "  -k 'ScheduledProcedureStepSequence[0].Modality=CT'",
                ],
            )
        )
    if options.health_url:
        found.append(("look", [f"curl {options.health_url} {options.metrics_url}"]))
    return found
