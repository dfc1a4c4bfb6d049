from __future__ import annotations

from typing import Any

import pytest

from vitalbridge.hl7 import InvalidDateTime
from vitalbridge.translate import MappingRules, event_time, message_time
from vitalbridge.translate.times import first_instant, in_zone, is_time, is_vague, start_in_zone

BERLIN = "Europe/Berlin"
SEOUL = "Asia/Seoul"
KOLKATA = "Asia/Kolkata"


@pytest.mark.parametrize(
    ("text", "source", "site", "expected"),
    [
        ("20231115140000", "UTC", "UTC", "20231115140000"),
        ("202311151400", "UTC", "UTC", "202311151400"),
        ("2023111514", "UTC", "UTC", "2023111514"),
        ("20231115", "UTC", "UTC", "20231115"),
        ("202311", "UTC", "UTC", "202311"),
        ("20231115143052.1234", "UTC", "UTC", "20231115143052"),
        ("20231115143052.1234+0000", "UTC", "UTC", "20231115143052"),
        # An offset is taken at its word, whatever the sender's zone.
        ("20231115140000+0900", SEOUL, BERLIN, "20231115060000"),
        ("20231115140000-0500", "UTC", "UTC", "20231115190000"),
        ("20231115233000-0500", BERLIN, "UTC", "20231116043000"),
        # Without one the time is that of the sender's zone.
        ("20231115140000", SEOUL, BERLIN, "20231115060000"),
        ("20230715140000", SEOUL, BERLIN, "20230715070000"),
        # A date is never shifted; it isn't a point in time.
        ("20231115", SEOUL, "America/New_York", "20231115"),
        ("20231115+0900", SEOUL, "America/New_York", "20231115"),
        # An hour of a zone with half-hours needs its minutes.
        ("2023111514", "UTC", KOLKATA, "202311151930"),
        ("2023111514", "UTC", BERLIN, "2023111515"),
        ("20231115235960", "UTC", "UTC", "20231115235959"),
    ],
)
def test_time_in_the_site_zone(text: str, source: str, site: str, expected: str) -> None:
    assert in_zone(text, source, site) == expected


@pytest.mark.parametrize(
    "text", ["", '""', "yesterday", "20231315", "20230230", "2023111525", "2023-11-15", "00010101+"]
)
def test_what_is_no_time(text: str) -> None:
    assert not is_time(text)
    with pytest.raises(InvalidDateTime):
        in_zone(text, "UTC", BERLIN)


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("00010101000000+1400", "UTC"),
        ("99991231235959-1200", "UTC"),
        ("99991231235959+0000", SEOUL),
    ],
)
def test_a_time_outside_of_the_calendar(text: str, site: str) -> None:
    with pytest.raises(InvalidDateTime):
        in_zone(text, "UTC", site)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (("20231115120000", ""), "20231115110000"),
        (("", "20231115130000"), "20231115120000"),
        (('""', "20231115130000"), "20231115120000"),
        (("nonsense", "20231115130000"), "20231115120000"),
        (("20231115120000.5+0100",), "20231115110000.500000"),
        (("202311151200",), "202311151100"),
        (("20231115",), "20231115"),
        (("nonsense", ""), ""),
    ],
)
def test_first_instant(candidates: tuple[str, ...], expected: str) -> None:
    assert first_instant(candidates, MappingRules(timezone=BERLIN), None) == expected


def test_instants_of_two_zones_compare() -> None:
    rules = MappingRules(timezone=BERLIN)
    assert first_instant(("20231115090000",), rules, "America/New_York") == "20231115140000"


def test_event_time_is_evn_2_else_msh_7(message: Any) -> None:
    rules = MappingRules(timezone=BERLIN)
    assert event_time(message("EVN||20231115120000", kind="ADT^A08"), rules) == "20231115110000"
    assert event_time(message("EVN||", kind="ADT^A08"), rules) == "20231115103000"
    assert event_time(message("PID|1", kind="ADT^A08"), rules) == "20231115103000"


@pytest.mark.parametrize("text", ["2099", "209901", "209901+0100"])
def test_a_start_is_at_least_a_date(text: str) -> None:
    assert is_time(text)
    assert is_vague(text)
    with pytest.raises(InvalidDateTime):
        start_in_zone(text, "UTC", BERLIN)


@pytest.mark.parametrize("text", ["20990102", "2099010203", "soon", ""])
def test_what_is_not_vague(text: str) -> None:
    assert not is_vague(text)


def test_message_time_is_at_least_a_date(message: Any) -> None:
    assert message_time(message(time="202311"), MappingRules()) == ""
    assert message_time(message(time="20231115"), MappingRules()) == "20231115"


def test_message_time_is_local(message: Any) -> None:
    rules = MappingRules(timezone=BERLIN)
    assert message_time(message(), rules) == "20231115113000"
    assert message_time(message(), rules, source_timezone=SEOUL) == "20231115033000"
    assert message_time(message(time=""), rules) == ""
