import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hl7 as python_hl7
from vitalbridge.hl7 import (
    CWE,
    CX,
    CharsetError,
    DateTime,
    InvalidDateTime,
    InvalidPath,
    InvalidValue,
    MalformedMessage,
    Message,
    UnsupportedCharset,
    charset_of,
)

ORDER = (
    "MSH|^~\\&|RIS^1.2^ISO|HOSP\\T\\CO|PACS|RADIOLOGY|20231115143052.1234+0000||ORM^O01^ORM_O01"
    "|MSG00001|P^T|2.5.1|||AL|NE\r"
    "PID|1||12345^^^HOSPITAL&1.2.3&ISO^MR~99^^^OTHER||DOE^JOHN^Q||19800101|M|||1 MAIN ST^^CITY\r"
    "PV1|1|I|WARD^101^A||||1234^SMITH^JANE\r"
    "ORC|NW|PLACER123^RIS|FILLER456||SC\r"
    'OBR|1|PLACER123^RIS|FILLER456|71020^CHEST X-RAY & MORE^LN|||||||||""\r'
    "OBX|1|TX|1^A^L||first\\.br\\second\r"
    "OBX|2|NM|2^B^L||12.5|kg\r"
    "ORC|NW|PLACER124^RIS\r"
    "OBR|2|PLACER124^RIS||71250^CT THORAX^LN\r"
    "ZDS|1.2.3.4^HOSP^Application^DICOM\r"
)
RAW = ORDER.encode()


def test_values_by_path() -> None:
    message = Message(RAW)
    expected = {
        "MSH-1": "|",
        "MSH-2": "^~\\&",
        "MSH-3.2": "1.2",
        "MSH-4": "HOSP&CO",
        "MSH-9.2": "O01",
        "PID-3": "12345",
        "PID-3.4.2": "1.2.3",
        "PID-3[2].4": "OTHER",
        "PID-3[3].4": "",
        "PID-5.2": "JOHN",
        "PID-4": "",
        "PID-99.2": "",
        "OBR-13": '""',
        "OBR-4.2": "CHEST X-RAY ",
        "OBR[2]-4.1": "71250",
        "OBR[3]-4.1": "",
        "OBX[2]-5": "12.5",
        "OBX-5": "first\nsecond",
        "/ORDER[2]/OBR-4.2": "CT THORAX",
        "/ORDER[1]/OBX[2]-6": "kg",
        "ZDS-1": "1.2.3.4",
        "AL1-3": "",
    }
    assert {path: message.get(path) for path in expected} == expected
    assert message.raw_field("PID-3.1") == "12345^^^HOSPITAL&1.2.3&ISO^MR~99^^^OTHER"
    assert message.raw_field("AL1-3") == message.raw_field("/ORDER[9]/OBR-3") == ""
    assert message.text == ORDER
    with pytest.raises(InvalidPath):
        message.get("PID")


