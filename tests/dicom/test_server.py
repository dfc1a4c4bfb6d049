"""The worklist's server under real peers: DCMTK's tools and pynetdicom."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from vitalbridge.dicom.charsets import UnknownCharacterSet, character_set
from vitalbridge.dicom.server import Peer, WorklistServer
from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

if TYPE_CHECKING:
    import subprocess

Serve = Callable[..., WorklistServer]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
MakeItem = Callable[..., WorklistItem]
TODAY_CT = (
    *("-k", "0040,0100[0].0008,0060=CT", "-k", "0040,0100[0].0040,0001=CT_SCANNER_2"),
    *("-k", "0040,0100[0].0040,0002=20231115-20231115", "-k", "0040,0100[0].0040,0003"),
    *("-k", "0010,0010", "-k", "0010,0020", "-k", "0008,0050", "-k", "0008,0090"),
    *("-k", "0020,000D", "-k", "0032,1060", "-k", "0040,1001", "-k", "0010,0030"),
    *("-k", "0040,0100[0].0040,0009", "-k", "0040,0100[0].0040,0007", "-k", "0008,1110"),
)


def findscu(run: Run, server: WorklistServer, into: Path, *keys: str) -> list[Path]:
    into.mkdir(exist_ok=True)
    done = run(
        "findscu", "-W", "-X", "-od", into, "-aet", "CT_2", "-aec", "PACS_BRIDGE", *keys,
        "127.0.0.1", str(server.address[1]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return sorted(into.glob("*.dcm"))


def test_findscu(
    serve: Serve, list_source: type, make_item: MakeItem, run: Run, tmp_path: Path, events: Any
) -> None:
    other_day = make_item(2, step={"ScheduledProcedureStepStartDate": "20231116"})
    other_modality = make_item(3, step={"Modality": "MR"})
    server = serve(list_source([make_item(1), other_day, other_modality]), events)
    (path,) = findscu(run, server, tmp_path / "out", *TODAY_CT)
    answer = pydicom.dcmread(path, force=True)
    assert answer.PatientName == "DOE^JOHN^ANDREW"
    assert answer.AccessionNumber == "ACC000001"
    assert answer["ReferringPhysicianName"].is_empty
    assert len(answer.ReferencedStudySequence) == 0
    assert answer.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == "SPS000001"
    assert events.await_one("closed")[0::2] == ("CT_2", "released")
    ((calling, duration, results, status),) = events.named("queried")
    assert (calling, results, status) == ("CT_2", 1, 0)
    assert 0 < duration < 5


def test_echoscu(serve: Serve, list_source: type, run: Run, events: Any) -> None:
    server = serve(list_source([]), events)
    done = run("echoscu", "-v", "127.0.0.1", str(server.address[1]))
    assert done.returncode == 0, done.stderr
    assert events.await_one("echoed") == ("ECHOSCU",)


def test_findscu_in_every_transfer_syntax(
    serve: Serve, list_source: type, make_item: MakeItem, run: Run, tmp_path: Path
) -> None:
    server = serve(list_source([make_item()]))
    for option in ("-x=", "-xe", "-xb", "-xi"):
        (path,) = findscu(run, server, tmp_path / option, option, "-k", "0010,0010=doe*")
        assert pydicom.dcmread(path, force=True).PatientName == "DOE^JOHN^ANDREW"


NAME_FILES = sorted(
    Path(name) for name in get_charset_files() if name.endswith(".dcm") and "SQEnc" not in name
)


@pytest.mark.parametrize("path", NAME_FILES, ids=lambda path: path.stem)
def test_names_in_many_scripts(
    path: Path,
    serve: Serve,
    list_source: type,
    make_item: MakeItem,
    run: Run,
    tmp_path: Path,
    connect: Callable[..., Any],
) -> None:
    file = pydicom.dcmread(path)
    terms = file.SpecificCharacterSet
    own = character_set([terms] if isinstance(terms, str) else list(terms))
    name = str(file.PatientName)
    item = make_item(patient={"PatientName": name})
    server = serve(list_source([item]), peers={"CT_2": Peer((own.value,))})
    (answer,) = findscu(run, server, tmp_path / "out", "-k", "0010,0010")
    read = pydicom.dcmread(answer, force=True)
    assert str(read.PatientName) == name
    # A modality that asks in its own character set, and is known for nothing.
    scu = connect(server)
    found, statuses = scu.find(SpecificCharacterSet=terms, PatientName=name)
    assert statuses == [0xFF00, 0x0000]
    assert str(found[0].PatientName) == name
    assert terms in (found[0].SpecificCharacterSet, "ISO_IR 13") or isinstance(terms, list)


def test_emitted_values_satisfy_dciodvfy(
    serve: Serve, list_source: type, make_item: MakeItem, run: Run, tmp_path: Path
) -> None:
    item = make_item(
        patient={"PatientName": "Müller^Jürgen", "PatientWeight": "72.5", "PregnancyStatus": "4"},
        order={"ReferringPhysicianName": "HOUSE^GREGORY", "StudyInstanceUID": "2.25.12345"},
    )
    server = serve(list_source([item]))
    keys = (
        *TODAY_CT[:-2],
        "-k",
        "0010,1030",
        "-k",
        "0010,21C0",
        "-k",
        "0010,0040",
        "-k",
        "0032,1064",
    )
    (path,) = findscu(run, server, tmp_path / "out", *keys)
    answer = pydicom.dcmread(path, force=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    answer.file_meta = meta
    answer.SOPClassUID, answer.SOPInstanceUID = meta.MediaStorageSOPClassUID, UID("2.25.1")
    answer.save_as(tmp_path / "check.dcm", enforce_file_format=True)
    report = run("dciodvfy", tmp_path / "check.dcm")
    assert "SCImage" in report.stderr or "Secondary" in report.stderr, report.stderr
    # Not an image, so its modules are missing; what counts is that no value is faulted.
    faults = [
        line
        for line in report.stderr.splitlines()
        if line.startswith("Error") and ("alue" in line or "VR" in line or "haracter" in line)
        if "Missing" not in line and "missing" not in line
    ]
    assert [line for line in faults if "Empty attribute (no value)" not in line] == []


def test_statuses(
    serve: Serve, list_source: type, make_item: MakeItem, connect: Callable[..., Any]
) -> None:
    server = serve(list_source([make_item(n) for n in range(3)]))
    scu = connect(server)
    assert scu.find(PatientName="")[1] == [0xFF00] * 3 + [0]
    assert scu.find(PatientName="", KVP="")[1] == [0xFF01] * 3 + [0]
    assert scu.find(PatientName="NOBODY")[1] == [0]
    assert scu.find(PatientID="P000002")[1] == [0xFF00, 0]


def test_pynetdicom_loses_nothing_of_queries_in_a_row(
    serve: Serve, list_source: type, make_item: MakeItem, connect: Callable[..., Any]
) -> None:
    scu = connect(serve(list_source([make_item()])))
    assert [scu.find(PatientID="")[1] for _ in range(60)] == [[0xFF00, 0]] * 60
    assert [scu.association.send_c_echo().Status for _ in range(60)] == [0] * 60


def test_what_is_wrong_with_an_identifier_is_told(
    serve: Serve, list_source: type, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    scu = connect(serve(list_source([])))
    keys = dataset(ScheduledProcedureStepSequence=[{"ScheduledProcedureStepStartDate": "TODAY"}])
    ((status, identifier),) = scu.responses(keys)
    assert identifier is None
    assert status.Status == 0xA900
    assert status.OffendingElement == 0x00400002
    assert status.ErrorComment == "Key value: not a date or range of dates"
    assert scu.find(PatientName="*")[1] == [0]


class FailingSource:
    def __init__(self, error: Exception, after: list[WorklistItem]) -> None:
        self.error = error
        self.after = after

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        yield from self.after
        raise self.error


@pytest.mark.parametrize("error", [OSError("disk full: DOE^JOHN"), RuntimeError("DOE^JOHN")])
def test_a_failing_source_is_told_and_survived(
    error: Exception,
    serve: Serve,
    make_item: MakeItem,
    connect: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scu = connect(serve(FailingSource(error, [make_item()])))
    assert scu.find(PatientName="")[1] == [0xFF00, 0xC001]
    assert scu.find(PatientName="")[1] == [0xFF00, 0xC001]
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("vitalbridge")]
    assert len(ours) == 2
    assert all("Worklist query failed" in text and "DOE" not in text for text in ours)


def test_more_than_the_limit_is_no_success(
    serve: Serve,
    list_source: type,
    make_item: MakeItem,
    connect: Callable[..., Any],
    dataset: Callable[..., Dataset],
) -> None:
    server = serve(list_source([make_item(n) for n in range(5)]), max_results=3)
    scu = connect(server)
    results = list(scu.responses(dataset(PatientID="")))
    assert [status.Status for status, _ in results] == [0xFF00] * 3 + [0xA700]
    assert results[-1][0].ErrorComment == "More than 3 matches, narrow the query"
    server = serve(list_source([make_item(n) for n in range(3)]), max_results=3)
    assert connect(server).find(PatientID="")[1] == [0xFF00] * 3 + [0]


class EndlessSource:
    """Goes on until nobody asks any more."""

    def __init__(self, item: WorklistItem) -> None:
        self.item = item
        self.yielded = 0
        self.closed = threading.Event()

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        try:
            while True:
                self.yielded += 1
                yield self.item
        finally:
            self.closed.set()


def test_cancel(
    serve: Serve, make_item: MakeItem, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    source = EndlessSource(make_item())
    scu = connect(serve(source))
    responses = scu.responses(dataset(PatientID=""), 7)
    statuses = [next(responses)[0].Status for _ in range(3)]
    assert statuses == [0xFF00] * 3
    scu.association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)
    statuses = [status.Status for status, _ in responses]
    assert statuses[-1] == 0xFE00
    assert source.closed.wait(5)
    # The association goes on, and an old cancel means nothing to the next query.
    assert scu.association.is_established
    scu.association.send_c_cancel(8, query_model=ModalityWorklistInformationFind)
    responses = scu.responses(dataset(PatientID=""), 8)
    assert [next(responses)[0].Status for _ in range(3)] == [0xFF00] * 3
    scu.association.abort()


def test_a_peer_that_vanishes_ends_its_query(
    serve: Serve, make_item: MakeItem, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    source = EndlessSource(make_item())
    server = serve(source)
    scu = connect(server)
    responses = scu.responses(dataset(PatientID=""))
    next(responses)
    scu.association.abort()
    assert source.closed.wait(5)


@pytest.mark.parametrize(
    ("options", "called", "expected", "told"),
    [
        ({"require_called_ae": True}, "WRONG", (1, 1, 7), "called_ae"),
        ({"allowed_calling_ae": ("CT_1", "CT_2")}, "PACS_BRIDGE", (1, 1, 3), "calling_ae"),
        (
            {"allowed_addresses": (ipaddress.ip_network("10.0.0.0/8"),)},
            "PACS_BRIDGE",
            (1, 1, 1),
            "address",
        ),
    ],
)
def test_rejections(
    options: dict[str, object],
    called: str,
    expected: tuple[int, int, int],
    told: str,
    serve: Serve,
    list_source: type,
    connect: Callable[..., Any],
    events: Any,
) -> None:
    server = serve(list_source([]), events, **options)
    scu = connect(server, called=called)
    assert scu.association.is_rejected
    answer = scu.association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == expected
    assert events.await_one("rejected") == ("MODALITY", "127.0.0.1", told)
    assert events.named("opened") == []


def test_who_is_let_in(serve: Serve, list_source: type, connect: Callable[..., Any]) -> None:
    server = serve(
        list_source([]),
        allowed_calling_ae=("MODALITY",),
        allowed_addresses=(ipaddress.ip_network("127.0.0.0/8"),),
        require_called_ae=True,
    )
    scu = connect(server)
    assert scu.association.is_established
    # A context that nobody serves is refused alone.
    assert len(scu.association.accepted_contexts) == 2
    assert [cx.result for cx in scu.association.rejected_contexts] == [3]


def test_too_many_associations(
    serve: Serve, list_source: type, connect: Callable[..., Any], events: Any
) -> None:
    server = serve(list_source([]), events, max_associations=2)
    first, second = connect(server), connect(server)
    assert first.association.is_established
    assert second.association.is_established
    third = connect(server)
    assert third.association.is_rejected
    assert third.association.acceptor.primitive.result_source == 3
    assert events.await_one("rejected")[-1] == "limit"
    first.association.release()
    events.await_one("closed")
    with waiting(lambda: server.connections == 1):
        assert connect(server).association.is_established


@contextmanager
def waiting(condition: Callable[[], bool], timeout: float = 5) -> Iterator[None]:
    done = threading.Event()
    deadline = monotonic() + timeout
    while not condition() and monotonic() < deadline:
        done.wait(0.01)
    assert condition()
    yield


def test_transliteration_is_counted(
    serve: Serve, list_source: type, make_item: MakeItem, connect: Callable[..., Any], events: Any
) -> None:
    item = make_item(patient={"PatientName": "山田^Jürgen"})
    server = serve(list_source([item]), events, peers={"MODALITY": Peer(("ISO_IR 100",))})
    (answer,), _ = connect(server).find(PatientName="")
    assert "?" not in str(answer.PatientName)
    assert str(answer.PatientName).endswith("^Jürgen")
    assert events.await_one("transliterated") == ("MODALITY", 2)


def test_a_peers_unknown_character_set_is_found_at_once(list_source: type, serve: Serve) -> None:
    with pytest.raises(UnknownCharacterSet):
        serve(list_source([]), peers={"CT": Peer(("KLINGON",))})


def test_nothing_of_a_patient_is_logged(
    serve: Serve,
    list_source: type,
    make_item: MakeItem,
    run: Run,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    marked = "ZZMARKED^PATIENT"
    item = make_item(
        patient={"PatientName": marked, "PatientBirthDate": marked, "PregnancyStatus": marked}
    )
    server = serve(list_source([item]))
    for keys in (
        ["-k", f"0010,0010={marked}"],
        ["-k", "0010,0030", "-k", "0010,0010"],
        ["-k", f"0010,0030={marked}"],
        ["-k", "0010,21C0", "-k", "0010,0010"],
    ):
        run("findscu", "-W", *keys, "127.0.0.1", str(server.address[1]))
    server.stop()
    assert "Worklist query failed: ValueError" in caplog.text
    assert "ZZMARKED" not in caplog.text
    assert "ZZMARKED" not in "".join(capfd.readouterr())


def test_stop_finishes_what_runs_and_ends_what_idles(
    serve: Serve, make_item: MakeItem, connect: Callable[..., Any], events: Any
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowSource:
        def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
            begun.set()
            assert go_on.wait(10)
            yield make_item()

    server = serve(SlowSource(), events)
    busy, idle = connect(server), connect(server)
    answers: list[list[int]] = []
    asking = threading.Thread(target=lambda: answers.append(busy.find(PatientID="")[1]))
    asking.start()
    assert begun.wait(5)
    stopping = threading.Thread(target=server.stop, args=(8,))
    stopping.start()
    with waiting(lambda: idle.association.is_aborted):
        go_on.set()
    asking.join(8)
    stopping.join(8)
    assert answers == [[0xFF00, 0]]
    assert [call[-1] for call in events.named("closed")] == ["stopped", "stopped"]
    assert server.connections == 0


def test_stop_does_not_wait_for_ever(
    serve: Serve, make_item: MakeItem, connect: Callable[..., Any], dataset: Callable[..., Dataset]
) -> None:
    server = serve(EndlessSource(make_item()))
    scu = connect(server)
    responses = scu.responses(dataset(PatientID=""))
    next(responses)
    started = monotonic()
    server.stop(timeout=0.3)
    assert monotonic() - started < 3
    assert server.connections == 0


def test_idle_associations_cost_nothing(serve: Serve, list_source: type, run: Run) -> None:
    import socket

    from vitalbridge.dicom import pdu
    from vitalbridge.dicom.network import PduStream

    server = serve(list_source([]))
    proposed = pdu.Proposed(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",))
    request = pdu.write_associate_request(pdu.AssociateRequest("PACS_BRIDGE", "X", (proposed,)))
    sockets = [socket.create_connection(server.address) for _ in range(10)]
    for sock in sockets:
        stream = PduStream(sock, send_timeout=5)
        stream.send(request)
        assert stream.receive(5, 5)[0] == pdu.ASSOCIATE_AC
    used = process_time()
    threading.Event().wait(1)
    used = process_time() - used
    for sock in sockets:
        sock.close()
    assert used < 0.02


def test_idle_timeout(
    serve: Serve, list_source: type, connect: Callable[..., Any], events: Any
) -> None:
    server = serve(list_source([]), events, network_timeout=0.2)
    scu = connect(server)
    assert events.await_one("closed")[-1] == "idle"
    with waiting(lambda: scu.association.is_aborted):
        assert not scu.association.is_established
