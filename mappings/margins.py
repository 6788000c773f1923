"""What was bought beside what was charged for it: the rows of the margin report, and of the match of each line.

Costs are a line's unit cost, before tax and freight, in the order's currency; revenue is what the customer's invoice
charges for the product, before tax, in the invoice's. Nothing of two currencies is added or subtracted: ConnectWise has
no rate (connectwise.md, section 9).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mappings.billing import line_key, plain_quantity
from mappings.connectwise import Invoice, PurchaseOrder, PurchaseOrderLine, Reference, SoldProduct, SourcePurchaseOrder
from mappings.lifecycle import received
from mappings.money import ZERO, plain, to_cents, total
from mappings.onbilling import Certainty, Trace, bought_of, charged
from mappings.reports import Report, Row

MOST_NAMED = 10
"""Orders that a note names."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an invoice charges for one product: `amount` for all of it, before tax, in the invoice's currency."""

    invoice_number: str
    customer: str
    currency: str
    quantity: Decimal
    amount: Decimal


def charges(products: Iterable[SoldProduct], invoices: Mapping[int, Invoice]) -> dict[int, Charge]:
    """What is charged for each product that stands on one of these invoices."""
    found: dict[int, Charge] = {}
    for product in products:
        invoice = invoices.get(product.invoice.id or 0) if product.invoice else None
        if invoice is not None:
            found[product.id] = Charge(
                invoice.invoice_number,
                _name(invoice.company),
                invoice.currency.currency_code,
                product.quantity - product.quantity_cancelled,
                charged(product),
            )
    return found


# Margin


@dataclass(slots=True)
class _Part:
    """What one invoice charges for one order, as surely as this; without an invoice: what nobody was charged for."""

    header: PurchaseOrder
    invoice_id: int | None
    invoice_number: str
    certainty: str
    customer: str
    revenue_currency: str
    cost: Decimal = ZERO
    revenue: Decimal = ZERO

    @property
    def cost_currency(self) -> str:
        return self.header.currency.currency_code

    @property
    def alike(self) -> bool:
        """Whether cost and revenue are of one currency. A blank one is the tenant's only one, or not known."""
        return self.cost_currency == self.revenue_currency

    def row(self) -> Row:
        return {
            "po_number": self.header.po_number,
            "po_connectwise_id": self.header.id,
            "invoice_number": self.invoice_number,
            "invoice_connectwise_id": self.invoice_id,
            "cost": plain(self.cost),
            "revenue": plain(self.revenue),
            "margin": plain(self.revenue - self.cost) if self.alike else "",
            "certainty": self.certainty,
            "customer": self.customer,
            "cost_currency": self.cost_currency,
            "revenue_currency": self.revenue_currency,
        }


def margin(
    orders: Sequence[SourcePurchaseOrder], traces: Iterable[Trace], charged_for: Mapping[int, Charge], *words: str
) -> Report:
    """A row for each order and invoice, and one without an invoice for what was received and nobody was charged for.

    `words` are sentences about what could not be read.
    """
    parts = _parts(orders, traces, charged_for)
    notes = [*words]
    unlike = list(dict.fromkeys(each.header.po_number for each in parts if not each.alike))
    if unlike:
        notes.append(
            f"Cost and revenue of {_named(unlike)} are of different currencies. ConnectWise has no rate, so there "
            "is no margin."
        )
    open_cost: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for each in parts:
        if each.invoice_id is None:
            open_cost[each.cost_currency] += each.cost
    if open_cost:
        numbers = list(dict.fromkeys(each.header.po_number for each in parts if each.invoice_id is None))
        amounts = " and ".join(f"{plain(cost)} {code}".strip() for code, cost in sorted(open_cost.items()))
        notes.append(f"Bought but never charged: {amounts}, on {_named(numbers)}.")
    likely = sum(1 for each in parts if each.certainty == Certainty.LIKELY)
    if likely:
        notes.append(f"{likely} of {len(parts)} rows are likely, not certain: see docs/guide.md, On-billing.")
    return Report("margin", tuple(each.row() for each in parts), tuple(notes), _totals(parts))


