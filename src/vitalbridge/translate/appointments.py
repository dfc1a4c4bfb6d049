"""Scheduling messages (SIU) to the worklist (HL7 v2.5.1 chapter 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vitalbridge.hl7 import CWE, NULL, XCN, InvalidDateTime, Segment

from .codes import distinct_codes, first_code, protocol_code
from .custom import put_custom
from .identifiers import order_number, procedure_id
from .names import put_name
from .orders import put_visit
from .patients import place
from .records import AppointmentRecord, StepRecord
from .stations import UNRESOLVED, mapped_modality, put_stations, stations_of
from .steps import NO_START
from .tables import APPOINTMENT_STATUS, APPOINTMENT_TRIGGERS
from .text import LO, SH, clean, coded_text, cwe_text, put_text, said
from .times import is_time, is_vague, message_time, start_in_zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.dicom.attributes import Attributes, Changes
    from vitalbridge.hl7 import Message

    from .mapping import MappingRules
    from .times import Place

_NEW: Final = "S12"
_RESOURCES: Final = frozenset({"AIS", "AIG", "AIL", "AIP"})
_MINUTE_DIGITS: Final = 12


class Resources(msgspec.Struct):
    """The segments of one resource group (RGS); a message without RGS has one group."""

    services: list[Segment] = []
    general: list[Segment] = []
    locations: list[Segment] = []
    personnel: list[Segment] = []


def appointment_from(
    message: Message, rules: MappingRules, *, source_timezone: str | None = None
) -> AppointmentRecord:
    """Return the appointment of an SIU message; without SCH everything in it is empty.

    There is a step for every combination of modality and start among the services (AIS); services
    that share both are further protocol codes of one step. Without AIS there is one step, which
    tells the start. Only a new appointment (S12) gets defaults for a missing modality (OT) or start
    (MSH-7).

    Raises CharsetError when the text can't be decoded.
    """
    sch = message.segment("SCH")
    if sch is None:
        return AppointmentRecord("", "", "", "SCHEDULED", "", {}, ())
    warnings: list[str] = []
    changes: Changes = {}
    appointment, appointment_number = order_number(sch, None, 2)
    if not appointment:
        appointment, appointment_number = order_number(sch, None, 1)
    placer, placer_number = order_number(sch, None, 26)
    filler, filler_number = order_number(sch, None, 27)
    if sch.field(7):
        put_text(
            changes, "ReasonForTheRequestedProcedure", coded_text(sch, 7), LO, "SCH-7", warnings
        )
    if placer_number:
        changes["PlacerOrderNumberImagingServiceRequest"] = clean(placer_number)
    if filler_number:
        changes["FillerOrderNumberImagingServiceRequest"] = clean(filler_number)
    put_visit(changes, message, message.segment("PV1"), rules, warnings)
    groups = resource_groups(message)
    _put_procedure(changes, groups, rules, warnings)
    if rules.custom_fields:
        put_custom(changes, "order", rules, message, None, warnings)
    return AppointmentRecord(
        appointment,
        placer,
        filler,
        _status(message.trigger, sch, warnings),
        procedure_id("", filler_number, placer_number, appointment_number),
        changes,
        _steps(message, sch, groups, rules, source_timezone, warnings),
        tuple(dict.fromkeys(warnings)),
    )


def resource_groups(message: Message) -> list[Resources]:
    """Divide AIS, AIG, AIL and AIP by the RGS that precedes them."""
    groups: list[Resources] = []
    for segment in message.segments():
        name = segment.name
        if name == "RGS" or (name in _RESOURCES and not groups):
            groups.append(Resources())
        if name == "AIS":
            groups[-1].services.append(segment)
        elif name == "AIG":
            groups[-1].general.append(segment)
        elif name == "AIL":
            groups[-1].locations.append(segment)
        elif name == "AIP":
            groups[-1].personnel.append(segment)
    return groups


def appointment_starts(
    message: Message, sch: Segment, groups: Sequence[Resources]
) -> list[tuple[str, Place]]:
    """Return the times that hold for the whole appointment, best first, with where each stands.

    TQ1-7, SCH-11.4, then the start of any resource (AIG-8, AIL-6, AIP-6). Some senders put the
    requested start into SCH-16, which is a person by the standard: it counts last, and only as a
    time to the minute.
    """
    places: list[Place] = [(tq1, 7, 1) for tq1 in message.segments("TQ1")]
    places.append((sch, 11, 4))
    for group in groups:
        places.extend((aig, 8, 1) for aig in group.general)
        places.extend((ail, 6, 1) for ail in group.locations)
        places.extend((aip, 6, 1) for aip in group.personnel)
    found = []
    for segment, field, component in places:
        if (text := segment.get(field, component)) and text != NULL:
            found.append((text, (segment, field, component)))
    text = sch.get(16)
    if text[:_MINUTE_DIGITS].isdigit() and len(text) >= _MINUTE_DIGITS and is_time(text):
        found.append((text, (sch, 16, 1)))
    return found


def _status(trigger: str, sch: Segment, warnings: list[str]) -> str:
    if trigger in APPOINTMENT_TRIGGERS:
        return APPOINTMENT_TRIGGERS[trigger]
    code = said(sch.get(25)).strip()
    if not code:
        return "SCHEDULED"
    status = APPOINTMENT_STATUS.get(code.lower().replace("-", "").replace(" ", ""))
    if status is None:
        warnings.append("SCH-25: status is not in the code table, SCHEDULED assumed")
        return "SCHEDULED"
    return status


def _put_procedure(
    changes: Changes, groups: Sequence[Resources], rules: MappingRules, warnings: list[str]
) -> None:
    for group in groups:
        for ais in group.services:
            code = ais.read(CWE, 3)
            if code is None or not (text := cwe_text(code)):
                continue
            put_text(changes, "RequestedProcedureDescription", text, LO, "AIS-3", warnings)
            item = first_code(code, rules, "AIS-3", warnings)
            if item is not None:
                changes["RequestedProcedureCodeSequence"] = [item]
            return


def _steps(
    message: Message,
    sch: Segment,
    groups: Sequence[Resources],
    rules: MappingRules,
    source_timezone: str | None,
    warnings: list[str],
) -> tuple[StepRecord, ...]:
    creates = message.trigger == _NEW
    site = rules.timezone
    source = source_timezone or site
    common, assumed = "", False
    for text, (segment, field, _) in appointment_starts(message, sch, groups):
        try:
            common = start_in_zone(text, source, site)
            break
        except InvalidDateTime:
            warnings.append(f"{segment.name}-{field}: no date and time, passed over")
    services = [ais for group in groups for ais in group.services]
    timed = bool(services) and all((text := ais.get(4)) and not is_vague(text) for ais in services)
    if creates and not common and not timed:
        warnings.append(NO_START)
        common, assumed = message_time(message, rules, source_timezone=source_timezone), True
    steps: dict[tuple[str, str], StepRecord] = {}
    protocols: dict[tuple[str, str], list[Attributes]] = {}
    general = _first([group.general for group in groups])
    locations = _first([group.locations for group in groups])
    personnel = _first([group.personnel for group in groups])
    for group in groups or [Resources()]:
        if services and not group.services:
            continue
        titles = _named_stations(group.general or general, rules)
        place_and_person = _resources(
            group.locations or locations, group.personnel or personnel, warnings
        )
        own: Sequence[Segment | None] = group.services or (None,)
        for ais in own:
            step, protocol = _step(ais, creates, rules, warnings)
            step.start, step.start_assumed = common, assumed
            if ais is not None and (text := said(ais.get(4))):
                try:
                    step.start, step.start_assumed = start_in_zone(text, source, site), False
                except InvalidDateTime:
                    warnings.append("AIS-4: no date and time, passed over")
            key = (step.modality, step.start)
            if protocol is not None:
                protocols.setdefault(key, []).append(protocol)
            if key in steps:
                continue
            steps[key] = step
            stations = stations_of(step.modality, titles, "", rules)
            step.stations = tuple([station.ae_title for station in stations])
            put_stations(step.attributes, stations)
            step.attributes.update(place_and_person)
        if not services:
            break
    for key, step in steps.items():
        if key in protocols:
            step.attributes["ScheduledProtocolCodeSequence"] = distinct_codes(protocols[key])
        if rules.custom_fields:
            put_custom(step.attributes, "step", rules, message, None, warnings)
    return tuple(steps.values())


def _first(lists: Sequence[list[Segment]]) -> list[Segment]:
    return next(filter(None, lists), [])


def _step(
    ais: Segment | None, creates: bool, rules: MappingRules, warnings: list[str]
) -> tuple[StepRecord, Attributes | None]:
    """Return the step of a service and its protocol code; AIS-3.3 never names the modality."""
    changes: Changes = {}
    modality = ""
    protocol: Attributes | None = None
    if ais is not None:
        modality = mapped_modality((ais.get(3), ais.get(3, 4)), rules)
        code = ais.read(CWE, 3)
        if code is not None:
            text = cwe_text(code)
            put_text(changes, "ScheduledProcedureStepDescription", text, LO, "AIS-3", warnings)
            protocol = protocol_code(code, rules, "AIS-3", warnings)
    unmapped = creates and not modality
    if unmapped:
        warnings.append("AIS-3: modality not resolved, OT assumed")
        modality = UNRESOLVED
    return StepRecord("", "", modality, (), changes, unmapped), protocol


def _resources(
    locations: Sequence[Segment], personnel: Sequence[Segment], warnings: list[str]
) -> Changes:
    """Return location and personnel of a resource group as attributes of its steps."""
    changes: Changes = {}
    for ail in locations:
        if text := place(ail, 3):
            put_text(changes, "ScheduledProcedureStepLocation", text, SH, "AIL-3", warnings)
            break
    for aip in personnel:
        put_name(changes, "ScheduledPerformingPhysicianName", aip, 3, XCN, warnings)
        if changes.get("ScheduledPerformingPhysicianName"):
            break
    return changes


def _named_stations(general: Sequence[Segment], rules: MappingRules) -> list[str]:
    """Return the AE titles of the stations that AIG-3 names by AE title or by station name."""
    names = {text for aig in general for text in (said(aig.get(3)), said(aig.get(3, 2))) if text}
    if not names:
        return []
    return [
        station.ae_title
        for stations in rules.modality_stations.values()
        for station in stations
        if station.ae_title in names or (station.station_name and station.station_name in names)
    ]
