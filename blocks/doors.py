"""All doors of one cycle, opened together: the audit, both systems, and the client's tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar, cast

import httpx
from prefect.blocks.core import Block
from pydantic import ValidationError

from blocks.audit.block import AuditDatabase
from blocks.audit.database import Audit
from blocks.connectwise.client import ConnectWiseClient
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.failures import NotConfigured
from blocks.mail import ExceptionMail
from blocks.tables import MappingTables
from blocks.xero.client import XeroClient
from blocks.xero.credentials import BlockTokenStore, XeroCredentials
from blocks.xero.tokens import TokenStore
from mappings.links import ConnectWiseSite


def utc_now() -> datetime:
    """The real time, in UTC and aware."""
    return datetime.now(UTC)


@dataclass
class Doors:
    """What a cycle reaches the outside with. `installation` is `[prefect] name`; `tenants` name -> tenant id."""

    installation: str
    audit: Audit
    connectwise: ConnectWiseClient
    xero: XeroClient
    site: ConnectWiseSite
    tables: MappingTables
    tenants: dict[str, str]
    clock: Callable[[], datetime] = field(default=utc_now)


def block_name(installation: str, what: str) -> str:
    """The name of one of an installation's blocks; two installations on one server never meet."""
    return f"{installation}-{what}"


def load_doors(installation: str, run_id: str, forced: bool = False) -> Doors:
    """Open the doors from the blocks of an installation, as a worker does."""
    return open_doors(
        installation,
        run_id,
        connectwise=_load(ConnectWiseCredentials, installation, "connectwise"),
        xero=_load(XeroCredentials, installation, "xero"),
        audit=_load(AuditDatabase, installation, "audit"),
        tables=load_tables(installation),
        store=BlockTokenStore(block_name(installation, "xero")),
        forced=forced,
    )


BlockType = TypeVar("BlockType", bound=Block)


def _load(kind: type[BlockType], installation: str, what: str) -> BlockType:
    name = block_name(installation, what)
    try:
        return cast(BlockType, kind.load(name))
    except ValueError as error:
        raise NotConfigured(
            f"The Prefect server has no block {name!r}; run `tieout setup` first, or check [prefect] name."
        ) from error
    except RuntimeError as error:
        # What ops typed in the UI is checked only when it is read; Prefect puts pydantic's words underneath.
        cause = error.__cause__
        words = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the block'}: {each['msg'].removeprefix('Value error, ')}"
            for each in (cause.errors(include_input=False) if isinstance(cause, ValidationError) else ())
        )
        raise NotConfigured(
            f"The block {name!r} cannot be used ({words or error}); correct it in the Prefect UI."
        ) from error


def load_tables(installation: str) -> MappingTables:
    """The tables block of an installation."""
    return _load(MappingTables, installation, "tables")


def load_mail(installation: str) -> ExceptionMail | None:
    """To whom exceptions are mailed; None where set-up found no [mail]. NotConfigured where the block is no good."""
    try:
        return _load(ExceptionMail, installation, "mail")
    except NotConfigured as error:
        if isinstance(error.__cause__, ValueError):
            return None
        raise


def open_doors(
    installation: str,
    run_id: str,
    *,
    connectwise: ConnectWiseCredentials,
    xero: XeroCredentials,
    audit: AuditDatabase,
    tables: MappingTables,
    store: TokenStore,
    forced: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    transports: tuple[httpx.BaseTransport | None, httpx.BaseTransport | None] = (None, None),
) -> Doors:
    """Open the doors from blocks in hand; `transports` replace the network on the way to ConnectWise and to Xero."""
    database = audit.open()
    return Doors(
        installation,
        database,
        connectwise.get_client(database, run_id, clock, transports[0], sleep),
        xero.get_client(store, database, run_id, clock, forced, transports[1], sleep),
        connectwise.site(),
        tables,
        dict(xero.organisations),
        clock,
    )
