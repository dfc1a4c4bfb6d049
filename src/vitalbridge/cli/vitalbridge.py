"""``vitalbridge``: the services on one computer, the demo, and what a newcomer needs."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console

from vitalbridge import __version__
from vitalbridge.bridge.settings import ConfigurationError
from vitalbridge.operations import laptop
from vitalbridge.operations.certificates import CertificatesExist, make_development_certificates
from vitalbridge.operations.demo.modalities import Worklist
from vitalbridge.operations.demo.pacs import answering_pacs
from vitalbridge.operations.demo.run import Options, demonstrate
from vitalbridge.operations.demo.sample import MODALITIES, sample_order
from vitalbridge.operations.demo.senders import Target, Unreachable
from vitalbridge.operations.signals import stopped_by_signals
from vitalbridge.runtime.durations import InvalidDuration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.settings import Settings
    from vitalbridge.operations.demo.display import View


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code (2 for wrong usage, which argparse raises)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (laptop.StartFailed, Unreachable) as error:
        return _complain(str(error))
    except ConfigurationError as error:
        return _complain(*(str(problem) for problem in error.problems))
    except KeyboardInterrupt:
        return 0


def _complain(*lines: str) -> int:
    for line in lines:
        print(f"vitalbridge: {line}", file=sys.stderr)
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
    up.set_defaults(command=_up)

    demo = commands.add_parser("demo", help="send a simulated hospital's day to a running bridge")
    demo.add_argument(
        "--to",
        type=_target,
        default=Target("localhost", 2575),
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
    demo.set_defaults(command=_demo)

    order = commands.add_parser("order", help="print one order in an MLLP frame, to send by hand")
    order.add_argument("--name", default="Doe^Jane", metavar="FAMILY^GIVEN")
    order.add_argument("--modality", choices=MODALITIES, default="CT")
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


def _up(options: argparse.Namespace) -> int:
    console = Console()
    configuration = laptop.prepare(options.data_dir)
    settings = laptop.settings_of(configuration)
    laptop.check_ports(settings)
    output = options.data_dir / "bridge.err"
    with ExitStack() as stack:
        child = stack.enter_context(laptop.service(configuration, output))
        if options.demo and laptop.lacks_pacs(settings):
            _answer_for_pacs(stack, settings.pacs.port)

        async def session() -> int:
            with stopped_by_signals() as stop:
                starting = asyncio.create_task(laptop.ready(child, settings, output))
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    starting.cancel()
                    return 0
                starting.result()
                stopping.cancel()
                for line in _started(settings, configuration, demo=options.demo):
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                ended = asyncio.create_task(laptop.ended(child, stop))
                if options.demo:
                    await demonstrate(_load_of(options, settings), console, stop)
                    stop.set()
                await ended
            if child.poll() is not None:
                raise laptop.StartFailed(
                    f"pacs_bridge ended with {child.returncode}: {laptop.last_words(output)}"
                )
            return 0

        return uvloop.run(session())


def _answer_for_pacs(stack: ExitStack, port: int) -> None:
    try:
        stack.enter_context(answering_pacs(port))
    except OSError as error:
        raise laptop.StartFailed(
            f"port {port} (pacs.port) can't be used: {error.strerror}"
        ) from error


def _started(settings: Settings, configuration: Path, *, demo: bool) -> list[str]:
    listener, worklist = settings.hl7.listener, settings.dicom
    health = laptop.health_url(settings)
    lines = [
        "PACS Bridge is ready.",
        f"  HL7 (MLLP)      {laptop.reachable(listener.bind_address)}:{listener.port}",
        f"  worklist        {laptop.reachable(worklist.bind_address)}:{worklist.port},"
        f" AE title {worklist.ae_title}",
        f"  health          {health}",
        f"  metrics         {laptop.metrics_url(settings)}",
        f"  configuration   {configuration}",
    ]
    if not demo:
        lines += [
            f"  PACS            expected at {settings.pacs.host}:{settings.pacs.port};"
            " until one answers, health is degraded",
            "",
            f"Send an order:    {_program()} order | nc -w 2 localhost {listener.port}",
            "Ctrl-C stops.",
        ]
    return lines


def _load_of(options: argparse.Namespace, settings: Settings) -> Options:
    listener, dicom = settings.hl7.listener, settings.dicom
    return _load(
        options,
        Target(laptop.reachable(listener.bind_address), listener.port),
        Worklist(laptop.reachable(dicom.bind_address), dicom.port, dicom.ae_title)
        if dicom.enabled
        else None,
        laptop.health_url(settings),
        laptop.metrics_url(settings),
    )


def _load(
    options: argparse.Namespace,
    target: Target,
    worklist: Worklist | None,
    health_url: str,
    metrics_url: str,
) -> Options:
    return Options(
        target=target,
        rate=options.rate,
        seed=options.seed,
        connections=options.connections,
        in_flight=options.in_flight,
        count=options.count,
        duration=options.duration,
        worklist=worklist,
        query_interval=options.query_every,
        health_url=health_url,
        metrics_url=metrics_url,
        command=_program(),
    )


def _program() -> str:
    """Return how this command was called, as the user can call it again."""
    called = Path(sys.argv[0])
    if called.name != "vitalbridge":
        return "vitalbridge"
    return os.path.relpath(called) if called.is_absolute() else str(called)


def _demo(options: argparse.Namespace) -> int:
    target: Target = options.to
    worklist = options.worklist or Worklist(target.host, 11112)
    health = options.health or f"http://{target.host}:8081/health"
    load = _load(
        options,
        target,
        None if options.no_worklist else worklist,
        health,
        f"{health.rpartition('/')[0]}/metrics",
    )

    async def session() -> View:
        with stopped_by_signals() as stop:
            return await demonstrate(load, Console(), stop)

    with ExitStack() as stack:
        if options.pacs is not None:
            _answer_for_pacs(stack, options.pacs)
        view = uvloop.run(session())
    bounded = options.count is not None or options.duration is not None
    return 1 if bounded and (view.tally.surprises or view.lost) else 0


def _order(options: argparse.Namespace) -> int:
    now = datetime.now().astimezone().replace(tzinfo=None)
    try:
        order = sample_order(options.name, options.modality, now)
    except ValueError as error:
        return _complain(str(error))
    sys.stdout.buffer.write(order)
    return 0


def _certs(options: argparse.Namespace) -> int:
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


def _target(text: str) -> Target:
    host, _, port = text.rpartition(":")
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r} isn't HOST:PORT")
    return Target(host.strip("[]"), _port(port))


def _worklist(text: str) -> Worklist:
    address, _, ae_title = text.partition("/")
    target = _target(address)
    return Worklist(target.host, target.port, ae_title or "PACS_BRIDGE")


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
