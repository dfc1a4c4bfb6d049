"""What is kept: the journal, the worklist, patients in memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, SecretStr
from pydantic_core import PydanticCustomError

from vitalbridge.bridge.settings.fields import (
    FilePath,
    Host,
    Port,
    PositiveInt,
    PositiveSeconds,
    Seconds,
    Section,
    Size,
    key,
    listing,
    section,
)


def _always(value: bool) -> bool:
    if not value:
        raise PydanticCustomError("always", "can't be switched off: durability depends on it")
    return value


class SentinelSettings(Section):
    """Redis Sentinel."""

    enabled: bool = key(False, "Ask sentinels for the primary.")
    master: str = key("mymaster", "Name of the monitored primary.")
    nodes: list[str] = listing("Sentinels, `host:port`.")


class RedisSettings(Section):
    """A Redis shared by several instances."""

    host: Host = key("localhost", "Host name or address.")
    port: Port = key(6379, "TCP port.")
    password: SecretStr | None = key(None, "Password.")
    db: int = key(0, "Database number.", ge=0)
    cluster: bool = key(False, "Whether it is a Redis Cluster.")
    sentinel: SentinelSettings = section(SentinelSettings, "Redis Sentinel.")


class QueueSettings(Section):
    """The durable journal of messages."""

    type: Literal["sqlite", "redis"] = key("sqlite", "Where the journal is kept.", inert=True)
    database_path: FilePath = key("/var/lib/pacs_bridge/queue.db", "The SQLite file.")
    url: str | None = key(None, "Database URL (PostgreSQL) instead of `database_path`.", inert=True)
    redis: RedisSettings = section(RedisSettings, "Redis of `type: redis`.", inert=True)
    max_queue_size: PositiveInt = key(
        50_000,
        "Accepted but unhandled messages. Above 80 % the listener stops reading.",
    )
    min_free_disk: Size = key(
        ByteSize(256 * 1024 * 1024),
        "Free bytes below which nothing more is accepted, so that what was can be finished.",
    )
    duplicate_window: Seconds = key(
        72 * 3600.0, "For how long a message sent again gets its stored answer."
    )
    body_retention: PositiveSeconds = key(
        14 * 86400.0, "How long the text of handled messages is kept."
    )
    metadata_retention: PositiveSeconds = key(
        90 * 86400.0, "How long it is remembered that there was a message."
    )
    cleanup_interval: PositiveSeconds = key(300.0, "Time between two removals of what is old.")
    max_retry_count: PositiveInt = key(5, "Attempts of a delivery.", inert=True)
    initial_retry_delay: PositiveSeconds = key(5.0, "Wait before the second.", inert=True)
    retry_backoff_multiplier: float = key(
        2.0, "Factor from one wait to the next.", inert=True, ge=1, le=100
    )
    max_retry_delay: PositiveSeconds = key(600.0, "Longest wait.", inert=True)
    message_ttl: PositiveSeconds = key(
        86400.0, "Age at which an undelivered message is alarmed.", inert=True
    )
    worker_count: PositiveInt = key(4, "Deliveries at the same time.", inert=True, le=1024)
    batch_size: PositiveInt = key(10, "Messages fetched for delivery at once.", inert=True)
    enable_wal: Annotated[bool, AfterValidator(_always)] = key(
        True, "Write-ahead logging; always on, as durability depends on it."
    )


class WorklistSettings(Section):
    """The worklist."""

    max_age: PositiveSeconds = key(
        7 * 86400.0,
        "Steps not performed this long after their start, or their last change, are hidden.",
    )


class PatientCacheSettings(Section):
    """Patients held in memory; the table on disk is never cut."""

    max_entries: PositiveInt = key(10_000, "Patients held at the same time.")
    ttl: PositiveSeconds = key(3600.0, "How long one is held after its last use.")
    evict_on_full: bool = key(
        True, "When full, drop the one not used for longest; otherwise hold no more."
    )
