"""HL7 v2: messages read lazily and written back byte for byte, character sets and MLLP.

``Message(raw)`` reads the header; ``message.get("PID-3[2].4.2")``, ``message.segments("OBX")`` and
``message.order_groups()`` read the rest, and only what they are asked for.
"""

from .ack import ACKNOWLEDGEMENT_CODES, CONDITIONS, acknowledge, acknowledge_unreadable
from .builder import Escaped, Fields, Value, build_message, write_field, write_segment
from .charsets import Charset, UnsupportedCharset, charset_of
from .datetimes import DateTime, timestamp
from .delimiters import STANDARD, Delimiters, parse_delimiters
from .errors import (
    CharsetError,
    Fault,
    Hl7Error,
    InvalidDateTime,
    InvalidPath,
    InvalidValue,
    MalformedMessage,
)
from .escapes import escape, unescape
from .groups import OrderGroup
from .message import Message
from .path import Path, parse_path
from .segment import NULL, HeaderSegment, Segment
from .types import CE, CWE, CX, EI, HD, PL, TQ, XAD, XCN, XPN, XTN, Composite

__all__ = [
    "ACKNOWLEDGEMENT_CODES",
    "CE",
    "CONDITIONS",
    "CWE",
    "CX",
    "EI",
    "HD",
    "NULL",
    "PL",
    "STANDARD",
    "TQ",
    "XAD",
    "XCN",
    "XPN",
    "XTN",
    "Charset",
    "CharsetError",
    "Composite",
    "DateTime",
    "Delimiters",
    "Escaped",
    "Fault",
    "Fields",
    "HeaderSegment",
    "Hl7Error",
    "InvalidDateTime",
    "InvalidPath",
    "InvalidValue",
    "MalformedMessage",
    "Message",
    "OrderGroup",
    "Path",
    "Segment",
    "UnsupportedCharset",
    "Value",
    "acknowledge",
    "acknowledge_unreadable",
    "build_message",
    "charset_of",
    "escape",
    "parse_delimiters",
    "parse_path",
    "timestamp",
    "unescape",
    "write_field",
    "write_segment",
]
