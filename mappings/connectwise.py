"""What ConnectWise says: frozen records, parsed once at the edge, money as Decimal from the JSON text.

Unknown fields are ignored (a new field is no breaking change: connectwise.md, section 1). ConnectWise leaves null
properties out, so what may be absent has a default that means "nothing here"; what a document cannot be judged
without (id, total, subtotal, company, date) has none, and a record that lacks it is an `unreadable_record`. So is one
with an amount that no line of a Xero document could carry.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from mappings.money import LARGEST, ZERO
from mappings.shares import share_of


def _zero_when_null(value: Any) -> Any:
    return ZERO if value is None else value


def _blank_when_null(value: Any) -> Any:
    return "" if value is None else value


def _business_date(value: Any) -> Any:
    """A business date is written as midnight Z; only its date part counts, and no zone ever moves it."""
    return value[:10] or None if isinstance(value, str) else value


Total = Annotated[Decimal, Field(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[Total, BeforeValidator(_zero_when_null)]
Text = Annotated[str, BeforeValidator(_blank_when_null)]
BusinessDate = Annotated[date, BeforeValidator(_business_date)]
MaybeDate = Annotated[date | None, BeforeValidator(_business_date)]


class ConnectWiseRecord(BaseModel):
    """Base of all records: frozen, unknown fields ignored, ConnectWise's own camelCase names as aliases."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, alias_generator=to_camel)


class Reference(ConnectWiseRecord):
    """A reference to another record: its id and what people call it."""

    id: int | None = None
    identifier: Text = ""
    name: Text = ""


class BillingStatus(ConnectWiseRecord):
    """The tenant's own billing status; only `is_closed` means anything (connectwise.md, section 5)."""

    id: int | None = None
    name: Text = ""
    is_closed: bool = False


class Currency(ConnectWiseRecord):
    """The currency of a document, by its ISO code. There is no exchange rate anywhere (connectwise.md, section 9)."""

    id: int | None = None
    currency_code: Text = ""
    name: Text = ""


class Info(ConnectWiseRecord):
    """`_info`: when and by whom a record was last changed. Whole seconds, UTC."""

    last_updated: datetime | None = None


class CustomField(ConnectWiseRecord):
    """One custom field; the value may be text, a number or a boolean (connectwise.md, section 13)."""

    id: int | None = None
    caption: Text = ""
    value: Any = None


class Invoice(ConnectWiseRecord):
    """The header of `/finance/invoices`. All amounts are in the document's own currency; lines are elsewhere."""

    id: int
    invoice_number: Text = ""
    type: Text = ""
    status: BillingStatus = BillingStatus()
    company: Reference
    bill_to_company: Reference | None = None
    account_number: Text = ""
    reference: Text = ""
    customer_po: Annotated[Text, Field(alias="customerPO")] = ""
    date: BusinessDate
    due_date: MaybeDate = None
    location_id: int | None = None
    location: Reference | None = None
    department_id: int | None = None
    department: Reference | None = None
    taxable_flag: bool = False
    tax_code: Reference | None = None
    currency: Currency = Currency()
    service_total: Amount = ZERO
    expense_total: Amount = ZERO
    product_total: Amount = ZERO
    agreement_amount: Amount = ZERO
    service_adjustment_amount: Amount = ZERO
    previous_progress_applied: Amount = ZERO
    downpayment_applied: Amount = ZERO
    subtotal: Total
    sales_tax: Amount = ZERO
    total: Total
    special_invoice_flag: bool = False
    agreement: Reference | None = None
    project: Reference | None = None
    ticket: Reference | None = None
    sales_order: Reference | None = None
    custom_fields: list[CustomField] | None = None
    info: Annotated[Info, Field(alias="_info")] = Info()

    @property
    def billed_company(self) -> Reference:
        """The company that pays: bill-to where it is given, else the company (connectwise.md, section 5)."""
        return self.bill_to_company or self.company

    @property
    def at_location(self) -> int:
        """The id of its location; 0 where it has none. A role can hide locations (connectwise.md, section 2)."""
        return self.location_id or (self.location.id if self.location else None) or 0


