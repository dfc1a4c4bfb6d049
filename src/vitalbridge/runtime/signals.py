"""Signals of a service inside its event loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def on_signals(
    loop: asyncio.AbstractEventLoop,
    *,
    stop: Callable[[], object],
    reload: Callable[[], object] | None = None,
    reopen_log: Callable[[], object] | None = None,
) -> None:
    """Call ``stop`` on SIGTERM and SIGINT, ``reload`` on SIGHUP, ``reopen_log`` on SIGUSR1.

    The callbacks run on the loop. A signal without a callback is ignored, so that it doesn't end
    the process. Call it when the service is ready to obey.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    for number, callback in ((signal.SIGHUP, reload), (signal.SIGUSR1, reopen_log)):
        if callback is None:
            signal.signal(number, signal.SIG_IGN)
        else:
            loop.add_signal_handler(number, callback)


def release_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Give SIGTERM and SIGINT back their default action; SIGHUP and SIGUSR1 are ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        loop.remove_signal_handler(number)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
