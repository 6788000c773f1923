"""Contacts that companies are known to be."""

import sqlalchemy as sa
from alembic import op

import blocks.audit.tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("known_since", blocks.audit.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "company_id"),
    )


def downgrade() -> None:
    op.drop_table("contacts")