class Owed(ConnectWiseRecord):
    """What `/finance/invoices` says of how an invoice is settled: balance = total - payments - credits (section 5).

    Amounts in the invoice's own currency. What it was settled by is in `/finance/invoices/{id}/payments`.
    """

    id: int
    invoice_number: Text = ""
    status: BillingStatus = BillingStatus()
    company: Reference | None = None
    date: BusinessDate
    currency: Currency = Currency()
    total: Total
    payments: Amount = ZERO
    credits: Amount = ZERO
    balance: Amount = ZERO
    custom_fields: list[CustomField] | None = None
    info: Annotated[Info, Field(alias="_info")] = Info()


class PaymentRow(ConnectWiseRecord):
    """One row of `/finance/invoices/{id}/payments`: cash, or with `credit` a part of that credit memo (section 6).

    `amount` in the invoice's currency; there is one cash row for each invoice, or several, by tenant.
    """

    id: int
    credit: Reference | None = None
    amount: Total
    payment_date: MaybeDate = None
    payment_account: Text = ""


class TimeEntry(ConnectWiseRecord):
    """One time entry on an invoice (`/time/entries`). Rates and amounts are before tax."""

    id: int
    invoice: Reference
    member: Reference | None = None
    work_type: Reference | None = None
    work_role: Reference | None = None
    notes: Text = ""
    billable_option: Text = ""
    invoice_hours: Amount = ZERO
    hourly_rate: Amount = ZERO
    extended_invoice_amount: Total | None = None
    location_id: int | None = None
    location: Reference | None = None
    business_unit_id: int | None = None
    department: Reference | None = None


class ExpenseEntry(ConnectWiseRecord):
    """One expense on an invoice (`/expense/entries`). `invoice_amount` is before tax."""

    id: int
    invoice: Reference
    type: Reference | None = None
    member: Reference | None = None
    notes: Text = ""
    billable_option: Text = ""
    invoice_amount: Amount = ZERO
    location_id: int | None = None
    business_unit_id: int | None = None


class Product(ConnectWiseRecord):
    """One product on an invoice (`/procurement/products`). `price` per unit, `ext_price` for the row."""

    id: int
    invoice: Reference
    catalog_item: Reference | None = None
    description: Text = ""
    customer_description: Text = ""
    quantity: Amount = ZERO
    price: Amount = ZERO
    ext_price: Total | None = None
    discount: Amount = ZERO
    taxable_flag: bool = False
    billable_option: Text = ""
    cancelled_flag: bool = False
    location_id: int | None = None
    location: Reference | None = None
    business_unit_id: int | None = None
    business_unit: Reference | None = None


class SoldProduct(ConnectWiseRecord):
    """A product of `/procurement/products` as something that was sold, on an invoice or not yet (connectwise.md, 11.7).

    `price` per unit and `ext_price` for the row, in the invoice's currency, before tax.
    """

    id: int
    invoice: Reference | None = None
    sales_order: Reference | None = None
    catalog_item: Reference | None = None
    company: Reference | None = None
    vendor: Reference | None = None
    quantity: Amount = ZERO
    quantity_cancelled: Amount = ZERO
    price: Amount = ZERO
    ext_price: Total | None = None
    discount: Amount = ZERO
    billable_option: Text = ""
    cancelled_flag: bool = False


LEVELS = ("One", "Two", "Three", "Four", "Five", "Six")


