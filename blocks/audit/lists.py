"""Reference lists of both systems as last read: kept so that most cycles need not ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.database import Audit, pack, unpack
from blocks.audit.tables import KEPT_LISTS


@dataclass(frozen=True, slots=True)
class Kept:
    """A list as JSON text, and when it was read."""

    text: str
    read_at: datetime


def keep(audit: Audit, scope: str, name: str, text: str, now: datetime) -> None:
    """Keep a list; `scope` is the system, for Xero with the organisation's tenant id."""
    with audit.transaction() as connection:
        upsert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(KEPT_LISTS)
        connection.execute(
            upsert.values(scope=scope, name=name, read_at=now, body=pack(text)).on_conflict_do_update(
                index_elements=["scope", "name"],
                set_={"read_at": upsert.excluded.read_at, "body": upsert.excluded.body},
            )
        )


def kept(audit: Audit, scope: str, name: str) -> Kept | None:
    """The list as last kept, or None."""
    with audit.reading() as connection:
        row = connection.execute(
            select(KEPT_LISTS.c.body, KEPT_LISTS.c.read_at).where(
                KEPT_LISTS.c.scope == scope, KEPT_LISTS.c.name == name
            )
        ).first()
    return None if row is None else Kept(unpack(row.body), row.read_at)


def expire(audit: Audit, scope: str, long_ago: datetime) -> None:
    """Let the lists of a scope count as old, so that the next cycle that needs them reads them anew."""
    with audit.transaction() as connection:
        connection.execute(update(KEPT_LISTS).where(KEPT_LISTS.c.scope == scope).values(read_at=long_ago))
