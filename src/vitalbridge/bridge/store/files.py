"""The files beside the database: its lock, and the proof that a write-ahead log belongs to it.

SQLite replays whatever ``-wal`` lies beside a database file. After an operator has copied a backup
over ``queue.db``, a log left by a killed process would be replayed into the backup; after a kill
without any restore, that same log is the only home of acknowledged messages. To tell the two apart,
every checkpoint raises a generation number inside the database and notes it in a side file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote

import apsw
import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class StoreError(Exception):
    """The database can't be used; the text says why and what to do, in one line."""


class StoreLocked(StoreError):
    """Another process has the database open for writing."""


class Generation(msgspec.Struct, frozen=True):
    """What the side file says of the main file.

    ``n`` is the generation of the newest checkpoint and ``finished`` whether it ran to its end;
    ``commits`` counts the transactions in the main file then. Until it has finished, the main file
    may still be as the checkpoint before left it: ``previous`` with ``previous_commits``.
    """

    n: int
    finished: bool
    commits: int
    previous: int
    previous_commits: int


class WalVerdict(Enum):
    """Whose the write-ahead log beside the database is."""

    NONE = "none"
    OWN = "own"
    FOREIGN = "foreign"


def beside(database: Path, suffix: str) -> Path:
    """Return the path of the file that stands beside ``database`` with that suffix."""
    return database.with_name(database.name + suffix)


class FileLock:
    """An exclusive lock held while the process lives; the kernel frees it however it dies."""

    def __init__(self, database: Path) -> None:
        self.path = beside(database, ".lock")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(
                f"{database} is in use by another process" + (f" (pid {holder})" if holder else "")
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Free the lock."""
        os.close(self._descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file so that a crash leaves either the old or the new content."""
    temporary = beside(path, ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(temporary)) from error
    finally:
        os.close(descriptor)
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_generation(database: Path) -> Generation | None:
    """Return the side file's content, or None when there is none that can be read."""
    try:
        return msgspec.json.decode(beside(database, ".generation").read_bytes(), type=Generation)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_generation(database: Path, generation: Generation) -> None:
    """Write the side file durably."""
    write_durably(beside(database, ".generation"), msgspec.json.encode(generation))


def main_file_generation(database: Path) -> tuple[int, int] | None:
    """Return (generation, commits) of the main file alone, its log ignored; None if unreadable."""
    uri = f"file:{quote(str(database))}?immutable=1"
    try:
        with contextlib.closing(
            apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        ) as connection:
            row = connection.execute("SELECT n, commits FROM generation WHERE id = 1").get
    except apsw.Error:
        return None
    return None if row is None else (row[0], row[1])


def judge_wal(database: Path) -> WalVerdict:
    """Say whose the log beside the database is; whatever is in doubt is our own.

    Foreign is only a log whose main file is certainly not the one that the newest checkpoint left:
    its generation is neither the newest nor, while that checkpoint was under way, the one before;
    or the checkpoint had finished and the main file counts other commits than it did then.
    """
    wal = beside(database, "-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        return WalVerdict.NONE
    if not database.exists():
        return WalVerdict.FOREIGN
    noted = read_generation(database)
    found = main_file_generation(database)
    if noted is None or found is None:
        return WalVerdict.OWN
    if noted.finished:
        same = found == (noted.n, noted.commits)
    else:
        # A migration moves the log too, with later commits of the generation before.
        same = found[0] == noted.n or (
            found[0] == noted.previous and found[1] >= noted.previous_commits
        )
    return WalVerdict.OWN if same else WalVerdict.FOREIGN


def set_aside_wal(database: Path) -> Path:
    """Move a foreign log (and its index) out of SQLite's sight; return where the log is now."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = beside(database, f".foreign-wal-{stamp}-{os.getpid()}")
    beside(database, "-wal").replace(target)
    beside(database, "-shm").unlink(missing_ok=True)
    return target


def foreign_wals(database: Path) -> list[Path]:
    """Return the logs that were set aside and whose messages nobody has looked at yet."""
    return sorted(database.parent.glob(f"{database.name}.foreign-wal-*"))