class TaxCode(ConnectWiseRecord):
    """A tax code of `/finance/taxCodes`, reduced to which kinds of line any of its six levels taxes.

    Products are not here: each product row says for itself whether it is taxable (design 4).
    """

    id: int
    identifier: Text = ""
    taxes_services: bool = False
    taxes_expenses: bool = False

    @model_validator(mode="before")
    @classmethod
    def _any_level(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        flags = {
            f"taxes{kind}": True
            for kind in ("Services", "Expenses")
            if any(data.get(f"level{level}{kind}Flag") for level in LEVELS)
        }
        return data | flags


class Company(ConnectWiseRecord):
    """A company of `/company/companies`: customer and vendor in one."""

    id: int
    identifier: Text = ""
    name: Text = ""
    account_number: Text = ""
    vendor_identifier: Text = ""
    deleted_flag: bool = False
    custom_fields: list[CustomField] | None = None


class CatalogItem(ConnectWiseRecord):
    """An item of `/procurement/catalog`: where a product stands in the catalogue."""

    id: int
    identifier: Text = ""
    category: Reference | None = None
    subcategory: Reference | None = None


class Agreement(ConnectWiseRecord):
    """An agreement of `/finance/agreements`: only its type matters here."""

    id: int
    type: Reference | None = None


class Location(ConnectWiseRecord):
    """A location of `/system/locations`; some rows give no more than its id."""

    id: int
    name: Text = ""


class Department(ConnectWiseRecord):
    """A department of `/system/departments`, on procurement and expenses called business unit."""

    id: int
    identifier: Text = ""
    name: Text = ""


class SalesOrder(ConnectWiseRecord):
    """A sales order of `/sales/orders`: who sold it. An invoice itself names no seller (spec: Invoice)."""

    id: int
    sales_rep: Reference | None = None


class BillingTerm(ConnectWiseRecord):
    """`/finance/billingTerms`: how many days after its date a document is due; None where it does not say."""

    id: int
    name: Text = ""
    due_days: int | None = None


class PurchaseOrderStatus(ConnectWiseRecord):
    """`/procurement/purchaseorderstatuses`: the tenant's own. Closed but not the default closed one means cancelled."""

    id: int
    name: Text = ""
    closed_flag: bool = False
    default_closed_flag: bool = False


class PurchaseOrder(ConnectWiseRecord):
    """The header of `/procurement/purchaseorders` (connectwise.md, 11.1). Amounts are in the order's own currency.

    There is one vendor invoice number and date for each order, and no amount with it.
    """

    id: int
    po_number: Text = ""
    po_date: MaybeDate = None
    status: Reference = Reference()
    closed_flag: bool = False
    date_closed: MaybeDate = None
    vendor_company: Reference
    vendor_order_number: Text = ""
    vendor_invoice_number: Text = ""
    vendor_invoice_date: MaybeDate = None
    customer_company: Reference | None = None
    drop_ship_customer_flag: bool = False
    location_id: int | None = None
    location: Reference | None = None
    business_unit_id: int | None = None
    business_unit: Reference | None = None
    entered_by: Text = ""
    terms: Reference | None = None
    tax_code: Reference | None = None
    tax_po_flag: bool = False
    tax_freight_flag: bool = False
    sales_tax: Amount = ZERO
    freight_cost: Amount = ZERO
    freight_tax_total: Amount = ZERO
    freight_packing_slip: Text = ""
    sub_total: Amount = ZERO
    total: Amount = ZERO
    currency: Currency = Currency()
    custom_fields: list[CustomField] | None = None
    info: Annotated[Info, Field(alias="_info")] = Info()

    @property
    def at_location(self) -> int:
        """The id of its location; 0 where it has none. A role can hide locations (connectwise.md, section 2)."""
        return self.location_id or (self.location.id if self.location else None) or 0


class PurchaseOrderLine(ConnectWiseRecord):
    """One of `/procurement/purchaseorders/{id}/lineitems` (connectwise.md, 11.3 and 11.4).

    A receipt is a change of a line: its `received_quantity` grows, or it is received in part and cloned for the rest.
    `received_quantity` is a whole number in ConnectWise, even where `quantity` is not. `tax` is of the whole line.
    """

    id: int
    line_number: int | None = None
    product: Reference | None = None
    description: Text = ""
    vendor_sku: Text = ""
    quantity: Amount = ZERO
    received_quantity: Amount = ZERO
    received_status: Text = ""
    closed_flag: bool = False
    canceled_flag: bool = False
    date_received: MaybeDate = None
    expected_ship_date: MaybeDate = None
    expected_arrival_date: MaybeDate = None
    packing_slip: Text = ""
    unit_cost: Amount = ZERO
    ext_cost: Amount = ZERO
    tax: Amount = ZERO
    serial_numbers: Text = ""
    sales_order: list[Reference] | None = None
    info: Annotated[Info, Field(alias="_info")] = Info()


class SourcePurchaseOrder(ConnectWiseRecord):
    """A purchase order with its lines, in the order of their ids."""

    header: PurchaseOrder
    lines: tuple[PurchaseOrderLine, ...] = ()

    @property
    def digest(self) -> str:
        """Names this very content, when it was last changed left out: opening and saving again is no change.

        For whom a line was bought (`sold_on`) is nothing that a bill says, and not part of it.
        """
        bare = self.model_dump(exclude={"header": {"info"}, "lines": {"__all__": {"info", "sales_order"}}})
        return _digest(repr(bare))

    @property
    def sold_on(self) -> tuple[tuple[int | None, ...], ...]:
        """The sales orders that each line is bought for: what on-billing reads of it, and no bill."""
        return tuple(tuple(each.id for each in line.sales_order or ()) for line in self.lines)


class SourceBill(ConnectWiseRecord):
    """One bill that an order has or should have: the order, and how much of which of its lines the bill holds.

    `quantities` by line key (mappings/billing.py). `status` is the lifecycle's word ('' leaves it to policy), `cited`
    the rows of it that fired, `due_days` those of the order's terms. `kept` are number, date and due date of a bill
    that is in Xero and does not follow the vendor invoice any more; `approved` is one that nothing may change. `note`
    names the other orders that the vendor's invoice covers ('' where there are none). `shared` are the other orders of
    which it holds something: their line keys begin with their ids (mappings/shares.py). `late` is what people
    are told when it is posted beside an earlier bill of the same vendor's invoice.
    """

    header: PurchaseOrder
    lines: tuple[PurchaseOrderLine, ...] = ()
    n: int
    receipt: str = ""
    quantities: tuple[tuple[str, Decimal], ...] = ()
    status: str = ""
    cited: tuple[str, ...] = ()
    due_days: int | None = None
    kept: tuple[str, date, date] | None = None
    approved: bool = False
    note: str = ""
    shared: tuple[SourcePurchaseOrder, ...] = ()
    late: str = ""

    @property
    def orders(self) -> tuple[SourcePurchaseOrder, ...]:
        """Every order of which it holds something, the one that it is kept under first."""
        return SourcePurchaseOrder(header=self.header, lines=self.lines), *self.shared

    def held_of(self, order: SourcePurchaseOrder) -> dict[str, Decimal]:
        """What it holds of one of its orders, by the order's own keys."""
        return share_of(dict(self.quantities), self.header.id, order.header.id)

    @property
    def reference(self) -> str:
        """The number of its order; those of all, where several share it."""
        holds = [order for order in self.orders if self.held_of(order)] or [self.orders[0]]
        return ", ".join(order.header.po_number for order in holds)

    @property
    def content(self) -> str:
        """Names what ConnectWise says of this very bill: its share of the order; and the vendor invoice with the terms.

        The two are apart, joined by a colon. With the vendor invoice go the other orders that it covers.
        """
        shares = [self._share(order) for order in self.orders]
        others = [share for share in shares[1:] if share[2]]
        share = _digest(repr((*shares[0][:2], self.quantities, self.receipt, *others)))
        invoices = [
            order.header.model_dump(include={"vendor_invoice_number", "vendor_invoice_date"})
            for order in self.orders
            if order.header.id == self.header.id or self.held_of(order)
        ]
        return f"{share}:{_digest(repr((invoices, self.due_days, self.note)))}"

    def _share(self, order: SourcePurchaseOrder) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Decimal]]:
        """What ConnectWise says of what it holds of an order."""
        held = self.held_of(order)
        header = {
            "po_number", "vendor_company", "customer_company", "location_id", "location", "business_unit_id",
            "business_unit", "entered_by", "tax_code", "currency", "custom_fields",
        }  # fmt: skip
        if "freight" in held:
            header |= {"freight_cost", "freight_tax_total", "freight_packing_slip"}
        # When goods are expected, and for whom they were bought, is of the order, not of its bill.
        bare = {"info", "expected_ship_date", "expected_arrival_date", "sales_order"}
        lines = [line.model_dump(exclude=bare) for line in order.lines if f"line:{line.id}" in held]
        return order.header.model_dump(include=header), lines, held

    def is_as(self, content: str) -> bool:
        """Whether nothing of this bill has changed; a bill that keeps its number and dates leaves the invoice out."""
        if self.kept is not None:
            return content.partition(":")[0] == self.content.partition(":")[0]
        return content == self.content

    @property
    def digest(self) -> str:
        """Names this very content; part of the cache key of its mapping."""
        return _digest(self.model_dump_json())


