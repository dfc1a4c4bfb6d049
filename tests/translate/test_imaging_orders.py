from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.translate import MappingRules, OrderRecord, check, orders_from

IPC = (
    "IPC|ACC9^RIS|RP9^RIS|1.2.826.0.1.3680043.8.498.7^PACS|SPS9^RIS|MR|BRAIN^Brain routine^L"
    "|MR9|ROOM 9^^L|AE_NINE"
)


def imaging(order: Any, *ipc: str, **fields: str) -> Any:
    fields = {"f18": "ACC1", "f19": "RP1", "f20": "SPS1", "f24": "CT", **fields}
    return order(*ipc, kind="OMI^O23", **fields)


def one(built: Any, rules: MappingRules) -> OrderRecord:
    assert check(built, rules) == []
    (record,) = orders_from(built, rules)
    return record


def test_ipc_wins_over_obr(order: Any, rules: Any) -> None:
    record = one(imaging(order, IPC), rules)
    assert record.accession == "ACC9"
    assert record.requested_procedure_id == "RP9"
    assert record.study_uid == "1.2.826.0.1.3680043.8.498.7"
    (step,) = record.steps
    assert (step.step_id, step.modality, step.stations) == ("SPS9", "MR", ("AE_NINE",))
    assert step.start == "20231115140000"
    assert step.attributes == {
        "ScheduledStationName": "MR9",
        "ScheduledProcedureStepLocation": "ROOM 9",
        "ScheduledProtocolCodeSequence": [
            {
                "CodeValue": "BRAIN",
                "CodingSchemeDesignator": "99LOCAL",
                "CodeMeaning": "Brain routine",
            }
        ],
        "ScheduledProcedureStepDescription": "Brain routine",
    }


def test_what_ipc_leaves_out_is_obrs(order: Any, rules: Any) -> None:
    record = one(imaging(order, "IPC|"), rules)
    (step,) = record.steps
    assert (record.accession, record.requested_procedure_id) == ("ACC1", "RP1")
    assert (step.step_id, step.modality) == ("SPS1", "CT")
    assert step.stations == ("CT_SCANNER_1", "CT_SCANNER_2")
    assert step.attributes["ScheduledProcedureStepDescription"] == "CT CHEST"


def test_without_ipc_the_obr_is_the_step(order: Any, rules: Any) -> None:
    (step,) = one(imaging(order), rules).steps
    assert (step.step_id, step.modality) == ("SPS1", "CT")


def test_one_step_per_distinct_ipc_4(order: Any, rules: Any) -> None:
    record = one(
        imaging(
            order,
            "IPC|A|R|1.2.3|S1|CT|P1^First^L~P2^Second^L",
            "IPC|A|R|1.2.3|S2|MR|P3^Third^L",
            "IPC|A|R|1.2.3|S1|CT|P4^Fourth^L",
            "IPC|A|R|1.2.3|S1|CT|P2^Second^L",
        ),
        rules,
    )
    assert [(step.step_id, step.modality, step.stations) for step in record.steps] == [
        ("S1", "CT", ("CT_SCANNER_1", "CT_SCANNER_2")),
        ("S2", "MR", ("MR_2",)),
    ]
    protocols: list[Any] = [s.attributes["ScheduledProtocolCodeSequence"] for s in record.steps]
    assert [[code["CodeValue"] for code in items] for items in protocols] == [
        ["P1", "P2", "P4"],
        ["P3"],
    ]


@pytest.mark.parametrize(
    ("ipc", "stations", "name", "location"),
    [
        ("IPC||||S1|CT||||CT_SCANNER_2", ("CT_SCANNER_2",), "CT2", "ROOM 2"),
        ("IPC||||S1|CT||||FOREIGN_AE", ("FOREIGN_AE",), None, None),
        ("IPC||||S1|CT||||CT_SCANNER_2~MR_1", ("CT_SCANNER_2", "MR_1"), ["CT2", "MR1"], None),
        ("IPC||||S1|CT||CT1", ("CT_SCANNER_1",), "CT1", "ROOM 1"),
        ("IPC||||S1|CT|||R7^Room 7^L|", ("CT_SCANNER_1", "CT_SCANNER_2"), ["CT1", "CT2"], "Room 7"),
        ("IPC||||S1|XR", ("DX_1", "DX_2"), None, "ROOM 5"),
    ],
)
def test_station(order: Any, rules: Any, ipc: Any, stations: Any, name: Any, location: Any) -> None:
    (step,) = one(imaging(order, ipc), rules).steps
    assert step.stations == stations
    assert step.attributes.get("ScheduledStationName") == name
    assert step.attributes.get("ScheduledProcedureStepLocation") == location


