from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.hl7 import Fault, Message
from vitalbridge.translate import MappingRules, check

PID = "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN"
ORC = "ORC|NW|P1^RIS|F1^PACS"
OBR = "OBR|1|P1^RIS|F1^PACS|71260^CT^L|||20231115140000"


def places(message: Any, *segments: str, kind: str = "ORM^O01", **rules: Any) -> list[Any]:
    faults = check(message(*segments, kind=kind), MappingRules(**rules))
    return [(fault.code, fault.location) for fault in faults]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([PID, ORC, OBR], []),
        ([ORC, OBR], [(100, "PID^1")]),
        ([PID], [(100, "ORC^1"), (100, "OBR^1")]),
        ([PID, OBR], [(100, "ORC^1")]),
        ([PID, ORC], [(100, "OBR^1")]),
        (["PID|1||^^^H^MR||DOE^JOHN", ORC, OBR], [(101, "PID^1^3")]),
        (["PID|1||1", ORC, OBR], [(101, "PID^1^5")]),
        (["PID|1||1||^^^", ORC, OBR], [(101, "PID^1^5")]),
        (["PID|1||1", "ORC|CA|P1", OBR], []),
        ([PID, "ORC||P1", OBR], [(101, "ORC^1^1")]),
        ([PID, "ORC|ZZ|P1", OBR], [(103, "ORC^1^1")]),
        ([PID, "ORC|nw|P1", OBR], [(103, "ORC^1^1")]),
        ([PID, "ORC|NW", "OBR|1|||71260^CT"], [(101, "ORC^1^2")]),
        ([PID, "ORC|NW|^HIS|^RIS", "OBR|1| ^HIS||71260^CT"], [(101, "ORC^1^2")]),
        ([PID, "ORC|NW", "OBR|1|P1||71260^CT"], []),
        ([PID, "ORC|NW||F1", "OBR|1|||71260^CT"], []),
        ([PID, ORC, "OBR|1"], [(101, "OBR^1^4")]),
        ([PID, ORC, "OBR|1|||^^"], [(101, "OBR^1^4")]),
        ([PID, ORC, "OBR|1|||^CT"], []),
        ([PID, "ORC|XO|P1", "OBR|1"], [(101, "OBR^1^4")]),
        # Calling off and telling a status need no content, and its faults do no harm.
        ([PID, "ORC|CA|P1"], []),
        ([PID, "ORC|SC|P1||||", "OBR|1"], []),
        ([PID, "ORC|CA|P1", "OBR|1||||||20239999", "ZDS|x"], []),
        # Dates: the one that would be the start.
        ([PID, ORC, "OBR|1|||X|||20239999"], [(102, "OBR^1^7")]),
        ([PID, "ORC|NW|P1|||||^^^soon", "OBR|1|||X"], [(102, "ORC^1^7^1^4")]),
        ([PID, ORC, "TQ1|1||||||202313", "OBR|1|||X|||20231115"], [(102, "TQ1^1^7")]),
        ([PID, ORC, "TQ1|1||||||20231115", "OBR|1|||X|||20239999"], []),
        # A year or a month can't be a start; the next source counts.
        ([PID, "ORC|NW|P1|||||^^^209901", "OBR|1|||X"], []),
        ([PID, "ORC|NW|P1|||||^^^2099", "OBR|1|||X|||20239999"], [(102, "OBR^1^7")]),
        (["PID|1||1||DOE||19801399", ORC, OBR], []),
        # Identifiers that DICOM has no room for.
        (["PID|1||" + "1" * 65 + "||DOE", ORC, OBR], [(102, "PID^1^3^1^1")]),
        ([r"PID|1||1~2\E\3^^^X||DOE", ORC, OBR], [(102, "PID^1^3^2^1")]),
        (["PID|1||1^^^" + "X" * 65 + "||DOE", ORC, OBR], [(102, "PID^1^3^1^4")]),
        ([PID, "ORC|NW|" + "P" * 65, "OBR|1|||X"], [(102, "ORC^1^2")]),
        ([PID, "ORC|NW|P1|" + "F" * 17, "OBR|1|||X"], [(102, "ORC^1^3")]),
        ([PID, ORC, OBR + "|" * 11 + "A" * 17], [(102, "OBR^1^18")]),
        ([PID, ORC, OBR + "|" * 12 + "A" * 17], [(102, "OBR^1^19")]),
        ([PID, ORC, OBR + "|" * 13 + "A" * 17], [(102, "OBR^1^20")]),
        ([PID, "PV1|1|I" + "|" * 17 + "V" * 65, ORC, OBR], [(102, "PV1^1^19")]),
        ([PID, ORC, OBR, "ZDS|1.2.3"], []),
        ([PID, ORC, OBR, "ZDS|1.2.840.10008.5.1"], [(102, "ZDS^1^1")]),
        ([PID, ORC, OBR, "ZDS|none"], [(102, "ZDS^1^1")]),
        # Several at once, each with its own occurrence.
        (
            [PID, ORC, OBR, "ORC|??|", "OBR|2"],
            [(103, "ORC^2^1"), (101, "ORC^2^2")],
        ),
        (
            ["PID|1", "ORC|NW", "OBR|1", "OBR|2"],
            [
                (101, "PID^1^3"),
                (101, "PID^1^5"),
                (101, "ORC^1^2"),
                (101, "OBR^1^4"),
                (101, "OBR^2^4"),
            ],
        ),
        ([PID, ORC, OBR, "PID|2||2||X", ORC, OBR], [(100, "PID^2")]),
    ],
)
def test_orders(message: Any, segments: Any, expected: Any) -> None:
    assert places(message, *segments) == expected


