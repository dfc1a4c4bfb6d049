"""A State in memory that applies effects as their docstrings say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vitalbridge.translate.records import PatientIdentifier

Name = tuple[str, str]


class MemoryState:
    """Patients, orders and steps in dictionaries; values are kept encoded, as a store would."""

    def __init__(self) -> None:
        self.now = datetime(2024, 1, 1, 12, tzinfo=UTC)
        self._last_key = 0
        self._patients: dict[int, bytes] = {}
        self._owners: dict[Name, tuple[int, int | None]] = {}
        self._merges: dict[int, Moved] = {}
        self._orders: dict[int, Order] = {}
        self._steps: dict[int, Step] = {}
        self._seen: dict[tuple[str, str], str] = {}

    def new_key(self) -> int:
        self._last_key += 1
        return self._last_key

    def patient(self, key: int) -> Patient | None:
        body = self._patients.get(key)
        return None if body is None else msgspec.json.decode(body, type=Patient)

    def patient_with(self, identifier: PatientIdentifier) -> Patient | None:
        owner = self._owners.get((identifier.id, identifier.issuer))
        return None if owner is None else self.patient(owner[0])

    def is_alias(self, identifier: PatientIdentifier) -> bool:
        return self.merged_into(identifier) is not None

    def merged_into(self, identifier: PatientIdentifier) -> tuple[int, int] | None:
        owner = self._owners.get((identifier.id, identifier.issuer))
        return None if owner is None or owner[1] is None else (owner[1], owner[0])

    def moved(self, retired_key: int) -> Moved | None:
        return self._merges.get(retired_key)

    def orders_with(self, placer: str, filler: str) -> list[Order]:
        return self._copied(
            self._orders,
            lambda order: bool(
                (placer and order.placer == placer) or (filler and order.filler == filler)
            ),
        )

    def orders_of_procedure(self, accession: str, requested_procedure_id: str) -> list[Order]:
        procedure = (accession, requested_procedure_id)
        return self._copied(
            self._orders, lambda o: (o.accession, o.requested_procedure_id) == procedure
        )

    def orders_of_patient(self, patient_key: int) -> list[Order]:
        return self._copied(self._orders, lambda order: order.patient_key == patient_key)

    def steps_of_order(self, order_key: int) -> list[Step]:
        return self._copied(self._steps, lambda step: step.order_key == order_key != 0)

    def steps_of_appointment(self, appointment: str) -> list[Step]:
        return self._copied(self._steps, lambda step: step.appointment == appointment != "")

    def steps_of_study(self, study_uid: str) -> list[Step]:
        final = {"CANCELLED", "DISCONTINUED", "COMPLETED"}
        return self._copied(
            self._steps,
            lambda step: step.study_uid == study_uid and not step.held and step.status not in final,
        )

    def appointments_for(self, placer: str, filler: str) -> list[Step]:
        return self._copied(
            self._steps,
            lambda step: (
                step.order_key == 0
                and bool((placer and step.placer == placer) or (filler and step.filler == filler))
            ),
        )

    def appointments_of_patient(self, patient_key: int) -> list[Step]:
        return self._copied(
            self._steps, lambda step: step.patient_key == patient_key and step.order_key == 0
        )

    def last_seen(self, subject: str, sender: str) -> str:
        return self._seen.get((subject, sender), "")

    @staticmethod
    def _copied(rows: dict[int, Row], wanted: Callable[[Row], bool]) -> list[Row]:
        return [
            msgspec.json.decode(msgspec.json.encode(row), type=type(row))
            for row in rows.values()
            if wanted(row)
        ]

    # What the tests look at

    def all_orders(self) -> list[Order]:
        return self._copied(self._orders, lambda _: True)

    def all_steps(self) -> list[Step]:
        return self._copied(self._steps, lambda _: True)

    # Effects

    def apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case PutPatient(patient=patient):
                    self._put_patient(patient)
                case MergePatient(retired=retired, surviving=surviving):
                    self._merge(retired, surviving)
                case UnmergePatient(restored=restored, surviving=surviving):
                    self._unmerge(restored, surviving)
                case ReleaseIdentifier(identifier=identifier):
                    self._owners.pop((identifier.id, identifier.issuer), None)
                case PutOrder(order=order):
                    self._orders[order.key] = msgspec.structs.replace(order)
                case PutStep(step=step, change=change):
                    assert change in {"created", "updated", "cancelled"}
                    assert (step.key not in self._steps) or change != "created"
                    self._steps[step.key] = msgspec.structs.replace(step)
                case RemoveStep(key=key):
                    del self._steps[key]
                case Seen(subject=subject, sender=sender, time=time):
                    self._seen[subject, sender] = time
                case Note():
                    pass

    def _put_patient(self, patient: Patient) -> None:
        self._patients[patient.key] = msgspec.json.encode(patient)
        for name in [n for n, owner in self._owners.items() if owner == (patient.key, None)]:
            del self._owners[name]
        for identifier in patient.identifiers:
            name = (identifier.id, identifier.issuer)
            owner = self._owners.get(name)
            retired = owner[1] if owner is not None and owner[0] == patient.key else None
            self._owners[name] = (patient.key, retired)

    def _merge(self, retired: int, surviving: int) -> None:
        assert retired != surviving
        assert {retired, surviving} <= self._patients.keys()
        moved = Moved([], [], [])
        for kind, keys in ((self._orders, moved.orders), (self._steps, moved.steps)):
            for row in kind.values():
                if row.patient_key == retired:
                    row.patient_key = surviving
                    keys.append(row.key)
        for name, (owner, retirer) in self._owners.items():
            if owner == retired:
                moved.identifiers.append((*name, retirer))
                self._owners[name] = (surviving, retirer or retired)
        assert retired not in self._merges
        self._merges[retired] = moved

    def _unmerge(self, restored: int, surviving: int) -> None:
        moved = self._merges.pop(restored)
        for kind, keys in ((self._orders, moved.orders), (self._steps, moved.steps)):
            for key in keys:
                row = kind.get(key)
                if row is not None and row.patient_key == surviving:
                    row.patient_key = restored
        for number, issuer, retirer in moved.identifiers:
            name = (number, issuer)
            if self._owners.get(name, (0, None))[0] == surviving:
                self._owners[name] = (restored, retirer)


if TYPE_CHECKING:
    from typing import TypeVar

    Row = TypeVar("Row", Order, Step)
