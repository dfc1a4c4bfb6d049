"""Times of a message: in the sender's zone as they arrive, in the site's zone as they leave.

A time that carries an offset is taken at its word. One without is read in the sender's zone. What
the sender left out stays out: a date alone is never shifted and gets no time of day.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from vitalbridge.hl7 import NULL, DateTime, InvalidDateTime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vitalbridge.hl7 import Message, Segment

    from .mapping import MappingRules

_DAY: Final = 8
_HOUR: Final = 10
_MINUTE: Final = 12


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=8192)
def in_zone(text: str, source: str, site: str) -> str:
    """Return an HL7 time as digits ``YYYYMMDDHHMMSS``, or fewer, of the zone ``site``.

    ``text`` without offset is in the zone ``source``; zones are IANA names. Fractions of a second
    are dropped. Raises InvalidDateTime.
    """
    time = DateTime.parse(text)
    count = len(time.digits)
    if count <= _DAY or (time.offset_minutes is None and source == site):
        return time.digits
    try:
        moved = time.aware(_zone(source)).astimezone(_zone(site))
    except OverflowError:
        raise InvalidDateTime("the time lies outside of the years 1 to 9999") from None
    if count == _HOUR and moved.minute:
        count = _MINUTE  # zones differ by half-hours too
    return _digits(moved)[:count]


def start_in_zone(text: str, source: str, site: str) -> str:
    """Return a scheduled start as ``in_zone`` does.

    Raises InvalidDateTime also for a time less precise than a day: DICOM's DA has no room for it.
    """
    start = in_zone(text, source, site)
    if len(start) < _DAY:
        raise InvalidDateTime("less precise than a day")
    return start


@lru_cache(maxsize=8192)
def _instant(text: str, source: str) -> str:
    time = DateTime.parse(text)
    count = len(time.digits)
    if count <= _DAY:
        return time.digits
    moved = time.aware(_zone(source))
    if time.fraction:
        return f"{_digits(moved)}.{moved.microsecond:06}"
    return _digits(moved)[:count]


def _digits(moment: datetime) -> str:
    return (
        f"{moment.year:04}{moment.month:02}{moment.day:02}"
        f"{moment.hour:02}{moment.minute:02}{moment.second:02}"
    )


def is_time(text: str) -> bool:
    """Return whether ``text`` is a time that the worklist can hold, whatever the zones."""
    try:
        in_zone(text, "UTC", "UTC")
    except InvalidDateTime:
        return False
    return True


def is_vague(text: str) -> bool:
    """Return whether ``text`` is a year or a month: valid, but too little for a start."""
    return is_time(text) and len(in_zone(text, "UTC", "UTC")) < _DAY


def first_instant(
    candidates: Sequence[str], rules: MappingRules, source_timezone: str | None
) -> str:
    """Return the first of some HL7 times that is valid, as UTC digits to compare with others.

    ``YYYYMMDDHHMMSS`` with ``.ffffff`` if the sender gave a fraction, shorter if it gave less (a
    date alone stays the sender's); ``""`` when none is valid.
    """
    source = source_timezone or rules.timezone
    for text in candidates:
        if text and text != NULL:
            try:
                return _instant(text, source)
            except InvalidDateTime:
                continue
    return ""


def event_time(message: Message, rules: MappingRules, *, source_timezone: str | None = None) -> str:
    """Return when what the message tells of happened: EVN-2, else MSH-7; form of first_instant."""
    evn = message.segment("EVN")
    return first_instant(
        (evn.get(2) if evn is not None else "", message.get("MSH-7")), rules, source_timezone
    )


def message_time(
    message: Message, rules: MappingRules, *, source_timezone: str | None = None
) -> str:
    """Return MSH-7 in the site's zone: ``YYYYMMDDHHMMSS``, or shorter but at least a date.

    ``""`` if it is no such time.
    """
    try:
        return start_in_zone(
            message.get("MSH-7"), source_timezone or rules.timezone, rules.timezone
        )
    except InvalidDateTime:
        return ""


Place = tuple["Segment", int, int]
"""Segment, field and component that a value came from."""


def start_candidates(
    orc: Segment | None, obr: Segment | None, tq1: Sequence[Segment]
) -> list[tuple[str, Place]]:
    """Return the times that may be the scheduled start, best first, with where each stands.

    TQ1-7, ORC-7.4, OBR-27.4, OBR-36, OBR-7, OBR-6 (never ORC-9: that is when the order was
    entered).
    """
    found: list[tuple[str, Place]] = [
        (text, (segment, 7, 1)) for segment in tq1 if (text := segment.get(7)) and text != NULL
    ]
    if orc is not None and orc.field(7) and (text := orc.get(7, 4)) and text != NULL:
        found.append((text, (orc, 7, 4)))
    if obr is not None:
        for field, component in _OBR_STARTS:
            if (text := obr.get(field, component)) and text != NULL:
                found.append((text, (obr, field, component)))
    return found


_OBR_STARTS: Final = ((27, 4), (36, 1), (7, 1), (6, 1))
