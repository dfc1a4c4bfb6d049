"""What a message is about, told from the message alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.hl7 import NULL

if TYPE_CHECKING:
    from vitalbridge.hl7 import Message, Segment

_ORDERS = frozenset({"ORM", "OMG", "OMI"})


def subjects(message: Message) -> tuple[str, ...]:
    """Return the orders, appointments and patients that a message concerns, each once.

    ``placer:EI``, ``filler:EI`` and ``appointment:EI`` with the field as it stands, and
    ``patient:ID`` without issuer, which the sender may leave out the next time: rather one message
    too many is the same patient's than one too few. Orders and appointments name no patient here.

    Raises CharsetError when the text can't be decoded.
    """
    found: dict[str, None] = {}
    code = message.message_code
    if code in _ORDERS:
        for group in message.order_groups():
            for segment in (group.orc, group.obr):
                _put(found, "placer", segment, 2)
                _put(found, "filler", segment, 3)
    elif code == "SIU":
        for sch in message.segments("SCH"):
            _put(found, "appointment", sch, 2 if sch.get(2).strip() not in {"", NULL} else 1)
            _put(found, "placer", sch, 26)
            _put(found, "filler", sch, 27)
    else:
        for name, field in (("PID", 3), ("MRG", 1)):
            for segment in message.segments(name):
                for repetition in range(1, segment.count(field) + 1):
                    number = segment.get(field, repetition=repetition).strip()
                    if number and number != NULL:
                        found[f"patient:{number}"] = None
    return tuple(found)


def _put(found: dict[str, None], kind: str, segment: Segment | None, field: int) -> None:
    if segment is None or segment.get(field).strip() in {"", NULL}:
        return
    found[f"{kind}:{segment.field(field).rstrip('^ ')}"] = None
