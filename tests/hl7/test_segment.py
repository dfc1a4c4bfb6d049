from datetime import UTC, datetime

import pytest

from vitalbridge.hl7 import (
    CX,
    HD,
    NULL,
    STANDARD,
    XPN,
    CharsetError,
    DateTime,
    HeaderSegment,
    InvalidDateTime,
    InvalidPath,
    InvalidValue,
    Segment,
    charset_of,
    parse_delimiters,
)


def segment(text: str, encoding_characters: str = "^~\\&") -> Segment:
    kind = HeaderSegment if text[:3] in ("MSH", "BHS", "FHS") else Segment
    delimiters = parse_delimiters("|", encoding_characters)
    return kind(text[:3], 1, 0, text, delimiters, charset_of(["8859/1"]))


PID = 'PID|1||A^2^M11^H&1.2&ISO~B^^^K^MR||DOE&x^J\\T\\K|""|19800101|M||~x\r'.rstrip()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((1,), "1"),
        ((1, 2), ""),
        ((1, 1, 2), ""),
        ((1, 1, 1, 2), ""),
        ((2,), ""),
        ((3,), "A"),
        ((3, 4), "H"),
        ((3, 4, 3), "ISO"),
        ((3, 4, 4), ""),
        ((3, 5), ""),
        ((3, 9), ""),
        ((3, 1, 1, 2), "B"),
        ((3, 5, 1, 2), "MR"),
        ((3, 1, 2, 2), ""),
        ((3, 1, 1, 3), ""),
        ((5,), "DOE"),
        ((5, 2), "J&K"),
        ((6,), NULL),
        ((6, 2), ""),
        ((10,), ""),
        ((10, 1, 1, 2), "x"),
        ((99,), ""),
    ],
)
def test_single_values(place: tuple[int, ...], value: str) -> None:
    assert segment(PID).get(*place) == value


def test_whole_fields() -> None:
    pid = segment(PID)
    assert pid.field(3) == "A^2^M11^H&1.2&ISO~B^^^K^MR"
    assert pid.repetitions(3) == ["A^2^M11^H&1.2&ISO", "B^^^K^MR"]
    assert pid.repetitions(10) == ["", "x"]
    assert (pid.count(1), pid.count(2), pid.count(3), pid.count(99)) == (1, 0, 2, 0)
    assert (pid.repetitions(2), pid.field(99), pid.last_field) == ([], "", 10)


def test_typed_values() -> None:
    pid = segment(PID)
    assert pid.read_all(CX, 3) == [
        CX("A", "2", "M11", HD("H", "1.2", "ISO")),
        CX("B", assigning_authority=HD("K"), identifier_type="MR"),
    ]
    assert pid.read(CX, 3) == CX("A", "2", "M11", HD("H", "1.2", "ISO"))
    assert pid.read(XPN, 5) == XPN("DOE", "J&K")
    assert pid.read(XPN, 6) == XPN(NULL)
    assert pid.read(XPN, 2) is None
    assert pid.read(XPN, 10) is None
    assert pid.read_all(XPN, 10) == [XPN("x")]
    birth = pid.read(DateTime, 7)
    assert birth is not None
    assert birth.aware(UTC) == datetime(1980, 1, 1, tzinfo=UTC)


def test_a_bad_date_is_located() -> None:
    pid = segment("PID|20231399|20230101~x")
    for n, read in ((1, pid.read), (2, pid.read_all)):
        with pytest.raises(InvalidDateTime) as caught:
            read(DateTime, n)
        assert caught.value.fault.location == f"PID^1^{n}"
        assert caught.value.fault.code == 102


@pytest.mark.parametrize("name", ["MSH", "BHS", "FHS"])
def test_header_fields_one_and_two_are_the_delimiters(name: str) -> None:
    header = segment(f"{name}|^~\\&|RIS^x|H")
    assert [header.get(n) for n in range(1, 6)] == ["|", "^~\\&", "RIS", "H", ""]
    assert (header.get(2, 2), header.get(2, 1, 1, 2), header.get(1, 2)) == ("", "", "")
    assert (header.repetitions(2), header.count(2), header.count(1)) == (["^~\\&"], 1, 1)
    assert (header.field(2), header.field(3), header.last_field) == ("^~\\&", "RIS^x", 4)
    header.set(4, "K")
    header.set(6, "new")
    assert header.text == f"{name}|^~\\&|RIS^x|K||new"
    for n in (1, 2):
        with pytest.raises(InvalidPath):
            header.set(n, "#")
        with pytest.raises(InvalidPath):
            header.set_field(n, "#")


def test_the_character_set_is_not_changed_in_place() -> None:
    with pytest.raises(InvalidPath) as caught:
        segment("MSH|^~\\&").set(18, "UNICODE UTF-8")
    assert caught.value.fault.location == "MSH^1^18"
    segment("BHS|^~\\&").set(18, "x")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"field": 3}, "PID|1||N|x"),
        ({"field": 3, "repetition": 1}, "PID|1||N~B^^^K|x"),
        ({"field": 3, "repetition": 3}, "PID|1||A^2^M&n~B^^^K~N|x"),
        ({"field": 3, "component": 1}, "PID|1||N^2^M&n~B^^^K|x"),
        ({"field": 3, "component": 3}, "PID|1||A^2^N~B^^^K|x"),
        ({"field": 3, "component": 3, "subcomponent": 3}, "PID|1||A^2^M&n&N~B^^^K|x"),
        ({"field": 3, "component": 6, "repetition": 2}, "PID|1||A^2^M&n~B^^^K^^N|x"),
        ({"field": 2, "component": 2}, "PID|1|^N|A^2^M&n~B^^^K|x"),
        ({"field": 7, "subcomponent": 2}, "PID|1||A^2^M&n~B^^^K|x|||&N"),
    ],
)
def test_writing_replaces_what_is_named(arguments: dict[str, int], text: str) -> None:
    pid = segment("PID|1||A^2^M&n~B^^^K|x")
    assert not pid.changed
    field = arguments.pop("field")
    pid.set(field, "N", **arguments)
    assert pid.text == text
    assert pid.changed
    place = {"component": 1, "subcomponent": 1, "repetition": 1} | arguments
    assert pid.get(field, **place) == "N"


def test_what_is_written_is_escaped_and_a_null_is_not() -> None:
    pid = segment("PID")
    pid.set(2, "a^b|c\rd")
    pid.set(3, NULL)
    pid.set_field(4, "x^y~z")
    assert pid.text == 'PID||a\\S\\b\\F\\c\\X0D\\d|""|x^y~z'
    assert pid.get(2) == "a^b|c\rd"


def test_what_cannot_be_written() -> None:
    pid = segment("PID|1", "^")
    with pytest.raises(InvalidPath):
        pid.set(0, "x")
    with pytest.raises(InvalidPath):
        pid.set(1, "x", component=0)
    with pytest.raises(CharsetError):
        pid.set(1, "Иван")
    with pytest.raises(CharsetError):
        pid.set_field(1, "Иван")
    with pytest.raises(InvalidValue):
        pid.set(1, "x", repetition=2)
    with pytest.raises(InvalidValue):
        pid.set(1, "a^b")
    for text in ("a|b", "a\rb", "a\nb"):
        with pytest.raises(InvalidValue):
            pid.set_field(1, text)
    assert (pid.text, pid.changed) == ("PID|1", False)


def test_its_representation_holds_no_data() -> None:
    assert repr(segment(PID)) == "<Segment PID[1]>"
    assert segment(PID).location(5) == "PID^1^5"
    assert STANDARD.field not in repr(segment(PID))
