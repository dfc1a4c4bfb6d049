"""Making an order with its steps, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.appointments import absorb, waiting
from vitalbridge.bridge.handlers.identity import present
from vitalbridge.bridge.handlers.order_plan import Plan, content_of
from vitalbridge.bridge.handlers.recency import remember
from vitalbridge.bridge.handlers.status import (
    CALLED_OFF,
    FINAL,
    Verdict,
    change_word,
    has_begun,
    judge,
)
from vitalbridge.bridge.handlers.steps import (
    Wanted,
    match,
    new_step,
    put_if_changed,
    revised,
    wanted_steps,
    withdraw,
)
from vitalbridge.bridge.handlers.studies import (
    generated_study_uid,
    share_study_uid,
    shared_study_uid,
)
from vitalbridge.bridge.model import Note, Order, RemoveStep, Step, StepStatus
from vitalbridge.bridge.handlers.order_control import Action
from vitalbridge.dicom.attributes import changed
from vitalbridge.translate.times import message_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.handlers.scene import Scene
    from vitalbridge.translate.records import OrderRecord


def create_order(scene: Scene, plan: Plan, buried: Order | None) -> None:
    """Put a new order and its steps, with what an appointment settled for it before it came.

    ``buried`` is the tombstone that it replaces, if any.
    """
    working, patient = scene.working, scene.patient
    first = plan.records[0]
    key = working.new_key() if buried is None else buried.key
    entries = waiting(working, patient.key, first.placer, first.filler)
    uids = _Uids(scene, key, entries[0].study_uid if entries else "")
    order = Order(
        key=key,
        patient_key=patient.key,
        placer=first.placer,
        filler=first.filler,
        accession=first.accession,
        requested_procedure_id=first.requested_procedure_id,
        study_uid=uids.of(first),
        status=plan.wanted or StepStatus.SCHEDULED,
        held=plan.hold or plan.action is Action.HOLD,
        content=content_of(plan.records),
        attributes=present(first.attributes),
        disputed=scene.disputed,
    )
    working.put_order(order)
    remember(working, scene.context, f"order:{key}", first.transaction_time)
    for index, wanted in enumerate(wanted_steps(plan.records)):
        step = new_step(
            working, order, wanted, uids.of(wanted.record), order.status, _start(scene, wanted)
        )
        if entries:
            step = absorb(step, entries[min(index, len(entries) - 1)])
        _put_new(scene, step)
    for entry in entries:
        working.remove_step(entry.key)


def _put_new(scene: Scene, step: Step) -> None:
    scene.working.put_step(step, "created")
    if step.modality_unmapped:
        scene.working.add(Note("unmapped", "no modality for the procedure code", "OBR-24"))
