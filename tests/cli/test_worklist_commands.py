"""``worklist show``: what a generated identifier stands for is shown, and finds its steps."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge.handlers import HandlerContext, Policy, handle
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.effects import apply
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.state import SqlState
from vitalbridge.cli.worklist_commands import show
from vitalbridge.hl7 import Message
from vitalbridge.translate import MappingRules, short_id

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = "ACCESSION-OF-2024/0000017"
ORDER = (
    "MSH|^~\\&|RIS|HOSP|PACS|RAD|20260101120000||ORM^O01|M1|P|2.5.1\r"
    "PID|1||12345^^^HOSP^MR||DOE^JOHN||19800115|M\r"
    "ORC|NW|{placer}^RIS||\r"
    "OBR|1|{placer}^RIS||71260^CT CHEST^CPT|||20990101140000|||||||||||{accession}||||||CT\r"
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worklist") / "queue.db"
    context = HandlerContext(MappingRules(long_identifiers="generate"), Policy(), "RIS|HOSP")
    with closing(Database(path)) as opened:
        state = SqlState(opened.connection, PatientCache())
        for placer, accession in (("P1", NUMBER), ("P2", "A2")):
            text = ORDER.format(placer=placer, accession=accession)
            apply(state, handle(Message(text.encode()), context, state))
    return path


@pytest.mark.parametrize("accession", [NUMBER, short_id(NUMBER)])
def test_both_numbers_find_the_step(
    database: Path, accession: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(database, Namespace(accession=accession, json=False)) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["accession", short_id(NUMBER)] in lines
    assert ["AccessionNumber", f"in HL7  {NUMBER}"] in lines


def test_json_has_the_pairs(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(database, Namespace(accession=NUMBER, json=True)) == 0
    (step,) = json.loads(capsys.readouterr().out)
    assert step["generated_ids"] == [["AccessionNumber", NUMBER]]
    assert show(database, Namespace(accession="A2", json=True)) == 0
    (step,) = json.loads(capsys.readouterr().out)
    assert step["generated_ids"] == []
