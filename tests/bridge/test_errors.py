from __future__ import annotations

from collections import Counter

import pytest

from vitalbridge.bridge.errors import ERROR_TYPES, ErrorCode, of_condition

RANGES = {
    "CONFIG_": (-759, -750),
    "MLLP_": (-926, -920),
    "EMR_": (-1012, -1000),
    "OAUTH2_": (-1026, -1020),
    "PATIENT_LOOKUP_": (-1046, -1040),
    "RESULT_": (-1069, -1060),
    "ENCOUNTER_": (-1089, -1080),
    "ADAPTER_": (-1109, -1100),
    "TRACKER_": (-1124, -1120),
}


def test_codes_are_unique() -> None:
    # Aliases of an enumeration hide equal values: count the names too.
    counted = Counter(int(code) for code in ErrorCode.__members__.values())
    assert [code for code, times in counted.items() if times > 1] == []


def test_codes_lie_in_the_range_of_their_area() -> None:
    for prefix, (low, high) in RANGES.items():
        codes = [int(code) for code in ErrorCode if code.name.startswith(prefix)]
        assert sorted(codes) == list(range(low, high + 1)), prefix


@pytest.mark.parametrize(
    ("condition", "code", "kind"),
    [
        (101, ErrorCode.MISSING_REQUIRED_FIELD, "validation"),
        (200, ErrorCode.UNKNOWN_MESSAGE_TYPE, "unsupported"),
        (203, ErrorCode.UNSUPPORTED_VERSION, "unsupported"),
        (207, ErrorCode.MAPPING_FAILED, "system"),
        (999, ErrorCode.INVALID_HL7_MESSAGE, "parse"),
    ],
)
def test_conditions_of_hl7_have_a_code(condition: int, code: ErrorCode, kind: str) -> None:
    assert of_condition(condition) == (code, kind)
    assert kind in ERROR_TYPES
