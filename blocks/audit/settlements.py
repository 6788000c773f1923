"""What settles invoices: which of them are open, and the payments and allocations that we wrote, part by part."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.among import among
from blocks.audit.database import Audit, Held, pack
from blocks.audit.tables import BINDINGS, RECORDS, REQUEST_ROWS
from mappings.allocations import Allocate
from mappings.linked_transactions import Link
from mappings.outcomes import Outcome
from mappings.payments import Pay

_PART = re.compile(r"(\d+)-(\d+)")


Part = Pay | Allocate | Link
"""What a binding of this kind is of: one payment, one allocation, or one link of a bill's line."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A part as it is bound: what it is in Xero, and for how much."""

    part: str
    xero_id: str
    tenant_id: str
    total: Decimal
    date: date


@dataclass(frozen=True, slots=True)
class Glance:
    """How an invoice stood when it was last looked at: its amounts in words of ours, and whether any of it was due."""

    connectwise_id: int
    reference: str
    seen: str
    is_open: bool


def glances(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, Glance]:
    """What was last seen of these invoices."""
    found: dict[int, Glance] = {}
    with audit.reading() as connection:
        rows = connection.execute(
            select(RECORDS.c.connectwise_id, RECORDS.c.reference, RECORDS.c.seen, RECORDS.c.is_open).where(
                RECORDS.c.family == family, among(RECORDS.c.connectwise_id, ids)
            )
        )
        found |= {
            row.connectwise_id: Glance(row.connectwise_id, row.reference, row.seen, bool(row.is_open)) for row in rows
        }
    return found


def note(audit: Audit, family: str, run_id: str, glances: Iterable[Glance], now: datetime, lease: Held | None) -> None:
    """Keep what was seen of invoices on which there is nothing to do; what else is known of them stays."""
    rows = [
        {
            "family": family, "connectwise_id": each.connectwise_id, "reference": each.reference, "seen": each.seen,
            "is_open": each.is_open, "outcome": Outcome.UNCHANGED.value, "run_id": run_id, "tried_at": now,
            "organisation": "", "reason": "", "waits_on": "", "value": "", "message": "", "body": "",
        }
        for each in glances
    ]  # fmt: skip
    if not rows:
        return
    with audit.transaction(lease) as connection:
        upsert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(RECORDS)
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["family", "connectwise_id"],
                set_={name: upsert.excluded[name] for name in ("reference", "is_open")},
            ),
            rows,
        )


def open_ids(audit: Audit, family: str, after: int, limit: int) -> list[int]:
    """The next invoices, by id, of which something was due when they were last looked at."""
    query = (
        select(RECORDS.c.connectwise_id)
        .where(RECORDS.c.family == family, RECORDS.c.is_open.is_(True), RECORDS.c.connectwise_id > after)
        .order_by(RECORDS.c.connectwise_id)
        .limit(limit)
    )
    with audit.reading() as connection:
        return list(connection.execute(query).scalars())


def parts(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, list[Kept]]:
    """What we wrote of each of these invoices and did not take back."""
    found: dict[int, list[Kept]] = {}
    with audit.reading() as connection:
        rows = connection.execute(
            select(
                BINDINGS.c.connectwise_id, BINDINGS.c.part, BINDINGS.c.xero_id, BINDINGS.c.tenant_id,
                BINDINGS.c.total, BINDINGS.c.date,
            )
            .where(BINDINGS.c.family == family, among(BINDINGS.c.connectwise_id, ids))
            .order_by(BINDINGS.c.id)
        )  # fmt: skip
        for row in rows:
            kept = Kept(row.part, row.xero_id, row.tenant_id, Decimal(row.total), row.date)
            found.setdefault(row.connectwise_id, []).append(kept)
    return found


@dataclass(frozen=True, slots=True)
class Whose:
    """A part with the record that it belongs to. A blank `fingerprint`: it is known to be removed."""

    connectwise_id: int
    reference: str
    part: str
    xero_id: str
    fingerprint: str


def of_tenant(audit: Audit, family: str, tenant_id: str) -> list[Whose]:
    """Everything of a family that we wrote in one organisation."""
    columns = [BINDINGS.c[name] for name in ("connectwise_id", "reference", "part", "xero_id", "fingerprint")]
    query = select(*columns).where(BINDINGS.c.family == family, BINDINGS.c.tenant_id == tenant_id)
    with audit.reading() as connection:
        return [Whose(*row) for row in connection.execute(query.order_by(BINDINGS.c.id))]


def note_removed_in(connection: Connection, family: str, gone: Iterable[tuple[int, str]]) -> None:
    """Note that a person removed these parts in Xero. They stay bound: nothing is written in their place."""
    for connectwise_id, part in gone:
        connection.execute(
            update(BINDINGS)
            .where(
                BINDINGS.c.family == family, BINDINGS.c.connectwise_id == connectwise_id, BINDINGS.c.part == part,
            )
            .values(fingerprint="")
        )  # fmt: skip


def used(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """The highest instalment that each row of these invoices ever had, also in writes of which nothing came."""
    with audit.reading() as connection:
        return used_in(connection, family, ids)


def used_in(
    connection: Connection, family: str, ids: Sequence[int], besides: Collection[tuple[int, str]] = ()
) -> dict[int, dict[int, int]]:
    """The same within a transaction, leaving out some parts."""
    found: dict[int, dict[int, int]] = {}
    for table in (REQUEST_ROWS, BINDINGS):
        rows = connection.execute(
            select(table.c.connectwise_id, table.c.part).where(
                table.c.family == family, among(table.c.connectwise_id, ids)
            )
        )
        for row in rows:
            part = _PART.fullmatch(row.part)
            if part and (row.connectwise_id, row.part) not in besides:
                of_invoice = found.setdefault(row.connectwise_id, {})
                of_invoice[int(part[1])] = max(of_invoice.get(int(part[1]), 0), int(part[2]))
    return found


def bind_in(connection: Connection, written: Sequence[tuple[Part, str, str]], now: datetime) -> None:
    """Note payments or allocations that are in Xero, each with its id there and Xero's answer as text.

    Whoever came upon one first has bound it; another process may see it on its invoice before its writer does.
    """
    rows = [
        {
            "family": part.family, "connectwise_id": part.connectwise_id, "part": part.part,
            "tenant_id": part.tenant_id, "organisation": part.organisation, "xero_id": xero_id,
            "reference": part.reference, "fingerprint": part.fingerprint, "writes": 1,
            "total": format(part.total, "f"), "currency": part.currency, "date": part.date, "adopted": False,
            "lines": "{}", "base": pack(answer), "written": pack(part.to_text()), "bound_at": now,
        }
        for part, xero_id, answer in written
    ]  # fmt: skip
    if rows:
        insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
        connection.execute(insert(BINDINGS).on_conflict_do_nothing(), rows)


def unbind_in(connection: Connection, family: str, gone: Mapping[int, Iterable[str]]) -> None:
    """Give up parts that are not in Xero any more: taken back by us, or a person wants them written anew."""
    for connectwise_id, names in gone.items():
        connection.execute(
            delete(BINDINGS).where(
                BINDINGS.c.family == family,
                BINDINGS.c.connectwise_id == connectwise_id,
                BINDINGS.c.part.in_(list(names)),
            )
        )
