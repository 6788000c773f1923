"""Reads ConnectWise Manage: pages of records, each list with exactly the fields that its record type has.

Never writes (promise 13). Everything about the API that is relied on here is in connectwise.md, sections 1 to 4.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import SecretStr

from blocks.failures import LimitReached, NotConfigured, Unreachable
from blocks.wire import NoAnswer, Retries, TryAgain, Wire, http_date, redirected_to, retry_after
from mappings.connectwise import (
    Agreement,
    BillingTerm,
    CatalogItem,
    Company,
    ConnectWiseRecord,
    Department,
    ExpenseEntry,
    Invoice,
    Location,
    Owed,
    PaymentRow,
    Product,
    PurchaseOrder,
    PurchaseOrderLine,
    PurchaseOrderStatus,
    SalesOrder,
    SoldProduct,
    TimeEntry,
    fields_of,
    read_json,
)

PAGE_SIZE = 1000
LONGEST_URL = 1900
"""ConnectWise asks for addresses below 2,000 characters; the gateway may add a few."""
TAX_CODE_FIELDS = "id,identifier," + ",".join(
    f"level{level}{what}Flag"
    for level in ("One", "Two", "Three", "Four", "Five", "Six")
    for what in ("Services", "Expenses")
)

RELATED: dict[type[ConnectWiseRecord], str] = {
    Company: "/company/companies",
    CatalogItem: "/procurement/catalog",
    Agreement: "/finance/agreements",
    SalesOrder: "/sales/orders",
    Location: "/system/locations",
    Department: "/system/departments",
}
"""Lists of records that invoices point to."""

LINES: tuple[tuple[str, type[ConnectWiseRecord]], ...] = (
    ("/time/entries", TimeEntry),
    ("/expense/entries", ExpenseEntry),
    ("/procurement/products", Product),
)
"""Lists of the rows that invoices are made of."""

PAYMENT_FIELDS = fields_of(PaymentRow)
PURCHASE_ORDERS = "/procurement/purchaseorders"
PRODUCTS = "/procurement/products"
REPORTS = "/system/reports"

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of raw records, and the time of ConnectWise's own clock when it answered."""

    records: list[Raw]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What ConnectWise says of one record: the record, or (`gone`) in so many words that there is none.

    Neither: it may be there all the same.
    """

    record: Raw | None
    gone: bool


class NotForwardOnly(Exception):
    """The endpoint does not know the forward-only mode."""


class Pages:
    """A list, page after page: forward-only (id order), or by `id > last` where an endpoint does not know that mode.

    A failed `fetch` changes nothing, so it may be tried again without losing a page.
    """

    def __init__(self, read: Callable[[int | None, bool], Page]) -> None:
        self._read = read
        self._last: int | None = None
        self._by_id = False
        self._count = 0
        self._first: set[int] = set()
        self.done = False

    def fetch(self) -> Page:
        """The next page. A short one is the last: the Link header of forward-only lists never ends."""
        try:
            page = self._read(self._last, self._by_id)
        except NotForwardOnly:
            return self._begin_again()
        ids = [found for record in page.records if (found := _id(record)) is not None]
        full = len(page.records) >= PAGE_SIZE
        if any(self._last is not None and found <= self._last for found in ids) or (full and ids != sorted(ids)):
            return self._begin_again()
        if full and not ids:
            raise Unreachable("ConnectWise answers records without ids; nothing can be read safely.")
        self.done = not full
        self._last = max(ids, default=self._last)
        self._count += 1
        if self._by_id:
            return Page([record for record in page.records if _id(record) not in self._first], page.at)
        if self._count == 1:
            self._first = set(ids)
        return page

    def _begin_again(self) -> Page:
        """Read by id from the start: in which order the pages came so far is not known. None is given twice."""
        if self._by_id or self._count > 1:
            raise Unreachable("ConnectWise answers the same page again and again; nothing can be read safely.")
        self._by_id, self._last = True, None
        return self.fetch()

    def __iter__(self) -> Iterator[Page]:
        while not self.done:
            yield self.fetch()


class NotThere(NotConfigured):
    """ConnectWise itself says that it has no such list: the record that it belongs to is gone."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The raw rows of some invoices, by invoice id."""

    time: dict[int, list[Raw]]
    expenses: dict[int, list[Raw]]
    products: dict[int, list[Raw]]


