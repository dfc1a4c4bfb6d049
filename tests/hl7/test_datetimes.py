from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.hl7 import DateTime, InvalidDateTime, timestamp

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("text", "precision", "da", "tm", "offset"),
    [
        ("2023", "year", "2023", "", None),
        ("202311", "month", "202311", "", None),
        ("20231115", "day", "20231115", "", None),
        ("2023111514", "hour", "20231115", "14", None),
        ("202311151430", "minute", "20231115", "1430", None),
        ("20231115143052", "second", "20231115", "143052", None),
        ("20231115143052.1234+0000", "fraction", "20231115", "143052.1234", 0),
        ("20231115143052.123456", "fraction", "20231115", "143052.123456", None),
        ("20231115143052-0500", "second", "20231115", "143052", -300),
        ("202311151430+0530", "minute", "20231115", "1430", 330),
        ("20231115+0100", "day", "20231115", "", 60),
        ("20240229", "day", "20240229", "", None),
        ("20000229", "day", "20000229", "", None),
        (" 20231115 ", "day", "20231115", "", None),
        ("20231115240000", "second", "20231116", "000000", None),
        ("202312312400", "minute", "20240101", "0000", None),
        ("20161231235960", "second", "20161231", "235959", None),
        ("20231115000000^D", "day", "20231115", "", None),
        ("202311151430^S", "minute", "20231115", "1430", None),
        ("20231115143052.12^M", "minute", "20231115", "1430", None),
        ("20231115^?", "day", "20231115", "", None),
    ],
)
def test_reading(text: str, precision: str, da: str, tm: str, offset: int | None) -> None:
    value = DateTime.parse(text)
    assert (value.precision, value.da, value.tm, value.offset_minutes) == (
        precision,
        da,
        tm,
        offset,
    )
    assert value.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        '""',
        "0000",
        "00000000",
        "202",
        "2023111",
        "202313",
        "202300",
        "20231100",
        "20231131",
        "20230229",
        "19000229",
        "2023111525",
        "2023111524" + "01",
        "202311152400" + "01",
        "20231115240000.1",
        "202311151460",
        "20231115143061",
        "20231115143052.",
        "20231115143052.1234567",
        "202311151430.5",
        "20231115143052+01",
        "20231115143052+01:00",
        "20231115143052+0160",
        "20231115143052+1600",
        "2023-11-15",
        "15.11.2023",
        "20231115T143052",
        "20231115143052Z",
        "٢٠٢٣١١١٥",
        "²0231115",
        "999912312400",
        "JAN 1 2023",
        "20231115143052.1²",
    ],
)
def test_what_is_no_date_or_time(text: str) -> None:
    with pytest.raises(InvalidDateTime) as caught:
        DateTime.parse(text)
    assert caught.value.fault.code == 102
    assert not text or text not in str(caught.value)


def test_the_zone_is_the_sender_s_unless_an_offset_was_sent() -> None:
    assert DateTime.parse("20231115143052").aware(BERLIN) == datetime(
        2023, 11, 15, 13, 30, 52, tzinfo=UTC
    )
    assert DateTime.parse("20231115143052.5-0500").aware(BERLIN) == datetime(
        2023, 11, 15, 19, 30, 52, 500_000, tzinfo=UTC
    )
    assert DateTime.parse("202311").aware(UTC) == datetime(2023, 11, 1, tzinfo=UTC)


def test_times_that_occur_twice_or_not_at_all() -> None:
    # 2023-10-29 03:00 CEST -> 02:00 CET; 2023-03-26 02:00 CET -> 03:00 CEST.
    assert DateTime.parse("202310290230").aware(BERLIN).isoformat() == "2023-10-29T00:30:00+00:00"
    gap = DateTime.parse("202303260230").aware(BERLIN)
    assert gap.isoformat() == "2023-03-26T01:30:00+00:00"
    assert f"{gap.astimezone(BERLIN):%H:%M}" == "03:30"


@pytest.mark.parametrize(
    ("text", "zone", "shown"),
    [
        ("20231115143052", NEW_YORK, "20231115143052"),
        ("20231115023052+0100", NEW_YORK, "20231114203052"),
        ("20231115023052.25+0100", NEW_YORK, "20231114203052.25"),
        ("2023111514+0000", KOLKATA, "202311151930"),
        ("2023111514+0000", BERLIN, "2023111515"),
        ("202311151430+0000", KOLKATA, "202311152000"),
        ("20231115+1400", NEW_YORK, "20231115"),
        ("202311+1400", NEW_YORK, "202311"),
    ],
)
def test_wall_clock_of_another_zone(text: str, zone: ZoneInfo, shown: str) -> None:
    local = DateTime.parse(text).in_zone(zone)
    assert local.da + local.tm == shown
    assert local.offset_minutes is None
    assert local.in_zone(BERLIN) == local


def test_what_leaves_the_calendar_is_refused() -> None:
    early = DateTime.parse("00010101000000+1400")
    late = DateTime.parse("99991231235959-1200")
    for value in (early, late):
        with pytest.raises(InvalidDateTime):
            value.aware(UTC)
        with pytest.raises(InvalidDateTime):
            value.in_zone(UTC)


def test_writing() -> None:
    assert timestamp(datetime(2023, 11, 15, 14, 30, 52, tzinfo=UTC)) == "20231115143052+0000"
    west = timezone(timedelta(hours=-3, minutes=-30))
    assert timestamp(datetime(987, 1, 2, 3, 4, 5, tzinfo=west)) == "09870102030405-0330"
    assert timestamp(datetime(2023, 11, 15)) == "20231115000000"  # noqa: DTZ001
    assert DateTime.parse("20231115143052.12-0330^S").write() == "20231115143052.12-0330"


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_is_read_as_it_was_written(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:
        return  # local mean time before the railways: no HL7 offset expresses it
    text = timestamp(moment)
    value = DateTime.parse(text)
    assert value.write() == text
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    assert value.aware(BERLIN) == expected


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_digits_agree_with_strptime(moment: datetime) -> None:
    text = f"{moment.year:04}{moment:%m%d%H%M%S.%f}"
    assert DateTime.parse(text).aware(UTC) == datetime.strptime(text, "%Y%m%d%H%M%S.%f").replace(
        tzinfo=UTC
    )


@given(st.text(alphabet="0123456789+-.^SD ", max_size=26))
def test_anything_is_a_time_or_refused(text: str) -> None:
    try:
        value = DateTime.parse(text)
    except InvalidDateTime:
        return
    try:
        value.aware(NEW_YORK)
        value.in_zone(NEW_YORK)
    except InvalidDateTime:
        assert value.digits[:4] in ("0001", "9999")
