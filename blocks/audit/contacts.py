"""The contacts that companies are known to be: found by rule when a document was posted, or made by us.

A company that is renamed in ConnectWise, or a contact that is renamed in Xero, stays the same customer by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.among import among
from blocks.audit.database import Audit
from blocks.audit.tables import CONTACTS


def known(audit: Audit, company_ids: Iterable[int]) -> dict[tuple[str, int], str]:
    """The contact of each company, by tenant and company."""
    ids = sorted(set(company_ids))
    found: dict[tuple[str, int], str] = {}
    with audit.reading() as connection:
        rows = connection.execute(select(CONTACTS).where(among(CONTACTS.c.company_id, ids)))
        found |= {(row.tenant_id, row.company_id): row.contact_id for row in rows}
    return found


def remember_in(connection: Connection, learnt: Sequence[tuple[str, int, str]], now: datetime) -> None:
    """Note tenant, company and contact; what was known before is replaced."""
    rows = {
        (tenant_id, company_id): {
            "tenant_id": tenant_id, "company_id": company_id, "contact_id": contact_id, "known_since": now,
        }
        for tenant_id, company_id, contact_id in learnt
    }  # fmt: skip
    if not rows:
        return
    connection.execute(UPSERT[connection.dialect.name], list(rows.values()))


def _upsert(insert_into: Any) -> Any:
    return insert_into.on_conflict_do_update(
        index_elements=["tenant_id", "company_id"],
        set_={"contact_id": insert_into.excluded.contact_id, "known_since": insert_into.excluded.known_since},
        where=CONTACTS.c.contact_id != insert_into.excluded.contact_id,
    )


UPSERT = {"sqlite": _upsert(sqlite.insert(CONTACTS)), "postgresql": _upsert(postgresql.insert(CONTACTS))}
