"""The one thread that writes: group commit of arrivals, and handling in journal order.

The thread runs an event loop of its own, on which messages are also received: a message goes from
its socket to its acknowledgement without being handed from one thread to another, which would cost
more than waiting for the disk does. Only for a large group another thread waits for the disk.

Whatever arrived while the last transaction was being synced goes into the next one. A few messages
are handled in the transaction that accepts them; when many arrive, accepting goes first and they
are handled in transactions that follow, shared with what arrives then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import apsw
import uvloop

from vitalbridge.bridge.errors import ErrorCode
from vitalbridge.bridge.store.backlog import Backlog, Committed, Group
from vitalbridge.bridge.store.commit_thread import CommitThread
from vitalbridge.bridge.store.journal import CHUNK, Arrival, Handled, Journal
from vitalbridge.bridge.store.state import SqlState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from vitalbridge.bridge.model import Effect
    from vitalbridge.bridge.store.database import Database
    from vitalbridge.bridge.store.journal import Pending
    from vitalbridge.bridge.store.patient_cache import PatientCache
    from vitalbridge.hl7 import Message

log = logging.getLogger("queue.writer")

T = TypeVar("T")

MOST_ARRIVALS = 512
LARGE_GROUP = 16
"""From here on syncing takes longer than waking a thread that waits for it: the next messages are
received meanwhile."""
NEXT_ARRIVAL_SECONDS = 0.001
"""A sender that has its answer sends its next message at once: worth sharing a sync with."""
RETRY_SECONDS = 0.1
IDLE_SECONDS = 1.0
CHECKPOINT_PAGES = 4096
CHECKPOINT_SECONDS = 60.0
CHECKPOINT_PAUSE_SECONDS = 0.5

NOT_THE_MESSAGES_FAULT = (apsw.FullError, apsw.IOError, apsw.BusyError)


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
    """Owns the writing connection and an event loop from start to stop."""

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
        self.backlog = Backlog(self.state, self.journal, process, subjects, reload)
        self.events = events
        self.last_error: str | None = None
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._arrivals: deque[Arrival] = deque()
        self._calls: deque[tuple[Callable[[Writer], Any], Future[Any]]] = deque()
        self._long: deque[_LongBody] = deque()
        self._behind_long: dict[int, deque[Arrival]] = {}
        self._awake = False
        self._syncing = False
        self._commits = CommitThread(self.loop)
        self._later: asyncio.TimerHandle | None = None
        self._flowing = False
        self._stopping = False
        self._failure: BaseException | None = None
        self._wal_pages = 0
        self._checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        self._no_checkpoint_before = 0.0
        database.connection.set_wal_hook(self._note_wal)

    @property
    def unhandled(self) -> int:
        """Accepted messages that are not handled yet."""
        return self.backlog.unhandled

    @property
    def dead(self) -> int:
        """Messages in the dead letters."""
        return self.backlog.dead

    # -- from any thread ------------------------------------------------------------------------

    def submit(self, arrival: Arrival) -> None:
        """Hand over an arrival; its fate is reported through ``events.committed``."""
        self._on_loop(self._arrive, arrival)

    def call(self, function: Callable[[Writer], T]) -> Future[T]:
        """Run ``function`` on the writer's thread in a transaction of its own."""
        future: Future[T] = Future()
        self._on_loop(self._enqueue_call, function, future)
        return future

    def run_on_loop(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the writer's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self, timeout: float) -> bool:
        """Commit what was submitted and end; the unhandled rest stays in the journal."""
        if self.ident is None:
            self.loop.close()
            return True
        if self.is_alive():
            self._on_loop(self._begin_stop)
        self.join(timeout)
        return not self.is_alive()

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        if threading.get_ident() == self.ident:
            function(*arguments)
        else:
            self.loop.call_soon_threadsafe(function, *arguments)

    # -- the thread -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until stopped."""
        asyncio.set_event_loop(self.loop)
        self._commits.start()
        self.journal.drop_unfinished_bodies()
        self._wake()
        try:
            self.loop.run_forever()
        finally:
            self._commits.stop()
            self.loop.close()
        if self._failure is not None:
            raise self._failure

    def _arrive(self, arrival: Arrival) -> None:
        """Queue an arrival.

        Long ones go their own way. What follows a long message on its connection waits for it, so
        that the journal keeps the order of each connection.
        """
        behind = self._behind_long.get(arrival.connection)
        if behind is not None:
            behind.append(arrival)
            return
        if len(arrival.raw) <= CHUNK:
            self._arrivals.append(arrival)
        else:
            self._long.append(_LongBody(arrival, self.journal.new_body()))
            self._behind_long[arrival.connection] = deque()
        self._wake()

    def _enqueue_call(self, function: Callable[[Writer], Any], future: Future[Any]) -> None:
        self._calls.append((function, future))
        self._wake()

    def _begin_stop(self) -> None:
        self._stopping = True
        self._wake()

    def _wake(self) -> None:
        """Look for work soon: after what the sockets have for this turn of the loop."""
        if not self._awake:
            self._awake = True
            self.loop.call_soon(self._guarded, self._next)

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """Run a step; what goes wrong unforeseen ends the thread: half a writer loses messages."""
        try:
            step(*arguments)
        except BaseException as error:
            self._failure = error
            self.loop.stop()

    def _next(self) -> None:
        """Do the next piece of work, then let the sockets have their turn."""
        self._awake = False
        if self._syncing:
            return
        if self._later is not None:
            self._later.cancel()
            self._later = None
        while self._calls:
            self._run_call(*self._calls.popleft())
        if self._checkpoint_is_due():
            self._checkpoint()
        if self._long:
            self._write_long_part()
        if self._arrivals:
            self._flowing = True
            self._write_group()
        elif self.backlog.has_work() and not self._stopping:
            if self._flowing:
                self._flowing = False
                self._later = self.loop.call_later(NEXT_ARRIVAL_SECONDS, self._wake)
                return
            self._write_group()
        elif not self._long:
            if self._stopping:
                self.loop.stop()
            else:
                self._later = self.loop.call_later(IDLE_SECONDS, self._wake)
            return
        self._wake()

    # -- one transaction at a time --------------------------------------------------------------

    def _begin(self) -> None:
        self.state.execute("BEGIN IMMEDIATE")

    def _count_commit(self) -> None:
        self.state.execute("UPDATE generation SET commits = commits + 1 WHERE id = 1")

    def _write_group(self) -> None:
        """One group commit: journal what arrived, handle what was pending before."""
        arrivals = self._arrivals
        group = Group([arrivals.popleft() for _ in range(min(len(arrivals), MOST_ARRIVALS))])
        try:
            self.backlog.load(self._alone)
            self._begin()
            for arrival in group.arrivals:
                self.backlog.accept(arrival, group)
            self.backlog.handle_at_once(group)
            # Nothing is received while this thread handles: those just accepted have followers.
            self.backlog.handle_some(group, others_wait=bool(group.arrivals))
            self._count_commit()
            if len(group.arrivals) >= LARGE_GROUP:
                self._syncing = True
                self._commits.submit(
                    self._commit, partial(self._guarded, self._committed_elsewhere, group)
                )
                return
            self._commit()
        except Exception as error:
            self._repeat(group, error)
            return
        self.last_error = None
        self._settle(group)

    def _commit(self) -> None:
        begun = time.perf_counter()
        self.state.execute("COMMIT")
        self.events.synced(time.perf_counter() - begun)

    def _committed_elsewhere(self, group: Group, error: Exception | None) -> None:
        """The commit thread is done with a large group: the connection is this thread's again."""
        self._syncing = False
        if error is not None:
            self._repeat(group, error)
        else:
            self.last_error = None
            self._settle(group)
        self._wake()

    def _settle(self, group: Group) -> None:
        self.backlog.settle(group)
        if group.committed:
            self.events.committed(group.committed)
        if group.handled:
            self.events.handled(group.handled)

    # -- when a transaction fails ---------------------------------------------------------------

    def _rollback(self) -> None:
        if self.database.connection.in_transaction:
            self.state.execute("ROLLBACK")
        self.state.cache.clear()

    def _repeat(self, group: Group, error: Exception) -> None:
        """Repeat a failed group member by member, each alone: only those at fault fail."""
        self._rollback()
        if self.last_error != type(error).__name__:
            log.error(
                "transaction failed and is repeated message by message",
                extra={
                    "error_type": "system",
                    "error_code": int(ErrorCode.QUEUE_DATABASE_ERROR),
                    "reason": type(error).__name__,
                },
            )
        self.last_error = type(error).__name__
        self.events.failed(error)
        self.backlog.put_back(group)
        for arrival in group.arrivals:
            self._accept_alone(arrival)
        for _ in group.taken:
            if not self._handle_alone():
                return

    def _accept_alone(self, arrival: Arrival) -> None:
        group = Group()
        try:
            self._alone(partial(self.backlog.accept, arrival, group))
        except Exception as error:
            self.last_error = type(error).__name__
            group = Group()
            group.committed.append(Committed(arrival, "failed", b""))
        self._settle(group)

    def _handle_alone(self) -> bool:
        """Handle the oldest message in its own transaction; False if the disk doesn't take it."""
        try:
            group = self._handled_or_buried()
        except NOT_THE_MESSAGES_FAULT as error:
            # The message stays where it is until the disk takes it.
            self.last_error = type(error).__name__
            self._pause()
            return False
        self._settle(group)
        return True

    def _handled_or_buried(self) -> Group:
        group = Group()
        try:
            self._alone(partial(self.backlog.handle_next, group))
        except NOT_THE_MESSAGES_FAULT:
            self.backlog.put_back(group)
            raise
        except Exception as error:
            self.backlog.put_back(group)
            reason = f"Database error: {type(error).__name__}"
            group = Group()
            try:
                self._alone(partial(self.backlog.bury_next, group, reason))
            except BaseException:
                self.backlog.put_back(group)
                raise
        return group

    def _pause(self) -> None:
        """Do nothing for a moment."""
        self._awake = True
        self.loop.call_later(RETRY_SECONDS, self._guarded, self._next)

    def _alone(self, step: Callable[[], None]) -> None:
        """Run a step in a transaction of its own, here and now."""
        try:
            self._begin()
            step()
            self._count_commit()
            self.state.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    # -- long bodies, calls, checkpoints --------------------------------------------------------

    def _write_long_part(self) -> None:
        """Write one chunk of the first long body; the last one brings the journal row."""
        body = self._long[0]
        group = Group()
        try:
            self._alone(partial(self._add_long_part, body, group))
        except Exception as error:
            self.last_error = type(error).__name__
            self.events.failed(error)
            group = Group()
            group.committed.append(Committed(body.arrival, "failed", b""))
            # What can't be removed now goes at the next start.
            with contextlib.suppress(*NOT_THE_MESSAGES_FAULT):
                self._alone(partial(self.journal.drop_body, body.body_id))
        if not group.committed:
            return
        self._long.popleft()
        self._settle(group)
        for following in self._behind_long.pop(body.arrival.connection):
            self._arrive(following)

    def _add_long_part(self, body: _LongBody, group: Group) -> None:
        arrival = body.arrival
        if (
            body.written == 0
            and arrival.message is not None
            and self.backlog.answer_again(arrival, group)
        ):
            return
        start = body.written * CHUNK
        part = memoryview(arrival.raw)[start : start + CHUNK]
        self.journal.append_chunk(body.body_id, body.written, part)
        body.written += 1
        if body.finished:
            self.backlog.accept(arrival, group, body.body_id)

    def _run_call(self, function: Callable[[Writer], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return  # whoever asked has given up waiting
        result: list[Any] = []
        try:
            self._alone(lambda: result.append(function(self)))
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result[0])

    def read_again(self) -> None:
        """Take pending messages from the disk again, as an earlier one has become pending."""
        self.backlog.read_again()

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_is_due(self) -> bool:
        now = time.monotonic()
        if self._wal_pages >= CHECKPOINT_PAGES:
            return now >= self._no_checkpoint_before
        return self._wal_pages > 0 and now >= self._checkpoint_due

    def _checkpoint(self) -> None:
        try:
            self.database.checkpoint(truncate=False)
        except (apsw.Error, OSError) as error:
            self.last_error = type(error).__name__
            self.events.failed(error)
        now = time.monotonic()
        self._checkpoint_due = now + CHECKPOINT_SECONDS
        # A long reader can hold a checkpoint up; asking again at every commit would not help.
        self._no_checkpoint_before = now + CHECKPOINT_PAUSE_SECONDS
        self._wal_pages = 0
