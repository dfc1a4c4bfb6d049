"""A power cut at any moment: what was acknowledged is there afterwards, and nothing is half done.

Killing a process does not prove that anything was synced, for the page cache survives it. Here
every write that was not synced is lost, wholly or in part.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from vitalbridge.bridge.store import backlog as backlog_module
from vitalbridge.bridge.store import writer as writer_module
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.files import StoreError
from vitalbridge.bridge.store.journal import MessageState, digest, read_body

from .power_cut import Disk, Event, Recording
from .traffic import (
    STEPS_OF_ORDER,
    Recorder,
    Store,
    arrival_of,
    order_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalbridge.bridge.store.journal import Handled
    from vitalbridge.bridge.store.writer import Committed

    from .power_cut import Files

SMALL_CHUNK = 8192
RUNS = 8
CUTS_OF_A_RUN = 125
CUTS_WHILE_OPENING = 35
MESSAGES_OF_A_RUN = 120


class Promises:
    """What has been told to the outside: acknowledged messages, and those reported as handled."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.handled: set[str] = set()

    def copy(self) -> Promises:
        other = Promises()
        other.accepted |= self.accepted
        other.handled |= self.handled
        return other

    def hear(self, event: Event) -> None:
        if event.kind == "accepted":
            self.accepted |= event.detail
        elif event.kind == "handled":
            self.handled |= event.detail


class Announcing(Recorder):
    """Puts what the writer reports among the recorded events."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def committed(self, results: list[Committed]) -> None:
        told = {one.arrival.control_id for one in results if one.kind != "failed"}
        self._recording.note(Event("accepted", detail=told))
        super().committed(results)

    def handled(self, results: list[Handled]) -> None:
        told = {one.pending.control_id for one in results}
        self._recording.note(Event("handled", detail=told))
        super().handled(results)


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder where syncing is quick: whether it happens is what counts here, not how long."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many checkpoints and chunks within a short run."""
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 60)
    monkeypatch.setattr(writer_module, "LARGE_GROUP", 2)
    monkeypatch.setattr(writer_module, "CHUNK", SMALL_CHUNK)
    monkeypatch.setattr("vitalbridge.bridge.store.journal.CHUNK", SMALL_CHUNK)
    monkeypatch.setattr(backlog_module, "MOST_HANDLING_SECONDS", 0.0)


