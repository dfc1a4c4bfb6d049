"""What benchmarks return, and how it is printed."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One line: what was measured, what was wanted, and how it went.

    ``met`` is None where there is no target.
    """

    benchmark: str
    measure: str
    result: str
    target: str = ""
    met: bool | None = None
    note: str = ""


HEADINGS = ("benchmark", "measure", "result", "target", "", "beside")


def table(figures: list[Figure]) -> str:
    """Return the figures as a text table."""
    marks = {None: "", True: "met", False: "MISSED"}
    rows = [(f.benchmark, f.measure, f.result, f.target, marks[f.met], f.note) for f in figures]
    widths = [max(len(row[i]) for row in [HEADINGS, *rows]) for i in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.rjust(width) if i == 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [HEADINGS, *rows]
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def ms(seconds: float) -> str:
    """Return milliseconds with a sensible number of digits."""
    millis = seconds * 1000
    digits = 2 if millis < 10 else 1 if millis < 100 else 0
    return f"{millis:,.{digits}f} ms"
