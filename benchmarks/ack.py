"""Durable acknowledgement on the loopback: messages a second and latency, beside two other servers.

An answer of the bridge means that the message is on the disk (fsync); the peers parse the message,
answer and keep nothing. All get the same load from the same generator, in turns.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.peers.install import medplum
from benchmarks.service import ROOT, bridge, free_ports, load, running, wait_for
from benchmarks.table import Figure, ms

if TYPE_CHECKING:
    from collections.abc import Iterator


class Case(NamedTuple):
    """One load and what is wanted of the bridge under it."""

    label: str
    kind: str
    connections: int
    rate: float = 0.0
    p95: float = 0.0
    times_medplum: float = 0.0
    times_hl7: float = 0.0


CASES = (
    Case("50 connections, ORM 450 B", "order", 50, 14_500, 0.010, times_medplum=1.5),
    Case("8 connections, ADT 1.3 KB", "adt", 8, times_hl7=10),
    Case("1 connection, ORM 450 B", "order", 1),
)


@contextmanager
def hl7_server() -> Iterator[int]:
    """Run the server of the PyPI package hl7; give its port."""
    (port,) = free_ports(1)
    command = [sys.executable, str(ROOT / "benchmarks" / "peers" / "hl7_server.py"), str(port)]
    with running(command) as process:
        wait_for(process, port)
        yield port


@contextmanager
def medplum_server(command: list[str]) -> Iterator[int]:
    """Run the server of the npm package @medplum/hl7; give its port."""
    (port,) = free_ports(1)
    with running([*command, str(port)]) as process:
        wait_for(process, port)
        yield port


def run(*, quick: bool) -> list[Figure]:
    """Return the figures of all cases."""
    seconds, turns = (2.0, 1) if quick else (5.0, 3)
    node = medplum()
    figures = []
    for case in CASES:
        ours: list[dict[str, Any]] = []
        theirs: dict[str, list[float]] = {"hl7": [], "@medplum/hl7": []}
        for _ in range(turns):
            shape = {"kind": case.kind, "connections": case.connections, "seconds": seconds}
            # A new bridge each time: the backlog that a burst leaves is not part of the next one.
            with bridge() as service:
                ours.append(load(port=service.mllp, **shape))
            with hl7_server() as port:
                theirs["hl7"].append(load(port=port, **shape)["rate"])
            if node is not None:
                with medplum_server(node) as port:
                    theirs["@medplum/hl7"].append(load(port=port, **shape)["rate"])
        figures += _figures(case, ours, {name: rates for name, rates in theirs.items() if rates})
    return figures


def _figures(
    case: Case, ours: list[dict[str, Any]], theirs: dict[str, list[float]]
) -> list[Figure]:
    rate = median(one["rate"] for one in ours)
    p50 = median(one["p50"] for one in ours)
    p95 = median(one["p95"] for one in ours)
    figures = [
        Figure(
            "ack",
            case.label,
            f"{rate:,.0f}/s",
            f">= {case.rate:,.0f}/s" if case.rate else "",
            rate >= case.rate if case.rate else None,
            f"P50 {ms(p50)}",
        ),
        Figure(
            "ack",
            f"{case.label}, P95",
            ms(p95),
            f"< {ms(case.p95)}" if case.p95 else "",
            p95 < case.p95 if case.p95 else None,
        ),
    ]
    wanted = {"hl7": case.times_hl7, "@medplum/hl7": case.times_medplum}
    for name, rates in theirs.items():
        times = rate / median(rates)
        target = wanted[name]
        figures.append(
            Figure(
                "ack",
                f"{case.label}, times {name}",
                f"{times:.1f} x",
                f">= {target:g} x" if target else "",
                times >= target if target else None,
                f"{name} {median(rates):,.0f}/s, not durable",
            )
        )
    return figures
