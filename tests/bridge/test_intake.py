"""Acceptance end to end inside one process: real sockets, a real database, the real handlers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge import rules as configured
from vitalbridge.bridge.handlers import handle
from vitalbridge.bridge.intake import Intake, IntakeEvents
from vitalbridge.bridge.settings import Settings
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.inspect import list_messages
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.writer import Writer, WriterEvents
from vitalbridge.hl7 import Message
from vitalbridge.hl7.mllp import Limits, MllpClient, MllpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from vitalbridge.bridge.store.backlog import Committed

ORDER = (
    "MSH|^~\\&|RIS|HOSPITAL|PACS|RADIOLOGY|20261121120000||ORM^O01|{id}|P|2.5.1\r"
    "PID|1||12345^^^HOSPITAL^MR||DOE^JOHN||19800115|M\r"
    "ORC|NW|{order}^RIS|ACC{order}^PACS||SC\r"
    "OBR|1|{order}^RIS|ACC{order}^PACS|71260^CT CHEST^CPT|||20261121140000"
    "|||||||||||ACC{order}||||||CT\r"
)


class LoopEvents(WriterEvents):
    """Answers go out on the loop."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.intake: Intake | None = None

    def committed(self, results: list[Committed]) -> None:
        assert self.loop is not None
        assert self.intake is not None
        self.loop.call_soon_threadsafe(self.intake.settle, results)


class Acceptance:
    """Listener, intake and writer put together as the service does."""

    def __init__(self, path: Path, configuration: dict[str, Any], limits: Limits) -> None:
        settings = Settings.model_validate({"pacs": {"host": "localhost"}, **configuration})
        rules = configured.mapping_rules(settings, "test")
        context_of = configured.contexts(settings, rules)
        self.database = Database(path)
        events = LoopEvents()
        self.writer = Writer(
            self.database,
            PatientCache(),
            lambda pending, state: handle(pending.message, context_of(pending.sender), state),
            None,
            lambda raw, sender: Message(raw),
            events,
            settings.queue.duplicate_window,
        )
        self.intake = Intake(
            configured.intake_rules(settings, rules),
            self.writer.submit,
            lambda: self.writer.unhandled,
            IntakeEvents(),
        )
        events.loop = asyncio.get_running_loop()
        events.intake = self.intake
        self.server = MllpServer(self.intake.receive, limits)
        self.client = MllpClient()

    async def start(self) -> None:
        self.writer.start()
        self.address = await self.server.start("127.0.0.1", 0)
        await self.client.connect(*self.address)

    async def stop(self) -> None:
        await self.client.close()
        await self.server.drain(5)
        assert await asyncio.to_thread(self.writer.stop, 10)
        self.database.close()

    async def send(self, text: str | bytes) -> Message:
        raw = text.encode() if isinstance(text, str) else text
        return Message(await self.client.send(raw, 10))

    async def send_frames(self, *messages: bytes) -> Message:
        """Send several frames at once on a connection of their own; return the first answer."""
        host, port = self.address
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"".join(b"\x0b" + message + b"\x1c\r" for message in messages))
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\x1c\r")
        writer.close()
        await writer.wait_closed()
        return Message(answer[1:-2], default_charset="8859/1")

    def journal(self) -> list[tuple[str, str, str]]:
        """Return (control id, state, acknowledgement code), oldest first."""
        lines = list_messages(self.database.path)
        return [(line.control_id, line.state, line.ack_code) for line in reversed(lines)]

    async def handled(self) -> None:
        """Wait until nothing accepted is left to be handled."""
        async with asyncio.timeout(10):
            while self.writer.unhandled:
                await asyncio.wrap_future(self.writer.call(lambda writer: None))


@pytest.fixture
def accepting(tmp_path: Path, migrated: Path) -> Any:
    shutil.copyfile(migrated, tmp_path / "queue.db")

    @contextlib.asynccontextmanager
    async def start(
        configuration: dict[str, Any] | None = None, limits: Limits | None = None
    ) -> AsyncIterator[Acceptance]:
        acceptance = Acceptance(tmp_path / "queue.db", configuration or {}, limits or Limits())
        await acceptance.start()
        try:
            yield acceptance
        finally:
            await acceptance.stop()

    return start


def order(control_id: str, number: int = 1) -> str:
    return ORDER.format(id=control_id, order=number)


def verdict(answer: Message) -> tuple[str, str, list[str]]:
    """Return (MSA-1, MSA-2, [ERR-3.1 @ ERR-2])."""
    errors = [f"{err.get(3)} {err.field(2)}" for err in answer.segments("ERR")]
    return answer.get("MSA-1"), answer.get("MSA-2"), errors


