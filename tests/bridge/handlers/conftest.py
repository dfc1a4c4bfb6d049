"""The world that the scenarios play in: a State that effects are applied to, and HL7 to send.

``World`` needs of its state only the State protocol and ``apply(effects)``, ``all_orders()`` and
``all_steps()`` beside it. The same scenarios play on a state in memory and on the real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from vitalbridge.bridge.handlers import HandlerContext, Policy, handle
from vitalbridge.bridge.model import Effect, Note, Order, Patient, PutStep, Step, Unprocessable
from vitalbridge.hl7 import Message
from vitalbridge.translate import MappingRules, PatientIdentifier, Station

from .memory_state import MemoryState
from .sqlite_state import open_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RULES = MappingRules(
    modality_stations={
        "CT": (Station("CT1", "CT 1", "ROOM1"), Station("CT2", "CT 2", "ROOM2")),
        "MR": (Station("MR1", "MR 1", "ROOM3"),),
    },
    procedure_to_modality={"CTCHEST": "CT", "MRHEAD": "MR"},
    default_patient_id_issuer="HOSP",
)


class Result(msgspec.Struct):
    """What one message did, or why it was refused."""

    effects: list[Effect]
    refused: Unprocessable | None = None

    @property
    def notes(self) -> list[str]:
        return [effect.kind for effect in self.effects if isinstance(effect, Note)]

    @property
    def changes(self) -> list[str]:
        """Return the words of all PutStep, in order."""
        return [effect.change for effect in self.effects if isinstance(effect, PutStep)]

    @property
    def has_effect(self) -> bool:
        """Return whether anything but notes and event times came of it."""
        return any(type(effect).__name__ not in {"Note", "Seen"} for effect in self.effects)


class World:
    """Messages go in, the worklist is looked at."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.rules = RULES
        self.policy = Policy()
        self.source_timezone: str | None = None

    def adt(self, event: str, time: str = "", **more: Any) -> Result:
        """Send an ADT message; ``mrg`` is the retired number."""
        return self.send(adt(event, time, **more))

    def orm(self, control: str, placer: str = "P1", **more: Any) -> Result:
        """Send an ORM^O01 with one order group, told by the fields of :func:`group`."""
        return self.send(orm(control, placer, **more))

    def orm_of(self, *groups: str) -> Result:
        """Send an ORM^O01 with these order groups."""
        return self.send(msh("ORM^O01") + pid() + "".join(groups))

    def omi(self, control: str, placer: str = "P1", *, ipc: Sequence[str], **more: Any) -> Result:
        """Send an OMI^O23 with a step for each of ``ipc``."""
        return self.send(omi(control, placer, ipc=ipc, **more))

    def siu(self, event: str, number: str = "AP1", time: str = "", **more: Any) -> Result:
        """Send an SIU message."""
        return self.send(siu(event, number, time, **more))

    @staticmethod
    def group_message(kind: str, groups: str) -> str:
        """Return an order message of that type with these order groups."""
        return msh(kind) + pid() + groups

    @staticmethod
    def pid(*parts: str, **more: str) -> str:
        """Return a PID segment."""
        return pid(*parts, **more)

    @staticmethod
    def group(control: str, placer: str = "P1", **more: Any) -> str:
        """Return the segments of one order group."""
        return group(control, placer, **more)

    def send(self, text: str) -> Result:
        message = Message(text.strip().replace("\n", "\r").encode() + b"\r")
        sender = f"{message.sending_application}|{message.sending_facility}"
        context = HandlerContext(self.rules, self.policy, sender, self.source_timezone)
        try:
            effects = handle(message, context, self.state)
        except Unprocessable as error:
            return Result([], error)
        self.state.apply(effects)
        return Result(effects)

    def patient(self, number: str, issuer: str = "HOSP") -> Patient | None:
        found: Patient | None = self.state.patient_with(PatientIdentifier(number, issuer))
        return found

    def order(self, placer: str) -> Order:
        (order,) = self.state.orders_with(f"{placer}^HIS", "")
        assert isinstance(order, Order)
        return order

    def orders(self) -> Sequence[Order]:
        found: Sequence[Order] = self.state.all_orders()
        return found

    def steps(self, placer: str | None = None) -> list[Step]:
        """Return all steps, or those of an order, in the order in which they were made."""
        found = (
            self.state.all_steps()
            if placer is None
            else self.state.steps_of_order(self.order(placer).key)
        )
        return sorted(found, key=lambda step: step.key)

    def step(self, placer: str | None = None) -> Step:
        (step,) = self.steps(placer)
        return step

    def visible(self) -> list[Step]:
        final = {"CANCELLED", "DISCONTINUED", "COMPLETED"}
        return [step for step in self.steps() if not step.held and step.status not in final]

    def set_by_mpps(self, placer: str, status: str) -> None:
        for step in self.steps(placer):
            done = msgspec.structs.replace(step, status=type(step.status)(status))
            done.status_source = "mpps"
            self.state.apply([PutStep(done, "updated")])


