"""Who is let in, by AE titles and by addresses."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from vitalbridge.dicom import pdu
from vitalbridge.dicom.access import is_within, refusal
from vitalbridge.dicom.network import PduStream
from vitalbridge.dicom.options import Peer, ServerOptions
from vitalbridge.dicom.server import VERIFICATION, WorklistServer

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXTS = (pdu.Proposed(1, VERIFICATION, ("1.2.840.10008.1.2",)),)
TEN = (ip_network("10.1.0.0/16"),)
SIX = (ip_network("2001:db8::/32"), ip_network("fe80::/10"))


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("10.1.2.3", TEN, True),
        ("10.2.2.3", TEN, False),
        ("::ffff:10.1.2.3", TEN, True),
        ("::ffff:10.2.2.3", TEN, False),
        ("2001:db8::7", SIX, True),
        ("2001:db9::7", SIX, False),
        ("fe80::7%eth0", SIX, True),
        ("10.1.2.3", SIX, False),
        ("2001:db8::7", TEN + SIX, True),
        ("10.1.2.3", (ip_network("10.1.2.3"),), True),
        ("10.1.2.3", (), False),
    ],
)
def test_is_within(address: str, networks: tuple[Any, ...], expected: bool) -> None:
    assert is_within(address, networks) is expected


STRICT = ServerOptions(
    require_called_ae=True,
    allowed_calling_ae=("CT_1", "MR_1"),
    allowed_addresses=TEN,
    peers={"CT_1": Peer(addresses=(ip_network("10.1.2.3"),)), "MR_1": Peer()},
)


@pytest.mark.parametrize(
    ("called", "calling", "address", "expected"),
    [
        ("PACS_BRIDGE", "CT_1", "10.1.2.3", None),
        ("PACS_BRIDGE", "MR_1", "10.1.2.4", None),
        ("PACS_BRIDGE", "CT_1", "10.1.2.4", ((1, 1, 3), "peer_address")),
        ("PACS_BRIDGE", "US_1", "10.1.2.3", ((1, 1, 3), "calling_ae")),
        ("PACS_BRIDGE", "ct_1", "10.1.2.3", ((1, 1, 3), "calling_ae")),
        ("PACS", "CT_1", "10.1.2.3", ((1, 1, 7), "called_ae")),
        ("PACS_BRIDGE", "CT_1", "10.2.2.3", ((1, 1, 1), "address")),
    ],
)
def test_refusal(called: str, calling: str, address: str, expected: object) -> None:
    found = refusal(pdu.AssociateRequest(called, calling, CONTEXTS), address, STRICT)
    assert (found and (found.rejection, found.reason)) == expected


def test_a_server_for_everyone() -> None:
    request = pdu.AssociateRequest("ANY", "WHO", CONTEXTS)
    assert refusal(request, "192.0.2.1", ServerOptions()) is None


def ask(server: WorklistServer, source: str, calling: str) -> tuple[int, bytes]:
    address = (source, 0)
    with socket.create_connection(server.address, source_address=address) as connection:
        stream = PduStream(connection, send_timeout=5)
        stream.send(
            pdu.write_associate_request(pdu.AssociateRequest("PACS_BRIDGE", calling, CONTEXTS))
        )
        return stream.receive(5, 5)


def test_addresses_of_a_server_and_of_one_modality(
    serve: Callable[..., WorklistServer], list_source: type, events: Any
) -> None:
    server = serve(
        list_source([]),
        events,
        allowed_addresses=(ip_network("127.0.0.0/30"),),
        peers={"CT_1": Peer(addresses=(ip_network("127.0.0.2"),))},
    )
    assert ask(server, "127.0.0.1", "MR_1")[0] == pdu.ASSOCIATE_AC
    assert ask(server, "127.0.0.2", "CT_1")[0] == pdu.ASSOCIATE_AC
    assert ask(server, "127.0.0.3", "CT_1") == (pdu.ASSOCIATE_RJ, bytes([0, 1, 1, 3]))
    assert ask(server, "127.0.0.9", "CT_1") == (pdu.ASSOCIATE_RJ, bytes([0, 1, 1, 1]))
    assert events.await_count("rejected", 2) == [
        ("CT_1", "127.0.0.3", "peer_address"),
        ("CT_1", "127.0.0.9", "address"),
    ]


def test_addresses_of_ipv6(serve: Callable[..., WorklistServer], list_source: type) -> None:
    server = serve(list_source([]), bind_address="::1", allowed_addresses=(ip_network("::1"),))
    assert ask(server, "::1", "CT_1")[0] == pdu.ASSOCIATE_AC
    other = serve(
        list_source([]), bind_address="::1", allowed_addresses=(ip_network("2001:db8::/32"),)
    )
    assert ask(other, "::1", "CT_1") == (pdu.ASSOCIATE_RJ, bytes([0, 1, 1, 1]))
