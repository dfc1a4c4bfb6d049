"""The acceptor's side of one association, in a thread of its own (DICOM PS3.8 9.2, PS3.7 6-9).

The thread sleeps in the kernel until something arrives: an idle association costs no time, and a
request is answered without a hand-over between threads. Everything a peer sends is bounded in size
and in time.
"""

from __future__ import annotations

from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from vitalbridge.dicom import command as dimse
from vitalbridge.dicom import pdu
from vitalbridge.dicom.network import ConnectionLost, PduStream, TooSlow, Woken
from vitalbridge.dicom.quirks import NONE, quirks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vitalbridge.dicom.command import Command

_MAX_COMMAND: Final = 16 * 1024
_MAX_WAITING: Final = 16
_GOODBYE: Final = 1.0

_BY_USER: Final = (0, 0)
_UNEXPECTED_PDU: Final = (2, 2)
_INVALID_PDU: Final = (2, 6)

Rejection = tuple[int, int, int]
NO_REASON: Final[Rejection] = (1, 1, 1)
APPLICATION_CONTEXT: Final[Rejection] = (1, 1, 2)
CALLING_AE: Final[Rejection] = (1, 1, 3)
CALLED_AE: Final[Rejection] = (1, 1, 7)
PROTOCOL_VERSION: Final[Rejection] = (1, 2, 2)
LIMIT_EXCEEDED: Final[Rejection] = (2, 3, 2)


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no association: what the peer is told, and a fixed word for the operator."""

    rejection: Rejection
    reason: str


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one association, times in seconds.

    ``acse_timeout`` bounds its establishment, ``dimse_timeout`` the arrival of one message once it
    has begun, and the sending of an answer; ``network_timeout`` the silence between messages (0:
    none).
    """

    acse_timeout: float = 30.0
    dimse_timeout: float = 30.0
    network_timeout: float = 300.0
    max_pdu_length: int = 128 * 1024
    max_data_set: int = 1024 * 1024


class Context(msgspec.Struct, frozen=True):
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


class Service(Protocol):
    """What answers the requests of one abstract syntax."""

    def __call__(
        self, association: Association, context: Context, request: Command, data_set: bytes
    ) -> None:
        """Serve one request, answering with :meth:`Association.send`."""
        ...


class Offer(msgspec.Struct, frozen=True):
    """An abstract syntax that is accepted: in which transfer syntaxes and by whom it is served."""

    transfer_syntaxes: tuple[str, ...]
    service: Service


