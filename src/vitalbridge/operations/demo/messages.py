"""The HL7 messages that the simulated systems send, composed from a person and an order.

Segments follow HL7 v2.5.1 (chapters 3, 4 and 10); the clinic still speaks 2.3.1 with quantity and
timing inside ORC-7 and OBR-27. Texts go in as they stand, so what comes from the tables is escaped
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from vitalbridge.operations.demo.catalogue import Procedure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitalbridge.operations.demo.catalogue import Station


class System(NamedTuple):
    """A sending application: MSH-3, MSH-4, the letter of its control ids, version, MSH-15/16."""

    application: str
    facility: str
    letter: str
    version: str
    enhanced: bool


HIS = System("HIS", "HOSPITAL", "H", "2.5.1", False)
RIS = System("RIS", "HOSPITAL", "R", "2.5.1", False)
CLINIC = System("CLINIC", "NORTHSIDE", "C", "2.3.1", True)

# MSH-9 as versions before 2.4 write it has no third component.
_STRUCTURES = {
    "ADT^A04": "ADT_A01",
    "ADT^A08": "ADT_A01",
    "ADT^A28": "ADT_A05",
    "ADT^A31": "ADT_A05",
    "ADT^A40": "ADT_A39",
    "SIU^S13": "SIU_S12",
    "SIU^S14": "SIU_S12",
    "SIU^S15": "SIU_S12",
}


class Person(msgspec.Struct):
    """A patient as the hospital knows them now; ``lane`` keeps their messages in one order."""

    identifier: str
    name: str
    birth_date: str
    sex: str
    address: str
    phone: str
    charset: str
    codec: str
    lane: int
    visit: str = ""
    patient_class: str = "O"
    location: str = ""
    doctor: str = ""
    national_id: str = ""


class Order(msgspec.Struct):
    """One imaging order. ``start`` is YYYYMMDDHHMMSS, local."""

    placer: str
    filler: str
    accession: str
    procedure: Procedure
    start: str
    priority: str
    doctor: str
    reason: str
    study_uid: str = ""


def header(system: System, kind: str, control_id: str, now: str, charset: str) -> str:
    """Return MSH; ``kind`` is ``ADT^A01``, ``charset`` a value of HL7 table 0211 or empty."""
    if system.version < "2.4":
        message_type = kind
    else:
        message_type = f"{kind}^{_STRUCTURES.get(kind) or kind.replace('^', '_')}"
    accept = "AL|NE" if system.enhanced else "|"
    return (
        f"MSH|^~\\&|{system.application}|{system.facility}|PACS_BRIDGE|RADIOLOGY|{now}||"
        f"{message_type}|{control_id}|P|{system.version}|||{accept}||{charset}\r"
    )


def patient(person: Person) -> str:
    """Return PID."""
    national = f"~{person.national_id}^^^NATIONAL^NI" if person.national_id else ""
    return (
        f"PID|1||{person.identifier}^^^HOSPITAL_MRN^MR{national}||{person.name}||"
        f"{person.birth_date}|{person.sex}|||{person.address}||{person.phone}\r"
    )


def visit(person: Person) -> str:
    """Return PV1."""
    return (
        f"PV1|1|{person.patient_class}|{person.location}||||{person.doctor}|{person.doctor}"
        f"|||||||||||{person.visit}\r"
    )


def admission(system: System, kind: str, control_id: str, now: str, person: Person) -> str:
    """Return an ADT message about one patient: A01-A04, A08, A28, A31 (HL7 v2.5.1 3.3)."""
    return (
        f"{header(system, kind, control_id, now, person.charset)}"
        f"EVN|{kind[4:]}|{now}\r{patient(person)}{visit(person)}"
    )


def merge(system: System, control_id: str, now: str, person: Person, retired: str) -> str:
    """Return ADT^A40: ``retired`` is the identifier that ends (HL7 v2.5.1 3.3.40)."""
    return (
        f"{header(system, 'ADT^A40', control_id, now, person.charset)}"
        f"EVN|A40|{now}\r{patient(person)}MRG|{retired}^^^HOSPITAL_MRN^MR\r"
    )


def general_order(
    system: System,
    control_id: str,
    now: str,
    person: Person,
    order: Order,
    control: str,
    status: str,
) -> str:
    """Return ORM^O01 (HL7 v2.5.1 4.4.1) with ORC-1 ``control`` and ORC-5 ``status``."""
    if system.version < "2.4":
        timing, scheduled = f"1^^^{order.start}^^{order.priority}", ""
    else:
        timing, scheduled = "", order.start
    study = f"ZDS|{order.study_uid}^^Application^DICOM\r" if order.study_uid else ""
    return (
        f"{header(system, 'ORM^O01', control_id, now, person.charset)}{patient(person)}"
        f"{visit(person)}"
        f"{_common_order(system, order, control, status, timing, now)}"
        f"{_observation_request(system, order, timing, scheduled)}{study}"
    )


def clinical_order(
    system: System,
    control_id: str,
    now: str,
    person: Person,
    order: Order,
    control: str,
    status: str,
) -> str:
    """Return OMG^O19 (HL7 v2.5.1 4.4.4), the time in TQ1."""
    return (
        f"{header(system, 'OMG^O19', control_id, now, person.charset)}{patient(person)}"
        f"{visit(person)}"
        f"{_common_order(system, order, control, status, '', now)}"
        f"TQ1|1||||||{order.start}||{order.priority}\r"
        f"{_observation_request(system, order, '', '')}"
    )


def imaging_order(
    system: System,
    control_id: str,
    now: str,
    person: Person,
    order: Order,
    steps: Sequence[tuple[str, Station, str]],
    control: str,
    status: str,
) -> str:
    """Return OMI^O23 (HL7 v2.5.1 4.4.6): one IPC per step, (step id, station, modality)."""
    procedure = order.procedure
    protocol = f"{procedure.code}^{procedure.text}^C4"
    imaging = "".join(
        f"IPC|{order.accession}|{order.accession}|{order.study_uid}|{step_id}|{modality}|{protocol}|"
        f"{station.name}|{station.location}|{station.ae_title}\r"
        for step_id, station, modality in steps
    )
    return (
        f"{header(system, 'OMI^O23', control_id, now, person.charset)}{patient(person)}"
        f"{visit(person)}"
        f"{_common_order(system, order, control, status, '', now)}"
        f"TQ1|1||||||{order.start}||{order.priority}\r"
        f"{_observation_request(system, order, '', '')}{imaging}"
    )


def appointment(
    system: System,
    kind: str,
    control_id: str,
    now: str,
    person: Person,
    order: Order,
    number: str,
    status: str,
    station: Station,
) -> str:
    """Return SIU^S12 to S15 (HL7 v2.5.1 10.3) about ``order``, named in SCH-26 and SCH-27."""
    procedure = order.procedure
    return (
        f"{header(system, kind, control_id, now, person.charset)}"
        f"SCH|{number}^{system.application}|{number}^{system.application}||||ROUTINE|"
        f"^{order.reason}||30|min|1^^^{order.start}|||||{order.doctor}||||{order.doctor}|||||"
        f"{status}|{order.placer}^{system.application}|{_filler(order)}\r"
        f"{patient(person)}{visit(person)}RGS|1|A\r"
        f"AIS|1|A|{procedure.code}^{procedure.text}^C4|{order.start}\r"
        f"AIL|1|A|{station.location}^^^HOSPITAL\r"
    )


def _filler(order: Order) -> str:
    return f"{order.filler}^RIS" if order.filler else ""


def _common_order(
    system: System, order: Order, control: str, status: str, timing: str, now: str
) -> str:
    return (
        f"ORC|{control}|{order.placer}^{system.application}|{_filler(order)}||{status}||{timing}"
        f"||{now}|||{order.doctor}\r"
    )


def _observation_request(system: System, order: Order, timing: str, scheduled: str) -> str:
    procedure = order.procedure
    return (
        f"OBR|1|{order.placer}^{system.application}|{_filler(order)}|"
        f"{procedure.code}^{procedure.text}^C4|{order.priority}|||||||||||{order.doctor}||"
        f"{order.accession}|{order.accession}|||||{procedure.modality}|||{timing}||||"
        f"^{order.reason}|||||{scheduled}\r"
    )
