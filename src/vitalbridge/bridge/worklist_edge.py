"""The worklist server inside the service: its options from the configuration, its metrics."""

from __future__ import annotations

import logging
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from vitalbridge.bridge.errors import ErrorCode
from vitalbridge.dicom.options import Peer, ServerOptions, WorklistEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.bridge.metrics import BridgeMetrics
    from vitalbridge.bridge.settings import Settings
    from vitalbridge.bridge.settings.dicom import Network, PeerSettings

log = logging.getLogger("dicom.worklist")

FAILURES = range(0xA000, 0xD000)
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1"))


class WorklistObserver(WorklistEvents):
    """Associations and queries, in metrics and in the log; called on the server's threads."""

    def __init__(self, metrics: BridgeMetrics) -> None:
        self._metrics = metrics

    def opened(self, calling_ae: str, address: str) -> None:
        """An association was accepted."""
        self._metrics.dicom_associations.inc()
        log.info("association opened", extra={"source": address, "calling_ae": calling_ae})

    def closed(self, calling_ae: str, address: str, reason: str) -> None:
        """An association that was accepted is over."""
        self._metrics.dicom_associations.dec()
        log.info(
            "association closed",
            extra={"source": address, "calling_ae": calling_ae, "reason": reason},
        )

    def rejected(self, calling_ae: str, address: str, reason: str) -> None:
        """An association did not come about."""
        self._metrics.dicom_rejected.inc()
        log.warning(
            "association rejected",
            extra={"source": address, "calling_ae": calling_ae, "reason": reason},
        )

    def queried(self, calling_ae: str, seconds: float, results: int, status: int) -> None:
        """A C-FIND ended with that status."""
        self._metrics.mwl_query_duration.observe(seconds)
        self._metrics.mwl_query_results.inc(results)
        if status in FAILURES:
            self._metrics.mwl_query_failures.inc()
            log.error(
                "worklist query failed",
                extra={
                    "calling_ae": calling_ae,
                    "status": f"{status:04X}",
                    "error_code": int(ErrorCode.MWL_QUERY_FAILED),
                },
            )

    def transliterated(self, calling_ae: str, values: int) -> None:
        """Values were rewritten because the peer's character sets lack a character."""
        self._metrics.mwl_transliterated.inc(values)


def server_options(settings: Settings) -> ServerOptions:
    """Return the options of the worklist server as configured."""
    dicom = settings.dicom
    here = local_networks(dicom.bind_address)
    return ServerOptions(
        ae_title=dicom.ae_title,
        port=dicom.port,
        bind_address=dicom.bind_address,
        require_called_ae=dicom.require_called_ae,
        allowed_calling_ae=tuple(dicom.allowed_calling_ae),
        allowed_addresses=with_local(dicom.allowed_addresses, here),
        max_results=dicom.max_results,
        max_associations=dicom.max_associations,
        network_timeout=dicom.idle_timeout,
        peers={peer.ae_title: peer_options(peer, here) for peer in dicom.peers},
    )


def peer_options(peer: PeerSettings, here: tuple[Network, ...]) -> Peer:
    """Return what the server knows of one modality, which may always call from ``here``."""
    return Peer(tuple(peer.character_sets), with_local(peer.addresses, here))


def local_networks(bind_address: str) -> tuple[Network, ...]:
    """Return where calls of this machine to a server that is bound to the address come from."""
    try:
        return (*LOOPBACK, ip_network(bind_address))
    except ValueError:
        return LOOPBACK


def with_local(allowed: Sequence[Network], here: tuple[Network, ...]) -> tuple[Network, ...]:
    """Return who is let in, nobody in particular if empty.

    The service's own health check is let in everywhere: who can call from here could as well read
    the database.
    """
    return (*allowed, *here) if allowed else ()
