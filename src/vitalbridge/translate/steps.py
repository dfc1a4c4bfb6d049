"""The scheduled procedure step that one OBR means (DICOM PS3.3 C.4.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import XCN, InvalidDateTime

from .codes import protocol_code
from .names import put_name, written_name
from .records import StepRecord
from .stations import UNRESOLVED, mapped_modality, named_modality, put_stations, stations_of
from .text import LO, cwe_text, put_text, said
from .times import message_time, start_candidates, start_in_zone

if TYPE_CHECKING:
    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import CWE, Message, OrderGroup, Segment

    from .mapping import MappingRules

_DESCRIPTION: Final = "ScheduledProcedureStepDescription"
UNMAPPED: Final = "OBR-24: modality not resolved, OT assumed"
NO_START: Final = "no scheduled start in the message, MSH-7 assumed"


def order_step(
    message: Message,
    group: OrderGroup,
    obr: Segment,
    ordered: CWE | None,
    creates: bool,
    rules: MappingRules,
    source_timezone: str | None,
    warnings: list[str],
) -> StepRecord:
    """Return the step of an order group without regard to its IPC segments.

    ``ordered`` is OBR-4. ``creates``: the order control code makes an order, so what is missing
    gets its default.
    """
    changes: Changes = {}
    start, assumed = _start(message, group, creates, rules, source_timezone, warnings)
    if obr.field(34):
        _put_performer(changes, obr, warnings)
    if ordered is not None:
        put_text(changes, _DESCRIPTION, _description(ordered), LO, "OBR-4", warnings)
        item = protocol_code(ordered, rules, "OBR-4", warnings)
        if item is not None:
            changes["ScheduledProtocolCodeSequence"] = [item]
    if obr.field(15) and (site := rules.body_sites.get(obr.get(15, 4))):
        changes["BodyPartExamined"] = site
    modality, unmapped = "", False
    if not group.ipc:
        modality, unmapped = step_modality(said(obr.get(24)), obr, creates, rules, warnings)
        stations = stations_of(modality, (), "", rules)
        put_stations(changes, stations)
    else:
        stations = []
    step_id = said(obr.get(20)).strip()
    return StepRecord(
        step_id,
        start,
        modality,
        tuple([station.ae_title for station in stations]),
        changes,
        unmapped,
        assumed,
        True,
    )


def step_modality(
    named: str, obr: Segment, creates: bool, rules: MappingRules, warnings: list[str]
) -> tuple[str, bool]:
    """Return (modality, unmapped) of a step from its name or the codes of OBR-4 and OBR-44."""
    modality = named_modality(named, rules)
    if not modality and rules.procedure_to_modality:
        modality = mapped_modality((obr.get(4), obr.get(4, 4), obr.get(44)), rules)
    if modality:
        return modality, False
    if not named and not creates:
        return "", False
    warnings.append(UNMAPPED)
    return UNRESOLVED, True


def _start(
    message: Message,
    group: OrderGroup,
    creates: bool,
    rules: MappingRules,
    source_timezone: str | None,
    warnings: list[str],
) -> tuple[str, bool]:
    site = rules.timezone
    for text, (segment, field, _) in start_candidates(group.orc, group.obr, group.tq1):
        try:
            return start_in_zone(text, source_timezone or site, site), False
        except InvalidDateTime:
            warnings.append(f"{segment.name}-{field}: no date and time, passed over")
    if not creates:
        return "", False
    warnings.append(NO_START)
    return message_time(message, rules, source_timezone=source_timezone), True


def _description(ordered: CWE) -> str:
    """Return the protocol's text: that of OBR-4.4-6 if present, else that of OBR-4.1-3."""
    if said(ordered.alternate_identifier) and (text := said(ordered.alternate_text)):
        return text
    return cwe_text(ordered)


def _put_performer(changes: Changes, obr: Segment, warnings: list[str]) -> None:
    """OBR-34 is an NDL, whose component 1 is a name in subcomponents; many send an XCN instead."""
    keyword = "ScheduledPerformingPhysicianName"
    family = obr.get(34, 1, 2)
    if not family:
        if not obr.get(34, 2)[:1].isdigit():  # NDL-2 would be a time
            put_name(changes, keyword, obr, 34, XCN, warnings)
        return
    parts = [obr.get(34, 1, part) for part in (2, 3, 4, 6, 5)]
    name = written_name(parts, "OBR-34", warnings)
    if name:
        changes[keyword] = name
