"""Specific Character Set (0008,0005): decoding, encoding and the choice for a reply.

Single-byte sets, code extensions with their escape sequences, and the stand-alone sets (DICOM PS3.3
C.12.1.1.2, PS3.5 6.1.2). A character that a set lacks is transliterated, never replaced by ``?``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec
from anyascii import anyascii

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STAND_ALONE: Final = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}

# Number of the ISO registration: (codec of the upper half, escape to designate it as G1).
_SINGLE_BYTE: Final = {
    "6": ("ascii", b""),
    "13": ("shift_jis", b"\x1b)I"),
    "100": ("iso8859_1", b"\x1b-A"),
    "101": ("iso8859_2", b"\x1b-B"),
    "109": ("iso8859_3", b"\x1b-C"),
    "110": ("iso8859_4", b"\x1b-D"),
    "126": ("iso8859_7", b"\x1b-F"),
    "127": ("iso8859_6", b"\x1b-G"),
    "138": ("iso8859_8", b"\x1b-H"),
    "144": ("iso8859_5", b"\x1b-L"),
    "148": ("iso8859_9", b"\x1b-M"),
    "166": ("iso8859_11", b"\x1b-T"),
    "203": ("iso8859_15", b"\x1b-b"),
}
# Multi-byte sets exist only as code extensions.
_MULTI_BYTE: Final = {
    "58": ("gb2312", b"\x1b$)A"),
    "87": ("euc_jp", b"\x1b$B"),
    "149": ("euc_kr", b"\x1b$)C"),
    "159": ("euc_jp", b"\x1b$(D"),
}
_ASCII_G0: Final = b"\x1b(B"
_ROMAJI_G0: Final = b"\x1b(J"
_G0_DOUBLE: Final = {b"\x1b$B": "87", b"\x1b$(D": "159"}
_G1_SETS: Final = {
    escape: number
    for table in (_SINGLE_BYTE, _MULTI_BYTE)
    for number, (_, escape) in table.items()
    if escape and escape not in _G0_DOUBLE
}
_ESCAPE: Final = re.compile(rb"\x1b(?:\$[()]?[A-Z]|[()\-][A-Za-z])")
_RESETS: Final = frozenset("\t\n\f\r\\^=")
"""After these the initial sets are in force again; ``^`` and ``=`` do so only in PN, where texts of
other VRs merely get an escape sequence more than needed."""


class UnknownCharacterSet(ValueError):
    """(0008,0005) names a set that nobody can decode."""


class CharacterSet(msgspec.Struct, frozen=True):
    """One value of (0008,0005): its defined terms, the first of them the initial set."""

    terms: tuple[str, ...]

    def decode(self, data: bytes) -> str:
        """Return the text; raises ``UnicodeDecodeError``."""
        if data.isascii() and b"\x1b" not in data:
            return data.decode("ascii")
        codec = _STAND_ALONE.get(self.terms[0]) if self.terms else None
        return data.decode(codec) if codec else _decode_extended(data, self._numbers())

    def encode(self, text: str) -> bytes:
        """Return the bytes with their escape sequences; raises ``UnicodeEncodeError``."""
        if text.isascii():
            return text.encode("ascii")
        codec = _STAND_ALONE.get(self.terms[0]) if self.terms else None
        return text.encode(codec) if codec else _encode_extended(text, self._numbers())

    def fits(self, character: str) -> bool:
        """Return whether the set has this character."""
        try:
            self.encode(character)
        except UnicodeEncodeError:
            return False
        return True

    def encode_lossy(self, text: str) -> tuple[bytes, int]:
        """Return the bytes and how many characters had to be transliterated."""
        try:
            return self.encode(text), 0
        except UnicodeEncodeError:
            spelled = [c if self.fits(c) else _transliterated(c) for c in text]
        lost = sum(new != old for new, old in zip(spelled, text, strict=True))
        return self.encode("".join(spelled)), lost

    @property
    def value(self) -> str:
        """(0008,0005) as it is sent, values separated by a backslash."""
        return "\\".join(self.terms)

    def _numbers(self) -> tuple[str, ...]:
        return tuple(term.rsplit(" ", 1)[-1] if term else "6" for term in self.terms) or ("6",)


DEFAULT_REPERTOIRE: Final = CharacterSet(())
LATIN_1: Final = CharacterSet(("ISO_IR 100",))
UTF_8: Final = CharacterSet(("ISO_IR 192",))


def _transliterated(character: str) -> str:
    # A spelling must not bring delimiters of its own, and a lost character leaves a trace.
    spelled = anyascii(character)
    return "".join(c for c in spelled if c.isprintable() and c not in "\\^=?") or "_"


@lru_cache(65536)
def _code(character: str, number: str) -> bytes | None:
    """Return the character's bytes in one registered set, or None when it has no such character."""
    codec = (_SINGLE_BYTE.get(number) or _MULTI_BYTE[number])[0]
    try:
        code = character.encode(codec)
    except UnicodeEncodeError:
        return None
    match number:
        case "87":
            return bytes(b & 0x7F for b in code) if len(code) == 2 and code[0] != 0x8E else None
        case "159":
            return bytes(b & 0x7F for b in code[1:]) if code[0] == 0x8F else None
        case "58" | "149":
            return code if len(code) == 2 else None
        case _:
            return code if len(code) == 1 and code[0] >= 0xA0 else None


