"""Dates and times of HL7 v2 with the precision and the zone that they were sent with.

``YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]`` (HL7 v2.5.1 2.A.22), TS with its old second
component (2.A.77) included. Three liberties: a fraction may have up to six digits, 24:00 is the
midnight that ends the day, and a leap second (60) is read as 59, because a modality's clock has
none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from .delimiters import STANDARD, Delimiters
from .errors import InvalidDateTime

if TYPE_CHECKING:
    from datetime import tzinfo

    from .charsets import Charset

Precision = Literal["year", "month", "day", "hour", "minute", "second", "fraction"]

_PRECISIONS: Final[dict[int, Precision]] = {
    4: "year",
    6: "month",
    8: "day",
    10: "hour",
    12: "minute",
    14: "second",
}
_DIGITS: Final[dict[str, int]] = {
    **{name: count for count, name in _PRECISIONS.items()},
    "fraction": 14,
}
# Degree of precision, the second component of TS until HL7 v2.5 (table 0529).
_DEGREES: Final[dict[str, Precision]] = {
    "Y": "year",
    "L": "month",
    "D": "day",
    "H": "hour",
    "M": "minute",
    "S": "second",
}
_MONTH_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_UNSAID: Final = "00000101000000"  # what the digits that were not sent count as
_LARGEST_OFFSET: Final = 15 * 60 + 59  # that of any place before it had a zone


class DateTime(msgspec.Struct, frozen=True):
    """A point in time, as precise as it was sent.

    ``text`` is what was sent. ``digits`` is the local date and time, ``YYYY`` to
    ``YYYYMMDDHHMMSS``, checked to exist; ``fraction`` the digits after the point.
    ``offset_minutes`` is the zone's distance east of UTC, None when none was sent.
    """

    text: str
    precision: Precision
    digits: str
    fraction: str = ""
    offset_minutes: int | None = None

    @classmethod
    def parse(
        cls, text: str, delimiters: Delimiters = STANDARD, _charset: Charset | None = None, /
    ) -> DateTime:
        """Read a DT, DTM or TS.

        A TS that declares a coarser degree of precision than it has digits is cut to that. Raises
        InvalidDateTime, also for the HL7 null, which is no date.
        """
        value = text
        degree = ""
        if delimiters.component in value:
            parts = value.split(delimiters.component)
            value, degree = parts[0], parts[1]
        digits, fraction, offset = value, "", None
        if not (value.isdigit() and value.isascii()):
            digits, fraction, offset = _divided(value.strip())
        precision = _PRECISIONS.get(len(digits))
        if precision is None:
            raise InvalidDateTime("not of the form YYYY[MM[DD[HH[MM[SS[.SSSS]]]]]][+/-ZZZZ]")
        if fraction:
            precision = "fraction"
        _check_date(digits)
        if len(digits) > 8:
            digits = _checked_time(digits, fraction)
        coarser = _DEGREES.get(degree)
        if coarser is not None and _DIGITS[coarser] < len(digits):
            digits, fraction, precision = digits[: _DIGITS[coarser]], "", coarser
        return cls(text, precision, digits, fraction, offset)

    @property
    def da(self) -> str:
        """The date as DICOM DA writes it, ``YYYYMMDD``; shorter when less was sent."""
        return self.digits[:8]

    @property
    def tm(self) -> str:
        """The time as DICOM TM writes it, ``HHMMSS.FFFF``; shorter or empty when less was sent."""
        return f"{self.digits[8:]}.{self.fraction}" if self.fraction else self.digits[8:]

    def write(self, _delimiters: Delimiters = STANDARD, /) -> str:
        """The value as DTM: what was sent, checked and without a degree of precision."""
        fraction = f".{self.fraction}" if self.fraction else ""
        return f"{self.digits}{fraction}{_offset_text(self.offset_minutes)}"

    def aware(self, zone: tzinfo) -> datetime:
        """The beginning of what was sent, in UTC.

        ``zone`` is where the sender's clock stands and is used only when no offset was sent. A
        local time that occurs twice (clocks set back) is its first occurrence; one that does not
        occur (clocks set forward) is read with the offset before the change, so that 02:30 becomes
        03:30 of the new time.

        Raises InvalidDateTime when the result lies outside of the years 1 to 9999.
        """
        try:
            return self._local(zone).astimezone(UTC)
        except OverflowError:
            raise InvalidDateTime("the time lies outside of the years 1 to 9999") from None

    def in_zone(self, zone: tzinfo) -> DateTime:
        """The same as the wall clock of a zone shows it, without an offset.

        Only what was sent with an offset is moved; a date without a time is no point in time and
        stays that date. Raises InvalidDateTime when the result lies outside of the years 1 to 9999.
        """
        if self.offset_minutes is None:
            return self
        digits = self.digits
        precision = self.precision
        if len(digits) > 8:
            try:
                local = self._local(zone).astimezone(zone)
            except OverflowError:
                raise InvalidDateTime("the time lies outside of the years 1 to 9999") from None
            if precision == "hour" and local.minute:
                precision = "minute"  # the zones differ by part of an hour
            digits = _digits_of(local)[: _DIGITS[precision]]
        text = f"{digits}.{self.fraction}" if self.fraction else digits
        return DateTime(text, precision, digits, self.fraction)

    def _local(self, zone: tzinfo) -> datetime:
        digits = self.digits + _UNSAID[len(self.digits) :]
        return datetime(
            int(digits[:4]),
            int(digits[4:6]),
            int(digits[6:8]),
            int(digits[8:10]),
            int(digits[10:12]),
            int(digits[12:14]),
            int(self.fraction.ljust(6, "0")) if self.fraction else 0,
            tzinfo=zone if self.offset_minutes is None else _fixed(self.offset_minutes),
        )


def timestamp(moment: datetime) -> str:
    """A moment as DTM to the second, with its offset when it is aware: ``20231115143052+0000``."""
    offset = moment.utcoffset()
    minutes = None if offset is None else round(offset.total_seconds() / 60)
    return _digits_of(moment) + _offset_text(minutes)


def _offset_text(minutes: int | None) -> str:
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{rest:02}"


def _divided(value: str) -> tuple[str, str, int | None]:
    """Digits, fraction and offset of a value that has more than digits."""
    offset: int | None = None
    for sign in "+-":
        if sign in value:
            value, _, zone = value.partition(sign)
            offset = _offset(zone) if sign == "+" else -_offset(zone)
            break
    digits, point, fraction = value.partition(".")
    if not (digits.isdigit() and digits.isascii()):
        raise InvalidDateTime("not of the form YYYY[MM[DD[HH[MM[SS[.SSSS]]]]]][+/-ZZZZ]")
    if point and not (
        len(digits) == 14 and 1 <= len(fraction) <= 6 and fraction.isdigit() and fraction.isascii()
    ):
        raise InvalidDateTime("not a fraction of a second")
    return digits, fraction, offset


def _check_date(digits: str) -> None:
    year = int(digits[:4])
    if year == 0:
        raise InvalidDateTime("there is no year 0")
    if len(digits) == 4:
        return
    month = int(digits[4:6])
    if not 1 <= month <= 12:
        raise InvalidDateTime("there is no such month")
    if len(digits) == 6:
        return
    day = int(digits[6:8])
    if 1 <= day <= _MONTH_LENGTHS[month]:
        return
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (day == 29 and month == 2 and leap):
        raise InvalidDateTime("there is no such day in that month")


def _checked_time(digits: str, fraction: str) -> str:
    """The digits if there is such a time; 24:00 and a leap second as what stands for them."""
    if digits[8:10] > "23":
        if digits[8:10] == "24" and not (digits[10:] + fraction).strip("0"):
            return _next_midnight(digits)
        raise InvalidDateTime("there is no such hour")
    if digits[10:12] > "59":
        raise InvalidDateTime("there is no such minute")
    seconds = digits[12:14]
    if seconds > "59":
        if seconds != "60":
            raise InvalidDateTime("there is no such second")
        return digits[:12] + "59"
    return digits


def _next_midnight(digits: str) -> str:
    try:
        day = datetime(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) + timedelta(days=1)  # noqa: DTZ001
    except OverflowError:
        raise InvalidDateTime("the time lies outside of the years 1 to 9999") from None
    return _digits_of(day)[: len(digits)]


def _offset(zone: str) -> int:
    if len(zone) != 4 or not (zone.isdigit() and zone.isascii()) or zone[2:] > "59":
        raise InvalidDateTime("not an offset of the form +/-ZZZZ")
    minutes = int(zone[:2]) * 60 + int(zone[2:])
    if minutes > _LARGEST_OFFSET:
        raise InvalidDateTime("there is no such offset from UTC")
    return minutes


def _digits_of(moment: datetime) -> str:
    # strftime("%Y") does not pad years before 1000 on every platform.
    return (
        f"{moment.year:04}{moment.month:02}{moment.day:02}"
        f"{moment.hour:02}{moment.minute:02}{moment.second:02}"
    )


@lru_cache(maxsize=2048)
def _fixed(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes))
