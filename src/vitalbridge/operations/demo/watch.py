"""What the bridge says about itself while the demo runs: its health report and its queue depth."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import msgspec


class Watch(msgspec.Struct):
    """The last health report and queue depth, from the URLs of report and metrics."""

    health_url: str
    metrics_url: str
    status: str = "asking"
    problems: tuple[str, ...] = ()
    queue_depth: float | None = None

    async def run(self, interval: float = 2.0) -> None:
        """Ask again and again until cancelled."""
        while True:
            await asyncio.to_thread(self.ask)
            await asyncio.sleep(interval)

    def ask(self) -> None:
        """Ask once; a service that doesn't answer has the status ``no answer``."""
        try:
            report = json.loads(_get(self.health_url))
            self.queue_depth = _queue_depth(_get(self.metrics_url).decode())
        except (OSError, ValueError) as error:
            self.status, self.problems = "no answer", (type(error).__name__,)
            return
        self.status = str(report.get("status", "?"))
        self.problems = tuple(
            f"{name} {part['status']}"
            for name, part in report.get("components", {}).items()
            if part["status"] != "up"
        )


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 503:  # unhealthy, but the report is the answer
            return error.read()
        raise


def _queue_depth(metrics: str) -> float | None:
    values = [
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith(("queue_depth{", "queue_depth "))
    ]
    return sum(values) if values else None
