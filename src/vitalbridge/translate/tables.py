"""Code tables between HL7 v2 and the worklist: defaults of :class:`MappingRules`, and fixed ones.

Tables that a site may overlay are plain dicts; those that a standard fixes are frozen.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SEX: Final[dict[str, str]] = {"M": "M", "F": "F", "O": "O", "U": "", "A": "O", "N": "O"}
"""HL7 table 0001 to (0010,0040) PatientSex; the empty string means: known to be unknown."""

PRIORITY: Final[dict[str, str]] = {
    "S": "STAT",
    "A": "HIGH",
    "P": "HIGH",
    "T": "HIGH",
    "R": "ROUTINE",
    "C": "MEDIUM",
}
"""HL7 table 0485 to the defined terms of (0040,1003); DICOM PS3.3 C.4.11.

ASAP, preoperative and timing-critical come before routine; a callback sits between the two.
"""

CODING_SCHEMES: Final[dict[str, str]] = {"L": "99LOCAL", "": "99LOCAL"}
"""HL7 table 0396 to coding scheme designators; what isn't here passes unchanged.

The symbols of table 0396 are DICOM's own designators (DICOM PS3.16 chapter 8). A code that names
no system is one that the sites agreed upon.
"""

BODY_SITES: Final[dict[str, str]] = {
    "51185008": "CHEST",
    "818981001": "ABDOMEN",
    "12738006": "BRAIN",
    "421060004": "SPINE",
    "69536005": "HEAD",
    "76752008": "BREAST",
    "64033007": "KIDNEY",
    "10200004": "LIVER",
    "80891009": "HEART",
}
"""SNOMED CT body structures to (0018,0015) BodyPartExamined (DICOM PS3.16 annex L)."""

MODALITY_ALIASES: Final[dict[str, str]] = {"XR": "DX"}

PREGNANCY: Final[Mapping[str, str]] = MappingProxyType({"B6": "3"})
"""HL7 table 0009 to (0010,21C0) PregnancyStatus: 3 is "definitely pregnant"."""

_MODALITIES: Final = """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC
    HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA
    PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT
    RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC
    """
MODALITIES: Final = frozenset(_MODALITIES.split())
"""Defined terms of (0008,0060) Modality (DICOM PS3.3 C.7.3.1.1.1), retired ones left out."""

CREATING: Final = frozenset({"NW", "RO"})
"""Order control codes that make an order; what they leave out gets the documented defaults."""

ORDER_CONTENT: Final = frozenset({"NW", "RO", "XO", "XX", "XR"})
"""Order control codes whose message has to say what is ordered (OBR-4)."""

_ORDER_CONTROL: Final = """
    AF CA CH CN CP CR DC DE DF DR FU HD HR IN LI MC NA NR NW OC OD OE OF OH OK OP OR PA PR PY RA RC
    RD RE RF RI RL RO RP RQ RR RU SA SC SN SQ SR SS UA UC UD UF UH UM UN UR UX XO XR XX
    """
ORDER_CONTROL: Final = frozenset(_ORDER_CONTROL.split())
"""HL7 table 0119, the union of v2.3 to v2.8."""

APPOINTMENT_STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pending": "SCHEDULED",
        "waitlist": "SCHEDULED",
        "booked": "SCHEDULED",
        "overbook": "SCHEDULED",
        "arrived": "ARRIVED",
        "started": "STARTED",
        "complete": "COMPLETED",
        "cancelled": "CANCELLED",
        "deleted": "CANCELLED",
        "noshow": "CANCELLED",
        "dc": "DISCONTINUED",
        "discontinued": "DISCONTINUED",
    }
)
"""HL7 table 0278, lower case and without hyphens, to (0040,0020)."""

APPOINTMENT_TRIGGERS: Final[Mapping[str, str]] = MappingProxyType(
    {"S15": "CANCELLED", "S16": "DISCONTINUED", "S17": "CANCELLED", "S26": "CANCELLED"}
)
"""Events that say by themselves what became of the appointment (HL7 v2.5.1 10.3)."""

MERGE_TRIGGERS: Final = frozenset({"A18", "A34", "A36", "A39", "A40", "A47"})
"""ADT events whose MRG-1 is an identifier that PID-3 takes over (HL7 v2.5.1 3.3)."""

UNLINK: Final = "A37"

PATIENT_NUMBER_TYPES: Final = frozenset({"", "MR", "PI", "PT"})
"""Types of table 0203 that number patients, as against accounts, visits, cards or licences."""

KILOGRAMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kg": "1",
        "g": "0.001",
        "lb": "0.45359237",
        "lbs": "0.45359237",
        "[lb_av]": "0.45359237",
        "oz": "0.028349523125",
        "[oz_av]": "0.028349523125",
    }
)
METRES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "m": "1",
        "cm": "0.01",
        "mm": "0.001",
        "in": "0.0254",
        "[in_i]": "0.0254",
        "ft": "0.3048",
        "[ft_i]": "0.3048",
    }
)
OBSERVATIONS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = MappingProxyType(
    {"29463-7": ("PatientWeight", KILOGRAMS), "8302-2": ("PatientSize", METRES)}
)
"""LOINC code of OBX-3 to the keyword and the factor of each unit, lower case (UCUM, common)."""
