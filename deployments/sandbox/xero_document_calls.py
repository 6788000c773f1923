"""The calls below /Invoices and /CreditNotes, and the lists of all documents (Xero docs: invoices, credit notes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_allocations import answer_allocations
from deployments.sandbox.xero_books import Books, Contact, Document, Undo, fold
from deployments.sandbox.xero_call import Call, Outcome, too_many, write_batch
from deployments.sandbox.xero_contacts import MOST_RECORDS
from deployments.sandbox.xero_invoices import write
from deployments.sandbox.xero_json import elements_of, is_guid, not_found, not_implemented, to_guid
from deployments.sandbox.xero_kinds import CREDIT_NOTE, INVOICE, OVERPAYMENT, PREPAYMENT, Kind
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
from deployments.sandbox.xero_shapes import document_json


def invoices(call: Call) -> Response:
    """Every call below /Invoices."""
    return _answer(call, INVOICE)


def credit_notes(call: Call) -> Response:
    """Every call below /CreditNotes."""
    if len(call.parts) > 1 and call.parts[1].lower() == "allocations":
        return answer_allocations(call, CREDIT_NOTE)
    return _answer(call, CREDIT_NOTE)


def prepayments(call: Call) -> Response:
    """Every call below /Prepayments: they are made with bank transactions, so here they are read and allocated."""
    return _read_only(call, PREPAYMENT)


def overpayments(call: Call) -> Response:
    """Every call below /Overpayments, like those below /Prepayments."""
    return _read_only(call, OVERPAYMENT)


def _read_only(call: Call, kind: Kind) -> Response:
    if len(call.parts) > 1 and call.parts[1].lower() == "allocations":
        return answer_allocations(call, kind)
    return _answer(call, kind) if call.request.method == "GET" else not_implemented()


def _answer(call: Call, kind: Kind) -> Response:
    method, collection = call.request.method, kind.collection
    if not call.parts:
        if method == "GET":
            return _list(call, kind)
        if method in ("PUT", "POST"):
            elements = elements_of(call.request.body, collection)
            writer = _writer(call, kind, method == "POST", None)
            return write_batch(call, collection, elements, writer, call.summarize_errors)
        return not_implemented()
    document = find(call.books, kind, "/".join(call.parts))
    if document is None:
        return not_found()
    if method == "GET":
        return call.answer(collection, [document_json(call.books, document, "one", call.unit_places)])
    if method == "POST":
        elements = elements_of(call.request.body, collection)[:1]
        return write_batch(call, collection, elements, _writer(call, kind, True, document), True)
    return not_implemented()


def _writer(call: Call, kind: Kind, upsert: bool, target: Document | None) -> Callable[[dict[str, Any], Undo], Outcome]:
    def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
        places = call.unit_places
        return write(call.books, kind, element, undo, app=call.app, upsert=upsert, target=target, unit_places=places)[0]

    return write_one


def find(books: Books, kind: Kind, key: str) -> Document | None:
    """The document with this id or number; a sales document before a supplier's, a live one before a voided one."""
    store = books.store_of(kind)
    if is_guid(key):
        found = store.get(to_guid(key, kind.id_name))
        if found is not None:
            return found
    if kind in (PREPAYMENT, OVERPAYMENT):
        return None
    for wanted in kind.types:
        same = store.find("number", (wanted, fold(key)))
        if same:
            return min(reversed(same), key=lambda one: one.status in ("VOIDED", "DELETED"))
    return None


def fields_of(books: Books, kind: Kind) -> Fields:
    """The fields that `where` and `order` know."""

    def contact(one: Document) -> Contact | None:
        return books.contacts.get(one.contact_id)

    def due(one: Document) -> Any:
        return 0 if one.status == "VOIDED" else one.due

    shared = (
        Field(kind.id_name, "guid", lambda one: one.document_id),
        Field("Type", "text", lambda one: one.type),
        Field("Status", "text", lambda one: one.status),
        Field(kind.number_name, "text", lambda one: one.number),
        Field("Reference", "text", lambda one: one.reference),
        Field("Contact.ContactID", "guid", lambda one: one.contact_id),
        Field("Contact.Name", "text", lambda one: getattr(contact(one), "name", None)),
        Field("Contact.ContactNumber", "text", lambda one: getattr(contact(one), "contact_number", None)),
        Field("Date", "date", lambda one: one.dated),
        Field("UpdatedDateUTC", "date", lambda one: one.updated),
        Field("CurrencyCode", "text", lambda one: one.currency),
        Field("CurrencyRate", "number", lambda one: one.rate),
        Field("SubTotal", "number", lambda one: one.subtotal),
        Field("TotalTax", "number", lambda one: one.tax),
        Field("Total", "number", lambda one: one.total),
    )
    if kind is not INVOICE:
        return Fields(
            *shared,
            Field("RemainingCredit", "number", due),
            Field("AppliedAmount", "number", lambda one: one.credited),
            Field("DueDate", "date", lambda one: one.due_date),
            Field("FullyPaidOnDate", "date", lambda one: one.fully_paid_on),
            Field("SentToContact", "bool", lambda one: one.sent),
        )
    return Fields(
        *shared,
        Field("DueDate", "date", lambda one: one.due_date),
        Field("ExpectedPaymentDate", "date", lambda one: one.expected_payment),
        Field("PlannedPaymentDate", "date", lambda one: one.planned_payment),
        Field("FullyPaidOnDate", "date", lambda one: one.fully_paid_on),
        Field("AmountDue", "number", due),
        Field("AmountPaid", "number", lambda one: one.paid),
        Field("AmountCredited", "number", lambda one: one.credited),
        Field("SentToContact", "bool", lambda one: one.sent),
        Field("Url", "text", lambda one: one.url),
    )