@pytest.mark.parametrize("field", [18, 19, 20])
def test_long_identifiers_may_be_replaced_by_policy(message: Any, field: Any) -> None:
    obr = OBR + "|" * (field - 7) + "A" * 17
    assert places(message, PID, ORC, obr) == [(102, f"OBR^1^{field}")]
    assert places(message, PID, ORC, obr, long_identifiers="generate") == []


def test_prior_results_are_not_checked_as_orders(message: Any) -> None:
    segments = [PID, ORC, OBR, "PID|1||1", "ORC|??", "OBR|9"]
    assert places(message, *segments, kind="OMG^O19") == []


@pytest.mark.parametrize("kind", ["ORM^O01", "OMG^O19", "OMI^O23"])
def test_every_order_message_is_checked(message: Any, kind: Any) -> None:
    assert places(message, PID, "ORC|ZZ|P1", OBR, kind=kind) == [(103, "ORC^1^1")]


EVN = "EVN||20231115"


@pytest.mark.parametrize(
    ("trigger", "segments", "expected"),
    [
        ("A01", [EVN, PID], []),
        ("A01", [PID], [(100, "EVN^1")]),
        ("A01", [EVN], [(100, "PID^1")]),
        ("A04", [EVN, "PID|1"], [(101, "PID^1^3"), (101, "PID^1^5")]),
        ("A08", [EVN, "PID|1||1"], [(101, "PID^1^5")]),
        ("A08", [EVN, 'PID|1||1||""'], []),
        ("A28", [EVN, "PID|1||1"], [(101, "PID^1^5")]),
        ("A11", [EVN, "PID|1||1"], []),
        ("A03", [EVN, "PID|1"], [(101, "PID^1^3")]),
        ("A40", [EVN, PID, "MRG|2^^^HOSPITAL^MR"], []),
        ("A40", [EVN, PID], [(100, "MRG^1")]),
        ("A40", [EVN, PID, "MRG|"], [(101, "MRG^1^1")]),
        ("A40", [EVN, PID, "MRG|12345^^^HOSPITAL^MR"], [(205, "MRG^1^1")]),
        ("A40", [EVN, PID, "MRG|12345"], [(205, "MRG^1^1")]),
        ("A40", [EVN, PID, "MRG|12345^^^OTHER^MR"], []),
        (
            "A40",
            [EVN, PID, "MRG|2", "PID|2||9||X", "PID|3||8||Y", "MRG|8"],
            [(100, "MRG^2"), (205, "MRG^2^1")],
        ),
        ("A40", [EVN, PID, "MRG|" + "2" * 65], [(102, "MRG^1^1^1^1")]),
        ("A18", [EVN, PID], [(100, "MRG^1")]),
        ("A34", [EVN, PID], [(100, "MRG^1")]),
        ("A36", [EVN, PID], [(100, "MRG^1")]),
        ("A39", [EVN, PID, "MRG||||2"], []),
        ("A47", [EVN, PID], [(100, "MRG^1")]),
        ("A47", [EVN, "MRG|1"], [(100, "PID^1")]),
        ("A37", [EVN, PID, "PID|2||2"], []),
        ("A37", [EVN, PID], [(100, "PID^2")]),
        ("A37", [EVN], [(100, "PID^1"), (100, "PID^2")]),
        ("A37", [EVN, PID, "PID|2"], [(101, "PID^2^3")]),
    ],
)
def test_admissions(message: Any, trigger: Any, segments: Any, expected: Any) -> None:
    assert places(message, *segments, kind=f"ADT^{trigger}") == expected


