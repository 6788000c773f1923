"""Which invoices are open, so that one that leaves ConnectWise's list of open ones is looked at; payments' exceptions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("is_open", sa.Boolean(), nullable=True))
    op.add_column("exceptions", sa.Column("payment_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("exceptions", "payment_id")
    op.drop_column("records", "is_open")