def test_segments() -> None:
    message = Message(RAW)
    names = [segment.name for segment in message.segments()]
    assert names == ["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "OBX", "ORC", "OBR", "ZDS"]
    assert [s.get(1) for s in message.segments("OBR")] == ["1", "2"]
    assert [s.occurrence for s in message.segments("OBR")] == [1, 2]
    assert list(message.segments("AL1")) == []
    second = message.segment("OBR", 2)
    assert second is not None
    assert second.read(CWE, 4) == CWE("71250", "CT THORAX", "LN")
    for absent in (message.segment("OBR", 3), message.segment("OBR", 0), message.segment("AL1")):
        assert absent is None
    pid = message.segment("PID")
    assert pid is not None
    assert [cx.assigning_authority.namespace_id for cx in pid.read_all(CX, 3)] == [
        "HOSPITAL",
        "OTHER",
    ]


def test_the_header() -> None:
    message = Message(RAW)
    assert message.sending_application == "RIS"
    assert message.sending_facility == "HOSP&CO"
    assert message.receiving_application == "PACS"
    assert message.receiving_facility == "RADIOLOGY"
    assert (message.message_code, message.trigger) == ("ORM", "O01")
    assert message.message_type == "ORM^O01"
    assert (message.control_id, message.processing_id) == ("MSG00001", "P")
    assert (message.version, message.accept_ack, message.application_ack) == ("2.5.1", "AL", "NE")
    assert [message.header(n) for n in (1, 2, 3, 16, 17)] == ["|", "^~\\&", "RIS^1.2^ISO", "NE", ""]
    short = Message(b"MSH|^~\\&|||||||ACK||P")
    assert (short.message_type, short.trigger, short.control_id) == ("ACK", "", "")


def test_the_header_is_readable_when_the_body_is_not() -> None:
    message = Message(RAW.replace(b"JOHN", b"J\xd6HN"))
    assert message.message_type == "ORM^O01"
    assert message.control_id == "MSG00001"
    for read in (
        lambda: message.text,
        lambda: message.get("MSH-3"),
        message.segments,
        message.order_groups,
    ):
        with pytest.raises(CharsetError) as caught:
            read()
        assert caught.value.fault.location == "PID^1^5"
        assert caught.value.offset == RAW.index(b"JOHN") + 1
        assert message.encode() is message.raw


def test_the_place_of_a_bad_byte_in_a_later_segment() -> None:
    with pytest.raises(CharsetError) as caught:
        Message(RAW.replace(b"kg", b"k\xff")).segments()
    assert caught.value.fault.location == "OBX^2^6"


def test_a_header_in_its_own_character_set_and_one_that_is_not() -> None:
    def head(charset: str, codec: str) -> Message:
        text = f"MSH|^~\\&|Zürich|H|||||ADT^A01|1|P|2.5||||||{charset}\r"
        return Message(text.encode(codec))

    assert head("UNICODE UTF-8", "utf-8").sending_application == "Zürich"
    assert head("8859/1", "latin-1").sending_application == "Zürich"
    assert head("UNICODE UTF-8", "latin-1").sending_application == "Zürich"
    assert head("KLINGON", "latin-1").sending_application == "Zürich"
    with pytest.raises(UnsupportedCharset):
        assert head("KLINGON", "latin-1").charset


def test_delimiters_hidden_in_characters_of_gb_18030() -> None:
    # Second bytes of these two characters are those of | and ^.
    name = b"\x81\x7c\x81\x5e".decode("gb18030")
    text = f"MSH|^~\\&|{name}|H|||||ADT^A01|1|P|2.5||||||GB 18030-2000\rPID|||1||{name}^X\r"
    message = Message(text.encode("gb18030"))
    assert message.get("PID-5") == name
    assert message.get("PID-5.2") == "X"
    assert (message.sending_application, message.control_id) == (name, "1")
    message.set("PID-5.2", "Y")
    assert message.encode() == text.replace("^X", "^Y").encode("gb18030")


def test_the_default_character_set() -> None:
    raw = "MSH|^~\\&|A\rPID|||||Müller\r"
    assert Message(raw.encode("cp1252"), default_charset="8859/1").get("PID-5") == "Müller"
    assert Message(raw.encode()[:12] + b"\r", default_charset=None).charset == charset_of([])
    with pytest.raises(CharsetError):
        Message(raw.encode()).segments()
    marked = Message(b"\xef\xbb\xbf" + raw.encode())
    assert marked.get("PID-5") == "Müller"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("charset", ["UNICODE UTF-16", ""])
def test_files_in_utf_16_and_32(codec: str, charset: str) -> None:
    text = f"\ufeffMSH|^~\\&|Ж|||||||1||2.5||||||{charset}\rPID|||||Ж山\r"
    message = Message(text.encode(codec))
    assert message.wide == codec
    assert (message.sending_application, message.get("PID-5")) == ("Ж", "Ж山")
    assert message.encode() == text.encode(codec)
    message.set("PID-5", "é")
    assert message.encode() == text.replace("Ж山", "é").encode(codec)
    assert Message(RAW).wide == ""


@pytest.mark.parametrize(
    ("end", "tail"),
    [
        ("\r", ""),
        ("\r\n", ""),
        ("\n", ""),
        ("\r\r", ""),
        ("\n\n", ""),
        ("\r\n\r\n", ""),
        ("\r", "\x00\x00"),
    ],
)
def test_ends_of_segments(end: str, tail: str) -> None:
    text = ORDER.rstrip("\r").replace("\r", end) + tail
    for variant in (text, text + end, end + text):
        message = Message(variant.encode())
        assert [s.text for s in message.segments()] == ORDER.rstrip("\r").split("\r")
        assert message.encode() == variant.encode()
        message.set("ORC[2]-1", "CA")
        assert message.encode() == variant.replace("NW|PLACER124", "CA|PLACER124").encode()


def test_a_line_feed_inside_of_a_field_is_text_when_cr_ends_segments() -> None:
    message = Message(b"MSH|^~\\&|A\nB\rNTE|1||one\ntwo\rNTE|2\r")
    assert message.sending_application == "A\nB"
    assert message.get("NTE-3") == "one\ntwo"
    assert message.get("NTE[2]-1") == "2"
    mixed = Message(b"MSH|^~\\&|A\nNTE|1\rNTE|2\r\n\nNTE|3")
    assert [s.get(1) for s in mixed.segments("NTE")] == ["1", "2", "3"]


def test_odd_lines_are_kept() -> None:
    raw = b"MSH|^~\\&|A\r  \rhello world\rZZ|1\rPID\rPIDX|2\r|3\rMSH#x#y\rpid|4"
    message = Message(raw)
    names = [segment.name for segment in message.segments()]
    assert names == ["MSH", "hello world", "ZZ", "PID", "PIDX", "", "MSH#x#y", "pid"]
    assert message.get("PID-3") == ""
    message.set("PID-3", "x")
    assert message.encode() == raw.replace(b"PID\r", b"PID|||x\r")


def test_other_delimiters() -> None:
    message = Message(b"MSH!$%*@!A\rPID!!!1$2@3%4!x^y|z*F*\r")
    assert message.delimiters.encoding_characters == "$%*@"
    assert [message.get(f"PID-3{rest}") for rest in ("", ".2", ".2.2", "[2]")] == list("1234")
    assert message.get("PID-4") == "x^y|z!"
    message.set("PID-4", "a!b$c")
    assert message.encode().endswith(b"!a*F*b*S*c\r")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"MSH",
        b"MSH|",
        b"MSH||",
        b"MSH|\r",
        b"MSHA^~\\&A",
        b"MSH|^^|",
        b"MSH\xe9^~\\&",
        b"PID|1",
    ],
)
def test_what_is_no_message(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Message(raw)


# Writing


def test_an_untouched_message_is_the_same_bytes() -> None:
    message = Message(RAW)
    message.order_groups()
    message.get("PID-3")
    assert message.encode() is message.raw is RAW


def test_writing_changes_one_segment_only() -> None:
    raw = b"MSH|^~\\&|A|||||||||||||||8859/1\rPV1|||\xe9\\bad||\rPID|1||x|||\r\n\rZ|\\\r"
    message = Message(raw)
    message.set("PID-3.4", "HOSP")
    assert message.encode() == raw.replace(b"PID|1||x|", b"PID|1||x^^^HOSP|")
    message.set("PID-8", "é|")
    assert message.encode() == raw.replace(b"PID|1||x|||", b"PID|1||x^^^HOSP|||||\xe9\\F\\")
    assert message.raw == raw


def test_a_changed_header_is_what_the_header_says() -> None:
    message = Message(RAW)
    message.set("MSH-5", "NEW")
    message.set("MSH-10", "X2")
    message.set_field("MSH-6", "A^B")
    assert (message.receiving_application, message.control_id) == ("NEW", "X2")
    assert message.receiving_facility == "A"
    assert message.header(1) == "|"
    assert message.encode() == RAW.replace(b"PACS|RADIOLOGY", b"NEW|A^B").replace(
        b"MSG00001", b"X2"
    )


@pytest.mark.parametrize(
    "path", ["MSH-1", "MSH-2", "MSH-18", "AL1-1", "OBR[3]-1", "/ORDER[3]/OBR-1"]
)
def test_what_cannot_be_written(path: str) -> None:
    message = Message(RAW)
    with pytest.raises(InvalidPath):
        message.set(path, "x")
    with pytest.raises(InvalidPath):
        message.set_field(path, "x")
    with pytest.raises(CharsetError):
        message.set("PID-5", "é")
    with pytest.raises(InvalidValue):
        message.set_field("PID-5", "a|b")
    assert message.encode() is RAW


def test_japanese_next_to_a_change_keeps_its_bytes() -> None:
    # Superfluous switches that no encoder would write again.
    name = b"\x1b$B;3ED\x1b(B\x1b$BB@O:\x1b(B"
    raw = b"MSH|^~\\&|A|||||||||||||||~ISO IR87\rPID|||1||" + name + b"\rPV1|1\r"
    message = Message(raw)
    assert message.get("PID-5") == "山田太郎"
    message.set("PV1-2", "山")
    assert message.encode() == raw.replace(b"PV1|1", b"PV1|1|\x1b$B;3\x1b(B")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_line_that_is_nothing_but_a_switch_of_sets_counts_as_a_line(end: bytes) -> None:
    head = b"MSH|^~\\&|A|||||||||||||||~ISO IR87"
    raw = end.join([head, b"\x1b(B", b"PV1|1", b"ZZZ|2", b""])
    message = Message(raw)
    message.set("PV1-1", "9")
    assert message.encode() == raw.replace(b"PV1|1", b"PV1|9")


def test_its_representation_holds_no_data() -> None:
    assert repr(Message(RAW)) == f"<Message of {len(RAW)} bytes>"


# Against python-hl7


def leaf(theirs: python_hl7.Message, name: str, occurrence: int, place: tuple[int, ...]) -> str:
    field, component, subcomponent, repetition = place
    segment = theirs.segments(name)[occurrence - 1]
    try:
        return str(segment.extract_field(occurrence, field, repetition, component, subcomponent))
    except (IndexError, LookupError):
        return ""


def assert_same_reading(text: str) -> None:
    ours = Message(text.encode())
    theirs = python_hl7.parse(text)
    assert [s.name for s in ours.segments()] == [str(s[0]) for s in theirs]
    for segment in ours.segments():
        first = 3 if segment.name == "MSH" else 1
        for field in range(first, segment.last_field + 2):
            assert segment.field(field) == (
                str(theirs.segments(segment.name)[segment.occurrence - 1](field))
                if field <= segment.last_field
                else ""
            )
            for place in [
                (field, component, subcomponent, repetition)
                for component in (1, 2, 3)
                for subcomponent in (1, 2, 3)
                for repetition in (1, 2, 3)
            ]:
                expected = leaf(theirs, segment.name, segment.occurrence, place)
                assert segment.get(*place) == expected, (segment.name, place)


def test_the_same_values_as_python_hl7() -> None:
    assert_same_reading(ORDER.replace("\\.br\\", "\\S\\"))


VALUE = st.lists(
    st.sampled_from(["", "a", "7", "é", "\\F\\", "\\S\\", "\\T\\", "\\R\\", "\\E\\"]), max_size=3
).map("".join)


def nested(inner: st.SearchStrategy[str], delimiter: str) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=1, max_size=3).map(delimiter.join)


