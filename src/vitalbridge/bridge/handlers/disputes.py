"""Orders whose PID and whose patient are not one person, hidden until they are.

An order may disagree with a known patient, or an ADT message with the patient whom orders
described. What the order's PID said is kept with the order, so that whatever is said of the patient
later (another description, a merge, an unlink) can be held against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.identity import COMPARED, agree
from vitalbridge.bridge.handlers.status import FINAL, is_settled
from vitalbridge.bridge.handlers.steps import put_if_changed
from vitalbridge.bridge.model import Note, Order, Patient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.dicom.attributes import Attributes, Value


def description(attributes: Mapping[str, Value | None]) -> Attributes:
    """Return of a patient's attributes what two descriptions of one person are compared by."""
    return {
        keyword: value
        for keyword in COMPARED
        if (value := attributes.get(keyword)) is not None and value != ""
    }


def put_visibility(working: Working, before: Order, after: Order) -> None:
    """Put the order and hide or show its steps, except those that an operator settled."""
    working.put_order(after)
    held = after.held or after.disputed
    if held == (before.held or before.disputed):
        return
    for step in working.steps_of_order(after.key):
        if not is_settled(step) and step.status_source != "operator":
            put_if_changed(
                working,
                step,
                msgspec.structs.replace(step, held=held, patient_key=after.patient_key),
            )


def redescribed(working: Working, context: HandlerContext, before: Patient, after: Patient) -> None:
    """Hide or show the orders and appointments of ``before`` after an ADT message described them.

    ``after`` is whose they are now. A provisional patient was described by its orders: if the
    message describes another person, they are hidden. An order whose own PID once disagreed is
    judged by that.
    """
    described = description(before.attributes)
    if described == description(after.attributes):
        return
    orders = working.orders_of_patient(before.key)
    reassess(working, context, orders, after)
    if context.policy.patient_mismatch == "warn" or not before.provisional:
        return
    if agree(before.attributes, after.attributes):
        return
    for order in orders:
        if not order.disputed and not order.described and order.status not in FINAL:
            hidden = msgspec.structs.replace(
                order, patient_key=after.key, disputed=True, described=described
            )
            put_visibility(working, order, hidden)
    for entry in working.appointments_of_patient(before.key):
        if not is_settled(entry):
            hidden_entry = msgspec.structs.replace(entry, held=True, patient_key=after.key)
            put_if_changed(working, entry, hidden_entry)


def reassess(
    working: Working, context: HandlerContext, orders: Iterable[Order], patient: Patient
) -> None:
    """Hold against ``patient``, whose the orders are now, what their PID said; hide or show them.

    An order that another patient's message claimed stays hidden until its next own message.
    """
    for order in orders:
        if not order.described or order.status in FINAL:
            continue
        disputed = not agree(patient.attributes, order.described)
        if disputed == order.disputed or (disputed and context.policy.patient_mismatch == "warn"):
            continue
        if disputed:
            working.add(Note("alarm", "an order's patient is described as another person by now"))
        judged = msgspec.structs.replace(order, patient_key=patient.key, disputed=disputed)
        put_visibility(working, order, judged)
