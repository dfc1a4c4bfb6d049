"""The one thread that writes: group commit of arrivals, and handling in journal order.

Whatever arrived while the last transaction was being synced goes into the next one. Acceptance and
handling share transactions but never the same message: a message is handled in a transaction after
the one that made it durable, so that its acknowledgement never waits for its handler.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import apsw

from vitalbridge.bridge.model import Effect, Note, PutStep, Unprocessable
from vitalbridge.bridge.store.effects import apply
from vitalbridge.bridge.store.journal import (
    CHUNK,
    Arrival,
    Handled,
    Journal,
    MessageState,
    Outcome,
    Pending,
    microseconds,
)
from vitalbridge.bridge.store.state import SqlState
from vitalbridge.hl7 import Hl7Error, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vitalbridge.bridge.store.database import Database
    from vitalbridge.bridge.store.patient_cache import PatientCache

log = logging.getLogger("queue.writer")

T = TypeVar("T")

MOST_ARRIVALS = 512
MOST_HANDLED = 256
LEAST_HANDLING_SECONDS = 0.0005
MOST_HANDLING_SECONDS = 0.010
BACKLOG_FOR_MOST_HANDLING = 10_000
"""While arrivals wait, accepting goes before handling: the longer the backlog, the less so."""
IDLE_SECONDS = 1.0
NEXT_ARRIVAL_SECONDS = 0.001
"""A sender that has its answer sends its next message at once: worth sharing a sync with."""
MOST_IN_MEMORY = 4000
LOADED_AT_ONCE = 500
CHECKPOINT_PAGES = 8192
CHECKPOINT_SECONDS = 60.0
CHECKPOINT_RETRY_SECONDS = 1.0

UNAVAILABLE = (apsw.FullError, apsw.IOError, apsw.BusyError)
"""Errors that are no message's fault."""


class Committed(NamedTuple):
    """An arrival whose fate is decided: ``answer`` may go out now.

    ``kind`` is ``accepted``, ``duplicate``, ``refused`` or ``failed`` (not durable: the sender must
    be told no).
    """

    arrival: Arrival
    kind: str
    answer: bytes


class WriterEvents:
    """What the writer reports, on its own thread; the service overrides what it wants to know."""

    def committed(self, results: list[Committed]) -> None:
        """A transaction with these arrivals is on the disk."""

    def handled(self, results: list[Handled]) -> None:
        """The effects of these messages are on the disk."""

    def synced(self, seconds: float) -> None:
        """A group commit took so long to reach the disk."""

    def failed(self, error: Exception) -> None:
        """A transaction failed as a whole."""


class _LongBody:
    """A body over one chunk on its way into the database."""

    def __init__(self, arrival: Arrival, body_id: int) -> None:
        self.arrival = arrival
        self.body_id = body_id
        self.written = 0

    @property
    def finished(self) -> bool:
        return self.written * CHUNK >= len(self.arrival.raw)


