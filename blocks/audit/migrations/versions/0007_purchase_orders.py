"""How each purchase order stood when it was last read."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "purchase_orders",
        sa.Column("connectwise_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("ordered_on", sa.Date(), nullable=True),
        sa.Column("vendor_id", sa.Integer(), nullable=False),
        sa.Column("vendor_identifier", sa.String(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("ordered_value", sa.String(), nullable=False),
        sa.Column("received_value", sa.String(), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=True),
        sa.Column("vendor_invoice_number", sa.String(), nullable=False),
        sa.Column("location_id", sa.Integer(), nullable=False),
        sa.Column("seen", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("lifecycle", sa.String(), nullable=False),
        sa.Column("answered", sa.String(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_purchase_orders_reference", "purchase_orders", ["reference"])
    op.create_index("ix_purchase_orders_is_open", "purchase_orders", ["is_open"])


def downgrade() -> None:
    op.drop_table("purchase_orders")
