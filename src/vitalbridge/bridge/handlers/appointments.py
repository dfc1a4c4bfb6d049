"""Scheduling messages SIU: an order's steps are moved, or an entry waits for its order.

HL7 v2.5.1 10.3.1 to 10.3.6 (S12 to S17) and 10.3.15 (S26).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from vitalbridge.bridge.handlers.absorption import absorb, by_key, call_off, place_of, rescheduled
from vitalbridge.bridge.handlers.identity import note_warnings, present
from vitalbridge.bridge.handlers.recency import is_newer, is_stale, remember
from vitalbridge.bridge.handlers.scene import Scene, assumed_start, scene_of
from vitalbridge.bridge.handlers.status import (
    CALLED_OFF,
    FINAL,
    Verdict,
    change_word,
    has_begun,
    is_settled,
    judge,
)
from vitalbridge.bridge.handlers.steps import (
    UNRESOLVED_MODALITY,
    appointment_step_id,
    put_if_changed,
    without_place,
)
from vitalbridge.bridge.handlers.studies import generated_study_uid
from vitalbridge.bridge.model import Note, Order, Step, StepStatus, Unprocessable
from vitalbridge.dicom.attributes import changed
from vitalbridge.translate import appointment_from, event_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message
    from vitalbridge.translate.records import AppointmentRecord, StepRecord


class _Told(NamedTuple):
    """An appointment message. ``newer``: beyond doubt newer than all before about the appointment.

    ``names_station`` and ``names_place``: it has resources that say so (AIG, AIL), so that stations
    and location are not just those that the site's rules give the modality.
    """

    record: AppointmentRecord
    status: StepStatus
    newer: bool
    names_station: bool
    names_place: bool


def apply_appointment(message: Message, context: HandlerContext, working: Working) -> None:
    """Move the steps of the order that SCH-26 or SCH-27 names; without one keep an entry.

    An appointment never makes an order. The entry is keyed by SCH-2 and is absorbed by its order
    when that arrives.
    """
    record = appointment_from(message, context.rules, source_timezone=context.source_timezone)
    if not record.appointment:
        raise Unprocessable(101, "SCH^1^1", "SCH-1 or SCH-2 required")
    note_warnings(working, record.warnings)
    scene = scene_of(message, context, working)
    time = event_time(message, context.rules, source_timezone=context.source_timezone)
    order = _order_named(working, record)
    scheduled = by_key(working.steps_of_appointment(record.appointment))
    entries = [step for step in scheduled if not step.order_key]
    if order is not None:
        steps = by_key(working.steps_of_order(order.key))
        order_key = order.key
    else:
        steps = [step for step in scheduled if step.order_key]
        order_key = steps[0].order_key if steps else 0
    subjects = [f"appointment:{record.appointment}"]
    newer = is_newer(time, working.last_seen(subjects[0], context.sender), context.timezone)
    if order_key:
        subjects.append(f"order:{order_key}")
    if any(is_stale(working, context, subject, time) for subject in subjects):
        return
    # Not of the order: its own times are those of its entry (ORC-9), which may lie well before.
    remember(working, context, subjects[0], time)
    if any(step.patient_key != scene.patient.key for step in steps or entries) or (
        order is not None and order.patient_key != scene.patient.key
    ):
        working.add(Note("alarm", "the appointment was another patient's; not applied", "PID-3"))
        return
    told = _Told(
        record,
        StepStatus(record.status),
        newer,
        bool(message.segments("AIG")),
        bool(message.segments("AIL")),
    )
    if order is not None and order.status in CALLED_OFF:
        _keep_off(scene, told, steps, entries)
    elif steps:
        _move(scene, told, steps, entries)
    else:
        _put_entries(scene, told, entries)


def _order_named(working: Working, record: AppointmentRecord) -> Order | None:
    """Return the order that SCH-26 and SCH-27 mean, an open one before others."""
    orders = working.orders_with(record.placer, record.filler)
    if not orders:
        return None
    return min(
        orders,
        key=lambda order: (
            (order.placer, order.filler) != (record.placer, record.filler),
            order.status in FINAL,
            order.key,
        ),
    )


def _keep_off(scene: Scene, told: _Told, steps: Sequence[Step], entries: Sequence[Step]) -> None:
    """Bind the appointment to an order that was called off.

    Later messages about it, which may not name the order, must not show it either.
    """
    working = scene.working
    working.add(Note("no_effect", "the order of this appointment was called off", "SCH-26"))
    for step in steps:
        if not step.appointment:
            bound = msgspec.structs.replace(step, appointment=told.record.appointment)
            working.put_step(bound, "updated")
    if not steps and entries:
        call_off(working, entries)
    for entry in entries if steps else ():
        working.remove_step(entry.key)
    if not steps and not entries:
        off = _entry(scene, told, told.record.steps[0], "")
        off.status, off.status_source = StepStatus.CANCELLED, "hl7"
        working.put_step(off, "cancelled")


def _move(scene: Scene, told: _Told, steps: Sequence[Step], entries: Sequence[Step]) -> None:
    """Give the order's steps the start, place and status of the appointment."""
    working = scene.working
    if scene.disputed:
        return
    for entry in entries:
        working.remove_step(entry.key)
    records = told.record.steps
    effects = len(working.effects)
    for index, step in enumerate(steps):
        base = step
        if entries:
            entry = entries[min(index, len(entries) - 1)]
            base = absorb(step, entry)
        record = records[index] if len(records) == len(steps) else records[0]
        put_if_changed(working, step, _moved(working, told, base, record))
    if len(working.effects) == effects:
        working.add(Note("no_effect", "the steps are like this, or past it"))


