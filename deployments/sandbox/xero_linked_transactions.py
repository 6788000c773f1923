"""Linked transactions: a line of a bill that is billed on to a customer, and every call below /LinkedTransactions.

Sources: spec, LinkedTransaction and its paths; reference 8.2. Nothing moves with a link, and its status follows from
those of its two documents. What is not known, and how it is here: a second link of the same bill line is made, no
matter what the first one is; a link ends when its bill line or its invoice line goes, also when an update without
LineItemIDs makes that line anew. Texts that the reference does not quote are ours. Bank transactions (SPEND) are not
part of this Xero, so a source is always a bill.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import Books, Document, Link, Undo
from deployments.sandbox.xero_call import Call, Outcome, UnknownRecord, write_batch
from deployments.sandbox.xero_json import (
    ZERO_GUID,
    elements_of,
    is_guid,
    ms_time,
    not_found,
    not_implemented,
    to_guid,
    to_text,
)
from deployments.sandbox.xero_query import QueryError

COLLECTION = "LinkedTransactions"
PAGE_SIZE = 100
WRONG_SOURCE = "The SourceLineItemID and SourceTransactionID do not match"
WRONG_CONTACT = "The ContactID and the TargetTransaction ContactID do not match"
WRONG_TARGET = "The TargetLineItemID and TargetTransactionID do not match"
NO_CONTACT = "An existing Contact with the specified ContactID could not be found"
GONE = ("VOIDED", "DELETED")


def answer(call: Call) -> Response:
    """Every call below /LinkedTransactions. No call has summarizeErrors (spec): a refused one is a 400."""
    method = call.request.method
    if not call.parts:
        if method == "GET":
            return _list(call)
        if method in ("PUT", "POST"):

            def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
                known = method == "POST" and element.get("LinkedTransactionID") not in (None, "", ZERO_GUID)
                return write(call.books, element, undo, _known(call.books, element) if known else None)[0]

            return write_batch(call, COLLECTION, _taken(call), write_one, True)
        return not_implemented()
    key = call.parts[0]
    link = call.books.links.get(to_guid(key, "LinkedTransactionID")) if is_guid(key) else None
    if link is None or len(call.parts) > 1:
        return not_found()
    if method == "GET":
        return call.answer(COLLECTION, [link_json(call.books, link)])
    if method == "DELETE":
        call.books.links.remove(link.link_id)
        return Response(204)
    if method == "POST":
        elements = elements_of(call.request.body, COLLECTION)[:1]
        return write_batch(
            call, COLLECTION, elements, lambda element, undo: write(call.books, element, undo, link)[0], True
        )
    return not_implemented()


def _taken(call: Call) -> list[dict[str, Any]]:
    """The elements that are worked on: the first one of a list, by what was reported, or all by switch."""
    elements = elements_of(call.request.body, COLLECTION)
    return elements if call.books.switches.linked_transaction_lists == "all" else elements[:1]


def _known(books: Books, element: dict[str, Any]) -> Link:
    found = books.links.get(to_guid(element["LinkedTransactionID"], "LinkedTransactionID"))
    if found is None:
        raise UnknownRecord
    return found


def write(
    books: Books, element: dict[str, Any], undo: Undo, existing: Link | None = None
) -> tuple[Outcome, Link | None]:
    """Make a link, or give an existing one its customer or its target. The source of a link never changes."""
    sent = {
        name: to_guid(element[name], name)
        for name in ("SourceTransactionID", "SourceLineItemID", "ContactID", "TargetTransactionID", "TargetLineItemID")
        if element.get(name) not in (None, "")
    }
    errors: list[str] = []
    if existing is None:
        link = Link(books.new_id(), sent.get("SourceTransactionID", ""), sent.get("SourceLineItemID", ""), books.now())
        _check_source(books, link, errors)
    else:
        link = replace(existing, updated=books.now())
    _read_target(books, link, sent, errors)
    if errors:
        shown = {name: to_text(value, name) for name, value in sent.items()}
        known = existing.link_id if existing is not None else ZERO_GUID
        return Outcome({**shown, "LinkedTransactionID": known, "Type": "BILLABLEEXPENSE"}, errors), None
    books.links.put(link, undo)
    return Outcome(link_json(books, link)), link


def _check_source(books: Books, link: Link, errors: list[str]) -> None:
    bill = books.documents.get(link.source_id)
    if bill is None or link.source_line_id not in {line.line_id for line in bill.lines}:
        errors.append(WRONG_SOURCE)
    elif bill.type != "ACCPAY":
        errors.append("The SourceTransactionID must be that of an ACCPAY invoice or a SPEND bank transaction")
    elif bill.status in GONE:
        errors.append("The source transaction is not of valid status for a linked transaction")


def _read_target(books: Books, link: Link, sent: dict[str, str], errors: list[str]) -> None:
    """The customer and the invoice line; the customer of an invoice that is named without him is its contact."""
    if "TargetTransactionID" in sent:
        link.target_id, link.target_line_id = sent["TargetTransactionID"], sent.get("TargetLineItemID", "")
    elif "TargetLineItemID" in sent:
        link.target_line_id = sent["TargetLineItemID"]
    invoice = books.documents.get(link.target_id) if link.target_id else None
    if link.target_line_id or link.target_id:
        lines = {line.line_id for line in invoice.lines} if invoice is not None else set()
        if invoice is None or (link.target_line_id and link.target_line_id not in lines):
            errors.append(WRONG_TARGET)
        elif invoice.type != "ACCREC":
            errors.append("The TargetTransactionID must be that of an ACCREC invoice")
        elif invoice.status in GONE:
            errors.append("The target transaction is not of valid status for a linked transaction")
    if "ContactID" in sent:
        link.contact_id = sent["ContactID"]
        if books.contacts.get(link.contact_id) is None:
            errors.append(NO_CONTACT)
    elif invoice is not None and "TargetTransactionID" in sent:
        link.contact_id = invoice.contact_id
    if invoice is not None and invoice.contact_id != link.contact_id:
        errors.append(WRONG_CONTACT)


def end_broken(books: Books, before: Document, after: Document, undo: Undo) -> None:
    """End the links of the lines that a document has no longer."""
    if not len(books.links):
        return
    lost = {line.line_id for line in before.lines} - {line.line_id for line in after.lines}
    for line_id in lost:
        for link in books.links.find("line", line_id):
            books.links.remove(link.link_id, undo)


def status_of(books: Books, link: Link) -> str:
    """DRAFT, APPROVED, ONDRAFT, BILLED or VOIDED, by the statuses of bill and invoice (reference 8.2, inferred)."""
    bill = books.documents.get(link.source_id)
    invoice = books.documents.get(link.target_id) if link.target_id else None
    statuses = [one.status for one in (bill, invoice) if one is not None]
    if any(status in GONE for status in statuses):
        return "VOIDED"
    if bill is None or bill.status not in ("AUTHORISED", "PAID"):
        return "DRAFT"
    if invoice is None:
        return "APPROVED"
    return "BILLED" if invoice.status in ("AUTHORISED", "PAID") else "ONDRAFT"


def link_json(books: Books, link: Link) -> dict[str, Any]:
    """A link as the API shows it; what it lacks is left out (spec: examples)."""
    shown = {
        "LinkedTransactionID": link.link_id,
        "SourceTransactionID": link.source_id,
        "SourceLineItemID": link.source_line_id,
        "ContactID": link.contact_id,
        "TargetTransactionID": link.target_id,
        "TargetLineItemID": link.target_line_id,
        "Status": status_of(books, link),
        "Type": "BILLABLEEXPENSE",
        "UpdatedDateUTC": ms_time(link.updated),
        "SourceTransactionTypeCode": "ACCPAY",
    }
    return {name: value for name, value in shown.items() if value}


_FILTERS = {
    "LinkedTransactionID": "link_id",
    "SourceTransactionID": "source_id",
    "ContactID": "contact_id",
    "TargetTransactionID": "target_id",
}


def _list(call: Call) -> Response:
    """The list, a hundred at a time and without a count of pages; If-Modified-Since is not known here."""
    request, books = call.request, call.books
    chosen = list(books.links)
    for parameter, attribute in _FILTERS.items():
        text = (request.param(parameter) or "").strip()
        if text:
            wanted = to_guid(text, parameter)
            chosen = [one for one in chosen if getattr(one, attribute) == wanted]
    status = (request.param("Status") or "").strip().upper()
    if status:
        chosen = [one for one in chosen if status_of(books, one) == status]
    page = (request.param("page") or "1").strip()
    if not re.fullmatch(r"[1-9]\d{0,5}", page):
        raise QueryError("page must be a whole number from 1")
    start = (int(page) - 1) * PAGE_SIZE
    return call.answer(COLLECTION, [link_json(books, one) for one in chosen[start : start + PAGE_SIZE]])
