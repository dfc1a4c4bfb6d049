"""``vitalbridge``: the services on one computer, the demo, and what a newcomer needs."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vitalbridge import __version__
from vitalbridge.cli.output import complain
from vitalbridge.operations.demo.sample import MODALITIES, sample_order
from vitalbridge.runtime.durations import InvalidDuration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code (2 for wrong usage, which argparse raises)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        return 0


def _complain(text: str) -> int:
    complain(f"vitalbridge: {text}")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vitalbridge",
        description="PACS Bridge on one computer, with a hospital to try it.",
    )
    parser.add_argument("--version", "-v", action="version", version=f"vitalbridge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the bridge here, in a directory of its own")
    up.add_argument("--demo", action="store_true", help="send it a simulated hospital's day")
    up.add_argument(
        "--data-dir",
        type=Path,
        default=Path("vitalbridge-data"),
        metavar="DIR",
        help="configuration, database and log (default: %(default)s)",
    )
    _add_load(up)
    up.set_defaults(command=_with_demo, name_of_command="up")

    demo = commands.add_parser("demo", help="send a simulated hospital's day to a running bridge")
    demo.add_argument(
        "--to",
        type=_target,
        default=("localhost", 2575),
        metavar="HOST:PORT",
        help="where HL7 messages go (default: localhost:2575)",
    )
    demo.add_argument(
        "--worklist",
        type=_worklist,
        metavar="HOST:PORT[/AE]",
        help="the worklist to query (default: port 11112 of the same host, PACS_BRIDGE)",
    )
    demo.add_argument("--no-worklist", action="store_true", help="send only, query nothing")
    demo.add_argument(
        "--health", metavar="URL", help="health report (default: http://HOST:8081/health)"
    )
    demo.add_argument(
        "--pacs", type=_port, metavar="PORT", help="answer C-ECHO on this port in place of a PACS"
    )
    _add_load(demo)
    demo.set_defaults(command=_with_demo, name_of_command="demo")

    order = commands.add_parser("order", help="print one order in an MLLP frame, to send by hand")
    order.add_argument(
        "--name",
        default="Doe^Jane",
        metavar="FAMILY^GIVEN",
        help="the patient's name (default: %(default)s)",
    )
    order.add_argument(
        "--modality", choices=MODALITIES, default="CT", help="OBR-24 (default: %(default)s)"
    )
    order.set_defaults(command=_order)

    certs = commands.add_parser("certs", help="make certificates to try TLS with")
    certs.add_argument(
        "--dev",
        type=Path,
        required=True,
        metavar="DIR",
        help="where to write an authority, a server's and a client's certificate with their keys",
    )
    certs.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address of the server, beside localhost; may be repeated",
    )
    certs.add_argument("--replace", action="store_true", help="overwrite what is there")
    certs.set_defaults(command=_certs)
    return parser


def _add_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_argument_group("the simulated hospital")
    load.add_argument(
        "--rate",
        type=_rate,
        default=50.0,
        metavar="N",
        help="messages a second, or max (default: 50)",
    )
    load.add_argument("--seed", type=int, default=7, metavar="N", help="another day (default: 7)")
    load.add_argument(
        "--connections", type=_positive, default=8, metavar="N", help="connections (default: 8)"
    )
    load.add_argument(
        "--in-flight",
        type=_positive,
        default=1,
        metavar="N",
        help="unanswered messages per connection (default: 1, as most senders do)",
    )
    load.add_argument("--count", type=_positive, metavar="N", help="stop after so many messages")
    load.add_argument("--duration", type=_duration, metavar="TIME", help="stop after 60s, 5m, 1h")
    load.add_argument(
        "--query-every",
        type=_duration,
        default=3.0,
        metavar="TIME",
        help="how often each modality asks for its worklist (default: 3s)",
    )


def _with_demo(options: argparse.Namespace) -> int:
    from vitalbridge.cli.demo_commands import run

    return run(options)


def _order(options: argparse.Namespace) -> int:
    now = datetime.now().astimezone().replace(tzinfo=None)
    try:
        order = sample_order(options.name, options.modality, now)
    except ValueError as error:
        return _complain(str(error))
    sys.stdout.buffer.write(order)
    sys.stdout.buffer.flush()
    return 0


def _certs(options: argparse.Namespace) -> int:
    from vitalbridge.operations.certificates import (
        CertificatesExist,
        make_development_certificates,
    )

    try:
        paths = make_development_certificates(options.dev, options.host, replace=options.replace)
    except CertificatesExist as error:
        return _complain(f"{error} is there already; --replace overwrites it")
    except ValueError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"{options.dev} can't be written: {error.strerror or error}")
    for path in paths:
        print(path)
    return 0


def _target(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r} isn't HOST:PORT")
    return host.strip("[]"), _port(port)


def _worklist(text: str) -> tuple[str, int, str]:
    address, _, ae_title = text.partition("/")
    return *_target(address), ae_title or "PACS_BRIDGE"


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to 65535)")
    return int(text)


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1_000_000:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of messages a second nor max"
        )
    return rate


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 1")
    return int(text)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except InvalidDuration as error:
        raise argparse.ArgumentTypeError(str(error)) from error
