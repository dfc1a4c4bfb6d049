"""The writer: group commit, duplicates, failures, long bodies, backlog, restart, a full disk."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest

from vitalbridge.bridge.model import Note, PutStep, Seen, Unprocessable
from vitalbridge.bridge.store import backlog as backlog_module
from vitalbridge.bridge.store import writer as writer_module
from vitalbridge.bridge.store.database import connect_reader
from vitalbridge.bridge.store.files import main_file_generation
from vitalbridge.bridge.store.journal import CHUNK, MessageState, microseconds, read_body
from vitalbridge.bridge.store.retention import purge
from vitalbridge.hl7 import CharsetError
from vitalbridge.runtime.logs import JsonFormatter

from .traffic import (
    SECONDS,
    STEPS_OF_ORDER,
    Store,
    arrival_of,
    long_message,
    make_step,
    opened,
    order_message,
    two_steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vitalbridge.bridge.model import Effect
    from vitalbridge.bridge.store.journal import Pending
    from vitalbridge.bridge.store.state import SqlState
    from vitalbridge.bridge.store.writer import Writer
    from vitalbridge.hl7 import Message


@pytest.fixture(autouse=True, params=[1, 16], ids=["synced elsewhere", "synced here"])
def large_group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with the commit thread and without."""
    monkeypatch.setattr(writer_module, "LARGE_GROUP", request.param)


@pytest.fixture
def store(database_path: Path) -> Iterator[Store]:
    with opened(database_path) as running:
        yield running


def outcome_of(store: Store, control_id: str) -> tuple[MessageState, dict[str, Any]]:
    """State and outcome of the one message with that control id."""
    [(state, outcome)] = store.ask(
        "SELECT state, outcome FROM inbound WHERE control_id = ?", (control_id,)
    )
    return MessageState(state), msgspec.json.decode(outcome) if outcome else {}


def control_ids(store: Store) -> list[str]:
    """Control ids in journal order."""
    return [row[0] for row in store.ask("SELECT control_id FROM inbound ORDER BY seq")]


def body_of(store: Store, control_id: str) -> bytes | None:
    seq = store.one("SELECT seq FROM inbound WHERE control_id = ?", (control_id,))
    return store.writer.call(lambda w: read_body(w.state.execute, seq)).result(SECONDS)


def in_view(store: Store) -> int:
    """What the runbook's SELECT COUNT(*) FROM messages gives."""
    count = store.one("SELECT count(*) FROM messages")
    assert isinstance(count, int)
    return count


def refuse_insert(store: Store, table: str, condition: str) -> None:
    """Make the database itself refuse some rows; call it before the start."""
    store.connection.execute(
        f"CREATE TEMP TRIGGER refuse_{table} BEFORE INSERT ON main.{table} WHEN {condition}"
        " BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
    )


def failing(control_id: str, error: Exception) -> Callable[[Pending, SqlState], list[Effect]]:
    """A handler that fails at one message."""

    def process(pending: Pending, state: SqlState) -> list[Effect]:
        if pending.control_id == control_id:
            raise error
        return two_steps(pending, state)

    return process


# -- group commit -----------------------------------------------------------------------------


def test_a_message_is_kept_answered_and_applied(store: Store) -> None:
    raw = order_message("A1")
    store.accept(raw)
    store.events.wait_handled(1)
    [settled] = store.events.settled
    assert (settled.kind, settled.answer) == ("accepted", b"MSA|AA|A1")
    assert body_of(store, "A1") == raw
    assert outcome_of(store, "A1") == (MessageState.DONE, {"created": STEPS_OF_ORDER})
    assert store.one("SELECT count(*) FROM worklist_step WHERE accession = 'A1'") == STEPS_OF_ORDER
    assert in_view(store) == 0
    assert store.writer.unhandled == 0


def test_what_arrived_together_is_committed_together(database_path: Path) -> None:
    waiting = Store(database_path)
    names = [f"G{n}" for n in range(200)]
    waiting.submit(*(arrival_of(order_message(name)) for name in names))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(200)
        assert running.events.groups == [200]
        assert control_ids(running) == names


