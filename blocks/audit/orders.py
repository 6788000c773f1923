"""Purchase orders: how each stood when it was last dealt with, and the bills that were written for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit import requests, runs
from blocks.audit.among import among
from blocks.audit.database import Audit, Held, pack
from blocks.audit.runs import STANDING, Standing, standing_of
from blocks.audit.tables import BINDINGS, PURCHASE_ORDERS, RECORDS, SHARED_BILLS
from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.lifecycle_change import Answered, KnownOrder
from mappings.links import BILLS_PER_ORDER, bill_key, order_of
from mappings.merging import LastWrite
from mappings.plans import Bound
from mappings.reports import written_value
from mappings.shares import orders_on, share_of
from mappings.xero import Document

CHUNK = 100
"""Orders per query: each asks for a range of keys."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a purchase order stood when it was last dealt with. Values in its currency, before tax and freight.

    `also_covers` are the numbers of the other orders that its vendor's invoice was then known to cover.
    """

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
    also_covers: str = ""


@dataclass(frozen=True, slots=True)
class PostedBill:
    """A bill of an order that is bound: its key, and what is known of its last write."""

    key: int
    bound: Bound
    last: LastWrite

    @property
    def lead(self) -> int:
        """The order that it is kept under."""
        return order_of(self.key)

    @property
    def on_it(self) -> set[int]:
        """The orders that are on it, as it was written; the lead always is."""
        written = self.last.document
        return {self.lead} | (orders_on(dict(written.billed), self.lead) if written is not None else set())

    def held_of(self, order: int) -> dict[str, Decimal]:
        """How much of which line of an order it holds, as it was written."""
        written = self.last.document
        return share_of(dict(written.billed), self.lead, order) if written is not None else {}


NAMES = tuple(Order.__dataclass_fields__)


def known(audit: Audit, ids: Sequence[int]) -> dict[int, Order]:
    """How these orders stood; those never dealt with are absent."""
    found: dict[int, Order] = {}
    columns = [PURCHASE_ORDERS.c[name] for name in NAMES]
    with audit.reading() as connection:
        rows = connection.execute(select(*columns).where(among(PURCHASE_ORDERS.c.connectwise_id, ids)))
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
        billed = sum(
            (written_value(document, each.connectwise_id) for document in written if document is not None), Decimal(0)
        )
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


@dataclass(frozen=True, slots=True)
class Invoiced:
    """An order and its vendor's invoice, as the order stood when it was last dealt with."""

    connectwise_id: int
    reference: str
    vendor_id: int
    vendor_invoice_number: str
    also_covers: str


def invoiced(audit: Audit) -> list[Invoiced]:
    """The orders that have a vendor's invoice, or that were told of other orders of one."""
    columns = [PURCHASE_ORDERS.c[name] for name in Invoiced.__dataclass_fields__]
    named = (PURCHASE_ORDERS.c.vendor_invoice_number != "") | (PURCHASE_ORDERS.c.also_covers != "")
    with audit.reading() as connection:
        return [Invoiced(*row) for row in connection.execute(select(*columns).where(named))]


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
        keys = list(connection.execute(query).scalars())
    return sorted(set().union(*sharing(audit, keys).values()))


def _ranges(orders: Sequence[int], column: ColumnElement[int]) -> ColumnElement[bool]:
    return or_(*(column.between(bill_key(each, 1), bill_key(each, BILLS_PER_ORDER - 1)) for each in orders))


