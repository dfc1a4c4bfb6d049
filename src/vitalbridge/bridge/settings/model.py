"""All keys together, and which of those given do nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.bridge.settings.dicom import DicomSettings, PacsSettings
from vitalbridge.bridge.settings.fhir import EmrSettings, FhirSettings
from vitalbridge.bridge.settings.fields import Section, key, listing, section
from vitalbridge.bridge.settings.hl7 import Hl7Settings, RoutingRule
from vitalbridge.bridge.settings.mapping import MappingSettings
from vitalbridge.bridge.settings.operation import (
    AdminSettings,
    LoggingSettings,
    MonitoringSettings,
    ServerSettings,
    TracingSettings,
)
from vitalbridge.bridge.settings.policy import PolicySettings
from vitalbridge.bridge.settings.storage import (
    PatientCacheSettings,
    QueueSettings,
    WorklistSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


class Settings(Section):
    """The whole configuration; an attribute's path is its key."""

    server: ServerSettings = section(ServerSettings, "This instance.")
    hl7: Hl7Settings = section(Hl7Settings, "HL7 v2 over MLLP.")
    pacs: PacsSettings = key(..., "The PACS.")
    dicom: DicomSettings = section(DicomSettings, "The modality worklist server.")
    mapping: MappingSettings = section(MappingSettings, "How orders become worklist items.")
    policy: PolicySettings = section(PolicySettings, "Choices about messages.")
    routing_rules: list[RoutingRule] = listing("Which messages go where.", inert=True)
    queue: QueueSettings = section(QueueSettings, "The durable journal of messages.")
    worklist: WorklistSettings = section(WorklistSettings, "The worklist.")
    patient_cache: PatientCacheSettings = section(
        PatientCacheSettings, "Patients held in memory; the table on disk is never cut."
    )
    logging: LoggingSettings = section(LoggingSettings, "The log.")
    monitoring: MonitoringSettings = section(MonitoringSettings, "Monitoring.")
    fhir: FhirSettings = section(FhirSettings, "The FHIR R4 gateway.", inert=True)
    emr: EmrSettings = section(EmrSettings, "The health record that gets results.", inert=True)
    tracing: TracingSettings = section(TracingSettings, "Distributed traces.", inert=True)
    admin: AdminSettings = section(AdminSettings, "The administration port.", inert=True)


def is_inert(field: FieldInfo) -> bool:
    """Return whether the key is read and checked but changes nothing in this version."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("inert") is True


def inert_keys(settings: Section, prefix: str = "") -> list[str]:
    """Return the keys that were given another value than their default and have no effect yet.

    A section without effect is named as a whole, an entry of a list as ``hl7.sources[0].KEY``.
    """
    return list(_inert(settings, prefix))


def _inert(part: Section, prefix: str) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        if name not in part.model_fields_set:
            continue
        path = f"{prefix}{name}"
        value = getattr(part, name)
        if is_inert(field):
            if value != field.get_default(call_default_factory=True):
                yield path
        elif isinstance(value, Section):
            yield from _inert(value, f"{path}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _inert(item, f"{path}[{index}].")
