"""What the bridge keeps: patients, orders, worklist steps; and the effects that change them.

Handlers read the state through :class:`State` and return effects; the store applies the effects in
the transaction that marks the message done. Every ``Put`` carries the whole new value.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from vitalbridge.dicom.attributes import Attributes
from vitalbridge.translate.records import PatientIdentifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class StepStatus(StrEnum):
    """ScheduledProcedureStepStatus (0040,0020), DICOM PS3.3 C.4.10 and IHE SWF.b."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    DEPARTED = "DEPARTED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    DISCONTINUED = "DISCONTINUED"


class Patient(msgspec.Struct, omit_defaults=True):
    """One person. ``identifiers[0]`` is PatientID; ``provisional`` until an ADT describes them."""

    key: int
    identifiers: tuple[PatientIdentifier, ...]
    attributes: Attributes
    provisional: bool = False


class Order(msgspec.Struct, omit_defaults=True):
    """One order, by the full entity identifiers of placer and filler.

    ``content`` is a digest of what the order last said (an equal resend changes nothing);
    ``tombstone`` marks an order known only by its cancellation. ``held`` is what the order's own
    messages ask for; ``disputed`` hides it too: its PID and the known patient are not one person.
    ``described`` is then what its PID said of family name, birth date and sex; it is empty when the
    dispute is that another patient's message claimed the order, or that its study is another
    patient's. ``named`` is the number of a merged patient under which the order came, if it did: an
    unlink makes the order that patient's.
    ``generated_ids`` are pairs (DICOM keyword, what its messages have) of identifiers that are too
    long for DICOM and that a generated one stands for.
    """

    key: int
    patient_key: int
    placer: str
    filler: str
    accession: str
    requested_procedure_id: str
    study_uid: str
    status: StepStatus
    held: bool
    content: str
    attributes: Attributes
    tombstone: bool = False
    disputed: bool = False
    described: Attributes = {}
    named: PatientIdentifier | None = None
    generated_ids: tuple[tuple[str, str], ...] = ()


class Step(msgspec.Struct, omit_defaults=True):
    """One scheduled procedure step. ``order_key`` is 0 while only an appointment announced it.

    ``status_source`` says who set the status last:

    - ``hl7``: an order or appointment message, or nobody yet;
    - ``mpps``: the modality; no HL7 message changes what it began;
    - ``operator``: a person, whose hiding of the step outlives the order's hold and release;
    - ``omitted``: cancelled because a change of the order no longer names the step; it comes back
      when the order names it again;
    - ``appointment``: cancelled because its appointment was, not its order; it comes back with the
      next appointment.

    ``appointment`` is the filler appointment id that scheduled it, if any. ``placer`` and
    ``filler`` are those that an appointment without a known order named, and ``named`` is the
    number of a merged patient under which that came, as with an order.

    ``ordered_start`` is what the order last said where an appointment set another ``start``, else
    empty: the order's own start counts again when it changes. ``placed``: a message named station
    or location, so that what the site's rules have for the modality does not replace them.
    """

    key: int
    order_key: int
    patient_key: int
    accession: str
    requested_procedure_id: str
    step_id: str
    study_uid: str
    status: StepStatus
    held: bool
    start: str
    modality: str
    stations: tuple[str, ...]
    order_attributes: Attributes
    step_attributes: Attributes
    status_source: str = "hl7"
    appointment: str = ""
    placer: str = ""
    filler: str = ""
    modality_unmapped: bool = False
    named: PatientIdentifier | None = None
    ordered_start: str = ""
    placed: bool = False


class Moved(msgspec.Struct):
    """What a merge moved: keys of orders and steps, and identifiers, each as (id, issuer, key).

    The key is that of the patient whom an earlier merge had taken the identifier from, if any.
    """

    orders: list[int]
    steps: list[int]
    identifiers: list[tuple[str, str, int | None]]


class PutPatient(msgspec.Struct, frozen=True):
    """Insert or replace a patient; its identifiers point to it from now on.

    ``created``: nothing has had the patient's key before.
    """

    patient: Patient
    created: bool = False


class MergePatient(msgspec.Struct, frozen=True):
    """Everything of ``retired`` belongs to ``surviving`` from now on.

    The retired patient's identifiers become aliases of the survivor. The retired patient itself is
    kept as it is, and so is what was moved (:class:`Moved`), so that an unlink (A37) can restore
    both.
    """

    retired: int
    surviving: int


