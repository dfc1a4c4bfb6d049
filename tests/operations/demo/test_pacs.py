from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest

from vitalbridge.operations.demo.pacs import answering_pacs


def test_echoscu_gets_its_echo() -> None:
    program = shutil.which("echoscu")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("echoscu is not installed")
        pytest.skip("echoscu is not installed")
    with answering_pacs(0) as port:
        done = subprocess.run(
            [program, "-v", "-aec", "PACS_SCP", "127.0.0.1", str(port)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Received Echo Response (Success)" in done.stdout + done.stderr


def test_the_port_is_free_afterwards() -> None:
    with answering_pacs(0) as port:
        pass
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(("127.0.0.1", port))


def test_a_taken_port_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="Address already in use"),
        answering_pacs(taken.getsockname()[1]),
    ):
        pass