def _initial_g0(first: str) -> bytes:
    return _ROMAJI_G0 if first == "13" else _ASCII_G0


def _encode_extended(text: str, numbers: tuple[str, ...]) -> bytes:
    first = numbers[0]
    initial = g0 = _initial_g0(first)
    g1 = first
    out = bytearray()
    for index, character in enumerate(text):
        if character < "\x80":
            if g0 != initial:
                out += initial
                g0 = initial
            out += character.encode("ascii")
            if character in _RESETS:
                g1 = first
            continue
        for number in numbers:
            code = _code(character, number)
            if code is None:
                continue
            escape = (_SINGLE_BYTE.get(number) or _MULTI_BYTE[number])[1]
            if escape in _G0_DOUBLE:
                if g0 != escape:
                    out += escape
                    g0 = escape
            elif g1 != number:
                out += escape
                g1 = number
            out += code
            break
        else:
            raise UnicodeEncodeError("DICOM", text, index, index + 1, "not in the character set")
    if g0 != initial:
        out += initial
    return bytes(out)


def _decode_extended(data: bytes, numbers: tuple[str, ...]) -> str:
    first = numbers[0]
    g0, g1 = "", first
    out: list[str] = []
    start = 0
    for escape in _ESCAPE.finditer(data):
        text, g0, g1 = _decode_run(data, start, escape.start(), g0, g1, first)
        out.append(text)
        start = escape.end()
        sequence = escape.group()
        if sequence in _G0_DOUBLE and _G0_DOUBLE[sequence] in numbers:
            g0 = _G0_DOUBLE[sequence]
        elif sequence in (_ASCII_G0, _ROMAJI_G0):
            g0 = ""
        elif _G1_SETS.get(sequence) in numbers:
            g1 = _G1_SETS[sequence]
        else:
            raise UnicodeDecodeError(
                "DICOM", data, escape.start(), start, "escape sequence of another character set"
            )
    text, _, _ = _decode_run(data, start, len(data), g0, g1, first)
    out.append(text)
    return "".join(out)


def _decode_run(
    data: bytes, start: int, end: int, g0: str, g1: str, first: str
) -> tuple[str, str, str]:
    """Decode what lies between two escape sequences; delimiters restore the initial sets."""
    out: list[str] = []
    index = start
    while index < end:
        byte = data[index]
        if byte < 0x80:
            if g0 and byte > 0x20:
                pair = data[index : min(index + 2, end)]
                prefix = b"\x8f" if g0 == "159" else b""
                out.append(_decoded(prefix + bytes(b | 0x80 for b in pair), "euc_jp", data, index))
                index += 2
                continue
            character = chr(byte)
            if character in _RESETS:
                g0, g1 = "", first
            out.append(character)
            index += 1
            continue
        size = 2 if g1 in _MULTI_BYTE else 1
        codec = (_SINGLE_BYTE.get(g1) or _MULTI_BYTE[g1])[0]
        if g1 == "13" and not 0xA1 <= byte <= 0xDF:
            raise UnicodeDecodeError("DICOM", data, index, index + 1, "not in the character set")
        out.append(_decoded(data[index : min(index + size, end)], codec, data, index))
        index += size
    return "".join(out), g0, g1


def _decoded(code: bytes, codec: str, data: bytes, index: int) -> str:
    try:
        return code.decode(codec)
    except UnicodeDecodeError as error:
        raise UnicodeDecodeError(
            "DICOM", data, index, index + len(code), "not in the character set"
        ) from error


