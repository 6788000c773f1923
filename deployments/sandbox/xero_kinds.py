"""The families of documents, and what each of them calls its parts (spec: Invoice, CreditNote, Prepayment...)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One family of documents: the names in requests and answers, and its two types (ours first, suppliers' second).

    `title` is what Xero's messages call it; only that of invoices is known from a message (reference 7.5).
    """

    title: str
    name: str
    collection: str
    number_name: str
    types: tuple[str, str]
    prefix: str
    as_invoice: tuple[str, str] = ("", "")
    """The types under which a payment shows such a document as its Invoice (spec: Invoice.Type)."""
    payment_types: tuple[str, str] = ("", "")
    """The PaymentType of its payments (spec: Payment.PaymentType); an order takes none."""

    @property
    def id_name(self) -> str:
        """The name of its id."""
        return f"{self.name}ID"


INVOICE = Kind(
    title="Invoice",
    name="Invoice",
    collection="Invoices",
    number_name="InvoiceNumber",
    types=("ACCREC", "ACCPAY"),
    prefix="INV-",
    as_invoice=("ACCREC", "ACCPAY"),
    payment_types=("ACCRECPAYMENT", "ACCPAYPAYMENT"),
)
CREDIT_NOTE = Kind(
    title="Credit Note",
    name="CreditNote",
    collection="CreditNotes",
    number_name="CreditNoteNumber",
    types=("ACCRECCREDIT", "ACCPAYCREDIT"),
    prefix="CN-",
    as_invoice=("ACCRECCREDIT", "ACCPAYCREDIT"),
    payment_types=("ARCREDITPAYMENT", "APCREDITPAYMENT"),
)
PREPAYMENT = Kind(
    title="Prepayment",
    name="Prepayment",
    collection="Prepayments",
    number_name="InvoiceNumber",
    types=("RECEIVE-PREPAYMENT", "SPEND-PREPAYMENT"),
    prefix="",
    as_invoice=("ARPREPAYMENT", "APPREPAYMENT"),
    payment_types=("ARPREPAYMENTPAYMENT", "APPREPAYMENTPAYMENT"),
)
OVERPAYMENT = Kind(
    title="Overpayment",
    name="Overpayment",
    collection="Overpayments",
    number_name="InvoiceNumber",
    types=("RECEIVE-OVERPAYMENT", "SPEND-OVERPAYMENT"),
    prefix="",
    as_invoice=("AROVERPAYMENT", "APOVERPAYMENT"),
    payment_types=("AROVERPAYMENTPAYMENT", "APOVERPAYMENTPAYMENT"),
)
PURCHASE_ORDER = Kind(
    title="PurchaseOrder",
    name="PurchaseOrder",
    collection="PurchaseOrders",
    number_name="PurchaseOrderNumber",
    types=("PURCHASEORDER", "PURCHASEORDER"),
    prefix="PO-",
)
KINDS = (INVOICE, CREDIT_NOTE, PREPAYMENT, OVERPAYMENT)
"""The families that move the books: an order is none of them."""
CREDITS = (CREDIT_NOTE, PREPAYMENT, OVERPAYMENT)
"""What can be allocated to an invoice or a bill."""
KIND_OF = {kind_type: kind for kind in (*KINDS, PURCHASE_ORDER) for kind_type in kind.types}
SALES_TYPES = frozenset(kind.types[0] for kind in KINDS)
