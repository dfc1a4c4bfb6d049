from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest
import uvloop

from vitalbridge.hl7 import Hl7Error, Message, acknowledge, acknowledge_unreadable
from vitalbridge.hl7.mllp import Exchange, Limits, MllpServer
from vitalbridge.operations.demo.hospital import Hospital, Sending
from vitalbridge.operations.demo.senders import Target, Unreachable, acknowledgement, send
from vitalbridge.operations.demo.tally import Tally
from vitalbridge.translate import check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

MORNING = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the hospital's times are local
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def day(count: int, faults: float = 0.0) -> list[Sending]:
    return list(islice(Hospital(7, MORNING, faults=faults).messages(), count))


def answer(exchange: Exchange, code: str = "") -> None:
    """Answer as a receiver that checks the message does."""
    try:
        message = Message(exchange.message)
        faults = [] if code else check(message)
        assert message.text
    except Hl7Error as error:
        reply = acknowledge_unreadable(
            exchange.message, faults=[error.fault], now=NOW, control_id="1"
        )
        if reply is not None:
            exchange.reply(reply)
        return
    if message.processing_id != "P" or message.version == "9.9":
        code = "AR"
    exchange.reply(
        acknowledge(
            message, code or ("AE" if faults else "AA"), faults=faults, now=NOW, control_id="1"
        )
    )


@asynccontextmanager
async def receiver(receive: Callable[[Exchange], None] = answer) -> AsyncIterator[Target]:
    server = MllpServer(receive, Limits())
    host, port = await server.start("127.0.0.1", 0)
    try:
        yield Target(host, port)
    finally:
        await server.drain(1.0)


async def sent_to(
    target: Target, source: Iterable[Sending], rate: float | None = None, **options: object
) -> Tally:
    tally = Tally()
    await send(source, target, tally, rate=rate, **options)  # type: ignore[arg-type]
    return tally


async def test_every_message_is_answered_and_counted() -> None:
    messages = day(1500)
    async with receiver() as target:
        tally = await sent_to(target, messages)
    assert tally.accepted.total() == tally.total_sent == 1500
    assert tally.codes.keys() == {"AA"}
    assert tally.latencies.count == 1500
    assert (tally.surprises, tally.unanswered, tally.reconnects) == (0, 0, 0)
    assert tally.repeats == 0


async def test_broken_and_repeated_messages_get_what_they_should() -> None:
    messages = [s for s in day(3000, faults=0.1) if s.fault or s.repeat][:60]
    async with receiver() as target:
        tally = await sent_to(target, messages)
    assert tally.surprises == 0
    assert tally.total_sent == 60
    assert tally.broken == sum(bool(s.fault) for s in messages)
    assert tally.repeats == sum(s.repeat for s in messages)
    assert tally.unanswered == sum(s.expected == "no answer" for s in messages)
    assert tally.refused.total() == sum(s.expected == "refused" for s in messages)


async def test_messages_of_one_lane_arrive_in_order() -> None:
    messages = day(2000)
    arrived: list[str] = []

    def receive(exchange: Exchange) -> None:
        arrived.append(Message(exchange.message).control_id)
        answer(exchange, "AA")

    async with receiver(receive) as target:
        await sent_to(target, messages, connections=5, in_flight=8)
    lane_of = {s.control_id: s.lane for s in messages}
    for lane in set(lane_of.values()):
        sent = [s.control_id for s in messages if s.lane == lane]
        assert [number for number in arrived if lane_of[number] == lane] == sent


@pytest.mark.parametrize("in_flight", [1, 5])
async def test_no_more_than_allowed_is_unanswered(in_flight: int) -> None:
    waiting: list[Exchange] = []
    most = 0
    loop = asyncio.get_running_loop()

    def release() -> None:
        for exchange in list(waiting):
            waiting.remove(exchange)
            answer(exchange, "AA")

    def receive(exchange: Exchange) -> None:
        nonlocal most
        waiting.append(exchange)
        most = max(most, len(waiting))
        loop.call_later(0.005, release)

    async with receiver(receive) as target:
        tally = await sent_to(target, day(60), connections=1, in_flight=in_flight)
    assert tally.accepted.total() == 60
    assert most == in_flight


