"""What became of what was sent: counts by kind, answers against what was expected, latencies."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

from vitalbridge.operations.demo.latency import Latencies

if TYPE_CHECKING:
    from vitalbridge.operations.demo.hospital import Sending

ACCEPTED = ("AA", "CA")


class Surprise(msgspec.Struct, frozen=True):
    """An answer that a correct receiver would not give, or none where it would give one."""

    kind: str
    fault: str
    control_id: str
    answer: str


class Tally:
    """Counts of one run; kept by the event loop's thread, read by anyone."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.repeats = 0
        self.broken = 0
        self.unanswered = 0
        self.reconnects = 0
        self.surprises = 0
        self.latest_surprises: deque[Surprise] = deque(maxlen=5)
        self.latencies = Latencies()

    @property
    def total_sent(self) -> int:
        """Everything that went out, repeated and broken things included."""
        return self.sent.total()

    def note_sent(self, sending: Sending) -> None:
        """Count a sending at its first byte (a resend after a lost connection isn't counted)."""
        self.sent[sending.kind] += 1
        self.repeats += sending.repeat
        self.broken += bool(sending.fault)

    def note_answer(self, sending: Sending, code: str, control_id: str, seconds: float) -> None:
        """Count MSA-1 ``code``; MSA-2 must be the control id that was sent."""
        self.codes[code] += 1
        self.latencies.record(seconds)
        accepted = code in ACCEPTED
        (self.accepted if accepted else self.refused)[sending.kind] += 1
        if control_id != sending.control_id:
            self._surprise(sending, f"{code} for another message")
        elif sending.expected != ("accepted" if accepted else "refused"):
            self._surprise(sending, code)

    def note_silence(self, sending: Sending) -> None:
        """Count a sending that nobody answered."""
        self.unanswered += 1
        if sending.expected != "no answer":
            self._surprise(sending, "no answer")

    def _surprise(self, sending: Sending, answer: str) -> None:
        self.surprises += 1
        self.latest_surprises.append(
            Surprise(sending.kind, sending.fault, sending.control_id, answer)
        )
