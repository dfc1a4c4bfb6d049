"""A hospital's day as HL7 messages: seeded, repeatable to the byte, endless.

Patients come and go as stories (an admission with its orders, an outpatient, a clinic's order, an
appointment, a merge ...). A number of stories run at a time and each step of the day continues one
of them, so that messages of many patients interleave while each patient's stay in order. Broken and
repeated messages are part of the day.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec

from vitalbridge.operations.demo import messages
from vitalbridge.operations.demo.catalogue import (
    MODALITY_ALIASES,
    PRIORITIES,
    PROCEDURES,
    REASONS,
    STATIONS,
    WARDS,
    Procedure,
    Station,
)
from vitalbridge.operations.demo.garbage import BREAKAGES, END, START, Expected
from vitalbridge.operations.demo.messages import CLINIC, HIS, RIS, Order, Person, System
from vitalbridge.operations.demo.people import DOCTORS, POPULATION, Script, person_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORM_ORM, _FORM_OMG, _FORM_OMI = range(3)

# The broken sender has a lane, and so a connection, of its own.
BROKEN_LANE = -1

T = TypeVar("T")


class Scheduled(msgspec.Struct, frozen=True):
    """What a modality must find once the order's message is accepted."""

    accession: str
    patient: str
    modality: str
    procedure: str
    start: str
    stations: tuple[str, ...]


class Sending(msgspec.Struct, frozen=True):
    """One thing to send: ``frame`` is what goes over the wire.

    ``lane`` orders: what shares a lane must be sent one after the other. ``expected`` is what a
    correct receiver does; ``fault`` names what is wrong with a bad message; ``repeat`` marks the
    very bytes of an earlier one.
    """

    frame: bytes
    kind: str
    control_id: str
    lane: int
    expected: Expected = "accepted"
    fault: str = ""
    repeat: bool = False
    scheduled: Scheduled | None = None

    @property
    def message(self) -> bytes:
        """The HL7 message without its MLLP frame (of a well-framed one)."""
        return self.frame[len(START) : -len(END)]


