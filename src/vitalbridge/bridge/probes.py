"""What the health endpoints ask of the running service, answered from what is there now."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from typing import TYPE_CHECKING

import apsw

from vitalbridge.bridge.certificates import seconds_left
from vitalbridge.bridge.health import (
    CacheState,
    ListenerState,
    PacsState,
    QueueState,
    Snapshot,
    WorklistState,
    per_minute,
)
from vitalbridge.bridge.health_http import DeepCheck, DeepResult
from vitalbridge.bridge.store.files import StoreError, foreign_wals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vitalbridge.bridge.service import Bridge

CONNECT_TIMEOUT = 2.0


def _handshake_only() -> ssl.SSLContext:
    """Return a context that completes a handshake with whatever certificate is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class ServiceProbes:
    """The Probes of one Bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._evictions = (time.monotonic(), 0)
        self._evictions_per_minute = 0.0
        self._reported = (0, 0, 0)

    def snapshot(self) -> Snapshot:
        """Return the state of every part, from memory."""
        bridge = self._bridge
        return Snapshot(
            listener=self._listener(),
            queue=self._queue(),
            pacs=bridge.pacs.state,
            cache=self._cache(),
            worklist=self._worklist(),
        )

    def _listener(self) -> ListenerState:
        bridge = self._bridge
        return ListenerState(
            listening=bridge.listener is not None and not bridge.stopping.is_set(),
            active_connections=bridge.listener.connections if bridge.listener else 0,
            max_connections=bridge.settings.hl7.listener.max_connections,
            paused=bridge.paused,
        )

    def _queue(self) -> QueueState:
        bridge = self._bridge
        writer = bridge.writer
        error = writer.last_error
        if error is None and not writer.is_alive():
            error = "writer is not running"
        return QueueState(
            depth=writer.unhandled,
            threshold=bridge.settings.monitoring.health.queue_depth_threshold,
            dead_letters=writer.dead,
            disk_free=bridge.disk_free,
            disk_reserve=int(bridge.settings.queue.min_free_disk),
            error=error,
            salvage=bool(foreign_wals(bridge.database.path)),
        )

    def _cache(self) -> CacheState:
        cache = self._bridge.cache
        figures = cache.figures
        looked_up = figures.hits + figures.misses
        now = time.monotonic()
        since, evictions = self._evictions
        if now - since >= 60:
            self._evictions_per_minute = per_minute(evictions, figures.evictions, now - since)
            self._evictions = (now, figures.evictions)
        return CacheState(
            entries=len(cache),
            hit_rate=figures.hits / looked_up if looked_up else None,
            evictions_per_minute=self._evictions_per_minute,
            threshold=self._bridge.settings.monitoring.health.cache_evictions_threshold,
        )

    def _worklist(self) -> WorklistState | None:
        bridge = self._bridge
        if not bridge.settings.dicom.enabled:
            return None
        return WorklistState(
            listening=bridge.worklist is not None and not bridge.stopping.is_set(),
            active_associations=bridge.worklist.associations if bridge.worklist else 0,
            max_associations=bridge.settings.dicom.max_associations,
        )

    def ready(self) -> bool:
        """Return whether messages can be taken in."""
        bridge = self._bridge
        return (
            bridge.ready
            and not bridge.stopping.is_set()
            and bridge.writer.is_alive()
            and bridge.writer.last_error is None
            and not bridge.intake.disk_full
        )

    def metrics(self) -> bytes:
        """Return the metrics, with gauges and read-through counters brought up to date."""
        bridge = self._bridge
        metrics = bridge.metrics
        metrics.queue_depth("inbound").set(bridge.writer.unhandled)
        metrics.queue_wal_bytes.set(bridge.database.wal_size())
        metrics.queue_database_bytes.set(bridge.database.path.stat().st_size)
        if bridge.disk_free is not None:
            metrics.queue_disk_free_bytes.set(bridge.disk_free)
        metrics.mwl_entries.set(self._visible_steps())
        metrics.cache_entries.set(len(bridge.cache))
        figures = bridge.cache.figures
        now = (figures.hits, figures.misses, figures.evictions)
        for counter, value, before in zip(
            (metrics.cache_hits, metrics.cache_misses, metrics.cache_evictions),
            now,
            self._reported,
            strict=True,
        ):
            counter.inc(value - before)
        self._reported = now
        tls = bridge.settings.hl7.listener.tls
        if tls.enabled and tls.cert_path is not None:
            left = seconds_left(tls.cert_path)
            if left is not None:
                metrics.certificate_expiry("hl7.listener").set(left)
        return metrics.exposition()

    def _visible_steps(self) -> float:
        """Count the steps that a query can see, from an index of just those; NaN if it fails."""
        try:
            with self._bridge.readers.lend(timeout=0.0) as reader:
                return float(
                    reader.execute(
                        "SELECT count(*) FROM worklist_step INDEXED BY worklist_step_start"
                        " WHERE visible = 1"
                    ).get
                )
        except (StoreError, apsw.Error):
            return math.nan

    def deep(self) -> Mapping[str, DeepCheck]:
        """Return the checks that do real work."""
        checks = {
            "hl7_listener": DeepCheck(self._connect_to_listener, critical=True),
            "message_queue": DeepCheck(self._query_database, critical=True),
            "pacs_connection": DeepCheck(self._ask_pacs),
        }
        if self._bridge.settings.dicom.enabled:
            checks["worklist_server"] = DeepCheck(self._bridge.echo_worklist)
        return checks

    async def _connect_to_listener(self) -> DeepResult:
        """Connect to our own port as a sender would."""
        listener = self._bridge.settings.hl7.listener
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(
            listener.bind_address, listener.bind_address
        )
        tls = _handshake_only() if listener.tls.enabled and listener.tls.port is None else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, writer = await asyncio.open_connection(host, listener.port, ssl=tls)
        except ssl.SSLError:
            # It asked for a client certificate: somebody is there, and speaks TLS.
            return DeepResult(ok=True, details={"port": listener.port})
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            return DeepResult(ok=False, reason=reason)
        writer.close()
        return DeepResult(ok=True, details={"port": listener.port})

    async def _query_database(self) -> DeepResult:
        """Read from the database, and write a commit through the writer."""
        bridge = self._bridge

        def read() -> int:
            with bridge.readers.lend() as reader:
                return int(reader.execute("SELECT count(*) FROM messages").get)

        try:
            depth = await asyncio.to_thread(read)
            commits = await asyncio.wrap_future(
                bridge.writer.call(
                    lambda writer: (
                        writer.state.execute("SELECT commits FROM generation WHERE id = 1").get
                    )
                )
            )
        except (StoreError, OSError, apsw.Error) as error:
            return DeepResult(ok=False, reason=type(error).__name__)
        if bridge.writer.last_error is not None:
            return DeepResult(ok=False, reason=f"Database error: {bridge.writer.last_error}")
        return DeepResult(ok=True, details={"depth": depth, "commits": commits})

    async def _ask_pacs(self) -> DeepResult:
        """Ask the PACS now."""
        result = await self._bridge.pacs.ask()
        state: PacsState = self._bridge.pacs.state
        return DeepResult(
            ok=result.ok, details={"latency_ms": state.latency_ms}, reason=result.reason or ""
        )
