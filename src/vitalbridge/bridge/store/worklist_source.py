"""Answers worklist queries from the database: the most selective key first, the rest filtered.

The cost of a query grows with what one index condition selects, not with the length of the list.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import msgspec

from vitalbridge.bridge.model import Patient, Step
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from vitalbridge.bridge.store.database import Readers
    from vitalbridge.dicom.attributes import Attributes

_decode_patient = msgspec.json.Decoder(Patient).decode
_decode_step = msgspec.json.Decoder(Step).decode

LAST = "\U0010ffff"
ROWS_AT_ONCE = 500
"""A modality may be slow to take its answers: no reading transaction is kept open for it."""

COLUMNS = (
    "SELECT s.key, s.version, p.version, p.body, s.body, s.start FROM worklist_step s"
    " JOIN patient p ON p.key = s.patient_key"
)


def _alternatives(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"


class Oldest(NamedTuple):
    """The age limit: a step is hidden when it starts before ``start`` (local, ``YYYYMMDDHHMMSS``)
    and was last changed before ``changed_at`` (microseconds since 1970 UTC).

    An order that comes late, with its start in the past, must still be seen.
    """

    start: str
    changed_at: int


def plan(query: WorklistQuery, oldest: Oldest) -> tuple[str, list[Any]]:
    """Return the SQL and its values for the rows of a query after (start, key).

    The last two values are that start and key; the SQL fetches a bounded number of rows.
    Exact keys are tried in the order of their selectivity; the first that the query has leads,
    through its partial index over the visible steps; the others only filter.
    """
    exact = (
        ("s.accession", query.accession_numbers),
        ("s.study_uid", query.study_uids),
        ("s.step_id", query.step_ids),
        ("s.requested_procedure_id", query.requested_procedure_ids),
    )
    conditions = ["s.visible = 1", "(+s.start >= ? OR +s.changed_at >= ?)"]
    values: list[Any] = [oldest.start, oldest.changed_at]
    led = False
    for column, wanted in exact:
        if wanted:
            # The unary plus keeps SQLite from using any index but the leading one.
            conditions.append(_alternatives(f"+{column}" if led else column, wanted))
            values += wanted
            led = True
    if query.patient_ids:
        found = _alternatives("id", query.patient_ids)
        lead = "+s.patient_key" if led else "s.patient_key"
        conditions.append(f"{lead} IN (SELECT patient_key FROM patient_identifier WHERE {found})")
        values += query.patient_ids
        led = True
    if query.name_prefix:
        lead = "+s.patient_key" if led else "s.patient_key"
        conditions.append(
            f"{lead} IN (SELECT patient_key FROM patient_name WHERE folded >= ? AND folded < ?)"
        )
        values += [query.name_prefix, query.name_prefix + LAST]
        led = True
    # Without its zeros at the end, so that a start given to the day or hour only is found too.
    start_from = query.start_from.rstrip("0")
    if query.stations and not led:
        bounds = "station = ? AND start >= ?" + (" AND start <= ?" if query.start_to else "")
        parts = []
        for station in query.stations:
            parts.append(f"SELECT step_key FROM step_station WHERE {bounds}")
            values += [station, start_from]
            if query.start_to:
                values.append(query.start_to + LAST)
        conditions.append(f"s.key IN ({' UNION '.join(parts)})")
        led = True
    start = "+s.start" if led else "s.start"
    if query.modalities:
        conditions.append(_alternatives("+s.modality" if led else "s.modality", query.modalities))
        values += query.modalities
    if start_from:
        conditions.append(f"{start} >= ?")
        values.append(start_from)
    if query.start_to:
        conditions.append(f"{start} <= ?")
        # A start given to the day only is within every range that touches the day.
        values.append(query.start_to + LAST)
    where = " AND ".join(conditions)
    after = f"({start}, s.key) > (?, ?)"
    values += ["", 0]
    return (
        f"{COLUMNS} WHERE {where} AND {after} ORDER BY s.start, s.key LIMIT {ROWS_AT_ONCE}",
        values,
    )


def oldest(max_age: timedelta, zone: ZoneInfo) -> Oldest:
    """Return the age limit as of now."""
    limit = datetime.now(UTC) - max_age
    local = limit.astimezone(zone).strftime("%Y%m%d%H%M%S")
    return Oldest(local, int(limit.timestamp() * 1_000_000))


def patient_attributes(patient: Patient) -> Attributes:
    """Return the patient's attributes with those that follow from the identifiers."""
    attributes = dict(patient.attributes)
    if patient.identifiers:
        first = patient.identifiers[0]
        attributes["PatientID"] = first.id
        attributes["IssuerOfPatientID"] = first.issuer
        others = patient.identifiers[1:]
        if others:
            attributes["OtherPatientIDs"] = [other.id for other in others]
            sequence: list[Attributes] = [
                {
                    "PatientID": other.id,
                    "IssuerOfPatientID": other.issuer,
                    "TypeOfPatientID": "TEXT",
                }
                for other in others
            ]
            attributes["OtherPatientIDsSequence"] = sequence
    return attributes


def item_of(key: int, version: tuple[int, int], patient: Patient, step: Step) -> WorklistItem:
    """Return the worklist item of a stored step and its patient."""
    order = dict(step.order_attributes)
    order["AccessionNumber"] = step.accession
    order["RequestedProcedureID"] = step.requested_procedure_id
    order["StudyInstanceUID"] = step.study_uid
    scheduled = dict(step.step_attributes)
    scheduled["ScheduledProcedureStepID"] = step.step_id
    scheduled["ScheduledProcedureStepStatus"] = step.status.value
    scheduled["Modality"] = step.modality
    scheduled["ScheduledStationAETitle"] = list(step.stations)
    scheduled["ScheduledProcedureStepStartDate"] = step.start[:8]
    scheduled["ScheduledProcedureStepStartTime"] = step.start[8:]
    return WorklistItem(key, version, patient_attributes(patient), order, scheduled)


class SqlWorklistSource:
    """The WorklistSource of the DICOM server over reading connections."""

    def __init__(self, readers: Readers, max_age: timedelta, zone: ZoneInfo) -> None:
        """Steps that neither start nor changed within ``max_age`` are hidden.

        ``zone`` is the site's, in which starts are given.
        """
        self._readers = readers
        self._max_age = max_age
        self.zone = zone

    def oldest(self) -> Oldest:
        """Return the age limit as of now."""
        return oldest(self._max_age, self.zone)

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        """Yield visible items that can match, by start; raises OSError when the database fails."""
        sql, values = plan(query, self.oldest())
        while True:
            try:
                with self._readers.lend() as reader:
                    rows: list[Any] = reader.execute(sql, values).fetchall()
            except apsw.Error as error:
                raise OSError(f"worklist query failed: {type(error).__name__}") from error
            for key, step_version, patient_version, patient, step, _ in rows:
                yield item_of(
                    key,
                    (step_version, patient_version),
                    _decode_patient(patient),
                    _decode_step(step),
                )
            if len(rows) < ROWS_AT_ONCE:
                return
            values[-2:] = [rows[-1][5], rows[-1][0]]
