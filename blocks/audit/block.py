"""The block that says where the audit database is."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr

from blocks.audit.database import Audit, open_audit


class AuditDatabase(Block):
    """Where tieout keeps its own record: bindings, requests, outcomes, exceptions, every request and response.

    Example:
        ```python
        from blocks.audit.block import AuditDatabase

        database = AuditDatabase.load("BLOCK_NAME")
        audit = database.open()
        ```
    """

    # An error must not quote what was typed in, and a blank that was pasted along with a key is not part of it.
    model_config = ConfigDict(hide_input_in_errors=True, str_strip_whitespace=True)

    _block_type_name: ClassVar[str | None] = "tieout Audit Database"
    _block_type_slug: ClassVar[str | None] = "tieout-audit-database"
    _description: ClassVar[str | None] = "tieout's own record of every document, request, outcome and exception."

    url: SecretStr = Field(
        title="Database address",
        description="sqlite:////absolute/path/audit.db, or postgresql+psycopg://user:password@host/database.",
    )

    def open(self) -> Audit:
        """The open database, migrated to the newest version."""
        return open_audit(self.url.get_secret_value())
