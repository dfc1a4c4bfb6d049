"""Identifiers as modalities send them: read, indexed, matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pynetdicom.dsutils import encode

from vitalbridge.dicom.charsets import LATIN_1
from vitalbridge.dicom.elements import IMPLICIT_LITTLE, SYNTAXES
from vitalbridge.dicom.query import (
    Identifier,
    InvalidIdentifier,
    index_query,
    matcher,
    read_identifier,
)
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

IMPLICIT = SYNTAXES[IMPLICIT_LITTLE]


def read(ds: Dataset, charset: str | None = None) -> Identifier:
    if charset is not None:
        ds.SpecificCharacterSet = charset.split("\\")
    data = encode(ds, True, True)
    assert data is not None
    return read_identifier(data, IMPLICIT)


def raw(tag: int, value: bytes) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    return (
        group.to_bytes(2, "little")
        + element.to_bytes(2, "little")
        + len(value).to_bytes(4, "little")
        + value
    )


STEP = [
    # (keys of the step item, expected)
    ({}, True),
    ({"Modality": "CT"}, True),
    ({"Modality": "ct"}, True),
    ({"Modality": "MR"}, False),
    ({"Modality": ["MR", "CT"]}, True),
    ({"ScheduledStationAETitle": "CT_SCANNER_1"}, True),
    ({"ScheduledStationAETitle": "CT_SCANNER_2"}, True),
    ({"ScheduledStationAETitle": "ct_scanner_2 "}, True),
    ({"ScheduledStationAETitle": "CT_SCANNER_3"}, False),
    ({"ScheduledStationAETitle": "CT_*"}, True),
    ({"ScheduledProcedureStepStartDate": "20231115"}, True),
    ({"ScheduledProcedureStepStartDate": "20231114-20231116"}, True),
    ({"ScheduledProcedureStepStartDate": "20231116-"}, False),
    (
        {"ScheduledProcedureStepStartDate": "20231115", "ScheduledProcedureStepStartTime": "14"},
        True,
    ),
    (
        {
            "ScheduledProcedureStepStartDate": "20231114-20231115",
            "ScheduledProcedureStepStartTime": "1500-1600",
        },
        True,
    ),
    (
        {
            "ScheduledProcedureStepStartDate": "20231114-20231115",
            "ScheduledProcedureStepStartTime": "1500-1300",
        },
        False,
    ),
    (
        {
            "ScheduledProcedureStepStartDate": "20231114-20231116",
            "ScheduledProcedureStepStartTime": "1300",
        },
        False,
    ),
    ({"ScheduledProcedureStepStartTime": "1200-1500"}, True),
    ({"ScheduledProcedureStepStartTime": "-1359"}, False),
    ({"ScheduledProcedureStepStatus": "SCHEDULED"}, True),
    ({"ScheduledPerformingPhysicianName": "HOUSE*"}, False),
    ({"ScheduledPerformingPhysicianName": "*"}, True),
    ({"ScheduledProcedureStepStartDate": "-"}, True),
    ({"ScheduledProcedureStepStartDate": "*", "ScheduledProcedureStepStartTime": "*"}, True),
    ({"ScheduledProcedureStepStartDate": "-", "ScheduledProcedureStepStartTime": "14"}, True),
    ({"ScheduledProcedureStepStartDate": "-", "ScheduledProcedureStepStartTime": "15"}, False),
    ({"ScheduledStationAETitle": ["CT_SCANNER_9", "*"]}, True),
]


@pytest.mark.parametrize(("keys", "expected"), STEP)
def test_matching_of_the_step(
    keys: dict[str, object],
    expected: bool,
    make_item: Callable[..., WorklistItem],
    dataset: Callable[..., Dataset],
) -> None:
    identifier = read(dataset(PatientName="", ScheduledProcedureStepSequence=[keys]))
    assert matcher(identifier)(make_item()) is expected


TOP = [
    ({"PatientName": "doe^j*"}, True),
    ({"PatientName": "ROE*"}, False),
    ({"PatientID": "P000001"}, True),
    ({"PatientID": "P000002"}, False),
    ({"AccessionNumber": "ACC000001"}, True),
    ({"AccessionNumber": "ACC*"}, True),
    ({"StudyInstanceUID": ["1.2", "1.2.840.113619.2.55.1"]}, True),
    ({"StudyInstanceUID": ["1.2", "1.3"]}, False),
    # UI knows no wild cards: this one is compared as it stands.
    ({"StudyInstanceUID": "1.2.840.*"}, False),
    ({"StudyInstanceUID": "*"}, True),
    ({"PatientName": "*"}, True),
    ({"PatientBirthDate": "19800115"}, True),
    ({"PatientBirthDate": "19700101-19791231"}, False),
    ({"PatientSex": "m"}, True),
    ({"ReferringPhysicianName": "HOUSE"}, False),
    ({"RequestedProcedureCodeSequence": [{"CodeValue": "71260"}]}, True),
    ({"RequestedProcedureCodeSequence": [{"CodeValue": "1"}]}, False),
    ({"RequestedProcedureCodeSequence": [{"CodeValue": ""}]}, True),
    ({"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1.2"}]}, False),
    # Not an attribute of the worklist: ignored, which the reply's status tells.
    ({"KVP": "120"}, True),
    ({"PatientWeight": "72.5"}, False),
]


@pytest.mark.parametrize(("keys", "expected"), TOP)
def test_matching_of_the_rest(
    keys: dict[str, object],
    expected: bool,
    make_item: Callable[..., WorklistItem],
    dataset: Callable[..., Dataset],
) -> None:
    identifier = read(dataset(ScheduledProcedureStepSequence=[{"Modality": ""}], **keys))
    assert matcher(identifier)(make_item()) is expected


def test_a_step_without_an_hour_is_on_every_list_of_its_day(
    make_item: Callable[..., WorklistItem], dataset: Callable[..., Dataset]
) -> None:
    keys = {
        "ScheduledProcedureStepStartDate": "20231115",
        "ScheduledProcedureStepStartTime": "0800-0900",
    }
    matches = matcher(read(dataset(ScheduledProcedureStepSequence=[keys])))
    assert matches(make_item(step={"ScheduledProcedureStepStartTime": ""}))
    assert not matches(make_item(step={"ScheduledProcedureStepStartDate": "20231116"}))


def test_what_an_index_learns(dataset: Callable[..., Dataset]) -> None:
    step = {
        "Modality": "ct",
        "ScheduledStationAETitle": "CT_1",
        "ScheduledProcedureStepID": "S1",
        "ScheduledProcedureStepStartDate": "20240105-20240107",
        "ScheduledProcedureStepStartTime": "0800-1200",
    }
    identifier = read(
        dataset(
            AccessionNumber="A1",
            PatientID="P1",
            RequestedProcedureID="R1",
            StudyInstanceUID=["1.2", "1.3"],
            PatientName="MÜLL*^J?",
            ScheduledProcedureStepSequence=[step],
        ),
        "ISO_IR 100",
    )
    assert index_query(identifier) == WorklistQuery(
        accession_numbers=("A1",),
        study_uids=("1.2", "1.3"),
        patient_ids=("P1",),
        requested_procedure_ids=("R1",),
        step_ids=("S1",),
        modalities=("ct", "CT"),
        stations=("CT_1",),
        start_from="20240105000000",
        start_to="20240107235959",
        name_prefix="mull",
    )


def test_an_index_gets_nothing_that_would_lose_matches(dataset: Callable[..., Dataset]) -> None:
    step = {
        "Modality": "C*",
        "ScheduledStationAETitle": "*",
        "ScheduledProcedureStepStartTime": "10",
    }
    identifier = read(
        dataset(
            AccessionNumber="A?",
            PatientName="=山田",
            ScheduledProcedureStepSequence=[step],
        ),
        "ISO_IR 192",
    )
    assert index_query(identifier) == WorklistQuery()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "山田^太郎"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎"),
        ("\\ISO 2022 IR 149", "洪^吉洞"),
        ("GB18030", "王^小东"),
        ("UTF-8", "Müller^Jürgen"),
    ],
)
def test_names_in_the_modalitys_own_character_set(
    charset: str, name: str, make_item: Callable[..., WorklistItem]
) -> None:
    from vitalbridge.dicom.charsets import character_set

    data = raw(0x00080005, charset.encode()) + raw(0x00100010, character_set(charset).encode(name))
    identifier = read_identifier(data, IMPLICIT)
    assert identifier.keys[0].values == (name,)
    assert matcher(identifier)(make_item(patient={"PatientName": name}))


@pytest.mark.parametrize("data", ["Müller".encode(), "Müller".encode("latin-1")])
def test_text_without_a_character_set_is_guessed(data: bytes) -> None:
    assert read_identifier(raw(0x00100010, data), IMPLICIT).keys[0].values == ("Müller",)


def test_the_guess_of_a_known_peer() -> None:
    data = raw(0x00100010, "Müller".encode("latin-1"))
    assert read_identifier(data, IMPLICIT, LATIN_1).keys[0].values == ("Müller",)


def test_what_modalities_add_and_pad() -> None:
    item = raw(0x00400000, b"\x10\0\0\0") + raw(0x00080060, b"CT  \0")
    data = b"".join(
        [
            raw(0x00080000, b"\x10\0\0\0"),
            raw(0x00080050, b" A1 "),
            raw(0x00090010, b"ACME"),
            raw(0x00091001, b"\xff\xfe"),
            raw(0x00100010, b"  DOE^J*  "),
            raw(0x0020000D, b"1.2.3\0"),
            raw(0x00400100, raw(0xFFFEE000, item)),
        ]
    )
    identifier = read_identifier(data, IMPLICIT)
    assert [(key.keyword, key.values) for key in identifier.keys] == [
        ("AccessionNumber", ("A1",)),
        ("", ()),
        ("", ()),
        ("PatientName", ("DOE^J*",)),
        ("StudyInstanceUID", ("1.2.3",)),
        ("ScheduledProcedureStepSequence", ()),
    ]
    inner = identifier.keys[-1].inner
    assert inner is not None
    assert [(key.keyword, key.values) for key in inner] == [("Modality", ("CT",))]


@pytest.mark.parametrize(
    ("data", "tag"),
    [
        (b"", 0),
        (b"\x08\x00", 0),
        (raw(0x00080000, b"\0\0\0\0"), 0),
        (raw(0x00080005, b"KLINGON ") + raw(0x00100010, b""), 0x00080005),
        (raw(0x00080005, b"\xff\xff") + raw(0x00100010, b""), 0x00080005),
        (raw(0x00080005, b"ISO_IR 192") + raw(0x00100010, b"M\xfcller"), 0x00100010),
        (raw(0x00400100, b"CT"), 0),
        (raw(0x00400100, raw(0xFFFEE000, b"") * 2), 0x00400100),
        (raw(0x00321064, raw(0xFFFEE000, raw(0x00080100, b"1 ")) * 2), 0x00321064),
    ],
)
def test_what_is_no_identifier(data: bytes, tag: int) -> None:
    with pytest.raises(InvalidIdentifier) as caught:
        read_identifier(data, IMPLICIT)
    assert caught.value.tag == tag


@pytest.mark.parametrize(
    ("keys", "tag"),
    [
        ({"ScheduledProcedureStepStartDate": "TODAY"}, 0x00400002),
        ({"ScheduledProcedureStepStartTime": "NOON"}, 0x00400003),
        (
            {
                "ScheduledProcedureStepStartDate": "20240105",
                "ScheduledProcedureStepStartTime": "NOON",
            },
            0x00400003,
        ),
    ],
)
def test_keys_that_are_none(keys: dict[str, str], tag: int) -> None:
    item = b"".join(
        raw(0x00400002 if "Date" in keyword else 0x00400003, value.encode())
        for keyword, value in keys.items()
    )
    identifier = read_identifier(raw(0x00400100, raw(0xFFFEE000, item)), IMPLICIT)
    with pytest.raises(InvalidIdentifier) as caught:
        matcher(identifier)
    assert caught.value.tag == tag
    assert not any(value in caught.value.text for value in keys.values())