class UnmergePatient(msgspec.Struct, frozen=True):
    """Undo a merge: ``restored`` gets back what the merge moved and ``surviving`` still has.

    ``surviving`` is who has it now, at the end of a chain of merges. Orders that came since under
    an identifier of ``restored`` are put beside this effect.
    """

    restored: int
    surviving: int


class ReleaseIdentifier(msgspec.Struct, frozen=True):
    """The identifier names nobody any more (A47 frees the old one)."""

    identifier: PatientIdentifier


class PutOrder(msgspec.Struct, frozen=True):
    """Insert or replace an order."""

    order: Order


class PutStep(msgspec.Struct, frozen=True):
    """Insert or replace a step. ``change`` is ``created``, ``updated`` or ``cancelled``."""

    step: Step
    change: str


class RemoveStep(msgspec.Struct, frozen=True):
    """Delete a step (an appointment's entry that its order absorbed)."""

    key: int


class Seen(msgspec.Struct, frozen=True):
    """Remember a sender's newest event time about ``subject`` (``patient:KEY``, ``order:KEY``)."""

    subject: str
    sender: str
    time: str


class Note(msgspec.Struct, frozen=True):
    """What the operator should be able to read about this message.

    ``kind`` is a fixed word (``stale``, ``no_effect``, ``warning``, ``alarm``, ``resolved_alias``);
    ``text`` has no PHI.
    """

    kind: str
    text: str
    location: str = ""


Effect = (
    PutPatient
    | MergePatient
    | UnmergePatient
    | ReleaseIdentifier
    | PutOrder
    | PutStep
    | RemoveStep
    | Seen
    | Note
)


class State(Protocol):
    """What handlers may ask of the store; every answer is a value that they may change freely."""

    @property
    def now(self) -> datetime:
        """The time of handling, aware, UTC."""
        ...

    def new_key(self) -> int:
        """Return a key that nothing has yet."""
        ...

    def patient(self, key: int) -> Patient | None:
        """Return the patient with that key."""
        ...

    def patient_with(self, identifier: PatientIdentifier) -> Patient | None:
        """Return who that id and issuer name, aliases of merged patients followed."""
        ...

    def is_alias(self, identifier: PatientIdentifier) -> bool:
        """Return whether the identifier belongs to a patient that was merged into another."""
        ...

    def merged_into(self, identifier: PatientIdentifier) -> tuple[int, int] | None:
        """Return (retired key, key of who it names now) if the identifier is an alias."""
        ...

    def moved(self, retired_key: int) -> Moved | None:
        """Return what the merge of that patient moved, or None when there is none to undo."""
        ...

    def orders_with(self, placer: str, filler: str) -> Sequence[Order]:
        """Return every order with that placer id or that filler id, once; empty ids match none."""
        ...

    def orders_of_procedure(self, accession: str, requested_procedure_id: str) -> Sequence[Order]:
        """Return the orders of one requested procedure."""
        ...

    def orders_of_patient(self, patient_key: int) -> Sequence[Order]:
        """Return the orders of a patient, those that came with a merge included."""
        ...

    def steps_of_order(self, order_key: int) -> Sequence[Step]:
        """Return all steps of an order, whatever their status."""
        ...

    def steps_of_appointment(self, appointment: str) -> Sequence[Step]:
        """Return the steps that the filler appointment id scheduled."""
        ...

    def steps_of_study(self, study_uid: str) -> Sequence[Step]:
        """Return the steps with that Study Instance UID that a modality may see."""
        ...

    def appointments_for(self, placer: str, filler: str) -> Sequence[Step]:
        """Return steps without an order whose appointment named this placer or filler."""
        ...

    def appointments_of_patient(self, patient_key: int) -> Sequence[Step]:
        """Return the patient's steps without an order."""
        ...

    def last_seen(self, subject: str, sender: str) -> str:
        """Return the newest event time remembered, or an empty string."""
        ...


class Unprocessable(Exception):
    """The message can't be applied: it goes to the dead letters with this reason and place.

    ``code`` is of HL7 table 0357; ``text`` has no PHI.
    """

    def __init__(self, code: int, location: str, text: str) -> None:
        super().__init__(f"{location}: {text}" if location else text)
        self.code = code
        self.location = location
        self.text = text
