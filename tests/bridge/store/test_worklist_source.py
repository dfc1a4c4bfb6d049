"""Worklist queries over the database: the right rows, in order, through an index."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalbridge.bridge.model import Patient, PutPatient, PutStep, Step, StepStatus
from vitalbridge.bridge.store import worklist_source as source_module
from vitalbridge.bridge.store.database import Database, Readers
from vitalbridge.bridge.store.effects import apply, folded_names, is_visible
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.state import SqlState
from vitalbridge.bridge.store.worklist_source import (
    Oldest,
    SqlWorklistSource,
    item_of,
    oldest,
    plan,
)
from vitalbridge.dicom.worklist import WorklistQuery
from vitalbridge.translate.records import PatientIdentifier

from .traffic import copy_empty, make_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCESSIONS = [f"A{n}" for n in range(12)]
STUDIES = [f"1.2.{n}" for n in range(12)]
STEP_IDS = [f"S{n}" for n in range(6)]
PROCEDURES = [f"R{n}" for n in range(6)]
MODALITIES = ["CT", "MR", "DX", "OT"]
STATIONS = ["CT1", "CT2", "MR1", "DX1"]
NAMES = ["DOE^JOHN", "DOE^JANE", "DÖRING^JAN", "YAMADA^TARO=山田^太郎=やまだ^たろう", ""]
OLDEST = Oldest("20250103120001", 1000)
# Given to the second, the minute, the hour or the day only.
STARTS = [
    f"202501{day:02}{time}"
    for day in (1, 3, 5, 7, 9)
    for time in ("", "12", "1200", "120000", "120001", "235959", "000000", "080030.5")
]


class Filled(NamedTuple):
    """A database with many steps, and the same in memory."""

    readers: Readers
    patients: dict[int, Patient]
    steps: list[Step]
    old: set[int]


@pytest.fixture(scope="module")
def filled(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    path = copy_empty(empty_database, tmp_path_factory.mktemp("worklist") / "queue.db")
    database = Database(path)
    state = SqlState(database.connection, PatientCache())
    rng = random.Random(1)
    patients, steps, old = {}, [], set()
    database.connection.execute("BEGIN")
    for n in range(15):
        identifiers = tuple(
            PatientIdentifier(f"P{n % 8}" if k == 0 else f"X{n}", f"ISSUER{n // 8}")
            for k in range(rng.randint(1, 2))
        )
        patient = Patient(state.new_key(), identifiers, {"PatientName": rng.choice(NAMES)})
        patients[patient.key] = patient
        apply(state, [PutPatient(patient)])
    for _ in range(400):
        step = make_step(
            state.new_key(),
            rng.choice(list(patients)),
            accession=rng.choice(ACCESSIONS),
            study_uid=rng.choice(STUDIES),
            step_id=rng.choice(STEP_IDS),
            requested_procedure_id=rng.choice(PROCEDURES),
            modality=rng.choice(MODALITIES),
            stations=tuple(rng.sample(STATIONS, rng.randint(0, 3))),
            start=rng.choice(STARTS),
            status=rng.choice(list(StepStatus)),
            held=rng.random() < 0.1,
        )
        steps.append(step)
        apply(state, [PutStep(step, "created")])
        if rng.random() < 0.5:
            old.add(step.key)
            state.execute("UPDATE worklist_step SET changed_at = 999 WHERE key = ?", (step.key,))
    database.connection.execute("COMMIT")
    readers = Readers(path)
    yield Filled(readers, patients, steps, old)
    readers.close()
    database.close()


class FixedTime(SqlWorklistSource):
    """A source whose age limit is known."""

    def oldest(self) -> Oldest:
        return OLDEST


def source_over(readers: Readers) -> FixedTime:
    return FixedTime(readers, timedelta(days=7), ZoneInfo("UTC"))


def padded(start: str) -> str:
    """A start as its first moment."""
    return (start + "0" * 14)[:14] if len(start) < 14 else start


def wanted(query: WorklistQuery, filled: Filled, *, stations: bool) -> list[int]:
    """Keys of the steps that the query asks for, by looking at each; ``stations`` as well."""
    found = []
    for step in filled.steps:
        patient = filled.patients[step.patient_key]
        ids = {identifier.id for identifier in patient.identifiers}
        names = folded_names(patient.attributes.get("PatientName"))
        start = padded(step.start)
        if (
            is_visible(step)
            and (step.start >= OLDEST.start or step.key not in filled.old)
            and start >= query.start_from
            and (not query.start_to or start[:14] <= query.start_to)
            and (not query.accession_numbers or step.accession in query.accession_numbers)
            and (not query.study_uids or step.study_uid in query.study_uids)
            and (not query.step_ids or step.step_id in query.step_ids)
            and (
                not query.requested_procedure_ids
                or step.requested_procedure_id in query.requested_procedure_ids
            )
            and (not query.modalities or step.modality in query.modalities)
            and (not query.patient_ids or ids & set(query.patient_ids))
            and (not query.name_prefix or any(name.startswith(query.name_prefix) for name in names))
            and (not stations or not query.stations or set(step.stations) & set(query.stations))
        ):
            found.append((step.start, step.key))
    return [key for _, key in sorted(found)]


def some(values: list[str], most: int = 3) -> Any:
    """Mostly nothing, else some of the values and now and then an unknown one."""
    value = st.sampled_from([*values, "UNKNOWN"])
    return st.one_of(
        st.just(()), st.just(()), st.lists(value, min_size=1, max_size=most, unique=True).map(tuple)
    )


WHOLE_STARTS = ["", "", "20250101000000", "20250103000000", "20250105120000", "20250107235959"]
QUERIES = st.builds(
    WorklistQuery,
    accession_numbers=some(ACCESSIONS),
    study_uids=some(STUDIES),
    patient_ids=some([f"P{n}" for n in range(8)] + [f"X{n}" for n in range(15)]),
    requested_procedure_ids=some(PROCEDURES),
    step_ids=some(STEP_IDS),
    modalities=some(MODALITIES),
    stations=some(STATIONS),
    start_from=st.sampled_from(WHOLE_STARTS),
    start_to=st.sampled_from([*WHOLE_STARTS, "20250109120000"]),
    name_prefix=st.sampled_from(["", "", "", folded_names("DOE")[0], folded_names("山")[0], "ZZ"]),
)


@settings(max_examples=400, deadline=None)
@given(query=QUERIES, page=st.integers(1, 60))
def test_queries_give_what_a_look_at_each_step_gives(
    filled: Filled, query: WorklistQuery, page: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "ROWS_AT_ONCE", page)
        found = [item.key for item in source_over(filled.readers).find(query)]
    alone = query.stations and not (
        query.accession_numbers
        or query.study_uids
        or query.step_ids
        or query.requested_procedure_ids
        or query.patient_ids
        or query.name_prefix
    )
    # Beside a more selective key the stations are left to the matching that follows.
    assert found == wanted(query, filled, stations=bool(alone))
    assert set(found) >= set(wanted(query, filled, stations=True))


INDEXES = {
    "accession_numbers": ("A1", "worklist_step_accession"),
    "study_uids": ("1.2.1", "worklist_step_study"),
    "step_ids": ("S1", "worklist_step_id"),
    "requested_procedure_ids": ("R1", "worklist_step_procedure"),
    "patient_ids": ("P1", "worklist_step_patient"),
    "modalities": ("CT", "worklist_step_modality"),
    "stations": ("CT1", "sqlite_autoindex_step_station_1|PRIMARY KEY"),
}


def plan_of(filled: Filled, query: WorklistQuery) -> list[str]:
    sql, values = plan(query, OLDEST)
    with filled.readers.lend() as reader:
        return [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


@pytest.mark.parametrize("field", INDEXES)
@pytest.mark.parametrize("values", [1, 2])
@pytest.mark.parametrize("with_date", [False, True])
def test_every_key_leads_through_its_index(
    filled: Filled, field: str, values: int, with_date: bool
) -> None:
    value, index = INDEXES[field]
    dates = {"start_from": "20250105000000", "start_to": "20250105235959"} if with_date else {}
    query = WorklistQuery(**{field: (value, "OTHER")[:values]}, **dates)
    lines = plan_of(filled, query)
    assert [line for line in lines if line.startswith("SCAN")] == []
    assert any(name in line for line in lines for name in index.split("|")), lines


@pytest.mark.parametrize(
    "query",
    [
        WorklistQuery(),
        WorklistQuery(start_from="20250105000000", start_to="20250105235959"),
        WorklistQuery(name_prefix="DOE"),
        WorklistQuery(
            accession_numbers=("A1",), patient_ids=("P1",), modalities=("CT",), stations=("CT1",)
        ),
        WorklistQuery(patient_ids=("P1",), name_prefix="DOE", start_from="20250105000000"),
        WorklistQuery(stations=("CT1", "CT2"), modalities=("CT",), start_from="20250105000000"),
    ],
)
def test_no_query_reads_a_whole_table(filled: Filled, query: WorklistQuery) -> None:
    lines = plan_of(filled, query)
    assert [line for line in lines if line.startswith("SCAN")] == []
    assert any("worklist_step" in line or "INTEGER PRIMARY KEY" in line for line in lines)


def test_an_item_has_what_the_step_its_order_and_its_patient_have() -> None:
    patient = Patient(
        1,
        (PatientIdentifier("P1", "CITY"), PatientIdentifier("X9", "STATE")),
        {"PatientName": "DOE^JOHN"},
    )
    step = make_step(
        5,
        1,
        accession="A1",
        requested_procedure_id="R1",
        study_uid="1.2.3",
        step_id="S1",
        start="202501051230",
        order_attributes={"RequestedProcedureDescription": "CT CHEST"},
        step_attributes={"ScheduledProcedureStepDescription": "CHEST"},
    )
    item = item_of(5, (7, 8), patient, step)
    assert (item.key, item.version) == (5, (7, 8))
    assert item.patient["PatientID"] == "P1"
    assert item.patient["IssuerOfPatientID"] == "CITY"
    assert item.patient["OtherPatientIDs"] == ["X9"]
    assert item.patient["PatientName"] == "DOE^JOHN"
    assert item.order == {
        "RequestedProcedureDescription": "CT CHEST",
        "AccessionNumber": "A1",
        "RequestedProcedureID": "R1",
        "StudyInstanceUID": "1.2.3",
    }
    assert item.step == {
        "ScheduledProcedureStepDescription": "CHEST",
        "ScheduledProcedureStepID": "S1",
        "ScheduledProcedureStepStatus": "SCHEDULED",
        "Modality": "CT",
        "ScheduledStationAETitle": ["CT_SCANNER_1"],
        "ScheduledProcedureStepStartDate": "20250105",
        "ScheduledProcedureStepStartTime": "1230",
    }
    assert "PatientID" not in patient.attributes
    assert "AccessionNumber" not in step.order_attributes


def test_the_age_limit_is_in_the_sites_time() -> None:
    limit = oldest(timedelta(days=7), ZoneInfo("Asia/Tokyo"))
    expected = datetime.now(UTC) - timedelta(days=7)
    local = datetime.strptime(limit.start, "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo("Asia/Tokyo"))
    assert abs(local - expected) < timedelta(seconds=5)
    assert abs(limit.changed_at / 1e6 - expected.timestamp()) < 5


def test_a_database_that_fails_is_an_os_error(filled: Filled, tmp_path: Path) -> None:
    broken = tmp_path / "queue.db"
    broken.write_bytes(b"no database" * 1000)
    readers = Readers(broken)
    with pytest.raises(OSError, match=r"^worklist query failed: NotADBError$"):
        list(source_over(readers).find(WorklistQuery()))
    readers.close()
