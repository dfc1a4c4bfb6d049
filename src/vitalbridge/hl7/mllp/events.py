"""What an MLLP server lets its owner observe."""

from __future__ import annotations

import msgspec


class Peer(msgspec.Struct, frozen=True):
    """The other end of a connection.

    ``address`` is textual, an IPv4 address mapped into IPv6 in its IPv4 form. ``tls_subject`` is
    the subject of the verified client certificate in the form of RFC 4514, None without one.
    """

    address: str
    port: int
    tls_subject: str | None = None


class Events:
    """Observer of a server, called on the loop's thread; override what is of interest."""

    def opened(self, peer: Peer) -> None:
        """A connection is established, its TLS handshake included."""

    def closed(self, peer: Peer) -> None:
        """A connection that had been opened is gone."""

    def refused(self, peer: Peer, reason: str) -> None:
        """A connection was turned away: ``max_connections``, ``max_connections_per_address`` or
        ``tls_handshake``."""

    def timed_out(self, peer: Peer, kind: str) -> None:
        """A connection is closed for being too slow: ``idle``, ``read``, ``slow_sender``,
        ``write``."""

    def stray_bytes(self, count: int) -> None:
        """Bytes outside of any frame were skipped."""

    def frame_error(self, kind: str) -> None:
        """A frame was lost or strange: ``missing_start_block``, ``unfinished``, ``empty``,
        ``oversize``."""
