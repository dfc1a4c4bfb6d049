"""What one order of a message is to become: an action with the order groups that describe it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from vitalbridge.bridge.handlers.order_control import Action
from vitalbridge.bridge.model import Order, StepStatus
from vitalbridge.translate.records import OrderRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

_encode = msgspec.msgpack.Encoder().encode


class Plan(msgspec.Struct):
    """An action upon one order. ``group`` counts the order groups from 1, for error locations."""

    action: Action
    group: int
    records: list[OrderRecord]
    wanted: StepStatus | None = None
    hold: bool = False

    def takes(self, record: OrderRecord) -> bool:
        """Return whether the order group is one more OBR of this plan's ORC."""
        first = self.records[0]
        return (
            first.placer == record.placer
            and first.filler == record.filler
            and first.control == record.control
            and first.status == record.status
        )

    def numbered(self, order: Order) -> Order:
        """Return the order with the numbers that it did not have yet."""
        first = self.records[0]
        if order.placer and order.filler:
            return order
        return msgspec.structs.replace(
            order, placer=order.placer or first.placer, filler=order.filler or first.filler
        )

    def study_uids(self) -> set[str]:
        """Return the Study Instance UIDs that the message itself names."""
        return {record.study_uid for record in self.records if record.study_uid}

    def generated_ids(self, known: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return the known pairs of ``Order.generated_ids`` with those of the order groups."""
        told = [pair for record in self.records for pair in record.generated_ids]
        return tuple(dict.fromkeys((*known, *told))) if told else known


def content_of(records: Sequence[OrderRecord]) -> str:
    """Return a digest of all that the order groups say, whenever they say it.

    Not counted: the order control code, the transaction time, and a start that is only assumed.
    """
    said = [
        (
            record.status,
            record.accession,
            record.requested_procedure_id,
            record.study_uid,
            record.attributes,
            [
                (
                    step.step_id,
                    "" if step.start_assumed else step.start,
                    step.modality,
                    step.stations,
                    step.attributes,
                )
                for step in record.steps
            ],
        )
        for record in records
    ]
    return hashlib.blake2b(_encode(said), digest_size=16).hexdigest()
