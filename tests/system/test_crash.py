"""The crash drill in short: kills while it starts, works and stops lose and double nothing."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_kills_lose_and_double_nothing(scripts: Path) -> None:
    result = subprocess.run(
        [scripts / "crash-test", "--rounds", "8", "--senders", "8", "--seed", "11"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = dict(re.findall(r"^ *(\S.*?) {2,}([\d.]+)$", result.stdout, re.MULTILINE))
    assert figures["rounds"] == "8"
    assert int(figures["acknowledged"]) == int(figures["messages"]) > 100
    assert int(figures["sent again"]) > 0
    assert figures["missing"] == figures["doubled"] == figures["wrong"] == "0"