async def test_accepted_message_is_in_the_journal_before_its_answer(accepting: Any) -> None:
    async with accepting() as bridge:
        answer = await bridge.send(order("1"))
        assert verdict(answer) == ("AA", "1", [])
        assert (answer.sending_application, answer.receiving_application) == ("PACS", "RIS")
        assert bridge.journal()[0][0::2] == ("1", "AA")
        await bridge.handled()
        assert bridge.journal() == [("1", "done", "AA")]


async def test_all_faults_are_told_at_once_and_nothing_takes_effect(accepting: Any) -> None:
    async with accepting() as bridge:
        text = order("1").replace("12345^^^HOSPITAL^MR", "").replace("71260^CT CHEST^CPT", "")
        answer = await bridge.send(text)
        code, echoed, errors = verdict(answer)
        assert (code, echoed) == ("AE", "1")
        assert {"101 PID^1^3", "101 OBR^1^4"} <= set(errors)
        assert bridge.journal() == [("1", "refused", "AE")]
        assert bridge.writer.unhandled == 0


@pytest.mark.parametrize(
    ("old", "new", "code", "error"),
    [
        ("ORM^O01", "ORU^R01", "AR", "200 MSH^1^9"),
        ("ORM^O01", "ORM^O99", "AR", "201 MSH^1^9^1^2"),
        ("|P|2.5.1", "|T|2.5.1", "AR", "202 MSH^1^11"),
        ("|P|2.5.1", "|P|3.0", "AR", "203 MSH^1^12"),
        ("ORM^O01", "", "AE", "101 MSH^1^9"),
        ("|7|P|", "||P|", "AE", "101 MSH^1^10"),
        ("ORC|NW|", "ORC|QQ|", "AE", "103 ORC^1^1"),
        ("|2.5.1\r", "|2.5.1||||||UNICODE UTF-16\r", "AR", "103 MSH^1^18"),
    ],
)
async def test_refusals_name_code_and_place(
    accepting: Any, old: str, new: str, code: str, error: str
) -> None:
    async with accepting() as bridge:
        text = order("7")
        assert old in text
        answer = await bridge.send(text.replace(old, new, 1))
        assert answer.get("MSA-1") == code
        assert error in verdict(answer)[2]


async def test_bytes_that_do_not_decode_are_refused_with_their_place(accepting: Any) -> None:
    async with accepting() as bridge:
        text = order("1").replace("2.5.1\r", "2.5.1||||||UNICODE UTF-8\r", 1)
        code, _, errors = verdict(await bridge.send(text.encode().replace(b"JOHN", b"J\xff\xfeHN")))
        assert code == "AE"
        assert errors[0].startswith("102 PID^1^5")


async def test_unknown_types_are_recorded_where_the_site_says_so(accepting: Any) -> None:
    async with accepting({"policy": {"unknown_type": "accept"}}) as bridge:
        answer = await bridge.send(order("1").replace("ORM^O01", "MFN^M02"))
        assert answer.get("MSA-1") == "AA"
        await bridge.handled()
        assert bridge.journal() == [("1", "done", "AA")]


async def test_a_resend_gets_the_stored_answer_and_no_second_effect(accepting: Any) -> None:
    async with accepting() as bridge:
        first = await bridge.send(order("1"))
        second = await bridge.send(order("1"))
        assert first.raw == second.raw
        assert [entry[0] for entry in bridge.journal()] == ["1"]


async def test_same_control_id_with_other_bytes_is_a_new_message(accepting: Any) -> None:
    async with accepting() as bridge:
        await bridge.send(order("1", 1))
        await bridge.send(order("1", 2))
        await bridge.handled()
        assert bridge.journal() == [("1", "done", "AA"), ("1", "done", "AA")]


async def test_a_refused_message_is_judged_afresh(accepting: Any) -> None:
    async with accepting() as bridge:
        bad = order("1").replace("|P|2.5.1", "|T|2.5.1")
        assert (await bridge.send(bad)).get("MSA-1") == "AR"
        settings = Settings.model_validate(
            {
                "pacs": {"host": "localhost"},
                "hl7": {"sources": [{"match": "RIS", "processing_ids": ["P", "T"]}]},
            }
        )
        bridge.intake.rules = configured.intake_rules(settings, bridge.intake.rules.mapping)
        assert (await bridge.send(bad)).get("MSA-1") == "AA"


