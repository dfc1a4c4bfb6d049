"""``pacs_bridge queue ...``: the journal, read from outside of the service."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitalbridge.bridge.control import Request, ask
from vitalbridge.bridge.store import inspect
from vitalbridge.cli.output import complain, moment, print_json, print_pairs, print_table, printable
from vitalbridge.runtime.process import ExitCode

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from vitalbridge.bridge.store.salvage import SalvagedMessage

STATES = tuple(inspect.STATE_NAMES.values())
_COLUMNS = ("SEQ", "RECEIVED", "STATE", "TYPE", "SENDER", "CONTROL ID", "SIZE", "ACK", "OUTCOME")


def stats(database: Path, arguments: Namespace) -> int:
    """Print how much is in the database."""
    figures = inspect.figures(database)
    if arguments.json:
        print_json(figures._asdict())
        return ExitCode.OK
    print_pairs(
        [
            ("database", str(database)),
            ("messages waiting", figures.messages),
            *((f"inbound {state}", count) for state, count in figures.by_state.items()),
            ("patients", figures.patients),
            ("worklist steps", figures.worklist_steps),
            ("database bytes", figures.database_bytes),
            ("write-ahead log bytes", figures.wal_bytes),
        ]
    )
    return ExitCode.OK


def list_(database: Path, arguments: Namespace) -> int:
    """Print the newest messages without their text."""
    if arguments.state is not None and arguments.state not in STATES:
        sys.stderr.write(f"no state is called {arguments.state}: use {', '.join(STATES)}\n")
        return ExitCode.USAGE
    lines = inspect.list_messages(database, arguments.state, arguments.limit)
    if arguments.json:
        print_json([_message(line) for line in lines])
        return ExitCode.OK
    print_table(
        _COLUMNS,
        [
            (
                line.seq,
                moment(line.received_at),
                line.state,
                line.message_type,
                line.sender,
                line.control_id,
                line.size,
                line.ack_code,
                line.outcome,
            )
            for line in lines
        ],
    )
    return ExitCode.OK


def show(database: Path, arguments: Namespace) -> int:
    """Print one message: what is known about it, with ``--body`` also its text."""
    found = inspect.show_message(database, arguments.seq)
    if found is None:
        sys.stderr.write(f"there is no message {arguments.seq}\n")
        return ExitCode.FAILED
    line, body = found
    if arguments.raw:
        return _raw(arguments.seq, body)
    described = _message(line)
    text = _readable(body) if arguments.body else None
    if arguments.json:
        print_json({**described, "body": text} if arguments.body else described)
        return ExitCode.OK
    print_pairs(list(described.items()))
    if arguments.body:
        sys.stdout.write("\n" + (text if text is not None else "text removed by retention") + "\n")
    return ExitCode.OK


def verify(database: Path, arguments: Namespace) -> int:
    """Print what SQLite's integrity check finds; fails when the file is damaged."""
    faults = inspect.verify(database)
    if arguments.json:
        print_json({"database": str(database), "ok": not faults, "faults": faults})
    else:
        for fault in faults or ["ok"]:
            sys.stdout.write(printable(fault) + "\n")
    return ExitCode.FAILED if faults else ExitCode.OK


def checkpoint(database: Path, _: Namespace) -> int:
    """Bring the database into one complete file. Where there is none there is nothing to do."""
    if database.exists():
        inspect.checkpoint(database)
    return ExitCode.OK


def salvage(database: Path, arguments: Namespace) -> int:
    """Print the messages in write-ahead logs that were set aside as another database's."""
    found = inspect.salvage_foreign(database)
    if arguments.to is not None:
        _write_bodies(Path(arguments.to), [one for _, messages in found for one in messages])
    if arguments.json:
        print_json(
            [
                {
                    "file": str(file),
                    "messages": [
                        {
                            **message._asdict(),
                            "received_at": moment(message.received_at),
                            "state": inspect.STATE_NAMES.get(message.state, message.state),
                            "body": _readable(message.body) if arguments.body else None,
                        }
                        for message in messages
                    ],
                }
                for file, messages in found
            ]
        )
        return ExitCode.OK
    if not found:
        sys.stdout.write("no write-ahead log has been set aside\n")
    for file, messages in found:
        sys.stdout.write(f"{printable(file)}: {len(messages)} messages\n")
        print_table(
            ("SEQ", "RECEIVED", "STATE", "TYPE", "SENDER", "CONTROL ID"),
            [
                (
                    message.seq,
                    moment(message.received_at),
                    inspect.STATE_NAMES.get(message.state, message.state),
                    message.message_type,
                    message.sender,
                    message.control_id,
                )
                for message in messages
            ],
        )
        if arguments.body:
            for message in messages:
                sys.stdout.write(f"\n{message.seq}\n{_readable(message.body)}\n")
    return ExitCode.OK


def _write_bodies(directory: Path, messages: Sequence[SalvagedMessage]) -> None:
    """Write the bytes of each message to a file that only its owner reads."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for message in messages:
        if message.body is not None:
            path = directory / f"{message.seq}.hl7"
            path.touch(mode=0o600)
            path.write_bytes(message.body)


def resolve(database: Path, arguments: Namespace) -> int:
    """Have the running service handle a dead letter again, or release what waits for it."""
    request = Request(arguments.command, arguments.seq, getpass.getuser())
    answer = ask(database, request)
    if arguments.json:
        print_json({"seq": arguments.seq, "moved": answer.moved, "error": answer.error or None})
    elif answer.error:
        complain(f"pacs_bridge: {answer.error}")
    else:
        sys.stdout.write(f"{answer.moved} messages are handled now\n")
    return ExitCode.FAILED if answer.error else ExitCode.OK


def _message(line: inspect.MessageLine) -> dict[str, object]:
    return {
        **line._asdict(),
        "received_at": moment(line.received_at),
        "handled_at": moment(line.handled_at),
    }


def _readable(body: bytes | None) -> str | None:
    """Return the segments of a message, one per line, safe to print."""
    if body is None:
        return None
    text = body.decode("utf-8", "backslashreplace").rstrip("\r\n")
    lines = text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    return "\n".join(map(printable, lines))


def _raw(seq: int, body: bytes | None) -> int:
    if body is None:
        sys.stderr.write(f"the text of message {seq} was removed by retention\n")
        return ExitCode.FAILED
    sys.stdout.buffer.write(body)
    return ExitCode.OK
