"""Text of HL7 fields made fit for DICOM values (DICOM PS3.5 6.2).

Control characters are taken out. The backslash separates values in DICOM, so in text it becomes
``/`` (``R\\L KNEE`` is read as ``R/L KNEE`` and not as two values). Text too long for its value
representation is cut and a warning says where; identifiers never pass through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

import msgspec

from vitalbridge.hl7 import NULL
from vitalbridge.hl7.delimiters import STANDARD, Delimiters
from vitalbridge.hl7.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import CWE, Segment
    from vitalbridge.hl7.charsets import Charset

MOST_VALUES: Final = 250
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
    start, length = 0, len(text)
    while length - start > limit:
        end = text.rfind(" ", start + 1, start + limit + 1)
        if end < 0:
            end = start + limit
        values.append(text[start:end].strip())
        start = end + 1 if text[end] == " " else end
    values.append(text[start:].strip())
    return [value for value in values if value]


def put_values(
    changes: Changes, keyword: str, values: Iterable[str], where: str, warnings: list[str]
) -> None:
    """Lay texts into an attribute of several values, each once; one alone is no list.

    More than ``MOST_VALUES`` would not fit the 64 KiB of a value field: the rest adds a warning.
    """
    distinct = list(dict.fromkeys(values))
    if len(distinct) > MOST_VALUES:
        warnings.append(f"{where}: more than {MOST_VALUES} values, the rest left out")
        del distinct[MOST_VALUES:]
    if distinct:
        changes[keyword] = distinct[0] if len(distinct) == 1 else distinct


class Line(msgspec.Struct, frozen=True):
    """One repetition of a plain text field (ST, TX, FT), unescaped."""

    value: str

    @classmethod
    def parse(
        cls, text: str, delimiters: Delimiters = STANDARD, charset: Charset | None = None, /
    ) -> Self:
        """Read the escaped text of one repetition; component delimiters in it are text."""
        return cls(unescape(text, delimiters, charset))


def coded_text(segment: Segment, field: int) -> str:
    """Return what a CE or CWE says to a reader: its text, else the identifier, else another text.

    Returns ``""`` when it is empty and NULL when it is ``""``.
    """
    return (
        said(segment.get(field, 2))
        or segment.get(field)
        or said(segment.get(field, 5))
        or said(segment.get(field, 9))
    )


def cwe_text(code: CWE) -> str:
    """Return what a coded value says to a reader, as ``coded_text`` does; nothing for NULL."""
    return (
        said(code.text)
        or said(code.identifier)
        or said(code.alternate_text)
        or said(code.original_text)
    )


def said(text: str) -> str:
    """Return ``text``, or an empty string for the HL7 null, which says nothing inside a value."""
    return "" if text == NULL else text


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
