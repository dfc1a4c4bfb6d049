"""Making an order with its steps, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.absorption import absorb, in_force, waiting
from vitalbridge.bridge.handlers.identity import present
from vitalbridge.bridge.handlers.order_control import Action
from vitalbridge.bridge.handlers.order_plan import Plan, content_of
from vitalbridge.bridge.handlers.recency import remember_first
from vitalbridge.bridge.handlers.scene import Scene, assumed_start
from vitalbridge.bridge.handlers.status import FINAL, Verdict, has_begun, is_settled, judge
from vitalbridge.bridge.handlers.steps import (
    Wanted,
    match,
    new_step,
    put_if_changed,
    revised,
    wanted_steps,
    with_order_attributes,
    withdraw,
)
from vitalbridge.bridge.handlers.studies import (
    generated_study_uid,
    is_anothers_study,
    share_study_uid,
    shared_study_uid,
    studies_of,
)
from vitalbridge.bridge.model import Note, Order, Step, StepStatus
from vitalbridge.dicom.attributes import changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.translate.records import OrderRecord


def create_order(scene: Scene, plan: Plan, buried: Order | None) -> None:
    """Put a new order and its steps, with what an appointment settled for it before it came.

    ``buried`` is the tombstone that it replaces, if any.
    """
    working, patient_key = scene.working, scene.patient.key
    first = plan.records[0]
    key = working.new_key() if buried is None else buried.key
    announced = waiting(working, patient_key, first.placer, first.filler)
    entries = in_force(announced)
    anothers = is_anothers_study(scene, plan.study_uids())
    order = Order(
        key=key,
        patient_key=patient_key,
        placer=first.placer,
        filler=first.filler,
        accession=first.accession,
        requested_procedure_id=first.requested_procedure_id,
        study_uid=_study_uid(scene, first, key, entries),
        status=plan.wanted or StepStatus.SCHEDULED,
        held=plan.hold or plan.action is Action.HOLD,
        content=content_of(plan.records),
        attributes=present(first.attributes),
        disputed=scene.disputed or anothers,
        described={} if anothers else scene.described,
        named=scene.named,
        generated_ids=plan.generated_ids(()),
    )
    working.put_order(order)
    if buried is None:
        remember_first(working, scene.context, f"order:{key}", first.transaction_time)
    uids = {(order.accession, order.requested_procedure_id): order.study_uid}
    for index, wanted in enumerate(wanted_steps(plan.records)):
        step = _new_step(scene, order, wanted, uids, order.status)
        working.put_step(_absorbed(step, entries, index), "created")
    for entry in announced:
        working.remove_step(entry.key)
    if not anothers:
        _share(scene, plan, order.key)


def change_order(scene: Scene, plan: Plan, order: Order) -> None:
    """Lay what the message says over a known order; the same content again does nothing.

    Steps that the message no longer names are withdrawn if it names its steps by id.
    """
    working = scene.working
    content = content_of(plan.records)
    studies = plan.study_uids()
    if order.disputed and not studies:
        studies = studies_of(working, order)
    anothers = is_anothers_study(scene, studies)
    updated = msgspec.structs.replace(
        plan.numbered(order),
        disputed=scene.disputed or anothers,
        described={} if anothers else scene.described,
        held=order.held or plan.hold,
        generated_ids=plan.generated_ids(order.generated_ids),
    )
    if content == order.content and updated == order:
        working.add(Note("no_effect", "the order says this already"))
        return
    first = plan.records[0]
    updated.content = content
    updated.accession = _accession(first, order.accession)
    updated.requested_procedure_id = _procedure_id(first, order.requested_procedure_id)
    updated.attributes = changed(order.attributes, first.attributes)
    if plan.wanted is not None and judge(order.status, "hl7", plan.wanted) is Verdict.APPLY:
        updated.status = plan.wanted
    known = working.steps_of_order(order.key)
    if first.study_uid and not any(has_begun(step.status) for step in known):
        updated.study_uid = first.study_uid
    working.put_order(updated)
    wanted = wanted_steps(plan.records)
    if wanted:
        _change_steps(scene, plan, order, updated, known, wanted)
    else:
        for step in known:
            revision = with_order_attributes(step, first)
            _put_revised(scene, order, updated, step, revision, plan.wanted)
    if not anothers:
        _share(scene, plan, order.key)


def _change_steps(
    scene: Scene,
    plan: Plan,
    before: Order,
    after: Order,
    known: Sequence[Step],
    wanted: list[Wanted],
) -> None:
    working = scene.working
    matched = match(after, known, wanted)
    uids = {(step.accession, step.requested_procedure_id): step.study_uid for step in known}
    for step, meant in matched.pairs:
        record = meant.record
        uid = record.study_uid or step.study_uid
        if uid != step.study_uid and has_begun(step.status):
            working.add(Note("alarm", "another study for a step that has begun", "ZDS-1"))
            uid = step.study_uid
        accession = _accession(record, step.accession)
        procedure_id = _procedure_id(record, step.requested_procedure_id)
        uids[accession, procedure_id] = uid
        revision = revised(step, meant, accession, procedure_id, uid)
        if step.status is StepStatus.CANCELLED and step.status_source == "omitted":
            revision.status, revision.status_source = StepStatus.SCHEDULED, "hl7"
            revision.held = after.held or after.disputed
        _put_revised(scene, before, after, step, revision, plan.wanted)
    status = after.status
    if known and status not in FINAL:
        status = plan.wanted or StepStatus.SCHEDULED
    announced = [] if known else waiting(working, after.patient_key, after.placer, after.filler)
    entries = in_force(announced)
    for index, meant in enumerate(matched.new):
        new = _new_step(scene, after, meant, uids, status)
        working.put_step(_absorbed(new, entries, index), "created")
    for entry in announced:
        working.remove_step(entry.key)
    if not matched.vague and all(meant.step.step_id for meant in matched.new):
        withdraw(working, matched.left_over)
        return
    if matched.vague:
        working.add(Note("warning", "a step without an id among steps that have one", "OBR-20"))
    for step in matched.left_over:
        revision = step
        for meant in matched.vague:
            revision = with_order_attributes(revision, meant.record)
        # Which of them ORC-5 speaks of is not said.
        _put_revised(scene, before, after, step, revision, None)


def _put_revised(
    scene: Scene, before: Order, after: Order, step: Step, revision: Step, wanted: StepStatus | None
) -> None:
    """Put a step of a changed order with the status and visibility that it has now."""
    status, source, held = revision.status, revision.status_source, revision.held
    if wanted is not None and judge(status, source, wanted) is Verdict.APPLY:
        status, source = wanted, "hl7"
    hidden = after.held or after.disputed
    if hidden != (before.held or before.disputed) and source != "operator":
        held = held if is_settled(revision) else hidden
    put_if_changed(
        scene.working,
        step,
        msgspec.structs.replace(revision, status=status, status_source=source, held=held),
    )


def _new_step(
    scene: Scene,
    order: Order,
    wanted: Wanted,
    uids: dict[tuple[str, str], str],
    status: StepStatus,
) -> Step:
    """Return a new step; ``uids`` are those of the order's procedures, and grow by a new one."""
    record, told, _ = wanted
    procedure = (record.accession, record.requested_procedure_id)
    uid = record.study_uid or uids.get(procedure)
    if not uid:
        uid = _study_uid(scene, record, order.key, ())
    uids[procedure] = uid
    start = told.start
    if not start:
        start = assumed_start(scene)
        scene.working.add(Note("warning", "no scheduled start in the message, MSH-7 assumed"))
    if not told.modality:
        scene.working.add(Note("warning", "modality not resolved, OT assumed"))
    return new_step(scene.working, order, wanted, uid, status, start)


