"""ADT messages about one patient: who they are now (HL7 v2.5.1 3.3.1 to 3.3.13, 3.3.28, 3.3.31)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.disputes import redescribed
from vitalbridge.bridge.handlers.identity import (
    agree,
    create_patient,
    fill_gaps,
    find,
    names,
    note_warnings,
    required_identifiers,
    same_identifier,
    unclaimed,
)
from vitalbridge.bridge.handlers.recency import is_stale, remember, remember_first
from vitalbridge.bridge.model import Note, Patient
from vitalbridge.dicom.attributes import changed
from vitalbridge.translate import patient_from
from vitalbridge.translate.times import event_time

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message
    from vitalbridge.translate.records import PatientIdentifier, PatientRecord


def update_patient(message: Message, context: HandlerContext, working: Working) -> None:
    """Create or update the patient that PID describes.

    Every event updates demographics, and none deletes the patient: a cancelled admission, transfer
    or discharge ends a visit, not a person.
    """
    record = patient_from(message, context.rules, source_timezone=context.source_timezone)
    note_warnings(working, record.warnings)
    time = event_time(message, context.rules, source_timezone=context.source_timezone)
    found, by_alias = find(working, required_identifiers(record))
    if found is None:
        patient = create_patient(working, record, provisional=False)
        remember_first(working, context, f"patient:{patient.key}", time)
    elif by_alias:
        # What is said under a retired number is about a record that the sender has not updated.
        fill_gaps(working, found, record)
    else:
        describe(working, context, found, record, time)


def describe(
    working: Working, context: HandlerContext, patient: Patient, record: PatientRecord, time: str
) -> Patient:
    """Lay an ADT message's description over a known patient, unless a newer one was there.

    Returns the patient as it is now.
    """
    subject = f"patient:{patient.key}"
    if is_stale(working, context, subject, time):
        return patient
    remember(working, context, subject, time)
    known = patient
    if patient.provisional and not agree(patient.attributes, record.attributes):
        working.add(
            Note("alarm", "the patient whom an order described is another person by now", "PID")
        )
        if context.policy.patient_mismatch == "hold":
            known = _without_the_other(patient, record)
    updated = msgspec.structs.replace(
        known,
        identifiers=_identifiers(working, known, record.identifiers),
        attributes=changed(known.attributes, record.attributes),
        provisional=False,
    )
    if updated == patient:
        working.add(Note("no_effect", "the patient is known like this"))
        return patient
    working.put_patient(updated)
    redescribed(working, context, patient, updated)
    return updated


def _without_the_other(patient: Patient, record: PatientRecord) -> Patient:
    """Return the patient without what orders told of another person: only shared numbers stay."""
    shared = tuple(
        own
        for own in patient.identifiers
        if any(same_identifier(own, told) for told in record.identifiers)
    )
    return msgspec.structs.replace(patient, identifiers=shared, attributes={})


def _identifiers(
    working: Working, patient: Patient, told: tuple[PatientIdentifier, ...]
) -> tuple[PatientIdentifier, ...]:
    """Return the patient's identifiers with new ones added.

    The first is PatientID and stays what it is: numbers change by A47 and the merges. Only a
    provisional patient, whom an order may have known by another system's number, takes over the
    ADT's first one.
    """
    identifiers = patient.identifiers + unclaimed(working, told)
    if not identifiers or not patient.provisional or not told:
        return identifiers
    first = told[0]
    leading = [own for own in identifiers if own.id == first.id and own.issuer == first.issuer]
    if not leading or not names(patient, identifiers[0]):
        return identifiers
    return (leading[0], *(own for own in identifiers if own is not leading[0]))
