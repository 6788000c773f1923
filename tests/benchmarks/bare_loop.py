"""The competitor: the same invoices with asyncio, httpx and a safe outbox in SQLite, and nothing else.

It asks ConnectWise the same questions, maps the same fields without floats, and stores each batch with a key of its
own before it is sent, so that it, too, survives a kill at any place: what is unsettled is sent again under the same
key while the key lasts, and is looked up by number after that. It has no holds, no history, no tables, no leases and
no limits; it stops at the first thing that it does not expect. This is the floor that a product is measured against.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import simplejson

Record = dict[str, Any]

CENT = Decimal("0.01")
TAX = Decimal("0.10")
AT_ONCE = 5
BATCH = 50
PAGE = 1000
LONGEST_URL = 1900
OVERLAP = timedelta(minutes=10)
KEY_LASTS = 300.0
ROWS = {"time": "/time/entries", "expenses": "/expense/entries", "products": "/procurement/products"}
LINK = "/v4_6_release/services/system_io/router/openrecord.rails?recordType=InvoiceFV&recid={}&companyName={}"

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, tenant TEXT NOT NULL, body BLOB NOT NULL, stored REAL NOT NULL,
    settled REAL);
CREATE TABLE IF NOT EXISTS rows (
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL REFERENCES requests, record INTEGER NOT NULL,
    number TEXT NOT NULL, total TEXT NOT NULL, digest TEXT NOT NULL, settled REAL, xero_id TEXT, error TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS rows_unsettled ON rows (record) WHERE settled IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS rows_bound ON rows (record) WHERE xero_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_of_request ON rows (request);
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), read_up_to TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Setup:
    """Where both systems are, how to log in, and where the outbox is. `fields` names what is asked of each list."""

    connectwise: str
    company: str
    user: str
    password: str
    client_id: str
    xero: str
    xero_client: str
    xero_secret: str
    refresh_token: str
    organisations: dict[str, str]
    start_date: str
    fields: dict[str, str]
    outbox: str


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice on its way: what it was made from, and the body to send."""

    record: int
    number: str
    total: Decimal
    digest: str
    body: Record


async def run(setup: Setup) -> dict[str, int]:
    """One cycle; gives how many invoices were read, posted, unchanged and refused."""
    outbox = Outbox(setup.outbox)
    limits = httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=2 * AT_ONCE)
    try:
        async with httpx.AsyncClient(timeout=30, limits=limits) as http:
            return await Loop(setup, outbox, http).cycle()
    finally:
        outbox.close()


