"""A C-FIND identifier of the worklist: read, understood, and turned into index and matcher.

Modalities send what they like: group lengths, private attributes, odd spaces, their own character
set. All that can be understood is; what can't be is an :class:`InvalidIdentifier`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vitalbridge.dicom import elements, matching
from vitalbridge.dicom.charsets import (
    DEFAULT_REPERTOIRE,
    LATIN_1,
    UTF_8,
    CharacterSet,
    UnknownCharacterSet,
    character_set,
)
from vitalbridge.dicom.dictionary import (
    SPECIFIC_CHARACTER_SET,
    STEP_SEQUENCE,
    WORKLIST_ATTRIBUTES,
    is_group_length,
    keyword_and_vr,
)
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vitalbridge.dicom.attributes import Attributes, Value
    from vitalbridge.dicom.elements import Element, Syntax

    Condition = Callable[[Attributes], bool]
    Matcher = Callable[[WorklistItem], bool]

_START: Final = ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")
_EXACT_INDEX: Final = {
    "AccessionNumber": "accession_numbers",
    "StudyInstanceUID": "study_uids",
    "PatientID": "patient_ids",
    "RequestedProcedureID": "requested_procedure_ids",
}
_STEP_INDEX: Final = {
    "ScheduledProcedureStepID": "step_ids",
    "Modality": "modalities",
    "ScheduledStationAETitle": "stations",
}
# Matching on these needs more than an identifier says, so they are return keys only.
_UNMATCHED_VRS: Final = frozenset(["DT", "AT", "OB", "OW", "OD", "OF", "OL", "OV", "UN"])
_TEXT_VRS: Final = matching.WILD_CARD_VRS | {"AS", "UI"}


class InvalidIdentifier(ValueError):
    """The identifier does not match the SOP class; ``tag`` is the offending element, or 0."""

    def __init__(self, text: str, tag: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.tag = tag


class Key(msgspec.Struct, frozen=True):
    """One attribute of the identifier.

    ``values`` are its values in text, none when it matches everything; ``inner`` the keys inside
    the one item of a sequence.
    """

    tag: int
    keyword: str
    vr: str
    values: tuple[str, ...] = ()
    inner: tuple[Key, ...] | None = None


class Identifier(msgspec.Struct, frozen=True):
    """The keys of a request, and the character set in which it was written."""

    keys: tuple[Key, ...]
    charset: CharacterSet


def read_identifier(data: bytes, syntax: Syntax, assumed: CharacterSet | None = None) -> Identifier:
    """Return the keys of an encoded identifier.

    ``assumed`` is the character set of a peer that sends text beyond ASCII without naming one;
    without it UTF-8 and then Latin-1 are tried. Raises :class:`InvalidIdentifier`.
    """
    try:
        found = elements.read(data, syntax)
    except elements.EncodingError as error:
        raise InvalidIdentifier("Identifier is not a data set") from error
    charset = _charset(found)
    keys = _keys(found, charset, (assumed,) if assumed else (UTF_8, LATIN_1))
    if not keys:
        raise InvalidIdentifier("Identifier without keys")
    return Identifier(keys, charset)


def _charset(found: Iterable[Element]) -> CharacterSet:
    for element in found:
        if element.tag == SPECIFIC_CHARACTER_SET:
            try:
                return character_set(element.value.decode("ascii"))
            except (UnknownCharacterSet, UnicodeDecodeError) as error:
                raise InvalidIdentifier(
                    "Specific Character Set not supported", SPECIFIC_CHARACTER_SET
                ) from error
    return DEFAULT_REPERTOIRE


def _keys(
    found: Iterable[Element], charset: CharacterSet, assumed: tuple[CharacterSet, ...]
) -> tuple[Key, ...]:
    keys: dict[int, Key] = {}
    for element in found:
        tag = element.tag
        if tag == SPECIFIC_CHARACTER_SET or is_group_length(tag):
            continue
        keyword, vr = keyword_and_vr(tag)
        if element.items is not None or vr == "SQ":
            if vr not in ("SQ", "UN") or (element.items is None and element.value):
                raise InvalidIdentifier("Attribute and sequence confused", tag)
            items = element.items or ()
            if keyword and len(items) > 1:
                # PS3.4 C.2.2.2.6 wants one item, and gives no meaning to more.
                raise InvalidIdentifier("Sequence key of more than one item", tag)
            inner = _keys(items[0], charset, assumed) if keyword and items else ()
            keys[tag] = Key(tag, keyword, "SQ", inner=inner)
        elif keyword:
            keys[tag] = Key(tag, keyword, vr, _values(element, vr, charset, assumed))
        else:
            keys[tag] = Key(tag, keyword, vr)
    return tuple(keys[tag] for tag in sorted(keys))


def _values(
    element: Element, vr: str, charset: CharacterSet, assumed: tuple[CharacterSet, ...]
) -> tuple[str, ...]:
    if vr in elements.NUMBERS or vr in _UNMATCHED_VRS:
        return ()
    text = _text(element, charset, assumed).strip(" \0\r\n\t")
    if not text:
        return ()
    if vr in ("LT", "ST", "UT"):
        return (text,)
    values = tuple(value for part in text.split("\\") if (value := part.strip(" \0")))
    # Values are alternatives: one that is universal makes all of them so.
    return () if any(matching.is_universal(vr, value) for value in values) else values


def _text(element: Element, charset: CharacterSet, assumed: tuple[CharacterSet, ...]) -> str:
    # Bytes beyond ASCII without a character set are common; only then is it guessed.
    undeclared = charset is DEFAULT_REPERTOIRE and not element.value.isascii()
    for candidate in assumed if undeclared else (charset,):
        try:
            return candidate.decode(element.value)
        except UnicodeDecodeError:
            continue
    raise InvalidIdentifier("Text is not of the Specific Character Set", element.tag)


def index_query(identifier: Identifier) -> WorklistQuery:
    """Return what an index can use of the identifier; raises :class:`InvalidIdentifier`."""
    conditions: dict[str, tuple[str, ...]] = {}
    prefix = ""
    low = high = ""
    for key in identifier.keys:
        if key.keyword in _EXACT_INDEX and (exact := _exact(key)):
            conditions[_EXACT_INDEX[key.keyword]] = exact
        elif key.keyword == "PatientName" and len(key.values) == 1:
            prefix = _prefix(key.values[0])
        elif key.keyword == STEP_SEQUENCE and key.inner:
            for inner in key.inner:
                if inner.keyword in _STEP_INDEX and (exact := _exact(inner)):
                    conditions[_STEP_INDEX[inner.keyword]] = exact
            day, hour = (_single(key.inner, keyword) for keyword in _START)
            (low, high), _, _ = _start_bounds(day, hour)
    return WorklistQuery(
        **conditions,
        # Whole days: a step without an hour belongs to every hour of its day.
        start_from=low[:8] + "000000" if low else "",
        start_to=high[:8] + "235959" if high else "",
        name_prefix=prefix,
    )


def _exact(key: Key) -> tuple[str, ...]:
    if key.vr in matching.WILD_CARD_VRS and any(map(matching.has_wildcard, key.values)):
        return ()
    exact: dict[str, None] = {}
    for value in key.values:
        exact.update(dict.fromkeys(matching.spellings(key.vr, value)))
    return tuple(exact)


def _prefix(name: str) -> str:
    if "=" in name:
        return ""
    return matching.fold(name.replace("?", "*").partition("*")[0])


def _single(keys: Iterable[Key], keyword: str) -> Key | None:
    for key in keys:
        if key.keyword == keyword and len(key.values) == 1:
            return key
    return None


def _start_bounds(
    day: Key | None, hour: Key | None
) -> tuple[matching.Bounds, matching.Bounds, matching.Bounds]:
    try:
        if day:
            matching.dates(day.values[0])
    except matching.InvalidKey as error:
        raise InvalidIdentifier(_complaint(error), day.tag if day else 0) from error
    try:
        return matching.date_and_time(day.values[0] if day else "", hour.values[0] if hour else "")
    except matching.InvalidKey as error:
        raise InvalidIdentifier(_complaint(error), hour.tag if hour else 0) from error


def _complaint(error: matching.InvalidKey) -> str:
    return f"Key value: {error}"


def matcher(identifier: Identifier) -> Matcher:
    """Return the full test of an item; raises :class:`InvalidIdentifier`.

    A key that the worklist does not know, and that the item has no value for, is ignored; the
    reply says so (status FF01).
    """
    top: list[Condition] = []
    step: list[Condition] = []
    for key in identifier.keys:
        if key.keyword == STEP_SEQUENCE:
            step += _step_conditions(key.inner or ())
        else:
            top += _condition(key, supported=key.keyword in WORKLIST_ATTRIBUTES)

    def matches(item: WorklistItem) -> bool:
        if step and not all(condition(item.step) for condition in step):
            return False
        if not top:
            return True
        attributes = item.patient | item.order
        return all(condition(attributes) for condition in top)

    return matches


def _condition(key: Key, *, supported: bool) -> list[Condition]:
    if key.inner is not None:
        return _sequence_condition(key, supported=supported)
    if not key.values or not key.keyword:
        return []
    keyword, test = key.keyword, _value_test(key)
    if test is None:
        return []

    def condition(attributes: Attributes) -> bool:
        stored = attributes.get(keyword)
        if not stored:
            return not supported and stored is None
        return any(test(value) for value in _stored_texts(stored))

    return [condition]


def _stored_texts(stored: Value) -> list[str]:
    if isinstance(stored, str):
        return stored.split("\\")
    return [value for value in stored if isinstance(value, str)]


def _value_test(key: Key) -> matching.Test | None:
    """Return a test that any of the key's values satisfies, None when one of them is universal."""
    tests = []
    for value in key.values:
        try:
            test = _one_value_test(key.vr, value)
        except matching.InvalidKey as error:
            raise InvalidIdentifier(_complaint(error), key.tag) from error
        if test is None:
            return None
        tests.append(test)
    if len(tests) == 1:
        return tests[0]
    return lambda stored: any(test(stored) for test in tests)


