from __future__ import annotations

import pytest

from vitalbridge.bridge.handlers.recency import is_newer, is_older


@pytest.mark.parametrize(
    ("time", "newest", "older"),
    [
        ("20240101120000", "20240101120001", True),
        ("20240101120000", "20240101120000", False),
        ("20240101120001", "20240101120000", False),
        ("", "20240101120000", False),
        ("20240101120000", "", False),
        # Coarser: only what both have counts.
        ("202401011200", "20240101120030", False),
        ("202401011159", "20240101120030", True),
        ("20240101120000.1", "20240101120000", False),
        ("20240101120000.1", "20240101120000.2", True),
        # A day is of the sender's zone, a time of day is UTC.
        ("20240101", "20240102", True),
        ("20240101", "20240102120000", False),
        ("2023", "2024", True),
    ],
)
def test_older(time: str, newest: str, older: bool) -> None:
    assert is_older(time, newest, "UTC") is older


def test_newer_needs_two_times() -> None:
    assert is_newer("20240102", "20240101", "UTC")
    assert not is_newer("20240102", "", "UTC")
    assert not is_newer("", "20240101", "UTC")
    assert not is_newer("20240101", "20240101", "UTC")


def test_the_repeated_hour_counts_only_where_clocks_repeat_it() -> None:
    # 02:05 and 02:55 of 29 October 2023 in Vienna, both read as summer time.
    assert not is_older("20231029000500", "20231029005500", "Europe/Vienna")
    assert is_older("20231029000500", "20231029005500", "UTC")
    assert is_older("20231028230000", "20231029005500", "America/New_York")
    assert is_older("20231028200000", "20231029005500", "Europe/Vienna")
