"""Invoices, bills and credit notes: creating, changing, approving and voiding them.

The rules are the same for both families (Xero docs: invoices, credit notes; reference 7 and 9); what differs is asked
of the `Kind`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from deployments.sandbox.xero_books import ZERO, Books, Document, Undo, fold
from deployments.sandbox.xero_call import Outcome, UnknownRecord
from deployments.sandbox.xero_contacts import resolve
from deployments.sandbox.xero_json import (
    ZERO_GUID,
    BadBody,
    rounded,
    to_bool,
    to_date,
    to_decimal,
    to_guid,
    to_text,
)
from deployments.sandbox.xero_kinds import INVOICE, Kind
from deployments.sandbox.xero_lines import LineRules, check_complete, read_lines, tax_on, totals
from deployments.sandbox.xero_linked_transactions import end_broken
from deployments.sandbox.xero_shapes import document_json, due_name, refused_json

PAID_DOCUMENT = "This document cannot be edited as it has a payment or credit note allocated to it."
BAD_URL = "Url must be a valid absolute url"
STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED")
AMOUNT_TYPES = {"exclusive": "Exclusive", "inclusive": "Inclusive", "notax": "NoTax"}
NEXT = {
    "": ("DRAFT", "SUBMITTED", "AUTHORISED"),
    "DRAFT": ("DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"),
    "SUBMITTED": ("SUBMITTED", "AUTHORISED", "DRAFT", "DELETED"),
    "AUTHORISED": ("AUTHORISED", "VOIDED"),
    "PAID": ("PAID",),
    "VOIDED": (),
    "DELETED": (),
}
_APPROVAL = ("SUBMITTED", "AUTHORISED", "PAID")


@dataclass
class Draft:
    """A document while a request is applied to it."""

    books: Books
    kind: Kind
    element: dict[str, Any]
    document: Document
    existing: Document | None
    unit_places: int
    person: bool
    undo: Undo
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, message: str) -> None:
        """Note an error once."""
        if message not in self.errors:
            self.errors.append(message)

    @property
    def sales(self) -> bool:
        """Whether it is a sales document rather than a supplier's."""
        return self.document.sales

    @property
    def not_modifiable(self) -> str:
        """The message for a status that allows no change."""
        return f"{self.kind.title} not of valid status for modification"


def write(
    books: Books,
    kind: Kind,
    element: dict[str, Any],
    undo: Undo,
    *,
    app: str | None,
    upsert: bool,
    target: Document | None = None,
    unit_places: int = 2,
    person: bool = False,
) -> tuple[Outcome, Document]:
    """Apply one element of a request. PUT creates; POST updates what it can match, and creates otherwise."""
    sent = {key: value for key, value in element.items() if value is not None}
    existing = target
    if existing is None and upsert:
        existing = match(books, kind, sent)
    if existing is not None:
        document = replace(existing, lines=[copy(line) for line in existing.lines])
    else:
        document = Document(books.new_id(), "", books.today(), books.now(), currency=books.base_currency)
        document.created_by = app
    draft = Draft(books, kind, sent, document, existing, unit_places, person, undo)
    closing = _apply(draft)
    if draft.errors:
        return Outcome(_refused(draft), draft.errors), document
    document.updated = books.now()
    books.store_of(kind).put(document, undo)
    if existing is not None:
        end_broken(books, existing, document, undo)
    detail = "updated" if existing is not None else "created"
    shown = document_json(books, document, detail, unit_places)
    if closing and existing is not None:
        shown[due_name(kind)] = rounded(existing.due)  # the reply to a void still shows what was due (recorded)
    return Outcome(shown, [], draft.warnings), document


