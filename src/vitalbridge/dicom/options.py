"""What the worklist's server is told beforehand, and what it tells."""

from __future__ import annotations

import ipaddress

import msgspec

from vitalbridge.dicom.network import MAX_PDU_LENGTH

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peer(msgspec.Struct, frozen=True):
    """What is known of one modality, by its AE title.

    ``character_sets`` are the values of Specific Character Set that it understands, best first,
    each as it is sent (``ISO_IR 100``, ``\\ISO 2022 IR 87``); empty means all. ``addresses`` are
    where it may call from; empty means anywhere.
    """

    character_sets: tuple[str, ...] = ()
    addresses: tuple[Network, ...] = ()


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the server listens and whom it answers.

    Empty ``allowed_calling_ae`` and ``allowed_addresses`` let everyone in; networks of IPv4 are
    written as such (not mapped into IPv6). ``max_results`` bounds
    the matches of one query (0: none). Times are in seconds, as :class:`Limits` explains them.
    ``cache_bytes`` bounds the memory for encoded responses.
    """

    ae_title: str = "PACS_BRIDGE"
    bind_address: str = "0.0.0.0"
    port: int = 11112
    allowed_calling_ae: tuple[str, ...] = ()
    allowed_addresses: tuple[Network, ...] = ()
    require_called_ae: bool = False
    max_results: int = 0
    max_associations: int = 100
    acse_timeout: float = 30.0
    dimse_timeout: float = 30.0
    network_timeout: float = 300.0
    max_pdu_length: int = MAX_PDU_LENGTH
    max_identifier: int = 1024 * 1024
    peers: dict[str, Peer] = {}
    cache_bytes: int = 32 * 1024 * 1024


class WorklistEvents:
    """What an observer may want to know; called on the association's thread, must be quick.

    Does nothing by itself. No call carries anything of a patient.
    """

    def opened(self, calling_ae: str, address: str) -> None:
        """Note that an association was established."""

    def closed(self, calling_ae: str, address: str, reason: str) -> None:
        """Note that an established association ended, and how (see ``Association.serve``)."""

    def rejected(self, calling_ae: str, address: str, reason: str) -> None:
        """Note that a connection got no association.

        ``reason`` is ``address``, ``called_ae``, ``calling_ae``, ``peer_address`` (the title may
        not call from there), ``limit``, ``request``, or, when none was ever asked for,
        ``protocol``, ``slow``, ``lost``, ``aborted`` or ``stopped``.
        """

    def echoed(self, calling_ae: str) -> None:
        """Note a C-ECHO."""

    def queried(self, calling_ae: str, duration: float, results: int, status: int) -> None:
        """Note a finished C-FIND: seconds, matches sent, final status."""

    def transliterated(self, calling_ae: str, characters: int) -> None:
        """Note characters of a response that its character set lacked."""
