"""Who may associate: AE titles and addresses (DICOM PS3.8 Table 9-21)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from vitalbridge.dicom.association import CALLED_AE, CALLING_AE, NO_REASON, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitalbridge.dicom.options import Network, ServerOptions
    from vitalbridge.dicom.pdu import AssociateRequest


def refusal(request: AssociateRequest, address: str, options: ServerOptions) -> Refusal | None:
    """Return why a request from an address is refused, or None."""
    if options.allowed_addresses and not is_within(address, options.allowed_addresses):
        return Refusal(NO_REASON, "address")
    if options.require_called_ae and request.called_ae != options.ae_title:
        return Refusal(CALLED_AE, "called_ae")
    if options.allowed_calling_ae and request.calling_ae not in options.allowed_calling_ae:
        return Refusal(CALLING_AE, "calling_ae")
    peer = options.peers.get(request.calling_ae)
    if peer and peer.addresses and not is_within(address, peer.addresses):
        # The title is known, but not from there.
        return Refusal(CALLING_AE, "peer_address")
    return None


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address, as a socket names it, lies in one of the networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    # A socket that serves both families names IPv4 callers so.
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)
