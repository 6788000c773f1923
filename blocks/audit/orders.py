"""Purchase orders: how each stood when it was last dealt with, and the bills that were written for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit import requests
from blocks.audit.database import Audit, Held, pack
from blocks.audit.runs import STANDING, Standing, standing_of
from blocks.audit.tables import BINDINGS, PURCHASE_ORDERS, RECORDS
from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.lifecycle_change import Answered, KnownOrder
from mappings.links import BILLS_PER_ORDER, bill_key, order_of
from mappings.merging import LastWrite
from mappings.plans import Bound
from mappings.reports import written_value
from mappings.xero import Document

CHUNK = 100
"""Orders per query: each asks for a range of keys."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a purchase order stood when it was last dealt with. Values in its currency, before tax and freight."""

    connectwise_id: int
    reference: str
    ordered_on: date | None
    vendor_id: int
    vendor_identifier: str
    vendor: str
    currency: str
    state: str
    is_open: bool
    ordered_value: str
    received_value: str
    received_on: date | None
    vendor_invoice_number: str
    location_id: int
    seen: str
    content: str
    lifecycle: str
    answered: str


@dataclass(frozen=True, slots=True)
class PostedBill:
    """A bill of an order that is bound: its key, and what is known of its last write."""

    key: int
    bound: Bound
    last: LastWrite


NAMES = tuple(Order.__dataclass_fields__)


def known(audit: Audit, ids: Sequence[int]) -> dict[int, Order]:
    """How these orders stood; those never dealt with are absent."""
    found: dict[int, Order] = {}
    columns = [PURCHASE_ORDERS.c[name] for name in NAMES]
    with audit.reading() as connection:
        for start in range(0, len(ids), CHUNK):
            rows = connection.execute(
                select(*columns).where(PURCHASE_ORDERS.c.connectwise_id.in_(ids[start : start + CHUNK]))
            )
            found |= {row.connectwise_id: Order(*row) for row in rows}
    return found


def everything(audit: Audit) -> list[Order]:
    """How all orders stood, in the order of their ids."""
    columns = [PURCHASE_ORDERS.c[name] for name in NAMES]
    with audit.reading() as connection:
        rows = connection.execute(select(*columns).order_by(PURCHASE_ORDERS.c.connectwise_id))
        return [Order(*row) for row in rows]


def as_left(audit: Audit) -> list[KnownOrder]:
    """All orders as the last cycle left them, for a comparison of lifecycles."""
    found = everything(audit)
    placed = requests.bound(audit, PURCHASE_ORDER.family, [each.connectwise_id for each in found])
    posted = bills(audit, [each.connectwise_id for each in found])
    left: list[KnownOrder] = []
    for each in found:
        written = [one.last.document for one in posted.get(each.connectwise_id, ())]
        # A bill of a person that we took over is for all that was received.
        billed = sum((written_value(document) for document in written if document is not None), Decimal(0))
        whole = any(document is None for document in written) or billed >= Decimal(each.received_value)
        left.append(
            KnownOrder(
                each.reference,
                Answered.from_text(each.answered),
                each.is_open,
                unbilled=not whole,
                has_bill=bool(written),
                has_order=each.connectwise_id in placed,
            )
        )
    return left


def keep(audit: Audit, orders: Iterable[Order], now: datetime, lease: Held | None) -> None:
    """Note how orders stand now that all their bills have an outcome."""
    rows = [asdict(each) | {"read_at": now} for each in orders]
    if not rows:
        return
    with audit.transaction(lease) as connection:
        upsert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(PURCHASE_ORDERS)
        changed = {name: upsert.excluded[name] for name in (*NAMES[1:], "read_at")}
        connection.execute(upsert.on_conflict_do_update(index_elements=["connectwise_id"], set_=changed), rows)


