"""MLLP, the transport of HL7 v2: framing, server, client and their TLS contexts."""

from .client import MllpClient
from .connection import Exchange
from .errors import (
    CertificateRejected,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionRefused,
    ConnectionTimeout,
    FrameRejected,
    MllpError,
    ReplyTimeout,
    TlsFailed,
)
from .events import Events, Peer
from .framing import Framer, frame
from .limits import Limits
from .server import MllpServer
from .tls import client_context, server_context

__all__ = [
    "CertificateRejected",
    "ConnectionClosed",
    "ConnectionFailed",
    "ConnectionRefused",
    "ConnectionTimeout",
    "Events",
    "Exchange",
    "FrameRejected",
    "Framer",
    "Limits",
    "MllpClient",
    "MllpError",
    "MllpServer",
    "Peer",
    "ReplyTimeout",
    "TlsFailed",
    "client_context",
    "frame",
    "server_context",
]
