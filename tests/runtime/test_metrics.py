from __future__ import annotations

import os
import time

from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from vitalbridge.runtime.metrics import Labelled, exposition, new_registry


def _value(text: bytes, name: str) -> float:
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.name == name:
                return sample.value
    raise AssertionError(name)


def test_process_figures_are_read_live() -> None:
    registry = new_registry()
    before = exposition(registry)
    assert _value(before, "process_resident_memory_bytes") > 5_000_000
    assert _value(before, "process_virtual_memory_bytes") > 5_000_000
    assert abs(_value(before, "process_start_time_seconds") - time.time()) < 7 * 86_400
    descriptor = os.open("/dev/null", os.O_RDONLY)
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = exposition(registry)
    os.close(descriptor)
    opened = _value(after, "process_open_fds") - _value(before, "process_open_fds")
    assert opened == 1
    used = _value(after, "process_cpu_seconds_total") - _value(before, "process_cpu_seconds_total")
    assert used > 0


def test_registries_are_independent() -> None:
    first, second = new_registry(), new_registry()
    Counter("things", "Things.", registry=first).inc()
    assert b"things_total 1.0" in exposition(first)
    assert b"things" not in exposition(second)
    assert b"_created" not in exposition(first)


def test_known_series_start_at_zero_and_unknown_ones_are_bounded() -> None:
    registry = new_registry()
    counter = Labelled(Counter("seen", "Seen.", ["who"], registry=registry), [("a",)], limit=2)
    assert b'seen_total{who="a"} 0.0' in exposition(registry)
    for name in ("b", "c", "d", "e", "a", "b"):
        counter(name).inc()
    text = exposition(registry).decode()
    assert [line for line in text.splitlines() if line.startswith("seen_total")] == [
        'seen_total{who="a"} 1.0',
        'seen_total{who="b"} 2.0',
        'seen_total{who="c"} 1.0',
        'seen_total{who="other"} 2.0',
    ]
