from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import Message
from vitalbridge.translate import MappingRules, PatientIdentifier, short_id
from vitalbridge.translate.identifiers import fits, order_number, patient_identifiers, procedure_id

RULES = MappingRules(default_patient_id_issuer="OWN")


def segment(text: str) -> Any:
    found = Message(rf"MSH|^~\&|A|B|C|D|2023||ADT^A08|1|P|2.5.1{chr(13)}{text}".encode()).segment(
        text[:3]
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pid3", "expected"),
    [
        ("1", ["1/OWN/"]),
        (" 1 ^^^HOSP ^MR", ["1/HOSP/MR"]),
        ("1^^^HOSP&1.2.3&ISO^MR", ["1/HOSP/MR"]),
        ("1^^^&1.2.3&ISO^MR", ["1/1.2.3/MR"]),
        # The own issuer's number before anybody's record number, that before other numbers.
        ("1^^^X^PI~2^^^Y^MR~3^^^OWN^MR", ["3/OWN/MR", "2/Y/MR", "1/X/PI"]),
        ("1^^^X^MR~2^^^OWN^PI", ["2/OWN/PI", "1/X/MR"]),
        ("1^^^X^PI~2^^^Y^PI", ["1/X/PI", "2/Y/PI"]),
        ("A^^^OWN^AN~1^^^X^MR", ["1/X/MR", "A/OWN/AN"]),
        # Another kind of number without an authority identifies nobody.
        ("1^^^X^MR~123456789^^^^SS", ["1/X/MR"]),
        ("123456789^^^^SS", ["123456789/OWN/SS"]),
        ("~1^^^X^MR~~", ["1/X/MR"]),
        ("1^^^X^MR~1^^^X^PI", ["1/X/MR"]),
        ('""', []),
        ("^^^X^MR", []),
        ("", []),
    ],
)
def test_choice_among_repetitions(pid3: str, expected: list[str]) -> None:
    found = patient_identifiers(segment(f"PID|||{pid3}"), 3, RULES)
    assert [f"{i.id}/{i.issuer}/{i.type}" for i in found] == expected


def test_mrg_can_have_another_default_issuer() -> None:
    found = patient_identifiers(segment("MRG|2"), 1, RULES, issuer="X")
    assert found == (PatientIdentifier("2", "X", ""),)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("ORC||A^NS", "OBR||B", ("A^NS", "A")),
        ("ORC||", "OBR||B^NS^1.2^ISO", ("B^NS^1.2^ISO", "B")),
        ('ORC||""', "OBR||B", ("B", "B")),
        ("ORC||", "OBR||", ("", "")),
        # An authority alone is no number.
        ("ORC||^HIS", "OBR||B^HIS", ("B^HIS", "B")),
        ("ORC||^HIS^1.2^ISO", "OBR|| ^HIS", ("", "")),
        ('ORC||""^HIS', "OBR||", ("", "")),
    ],
)
def test_order_number(first: str, second: str, expected: tuple[str, str]) -> None:
    assert order_number(segment(first), segment(second), 2) == expected


def test_an_absent_segment_has_no_number() -> None:
    assert order_number(None, None, 2) == ("", "")


@pytest.mark.parametrize(
    ("given_id", "filler", "accession", "placer", "expected"),
    [
        ("RP1", "F1", "A1", "P1", "RP1"),
        ("", "F1", "A1", "P1", "F1"),
        ("", "", "A1", "P1", "A1"),
        ("", "", "", "P1", "P1"),
        ("", "F" * 17, "A1", "P1", "A1"),
        ("", "", "", "", ""),
    ],
)
def test_procedure_id(
    given_id: str, filler: str, accession: str, placer: str, expected: str
) -> None:
    assert procedure_id(given_id, filler, accession, placer) == expected


def test_when_no_substitute_fits_an_id_is_generated() -> None:
    assert procedure_id("", "F" * 17, "", "P" * 20) == short_id("F" * 17)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ACC-001/7", True),
        ("A" * 16, True),
        ("A" * 17, False),
        ("A\\B", False),
        ("A\nB", False),
        ("", True),
    ],
)
def test_fits(text: str, good: bool) -> None:
    assert fits(text, 16) is good


@given(st.text())
def test_short_ids_fit_sh(identifier: str) -> None:
    short = short_id(identifier)
    assert len(short) == 16
    assert fits(short, 16)
    assert short == short_id(identifier)
