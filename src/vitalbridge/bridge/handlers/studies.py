"""One Study Instance UID for each requested procedure (accession and requested procedure id)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.status import FINAL, has_begun
from vitalbridge.bridge.model import Note, Patient
from vitalbridge.translate import new_study_uid

if TYPE_CHECKING:
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
        if order.study_uid and order.patient_key == patient_key:
            return order.study_uid
    return ""


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
