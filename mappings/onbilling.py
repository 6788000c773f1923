"""Which customer invoice bills a purchased line on: each bought line beside the products that were sold (issue 7).

ConnectWise keeps the tie between a purchase order's line and a sold product in a table that its API does not show
(connectwise.md, 11.7). So it is traced, the surest evidence first, and every unit is used once on both sides:

| evidence | certainty |
|---|---|
| the system report names line and product, and the quantities fit | certain |
| sales order and catalogue item (customer, vendor) leave one product, enough for all lines that it fits | certain |
| catalogue item, and nothing contradicts: sales order, customer, vendor, dates | likely |

Several products that fit, or a quantity that does not, are never more than likely. Among likely ones the same sales
order goes first, then the same customer, then what was ordered first is taken to be sold first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.connectwise import Invoice, PurchaseOrderLine, SoldProduct, SourcePurchaseOrder
from mappings.lifecycle import received
from mappings.lines import DO_NOT_BILL, NO_CHARGE
from mappings.money import ZERO, to_cents


class Certainty(StrEnum):
    """How sure it is that an invoice line bills a bought line on."""

    CERTAIN = "certain"
    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class Bought:
    """A line of a purchase order: how many were bought, of what, from whom, and for whom as far as it says.

    Ids are ConnectWise's; 0 is not known. `quantity` is what is ordered, or received where that is more or final.
    """

    order_id: int
    line_id: int
    item_id: int
    vendor_id: int
    customer_id: int
    sales_orders: frozenset[int]
    quantity: Decimal
    ordered_on: date | None


@dataclass(frozen=True, slots=True)
class Sold:
    """A product that was sold: how many, of what, to whom. `invoice_id` 0: not invoiced yet."""

    product_id: int
    invoice_id: int
    item_id: int
    sales_order_id: int
    customer_id: int
    vendor_id: int
    quantity: Decimal
    invoiced_on: date | None


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the system report: this line was bought for that product. `quantity` None: it does not say how many."""

    line_id: int
    product_id: int
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """So many of a bought line are billed on by a product on an invoice; `evidence` says why, for people."""

    order_id: int
    line_id: int
    product_id: int
    invoice_id: int
    quantity: Decimal
    certainty: Certainty
    evidence: str


def bought_of(line: PurchaseOrderLine) -> Decimal:
    """How many of a line are ordered, or were received where that is more; no more than received where nothing follows.

    A line that was received in part and cloned for the rest may still say the whole quantity.
    """
    ended = line.canceled_flag or line.received_status in ("PartiallyReceiveCloneRest", "PartiallyReceiveCancelRest")
    return received(line) if ended else max(line.quantity, received(line))


def bought_lines(source: SourcePurchaseOrder) -> list[Bought]:
    """The lines of an order of which anything was, or will be, bought."""
    header = source.header
    found: list[Bought] = []
    for line in source.lines:
        quantity = bought_of(line)
        if quantity > 0:
            found.append(
                Bought(
                    header.id,
                    line.id,
                    (line.product.id if line.product else None) or 0,
                    header.vendor_company.id or 0,
                    (header.customer_company.id if header.customer_company else None) or 0,
                    frozenset(each.id for each in line.sales_order or () if each.id),
                    quantity,
                    header.po_date,
                )
            )
    return found


def sold_of(product: SoldProduct, invoices: Mapping[int, Invoice]) -> Sold | None:
    """A product as something that was sold; None for one that no customer is charged for, or gets money back for.

    `invoices` are the headers of those that products stand on. One that is not among them is not known, so the product
    counts as not invoiced; one below zero is a credit.
    """
    quantity = product.quantity - product.quantity_cancelled
    if product.cancelled_flag or product.billable_option == DO_NOT_BILL or quantity <= 0 or charged(product) < 0:
        return None
    invoice = invoices.get(product.invoice.id or 0) if product.invoice else None
    if invoice is not None and invoice.total < 0:
        return None

    def number(reference: object) -> int:
        return getattr(reference, "id", None) or 0

    return Sold(
        product.id,
        invoice.id if invoice else 0,
        number(product.catalog_item),
        number(product.sales_order),
        number(product.company) or number(invoice.company if invoice else None),
        number(product.vendor),
        quantity,
        invoice.date if invoice else None,
    )


def charged(product: SoldProduct) -> Decimal:
    """What the customer pays for a product, before tax, in the invoice's currency, to the cent; as it is mapped."""
    if product.billable_option == NO_CHARGE:
        return ZERO
    exact = product.ext_price
    return to_cents(product.quantity * product.price - product.discount if exact is None else exact)


