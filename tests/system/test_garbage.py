"""The garbage drill in short: nothing that arrives ends the service or makes it deaf."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_garbage_neither_ends_nor_deafens_it(scripts: Path) -> None:
    result = subprocess.run(
        [scripts / "garbage-test", "--frames", "6000", "--associations", "600", "--seed", "11"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = dict(re.findall(r"^ *(\S.*?) {2,}([\d.]+)$", result.stdout, re.MULTILINE))
    assert figures["violations"] == "0"
    assert int(figures["probes answered"]) > 100
    assert int(figures["HL7 readable"]) > 500
    assert int(figures["sound associations answered"]) > 10
