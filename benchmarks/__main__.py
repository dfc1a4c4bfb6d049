"""Run benchmarks and print the table: `python -m benchmarks [NAME ...] [--quick]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import import_module

from benchmarks.service import Failed
from benchmarks.table import Figure, table

NAMES = ("ack", "parse", "order_to_worklist", "find", "idle")


def main() -> int:
    """Run what is asked for; 0 when every target was met, 1 otherwise, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--quick", action="store_true", help="shorter runs, once each")
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"no benchmark is called {name}")
    figures: list[Figure] = []
    for name in options.names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            figures += import_module(f"benchmarks.{name}").run(quick=options.quick)
        except Failed as error:
            figures.append(Figure(name, str(error), "failed", "", False))
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}{', quick' if options.quick else ''}\n"
    )
    print(table(figures))
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
