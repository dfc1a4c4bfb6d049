"""journal patients orders worklist"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chunked_body",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("body_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("commits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "imaging_order",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("patient_key", sa.BigInteger(), nullable=False),
        sa.Column("placer", sa.Text(), nullable=False),
        sa.Column("filler", sa.Text(), nullable=False),
        sa.Column("accession", sa.Text(), nullable=False),
        sa.Column("requested_procedure_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(
        "imaging_order_filler",
        "imaging_order",
        ["filler"],
        unique=False,
        sqlite_where=sa.text("filler <> ''"),
    )
    op.create_index("imaging_order_patient", "imaging_order", ["patient_key"], unique=False)
    op.create_index(
        "imaging_order_placer",
        "imaging_order",
        ["placer"],
        unique=False,
        sqlite_where=sa.text("placer <> ''"),
    )
    op.create_index(
        "imaging_order_procedure",
        "imaging_order",
        ["accession", "requested_procedure_id"],
        unique=False,
    )
    op.create_table(
        "inbound",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("control_id", sa.Text(), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("ack_code", sa.Text(), nullable=False),
        sa.Column("ack", sa.LargeBinary(), nullable=True),
        sa.Column("handled_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("inbound_control_id", "inbound", ["control_id", "digest"], unique=False)
    op.create_index(
        "inbound_dead",
        "inbound",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.create_index(
        "inbound_unhandled",
        "inbound",
        ["seq", "state"],
        unique=False,
        sqlite_where=sa.text("state IN (0, 4)"),
        postgresql_where=sa.text("state IN (0, 4)"),
    )
    op.create_table(
        "inbound_body",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "inbound_chunk",
        sa.Column("body_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("part", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("body_id", "n"),
    )
    op.create_table(
        "last_seen",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "sender"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "patient",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("merged_into", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "patient_identifier",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.BigInteger(), nullable=False),
        sa.Column("retired_key", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", "issuer"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "patient_identifier_patient", "patient_identifier", ["patient_key"], unique=False
    )
    op.create_table(
        "patient_merge",
        sa.Column("retired_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("surviving_key", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("retired_key"),
    )
    op.create_table(
        "patient_name",
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("folded", "patient_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("patient_name_patient", "patient_name", ["patient_key"], unique=False)
    op.create_table(
        "step_station",
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("step_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("station", "start", "step_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("step_station_step", "step_station", ["step_key"], unique=False)
    op.create_table(
        "waiting_subject",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "worklist_step",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("order_key", sa.BigInteger(), nullable=False),
        sa.Column("patient_key", sa.BigInteger(), nullable=False),
        sa.Column("accession", sa.Text(), nullable=False),
        sa.Column("requested_procedure_id", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("unmapped", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("appointment", sa.Text(), nullable=False),
        sa.Column("placer", sa.Text(), nullable=False),
        sa.Column("filler", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(
        "worklist_step_accession",
        "worklist_step",
        ["accession"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_appointment",
        "worklist_step",
        ["appointment"],
        unique=False,
        sqlite_where=sa.text("appointment <> ''"),
    )
    op.create_index(
        "worklist_step_id",
        "worklist_step",
        ["step_id"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_modality",
        "worklist_step",
        ["modality", "start"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_order",
        "worklist_step",
        ["order_key"],
        unique=False,
        sqlite_where=sa.text("order_key <> 0"),
    )
    op.create_index("worklist_step_patient", "worklist_step", ["patient_key"], unique=False)
    op.create_index(
        "worklist_step_procedure",
        "worklist_step",
        ["requested_procedure_id"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_start",
        "worklist_step",
        ["start"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_study",
        "worklist_step",
        ["study_uid"],
        unique=False,
        sqlite_where=sa.text("visible = 1"),
    )
    op.create_index(
        "worklist_step_unmapped",
        "worklist_step",
        ["start"],
        unique=False,
        sqlite_where=sa.text("unmapped = 1"),
    )
    op.create_index(
        "worklist_step_unordered",
        "worklist_step",
        ["placer"],
        unique=False,
        sqlite_where=sa.text("order_key = 0"),
    )
    op.create_index(
        "worklist_step_unordered_filler",
        "worklist_step",
        ["filler"],
        unique=False,
        sqlite_where=sa.text("order_key = 0"),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("uid_namespace", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        f"INSERT INTO installation (id, uid_namespace) VALUES (1, '{secrets.token_hex(16)}')"
    )
    op.execute("INSERT INTO generation (id, n, commits) VALUES (1, 0, 0)")
    op.execute(
        "CREATE VIEW messages AS "
        "SELECT seq, 'inbound' AS destination, state FROM inbound WHERE state IN (0, 4)"
    )


def downgrade() -> None:
    op.execute("DROP VIEW messages")
    op.drop_index(
        "worklist_step_unordered_filler",
        table_name="worklist_step",
        sqlite_where=sa.text("order_key = 0"),
    )
    op.drop_index(
        "worklist_step_unordered", table_name="worklist_step", sqlite_where=sa.text("order_key = 0")
    )
    op.drop_index(
        "worklist_step_unmapped", table_name="worklist_step", sqlite_where=sa.text("unmapped = 1")
    )
    op.drop_index(
        "worklist_step_study", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_index(
        "worklist_step_start", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_index(
        "worklist_step_procedure", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_index("worklist_step_patient", table_name="worklist_step")
    op.drop_index(
        "worklist_step_order", table_name="worklist_step", sqlite_where=sa.text("order_key <> 0")
    )
    op.drop_index(
        "worklist_step_modality", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_index(
        "worklist_step_id", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_index(
        "worklist_step_appointment",
        table_name="worklist_step",
        sqlite_where=sa.text("appointment <> ''"),
    )
    op.drop_index(
        "worklist_step_accession", table_name="worklist_step", sqlite_where=sa.text("visible = 1")
    )
    op.drop_table("worklist_step")
    op.drop_table("waiting_subject")
    op.drop_index("step_station_step", table_name="step_station")
    op.drop_table("step_station")
    op.drop_index("patient_name_patient", table_name="patient_name")
    op.drop_table("patient_name")
    op.drop_table("patient_merge")
    op.drop_index("patient_identifier_patient", table_name="patient_identifier")
    op.drop_table("patient_identifier")
    op.drop_table("patient")
    op.drop_table("last_seen")
    op.drop_table("inbound_chunk")
    op.drop_table("inbound_body")
    op.drop_index(
        "inbound_unhandled",
        table_name="inbound",
        sqlite_where=sa.text("state IN (0, 4)"),
        postgresql_where=sa.text("state IN (0, 4)"),
    )
    op.drop_index(
        "inbound_dead",
        table_name="inbound",
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.drop_index("inbound_control_id", table_name="inbound")
    op.drop_table("inbound")
    op.drop_index("imaging_order_procedure", table_name="imaging_order")
    op.drop_index(
        "imaging_order_placer", table_name="imaging_order", sqlite_where=sa.text("placer <> ''")
    )
    op.drop_index("imaging_order_patient", table_name="imaging_order")
    op.drop_index(
        "imaging_order_filler", table_name="imaging_order", sqlite_where=sa.text("filler <> ''")
    )
    op.drop_table("imaging_order")
    op.drop_table("installation")
    op.drop_table("generation")
    op.drop_table("chunked_body")
