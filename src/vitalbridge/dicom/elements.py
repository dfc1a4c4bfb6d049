"""Data sets as bytes: a reader that trusts nothing and a writer (DICOM PS3.5 7).

Worklist identifiers are small, numerous and of few attributes; both directions work on plain
bytes and leave the meaning of text to the caller, who knows the character set.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

import msgspec

from vitalbridge.dicom.dictionary import keyword_and_vr

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_MAX_DEPTH: Final = 16
_UNKNOWN_SEQUENCE: Final = "UN SQ"

_LONG_LENGTH = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)
_SHORT_LENGTH = frozenset(
    "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()  # noqa: SIM905
)
NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
"""Binary numbers that a worklist may carry, and their ``struct`` code."""


class EncodingError(ValueError):
    """The bytes are no data set in the agreed transfer syntax; ``offset`` says where."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text} at byte {offset}")
        self.offset = offset


class Syntax(msgspec.Struct, frozen=True):
    """A transfer syntax without compression."""

    uid: str
    explicit: bool
    big: bool

    @property
    def order(self) -> str:
        """The ``struct`` prefix of its byte order."""
        return ">" if self.big else "<"


SYNTAXES: Final = {
    syntax.uid: syntax
    for syntax in (
        Syntax(EXPLICIT_LITTLE, explicit=True, big=False),
        Syntax(IMPLICIT_LITTLE, explicit=False, big=False),
        Syntax(EXPLICIT_BIG, explicit=True, big=True),
    )
}


@cache
def _starts(syntax: Syntax) -> tuple[struct.Struct, struct.Struct]:
    """Return what packs (group, element, length) and (group, element, VR, short length)."""
    return struct.Struct(syntax.order + "HHI"), struct.Struct(syntax.order + "HH2sH")


class Element(msgspec.Struct, frozen=True):
    """One data element: its raw value, or its items when it is a sequence."""

    tag: int
    vr: str
    value: bytes
    items: tuple[tuple[Element, ...], ...] | None = None


def read(data: bytes, syntax: Syntax) -> tuple[Element, ...]:
    """Return the elements of a data set; raises :class:`EncodingError`."""
    elements, end = _Reader(data, syntax).data_set(0, len(data), 0, delimited=False)
    if end != len(data):
        raise EncodingError("data after the end of the data set", end)
    return elements


