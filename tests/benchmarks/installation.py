"""The blocks that a cycle of ours is opened from, for one world and one audit database."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from blocks.audit.block import AuditDatabase
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import block_name
from blocks.tables import MappingTables
from blocks.watermarks import Watermark
from blocks.xero.credentials import XeroCredentials
from tests.benchmarks.client import Task


@dataclass(frozen=True)
class Blocks:
    """All blocks of an installation but the watermark's."""

    connectwise: ConnectWiseCredentials
    xero: XeroCredentials
    audit: AuditDatabase
    tables: MappingTables


def blocks_of(task: Task) -> Blocks:
    """The blocks, not saved."""
    return Blocks(
        ConnectWiseCredentials(
            url=task.connectwise,
            company="sandbox",
            public_key=SecretStr("sandbox-public"),
            private_key=SecretStr("sandbox-private"),
            client_id="00000000-0000-4000-8000-000000000001",
            per_minute=0,
            concurrent=0,
        ),
        XeroCredentials(
            client_id="sandbox-client",
            client_secret=SecretStr("sandbox-secret"),
            organisations=task.organisations,
            api_url=task.xero,
            identity_url=task.xero,
            login_url=task.xero,
            configured_refresh_token=SecretStr("sandbox-refresh-0"),
            per_minute=task.per_minute,
            concurrent=task.concurrent,
            max_wait_seconds=90,
        ),
        AuditDatabase(url=SecretStr(f"sqlite:///{task.audit}")),
        MappingTables(directory=task.tables),
    )


def save(task: Task) -> None:
    """Save the blocks on the Prefect server, as `tieout setup` does."""
    blocks = blocks_of(task)
    name = task.installation
    blocks.connectwise.save(block_name(name, "connectwise"), overwrite=True)
    blocks.xero.save(block_name(name, "xero"), overwrite=True)
    blocks.audit.save(block_name(name, "audit"), overwrite=True)
    blocks.tables.save(block_name(name, "tables"), overwrite=True)
    Watermark(family="invoices").save(block_name(name, "watermark-invoices"), overwrite=True)
