"""The location of each record, by which a sweep tells what was deleted from what is hidden."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("location_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("records", "location_id")
