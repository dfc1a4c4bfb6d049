"""What a response holds: no more than was asked for, and no less."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.data import get_charset_files
from pynetdicom.dsutils import decode, encode

from vitalbridge.dicom.charsets import (
    DEFAULT_REPERTOIRE,
    LATIN_1,
    UTF_8,
    CharacterSet,
    character_set,
)
from vitalbridge.dicom.elements import SYNTAXES, Syntax
from vitalbridge.dicom.identifier import Plan, Response, respond, shape
from vitalbridge.dicom.query import read_identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from vitalbridge.dicom.worklist import WorklistItem

ALL = list(SYNTAXES.values())


def ask(
    item: WorklistItem,
    keys: Dataset,
    *charsets: CharacterSet,
    syntax: Syntax = ALL[1],
) -> tuple[Dataset, Response]:
    data = encode(keys, not syntax.explicit, not syntax.big)
    assert data is not None
    plan = Plan(shape(read_identifier(data, syntax)), syntax, charsets or (LATIN_1, UTF_8))
    response = respond(item, plan)
    return decode(BytesIO(response.data), not syntax.explicit, not syntax.big), response


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
def test_only_what_was_asked(
    syntax: Syntax, make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    keys = dataset(
        PatientName="",
        ReferringPhysicianName="",
        ReferencedPatientSequence=[],
        RequestedProcedureCodeSequence=[{"CodeValue": "", "CodingSchemeVersion": ""}],
        ScheduledProcedureStepSequence=[{"Modality": "", "PreMedication": ""}],
    )
    answer, response = ask(make_item(), keys, syntax=syntax)
    assert response.complete
    assert [element.keyword for element in answer] == [
        "ReferringPhysicianName",
        "ReferencedPatientSequence",
        "PatientName",
        "RequestedProcedureCodeSequence",
        "ScheduledProcedureStepSequence",
    ]
    assert answer.PatientName == "DOE^JOHN^ANDREW"
    assert answer["ReferringPhysicianName"].is_empty
    assert len(answer.ReferencedPatientSequence) == 0
    (code,) = answer.RequestedProcedureCodeSequence
    assert [(e.keyword, e.value or "") for e in code] == [
        ("CodeValue", "71260"),
        ("CodingSchemeVersion", ""),
    ]
    (step,) = answer.ScheduledProcedureStepSequence
    assert [(e.keyword, e.value or "") for e in step] == [("Modality", "CT"), ("PreMedication", "")]


@pytest.mark.parametrize("items", [[], [{}]])
def test_an_empty_sequence_asks_for_all_of_it(
    items: list[object], make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    keys = dataset(ScheduledProcedureStepSequence=items, RequestedProcedureCodeSequence=items)
    code = {"CodeValue": "P1", "CodingSchemeDesignator": "L", "CodeMeaning": "Protocol"}
    item = make_item(step={"ScheduledProtocolCodeSequence": [code]})
    answer, _ = ask(item, keys)
    (step,) = answer.ScheduledProcedureStepSequence
    assert {element.keyword for element in step} == set(item.step)
    assert [element.tag for element in step] == sorted(element.tag for element in step)
    assert list(step.ScheduledStationAETitle) == ["CT_SCANNER_1", "CT_SCANNER_2"]
    assert step.ScheduledProtocolCodeSequence[0].CodeMeaning == "Protocol"
    assert answer.RequestedProcedureCodeSequence[0].CodeValue == "71260"


def test_an_ignored_key_is_told(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    keys = dataset(PatientID="", KVP="")
    keys.add_new(0x00091001, "LO", "x")
    answer, response = ask(make_item(), keys)
    assert [element.keyword for element in answer] == ["PatientID"]
    assert not response.complete
    # An attribute that a site maps besides the worklist's own is known for its items.
    answer, response = ask(make_item(order={"KVP": "120"}), dataset(PatientID="", KVP=""))
    assert answer.KVP == 120
    assert response.complete


def test_identifiers_are_never_cut(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    answer, _ = ask(make_item(order={"AccessionNumber": "A" * 40}), dataset(AccessionNumber=""))
    with pydicom.config.disable_value_validation():
        assert answer.AccessionNumber == "A" * 40


@pytest.mark.parametrize("syntax", ALL, ids=lambda s: s.uid)
def test_numbers(
    syntax: Syntax, make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    item = make_item(patient={"PregnancyStatus": "3", "PatientWeight": "72.50"})
    keys = dataset(PatientWeight="", PregnancyStatus=None)
    answer, _ = ask(item, keys, syntax=syntax)
    assert answer.PregnancyStatus == 3
    assert str(answer.PatientWeight) == "72.50"


def test_a_value_that_cannot_be_of_its_vr(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ask(make_item(patient={"PregnancyStatus": "yes"}), dataset(PregnancyStatus=None))


def test_character_set_only_when_needed(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    umlaut = make_item(patient={"PatientName": "Müller^Jürgen"})
    answer, response = ask(make_item(), dataset(PatientName=""))
    assert "SpecificCharacterSet" not in answer
    answer, response = ask(umlaut, dataset(PatientID=""))
    assert "SpecificCharacterSet" not in answer
    answer, response = ask(umlaut, dataset(PatientName=""))
    assert (answer.SpecificCharacterSet, str(answer.PatientName)) == ("ISO_IR 100", "Müller^Jürgen")
    assert response.transliterated == 0


def test_transliteration_within_what_the_peer_knows(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    item = make_item(
        patient={"PatientName": "Łukasz^Jürgen"},
        step={"ScheduledProcedureStepDescription": "Größe"},
    )
    keys = dataset(PatientName="", ScheduledProcedureStepSequence=[])
    answer, response = ask(item, keys, LATIN_1)
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert str(answer.PatientName) == "Lukasz^Jürgen"
    step = answer.ScheduledProcedureStepSequence[0]
    assert step.ScheduledProcedureStepDescription == "Größe"
    assert response.transliterated == 1

    answer, response = ask(item, keys, DEFAULT_REPERTOIRE)
    assert "SpecificCharacterSet" not in answer
    assert str(answer.PatientName) == "Lukasz^Jurgen"
    assert response.transliterated == 4


def test_codes_are_ascii_whatever_the_text(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    item = make_item(step={"ScheduledStationAETitle": "RÖNTGEN_1"})
    answer, response = ask(item, dataset(ScheduledProcedureStepSequence=[]), UTF_8)
    assert answer.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "RONTGEN_1"
    assert response.transliterated == 1
    assert "SpecificCharacterSet" not in answer


NAME_FILES = sorted(
    Path(name) for name in get_charset_files() if name.endswith(".dcm") and "SQEnc" not in name
)


@pytest.mark.parametrize("path", NAME_FILES, ids=lambda path: path.stem)
def test_names_of_real_files_come_through(
    path: Path, make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    file = pydicom.dcmread(path)
    terms = file.SpecificCharacterSet
    own = character_set([terms] if isinstance(terms, str) else list(terms))
    name = str(file.PatientName)
    item = make_item(patient={"PatientName": name})
    for charset in (own, UTF_8):
        answer, response = ask(item, dataset(PatientName=""), charset)
        assert str(answer.PatientName) == name
        assert response.transliterated == 0
