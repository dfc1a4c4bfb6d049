"""An appointment that came before its order: what of it the order's steps take over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vitalbridge.bridge.handlers.status import (
    CALLED_OFF,
    REVIVABLE_SOURCES,
    Verdict,
    has_begun,
    judge,
)
from vitalbridge.bridge.model import Note, Order, Step, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.dicom.attributes import Attributes

_PLACE: Final = ("ScheduledProcedureStepLocation", "ScheduledPerformingPhysicianName")


def by_key(steps: Iterable[Step]) -> list[Step]:
    """Return the steps in the order in which they were made."""
    return sorted(steps, key=lambda step: step.key)


def waiting(working: Working, patient_key: int, placer: str, filler: str) -> list[Step]:
    """Return the patient's appointment entries that wait for the order with these numbers."""
    found = working.appointments_for(placer, filler)
    if not found:
        return []
    own = [step for step in found if step.patient_key == patient_key]
    if len(own) < len(found):
        working.add(Note("alarm", "an appointment for this order names another patient", "ORC-2"))
    return by_key(own)


def in_force(entries: list[Step]) -> list[Step]:
    """Return the entries of the appointment that counts: the last one made, an open one if any."""
    if not entries:
        return []
    open_ = [entry for entry in entries if entry.status not in CALLED_OFF]
    appointment = (open_ or entries)[-1].appointment
    return [entry for entry in entries if entry.appointment == appointment]


def absorb(step: Step, entry: Step) -> Step:
    """Return the order's step with the entry's start, place and status.

    An entry that was called off together with a tombstone says nothing about the order that took
    the tombstone's place. The entry's stations count unless the order named stations itself.
    """
    start, ordered_start = rescheduled(step, entry.start)
    stations, more = step.stations, place_of(entry.step_attributes)
    if entry.stations and _same_modality(step, entry) and not (step.placed and stations):
        stations = entry.stations
        name = entry.step_attributes.get("ScheduledStationName")
        if name is not None:
            more["ScheduledStationName"] = name
    applies = judge(step.status, step.status_source, entry.status) is Verdict.APPLY and not (
        entry.status in CALLED_OFF and entry.status_source == "hl7"
    )
    return msgspec.structs.replace(
        step,
        start=start,
        ordered_start=ordered_start,
        stations=stations,
        placed=step.placed or entry.placed,
        step_attributes={**step.step_attributes, **more},
        status=entry.status if applies else step.status,
        status_source=entry.status_source if applies else step.status_source,
        appointment=entry.appointment,
    )


def _same_modality(step: Step, entry: Step) -> bool:
    """Return whether the entry's stations may be the step's.

    The placeholder for an unresolved modality differs from none, but only what a message named can
    then be taken over: stations that the rules have for the placeholder are not the step's.
    """
    if entry.modality == step.modality:
        return True
    return entry.placed and (entry.modality_unmapped or step.modality_unmapped)


def rescheduled(step: Step, start: str) -> tuple[str, str]:
    """Return start and ordered start of a step that an appointment sets to ``start``, if it does.

    What the order said of the start is kept, so that the order does not undo it by saying it again.
    """
    if not start or start == step.start:
        return step.start, step.ordered_start
    return start, step.ordered_start or step.start


def place_of(attributes: Attributes) -> Attributes:
    """Return where and by whom, as an appointment tells it."""
    return {keyword: attributes[keyword] for keyword in _PLACE if keyword in attributes}


def call_off_waiting(working: Working, order: Order) -> None:
    """Take off the worklist the entries that wait for an order that was called off."""
    call_off(working, waiting(working, order.patient_key, order.placer, order.filler))


def call_off(working: Working, entries: Iterable[Step]) -> None:
    """Cancel for good those entries that have not begun; alarm about the others."""
    for entry in entries:
        if has_begun(entry.status):
            working.add(Note("alarm", "called off after it had begun; not applied", "ORC-1"))
        elif entry.status is not StepStatus.CANCELLED or entry.status_source in REVIVABLE_SOURCES:
            working.put_step(
                msgspec.structs.replace(entry, status=StepStatus.CANCELLED, status_source="hl7"),
                "cancelled",
            )
