"""What was mailed of exceptions."""

import sqlalchemy as sa
from alembic import op

import blocks.audit.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exceptions", sa.Column("mailed_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True))
    op.add_column("exceptions", sa.Column("mailed_as", sa.String(), nullable=True))
    op.add_column(
        "exceptions", sa.Column("resolved_mailed_at", blocks.audit.tables.UtcDateTime(timezone=True), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("exceptions", "resolved_mailed_at")
    op.drop_column("exceptions", "mailed_as")
    op.drop_column("exceptions", "mailed_at")