class SourceOrder(ConnectWiseRecord):
    """What a purchase order in Xero should be: the order, and how much of which of its lines is ordered.

    `quantities` by line key (mappings/ordered.py). `status` is the least that it should have in Xero, `cited` the rows
    of the lifecycle that fired. With `written`, the text of the document as we last wrote it, nothing of it changes but
    its status; `void` is then what is added to the number of one that is deleted.
    """

    header: PurchaseOrder
    lines: tuple[PurchaseOrderLine, ...] = ()
    quantities: tuple[tuple[str, Decimal], ...] = ()
    status: str = "DRAFT"
    cited: tuple[str, ...] = ()
    written: str = ""
    void: str = ""

    @property
    def orders(self) -> tuple[SourcePurchaseOrder, ...]:
        """The one order that it is."""
        return (SourcePurchaseOrder(header=self.header, lines=self.lines),)

    @property
    def content(self) -> str:
        """Names what ConnectWise says of what is ordered; what was received and invoiced of it is left out."""
        header = {
            "po_number", "po_date", "vendor_company", "vendor_order_number", "customer_company", "location_id",
            "location", "business_unit_id", "business_unit", "entered_by", "tax_code", "currency", "custom_fields",
        }  # fmt: skip
        line = {
            "id", "line_number", "product", "description", "quantity", "unit_cost", "tax", "expected_ship_date",
            "expected_arrival_date",
        }  # fmt: skip
        held = {key for key, _ in self.quantities}
        lines = [each.model_dump(include=line) for each in self.lines if f"line:{each.id}" in held]
        return _digest(repr((self.header.model_dump(include=header), lines, self.quantities)))

    @property
    def digest(self) -> str:
        """Names this very content; part of the cache key of its mapping."""
        return _digest(self.model_dump_json())


