"""The calls below /Payments and /BatchPayments (Xero docs: payments, batch payments)."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import Batch, Books, Contact, Document, Payment, Undo
from deployments.sandbox.xero_call import Call, Outcome, too_many, write_batch
from deployments.sandbox.xero_contacts import MOST_RECORDS
from deployments.sandbox.xero_json import ZERO_GUID, elements_of, is_guid, not_found, not_implemented, to_guid
from deployments.sandbox.xero_payments import create, delete
from deployments.sandbox.xero_query import Field, Fields, modified_since, ordered, page_of, parse_where
from deployments.sandbox.xero_shapes import batch_json, batch_summary, payment_json, refused_payment

NO_CHANGE = "A payment cannot be changed; it can only be sent the Status DELETED"


def payments(call: Call) -> Response:
    """Every call below /Payments: PUT and POST create, POST to one can only delete it."""
    method = call.request.method
    if not call.parts:
        if method == "GET":
            return _list(call)
        if method in ("PUT", "POST"):

            def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
                if method == "POST" and element.get("PaymentID") not in (None, ZERO_GUID):
                    return Outcome(refused_payment(element), [NO_CHANGE])
                return create(call.books, element, undo)

            summarize = call.summarize_errors or method == "POST"  # spec: POST has no summarizeErrors
            elements = elements_of(call.request.body, "Payments")
            return write_batch(call, "Payments", elements, write_one, summarize)
        return not_implemented()
    key = call.parts[0]
    payment = call.books.all_payments.get(to_guid(key, "PaymentID")) if is_guid(key) else None
    if payment is None or len(call.parts) > 1:
        return not_found()
    if method == "GET":
        return call.answer("Payments", [payment_json(call.books, payment, True)])
    if method == "POST":
        payment_id = payment.payment_id

        def change(element: dict[str, Any], undo: Undo) -> Outcome:
            return _delete(call.books, payment_id, element, undo)

        return write_batch(call, "Payments", elements_of(call.request.body, "Payments")[:1], change, True)
    return not_implemented()


def _delete(books: Books, payment_id: str, element: dict[str, Any], undo: Undo) -> Outcome:
    payment = books.all_payments.get(payment_id)
    assert payment is not None
    if str(element.get("Status", "")).upper() != "DELETED":
        errors = [NO_CHANGE]
    else:
        errors = delete(books, payment, undo)
    after = books.all_payments.get(payment_id)
    shown = payment_json(books, after or payment, True)
    if errors:
        shown["HasValidationErrors"] = True
    return Outcome(shown, errors)


def fields_of(books: Books) -> Fields:
    """The fields of a payment that `where` and `order` know; a credit is found under Invoice, as it is shown."""

    def document(one: Payment) -> Document | None:
        return books.store_of(one.kind).get(one.document_id)

    def contact(one: Payment) -> Contact | None:
        paid = document(one)
        return books.contacts.get(paid.contact_id) if paid is not None else None

    return Fields(
        Field("PaymentID", "guid", lambda one: one.payment_id),
        Field("Status", "text", lambda one: one.status),
        Field("PaymentType", "text", lambda one: one.type),
        Field("Date", "date", lambda one: one.paid_on),
        Field("Amount", "number", lambda one: one.amount),
        Field("BankAmount", "number", lambda one: one.bank_amount),
        Field("CurrencyRate", "number", lambda one: one.rate),
        Field("Reference", "text", lambda one: one.reference),
        Field("IsReconciled", "bool", lambda one: one.reconciled),
        Field("UpdatedDateUTC", "date", lambda one: one.updated),
        Field("BatchPaymentID", "guid", lambda one: one.batch_id),
        Field("Account.AccountID", "guid", lambda one: one.account.account_id),
        Field("Account.Code", "text", lambda one: one.account.code),
        Field("Invoice.InvoiceID", "guid", lambda one: one.document_id),
        Field("Invoice.InvoiceNumber", "text", lambda one: getattr(document(one), "number", None)),
        Field("Invoice.Type", "text", lambda one: one.kind.as_invoice[0 if one.sales else 1]),
        Field("Invoice.Contact.ContactID", "guid", lambda one: getattr(contact(one), "contact_id", None)),
        Field("Invoice.Contact.Name", "text", lambda one: getattr(contact(one), "name", None)),
    )


def _list(call: Call) -> Response:
    request, books = call.request, call.books
    fields = fields_of(books)
    chosen = list(books.all_payments)
    where = request.param("where")
    if where and where.strip():
        wanted = parse_where(where, fields)
        some = wanted.narrowed(lambda name, value: _look(books, name, value))
        if some is not None:
            chosen = [one for one in (books.all_payments.get(key) for key in some) if one is not None]
        chosen = [one for one in chosen if wanted.test(one)]
    since = modified_since(request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    if len(chosen) > MOST_RECORDS:
        return too_many()
    chosen.sort(key=lambda one: (one.updated, one.payment_id))
    page = page_of(ordered(chosen, request.param("order"), fields), request)
    return call.answer("Payments", [payment_json(books, one, False) for one in page.records], page.pagination)


def _look(books: Books, name: str, value: str) -> list[str] | None:
    if name == "PaymentID":
        return [value.lower()]
    if name == "Invoice.InvoiceID":
        return [one.payment_id for one in books.all_payments.find("document", value.lower())]
    if name == "BatchPaymentID":
        return [one.payment_id for one in books.all_payments.find("batch", value.lower())]
    return None


def batch_payments(call: Call) -> Response:
    """Every call below /BatchPayments: batches are made by hand here, and read (spec: no paging)."""
    books = call.books
    if call.request.method != "GET":
        return not_implemented()
    if call.parts:
        batch = books.all_batches.get(to_guid(call.parts[0], "BatchPaymentID")) if is_guid(call.parts[0]) else None
        if batch is None or len(call.parts) > 1:
            return not_found()
        return call.answer("BatchPayments", [batch_json(books, batch)])
    fields = _batch_fields(books)
    chosen = list(books.all_batches)
    where = call.request.param("where")
    if where and where.strip():
        test = parse_where(where, fields).test
        chosen = [one for one in chosen if test(one)]
    since = modified_since(call.request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    chosen.sort(key=lambda one: (one.updated, one.batch_id))
    chosen = ordered(chosen, call.request.param("order"), fields)
    return call.answer("BatchPayments", [batch_json(books, one) for one in chosen])


def _batch_fields(books: Books) -> Fields:
    def shown(one: Batch, name: str) -> Any:
        return batch_summary(books, one)[name]

    return Fields(
        Field("BatchPaymentID", "guid", lambda one: one.batch_id),
        Field("Status", "text", lambda one: one.status),
        Field("Type", "text", lambda one: one.type),
        Field("Date", "date", lambda one: one.paid_on),
        Field("Reference", "text", lambda one: one.reference),
        Field("UpdatedDateUTC", "date", lambda one: one.updated),
        Field("Account.AccountID", "guid", lambda one: one.account.account_id),
        Field("TotalAmount", "number", lambda one: shown(one, "TotalAmount")),
        Field("IsReconciled", "bool", lambda one: shown(one, "IsReconciled")),
    )