def test_tq1_gives_start_and_priority(order: Any, rules: Any) -> None:
    record = one(imaging(order, "TQ1|1||||||202312010800||S", IPC), rules)
    assert record.steps[0].start == "202312010800"
    assert record.attributes["RequestedProcedurePriority"] == "STAT"


def test_obr_44_is_the_requested_procedure(order: Any, rules: Any) -> None:
    record = one(imaging(order, IPC, f44="RP^Head MR^L"), rules)
    assert record.attributes["RequestedProcedureDescription"] == "Head MR"
    assert record.attributes["RequestedProcedureCodeSequence"] == [
        {"CodeValue": "RP", "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": "Head MR"}
    ]


def test_unresolved_modality(order: Any, rules: Any) -> None:
    record = one(imaging(order, "IPC||||S1|XYZ", f24="", f4="X^x^L"), rules)
    (step,) = record.steps
    assert (step.modality, step.modality_unmapped) == ("OT", True)
    assert "OBR-24: modality not resolved, OT assumed" in record.warnings


def test_steps_without_id_are_told_apart_by_modality(order: Any, rules: Any) -> None:
    ipc = ("IPC|||||CT|P1^One^L", "IPC|||||MR|P2^Two^L", "IPC|||||ct|P3^Three^L", "IPC||||||P4^F^L")
    record = one(imaging(order, *ipc), rules)
    assert [(step.step_id, step.modality) for step in record.steps] == [("SPS1", "CT"), ("", "MR")]
    protocols: list[Any] = [s.attributes["ScheduledProtocolCodeSequence"] for s in record.steps]
    assert [[code["CodeValue"] for code in items] for items in protocols] == [
        ["P1", "P3", "P4"],
        ["P2"],
    ]
    assert "IPC-4: empty beside other steps" in record.warnings


def test_one_step_id_with_one_modality_in_two_spellings(order: Any, rules: Any) -> None:
    ipc = ("IPC||||S1|DX", "IPC||||S1|XR", "IPC||||S1|")
    (step,) = one(imaging(order, *ipc), rules).steps
    assert (step.step_id, step.modality) == ("S1", "DX")


def test_calling_off_may_name_two_modalities(order: Any, rules: Any) -> None:
    built = imaging(order, "IPC||||S1|CT", "IPC||||S1|MR", orc="ORC|CA|P1")
    assert check(built, rules) == []


def test_a_step_without_id_beside_others_is_told(order: Any, rules: Any) -> None:
    record = one(imaging(order, "IPC||||S1|CT", "IPC|||||MR", f20=""), rules)
    assert [(step.step_id, step.modality) for step in record.steps] == [("S1", "CT"), ("", "MR")]
    assert "IPC-4: empty beside other steps" in record.warnings


@pytest.mark.parametrize(
    ("ipc", "location"),
    [
        (["IPC|A1||1.2.3|S1", "IPC|A2||1.2.3|S2"], "IPC^2^1"),
        (["IPC|A1|R1||S1", "IPC|A1|R2||S2"], "IPC^2^2"),
        (["IPC|A1|R1|1.2.3|S1", "IPC|A1|R1|1.2.4|S2"], "IPC^2^3"),
        (["IPC||||S1|CT", "IPC||||S1|MR"], "IPC^2^5"),
        (["IPC||||S1|", "IPC||||S1|CT", "IPC||||S1|MR"], "IPC^3^5"),
        (["IPC|A1|R1|1.02.3|S1"], "IPC^1^3"),
        (["IPC|" + "A" * 17], "IPC^1^1"),
        (["IPC||" + "A" * 17], "IPC^1^2"),
        (["IPC||||" + "A" * 17], "IPC^1^4"),
        (["IPC|||||CT||||" + "A" * 17], "IPC^1^9^1"),
        ([r"IPC|||||CT||||OK~A\E\B"], "IPC^1^9^2"),
    ],
)
def test_faults(order: Any, rules: Any, ipc: Any, location: Any) -> None:
    faults = check(imaging(order, *ipc), rules)
    assert [(fault.code, fault.location) for fault in faults] == [(102, location)]
