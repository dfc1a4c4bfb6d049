"""The scheduled procedure steps of an order: made, matched with what a message names, revised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from vitalbridge.bridge.handlers.identity import present
from vitalbridge.bridge.handlers.status import (
    CALLED_OFF,
    FINAL,
    REVIVABLE_SOURCES,
    Verdict,
    change_word,
    has_begun,
    judge,
)
from vitalbridge.bridge.model import Note, Order, Step, StepStatus
from vitalbridge.dicom.attributes import changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.translate.records import OrderRecord, StepRecord

_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UNRESOLVED_MODALITY: Final = "OT"
V = TypeVar("V")
_PLACE: Final = frozenset({"ScheduledStationName", "ScheduledProcedureStepLocation"})


class Wanted(NamedTuple):
    """A step that a message names: its order group, itself, and which one it is without a name.

    ``position`` counts the steps of the order that have no id of their own, from 0.
    """

    record: OrderRecord
    step: StepRecord
    position: int


def wanted_steps(records: Sequence[OrderRecord]) -> list[Wanted]:
    """Return the steps that the order groups of one order name.

    A step id that the same requested procedure had before in the message cannot name a second step:
    that one counts as unnamed.
    """
    if len(records) == 1 and len(records[0].steps) == 1:
        return [Wanted(records[0], records[0].steps[0], 0)]
    wanted = []
    taken: set[tuple[str, str, str]] = set()
    position = 0
    for record in records:
        for step in record.steps:
            name = (record.accession, record.requested_procedure_id, step.step_id)
            if step.step_id and name in taken:
                step = msgspec.structs.replace(step, step_id="")
            taken.add(name)
            wanted.append(Wanted(record, step, position))
            position += not step.step_id
    return wanted


def generated_step_id(key: int, position: int) -> str:
    """Return the id of an unnamed step, made of the order's key, so unique and always the same.

    ``PB-`` and the key in base 36, with ``-2``, ``-3`` for further steps of the order: at most the
    16 characters of SH for keys below 10**14 and a thousand steps. No sender's own ids look so.
    """
    base = f"PB-{_in_base36(key)}"
    return base if position == 0 else f"{base}-{_in_base36(position + 1)}"


def appointment_step_id(key: int) -> str:
    """Return the id of a step that an appointment announced, from the step's own key."""
    return f"PA-{_in_base36(key)}"


def _in_base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits or "0"


def is_generated(step: Step, order_key: int) -> bool:
    """Return whether the step's id was made from the order's key."""
    base = generated_step_id(order_key, 0)
    return step.step_id == base or step.step_id.startswith(f"{base}-")


def new_step(
    working: Working, order: Order, wanted: Wanted, study_uid: str, status: StepStatus, start: str
) -> Step:
    """Return a new step of the order, not put yet; ``start`` stands in for a missing one."""
    record, told, position = wanted
    return Step(
        key=working.new_key(),
        order_key=order.key,
        patient_key=order.patient_key,
        accession=record.accession,
        requested_procedure_id=record.requested_procedure_id,
        step_id=told.step_id or generated_step_id(order.key, position),
        study_uid=study_uid,
        status=status,
        held=order.held or order.disputed,
        start=told.start or start,
        modality=told.modality or UNRESOLVED_MODALITY,
        stations=told.stations,
        order_attributes=present(record.attributes),
        step_attributes=present(told.attributes),
        modality_unmapped=told.modality_unmapped or not told.modality,
        placed=bool(told.stations) and not told.place_assumed,
    )


class Matched(NamedTuple):
    """Which known step is meant by which wanted one, and what is left on both sides.

    ``vague``: unnamed steps of an order whose steps have names. They mean the order, no new step.
    """

    pairs: list[tuple[Step, Wanted]]
    new: list[Wanted]
    vague: list[Wanted]
    left_over: list[Step]


def match(order: Order, known: Sequence[Step], wanted: Sequence[Wanted]) -> Matched:
    """Find the known step for each wanted one.

    By accession, requested procedure and step id; by step id alone (an order may get its accession
    late); an unnamed one by its position. Then a name given late replaces a generated id, and an
    unnamed step is the order's only one that is not withdrawn.
    """
    rest = sorted(known, key=_key)
    open_ = list(wanted)
    pairs: list[tuple[Step, Wanted]] = []

    def pair(same: _Same) -> None:
        for one in tuple(open_):
            for step in rest:
                if same(order, step, one):
                    pairs.append((step, one))
                    open_.remove(one)
                    rest.remove(step)
                    break

    for same in (_same_name, _same_step_id, _same_position, _named_late):
        if not open_ or not rest:
            break
        pair(same)
    if len(open_) == 1 and not open_[0].step.step_id:
        alive = [step for step in rest if step.status_source != "omitted"]
        if len(alive) == 1:
            pairs.append((alive[0], open_.pop()))
            rest.remove(alive[0])
    vague: list[Wanted] = []
    if open_ and any(not is_generated(step, order.key) for step in known):
        vague = [one for one in open_ if not one.step.step_id]
        open_ = [one for one in open_ if one.step.step_id]
    return Matched(pairs, open_, vague, rest)


if TYPE_CHECKING:
    from collections.abc import Callable

    _Same = Callable[[Order, Step, Wanted], bool]


