"""A purchase order's own document in Xero: what it should hold, and one pure function that maps it.

It says what is ordered, not what was received; what is billed of it are documents of their own (billing.py). A purchase
order moves no account, so neither lock dates nor payments stand in its way. Its status is raised by us and by people,
and never set back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from mappings.billing import FREIGHT, Firing, left_over, line_key
from mappings.bills import SIDE, PurchaseMapping, order_number, organisation_of, tax_shares
from mappings.connectwise import PurchaseOrderLine, SourceBill, SourceOrder, SourcePurchaseOrder
from mappings.csv_tables import Row, Value
from mappings.invoices import LONGEST_NUMBER, connected
from mappings.kinds import PURCHASE_ORDER
from mappings.lifecycle import PO_EVENTS, Event, State, ordered, received
from mappings.lines import clean
from mappings.merging import LastWrite, further
from mappings.money import ZERO, to_cents
from mappings.outcomes import Hold, Reason, merge
from mappings.plans import Bound
from mappings.surroundings import Surroundings
from mappings.xero import Books, Contact, Document, Line, NewContact

BILLED = "BILLED"
DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Placed:
    """The document of an order that is bound, and what is known of our last write of it."""

    bound: Bound
    last: LastWrite

    @property
    def written(self) -> Document | None:
        """The document as we last wrote it; None once we have deleted it, and while it was never ours."""
        return None if deleted_by_us(self.last) else self.last.document


def deleted_by_us(last: LastWrite) -> bool:
    """Whether it was us who deleted a purchase order. What a person deletes keeps the number that it had."""
    written, answer = last.document, last.answer
    return written is not None and written.status == DELETED and not answer.live and answer.number == written.number


def all_billed(source: SourcePurchaseOrder, bills: Iterable[Mapping[str, Decimal]]) -> bool:
    """Whether something was received and all of it is on these bills, each given by its quantities; freight aside."""
    came = any(received(line) for line in source.lines)
    return came and not left_over(source, list(bills)).keys() - {FREIGHT}


def wanted_order(
    source: SourcePurchaseOrder, firing: Firing, placed: Placed | None, billed: bool
) -> SourceOrder | Hold | None:
    """What the order's document should be by the events that fired; None: nothing is to be done about it.

    `placed` is the document that is there, `billed` whether all that was received is on live bills in Xero.

    | fires | nothing there, or deleted by us | there |
    |---|---|---|
    | draft_po | made | follows |
    | update_po | nothing | follows |
    | approve_po | with draft_po: made approved | approved |
    | any of these, or mark_po_billed | | billed, once all of it was received and is billed |
    | delete_po, when cancelled | nothing | deleted |
    """
    events = firing.events
    there = placed is not None and not deleted_by_us(placed.last)
    written = placed.written if placed is not None else None
    if Event.HOLD in events:
        return None
    if Event.DELETE_PO in events and firing.state is State.CANCELLED:
        if placed is None or written is None or written.status == DELETED:
            return None
        return _step(source, firing, written, DELETED, f"-VOID-{source.header.id}-{placed.bound.xero_id[:8]}")
    status = "AUTHORISED" if Event.APPROVE_PO in events else "DRAFT"
    if billed and firing.state is State.FULLY_RECEIVED and events & set(PO_EVENTS):
        status = BILLED
    if written is not None and written.status != DELETED:
        status = further(written.status, status)
    if Event.DRAFT_PO in events or (Event.UPDATE_PO in events and there):
        quantities = ordered_quantities(source.lines)
        if quantities:
            return SourceOrder(
                header=source.header, lines=source.lines, quantities=quantities, status=status, cited=firing.cited
            )
        return _nothing_ordered(source, written.number) if written is not None else None
    if written is not None and written.status not in (status, DELETED):
        return _step(source, firing, written, status)
    return None


def only_its_status(wanted: SourceOrder, written: Document) -> SourceOrder:
    """The same, where nothing but its status is to be written."""
    return wanted.model_copy(update={"written": written.to_text()})


def ordered_quantities(lines: Iterable[PurchaseOrderLine]) -> tuple[tuple[str, Decimal], ...]:
    """How much of which line is ordered, by line key; lines of which nothing is are left out."""
    return tuple(sorted((line_key(line), many) for line in lines if (many := ordered(line))))


def _step(source: SourcePurchaseOrder, firing: Firing, written: Document, status: str, void: str = "") -> SourceOrder:
    return SourceOrder(
        header=source.header, lines=source.lines, quantities=ordered_quantities(source.lines), status=status,
        cited=firing.cited, written=written.to_text(), void=void,
    )  # fmt: skip


def _nothing_ordered(source: SourcePurchaseOrder, number: str) -> Hold:
    order = source.header.po_number
    return Hold(
        Reason.LINES_INCOMPLETE,
        number,
        f"Nothing is ordered on {order} any more, and {number} in Xero still says what was; Xero has no purchase order "
        "without lines.",
        f"Cancel {order} in ConnectWise if it is off, or enter its lines again.",
    )


def order_value(source: SourceOrder) -> Decimal:
    """What an order comes to, in its currency, before tax, to the cent."""
    costs = {line_key(line): line.unit_cost for line in source.lines}
    return to_cents(sum((quantity * costs.get(key, ZERO) for key, quantity in source.quantities), ZERO))


def to_xero_order(source: SourceOrder, surroundings: Surroundings) -> Document | Hold:
    """The Xero purchase order for what is ordered, or every reason why there cannot be one yet.

    All amounts are in the order's own currency: ordered quantity x unit cost of each line, and the order's own tax of
    it. Freight is not on it: what it will be, ConnectWise knows with the vendor's invoice.
    """
    if source.written:
        written = Document.from_text(source.written)
        rows = [row for row in written.rows_used if not row.startswith("lifecycle.csv")]
        number = written.number[: LONGEST_NUMBER - len(source.void)] + source.void
        return replace(written, number=number, status=source.status, rows_used=(*source.cited, *rows))
    routed = organisation_of(source, surroundings.tables, surroundings.related, surroundings.namesakes)
    if isinstance(routed, Hold):
        return routed
    organisation, row = routed
    there = connected(organisation, row, surroundings)
    if isinstance(there, Hold):
        return there
    return _Mapping(source, surroundings, organisation, *there, [row]).document()


class _Mapping(PurchaseMapping):
    """One run of the mapping of a purchase order."""

    def __init__(
        self,
        source: SourceOrder,
        surroundings: Surroundings,
        organisation: str,
        tenant_id: str,
        books: Books,
        rows: list[Row],
    ) -> None:
        whole = SourceBill(header=source.header, lines=source.lines, n=1, quantities=source.quantities)
        super().__init__(whole, surroundings, organisation, tenant_id, books, rows)
        self.kind = PURCHASE_ORDER
        self.order = source

    def document(self) -> Document | Hold:
        header = self.header
        number = self._number()
        on = self._date()
        currency = self.currency(header.currency)
        company = self.related.companies.get(header.vendor_company.id or 0)
        fields = [
            ("purchase order", header.custom_fields or ()),
            ("vendor", (company.custom_fields or ()) if company else ()),
        ]
        rate = self.rate(currency, on, fields) if on is not None else None
        contact = self._supplier()
        lines = self._lines()
        if self.problems or contact is None or on is None:
            return merge(self.problems)
        return Document(
            family=PURCHASE_ORDER.family,
            connectwise_id=header.id,
            reference=header.po_number,
            organisation=self.organisation,
            tenant_id=self.tenant_id,
            type=PURCHASE_ORDER.type,
            number=number,
            contact_id=contact.contact_id if isinstance(contact, Contact) else "",
            contact_name=contact.name,
            date=on,
            due_date=_expected(self.held),
            currency=currency,
            currency_rate=rate.value if rate else None,
            document_reference=clean(header.vendor_order_number, LONGEST_NUMBER),
            url=self.surroundings.site.link(PURCHASE_ORDER.family, header.id),
            status=self.order.status,
            lines=tuple(lines),
            rows_used=(
                *self.order.cited,
                *dict.fromkeys([row.cited for row in self.rows]),
                *([f"rate {rate.value or ''}: {rate.source}".replace(" :", ":")] if rate else []),
            ),
            company_id=self.learnt,
            source=self.order.content,
            new_contact=contact if isinstance(contact, NewContact) else None,
        )

    def _number(self) -> str:
        number = order_number(self.header, self.decisions.purchases)
        if not clean(self.header.po_number) or not number:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "poNumber",
                    f"The purchase order with the id {self.header.id} has no number in ConnectWise.",
                    "Give the purchase order a number in ConnectWise.",
                )
            )
        self.insist_on_length(number, "purchase_order_number under [purchases]")
        return number

    def _date(self) -> date | None:
        header = self.header
        if header.po_date is None:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "poDate",
                    f"{header.po_number} has no date in ConnectWise.",
                    "Enter the date of the purchase order in ConnectWise.",
                )
            )
        return header.po_date

    def _lines(self) -> list[Line]:
        header = self.header
        coding = self.coding(
            SIDE,
            tax_code=Value.of(header.tax_code),
            department=Value.of(header.business_unit, header.business_unit_id),
            location=Value.of(header.location, header.location_id),
            leave_gaps=self.decisions.purchases.draft_gaps == "leave",
        )
        held = [(part, line) for part in self.parts for line in part.lines]
        lines = [coding.line(self._draft(*each)) for each in held]
        gaps = any(line.quantity is not None and not line.tax_type for line in lines)
        if not coding.problems and not gaps:
            tax, rounded = tax_shares(held)
            lines = coding.with_tax(lines, to_cents(tax), rounded)
        self.rows += coding.rows
        self.problems += coding.problems
        return lines


def _expected(lines: Iterable[PurchaseOrderLine]) -> date | None:
    """The day on which the last of it is expected: by its arrival, else by its dispatch."""
    days = [line.expected_arrival_date or line.expected_ship_date for line in lines]
    return max((day for day in days if day is not None), default=None)
