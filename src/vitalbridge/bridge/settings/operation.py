"""The service itself: its name, logs, health, traces, administration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vitalbridge.bridge.settings.fields import (
    FilePath,
    Host,
    Port,
    PositiveInt,
    PositiveSeconds,
    Seconds,
    Section,
    key,
    section,
)

UrlPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=200)]
LogLevel = Literal["trace", "debug", "info", "warn", "error", "fatal"]


class ServerSettings(Section):
    """This instance."""

    name: str = key("PACS_BRIDGE", "Name of this instance.", min_length=1, max_length=64)
    site: str = key("", "Name of the site.", inert=True)
    dr_mode: Literal["active", "standby"] = key(
        "active", "Part of this site in disaster recovery.", inert=True
    )


class LoggingSettings(Section):
    """The log: one line per event, without personal data."""

    level: LogLevel = key("info", "The least severe level that is written.")
    format: Literal["json", "text"] = key("json", "JSON lines or plain text.")
    file: FilePath | None = key(None, "File to write to; without it only standard output.")
    max_file_size_mb: int = key(
        100, "Size in MiB at which the file is rotated; 0: never (logrotate does).", ge=0
    )
    max_files: int = key(5, "Rotated files kept; 0: no rotation.", ge=0, le=1000)
    include_source_location: bool = key(False, "Add source file and line to each entry.")
    audit_file: FilePath = key("/var/log/pacs_bridge/audit.log", "The audit log.", inert=True)


class HealthSettings(Section):
    """The HTTP port of health and metrics."""

    port: Port = key(8081, "TCP port.")
    bind_address: Host = key("0.0.0.0", "Address that it binds to.")
    base_path: UrlPath = key("/health", "Path of the overall report; live, ready, deep below it.")
    enable_metrics_endpoint: bool = key(True, "Serve Prometheus metrics.")
    metrics_path: UrlPath = key("/metrics", "Path of the metrics.")
    max_connections: PositiveInt = key(100, "Connections open at the same time.")
    connection_timeout_seconds: PositiveInt = key(30, "Idle connections are closed after this.")
    queue_depth_threshold: PositiveInt = key(
        1000, "Queue depth above which `message_queue` is degraded."
    )
    cache_evictions_threshold: PositiveInt = key(
        100, "Evictions per minute above which `patient_cache` is degraded."
    )


class MonitoringSettings(Section):
    """Monitoring."""

    health: HealthSettings = section(HealthSettings, "Health and metrics over HTTP.")


class TraceBatchSettings(Section):
    """How spans are collected before they are sent."""

    max_batch_size: PositiveInt = key(512, "Spans sent at once.")
    max_export_delay: PositiveSeconds = key(5.0, "Longest wait of a span.")
    max_queue_size: PositiveInt = key(2048, "Spans held.")
    retry_count: int = key(3, "Attempts after the first.", ge=0)
    retry_delay: Seconds = key(1.0, "Wait between them.")


class TraceHl7Settings(Section):
    """Trace context inside HL7 messages."""

    enabled: bool = key(False, "Read and write it.")
    strategy: Literal["z_segment", "msh_control_id", "msh_custom_field"] = key(
        "z_segment", "Where it stands."
    )
    segment_name: Annotated[str, Field(pattern="^Z[A-Z0-9]{2}$")] = key("ZTR", "The Z segment.")
    msh_field_index: Annotated[int, Field(ge=22, le=99)] = key(25, "The field of MSH.")


class TracePropagationSettings(Section):
    """How a trace goes on from one system to the next."""

    hl7: TraceHl7Settings = section(TraceHl7Settings, "Inside HL7 messages.")


class TracingSettings(Section):
    """Distributed traces."""

    enabled: bool = key(False, "Record and send traces.")
    service_name: str = key("pacs_bridge", "Name of the service in them.", min_length=1)
    format: Literal[
        "jaeger_thrift", "jaeger_grpc", "zipkin_json", "otlp_grpc", "otlp_http_json"
    ] = key("otlp_grpc", "Protocol of the collector.")
    endpoint: str | None = key(None, "URL of the collector.")
    sample_rate: float = key(1.0, "Share of traces recorded.", ge=0, le=1)
    batch: TraceBatchSettings = section(TraceBatchSettings, "Batches.")
    propagation: TracePropagationSettings = section(TracePropagationSettings, "Propagation.")


class AdminSettings(Section):
    """The administration port."""

    enabled: bool = key(False, "Open it.")
    port: Port = key(8082, "TCP port.")
    bind_address: Host = key("127.0.0.1", "Address that it binds to.")
    base_path: UrlPath = key("/admin", "Path that its pages are under.")
