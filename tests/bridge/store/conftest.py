"""An empty database for each test, copied from one that was migrated once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge.store.database import Database

from .traffic import copy_empty

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "queue.db"
    Database(path).close()
    return path


@pytest.fixture
def database_path(empty_database: Path, tmp_path: Path) -> Path:
    return copy_empty(empty_database, tmp_path / "data" / "queue.db")