class ConnectWiseClient:
    """A reader for one ConnectWise tenant. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        company: str,
        public_key: SecretStr,
        private_key: SecretStr,
        client_id: str,
        wire: Wire,
        *,
        retries: Retries = Retries(),  # noqa: B008  (frozen)
        concurrent: int = 5,
    ) -> None:
        self._company = company
        self._wire = wire
        self._retries = retries
        self._concurrent = max(concurrent, 1)
        self._lock = threading.Lock()
        user = f"{company}+{public_key.get_secret_value()}:{private_key.get_secret_value()}"
        self._anyone = {"clientId": client_id, "Accept": "application/json"}
        self._headers = self._anyone | {"Authorization": "Basic " + b64encode(user.encode()).decode()}
        self._url = url.rstrip("/")
        if "/apis/" not in self._url:
            self._url = self._discovered()

    @property
    def calls(self) -> int:
        """How many calls were made so far, retries included."""
        return self._wire.calls

    def invoices_changed_since(self, since: datetime, settled: bool = False) -> Pages:
        """Invoices with `lastUpdated` at or after `since` (whole seconds, UTC), in the order of their ids.

        `settled`: with how they are settled.
        """
        fields = fields_of(Invoice, Owed) if settled else fields_of(Invoice)
        return self._pages("/finance/invoices", f"lastUpdated>=[{_time(since)}]", fields)

    def invoices_dated_from(self, start: date, end: date | None = None, settled: bool = False) -> Pages:
        """Invoices whose business date is `start` or later (up to and including `end`): the first read of all.

        `settled`: with how they are settled.
        """
        fields = fields_of(Invoice, Owed) if settled else fields_of(Invoice)
        return self._pages("/finance/invoices", _dated("date", start, end), fields)

    def invoices_by_id(self, ids: Sequence[int]) -> list[Raw]:
        """The invoices with these ids; those that are gone (or hidden) are missing from the answer."""
        return self._by_ids("/finance/invoices", "id", ids, fields_of(Invoice))

    def owed_changed_since(self, since: datetime) -> Pages:
        """How invoices are settled that changed at or after `since` (whole seconds, UTC)."""
        return self._pages("/finance/invoices", f"lastUpdated>=[{_time(since)}]", fields_of(Owed))

    def owed_dated_from(self, start: date, end: date | None = None) -> Pages:
        """How invoices are settled whose business date is `start` or later (up to and including `end`)."""
        return self._pages("/finance/invoices", _dated("date", start, end), fields_of(Owed))

    def owed_open(self, start: date) -> Pages:
        """Invoices dated `start` or later of which something is due: a payment need not bump its invoice (4.5)."""
        return self._pages("/finance/invoices", f"balance!=0 and date>=[{start}T00:00:00Z]", fields_of(Owed))

    def owed_by_id(self, ids: Sequence[int]) -> list[Raw]:
        """How these invoices are settled; those that are gone (or hidden) are missing from the answer."""
        return self._by_ids("/finance/invoices", "id", ids, fields_of(Owed))

    def payments_of(self, invoice_ids: Sequence[int]) -> dict[int, list[Raw]]:
        """What each invoice was settled by: one call for each, several at once. There is no list across invoices."""
        return self._below("/finance/invoices/{}/payments", invoice_ids, PAYMENT_FIELDS)

    def invoice(self, invoice_id: int) -> Shown:
        """One invoice by its own address, whatever the lists show."""
        return self._shown("/finance/invoices", invoice_id, fields_of(Invoice))

    def invoices_with_rows_changed_since(self, since: datetime) -> set[int]:
        """The ids of invoices with time, expenses or products changed at or after `since`.

        A child may change without bumping its parent (connectwise.md, 4.4). One list each; of rows no more than where
        they belong.
        """
        condition = f"lastUpdated>=[{_time(since)}]"
        return {
            parent
            for path, _ in LINES
            for page in self._pages(path, condition, "id,invoice")
            for row in page.records
            if isinstance(parent := (row.get("invoice") or {}).get("id"), int)
        }

    def invoices_by_number(self, number: str) -> list[Raw]:
        """The invoices with this very number."""
        return self._by_number("/finance/invoices", "invoiceNumber", number, fields_of(Invoice))

    def invoice_rows(self, invoice_ids: Sequence[int]) -> Rows:
        """Time, expenses and products of many invoices: few calls, each paged, several at once."""
        jobs = [
            (place, path, chunk, fields_of(record))
            for place, (path, record) in enumerate(LINES)
            for chunk in self._chunks(path, "invoice/id", invoice_ids, fields_of(record))
        ]
        rows: list[dict[int, list[Raw]]] = [{}, {}, {}]
        with ThreadPoolExecutor(max_workers=self._concurrent) as pool:
            answers = pool.map(lambda job: self._all(job[1], _any_of("invoice/id", job[2]), job[3]), jobs)
            for job, found in zip(jobs, answers, strict=True):
                for row in found:
                    parent = (row.get("invoice") or {}).get("id")
                    if isinstance(parent, int):
                        rows[job[0]].setdefault(parent, []).append(row)
        return Rows(*rows)

    def purchase_orders_changed_since(self, since: datetime) -> Pages:
        """Purchase orders with `lastUpdated` at or after `since` (whole seconds, UTC), in the order of their ids.

        A received line need not bump its order (connectwise.md, 4.4): see `purchase_orders_open`.
        """
        return self._pages(PURCHASE_ORDERS, f"lastUpdated>=[{_time(since)}]", fields_of(PurchaseOrder))

    def purchase_orders_open(self) -> Pages:
        """Purchase orders that are not closed: their lines are read in each cycle (connectwise.md, 4.5)."""
        return self._pages(PURCHASE_ORDERS, "closedFlag=false", fields_of(PurchaseOrder))

    def purchase_orders_dated_from(self, start: date, end: date | None = None) -> Pages:
        """Purchase orders whose `poDate` is `start` or later (up to and including `end`): the first read of all."""
        return self._pages(PURCHASE_ORDERS, _dated("poDate", start, end), fields_of(PurchaseOrder))

    def purchase_orders_by_id(self, ids: Sequence[int]) -> list[Raw]:
        """The purchase orders with these ids; those that are gone (or hidden) are missing from the answer."""
        return self._by_ids(PURCHASE_ORDERS, "id", ids, fields_of(PurchaseOrder))

    def purchase_orders_by_number(self, number: str) -> list[Raw]:
        """The purchase orders with this very number."""
        return self._by_number(PURCHASE_ORDERS, "poNumber", number, fields_of(PurchaseOrder))

    def purchase_order(self, order_id: int) -> Shown:
        """One purchase order by its own address, whatever the lists show."""
        return self._shown(PURCHASE_ORDERS, order_id, fields_of(PurchaseOrder))

    def purchase_order_lines(self, order_ids: Sequence[int]) -> dict[int, list[Raw]]:
        """The lines of each order: one call for each, several at once. There is no list across orders (11).

        An order that was deleted since its header was read is missing from the answer.
        """
        path, fields = PURCHASE_ORDERS + "/{}/lineitems", fields_of(PurchaseOrderLine)

        def lines(number: int) -> list[Raw] | None:
            try:
                return self._all(path.format(number), "", fields)
            except NotThere:
                return None

        with ThreadPoolExecutor(max_workers=self._concurrent) as pool:
            found = zip(order_ids, pool.map(lines, order_ids), strict=True)
            return {number: each for number, each in found if each is not None}

    def sold_products(self, field: str, ids: Sequence[int], since: datetime | None = None) -> list[Raw]:
        """Sold products whose `field` (`id`, `salesOrder/id`, `catalogItem/id`) is one of these.

        `since`: no others than those that changed at or after it (UTC), as being invoiced changes them (inferred).
        """
        changed = f" and lastUpdated>=[{_time(since)}]" if since else ""
        fields = fields_of(SoldProduct)
        return [
            record
            for chunk in self._chunks(PRODUCTS, field, ids, fields, changed)
            for record in self._all(PRODUCTS, _any_of(field, chunk) + changed, fields)
        ]

    def sold_products_changed_since(self, since: datetime) -> Pages:
        """Sold products with `lastUpdated` at or after `since` (whole seconds, UTC), on an invoice or not."""
        return self._pages(PRODUCTS, f"lastUpdated>=[{_time(since)}]", fields_of(SoldProduct))

    def system_report_columns(self, name: str) -> list[str]:
        """The columns of a system report. Raises NotConfigured where there is none, or the role does not allow it."""
        path = f"{REPORTS}/{name}/columns"
        response, given = self._get(f"{self._url}{path}", self._headers)
        if response.status_code != 200:
            raise _refused(response, path, self._company)
        return _names(given)

    def system_report(self, name: str, columns: Sequence[str], field: str, ids: Sequence[int]) -> list[Raw]:
        """Rows of a system report by these columns, where its column `field` is one of `ids`.

        Raises NotConfigured where there is no such report, or the role does not allow it.
        """
        path, asked = f"{REPORTS}/{name}", ",".join(columns)
        rows: list[Raw] = []
        for chunk in self._chunks(path, field, ids, asked):
            condition, number, before = quote(_any_of(field, chunk), safe=""), 1, None
            while True:
                query = f"pageSize={PAGE_SIZE}&conditions={condition}&columns={quote(asked, safe=',')}&page={number}"
                response, given = self._get(f"{self._url}{path}?{query}", self._headers)
                if response.status_code != 200:
                    raise _refused(response, path, self._company)
                values = given.get("row_values") if isinstance(given, dict) else None
                if not isinstance(values, list):
                    raise Unreachable(f"ConnectWise answered {path} with something that is no report.")
                names = _names(given.get("column_definitions"))
                # The whole of it again: pages are not for this report.
                page = [dict(zip(names, row, strict=False)) for row in values if isinstance(row, list)]
                if page != before:
                    rows += page
                if len(values) < PAGE_SIZE or page == before:
                    break
                number, before = number + 1, page
        return rows

    def purchase_order_statuses(self) -> list[Raw]:
        """All statuses of purchase orders: which of them are closed, and which one means that all is done (11.2)."""
        return self._all("/procurement/purchaseorderstatuses", "", fields_of(PurchaseOrderStatus))

    def billing_terms(self) -> list[Raw]:
        """All terms of payment."""
        return self._all("/finance/billingTerms", "", fields_of(BillingTerm))

    def tax_codes(self) -> list[Raw]:
        """All tax codes, with the flags that say what each level taxes."""
        return self._all("/finance/taxCodes", "", TAX_CODE_FIELDS)

    def related(self, record: type[ConnectWiseRecord], ids: Sequence[int]) -> list[Raw]:
        """The records of one of the lists that invoices point into, by id; what is gone is left out."""
        return self._by_ids(RELATED[record], "id", ids, fields_of(record))

    def _below(self, path: str, ids: Sequence[int], fields: str) -> dict[int, list[Raw]]:
        """What lies below each of some records; `{}` in the path is for the id."""
        with ThreadPoolExecutor(max_workers=self._concurrent) as pool:
            found = pool.map(lambda number: self._all(path.format(number), "", fields), ids)
            return dict(zip(ids, found, strict=True))

    def _shown(self, path: str, record_id: int, fields: str) -> Shown:
        address = f"{path}/{record_id}?fields={quote(fields, safe=',/')}"
        response, given = self._get(self._url + address, self._headers)
        if response.status_code == 200:
            return Shown(given if isinstance(given, dict) and _id(given) == record_id else None, False)
        return Shown(None, response.status_code == 404 and _says_not_found(response))

    def _by_number(self, path: str, field: str, number: str, fields: str) -> list[Raw]:
        """The records with this very number in a field.

        Quotes and brackets cannot be escaped for certain in a condition (connectwise.md, 4.2): a number with one is
        looked for by its longest part without, and compared here.
        """
        number = number.strip()
        part = max(re.split(r'["\\\[\]]', number), key=len)
        if not part.strip():
            return []
        condition = f'{field}="{number}"' if part == number else f'{field} contains "{part}"'
        found = self._all(path, condition, fields)
        return [each for each in found if str(each.get(field) or "").strip().casefold() == number.casefold()]

    def _by_ids(self, path: str, field: str, ids: Sequence[int], fields: str) -> list[Raw]:
        return [
            record
            for chunk in self._chunks(path, field, ids, fields)
            for record in self._all(path, _any_of(field, chunk), fields)
        ]

    def _chunks(
        self, path: str, field: str, ids: Sequence[int], fields: str, besides: str = ""
    ) -> Iterable[Sequence[int]]:
        """Split ids, each once, so that no address gets too long; `besides` is what else stands in the condition."""
        room = LONGEST_URL - len(f"{self._url}{path}?{_query(f'{field} in (){besides}', fields, 10**9, False)}")
        chunk: list[int] = []
        length = 0
        for number in dict.fromkeys(ids):
            size = len(str(number)) + len("%2C")
            if chunk and length + size > room:
                yield chunk
                chunk, length = [], 0
            chunk.append(number)
            length += size
        if chunk:
            yield chunk

    def _all(self, path: str, conditions: str, fields: str) -> list[Raw]:
        return [record for page in self._pages(path, conditions, fields) for record in page.records]

    def _pages(self, path: str, conditions: str, fields: str) -> Pages:
        return Pages(lambda after, by_id: self._page(path, _query(conditions, fields, after, by_id), by_id))

    def _page(self, path: str, query: str, by_id: bool) -> Page:
        headers = self._headers if by_id else self._headers | {"pagination-type": "forward-only"}
        base = self._url
        response, given = self._get(f"{base}{path}?{query}", headers)
        if response.status_code == 404 and (renewed := self._renewed(base)) != base:
            response, given = self._get(f"{renewed}{path}?{query}", headers)
        if response.status_code == 400 and not by_id and "forward" in _message(response).lower():
            raise NotForwardOnly
        if response.status_code == 404 and _says_not_found(response):
            raise NotThere(str(_refused(response, path, self._company)))
        if response.status_code != 200:
            raise _refused(response, path, self._company)
        if not isinstance(given, list):
            raise Unreachable(f"ConnectWise answered {path} with something that is not a list of records.")
        # What is no record counts as one that cannot be read, not as a shorter page.
        return Page(
            [record if isinstance(record, dict) else {} for record in given],
            http_date(response.headers.get("Date", "")),
        )

    def _renewed(self, base: str) -> str:
        """The address of the API after a 404: a cloud upgrade moves it. However many threads ask, one looks."""
        with self._lock:
            if self._url == base:
                self._url = self._discovered()
            return self._url

    def _discovered(self) -> str:
        """Ask which codebase the tenant is on: without credentials, at the address that people use."""
        parts = urlsplit(self._url)
        seen = f"{parts.scheme}://{parts.netloc.removeprefix('api-')}"
        response, found = self._get(f"{seen}/login/companyinfo/{quote(self._company, safe='')}", self._anyone)
        if not isinstance(found, dict) or not found.get("Codebase"):
            raise NotConfigured(
                f"ConnectWise at {parts.netloc} does not know the company {self._company!r} "
                f"({_told(response) if response.status_code != 200 else 'no such company'}); check [connectwise] url "
                "and company."
            )
        return f"{parts.scheme}://{parts.netloc}/{str(found['Codebase']).strip('/')}/apis/3.0"

    def _get(self, address: str, headers: dict[str, str]) -> tuple[httpx.Response, Any]:
        """An answer and, when it is a success, its JSON."""
        return self._retries.run(lambda: self._once(address, headers))

    def _once(self, address: str, headers: dict[str, str]) -> tuple[httpx.Response, Any]:
        host, path = urlsplit(address).netloc, urlsplit(address).path
        try:
            response = self._wire.send("GET", address, headers=headers)
        except LimitReached as limit:
            raise Unreachable(f"{limit}; the next cycle goes on.") from limit
        except NoAnswer as error:
            raise TryAgain(
                f"ConnectWise at {host} does not answer ({error}); check [connectwise] url and the network. The next "
                "cycle tries again."
            ) from error
        wait = retry_after(response)
        if response.status_code == 429:
            if wait is not None:
                self._wire.pause("", wait, "limit of calls")
            raise TryAgain("ConnectWise refuses more calls for now (429); the next cycle goes on.", wait)
        if response.status_code >= 500:
            raise TryAgain(
                f"ConnectWise at {host} answers with an error of its own ({_told(response)}); the next cycle tries "
                "again.",
                wait,
            )
        if response.status_code != 200:
            return response, None
        try:
            return response, read_json(response.content)
        except (ValueError, RecursionError) as error:
            # A gateway's page, or an answer cut short: another attempt may get the real one.
            raise TryAgain(_not_json(response, host, path)) from error


def _id(record: Raw) -> int | None:
    found = record.get("id")
    return found if isinstance(found, int) else None


def _names(definitions: Any) -> list[str]:
    """The names of a report's columns, in their order: the keys of the objects that define them (spec)."""
    return [str(name) for each in definitions or () if isinstance(each, dict) for name in each]


