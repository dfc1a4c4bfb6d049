"""Character sets of MSH-18 (HL7 v2.5.1 2.15.9.18, table 0211), decoded strictly in both directions.

The first repetition of MSH-18 is the message's default set; further ones are alternates which ISO
2022 escape sequences in the text switch to. Besides the names of table 0211 the spellings that
systems really send are known (``UTF-8``, ``ISO-8859-1``, ``ISO_IR 100``), and as an extension the
Windows code pages (``WINDOWS-1252``, ``CP1252``), chiefly as a source's configured default.

Strict means that bytes which the set does not assign are an error and never some other character:
a code of 80-9F in an ISO 8859 set (nearly always a Windows code page under a wrong name), an escape
sequence of a set that MSH-18 does not list. Two de-facto supersets are read because they assign
only codes that the standard leaves free and names need them: the ETEN characters of BIG-5 and the
NEC and IBM rows of JIS X 0208; likewise the syllables that code page 949 adds to KS X 1001.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .errors import CharsetError
from .iso2022 import Switching, Unassigned, Unreturned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_C1: Final = re.compile(rb"[\x80-\x9f]")
_DESIGNATION: Final = re.compile(rb"\x1b[$(-/]")
_SPELLING: Final = re.compile(r"[^A-Z0-9]+")
_CHARSET_FIELD: Final = 18
_LONGEST_HEADER: Final = 8192
_CODE_TABLE_VALUE: Final = 103


class UnsupportedCharset(CharsetError):
    """MSH-18 names a set that is unknown or cannot travel over MLLP (UTF-16, UTF-32).

    The fault is 103 (table value not found) at ``MSH^1^18``.
    """

    default_code = _CODE_TABLE_VALUE


class Charset:
    """The character set of one message: a default set and the alternates it may switch to.

    ``names`` are the names of table 0211 (extensions: ``WINDOWS-1252`` and so on), the default set
    first. ``ascii_compatible`` says that a byte below 80 always is the ASCII character, so that
    delimiters may be searched in the bytes; otherwise they are only found in decoded text.
    """

    __slots__ = ("_from_bytes", "_to_bytes", "ascii_compatible", "names")

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        ascii_compatible: bool,
        from_bytes: Callable[[bytes], str],
        to_bytes: Callable[[str], bytes],
    ) -> None:
        self.names = names
        self.ascii_compatible = ascii_compatible
        self._from_bytes = from_bytes
        self._to_bytes = to_bytes

    def __repr__(self) -> str:
        return f"Charset({'~'.join(self.names)})"

    @property
    def name(self) -> str:
        """The default set."""
        return self.names[0]

    def decode(self, data: bytes) -> str:
        """Text of ``data``; a UTF-8 byte order mark at its start is dropped.

        Raises CharsetError with the offset of the first bad byte and, when ``data`` is a message
        (starts with MSH), its location in the form of ERR-2.
        """
        if data.isascii() and b"\x1b" not in data:
            return data.decode("ascii")
        skipped = 3 if data.startswith(_UTF8_BOM) else 0
        body = data[skipped:] if skipped else data
        what = "is not text"
        try:
            return self._from_bytes(body)
        except UnicodeDecodeError as error:
            offset = error.start
        except Unreturned as error:
            offset, what = error.offset, "leaves the default set until the end of the segment"
        except Unassigned as error:
            offset = error.offset
        raise CharsetError(
            f"byte {offset + skipped} {what} in {'~'.join(self.names)}",
            location=location_of(body, offset),
            offset=offset + skipped,
        )

    def encode(self, text: str) -> bytes:
        """Bytes of ``text``, with ISO 2022 switching where the alternates need it.

        Raises CharsetError with the offset of the first character that the set does not have.
        """
        if text.isascii():
            return text.encode("ascii")
        try:
            return self._to_bytes(text)
        except UnicodeEncodeError as error:
            offset = error.start
        except Unassigned as error:
            offset = error.offset
        raise CharsetError(f"character {offset} is not in {'~'.join(self.names)}", offset=offset)


def charset_of(repetitions: Sequence[str], default: str | None = None) -> Charset:
    """The character set that the repetitions of MSH-18 declare.

    ``default`` stands in for an empty first repetition, ASCII when it is None or empty.

    Raises UnsupportedCharset.
    """
    return _charset_of(tuple(repetitions), default)


def charset_of_header(header: bytes, default: str | None = None) -> Charset:
    """The character set of a message whose first segment is ``header`` (bytes up to its CR).

    In a header of GB 18030, BIG-5 or with ISO 2022 switching a byte of a character can look like a
    delimiter and shift the fields, so MSH-18 is believed only if it is still in its place after the
    header was decoded with it.

    Raises UnsupportedCharset when MSH-18 is unknown.
    """
    plain = _declared(header.decode("latin-1"))
    if len(header) > _LONGEST_HEADER or (header.isascii() and b"\x1b" not in header):
        return charset_of(plain, default)
    separator, repetition = header[3:4], header[5:6]
    if separator:
        listed = {tuple(field.split(repetition or b"~")) for field in header.split(separator)[4:]}
        for field in sorted(listed, reverse=True):
            names = tuple(name.decode("latin-1") for name in field)
            if not all(_canonical(name) for name in names if name) or not any(names):
                continue
            try:
                charset = charset_of(names, default)
                declared = charset_of(_declared(charset.decode(header)), default)
            except CharsetError:
                continue
            if declared.names == charset.names:
                return charset
    return charset_of(plain, default)


def location_of(data: bytes, offset: int) -> str:
    """Where byte ``offset`` of a message lies, as ``SEGMENT^sequence^field``; empty if it is none.

    Exact for sets whose delimiters can be searched in bytes; elsewhere the field may be off.
    """
    if not data.startswith(b"MSH"):
        return ""
    begin = max(data.rfind(b"\r", 0, offset), data.rfind(b"\n", 0, offset)) + 1
    name = data[begin : begin + 3]
    if not (name.isalnum() and name.isascii()):
        return ""
    before = re.findall(rb"(?:\A|[\r\n])" + name, data[: begin + 3])
    field = data.count(data[3:4], begin, offset) + (name == b"MSH")
    return f"{name.decode('ascii')}^{len(before)}^{field}"


def _declared(header: str) -> tuple[str, ...]:
    """The repetitions of MSH-18, read at face value."""
    fields = header.split(header[3:4] or "|", _CHARSET_FIELD)
    if len(fields) < _CHARSET_FIELD:
        return ()
    encoding_characters = fields[1]
    return tuple(fields[_CHARSET_FIELD - 1].split(encoding_characters[1:2] or "~"))


def _single_byte(codec: str) -> tuple[Callable[[bytes], str], Callable[[str], bytes]]:
    """ISO 8859: the codec without the C1 controls, which Python assigns and the standard not."""

    def from_bytes(data: bytes) -> str:
        control = _C1.search(data)
        undeclared = _DESIGNATION.search(data)
        for found in (control, undeclared):
            if found:
                raise Unassigned(found.start())
        return data.decode(codec)

    def to_bytes(text: str) -> bytes:
        data = text.encode(codec)
        control = _C1.search(data)
        if control:
            raise Unassigned(control.start())
        return data

    return from_bytes, to_bytes


def _by_codec(
    codec: str, errors: str = "strict"
) -> tuple[Callable[[bytes], str], Callable[[str], bytes]]:
    """A set that Python's codec covers as it is; ``errors`` names who is asked about the rest."""

    def from_bytes(data: bytes) -> str:
        undeclared = _DESIGNATION.search(data)
        if undeclared:
            raise Unassigned(undeclared.start())
        return data.decode(codec, errors)

    def to_bytes(text: str) -> bytes:
        return text.encode(codec, errors)

    return from_bytes, to_bytes


