"""What is deleted when it has been kept long enough, a little at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.bridge.store.journal import microseconds

if TYPE_CHECKING:
    from datetime import timedelta

    from vitalbridge.bridge.store.writer import Writer

ROWS_AT_ONCE = 500
VACUUM_PAGES = 256


def purge(writer: Writer, keep_bodies: timedelta, keep_metadata: timedelta) -> int:
    """Delete bodies and journal rows past their age; return how many rows went.

    Run it on the writer's thread. Only messages that are done or refused age: what is pending,
    waiting or in the dead letters is kept. At most a few hundred rows go at once, so that
    acknowledgements don't wait; call again while it returns something.
    """
    execute = writer.state.execute
    now = microseconds()
    gone = 0
    for seq, chunked in execute(
        "SELECT i.seq, c.body_id FROM inbound i LEFT JOIN inbound_body b ON b.seq = i.seq"
        " LEFT JOIN chunked_body c ON c.seq = i.seq"
        " WHERE i.seq IN (SELECT seq FROM inbound_body UNION ALL SELECT seq FROM chunked_body)"
        " AND i.received_at < ? AND i.state IN (1, 3) ORDER BY i.seq LIMIT ?",
        (now - int(keep_bodies.total_seconds() * 1e6), ROWS_AT_ONCE),
    ).fetchall():
        if chunked is None:
            execute("DELETE FROM inbound_body WHERE seq = ?", (seq,))
        else:
            execute("DELETE FROM inbound_chunk WHERE body_id = ?", (chunked,))
            execute("DELETE FROM chunked_body WHERE seq = ?", (seq,))
        gone += 1
    gone += len(
        execute(
            "DELETE FROM inbound WHERE seq IN (SELECT seq FROM inbound WHERE received_at < ?"
            " AND state IN (1, 3) ORDER BY seq LIMIT ?)"
            " AND seq < (SELECT max(seq) FROM inbound) RETURNING seq",
            (now - int(keep_metadata.total_seconds() * 1e6), ROWS_AT_ONCE),
        ).fetchall()
    )
    if gone:
        execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return gone
