"""From what the parts report to metrics and log lines. Nothing here names a patient."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from vitalbridge.bridge.errors import ErrorCode, of_condition
from vitalbridge.bridge.intake import IntakeEvents
from vitalbridge.bridge.store.journal import MessageState, microseconds
from vitalbridge.bridge.store.writer import WriterEvents
from vitalbridge.hl7.mllp import Events as MllpEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitalbridge.bridge.intake import Intake
    from vitalbridge.bridge.metrics import BridgeMetrics
    from vitalbridge.bridge.store.backlog import Committed
    from vitalbridge.bridge.store.journal import Arrival, Handled
    from vitalbridge.hl7.mllp import Peer

connection_log = logging.getLogger("hl7.connection")
message_log = logging.getLogger("hl7.message")
queue_log = logging.getLogger("queue.handling")

TIMEOUTS = {"idle": "timeout", "read": "timeout", "slow_sender": "slow", "write": "timeout"}
WARNINGS = frozenset({"alarm", "warning"})
FRAME_ERRORS = {"oversize": "oversize"}


class ConnectionObserver(MllpEvents):
    """Connections of the MLLP listeners, in metrics and in the log."""

    def __init__(self, metrics: BridgeMetrics) -> None:
        self._metrics = metrics

    def opened(self, peer: Peer) -> None:
        """A connection is established."""
        self._metrics.active_connections.inc()
        self._metrics.total_connections.inc()
        connection_log.info("connection opened", extra={"source": peer.address})

    def closed(self, peer: Peer) -> None:
        """A connection that had been opened is gone."""
        self._metrics.active_connections.dec()
        connection_log.info("connection closed", extra={"source": peer.address})

    def refused(self, peer: Peer, reason: str) -> None:
        """A connection was turned away."""
        tls = reason == "tls_handshake"
        self._metrics.connection_errors("tls" if tls else "refused").inc()
        code = ErrorCode.MLLP_TLS_HANDSHAKE_FAILED if tls else ErrorCode.MLLP_CONNECTION_LIMIT
        connection_log.warning(
            "TLS handshake failed" if tls else "connection refused",
            extra={"source": peer.address, "reason": reason, "error_code": int(code)},
        )

    def timed_out(self, peer: Peer, kind: str) -> None:
        """A connection is closed for being too slow."""
        if kind == "idle":
            return
        self._metrics.connection_errors(TIMEOUTS.get(kind, "timeout")).inc()
        connection_log.warning(
            "connection timed out",
            extra={
                "source": peer.address,
                "reason": kind,
                "error_type": "timeout",
                "error_code": int(ErrorCode.MLLP_RECEIVE_TIMEOUT),
            },
        )

    def stray_bytes(self, count: int) -> None:
        """Bytes outside of any frame were skipped."""
        self._metrics.stray_bytes.inc(count)

    def frame_error(self, kind: str) -> None:
        """A frame was lost or strange."""
        self._metrics.connection_errors(FRAME_ERRORS.get(kind, "frame")).inc()


class AcceptanceObserver(IntakeEvents):
    """Messages on their way in, on the event loop."""

    def __init__(self, metrics: BridgeMetrics, after_commit: Callable[[], None]) -> None:
        """``after_commit`` is called after each answered group, to adapt to the load."""
        self._metrics = metrics
        self._after_commit = after_commit

    def received(self, message_type: str, source: str) -> None:
        """A message arrived."""
        self._metrics.messages_received(message_type).inc()
        # A control character would make the whole exposition "binary" to grep.
        label = source if source.isprintable() else "other"
        self._metrics.last_message_timestamp(label).set(time.time())

    def answered(self, code: str) -> None:
        """An acknowledgement went out."""
        self._metrics.acks_sent(code).inc()

    def refused(self, message_type: str, error_type: str, arrival: Arrival) -> None:
        """A message was answered AE or AR."""
        self._metrics.refused.inc()
        self._metrics.message_errors(message_type, error_type).inc()
        message_log.warning(
            "message refused",
            extra={
                "message_type": message_type,
                "message_id": arrival.control_id,
                "source": arrival.sender,
                "trace_id": arrival.trace_id,
                "ack_code": arrival.ack_code,
                "error_type": error_type,
                "error_code": int(REFUSALS[error_type]),
                "reason": arrival.reason,
            },
        )

    def settled(self, results: Sequence[Committed]) -> None:
        """A group has been committed and answered."""
        metrics = self._metrics
        now = microseconds()
        observe = metrics.ack_duration.observe
        accepted = 0
        for arrival, kind, _ in results:
            observe((now - arrival.received_at) / 1e6)
            if kind == "accepted":
                accepted += 1
            elif kind == "duplicate":
                metrics.duplicates.inc()
        metrics.queue_enqueued("inbound").inc(accepted)
        metrics.queue_commit_messages.inc(len(results))
        self._after_commit()


REFUSALS = {
    "parse": ErrorCode.INVALID_HL7_MESSAGE,
    "validation": ErrorCode.INVALID_FIELD_VALUE,
    "unsupported": ErrorCode.UNKNOWN_MESSAGE_TYPE,
    "size": ErrorCode.MLLP_MESSAGE_TOO_LARGE,
    "queue_full": ErrorCode.QUEUE_FULL,
    "disk": ErrorCode.QUEUE_DISK_RESERVE,
}


class HandlingObserver(WriterEvents):
    """What the writer's thread reports: to the event loop, to metrics, to the log."""

    def __init__(self, metrics: BridgeMetrics) -> None:
        self._metrics = metrics
        self._intake: Intake | None = None

    def connect(self, intake: Intake) -> None:
        """Answers go out through ``intake`` from now on, on the writer's thread."""
        self._intake = intake

    def committed(self, results: list[Committed]) -> None:
        """A transaction with these arrivals is on the disk: they may be answered."""
        if self._intake is not None:
            self._intake.settle(results)

    def handled(self, results: list[Handled]) -> None:
        """The effects of these messages are on the disk."""
        metrics = self._metrics
        created = updated = cancelled = unmapped = done = 0
        for one in results:
            pending, outcome = one.pending, one.outcome
            seconds = (one.handled_at - pending.received_at) / 1e6
            metrics.processing_duration(pending.message_type).observe(seconds)
            created += outcome.created
            updated += outcome.updated
            cancelled += outcome.cancelled
            unmapped += outcome.unmapped
            if one.state is MessageState.DONE:
                done += 1
                for note in one.notes:
                    self._note(one, note.kind, note.text, note.location)
            elif one.state is MessageState.DEAD:
                self._dead(one, seconds)
        metrics.queue_delivered("inbound").inc(done)
        for counter, count in (
            (metrics.mwl_created, created),
            (metrics.mwl_updated, updated),
            (metrics.mwl_cancelled, cancelled),
            (metrics.mwl_unmapped_modality, unmapped),
        ):
            if count:
                counter.inc(count)

    def _note(self, one: Handled, kind: str, text: str, location: str) -> None:
        if kind == "stale":
            self._metrics.stale.inc()
        level = (
            logging.WARNING if kind in ("alarm", "warning", "unmapped_modality") else logging.INFO
        )
        if queue_log.isEnabledFor(level):
            queue_log.log(
                level,
                text,
                extra={
                    "message_type": one.pending.message_type,
                    "message_id": one.pending.control_id,
                    "source": one.pending.sender,
                    "trace_id": one.pending.trace_id,
                    "note": kind,
                    "location": location,
                },
            )

    def _dead(self, one: Handled, seconds: float) -> None:
        pending, outcome = one.pending, one.outcome
        code, error_type = of_condition(outcome.code)
        self._metrics.queue_dead_letters("inbound").inc()
        self._metrics.queue_failures("inbound").inc()
        self._metrics.message_errors(pending.message_type, error_type).inc()
        queue_log.error(
            "Dead letter",
            extra={
                "message_type": pending.message_type,
                "message_id": pending.control_id,
                "source": pending.sender,
                "trace_id": pending.trace_id,
                "processing_time_ms": round(seconds * 1000, 3),
                "error_type": error_type,
                "error_code": int(code),
                "reason": outcome.reason,
                "location": outcome.location,
            },
        )

    def synced(self, seconds: float) -> None:
        """A group commit took so long to reach the disk."""
        self._metrics.queue_commit_duration.observe(seconds)

    def failed(self, error: Exception) -> None:
        """A transaction failed as a whole; the writer has logged it."""
        self._metrics.message_errors("other", "system").inc()
