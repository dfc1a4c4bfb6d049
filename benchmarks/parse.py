"""Parsing a message and reading ten of its fields, beside the PyPI package hl7."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import hl7  # type: ignore[import-untyped]
from benchmarks import messages
from benchmarks.table import Figure
from vitalbridge.hl7 import Message

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER_FIELDS = (
    *("MSH-9.1", "MSH-10", "PID-3.1", "PID-5.1", "PID-7", "ORC-1", "OBR-2.1", "OBR-4.1"),
    *("OBR-18", "OBR-24"),
)
ADT_FIELDS = (
    *("MSH-9.2", "MSH-10", "EVN-2", "PID-3.1", "PID-3[2].4", "PID-5.1", "PID-11.3", "PV1-3.1"),
    *("AL1[2]-3.2", "IN1-4"),
)
MEGABYTE = 1_000_000


def run(*, quick: bool) -> list[Figure]:
    """Return the figures."""
    seconds = 0.5 if quick else 2.0
    now = "20260302090000"
    figures = []
    for label, template, fields, wanted in (
        ("ORM 450 B", messages.order(now, now), ORDER_FIELDS, 50_000),
        ("ADT 1.3 KB", messages.adt(now), ADT_FIELDS, None),
    ):
        raw = messages.numbered(template, 1)()[1:-2]
        text = raw.decode()
        places = [_place(path) for path in fields]
        _check(raw, text, fields, places)
        ours = _rate(partial(_ours, raw, fields), seconds)
        theirs = _rate(partial(_theirs, text, places), seconds)
        figures.append(
            Figure(
                "parse",
                f"{label} and ten fields",
                f"{ours:,.0f}/s",
                f">= {wanted:,}/s" if wanted else "",
                ours >= wanted if wanted else None,
                f"hl7 {theirs:,.0f}/s, {ours / theirs:.0f} x",
            )
        )
    return [*figures, _growth(quick=quick)]


def _ours(raw: bytes, fields: tuple[str, ...]) -> list[str]:
    message = Message(raw)
    get = message.get
    return [get(path) for path in fields]


Place = tuple[str, int, int, int, int]


def _theirs(text: str, places: list[Place]) -> list[str]:
    message = hl7.parse(text)
    return [message.extract_field(*place) for place in places]


def _place(path: str) -> Place:
    """Return a path as hl7's extract_field takes it; repetitions and components start with 1."""
    segment, _, field = path.partition("-")
    name, _, occurrence = segment.partition("[")
    field, _, component = field.partition(".")
    number, _, repetition = field.partition("[")
    return (
        name,
        int(occurrence.rstrip("]") or 1),
        int(number),
        int(repetition.rstrip("]") or 1),
        int(component or 1),
    )


def _check(raw: bytes, text: str, fields: tuple[str, ...], places: list[Place]) -> None:
    ours, theirs = _ours(raw, fields), _theirs(text, places)
    if ours != theirs or not all(ours):
        raise AssertionError(f"{ours} {theirs}")


def _rate(work: Callable[[], object], seconds: float) -> float:
    """Return how often ``work`` runs a second: the best of three."""
    best = 0.0
    for _ in range(3):
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds / 3:
            for _ in range(50):
                work()
            count += 50
        best = max(best, count / passed)
    return best


def _growth(*, quick: bool) -> Figure:
    """Compare the times of a 10 MB and a 20 MB OBX-5, in turns; neither fits into a cache."""
    small, large = (_long(size * MEGABYTE) for size in (10, 20))
    rounds = [(_seconds(small), _seconds(large)) for _ in range(3 if quick else 7)]
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    factor = seconds[1] / seconds[0]
    return Figure(
        "parse",
        "20 MB OBX-5 against 10 MB",
        f"{factor:.1f} x",
        "<= 3 x (linear: 2)",
        factor <= 3,
        f"20 MB in {seconds[1] * 1000:.0f} ms",
    )


def _long(size: int) -> bytes:
    head = b"MSH|^~\\&|LAB|H|B|R|20260302||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||1\rOBR|1\r"
    return head + b"OBX|1|ED|1^PDF||^application^pdf^Base64^" + b"QUJD" * (size // 4) + b"\r"


def _seconds(raw: bytes) -> float:
    began = time.perf_counter()
    message = Message(raw)
    if len(message.get("OBX-5.5")) < MEGABYTE:
        raise AssertionError("the value isn't there")
    return time.perf_counter() - began
