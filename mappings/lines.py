"""The lines of a sales document: the header's parts are the truth, the rows are their detail (design 4).

Each part of the header goes out as its rows when they add up to it, as one line when it has none, and is held when
rows exist and differ. Nothing here knows accounts or taxes: a `Draft` says what a line is, `invoices.py` prices it
into the books.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from mappings.connectwise import ExpenseEntry, Invoice, Product, SourceInvoice, TimeEntry
from mappings.csv_tables import NOTHING, Value
from mappings.money import CENT, ZERO, plain, to_cents, total
from mappings.outcomes import Hold, Reason
from mappings.related import Related

FOUR_PLACES = Decimal("0.0001")
"""What Xero keeps of a unit price with `unitdp=4`, and of a quantity (xero.md, section 4)."""
LONGEST_DESCRIPTION = 4000
NO_CHARGE = "NoCharge"
"""The billable option of a row that is shown to the customer at nothing."""
DO_NOT_BILL = "DoNotBill"
"""The billable option of a row that the customer does not see at all (inferred; amounts do not depend on it)."""
DOWN_PAYMENT = "DownPayment"
"""The invoice type whose money is deferred revenue, whatever describes it (connectwise.md, section 6)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A line before it has an account: what it is, what it costs, and whether ConnectWise taxes it.

    `amount` is to the cent, before tax, in the document's currency. `quantity` None: a description alone.
    `category` is tried in its order (contract 3: accounts.csv). `work_type` to `location` are the row's own; what it
    leaves open, the header may say (contract 3: tracking.csv). `category_unknown` names what ConnectWise does not show,
    although the category hangs on it.
    """

    key: str
    kind: str
    description: str
    quantity: Decimal | None
    unit_amount: Decimal | None
    amount: Decimal
    taxable: bool
    category: tuple[Value, ...] = (NOTHING,)
    item: Value = NOTHING
    work_type: Value = NOTHING
    staff: Value = NOTHING
    department: Value = NOTHING
    location: Value = NOTHING
    category_unknown: str = ""

    @property
    def mirrored(self) -> Draft:
        """The same line with the other sign, as a credit note has it. The quantity stays: it is never negative."""
        price = -self.unit_amount if self.unit_amount is not None else None
        return replace(self, unit_amount=price, amount=-self.amount)


@dataclass(frozen=True, slots=True)
class Taxability:
    """What is taxed on this document: time and flat service amounts, expenses, and products that say they are."""

    services: bool
    expenses: bool
    products: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of the header. `exact` counts towards the subtotal with its sign; `rows` are the detail it may have.

    Each row stands beside its unrounded amount. `kind` is the one in accounts.csv, where it is not the key.
    """

    key: str
    label: str
    description: str
    exact: Decimal
    taxable: bool
    rows: Sequence[tuple[Draft, Decimal]] = ()
    kind: str = ""
    category: tuple[Value, ...] = (NOTHING,)
    category_unknown: str = ""

    @property
    def amount(self) -> Decimal:
        return to_cents(self.exact)

    @property
    def flat(self) -> Draft:
        """The whole part as one line."""
        kind = self.kind or self.key
        return Draft(
            f"flat:{self.key}", kind, self.description, Decimal(1), self.amount, self.amount, self.taxable,
            self.category, category_unknown=self.category_unknown,
        )  # fmt: skip


