from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.translate.observations import measured, put_observations
from vitalbridge.translate.tables import KILOGRAMS, METRES

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("70.5", "kg", "70.5"),
        ("70", "KG", "70"),
        ("100", "kg", "100"),
        ("3250", "g", "3.25"),
        ("154", "lb", "69.853"),
        ("154", "[lb_av]", "69.853"),
        (" 70 ", "kg", "70"),
        ("70", "", ""),
        ("70", "stone", ""),
        ("heavy", "kg", ""),
        ("-70", "kg", ""),
        ("0", "kg", ""),
        ("0.0001", "kg", ""),
        ("NaN", "kg", ""),
        ("sNaN", "kg", ""),
        ("Infinity", "kg", ""),
        ("1e999999999999", "kg", ""),
        ("10000", "kg", ""),
        ("7_0", "kg", ""),
        ("٧٠", "kg", ""),
    ],
)
def test_weight(text: str, unit: str, expected: str) -> None:
    assert measured(text, unit, KILOGRAMS) == expected


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [("180", "cm", "1.8"), ("1.8", "m", "1.8"), ("71", "[in_i]", "1.803"), ("180", "kg", "")],
)
def test_height(text: str, unit: str, expected: str) -> None:
    assert measured(text, unit, METRES) == expected


@given(st.text(), st.sampled_from([*KILOGRAMS, "x"]))
def test_any_text_is_a_short_decimal_or_nothing(text: str, unit: str) -> None:
    value = measured(text, unit, KILOGRAMS)
    assert len(value) <= 16
    assert not value or 0 < float(value) < 10_000


WEIGHT = "29463-7^Body weight^LN"


@pytest.mark.parametrize(
    ("obx", "expected", "warned"),
    [
        ([f"OBX|1|NM|{WEIGHT}||70.5|kg|||||F"], {"PatientWeight": "70.5"}, False),
        ([f"OBX|1|NM|X^y^L^{WEIGHT}||70.5|kg|||||F"], {"PatientWeight": "70.5"}, False),
        ([f"OBX|1|SN|{WEIGHT}||^70.5|kg|||||F"], {"PatientWeight": "70.5"}, False),
        ([f"OBX|1|SN|{WEIGHT}||=^70.5|kg|||||F"], {"PatientWeight": "70.5"}, False),
        ([f"OBX|1|SN|{WEIGHT}||>^70.5|kg|||||F"], {}, True),
        ([f"OBX|1|NM|{WEIGHT}||70.5|||||||F"], {}, True),
        ([f"OBX|1|NM|{WEIGHT}||70.5|kg|||||W"], {}, False),
        ([f"OBX|1|NM|{WEIGHT}||70.5|kg|||||D"], {}, False),
        ([f'OBX|1|NM|{WEIGHT}||""||||||F'], {"PatientWeight": None}, False),
        (
            [f"OBX|1|NM|{WEIGHT}||70|kg", f"OBX|2|NM|{WEIGHT}||71|kg"],
            {"PatientWeight": "71"},
            False,
        ),
        (["OBX|1|NM|718-7^Hemoglobin^LN||14|g/dL"], {}, False),
    ],
)
def test_observations(message: Any, obx: Any, expected: Any, warned: Any) -> None:
    changes: Changes = {}
    warnings: list[str] = []
    put_observations(changes, message(*obx).segments("OBX"), warnings)
    assert changes == expected
    assert bool(warnings) is warned
