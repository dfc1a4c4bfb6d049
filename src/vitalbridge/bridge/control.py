"""How operators' commands reach the running service: a socket beside the database.

One request per connection: a line of JSON, answered by a line of JSON. Whoever may write the
socket's file may command; it belongs to the service's user alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Literal

import msgspec

from vitalbridge.bridge.store.files import StoreError, beside
from vitalbridge.bridge.store.resolve import release, retry

if TYPE_CHECKING:
    from pathlib import Path

    from vitalbridge.bridge.store.writer import Writer

log = logging.getLogger("bridge.control")

TIME_LIMIT = 10.0
LONGEST_LINE = 65536


class Request(msgspec.Struct):
    """What an operator wants: ``retry`` a dead letter, or ``release`` what waits for one."""

    command: Literal["retry", "release"]
    seq: int
    operator: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """What came of it: ``moved`` messages are handled again or anew; or why nothing was done."""

    moved: int = 0
    error: str = ""


COMMANDS = {"retry": retry, "release": release}


def control_path(database: Path) -> Path:
    """Return where the socket of a database's service is."""
    return beside(database, ".control")


class Control:
    """The listening socket."""

    def __init__(self, database: Path, writer: Writer) -> None:
        self._path = control_path(database)
        self._writer = writer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises OSError when the socket can't be made (a path over 107 bytes)."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=LONGEST_LINE
        )

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                answer = await self._answer(await reader.readline())
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("command not answered", extra={"reason": type(error).__name__})
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            return Answer(error=f"no such command: {error}")
        command = COMMANDS[request.command]
        try:
            moved = await asyncio.wrap_future(
                self._writer.call(lambda writer: command(writer, request.seq))
            )
        except StoreError as error:
            return Answer(error=str(error))
        log.info(
            "operator's command",
            extra={"command": request.command, "seq": request.seq, "operator": request.operator},
        )
        return Answer(moved=moved)


def ask(database: Path, request: Request) -> Answer:
    """Send a request to the service that has the database open; raises StoreError without one."""
    path = control_path(database)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIME_LIMIT)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(LONGEST_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        raise StoreError(f"no running service has {database} open") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or 'no answer in time'}") from error
    try:
        return msgspec.json.decode(line, type=Answer)
    except msgspec.DecodeError:
        raise StoreError(f"{path}: the service did not answer") from None
