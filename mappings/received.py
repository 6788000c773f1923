"""What a purchase order comes to on ConnectWise's side of the statement: bill by bill, and what no bill holds yet.

ConnectWise has no bills. What was received of an order is laid on the bills that hold it, and what is left over is to
be billed: now, or when lifecycle.csv asks for it. That is reckoned from the order as it is today, not from what a cycle
decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mappings.billing import BILL_EVENTS, FREIGHT, Billed, Firing, Wanted, bills_of, left_over, line_key
from mappings.connectwise import SourcePurchaseOrder
from mappings.lifecycle import Event, Lifecycle, State, received
from mappings.links import bill_key
from mappings.money import ZERO, to_cents, total
from mappings.outcomes import Hold


@dataclass(frozen=True, slots=True)
class Due:
    """How much of which line of an order each of its bills should hold, by its number; and what is on none of them.

    A bill that is kept under another order stands here by its key (mappings/links.py), which no number comes near.
    """

    bills: Mapping[int, Mapping[str, Decimal]]
    unbilled: Mapping[str, Decimal]


def due_of(source: SourcePurchaseOrder, billed: Sequence[Billed], freight: str) -> Due:
    """What was received of an order, laid on its bills. `freight` is policy's word for when freight is billed.

    Goods that were taken back come off as the cycle takes them off (billing.py). Of a line that ConnectWise does not
    show any more nothing is due.
    """
    wanted = bills_of(source, Firing(State.RAISED), billed, "never", "bill")
    if isinstance(wanted, Hold):
        lines = {*map(line_key, source.lines), FREIGHT}
        bills = {_name(one): {key: many for key, many in one.quantities.items() if key in lines} for one in billed}
    else:
        bills = {_name(one): dict(one.quantities) for one in wanted}
    unbilled = left_over(source, list(bills.values()))
    if not _freight_is_due(source, freight, bool(bills or unbilled.keys() - {FREIGHT})):
        unbilled.pop(FREIGHT, None)
    return Due(bills, unbilled)


def _name(one: Billed | Wanted) -> int:
    return bill_key(one.lead, one.n) if one.lead else one.n


def _freight_is_due(source: SourcePurchaseOrder, rule: str, has_bills: bool) -> bool:
    if rule in ("never", "first_bill"):
        return rule == "first_bill" and has_bills
    return source.header.closed_flag and any(received(line) for line in source.lines)


def net_of(source: SourcePurchaseOrder, quantities: Mapping[str, Decimal]) -> Decimal:
    """What so much of these lines costs by the order as it is today, in its currency, before tax, line by line."""
    costs = {line_key(line): line.unit_cost for line in source.lines} | {FREIGHT: source.header.freight_cost}
    return total(to_cents(quantity * costs.get(key, ZERO)) for key, quantity in quantities.items())


def gross_of(source: SourcePurchaseOrder, quantities: Mapping[str, Decimal]) -> Decimal:
    """The same with the share of the order's tax, which is rounded once for all of it (design 6)."""
    tax = source.header.freight_tax_total if FREIGHT in quantities else ZERO
    for line in source.lines:
        quantity = quantities.get(line_key(line), ZERO)
        if quantity:
            # On a line of quantity 0 that came on top of a full receipt, tax is as on the line of the same product.
            same = (one for one in source.lines if (one.product, one.unit_cost) == (line.product, line.unit_cost))
            whole = line if line.quantity or not line.product else next((one for one in same if one.quantity), line)
            tax += whole.tax * quantity / (whole.quantity or quantity)
    return net_of(source, quantities) + to_cents(tax)


def dated(source: SourcePurchaseOrder, quantities: Iterable[str]) -> date | None:
    """The date that a bill of these lines would have: the vendor invoice's, else of the last receipt, else of the end.

    Source: design 6.
    """
    keys = set(quantities)
    days = [line.date_received for line in source.lines if line_key(line) in keys and line.date_received is not None]
    return source.header.vendor_invoice_date or max(days, default=None) or source.header.date_closed


def not_asked_for(lifecycle: Lifecycle, organisation: str, state: State, has_vendor_invoice: bool) -> str:
    """Why the table asks for no bill of an order in this state, in a sentence; '' where it does."""
    states = [state, *([State.VENDOR_INVOICE_RECEIVED] if has_vendor_invoice else [])]
    rows = lifecycle.fired(organisation, states)
    events = {event for row in rows for event in row.events}
    if events & set(BILL_EVENTS) and Event.HOLD not in events:
        return ""
    words = " and ".join(one.value.replace("_", " ") for one in states)
    said = "; ".join(row.cited for row in rows) or "lifecycle.csv has no row for that"
    return f"It is {words}, and no bill is asked for then ({said})."
