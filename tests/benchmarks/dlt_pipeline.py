"""Another competitor: the same invoices with dlt, a REST source and a custom destination, as its guides show them.

It asks ConnectWise the same questions with dlt's REST client, makes the same documents as the bare loop and writes
them to Xero fifty at a time, each call under a key of its own; where it stopped is dlt's own state. dlt itself keeps
nothing of what it writes, so the destination has the bare loop's outbox, the cheapest there is: each request and its
records before it is sent, and which document each became. It keeps no answers and no outcomes, and settles nothing
after a kill. It runs in a Python of its own, in which dlt is installed and tieout is not (`--dlt`).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dlt
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth
from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator

from tests.benchmarks.bare_loop import (
    AT_ONCE,
    BATCH,
    LINK,
    LONGEST_URL,
    PAGE,
    ROWS,
    Document,
    Outbox,
    Setup,
    document_of,
    dumps,
)

Record = dict[str, Any]


def run(setup: Setup, folder: Path) -> dict[str, int]:
    """One run of the pipeline; gives how many invoices were posted."""
    os.environ.update(
        RUNTIME__DLTHUB_TELEMETRY="false",
        RUNTIME__LOG_LEVEL="ERROR",
        RUNTIME__REQUEST_MAX_ATTEMPTS="2",
        LOAD__WORKERS=str(AT_ONCE),
        # A load file is one job: several of them, so that as many calls are under way as Xero takes at once.
        NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS=str(4 * BATCH),
    )
    xero = Xero(setup)
    posted: list[int] = []

    @dlt.destination(batch_size=BATCH, name="xero", max_parallel_load_jobs=AT_ONCE)  # type: ignore[untyped-decorator]
    def to_xero(items: list[Record], table: Record) -> None:
        del table
        xero.put_invoices(items)
        posted.append(len(items))

    pipeline = dlt.pipeline("bench", destination=to_xero, dataset_name="xero", pipelines_dir=str(folder / "dlt"))
    pipeline.run(connectwise(setup, xero))
    return {"posted": sum(posted)}


@dlt.source(name="connectwise", max_table_nesting=0)  # type: ignore[untyped-decorator]
def connectwise(setup: Setup, xero: Xero) -> Any:
    """Documents of the invoices that changed since the last run, in a table for each organisation."""
    client = Client(setup.connectwise, auth=HttpBasicAuth(setup.user, setup.password), headers=_headers(setup))

    @dlt.resource(selected=False)  # type: ignore[untyped-decorator]
    def headers(changed: Any = dlt.sources.incremental("_info.lastUpdated")) -> Iterator[list[Record]]:  # noqa: B008
        since = changed.start_value
        condition = f"lastUpdated>=[{since}]" if since else f"date>=[{setup.start_date}T00:00:00Z]"
        yield from client.pages("/finance/invoices", condition, setup.fields["headers"])

    @dlt.transformer(data_from=headers, max_table_nesting=0)  # type: ignore[untyped-decorator]
    def documents(page: list[Record]) -> Iterator[Any]:
        todo = [header for header in page if header["status"]["isClosed"] and header["total"] > 0]
        if not todo:
            return
        rows = client.rows([header["id"] for header in todo], setup.fields)
        made: dict[str, list[Record]] = {}
        for header in todo:
            tenant = setup.organisations[f"Bulk {header['location']['name']}"]
            contact = xero.contacts(tenant)[header["accountNumber"]]
            link = f"{client.site}{LINK.format(header['id'], setup.company)}"
            digest = hashlib.blake2b(repr(header).encode(), digest_size=16).hexdigest()
            document = document_of(header, rows[header["id"]], contact, link, digest)
            item = {
                "tenant": tenant, "record": document.record, "total": document.total, "digest": digest,
                "body": document.body,
            }  # fmt: skip
            made.setdefault(header["location"]["name"].lower(), []).append(item)
        for table, items in made.items():
            yield dlt.mark.with_table_name(items, table)

    return headers, documents


class ShortPageIsLast(HeaderLinkPaginator):  # type: ignore[misc]  # where types are checked, dlt is not installed
    """ConnectWise names a next page after the last one, too."""

    def update_state(self, response: Any, data: list[Record] | None = None) -> None:
        """Go on only after a full page."""
        super().update_state(response, data)
        if len(data or ()) < PAGE:
            self._next_reference = None


class Client(RESTClient):  # type: ignore[misc]
    """dlt's client, with numbers as Decimal: its own would read money as floats."""

    def extract_response(self, response: Any, _selector: Any) -> Any:
        """A page."""
        return json.loads(response.content, parse_float=Decimal)

    @property
    def site(self) -> str:
        """Where people see records."""
        return str(self.base_url).partition("/v4_6_release")[0]

    def pages(self, path: str, condition: str, fields: str) -> Iterator[list[Record]]:
        """All pages of a list."""
        query = f"pageSize={PAGE}&conditions={quote(condition, safe='')}&fields={quote(fields, safe=',/')}"
        for page in self.paginate(f"{path}?{query}", paginator=ShortPageIsLast(), data_selector="$"):
            yield list(page)

    def rows(self, ids: list[int], fields: dict[str, str]) -> dict[int, dict[str, list[Record]]]:
        """The rows of all invoices, by invoice and kind."""
        found: dict[int, dict[str, list[Record]]] = {number: {kind: [] for kind in ROWS} for number in ids}
        for kind, path in ROWS.items():
            room = LONGEST_URL - len(f"{self.base_url}{path}{quote(fields[kind], safe=',/')}") - 100
            size = room // max(len(f"{number}%2C") for number in ids)
            for start in range(0, len(ids), size):
                condition = f"invoice/id in ({','.join(map(str, ids[start : start + size]))})"
                for page in self.pages(path, condition, fields[kind]):
                    for row in page:
                        found[row["invoice"]["id"]][kind].append(row)
        return found


