from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vitalbridge.runtime.http import HttpServer

if TYPE_CHECKING:
    from starlette.requests import Request


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def _slow(_: Request) -> Response:
    await asyncio.sleep(0.3)
    return PlainTextResponse("done")


async def _slowest(_: Request) -> Response:
    await asyncio.sleep(1.3)
    return PlainTextResponse("done")


APP = Starlette(routes=[Route("/", _hello), Route("/slow", _slow), Route("/slowest", _slowest)])


async def test_serves_on_the_port_it_returns_and_stops() -> None:
    server = HttpServer(APP)
    port = await server.start("127.0.0.1", 0)
    assert server.port == port
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
    assert (answer.status_code, answer.text) == (200, "hello")
    await server.stop()
    assert server.port == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_leaves_signals_alone() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    server = HttpServer(APP)
    await server.start("127.0.0.1", 0)
    assert [signal.getsignal(number) for number in numbers] == before
    await server.stop()
    assert [signal.getsignal(number) for number in numbers] == before


async def test_a_taken_port_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        await HttpServer(APP).start("127.0.0.1", taken.getsockname()[1])


async def test_stop_lets_a_request_finish() -> None:
    server = HttpServer(APP)
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        request = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/slow"))
        await asyncio.sleep(0.1)
        await server.stop()
        assert (await request).text == "done"


async def test_connections_are_bounded() -> None:
    server = HttpServer(APP, max_connections=3)
    port = await server.start("127.0.0.1", 0)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 503
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with httpx.AsyncClient() as client:
        for _ in range(50):
            answer = await client.get(f"http://127.0.0.1:{port}/")
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.02)
    assert answer.status_code == 200
    await server.stop()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_connection_that_asks_nothing_is_closed(sent: bytes) -> None:
    server = HttpServer(APP, idle_timeout=1)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await server.stop()


async def test_an_answer_may_take_longer_than_the_idle_timeout() -> None:
    server = HttpServer(APP, idle_timeout=1)
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        for path in ("/slowest", "/"):
            assert (await client.get(f"http://127.0.0.1:{port}{path}")).status_code == 200
    await server.stop()


async def test_stop_before_start_is_nothing() -> None:
    await HttpServer(APP).stop()
