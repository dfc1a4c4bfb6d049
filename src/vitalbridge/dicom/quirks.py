"""What some implementations need that the standard does not ask for.

A peer names its software when it associates (DICOM PS3.7 D.3.3.2); here is what that means for it.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Quirks(msgspec.Struct, frozen=True):
    """How a peer is to be treated.

    ``rest`` is the time in seconds after a response before which no request that follows it is
    answered.
    """

    rest: float = 0.0


class Known(msgspec.Struct, frozen=True):
    """An implementation, recognized by how its version name or its class UID begins."""

    name: str
    uid: str
    quirks: Quirks


NONE: Final = Quirks()

KNOWN: tuple[Known, ...] = (
    # An SCU of pynetdicom (seen in 3.0.4) wakes its reactor thread when a final response has come,
    # and wants it to pause again before the next request; but it takes a thread that has not even
    # woken up for one that has paused. Such a thread then looks once for messages, and a response
    # that is there by then is dropped as unexpected: the script misses a match, or waits until its
    # time-out. So a script that asks again at once is answered late enough for that thread to have
    # been scheduled. One that asks now and then isn't made to wait.
    Known("PYNETDICOM", "1.2.826.0.1.3680043.9.3811.", Quirks(rest=0.006)),
)


def quirks_of(name: str, uid: str) -> Quirks:
    """Return how to treat an implementation by its version name and its class UID."""
    for known in KNOWN:
        if name.startswith(known.name) or uid.startswith(known.uid):
            return known.quirks
    return NONE
