from __future__ import annotations

import re
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from vitalbridge.bridge.settings import examine, inert_keys, load, reference
from vitalbridge.bridge.settings.dicom import PeerSettings
from vitalbridge.bridge.settings.hl7 import OutboundSettings, RoutingRule, SourceSettings
from vitalbridge.bridge.settings.load import ENVIRONMENT

if TYPE_CHECKING:
    from vitalbridge.bridge.settings.fields import Section

ROOT = Path(__file__).resolve().parents[2]


def test_page_and_example_are_up_to_date() -> None:
    done = subprocess.run(
        [ROOT / "scripts/generate-configuration-reference", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_key_is_on_the_page() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text()
    rows = reference.rows()
    assert len(rows) > 150
    for row in rows:
        assert row.field.description, row.path
        shown = f"## {row.path}\n" if "." not in row.path else f"| `{row.path}` |"
        assert shown in page or "." not in row.path, row.path
    for variable in ENVIRONMENT:
        assert f"`{variable}`" in page


def test_the_full_example_has_every_key() -> None:
    text = (ROOT / "examples/config/full.yaml").read_text()
    for row in reference.rows():
        name = row.path.rpartition(".")[2]
        assert re.search(rf"^[ #]*{re.escape(name)}:", text, re.MULTILINE), row.path


def test_the_full_example_changes_nothing(tmp_path: Path) -> None:
    full = load(ROOT / "examples/config/full.yaml", {})
    least = tmp_path / "least.yaml"
    least.write_text("pacs: {host: pacs.hospital.local}\n")
    assert full == load(least, {})
    assert inert_keys(full) == []


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("  sources: []", SourceSettings),
        ("  outbound: []", OutboundSettings),
        ("  peers: []", PeerSettings),
        ("routing_rules: []", RoutingRule),
    ],
)
def test_examples_of_entries_are_valid_when_uncommented(head: str, kind: type[Section]) -> None:
    lines = (ROOT / "examples/config/full.yaml").read_text().splitlines()
    start = lines.index(head) + 1
    margin = head[: len(head) - len(head.lstrip())] + "#   "
    inside = takewhile(lambda line: line.startswith(margin), lines[start:])
    (entry,) = yaml.safe_load("\n".join(line[len(margin) :] for line in inside))
    kind.model_validate(entry)
    assert set(entry) >= {name for name, key in kind.model_fields.items() if key.is_required()}


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_examples_are_valid_as_they_are(name: str) -> None:
    assert examine(ROOT / f"examples/config/{name}.yaml", {}).problems == []