def _one_value_test(vr: str, value: str) -> matching.Test | None:
    match vr:
        case "PN":
            return matching.person_name(value)
        case "DA":
            return matching.date(value)
        case "TM":
            return matching.time(value)
        case "DS" | "IS":
            return matching.number(value)
        case _ if vr in _TEXT_VRS:
            return matching.text(vr, value)
        case _:
            return None


def _sequence_condition(key: Key, *, supported: bool) -> list[Condition]:
    keyword = key.keyword
    conditions = _conditions(key.inner or (), supported=supported)
    if not conditions:
        return []

    def condition(attributes: Attributes) -> bool:
        stored = attributes.get(keyword)
        if not stored or isinstance(stored, str):
            return not supported and stored is None
        return any(
            all(test(item) for test in conditions) for item in stored if isinstance(item, dict)
        )

    return [condition]


def _conditions(keys: Iterable[Key], *, supported: bool) -> list[Condition]:
    return [condition for key in keys for condition in _condition(key, supported=supported)]


def _step_conditions(keys: Sequence[Key]) -> list[Condition]:
    day, hour = (_single(keys, keyword) for keyword in _START)
    if not (day and hour):
        return _conditions(keys, supported=True)
    others = [key for key in keys if key is not day and key is not hour]
    return [_start_condition(day, hour), *_conditions(others, supported=True)]


def _start_condition(day: Key, hour: Key) -> Condition:
    start, date, time = _start_bounds(day, hour)
    date_keyword, time_keyword = _START

    def condition(step: Attributes) -> bool:
        da, tm = step.get(date_keyword), step.get(time_keyword) or ""
        if not da or not isinstance(da, str) or not isinstance(tm, str):
            return False
        first_day, last_day = da.ljust(8, "0"), da.ljust(8, "9")
        first_hour, last_hour = matching.earliest_time(tm), matching.latest_time(tm)
        return (
            matching.within(start, first_day + first_hour, last_day + last_hour)
            and matching.within(date, first_day, last_day)
            and matching.within(time, first_hour, last_hour)
        )

    return condition
