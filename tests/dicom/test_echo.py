"""C-ECHO against our own server, pynetdicom and DCMTK."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from vitalbridge.dicom import echo as module
from vitalbridge.dicom.echo import echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vitalbridge.dicom.server import WorklistServer


@pytest.fixture
def pynetdicom_scp() -> Iterator[Callable[..., int]]:
    servers = []

    def start(**settings: object) -> int:
        ae = AE(ae_title="PACS_SCP")
        ae.add_supported_context(Verification)
        for name, value in settings.items():
            setattr(ae, name, value)
        server = ae.start_server(("127.0.0.1", 0), block=False)
        assert server is not None
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()


def test_our_own_server(serve: Callable[..., WorklistServer], list_source: type) -> None:
    _, port = serve(list_source([])).address
    result = echo("127.0.0.1", port, called_ae="PACS_BRIDGE")
    assert result.ok
    assert 0 < result.latency < 1


def test_pynetdicom(pynetdicom_scp: Callable[..., int]) -> None:
    result = echo("127.0.0.1", pynetdicom_scp(), called_ae="PACS_SCP", timeout=5)
    assert result == module.EchoResult(latency=result.latency)
    assert 0 < result.latency < 5


def test_rejection_says_why(pynetdicom_scp: Callable[..., int]) -> None:
    port = pynetdicom_scp(require_called_aet=True)
    result = echo("127.0.0.1", port, called_ae="WRONG", timeout=5)
    assert not result.ok
    assert result.reason == "Association rejected"
    assert result.detail == "called AE title not recognized"
    port = pynetdicom_scp(require_calling_aet=["SOMEBODY"])
    result = echo("127.0.0.1", port, called_ae="PACS_SCP", timeout=5)
    assert result.detail == "calling AE title not recognized"


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert echo("127.0.0.1", port, called_ae="X", timeout=2).reason == "Connection refused"


def test_no_answer_to_the_connection() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # Linux queues backlog + 1 connections; the next one gets no answer.
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        result = echo("127.0.0.1", address[1], called_ae="X", timeout=0.3)
        for sock in waiting:
            sock.close()
    assert result.reason == "Connection timeout"


def test_unknown_host() -> None:
    result = echo("name.invalid", 104, called_ae="X", timeout=2)
    assert result.reason == "Connection failed"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "Association aborted"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Echo failed"),
        (bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 0]), "Association aborted"),
        (bytes([3, 0, 0, 0, 0, 4, 0, 2, 3, 2]), "Association rejected"),
        (bytes([2, 0, 0, 0, 0, 4, 0, 0, 0, 0]), "Echo failed"),
        (bytes([4, 0, 0, 0, 0, 0]), "Echo failed"),
        (bytes([2, 0, 255, 255, 255, 255]), "Echo failed"),
        (None, "Echo timeout"),
    ],
)
def test_peers_that_answer_nonsense(answer: bytes | None, reason: str) -> None:
    done = threading.Event()

    def serve_once() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            if answer is None:
                done.wait(5)
            else:
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_once)
        thread.start()
        result = echo("127.0.0.1", listener.getsockname()[1], called_ae="X", timeout=0.5)
        done.set()
        thread.join()
    assert result.reason == reason
