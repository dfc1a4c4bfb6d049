"""PACS Bridge as a running service: its parts put together, started, watched, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import apsw
import uvloop

from vitalbridge import __version__
from vitalbridge.bridge import rules as configured
from vitalbridge.bridge.control import Control, control_path
from vitalbridge.bridge.errors import ErrorCode
from vitalbridge.bridge.handlers import handle, subjects
from vitalbridge.bridge.health_http import DeepResult, health_app
from vitalbridge.bridge.intake import Intake
from vitalbridge.bridge.metrics import BridgeMetrics
from vitalbridge.bridge.observers import AcceptanceObserver, ConnectionObserver, HandlingObserver
from vitalbridge.bridge.pacs_watch import PacsWatch, in_own_thread
from vitalbridge.bridge.probes import ServiceProbes
from vitalbridge.bridge.settings import ConfigurationError, inert_keys, load
from vitalbridge.bridge.store.database import Database, Readers
from vitalbridge.bridge.store.files import StoreError
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.retention import hide_overdue, purge
from vitalbridge.bridge.store.worklist_source import SqlWorklistSource
from vitalbridge.bridge.store.writer import Writer
from vitalbridge.bridge.worklist_edge import WorklistObserver, server_options
from vitalbridge.dicom.echo import echo
from vitalbridge.dicom.server import WorklistServer
from vitalbridge.hl7 import Message
from vitalbridge.hl7.mllp import Limits, MllpError, MllpServer, server_context
from vitalbridge.runtime.http import HttpServer
from vitalbridge.runtime.logs import start_logs
from vitalbridge.runtime.process import ExitCode, notify, notify_reloading
from vitalbridge.runtime.signals import on_signals, release_signals

if TYPE_CHECKING:
    from vitalbridge.bridge.model import Effect
    from vitalbridge.bridge.settings import Settings
    from vitalbridge.bridge.store.journal import Pending
    from vitalbridge.bridge.store.state import SqlState
    from vitalbridge.runtime.logs import Logs

log = logging.getLogger("bridge")

PAUSE_ABOVE = 0.8
RESUME_BELOW = 0.7
WATCH_SECONDS = 0.25
DISK_CHECK_SECONDS = 5.0
DRAIN_SECONDS = 3.0
WORKLIST_STOP_SECONDS = 1.5
WRITER_STOP_SECONDS = 2.5
THREAD_SWITCH_SECONDS = 0.0005
"""The event loop must get the interpreter soon after a packet, also while a handler computes."""


class StartError(Exception):
    """The service can't start; the text says why in one line."""


