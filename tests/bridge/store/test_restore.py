"""Who owns the write-ahead log after a stop, a kill, and a backup copied over the file."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import apsw
import pytest

from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.files import (
    StoreError,
    StoreLocked,
    WalVerdict,
    beside,
    foreign_wals,
    judge_wal,
    read_generation,
)

if TYPE_CHECKING:
    from pathlib import Path

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from vitalbridge.bridge.store.database import Database
database = Database(Path(sys.argv[1]))
for name in sys.argv[2:]:
    if name == "checkpoint":
        assert database.checkpoint()
        continue
    database.connection.execute("BEGIN IMMEDIATE")
    database.connection.execute("INSERT INTO last_seen VALUES (?, '', '')", (name,))
    database.connection.execute("UPDATE generation SET commits = commits + 1 WHERE id = 1")
    database.connection.execute("COMMIT")
print("written", flush=True)
sys.stdin.read()
database.close()
print("closed", flush=True)
"""


class Process:
    """A process that has the database open and has committed the given names."""

    def __init__(self, path: Path, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITE_AND_WAIT, str(path), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "written\n"

    def stop(self) -> None:
        out, _ = self.process.communicate(timeout=30)
        assert out == "closed\n"
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


def names_in(path: Path) -> set[str]:
    database = Database(path)
    try:
        return {name for (name,) in database.connection.execute("SELECT subject FROM last_seen")}
    finally:
        database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "queue.db"


def test_a_stop_leaves_one_complete_file(path: Path) -> None:
    Process(path, "a", "b").stop()
    assert not beside(path, "-wal").exists()
    assert not beside(path, "-shm").exists()
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    with apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY) as copied:
        found = {name for (name,) in copied.execute("SELECT subject FROM last_seen")}
    assert found == {"a", "b"}


def test_after_a_kill_the_log_is_replayed(path: Path) -> None:
    Process(path, "a", "b").kill()
    assert judge_wal(path) is WalVerdict.OWN
    assert names_in(path) == {"a", "b"}
    assert foreign_wals(path) == []


def test_kill_after_a_checkpoint_keeps_what_came_before_and_after(path: Path) -> None:
    Process(path, "a", "checkpoint", "b", "checkpoint", "c").kill()
    assert names_in(path) == {"a", "b", "c"}


def test_many_kills_lose_nothing(path: Path) -> None:
    names: set[str] = set()
    for n in range(5):
        Process(path, f"x{n}", "checkpoint", f"y{n}").kill()
        names |= {f"x{n}", f"y{n}"}
    assert names_in(path) == names


def test_backup_copied_after_a_stop_is_what_is_read(path: Path) -> None:
    Process(path, "a").stop()
    backup = path.with_name("queue.db.latest")
    shutil.copyfile(path, backup)
    Process(path, "b").stop()
    shutil.copyfile(backup, path)
    assert names_in(path) == {"a"}
    assert foreign_wals(path) == []


@pytest.mark.parametrize("between", [["b"], ["b", "checkpoint", "c"], ["b", "checkpoint"]])
def test_backup_copied_over_a_killed_process_gives_exactly_the_backup(
    path: Path, between: list[str]
) -> None:
    Process(path, "a").stop()
    backup = path.with_name("queue.db.latest")
    shutil.copyfile(path, backup)
    Process(path, *between).kill()
    leaves_log = beside(path, "-wal").stat().st_size > 0
    shutil.copyfile(backup, path)
    assert names_in(path) == {"a"}
    assert bool(foreign_wals(path)) is leaves_log


def test_online_backup_of_the_same_generation_gives_exactly_the_backup(path: Path) -> None:
    """A copy taken by SQLite's backup already holds part of the log: it must not be replayed."""
    process = Process(path, "a", "b")
    backup = path.with_name("queue.db.latest")
    subprocess.run(["sqlite3", str(path), f".backup '{backup}'"], check=True)
    process.kill()
    Process(path, "c").kill()
    shutil.copyfile(backup, path)
    assert names_in(path) == {"a", "b"}


def test_log_without_its_database_is_set_aside(path: Path) -> None:
    Process(path, "a").kill()
    path.unlink()
    assert judge_wal(path) is WalVerdict.FOREIGN
    assert names_in(path) == set()
    assert len(foreign_wals(path)) == 1


def test_missing_side_file_means_replay(path: Path) -> None:
    Process(path, "a").kill()
    beside(path, ".generation").unlink()
    assert names_in(path) == {"a"}


def test_every_start_and_stop_raises_the_generation(path: Path) -> None:
    Process(path, "a").stop()
    first = read_generation(path)
    Process(path, "b").stop()
    second = read_generation(path)
    assert first is not None
    assert second is not None
    assert first.finished
    assert second.finished
    assert second.n > first.n


def test_a_second_process_is_refused_in_one_line(path: Path) -> None:
    process = Process(path, "a")
    with pytest.raises(StoreLocked, match=r"in use by another process \(pid \d+\)$"):
        Database(path)
    process.stop()


def test_a_newer_schema_is_refused(path: Path) -> None:
    Database(path).close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="newer than this program"):
        Database(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"certainly not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Database(path)


def test_the_file_is_not_for_everybody(path: Path) -> None:
    Database(path).close()
    assert path.stat().st_mode & 0o777 == 0o640