def test_many_messages_are_acknowledged_before_they_are_handled(database_path: Path) -> None:
    seen: list[bool] = []

    def process(pending: Pending, state: SqlState) -> list[Effect]:
        with contextlib.closing(connect_reader(database_path)) as other:
            found = other.execute("SELECT 1 FROM inbound WHERE seq = ?", (pending.seq,)).get
        seen.append(found is not None)
        return two_steps(pending, state)

    waiting = Store(database_path, process)
    waiting.submit(*(arrival_of(order_message(f"D{n}")) for n in range(50)))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(50)
    assert seen == [True] * 50


def test_a_refused_message_is_kept_with_its_reason(store: Store) -> None:
    store.submit(arrival_of(order_message("R1"), refused="PID^1^3 Required field missing"))
    store.events.wait_settled(1)
    [settled] = store.events.settled
    assert (settled.kind, settled.answer) == ("refused", b"MSA|AE|R1")
    state, outcome = outcome_of(store, "R1")
    assert state is MessageState.REFUSED
    assert outcome["reason"] == "PID^1^3 Required field missing"
    assert in_view(store) == 0


def test_a_member_that_the_database_refuses_fails_alone(database_path: Path) -> None:
    waiting = Store(database_path)
    refuse_insert(waiting, "inbound", "NEW.control_id = 'BAD'")
    names = [f"M{n}" for n in range(5)] + ["BAD"] + [f"N{n}" for n in range(5)]
    waiting.submit(*(arrival_of(order_message(name)) for name in names))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(10)
        kinds = running.events.kinds()
        assert kinds.pop("BAD") == "failed"
        assert set(kinds.values()) == {"accepted"}
        assert control_ids(running) == [name for name in names if name != "BAD"]
        assert in_view(running) == 0


def test_a_member_that_cannot_even_be_encoded_fails_alone(database_path: Path) -> None:
    broken = arrival_of(order_message("BAD"))
    broken.peer = "\udcff"
    waiting = Store(database_path)
    waiting.submit(arrival_of(order_message("M1")), broken, arrival_of(order_message("M2")))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(2)
        assert running.events.kinds() == {"M1": "accepted", "BAD": "failed", "M2": "accepted"}


def test_effects_that_the_database_refuses_go_to_the_dead_letters_alone(
    database_path: Path,
) -> None:
    waiting = Store(database_path)
    refuse_insert(waiting, "imaging_order", "NEW.placer = 'BAD'")
    waiting.submit(*(arrival_of(order_message(name)) for name in ("M1", "BAD", "M2")))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(3)
        state, outcome = outcome_of(running, "BAD")
        assert state is MessageState.DEAD
        assert outcome == {"code": 207, "reason": "Database error: ConstraintError"}
        assert outcome_of(running, "M1")[0] is MessageState.DONE
        assert outcome_of(running, "M2")[0] is MessageState.DONE
        assert running.one("SELECT count(*) FROM worklist_step") == 2 * STEPS_OF_ORDER
        assert running.writer.dead == 1
        assert running.writer.unhandled == 0


# -- duplicates -------------------------------------------------------------------------------


def test_the_same_bytes_get_the_kept_answer_and_change_nothing(store: Store) -> None:
    first = arrival_of(order_message("A1"))
    again = arrival_of(order_message("A1"))
    again.answer = b"another answer"
    store.submit(first)
    store.events.wait_settled(1)
    store.submit(again)
    store.events.wait_settled(2)
    assert [(one.kind, one.answer) for one in store.events.settled] == [
        ("accepted", b"MSA|AA|A1"),
        ("duplicate", b"MSA|AA|A1"),
    ]
    assert control_ids(store) == ["A1"]


def test_duplicates_within_one_group_are_recognised(database_path: Path) -> None:
    waiting = Store(database_path)
    waiting.submit(*(arrival_of(order_message("A1")) for _ in range(3)))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(1)
        assert [one.kind for one in running.events.settled] == [
            "accepted",
            "duplicate",
            "duplicate",
        ]
        assert running.one("SELECT count(*) FROM imaging_order") == 1


def test_the_same_control_id_with_other_bytes_is_a_new_message(store: Store) -> None:
    store.accept(order_message("A1"), order_message("A1", extra="changed"))
    assert [one.kind for one in store.events.settled] == ["accepted", "accepted"]


