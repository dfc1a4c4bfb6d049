"""Whether the service can do its work: one report from what its parts say about themselves.

What is not known is ``None`` in the report and said among the issues; nothing is assumed.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Overall: TypeAlias = Literal["healthy", "degraded", "unhealthy"]
Status: TypeAlias = Literal["up", "degraded", "down"]


class ListenerState(msgspec.Struct, frozen=True):
    """The HL7 listener; ``paused`` while it doesn't read because the queue is nearly full."""

    listening: bool
    active_connections: int
    max_connections: int
    paused: bool = False


class QueueState(msgspec.Struct, frozen=True):
    """The journal. ``error`` is the last database error that hasn't been overcome since.

    ``disk_free`` and ``disk_reserve`` are bytes. ``salvage`` says that a write-ahead log of another
    file was moved aside and waits for the operator.
    """

    depth: int | None
    threshold: int
    dead_letters: int | None
    disk_free: int | None
    disk_reserve: int
    error: str | None = None
    salvage: bool = False


class PacsState(msgspec.Struct, frozen=True):
    """What the last C-ECHO showed. ``reachable`` is ``None`` until there was one."""

    reachable: bool | None
    latency_ms: float | None = None
    last_successful: datetime | None = None
    reason: str | None = None


class CacheState(msgspec.Struct, frozen=True):
    """Patients in memory. ``hit_rate`` is ``None`` while nothing was looked up."""

    entries: int
    hit_rate: float | None
    evictions_per_minute: float
    threshold: int


class WorklistState(msgspec.Struct, frozen=True):
    """The worklist server."""

    listening: bool
    active_associations: int
    max_associations: int


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that the report is made of, as it is now. ``None``: that part can't say."""

    listener: ListenerState | None
    queue: QueueState | None
    pacs: PacsState | None
    cache: CacheState | None
    worklist: WorklistState | None = None
    issues: tuple[str, ...] = ()


class Component(msgspec.Struct):
    """One part in the report."""

    status: Status
    details: dict[str, Any]
    issues: list[str] = []
    critical: bool = False


class Report(msgspec.Struct):
    """The answer of ``/health``."""

    status: Overall
    timestamp: str
    version: str
    uptime_seconds: int
    components: dict[str, dict[str, Any]]
    issues: list[str]


def report(snapshot: Snapshot, *, now: datetime, version: str, uptime: float) -> Report:
    """Return the report. Unhealthy only when messages can't be taken in or kept.

    A PACS that doesn't answer makes the service degraded: messages must still be accepted, so a
    load balancer must not take the instance out.
    """
    components = {
        "hl7_listener": _listener(snapshot.listener),
        "pacs_connection": _pacs(snapshot.pacs),
        "patient_cache": _cache(snapshot.cache),
        "message_queue": _queue(snapshot.queue),
    }
    if snapshot.worklist is not None:
        components["worklist_server"] = _worklist(snapshot.worklist)
    issues = [issue for part in components.values() for issue in part.issues]
    return Report(
        status=_overall(components.values(), snapshot.issues),
        timestamp=timestamp(now),
        version=version,
        uptime_seconds=int(uptime),
        components={
            name: {"status": part.status, "details": part.details}
            for name, part in components.items()
        },
        issues=[*issues, *snapshot.issues],
    )


def timestamp(moment: datetime) -> str:
    """Return ``2025-12-10T12:00:00Z`` of an aware UTC time."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def per_minute(earlier: float, later: float, seconds: float) -> float:
    """Return the rate per minute of a counter that went from ``earlier`` to ``later``."""
    if seconds <= 0 or not math.isfinite(seconds):
        return 0.0
    return max(0.0, later - earlier) * 60 / seconds


def _overall(parts: Iterable[Component], issues: tuple[str, ...]) -> Overall:
    listed = list(parts)
    if any(part.status == "down" and part.critical for part in listed):
        return "unhealthy"
    if issues or any(part.status != "up" for part in listed):
        return "degraded"
    return "healthy"


def _unknown(what: str, *names: str) -> Component:
    return Component("degraded", dict.fromkeys(names), [f"{what}: state unknown"])


def _listener(state: ListenerState | None) -> Component:
    if state is None:
        unknown = _unknown("HL7 listener", "active_connections", "max_connections")
        unknown.status, unknown.critical = "down", True
        return unknown
    details: dict[str, Any] = {
        "active_connections": state.active_connections,
        "max_connections": state.max_connections,
    }
    if not state.listening:
        return Component("down", details, ["HL7 listener is not listening"], critical=True)
    if state.paused:
        details["paused"] = True
        return Component("up", details, ["HL7 listener is not reading: queue nearly full"])
    return Component("up", details)


def _pacs(state: PacsState | None) -> Component:
    if state is None or state.reachable is None:
        unknown = _unknown("PACS connection", "latency_ms", "last_successful")
        unknown.issues = ["PACS connection: not checked yet"]
        return unknown
    last = timestamp(state.last_successful) if state.last_successful else None
    details: dict[str, Any] = {"latency_ms": state.latency_ms, "last_successful": last}
    if state.reachable:
        return Component("up", details)
    details["reason"] = state.reason
    text = f"Cannot reach PACS: {state.reason}" if state.reason else "Cannot reach PACS"
    return Component("down", details, [text])


def _cache(state: CacheState | None) -> Component:
    if state is None:
        return _unknown("Patient cache", "entries", "hit_rate")
    details = {
        "entries": state.entries,
        "hit_rate": None if state.hit_rate is None else round(state.hit_rate, 4),
        "evictions_per_minute": round(state.evictions_per_minute, 1),
    }
    if state.evictions_per_minute > state.threshold:
        text = f"Patient cache evicts more than {state.threshold} entries per minute"
        return Component("degraded", details, [text])
    return Component("up", details)


def _queue(state: QueueState | None) -> Component:
    if state is None:
        unknown = _unknown("Message queue", "depth", "threshold", "dead_letters")
        unknown.status, unknown.critical = "down", True
        return unknown
    details: dict[str, Any] = {
        "depth": state.depth,
        "threshold": state.threshold,
        "dead_letters": state.dead_letters,
        "disk_free_bytes": state.disk_free,
    }
    if state.error is not None:
        details["error"] = state.error
        return Component("down", details, [f"Database error: {state.error}"], critical=True)
    if state.disk_free is not None and state.disk_free < state.disk_reserve:
        text = "Disk reserve reached: no message is accepted"
        return Component("down", details, [text], critical=True)
    issues = _queue_issues(state)
    return Component("degraded" if issues else "up", details, issues)


def _queue_issues(state: QueueState) -> list[str]:
    issues = []
    if state.depth is None:
        issues.append("Queue depth unknown")
    elif state.depth > state.threshold:
        issues.append("Queue depth exceeds threshold")
    if state.dead_letters is None:
        issues.append("Number of dead letters unknown")
    if state.disk_free is None:
        issues.append("Free disk space unknown")
    if state.salvage:
        issues.append(
            "A write-ahead log of another database was moved aside: run pacs_bridge queue salvage"
        )
    return issues


def _worklist(state: WorklistState) -> Component:
    details = {
        "active_associations": state.active_associations,
        "max_associations": state.max_associations,
    }
    if not state.listening:
        return Component("down", details, ["Worklist server is not listening"])
    return Component("up", details)
