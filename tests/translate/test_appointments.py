from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.translate import AppointmentRecord, MappingRules, appointment_from

PID = "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN"


def sch(**fields: str) -> str:
    fields = {"f1": "PA1^RIS", "f2": "FA1^RIS", **fields}
    numbers = {int(name[1:]): text for name, text in fields.items()}
    return "|".join(["SCH", *(numbers.get(n, "") for n in range(1, max(numbers) + 1))])


def appointment(
    message: Any, rules: MappingRules, *segments: str, trigger: str = "S12", **fields: str
) -> AppointmentRecord:
    built = message(sch(**fields), *segments, kind=f"SIU^{trigger}")
    return appointment_from(built, rules)


def test_a_new_appointment(message: Any, rules: Any) -> None:
    record = appointment(
        message,
        rules,
        "TQ1|1||||||202311151000||R",
        PID,
        "PV1|1|O||||||77^HOUSE^GREGORY",
        "RGS|1|A",
        "AIS|1|A|71260^CT CHEST^L|20231115140000",
        "AIL|1|A|RAD^CT-A",
        "AIP|1|A|55^CURIE^MARIE|TECH",
        f7="CHECKUP^Check-up",
        f25="Booked",
        f26="ORD1^RIS",
        f27="ACC1^PACS",
    )
    assert (record.appointment, record.placer, record.filler) == (
        "FA1^RIS",
        "ORD1^RIS",
        "ACC1^PACS",
    )
    assert (record.status, record.requested_procedure_id) == ("SCHEDULED", "ACC1")
    code = {"CodeValue": "71260", "CodingSchemeDesignator": "99LOCAL", "CodeMeaning": "CT CHEST"}
    assert record.attributes == {
        "ReasonForTheRequestedProcedure": "Check-up",
        "PlacerOrderNumberImagingServiceRequest": "ORD1",
        "FillerOrderNumberImagingServiceRequest": "ACC1",
        "ReferringPhysicianName": "HOUSE^GREGORY",
        "InstitutionName": "HOSPITAL",
        "RequestedProcedureDescription": "CT CHEST",
        "RequestedProcedureCodeSequence": [code],
    }
    (step,) = record.steps
    assert (step.start, step.modality) == ("20231115140000", "CT")
    assert step.stations == ("CT_SCANNER_1", "CT_SCANNER_2")
    assert step.attributes == {
        "ScheduledProcedureStepDescription": "CT CHEST",
        "ScheduledProtocolCodeSequence": [code],
        "ScheduledStationName": ["CT1", "CT2"],
        "ScheduledProcedureStepLocation": "RAD-CT-A",
        "ScheduledPerformingPhysicianName": "CURIE^MARIE",
    }
    assert record.warnings == ()


@pytest.mark.parametrize(
    ("trigger", "code", "status"),
    [
        ("S12", "Pending", "SCHEDULED"),
        ("S12", "Waitlist", "SCHEDULED"),
        ("S12", "Booked", "SCHEDULED"),
        ("S12", "OVERBOOK", "SCHEDULED"),
        ("S12", "", "SCHEDULED"),
        ("S14", "arrived", "ARRIVED"),
        ("S14", "Started", "STARTED"),
        ("S14", "COMPLETE", "COMPLETED"),
        ("S14", "Cancelled", "CANCELLED"),
        ("S14", "Deleted", "CANCELLED"),
        ("S14", "Noshow", "CANCELLED"),
        ("S14", "No-Show", "CANCELLED"),
        ("S14", "Dc", "DISCONTINUED"),
        ("S14", "Discontinued", "DISCONTINUED"),
        ("S13", "Booked", "SCHEDULED"),
        ("S15", "Booked", "CANCELLED"),
        ("S16", "", "DISCONTINUED"),
        ("S17", "", "CANCELLED"),
        ("S26", "Booked", "CANCELLED"),
    ],
)
def test_status(message: Any, rules: Any, trigger: Any, code: Any, status: Any) -> None:
    record = appointment(message, rules, PID, trigger=trigger, f25=code, f11="^^^20231115")
    assert record.status == status


def test_unknown_status_is_told(message: Any, rules: Any) -> None:
    record = appointment(message, rules, PID, trigger="S14", f25="Perhaps", f11="^^^20231115")
    assert record.status == "SCHEDULED"
    assert record.warnings == ("SCH-25: status is not in the code table, SCHEDULED assumed",)