def open_ids(audit: Audit) -> list[int]:
    """The orders that were open when they were last read."""
    query = select(PURCHASE_ORDERS.c.connectwise_id).where(PURCHASE_ORDERS.c.is_open.is_(True))
    with audit.reading() as connection:
        return list(connection.execute(query.order_by(PURCHASE_ORDERS.c.connectwise_id)).scalars())


def decided_by_another(audit: Audit, lifecycle: str) -> list[int]:
    """The orders that another lifecycle than this one decided on, and that were received in part or are in Xero."""
    query = select(PURCHASE_ORDERS.c.connectwise_id, PURCHASE_ORDERS.c.received_value).where(
        PURCHASE_ORDERS.c.lifecycle != lifecycle
    )
    placed = select(BINDINGS.c.connectwise_id).where(BINDINGS.c.family == PURCHASE_ORDER.family)
    with audit.reading() as connection:
        rows = connection.execute(query).all()
        in_xero = set(connection.execute(placed).scalars()) if rows else set()
    return [row.connectwise_id for row in rows if Decimal(row.received_value) or row.connectwise_id in in_xero]


def count(audit: Audit) -> int:
    """How many orders are known."""
    with audit.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(PURCHASE_ORDERS)).scalar_one())


def moved_since(audit: Audit, since: date) -> list[int]:
    """The orders that were raised, or of which anything was received, on this day or later."""
    moved = (PURCHASE_ORDERS.c.ordered_on >= since) | (PURCHASE_ORDERS.c.received_on >= since)
    with audit.reading() as connection:
        return list(connection.execute(select(PURCHASE_ORDERS.c.connectwise_id).where(moved)).scalars())


def billed_since(audit: Audit, since: datetime) -> list[int]:
    """The orders of which a bill was written (or taken over) at or after this time."""
    query = select(BINDINGS.c.connectwise_id).where(BINDINGS.c.family == BILL.family, BINDINGS.c.bound_at >= since)
    with audit.reading() as connection:
        return sorted({order_of(key) for key in connection.execute(query).scalars()})


def _ranges(orders: Sequence[int], column: ColumnElement[int]) -> ColumnElement[bool]:
    return or_(*(column.between(bill_key(each, 1), bill_key(each, BILLS_PER_ORDER - 1)) for each in orders))


def bills(audit: Audit, orders: Sequence[int]) -> dict[int, list[PostedBill]]:
    """The bills of these orders that are bound, in the order of their numbers."""
    keys: list[int] = []
    with audit.reading() as connection:
        for start in range(0, len(orders), CHUNK):
            within = _ranges(orders[start : start + CHUNK], BINDINGS.c.connectwise_id)
            query = select(BINDINGS.c.connectwise_id).where(BINDINGS.c.family == BILL.family, within)
            keys += connection.execute(query.order_by(BINDINGS.c.connectwise_id)).scalars()
    bound = requests.bound(audit, BILL.family, keys)
    lasts = requests.last_writes(audit, BILL.family, keys)
    found: dict[int, list[PostedBill]] = {}
    for key in keys:
        found.setdefault(order_of(key), []).append(PostedBill(key, bound[key], lasts[key]))
    return found


def bill_standings(audit: Audit, orders: Sequence[int]) -> dict[int, Standing]:
    """Where the bills of these orders stand, by key; also of those that are not there yet."""
    found: dict[int, Standing] = {}
    with audit.reading() as connection:
        for start in range(0, len(orders), CHUNK):
            within = _ranges(orders[start : start + CHUNK], RECORDS.c.connectwise_id)
            query = select(*STANDING).where(RECORDS.c.family == BILL.family, within)
            found.update((row.connectwise_id, standing_of(row)) for row in connection.execute(query))
    return found


def note_billed_in(connection: Connection, key: int, document: Document) -> None:
    """Note what a bill holds by now of its order, where nothing about it is written to Xero any more."""
    connection.execute(
        update(BINDINGS)
        .where(BINDINGS.c.family == BILL.family, BINDINGS.c.connectwise_id == key)
        .values(written=pack(document.to_text()))
    )
