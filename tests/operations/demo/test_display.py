from __future__ import annotations

import io
from datetime import datetime
from itertools import islice

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from vitalbridge.operations.demo.catalogue import STATIONS
from vitalbridge.operations.demo.display import View, line, screen, summary
from vitalbridge.operations.demo.hospital import Hospital
from vitalbridge.operations.demo.latency import Latencies
from vitalbridge.operations.demo.modalities import Entry, StationView, Worklist
from vitalbridge.operations.demo.run import Options, tips
from vitalbridge.operations.demo.senders import Target
from vitalbridge.operations.demo.tally import Tally

MORNING = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the hospital's times are local


def busy_view() -> View:
    tally, to_worklist = Tally(), Latencies()
    for sending in islice(Hospital(7, MORNING, faults=0.05).messages(), 3000):
        tally.note_sent(sending)
        if sending.expected == "no answer":
            tally.note_silence(sending)
        else:
            code = "AA" if sending.expected == "accepted" else "AE"
            tally.note_answer(sending, code, sending.control_id, 0.0123)
    for milliseconds in range(1, 101):
        to_worklist.record(milliseconds / 1000)
    stations = [
        StationView(station.ae_title, modality, entries=12_345, queries=3, seconds=0.0456)
        for modality, stations in STATIONS.items()
        for station in stations
    ]
    newest = [
        Entry("AT2X8QK0000123", name, "CT abdomen & pelvis with contrast", "CT", "CT1", start)
        for name, start in [
            ("Yamada^Tarou=山田^太郎=やまだ^たろう", "20260302141500"),
            ("Παπαδόπουλος^Διονύσιος", "20260302141500"),
            ("Müller-Lüdenscheidt-Großmann^Jürgen Maximilian", "20260302"),
            ("", ""),
            ("כהן^דבורה", "20260303070000"),
        ]
    ]
    target = Target("localhost", 2575)
    options = Options(
        target=target,
        worklist=Worklist("localhost", 11112),
        health_url="http://localhost:8081/health",
        metrics_url="http://localhost:8081/metrics",
        command=".venv/bin/vitalbridge",
    )
    return View(
        title=f"Vitalbridge demo to {target}",
        elapsed=3725.4,
        rate=12345.6,
        tally=tally,
        health="healthy",
        problems=(),
        queue_depth=1234.0,
        stations=stations,
        to_worklist=to_worklist,
        lost=0,
        newest=newest,
        tips=tips(options),
    )


def empty_view() -> View:
    return View("Vitalbridge demo", 0.0, 0.0, Tally(), "", (), None, [], None, 0, [], [])


def shown(view: View, width: int = 80, height: int = 24, *, color: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        record=True,
        force_terminal=True,
        no_color=not color,
    )
    console.print(screen(view, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 43), (200, 60)])
def test_a_busy_screen_fits(width: int, height: int, color: bool) -> None:
    lines = shown(busy_view(), width, height, color=color)
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width


def test_an_empty_screen_fits() -> None:
    lines = shown(empty_view())
    assert len(lines) == 24
    assert max(map(cell_len, lines)) <= 80


def test_what_the_screen_says() -> None:
    view = busy_view()
    text = " ".join("\n".join(shown(view)).split())
    tally = view.tally
    for expected in (
        "Vitalbridge demo to localhost:2575",
        "healthy 01:02:05 Ctrl-C stops",
        f"ADT patients {sum(n for k, n in tally.sent.items() if k.startswith('ADT'))} ",
        "CT_SCANNER_1 12345",
        "FLUORO_1 12345",
        "missing 0, slowest query 45.6 ms",
        "12,345.6/s ACK P50 12.3 P95 12.3 ms order to worklist P50 50.2 P95 95.2 ms",
        f"broken {tally.broken}, repeated {tally.repeats}, reconnected 0, unexpected answers 0,",
        "queue 1234",
        "02 14:15 AT2X8QK0000123 Yamada, Tarou (山田 太郎)",
        "CT CT abdomen & pelvis wi",
        ".venv/bin/vitalbridge order | nc -N -w 5 localhost 2575",
        "findscu -W -aec PACS_BRIDGE localhost 11112 -k PatientName \\",
        "-k 'ScheduledProcedureStepSequence[0].Modality=CT'",
        "curl http://localhost:8081/health http://localhost:8081/metrics",
    ):
        assert expected in text


def test_problems_are_named() -> None:
    view = msgspec.structs.replace(
        busy_view(), health="degraded", problems=("pacs_connection down",)
    )
    assert "degraded (pacs_connection down)" in shown(view)[0]
    view.stations[0].problem = "C-FIND: status C001"  # type: ignore[index]
    text = "\n".join(shown(view))
    assert "C-FIND: status C001" in text
    assert "CT_SCANNER_1     ?" in text
    view = busy_view()
    view.stations[3].missing = 2  # type: ignore[index]
    assert "missing 2, slowest" in "\n".join(shown(view))


def test_no_colour_means_no_colour() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True, no_color=True)
    console.print(screen(busy_view(), 24))
    assert "\x1b[3" not in file.getvalue().replace("\x1b[3m", "")


def test_the_plain_line() -> None:
    text = line(busy_view())
    assert text.startswith("01:02:05 sent ")
    assert "ACK P50 12.3 P95 12.3 ms | to worklist P50 50.2 P95 95.2 ms" in text
    assert "entries 123450 missing 0 | queue 1234 | healthy" in text
    assert line(empty_view()).startswith("00:00:00 sent 0 | accepted 0 | refused 0 | unexpected 0")


def test_the_summary() -> None:
    view = busy_view()
    text = "\n".join(summary(view))
    assert f"Sent {view.tally.total_sent:,} messages in 3725.4 s" in text
    assert "Acknowledged after P50 12.3 P95 12.3 P99 12.3 ms." in text
    assert "(100 orders asked for, 0 not found)" in text
    assert text.endswith("Every answer was the expected one.")


def test_the_summary_names_surprises() -> None:
    view = busy_view()
    bad = next(s for s in Hospital(7, MORNING, faults=1).messages() if s.expected == "refused")
    view.tally.note_answer(bad, "AA", bad.control_id, 0.001)
    view.tally.reconnects = 3
    lines = summary(view)
    assert lines[-1] == f"  ORM^O01 {bad.control_id} ({bad.fault}): AA"
    assert "1 answers were not the expected ones, lately:" in lines
    assert "Connections lost and opened again: 3." in lines
