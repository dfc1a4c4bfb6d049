"""Any bytes that are a message at all are answered with records, warnings or faults."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalbridge.hl7 import Hl7Error, Message
from vitalbridge.translate import (
    MappingRules,
    Station,
    appointment_from,
    check,
    event_time,
    orders_from,
    patient_from,
    patients_merged,
)

RULES = MappingRules(
    modality_stations={"CT": (Station("CT1", "CT", "R1"),)},
    procedure_to_modality={"A": "CT"},
    timezone="Europe/Berlin",
    long_identifiers="generate",
    custom_fields={
        "PID-18": "PatientComments",
        "OBR-2": "RequestedProcedureLocation",
        "OBR-7": "ScheduledProcedureStepSequence.CommentsOnTheScheduledProcedureStep",
    },
)
KINDS = [
    *(f"ADT^A{n:02}" for n in (1, 8, 18, 34, 36, 37, 39, 40, 47)),
    "ORM^O01",
    "OMG^O19",
    "OMI^O23",
    "SIU^S12",
    "SIU^S15",
    "ORU^R01",
    "ACK",
    "XXX^X99",
]
NAMES = "PID PV1 AL1 MRG EVN ORC OBR TQ1 OBX NTE IPC ZDS SCH RGS AIS AIG AIL AIP MSA ZZZ"
SEGMENTS = NAMES.split()
VALUES = st.one_of(
    st.sampled_from(
        ["", "", "", '""', "NW", "CT", "A^B^C", "20231115", "20239999", "1.2.3", "29463-7", "kg"]
    ),
    st.text(alphabet=r"AB1^~\&.0 '\"=" + "é山\x00\n", max_size=12),
    st.text(max_size=90),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(KINDS))
    lines = [rf"MSH|^~\&|A|B|C|D|{draw(VALUES)}||{kind}|1|P|2.5.1||||||UNICODE UTF-8"]
    names = draw(st.lists(st.sampled_from(SEGMENTS), max_size=12))
    lines.extend("|".join([name, *draw(st.lists(VALUES, max_size=46))]) for name in names)
    raw = "\r".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
    return Message(raw.encode("utf-8", "surrogatepass"))


def read_all(message: Message) -> None:
    patient_from(message, RULES, source_timezone="Asia/Seoul")
    patients_merged(message, RULES)
    event_time(message, RULES, source_timezone="Asia/Seoul")
    appointment = appointment_from(message, RULES, source_timezone="Asia/Seoul")
    orders = orders_from(message, RULES, source_timezone="Asia/Seoul")
    for order in orders:
        assert len(order.accession) <= 16
        assert len(order.requested_procedure_id) <= 16
        assert len(order.study_uid) <= 64
    for step in [*appointment.steps, *(step for order in orders for step in order.steps)]:
        assert len(step.step_id) <= 16
        assert not step.start or step.start.isdigit()


@settings(max_examples=400, deadline=None)
@given(messages())
def test_messages_of_random_fields(message: Message) -> None:
    faults = check(message, RULES)
    assert all(fault.code in {100, 101, 102, 103, 205} for fault in faults)
    try:
        read_all(message)
    except Hl7Error:
        # Only what can't be decoded may raise, and the check tells it beforehand.
        assert faults


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_bodies_of_random_bytes(body: bytes, kind: str) -> None:
    message = Message(rf"MSH|^~\&|A|B|C|D|2023||{kind}|1|P|2.5.1{chr(13)}".encode() + body)
    faults = check(message, RULES)
    try:
        read_all(message)
    except Hl7Error:
        assert faults


MANY = 100_000
PATIENT = "PID|1||1||DOE"
ORDER = "ORC|NW|P1"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ADT^A08", "PID|1||" + "1~" * MANY + "||" + "A^B~" * MANY),
        ("ADT^A08", PATIENT + "|" * 8 + "555~" * MANY),
        ("ADT^A08", PATIENT + "\rPV1|1" + "|" * 14 + "B6~" * MANY),
        ("ADT^A08", PATIENT + "\r" + "AL1|1||X\r" * MANY),
        ("ADT^A40", "EVN|\r" + "PID|1||1\rMRG|2\r" * (MANY // 10)),
        ("ORM^O01", f"{PATIENT}\r{ORDER}\rOBR|1|||X|||||||||" + "word " * MANY),
        ("ORM^O01", f"{PATIENT}\r{ORDER}\rOBR|1|||X" + "|" * 27 + "R^r^L~" * MANY),
        ("ORM^O01", f"{PATIENT}\r{ORDER}\rOBR|1|||X\rNTE|1||" + "~" * 10 * MANY),
        ("ORM^O01", f"{PATIENT}\r{ORDER}\r" + "OBR|1|||X\r" * (MANY // 10)),
        ("ORM^O01", f"{PATIENT}\r" + "ORC|??\r" * MANY),
        ("OMI^O23", f"{PATIENT}\r{ORDER}\rOBR|1|||X\rIPC|" + "|" * 8 + "AE~" * MANY),
        ("OMI^O23", f"{PATIENT}\r{ORDER}\rOBR|1|||X\rIPC" + "|" * 6 + "A^b^L~" * MANY),
        ("SIU^S12", f"SCH|1\r{PATIENT}\r" + "RGS|1\rAIS|1|A|A\rAIG|1|A|x\r" * (MANY // 10)),
    ],
)
def test_size_costs_time_in_proportion(kind: str, body: str) -> None:
    message = Message(rf"MSH|^~\&|A|B|C|D|2023||{kind}|1|P|2.5.1{chr(13)}{body}".encode())
    started = process_time()
    faults = check(message, RULES)
    read_all(message)
    assert len(faults) <= 100
    # A quadratic step takes minutes for any of these.
    assert process_time() - started < 20
