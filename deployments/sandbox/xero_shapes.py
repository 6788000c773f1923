"""How the API shows documents, payments and allocations (spec: Invoice, CreditNote, Payment... and their examples)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.sandbox.xero_books import ZERO, Allocation, Batch, Books, Document, Payment
from deployments.sandbox.xero_contacts import contact_json, contact_summary
from deployments.sandbox.xero_json import ZERO_GUID, date_string, ms_date, ms_time, rounded, utc_string
from deployments.sandbox.xero_kinds import CREDIT_NOTE, CREDITS, INVOICE, OVERPAYMENT, Kind
from deployments.sandbox.xero_lines import line_json

_WHOLE = ("created", "updated", "one")


def document_json(books: Books, document: Document, detail: str = "one", unit_places: int = 2) -> dict[str, Any]:
    """A document as the API shows it. `detail`: created, updated, one, page, list (no lines) or summary."""
    if document.kind is INVOICE:
        return invoice_json(books, document, detail, unit_places)
    return _credit_json(books, document, detail, unit_places)


def due_name(kind: Kind) -> str:
    """The field for what is due of an invoice, or remains of a credit."""
    return "AmountDue" if kind is INVOICE else "RemainingCredit"


def invoice_json(books: Books, document: Document, detail: str, unit_places: int) -> dict[str, Any]:
    """An invoice or a bill; also a credit in the place where a payment shows what it pays as its Invoice."""
    kind = document.kind
    shown: dict[str, Any] = {
        "Type": kind.as_invoice[0 if document.sales else 1],
        "InvoiceID": document.document_id,
        "InvoiceNumber": document.number or "",
        "Reference": document.reference or "",
    }
    full = detail != "summary"
    if full and detail != "created":
        shown["Payments"] = _payments_of(books, document)
        shown["CreditNotes"] = _credits_on(books, document, CREDIT_NOTE)
    if full:
        for credit in CREDITS[1:]:
            shown[credit.collection] = _credits_on(books, document, credit)
    shown["AmountDue"] = rounded(ZERO if document.status == "VOIDED" else document.due)
    shown["AmountPaid"] = rounded(document.paid)
    if detail != "created":
        shown["AmountCredited"] = rounded(document.credited)
    if document.url is not None:
        shown["Url"] = document.url
    if document.sales:
        shown["SentToContact"] = document.sent
    shown["CurrencyRate"] = rounded(document.rate, 6)
    discount = sum((line.discount for line in document.lines), ZERO)
    shown["IsDiscounted"] = discount != ZERO
    if discount:
        shown["TotalDiscount"] = rounded(discount)
    if full and detail != "created":
        shown["HasAttachments"] = False
    shown["HasErrors"] = False
    shown["InvoicePaymentServices"] = []
    shown["UpdatedDateUTCString"] = utc_string(document.updated)
    _add_contact(books, shown, document, detail)
    _add_dates(shown, document)
    _add_body(books, shown, document, detail, unit_places)
    return shown


def _credit_json(books: Books, document: Document, detail: str, unit_places: int) -> dict[str, Any]:
    """A credit note, a prepayment or an overpayment. The examples show `ID` too, the schemas do not name it."""
    kind = document.kind
    shown: dict[str, Any] = {kind.id_name: document.document_id, "ID": document.document_id, "Type": document.type}
    if kind is CREDIT_NOTE:
        shown["CreditNoteNumber"] = document.number or ""
        shown["HasErrors"] = False
        if document.sales:
            shown["SentToContact"] = document.sent
    elif kind is not OVERPAYMENT and document.sales and document.number:
        shown["InvoiceNumber"] = document.number
    shown["Reference"] = document.reference or ""
    shown["CurrencyRate"] = rounded(document.rate, 6)
    shown["RemainingCredit"] = rounded(ZERO if document.status == "VOIDED" else document.due)
    shown["Allocations"] = [
        _allocation_on_credit(books, one) for one in books.all_allocations.find("credit", document.document_id)
    ]
    shown["Payments"] = _payments_of(books, document)
    if detail not in ("created", "updated"):
        shown["HasAttachments"] = False
    shown["UpdatedDateUTCString"] = utc_string(document.updated)
    _add_contact(books, shown, document, detail)
    shown["DateString"] = date_string(document.dated)
    shown["Date"] = ms_date(document.dated)
    if document.due_date is not None:
        shown["DueDate"] = ms_date(document.due_date)
    _add_body(books, shown, document, detail, unit_places)
    return shown


def _add_contact(books: Books, shown: dict[str, Any], document: Document, detail: str) -> None:
    contact = books.contacts.get(document.contact_id)
    if contact is not None:
        shown["Contact"] = contact_json(contact) if detail in _WHOLE else contact_summary(contact)


def _add_body(books: Books, shown: dict[str, Any], document: Document, detail: str, unit_places: int) -> None:
    if document.branding_theme_id is not None:
        shown["BrandingThemeID"] = document.branding_theme_id
    shown["Status"] = document.status
    shown["LineAmountTypes"] = document.line_amount_types
    if detail != "summary":
        written = detail in ("created", "updated")
        lines = [] if detail == "list" else document.lines
        shown["LineItems"] = [line_json(books, line, unit_places, written) for line in lines]
    shown["SubTotal"] = rounded(document.subtotal)
    shown["TotalTax"] = rounded(document.tax)
    shown["Total"] = rounded(document.total)
    shown["UpdatedDateUTC"] = ms_time(document.updated)
    shown["CurrencyCode"] = document.currency
    described = document.kind in (INVOICE, CREDIT_NOTE)  # the other schemas have no FullyPaidOnDate
    if described and document.status == "PAID" and document.fully_paid_on is not None:
        shown["FullyPaidOnDate"] = ms_date(document.fully_paid_on)


def _add_dates(shown: dict[str, Any], document: Document) -> None:
    shown["DateString"] = date_string(document.dated)
    shown["Date"] = ms_date(document.dated)
    if document.due_date is not None:
        shown["DueDateString"] = date_string(document.due_date)
        shown["DueDate"] = ms_date(document.due_date)
    if document.expected_payment is not None:
        shown["ExpectedPaymentDate"] = ms_date(document.expected_payment)
    if document.planned_payment is not None:
        shown["PlannedPaymentDate"] = ms_date(document.planned_payment)


def _payments_of(books: Books, document: Document) -> list[dict[str, Any]]:
    """Payments inside their document: no status and no account (recorded; reference 10)."""
    return [
        {
            "PaymentID": one.payment_id,
            "Date": ms_date(one.paid_on),
            "Amount": rounded(one.amount),
            "Reference": one.reference,
            "CurrencyRate": rounded(one.rate, 6),
            "HasAccount": False,
            "HasValidationErrors": False,
        }
        for one in books.payments_of(document.document_id)
    ]


def _credits_on(books: Books, invoice: Document, kind: Kind) -> list[dict[str, Any]]:
    """The credits of one family inside an invoice, with what each of them takes off it (AppliedAmount)."""
    shown = []
    for one in books.all_allocations.find("invoice", invoice.document_id):
        credit = books.store_of(kind).get(one.credit_id) if one.kind is kind else None
        if credit is None:
            continue
        entry: dict[str, Any] = {kind.id_name: credit.document_id, "ID": credit.document_id}
        if kind is CREDIT_NOTE:
            entry["CreditNoteNumber"] = credit.number or ""
            entry["HasErrors"] = False
        entry["AppliedAmount"] = rounded(one.amount)
        entry["DateString"] = date_string(credit.dated)
        entry["Date"] = ms_date(credit.dated)
        entry["LineItems"] = []
        entry["Total"] = rounded(credit.total)
        shown.append(entry)
    return shown


def _bare_invoice(document_id: str) -> dict[str, Any]:
    """An invoice where only its id is told (spec: examples of allocations and batches)."""
    empty: dict[str, Any] = {name: [] for name in ("Payments", "CreditNotes", "Prepayments", "Overpayments")}
    return {"InvoiceID": document_id, **empty, "HasErrors": False, "IsDiscounted": False, "LineItems": []}


def _allocation_on_credit(books: Books, one: Allocation) -> dict[str, Any]:
    invoice = books.documents.get(one.invoice_id)
    number = invoice.number if invoice is not None else None
    return {
        "AllocationID": one.allocation_id,
        "Amount": rounded(one.amount),
        "Date": ms_date(one.dated),
        "Invoice": {**_bare_invoice(one.invoice_id), "InvoiceNumber": number or ""},
    }


def allocation_json(books: Books, one: Allocation) -> dict[str, Any]:
    """An allocation as the reply to its making shows it: by the example without its id."""
    shown: dict[str, Any] = {"AllocationID": one.allocation_id} if books.switches.allocation_id_in_reply else {}
    shown["Amount"] = rounded(one.amount)
    shown["Date"] = ms_date(one.dated)
    shown["Invoice"] = {**_bare_invoice(one.invoice_id), "ValidationErrors": []}
    shown[one.kind.name] = {one.kind.id_name: one.credit_id, "ID": one.credit_id, "LineItems": []}
    shown["ValidationErrors"] = []
    return shown


def payment_json(books: Books, one: Payment, whole: bool) -> dict[str, Any]:
    """A payment. Whatever it pays is shown as its Invoice, a credit note too (spec: example of deletePayment)."""
    shown: dict[str, Any] = {"PaymentID": one.payment_id}
    batch = books.all_batches.get(one.batch_id) if one.batch_id is not None else None
    if batch is not None:
        shown["BatchPaymentID"] = batch.batch_id
        shown["BatchPayment"] = batch_summary(books, batch)
    shown["Date"] = ms_date(one.paid_on)
    shown["BankAmount"] = rounded(one.bank_amount)
    shown["Amount"] = rounded(one.amount)
    shown["Reference"] = one.reference
    shown["CurrencyRate"] = rounded(one.rate, 6)
    shown["PaymentType"] = one.type
    shown["Status"] = one.status
    shown["UpdatedDateUTC"] = ms_time(one.updated)
    shown["UpdatedDateUTCString"] = utc_string(one.updated)
    shown["HasAccount"] = True
    shown["IsReconciled"] = one.reconciled
    shown["Account"] = {"AccountID": one.account.account_id, "Code": one.account.code}
    if whole:
        shown["Account"]["Name"] = one.account.name
    document = books.store_of(one.kind).get(one.document_id)
    if document is not None:
        shown["Invoice"] = invoice_json(books, document, "page", 2) if whole else _paid_invoice(books, document)
    shown["HasValidationErrors"] = False
    return shown


def _paid_invoice(books: Books, document: Document) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Type": document.kind.as_invoice[0 if document.sales else 1],
        **_bare_invoice(document.document_id),
        "InvoiceNumber": document.number or "",
        "CurrencyCode": document.currency,
    }
    _add_contact(books, shown, document, "list")
    return shown


def batch_summary(books: Books, batch: Batch) -> dict[str, Any]:
    """A batch as its payments show it."""
    found = [one for one in books.all_payments.find("batch", batch.batch_id) if one.status == batch.status]
    return {
        "Account": {"AccountID": batch.account.account_id},
        "BatchPaymentID": batch.batch_id,
        "Date": ms_date(batch.paid_on),
        "Type": batch.type,
        "Status": batch.status,
        "TotalAmount": rounded(sum((one.bank_amount for one in found), ZERO)),
        "UpdatedDateUTC": ms_time(batch.updated),
        "IsReconciled": bool(found) and all(one.reconciled for one in found),
    }


def batch_json(books: Books, batch: Batch) -> dict[str, Any]:
    """A batch with its payments (spec: example of getBatchPayments)."""
    shown = batch_summary(books, batch)
    shown["Account"]["CurrencyCode"] = batch.account.currency or books.base_currency
    shown["Reference"] = batch.reference
    shown["DateString"] = date_string(batch.paid_on)
    shown["Payments"] = []
    for key in batch.payment_ids:
        one = books.all_payments.get(key)
        document = books.document_of(one.document_id) if one is not None else None
        if one is None or document is None:
            continue
        invoice = {**_bare_invoice(one.document_id), "CurrencyCode": document.currency}
        amounts = {"Amount": rounded(one.amount), "BankAmount": rounded(one.bank_amount)}
        shown["Payments"].append({"Invoice": invoice, "PaymentID": one.payment_id, **amounts})
    return shown


def refused_json(
    books: Books, document: Document, element: dict[str, Any], known_id: str, unit_places: int
) -> dict[str, Any]:
    """What a refused element looks like: the zero GUID for a create, and only part of what was sent."""
    kind = document.kind
    shown: dict[str, Any] = {"Type": document.type, kind.id_name: known_id}
    if kind is not INVOICE:
        shown["ID"] = known_id
    if books.switches.refused_echoes_number:
        for name in (kind.number_name, "Reference"):
            if name in element:
                shown[name] = element[name]
    if kind is INVOICE:
        for name in ("Payments", "CreditNotes", "Prepayments", "Overpayments"):
            shown[name] = []
        shown["IsDiscounted"] = False
    else:
        shown["Payments"], shown["Allocations"] = [], []
    shown["HasErrors"] = True
    sent_contact = element.get("Contact")
    contact: dict[str, Any] = {}
    if isinstance(sent_contact, Mapping):
        named = ("ContactID", "ContactNumber", "Name")
        contact = {name: sent_contact[name] for name in named if isinstance(sent_contact.get(name), str)}
    elif document.contact_id:
        contact = {"ContactID": document.contact_id}
    empty: dict[str, Any] = {name: [] for name in ("Addresses", "Phones", "ContactGroups", "ContactPersons")}
    shown["Contact"] = {**contact, **empty, "HasValidationErrors": False, "ValidationErrors": []}
    _add_dates(shown, document)
    if kind is not INVOICE:
        shown.pop("DueDateString", None)
    status = element.get("Status")
    shown["Status"] = status if isinstance(status, str) else document.status
    shown["LineAmountTypes"] = document.line_amount_types
    shown["LineItems"] = [line_json(books, line, unit_places) for line in document.lines]
    shown["SubTotal"] = rounded(document.subtotal)
    shown["TotalTax"] = rounded(document.tax)
    shown["Total"] = rounded(document.total)
    shown["CurrencyCode"] = document.currency
    return shown


def refused_allocation(kind: Kind, credit_id: str, element: dict[str, Any]) -> dict[str, Any]:
    """A refused allocation: what was sent of it, and on which credit."""
    shown: dict[str, Any] = {name: element[name] for name in ("Amount", "Date") if name in element}
    sent = element.get("Invoice")
    invoice_id = sent.get("InvoiceID") if isinstance(sent, Mapping) else None
    shown["Invoice"] = _bare_invoice(invoice_id if isinstance(invoice_id, str) else ZERO_GUID)
    shown[kind.name] = {kind.id_name: credit_id, "ID": credit_id, "LineItems": []}
    return shown


def refused_payment(element: dict[str, Any]) -> dict[str, Any]:
    """A refused payment: the zero GUID, and what was sent of it (spec: PUT /Payments, example)."""
    names = ("Date", "Amount", "BankAmount", "Reference", "CurrencyRate", "InvoiceNumber", "CreditNoteNumber")
    shown: dict[str, Any] = {"PaymentID": ZERO_GUID}
    shown.update({name: element[name] for name in names if name in element})
    for name in ("Account", "Invoice", "CreditNote", "Prepayment", "Overpayment"):
        if isinstance(element.get(name), Mapping):
            shown[name] = dict(element[name])
    shown["HasAccount"] = isinstance(element.get("Account"), Mapping)
    shown["HasValidationErrors"] = True
    return shown
