"""Allocations: setting a credit note, a prepayment or an overpayment against an invoice or a bill.

Rules: reference 9 (Xero docs: credit notes) and spec, /CreditNotes/{CreditNoteID}/Allocations. Texts that the reference
does not quote are ours. There is no unique key: the same call sent twice allocates twice while there is room.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import ZERO, Allocation, Books, Document, Undo
from deployments.sandbox.xero_call import Call, Outcome, UnknownRecord, write_batch
from deployments.sandbox.xero_invoices import move
from deployments.sandbox.xero_json import (
    elements_of,
    is_guid,
    json_answer,
    ms_date,
    not_found,
    not_implemented,
    rounded,
    to_date,
    to_decimal,
    to_guid,
    validation_exception,
)
from deployments.sandbox.xero_kinds import Kind
from deployments.sandbox.xero_shapes import allocation_json, refused_allocation

UNKNOWN_INVOICE = "An existing Invoice with the specified InvoiceID could not be found"
OVER = "The amount of the allocation exceeds the amount outstanding on the invoice or the remaining credit"


def answer_allocations(call: Call, kind: Kind) -> Response:
    """Every call below /{Credits}/{id}/Allocations: PUT makes them, DELETE of one takes it off; a credit shows them."""
    credit_id, _, *rest = call.parts
    if not is_guid(credit_id):
        return not_found()
    credit = call.books.store_of(kind).get(to_guid(credit_id, kind.id_name))
    if credit is None:
        return not_found()
    if not rest and call.request.method == "PUT":

        def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
            return _create(call.books, kind, credit.document_id, element, undo)

        elements = elements_of(call.request.body, "Allocations")
        return write_batch(call, "Allocations", elements, write_one, call.summarize_errors)
    if len(rest) == 1 and call.request.method == "DELETE":
        return _delete(call.books, credit, rest[0])
    return not_implemented()


def _create(books: Books, kind: Kind, credit_id: str, element: dict[str, Any], undo: Undo) -> Outcome:
    credit = books.store_of(kind).get(credit_id)
    if credit is None:
        raise UnknownRecord
    sent = element.get("Invoice")
    invoice = None
    if isinstance(sent, dict) and sent.get("InvoiceID"):
        invoice = books.documents.get(to_guid(sent["InvoiceID"], "InvoiceID"))
    errors = [] if invoice is not None else [UNKNOWN_INVOICE]
    if element.get("Amount") is None:
        errors.append("The Amount field is mandatory.")
    if invoice is None or errors:
        return Outcome(refused_allocation(kind, credit_id, element), errors)
    amount = rounded(to_decimal(element["Amount"], "Amount"))
    dated = to_date(element["Date"], "Date") if element.get("Date") else None
    made, errors = allocate(books, credit, invoice, amount, dated, undo)
    if made is None:
        return Outcome(refused_allocation(kind, credit_id, element), errors)
    return Outcome(allocation_json(books, made))


def allocate(
    books: Books,
    credit: Document,
    invoice: Document,
    amount: Decimal,
    dated: date | None,
    undo: Undo,
    person: bool = False,
) -> tuple[Allocation | None, list[str]]:
    """Set a part of a credit against an invoice, or say why not. Lock dates do not hold a person."""
    later = max(credit.dated, invoice.dated)
    on = dated if dated is not None and books.switches.allocation_date == "sent" else later
    errors = _refusals(credit, invoice, amount)
    if not person:
        errors += books.locked(on, "allocation")
    if errors:
        return None, errors
    made = Allocation(books.new_id(), credit.document_id, credit.kind, invoice.document_id, amount, on, books.now())
    books.all_allocations.put(made, undo)
    move(books, credit, undo, credited=amount)
    move(books, invoice, undo, credited=amount)
    return made, []


def _refusals(credit: Document, invoice: Document, amount: Decimal) -> list[str]:
    errors = []
    if credit.status != "AUTHORISED":
        errors.append(f"{credit.kind.title} not of valid status for allocation")
    if invoice.status != "AUTHORISED":
        errors.append("Invoice not of valid status for allocation")
    if credit.sales != invoice.sales:
        errors.append(f"A {credit.type} cannot be allocated to an {invoice.type} invoice")
    if credit.contact_id != invoice.contact_id:
        errors.append("The contact of the invoice is not the contact of the credit")
    if credit.currency != invoice.currency:
        errors.append("The currency of the invoice is not the currency of the credit")
    if amount <= ZERO:
        errors.append("The amount of the allocation must be greater than zero")
    elif amount > min(credit.due, invoice.due):
        errors.append(OVER)
    return errors


def take_off(books: Books, allocation: Allocation, undo: Undo) -> None:
    """Take an allocation off both documents again. Nothing is left of it."""
    credit = books.store_of(allocation.kind).get(allocation.credit_id)
    invoice = books.documents.get(allocation.invoice_id)
    books.all_allocations.remove(allocation.allocation_id, undo)
    for document in (credit, invoice):
        if document is not None:
            move(books, document, undo, credited=-allocation.amount)


def _delete(books: Books, credit: Document, allocation_id: str) -> Response:
    """The reply has no envelope around it (spec: deleteCreditNoteAllocations; Xero docs: credit notes)."""
    found = books.all_allocations.get(allocation_id) if is_guid(allocation_id) else None
    if found is None or found.credit_id != credit.document_id:
        return not_found()
    refused = books.locked(found.dated, "allocation")
    if refused:
        shown = {"AllocationID": found.allocation_id, "ValidationErrors": [{"Message": one} for one in refused]}
        return validation_exception([shown])
    take_off(books, found, [])
    body = {
        "AllocationID": found.allocation_id,
        "Date": ms_date(found.dated),
        "Invoice": {"InvoiceID": found.invoice_id},
        "IsDeleted": True,
    }
    return json_answer(200, body)