class _Reader:
    def __init__(self, data: bytes, syntax: Syntax) -> None:
        self._data = data
        self._syntax = syntax
        self._explicit = syntax.explicit
        self._start, self._start_with_vr = _starts(syntax)
        self._long = struct.Struct(syntax.order + "I")

    def data_set(
        self, start: int, end: int, depth: int, *, delimited: bool
    ) -> tuple[tuple[Element, ...], int]:
        if depth > _MAX_DEPTH:
            raise EncodingError("sequences nested too deeply", start)
        elements: list[Element] = []
        offset = start
        while offset < end:
            tag, vr, length, value_at = self._header(offset, end)
            if tag == _ITEM_END and delimited:
                return tuple(elements), value_at
            if tag >> 16 == 0xFFFE:
                raise EncodingError("item tag outside a sequence", offset)
            if length == _UNDEFINED or vr in ("SQ", _UNKNOWN_SEQUENCE):
                items, offset = self._sequence(vr, value_at, length, end, depth)
                elements.append(Element(tag, "SQ", b"", items))
                continue
            offset = value_at + length
            if offset > end:
                raise EncodingError("element longer than its data set", value_at)
            elements.append(Element(tag, vr, self._data[value_at:offset]))
        if delimited:
            raise EncodingError("item without its end", offset)
        return tuple(elements), offset

    def _header(self, offset: int, end: int) -> tuple[int, str, int, int]:
        if offset + 8 > end:
            raise EncodingError("incomplete element", offset)
        group, element, length = self._start.unpack_from(self._data, offset)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", length, offset + 8
        if not self._explicit:
            return tag, keyword_and_vr(tag)[1], length, offset + 8
        _, _, code, length = self._start_with_vr.unpack_from(self._data, offset)
        vr = code.decode("latin-1")
        if vr in _SHORT_LENGTH:
            return tag, vr, length, offset + 8
        if vr not in _LONG_LENGTH:
            raise EncodingError("no VR", offset + 4)
        if offset + 12 > end:
            raise EncodingError("incomplete element", offset)
        length = self._long.unpack_from(self._data, offset + 8)[0]
        return tag, self._resolved(vr, tag), length, offset + 12

    def _resolved(self, vr: str, tag: int) -> str:
        # Of an attribute sent as UN only sequences are read by the dictionary: text is text.
        return _UNKNOWN_SEQUENCE if vr == "UN" and keyword_and_vr(tag)[1] == "SQ" else vr

    def _sequence(
        self, vr: str, start: int, length: int, end: int, depth: int
    ) -> tuple[tuple[tuple[Element, ...], ...], int]:
        if vr.startswith("UN") and self._syntax.explicit:
            # The content of UN with undefined length is implicit VR little endian (PS3.5 6.2.2).
            inner = _Reader(self._data, SYNTAXES[IMPLICIT_LITTLE])
            return inner._sequence("SQ", start, length, end, depth)
        defined = length != _UNDEFINED
        if defined and start + length > end:
            raise EncodingError("sequence longer than its data set", start)
        stop = start + length if defined else end
        items: list[tuple[Element, ...]] = []
        offset = start
        while offset < stop:
            tag, _, item_length, value_at = self._header(offset, stop)
            if tag == _SEQUENCE_END and not defined:
                return tuple(items), value_at
            if tag != _ITEM:
                raise EncodingError("no item in the sequence", offset)
            if item_length == _UNDEFINED:
                item, offset = self.data_set(value_at, stop, depth + 1, delimited=True)
            else:
                if value_at + item_length > stop:
                    raise EncodingError("item longer than its sequence", offset)
                item, offset = self.data_set(
                    value_at, value_at + item_length, depth + 1, delimited=False
                )
            items.append(item)
        if not defined:
            raise EncodingError("sequence without its end", offset)
        return tuple(items), offset


def header(tag: int, vr: str, length: int, syntax: Syntax) -> bytes:
    """Return tag, VR and length of an element; raises ``ValueError`` when it is too long."""
    start, start_with_vr = _starts(syntax)
    if not syntax.explicit:
        return start.pack(tag >> 16, tag & 0xFFFF, length)
    if vr in _LONG_LENGTH:
        head = start_with_vr.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0)
        return head + length.to_bytes(4, "big" if syntax.big else "little")
    if length > 0xFFFF:
        raise ValueError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}): value too long for VR {vr}")
    return start_with_vr.pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)


def element(tag: int, vr: str, value: bytes, syntax: Syntax) -> bytes:
    """Return an encoded element, padded to an even length (DICOM PS3.5 6.2)."""
    if len(value) & 1:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    return header(tag, vr, len(value), syntax) + value


def sequence(tag: int, items: list[bytes], syntax: Syntax) -> bytes:
    """Return an encoded sequence of encoded items, with explicit lengths."""
    start, _ = _starts(syntax)
    body = b"".join([start.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(item)) + item for item in items])
    return header(tag, "SQ", len(body), syntax) + body


def numbers(vr: str, texts: list[str], syntax: Syntax) -> bytes:
    """Return decimal texts as binary numbers of the VR; raises ``ValueError`` for other texts."""
    kind = NUMBERS[vr]
    values: list[float] | list[int]
    values = [float(text) for text in texts] if kind in "fd" else [int(text) for text in texts]
    try:
        return struct.pack(f"{syntax.order}{len(values)}{kind}", *values)
    except struct.error as error:
        raise ValueError(f"number out of the range of VR {vr}") from error
