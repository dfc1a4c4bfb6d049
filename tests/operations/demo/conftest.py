"""A served worklist that a test fills while modalities ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vitalbridge.dicom.server import ServerOptions, WorklistServer
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery
from vitalbridge.operations.demo.modalities import Worklist

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalbridge.operations.demo.hospital import Scheduled


class Served:
    """A worklist in a list, served by the real server."""

    def __init__(self) -> None:
        self.items: list[WorklistItem] = []
        self.broken = False
        self.queries: list[WorklistQuery] = []
        options = ServerOptions(bind_address="127.0.0.1", port=0)
        self.server = WorklistServer(self, options)
        host, port = self.server.start()
        self.worklist = Worklist(host, port)

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        self.queries.append(query)
        if self.broken:
            raise OSError("the disk is gone")
        return iter(list(self.items))

    def add(self, scheduled: Scheduled) -> None:
        key = len(self.items) + 1
        self.items.append(
            WorklistItem(
                key,
                (1, key),
                {"PatientName": scheduled.patient, "PatientID": f"P{key}"},
                {
                    "AccessionNumber": scheduled.accession,
                    "RequestedProcedureDescription": scheduled.procedure,
                },
                {
                    "Modality": scheduled.modality,
                    "ScheduledStationAETitle": list(scheduled.stations),
                    "ScheduledProcedureStepStartDate": scheduled.start[:8],
                    "ScheduledProcedureStepStartTime": scheduled.start[8:],
                    "ScheduledProcedureStepDescription": scheduled.procedure,
                },
            )
        )


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.stop(timeout=2)