def test_the_same_control_id_of_another_sender_is_a_new_message(store: Store) -> None:
    raw = order_message("A1")
    store.accept(raw, raw.replace(b"|RIS|CITY|", b"|HIS|CITY|"))
    assert [one.kind for one in store.events.settled] == ["accepted", "accepted"]


def test_a_refused_message_is_judged_afresh(store: Store) -> None:
    raw = order_message("A1")
    store.submit(arrival_of(raw, refused="type not known"))
    store.events.wait_settled(1)
    store.accept(raw)
    assert [one.kind for one in store.events.settled] == ["refused", "accepted"]


def test_after_the_window_the_same_bytes_are_a_new_message(database_path: Path) -> None:
    with opened(database_path, duplicate_window=60.0) as running:
        now = microseconds()
        raw = order_message("A1")
        for received_at in (now - 61_000_000, now - 59_000_000, now):
            running.submit(arrival_of(raw, received_at=received_at))
        running.events.wait_settled(3)
        assert [one.kind for one in running.events.settled] == ["accepted", "duplicate", "accepted"]


def test_duplicates_are_recognised_after_a_restart(database_path: Path) -> None:
    with opened(database_path) as running:
        running.accept(order_message("A1"))
    with opened(database_path) as running:
        running.accept(order_message("A1"))
        assert [one.kind for one in running.events.settled] == ["duplicate"]


def test_many_messages_under_one_control_id_are_told_apart_quickly(database_path: Path) -> None:
    """A sender that numbers all its messages the same must not slow everybody down."""
    with opened(database_path) as running:
        for group in range(10):
            running.accept(
                *(order_message("SAME", extra=f"{group}-{n}", patient="P") for n in range(400))
            )
        running.events.wait_handled(4000)
        plan = running.ask(
            "EXPLAIN QUERY PLAN SELECT ack_code, ack, sender, received_at FROM inbound"
            " WHERE control_id = 'SAME' AND digest = x'00' AND state <> 3"
        )
        assert "control_id=? AND digest=?" in plan[0][3]


# -- handlers that fail -----------------------------------------------------------------------


def test_unprocessable_goes_to_the_dead_letters_with_reason_and_place(database_path: Path) -> None:
    error = Unprocessable(204, "ORC^1^2", "order not known")
    with opened(database_path, failing("BAD", error)) as running:
        running.accept(order_message("BAD"), order_message("GOOD"))
        running.events.wait_handled(2)
        assert outcome_of(running, "BAD") == (
            MessageState.DEAD,
            {"code": 204, "location": "ORC^1^2", "reason": "order not known"},
        )
        assert outcome_of(running, "GOOD")[0] is MessageState.DONE
        assert {one.kind for one in running.events.settled} == {"accepted"}
        assert (running.writer.dead, running.writer.unhandled) == (1, 0)


def test_a_message_that_cannot_be_read_after_all_goes_to_the_dead_letters(
    database_path: Path,
) -> None:
    error = CharsetError("bytes outside of the character set", location="PID^1^5")
    with opened(database_path, failing("BAD", error)) as running:
        running.accept(order_message("BAD"))
        running.events.wait_handled(1)
        state, outcome = outcome_of(running, "BAD")
        assert state is MessageState.DEAD
        assert outcome["location"] == "PID^1^5"


