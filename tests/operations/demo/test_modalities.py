from __future__ import annotations

import gc
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from vitalbridge.operations.demo.catalogue import STATIONS
from vitalbridge.operations.demo.hospital import Scheduled
from vitalbridge.operations.demo.modalities import (
    Entry,
    Modality,
    Probe,
    QueryFailed,
    Worklist,
    WorklistClient,
    entry,
    query,
)
from vitalbridge.operations.demo.pacs import answering_pacs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Served

TODAY = datetime.now().astimezone().strftime("%Y%m%d")
CT1 = STATIONS["CT"][0]


def order(number: int, station: str = "CT_SCANNER_1", date: str = TODAY) -> Scheduled:
    return Scheduled(
        f"ACC{number}", "Yamada^Tarou=山田^太郎", "CT", "CT chest", f"{date}141500", (station,)
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread; the test's own time limit ends it otherwise."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_query_by_station_and_date_answers_only_those(served: Served) -> None:
    served.add(order(1))
    served.add(order(2, "CT_SCANNER_2"))
    served.add(order(3, date="20200101"))
    client = WorklistClient(served.worklist, "CT_SCANNER_1")
    answers = client.find(query(station="CT_SCANNER_1", date=TODAY))
    client.close()
    assert [entry(answer) for answer in answers] == [
        Entry("ACC1", "Yamada^Tarou=山田^太郎", "CT chest", "CT", "CT_SCANNER_1", f"{TODAY}141500")
    ]


def test_one_association_serves_many_queries(served: Served) -> None:
    served.add(order(1))
    client = WorklistClient(served.worklist, "CT_SCANNER_1")
    assert [len(client.find(query(accession="ACC1"))) for _ in range(5)] == [1] * 5
    assert served.server.associations == 1
    client.close()


def test_a_failing_worklist_is_said_to_fail(served: Served) -> None:
    served.broken = True
    client = WorklistClient(served.worklist, "CT_SCANNER_1")
    with pytest.raises(QueryFailed, match="C-FIND: status C"):
        client.find(query())
    served.broken = False
    assert client.find(query()) == []
    client.close()


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_answers() -> None:
    with answering_pacs(0) as port:
        closed = Worklist("127.0.0.1", port)
    with pytest.raises(QueryFailed, match="no association with PACS_BRIDGE"):
        WorklistClient(closed, "CT_SCANNER_1").find(query())
    gc.collect()


def test_a_modality_counts_its_entries_and_those_missing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitalbridge.operations.demo.modalities.GRACE", 0.05)
    modality = Modality(served.worklist, CT1, "CT", interval=0.05)
    modality.start()
    served.add(order(1))
    modality.expect(order(1))
    modality.expect(order(2))
    modality.expect(order(3, date="20990101"))  # not of today: not missed
    until(lambda: (modality.view.entries, modality.view.missing) == (1, 1))
    served.add(order(2))
    until(lambda: (modality.view.entries, modality.view.missing) == (2, 0))
    assert modality.view.seconds > 0
    assert modality.view.failures == 0
    served.broken = True
    until(lambda: modality.view.problem == "C-FIND: status C001")
    served.broken = False
    until(lambda: not modality.view.problem)
    modality.stop()
    modality.join()


def test_a_probe_measures_until_the_entry_is_there(served: Served) -> None:
    probe = Probe(served.worklist)
    probe.start()
    since = time.monotonic()
    probe.offer(order(1), since)
    until(lambda: len(served.queries) >= 3)
    served.add(order(1))
    until(lambda: probe.latencies.count == 1)
    assert 0 < probe.latencies.largest <= time.monotonic() - since
    assert [found.accession for found in probe.newest] == ["ACC1"]
    assert served.queries[0].accession_numbers == ("ACC1",)
    probe.stop()
    probe.join()
    assert probe.lost == 0


def test_a_probe_gives_up_on_an_order_that_never_appears(served: Served) -> None:
    probe = Probe(served.worklist, patience=0.1)
    probe.start()
    probe.offer(order(1), time.monotonic())
    until(lambda: probe.lost == 1)
    probe.stop()
    probe.join()
    assert probe.latencies.count == 0


def test_a_probe_says_what_is_wrong_and_goes_on(served: Served) -> None:
    probe = Probe(served.worklist)
    served.broken = True
    probe.start()
    probe.offer(order(1), time.monotonic())
    until(lambda: probe.problem == "C-FIND: status C001")
    served.broken = False
    served.add(order(2))
    until(lambda: probe.offer(order(2), time.monotonic()) is None and probe.latencies.count > 0)
    assert probe.problem == ""
    probe.stop()
    probe.join()
