"""Whose log it is when a checkpoint was interrupted or held up half-way, and what opening does."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import apsw
import pytest

from vitalbridge.bridge.store import database as database_module
from vitalbridge.bridge.store.database import Database, connect, connect_reader
from vitalbridge.bridge.store.files import (
    Generation,
    WalVerdict,
    beside,
    judge_wal,
    main_file_generation,
    write_generation,
)

if TYPE_CHECKING:
    from pathlib import Path


def commit(database: Database, name: str) -> None:
    execute = database.connection.execute
    execute("BEGIN IMMEDIATE")
    execute("INSERT INTO last_seen VALUES (?, '', '')", (name,))
    execute("UPDATE generation SET commits = commits + 1 WHERE id = 1")
    execute("COMMIT")


def names_in(database: Database) -> set[str]:
    return {name for (name,) in database.connection.execute("SELECT subject FROM last_seen")}


def snapshot(path: Path, target: Path) -> Path:
    """The files as a killed process leaves them at this moment."""
    target.mkdir()
    for suffix in ("", "-wal", ".generation"):
        if beside(path, suffix).exists():
            shutil.copyfile(beside(path, suffix), target / (path.name + suffix))
    return target / path.name


def test_a_checkpoint_held_up_half_way_by_a_reader_leaves_our_own_log(
    database_path: Path, tmp_path: Path
) -> None:
    database = Database(database_path)
    commit(database, "a")
    with contextlib.closing(connect_reader(database_path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM last_seen").get == 1
        commit(database, "b")
        assert database.checkpoint() is False
        assert database.checkpoint() is False
        killed = snapshot(database_path, tmp_path / "killed")
    database.close()
    assert judge_wal(killed) is WalVerdict.OWN
    with contextlib.closing(Database(killed)) as again:
        assert again.set_aside is None
        assert names_in(again) == {"a", "b"}


def test_opening_recovers_the_log_without_touching_the_file_before_it_is_noted(
    database_path: Path, tmp_path: Path
) -> None:
    database = Database(database_path)
    commit(database, "a")
    killed = snapshot(database_path, tmp_path / "killed")
    database.close()
    content = killed.read_bytes()
    connect(killed).close()
    assert killed.read_bytes() == content
    assert beside(killed, "-wal").stat().st_size > 0
    with contextlib.closing(Database(killed)) as again:
        assert names_in(again) == {"a"}


def test_a_close_that_cannot_move_the_log_keeps_it(database_path: Path) -> None:
    database = Database(database_path)
    with contextlib.closing(connect_reader(database_path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM last_seen").get == 0
        commit(database, "a")
        database.close()
        assert beside(database_path, "-wal").stat().st_size > 0
    assert judge_wal(database_path) is WalVerdict.OWN
    with contextlib.closing(Database(database_path)) as again:
        assert names_in(again) == {"a"}


def test_a_migration_killed_while_it_moves_the_log_loses_nothing(
    database_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_path)
    commit(database, "a")
    database.connection.execute("UPDATE alembic_version SET version_num = '0000'")
    database.connection.close()
    database.lock.release()

    def migrate(path: Path) -> None:
        with contextlib.closing(apsw.Connection(str(path))) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            snapshot(path, tmp_path / "killed")

    monkeypatch.setattr(database_module, "migrate", migrate)
    Database(database_path).close()
    killed = tmp_path / "killed" / database_path.name
    assert beside(killed, "-wal").stat().st_size > 0
    assert judge_wal(killed) is WalVerdict.OWN
    for path in (database_path, killed):
        with contextlib.closing(Database(path)) as again:
            assert again.set_aside is None
            assert names_in(again) == {"a"}


def test_a_generation_of_another_file_is_seen_whatever_its_commits(database_path: Path) -> None:
    database = Database(database_path)
    commit(database, "a")
    found = main_file_generation(database_path)
    assert found is not None
    verdicts = {}
    for name, noted in {
        "the same": Generation(found[0], True, found[1], found[0] - 1, 0),
        "more commits than noted": Generation(found[0], True, found[1] - 1, found[0] - 1, 0),
        "older": Generation(found[0] + 1, True, found[1], found[0], found[1]),
        "begun after it": Generation(found[0] + 1, False, 0, found[0], found[1]),
        "begun long after it": Generation(found[0] + 2, False, 0, found[0] + 1, found[1]),
        "begun after a later commit": Generation(found[0] + 1, False, 0, found[0], found[1] + 1),
    }.items():
        write_generation(database_path, noted)
        verdicts[name] = judge_wal(database_path)
    database.connection.close()
    database.lock.release()
    assert verdicts == {
        "the same": WalVerdict.OWN,
        "more commits than noted": WalVerdict.FOREIGN,
        "older": WalVerdict.FOREIGN,
        "begun after it": WalVerdict.OWN,
        "begun long after it": WalVerdict.FOREIGN,
        "begun after a later commit": WalVerdict.FOREIGN,
    }


KILLED_WHILE_OPENING = """
import os, signal, sys
from pathlib import Path
from vitalbridge.bridge.store import database
real = database.write_generation
def write_and_die(path, generation):
    real(path, generation)
    if generation.finished is (sys.argv[2] == "done"):
        os.kill(os.getpid(), signal.SIGKILL)
database.write_generation = write_and_die
database.Database(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["begun", "done"])
def test_kills_while_opening_lose_nothing(database_path: Path, tmp_path: Path, moment: str) -> None:
    database = Database(database_path)
    commit(database, "a")
    killed = snapshot(database_path, tmp_path / "killed")
    database.close()
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", KILLED_WHILE_OPENING, str(killed), moment], check=False
        )
        assert result.returncode == -9
    with contextlib.closing(Database(killed)) as again:
        assert again.set_aside is None
        assert names_in(again) == {"a"}