def drafts_of(
    source: SourceInvoice, taxability: Taxability, rounding_cap: Decimal, related: Related
) -> list[Draft] | Hold:
    """All lines of an invoice, in the order service, expense, product, flat amounts; or why they do not add up.

    There is always at least one line, and the lines' amounts add up to the header's subtotal. `rounding_cap` is the
    most that a rounding line may carry, in the document's currency. `related` knows the catalogue and the agreements.
    """
    header = source.header
    subtotal, tax = to_cents(header.subtotal), to_cents(header.sales_tax)
    if subtotal + tax != to_cents(header.total):
        return Hold(
            Reason.LINES_INCOMPLETE,
            plain(header.total),
            f"To the cent, the subtotal of {plain(subtotal)} and the tax of {plain(tax)} do not make the total of "
            f"{plain(header.total)} on the header.",
        )
    parts = _parts(source, taxability, related)
    if to_cents(total(part.exact for part in parts)) != subtotal:
        return Hold(Reason.LINES_INCOMPLETE, plain(header.subtotal), _unequal_header(header))
    drafts: list[Draft] = []
    for part in parts:
        if not part.rows and not part.exact:
            continue
        lines = _lines_of(part)
        if isinstance(lines, Hold):
            return lines
        drafts += lines
    missing = subtotal - total(draft.amount for draft in drafts)
    if abs(missing) > rounding_cap:
        return Hold(
            Reason.LINES_INCOMPLETE,
            plain(missing),
            f"Rounding every row to the cent leaves {plain(missing)} of the subtotal {plain(subtotal)}; a rounding "
            f"line may carry {plain(rounding_cap)} at most.",
            "Correct the rows in ConnectWise, or raise rounding_cap under [tax] in policy.toml.",
        )
    if missing:
        drafts.append(Draft("rounding", "rounding", "Rounding", Decimal(1), missing, missing, taxable=False))
    # Xero wants at least one line (xero.md, 7.1); a description alone is one.
    return drafts or [Draft("nothing", "special", "Nothing to charge", None, None, ZERO, taxable=False)]


def _lines_of(part: _Part) -> list[Draft] | Hold:
    """A part as its rows, as one line, or the reason why neither is right."""
    lines = [draft for draft, _ in part.rows]
    if not any(line.amount for line in lines):
        # No row has a price: the part is one flat amount, and rows that cost nothing only describe it.
        return [part.flat, *lines] if part.amount else lines
    amount, exact = part.amount, to_cents(total(exact for _, exact in part.rows))
    if amount != exact and amount != total(line.amount for line in lines):
        rows = "row makes" if len(lines) == 1 else f"{len(lines)} rows make"
        return Hold(
            Reason.LINES_INCOMPLETE,
            part.label,
            f"The {part.label} on the header is {plain(part.exact)}, but its {rows} {plain(exact)}.",
        )
    return lines


def _parts(source: SourceInvoice, taxability: Taxability, related: Related) -> list[_Part]:
    """The header's parts, signed as they count towards the subtotal; whether they make it is for the caller to see."""
    header, services = source.header, taxability.services
    time = [_time_draft(row, services) for row in source.time if row.billable_option != DO_NOT_BILL]
    expenses = [
        _expense_draft(row, taxability.expenses) for row in source.expenses if row.billable_option != DO_NOT_BILL
    ]
    products = [
        _product_draft(row, taxability.products, related)
        for row in source.products
        if row.billable_option != DO_NOT_BILL and not row.cancelled_flag
    ]
    service = _Part("service", "service total", "Services", header.service_total, services, time)
    expense = _Part("expense", "expense total", "Expenses", header.expense_total, taxability.expenses, expenses)
    product = _Part("product", "product total", "Products", header.product_total, taxability.products, products)
    flat = [
        _Part(key, label, description, amount, services)
        for key, label, description, amount in (
            ("adjustment", "service adjustment", "Service adjustment", header.service_adjustment_amount),
            ("progress", "progress applied", "Less progress already billed", -header.previous_progress_applied),
            ("down_payment", "down payment applied", "Less down payment", -header.downpayment_applied),
        )
        if amount
    ]
    if header.agreement_amount:
        flat.insert(0, _agreed(header, services, related))
    made = total(part.exact for part in (service, expense, product, *flat))
    if header.special_invoice_flag and not any(part.exact for part in (service, expense, product, *flat)):
        # A special invoice may be one amount and no part; products may describe it (connectwise.md, section 6).
        product = _Part("special", "amount", "Amount", header.subtotal, services, products)
    elif to_cents(made) != to_cents(header.subtotal) == to_cents(made - header.service_adjustment_amount):
        # Whether the service total contains the adjustment already is not documented (connectwise.md, section 5); the
        # subtotal tells, since only one of the two readings can make it.
        less = service.exact - header.service_adjustment_amount
        service = replace(service, exact=less, label="service total without the adjustment")
    parts = [service, expense, product, *flat]
    return [_deferred(part) for part in parts] if header.type == DOWN_PAYMENT else parts


