"""Where a message lies within the bytes of a frame or a file."""

from __future__ import annotations

from typing import Final, NamedTuple

from .errors import MalformedMessage

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_BEFORE: Final = b"\x0b\r\n\t \x00"  # MLLP start block, blank lines
# Padding and the MLLP end block, also when a line end follows.
FRAME_ENDS: Final = (b"\x00", b"\x1c", b"\x1c\r", b"\x00\r", b"\x00\n", b"\x00\r\n")
_AFTER: Final = b"\x00\x1c\r\n"

# The wide encodings by how "MSH" (or a byte order mark and "MSH") begins in them. The longer
# beginnings come first: that of UTF-32 starts like that of UTF-16.
_WIDE: Final = tuple(
    (mark + "MSH".encode(codec), len(mark), codec)
    for codec, marks in {
        "utf-32-le": (b"\xff\xfe\x00\x00", b""),
        "utf-32-be": (b"\x00\x00\xfe\xff", b""),
        "utf-16-le": (b"\xff\xfe", b""),
        "utf-16-be": (b"\xfe\xff", b""),
    }.items()
    for mark in marks
)


class Body(NamedTuple):
    """The message inside of the bytes that arrived.

    ``content`` begins with ``MSH``; it is UTF-8 when ``wide`` names the UTF-16 or UTF-32 codec of
    the original. ``before`` and ``after`` are the bytes around it; ``marked`` is whether a UTF-8
    byte order mark stands before it.
    """

    content: bytes
    before: bytes = b""
    after: bytes = b""
    wide: str = ""
    marked: bool = False


def find_body(raw: bytes) -> Body:
    """Find the message between byte order mark, blank lines, MLLP framing and padding.

    The same bytes, not a copy, are its content when nothing is around it.

    Raises MalformedMessage when there is no MSH segment at the beginning.
    """
    if raw[:3] == b"MSH" and not raw.endswith(FRAME_ENDS):
        return Body(raw)
    for beginning, mark, codec in _WIDE:
        if raw.startswith(beginning):
            try:
                text = raw[mark:].decode(codec)
            except UnicodeError:
                raise MalformedMessage(
                    "Invalid HL7 message format: the bytes are no text in UTF-16 or UTF-32",
                    code=102,
                ) from None
            return Body(text.encode(), before=raw[:mark], wide=codec)
    start = len(raw) - len(raw.lstrip(_BEFORE))
    marked = raw.startswith(_UTF8_BOM, start)
    if marked:
        start += len(_UTF8_BOM)
    if raw[start : start + 3] != b"MSH":
        raise MalformedMessage("Invalid HL7 message format: no MSH segment at the beginning")
    content = raw[start:].rstrip(_AFTER) if raw.endswith(FRAME_ENDS) else raw[start:]
    return Body(content, raw[:start], raw[start + len(content) :], marked=marked)
