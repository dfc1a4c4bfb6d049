"""Coded entries: CE and CWE to items of code sequences (DICOM PS3.3 8.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.hl7 import CWE

from .text import LO, SH, clean, cut, said

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def first_code(
    code: CWE, rules: MappingRules, where: str, warnings: list[str]
) -> Attributes | None:
    """Return components 1 to 3 of a coded value as an item, else components 4 to 6."""
    return code_item(
        code.identifier, code.text, code.coding_system, rules, where, warnings
    ) or _alternate(code, rules, where, warnings)


def _alternate(
    code: CWE, rules: MappingRules, where: str, warnings: list[str]
) -> Attributes | None:
    if not code.alternate_identifier:
        return None
    return code_item(
        code.alternate_identifier,
        code.alternate_text,
        code.alternate_coding_system,
        rules,
        where,
        warnings,
    )


def protocol_code(
    code: CWE, rules: MappingRules, where: str, warnings: list[str]
) -> Attributes | None:
    """Return components 4 to 6 of OBR-4 as an item if present, else components 1 to 3."""
    return _alternate(code, rules, where, warnings) or first_code(code, rules, where, warnings)


def codes(
    segment: Segment, field: int, rules: MappingRules, warnings: list[str]
) -> list[Attributes]:
    """Return all repetitions of a coded field as items."""
    where = f"{segment.name}-{field}"
    items = (first_code(code, rules, where, warnings) for code in segment.read_all(CWE, field))
    return [item for item in items if item is not None]


def distinct_codes(items: Iterable[Attributes]) -> list[Attributes]:
    """Return the items of a code sequence, each code once."""
    distinct: dict[tuple[object, object], Attributes] = {}
    for item in items:
        code = item.get("CodeValue") or item.get("LongCodeValue")
        distinct.setdefault((code, item["CodingSchemeDesignator"]), item)
    return list(distinct.values())
