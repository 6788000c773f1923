"""Plain pages where Xero's screens are, so that a deep link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero_books import Books, Contact, Document
from deployments.sandbox.xero_json import rounded
from deployments.sandbox.xero_kinds import CREDIT_NOTE, INVOICE
from deployments.sandbox.xero_shapes import document_json, due_name

_INVOICE = re.compile(r"^/app/(?P<code>[^/]+)/invoicing/(?:view|edit)/(?P<id>[0-9A-Fa-f-]{36})/?$")
_CONTACT = re.compile(r"^/app/(?P<code>[^/]+)/contacts/contact/(?P<id>[0-9A-Fa-f-]{36})/?$")
_HOME = re.compile(r"^/app/(?P<code>[^/]+)/?$")
_BEHIND_LOGIN = re.compile(r"(?:Invoice|CreditNote)ID=(?P<id>[0-9A-Fa-f-]{36})", re.IGNORECASE)
_ID_NAMES = ("InvoiceID", "creditNoteID")
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
        asked = (request.param("redirecturl") or "", *(f"{name}={request.param(name)}" for name in _ID_NAMES))
        found = next(filter(None, map(_BEHIND_LOGIN.search, asked)), None)
        return _document_page(organisations, request.param("shortcode"), found.group("id") if found else "")
    invoice = _INVOICE.match(request.path)
    if invoice is not None:
        return _document_page(organisations, invoice.group("code"), invoice.group("id"))
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


def _document_page(organisations: Mapping[str, Books], code: str | None, document_id: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            document = books.document_of(document_id)
            if document is not None:
                return _html(_title(document), _document_body(books, document))
    return _nothing()


def _title(document: Document) -> str:
    kind = "Bill" if document.type == "ACCPAY" else document.kind.title
    return f"{kind} {document.number or '(no number)'}"


def _link_of(books: Books, document: Document) -> str:
    if document.type == "ACCREC":
        return f"/app/{books.short_code}/invoicing/view/{document.document_id}"
    edit = f"/AccountsPayable/Edit.aspx?InvoiceID={document.document_id}"
    if document.kind is CREDIT_NOTE:
        edit = f"/AccountsPayable/ViewCreditNote.aspx?creditNoteID={document.document_id}"
    return f"/organisationlogin/default.aspx?shortcode={books.short_code}&redirecturl={edit}"


def _document_body(books: Books, document: Document) -> str:
    shown = document_json(books, document, "one", 4)
    contact = books.contacts.get(document.contact_id)
    rows = [
        ("Organisation", escape(books.name)),
        ("Contact", _contact_link(books, contact) if contact is not None else ""),
        ("Status", escape(document.status)),
        ("Date", document.dated.isoformat()),
        ("Due", document.due_date.isoformat() if document.due_date is not None else ""),
        ("Reference", escape(document.reference or "")),
        ("Currency", escape(f"{document.currency} at {document.rate}")),
        ("Source", _source(document.url)),
    ]
    facts = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    lines = "".join(_line_row(line) for line in shown["LineItems"])
    names = "<th>Description</th><th class=n>Quantity</th><th class=n>Unit amount</th><th>Account</th>"
    names += "<th>Tax</th><th class=n>Tax amount</th><th>Tracking</th><th class=n>Amount</th>"
    invoice = document.kind is INVOICE
    sums = "".join(
        f"<tr><th>{name}</th><td class=n>{amount}</td></tr>"
        for name, amount in (
            ("Subtotal", shown["SubTotal"]),
            ("Tax", shown["TotalTax"]),
            ("Total", shown["Total"]),
            ("Paid" if invoice else "Refunded", rounded(document.paid)),
            ("Credited" if invoice else "Allocated", rounded(document.credited)),
            ("Due" if invoice else "Remaining", shown[due_name(document.kind)]),
        )
    )
    body = f"<table>{facts}</table><h2>Lines</h2><table><tr>{names}</tr>{lines}</table>"
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
    address = f"/app/{books.short_code}/contacts/contact/{contact.contact_id}"
    return f'<a href="{escape(address, quote=True)}">{escape(contact.name)}</a>'


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
            documents = _newest(list(_of_contact(books, contact)))
            return _html(contact.name, f"<table>{facts}</table><h2>Documents</h2>{_list_of(books, documents)}")
    return _nothing()


def _home_page(organisations: Mapping[str, Books], code: str) -> Response:
    for books in _books(organisations, code):
        with books.lock:
            documents = _newest([*books.store_of(INVOICE), *books.store_of(CREDIT_NOTE)])
            return _html(books.name, f"<h2>Newest documents</h2>{_list_of(books, documents)}")
    return _nothing()


def _of_contact(books: Books, contact: Contact) -> Iterator[Document]:
    for kind in (INVOICE, CREDIT_NOTE):
        yield from books.store_of(kind).find("contact", contact.contact_id)


def _newest(documents: list[Document]) -> list[Document]:
    return sorted(documents, key=lambda one: one.updated)[-_NEWEST:]


def _list_of(books: Books, documents: list[Document]) -> str:
    rows = []
    for one in reversed(documents):
        contact = books.contacts.get(one.contact_id)
        link = f'<a href="{escape(_link_of(books, one), quote=True)}">{escape(_title(one))}</a>'
        name = escape(contact.name) if contact is not None else ""
        total = f"{one.currency} {one.total}"
        rows.append(
            f"<tr><td>{link}</td><td>{name}</td><td>{one.dated}</td><td>{one.status}</td><td class=n>{total}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"
