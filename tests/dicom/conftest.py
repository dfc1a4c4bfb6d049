"""A worklist over a list, running servers, and the outside peers that question them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    ModalityWorklistInformationFind,
    Verification,
)

from vitalbridge.dicom.server import ServerOptions, WorklistEvents, WorklistServer
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vitalbridge.dicom.attributes import Attributes


def make_item(
    key: int = 1,
    *,
    patient: Attributes | None = None,
    order: Attributes | None = None,
    step: Attributes | None = None,
    version: tuple[int, int] = (1, 1),
) -> WorklistItem:
    return WorklistItem(
        key=key,
        version=version,
        patient={
            "PatientName": "DOE^JOHN^ANDREW",
            "PatientID": f"P{key:06d}",
            "IssuerOfPatientID": "HOSPITAL",
            "PatientBirthDate": "19800115",
            "PatientSex": "M",
            **(patient or {}),
        },
        order={
            "AccessionNumber": f"ACC{key:06d}",
            "RequestedProcedureID": f"RP{key:06d}",
            "StudyInstanceUID": f"1.2.840.113619.2.55.{key}",
            "RequestedProcedureDescription": "CT CHEST W/O CONTRAST",
            "RequestedProcedureCodeSequence": [
                {"CodeValue": "71260", "CodingSchemeDesignator": "CPT", "CodeMeaning": "CT CHEST"}
            ],
            "RequestingPhysician": "SMITH^ROBERT^J^^MD",
            **(order or {}),
        },
        step={
            "Modality": "CT",
            "ScheduledStationAETitle": ["CT_SCANNER_1", "CT_SCANNER_2"],
            "ScheduledProcedureStepStartDate": "20231115",
            "ScheduledProcedureStepStartTime": "140000",
            "ScheduledProcedureStepID": f"SPS{key:06d}",
            "ScheduledProcedureStepDescription": "CT CHEST",
            "ScheduledProcedureStepStatus": "SCHEDULED",
            **(step or {}),
        },
    )


class ListSource:
    """A worklist held in a list, with the index that a real one would have on accessions."""

    def __init__(self, items: Sequence[WorklistItem]) -> None:
        self.items = list(items)
        self.by_accession = {str(item.order["AccessionNumber"]): item for item in items}

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        if query.accession_numbers:
            for accession in query.accession_numbers:
                if accession in self.by_accession:
                    yield self.by_accession[accession]
            return
        yield from self.items


@pytest.fixture
def serve() -> Iterator[Callable[..., WorklistServer]]:
    """Start servers on a free port of the loopback; ``server.address`` is where."""
    servers: list[WorklistServer] = []

    def start(
        source: object, events: WorklistEvents | None = None, **options: object
    ) -> WorklistServer:
        settings = {"bind_address": "127.0.0.1", "port": 0, **options}
        server = WorklistServer(source, ServerOptions(**settings), events)  # type: ignore[arg-type]
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=2)


def tool(name: str) -> str:
    """Return the path of an outside program; skips without it, fails without it in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


def run(name: str, *arguments: str | Path, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


@pytest.fixture(name="make_item")
def _make_item() -> Callable[..., WorklistItem]:
    return make_item


@pytest.fixture(name="list_source")
def _list_source() -> type[ListSource]:
    return ListSource


@pytest.fixture(name="run")
def _run() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run


class Recorder(WorklistEvents):
    """Keeps what the server tells, for the tests to wait on."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._changed = threading.Condition()

    def _note(self, *call: object) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def named(self, name: str) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def await_one(self, name: str, timeout: float = 5) -> tuple[object, ...]:
        with self._changed:
            assert self._changed.wait_for(lambda: self.named(name), timeout), f"no {name}"
        return self.named(name)[0]

    def await_count(self, name: str, count: int, timeout: float = 30) -> list[tuple[object, ...]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.named(name)) >= count, timeout), name
        return self.named(name)

    def opened(self, calling_ae: str, address: str) -> None:
        self._note("opened", calling_ae, address)

    def closed(self, calling_ae: str, address: str, reason: str) -> None:
        self._note("closed", calling_ae, address, reason)

    def rejected(self, calling_ae: str, address: str, reason: str) -> None:
        self._note("rejected", calling_ae, address, reason)

    def echoed(self, calling_ae: str) -> None:
        self._note("echoed", calling_ae)

    def queried(self, calling_ae: str, duration: float, results: int, status: int) -> None:
        self._note("queried", calling_ae, duration, results, status)

    def transliterated(self, calling_ae: str, characters: int) -> None:
        self._note("transliterated", calling_ae, characters)


@pytest.fixture
def events() -> Recorder:
    return Recorder()


def dataset(**values: object) -> Dataset:
    """Return a pydicom data set; nested mappings become sequence items, lists of them sequences."""
    made = Dataset()
    with disable_value_validation():
        for keyword, value in values.items():
            if isinstance(value, list) and all(isinstance(item, dict) for item in value):
                value = [dataset(**item) for item in value]
            setattr(made, keyword, value)
    return made


@pytest.fixture(name="dataset")
def _dataset() -> Callable[..., Dataset]:
    return dataset


class Scu:
    """A pynetdicom SCU on a kept association."""

    def __init__(self, port: int, **titles: str) -> None:
        ae = AE(ae_title=titles.get("calling", "MODALITY"))
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 10
        ae.add_requested_context(ModalityWorklistInformationFind)
        ae.add_requested_context(Verification)
        ae.add_requested_context(CTImageStorage)
        self.association = ae.associate(
            "127.0.0.1",
            port,
            ae_title=titles.get("called", "PACS_BRIDGE"),
            evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay)],
        )

    def responses(self, keys: Dataset, message_id: int = 1) -> Iterator[tuple[Dataset, Dataset]]:
        """Send a C-FIND and return an iterator of (status, identifier)."""
        return self.association.send_c_find(
            keys, ModalityWorklistInformationFind, msg_id=message_id
        )

    def find(self, **keys: object) -> tuple[list[Dataset], list[int]]:
        """Return (identifiers, statuses, the final one last)."""
        results = list(self.responses(dataset(**keys)))
        return [ds for _, ds in results if ds is not None], [s.Status for s, _ in results]


def _no_delay(event: evt.Event) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.fixture
def connect() -> Iterator[Callable[..., Scu]]:
    made: list[Scu] = []

    def start(server: WorklistServer, **titles: str) -> Scu:
        made.append(Scu(server.address[1], **titles))
        return made[-1]

    yield start
    for scu in made:
        if scu.association.is_established:
            scu.association.release()
        # An association that was cut off while nobody was reading leaves its socket open.
        connection = scu.association.dul.socket
        if connection is not None and connection.socket is not None:
            connection.socket.close()
