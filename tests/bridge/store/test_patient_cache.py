"""The patient cache: bounded, never wrong about whom an identifier names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vitalbridge.bridge.store import patient_cache as cache_module
from vitalbridge.bridge.store.patient_cache import PatientCache

if TYPE_CHECKING:
    from collections.abc import Callable

X = ("X", "CITY")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(cache_module.time, "monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_the_least_recently_used_goes_first() -> None:
    cache = PatientCache(max_entries=2)
    cache.put(1, b"1")
    cache.put(2, b"2")
    assert cache.get(1) == b"1"
    cache.put(3, b"3")
    assert [cache.get(key) for key in (1, 2, 3)] == [b"1", None, b"3"]
    assert len(cache) == 2
    assert (cache.figures.evictions, cache.figures.hits, cache.figures.misses) == (1, 3, 1)


def test_without_eviction_a_full_cache_takes_no_more() -> None:
    cache = PatientCache(max_entries=1, evict_on_full=False)
    cache.put(1, b"1")
    cache.put(2, b"2")
    cache.put(1, b"1 again")
    assert (cache.get(1), cache.get(2)) == (b"1 again", None)


def test_old_entries_are_forgotten(clock: Callable[[float], None]) -> None:
    cache = PatientCache(ttl=60)
    cache.put(1, b"1")
    cache.name(X, 1)
    clock(59)
    assert cache.get(1) == b"1"
    clock(2)
    assert cache.get(1) is None
    assert cache.key_of(X) is None


def test_an_identifier_follows_its_patient() -> None:
    cache = PatientCache()
    cache.put(1, b"1")
    cache.put(2, b"2")
    cache.name(X, 1)
    cache.name(X, 2)
    assert cache.key_of(X) == 2
    cache.drop(1)
    assert cache.key_of(X) == 2
    cache.drop(2)
    assert cache.key_of(X) is None


def test_an_identifier_that_moved_to_an_uncached_patient_names_nobody_cached() -> None:
    cache = PatientCache(max_entries=1, evict_on_full=False)
    cache.put(1, b"1")
    cache.name(X, 1)
    cache.put(2, b"2")
    cache.name(X, 2)
    assert cache.key_of(X) is None


def test_clear_forgets_all() -> None:
    cache = PatientCache()
    cache.put(1, b"1")
    cache.name(X, 1)
    cache.clear()
    assert (len(cache), cache.get(1), cache.key_of(X)) == (0, None, None)