_MISSPELLED: Final = {
    "UTF-8": "ISO_IR 192",
    "UTF8": "ISO_IR 192",
    "ISO 2022 GBK": "GBK",
    "ISO 2022 58": "ISO 2022 IR 58",
    "ISO 2022 GB18030": "GB18030",
}


@lru_cache(256)
def _term(text: str) -> str:
    term = " ".join(text.strip(" \0").upper().replace("-", " ").replace("_", " ").split())
    if not term:
        return ""
    upper = text.strip(" \0").upper()
    if upper in _MISSPELLED:
        return _MISSPELLED[upper]
    if term in ("GB18030", "GBK"):
        return term
    number = term.rsplit(" ", 1)[-1]
    if term.startswith("ISO 2022 IR ") and (number in _SINGLE_BYTE or number in _MULTI_BYTE):
        return f"ISO 2022 IR {number}"
    if term.startswith("ISO IR ") and (number in _SINGLE_BYTE or number == "192"):
        return f"ISO_IR {number}"
    raise UnknownCharacterSet("Specific Character Set with an unknown term")


def character_set(value: str | Sequence[str]) -> CharacterSet:
    """Return the character set that a value of (0008,0005) names.

    ``value`` is the value as sent (terms separated by a backslash) or its terms. Usual misspellings
    are understood. Raises :class:`UnknownCharacterSet`.
    """
    parts = value.split("\\") if isinstance(value, str) else list(value)
    if len(parts) > 8 or any(len(part) > 64 for part in parts):
        raise UnknownCharacterSet("Specific Character Set with too many or too long terms")
    terms = tuple(_term(part) for part in parts)
    if not any(terms):
        return DEFAULT_REPERTOIRE
    if terms[0] in _STAND_ALONE:
        # Further values beside a stand-alone set are not allowed and mean nothing.
        return CharacterSet(terms[:1])
    if len(terms) > 1:
        # With code extensions every term is of the ISO 2022 form (PS3.3 C.12.1.1.2).
        terms = tuple(t.replace("ISO_IR ", "ISO 2022 IR ") for t in terms if t not in _STAND_ALONE)
    elif terms[0].startswith("ISO 2022 IR ") and terms[0].rsplit(" ", 1)[-1] in _MULTI_BYTE:
        terms = ("", terms[0])
    return CharacterSet(terms)


_HL7: Final = {
    "": "",
    "ASCII": "",
    "8859/1": "ISO_IR 100",
    "8859/2": "ISO_IR 101",
    "8859/3": "ISO_IR 109",
    "8859/4": "ISO_IR 110",
    "8859/5": "ISO_IR 144",
    "8859/6": "ISO_IR 127",
    "8859/7": "ISO_IR 126",
    "8859/8": "ISO_IR 138",
    "8859/9": "ISO_IR 148",
    "8859/15": "ISO_IR 203",
    "ISO IR14": "ISO_IR 13",
    "ISO IR87": "\\ISO 2022 IR 87",
    "ISO IR159": "\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "KS X 1001": "\\ISO 2022 IR 149",
    "GB 18030-2000": "GB18030",
    "BIG-5": "ISO_IR 192",
    "UNICODE": "ISO_IR 192",
    "UNICODE UTF-8": "ISO_IR 192",
    "UNICODE UTF-16": "ISO_IR 192",
    "UNICODE UTF-32": "ISO_IR 192",
}


def of_hl7(name: str) -> CharacterSet:
    """Return the DICOM set for a name of HL7 table 0211; raises :class:`UnknownCharacterSet`."""
    try:
        return character_set(_HL7[name.strip().upper()])
    except KeyError:
        raise UnknownCharacterSet("character set not in HL7 table 0211") from None


def choose(texts: Iterable[str], candidates: Sequence[CharacterSet]) -> CharacterSet:
    """Return the first candidate that has every character, else the one that lacks the fewest.

    ``candidates`` must not be empty; ASCII alone needs no Specific Character Set.
    """
    needed = {c for text in texts if not text.isascii() for c in text if c >= "\x80"}
    if not needed:
        return DEFAULT_REPERTOIRE
    best, fewest = candidates[0], len(needed) + 1
    for candidate in candidates:
        lacking = sum(not candidate.fits(c) for c in needed)
        if lacking == 0:
            return candidate
        if lacking < fewest:
            best, fewest = candidate, lacking
    return best