class Writer(threading.Thread):
    """Owns the writing connection from start to stop."""

    def __init__(
        self,
        database: Database,
        cache: PatientCache,
        process: Callable[[Pending, SqlState], list[Effect]],
        subjects: Callable[[Message], Sequence[str]] | None,
        reload: Callable[[bytes, str], Message],
        events: WriterEvents,
        duplicate_window: float,
    ) -> None:
        """``subjects`` is given when later messages of a failed order have to wait for it.

        ``process`` is the pure handler; ``reload`` makes a message of kept bytes and sender again.
        """
        super().__init__(name="pb-writer", daemon=True)
        self.database = database
        self.state = SqlState(database.connection, cache)
        self.journal = Journal(database.connection, duplicate_window)
        self.process = process
        self.subjects = subjects
        self.reload = reload
        self.events = events
        self.unhandled = self.journal.count_unhandled()
        self.dead = self.journal.count_dead()
        self.last_error: str | None = None
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pending: deque[Pending] = deque()
        self._more_on_disk = self.unhandled > 0
        self._long: deque[_LongBody] = deque()
        self._behind_long: dict[int, deque[Arrival]] = {}
        self._stopping = False
        self._flowing = False
        self._wal_pages = 0
        self._checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        self._checkpoint_not_before = 0.0
        database.connection.set_wal_hook(self._note_wal)

    # -- from other threads ---------------------------------------------------------------------

    def submit(self, arrival: Arrival) -> None:
        """Hand over an arrival; its fate is reported through ``events.committed``."""
        self._jobs.put(arrival)

    def call(self, function: Callable[[Writer], T]) -> Future[T]:
        """Run ``function`` on the writer's thread in a transaction of its own."""
        future: Future[T] = Future()
        self._jobs.put((function, future))
        return future

    def stop(self, timeout: float) -> bool:
        """Commit what was submitted and end; the unhandled rest stays in the journal."""
        self._jobs.put(None)
        self.join(timeout)
        return not self.is_alive()

    def waiting(self) -> int:
        """Return how many jobs wait for the writer."""
        return self._jobs.qsize()

    # -- the thread -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve jobs until stopped."""
        self.journal.drop_unfinished_bodies()
        while True:
            arrivals, calls = self._collect()
            arrivals = [arrival for arrival in arrivals if self._take(arrival)]
            if arrivals or self._pending or self._more_on_disk:
                self._transact(arrivals)
            if self._long:
                self._write_long_part()
            for function, future in calls:
                self._run_call(function, future)
            if self._stopping and not self._long and self._jobs.empty():
                return
            self._maybe_checkpoint()

    def _collect(self) -> tuple[list[Arrival], list[tuple[Any, Future[Any]]]]:
        """Wait for work and return all of it that fits into one transaction."""
        jobs = self._jobs
        arrivals: list[Arrival] = []
        calls: list[tuple[Any, Future[Any]]] = []
        if self._long or self._stopping:
            wait = 0.0
        elif self._pending or self._more_on_disk:
            wait = NEXT_ARRIVAL_SECONDS if self._flowing else 0.0
        else:
            wait = IDLE_SECONDS
        self._flowing = False
        try:
            job = jobs.get(block=wait > 0, timeout=wait)
        except queue.Empty:
            return arrivals, calls
        while True:
            if job is None:
                self._stopping = True
            elif type(job) is Arrival:
                arrivals.append(job)
            else:
                calls.append(job)
            if len(arrivals) >= MOST_ARRIVALS:
                break
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                break
        self._flowing = bool(arrivals)
        return arrivals, calls

    def _take(self, arrival: Arrival) -> bool:
        """Return whether the arrival goes into the next transaction; long ones go their own way.

        What follows a long message on its connection waits for it, so that the journal keeps the
        order of each connection.
        """
        behind = self._behind_long.get(arrival.connection)
        if behind is not None:
            behind.append(arrival)
            return False
        if len(arrival.raw) <= CHUNK:
            return True
        self._long.append(_LongBody(arrival, self.journal.new_body()))
        self._behind_long[arrival.connection] = deque()
        return False

    def _transact(self, arrivals: list[Arrival]) -> None:
        """One group commit: journal the arrivals, handle what was pending before."""
        execute = self.state.execute
        taken: list[Pending] = []
        committed: list[Committed] = []
        fresh: list[Pending] = []
        handled: list[Handled] = []
        try:
            if not self._pending and self._more_on_disk:
                self._load()
            execute("BEGIN IMMEDIATE")
            for arrival in arrivals:
                self._journal_one(arrival, committed, fresh)
            self._handle_some(taken, handled)
            execute("UPDATE generation SET commits = commits + 1 WHERE id = 1")
            begun = time.perf_counter()
            execute("COMMIT")
            self.events.synced(time.perf_counter() - begun)
        except Exception as error:
            self._rollback(error)
            self._pending.extendleft(reversed(taken))
            self._one_by_one(arrivals, len(taken))
            return
        self.last_error = None
        self._settle(committed, fresh, handled)

    def _journal_one(
        self, arrival: Arrival, committed: list[Committed], fresh: list[Pending]
    ) -> None:
        if arrival.message is None:
            self.journal.append(arrival)
            committed.append(Committed(arrival, "refused", arrival.answer))
            return
        earlier = self.journal.earlier_answer(arrival)
        if earlier is not None:
            committed.append(Committed(arrival, "duplicate", earlier[1]))
            return
        seq = self.journal.append(arrival)
        fresh.append(
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
        committed.append(Committed(arrival, "accepted", arrival.answer))

    def _handle_some(self, taken: list[Pending], handled: list[Handled]) -> None:
        pending = self._pending
        jobs = self._jobs
        share = min(1.0, self.unhandled / BACKLOG_FOR_MOST_HANDLING)
        deadline = time.perf_counter() + LEAST_HANDLING_SECONDS + share * MOST_HANDLING_SECONDS
        while pending and len(taken) < MOST_HANDLED:
            if taken and not jobs.empty() and time.perf_counter() > deadline:
                return
            one = pending.popleft()
            taken.append(one)
            handled.append(self._handle(one))

    def _handle(self, pending: Pending) -> Handled:
        """Let the handler decide, apply its effects, mark the message; dead letter if it can't."""
        subjects: Sequence[str] = ()
        try:
            if self.subjects is not None:
                subjects = self.subjects(pending.message)
                blocked_by = self.journal.blocked(subjects)
                if blocked_by is not None:
                    outcome = Outcome(reason=f"waits for message {blocked_by}")
                    return self._mark(pending, MessageState.WAITING, outcome)
            effects = self.process(pending, self.state)
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
            # The text of an unforeseen exception may quote the message: only its type is kept.
            log.exception(
                "handler failed unexpectedly",
                exc_info=type(error)(),
                extra={"message_id": pending.control_id, "trace_id": pending.trace_id},
            )
            outcome = Outcome(code=207, reason=f"internal error: {type(error).__name__}")
            return self._bury(pending, outcome, subjects)
        apply(self.state, effects)
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
        return self._mark(pending, MessageState.DONE, outcome, notes)

    def _bury(self, pending: Pending, outcome: Outcome, subjects: Sequence[str]) -> Handled:
        if subjects:
            self.journal.block(subjects, pending.seq)
        return self._mark(pending, MessageState.DEAD, outcome)

    def _mark(
        self,
        pending: Pending,
        state: MessageState,
        outcome: Outcome,
        notes: Sequence[Note] = (),
    ) -> Handled:
        handled_at = microseconds()
        self.journal.mark(pending.seq, state, handled_at, outcome)
        return Handled(pending, state, outcome, handled_at, notes)

    def _settle(
        self, committed: list[Committed], fresh: list[Pending], handled: list[Handled]
    ) -> None:
        """After the commit: count, queue what is new, report."""
        self.unhandled += len(fresh)
        for one in handled:
            if one.state is not MessageState.WAITING:
                self.unhandled -= 1
            if one.state is MessageState.DEAD:
                self.dead += 1
        if self._more_on_disk or len(self._pending) + len(fresh) > MOST_IN_MEMORY:
            self._more_on_disk = self._more_on_disk or bool(fresh)
        else:
            self._pending.extend(fresh)
        if committed:
            self.events.committed(committed)
        if handled:
            self.events.handled(handled)

    def _load(self) -> None:
        """Bring the oldest pending messages from the disk into memory."""
        rows = self.journal.pending_rows(LOADED_AT_ONCE)
        for seq, sender, control_id, message_type, trace_id, received_at in rows:
            raw = self.journal.body(seq)
            try:
                if raw is None:
                    raise Unprocessable(207, "", "its body is missing from the database")
                message = self.reload(raw, sender)
            except (Unprocessable, Hl7Error) as error:
                self._lose(seq, str(error))
                continue
            self._pending.append(
                Pending(seq, message, sender, control_id, message_type, trace_id, received_at)
            )
        self._more_on_disk = len(rows) == LOADED_AT_ONCE

    def read_again(self) -> None:
        """Take pending messages from the disk again, as an earlier one has become pending."""
        self._pending.clear()
        self._more_on_disk = True

    def _lose(self, seq: int, reason: str) -> None:
        """Put a message that can't even be read again among the dead letters."""
        outcome = Outcome(code=207, reason=reason)
        self._alone(lambda: self.journal.mark(seq, MessageState.DEAD, microseconds(), outcome))
        self.unhandled -= 1
        self.dead += 1
        log.error("message unreadable", extra={"seq": seq, "error_code": -964, "reason": reason})

    # -- when a transaction fails ---------------------------------------------------------------

    def _rollback(self, error: Exception) -> None:
        if self.database.connection.in_transaction:
            self.state.execute("ROLLBACK")
        self.state.cache.clear()
        if self.last_error != type(error).__name__:
            log.error(
                "transaction failed and is repeated message by message",
                extra={
                    "error_type": "database",
                    "error_code": -964,
                    "reason": type(error).__name__,
                },
            )
        self.last_error = type(error).__name__
        self.events.failed(error)

    def _one_by_one(self, arrivals: list[Arrival], handling: int) -> None:
        """Repeat a failed group alone, member by member: only those at fault fail."""
        for arrival in arrivals:
            committed: list[Committed] = []
            fresh: list[Pending] = []
            try:
                self._alone(partial(self._journal_one, arrival, committed, fresh))
            except Exception as error:
                self.last_error = type(error).__name__
                committed = [Committed(arrival, "failed", b"")]
                fresh = []
            self._settle(committed, fresh, [])
        for _ in range(min(handling, len(self._pending))):
            one = self._pending.popleft()
            try:
                handled = self._handle_alone(one)
            except UNAVAILABLE as error:
                # The message stays where it is until the disk takes it.
                self.last_error = type(error).__name__
                self._pending.appendleft(one)
                time.sleep(0.1)
                return
            self._settle([], [], handled)

    def _handle_alone(self, pending: Pending) -> list[Handled]:
        handled: list[Handled] = []
        try:
            self._alone(partial(self._handle_into, handled, pending))
        except UNAVAILABLE:
            raise
        except Exception as error:
            reason = Outcome(code=207, reason=f"Database error: {type(error).__name__}")
            handled.clear()
            self._alone(partial(self._bury_into, handled, pending, reason))
        return handled

    def _handle_into(self, handled: list[Handled], pending: Pending) -> None:
        handled.append(self._handle(pending))

    def _bury_into(self, handled: list[Handled], pending: Pending, outcome: Outcome) -> None:
        handled.append(self._bury(pending, outcome, ()))

    def _alone(self, step: Callable[[], None]) -> None:
        execute = self.state.execute
        try:
            execute("BEGIN IMMEDIATE")
            step()
            execute("UPDATE generation SET commits = commits + 1 WHERE id = 1")
            execute("COMMIT")
        except BaseException:
            if self.database.connection.in_transaction:
                execute("ROLLBACK")
            self.state.cache.clear()
            raise

    # -- long bodies, calls, checkpoints --------------------------------------------------------

    def _write_long_part(self) -> None:
        """Write one chunk of the first long body; the last one brings the journal row."""
        body = self._long[0]
        arrival = body.arrival
        committed: list[Committed] = []
        fresh: list[Pending] = []

        def step() -> None:
            if body.written == 0 and arrival.message is not None:
                earlier = self.journal.earlier_answer(arrival)
                if earlier is not None:
                    committed.append(Committed(arrival, "duplicate", earlier[1]))
                    return
            start = body.written * CHUNK
            part = memoryview(arrival.raw)[start : start + CHUNK]
            self.journal.append_chunk(body.body_id, body.written, part)
            body.written += 1
            if not body.finished:
                return
            seq = self.journal.append(arrival, body.body_id)
            if arrival.message is None:
                committed.append(Committed(arrival, "refused", arrival.answer))
                return
            fresh.append(
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
            committed.append(Committed(arrival, "accepted", arrival.answer))

        try:
            self._alone(step)
        except Exception as error:
            self.last_error = type(error).__name__
            self.events.failed(error)
            # What can't be removed now goes at the next start.
            with contextlib.suppress(*UNAVAILABLE):
                self._alone(partial(self.journal.drop_body, body.body_id))
            committed = [Committed(arrival, "failed", b"")]
            fresh = []
        if not committed:
            return
        self._long.popleft()
        self._settle(committed, fresh, [])
        behind = self._behind_long.pop(arrival.connection)
        while behind:
            following = behind.popleft()
            if self._take(following):
                self._transact([following])
            else:
                self._behind_long[following.connection].extend(behind)
                return

    def _run_call(self, function: Callable[[Writer], Any], future: Future[Any]) -> None:
        result: list[Any] = []
        try:
            self._alone(lambda: result.append(function(self)))
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result[0])

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _maybe_checkpoint(self) -> None:
        now = time.monotonic()
        if now < self._checkpoint_not_before or (
            self._wal_pages < CHECKPOINT_PAGES
            and not (self._wal_pages and now >= self._checkpoint_due)
        ):
            return
        self._checkpoint_due = now + CHECKPOINT_SECONDS
        self._checkpoint_not_before = now + CHECKPOINT_RETRY_SECONDS
        try:
            if self.database.checkpoint():
                self._wal_pages = 0
                self._checkpoint_not_before = 0.0
        except (apsw.Error, OSError) as error:
            self.last_error = type(error).__name__
            self.events.failed(error)
