"""The identifier of a response: of one worklist item exactly what the request asked for.

Attributes asked for and not known are returned empty, those not asked for are not returned; an
empty sequence key asks for all that its items hold (DICOM PS3.4 C.2.2.2.6, K.6.1.2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from vitalbridge.dicom import elements
from vitalbridge.dicom.charsets import DEFAULT_REPERTOIRE, CharacterSet, choose
from vitalbridge.dicom.dictionary import (
    SPECIFIC_CHARACTER_SET,
    STEP_SEQUENCE,
    WORKLIST_ATTRIBUTES,
    tag_and_vr,
)
from vitalbridge.dicom.elements import Syntax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vitalbridge.dicom.attributes import Attributes, Value
    from vitalbridge.dicom.query import Identifier, Key
    from vitalbridge.dicom.worklist import WorklistItem

_TEXT_VRS = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""VRs whose text is in the Specific Character Set (DICOM PS3.5 6.1.2.2)."""

Shape: TypeAlias = "tuple[Asked, ...]"


class Asked(msgspec.Struct, frozen=True):
    """One attribute of the reply; ``inner`` are those of a sequence's items, empty for all."""

    tag: int
    keyword: str
    vr: str
    supported: bool
    inner: tuple[Asked, ...] | None = None


class Plan(msgspec.Struct, frozen=True):
    """What makes two replies for one item equal: the attributes, the encoding, the sets allowed."""

    shape: tuple[Asked, ...]
    syntax: Syntax
    charsets: tuple[CharacterSet, ...]


class Response(msgspec.Struct, frozen=True):
    """An encoded identifier; ``complete`` is false when an optional key had to be ignored."""

    data: bytes
    complete: bool
    transliterated: int


def shape(identifier: Identifier) -> Shape:
    """Return the attributes that the request asks for, in order of their tags."""
    return tuple(_asked(key, key.keyword in WORKLIST_ATTRIBUTES) for key in identifier.keys)


def _asked(key: Key, supported: bool) -> Asked:
    known = supported and bool(key.keyword)
    if key.inner is None:
        return Asked(key.tag, key.keyword, key.vr, known)
    inner = tuple(_asked(asked, supported) for asked in key.inner)
    return Asked(key.tag, key.keyword, "SQ", known, inner)


def respond(item: WorklistItem, plan: Plan) -> Response:
    """Return the encoded identifier of one item.

    Raises ``ValueError`` (``KeyError`` for an unknown keyword) when a stored value can't be of its
    attribute's VR.
    """
    stored: Attributes = {**item.patient, **item.order, STEP_SEQUENCE: [item.step]}
    try:
        writer = _Writer(plan.syntax, DEFAULT_REPERTOIRE)
        body = writer.data_set(plan.shape, stored)
    except UnicodeEncodeError:
        chosen = choose(_texts(plan.shape, stored), plan.charsets)
        writer = _Writer(plan.syntax, chosen, lossy=True)
        body = writer.data_set(plan.shape, stored)
        if chosen.terms:
            body = _charset_element(chosen, plan.syntax) + body
    return Response(body, writer.complete, writer.transliterated)


def _charset_element(charset: CharacterSet, syntax: Syntax) -> bytes:
    return elements.element(SPECIFIC_CHARACTER_SET, "CS", charset.value.encode("ascii"), syntax)


class _Writer:
    """Encodes attributes in one transfer syntax and character set, and counts what it gave up."""

    def __init__(self, syntax: Syntax, charset: CharacterSet, *, lossy: bool = False) -> None:
        self._syntax = syntax
        self._charset = charset
        self._lossy = lossy
        self.complete = True
        self.transliterated = 0

    def data_set(self, wanted: Iterable[Asked], stored: Attributes) -> bytes:
        parts = []
        for asked in wanted:
            value = stored.get(asked.keyword) if asked.keyword else None
            if value is None and not asked.supported:
                self.complete = False
            elif asked.vr == "SQ":
                parts.append(self._sequence(asked, value))
            else:
                encoded = self._value(asked.vr, value) if value else b""
                parts.append(elements.element(asked.tag, asked.vr, encoded, self._syntax))
        return b"".join(parts)

    def _sequence(self, asked: Asked, value: Value | None) -> bytes:
        items = _items(value)
        encoded = [self.data_set(asked.inner or _everything(item), item) for item in items]
        return elements.sequence(asked.tag, encoded, self._syntax)

    def _value(self, vr: str, value: Value) -> bytes:
        if isinstance(value, str):
            text = value
        else:
            text = "\\".join(part for part in value if isinstance(part, str))
        if vr in elements.NUMBERS:
            return elements.numbers(vr, text.split("\\"), self._syntax)
        if not self._lossy:
            return text.encode("ascii")
        encoded, lost = (self._charset if vr in _TEXT_VRS else DEFAULT_REPERTOIRE).encode_lossy(
            text
        )
        self.transliterated += lost
        return encoded


def _items(value: Value | None) -> list[Attributes]:
    if value is None or isinstance(value, str):
        return []
    return [item for item in value if isinstance(item, dict)]


def _everything(item: Mapping[str, Value]) -> list[Asked]:
    wanted = []
    for keyword in item:
        tag, vr = tag_and_vr(keyword)
        wanted.append(Asked(tag, keyword, vr, True, () if vr == "SQ" else None))
    wanted.sort(key=lambda asked: asked.tag)
    return wanted


def _texts(wanted: Iterable[Asked], stored: Attributes) -> Iterator[str]:
    """Yield all text of the reply that the Specific Character Set applies to."""
    for asked in wanted:
        value = stored.get(asked.keyword) if asked.keyword else None
        if not value:
            continue
        if asked.vr == "SQ":
            for item in _items(value):
                yield from _texts(asked.inner or _everything(item), item)
        elif asked.vr in _TEXT_VRS:
            yield from [value] if isinstance(value, str) else filter(_is_text, value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
