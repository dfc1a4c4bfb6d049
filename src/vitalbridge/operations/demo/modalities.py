"""Simulated modalities: each asks the worklist for its own examinations of today, again and again.

A probe asks for single orders right after their acknowledgement, which gives the time from an
order's first byte to its worklist entry. DICOM PS3.4 K.6.1 (Modality Worklist, C-FIND).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from vitalbridge.operations.demo.latency import Latencies
from vitalbridge.operations.demo.pacs import send_at_once

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from vitalbridge.operations.demo.catalogue import Station
    from vitalbridge.operations.demo.hospital import Scheduled

GRACE = 2.0  # seconds after which an accepted order must be on the worklist

_PENDING = (0xFF00, 0xFF01)
_SUCCESS = 0x0000


class Worklist(msgspec.Struct, frozen=True):
    """Where the worklist server is."""

    host: str
    port: int
    ae_title: str = "PACS_BRIDGE"


class Entry(msgspec.Struct, frozen=True):
    """What a modality shows of one worklist entry."""

    accession: str
    patient: str
    procedure: str
    modality: str
    station: str
    start: str


class QueryFailed(Exception):
    """The worklist server couldn't be reached, or answered with a failure."""


class WorklistClient:
    """One association, kept open, that sends C-FIND requests; opened again when lost."""

    def __init__(self, worklist: Worklist, ae_title: str) -> None:
        self._worklist = worklist
        self._entity = AE(ae_title=ae_title)
        self._entity.add_requested_context(ModalityWorklistInformationFind)
        self._entity.acse_timeout = 5
        self._entity.connection_timeout = 5
        self._entity.dimse_timeout = 10
        self._association: Association | None = None

    def find(self, identifier: Dataset) -> list[Dataset]:
        """Return the identifiers of all pending answers; raises :class:`QueryFailed`."""
        association = self._open()
        found: list[Dataset] = []
        status = None
        for answer, dataset in association.send_c_find(identifier, ModalityWorklistInformationFind):
            status = answer.get("Status")
            if status in _PENDING and dataset is not None:
                found.append(dataset)
        if status != _SUCCESS:
            self.close()
            text = "no answer" if status is None else f"status {status:04X}"
            raise QueryFailed(f"C-FIND: {text}")
        return found

    def _open(self) -> Association:
        if self._association is not None and self._association.is_established:
            return self._association
        association = self._entity.associate(
            self._worklist.host,
            self._worklist.port,
            ae_title=self._worklist.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)],
        )
        if not association.is_established:
            raise QueryFailed(f"no association with {self._worklist.ae_title}")
        self._association = association
        return association

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None


def query(*, station: str = "", date: str = "", accession: str = "") -> Dataset:
    """Return a C-FIND identifier that asks for what an :class:`Entry` shows; empty matches all."""
    step = Dataset()
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProcedureStepStartTime = ""
    step.Modality = ""
    step.ScheduledProcedureStepDescription = ""
    identifier = Dataset()
    identifier.PatientName = ""
    identifier.PatientID = ""
    identifier.AccessionNumber = accession
    identifier.RequestedProcedureDescription = ""
    identifier.ScheduledProcedureStepSequence = [step]
    return identifier


def entry(answer: Dataset) -> Entry:
    """Return what a modality shows of an answer; absent attributes are empty."""
    steps = answer.get("ScheduledProcedureStepSequence")
    step = steps[0] if steps else Dataset()
    station = step.get("ScheduledStationAETitle") or ""
    return Entry(
        str(answer.get("AccessionNumber") or ""),
        str(answer.get("PatientName") or ""),
        str(
            step.get("ScheduledProcedureStepDescription")
            or answer.get("RequestedProcedureDescription")
            or ""
        ),
        str(step.get("Modality") or ""),
        station if isinstance(station, str) else "/".join(station),
        f"{step.get('ScheduledProcedureStepStartDate') or ''}"
        f"{step.get('ScheduledProcedureStepStartTime') or ''}",
    )


