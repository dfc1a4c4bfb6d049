"""From a received frame to the journal: the stateless check, the answer, back-pressure.

Runs on the writer's event loop and must stay quick: nothing here waits or touches the disk.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from vitalbridge.bridge.store.journal import Arrival, digest, microseconds
from vitalbridge.hl7 import (
    Fault,
    Hl7Error,
    Message,
    acknowledge,
    acknowledge_unreadable,
)
from vitalbridge.translate import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitalbridge.bridge.store.backlog import Committed
    from vitalbridge.hl7.mllp import Exchange
    from vitalbridge.translate import MappingRules

log = logging.getLogger("hl7.intake")

ENHANCED = {"AA": "CA", "AE": "CE", "AR": "CR"}
REJECTING = frozenset({200, 201, 202, 203})
OVERSIZE = Fault(207, "", "Message larger than the size limit")
QUEUE_FULL = Fault(207, "", "Queue full")
NOT_STORED = Fault(207, "", "Database error")
WIDE_TEXT = Fault(103, "MSH^1^18", "UTF-16 and UTF-32 can't be carried by MLLP")
DISK_RESERVE = Fault(207, "", "Disk reserve reached")


class Source(NamedTuple):
    """How messages of one sender are read and what is accepted from it."""

    charset: str | None
    processing_ids: frozenset[str]
    timezone: str | None


class Rules(NamedTuple):
    """What intake needs of the configuration; replaced as a whole by a reload."""

    handled_types: frozenset[str]
    accept_unknown_types: bool
    source_of: Callable[[str, str], Source]
    mapping: MappingRules
    max_queue_size: int
    ack_hold: float
    max_message_size: int


class IntakeEvents:
    """What intake reports, on the event loop; the service overrides what it wants to know."""

    def received(self, message_type: str, source: str) -> None:
        """A message arrived."""

    def answered(self, code: str) -> None:
        """An acknowledgement went out."""

    def refused(self, message_type: str, error_type: str, arrival: Arrival) -> None:
        """A message was answered AE or AR (CE, CR)."""

    def settled(self, results: Sequence[Committed]) -> None:
        """A group of arrivals has been committed and answered."""


def is_enhanced(message: Message) -> bool:
    """Return whether the sender asks for enhanced mode (HL7 v2.5.1 2.9.3)."""
    return bool(message.accept_ack or message.application_ack)


def wants_answer(condition: str, code: str) -> bool:
    """Return whether MSH-15 asks for this accept acknowledgement (HL7 table 0155)."""
    if condition == "NE":
        return False
    if condition == "ER":
        return code != "CA"
    if condition == "SU":
        return code == "CA"
    return True


def type_fault(message: Message, rules: Rules) -> Fault | None:
    """Return why the message's type is not taken, if it isn't."""
    if message.message_type in rules.handled_types:
        return None
    code = message.message_code
    if not code:
        return Fault(101, "MSH^1^9", "Message type missing")
    if rules.accept_unknown_types:
        return None
    known_code = any(known.startswith(f"{code}^") for known in rules.handled_types)
    if known_code and message.trigger:
        return Fault(201, "MSH^1^9^1^2", "Unsupported event code")
    return Fault(200, "MSH^1^9", "Unknown message type")


def header_faults(message: Message, rules: Rules, source: Source) -> list[Fault]:
    """Return what is wrong in MSH: type, processing id, version, control id."""
    faults = []
    if not message.control_id:
        faults.append(Fault(101, "MSH^1^10", "Message control ID missing"))
    fault = type_fault(message, rules)
    if fault is not None:
        faults.append(fault)
    if message.processing_id not in source.processing_ids:
        faults.append(Fault(202, "MSH^1^11", "Unsupported processing ID"))
    version = message.version
    if version and not (version[:2] == "2." and version[2:3] in "12345678"):
        faults.append(Fault(203, "MSH^1^12", "Unsupported version"))
    return faults


def faults_of(message: Message, rules: Rules, source: Source) -> list[Fault]:
    """Return everything that keeps the message from being accepted; empty when nothing does."""
    faults = header_faults(message, rules, source)
    if any(fault.code in REJECTING for fault in faults):
        return faults
    if message.wide:
        return [*faults, WIDE_TEXT]
    try:
        message.text  # noqa: B018 - decodes strictly
        faults += check(message, rules.mapping)
    except Hl7Error as error:
        faults.append(error.fault)
    return faults


class Intake:
    """Takes frames from the MLLP server and hands arrivals to the journal's writer."""

    def __init__(
        self,
        rules: Rules,
        submit: Callable[[Arrival], None],
        backlog: Callable[[], int],
        events: IntakeEvents,
    ) -> None:
        """``submit`` gives an arrival to the writer, ``backlog`` counts what is unhandled."""
        self.rules = rules
        self.disk_full = False
        self._submit = submit
        self._backlog = backlog
        self._events = events
        self._in_flight = 0
        self._held: deque[tuple[float, Arrival]] = deque()
        self._trace_prefix = secrets.token_hex(8)
        self._answered = 0

    # -- a frame arrives ------------------------------------------------------------------------

    def receive(self, exchange: Exchange) -> None:
        """Judge one frame, then answer it at once or when it is durable."""
        received_at = microseconds()
        rules = self.rules
        raw = exchange.message
        try:
            message = Message(raw)
        except Hl7Error as error:
            self._refuse_unreadable(exchange, error.fault, received_at)
            return
        application, facility = message.sending_application, message.sending_facility
        source = rules.source_of(application, facility)
        if source.charset is not None:
            message = Message(raw, default_charset=source.charset)
        sender = f"{application}|{facility}"
        message_type = message.message_type
        self._events.received(message_type, sender)
        if exchange.oversize is not None:
            faults = [OVERSIZE]
            code = "AR"
        else:
            faults = faults_of(message, rules, source)
            code = "AA" if not faults else _negative(faults)
        if is_enhanced(message):
            code = ENHANCED[code]
        now = datetime.now(UTC)
        arrival = Arrival(
            raw=raw,
            message=None if faults else message,
            sender=sender,
            control_id=message.control_id,
            message_type=message_type,
            peer=exchange.peer.address,
            trace_id=self._new_trace_id(),
            received_at=received_at,
            ack_code=code,
            answer=self._answer(message, code, faults, now),
            ticket=exchange,
            connection=id(exchange.peer),
            digest=digest(raw),
        )
        if faults:
            arrival.reason = "; ".join(f"{fault.location} {fault.text}" for fault in faults)
            self._events.refused(message_type, _error_type(faults), arrival)
            self._submit(arrival)
        elif self.disk_full:
            # Not even the refusal is journaled: what is left of the disk is for what was accepted.
            answer = self._negative_answer(arrival, DISK_RESERVE)
            self._events.refused(message_type, "disk", arrival)
            self._reply(arrival, answer)
        elif self._held or self._backlog() + self._in_flight >= rules.max_queue_size:
            self._held.append((received_at / 1e6 + rules.ack_hold, arrival))
        else:
            self._in_flight += 1
            self._submit(arrival)

    def _answer(self, message: Message, code: str, faults: Sequence[Fault], now: datetime) -> bytes:
        if code[0] == "C" and not wants_answer(message.accept_ack, code):
            return b""
        self._answered += 1
        return acknowledge(message, code, faults=faults, now=now, control_id=self._new_control_id())

    def _refuse_unreadable(self, exchange: Exchange, fault: Fault, received_at: int) -> None:
        answer = acknowledge_unreadable(
            exchange.message,
            faults=[fault],
            now=datetime.now(UTC),
            control_id=self._new_control_id(),
        )
        arrival = Arrival(
            raw=exchange.message,
            message=None,
            sender="|",
            control_id="",
            message_type="",
            peer=exchange.peer.address,
            trace_id=self._new_trace_id(),
            received_at=received_at,
            ack_code="AR",
            answer=answer or b"",
            ticket=exchange,
            connection=id(exchange.peer),
            reason=f"{fault.location} {fault.text}",
            digest=digest(exchange.message),
        )
        self._events.received("", "")
        self._events.refused("", "parse", arrival)
        self._submit(arrival)

    # -- the journal has decided ----------------------------------------------------------------

    def settle(self, results: Sequence[Committed]) -> None:
        """Send the answers of a committed group; what is not durable is answered with an error."""
        for arrival, kind, answer in results:
            if arrival.message is not None:
                self._in_flight -= 1
            if kind == "failed":
                answer = self._answer_unstored(arrival)
            self._reply(arrival, answer)
        self._events.settled(results)
        if self._held:
            self.release_held()

    def release_held(self) -> None:
        """Let waiting messages in as room appears; refuse those that have waited too long."""
        now = microseconds() / 1e6
        held = self._held
        while held:
            deadline, arrival = held[0]
            if self._backlog() + self._in_flight < self.rules.max_queue_size:
                held.popleft()
                self._in_flight += 1
                self._submit(arrival)
            elif now >= deadline:
                held.popleft()
                answer = self._negative_answer(arrival, QUEUE_FULL)
                arrival.message = None
                arrival.answer = answer
                arrival.reason = QUEUE_FULL.text
                self._events.refused(arrival.message_type, "queue_full", arrival)
                self._submit(arrival)
            else:
                return

    def _reply(self, arrival: Arrival, answer: bytes) -> None:
        exchange: Exchange = arrival.ticket
        if answer:
            exchange.reply(answer)
            self._events.answered(arrival.ack_code)
        else:
            exchange.leave_unanswered()

    def _answer_unstored(self, arrival: Arrival) -> bytes:
        """Answer what could not be written: an accepted message becomes an error."""
        if arrival.message is None:
            return arrival.answer
        return self._negative_answer(arrival, NOT_STORED)

    def _negative_answer(self, arrival: Arrival, fault: Fault) -> bytes:
        assert arrival.message is not None
        arrival.ack_code = "CE" if arrival.ack_code[0] == "C" else "AR"
        return self._answer(arrival.message, arrival.ack_code, [fault], datetime.now(UTC))

    @property
    def load(self) -> float:
        """How full the queue is, from 0 to 1 and above."""
        return (self._backlog() + self._in_flight + len(self._held)) / self.rules.max_queue_size

    def _new_trace_id(self) -> str:
        self._answered += 1
        return f"{self._trace_prefix}{self._answered:016x}"

    def _new_control_id(self) -> str:
        self._answered += 1
        return f"{self._trace_prefix[:8]}{self._answered:x}"


def _negative(faults: Sequence[Fault]) -> str:
    """Return AR for what this system does not read at all, AE for what is wrong in a message."""
    rejected = any(
        fault.code in REJECTING or fault.location.startswith("MSH^1^18") for fault in faults
    )
    return "AR" if rejected else "AE"


def _error_type(faults: Sequence[Fault]) -> str:
    if any(fault is OVERSIZE for fault in faults):
        return "size"
    if any(fault.code in REJECTING for fault in faults):
        return "unsupported"
    return "validation"
