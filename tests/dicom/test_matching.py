"""Matching of keys against stored values."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.dicom import matching
from vitalbridge.dicom.matching import InvalidKey


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "A", False),
        ("A", "A", True),
        ("A", "B", False),
        ("A", "AA", False),
        ("*", "", True),
        ("*", "ANYTHING", True),
        ("?", "", False),
        ("?", "A", True),
        ("?", "山", True),
        ("A*", "ABC", True),
        ("A*", "BA", False),
        ("*A", "BCA", True),
        ("*A*", "BAC", True),
        ("A*A", "A", False),
        ("A*A", "AA", True),
        ("A?C", "ABC", True),
        ("A?C", "AC", False),
        ("*?", "", False),
        ("*?*", "X", True),
        ("A*B*C", "AXXBXXC", True),
        ("A*B*C", "AXXCXXB", False),
        ("AB*BA", "ABA", False),
        ("[A-Z]*.", "[A-Z]..", True),
        ("A*", "A\nB", True),
    ],
)
def test_wildcard(pattern: str, text: str, expected: bool) -> None:
    assert matching.wildcard(pattern)(text) is expected


@given(st.text(alphabet="AB*?.", max_size=9), st.text(alphabet="AB.", max_size=9))
def test_wildcard_agrees_with_regular_expressions(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert matching.wildcard(pattern)(text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    started = perf_counter()
    assert not matching.wildcard("*A" * 40 + "*B")("A" * 2000)
    assert not matching.wildcard("*A?" * 40 + "*B")("A" * 2000)
    assert perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("DOE^JOHN", "doe^john"),
        ("  Doe  ^ John ^^ ", "doe^john"),
        ("Müller^Jürgen", "muller^jurgen"),
        ("ÅSTRÖM", "astrom"),
        ("STRAßE", "strasse"),
        ("Øster^Łukasz", "oster^lukasz"),
        ("Ａｂｃ", "abc"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("かが", "かが"),
        ("洪^吉洞", "洪^吉洞"),
        ("", ""),
        ("^^", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert matching.fold(text) == folded


@given(st.text(max_size=30))
def test_fold_is_idempotent(text: str) -> None:
    once = matching.fold(text)
    assert matching.fold(once) == once


@pytest.mark.parametrize(
    ("key", "stored", "expected"),
    [
        ("DOE^JOHN", "Doe^John", True),
        ("DOE^JOHN", "DOE^JOHN^^^", True),
        ("doe^*", "DOE^JOHN", True),
        ("DOE*", "DOE^JOHN", True),
        ("DOE", "DOE^JOHN", False),
        ("*JOHN*", "DOE^JOHN", True),
        ("D?E^JOHN", "DOE^JOHN", True),
        ("Mueller*", "Müller^Jürgen", False),
        ("MULLER*", "Müller^Jürgen", True),
        ("山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("やまだ*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Suzuki*", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("=山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Yamada*=鈴木*", "Yamada^Tarou=山田^太郎", False),
        ("Yamada*=*", "Yamada^Tarou", True),
        ("=山田*", "Yamada^Tarou", False),
    ],
)
def test_person_name(key: str, stored: str, expected: bool) -> None:
    test = matching.person_name(key)
    assert test is not None
    assert test(stored) is expected


@pytest.mark.parametrize("key", ["", "*", "**", "=*", "*=*=*", " * "])
def test_universal_person_name(key: str) -> None:
    assert matching.person_name(key) is None


@pytest.mark.parametrize(
    ("vr", "key", "stored", "expected"),
    [
        ("SH", "ACC1", "ACC1", True),
        ("SH", "ACC1", " ACC1 ", True),
        ("SH", "acc1", "ACC1", False),
        ("SH", "ACC*", "ACC123", True),
        ("CS", "ct", "CT", True),
        ("CS", "CT", "MR", False),
        ("CS", "c*", "CT", True),
        ("AE", "ct_1", "CT_1", True),
        ("AE", "Ct_1", "Ct_1", True),
        ("UI", "1.2.3", "1.2.3", True),
        ("UI", "1.2.*", "1.2.3", False),
        ("AS", "0*", "034Y", False),
    ],
)
def test_text(vr: str, key: str, stored: str, expected: bool) -> None:
    test = matching.text(vr, key)
    assert test is not None
    assert test(stored) is expected


@pytest.mark.parametrize(
    ("key", "stored", "expected"),
    [
        ("20240105", "20240105", True),
        ("20240105", "20240106", False),
        ("2024.01.05", "20240105", True),
        ("20240105-20240107", "20240105", True),
        ("20240105-20240107", "20240107", True),
        ("20240105-20240107", "20240108", False),
        ("20240105 - 20240107", "20240106", True),
        ("20240105-", "20991231", True),
        ("20240105-", "20240104", False),
        ("-20240105", "19000101", True),
        ("-20240105", "20240106", False),
        ("20240105", "202401", True),
        ("20240105", "", False),
    ],
)
def test_date(key: str, stored: str, expected: bool) -> None:
    test = matching.date(key)
    assert test is not None
    assert test(stored) is expected


@pytest.mark.parametrize(
    ("key", "stored", "expected"),
    [
        ("1030", "103000", True),
        ("1030", "103059", True),
        ("1030", "103100", False),
        ("10:30:00", "103000", True),
        ("08-12", "120000", True),
        ("08-12", "125959", True),
        ("0800-1200", "120100", False),
        ("0800-", "080000", True),
        ("-0800", "075959.999999", True),
        ("103000.5", "103000.5", True),
        ("103000.5", "103000.6", False),
        ("103015", "1030", True),
    ],
)
def test_time(key: str, stored: str, expected: bool) -> None:
    test = matching.time(key)
    assert test is not None
    assert test(stored) is expected


@pytest.mark.parametrize(
    "key", ["TODAY", "2024", "20240105-x", "2024-01-05-06", "2024*", "--", "20240107-20240105"]
)
def test_what_is_no_date(key: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        matching.date(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", ["1", "noon", "--", "10:3", "103000.", "10*", "2200-0600"])
def test_what_is_no_time(key: str) -> None:
    with pytest.raises(InvalidKey):
        matching.time(key)


@pytest.mark.parametrize("key", ["", "*", "**", "-"])
def test_universal_date_and_time(key: str) -> None:
    assert matching.date(key) is None
    assert matching.time(key) is None
    assert matching.number(key.strip("-")) is None
    assert matching.date_and_time(key, key) == (matching.OPEN,) * 3
    day, _, _ = matching.date_and_time("20240705", key)
    assert day == ("20240705000000000000", "20240705999999999999")
    _, _, hour = matching.date_and_time(key, "10-11")
    assert hour == ("100000000000", "119999999999")


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        ("", "2200-0600"),
        ("-", "2200-0600"),
        ("20240705", "2200-0600"),
        ("20240705-20240705", "2200-0600"),
        ("20240707-20240705", ""),
        ("20240707-20240705", "10"),
    ],
)
def test_a_range_that_ends_before_it_begins(day: str, hour: str) -> None:
    with pytest.raises(InvalidKey, match="ends before it begins"):
        matching.date_and_time(day, hour)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("20240705-20240706", ("20240705220000000000", "20240706060099999999")),
        ("20240705-", ("20240705220000000000", "")),
        ("-20240706", ("", "20240706060099999999")),
    ],
)
def test_a_range_over_midnight(day: str, expected: tuple[str, str]) -> None:
    assert matching.date_and_time(day, "2200-0600") == (expected, matching.OPEN, matching.OPEN)


def test_the_standards_example_of_one_range_of_date_and_time() -> None:
    start, date, time = matching.date_and_time("20240705-20240707", "1000-1800")
    assert start == ("20240705100000000000", "20240707180099999999")
    assert date == time == matching.OPEN


def test_one_time_on_several_days_is_not_one_range() -> None:
    start, date, time = matching.date_and_time("20240705-20240707", "1000")
    assert start == ("20240705000000000000", "20240707999999999999")
    assert date == ("20240705", "20240707")
    assert time == ("100000000000", "100099999999")


@pytest.mark.parametrize(
    ("key", "stored", "expected"),
    [("72.5", "72.50", True), ("72.5", "72.6", False), ("7", "x", False)],
)
def test_number(key: str, stored: str, expected: bool) -> None:
    test = matching.number(key)
    assert test is not None
    assert test(stored) is expected