def _says_not_found(response: httpx.Response) -> bool:
    """Whether it is ConnectWise itself that knows no such record: wrong keys give a 404 too, as text or a page."""
    try:
        given = json.loads(response.content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(given, dict):
        return False
    return "notfound" in f"{given.get('code')} {given.get('message')}".casefold().replace(" ", "")


def _query(conditions: str, fields: str, after: int | None, by_id: bool) -> str:
    """The query of one page: the next one by its page id, or, in order of ids, by a condition."""
    if by_id and after is not None:
        conditions = f"({conditions}) and id>{after}" if conditions else f"id>{after}"
    query = f"pageSize={PAGE_SIZE}"
    if conditions:
        query += f"&conditions={quote(conditions, safe='')}"
    query += f"&fields={quote(fields, safe=',/')}"
    if by_id:
        return f"{query}&orderBy=id%20asc"
    return query if after is None else f"{query}&pageId={after}"


def _any_of(field: str, ids: Sequence[int]) -> str:
    return f"{field} in ({','.join(map(str, ids))})"


def _dated(field: str, start: date, end: date | None) -> str:
    # ConnectWise writes a business date as midnight; one that has a time of day belongs to its day all the same.
    until = f" and {field}<[{end + timedelta(days=1)}T00:00:00Z]" if end else ""
    return f"{field}>=[{start}T00:00:00Z]{until}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _message(response: httpx.Response) -> str:
    """ConnectWise's own words on one line; '' for a web page."""
    try:
        given = json.loads(response.content)
    except (ValueError, RecursionError):
        given = response.text
    if isinstance(given, dict):
        errors = given.get("errors")
        details = [each.get("message") for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
        given = ": ".join(str(text) for text in [given.get("message") or given.get("code"), *details] if text)
    text = " ".join(str(given or "").split())
    return "" if text.startswith("<") else text[:300]


def _told(response: httpx.Response) -> str:
    return f"{response.status_code} {_message(response)}".rstrip()


def _not_json(response: httpx.Response, host: str, path: str) -> str:
    if response.text.lstrip("\ufeff \t\r\n")[:1] == "<":
        return (
            f"ConnectWise at {host} answered {path} with a web page instead of data; check that [connectwise] url is "
            "the address of the API (it begins with api-), or try again after its maintenance."
        )
    return f"The answer of ConnectWise at {host} to {path} is cut short or no JSON; the next cycle tries again."


def _refused(response: httpx.Response, path: str, company: str) -> Exception:
    status, told = response.status_code, _told(response)
    if elsewhere := redirected_to(response):
        return NotConfigured(
            f"ConnectWise sends us on to {elsewhere} instead of answering {path} ({status}); check that [connectwise] "
            "url is the address of the API (it begins with api-)."
        )
    if "cannot route" in told.lower():
        return NotConfigured(
            f"ConnectWise cannot route the call ({told}); check [connectwise] url, company and client_id."
        )
    if "ssl is required" in told.lower():
        return NotConfigured(
            f"ConnectWise wants the address of its API ({told}); [connectwise] url must begin with https://api-."
        )
    if status == 401:
        return NotConfigured(
            f"ConnectWise refuses the keys of company {company!r} ({told}); check [connectwise] public_key, "
            "private_key, company and client_id."
        )
    if status == 403:
        return NotConfigured(
            f"The ConnectWise API member may not read {path} ({told}); give its role Inquire All there."
        )
    if status == 404:
        return NotConfigured(
            f"ConnectWise does not know {path} ({told}); wrong keys and a wrong company answer like this too: check "
            "[connectwise] url, company and keys."
        )
    return Unreachable(
        f"ConnectWise refused {path} ({told}); the next cycle tries again. If it goes on, `tieout audit` shows the "
        "call."
    )