def bills(audit: Audit, orders: Sequence[int]) -> dict[int, list[PostedBill]]:
    """The bills of these orders that are bound, the oldest first; also those that other orders lead."""
    bound_at: dict[int, datetime] = {}
    foreign = shared(audit, orders)
    columns = BINDINGS.c.connectwise_id, BINDINGS.c.bound_at
    ours = BINDINGS.c.family == BILL.family
    with audit.reading() as connection:
        for start in range(0, len(orders), CHUNK):
            within = _ranges(orders[start : start + CHUNK], BINDINGS.c.connectwise_id)
            bound_at.update((row[0], row[1]) for row in connection.execute(select(*columns).where(ours, within)))
        others = sorted({key for keys in foreign.values() for key in keys})
        within = among(BINDINGS.c.connectwise_id, others)
        bound_at.update((row[0], row[1]) for row in connection.execute(select(*columns).where(ours, within)))
    bound = requests.bound(audit, BILL.family, sorted(bound_at))
    lasts = requests.last_writes(audit, BILL.family, sorted(bound_at))
    posted = {key: PostedBill(key, bound[key], lasts[key]) for key in sorted(bound_at)}
    found: dict[int, list[PostedBill]] = {}
    wanted = set(orders)
    for each in posted.values():
        if each.lead in wanted:
            found.setdefault(each.lead, []).append(each)
    for order, keys in foreign.items():
        # What was meant to go onto a bill and did not, or was taken back from it, is not on it.
        there = [posted[key] for key in keys if key in posted]
        on = [each for each in there if each.last.document is None or each.held_of(order)]
        if on:
            own = found.get(order, [])
            found[order] = sorted([*own, *on], key=lambda each: (bound_at[each.key], each.key))
    return found


def bill_standings(audit: Audit, orders: Sequence[int]) -> dict[int, dict[int, Standing]]:
    """Where the bills of these orders stand, by order and key; also of those that are not there yet."""
    found: dict[int, dict[int, Standing]] = {}
    foreign = shared(audit, orders)
    ours = RECORDS.c.family == BILL.family
    with audit.reading() as connection:
        for start in range(0, len(orders), CHUNK):
            within = _ranges(orders[start : start + CHUNK], RECORDS.c.connectwise_id)
            for row in connection.execute(select(*STANDING).where(ours, within)):
                found.setdefault(order_of(row.connectwise_id), {})[row.connectwise_id] = standing_of(row)
    others = runs.standings(audit, BILL.family, sorted({key for keys in foreign.values() for key in keys}))
    for order, keys in foreign.items():
        found.setdefault(order, {}).update({key: others[key] for key in keys if key in others})
    return found


def share(audit: Audit, bills: Mapping[int, Iterable[int]], lease: Held | None) -> None:
    """Note, before a bill is written, which orders beside its lead may be on it."""
    rows = [{"bill_key": key, "order_id": order} for key, others in bills.items() for order in others]
    if rows:
        with audit.transaction(lease) as connection:
            insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(SHARED_BILLS)
            connection.execute(insert.on_conflict_do_nothing(), rows)


def shared(audit: Audit, orders: Sequence[int]) -> dict[int, list[int]]:
    """The bills that these orders may be on and that other orders lead, by order."""
    found: dict[int, list[int]] = {}
    with audit.reading() as connection:
        within = among(SHARED_BILLS.c.order_id, orders)
        for row in connection.execute(select(SHARED_BILLS).where(within).order_by(SHARED_BILLS.c.bill_key)):
            found.setdefault(row.order_id, []).append(row.bill_key)
    return found


def sharing(audit: Audit, keys: Sequence[int]) -> dict[int, set[int]]:
    """The orders that may be on these bills, by key: the lead, and those that were noted."""
    found = {key: {order_of(key)} for key in keys}
    with audit.reading() as connection:
        within = among(SHARED_BILLS.c.bill_key, keys)
        for row in connection.execute(select(SHARED_BILLS).where(within)):
            found[row.bill_key].add(row.order_id)
    return found


def beside(audit: Audit, orders: Sequence[int]) -> set[int]:
    """These orders and all that may be on a bill with one of them."""
    keys = {key for found in shared(audit, orders).values() for key in found}
    with audit.reading() as connection:
        for start in range(0, len(orders), CHUNK):
            within = _ranges(orders[start : start + CHUNK], SHARED_BILLS.c.bill_key)
            keys.update(connection.execute(select(SHARED_BILLS.c.bill_key).where(within)).scalars())
    return {*orders, *(order for group in sharing(audit, sorted(keys)).values() for order in group)}


def note_billed_in(connection: Connection, key: int, document: Document) -> None:
    """Note what a bill holds by now of its order, where nothing about it is written to Xero any more."""
    connection.execute(
        update(BINDINGS)
        .where(BINDINGS.c.family == BILL.family, BINDINGS.c.connectwise_id == key)
        .values(written=pack(document.to_text()))
    )
