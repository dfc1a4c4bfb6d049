from __future__ import annotations

from vitalbridge.bridge.handlers import subjects
from vitalbridge.hl7 import Message


def told(*segments: str, kind: str) -> tuple[str, ...]:
    head = f"MSH|^~\\&|HIS|H|PB|RAD|||{kind}|1|P|2.5.1"
    return subjects(Message("\r".join([head, *segments, ""]).encode()))


def test_orders_are_told_by_their_numbers() -> None:
    found = told(
        "PID|1||100",
        "ORC|NW|P1^HIS^^|F1^RIS",
        "OBR|1|P1^HIS|F1^RIS",
        "ORC|NW|P2^HIS",
        "OBR|2||F2",
        kind="ORM^O01",
    )
    assert found == ("placer:P1^HIS", "filler:F1^RIS", "placer:P2^HIS", "filler:F2")


def test_appointments_are_told_with_their_order() -> None:
    sch = "SCH|AP|FA^RIS" + "|" * 23 + '|P1^HIS|""'
    assert told(sch, "PID|1||100", kind="SIU^S12") == (
        "appointment:FA^RIS",
        "placer:P1^HIS",
    )
    assert told("SCH|AP", kind="SIU^S12") == ("appointment:AP",)
    assert told("SCH|AP|^RIS", kind="SIU^S12") == ("appointment:AP",)


def test_an_authority_alone_names_nothing() -> None:
    assert told("ORC|NW|^HIS|F1^RIS", 'OBR|1|""^HIS| ^RIS', kind="ORM^O01") == ("filler:F1^RIS",)


def test_patients_are_told_by_every_number() -> None:
    found = told(
        "EVN|A40",
        "PID|1||100^^^H^MR~7^^^NAT^NI",
        "MRG|200^^^H^MR",
        "PID|1||300",
        "MRG|100^^^H",
        kind="ADT^A40",
    )
    assert found == ("patient:100", "patient:7", "patient:300", "patient:200")
    assert told("PID|1", kind="ADT^A01") == ()
