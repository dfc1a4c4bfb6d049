"""The keys that other documents, examples and sites already use: none of them may disappear."""

from __future__ import annotations

import pytest

from vitalbridge.bridge.settings.reference import rows

KEYS = """
server.name server.site server.dr_mode
hl7.listener.{port bind_address max_connections max_connections_per_address idle_timeout}
hl7.listener.{read_timeout ack_hold max_message_size}
hl7.listener.tls.{enabled port cert_path key_path ca_path client_auth min_version}
hl7.sources[].{match charset timezone processing_ids application_ack_destination}
hl7.outbound[].{name host port message_types priority enabled retry_count retry_delay}
hl7.outbound[].{ack_timeout connections retry_schedule failover_unknown_after}
hl7.outbound[].tls.{enabled ca_path cert_path key_path}
fhir.enabled
fhir.server.{port base_path max_connections request_timeout page_size}
fhir.server.tls.{enabled cert_path key_path}
pacs.{host port ae_title called_ae timeout primary secondary}
pacs.failover.{enabled check_interval failback_delay}
dicom.{enabled port bind_address ae_title allowed_calling_ae max_results max_associations}
dicom.{allowed_addresses require_called_ae idle_timeout}
dicom.peers[].{ae_title character_sets addresses}
mapping.{modality_ae_titles procedure_to_modality default_patient_id_issuer}
mapping.{custom_field_mappings institution_name uid_root timezone accession_sources}
mapping.{modality_aliases code_tables long_identifiers}
mapping.modality_ae_titles.*[].{ae_title station_name location default}
policy.{unknown_order unknown_type same_order_after_error patient_mismatch}
routing_rules[].{name message_type_pattern destination source_pattern priority enabled}
queue.{type url database_path max_queue_size max_retry_count initial_retry_delay}
queue.{retry_backoff_multiplier message_ttl worker_count max_retry_delay batch_size}
queue.{cleanup_interval enable_wal min_free_disk duplicate_window body_retention}
queue.metadata_retention
queue.redis.{host port password db cluster}
queue.redis.sentinel.{enabled master nodes}
worklist.max_age
patient_cache.{max_entries ttl evict_on_full}
logging.{level format file max_file_size_mb max_files include_source_location audit_file}
monitoring.health.{port bind_address base_path enable_metrics_endpoint metrics_path}
monitoring.health.{max_connections connection_timeout_seconds}
tracing.{enabled service_name format endpoint sample_rate}
tracing.batch.{max_batch_size max_export_delay max_queue_size retry_count retry_delay}
tracing.propagation.hl7.{enabled strategy segment_name msh_field_index}
emr.{enabled vendor features}
emr.connection.{base_url timeout max_connections verify_ssl}
emr.auth.type
emr.retry.{max_attempts initial max mult}
emr.cache.{patient_ttl encounter_ttl max}
emr.mapping.{patient_id_system default_performer_id accession_number_system organization_id}
admin.{port bind_address base_path}
"""


def _expanded() -> list[str]:
    keys = []
    for line in KEYS.strip().splitlines():
        head, brace, inside = line.partition("{")
        if brace:
            keys.extend(f"{head}{name}" for name in inside.rstrip("}").split())
        else:
            keys.extend(line.split())
    return keys


@pytest.mark.parametrize("key", _expanded())
def test_the_key_exists(key: str) -> None:
    assert key in {row.path for row in rows()}
