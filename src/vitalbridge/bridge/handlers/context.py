"""What a handler is told beside the message: the site's rules, its policy and who sent it."""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalbridge.translate.mapping import MappingRules


class Policy(msgspec.Struct, frozen=True):
    """Choices that the standards leave to the site.

    ``unknown_order``: a change, hold, release or status of an order that nobody knows creates it
    or goes to the dead letters. ``unknown_type``: a message type without a handler goes to the dead
    letters, or is recorded without effect. ``same_order_after_error``: later messages about what
    :func:`subjects` names go on or wait while an earlier one is a dead letter; that is decided
    before a handler is called. ``patient_mismatch``: an order whose PID disagrees with the known
    patient is kept off the worklist, or shown with a warning.
    """

    unknown_order: Literal["create", "refuse"] = "create"
    unknown_type: Literal["refuse", "accept"] = "refuse"
    same_order_after_error: Literal["go_on", "hold"] = "go_on"
    patient_mismatch: Literal["hold", "warn"] = "hold"


class HandlerContext(msgspec.Struct, frozen=True):
    """The surroundings of one message.

    ``sender`` is MSH-3 and MSH-4 as ``APPLICATION|FACILITY``; event times are compared only within
    one sender. ``source_timezone`` is the IANA zone of the sender's clock, the site's when None.
    """

    rules: MappingRules
    policy: Policy
    sender: str
    source_timezone: str | None = None

    @property
    def timezone(self) -> str:
        """The IANA name of the zone that the sender's local times are in."""
        return self.source_timezone or self.rules.timezone
