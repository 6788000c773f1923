"""One tenant of the simulated ConnectWise: its tables, how records name one another, and its set-up screens."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from deployments.sandbox import connectwise_books as books
from deployments.sandbox.connectwise_fields import RESOURCES
from deployments.sandbox.connectwise_query import Record
from deployments.sandbox.connectwise_store import Table
from deployments.sandbox.wire import Clock

Given = int | str | Mapping[str, Any]
"""How a person names a record: by id, by identifier or name, or by its fields."""


@dataclass(frozen=True)
class ConnectWiseSwitches:
    """What is not confirmed of the real system, and how this one is set up."""

    mode: Literal["on_premise", "cloud"] = "on_premise"
    """Wrong credentials: 401 with JSON (on_premise), or the gateway's plain-text 400 and HTML 404 (cloud)."""
    child_bumps_parent: bool = False
    """Whether a change of a row or a payment moves the invoice's `lastUpdated`, and of a line its purchase order's."""
    merge_bumps_records: bool = False
    """Whether merging two companies moves `lastUpdated` of the records that change their company."""
    one_payment_per_invoice: bool = True
    """Whether a second cash payment changes the amount of the first instead of making a row of its own."""
    clone_shrinks_quantity: bool = True
    """Whether a line received in part keeps only what was received as its `quantity` when its rest is cloned."""
    cancel_shrinks_quantity: bool = False
    """The same when its rest is cancelled."""
    auto_close_purchase_orders: bool = False
    """Whether a purchase order of which everything was received closes by itself (`autoClosePurchaseOrderFlag`)."""
    adjustments_inside_service_total: bool = False
    """Whether `serviceTotal` already contains `serviceAdjustmentAmount`."""
    forward_only_supported: bool = True
    """Whether lists know forward-only paging at all (some of the real ones do not)."""
    large_page: Literal["refuse", "clamp"] = "refuse"
    """What a `pageSize` above 1,000 gets: 400, or silently 1,000."""
    refuse_long_urls: bool = True
    """Whether addresses of more than 2,000 characters are answered with 414 and HTML."""
    unfilterable: frozenset[str] = frozenset()
    """Fields that `conditions` refuse although they exist (`balance`, `status/isClosed`)."""
    role_hides_locations: frozenset[int] = frozenset()
    """Locations whose records the API member's role silently leaves out."""
    report_quantity: Literal["of_the_line", "of_the_link"] = "of_the_line"
    """What `Quantity` is in the system report of order lines: all of the line, or what of it buys the row's product."""
    forbidden_paths: frozenset[str] = frozenset()
    """Paths (below `/apis/3.0`, each with all that is below it) that the API member's role may not read: 403."""


ROWS = ("time", "product", "expense")
"""The kinds of rows that an invoice can have."""

_FIRST_IDS = {"invoice": 39001, "payment": 501, "product": 7001, "time": 9001, "expense": 4001, "company": 101}
_FIRST_IDS |= {"agreement": 61, "sales_order": 801, "purchase_order": 77, "purchase_order_line": 1201}
_CONSTANT_HOME = "https://connectwise.sandbox.example/v4_6_release/apis/3.0"
# What a reference to a record of a table calls its link, and where the link leads.
_LINKS = {
    "company": ("company", "company/companies"),
    "location": ("location", "system/locations"),
    "department": ("department", "system/departments"),
    "tax_code": ("taxCode", "finance/taxCodes"),
    "currency": ("currency", "finance/currencies"),
    "catalog_item": ("catalog", "procurement/catalog"),
    "order_item": ("catalog", "procurement/catalog"),
    "member": ("member", "system/members"),
    "billing_status": ("status", "finance/billingStatuses"),
    "billing_term": ("billingTerms", "finance/billingTerms"),
    "purchase_order_status": ("status", "procurement/purchaseorderstatuses"),
    "agreement": ("agreement", "finance/agreements"),
    "sales_order": ("salesOrder", "sales/orders"),
}
# Which table a reference field points into; the others are names without a table of their own here.
_TARGETS = {
    "company": "company",
    "billToCompany": "company",
    "shipToCompany": "company",
    "vendor": "company",
    "vendorCompany": "company",
    "customerCompany": "company",
    "location": "location",
    "department": "department",
    "businessUnit": "department",
    "taxCode": "tax_code",
    "currency": "currency",
    "member": "member",
    "salesRep": "member",
    "agreement": "agreement",
    "salesOrder": "sales_order",
    "catalogItem": "catalog_item",
    "product": "catalog_item",
    "terms": "billing_term",
    "billingTerms": "billing_term",
    "invoice": "invoice",
    "credit": "invoice",
}
# The status of a record points into a table of its own.
_STATUSES = {"invoice": "billing_status", "purchase_order": "purchase_order_status"}
# A purchase order's line names a catalogue item in another form than an invoice's product does.
_FORMS = {"product": "order_item"}
# References that some lists repeat as a bare id.
_IDS_BESIDE = (
    ("location", "locationId"),
    ("department", "departmentId"),
    ("department", "businessUnitId"),
    ("businessUnit", "businessUnitId"),
)
_FIELDS = {resource.table: resource.fields for resource in RESOURCES}