class Ended(Exception):
    """The association is over; ``reason`` is a fixed word."""

    def __init__(self, reason: str, abort: tuple[int, int] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.abort = abort


class Association:
    """One accepted connection, from the A-ASSOCIATE-RQ to its end.

    ``judge`` returns why a request is to be refused, or None. ``calling_ae`` is empty before the
    request has been read.
    """

    def __init__(
        self,
        stream: PduStream,
        offers: Mapping[str, Offer],
        limits: Limits,
        judge: Callable[[pdu.AssociateRequest], Refusal | None],
    ) -> None:
        self._stream = stream
        self._offers = offers
        self._limits = limits
        self._judge = judge
        self._contexts: dict[int, Context] = {}
        self._max_length = 0
        self._command = bytearray()
        self._data_set = bytearray()
        self._current: tuple[int, Command] | None = None
        self._deadline: float | None = None
        self._waiting: deque[tuple[int, Command, bytes]] = deque()
        self._cancelled: set[int] = set()
        self._quirks = NONE
        self._not_before = self._last_response = 0.0
        self.calling_ae = ""
        self.refusal: Refusal | None = None

    def accept(self) -> None:
        """Negotiate; ``refusal`` tells afterwards whether there is no association.

        Raises :class:`Ended`.
        """
        try:
            timeout = self._limits.acse_timeout
            kind, body = self._stream.receive(timeout, timeout)
            if kind == pdu.ABORT:
                raise Ended("aborted")
            if kind != pdu.ASSOCIATE_RQ:
                raise Ended("protocol", _UNEXPECTED_PDU)
            request = pdu.read_associate_request(body)
            # It goes to logs: nothing in it may end a line or hide one.
            self.calling_ae = "".join(c if c.isprintable() else "." for c in request.calling_ae)
            self.refusal = _unacceptable(request) or self._judge(request)
            if self.refusal:
                self._stream.send(pdu.associate_reject(*self.refusal.rejection))
                self._stream.is_at_end(_GOODBYE)
                return
            answers = [self._answer(proposed) for proposed in request.contexts]
            self._max_length = request.max_length
            self._quirks = quirks_of(request.implementation_name, request.implementation_uid)
            self._stream.send(
                pdu.write_associate_accept(request, answers, self._limits.max_pdu_length)
            )
        except (pdu.PduError, OSError, Woken) as error:
            raise _ended(error) from error

    def _answer(self, proposed: pdu.Proposed) -> pdu.Answered:
        offer = self._offers.get(proposed.abstract_syntax)
        if offer is None:
            result, syntax = pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED, ""
        else:
            common = [s for s in offer.transfer_syntaxes if s in proposed.transfer_syntaxes]
            result = pdu.ACCEPTED if common else pdu.TRANSFER_SYNTAXES_NOT_SUPPORTED
            syntax = common[0] if common else ""
        if result == pdu.ACCEPTED:
            self._contexts[proposed.id] = Context(proposed.id, proposed.abstract_syntax, syntax)
        # Not significant for a refused context, but some requestors expect to find one.
        return pdu.Answered(proposed.id, result, syntax or "".join(proposed.transfer_syntaxes[:1]))

    def serve(self) -> str:
        """Answer requests until the association ends; return how it did.

        The word is ``released``, ``aborted``, ``lost``, ``idle``, ``slow``, ``stopped`` or
        ``protocol``.
        """
        try:
            while True:
                context_id, request, data_set = self._next_request()
                self._cancelled.clear()
                self._not_before = self._last_response + self._quirks.rest
                context = self._contexts[context_id]
                offer = self._offers[context.abstract_syntax]
                offer.service(self, context, request, data_set)
        except Ended as end:
            self.end(end)
            return end.reason

    def end(self, end: Ended) -> None:
        """Say goodbye as the protocol wants it; a peer that is gone is not told."""
        if end.abort is None:
            return
        try:
            self._stream.send(pdu.abort(*end.abort))
            self._stream.is_at_end(_GOODBYE)
        except OSError:
            # The connection is closed next in any case.
            return

    def send(self, context: Context, command: bytes, data_set: bytes | None = None) -> None:
        """Send one message; raises :class:`Ended`."""
        self.send_encoded(self.encoded(context, command, data_set))

    def encoded(self, context: Context, command: bytes, data_set: bytes | None = None) -> bytes:
        """Return one message as PDUs for this peer."""
        return pdu.write_message(context.id, command, data_set, self._max_length)

    def send_encoded(self, messages: bytes) -> None:
        """Send what :meth:`encoded` made, several at once if wished; raises :class:`Ended`."""
        if (rest := self._not_before - monotonic()) > 0:
            sleep(rest)
        try:
            self._stream.send(messages)
        except OSError as error:
            raise _ended(error) from error
        self._last_response = monotonic()

    def is_cancelled(self, message_id: int) -> bool:
        """Return whether a C-CANCEL-RQ for the message has come; raises :class:`Ended`."""
        try:
            while (arrived := self._stream.receive_nowait()) is not None:
                self._take(*arrived)
        except (pdu.PduError, OSError) as error:
            raise _ended(error) from error
        return message_id in self._cancelled

    def _next_request(self) -> tuple[int, Command, bytes]:
        limits = self._limits
        while not self._waiting:
            idle = limits.network_timeout or None
            if self._deadline is not None:
                idle = max(self._deadline - monotonic(), 0)
            try:
                kind, body = self._stream.receive(idle, limits.dimse_timeout)
                self._take(kind, body)
            except (pdu.PduError, OSError, Woken) as error:
                if isinstance(error, TooSlow) and self._deadline is None:
                    raise Ended("idle", _BY_USER) from error
                raise _ended(error) from error
        return self._waiting.popleft()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == pdu.P_DATA_TF:
            for fragment in pdu.read_fragments(body):
                self._take_fragment(fragment)
        elif kind == pdu.RELEASE_RQ:
            self._stream.send(pdu.RELEASE_RESPONSE)
            self._stream.is_at_end(_GOODBYE)
            raise Ended("released")
        elif kind == pdu.ABORT:
            raise Ended("aborted")
        else:
            raise Ended("protocol", _UNEXPECTED_PDU)

    def _take_fragment(self, fragment: pdu.Fragment) -> None:
        if fragment.context not in self._contexts:
            raise pdu.PduError("presentation context that was not accepted")
        if self._current is not None and self._current[0] != fragment.context:
            raise pdu.PduError("message over two presentation contexts")
        if fragment.is_command == (self._current is not None):
            raise pdu.PduError("command and data set out of order")
        if self._deadline is None:
            self._deadline = monotonic() + self._limits.dimse_timeout
        buffer = self._command if fragment.is_command else self._data_set
        buffer += fragment.data
        if len(self._command) > _MAX_COMMAND or len(self._data_set) > self._limits.max_data_set:
            raise pdu.PduError("message too large")
        if not fragment.is_last:
            return
        if fragment.is_command:
            try:
                command = dimse.read_command(bytes(self._command))
            except dimse.CommandError as error:
                raise pdu.PduError("malformed command") from error
            self._command.clear()
            self._current = (fragment.context, command)
            if command.has_data_set:
                return
        self._complete()

    def _complete(self) -> None:
        assert self._current is not None
        context_id, command = self._current
        data_set = bytes(self._data_set)
        self._data_set.clear()
        self._current = None
        self._deadline = None
        if command.field == dimse.C_CANCEL_RQ:
            # One that comes after the last response means nothing (PS3.7 9.3.2.3).
            if len(self._cancelled) < _MAX_WAITING:
                self._cancelled.add(command.responded_to)
            return
        if command.field & dimse.RESPONSE:
            raise pdu.PduError("response without a request")
        if len(self._waiting) >= _MAX_WAITING:
            raise pdu.PduError("too many requests at once")
        self._waiting.append((context_id, command, data_set))


def _unacceptable(request: pdu.AssociateRequest) -> Refusal | None:
    if not request.protocol_version & 1:
        return Refusal(PROTOCOL_VERSION, "request")
    if request.application_context != pdu.APPLICATION_CONTEXT:
        return Refusal(APPLICATION_CONTEXT, "request")
    if 0 < request.max_length < pdu.SMALLEST_LENGTH or not request.contexts:
        return Refusal(NO_REASON, "request")
    return None


def _ended(error: Exception) -> Ended:
    """Return the end that an error of the transport or of the peer means."""
    match error:
        case Ended():
            return error
        case Woken():
            return Ended("stopped", _BY_USER)
        case TooSlow():
            return Ended("slow", _BY_USER)
        case ConnectionLost():
            return Ended("lost")
        case pdu.PduError():
            return Ended("protocol", _INVALID_PDU)
        case _:
            return Ended("lost")
