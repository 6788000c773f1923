"""First tables."""

import sqlalchemy as sa
from alembic import op

import blocks.audit.tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_calls",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("taken_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("done_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("api_calls", schema=None) as batch_op:
        batch_op.create_index("ix_api_calls_window", ["app", "scope", "done_at"], unique=False)

    op.create_table(
        "api_pauses",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("until", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("day_remaining", sa.Integer(), nullable=True),
        sa.Column("seen_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("app", "scope"),
    )
    op.create_table(
        "bindings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("xero_id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("writes", sa.Integer(), nullable=False),
        sa.Column("total", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("base", sa.LargeBinary(), nullable=False),
        sa.Column("bound_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("family", "connectwise_id", "part", name="uq_bindings_record"),
        sa.UniqueConstraint("tenant_id", "xero_id", "part", name="uq_bindings_document"),
    )
    op.create_table(
        "exceptions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("amount", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fix", sa.Text(), nullable=False),
        sa.Column("since", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("first_run", sa.String(), nullable=False),
        sa.Column("last_run", sa.String(), nullable=False),
        sa.Column("resolved_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("exceptions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exceptions_reference"), ["reference"], unique=False)
        batch_op.create_index(
            "uq_exceptions_open",
            ["family", "connectwise_id", "part"],
            unique=True,
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )

    op.create_table(
        "exchanges",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("references", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("response_hash", sa.String(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("exchanges", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exchanges_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_exchanges_run_id"), ["run_id"], unique=False)

    op.create_table(
        "found_documents",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("xero_id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "xero_id"),
    )
    with op.batch_alter_table("found_documents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_found_documents_connectwise_id"), ["connectwise_id"], unique=False)

    op.create_table(
        "installation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("set_up_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "kept_lists",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("read_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("taken_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("amount", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("xero_id", sa.String(), nullable=False),
        sa.Column("connectwise_url", sa.String(), nullable=False),
        sa.Column("xero_url", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("rows_used", sa.Text(), nullable=False),
        sa.Column("at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("outcomes", schema=None) as batch_op:
        batch_op.create_index("ix_outcomes_record", ["family", "connectwise_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_outcomes_reference"), ["reference"], unique=False)
        batch_op.create_index(batch_op.f("ix_outcomes_run_id"), ["run_id"], unique=False)

    op.create_table(
        "records",
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("seen", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("waits_on", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("tried_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("copy_of", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("family", "connectwise_id"),
    )
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_records_reference"), ["reference"], unique=False)
        batch_op.create_index("ix_records_waiting", ["family", "outcome"], unique=False)

    op.create_table(
        "requests",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("stored_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("settled_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index("ix_requests_open", ["family", "settled_at"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("flow_run_id", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("started_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_family"), ["family"], unique=False)

    op.create_table(
        "watermarks",
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("position", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("family"),
    )
    op.create_table(
        "request_rows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("connectwise_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("settled_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["requests.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("request_rows", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_request_rows_request_id"), ["request_id"], unique=False)
        batch_op.create_index(
            "uq_request_rows_unsettled",
            ["family", "connectwise_id", "part"],
            unique=True,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("request_rows", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_request_rows_unsettled",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_request_rows_request_id"))

    op.drop_table("request_rows")
    op.drop_table("watermarks")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_family"))

    op.drop_table("runs")
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index("ix_requests_open")

    op.drop_table("requests")
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_index("ix_records_waiting")
        batch_op.drop_index(batch_op.f("ix_records_reference"))

    op.drop_table("records")
    with op.batch_alter_table("outcomes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outcomes_run_id"))
        batch_op.drop_index(batch_op.f("ix_outcomes_reference"))
        batch_op.drop_index("ix_outcomes_record")

    op.drop_table("outcomes")
    op.drop_table("leases")
    op.drop_table("kept_lists")
    op.drop_table("installation")
    with op.batch_alter_table("found_documents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_found_documents_connectwise_id"))

    op.drop_table("found_documents")
    with op.batch_alter_table("exchanges", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exchanges_run_id"))
        batch_op.drop_index(batch_op.f("ix_exchanges_at"))

    op.drop_table("exchanges")
    with op.batch_alter_table("exceptions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_exceptions_open",
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_exceptions_reference"))

    op.drop_table("exceptions")
    op.drop_table("bindings")
    op.drop_table("api_pauses")
    with op.batch_alter_table("api_calls", schema=None) as batch_op:
        batch_op.drop_index("ix_api_calls_window")

    op.drop_table("api_calls")
