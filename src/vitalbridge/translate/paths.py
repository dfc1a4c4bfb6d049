"""Configured places in a message, read relative to one order group."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from vitalbridge.hl7 import InvalidPath
from vitalbridge.hl7.path import parse_path

if TYPE_CHECKING:
    from vitalbridge.hl7 import Message, OrderGroup, Segment


class FieldPath(NamedTuple):
    """A path of the configuration; ``occurrence`` 0: the order group's own segment if any."""

    segment: str
    occurrence: int
    field: int
    component: int
    subcomponent: int
    repetition: int


@lru_cache(maxsize=1024)
def field_path(text: str) -> FieldPath:
    """Parse ``SEG[n]-field[repetition][.component[.subcomponent]]``.

    Raises ValueError for anything else, also for paths that name an order group.
    """
    try:
        path = parse_path(text)
    except InvalidPath as error:
        raise ValueError(f"{text!r} is no path of an HL7 field") from error
    if path.group:
        raise ValueError(f"{text!r}: the order group is always the current one")
    occurrence = path.occurrence if text[3] == "[" else 0
    return FieldPath(
        path.segment,
        occurrence,
        path.field,
        path.component,
        path.subcomponent,
        path.repetition,
    )


def find_segment(path: FieldPath, message: Message, group: OrderGroup | None) -> Segment | None:
    """Return the segment that ``path`` means: the group's own one before any of the message."""
    if path.occurrence:
        return message.segment(path.segment, path.occurrence)
    if group is not None:
        if path.segment == "OBR":
            return group.obr
        if path.segment == "ORC":
            return group.orc
        for segment in group.segments:
            if segment.name == path.segment:
                return segment
    return message.segment(path.segment)


def read_path(text: str, message: Message, group: OrderGroup | None = None) -> str:
    """Return the unescaped value at a configured path, ``""`` when it is absent."""
    path = field_path(text)
    segment = find_segment(path, message, group)
    if segment is None:
        return ""
    return segment.get(path.field, path.component, path.subcomponent, path.repetition)