def _key(step: Step) -> int:
    return step.key


def _same_name(_: Order, step: Step, wanted: Wanted) -> bool:
    record = wanted.record
    return (
        wanted.step.step_id == step.step_id
        and record.requested_procedure_id == step.requested_procedure_id
        and record.accession == step.accession
    )


def _same_step_id(_: Order, step: Step, wanted: Wanted) -> bool:
    return wanted.step.step_id == step.step_id


def _same_position(order: Order, step: Step, wanted: Wanted) -> bool:
    if wanted.step.step_id:
        return False
    return step.step_id == generated_step_id(order.key, wanted.position)


def _named_late(order: Order, step: Step, wanted: Wanted) -> bool:
    return bool(wanted.step.step_id) and is_generated(step, order.key)


def revised(
    step: Step, wanted: Wanted, accession: str, requested_procedure_id: str, study_uid: str
) -> Step:
    """Return the step with what the order now says of it; status and visibility stay.

    Empty means unchanged, also for modality, stations and an assumed start. An unresolved modality
    replaces a known one only together with another procedure code. A start that the order said
    before does not replace what an appointment set since, nor do assumed stations replace named
    ones of the same modality.
    """
    record, told, _ = wanted
    keeps_modality = not told.modality or (
        told.modality_unmapped
        and not step.modality_unmapped
        and record.attributes.get("RequestedProcedureCodeSequence")
        == step.order_attributes.get("RequestedProcedureCodeSequence")
    )
    start, ordered_start = step.start, step.ordered_start
    if told.start and not told.start_assumed and told.start != (ordered_start or start):
        start, ordered_start = told.start, ""
    modality = step.modality if keeps_modality else told.modality
    stations = step.stations if keeps_modality else told.stations or step.stations
    known, attributes, placed = step.step_attributes, told.attributes, step.placed
    if modality != step.modality:
        known, placed = without_place(known), False
    elif placed and told.place_assumed:
        stations, attributes = step.stations, without_place(attributes)
    return msgspec.structs.replace(
        step,
        accession=accession,
        requested_procedure_id=requested_procedure_id,
        step_id=told.step_id or step.step_id,
        study_uid=study_uid,
        start=start,
        ordered_start=ordered_start,
        placed=placed or (bool(told.stations) and not told.place_assumed),
        modality=modality,
        stations=stations,
        modality_unmapped=step.modality_unmapped if keeps_modality else told.modality_unmapped,
        order_attributes=changed(step.order_attributes, record.attributes),
        step_attributes=changed(known, attributes),
    )


def without_place(attributes: dict[str, V]) -> dict[str, V]:
    """Return a step's attributes without station name and location."""
    return {keyword: value for keyword, value in attributes.items() if keyword not in _PLACE}


def with_order_attributes(step: Step, record: OrderRecord) -> Step:
    """Return the step with what the record says of the order as a whole."""
    return msgspec.structs.replace(
        step, order_attributes=changed(step.order_attributes, record.attributes)
    )


def put_if_changed(working: Working, before: Step, after: Step) -> None:
    """Put the step unless it is what it was."""
    if after != before:
        called_off = after.status is not before.status and after.status in CALLED_OFF
        working.put_step(after, change_word(after.status) if called_off else "updated")


def withdraw(working: Working, steps: Sequence[Step]) -> None:
    """Take off the worklist what a change of its order no longer names, unless it has begun.

    The step returns when a later message names it again.
    """
    for step in steps:
        if has_begun(step.status) and step.status not in FINAL:
            working.add(Note("alarm", "the changed order no longer names a step that has begun"))
        elif step.status not in FINAL:
            working.add(Note("warning", "a step that the order no longer names was withdrawn"))
            working.put_step(
                msgspec.structs.replace(step, status=StepStatus.CANCELLED, status_source="omitted"),
                "cancelled",
            )


def set_status(working: Working, order: Order, wanted: StepStatus) -> StepStatus:
    """Give every step of the order the status where that is allowed; return the order's own.

    The order itself follows only when no step stands against it. Notes an alarm when something that
    has begun was to be called off, and ``no_effect`` when nothing changed.
    """
    called_off = wanted in CALLED_OFF
    verdicts = set()
    for step in working.steps_of_order(order.key):
        if called_off and step.status in CALLED_OFF and step.status_source in REVIVABLE_SOURCES:
            # Final now: nothing may bring back a step of an order that was called off.
            working.put_step(msgspec.structs.replace(step, status_source="hl7"), "updated")
            continue
        verdict = judge(step.status, step.status_source, wanted)
        verdicts.add(verdict)
        if verdict is Verdict.APPLY:
            working.put_step(
                msgspec.structs.replace(step, status=wanted, status_source="hl7"),
                change_word(wanted),
            )
    own = judge(order.status, "hl7", wanted)
    if Verdict.REFUSED in verdicts or own is Verdict.REFUSED:
        working.add(Note("alarm", "called off after it had begun; not applied", "ORC-1"))
        return order.status
    follows = own is Verdict.APPLY and (called_off or Verdict.NO_EFFECT not in verdicts)
    if not follows and Verdict.APPLY not in verdicts:
        working.add(Note("no_effect", "the status is as far or further"))
    return wanted if follows else order.status
