"""Order messages to the worklist: ORM^O01, OMG^O19, OMI^O23 (DICOM PS3.4 K.6.1.2.2).

HL7 v2.5.1 chapter 4; IHE RAD TF-2 appendix B names most of the pairs. What the message doesn't say
stays unchanged, so only an order control code that creates gets defaults (OT for a modality that
cannot be found out, the message's own time for a missing start).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import CWE, NULL, XCN

from .codes import codes, first_code
from .custom import put_custom
from .identifiers import (
    SHORT_LIMIT,
    fits,
    given_accession,
    given_procedure_id,
    order_number,
    procedure_id,
    short_id,
)
from .imaging_orders import imaging_steps
from .names import put_name
from .observations import put_observations
from .records import OrderRecord, StepRecord
from .steps import order_step
from .tables import CREATING
from .text import (
    LO,
    LT,
    Line,
    clean,
    clean_lines,
    coded_text,
    cut,
    cwe_text,
    put_text,
    put_values,
    said,
    wrapped,
)
from .times import first_instant
from .uids import is_instance_uid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Message, OrderGroup, Segment

    from .mapping import MappingRules
    from .times import Place

# Coded fields that become one line of text: field, keyword.
_NOTHING: Final = frozenset({"", NULL})
_OBR_TEXTS: Final = ((12, "PatientState"), (30, "PatientTransportArrangements"))


def orders_from(
    message: Message, rules: MappingRules, *, source_timezone: str | None = None
) -> list[OrderRecord]:
    """Return one record per order group of an ORM^O01, OMG^O19 or OMI^O23 message.

    ``source_timezone`` is the sender's IANA zone, the site's when None. A group of an ORC alone has
    no steps. A field that can't be used as it came (an invalid date, a text cut) adds a warning; a
    message that ``check`` has no fault with loses no identifier and no start. Groups under a second
    PID are prior results (OMG) and no orders.

    Raises CharsetError when the text can't be decoded.
    """
    groups = [group for group in message.order_groups() if group.patient <= 1]
    pv1 = message.segment("PV1")
    if len(groups) == 1:
        return [_order(message, groups[0], False, pv1, rules, source_timezone)]
    uses = Counter(id(group.orc) for group in groups)
    return [
        _order(message, group, uses[id(group.orc)] > 1, pv1, rules, source_timezone)
        for group in groups
    ]


def study_uid(group: OrderGroup) -> tuple[str, Place | None]:
    """Return the Study Instance UID that a group gives (IPC-3, else ZDS-1) and where it stands."""
    for ipc in group.ipc:
        if (uid := ipc.get(3)) and uid != NULL:
            return uid.strip(), (ipc, 3, 1)
    zds = group.zds
    if zds is not None and (uid := zds.get(1)) and uid != NULL:
        return uid.strip(), (zds, 1, 1)
    return "", None


def _order(
    message: Message,
    group: OrderGroup,
    orc_is_shared: bool,
    pv1: Segment | None,
    rules: MappingRules,
    source_timezone: str | None,
) -> OrderRecord:
    orc, obr = group.orc, group.obr
    changes: Changes = {}
    warnings: list[str] = []
    control = status = transaction = ""
    ordered: CWE | None = None
    if orc is not None:
        control = orc.get(1).strip()
        status = said(orc.get(5)).strip()
        transaction = orc.get(9)
    # An ORC over several OBR can't hold the numbers of each.
    first, second = (obr, orc) if orc_is_shared else (orc, obr)
    placer, placer_number = order_number(first, second, 2)
    filler, filler_number = order_number(first, second, 3)
    if placer_number:
        changes["PlacerOrderNumberImagingServiceRequest"] = clean(placer_number)
    if filler_number:
        changes["FillerOrderNumberImagingServiceRequest"] = clean(filler_number)
    if orc is not None:
        _put_requester(changes, orc, obr, warnings)
    elif obr is not None and obr.field(16):
        put_name(changes, "RequestingPhysician", obr, 16, XCN, warnings)
    if obr is not None:
        ordered = obr.read(CWE, 4)
        _put_procedure(changes, obr, ordered, rules, warnings)
        _put_circumstances(changes, obr, warnings)
        if obr.field(31):
            _put_reason(changes, obr, rules, warnings)
    _put_priority(changes, orc, obr, group.tq1, rules, warnings)
    put_visit(changes, message, pv1, rules, warnings)
    if group.obx:
        put_observations(changes, group.obx, warnings)
    if group.nte:
        _put_notes(changes, group.nte, warnings)
    if rules.custom_fields:
        put_custom(changes, "order", rules, message, group, warnings)

    generated: list[tuple[str, str]] = []
    accession, _ = given_accession(message, group, rules)
    accession = _short(accession, "AccessionNumber", generated)
    named_procedure, _ = given_procedure_id(group)
    requested_procedure_id = procedure_id(
        _short(named_procedure, "RequestedProcedureID", generated),
        (said(obr.get(3)).strip() if obr is not None else "") or filler_number,
        accession,
        placer_number,
    )
    steps: tuple[StepRecord, ...] = ()
    if obr is not None:
        step = order_step(
            message, group, obr, ordered, control in CREATING, rules, source_timezone, warnings
        )
        steps = (
            imaging_steps(group, obr, step, control in CREATING, rules, warnings)
            if group.ipc
            else (step,)
        )
        for step in steps:
            step.step_id = _short(step.step_id, "ScheduledProcedureStepID", generated)
            if rules.custom_fields:
                put_custom(step.attributes, "step", rules, message, group, warnings)
    uid, _ = study_uid(group)
    if uid and not is_instance_uid(uid):
        warnings.append("no valid Study Instance UID (IPC-3, ZDS-1), left out")
        uid = ""
    return OrderRecord(
        control,
        status,
        placer,
        filler,
        accession,
        requested_procedure_id,
        uid,
        first_instant((transaction,), rules, source_timezone)
        or first_instant((message.get("MSH-7"),), rules, source_timezone),
        changes,
        steps,
        tuple(dict.fromkeys(warnings)),
        tuple(generated),
    )


def _short(identifier: str, keyword: str, generated: list[tuple[str, str]]) -> str:
    """Return the identifier, or a generated one if SH can't hold it.

    Under the policy ``refuse`` such a message doesn't come this far: ``check`` finds the fault.
    """
    if len(identifier) <= SHORT_LIMIT and fits(identifier, SHORT_LIMIT):
        return identifier
    generated.append((keyword, identifier))
    return short_id(identifier)


def _put_requester(
    changes: Changes, orc: Segment, obr: Segment | None, warnings: list[str]
) -> None:
    if orc.field(12):
        put_name(changes, "RequestingPhysician", orc, 12, XCN, warnings)
    if "RequestingPhysician" not in changes and obr is not None and obr.field(16):
        put_name(changes, "RequestingPhysician", obr, 16, XCN, warnings)
    if orc.field(17):
        put_text(changes, "RequestingService", coded_text(orc, 17), LO, "ORC-17", warnings)


def _put_procedure(
    changes: Changes,
    obr: Segment,
    ordered: CWE | None,
    rules: MappingRules,
    warnings: list[str],
) -> None:
    """Requested procedure: OBR-44 where it is given, else ``ordered`` (OBR-4)."""
    code, where = ordered, "OBR-4"
    if obr.field(44) not in _NOTHING:
        code, where = obr.read(CWE, 44), "OBR-44"
    if code is None:
        return
    item = first_code(code, rules, where, warnings)
    if item is not None:
        changes["RequestedProcedureCodeSequence"] = [item]
    described = ordered if ordered is not None and not said(code.text) else code
    text = cwe_text(described) or cwe_text(code)
    put_text(changes, "RequestedProcedureDescription", text, LO, where, warnings)


def _put_circumstances(changes: Changes, obr: Segment, warnings: list[str]) -> None:
    for field, keyword in _OBR_TEXTS:
        if obr.field(field):
            put_text(changes, keyword, coded_text(obr, field), LO, f"OBR-{field}", warnings)
    if text := obr.get(13):
        if text == NULL:
            changes["MedicalAlerts"] = None
        else:
            put_values(changes, "MedicalAlerts", wrapped(clean(text), LO), "OBR-13", warnings)


def _put_reason(changes: Changes, obr: Segment, rules: MappingRules, warnings: list[str]) -> None:
    if obr.field(31) == NULL:
        changes["ReasonForTheRequestedProcedure"] = None
        changes["ReasonForRequestedProcedureCodeSequence"] = None
        return
    texts = (clean(cwe_text(code)) for code in obr.read_all(CWE, 31))
    text = "; ".join(dict.fromkeys(text for text in texts if text))
    put_text(changes, "ReasonForTheRequestedProcedure", text, LO, "OBR-31", warnings)
    items = codes(obr, 31, rules, warnings)
    if items:
        changes["ReasonForRequestedProcedureCodeSequence"] = items


def _put_priority(
    changes: Changes,
    orc: Segment | None,
    obr: Segment | None,
    tq1: Sequence[Segment],
    rules: MappingRules,
    warnings: list[str],
) -> None:
    """TQ1-9, ORC-7.6, OBR-27.6, OBR-5: the first that isn't empty."""
    code = ""
    for segment in tq1:
        code = code or segment.get(9)
    if not code and orc is not None:
        code = orc.get(7, 6)
    if not code and obr is not None:
        code = obr.get(27, 6) or obr.get(5)
    if not code:
        return
    if code == NULL:
        changes["RequestedProcedurePriority"] = None
        return
    priority = rules.priority.get(code.strip().upper())
    if priority is None:
        warnings.append("TQ1-9: priority is not in the code table, left out")
    elif priority:
        changes["RequestedProcedurePriority"] = priority


def put_visit(
    changes: Changes,
    message: Message,
    pv1: Segment | None,
    rules: MappingRules,
    warnings: list[str],
) -> None:
    """Lay what belongs to the visit rather than to the patient into ``changes``.

    Referring physician PV1-8, admission PV1-19, institution PV1-3.4, else the configured one, else
    MSH-4.
    """
    institution = ""
    if pv1 is not None:
        if pv1.field(8):
            put_name(changes, "ReferringPhysicianName", pv1, 8, XCN, warnings)
        if admission := pv1.get(19):
            changes["AdmissionID"] = None if admission == NULL else clean(admission)
        institution = said(pv1.get(3, 4))
    institution = institution or rules.institution_name or said(message.sending_facility)
    put_text(changes, "InstitutionName", institution, LO, "PV1-3.4", warnings)


def _put_notes(changes: Changes, notes: Sequence[Segment], warnings: list[str]) -> None:
    lines = [said(line.value) for note in notes for line in note.read_all(Line, 3)]
    text = clean_lines("\n".join(lines)).strip()
    if text:
        changes["RequestedProcedureComments"] = cut(text, LT, "NTE-3", warnings)
