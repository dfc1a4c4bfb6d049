from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from vitalbridge.bridge.health import (
    CacheState,
    ListenerState,
    PacsState,
    QueueState,
    Report,
    Snapshot,
    WorklistState,
    per_minute,
    report,
)

NOW = datetime(2025, 12, 10, 12, 0, 0, 999999, tzinfo=UTC)
LISTENER = ListenerState(listening=True, active_connections=45, max_connections=100)
QUEUE = QueueState(depth=15, threshold=1000, dead_letters=0, disk_free=10**10, disk_reserve=10**8)
PACS = PacsState(
    reachable=True, latency_ms=15.0, last_successful=datetime(2025, 12, 10, 11, 59, 55, tzinfo=UTC)
)
CACHE = CacheState(entries=8500, hit_rate=0.92, evictions_per_minute=0.0, threshold=100)
GOOD = Snapshot(listener=LISTENER, queue=QUEUE, pacs=PACS, cache=CACHE)


def look(**changes: Any) -> Report:
    snapshot = msgspec.structs.replace(GOOD, **changes)
    return report(snapshot, now=NOW, version="1.2.3", uptime=86_400.7)


def test_the_report_of_a_healthy_service() -> None:
    assert msgspec.to_builtins(look()) == {
        "status": "healthy",
        "timestamp": "2025-12-10T12:00:00Z",
        "version": "1.2.3",
        "uptime_seconds": 86_400,
        "components": {
            "hl7_listener": {
                "status": "up",
                "details": {"active_connections": 45, "max_connections": 100},
            },
            "pacs_connection": {
                "status": "up",
                "details": {"latency_ms": 15.0, "last_successful": "2025-12-10T11:59:55Z"},
            },
            "patient_cache": {
                "status": "up",
                "details": {"entries": 8500, "hit_rate": 0.92, "evictions_per_minute": 0.0},
            },
            "message_queue": {
                "status": "up",
                "details": {
                    "depth": 15,
                    "threshold": 1000,
                    "dead_letters": 0,
                    "disk_free_bytes": 10**10,
                },
            },
        },
        "issues": [],
    }


def queue(**changes: Any) -> QueueState:
    return msgspec.structs.replace(QUEUE, **changes)


@pytest.mark.parametrize(
    ("changes", "overall", "component", "status", "issue"),
    [
        (
            {"listener": msgspec.structs.replace(LISTENER, listening=False)},
            "unhealthy",
            "hl7_listener",
            "down",
            "HL7 listener is not listening",
        ),
        (
            {"listener": msgspec.structs.replace(LISTENER, paused=True)},
            "healthy",
            "hl7_listener",
            "up",
            "HL7 listener is not reading: queue nearly full",
        ),
        (
            {"pacs": PacsState(reachable=False, reason="Connection refused")},
            "degraded",
            "pacs_connection",
            "down",
            "Cannot reach PACS: Connection refused",
        ),
        (
            {"pacs": PacsState(reachable=None)},
            "degraded",
            "pacs_connection",
            "degraded",
            "PACS connection: not checked yet",
        ),
        (
            {"cache": msgspec.structs.replace(CACHE, evictions_per_minute=101.0)},
            "degraded",
            "patient_cache",
            "degraded",
            "Patient cache evicts more than 100 entries per minute",
        ),
        (
            {"queue": queue(depth=1001)},
            "degraded",
            "message_queue",
            "degraded",
            "Queue depth exceeds threshold",
        ),
        (
            {"queue": queue(error="disk I/O error")},
            "unhealthy",
            "message_queue",
            "down",
            "Database error: disk I/O error",
        ),
        (
            {"queue": queue(disk_free=10**8 - 1)},
            "unhealthy",
            "message_queue",
            "down",
            "Disk reserve reached: no message is accepted",
        ),
        (
            {"queue": queue(disk_free=None)},
            "degraded",
            "message_queue",
            "degraded",
            "Free disk space unknown",
        ),
        (
            {"queue": queue(salvage=True)},
            "degraded",
            "message_queue",
            "degraded",
            "A write-ahead log of another database was moved aside: run pacs_bridge queue salvage",
        ),
        (
            {"worklist": WorklistState(False, 0, 50)},
            "degraded",
            "worklist_server",
            "down",
            "Worklist server is not listening",
        ),
    ],
)
def test_what_is_wrong_decides_the_status(
    changes: dict[str, Any], overall: str, component: str, status: str, issue: str
) -> None:
    found = look(**changes)
    assert found.status == overall
    assert found.components[component]["status"] == status
    assert found.issues == [issue]


def test_thresholds_themselves_are_fine() -> None:
    assert look(queue=queue(depth=1000, disk_free=10**8)).status == "healthy"
    cache = msgspec.structs.replace(CACHE, evictions_per_minute=100.0)
    assert look(cache=cache).status == "healthy"


def test_what_nobody_knows_is_null_and_said() -> None:
    found = look(listener=None, queue=None, pacs=None, cache=None)
    assert found.status == "unhealthy"
    for component in found.components.values():
        assert set(component["details"].values()) == {None}
    assert found.issues == [
        "HL7 listener: state unknown",
        "PACS connection: not checked yet",
        "Patient cache: state unknown",
        "Message queue: state unknown",
    ]


def test_a_cache_that_was_never_asked_has_no_hit_rate() -> None:
    found = look(cache=msgspec.structs.replace(CACHE, hit_rate=None))
    assert found.components["patient_cache"]["details"]["hit_rate"] is None
    assert found.status == "healthy"


@pytest.mark.parametrize(
    ("values", "rate"), [((0, 10, 30), 20.0), ((5, 5, 1), 0.0), ((9, 3, 60), 0.0), ((0, 9, 0), 0.0)]
)
def test_rates(values: tuple[float, float, float], rate: float) -> None:
    assert per_minute(*values) == rate