def _moved(working: Working, told: _Told, step: Step, record: StepRecord) -> Step:
    appointment = told.record.appointment
    if told.status in CALLED_OFF and step.appointment not in ("", appointment):
        return step  # another appointment has it by now
    status, source = _status(working, told, step)
    if has_begun(step.status) or status in FINAL:
        return msgspec.structs.replace(
            step, status=status, status_source=source, appointment=step.appointment or appointment
        )
    attributes = present(record.attributes)
    more = place_of(attributes)
    if not told.names_place and not told.names_station:
        more.pop("ScheduledProcedureStepLocation", None)
    stations = step.stations
    if record.stations and (told.names_station or not stations):
        stations = record.stations
        if "ScheduledStationName" in attributes:
            more["ScheduledStationName"] = attributes["ScheduledStationName"]
    start, ordered_start = rescheduled(step, "" if record.start_assumed else record.start)
    return msgspec.structs.replace(
        step,
        start=start,
        ordered_start=ordered_start,
        stations=stations,
        placed=step.placed or told.names_station or told.names_place,
        step_attributes={**step.step_attributes, **more},
        status=status,
        status_source=source,
        appointment=appointment,
    )


def _status(working: Working, told: _Told, step: Step) -> tuple[StepStatus, str]:
    """Return status and source of a step after its appointment said ``told.status``.

    What only an appointment called off comes back with another appointment, or with what is beyond
    doubt newer of the same one.
    """
    wanted = told.status
    if step.status in CALLED_OFF and step.status_source == "appointment":
        again = told.newer or step.appointment != told.record.appointment
        return (
            (wanted, "hl7") if again and wanted not in CALLED_OFF else (step.status, "appointment")
        )
    verdict = judge(step.status, step.status_source, wanted)
    if verdict is Verdict.REFUSED:
        working.add(Note("alarm", "an appointment called off after it had begun", "SCH-25"))
    if verdict is not Verdict.APPLY:
        return step.status, step.status_source
    return wanted, "appointment" if wanted in CALLED_OFF else "hl7"


def _put_entries(scene: Scene, told: _Told, entries: Sequence[Step]) -> None:
    """Put the entries of an appointment whose order is not known.

    An appointment that was called off before it was ever heard of leaves its entry, hidden, so that
    a late S12 does not show it.
    """
    working, record = scene.working, told.record
    uid = entries[0].study_uid if entries else ""
    effects = len(working.effects)
    for index, one in enumerate(record.steps):
        if index < len(entries):
            put_if_changed(working, entries[index], _revised(scene, told, entries[index], one))
        else:
            entry = _entry(scene, told, one, uid)
            uid = entry.study_uid
            word = change_word(entry.status) if entry.status in CALLED_OFF else "created"
            working.put_step(entry, word)
    for entry in entries[len(record.steps) :]:
        if entry.status not in FINAL and not has_begun(entry.status):
            working.put_step(
                msgspec.structs.replace(
                    entry, status=StepStatus.CANCELLED, status_source="appointment"
                ),
                "cancelled",
            )
    if len(working.effects) == effects:
        working.add(Note("no_effect", "the appointment is known like this"))


def _revised(scene: Scene, told: _Told, entry: Step, one: StepRecord) -> Step:
    status, source = _status(scene.working, told, entry)
    record = told.record
    modality = entry.modality if one.modality_unmapped else one.modality or entry.modality
    stations, attributes = one.stations or entry.stations, one.attributes
    if entry.placed and modality == entry.modality and not told.names_station:
        stations = entry.stations
        if not told.names_place:
            attributes = without_place(attributes)
    if has_begun(entry.status) or is_settled(entry):
        return msgspec.structs.replace(
            entry,
            status=status,
            status_source=source,
            placer=record.placer or entry.placer,
            filler=record.filler or entry.filler,
        )
    return msgspec.structs.replace(
        entry,
        start=entry.start if one.start_assumed else one.start or entry.start,
        modality=modality,
        modality_unmapped=entry.modality_unmapped and (one.modality_unmapped or not one.modality),
        stations=stations,
        placed=entry.placed or told.names_station or told.names_place,
        order_attributes=changed(entry.order_attributes, record.attributes),
        step_attributes=changed(entry.step_attributes, attributes),
        status=status,
        status_source=source,
        held=entry.held if entry.status_source == "operator" else scene.disputed,
        placer=record.placer or entry.placer,
        filler=record.filler or entry.filler,
    )


def _entry(scene: Scene, told: _Told, one: StepRecord, study_uid: str) -> Step:
    working, context, record = scene.working, scene.context, told.record
    key = working.new_key()
    return Step(
        key=key,
        order_key=0,
        patient_key=scene.patient.key,
        accession="",
        requested_procedure_id=record.requested_procedure_id,
        step_id=appointment_step_id(key),
        study_uid=study_uid
        or generated_study_uid(context.rules, scene.patient, key, record.appointment),
        status=told.status,
        held=scene.disputed,
        start=one.start or assumed_start(scene),
        modality=one.modality or UNRESOLVED_MODALITY,
        stations=one.stations,
        order_attributes=present(record.attributes),
        step_attributes=present(one.attributes),
        status_source="appointment" if told.status in CALLED_OFF else "hl7",
        appointment=record.appointment,
        placer=record.placer,
        filler=record.filler,
        modality_unmapped=one.modality_unmapped or not one.modality,
        named=scene.named,
        placed=told.names_station or told.names_place,
    )
