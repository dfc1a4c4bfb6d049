"""Which of two events is newer, as far as one sender's clock can tell.

Event times are digits in UTC, as precise as the sender gave them (``YYYYMMDDHHMMSS.ffffff``; a date
alone is the sender's own day). What cannot be decided counts as newer: the order of arrival holds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from vitalbridge.bridge.model import Note, Seen

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working

_DAY = 8
# Clocks never go back by more than this when summer time ends.
_LARGEST_FOLD = timedelta(hours=2)


def is_newer(time: str, newest: str, timezone: str) -> bool:
    """Return whether ``time`` is after ``newest`` beyond doubt; an empty one never is."""
    return bool(time and newest) and is_older(newest, time, timezone)


def is_older(time: str, newest: str, timezone: str) -> bool:
    """Return whether ``time`` is before ``newest`` beyond doubt; an empty one never is.

    Times of unlike precision compare over what both have, but never a day with a time of day: they
    are of different zones. ``timezone`` is that of the sender's clock, which shows one hour of the
    year twice: two times in it cannot be put in order.
    """
    shared = min(len(time), len(newest))
    if shared <= _DAY and len(time) != len(newest):
        return False
    if time[:shared] >= newest[:shared]:
        return False
    return shared <= _DAY or not _within_fold(time, newest, timezone)


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


def remember_first(working: Working, context: HandlerContext, subject: str, time: str) -> None:
    """Keep ``time`` about a subject that this message makes, so that nothing is known of it."""
    if time:
        working.see(Seen(subject, context.sender, time))


def _within_fold(time: str, newest: str, timezone: str) -> bool:
    """Return whether the two lie in the hour that the sender's clock shows twice."""
    moment, newest_moment = _moment(time), _moment(newest)
    if newest_moment - moment > _LARGEST_FOLD:
        return False
    zone = _zone(timezone)
    return _shown_twice(moment.astimezone(zone)) or _shown_twice(newest_moment.astimezone(zone))


def _shown_twice(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _moment(digits: str) -> datetime:
    whole = digits[:14].ljust(14, "0")
    return datetime(
        int(whole[:4]),
        int(whole[4:6]),
        int(whole[6:8]),
        int(whole[8:10]),
        int(whole[10:12]),
        min(int(whole[12:]), 59),
        tzinfo=UTC,
    )


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
