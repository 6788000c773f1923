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
    """One payment on a document."""

    payment_id: str
    amount: Decimal
    paid_on: date
    reference: str
    account_code: str
    status: str
    updated: datetime


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
    """One invoice or bill; credit notes and orders can use the same shape."""

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
    payments: tuple[Payment, ...] = ()
    fully_paid_on: date | None = None
    created_by: str | None = None

    @property
    def due(self) -> Decimal:
        """What is still to be paid."""
        return self.total - self.paid - self.credited

    @property
    def settled(self) -> bool:
        """Whether a payment or a credit is applied, so that little may change any more."""
        return bool(self.payments) or self.paid != ZERO or self.credited != ZERO


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

    def remove(self, record_id: str) -> None:
        """Take a record out again."""
        self._unindex(self._by_id.pop(record_id))

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
        self.documents = document_store()

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
        try:
            return self.clock().astimezone(ZoneInfo(self.country.zone)).date()
        except ZoneInfoNotFoundError:
            return self.clock().astimezone(UTC).date()

    def next_number(self, prefix: str, taken: Callable[[str], bool]) -> str:
        """The next automatic number that nobody has."""
        while True:
            count = self._next_numbers.get(prefix, 0) + 1
            self._next_numbers[prefix] = count
            number = f"{prefix}{count:04d}"
            if not taken(number):
                return number

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

    def locks(self) -> list[tuple[str, date]]:
        """The lock dates that are set, by the name that Xero's messages use."""
        both = (("period lock date", self.lock_date), ("end of year lock date", self.year_end_lock))
        return [(name, on) for name, on in both if on is not None]
