"""The figures that PACS Bridge publishes. Every series exists from the start, at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from vitalbridge.bridge.errors import ERROR_TYPES
from vitalbridge.runtime.metrics import LATENCY_BUCKETS, Labelled, exposition, new_registry

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADT = "A01 A02 A03 A04 A05 A06 A07 A08 A11 A12 A13 A18 A28 A31 A34 A36 A37 A39 A40 A47"
_SIU = "S12 S13 S14 S15 S16 S17 S18 S19 S20 S21 S22 S23 S24 S26"
MESSAGE_TYPES = (
    *(f"ADT^{trigger}" for trigger in _ADT.split()),
    "ORM^O01",
    "OMI^O23",
    "OMG^O19",
    *(f"SIU^{trigger}" for trigger in _SIU.split()),
    "ORU^R01",
    "other",
)
"""Label values of ``message_type``; whatever else arrives is counted as ``other``."""

ACK_CODES = ("AA", "AE", "AR", "CA", "CE", "CR")
CONNECTION_ERRORS = ("refused", "tls", "timeout", "slow", "frame", "oversize", "reset", "other")
"""A connection turned away, one that was ended, a frame that was lost or too large."""
INBOUND = "inbound"
_MOST_SOURCES = 200
_MOST_DESTINATIONS = 200
_MOST_FILES = 50


class BridgeMetrics:
    """All metrics of one process. Attributes with labels are called with the label values.

    ``metrics.messages_received("ADT^A01").inc(40)`` counts forty messages at once.
    """

    def __init__(self, destinations: Iterable[str] = ()) -> None:
        """``destinations`` are those configured; ``inbound`` is always there."""
        self.registry = new_registry()
        self._hl7()
        self._mllp()
        self._queue((INBOUND, *destinations))
        self._worklist()
        self._rest()
        self._traces()

    def exposition(self) -> bytes:
        """Return everything in the Prometheus text format, version 0.0.4."""
        # Scrapers know this counter without the suffix that the client library insists on.
        return exposition(self.registry).replace(
            b"# TYPE mllp_total_connections gauge", b"# TYPE mllp_total_connections counter", 1
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=LATENCY_BUCKETS, registry=self.registry)

    def _hl7(self) -> None:
        types = [(name,) for name in MESSAGE_TYPES]
        self.messages_received = Labelled(
            self._counter("hl7_messages_received", "Messages taken in.", "message_type"), types
        )
        self.messages_sent = Labelled(
            self._counter("hl7_messages_sent", "Messages sent.", "message_type"), types
        )
        self.processing_duration = Labelled(
            self._histogram(
                "hl7_message_processing_duration_seconds",
                "From the arrival of a message to its effects being stored.",
                "message_type",
            ),
            types,
        )
        self.ack_duration = self._histogram(
            "hl7_ack_duration_seconds", "From the arrival of a message to its acknowledgement."
        )
        self.message_errors = Labelled(
            self._counter(
                "hl7_message_errors",
                "Messages that were refused or failed.",
                "message_type",
                "error_type",
            ),
            [(name, kind) for name in MESSAGE_TYPES for kind in ERROR_TYPES],
        )
        self.acks_sent = Labelled(
            self._counter("hl7_ack_sent", "Acknowledgements sent.", "ack_code"),
            [(code,) for code in ACK_CODES],
        )
        self.duplicates = self._counter(
            "hl7_messages_duplicate", "Messages sent again that got their stored answer."
        )
        self.refused = self._counter(
            "hl7_messages_refused", "Messages answered AE, AR, CE or CR: kept, without effect."
        )
        self.stale = self._counter(
            "hl7_messages_stale", "Messages without effect because a newer one was there already."
        )
        self.last_message_timestamp = Labelled(
            self._gauge(
                "hl7_last_message_timestamp_seconds", "When a source last sent anything.", "source"
            ),
            limit=_MOST_SOURCES,
        )

    def _mllp(self) -> None:
        self.active_connections = self._gauge("mllp_active_connections", "Open connections.")
        self.max_connections = self._gauge(
            "mllp_max_connections", "Connections that may be open at the same time."
        )
        self.total_connections = self._gauge("mllp_total_connections", "Connections accepted.")
        self.connection_errors = Labelled(
            self._counter(
                "mllp_connection_errors", "Connections refused or ended by an error.", "error_type"
            ),
            [(kind,) for kind in CONNECTION_ERRORS],
        )
        self.stray_bytes = self._counter("mllp_stray_bytes", "Bytes outside of any frame.")

    def _queue(self, destinations: tuple[str, ...]) -> None:
        known = [(name,) for name in destinations]

        def counted(name: str, text: str) -> Labelled[Counter]:
            counter = self._counter(name, text, "destination")
            return Labelled(counter, known, limit=_MOST_DESTINATIONS)

        self.queue_depth = Labelled(
            self._gauge("queue_depth", "Messages waiting.", "destination"),
            known,
            limit=_MOST_DESTINATIONS,
        )
        self.queue_enqueued = counted("queue_messages_enqueued", "Messages put in the queue.")
        self.queue_delivered = counted(
            "queue_messages_delivered", "Messages handled or acknowledged by their destination."
        )
        self.queue_failures = counted("queue_delivery_failures", "Attempts that failed.")
        self.queue_dead_letters = counted("queue_dead_letters", "Messages given up.")
        self.queue_retries = counted("queue_retry", "Attempts after the first.")
        self.queue_wal_bytes = self._gauge(
            "queue_wal_bytes", "Size of the write-ahead log; a long reader keeps it growing."
        )
        self.queue_database_bytes = self._gauge(
            "queue_database_bytes", "Size of the queue database."
        )
        self.queue_disk_free_bytes = self._gauge(
            "queue_disk_free_bytes", "Free space where the queue database is."
        )
        self.queue_commit_duration = self._histogram(
            "queue_commit_duration_seconds", "Time of a durable group commit."
        )
        self.queue_commit_messages = self._counter(
            "queue_committed_messages", "Messages in all group commits."
        )

    def _worklist(self) -> None:
        self.mwl_created = self._counter("mwl_entries_created", "Worklist steps created.")
        self.mwl_updated = self._counter("mwl_entries_updated", "Worklist steps changed.")
        self.mwl_cancelled = self._counter("mwl_entries_cancelled", "Worklist steps cancelled.")
        self.mwl_entries = self._gauge("mwl_entries", "Worklist steps that a query can see.")
        self.mwl_query_duration = self._histogram(
            "mwl_query_duration_seconds", "Time of a worklist query."
        )
        self.mwl_query_results = self._counter("mwl_query_results", "Items answered to queries.")
        self.mwl_query_failures = self._counter(
            "mwl_query_failures", "Queries answered with a failure status."
        )
        self.mwl_unmapped_modality = self._counter(
            "mwl_unmapped_modality", "Steps whose modality is not known (OT)."
        )
        self.mwl_transliterated = self._counter(
            "mwl_transliterated_values",
            "Values rewritten because the modality's character set lacks a character.",
        )
        self.dicom_associations = self._gauge("dicom_active_associations", "Open associations.")
        self.dicom_rejected = self._counter("dicom_associations_rejected", "Associations rejected.")

    def _rest(self) -> None:
        self.pacs_status = self._gauge(
            "pacs_connection_status", "1 while the PACS answers C-ECHO, else 0."
        )
        self.pacs_echo_duration = self._histogram(
            "pacs_echo_duration_seconds", "Time of a C-ECHO to the PACS."
        )
        self.cache_entries = self._gauge("patient_cache_entries", "Patients held in memory.")
        self.cache_hits = self._counter("patient_cache_hits", "Patients found in memory.")
        self.cache_misses = self._counter("patient_cache_misses", "Patients not found in memory.")
        self.cache_evictions = self._counter(
            "patient_cache_evictions", "Patients dropped from memory because it was full."
        )
        self.certificate_expiry = Labelled(
            self._gauge(
                "certificate_expiry_seconds", "Time until a certificate expires.", "certificate"
            ),
            limit=_MOST_FILES,
        )
        self.config_reloads = Labelled(
            self._counter("config_reloads", "Reloads of the configuration.", "outcome"),
            [("applied",), ("refused",)],
        )
        self.fhir_active_requests = self._gauge("fhir_active_requests", "Requests being answered.")
        self.fhir_requests = Labelled(
            self._counter("fhir_requests", "FHIR requests.", "method", "resource"),
            [("GET", "metadata")],
            limit=_MOST_DESTINATIONS,
        )
        self.build = self._gauge("pacs_bridge_info", "The running version; always 1.", "version")

    def _traces(self) -> None:
        self.spans_created = self._counter(
            "trace_spans_created", "Spans begun.", "operation", "kind"
        )
        self.spans_ended = self._counter(
            "trace_spans_ended", "Spans finished.", "operation", "status"
        )
        self.span_duration = self._histogram(
            "trace_span_duration_seconds", "Duration of spans.", "operation"
        )
        self.spans_dropped = self._counter("trace_spans_dropped", "Spans lost for want of room.")
        self.span_queue_depth = self._gauge("trace_queue_depth", "Spans waiting to be sent.")
        self.span_batch_size = Histogram(
            "trace_export_batch_size",
            "Spans sent at once.",
            buckets=(1, 8, 32, 128, 512, 2048),
            registry=self.registry,
        )
        self.span_export_duration = self._histogram(
            "trace_export_duration_seconds", "Time of sending spans."
        )
        self.span_export_errors = self._counter(
            "trace_export_errors", "Spans that could not be sent.", "error_type"
        )