def _parts(
    orders: Sequence[SourcePurchaseOrder], traces: Iterable[Trace], charged_for: Mapping[int, Charge]
) -> list[_Part]:
    known = [each for each in traces if each.product_id in charged_for]
    revenues = _shares(known, charged_for)
    of_line: dict[int, list[Trace]] = defaultdict(list)
    for trace in known:
        of_line[trace.line_id].append(trace)
    parts: dict[tuple[int, int, str], _Part] = {}
    for source in orders:
        header = source.header
        for line in source.lines:
            billed = ZERO
            for trace in sorted(of_line[line.id], key=lambda one: one.product_id):
                charge = charged_for[trace.product_id]
                key = (header.id, trace.invoice_id, trace.certainty.value)
                part = parts.setdefault(
                    key,
                    _Part(
                        header, trace.invoice_id, charge.invoice_number, trace.certainty.value, charge.customer,
                        charge.currency,
                    ),
                )  # fmt: skip
                part.cost += _between(line.unit_cost, billed, billed + trace.quantity)
                part.revenue += revenues[trace.line_id, trace.product_id]
                billed += trace.quantity
            rest = _between(line.unit_cost, billed, received(line)) if received(line) > billed else ZERO
            if rest:
                nobody = _Part(header, None, "", "", _name(header.customer_company), header.currency.currency_code)
                parts.setdefault((header.id, 0, ""), nobody).cost += rest
    return sorted(
        parts.values(),
        key=lambda each: (each.header.po_number, each.header.id, each.invoice_id is None, each.invoice_number,
                          each.invoice_id or 0, each.certainty),
    )  # fmt: skip


def _shares(traces: Sequence[Trace], charged_for: Mapping[int, Charge]) -> dict[tuple[int, int], Decimal]:
    """What of each product's charge belongs to each line: to the cent, and together never more than the charge."""
    shares: dict[tuple[int, int], Decimal] = {}
    done: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for each in sorted(traces, key=lambda one: (one.product_id, one.line_id)):
        charge, before = charged_for[each.product_id], done[each.product_id]
        done[each.product_id] += each.quantity
        price = charge.amount / charge.quantity
        shares[each.line_id, each.product_id] = _between(price, before, done[each.product_id])
    return shares


def _between(price: Decimal, first: Decimal, last: Decimal) -> Decimal:
    """What the units after `first` up to `last` are worth; the cents of all parts together are those of the whole."""
    return to_cents(price * last) - to_cents(price * first)


def _totals(parts: Sequence[_Part]) -> tuple[Row, ...]:
    """By customer and order, and (without an order) by customer; apart for each pair of currencies."""
    groups: dict[tuple[str, str, str, str], list[_Part]] = defaultdict(list)
    for each in parts:
        currencies = (each.cost_currency, each.revenue_currency)
        groups[each.customer, each.header.po_number, *currencies].append(each)
        groups[each.customer, "", *currencies].append(each)
    return tuple(_total(customer, number, groups[key]) for key in sorted(groups) for customer, number, *_ in [key])


def _total(customer: str, number: str, parts: Sequence[_Part]) -> Row:
    cost, revenue = total(each.cost for each in parts), total(each.revenue for each in parts)
    return {
        "customer": customer,
        "po_number": number,
        "cost": plain(cost),
        "revenue": plain(revenue),
        "margin": plain(revenue - cost) if parts[0].alike else "",
        "never_charged": plain(total(each.cost for each in parts if each.invoice_id is None)),
        "cost_currency": parts[0].cost_currency,
        "revenue_currency": parts[0].revenue_currency,
    }


# Ordered, received, billed, on-billed


@dataclass(slots=True)
class InBills:
    """What the live bills hold of one line: how many, and for how much, before tax, in the order's currency."""

    quantity: Decimal = ZERO
    amount: Decimal = ZERO


