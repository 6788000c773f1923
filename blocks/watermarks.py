"""The watermark block: what ops read and reset in the UI. The audit database holds the one that counts."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field


class Watermark(Block):
    """How far a family has been read. To read again from an earlier time, fill in "Reset to".

    Example:
        ```python
        from blocks.watermarks import Watermark

        watermark = Watermark.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "tieout Watermark"
    _block_type_slug: ClassVar[str | None] = "tieout-watermark"
    _description: ClassVar[str | None] = "How far a record family has been read from ConnectWise."

    family: str = Field(title="Family", description="invoices, credit_notes, payments or purchase_orders.")
    position: datetime | None = Field(
        default=None, title="Read up to", description="Shown for information (UTC); kept by tieout."
    )
    reset_to: datetime | None = Field(
        default=None,
        title="Reset to",
        description="The next cycle reads everything changed since this time (UTC), then clears this field.",
    )
