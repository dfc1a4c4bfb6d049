"""Messages on their way into a journal, a handler that is easy to predict, and a running writer."""

from __future__ import annotations

import contextlib
import shutil
import threading
from typing import TYPE_CHECKING

from vitalbridge.bridge.model import Order, Patient, PutOrder, PutPatient, PutStep, Step, StepStatus
from vitalbridge.bridge.store.database import Database
from vitalbridge.bridge.store.journal import Arrival, digest, microseconds
from vitalbridge.bridge.store.patient_cache import PatientCache
from vitalbridge.bridge.store.writer import Writer, WriterEvents
from vitalbridge.hl7 import Message
from vitalbridge.translate.records import PatientIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    import apsw

    from vitalbridge.bridge.model import Effect
    from vitalbridge.bridge.store.journal import Handled, Pending
    from vitalbridge.bridge.store.state import SqlState
    from vitalbridge.bridge.store.writer import Committed

    Process = Callable[[Pending, SqlState], list[Effect]]

SECONDS = 20.0
STEPS_OF_ORDER = 2


def order_message(control_id: str, *, patient: str = "P1", extra: str = "") -> bytes:
    """An order whose placer number is its control id."""
    segments = [
        f"MSH|^~\\&|RIS|CITY|PACS_BRIDGE|RADIOLOGY|20250101120000||ORM^O01|{control_id}|P|2.5.1",
        f"PID|1||{patient}^^^CITY^MR||DOE^JOHN||19800115|M",
        f"ORC|NW|{control_id}^RIS",
        f"OBR|1|{control_id}^RIS||71260^CT CHEST^CPT",
    ]
    if extra:
        segments.append(f"NTE|1||{extra}")
    return ("\r".join(segments) + "\r").encode()


def long_message(control_id: str, size: int) -> bytes:
    """An order of more than ``size`` bytes."""
    return order_message(control_id, extra="x" * size)


def arrival_of(
    raw: bytes,
    *,
    connection: int = 1,
    refused: str = "",
    received_at: int | None = None,
    ticket: object = None,
) -> Arrival:
    """The arrival of ``raw``, accepted unless ``refused`` names a reason."""
    message = Message(raw)
    code = "AE" if refused else "AA"
    return Arrival(
        raw=raw,
        message=None if refused else message,
        sender=f"{message.sending_application}|{message.sending_facility}",
        control_id=message.control_id,
        message_type=message.message_type,
        peer="127.0.0.1",
        trace_id=f"trace-{message.control_id}",
        received_at=microseconds() if received_at is None else received_at,
        ack_code=code,
        answer=f"MSA|{code}|{message.control_id}".encode(),
        ticket=ticket,
        connection=connection,
        reason=refused,
        digest=digest(raw),
    )


def two_steps(pending: Pending, state: SqlState) -> list[Effect]:
    """The effects of an order message: its patient if new, the order, two steps."""
    message = pending.message
    identifier = PatientIdentifier(message.get("PID-3.1"), message.get("PID-3.4"))
    patient = state.patient_with(identifier)
    effects: list[Effect] = []
    if patient is None:
        patient = Patient(state.new_key(), (identifier,), {"PatientName": "DOE^JOHN"})
        effects.append(PutPatient(patient))
    placer = message.get("ORC-2.1")
    order = Order(
        key=state.new_key(),
        patient_key=patient.key,
        placer=placer,
        filler="",
        accession=placer,
        requested_procedure_id=placer,
        study_uid=f"1.2.{pending.seq}",
        status=StepStatus.SCHEDULED,
        held=False,
        content="",
        attributes={},
    )
    effects.append(PutOrder(order))
    for n in range(STEPS_OF_ORDER):
        step = make_step(
            state.new_key(), patient.key, order_key=order.key, accession=placer, step_id=f"S{n}"
        )
        effects.append(PutStep(step, "created"))
    return effects


def make_step(key: int, patient_key: int, **values: Any) -> Step:
    """A scheduled CT step, changed by ``values``."""
    known: dict[str, Any] = {
        "key": key,
        "order_key": 0,
        "patient_key": patient_key,
        "accession": "",
        "requested_procedure_id": "",
        "step_id": "",
        "study_uid": "",
        "status": StepStatus.SCHEDULED,
        "held": False,
        "start": "20990101120000",
        "modality": "CT",
        "stations": ("CT_SCANNER_1",),
        "order_attributes": {},
        "step_attributes": {},
    }
    return Step(**(known | values))


class Recorder(WriterEvents):
    """Keeps what the writer reports; ``wait_for`` waits until it has come."""

    def __init__(self) -> None:
        self.settled: list[Committed] = []
        self.done: list[Handled] = []
        self.failures: list[Exception] = []
        self.groups: list[int] = []
        self._news = threading.Condition()

    def committed(self, results: list[Committed]) -> None:
        with self._news:
            self.settled += results
            self.groups.append(len(results))
            self._news.notify_all()

    def handled(self, results: list[Handled]) -> None:
        with self._news:
            self.done += results
            self._news.notify_all()

    def failed(self, error: Exception) -> None:
        with self._news:
            self.failures.append(error)
            self._news.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, SECONDS), "the writer reported too little"

    def wait_settled(self, count: int) -> None:
        self.wait_for(lambda: len(self.settled) >= count)

    def wait_handled(self, count: int) -> None:
        self.wait_for(lambda: len(self.done) >= count)

    def kinds(self) -> dict[str, str]:
        """Control id to what became of its newest arrival."""
        return {one.arrival.control_id: one.kind for one in self.settled}


class Store:
    """A database with its writer; the thread runs from ``start``."""

    def __init__(
        self,
        path: Path,
        process: Process = two_steps,
        *,
        subjects: Callable[[Message], Sequence[str]] | None = None,
        events: Recorder | None = None,
        duplicate_window: float = 3600.0,
        vfs: str | None = None,
    ) -> None:
        self.events = events or Recorder()
        self.database = Database(path, vfs=vfs)
        self.writer = Writer(
            self.database,
            PatientCache(),
            process,
            subjects,
            lambda raw, sender: Message(raw),
            self.events,
            duplicate_window,
        )

    @property
    def connection(self) -> apsw.Connection:
        """The writing connection: only before the start and after the stop."""
        return self.database.connection

    def start(self) -> Store:
        self.writer.start()
        return self

    def submit(self, *arrivals: Arrival) -> None:
        for arrival in arrivals:
            self.writer.submit(arrival)

    def accept(self, *raws: bytes, connection: int = 1) -> None:
        """Submit messages and wait until their fate is decided."""
        before = len(self.events.settled)
        self.submit(*(arrival_of(raw, connection=connection) for raw in raws))
        self.events.wait_settled(before + len(raws))

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query on the writer's thread."""
        if not self.writer.is_alive():
            return self.connection.execute(sql, tuple(values)).fetchall()
        call = self.writer.call(lambda w: w.state.execute(sql, tuple(values)).fetchall())
        return call.result(SECONDS)

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The one value of a query."""
        return self.ask(sql, values)[0][0]

    def stop_writer(self) -> None:
        if self.writer.ident is not None:
            assert self.writer.stop(SECONDS)

    def close(self) -> None:
        self.stop_writer()
        self.database.close()


@contextlib.contextmanager
def opened(path: Path, process: Process = two_steps, **options: Any) -> Iterator[Store]:
    """A started store, closed at the end of the block."""
    store = Store(path, process, **options)
    try:
        yield store.start()
    finally:
        store.close()


def copy_empty(empty: Path, path: Path) -> Path:
    """Put a new, empty database at ``path``: copying one is quicker than migrating."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty, path)
    return path
