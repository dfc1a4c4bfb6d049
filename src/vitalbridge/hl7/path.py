"""Paths to a place in a message: ``PID-5.1``, ``PID-3[2].4.2``, ``/ORDER[2]/OBR-4.1``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from .errors import InvalidPath

_GRAMMAR: Final = re.compile(
    r"""
    (?: /? (?P<group> ORDER ) (?: \[ (?P<index> [1-9][0-9]{0,5} ) \] )? / )?
    (?P<segment> [A-Z][A-Z0-9]{2} ) (?: \[ (?P<occurrence> [1-9][0-9]{0,5} ) \] )?
    - (?P<field> [1-9][0-9]{0,3} ) (?: \[ (?P<repetition> [1-9][0-9]{0,3} ) \] )?
    (?: \. (?P<component> [1-9][0-9]{0,3} )
        (?: \. (?P<subcomponent> [1-9][0-9]{0,3} ) )?
    )?
    """,
    re.VERBOSE,
)

_LEVELS: Final = ((1, "repetition"), (2, "component"), (3, "subcomponent"))


class Path(NamedTuple):
    """A parsed path; every number counts from one, and one is what was left out.

    ``group`` is the number of the order group, 0 when the path does not name one (``occurrence``
    then counts in the whole message). ``depth`` tells how deep the path was written: 0 a field,
    1 a repetition, 2 a component, 3 a subcomponent.
    """

    segment: str
    occurrence: int
    field: int
    component: int
    subcomponent: int
    repetition: int
    group: int
    depth: int


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Parse ``[/ORDER[n]/]SEG[n]-field[repetition][.component[.subcomponent]]``.

    Raises InvalidPath.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise InvalidPath("a path is written as SEG-field, PID-3[2].4.2 or /ORDER[2]/OBR-4.1")
    part = match.groupdict()
    return Path(
        segment=part["segment"],
        occurrence=int(part["occurrence"] or 1),
        field=int(part["field"]),
        component=int(part["component"] or 1),
        subcomponent=int(part["subcomponent"] or 1),
        repetition=int(part["repetition"] or 1),
        group=int(part["index"] or 1) if part["group"] else 0,
        depth=max(
            (level for level, name in _LEVELS if part[name] is not None),
            default=0,
        ),
    )
