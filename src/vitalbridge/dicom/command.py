"""DIMSE command sets: what a request asks and how a reply answers (DICOM PS3.7 6.3, E)."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

C_STORE_RQ: Final = 0x0001
C_FIND_RQ: Final = 0x0020
C_ECHO_RQ: Final = 0x0030
C_CANCEL_RQ: Final = 0x0FFF
RESPONSE: Final = 0x8000

SUCCESS: Final = 0x0000
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
UNRECOGNIZED_OPERATION: Final = 0x0211
OUT_OF_RESOURCES: Final = 0xA700
IDENTIFIER_DOES_NOT_MATCH: Final = 0xA900
UNABLE_TO_PROCESS: Final = 0xC001
CANCEL: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_WITH_WARNING: Final = 0xFF01

_NO_DATA_SET: Final = 0x0101
_HEADER: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<HHIH")


class CommandError(ValueError):
    """The bytes are no command set."""


class Command(msgspec.Struct, frozen=True):
    """A request or response. Numbers that were absent are -1."""

    field: int
    sop_class: str
    message_id: int
    responded_to: int
    status: int
    has_data_set: bool


def read_command(data: bytes) -> Command:
    """Return a command set, which is always implicit VR little endian; raises ``CommandError``."""
    values: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        if offset + 8 > len(data):
            raise CommandError("incomplete command element")
        group, element, length = _HEADER.unpack_from(data, offset)
        offset += 8
        if group != 0 or offset + length > len(data):
            raise CommandError("malformed command element")
        values[element] = data[offset : offset + length]
        offset += length
    field = _number(values, 0x0100)
    data_set_type = _number(values, 0x0800)
    if field < 0 or data_set_type < 0:
        raise CommandError("command without its field or data set type")
    # Affected SOP Class UID, else Requested SOP Class UID.
    uid = values.get(0x0002) or values.get(0x0003) or b""
    return Command(
        field,
        uid.decode("latin-1").strip(" \0"),
        _number(values, 0x0110),
        _number(values, 0x0120),
        _number(values, 0x0900),
        data_set_type != _NO_DATA_SET,
    )


def _number(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else -1


def _us(element: int, value: int) -> bytes:
    return _US.pack(0, element, 2, value)


def _text(element: int, text: str, pad: bytes) -> bytes:
    value = text.encode("ascii")
    value += pad * (len(value) & 1)
    return _HEADER.pack(0, element, len(value)) + value


def _with_length(body: bytes) -> bytes:
    return _HEADER.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def write_request(field: int, sop_class: str, message_id: int, *, has_data_set: bool) -> bytes:
    """Return the command set of a request."""
    return _with_length(
        _text(0x0002, sop_class, b"\0")
        + _us(0x0100, field)
        + _us(0x0110, message_id)
        + _us(0x0800, 0x0001 if has_data_set else _NO_DATA_SET)
    )


def write_response(
    request: Command,
    status: int,
    *,
    has_data_set: bool = False,
    comment: str = "",
    offending: int = 0,
) -> bytes:
    """Return the command set of a response.

    ``comment`` is Error Comment (ASCII, cut to the 64 characters of LO) and ``offending`` the tag
    for Offending Element; both are left out when empty.
    """
    body = _text(0x0002, request.sop_class, b"\0") if request.sop_class else b""
    body += _us(0x0100, request.field | RESPONSE) + _us(0x0120, max(request.message_id, 0))
    body += _us(0x0800, 0x0001 if has_data_set else _NO_DATA_SET) + _us(0x0900, status)
    if offending:
        body += _HEADER.pack(0, 0x0901, 4) + struct.pack("<HH", offending >> 16, offending & 0xFFFF)
    if comment:
        body += _text(0x0902, comment[:64], b" ")
    return _with_length(body)
