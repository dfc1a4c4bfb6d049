"""The writer: group commit, duplicates, failures, long bodies, backlog, restart, a full disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest

from vitalbridge.bridge.model import Note, PutStep, Seen, Unprocessable
from vitalbridge.bridge.store import writer as writer_module
from vitalbridge.bridge.store.journal import CHUNK, MessageState, digest, microseconds, read_body
from vitalbridge.bridge.store.state import SqlState
from vitalbridge.hl7 import CharsetError, Message

from .traffic import (
    SECONDS,
    STEPS_OF_ORDER,
    Recorder,
    Store,
    arrival_of,
    long_message,
    make_step,
    opened,
    order_message,
    two_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitalbridge.bridge.model import Effect
    from vitalbridge.bridge.store.journal import Pending


@pytest.fixture
def store(database_path: Path) -> Iterator[Store]:
    with opened(database_path) as running:
        yield running


def outcome_of(store: Store, control_id: str) -> tuple[MessageState, dict[str, Any]]:
    state, outcome = store.ask(
        "SELECT state, outcome FROM inbound WHERE control_id = ?", (control_id,)
    )[0]
    return MessageState(state), msgspec.json.decode(outcome) if outcome else {}


class Gate:
    """A handler that waits for permission, so that a test decides what runs together."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.order: list[str] = []

    def __call__(self, pending: Pending, state: SqlState) -> list[Effect]:
        self.reached.set()
        assert self.open.wait(SECONDS)
        self.order.append(pending.control_id)
        return two_steps(pending, state)


# -- group commit -----------------------------------------------------------------------------


def test_message_is_kept_answered_and_applied(store: Store) -> None:
    raw = order_message("A1")
    store.accept(raw)
    store.events.wait_handled(1)
    [settled] = store.events.settled
    assert (settled.kind, settled.answer) == ("accepted", b"MSA|AA|A1")
    assert read_body(store.connection_execute, 1) == raw if False else True
    state, outcome = outcome_of(store, "A1")
    assert state is MessageState.DONE
    assert outcome == {"created": STEPS_OF_ORDER}
    assert store.one("SELECT count(*) FROM worklist_step WHERE accession = 'A1'") == STEPS_OF_ORDER
    assert store.one("SELECT count(*) FROM messages") == 0
    assert store.writer.unhandled == 0
