"""DICOM: the PACS that is watched and the worklist that is served."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_interface
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from vitalbridge.bridge.settings.fields import (
    AeTitle,
    Host,
    Kind,
    Port,
    PositiveInt,
    PositiveSeconds,
    Seconds,
    Section,
    key,
    listing,
    section,
)

_MAPPED = IPv6Network("::ffff:0:0/96")


def _network(value: Any) -> IPv4Network | IPv6Network:
    text = str(value).strip()
    try:
        # The zone of a link-local address is dropped: callers are told apart without it.
        written = ip_interface(text.partition("%")[0])
        network = written.network
    except ValueError as error:
        raise PydanticCustomError(
            "network", "must be an IP address or a network such as 10.1.0.0/16"
        ) from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise PydanticCustomError("network", "must be written as IPv4, without ::ffff:")
    if written.ip != network.network_address:
        # Whether one caller is meant or the whole network around it, nobody can know.
        raise PydanticCustomError(
            "network",
            "has bits set beyond its prefix: write {ip} or {network}",
            {"ip": str(written.ip), "network": str(network)},
        )
    return network


Network: TypeAlias = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(_network), Kind("address or network")
]


class PacsNode(Section):
    """One address of a PACS."""

    host: Host = key(..., "Host name or address.")
    port: Port = key(11112, "DICOM port.")
    called_ae: AeTitle = key("PACS_SCP", "AE title of the PACS.")


class FailoverSettings(Section):
    """When the second PACS is used instead of the first."""

    enabled: bool = key(False, "Use the second one while the first doesn't answer.")
    check_interval: PositiveSeconds = key(30.0, "Time between two checks.")
    failback_delay: Seconds = key(300.0, "How long the first must answer before it is used again.")


class PacsSettings(Section):
    """The PACS. Its availability is checked by C-ECHO in the background."""

    host: Host = key(..., "Host name or address of the PACS.")
    port: Port = key(11112, "DICOM port of the PACS.")
    ae_title: AeTitle = key("PACS_BRIDGE", "AE title that the bridge calls itself.")
    called_ae: AeTitle = key("PACS_SCP", "AE title of the PACS.")
    timeout: PositiveSeconds = key(30.0, "Time limit of a connection, an association, an answer.")
    check_interval: PositiveSeconds = key(30.0, "Time between two C-ECHO.")
    primary: PacsNode | None = key(None, "First of two PACS.", inert=True)
    secondary: PacsNode | None = key(None, "Second of two PACS.", inert=True)
    failover: FailoverSettings = section(
        FailoverSettings, "Change from the first PACS to the second and back.", inert=True
    )


class PeerSettings(Section):
    """What is known about one modality."""

    ae_title: AeTitle = key(..., "Its AE title.")
    character_sets: list[str] = listing(
        "Defined terms of (0008,0005) that it can read, first preferred; empty: any."
    )
    addresses: list[Network] = listing(
        "Addresses and networks (IPv4, IPv6) that this AE title may call from; empty: any. From"
        " elsewhere: calling AE title not recognized."
    )


class DicomSettings(Section):
    """The modality worklist server."""

    enabled: bool = key(True, "Serve the worklist.")
    port: Port = key(11112, "DICOM port of the worklist server.")
    bind_address: Host = key("0.0.0.0", "Address that it binds to.")
    ae_title: AeTitle = key("PACS_BRIDGE", "AE title that modalities call.")
    require_called_ae: bool = key(
        False,
        "Reject those who call another AE title than `ae_title`. Off by default: modalities set up"
        " for an earlier worklist server go on working.",
    )
    allowed_calling_ae: list[AeTitle] = listing("AE titles that may call; empty: any.")
    allowed_addresses: list[Network] = listing(
        "Addresses and networks (IPv4, IPv6) that may call, such as 10.1.0.0/16; empty: any. The"
        " bridge's own machine always may: its health check does."
    )
    max_results: int = key(
        0,
        "Most items answered to one query; more end in A700 with an Error Comment. 0: no limit.",
        ge=0,
    )
    max_associations: PositiveInt = key(50, "Associations open at the same time.")
    idle_timeout: Seconds = key(
        300.0, "Silence after which an association is ended; 0: modalities may keep it for ever."
    )
    peers: list[PeerSettings] = listing("Modalities that need something of their own.")
