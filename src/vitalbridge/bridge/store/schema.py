"""The one schema of the bridge's database, for SQLite and PostgreSQL; Alembic migrates it.

Imported only by migrations and tests: the running service speaks to the engine directly.
Times are microseconds since 1970 UTC. ``state`` of a message: 0 pending, 1 done, 2 dead letter,
3 refused, 4 waiting for an operator (an earlier message of the same order failed).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData()

# SQLite gives a rowid alias, and with it the cheap append, only to INTEGER PRIMARY KEY.
Key = BigInteger().with_variant(Integer, "sqlite")

generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
)

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uid_namespace", Text, nullable=False),
)

inbound = Table(
    "inbound",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("received_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("control_id", Text, nullable=False),
    Column("message_type", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("peer", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("ack_code", Text, nullable=False),
    Column("ack", LargeBinary),
    Column("handled_at", BigInteger),
    Column("outcome", Text),
    Index(
        "inbound_unhandled",
        "seq",
        "state",
        sqlite_where=text("state IN (0, 4)"),
        postgresql_where=text("state IN (0, 4)"),
    ),
    Index("inbound_control_id", "control_id", "digest"),
    Index(
        "inbound_dead",
        "seq",
        sqlite_where=text("state = 2"),
        postgresql_where=text("state = 2"),
    ),
)

inbound_body = Table(
    "inbound_body",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

inbound_chunk = Table(
    "inbound_chunk",
    metadata,
    Column("body_id", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("part", LargeBinary, nullable=False),
    PrimaryKeyConstraint("body_id", "n"),
)

chunked_body = Table(
    "chunked_body",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("body_id", BigInteger, nullable=False),
)

waiting_subject = Table(
    "waiting_subject",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

patient = Table(
    "patient",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("merged_into", BigInteger),
    Column("body", LargeBinary, nullable=False),
)

patient_identifier = Table(
    "patient_identifier",
    metadata,
    Column("id", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("patient_key", BigInteger, nullable=False),
    Column("retired_key", BigInteger),
    PrimaryKeyConstraint("id", "issuer"),
    Index("patient_identifier_patient", "patient_key"),
    sqlite_with_rowid=False,
)

patient_name = Table(
    "patient_name",
    metadata,
    Column("folded", Text, nullable=False),
    Column("patient_key", BigInteger, nullable=False),
    PrimaryKeyConstraint("folded", "patient_key"),
    Index("patient_name_patient", "patient_key"),
    sqlite_with_rowid=False,
)

patient_merge = Table(
    "patient_merge",
    metadata,
    Column("retired_key", BigInteger, primary_key=True, autoincrement=False),
    Column("surviving_key", BigInteger, nullable=False),
    Column("moved", LargeBinary, nullable=False),
)

imaging_order = Table(
    "imaging_order",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("patient_key", BigInteger, nullable=False),
    Column("placer", Text, nullable=False),
    Column("filler", Text, nullable=False),
    Column("accession", Text, nullable=False),
    Column("requested_procedure_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("imaging_order_patient", "patient_key"),
    Index("imaging_order_placer", "placer", sqlite_where=text("placer <> ''")),
    Index("imaging_order_filler", "filler", sqlite_where=text("filler <> ''")),
    Index("imaging_order_procedure", "accession", "requested_procedure_id"),
)

worklist_step = Table(
    "worklist_step",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("order_key", BigInteger, nullable=False),
    Column("patient_key", BigInteger, nullable=False),
    Column("accession", Text, nullable=False),
    Column("requested_procedure_id", Text, nullable=False),
    Column("step_id", Text, nullable=False),
    Column("study_uid", Text, nullable=False),
    Column("start", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("visible", Boolean, nullable=False),
    Column("unmapped", Boolean, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("appointment", Text, nullable=False),
    Column("placer", Text, nullable=False),
    Column("filler", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("worklist_step_patient", "patient_key"),
    Index("worklist_step_order", "order_key", sqlite_where=text("order_key <> 0")),
    Index("worklist_step_appointment", "appointment", sqlite_where=text("appointment <> ''")),
    Index("worklist_step_unordered", "placer", sqlite_where=text("order_key = 0")),
    Index("worklist_step_unordered_filler", "filler", sqlite_where=text("order_key = 0")),
    Index("worklist_step_start", "start", sqlite_where=text("visible = 1")),
    Index("worklist_step_modality", "modality", "start", sqlite_where=text("visible = 1")),
    Index("worklist_step_accession", "accession", sqlite_where=text("visible = 1")),
    Index("worklist_step_study", "study_uid", sqlite_where=text("visible = 1")),
    Index("worklist_step_procedure", "requested_procedure_id", sqlite_where=text("visible = 1")),
    Index("worklist_step_id", "step_id", sqlite_where=text("visible = 1")),
    Index("worklist_step_unmapped", "start", sqlite_where=text("unmapped = 1")),
)

step_station = Table(
    "step_station",
    metadata,
    Column("station", Text, nullable=False),
    Column("start", Text, nullable=False),
    Column("step_key", BigInteger, nullable=False),
    PrimaryKeyConstraint("station", "start", "step_key"),
    Index("step_station_step", "step_key"),
    sqlite_with_rowid=False,
)

last_seen = Table(
    "last_seen",
    metadata,
    Column("subject", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("time", Text, nullable=False),
    PrimaryKeyConstraint("subject", "sender"),
    sqlite_with_rowid=False,
)
