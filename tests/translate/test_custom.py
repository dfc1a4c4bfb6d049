from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.translate import MappingRules, appointment_from, orders_from, patient_from


def mapped(**fields: str) -> MappingRules:
    return MappingRules(custom_fields={k.replace("_", "-"): v for k, v in fields.items()})


def test_patient_order_and_step_levels(order: Any) -> None:
    rules = MappingRules(
        custom_fields={
            "PID-18.1": "PatientComments",
            "OBR-46": "RequestedProcedureComments",
            "OBR-21": "ScheduledProcedureStepSequence.CommentsOnTheScheduledProcedureStep",
            "ZXX-2": "AdmittingDiagnosesDescription",
        }
    )
    built = order("ZXX|1|Z text", pid="PID|1||1" + "|" * 15 + "acct ", f46="note", f21="step note")
    assert patient_from(built, rules).attributes["PatientComments"] == "acct"
    (record,) = orders_from(built, rules)
    assert record.attributes["RequestedProcedureComments"] == "note"
    assert record.attributes["AdmittingDiagnosesDescription"] == "Z text"
    step = record.steps[0].attributes
    assert step["CommentsOnTheScheduledProcedureStep"] == "step note"


def test_custom_fields_override_and_delete(order: Any) -> None:
    rules = mapped(OBR_46="RequestedProcedureDescription", OBR_47="InstitutionName")
    (record,) = orders_from(order(f46="Mine", f47='""'), rules)
    assert record.attributes["RequestedProcedureDescription"] == "Mine"
    assert record.attributes["InstitutionName"] is None
    (record,) = orders_from(order(), rules)
    assert record.attributes["RequestedProcedureDescription"] == "CT CHEST"


def test_each_order_group_has_its_own_value(message: Any) -> None:
    rules = MappingRules(
        custom_fields={"OBR-13": "PatientState", "OBR[1]-13": "RequestedProcedureLocation"}
    )
    built = message(
        "PID|1||1",
        "ORC|NW|P1",
        "OBR|1|P1||X|||||||||one",
        "ORC|NW|P2",
        "OBR|2|P2||X|||||||||two",
    )
    records = orders_from(built, rules)
    assert [r.attributes["PatientState"] for r in records] == ["one", "two"]
    assert [r.attributes["RequestedProcedureLocation"] for r in records] == ["one", "one"]


@pytest.mark.parametrize(
    ("keyword", "text", "expected", "warning"),
    [
        ("CurrentPatientLocation", "x" * 70, "x" * 64, "PID-30: cut to 64 characters"),
        ("PatientBirthDateInAlternativeCalendar", "a\\E\\b", "a/b", None),
        ("LastMenstrualDate", "20231101120000", "20231101", None),
        ("LastMenstrualDate", "202311", None, "PID-30: no full date"),
        ("LastMenstrualDate", "soon", None, "PID-30: no date and time"),
        ("PatientBirthTime", "20231101120000", "120000", None),
        ("SmokingStatus", "yes", "YES", None),
        ("SmokingStatus", "yes!", None, "PID-30: no code string"),
        ("PatientBirthName", "A=B\\S\\C", "A B^C", None),
    ],
)
def test_values_fit_their_representation(
    message: Any, keyword: Any, text: Any, expected: Any, warning: Any
) -> None:
    rules = MappingRules(custom_fields={"PID-30": keyword})
    record = patient_from(message("PID|1||1" + "|" * 27 + text, kind="ADT^A08"), rules)
    assert record.attributes.get(keyword) == expected
    assert record.warnings == ((warning,) if warning else ())


def test_appointments_too(message: Any) -> None:
    rules = MappingRules(
        custom_fields={
            "SCH-5": "RequestedProcedureLocation",
            "SCH-8": "ScheduledProcedureStepSequence.CommentsOnTheScheduledProcedureStep",
        }
    )
    record = appointment_from(message("SCH|A1||||GRP|||kind", kind="SIU^S12"), rules)
    assert record.attributes["RequestedProcedureLocation"] == "GRP"
    step = record.steps[0].attributes
    assert step["CommentsOnTheScheduledProcedureStep"] == "kind"
