"""Latencies counted in log-linear buckets: constant memory, percentiles within 1.6 %."""

from __future__ import annotations

_BITS = 6  # each power of two is cut into 2**_BITS buckets: half a bucket is 0.8 % of its value
_SIZE = 1 << _BITS


class Latencies:
    """How long things took. Not locked: one thread records."""

    def __init__(self) -> None:
        self._counts = [0] * (_SIZE * 36)
        self.count = 0
        self.total = 0.0
        self.largest = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration; anything under a microsecond is zero."""
        micros = int(seconds * 1e6) if seconds > 0 else 0
        shift = max(0, micros.bit_length() - _BITS - 1)
        self._counts[(shift << _BITS) + (micros >> shift)] += 1
        self.count += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)

    def percentile(self, percent: float) -> float:
        """Return the duration in seconds that ``percent`` of all don't exceed; 0.0 without any."""
        if not self.count:
            return 0.0
        wanted = self.count * percent / 100
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_upper_bound(index), self.largest)
        return self.largest

    def add(self, other: Latencies) -> None:
        """Count everything that ``other`` counted."""
        self._counts = [
            mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)
        ]
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)


def _upper_bound(index: int) -> float:
    shift = max(0, (index >> _BITS) - 1)
    return (((index - (shift << _BITS)) + 1) << shift) / 1e6
