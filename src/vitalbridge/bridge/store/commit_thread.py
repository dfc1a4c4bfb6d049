"""A thread that waits for the disk while the writer's thread receives the next messages."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class CommitThread(threading.Thread):
    """Runs blocking calls one after the other and reports each on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="pb-commit", daemon=True)
        self._loop = loop
        self._calls: queue.SimpleQueue[
            tuple[Callable[[], object], Callable[[Exception | None], None]] | None
        ] = queue.SimpleQueue()

    def submit(self, call: Callable[[], object], then: Callable[[Exception | None], None]) -> None:
        """Run ``call`` here, then ``then`` with its exception or None on the loop."""
        self._calls.put((call, then))

    def run(self) -> None:
        """Serve calls until stopped."""
        while (job := self._calls.get()) is not None:
            call, then = job
            error: Exception | None = None
            try:
                call()
            except Exception as raised:
                error = raised
            self._loop.call_soon_threadsafe(then, error)

    def stop(self) -> None:
        """End after the calls that were submitted."""
        self._calls.put(None)
        self.join()
