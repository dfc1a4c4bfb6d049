"""Keyword, tag and VR of attributes, and which of them a worklist query may ask for."""

from __future__ import annotations

from functools import cache
from typing import Final

from pydicom import datadict

SPECIFIC_CHARACTER_SET = 0x00080005
STEP_SEQUENCE = "ScheduledProcedureStepSequence"

# Ambiguous entries of the data dictionary: the first alternative is what a worklist carries.
_ALTERNATIVES = " or "


@cache
def tag_and_vr(keyword: str) -> tuple[int, str]:
    """Return (tag, VR) of a keyword (DICOM PS3.6 6); raises ``KeyError`` for an unknown one."""
    tag = datadict.tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag, datadict.dictionary_VR(tag).split(_ALTERNATIVES)[0]


_KNOWN: Final = {
    tag: (keyword, vr.split(_ALTERNATIVES)[0])
    for tag, (vr, _, _, _, keyword) in datadict.DicomDictionary.items()  # type: ignore[attr-defined]
}
_UNKNOWN: Final = ("", "UN")


def keyword_and_vr(tag: int) -> tuple[str, str]:
    """Return (keyword, VR) of a tag; ("", "UN") when it is private or unknown."""
    return _KNOWN.get(tag, _UNKNOWN)


def is_group_length(tag: int) -> bool:
    """Return whether the tag is a (retired) group length (DICOM PS3.5 7.2)."""
    return tag & 0xFFFF == 0


_SCHEDULED_STEP = [
    "ScheduledProcedureStepSequence",
]
_REQUESTED_PROCEDURE = [
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferencedStudySequence",
    "RequestedProcedurePriority",
    "PatientTransportArrangements",
    "ReasonForTheRequestedProcedure",
    "ReasonForRequestedProcedureCodeSequence",
    "RequestedProcedureComments",
    "RequestedProcedureLocation",
    "ConfidentialityCode",
    "ReportingPriority",
    "NamesOfIntendedRecipientsOfResults",
    "IntendedRecipientsOfResultsIdentificationSequence",
    "StudyDescription",
    "StudyID",
]
_SERVICE_REQUEST = [
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "RequestingPhysician",
    "RequestingPhysicianIdentificationSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "OrderFillerIdentifierSequence",
    "ImagingServiceRequestComments",
    "ReasonForTheImagingServiceRequest",
    "IssueDateOfImagingServiceRequest",
    "IssueTimeOfImagingServiceRequest",
    "OrderEnteredBy",
    "OrderEntererLocation",
    "OrderCallbackPhoneNumber",
    "OrderCallbackTelecomInformation",
]
_VISIT = [
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionCodeSequence",
    "InstitutionalDepartmentName",
    "VisitStatusID",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "VisitComments",
    "ReferencedPatientSequence",
    "AdmittingDate",
    "AdmittingTime",
    "ScheduledAdmissionDate",
    "ScheduledAdmissionTime",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "RouteOfAdmissions",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence",
]
_PATIENT = [
    "PatientName",
    "PatientID",
    "TypeOfPatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "MedicalRecordLocator",
    "ReferencedVisitSequence",
    "PatientAlternativeCalendar",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientBirthDateInAlternativeCalendar",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientPrimaryLanguageCodeSequence",
    "EthnicGroup",
    "EthnicGroupCodeSequence",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientTelecomInformation",
    "Occupation",
    "PatientReligiousPreference",
    "MilitaryRank",
    "BranchOfService",
    "CountryOfResidence",
    "RegionOfResidence",
    "PatientComments",
    "PatientSpeciesDescription",
    "ConfidentialityConstraintOnPatientDataDescription",
    "PatientInsurancePlanCodeSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientState",
    "PregnancyStatus",
    "MedicalAlerts",
    "Allergies",
    "SpecialNeeds",
    "AdditionalPatientHistory",
    "LastMenstrualDate",
    "SmokingStatus",
    "PertinentDocumentsSequence",
    "PertinentResourcesSequence",
    "PatientSexNeutered",
    "PatientBodyMassIndex",
    "PatientClinicalTrialParticipationSequence",
    "QualityControlSubject",
    "StrainDescription",
]
_REPLY = [
    "TimezoneOffsetFromUTC",
]
WORKLIST_ATTRIBUTES = frozenset(
    _SCHEDULED_STEP + _REQUESTED_PROCEDURE + _SERVICE_REQUEST + _VISIT + _PATIENT + _REPLY
)
"""Top-level keys supported for matching and return (DICOM PS3.4 Table K.6-1, IHE RAD TF-2 4.5)."""