def on_billed(bought: Iterable[Bought], sold: Iterable[Sold], told: Iterable[Told] = ()) -> list[Trace]:
    """Every bought line beside the invoice lines that bill it on, by line and product; the order of input is nothing.

    What was sold and is not invoiced yet takes its share without a trace: it is not free for another line.
    """
    return _Tracing(bought, sold).traced(told)


@dataclass(frozen=True, slots=True)
class _Match:
    line: Bought
    product: Sold
    quantity: Decimal
    certainty: Certainty
    evidence: str


class _Tracing:
    """What is left of both sides while evidence is used up, the surest first."""

    def __init__(self, bought: Iterable[Bought], sold: Iterable[Sold]) -> None:
        self.bought = {each.line_id: each for each in sorted(bought, key=_bought_key)}
        self.sold = {each.product_id: each for each in sorted(sold, key=_sold_key)}
        self.to_bill = {number: each.quantity for number, each in self.bought.items()}
        self.to_give = {number: each.quantity for number, each in self.sold.items()}
        self.matches: list[_Match] = []

    def traced(self, told: Iterable[Told]) -> list[Trace]:
        self._by_report(told)
        self._by_sales_order()
        self._by_item()
        found = [
            Trace(
                each.line.order_id,
                each.line.line_id,
                each.product.product_id,
                each.product.invoice_id,
                each.quantity,
                each.certainty,
                each.evidence,
            )
            for each in self.matches
            if each.product.invoice_id
        ]
        return _joined(sorted(found, key=lambda each: (each.order_id, each.line_id, each.product_id)))

    def _use(self, line: Bought, product: Sold, wanted: Decimal, certainty: Certainty, evidence: str) -> None:
        quantity = min(wanted, self.to_bill[line.line_id], self.to_give[product.product_id])
        if quantity > 0:
            self.to_bill[line.line_id] -= quantity
            self.to_give[product.product_id] -= quantity
            self.matches.append(_Match(line, product, quantity, certainty, evidence))

    def _by_report(self, told: Iterable[Told]) -> None:
        pairs: dict[tuple[int, int], Decimal | None] = {}
        # A report may repeat a pair; the largest quantity that it says is the one.
        for each in sorted(told, key=lambda one: (one.line_id, one.product_id, one.quantity or ZERO)):
            if each.line_id in self.bought and each.product_id in self.sold:
                pairs[each.line_id, each.product_id] = each.quantity or pairs.get((each.line_id, each.product_id))
        of_line: dict[int, list[int]] = defaultdict(list)
        of_product: dict[int, list[int]] = defaultdict(list)
        for line_id, product_id in pairs:
            of_line[line_id].append(product_id)
            of_product[product_id].append(line_id)
        fits: dict[tuple[int, int], bool] = {}
        for (line_id, product_id), quantity in pairs.items():
            if quantity is not None:
                # What the report says of a line, or of a product, must not come to more than there is.
                wanted = sum((pairs[line_id, other] or ZERO for other in of_line[line_id]), ZERO)
                given = sum((pairs[other, product_id] or ZERO for other in of_product[product_id]), ZERO)
                fits[line_id, product_id] = wanted <= self.to_bill[line_id] and given <= self.to_give[product_id]
            elif of_line[line_id] == [product_id]:
                wanted = sum((self.to_bill[other] for other in of_product[product_id]), ZERO)
                fits[line_id, product_id] = wanted <= self.to_give[product_id]
            else:
                given = sum((self.to_give[other] for other in of_line[line_id]), ZERO)
                fits[line_id, product_id] = of_product[product_id] == [line_id] and given <= self.to_bill[line_id]
        for key, quantity in sorted(pairs.items(), key=lambda one: (not fits[one[0]], one[0])):
            line, product = self.bought[key[0]], self.sold[key[1]]
            certainty = Certainty.CERTAIN if fits[key] else Certainty.LIKELY
            wanted = line.quantity if quantity is None else quantity
            self._use(line, product, wanted, certainty, "the system report names both")

    def _by_sales_order(self) -> None:
        by_order: dict[tuple[int, int], list[Sold]] = defaultdict(list)
        for product in self.sold.values():
            if product.sales_order_id and product.item_id and self.to_give[product.product_id] > 0:
                by_order[product.sales_order_id, product.item_id].append(product)
        fitting: dict[int, list[Sold]] = {}
        claims: dict[int, list[Bought]] = defaultdict(list)
        for line in self.bought.values():
            if line.item_id and self.to_bill[line.line_id] > 0:
                near = (one for number in sorted(line.sales_orders) for one in by_order[number, line.item_id])
                fitting[line.line_id] = [one for one in near if not _contradicts(line, one)]
                for product in fitting[line.line_id]:
                    claims[product.product_id].append(line)
        left = dict(self.to_bill)
        # Enough of it for every line that it could be for: then it is nobody's guess which of them it is.
        enough = {
            number
            for number, lines in claims.items()
            if sum((left[each.line_id] for each in lines), ZERO) <= self.to_give[number]
        }
        for line_id, products in fitting.items():
            if len(products) == 1 and products[0].product_id in enough:
                line, product = self.bought[line_id], products[0]
                self._use(line, product, line.quantity, Certainty.CERTAIN, _evidence(line, product))

    def _by_item(self) -> None:
        of_item: dict[int, list[Sold]] = defaultdict(list)
        for product in self.sold.values():
            if product.item_id and self.to_give[product.product_id] > 0:
                of_item[product.item_id].append(product)
        pairs = [
            (line, product)
            for line in self.bought.values()
            if line.item_id and self.to_bill[line.line_id] > 0
            for product in of_item[line.item_id]
            if not _contradicts(line, product) and (_same_order(line, product) or _sold_afterwards(line, product))
        ]
        for line, product in sorted(pairs, key=_likelier):
            self._use(line, product, line.quantity, Certainty.LIKELY, _evidence(line, product))


