"""What an MLLP server grants its clients."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of an MLLP server; sizes in bytes, times in seconds, 0 seconds = no limit.

    ``idle_timeout`` runs while a connection has no open frame and no unanswered message;
    ``read_timeout`` bounds the time from a frame's start block to its end block, and how long a
    client may leave its answers unread. A frame that after ``slow_sender_grace`` seconds came in at
    less than ``min_bytes_per_second`` on average is given up earlier. Reading stops at
    ``max_unanswered`` messages of one connection and goes on at half of it.
    """

    max_connections: int = 100
    max_connections_per_address: int = 100
    max_message_size: int = 10 * 1024 * 1024
    idle_timeout: float = 300.0
    read_timeout: float = 60.0
    handshake_timeout: float = 5.0
    min_bytes_per_second: int = 100
    slow_sender_grace: float = 15.0
    max_unanswered: int = 64
