"""Protocol data units of the DICOM upper layer (DICOM PS3.8 9.3)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ASSOCIATE_RQ: Final = 1
ASSOCIATE_AC: Final = 2
ASSOCIATE_RJ: Final = 3
P_DATA_TF: Final = 4
RELEASE_RQ: Final = 5
RELEASE_RP: Final = 6
ABORT: Final = 7

HEADER: Final = struct.Struct(">BxI")
"""Type and length of what follows."""

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_UID: Final = "2.25.282732765180230380756326380429936457732"
IMPLEMENTATION_NAME: Final = "VITALBRIDGE"

ACCEPTED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

SMALLEST_LENGTH: Final = 7
"""The least maximum length that leaves room for data; 0 means without a limit."""

_ITEM: Final = struct.Struct(">BxH")


class PduError(ValueError):
    """The bytes are no such PDU."""


class Proposed(msgspec.Struct, frozen=True):
    """A presentation context as it was proposed."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class AssociateRequest(msgspec.Struct, frozen=True):
    """A-ASSOCIATE-RQ (DICOM PS3.8 9.3.2). ``max_length`` 0 means without a limit.

    The implementation is who the peer's software says it is (DICOM PS3.7 D.3.3.2); both may be
    empty.
    """

    called_ae: str
    calling_ae: str
    contexts: tuple[Proposed, ...]
    max_length: int = 0
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1
    implementation_uid: str = IMPLEMENTATION_UID
    implementation_name: str = IMPLEMENTATION_NAME


class Answered(msgspec.Struct, frozen=True):
    """The answer to one presentation context; ``result`` as PS3.8 Table 9-18."""

    id: int
    result: int
    transfer_syntax: str


class AssociateAccept(msgspec.Struct, frozen=True):
    """A-ASSOCIATE-AC (DICOM PS3.8 9.3.3)."""

    contexts: tuple[Answered, ...]
    max_length: int = 0


