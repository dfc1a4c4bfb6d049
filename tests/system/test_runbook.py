"""Every command of the operations runbook gives what the runbook promises."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_the_commands_of_the_runbook_work(scripts: Path) -> None:
    result = subprocess.run(
        [scripts / "check-runbook"], capture_output=True, text=True, timeout=55, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1] == "0 failed"
    checked = {line.split()[2] for line in lines if line.startswith("ok ")}
    assert checked >= {"1", "5", "6", "7", "8", "9", "10", "12", "13", "14", "15", "16", "18", "19"}