async def test_rate_is_kept() -> None:
    async with receiver() as target:
        loop = asyncio.get_running_loop()
        began = loop.time()
        tally = await sent_to(target, day(100), rate=200)
        seconds = loop.time() - began
    assert tally.accepted.total() == 100
    assert 0.48 <= seconds < 2.0


async def test_a_lost_connection_is_opened_again_and_the_same_bytes_sent() -> None:
    messages = day(40)
    seen: list[bytes] = []
    dropped = False
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dropped
        writers.append(writer)
        try:
            while True:
                frame = await reader.readuntil(b"\x1c\r")
                seen.append(frame)
                if len(seen) == 20 and not dropped:
                    dropped = True
                    writer.close()
                    return
                message = Message(frame[1:-2])
                reply = acknowledge(message, "AA", now=NOW, control_id="1")
                writer.write(b"\x0b" + reply + b"\x1c\r")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        tally = await sent_to(Target("127.0.0.1", port), messages, connections=1)
    assert tally.reconnects == 1
    assert tally.accepted.total() == 40
    assert tally.total_sent == 40
    assert seen[19] == seen[20] == messages[19].frame
    assert len(seen) == 41


async def test_an_overdue_answer_closes_the_connection_and_ends_as_unanswered() -> None:
    messages = day(2)
    silent = messages[0].control_id

    def receive(exchange: Exchange) -> None:
        if Message(exchange.message).control_id != silent:
            answer(exchange, "AA")

    async with receiver(receive) as target:
        tally = await sent_to(target, messages, connections=1, ack_timeout=0.1)
    assert tally.unanswered == 1
    assert tally.surprises == 1
    assert tally.latest_surprises[0].control_id == silent
    assert tally.accepted.total() == 1
    assert tally.reconnects == 3


async def test_an_answer_for_another_message_is_noticed() -> None:
    def receive(exchange: Exchange) -> None:
        exchange.reply(b"MSH|^~\\&|A|B|C|D|20260302||ACK|1|P|2.5.1\rMSA|AA|SOMETHING\r")

    async with receiver(receive) as target:
        tally = await sent_to(target, day(3), connections=1)
    assert tally.surprises == 3
    assert tally.latest_surprises[0].answer == "AA for another message"


async def test_a_refusal_of_a_good_message_is_noticed() -> None:
    async with receiver(lambda exchange: answer(exchange, "AE")) as target:
        tally = await sent_to(target, day(3))
    assert tally.refused.total() == tally.surprises == 3


async def test_accepted_orders_are_reported_with_their_time() -> None:
    messages = day(400)
    reported: list[tuple[Sending, float]] = []
    async with receiver() as target:
        await sent_to(target, messages, on_accepted=lambda s, since: reported.append((s, since)))
    assert [s.control_id for s, _ in reported] == [s.control_id for s in messages if s.scheduled]
    assert all(since > 0 for _, since in reported)


async def test_nothing_listens() -> None:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Unreachable, match=f"nothing answers at 127.0.0.1:{port}"):
        await sent_to(Target("127.0.0.1", port), day(1))


async def test_a_receiver_that_goes_away_for_good_does_not_hold_the_end() -> None:
    arrived = asyncio.Event()
    server = MllpServer(lambda exchange: arrived.set(), Limits())
    target = Target(*await server.start("127.0.0.1", 0))
    tally = Tally()
    sending = asyncio.create_task(send(day(20), target, tally, rate=None, connections=2))
    async with asyncio.timeout(20):
        await arrived.wait()
        await server.drain(0.1)
        await sending
    assert tally.accepted.total() == 0
    assert tally.unanswered == tally.total_sent


def test_it_runs_on_uvloop_too() -> None:
    async def session() -> Tally:
        async with receiver() as target:
            return await sent_to(target, day(200), in_flight=4)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(session()).accepted.total() == 200


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (b"MSH|^~\\&|A\rMSA|AA|17\r", ("AA", "17")),
        (b"MSH|^~\\&|A\rMSA|AE|17|text\rERR|x\r", ("AE", "17")),
        (b"MSH#^~\\&#A\rMSA#CA#17", ("CA", "17")),
        (b"MSH|^~\\&|A\rERR|AE|17\r", ("", "")),
        (b"MSH|^~\\&|A\rMSA|AA", ("", "")),
        (b"", ("", "")),
        (b"\r", ("", "")),
    ],
)
def test_acknowledgement(message: bytes, parts: tuple[str, str]) -> None:
    assert acknowledgement(message) == parts
