"""The one place where effects become rows, inside the transaction that marks the message done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from vitalbridge.bridge.model import (
    Effect,
    MergePatient,
    Moved,
    Note,
    PutOrder,
    PutPatient,
    PutStep,
    ReleaseIdentifier,
    RemoveStep,
    Seen,
    Step,
    StepStatus,
    UnmergePatient,
)
from vitalbridge.bridge.store.journal import microseconds
from vitalbridge.dicom.matching import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vitalbridge.bridge.store.state import SqlState

_encode = msgspec.json.encode

HIDDEN = frozenset({StepStatus.CANCELLED, StepStatus.DISCONTINUED, StepStatus.COMPLETED})


def is_visible(step: Step) -> bool:
    """Return whether a modality may see the step."""
    return not step.held and step.status not in HIDDEN


def folded_names(value: object) -> list[str]:
    """Return each component group of a person name ``A=I=P``, folded for searching."""
    if not isinstance(value, str):
        return []
    return [folded for group in value.split("=") if (folded := fold(group))]


def put_patient(state: SqlState, effect: PutPatient) -> None:
    """Insert or replace the patient, its identifiers and the names it is searched by."""
    patient = effect.patient
    key = patient.key
    before = None if effect.created else state.patient(key)
    body = _encode(patient)
    state.execute(
        "INSERT INTO patient (key, version, body) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (key) DO UPDATE SET version = ?2, body = ?3",
        (key, state.new_version(), body),
    )
    if before is None or before.identifiers != patient.identifiers:
        if before is not None:
            state.cache.drop(key)
            # An identifier that the patient no longer has leads nowhere, unless it is an alias.
            state.execute(
                "DELETE FROM patient_identifier WHERE patient_key = ? AND retired_key IS NULL",
                (key,),
            )
        for identifier in patient.identifiers:
            state.execute(
                "INSERT INTO patient_identifier (id, issuer, patient_key) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (id, issuer) DO UPDATE SET patient_key = ?3, retired_key ="
                " CASE WHEN patient_key = ?3 THEN retired_key END",
                (identifier.id, identifier.issuer, key),
            )
    state.cache.put(key, body)
    for identifier in patient.identifiers:
        state.cache.name((identifier.id, identifier.issuer), key)
    names = folded_names(patient.attributes.get("PatientName"))
    if before is None or folded_names(before.attributes.get("PatientName")) != names:
        if before is not None:
            state.execute("DELETE FROM patient_name WHERE patient_key = ?", (key,))
        for name in names:
            state.execute("INSERT OR IGNORE INTO patient_name VALUES (?, ?)", (name, key))


def merge_patient(state: SqlState, effect: MergePatient) -> None:
    """Move orders, steps and identifiers of the retired patient, and remember what was moved."""
    retired, surviving = effect.retired, effect.surviving
    rows = state.execute
    moved = Moved(
        orders=[
            k for (k,) in rows("SELECT key FROM imaging_order WHERE patient_key=?", (retired,))
        ],
        steps=[k for (k,) in rows("SELECT key FROM worklist_step WHERE patient_key=?", (retired,))],
        identifiers=[
            (row[0], row[1], row[2])
            for row in rows(
                "SELECT id, issuer, retired_key FROM patient_identifier WHERE patient_key = ?",
                (retired,),
            )
        ],
    )
    rows("UPDATE imaging_order SET patient_key = ? WHERE patient_key = ?", (surviving, retired))
    rows("UPDATE worklist_step SET patient_key = ? WHERE patient_key = ?", (surviving, retired))
    rows(
        "UPDATE patient_identifier SET patient_key = ?1, retired_key = ifnull(retired_key, ?2)"
        " WHERE patient_key = ?2",
        (surviving, retired),
    )
    rows("UPDATE patient SET merged_into = ? WHERE key = ?", (surviving, retired))
    rows("DELETE FROM patient_name WHERE patient_key = ?", (retired,))
    rows(
        "INSERT OR REPLACE INTO patient_merge VALUES (?, ?, ?)",
        (retired, surviving, _encode(moved)),
    )
    state.cache.drop(retired)
    state.cache.drop(surviving)


def unmerge_patient(state: SqlState, effect: UnmergePatient) -> None:
    """Give the restored patient back what its merge moved and the survivor still has."""
    rows = state.execute
    moved = state.moved(effect.restored)
    if moved is None:
        return
    both = (effect.restored, effect.surviving)
    for key in moved.orders:
        rows(
            "UPDATE imaging_order SET patient_key = ? WHERE patient_key = ? AND key = ?",
            (*both, key),
        )
    for key in moved.steps:
        rows(
            "UPDATE worklist_step SET patient_key = ? WHERE patient_key = ? AND key = ?",
            (*both, key),
        )
    for identifier, issuer, retired_key in moved.identifiers:
        rows(
            "UPDATE patient_identifier SET patient_key = ?, retired_key = ?"
            " WHERE id = ? AND issuer = ? AND patient_key = ?",
            (effect.restored, retired_key, identifier, issuer, effect.surviving),
        )
    rows(
        "UPDATE patient SET merged_into = NULL, version = ? WHERE key = ?",
        (state.new_version(), effect.restored),
    )
    rows("DELETE FROM patient_merge WHERE retired_key = ?", (effect.restored,))
    state.cache.drop(effect.restored)
    state.cache.drop(effect.surviving)
    restored = state.patient(effect.restored)
    if restored is not None:
        for name in folded_names(restored.attributes.get("PatientName")):
            rows("INSERT OR IGNORE INTO patient_name VALUES (?, ?)", (name, effect.restored))


def release_identifier(state: SqlState, effect: ReleaseIdentifier) -> None:
    """Make the identifier name nobody."""
    name = (effect.identifier.id, effect.identifier.issuer)
    key = state.execute(
        "DELETE FROM patient_identifier WHERE id = ? AND issuer = ? RETURNING patient_key", name
    ).get
    if key is not None:
        state.cache.drop(key)


def put_order(state: SqlState, effect: PutOrder) -> None:
    """Insert or replace the order."""
    order = effect.order
    state.execute(
        "INSERT OR REPLACE INTO imaging_order VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            order.key,
            order.patient_key,
            order.placer,
            order.filler,
            order.accession,
            order.requested_procedure_id,
            _encode(order),
        ),
    )


def put_step(state: SqlState, effect: PutStep) -> None:
    """Insert or replace the step and the station titles by which modalities find it."""
    step = effect.step
    visible = is_visible(step)
    if effect.change != "created":
        state.execute("DELETE FROM step_station WHERE step_key = ?", (step.key,))
    state.execute(
        "INSERT OR REPLACE INTO worklist_step VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            step.key,
            state.new_version(),
            step.order_key,
            step.patient_key,
            step.accession,
            step.requested_procedure_id,
            step.step_id,
            step.study_uid,
            step.start,
            step.modality,
            step.status.value,
            visible,
            step.modality_unmapped,
            microseconds(),
            step.appointment,
            step.placer,
            step.filler,
            _encode(step),
        ),
    )
    if visible:
        for station in step.stations:
            state.execute(
                "INSERT OR IGNORE INTO step_station VALUES (?, ?, ?)",
                (station, step.start, step.key),
            )


def remove_step(state: SqlState, effect: RemoveStep) -> None:
    """Delete the step."""
    state.execute("DELETE FROM step_station WHERE step_key = ?", (effect.key,))
    state.execute("DELETE FROM worklist_step WHERE key = ?", (effect.key,))


def remember_seen(state: SqlState, effect: Seen) -> None:
    """Keep the sender's newest event time about the subject."""
    state.execute(
        "INSERT OR REPLACE INTO last_seen VALUES (?, ?, ?)",
        (effect.subject, effect.sender, effect.time),
    )


def note(state: SqlState, effect: Note) -> None:
    """Nothing to store: notes go into the outcome of their message."""


APPLY: dict[type[Any], Callable[[SqlState, Any], None]] = {
    PutPatient: put_patient,
    MergePatient: merge_patient,
    UnmergePatient: unmerge_patient,
    ReleaseIdentifier: release_identifier,
    PutOrder: put_order,
    PutStep: put_step,
    RemoveStep: remove_step,
    Seen: remember_seen,
    Note: note,
}


def apply(state: SqlState, effects: Iterable[Effect]) -> None:
    """Apply effects in order; raises apsw.Error when the database refuses."""
    for effect in effects:
        APPLY[type(effect)](state, effect)