class Bridge:
    """All parts of one running instance."""

    def __init__(self, settings: Settings, config_path: Path | None, logs: Logs) -> None:
        self.settings = settings
        self.config_path = config_path
        self.logs = logs
        self.metrics = BridgeMetrics()
        self.ready = False
        self.stopping = asyncio.Event()
        self.started = time.monotonic()
        queue = settings.queue
        self.database = Database(Path(queue.database_path))
        namespace = self.database.connection.execute(
            "SELECT uid_namespace FROM installation WHERE id = 1"
        ).get
        self.uid_namespace: str = namespace
        self.cache = PatientCache(
            settings.patient_cache.max_entries,
            settings.patient_cache.ttl,
            settings.patient_cache.evict_on_full,
        )
        self.readers = Readers(self.database.path)
        self.source = SqlWorklistSource(
            self.readers,
            timedelta(seconds=settings.worklist.max_age),
            ZoneInfo(settings.mapping.timezone),
        )
        self.handling = HandlingObserver(self.metrics)
        self._apply_rules(settings)
        hold = settings.policy.same_order_after_error == "hold"
        self.writer = Writer(
            self.database,
            self.cache,
            self._process,
            subjects if hold else None,
            self._reload_message,
            self.handling,
            queue.duplicate_window,
        )
        self.intake = Intake(
            configured.intake_rules(settings, self.rules),
            self.writer.submit,
            lambda: self.writer.unhandled,
            AcceptanceObserver(self.metrics, self._adapt_to_load),
        )
        self.listener: MllpServer | None = None
        self.paused = False
        self.disk_free: int | None = None
        self.pacs = PacsWatch(settings.pacs, self.metrics)
        self.worklist: WorklistServer | None = None
        self.http: HttpServer | None = None
        self.control: Control | None = None
        self.tasks: list[asyncio.Task[None]] = []

    # -- handling, on the writer's thread -------------------------------------------------------

    def _apply_rules(self, settings: Settings) -> None:
        self.rules = configured.mapping_rules(settings, self.uid_namespace)
        self._context_of = configured.contexts(settings, self.rules)
        self._source_of = configured.sources(settings)

    def _process(self, pending: Pending, state: SqlState) -> list[Effect]:
        return handle(pending.message, self._context_of(pending.sender), state)

    def _reload_message(self, raw: bytes, sender: str) -> Message:
        application, _, facility = sender.partition("|")
        return Message(raw, default_charset=self._source_of(application, facility).charset)

    # -- start ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything; raises StartError with one line when something can't be opened."""
        self.handling.connect(self.intake)
        self._check_disk()
        self.writer.start()
        await self._start_listeners()
        if self.settings.dicom.enabled:
            self._start_worklist()
        health = self.settings.monitoring.health
        probes = ServiceProbes(self)
        self.http = HttpServer(
            health_app(health, probes, version=__version__),
            max_connections=health.max_connections,
            idle_timeout=health.connection_timeout_seconds,
        )
        try:
            await self.http.start(health.bind_address, health.port)
        except OSError as error:
            raise StartError(
                f"health port {health.bind_address}:{health.port}: {error.strerror}"
            ) from error
        self.control = Control(self.database.path, self.writer)
        try:
            await self.control.start()
        except OSError as error:
            raise StartError(
                f"{control_path(self.database.path)}: {error.strerror or error}"
            ) from error
        self.metrics.build.labels(__version__).set(1)
        self.metrics.max_connections.set(self.settings.hl7.listener.max_connections)
        self.tasks = [
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(self._maintain(), name="maintain"),
            asyncio.create_task(self.pacs.run(), name="pacs"),
        ]
        self.ready = True

    def _start_worklist(self) -> None:
        source = self.source
        options = server_options(self.settings)
        server = WorklistServer(source, options, WorklistObserver(self.metrics))
        try:
            server.start()
        except OSError as error:
            raise StartError(
                f"DICOM port {options.bind_address}:{options.port}: {error.strerror}"
            ) from error
        self.worklist = server
        log.info("worklist server started", extra={"port": options.port})

    async def echo_worklist(self) -> DeepResult:
        """Ask our own worklist server for a C-ECHO, as a modality would."""
        dicom = self.settings.dicom
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(dicom.bind_address, dicom.bind_address)
        allowed = dicom.allowed_calling_ae
        result = await in_own_thread(
            lambda: echo(
                address,
                dicom.port,
                calling_ae=allowed[0] if allowed else dicom.ae_title,
                called_ae=dicom.ae_title,
                timeout=2.0,
            )
        )
        return DeepResult(ok=result.ok, details={"port": dicom.port}, reason=result.reason or "")

    async def _start_listeners(self) -> None:
        listener = self.settings.hl7.listener
        limits = Limits(
            max_connections=listener.max_connections,
            max_connections_per_address=listener.connections_per_address,
            max_message_size=int(listener.max_message_size),
            idle_timeout=listener.idle_timeout,
            read_timeout=listener.read_timeout,
            max_unanswered=listener.max_unanswered,
        )
        context = None
        if listener.tls.enabled:
            try:
                context = server_context(
                    str(listener.tls.cert_path),
                    str(listener.tls.key_path),
                    ca=str(listener.tls.ca_path) if listener.tls.ca_path else None,
                    client_auth=listener.tls.client_auth,
                    min_version=listener.tls.min_version,
                )
            except (OSError, MllpError) as error:
                raise StartError(f"Failed to load certificate: {error}") from error
        ports = [(listener.port, context)]
        if context is not None and listener.tls.port is not None:
            ports = [(listener.port, None), (listener.tls.port, context)]
        server = MllpServer(self.intake.receive, limits, ConnectionObserver(self.metrics))
        self.listener = server
        for port, tls in ports:
            try:
                await asyncio.wrap_future(
                    self.writer.run_on_loop(server.start(listener.bind_address, port, ssl=tls))
                )
            except OSError as error:
                raise StartError(
                    f"HL7 port {listener.bind_address}:{port}: {error.strerror}"
                ) from error
            log.info("HL7 listener started", extra={"port": port, "tls": tls is not None})

    # -- while it runs --------------------------------------------------------------------------

    def _adapt_to_load(self) -> None:
        """Stop reading while the queue is nearly full, read again when it has room."""
        load = self.intake.load
        if not self.paused and load > PAUSE_ABOVE:
            self.paused = True
            if self.listener is not None:
                self.listener.pause()
            log.warning(
                "queue nearly full: the listener stops reading",
                extra={"depth": self.writer.unhandled, "error_code": int(ErrorCode.QUEUE_FULL)},
            )
        elif self.paused and load < RESUME_BELOW:
            self.paused = False
            if self.listener is not None:
                self.listener.resume()
            log.info("queue has room: the listener reads again")

    def _tend(self) -> None:
        """Let held messages in or refuse them; on the writer's loop, as everything of intake."""
        self.intake.release_held()
        self._adapt_to_load()

    async def _watch(self) -> None:
        """Look after back-pressure, held messages and the disk reserve."""
        next_disk_check = 0.0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self.writer.loop.call_soon_threadsafe(self._tend)
            now = time.monotonic()
            if now >= next_disk_check:
                next_disk_check = now + DISK_CHECK_SECONDS
                self._check_disk()

    def _check_disk(self) -> None:
        try:
            self.disk_free = shutil.disk_usage(self.database.path.parent).free
        except OSError as error:
            self.disk_free = None
            log.error("free disk space unknown", extra={"reason": error.strerror})
            return
        full = self.disk_free < self.settings.queue.min_free_disk
        if full is not self.intake.disk_full:
            self.intake.disk_full = full
            log.log(
                logging.ERROR if full else logging.INFO,
                "disk reserve reached: no message is accepted" if full else "disk has room again",
                extra={
                    "free_bytes": self.disk_free,
                    "error_code": int(ErrorCode.QUEUE_DISK_RESERVE),
                },
            )

    async def _maintain(self) -> None:
        """Remove what retention says and what is overdue, a little at a time."""
        queue = self.settings.queue
        bodies = timedelta(seconds=queue.body_retention)
        metadata = timedelta(seconds=queue.metadata_retention)

        def remove_some(writer: Writer) -> int:
            return purge(writer, bodies, metadata) + hide_overdue(writer, self.source.oldest())

        while True:
            await asyncio.sleep(queue.cleanup_interval)
            gone = 1
            while gone:
                gone = await asyncio.wrap_future(self.writer.call(remove_some))
                await asyncio.sleep(0.05)

    def reload(self) -> None:
        """Take over the reloadable part of a changed configuration, or keep the old and say why."""
        notify_reloading()
        try:
            new = load(self.config_path, os.environ)
        except ConfigurationError as error:
            self.metrics.config_reloads("refused").inc()
            for problem in error.problems:
                log.error(
                    "configuration not reloaded",
                    extra={
                        "reason": str(problem),
                        "error_code": int(ErrorCode.CONFIG_VALIDATION_ERROR),
                    },
                )
        else:
            self._take_over(new)
            self.metrics.config_reloads("applied").inc()
        notify("READY=1")

    def _take_over(self, new: Settings) -> None:
        old = self.settings
        reloadable = old.model_copy(
            update={
                "mapping": new.mapping,
                "policy": new.policy.model_copy(
                    update={"same_order_after_error": old.policy.same_order_after_error}
                ),
                "logging": old.logging.model_copy(
                    update={
                        "level": new.logging.level,
                        "format": new.logging.format,
                        "include_source_location": new.logging.include_source_location,
                    }
                ),
                "patient_cache": old.patient_cache.model_copy(
                    update={
                        "ttl": new.patient_cache.ttl,
                        "evict_on_full": new.patient_cache.evict_on_full,
                    }
                ),
                "hl7": old.hl7.model_copy(update={"sources": new.hl7.sources}),
            }
        )
        for section in type(new).model_fields:
            if getattr(reloadable, section) != getattr(new, section):
                log.warning("changed setting requires restart", extra={"section": section})
        self.settings = reloadable
        self._apply_rules(reloadable)
        self.source.zone = ZoneInfo(reloadable.mapping.timezone)
        self.intake.rules = configured.intake_rules(reloadable, self.rules)
        self.cache.ttl = reloadable.patient_cache.ttl
        self.cache.evict_on_full = reloadable.patient_cache.evict_on_full
        self.logs.change(
            level=reloadable.logging.level,
            format=reloadable.logging.format,
            source_location=reloadable.logging.include_source_location,
        )
        log.info("configuration reloaded")

    def reopen_log(self) -> None:
        """Open the log file anew, after it was rotated."""
        try:
            self.logs.reopen()
        except OSError as error:
            log.error("log file can't be reopened", extra={"reason": error.strerror})

    # -- stop -----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Answer what is in flight, commit it, and leave one complete database file."""
        self.ready = False
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.listener is not None:
            drained = self.writer.run_on_loop(self.listener.drain(DRAIN_SECONDS))
            await asyncio.wrap_future(drained)
        if self.worklist is not None:
            await asyncio.to_thread(self.worklist.stop, WORKLIST_STOP_SECONDS)
        if self.http is not None:
            await self.http.stop()
        if self.control is not None:
            await self.control.stop()
        if not await asyncio.to_thread(self.writer.stop, WRITER_STOP_SECONDS):
            log.error(
                "the database is still being written: it will be completed at the next start",
                extra={"error_code": int(ErrorCode.QUEUE_DATABASE_ERROR)},
            )
            return
        self.readers.close()
        try:
            self.database.close()
        except (apsw.Error, OSError) as error:
            log.error(
                "the log could not be moved into the database: the next start will",
                extra={
                    "reason": getattr(error, "strerror", None) or type(error).__name__,
                    "error_code": int(ErrorCode.QUEUE_DATABASE_ERROR),
                },
            )


