"""PDUs and command sets against pynetdicom's."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_FIND_RQ, C_FIND_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, P_DATA_TF

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu

MWL = "1.2.840.10008.5.1.4.31"
REQUEST = pdu.AssociateRequest(
    "PACS_BRIDGE",
    "CT_1",
    (
        pdu.Proposed(1, MWL, ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")),
        pdu.Proposed(3, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),
    ),
    16384,
)


def test_association_request() -> None:
    encoded = pdu.write_associate_request(REQUEST)
    assert pdu.read_associate_request(encoded[6:]) == REQUEST
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encoded)
    assert theirs.called_ae_title == "PACS_BRIDGE"
    assert theirs.calling_ae_title == "CT_1"
    assert [(c.context_id, c.abstract_syntax) for c in theirs.presentation_context] == [
        (1, MWL),
        (3, "1.2.840.10008.1.1"),
    ]
    assert theirs.user_information.maximum_length == 16384
    assert theirs.user_information.implementation_class_uid == pdu.IMPLEMENTATION_UID
    assert theirs.user_information.implementation_version_name == pdu.IMPLEMENTATION_NAME
    assert pdu.read_associate_request(theirs.encode()[6:]) == REQUEST


def test_who_a_peer_says_that_it_is() -> None:
    named = msgspec.structs.replace(
        REQUEST, implementation_uid="1.2.3.4", implementation_name="OFFIS_DCMTK_367"
    )
    encoded = pdu.write_associate_request(named)
    assert pdu.read_associate_request(encoded[6:]) == named
    without = encoded[6:].partition(b"\x50\0")[0]
    silent = pdu.read_associate_request(without)
    assert (silent.implementation_uid, silent.implementation_name) == ("", "")
    assert silent.max_length == 0


def test_association_answers() -> None:
    answers = (pdu.Answered(1, 0, "1.2.840.10008.1.2"), pdu.Answered(3, 3, "1.2.840.10008.1.2"))
    encoded = pdu.write_associate_accept(REQUEST, answers, 131072)
    theirs = A_ASSOCIATE_AC()
    theirs.decode(encoded)
    assert [(c.context_id, c.result) for c in theirs.presentation_context] == [(1, 0), (3, 3)]
    assert theirs.user_information.maximum_length == 131072
    assert pdu.read_associate_accept(encoded[6:]) == pdu.AssociateAccept(answers, 131072)

    rejected = A_ASSOCIATE_RJ()
    rejected.decode(pdu.associate_reject(1, 1, 7))
    assert (rejected.result, rejected.source, rejected.reason_diagnostic) == (1, 1, 7)
    aborted = A_ABORT_RQ()
    aborted.decode(pdu.abort(2, 6))
    assert (aborted.source, aborted.reason_diagnostic) == (2, 6)


@pytest.mark.parametrize("max_length", [0, 7, 16, 100, 128, 16384])
def test_messages_are_cut_to_the_receivers_length(max_length: int) -> None:
    command, data_set = b"c" * 100, bytes(range(250))
    encoded = pdu.write_message(5, command, data_set, max_length)
    parts: dict[bool, bytes] = {True: b"", False: b""}
    last: list[bool] = []
    while encoded:
        kind, length = pdu.HEADER.unpack_from(encoded)
        assert kind == pdu.P_DATA_TF
        assert not max_length or length <= max_length
        theirs = P_DATA_TF()
        theirs.decode(encoded[: 6 + length])
        assert len(theirs.presentation_data_value_items) == 1
        for fragment in pdu.read_fragments(encoded[6 : 6 + length]):
            assert fragment.context == 5
            parts[fragment.is_command] += fragment.data
            last.append(fragment.is_last)
        encoded = encoded[6 + length :]
    assert parts == {True: command, False: data_set}
    assert last.count(True) == 2
    assert last[-1]


@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    for read in (pdu.read_associate_request, pdu.read_associate_accept):
        with pytest.raises(pdu.PduError):
            read(data[:67])
        with suppress(pdu.PduError):
            assert len(read(data.ljust(68, b"\0")).contexts) <= len(data)
    with suppress(pdu.PduError):
        assert sum(len(fragment.data) for fragment in pdu.read_fragments(data)) <= len(data)
    with suppress(dimse.CommandError):
        assert dimse.read_command(data).field >= 0


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 10_000))
def test_damaged_requests(at: int, bits: int, cut: int) -> None:
    data = bytearray(pdu.write_associate_request(REQUEST)[6:])
    data[at % len(data)] ^= bits
    damaged = bytes(data[: len(data) - cut % 50])
    with suppress(pdu.PduError):
        assert all(context.id % 2 for context in pdu.read_associate_request(damaged).contexts)


def command_of(message: DIMSEMessage) -> bytes:
    (pdata,) = message.encode_msg(1, 0)
    data: bytes = pdata.presentation_data_value_list[0][1]
    return data[1:]


def test_command_sets() -> None:
    primitive = C_FIND()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = MWL
    primitive.Priority = 2
    message = C_FIND_RQ()
    message.primitive_to_message(primitive)
    read = dimse.read_command(command_of(message))
    assert read == dimse.Command(dimse.C_FIND_RQ, MWL, 7, -1, -1, False)

    answer = dimse.write_response(read, 0xA900, comment="x" * 70, offending=0x00400100)
    theirs = DIMSEMessage()
    theirs.command_set = decode(BytesIO(answer), True, True)
    assert theirs.command_set.CommandField == 0x8020
    assert theirs.command_set.MessageIDBeingRespondedTo == 7
    assert theirs.command_set.Status == 0xA900
    assert theirs.command_set.OffendingElement == 0x00400100
    assert theirs.command_set.ErrorComment == "x" * 64
    assert theirs.command_set.CommandGroupLength == len(answer) - 12

    response = C_FIND()
    response.MessageIDBeingRespondedTo = 7
    response.AffectedSOPClassUID = MWL
    response.Status = 0xFE00
    reply = C_FIND_RSP()
    reply.primitive_to_message(response)
    assert dimse.write_response(read, 0xFE00) == command_of(reply)
