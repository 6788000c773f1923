"""The kinds of documents that Xero keeps apart, and what its API calls their parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document.

    `word` is what people call it (`source` in ConnectWise), `type` its Type, `collection` its endpoint, `id` and
    `number` the names of those fields. `linked`: it carries our link in `Url`, and is asked for by lists of ids and of
    numbers; a credit note has neither (spec: /Invoices and /CreditNotes). `due` names its due date, '' where it has
    none. `unique`: Xero refuses a number that another document has, so that what is sent twice is there once
    (xero.md, 1.3). `sought`: each is looked for before it is made. `posts`: it moves accounts, so that lock dates,
    payments and approval stand in the way of an edit.
    """

    family: str
    word: str
    source: str
    type: str
    collection: str
    id: str
    number: str
    linked: bool = True
    due: str = "DueDate"
    unique: bool = True
    sought: bool = False
    posts: bool = True

    @property
    def asked_as(self) -> str:
        """The family by which people ask for it on the command line."""
        return FAMILY_SHOWN.get(self.family, self.family)


INVOICE = Kind("invoices", "invoice", "invoice", "ACCREC", "Invoices", "InvoiceID", "InvoiceNumber")
CREDIT_NOTE = Kind(
    "credit_notes", "credit note", "credit memo", "ACCRECCREDIT", "CreditNotes", "CreditNoteID", "CreditNoteNumber",
    linked=False, due="",
)  # fmt: skip
BILL = Kind(
    "bills", "bill", "purchase order", "ACCPAY", "Invoices", "InvoiceID", "InvoiceNumber", unique=False, sought=True
)  # fmt: skip
"""What people read as a bill's Reference is its InvoiceNumber, and need not be unique (xero.md, 1.1)."""
PURCHASE_ORDER = Kind(
    "orders", "purchase order", "purchase order", "PURCHASEORDER", "PurchaseOrders", "PurchaseOrderID",
    "PurchaseOrderNumber", linked=False, due="DeliveryDate", sought=True, posts=False,
)  # fmt: skip
"""Its number is unique in the organisation for ever, that of a deleted one too (xero.md, section 8)."""
OTHER = {INVOICE.family: CREDIT_NOTE, CREDIT_NOTE.family: INVOICE}
"""The kind that a record of a family becomes when the sign of its total changes."""
KINDS = {kind.family: kind for kind in (INVOICE, CREDIT_NOTE, BILL, PURCHASE_ORDER)}
"""The kind of document that each family posts."""
FAMILY_SHOWN = {
    "allocations": "credit_notes", "bills": "purchase_orders", "orders": "purchase_orders", "links": "purchase_orders",
}  # fmt: skip
"""The family that people know, of records that are kept apart: allocations belong to credit notes; bills, their links
to customers' invoices, and the purchase orders that we write to Xero (`orders`), to ConnectWise's purchase orders.
"""


def kept_as(family: str) -> tuple[str, ...]:
    """The names under which the records of a family are kept: its own, and those of what belongs to it."""
    return (family, *(kept for kept, shown in FAMILY_SHOWN.items() if shown == family))
