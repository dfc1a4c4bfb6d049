"""The state as it is while one message is handled: what the store knows, under the new effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.bridge.handlers.status import FINAL
from vitalbridge.bridge.model import (
    Effect,
    MergePatient,
    Moved,
    Note,
    Order,
    Patient,
    PutOrder,
    PutPatient,
    PutStep,
    ReleaseIdentifier,
    RemoveStep,
    Seen,
    Step,
    UnmergePatient,
)
from vitalbridge.translate.records import PatientIdentifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vitalbridge.bridge.model import State


class Working:
    """A State that shows its own pending changes; ``effects`` lists them in order.

    It lets the groups of one message see each other. A value that was put must not be changed
    afterwards: put a new one.
    """

    __slots__ = (
        "_identifiers",
        "_merged",
        "_orders",
        "_patients",
        "_removed",
        "_seen",
        "_state",
        "_steps",
        "_unmerged",
        "effects",
    )

    def __init__(self, state: State) -> None:
        self._state = state
        self.effects: list[Effect] = []
        self._patients: dict[int, Patient] = {}
        self._identifiers: dict[tuple[str, str], int | None] = {}
        self._merged: dict[int, int] = {}
        self._unmerged: set[int] = set()
        self._orders: dict[int, Order] = {}
        self._steps: dict[int, Step] = {}
        self._removed: set[int] = set()
        self._seen: dict[tuple[str, str], str] = {}

    @property
    def now(self) -> datetime:
        """The time of handling, aware, UTC."""
        return self._state.now

    def new_key(self) -> int:
        """Return a key that nothing has yet."""
        return self._state.new_key()

    # Changes

    def add(self, note: Note) -> None:
        """Record a note."""
        self.effects.append(note)

    def see(self, seen: Seen) -> None:
        """Remember the newest event time of a subject."""
        self._seen[seen.subject, seen.sender] = seen.time
        self.effects.append(seen)

    def put_patient(self, patient: Patient, *, created: bool = False) -> None:
        """Insert or replace a patient."""
        known = None if created else self.patient(patient.key)
        if known is not None:
            for identifier in known.identifiers:
                self._identifiers[identifier.id, identifier.issuer] = None
        for identifier in patient.identifiers:
            self._identifiers[identifier.id, identifier.issuer] = patient.key
        self._patients[patient.key] = patient
        self.effects.append(PutPatient(patient, created))

    def release(self, identifier: PatientIdentifier) -> None:
        """Make the identifier name nobody."""
        self._identifiers[identifier.id, identifier.issuer] = None
        self.effects.append(ReleaseIdentifier(identifier))

    def merge(self, retired: int, surviving: int) -> None:
        """Make everything of ``retired`` belong to ``surviving``."""
        self._merged[retired] = surviving
        self._unmerged.discard(retired)
        self.effects.append(MergePatient(retired, surviving))

    def unmerge(self, restored: int, surviving: int) -> None:
        """Undo the merge of ``restored``."""
        moved = self._state.moved(restored)
        for number, issuer, _ in moved.identifiers if moved is not None else ():
            holder = self.patient_with(PatientIdentifier(number, issuer))
            if holder is not None and holder.key == surviving:
                self._identifiers[number, issuer] = restored
        self._merged.pop(restored, None)
        self._unmerged.add(restored)
        self.effects.append(UnmergePatient(restored, surviving))

    def moved(self, retired_key: int) -> Moved | None:
        """Return what the merge of that patient moved before this message."""
        return self._state.moved(retired_key)

    def put_order(self, order: Order) -> None:
        """Insert or replace an order."""
        self._orders[order.key] = order
        self.effects.append(PutOrder(order))

    def put_step(self, step: Step, change: str) -> None:
        """Insert or replace a step; ``change`` as :class:`PutStep` has it."""
        self._steps[step.key] = step
        self.effects.append(PutStep(step, change))

    def remove_step(self, key: int) -> None:
        """Delete a step."""
        self._steps.pop(key, None)
        self._removed.add(key)
        self.effects.append(RemoveStep(key))

    # Patients

    def patient(self, key: int) -> Patient | None:
        """Return the patient with that key."""
        return self._patients.get(key) or self._state.patient(key)

    def patient_with(self, identifier: PatientIdentifier) -> Patient | None:
        """Return who that id and issuer name, aliases of merged patients followed."""
        if not (self._patients or self._identifiers or self._merged or self._unmerged):
            patient = self._state.patient_with(identifier)
            if patient is None:
                self._identifiers[identifier.id, identifier.issuer] = None
            return patient
        key = self._owner(identifier)
        return None if key is None else self.patient(self._survivor(key))

    def is_alias(self, identifier: PatientIdentifier) -> bool:
        """Return whether the identifier belongs to a patient that was merged into another."""
        return self.merged_into(identifier) is not None

    def merged_into(self, identifier: PatientIdentifier) -> tuple[int, int] | None:
        """Return (retired key, key of who it names now) if the identifier is an alias."""
        key = self._owner(identifier)
        if key is None:
            return None
        if key in self._merged:
            return key, self._survivor(key)
        link = self._state.merged_into(identifier)
        if link is None or link[0] in self._unmerged:
            return None
        return link[0], self._survivor(key)

    def _owner(self, identifier: PatientIdentifier) -> int | None:
        """Return who the identifier names before the merges of this message."""
        name = (identifier.id, identifier.issuer)
        if name in self._identifiers:
            return self._identifiers[name]
        patient = self._state.patient_with(identifier)
        return None if patient is None else patient.key

    def _survivor(self, key: int) -> int:
        while key in self._merged:
            key = self._merged[key]
        return key

    # Orders and steps

    def orders_with(self, placer: str, filler: str) -> Sequence[Order]:
        """Return every order with that placer id or that filler id, once; empty ids match none."""
        found = self._state.orders_with(placer, filler)
        if not self._orders:
            return found
        return [order for order in found if order.key not in self._orders] + [
            order
            for order in self._orders.values()
            if (placer and order.placer == placer) or (filler and order.filler == filler)
        ]

    def orders_of_procedure(self, accession: str, requested_procedure_id: str) -> Sequence[Order]:
        """Return the orders of one requested procedure."""
        found = self._state.orders_of_procedure(accession, requested_procedure_id)
        if not self._orders:
            return found
        return [order for order in found if order.key not in self._orders] + [
            order
            for order in self._orders.values()
            if order.accession == accession
            and order.requested_procedure_id == requested_procedure_id
        ]

    def orders_of_patient(self, patient_key: int) -> Sequence[Order]:
        """Return the orders of a patient as before the merges and unlinks of this message."""
        found = self._state.orders_of_patient(patient_key)
        if not self._orders:
            return found
        return [order for order in found if order.key not in self._orders] + [
            order for order in self._orders.values() if order.patient_key == patient_key
        ]

    def steps_of_order(self, order_key: int) -> Sequence[Step]:
        """Return all steps of an order, whatever their status."""
        found = self._state.steps_of_order(order_key)
        if not self._steps:
            return found
        return self._known(found) + [
            step for step in self._steps.values() if step.order_key == order_key
        ]

    def steps_of_appointment(self, appointment: str) -> Sequence[Step]:
        """Return the steps that the filler appointment id scheduled."""
        return self._known(self._state.steps_of_appointment(appointment)) + [
            step for step in self._steps.values() if step.appointment == appointment
        ]

    def steps_of_study(self, study_uid: str) -> Sequence[Step]:
        """Return the steps with that Study Instance UID that a modality may see."""
        return self._known(self._state.steps_of_study(study_uid)) + [
            step
            for step in self._steps.values()
            if step.study_uid == study_uid and not step.held and step.status not in FINAL
        ]

    def appointments_for(self, placer: str, filler: str) -> Sequence[Step]:
        """Return steps without an order whose appointment named this placer or filler."""
        found = self._state.appointments_for(placer, filler)
        return self._known(found) if found else found

    def appointments_of_patient(self, patient_key: int) -> Sequence[Step]:
        """Return the patient's steps without an order, as before the merges of this message."""
        return self._known(self._state.appointments_of_patient(patient_key)) + [
            step
            for step in self._steps.values()
            if step.patient_key == patient_key and not step.order_key
        ]

    def _known(self, found: Sequence[Step]) -> list[Step]:
        return [
            step for step in found if step.key not in self._steps and step.key not in self._removed
        ]

    def last_seen(self, subject: str, sender: str) -> str:
        """Return the newest event time remembered, or an empty string."""
        time = self._seen.get((subject, sender))
        if time is None:
            time = self._seen[subject, sender] = self._state.last_seen(subject, sender)
        return time
