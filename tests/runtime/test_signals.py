from __future__ import annotations

import asyncio
import os
import signal

from vitalbridge.runtime.signals import on_signals, release_signals


async def test_each_signal_calls_what_it_is_for() -> None:
    loop = asyncio.get_running_loop()
    calls: asyncio.Queue[str] = asyncio.Queue()
    on_signals(
        loop,
        stop=lambda: calls.put_nowait("stop"),
        reload=lambda: calls.put_nowait("reload"),
        reopen_log=lambda: calls.put_nowait("reopen"),
    )
    try:
        for number, expected in (
            (signal.SIGHUP, "reload"),
            (signal.SIGUSR1, "reopen"),
            (signal.SIGTERM, "stop"),
            (signal.SIGINT, "stop"),
        ):
            os.kill(os.getpid(), number)
            assert await asyncio.wait_for(calls.get(), 5) == expected
    finally:
        release_signals(loop)
        _restore()


async def test_signals_without_a_purpose_do_not_end_the_process() -> None:
    loop = asyncio.get_running_loop()
    on_signals(loop, stop=lambda: None)
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        release_signals(loop)
        _restore()


def _restore() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
