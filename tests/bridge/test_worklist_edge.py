"""The worklist server as configured: whom it lets in, and what it tells."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import msgspec
import pytest

from vitalbridge.bridge.metrics import BridgeMetrics
from vitalbridge.bridge.settings import load
from vitalbridge.bridge.worklist_edge import LOOPBACK, WorklistObserver, server_options
from vitalbridge.dicom.echo import ASSOCIATION_REJECTED, EchoResult, echo
from vitalbridge.dicom.options import Peer, ServerOptions
from vitalbridge.dicom.server import WorklistServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitalbridge.dicom.worklist import WorklistItem, WorklistQuery


class NoWorklist:
    def find(self, query: WorklistQuery) -> Iterator[WorklistItem]:
        return iter(())


def options(tmp_path: Path, dicom: str) -> ServerOptions:
    path = tmp_path / "config.yaml"
    path.write_text(f"pacs: {{host: pacs.hospital}}\ndicom: {dicom}\n")
    return server_options(load(path, {}))


def test_everything_configured_reaches_the_server(tmp_path: Path) -> None:
    found = options(
        tmp_path,
        "{port: 104, bind_address: 10.1.0.5, ae_title: WORKLIST, require_called_ae: true,"
        " allowed_calling_ae: [CT_1], allowed_addresses: [10.1.0.0/16, '2001:db8::/32'],"
        " max_results: 500, max_associations: 7, idle_timeout: 1h,"
        " peers: [{ae_title: CT_1, character_sets: [ISO_IR 100], addresses: [10.1.2.3]},"
        " {ae_title: MR_1}]}",
    )
    here = (*LOOPBACK, ip_network("10.1.0.5"))
    assert found == ServerOptions(
        port=104,
        bind_address="10.1.0.5",
        ae_title="WORKLIST",
        require_called_ae=True,
        allowed_calling_ae=("CT_1",),
        allowed_addresses=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"), *here),
        max_results=500,
        max_associations=7,
        network_timeout=3600.0,
        peers={
            "CT_1": Peer(("ISO_IR 100",), (ip_network("10.1.2.3"), *here)),
            "MR_1": Peer(),
        },
    )


def test_by_default_everyone_is_let_in(tmp_path: Path) -> None:
    assert options(tmp_path, "{}") == ServerOptions(max_associations=50)
    assert ServerOptions().allowed_addresses == ServerOptions().allowed_calling_ae == ()
    assert not ServerOptions().require_called_ae


@pytest.mark.parametrize(
    ("dicom", "calling", "called", "expected"),
    [
        ("{}", "CT_1", "ANY", EchoResult()),
        # The health check asks from this machine under a modality's title.
        ("{allowed_addresses: [10.1.0.0/16]}", "CT_1", "PACS_BRIDGE", EchoResult()),
        (
            "{peers: [{ae_title: CT_1, addresses: [10.1.2.3]}]}",
            "CT_1",
            "PACS_BRIDGE",
            EchoResult(),
        ),
        (
            "{require_called_ae: true}",
            "CT_1",
            "PACS",
            EchoResult(ASSOCIATION_REJECTED, "called AE title not recognized"),
        ),
        (
            "{allowed_calling_ae: [MR_1]}",
            "CT_1",
            "PACS_BRIDGE",
            EchoResult(ASSOCIATION_REJECTED, "calling AE title not recognized"),
        ),
    ],
)
def test_a_running_server(
    tmp_path: Path, dicom: str, calling: str, called: str, expected: EchoResult
) -> None:
    metrics = BridgeMetrics()
    free = msgspec.structs.replace(options(tmp_path, dicom), bind_address="127.0.0.1", port=0)
    server = WorklistServer(NoWorklist(), free, WorklistObserver(metrics))
    host, port = server.start()
    try:
        result = echo(host, port, called_ae=called, calling_ae=calling, timeout=5)
    finally:
        server.stop()
    assert msgspec.structs.replace(result, latency=0.0) == expected