def _absorbed(step: Step, entries: Sequence[Step], index: int) -> Step:
    """Return the step with what the entry at its place settled; the last one serves the rest."""
    if not entries:
        return step
    return absorb(step, entries[min(index, len(entries) - 1)])


def _study_uid(scene: Scene, record: OrderRecord, key: int, entries: Sequence[Step]) -> str:
    """Return the record's own UID, else that of its procedure or appointment, else a new one."""
    if record.study_uid:
        return record.study_uid
    patient = scene.patient
    procedure = (record.accession, record.requested_procedure_id)
    shared = shared_study_uid(scene.working, patient.key, *procedure)
    if shared:
        return shared
    if entries and entries[0].study_uid:
        return entries[0].study_uid
    return generated_study_uid(
        scene.context.rules, patient, key, record.placer, record.filler, *procedure
    )


def _share(scene: Scene, plan: Plan, order_key: int) -> None:
    for record in plan.records:
        if record.study_uid:
            share_study_uid(
                scene.working,
                scene.patient.key,
                order_key,
                record.accession,
                record.requested_procedure_id,
                record.study_uid,
            )


def _accession(record: OrderRecord, known: str) -> str:
    """Return the accession number; one that an order number stands in for replaces none."""
    told = record.accession
    if not told or (known and told in _order_numbers(record)):
        return known
    return told


def _procedure_id(record: OrderRecord, known: str) -> str:
    """Return the requested procedure id; a substitute (HL7 had none) replaces none."""
    told = record.requested_procedure_id
    if not told or (known and (told == record.accession or told in _order_numbers(record))):
        return known
    return told


def _order_numbers(record: OrderRecord) -> tuple[str, str]:
    return record.placer.partition("^")[0], record.filler.partition("^")[0]
