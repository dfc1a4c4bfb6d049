"""What an order control code asks for (HL7 v2.5.1 4.5.1.1, tables 0119 and 0038)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from vitalbridge.bridge.model import StepStatus, Unprocessable
from vitalbridge.translate.tables import ORDER_CONTROL


class Action(Enum):
    """What is to be done with an order."""

    CREATE = "create"
    CHANGE = "change"
    STATUS = "status"
    CANCEL = "cancel"
    DISCONTINUE = "discontinue"
    HOLD = "hold"
    SHOW = "show"


ACTIONS: Final[dict[str, Action]] = {
    "NW": Action.CREATE,
    "RO": Action.CREATE,
    "XO": Action.CHANGE,
    "XX": Action.CHANGE,
    "XR": Action.CHANGE,
    "SC": Action.STATUS,
    "CA": Action.CANCEL,
    "OC": Action.CANCEL,
    "CR": Action.CANCEL,
    "RP": Action.CANCEL,
    "RU": Action.CANCEL,
    "DC": Action.DISCONTINUE,
    "OD": Action.DISCONTINUE,
    "DR": Action.DISCONTINUE,
    "HD": Action.HOLD,
    "OH": Action.HOLD,
    "HR": Action.HOLD,
    "RL": Action.SHOW,
    "OE": Action.SHOW,
    "OR": Action.SHOW,
}

REPLACED: Final = frozenset({"RP", "RU"})
REFINED: Final = frozenset({"NW", "XO", "SC"})
"""The order control codes that ORC-5 refines."""

ORDER_STATUS: Final[dict[str, StepStatus]] = {
    "SC": StepStatus.SCHEDULED,
    "IP": StepStatus.STARTED,
    "CM": StepStatus.COMPLETED,
    "CA": StepStatus.CANCELLED,
    "DC": StepStatus.DISCONTINUED,
}
"""ORC-5 (table 0038) to the worklist status; HD is no status: the order is held."""

CALLING_OFF: Final[dict[Action, StepStatus]] = {
    Action.CANCEL: StepStatus.CANCELLED,
    Action.DISCONTINUE: StepStatus.DISCONTINUED,
}


def action_of(control: str, group: int) -> Action | None:
    """Return the action that ORC-1 of the order group (1-based) asks for.

    None for a code of table 0119 that says nothing about the worklist. Raises Unprocessable (103)
    for a code that the table doesn't have, and (101) for none.
    """
    action = ACTIONS.get(control)
    if action is None and control not in ORDER_CONTROL:
        code, text = (103, "unknown order control code") if control else (101, "ORC-1 required")
        raise Unprocessable(code, f"ORC^{group}^1", text)
    return action
