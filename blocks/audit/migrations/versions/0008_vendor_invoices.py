"""Which other purchase orders a vendor's invoice covers, as the bills of each were last told; and bills that share."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("purchase_orders") as table:
        table.add_column(sa.Column("also_covers", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "shared_bills",
        sa.Column("bill_key", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("order_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_shared_bills_order_id", "shared_bills", ["order_id"])


def downgrade() -> None:
    op.drop_table("shared_bills")
    with op.batch_alter_table("purchase_orders") as table:
        table.drop_column("also_covers")
