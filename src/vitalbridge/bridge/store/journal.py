"""The journal of everything that arrived: rows, bodies, duplicates, outcomes.

A message of up to 1 MiB is one body row. A longer one is written ahead as chunk rows of 1 MiB under
a body id, in transactions of their own; the journal row that makes them count comes last.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from vitalbridge.bridge.model import Note
    from vitalbridge.hl7 import Message

CHUNK = 1 << 20


class MessageState(IntEnum):
    """Where a received message stands."""

    PENDING = 0
    DONE = 1
    DEAD = 2
    REFUSED = 3
    WAITING = 4


@dataclass(slots=True, eq=False)
class Arrival:
    """A received message with the answer that was decided for it, on its way into the journal.

    ``message`` is None when it was refused; ``answer`` is empty when the sender wants none.
    ``received_at`` is in microseconds since 1970 UTC. ``ticket`` is the caller's own.
    """

    raw: bytes
    message: Message | None
    sender: str
    control_id: str
    message_type: str
    peer: str
    trace_id: str
    received_at: int
    ack_code: str
    answer: bytes
    ticket: Any
    connection: int = 0
    reason: str = ""
    digest: bytes = b""


@dataclass(slots=True, eq=False)
class Pending:
    """An accepted message that waits for its handler."""

    seq: int
    message: Message
    sender: str
    control_id: str
    message_type: str
    trace_id: str
    received_at: int


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of a message, as kept in its journal row: no PHI.

    ``code`` (table 0357), ``location`` and ``reason`` say why it failed; ``created``, ``updated``
    and ``cancelled`` count worklist steps, ``unmapped`` those created without a known modality;
    ``notes`` are (kind, text, location).
    """

    code: int = 0
    location: str = ""
    reason: str = ""
    created: int = 0
    updated: int = 0
    cancelled: int = 0
    unmapped: int = 0
    notes: list[tuple[str, str, str]] = msgspec.field(default_factory=list)


@dataclass(slots=True, eq=False)
class Handled:
    """A message that its handler is done with, for logs and metrics."""

    pending: Pending
    state: MessageState
    outcome: Outcome
    handled_at: int
    notes: Sequence[Note] = field(default_factory=tuple)


encode_outcome = msgspec.json.Encoder().encode
decode_outcome = msgspec.json.Decoder(Outcome).decode


def microseconds() -> int:
    """Return the present time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def digest(raw: bytes) -> bytes:
    """Return 16 bytes that stand for the message's bytes when resends are recognised."""
    return hashlib.blake2b(raw, digest_size=16).digest()


