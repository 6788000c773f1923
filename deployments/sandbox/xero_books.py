"""The state of one organisation in Xero: its settings, contacts and documents, with the indexes to find them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deployments.sandbox.wire import Clock
from deployments.sandbox.xero_chart import (
    CHART,
    CLASS_OF_TYPE,
    CURRENCY_NAMES,
    FLAG_OF_CLASS,
    PER_AUSTRALIAN_DOLLAR,
    Country,
    country_of,
)
from deployments.sandbox.xero_json import rounded
from deployments.sandbox.xero_kinds import INVOICE, KIND_OF, KINDS, SALES_TYPES, Kind
from deployments.sandbox.xero_switches import XeroSwitches

ZERO = Decimal(0)
Undo = list[Callable[[], object]]


def fold(text: str) -> str:
    """A name or number as Xero compares it: without case and outer spaces."""
    return text.strip().casefold()


@dataclass(slots=True)
class Account:
    """One account of the chart."""

    account_id: str
    code: str
    name: str
    type: str
    tax_type: str
    status: str
    enable_payments: bool
    system: str | None
    currency: str | None
    updated: datetime

    @property
    def account_class(self) -> str:
        """ASSET, EQUITY, EXPENSE, LIABILITY or REVENUE."""
        return CLASS_OF_TYPE[self.type]


@dataclass(slots=True)
class TaxRate:
    """One tax rate; `may` holds the account classes that it can be used with."""

    tax_type: str
    name: str
    percent: Decimal
    may: frozenset[str]
    status: str
    report: str

    def fits(self, account: Account) -> bool:
        """Whether the rate can be used on a line with this account."""
        return FLAG_OF_CLASS[account.account_class] in self.may


@dataclass(slots=True)
class TrackingOption:
    """One option of a tracking category."""

    option_id: str
    name: str
    status: str = "ACTIVE"


@dataclass(slots=True)
class TrackingCategory:
    """One tracking category."""

    category_id: str
    name: str
    options: list[TrackingOption]
    status: str = "ACTIVE"


@dataclass(slots=True)
class Item:
    """One product or service. The details are API shaped: UnitPrice, AccountCode, TaxType."""

    item_id: str
    code: str
    name: str
    description: str
    purchase_description: str
    sales: dict[str, Any]
    purchase: dict[str, Any]
    updated: datetime


@dataclass(slots=True)
class Contact:
    """One contact. `details` holds the fields that nothing here depends on, as they were sent."""

    contact_id: str
    name: str
    updated: datetime
    status: str = "ACTIVE"
    contact_number: str | None = None
    account_number: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    is_customer: bool = False
    is_supplier: bool = False
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)
    phones: dict[str, dict[str, str]] = field(default_factory=dict)
    persons: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Payment:
    """One payment on a document, or one refund of a credit; a deleted one stays with that status (spec: Payment).

    `amount` is in the document's currency, `bank_amount` in the account's; `rate` is foreign units per base unit.
    """

    payment_id: str
    document_id: str
    kind: Kind
    sales: bool
    amount: Decimal
    bank_amount: Decimal
    rate: Decimal
    paid_on: date
    account: Account
    updated: datetime
    reference: str = ""
    status: str = "AUTHORISED"
    reconciled: bool = False
    batch_id: str | None = None

    @property
    def type(self) -> str:
        """The PaymentType, for example ACCRECPAYMENT."""
        return self.kind.payment_types[0 if self.sales else 1]


@dataclass(slots=True)
class Batch:
    """One batch of payments of many documents in one sum (spec: BatchPayment)."""

    batch_id: str
    type: str
    account: Account
    paid_on: date
    payment_ids: tuple[str, ...]
    updated: datetime
    reference: str = ""
    status: str = "AUTHORISED"


@dataclass(slots=True)
class Allocation:
    """A part of a credit note, a prepayment or an overpayment that was set against an invoice (spec: Allocation)."""

    allocation_id: str
    credit_id: str
    kind: Kind
    invoice_id: str
    amount: Decimal
    dated: date
    updated: datetime


@dataclass(slots=True)
class Link:
    """A line of a bill that is billed on (spec: LinkedTransaction). What is not known of it is an empty text."""

    link_id: str
    source_id: str
    source_line_id: str
    updated: datetime
    contact_id: str = ""
    target_id: str = ""
    target_line_id: str = ""


@dataclass(slots=True)
class Line:
    """One line. A line of text only has no quantity, amounts or account."""

    line_id: str
    description: str = ""
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    line_amount: Decimal = ZERO
    account: Account | None = None
    tax_type: str | None = None
    tax_amount: Decimal = ZERO
    item_code: str | None = None
    discount_rate: Decimal | None = None
    discount_amount: Decimal | None = None
    tracking: tuple[tuple[str, str], ...] = ()

    @property
    def discount(self) -> Decimal:
        """What the discount takes off the line."""
        if self.discount_rate is None and self.discount_amount is None:
            return ZERO
        return rounded((self.quantity or ZERO) * (self.unit_amount or ZERO)) - self.line_amount


@dataclass(slots=True)
class Document:
    """One invoice, bill, credit note, prepayment or overpayment.

    `credited` is what other documents were set against it: of an invoice the credits, of a credit its allocations.
    """

    document_id: str
    type: str
    dated: date
    updated: datetime
    contact_id: str = ""
    status: str = "DRAFT"
    number: str | None = None
    reference: str | None = None
    due_date: date | None = None
    line_amount_types: str = "Exclusive"
    currency: str = ""
    rate: Decimal = Decimal(1)
    lines: list[Line] = field(default_factory=list)
    url: str | None = None
    branding_theme_id: str | None = None
    sent: bool = False
    expected_payment: date | None = None
    planned_payment: date | None = None
    subtotal: Decimal = ZERO
    tax: Decimal = ZERO
    total: Decimal = ZERO
    rounding: Decimal = ZERO
    paid: Decimal = ZERO
    credited: Decimal = ZERO
    fully_paid_on: date | None = None
    created_by: str | None = None

    @property
    def due(self) -> Decimal:
        """What is still to be paid, or what remains of a credit."""
        return self.total - self.paid - self.credited

    @property
    def settled(self) -> bool:
        """Whether a payment or a credit is applied, so that little may change any more."""
        return self.paid != ZERO or self.credited != ZERO

    @property
    def sales(self) -> bool:
        """Whether it is ours to a customer, rather than a supplier's to us."""
        return self.type in SALES_TYPES

    @property
    def kind(self) -> Kind:
        """Its family."""
        return KIND_OF[self.type]