def put(files: Files, folder: Path) -> Path:
    """Lay the files into the empty folder; return the database's path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "queue.db"


def record_run(
    files: Files,
    folder: Path,
    name: str,
    sent: dict[str, bytes],
    rng: random.Random,
    *,
    synchronous: str = "FULL",
) -> list[Event]:
    """Run a real writer on the files, from opening to closing; return all that happened."""
    path = put(files, folder)
    with pytest.MonkeyPatch.context() as patch:
        recording = Recording(name, folder, patch)
        try:
            store = Store(path, events=Announcing(recording), vfs=name)
            store.connection.execute(f"PRAGMA synchronous={synchronous}")
            store.start()
            submitted = 0
            while submitted < MESSAGES_OF_A_RUN:
                group = rng.randint(1, 12)
                for n in range(group):
                    control_id = f"{name}-{submitted + n}"
                    size = rng.choice([10, 10, 10, 300, 5000, SMALL_CHUNK * 2 + 500])
                    sent[control_id] = order_message(
                        control_id, patient=f"P{rng.randint(0, 20)}", extra="x" * size
                    )
                    store.submit(arrival_of(sent[control_id], connection=rng.randint(1, 4)))
                submitted += group
                store.events.wait_settled(submitted - rng.randint(0, 3))
            store.events.wait_handled(submitted // 2)
            store.close()
        finally:
            recording.unregister()
    return recording.events


def violations(files: Files, folder: Path, promises: Promises, sent: dict[str, bytes]) -> list[str]:
    """What is wrong in a database found after a power cut."""
    path = put(files, folder)
    try:
        database = Database(path)
    except StoreError as error:
        return [f"does not open: {error}"]
    try:
        return _violations_in(database, promises, sent)
    except apsw.CorruptError as error:
        return [f"damaged: {error}"]
    finally:
        with contextlib.suppress(apsw.CorruptError):
            database.close()


def _violations_in(database: Database, promises: Promises, sent: dict[str, bytes]) -> list[str]:
    execute = database.connection.execute
    found = []
    if database.set_aside is not None:
        found.append("our own log was set aside")
    sound = execute("PRAGMA integrity_check").get
    if sound != "ok":
        return [*found, f"damaged: {sound}"]
    rows = execute("SELECT seq, control_id, state, digest FROM inbound").fetchall()
    states = {control_id: MessageState(state) for _, control_id, state, _ in rows}
    counted = Counter(control_id for _, control_id, _, _ in rows)
    found += [f"twice: {name}" for name, times in counted.items() if times > 1]
    found += [f"lost: {name}" for name in promises.accepted - states.keys()]
    found += [
        f"unhandled again: {name}"
        for name in promises.handled
        if states.get(name) is not MessageState.DONE
    ]
    found += [
        f"half a body: {name}"
        for seq, name, _, kept in rows
        if kept != digest(sent[name]) or read_body(execute, seq) != sent[name]
    ]
    orders: dict[str, int] = dict(
        execute("SELECT placer, count(*) FROM imaging_order GROUP BY placer").fetchall()
    )
    steps: dict[str, int] = dict(
        execute("SELECT accession, count(*) FROM worklist_step GROUP BY accession").fetchall()
    )
    for name, state in states.items():
        times = 1 if state is MessageState.DONE else 0
        if (orders.get(name, 0), steps.get(name, 0)) != (times, times * STEPS_OF_ORDER):
            found.append(f"half applied: {name}")
    found += [f"effect without message: {name}" for name in orders.keys() - states.keys()]
    orphans = execute(
        "SELECT count(*) FROM worklist_step s LEFT JOIN patient p ON p.key = s.patient_key"
        " WHERE p.key IS NULL"
    ).get
    if orphans:
        found.append(f"{orphans} steps without their patient")
    return found


def cut_everywhere(
    files: Files,
    events: list[Event],
    cuts: list[int],
    rng: random.Random,
    promises: Promises,
) -> Iterator[tuple[Files, Promises]]:
    """Yield the files and the promises at each cut, in order."""
    disk = Disk(files)
    played = 0
    for cut in sorted(cuts):
        for event in events[played:cut]:
            disk.play(event)
            promises.hear(event)
        played = cut
        yield disk.after_power_cut(rng, torn=rng.random() < 0.7), promises


def moments_to_cut(events: list[Event], rng: random.Random) -> list[int]:
    """Random moments, first some while the database is opened and its log is recovered."""
    opened = next(n for n, event in enumerate(events, 1) if event.kind == "accepted")
    opening = rng.sample(range(1, opened), CUTS_WHILE_OPENING)
    return opening + rng.sample(range(opened, len(events) + 1), CUTS_OF_A_RUN - len(opening))


def test_nothing_acknowledged_is_lost_at_1000_power_cuts(
    empty_database: Path, memory_folder: Path
) -> None:
    rng = random.Random(20250101)
    files: Files = {"queue.db": empty_database.read_bytes()}
    promises = Promises()
    sent: dict[str, bytes] = {}
    checked = 0
    moments: Counter[str] = Counter()
    for run in range(RUNS):
        events = record_run(files, memory_folder / "run", f"run{run}", sent, rng)
        cuts = moments_to_cut(events, rng)
        chosen = rng.choice(cuts[CUTS_WHILE_OPENING:])
        following = None
        found: dict[int, list[str]] = {}
        at = sorted(cuts)
        for n, (after, told) in enumerate(
            cut_everywhere(files, events, cuts, rng, promises.copy())
        ):
            wrong = violations(after, memory_folder / "cut", told, sent)
            if wrong:
                found[at[n]] = wrong
            if at[n] == chosen:
                following = after, told.copy()
            moments[events[at[n] - 1].kind] += 1
            checked += 1
        assert found == {}, f"run {run}"
        assert following is not None
        files, promises = following
    assert checked == RUNS * CUTS_OF_A_RUN == 1000
    # the cuts fell among all kinds of moments
    assert all(moments[kind] > 0 for kind in ("write", "sync", "truncate", "accepted", "handled"))


def test_without_syncing_the_loss_is_seen(empty_database: Path, memory_folder: Path) -> None:
    """The check itself is checked: with ``synchronous=OFF`` acknowledged messages are lost."""
    rng = random.Random(7)
    files: Files = {"queue.db": empty_database.read_bytes()}
    sent: dict[str, bytes] = {}
    events = record_run(files, memory_folder / "run", "unsynced", sent, rng, synchronous="OFF")
    cuts = rng.sample(range(1, len(events) + 1), 60)
    lost = damaged = 0
    for after, told in cut_everywhere(files, events, cuts, rng, Promises()):
        wrong = violations(after, memory_folder / "cut", told, sent)
        lost += any(text.startswith("lost: ") for text in wrong)
        damaged += any(text.startswith(("damaged", "does not open")) for text in wrong)
    assert lost > 3
    assert lost + damaged > len(cuts) // 3
