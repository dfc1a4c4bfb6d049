"""A real ``pacs_bridge`` process on free ports, and a plain MLLP sender: for drills and tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(sys.executable).parent / "pacs_bridge"
START_SECONDS = 20.0
STOP_SECONDS = 15.0
VT, FS_CR = b"\x0b", b"\x1c\r"


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the nested keys of ``changes`` put in."""
    result = dict(base)
    for name, value in changes.items():
        known = result.get(name)
        both = isinstance(known, dict) and isinstance(value, dict)
        result[name] = merged(known, value) if both else value  # type: ignore[arg-type]
    return result


class RunningBridge:
    """One instance with its folder and ports; it may be started and ended many times."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.hl7_port, self.dicom_port, self.health_port = free_ports(3)
        self.config_path = folder / "config.yaml"
        self.database_path = folder / "data" / "queue.db"
        self.log_path = folder / "bridge.log"
        self.output_path = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.configure(configuration or {})

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Write the configuration: the ports and paths of this instance, and ``changes``."""
        local = "127.0.0.1"
        base: dict[str, Any] = {
            "hl7": {"listener": {"port": self.hl7_port, "bind_address": local}},
            "dicom": {"port": self.dicom_port, "bind_address": local},
            "pacs": {"host": local, "port": 1, "check_interval": "60s"},
            "monitoring": {"health": {"port": self.health_port, "bind_address": local}},
            "queue": {"database_path": str(self.database_path)},
            "logging": {"file": str(self.log_path)},
        }
        self.config_path.write_text(yaml.safe_dump(merged(base, changes)), encoding="utf-8")

    @property
    def pid(self) -> int:
        """The process id of the started service."""
        assert self.process is not None
        return self.process.pid

    def spawn(
        self, command: list[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the process and return at once."""
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                [*(command or [str(PROGRAM)]), "--config", str(self.config_path)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                process_group=0,
            )

    def start(self, environment: Mapping[str, str] | None = None) -> float:
        """Start the service, wait until it is ready, return how many seconds that took."""
        started = time.monotonic()
        self.spawn(environment=environment)
        self.wait_ready()
        return time.monotonic() - started

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait for /health/ready to say yes; TimeoutError or ChildProcessError otherwise."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if self.process is not None and self.process.poll() is not None:
                raise ChildProcessError(f"ended with {self.process.returncode}: {self.output()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {timeout} s: {self.output()}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Return whether the service says that it is ready."""
        try:
            return self.get("/health/ready", timeout=5)[0] == 200
        except OSError:
            return False

    def get(self, path: str, timeout: float = 10.0) -> tuple[int, str]:
        """Return status and body of a page of the health port."""
        url = f"http://127.0.0.1:{self.health_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Return the sum of all samples of a metric."""
        lines = self.get("/metrics")[1].split("\n")
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def output(self) -> str:
        """Return what the process has written to its standard streams."""
        return self.output_path.read_text(encoding="utf-8") if self.output_path.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """End it in order; return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def end(self) -> None:
        """End it by any means."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def resident_bytes(self) -> int:
        """Return the memory that the process occupies."""
        fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Return how many file descriptors the process has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Sender:
    """One MLLP connection, one message at a time."""

    def __init__(self, port: int, *, timeout: float = 10.0, host: str = "127.0.0.1") -> None:
        """Connect; raises OSError."""
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Return the next frame's content; ConnectionError when the connection ends before."""
        while True:
            end = self._received.find(FS_CR)
            if end >= 0:
                start = self._received.index(VT)
                frame = bytes(self._received[start + 1 : end])
                del self._received[: end + 2]
                return frame
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the service")
            self._received += data

    def ask(self, message: bytes) -> bytes:
        """Send one message and return its answer."""
        self.write(VT + message + FS_CR)
        return self.read()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def acknowledgement(answer: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2 of an answer."""
    for segment in answer.split(b"\r"):
        if segment.startswith(b"MSA|"):
            code, control_id = segment.decode("latin-1").split("|")[1:3]
            return code, control_id
    return "", ""


def timestamp(seconds: float | None = None) -> str:
    """Return local time as an HL7 time stamp with milliseconds."""
    seconds = time.time() if seconds is None else seconds
    whole = time.strftime("%Y%m%d%H%M%S", time.localtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03}"


def order_message(
    control_id: str,
    placer: str,
    *,
    control: str = "NW",
    patient: str = "P1",
    name: str = "DOE^JOHN",
    start: str = "20991231120000",
    accession: str = "",
    sender: str = "RIS",
    extra: str = "",
) -> bytes:
    """Return an ORM^O01 for one CT."""
    segments = [
        f"MSH|^~\\&|{sender}|CITY|PACS_BRIDGE|RADIOLOGY|{timestamp()}||ORM^O01|{control_id}|P|2.5.1",
        f"PID|1||{patient}^^^CITY^MR||{name}||19800115|M",
        f"ORC|{control}|{placer}^RIS|{accession or placer}^PACS||SC",
        f"OBR|1|{placer}^RIS|{accession or placer}^PACS|71260^CT CHEST^CPT|||{start}"
        f"|||||||||||{accession or placer}||||||CT",
    ]
    if extra:
        segments.append(extra)
    return ("\r".join(segments) + "\r").encode()
