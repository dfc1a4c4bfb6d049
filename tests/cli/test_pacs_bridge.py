from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from .conftest import Site

    Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

ORDER = (
    "MSH|^~\\&|RIS|HOSP|PACS|RAD|20260101120000||ORM^O01|M1|P|2.5.1\r"
    "PID|1||12345^^^HOSP^MR||DOE^JOHN||19800115|M\r"
    "ORC|NW|O1^RIS|A1^RIS||SC\r"
    "OBR|1|O1^RIS|A1^RIS|71260^CT CHEST^CPT|||20990101140000|||||||||||A1||||||{modality}\r"
)


def answer(port: int, message: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"\x0b" + message.encode() + b"\x1c\r")
        received = b""
        while not received.endswith(b"\x1c\r"):
            piece = connection.recv(4096)
            assert piece, "connection closed"
            received += piece
    return received.decode()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.02)


@pytest.fixture
def service(site: Site) -> Iterator[subprocess.Popen[str]]:
    process = site.start()
    url = f"http://127.0.0.1:{site.health_port}/health/ready"

    def is_ready() -> bool:
        assert process.poll() is None, (site.directory / "out").read_text()
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_ready)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


# -- without a service ----------------------------------------------------------------------------


def test_version(run: Run) -> None:
    for option in ("--version", "-v"):
        done = run(option)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("pacs_bridge 0.")


def test_help(run: Run) -> None:
    for option in ("--help", "-h"):
        done = run(option)
        assert done.returncode == 0
        assert "--validate" in done.stdout
        assert "worklist" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("queue",), ("queue", "eat"), ("--val",), ("queue", "show", "x")]
)
def test_wrong_usage_is_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: pacs_bridge" in done.stderr


def test_validate_a_good_configuration(run: Run, site: Site) -> None:
    done = run("--config", site.config, "--validate")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"Configuration OK: {site.config}\n",
        "",
    )
    assert not site.database.exists()


def test_validate_says_all_problems_one_per_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("hl7: {listener: {port: 99999}}\npacs: {}\nlogging: {level: LOUD}\n")
    done = run("-c", path, "--validate")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"{path}:1: hl7.listener.port: Invalid port number: 99999\n"
        f"{path}:2: pacs.host: Missing required field: pacs.host\n"
        f"{path}:3: logging.level: must be one of trace, debug, info, warn, error or fatal\n"
    )


def test_validate_says_that_a_file_can_not_be_read(run: Run, tmp_path: Path) -> None:
    done = run("-c", tmp_path / "none.yaml", "--validate")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/none.yaml: can't be read: No such file or directory\n"


def test_validate_works_while_the_ports_are_taken(run: Run, site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.mllp_port)):
        assert run("-c", site.config, "--validate").returncode == 0


def test_validate_without_a_file_checks_the_defaults(run: Run) -> None:
    if Path("/etc/pacs_bridge/config.yaml").exists():
        pytest.skip("this machine has a configuration")
    done = run("--validate", LOG_LEVEL="LOUD")
    assert done.returncode == 1
    assert done.stderr.startswith("environment variable LOG_LEVEL: logging.level: must be")


def test_a_wrong_configuration_at_start_is_78(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("pacs: {host: p}\nhl8: {}\n")
    done = run("--config", path)
    assert done.returncode == 78
    assert done.stderr == f"{path}:2: hl8: unknown key (did you mean hl7?)\n"


def test_a_taken_port_is_one_line_and_1(run: Run, site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.mllp_port)):
        done = run("--config", site.config)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(site.mllp_port) in line
    assert "address already in use" in line.lower()


def test_tools_say_that_there_is_no_database(run: Run, site: Site) -> None:
    done = run("-c", site.config, "queue", "stats")
    assert done.returncode == 1
    assert done.stderr == f"pacs_bridge: {site.database}: no such file\n"


def test_checkpoint_makes_no_database(run: Run, site: Site) -> None:
    done = run("-c", site.config, "queue", "checkpoint")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not site.database.exists()


