"""Typed readers of composite fields (HL7 v2.5.1 ch. 2.A).

Each is read from the escaped text of one repetition. A part that is absent is ``""``; the HL7 null
stays the two quotation marks that were sent. Of a component that a later version of HL7 divided,
the first subcomponent is the value (HL7 v2.5.1 2.8.2). Where the standard has plain text, though,
an unescaped subcomponent delimiter can only be a part of that text, and is kept.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self, cast

import msgspec

from .delimiters import ABSENT, STANDARD, Delimiters
from .errors import InvalidValue
from .escapes import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .charsets import Charset


class Shape(NamedTuple):
    """Where the attributes of a composite stand among its components."""

    places: tuple[int, ...]
    """Component number of each attribute, ascending."""
    composites: tuple[tuple[int, type[Composite]], ...]
    """Index of the attributes that are composites themselves."""
    texts: frozenset[int]
    """Index of the attributes that are plain text."""
    missing: tuple[list[str], ...]
    """By the number of components that were sent: what fills the list up."""
    pick: Callable[[list[str]], tuple[str, ...]]


def shape(
    *places: int,
    composites: Mapping[int, type[Composite]] | None = None,
    texts: Sequence[int] = (),
) -> Shape:
    """The shape of a composite; ``composites`` and ``texts`` name components by number."""
    width = places[-1]
    return Shape(
        places,
        tuple((places.index(place), kind) for place, kind in (composites or {}).items()),
        frozenset(places.index(place) for place in texts),
        tuple([""] * (width - count) for count in range(width)),
        cast("Callable[[list[str]], tuple[str, ...]]", itemgetter(*(n - 1 for n in places))),
    )


class Composite(msgspec.Struct, frozen=True):
    """Base of the composite types: how their components are read and written."""

    shape: ClassVar[Shape]

    @classmethod
    def parse(
        cls, text: str, delimiters: Delimiters = STANDARD, charset: Charset | None = None, /
    ) -> Self:
        """Read one repetition; ``charset`` gives hexadecimal escapes their meaning."""
        form = cls.shape
        parts = text.split(delimiters.component)
        if len(parts) < len(form.missing):
            parts += form.missing[len(parts)]
        values: list[Any] = list(form.pick(parts))
        if delimiters.escape in text or delimiters.subcomponent in text:
            _read_each(values, form, delimiters, charset)
        else:
            for index, kind in form.composites:
                values[index] = kind(values[index])
        return cls(*values)

    def write(self, delimiters: Delimiters = STANDARD) -> str:
        """The escaped text of the value, without empty components at its end.

        Raises InvalidValue when MSH-2 lacks a delimiter that is needed.
        """
        form = self.shape
        parts = [""] * form.places[-1]
        for place, name in zip(form.places, self.__struct_fields__, strict=True):
            value = getattr(self, name)
            parts[place - 1] = (
                value.write(delimiters.inner)
                if isinstance(value, Composite)
                else escape(value, delimiters)
            )
        return joined(parts, delimiters.component)


def _read_each(
    values: list[Any], form: Shape, delimiters: Delimiters, charset: Charset | None
) -> None:
    composites = dict(form.composites)
    for index, text in enumerate(values):
        kind = composites.get(index)
        if kind is not None:
            values[index] = kind.parse(text, delimiters.inner, charset) if text else kind()
            continue
        if not text:
            continue
        if index not in form.texts and delimiters.subcomponent in text:
            text = text.split(delimiters.subcomponent, 1)[0]
        values[index] = unescape(text, delimiters, charset)


class HD(Composite, frozen=True):
    """Hierarchic designator: an assigning authority, application or facility (2.A.33)."""

    shape = shape(1, 2, 3)

    namespace_id: str = ""
    universal_id: str = ""
    universal_id_type: str = ""


class EI(Composite, frozen=True):
    """Entity identifier: the number of an order with who assigned it (2.A.28)."""

    shape = shape(1, 2, 3, 4)

    entity: str = ""
    namespace_id: str = ""
    universal_id: str = ""
    universal_id_type: str = ""

    @property
    def canonical(self) -> str:
        """``ENTITY^NAMESPACE^UNIVERSAL^TYPE`` without the empty end: one text per identifier."""
        parts = (self.entity, self.namespace_id, self.universal_id, self.universal_id_type)
        return "^".join([part.replace("^", "\\S\\") for part in parts]).rstrip("^")


class CX(Composite, frozen=True):
    """Extended composite id: a patient identifier (2.A.14)."""

    shape = shape(1, 2, 3, 4, 5, 6, composites={4: HD, 6: HD})

    id: str = ""
    check_digit: str = ""
    check_digit_scheme: str = ""
    assigning_authority: HD = HD()
    identifier_type: str = ""
    assigning_facility: HD = HD()


class XPN(Composite, frozen=True):
    """Extended person name (2.A.88); ``family`` is the surname, FN.1."""

    shape = shape(1, 2, 3, 4, 5, 6, 7, 8)

    family: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    prefix: str = ""
    degree: str = ""
    name_type: str = ""
    representation: str = ""


class XCN(Composite, frozen=True):
    """Extended composite id number and name: a physician or operator (2.A.87)."""

    shape = shape(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 15, composites={9: HD})

    id: str = ""
    family: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    prefix: str = ""
    degree: str = ""
    source_table: str = ""
    assigning_authority: HD = HD()
    name_type: str = ""
    identifier_type: str = ""
    representation: str = ""


class CWE(Composite, frozen=True):
    """Coded with exceptions, and CE, its first six components (2.A.13, 2.A.9)."""

    shape = shape(1, 2, 3, 4, 5, 6, 9, texts=(2, 5, 9))

    identifier: str = ""
    text: str = ""
    coding_system: str = ""
    alternate_identifier: str = ""
    alternate_text: str = ""
    alternate_coding_system: str = ""
    original_text: str = ""


CE: Final = CWE


class XAD(Composite, frozen=True):
    """Extended address (2.A.86); ``street`` is the street address, SAD.1."""

    shape = shape(1, 2, 3, 4, 5, 6, 7)

    street: str = ""
    other_designation: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    address_type: str = ""


class XTN(Composite, frozen=True):
    """Extended telecommunication number (2.A.89)."""

    shape = shape(1, 2, 3, 4, 5, 6, 7, 8, 9, 12, texts=(9, 12))

    number: str = ""
    use: str = ""
    equipment: str = ""
    email: str = ""
    country_code: str = ""
    area_code: str = ""
    local_number: str = ""
    extension: str = ""
    text: str = ""
    unformatted: str = ""


class PL(Composite, frozen=True):
    """Person location (2.A.53)."""

    shape = shape(1, 2, 3, 4, 5, 6, 7, 8, 9, composites={4: HD}, texts=(9,))

    point_of_care: str = ""
    room: str = ""
    bed: str = ""
    facility: HD = HD()
    status: str = ""
    person_location_type: str = ""
    building: str = ""
    floor: str = ""
    description: str = ""


class TQ(Composite, frozen=True):
    """Timing and quantity of ORC-7 and OBR-27 (2.A.81); ``start`` and ``end`` are TS as sent."""

    shape = shape(1, 2, 3, 4, 5, 6)

    quantity: str = ""
    interval: str = ""
    duration: str = ""
    start: str = ""
    end: str = ""
    priority: str = ""


def joined(parts: list[str], delimiter: str) -> str:
    """The parts with the delimiter between them, those that are empty at the end left out.

    Raises InvalidValue when more than one is left and the delimiter is not declared.
    """
    count = len(parts)
    while count and not parts[count - 1]:
        count -= 1
    if count > 1 and delimiter == ABSENT:
        raise InvalidValue("MSH-2 declares no delimiter for this part of a field")
    return delimiter.join(parts[:count])
