"""What the bridge takes when nothing happens: memory and processor."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.service import bridge
from benchmarks.table import Figure


def run(*, quick: bool) -> list[Figure]:
    """Return resident memory and processor time of a bridge that nobody speaks to."""
    seconds = 10.0 if quick else 30.0
    with bridge() as service:
        time.sleep(3.0)  # what the start still does
        before, began = _processor(service.pid), time.monotonic()
        time.sleep(seconds)
        share = (_processor(service.pid) - before) / (time.monotonic() - began)
        memory = _resident(service.pid)
    return [
        Figure("idle", "resident memory", f"{memory / 1e6:.0f} MB", "< 150 MB", memory < 150e6),
        Figure(
            "idle",
            f"processor over {seconds:.0f} s",
            f"{share * 100:.2f} %",
            "< 2 %",
            share < 0.02,
            "of one core",
        ),
    ]


def _processor(pid: int) -> float:
    """Return user and system time in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """Return VmRSS in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{pid}/status has no VmRSS")
