"""What is deleted when it has been kept long enough, a little at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitalbridge.bridge.store.journal import microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from vitalbridge.bridge.store.worklist_source import Oldest
    from vitalbridge.bridge.store.writer import Writer

ROWS_AT_ONCE = 500
VACUUM_PAGES = 256
NOT_DUE_IN_A_ROW = 1000
"""Messages come in the order of their time, but for a clock that was set: so many that are too
young mean that all the rest is."""


def due(execute: Any, table: str, before: int) -> Iterator[int]:
    """Yield sequence numbers in ``table`` of settled messages that arrived before that time.

    Oldest first, a bounded number; the newest message of all is never among them.
    """
    newest = execute("SELECT max(seq) FROM inbound").get or 0
    young = found = 0
    for seq, received_at in execute(
        f"SELECT t.seq, i.received_at FROM {table} t CROSS JOIN inbound i ON i.seq = t.seq"
        " WHERE i.state IN (1, 3) AND t.seq < ? ORDER BY t.seq",
        (newest,),
    ):
        if received_at < before:
            yield seq
            found += 1
        else:
            young += 1
        if found == ROWS_AT_ONCE or young == NOT_DUE_IN_A_ROW:
            return


def drop_text(writer: Writer, seq: int) -> None:
    """Delete the text of a message, whichever way it is kept."""
    execute = writer.state.execute
    execute("DELETE FROM inbound_body WHERE seq = ?", (seq,))
    body_id = execute("DELETE FROM chunked_body WHERE seq = ? RETURNING body_id", (seq,)).get
    if body_id is not None:
        writer.journal.drop_body(body_id)


def hide_overdue(writer: Writer, limit: Oldest) -> int:
    """Take steps past the age limit out of the worklist's indexes; return how many.

    Run it on the writer's thread, again while it returns something. Queries leave such steps out
    anyway; without this the indexes of visible steps would grow for ever.
    """
    execute = writer.state.execute
    keys = execute(
        "UPDATE worklist_step SET visible = 0 WHERE key IN (SELECT key FROM worklist_step"
        " WHERE visible = 1 AND start < ? AND changed_at < ? ORDER BY start LIMIT ?)"
        " RETURNING key",
        (limit.start, limit.changed_at, ROWS_AT_ONCE),
    ).fetchall()
    for key in keys:
        execute("DELETE FROM step_station WHERE step_key = ?", key)
    return len(keys)


def purge(writer: Writer, keep_bodies: timedelta, keep_metadata: timedelta) -> int:
    """Delete bodies and journal rows past their age; return how many rows went.

    Run it on the writer's thread. Only messages that are done or refused age: what is pending,
    waiting or in the dead letters is kept. At most a few hundred rows go at once, so that
    acknowledgements don't wait; call again while it returns something.
    """
    execute = writer.state.execute
    now = microseconds()
    bodies_before = now - int(keep_bodies.total_seconds() * 1e6)
    rows_before = now - int(keep_metadata.total_seconds() * 1e6)
    gone = 0
    for table in ("inbound_body", "chunked_body"):
        for seq in list(due(execute, table, bodies_before)):
            drop_text(writer, seq)
            gone += 1
    for seq in list(due(execute, "inbound", rows_before)):
        drop_text(writer, seq)
        execute("DELETE FROM inbound WHERE seq = ?", (seq,))
        gone += 1
    if gone:
        execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return gone