class Tenant:
    """The tables, and what all people's actions have in common."""

    def __init__(self, clock: Clock, switches: ConnectWiseSwitches) -> None:
        self.clock = clock
        self.switches = switches
        self.user = "jdoe"
        """The person who acts, as it is written into what changes."""
        parents = dict.fromkeys((*ROWS, "payment"), "invoice") | {"purchase_order_line": "purchaseOrderId"}
        self.tables = {name: Table(parents.get(name, "")) for name in _FIELDS}
        for name, first in _FIRST_IDS.items():
            self.tables[name].start_at(first)
        self._lock = threading.RLock()
        self._moment: datetime | None = None
        self._references: dict[tuple[str, int], Record] = {}
        self._names: dict[str, dict[str, Record]] = {}
        self._fixed: dict[tuple[str, int], set[str]] = {}
        """The amounts of each record that a person typed in."""
        self._demands: dict[int, dict[int, Decimal]] = {}
        """What of a line of a purchase order buys which sold products; no list shows it, only a system report."""

    # --- time

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Let what people do inside have happened at another moment (to build a past)."""
        before, self._moment = self._moment, moment
        try:
            yield
        finally:
            self._moment = before

    def _today(self) -> date:
        return (self._moment or self.clock()).date()

    def _stamp(self, record: Record, created: bool = False) -> None:
        moment = (self._moment or self.clock()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        info = record.setdefault("_info", {})
        info.update(lastUpdated=moment, updatedBy=self.user)
        if created:
            info.update(dateEntered=moment, enteredBy=self.user)

    def _touch(self, table: str, record: Record) -> None:
        self._stamp(record)
        self.tables[table].changed(record["id"])

    # --- records and references

    def _find(self, table: str, given: Given) -> int | None:
        """The id of the record that a person means, or None."""
        if isinstance(given, Mapping):
            given = given.get("id") or given.get("identifier") or given.get("name") or ""
        records = self.tables[table].records
        if isinstance(given, int):
            return given if given in records else None
        sought = given.casefold()
        if not sought:
            return None
        for name in ("identifier", "name", "currencyIdentifier"):
            for record_id, record in records.items():
                if str(record.get(name, "")).casefold() == sought:
                    return record_id
        return None

    def _get(self, table: str, given: Given) -> Record:
        found = self._find(table, given)
        if found is None:
            raise KeyError(f"there is no {table} {given!r}")
        return self.tables[table].records[found]

    def _reference(self, table: str, field_name: str, given: Given) -> Record:
        """The reference object for a field. All that name the same record share it, so renaming is one change."""
        target = _STATUSES.get(table) if field_name == "status" else _TARGETS.get(field_name)
        found = self._find(target, given) if target is not None else None
        if target is not None and found is not None:
            return self._references[_FORMS.get(field_name, target), found]
        if isinstance(given, Mapping):
            return dict(given)
        if target is not None:
            raise ValueError(f"no {target} is called {given!r}")
        known = self._names.setdefault(f"{table} type" if field_name == "type" else field_name, {})
        label = "summary" if field_name == "ticket" else "name"
        return known.setdefault(str(given), {"id": len(known) + 1, label: str(given)})

    def _refer(self, table: str, record: Record, **fields: Any) -> None:
        """Make or renew the shared reference to a record."""
        reference = self._references.setdefault((table, record["id"]), {})
        name, path = _LINKS[table]
        reference.update(id=record["id"], **fields)
        reference["_info"] = {f"{name}_href": f"{_CONSTANT_HOME}/{path}/{record['id']}"}

    def _values(self, table: str, fields: Mapping[str, Any]) -> Record:
        """A person's fields as JSON has them: references resolved, dates and money in form."""
        known = _FIELDS[table]
        values: Record = {}
        for name, value in fields.items():
            if value is not None and known.get(name) == "reference":
                value = self._reference(table, name, value)
            values[name] = as_json(name, value)
        for name, its_id in _IDS_BESIDE:
            if its_id in known and isinstance(values.get(name), dict):
                values.setdefault(its_id, values[name].get("id"))
        return values

    def _insert(self, table: str, record: Record) -> int:
        self._stamp(record, created=True)
        self.tables[table].add({name: value for name, value in record.items() if value is not None})
        return int(record["id"])

    # --- set-up tables

    def add_location(self, name: str, id: int | None = None) -> int:
        """A location (an owner level)."""
        with self._lock:
            number = self.tables["location"].new_id(id)
            level = {"id": 2, "name": "Location"}
            record: Record = {"id": number, "ownerLevelId": number, "structureLevel": level, "name": name}
            record |= {"locationFlag": True, "clientFlag": False}
            self.tables["location_info"].add(
                {"id": number, "name": name, "location_flag": True, "structureLevel": level}
            )
            self._refer("location", record, name=name)
            return self._insert("location", record)

    def add_department(self, name: str, id: int | None = None, identifier: str = "") -> int:
        """A department (a business unit)."""
        with self._lock:
            record: Record = {
                "id": self.tables["department"].new_id(id),
                "identifier": identifier or name[:15],
                "name": name,
            }
            self._refer("department", record, name=name)
            return self._insert("department", record)

    def add_member(self, identifier: str, first_name: str, last_name: str, id: int | None = None) -> int:
        """A member of staff."""
        with self._lock:
            record: Record = {"id": self.tables["member"].new_id(id), "identifier": identifier}
            record |= {"firstName": first_name, "lastName": last_name, "licenseClass": "F", "inactiveFlag": False}
            self._refer("member", record, identifier=identifier, name=f"{first_name} {last_name}")
            return self._insert("member", record)

    def add_billing_status(self, name: str, closed: bool, id: int | None = None) -> int:
        """A billing status of the tenant's own; only `closed` has a meaning."""
        with self._lock:
            number = self.tables["billing_status"].new_id(id)
            record: Record = {"id": number, "name": name, "sortOrder": number, "defaultFlag": number == 1}
            record |= {"closedFlag": closed, "inactiveFlag": False, "sentFlag": False}
            self._refer("billing_status", record, name=name, isClosed=closed)
            return self._insert("billing_status", record)

    def add_billing_term(self, name: str, due_days: int, id: int | None = None) -> int:
        """Terms of payment: due so many days after the document's date."""
        with self._lock:
            number = self.tables["billing_term"].new_id(id)
            record: Record = {"id": number, "name": name, "dueDays": due_days, "defaultFlag": number == 1}
            self._refer("billing_term", record, name=name)
            return self._insert("billing_term", record)

    def add_purchase_order_status(
        self, name: str, closed: bool = False, default_closed: bool = False, id: int | None = None
    ) -> int:
        """A status of purchase orders, of the tenant's own; the name means nothing."""
        with self._lock:
            number = self.tables["purchase_order_status"].new_id(id)
            record: Record = {"id": number, "name": name, "sortOrder": number, "defaultFlag": number == 1}
            record |= {"closedFlag": closed, "defaultClosedFlag": default_closed, "inactiveFlag": False}
            self._refer("purchase_order_status", record, name=name)
            return self._insert("purchase_order_status", record)

    def add_tax_code(
        self,
        identifier: str,
        description: str,
        rate: Decimal | int | str,
        services: bool = True,
        expenses: bool = True,
        products: bool = True,
        id: int | None = None,
        xref: str = "",
    ) -> int:
        """A tax code of one level; `rate` in percent."""
        with self._lock:
            record: Record = {"id": self.tables["tax_code"].new_id(id), "identifier": identifier}
            record |= {"description": description, "invoiceCaption": identifier, "displayOnInvoiceFlag": True}
            record |= {"effectiveDate": "2000-07-01T00:00:00Z", "defaultFlag": False, "levelOneCaption": identifier}
            record |= {"levelOneRate": Decimal(rate), "levelOneRateType": "Percent", "levelOneTaxCodeXref": xref}
            record |= {"levelOneServicesFlag": services, "levelOneExpensesFlag": expenses}
            record["levelOneProductsFlag"] = products
            self._refer("tax_code", record, name=identifier)
            return self._insert("tax_code", record)

    def add_currency(self, code: str, name: str = "", symbol: str = "$", id: int | None = None) -> int:
        """A currency; the code is ISO's."""
        with self._lock:
            number = self.tables["currency"].new_id(id)
            look = {"symbol": symbol, "decimalSeparator": ".", "numberOfDecimals": 2, "thousandsSeparator": ","}
            look |= {"negativeParenthesesFlag": False, "displaySymbolFlag": True, "currencyIdentifier": code}
            look |= {"displayIdFlag": False, "rightAlign": False, "name": name or code}
            record: Record = {"id": number, **look, "currencyCode": {"id": number, "name": code}}
            self._refer("currency", record, **look, currencyCode=code)
            return self._insert("currency", record)

    def add_catalog_item(self, identifier: str, description: str = "", id: int | None = None, **fields: Any) -> int:
        """A catalogue item; `category`, `subcategory`, `price`, `cost`, `taxableFlag`... by ConnectWise's names."""
        with self._lock:
            text = description or identifier
            record: Record = {"id": self.tables["catalog_item"].new_id(id), "identifier": identifier}
            record |= {"description": text, "customerDescription": text, "productClass": "NonInventory"}
            record |= {"inactiveFlag": False, "taxableFlag": True, "price": books.ZERO, "cost": books.ZERO}
            record |= self._values("catalog_item", fields)
            self._refer_to_item(record)
            return self._insert("catalog_item", record)

    def edit_catalog_item(self, item: Given, **fields: Any) -> None:
        """Change fields of a catalogue item. Rows that name it keep what they took from it."""
        with self._lock:
            record = self._get("catalog_item", item)
            set_fields(record, self._values("catalog_item", fields))
            self._touch("catalog_item", record)
            self._refer_to_item(record)
            self.tables["product"].changed()
            self.tables["purchase_order_line"].changed()

    def _refer_to_item(self, item: Record) -> None:
        self._refer("catalog_item", item, identifier=item["identifier"], name=item["description"])
        serialized = bool(item.get("serializedFlag"))
        self._refer("order_item", item, identifier=item["identifier"], serializedFlag=serialized)

    def add_agreement(self, name: str, type: str, company: Given, id: int | None = None, **fields: Any) -> int:
        """An agreement with a company; invoices and rows name it by id or name, and repeat its type as text."""
        with self._lock:
            record: Record = {"id": self.tables["agreement"].new_id(id), "name": name}
            record |= {"startDate": as_json("startDate", self._today()), "noEndingDateFlag": True}
            record |= {"cancelledFlag": False, "agreementStatus": "Active", "applicationUnits": "Amount"}
            record |= self._values("agreement", {"type": type, "company": company, **fields})
            self._refer("agreement", record, name=name, type=record["type"]["name"], chargeFirmFlag=False)
            return self._insert("agreement", record)

    def add_sales_order(
        self, company: Given, sales_rep: Given | None = None, id: int | None = None, **fields: Any
    ) -> int:
        """A sales order, and the member who sold it; invoices and products name it by its id."""
        with self._lock:
            record: Record = {"id": self.tables["sales_order"].new_id(id), "status": "Open"}
            record |= {"orderDate": self._today(), "billClosedFlag": False, "billShippedFlag": False}
            record = self._values("sales_order", record | {"company": company, "salesRep": sales_rep} | fields)
            self._refer("sales_order", record, identifier=str(record["id"]))
            return self._insert("sales_order", record)


def set_fields(record: Record, values: Record) -> None:
    """Set fields; None takes one away, since ConnectWise leaves out what is null."""
    for name, value in values.items():
        if value is None:
            record.pop(name, None)
        else:
            record[name] = value


def amounts_given(fields: Mapping[str, Any]) -> set[str]:
    """The amounts that a person typed in."""
    return {name for name, value in fields.items() if name in books.MONEY and value is not None}


def as_json(name: str, value: Any) -> Any:
    """A value as JSON has it: dates as midnight Z, money as Decimal; text stays text, even where money belongs."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.strftime("%Y-%m-%dT00:00:00Z")
    if isinstance(value, float) or (name in books.MONEY and isinstance(value, int) and not isinstance(value, bool)):
        return Decimal(str(value))
    return value
