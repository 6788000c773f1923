"""The block that says where the mapping tables and the policy are, and reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from blocks.failures import NotConfigured
from mappings.csv_tables import TablesUnusable
from mappings.surroundings import FILES, Tables, read_tables


class MappingTables(Block):
    """The folder with the client's mapping tables and policy.toml, read at the start of every cycle.

    Example:
        ```python
        from blocks.tables import MappingTables

        block = MappingTables.load("BLOCK_NAME")
        tables = block.read()
        ```
    """

    _block_type_name: ClassVar[str | None] = "tieout Mapping Tables"
    _block_type_slug: ClassVar[str | None] = "tieout-mapping-tables"
    _description: ClassVar[str | None] = "The folder with organisations.csv, accounts.csv, taxes.csv and policy.toml."

    directory: str = Field(title="Folder", description="An absolute path that every worker can read.")

    def read(self) -> Tables:
        """All tables and the policy. Raises NotConfigured with every problem: file, row, column."""
        folder = Path(os.path.expanduser(self.directory))  # noqa: PTH111  (an unknown ~user is no error here)
        if not folder.is_dir():
            raise NotConfigured(
                f"There is no folder {folder} with mapping tables on this machine; check [mappings] directory."
            )
        files: dict[str, bytes] = {}
        for name in FILES:
            try:
                files[name] = (folder / name).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise NotConfigured(f"The mapping table {folder / name} cannot be read: {error.strerror}.") from error
        try:
            return read_tables(files)
        except TablesUnusable as error:
            raise NotConfigured(f"The mapping tables in {folder} cannot be used:\n{error}") from error