@dataclass(slots=True)
class _Match:
    header: PurchaseOrder
    line: PurchaseOrderLine
    customer: str
    billed: InBills
    on_billed: Decimal = ZERO
    certainties: set[str] = field(default_factory=set)

    @property
    def ordered(self) -> Decimal:
        """How many were ordered and are still to be expected, or came."""
        return min(self.line.quantity, bought_of(self.line))

    @property
    def price_variance(self) -> Decimal:
        """Billed less what the billed units cost on the order."""
        return self.billed.amount - to_cents(self.billed.quantity * self.line.unit_cost)

    @property
    def quantity_variance(self) -> Decimal:
        """Billed less received."""
        return self.billed.quantity - received(self.line)

    def row(self) -> Row:
        return {
            "po_number": self.header.po_number,
            "line": self.line.line_number if self.line.line_number is not None else self.line.id,
            "ordered": plain_quantity(self.ordered),
            "received": plain_quantity(received(self.line)),
            "billed": plain_quantity(self.billed.quantity),
            "price_variance": plain(self.price_variance),
            "quantity_variance": plain_quantity(self.quantity_variance),
            "on_billed": plain_quantity(self.on_billed),
            "certainty": " and ".join(sorted(self.certainties)),
            "customer": self.customer,
            "currency": self.header.currency.currency_code,
            "item": (self.line.product.identifier if self.line.product else "") or self.line.description[:80],
            "po_connectwise_id": self.header.id,
            "line_connectwise_id": self.line.id,
        }


def purchase_match(
    orders: Sequence[SourcePurchaseOrder],
    in_bills: Mapping[str, InBills],
    traces: Iterable[Trace],
    charged_for: Mapping[int, Charge],
    *words: str,
) -> Report:
    """A row for each line that was ordered or received; `in_bills` by line key, over all bills of all orders."""
    of_line: dict[int, list[Trace]] = defaultdict(list)
    for trace in traces:
        of_line[trace.line_id].append(trace)
    matches: list[_Match] = []
    for source in sorted(orders, key=lambda each: (each.header.po_number, each.header.id)):
        own = [trace for line in source.lines for trace in of_line[line.id]]
        customer = _customer(source.header, own, charged_for)
        for line in sorted(source.lines, key=lambda each: (each.line_number or 0, each.id)):
            billed = in_bills.get(line_key(line), InBills())
            if not (bought_of(line) or billed.quantity):
                continue
            found = of_line[line.id]
            matches.append(
                _Match(
                    source.header, line, customer, billed, total(each.quantity for each in found),
                    {each.certainty.value for each in found},
                )
            )  # fmt: skip
    differing = [each for each in matches if each.price_variance or each.quantity_variance]
    notes = [*words]
    if differing:
        numbers = list(dict.fromkeys(each.header.po_number for each in differing))
        notes.append(
            f"{len(differing)} of {len(matches)} lines are not billed as received, or not at the order's cost, on "
            f"{_named(numbers)}."
        )
    return Report("purchase-match", tuple(each.row() for each in matches), tuple(notes), _match_totals(matches))


def _match_totals(matches: Sequence[_Match]) -> tuple[Row, ...]:
    groups: dict[tuple[str, str, str], list[_Match]] = defaultdict(list)
    for each in matches:
        code = each.header.currency.currency_code
        groups[each.customer, each.header.po_number, code].append(each)
        groups[each.customer, "", code].append(each)
    return tuple(_match_total(*key, groups[key]) for key in sorted(groups))


def _match_total(customer: str, number: str, currency: str, matches: Sequence[_Match]) -> Row:
    def worth(quantities: Iterable[tuple[Decimal, _Match]]) -> str:
        return plain(total(to_cents(quantity * each.line.unit_cost) for quantity, each in quantities))

    return {
        "customer": customer,
        "po_number": number,
        "ordered_value": worth((each.ordered, each) for each in matches),
        "received_value": worth((received(each.line), each) for each in matches),
        "billed_value": plain(total(each.billed.amount for each in matches)),
        "on_billed_value": worth((each.on_billed, each) for each in matches),
        "price_variance": plain(total(each.price_variance for each in matches)),
        "quantity_variance": worth((each.quantity_variance, each) for each in matches),
        "currency": currency,
    }


def _customer(header: PurchaseOrder, traces: Iterable[Trace], charged_for: Mapping[int, Charge]) -> str:
    """For whom an order is: the customer it names, else the only one who is charged for it."""
    if header.customer_company is not None:
        return _name(header.customer_company)
    named = {charged_for[each.product_id].customer for each in traces if each.product_id in charged_for}
    return named.pop() if len(named) == 1 else ""


def _name(company: Reference | None) -> str:
    return "" if company is None else company.name or company.identifier or str(company.id or "")


def _named(numbers: Sequence[str]) -> str:
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return ", ".join(numbers[:MOST_NAMED]) + more
