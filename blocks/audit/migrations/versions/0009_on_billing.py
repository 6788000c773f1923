"""Which invoice bills a line of a purchase order on, and the orders as they were read for it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traced_orders",
        sa.Column("connectwise_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("copy_of", sa.LargeBinary(), nullable=True),
    )
    op.create_table(
        "on_billing",
        sa.Column("line_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("product_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("certainty", sa.String(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("traced_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_on_billing_order_id", "on_billing", ["order_id"])


def downgrade() -> None:
    op.drop_table("on_billing")
    op.drop_table("traced_orders")
