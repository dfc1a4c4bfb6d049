"""Peers that are treated with care, and all others that are not."""

from __future__ import annotations

import socket
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import pynetdicom
import pytest

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu
from vitalbridge.dicom.network import PduStream
from vitalbridge.dicom.quirks import NONE, quirks_of
from vitalbridge.dicom.server import VERIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitalbridge.dicom.server import WorklistServer

REQUEST = pdu.AssociateRequest(
    "PACS_BRIDGE", "MODALITY", (pdu.Proposed(1, VERIFICATION, ("1.2.840.10008.1.2",)),)
)
ECHO = pdu.write_message(
    1, dimse.write_request(dimse.C_ECHO_RQ, VERIFICATION, 1, has_data_set=False), None, 0
)


@pytest.mark.parametrize(
    ("name", "uid", "rest"),
    [
        (pynetdicom.PYNETDICOM_IMPLEMENTATION_VERSION, "", True),
        ("MY_SCRIPT", pynetdicom.PYNETDICOM_IMPLEMENTATION_UID, True),
        ("PYNETDICOM_200", "1.2.3", True),
        ("OFFIS_DCMTK_367", "1.2.276.0.7230010.3.0.3.6.7", False),
        ("", "", False),
    ],
)
def test_who_is_known(name: str, uid: str, rest: bool) -> None:
    assert (quirks_of(name, uid).rest > 0) is rest


def seconds_of_echoes(server: WorklistServer, implementation: str, count: int) -> float:
    request = msgspec.structs.replace(REQUEST, implementation_name=implementation)
    with socket.create_connection(server.address) as connection:
        stream = PduStream(connection, send_timeout=5)
        stream.send(pdu.write_associate_request(request))
        assert stream.receive(5, 5)[0] == pdu.ASSOCIATE_AC
        started = perf_counter()
        for _ in range(count):
            stream.send(ECHO)
            assert stream.receive(5, 5)[0] == pdu.P_DATA_TF
        return perf_counter() - started


def test_only_requests_in_a_row_of_pynetdicom_are_slowed_down(
    serve: Callable[..., WorklistServer], list_source: type
) -> None:
    server = serve(list_source([]))
    rest = quirks_of("PYNETDICOM_304", "").rest
    assert NONE.rest == 0 < rest
    assert seconds_of_echoes(server, "PYNETDICOM_304", 10) >= 9 * rest
    # Whatever the machine is busy with, one round of several is undisturbed.
    assert min(seconds_of_echoes(server, "OFFIS_DCMTK_367", 10) for _ in range(5)) < 3 * rest
    assert min(seconds_of_echoes(server, "PYNETDICOM_304", 1) for _ in range(5)) < rest
