"""Pure maps between HL7 v2 and the DICOM worklist: no clock, no randomness, no storage."""

from .appointments import appointment_from
from .checks import check
from .identifiers import short_id
from .mapping import DEFAULT_RULES, MappingRules, Station
from .orders import orders_from
from .patients import patient_from, patients_merged
from .records import (
    AppointmentRecord,
    OrderRecord,
    PatientIdentifier,
    PatientRecord,
    StepRecord,
)
from .times import event_time, message_time
from .uids import is_instance_uid, new_study_uid

__all__ = [
    "DEFAULT_RULES",
    "AppointmentRecord",
    "MappingRules",
    "OrderRecord",
    "PatientIdentifier",
    "PatientRecord",
    "Station",
    "StepRecord",
    "appointment_from",
    "check",
    "event_time",
    "is_instance_uid",
    "message_time",
    "new_study_uid",
    "orders_from",
    "patient_from",
    "patients_merged",
    "short_id",
]
