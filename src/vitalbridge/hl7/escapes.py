r"""Escape sequences: delimiters, bytes, highlighting, formatting and character sets in plain text.

Formatting commands (HL7 v2.5.1 2.7.6) become the plain text that a reader would see:

=================  =================================================================
``.br`` ``.ce``    a new line (centring is not shown)
``.sp`` ``.spN``   one new line, N new lines
``.inN``           this line and those after it begin with N blanks
``.tiN``           N blanks, once
``.skN``           N blanks
``.fi`` ``.nf``    nothing: text is never wrapped
=================  =================================================================

Highlighting (``\H\``, ``\N\``) disappears. A sequence that is unknown, unterminated or not valid
where it stands is text and stays as it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .charsets import charset_of
from .delimiters import ABSENT, STANDARD, Delimiters
from .errors import CharsetError, InvalidValue

if TYPE_CHECKING:
    from .charsets import Charset

# A command such as \.sp999999999\ must not turn twelve bytes into a gigabyte.
_MOST_BLANKS: Final = 255


# What follows ESC in ISO 2022, in hexadecimal as \C..\ and \M..\ carry it (HL7 v2.5.1 2.7.2), and
# the names of MSH-18 that read the bytes after it. Those designated to G0 need their ESC back.
_SHIFTS: Final[dict[str, tuple[str, ...]]] = {
    "2842": (),  # ASCII: back to the character set of MSH-18
    "284A": ("ASCII", "ISO IR14"),
    "2949": ("ASCII", "ISO IR14"),
    "2440": ("ASCII", "ISO IR87"),
    "2442": ("ASCII", "ISO IR87"),
    "242844": ("ASCII", "ISO IR159"),
    "242943": ("KS X 1001",),
    "242941": ("GB 18030-2000",),
    "2D41": ("8859/1",),
    "2D42": ("8859/2",),
    "2D43": ("8859/3",),
    "2D44": ("8859/4",),
    "2D4C": ("8859/5",),
    "2D47": ("8859/6",),
    "2D46": ("8859/7",),
    "2D48": ("8859/8",),
    "2D4D": ("8859/9",),
    "2D62": ("8859/15",),
}


def unescape(text: str, delimiters: Delimiters = STANDARD, charset: Charset | None = None) -> str:
    r"""Plain text of an escaped value.

    ``charset`` is the message's and gives ``\X..\`` its meaning; without one only ASCII bytes are
    decoded. Linear in the length of the text; never raises for bad sequences.
    """
    escape = delimiters.escape
    if escape not in text:
        return text
    parts = text.split(escape)
    named = delimiters.named
    out = [parts[0]]
    shift = ""
    indent = ""
    last = len(parts) - 1
    at = 1
    while at <= last:
        body = parts[at]
        if at == last:
            out.append(escape + _shifted(body, shift, charset))
            break
        replacement = named.get(body)
        if replacement is not None:
            pass
        elif body in ("H", "N"):
            replacement = ""
        elif body[:1] == ".":
            command = _command(body)
            if command is not None:
                replacement, indent = _formatted(command, indent)
        elif body[:1] == "X":
            end = _run_of_bytes(parts, at, last)
            replacement = _run_decoded(parts[at : end + 1 : 2], escape, charset)
            if replacement is not None:
                at = end
        elif body[:1] in ("C", "M") and body[1:].upper() in _SHIFTS:
            shift = body[1:].upper()
            replacement = ""
        elif body[:1] == "Z":
            # Locally defined (2.7.7): unknown here, but its closing character opens nothing.
            replacement = escape + body + escape
        if replacement is None:
            out.append(escape + _shifted(body, shift, charset))
            at += 1
            continue
        out.append(replacement)
        out.append(_shifted(parts[at + 1], shift, charset))
        at += 2
    return "".join(out)


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    r"""The text with every delimiter written as its escape sequence (``&`` -> ``\T\``).

    A line feed becomes ``\.br\``, every other control character but the tab ``\Xhh\``, so that no
    value can end its segment or the MLLP frame. ``unescape`` gives the same text back.

    Raises InvalidValue when the message's MSH-2 declares no escape character and one is needed.
    """
    if text.isalnum() or delimiters.reserved.isdisjoint(text):
        return text
    if delimiters.escape == ABSENT:
        raise InvalidValue("the value holds a delimiter and MSH-2 declares no escape character")
    return text.translate(delimiters.sequences)


def _shifted(text: str, shift: str, charset: Charset | None) -> str:
    """Text that was read in the message's character set, read again in the one switched to."""
    if not shift or not text or not _SHIFTS[shift]:
        return text
    names = _SHIFTS[shift]
    try:
        raw = text.encode("ascii") if charset is None else charset.encode(text)
        if len(names) > 1:
            # The text ends where another escape sequence switches on, so it has to be closed here.
            raw = b"\x1b" + bytes.fromhex(shift) + raw + b"\x1b(B"
        return charset_of(names).decode(raw)
    except (UnicodeError, CharsetError):
        return text


def _run_of_bytes(parts: list[str], at: int, last: int) -> int:
    r"""Index of the last ``X`` part of an unbroken run: ``\XC3\\XA9\`` is one character."""
    while at + 2 < last and parts[at + 1] == "" and parts[at + 2][:1] == "X":
        at += 2
    return at


def _run_decoded(bodies: list[str], escape: str, charset: Charset | None) -> str | None:
    """The bytes of a run as one text; where that fails each by itself, or as it was written."""
    together = _bytes_decoded(bodies, charset)
    if together is not None or len(bodies) == 1:
        return together
    # The run is done with here in any case: trying again from its second part would be quadratic.
    return "".join(
        escape + body + escape if alone is None else alone
        for body, alone in ((body, _bytes_decoded([body], charset)) for body in bodies)
    )


def _bytes_decoded(bodies: list[str], charset: Charset | None) -> str | None:
    digits = "".join(body[1:] for body in bodies)
    # fromhex would skip blanks, and an odd count in one body must not borrow from the next.
    if not digits.isalnum() or any(len(body) % 2 == 0 for body in bodies):
        return None
    try:
        raw = bytes.fromhex(digits)
        return raw.decode("ascii") if charset is None else charset.decode(raw)
    except (ValueError, CharsetError):
        return None


def _command(body: str) -> tuple[str, int | None] | None:
    """``.sp3`` -> ("sp", 3); None when it is none of the formatting commands."""
    name = body[1:3].lower()
    number = body[3:].strip()
    if name in ("br", "fi", "nf", "ce"):
        return None if number else (name, None)
    if name not in ("sp", "in", "ti", "sk"):
        return None
    if not number:
        return name, None
    digits = number[1:] if number[0] in "+-" else number
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 3:
        return None
    value = int(digits)
    if value > _MOST_BLANKS:
        return None
    return name, 0 if number[0] == "-" else value


def _formatted(command: tuple[str, int | None], indent: str) -> tuple[str, str]:
    """What a command writes, and the indent of the lines after it."""
    name, number = command
    if name in ("br", "ce"):
        return "\n" + indent, indent
    if name == "sp":
        return "\n" * (1 if number is None else number) + indent, indent
    if name == "in":
        indent = " " * (number or 0)
        return indent, indent
    if name in ("ti", "sk"):
        return " " * (number or 0), indent
    return "", indent
