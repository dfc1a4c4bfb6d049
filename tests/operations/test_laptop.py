from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge.settings import examine
from vitalbridge.operations import laptop
from vitalbridge.operations.demo.catalogue import PROCEDURES, STATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from vitalbridge.bridge.settings import Settings


def settle(directory: Path) -> tuple[Path, Settings]:
    """Write the configuration, but with ports that are free."""
    path = laptop.prepare(directory)
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    text = path.read_text()
    for port, place in zip(("2575", "11112", "8081", "11113"), held, strict=True):
        text = text.replace(f"port: {port}", f"port: {place.getsockname()[1]}")
        place.close()
    path.write_text(text)
    return path, laptop.settings_of(path)


def test_the_configuration_is_complete_and_free_of_remarks(tmp_path: Path) -> None:
    path = laptop.prepare(tmp_path / "data")
    result = examine(path, {})
    assert (result.problems, result.notes) == ([], [])
    settings = result.settings
    assert settings is not None
    assert settings.hl7.listener.port == 2575
    assert settings.pacs.port == laptop.STAND_IN_PACS_PORT != settings.dicom.port
    assert str(settings.queue.database_path) == str(tmp_path / "data" / "queue.db")
    titles = {
        modality: [station.ae_title for station in stations]
        for modality, stations in settings.mapping.modality_ae_titles.items()
    }
    assert titles == {m: [s.ae_title for s in stations] for m, stations in STATIONS.items()}
    assert settings.mapping.procedure_to_modality.keys() == {p.code for p in PROCEDURES}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_path_with_special_characters_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / 'it\'s: a #1 "plåce" $HOME %{X}\\n'
    settings = laptop.settings_of(laptop.prepare(directory))
    assert str(settings.queue.database_path) == str(directory / "queue.db")


def test_a_path_that_would_be_a_variable(tmp_path: Path) -> None:
    with pytest.raises(laptop.StartFailed, match="would be read as a variable"):
        laptop.prepare(tmp_path / "${HOME}")


def test_a_changed_configuration_stays(tmp_path: Path) -> None:
    path = laptop.prepare(tmp_path)
    path.write_text(path.read_text().replace("port: 2575", "port: 2599"))
    assert laptop.settings_of(laptop.prepare(tmp_path)).hl7.listener.port == 2599


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(laptop.StartFailed, match=r"config\.yaml can't be written: File exists"):
        laptop.prepare(tmp_path / "file")


@pytest.mark.parametrize("zone", ["Asia/Seoul", ":Europe/Berlin"])
def test_the_zone_of_this_computer(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    assert laptop.local_zone() == zone.removeprefix(":")


def test_a_zone_without_a_name_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    named = laptop.local_zone()
    for nonsense in ("CET-1CEST", "../../etc/passwd", "Mars/Olympus"):
        monkeypatch.setenv("TZ", nonsense)
        assert laptop.local_zone() == named


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("hl7.listener", "hl7.listener.port"),
        ("dicom", "dicom.port"),
        ("monitoring.health", "monitoring.health.port"),
    ],
)
def test_a_taken_port_is_named(section: str, key: str, tmp_path: Path) -> None:
    _, settings = settle(tmp_path)
    laptop.check_ports(settings)
    part: object = settings
    for name in section.split("."):
        part = getattr(part, name)
    port = part.port  # type: ignore[attr-defined]
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(laptop.StartFailed, match=rf"port {port} \({key}\) can't be used: Address"),
    ):
        laptop.check_ports(settings)


def test_a_pacs_is_lacking_until_one_listens(tmp_path: Path) -> None:
    _, settings = settle(tmp_path)
    assert laptop.lacks_pacs(settings)
    with socket.create_server(("127.0.0.1", settings.pacs.port)):
        assert not laptop.lacks_pacs(settings)
    settings.pacs.host = "pacs.hospital.local"
    assert not laptop.lacks_pacs(settings)


async def test_the_service_runs_and_is_stopped(tmp_path: Path) -> None:
    path, settings = settle(tmp_path)
    output = tmp_path / "bridge.err"
    with laptop.service(path, output) as child:
        async with asyncio.timeout(30):
            await laptop.ready(child, settings, output)
        assert child.poll() is None
        with socket.create_connection(("127.0.0.1", settings.hl7.listener.port), timeout=5):
            pass
    assert child.returncode == 0
    laptop.check_ports(settings)


async def test_a_service_that_ends_says_why(tmp_path: Path) -> None:
    path, settings = settle(tmp_path)
    (tmp_path / "queue.db").mkdir()
    output = tmp_path / "bridge.err"
    with laptop.service(path, output) as child:
        with pytest.raises(laptop.StartFailed, match=r"pacs_bridge ended with 1: .*queue\.db"):
            await laptop.ready(child, settings, output)
        stop = asyncio.Event()
        async with asyncio.timeout(10):
            await laptop.ended(child, stop)
        assert stop.is_set()


def test_a_service_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "pacs_bridge"
    deaf.write_text(f"#!{sys.executable}\n" + DEAF)
    deaf.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(laptop, "STOPPING", 0.2)
    output = tmp_path / "bridge.err"
    with laptop.service(tmp_path / "config.yaml", output) as child:
        heard = threading.Event()
        while "deaf" not in output.read_text():
            assert not heard.wait(0.01)
    assert child.returncode == -signal.SIGKILL


DEAF = """\
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", file=sys.stderr, flush=True)
time.sleep(60)
"""

PARENT = """\
import os, sys, time
from pathlib import Path
from vitalbridge.operations import laptop
with laptop.service(Path(sys.argv[1]), Path(sys.argv[2])) as child:
    print(child.pid, flush=True)
    time.sleep(60)
"""


async def test_the_service_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    path, settings = settle(tmp_path)
    output = tmp_path / "bridge.err"
    command = [sys.executable, "-c", PARENT, path, output]
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    process = os.pidfd_open(int(await parent.stdout.readline()))
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(laptop.answers, laptop.ready_url(settings)):
                assert not ended.is_set()
            parent.kill()
            await parent.wait()
            await ended.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)
    laptop.check_ports(settings)


def test_last_words(tmp_path: Path) -> None:
    output = tmp_path / "err"
    output.write_text("first\nport 2575 is in use\n\n")
    assert laptop.last_words(output) == "port 2575 is in use"
    output.write_text("")
    assert laptop.last_words(output) == f"it said nothing in {output}"


@pytest.mark.parametrize(
    ("bound", "reached"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("127.0.0.1", "localhost"), ("10.1.2.3",) * 2],
)
def test_reachable(bound: str, reached: str) -> None:
    assert laptop.reachable(bound) == reached
