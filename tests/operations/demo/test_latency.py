from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalbridge.operations.demo.latency import Latencies

durations = st.lists(st.floats(min_value=0, max_value=3000), min_size=1, max_size=200)


@given(durations, st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_is_within_two_percent(seconds: list[float], percent: int) -> None:
    latencies = Latencies()
    for value in seconds:
        latencies.record(value)
    exact = sorted(seconds)[max(0, math.ceil(len(seconds) * percent / 100) - 1)]
    assert latencies.percentile(percent) == pytest.approx(exact, rel=0.02, abs=1.1e-6)


@given(durations, durations)
def test_adding_is_recording_both(one: list[float], two: list[float]) -> None:
    first, second, both = Latencies(), Latencies(), Latencies()
    for latencies, values in ((first, one), (second, two), (both, one + two)):
        for value in values:
            latencies.record(value)
    first.add(second)
    assert first.count == both.count
    assert first.largest == both.largest
    assert first.total == pytest.approx(both.total)
    assert [first.percentile(p) for p in (1, 50, 99)] == [both.percentile(p) for p in (1, 50, 99)]


def test_nothing_recorded_is_zero() -> None:
    assert Latencies().percentile(50) == 0.0
