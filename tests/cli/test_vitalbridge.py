from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vitalbridge import __version__
from vitalbridge.cli.vitalbridge import main
from vitalbridge.hl7 import Message
from vitalbridge.hl7.mllp import MllpClient
from vitalbridge.operations import laptop

if TYPE_CHECKING:
    from conftest import Site

COMMAND = Path(sys.executable).with_name("vitalbridge")


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def data_dir(site: Site) -> Path:
    """A directory as ``up`` makes it, with ports that are free; its PACS is port 1: none."""
    directory = site.directory / "data"
    directory.mkdir()
    (directory / "config.yaml").write_text(site.config.read_text())
    return directory


def ready(site: Site) -> None:
    deadline = time.monotonic() + 30
    while not laptop.answers(f"http://127.0.0.1:{site.health_port}/health/ready"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_until_told_to_stop(number: int, data_dir: Path, site: Site) -> None:
    with start("up", "--data-dir", data_dir) as command:
        ready(site)
        assert command.stdout is not None
        lines = [command.stdout.readline() for _ in range(9)]
        command.send_signal(number)
        rest, complaints = command.communicate(timeout=20)
    assert command.returncode == 0
    assert complaints == ""
    text = "".join(lines) + rest
    assert text.startswith("PACS Bridge is ready.\n")
    assert f"localhost:{site.mllp_port}" in text
    assert f"http://localhost:{site.health_port}/health" in text
    assert re.search(rf"vitalbridge order \| nc -N -w 5 localhost {site.mllp_port}\n", text)
    with socket.socket() as trial:
        assert trial.connect_ex(("127.0.0.1", site.mllp_port)) != 0


def test_up_with_the_demo_is_healthy_and_finds_everything(data_dir: Path, site: Site) -> None:
    port = site.mllp_port
    configuration = data_dir / "config.yaml"
    laptop_made = laptop.configuration(data_dir).replace("port: 2575", f"port: {port}")
    laptop_made = laptop_made.replace("port: 11112", f"port: {site.dicom_port}")
    laptop_made = laptop_made.replace("port: 8081", f"port: {site.health_port}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        pacs = free.getsockname()[1]
    configuration.write_text(laptop_made.replace("port: 11113", f"port: {pacs}"))
    with start(
        "up", "--demo", "--data-dir", data_dir, "--rate", 100, "--duration", "5s"
    ) as command:
        out, complaints = command.communicate(timeout=50)
    assert command.returncode == 0, complaints
    assert complaints == ""
    assert "Every answer was the expected one." in out
    assert re.search(r"00:00:04 .* unexpected 0 .* missing 0 \| queue \d+ \| healthy\n", out)
    assert re.search(r"Order to worklist entry P50 .*asked for, 0 not found", out)


def test_up_says_when_the_service_ends(data_dir: Path, site: Site) -> None:
    with start("up", "--data-dir", data_dir) as command:
        ready(site)
        children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        _, complaints = command.communicate(timeout=20)
    assert command.returncode == 1
    assert complaints.startswith("vitalbridge: pacs_bridge ended with -9: ")


def test_up_when_the_port_is_taken(
    data_dir: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", site.mllp_port)):
        assert main(["up", "--data-dir", str(data_dir)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vitalbridge: port {site.mllp_port} (hl7.listener.port) can't be used")


def test_up_with_a_wrong_configuration(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_dir / "config.yaml").write_text("pacs: {host: localhost, port: 99999}\nhl8: {}\n")
    assert main(["up", "--data-dir", str(data_dir)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("config.yaml:1: pacs.port: Invalid port number: 99999" in line for line in lines)
    assert all(line.startswith("vitalbridge: ") for line in lines)


def test_demo_against_a_running_bridge(data_dir: Path, site: Site) -> None:
    with start("up", "--data-dir", data_dir) as service:
        ready(site)
        with start(
            *("demo", "--to", f"127.0.0.1:{site.mllp_port}", "--count", 200, "--rate", "max"),
            *("--worklist", f"127.0.0.1:{site.dicom_port}", "--seed", 11),
            *("--health", f"http://127.0.0.1:{site.health_port}/health"),
        ) as demo:
            out, complaints = demo.communicate(timeout=40)
        with urllib.request.urlopen(f"http://127.0.0.1:{site.health_port}/metrics") as answer:
            metrics = answer.read().decode()
        service.send_signal(signal.SIGINT)
        service.communicate(timeout=20)
    assert demo.returncode == 0, out + complaints
    assert "Sent 200 messages" in out
    accepted = int(re.search(r"Answers: (\d+) accepted", out)[1])  # type: ignore[index]
    sent = re.findall(r'^hl7_ack_sent_total\{ack_code="[AC]A"\} (\d+)', metrics, re.MULTILINE)
    assert sum(map(int, sent)) == accepted


def test_demo_without_a_bridge(capsys: pytest.CaptureFixture[str], site: Site) -> None:
    assert main(["demo", "--to", f"127.0.0.1:{site.mllp_port}", "--no-worklist"]) == 1
    assert capsys.readouterr().err == (
        f"vitalbridge: nothing answers at 127.0.0.1:{site.mllp_port}: Connection refused\n"
    )


def test_order_is_accepted_by_the_bridge(data_dir: Path, site: Site) -> None:
    made = subprocess.run(
        [COMMAND, "order", "--name", "Tester^Tess", "--modality", "MR"],
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout

    async def send() -> Message:
        client = MllpClient()
        await client.connect("127.0.0.1", site.mllp_port)
        reply = await client.send(made[1:-2], timeout=10)
        await client.close()
        return Message(reply)

    with start("up", "--data-dir", data_dir) as service:
        ready(site)
        reply = asyncio.run(send())
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=20)
    assert (reply.get("MSA-1"), reply.get("MSA-2")) == ("AA", Message(made[1:-2]).control_id)


def test_certs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(tmp_path / "certs")
    assert main(["certs", "--dev", directory, "--host", "ris.hospital.local"]) == 0
    paths = capsys.readouterr().out.split()
    assert {Path(path).name for path in paths} >= {"ca.crt", "server.crt", "server.key"}
    assert all(Path(path).exists() for path in paths)
    assert main(["certs", "--dev", directory]) == 1
    assert "is there already; --replace overwrites it" in capsys.readouterr().err
    assert main(["certs", "--dev", directory, "--replace"]) == 0
    assert main(["certs", "--dev", directory, "--replace", "--host", "no name"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["demo", "--to", "localhost"],
        ["demo", "--to", "localhost:0"],
        ["demo", "--rate", "0"],
        ["demo", "--rate", "nan"],
        ["demo", "--rate", "fast"],
        ["demo", "--count", "-1"],
        ["demo", "--duration", "soon"],
        ["demo", "--connections", "0"],
        ["order", "--modality", "ZZ"],
        ["certs"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: vitalbridge" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"vitalbridge {__version__}\n"
