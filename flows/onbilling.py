"""Tracing which customer invoice bills each line of a purchase order on: what is read for it, and what is kept.

What competes for the same products is traced together: the lines of all orders with the same catalogue items, from the
copies that the audit keeps. So it does not matter which order was read when.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from blocks.audit import onbilling
from blocks.audit.database import Held
from blocks.doors import Doors
from blocks.failures import NotConfigured, Unreachable
from mappings.connectwise import Invoice, SoldProduct, SourcePurchaseOrder
from mappings.onbilling import Bought, Certainty, Told, Trace, bought_lines, on_billed, sold_of

REPORT = "PurchaseOrderWithLineItems"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "order": ("purchaseheaderrecid", "purchaseorderrecid", "purchaseorderid"),
    "line": (
        "purchasedetailrecid", "purchaseorderdetailrecid", "purchaseorderlinerecid", "purchaseorderlineitemrecid",
        "purchaseorderlineitemid", "lineitemid",
    ),
    "product": ("ivproductrecid", "productrecid", "productid"),
    "quantity": ("ivproductquantity", "productquantity"),
}  # fmt: skip
"""What the system report's columns may be called, without case and punctuation: it is not documented, and its own
`Quantity` is that of the line. Lists of the reports that tenants of 2015 and 2018 had show Purchase_Header_RecID and
Purchase_Detail_RecID, the one of 2018 IV_Product_RecID, too.
"""


def digest_of(source: SourcePurchaseOrder) -> str:
    """Names what on-billing reads of an order."""
    text = repr((source.digest, source.sold_on))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass
class Traced:
    """What came of it: what bills these `lines` on, with the products and invoices that were read, by id."""

    traces: list[Trace] = field(default_factory=list)
    products: dict[int, SoldProduct] = field(default_factory=dict)
    invoices: dict[int, Invoice] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)
    words: list[str] = field(default_factory=list)


class Tracing:
    """Reads in ConnectWise what evidence there is, and keeps what it shows; a dry run (`keeps` False) does not."""

    def __init__(
        self, doors: Doors, say: Callable[[str], None], lease: Held | None = None, *, keeps: bool = True
    ) -> None:
        self.doors = doors
        self.client = doors.connectwise
        self.audit = doors.audit
        self.say = say
        self.lease = lease
        self.keeps = keeps

    def trace(
        self,
        fresh: Sequence[SourcePurchaseOrder],
        hidden: Iterable[int] = (),
        sold: Collection[int] = (),
        *,
        everything: bool = False,
    ) -> Traced:
        """Trace the orders that were read just now (`fresh`), and whatever competes with them.

        `hidden`: orders that ConnectWise does not show. `sold`: catalogue items of products that changed. `everything`:
        all orders that are known, not these items alone.
        """
        now = self.doors.clock()
        orders = {each.header.id: each for each in onbilling.kept_orders(self.audit)}
        before = [each.header.id for each in fresh if each.header.id in orders]
        items = set(sold) | {line.item_id for number in before for line in bought_lines(orders[number])}
        orders |= {each.header.id: each for each in fresh}
        items |= {line.item_id for each in fresh for line in bought_lines(each)}
        lines = [line for each in orders.values() for line in bought_lines(each)]
        if not everything:
            lines = [line for line in lines if line.item_id in items]
        found = self._traced(lines)
        found.lines = {line.line_id for line in lines}
        if self.keeps:
            replaced = found.lines | self._gone(orders)
            onbilling.keep_traces(self.audit, sorted(replaced), found.traces, now, self.lease)
            # Only now: an order that is known as it is will not be traced again.
            onbilling.keep_orders(self.audit, ((each, digest_of(each)) for each in fresh), hidden, now, self.lease)
        return found

    def _gone(self, orders: Mapping[int, SourcePurchaseOrder]) -> set[int]:
        """Lines of which something is kept, and that are not there any more."""
        there = {line.line_id for each in orders.values() for line in bought_lines(each)}
        return {each.line_id for each in onbilling.traces(self.audit) if each.line_id not in there}

    def _traced(self, lines: Sequence[Bought]) -> Traced:
        traced = Traced()
        if not lines:
            return traced
        told = self._told(lines, traced)
        self._read_products(lines, told, traced)
        self._read_invoices(traced)
        sold = [one for each in traced.products.values() if (one := sold_of(each, traced.invoices)) is not None]
        traced.traces = on_billed(lines, sold, told)
        if traced.words and any("cannot be read" in each for each in traced.words):
            # A product that nobody could read may be another that fits.
            traced.traces = [replace(each, certainty=Certainty.LIKELY) for each in traced.traces]
        return traced

    def _read_products(self, lines: Sequence[Bought], told: Sequence[Told], traced: Traced) -> None:
        """Products of the lines' sales orders and catalogue items, and those that the report names; in few calls."""
        sales_orders = sorted({number for line in lines for number in line.sales_orders})
        items = sorted({line.item_id for line in lines if line.item_id and line.ordered_on})
        days = [line.ordered_on for line in lines if line.ordered_on is not None]
        self._understand(self.client.sold_products("salesOrder/id", sales_orders), traced)
        if items:
            # What was sold without a sales order in common counts from the day on which it was bought.
            since = datetime.combine(min(days), time(), UTC)
            self._understand(self.client.sold_products("catalogItem/id", items, since), traced)
        named = sorted({each.product_id for each in told} - traced.products.keys())
        self._understand(self.client.sold_products("id", named), traced)

    def _understand(self, rows: Iterable[dict[str, Any]], traced: Traced) -> None:
        for raw in rows:
            try:
                product = SoldProduct.model_validate(raw)
            except ValidationError:
                traced.words.append(f"The product {raw.get('id', '')} cannot be read, so nothing here is certain.")
                continue
            traced.products[product.id] = product

    def _read_invoices(self, traced: Traced) -> None:
        ids = sorted({each.invoice.id for each in traced.products.values() if each.invoice and each.invoice.id})
        for raw in self.client.invoices_by_id(ids):
            try:
                invoice = Invoice.model_validate(raw)
            except ValidationError:
                # Products on it count as not invoiced; the cycle of invoices holds it, and says why.
                continue
            traced.invoices[invoice.id] = invoice

    def _told(self, lines: Sequence[Bought], traced: Traced) -> list[Told]:
        """What the system report says, where the API member may read it and it has the columns."""
        try:
            names = {
                re.sub(r"[^a-z0-9]", "", name.casefold()): name for name in self.client.system_report_columns(REPORT)
            }
            columns = {
                what: next((names[each] for each in known if each in names), "") for what, known in COLUMNS.items()
            }
            missing = [what for what in ("order", "line", "product") if not columns[what]]
            if missing:
                traced.words.append(
                    f"The system report {REPORT} has no column for {' and '.join(missing)}; sales orders and catalogue "
                    "items are the evidence."
                )
                return []
            asked = [name for name in columns.values() if name]
            orders = sorted({line.order_id for line in lines})
            rows = self.client.system_report(REPORT, asked, columns["order"], orders)
        except (NotConfigured, Unreachable) as problem:
            traced.words.append(
                f"The system report {REPORT} was not read: {str(problem).rstrip('.')}. Sales orders and "
                "catalogue items are the evidence."
            )
            return []
        found: list[Told] = []
        for row in rows:
            line, product = (_number(row.get(columns[what])) for what in ("line", "product"))
            if line and product:
                quantity = _number(row.get(columns["quantity"])) if columns["quantity"] else None
                found.append(Told(int(line), int(product), quantity))
        return found


def _number(given: Any) -> Decimal | None:
    """A number above zero of a report's row; None for anything else."""
    try:
        value = Decimal(str(given))
    except InvalidOperation:
        return None
    return value if value.is_finite() and value > 0 else None
