"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(value: object) -> str:
    """Return ``value`` as text that does nothing to a terminal: control characters are escaped."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(printable, value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {printable(part)}" for name, part in value.items()) + "}"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in str(value)
    )


def moment(microseconds: int | None) -> str | None:
    """Return ``2025-12-10T12:00:00.123Z`` of microseconds since 1970."""
    if microseconds is None:
        return None
    whole, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:03d}Z"


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings; in colour on a terminal, aligned text elsewhere."""
    cells = [[printable(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*(text.replace("[", "\\[") for text in row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in ([*columns], *cells):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Print one ``name  value`` per line."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        sys.stdout.write(f"{name.ljust(width)}  {printable(value)}\n")


def complain(text: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(text + "\n")