SEGMENT = st.tuples(
    st.sampled_from(["PID", "OBR", "OBX", "ZZ1"]),
    nested(nested(nested(nested(VALUE, "&"), "^"), "~"), "|"),
).map("|".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(SEGMENT, max_size=4))
def test_generated_messages_read_as_python_hl7_reads_them(segments: list[str]) -> None:
    head = "MSH|^~\\&|A|B|C|D|2023||ORM^O01|1|P|2.5||||||UNICODE UTF-8"
    assert_same_reading("\r".join([head, *segments]) + "\r")


# Anything at all


def touch_everything(message: Message) -> None:
    for n in range(1, 22):
        message.header(n)
    for name in (
        "sending_application", "sending_facility", "receiving_application", "receiving_facility",
        "message_code", "trigger", "message_type", "control_id", "processing_id", "version",
        "accept_ack", "application_ack",
    ):  # fmt: skip
        assert isinstance(getattr(message, name), str)
    for segment in message.segments():
        assert message.segments(segment.name)[segment.occurrence - 1] is segment
        for field in range(1, segment.last_field + 2):
            for place in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (3, 3, 3)):
                assert isinstance(segment.get(field, *place), str)
            assert segment.count(field) == len(segment.repetitions(field))
            segment.read_all(CX, field)
            segment.read(CWE, field)
            with contextlib.suppress(InvalidDateTime):
                segment.read_all(DateTime, field)
    for group in message.order_groups():
        assert group.segments
    for path in ("MSH-9.2", "PID-3[2].4.2", "/ORDER[2]/OBR-4"):
        assert isinstance(message.get(path), str)