class Journal:
    """Statements over the journal's tables; belongs to the writer's thread."""

    def __init__(self, connection: apsw.Connection, duplicate_window: float) -> None:
        self.execute = connection.execute
        self.duplicate_window = int(duplicate_window * 1_000_000)
        self._newest: int = connection.execute("SELECT ifnull(max(seq), 0) FROM inbound").get
        self._newest_body: int = connection.execute(
            "SELECT max((SELECT ifnull(max(body_id), 0) FROM inbound_chunk),"
            " (SELECT ifnull(max(body_id), 0) FROM chunked_body))"
        ).get

    def earlier_answer(self, arrival: Arrival) -> tuple[str, bytes] | None:
        """Return (code, answer) kept for an earlier arrival of the same bytes, if any.

        The same MSH-3, MSH-4 and MSH-10 with other bytes is a new message, and a refused one is
        judged afresh.
        """
        oldest = arrival.received_at - self.duplicate_window
        for code, answer, sender, received_at in self.execute(
            "SELECT ack_code, ack, sender, received_at FROM inbound"
            " WHERE control_id = ? AND digest = ? AND state <> 3",
            (arrival.control_id, arrival.digest),
        ):
            if sender == arrival.sender and received_at >= oldest:
                return code, answer or b""
        return None

    def append(self, arrival: Arrival, body_id: int | None = None) -> int:
        """Write the journal row and the body; return its sequence number."""
        self._newest += 1
        seq = self._newest
        accepted = arrival.message is not None
        self.execute(
            "INSERT INTO inbound (seq, received_at, state, sender, control_id, message_type,"
            " digest, peer, trace_id, size, ack_code, ack, handled_at, outcome)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                arrival.received_at,
                0 if accepted else 3,
                arrival.sender,
                arrival.control_id,
                arrival.message_type,
                arrival.digest,
                arrival.peer,
                arrival.trace_id,
                len(arrival.raw),
                arrival.ack_code,
                arrival.answer or None,
                None if accepted else arrival.received_at,
                None if accepted else encode_outcome(Outcome(reason=arrival.reason)).decode(),
            ),
        )
        if body_id is None:
            self.execute("INSERT INTO inbound_body VALUES (?, ?)", (seq, arrival.raw))
        else:
            self.execute("INSERT INTO chunked_body VALUES (?, ?)", (seq, body_id))
        return seq

    def new_body(self) -> int:
        """Return an id for a body that will be written in chunks."""
        self._newest_body += 1
        return self._newest_body

    def append_chunk(self, body_id: int, n: int, part: bytes | memoryview) -> None:
        """Write one chunk of a long body."""
        self.execute("INSERT INTO inbound_chunk VALUES (?, ?, ?)", (body_id, n, part))

    def drop_body(self, body_id: int) -> None:
        """Delete the chunks of a long body."""
        self.execute("DELETE FROM inbound_chunk WHERE body_id = ?", (body_id,))

    def drop_unfinished_bodies(self) -> int:
        """Delete chunks whose journal row never came (the process died in between)."""
        return len(
            self.execute(
                "DELETE FROM inbound_chunk WHERE body_id NOT IN (SELECT body_id FROM chunked_body)"
                " RETURNING 1"
            ).fetchall()
        )

    def body(self, seq: int) -> bytes | None:
        """Return the bytes of a message, or None when retention has removed them."""
        return read_body(self.execute, seq)

    def mark(self, seq: int, state: MessageState, handled_at: int, outcome: Outcome) -> None:
        """Record what became of a message."""
        self.execute(
            "UPDATE inbound SET state = ?, handled_at = ?, outcome = ? WHERE seq = ?",
            (int(state), handled_at, encode_outcome(outcome).decode(), seq),
        )

    def count_unhandled(self) -> int:
        """Return how many accepted messages wait, answered from an index."""
        return int(self.execute("SELECT count(*) FROM messages").get)

    def count_dead(self) -> int:
        """Return how many messages are in the dead letters."""
        return int(self.execute("SELECT count(*) FROM inbound WHERE state = 2").get)

    def pending_rows(self, most: int) -> list[tuple[Any, ...]]:
        """Return (seq, sender, control id, type, trace id, received at) of the oldest pending."""
        return list(
            self.execute(
                "SELECT seq, sender, control_id, message_type, trace_id, received_at FROM inbound"
                " INDEXED BY inbound_unhandled WHERE state IN (0, 4) AND state = 0"
                " ORDER BY seq LIMIT ?",
                (most,),
            )
        )

    def blocked(self, subjects: Sequence[str]) -> int | None:
        """Return the failed message that one of the subjects waits for, if any."""
        for subject in subjects:
            seq = self.execute("SELECT seq FROM waiting_subject WHERE subject = ?", (subject,)).get
            if seq is not None:
                return int(seq)
        return None

    def block(self, subjects: Sequence[str], seq: int) -> None:
        """Make later messages of these subjects wait for the failed message."""
        for subject in subjects:
            self.execute("INSERT OR IGNORE INTO waiting_subject VALUES (?, ?)", (subject, seq))


def read_body(execute: Any, seq: int) -> bytes | None:
    """Return the bytes of message ``seq`` over any connection's ``execute``."""
    body = execute("SELECT body FROM inbound_body WHERE seq = ?", (seq,)).get
    if body is not None:
        return bytes(body)
    body_id = execute("SELECT body_id FROM chunked_body WHERE seq = ?", (seq,)).get
    if body_id is None:
        return None
    parts = execute("SELECT part FROM inbound_chunk WHERE body_id = ? ORDER BY n", (body_id,))
    return b"".join(part for (part,) in parts)
