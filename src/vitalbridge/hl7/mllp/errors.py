"""The errors of the MLLP client and of its TLS contexts."""

from __future__ import annotations


class MllpError(Exception):
    """Root of what goes wrong between two MLLP peers.

    ``sent`` tells whether the message's last byte had left this process: only then can the peer
    have acted on it.
    """

    sent: bool

    def __init__(self, text: str, *, sent: bool = False) -> None:
        super().__init__(text)
        self.sent = sent


class ConnectionFailed(MllpError):
    """No connection could be made (name, route, network)."""


class ConnectionRefused(ConnectionFailed):
    """Nothing listens at the peer's port."""


class ConnectionTimeout(ConnectionFailed):
    """The peer did not take the connection, or not complete the handshake, in time."""


class TlsFailed(ConnectionFailed):
    """The TLS handshake failed or the peer's certificate is not acceptable."""


class ConnectionClosed(MllpError):
    """The connection is not open any more, or broke while the reply was awaited."""


class ReplyTimeout(MllpError):
    """No reply came in time; the connection has been closed."""


class FrameRejected(MllpError):
    """The payload can't be framed, or the reply exceeds the limit (then ``sent`` is true)."""


class CertificateRejected(MllpError):
    """A certificate, key or CA file can't be used; the text names the file, never its content."""
