from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.translate import MappingRules, Station
from vitalbridge.translate.tables import MODALITIES, ORDER_CONTROL


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"uid_root": "1.2.840.10008.5"}, "uid_root"),
        ({"uid_root": "1.02"}, "uid_root"),
        ({"uid_root": "1.2." + "3" * 40}, "uid_root"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"accession_sources": ("OBR",)}, "OBR"),
        ({"accession_sources": ("/ORDER[2]/OBR-3",)}, "order group"),
        ({"custom_fields": {"PID": "PatientComments"}}, "PID"),
        ({"custom_fields": {"PID-3": "NoSuchKeyword"}}, "NoSuchKeyword"),
        ({"custom_fields": {"PID-3": "PatientID"}}, "PatientID"),
        ({"custom_fields": {"OBR-24": "ScheduledProcedureStepSequence.Modality"}}, "Modality"),
        ({"custom_fields": {"PID-3": "PixelData"}}, "PixelData"),
        ({"modality_stations": {"CT": (Station(""),)}}, "CT"),
        ({"modality_stations": {"CT": (Station("A" * 17),)}}, "CT"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(rules: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        MappingRules(**rules)


def test_rules_do_not_share_tables() -> None:
    MappingRules().sex["M"] = "F"
    assert MappingRules().sex["M"] == "M"


def test_tables_hold_single_codes() -> None:
    assert {"CT", "MR", "US", "NM", "PT", "MG", "XA", "RF", "ES", "DX", "CR", "OT"} <= MODALITIES
    assert "XR" not in MODALITIES
    assert all(len(code) == 2 for code in ORDER_CONTROL)