def _bought_key(each: Bought) -> tuple[object, ...]:
    on = each.ordered_on or date.max
    return (
        each.line_id, each.order_id, each.item_id, each.vendor_id, each.customer_id, sorted(each.sales_orders),
        each.quantity, on,
    )  # fmt: skip


def _sold_key(each: Sold) -> tuple[object, ...]:
    on = each.invoiced_on or date.max
    return (
        each.product_id, each.invoice_id, each.item_id, each.sales_order_id, each.customer_id, each.vendor_id,
        each.quantity, on,
    )  # fmt: skip


def _contradicts(line: Bought, product: Sold) -> bool:
    """Whether both sides say whom or what they are for, and say different things."""
    return (
        bool(line.customer_id and product.customer_id and line.customer_id != product.customer_id)
        or bool(line.vendor_id and product.vendor_id and line.vendor_id != product.vendor_id)
        or bool(line.sales_orders and product.sales_order_id and product.sales_order_id not in line.sales_orders)
    )


def _same_order(line: Bought, product: Sold) -> bool:
    return product.sales_order_id in line.sales_orders


def _sold_afterwards(line: Bought, product: Sold) -> bool:
    """Without a common sales order an invoice from before the order is for something else."""
    if line.ordered_on is None or product.invoiced_on is None:
        return False
    return product.invoiced_on >= line.ordered_on


def _likelier(pair: tuple[Bought, Sold]) -> tuple[object, ...]:
    line, product = pair
    return (
        not _same_order(line, product),
        not (line.customer_id and line.customer_id == product.customer_id),
        line.ordered_on or date.max, line.order_id, line.line_id,
        product.invoiced_on or date.max, product.invoice_id, product.product_id,
    )  # fmt: skip


def _evidence(line: Bought, product: Sold) -> str:
    same = [f"sales order {product.sales_order_id}"] if _same_order(line, product) else []
    same.append("catalogue item")
    if line.customer_id and line.customer_id == product.customer_id:
        same.append("customer")
    if line.vendor_id and line.vendor_id == product.vendor_id:
        same.append("vendor")
    return "same " + ", ".join(same)


def _joined(traces: Sequence[Trace]) -> list[Trace]:
    """One trace for each line and product: a part of it may be surer than the rest, and then the whole is not."""
    found: dict[tuple[int, int], Trace] = {}
    for each in traces:
        before = found.get((each.line_id, each.product_id))
        if before is None:
            found[each.line_id, each.product_id] = each
            continue
        surest = before.certainty is each.certainty is Certainty.CERTAIN
        found[each.line_id, each.product_id] = replace(
            before,
            quantity=before.quantity + each.quantity,
            certainty=Certainty.CERTAIN if surest else Certainty.LIKELY,
            evidence="; ".join(dict.fromkeys([before.evidence, each.evidence])),
        )
    return list(found.values())