def check_bytes(raw: bytes, default_charset: str | None) -> None:
    try:
        message = Message(raw, default_charset=default_charset)
    except MalformedMessage:
        return
    assert message.encode() is raw
    message.header(10)
    try:
        touch_everything(message)
    except CharsetError:
        return
    segment = message.segments()[-1]
    before = [s.text for s in message.segments()]
    try:
        segment.set(19, "x|y^z", component=1)
    except InvalidValue:
        return
    changed = Message(message.encode(), default_charset=default_charset)
    assert changed.segments()[-1].get(19) == "x|y^z"
    assert [s.text for s in changed.segments()][:-1] == before[:-1]


HOSTILE = st.lists(
    st.sampled_from(
        [
            *(bytes([code]) for code in b"|^~\\&#\r\n\x00\x0b\x1c\x1b\"AZ09.$("),
            b"\xe9", b"\xff", b"\xc3\xa9", b"\x1b$B", b"\x1b(B", b"\\F\\", b"\\XE9\\", b"\\X0D\\",
            b"\\.sp9\\", b"\\M2442\\", b"\\C2842\\", b"\r\n", b"\rPID|", b"\rORC|", b"\rOBR|",
            b"\rZDS|", b"\rMSH|", b"20231115", b"+0100", b"UNICODE UTF-8", b"8859/1", b"~ISO IR87",
        ]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, "UNICODE UTF-8", "8859/1"]))
