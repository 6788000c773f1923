"""From what was received of a ConnectWise purchase order to a bill in Xero: one pure function.

Which lines a bill holds, and how much of each, is decided before (billing.py); here they get their supplier, account,
tax, tracking, dates and number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from mappings import contacts
from mappings.billing import FREIGHT, line_key, nothing_left, plain_quantity
from mappings.connectwise import PurchaseOrder, PurchaseOrderLine, SourceBill, SourceOrder, SourcePurchaseOrder
from mappings.csv_tables import NOTHING, Row, Value
from mappings.invoices import LONGEST_NUMBER, DocumentMapping, connected, route, tag
from mappings.kinds import BILL
from mappings.lifecycle import received
from mappings.lines import Draft, clean, priced
from mappings.links import bill_key
from mappings.money import CENT, ZERO, to_cents, total
from mappings.namesakes import Names, Namesakes, note, several
from mappings.outcomes import Hold, Reason, merge
from mappings.policy import Purchases, filled_where_known
from mappings.related import Related, Wanted
from mappings.shares import key_on
from mappings.surroundings import Surroundings, Tables
from mappings.tracking import in_use
from mappings.xero import Books, Contact, Document, Line, NewContact

SIDE = "purchases"
NOTE = "vendor_invoice"
"""The key of the line that names the other orders which the vendor's invoice covers."""
ROUTING_COLUMNS = {name: name for name in ("location", "department", "company", "staff")}


def organisation_of(
    source: SourceBill | SourceOrder, tables: Tables, related: Related, namesakes: Namesakes
) -> tuple[str, Row] | Hold:
    """The organisation that organisations.csv routes this order to, and the row that did it.

    `company` is the customer that the goods are for, where the order names one; `staff` who entered the order.
    """
    del related
    header = source.header
    keys = {
        "location": Value.of(header.location, header.location_id),
        "department": Value.of(header.business_unit, header.business_unit_id),
        "company": Value.of(header.customer_company),
        "staff": Value.text(header.entered_by) if header.entered_by.strip() else NOTHING,
        "tag": tag(header.custom_fields, tables.policy.routing.tag_field),
    }
    found = route(keys, tables)
    if isinstance(found, Hold):
        return found
    return several(found[1], ROUTING_COLUMNS, namesakes) or found


def for_mapping(sources: Iterable[SourceBill | SourceOrder], tables: Tables) -> Wanted:
    """What of ConnectWise is needed to map bills and orders: the suppliers, and what the client's tables ask for."""
    wanted = Wanted()
    used = in_use(tables.tracking)
    categories = "category" in used
    categories |= bool(tables.accounts.named("category", kind=Value.text("product")) - {"", "*"})
    for order in (order for source in sources for order in source.orders):
        header = order.header
        if header.vendor_company.id is not None:
            wanted.companies.add(header.vendor_company.id)
        if categories:
            wanted.catalog_items |= {
                line.product.id for line in order.lines if line.product is not None and line.product.id is not None
            }
        for name, reference, number, ids in (
            ("location", header.location, header.location_id, wanted.locations),
            ("department", header.business_unit, header.business_unit_id, wanted.departments),
        ):
            if name in used and number is not None and not (reference and reference.name):
                ids.add(number)
    return wanted


def names_of(sources: Iterable[SourceBill | SourceOrder]) -> Names:
    """Every location, department, company and tax code that these orders name."""
    found: Names = {}
    for header in (order.header for source in sources for order in source.orders):
        note(found, "location", header.location)
        note(found, "department", header.business_unit)
        note(found, "company", header.vendor_company)
        note(found, "company", header.customer_company)
        note(found, "tax_code", header.tax_code)
    return found


def suppliers(sources: Iterable[SourceBill | SourceOrder]) -> set[int]:
    """The companies whose contacts these bills and orders are for, by id."""
    return {number for source in sources if (number := source.header.vendor_company.id) is not None}


def order_number(header: PurchaseOrder, purchases: Purchases) -> str:
    """The number of an order's own document in Xero. What is known late would change it, and is left out of it."""
    values = {"po_number": clean(" ".join(header.po_number.split())), "receipt": "", "vendor_invoice_number": ""}
    return clean(filled_where_known(purchases.purchase_order_number, values))