def _agreed(header: Invoice, taxable: bool, related: Related) -> _Part:
    """What an agreement is billed at, in the category that its type is mapped to."""
    agreement = related.agreements.get(header.agreement.id or 0) if header.agreement else None
    hidden = header.agreement and related.lacks("agreements", header.agreement)
    return _Part(
        "agreement", "agreement amount", "Agreement", header.agreement_amount, taxable,
        category=(Value.of(agreement.type) if agreement else NOTHING,),
        category_unknown=f"agreement {header.agreement.name}" if header.agreement and hidden else "",
    )  # fmt: skip


def _deferred(part: _Part) -> _Part:
    """A part of a down payment: deferred revenue, whatever describes it (connectwise.md, section 6)."""
    description = "Down payment" if part.key in ("service", "special") else part.description
    rows = [(replace(draft, kind="down_payment"), exact) for draft, exact in part.rows]
    return replace(part, kind="down_payment", description=description, rows=rows)


def _unequal_header(header: Invoice) -> str:
    return (
        f"The parts on the header (service {plain(header.service_total)}, expense {plain(header.expense_total)}, "
        f"product {plain(header.product_total)}, agreement {plain(header.agreement_amount)}, adjustment "
        f"{plain(header.service_adjustment_amount)}, progress applied {plain(header.previous_progress_applied)}, "
        f"down payment applied {plain(header.downpayment_applied)}) do not make the subtotal {plain(header.subtotal)}."
    )


def _time_draft(entry: TimeEntry, taxable: bool) -> tuple[Draft, Decimal]:
    exact = entry.extended_invoice_amount
    if exact is None:
        exact = entry.invoice_hours * entry.hourly_rate
    if entry.billable_option == NO_CHARGE:
        exact = ZERO
    names = [reference.name for reference in (entry.work_type, entry.member) if reference and reference.name]
    draft = priced(
        f"time:{entry.id}", "service", (entry.notes, " - ".join(names), "Time"), entry.invoice_hours,
        entry.hourly_rate, exact, taxable,
        category=(Value.of(entry.work_type), Value.of(entry.work_role)),
        work_type=Value.of(entry.work_type),
        staff=Value.of(entry.member),
        department=Value.of(entry.department, entry.business_unit_id),
        location=Value.of(entry.location, entry.location_id),
    )  # fmt: skip
    return draft, exact


def _expense_draft(entry: ExpenseEntry, taxable: bool) -> tuple[Draft, Decimal]:
    exact = ZERO if entry.billable_option == NO_CHARGE else entry.invoice_amount
    draft = priced(
        f"expense:{entry.id}", "expense", (entry.notes, entry.type.name if entry.type else "", "Expense"), Decimal(1),
        entry.invoice_amount, exact, taxable,
        category=(Value.of(entry.type),),
        staff=Value.of(entry.member),
        department=Value.of(None, entry.business_unit_id),
        location=Value.of(None, entry.location_id),
    )  # fmt: skip
    return draft, exact


