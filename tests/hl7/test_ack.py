"""Acknowledgements, read back with our own parser and with python-hl7."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hl7
from vitalbridge.hl7.ack import CONDITIONS, acknowledge, acknowledge_unreadable
from vitalbridge.hl7.errors import Fault
from vitalbridge.hl7.message import Message

NOW = datetime(2025, 3, 14, 10, 15, 30, 999, UTC)
MISSING = Fault(101, "OBR^1^4", "OBR-4 required")
TABLE = Fault(103, "PID^1^8^2^1", "PID-8 is not in table 0001")


def request(version: str = "2.5.1", charset: str = "", kind: str = "ORM^O01^ORM_O01") -> bytes:
    return (
        f"MSH|^~\\&|HIS|WARD|PACS|RAD|20250314101500||{kind}|MSG-1|T|{version}||||||{charset}\r"
        "PID|1||123\r"
    ).encode()


def ack(raw: bytes, code: str = "AA", **more: object) -> bytes:
    return acknowledge(Message(raw), code, now=NOW, control_id="A1", **more)  # type: ignore[arg-type]


def test_accepted() -> None:
    assert ack(request()) == (
        b"MSH|^~\\&|PACS|RAD|HIS|WARD|20250314101530+0000||ACK^O01^ACK|A1|T|2.5.1\rMSA|AA|MSG-1\r"
    )


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("2.1", "ACK"),
        ("2.2", "ACK^O01"),
        ("2.3", "ACK^O01"),
        ("2.3.1", "ACK^O01^ACK"),
        ("2.4", "ACK^O01^ACK"),
        ("2.5", "ACK^O01^ACK"),
        ("2.5.1^DEU&&HL70399", "ACK^O01^ACK"),
        ("2.8.2", "ACK^O01^ACK"),
    ],
)
def test_message_type_and_version_of_the_answer(version: str, kind: str) -> None:
    answer = Message(ack(request(version)))
    assert answer.raw_field("MSH-9") == kind
    assert answer.raw_field("MSH-12") == version


def test_a_request_without_a_trigger() -> None:
    assert Message(ack(request("2.3", kind="ORM"))).raw_field("MSH-9") == "ACK"
    assert Message(ack(request("2.5", kind="ORM"))).raw_field("MSH-9") == "ACK^^ACK"


@pytest.mark.parametrize("code", ["AA", "AE", "AR", "CA", "CE", "CR"])
def test_codes(code: str) -> None:
    answer = hl7.parse(ack(request(), code).decode())
    assert answer["MSA"][0][1][0] == code
    assert answer["MSA"][0][2][0] == "MSG-1"


@pytest.mark.parametrize("code", ["", "A", "aa", "XX"])
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises(ValueError, match="table 0008"):
        ack(request(), code)
    with pytest.raises(ValueError, match="table 0008"):
        acknowledge_unreadable(b"MSH", code, now=NOW, control_id="1")


def test_faults_from_2_5_on() -> None:
    answer = ack(request(), "AE", faults=[MISSING, TABLE])
    assert answer.split(b"\r")[1:] == [
        b"MSA|AE|MSG-1|OBR-4 required",
        b"ERR||OBR^1^4|101^Required field missing^HL70357|E|||OBR-4 required|OBR-4 required",
        b"ERR||PID^1^8^2^1|103^Table value not found^HL70357|E|||PID-8 is not in table 0001"
        b"|PID-8 is not in table 0001",
        b"",
    ]


def test_faults_before_2_5() -> None:
    answer = ack(request("2.3.1"), "AE", faults=[MISSING, TABLE, Fault(100, "ZDS", "")])
    assert answer.split(b"\r")[1:] == [
        b"MSA|AE|MSG-1|OBR-4 required|||101^Required field missing^HL70357",
        b"ERR|OBR^1^4^101&Required field missing&HL70357"
        b"~PID^1^8^103&Table value not found&HL70357"
        b"~ZDS^^^100&Segment sequence error&HL70357",
        b"",
    ]
    read = Message(answer)
    assert read.get("MSA-6") == "101"
    assert read.get("ERR-1[2].4.2") == "Table value not found"


def test_text_without_a_fault_and_a_fault_without_text() -> None:
    assert ack(request(), "AR", text="Queue full").endswith(b"MSA|AR|MSG-1|Queue full\r")
    assert ack(request("2.3"), "AR", text="Queue full").endswith(b"MSA|AR|MSG-1|Queue full\r")
    assert b"MSA|AR|MSG-1||||207^" in ack(request("2.3"), "AR", faults=[Fault(207, "", "")])


def test_msa_3_is_gone_in_2_7() -> None:
    assert b"MSA|AE|MSG-1\r" in ack(request("2.7"), "AE", faults=[MISSING])


@pytest.mark.parametrize("version", ["", "x", "3.0", "2", "2.5.x", "²·5"])
def test_an_unreadable_version_is_answered_like_2_5(version: str) -> None:
    answer = ack(request(version), "AR", faults=[Fault(203, "MSH^1^12", "unsupported")])
    assert b"\rERR||MSH^1^12|203^Unsupported version id^HL70357|E" in answer


def test_every_condition_has_its_text() -> None:
    for code, text in CONDITIONS.items():
        answer = Message(ack(request(), "AE", faults=[Fault(code, "", "x")]))
        assert answer.get("ERR-3.1") == str(code)
        assert answer.get("ERR-3.2") == text
    assert Message(ack(request(), "AE", faults=[Fault(999, "", "x")])).get("ERR-3.2") == ""


def test_empty_receiver_is_filled_with_our_name() -> None:
    raw = b"MSH|^~\\&|HIS|WARD|||20250314||ADT^A01|1|P|2.5\r"
    assert ack(raw).startswith(b"MSH|^~\\&|PACS_BRIDGE|RADIOLOGY|HIS|WARD|")
    named = ack(raw, application="A&B", facility="C|D")
    assert named.startswith(b"MSH|^~\\&|A\\T\\B|C\\F\\D|HIS|WARD|")
    assert ack(raw.replace(b"WARD|||", b"WARD|X||")).startswith(b"MSH|^~\\&|X|RADIOLOGY|HIS|WARD|")


def test_header_fields_are_copied_byte_by_byte() -> None:
    raw = b"MSH|^~\\&|H\\T\\S^1.2.3^ISO|WARD|P^2^DNS~x|RAD|20250314||ADT^A01|a\\F\\b|D^T|2.5\r"
    answer = ack(raw)
    assert answer.startswith(b"MSH|^~\\&|P^2^DNS~x|RAD|H\\T\\S^1.2.3^ISO|WARD|")
    assert answer.endswith(b"|A1|D^T|2.5\rMSA|AA|a\\F\\b\r")


def test_delimiters_of_the_request() -> None:
    raw = b"MSH$%*?@$HIS$WARD$PACS$RAD$20250314$$ADT%A01$9$P$2.5\r"
    answer = ack(raw, "AE", faults=[Fault(102, "PID^1^3", "50% @ $1")])
    assert answer == (
        b"MSH$%*?@$PACS$RAD$HIS$WARD$20250314101530+0000$$ACK%A01%ACK$A1$P$2.5\r"
        b"MSA$AE$9$50?S? ?T? ?F?1\r"
        b"ERR$$PID%1%3$102%Data type error%HL70357$E$$$50?S? ?T? ?F?1$50?S? ?T? ?F?1\r"
    )
    assert Message(answer).get("ERR-8") == "50% @ $1"


def test_text_that_would_break_the_segment() -> None:
    answer = ack(request(), "AE", faults=[Fault(102, "", "a|b^c\rd\ne\\f")])
    assert Message(answer).get("ERR-8") == "a|b^c d e\\f"
    assert len(answer.split(b"\r")) == 4


def test_no_escape_character() -> None:
    answer = ack(
        b"MSH|^|HIS|W|P|R|2025||ADT^A01|1|P|2.3\r", "AE", faults=[Fault(102, "A^1^2", "a|b")]
    )
    assert answer.endswith(
        b"MSA|AE|1|a b|||102^Data type error^HL70357\rERR|A^1^2^102^Data type error^HL70357\r"
    )


def test_time_zones() -> None:
    plain = NOW.replace(tzinfo=None)
    assert b"|20250314101530|" in acknowledge(Message(request()), "AA", now=plain, control_id="1")
    for minutes, written in ((330, b"+0530"), (-210, b"-0330"), (60, b"+0100")):
        now = plain.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        answer = acknowledge(Message(request()), "AA", now=now, control_id="1")
        assert b"|20250314101530" + written + b"|" in answer


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("8859/1", "latin-1", "Zürich"),
        ("UNICODE UTF-8", "utf-8", "Zürich"),
        ("GB 18030-2000", "gb18030", "亅亊傆"),
        ("BIG-5", "big5", "功許蓋"),
        ("KS X 1001", "euc_kr", "서울"),
        ("~ISO IR87", "iso2022_jp", "幹、東京"),
    ],
)
def test_character_set_of_the_request(charset: str, codec: str, name: str) -> None:
    raw = f"MSH|^~\\&|{name}|W|P|R|2025||ADT^A01|7|P|2.5||||||{charset}\r".encode(codec)
    answer = ack(raw, "AE", faults=[Fault(101, "PID^1^5", "PID-5 missing")])
    read = Message(answer)
    assert read.get("MSH-5") == name
    assert read.get("MSH-6") == "W"
    assert read.get("MSA-2") == "7"
    assert read.raw_field("MSH-18") == charset
    assert name.encode(codec) in answer


def test_text_in_the_character_set_of_the_request() -> None:
    fault = Fault(102, "", "Größe Ω")
    assert b"|Gr\xf6\xdfe" not in ack(request(charset="UNICODE UTF-8"), "AE", faults=[fault])
    assert "Größe Ω".encode() in ack(request(charset="UNICODE UTF-8"), "AE", faults=[fault])
    assert b"Gr\xf6\xdfe" in ack(request(charset="8859/1"), "AE", faults=[Fault(102, "", "Größe")])
    assert b"Gr??e ?" in ack(request(), "AE", faults=[fault])


@pytest.mark.parametrize("charset", ["KLINGON", "UNICODE UTF-16", "ASCII~KLINGON"])
def test_an_unknown_character_set_is_not_claimed(charset: str) -> None:
    answer = ack(request(charset=charset), "AE", faults=[Fault(103, "MSH^1^18", "unsupported")])
    assert answer.startswith(b"MSH|^~\\&|PACS|RAD|HIS|WARD|")
    assert b"\rMSA|AE|MSG-1|" in answer
    assert charset.encode() not in answer


def test_line_feeds_and_byte_order_mark() -> None:
    expected = ack(request())
    assert ack(request().replace(b"\r", b"\n")) == expected
    assert ack(request().replace(b"\r", b"\r\n")) == expected
    assert ack(b"\xef\xbb\xbf" + request()) == expected


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_answered_in_ascii(codec: str) -> None:
    raw = request(charset="UNICODE UTF-16").decode().replace("WARD", "Süd").encode(codec)
    for answer in (
        acknowledge_unreadable(raw, now=NOW, control_id="A1"),
        acknowledge(Message(raw), "AR", now=NOW, control_id="A1"),
    ):
        assert answer is not None
        assert answer.startswith(b"MSH|^~\\&|PACS|RAD|HIS|S?d|")
        assert answer.endswith(b"|2.5.1\rMSA|AR|MSG-1\r")


@pytest.mark.parametrize("head", [b"", b"PID|1\r", b"GET / HTTP/1.1\r\n", b"\xff" * 100])
def test_nothing_to_answer_to(head: bytes) -> None:
    assert acknowledge_unreadable(head, now=NOW, control_id="1") is None


@pytest.mark.parametrize(
    ("head", "sender", "answered"),
    [
        (b"MSH", "", ""),
        (b"MSH|", "", ""),
        (b"MSH|^~\\&", "", ""),
        (b"MSH|^~\\&|HIS", "HIS", ""),
        (b"\r\n  MSH|^~\\&|HIS|W|P|R|2025||ADT^A01|77", "HIS", "77"),
        (b"MSH||HIS|W|P|R|2025||ADT^A01|77|P|2.5\r", "HIS", "77"),
        (b"MSH|^^^^|HIS|W|P|R|2025||ADT^A01|77|P|2.5\r", "HIS", "77"),
        (b"MSH\xa6^~\\&\xa6HIS\xa6W\r", "", ""),
        (b"MSHA^~\\&AHISAWAPARA2025\r", "", ""),
    ],
)
def test_what_can_be_read_of_a_broken_header_is_used(
    head: bytes, sender: str, answered: str
) -> None:
    answer = acknowledge_unreadable(
        head, now=NOW, control_id="A1", faults=[Fault(102, "MSH^1^2", "bad delimiters")]
    )
    assert answer is not None
    read = Message(answer)
    assert read.get("MSH-2") == "^~\\&"
    assert read.get("MSH-10") == "A1"
    assert read.get("MSA-1") == "AR"
    assert read.get("MSA-2") == answered
    if sender:
        assert read.get("MSH-5") == sender


@given(st.binary(max_size=200))
def test_any_beginning_gets_a_readable_answer_or_none(tail: bytes) -> None:
    for head in (tail, b"MSH" + tail, b"MSH|^~\\&|" + tail, tail + b"MSH|^~\\&|a"):
        answer = acknowledge_unreadable(head, now=NOW, control_id="A1", faults=[MISSING])
        if b"MSH" in head:
            assert answer is not None
        if answer is not None:
            lines = answer.split(b"\r")
            assert lines[1].startswith(b"MSA")
            assert lines[2].startswith(b"ERR")
            assert len(lines) == 4
