"""Opening the queue database: creation, migration, the log's owner, checkpoints, readers."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import apsw

from vitalbridge.bridge.store.files import (
    FileLock,
    Generation,
    StoreError,
    WalVerdict,
    beside,
    judge_wal,
    main_file_generation,
    read_generation,
    set_aside_wal,
    write_generation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_REVISION = "0001"
PAGE_CACHE_KIB = 65536
READER_CACHE_KIB = 8192
BUSY_MILLISECONDS = 5000
CHECKPOINT_BUSY_MILLISECONDS = 100
"""How long a checkpoint waits for readers: meanwhile nothing is acknowledged."""


def connect(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the one connection that writes: WAL, every commit synced, no automatic checkpoint.

    Not even closing it moves the log, for whoever does that has to note it beside the database
    first. ``vfs`` names a file system layer registered with SQLite, if not the default.
    """
    connection = apsw.Connection(
        str(path),
        flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        vfs=vfs,
        statementcachesize=200,
    )
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=0",
        f"cache_size=-{PAGE_CACHE_KIB}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_reader(path: Path) -> apsw.Connection:
    """Open a connection that can only read; it sees whatever was committed before each query."""
    connection = apsw.Connection(
        f"file:{quote(str(path))}?mode=ro",
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        statementcachesize=100,
    )
    connection.set_busy_timeout(5000)
    connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}")
    return connection


class Readers:
    """A bounded set of reading connections, lent to one thread at a time."""

    def __init__(self, path: Path, most: int = 8) -> None:
        self._path = path
        self._idle: queue.LifoQueue[apsw.Connection | None] = queue.LifoQueue()
        for _ in range(most):
            self._idle.put(None)
        self._most = most

    @contextlib.contextmanager
    def lend(self, timeout: float = 10.0) -> Iterator[apsw.Connection]:
        """Give a connection for the length of the block; raises StoreError when all stay busy."""
        try:
            connection = self._idle.get(block=timeout > 0, timeout=timeout)
        except queue.Empty:
            raise StoreError("all reading connections are busy") from None
        try:
            if connection is None:
                connection = connect_reader(self._path)
            yield connection
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close every connection; waits for those that are lent out."""
        for _ in range(self._most):
            connection = self._idle.get()
            if connection is not None:
                connection.close()


def schema_revision(connection: apsw.Connection) -> str | None:
    """Return the revision of the schema in the file, or None when it has no tables yet."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).get
    if known is None:
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").get
    return None if found is None else str(found)


def migrate(path: Path) -> None:
    """Bring the schema up to this program's revision, in a process of its own.

    The migration tools cost memory and start-up time that a running service has no use for.
    """
    result = subprocess.run(
        [sys.executable, "-m", "vitalbridge.bridge.store.migrations", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if result.returncode != 0:
        last = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise StoreError(f"{path}: the schema could not be brought up to date: {last[0]}")


def create(path: Path) -> None:
    """Make an empty database file with the settings that only an empty file can take."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    os.close(descriptor)
    path.chmod(0o640)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")


class Database:
    """The opened file: the lock, the writing connection, and how the log was judged."""

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Open or create the database at ``path``, through the SQLite file system layer ``vfs``.

        Raises StoreLocked when another process has it, StoreError when it can't be used: not
        writable, damaged beyond opening, or of a newer program.
        """
        self.path = path
        self._vfs = vfs
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: {error.strerror}") from error
        self.lock = FileLock(path)
        try:
            self.set_aside: Path | None = None
            if judge_wal(path) is WalVerdict.FOREIGN:
                self.set_aside = set_aside_wal(path)
            self.connection = self._open()
        except BaseException:
            self.lock.release()
            raise

    def _open(self) -> apsw.Connection:
        path = self.path
        try:
            if not path.exists() or path.stat().st_size == 0:
                create(path)
            connection = connect(path, self._vfs)
            revision = schema_revision(connection)
            if revision is not None and revision > SCHEMA_REVISION:
                connection.close()
                raise StoreError(
                    f"{path}: its schema {revision} is newer than this program's {SCHEMA_REVISION}"
                )
            if revision != SCHEMA_REVISION:
                connection.close()
                self._migrate()
                connection = connect(path, self._vfs)
            noted = read_generation(path)
            row = connection.execute("SELECT n, commits FROM generation WHERE id = 1").get
        except apsw.Error as error:
            raise StoreError(f"{path}: {error}") from error
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        self._generation: int = max(row[0], noted.n if noted else 0)
        self._finished = True
        self._main = main_file_generation(path) or (row[0], row[1])
        try:
            self.checkpoint(connection)
        except (apsw.Error, OSError) as error:
            connection.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreError(f"{path}: its log can't be moved into it: {reason}") from error
        return connection

    def _migrate(self) -> None:
        """Migrate under a generation that has begun: the migration moves the log, too."""
        main = main_file_generation(self.path)
        if main is not None:
            noted = read_generation(self.path)
            n = max(main[0], noted.n if noted else 0) + 1
            write_generation(self.path, Generation(n, False, 0, *main))
        migrate(self.path)

    def checkpoint(
        self, connection: apsw.Connection | None = None, *, truncate: bool = True
    ) -> bool:
        """Move the log into the main file under a new generation; False if a reader holds it up.

        Without ``truncate`` the log's file keeps its size and is overwritten from its start: a
        sync that need not record a new file size takes about half as long. Call it on the writer's
        thread, outside a transaction.
        """
        connection = connection or self.connection
        previous = self._main
        if self._finished:
            self._generation += 1
        n = self._generation
        write_generation(self.path, Generation(n, False, 0, previous[0], previous[1]))
        self._finished = False
        connection.execute("UPDATE generation SET n = ?, commits = commits + 1 WHERE id = 1", (n,))
        commits = connection.execute("SELECT commits FROM generation WHERE id = 1").get
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_RESTART
        connection.set_busy_timeout(CHECKPOINT_BUSY_MILLISECONDS)
        try:
            in_log, moved = connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return False
        finally:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
        if moved < in_log:
            return False
        write_generation(self.path, Generation(n, True, commits, previous[0], previous[1]))
        self._main = (n, commits)
        self._finished = True
        return True

    def wal_size(self) -> int:
        """Return the size of the write-ahead log in bytes."""
        try:
            return beside(self.path, "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Checkpoint, close and free the lock; afterwards the one file is complete."""
        try:
            try:
                if self.checkpoint():
                    # The log is empty: now closing may remove it.
                    self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            finally:
                self.connection.close()
        finally:
            self.lock.release()
