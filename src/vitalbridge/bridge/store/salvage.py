"""Reads the messages out of a write-ahead log that belongs to no database any more.

The log of a killed process that was set aside because a backup replaced its database may hold
acknowledged messages that the backup does not have. Its pages are read directly: file format as in
https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAL_MAGIC = (0x377F0682, 0x377F0683)
HEADER_SIZE = 32
FRAME_HEADER_SIZE = 24
TABLE_LEAF = 0x0D
INBOUND_COLUMNS = 14
DIGEST_SERIAL_TYPE = 12 + 2 * 16
INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class SalvagedMessage(NamedTuple):
    """A message found in the log; ``body`` is None when not all of it is there."""

    seq: int
    received_at: int
    state: int
    sender: str
    control_id: str
    message_type: str
    trace_id: str
    body: bytes | None


class SalvageError(Exception):
    """The file is no write-ahead log."""


def committed_pages(wal: bytes) -> tuple[int, dict[int, bytes]]:
    """Return the page size and the newest committed image of each page in the log."""
    if len(wal) < HEADER_SIZE or struct.unpack_from(">I", wal)[0] not in WAL_MAGIC:
        raise SalvageError("not a write-ahead log of SQLite")
    page_size: int = struct.unpack_from(">I", wal, 8)[0]
    if page_size == 1:
        page_size = 65536
    if page_size < 512 or page_size & (page_size - 1):
        raise SalvageError("write-ahead log with an impossible page size")
    salts = wal[16:24]
    committed: dict[int, bytes] = {}
    open_transaction: dict[int, bytes] = {}
    at = HEADER_SIZE
    while at + FRAME_HEADER_SIZE + page_size <= len(wal):
        number, size_after_commit = struct.unpack_from(">II", wal, at)
        if wal[at + 8 : at + 16] != salts:
            break
        start = at + FRAME_HEADER_SIZE
        open_transaction[number] = wal[start : start + page_size]
        if size_after_commit:
            committed.update(open_transaction)
            open_transaction.clear()
        at = start + page_size
    return page_size, committed


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (value, next offset) of a variable-length integer."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9


def decode_record(payload: bytes) -> list[Any]:
    """Return the columns of a record; raises IndexError or ValueError when it is cut."""
    header_size, at = read_varint(payload, 0)
    types = []
    while at < header_size:
        kind, at = read_varint(payload, at)
        types.append(kind)
    columns: list[Any] = []
    at = header_size
    for kind in types:
        if kind in INTEGER_SIZES:
            size = INTEGER_SIZES[kind]
            value: Any = int.from_bytes(payload[at : at + size], "big", signed=True)
        elif kind >= 12:
            size = (kind - 12) // 2
            piece = payload[at : at + size]
            if len(piece) != size:
                raise ValueError("record is cut")
            value = piece if kind % 2 == 0 else piece.decode("utf-8")
        else:
            size = 8 if kind == 7 else 0
            value = {8: 0, 9: 1}.get(kind)
        columns.append(value)
        at += size
    return columns


def leaf_records(pages: dict[int, bytes], page_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (rowid, payload) of every table leaf cell whose payload is complete in the log."""
    usable = page_size
    most_local = usable - 35
    least_local = (usable - 12) * 32 // 255 - 23
    for number, page in pages.items():
        offset = 100 if number == 1 else 0
        if page[offset] != TABLE_LEAF:
            continue
        (cells,) = struct.unpack_from(">H", page, offset + 3)
        for n in range(cells):
            try:
                (at,) = struct.unpack_from(">H", page, offset + 8 + 2 * n)
                length, at = read_varint(page, at)
                rowid, at = read_varint(page, at)
                if length <= most_local:
                    yield rowid, page[at : at + length]
                    continue
                local = least_local + (length - least_local) % (usable - 4)
                if local > most_local:
                    local = least_local
                payload = page[at : at + local]
                (following,) = struct.unpack_from(">I", page, at + local)
                yield rowid, payload + overflow(pages, following, length - local, usable)
            except (IndexError, KeyError, struct.error):
                continue


def overflow(pages: dict[int, bytes], following: int, missing: int, usable: int) -> bytes:
    """Return ``missing`` bytes from a chain of overflow pages; KeyError if one isn't here."""
    parts = []
    while missing > 0:
        page = pages[following]
        parts.append(page[4 : 4 + min(missing, usable - 4)])
        missing -= len(parts[-1])
        (following,) = struct.unpack_from(">I", page)
    return b"".join(parts)


def salvage(wal: Path) -> list[SalvagedMessage]:
    """Return the journal's messages in the log, by sequence number.

    Raises SalvageError when the file is no write-ahead log, OSError when it can't be read. A body
    over 1 MiB is reported without its bytes.
    """
    page_size, pages = committed_pages(wal.read_bytes())
    rows: dict[int, list[Any]] = {}
    bodies: dict[int, bytes] = {}
    for rowid, payload in leaf_records(pages, page_size):
        try:
            columns = decode_record(payload)
        except (IndexError, ValueError):
            continue
        if is_journal_row(columns):
            rows[rowid] = columns
        elif len(columns) == 2 and columns[0] is None and isinstance(columns[1], bytes):
            bodies[rowid] = columns[1]
    return [
        SalvagedMessage(
            seq, row[1], row[2], row[3], row[4], row[5], row[8], body_of(row, bodies.get(seq))
        )
        for seq, row in sorted(rows.items())
    ]


def is_journal_row(columns: list[Any]) -> bool:
    """Return whether a record has the shape of a journal row."""
    return (
        len(columns) == INBOUND_COLUMNS
        and columns[0] is None
        and isinstance(columns[1], int)
        and isinstance(columns[6], bytes)
        and len(columns[6]) == 16
        and all(isinstance(columns[n], str) for n in (3, 4, 5, 7, 8, 10))
    )


def body_of(row: list[Any], body: bytes | None) -> bytes | None:
    """Return the body if it is the one that the journal row counted."""
    return body if body is not None and len(body) == row[9] else None
