from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import (
    CX,
    HD,
    NULL,
    CharsetError,
    DateTime,
    Escaped,
    InvalidValue,
    Message,
    build_message,
    parse_delimiters,
    write_field,
    write_segment,
)
from vitalbridge.hl7.builder import Value

HEADER: dict[int, Value] = {
    3: "RIS",
    4: HD("HOSP", "1.2", "ISO"),
    7: datetime(2023, 11, 15, 14, 30, 52, tzinfo=UTC),
    9: ("ORM", "O01", "ORM_O01"),
    10: "MSG1",
    11: "P",
    12: "2.5.1",
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (NULL, '""'),
        ("a|b\nc", "a\\F\\b\\.br\\c"),
        (7, "7"),
        (True, "1"),
        (date(2023, 11, 5), "20231105"),
        (date(987, 1, 2), "09870102"),
        (datetime(2023, 11, 15, 14, 30, tzinfo=UTC), "20231115143000+0000"),
        (DateTime.parse("202311151430^S"), "202311151430"),
        (("a^", None, ("x", "y&z"), None, ""), "a\\S\\^^x&y\\T\\z"),
        (["a", ("b", "c"), None], "a~b^c"),
        ([None, "b"], "~b"),
        ((), ""),
        ([], ""),
        (CX("1", assigning_authority=HD("A", "B")), "1^^^A&B"),
        ((HD("A", "B"), "x"), "A&B^x"),
        (Escaped("a^b~\\.br\\"), "a^b~\\.br\\"),
    ],
)
def test_fields(value: Value, text: str) -> None:
    assert write_field(value) == text


@pytest.mark.parametrize(
    "value", [(["a"],), [["a"]], Escaped("a|b"), Escaped("a\rb"), (("a", ("b", "c")),)]
)
def test_what_no_field_can_hold(value: Value) -> None:
    with pytest.raises(InvalidValue):
        write_field(value)


def test_a_segment_from_a_sequence_or_by_number() -> None:
    assert write_segment("PID", [1, None, "x", None]) == "PID|1||x"
    assert write_segment("OBR", {4: ("CT", "Head"), 2: "P1", 9: ""}) == "OBR||P1||CT^Head"
    assert write_segment("ZZ9", {}) == "ZZ9"
    assert write_segment("BHS", {3: "RIS"}) == "BHS|^~\\&|RIS"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("pid", [1]),
        ("PIDX", [1]),
        ("P|D", [1]),
        ("PID", {0: "x"}),
        ("MSH", {2: "x"}),
        ("MSH", ["x"]),
    ],
)
def test_what_is_no_segment(name: str, fields: dict[int, Value] | list[Value]) -> None:
    with pytest.raises(InvalidValue):
        write_segment(name, fields)


def test_a_message() -> None:
    raw = build_message(
        HEADER, [("PID", {3: [CX("1", identifier_type="MR")], 5: ("Müller", "Eva")})]
    )
    assert raw.decode() == (
        "MSH|^~\\&|RIS|HOSP^1.2^ISO|||20231115143052+0000||ORM^O01^ORM_O01|MSG1|P|2.5.1"
        "||||||UNICODE UTF-8\rPID|||1^^^^MR||Müller^Eva\r"
    )


def test_character_sets() -> None:
    segments: list[tuple[str, dict[int, Value]]] = [("PID", {5: "Müller"})]
    assert b"M\xfcller" in build_message(HEADER, segments, charset="8859/1")
    with pytest.raises(CharsetError):
        build_message(HEADER, segments, charset="")
    with pytest.raises(CharsetError):
        build_message(HEADER, segments, charset="KLINGON")
    assert Message(build_message(HEADER, [], charset="")).header(18) == ""


TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
DELIMITERS = st.sampled_from([parse_delimiters("|", "^~\\&"), parse_delimiters("!", "$%*@#")])


@given(st.lists(st.tuples(TEXT, TEXT, st.tuples(TEXT, TEXT)), min_size=1, max_size=3), DELIMITERS)
def test_what_is_built_reads_the_same(values, delimiters) -> None:  # type: ignore[no-untyped-def]
    message = Message(build_message(HEADER, [("ZZZ", {2: list(values)})], delimiters=delimiters))
    segment = message.segment("ZZZ")
    assert segment is not None
    for n, (first, second, (third, fourth)) in enumerate(values, start=1):
        read = [segment.get(2, *place, repetition=n) for place in ((1,), (2,), (3, 1), (3, 2))]
        assert read == [first, second, third, fourth]
