"""Whether the PACS answers, asked by C-ECHO in the background and remembered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast

from vitalbridge.bridge.errors import ErrorCode
from vitalbridge.bridge.health import PacsState
from vitalbridge.dicom.echo import EchoResult, echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitalbridge.bridge.metrics import BridgeMetrics
    from vitalbridge.bridge.settings.dicom import PacsSettings

log = logging.getLogger("pacs")


T = TypeVar("T")


async def in_own_thread(function: Callable[[], T]) -> T:
    """Run a blocking call in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="pb-call", daemon=True).start()
    return await future


class PacsWatch:
    """Asks the PACS every ``check_interval``; ``state`` is what the last answer showed."""

    def __init__(self, settings: PacsSettings, metrics: BridgeMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._last_successful: datetime | None = None
        self.state = PacsState(reachable=None)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.ask()
            await asyncio.sleep(self._settings.check_interval)

    async def ask(self) -> EchoResult:
        """Ask once and remember the answer; a change is logged, a repetition is not."""
        settings = self._settings
        result = await in_own_thread(
            lambda: echo(
                settings.host,
                settings.port,
                calling_ae=settings.ae_title,
                called_ae=settings.called_ae,
                timeout=settings.timeout,
            )
        )
        before = self.state.reachable
        if result.ok:
            self._last_successful = datetime.now(UTC)
            self._metrics.pacs_echo_duration.observe(result.latency)
            if before is not True:
                log.info("connection to PACS established")
        elif before is not False:
            log.error(
                "connection to PACS failed",
                extra={
                    "reason": described(result),
                    "error_type": "connection",
                    "error_code": int(ErrorCode.PACS_CONNECTION_FAILED),
                },
            )
        self._metrics.pacs_status.set(1 if result.ok else 0)
        self.state = PacsState(
            reachable=result.ok,
            latency_ms=round(result.latency * 1000, 3) if result.ok else None,
            last_successful=self._last_successful,
            reason=described(result) or None,
        )
        return result


def described(result: EchoResult) -> str:
    """Return why the PACS did not answer, in one phrase; empty when it did."""
    return f"{result.reason}: {result.detail}" if result.detail else result.reason
