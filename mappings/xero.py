"""What Xero holds and what it is told: its reference lists, and the documents that we send.

Documents are frozen and know how to write themselves as the JSON that the Accounting API takes. What they predict
(`Line.amount`, `Line.tax`) follows Xero's own arithmetic: every line to the cent, tax per line to the cent, then
summed (xero.md, section 4).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import Any

import orjson
import simplejson

from mappings.kinds import KINDS, PURCHASE_ORDER, Kind
from mappings.money import ZERO, to_cents, total

EMPTY_ID = "00000000-0000-0000-0000-000000000000"
"""What Xero puts in place of an id when it refused to create something (xero.md, 3.5)."""

DEAD = frozenset({"VOIDED", "DELETED"})


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the chart. `currency` is that of a bank account ('' where Xero names none)."""

    code: str
    name: str
    type: str
    status: str
    tax_type: str
    system_account: str = ""
    account_class: str = ""
    takes_payments: bool = False
    currency: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Account:
        """From an element of `/Accounts`. A bank account may lack a code."""
        return cls(
            given.get("Code") or "",
            given.get("Name") or "",
            given.get("Type") or "",
            given.get("Status") or "ACTIVE",
            given.get("TaxType") or "",
            given.get("SystemAccount") or "",
            given.get("Class") or "",
            given.get("Type") == "BANK" or given.get("EnablePaymentsToAccount") is True,
            given.get("CurrencyCode") or "",
        )

    @property
    def refusal(self) -> str:
        """Why a line of an invoice or bill may not use this account; '' when it may (xero.md, 5 and 7.5)."""
        if self.status != "ACTIVE":
            return "is archived"
        if self.type == "BANK":
            return "is a bank account"
        if self.system_account in ("DEBTORS", "CREDITORS"):
            return "is a system account"
        return ""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One tax rate: its type is the key, `rate` is in per cent, `applies_to` the classes of account it may be on."""

    tax_type: str
    name: str
    rate: Decimal
    status: str
    applies_to: frozenset[str]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> TaxRate:
        """From an element of `/TaxRates`."""
        return cls(
            given.get("TaxType") or "",
            given.get("Name") or "",
            Decimal(given.get("EffectiveRate") or 0),
            given.get("Status") or "ACTIVE",
            frozenset(
                name
                for name in ("Assets", "Equity", "Expenses", "Liabilities", "Revenue")
                if given.get(f"CanApplyTo{name}", True)
            ),
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the price list; `sold` and `purchased` say where it may stand, accounts and tax types are its own."""

    code: str
    name: str
    sold: bool
    purchased: bool
    sales_account: str = ""
    purchases_account: str = ""
    sales_tax_type: str = ""
    purchases_tax_type: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Item:
        """From an element of `/Items`. A tracked item's purchases go to its inventory account."""
        sales, purchases = given.get("SalesDetails") or {}, given.get("PurchaseDetails") or {}
        return cls(
            given.get("Code") or "",
            given.get("Name") or "",
            bool(given.get("IsSold", True)),
            bool(given.get("IsPurchased", True)),
            sales.get("AccountCode") or "",
            given.get("InventoryAssetAccountCode") or purchases.get("AccountCode") or "",
            sales.get("TaxType") or "",
            purchases.get("TaxType") or "",
        )


@dataclass(frozen=True, slots=True)
class TrackingCategory:
    """One tracking category; `options` are names with their status, and both are found whatever their case."""

    name: str
    status: str
    options: Mapping[str, tuple[str, str]]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> TrackingCategory:
        """From an element of `/TrackingCategories`. Of two options of one name the active one counts."""
        options = [(each.get("Name") or "", each.get("Status") or "ACTIVE") for each in given.get("Options") or []]
        return cls(
            given.get("Name") or "",
            given.get("Status") or "ACTIVE",
            {fold(name): (name, status) for name, status in sorted(options, key=lambda one: one[1] == "ACTIVE")},
        )