async def _serve(bridge: Bridge) -> int:
    loop = asyncio.get_running_loop()
    try:
        await bridge.start()
    except (StartError, StoreError, OSError) as error:
        _complain(str(error))
        await bridge.stop()
        return ExitCode.FAILED
    on_signals(
        loop,
        stop=bridge.stopping.set,
        reload=bridge.reload,
        reopen_log=bridge.reopen_log,
    )
    log.info(
        "PACS Bridge is ready",
        extra={
            "instance": bridge.settings.server.name,
            "version": __version__,
            "configuration": str(bridge.config_path) if bridge.config_path else "built in",
            "database": str(bridge.database.path),
            "unhandled": bridge.writer.unhandled,
        },
    )
    notify("READY=1")
    gc.collect()
    gc.freeze()
    await _until_stopped(bridge)
    log.info("stopping")
    notify("STOPPING=1")
    release_signals(loop)
    await bridge.stop()
    log.info("stopped")
    return ExitCode.OK


async def _until_stopped(bridge: Bridge) -> None:
    """Wait for the signal to stop; a part that died by itself ends the service too."""
    stopping = asyncio.create_task(bridge.stopping.wait())
    parts = list(bridge.tasks)
    done, _ = await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for part in done:
        if part is not stopping and not part.cancelled() and part.exception() is not None:
            log.error(
                "a part of the service failed",
                extra={"part": part.get_name(), "reason": type(part.exception()).__name__},
            )


