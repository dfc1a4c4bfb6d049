"""C-ECHO as SCU: is the peer there, and if not, why (DICOM PS3.4 A.4, PS3.7 9.1.5)."""

from __future__ import annotations

import contextlib
import socket
from time import perf_counter
from typing import Final

import msgspec

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu
from vitalbridge.dicom.elements import IMPLICIT_LITTLE
from vitalbridge.dicom.network import MAX_PDU_LENGTH, PduStream, TooSlow

_VERIFICATION: Final = "1.2.840.10008.1.1"
_CONTEXT: Final = 1

ASSOCIATION_REJECTED: Final = "Association rejected"
CONNECTION_REFUSED: Final = "Connection refused"
CONNECTION_TIMEOUT: Final = "Connection timeout"
CONNECTION_FAILED: Final = "Connection failed"
ASSOCIATION_ABORTED: Final = "Association aborted"
ECHO_TIMEOUT: Final = "Echo timeout"
ECHO_FAILED: Final = "Echo failed"

# (source, reason) of an A-ASSOCIATE-RJ, DICOM PS3.8 Table 9-21.
_REJECTIONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


class EchoResult(msgspec.Struct, frozen=True):
    """How a C-ECHO went.

    ``reason`` is empty on success, else one of the constants of this module; ``detail`` says more
    where there is more to say. ``latency`` is in seconds, of the echo alone, association set-up
    excluded; 0.0 without an answer.
    """

    reason: str = ""
    detail: str = ""
    latency: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the peer answered with success."""
        return not self.reason


class _Failed(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.result = EchoResult(reason, detail)


def echo(
    host: str,
    port: int,
    *,
    called_ae: str,
    calling_ae: str = "PACS_BRIDGE",
    timeout: float = 30.0,
) -> EchoResult:
    """Associate, send one C-ECHO and release; ``timeout`` in seconds is for each of the steps.

    Blocks; never raises for what the network or the peer does.
    """
    try:
        connection = socket.create_connection((host, port), timeout)
    except ConnectionRefusedError:
        return EchoResult(CONNECTION_REFUSED)
    except TimeoutError:
        return EchoResult(CONNECTION_TIMEOUT)
    except OSError as error:
        return EchoResult(CONNECTION_FAILED, error.strerror or type(error).__name__)
    with connection:
        stream = PduStream(connection, send_timeout=timeout, max_length=MAX_PDU_LENGTH)
        try:
            max_length = _associate(stream, called_ae, calling_ae, timeout)
            latency = _echo(stream, max_length, timeout)
            _release(stream, timeout)
        except _Failed as failure:
            with contextlib.suppress(OSError):
                stream.send(pdu.abort(0, 0))
            return failure.result
        except TooSlow:
            return EchoResult(ECHO_TIMEOUT)
        except pdu.PduError as error:
            return EchoResult(ECHO_FAILED, f"protocol error: {error}")
        except OSError:
            return EchoResult(ASSOCIATION_ABORTED, "connection closed by the peer")
    return EchoResult(latency=latency)


def _associate(stream: PduStream, called_ae: str, calling_ae: str, timeout: float) -> int:
    proposed = pdu.Proposed(_CONTEXT, _VERIFICATION, (IMPLICIT_LITTLE,))
    stream.send(
        pdu.write_associate_request(
            pdu.AssociateRequest(called_ae, calling_ae, (proposed,), MAX_PDU_LENGTH)
        )
    )
    kind, body = stream.receive(timeout, timeout)
    if kind == pdu.ASSOCIATE_RJ:
        source, reason = (body[2], body[3]) if len(body) == 4 else (0, 0)
        raise _Failed(ASSOCIATION_REJECTED, _REJECTIONS.get((source, reason), ""))
    if kind == pdu.ABORT:
        raise _Failed(ASSOCIATION_ABORTED)
    if kind != pdu.ASSOCIATE_AC:
        raise _Failed(ECHO_FAILED, "unexpected answer to the association request")
    accepted = pdu.read_associate_accept(body)
    if not any(a.id == _CONTEXT and a.result == pdu.ACCEPTED for a in accepted.contexts):
        raise _Failed(ECHO_FAILED, "Verification not supported")
    if 0 < accepted.max_length < pdu.SMALLEST_LENGTH:
        raise _Failed(ECHO_FAILED, "unusable maximum PDU length")
    return accepted.max_length


def _echo(stream: PduStream, max_length: int, timeout: float) -> float:
    started = perf_counter()
    request = dimse.write_request(dimse.C_ECHO_RQ, _VERIFICATION, 1, has_data_set=False)
    stream.send(pdu.write_message(_CONTEXT, request, None, max_length))
    command = bytearray()
    while True:
        kind, body = stream.receive(timeout, timeout)
        if kind == pdu.ABORT:
            raise _Failed(ASSOCIATION_ABORTED)
        if kind != pdu.P_DATA_TF:
            raise _Failed(ECHO_FAILED, "unexpected answer to the echo")
        for fragment in pdu.read_fragments(body):
            command += fragment.data
            if fragment.is_last:
                return _latency(bytes(command), started)


def _latency(command: bytes, started: float) -> float:
    latency = perf_counter() - started
    try:
        response = dimse.read_command(command)
    except dimse.CommandError as error:
        raise _Failed(ECHO_FAILED, "malformed answer") from error
    if response.status != dimse.SUCCESS:
        raise _Failed(ECHO_FAILED, f"status 0x{response.status & 0xFFFF:04X}")
    return latency


def _release(stream: PduStream, timeout: float) -> None:
    # The echo has been answered: how the association ends changes nothing any more.
    with contextlib.suppress(OSError, pdu.PduError):
        stream.send(pdu.RELEASE_REQUEST)
        stream.receive(timeout, timeout)
