"""One segment of a message, split only when a field of it is asked for."""

from __future__ import annotations

from typing import Final, Protocol, Self, TypeVar

import msgspec

from .charsets import Charset
from .delimiters import ABSENT, Delimiters
from .errors import Hl7Error, InvalidDateTime, InvalidPath, InvalidValue
from .escapes import escape, unescape

NULL: Final = '""'
"""The HL7 null, "delete this value" (HL7 v2.5.1 2.5.3): it is not the same as an empty field."""


class Readable(Protocol):
    """A typed value: what ``Segment.read`` can make of a field."""

    @classmethod
    def parse(
        cls, text: str, delimiters: Delimiters = ..., charset: Charset | None = ..., /
    ) -> Self:
        """Read the escaped text of one repetition."""


T = TypeVar("T", bound=Readable)


class Segment(msgspec.Struct, eq=False, gc=False):
    """A view of one segment; all numbers count from one, as HL7 counts them.

    What is absent reads as ``""``. ``occurrence`` is the segment's number among those of its name
    and ``line`` its place in the message, from zero.
    """

    name: str
    occurrence: int
    line: int
    _text: str
    _delimiters: Delimiters
    _charset: Charset | None
    _fields: list[str] | None = None
    _changed: bool = False

    def __repr__(self) -> str:
        return f"<Segment {self.name}[{self.occurrence}]>"

    @property
    def text(self) -> str:
        """The segment as it is written in the message, changes included, without terminator."""
        if self._changed:
            self._text = self._joined()
        return self._text

    @property
    def changed(self) -> bool:
        """Whether a field was written since the message was read."""
        return self._changed

    @property
    def last_field(self) -> int:
        """Number of the last field that is written, 0 when there is none."""
        return len(self._split()) - 1

    def get(
        self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1
    ) -> str:
        """The unescaped text of one value, ``""`` when it is absent."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        try:
            text = fields[field]
        except IndexError:
            return ""
        if not text:
            return ""
        if text.isalnum():  # no delimiter in it: most fields
            return text if component == subcomponent == repetition == 1 else ""
        return self._part(text, component, subcomponent, repetition)

    def _part(self, text: str, component: int, subcomponent: int, repetition: int) -> str:
        delimiters = self._delimiters
        if delimiters.repetition in text:
            parts = text.split(delimiters.repetition, repetition)
            if len(parts) < repetition:
                return ""
            text = parts[repetition - 1]
        elif repetition != 1:
            return ""
        if delimiters.component in text:
            parts = text.split(delimiters.component, component)
            if len(parts) < component:
                return ""
            text = parts[component - 1]
        elif component != 1:
            return ""
        if delimiters.subcomponent in text:
            parts = text.split(delimiters.subcomponent, subcomponent)
            if len(parts) < subcomponent:
                return ""
            text = parts[subcomponent - 1]
        elif subcomponent != 1:
            return ""
        if delimiters.escape in text:
            return unescape(text, delimiters, self._charset)
        return text

    def field(self, n: int) -> str:
        """The escaped text of a whole field with all its repetitions."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        return fields[n] if n < len(fields) else ""

    def repetitions(self, n: int) -> list[str]:
        """The escaped text of every repetition of a field; none when the field is empty."""
        text = self.field(n)
        return text.split(self._delimiters.repetition) if text else []

    def count(self, n: int) -> int:
        """How many repetitions a field has, 0 when it is empty."""
        text = self.field(n)
        return text.count(self._delimiters.repetition) + 1 if text else 0

    def read(self, kind: type[T], n: int) -> T | None:
        """The first repetition of a field as a typed value, None when that is empty.

        Raises what ``kind.parse`` raises, with the location filled in (``OBR^1^7``).
        """
        text = self.field(n)
        if not text:
            return None
        repetition = self._delimiters.repetition
        if repetition in text:
            text = text.split(repetition, 1)[0]
            if not text:
                return None
        try:
            return kind.parse(text, self._delimiters, self._charset)
        except InvalidDateTime as error:
            raise self._located(error, n) from None

    def read_all(self, kind: type[T], n: int) -> list[T]:
        """Every repetition of a field that is not empty, as typed values.

        Raises what ``kind.parse`` raises, with the location filled in.
        """
        try:
            return [
                kind.parse(text, self._delimiters, self._charset)
                for text in self.repetitions(n)
                if text
            ]
        except InvalidDateTime as error:
            raise self._located(error, n) from None

    def location(self, field: int) -> str:
        """The place of a field as ERR-2 writes it (HL7 v2.5.1 2.A.28): ``OBR^1^4``."""
        return f"{self.name}^{self.occurrence}^{field}"

    def set(
        self,
        field: int,
        value: str,
        component: int | None = None,
        subcomponent: int | None = None,
        repetition: int | None = None,
    ) -> None:
        """Write one value, escaped; as much is replaced as the arguments name.

        With the field alone the whole field, all repetitions, becomes ``value``; with a repetition
        that one; with a component all of the component.

        Raises InvalidPath for the delimiters themselves (MSH-1, MSH-2), CharsetError when the
        message's character set lacks a character, InvalidValue when MSH-2 does not declare a
        delimiter that is needed.
        """
        text = escape(value, self._delimiters)
        if self._charset is not None:
            self._charset.encode(text)
        self._write(field, text, component, subcomponent, repetition)

    def set_field(self, field: int, text: str) -> None:
        """Write a whole field from text that is already escaped and delimited.

        Raises as ``set`` does, and InvalidValue when the text would end the field.
        """
        if self._delimiters.field in text or "\r" in text or "\n" in text:
            raise InvalidValue("a field cannot hold its own end", location=self.location(field))
        if self._charset is not None:
            self._charset.encode(text)
        self._write(field, text, None, None, None)

    def _write(
        self,
        field: int,
        text: str,
        component: int | None,
        subcomponent: int | None,
        repetition: int | None,
    ) -> None:
        if any(n is not None and n < 1 for n in (field, component, subcomponent, repetition)):
            raise InvalidPath("fields, repetitions and components count from one")
        fields = self._split()
        delimiters = self._delimiters
        if subcomponent is not None or component is not None or repetition is not None:
            whole = fields[field] if field < len(fields) else ""
            repetitions = whole.split(delimiters.repetition)
            at = _reach(repetitions, repetition or 1, delimiters.repetition)
            if subcomponent is not None or component is not None:
                components = repetitions[at].split(delimiters.component)
                within = _reach(components, component or 1, delimiters.component)
                if subcomponent is not None:
                    parts = components[within].split(delimiters.subcomponent)
                    parts[_reach(parts, subcomponent, delimiters.subcomponent)] = text
                    text = delimiters.subcomponent.join(parts)
                components[within] = text
                text = delimiters.component.join(components)
            repetitions[at] = text
            text = delimiters.repetition.join(repetitions)
        if field >= len(fields):
            fields.extend([""] * (field + 1 - len(fields)))
        fields[field] = text
        self._changed = True

    def _split(self) -> list[str]:
        fields = self._fields
        if fields is None:
            fields = self._fields = self._text.split(self._delimiters.field)
        return fields

    def _joined(self) -> str:
        return self._delimiters.field.join(self._split())

    def _located(self, error: InvalidDateTime, field: int) -> Hl7Error:
        return InvalidDateTime(
            error.fault.text, code=error.fault.code, location=self.location(field)
        )


