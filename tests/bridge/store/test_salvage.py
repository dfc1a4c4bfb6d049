"""Messages read out of the log of a killed process whose database is gone."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.files import beside, foreign_wals
from vitalbridge.bridge.store.inspect import salvage_foreign
from vitalbridge.bridge.store.salvage import SalvageError, salvage

from .traffic import order_message

WRITE_AND_WAIT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.bridge.store.traffic import Store, arrival_of
store = Store(Path(sys.argv[1])).start()
for name in sys.argv[3:]:
    store.accept(Path(name).read_bytes())
store.events.wait_handled(len(sys.argv[3:]))
print("written", flush=True)
sys.stdin.read()
"""

ROOT = Path(__file__).resolve().parents[3]
SIZES = [0, 100, 1000, 3900, 4000, 4100, 9000, 70_000, 900_000]


class Killed(NamedTuple):
    """What a killed process left: its log, and the messages that it had acknowledged."""

    wal: Path
    sent: dict[str, bytes]


@pytest.fixture(scope="module")
def killed(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    path = folder / "queue.db"
    shutil.copyfile(empty_database, path)
    sent = {}
    for n, size in enumerate(SIZES):
        sent[f"S{n}"] = order_message(f"S{n}", extra="x" * size)
    sent["LONG"] = order_message("LONG", extra="x" * (2 << 20))
    for name, raw in sent.items():
        (folder / name).write_bytes(raw)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(path), str(ROOT)]
        + [str(folder / name) for name in sent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    return Killed(beside(path, "-wal"), sent)


def test_all_messages_of_the_log_are_listed_with_their_bodies(killed: Killed) -> None:
    messages = salvage(killed.wal)
    assert [one.control_id for one in messages] == list(killed.sent)
    assert [one.seq for one in messages] == list(range(1, len(killed.sent) + 1))
    for one in messages:
        expected = None if one.control_id == "LONG" else killed.sent[one.control_id]
        assert one.body == expected, one.control_id
        assert one.sender == "RIS|CITY"
        assert one.message_type == "ORM^O01"
        assert one.trace_id == f"trace-{one.control_id}"
        assert one.state == 1


def test_what_was_not_committed_is_not_listed(killed: Killed, tmp_path: Path) -> None:
    content = killed.wal.read_bytes()
    page_size = struct.unpack_from(">I", content, 8)[0]
    frame = 24 + page_size
    commits = [
        at
        for at in range(32, len(content), frame)
        if struct.unpack_from(">I", content, at + 4)[0] > 0
    ]
    cut = tmp_path / "cut-wal"
    # the log ends in the middle of the transaction after the third commit
    cut.write_bytes(content[: commits[3] + 100])
    before = tmp_path / "before-wal"
    before.write_bytes(content[: commits[2] + frame])
    assert salvage(cut) == salvage(before)
    assert 0 < len(salvage(cut)) < len(killed.sent)


def test_every_length_of_a_log_is_readable(killed: Killed, tmp_path: Path) -> None:
    content = killed.wal.read_bytes()[:400_000]
    cut = tmp_path / "cut-wal"
    for length in range(32, len(content), 7919):
        cut.write_bytes(content[:length])
        found = salvage(cut)
        assert all(one.body in (None, killed.sent[one.control_id]) for one in found)


def test_damaged_pages_cost_only_what_is_on_them(killed: Killed, tmp_path: Path) -> None:
    content = bytearray(killed.wal.read_bytes())
    page_size = struct.unpack_from(">I", content, 8)[0]
    damaged = tmp_path / "damaged-wal"
    for page in range(20):
        broken = bytearray(content)
        at = 32 + page * (24 + page_size) + 24
        broken[at + 1 : at + page_size] = os.urandom(page_size - 1)
        damaged.write_bytes(broken)
        salvage(damaged)


@pytest.mark.parametrize(
    "content", [b"", b"x" * 10, b"no log at all" * 100, b"\x37\x7f\x06\x82" * 8]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(SalvageError):
        salvage(path)


def test_a_log_set_aside_is_listed_and_kept(
    killed: Killed, empty_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "queue.db"
    shutil.copyfile(empty_database, path)
    Database(path).close()
    shutil.copyfile(empty_database, path)
    shutil.copyfile(killed.wal, beside(path, "-wal"))
    Database(path).close()
    [set_aside] = foreign_wals(path)
    [(listed, messages)] = salvage_foreign(path)
    assert [one.control_id for one in messages] == list(killed.sent)
    assert not set_aside.exists()
    assert listed.exists()
    # it no longer counts as unseen, but stays until an operator removes it
    assert foreign_wals(path) == []
    assert salvage_foreign(path) == [(listed, messages)]
