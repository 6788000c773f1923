"""Which other purchase orders a vendor's invoice covers, as the bills of each were last told."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("purchase_orders") as table:
        table.add_column(sa.Column("also_covers", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("purchase_orders") as table:
        table.drop_column("also_covers")
