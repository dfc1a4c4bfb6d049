"""Fields that a site maps by itself: HL7 path to DICOM keyword, over the standard mapping."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

from vitalbridge.hl7 import NULL, DateTime, InvalidDateTime

from .paths import read_path
from .text import clean, clean_lines, cut

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Message, OrderGroup

    from .mapping import MappingRules

Level = Literal["patient", "order", "step"]

_STEP_PREFIX: Final = "ScheduledProcedureStepSequence."
_PATIENT_GROUP: Final = 0x0010
_PATIENT_KEYWORDS: Final = frozenset(
    {"CurrentPatientLocation", "ConfidentialityConstraintOnPatientDataDescription"}
)
# These are keys of patients, orders and steps; each has a rule of its own.
_KEYS: Final = """
    PatientID IssuerOfPatientID OtherPatientIDs OtherPatientIDsSequence AccessionNumber
    RequestedProcedureID StudyInstanceUID ScheduledProcedureStepID ScheduledProcedureStepStatus
    ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality ScheduledStationAETitle
    SpecificCharacterSet
    """
_LIMITS: Final = {"SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UT": 0, "UC": 0}
_LINES: Final = frozenset({"ST", "LT", "UT"})


class Target(NamedTuple):
    """Where a value goes; ``limit`` 0: no limit in characters."""

    level: Level
    keyword: str
    vr: str
    limit: int


@lru_cache(maxsize=1024)
def target(name: str) -> Target:
    """Return what ``KEYWORD`` or ``ScheduledProcedureStepSequence.KEYWORD`` means.

    Raises ValueError for no keyword of the standard, for one that has a rule of its own, and for
    value representations other than SH, LO, ST, LT, UC, UT, PN, CS, DA and TM.
    """
    keyword = name.removeprefix(_STEP_PREFIX)
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"custom_fields: {name!r} is no DICOM keyword")
    if keyword in _KEYS.split():
        raise ValueError(f"custom_fields: {name!r} follows from the message's identifiers")
    vr = dictionary_VR(tag)
    if vr not in _LIMITS and vr not in {"CS", "DA", "TM"}:
        raise ValueError(f"custom_fields: {name!r} holds no text")
    level: Level = "order"
    if keyword != name:
        level = "step"
    elif tag >> 16 == _PATIENT_GROUP or keyword in _PATIENT_KEYWORDS:
        level = "patient"
    return Target(level, keyword, vr, _LIMITS.get(vr, 16))


def put_custom(
    changes: Changes,
    level: Level,
    rules: MappingRules,
    message: Message,
    group: OrderGroup | None,
    warnings: list[str],
) -> None:
    """Lay the custom fields of one level over ``changes``; what doesn't fit its VR adds a warning.

    A code (CS) that DICOM forbids and an invalid date are left out; other text is cleaned and cut.
    """
    for path, name in rules.custom_fields.items():
        goal = target(name)
        if goal.level != level:
            continue
        text = read_path(path, message, group)
        if not text:
            continue
        if text == NULL:
            changes[goal.keyword] = None
            continue
        value = _fitted(text, goal, path, warnings)
        if value:
            changes[goal.keyword] = value


def _fitted(text: str, goal: Target, path: str, warnings: list[str]) -> str:
    if goal.vr in {"DA", "TM"}:
        try:
            time = DateTime.parse(text)
        except InvalidDateTime:
            warnings.append(f"{path}: no date and time")
            return ""
        value = time.da if goal.vr == "DA" else time.tm
        if goal.vr == "DA" and len(value) != 8:
            warnings.append(f"{path}: no full date")
            return ""
        return value
    if goal.vr == "CS":
        value = clean(text).upper()
        if len(value) <= 16 and all(c in _CODE_CHARACTERS for c in value):
            return value
        warnings.append(f"{path}: no code string")
        return ""
    value = clean_lines(text) if goal.vr in _LINES else clean(text)
    if goal.vr == "PN":
        value = value.replace("=", " ")
    return cut(value, goal.limit, path, warnings) if goal.limit else value


_CODE_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")
