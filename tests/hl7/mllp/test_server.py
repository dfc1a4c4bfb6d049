"""The server over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any

import pytest
from hl7.client import MLLPClient

from vitalbridge.hl7.mllp import Exchange, frame

Run = Any

MESSAGE = b"MSH|^~\\&|HIS|WARD|PACS|RAD|20250314||ADT^A04|1|P|2.5\rPID|1\r"


async def test_messages_are_answered_in_order(run: Run) -> None:
    async with run() as here:
        wire = await here.connect()
        for number in range(5):
            wire.write(frame(b"%d" % number))
            assert await wire.frame() == b"re:%d" % number
        await wire.close()
        await here.seen.until("closed")
        assert here.seen.log == [("opened",), ("closed",)]


async def test_split_packed_and_pipelined_frames(run: Run) -> None:
    stream = b"".join(frame(b"%d" % number * 50) for number in range(40))
    async with run() as here:
        wire = await here.connect()
        for at in range(0, len(stream), 333):
            wire.write(stream[at : at + 333])
            await wire.writer.drain()
        for number in range(40):
            assert await wire.frame() == b"re:" + b"%d" % number * 50
        await wire.close()


async def test_answers_leave_in_order_of_arrival(run: Run) -> None:
    async with run(None) as here:
        wire = await here.connect()
        wire.write(frame(b"a") + frame(b"b") + frame(b"c") + frame(b"d"))
        await here.received(4)
        first, second, third, fourth = here.exchanges
        third.reply(b"3")
        second.leave_unanswered()
        assert here.server.unanswered == 4
        first.reply(b"1")
        assert await wire.frame() == b"1"
        assert await wire.frame() == b"3"
        fourth.reply(b"4")
        assert await wire.frame() == b"4"
        assert here.server.unanswered == 0
        with pytest.raises(RuntimeError):
            fourth.reply(b"again")
        with pytest.raises(RuntimeError):
            second.leave_unanswered()
        await wire.close()


def reset(wire: Any) -> None:
    """End the connection as a crashed peer does, with a reset instead of an orderly end."""
    connected = wire.writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.writer.transport.abort()


async def test_reply_to_a_connection_that_is_gone_does_nothing(run: Run) -> None:
    async with run(None) as here:
        wire = await here.connect()
        wire.write(frame(b"a") + frame(b"b"))
        await here.received(2)
        reset(wire)
        await here.seen.until("closed")
        for exchange in here.exchanges:
            exchange.reply(b"late")
        assert here.server.unanswered == 0


async def test_noise_is_counted_and_skipped(run: Run) -> None:
    async with run() as here:
        wire = await here.connect()
        wire.write(b"\n\0GET / HTTP/1.1\r\n" + frame(b"a") + b"\0\0" + frame(b"b\x1cc"))
        assert await wire.frame() == b"re:a"
        assert await wire.frame() == b"re:b\x1cc"
        assert ("stray_bytes", 20) in here.seen.log
        await wire.close()


async def test_an_oversize_message_is_answered_and_the_next_one_accepted(run: Run) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.reply(b"%d %d" % (len(exchange.message), exchange.oversize or 0))

    async with run(answer, max_message_size=100_000) as here:
        wire = await here.connect()
        wire.write(frame(MESSAGE + b"x" * 3_000_000))
        wire.write(frame(MESSAGE))
        assert await wire.frame() == b"65536 %d" % (len(MESSAGE) + 3_000_000)
        assert here.messages[0].startswith(MESSAGE)
        assert await wire.frame() == b"%d 0" % len(MESSAGE)
        assert ("frame_error", "oversize") in here.seen.log
        await wire.close()


async def test_a_large_message_arrives_whole(run: Run) -> None:
    message = MESSAGE + bytes(range(32, 127)) * 100_000
    async with run(lambda exchange: exchange.reply(b"ok")) as here:
        wire = await here.connect()
        wire.write(frame(message))
        assert await wire.frame() == b"ok"
        assert here.messages == [message]
        await wire.close()


async def test_reading_stops_at_the_unanswered_limit(run: Run) -> None:
    message = b"x" * 10_000
    async with run(None, max_unanswered=4) as here:
        wire = await here.connect()
        wire.writer.transport.set_write_buffer_limits(high=0)
        wire.write(frame(message) * 3000)
        sending = asyncio.create_task(wire.writer.drain())
        await here.received(4)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(here.exchanges) == 4
        assert not sending.done()
        answered = 0
        while answered < 3000:
            await here.received(answered + 1)
            assert len(here.exchanges) - answered <= 4
            here.exchanges[answered].reply(b"%d" % answered)
            answered += 1
        await sending
        assert [await wire.frame() for _ in range(3000)] == [b"%d" % n for n in range(3000)]
        await wire.close()


async def test_pause_and_resume(run: Run) -> None:
    async with run() as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        assert await wire.frame() == b"re:a"
        here.server.pause()
        wire.write(frame(b"b") + frame(b"c"))
        late = await here.connect()
        late.write(frame(b"d"))
        await here.seen.until("opened")
        for _ in range(50):
            await asyncio.sleep(0)
        assert here.messages == [b"a"]
        here.server.resume()
        assert [await wire.frame(), await wire.frame()] == [b"re:b", b"re:c"]
        assert await late.frame() == b"re:d"
        await wire.close()
        await late.close()


async def test_pausing_in_the_middle_of_a_read_keeps_the_rest(run: Run) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.reply(exchange.message)
        if exchange.message == b"2":
            here.server.pause()

    async with run(answer) as here:
        wire = await here.connect()
        wire.write(frame(b"1") + frame(b"2") + frame(b"3"))
        assert [await wire.frame(), await wire.frame()] == [b"1", b"2"]
        assert here.messages == [b"1", b"2"]
        here.server.resume()
        assert await wire.frame() == b"3"
        await wire.close()


async def test_a_peer_that_does_not_read_its_answers_is_cut_off(run: Run) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.reply(b"a" * 1_000_000)

    async with run(answer, read_timeout=0.2) as here:
        wire = await here.connect()
        wire.writer.transport.pause_reading()
        wire.write(frame(b"x") * 1000)
        await here.seen.until("timed_out", "write")
        await here.seen.until("closed")
        assert len(here.exchanges) < 100
        await wire.close()


async def test_an_idle_connection_is_closed(run: Run) -> None:
    async with run(idle_timeout=0.1) as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        assert await wire.frame() == b"re:a"
        assert await wire.end() == b""
        assert ("timed_out", "idle") in here.seen.log
        await wire.close()


async def test_noise_does_not_keep_a_connection_alive(run: Run) -> None:
    async with run(idle_timeout=0.15) as here:
        wire = await here.connect()
        while ("timed_out", "idle") not in here.seen.log:
            wire.write(b"\n")
            await asyncio.sleep(0.01)
        await wire.close()


async def test_waiting_for_an_answer_is_not_idleness(run: Run) -> None:
    async with run(None, idle_timeout=0.05) as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        await here.received(1)
        other = await here.connect()
        assert await other.end() == b""
        assert here.seen.log.count(("timed_out", "idle")) == 1
        here.exchanges[0].reply(b"1")
        assert await wire.frame() == b"1"
        await wire.close()
        await other.close()


async def test_an_unfinished_frame_times_out(run: Run) -> None:
    async with run(read_timeout=0.1) as here:
        wire = await here.connect()
        wire.write(b"\x0bMSH|")
        assert await wire.end() == b""
        assert here.seen.log[1:] == [
            ("timed_out", "read"),
            ("frame_error", "unfinished"),
            ("closed",),
        ]
        await wire.close()


async def test_a_slow_sender_is_given_up_before_the_read_timeout(run: Run) -> None:
    async with run(slow_sender_grace=0.1, min_bytes_per_second=1_000_000) as here:
        wire = await here.connect()
        wire.write(b"\x0b" + b"x" * 1000)
        assert await wire.end() == b""
        assert ("timed_out", "slow_sender") in here.seen.log
        await wire.close()


async def test_connections_above_the_limit_are_closed_at_once(run: Run) -> None:
    async with run(max_connections=2) as here:
        first, second = await here.connect(), await here.connect()
        await here.seen.until("opened")
        third = await here.connect()
        assert await third.end() == b""
        assert ("refused", "max_connections") in here.seen.log
        assert here.server.connections == 2
        await first.close()
        await here.seen.until("closed")
        fourth = await here.connect()
        fourth.write(frame(b"a"))
        assert await fourth.frame() == b"re:a"
        for wire in (second, third, fourth):
            await wire.close()


async def test_connections_per_address(run: Run) -> None:
    async with run(max_connections_per_address=1) as here:
        first = await here.connect()
        await here.seen.until("opened")
        second = await here.connect()
        assert await second.end() == b""
        assert ("refused", "max_connections_per_address") in here.seen.log
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", here.port, local_addr=("127.0.0.2", 0)
        )
        writer.write(frame(b"a"))
        assert await reader.readuntil(b"\x1c\r") == frame(b"re:a")
        assert {peer.address for peer in here.seen.peers} == {"127.0.0.1", "127.0.0.2"}
        writer.close()
        await first.close()
        await second.close()


async def test_ipv6(run: Run) -> None:
    async with run(host="::1") as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        assert await wire.frame() == b"re:a"
        port = wire.writer.get_extra_info("sockname")[1]
        assert here.exchanges[0].peer.address == "::1"
        assert here.exchanges[0].peer.port == port
        assert here.exchanges[0].peer.tls_subject is None
        await wire.close()


async def test_what_came_before_a_half_close_is_answered(run: Run) -> None:
    async with run(None, max_unanswered=2) as here:
        wire = await here.connect()
        wire.write(frame(b"a") + frame(b"b") + frame(b"c") + b"\x0bunfinished")
        wire.writer.write_eof()
        await here.received(2)
        here.exchanges[0].reply(b"1")
        here.exchanges[1].reply(b"2")
        await here.received(3)
        here.exchanges[2].reply(b"3")
        assert await wire.end() == frame(b"1") + frame(b"2") + frame(b"3")
        await here.seen.until("frame_error", "unfinished")
        await wire.close()


async def test_half_close_with_nothing_under_way_closes(run: Run) -> None:
    async with run() as here:
        wire = await here.connect()
        wire.writer.write_eof()
        assert await wire.end() == b""
        await wire.close()


async def test_drain_answers_what_is_under_way(run: Run) -> None:
    async with run(None) as here:
        busy, idle = await here.connect(), await here.connect()
        busy.write(frame(b"a") + frame(b"b"))
        await here.received(2)
        draining = asyncio.create_task(here.server.drain(10))
        assert await idle.end() == b""
        # More input than was read must not turn the close into a reset that eats the answers.
        busy.write(frame(b"c") * 1000)
        here.exchanges[1].reply(b"2")
        here.exchanges[0].reply(b"1")
        assert await busy.end() == frame(b"1") + frame(b"2")
        await busy.close()
        await draining
        assert here.messages == [b"a", b"b"]
        with pytest.raises(ConnectionRefusedError):
            await here.connect()
        await idle.close()


async def test_drain_gives_up_after_its_time(run: Run) -> None:
    async with run(None) as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        await here.received(1)
        await here.server.drain(0.05)
        assert here.server.connections == 0
        here.exchanges[0].reply(b"too late")
        assert await wire.end() == b""
        await wire.close()


async def test_a_failing_receiver_costs_only_its_connection(run: Run) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.message == b"bad":
            raise ValueError("broken")
        exchange.reply(b"ok")

    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with run(answer) as here:
        bad, good = await here.connect(), await here.connect()
        bad.write(frame(b"bad") + frame(b"never"))
        assert await bad.end() == b""
        good.write(frame(b"good"))
        assert await good.frame() == b"ok"
        assert [type(context["exception"]) for context in reported] == [ValueError]
        assert here.messages == [b"bad", b"good"]
        await bad.close()
        await good.close()


async def test_small_packets_leave_at_once(run: Run) -> None:
    async with run(None) as here:
        wire = await here.connect()
        wire.write(frame(b"a"))
        await here.received(1)
        (connection,) = here.server._connections
        assert connection._transport is not None
        connected = connection._transport.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        here.exchanges[0].reply(b"1")
        await wire.frame()
        await wire.close()


async def test_a_second_listener_shares_the_limits(run: Run) -> None:
    async with run(max_connections=1) as here:
        host, port = await here.server.start("127.0.0.1", 0)
        assert port != here.port
        first = await here.connect()
        await here.seen.until("opened")
        reader, writer = await asyncio.open_connection(host, port)
        assert await reader.read() == b""
        writer.close()
        await first.close()


async def test_the_client_of_python_hl7_as_peer(run: Run) -> None:
    answers: list[bytes] = []

    def talk(port: int) -> None:
        with MLLPClient("127.0.0.1", port) as client:
            answers.extend(client.send_message(MESSAGE) for _ in range(3))

    async with run(lambda exchange: exchange.reply(b"MSA|AA|1")) as here:
        thread = threading.Thread(target=talk, args=(here.port,))
        thread.start()
        await here.received(3)
        await asyncio.to_thread(thread.join)
        assert answers == [frame(b"MSA|AA|1")] * 3
        assert here.messages == [MESSAGE] * 3
