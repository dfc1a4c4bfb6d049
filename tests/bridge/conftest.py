"""What tests of the bridge share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database file to be copied: a migration takes most of a second."""
    path = tmp_path_factory.mktemp("migrated") / "queue.db"
    Database(path).close()
    return path
