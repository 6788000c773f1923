"""Purchase orders: creating, changing, billing and deleting them, and every call below /PurchaseOrders.

Sources: spec, PurchaseOrder and its paths; reference 1.3, 3.4, 4 and 8. An order moves no figure of the books, so lock
dates do not hold it (not confirmed). Which changes of status are allowed is only known in part (reference 8): those
that were seen or that the screens offer are, those back to a draft are as for invoices, and the rest is refused.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import ZERO, Books, Contact, PurchaseOrder, Undo, fold
from deployments.sandbox.xero_call import Call, Outcome, UnknownRecord, too_many, write_batch
from deployments.sandbox.xero_contacts import ARCHIVED, MOST_RECORDS, contact_json
from deployments.sandbox.xero_invoices import Draft, limited, read_money_header
from deployments.sandbox.xero_json import (
    ZERO_GUID,
    BadBody,
    date_string,
    elements_of,
    is_guid,
    ms_date,
    ms_time,
    not_found,
    not_implemented,
    rounded,
    to_bool,
    to_date,
    to_guid,
    to_text,
)
from deployments.sandbox.xero_kinds import PURCHASE_ORDER
from deployments.sandbox.xero_lines import LineRules, check_complete, line_json, read_lines, tax_on, totals
from deployments.sandbox.xero_query import Field, Fields, QueryError, modified_since, ordered, page_of

COLLECTION = PURCHASE_ORDER.collection
NO_CONTACT = "A Contact must be specified for this type of transaction"
USED_NUMBER = "Order number must be unique"
BAD_STATUS = "PurchaseOrder status change is invalid"
DELETED_ORDER = "Deleted PurchaseOrders cannot be updated"
NOT_SENT_YET = "Only AUTHORISED and BILLED purchase orders may have SentToContact updated."
NEXT = {
    "": ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED"),
    "DRAFT": ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED"),
    "SUBMITTED": ("SUBMITTED", "DRAFT", "AUTHORISED", "BILLED", "DELETED"),
    "AUTHORISED": ("AUTHORISED", "BILLED", "DELETED"),
    "BILLED": ("BILLED", "AUTHORISED", "DELETED"),
    "DELETED": (),
}
STATUSES = tuple(status for status in NEXT if status)
UNIT_PLACES = 4
"""Unit amounts have four decimals without asking: there is no unitdp here (spec)."""
_DELIVERY = {"DeliveryAddress": None, "AttentionTo": None, "Telephone": None, "DeliveryInstructions": 500}


def answer(call: Call) -> Response:
    """Every call below /PurchaseOrders."""
    method = call.request.method
    if not call.parts:
        if method == "GET":
            return _list(call)
        if method in ("PUT", "POST"):
            return _write_batch(call, None, call.summarize_errors)
        return not_implemented()
    key = "/".join(call.parts)
    order = find(call.books, key)
    if order is None:
        return not_found()
    if method == "GET":
        return call.answer(COLLECTION, [order_json(call.books, order)])
    if method == "POST" and is_guid(key):
        return _write_batch(call, order, True)
    return not_implemented()


def _write_batch(call: Call, target: PurchaseOrder | None, summarize: bool) -> Response:
    def write_one(element: dict[str, Any], undo: Undo) -> Outcome:
        upsert = call.request.method == "POST"
        return write(call.books, element, undo, app=call.app, upsert=upsert, target=target)[0]

    elements = elements_of(call.request.body, COLLECTION)
    return write_batch(call, COLLECTION, elements if target is None else elements[:1], write_one, summarize)


def find(books: Books, key: str) -> PurchaseOrder | None:
    """The order with this id or number, also a deleted one: a number belongs to one order for ever."""
    found = books.orders.get(to_guid(key, "PurchaseOrderID")) if is_guid(key) else None
    return found if found is not None else next(iter(books.orders.find("number", fold(key))), None)


# --- writing ------------------------------------------------------------------------------------------------------


def write(
    books: Books,
    element: dict[str, Any],
    undo: Undo,
    *,
    app: str | None,
    upsert: bool,
    target: PurchaseOrder | None = None,
    person: bool = False,
) -> tuple[Outcome, PurchaseOrder]:
    """Apply one element of a request. PUT creates; POST updates the order that it can match, and creates otherwise.

    By number a POST finds whoever's order has it (reference 1.3); a deleted one is found, too, and refuses.
    """
    sent = {key: value for key, value in element.items() if value is not None}
    existing, by_number = target, False
    if existing is None and upsert:
        existing = _by_id(books, sent)
        if existing is None:
            number = to_text(sent.get("PurchaseOrderNumber", ""), "PurchaseOrderNumber")
            existing = next(iter(books.orders.find("number", fold(number))), None)
            by_number = existing is not None
    if existing is not None:
        order = replace(existing, lines=[copy(line) for line in existing.lines], delivery=dict(existing.delivery))
    else:
        kind = PURCHASE_ORDER.types[1]
        order = PurchaseOrder(books.new_id(), kind, books.today(), books.now(), currency=books.base_currency)
        order.created_by = app
    draft = Draft(books, PURCHASE_ORDER, sent, order, existing, UNIT_PLACES, person, undo)
    _apply(draft, order, existing)
    if draft.errors:
        burnt = by_number and existing is not None and existing.status == "DELETED"  # recorded: no id is told
        known = existing.document_id if existing is not None and not burnt else ZERO_GUID
        return Outcome(_refused_json(draft, order, known), draft.errors), order
    order.updated = books.now()
    books.orders.put(order, undo)
    return Outcome(order_json(books, order), [], draft.warnings), order


def _by_id(books: Books, sent: dict[str, Any]) -> PurchaseOrder | None:
    if sent.get("PurchaseOrderID", ZERO_GUID) in ("", ZERO_GUID):
        return None
    found = books.orders.get(to_guid(sent["PurchaseOrderID"], "PurchaseOrderID"))
    if found is None:
        raise UnknownRecord
    return found


def _apply(draft: Draft, order: PurchaseOrder, existing: PurchaseOrder | None) -> None:
    order.status = _read_status(draft, existing)
    if draft.errors:
        return
    _read_contact(draft, existing)
    _read_header(draft, order)
    read_money_header(draft)
    _read_lines(draft, order, existing)
    order.subtotal, order.tax, order.total = totals(order.lines, order.line_amount_types)
    if order.total < ZERO:
        draft.refuse("The total of the document must not be negative.")
    _read_number(draft, order)


def _read_status(draft: Draft, existing: PurchaseOrder | None) -> str:
    current = existing.status if existing is not None else ""
    wanted = to_text(draft.element.get("Status") or current or "DRAFT", "Status").upper()
    if wanted not in STATUSES:
        raise BadBody(f"Status {wanted} is not valid for {COLLECTION}")
    allowed = wanted in NEXT[current]
    if wanted == "BILLED" and current in ("DRAFT", "SUBMITTED"):
        allowed = draft.books.switches.unapproved_order_billable
    if not allowed and wanted != current:
        draft.refuse(BAD_STATUS)
    if current == "DELETED":
        draft.refuse(DELETED_ORDER)
    return wanted


def _read_contact(draft: Draft, existing: PurchaseOrder | None) -> None:
    """The supplier, by ContactID or ContactNumber: the endpoint neither creates nor changes a contact."""
    sent, books = draft.element.get("Contact"), draft.books
    if sent is None:
        if existing is None or (books.switches.order_update_needs_contact and not draft.person):
            draft.refuse(NO_CONTACT)
        return
    if not isinstance(sent, dict):
        raise BadBody("Contact must be an object")
    contact: Contact | None = None
    if sent.get("ContactID"):
        contact = books.contacts.get(to_guid(sent["ContactID"], "ContactID"))
    elif sent.get("ContactNumber"):
        named = books.contacts.find("number", fold(to_text(sent["ContactNumber"], "ContactNumber")))
        contact = min(named, key=lambda one: one.status != "ACTIVE", default=None)
    if contact is None:
        draft.refuse(NO_CONTACT)
    elif contact.status != "ACTIVE":
        draft.refuse(ARCHIVED)
    else:
        draft.document.contact_id = contact.contact_id


def _read_header(draft: Draft, order: PurchaseOrder) -> None:
    element = draft.element
    if "Reference" in element:
        order.reference = limited(draft, "Reference", 255)
    if "Date" in element:
        order.dated = to_date(element["Date"], "Date")
    if "DeliveryDate" in element:
        order.delivery_date = to_date(element["DeliveryDate"], "DeliveryDate")
    if "ExpectedArrivalDate" in element:
        order.expected_arrival = to_date(element["ExpectedArrivalDate"], "ExpectedArrivalDate")
    if "BrandingThemeID" in element:
        order.branding_theme_id = to_guid(element["BrandingThemeID"], "BrandingThemeID")
    for name, longest in _DELIVERY.items():
        if name in element:
            order.delivery[name] = limited(draft, name, longest or 4000)
    if "SentToContact" in element:
        sent = to_bool(element["SentToContact"], "SentToContact")
        if order.status in ("AUTHORISED", "BILLED"):
            order.sent = sent
        elif sent:
            draft.warnings.append(NOT_SENT_YET)


def _read_lines(draft: Draft, order: PurchaseOrder, existing: PurchaseOrder | None) -> None:
    complete = order.status in ("SUBMITTED", "AUTHORISED")
    rules = LineRules(
        draft.books, order.type, False, True, order.line_amount_types, UNIT_PLACES, complete, draft.errors
    )
    if "LineItems" in draft.element:
        order.lines = read_lines(rules, draft.element["LineItems"], order.lines, False)
    else:
        if existing is not None and existing.line_amount_types != order.line_amount_types:
            for line in order.lines:
                if order.line_amount_types == "NoTax" and line.quantity is not None:
                    line.tax_type = "NONE"
                line.tax_amount = tax_on(draft.books, line, order.line_amount_types)
        if complete and existing is not None and existing.status == "DRAFT":
            check_complete(rules, order.lines)
    if not order.lines:
        draft.refuse("One or more line items must be specified")


def _read_number(draft: Draft, order: PurchaseOrder) -> None:
    """The number, which no other order has or ever had: that of a deleted one stays taken."""

    def taken(number: str) -> bool:
        return any(one.document_id != order.document_id for one in draft.books.orders.find("number", fold(number)))

    if draft.element.get("PurchaseOrderNumber"):
        order.number = limited(draft, "PurchaseOrderNumber", 255).strip() or order.number
    if order.number is None:
        if not draft.errors:
            order.number = draft.books.next_number(PURCHASE_ORDER.prefix, taken)
    elif taken(order.number):
        draft.refuse(USED_NUMBER)


# --- showing ------------------------------------------------------------------------------------------------------


def order_json(books: Books, order: PurchaseOrder) -> dict[str, Any]:
    """An order as the API shows it: the same in the reply to a write, in a list and by itself (spec: examples)."""
    shown: dict[str, Any] = {
        "PurchaseOrderID": order.document_id,
        "PurchaseOrderNumber": order.number or "",
        **_dates(order),
        **order.delivery,
        "HasErrors": False,
    }
    discount = sum((line.discount for line in order.lines), ZERO)
    shown["IsDiscounted"] = discount != ZERO
    shown["TotalDiscount"] = rounded(discount)
    shown["SentToContact"] = order.sent
    shown["Reference"] = order.reference or ""
    shown["Type"] = order.type
    shown["CurrencyRate"] = rounded(order.rate, 6)
    shown["CurrencyCode"] = order.currency
    contact = books.contacts.get(order.contact_id)
    if contact is not None:
        # The time of the contact is local time with the mark of UTC here, and only here (recorded; reference 4).
        there = ms_time(books.local(contact.updated).replace(tzinfo=UTC))
        shown["Contact"] = contact_json(contact) | {"UpdatedDateUTC": there}
    if order.branding_theme_id is not None:
        shown["BrandingThemeID"] = order.branding_theme_id
    shown["Status"] = order.status
    shown["LineAmountTypes"] = order.line_amount_types
    shown["LineItems"] = [line_json(books, line, UNIT_PLACES) for line in order.lines]
    shown["SubTotal"] = rounded(order.subtotal)
    shown["TotalTax"] = rounded(order.tax)
    shown["Total"] = rounded(order.total)
    shown["UpdatedDateUTC"] = ms_time(order.updated)
    shown["HasAttachments"] = False
    return shown


def _dates(order: PurchaseOrder) -> dict[str, str]:
    shown = {"DateString": date_string(order.dated), "Date": ms_date(order.dated)}
    if order.delivery_date is not None:
        shown["DeliveryDateString"] = date_string(order.delivery_date)
        shown["DeliveryDate"] = ms_date(order.delivery_date)
    if order.expected_arrival is not None:
        shown["ExpectedArrivalDate"] = ms_date(order.expected_arrival)
    return shown


def _refused_json(draft: Draft, order: PurchaseOrder, known_id: str) -> dict[str, Any]:
    """What a refused element looks like: the zero GUID for a create, and only part of what was sent."""
    shown: dict[str, Any] = {"PurchaseOrderID": known_id}
    if draft.books.switches.refused_echoes_number:
        named = ("PurchaseOrderNumber", "Reference")
        shown |= {name: draft.element[name] for name in named if name in draft.element}
    shown |= {**_dates(order), "HasErrors": True, "IsDiscounted": False, "Type": order.type}
    sent = draft.element.get("Contact")
    named_by = ("ContactID", "ContactNumber", "Name")
    contact: dict[str, Any] = {"ContactID": order.contact_id} if order.contact_id else {}
    if isinstance(sent, dict):
        contact = {name: sent[name] for name in named_by if isinstance(sent.get(name), str)}
    empty: dict[str, Any] = {name: [] for name in ("Addresses", "Phones", "ContactGroups", "ContactPersons")}
    shown["Contact"] = {**contact, **empty, "HasValidationErrors": False, "ValidationErrors": []}
    shown["Status"] = order.status
    shown["LineAmountTypes"] = order.line_amount_types
    shown["LineItems"] = [line_json(draft.books, line, UNIT_PLACES) for line in order.lines]
    shown["SubTotal"] = rounded(order.subtotal)
    shown["TotalTax"] = rounded(order.tax)
    shown["Total"] = rounded(order.total)
    shown["CurrencyCode"] = order.currency
    return shown


# --- reading ------------------------------------------------------------------------------------------------------


def _fields(books: Books) -> Fields:
    def contact(one: PurchaseOrder) -> str | None:
        found = books.contacts.get(one.contact_id)
        return found.name if found is not None else None

    return Fields(
        Field("PurchaseOrderID", "guid", lambda one: one.document_id),
        Field("PurchaseOrderNumber", "text", lambda one: one.number),
        Field("Reference", "text", lambda one: one.reference),
        Field("Status", "text", lambda one: one.status),
        Field("Contact.Name", "text", contact),
        Field("Date", "date", lambda one: one.dated),
        Field("DeliveryDate", "date", lambda one: one.delivery_date),
        Field("ExpectedArrivalDate", "date", lambda one: one.expected_arrival),
        Field("UpdatedDateUTC", "date", lambda one: one.updated),
        Field("CurrencyCode", "text", lambda one: one.currency),
        Field("CurrencyRate", "number", lambda one: one.rate),
        Field("SubTotal", "number", lambda one: one.subtotal),
        Field("TotalTax", "number", lambda one: one.tax),
        Field("Total", "number", lambda one: one.total),
    )


def _list(call: Call) -> Response:
    """The list: no `where` and no ids (unknown parameters are ignored), always in pages, always with lines."""
    request, books = call.request, call.books
    chosen = list(books.orders)
    status = (request.param("Status") or "").strip().upper()
    if status:
        if status not in STATUSES:
            raise QueryError(f"'{status}' is not a valid Status")
        chosen = [one for one in chosen if one.status == status]
    for name, sign in (("DateFrom", 1), ("DateTo", -1)):
        text = (request.param(name) or "").strip()
        if text:
            try:
                day = to_date(text, name)
            except BadBody as error:
                raise QueryError(str(error)) from error
            chosen = [one for one in chosen if (one.dated - day).days * sign >= 0]
    since = modified_since(request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    if len(chosen) > MOST_RECORDS:
        return too_many()
    chosen.sort(key=lambda one: (one.updated, one.document_id))
    page = page_of(ordered(chosen, request.param("order"), _fields(books)), request, forced=True)
    return call.answer(COLLECTION, [order_json(books, one) for one in page.records], page.pagination)
