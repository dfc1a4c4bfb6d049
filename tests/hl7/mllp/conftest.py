"""Both event loops, a server that answers by itself, and a private certificate authority."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop

from vitalbridge.hl7.mllp import Events, Exchange, Limits, MllpServer, Peer

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Seen(Events):
    """Everything that a server reported, in order; ``changed`` wakes whoever waits for more."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.peers: list[Peer] = []
        self.changed = asyncio.Event()

    def _add(self, *entry: object) -> None:
        self.log.append(entry)
        self.changed.set()

    def opened(self, peer: Peer) -> None:
        self.peers.append(peer)
        self._add("opened")

    def closed(self, peer: Peer) -> None:
        self._add("closed")

    def refused(self, peer: Peer, reason: str) -> None:
        self._add("refused", reason)

    def timed_out(self, peer: Peer, kind: str) -> None:
        self._add("timed_out", kind)

    def stray_bytes(self, count: int) -> None:
        self._add("stray_bytes", count)

    def frame_error(self, kind: str) -> None:
        self._add("frame_error", kind)

    async def until(self, *entry: object) -> None:
        async with asyncio.timeout(10):
            while entry not in self.log:
                self.changed.clear()
                await self.changed.wait()


class Running:
    """A started server, what it received and what it reported."""

    def __init__(self, limits: Limits, answer: Callable[[Exchange], None] | None) -> None:
        self.exchanges: list[Exchange] = []
        self.seen = Seen()
        self._answer = answer
        self._arrived = asyncio.Event()
        self.server = MllpServer(self._receive, limits, self.seen)
        self.host = ""
        self.port = 0

    def _receive(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._arrived.set()
        if self._answer is not None:
            self._answer(exchange)

    @property
    def messages(self) -> list[bytes]:
        return [exchange.message for exchange in self.exchanges]

    async def received(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.exchanges) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def connect(self, context: ssl.SSLContext | None = None) -> Wire:
        reader, writer = await asyncio.open_connection(
            self.host, self.port, ssl=context, server_hostname="localhost" if context else None
        )
        return Wire(reader, writer)


class Wire:
    """A raw peer: bytes out, frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> bytes:
        async with asyncio.timeout(20):
            data = await self.reader.readuntil(b"\x1c\r")
        assert data[:1] == b"\x0b"
        return data[1:-2]

    async def end(self) -> bytes:
        """What is left until the server ends the connection; a reset counts as its end."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            return


def echo(exchange: Exchange) -> None:
    exchange.reply(b"re:" + exchange.message)


@asynccontextmanager
async def running(
    answer: Callable[[Exchange], None] | None = echo,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    **limits: float,
) -> AsyncIterator[Running]:
    here = Running(Limits(**limits), answer)  # type: ignore[arg-type]
    here.host, here.port = await here.server.start(host, 0, tls)
    try:
        yield here
    finally:
        await here.server.drain(0.2)
        assert here.server.connections == 0


@pytest.fixture
def run() -> Callable[..., object]:
    """``running`` for test modules, which can't import each other."""
    return running


class Authority:
    """Certificates of one private authority as PEM files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca)
        self.server = self.issue("server", "localhost", "127.0.0.1")
        self.client = self.issue("client", "ris.example")

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        made = self._ca.issue_cert(
            *identities, common_name=identities[0], organization_name=f"Radiology, {name}"
        )
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return cert, key


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other_tls"))
