"""Coded entries: CE and CWE to items of code sequences (DICOM PS3.3 8.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import LO, SH, clean, cut, said

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Attributes
    from vitalbridge.hl7 import Segment

    from .mapping import MappingRules


def code_item(
    code: str, meaning: str, scheme: str, rules: MappingRules, where: str, warnings: list[str]
) -> Attributes | None:
    """Return one item of a code sequence, None without a code.

    A code of more than 16 characters is a LongCodeValue. CodeMeaning must not be empty: without a
    text it is the code. A designator that DICOM has no room for leaves the code without meaning, so
    the item is left out, with a warning.
    """
    code = clean(said(code))
    if not code:
        return None
    scheme = said(scheme).strip()
    designator = clean(rules.coding_schemes.get(scheme, scheme))
    if len(designator) > SH:
        warnings.append(f"{where}: coding system longer than {SH} characters, code left out")
        return None
    text = clean(said(meaning)) or code
    return {
        "CodeValue" if len(code) <= SH else "LongCodeValue": code,
        "CodingSchemeDesignator": designator,
        "CodeMeaning": text if len(text) <= LO else cut(text, LO, where, warnings),
    }


def primary_code(
    segment: Segment, field: int, rules: MappingRules, warnings: list[str], repetition: int = 1
) -> Attributes | None:
    """Return components 1 to 3 of a CE as an item, else components 4 to 6."""
    where = f"{segment.name}-{field}"
    return code_item(
        segment.get(field, 1, 1, repetition),
        segment.get(field, 2, 1, repetition),
        segment.get(field, 3, 1, repetition),
        rules,
        where,
        warnings,
    ) or code_item(
        segment.get(field, 4, 1, repetition),
        segment.get(field, 5, 1, repetition),
        segment.get(field, 6, 1, repetition),
        rules,
        where,
        warnings,
    )


def protocol_code(
    segment: Segment, field: int, rules: MappingRules, warnings: list[str]
) -> Attributes | None:
    """Return components 4 to 6 of OBR-4 as an item if present, else components 1 to 3."""
    if segment.get(field, 4):
        item = code_item(
            segment.get(field, 4),
            segment.get(field, 5),
            segment.get(field, 6),
            rules,
            f"{segment.name}-{field}",
            warnings,
        )
        if item is not None:
            return item
    return primary_code(segment, field, rules, warnings)


def codes(
    segment: Segment, field: int, rules: MappingRules, warnings: list[str]
) -> list[Attributes]:
    """Return all repetitions of a coded field as items."""
    items = []
    for repetition in range(1, segment.count(field) + 1):
        item = primary_code(segment, field, rules, warnings, repetition)
        if item is not None:
            items.append(item)
    return items
