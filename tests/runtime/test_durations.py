from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.runtime.durations import (
    LONGEST,
    InvalidDuration,
    format_duration,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604_800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (" 10 s ", 10),
        ("0", 0),
        (45, 45),
        (2.5, 2.5),
        ("3600s", 3600),
    ],
)
def test_reads_lengths_of_time(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_a_bare_number_is_in_the_unit_of_its_key() -> None:
    assert parse_duration("2000", unit=0.001) == 2.0
    assert parse_duration(1000, unit=0.001) == 1.0
    assert parse_duration("2s", unit=0.001) == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5 parsecs",
        "-1s",
        "1e3s",
        "5M",
        "nan",
        "inf",
        "٣s",
        "1..5s",
        "1h30m",
        "999999d",
        True,
    ],
)
def test_refuses_everything_else(text: str) -> None:
    with pytest.raises(InvalidDuration, match="Invalid duration format"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=int(LONGEST * 1000)))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=20))
def test_any_text_is_a_finite_duration_or_an_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except InvalidDuration:
        return
    assert 0 <= seconds <= LONGEST
