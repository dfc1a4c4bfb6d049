"""Merges, unlinking and changes of identifiers.

HL7 v2.5.1 3.3.18 (A18), 3.3.34 (A34), 3.3.36 (A36), 3.3.37 (A37), 3.3.39 (A39), 3.3.40 (A40) and
3.3.47 (A47).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.admissions import describe
from vitalbridge.bridge.handlers.disputes import reassess, redescribed
from vitalbridge.bridge.handlers.identity import (
    create_patient,
    fill_gaps,
    find,
    names,
    note_warnings,
    required_identifiers,
    same_identifier,
)
from vitalbridge.bridge.handlers.recency import is_stale, remember, remember_first
from vitalbridge.bridge.model import Note, Order, Patient, Step, Unprocessable
from vitalbridge.translate import patients_merged
from vitalbridge.translate.records import PatientIdentifier, PatientRecord
from vitalbridge.translate.times import event_time

if TYPE_CHECKING:
    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message


def merge_patients(message: Message, context: HandlerContext, working: Working) -> None:
    """Merge the patient of each MRG segment into that of the PID before it.

    A merge is judged by the events about the retired patient's identity alone: newer demographics
    do not make it stale. A repeat does nothing, a newer merge the other way round swaps the
    survivor, and no merge can close a circle: both sides are resolved first.
    """
    time = event_time(message, context.rules, source_timezone=context.source_timezone)
    for record, retired in _pairs(message, context, working):
        _merge(working, context, record, retired, time)


def _pairs(
    message: Message, context: HandlerContext, working: Working
) -> list[tuple[PatientRecord, PatientIdentifier]]:
    """Return (surviving patient, retired number) of each pair, with the warnings noted."""
    if message.segment("MRG") is None:
        raise Unprocessable(100, "MRG^1", "MRG required")
    pairs = patients_merged(message, context.rules)
    if not pairs:
        raise Unprocessable(205, "MRG^1^1", "a patient cannot be merged with itself")
    for record, _ in pairs:
        required_identifiers(record)
        note_warnings(working, record.warnings)
    return pairs


def _merge(
    working: Working,
    context: HandlerContext,
    record: PatientRecord,
    retired: PatientIdentifier,
    time: str,
) -> None:
    leaving = working.patient_with(retired)
    survivor, by_alias = find(working, _but_of(working, leaving, record.identifiers))
    if leaving is not None and survivor is not None and leaving.key == survivor.key:
        _merge_within(working, context, survivor, record, retired, time)
        return
    if leaving is None:
        # Known only by the number that ends, so that the number becomes an alias.
        leaving = create_patient(working, PatientRecord((retired,), {}), provisional=True)
    link = working.merged_into(retired)
    subject = f"identity:{leaving.key if link is None else link[0]}"
    if is_stale(working, context, subject, time):
        return
    remember(working, context, subject, time)
    known = survivor
    if survivor is None:
        survivor = create_patient(working, record, provisional=False)
        remember_first(working, context, f"patient:{survivor.key}", time)
    if link is None:
        orders = working.orders_of_patient(leaving.key)
        working.merge(leaving.key, survivor.key)
    else:
        working.add(Note("alarm", "a patient merged before was moved to another one", "MRG-1"))
        orders = _separate(working, *link)
        working.merge(link[0], survivor.key)
    if by_alias:
        survivor = fill_gaps(working, survivor, record)
    elif known is not None:
        survivor = describe(working, context, survivor, record, time)
    reassess(working, context, orders, survivor)


def _separate(working: Working, restored: int, surviving: int) -> list[Order]:
    """Undo a merge and return the orders that are the restored patient's now.

    Those are what the merge moved, and what came since under a number of the restored patient.
    """
    orders = working.orders_of_patient(surviving)
    entries = working.appointments_of_patient(surviving)
    moved = working.moved(restored)
    working.unmerge(restored, surviving)
    back: list[Order] = []
    for order in orders:
        if moved is not None and order.key in moved.orders:
            back.append(msgspec.structs.replace(order, patient_key=restored))
        elif (holder := _named_holder(working, order)) is not None and holder.key == restored:
            order = msgspec.structs.replace(
                order, patient_key=restored, named=_still_alias(holder, order)
            )
            working.put_order(order)
            for step in working.steps_of_order(order.key):
                working.put_step(msgspec.structs.replace(step, patient_key=restored), "updated")
            back.append(order)
    for entry in entries:
        holder = _named_holder(working, entry)
        if holder is not None and holder.key == restored:
            entry = msgspec.structs.replace(
                entry, patient_key=restored, named=_still_alias(holder, entry)
            )
            working.put_step(entry, "updated")
    return back


def _named_holder(working: Working, what: Order | Step) -> Patient | None:
    """Return whose the number is under which an order or appointment came as that of an alias."""
    return None if what.named is None else working.patient_with(what.named)


def _still_alias(holder: Patient, what: Order | Step) -> PatientIdentifier | None:
    """Return the number unless it is the holder's own now."""
    return None if what.named is None or names(holder, what.named) else what.named


def _but_of(
    working: Working, patient: Patient | None, identifiers: tuple[PatientIdentifier, ...]
) -> tuple[PatientIdentifier, ...]:
    """Return the first identifier and those others that don't name ``patient``."""
    if patient is None or len(identifiers) == 1:
        return identifiers
    others = (
        i for i in identifiers[1:] if (w := working.patient_with(i)) is None or w.key != patient.key
    )
    return (identifiers[0], *others)