def test_any_bytes(raw: bytes, default_charset: str | None) -> None:
    check_bytes(raw, default_charset)
    check_bytes(b"MSH" + raw, default_charset)
    check_bytes(b"MSH|^~\\&|" + raw, default_charset)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["", "8859/1", "UNICODE UTF-8", "~ISO IR87", "GB 18030-2000", "ISO IR14"]),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\x0b", b"\r\n"]),
    HOSTILE,
)
def test_hostile_messages(charset: str, before: bytes, rest: bytes) -> None:
    head = f"MSH|^~\\&|A|B|C|D|2023||ORM^O01|1|P|2.5||||||{charset}".encode()
    check_bytes(before + head + rest, None)


@settings(deadline=None)
@given(st.integers(0, len(RAW) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_damaged_messages(at: int, inserted: bytes, removed: int) -> None:
    check_bytes(RAW[:at] + inserted + RAW[at + removed :], "8859/1")


@settings(deadline=None)
@given(
    st.sampled_from(
        ["PID-3", "PID-3[2]", "PID-3[3].4.2", "OBX[2]-5.2", "ZDS-9", "MSH-5", "MSH-20.2"]
    ),
    st.text(max_size=12),
)
def test_what_is_set_is_got(path: str, value: str) -> None:
    message = Message(RAW.replace(b"|AL|NE\r", b"|AL|NE||UNICODE UTF-8\r"))
    message.set(path, value)
    again = Message(message.encode())
    assert message.get(path) == again.get(path) == value
    name = path[:3]
    for before, after in zip(Message(message.raw).segments(), again.segments(), strict=True):
        assert before.text == after.text or before.name == name


def test_time_and_space_are_linear_up_to_twenty_megabytes() -> None:
    def seconds(megabytes: int) -> float:
        content = "QUJD+/==" * (megabytes * 131_072)
        raw = f"{ORDER}OBX|3|ED|||^AP^PDF^Base64^{content}|\\T\\\r".encode()
        begin = time.process_time()
        message = Message(raw)
        assert message.get("OBX[3]-5.5") == content
        assert message.get("OBX[3]-6") == "&"
        message.set("OBX[3]-11", "F")
        assert len(message.encode()) == len(raw) + 6
        return time.process_time() - begin

    # Twenty times the size may take a few times twenty times as long, never 400 times.
    assert seconds(20) < 80 * (seconds(1) + 0.01)
