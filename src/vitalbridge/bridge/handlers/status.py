"""Which status may follow which: the order of worklist states, and who may set them.

The states are those of ScheduledProcedureStepStatus (0040,0020) (DICOM PS3.3 C.4.10, IHE Radiology
SWF.b). They only ever go forward.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from vitalbridge.bridge.model import Step, StepStatus

_RANK: Final[dict[StepStatus, int]] = {
    StepStatus.SCHEDULED: 0,
    StepStatus.ARRIVED: 1,
    StepStatus.READY: 2,
    StepStatus.STARTED: 3,
    StepStatus.DEPARTED: 4,
    StepStatus.COMPLETED: 5,
    StepStatus.CANCELLED: 5,
    StepStatus.DISCONTINUED: 5,
}

FINAL: Final = frozenset({StepStatus.COMPLETED, StepStatus.CANCELLED, StepStatus.DISCONTINUED})
CALLED_OFF: Final = frozenset({StepStatus.CANCELLED, StepStatus.DISCONTINUED})
REVIVABLE_SOURCES: Final = frozenset({"omitted", "appointment"})
"""Sources of a cancellation that the order itself never asked for."""


class Verdict(Enum):
    """What becomes of a status that a message asks for."""

    APPLY = "apply"
    SAME = "same"
    NO_EFFECT = "no effect"
    REFUSED = "refused"


def has_begun(status: StepStatus) -> bool:
    """Return whether the modality has begun (or finished) the step."""
    return _RANK[status] >= 3 and status not in CALLED_OFF


def judge(current: StepStatus, source: str, wanted: StepStatus) -> Verdict:
    """Return what becomes of ``wanted``, asked for by an HL7 message.

    ``source`` is who set ``current``. REFUSED needs a person: the message calls off what has begun.
    A discontinuation stops what HL7 itself reported as begun, but never what MPPS did.
    """
    if wanted is current:
        return Verdict.SAME
    if current in FINAL:
        called_off_too_late = wanted in CALLED_OFF and current is StepStatus.COMPLETED
        return Verdict.REFUSED if called_off_too_late else Verdict.NO_EFFECT
    begun = _RANK[current] >= 3
    if wanted is StepStatus.CANCELLED:
        return Verdict.REFUSED if begun else Verdict.APPLY
    if begun and source == "mpps":
        return Verdict.REFUSED if wanted is StepStatus.DISCONTINUED else Verdict.NO_EFFECT
    return Verdict.APPLY if _RANK[wanted] > _RANK[current] else Verdict.NO_EFFECT


def is_settled(step: Step) -> bool:
    """Return whether nothing may show the step again: a final status that cannot be revived."""
    return step.status in FINAL and step.status_source not in REVIVABLE_SOURCES


def change_word(status: StepStatus) -> str:
    """Return how a step that has now this status changed: ``cancelled`` or ``updated``."""
    return "cancelled" if status in CALLED_OFF else "updated"
