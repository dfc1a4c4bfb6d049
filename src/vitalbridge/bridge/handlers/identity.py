"""Who a PID segment means: known patients, conflicts between identifiers, provisional patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from vitalbridge.bridge.model import Note, Patient, Unprocessable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.dicom.attributes import Attributes, Changes, Value
    from vitalbridge.translate.records import PatientIdentifier, PatientRecord

COMPARED: Final = ("PatientName", "PatientBirthDate", "PatientSex")


class Found(NamedTuple):
    """Whom the identifiers mean; ``by_alias`` when only the id of a retired patient led there."""

    patient: Patient | None
    by_alias: bool


def same_identifier(one: PatientIdentifier, other: PatientIdentifier) -> bool:
    """Return whether both have the same id and issuer; their types may differ."""
    return one.id == other.id and one.issuer == other.issuer


def names(patient: Patient, identifier: PatientIdentifier) -> bool:
    """Return whether the identifier is one of the patient's own, not an alias."""
    number, issuer = identifier.id, identifier.issuer
    for own in patient.identifiers:  # noqa: SIM110 - on the path of every order, and faster so
        if own.id == number and own.issuer == issuer:
            return True
    return False


def required_identifiers(record: PatientRecord) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers of PID-3; raises Unprocessable (101) when there is none."""
    if not record.identifiers:
        raise Unprocessable(101, "PID^1^3", "PID-3 required")
    return record.identifiers


def find(working: Working, identifiers: tuple[PatientIdentifier, ...]) -> Found:
    """Return the patient that the identifiers mean, the first one before all others.

    Identifiers that mean two patients are a conflict for a person: the first decides, and an alarm
    is noted. So is a further identifier of a patient who has another number of the first one's
    issuer: one authority numbers a person once.
    """
    first = identifiers[0]
    patient = working.patient_with(first)
    if patient is None:
        return _find_by_others(working, identifiers)
    if len(identifiers) > 1:
        for other in identifiers[1:]:
            holder = working.patient_with(other)
            if holder is not None and holder.key != patient.key:
                _conflict(working)
                break
    if names(patient, first):
        return Found(patient, by_alias=False)
    _resolved(working)
    return Found(patient, by_alias=True)


def _find_by_others(working: Working, identifiers: tuple[PatientIdentifier, ...]) -> Found:
    first = identifiers[0]
    found: Patient | None = None
    by_alias = False
    for other in identifiers[1:]:
        holder = working.patient_with(other)
        if holder is None or (found is not None and holder.key == found.key):
            continue
        if found is not None or any(own.issuer == first.issuer for own in holder.identifiers):
            _conflict(working)
            return Found(None, by_alias=False)
        found = holder
        by_alias = not names(holder, other)
    if by_alias:
        _resolved(working)
    return Found(found, by_alias)


def _resolved(working: Working) -> None:
    working.add(
        Note("resolved_alias", "the id of a merged patient; the survivor is meant", "PID-3")
    )


def _conflict(working: Working) -> None:
    working.add(
        Note("alarm", "the identifiers name different patients; the first was used", "PID-3")
    )


def note_warnings(working: Working, warnings: Iterable[str]) -> None:
    """Note what the translation left out or cut; each text names its field, none has PHI."""
    for warning in warnings:
        working.add(Note("warning", warning))


def present(changes: Changes) -> Attributes:
    """Return what the changes set on something new: all but the deletions."""
    return {keyword: value for keyword, value in changes.items() if value is not None}


def unclaimed(
    working: Working, identifiers: tuple[PatientIdentifier, ...]
) -> tuple[PatientIdentifier, ...]:
    """Return those identifiers, each once, that name nobody yet."""
    free: list[PatientIdentifier] = []
    for identifier in identifiers:
        if working.patient_with(identifier) is None and not any(
            same_identifier(identifier, other) for other in free
        ):
            free.append(identifier)
    return tuple(free)


def create_patient(working: Working, record: PatientRecord, *, provisional: bool) -> Patient:
    """Put a new patient with those of the record's identifiers that name nobody yet."""
    patient = Patient(
        key=working.new_key(),
        identifiers=unclaimed(working, record.identifiers),
        attributes=present(record.attributes),
        provisional=provisional,
    )
    working.put_patient(patient, created=True)
    return patient


def patient_of(working: Working, record: PatientRecord) -> Patient:
    """Return the patient of an order or appointment: a known one, its gaps filled, or a new one.

    Nothing that is known is overwritten; a new patient is provisional until an ADT message comes.
    """
    identifiers = required_identifiers(record)
    found, by_alias = find(working, identifiers)
    if found is None:
        return create_patient(working, record, provisional=True)
    if by_alias:
        return found
    return fill_gaps(working, found, record)


def fill_gaps(working: Working, patient: Patient, record: PatientRecord) -> Patient:
    """Put the patient with what the record knows more, if it does; return it as it is now."""
    known = patient.attributes
    more: Attributes = {}
    if not record.attributes.keys() <= known.keys():
        more = {
            keyword: value
            for keyword, value in record.attributes.items()
            if value is not None and keyword not in known
        }
    added = _further_identifiers(working, patient, record.identifiers)
    if not more and not added:
        return patient
    filled = msgspec.structs.replace(
        patient, attributes={**known, **more}, identifiers=patient.identifiers + added
    )
    working.put_patient(filled)
    return filled


def _further_identifiers(
    working: Working, patient: Patient, identifiers: tuple[PatientIdentifier, ...]
) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers of issuers who have not numbered this patient yet."""
    if len(identifiers) == 1 and names(patient, identifiers[0]):
        return ()
    issuers = {own.issuer for own in patient.identifiers}
    return unclaimed(working, tuple(other for other in identifiers if other.issuer not in issuers))


def agree(known: Mapping[str, Value | None], told: Mapping[str, Value | None]) -> bool:
    """Return whether two descriptions can be of one person.

    They are not when two of family name, birth date and sex differ. What either leaves out does not
    count; a less precise birth date agrees with what it begins.
    """
    differences = 0
    for keyword in COMPARED:
        one, other = known.get(keyword), told.get(keyword)
        if (
            one != other
            and isinstance(one, str)
            and isinstance(other, str)
            and _differ(keyword, one, other)
        ):
            differences += 1
    return differences < 2


def _differ(keyword: str, one: str, other: str) -> bool:
    if keyword == "PatientName":
        one, other = family_name(one), family_name(other)
    if not one or not other:
        return False
    if keyword == "PatientBirthDate":
        shared = min(len(one), len(other))
        return one[:shared] != other[:shared]
    return one != other


def family_name(person_name: str) -> str:
    """Return the family name of the first component group ``A=I=P`` that has one, case folded."""
    for group in person_name.split("="):
        family = group.partition("^")[0].strip()
        if family:
            return family.casefold()
    return ""
