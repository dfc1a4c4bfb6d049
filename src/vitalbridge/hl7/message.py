"""A message over the bytes that arrived: decoded once, split only where it is looked at."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .charsets import Charset, charset_of, charset_of_header
from .delimiters import parse_delimiters
from .errors import CharsetError, InvalidPath
from .escapes import unescape
from .frame import FRAME_ENDS, find_body
from .groups import OrderGroup, order_groups
from .path import Path, parse_path
from .segment import HeaderSegment, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADERS: Final = frozenset({"MSH", "BHS", "FHS"})
_UTF8: Final = "UNICODE UTF-8"

# What ends a segment, by whether LF ended the MSH segment. If not, LF after CR is CRLF, and LF
# elsewhere the text of a sender that forgot to escape it; if so, a stray CR is an end as well.
_ENDS: Final = {False: re.compile(b"(\r)"), True: re.compile(b"([\r\n])")}
_NO_SEGMENTS: Final[tuple[Segment, ...]] = ()


class Message:
    r"""An HL7 v2 message (HL7 v2.5.1 ch. 2), versions 2.1 to 2.8, with whatever Z-segments it has.

    Segments end with CR. CRLF is accepted, and LF alone when it is what ends the MSH segment; empty
    lines are skipped. A byte order mark, blanks and MLLP framing around the message are ignored.
    ``default_charset`` is what the sender writes when MSH-18 is empty.

    Only the MSH segment is looked at here: ``header`` and the properties built on it work even when
    the body cannot be decoded. Everything that reads the body raises CharsetError when it is not
    text in the message's character set, or when that set is unknown.

    Raises MalformedMessage: no MSH segment, or delimiters that cannot be used.
    """

    __slots__ = (
        "_after",
        "_before",
        "_body",
        "_charset",
        "_default_charset",
        "_groups",
        "_head",
        "_index",
        "_line_feeds",
        "_segments",
        "_text",
        "delimiters",
        "raw",
        "wide",
    )

    def __init__(self, raw: bytes, *, default_charset: str | None = None) -> None:
        self.raw: Final = raw
        """The bytes as they arrived."""
        if raw.startswith(b"MSH") and not raw.endswith(FRAME_ENDS):
            body = raw
            self._before = self._after = b""
            wide = ""
        else:
            body, self._before, self._after, wide, marked = find_body(raw)
            if marked or wide:
                default_charset = _UTF8
        self.wide: Final = wide
        """Python's name of the UTF-16 or UTF-32 form the bytes are in, usually ``""``.

        Readable from a file; over MLLP it is not allowed, because framing bytes can occur inside of
        its characters.
        """
        self._body = body
        self._default_charset = default_charset
        end = body.find(b"\r")
        feed = body.find(b"\n") if end < 0 else body.find(b"\n", 0, end)
        self._line_feeds = feed >= 0 and (end < 0 or starts_segment(body, feed + 1))
        if self._line_feeds:
            end = feed
        head = (body[:end] if end >= 0 else body).decode("latin-1")
        separator = head[3:4]
        fields = head.split(separator) if separator else [head, ""]
        self.delimiters: Final = parse_delimiters(separator, fields[1])
        """The delimiters as MSH-1 and MSH-2 declare them."""
        self._charset: Charset | None = None
        self._text: str | None = None
        self._segments: list[Segment] | None = None
        self._index: dict[str, list[Segment]] = {}
        self._groups: list[OrderGroup] | None = None
        self._head = fields
        if not head.isascii() or "\x1b" in head:
            self._head = self._decoded_head(head)

    def __repr__(self) -> str:
        return f"<Message of {len(self.raw)} bytes>"

    # The body

    @property
    def charset(self) -> Charset:
        """The character set of MSH-18 (table 0211), or the default.

        Raises CharsetError when it is unknown.
        """
        if self._charset is None:
            head = self._head
            stated = head[17] if len(head) > 17 and not self.wide else ""
            self._charset = _charset_stated(
                stated, self.delimiters.repetition, self._default_charset
            )
        return self._charset

    @property
    def text(self) -> str:
        """The whole message as text, as it arrived.

        Raises CharsetError, with the place of the first byte that cannot be decoded.
        """
        if self._text is None:
            self._text = self.charset.decode(self._body)
        return self._text

    def segments(self, name: str | None = None) -> Sequence[Segment]:
        """All segments in the order of the message, or those of one name."""
        if self._segments is None:
            self._split()
        if name is None:
            assert self._segments is not None
            return self._segments
        return self._index.get(name, _NO_SEGMENTS)

    def segment(self, name: str, occurrence: int = 1) -> Segment | None:
        """The segment of that name and number (from one), None when it is absent."""
        if self._segments is None:
            self._split()
        same = self._index.get(name)
        if same is None or not 0 < occurrence <= len(same):
            return None
        return same[occurrence - 1]

    def order_groups(self) -> list[OrderGroup]:
        """The orders of the message, each with the segments that belong to it."""
        if self._groups is None:
            self._groups = order_groups(self.segments())
        return self._groups

    def get(self, path: str) -> str:
        """The unescaped text at a path such as ``PID-3[2].4.2``, ``""`` when it is absent.

        ``/ORDER[2]/OBX[3]-5`` counts inside of the second order group. Raises InvalidPath.
        """
        name, occurrence, field, component, subcomponent, repetition, group, _ = parse_path(path)
        if self._segments is None:
            self._split()
        if group:
            segment = self._in_group(name, occurrence, group)
            if segment is None:
                return ""
        else:
            same = self._index.get(name)
            if same is None or occurrence > len(same):
                return ""
            segment = same[occurrence - 1]
        return segment.get(field, component, subcomponent, repetition)

    def raw_field(self, path: str) -> str:
        """The escaped text of the field that a path names, all repetitions and delimiters."""
        parsed = parse_path(path)
        segment = self._at(parsed)
        return "" if segment is None else segment.field(parsed.field)

    def set(self, path: str, value: str) -> None:
        """Write a value, escaped; what is replaced is what the path names, as deep as it does.

        ``PID-5`` replaces the whole field, ``PID-3[2]`` one repetition, ``PID-3.1`` a component
        of the first.

        Raises InvalidPath when the segment does not exist or the place cannot be written (MSH-1,
        MSH-2, MSH-18), CharsetError and InvalidValue when the message cannot hold the value.
        """
        parsed = parse_path(path)
        self._existing(parsed).set(
            parsed.field,
            value,
            component=parsed.component if parsed.depth >= 2 else None,
            subcomponent=parsed.subcomponent if parsed.depth == 3 else None,
            repetition=parsed.repetition if parsed.depth else None,
        )

    def set_field(self, path: str, text: str) -> None:
        """Write a whole field from text that is already escaped and delimited.

        Raises as ``set`` does.
        """
        parsed = parse_path(path)
        self._existing(parsed).set_field(parsed.field, text)

    def encode(self) -> bytes:
        """The bytes of the message: those that arrived, but for the segments that were written."""
        changed = [segment for segment in self._segments or () if segment.changed]
        if not changed:
            return self.raw
        # No character set hides a CR or LF in a character, so that bytes and text have the same
        # lines; and only their own bytes keep the other segments as they were.
        pieces = _ENDS[self._line_feeds].split(self._body)
        for segment in changed:
            piece = pieces[2 * segment.line]
            feeds = len(piece) - len(piece.lstrip(b"\n"))
            pieces[2 * segment.line] = piece[:feeds] + self.charset.encode(segment.text)
        body = b"".join(pieces)
        if self.wide:
            body = body.decode().encode(self.wide)
        return self._before + body + self._after

    # The header

    def header(self, n: int) -> str:
        """The escaped text of MSH-n, usable when the body is not.

        In the message's character set, or as Latin-1 when the segment is not text in it.
        """
        fields = self._head
        segments = self._segments
        if segments is not None and segments[0].changed:
            return segments[0].field(n)
        if n == 1:
            return self.delimiters.field
        return fields[n - 1] if n <= len(fields) else ""

    @property
    def sending_application(self) -> str:
        """MSH-3, namespace id."""
        return self._header_part(3)

    @property
    def sending_facility(self) -> str:
        """MSH-4, namespace id."""
        return self._header_part(4)

    @property
    def receiving_application(self) -> str:
        """MSH-5, namespace id."""
        return self._header_part(5)

    @property
    def receiving_facility(self) -> str:
        """MSH-6, namespace id."""
        return self._header_part(6)

    @property
    def message_code(self) -> str:
        """MSH-9.1, such as ``ORM``."""
        return self._header_part(9)

    @property
    def trigger(self) -> str:
        """MSH-9.2, such as ``O01``."""
        return self._header_part(9, 2)

    @property
    def message_type(self) -> str:
        """MSH-9.1 and 9.2 as ``ORM^O01``; the code alone when there is no trigger."""
        trigger = self._header_part(9, 2)
        code = self._header_part(9)
        return f"{code}^{trigger}" if trigger else code

    @property
    def control_id(self) -> str:
        """MSH-10 exactly as it is written: MSA-2 must repeat it."""
        return self.header(10)

    @property
    def processing_id(self) -> str:
        """MSH-11.1: P, T or D (table 0103)."""
        return self._header_part(11)

    @property
    def version(self) -> str:
        """MSH-12.1, such as ``2.5.1``."""
        return self._header_part(12)

    @property
    def accept_ack(self) -> str:
        """MSH-15: when an accept acknowledgement is wanted (table 0155)."""
        return self._header_part(15)

    @property
    def application_ack(self) -> str:
        """MSH-16: when an application acknowledgement is wanted (table 0155)."""
        return self._header_part(16)

    def _header_part(self, n: int, component: int = 1) -> str:
        text = self.header(n)
        if not text:
            return ""
        if text.isalnum():
            return text if component == 1 else ""
        delimiters = self.delimiters
        text = text.split(delimiters.repetition, 1)[0]
        parts = text.split(delimiters.component, component)
        if len(parts) < component:
            return ""
        text = parts[component - 1].split(delimiters.subcomponent, 1)[0]
        return unescape(text, delimiters)

    def _decoded_head(self, latin: str) -> list[str]:
        """The MSH fields in the message's own character set where that is possible."""
        raw = latin.encode("latin-1")
        separator = self.delimiters.field
        try:
            charset = self.charset if self.wide else charset_of_header(raw, self._default_charset)
            fields = charset.decode(raw).split(separator)
        except CharsetError:
            return latin.split(separator)
        self._charset = charset
        return fields

    # Splitting and finding

    def _split(self) -> None:
        text = self.text
        if self._line_feeds:
            lines = text.replace("\r", "\n").split("\n")
        else:
            lines = text.split("\r")
            if "\n" in text:
                lines = [line.lstrip("\n") for line in lines]
        delimiters = self.delimiters
        separator = delimiters.field
        charset = self._charset
        index: dict[str, list[Segment]] = {}
        segments: list[Segment] = []
        for number, line in enumerate(lines):
            name = line[:3]
            if line[3:4] != separator and len(line) != 3:
                if not line or line.isspace():
                    continue
                name = line.partition(separator)[0]
            same = index.get(name)
            if same is None:
                same = index[name] = []
            kind = HeaderSegment if name in _HEADERS else Segment
            segment = kind(name, len(same) + 1, number, line, delimiters, charset)
            same.append(segment)
            segments.append(segment)
        self._index = index
        self._segments = segments

    def _at(self, path: Path) -> Segment | None:
        if path.group:
            return self._in_group(path.segment, path.occurrence, path.group)
        return self.segment(path.segment, path.occurrence)

    def _in_group(self, name: str, occurrence: int, group: int) -> Segment | None:
        groups = self.order_groups()
        if group > len(groups):
            return None
        same = [segment for segment in groups[group - 1].segments if segment.name == name]
        return same[occurrence - 1] if occurrence <= len(same) else None

    def _existing(self, path: Path) -> Segment:
        segment = self._at(path)
        if segment is None:
            raise InvalidPath("the message has no such segment", location=path.segment)
        return segment


@lru_cache(maxsize=256)
def _charset_stated(text: str, repetition: str, default: str | None) -> Charset:
    return charset_of(text.split(repetition) if text else [], default)


def starts_segment(body: bytes, at: int) -> bool:
    """Whether a segment id and the field separator stand there."""
    name = body[at : at + 3]
    return name.isalnum() and name.isupper() and body[at + 3 : at + 4] == body[3:4]
