r"""Acknowledgements of original and enhanced mode (HL7 v2.5.1 2.9.2, 2.9.3, 2.15.5, 2.15.8).

An acknowledgement speaks as its request does: same delimiters, character set, version and
processing id, MSH-3/4 and MSH-5/6 swapped. Header fields are copied as bytes, so nothing in them is
read and written anew. What depends on the version (MSH-12) of the request:

=========  ================  ====================================================================
version    MSH-9             faults
=========  ================  ====================================================================
2.1        ``ACK``           ERR-1, repeating: ``OBR^1^4^101&Required field missing&HL70357``;
                             the first fault also as MSA-3 (text) and MSA-6 (code)
2.2, 2.3   ``ACK^A01``       the same
2.3.1-2.4  ``ACK^A01^ACK``   the same
2.5, 2.6   ``ACK^A01^ACK``   an ERR segment each: ERR-2 place, ERR-3 code, ERR-4 ``E``, ERR-7/8
                             text; the first text also as MSA-3
2.7 on     ``ACK^A01^ACK``   the same without MSA-3, which 2.7 withdrew
=========  ================  ====================================================================

A version that can't be read is answered like 2.5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from .charsets import charset_of, charset_of_header
from .errors import CharsetError, Fault
from .message import starts_segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .charsets import Charset
    from .message import Message

ACKNOWLEDGEMENT_CODES: Final = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})
"""Table 0008."""

CONDITIONS: Final[dict[int, str]] = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    104: "Value too long",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application internal error",
}
"""Table 0357, message error condition codes."""

_ANSWERED_AS: Final = b"2.5"
_USUAL: Final = b"^~\\&"
_MSH_FIELDS: Final = 18
_LONGEST_FIELD: Final = 1024


class _Form(NamedTuple):
    """How a version writes its acknowledgement."""

    type_parts: int
    error_segments: bool
    text_in_msa: bool


class _Header(NamedTuple):
    """What an acknowledgement takes over from the MSH segment of its request, as bytes."""

    separator: bytes
    encoding_characters: bytes
    sending: bytes
    sending_facility: bytes
    receiving: bytes
    receiving_facility: bytes
    trigger: bytes
    control_id: bytes
    processing_id: bytes
    version: bytes
    character_set: bytes
    charset: Charset | None


def acknowledge(
    message: Message,
    code: str,
    *,
    faults: Sequence[Fault] = (),
    now: datetime,
    control_id: str,
    application: str = "PACS_BRIDGE",
    facility: str = "RADIOLOGY",
    text: str = "",
) -> bytes:
    """The acknowledgement of ``message``; only its MSH segment is looked at.

    ``code`` is a value of table 0008 (AA, AE, AR; CA, CE, CR), ``control_id`` the MSH-10 of the
    acknowledgement itself, ``now`` its MSH-7, written with its offset when aware.
    ``application`` and ``facility`` stand in for an empty MSH-5 and MSH-6 of the request. ``text``
    becomes MSA-3 where the version has it; without it the first fault's text does. A character of
    ``text`` or of a fault that the request's character set lacks becomes a question mark: the
    answer is worth more than its wording.

    Raises ValueError for a code outside table 0008.
    """
    if code not in ACKNOWLEDGEMENT_CODES:
        raise ValueError("not an acknowledgement code of table 0008")
    return _written(
        _header_of(message.raw), code, faults, now, control_id, application, facility, text
    )


def acknowledge_unreadable(
    head: bytes,
    code: str = "AR",
    *,
    faults: Sequence[Fault] = (),
    now: datetime,
    control_id: str,
    application: str = "PACS_BRIDGE",
    facility: str = "RADIOLOGY",
    text: str = "",
) -> bytes | None:
    """The answer to a frame whose MSH segment can only partly be read, as far as that goes.

    ``head`` is the beginning of the frame. Fields that are missing stay empty, unusable delimiters
    are replaced by the usual ones. UTF-16 and UTF-32 are recognised and answered in ASCII. None
    when there is no MSH at all and so nothing to answer to.

    Raises ValueError as :func:`acknowledge`.
    """
    if code not in ACKNOWLEDGEMENT_CODES:
        raise ValueError("not an acknowledgement code of table 0008")
    start = head.find(b"MSH")
    if start < 0:
        head = _narrowed(head)
        start = head.find(b"MSH")
        if start < 0:
            return None
    segment = _first_line(head[start:])
    usable = _usable(segment)
    header = _read_header(segment if usable else _repaired(segment))
    return _written(header, code, faults, now, control_id, application, facility, text)


def _written(
    header: _Header,
    code: str,
    faults: Sequence[Fault],
    now: datetime,
    control_id: str,
    application: str,
    facility: str,
    text: str,
) -> bytes:
    (
        bar,
        encoding_characters,
        sending,
        sending_facility,
        receiving,
        receiving_facility,
        trigger,
        request_id,
        processing_id,
        version,
        character_set,
        charset,
    ) = header
    form = _form_of(version)
    if not receiving or not receiving_facility:
        delimiters = bar + encoding_characters
        receiving = receiving or _escaped(application, delimiters, None)
        receiving_facility = receiving_facility or _escaped(facility, delimiters, None)
    out = bar.join(
        (
            b"MSH",
            encoding_characters,
            receiving,
            receiving_facility,
            sending,
            sending_facility,
            _timestamp(now),
            b"",
            _type_of(form, encoding_characters[:1], trigger),
            control_id.encode("ascii"),
            processing_id,
            version,
        )
    )
    if character_set:
        out += bar * 6 + character_set
    out += b"\rMSA" + bar + code.encode("ascii") + bar + request_id
    if faults or text:
        out += _explanation(form, faults, text, bar, bar + encoding_characters, charset)
    return out + b"\r"


def _explanation(
    form: _Form,
    faults: Sequence[Fault],
    text: str,
    bar: bytes,
    delimiters: bytes,
    charset: Charset | None,
) -> bytes:
    """The rest of MSA and the ERR segments."""
    component = delimiters[1:2]
    repetition = delimiters[2:3] or b"~"
    subcomponent = delimiters[4:5] or component
    out = b""
    first_text = text or (faults[0].text if faults else "")
    if form.text_in_msa and first_text:
        out += bar + _escaped(first_text, delimiters, charset)
    if form.error_segments:
        for fault in faults:
            place = fault.location.encode("ascii", "replace").replace(b"^", component)
            explained = _escaped(fault.text, delimiters, charset)
            out += bar.join(
                (
                    b"\rERR",
                    b"",
                    place,
                    _coded(fault.code, component, delimiters),
                    b"E",
                    b"",
                    b"",
                    explained,
                    explained,
                )
            )
        return out
    if not faults:
        return out
    if not first_text:
        out += bar
    out += bar * 3 + _coded(faults[0].code, component, delimiters)
    errors = []
    for fault in faults:
        parts = [*fault.location.encode("ascii", "replace").split(b"^"), b"", b""][:3]
        parts.append(_coded(fault.code, subcomponent, delimiters))
        errors.append(component.join(parts))
    return out + b"\rERR" + bar + repetition.join(errors)


def _coded(code: int, separator: bytes, delimiters: bytes) -> bytes:
    meaning = _escaped(CONDITIONS.get(code, ""), delimiters, None)
    return separator.join((b"%d" % code, meaning, b"HL70357"))


def _type_of(form: _Form, component: bytes, trigger: bytes) -> bytes:
    if form.type_parts == 1 or (not trigger and form.type_parts == 2):
        return b"ACK"
    if form.type_parts == 2:
        return b"ACK" + component + trigger
    return b"ACK" + component + trigger + component + b"ACK"


# The version comes from outside, so the cache is bounded.
@lru_cache(maxsize=256)
def _form_of(version: bytes) -> _Form:
    number = version.decode("latin-1").partition("^")[0].strip().split(".")
    digits = [int(part) for part in number if part.isascii() and part.isdigit() and len(part) < 4]
    if len(digits) != len(number) or len(digits) < 2 or digits[0] != 2:
        digits = [2, 5]
    if digits < [2, 2]:
        return _Form(1, error_segments=False, text_in_msa=True)
    if digits < [2, 3, 1]:
        return _Form(2, error_segments=False, text_in_msa=True)
    if digits < [2, 5]:
        return _Form(3, error_segments=False, text_in_msa=True)
    return _Form(3, error_segments=True, text_in_msa=digits < [2, 7])


def _timestamp(now: datetime) -> bytes:
    """MSH-7 to the second."""
    written = b"%04d%02d%02d%02d%02d%02d" % (
        now.year,
        now.month,
        now.day,
        now.hour,
        now.minute,
        now.second,
    )
    if now.tzinfo is None:
        return written
    offset = now.utcoffset()
    if not offset:
        return written + b"+0000"
    minutes = round(offset.total_seconds() / 60)
    return written + b"%c%02d%02d" % (
        b"-" if minutes < 0 else b"+",
        abs(minutes) // 60,
        abs(minutes) % 60,
    )


# Texts are our own, delimiters come from outside.
@lru_cache(maxsize=512)
def _escaped(text: str, delimiters: bytes, charset: Charset | None) -> bytes:
    """``text`` as field content: escaped where MSH-2 declares an escape character, else blanked."""
    field, component, repetition, escape, subcomponent = (
        delimiters[place : place + 1].decode("latin-1") for place in range(5)
    )
    table: dict[str, str | int | None] = {"\r": " ", "\n": " "}
    for character, letter in (
        (field, "F"),
        (component, "S"),
        (repetition, "R"),
        (subcomponent, "T"),
        (escape, "E"),
    ):
        if character:
            table[character] = f"{escape}{letter}{escape}" if escape else " "
    written = text.translate(str.maketrans(table))
    try:
        return written.encode("ascii") if charset is None else charset.encode(written)
    except (UnicodeEncodeError, CharsetError):
        return written.encode("ascii", "replace")


def _header_of(raw: bytes) -> _Header:
    if raw[:3] != b"MSH":
        start = raw.find(b"MSH")
        raw = raw[start:] if start >= 0 else _narrowed(raw)
    return _read_header(_first_line(raw))


def _first_line(raw: bytes) -> bytes:
    end = raw.find(b"\r")
    feed = raw.find(b"\n") if end < 0 else raw.find(b"\n", 0, end)
    if feed >= 0 and (end < 0 or starts_segment(raw, feed + 1)):
        end = feed
    return raw[:end] if end >= 0 else raw


def _read_header(segment: bytes) -> _Header:
    bar = segment[3:4]
    charset: Charset | None = None
    if segment.isascii() and b"\x1b" not in segment:
        fields = segment.split(bar, _MSH_FIELDS)
    else:
        fields, charset = _read_in_charset(segment)
    count = len(fields)
    if count < _MSH_FIELDS:
        fields += [b""] * (_MSH_FIELDS - count)
    encoding_characters = fields[1]
    parts = fields[8].split(encoding_characters[:1], 2)
    character_set = fields[17]
    if character_set and charset is None:
        charset = _named(character_set, encoding_characters[1:2])
        if charset is None:
            character_set = b""
    return _Header(
        bar,
        encoding_characters,
        fields[2],
        fields[3],
        fields[4],
        fields[5],
        parts[1] if len(parts) > 1 else b"",
        fields[9],
        fields[10] or b"P",
        fields[11] or _ANSWERED_AS,
        character_set,
        charset,
    )


def _read_in_charset(segment: bytes) -> tuple[list[bytes], Charset | None]:
    """Fields of a header that is not plain ASCII.

    Where a delimiter can be part of a character, fields are separated in the text and then encoded
    again.
    """
    bar = segment[3:4]
    try:
        charset = charset_of_header(segment)
        if not charset.ascii_compatible:
            fields = charset.decode(segment).split(bar.decode("latin-1"), _MSH_FIELDS)
            return [charset.encode(field) for field in fields], charset
    except CharsetError:
        charset = None
    return segment.split(bar, _MSH_FIELDS), charset


@lru_cache(maxsize=256)
def _named(character_set: bytes, repetition: bytes) -> Charset | None:
    """The character set of MSH-18, None when it is unknown."""
    try:
        return charset_of(character_set.decode("ascii").split(repetition.decode("ascii") or "~"))
    except (CharsetError, UnicodeDecodeError):
        return None


def _usable(segment: bytes) -> bool:
    """Whether the delimiters of a header allow to read it and to answer in its way."""
    delimiters = segment[3:4] + segment[4:].split(segment[3:4] or b"|", 1)[0]
    return (
        2 <= len(delimiters) <= 6
        and delimiters.isascii()
        and all(33 <= byte < 127 and not chr(byte).isalnum() for byte in delimiters)
        and b'"' not in delimiters
        and len(set(delimiters)) == len(delimiters)
    )


def _repaired(segment: bytes) -> bytes:
    """The same header under the usual delimiters, without fields that would clash with them."""
    separator = segment[3:4]
    legal = separator and 33 <= separator[0] < 127 and not separator.isalnum()
    bar = separator if legal and separator not in _USUAL else b"|"
    fields = segment.split(bar, _MSH_FIELDS)
    return bar.join((b"MSH", _USUAL, *fields[2:]))


def _narrowed(head: bytes) -> bytes:
    """The first segment of a UTF-16 or UTF-32 message in ASCII, other characters as ``?``."""
    for codec, mark in (
        ("utf-32-le", b"M\0\0\0S\0\0\0H\0\0\0"),
        ("utf-32-be", b"\0\0\0M\0\0\0S\0\0\0H"),
        ("utf-16-le", b"M\0S\0H\0"),
        ("utf-16-be", b"\0M\0S\0H"),
    ):
        start = head.find(mark)
        if start >= 0:
            line = head[start : start + 4 * _LONGEST_FIELD]
            return line.decode(codec, "replace").encode("ascii", "replace")
    return b""
