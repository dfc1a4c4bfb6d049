from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vitalbridge.bridge.errors import ERROR_TYPES
from vitalbridge.bridge.metrics import MESSAGE_TYPES, BridgeMetrics

FAMILIES = re.findall(
    r"\w+",
    """
hl7_messages_received_total hl7_messages_sent_total hl7_message_errors_total hl7_ack_sent_total
mwl_entries_created_total mwl_entries_updated_total mwl_entries_cancelled_total
mwl_query_results_total queue_depth queue_messages_enqueued_total queue_messages_delivered_total
queue_delivery_failures_total queue_dead_letters_total queue_retry_total mllp_active_connections
mllp_total_connections mllp_connection_errors_total fhir_active_requests fhir_requests_total
pacs_connection_status process_cpu_seconds_total process_resident_memory_bytes process_open_fds
process_virtual_memory_bytes process_start_time_seconds patient_cache_entries
patient_cache_hits_total patient_cache_misses_total patient_cache_evictions_total
trace_export_batch_size_count trace_export_duration_seconds_count trace_queue_depth
trace_spans_dropped_total hl7_message_processing_duration_seconds_bucket
mwl_query_duration_seconds_bucket
""",
)


@pytest.fixture
def fresh() -> str:
    return BridgeMetrics(["RIS"]).exposition().decode()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_series_is_there_from_the_start(fresh: str, name: str) -> None:
    assert re.search(rf"^{name}(\{{| )", fresh, re.MULTILINE)


@pytest.mark.parametrize(
    "word", ["queue", "error", "memory", "duration", "mllp_active_connections", "pacs"]
)
def test_what_operators_grep_for_is_found_when_idle(fresh: str, word: str) -> None:
    assert [line for line in fresh.splitlines() if word in line and not line.startswith("#")]


def test_the_exposition_is_valid(fresh: str) -> None:
    types = [line.split()[2] for line in fresh.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    for family in text_string_to_metric_families(fresh):
        labels = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(labels) == len(set(labels)), family.name
    assert not re.search(r"_created[{ ]", fresh)
    assert fresh.endswith("\n")


def test_known_types_start_at_zero(fresh: str) -> None:
    for name in MESSAGE_TYPES:
        assert f'hl7_messages_received_total{{message_type="{name}"}} 0.0' in fresh
        for kind in ERROR_TYPES:
            line = f'hl7_message_errors_total{{error_type="{kind}",message_type="{name}"}} 0.0'
            assert line in fresh


def test_destinations_are_real_ones(fresh: str) -> None:
    found = re.findall(r'^queue_depth\{destination="(.*)"\}', fresh, re.MULTILINE)
    assert found == ["inbound", "RIS"]


def test_the_connection_counter_keeps_its_name(fresh: str) -> None:
    assert "# TYPE mllp_total_connections counter\n" in fresh
    assert "mllp_total_connections 0.0\n" in fresh
    assert "mllp_total_connections_total" not in fresh


def test_buckets_are_cumulative_and_end_at_the_count() -> None:
    metrics = BridgeMetrics()
    series = metrics.processing_duration("ORM^O01")
    for seconds in (0.0005, 0.003, 0.003, 0.2, 99.0):
        series.observe(seconds)
    text = metrics.exposition().decode()
    found = re.findall(
        r'^hl7_message_processing_duration_seconds_bucket\{le="(.*?)",message_type="ORM\^O01"\}'
        r" (.*)$",
        text,
        re.MULTILINE,
    )
    bounds = ["0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5"]
    bounds += ["1.0", "2.5", "5.0", "10.0", "+Inf"]
    assert [bound for bound, _ in found] == bounds
    assert [float(count) for _, count in found] == [1, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]


def test_what_comes_from_the_network_can_not_make_series_without_end() -> None:
    metrics = BridgeMetrics()
    for number in range(1000):
        metrics.messages_received(f"ZZZ^{number}").inc()
        metrics.message_errors(f"ZZZ^{number}", "parse").inc()
        metrics.last_message_timestamp(f"APP{number}|FAC").set(number)
    text = metrics.exposition().decode()
    assert 'hl7_messages_received_total{message_type="other"} 1000.0' in text
    assert text.count("hl7_last_message_timestamp_seconds{") == 201
    assert "ZZZ" not in text