def _complain(text: str) -> None:
    log.error("PACS Bridge can't start", extra={"reason": text})
    sys.stderr.write(f"pacs_bridge: {text}\n")


def run(settings: Settings, config_path: Path | None) -> int:
    """Run the service until it is told to stop; return its exit code."""
    logging_settings = settings.logging
    try:
        logs = start_logs(
            level=logging_settings.level,
            format=logging_settings.format,
            file=str(logging_settings.file) if logging_settings.file else None,
            max_file_size_mb=logging_settings.max_file_size_mb,
            max_files=logging_settings.max_files,
            source_location=logging_settings.include_source_location,
        )
    except OSError as error:
        sys.stderr.write(f"pacs_bridge: log file {logging_settings.file}: {error.strerror}\n")
        return ExitCode.FAILED
    for key in inert_keys(settings):
        log.warning("setting has no effect yet", extra={"key": key})
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    # Messages form no reference cycles; looking for some among thousands of them takes its time.
    gc.set_threshold(50_000, 20, 100)
    threading.excepthook = _log_thread_failure

    async def main() -> int:
        try:
            bridge = Bridge(settings, config_path, logs)
        except StoreError as error:
            _complain(str(error))
            return ExitCode.FAILED
        if bridge.database.set_aside is not None:
            log.error(
                "a write-ahead log of another database was moved aside",
                extra={"file": str(bridge.database.set_aside), "error_code": -964},
            )
        return await _serve(bridge)

    try:
        return uvloop.run(main())
    finally:
        with contextlib.suppress(OSError):
            logs.stop()


def _log_thread_failure(arguments: threading.ExceptHookArgs) -> None:
    """A thread that dies takes the service with it: half a service would lose messages."""
    try:
        log.critical(
            "a thread failed: the service ends",
            extra={
                "failed_thread": arguments.thread.name if arguments.thread else "?",
                "reason": arguments.exc_type.__name__,
            },
        )
    finally:
        os.abort()