class SourceInvoice(ConnectWiseRecord):
    """An invoice with everything that its lines are made of: what the mapping gets, and what a held record keeps."""

    header: Invoice
    time: tuple[TimeEntry, ...] = ()
    expenses: tuple[ExpenseEntry, ...] = ()
    products: tuple[Product, ...] = ()

    @property
    def digest(self) -> str:
        """Names this very content; part of the cache key of its mapping."""
        return _digest(self.model_dump_json())


def seen_digest(header: Invoice) -> str:
    """A digest of the header with its `lastUpdated`.

    Equal to the one stored means that this record has been dealt with as it stands. A child row may change without
    bumping its parent (connectwise.md, 4.4); the header's parts then differ, or the completeness sweep finds it.
    """
    return _digest(header.model_dump_json())


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def fields_of(*records: type[ConnectWiseRecord]) -> str:
    """The `fields` parameter for one list: exactly what the record types read, in ConnectWise's names."""
    fields = (one for record in records for one in record.model_fields.items())
    return ",".join(dict.fromkeys((field.alias or to_camel(name)).split("/")[0] for name, field in fields))


_MAY_HOLD_HALVES = re.compile(rb"\\u[dD]|\xed[\xa0-\xbf]")


def read_json(text: bytes | str) -> Any:
    """Parse JSON with every fractional number as Decimal, digit for digit (floats never exist here).

    Half a surrogate pair, which JSON can write and no other text can carry, becomes the replacement character.
    Raises ValueError when it is no JSON.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    value = json.loads(raw, parse_float=Decimal)
    # Most answers have no escape at all, and are looked through in no time for one.
    suspicious = (b"\\u" in raw or b"\xed" in raw) and _MAY_HOLD_HALVES.search(raw)
    return _without_halves(value) if suspicious else value


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_halves(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_halves(each) for name, each in value.items()}
    return value


def describe(record: Mapping[str, Any]) -> tuple[int | None, str]:
    """The id and number of a raw record that may be unreadable otherwise (None and '' where even they are)."""
    found = record.get("id")
    number = record.get("invoiceNumber") or record.get("poNumber") or ""
    return (found if isinstance(found, int) and not isinstance(found, bool) else None, str(number))
