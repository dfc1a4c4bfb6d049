"""Which of two events is newer, as far as one sender's clock can tell.

Event times are digits as HL7 writes them (``YYYY`` to ``YYYYMMDDHHMMSS.ffff``), all in the sender's
local zone, so that two of them compare as text over the precision that both have. What cannot be
decided counts as newer: the order of arrival holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from vitalbridge.bridge.model import Note, Seen
from vitalbridge.hl7 import DateTime, InvalidDateTime

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message

# Clocks never go back by more than this when summer time ends.
_LARGEST_FOLD = timedelta(hours=2)


def event_time(message: Message, own: str, context: HandlerContext) -> str:
    """Return when the event happened: ``own`` (EVN-2, ORC-9), else MSH-7, else an empty string.

    ``own`` is the field's text. A time with an offset is taken to the sender's local zone; one that
    cannot be read counts as missing.
    """
    return local_digits(own, context) or local_digits(message.get("MSH-7"), context)


def local_digits(text: str, context: HandlerContext) -> str:
    """Return the time as digits in the sender's local zone, or an empty string."""
    if not text or (text.isdecimal() and text.isascii() and len(text) in (8, 12, 14)):
        return text
    try:
        value = DateTime.parse(text)
    except InvalidDateTime:
        return ""
    if value.offset_minutes is not None:
        value = value.in_zone(ZoneInfo(context.timezone))
    return value.da + value.tm


def is_newer(time: str, newest: str, timezone: str) -> bool:
    """Return whether ``time`` is after ``newest`` beyond doubt; an empty one never is."""
    return bool(time and newest) and is_older(newest, time, timezone)


def is_older(time: str, newest: str, timezone: str) -> bool:
    """Return whether ``time`` is before ``newest`` beyond doubt; an empty one never is."""
    shared = min(len(time), len(newest))
    if time[:shared] >= newest[:shared]:
        return False
    return not _within_fold(time, newest, timezone)


def is_stale(working: Working, context: HandlerContext, subject: str, time: str) -> bool:
    """Return whether the sender has told something newer about ``subject``; if so, note it."""
    newest = working.last_seen(subject, context.sender)
    if not newest or not is_older(time, newest, context.timezone):
        return False
    kind = subject.partition(":")[0]
    working.add(Note("stale", f"older than what its sender said before about this {kind}"))
    return True


def remember(working: Working, context: HandlerContext, subject: str, time: str) -> None:
    """Keep ``time`` as the newest about ``subject`` unless a newer or finer one is known."""
    if time and time > working.last_seen(subject, context.sender):
        working.see(Seen(subject, context.sender, time))


def _within_fold(time: str, newest: str, timezone: str) -> bool:
    """Return whether the two lie in the hour that the local clock shows twice."""
    shown, shown_newest = _moment(time), _moment(newest)
    if shown is None or shown_newest is None or shown_newest - shown > _LARGEST_FOLD:
        return False
    zone = ZoneInfo(timezone)
    return any(
        moment.replace(tzinfo=zone).utcoffset() != moment.replace(tzinfo=zone, fold=1).utcoffset()
        for moment in (shown, shown_newest)
    )


def _moment(digits: str) -> datetime | None:
    if len(digits) < 10:
        return None
    whole = digits[:14].ljust(14, "0")
    try:
        return datetime(  # noqa: DTZ001 - what the clock on the wall shows
            int(whole[:4]),
            int(whole[4:6]),
            int(whole[6:8]),
            int(whole[8:10]),
            int(whole[10:12]),
            min(int(whole[12:14]), 59),
        )
    except ValueError:
        return None