def _asking(superset: str, standard: str) -> Callable[[UnicodeError], tuple[str | bytes, int]]:
    """A codec error handler that looks a character or pair of bytes up in a superset.

    Only codes that ``standard`` leaves free count: elsewhere the two sets may disagree.
    """

    def handler(error: UnicodeError) -> tuple[str | bytes, int]:
        if isinstance(error, UnicodeDecodeError):
            end = error.start + 2
            character = _decoded(error.object[error.start : end], superset)
            if character is not None:
                return character, end
        elif isinstance(error, UnicodeEncodeError):
            end = error.start + 1
            code = error.object[error.start : end].encode(superset, "ignore")
            if code and _decoded(code, standard) is None:
                return code, end
        raise error

    return handler


def _decoded(code: bytes, codec: str) -> str | None:
    try:
        return code.decode(codec)
    except UnicodeDecodeError:
        return None


_ETEN: Final = "vitalbridge.cp950"
_UNIFIED_HANGUL: Final = "vitalbridge.cp949"
codecs.register_error(_ETEN, _asking("cp950", "big5"))
codecs.register_error(_UNIFIED_HANGUL, _asking("cp949", "euc_kr"))

_PARTS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "15")
_WINDOWS: Final = ("874", "1250", "1251", "1252", "1253", "1254", "1255", "1256", "1257", "1258")
_JAPANESE: Final = ("ISO IR14", "ISO IR87", "ISO IR159")

# Default set alone, no alternates: name -> (codec, error handler).
_CODECS: Final[dict[str, tuple[str, str]]] = {
    "ASCII": ("ascii", "strict"),
    "UNICODE UTF-8": ("utf-8", "strict"),
    "GB 18030-2000": ("gb18030", "strict"),
    "BIG-5": ("big5", _ETEN),
    **{f"WINDOWS-{page}": (f"cp{page}", "strict") for page in _WINDOWS},
}

# Sets that ISO 2022 can switch to and from.
_SWITCHABLE: Final = frozenset(
    {"ASCII", "KS X 1001", *_JAPANESE, *(f"8859/{part}" for part in _PARTS)}
)
_NOT_IN_BYTES: Final = frozenset({"GB 18030-2000", "BIG-5", *_JAPANESE})

