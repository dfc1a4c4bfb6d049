"""A C-FIND requestor that costs next to nothing: one association, bytes in, bytes out.

Library clients poll or start threads, which is slower than the servers to be measured. DICOM PS3.8
9.3 (PDUs), PS3.7 9.1.2 and E.1 (C-FIND commands). Explicit VR little endian only.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

FIND = "1.2.840.10008.5.1.4.31"
_EXPLICIT = "1.2.840.10008.1.2.1"
_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
_PENDING = (0xFF00, 0xFF01)


class DicomError(Exception):
    """The other side did something else than expected."""


class Answer(NamedTuple):
    """The final status and the data sets of the pending responses."""

    status: int
    matches: list[bytes]


class FindClient:
    """One association, kept until closed."""

    def __init__(self, host: str, port: int, called: str, calling: str = "BENCHMARK") -> None:
        self._socket = socket.create_connection((host, port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._message = 0
        self._socket.sendall(_associate_request(called, calling))
        kind, body = self._pdu()
        if kind != 2 or b"\x21\x00" not in body:
            raise DicomError(f"no association (PDU type {kind})")

    def find(self, identifier: bytes) -> Answer:
        """Send a query and return all of its answer."""
        self._message += 1
        command = _find_command(self._message)
        self._socket.sendall(_data_pdu(command, 3) + _data_pdu(identifier, 2))
        matches: list[bytes] = []
        parts = {True: bytearray(), False: bytearray()}
        while True:
            kind, body = self._pdu()
            if kind != 4:
                raise DicomError(f"PDU type {kind} instead of data")
            place = 0
            while place < len(body):
                (length,) = struct.unpack_from(">I", body, place)
                header = body[place + 5]
                parts[bool(header & 1)] += body[place + 6 : place + 4 + length]
                place += 4 + length
                if not header & 2:
                    continue
                if header & 1:
                    status = _status(bytes(parts[True]))
                    parts[True].clear()
                    if status not in _PENDING:
                        return Answer(status, matches)
                else:
                    matches.append(bytes(parts[False]))
                    parts[False].clear()

    def close(self) -> None:
        """Release the association."""
        self._socket.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        self._pdu()
        self._socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        self._fill(6)
        kind, length = self._buffer[0], struct.unpack_from(">I", self._buffer, 2)[0]
        self._fill(6 + length)
        body = bytes(self._buffer[6 : 6 + length])
        del self._buffer[: 6 + length]
        return kind, body

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            data = self._socket.recv(1 << 18)
            if not data:
                raise DicomError("the connection was closed")
            self._buffer += data


def by_accession(accession: str) -> bytes:
    """Return an identifier that asks for one accession number and what a modality shows of it."""
    step = b"".join(
        _element(group, element, vr, b"")
        for group, element, vr in (
            (0x0008, 0x0060, b"CS"),
            (0x0040, 0x0001, b"AE"),
            (0x0040, 0x0002, b"DA"),
            (0x0040, 0x0003, b"TM"),
            (0x0040, 0x0007, b"LO"),
            (0x0040, 0x0009, b"SH"),
        )
    )
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(step)) + step
    return b"".join(
        (
            _element(0x0008, 0x0050, b"SH", accession.encode()),
            _element(0x0010, 0x0010, b"PN", b""),
            _element(0x0010, 0x0020, b"LO", b""),
            _element(0x0020, 0x000D, b"UI", b""),
            _element(0x0032, 0x1060, b"LO", b""),
            struct.pack("<HH2sHI", 0x0040, 0x0100, b"SQ", 0, len(item)) + item,
            _element(0x0040, 0x1001, b"SH", b""),
        )
    )


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) & 1:
        value += b" "
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def _implicit(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, element, len(value)) + value


def _find_command(message: int) -> bytes:
    uid = FIND.encode() + b"\0" * (len(FIND) & 1)
    body = b"".join(
        (
            _implicit(0x0002, uid),
            _implicit(0x0100, struct.pack("<H", 0x0020)),
            _implicit(0x0110, struct.pack("<H", message & 0xFFFF)),
            _implicit(0x0700, struct.pack("<H", 0)),
            _implicit(0x0800, struct.pack("<H", 1)),
        )
    )
    return _implicit(0x0000, struct.pack("<I", len(body))) + body


def _status(command: bytes) -> int:
    place = 0
    while place < len(command):
        _, element, length = struct.unpack_from("<HHI", command, place)
        if element == 0x0900:
            return int(struct.unpack_from("<H", command, place + 8)[0])
        place += 8 + length
    raise DicomError("a response without a status")


def _data_pdu(data: bytes, header: int) -> bytes:
    return struct.pack(">BBIIBB", 4, 0, len(data) + 6, len(data) + 2, 1, header) + data


def _item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(data)) + data


def _associate_request(called: str, calling: str) -> bytes:
    context = _item(
        0x20,
        b"\x01\0\0\0" + _item(0x30, FIND.encode()) + _item(0x40, _EXPLICIT.encode()),
    )
    user = _item(0x50, _item(0x51, struct.pack(">I", 0)) + _item(0x52, b"2.25.1"))
    body = (
        struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
        + _item(0x10, _CONTEXT_NAME.encode())
        + context
        + user
    )
    return struct.pack(">BBI", 1, 0, len(body)) + body
