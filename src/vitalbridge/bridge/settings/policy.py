"""What is done where the standards leave the choice to the site."""

from __future__ import annotations

from typing import Literal

from vitalbridge.bridge.settings.fields import Section, key


class PolicySettings(Section):
    """Choices about messages."""

    unknown_order: Literal["create", "refuse"] = key(
        "create",
        "A change (XO) of an order that nobody knows: `create` it, or `refuse`:"
        " the message goes to the dead letters.",
    )
    unknown_type: Literal["refuse", "accept"] = key(
        "refuse",
        "A message type that the bridge doesn't handle: `refuse` (AR 200, 201)"
        " or `accept` it, keep it and do nothing.",
    )
    same_order_after_error: Literal["go_on", "hold"] = key(
        "go_on",
        "Later messages of an order or patient whose message is among the dead letters:"
        " `go_on` or `hold` them until that one is settled.",
    )
    patient_mismatch: Literal["hold", "warn"] = key(
        "hold",
        "An order whose patient disagrees with the known one in two of family name, birth date"
        " and sex: `hold` it back from the worklist or only `warn`.",
    )
