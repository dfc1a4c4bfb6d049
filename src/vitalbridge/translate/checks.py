"""The check before the acknowledgement: what can be told from the message alone.

Required segments and fields by message type, codes that must be known, identifiers that DICOM must
be able to hold, the time that would become the scheduled start. Every fault is reported, not just
the first. Dates elsewhere (a birth date) that can't be used only become warnings later: they are no
reason to keep a patient from an examination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import CX, NULL, Fault, Hl7Error

from .appointments import appointment_starts, resource_groups
from .identifiers import (
    ORDER_NUMBER_LIMIT,
    PATIENT_ID_LIMIT,
    SHORT_LIMIT,
    fits,
    given_accession,
    given_procedure_id,
    patient_identifiers,
)
from .imaging_orders import ipc_modality
from .mapping import DEFAULT_RULES
from .orders import study_uid
from .patients import merge_groups, retired_identifiers
from .tables import CREATING, MERGE_TRIGGERS, ORDER_CONTENT, ORDER_CONTROL, UNLINK
from .text import Line, said
from .times import is_time, is_vague, start_candidates
from .uids import is_instance_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vitalbridge.hl7 import Message, OrderGroup, Segment

    from .mapping import MappingRules
    from .times import Place

SEGMENT: Final = 100
REQUIRED: Final = 101
DATA_TYPE: Final = 102
TABLE_VALUE: Final = 103
DUPLICATE_KEY: Final = 205
MOST_FAULTS: Final = 100
MOST_REPEATED: Final = 1000
"""Segments of one name among those that are handled one by one: more is no hospital's traffic, and
handling one message must not keep all others waiting."""
MOST_SEGMENTS: Final = 50_000
LONGEST_SEGMENT: Final = 64 * 1024
"""Of the segments that are read field by field; text and documents (OBX, NTE) may be any length."""
_READ: Final = ("EVN", "PID", "PV1", "MRG", "ORC", "OBR", "TQ1", "IPC", "ZDS", "SCH", "AIS", "AIL")
_COUNTED: Final = ("OBR", "ORC", "IPC", "PID", "MRG", "AIS", "RGS")

_REGISTERING: Final = frozenset({"A01", "A04", "A05", "A08", "A28", "A31"})
_NEW_APPOINTMENT: Final = "S12"


def check(message: Message, rules: MappingRules = DEFAULT_RULES) -> list[Fault]:
    """Return the faults for which a message must be answered AE; an empty list if it is good.

    ADT, ORM, OMG, OMI, SIU, ORU and ACK are known; of another type only the text is decoded.
    Locations are written as ERR-2 (``OBR^1^4``); codes are of HL7 table 0357. Never raises on bad
    input: text that can't be decoded is a fault too. At most ``MOST_FAULTS`` are returned.
    """
    try:
        examine = _CHECKS.get(message.message_code)
        if examine is None:
            message.segment("MSH")
            return []
        faults: list[Fault] = []
        excess = _excess(message)
        if excess is not None:
            return [excess]
        examine(message, rules, faults)
    except Hl7Error as error:
        return [error.fault]
    # Several OBR may share an ORC and what is wrong with it.
    return list(dict.fromkeys(faults))[:MOST_FAULTS] if len(faults) > 1 else faults


def _excess(message: Message) -> Fault | None:
    """Return what makes the message too costly to handle, if anything does."""
    size = len(message.raw)
    if size <= MOST_REPEATED:
        return None
    lines = message.text.count("\r") + message.text.count("\n") if size > MOST_SEGMENTS else 0
    if lines > MOST_SEGMENTS:
        return Fault(SEGMENT, "", f"more than {MOST_SEGMENTS} segments")
    for name in _COUNTED:
        if len(message.segments(name)) > MOST_REPEATED:
            return Fault(SEGMENT, f"{name}^{MOST_REPEATED + 1}", f"too many {name} segments")
    if size > LONGEST_SEGMENT:
        for name in _READ:
            for segment in message.segments(name):
                if len(segment.text) > LONGEST_SEGMENT:
                    place = f"{name}^{segment.occurrence}"
                    return Fault(DATA_TYPE, place, f"{name} segment is too long")
    return None


def _missing(segment: Segment, field: int, what: str, faults: list[Fault]) -> None:
    faults.append(Fault(REQUIRED, segment.location(field), f"{what} required"))


def _absent(name: str, faults: list[Fault], number: int = 1) -> None:
    faults.append(Fault(SEGMENT, f"{name}^{number}", f"{name} segment required"))


def _at(place: Place) -> str:
    segment, field, component = place
    location = segment.location(field)
    return location if component == 1 else f"{location}^1^{component}"


def _check_patient(pid: Segment | None, name_required: bool, faults: list[Fault]) -> None:
    if pid is None:
        _absent("PID", faults)
        return
    _check_patient_ids(pid, 3, faults)
    if name_required and not pid.field(5).strip(" ^~&"):
        _missing(pid, 5, "PID-5", faults)


def _check_patient_ids(segment: Segment, field: int, faults: list[Fault]) -> None:
    found = False
    for number, cx in enumerate(segment.read_all(CX, field), 1):
        identifier = cx.id.strip()
        if not identifier or identifier == NULL:
            continue
        found = True
        if not fits(identifier, PATIENT_ID_LIMIT):
            faults.append(
                Fault(
                    DATA_TYPE,
                    f"{segment.location(field)}^{number}^1",
                    f"identifier is longer than {PATIENT_ID_LIMIT} or has illegal characters",
                )
            )
        authority = cx.assigning_authority
        if not fits(authority.namespace_id or authority.universal_id, PATIENT_ID_LIMIT):
            faults.append(
                Fault(
                    DATA_TYPE,
                    f"{segment.location(field)}^{number}^4",
                    f"issuer is longer than {PATIENT_ID_LIMIT} or has illegal characters",
                )
            )
    if not found:
        _missing(segment, field, f"{segment.name}-{field}", faults)


def _check_adt(message: Message, rules: MappingRules, faults: list[Fault]) -> None:
    if message.segment("EVN") is None:
        _absent("EVN", faults)
    trigger = message.trigger
    if trigger in MERGE_TRIGGERS:
        _check_merge(message, rules, faults)
    elif trigger == UNLINK:
        pids = message.segments("PID")
        for pid in pids:
            _check_patient(pid, False, faults)
        for number in range(len(pids) + 1, 3):
            _absent("PID", faults, number)
    else:
        _check_patient(message.segment("PID"), trigger in _REGISTERING, faults)


def _check_merge(message: Message, rules: MappingRules, faults: list[Fault]) -> None:
    groups = merge_groups(message)
    if not groups:
        _absent("PID", faults)
    for number, (pid, mrg, _) in enumerate(groups, 1):
        _check_patient(pid, False, faults)
        if mrg is None:
            _absent("MRG", faults, number)
            continue
        before = len(faults)
        _check_patient_ids(mrg, 4 if mrg.field(4) and not mrg.field(1) else 1, faults)
        if len(faults) > before:
            continue
        surviving = patient_identifiers(pid, 3, rules)
        if surviving and not retired_identifiers(surviving, mrg, rules):
            faults.append(
                Fault(DUPLICATE_KEY, mrg.location(1), "MRG-1 is the patient who would survive")
            )


def _check_order(message: Message, rules: MappingRules, faults: list[Fault]) -> None:
    groups = message.order_groups()
    creates = any(group.orc is not None and group.orc.get(1) in CREATING for group in groups)
    _check_patient(message.segment("PID"), creates, faults)
    if groups and groups[-1].patient > 1 and message.message_code == "ORM":
        faults.append(Fault(SEGMENT, "PID^2", "one patient per message"))
    if not groups:
        _absent("ORC", faults)
        _absent("OBR", faults)
    if (pv1 := message.segment("PV1")) is not None:
        _check_short(pv1.get(19), (pv1, 19, 1), 64, faults)
    for group in groups:
        if group.patient <= 1:
            _check_group(message, group, rules, faults)


def _check_group(
    message: Message, group: OrderGroup, rules: MappingRules, faults: list[Fault]
) -> None:
    orc, obr = group.orc, group.obr
    control = ""
    if orc is None:
        _absent("ORC", faults)
    else:
        control = orc.get(1).strip()
        if not control:
            _missing(orc, 1, "ORC-1", faults)
        elif control not in ORDER_CONTROL:
            faults.append(Fault(TABLE_VALUE, orc.location(1), "unknown order control code"))
    _check_order_numbers(orc, obr, faults)
    if obr is None:
        if control in ORDER_CONTENT:
            _absent("OBR", faults)
    elif (control in ORDER_CONTENT or orc is None) and not obr.field(4).strip(" ^~&"):
        _missing(obr, 4, "OBR-4", faults)
    if control in ORDER_CONTENT:
        _check_content(group, rules, faults)
    refuse = rules.long_identifiers == "refuse"
    if refuse:
        accession, where = given_accession(message, group, rules)
        if where is not None:
            _check_short(accession, where, SHORT_LIMIT, faults)
        procedure, where = given_procedure_id(group)
        if where is not None:
            _check_short(procedure, where, SHORT_LIMIT, faults)
        if obr is not None:
            _check_short(obr.get(20), (obr, 20, 1), SHORT_LIMIT, faults)
    if group.ipc:
        _check_imaging(group, refuse, faults)


def _check_content(group: OrderGroup, rules: MappingRules, faults: list[Fault]) -> None:
    """Check what a message that calls an order off may get wrong without harm."""
    for text, place in _first_start(start_candidates(group.orc, group.obr, group.tq1)):
        if not is_time(text):
            faults.append(Fault(DATA_TYPE, _at(place), "no valid date and time"))
    if len(group.ipc) > 1:
        _check_step_modalities(group.ipc, rules, faults)
    uid, where = study_uid(group)
    if where is not None and not is_instance_uid(uid):
        faults.append(Fault(DATA_TYPE, _at(where), "no valid Study Instance UID"))


def _first_start(candidates: Sequence[tuple[str, Place]]) -> list[tuple[str, Place]]:
    """Return the time that would become the start, if any: a year or a month is passed over."""
    return [candidate for candidate in candidates if not is_vague(candidate[0])][:1]


def _check_step_modalities(
    ipcs: Sequence[Segment], rules: MappingRules, faults: list[Fault]
) -> None:
    modalities: dict[str, str] = {}
    for ipc in ipcs:
        step_id = said(ipc.get(4)).strip()
        modality = ipc_modality(ipc, rules)
        if step_id and modality and modalities.setdefault(step_id, modality) != modality:
            faults.append(Fault(DATA_TYPE, ipc.location(5), "one step id with two modalities"))


def _check_order_numbers(orc: Segment | None, obr: Segment | None, faults: list[Fault]) -> None:
    found = False
    for segment in (orc, obr):
        if segment is None:
            continue
        for field in (2, 3):
            text = segment.get(field).strip()
            if text and text != NULL:
                found = True
                if not fits(text, ORDER_NUMBER_LIMIT):
                    _check_short(text, (segment, field, 1), ORDER_NUMBER_LIMIT, faults)
    if not found:
        segment = orc or obr
        if segment is not None:
            _missing(segment, 2, "placer or filler order number (ORC-2, ORC-3)", faults)


def _check_short(text: str, place: Place, limit: int, faults: list[Fault]) -> None:
    if text and not fits(text.strip(), limit):
        faults.append(
            Fault(
                DATA_TYPE,
                _at(place),
                f"identifier is longer than {limit} or has illegal characters",
            )
        )


_ONE_PER_ORDER: Final = ((1, "accession number"), (2, "requested procedure id"), (3, "Study UID"))


def _check_imaging(group: OrderGroup, refuse: bool, faults: list[Fault]) -> None:
    first = group.ipc[0]
    for ipc in group.ipc:
        for field, what in _ONE_PER_ORDER:
            text = ipc.get(field)
            if text and first.get(field) and text != first.get(field):
                faults.append(
                    Fault(DATA_TYPE, ipc.location(field), f"{what} differs within one order")
                )
        if refuse:
            _check_short(ipc.get(4), (ipc, 4, 1), SHORT_LIMIT, faults)
        faults.extend(
            Fault(DATA_TYPE, f"{ipc.location(9)}^{repetition}", "no AE title")
            for repetition, title in enumerate(ipc.read_all(Line, 9), 1)
            if not fits(title.value.strip(), SHORT_LIMIT)
        )


def _check_appointment(message: Message, _: MappingRules, faults: list[Fault]) -> None:
    _check_patient(message.segment("PID"), message.trigger == _NEW_APPOINTMENT, faults)
    sch = message.segment("SCH")
    if sch is None:
        _absent("SCH", faults)
        return
    if all(sch.get(field).strip() in {"", NULL} for field in (1, 2)):
        _missing(sch, 1, "placer or filler appointment id (SCH-1, SCH-2)", faults)
    for field in (1, 2, 26, 27):
        _check_short(sch.get(field), (sch, field, 1), ORDER_NUMBER_LIMIT, faults)
    groups = resource_groups(message)
    candidates = _first_start(appointment_starts(message, sch, groups))
    for group in groups:
        for ais in group.services:
            if (text := ais.get(4)) and text != NULL:
                candidates.append((text, (ais, 4, 1)))
    for text, place in candidates:
        if not is_time(text):
            faults.append(Fault(DATA_TYPE, _at(place), "no valid date and time"))


def _check_result(message: Message, _: MappingRules, faults: list[Fault]) -> None:
    _check_patient(message.segment("PID"), False, faults)
    obrs, obxs = message.segments("OBR"), message.segments("OBX")
    if not obrs:
        _absent("OBR", faults)
    if not obxs:
        _absent("OBX", faults)
    for obr in obrs:
        if not obr.field(25):
            _missing(obr, 25, "OBR-25", faults)
    for obx in obxs:
        for field in (2, 3):
            if not obx.field(field):
                _missing(obx, field, f"OBX-{field}", faults)


def _check_acknowledgement(message: Message, _: MappingRules, faults: list[Fault]) -> None:
    msa = message.segment("MSA")
    if msa is None:
        _absent("MSA", faults)
        return
    for field in (1, 2):
        if not msa.field(field):
            _missing(msa, field, f"MSA-{field}", faults)


_CHECKS: Final[Mapping[str, Callable[[Message, MappingRules, list[Fault]], None]]] = {
    "ADT": _check_adt,
    "ORM": _check_order,
    "OMG": _check_order,
    "OMI": _check_order,
    "SIU": _check_appointment,
    "ORU": _check_result,
    "ACK": _check_acknowledgement,
}
