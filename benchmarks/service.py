"""Running what is measured: the bridge in a directory of its own, the load, and other programs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60.0


class Failed(Exception):
    """A benchmark can't be run, or what it measured is not what it is about."""


class Bridge(NamedTuple):
    """A running bridge."""

    pid: int
    directory: Path
    mllp: int
    dicom: int
    health: int

    @property
    def database(self) -> Path:
        return self.directory / "queue.db"

    def metrics(self) -> dict[str, float]:
        """Return every sample of /metrics by its name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=30) as reply:
            lines = reply.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and line[0] != "#")
        return {name: float(value) for name, _, value in samples}

    def backlog(self) -> int:
        """Return how many accepted messages wait to be handled."""
        samples = self.metrics().items()
        return int(sum(value for name, value in samples if name.startswith("queue_depth{")))

    def settled(self, seconds: float = 300.0) -> float:
        """Wait until nothing waits to be handled; return how long that took."""
        began = time.monotonic()
        while self.backlog():
            if time.monotonic() - began > seconds:
                raise Failed("the bridge doesn't come to the end of its queue")
            time.sleep(0.05)
        return time.monotonic() - began


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in held]
    for entry in held:
        entry.close()
    return ports


@contextmanager
def bridge(*, queue_size: int = 50_000) -> Iterator[Bridge]:
    """Run a bridge with default settings, on the disk that holds temporary files."""
    mllp, dicom, health, pacs = free_ports(4)
    directory = Path(tempfile.mkdtemp(prefix="vitalbridge-benchmark-"))
    configuration = directory / "config.yaml"
    configuration.write_text(
        f"""\
hl7: {{listener: {{port: {mllp}, bind_address: 127.0.0.1}}}}
dicom: {{port: {dicom}, bind_address: 127.0.0.1}}
pacs: {{host: 127.0.0.1, port: {pacs}}}
mapping: {{modality_ae_titles: {{CT: [CT_SCANNER_1]}}}}
queue: {{database_path: "{directory / "queue.db"}", max_queue_size: {queue_size}}}
logging: {{file: "{directory / "bridge.log"}"}}
monitoring: {{health: {{port: {health}, bind_address: 127.0.0.1}}}}
"""
    )
    program = Path(sys.executable).with_name("pacs_bridge")
    try:
        with running([str(program), "--config", str(configuration)]) as started:
            wait_for(started, health, path="/health/ready")
            yield Bridge(started.process.pid, directory, mllp, dicom, health)
    finally:
        shutil.rmtree(directory)


class Program(NamedTuple):
    """A running program and what it says on standard error."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def words(self) -> str:
        """Return the end of what it said."""
        self.said.seek(0)
        return self.said.read()[-500:].decode(errors="replace")


@contextmanager
def running(command: Sequence[str], **variables: str) -> Iterator[Program]:
    """Run a program while inside, with variables added to its environment."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,  # no pipe: nobody reads while the program runs
        )
        try:
            yield Program(process, said)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(program: Program, port: int, *, path: str = "") -> None:
    """Wait until something listens on the port, and answers 200 when there is a path."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if program.process.poll() is not None:
            raise Failed(f"a program ended with {program.process.returncode}: {program.words()}")
        try:
            if path:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                    return
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            if time.monotonic() > deadline:
                raise Failed(f"nothing listens on port {port}") from None
            time.sleep(0.05)
        else:
            return


def load(**options: Any) -> dict[str, Any]:
    """Run the load generator to its end; raises when anything was refused or lost."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(options)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"the load generator ended: {done.stderr.decode()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["refused"] or result["lost"]:
        raise Failed(f"{result['refused']} refused, {result['lost']} connections lost")
    return result
