"""What some implementations need that the standard does not ask for.

A peer names its software when it associates (DICOM PS3.7 D.3.3.2); here is what that means for it.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Quirks(msgspec.Struct, frozen=True):
    """How a peer is to be treated.

    ``reply_delay`` is the time in seconds from a request's arrival before which its first response
    is not sent.
    """

    reply_delay: float = 0.0


class Known(msgspec.Struct, frozen=True):
    """An implementation, recognized by how its version name or its class UID begins."""

    name: str
    uid: str
    quirks: Quirks


NONE: Final = Quirks()

KNOWN: tuple[Known, ...] = (
    # An SCU of pynetdicom (seen in 3.0.4) asks its reactor thread to pause, takes a flag that the
    # thread sets just before it waits for having paused, and sends its request. A thread that is
    # past that wait still looks once for messages: a response that is there by then is dropped as
    # unexpected, and the script waits until its time-out. It takes a thread that is not scheduled
    # for as long as we need to answer, which is a fraction of a millisecond.
    Known("PYNETDICOM", "1.2.826.0.1.3680043.9.3811.", Quirks(reply_delay=0.003)),
)


def quirks_of(name: str, uid: str) -> Quirks:
    """Return how to treat an implementation by its version name and its class UID."""
    for known in KNOWN:
        if name.startswith(known.name) or uid.startswith(known.uid):
            return known.quirks
    return NONE
