"""What the simulated hospital has: procedures, modalities with their stations, wards, systems."""

from __future__ import annotations

from typing import NamedTuple


class Procedure(NamedTuple):
    """One orderable examination. Texts are HL7-escaped; ``modality`` is what OBR-24 carries."""

    code: str
    text: str
    modality: str


class Station(NamedTuple):
    """One modality: its AE title, name and place (each at most 16 characters: AE and SH)."""

    ae_title: str
    name: str
    location: str


# CPT codes (coding system C4) with texts of our own.
PROCEDURES: tuple[Procedure, ...] = (
    Procedure("71260", "CT chest with contrast", "CT"),
    Procedure("71250", "CT chest without contrast", "CT"),
    Procedure("74177", r"CT abdomen \T\ pelvis with contrast", "CT"),
    Procedure("70450", "CT head without contrast", "CT"),
    Procedure("70551", "MR brain without contrast", "MR"),
    Procedure("72148", "MR lumbar spine", "MR"),
    Procedure("73721", "MR knee", "MR"),
    Procedure("76700", "Ultrasound abdomen", "US"),
    Procedure("76536", "Ultrasound thyroid", "US"),
    Procedure("71046", "Chest X-ray 2 views", "XR"),
    Procedure("73560", "Knee X-ray", "XR"),
    Procedure("72070", "Thoracic spine X-ray", "XR"),
    Procedure("77067", "Screening mammography", "MG"),
    Procedure("78306", "Bone scan whole body", "NM"),
    Procedure("78815", "PET/CT skull base to mid thigh", "PT"),
    Procedure("75710", "Angiography of one leg", "XA"),
    Procedure("74220", "Barium swallow", "RF"),
)

# DICOM modality -> stations. DX is what XR becomes (mapping.modality_aliases).
STATIONS: dict[str, tuple[Station, ...]] = {
    "CT": (
        Station("CT_SCANNER_1", "CT1", "Radiology room 1"),
        Station("CT_SCANNER_2", "CT2", "Emergency room 3"),
    ),
    "MR": (Station("MR_SCANNER_1", "MR1", "Radiology room 5"),),
    "US": (Station("US_ROOM_1", "US1", "Outpatients 2"),),
    "DX": (Station("XRAY_ROOM_1", "DX1", "Radiology room 2"),),
    "MG": (Station("MAMMO_1", "MG1", "Outpatients 7"),),
    "NM": (Station("GAMMA_1", "NM1", "Nuclear medicine"),),
    "PT": (Station("PET_CT_1", "PT1", "Nuclear medicine"),),
    "XA": (Station("ANGIO_1", "XA1", "Catheter lab"),),
    "RF": (Station("FLUORO_1", "RF1", "Radiology room 4"),),
}
MODALITY_ALIASES = {"XR": "DX"}

WARDS = ("3WEST^301^1", "3WEST^304^2", "4EAST^412^1", "ICU^2^1", "EMERGENCY^7", "MATERNITY^210^1")
REASONS = (
    "Persistent cough",
    "Follow-up after surgery",
    "Trauma",
    "Suspected stone",
    "Staging",
    "Pain on exertion",
)
PRIORITIES = ("R", "R", "R", "R", "A", "S")