@dataclass(slots=True)
class PurchaseOrder(Document):
    """One purchase order: a document that is never due, paid or credited, and moves no figure of the books."""

    delivery_date: date | None = None
    expected_arrival: date | None = None
    delivery: dict[str, str] = field(default_factory=dict)
    """DeliveryAddress, AttentionTo, Telephone and DeliveryInstructions, as they were sent."""


class _Keyed(Protocol):
    @property
    def updated(self) -> datetime: ...


Record = TypeVar("Record", bound=_Keyed)


class Store(Generic[Record]):
    """Records by id, and by any number of other keys; many records may share a key."""

    def __init__(self, identify: Callable[[Record], str], **keys: Callable[[Record], Iterable[Any]]) -> None:
        self._identify = identify
        self._keys = keys
        self._by_id: dict[str, Record] = {}
        # Most keys have one record, so a record stands alone until a second one comes: that keeps memory small.
        self._indexes: dict[str, dict[Any, Record | dict[str, Record]]] = {name: {} for name in keys}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._by_id.values())

    def get(self, record_id: str) -> Record | None:
        """The record with this id."""
        return self._by_id.get(record_id.lower())

    def find(self, index: str, key: Any) -> list[Record]:
        """The records with this key, oldest first."""
        found = self._indexes[index].get(key)
        if found is None:
            return []
        return list(found.values()) if isinstance(found, dict) else [found]

    def put(self, record: Record, undo: Undo | None = None) -> None:
        """Add a record, or put it in the place of the one with its id."""
        record_id = self._identify(record)
        before = self._by_id.get(record_id)
        if before is not None:
            self._unindex(before)
        self._by_id[record_id] = record
        self._index(record)
        if undo is not None:
            undo.append((lambda: self.remove(record_id)) if before is None else (lambda: self.put(before)))

    def remove(self, record_id: str, undo: Undo | None = None) -> None:
        """Take a record out again."""
        record = self._by_id.pop(record_id)
        self._unindex(record)
        if undo is not None:
            undo.append(lambda: self.put(record))

    def _index(self, record: Record) -> None:
        record_id = self._identify(record)
        for name, keys_of in self._keys.items():
            index = self._indexes[name]
            for key in keys_of(record):
                present = index.get(key)
                if present is None:
                    index[key] = record
                elif isinstance(present, dict):
                    present[record_id] = record
                else:
                    index[key] = {self._identify(present): present, record_id: record}

    def _unindex(self, record: Record) -> None:
        record_id = self._identify(record)
        for name, keys_of in self._keys.items():
            index = self._indexes[name]
            for key in keys_of(record):
                present = index[key]
                if isinstance(present, dict):
                    del present[record_id]
                    if not present:
                        del index[key]
                else:
                    del index[key]


