"""From HL7 to the worklist: stations, modalities, identifiers, codes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from vitalbridge.bridge.settings.fields import (
    AeTitle,
    Kind,
    Section,
    TimeZone,
    UidRoot,
    key,
    listing,
)

_HL7_FIELD = re.compile(
    r"[A-Z][A-Z0-9]{2}(\[[1-9][0-9]{0,3}\])?"
    r"-[1-9][0-9]{0,3}(\[[1-9][0-9]{0,3}\])?(\.[1-9][0-9]{0,3}){0,2}"
)
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")


def _hl7_field(value: Any) -> str:
    if not isinstance(value, str) or not _HL7_FIELD.fullmatch(value):
        raise PydanticCustomError("hl7_field", "not an HL7 field (write OBR-18 or PID-3.4)")
    return value


def _modality(value: Any) -> str:
    if not isinstance(value, str) or not _MODALITY.fullmatch(value.strip()):
        raise PydanticCustomError(
            "modality", "not a modality: capitals, digits and _, at most 16 (DICOM PS3.5 6.2 CS)"
        )
    return value.strip()


def _stations(value: Any) -> Any:
    listed = value if isinstance(value, list) else [value]
    return [{"ae_title": entry} if isinstance(entry, str) else entry for entry in listed]


Hl7Field = Annotated[str, BeforeValidator(_hl7_field), Kind("HL7 field")]
Modality = Annotated[str, BeforeValidator(_modality), Kind("modality")]


class StationSettings(Section):
    """A scanner. A bare AE title in the list is short for `{ae_title: ...}`."""

    ae_title: AeTitle = key(..., "Its AE title, (0040,0001).")
    station_name: str = key("", "Its name, (0040,0010).", max_length=16)
    location: str = key("", "Where it stands, (0040,0011).", max_length=16)
    default: bool = key(False, "Takes the orders of its modality that name no station.")


Stations = Annotated[list[StationSettings], BeforeValidator(_stations), Field(min_length=1)]
CodeTable = Literal["sex", "priority", "coding_schemes", "body_sites"]


class MappingSettings(Section):
    """How orders become worklist items."""

    timezone: TimeZone = key("UTC", "The site's time zone: the one that worklist times are in.")
    uid_root: UidRoot = key(
        "2.25", "Root of generated UIDs; 2.25 needs no registration (DICOM PS3.5 B.2)."
    )
    institution_name: str = key("", "(0008,0080) where the message gives none.", max_length=64)
    default_patient_id_issuer: str = key(
        "HOSPITAL_MRN", "Issuer of patient ids without an assigning authority.", max_length=64
    )
    accession_sources: list[Hl7Field] = key(
        ["OBR-18", "OBR-3", "ORC-3"],
        "Fields that the accession number is taken from, the first that is not empty.",
        min_length=1,
    )
    long_identifiers: Literal["refuse", "generate"] = key(
        "refuse",
        "An identifier longer than DICOM allows: `refuse` (AE 102) or `generate` a short one"
        " and keep which it stands for. Identifiers are never cut.",
    )
    modality_ae_titles: dict[Modality, Stations] = listing(
        "The scanners of each modality.", kind=dict
    )
    modality_aliases: dict[str, Modality] = key(
        {"XR": "DX"}, "Modality codes of senders that DICOM calls otherwise."
    )
    procedure_to_modality: dict[str, Modality] = listing(
        "Modality by procedure code (OBR-4.1), where OBR-24 is empty.", kind=dict
    )
    custom_field_mappings: dict[Hl7Field, str] = listing(
        "HL7 field to DICOM keyword; `ScheduledProcedureStepSequence.KEYWORD` for the step's own.",
        kind=dict,
    )
    code_tables: dict[CodeTable, dict[str, str]] = listing(
        "Entries laid over the built-in code tables: `sex`, `priority`, `coding_schemes`,"
        " `body_sites`.",
        kind=dict,
    )