def match(books: Books, kind: Kind, sent: dict[str, Any]) -> Document | None:
    """The document that a POST means: by its id, else by number within its type."""
    store = books.store_of(kind)
    if sent.get(kind.id_name) and sent[kind.id_name] != ZERO_GUID:
        found = store.get(to_guid(sent[kind.id_name], kind.id_name))
        if found is None:
            raise UnknownRecord
        return found
    number = to_text(sent.get(kind.number_name, ""), kind.number_name).strip()
    if not number:
        return None
    types = (to_text(sent["Type"], "Type"),) if sent.get("Type") else kind.types
    for wanted_type in types:
        sales = wanted_type == kind.types[0]
        candidates = store.find("number", (wanted_type, fold(number)))
        if not sales and books.switches.bill_match == "same_contact":
            wanted = _contact_id(books, sent.get("Contact"))
            candidates = [one for one in candidates if one.contact_id == wanted]
        live = [one for one in candidates if one.status not in ("VOIDED", "DELETED")]
        if live:
            return live[-1]
        voided = [one for one in candidates if one.status == "VOIDED"]
        blocks = books.switches.voided_number_blocks if sales else books.switches.post_matches_voided_bill
        if voided and blocks:
            return voided[-1]
    return None


def _contact_id(books: Books, sent: object) -> str | None:
    if not isinstance(sent, dict):
        return None
    found = None
    if sent.get("ContactID"):
        return to_guid(sent["ContactID"], "ContactID")
    if sent.get("ContactNumber"):
        found = books.contacts.find("number", fold(to_text(sent["ContactNumber"], "ContactNumber")))
    elif sent.get("Name"):
        found = books.contacts.find("name", fold(to_text(sent["Name"], "Name")))
    return found[0].contact_id if found else None


def _apply(draft: Draft) -> bool:
    """Read, check and compute; True when the request only voids or deletes."""
    document, existing, books = draft.document, draft.existing, draft.books
    _read_type(draft)
    wanted = _read_status(draft)
    if draft.errors and existing is not None:
        return False  # a status that cannot be had is the only thing that is said (recorded)
    if existing is not None and wanted in ("VOIDED", "DELETED"):
        _check_locks(draft)
        document.status = wanted
        return True
    _read_contact(draft)
    _read_header(draft)
    read_money_header(draft)
    rules = LineRules(
        books,
        document.type,
        draft.sales,
        draft.sales and draft.kind is INVOICE,
        document.line_amount_types,
        draft.unit_places,
        wanted in _APPROVAL,
        draft.errors,
    )
    _read_lines(draft, rules)
    document.status = wanted
    document.subtotal, document.tax, document.total = totals(document.lines, document.line_amount_types)
    document.total += document.rounding
    if document.total < ZERO:
        draft.refuse("The total of the document must not be negative.")
    if wanted in _APPROVAL and document.due_date is None and draft.kind is INVOICE:
        draft.refuse("The DueDate field is mandatory for a document that is submitted or authorised.")
    if not draft.person:
        _check_locks(draft)
        if existing is not None and existing.settled:
            _check_settled(draft, existing)
    if draft.sales:
        _check_number(draft)
    if not draft.errors:
        _finish(draft)
    return False


def _read_type(draft: Draft) -> None:
    if draft.existing is not None:
        return
    kind = to_text(draft.element.get("Type", ""), "Type").upper()
    if kind and kind not in draft.kind.types:
        raise BadBody(f"Type {kind} is not valid for {draft.kind.collection}")
    if not kind:
        draft.refuse("The Type field is mandatory.")
    draft.document.type = kind or draft.kind.types[0]


def _read_status(draft: Draft) -> str:
    existing = draft.existing
    current = existing.status if existing is not None else ""
    wanted = to_text(draft.element.get("Status") or current or "DRAFT", "Status").upper()
    if wanted not in STATUSES:
        raise BadBody(f"Status {wanted} is not valid for {draft.kind.collection}")
    settled = existing is not None and existing.settled
    allowed = wanted in NEXT[current] and not (settled and wanted == "VOIDED")
    if draft.person or allowed:
        return wanted
    if settled and wanted not in ("PAID", "DELETED"):
        draft.refuse(settled_refusal(draft.kind, wanted))
    else:
        draft.refuse(draft.not_modifiable)
    return wanted


def settled_refusal(kind: Kind, status: str) -> str:
    """Why a document with payments or credits keeps its status (for credit notes the words are our guess)."""
    what = "invoice" if kind is INVOICE else kind.title.lower()
    other = "credit notes" if kind is INVOICE else "credits"
    return f"The status {status} cannot be applied to the {what} because it has payments or {other} allocated to it."