def _list(call: Call, kind: Kind) -> Response:
    request, books = call.request, call.books
    fields = fields_of(books, kind)
    chosen = _narrowed(call, kind, fields)
    invoices = kind is INVOICE
    statuses = listed(request, "Statuses") if invoices else None
    if statuses is not None:
        wanted_statuses = {one.upper() for one in statuses}
        chosen = [one for one in chosen if one.status in wanted_statuses]
    since = modified_since(request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    if invoices and flag(request, "createdByMyApp"):
        chosen = [one for one in chosen if one.created_by == call.app]
    term = (request.param("searchTerm") or "").strip().casefold() if invoices else ""
    if term:
        chosen = [one for one in chosen if _matches(one, term)]
    if len(chosen) > MOST_RECORDS:
        return too_many()
    summary = invoices and flag(request, "summaryOnly")
    chosen.sort(key=lambda one: (one.updated, one.document_id))
    page = page_of(ordered(chosen, request.param("order"), fields), request, forced=summary)
    # Lines come with a page, with a list of ids or with Statuses; a bare list has none.
    with_lines = page.pagination is not None or statuses is not None or _ids_of(call, kind) is not None
    detail = "summary" if summary else "page" if with_lines else "list"
    shown = [document_json(books, one, detail, call.unit_places) for one in page.records]
    return call.answer(kind.collection, shown, page.pagination)


_LISTS = {
    # Which lists of a query name the number, and which the reference (spec: getInvoices, getPrepayments...).
    "Invoice": (("InvoiceNumbers", "any_number"),),
    "Prepayment": (("InvoiceNumbers", "any_number"),),
    "Overpayment": (("References", "reference"),),
}


def _ids_of(call: Call, kind: Kind) -> list[str] | None:
    """The list `IDs`, which the description has for invoices only and which credit notes take by switch."""
    if kind is INVOICE or (kind is CREDIT_NOTE and call.books.switches.credit_note_ids_filter):
        return listed(call.request, "IDs")
    return None


def _narrowed(call: Call, kind: Kind, fields: Fields) -> list[Document]:
    """The documents that the explicit lists and `where` leave, by an index where there is one."""
    request, books = call.request, call.books
    store = books.store_of(kind)
    chosen: list[Document] | None = None
    ids = _ids_of(call, kind)
    if ids is not None:
        found = (store.get(to_guid(one, "IDs")) for one in dict.fromkeys(ids))
        chosen = [one for one in found if one is not None]
    for parameter, index in _LISTS.get(kind.name, ()):
        texts = listed(request, parameter)
        if texts is not None:
            named = {one.document_id: one for text in texts for one in store.find(index, fold(text))}
            chosen = list(named.values()) if chosen is None else [one for one in chosen if one.document_id in named]
    contacts = listed(request, "ContactIDs") if kind is INVOICE else None
    if contacts is not None:
        keys = {to_guid(one, "ContactIDs") for one in contacts}
        if chosen is None:
            chosen = [one for key in keys for one in store.find("contact", key)]
        else:
            chosen = [one for one in chosen if one.contact_id in keys]
    where = request.param("where")
    if where and where.strip():
        wanted = parse_where(where, fields)
        if chosen is None:
            some = wanted.narrowed(lambda name, value: _look(books, kind, name, value))
            if some is not None:
                chosen = [one for one in (store.get(key) for key in some) if one is not None]
        chosen = [one for one in (store if chosen is None else chosen) if wanted.test(one)]
    return list(store) if chosen is None else chosen


def _look(books: Books, kind: Kind, name: str, value: str) -> list[str] | None:
    store = books.store_of(kind)
    if name == kind.id_name:
        return [value.lower()]
    if name == kind.number_name:
        return [one.document_id for one in store.find("any_number", fold(value))]
    if name == "Reference":
        return [one.document_id for one in store.find("reference", fold(value))] if fold(value) else None
    if name == "Contact.ContactID":
        return [one.document_id for one in store.find("contact", value.lower())]
    if name in ("Contact.Name", "Contact.ContactNumber"):
        index = "name" if name == "Contact.Name" else "number"
        return [
            one.document_id
            for contact in books.contacts.find(index, fold(value))
            for one in store.find("contact", contact.contact_id)
        ]
    return None


def _matches(document: Document, term: str) -> bool:
    return any(text is not None and term in text.casefold() for text in (document.number, document.reference))
