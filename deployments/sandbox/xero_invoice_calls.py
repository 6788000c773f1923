"""The calls below /Invoices: finding, listing and writing invoices and bills (Xero docs: invoices)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import Books, Contact, Document, Undo, fold
from deployments.sandbox.xero_call import Call, Outcome, too_many, write_batch
from deployments.sandbox.xero_contacts import MOST_RECORDS
from deployments.sandbox.xero_invoices import TYPES, document_json, write
from deployments.sandbox.xero_json import elements_of, is_guid, not_found, not_implemented, to_guid
from deployments.sandbox.xero_query import (
    Field,
    Fields,
    flag,
    listed,
    modified_since,
    ordered,
    page_of,
    parse_where,
)


def answer(call: Call) -> Response:
    """Every call below /Invoices."""
    method = call.request.method
    if not call.parts:
        if method == "GET":
            return _list(call)
        if method in ("PUT", "POST"):
            elements = elements_of(call.request.body, "Invoices")
            return write_batch(call, "Invoices", elements, _writer(call, method == "POST", None), call.summarize_errors)
        return not_implemented()
    document = find(call.books, "/".join(call.parts))
    if document is None:
        return not_found()
    if method == "GET":
        return call.answer("Invoices", [document_json(call.books, document, "one", call.unit_places)])
    if method == "POST":
        elements = elements_of(call.request.body, "Invoices")[:1]
        return write_batch(call, "Invoices", elements, _writer(call, True, document), True)
    return not_implemented()


def _writer(call: Call, upsert: bool, target: Document | None) -> Callable[[dict[str, Any], Undo], Outcome]:
    def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
        places = call.unit_places
        return write(call.books, element, undo, app=call.app, upsert=upsert, target=target, unit_places=places)[0]

    return write_one


def find(books: Books, key: str) -> Document | None:
    """The document with this id or number; a sales invoice before a bill, a live one before a voided one."""
    if is_guid(key):
        found = books.documents.get(to_guid(key, "InvoiceID"))
        if found is not None:
            return found
    for kind in TYPES:
        same = books.documents.find("number", (kind, fold(key)))
        if same:
            return min(reversed(same), key=lambda one: one.status in ("VOIDED", "DELETED"))
    return None


def fields_of(books: Books) -> Fields:
    """The fields that `where` and `order` know."""

    def contact(one: Document) -> Contact | None:
        return books.contacts.get(one.contact_id)

    def due(one: Document) -> Any:
        return 0 if one.status == "VOIDED" else one.due

    return Fields(
        Field("InvoiceID", "guid", lambda one: one.document_id),
        Field("Type", "text", lambda one: one.type),
        Field("Status", "text", lambda one: one.status),
        Field("InvoiceNumber", "text", lambda one: one.number),
        Field("Reference", "text", lambda one: one.reference),
        Field("Contact.ContactID", "guid", lambda one: one.contact_id),
        Field("Contact.Name", "text", lambda one: getattr(contact(one), "name", None)),
        Field("Contact.ContactNumber", "text", lambda one: getattr(contact(one), "contact_number", None)),
        Field("Date", "date", lambda one: one.dated),
        Field("DueDate", "date", lambda one: one.due_date),
        Field("ExpectedPaymentDate", "date", lambda one: one.expected_payment),
        Field("PlannedPaymentDate", "date", lambda one: one.planned_payment),
        Field("FullyPaidOnDate", "date", lambda one: one.fully_paid_on),
        Field("UpdatedDateUTC", "date", lambda one: one.updated),
        Field("CurrencyCode", "text", lambda one: one.currency),
        Field("CurrencyRate", "number", lambda one: one.rate),
        Field("SubTotal", "number", lambda one: one.subtotal),
        Field("TotalTax", "number", lambda one: one.tax),
        Field("Total", "number", lambda one: one.total),
        Field("AmountDue", "number", due),
        Field("AmountPaid", "number", lambda one: one.paid),
        Field("AmountCredited", "number", lambda one: one.credited),
        Field("SentToContact", "bool", lambda one: one.sent),
        Field("Url", "text", lambda one: one.url),
    )


def _list(call: Call) -> Response:
    request, books = call.request, call.books
    fields = fields_of(books)
    chosen = _narrowed(call, fields)
    statuses = listed(request, "Statuses")
    if statuses is not None:
        wanted_statuses = {one.upper() for one in statuses}
        chosen = [one for one in chosen if one.status in wanted_statuses]
    since = modified_since(request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    if flag(request, "createdByMyApp"):
        chosen = [one for one in chosen if one.created_by == call.app]
    term = (request.param("searchTerm") or "").strip().casefold()
    if term:
        chosen = [one for one in chosen if _matches(one, term)]
    if len(chosen) > MOST_RECORDS:
        return too_many()
    summary = flag(request, "summaryOnly")
    chosen.sort(key=lambda one: (one.updated, one.document_id))
    page = page_of(ordered(chosen, request.param("order"), fields), request, forced=summary)
    # Lines come with a page, with a list of ids or with Statuses; a bare list has none.
    with_lines = page.pagination is not None or statuses is not None or listed(request, "IDs") is not None
    detail = "summary" if summary else "page" if with_lines else "list"
    shown = [document_json(books, one, detail, call.unit_places) for one in page.records]
    return call.answer("Invoices", shown, page.pagination)


def _narrowed(call: Call, fields: Fields) -> list[Document]:
    """The documents that the explicit lists and `where` leave, by an index where there is one."""
    request, books = call.request, call.books
    chosen: list[Document] | None = None
    ids = listed(request, "IDs")
    if ids is not None:
        found = (books.documents.get(to_guid(one, "IDs")) for one in dict.fromkeys(ids))
        chosen = [one for one in found if one is not None]
    numbers = listed(request, "InvoiceNumbers")
    if numbers is not None:
        named = {one.document_id: one for number in numbers for one in books.documents.find("any_number", fold(number))}
        chosen = list(named.values()) if chosen is None else [one for one in chosen if one.document_id in named]
    contacts = listed(request, "ContactIDs")
    if contacts is not None:
        keys = {to_guid(one, "ContactIDs") for one in contacts}
        if chosen is None:
            chosen = [one for key in keys for one in books.documents.find("contact", key)]
        else:
            chosen = [one for one in chosen if one.contact_id in keys]
    where = request.param("where")
    if where and where.strip():
        wanted = parse_where(where, fields)
        if chosen is None:
            some = wanted.narrowed(lambda name, value: _look(books, name, value))
            if some is not None:
                chosen = [one for one in (books.documents.get(key) for key in some) if one is not None]
        chosen = [one for one in (books.documents if chosen is None else chosen) if wanted.test(one)]
    return list(books.documents) if chosen is None else chosen


def _look(books: Books, name: str, value: str) -> list[str] | None:
    if name == "InvoiceID":
        return [value.lower()]
    if name == "InvoiceNumber":
        return [one.document_id for one in books.documents.find("any_number", fold(value))]
    if name == "Reference":
        return [one.document_id for one in books.documents.find("reference", fold(value))] if fold(value) else None
    if name == "Contact.ContactID":
        return [one.document_id for one in books.documents.find("contact", value.lower())]
    if name in ("Contact.Name", "Contact.ContactNumber"):
        index = "name" if name == "Contact.Name" else "number"
        return [
            one.document_id
            for contact in books.contacts.find(index, fold(value))
            for one in books.documents.find("contact", contact.contact_id)
        ]
    return None


def _matches(document: Document, term: str) -> bool:
    return any(text is not None and term in text.casefold() for text in (document.number, document.reference))
