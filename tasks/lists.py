"""Reference lists: read when first needed, kept in the audit, renewed daily or when something is missing in one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import simplejson

from blocks.audit import lists as kept_lists
from blocks.doors import Doors
from mappings.connectwise import (
    Agreement,
    BillingTerm,
    CatalogItem,
    Company,
    ConnectWiseRecord,
    Department,
    Location,
    PurchaseOrderStatus,
    SalesOrder,
    TaxCode,
)
from mappings.namesakes import Names, Namesakes, namesakes_in
from mappings.outcomes import XeroList
from mappings.related import Related, Wanted
from mappings.surroundings import Tables
from mappings.xero import Account, Books, Contact, ContactBook, Item, Organisation, TaxRate, TrackingCategory, fold

GOOD_FOR = timedelta(days=1)
OVERLAP = timedelta(minutes=10)
ALWAYS = (XeroList.ORGANISATION, XeroList.ACCOUNTS, XeroList.TAX_RATES, XeroList.CONTACTS)
"""Lists that every mapping needs; currencies are asked for when a foreign document comes along."""


def needed_by(tables: Tables) -> tuple[XeroList, ...]:
    """The lists that every mapping with these tables needs."""
    items = any(row.values["item_code"] for row in tables.accounts.rows)
    return (
        *ALWAYS,
        *([XeroList.TRACKING] if tables.tracking.rows else []),
        *([XeroList.ITEMS] if items else []),
    )


CONNECTWISE = "connectwise"
RELATED: dict[str, Any] = {
    "companies": Company,
    "catalog_items": CatalogItem,
    "agreements": Agreement,
    "sales_orders": SalesOrder,
    "locations": Location,
    "departments": Department,
}
"""The lists of records that invoices point to, by their names in Wanted and Related."""
Whole = TypeVar("Whole", PurchaseOrderStatus, BillingTerm)
Kept = TypeVar("Kept", Company, CatalogItem, Agreement, SalesOrder, Location, Department)


class Lists:
    """All reference lists for one cycle. A list is read at most once per cycle beyond its first use.

    `needed` are the lists of Xero that every mapping with the client's tables asks. `keeps` is False in a dry run:
    nothing is stored, and what was read is known to this cycle alone.
    """

    def __init__(self, doors: Doors, needed: Sequence[XeroList] = ALWAYS) -> None:
        self.keeps = True
        self._needed = needed
        self._doors = doors
        self._text: dict[tuple[str, str], str] = {}
        self._renewed: set[tuple[str, XeroList]] = set()
        self._books: dict[str, Books] = {}
        self._tax_codes: dict[int, TaxCode] | None = None
        self._by_ids: dict[type[ConnectWiseRecord], dict[int, Any]] = {}
        self._wholes: dict[str, dict[int, Any]] = {}
        self._read_now: set[str] = set()
        self._names: Names | None = None
        self._namesakes: Namesakes = {}
        self._searched: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def books(self, organisations: Iterable[str]) -> Mapping[str, Books]:
        """The books of these organisations; whatever is not kept, or is older than a day, is read now."""
        for name in organisations:
            tenant_id = self._doors.tenants.get(name)
            if tenant_id is None or name in self._books:
                continue
            for which in XeroList:
                self._load(tenant_id, which, only_kept=which not in self._needed)
            self._books[name] = self._build(tenant_id)
        return self._books

    def renew(self, organisation: str, names: Iterable[XeroList]) -> bool:
        """Read these lists anew, each once per cycle; True when any of them differs from what was known."""
        tenant_id = self._doors.tenants.get(organisation)
        if tenant_id is None:
            return False
        with self._lock:
            due = [name for name in dict.fromkeys(names) if (tenant_id, name) not in self._renewed]
            changed = False
            try:
                for name in due:
                    before = self._text.get((tenant_id, name.value))
                    self._read(tenant_id, name)
                    changed |= before != self._text[(tenant_id, name.value)]
            finally:
                # Also when the second of two lists could not be had: the first one counts as renewed.
                if changed and organisation in self._books:
                    self._books[organisation] = self._build(tenant_id)
        return changed

    def read_again(self, organisation: str, name: XeroList) -> None:
        """Read a list now, whether or not this cycle has done so: a write left us in doubt."""
        self._renewed.discard((self._doors.tenants[organisation], name))
        self.renew(organisation, [name])

    def add_contacts(self, organisation: str, made: Sequence[str]) -> None:
        """Lay contacts that we have just made (as Xero answered, JSON) over the known ones."""
        tenant_id = self._doors.tenants[organisation]
        with self._lock:
            known = json.loads(self._text[(tenant_id, XeroList.CONTACTS.value)])
            text = _dump([*known, *_lean(XeroList.CONTACTS, [json.loads(each) for each in made])])
            self._text[(tenant_id, XeroList.CONTACTS.value)] = text
            kept = kept_lists.kept(self._doors.audit, _scope(tenant_id), XeroList.CONTACTS.value)
            if kept is not None:
                self._keep(_scope(tenant_id), XeroList.CONTACTS.value, text, kept.read_at)
            self._books[organisation] = self._build(tenant_id)

    def expire(self, organisation: str) -> None:
        """After a refusal: what we know of the organisation may be out of date."""
        tenant_id = self._doors.tenants.get(organisation, "")
        kept_lists.expire(self._doors.audit, _scope(tenant_id), self._doors.clock() - 2 * GOOD_FOR)

    def was_searched(self, organisation: str, family: str, since: date) -> bool:
        """Whether the organisation was searched for documents of ours that are dated `since` or later."""
        if self.just_searched(organisation, family):
            return True
        scope = _scope(self._doors.tenants[organisation])
        known = kept_lists.kept(self._doors.audit, scope, f"searched:{family}")
        return known is not None and known.text <= since.isoformat()

    def just_searched(self, organisation: str, family: str) -> bool:
        """Whether that was in this very cycle."""
        return (organisation, family) in self._searched

    def mark_searched(self, organisation: str, family: str, since: date) -> None:
        """Note that it was searched."""
        self._searched.add((organisation, family))
        scope = _scope(self._doors.tenants[organisation])
        self._keep(scope, f"searched:{family}", since.isoformat(), self._doors.clock())

    def short_code(self, organisation: str) -> str:
        """The organisation's code in Xero's deep links; '' while its lists were never read."""
        books = self._books.get(organisation)
        if books is not None:
            return books.organisation.short_code
        tenant_id = self._doors.tenants.get(organisation, "")
        known = kept_lists.kept(self._doors.audit, _scope(tenant_id), XeroList.ORGANISATION.value)
        return Organisation.parse(json.loads(known.text)).short_code if known else ""

    def tax_codes(self) -> Mapping[int, TaxCode]:
        """ConnectWise's tax codes by id, read once a day."""
        if self._tax_codes is None:
            known = kept_lists.kept(self._doors.audit, CONNECTWISE, "tax_codes")
            if known is None or self._is_old(known.read_at):
                text = _dump(self._doors.connectwise.tax_codes())
                self._keep(CONNECTWISE, "tax_codes", text, self._doors.clock())
            else:
                text = known.text
            codes = (TaxCode.model_validate(given) for given in json.loads(text))
            self._tax_codes = {code.id: code for code in codes}
        return self._tax_codes

    def purchase_order_statuses(self, needed: Iterable[int]) -> Mapping[int, PurchaseOrderStatus]:
        """The statuses of purchase orders by id, read once a day, and at once where one of these is not known."""
        return self._whole("purchase_order_statuses", PurchaseOrderStatus, needed)

    def billing_terms(self, needed: Iterable[int]) -> Mapping[int, BillingTerm]:
        """ConnectWise's billing terms by id, read once a day, and at once where one of these is not known."""
        return self._whole("billing_terms", BillingTerm, needed)

    def _whole(self, name: str, record: type[Whole], needed: Iterable[int]) -> Mapping[int, Whole]:
        known = kept_lists.kept(self._doors.audit, CONNECTWISE, name)
        found: dict[int, Whole] = self._wholes.get(name, {})
        if not found and known is not None and not self._is_old(known.read_at):
            found = {each.id: each for each in map(record.model_validate, json.loads(known.text))}
        if name not in self._read_now and (not found or not set(needed) <= found.keys()):
            text = _dump(getattr(self._doors.connectwise, name)())
            self._keep(CONNECTWISE, name, text, self._doors.clock())
            self._read_now.add(name)
            found = {each.id: each for each in map(record.model_validate, json.loads(text))}
        self._wholes[name] = found
        return found

    def related(self, wanted: Wanted) -> Related:
        """The records of ConnectWise that invoices point to, and which of them are not there."""
        found: dict[str, dict[int, Any]] = {
            name: self._by_id(record, getattr(wanted, name)) for name, record in RELATED.items()
        }
        gone = frozenset(
            (name, number) for name, here in found.items() for number in getattr(wanted, name) - here.keys()
        )
        return Related(tax_codes=self.tax_codes() if wanted.tax_codes else {}, gone=gone, **found)

    def namesakes(self, names: Names) -> Namesakes:
        """Which texts mean several records of ConnectWise, by all that was ever seen, these names included."""
        if self._names is None:
            known = kept_lists.kept(self._doors.audit, CONNECTWISE, "names")
            read = json.loads(known.text) if known else {}
            self._names = {kind: {int(n): tuple(texts) for n, texts in ids.items()} for kind, ids in read.items()}
            self._namesakes = namesakes_in(self._names)
        changed = False
        for kind, records in names.items():
            here = self._names.setdefault(kind, {})
            if not records.items() <= here.items():
                here |= records
                changed = True
        if changed:
            self._namesakes = namesakes_in(self._names)
            self._keep(CONNECTWISE, "names", _dump(self._names), self._doors.clock())
        return self._namesakes

    def _by_id(self, record: type[Kept], ids: Iterable[int]) -> dict[int, Kept]:
        """Records of one list by id, each read once a day; those that are not there once a cycle."""
        wanted = list(dict.fromkeys(ids))
        here: dict[int, Kept | None] = self._by_ids.setdefault(record, {})
        if any(number not in here for number in wanted):
            name = record.__name__.lower()
            known = kept_lists.kept(self._doors.audit, CONNECTWISE, name)
            since = self._doors.clock()
            if known is not None and not self._is_old(known.read_at):
                since = known.read_at
                for number, given in json.loads(known.text, parse_float=Decimal).items():
                    here.setdefault(int(number), record.model_validate(given))
            missing = [number for number in wanted if number not in here]
            if missing:
                found = [record.model_validate(given) for given in self._doors.connectwise.related(record, missing)]
                here |= dict.fromkeys(missing) | {each.id: each for each in found}
                # Kept since the oldest of them was read, so that each is renewed in time. What is not there is asked
                # for again by the next cycle: somebody may restore it, or correct the API member's role.
                there = {n: each for n, each in here.items() if each is not None and not _is_deleted(each)}
                text = _dump({number: each.model_dump() for number, each in there.items()})
                self._keep(CONNECTWISE, name, text, since)
        return {number: each for number in wanted if (each := here[number]) is not None}

    def _keep(self, scope: str, name: str, text: str, read_at: datetime) -> None:
        if self.keeps:
            kept_lists.keep(self._doors.audit, scope, name, text, read_at)

    def _load(self, tenant_id: str, name: XeroList, only_kept: bool = False) -> None:
        known = kept_lists.kept(self._doors.audit, _scope(tenant_id), name.value)
        if known is not None and (only_kept or not self._is_old(known.read_at)):
            self._text[(tenant_id, name.value)] = known.text
        elif not only_kept:
            self._read(tenant_id, name)

    def _read(self, tenant_id: str, name: XeroList) -> None:
        xero = self._doors.xero
        now = self._doors.clock()
        if name is XeroList.CONTACTS:
            text = self._read_contacts(tenant_id)
        else:
            read = {
                XeroList.ORGANISATION: xero.organisation,
                XeroList.ACCOUNTS: xero.accounts,
                XeroList.TAX_RATES: xero.tax_rates,
                XeroList.CURRENCIES: xero.currencies,
                XeroList.TRACKING: xero.tracking_categories,
                XeroList.ITEMS: xero.items,
            }[name]
            text = _dump(_lean(name, read(tenant_id)))
        self._text[(tenant_id, name.value)] = text
        self._renewed.add((tenant_id, name))
        self._keep(_scope(tenant_id), name.value, text, now)

    def _read_contacts(self, tenant_id: str) -> str:
        """Contacts are many: within a day only those that changed are asked for, and laid over the kept ones."""
        known = kept_lists.kept(self._doors.audit, _scope(tenant_id), XeroList.CONTACTS.value)
        if known is None or self._is_old(known.read_at):
            found = self._doors.xero.contacts(tenant_id)
        else:
            changed = self._doors.xero.contacts(tenant_id, changed_since=known.read_at - OVERLAP)
            merged = {given.get("ContactID"): given for given in json.loads(known.text)}
            merged.update({given.get("ContactID"): given for given in changed})
            found = list(merged.values())
        return _dump(_lean(XeroList.CONTACTS, found))

    def _is_old(self, read_at: datetime) -> bool:
        return self._doors.clock() - read_at >= GOOD_FOR

    def _build(self, tenant_id: str) -> Books:
        def listed(name: XeroList) -> Any:
            return json.loads(self._text.get((tenant_id, name.value), "[]"), parse_float=Decimal)

        accounts = [Account.parse(given) for given in listed(XeroList.ACCOUNTS)]
        rates = [TaxRate.parse(given) for given in listed(XeroList.TAX_RATES)]
        digest = hashlib.blake2b(digest_size=16)
        for name in XeroList:
            digest.update(self._text.get((tenant_id, name.value), "").encode())
        return Books(
            tenant_id=tenant_id,
            organisation=Organisation.parse(listed(XeroList.ORGANISATION)),
            # A deleted account may share its code with the one that took its place.
            accounts={account.code: account for account in sorted(accounts, key=lambda one: one.status == "ACTIVE")},
            tax_rates={rate.tax_type: rate for rate in sorted(rates, key=lambda one: one.status == "ACTIVE")},
            currencies=frozenset(given.get("Code", "") for given in listed(XeroList.CURRENCIES)),
            contacts=ContactBook.of(Contact.parse(given) for given in listed(XeroList.CONTACTS)),
            digest=digest.hexdigest(),
            items={item.code: item for item in map(Item.parse, listed(XeroList.ITEMS))},
            tracking={
                fold(category.name): category
                for category in sorted(
                    map(TrackingCategory.parse, listed(XeroList.TRACKING)), key=lambda one: one.status == "ACTIVE"
                )
            },
        )


