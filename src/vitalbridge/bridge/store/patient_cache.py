"""Recently used patients in memory, bounded in number and age, over the durable table."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class CacheFigures:
    """What the cache has counted since start."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0


class PatientCache:
    """Encoded patients by key, least recently used out first.

    Belongs to the writer's thread; only the counters may be read from others.
    """

    def __init__(
        self, max_entries: int = 10_000, ttl: float = 3600.0, evict_on_full: bool = True
    ) -> None:
        self.max_entries = max_entries
        self.ttl = ttl
        self.evict_on_full = evict_on_full
        self.figures = CacheFigures()
        self._entries: OrderedDict[int, tuple[float, bytes]] = OrderedDict()
        self._keys: dict[tuple[str, str], int] = {}
        self._names_of: dict[int, list[tuple[str, str]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def key_of(self, identifier: tuple[str, str]) -> int | None:
        """Return the key of a cached patient by (id, issuer)."""
        return self._keys.get(identifier)

    def get(self, key: int) -> bytes | None:
        """Return the encoded patient and count a hit, or None and count a miss."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] >= time.monotonic():
            self.figures.hits += 1
            self._entries.move_to_end(key)
            return entry[1]
        if entry is not None:
            self.drop(key)
        self.figures.misses += 1
        return None

    def put(self, key: int, body: bytes) -> None:
        """Keep an encoded patient; the oldest makes room, or nothing is kept when that is off."""
        if key not in self._entries and len(self._entries) >= self.max_entries:
            if not self.evict_on_full:
                return
            oldest = next(iter(self._entries))
            self.drop(oldest)
            self.figures.evictions += 1
        self._entries[key] = (time.monotonic() + self.ttl, body)
        self._entries.move_to_end(key)

    def name(self, identifier: tuple[str, str], key: int) -> None:
        """Remember that the identifier names that patient, if it is cached, and nobody else."""
        if self._keys.get(identifier) == key:
            return
        self._keys.pop(identifier, None)
        if key in self._entries:
            self._keys[identifier] = key
            self._names_of.setdefault(key, []).append(identifier)

    def drop(self, key: int) -> None:
        """Forget a patient and the identifiers that led to it."""
        self._entries.pop(key, None)
        for identifier in self._names_of.pop(key, ()):
            if self._keys.get(identifier) == key:
                del self._keys[identifier]

    def clear(self) -> None:
        """Forget everything, as after a transaction that was rolled back."""
        self._entries.clear()
        self._keys.clear()
        self._names_of.clear()
