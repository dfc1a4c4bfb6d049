"""Switching between character sets inside a text by the escape sequences of ISO 2022.

A set is designated to G0 (bytes 21-7E) or G1 (bytes A0-FF) and used until another one takes its
place. At the end of a line G0 must be back in a set of ASCII's kind (HL7 v2.5.1 2.15.9.18): in any
other one the delimiters that were meant have been read as text. G1 holds no delimiter and falls
back by itself. Of JIS X 0201 the codes 5C and 7E are read as backslash and tilde, not as yen sign
and overline: they are the escape character and the repetition separator of nearly every message.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Unassigned(Exception):
    """The byte or character at ``offset`` has no meaning in the sets in use."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Unreturned(Unassigned):
    """The escape sequence at ``offset`` has no way back before the end of its line."""


class CodedSet(NamedTuple):
    """One coded character set: how it is designated, and its code in both directions.

    ``decode`` takes a run of bytes of this set and raises Unassigned with an offset in the run;
    ``encode`` takes one character and returns None for one that the set does not have.
    """

    designation: bytes
    decode: Callable[[bytes], str]
    encode: Callable[[str], bytes | None]


_MARK: Final = re.compile(rb"[\r\n]|\x1b(?:\$?[(-/]?[@-~])?")
_RUN: Final = re.compile(rb"[\x00-\x20\x7f]+|[\x21-\x7e]+|[\x80-\xff]+")
_SAME_WIDTH: Final = re.compile("[\x00-\x7f]+|[^\x00-\x7f]+")
_C1: Final = re.compile(rb"[\x80-\x9f]")
_TO_HIGH: Final = bytes(code | 0x80 for code in range(256))
_TO_LOW: Final = bytes(code & 0x7F for code in range(256))
_KATAKANA: Final = 0xFF61 - 0xA1


def _ascii(data: bytes) -> str:
    return data.decode("ascii")


def _ascii_code(character: str) -> bytes | None:
    return character.encode("ascii") if character < "\x80" else None


def _katakana(data: bytes) -> str:
    for offset, code in enumerate(data):
        if not 0xA1 <= code <= 0xDF:
            raise Unassigned(offset)
    return "".join([chr(code + _KATAKANA) for code in data])


def _katakana_code(character: str) -> bytes | None:
    code = ord(character) - _KATAKANA
    return bytes((code,)) if 0xA1 <= code <= 0xDF else None


def _low_katakana(data: bytes) -> str:
    return _katakana(data.translate(_TO_HIGH))


def _kanji(data: bytes) -> str:
    try:
        return data.translate(_TO_HIGH).decode("euc_jp")
    except UnicodeDecodeError:
        return _kanji_one_by_one(data)


def _kanji_one_by_one(data: bytes) -> str:
    out = []
    for offset in range(0, len(data), 2):
        pair = data[offset : offset + 2]
        try:
            character = pair.translate(_TO_HIGH).decode("euc_jp")
        except UnicodeDecodeError:
            character = _vendor_rows().get(pair, "")
        if not character:
            raise Unassigned(offset)
        out.append(character)
    return "".join(out)


def _kanji_code(character: str) -> bytes | None:
    code = _euc_jp(character)
    return code.translate(_TO_LOW) if len(code) == 2 and code[0] != 0x8E else None


