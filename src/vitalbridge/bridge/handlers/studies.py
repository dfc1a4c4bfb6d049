"""One Study Instance UID for each requested procedure (accession and requested procedure id)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.status import FINAL, has_begun, is_settled
from vitalbridge.bridge.model import Note, Order, Patient
from vitalbridge.translate import new_study_uid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitalbridge.bridge.handlers.scene import Scene
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.translate.mapping import MappingRules


def shared_study_uid(
    working: Working, patient_key: int, accession: str, requested_procedure_id: str
) -> str:
    """Return the UID of the patient's other orders of the procedure, or an empty string.

    The same numbers with another patient are another procedure.
    """
    if not accession and not requested_procedure_id:
        return ""
    for order in working.orders_of_procedure(accession, requested_procedure_id):
        if not order.study_uid or order.patient_key != patient_key:
            continue
        if order.disputed and _is_anothers(working, patient_key, order.study_uid):
            continue
        return order.study_uid
    return ""


def is_anothers_study(scene: Scene, study_uids: Iterable[str]) -> bool:
    """Return whether to hide an order of these studies: one is on the worklist for another patient.

    A study is one patient's (DICOM PS3.3 C.7.2). That is noted as an alarm under any policy; under
    ``warn`` the order is shown all the same.
    """
    if not any(_is_anothers(scene.working, scene.patient.key, uid) for uid in study_uids):
        return False
    scene.working.add(
        Note("alarm", "the study is on the worklist for another patient already", "ZDS-1")
    )
    return scene.context.policy.patient_mismatch == "hold"


def studies_of(working: Working, order: Order) -> set[str]:
    """Return the Study Instance UIDs of the order's steps that may be shown."""
    return {step.study_uid for step in working.steps_of_order(order.key) if not is_settled(step)}


def _is_anothers(working: Working, patient_key: int, study_uid: str) -> bool:
    return any(step.patient_key != patient_key for step in working.steps_of_study(study_uid))


def generated_study_uid(rules: MappingRules, patient: Patient, key: int, *numbers: str) -> str:
    """Return a new UID for a procedure; ``key`` of its order tells apart the reuse of numbers."""
    first = patient.identifiers[0] if patient.identifiers else None
    owner = (first.id, first.issuer) if first is not None else ("", "")
    return new_study_uid(rules, *owner, *numbers, str(key))


def share_study_uid(
    working: Working,
    patient_key: int,
    order_key: int,
    accession: str,
    requested_procedure_id: str,
    study_uid: str,
) -> None:
    """Give the procedure's other orders the UID that one of them was told.

    An order whose step has begun keeps its own: images bear it. That needs a person.
    """
    if not accession and not requested_procedure_id:
        return
    for order in working.orders_of_procedure(accession, requested_procedure_id):
        if (
            order.key == order_key
            or order.patient_key != patient_key
            or order.status in FINAL
            or order.study_uid == study_uid
        ):
            continue
        steps = [
            step
            for step in working.steps_of_order(order.key)
            if step.accession == accession and step.requested_procedure_id == requested_procedure_id
        ]
        if any(has_begun(step.status) for step in steps):
            working.add(
                Note("alarm", "another order of the procedure began under another study", "ZDS-1")
            )
            continue
        working.put_order(msgspec.structs.replace(order, study_uid=study_uid))
        for step in steps:
            working.put_step(msgspec.structs.replace(step, study_uid=study_uid), "updated")
