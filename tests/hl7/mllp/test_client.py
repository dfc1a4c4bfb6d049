"""The client against our server and against peers that misbehave."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hl7.mllp import start_hl7_server
from vitalbridge.hl7.mllp import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionRefused,
    ConnectionTimeout,
    FrameRejected,
    MllpClient,
    MllpError,
    ReplyTimeout,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Run = Any


@asynccontextmanager
async def peer(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server that does what ``talk`` does with each connection; yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


async def test_one_connection_for_many_messages(run: Run) -> None:
    async with run() as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        assert client.connected
        for number in range(20):
            assert await client.send(b"%d" % number, 5) == b"re:%d" % number
        assert here.seen.log == [("opened",)]
        await client.close()
        assert not client.connected
        await client.close()
        await here.seen.until("closed")


async def test_concurrent_calls_take_turns(run: Run) -> None:
    async with run() as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        payloads = [b"%d" % number for number in range(30)]
        replies = await asyncio.gather(*(client.send(payload, 5) for payload in payloads))
        assert replies == [b"re:" + payload for payload in payloads]
        await client.close()


async def test_a_large_message(run: Run) -> None:
    async with run(lambda exchange: exchange.reply(b"%d" % len(exchange.message))) as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        assert await client.send(b"x" * 9_000_000, 20) == b"9000000"
        await client.close()


async def test_connecting_again_replaces_the_connection(run: Run) -> None:
    async with run() as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        await client.connect(here.host, here.port)
        await here.seen.until("closed")
        assert here.server.connections == 1
        assert await client.send(b"a", 5) == b"re:a"
        await client.close()


async def test_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = MllpClient()
        with pytest.raises(ConnectionRefused, match="Connection refused") as error:
            await client.connect("127.0.0.1", unused.getsockname()[1])
    assert not error.value.sent
    assert not client.connected


async def test_an_unknown_host() -> None:
    with pytest.raises(ConnectionFailed, match="Connection failed") as error:
        await MllpClient().connect("name.invalid", 2575)
    assert type(error.value) is ConnectionFailed


async def test_connection_timeout() -> None:
    # A full backlog leaves further connections waiting, without an answer.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        filling = []
        try:
            for _ in range(3):
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(address)
                filling.append(waiting)
            with pytest.raises(ConnectionTimeout, match="Connection timeout"):
                await MllpClient().connect(*address, timeout=0.1)
        finally:
            for waiting in filling:
                waiting.close()


async def test_send_without_a_connection() -> None:
    with pytest.raises(ConnectionClosed) as error:
        await MllpClient().send(b"a", 1)
    assert not error.value.sent


async def test_an_end_block_in_the_message_is_refused(run: Run) -> None:
    async with run() as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        with pytest.raises(FrameRejected) as error:
            await client.send(b"a\x1c\rb", 1)
        assert not error.value.sent
        assert await client.send(b"a\x1cb", 5) == b"re:a\x1cb"
        await client.close()


async def test_after_a_timeout_the_connection_is_closed(run: Run) -> None:
    """The late reply to the first message is never taken for that to the second."""
    async with run(None) as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        with pytest.raises(ReplyTimeout) as error:
            await client.send(b"first", 0.05)
        assert error.value.sent
        assert not client.connected
        with pytest.raises(ConnectionClosed) as closed:
            await client.send(b"second", 1)
        assert not closed.value.sent
        here.exchanges[0].reply(b"late")
        await client.connect(here.host, here.port)
        sending = asyncio.create_task(client.send(b"third", 5))
        await here.received(2)
        here.exchanges[1].reply(b"re:third")
        assert await sending == b"re:third"
        await client.close()


async def test_cancelling_closes_the_connection_too(run: Run) -> None:
    async with run(None) as here:
        client = MllpClient()
        await client.connect(here.host, here.port)
        sending = asyncio.create_task(client.send(b"a", 60))
        await here.received(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not client.connected
        await client.close()


async def test_a_peer_that_reads_nothing_did_not_get_the_message() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with peer(talk) as port:
        client = MllpClient()
        await client.connect("127.0.0.1", port)
        with pytest.raises(ReplyTimeout) as error:
            await client.send(b"x" * 50_000_000, 0.3)
        assert not error.value.sent
        await client.close()


async def test_a_close_while_idle_is_noticed_before_sending() -> None:
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(frame(b"ok"))
        await writer.drain()
        writer.close()
        closed.set()

    async with peer(talk) as port:
        client = MllpClient()
        await client.connect("127.0.0.1", port)
        assert await client.send(b"a", 5) == b"ok"
        await closed.wait()
        with pytest.raises(ConnectionClosed) as error:
            await client.send(b"b", 5)
        assert not error.value.sent
        await client.close()


async def test_a_close_that_the_loop_has_not_seen_is_noticed_too() -> None:
    """The peer ends the connection while this loop is busy with something else."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = MllpClient()
        await client.connect(*listener.getsockname())
        accepted, _ = listener.accept()
        accepted.close()
        with pytest.raises(ConnectionClosed) as error:
            await client.send(b"a", 5)
        assert not error.value.sent
        await client.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_close_instead_of_a_reply(reset: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        if reset:
            connected = writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with peer(talk) as port:
        client = MllpClient()
        await client.connect("127.0.0.1", port)
        with pytest.raises(ConnectionClosed) as error:
            await client.send(b"a", 5)
        assert error.value.sent
        assert isinstance(error.value, MllpError)
        await client.close()


async def test_half_a_reply_is_none() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(b"\x0bMSH|half")
        await writer.drain()
        writer.close()

    async with peer(talk) as port:
        client = MllpClient()
        await client.connect("127.0.0.1", port)
        with pytest.raises(ConnectionClosed):
            await client.send(b"a", 5)
        await client.close()


async def test_frames_that_nobody_waits_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\r\n" + frame(b"greeting"))
        while True:
            message = await reader.readuntil(b"\x1c\r")
            writer.write(frame(b"for another") + frame(b"re:" + message[1:-2]) + frame(b"extra"))

    unexpected: list[bytes] = []
    async with peer(talk) as port:
        client = MllpClient(unexpected=unexpected.append)
        await client.connect("127.0.0.1", port)
        for payload in (b"a", b"b"):
            reply = await client.send(payload, 5, accept=lambda frame: frame.startswith(b"re:"))
            assert reply == b"re:" + payload
        await client.close()
    assert unexpected[:3] == [b"greeting", b"for another", b"extra"]


async def test_a_reply_over_the_limit() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\x1c\r")
        writer.write(frame(b"x" * 2000))
        await writer.drain()

    async with peer(talk) as port:
        client = MllpClient(max_reply_size=1000)
        await client.connect("127.0.0.1", port)
        with pytest.raises(FrameRejected) as error:
            await client.send(b"a", 5)
        assert error.value.sent
        assert not client.connected
        await client.close()


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with peer(talk) as port:
        client = MllpClient()
        await client.connect("127.0.0.1", port)
        sending = asyncio.create_task(client.send(b"x" * 50_000_000, 60))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await client.close()
        with pytest.raises(ConnectionClosed) as error:
            await sending
        assert not error.value.sent


async def test_ipv6(run: Run) -> None:
    async with run(host="::1") as here:
        client = MllpClient()
        await client.connect("::1", here.port)
        assert await client.send(b"a", 5) == b"re:a"
        await client.close()


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_server_of_python_hl7_as_peer() -> None:
    message = "MSH|^~\\&|HIS|WARD|PACS|RAD|20250314||ADT^A04|42|P|2.5\rPID|1\r"

    ended = asyncio.Event()

    async def answer(reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            try:
                received = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            writer.writemessage(received.create_ack())
            await writer.drain()
        writer.close()
        ended.set()

    async with await start_hl7_server(answer, host="127.0.0.1", port=0) as server:
        client = MllpClient()
        await client.connect(*server.sockets[0].getsockname())
        for _ in range(3):
            reply = await client.send(message.encode(), 5)
            assert b"\rMSA|AA|42" in reply
        await client.close()
        await ended.wait()
