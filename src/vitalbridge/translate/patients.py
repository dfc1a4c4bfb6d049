"""PID with PV1, AL1 and OBX to the Patient module of the worklist (DICOM PS3.4 K.6.1.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vitalbridge.hl7 import CWE, NULL, XAD, XPN, XTN, DateTime, InvalidDateTime

from .custom import put_custom
from .identifiers import patient_identifiers
from .names import put_name
from .observations import put_observations
from .records import PatientIdentifier, PatientRecord
from .tables import MERGE_TRIGGERS, PREGNANCY, UNLINK
from .text import LO, SH, clean, coded_text, put_text, put_values, said, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.dicom.attributes import Changes
    from vitalbridge.hl7 import Message, Segment

    from .mapping import MappingRules

_BIRTH_DATE_DIGITS: Final = 8
_PHONE_NOISE: Final = str.maketrans("", "", " ().-/")


def patient_from(
    message: Message,
    rules: MappingRules,
    *,
    source_timezone: str | None = None,  # noqa: ARG001 - births and addresses have no zone
) -> PatientRecord:
    """Return the patient that the (first) PID segment of a message describes.

    Without PID, or without a usable PID-3, ``identifiers`` is empty. Weight and height come from
    OBX only in ADT: those of an order belong to that order (see ``orders_from``).

    Raises CharsetError when the text can't be decoded.
    """
    pid = message.segment("PID")
    if pid is None:
        return PatientRecord((), {})
    observations = message.segments("OBX") if message.message_code == "ADT" else ()
    return _patient(
        message, pid, message.segment("PV1"), message.segments("AL1"), observations, rules
    )


def patients_merged(
    message: Message, rules: MappingRules
) -> list[tuple[PatientRecord, PatientIdentifier]]:
    """Return (surviving patient, retired identifier) for every identifier that a merge retires.

    A18, A34, A36, A39 and A40 merge, A47 changes an identifier: the survivor is PID-3 of each PID,
    MRG segment pair, the retired ones are the repetitions of MRG-1 (MRG-4 if MRG-1 is empty) that
    PID-3 replaces (see ``retired_identifiers``); what is retired is not among the survivor's
    identifiers, even where PID-3 repeats it. MRG-1 without an assigning authority has the one of
    the surviving identifier. A37 (unlink) has two PID segments: the first stands as the
    surviving patient, the first identifier of the second as the retired one; their order means
    nothing. Any other event: an empty list. A merge of an identifier with itself is left out
    (``check`` refuses it).
    """
    if message.trigger == UNLINK:
        pids = message.segments("PID")
        if len(pids) < 2:
            return []
        other = patient_identifiers(pids[1], 3, rules)
        return [(_patient(message, pids[0], None, (), (), rules), other[0])] if other else []
    if message.trigger not in MERGE_TRIGGERS:
        return []
    merged: list[tuple[PatientRecord, PatientIdentifier]] = []
    for pid, mrg, pv1 in merge_groups(message):
        if mrg is None:
            continue
        patient = _patient(message, pid, pv1, (), (), rules)
        retired = retired_identifiers(patient.identifiers, mrg, rules)
        gone = {(entry.id, entry.issuer) for entry in retired}
        patient.identifiers = tuple(
            entry for entry in patient.identifiers if (entry.id, entry.issuer) not in gone
        )
        merged.extend((patient, identifier) for identifier in retired)
    return merged


def merge_groups(message: Message) -> list[tuple[Segment, Segment | None, Segment | None]]:
    """Return (PID, MRG, PV1) of every patient of a merge message, in message order."""
    groups: list[tuple[Segment, Segment | None, Segment | None]] = []
    for segment in message.segments():
        if segment.name == "PID":
            groups.append((segment, None, None))
        elif groups and segment.name == "MRG" and groups[-1][1] is None:
            groups[-1] = (groups[-1][0], segment, groups[-1][2])
        elif groups and segment.name == "PV1" and groups[-1][2] is None:
            groups[-1] = (groups[-1][0], groups[-1][1], segment)
    return groups


def retired_identifiers(
    surviving: Sequence[PatientIdentifier], mrg: Segment, rules: MappingRules
) -> list[PatientIdentifier]:
    """Return the identifiers of MRG-1 (else MRG-4) that the surviving ones replace.

    Each is replaced by the first one of its assigning authority in PID-3 that MRG-1 does not list:
    many senders repeat the old number in PID-3. Where MRG-1 lists them all, the first in PID-3
    stays (a national number that both lists carry) and the others are retired.
    """
    issuer = surviving[0].issuer if surviving else None
    prior = patient_identifiers(mrg, 1, rules, issuer=issuer) or patient_identifiers(
        mrg, 4, rules, issuer=issuer
    )
    listed = {(entry.id, entry.issuer) for entry in prior}
    heir: dict[str, str] = {}
    for entry in sorted(surviving, key=lambda entry: (entry.id, entry.issuer) in listed):
        heir.setdefault(entry.issuer, entry.id)
    return [entry for entry in prior if heir.get(entry.issuer) != entry.id]


def _patient(
    message: Message,
    pid: Segment,
    pv1: Segment | None,
    allergies: Sequence[Segment],
    observations: Sequence[Segment],
    rules: MappingRules,
) -> PatientRecord:
    changes: Changes = {}
    warnings: list[str] = []
    put_name(changes, "PatientName", pid, 5, XPN, warnings)
    if pid.field(6):
        put_name(changes, "PatientMotherBirthName", pid, 6, XPN, warnings)
    _put_birth(changes, pid, warnings)
    _put_sex(changes, pid, rules, warnings)
    if pid.field(10):
        _put_ethnic_group(changes, pid, warnings)
    if pid.field(11):
        _put_address(changes, pid, warnings)
    if pid.field(13):
        _put_telephones(changes, pid, warnings)
    if pv1 is not None:
        _put_visit(changes, pv1, warnings)
    if allergies:
        _put_allergies(changes, allergies, warnings)
    if observations:
        put_observations(changes, observations, warnings)
    if rules.custom_fields:
        put_custom(changes, "patient", rules, message, None, warnings)
    return PatientRecord(
        patient_identifiers(pid, 3, rules), changes, tuple(dict.fromkeys(warnings))
    )


def _put_birth(changes: Changes, pid: Segment, warnings: list[str]) -> None:
    text = pid.get(7)
    if not text:
        return
    if text == NULL:
        changes["PatientBirthDate"] = None
        changes["PatientBirthTime"] = None
        return
    try:
        birth = DateTime.parse(text)
    except InvalidDateTime:
        warnings.append("PID-7: no date, left out")
        return
    if len(birth.da) != _BIRTH_DATE_DIGITS:
        warnings.append("PID-7: no full date, left out")
        return
    changes["PatientBirthDate"] = birth.da
    if birth.tm:
        changes["PatientBirthTime"] = birth.tm


def _put_sex(changes: Changes, pid: Segment, rules: MappingRules, warnings: list[str]) -> None:
    code = pid.get(8)
    if not code:
        return
    sex = "" if code == NULL else rules.sex.get(code.strip().upper())
    if sex is None:
        warnings.append("PID-8: not in the code table, left out")
    else:
        changes["PatientSex"] = sex or None


def _put_ethnic_group(changes: Changes, pid: Segment, warnings: list[str]) -> None:
    text = coded_text(pid, 10)
    if len(text) > SH:  # the code says it whole where the text would be cut
        text = said(pid.get(10)) or text
    put_text(changes, "EthnicGroup", text, SH, "PID-10", warnings)


def _put_address(changes: Changes, pid: Segment, warnings: list[str]) -> None:
    if pid.field(11) == NULL:
        changes["PatientAddress"] = None
        return
    address = pid.read(XAD, 11)
    if address is None:
        return
    town = " ".join(filter(None, map(said, (address.state, address.postal_code))))
    parts = (address.street, address.other_designation, address.city, town, address.country)
    text = ", ".join(part for part in (clean(said(part)) for part in parts) if part)
    put_text(changes, "PatientAddress", text, LO, "PID-11", warnings)


def _put_telephones(changes: Changes, pid: Segment, warnings: list[str]) -> None:
    if pid.field(13) == NULL:
        changes["PatientTelephoneNumbers"] = None
        return
    numbers: list[str] = []
    for telephone in pid.read_all(XTN, 13):
        number = clean(said(telephone.number) or said(telephone.unformatted))
        if not number and said(telephone.local_number):
            area = said(telephone.area_code)
            number = clean(f"{area} {telephone.local_number}" if area else telephone.local_number)
        if len(number) > SH:
            number = number.translate(_PHONE_NOISE)
        if len(number) > SH:
            warnings.append("PID-13: number too long, left out")  # cut it would be another number
        elif number:
            numbers.append(number)
    put_values(changes, "PatientTelephoneNumbers", numbers, "PID-13", warnings)


def _put_visit(changes: Changes, pv1: Segment, warnings: list[str]) -> None:
    if location := pv1.field(3):
        put_text(
            changes,
            "CurrentPatientLocation",
            NULL if location == NULL else place(pv1, 3),
            LO,
            "PV1-3",
            warnings,
        )
    if status := pv1.field(15):
        if status == NULL:
            changes["PregnancyStatus"] = None
        else:
            for code in pv1.read_all(CWE, 15):
                if pregnancy := PREGNANCY.get(code.identifier):
                    changes["PregnancyStatus"] = pregnancy
    if pv1.field(16):
        put_text(
            changes,
            "ConfidentialityConstraintOnPatientDataDescription",
            coded_text(pv1, 16),
            LO,
            "PV1-16",
            warnings,
        )


def place(segment: Segment, field: int) -> str:
    """Return a location (PL) for a reader: point of care, room and bed as ``4W-101-A``.

    Without any of them the description (component 9) or nothing.
    """
    parts = (said(segment.get(field, component)) for component in (1, 2, 3))
    return "-".join(part for part in parts if part) or said(segment.get(field, 9))


def _put_allergies(changes: Changes, allergies: Sequence[Segment], warnings: list[str]) -> None:
    values: list[str] = []
    deleted = False
    for al1 in allergies:
        text = coded_text(al1, 3)
        if text == NULL:
            deleted = True
        elif text:
            values.extend(wrapped(clean(text), LO))
    if deleted and not values:
        changes["Allergies"] = None
    put_values(changes, "Allergies", values, "AL1-3", warnings)
