from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitalbridge.runtime import process


def _python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_the_name_is_what_pgrep_sees() -> None:
    child = _python(
        "from vitalbridge.runtime.process import set_name\n"
        "set_name('pacs_bridge')\nprint('set', flush=True)\ninput()"
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "set\n"
    assert Path(f"/proc/{child.pid}/comm").read_text() == "pacs_bridge\n"
    child.communicate("\n")


def test_a_longer_name_is_refused() -> None:
    with pytest.raises(ValueError, match="15"):
        process.set_name("a_name_that_is_too_long")


def test_hangup_is_ignored() -> None:
    child = _python(
        "from vitalbridge.runtime.process import ignore_hangup\n"
        "ignore_hangup()\nprint('set', flush=True)\ninput()\nprint('alive')"
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "set\n"
    child.send_signal(signal.SIGHUP)
    out, _ = child.communicate("\n")
    assert out == "alive\n"


def test_a_helper_ends_with_its_parent() -> None:
    parent = _python(
        "import subprocess, sys\n"
        "code = 'from vitalbridge.runtime.process import die_with_parent\\n'\n"
        "code += 'import time; die_with_parent(); print(\"set\", flush=True); time.sleep(60)'\n"
        "helper = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
        "helper.stdout.readline()\nprint(helper.pid, flush=True)\ninput()"
    )
    assert parent.stdout is not None
    helper = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 5
    while _runs(helper):
        assert time.monotonic() < deadline
        os.sched_yield()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abstract: bool
) -> None:
    name = f"@vitalbridge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert process.notify("READY=1\nSTATUS=listening")
        assert manager.recv(100) == b"READY=1\nSTATUS=listening"
        assert process.notify_reloading()
        first, second = manager.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    microseconds = int(second.removeprefix("MONOTONIC_USEC="))
    assert abs(microseconds - time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000) < 5_000_000


def test_without_a_service_manager_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not process.notify("READY=1")


def test_exit_codes() -> None:
    assert {code.name: int(code) for code in process.ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "CONFIGURATION": 78,
    }
