"""The schema: migrated up and down, empty and filled, and the same as the tables in the code."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from vitalbridge.bridge.store.database import SCHEMA_REVISION, Database
from vitalbridge.bridge.store.schema import metadata

from .traffic import copy_empty, opened, order_message

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
ALEMBIC = Path(sys.executable).parent / "alembic"


@pytest.fixture
def configured() -> Callable[[Path], Config]:
    def make(path: Path) -> Config:
        config = Config(str(ROOT / "alembic.ini"))
        config.attributes["url"] = f"sqlite:///{path}"
        return config

    return make


def objects(path: Path) -> dict[str, str]:
    """Name and definition of everything in the schema but Alembic's own table."""
    with closing(apsw.Connection(str(path))) as connection:
        found = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
            " AND tbl_name <> 'alembic_version'"
        )
        return dict(found.fetchall())


def test_the_program_knows_the_newest_revision(configured: Callable[[Path], Config]) -> None:
    scripts = ScriptDirectory.from_config(configured(Path("unused")))
    assert scripts.get_heads() == [SCHEMA_REVISION]


def test_up_and_down_on_an_empty_file(tmp_path: Path, configured: Callable[[Path], Config]) -> None:
    path = tmp_path / "queue.db"
    command.upgrade(configured(path), "head")
    first = objects(path)
    assert {table.name for table in metadata.sorted_tables} | {"messages"} <= first.keys()
    command.downgrade(configured(path), "base")
    assert objects(path) == {}
    command.upgrade(configured(path), "head")
    assert objects(path) == first


def test_up_and_down_on_a_filled_file(
    database_path: Path, configured: Callable[[Path], Config]
) -> None:
    before = objects(database_path)
    with opened(database_path) as running:
        running.accept(*(order_message(f"M{n}") for n in range(20)))
        running.events.wait_handled(20)
    command.downgrade(configured(database_path), "base")
    assert objects(database_path) == {}
    command.upgrade(configured(database_path), "head")
    assert objects(database_path) == before
    with closing(Database(database_path)) as database:
        assert database.connection.execute("SELECT count(*) FROM inbound").get == 0


def test_the_migrations_make_what_the_tables_in_the_code_say(
    database_path: Path, configured: Callable[[Path], Config]
) -> None:
    command.check(configured(database_path))


@pytest.mark.parametrize("way", ["environment", "argument"])
def test_the_command_line(tmp_path: Path, way: str) -> None:
    path = tmp_path / "queue.db"
    arguments = ["-x", f"url=sqlite:///{path}"] if way == "argument" else []
    variables = {"PACS_BRIDGE_QUEUE_DB": str(path)} if way == "environment" else {}
    result = subprocess.run(
        [ALEMBIC, *arguments, "upgrade", "head"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    with closing(Database(path)) as database:
        assert database.connection.execute("SELECT count(*) FROM messages").get == 0


def test_the_schema_can_be_written_for_postgresql() -> None:
    result = subprocess.run(
        [ALEMBIC, "-x", "url=postgresql+asyncpg://", "upgrade", "head", "--sql"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "CREATE TABLE worklist_step" in result.stdout


def test_each_installation_has_a_uid_namespace_of_its_own(tmp_path: Path) -> None:
    found = set()
    for n in range(2):
        with closing(Database(tmp_path / f"{n}" / "queue.db")) as database:
            found.add(database.connection.execute("SELECT uid_namespace FROM installation").get)
    assert len(found) == 2


def test_a_new_file_gives_pages_back(empty_database: Path, tmp_path: Path) -> None:
    path = copy_empty(empty_database, tmp_path / "queue.db")
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA auto_vacuum").get == 2
        assert connection.execute("PRAGMA journal_mode").get == "wal"