class Xero:
    """Writes batches, each stored before it is sent; knows one token."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._outbox = Outbox(setup.outbox)
        self._turn = threading.Lock()
        self._contacts: dict[str, dict[str, str]] = {}
        self._token = ""

    def contacts(self, tenant: str) -> dict[str, str]:
        """Contact ids by account number; a page is enough for the bulk's."""
        if tenant not in self._contacts:
            found = self._call("GET", tenant, f"Contacts?includeArchived=true&page=1&pageSize={PAGE}")["Contacts"]
            assert len(found) < PAGE
            self._contacts[tenant] = {one["AccountNumber"]: one["ContactID"] for one in found}
        return self._contacts[tenant]

    def put_invoices(self, items: list[Record]) -> None:
        """Write a batch; raises when Xero refuses one, or makes another total of it."""
        tenant, body = items[0]["tenant"], dumps({"Invoices": [item["body"] for item in items]})
        batch = [
            Document(one["record"], one["body"]["InvoiceNumber"], Decimal(one["total"]), one["digest"], one["body"])
            for one in items
        ]
        with self._turn:
            request, key = self._outbox.store(tenant, body, batch)
        path = "Invoices?summarizeErrors=false&unitdp=4"
        answered = self._call("PUT", tenant, path, body, {"Idempotency-Key": key})["Invoices"]
        with self._turn:
            posted, refused = self._outbox.settle(request, answered)
        if posted != len(items):
            raise ValueError(f"Xero did not take {refused} of {len(items)} invoices as they are")

    def _call(
        self, method: str, tenant: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Record:
        sent = {"Authorization": f"Bearer {self._access()}", "Xero-tenant-id": tenant, "Accept": "application/json"}
        if body:
            sent |= {"Content-Type": "application/json"}
        url = f"{self._setup.xero}/api.xro/2.0/{path}"
        response = requests.request(method, url, headers=sent | (headers or {}), data=body or None)
        response.raise_for_status()
        answer: Record = json.loads(response.content, parse_float=Decimal)
        return answer

    def _access(self) -> str:
        if not self._token:
            form = {"grant_type": "refresh_token", "refresh_token": self._setup.refresh_token}
            login = (self._setup.xero_client, self._setup.xero_secret)
            response = requests.post(f"{self._setup.xero}/connect/token", data=form, auth=login)
            response.raise_for_status()
            self._token = response.json()["access_token"]
        return self._token


def _headers(setup: Setup) -> dict[str, str]:
    return {"clientId": setup.client_id, "Accept": "application/json", "pagination-type": "forward-only"}
