"""The state in SQLite answers as the one in memory does, whatever came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalbridge.bridge.store.effects import folded_names
from vitalbridge.translate import PatientIdentifier

from .conftest import World
from .memory_state import MemoryState
from .plays import TIMES, Op, anything, crosswise, mpps, play
from .sqlite_state import open_copy

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = [PatientIdentifier(number, "HOSP") for number in ("100", "200", "300", "999")]
NUMBERS.append(PatientIdentifier("7", "NAT"))


def rows(found: Any) -> list[Any]:
    return sorted(found, key=lambda row: row.key)


def answers(world: World) -> dict[str, Any]:
    """What every question of the State is answered with."""
    state = world.state
    orders, steps = rows(state.all_orders()), rows(state.all_steps())
    patients = {step.patient_key for step in steps} | {order.patient_key for order in orders}
    subjects = [f"{kind}:{key}" for kind in ("patient", "identity", "order") for key in range(40)]
    pairs = {(o.placer, o.filler) for o in orders} | {(s.placer, s.filler) for s in steps}
    procedures = {(order.accession, order.requested_procedure_id) for order in orders}
    return {
        "orders": orders,
        "steps": steps,
        "patient": [state.patient(key) for key in range(40)],
        "patient_with": [state.patient_with(number) for number in NUMBERS],
        "merged_into": [state.merged_into(number) for number in NUMBERS],
        "is_alias": [state.is_alias(number) for number in NUMBERS],
        "moved": [
            None if moved is None else tuple(map(sorted, (moved.orders, moved.steps)))
            for moved in map(state.moved, range(40))
        ],
        "orders_with": {pair: rows(state.orders_with(*pair)) for pair in pairs},
        "appointments_for": {pair: rows(state.appointments_for(*pair)) for pair in pairs},
        "orders_of_procedure": {p: rows(state.orders_of_procedure(*p)) for p in procedures},
        "orders_of_patient": {key: rows(state.orders_of_patient(key)) for key in patients},
        "appointments_of_patient": {
            key: rows(state.appointments_of_patient(key)) for key in patients
        },
        "steps_of_order": {key: rows(state.steps_of_order(key)) for key in range(40)},
        "steps_of_appointment": {
            name: rows(state.steps_of_appointment(name)) for name in ("AP1^HIS", "AP2^HIS", "")
        },
        "steps_of_study": {
            uid: rows(state.steps_of_study(uid)) for uid in {step.study_uid for step in steps}
        },
        "last_seen": [state.last_seen(subject, "HIS|HOSPITAL") for subject in subjects],
    }


def searched_names(world: World) -> set[tuple[str, int]]:
    """Return by which names a worklist query finds whom: merged patients by none."""
    return set(world.state.execute("SELECT folded, patient_key FROM patient_name"))


@settings(max_examples=100, deadline=None)
@given(
    ops=st.lists(
        st.tuples(st.one_of(anything, crosswise, crosswise, mpps), st.sampled_from(["", *TIMES])),
        max_size=12,
    )
)
def test_both_states_answer_alike(migrated: Path, ops: list[tuple[Op, str]]) -> None:
    one, other = World(MemoryState()), World(open_copy(migrated))
    for op, time in ops:
        told = [play(world, op, time) for world in (one, other)]
        if told[0] is not None:
            assert told[0].effects == told[1].effects
            assert (told[0].refused is None) == (told[1].refused is None)
        assert answers(one) == answers(other)
        assert searched_names(other) == {
            (name, patient.key)
            for patient in map(one.state.patient, range(1, 80))
            if patient is not None and one.state.moved(patient.key) is None
            for name in folded_names(patient.attributes.get("PatientName"))
        }


@pytest.mark.parametrize("number", NUMBERS[:2])
def test_an_empty_state_knows_nobody(migrated: Path, number: PatientIdentifier) -> None:
    for state in (MemoryState(), open_copy(migrated)):
        assert state.patient_with(number) is None
        assert state.merged_into(number) is None
        assert state.orders_with("", "") == state.appointments_for("", "") == []
        assert state.steps_of_order(0) == state.steps_of_appointment("") == []


def test_every_question_seeks_in_an_index(migrated: Path) -> None:
    state = open_copy(migrated)
    connection = state.execute.__self__
    asked: list[str] = []

    def note(_: Any, sql: str, __: Any) -> bool:
        asked.append(sql)
        return True

    connection.exec_trace = note
    state.patient(1)
    state.patient_with(NUMBERS[0])
    state.merged_into(NUMBERS[0])
    state.moved(1)
    for numbers in (("P", "F"), ("P", ""), ("", "F")):
        state.orders_with(*numbers)
        state.appointments_for(*numbers)
    state.orders_of_procedure("A", "R")
    state.orders_of_patient(1)
    state.steps_of_order(1)
    state.steps_of_appointment("AP")
    state.appointments_of_patient(1)
    state.steps_of_study("1.2.3")
    state.last_seen("order:1", "HIS|H")
    connection.exec_trace = None
    assert len(asked) == 17
    for sql in asked:
        plan = [
            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?"))
        ]
        assert not any("SCAN" in line for line in plan), (sql, plan)