def _supplementary_kanji(data: bytes) -> str:
    high = data.translate(_TO_HIGH)
    coded = b"".join([b"\x8f" + high[offset : offset + 2] for offset in range(0, len(high), 2)])
    try:
        return coded.decode("euc_jp")
    except UnicodeDecodeError as error:
        raise Unassigned(error.start // 3 * 2) from None


def _supplementary_kanji_code(character: str) -> bytes | None:
    code = _euc_jp(character)
    return code[1:].translate(_TO_LOW) if len(code) == 3 else None


def _euc_jp(character: str) -> bytes:
    try:
        return character.encode("euc_jp")
    except UnicodeEncodeError:
        return b""


@lru_cache(maxsize=1)
def _vendor_rows() -> dict[bytes, str]:
    """Row 13 (NEC) and rows 89-92 (IBM, as NEC placed them), which JIS X 0208 leaves empty.

    Japanese systems send them under the name of JIS X 0208, for family names such as Takahashi with
    U+9AD9. Code page 932 has them at the places that Shift JIS gives to these rows.
    """
    rows = {}
    for row in (13, 89, 90, 91, 92):
        lead = (row - 1) // 2 + (0x81 if row <= 62 else 0xC1)
        for cell in range(1, 95):
            trail = cell + 0x9E if row % 2 == 0 else cell + (0x3F if cell < 64 else 0x40)
            try:
                character = bytes((lead, trail)).decode("cp932")
            except UnicodeDecodeError:
                continue
            rows[bytes((row + 0x20, cell + 0x20))] = character
    return rows


@lru_cache(maxsize=1)
def _vendor_codes() -> dict[str, bytes]:
    codes: dict[str, bytes] = {}
    for pair, character in _vendor_rows().items():
        codes.setdefault(character, pair)
    return codes


def _hangul(data: bytes) -> str:
    try:
        return data.decode("euc_kr")
    except UnicodeDecodeError as error:
        raise Unassigned(error.start) from None


def _hangul_code(character: str) -> bytes | None:
    try:
        code = character.encode("euc_kr")
    except UnicodeEncodeError:
        return None
    return code if len(code) == 2 else None


def _part_of_8859(part: int, final: bytes) -> CodedSet:
    codec = f"iso8859-{part}"

    def decode(data: bytes) -> str:
        control = _C1.search(data)
        if control:
            raise Unassigned(control.start())
        try:
            return data.decode(codec)
        except UnicodeDecodeError as error:
            raise Unassigned(error.start) from None

    def encode(character: str) -> bytes | None:
        try:
            code = character.encode(codec)
        except UnicodeEncodeError:
            return None
        return code if code >= b"\xa0" else None

    return CodedSet(b"\x1b-" + final, decode, encode)


ASCII: Final = CodedSet(b"\x1b(B", _ascii, _ascii_code)
ROMAN: Final = CodedSet(b"\x1b(J", _ascii, _ascii_code)
KATAKANA: Final = CodedSet(b"\x1b)I", _katakana, _katakana_code)
LOW_KATAKANA: Final = CodedSet(b"\x1b(I", _low_katakana, _katakana_code)
KANJI: Final = CodedSet(b"\x1b$B", _kanji, _kanji_code)
SUPPLEMENTARY_KANJI: Final = CodedSet(b"\x1b$(D", _supplementary_kanji, _supplementary_kanji_code)
HANGUL: Final = CodedSet(b"\x1b$)C", _hangul, _hangul_code)

_WITH_DELIMITERS: Final = (ASCII, ROMAN)

# Name of table 0211 -> (set for G0, set for G1).
_SETS: Final[dict[str, tuple[CodedSet | None, CodedSet | None]]] = {
    "ASCII": (ASCII, None),
    "ISO IR14": (ROMAN, KATAKANA),
    "ISO IR87": (KANJI, None),
    "ISO IR159": (SUPPLEMENTARY_KANJI, None),
    "KS X 1001": (None, HANGUL),
    **{
        f"8859/{part}": (None, _part_of_8859(part, final))
        for part, final in (
            (1, b"A"),
            (2, b"B"),
            (3, b"C"),
            (4, b"D"),
            (5, b"L"),
            (6, b"G"),
            (7, b"F"),
            (8, b"H"),
            (9, b"M"),
            (15, b"b"),
        )
    },
}


class Switching:
    """Text in a default set with alternates; names are those of HL7 table 0211.

    JIS X 0208 or 0212 as the default means that text begins in ASCII, since the header could not be
    read otherwise, and switches from there. Both methods raise Unassigned, ``decode`` also
    Unreturned.
    """

    def __init__(self, default: str, alternates: tuple[str, ...]) -> None:
        self._g0 = ROMAN if default == "ISO IR14" else ASCII
        self._g1 = _SETS[default][1]
        self._g0_sets: dict[bytes, CodedSet] = {b"\x1b(B": ASCII, b"\x1b(J": ROMAN}
        self._g1_sets: dict[bytes, CodedSet] = {}
        self._order: list[tuple[int, CodedSet]] = []
        for name in (default, *alternates):
            low, high = _SETS[name]
            if high is not None:
                self._g1_sets[high.designation] = high
                self._order.append((1, high))
            if low in (KANJI, SUPPLEMENTARY_KANJI) and low is not None:
                self._g0_sets[low.designation] = low
                self._order.append((0, low))
            if low is KANJI:
                self._g0_sets[b"\x1b$@"] = KANJI
            if high is KATAKANA:
                self._g0_sets[b"\x1b(I"] = LOW_KATAKANA

    def decode(self, data: bytes) -> str:
        """Text of ``data``."""
        out: list[str] = []
        g0, g1 = self._g0, self._g1
        begin = left = 0
        for mark in _MARK.finditer(data):
            start = mark.start()
            if start > begin:
                out.append(self._runs(data, begin, start, g0, g1))
            begin = mark.end()
            sequence = mark.group()
            if sequence[0] != 0x1B:
                if g0 not in _WITH_DELIMITERS:
                    raise Unreturned(left)
                g0, g1 = self._g0, self._g1
                out.append(sequence.decode("ascii"))
            elif sequence in self._g0_sets:
                if g0 in _WITH_DELIMITERS:
                    left = start
                g0 = self._g0_sets[sequence]
            elif sequence in self._g1_sets:
                g1 = self._g1_sets[sequence]
            else:
                raise Unassigned(start)
        if begin < len(data):
            out.append(self._runs(data, begin, len(data), g0, g1))
        if g0 not in _WITH_DELIMITERS:
            raise Unreturned(left)
        return "".join(out)

    @staticmethod
    def _runs(data: bytes, begin: int, end: int, g0: CodedSet, g1: CodedSet | None) -> str:
        out = []
        for run in _RUN.finditer(data, begin, end):
            coded = run.group()
            first = coded[0]
            if first <= 0x20 or first == 0x7F:
                out.append(coded.decode("ascii"))
                continue
            used = g0 if first < 0x80 else g1
            if used is None:
                raise Unassigned(run.start())
            try:
                out.append(used.decode(coded))
            except Unassigned as error:
                raise Unassigned(run.start() + error.offset) from None
        return "".join(out)

    def encode(self, text: str) -> bytes:
        """Bytes of ``text``, back in the default set at each ASCII character and at the end."""
        out = bytearray()
        for run in _SAME_WIDTH.finditer(text):
            characters = run.group()
            if characters[0] < "\x80":
                out += characters.encode("ascii")
            else:
                self._encode_run(characters, run.start(), out)
        return bytes(out)

    def _encode_run(self, characters: str, begin: int, out: bytearray) -> None:
        g0, g1 = self._g0, self._g1
        for offset, character in enumerate(characters, begin):
            slot, coded, code = self._coded(character, offset)
            if slot == 0 and g0 is not coded:
                out += coded.designation
                g0 = coded
            elif slot == 1 and g1 is not coded:
                out += coded.designation
                g1 = coded
            out += code
        if g0 is not self._g0:
            out += self._g0.designation
        if g1 is not self._g1 and self._g1 is not None:
            out += self._g1.designation

    def _coded(self, character: str, offset: int) -> tuple[int, CodedSet, bytes]:
        for slot, coded in self._order:
            code = coded.encode(character)
            if code is not None:
                return slot, coded, code
        vendor_code = _vendor_codes().get(character)
        if vendor_code is not None and KANJI.designation in self._g0_sets:
            return 0, KANJI, vendor_code
        raise Unassigned(offset)
