"""The bridge on one computer: a configuration in a directory of its own and the service as a child.

Nothing here is needed in production, where the service is started by systemd or a container.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from vitalbridge.bridge.settings import load
from vitalbridge.operations.demo.catalogue import MODALITY_ALIASES, PROCEDURES, STATIONS
from vitalbridge.runtime.process import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalbridge.bridge.settings import Settings

CONFIGURATION = "config.yaml"
STAND_IN_PACS_PORT = 11113

STOPPING = 10.0  # seconds that the service has to end in order


class StartFailed(Exception):
    """The service can't be started; the text says why, in one line."""


def prepare(directory: Path) -> Path:
    """Make the directory and, if it has none, its configuration; return the configuration's path.

    Raises :class:`StartFailed` when it can't be written.
    """
    path = directory / CONFIGURATION
    if "${" in str(directory.resolve()):
        raise StartFailed(f"{directory}: ${{ would be read as a variable in the configuration")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not path.exists():
            path.write_text(configuration(directory.resolve()), encoding="utf-8")
            path.chmod(0o600)
    except OSError as error:
        raise StartFailed(f"{path} can't be written: {error.strerror or error}") from error
    return path


def configuration(directory: Path) -> str:
    """Return the text of a configuration that keeps everything in ``directory``."""
    lines = [
        "# PACS Bridge on one computer, as `vitalbridge up` starts it. Written once, read at every",
        "# start: change what you like and start again. All keys are in the documentation.",
        "server:",
        "  name: PACS_BRIDGE",
        "hl7:",
        "  listener:",
        "    port: 2575",
        "    bind_address: 0.0.0.0       # 127.0.0.1 keeps other computers out",
        "dicom:",
        "  port: 11112                 # the worklist",
        "  ae_title: PACS_BRIDGE",
        "  bind_address: 0.0.0.0",
        "pacs:",
        "  host: 127.0.0.1",
        f"  port: {STAND_IN_PACS_PORT}                 # `up --demo` answers here for a PACS",
        "  called_ae: PACS_SCP",
        "  check_interval: 5s",
        "mapping:",
        f"  timezone: {local_zone()}",
        "  modality_ae_titles:",
    ]
    for modality, stations in STATIONS.items():
        lines.append(f"    {modality}:")
        lines += [
            f"      - {{ae_title: {station.ae_title}, station_name: {station.name},"
            f" location: {station.location}}}"
            for station in stations
        ]
    lines.append("  procedure_to_modality:")
    lines += [
        f'    "{procedure.code}": {MODALITY_ALIASES.get(procedure.modality, procedure.modality)}'
        for procedure in PROCEDURES
    ]
    lines += [
        "queue:",
        f"  database_path: {_quoted(directory / 'queue.db')}",
        "logging:",
        f"  file: {_quoted(directory / 'bridge.log')}",
        "monitoring:",
        "  health:",
        "    port: 8081",
        "    bind_address: 127.0.0.1",
        "",
    ]
    return "\n".join(lines)


def _quoted(path: Path) -> str:
    """Return the path as a double-quoted YAML scalar, which JSON's strings are too."""
    return json.dumps(str(path), ensure_ascii=False)


def local_zone() -> str:
    """Return this computer's IANA time zone, or UTC where it has no name."""
    named = os.environ.get("TZ", "").removeprefix(":")
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    for name in (named, linked):
        if name and _is_zone(name):
            return name
    return "UTC"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def settings_of(path: Path) -> Settings:
    """Return the settings as the service will read them; raises ConfigurationError."""
    return load(path, os.environ)


def check_ports(settings: Settings) -> None:
    """Raise :class:`StartFailed` when a port that the service needs is taken."""
    listener, worklist, health = settings.hl7.listener, settings.dicom, settings.monitoring.health
    wanted = [
        ("hl7.listener.port", listener.bind_address, listener.port),
        ("monitoring.health.port", health.bind_address, health.port),
    ]
    if worklist.enabled:
        wanted.append(("dicom.port", worklist.bind_address, worklist.port))
    for key, host, port in wanted:
        try:
            _bind(host, port)
        except OSError as error:
            raise StartFailed(
                f"port {port} ({key}) can't be used: {error.strerror or error}; is another"
                " bridge running? Stop it, or change the key in the configuration"
            ) from error


def lacks_pacs(settings: Settings) -> bool:
    """Return whether the configured PACS is this computer and its port has nobody."""
    pacs = settings.pacs
    if pacs.host not in ("localhost", "127.0.0.1") or pacs.port == settings.dicom.port:
        return False
    try:
        _bind("127.0.0.1", pacs.port)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))


@contextmanager
def service(configuration: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``pacs_bridge`` with that configuration while inside, its complaints going to a file.

    Its log is where the configuration says; the copy on standard output isn't kept. At the end it
    gets SIGTERM, and SIGKILL when it hasn't ended ten seconds later. If this process is killed the
    kernel sends it SIGTERM too.
    """
    program = Path(sys.executable).parent / "pacs_bridge"
    with output.open("wb") as file:
        child = subprocess.Popen(
            [program, "--config", configuration],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,  # Ctrl-C at the terminal is for us, who stop it in order
            preexec_fn=die_with_parent,
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOPPING)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


async def ready(child: subprocess.Popen[bytes], settings: Settings, output: Path) -> None:
    """Return once ``/health/ready`` answers 200.

    Raises :class:`StartFailed` with the service's last words when it ends instead.
    """
    while child.poll() is None:
        if await asyncio.to_thread(answers, ready_url(settings)):
            return
        await asyncio.sleep(0.1)
    raise StartFailed(f"pacs_bridge ended with {child.returncode}: {last_words(output)}")


async def ended(child: subprocess.Popen[bytes], stop: asyncio.Event) -> None:
    """Return when ``stop`` is set; the end of the service sets it."""
    if child.poll() is not None:
        stop.set()
        return
    loop = asyncio.get_running_loop()
    process = os.pidfd_open(child.pid)
    loop.add_reader(process, stop.set)
    try:
        await stop.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)


def health_url(settings: Settings) -> str:
    """Return the URL of the overall health report."""
    health = settings.monitoring.health
    return f"http://{reachable(health.bind_address)}:{health.port}{health.base_path}"


def ready_url(settings: Settings) -> str:
    """Return the URL that answers 200 while the service takes messages."""
    return f"{health_url(settings)}/ready"


def metrics_url(settings: Settings) -> str:
    """Return the URL of the metrics."""
    health = settings.monitoring.health
    return f"http://{reachable(health.bind_address)}:{health.port}{health.metrics_path}"


def reachable(bind_address: str) -> str:
    """Return the name under which this computer reaches what is bound to the address."""
    return "localhost" if bind_address in ("0.0.0.0", "127.0.0.1", "::", "::1") else bind_address


def last_words(output: Path) -> str:
    """Return the last line of the service's output that says something."""
    lines = [line.strip() for line in output.read_text("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), f"it said nothing in {output}")


def answers(url: str) -> bool:
    """Return whether a GET of the URL is answered 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