KEEP: dict[XeroList, tuple[str, ...]] = {
    XeroList.ACCOUNTS: (
        "Code", "Name", "Type", "Status", "TaxType", "SystemAccount", "Class", "EnablePaymentsToAccount",
        "CurrencyCode",
    ),
    XeroList.TAX_RATES: (
        "TaxType", "Name", "EffectiveRate", "Status", "CanApplyToAssets", "CanApplyToEquity", "CanApplyToExpenses",
        "CanApplyToLiabilities", "CanApplyToRevenue",
    ),
    XeroList.CONTACTS: ("ContactID", "Name", "AccountNumber", "ContactStatus", "MergedToContactID"),
    XeroList.CURRENCIES: ("Code",),
    XeroList.TRACKING: ("Name", "Status", "Options"),
    XeroList.ITEMS: (
        "Code", "Name", "IsSold", "IsPurchased", "SalesDetails", "PurchaseDetails", "InventoryAssetAccountCode",
    ),
    XeroList.ORGANISATION: ("Name", "BaseCurrency", "ShortCode", "PeriodLockDate", "EndOfYearLockDate"),
}  # fmt: skip
"""What is kept of each list: what mapping asks of it, and nothing that changes with every document."""


def _lean(name: XeroList, given: Any) -> Any:
    if isinstance(given, list):
        return [_lean(name, element) for element in given]
    return {field: given[field] for field in KEEP[name] if field in given}


def _is_deleted(record: ConnectWiseRecord) -> bool:
    return isinstance(record, Company) and record.deleted_flag


def _scope(tenant_id: str) -> str:
    return f"xero:{tenant_id}"


def _dump(value: Any) -> str:
    return simplejson.dumps(value, use_decimal=True, sort_keys=True)