def document_store() -> Store[Document]:
    """An empty store of documents, found by type and number, reference and contact."""
    return Store[Document](
        lambda one: one.document_id,
        number=lambda one: ((one.type, fold(one.number)),) if one.number else (),
        any_number=lambda one: (fold(one.number),) if one.number else (),
        reference=lambda one: (fold(one.reference),) if one.reference else (),
        contact=lambda one: (one.contact_id,),
    )


def order_store() -> Store[PurchaseOrder]:
    """An empty store of purchase orders, found by number and by supplier."""
    return Store[PurchaseOrder](
        lambda one: one.document_id,
        number=lambda one: (fold(one.number),) if one.number else (),
        contact=lambda one: (one.contact_id,),
    )


def payment_store() -> Store[Payment]:
    """An empty store of payments, found by what they pay and by their batch."""
    return Store[Payment](
        lambda one: one.payment_id,
        document=lambda one: (one.document_id,),
        batch=lambda one: (one.batch_id,) if one.batch_id else (),
    )


def allocation_store() -> Store[Allocation]:
    """An empty store of allocations, found by the credit and by the invoice."""
    return Store[Allocation](
        lambda one: one.allocation_id,
        credit=lambda one: (one.credit_id,),
        invoice=lambda one: (one.invoice_id,),
    )


def link_store() -> Store[Link]:
    """An empty store of linked transactions, found by their documents and by their lines."""
    return Store[Link](
        lambda one: one.link_id,
        document=lambda one: (one.source_id, one.target_id) if one.target_id else (one.source_id,),
        line=lambda one: (one.source_line_id, one.target_line_id) if one.target_line_id else (one.source_line_id,),
    )


def contact_store() -> Store[Contact]:
    """An empty store of contacts, found by name and contact number."""
    return Store[Contact](
        lambda one: one.contact_id,
        name=lambda one: (fold(one.name),),
        number=lambda one: (fold(one.contact_number),) if one.contact_number else (),
    )


