"""The purchase reports: which orders and bills each of them shows, and what it says of them (contract, section 5).

Values are in the order's own currency, before tax and freight, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mappings import contacts
from mappings.billing import (
    BILL_EVENTS,
    FREIGHT,
    Billed,
    Firing,
    bills_of,
    left_over,
    line_key,
    ordered_value,
    value_of,
)
from mappings.connectwise import Company, PurchaseOrder, SourcePurchaseOrder
from mappings.csv_tables import Table
from mappings.kinds import BILL
from mappings.lifecycle import LIFECYCLE, Event, LifecycleRow, State, received
from mappings.links import order_of
from mappings.money import ZERO, plain, to_cents, total
from mappings.outcomes import Hold, Reason
from mappings.plans import names_order
from mappings.shares import key_on, share_of
from mappings.xero import Books, Document, Found, fold

Cell = str | int | None
Row = Mapping[str, Cell]
"""One row of a report by its columns. Money is text, and so are dates; what is not known is '' (an id: None)."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "unmapped-vendors": (
        "vendor_id", "vendor_identifier", "vendor", "po_number", "connectwise_id", "received_value", "reason",
    ),
    "received-without-bill": (
        "po_number", "connectwise_id", "vendor", "received_value", "currency", "since", "why",
    ),
    "invoiced-not-received": ("po_number", "connectwise_id", "vendor", "vendor_invoice_number", "ordered_value"),
    "paid-not-received": ("po_number", "connectwise_id", "bill_number", "paid", "received_value"),
    "purchase-match": (
        "po_number", "line", "ordered", "received", "billed", "price_variance", "quantity_variance", "on_billed",
        "certainty", "customer", "currency", "item", "po_connectwise_id", "line_connectwise_id",
    ),
    "parallel-run": ("document", "reference", "connectwise_id", "verdict", "ours", "theirs", "difference"),
    "margin": (
        "po_number", "po_connectwise_id", "invoice_number", "invoice_connectwise_id", "cost", "revenue", "margin",
        "certainty", "customer", "cost_currency", "revenue_currency",
    ),
}  # fmt: skip
"""The reports, and the columns of each."""
TOTALS: Mapping[str, tuple[str, ...]] = {
    "purchase-match": (
        "customer", "po_number", "ordered_value", "received_value", "billed_value", "on_billed_value", "price_variance",
        "quantity_variance", "currency",
    ),
    "margin": (
        "customer", "po_number", "cost", "revenue", "margin", "never_charged", "cost_currency", "revenue_currency",
    ),
}  # fmt: skip
"""The columns of the totals of those reports that have any; without a po_number: of all orders of the customer."""
NUMBERS = (
    "received_value", "ordered_value", "paid", "ours", "theirs", "difference", "cost", "revenue", "margin",
    "never_charged", "billed_value", "on_billed_value", "ordered", "received", "billed", "on_billed", "price_variance",
    "quantity_variance",
)  # fmt: skip
"""Columns that hold money or quantities."""