def test_an_unforeseen_error_goes_to_the_dead_letters_without_its_text(
    database_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(database_path, failing("BAD", ValueError("DOE^JOHN"))) as running:
        running.accept(order_message("BAD"), order_message("GOOD"))
        running.events.wait_handled(2)
        assert outcome_of(running, "BAD") == (
            MessageState.DEAD,
            {"code": 207, "reason": "internal error: ValueError"},
        )
        assert outcome_of(running, "GOOD")[0] is MessageState.DONE
    [written] = [JsonFormatter(source_location=False).format(record) for record in caplog.records]
    assert "handler failed unexpectedly" in written
    assert '"exception":"ValueError"' in written
    assert "DOE" not in written


def test_effects_of_a_failed_handler_are_not_applied(database_path: Path) -> None:
    def process(pending: Pending, state: SqlState) -> list[Effect]:
        effects = two_steps(pending, state)
        if pending.control_id == "BAD":
            raise Unprocessable(204, "ORC^1^2", "no")
        return effects

    with opened(database_path, process) as running:
        running.accept(order_message("BAD"), order_message("GOOD"))
        running.events.wait_handled(2)
        assert running.one("SELECT count(*) FROM worklist_step") == STEPS_OF_ORDER


def test_notes_are_kept_with_the_outcome(database_path: Path) -> None:
    def process(pending: Pending, state: SqlState) -> list[Effect]:
        step = make_step(state.new_key(), 1)
        return [
            PutStep(step, "created"),
            PutStep(step, "updated"),
            PutStep(step, "cancelled"),
            Seen("order:1", pending.sender, "20250101"),
            Note("warning", "modality not known", "OBR^1^24"),
        ]

    with opened(database_path, process) as running:
        running.accept(order_message("A1"))
        running.events.wait_handled(1)
        assert outcome_of(running, "A1") == (
            MessageState.DONE,
            {
                "created": 1,
                "updated": 1,
                "cancelled": 1,
                "notes": [["warning", "modality not known", "OBR^1^24"]],
            },
        )
        [handled] = running.events.done
        assert [note.text for note in handled.notes] == ["modality not known"]


# -- messages that wait for an earlier one ----------------------------------------------------


def placer_of(message: Message) -> list[str]:
    return ["order:" + message.get("NTE-3")]


def test_later_messages_of_a_failed_order_wait_and_others_go_on(database_path: Path) -> None:
    error = Unprocessable(204, "ORC^1^2", "order not known")
    with opened(database_path, failing("BAD", error), subjects=placer_of) as running:
        running.accept(
            order_message("BAD", extra="X"),
            order_message("NEXT", extra="X"),
            order_message("OTHER", extra="Y"),
        )
        running.events.wait_handled(3)
        state, outcome = outcome_of(running, "NEXT")
        assert state is MessageState.WAITING
        assert outcome["reason"] == "waits for message 1"
        assert outcome_of(running, "OTHER")[0] is MessageState.DONE
        assert in_view(running) == running.writer.unhandled == 1
        running.accept(order_message("LATER", extra="X"))
        running.events.wait_handled(4)
        assert outcome_of(running, "LATER")[0] is MessageState.WAITING
        assert in_view(running) == running.writer.unhandled == 2
    with opened(database_path, subjects=placer_of) as running:
        assert running.writer.unhandled == 2
        running.accept(order_message("AFTER", extra="X"))
        running.events.wait_handled(1)
        assert outcome_of(running, "AFTER")[0] is MessageState.WAITING


# -- long bodies ------------------------------------------------------------------------------


def test_long_bodies_go_in_chunks_and_keep_their_connection_in_order(database_path: Path) -> None:
    long = long_message("LONG", 3 * CHUNK)
    waiting = Store(database_path)
    waiting.submit(
        arrival_of(long, connection=1),
        arrival_of(order_message("BEHIND1"), connection=1),
        arrival_of(order_message("OTHER"), connection=2),
        arrival_of(order_message("BEHIND2"), connection=1),
    )
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(4)
        assert [one.arrival.control_id for one in running.events.settled] == [
            "OTHER",
            "LONG",
            "BEHIND1",
            "BEHIND2",
        ]
        assert control_ids(running) == ["OTHER", "LONG", "BEHIND1", "BEHIND2"]
        assert body_of(running, "LONG") == long
        assert running.one("SELECT count(*) FROM inbound_chunk") == 4
        assert running.one("SELECT max(length(part)) FROM inbound_chunk") == CHUNK
        assert outcome_of(running, "LONG")[0] is MessageState.DONE
        assert in_view(running) == 0


def test_several_long_bodies_of_one_connection_stay_in_order(database_path: Path) -> None:
    names = ["L1", "S1", "L2", "L3", "S2"]
    waiting = Store(database_path)
    for name in names:
        raw = long_message(name, CHUNK) if name[0] == "L" else order_message(name)
        waiting.submit(arrival_of(raw))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(5)
        assert control_ids(running) == names


def test_a_body_of_exactly_one_chunk_is_one_row(store: Store) -> None:
    size = CHUNK - len(order_message("EDGE", extra="x")) + 1
    raw = long_message("EDGE", size)
    assert len(raw) == CHUNK
    store.accept(raw)
    assert store.one("SELECT count(*) FROM inbound_chunk") == 0
    assert body_of(store, "EDGE") == raw


def test_small_messages_do_not_wait_for_a_long_one(database_path: Path) -> None:
    waiting = Store(database_path)
    waiting.submit(arrival_of(long_message("LONG", 20 * CHUNK), connection=1))
    with contextlib.closing(waiting.start()) as running:
        for n in range(10):
            running.accept(order_message(f"S{n}"), connection=2)
        order = [one.arrival.control_id for one in running.events.settled]
        # How many get in between depends on the machine; that some do, does not.
        assert order[:3] == ["S0", "S1", "S2"]
        running.events.wait_settled(11)
        assert running.events.kinds()["LONG"] == "accepted"


def test_a_long_body_sent_again_gets_the_kept_answer(store: Store) -> None:
    long = long_message("LONG", 2 * CHUNK)
    store.accept(long)
    store.accept(long)
    assert [one.kind for one in store.events.settled] == ["accepted", "duplicate"]
    assert store.one("SELECT count(*) FROM inbound_chunk") == 3


def test_a_refused_long_body_is_kept(store: Store) -> None:
    long = long_message("LONG", CHUNK)
    store.submit(arrival_of(long, refused="no"))
    store.events.wait_settled(1)
    assert store.events.kinds() == {"LONG": "refused"}
    assert body_of(store, "LONG") == long


def test_a_long_body_that_fails_half_way_leaves_nothing(database_path: Path) -> None:
    waiting = Store(database_path)
    refuse_insert(waiting, "inbound_chunk", "NEW.n = 2")
    waiting.submit(arrival_of(long_message("LONG", 3 * CHUNK)), arrival_of(order_message("BEHIND")))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(1)
        assert running.events.kinds() == {"LONG": "failed", "BEHIND": "accepted"}
        assert running.one("SELECT count(*) FROM inbound_chunk") == 0


def test_chunks_without_a_message_go_at_the_next_start(database_path: Path) -> None:
    waiting = Store(database_path)
    waiting.connection.execute("INSERT INTO inbound_chunk VALUES (7, 0, x'00'), (7, 1, x'00')")
    with contextlib.closing(waiting.start()) as running:
        running.accept(order_message("A1"))
        assert running.one("SELECT count(*) FROM inbound_chunk") == 0


# -- backlog and restart ----------------------------------------------------------------------


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "MOST_IN_MEMORY", 10)
    monkeypatch.setattr(backlog_module, "LOADED_AT_ONCE", 7)
    monkeypatch.setattr(backlog_module, "MOST_HANDLING_SECONDS", 0.0)


