"""Too many connections, too few descriptors, peers that do not read, sources that do not return."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu
from vitalbridge.dicom.network import PduStream
from vitalbridge.dicom.server import MODALITY_WORKLIST_FIND, WorklistServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery

REQUEST = pdu.write_associate_request(
    pdu.AssociateRequest(
        "PACS_BRIDGE",
        "MODALITY",
        (pdu.Proposed(1, MODALITY_WORKLIST_FIND, ("1.2.840.10008.1.2",)),),
    )
)
FIND = pdu.write_message(
    1,
    dimse.write_request(dimse.C_FIND_RQ, MODALITY_WORKLIST_FIND, 1, has_data_set=True),
    bytes.fromhex("1000200000000000"),
    0,
)


def connected(server: WorklistServer, stack: ExitStack) -> PduStream:
    connection = stack.enter_context(socket.create_connection(server.address))
    return PduStream(connection, send_timeout=5)


def associated(server: WorklistServer, stack: ExitStack) -> PduStream:
    stream = connected(server, stack)
    stream.send(REQUEST)
    assert stream.receive(5, 5)[0] == pdu.ASSOCIATE_AC
    return stream


def wait_for(condition: Callable[[], bool], timeout: float = 10) -> bool:
    pause, deadline = threading.Event(), monotonic() + timeout
    while not condition() and monotonic() < deadline:
        pause.wait(0.01)
    return condition()


def resources() -> tuple[int, int]:
    """Return the numbers of threads and of open descriptors."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def test_a_flood_of_connections_leaves_nothing_behind(
    serve: Callable[..., WorklistServer], list_source: type, events: Any
) -> None:
    server = serve(list_source([]), events, max_associations=4)
    before = resources()
    endings = (b"", pdu.abort(0, 0), REQUEST, REQUEST + pdu.abort(0, 0), REQUEST + FIND, b"GET /")
    for number in range(1000):
        with socket.create_connection(server.address) as connection:
            connection.sendall(endings[number % len(endings)])

    def ended() -> int:
        return len(events.named("closed")) + len(events.named("rejected"))

    assert wait_for(lambda: ended() == 1000), ended()
    assert wait_for(lambda: resources() == before), (before, resources())
    assert (server.connections, server.associations) == (0, 0)
    assert len(events.named("opened")) == len(events.named("closed")) > 0
    with ExitStack() as stack:
        associated(server, stack)


def test_the_hard_limit_of_connections(
    serve: Callable[..., WorklistServer], list_source: type, events: Any
) -> None:
    server = serve(list_source([]), events, max_associations=2)
    with ExitStack() as stack:
        # Those that ask for nothing take no modality's place, up to a limit.
        silent = [connected(server, stack) for _ in range(16)]
        assert wait_for(lambda: server.connections == 16)
        assert server.associations == 0
        for _ in range(2):
            associated(server, stack)
        assert server.associations == 2
        assert connected(server, stack).is_at_end(5)
        assert events.await_one("rejected") == ("", "127.0.0.1", "limit")
        silent.pop().send(pdu.abort(0, 0))
        assert wait_for(lambda: server.connections == 17)
        last = connected(server, stack)
        last.send(REQUEST)
        assert last.receive(5, 5) == (pdu.ASSOCIATE_RJ, bytes([0, 2, 3, 2]))


def test_half_open_connections_end_by_themselves(
    serve: Callable[..., WorklistServer], list_source: type, events: Any
) -> None:
    server = serve(list_source([]), events, acse_timeout=0.3, network_timeout=0.3)
    with ExitStack() as stack:
        for _ in range(5):
            connected(server, stack)
            associated(server, stack)
        assert wait_for(lambda: server.connections == 0)
    assert [call[-1] for call in events.await_count("rejected", 5)] == ["slow"] * 5
    assert [call[-1] for call in events.await_count("closed", 5)] == ["idle"] * 5


def test_a_peer_that_vanished_is_noticed_by_the_kernel() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        connection = stack.enter_context(socket.create_connection(listener.getsockname()))
        PduStream(connection, send_timeout=1)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            connection.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= 180


class EndlessSource:
    def __init__(self, item: WorklistItem) -> None:
        self.item = item

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        while True:
            yield self.item


def test_a_peer_that_does_not_read(
    serve: Callable[..., WorklistServer], make_item: Callable[..., WorklistItem], events: Any
) -> None:
    server = serve(EndlessSource(make_item()), events, dimse_timeout=0.5)
    with ExitStack() as stack:
        deaf = [associated(server, stack) for _ in range(3)]
        for stream in deaf:
            stream.send(FIND)
        # Others are served meanwhile.
        other = associated(server, stack)
        other.send(FIND)
        for _ in range(1000):
            assert other.receive(5, 5)[0] == pdu.P_DATA_TF
        assert [call[-1] for call in events.await_count("closed", 3)] == ["slow"] * 3
        other.send(pdu.abort(0, 0))
        assert wait_for(lambda: server.connections == 0)


class StuckSource:
    """Never returns before it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()

    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        self.entered.release()
        self.let_go.wait()
        return iter(())


def test_stop_returns_though_sources_do_not(
    serve: Callable[..., WorklistServer], caplog: pytest.LogCaptureFixture
) -> None:
    source = StuckSource()
    server = serve(source)
    with ExitStack() as stack:
        for _ in range(5):
            associated(server, stack).send(FIND)
        for _ in range(5):
            assert source.entered.acquire(timeout=5)
        started = monotonic()
        server.stop(timeout=0.2)
        assert monotonic() - started < 4
        assert "a query that does not end" in caplog.text
        assert server.connections == 5
        source.let_go.set()
        assert wait_for(lambda: server.connections == 0)


OUT_OF_DESCRIPTORS = """
import logging, resource, socket, sys, threading, time
from vitalbridge.dicom.echo import echo
from vitalbridge.dicom.server import ServerOptions, WorklistServer

class Nothing:
    def find(self, query):
        return iter(())

logging.basicConfig(stream=sys.stdout, format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
server = WorklistServer(Nothing(), ServerOptions(bind_address="127.0.0.1", port=0))
port = server.start()[1]
first = socket.create_connection(server.address)
while not server.connections:
    time.sleep(0.01)
held = []
try:
    while True:
        held.append(socket.socket())
except OSError:
    held.pop().close()
starved = socket.create_connection(server.address)
time.sleep(0.5)
print("open meanwhile:", server.connections)
used = time.process_time()
time.sleep(0.5)
print("busy waiting:", time.process_time() - used > 0.2)
for one in held:
    one.close()
starved.settimeout(5)
starved.sendall(b"GET /" + bytes(5))
print("answered afterwards:", starved.recv(1) == bytes([7]))
print("echo:", echo("127.0.0.1", port, called_ae="PACS_BRIDGE").ok)
first.close()
starved.close()
server.stop(2)
print("left:", server.connections, threading.active_count() - 1)
"""


def test_out_of_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_DESCRIPTORS],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "DICOM connections not accepted: EMFILE",
        "open meanwhile: 1",
        "busy waiting: False",
        "DICOM connections accepted again",
        "answered afterwards: True",
        "echo: True",
        "left: 0 0",
    ]
