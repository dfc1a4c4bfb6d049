"""Health and metrics over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from vitalbridge.bridge.health import Report, Snapshot, report, timestamp
from vitalbridge.runtime.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from vitalbridge.bridge.settings.operation import HealthSettings

_log = logging.getLogger("health")

DEEP_TIME_LIMIT = 5.0
_NO_STORE = {"Cache-Control": "no-store"}


class DeepResult(msgspec.Struct, frozen=True):
    """What a check that did real work found; ``reason`` when it is not ``ok``."""

    ok: bool
    details: dict[str, Any] = {}
    reason: str = ""


class DeepCheck(msgspec.Struct, frozen=True):
    """A check that does real work. The service is unhealthy when a ``critical`` one fails."""

    run: Callable[[], Awaitable[DeepResult]]
    critical: bool = False


class Probes(Protocol):
    """What the endpoints ask of the service. All but the deep checks answer at once."""

    def snapshot(self) -> Snapshot:
        """Return the state of every part, from memory."""
        ...

    def ready(self) -> bool:
        """Return whether messages can be taken in: started, not stopping, database usable."""
        ...

    def metrics(self) -> bytes:
        """Return the metrics in text form, with gauges brought up to date."""
        ...

    def deep(self) -> Mapping[str, DeepCheck]:
        """Return the checks that do real work, by component name."""
        ...


def health_app(
    settings: HealthSettings,
    probes: Probes,
    *,
    version: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Starlette:
    """Return the ASGI application of the health port.

    Paths are those of ``settings``: the overall report (200 for healthy and degraded, 503 for
    unhealthy), ``/live`` (200 as long as the event loop runs), ``/ready``, ``/deep`` and metrics.
    """
    started = time.monotonic()

    def current() -> Report:
        uptime = time.monotonic() - started
        return report(probes.snapshot(), now=clock(), version=version, uptime=uptime)

    async def overall(_: Request) -> Response:
        now = current()
        return _json(now, 503 if now.status == "unhealthy" else 200)

    async def live(_: Request) -> Response:
        return _json({"status": "up", "timestamp": timestamp(clock())})

    async def ready(_: Request) -> Response:
        usable = probes.ready()
        body = {"status": "up" if usable else "down", "timestamp": timestamp(clock())}
        return _json(body, 200 if usable else 503)

    async def deep(_: Request) -> Response:
        body = await _deep(probes.deep(), clock)
        return _json(body, 503 if body["status"] == "unhealthy" else 200)

    async def metrics(_: Request) -> Response:
        return Response(probes.metrics(), headers={"Content-Type": CONTENT_TYPE, **_NO_STORE})

    base = settings.base_path
    routes = [
        Route(base, overall),
        Route(f"{base}/live", live),
        Route(f"{base}/ready", ready),
        Route(f"{base}/deep", deep),
    ]
    if settings.enable_metrics_endpoint:
        routes.append(Route(settings.metrics_path, metrics))
    return Starlette(routes=routes)


async def _deep(checks: Mapping[str, DeepCheck], clock: Callable[[], datetime]) -> dict[str, Any]:
    timed = await asyncio.gather(*(_timed(check) for check in checks.values()))
    results = dict(zip(checks, timed, strict=True))
    failed = [name for name, (result, _) in results.items() if not result.ok]
    status = "healthy"
    if failed:
        status = "unhealthy" if any(checks[name].critical for name in failed) else "degraded"
    return {
        "status": status,
        "timestamp": timestamp(clock()),
        "components": {
            name: {
                "status": "up" if result.ok else "down",
                "details": {"duration_ms": round(seconds * 1000, 3), **result.details},
            }
            for name, (result, seconds) in results.items()
        },
        "issues": [f"{name}: {results[name][0].reason}" for name in failed],
    }


async def _timed(check: DeepCheck) -> tuple[DeepResult, float]:
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(DEEP_TIME_LIMIT):
            result = await check.run()
    except TimeoutError:
        result = DeepResult(ok=False, reason=f"no answer within {DEEP_TIME_LIMIT:g} s")
    except Exception as error:  # whatever keeps a check from working is its finding
        _log.exception("deep health check failed", extra={"error_type": "system"})
        result = DeepResult(ok=False, reason=type(error).__name__)
    return result, time.perf_counter() - begin


def _json(body: Report | dict[str, Any], status: int = 200) -> Response:
    content = orjson.dumps(msgspec.to_builtins(body)) + b"\n"
    return Response(content, status, headers={"Content-Type": "application/json", **_NO_STORE})
