"""What is accepted and what is handled inside the writer's transactions, in journal order.

Nothing here begins or ends a transaction: the writer does, and says afterwards whether it held.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import apsw

from vitalbridge.bridge.errors import ErrorCode
from vitalbridge.bridge.model import Effect, Note, PutStep, Unprocessable
from vitalbridge.bridge.store.effects import apply
from vitalbridge.bridge.store.journal import (
    Arrival,
    Handled,
    Journal,
    MessageState,
    Outcome,
    Pending,
    microseconds,
)
from vitalbridge.hl7 import Hl7Error, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitalbridge.bridge.store.state import SqlState

log = logging.getLogger("queue.backlog")

LEAST_HANDLING_SECONDS = 0.0005
MOST_HANDLING_SECONDS = 0.010
LONG_BACKLOG = 25_000
MOST_AT_ONCE = 2
MOST_IN_MEMORY = 4000
LOADED_AT_ONCE = 500


class Committed(NamedTuple):
    """An arrival whose fate is decided: ``answer`` may go out now.

    ``kind`` is ``accepted``, ``duplicate``, ``refused`` or ``failed`` (not durable: the sender must
    be told no).
    """

    arrival: Arrival
    kind: str
    answer: bytes


class Group:
    """What one transaction accepts and handles; it counts once the transaction is committed."""

    __slots__ = ("arrivals", "at_once", "committed", "fresh", "handled", "taken")

    def __init__(self, arrivals: Sequence[Arrival] = ()) -> None:
        self.arrivals = arrivals
        self.committed: list[Committed] = []
        self.fresh: list[Pending] = []
        self.at_once = 0
        self.taken: list[Pending] = []
        self.handled: list[Handled] = []


class Backlog:
    """Accepted messages that wait for their handler: the oldest in memory, the rest on the disk."""

    def __init__(
        self,
        state: SqlState,
        journal: Journal,
        process: Callable[[Pending, SqlState], list[Effect]],
        subjects: Callable[[Message], Sequence[str]] | None,
        reload: Callable[[bytes, str], Message],
    ) -> None:
        """``subjects`` is given when later messages of a failed order have to wait for it."""
        self._state = state
        self._journal = journal
        self._process = process
        self._subjects = subjects
        self._reload = reload
        self._pending: deque[Pending] = deque()
        self.unhandled = journal.count_unhandled()
        self.dead = journal.count_dead()
        self._more_on_disk = self.unhandled > 0

    def has_work(self) -> bool:
        """Return whether a message may be there to be handled."""
        return bool(self._pending) or self._more_on_disk

    # -- accepting ------------------------------------------------------------------------------

    def accept(self, arrival: Arrival, group: Group, body_id: int | None = None) -> None:
        """Write the journal row of an arrival, unless it is a resend that has its answer."""
        if arrival.message is None:
            self._journal.append(arrival, body_id)
            group.committed.append(Committed(arrival, "refused", arrival.answer))
            return
        if body_id is None and self.answer_again(arrival, group):
            return
        seq = self._journal.append(arrival, body_id)
        group.fresh.append(
            Pending(
                seq,
                arrival.message,
                arrival.sender,
                arrival.control_id,
                arrival.message_type,
                arrival.trace_id,
                arrival.received_at,
            )
        )
        group.committed.append(Committed(arrival, "accepted", arrival.answer))

    def answer_again(self, arrival: Arrival, group: Group) -> bool:
        """Return whether the same bytes were accepted before; then they get that answer."""
        earlier = self._journal.earlier_answer(arrival)
        if earlier is None:
            return False
        group.committed.append(Committed(arrival, "duplicate", earlier[1]))
        return True

    # -- handling -------------------------------------------------------------------------------

    def handle_some(self, group: Group, *, others_wait: bool) -> None:
        """Handle the oldest messages, for a few milliseconds at most.

        While others wait to be accepted, accepting goes first: the less so, the longer the backlog.
        """
        pending = self._pending
        share = min(1.0, self.unhandled / LONG_BACKLOG) ** 2 if others_wait else 0.5
        deadline = time.perf_counter() + LEAST_HANDLING_SECONDS + share * MOST_HANDLING_SECONDS
        while pending:
            self.handle_next(group)
            if time.perf_counter() > deadline:
                return

    def handle_next(self, group: Group) -> None:
        """Handle the oldest message."""
        one = self._pending.popleft()
        group.taken.append(one)
        group.handled.append(self._handle(one))

    def _handle(self, pending: Pending) -> Handled:
        """Let the handler decide, apply its effects, mark the message; dead letter if it can't."""
        subjects: Sequence[str] = ()
        try:
            if self._subjects is not None:
                subjects = self._subjects(pending.message)
                blocked_by = self._journal.blocked(subjects)
                if blocked_by is not None:
                    outcome = Outcome(reason=f"waits for message {blocked_by}")
                    return self._mark(pending, MessageState.WAITING, outcome)
            effects = self._process(pending, self._state)
        except Unprocessable as error:
            outcome = Outcome(code=error.code, location=error.location, reason=error.text)
            return self._bury(pending, outcome, subjects)
        except Hl7Error as error:
            fault = error.fault
            outcome = Outcome(code=fault.code, location=fault.location, reason=fault.text)
            return self._bury(pending, outcome, subjects)
        except apsw.Error:
            raise
        except Exception as error:
            # The log shows where; the text of the exception may quote the message.
            log.exception(
                "handler failed unexpectedly",
                extra={"message_id": pending.control_id, "trace_id": pending.trace_id},
            )
            outcome = Outcome(code=207, reason=f"internal error: {type(error).__name__}")
            return self._bury(pending, outcome, subjects)
        apply(self._state, effects)
        outcome, notes = summary(effects)
        return self._mark(pending, MessageState.DONE, outcome, notes)

    def _bury(self, pending: Pending, outcome: Outcome, subjects: Sequence[str]) -> Handled:
        if subjects:
            self._journal.block(subjects, pending.seq)
        return self._mark(pending, MessageState.DEAD, outcome)

    def _mark(
        self,
        pending: Pending,
        state: MessageState,
        outcome: Outcome,
        notes: Sequence[Note] = (),
    ) -> Handled:
        handled_at = microseconds()
        self._journal.mark(pending.seq, state, handled_at, outcome)
        return Handled(pending, state, outcome, handled_at, notes)

    def bury_next(self, group: Group, reason: str) -> None:
        """Put the oldest message among the dead letters without handling it."""
        one = self._pending.popleft()
        group.taken.append(one)
        group.handled.append(self._bury(one, Outcome(code=207, reason=reason), ()))

    def handle_at_once(self, group: Group) -> None:
        """Handle what the group accepts in the same transaction, as nothing older waits.

        A few messages are handled sooner than a second transaction could be synced for them; many
        would keep their senders waiting.
        """
        if self.has_work() or len(group.fresh) > MOST_AT_ONCE:
            return
        for one in group.fresh:
            group.handled.append(self._handle(one))
        group.at_once = len(group.fresh)
        group.fresh.clear()

    # -- after the transaction ------------------------------------------------------------------

    def settle(self, group: Group) -> None:
        """The group is committed: count it, and queue what it accepted."""
        self.unhandled += len(group.fresh) + group.at_once
        for one in group.handled:
            if one.state is not MessageState.WAITING:
                self.unhandled -= 1
            if one.state is MessageState.DEAD:
                self.dead += 1
        if self._more_on_disk or len(self._pending) + len(group.fresh) > MOST_IN_MEMORY:
            self._more_on_disk = self._more_on_disk or bool(group.fresh)
        else:
            self._pending.extend(group.fresh)

    def put_back(self, group: Group) -> None:
        """The group was rolled back: what it had taken is pending again."""
        self._pending.extendleft(reversed(group.taken))

    # -- the rest on the disk -------------------------------------------------------------------

    def load(self, alone: Callable[[Callable[[], None]], None]) -> None:
        """Bring the oldest messages into memory if none is there.

        ``alone`` runs a step in a transaction of its own: a message that can't be read again
        goes to the dead letters.
        """
        if self._pending or not self._more_on_disk:
            return
        rows = self._journal.pending_rows(LOADED_AT_ONCE)
        for seq, sender, control_id, message_type, trace_id, received_at in rows:
            raw = self._journal.body(seq)
            try:
                if raw is None:
                    raise Unprocessable(207, "", "its body is missing from the database")
                message = self._reload(raw, sender)
            except (Unprocessable, Hl7Error) as error:
                self._lose(seq, str(error), alone)
                continue
            self._pending.append(
                Pending(seq, message, sender, control_id, message_type, trace_id, received_at)
            )
        self._more_on_disk = len(rows) == LOADED_AT_ONCE

    def read_again(self) -> None:
        """Take pending messages from the disk again, as an earlier one has become pending."""
        self._pending.clear()
        self._more_on_disk = True

    def _lose(self, seq: int, reason: str, alone: Callable[[Callable[[], None]], None]) -> None:
        outcome = Outcome(code=207, reason=reason)
        alone(lambda: self._journal.mark(seq, MessageState.DEAD, microseconds(), outcome))
        self.unhandled -= 1
        self.dead += 1
        log.error(
            "message unreadable",
            extra={
                "seq": seq,
                "error_code": int(ErrorCode.QUEUE_DATABASE_ERROR),
                "reason": reason,
            },
        )


def summary(effects: Sequence[Effect]) -> tuple[Outcome, list[Note]]:
    """Return what the journal row keeps of a message's effects, and its notes."""
    outcome = Outcome()
    notes = []
    for effect in effects:
        if type(effect) is PutStep:
            if effect.change == "created":
                outcome.created += 1
                outcome.unmapped += effect.step.modality_unmapped
            elif effect.change == "cancelled":
                outcome.cancelled += 1
            else:
                outcome.updated += 1
        elif type(effect) is Note:
            notes.append(effect)
            outcome.notes.append((effect.kind, effect.text, effect.location))
    return outcome, notes