def _read_contact(draft: Draft) -> None:
    if "Contact" not in draft.element:
        if draft.existing is None:
            draft.refuse("A Contact must be specified for this type of transaction")
        return
    contact = resolve(draft.books, draft.element["Contact"], draft.undo, draft.errors)
    if contact is not None:
        draft.document.contact_id = contact.contact_id


def _read_header(draft: Draft) -> None:
    element, document, switches = draft.element, draft.document, draft.books.switches
    name = draft.kind.number_name
    if name in element:
        number = limited(draft, name, 255).strip()
        if switches.ascii_numbers and not all(" " <= letter <= "~" for letter in number):
            draft.refuse(f"{name} must contain printable ASCII characters only.")
        if number or not draft.sales:
            document.number = number or None
    if "Reference" in element and (draft.sales or switches.bill_reference == "persist"):
        document.reference = limited(draft, "Reference", 255)
    if "Date" in element:
        document.dated = to_date(element["Date"], "Date")
    if "DueDate" in element:
        document.due_date = to_date(element["DueDate"], "DueDate")
    if "BrandingThemeID" in element:
        document.branding_theme_id = to_guid(element["BrandingThemeID"], "BrandingThemeID")
    if "SentToContact" in element and (draft.kind is INVOICE or switches.credit_note_sent_settable):
        document.sent = to_bool(element["SentToContact"], "SentToContact")
    if draft.kind is INVOICE:
        _read_invoice_fields(draft)
    if draft.person and "RoundingAmount" in element:
        document.rounding = to_decimal(element["RoundingAmount"], "RoundingAmount")


def _read_invoice_fields(draft: Draft) -> None:
    """What a credit note does not have (spec: CreditNote has no Url and no expected or planned payment)."""
    element, document = draft.element, draft.document
    if "Url" in element:
        document.url = to_text(element["Url"], "Url").strip() or None
        if document.url is not None and not _url_is_good(document.url):
            draft.refuse(BAD_URL)
    if "ExpectedPaymentDate" in element and draft.sales:
        document.expected_payment = to_date(element["ExpectedPaymentDate"], "ExpectedPaymentDate")
    if "PlannedPaymentDate" in element and not draft.sales:
        document.planned_payment = to_date(element["PlannedPaymentDate"], "PlannedPaymentDate")


def limited(draft: Draft, name: str, longest: int) -> str:
    """A text of the request, refused when it is too long."""
    text = to_text(draft.element[name], name)
    if len(text) > longest:
        draft.refuse(f"{name} must not be longer than {longest} characters.")
    return text


