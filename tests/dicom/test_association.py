"""Peers that send garbage, send too slowly, or send too much: nobody else notices."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu
from vitalbridge.dicom.network import ConnectionLost, PduStream
from vitalbridge.dicom.server import MODALITY_WORKLIST_FIND, VERIFICATION, WorklistServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMPLICIT = "1.2.840.10008.1.2"
REQUEST = pdu.AssociateRequest(
    "PACS_BRIDGE",
    "GARBAGE",
    (
        pdu.Proposed(1, MODALITY_WORKLIST_FIND, (IMPLICIT,)),
        pdu.Proposed(3, VERIFICATION, (IMPLICIT,)),
    ),
    16384,
)
PATIENT_ID = struct.pack("<HHI", 0x0010, 0x0020, 0)
C_FIND = dimse.write_request(dimse.C_FIND_RQ, MODALITY_WORKLIST_FIND, 1, has_data_set=True)
C_ECHO = dimse.write_request(dimse.C_ECHO_RQ, VERIFICATION, 2, has_data_set=False)
FIND = pdu.write_message(1, C_FIND, PATIENT_ID, 0)
ECHO = pdu.write_message(3, C_ECHO, None, 0)


class Bystander:
    """An association that was there before, and must be there afterwards."""

    def __init__(self, server: WorklistServer) -> None:
        self.stream = associated(server)

    def is_served(self) -> bool:
        self.stream.send(ECHO)
        return status(self.stream) == 0


OPENED: list[PduStream] = []


def connected(server: WorklistServer) -> PduStream:
    OPENED.append(PduStream(socket.create_connection(server.address), send_timeout=5))
    return OPENED[-1]


def associated(server: WorklistServer) -> PduStream:
    stream = connected(server)
    stream.send(pdu.write_associate_request(REQUEST))
    assert stream.receive(5, 5)[0] == pdu.ASSOCIATE_AC
    return stream


def status(stream: PduStream) -> int:
    """Return the status of the next final response."""
    while True:
        kind, body = stream.receive(5, 5)
        assert kind == pdu.P_DATA_TF, kind
        for fragment in pdu.read_fragments(body):
            if fragment.is_command:
                command = dimse.read_command(fragment.data)
                if command.status & 0xFF00 != 0xFF00:
                    return command.status


def ends_with(stream: PduStream) -> bytes | None:
    """Return the A-ABORT that ends the connection, or None when it just ends."""
    try:
        while True:
            kind, body = stream.receive(5, 5)
            if kind == pdu.ABORT:
                stream.close()
                return body
    except ConnectionLost:
        return None


@pytest.fixture
def server(
    serve: Callable[..., WorklistServer],
    list_source: type,
    make_item: Callable[..., Any],
    events: Any,
) -> Iterator[WorklistServer]:
    started = serve(
        list_source([make_item()]),
        events,
        acse_timeout=0.5,
        dimse_timeout=0.5,
        max_identifier=20_000,
    )
    bystander = Bystander(started)
    yield started
    assert bystander.is_served()
    while OPENED:
        OPENED.pop().close()


BEFORE = {
    "http": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "tls": bytes.fromhex("16030100f1010000ed0303") + bytes(240),
    "zeros": bytes(2000),
    "huge": struct.pack(">BxI", 1, 0xFFFFFFFF) + bytes(100),
    "empty request": struct.pack(">BxI", 1, 0),
    "cut items": pdu.write_associate_request(REQUEST)[:2] + struct.pack(">I", 70) + bytes(70),
    "data first": FIND,
    "release first": pdu.RELEASE_REQUEST,
    "accept first": pdu.write_associate_accept(REQUEST, (), 0),
    "twice the same id": pdu.write_associate_request(
        pdu.AssociateRequest("A", "B", (REQUEST.contexts[0],) * 2)
    ),
}


@pytest.mark.parametrize("data", BEFORE.values(), ids=BEFORE.keys())
def test_garbage_instead_of_a_request(server: WorklistServer, data: bytes, events: Any) -> None:
    stream = connected(server)
    stream.send(data)
    aborted = ends_with(stream)
    assert aborted is not None
    assert aborted[2] == 2
    assert events.await_one("rejected")[-1] == "protocol"


def test_an_abort_or_the_end_instead_of_a_request(server: WorklistServer, events: Any) -> None:
    stream = connected(server)
    stream.send(pdu.abort(0, 0))
    assert ends_with(stream) is None
    assert events.await_one("rejected")[-1] == "aborted"
    socket.create_connection(server.address).close()


@pytest.mark.parametrize("sent", [0, 1, 5, 6, 50, 150])
def test_a_request_that_never_ends_is_not_awaited(
    server: WorklistServer, sent: int, events: Any
) -> None:
    stream = connected(server)
    stream.send(pdu.write_associate_request(REQUEST)[:sent])
    assert ends_with(stream) is not None
    assert events.await_one("rejected")[-1] == "slow"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"protocol_version": 1, "application_context": "1.2.3"}, (1, 1, 2)),
        ({"max_length": 6}, (1, 1, 1)),
        ({"contexts": ()}, (1, 1, 1)),
    ],
)
def test_requests_that_are_rejected(
    server: WorklistServer, change: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    fields = {"called_ae": "A", "calling_ae": "B", "contexts": REQUEST.contexts, **change}
    stream = connected(server)
    stream.send(pdu.write_associate_request(pdu.AssociateRequest(**fields)))
    kind, body = stream.receive(5, 5)
    assert kind == pdu.ASSOCIATE_RJ
    assert tuple(body[1:]) == expected


def test_a_title_that_forges_log_lines(server: WorklistServer, events: Any) -> None:
    stream = connected(server)
    request = pdu.AssociateRequest("A", "X\n\x1b[2JFORGED", REQUEST.contexts)
    stream.send(pdu.write_associate_request(request))
    assert stream.receive(5, 5)[0] == pdu.ASSOCIATE_AC
    stream.close()
    events.await_one("closed")
    assert events.named("closed")[-1][0] == "X..[2JFORGED"


def test_an_unknown_protocol_version_is_rejected(server: WorklistServer) -> None:
    data = bytearray(pdu.write_associate_request(REQUEST))
    data[6:8] = b"\0\2"
    stream = connected(server)
    stream.send(bytes(data))
    kind, body = stream.receive(5, 5)
    assert (kind, tuple(body[1:])) == (pdu.ASSOCIATE_RJ, (1, 2, 2))


def fragment(context: int, control: int, data: bytes) -> bytes:
    value = struct.pack(">IBB", len(data) + 2, context, control) + data
    return struct.pack(">BxI", pdu.P_DATA_TF, len(value)) + value


AFTER = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "second request": pdu.write_associate_request(REQUEST),
    "unknown context": fragment(9, 3, C_ECHO),
    "data set without command": fragment(1, 2, PATIENT_ID),
    "no command": fragment(3, 3, b"nonsense"),
    "command without field": fragment(3, 3, struct.pack("<HHIH", 0, 0x0110, 2, 1)),
    "data element as command": fragment(3, 3, PATIENT_ID),
    "a response": pdu.write_message(
        3, dimse.write_response(dimse.read_command(C_ECHO), 0), None, 0
    ),
    "empty value": struct.pack(">BxII", pdu.P_DATA_TF, 4, 0),
    "value beyond the end": struct.pack(">BxII", pdu.P_DATA_TF, 4, 99),
    "PDU too long": struct.pack(">BxI", pdu.P_DATA_TF, 1 << 30),
    "endless command": fragment(3, 1, bytes(9_000)) * 2,
    "endless data set": fragment(1, 3, C_FIND) + fragment(1, 0, bytes(11_000)) * 2,
    "data set in another context": fragment(1, 3, C_FIND) + fragment(3, 2, PATIENT_ID),
    "command inside a message": fragment(1, 3, C_FIND) + fragment(1, 3, C_FIND),
    "request after request": ECHO * 2000,
}


@pytest.mark.parametrize("data", AFTER.values(), ids=AFTER.keys())
def test_garbage_in_an_association(server: WorklistServer, data: bytes, events: Any) -> None:
    stream = associated(server)
    if data == ECHO * 2000:
        # Requests one after the other without awaiting answers are served, only never hoarded.
        stream.send(data)
        assert [status(stream) for _ in range(2000)] == [0] * 2000
        return
    stream.send(data)
    aborted = ends_with(stream)
    assert aborted is not None
    assert aborted[2] == 2
    assert events.await_one("closed")[-1] == "protocol"


def test_half_a_message_is_not_awaited(server: WorklistServer, events: Any) -> None:
    stream = associated(server)
    stream.send(fragment(1, 3, C_FIND))
    assert ends_with(stream) is not None
    assert events.await_one("closed")[-1] == "slow"


def test_a_message_that_trickles_is_not_awaited(server: WorklistServer, events: Any) -> None:
    stream = associated(server)
    stream.send(fragment(1, 3, C_FIND))
    trickle = threading.Event()
    with suppress(ConnectionLost):
        for _ in range(100):
            stream.send(fragment(1, 0, b"\0"))
            trickle.wait(0.05)
    assert events.await_one("closed")[-1] == "slow"


def test_requests_that_nobody_serves(server: WorklistServer) -> None:
    stream = associated(server)
    store = dimse.write_request(dimse.C_STORE_RQ, VERIFICATION, 1, has_data_set=True)
    stream.send(pdu.write_message(3, store, PATIENT_ID, 0))
    assert status(stream) == dimse.UNRECOGNIZED_OPERATION
    stream.send(pdu.write_message(1, store, PATIENT_ID, 0))
    assert status(stream) == dimse.UNRECOGNIZED_OPERATION
    other = dimse.write_request(
        dimse.C_FIND_RQ, "1.2.840.10008.5.1.4.1.2.2.1", 1, has_data_set=True
    )
    stream.send(pdu.write_message(1, other, PATIENT_ID, 0))
    assert status(stream) == dimse.SOP_CLASS_NOT_SUPPORTED
    empty = dimse.write_request(dimse.C_FIND_RQ, MODALITY_WORKLIST_FIND, 1, has_data_set=False)
    stream.send(pdu.write_message(1, empty, None, 0))
    assert status(stream) == dimse.IDENTIFIER_DOES_NOT_MATCH
    stream.send(pdu.write_message(1, C_FIND, b"\xff" * 20, 0))
    assert status(stream) == dimse.IDENTIFIER_DOES_NOT_MATCH
    stream.send(FIND)
    assert status(stream) == dimse.SUCCESS


def test_messages_in_small_pieces(server: WorklistServer) -> None:
    stream = associated(server)
    for byte in pdu.write_message(1, C_FIND, PATIENT_ID, 16):
        stream.send(bytes([byte]))
    assert status(stream) == 0


def test_random_damage(server: WorklistServer) -> None:
    chance = random.Random(20231115)
    conversation = pdu.write_associate_request(REQUEST) + FIND + ECHO
    for _ in range(150):
        data = bytearray(conversation)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.create_connection(server.address) as sock:
            sock.sendall(data[: chance.randint(1, len(data))])
    for _ in range(50):
        with socket.create_connection(server.address) as sock:
            sock.sendall(chance.randbytes(chance.randint(1, 3000)))
    assert Bystander(server).is_served()
