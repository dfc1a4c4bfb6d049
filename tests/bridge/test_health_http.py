from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from vitalbridge.bridge import health_http
from vitalbridge.bridge.health import (
    CacheState,
    ListenerState,
    PacsState,
    QueueState,
    Snapshot,
)
from vitalbridge.bridge.health_http import DeepCheck, DeepResult, health_app
from vitalbridge.bridge.metrics import BridgeMetrics
from vitalbridge.bridge.settings.operation import HealthSettings
from vitalbridge.runtime.http import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

GOOD = Snapshot(
    listener=ListenerState(listening=True, active_connections=1, max_connections=100),
    queue=QueueState(depth=0, threshold=1000, dead_letters=0, disk_free=10**10, disk_reserve=1),
    pacs=PacsState(reachable=True, latency_ms=2.5, last_successful=datetime.now(UTC)),
    cache=CacheState(entries=0, hit_rate=None, evictions_per_minute=0, threshold=100),
)


@dataclass
class Bench:
    """A service whose state the test decides."""

    state: Snapshot = GOOD
    usable: bool = True
    checks: dict[str, DeepCheck] = field(default_factory=dict)
    counted: BridgeMetrics = field(default_factory=BridgeMetrics)
    url: str = ""

    def snapshot(self) -> Snapshot:
        return self.state

    def ready(self) -> bool:
        return self.usable

    def metrics(self) -> bytes:
        return self.counted.exposition()

    def deep(self) -> Mapping[str, DeepCheck]:
        return self.checks

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(self.url + path)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async for made in _serve(HealthSettings()):
        yield made


async def _serve(settings: HealthSettings) -> AsyncIterator[Bench]:
    made = Bench()
    server = HttpServer(health_app(settings, made, version="1.2.3"))
    made.url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    yield made
    await server.stop()


def changed(**parts: Any) -> Snapshot:
    return msgspec.structs.replace(GOOD, **parts)


async def test_healthy_is_200(bench: Bench) -> None:
    answer = await bench.get("/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (body["status"], body["version"]) == ("healthy", "1.2.3")
    assert set(body["components"]) == {
        "hl7_listener",
        "pacs_connection",
        "patient_cache",
        "message_queue",
    }


async def test_pacs_down_is_degraded_and_200(bench: Bench) -> None:
    bench.state = changed(pacs=PacsState(reachable=False, reason="Connection timeout"))
    answer = await bench.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["components"]["pacs_connection"]["status"] == "down"


async def test_unhealthy_is_503(bench: Bench) -> None:
    assert GOOD.queue is not None
    bench.state = changed(queue=msgspec.structs.replace(GOOD.queue, error="locked"))
    answer = await bench.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"


async def test_live_is_200_even_when_nothing_works(bench: Bench) -> None:
    bench.state, bench.usable = Snapshot(None, None, None, None), False
    assert (await bench.get("/health/live")).status_code == 200


@pytest.mark.parametrize(("usable", "status"), [(True, 200), (False, 503)])
async def test_ready(bench: Bench, usable: bool, status: int) -> None:
    bench.usable = usable
    assert (await bench.get("/health/ready")).status_code == status


async def test_metrics_are_the_text_format(bench: Bench) -> None:
    bench.counted.messages_received("ADT^A01").inc(3)
    answer = await bench.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'hl7_messages_received_total{message_type="ADT^A01"} 3.0' in answer.text
    assert len(list(text_string_to_metric_families(answer.text))) > 40


async def test_paths_follow_the_settings() -> None:
    settings = HealthSettings(base_path="/status", enable_metrics_endpoint=False)
    async for made in _serve(settings):
        assert (await made.get("/status/live")).status_code == 200
        assert (await made.get("/health")).status_code == 404
        assert (await made.get("/metrics")).status_code == 404


async def _good() -> DeepResult:
    return DeepResult(ok=True, details={"rows": 7})


async def _refused() -> DeepResult:
    raise ConnectionRefusedError(111, "Connection refused")


async def _odd() -> DeepResult:
    return DeepResult(ok=False, reason="Association rejected")


async def test_deep_runs_its_checks(bench: Bench) -> None:
    bench.checks = {"message_queue": DeepCheck(_good, critical=True)}
    answer = await bench.get("/health/deep")
    assert answer.status_code == 200
    part = answer.json()["components"]["message_queue"]
    assert part["status"] == "up"
    assert part["details"]["rows"] == 7
    assert part["details"]["duration_ms"] >= 0


@pytest.mark.parametrize(
    ("check", "status", "overall", "issue"),
    [
        (DeepCheck(_odd), 200, "degraded", "part: Association rejected"),
        (DeepCheck(_odd, critical=True), 503, "unhealthy", "part: Association rejected"),
        (DeepCheck(_refused), 200, "degraded", "part: ConnectionRefusedError"),
    ],
)
async def test_deep_says_what_failed(
    bench: Bench, check: DeepCheck, status: int, overall: str, issue: str
) -> None:
    bench.checks = {"fine": DeepCheck(_good, critical=True), "part": check}
    answer = await bench.get("/health/deep")
    assert answer.status_code == status
    assert answer.json()["status"] == overall
    assert answer.json()["issues"] == [issue]


async def test_deep_waits_for_nobody_forever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging() -> DeepResult:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(health_http, "DEEP_TIME_LIMIT", 0.1)
    bench.checks = {"hl7_listener": DeepCheck(hanging, critical=True)}
    answer = await bench.get("/health/deep")
    assert answer.status_code == 503
    assert answer.json()["issues"] == ["hl7_listener: no answer within 0.1 s"]


async def test_the_overall_report_does_not_wait_for_deep_checks(bench: Bench) -> None:
    release = asyncio.Event()

    async def slow() -> DeepResult:
        await release.wait()
        return DeepResult(ok=True)

    bench.checks = {"pacs_connection": DeepCheck(slow)}
    deep = asyncio.create_task(bench.get("/health/deep"))
    begin = time.perf_counter()
    assert (await bench.get("/health")).status_code == 200
    assert time.perf_counter() - begin < 1
    assert not deep.done()
    release.set()
    assert (await deep).status_code == 200
