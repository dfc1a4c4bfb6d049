"""``vitalbridge up`` and ``vitalbridge demo``: apart, as what they import takes a second."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console

from vitalbridge.bridge.settings import ConfigurationError
from vitalbridge.cli.output import complain
from vitalbridge.operations import laptop
from vitalbridge.operations.demo.modalities import Worklist
from vitalbridge.operations.demo.pacs import answering_pacs
from vitalbridge.operations.demo.run import Options, demonstrate
from vitalbridge.operations.demo.senders import Target, Unreachable
from vitalbridge.operations.signals import stopped_by_signals

if TYPE_CHECKING:
    import argparse

    from vitalbridge.bridge.settings import Settings
    from vitalbridge.operations.demo.display import View


def run(options: argparse.Namespace) -> int:
    """Run the command of ``options``; return the exit code."""
    try:
        return {"up": _up, "demo": _demo}[options.name_of_command](options)
    except (laptop.StartFailed, Unreachable) as error:
        complain(f"vitalbridge: {error}")
    except ConfigurationError as error:
        for problem in error.problems:
            complain(f"vitalbridge: {problem}")
    return 1


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
            f"Send an order:    {_program()} order | nc -N -w 5 localhost {listener.port}",
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
    target = Target(*options.to)
    worklist = Worklist(*options.worklist) if options.worklist else Worklist(target.host, 11112)
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
