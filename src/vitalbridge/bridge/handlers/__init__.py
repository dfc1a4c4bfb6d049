"""What an HL7 message does to patients, orders and the worklist: pure functions to effects.

``handle(message, context, state)`` finds the handler by message type in :data:`HANDLERS`. A handler
reads the state through an overlay that shows its own changes, so that the groups of one message see
each other, and changes nothing itself. It raises Unprocessable when the message cannot be applied;
then none of its effects is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from vitalbridge.bridge.handlers.admissions import update_patient
from vitalbridge.bridge.handlers.appointments import apply_appointment
from vitalbridge.bridge.handlers.context import HandlerContext, Policy
from vitalbridge.bridge.handlers.merges import change_identifier, merge_patients, unlink_patients
from vitalbridge.bridge.handlers.orders import apply_orders
from vitalbridge.bridge.handlers.subjects import subjects
from vitalbridge.bridge.handlers.working import Working
from vitalbridge.bridge.model import Effect, Note, Unprocessable
from vitalbridge.hl7 import Message

if TYPE_CHECKING:
    from vitalbridge.bridge.model import State

__all__ = ["HANDLERS", "Handler", "HandlerContext", "Policy", "handle", "subjects"]

Handler: TypeAlias = Callable[[Message, HandlerContext, Working], None]

_ADMISSIONS = (
    *("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08"),
    *("A11", "A12", "A13", "A28", "A31"),
)
_MERGES = ["A18", "A34", "A36", "A39", "A40"]
_APPOINTMENTS = ["S12", "S13", "S14", "S15", "S16", "S17", "S26"]

HANDLERS: Final[dict[str, Handler]] = {
    **{f"ADT^{event}": update_patient for event in _ADMISSIONS},
    **{f"ADT^{event}": merge_patients for event in _MERGES},
    "ADT^A37": unlink_patients,
    "ADT^A47": change_identifier,
    "ORM^O01": apply_orders,
    "OMG^O19": apply_orders,
    "OMI^O23": apply_orders,
    **{f"SIU^{event}": apply_appointment for event in _APPOINTMENTS},
}
"""Message type (MSH-9.1^MSH-9.2) to what handles it."""


def handle(message: Message, context: HandlerContext, state: State) -> list[Effect]:
    """Return what the message does, in the order in which it has to be applied.

    Raises Unprocessable when it cannot be applied, CharsetError when its text cannot be decoded.
    """
    handler = HANDLERS.get(message.message_type)
    if handler is None:
        if context.policy.unknown_type == "refuse":
            raise Unprocessable(200, "MSH^1^9", "unsupported message type")
        return [Note("no_effect", "a message type that says nothing about the worklist", "MSH-9")]
    working = Working(state)
    handler(message, context, working)
    return working.effects
