from __future__ import annotations

import pytest

from vitalbridge.translate import MappingRules
from vitalbridge.translate.codes import code_item

RULES = MappingRules()


@pytest.mark.parametrize(
    ("scheme", "designator"),
    [
        ("L", "99LOCAL"),
        ("", "99LOCAL"),
        ("C4", "C4"),
        ("CPT", "CPT"),
        ("I10", "I10"),
        ("I9C", "I9C"),
        ("LN", "LN"),
        ("SCT", "SCT"),
        ("SNM", "SNM"),
        ("99HOSP", "99HOSP"),
    ],
)
def test_designators_pass_unchanged_but_for_local(scheme: str, designator: str) -> None:
    item = code_item("1", "x", scheme, RULES, "OBR-4", [])
    assert item == {"CodeValue": "1", "CodingSchemeDesignator": designator, "CodeMeaning": "x"}


def test_a_site_may_translate_designators() -> None:
    rules = MappingRules(coding_schemes={"I9C": "ICD9CM"})
    item = code_item("1", "x", "I9C", rules, "OBR-4", [])
    assert item is not None
    assert item["CodingSchemeDesignator"] == "ICD9CM"


def test_a_long_code_has_its_own_attribute() -> None:
    item = code_item("1" * 17, "", "L", RULES, "OBR-4", [])
    assert item == {
        "LongCodeValue": "1" * 17,
        "CodingSchemeDesignator": "99LOCAL",
        "CodeMeaning": "1" * 17,
    }


def test_a_long_meaning_is_cut() -> None:
    warnings: list[str] = []
    item = code_item("1", "m" * 65, "L", RULES, "OBR-4", warnings)
    assert item is not None
    assert item["CodeMeaning"] == "m" * 64
    assert warnings == ["OBR-4: cut to 64 characters"]


def test_a_long_designator_leaves_the_code_out() -> None:
    warnings: list[str] = []
    assert code_item("1", "x", "https://codes.example", RULES, "OBR-4", warnings) is None
    assert warnings == ["OBR-4: coding system longer than 16 characters, code left out"]


@pytest.mark.parametrize("code", ["", '""', " "])
def test_without_a_code_there_is_no_item(code: str) -> None:
    assert code_item(code, "x", "L", RULES, "OBR-4", []) is None
