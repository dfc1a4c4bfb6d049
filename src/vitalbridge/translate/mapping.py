"""What a site may decide about the way from HL7 to the worklist."""

from __future__ import annotations

from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from . import tables
from .custom import target
from .paths import field_path
from .uids import check_root


class Station(msgspec.Struct, frozen=True):
    """One modality worklist user: its AE title, (0040,0010) name and (0040,0011) location."""

    ae_title: str
    station_name: str = ""
    location: str = ""
    default: bool = False


class MappingRules(msgspec.Struct, frozen=True):
    """Site configuration of the mapping; every table is whole, not an overlay.

    ``modality_stations``: DICOM modality to its stations. ``procedure_to_modality``: procedure code
    (OBR-4.1, OBR-4.4, OBR-44.1 or AIS-3.1) to modality, used where the message names none.
    ``accession_sources``: HL7 paths, the first that is not empty holds the accession number.
    ``timezone``: the site's IANA zone, in which the worklist's times are. ``uid_root``: ``2.25`` or
    a root of the site's own. ``uid_namespace``: anything that no other installation has; it keeps
    UIDs apart that are derived from equal order numbers. ``custom_fields``: HL7 path to DICOM
    keyword, ``ScheduledProcedureStepSequence.KEYWORD`` for the step's own; it overrides what the
    standard mapping says. ``long_identifiers``: an identifier that DICOM has no room for is refused
    or replaced by a generated one. ``institution_name`` is used where PV1-3.4 is empty, before
    MSH-4. A key of ``body_sites`` is a SNOMED CT code.

    Raises ValueError naming the rule that can't be used.
    """

    modality_stations: dict[str, tuple[Station, ...]] = {}
    procedure_to_modality: dict[str, str] = {}
    modality_aliases: dict[str, str] = msgspec.field(
        default_factory=lambda: dict(tables.MODALITY_ALIASES)
    )
    default_patient_id_issuer: str = "HOSPITAL_MRN"
    accession_sources: tuple[str, ...] = ("OBR-18", "OBR-3", "ORC-3")
    timezone: str = "UTC"
    uid_root: str = "2.25"
    uid_namespace: str = ""
    institution_name: str = ""
    custom_fields: dict[str, str] = {}
    long_identifiers: Literal["refuse", "generate"] = "refuse"
    sex: dict[str, str] = msgspec.field(default_factory=lambda: dict(tables.SEX))
    priority: dict[str, str] = msgspec.field(default_factory=lambda: dict(tables.PRIORITY))
    coding_schemes: dict[str, str] = msgspec.field(
        default_factory=lambda: dict(tables.CODING_SCHEMES)
    )
    body_sites: dict[str, str] = msgspec.field(default_factory=lambda: dict(tables.BODY_SITES))

    def __post_init__(self) -> None:
        check_root(self.uid_root)
        try:
            ZoneInfo(self.timezone)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(f"timezone: {self.timezone!r} is no time zone") from error
        for path in self.accession_sources:
            field_path(path)
        for path, keyword in self.custom_fields.items():
            field_path(path)
            target(keyword)
        for modality, stations in self.modality_stations.items():
            for station in stations:
                if not 1 <= len(station.ae_title.strip()) <= 16 or "\\" in station.ae_title:
                    raise ValueError(f"modality_stations.{modality}: no AE title")


DEFAULT_RULES: Final = MappingRules()