class Loop:
    """One cycle: while one page is written to Xero, the next is read."""

    def __init__(self, setup: Setup, outbox: Outbox, http: httpx.AsyncClient) -> None:
        self._setup = setup
        self._outbox = outbox
        self._connectwise = ConnectWise(setup, http)
        self._xero = Xero(setup, http)
        self._contacts: dict[str, dict[str, str]] = {}
        self._counts = {"read": 0, "posted": 0, "unchanged": 0, "refused": 0}

    async def cycle(self) -> dict[str, int]:
        """Settle what is open, read what changed, write it, move the position."""
        await self._settle_earlier()
        since = self._outbox.position()
        condition = f"lastUpdated>=[{since}]" if since else f"date>=[{self._setup.start_date}T00:00:00Z]"
        newest = ""
        reading = asyncio.create_task(self._read(condition, None))
        while True:
            headers, documents = await reading
            newest = max([newest, *(header["_info"]["lastUpdated"] for header in headers)])
            more = len(headers) == PAGE
            if more:
                reading = asyncio.create_task(self._read(condition, headers[-1]["id"]))
            await self._write(documents)
            if not more:
                break
        if newest:
            self._outbox.move(f"{datetime.fromisoformat(newest).astimezone(UTC) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}")
        return self._counts

    async def _read(self, condition: str, after: int | None) -> tuple[list[Record], list[tuple[str, Document]]]:
        """One page of headers, and the documents of those that are closed and not known as they stand."""
        headers = await self._connectwise.page("/finance/invoices", condition, self._setup.fields["headers"], after)
        self._counts["read"] += len(headers)
        digests = {
            header["id"]: hashlib.blake2b(repr(header).encode(), digest_size=16).hexdigest() for header in headers
        }
        known = self._outbox.known(list(digests))
        todo = [
            header
            for header in headers
            if known.get(header["id"]) != digests[header["id"]] and header["status"]["isClosed"] and header["total"] > 0
        ]
        self._counts["unchanged"] += len(headers) - len(todo)
        if not todo:
            return headers, []
        rows = await self._connectwise.rows([header["id"] for header in todo])
        documents = []
        for header in todo:
            tenant = self._setup.organisations[f"Bulk {header['location']['name']}"]
            contact = (await self._contacts_of(tenant))[header["accountNumber"]]
            link = f"{self._connectwise.site}{LINK.format(header['id'], self._setup.company)}"
            documents.append((tenant, document_of(header, rows[header["id"]], contact, link, digests[header["id"]])))
        return headers, documents

    async def _contacts_of(self, tenant: str) -> dict[str, str]:
        if tenant not in self._contacts:
            self._contacts[tenant] = await self._xero.contacts(tenant)
        return self._contacts[tenant]

    async def _write(self, documents: list[tuple[str, Document]]) -> None:
        by_tenant: dict[str, list[Document]] = {}
        for tenant, document in documents:
            by_tenant.setdefault(tenant, []).append(document)
        await asyncio.gather(
            *(self._send(tenant, batch) for tenant, group in by_tenant.items() for batch in _chunks(group, BATCH))
        )

    async def _send(self, tenant: str, batch: list[Document]) -> None:
        async with self._xero.slots:
            body = dumps({"Invoices": [document.body for document in batch]})
            request, key = self._outbox.store(tenant, body, batch)
            self._settle(request, await self._xero.put_invoices(tenant, key, body))

    def _settle(self, request: int, answered: list[Record]) -> None:
        posted, refused = self._outbox.settle(request, answered)
        self._counts["posted"] += posted
        self._counts["refused"] += refused

    async def _settle_earlier(self) -> None:
        for request, key, tenant, body, stored in self._outbox.unsettled():
            if time.time() - stored < KEY_LASTS:
                self._settle(request, await self._xero.put_invoices(tenant, key, body))
            else:
                self._settle(request, await self._xero.find_invoices(tenant, self._outbox.numbers(request)))
                self._outbox.give_up(request)