def test_tools_say_that_a_file_is_no_database(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_text("no database at all\n" * 100)
    for arguments in (("queue", "stats"), ("queue", "verify"), ("worklist", "list")):
        done = run(*arguments, "--database", path)
        assert done.returncode == 1
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


# -- with one -------------------------------------------------------------------------------------


def test_the_process_is_called_pacs_bridge(
    service: subprocess.Popen[str],
) -> None:
    assert Path(f"/proc/{service.pid}/comm").read_text() == "pacs_bridge\n"
    assert b"pacs_bridge" in Path(f"/proc/{service.pid}/cmdline").read_bytes()


def test_what_operators_read_about_a_message(
    service: subprocess.Popen[str], site: Site, run: Run
) -> None:
    assert "MSA|AA|M1" in answer(site.mllp_port, ORDER.format(modality=""))

    def figures() -> dict[str, object]:
        found: dict[str, object] = json.loads(
            run("-c", site.config, "queue", "stats", "--json").stdout
        )
        return found

    wait_until(lambda: figures()["messages"] == 0 and figures()["worklist_steps"] == 1)
    listed = json.loads(run("queue", "list", "-c", site.config, "--json").stdout)
    assert [entry["control_id"] for entry in listed] == ["M1"]
    assert listed[0]["received_at"].endswith("Z")
    seq = listed[0]["seq"]

    shown = run("queue", "show", seq, "-c", site.config)
    assert "ORM^O01" in shown.stdout
    assert "DOE" not in shown.stdout
    shown = run("queue", "show", seq, "--body", "-c", site.config)
    assert "PID|1||12345^^^HOSP^MR||DOE^JOHN||19800115|M\n" in shown.stdout
    assert run("queue", "show", seq, "--raw", "-c", site.config).stdout == ORDER.format(
        modality=""
    ).replace("\r", "\n")

    table = run("worklist", "list", "--unmapped", "-c", site.config).stdout.splitlines()
    assert table[0].split() == [
        *("START", "MODALITY", "STATIONS", "STATUS", "ACCESSION", "STEP", "PATIENT", "ID", "NAME")
    ]
    assert "OT" in table[1]
    assert "DOE^JOHN" in table[1]
    assert "A1" in run("worklist", "show", "A1", "-c", site.config).stdout
    steps = json.loads(run("worklist", "show", "A1", "--json", "-c", site.config).stdout)
    assert steps[0]["patient"]["PatientName"] == "DOE^JOHN"

    assert run("queue", "verify", "-c", site.config).stdout == "ok\n"
    assert run("queue", "salvage", "-c", site.config).stdout == (
        "no write-ahead log has been set aside\n"
    )
    for arguments in (("queue", "show", 999), ("worklist", "show", "NONE")):
        done = run(*arguments, "-c", site.config)
        assert (done.returncode, done.stdout) == (1, "")
    assert run("queue", "list", "--state", "lost", "-c", site.config).returncode == 2
    assert run("queue", "list", "--state", "dead", "--json", "-c", site.config).stdout == "[]\n"


def test_signals(service: subprocess.Popen[str], site: Site) -> None:
    log = site.directory / "bridge.log"
    site.config.write_text(site.config.read_text() + "mapping: {timezone: Europe/Vienna}\n")
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in log.read_text())
    site.config.write_text(site.config.read_text() + "nonsense: 1\n")
    service.send_signal(signal.SIGHUP)
    wait_until(lambda: "nonsense: unknown key" in log.read_text())

    log.rename(site.directory / "bridge.log.1")
    service.send_signal(signal.SIGUSR1)
    wait_until(log.exists)
    assert service.poll() is None
    service.send_signal(signal.SIGTERM)
    assert service.wait(10) == 0
    assert not Path(f"{site.database}-wal").exists()


def test_checkpoint_after_a_kill_leaves_one_file(
    service: subprocess.Popen[str], site: Site, run: Run
) -> None:
    assert "MSA|AA|M1" in answer(site.mllp_port, ORDER.format(modality="CT"))
    service.kill()
    service.wait()
    assert Path(f"{site.database}-wal").stat().st_size > 0
    done = run("-c", site.config, "queue", "checkpoint")
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(f"{site.database}-wal").exists()
    counted = subprocess.run(
        ["sqlite3", site.database, "SELECT count(*) FROM inbound"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert counted.stdout == "1\n"


def test_a_hangup_before_it_is_ready_does_not_end_it(site: Site) -> None:
    process = site.start()
    comm = Path(f"/proc/{process.pid}/comm")
    wait_until(lambda: comm.read_text() == "pacs_bridge\n" and _ignores_hangup(process.pid))
    for _ in range(20):
        process.send_signal(signal.SIGHUP)
        os.sched_yield()
    url = f"http://127.0.0.1:{site.health_port}/health/live"

    def lives() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(lives)
    process.terminate()
    assert process.wait(10) == 0


def _ignores_hangup(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return bool(int(line.split()[1], 16) & 1 << (signal.SIGHUP - 1))
    raise AssertionError("no SigIgn")