@pytest.mark.parametrize(
    ("trigger", "segments", "expected"),
    [
        ("S12", ["SCH|A1|F1", PID], []),
        ("S12", ["SCH||F1", PID], []),
        ("S12", ["SCH|A1", PID], []),
        ("S12", [PID], [(100, "SCH^1")]),
        ("S12", ["SCH|A1"], [(100, "PID^1")]),
        ("S12", ['SCH|""', PID], [(101, "SCH^1^1")]),
        ("S12", ["SCH|^HIS|^RIS", PID], [(101, "SCH^1^1")]),
        ("S12", ["SCH|A1", "PID|1||1"], [(101, "PID^1^5")]),
        ("S15", ["SCH|A1", "PID|1||1"], []),
        ("S12", ["SCH|A1", PID, "AIS|1|A|X|soon"], [(102, "AIS^1^4")]),
        ("S12", ["SCH|A1||||||||||^^^soon", PID], [(102, "SCH^1^11^1^4")]),
        ("S12", ["SCH|A1", "TQ1|1||||||soon", PID], [(102, "TQ1^1^7")]),
        ("S12", ["SCH||" + "F" * 65, PID], [(102, "SCH^1^2")]),
    ],
)
def test_appointments(message: Any, trigger: Any, segments: Any, expected: Any) -> None:
    assert places(message, *segments, kind=f"SIU^{trigger}") == expected


@pytest.mark.parametrize(
    ("kind", "segments", "expected"),
    [
        ("ORU^R01", [PID, OBR + "|" * 18 + "F", "OBX|1|TX|1^x"], []),
        (
            "ORU^R01",
            [PID, OBR, "OBX|1"],
            [(101, "OBR^1^25"), (101, "OBX^1^2"), (101, "OBX^1^3")],
        ),
        ("ORU^R01", [PID], [(100, "OBR^1"), (100, "OBX^1")]),
        ("ACK^A01", ["MSA|AA|1"], []),
        ("ACK^A01", [], [(100, "MSA^1")]),
        ("ACK^A01", ["MSA|"], [(101, "MSA^1^1"), (101, "MSA^1^2")]),
        ("MFN^M02", [], []),
    ],
)
def test_other_types(message: Any, kind: Any, segments: Any, expected: Any) -> None:
    assert places(message, *segments, kind=kind) == expected


@pytest.mark.parametrize("kind", ["ORM^O01", "MFN^M02"])
def test_text_that_cannot_be_decoded_is_a_fault(kind: str) -> None:
    head = rf"MSH|^~\&|A|B|C|D|2023||{kind}|1|P|2.5.1||||||UNICODE UTF-8{chr(13)}"
    (fault,) = check(Message(head.encode() + b"PID|1||1||D\xffE\r"))
    assert fault.code == 102
    assert fault.location.startswith("PID^1")


def test_texts_quote_nothing_of_the_message(message: Any) -> None:
    secret = "SECRETNAME" * 7
    faults = check(
        message(
            f"PID|1||{secret}||{secret}",
            f"ORC|{secret}|{secret}|{secret}",
            f"OBR|1|{secret}|{secret}|X|||{secret}|||||||||||{secret}|{secret}|{secret}",
            f"ZDS|{secret}",
        )
    )
    assert len(faults) >= 5
    assert not any("SECRET" in fault.text or "SECRET" in fault.location for fault in faults)


@pytest.mark.parametrize("name", ["OBR", "ORC", "IPC"])
def test_more_orders_than_one_message_may_carry_are_refused(name: str) -> None:
    head = "MSH|^~\\&|RIS|H|PACS|R|20261121120000||ORM^O01|1|P|2.5.1\rPID|1||1^^^H||A^B\r"
    message = Message((head + f"{name}|1\r" * 1001).encode())
    assert check(message) == [Fault(100, f"{name}^1001", f"too many {name} segments")]


def test_more_segments_than_a_message_may_have_are_refused_at_once() -> None:
    raw = b"MSH|^~\\&|RIS|H|PACS|R|20261121120000||ORM^O01|1|P|2.5.1\r" + b"A\r" * 60_000
    assert [fault.text for fault in check(Message(raw))] == ["more than 50000 segments"]


def test_a_segment_that_is_read_field_by_field_has_a_longest_length() -> None:
    raw = b"MSH|^~\\&|RIS|H|PACS|R|20261121120000||ADT^A08|1|P|2.5.1\rEVN|A08\rPID|1||"
    raw += b"1^^^H~" * 20_000 + b"||A^B\r"
    assert check(Message(raw)) == [Fault(102, "PID^1", "PID segment is too long")]