def _merge_within(
    working: Working,
    context: HandlerContext,
    patient: Patient,
    record: PatientRecord,
    retired: PatientIdentifier,
    time: str,
) -> None:
    """Merge two numbers that name one patient already: a repeat, a reversal, or one PID-3 list."""
    link = working.merged_into(record.identifiers[0])
    if link is None:
        working.add(Note("no_effect", "both numbers name one patient already"))
        before = working.merged_into(retired)
        if before is not None:
            remember(working, context, f"identity:{before[0]}", time)
        describe(working, context, patient, record, time)
        return
    if working.is_alias(retired):
        working.add(Note("no_effect", "both numbers were merged into a third"))
        return
    restored = link[0]
    subjects = (f"identity:{restored}", f"identity:{patient.key}")
    if any(is_stale(working, context, subject, time) for subject in subjects):
        return
    for subject in subjects:
        remember(working, context, subject, time)
    back = {order.key: order for order in _separate(working, restored, patient.key)}
    orders = [
        *(o for o in working.orders_of_patient(patient.key) if o.key not in back),
        *back.values(),
    ]
    working.merge(patient.key, restored)
    survivor = working.patient(restored)
    if survivor is not None:
        survivor = describe(working, context, survivor, record, time)
        reassess(working, context, orders, survivor)


def unlink_patients(message: Message, context: HandlerContext, working: Working) -> None:
    """Undo the merge between the patients of the two PID segments (A37)."""
    pairs = patients_merged(message, context.rules)
    if not pairs:
        raise Unprocessable(101, "PID^2^3", "two patients are required to unlink")
    record, other = pairs[0]
    one = required_identifiers(record)[0]
    time = event_time(message, context.rules, source_timezone=context.source_timezone)
    holder, other_holder = working.patient_with(one), working.patient_with(other)
    links = [link for link in map(working.merged_into, (one, other)) if link is not None]
    if holder is None or other_holder is None or holder.key != other_holder.key or not links:
        working.add(Note("no_effect", "the two patients are not linked"))
        # An older merge of the two that comes late must not link them.
        for patient in (holder, other_holder):
            if patient is not None:
                remember(working, context, f"identity:{patient.key}", time)
        return
    if len(links) > 1:
        # Which of the two was merged into the other, if either, is not told apart any more.
        working.add(Note("alarm", "both patients were merged into a third; nothing was unlinked"))
        return
    subject = f"identity:{links[0][0]}"
    if is_stale(working, context, subject, time):
        return
    remember(working, context, subject, time)
    orders = _separate(working, *links[0])
    restored = working.patient(links[0][0])
    if restored is not None:
        reassess(working, context, orders, restored)


def change_identifier(message: Message, context: HandlerContext, working: Working) -> None:
    """Give each patient the number in PID-3 instead of that in MRG-1, which is free then (A47)."""
    time = event_time(message, context.rules, source_timezone=context.source_timezone)
    for group, (record, old) in enumerate(_pairs(message, context, working), 1):
        _change(working, context, record, old, time, group)


def _change(
    working: Working,
    context: HandlerContext,
    record: PatientRecord,
    old: PatientIdentifier,
    time: str,
    group: int,
) -> None:
    new = record.identifiers[0]
    patient = working.patient_with(old)
    holder = working.patient_with(new)
    if patient is None:
        _changed_before(working, context, holder, record, time)
        return
    if is_stale(working, context, f"identity:{patient.key}", time):
        return
    if holder is not None and holder.key != patient.key:
        if time and working.last_seen(f"identity:{holder.key}", context.sender) >= time:
            working.add(Note("no_effect", "the change was made, and the old number given anew"))
            return
        if not holder.provisional:
            raise Unprocessable(205, f"PID^{group}^3", "the new number belongs to another patient")
        # An order came under the new number before the change did.
        working.merge(holder.key, patient.key)
        working.release(new)
    remember(working, context, f"identity:{patient.key}", time)
    if not names(patient, old):
        working.add(Note("resolved_alias", "the number of a merged patient was changed", "MRG-1"))
    others = tuple(i for i in patient.identifiers if not same_identifier(i, new))
    identifiers = tuple(new if same_identifier(i, old) else i for i in others)
    if not any(same_identifier(i, new) for i in identifiers):
        identifiers = (*identifiers, new)
    working.release(old)
    renamed = msgspec.structs.replace(patient, identifiers=identifiers)
    working.put_patient(renamed)
    described = describe(working, context, renamed, record, time)
    if holder is not None and holder.key != patient.key:
        redescribed(working, context, holder, described)


def _changed_before(
    working: Working,
    context: HandlerContext,
    holder: Patient | None,
    record: PatientRecord,
    time: str,
) -> None:
    """Handle a change of a number that names nobody: made before, or of somebody unheard of."""
    if holder is not None:
        working.add(Note("no_effect", "the old number names nobody"))
        remember(working, context, f"identity:{holder.key}", time)
        describe(working, context, holder, record, time)
        return
    created = create_patient(working, record, provisional=False)
    remember_first(working, context, f"patient:{created.key}", time)
    remember_first(working, context, f"identity:{created.key}", time)
