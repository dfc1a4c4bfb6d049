from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = Path(sys.executable).with_name("pacs_bridge")


@dataclass
class Site:
    """A directory with a configuration whose ports are free."""

    directory: Path
    mllp_port: int
    dicom_port: int
    health_port: int

    @property
    def config(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def database(self) -> Path:
        return self.directory / "queue.db"

    def start(self) -> subprocess.Popen[str]:
        """Start the service; its output goes to the file ``out``."""
        with (self.directory / "out").open("w") as out:
            return subprocess.Popen(
                [COMMAND, "--config", self.config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(),
            )


def environment(**variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    return {**kept, **coverage, **variables}


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment(**variables),
        )

    return call


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in held]
    for entry in held:
        entry.close()
    return ports


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, *_free_ports(3))
    made.config.write_text(
        f"""\
pacs: {{host: 127.0.0.1, port: 1, check_interval: 1s}}
hl7: {{listener: {{port: {made.mllp_port}, bind_address: 127.0.0.1}}}}
dicom: {{port: {made.dicom_port}, bind_address: 127.0.0.1}}
monitoring: {{health: {{port: {made.health_port}, bind_address: 127.0.0.1}}}}
queue: {{database_path: {made.database}}}
logging: {{file: {tmp_path / "bridge.log"}}}
"""
    )
    return made
