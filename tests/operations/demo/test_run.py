from __future__ import annotations

import asyncio
import io
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from vitalbridge.hl7 import Message
from vitalbridge.hl7.mllp import Exchange, Limits, MllpServer
from vitalbridge.operations.demo.hospital import Scheduled
from vitalbridge.operations.demo.run import Options, demonstrate
from vitalbridge.operations.demo.senders import Target, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Served


@asynccontextmanager
async def bridge(served: Served | None = None) -> AsyncIterator[Target]:
    """Accept everything; what an order asks for is on the worklist before its answer."""

    def receive(exchange: Exchange) -> None:
        message = Message(exchange.message)
        if served is not None and message.get("ORC-1") == "NW":
            modality = message.get("OBR-24")
            served.add(
                Scheduled(
                    message.get("OBR-18"),
                    message.get("PID-5.1"),
                    "DX" if modality == "XR" else modality,
                    message.get("OBR-4.2"),
                    message.get("OBR-36") or message.get("TQ1-7"),
                    ("CT_SCANNER_1", "CT_SCANNER_2", "MR_SCANNER_1", "XRAY_ROOM_1", "US_ROOM_1"),
                )
            )
        number = message.control_id.encode()
        exchange.reply(b"MSH|^~\\&|B|B|A|A|20260302||ACK|1|P|2.5.1\rMSA|AA|%b\r" % number)

    server = MllpServer(receive, Limits())
    try:
        yield Target(*await server.start("127.0.0.1", 0))
    finally:
        await server.drain(1.0)


def console(*, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=80, height=24, force_terminal=terminal, legacy_windows=False
    )


def said(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


async def test_it_ends_after_the_count_with_a_summary() -> None:
    shown = console()
    async with bridge() as target:
        options = Options(target=target, count=150, rate=None, seed=3)
        view = await demonstrate(options, shown, asyncio.Event())
    assert view.tally.total_sent == 150
    assert view.tally.accepted.total() + view.tally.unanswered == 150
    assert "Sent 150 messages in " in said(shown)


async def test_stopping_ends_it_soon_and_in_order() -> None:
    shown, stop = console(), asyncio.Event()
    async with bridge() as target:
        asyncio.get_running_loop().call_later(0.5, stop.set)
        view = await demonstrate(Options(target=target, rate=100), shown, stop)
    assert 0.5 <= view.elapsed < 5
    assert view.tally.accepted.total() >= 20
    assert view.tally.latencies.count == view.tally.total_sent - view.tally.unanswered


async def test_it_ends_after_the_duration_also_when_nothing_is_answered() -> None:
    server = MllpServer(lambda exchange: None, Limits())
    target = Target(*await server.start("127.0.0.1", 0))
    stop = asyncio.Event()
    running = asyncio.create_task(
        demonstrate(Options(target=target, rate=None, duration=0.3), console(), stop)
    )
    async with asyncio.timeout(30):
        await stop.wait()
        await server.drain(0.1)
        view = await running
    assert view.tally.accepted.total() == 0


async def test_modalities_find_what_was_ordered(served: Served) -> None:
    shown = console()
    async with bridge(served) as target:
        options = Options(
            target=target,
            rate=400,
            duration=1.5,
            worklist=served.worklist,
            query_interval=0.3,
        )
        view = await demonstrate(options, shown, asyncio.Event())
    assert view.to_worklist is not None
    assert view.to_worklist.count > 0
    assert view.lost == 0
    assert sum(station.entries for station in view.stations) > 0
    assert sum(station.failures for station in view.stations) == 0
    assert sum(station.missing for station in view.stations) == 0
    assert "Order to worklist entry P50" in said(shown)
    assert threading.active_count() < 20


@pytest.mark.parametrize("terminal", [True, False])
async def test_it_shows_what_happens(terminal: bool) -> None:
    shown, stop = console(terminal=terminal), asyncio.Event()
    async with bridge() as target:
        asyncio.get_running_loop().call_later(2.3, stop.set)
        await demonstrate(Options(target=target, rate=50), shown, stop)
    if terminal:
        assert "Sent to the bridge" in said(shown)
        assert said(shown).count("\x1b[?1049h") == said(shown).count("\x1b[?1049l") == 1
    else:
        assert "00:00:02 sent " in said(shown)
        assert "\x1b" not in said(shown)


async def test_nothing_to_send_to() -> None:
    server = MllpServer(lambda exchange: None, Limits())
    target = Target(*await server.start("127.0.0.1", 0))
    await server.drain(0.1)
    with pytest.raises(Unreachable):
        await demonstrate(Options(target=target), console(), asyncio.Event())