def _url_is_good(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "xero" not in url.lower()


def read_money_header(draft: Draft) -> None:
    """Read LineAmountTypes, currency and rate; without a rate the one of the day counts."""
    element, document, books = draft.element, draft.document, draft.books
    if "LineAmountTypes" in element:
        word = to_text(element["LineAmountTypes"], "LineAmountTypes").lower()
        if word not in AMOUNT_TYPES:
            raise BadBody("LineAmountTypes is not valid")
        document.line_amount_types = AMOUNT_TYPES[word]
    before = document.currency
    if element.get("CurrencyCode"):
        document.currency = to_text(element["CurrencyCode"], "CurrencyCode").strip().upper()
    if document.currency not in books.currencies:
        draft.refuse(f"Organisation is not subscribed to currency {document.currency}")
    sent = rounded(to_decimal(element["CurrencyRate"], "CurrencyRate"), 6) if "CurrencyRate" in element else None
    if document.currency == books.base_currency:
        document.rate = Decimal(1)
        return
    usual = books.day_rate(document.currency, document.dated)
    if sent is not None:
        document.rate = sent
        if document.rate <= ZERO:
            draft.refuse("The CurrencyRate must be greater than zero.")
        elif not usual / 2 <= document.rate <= usual * 2:
            draft.warnings.append(f"The CurrencyRate {document.rate} is far from the day rate {usual}.")
    elif draft.existing is None or before != document.currency:
        document.rate = usual


def _read_lines(draft: Draft, rules: LineRules) -> None:
    document, existing = draft.document, draft.existing
    settled = existing is not None and existing.settled and not draft.person
    if "LineItems" in draft.element:
        document.lines = read_lines(rules, draft.element["LineItems"], document.lines, settled)
    else:
        if existing is not None and existing.line_amount_types != document.line_amount_types:
            for line in document.lines:
                if document.line_amount_types == "NoTax" and line.quantity is not None:
                    line.tax_type = "NONE"
                line.tax_amount = tax_on(draft.books, line, document.line_amount_types)
        if rules.complete and existing is not None and existing.status not in _APPROVAL:
            check_complete(rules, document.lines)
    if not document.lines and (draft.kind is INVOICE or rules.complete):  # reference 9: a credit note may have none
        draft.refuse("One or more line items must be specified")


def _check_locks(draft: Draft) -> None:
    if draft.person:
        return
    document, existing = draft.document, draft.existing
    statuses = {document.status, existing.status if existing is not None else document.status}
    if not draft.books.switches.lock_blocks_drafts and statuses <= {"DRAFT", "SUBMITTED", "DELETED"}:
        return
    earliest = min(document.dated, existing.dated) if existing is not None else document.dated
    for message in draft.books.locked(earliest):
        draft.refuse(message)


def _check_settled(draft: Draft, existing: Document) -> None:
    document = draft.document
    if not draft.sales and not draft.books.switches.paid_bill_editable:
        draft.refuse(PAID_DOCUMENT)
        return
    fixed = ("dated", "line_amount_types", "currency", "rate", "expected_payment", "subtotal", "tax", "total")
    changed = any(getattr(document, name) != getattr(existing, name) for name in fixed)
    if existing.credited and document.contact_id != existing.contact_id:
        changed = True
    before = {line.line_id: line for line in existing.lines}
    money = ("quantity", "unit_amount", "line_amount", "tax_type", "tax_amount", "item_code")
    for line in document.lines:
        old = before.get(line.line_id)
        changed = changed or (old is not None and any(getattr(line, name) != getattr(old, name) for name in money))
    if changed:
        draft.refuse(PAID_DOCUMENT)


def _check_number(draft: Draft) -> None:
    document, books = draft.document, draft.books

    def taken(number: str) -> bool:
        return any(
            one.document_id != document.document_id
            and (one.status != "VOIDED" or books.switches.voided_number_blocks)
            and one.status != "DELETED"
            for one in books.store_of(draft.kind).find("number", (document.type, fold(number)))
        )

    if document.number is None:
        if not draft.errors:
            document.number = books.next_number(draft.kind.prefix, taken)
    elif taken(document.number):
        draft.refuse(f"{draft.kind.title} # must be unique.")


def _finish(draft: Draft) -> None:
    document, books = draft.document, draft.books
    if document.status not in ("AUTHORISED", "PAID"):
        document.sent = False  # only what was approved can be marked as sent
    settle(books, document)
    contact = books.contacts.get(document.contact_id)
    if contact is not None:
        known = contact.is_customer if draft.sales else contact.is_supplier
        if not known:
            changed = replace(contact)
            if draft.sales:
                changed.is_customer = True
            else:
                changed.is_supplier = True
            books.contacts.put(changed, draft.undo)


def settle(books: Books, document: Document) -> None:
    """Let the status follow what is due: PAID at zero, AUTHORISED again when a payment goes."""
    if document.status not in ("AUTHORISED", "PAID"):
        return
    done = document.due == ZERO and (document.total != ZERO or books.switches.zero_total_is_paid)
    document.status = "PAID" if done else "AUTHORISED"
    if done:
        index = "invoice" if document.kind is INVOICE else "credit"
        days = [payment.paid_on for payment in books.payments_of(document.document_id)]
        days += [allocation.dated for allocation in books.all_allocations.find(index, document.document_id)]
        document.fully_paid_on = max(days, default=document.dated)
    else:
        document.fully_paid_on = None


def move(books: Books, document: Document, undo: Undo, *, paid: Decimal = ZERO, credited: Decimal = ZERO) -> Document:
    """Let a payment or an allocation, already in its store, count on a document; its time of change moves."""
    after = replace(document, paid=document.paid + paid, credited=document.credited + credited, updated=books.now())
    settle(books, after)
    books.store_of(document.kind).put(after, undo)
    return after


def _refused(draft: Draft) -> dict[str, Any]:
    known = draft.existing.document_id if draft.existing is not None else ZERO_GUID
    return refused_json(draft.books, draft.document, draft.element, known, draft.unit_places)