def to_xero_bill(source: SourceBill, surroundings: Surroundings) -> Document | Hold:
    """The Xero bill for what a purchase order says was received, or every reason why it cannot be one yet.

    All amounts are in the order's own currency: received quantity x unit cost of each line, its share of the order's
    tax, and freight where this bill carries it (design 6). What Xero will compute equals that to the cent, or the bill
    is held.
    """
    routed = organisation_of(source, surroundings.tables, surroundings.related, surroundings.namesakes)
    if isinstance(routed, Hold):
        return routed
    organisation, row = routed
    there = connected(organisation, row, surroundings)
    if isinstance(there, Hold):
        return there
    return PurchaseMapping(source, surroundings, organisation, *there, [row]).document()


@dataclass(frozen=True, slots=True)
class _Part:
    """What a bill holds of one of its orders: `quantities` by the order's own keys, and those of its `lines`."""

    order: SourcePurchaseOrder
    quantities: Mapping[str, Decimal]
    lines: Sequence[PurchaseOrderLine]

    @classmethod
    def of(cls, order: SourcePurchaseOrder, source: SourceBill) -> _Part:
        """The part of a bill that is of this order."""
        quantities = source.held_of(order)
        lines = sorted(order.lines, key=lambda line: (line.line_number or 0, line.id))
        return cls(order, quantities, [line for line in lines if line_key(line) in quantities])