@pytest.mark.parametrize(
    ("segments", "fields", "start"),
    [
        (["TQ1|1||||||202311151000", "AIS|1|A|71260|202311151400"], {}, "202311151400"),
        (["TQ1|1||||||202311151000", "AIS|1|A|71260"], {}, "202311151000"),
        (["AIS|1|A|71260"], {"f11": "^^30^202311150900"}, "202311150900"),
        (["TQ1|1||||||202311151000"], {"f11": "^^30^202311150900"}, "202311151000"),
        (["AIL|1|A|RAD|||202311150930"], {}, "202311150930"),
        ([], {"f16": "202311150800"}, "202311150800"),
        ([], {"f11": "^^30^202311150900", "f16": "202311150800"}, "202311150900"),
    ],
)
def test_start(message: Any, rules: Any, segments: Any, fields: Any, start: Any) -> None:
    (step,) = appointment(message, rules, PID, *segments, **fields).steps
    assert (step.start, step.start_assumed) == (start, False)


@pytest.mark.parametrize("vague", ["2099", "209901"])
def test_a_start_less_precise_than_a_day_is_passed_over(
    message: Any, rules: Any, vague: str
) -> None:
    ais = f"AIS|1|A|71260|{vague}"
    (step,) = appointment(message, rules, PID, ais, f11="^^^20231116").steps
    assert (step.start, step.start_assumed) == ("20231116", False)
    (step,) = appointment(message, rules, PID, ais, f11=f"^^^{vague}").steps
    assert (step.start, step.start_assumed) == ("20231115113000", True)


def test_contact_person_is_no_start(message: Any, rules: Any) -> None:
    record = appointment(message, rules, PID, f16="1234^SMITH^ROBERT")
    assert (record.steps[0].start, record.steps[0].start_assumed) == ("20231115113000", True)
    assert "no scheduled start in the message, MSH-7 assumed" in record.warnings


def test_only_a_new_appointment_has_defaults(message: Any, rules: Any) -> None:
    (step,) = appointment(message, rules, PID, trigger="S14").steps
    assert (step.start, step.modality, step.modality_unmapped) == ("", "", False)


def test_modality_is_never_the_coding_system(message: Any, rules: Any) -> None:
    record = appointment(message, rules, PID, "AIS|1|A|X^x^MR|202311151400")
    (step,) = record.steps
    assert (step.modality, step.modality_unmapped) == ("OT", True)
    assert "AIS-3: modality not resolved, OT assumed" in record.warnings


def test_services_with_one_modality_and_start_are_one_step(message: Any, rules: Any) -> None:
    record = appointment(
        message,
        rules,
        PID,
        "RGS|1|A",
        "AIS|1|A|71260^CT CHEST^L^P1^Low dose^L|202311151400",
        "AIS|2|A|71260^CT CHEST^L^P2^High res^L|202311151400",
        "AIL|1|A|ROOM-A",
        "RGS|2|A",
        "AIS|3|A|MRBRAIN^MR BRAIN^L|202311151500",
        "AIL|1|A|ROOM-B",
    )
    assert [
        (step.modality, step.start, step.attributes["ScheduledProcedureStepLocation"])
        for step in record.steps
    ] == [("CT", "202311151400", "ROOM-A"), ("MR", "202311151500", "ROOM-B")]
    protocols: Any = record.steps[0].attributes["ScheduledProtocolCodeSequence"]
    assert [item["CodeValue"] for item in protocols] == ["P1", "P2"]


@pytest.mark.parametrize("aig", ["AIG|1|A|CT_SCANNER_2", "AIG|1|A|7^CT2^L"])
def test_aig_may_name_the_station(message: Any, rules: Any, aig: Any) -> None:
    (step,) = appointment(message, rules, PID, "AIS|1|A|71260|202311151400", aig).steps
    assert step.stations == ("CT_SCANNER_2",)
    assert step.attributes["ScheduledProcedureStepLocation"] == "ROOM 2"


def test_placer_appointment_without_a_filler_one(message: Any, rules: Any) -> None:
    record = appointment(message, rules, PID, f2="")
    assert (record.appointment, record.requested_procedure_id) == ("PA1^RIS", "PA1")


def test_an_invalid_start_is_passed_over(message: Any, rules: Any) -> None:
    record = appointment(
        message, rules, PID, "TQ1|1||||||soon", "AIS|1|A|71260|later", f11="^^^20231115"
    )
    assert record.steps[0].start == "20231115"
    assert record.warnings == (
        "TQ1-7: no date and time, passed over",
        "AIS-4: no date and time, passed over",
    )


def test_without_sch_there_is_nothing(message: Any, rules: Any) -> None:
    record = appointment_from(message(PID, kind="SIU^S12"), rules)
    assert (record.appointment, record.steps) == ("", ())


def test_long_location_is_cut(message: Any, rules: Any) -> None:
    record = appointment(
        message, rules, PID, "AIS|1|A|71260|20231115", "AIL|1|A|RADIOLOGY^ROOM 12^BED"
    )
    assert record.steps[0].attributes["ScheduledProcedureStepLocation"] == "RADIOLOGY-ROOM 1"
    assert record.warnings == ("AIL-3: cut to 16 characters",)