class StationView(msgspec.Struct):
    """What one modality saw at its last query."""

    station: str
    modality: str
    entries: int = 0
    missing: int = 0
    queries: int = 0
    failures: int = 0
    seconds: float = 0.0
    problem: str = ""


class Modality(threading.Thread):
    """Asks for its own entries of today every ``interval`` seconds.

    ``expect`` tells it of orders that must be there from now on; those that it doesn't find
    :data:`GRACE` later count as missing until it does.
    """

    def __init__(
        self, worklist: Worklist, station: Station, modality: str, interval: float
    ) -> None:
        super().__init__(name=f"modality-{station.ae_title}", daemon=True)
        self.view = StationView(station.ae_title, modality)
        self._client = WorklistClient(worklist, station.ae_title)
        self._interval = interval
        self._expected: dict[str, tuple[float, str]] = {}
        self._told: deque[Scheduled] = deque()
        self._ending = threading.Event()

    def expect(self, scheduled: Scheduled) -> None:
        """Expect an order's entry; may be called from any thread."""
        self._told.append(scheduled)

    def run(self) -> None:
        """Query until stopped."""
        while not self._ending.is_set():
            self._look()
            self._ending.wait(self._interval)
        self._client.close()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._ending.set()

    def _look(self) -> None:
        view = self.view
        began = time.monotonic()
        while self._told:
            scheduled = self._told.popleft()
            self._expected[scheduled.accession] = (began, scheduled.start[:8])
        today = datetime.now().astimezone().strftime("%Y%m%d")
        view.queries += 1
        try:
            answers = self._client.find(query(station=view.station, date=today))
        except QueryFailed as error:
            view.failures += 1
            view.problem = str(error)
            return
        view.seconds = time.monotonic() - began
        view.problem = ""
        seen = {str(answer.get("AccessionNumber") or "") for answer in answers}
        view.entries = len(answers)
        self._expected = {
            accession: (since, date)
            for accession, (since, date) in self._expected.items()
            if date >= today
        }
        view.missing = sum(
            accession not in seen and date == today and began - since > GRACE
            for accession, (since, date) in self._expected.items()
        )


class Probe(threading.Thread):
    """Asks for single orders until they appear: from first byte sent to worklist entry.

    ``clock`` must be the one that the given times are from. Takes one order at a time and skips
    those that come meanwhile.
    """

    def __init__(self, worklist: Worklist, *, patience: float = 10.0) -> None:
        super().__init__(name="worklist-probe", daemon=True)
        self.latencies = Latencies()
        self.newest: deque[Entry] = deque(maxlen=12)
        self.lost = 0
        self.problem = ""
        self._client = WorklistClient(worklist, "DEMO_PROBE")
        self._patience = patience
        self._orders: queue.Queue[tuple[Scheduled, float] | None] = queue.Queue(1)

    def offer(self, scheduled: Scheduled, since: float) -> None:
        """Ask for this order, sent at ``since`` (time.monotonic), unless one is being asked for."""
        try:
            self._orders.put_nowait((scheduled, since))
        except queue.Full:
            return

    def run(self) -> None:
        """Ask until stopped."""
        while (order := self._orders.get()) is not None:
            try:
                self._ask(*order)
            except QueryFailed as error:
                self.problem = str(error)
        self._client.close()

    def stop(self) -> None:
        """Ask the thread to end; waits for the order being asked for."""
        self._orders.put(None)

    def _ask(self, scheduled: Scheduled, since: float) -> None:
        while True:
            answers = self._client.find(query(accession=scheduled.accession))
            now = time.monotonic()
            self.problem = ""
            if answers:
                self.latencies.record(now - since)
                self.newest.appendleft(entry(answers[0]))
                return
            if now - since > self._patience:
                self.lost += 1
                return
            time.sleep(0.002)
