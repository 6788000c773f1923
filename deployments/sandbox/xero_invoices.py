"""Invoices and bills: the rules of creating, changing, approving and voiding them (Xero docs: invoices)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from deployments.sandbox.xero_books import ZERO, Books, Document, Payment, Undo, fold
from deployments.sandbox.xero_call import Outcome, UnknownRecord
from deployments.sandbox.xero_contacts import contact_json, contact_summary, resolve
from deployments.sandbox.xero_json import (
    ZERO_GUID,
    BadBody,
    date_string,
    ms_date,
    ms_time,
    rounded,
    to_bool,
    to_date,
    to_decimal,
    to_guid,
    to_text,
    utc_string,
)
from deployments.sandbox.xero_lines import LineRules, check_complete, line_json, read_lines, tax_on, totals

NOT_MODIFIABLE = "Invoice not of valid status for modification"
PAID_DOCUMENT = "This document cannot be edited as it has a payment or credit note allocated to it."
NOT_UNIQUE = "Invoice # must be unique."
BAD_URL = "Url must be a valid absolute url"
TYPES = ("ACCREC", "ACCPAY")
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
        """Whether it is a sales invoice rather than a bill."""
        return self.document.type == "ACCREC"


def write(
    books: Books,
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
        existing = match(books, sent)
    if existing is not None:
        document = replace(existing, lines=[copy(line) for line in existing.lines])
    else:
        document = Document(books.new_id(), "", books.today(), books.now(), currency=books.base_currency)
        document.created_by = app
    draft = Draft(books, sent, document, existing, unit_places, person, undo)
    closing = _apply(draft)
    if draft.errors:
        return Outcome(refused_json(draft), draft.errors), document
    document.updated = books.now()
    books.documents.put(document, undo)
    detail = "updated" if existing is not None else "created"
    shown = document_json(books, document, detail, unit_places)
    if closing and existing is not None:
        shown["AmountDue"] = rounded(existing.due)  # the reply to a void still shows what was due (recorded)
    return Outcome(shown, [], draft.warnings), document


def match(books: Books, sent: dict[str, Any]) -> Document | None:
    """The document that a POST means: by InvoiceID, else by number within its type."""
    if sent.get("InvoiceID") and sent["InvoiceID"] != ZERO_GUID:
        found = books.documents.get(to_guid(sent["InvoiceID"], "InvoiceID"))
        if found is None:
            raise UnknownRecord
        return found
    number = to_text(sent.get("InvoiceNumber", ""), "InvoiceNumber").strip()
    if not number:
        return None
    kinds = (to_text(sent["Type"], "Type"),) if sent.get("Type") else TYPES
    for kind in kinds:
        candidates = books.documents.find("number", (kind, fold(number)))
        if kind == "ACCPAY" and books.switches.bill_match == "same_contact":
            wanted = _contact_id(books, sent.get("Contact"))
            candidates = [one for one in candidates if one.contact_id == wanted]
        live = [one for one in candidates if one.status not in ("VOIDED", "DELETED")]
        if live:
            return live[-1]
        voided = [one for one in candidates if one.status == "VOIDED"]
        blocks = books.switches.voided_number_blocks if kind == "ACCREC" else books.switches.post_matches_voided_bill
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
    _read_money_header(draft)
    rules = LineRules(
        books,
        draft.sales,
        draft.sales,
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
    if wanted in _APPROVAL and document.due_date is None:
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
    if kind and kind not in TYPES:
        raise BadBody(f"Type {kind} is not valid for an invoice")
    if not kind:
        draft.refuse("The Type field is mandatory.")
    draft.document.type = kind or "ACCREC"


def _read_status(draft: Draft) -> str:
    existing = draft.existing
    current = existing.status if existing is not None else ""
    wanted = to_text(draft.element.get("Status") or current or "DRAFT", "Status").upper()
    if wanted not in STATUSES:
        raise BadBody(f"Status {wanted} is not valid for an invoice")
    if draft.person or wanted in NEXT[current]:
        return wanted
    if existing is not None and existing.settled and wanted not in ("PAID", "DELETED"):
        draft.refuse(
            f"The status {wanted} cannot be applied to the invoice because it has payments or credit notes "
            "allocated to it."
        )
    else:
        draft.refuse(NOT_MODIFIABLE)
    return wanted


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
    if "InvoiceNumber" in element:
        number = _limited(draft, "InvoiceNumber", 255).strip()
        if switches.ascii_numbers and not all(" " <= letter <= "~" for letter in number):
            draft.refuse("InvoiceNumber must contain printable ASCII characters only.")
        if number or not draft.sales:
            document.number = number or None
    if "Reference" in element and (draft.sales or switches.bill_reference == "persist"):
        document.reference = _limited(draft, "Reference", 255)
    if "Url" in element:
        document.url = to_text(element["Url"], "Url").strip() or None
        if document.url is not None and not _url_is_good(document.url):
            draft.refuse(BAD_URL)
    if "Date" in element:
        document.dated = to_date(element["Date"], "Date")
    if "DueDate" in element:
        document.due_date = to_date(element["DueDate"], "DueDate")
    if "BrandingThemeID" in element:
        document.branding_theme_id = to_guid(element["BrandingThemeID"], "BrandingThemeID")
    if "SentToContact" in element:
        document.sent = to_bool(element["SentToContact"], "SentToContact")
    if "ExpectedPaymentDate" in element and draft.sales:
        document.expected_payment = to_date(element["ExpectedPaymentDate"], "ExpectedPaymentDate")
    if "PlannedPaymentDate" in element and not draft.sales:
        document.planned_payment = to_date(element["PlannedPaymentDate"], "PlannedPaymentDate")
    if draft.person and "RoundingAmount" in element:
        document.rounding = to_decimal(element["RoundingAmount"], "RoundingAmount")


def _limited(draft: Draft, name: str, longest: int) -> str:
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


def _read_money_header(draft: Draft) -> None:
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
    if not document.lines:
        draft.refuse("One or more line items must be specified")


def _check_locks(draft: Draft) -> None:
    if draft.person:
        return
    document, existing = draft.document, draft.existing
    statuses = {document.status, existing.status if existing is not None else document.status}
    if not draft.books.switches.lock_blocks_drafts and statuses <= {"DRAFT", "SUBMITTED", "DELETED"}:
        return
    earliest = min(document.dated, existing.dated) if existing is not None else document.dated
    for name, on in draft.books.locks():
        if earliest <= on:
            shown = f"{on.day}-{on:%b-%Y}"
            draft.refuse(f"The document date cannot be before the {name}, currently set at {shown}")


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
            for one in books.documents.find("number", ("ACCREC", fold(number)))
        )

    if document.number is None:
        if not draft.errors:
            document.number = books.next_number("INV-", taken)
    elif taken(document.number):
        draft.refuse(NOT_UNIQUE)


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
        last = max((payment.paid_on for payment in document.payments), default=document.dated)
        document.fully_paid_on = last
    else:
        document.fully_paid_on = None


def document_json(books: Books, document: Document, detail: str = "one", unit_places: int = 2) -> dict[str, Any]:
    """A document as the API shows it. `detail`: created, updated, one, page, list (no lines) or summary."""
    contact = books.contacts.get(document.contact_id)
    shown: dict[str, Any] = {
        "Type": document.type,
        "InvoiceID": document.document_id,
        "InvoiceNumber": document.number or "",
        "Reference": document.reference or "",
    }
    full = detail != "summary"
    if full and detail != "created":
        shown["Payments"] = [_payment_json(document, one) for one in document.payments]
        shown["CreditNotes"] = []
    if full:
        shown["Prepayments"] = []
        shown["Overpayments"] = []
    shown["AmountDue"] = rounded(ZERO if document.status == "VOIDED" else document.due)
    shown["AmountPaid"] = rounded(document.paid)
    if detail != "created":
        shown["AmountCredited"] = rounded(document.credited)
    if document.url is not None:
        shown["Url"] = document.url
    if document.type == "ACCREC":
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
    if contact is not None:
        whole = detail in ("created", "updated", "one")
        shown["Contact"] = contact_json(contact) if whole else contact_summary(contact)
    _add_dates(shown, document)
    if document.branding_theme_id is not None:
        shown["BrandingThemeID"] = document.branding_theme_id
    shown["Status"] = document.status
    shown["LineAmountTypes"] = document.line_amount_types
    if full:
        written = detail in ("created", "updated")
        lines = [] if detail == "list" else document.lines
        shown["LineItems"] = [line_json(books, line, unit_places, written) for line in lines]
    shown["SubTotal"] = rounded(document.subtotal)
    shown["TotalTax"] = rounded(document.tax)
    shown["Total"] = rounded(document.total)
    shown["UpdatedDateUTC"] = ms_time(document.updated)
    shown["CurrencyCode"] = document.currency
    if document.status == "PAID" and document.fully_paid_on is not None:
        shown["FullyPaidOnDate"] = ms_date(document.fully_paid_on)
    return shown


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


def _payment_json(document: Document, payment: Payment) -> dict[str, Any]:
    return {
        "PaymentID": payment.payment_id,
        "Date": ms_date(payment.paid_on),
        "Amount": rounded(payment.amount),
        "Reference": payment.reference,
        "CurrencyRate": rounded(document.rate, 6),
        "HasAccount": False,
        "HasValidationErrors": False,
    }


def refused_json(draft: Draft) -> dict[str, Any]:
    """What a refused element looks like: the zero GUID for a create, and only part of what was sent."""
    document, existing = draft.document, draft.existing
    shown: dict[str, Any] = {
        "Type": document.type,
        "InvoiceID": existing.document_id if existing is not None else ZERO_GUID,
    }
    if draft.books.switches.refused_echoes_number:
        for name in ("InvoiceNumber", "Reference"):
            if name in draft.element:
                shown[name] = draft.element[name]
    for name in ("Payments", "CreditNotes", "Prepayments", "Overpayments"):
        shown[name] = []
    shown["IsDiscounted"] = False
    shown["HasErrors"] = True
    sent_contact = draft.element.get("Contact")
    contact: dict[str, Any] = {}
    if isinstance(sent_contact, Mapping):
        named = ("ContactID", "ContactNumber", "Name")
        contact = {name: sent_contact[name] for name in named if isinstance(sent_contact.get(name), str)}
    elif document.contact_id:
        contact = {"ContactID": document.contact_id}
    empty: dict[str, Any] = {name: [] for name in ("Addresses", "Phones", "ContactGroups", "ContactPersons")}
    shown["Contact"] = {**contact, **empty, "HasValidationErrors": False, "ValidationErrors": []}
    _add_dates(shown, document)
    status = draft.element.get("Status")
    shown["Status"] = status if isinstance(status, str) else document.status
    shown["LineAmountTypes"] = document.line_amount_types
    shown["LineItems"] = [line_json(draft.books, line, draft.unit_places) for line in document.lines]
    shown["SubTotal"] = rounded(document.subtotal)
    shown["TotalTax"] = rounded(document.tax)
    shown["Total"] = rounded(document.total)
    shown["CurrencyCode"] = document.currency
    return shown