@pytest.fixture(scope="session", params=["memory", "sqlite"])
def new_world(request: pytest.FixtureRequest) -> Callable[[], World]:
    """What makes an empty world, as often as needed."""
    if request.param == "memory":
        return lambda: World(MemoryState())
    migrated: Path = request.getfixturevalue("migrated")
    return lambda: World(open_copy(migrated))


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()


def msh(kind: str, time: str = "", sender: str = "HIS") -> str:
    return f"MSH|^~\\&|{sender}|HOSPITAL|PB|RAD|{time}||{kind}|M1|P|2.5.1\n"


def pid(
    number: str = "100",
    name: str = "DOE^JOHN",
    birth: str = "19800115",
    sex: str = "M",
    more: str = "",
) -> str:
    """Return PID; a number with ^ or ~ goes in as it stands."""
    identifiers = number if "^" in number else f"{number}^^^HOSP^MR"
    return f"PID|1||{identifiers}||{name}||{birth}|{sex}|||{more}\n"


def adt(
    event: str, time: str = "", *, person: str | None = None, mrg: str = "", sender: str = "HIS"
) -> str:
    """Return an ADT message; ``mrg`` is the retired number."""
    text = f"{msh(f'ADT^{event}', '', sender)}EVN|{event}|{time}\n{person or pid()}"
    if mrg:
        text += f"MRG|{mrg if '^' in mrg else mrg + '^^^HOSP^MR'}\n"
    return text


def group(
    control: str,
    placer: str = "P1",
    *,
    time: str = "",
    status: str = "",
    filler: str = "",
    accession: str = "A1",
    procedure: str = "RP1",
    step: str = "",
    code: str = "CTCHEST^CT chest^L",
    start: str = "20240105090000",
    modality: str = "CT",
    zds: str = "",
    ipc: Sequence[str] = (),
) -> str:
    """Return ORC, OBR, IPC and ZDS; ``ipc`` are step ids."""
    filler = f"{filler}^RIS" if filler else ""
    placer = f"{placer}^HIS" if placer else ""
    text = f"ORC|{control}|{placer}|{filler}||{status}||||{time}\n"
    text += (
        f"OBR|1|{placer}|{filler}|{code}|||{start}|||||||||||{accession}|{procedure}|{step}"
        f"||||{modality}\n"
    )
    for one in ipc:
        text += f"IPC|{accession}|{procedure}|{zds}|{one}|{modality}\n"
    return text + (f"ZDS|{zds}^^Application^DICOM\n" if zds and not ipc else "")


def orm(
    control: str, placer: str = "P1", *, person: str | None = None, sender: str = "HIS", **more: Any
) -> str:
    return msh("ORM^O01", "", sender) + (person or pid()) + group(control, placer, **more)


def omi(control: str, placer: str = "P1", *, ipc: Sequence[str], **more: Any) -> str:
    return msh("OMI^O23") + pid() + group(control, placer, ipc=ipc, **more)


def siu(
    event: str,
    number: str = "AP1",
    time: str = "",
    *,
    placer: str = "",
    filler: str = "",
    start: str = "20240110100000",
    status: str = "Booked",
    place: str = "",
    station: str = "",
    person: str | None = None,
    code: str = "CTCHEST^CT chest^L",
    sender: str = "HIS",
) -> str:
    placer = f"{placer}^HIS" if placer else ""
    filler = f"{filler}^RIS" if filler else ""
    sch = [""] * 28
    sch[0], sch[2], sch[25], sch[26], sch[27] = "SCH", f"{number}^HIS", status, placer, filler
    text = (
        msh(f"SIU^{event}", time, sender) + "|".join(sch) + "\n" + (person or pid()) + "RGS|1|A\n"
    )
    text += f"AIS|1|A|{code}|{start}\n"
    if station:
        text += f"AIG|1|A|{station}\n"
    if place:
        text += f"AIL|1|A|{place}\n"
    return text