class PurchaseMapping(DocumentMapping):
    """One run of the mapping: collects every problem, so that a bookkeeper sees all of them at once.

    Purchase orders themselves (orders.py) have their supplier and lines from here, too.
    """

    def __init__(
        self,
        source: SourceBill,
        surroundings: Surroundings,
        organisation: str,
        tenant_id: str,
        books: Books,
        rows: list[Row],
    ) -> None:
        super().__init__(BILL, surroundings, organisation, tenant_id, books, rows)
        self.source = source
        self.header = source.header
        self.quantities = dict(source.quantities)
        self.parts = [part for order in source.orders if (part := _Part.of(order, source)).quantities]
        self.held = [line for part in self.parts for line in part.lines]

    def document(self) -> Document | Hold:
        """The document, or all its problems as one."""
        header = self.header
        number = self._number()
        if not self.quantities or self._only_freight_is_left():
            return nothing_left(self.source, number)
        on = self._date()
        currency = self.currency(header.currency)
        company = self.related.companies.get(header.vendor_company.id or 0)
        fields = [
            ("purchase order", header.custom_fields or ()),
            ("vendor", (company.custom_fields or ()) if company else ()),
        ]
        rate = self.rate(currency, on, fields) if on is not None else None
        contact = self._supplier()
        for other in self.source.shared:
            self._check_that_it_fits(other.header)
        lines = self._lines()
        # Nothing is written to an approved bill, so whatever is to be told of it is not the lock.
        if on is not None and not self.source.approved:
            self.check_lock_date(on)
        if self.problems or contact is None or on is None:
            return merge(self.problems)
        zero = not total(line.amount for line in lines)
        kept = self.source.kept
        due = kept[2] if kept is not None else on + timedelta(days=self.source.due_days or 0)
        return Document(
            family=BILL.family,
            connectwise_id=bill_key(header.id, self.source.n),
            reference=self.source.reference,
            organisation=self.organisation,
            tenant_id=self.tenant_id,
            type=BILL.type,
            number=number,
            contact_id=contact.contact_id if isinstance(contact, Contact) else "",
            contact_name=contact.name,
            date=on,
            due_date=max(due, on),
            currency=currency,
            currency_rate=rate.value if rate else None,
            document_reference=clean(self.source.reference, LONGEST_NUMBER),
            url=self.surroundings.site.link(BILL.family, bill_key(header.id, self.source.n)),
            # Approved over nothing, a bill would count as paid at once.
            status="DRAFT" if zero else self._status().upper(),
            lines=tuple(lines),
            rows_used=(
                *self.source.cited,
                *dict.fromkeys([row.cited for row in self.rows]),
                *([f"rate {rate.value or ''}: {rate.source}".replace(" :", ":")] if rate else []),
            ),
            company_id=self.learnt,
            receipt=self.source.receipt,
            billed=self.source.quantities,
            source=self.source.content,
            orders=tuple(part.order.header.po_number for part in self.parts) if len(self.parts) > 1 else (),
            late=self.source.late,
            new_contact=contact if isinstance(contact, NewContact) else None,
        )

    def _only_freight_is_left(self) -> bool:
        """Whether a draft would carry the freight of goods that all went back: that is for a person to see, too."""
        goods = any(part.quantities.keys() != {FREIGHT} for part in self.parts)
        back = not goods and not any(received(line) for part in self.parts for line in part.order.lines)
        return back and not self.source.approved

    def _check_that_it_fits(self, other: PurchaseOrder) -> None:
        """Note a problem where an order cannot be on this bill any more: it is one supplier's, in one organisation."""
        header = self.header
        bare = SourceBill(header=other, n=1)
        routed = organisation_of(bare, self.tables, self.related, self.surroundings.namesakes)
        ours, its = (one.vendor_invoice_number.strip() for one in (header, other))
        different = [
            f"{name} ({here or 'none'}, {there or 'none'})"
            for name, here, there, same in (
                ("vendors", header.vendor_company.name, other.vendor_company.name,
                 header.vendor_company.id == other.vendor_company.id),
                ("currencies", header.currency.currency_code, other.currency.currency_code,
                 header.currency.currency_code.strip().upper() == other.currency.currency_code.strip().upper()),
                ("organisations", self.organisation, "" if isinstance(routed, Hold) else routed[0],
                 not isinstance(routed, Hold) and routed[0] == self.organisation),
                # The number of an approved bill is its own by then.
                ("vendor invoices", ours, its, self.source.kept is not None or ours.casefold() == its.casefold()),
            )
            if not same
        ]  # fmt: skip
        if different:
            self.problems.append(
                Hold(
                    Reason.VENDOR_INVOICE_SPLIT,
                    other.po_number,
                    f"{header.po_number} and {other.po_number} share a bill, and ConnectWise has different "
                    f"{' and '.join(different)} for them by now.",
                    "Make the two orders agree again in ConnectWise; or take the lines of one of them off the bill in "
                    "Xero by hand, and enter a bill for them there.",
                )
            )

    def _status(self) -> str:
        return self.source.status or self.decisions.purchases.bill_status

    def _number(self) -> str:
        """The number that people see as the bill's Reference (xero.md, 1.1); what is not known drops out of it."""
        if self.source.kept is not None:
            return self.source.kept[0]
        header = self.header
        order = clean(" ".join(self.source.reference.split()))
        if not order:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "poNumber",
                    f"The purchase order with the id {header.id} has no number in ConnectWise.",
                    "Give the purchase order a number in ConnectWise.",
                )
            )
        values = {
            "po_number": order,
            "receipt": self.source.receipt,
            "vendor_invoice_number": header.vendor_invoice_number,
        }
        number = clean(filled_where_known(self.decisions.purchases.bill_number, values))
        self.insist_on_length(number, "bill_number under [purchases]")
        return number

    def _date(self) -> date | None:
        """Vendor invoice date, else the last day on which any of it was received, else when the order was closed.

        A bill that does not follow the vendor invoice any more keeps its own.
        """
        header = self.header
        if self.source.kept is not None:
            return self.source.kept[1]
        headers = [order.header for order in self.source.orders]
        days = [line.date_received for line in self.held if line.date_received is not None]
        invoiced = next((one.vendor_invoice_date for one in headers if one.vendor_invoice_date is not None), None)
        closed = next((one.date_closed for one in headers if one.date_closed is not None), None)
        found = invoiced or max(days, default=None) or closed
        if found is None:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "dateReceived",
                    f"{header.po_number} has neither a vendor invoice date nor a day on which anything was received, "
                    "so the bill has no date.",
                    "Enter the date received on the lines, or the vendor invoice date on the order, in ConnectWise.",
                )
            )
        return found

    def _supplier(self) -> Contact | NewContact | None:
        """The contact of the supplier; `learnt` is the company it was found for."""
        vendor = self.header.vendor_company
        if vendor.id is None:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "vendorCompany",
                    f"{self.header.po_number} has no vendor in ConnectWise.",
                    "Choose the vendor on the purchase order in ConnectWise.",
                )
            )
            return None
        company = self.related.companies.get(vendor.id)
        if company is None or company.deleted_flag:
            self.problems.append(
                Hold(
                    Reason.COMPANY_MERGED,
                    vendor.name or str(vendor.id),
                    f"The supplier of {self.header.po_number} is {vendor.name or vendor.identifier or vendor.id}, "
                    "which ConnectWise does not have any more (or the API member may not see): merged into another "
                    "company, or deleted.",
                    "Choose the right vendor on the purchase order in ConnectWise.",
                )
            )
            return None
        found = contacts.resolve(
            vendor,
            company.vendor_identifier.strip() or str(company.id),
            "supplier",
            self.organisation,
            self.tables.contacts,
            self.books,
            self.surroundings.known_contacts.get((self.tenant_id, vendor.id), ""),
            create=self.decisions.contacts.create == "create",
        )
        return self.found_contact(found, vendor.id)

    def _lines(self) -> list[Line]:
        lines: list[Line] = []
        for part in self.parts:
            lines += self._lines_of(part)
        if self.source.note:
            lines.insert(1, Line(NOTE, clean(self.source.note)))
        return lines

    def _lines_of(self, part: _Part) -> list[Line]:
        """One order's lines, coded and taxed by its own header, below a line of text that names it."""
        header, lead = part.order.header, self.header.id
        coding = self.coding(
            SIDE,
            tax_code=Value.of(header.tax_code),
            department=Value.of(header.business_unit, header.business_unit_id),
            location=Value.of(header.location, header.location_id),
            leave_gaps=self.decisions.purchases.draft_gaps == "leave" and self._status() == "draft",
        )
        own, there = " ".join(header.po_number.split()), order_number(header, self.decisions.purchases)
        # Where the order has another number in Xero, people look for that one.
        title = f"Purchase order {own}" + (f" ({there})" if there not in (clean(own), "") else "")
        receipt = f", receipt {self.source.receipt}" if self.source.receipt not in ("", FREIGHT) else ""
        lines = [Line("order", clean(title + receipt))]
        lines += [coding.line(self._draft(part, line)) for line in part.lines]
        tax, rounded = tax_shares((part, line) for line in part.lines)
        if FREIGHT in part.quantities:
            lines.append(coding.line(_freight(header)))
            tax += header.freight_tax_total
        # While a line lacks its tax type, the tax of all of them says nothing.
        gaps = any(line.quantity is not None and not line.tax_type for line in lines)
        if not coding.problems and not gaps:
            lines = coding.with_tax(lines, to_cents(tax), rounded)
        self.rows += coding.rows
        self.problems += coding.problems
        return [replace(line, key=key_on(lead, header.id, line.key)) for line in lines]

    def _draft(self, part: _Part, line: PurchaseOrderLine) -> Draft:
        quantity = part.quantities[line_key(line)]
        identifier = line.product.identifier if line.product else ""
        item = self.related.catalog_items.get(line.product.id or 0) if line.product else None
        # With nothing to pay the text alone says how many there were, so that more of them is seen as a change.
        free = f" ({plain_quantity(quantity)} at no cost)" if not to_cents(quantity * line.unit_cost) else ""
        text = next((text for text in map(clean, (line.description, identifier)) if text), "Product")
        return priced(
            line_key(line),
            "product",
            (clean(text, 3900) + free,),
            quantity,
            line.unit_cost,
            quantity * line.unit_cost,
            bool(_taxed_as(part, line).tax),
            category=(Value.of(item.subcategory), Value.of(item.category)) if item else (NOTHING,),
            category_unknown=f"catalogue item {identifier}"
            if self.related.lacks("catalog_items", line.product)
            else "",
            item=Value.of(line.product),
        )


