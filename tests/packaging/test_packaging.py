from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from vitalbridge.bridge.settings import examine, inert_keys
from vitalbridge.operations.certificates import make_development_certificates

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "packaging/systemd/pacs_bridge.service"


class _Unit(RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def test_the_unit_reloads_by_hangup_and_gives_up_on_wrong_configurations() -> None:
    unit = _Unit(strict=True)
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["ExecStopPost"].endswith("queue checkpoint")
    assert service["RestartPreventExitStatus"] == "78"
    assert service["User"] == service["Group"] == "pacs_bridge"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    here = tmp_path / "pacs_bridge.service"
    command = str(ROOT / ".venv/bin/pacs_bridge")
    here.write_text(UNIT.read_text().replace("/opt/pacs_bridge/bin/pacs_bridge", command))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "pacs_bridge.service" in line]
    assert said == []


def test_logrotate_sends_usr1_and_not_a_reload() -> None:
    text = (ROOT / "packaging/logrotate/pacs_bridge").read_text()
    assert "--signal=USR1" in text
    assert "reload" not in text
    for word in ("daily", "rotate 14", "compress", "missingok", "create 0640", "sharedscripts"):
        assert word in text


def test_the_production_example_is_valid_after_what_its_header_says(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    make_development_certificates(certs)
    example = tmp_path / "config.yaml"
    text = (ROOT / "examples/config/production.yaml").read_text()
    example.write_text(text.replace("/etc/pacs_bridge/certs", str(certs)))
    result = examine(example, {"PACS_HOST": "pacs.hospital.local"})
    assert (result.problems, result.notes) == ([], [])
    assert result.settings is not None
    assert inert_keys(result.settings) == []
    assert result.settings.logging.max_file_size_mb == 0
    header = text.partition("\nserver:")[0]
    assert "PACS_HOST=" in header
    assert "vitalbridge certs --dev" in header