class HeaderSegment(Segment, eq=False, gc=False):
    """MSH, BHS or FHS: field 1 is the separator itself, field 2 is never unescaped or divided."""

    def get(
        self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1
    ) -> str:
        """The unescaped text of one value, ``""`` when it is absent."""
        if field < 3:
            return self.field(field) if component == subcomponent == repetition == 1 else ""
        return Segment.get(self, field, component, subcomponent, repetition)

    def repetitions(self, n: int) -> list[str]:
        """The escaped text of every repetition of a field; none when the field is empty."""
        if n < 3:
            return [text] if (text := self.field(n)) else []
        return Segment.repetitions(self, n)

    def count(self, n: int) -> int:
        """How many repetitions a field has, 0 when it is empty."""
        return len(self.repetitions(n))

    def _write(
        self,
        field: int,
        text: str,
        component: int | None,
        subcomponent: int | None,
        repetition: int | None,
    ) -> None:
        if field < 3 or (field == 18 and self.name == "MSH"):
            raise InvalidPath(
                "delimiters and character set cannot be changed in place",
                location=self.location(field),
            )
        Segment._write(self, field, text, component, subcomponent, repetition)

    def _split(self) -> list[str]:
        fields = self._fields
        if fields is None:
            separator = self._delimiters.field
            fields = self._text.split(separator)
            fields.insert(1, separator)
            self._fields = fields
        return fields

    def _joined(self) -> str:
        fields = self._split()
        return self._delimiters.field.join([fields[0], *fields[2:]])


def _reach(parts: list[str], number: int, delimiter: str) -> int:
    """Make the list long enough for the part of that number and return its index."""
    if number > len(parts):
        if delimiter == ABSENT:
            raise InvalidValue("MSH-2 declares no delimiter for this part of a field")
        parts.extend([""] * (number - len(parts)))
    return number - 1
