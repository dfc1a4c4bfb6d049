"""What an operator does about a dead letter: handle it again, or let others go on without it.

Both run on the writer's thread in a transaction of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalbridge.bridge.store.files import StoreError
from vitalbridge.bridge.store.journal import MessageState

if TYPE_CHECKING:
    from vitalbridge.bridge.store.writer import Writer


def _require_dead(writer: Writer, seq: int) -> None:
    state = writer.state.execute("SELECT state FROM inbound WHERE seq = ?", (seq,)).get
    if state is None:
        raise StoreError(f"there is no message {seq}")
    if state != MessageState.DEAD:
        name = MessageState(state).name.lower()
        raise StoreError(f"message {seq} is {name}, not among the dead letters")


def retry(writer: Writer, seq: int) -> int:
    """Handle a dead letter again, before those that wait for it; return how many are pending now.

    Raises StoreError when there is no such dead letter.
    """
    _require_dead(writer, seq)
    writer.state.execute(
        "UPDATE inbound SET state = 0, handled_at = NULL, outcome = NULL WHERE seq = ?", (seq,)
    )
    writer.backlog.dead -= 1
    writer.backlog.unhandled += 1
    return 1 + _let_go(writer, seq)


def release(writer: Writer, seq: int) -> int:
    """Let the messages that wait for a dead letter be handled without it; return how many.

    Raises StoreError when there is no such dead letter.
    """
    _require_dead(writer, seq)
    return _let_go(writer, seq)


def _let_go(writer: Writer, seq: int) -> int:
    execute = writer.state.execute
    execute("DELETE FROM waiting_subject WHERE seq = ?", (seq,))
    # Which of the waiting ones are free now is decided when their turn comes: in journal order,
    # each is handled or goes on waiting for another dead letter.
    waiting = execute("UPDATE inbound SET state = 0 WHERE state = 4 RETURNING seq").fetchall()
    writer.read_again()
    return len(waiting)