def _freight(header: PurchaseOrder) -> Draft:
    slip = f", packing slip {header.freight_packing_slip}" if header.freight_packing_slip.strip() else ""
    return priced(
        FREIGHT,
        "freight",
        (f"Freight{slip}",),
        Decimal(1),
        header.freight_cost,
        header.freight_cost,
        bool(header.freight_tax_total),
    )


def tax_shares(held: Iterable[tuple[_Part, PurchaseOrderLine]]) -> tuple[Decimal, Decimal]:
    """The lines' own tax, as far as they are held, and by how much its rounding may be more than a cent each.

    ConnectWise's tax of a line is to the cent. Where more is held than the line was of, what was rounded off is
    multiplied with it: of one at 0.05 the tax is 0.01, but of ten it is 0.05.
    """
    tax = rounded = ZERO
    for part, line in held:
        quantity, whole = part.quantities[line_key(line)], _taxed_as(part, line)
        times = quantity / (whole.quantity or quantity)
        tax += whole.tax * times
        rounded += max(times - 1, ZERO) * CENT / 2 if whole.tax else ZERO
    return tax, rounded


def _taxed_as(part: _Part, line: PurchaseOrderLine) -> PurchaseOrderLine:
    """The line whose tax speaks for this one: itself, or the same product at the same cost.

    What came on top of a full receipt may stand on a line of quantity 0 (connectwise.md, 11.4), which has no tax of
    its own however it is taxed.
    """
    if line.quantity or line.product is None:
        return line
    same = (one for one in part.order.lines if (one.product, one.unit_cost) == (line.product, line.unit_cost))
    return next((one for one in same if one.quantity), line)
