"""From an order due to be sent until a reader of the database sees its committed worklist row.

Orders come at a fixed rate over 50 connections, each for a patient of its own. Times count from
when an order was due, so that an order that had to wait for its turn waited too. A second process
polls the database read-only and notes when each row appears: what it sees is committed.
"""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.service import ROOT, Failed, bridge, load
from benchmarks.table import Figure, ms

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = 50


class Passed(NamedTuple):
    """What one run gave; latencies are in seconds, sorted."""

    rate: float
    latencies: list[float]
    missing: int


def run(*, quick: bool) -> list[Figure]:
    """Return the figures at 500 and at 5,000 orders a second."""
    calm = _pass(500, 5 if quick else 20, interval=0.001)
    seconds = 10 if quick else 60
    full = _pass(5000, seconds, interval=0.005)
    p95 = _percentile(calm.latencies, 95)
    return [
        Figure(
            "order_to_worklist",
            "P95 at 500/s",
            ms(p95),
            "< 20 ms",
            p95 < 0.020 and not calm.missing,
            f"P50 {ms(_percentile(calm.latencies, 50))}, P99 {ms(_percentile(calm.latencies, 99))}",
        ),
        Figure(
            "order_to_worklist",
            f"5,000/s for {seconds} s",
            f"{full.rate:,.0f}/s",
            ">= 4,950/s",
            full.rate >= 4950 and not full.missing,
            f"P95 {ms(_percentile(full.latencies, 95))}, last {ms(full.latencies[-1])},"
            f" {full.missing} missing",
        ),
    ]


def _pass(rate: float, seconds: float, *, interval: float) -> Passed:
    total = int(rate * seconds)
    with bridge() as service:
        sent_file, seen_file = service.directory / "sent", service.directory / "seen"
        watcher = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.watch", service.database, seen_file),
                *(str(total), str(interval), "15"),
            ],
            cwd=ROOT,
        )
        result: dict[str, Any] = {}
        sender = threading.Thread(
            target=lambda: result.update(
                load(
                    port=service.mllp,
                    connections=CONNECTIONS,
                    rate=rate,
                    seconds=seconds,
                    record=str(sent_file),
                )
            )
        )
        sender.start()
        sender.join()
        watcher.wait()
        if not result:
            raise Failed("the load generator failed")
        sent, seen = _times(sent_file), _times(seen_file)
    latencies = sorted(there - due for due, there in zip(sent, seen, strict=True) if there == there)
    if not latencies:
        raise Failed("no order reached the worklist")
    last = max(there for there in seen if not math.isnan(there))
    return Passed(len(latencies) / (last - sent[0]), latencies, total - len(latencies))


def _times(file: Path) -> array[float]:
    times = array("d")
    times.frombytes(file.read_bytes())
    return times


def _percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
