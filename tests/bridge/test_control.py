"""Operators' commands to a running writer, over the real socket."""

from __future__ import annotations

import asyncio
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from vitalbridge.bridge.control import Answer, Control, Request, ask, control_path
from vitalbridge.bridge.model import Unprocessable
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.files import StoreError
from vitalbridge.bridge.store.inspect import list_messages
from vitalbridge.bridge.store.journal import Arrival, Handled, digest, microseconds
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.writer import Writer, WriterEvents
from vitalbridge.hl7 import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitalbridge.bridge.store.journal import Pending


class Handling(WriterEvents):
    """Handles messages, unless their control id is among those that fail."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.order: list[str] = []
        self.changed = threading.Condition()
        self.handled_count = 0

    def process(self, pending: Pending, state: Any) -> list[Any]:
        self.order.append(pending.control_id)
        if pending.control_id in self.failing:
            raise Unprocessable(204, "ORC^1^2", "order not known")
        return []

    def handled(self, results: list[Handled]) -> None:
        with self.changed:
            self.handled_count += len(results)
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.handled_count >= count, 10)


@pytest.fixture
def handling() -> Handling:
    return Handling()


@pytest.fixture
def writer(tmp_path: Path, migrated: Path, handling: Handling) -> Iterator[Writer]:
    shutil.copyfile(migrated, tmp_path / "queue.db")
    database = Database(tmp_path / "queue.db")
    writer = Writer(
        database,
        PatientCache(),
        handling.process,
        lambda message: (f"order:{message.get('ORC-2.1')}",),
        lambda raw, sender: Message(raw),
        handling,
        3600.0,
    )
    writer.start()
    yield writer
    assert writer.stop(10)
    database.close()


def send(writer: Writer, control_id: str, order: str) -> None:
    raw = f"MSH|^~\\&|RIS|H|P|R|20261121||ORM^O01|{control_id}|P|2.5\rORC|NW|{order}\r".encode()
    writer.submit(
        Arrival(
            raw,
            Message(raw),
            "RIS|H",
            control_id,
            "ORM^O01",
            "127.0.0.1",
            "0" * 32,
            microseconds(),
            "AA",
            b"",
            None,
            digest=digest(raw),
        )
    )


def states(writer: Writer) -> dict[str, str]:
    return {line.control_id: line.state for line in list_messages(writer.database.path)}


async def test_release_lets_the_waiting_go_on_in_their_order(
    writer: Writer, handling: Handling
) -> None:
    handling.failing = {"1"}
    for control_id, order in [("1", "A"), ("2", "A"), ("3", "B"), ("4", "A")]:
        send(writer, control_id, order)
    await asyncio.to_thread(handling.wait_for, 4)
    assert states(writer) == {"1": "dead", "2": "waiting", "3": "done", "4": "waiting"}
    control = Control(writer.database.path, writer)
    await control.start()
    answer = await asyncio.to_thread(
        ask, writer.database.path, Request("release", list_messages(writer.database.path)[-1].seq)
    )
    assert answer == Answer(moved=2)
    await asyncio.to_thread(handling.wait_for, 6)
    assert states(writer) == {"1": "dead", "2": "done", "3": "done", "4": "done"}
    assert handling.order == ["1", "3", "2", "4"]
    await control.stop()
    assert not control_path(writer.database.path).exists()


async def test_retry_comes_before_those_that_wait_for_it(
    writer: Writer, handling: Handling
) -> None:
    handling.failing = {"1"}
    for control_id in ("1", "2"):
        send(writer, control_id, "A")
    await asyncio.to_thread(handling.wait_for, 2)
    assert writer.dead == 1
    control = Control(writer.database.path, writer)
    await control.start()
    handling.failing = set()
    answer = await asyncio.to_thread(ask, writer.database.path, Request("retry", 1))
    assert answer == Answer(moved=2)
    await asyncio.to_thread(handling.wait_for, 4)
    assert handling.order == ["1", "1", "2"]
    assert states(writer) == {"1": "done", "2": "done"}
    assert (writer.dead, writer.unhandled) == (0, 0)
    await control.stop()


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        (b'{"command":"retry","seq":99}\n', "there is no message 99"),
        (b'{"command":"retry","seq":1}\n', "message 1 is done, not among the dead letters"),
        (b'{"command":"drop","seq":1}\n', "no such command"),
        (b"\x00\xff garbage\n", "no such command"),
        (b"\n", "no such command"),
    ],
)
async def test_what_cannot_be_done_is_said(
    writer: Writer, handling: Handling, request_line: bytes, reason: str
) -> None:
    send(writer, "1", "A")
    await asyncio.to_thread(handling.wait_for, 1)
    control = Control(writer.database.path, writer)
    await control.start()
    path = str(control_path(writer.database.path))
    reader, stream = await asyncio.open_unix_connection(path)
    stream.write(request_line)
    assert reason in (await reader.readline()).decode()
    stream.close()
    await stream.wait_closed()
    await control.stop()


def test_without_a_service_the_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no running service"):
        ask(tmp_path / "queue.db", Request("retry", 1))


async def test_the_socket_is_for_its_owner_only(writer: Writer) -> None:
    control = Control(writer.database.path, writer)
    await control.start()
    assert control_path(writer.database.path).stat().st_mode & 0o777 == 0o600
    await control.stop()


def test_a_call_that_nobody_waits_for_any_more_is_not_run(
    writer: Writer, handling: Handling
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def occupy(_: Writer) -> None:
        entered.set()
        assert leave.wait(10)

    first = writer.call(occupy)
    assert entered.wait(10)
    given_up = writer.call(lambda writer: writer.state.execute("SELECT 1").get)
    assert given_up.cancel()
    leave.set()
    first.result(10)
    assert writer.call(lambda _: 7).result(10) == 7
    assert writer.is_alive()
