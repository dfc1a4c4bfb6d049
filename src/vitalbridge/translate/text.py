"""Text of HL7 fields made fit for DICOM values (DICOM PS3.5 6.2).

Control characters are taken out. The backslash separates values in DICOM, so in text it becomes
``/`` (``R\\L KNEE`` is read as ``R/L KNEE`` and not as two values). Text too long for its value
representation is cut and a warning says where; identifiers never pass through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import NULL

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Segment

SH: Final = 16
LO: Final = 64
LT: Final = 10240

# Lone surrogates have no encoding at all; C1 controls are delimiters of ISO 2022 in some sets.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_CONTROLS_BUT_LINES: Final = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]+")


def clean(text: str) -> str:
    """Return one line of text without control characters, backslashes and outer blanks."""
    if text.isprintable():
        if "\\" in text:
            text = text.replace("\\", "/")
        return text.strip()
    return _CONTROLS.sub(" ", text).replace("\\", "/").strip()


def clean_lines(text: str) -> str:
    """Return text for LT: lines end in CR LF, other control characters are taken out."""
    lines = _CONTROLS_BUT_LINES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    return "\r\n".join(line.rstrip() for line in lines).rstrip()


def cut(text: str, limit: int, where: str, warnings: list[str]) -> str:
    """Return at most ``limit`` characters of ``text``; a cut adds a warning that names it."""
    if len(text) <= limit:
        return text
    warnings.append(f"{where}: cut to {limit} characters")
    return text[:limit].rstrip()


def wrapped(text: str, limit: int) -> list[str]:
    """Return ``text`` as values of at most ``limit`` characters, parted between words if possible.

    For attributes of several values whose text must not be lost (alerts, allergies).
    """
    values = []
    while len(text) > limit:
        end = text.rfind(" ", 1, limit + 1)
        if end < 1:
            end = limit
        values.append(text[:end].rstrip())
        text = text[end:].lstrip()
    if text:
        values.append(text)
    return values


def coded_text(segment: Segment, field: int, repetition: int = 1) -> str:
    """Return what a CE or CWE says to a reader: its text, else the identifier, else the original.

    Returns ``""`` when it is empty and NULL when it is ``""``.
    """
    return (
        _said(segment.get(field, 2, 1, repetition))
        or segment.get(field, 1, 1, repetition)
        or _said(segment.get(field, 5, 1, repetition))
        or _said(segment.get(field, 9, 1, repetition))
    )


def said(text: str) -> str:
    """Return ``text``, or an empty string for the HL7 null, which says nothing inside a value."""
    return "" if text == NULL else text


_said = said


def put_text(
    changes: Changes, keyword: str, text: str, limit: int, where: str, warnings: list[str]
) -> None:
    """Lay a text of three states (empty, null, value) into ``changes``."""
    if not text:
        return
    if text == NULL:
        changes[keyword] = None
        return
    text = clean(text)
    if text:
        changes[keyword] = text if len(text) <= limit else cut(text, limit, where, warnings)