def _product_draft(row: Product, taxable: bool, related: Related) -> tuple[Draft, Decimal]:
    exact = row.ext_price
    if exact is None:
        exact = row.quantity * row.price - row.discount
    if row.billable_option == NO_CHARGE:
        exact = ZERO
    catalogued = row.catalog_item.identifier if row.catalog_item else ""
    item = related.catalog_items.get(row.catalog_item.id or 0) if row.catalog_item else None
    draft = priced(
        f"product:{row.id}", "product", (row.customer_description, row.description, catalogued, "Product"),
        row.quantity, row.price, exact, row.taxable_flag and taxable,
        category=(Value.of(item.subcategory), Value.of(item.category)) if item else (NOTHING,),
        category_unknown=f"catalogue item {catalogued}" if related.lacks("catalog_items", row.catalog_item) else "",
        item=Value.of(row.catalog_item),
        department=Value.of(row.business_unit, row.business_unit_id),
        location=Value.of(row.location, row.location_id),
    )  # fmt: skip
    return draft, exact


def priced(
    key: str,
    kind: str,
    texts: Sequence[str],
    quantity: Decimal,
    price: Decimal,
    exact: Decimal,
    taxable: bool,
    **own: Any,
) -> Draft:
    """A row as a line that Xero takes; described by the first of the texts that says something.

    `exact` is its unrounded amount, `own` what it says of itself (the fields of Draft from `category` on).
    """
    amount = to_cents(exact)
    description = next(text for text in map(clean, texts) if text)
    if amount == 0:
        return Draft(key, kind, description, None, None, ZERO, taxable, **own)
    shown_quantity, shown_price = _at_four_places(quantity), _at_four_places(price)
    if shown_quantity < 0:
        shown_quantity, shown_price = -shown_quantity, -shown_price
    if to_cents(shown_quantity * shown_price) != amount:
        figures = f" ({_shown(quantity)} x {_shown(price)})"
        description = clean(description, LONGEST_DESCRIPTION - len(figures)) + figures
        shown_quantity, shown_price = Decimal(1), amount
    return Draft(key, kind, description, shown_quantity, shown_price, amount, taxable, **own)


@lru_cache(maxsize=4096)  # the same few prices and hours, again and again
def _at_four_places(value: Decimal) -> Decimal:
    return _plain_number(value.quantize(FOUR_PLACES, rounding=ROUND_HALF_UP))


def _plain_number(value: Decimal) -> Decimal:
    """The same number without an exponent and without zeros at its end, so that equal numbers are equal text."""
    return Decimal(format(value.normalize(), "f"))


def _shown(value: Decimal) -> str:
    return format(round(value, 10).normalize(), "f")


_NOT_FOR_XERO = re.compile("[^\t\n -~\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML, and so Xero, cannot carry, and the control characters that it could."""


def clean(text: str, longest: int = LONGEST_DESCRIPTION) -> str:
    """Text that Xero takes: one kind of line end, no other control characters, trimmed, at most `longest` long.

    Length is counted in UTF-16, where an emoji is two (inferred: Xero runs on .NET, which counts so).
    """
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text.strip()
    kept = _NOT_FOR_XERO.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    coded = kept.encode("utf-16-le")
    if len(coded) <= 2 * longest:
        return kept
    return coded[: 2 * (longest - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


def length_in_xero(text: str) -> int:
    """The length of a text as Xero counts it: in UTF-16 (inferred, see `clean`)."""
    return len(text.encode("utf-16-le")) // 2


def place_cents(taxes: Sequence[Decimal], amounts: Sequence[Decimal], wanted: Decimal) -> list[Decimal] | None:
    """Move single cents so that the lines' taxes add up to `wanted`, the largest lines first.

    `taxes` and `amounts` belong to the taxable lines; all are to the cent, in the document's currency. None: off by
    more than one cent per line (design 4).
    """
    cents = int((wanted - total(taxes)) / CENT)
    if not cents:
        return list(taxes)
    if abs(cents) > len(taxes):
        return None
    step = CENT if cents > 0 else -CENT
    placed = list(taxes)
    largest = sorted(range(len(amounts)), key=lambda place: (-abs(amounts[place]), place))
    for place in largest[: abs(cents)]:
        placed[place] += step
    return placed
