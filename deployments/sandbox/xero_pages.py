"""Plain pages where Xero's screens are, so that a deep link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero_books import Books, Contact, Document, Payment, PurchaseOrder
from deployments.sandbox.xero_kinds import CREDIT_NOTE, CREDITS, INVOICE, KINDS, PURCHASE_ORDER
from deployments.sandbox.xero_linked_transactions import status_of
from deployments.sandbox.xero_purchase_orders import order_json
from deployments.sandbox.xero_shapes import document_json, due_name

_INVOICE = re.compile(r"^/app/(?P<code>[^/]+)/invoicing/(?:view|edit)/(?P<id>[0-9A-Fa-f-]{36})/?$")
_CONTACT = re.compile(r"^/app/(?P<code>[^/]+)/contacts/contact/(?P<id>[0-9A-Fa-f-]{36})/?$")
_HOME = re.compile(r"^/app/(?P<code>[^/]+)/?$")
_NAMED = re.compile(r"(?:InvoiceID|creditNoteID|bankTransactionID)=(?P<id>[0-9A-Fa-f-]{36})", re.IGNORECASE)
_ORDER = re.compile(r"^/Accounts/Payable/PurchaseOrders/(?:Edit|View)/(?P<id>[0-9A-Fa-f-]{36})/?$", re.IGNORECASE)
_NEWEST = 200
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #ccc;padding:.3rem .5rem;text-align:left}"
    "td.n,th.n{text-align:right}"
)


def page(request: Request, organisations: Mapping[str, Books]) -> Response | None:
    """The page at this address, or None when the address is not one of a screen."""
    if request.method not in ("GET", "HEAD"):
        return None
    if request.path.lower() == "/organisationlogin/default.aspx":
        order = _ORDER.match(request.param("redirecturl") or "")
        if order is not None:
            return _order_page(organisations, request.param("shortcode"), order.group("id"))
        named = _NAMED.search(request.param("redirecturl") or "") or _NAMED.search(
            f"InvoiceID={request.param('InvoiceID')}"
        )
        return _document_page(organisations, request.param("shortcode"), named.group("id") if named else "")
    invoice = _INVOICE.match(request.path)
    if invoice is not None:
        return _document_page(organisations, invoice.group("code"), invoice.group("id"))
    order = _ORDER.match(request.path)
    if order is not None:
        return _order_page(organisations, None, order.group("id"))
    contact = _CONTACT.match(request.path)
    if contact is not None:
        return _contact_page(organisations, contact.group("code"), contact.group("id"))
    home = _HOME.match(request.path)
    if home is not None:
        return _home_page(organisations, home.group("code"))
    return None


def _books(organisations: Mapping[str, Books], code: str | None) -> list[Books]:
    return [one for one in organisations.values() if code is None or one.short_code == code]


def _html(title: str, body: str, status: int = 200) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(status, {"Content-Type": "text/html; charset=utf-8"}, text.encode(errors="replace"))


def _nothing() -> Response:
    return _html("Not found", "<p>There is no such record in this organisation.</p>", 404)


def _document_page(organisations: Mapping[str, Books], code: str | None, record_id: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            document = books.document_of(record_id)
            if document is not None:
                return _html(_title(document), _document_body(books, document))
            payment = books.all_payments.get(record_id)
            if payment is not None:
                return _html(_payment_title(payment), _payment_body(books, payment))
    return _nothing()


def _order_page(organisations: Mapping[str, Books], code: str | None, order_id: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            order = books.orders.get(order_id)
            if order is not None:
                return _html(_title(order), _order_body(books, order))
    return _nothing()


def _title(document: Document) -> str:
    if document.kind is PURCHASE_ORDER:
        kind = "Purchase Order"
    elif document.kind is INVOICE:
        kind = "Invoice" if document.sales else "Bill"
    else:
        kind = document.kind.title if document.sales else f"Supplier's {document.kind.title}"
    return f"{kind} {document.number or '(no number)'}"


def _payment_title(payment: Payment) -> str:
    return "Payment" if payment.kind is INVOICE else "Refund"


def _login(books: Books, page: str) -> str:
    """A screen of the old interface, behind the choice of the organisation (reference 12)."""
    return f"/organisationlogin/default.aspx?shortcode={books.short_code}&redirecturl={page}"


def _link_of(books: Books, document: Document) -> str:
    if document.type == "ACCREC":
        return f"/app/{books.short_code}/invoicing/view/{document.document_id}"
    if document.kind is PURCHASE_ORDER:
        return _login(books, f"/Accounts/Payable/PurchaseOrders/Edit/{document.document_id}/")
    if document.kind is INVOICE:
        return _login(books, f"/AccountsPayable/Edit.aspx?InvoiceID={document.document_id}")
    if document.kind is CREDIT_NOTE:
        return _login(books, f"/AccountsPayable/ViewCreditNote.aspx?creditNoteID={document.document_id}")
    return _login(books, f"/Bank/ViewTransaction.aspx?bankTransactionID={document.document_id}")


def _linked(address: str, text: str) -> str:
    return f'<a href="{escape(address, quote=True)}">{escape(text)}</a>'


def _document_link(books: Books, document_id: str) -> str:
    document = books.document_of(document_id)
    return _linked(_link_of(books, document), _title(document)) if document is not None else ""


def _payment_body(books: Books, payment: Payment) -> str:
    document = books.document_of(payment.document_id)
    currency = document.currency if document is not None else ""
    rows = [
        ("Organisation", escape(books.name)),
        ("Of", _document_link(books, payment.document_id)),
        ("Status", escape(payment.status)),
        ("Date", payment.paid_on.isoformat()),
        ("Account", escape(f"{payment.account.code} {payment.account.name}")),
        ("Amount", escape(f"{currency} {payment.amount}")),
        ("In the account", escape(f"{payment.account.currency or books.base_currency} {payment.bank_amount}")),
        ("Reference", escape(payment.reference)),
        ("Reconciled", "yes" if payment.reconciled else "no"),
        ("Batch", escape(payment.batch_id or "")),
    ]
    return f"<table>{''.join(f'<tr><th>{name}</th><td>{value}</td></tr>' for name, value in rows)}</table>"


def _settled_by(books: Books, document: Document) -> str:
    """The payments and the allocations of a document, each with a link to the other side."""
    rows = []
    for one in books.payments_of(document.document_id):
        address = _login(books, f"/Bank/ViewTransaction.aspx?bankTransactionID={one.payment_id}")
        rows.append((_linked(address, _payment_title(one)), one.paid_on, one.amount))
    invoice = document.kind is INVOICE
    for part in books.all_allocations.find("invoice" if invoice else "credit", document.document_id):
        other = part.credit_id if invoice else part.invoice_id
        rows.append((_document_link(books, other), part.dated, part.amount))
    if not rows:
        return ""
    cells = "".join(f"<tr><td>{link}</td><td>{on}</td><td class=n>{amount}</td></tr>" for link, on, amount in rows)
    return f"<h2>Payments and allocations</h2><table>{cells}</table>"


def _document_body(books: Books, document: Document) -> str:
    shown = document_json(books, document, "one", 4)
    contact = books.contacts.get(document.contact_id)
    # What the screen of a supplier's document calls Reference is its number; its Reference is not shown (1.1).
    bought = not document.sales and document.kind in (INVOICE, CREDIT_NOTE)
    rows = [
        ("Organisation", escape(books.name)),
        ("Contact" if document.sales else "Supplier", _contact_link(books, contact) if contact is not None else ""),
        ("Status", escape(document.status)),
        ("Date", document.dated.isoformat()),
        ("Due", document.due_date.isoformat() if document.due_date is not None else ""),
        ("Reference", escape((document.number if bought else document.reference) or "")),
        ("Currency", escape(f"{document.currency} at {document.rate}")),
        ("Source", _source(document.url)),
    ]
    amounts = [
        ("Subtotal", document.subtotal),
        ("Tax", document.tax),
        ("Total", document.total),
        ("Paid" if document.kind is INVOICE else "Refunded", document.paid),
        ("Credited" if document.kind is INVOICE else "Allocated", document.credited),
        ("Due" if document.kind is INVOICE else "Remaining", shown[due_name(document.kind)]),
    ]
    sheet = _sheet(rows, shown["LineItems"], amounts)
    return f"{sheet}{_settled_by(books, document)}{_billed_on(books, document)}"


def _billed_on(books: Books, document: Document) -> str:
    """The lines of a bill that are billed on, or those of an invoice that bill something on, with the other side."""
    rows = ""
    for link in books.links.find("document", document.document_id):
        here = link.target_line_id if document.sales else link.source_line_id
        line = next((one.description for one in document.lines if one.line_id == here), "")
        contact = books.contacts.get(link.contact_id)
        name = escape(contact.name) if contact is not None else ""
        other = _document_link(books, link.source_id if document.sales else link.target_id)
        rows += f"<tr><td>{escape(line)}</td><td>{name}</td><td>{other}</td><td>{status_of(books, link)}</td></tr>"
    return f"<h2>Billable expenses</h2><table>{rows}</table>" if rows else ""


def _order_body(books: Books, order: PurchaseOrder) -> str:
    """An order as the screen has it; the box for its own Reference is not that of a bill, and it has no link."""
    contact = books.contacts.get(order.contact_id)
    rows = [
        ("Organisation", escape(books.name)),
        ("Supplier", _contact_link(books, contact) if contact is not None else ""),
        ("Status", escape(order.status)),
        ("Date", order.dated.isoformat()),
        ("Delivery date", order.delivery_date.isoformat() if order.delivery_date is not None else ""),
        ("Expected arrival", order.expected_arrival.isoformat() if order.expected_arrival is not None else ""),
        ("Order number", escape(order.number or "")),
        ("Reference", escape(order.reference or "")),
        ("Currency", escape(f"{order.currency} at {order.rate}")),
        *((name, escape(text)) for name, text in order.delivery.items()),
    ]
    amounts: list[tuple[str, object]] = [("Subtotal", order.subtotal), ("Tax", order.tax), ("Total", order.total)]
    return _sheet(rows, order_json(books, order)["LineItems"], amounts)


def _sheet(rows: list[tuple[str, str]], lines: list[dict[str, Any]], amounts: list[tuple[str, object]]) -> str:
    facts = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    names = "<th>Description</th><th class=n>Quantity</th><th class=n>Unit amount</th><th>Account</th>"
    names += "<th>Tax</th><th class=n>Tax amount</th><th>Tracking</th><th class=n>Amount</th>"
    body = f"<table>{facts}</table><h2>Lines</h2><table><tr>{names}</tr>{''.join(map(_line_row, lines))}</table>"
    sums = "".join(f"<tr><th>{name}</th><td class=n>{amount}</td></tr>" for name, amount in amounts)
    return f"{body}<h2>Totals</h2><table>{sums}</table>"


def _source(url: str | None) -> str:
    if url is None:
        return ""
    return f'<a href="{escape(url, quote=True)}" rel="noopener noreferrer">{escape(url)}</a>'


def _line_row(line: dict[str, Any]) -> str:
    tracking = ", ".join(f"{one['Name']}: {one['Option']}" for one in line["Tracking"])
    cells = [
        ("", line["Description"]),
        (" class=n", line.get("Quantity", "")),
        (" class=n", line.get("UnitAmount", "")),
        ("", line.get("AccountCode", "")),
        ("", line.get("TaxType", "")),
        (" class=n", line["TaxAmount"]),
        ("", tracking),
        (" class=n", line["LineAmount"]),
    ]
    return "<tr>" + "".join(f"<td{kind}>{escape(str(text))}</td>" for kind, text in cells) + "</tr>"


def _contact_link(books: Books, contact: Contact) -> str:
    return _linked(f"/app/{books.short_code}/contacts/contact/{contact.contact_id}", contact.name)


def _contact_page(organisations: Mapping[str, Books], code: str, contact_id: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            contact = books.contacts.get(contact_id)
            if contact is None:
                continue
            rows = [
                ("Status", contact.status),
                ("Account number", contact.account_number or ""),
                ("Contact number", contact.contact_number or ""),
                ("Email", contact.email or ""),
            ]
            facts = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows)
            documents = [one for kind in KINDS for one in books.store_of(kind).find("contact", contact.contact_id)]
            documents += books.orders.find("contact", contact.contact_id)
            return _html(contact.name, f"<table>{facts}</table><h2>Documents</h2>{_list_of(books, documents)}")
    return _nothing()


def _home_page(organisations: Mapping[str, Books], code: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            credits = [one for kind in CREDITS for one in books.store_of(kind)]
            lists = f"<h2>Newest documents</h2>{_list_of(books, list(books.documents))}"
            if credits:
                lists += f"<h2>Newest credits</h2>{_list_of(books, credits)}"
            if len(books.orders):
                lists += f"<h2>Newest purchase orders</h2>{_list_of(books, list(books.orders))}"
            return _html(books.name, lists)
    return _nothing()


def _list_of(books: Books, documents: Sequence[Document]) -> str:
    rows = []
    for one in reversed(documents[-_NEWEST:]):
        contact = books.contacts.get(one.contact_id)
        link = _linked(_link_of(books, one), _title(one))
        name = escape(contact.name) if contact is not None else ""
        total = f"{one.currency} {one.total}"
        rows.append(
            f"<tr><td>{link}</td><td>{name}</td><td>{one.dated}</td><td>{one.status}</td><td class=n>{total}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"
