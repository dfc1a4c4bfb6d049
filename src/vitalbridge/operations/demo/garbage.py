"""What broken senders send: wrong frames, missing parts, bytes that aren't text.

Each entry turns a good message into one bad thing, and says what a correct receiver does with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

START, END = b"\x0b", b"\x1c\r"

Expected = Literal["accepted", "refused", "no answer"]


class Breakage(NamedTuple):
    """``change`` maps a well-formed UTF-8 ORM^O01 to the bytes on the wire, frame included."""

    name: str
    expected: Expected
    change: Callable[[bytes], bytes]


def _framed(message: bytes) -> bytes:
    return START + message + END


def _without(segment: bytes) -> Callable[[bytes], bytes]:
    def change(message: bytes) -> bytes:
        kept = [line for line in message.split(b"\r") if not line.startswith(segment + b"|")]
        return _framed(b"\r".join(kept))

    return change


def _with_field(segment: bytes, field: int, value: bytes) -> Callable[[bytes], bytes]:
    """``field`` counts the parts between separators, so MSH-9 is 8 and ORC-1 is 1."""

    def change(message: bytes) -> bytes:
        lines = message.split(b"\r")
        for i, line in enumerate(lines):
            if line.startswith(segment + b"|"):
                fields = line.split(b"|")
                fields[field] = value
                lines[i] = b"|".join(fields)
        return _framed(b"\r".join(lines))

    return change


BREAKAGES: tuple[Breakage, ...] = (
    Breakage("no PID", "refused", _without(b"PID")),
    Breakage("no OBR", "refused", _without(b"OBR")),
    Breakage("no order control", "refused", _with_field(b"ORC", 1, b"")),
    Breakage("no procedure", "refused", _with_field(b"OBR", 4, b"")),
    Breakage("test system", "refused", _with_field(b"MSH", 10, b"T")),
    Breakage("unknown version", "refused", _with_field(b"MSH", 11, b"9.9")),
    Breakage(
        "bytes that aren't UTF-8", "refused", _with_field(b"PID", 5, b"M\xfcller^J\xf6rg^^^^^L")
    ),
    Breakage("text before the frame", "accepted", lambda m: b"GET / HTTP/1.1\r\n\r\n" + _framed(m)),
    Breakage("NUL bytes around the frame", "accepted", lambda m: b"\0\0" + _framed(m) + b"\0"),
    Breakage("a frame without a message", "no answer", lambda _: _framed(b"HELLO")),
    Breakage("a frame that never ends", "no answer", lambda m: START + m),
    Breakage("no frame at all", "no answer", lambda m: m),
)
