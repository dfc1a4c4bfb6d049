"""The worklist's server: Modality Worklist FIND and Verification as SCP (DICOM PS3.4 K, A).

Every association has a thread; a stop lets requests in progress finish. What happens is told to
:class:`WorklistEvents`; nothing that a query or a reply holds is ever logged.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import threading
import traceback
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Final

from vitalbridge.dicom import access
from vitalbridge.dicom import command as dimse
from vitalbridge.dicom.association import (
    LIMIT_EXCEEDED,
    Association,
    Context,
    Ended,
    Limits,
    Offer,
    Refusal,
)
from vitalbridge.dicom.charsets import character_set
from vitalbridge.dicom.elements import SYNTAXES
from vitalbridge.dicom.find import Answers, Asked
from vitalbridge.dicom.network import PduStream
from vitalbridge.dicom.options import Peer, ServerOptions, WorklistEvents
from vitalbridge.dicom.query import InvalidIdentifier

if TYPE_CHECKING:
    from vitalbridge.dicom.command import Command
    from vitalbridge.dicom.pdu import AssociateRequest
    from vitalbridge.dicom.worklist import WorklistSource

MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
VERIFICATION: Final = "1.2.840.10008.1.1"

_LOG = logging.getLogger(__name__)
_ACCEPT_PAUSE: Final = 0.1
_HANG_UP: Final = 2.0
_BATCH: Final = 16 * 1024
_MAX_WAITING_ROOM: Final = 16
_FULL: Final = Refusal(LIMIT_EXCEEDED, "limit")


class WorklistServer:
    """Serves a worklist; ``start`` and ``stop`` may be called from any thread."""

    def __init__(
        self,
        source: WorklistSource,
        options: ServerOptions,
        events: WorklistEvents | None = None,
    ) -> None:
        """Prepare; raises ``UnknownCharacterSet`` for a peer's character set that nobody knows."""
        self._options = options
        self._events = events or WorklistEvents()
        self._answers = Answers(source, options.cache_bytes)
        self._peer_sets = {
            title: tuple(character_set(value) for value in peer.character_sets)
            for title, peer in options.peers.items()
        }
        self._limits = Limits(
            acse_timeout=options.acse_timeout,
            dimse_timeout=options.dimse_timeout,
            network_timeout=options.network_timeout,
            max_pdu_length=options.max_pdu_length,
            max_data_set=options.max_identifier,
        )
        syntaxes = tuple(SYNTAXES)
        self._offers = {
            VERIFICATION: Offer(syntaxes, self._echo),
            MODALITY_WORKLIST_FIND: Offer(syntaxes, self._find),
        }
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._established: set[threading.Thread] = set()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._stop_read, self._stop_write = -1, -1

    @property
    def associations(self) -> int:
        """The number of established associations."""
        with self._lock:
            return len(self._established)

    @property
    def connections(self) -> int:
        """The number of open connections, those without an association included."""
        with self._lock:
            return len(self._connections)

    def start(self) -> tuple[str, int]:
        """Listen; return (host, port). Raises ``OSError`` when the address can't be bound."""
        options = self._options
        family = socket.AF_INET6 if ":" in options.bind_address else socket.AF_INET
        self._listener = socket.create_server(
            (options.bind_address, options.port), family=family, backlog=128
        )
        self._listener.setblocking(False)
        self._stop_read, self._stop_write = os.pipe()
        self._acceptor = threading.Thread(target=self._accept, name="dicom-listener", daemon=True)
        self._acceptor.start()
        return self.address

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, as (host, port); raises ``RuntimeError`` before the start."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        host, port = self._listener.getsockname()[:2]
        return host, port

    def stop(self, timeout: float = 5.0) -> None:
        """Stop listening, let requests in progress finish for ``timeout`` seconds, then hang up.

        Returns two seconds later at most, even when a source does not return.
        """
        if self._acceptor is None or self._listener is None:
            return
        deadline = monotonic() + timeout
        os.write(self._stop_write, b"s")
        self._acceptor.join()
        self._acceptor = None
        self._listener.close()
        self._join(deadline)
        with self._lock:
            for connection in self._connections.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._join(monotonic() + _HANG_UP)
        if self._threads():
            # A source that does not return: its thread still watches the pipe.
            _LOG.error("DICOM stopped with a query that does not end")
            return
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _join(self, deadline: float) -> None:
        for thread in self._threads():
            thread.join(max(deadline - monotonic(), 0))

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._connections)

    def _accept(self) -> None:
        assert self._listener is not None
        poll = select.poll()
        poll.register(self._stop_read, select.POLLIN)
        stopped = select.poll()
        stopped.register(self._stop_read, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        starved = False
        while all(descriptor != self._stop_read for descriptor, _ in poll.poll()):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:
                # Out of descriptors or memory: what is open goes on, new ones wait a little.
                if not starved:
                    _LOG.error(
                        "DICOM connections not accepted: %s", errno.errorcode.get(error.errno or 0)
                    )
                starved = True
                if stopped.poll(_ACCEPT_PAUSE * 1000):
                    return
                continue
            if starved:
                _LOG.warning("DICOM connections accepted again")
            starved = False
            try:
                self._begin(connection, address[0])
            except Exception as error:
                # The listener outlives whatever is wrong with one connection.
                connection.close()
                _log_unexpected("DICOM connection not served", error)

    def _begin(self, connection: socket.socket, address: str) -> None:
        thread = threading.Thread(
            target=self._run, args=(connection, address), name="dicom-association", daemon=True
        )
        with self._lock:
            # A few more than associations, so that one too many still gets its rejection.
            crowded = len(self._connections) >= self._options.max_associations + _MAX_WAITING_ROOM
            if not crowded:
                self._connections[thread] = connection
        if crowded:
            connection.close()
            self._events.rejected("", address, "limit")
            return
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                del self._connections[thread]
            raise

    def _run(self, connection: socket.socket, address: str) -> None:
        try:
            with connection:
                self._associate(connection, address)
        except Exception as error:
            _log_unexpected("DICOM association ended by an error", error)
        finally:
            with self._lock:
                self._established.discard(threading.current_thread())
                del self._connections[threading.current_thread()]

    def _associate(self, connection: socket.socket, address: str) -> None:
        options = self._options
        stream = PduStream(
            connection,
            send_timeout=options.dimse_timeout,
            max_length=options.max_pdu_length,
            wake=self._stop_read,
        )
        association = Association(
            stream, self._offers, self._limits, lambda request: self._judge(request, address)
        )
        try:
            association.accept()
        except Ended as end:
            association.end(end)
            self._events.rejected(association.calling_ae, address, end.reason)
            return
        if association.refusal:
            self._events.rejected(association.calling_ae, address, association.refusal.reason)
            return
        self._events.opened(association.calling_ae, address)
        reason = "error"
        try:
            reason = association.serve()
        finally:
            self._events.closed(association.calling_ae, address, reason)

    def _judge(self, request: AssociateRequest, address: str) -> Refusal | None:
        if refused := access.refusal(request, address, self._options):
            return refused
        with self._lock:
            # Those that have connected and ask for nothing don't count: a port scan must not keep
            # modalities out.
            if len(self._established) >= self._options.max_associations:
                return _FULL
            self._established.add(threading.current_thread())
        return None

    def _echo(
        self, association: Association, context: Context, request: Command, data_set: bytes
    ) -> None:
        del data_set
        known = request.field == dimse.C_ECHO_RQ
        status = dimse.SUCCESS if known else dimse.UNRECOGNIZED_OPERATION
        association.send(context, dimse.write_response(request, status))
        if known:
            self._events.echoed(association.calling_ae)

    def _find(
        self, association: Association, context: Context, request: Command, data_set: bytes
    ) -> None:
        if request.field != dimse.C_FIND_RQ:
            response = dimse.write_response(request, dimse.UNRECOGNIZED_OPERATION)
            association.send(context, response)
            return
        started = perf_counter()
        search = _Search(association, context, request)
        status, comment, offending = self._run_find(search, data_set)
        final = dimse.write_response(request, status, comment=comment, offending=offending)
        search.finish(final)
        self._events.queried(
            association.calling_ae, perf_counter() - started, search.results, status
        )
        if search.transliterated:
            self._events.transliterated(association.calling_ae, search.transliterated)

    def _run_find(self, search: _Search, data_set: bytes) -> tuple[int, str, int]:
        """Send the matches; return (final status, error comment, offending element)."""
        request, calling_ae = search.request, search.association.calling_ae
        if request.sop_class != MODALITY_WORKLIST_FIND:
            return dimse.SOP_CLASS_NOT_SUPPORTED, "", 0
        allowed = self._peer_sets.get(calling_ae, ())
        try:
            asked = self._answers.understand(
                data_set, SYNTAXES[search.context.transfer_syntax], allowed
            )
            return self._send_matches(search, asked)
        except InvalidIdentifier as error:
            return dimse.IDENTIFIER_DOES_NOT_MATCH, error.text, error.tag
        except OSError as error:
            _log_unexpected("Worklist query failed", error)
            return dimse.UNABLE_TO_PROCESS, "Worklist storage failed", 0
        except Ended:
            raise
        except Exception as error:
            _log_unexpected("Worklist query failed", error)
            return dimse.UNABLE_TO_PROCESS, "Worklist query failed", 0

    def _send_matches(self, search: _Search, asked: Asked) -> tuple[int, str, int]:
        limit = self._options.max_results
        for response in self._answers.matches(asked):
            if search.is_cancelled():
                return dimse.CANCEL, "", 0
            if limit and search.results == limit:
                comment = f"More than {limit} matches, narrow the query"
                return dimse.OUT_OF_RESOURCES, comment, 0
            search.add(response.data, response.complete, response.transliterated)
        return dimse.SUCCESS, "", 0


class _Search:
    """One C-FIND in progress: its matches, sent in batches."""

    def __init__(self, association: Association, context: Context, request: Command) -> None:
        self.association = association
        self.context = context
        self.request = request
        self.results = 0
        self.transliterated = 0
        self._pending = dimse.write_response(request, dimse.PENDING, has_data_set=True)
        self._warning = dimse.write_response(request, dimse.PENDING_WITH_WARNING, has_data_set=True)
        self._batch: list[bytes] = []
        self._size = 0

    def is_cancelled(self) -> bool:
        return self.association.is_cancelled(self.request.message_id)

    def add(self, data: bytes, complete: bool, transliterated: int) -> None:
        command = self._pending if complete else self._warning
        message = self.association.encoded(self.context, command, data)
        self.results += 1
        self.transliterated += transliterated
        self._batch.append(message)
        self._size += len(message)
        if self._size >= _BATCH:
            self.association.send_encoded(b"".join(self._batch))
            self._batch.clear()
            self._size = 0

    def finish(self, final: bytes) -> None:
        self._batch.append(self.association.encoded(self.context, final))
        self.association.send_encoded(b"".join(self._batch))


def _log_unexpected(what: str, error: Exception) -> None:
    # The text of an exception may quote a value; where it came from does not.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s: %s\n%s", what, type(error).__name__, frames)


__all__ = [
    "MODALITY_WORKLIST_FIND",
    "VERIFICATION",
    "Peer",
    "ServerOptions",
    "WorklistEvents",
    "WorklistServer",
]
