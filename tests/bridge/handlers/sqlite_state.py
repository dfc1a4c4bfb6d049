"""The real state over a database in memory, copied from a migrated file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import apsw

from vitalbridge.bridge.store import effects
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.state import SqlState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vitalbridge.bridge.model import Effect, Order, Step


class SqliteState(SqlState):
    """SqlState whose clock stands still, with what the tests look at."""

    now = datetime(2024, 1, 1, 12, tzinfo=UTC)

    def apply(self, found: Iterable[Effect]) -> None:
        effects.apply(self, found)

    def all_orders(self) -> list[Order]:
        return self._orders("1", ())

    def all_steps(self) -> list[Step]:
        return self._steps("1", ())


def open_copy(migrated: Path) -> SqliteState:
    """Return a state of its own over a copy of the empty database."""
    connection = apsw.Connection(":memory:")
    source = apsw.Connection(str(migrated), flags=apsw.SQLITE_OPEN_READONLY)
    with connection.backup("main", source, "main") as backup:
        backup.step()
    source.close()
    return SqliteState(connection, PatientCache())