def test_a_backlog_larger_than_memory_is_handled_in_order(
    database_path: Path, small_memory: None
) -> None:
    order: list[str] = []
    late = [f"L{n}" for n in range(40)]

    def process(pending: Pending, state: SqlState) -> list[Effect]:
        order.append(pending.control_id)
        if len(order) % 5 == 0 and late:
            waiting.submit(arrival_of(order_message(late[len(order) // 5 - 1])))
            if len(order) // 5 == len(late):
                late.clear()
        return two_steps(pending, state)

    waiting = Store(database_path, process)
    waiting.submit(*(arrival_of(order_message(f"B{n}")) for n in range(120)))
    with contextlib.closing(waiting.start()) as running:
        running.events.wait_handled(140)
        running.events.wait_for(lambda: len(running.events.done) == len(running.events.settled))
        assert order == control_ids(running)
        assert len(order) == len(set(order))
        assert in_view(running) == running.writer.unhandled == 0


def test_pending_messages_are_handled_after_a_restart(
    database_path: Path, small_memory: None
) -> None:
    names = [f"P{n}" for n in range(40)]
    begun, stopping = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(pending: Pending, state: SqlState) -> list[Effect]:
        begun.set()
        assert stopping.wait(SECONDS)
        time.sleep(0.02)
        order.append(pending.control_id)
        return two_steps(pending, state)

    def quick(pending: Pending, state: SqlState) -> list[Effect]:
        order.append(pending.control_id)
        return two_steps(pending, state)

    first = Store(database_path, slow)
    first.submit(*(arrival_of(order_message(name)) for name in names))
    first.start()
    assert begun.wait(SECONDS)
    stopping.set()
    first.close()
    assert 0 < len(order) < len(names)
    with opened(database_path, quick) as running:
        running.events.wait_handled(len(names) - len(first.events.done))
        assert order == names
        assert running.one("SELECT count(*) FROM imaging_order") == len(names)
        assert in_view(running) == running.writer.unhandled == 0


def test_a_pending_message_whose_body_is_missing_goes_to_the_dead_letters(
    database_path: Path,
) -> None:
    first = Store(database_path)
    first.connection.execute(
        "INSERT INTO inbound (seq, received_at, state, sender, control_id, message_type, digest,"
        " peer, trace_id, size, ack_code) VALUES (1, 1, 0, 'RIS|CITY', 'GONE', '', x'', '', '', 5,"
        " 'AA')"
    )
    first.close()
    with opened(database_path) as running:
        running.accept(order_message("A1"))
        running.events.wait_handled(1)
        state, outcome = outcome_of(running, "GONE")
        assert state is MessageState.DEAD
        assert outcome["reason"] == "its body is missing from the database"
        assert (running.writer.dead, running.writer.unhandled) == (1, 0)


def test_a_call_runs_in_a_transaction_of_its_own(store: Store) -> None:
    def half(writer: Writer) -> None:
        writer.state.execute("INSERT INTO last_seen VALUES ('half', '', '')")
        raise LookupError

    with pytest.raises(LookupError):
        store.writer.call(half).result(SECONDS)
    assert store.one("SELECT count(*) FROM last_seen") == 0


# -- a full disk ------------------------------------------------------------------------------


def set_most_pages(store: Store, spare: int | None) -> None:
    """Let the file grow by ``spare`` pages only, or without bound."""

    def change(writer: Writer) -> None:
        pages = writer.state.execute("PRAGMA page_count").get
        most = 1_000_000 if spare is None else pages + spare
        writer.state.execute(f"PRAGMA max_page_count = {most}").get  # noqa: B018

    store.writer.call(change).result(SECONDS)


def test_when_the_disk_is_full_the_sender_is_told_and_it_goes_on_afterwards(store: Store) -> None:
    store.accept(order_message("BEFORE"))
    store.events.wait_handled(1)
    set_most_pages(store, 0)
    full = [order_message(f"F{n}", extra="x" * 20_000) for n in range(3)]
    store.accept(*full)
    assert [one.kind for one in store.events.settled[1:]] == ["failed"] * 3
    assert store.writer.last_error == "FullError"
    assert control_ids(store) == ["BEFORE"]
    set_most_pages(store, None)
    store.accept(*full)
    assert [one.kind for one in store.events.settled[4:]] == ["accepted"] * 3
    store.events.wait_handled(4)
    assert store.writer.last_error is None
    assert in_view(store) == store.writer.unhandled == 0


def test_what_was_accepted_waits_until_the_disk_takes_its_effects(database_path: Path) -> None:
    def large_effects(pending: Pending, state: SqlState) -> list[Effect]:
        filler = {"PatientName": "x" * 40_000}
        key = state.new_key()
        return [PutStep(make_step(key, 1, order_attributes=filler), "created")]

    with opened(database_path, large_effects) as running:
        set_most_pages(running, 4)
        names = ["W1", "W2", "W3"]
        for name in names:
            running.accept(order_message(name))
        assert set(running.events.kinds().values()) == {"accepted"}
        running.events.wait_for(lambda: len(running.events.failures) >= 2)
        assert running.events.done == []
        assert in_view(running) == running.writer.unhandled == 3
        set_most_pages(running, None)
        running.events.wait_handled(3)
        assert [one.pending.control_id for one in running.events.done] == names
        assert {one.state for one in running.events.done} == {MessageState.DONE}
        assert in_view(running) == running.writer.unhandled == 0


def test_a_dead_letter_that_does_not_fit_waits_for_room(database_path: Path) -> None:
    waiting = Store(database_path, failing("BAD", apsw.ConstraintError("refused")))
    waiting.connection.execute(
        "CREATE TEMP TRIGGER heavy BEFORE UPDATE ON main.inbound WHEN NEW.state = 2"
        " BEGIN INSERT INTO last_seen VALUES (hex(zeroblob(500000)), '', ''); END"
    )
    with contextlib.closing(waiting.start()) as running:
        set_most_pages(running, 20)
        running.accept(order_message("BAD"), order_message("GOOD"))
        running.events.wait_for(lambda: len(running.events.failures) >= 2)
        assert running.events.done == []
        set_most_pages(running, None)
        running.events.wait_handled(2)
        assert outcome_of(running, "BAD")[0] is MessageState.DEAD
        assert outcome_of(running, "GOOD")[0] is MessageState.DONE


def test_a_long_body_that_does_not_fit_is_refused_and_its_part_is_freed(store: Store) -> None:
    set_most_pages(store, 300)
    store.accept(long_message("LONG", 2 * CHUNK))
    assert store.events.kinds() == {"LONG": "failed"}
    store.accept(order_message("SMALL"))
    assert store.events.kinds()["SMALL"] == "accepted"
    assert store.one("SELECT count(*) FROM inbound_chunk") == 0


# -- the view of the runbook ------------------------------------------------------------------


def test_the_view_counts_what_is_unhandled_and_nothing_else(database_path: Path) -> None:
    error = Unprocessable(204, "ORC^1^2", "order not known")
    reached, proceed = threading.Event(), threading.Event()

    def process(pending: Pending, state: SqlState) -> list[Effect]:
        if pending.control_id == "SLOW":
            reached.set()
            assert proceed.wait(SECONDS)
        return failing("DEAD", error)(pending, state)

    def count() -> int:
        with contextlib.closing(connect_reader(database_path)) as other:
            found = other.execute("SELECT COUNT(*) FROM messages").get
            assert isinstance(found, int)
            return found

    with opened(database_path, process) as first:
        first.accept(order_message("DONE"), order_message("DEAD"))
        first.submit(arrival_of(order_message("REFUSED"), refused="no"))
        first.events.wait_settled(3)
        first.events.wait_handled(2)
        assert count() == 0
    waiting = Store(database_path, process)
    names = ["SLOW", *(f"S{n}" for n in range(1, 50))]
    waiting.submit(*(arrival_of(order_message(name)) for name in names))
    with contextlib.closing(waiting.start()) as running:
        assert reached.wait(SECONDS)
        assert count() == 50
        proceed.set()
        running.events.wait_handled(50)
        assert count() == 0
        plan = running.ask("EXPLAIN QUERY PLAN SELECT COUNT(*) FROM messages")
        assert [row[3] for row in plan] == ["SCAN inbound USING COVERING INDEX inbound_unhandled"]


# -- retention --------------------------------------------------------------------------------

DAY = 86_400_000_000
BODIES, METADATA = timedelta(days=14), timedelta(days=90)


def test_old_bodies_go_first_and_old_rows_later(database_path: Path) -> None:
    now = microseconds()
    ages = {"D100": 100, "D20": 20, "D13": 13}
    with opened(database_path) as running:
        for name, days in ages.items():
            running.submit(arrival_of(order_message(name), received_at=now - days * DAY))
        long = long_message("LONG", CHUNK)
        running.submit(arrival_of(long, received_at=now - 20 * DAY))
        running.submit(
            arrival_of(order_message("REFUSED"), refused="no", received_at=now - 100 * DAY)
        )
        running.events.wait_settled(5)
        running.events.wait_handled(4)
        running.accept(order_message("NEWEST"))
        running.events.wait_handled(5)
        assert running.writer.call(lambda w: purge(w, BODIES, METADATA)).result(SECONDS) > 0
        assert running.writer.call(lambda w: purge(w, BODIES, METADATA)).result(SECONDS) == 0
        assert sorted(control_ids(running)) == ["D13", "D20", "LONG", "NEWEST"]
        assert body_of(running, "D20") is None
        assert body_of(running, "LONG") is None
        assert body_of(running, "D13") == order_message("D13")
        assert running.one("SELECT count(*) FROM inbound_body") == 2
        assert running.one("SELECT count(*) FROM inbound_chunk") == 0
        assert running.one("SELECT count(*) FROM chunked_body") == 0


def test_what_is_not_settled_is_kept_however_old(database_path: Path) -> None:
    error = Unprocessable(204, "ORC^1^2", "order not known")
    old = microseconds() - 1000 * DAY
    with opened(database_path, failing("DEAD", error), subjects=placer_of) as running:
        for name in ("DEAD", "WAITING"):
            running.submit(arrival_of(order_message(name, extra="X"), received_at=old))
        running.events.wait_handled(2)
        running.accept(order_message("NEWEST"))
        assert running.writer.call(lambda w: purge(w, BODIES, METADATA)).result(SECONDS) == 0
        assert control_ids(running) == ["DEAD", "WAITING", "NEWEST"]
        assert body_of(running, "DEAD") == order_message("DEAD", extra="X")


def test_purge_takes_only_some_at_once_and_gives_pages_back(database_path: Path) -> None:
    old = microseconds() - 100 * DAY
    with opened(database_path, lambda pending, state: []) as running:
        for n in range(1200):
            running.submit(arrival_of(order_message(f"O{n}", extra="x" * 2000), received_at=old))
        running.events.wait_handled(1200)
        running.accept(order_message("NEWEST"))
        before = running.one("PRAGMA page_count")
        rounds = 0
        while running.writer.call(lambda w: purge(w, BODIES, METADATA)).result(SECONDS):
            rounds += 1
        assert rounds >= 3
        assert control_ids(running) == ["NEWEST"]
        assert running.one("PRAGMA page_count") < before / 2


def test_purge_looks_at_old_rows_only(store: Store) -> None:
    """With millions of messages in the file, a look for old ones must not read them all."""
    now = microseconds()
    store.writer.call(
        lambda w: (
            w.state.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
                " INSERT INTO inbound (seq, received_at, state, sender, control_id, message_type,"
                " digest, peer, trace_id, size, ack_code)"
                " SELECT i, ?1, 1, 'RIS|CITY', i, 'ORM^O01', x'00', '', '', 1, 'AA' FROM n",
                (now,),
            )
            and w.state.execute("INSERT INTO inbound_body SELECT seq, zeroblob(200) FROM inbound")
        )
    ).result(SECONDS)

    def timed(writer: Writer) -> float:
        started = time.perf_counter()
        assert purge(writer, BODIES, METADATA) == 0
        return time.perf_counter() - started

    assert store.writer.call(timed).result(SECONDS) < 0.02


# -- checkpoints ------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def moved_commits(path: Path) -> int:
    """How many commits are in the main file alone; 0 while it can't be read, half moved."""
    found = main_file_generation(path)
    return 0 if found is None else found[1]


def test_a_long_log_is_moved_into_the_file(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 100)
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAUSE_SECONDS", 0)
    with opened(database_path) as running:
        generation = running.one("SELECT n FROM generation")
        longest = 0
        for n in range(40):
            running.accept(order_message(f"C{n}", extra="x" * 40_000))
            longest = max(longest, running.database.wal_size())
        running.events.wait_handled(40)
        assert running.one("SELECT n FROM generation") > generation + 2
        assert longest < 400 * 4120


def test_a_short_log_is_moved_into_the_file_after_a_while(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_SECONDS", 0.1)
    with opened(database_path) as running:
        before = moved_commits(database_path)
        running.accept(order_message("A1"))
        wait_until(lambda: moved_commits(database_path) > before)


def test_a_long_reader_holds_up_the_log_and_nobody_else(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 50)
    with (
        opened(database_path) as running,
        contextlib.closing(connect_reader(database_path)) as reader,
    ):
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM messages").get == 0
        slowest = 0.0
        for n in range(30):
            started = time.perf_counter()
            running.accept(order_message(f"C{n}", extra="x" * 40_000))
            slowest = max(slowest, time.perf_counter() - started)
        assert slowest < 1.0
        before = moved_commits(database_path)
        reader.execute("COMMIT")
        running.accept(order_message("LAST"))
        wait_until(lambda: moved_commits(database_path) > before + 30)


def test_a_failing_checkpoint_is_reported_and_tried_again(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 1)
    with opened(database_path) as running:
        before = moved_commits(database_path)
        obstacle = database_path.with_name("queue.db.generation.new")
        obstacle.mkdir()
        running.accept(order_message("A1"))
        running.events.wait_for(lambda: bool(running.events.failures))
        assert isinstance(running.events.failures[0], OSError | apsw.Error)
        obstacle.rmdir()
        running.accept(order_message("A2"))
        running.events.wait_handled(2)
        wait_until(lambda: moved_commits(database_path) > before + 2)
        assert set(running.events.kinds().values()) == {"accepted"}
