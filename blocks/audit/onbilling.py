"""On-billing: purchase orders as they were read for it, and which invoice bills each line on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.among import among
from blocks.audit.database import Audit, Held, pack, unpack
from blocks.audit.tables import ON_BILLING, TRACED_ORDERS
from mappings.billing import plain_quantity
from mappings.connectwise import SourcePurchaseOrder
from mappings.onbilling import Certainty, Trace


def digests(audit: Audit) -> dict[int, str]:
    """What on-billing knows of each order, in short; '' for one that ConnectWise did not show."""
    with audit.reading() as connection:
        rows = connection.execute(select(TRACED_ORDERS.c.connectwise_id, TRACED_ORDERS.c.digest))
        return {row.connectwise_id: row.digest for row in rows}


def kept_orders(audit: Audit) -> list[SourcePurchaseOrder]:
    """All orders as they were last read, in the order of their ids."""
    query = select(TRACED_ORDERS.c.copy_of).where(TRACED_ORDERS.c.copy_of.is_not(None))
    with audit.reading() as connection:
        copies = connection.execute(query.order_by(TRACED_ORDERS.c.connectwise_id)).scalars()
        return [SourcePurchaseOrder.model_validate_json(unpack(copy)) for copy in copies]


def keep_orders(
    audit: Audit,
    orders: Iterable[tuple[SourcePurchaseOrder, str]],
    hidden: Iterable[int],
    now: datetime,
    lease: Held | None,
) -> None:
    """Keep orders as they were read, each with its digest; and which of them ConnectWise does not show."""
    rows = [
        {
            "connectwise_id": each.header.id, "digest": digest, "read_at": now, "copy_of": pack(each.model_dump_json()),
        }
        for each, digest in orders
    ]  # fmt: skip
    with audit.transaction(lease) as connection:
        if rows:
            upsert = _upsert(connection)(TRACED_ORDERS)
            changed = {name: upsert.excluded[name] for name in ("digest", "read_at", "copy_of")}
            connection.execute(upsert.on_conflict_do_update(index_elements=["connectwise_id"], set_=changed), rows)
        absent = [{"connectwise_id": number, "digest": "", "read_at": now, "copy_of": None} for number in hidden]
        if absent:
            # One that was read before stays as it was: what is not shown is not gone.
            connection.execute(_upsert(connection)(TRACED_ORDERS).on_conflict_do_nothing(), absent)


def traces(audit: Audit, orders: Collection[int] | None = None) -> list[Trace]:
    """What bills the lines of these orders on (of all orders), by line and product."""
    query = select(ON_BILLING).order_by(ON_BILLING.c.order_id, ON_BILLING.c.line_id, ON_BILLING.c.product_id)
    with audit.reading() as connection:
        if orders is None:
            rows = connection.execute(query).all()
        else:
            rows = connection.execute(query.where(among(ON_BILLING.c.order_id, sorted(orders)))).all()
    return [
        Trace(
            row.order_id, row.line_id, row.product_id, row.invoice_id, Decimal(row.quantity), Certainty(row.certainty),
            row.evidence,
        )
        for row in rows
    ]  # fmt: skip


def keep_traces(audit: Audit, lines: Sequence[int], found: Iterable[Trace], now: datetime, lease: Held | None) -> None:
    """Replace what is known of these lines."""
    rows = [
        asdict(each) | {"quantity": plain_quantity(each.quantity), "certainty": each.certainty.value, "traced_at": now}
        for each in found
    ]
    with audit.transaction(lease) as connection:
        connection.execute(delete(ON_BILLING).where(among(ON_BILLING.c.line_id, lines)))
        if rows:
            # Whoever traced them meanwhile read the same.
            upsert = _upsert(connection)(ON_BILLING)
            names = ("order_id", "invoice_id", "quantity", "certainty", "evidence", "traced_at")
            changed = {name: upsert.excluded[name] for name in names}
            connection.execute(
                upsert.on_conflict_do_update(index_elements=["line_id", "product_id"], set_=changed), rows
            )


def _upsert(connection: Connection) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
