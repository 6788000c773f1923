"""Our document as last written, beside Xero's answer to it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bindings", sa.Column("written", sa.LargeBinary(), nullable=True))
    # What was posted before is in the request that posted it; what was adopted was never written.
    op.execute(
        "UPDATE bindings SET written = ("
        "SELECT document FROM request_rows WHERE request_rows.family = bindings.family "
        "AND request_rows.connectwise_id = bindings.connectwise_id AND request_rows.part = bindings.part "
        "AND request_rows.fingerprint = bindings.fingerprint ORDER BY request_rows.id DESC LIMIT 1)"
    )


def downgrade() -> None:
    op.drop_column("bindings", "written")
