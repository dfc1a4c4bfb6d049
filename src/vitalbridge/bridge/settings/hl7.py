"""HL7 v2 over MLLP: what is listened to, who sends, where messages go."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from pydantic import ByteSize, Field

from vitalbridge.bridge.settings.fields import (
    Host,
    Port,
    PositiveInt,
    PositiveMilliseconds,
    PositiveSeconds,
    Seconds,
    Section,
    Size,
    TimeZone,
    key,
    listing,
    section,
)
from vitalbridge.bridge.settings.tls import ClientTls, ListenerTls

if TYPE_CHECKING:
    from collections.abc import Sequence


class ListenerSettings(Section):
    """The MLLP listener."""

    port: Port = key(2575, "TCP port of the MLLP listener.")
    bind_address: Host = key("0.0.0.0", "Address that the listener binds to.")
    max_connections: PositiveInt = key(100, "Connections open at the same time.")
    max_connections_per_address: PositiveInt | None = key(
        None, "Connections from one address; without it as many as `max_connections`."
    )
    idle_timeout: PositiveSeconds = key(
        300.0, "A connection on which nothing arrives for this long is closed."
    )
    read_timeout: PositiveSeconds = key(
        60.0, "A message that has begun must be complete after this long."
    )
    ack_hold: Seconds = key(
        20.0, "How long a message may wait for room in a full queue before it is answered AR."
    )
    max_message_size: Annotated[Size, Field(ge=1024)] = key(
        ByteSize(10_485_760), "Largest accepted message."
    )
    max_unanswered: PositiveInt = key(
        64, "Messages of one connection taken in before the first of them is answered."
    )
    tls: ListenerTls = section(ListenerTls, "TLS of the listener (MLLPS).")

    @property
    def connections_per_address(self) -> int:
        """The per-address limit, which defaults to the limit of all."""
        return self.max_connections_per_address or self.max_connections


class SourceSettings(Section):
    """How messages of one sender are read. The first entry that matches counts."""

    match: str = key(
        ...,
        "Glob over sending application and facility, `MSH-3|MSH-4`; without `|` any facility.",
        min_length=1,
        max_length=200,
    )
    charset: str | None = key(
        None, "Character set of messages whose MSH-18 is empty (a name of HL7 table 0211)."
    )
    timezone: TimeZone | None = key(
        None, "Zone of times without an offset; without it `mapping.timezone`."
    )
    processing_ids: list[Annotated[str, Field(pattern="^[A-Z]$")]] = key(
        ["P"], "Values of MSH-11.1 that are accepted; others are answered AR 202.", min_length=1
    )
    application_ack_destination: str | None = key(
        None,
        "Name of the `hl7.outbound` entry that gets application acknowledgements (MSH-16).",
        inert=True,
    )

    def matches(self, application: str, facility: str) -> bool:
        """Return whether this entry is about messages with that MSH-3.1 and MSH-4.1."""
        pattern = self.match if "|" in self.match else f"{self.match}|*"
        return fnmatchcase(f"{application}|{facility}", pattern)


ANY_SOURCE = SourceSettings(match="*")


def source_for(
    sources: Sequence[SourceSettings], application: str, facility: str
) -> SourceSettings:
    """Return the first entry that matches the sender, or one with all defaults."""
    for source in sources:
        if source.matches(application, facility):
            return source
    return ANY_SOURCE


class OutboundSettings(Section):
    """A system that gets messages from the bridge."""

    name: str = key(..., "Name by which rules, logs and metrics call it.", min_length=1)
    host: Host = key(..., "Host name or address.")
    port: Port = key(..., "TCP port.")
    message_types: list[str] = listing("Message types sent to it (`ORM^O01`); empty: all.")
    priority: int = key(1, "Lower is preferred among destinations of the same message type.")
    enabled: bool = key(True, "Whether anything is sent to it.")
    retry_count: int = key(3, "Attempts after the first that was answered negatively.", ge=0)
    retry_delay: PositiveMilliseconds = key(1.0, "Wait before the first of them.")
    retry_schedule: list[Seconds] = listing(
        "Waits before each attempt, instead of `retry_delay` doubled each time."
    )
    ack_timeout: PositiveSeconds = key(30.0, "How long an acknowledgement is waited for.")
    connections: PositiveInt = key(1, "Connections held open; many receivers accept only one.")
    failover_unknown_after: Seconds = key(
        3600.0,
        "When a message that was sent and not answered goes to the next destination after all.",
    )
    tls: ClientTls = section(ClientTls, "TLS towards it.")


class Hl7Settings(Section):
    """HL7 v2 over MLLP."""

    listener: ListenerSettings = section(ListenerSettings, "The MLLP listener.")
    sources: list[SourceSettings] = listing("Senders that need reading of their own.")
    outbound: list[OutboundSettings] = listing("Systems that get messages.", inert=True)


class RoutingRule(Section):
    """Which messages go where."""

    name: str = key(..., "Name of the rule, for the log.", min_length=1)
    message_type_pattern: str = key(..., "Glob over `ADT^A01`.", min_length=1)
    source_pattern: str = key("*", "Glob over sending application or facility.", min_length=1)
    destination: str = key(
        ...,
        "`patient_cache`, `mwl_manager`, `status_handler`, `patient_merge_handler`"
        " or the name of an `hl7.outbound` entry.",
        min_length=1,
    )
    priority: int = key(0, "Rules are tried from the lowest.")
    enabled: bool = key(True, "Whether the rule is used.")