def _pdu(kind: int, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return _ITEM.pack(kind, len(body)) + body


def _user_information(max_length: int, uid: str, name: str) -> bytes:
    return _item(
        0x50,
        _item(0x51, struct.pack(">I", max_length))
        + _item(0x52, uid.encode())
        + _item(0x55, name.encode()),
    )


def _fixed_fields(called_ae: str, calling_ae: str) -> bytes:
    return struct.pack(
        ">Hxx16s16s32x",
        1,
        called_ae.encode("latin-1").ljust(16),
        calling_ae.encode("latin-1").ljust(16),
    )


def write_associate_request(request: AssociateRequest) -> bytes:
    """Return the encoded A-ASSOCIATE-RQ."""
    body = _fixed_fields(request.called_ae, request.calling_ae)
    body += _item(0x10, request.application_context.encode())
    for context in request.contexts:
        content = bytes([context.id, 0, 0, 0]) + _item(0x30, context.abstract_syntax.encode())
        for syntax in context.transfer_syntaxes:
            content += _item(0x40, syntax.encode())
        body += _item(0x20, content)
    body += _user_information(
        request.max_length, request.implementation_uid, request.implementation_name
    )
    return _pdu(ASSOCIATE_RQ, body)


def write_associate_accept(
    request: AssociateRequest, answers: Sequence[Answered], max_length: int
) -> bytes:
    """Return the encoded A-ASSOCIATE-AC to a request."""
    body = _fixed_fields(request.called_ae, request.calling_ae)
    body += _item(0x10, APPLICATION_CONTEXT.encode())
    for answer in answers:
        content = bytes([answer.id, 0, answer.result, 0])
        body += _item(0x21, content + _item(0x40, answer.transfer_syntax.encode()))
    body += _user_information(max_length, IMPLEMENTATION_UID, IMPLEMENTATION_NAME)
    return _pdu(ASSOCIATE_AC, body)


def associate_reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (DICOM PS3.8 Table 9-21)."""
    return _pdu(ASSOCIATE_RJ, bytes([0, result, source, reason]))


def abort(source: int, reason: int) -> bytes:
    """Return an A-ABORT (DICOM PS3.8 Table 9-26)."""
    return _pdu(ABORT, bytes([0, 0, source, reason]))


RELEASE_REQUEST: Final = _pdu(RELEASE_RQ, bytes(4))
RELEASE_RESPONSE: Final = _pdu(RELEASE_RP, bytes(4))


def _text(data: bytes) -> str:
    return data.decode("latin-1").strip(" \0")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise PduError("incomplete item")
        kind, length = _ITEM.unpack_from(data, offset)
        offset += 4
        if offset + length > len(data):
            raise PduError("item longer than its PDU")
        yield kind, data[offset : offset + length]
        offset += length


def read_associate_request(body: bytes) -> AssociateRequest:
    """Return an A-ASSOCIATE-RQ without its header; raises :class:`PduError`.

    Items that an acceptor may leave unanswered (roles, extended negotiation, user identity) are
    skipped.
    """
    version, called, calling = _read_fixed_fields(body)
    application_context = ""
    contexts: list[Proposed] = []
    user: dict[int, bytes] = {}
    for kind, content in _items(body[68:]):
        if kind == 0x10:
            application_context = _text(content)
        elif kind == 0x20:
            contexts.append(_read_proposed(content))
        elif kind == 0x50:
            user = dict(_items(content))
    if len({context.id for context in contexts}) != len(contexts):
        raise PduError("presentation context id used twice")
    return AssociateRequest(
        called,
        calling,
        tuple(contexts),
        _max_length(user),
        application_context,
        version,
        _text(user.get(0x52, b"")),
        _text(user.get(0x55, b"")),
    )


def _read_fixed_fields(body: bytes) -> tuple[int, str, str]:
    if len(body) < 68:
        raise PduError("incomplete association request")
    version, called, calling = struct.unpack_from(">Hxx16s16s", body)
    return version, _text(called), _text(calling)


def _read_proposed(content: bytes) -> Proposed:
    if len(content) < 4 or not content[0] & 1:
        raise PduError("presentation context without a valid id")
    abstract = ""
    transfer: list[str] = []
    for kind, value in _items(content[4:]):
        if kind == 0x30:
            abstract = _text(value)
        elif kind == 0x40:
            transfer.append(_text(value))
    return Proposed(content[0], abstract, tuple(transfer))


def _max_length(user: dict[int, bytes]) -> int:
    value = user.get(0x51, bytes(4))
    if len(value) != 4:
        raise PduError("maximum length of a wrong size")
    return int.from_bytes(value, "big")


def read_associate_accept(body: bytes) -> AssociateAccept:
    """Return an A-ASSOCIATE-AC without its header; raises :class:`PduError`."""
    if len(body) < 68:
        raise PduError("incomplete association answer")
    answers: list[Answered] = []
    max_length = 0
    for kind, content in _items(body[68:]):
        if kind == 0x21:
            if len(content) < 4:
                raise PduError("incomplete presentation context")
            syntaxes = [_text(value) for inner, value in _items(content[4:]) if inner == 0x40]
            answers.append(Answered(content[0], content[2], syntaxes[0] if syntaxes else ""))
        elif kind == 0x50:
            max_length = _max_length(dict(_items(content)))
    return AssociateAccept(tuple(answers), max_length)


class Fragment(msgspec.Struct, frozen=True):
    """One presentation data value (DICOM PS3.8 E.2): part of a command or of a data set."""

    context: int
    is_command: bool
    is_last: bool
    data: bytes


def read_fragments(body: bytes) -> Iterator[Fragment]:
    """Yield the fragments of a P-DATA-TF without its header; raises :class:`PduError`."""
    offset = 0
    while offset < len(body):
        if offset + 6 > len(body):
            raise PduError("incomplete presentation data value")
        length = int.from_bytes(body[offset : offset + 4], "big")
        end = offset + 4 + length
        if length < 2 or end > len(body):
            raise PduError("presentation data value of a wrong length")
        control = body[offset + 5]
        yield Fragment(
            body[offset + 4], bool(control & 1), bool(control & 2), body[offset + 6 : end]
        )
        offset = end


def write_message(context: int, command: bytes, data_set: bytes | None, max_length: int) -> bytes:
    """Return a message as P-DATA-TF PDUs, none of them longer than the receiver's ``max_length``.

    Command and data set have PDUs of their own, as every implementation expects.
    """
    out = _write_fragments(context, command, 1, max_length)
    if data_set is not None:
        out += _write_fragments(context, data_set, 0, max_length)
    return out


def _write_fragments(context: int, data: bytes, command: int, max_length: int) -> bytes:
    size = max_length - 6 if max_length else len(data)
    if len(data) <= size:
        return (
            struct.pack(">BxIIBB", P_DATA_TF, len(data) + 6, len(data) + 2, context, command | 2)
            + data
        )
    parts = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        last = 2 if start + size >= len(data) else 0
        parts.append(
            struct.pack(">BxIIBB", P_DATA_TF, len(part) + 6, len(part) + 2, context, command | last)
        )
        parts.append(part)
    return b"".join(parts)