# Spelling with everything but letters and digits removed -> name of table 0211.
_NAMES: Final[dict[str, str]] = {
    "ASCII": "ASCII",
    "USASCII": "ASCII",
    "ISOIR6": "ASCII",
    "UNICODEUTF8": "UNICODE UTF-8",
    "UTF8": "UNICODE UTF-8",
    "UNICODE": "UNICODE UTF-8",
    "ISOIR192": "UNICODE UTF-8",
    "ISOIR13": "ISO IR14",
    "ISOIR14": "ISO IR14",
    "ISO2022IR13": "ISO IR14",
    "JISX0201": "ISO IR14",
    "ISOIR87": "ISO IR87",
    "ISO2022IR87": "ISO IR87",
    "JISX0208": "ISO IR87",
    "ISO2022JP": "ISO IR87",
    "ISOIR159": "ISO IR159",
    "ISO2022IR159": "ISO IR159",
    "JISX0212": "ISO IR159",
    "GB18030": "GB 18030-2000",
    "GB180302000": "GB 18030-2000",
    "GB180302005": "GB 18030-2000",
    "GB2312": "GB 18030-2000",
    "GBK": "GB 18030-2000",
    "BIG5": "BIG-5",
    "KSX1001": "KS X 1001",
    "KSX10011992": "KS X 1001",
    "KSC5601": "KS X 1001",
    "KSC56011987": "KS X 1001",
    "ISO2022IR149": "KS X 1001",
    "ISOIR149": "KS X 1001",
    "EUCKR": "KS X 1001",
    "CP949": "KS X 1001",
    **{
        spelling + part: f"8859/{part}"
        for part in _PARTS
        for spelling in ("8859", "ISO8859", "ISOIEC8859")
    },
    **{
        f"{prefix}{number}": f"8859/{part}"
        for number, part in (
            ("100", "1"),
            ("101", "2"),
            ("109", "3"),
            ("110", "4"),
            ("144", "5"),
            ("127", "6"),
            ("126", "7"),
            ("138", "8"),
            ("148", "9"),
            ("203", "15"),
        )
        for prefix in ("ISOIR", "ISO2022IR")
    },
    "LATIN1": "8859/1",
    **{
        f"{spelling}{page}": f"WINDOWS-{page}"
        for page in _WINDOWS
        for spelling in ("WINDOWS", "CP")
    },
}


def _canonical(spelling: str) -> str | None:
    """Name of table 0211 that a spelling stands for."""
    return _NAMES.get(_SPELLING.sub("", spelling.upper()))


def _supported(spelling: str) -> str:
    name = _canonical(spelling)
    if name is None:
        raise UnsupportedCharset("unsupported character set", location=f"MSH^1^{_CHARSET_FIELD}")
    return name


# Message headers come from outside, so the cache is bounded.
@lru_cache(maxsize=256)
def _charset_of(repetitions: tuple[str, ...], default: str | None) -> Charset:
    stated = [repetition.strip() for repetition in repetitions] or [""]
    first = _supported(stated[0] or default or "ASCII")
    others = [_supported(repetition) for repetition in stated[1:] if repetition]
    return _composed(first, tuple(dict.fromkeys(name for name in others if name != first)))


@lru_cache(maxsize=256)
def _composed(first: str, alternates: tuple[str, ...]) -> Charset:
    if first == "ASCII" and len(alternates) == 1 and alternates[0] not in _SWITCHABLE:
        # "ASCII~UNICODE UTF-8": no escape sequence leads there, but it contains ASCII.
        first, alternates = alternates[0], ()
    names = (first, *alternates)
    in_bytes = not alternates and first not in _NOT_IN_BYTES
    if first.startswith("8859/") and not alternates:
        from_bytes, to_bytes = _single_byte(f"iso8859-{first[5:]}")
    elif first == "KS X 1001" and not alternates:
        from_bytes, to_bytes = _korean()
    elif first in _SWITCHABLE and (alternates or first in _JAPANESE):
        switching = Switching(first, tuple(name for name in alternates if name in _SWITCHABLE))
        from_bytes, to_bytes = switching.decode, switching.encode
    else:
        from_bytes, to_bytes = _by_codec(*_CODECS[first])
    return Charset(names, ascii_compatible=in_bytes, from_bytes=from_bytes, to_bytes=to_bytes)


def _korean() -> tuple[Callable[[bytes], str], Callable[[str], bytes]]:
    """KS X 1001 alone is EUC-KR in practice, with or without the designations of ISO 2022."""
    plain, _ = _by_codec("euc_kr", _UNIFIED_HANGUL)
    # As an encoder euc_kr would spell the added syllables in eight bytes that few systems read.
    _, to_bytes = _by_codec("cp949")
    switching = Switching("KS X 1001", ())

    def from_bytes(data: bytes) -> str:
        return switching.decode(data) if b"\x1b" in data else plain(data)

    return from_bytes, to_bytes
