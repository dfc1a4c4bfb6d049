"""What a message says, in the terms of the worklist: plain data between HL7 and DICOM.

Three states of a value are kept apart everywhere (HL7 v2.5.1 2.5.3): a key that is absent was
empty in the message and means "unchanged", ``None`` was sent as ``""`` and means "delete", anything
else is the new value.
"""

from __future__ import annotations

import msgspec

from vitalbridge.dicom.attributes import Changes


class PatientIdentifier(msgspec.Struct, frozen=True):
    """One CX: the identifier and who assigned it (HL7 v2.5.1 2.A.14)."""

    id: str
    issuer: str
    type: str = ""


class PatientRecord(msgspec.Struct):
    """The patient as PID (and PV1, AL1) of one message describe it.

    ``identifiers[0]`` is the one that becomes PatientID; ``attributes`` holds DICOM keywords of the
    Patient module (PatientName as ``A=I=P`` component groups, dates as DA) without PatientID,
    IssuerOfPatientID and OtherPatientIDsSequence, which follow from the identifiers.
    ``warnings`` name fields that could not be used as they came, without their values.
    """

    identifiers: tuple[PatientIdentifier, ...]
    attributes: Changes
    warnings: tuple[str, ...] = ()


class StepRecord(msgspec.Struct):
    """One scheduled procedure step as an order group or an IPC segment describes it.

    ``attributes`` are those of the item of ScheduledProcedureStepSequence (0040,0100), except the
    fields beside it; ``start`` is ``YYYYMMDDHHMMSS`` in the site's zone, or shorter when the sender
    gave less, or empty. ``start_assumed``: no field named a start and the message's own time stands
    in, so that it says nothing about a step that exists. ``modality`` is empty, which means
    unchanged, when a message that creates nothing says nothing about it; so are ``stations``.
    ``place_assumed``: no field named a station, and stations, station name and location are what
    the rules have for the modality.
    """

    step_id: str
    start: str
    modality: str
    stations: tuple[str, ...]
    attributes: Changes
    modality_unmapped: bool = False
    start_assumed: bool = False
    place_assumed: bool = False


class OrderRecord(msgspec.Struct):
    """One order group (ORC with its OBR, TQ1, OBX, IPC, ZDS) in worklist terms.

    ``placer`` and ``filler`` are full entity identifiers in canonical form
    (``ENTITY^NAMESPACE^UNIVERSAL^TYPE``, trailing ``^`` cut; empty when absent). ``study_uid`` is
    empty unless IPC-3 or ZDS gives one. ``attributes`` are the top-level keywords of the worklist
    identifier except the patient's own, the step sequence and the fields beside it. An observed
    weight or height (PatientWeight, PatientSize) belongs to the order that it came with.
    ``generated_ids`` are pairs (keyword, what the message has) of identifiers that a generated one
    stands for here. ``transaction_time`` is ORC-9, else MSH-7, as UTC digits to compare.
    """

    control: str
    status: str
    placer: str
    filler: str
    accession: str
    requested_procedure_id: str
    study_uid: str
    transaction_time: str
    attributes: Changes
    steps: tuple[StepRecord, ...]
    warnings: tuple[str, ...] = ()
    generated_ids: tuple[tuple[str, str], ...] = ()


class AppointmentRecord(msgspec.Struct):
    """A scheduling message (SIU): SCH with its resources, in worklist terms.

    ``appointment`` is SCH-2 (else SCH-1) in canonical form, ``placer`` and ``filler`` the order
    named by SCH-26 and SCH-27; ``status`` is the worklist status that SCH-25 and the trigger mean.
    """

    appointment: str
    placer: str
    filler: str
    status: str
    requested_procedure_id: str
    attributes: Changes
    steps: tuple[StepRecord, ...]
    warnings: tuple[str, ...] = ()
