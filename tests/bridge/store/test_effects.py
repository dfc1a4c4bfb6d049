"""Each effect as rows, and back again through the state that handlers ask."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from vitalbridge.bridge.model import (
    MergePatient,
    Note,
    Order,
    Patient,
    PutOrder,
    PutPatient,
    PutStep,
    ReleaseIdentifier,
    RemoveStep,
    Seen,
    StepStatus,
    UnmergePatient,
)
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.effects import apply, folded_names, is_visible
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.state import SqlState
from vitalbridge.translate.records import PatientIdentifier

from .traffic import make_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitalbridge.bridge.model import Effect


@pytest.fixture(params=["cached", "uncached", "full cache"])
def state(database_path: Path, request: pytest.FixtureRequest) -> Iterator[SqlState]:
    """The state with caches of any kind: none may change an answer."""
    cache = {
        "cached": PatientCache(),
        "uncached": PatientCache(ttl=-1),
        "full cache": PatientCache(max_entries=1, evict_on_full=False),
    }[request.param]
    with closing(Database(database_path)) as database:
        yield SqlState(database.connection, cache)


def put(state: SqlState, *effects: Effect) -> None:
    state.execute("BEGIN")
    apply(state, effects)
    state.execute("COMMIT")


def identifier(name: str) -> PatientIdentifier:
    return PatientIdentifier(name, "CITY")


def patient_of(state: SqlState, *names: str, called: str = "DOE^JOHN") -> Patient:
    """A new patient with these identifiers."""
    patient = Patient(
        state.new_key(), tuple(map(identifier, names)), {"PatientName": called}, provisional=True
    )
    put(state, PutPatient(patient))
    return patient


def order_of(state: SqlState, patient: Patient, **values: Any) -> Order:
    """A new order, changed by ``values``."""
    known: dict[str, Any] = {
        "key": state.new_key(),
        "patient_key": patient.key,
        "placer": "",
        "filler": "",
        "accession": "A",
        "requested_procedure_id": "R",
        "study_uid": "1.2.3",
        "status": StepStatus.SCHEDULED,
        "held": False,
        "content": "digest",
        "attributes": {"RequestedProcedureDescription": "CT"},
    }
    order = Order(**(known | values))
    put(state, PutOrder(order))
    return order


def key_with(state: SqlState, name: str) -> int | None:
    found = state.patient_with(identifier(name))
    return None if found is None else found.key


def names_of(state: SqlState, patient: Patient) -> set[str]:
    rows = state.execute("SELECT folded FROM patient_name WHERE patient_key = ?", (patient.key,))
    return {name for (name,) in rows}


def test_a_patient_comes_back_as_it_was_put(state: SqlState) -> None:
    patient = patient_of(state, "P1", "X1", called="YAMADA^TARO=山田^太郎=やまだ^たろう")
    assert state.patient(patient.key) == patient
    assert state.patient_with(identifier("P1")) == patient
    assert state.patient_with(identifier("X1")) == patient
    assert state.patient_with(PatientIdentifier("P1", "ELSEWHERE")) is None
    assert names_of(state, patient) == set(folded_names(patient.attributes["PatientName"]))
    assert len(names_of(state, patient)) == 3


def test_a_changed_patient_loses_the_identifiers_and_names_it_no_longer_has(
    state: SqlState,
) -> None:
    patient = patient_of(state, "P1", "X1", called="OLD^NAME")
    changed = Patient(patient.key, (identifier("P1"), identifier("Y1")), {"PatientName": "NEW"})
    put(state, PutPatient(changed))
    assert state.patient(patient.key) == changed
    assert [key_with(state, name) for name in ("P1", "Y1", "X1")] == [patient.key] * 2 + [None]
    assert names_of(state, patient) == set(folded_names("NEW"))


def test_an_identifier_follows_the_patient_that_was_put_last(state: SqlState) -> None:
    first = patient_of(state, "P1", "SHARED")
    assert key_with(state, "SHARED") == first.key
    second = patient_of(state, "P2", "SHARED")
    assert key_with(state, "SHARED") == second.key
    assert key_with(state, "P1") == first.key


def test_a_released_identifier_names_nobody(state: SqlState) -> None:
    patient = patient_of(state, "P1", "X1")
    put(state, ReleaseIdentifier(identifier("X1")), ReleaseIdentifier(identifier("UNKNOWN")))
    assert key_with(state, "X1") is None
    assert key_with(state, "P1") == patient.key


def test_orders_are_found_by_placer_filler_and_procedure(state: SqlState) -> None:
    patient = patient_of(state, "P1")
    one = order_of(state, patient, placer="PL1^RIS", filler="FI1^PACS")
    two = order_of(state, patient, placer="PL2^RIS", accession="B")
    three = order_of(state, patient, filler="FI3^PACS")
    assert list(state.orders_with("PL1^RIS", "")) == [one]
    assert list(state.orders_with("", "FI1^PACS")) == [one]
    assert list(state.orders_with("PL1^RIS", "FI1^PACS")) == [one]
    assert {o.key for o in state.orders_with("PL2^RIS", "FI3^PACS")} == {two.key, three.key}
    assert list(state.orders_with("", "")) == []
    assert {o.key for o in state.orders_of_procedure("A", "R")} == {one.key, three.key}
    changed = Order(**{f: getattr(one, f) for f in one.__struct_fields__} | {"held": True})
    put(state, PutOrder(changed))
    assert list(state.orders_with("PL1^RIS", "")) == [changed]


def test_steps_are_found_by_order_and_appointment(state: SqlState) -> None:
    patient = patient_of(state, "P1")
    order = order_of(state, patient, placer="PL1")
    step = make_step(state.new_key(), patient.key, order_key=order.key, step_id="S1")
    booked = make_step(state.new_key(), patient.key, appointment="APP1", placer="PL9", filler="FI9")
    put(state, PutStep(step, "created"), PutStep(booked, "created"))
    assert list(state.steps_of_order(order.key)) == [step]
    assert list(state.steps_of_order(0)) == []
    assert list(state.steps_of_appointment("APP1")) == [booked]
    assert list(state.steps_of_appointment("")) == []
    assert list(state.appointments_for("PL9", "")) == [booked]
    assert list(state.appointments_for("", "FI9")) == [booked]
    assert list(state.appointments_for("PL9", "FI9")) == [booked]
    assert list(state.appointments_for("", "")) == []


@pytest.mark.parametrize(
    ("change", "visible"),
    [
        ({}, True),
        ({"status": StepStatus.STARTED}, True),
        ({"status": StepStatus.CANCELLED}, False),
        ({"status": StepStatus.DISCONTINUED}, False),
        ({"status": StepStatus.COMPLETED}, False),
        ({"held": True}, False),
    ],
)
def test_only_visible_steps_have_station_rows(
    state: SqlState, change: dict[str, Any], visible: bool
) -> None:
    patient = patient_of(state, "P1")
    key = state.new_key()
    first = make_step(key, patient.key, stations=("CT1", "CT2"))
    second = make_step(key, patient.key, stations=("CT2", "CT3"), start="20990202", **change)
    put(state, PutStep(first, "created"), PutStep(second, "updated"))
    assert is_visible(second) is visible
    stations = set(state.execute("SELECT station, start FROM step_station"))
    assert stations == ({("CT2", "20990202"), ("CT3", "20990202")} if visible else set())
    assert state.execute("SELECT visible FROM worklist_step").get == visible
    put(state, PutStep(first, "updated"))
    stations = set(state.execute("SELECT station, start FROM step_station"))
    assert stations == {("CT1", first.start), ("CT2", first.start)}


def test_a_removed_step_leaves_nothing(state: SqlState) -> None:
    patient = patient_of(state, "P1")
    step = make_step(state.new_key(), patient.key, appointment="APP1")
    put(state, PutStep(step, "created"))
    put(state, RemoveStep(step.key))
    assert state.execute("SELECT count(*) FROM worklist_step").get == 0
    assert state.execute("SELECT count(*) FROM step_station").get == 0


def test_event_times_are_remembered_by_subject_and_sender(state: SqlState) -> None:
    assert state.last_seen("order:1", "RIS|CITY") == ""
    put(state, Seen("order:1", "RIS|CITY", "1"), Seen("order:1", "HIS|CITY", "5"))
    put(state, Seen("order:1", "RIS|CITY", "2"), Note("warning", "nothing to store"))
    assert state.last_seen("order:1", "RIS|CITY") == "2"
    assert state.last_seen("order:1", "HIS|CITY") == "5"


def test_versions_rise_with_every_change(state: SqlState) -> None:
    patient = patient_of(state, "P1")
    step = make_step(state.new_key(), patient.key)
    versions = []
    for _ in range(3):
        put(state, PutPatient(patient), PutStep(step, "updated"))
        versions += [
            state.execute("SELECT version FROM patient").get,
            state.execute("SELECT version FROM worklist_step").get,
        ]
    assert versions == sorted(set(versions))


# -- merge and unlink -------------------------------------------------------------------------


def test_a_merge_moves_everything_and_leaves_aliases(state: SqlState) -> None:
    good, old = patient_of(state, "P1"), patient_of(state, "P2", "X2", called="ROE^JANE")
    order = order_of(state, old, placer="PL1")
    step = make_step(state.new_key(), old.key, order_key=order.key)
    put(state, PutStep(step, "created"), MergePatient(old.key, good.key))
    assert [key_with(state, name) for name in ("P1", "P2", "X2")] == [good.key] * 3
    assert state.orders_with("PL1", "")[0].patient_key == good.key
    assert state.steps_of_order(order.key)[0].patient_key == good.key
    assert not state.is_alias(identifier("P1"))
    assert state.merged_into(identifier("X2")) == (old.key, good.key)
    assert names_of(state, old) == set()
    assert state.patient(old.key) == old
    # the survivor's own changes leave the aliases alone
    put(state, PutPatient(good))
    assert key_with(state, "X2") == good.key
    assert state.is_alias(identifier("X2"))


def test_an_unlink_gives_back_what_the_merge_moved(state: SqlState) -> None:
    good, old = patient_of(state, "P1"), patient_of(state, "P2", called="ROE^JANE")
    order = order_of(state, old, placer="PL1")
    step = make_step(state.new_key(), old.key, order_key=order.key)
    put(state, PutStep(step, "created"), MergePatient(old.key, good.key))
    later = order_of(state, good, placer="PL2")
    put(state, UnmergePatient(old.key, good.key))
    assert (key_with(state, "P1"), key_with(state, "P2")) == (good.key, old.key)
    assert not state.is_alias(identifier("P2"))
    assert state.orders_with("PL1", "")[0].patient_key == old.key
    assert state.steps_of_order(order.key)[0].patient_key == old.key
    assert state.orders_with("PL2", "") == [later]
    assert names_of(state, old) == set(folded_names("ROE^JANE"))
    # a second time it changes nothing
    put(state, UnmergePatient(old.key, good.key))
    assert (key_with(state, "P1"), key_with(state, "P2")) == (good.key, old.key)


def test_a_chain_of_merges_leads_to_its_end_and_can_be_unlinked(state: SqlState) -> None:
    a, b, c = (patient_of(state, name) for name in ("A", "B", "C"))
    order = order_of(state, a, placer="PL1")
    put(state, MergePatient(a.key, b.key))
    put(state, MergePatient(b.key, c.key))
    assert [key_with(state, name) for name in "ABC"] == [c.key] * 3
    assert state.merged_into(identifier("A")) == (a.key, c.key)
    assert state.merged_into(identifier("B")) == (b.key, c.key)
    put(state, UnmergePatient(a.key, c.key))
    assert [key_with(state, name) for name in "ABC"] == [a.key, c.key, c.key]
    assert state.orders_with("PL1", "")[0].patient_key == order.patient_key == a.key
    put(state, UnmergePatient(b.key, c.key))
    assert [key_with(state, name) for name in "ABC"] == [a.key, b.key, c.key]


def test_an_unlink_takes_nothing_from_a_third_patient(state: SqlState) -> None:
    good, old = patient_of(state, "P1"), patient_of(state, "P2", "X2")
    put(state, MergePatient(old.key, good.key), ReleaseIdentifier(identifier("X2")))
    third = patient_of(state, "X2")
    put(state, UnmergePatient(old.key, good.key))
    assert key_with(state, "X2") == third.key
    assert key_with(state, "P2") == old.key