def base36(number: int, width: int) -> str:
    """Return the last ``width`` digits of a number to the base 36."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


class Hospital:
    """The source of the day's messages.

    ``start`` is the local time at which the day begins for us (naive) and ``pace`` the seconds
    between two messages, which only moves the times inside them. Two hospitals with the same
    arguments send the same bytes; two with another start or seed share no control id, accession
    number or patient id. ``stories`` bounds how many run at a time, ``faults`` is the share of
    broken and repeated messages. With ``finishing`` all but every 25th examination end after a
    while, as they do in a day, so that the worklist grows slowly; without it they stay.
    """

    def __init__(
        self,
        seed: int,
        start: datetime,
        *,
        pace: float = 0.02,
        stories: int = 400,
        faults: float = 0.01,
        finishing: bool = True,
    ) -> None:
        self._random = random.Random(seed)
        self._chance = self._random.random
        self._start = start
        self._pace = pace
        self._stories = stories
        self._faults = faults
        self._finishing = finishing
        self._run = base36(int((start - start.min).total_seconds()), 6) + base36(seed, 2)
        self._steps = 0
        self._sent = 0
        self._people = 0
        self._orders = 0
        self._second = -1
        self._now = ""
        self._starts: list[str] = []
        self._tick()

    def messages(self) -> Iterator[Sending]:
        """Yield the day's messages without end."""
        chance, begin = self._chance, self._begin
        running = [begin()]
        recent: list[Sending] = []
        while True:
            self._tick()
            if chance() < self._faults:
                if recent and chance() < 0.5:
                    again = recent[int(chance() * len(recent))]
                    yield msgspec.structs.replace(again, repeat=True, scheduled=None)
                else:
                    yield self._broken()
            if len(running) < self._stories and chance() < 0.2:
                running.append(begin())
            place = int(chance() * len(running))
            sending = next(running[place], None)
            if sending is None:
                running[place] = begin()
                continue
            if len(recent) < 32:
                recent.append(sending)
            else:
                recent[self._sent & 31] = sending
            yield sending

    def orders(self, system: System = RIS) -> Iterator[Sending]:
        """Yield new orders (ORM^O01 NW) only, each for a patient of its own: a plain load."""
        while True:
            self._tick()
            person, order = self._person(), self._order()
            yield self._ordered(system, person, order, _FORM_ORM, (), "NW", "SC", lasting=True)

    # What one patient goes through.

    def _begin(self) -> Iterator[Sending]:
        return _STORIES[int(self._chance() * len(_STORIES))](self)

    def _inpatient(self) -> Iterator[Sending]:
        chance = self._chance
        person = self._person()
        person.patient_class, person.location = "I", self._one_of(WARDS)
        yield self._admitted("ADT^A01", person)
        for _ in range(1 + int(chance() * 2)):
            yield from self._examination(RIS, person)
        if chance() < 0.5:
            person.location = self._one_of(WARDS)
            yield self._admitted("ADT^A02", person)
        if chance() < 0.4:
            person.phone = self._phone()
            yield self._admitted("ADT^A08", person)
        yield self._admitted("ADT^A03", person)

    def _outpatient(self) -> Iterator[Sending]:
        person = self._person()
        yield self._admitted("ADT^A04", person)
        yield from self._examination(RIS, person)
        if self._chance() < 0.5:
            person.phone = self._phone()
            yield self._admitted("ADT^A31", person)

    def _referred(self) -> Iterator[Sending]:
        person = self._person()
        yield from self._examination(CLINIC, person)

    def _announced(self) -> Iterator[Sending]:
        person = self._person()
        yield self._admitted("ADT^A28", person)
        order = self._order()
        number = f"S{order.placer}"
        lasting = self._lasting()
        yield self._appointed("SIU^S12", person, order, number, "Booked")
        yield self._ordered(RIS, person, order, _FORM_ORM, (), "NW", "SC", lasting=lasting)
        if lasting:
            return
        chance = self._chance()
        order.start = self._one_of(self._starts)
        if chance < 0.5:
            yield self._appointed("SIU^S13", person, order, number, "Booked")
        elif chance < 0.75:
            yield self._appointed("SIU^S14", person, order, number, "Arrived")
        else:
            yield self._appointed("SIU^S15", person, order, number, "Cancelled")
            return
        if self._finishing:
            yield self._ordered(RIS, person, order, _FORM_ORM, (), "SC", "CM")

    def _registered_twice(self) -> Iterator[Sending]:
        person = self._person()
        yield self._admitted("ADT^A28", person)
        other = msgspec.structs.replace(person, identifier=f"{person.identifier}D")
        yield self._admitted("ADT^A28", other)
        yield from self._examination(RIS, other)
        control_id = self._control_id(HIS)
        yield self._sending(
            "ADT^A40",
            control_id,
            person,
            messages.merge(HIS, control_id, self._now, person, other.identifier),
        )
        yield from self._examination(RIS, person)

    def _examination(self, system: System, person: Person) -> Iterator[Sending]:
        chance = self._chance
        order = self._order()
        lasting = self._lasting()
        form = _FORM_ORM
        steps: tuple[tuple[str, Station, str], ...] = ()
        if system is CLINIC:
            order.filler = ""
        elif (kind := chance()) < 0.15:
            form = _FORM_OMG
        elif kind < 0.3:
            form, steps = _FORM_OMI, self._steps_of(order)
        yield self._ordered(system, person, order, form, steps, "NW", "SC", lasting=lasting)
        if lasting:
            return
        happens = chance()
        if happens < 0.10:
            yield self._ordered(system, person, order, form, steps, "CA", "CA")
            return
        if happens < 0.15:
            yield self._ordered(system, person, order, form, steps, "DC", "DC")
            return
        if happens < 0.30:
            order.start = self._one_of(self._starts)
            yield self._ordered(system, person, order, form, steps, "XO", "SC")
        elif happens < 0.40:
            yield self._ordered(system, person, order, form, steps, "HD", "HD")
            yield self._ordered(system, person, order, form, steps, "RL", "SC")
        if self._finishing:
            yield self._ordered(system, person, order, form, steps, "SC", "IP")
            yield self._ordered(system, person, order, form, steps, "SC", "CM")

    def _broken(self) -> Sending:
        person, order = self._person(), self._order()
        person.charset, person.codec = "UNICODE UTF-8", "utf-8"
        good = self._ordered(RIS, person, order, _FORM_ORM, (), "NW", "SC")
        breakage = self._one_of(BREAKAGES)
        return Sending(
            breakage.change(good.message),
            good.kind,
            good.control_id,
            BROKEN_LANE,
            breakage.expected,
            breakage.name,
        )

    # One message.

    def _admitted(self, kind: str, person: Person) -> Sending:
        control_id = self._control_id(HIS)
        return self._sending(
            kind, control_id, person, messages.admission(HIS, kind, control_id, self._now, person)
        )

    def _appointed(
        self, kind: str, person: Person, order: Order, number: str, status: str
    ) -> Sending:
        control_id = self._control_id(RIS)
        station = _stations(order.procedure)[0]
        text = messages.appointment(
            RIS, kind, control_id, self._now, person, order, number, status, station
        )
        return self._sending(kind, control_id, person, text)

    def _ordered(
        self,
        system: System,
        person: Person,
        order: Order,
        form: int,
        steps: tuple[tuple[str, Station, str], ...],
        control: str,
        status: str,
        *,
        lasting: bool = False,
    ) -> Sending:
        control_id = self._control_id(system)
        now = self._now
        if form == _FORM_ORM:
            kind = "ORM^O01"
            text = messages.general_order(system, control_id, now, person, order, control, status)
        elif form == _FORM_OMG:
            kind = "OMG^O19"
            text = messages.clinical_order(system, control_id, now, person, order, control, status)
        else:
            kind = "OMI^O23"
            text = messages.imaging_order(
                system, control_id, now, person, order, steps, control, status
            )
        scheduled = None
        if lasting:
            procedure = order.procedure
            stations = [step[1] for step in steps] or _stations(procedure)
            scheduled = Scheduled(
                order.accession,
                person.name.partition("~")[0].partition("^^")[0],
                _dicom_modality(procedure),
                procedure.text.replace("\\T\\", "&"),
                order.start,
                tuple(station.ae_title for station in stations),
            )
        return self._sending(kind, control_id, person, text, scheduled)

    def _sending(
        self,
        kind: str,
        control_id: str,
        person: Person,
        text: str,
        scheduled: Scheduled | None = None,
    ) -> Sending:
        frame = b"\x0b%b\x1c\r" % text.encode(person.codec)
        return Sending(frame, kind, control_id, person.lane, scheduled=scheduled)

    # Who and what a message is about.

    def _control_id(self, system: System) -> str:
        self._sent += 1
        return f"{system.letter}{self._run}{self._sent:08d}"

    def _person(self) -> Person:
        chance = self._chance
        self._people += 1
        number = self._people
        script = _SCRIPTS[int(chance() * len(_SCRIPTS))]
        family = script.families[int(chance() * len(script.families))]
        female = chance() < 0.5
        givens = script.women if female else script.men
        town, postcode = script.towns[int(chance() * len(script.towns))]
        street = script.streets[int(chance() * len(script.streets))]
        unicode = script.charset and chance() < 0.4
        year, day = 1930 + int(chance() * 90), int(chance() * 336)
        return Person(
            f"P{self._run}{number:06d}",
            person_name(script, family, givens[int(chance() * len(givens))]),
            f"{year}{day // 28 + 1:02d}{day % 28 + 1:02d}",
            "F" if female else "M",
            f"{street}^^{town}^^{postcode}^{script.country}",
            self._phone(),
            "UNICODE UTF-8" if unicode else script.charset,
            "utf-8" if unicode else script.codec,
            number,
            visit=f"V{self._run}{number:06d}",
            doctor=DOCTORS[int(chance() * len(DOCTORS))],
            national_id=f"{int(chance() * 10**9):09d}" if number & 3 == 0 else "",
        )

    def _phone(self) -> str:
        return f"+44 20 7946 {int(self._chance() * 10000):04d}"

    def _order(self) -> Order:
        chance = self._chance
        self._orders += 1
        number = f"{self._run}{self._orders:06d}"
        return Order(
            f"O{number}",
            f"F{number}",
            number,
            PROCEDURES[int(chance() * len(PROCEDURES))],
            self._starts[int(chance() * len(self._starts))],
            PRIORITIES[int(chance() * len(PRIORITIES))],
            DOCTORS[int(chance() * len(DOCTORS))],
            REASONS[int(chance() * len(REASONS))],
            f"2.25.{self._random.getrandbits(100)}" if self._orders & 1 else "",
        )

    def _steps_of(self, order: Order) -> tuple[tuple[str, Station, str], ...]:
        stations = _stations(order.procedure)
        count = 1 + int(self._chance() * 3)
        modality = _dicom_modality(order.procedure)
        return tuple(
            (f"{order.accession[-10:]}-{i}", stations[i % len(stations)], modality)
            for i in range(1, count + 1)
        )

    def _lasting(self) -> bool:
        return self._orders % 25 == 1

    def _one_of(self, things: Sequence[T]) -> T:
        return things[int(self._chance() * len(things))]

    def _tick(self) -> None:
        second = int(self._steps * self._pace)
        self._steps += 1
        if second == self._second:
            return
        self._second = second
        now = self._start + timedelta(seconds=second)
        self._now = now.strftime("%Y%m%d%H%M%S")
        if not self._starts or self._starts[0][:8] != self._now[:8]:
            self._starts = _start_times(now)


def _start_times(now: datetime) -> list[str]:
    """Return when examinations may begin: four of five today, in what is left of it."""
    quarter = timedelta(minutes=15)
    time = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    today = []
    while time.date() == now.date():
        today.append(time.strftime("%Y%m%d%H%M%S"))
        time += quarter
    tomorrow = [
        (time + timedelta(hours=7) + i * quarter).strftime("%Y%m%d%H%M%S")
        for i in range(max(1, len(today) // 4))
    ]
    return today + tomorrow


def _dicom_modality(procedure: Procedure) -> str:
    return MODALITY_ALIASES.get(procedure.modality, procedure.modality)


def _stations(procedure: Procedure) -> tuple[Station, ...]:
    return STATIONS[_dicom_modality(procedure)]


_SCRIPTS: tuple[Script, ...] = tuple(script for script, weight in POPULATION for _ in range(weight))
_STORIES: tuple[Callable[[Hospital], Iterator[Sending]], ...] = (
    Hospital._inpatient,
    Hospital._inpatient,
    Hospital._outpatient,
    Hospital._outpatient,
    Hospital._outpatient,
    Hospital._referred,
    Hospital._referred,
    Hospital._announced,
    Hospital._announced,
    Hospital._registered_twice,
)
