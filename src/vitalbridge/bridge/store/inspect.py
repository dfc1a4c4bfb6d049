"""Reading the database from outside of the service: figures, listings, one message."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import msgspec

from vitalbridge.bridge.model import Order, Patient, Step
from vitalbridge.bridge.store.database import Database, connect_reader
from vitalbridge.bridge.store.files import StoreError, beside, foreign_wals
from vitalbridge.bridge.store.journal import MessageState, read_body
from vitalbridge.bridge.store.salvage import SalvagedMessage, salvage
from vitalbridge.translate import short_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_decode_patient = msgspec.json.Decoder(Patient).decode
_decode_step = msgspec.json.Decoder(Step).decode
_decode_order = msgspec.json.Decoder(Order).decode

STATE_NAMES = {int(state): state.name.lower() for state in MessageState}


class QueueFigures(NamedTuple):
    """How much is in the database."""

    messages: int
    by_state: dict[str, int]
    patients: int
    worklist_steps: int
    database_bytes: int
    wal_bytes: int


class MessageLine(NamedTuple):
    """One message of the journal, without its body."""

    seq: int
    received_at: int
    state: str
    sender: str
    control_id: str
    message_type: str
    size: int
    ack_code: str
    trace_id: str
    handled_at: int | None
    outcome: str | None


class WorklistLine(NamedTuple):
    """One step of the worklist with what an operator recognises it by."""

    key: int
    start: str
    modality: str
    stations: tuple[str, ...]
    status: str
    held: bool
    accession: str
    requested_procedure_id: str
    step_id: str
    study_uid: str
    patient_id: str
    patient_name: str
    unmapped: bool


class WorklistEntry(NamedTuple):
    """One step with its patient and the identifiers that a generated one stands for."""

    line: WorklistLine
    step: Step
    patient: Patient
    generated_ids: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """Open the database for reading beside a running service; raises StoreError."""
    if not path.exists():
        raise StoreError(f"{path}: no such file")
    try:
        with contextlib.closing(connect_reader(path)) as connection:
            yield connection
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error


def figures(path: Path) -> QueueFigures:
    """Return how much is in the database."""
    with reading(path) as connection:
        counted: dict[Any, Any] = dict(
            connection.execute("SELECT state, count(*) FROM inbound GROUP BY state")
        )
        wal = beside(path, "-wal")
        return QueueFigures(
            messages=connection.execute("SELECT count(*) FROM messages").get,
            by_state={name: counted.get(state, 0) for state, name in STATE_NAMES.items()},
            patients=connection.execute("SELECT count(*) FROM patient").get,
            worklist_steps=connection.execute("SELECT count(*) FROM worklist_step").get,
            database_bytes=path.stat().st_size,
            wal_bytes=wal.stat().st_size if wal.exists() else 0,
        )


def message_line(row: Any) -> MessageLine:
    """Return the line of one row of the journal."""
    seq, received_at, state, *rest = row
    return MessageLine(seq, received_at, STATE_NAMES[state], *rest)


def list_messages(path: Path, state: str | None = None, most: int = 50) -> list[MessageLine]:
    """Return the newest messages, of one state if given."""
    numbers = {name: number for number, name in STATE_NAMES.items()}
    condition = "" if state is None else f"WHERE state = {numbers[state]}"
    with reading(path) as connection:
        return [
            message_line(row)
            for row in connection.execute(
                "SELECT seq, received_at, state, sender, control_id, message_type, size, ack_code,"
                f" trace_id, handled_at, outcome FROM inbound {condition}"
                " ORDER BY seq DESC LIMIT ?",
                (most,),
            )
        ]


def show_message(path: Path, seq: int) -> tuple[MessageLine, bytes | None] | None:
    """Return a message and its bytes (None once retention removed them); None if unknown."""
    with reading(path) as connection:
        row = connection.execute(
            "SELECT seq, received_at, state, sender, control_id, message_type, size, ack_code,"
            " trace_id, handled_at, outcome FROM inbound WHERE seq = ?",
            (seq,),
        ).get
        if row is None:
            return None
        return message_line(row), read_body(connection.execute, seq)


def _worklist(connection: apsw.Connection, condition: str, values: tuple[Any, ...]) -> Any:
    for key, step_body, patient_body in connection.execute(
        "SELECT s.key, s.body, p.body FROM worklist_step s JOIN patient p ON p.key = s.patient_key"
        f" WHERE {condition}",
        values,
    ):
        yield key, _decode_step(step_body), _decode_patient(patient_body)


def list_worklist(
    path: Path, *, unmapped: bool = False, hidden: bool = False, most: int = 100
) -> list[WorklistLine]:
    """Return worklist steps by start: visible ones, all, or those whose modality is unknown."""
    conditions = ["s.unmapped = 1"] if unmapped else []
    if not hidden:
        conditions.append("s.visible = 1")
    where = " AND ".join(conditions) or "1"
    with reading(path) as connection:
        return [
            worklist_line(key, step, patient)
            for key, step, patient in _worklist(
                connection, f"{where} ORDER BY s.start LIMIT ?", (most,)
            )
        ]


def worklist_line(key: int, step: Step, patient: Patient) -> WorklistLine:
    """Return the line of one step."""
    name = patient.attributes.get("PatientName", "")
    return WorklistLine(
        key,
        step.start,
        step.modality,
        step.stations,
        step.status.value,
        step.held,
        step.accession,
        step.requested_procedure_id,
        step.step_id,
        step.study_uid,
        patient.identifiers[0].id if patient.identifiers else "",
        name if isinstance(name, str) else "",
        step.modality_unmapped,
    )


def show_worklist(path: Path, accession: str) -> list[WorklistEntry]:
    """Return every step with that accession number, whatever its status.

    A number too long for DICOM finds the steps whose generated one stands for it.
    """
    with reading(path) as connection:
        return [
            WorklistEntry(
                worklist_line(key, step, patient),
                step,
                patient,
                _generated_ids(connection, step.order_key),
            )
            for key, step, patient in _worklist(
                connection, "s.accession IN (?, ?)", (accession, short_id(accession))
            )
        ]


def _generated_ids(connection: apsw.Connection, order_key: int) -> tuple[tuple[str, str], ...]:
    body = connection.execute("SELECT body FROM imaging_order WHERE key = ?", (order_key,)).get
    return () if body is None else _decode_order(body).generated_ids


def verify(path: Path) -> list[str]:
    """Return what SQLite's integrity check finds; empty when the file is sound."""
    with reading(path) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found


def checkpoint(path: Path) -> None:
    """Bring a database that no service has open into one complete file."""
    Database(path).close()


def salvage_foreign(path: Path) -> list[tuple[Path, list[SalvagedMessage]]]:
    """Return the messages of every log that was set aside, and note that they were listed.

    Logs that were listed before are listed again: only an operator knows when they may go.
    """
    found = []
    listed_before = sorted(path.parent.glob(f"{path.name}.salvaged-wal-*"))
    for wal in [*listed_before, *foreign_wals(path)]:
        messages = salvage(wal)
        listed = wal.with_name(wal.name.replace(".foreign-wal-", ".salvaged-wal-"))
        wal.replace(listed)
        found.append((listed, messages))
    return found
