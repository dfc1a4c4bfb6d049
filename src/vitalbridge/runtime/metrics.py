"""Prometheus metrics: one registry per process, text exposition, figures of the process itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Counter, Gauge, Histogram

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
LATENCY_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

M = TypeVar("M", bound="Counter | Gauge | Histogram")


def new_registry() -> CollectorRegistry:
    """Return a registry that already has the ``process_*`` series, read live from /proc."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Return everything in the text format, version 0.0.4."""
    return generate_latest(registry)


class Labelled(Generic[M]):
    """The series of one metric by its label values, looked up once and bounded in number.

    ``known`` exist from the start, at zero. At most ``limit`` further ones are made, as label
    values may come from the network; then everything new is counted under ``other``.
    """

    def __init__(self, metric: M, known: Iterable[tuple[str, ...]] = (), *, limit: int = 0) -> None:
        self._metric = metric
        self._series: dict[tuple[str, ...], M] = {}
        for values in known:
            self._series[values] = cast("M", metric.labels(*values))
        self._room = limit

    def __call__(self, *values: str) -> M:
        """Return the series with these label values."""
        series = self._series.get(values)
        return series if series is not None else self._new(values)

    def _new(self, values: tuple[str, ...]) -> M:
        if self._room > 0:
            self._room -= 1
        else:
            values = ("other",) * len(values)
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = cast("M", self._metric.labels(*values))
        return series