class Books:
    """Everything that one organisation holds. `lock` is the simulator's one lock."""

    def __init__(
        self,
        name: str,
        tenant_id: str,
        clock: Clock,
        switches: XeroSwitches,
        lock: threading.RLock,
        *,
        country: str = "AU",
        base_currency: str = "AUD",
        currencies: Iterable[str] = (),
        short_code: str | None = None,
        lock_date: date | None = None,
        year_end_lock: date | None = None,
    ) -> None:
        self.name = name
        self.tenant_id = tenant_id
        self.clock = clock
        self.switches = switches
        self.lock = lock
        self.country_code = "GB" if country.upper() == "UK" else country.upper()
        self.country: Country = country_of(country)
        self.base_currency = base_currency
        self.short_code = short_code or f"!{uuid5(NAMESPACE_URL, tenant_id).hex[:5]}"
        self.lock_date = lock_date
        self.year_end_lock = year_end_lock
        self.created = clock()
        self.connected = True
        self.connected_at = self.created
        self.multicurrency = True
        self.day_rates: dict[tuple[str, date | None], Decimal] = {}
        self._ids = 0
        self._next_numbers: dict[str, int] = {}
        self.currencies: dict[str, str] = {}
        for code in dict.fromkeys((base_currency, *currencies)):
            self.currencies[code] = CURRENCY_NAMES.get(code, code)
        self.tax_rates: dict[str, TaxRate] = {
            rate.tax_type: TaxRate(rate.tax_type, rate.name, rate.percent, rate.may, rate.status, rate.report)
            for rate in self.country.rates
        }
        self.accounts: dict[str, Account] = {}
        for seed in CHART:
            currency = base_currency if seed.type == "BANK" else None
            account = Account(
                self.new_id(),
                seed.code,
                seed.name,
                seed.type,
                self.country.roles[seed.tax],
                seed.status,
                seed.payments,
                seed.system,
                currency,
                self.created,
            )
            self.accounts[account.account_id] = account
        self.tracking: list[TrackingCategory] = []
        self.items: dict[str, Item] = {}
        self.contacts = contact_store()
        self.stores = {kind.name: document_store() for kind in KINDS}
        self.documents = self.stores[INVOICE.name]
        self.orders = order_store()
        self.links = link_store()
        self.all_payments = payment_store()
        self.all_allocations = allocation_store()
        self.all_batches = Store[Batch](lambda one: one.batch_id)

    def new_id(self) -> str:
        """A new GUID, the same one in every run that does the same things."""
        self._ids += 1
        return str(uuid5(NAMESPACE_URL, f"{self.tenant_id}/{self._ids}"))

    def now(self) -> datetime:
        """The moment by the simulator's clock, to the millisecond as Xero stores it."""
        moment = self.clock().astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def today(self) -> date:
        """The calendar date where the organisation is."""
        return self.local(self.clock()).date()

    def local(self, moment: datetime) -> datetime:
        """A moment by the clocks where the organisation is."""
        try:
            return moment.astimezone(ZoneInfo(self.country.zone))
        except ZoneInfoNotFoundError:
            return moment.astimezone(UTC)

    def next_number(self, prefix: str, taken: Callable[[str], bool]) -> str:
        """The next automatic number that nobody has."""
        while True:
            count = self._next_numbers.get(prefix, 0) + 1
            self._next_numbers[prefix] = count
            number = f"{prefix}{count:04d}"
            if not taken(number):
                return number

    def store_of(self, kind: Kind) -> Store[Document]:
        """All documents of a family."""
        return self.stores[kind.name]

    def document_of(self, document_id: str) -> Document | None:
        """The document of any family with this id."""
        found = (store.get(document_id) for store in self.stores.values())
        return next((one for one in found if one is not None), None)

    def payments_of(self, document_id: str) -> list[Payment]:
        """The payments of a document that were not deleted, oldest first."""
        return [one for one in self.all_payments.find("document", document_id) if one.status != "DELETED"]

    def account_by_code(self, code: str) -> Account | None:
        """The account with this code; an active one before an archived one."""
        found = [one for one in self.accounts.values() if one.code == code]
        return min(found, key=lambda one: one.status != "ACTIVE", default=None)

    def day_rate(self, currency: str, on: date) -> Decimal:
        """Foreign units for one base unit on a day, as the rate service would give it."""
        if currency == self.base_currency:
            return Decimal(1)
        for key in ((currency, on), (currency, None)):
            if key in self.day_rates:
                return self.day_rates[key]
        foreign = PER_AUSTRALIAN_DOLLAR.get(currency, Decimal(1))
        return rounded(foreign / PER_AUSTRALIAN_DOLLAR.get(self.base_currency, Decimal(1)), 6)

    def locked(self, on: date, what: str = "document") -> list[str]:
        """What Xero says of a date that a lock date covers; empty when none does (reference 7.5)."""
        both = (("period lock date", self.lock_date), ("end of year lock date", self.year_end_lock))
        return [
            f"The {what} date cannot be before the {name}, currently set at {lock.day}-{lock:%b-%Y}"
            for name, lock in both
            if lock is not None and on <= lock
        ]
