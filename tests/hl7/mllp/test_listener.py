"""Listening sockets: both address families, addresses in use, too many open files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any

import pytest

from vitalbridge.hl7.mllp import MllpServer, frame

Run = Any


async def test_all_addresses_of_both_families(run: Run) -> None:
    async with run(host=None) as here:
        for address in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(address, here.port)
            writer.write(frame(b"a"))
            assert await reader.readuntil(b"\x1c\r") == frame(b"re:a")
            writer.close()
            await writer.wait_closed()
        assert {peer.address for peer in here.seen.peers} == {"127.0.0.1", "::1"}


async def test_an_address_in_use() -> None:
    server = MllpServer(lambda exchange: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            await server.start("127.0.0.1", taken.getsockname()[1])
        # None of the sockets of a failed start stays behind.
        with pytest.raises(OSError, match="in use"):
            await server.start(None, taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", taken.getsockname()[1]))
    await server.drain(0)


async def test_an_unknown_host() -> None:
    with pytest.raises(OSError, match="not known"):
        await MllpServer(lambda exchange: None).start("name.invalid", 0)


async def test_too_many_open_files(run: Run) -> None:
    """The connection waits in the backlog until there are files again."""
    loop = asyncio.get_running_loop()
    reported: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop.set_exception_handler(lambda _, context: reported.put_nowait(context))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with run() as here:
        with socket.socket() as waiting:
            waiting.setblocking(False)
            used = max(int(name) for name in os.listdir("/proc/self/fd"))
            free = []
            with contextlib.suppress(OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
                while True:
                    free.append(socket.socket())
            try:
                await loop.sock_connect(waiting, (here.host, here.port))
                async with asyncio.timeout(5):
                    context = await reported.get()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for filler in free:
                    filler.close()
            await loop.sock_sendall(waiting, frame(b"a"))
            assert await loop.sock_recv(waiting, 100) == frame(b"re:a")
    assert type(context["exception"]) is OSError
    assert reported.empty()
