"""HL7 names (XPN, XCN) to DICOM person names (PN).

``Family^Given^Middle^Suffix^Prefix`` becomes ``Family^Given^Middle^Prefix^Suffix`` (DICOM PS3.5
6.2.1.1). The degree is dropped: PN has no place for it beside the suffix, and XPN-14 follows it
there from v2.5 on. Repetitions that differ in their representation (A, I, P: table 4000) become the
component groups ``A=I=P``. Within a component ``^``, ``=`` and control characters become blanks
and ``\\`` becomes ``/``. A group longer than 64 characters is cut, with a warning: names are no
identifiers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import NULL, XCN, XPN

from .text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Segment

_GROUP_LIMIT: Final = 64
_GROUPS: Final = ("A", "I", "P")
# The legal name is what a patient is identified by; an alias or a maiden name only fills the gap.
_TYPE_RANK: Final = {"L": 0, "": 0, "D": 1, "C": 2, "N": 4, "A": 4, "M": 4, "B": 4}
_OTHER_TYPE: Final = 3


def _part(text: str) -> str:
    if not text or text == NULL:
        return ""
    if text.isalnum():
        return text
    if "^" in text or "=" in text:
        text = text.replace("^", " ").replace("=", " ")
    return clean(text)


def written_name(parts: Sequence[str], where: str, warnings: list[str]) -> str:
    """Return one component group of PN from family, given, middle, prefix, suffix.

    ``""`` when no part says anything.
    """
    group = "^".join(map(_part, parts)).rstrip("^")
    if len(group) > _GROUP_LIMIT:
        warnings.append(f"{where}: name cut to {_GROUP_LIMIT} characters")
        group = group[:_GROUP_LIMIT].rstrip("^ ")
    return group


def _group(name: XPN | XCN, where: str, warnings: list[str]) -> str:
    return written_name(
        (name.family, name.given, name.middle, name.prefix, name.suffix), where, warnings
    )


def person_name(names: Sequence[XPN | XCN], where: str, warnings: list[str]) -> str:
    """Return the repetitions of one field as PN ``A=I=P``, ``""`` without any name.

    Of several names in one representation the legal one is taken, else the first. A name without
    representation is alphabetic. Of several persons (XCN with other ids) only the first counts.
    """
    if len(names) == 1 and names[0].representation in {"", "A"}:
        return _group(names[0], where, warnings)
    chosen: dict[str, tuple[int, str]] = {}
    first_id = getattr(names[0], "id", "") if names else ""
    for name in names:
        if getattr(name, "id", "") != first_id:
            continue
        group = _group(name, where, warnings)
        if not group:
            continue
        representation = name.representation if name.representation in _GROUPS else "A"
        rank = _TYPE_RANK.get(name.name_type, _OTHER_TYPE)
        if representation not in chosen or rank < chosen[representation][0]:
            chosen[representation] = (rank, group)
    return "=".join(chosen[group][1] if group in chosen else "" for group in _GROUPS).rstrip("=")


def put_name(
    changes: Changes,
    keyword: str,
    segment: Segment,
    field: int,
    kind: type[XPN] | type[XCN],
    warnings: list[str],
) -> None:
    """Lay the name in a field (empty, null or a value) into ``changes``."""
    text = segment.field(field)
    if not text:
        return
    if text == NULL:
        changes[keyword] = None
        return
    name = person_name(segment.read_all(kind, field), f"{segment.name}-{field}", warnings)
    if name:
        changes[keyword] = name