@dataclass(frozen=True)
class Report:
    """A report that was made. `notes` are sentences for people below the table: what to do about it.

    `totals` are by customer and order; without an order, of all orders of the customer.
    """

    name: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    totals: tuple[Row, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in their order."""
        return COLUMNS[self.name]


# Which orders are worth a look


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of an order before its lines are read: received now, on its bills, and the vendor's invoice.

    `billed` by the bills as they were written; `has_bills` also where those hold nothing but freight.
    """

    received: Decimal
    billed: Decimal
    has_bills: bool
    vendor_invoice_number: str


WORTH_A_LOOK: Mapping[str, Callable[[Glance], bool]] = {
    # A price that changed since moves the value, not the quantity: whether anything is unbilled, the lines say.
    "unmapped-vendors": lambda each: bool(each.received) and each.received != each.billed,
    "received-without-bill": lambda each: bool(each.received) and each.received != each.billed,
    "invoiced-not-received": lambda each: bool(each.vendor_invoice_number.strip()) and not each.received,
    "paid-not-received": lambda each: each.has_bills and (not each.received or each.received != each.billed),
}
"""Of which orders a report has to read the lines, which are a call for each."""


def written_value(document: Document, order: int = 0) -> Decimal:
    """What a bill holds of an order's lines (0: of the one that it is kept under), as it was written, without freight.

    What was taken off it later, because a person removed it or entered a supplier credit, counts no more.
    """
    lines = {line.key: line for line in document.lines}
    lead = order_of(document.connectwise_id)
    value = ZERO
    for key, quantity in share_of(dict(document.billed), lead, order or lead).items():
        line = lines.get(key_on(lead, order or lead, key))
        if key == FREIGHT or line is None or not line.quantity:
            continue
        # A line whose price has too many decimals went as one at its amount.
        share = min(quantity / line.quantity, Decimal(1))
        value += line.amount * share
    return to_cents(value)


# Received without a bill


@dataclass(frozen=True, slots=True)
class Unbilled:
    """An order of which something was received that stands on none of its bills: its value, and the last day of it."""

    source: SourcePurchaseOrder
    value: Decimal
    since: date | None


def unbilled(source: SourcePurchaseOrder, bills: Sequence[Mapping[str, Decimal]]) -> Unbilled | None:
    """What was received of an order less what its bills hold, line by line; None where that is nothing.

    `bills` are the quantities of each, by line key. A line that costs nothing needs no bill.
    """
    rest = left_over(source, bills)
    open_ones = [(line, rest[line_key(line)]) for line in source.lines if line.unit_cost and line_key(line) in rest]
    if not open_ones:
        return None
    days = [line.date_received for line, _ in open_ones if line.date_received is not None]
    value = total(quantity * line.unit_cost for line, quantity in open_ones)
    return Unbilled(source, to_cents(value), max(days, default=None))


def received_without_bill(found: Unbilled, why: str) -> Row:
    """A row of that report. `received_value` is of the whole order; `why` begins with how much of it has no bill."""
    header = found.source.header
    whole = to_cents(value_of(found.source.lines))
    part = f"{plain(found.value)} of it is not billed. " if found.value != whole else ""
    return {
        "po_number": header.po_number,
        "connectwise_id": header.id,
        "vendor": _name(header),
        "received_value": plain(whole),
        "currency": header.currency.currency_code,
        "since": found.since.isoformat() if found.since else "",
        "why": part + why,
    }


def what_lifecycle_says(state: State, rows: Sequence[LifecycleRow]) -> str:
    """Why an order has no bill (yet), by the rows of the signed lifecycle that answer its states."""
    words = state.value.replace("_", " ")
    holding = next((row for row in rows if Event.HOLD in row.events), None)
    if holding is not None:
        return f"The order is {words}, and a person has to decide ({holding.cited})."
    billing = next((row for row in rows if set(BILL_EVENTS) & set(row.events)), None)
    if billing is not None:
        return f"The next cycle makes the bill ({billing.cited})."
    if not rows:
        return f"{LIFECYCLE.file} has no row for an order that is {words}, so no bill is made."
    return f"No bill is made of an order that is {words} ({'; '.join(row.cited for row in rows)})."


# Vendors that no contact fits


def vendor_problem(
    header: PurchaseOrder,
    company: Company | None,
    organisation: str,
    table: Table,
    books: Books,
    known: str,
    create: bool,
) -> Hold | None:
    """Why no contact in Xero is certain to be the vendor of an order; None where one is, or may be made.

    By the rule that maps its bills (mappings/bills.py). `company` is the vendor's record, None where ConnectWise shows
    none; `known` the contact that it was found to be before.
    """
    vendor = header.vendor_company
    name = _name(header)
    if company is None or company.deleted_flag:
        return Hold(
            Reason.COMPANY_MERGED,
            name,
            f"ConnectWise does not have the vendor {name} any more (or the API member may not see it): merged into "
            "another company, or deleted.",
            "Choose the right vendor on the purchase order in ConnectWise.",
        )
    number = company.vendor_identifier.strip() or str(company.id)
    found = contacts.resolve(vendor, number, "supplier", organisation, table, books, known, create=create)
    return found if isinstance(found, Hold) else None


def unmapped_vendor(found: Unbilled, problem: Hold) -> Row:
    """A row of the report of vendors."""
    header = found.source.header
    vendor = header.vendor_company
    return {
        "vendor_id": vendor.id,
        "vendor_identifier": vendor.identifier,
        "vendor": _name(header),
        "po_number": header.po_number,
        "connectwise_id": header.id,
        "received_value": plain(to_cents(value_of(found.source.lines))),
        "reason": problem.reason.value,
    }


# Invoiced, or paid, and not received


def invoiced_not_received(source: SourcePurchaseOrder) -> Row | None:
    """A row where the vendor's invoice was entered on an order of which nothing is received."""
    header = source.header
    if not header.vendor_invoice_number.strip() or any(received(line) for line in source.lines):
        return None
    return {
        "po_number": header.po_number,
        "connectwise_id": header.id,
        "vendor": _name(header),
        "vendor_invoice_number": header.vendor_invoice_number,
        "ordered_value": plain(to_cents(ordered_value(source.lines))),
    }


@dataclass(frozen=True, slots=True)
class InXero:
    """A bill of an order as it stands in Xero: its number, and what is paid on it, tax included."""

    billed: Billed
    number: str
    paid: Decimal


def paid_not_received(source: SourcePurchaseOrder, bills: Sequence[InXero]) -> list[Row]:
    """The paid bills of an order that hold more than is received now; all of them where nothing is received.

    What was taken back comes off the drafts first, then off the newest bill, as in a cycle. A line that ConnectWise
    does not show says nothing: absence is no reversal.
    """
    due = bills_of(source, Firing(State.RAISED), [each.billed for each in bills], "never", "bill")
    if isinstance(due, Hold):
        return []
    left = {(each.lead, each.n): each.quantities for each in due}
    nothing = not any(received(line) for line in source.lines)
    return [
        {
            "po_number": source.header.po_number,
            "connectwise_id": source.header.id,
            "bill_number": each.number,
            "paid": plain(each.paid),
            "received_value": plain(to_cents(value_of(source.lines))),
        }
        for each in bills
        if each.paid and each.billed.quantities and (nothing or left[_identity(each)] != dict(each.billed.quantities))
    ]


def _identity(bill: InXero) -> tuple[int, int]:
    return bill.billed.lead, bill.billed.n


def _name(header: PurchaseOrder) -> str:
    vendor = header.vendor_company
    return vendor.name or vendor.identifier or str(vendor.id or "")


# The parallel run


@dataclass(frozen=True, slots=True)
class Ours:
    """A bill that the sync made or would make. `total` is with tax; `contact_id` is '' where there is none yet."""

    tenant_id: str
    key: int
    order_number: str
    number: str
    contact_id: str
    total: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Theirs:
    """A live bill in Xero. `key`: the bill that our link or our records say it is; `asked`: dated in the period."""

    tenant_id: str
    found: Found
    key: int | None
    asked: bool


def parallel_run(ours: Sequence[Ours], theirs: Sequence[Theirs]) -> list[Row]:
    """Bills of both sides beside each other, each once, in the order of their references.

    The same bill is, the surest first: what our records or our link say; then, of the same supplier, one that names
    the purchase order (design 5) and has the same total; then any that names it.
    """
    known = {(one.tenant_id, one.key): one for one in theirs if one.key is not None}
    pairs = {each.key: one for each in ours if (one := known.get((each.tenant_id, each.key))) is not None}
    naming = _naming(ours, [one for one in theirs if one.key is None])
    taken = {id(one) for one in pairs.values()}
    for certain in (True, False):
        for each in ours:
            free = (one for one in naming.get(_asked_by(each), ()) if id(one) not in taken)
            there = next((one for one in free if not certain or _agree(each, one)), None)
            if each.key not in pairs and there is not None:
                pairs[each.key] = there
                taken.add(id(there))
    rows = [_compared(each, pairs.get(each.key)) for each in ours]
    rows += [
        {
            "document": BILL.word,
            "reference": one.found.number,
            "connectwise_id": order_of(one.key) if one.key is not None else None,
            "verdict": "only_xero",
            "ours": "",
            "theirs": plain(one.found.total),
            "difference": plain(-one.found.total),
        }
        for one in theirs
        if one.asked and id(one) not in taken
    ]
    return sorted(rows, key=lambda row: (str(row["reference"]), row["connectwise_id"] or 0))


def _asked_by(ours: Ours) -> tuple[str, str, str]:
    """What a bill that people keyed has to say to be for this order: organisation, supplier, order."""
    return ours.tenant_id, ours.contact_id.lower(), ours.order_number


def _naming(ours: Sequence[Ours], theirs: Sequence[Theirs]) -> dict[tuple[str, str, str], list[Theirs]]:
    """The bills that name each order, of its supplier."""
    of_supplier: dict[tuple[str, str], list[tuple[str, Theirs]]] = {}
    for one in theirs:
        said = fold(f"{one.found.number} {one.found.reference}")
        of_supplier.setdefault((one.tenant_id, one.found.contact_id.lower()), []).append((said, one))
    naming: dict[tuple[str, str, str], list[Theirs]] = {}
    for tenant_id, contact_id, number in dict.fromkeys(map(_asked_by, ours)):
        # Taking a text apart costs more than seeing that the number is nowhere in it.
        # A bill that orders share is of all of them.
        each_of = dict.fromkeys((number, *number.split(", ")))
        folded = [fold(each) for each in each_of]
        of_this = of_supplier.get((tenant_id, contact_id), ())
        near = [one for said, one in of_this if any(each in said for each in folded)]
        if contact_id:
            naming[tenant_id, contact_id, number] = [
                one for one in near if any(names_order(one.found, each) for each in each_of)
            ]
    return naming


def _agree(ours: Ours, theirs: Theirs) -> bool:
    return (ours.total, ours.currency) == (theirs.found.total, theirs.found.currency)


def _compared(ours: Ours, theirs: Theirs | None) -> Row:
    """One bill of ours beside its like. Amounts of two currencies have no difference that could be told."""
    there = theirs.found if theirs else None
    verdict = "only_sync" if theirs is None else "matched" if _agree(ours, theirs) else "different"
    difference = ours.total - (there.total if there else ZERO)
    return {
        "document": BILL.word,
        "reference": ours.number,
        "connectwise_id": order_of(ours.key),
        "verdict": verdict,
        "ours": plain(ours.total),
        "theirs": plain(there.total) if there else "",
        "difference": "" if there is not None and there.currency != ours.currency else plain(difference),
    }
