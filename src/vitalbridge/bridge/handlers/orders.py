"""Order messages ORM^O01, OMG^O19 and OMI^O23: from order control codes to orders and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from vitalbridge.bridge.handlers.absorption import call_off_waiting
from vitalbridge.bridge.handlers.disputes import put_visibility
from vitalbridge.bridge.handlers.identity import note_warnings
from vitalbridge.bridge.handlers.order_content import change_order, create_order
from vitalbridge.bridge.handlers.order_control import (
    CALLING_OFF,
    ORDER_STATUS,
    REFINED,
    REPLACED,
    Action,
    action_of,
)
from vitalbridge.bridge.handlers.order_plan import Plan
from vitalbridge.bridge.handlers.recency import is_newer, is_stale, remember, remember_first
from vitalbridge.bridge.handlers.scene import Scene, scene_of
from vitalbridge.bridge.handlers.status import CALLED_OFF, FINAL
from vitalbridge.bridge.handlers.steps import set_status
from vitalbridge.bridge.handlers.studies import is_anothers_study, studies_of
from vitalbridge.bridge.model import Note, Order, StepStatus, Unprocessable
from vitalbridge.translate import orders_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.handlers.context import HandlerContext
    from vitalbridge.bridge.handlers.working import Working
    from vitalbridge.hl7 import Message
    from vitalbridge.translate.records import OrderRecord


def apply_orders(message: Message, context: HandlerContext, working: Working) -> None:
    """Do what the order control code of each order group asks for (HL7 v2.5.1 4.5.1).

    Raises Unprocessable when a group cannot be applied; then nothing of the message is.
    """
    records = orders_from(message, context.rules, source_timezone=context.source_timezone)
    if not records:
        raise Unprocessable(100, "ORC^1", "ORC required")
    for record in records:
        if record.warnings:
            note_warnings(working, record.warnings)
    plans = _plans(working, records)
    if not plans:
        return
    scene = scene_of(message, context, working)
    for plan in plans:
        _apply(scene, plan)


def _plans(working: Working, records: Sequence[OrderRecord]) -> list[Plan]:
    """Return what is to be done, the groups of one order (several OBR after an ORC) together."""
    plans: list[Plan] = []
    replacing = {(r.placer, r.filler) for r in records if r.control == "RO"}
    for group, record in enumerate(records, 1):
        action = action_of(record.control, group)
        if not record.placer and not record.filler:
            raise Unprocessable(101, f"ORC^{group}^2", "ORC-2 or ORC-3 required")
        if action is None:
            working.add(Note("no_effect", f"order control {record.control}", "ORC-1"))
        elif record.control in REPLACED and (record.placer, record.filler) in replacing:
            working.add(Note("no_effect", "replaced under its own numbers: a change", "ORC-1"))
        elif plans and plans[-1].takes(record):
            plans[-1].records.append(record)
        else:
            plan = _refined(action, record, group)
            if plan is None:
                working.add(Note("no_effect", "no status that the worklist knows", "ORC-5"))
            else:
                plans.append(plan)
    return plans


def _refined(action: Action, record: OrderRecord, group: int) -> Plan | None:
    """Return the plan for an order group: ORC-5 refines NW, XO and SC."""
    if record.control not in REFINED:
        return Plan(action, group, [record])
    status = ORDER_STATUS.get(record.status)
    if status is StepStatus.CANCELLED:
        return Plan(Action.CANCEL, group, [record])
    if status is StepStatus.DISCONTINUED:
        return Plan(Action.DISCONTINUE, group, [record])
    if action is not Action.STATUS:
        return Plan(action, group, [record], status, record.status == "HD")
    if record.status == "HD":
        return Plan(Action.HOLD, group, [record])
    if status is StepStatus.SCHEDULED:
        return Plan(Action.SHOW, group, [record])
    return None if status is None else Plan(Action.STATUS, group, [record], status)


def _apply(scene: Scene, plan: Plan) -> None:
    working, first = scene.working, plan.records[0]
    orders = _named(working.orders_with(first.placer, first.filler), first)
    if not orders:
        _apply_to_unknown(scene, plan)
        return
    if len(orders) > 1 and plan.action in (Action.CREATE, Action.CHANGE):
        working.add(Note("alarm", "the numbers name several orders; the first was meant", "ORC-2"))
        del orders[1:]
    for order in orders:
        _apply_to_known(scene, plan, order)


def _named(orders: Sequence[Order], record: OrderRecord) -> list[Order]:
    """Return the orders that placer and filler number mean; an empty number fits any.

    One placer order may be several filler orders, so that a different filler number is a different
    order. Several can only be meant by a number of one side: open ones come first, then older ones.
    """
    if not orders:
        return []
    placer, filler = record.placer, record.filler
    fitting = [
        order
        for order in orders
        if (not placer or not order.placer or order.placer == placer)
        and (not filler or not order.filler or order.filler == filler)
    ]
    if len(fitting) > 1:
        exact = [order for order in fitting if (order.placer, order.filler) == (placer, filler)]
        fitting = exact or sorted(fitting, key=_openness)
    return fitting


def _openness(order: Order) -> tuple[bool, int]:
    return order.status in FINAL, order.key


def _apply_to_unknown(scene: Scene, plan: Plan) -> None:
    status = CALLING_OFF.get(plan.action)
    if status is not None:
        _bury(scene, plan, status)
        return
    if plan.action is not Action.CREATE and scene.context.policy.unknown_order == "refuse":
        raise Unprocessable(204, f"ORC^{plan.group}^2", "unknown order")
    create_order(scene, plan, None)


def _bury(scene: Scene, plan: Plan, status: StepStatus) -> None:
    """Keep the cancellation of an order that nobody knows, so that a late NW does not show it."""
    working, first = scene.working, plan.records[0]
    order = Order(
        key=working.new_key(),
        patient_key=scene.patient.key,
        placer=first.placer,
        filler=first.filler,
        accession=first.accession,
        requested_procedure_id=first.requested_procedure_id,
        study_uid="",
        status=status,
        held=False,
        content="",
        attributes={},
        tombstone=True,
    )
    working.put_order(order)
    remember_first(working, scene.context, f"order:{order.key}", first.transaction_time)
    working.add(Note("warning", "an unknown order was called off", "ORC-2"))
    call_off_waiting(working, order)


def _apply_to_known(scene: Scene, plan: Plan, order: Order) -> None:
    context, working, patient = scene.context, scene.working, scene.patient
    subject = f"order:{order.key}"
    time = plan.records[0].transaction_time
    newer = is_newer(time, working.last_seen(subject, context.sender), context.timezone)
    if is_stale(working, context, subject, time):
        return
    remember(working, context, subject, time)
    if order.patient_key != patient.key:
        _dispute(scene, order)
    elif order.tombstone and plan.action is Action.CREATE and newer:
        create_order(scene, plan, order)
    elif plan.action in CALLING_OFF:
        _call_off(scene, plan, order)
    elif order.status in CALLED_OFF:
        kind = "alarm" if newer and plan.action is Action.CREATE else "no_effect"
        working.add(Note(kind, "the order was called off before", "ORC-1"))
    elif plan.action in (Action.CREATE, Action.CHANGE):
        change_order(scene, plan, order)
    elif plan.wanted is not None:
        _put_status(scene, plan, order, plan.wanted)
    else:
        _put_held(scene, plan, order, held=plan.action is Action.HOLD)


def _dispute(scene: Scene, order: Order) -> None:
    """Handle a message about an order that is another patient's: orders don't change patients."""
    working = scene.working
    working.add(Note("alarm", "the order belongs to another patient; not applied", "PID-3"))
    if scene.context.policy.patient_mismatch == "hold" and (not order.disputed or order.described):
        put_visibility(working, order, replace(order, disputed=True, described={}))


def _call_off(scene: Scene, plan: Plan, order: Order) -> None:
    _put_status(scene, plan, order, CALLING_OFF[plan.action])


def _put_status(scene: Scene, plan: Plan, order: Order, wanted: StepStatus) -> None:
    status = set_status(scene.working, order, wanted)
    updated = replace(plan.numbered(order), status=status)
    if updated != order:
        scene.working.put_order(updated)


def _put_held(scene: Scene, plan: Plan, order: Order, *, held: bool) -> None:
    # The study may have gone to another patient's order while this one was hidden.
    anothers = not held and is_anothers_study(scene, studies_of(scene.working, order))
    updated = replace(
        plan.numbered(order),
        held=held,
        disputed=scene.disputed or anothers or (held and order.disputed and not order.described),
        described={} if anothers else scene.described,
    )
    if updated == order:
        scene.working.add(Note("no_effect", "held or shown already", "ORC-1"))
    else:
        put_visibility(scene.working, order, updated)
