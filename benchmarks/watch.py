"""Looks into the bridge's database for worklist rows as they are committed, and notes when.

A process of its own: `python -m benchmarks.watch DATABASE FILE TOTAL INTERVAL IDLE`. The accession
numbers must be 1 to TOTAL; FILE gets a time (CLOCK_MONOTONIC, which all processes share) for each,
NaN for those never seen. It ends when all were seen, or IDLE seconds after the last.
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from pathlib import Path
from typing import cast

import apsw


def watch(database: str, total: int, interval: float, idle: float) -> array[float]:
    """Return when each row was first seen by a reader."""
    seen = array("d", [math.nan]) * total
    connection = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(1000)
    query = "SELECT key, CAST(accession AS INTEGER) FROM worklist_step WHERE key > ? ORDER BY key"
    key, found, last = -1, 0, time.monotonic()
    while found < total and time.monotonic() - last < idle:
        rows = cast("list[tuple[int, int]]", connection.execute(query, (key,)).fetchall())
        if rows:
            now = last = time.monotonic()
            key = rows[-1][0]
            found += len(rows)
            for _, number in rows:
                seen[number - 1] = now
        time.sleep(interval)
    return seen


def main() -> None:
    """Watch and write what was seen."""
    database, file, total, interval, idle = sys.argv[1:]
    seen = watch(database, int(total), float(interval), float(idle))
    Path(file).write_bytes(seen.tobytes())


if __name__ == "__main__":
    main()