CLASSES = {
    "ASSET": "Assets",
    "EQUITY": "Equity",
    "EXPENSE": "Expenses",
    "LIABILITY": "Liabilities",
    "REVENUE": "Revenue",
}
"""An account's Class, and the CanApplyTo flag of a tax rate that speaks of it."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact, as far as matching needs it."""

    contact_id: str
    name: str
    account_number: str
    status: str
    merged_into: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Contact:
        """From an element of `/Contacts`. One that was merged into another is archived and names it."""
        return cls(
            given.get("ContactID") or "",
            given.get("Name") or "",
            given.get("AccountNumber") or "",
            given.get("ContactStatus") or "ACTIVE",
            given.get("MergedToContactID") or "",
        )


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact that Xero does not have yet, for a ConnectWise company. Its number is set now and never again."""

    tenant_id: str
    organisation: str
    connectwise_id: int
    name: str
    account_number: str

    family = "contacts"
    url = ""

    @property
    def part(self) -> str:
        """One company may become a contact in several organisations."""
        return self.tenant_id

    @property
    def reference(self) -> str:
        """What people call it."""
        return self.name

    @property
    def number(self) -> str:
        """What it is found by."""
        return self.account_number

    @property
    def fingerprint(self) -> str:
        """A digest of what is sent."""
        return hashlib.blake2b(write_json(self.body()).encode(), digest_size=16).hexdigest()

    def body(self) -> dict[str, Any]:
        """The contact as the API takes it on create."""
        return {"Name": self.name} | ({"AccountNumber": self.account_number} if self.account_number else {})

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        return write_json([self.tenant_id, self.organisation, self.connectwise_id, self.name, self.account_number])

    @classmethod
    def from_text(cls, text: str) -> NewContact:
        """What `to_text` wrote."""
        return cls(*json.loads(text))


@dataclass(frozen=True, slots=True)
class Organisation:
    """The organisation itself: base currency, lock dates, and the code that its deep links need."""

    name: str
    base_currency: str
    short_code: str
    lock_date: dt.date | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Organisation:
        """From the one element of `/Organisation`. The later of the two lock dates binds (xero.md, 5)."""
        locks = [parse_date(given.get(name)) for name in ("PeriodLockDate", "EndOfYearLockDate")]
        return cls(
            given.get("Name") or "",
            given.get("BaseCurrency") or "",
            given.get("ShortCode") or "",
            max((lock for lock in locks if lock), default=None),
        )


_MILLISECONDS = re.compile(r"^/Date\((-?\d+)(?:[+-]\d{4})?\)/$")


def parse_date(given: object) -> dt.date | None:
    """A calendar date from `/Date(ms+0000)/` or `YYYY-MM-DD...`: midnight UTC of that day, never shifted."""
    if not isinstance(given, str) or not given:
        return None
    found = _MILLISECONDS.match(given)
    if found:
        return dt.datetime.fromtimestamp(int(found[1]) // 1000, dt.UTC).date()
    return dt.date.fromisoformat(given[:10])


@dataclass(frozen=True)
class Books:
    """All reference lists of one organisation that mapping needs, as last read, with look-ups by their keys."""

    tenant_id: str
    organisation: Organisation
    accounts: Mapping[str, Account]
    tax_rates: Mapping[str, TaxRate]
    currencies: frozenset[str]
    contacts: ContactBook
    digest: str
    items: Mapping[str, Item] = field(default_factory=dict)
    tracking: Mapping[str, TrackingCategory] = field(default_factory=dict)


@dataclass(frozen=True)
class ContactBook:
    """The contacts of one organisation, found by id, account number or name."""

    by_id: Mapping[str, Contact] = field(default_factory=dict)
    by_number: Mapping[str, tuple[Contact, ...]] = field(default_factory=dict)
    by_name: Mapping[str, tuple[Contact, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, contacts: Iterable[Contact]) -> ContactBook:
        """Index the contacts. An empty account number or name is no key: it must never match (design 5).

        A contact that is given twice (a list may change while its pages are read) counts once, as given last.
        """
        by_id = {contact.contact_id.lower(): contact for contact in contacts}
        by_number: dict[str, list[Contact]] = {}
        by_name: dict[str, list[Contact]] = {}
        for contact in by_id.values():
            if contact.account_number.strip():
                by_number.setdefault(fold(contact.account_number), []).append(contact)
            if contact.name.strip():
                by_name.setdefault(fold(contact.name), []).append(contact)
        return cls(
            by_id,
            {key: tuple(found) for key, found in by_number.items()},
            {key: tuple(found) for key, found in by_name.items()},
        )

    def with_id(self, contact_id: str) -> tuple[Contact, ...]:
        """The contact with this id, if there is one."""
        found = self.by_id.get(contact_id.lower())
        return (found,) if found else ()

    def numbered(self, account_number: str) -> tuple[Contact, ...]:
        """All contacts with this account number, archived ones too; '' finds none."""
        return self.by_number.get(fold(account_number), ())

    def named(self, name: str) -> tuple[Contact, ...]:
        """All contacts with exactly this name, archived ones too; '' finds none."""
        return self.by_name.get(fold(name), ())


def fold(text: str) -> str:
    """Texts that Xero (and people) take for the same: case and runs of blanks do not count."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document, in the document's currency and before tax.

    `key` names the row it came from (`time:9001`) and never leaves us. `amount` and `tax` are what Xero will
    compute; `tax_amount` is sent only where cents have to be placed. A line with a description alone has no account.
    Without a `tax_type` the line takes the one that Xero has for its item or account (xero.md, 7.1).
    """

    key: str
    description: str
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    amount: Decimal = ZERO
    account_code: str = ""
    item_code: str = ""
    tax_type: str = ""
    tax: Decimal = ZERO
    tax_amount: Decimal | None = None
    tracking: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, Any]:
        """The line as the API takes it."""
        if self.quantity is None:
            return {"Description": self.description}
        body: dict[str, Any] = {
            "Description": self.description,
            "Quantity": self.quantity,
            "UnitAmount": self.unit_amount,
            "AccountCode": self.account_code,
            "TaxType": self.tax_type,
        }
        if not self.tax_type:
            del body["TaxType"]
        if self.item_code:
            body["ItemCode"] = self.item_code
        if self.tax_amount is not None:
            body["TaxAmount"] = self.tax_amount
        if self.tracking:
            body["Tracking"] = [{"Name": category, "Option": option} for category, option in self.tracking]
        return body


@dataclass(frozen=True)
class Document:
    """A document on its way to Xero: who, what, when, in which organisation.

    `due_date` of a purchase order is when it is to be delivered, None where nobody knows.
    `company_id` is the ConnectWise company whose contact was found by rule, to be remembered (0: contacts.csv named
    it). `receipt`, `billed` and `source` are of a bill: the receipt that it is for, how much of which line of the order
    it holds, and a digest of what ConnectWise said of that; `orders` are the numbers of all its orders, where several
    share it, and `late` is what people are told when it is posted. With `new_contact` there is no `contact_id` yet, and
    nothing can be sent.
    """

    family: str
    connectwise_id: int
    reference: str
    organisation: str
    tenant_id: str
    type: str
    number: str
    contact_id: str
    contact_name: str
    date: dt.date
    due_date: dt.date | None
    currency: str
    currency_rate: Decimal | None
    document_reference: str
    url: str
    status: str
    lines: tuple[Line, ...]
    rows_used: tuple[str, ...] = ()
    company_id: int = 0
    receipt: str = ""
    billed: tuple[tuple[str, Decimal], ...] = ()
    source: str = ""
    orders: tuple[str, ...] = ()
    late: str = ""
    new_contact: NewContact | None = None

    @property
    def kind(self) -> Kind:
        """What Xero calls it."""
        return KINDS[self.family]

    @property
    def part(self) -> str:
        """Which part of the record this is: a sales document is all of it."""
        return ""

    @property
    def subtotal(self) -> Decimal:
        """The sum of the lines, as Xero will have it."""
        return total(line.amount for line in self.lines)

    @property
    def tax(self) -> Decimal:
        """The sum of the lines' tax, as Xero will have it."""
        return total(line.tax for line in self.lines)

    @cached_property
    def total(self) -> Decimal:
        """The total that Xero must answer with."""
        return self.subtotal + self.tax

    def body(self) -> dict[str, Any]:
        """The document as the API takes it on create. LineAmountTypes is never NoTax (xero.md, trap 14)."""
        kind = self.kind
        body: dict[str, Any] = {
            "Type": self.type,
            kind.number: self.number,
            "Contact": {"ContactID": self.contact_id},
            "Date": self.date.isoformat(),
            kind.due: self.due_date.isoformat() if self.due_date is not None else None,
            "LineAmountTypes": "Exclusive",
            "CurrencyCode": self.currency,
            "Reference": self.document_reference,
            "Url": self.url,
            "Status": self.status,
            "LineItems": [line.body() for line in self.lines],
        }
        if not kind.posts:
            # An answer names this type, and a write has no such field (xero.md, section 8).
            del body["Type"]
        if not kind.due or self.due_date is None:
            del body[kind.due]
        if not kind.linked:
            del body["Url"]
        if self.currency_rate is not None:
            body["CurrencyRate"] = self.currency_rate
        return body

    @cached_property
    def content(self) -> str:
        """The document as text, the status left out: a person may approve it, and that is no edit of ours.

        The status of a purchase order is ours to raise, and belongs to it.
        """
        body = self.body()
        if self.kind.posts:
            del body["Status"]
        return write_json(body)

    @property
    def sent(self) -> str:
        """The body as it goes to Xero: what the fingerprint is of, and the status."""
        status = f',"Status":"{self.status}"' if self.kind.posts else ""
        return f"{self.content[:-1]}{status}}}"

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the mapped document; equal fingerprints mean that there is nothing to write."""
        return hashlib.blake2b(self.content.encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """The whole document as text, digit for digit, to be kept with the request that carries it."""
        return self._text

    @cached_property
    def _text(self) -> str:
        given = dict(zip(DOCUMENT_FIELDS, _document_cells(self), strict=True))
        given |= {name: on.isoformat() for name in ("date", "due_date") if (on := given[name]) is not None}
        return write_json(given | {"lines": list(map(_line_cells, self.lines))})

    @classmethod
    def from_text(cls, text: str) -> Document:
        """The document that `to_text` wrote."""
        given = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        lines = tuple(_line_of(cells) for cells in given["lines"])
        return cls(
            **given
            | {
                "connectwise_id": int(given["connectwise_id"]),
                "company_id": int(given.get("company_id", 0)),
                "date": dt.date.fromisoformat(given["date"]),
                "due_date": parse_date(given["due_date"]),
                "rows_used": tuple(given["rows_used"]),
                "lines": lines,
                "billed": tuple((key, quantity) for key, quantity in given.get("billed", ())),
                "orders": tuple(given.get("orders", ())),
            }
        )


def _line_of(cells: Sequence[Any]) -> Line:
    """A line as `to_text` wrote it. One that was written before a field existed goes without it."""
    given = dict(zip(LINE_FIELDS, cells, strict=False))
    return Line(**given | {"tracking": tuple((name, option) for name, option in given.get("tracking", ()))})


LINE_FIELDS = tuple(item.name for item in fields(Line))
DOCUMENT_FIELDS = tuple(item.name for item in fields(Document) if item.name != "new_contact")
_line_cells, _document_cells = attrgetter(*LINE_FIELDS), attrgetter(*DOCUMENT_FIELDS)


def write_json(value: Any) -> str:
    """JSON text with every Decimal written digit for digit as a number."""
    try:
        return orjson.dumps(value, default=_digits, option=AS_SIMPLEJSON).decode()
    except orjson.JSONEncodeError:
        # Ten times as quick, but half a surrogate pair and numbers of more than 64 bits are not for it.
        return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


AS_SIMPLEJSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
"""What simplejson refuses is refused, too: a date, or one of our own types, is no JSON."""


def _digits(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError


def predicted_tax(amount: Decimal, rate: Decimal) -> Decimal:
    """Xero's tax on one line: amount x rate per cent, to the cent."""
    return to_cents(amount * rate / 100)


