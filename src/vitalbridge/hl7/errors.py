"""What can be wrong with an HL7 v2 message, and where: the fault behind every ERR segment."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One finding, in the terms of an ERR segment (HL7 v2.5.1 2.15.5).

    ``code`` is a value of table 0357 (100 segment sequence, 101 required field missing, 102 data
    type, 103 table value, 200-203 unsupported type, event, processing id and version, 204 unknown
    key, 205 duplicate key, 206 record locked, 207 internal). ``location`` is written as ERR-2:
    ``SEGMENT^sequence^field[^repetition[^component[^subcomponent]]]``, empty when the fault has no
    place. ``text`` never quotes a value of the message: it may identify a person.
    """

    code: int
    location: str
    text: str


class Hl7Error(Exception):
    """Base of everything that this package raises about a message; ``fault`` says what to answer.

    ``code`` and ``location`` become those of the fault (see :class:`Fault`).
    """

    default_code: ClassVar[int] = 207

    def __init__(self, text: str, *, code: int | None = None, location: str = "") -> None:
        self.fault = Fault(self.default_code if code is None else code, location, text)
        super().__init__(f"{location}: {text}" if location else text)


class MalformedMessage(Hl7Error):
    """The bytes are no HL7 v2 message: no MSH segment, or delimiters that cannot be used."""

    default_code = 100


class CharsetError(Hl7Error):
    """Bytes that are not text in the character set of MSH-18, or text that it cannot express.

    ``offset`` is the place of the first bad byte (or character) in what was given to the codec,
    None when the character set itself is unknown or unsupported.
    """

    default_code = 102

    def __init__(
        self,
        text: str,
        *,
        code: int | None = None,
        location: str = "",
        offset: int | None = None,
    ) -> None:
        super().__init__(text, code=code, location=location)
        self.offset = offset


class InvalidDateTime(Hl7Error):
    """Text that is no date or time of HL7 v2.5.1 2.A.22, or names none that exists."""

    default_code = 102


class InvalidPath(Hl7Error):
    """A path that is not written as ``PID-3[2].4.2``, or a write to a place that does not exist."""


class InvalidValue(Hl7Error):
    """A value that the delimiters of the message cannot carry (a delimiter without an escape)."""

    default_code = 102