class ConnectWise:
    """Reads pages and rows, several at once."""

    def __init__(self, setup: Setup, http: httpx.AsyncClient) -> None:
        self._setup = setup
        self._http = http
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.site = setup.connectwise.partition("/v4_6_release")[0]
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{setup.user}:{setup.password}".encode()).decode(),
            "clientId": setup.client_id,
            "Accept": "application/json",
            "pagination-type": "forward-only",
        }

    async def page(self, path: str, condition: str, fields: str, after: int | None) -> list[Record]:
        """One page, numbers as Decimal."""
        address = self._address(path, condition, fields) + (f"&pageId={after}" if after is not None else "")
        async with self._slots:
            response = await self._http.get(address, headers=self._headers)
        response.raise_for_status()
        found: list[Record] = json.loads(response.content, parse_float=Decimal)
        return found

    async def rows(self, ids: list[int]) -> dict[int, dict[str, list[Record]]]:
        """The rows of all invoices, by invoice and kind."""
        found: dict[int, dict[str, list[Record]]] = {number: {kind: [] for kind in ROWS} for number in ids}

        async def read(kind: str, some: list[int]) -> None:
            condition, fields = f"invoice/id in ({','.join(map(str, some))})", self._setup.fields[kind]
            after: int | None = None
            while True:
                rows = await self.page(ROWS[kind], condition, fields, after)
                for row in rows:
                    found[row["invoice"]["id"]][kind].append(row)
                if len(rows) < PAGE:
                    return
                after = rows[-1]["id"]

        await asyncio.gather(*(read(kind, some) for kind in ROWS for some in self._pieces(kind, ids)))
        return found

    def _pieces(self, kind: str, ids: list[int]) -> Iterator[list[int]]:
        room = LONGEST_URL - len(self._address(ROWS[kind], "invoice/id in ()", self._setup.fields[kind])) - 20
        return _chunks(ids, room // max(len(f"{number}%2C") for number in ids))

    def _address(self, path: str, condition: str, fields: str) -> str:
        url = f"{self._setup.connectwise}{path}?pageSize={PAGE}"
        return f"{url}&conditions={quote(condition, safe='')}&fields={quote(fields, safe=',/')}"


class Xero:
    """Writes batches; knows one token."""

    def __init__(self, setup: Setup, http: httpx.AsyncClient) -> None:
        self._setup = setup
        self._http = http
        self._token = ""
        self._lock = asyncio.Lock()
        self.slots = asyncio.Semaphore(AT_ONCE)

    async def contacts(self, tenant: str) -> dict[str, str]:
        """Contact ids by account number."""
        found: dict[str, str] = {}
        number = 1
        while True:
            query = f"includeArchived=true&page={number}&pageSize={PAGE}"
            contacts = (await self._call("GET", tenant, f"Contacts?{query}"))["Contacts"]
            found |= {one["AccountNumber"]: one["ContactID"] for one in contacts if one.get("AccountNumber")}
            if len(contacts) < PAGE:
                return found
            number += 1

    async def put_invoices(self, tenant: str, key: str, body: bytes) -> list[Record]:
        """The elements of the answer to a stored request."""
        answer = await self._call("PUT", tenant, "Invoices?summarizeErrors=false&unitdp=4", body, key)
        return list(answer["Invoices"])

    async def find_invoices(self, tenant: str, numbers: list[str]) -> list[Record]:
        """What is there of these numbers."""
        query = f"InvoiceNumbers={quote(','.join(numbers), safe='')}&page=1&pageSize=100"
        return list((await self._call("GET", tenant, f"Invoices?{query}"))["Invoices"])

    async def _call(self, method: str, tenant: str, path: str, body: bytes = b"", key: str = "") -> Record:
        headers = {
            "Authorization": f"Bearer {await self._access()}",
            "Xero-tenant-id": tenant,
            "Accept": "application/json",
        }
        if body:
            headers |= {"Idempotency-Key": key, "Content-Type": "application/json"}
        url = f"{self._setup.xero}/api.xro/2.0/{path}"
        response = await self._http.request(method, url, headers=headers, content=body or None)
        response.raise_for_status()
        answer: Record = json.loads(response.content, parse_float=Decimal)
        return answer

    async def _access(self) -> str:
        async with self._lock:
            if not self._token:
                form = {"grant_type": "refresh_token", "refresh_token": self._setup.refresh_token}
                login = httpx.BasicAuth(self._setup.xero_client, self._setup.xero_secret)
                response = await self._http.post(f"{self._setup.xero}/connect/token", data=form, auth=login)
                response.raise_for_status()
                self._token = response.json()["access_token"]
        return self._token


class Outbox:
    """Requests and their rows, on disk before anything is sent."""

    def __init__(self, path: str) -> None:
        # dlt's threads take turns at it.
        self._db = sqlite3.connect(Path(path), isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def store(self, tenant: str, body: bytes, batch: list[Document]) -> tuple[int, str]:
        """Store a request with its rows; a record that is in an unsettled request breaks a unique index."""
        key = uuid4().hex
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            request = self._db.execute(
                "INSERT INTO requests (key, tenant, body, stored) VALUES (?, ?, ?, ?)", (key, tenant, body, time.time())
            ).lastrowid
            assert request is not None
            self._db.executemany(
                "INSERT INTO rows (request, record, number, total, digest) VALUES (?, ?, ?, ?, ?)",
                [(request, one.record, one.number, str(one.total), one.digest) for one in batch],
            )
        return request, key

    def settle(self, request: int, answered: list[Record]) -> tuple[int, int]:
        """Bind what was accepted and note what was refused, matched by number, in one transaction."""
        totals = dict(self._db.execute("SELECT number, total FROM rows WHERE request = ?", (request,)).fetchall())
        found = []
        for one in answered:
            errors = "; ".join(error["Message"] for error in one.get("ValidationErrors") or ())
            if not errors and Decimal(one["Total"]) != Decimal(totals[one["InvoiceNumber"]]):
                errors = f"Xero made it {one['Total']}"
            accepted = one["InvoiceID"] if one["InvoiceID"].strip("0-") else None
            found.append((time.time(), accepted, errors or None, request, one["InvoiceNumber"]))
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany(
                "UPDATE rows SET settled = ?, xero_id = ?, error = ? WHERE request = ? AND number = ?", found
            )
            self._db.execute(
                "UPDATE requests SET settled = ? WHERE id = ? AND NOT EXISTS "
                "(SELECT 1 FROM rows WHERE request = requests.id AND settled IS NULL)",
                (time.time(), request),
            )
        refused = sum(error is not None for _, _, error, _, _ in found)
        return len(found) - refused, refused

    def unsettled(self) -> list[tuple[int, str, str, bytes, float]]:
        """Requests whose answer was never taken in."""
        return self._db.execute("SELECT id, key, tenant, body, stored FROM requests WHERE settled IS NULL").fetchall()

    def numbers(self, request: int) -> list[str]:
        """The numbers of a request's unsettled rows."""
        found = self._db.execute("SELECT number FROM rows WHERE request = ? AND settled IS NULL", (request,))
        return [number for (number,) in found]

    def give_up(self, request: int) -> None:
        """What was looked up and is not there is free to be sent anew."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.execute("DELETE FROM rows WHERE request = ? AND settled IS NULL", (request,))
            self._db.execute("UPDATE requests SET settled = ? WHERE id = ?", (time.time(), request))

    def known(self, records: list[int]) -> dict[int, str]:
        """The digests of those records that are in Xero."""
        found: dict[int, str] = {}
        for some in _chunks(records, 500):
            marks = ",".join("?" * len(some))
            query = f"SELECT record, digest FROM rows WHERE xero_id IS NOT NULL AND record IN ({marks})"
            found |= dict(self._db.execute(query, some).fetchall())
        return found

    def position(self) -> str:
        """Read everything changed since this time; '' at first."""
        row = self._db.execute("SELECT read_up_to FROM position").fetchone()
        return row[0] if row else ""

    def move(self, to: str) -> None:
        """Move the position."""
        self._db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (to,))


def document_of(header: Record, rows: dict[str, list[Record]], contact: str, link: str, digest: str) -> Document:
    """The Xero invoice of a ConnectWise invoice; its total is the header's to the cent, or it raises."""
    taxable = bool(header["taxableFlag"])
    lines = [
        *(
            _line(row["notes"], row["invoiceHours"], row["hourlyRate"], row["extendedInvoiceAmount"], "201", taxable)
            for row in rows["time"]
        ),
        *(_line(row["notes"], 1, amount := row["invoiceAmount"], amount, "260", taxable) for row in rows["expenses"]),
        *(
            _line(
                row.get("customerDescription") or row["description"], row["quantity"], row["price"], row["extPrice"],
                "202", taxable and row["taxableFlag"],
            )
            for row in rows["products"]
        ),
    ]  # fmt: skip
    taxes = [cents(amount * TAX) if line["TaxType"] == "OUTPUT" else Decimal(0) for line, amount in lines]
    missing = int((header["salesTax"] - sum(taxes)) * 100)
    taxed = [place for place, (line, _) in enumerate(lines) if line["TaxType"] == "OUTPUT"]
    for place in sorted(taxed, key=lambda at: -lines[at][1])[: abs(missing)]:
        taxes[place] += CENT if missing > 0 else -CENT
        lines[place][0]["TaxAmount"] = taxes[place]
    total = sum((amount for _, amount in lines), Decimal(0)) + sum(taxes)
    if total != header["total"]:
        raise ValueError(f"{header['invoiceNumber']}: the rows make {total}, the header says {header['total']}")
    body = {
        "Type": "ACCREC",
        "InvoiceNumber": header["invoiceNumber"],
        "Contact": {"ContactID": contact},
        "Date": header["date"][:10],
        "DueDate": header["dueDate"][:10],
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": header["currency"]["currencyCode"],
        "Reference": header.get("customerPO") or "",
        "Url": link,
        "Status": "DRAFT",
        "LineItems": [line for line, _ in lines],
    }
    return Document(header["id"], header["invoiceNumber"], total, digest, body)


def _line(text: str, quantity: Any, price: Any, amount: Any, account: str, taxable: bool) -> tuple[Record, Decimal]:
    if cents(Decimal(quantity) * price) != cents(Decimal(amount)):
        text, quantity, price = f"{text} ({quantity} x {price})", 1, amount
    line = {
        "Description": text,
        "Quantity": quantity,
        "UnitAmount": price,
        "AccountCode": account,
        "TaxType": "OUTPUT" if taxable else "EXEMPTOUTPUT",
    }
    return line, cents(Decimal(amount))


def cents(amount: Decimal) -> Decimal:
    """To two places, halves up."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def dumps(value: Any) -> bytes:
    """JSON with every Decimal digit for digit."""
    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":")).encode()


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