@dataclass(frozen=True, slots=True)
class Found:
    """A document as Xero answered it: what binding, adoption and checks need of it, and the whole of it as text."""

    xero_id: str
    type: str
    number: str
    url: str
    contact_id: str
    contact_name: str
    currency: str
    status: str
    date: dt.date | None
    total: Decimal
    text: str
    given: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, given: Mapping[str, Any], keep: bool = False) -> Found:
        """From an element of `/Invoices`, `/CreditNotes` or `/PurchaseOrders`.

        `keep`: beside the text also what it says, for one of which much is asked at once; it takes far more memory.
        """
        contact = given.get("Contact") or {}
        is_order = "PurchaseOrderID" in given
        if is_order:
            # It comes with all that Xero knows of the supplier, which changes with each of his bills.
            given = {**given, "Contact": {name: contact.get(name) for name in ("ContactID", "Name")}}
        return cls(
            given.get("InvoiceID") or given.get("CreditNoteID") or given.get("PurchaseOrderID") or "",
            # That Xero answers this one is recorded, and not in its description.
            given.get("Type") or (PURCHASE_ORDER.type if is_order else ""),
            given.get("InvoiceNumber") or given.get("CreditNoteNumber") or given.get("PurchaseOrderNumber") or "",
            given.get("Url") or "",
            contact.get("ContactID") or "",
            contact.get("Name") or "",
            given.get("CurrencyCode") or "",
            given.get("Status") or "",
            parse_date(given.get("DateString") or given.get("Date")),
            Decimal(given.get("Total") or 0),
            write_json(given),
            given if keep else None,
        )

    @classmethod
    def of_contact(cls, given: Mapping[str, Any]) -> Found:
        """From an element of `/Contacts`."""
        contact = Contact.parse(given)
        return cls(
            contact.contact_id, "CONTACT", contact.account_number, "", contact.contact_id, contact.name, "",
            contact.status, None, ZERO, write_json(given),
        )  # fmt: skip

    @classmethod
    def of_payment(cls, given: Mapping[str, Any]) -> Found:
        """From an element of `/Payments`; its number is its Reference."""
        invoice = given.get("Invoice") or {}
        return cls(
            given.get("PaymentID") or "", "PAYMENT", given.get("Reference") or "", "", "", "",
            invoice.get("CurrencyCode") or "", given.get("Status") or "", parse_date(given.get("Date")),
            Decimal(str(given.get("Amount") or 0)), write_json(given),
        )  # fmt: skip

    @classmethod
    def of_allocation(cls, given: Mapping[str, Any]) -> Found:
        """From an element of `/Allocations`; its number is the invoice's id.

        An answer to a write shows no id of the allocation (xero.md, section 9): one is made up of the invoice's.
        """
        invoice = (given.get("Invoice") or {}).get("InvoiceID") or ""
        refused = given.get("ValidationErrors") or given.get("StatusAttributeString") == "ERROR"
        return cls(
            "" if refused else given.get("AllocationID") or f"on {invoice}", "ALLOCATION", invoice, "", "", "", "", "",
            parse_date(given.get("Date")), Decimal(str(given.get("Amount") or 0)), write_json(given),
        )  # fmt: skip

    @property
    def content(self) -> Mapping[str, Any]:
        """All that Xero says of it, in Xero's names; fractional numbers are Decimal."""
        if self.given is not None:
            return self.given
        found: Mapping[str, Any] = json.loads(self.text, parse_float=Decimal)
        return found

    @property
    def reference(self) -> str:
        """Its Reference."""
        return self.content.get("Reference") or ""

    @property
    def tracking(self) -> list[tuple[str, str]]:
        """The tracking of all lines together, categories and options folded, in no order that means anything."""
        lines = self.content.get("LineItems") or []
        return sorted(
            (fold(each.get("Name") or ""), fold(each.get("Option") or ""))
            for line in lines
            for each in line.get("Tracking") or []
        )

    @property
    def live(self) -> bool:
        """False once a person has voided or deleted it."""
        return self.status not in DEAD
