"""What handlers may ask, answered from the database inside the writer's transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from vitalbridge.bridge.model import Moved, Order, Patient, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from vitalbridge.bridge.store.patient_cache import PatientCache
    from vitalbridge.translate.records import PatientIdentifier

_decode_patient = msgspec.json.Decoder(Patient).decode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_step = msgspec.json.Decoder(Step).decode
_decode_moved = msgspec.json.Decoder(Moved).decode


class SqlState:
    """The State of handlers over one connection; belongs to the writer's thread."""

    def __init__(self, connection: apsw.Connection, cache: PatientCache) -> None:
        self.execute = connection.execute
        self.cache = cache
        newest = connection.execute(
            "SELECT max((SELECT ifnull(max(key), 0) FROM patient),"
            " (SELECT ifnull(max(key), 0) FROM imaging_order),"
            " (SELECT ifnull(max(key), 0) FROM worklist_step)),"
            " max((SELECT ifnull(max(version), 0) FROM patient),"
            " (SELECT ifnull(max(version), 0) FROM worklist_step))"
        ).get
        self._newest_key: int = newest[0]
        self._newest_version: int = newest[1]

    @property
    def now(self) -> datetime:
        """The present time, aware, UTC."""
        return datetime.now(UTC)

    def new_key(self) -> int:
        """Return a key that nothing has yet."""
        self._newest_key += 1
        return self._newest_key

    def new_version(self) -> int:
        """Return a version above all that were given out."""
        self._newest_version += 1
        return self._newest_version

    def patient(self, key: int) -> Patient | None:
        """Return the patient with that key."""
        body = self.patient_body(key)
        return None if body is None else _decode_patient(body)

    def patient_body(self, key: int) -> bytes | None:
        """Return the encoded patient with that key, from the cache or the table."""
        body = self.cache.get(key)
        if body is None:
            body = self.execute("SELECT body FROM patient WHERE key = ?", (key,)).get
            if body is not None:
                self.cache.put(key, body)
        return body

    def patient_with(self, identifier: PatientIdentifier) -> Patient | None:
        """Return who that id and issuer name, aliases of merged patients followed."""
        name = (identifier.id, identifier.issuer)
        key = self.cache.key_of(name)
        if key is None:
            key = self.execute(
                "SELECT patient_key FROM patient_identifier WHERE id = ? AND issuer = ?", name
            ).get
            if key is None:
                self.cache.figures.misses += 1
                return None
        patient = self.patient(key)
        self.cache.name(name, key)
        return patient

    def is_alias(self, identifier: PatientIdentifier) -> bool:
        """Return whether the identifier belongs to a patient that was merged into another."""
        return self.merged_into(identifier) is not None

    def merged_into(self, identifier: PatientIdentifier) -> tuple[int, int] | None:
        """Return (retired key, surviving key) of the merge that made the identifier an alias."""
        row = self.execute(
            "SELECT retired_key, patient_key FROM patient_identifier"
            " WHERE id = ? AND issuer = ? AND retired_key IS NOT NULL",
            (identifier.id, identifier.issuer),
        ).get
        return None if row is None else (row[0], row[1])

    def moved(self, retired_key: int) -> Moved | None:
        """Return what the merge of that patient moved, or None when there is none to undo."""
        body = self.execute(
            "SELECT moved FROM patient_merge WHERE retired_key = ?", (retired_key,)
        ).get
        return None if body is None else _decode_moved(body)

    def _orders(self, condition: str, values: tuple[Any, ...]) -> list[Order]:
        found = []
        for patient_key, body in self.execute(
            f"SELECT patient_key, body FROM imaging_order WHERE {condition}", values
        ):
            order = _decode_order(body)
            order.patient_key = patient_key
            found.append(order)
        return found

    def orders_with(self, placer: str, filler: str) -> Sequence[Order]:
        """Return every order with that placer id or that filler id, once; empty ids match none."""
        if placer and filler:
            return self._orders(
                "(placer = ? AND placer <> '') OR (filler = ? AND filler <> '')", (placer, filler)
            )
        if placer:
            return self._orders("placer = ? AND placer <> ''", (placer,))
        return self._orders("filler = ? AND filler <> ''", (filler,)) if filler else []

    def orders_of_procedure(self, accession: str, requested_procedure_id: str) -> Sequence[Order]:
        """Return the orders of one requested procedure."""
        return self._orders(
            "accession = ? AND requested_procedure_id = ?", (accession, requested_procedure_id)
        )

    def orders_of_patient(self, patient_key: int) -> Sequence[Order]:
        """Return the orders of a patient, those that came with a merge included."""
        return self._orders("patient_key = ?", (patient_key,))

    def _steps(self, condition: str, values: tuple[Any, ...]) -> list[Step]:
        found = []
        for patient_key, body in self.execute(
            f"SELECT patient_key, body FROM worklist_step WHERE {condition}", values
        ):
            step = _decode_step(body)
            step.patient_key = patient_key
            found.append(step)
        return found

    def steps_of_order(self, order_key: int) -> Sequence[Step]:
        """Return all steps of an order, whatever their status."""
        return self._steps("order_key = ? AND order_key <> 0", (order_key,))

    def steps_of_appointment(self, appointment: str) -> Sequence[Step]:
        """Return the steps that the filler appointment id scheduled."""
        return self._steps("appointment = ? AND appointment <> ''", (appointment,))

    def steps_of_study(self, study_uid: str) -> Sequence[Step]:
        """Return the steps with that Study Instance UID that a modality may see."""
        return self._steps("study_uid = ? AND visible = 1", (study_uid,))

    def appointments_for(self, placer: str, filler: str) -> Sequence[Step]:
        """Return steps without an order whose appointment named this placer or filler."""
        if placer and filler:
            # Spelled out, so that SQLite seeks in both partial indexes instead of scanning one.
            return self._steps(
                "(order_key = 0 AND placer = ?) OR (order_key = 0 AND filler = ?)",
                (placer, filler),
            )
        if placer:
            return self._steps("order_key = 0 AND placer = ?", (placer,))
        return self._steps("order_key = 0 AND filler = ?", (filler,)) if filler else []

    def appointments_of_patient(self, patient_key: int) -> Sequence[Step]:
        """Return the patient's steps without an order."""
        return self._steps("patient_key = ? AND order_key = 0", (patient_key,))

    def last_seen(self, subject: str, sender: str) -> str:
        """Return the newest event time remembered, or an empty string."""
        time = self.execute(
            "SELECT time FROM last_seen WHERE subject = ? AND sender = ?", (subject, sender)
        ).get
        return "" if time is None else str(time)
