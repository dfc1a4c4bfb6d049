"""New messages from Python values, escaped and delimited.

A value is written by what it is: None or ``""`` an empty place, a str escaped text, an int its
digits, a date or datetime DT or DTM, a composite or DateTime as it reads, a tuple the components
(inside of a component the subcomponents), a list the repetitions, and ``Escaped`` text unchanged.
``NULL`` is written as the HL7 null.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from .charsets import charset_of
from .datetimes import DateTime, timestamp
from .delimiters import STANDARD, Delimiters
from .errors import InvalidValue
from .escapes import escape
from .types import Composite, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Value: TypeAlias = (
    "str | int | date | DateTime | Composite | tuple[Value, ...] | list[Value] | None"
)
"""What ``write_field`` takes; a list only outside of tuples, tuples at most two deep."""
Fields: TypeAlias = "Mapping[int, Value] | Sequence[Value]"
"""The fields of a segment, by number or from field 1 on."""

_CHARSET_FIELD: Final = 18


class Escaped(str):
    """Text that is escaped and delimited already."""

    __slots__ = ()


def write_field(value: Value, delimiters: Delimiters = STANDARD) -> str:
    """The escaped text of a field.

    Raises InvalidValue when the delimiters cannot express the value.
    """
    if isinstance(value, list):
        return joined([_written(one, delimiters) for one in value], delimiters.repetition)
    return _written(value, delimiters)


def write_segment(name: str, fields: Fields, delimiters: Delimiters = STANDARD) -> str:
    """One segment without its terminator.

    ``fields`` are the values from field 1 on, or a mapping from field number to value; those of a
    header segment (MSH, BHS, FHS) must be a mapping that begins with field 3, since fields 1 and 2
    are the delimiters.

    Raises InvalidValue for a name or number that no segment can have.
    """
    if not (len(name) == 3 and name.isascii() and name.isalnum() and name == name.upper()):
        raise InvalidValue("a segment name is three capital letters or digits")
    numbered = fields if isinstance(fields, Mapping) else dict(enumerate(fields, start=1))
    header = name in ("MSH", "BHS", "FHS")
    first = 3 if header else 1
    if any(number < first for number in numbered):
        raise InvalidValue("fields count from one, and MSH-1 and MSH-2 are the delimiters")
    last = max(numbered, default=first - 1)
    texts = [write_field(numbered.get(n), delimiters) for n in range(first, last + 1)]
    while texts and not texts[-1]:
        texts.pop()
    start = [name, delimiters.encoding_characters] if header else [name]
    return delimiters.field.join([*start, *texts])


def build_message(
    header: Mapping[int, Value],
    segments: Iterable[tuple[str, Fields]],
    *,
    charset: str = "UNICODE UTF-8",
    delimiters: Delimiters = STANDARD,
) -> bytes:
    """A whole message: MSH from ``header`` (field number -> value), then the segments.

    ``charset`` is a name of table 0211 and is written to MSH-18; ``""`` is ASCII, which leaves that
    field empty.

    Raises CharsetError when the set is unknown or lacks a character, InvalidValue as
    ``write_segment`` does.
    """
    numbered = {**header, _CHARSET_FIELD: charset}
    lines = [write_segment("MSH", numbered, delimiters)]
    lines += [write_segment(name, fields, delimiters) for name, fields in segments]
    return charset_of([charset]).encode("\r".join([*lines, ""]))


def _written(value: Value, delimiters: Delimiters) -> str:
    """A value inside of one repetition (or, with the inner delimiters, of one component)."""
    if value is None:
        return ""
    if isinstance(value, Escaped):
        if delimiters.field in value or "\r" in value or "\n" in value:
            raise InvalidValue("a field cannot hold its own end")
        return value
    if isinstance(value, str):
        return escape(value, delimiters)
    if isinstance(value, tuple):
        inner = delimiters.inner
        return joined([_written(part, inner) for part in value], delimiters.component)
    if isinstance(value, Composite | DateTime):
        return value.write(delimiters)
    if isinstance(value, datetime):
        return escape(timestamp(value), delimiters)
    if isinstance(value, date):
        return f"{value:%Y%m%d}".rjust(8, "0")
    if isinstance(value, int):
        return str(int(value))
    raise InvalidValue("repetitions cannot stand inside of a repetition")