@pytest.mark.parametrize(
    ("accept", "good", "bad"),
    [("AL", "CA", "CE"), ("SU", "CA", None), ("ER", None, "CE"), ("NE", None, None)],
)
async def test_enhanced_mode_answers_as_msh_15_asks(
    accepting: Any, accept: str, good: str | None, bad: str | None
) -> None:
    def asking(control_id: str, *, valid: bool) -> str:
        text = order(control_id).replace("2.5.1\r", f"2.5.1|||{accept}|NE\r", 1)
        return text if valid else text.replace("12345^^^HOSPITAL^MR", "")

    async with accepting() as bridge:
        plain = order("marker")
        for number, (valid, expected) in enumerate([(True, good), (False, bad)]):
            sent = asking(f"m{number}", valid=valid)
            if expected is not None:
                answer = await bridge.send(sent)
                assert (answer.get("MSA-1"), answer.get("MSA-2")) == (expected, f"m{number}")
                continue
            # No answer comes: the next message's answer is the next thing on the connection.
            answer = await bridge.send_frames(sent.encode(), plain.encode())
            assert answer.get("MSA-2") == "marker"
        assert [entry[0] for entry in bridge.journal() if entry[0] != "marker"] == ["m0", "m1"]


async def test_a_full_queue_holds_then_refuses_and_takes_the_resend(accepting: Any) -> None:
    configuration = {
        "queue": {"max_queue_size": 2},
        "hl7": {"listener": {"ack_hold": "0s"}},
    }
    async with accepting(configuration) as bridge:
        bridge.writer.backlog.unhandled += 2
        answer = asyncio.create_task(bridge.send(order("1")))
        async with asyncio.timeout(10):
            while not answer.done():
                bridge.intake.release_held()
                await asyncio.sleep(0.01)
        code, _, errors = verdict(answer.result())
        assert (code, errors[0].split()[0]) == ("AR", "207")
        assert "Queue full" in answer.result().get("ERR-8") or "Queue full" in str(
            answer.result().raw
        )
        bridge.writer.backlog.unhandled -= 2
        assert (await bridge.send(order("1"))).get("MSA-1") == "AA"


async def test_a_held_message_gets_in_when_there_is_room_again(accepting: Any) -> None:
    async with accepting({"queue": {"max_queue_size": 2}}) as bridge:
        bridge.writer.backlog.unhandled += 2
        answer = asyncio.create_task(bridge.send(order("1")))
        async with asyncio.timeout(10):
            while bridge.intake.load <= 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not answer.done()
        bridge.writer.backlog.unhandled -= 2
        bridge.intake.release_held()
        assert (await answer).get("MSA-1") == "AA"


async def test_the_disk_reserve_refuses_without_writing(accepting: Any) -> None:
    async with accepting() as bridge:
        bridge.intake.disk_full = True
        assert (await bridge.send(order("1"))).get("MSA-1") == "AR"
        assert bridge.journal() == []
        bridge.intake.disk_full = False
        assert (await bridge.send(order("1"))).get("MSA-1") == "AA"


async def test_an_oversize_message_is_refused_by_its_own_id(accepting: Any) -> None:
    async with accepting(limits=Limits(max_message_size=4096)) as bridge:
        long = order("big") + "NTE|1||" + "x" * 10_000 + "\r"
        answer = await bridge.send(long)
        assert (answer.get("MSA-1"), answer.get("MSA-2")) == ("AR", "big")
        assert (await bridge.send(order("next"))).get("MSA-1") == "AA"


async def test_a_message_that_cannot_be_written_is_refused(accepting: Any) -> None:
    async with accepting() as bridge:

        def limit(writer: Writer) -> None:
            pages = writer.state.execute("PRAGMA page_count").get
            assert writer.state.execute(f"PRAGMA max_page_count={pages}").get == pages

        await asyncio.wrap_future(bridge.writer.call(limit))
        text = order("1") + "NTE|1||" + "x" * 200_000 + "\r"
        code, echoed, errors = verdict(await bridge.send(text))
        assert (code, echoed, errors[0].split()[0]) == ("AR", "1", "207")
        assert bridge.writer.last_error == "FullError"


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x00\x01\x02", b"MSH", b"MSH|", b"MSH|^~\\&", b"PID|1||1\r", b"MSH|^~\\&|\xff\xfe|A"],
)
async def test_unreadable_frames_do_not_stop_the_connection(accepting: Any, frame: bytes) -> None:
    async with accepting() as bridge:
        answer = await bridge.send_frames(frame, order("after").encode())
        if frame.startswith(b"MSH"):
            assert answer.get("MSA-1") == "AR"
            answer = await bridge.send(order("after"))
        assert (answer.get("MSA-1"), answer.get("MSA-2")) == ("AA", "after")
