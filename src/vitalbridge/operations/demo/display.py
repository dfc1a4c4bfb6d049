"""What the demo shows: a screen of 80x24 or more, else plain lines, and a summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vitalbridge.operations.demo.latency import Latencies
from vitalbridge.operations.demo.modalities import Entry, StationView
from vitalbridge.operations.demo.tally import Tally

if TYPE_CHECKING:
    from collections import Counter

    from rich.console import RenderableType


_FIXED_LINES = 20  # everything but the newest worklist lines
_ROWS = (
    ("ADT patients", "ADT"),
    ("ORM orders", "ORM"),
    ("OMG orders", "OMG"),
    ("OMI orders", "OMI"),
    ("SIU bookings", "SIU"),
)
_STATUS_STYLES = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "no answer": "red"}


class View(msgspec.Struct):
    """One moment of the demo. ``tips`` are (label, command lines), ``rate`` messages a second."""

    title: str
    elapsed: float
    rate: float
    tally: Tally
    health: str
    problems: tuple[str, ...]
    queue_depth: float | None
    stations: Sequence[StationView]
    to_worklist: Latencies | None
    lost: int
    newest: Sequence[Entry]
    tips: Sequence[tuple[str, Sequence[str]]]


def screen(view: View, height: int = 24) -> RenderableType:
    """Return the live screen, exactly ``height`` lines of at least 80 columns."""
    middle = Table.grid(expand=True)
    middle.add_column(ratio=1)
    middle.add_column(ratio=1)
    middle.add_row(
        Panel(_messages(view.tally), title="Sent to the bridge", padding=(0, 1), height=9),
        Panel(_stations(view), title="Worklist of today, by modality", padding=(0, 1), height=9),
    )
    lines = max(1, height - _FIXED_LINES)
    return Group(
        _header(view),
        middle,
        *_speed(view),
        Panel(
            _newest(view.newest, lines),
            title="Newest worklist entries",
            padding=(0, 1),
            height=lines + 2,
        ),
        Panel(_tips(view.tips), title="Try it yourself", padding=(0, 1), height=6),
    )


def line(view: View) -> str:
    """Return one plain line about the moment."""
    tally = view.tally
    parts = [
        f"{_clock(view.elapsed)} sent {tally.total_sent}",
        f"accepted {tally.accepted.total()}",
        f"refused {tally.refused.total()}",
        f"unexpected {tally.surprises}",
        f"{view.rate:.1f}/s",
        f"ACK {_figures(tally.latencies)}",
    ]
    if view.to_worklist is not None:
        parts.append(f"to worklist {_figures(view.to_worklist)}")
        parts.append(f"entries {_entries(view.stations)} missing {_missing(view)}")
    if view.queue_depth is not None:
        parts.append(f"queue {view.queue_depth:.0f}")
    parts.append(view.health)
    return " | ".join(parts)


def summary(view: View) -> list[str]:
    """Return what to say at the end."""
    tally = view.tally
    rate = tally.total_sent / view.elapsed if view.elapsed > 0 else 0.0
    lines = [
        f"Sent {tally.total_sent:,} messages in {view.elapsed:.1f} s ({rate:,.1f}/s), among them"
        f" {tally.broken:,} broken and {tally.repeats:,} repeated ones.",
        f"Answers: {tally.accepted.total():,} accepted, {tally.refused.total():,} refused,"
        f" {tally.unanswered:,} none.",
    ]
    if tally.latencies.count:
        lines.append(f"Acknowledged after {_figures(tally.latencies, (50, 95, 99))}.")
    if view.to_worklist is not None and view.to_worklist.count:
        lines.append(
            f"Order to worklist entry {_figures(view.to_worklist, (50, 95, 99))}"
            f" ({view.to_worklist.count:,} orders asked for, {view.lost} not found)."
        )
    if tally.reconnects:
        lines.append(f"Connections lost and opened again: {tally.reconnects:,}.")
    if not tally.surprises:
        lines.append("Every answer was the expected one.")
        return lines
    lines.append(f"{tally.surprises:,} answers were not the expected ones, lately:")
    lines += [
        f"  {surprise.kind} {surprise.control_id}"
        f"{f' ({surprise.fault})' if surprise.fault else ''}: {surprise.answer}"
        for surprise in tally.latest_surprises
    ]
    return lines


def _header(view: View) -> RenderableType:
    header = Table.grid(expand=True)
    header.add_column(ratio=1, no_wrap=True)
    header.add_column(justify="right", no_wrap=True)
    health = Text(view.health, style=_STATUS_STYLES.get(view.health, ""))
    if view.problems:
        health.append(f" ({', '.join(view.problems)})")
    health.append(f"  {_clock(view.elapsed)}  Ctrl-C stops")
    header.add_row(Text(view.title, style="bold"), health)
    return header


def _messages(tally: Tally) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1, no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", Text("sent", "dim"), Text("accepted", "dim"), Text("refused", "dim"))
    for label, code in _ROWS:
        table.add_row(label, *(str(_of(counts, code)) for counts in _counts(tally)))
    table.add_row(
        Text("all", "bold"), *(Text(str(counts.total()), "bold") for counts in _counts(tally))
    )
    return table


def _counts(tally: Tally) -> tuple[Counter[str], Counter[str], Counter[str]]:
    return tally.sent, tally.accepted, tally.refused


def _of(counts: Counter[str], code: str) -> int:
    return sum(count for kind, count in counts.items() if kind.startswith(code))


def _stations(view: View) -> RenderableType:
    if not view.stations:
        return Text("not asked", style="dim")
    table = Table.grid(expand=True, padding=(0, 1))
    half = (len(view.stations) + 1) // 2
    for _ in range(2):
        table.add_column(ratio=1, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    for i in range(half):
        cells: list[str] = []
        for station in view.stations[i::half]:
            cells += [station.station, "?" if station.problem else str(station.entries)]
        table.add_row(*cells)
    slowest = max(station.seconds for station in view.stations)
    problems = [station.problem for station in view.stations if station.problem]
    footer = Text(
        problems[0] if problems else f"missing {_missing(view)}, slowest query {_ms(slowest)} ms",
        style="red" if problems or _missing(view) else "dim",
        no_wrap=True,
        overflow="ellipsis",
    )
    return Group(table, Text(), footer) if half < 6 else Group(table, footer)


def _speed(view: View) -> tuple[Text, Text]:
    tally = view.tally
    first = Text(f" {view.rate:,.1f}/s  ACK {_figures(tally.latencies)}", no_wrap=True)
    if view.to_worklist is not None:
        first.append(f"  order to worklist {_figures(view.to_worklist)}")
    second = Text(
        f" broken {tally.broken}, repeated {tally.repeats}, reconnected {tally.reconnects},"
        " unexpected answers ",
        style="dim",
        no_wrap=True,
    )
    second.append(str(tally.surprises), style="red" if tally.surprises else "")
    if view.queue_depth is not None:
        second.append(f", queue {view.queue_depth:.0f}")
    return first, second


def _newest(entries: Sequence[Entry], lines: int) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=14)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for entry in list(entries)[:lines]:
        table.add_row(
            _moment(entry.start),
            entry.accession,
            _name(entry.patient),
            f"{entry.modality} {entry.procedure}",
        )
    return table


def _tips(tips: Sequence[tuple[str, Sequence[str]]]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    for label, commands in tips:
        for i, command in enumerate(commands):
            table.add_row(label if i == 0 else "", Text(command, style="cyan"))
    return table


def _name(name: str) -> str:
    """``Yamada^Tarou=山田^太郎`` as ``Yamada, Tarou (山田 太郎)``."""
    groups = name.split("=")
    family, _, rest = groups[0].partition("^")
    given = rest.partition("^")[0]
    text = f"{family}, {given}" if given else family
    written = " ".join(groups[1].split("^")).strip() if len(groups) > 1 else ""
    return f"{text} ({written})" if written and text else text or written


def _moment(start: str) -> str:
    """``20260302141500`` as ``02 14:15``."""
    return f"{start[6:8]} {start[8:10]}:{start[10:12]}" if len(start) >= 12 else start


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"


def _ms(seconds: float) -> str:
    millis = seconds * 1000
    return f"{millis:.1f}" if millis < 100 else f"{millis:,.0f}"


def _figures(latencies: Latencies, percents: Sequence[int] = (50, 95)) -> str:
    if not latencies.count:
        return "-"
    parts = [f"P{percent} {_ms(latencies.percentile(percent))}" for percent in percents]
    return f"{' '.join(parts)} ms"


def _entries(stations: Sequence[StationView]) -> int:
    return sum(station.entries for station in stations)


def _missing(view: View) -> int:
    return sum(station.missing for station in view.stations)
