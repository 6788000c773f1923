"""The HTTP side of the simulated ConnectWise: addresses, credentials, limits, paging, errors and the record page.

It reads the tables of a `SimulatedConnectWise` and never changes them.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from deployments.sandbox import connectwise_reports as reports
from deployments.sandbox.connectwise_fields import RESOURCES, Resource
from deployments.sandbox.connectwise_query import BadQuery, Conditions, Fields, Record, order, project
from deployments.sandbox.connectwise_store import Table, encode
from deployments.sandbox.wire import Request, Response

if TYPE_CHECKING:
    from deployments.sandbox.connectwise import SimulatedConnectWise

CONSTANT_CODEBASE = "v4_6_release/"
MODEL_VERSION = "2025.8"
DEFAULT_PAGE, LARGEST_PAGE = 25, 1000
LONGEST_URL = 2000

_JSON = f"application/vnd.connectwise.com+json; version={MODEL_VERSION}; charset=utf-8"
_API = re.compile(r"/([^/]+/)apis/3\.0(/.*)", re.IGNORECASE)
_COMPANY_INFO = re.compile(r"/login/companyinfo/([^/]*)", re.IGNORECASE)
_RECORD_PAGE = re.compile(r"/[^/]+/services/system_io/router/openrecord\.rails", re.IGNORECASE)
_REPORTS = re.compile(r"/system/reports(?:/([^/]+)(/columns|/count)?)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Refused(Exception):
    """An answer other than the one asked for."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def error(status: int, code: str, message: str) -> Refused:
    """ConnectWise's usual error body."""
    body = {"code": code, "message": message, "errors": None}
    return Refused(Response(status, {"Content-Type": _JSON}, json.dumps(body).encode()))


def page_of_html(status: int, title: str, content: str) -> Response:
    """A page for a browser; `content` is HTML already."""
    text = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title></head>"
        f"<body><h1>{html.escape(title)}</h1>{content}</body></html>"
    )
    return Response(status, {"Content-Type": "text/html; charset=utf-8"}, text.encode())


class _Route:
    """One address below `/apis/3.0`."""

    def __init__(self, resource: Resource, tail: str) -> None:
        self.resource = resource
        self.tail = tail
        self.template = resource.path + tail
        self.pattern = re.compile(self.template.replace("{id}", r"(\d+)"), re.IGNORECASE)


def _routes() -> tuple[_Route, ...]:
    routes: list[_Route] = []
    for resource in RESOURCES:
        routes.append(_Route(resource, ""))
        if resource.counted:
            routes.append(_Route(resource, "/count"))
        routes.append(_Route(resource, "/{id}"))
    return tuple(routes)


_ROUTES = _routes()
_NOUNS = {resource.table: resource.noun for resource in RESOURCES}


class Front:
    """Answers requests out of the tables of one simulated ConnectWise."""

    def __init__(self, system: SimulatedConnectWise) -> None:
        self._system = system
        self._recent: deque[datetime] = deque()
        self._number = 0

    def answer(self, request: Request) -> Response:
        """The response to one request, with the headers that every answer has."""
        now = self._system.clock()
        try:
            response = self._respond(request, now)
        except Refused as refused:
            response = refused.response
        except BadQuery as problem:
            response = error(400, "ConnectWiseApi", str(problem)).response
        self._number += 1
        headers = {
            "Date": format_datetime(now.replace(microsecond=0), usegmt=True),
            "x-cw-request-id": f"{self._number:08x}-0000-4000-8000-000000000000",
            "x-server-name": "SANDBOX",
            "api-current-version": MODEL_VERSION,
            **response.headers,
        }
        return Response(response.status, headers, response.body)

    def _respond(self, request: Request, now: datetime) -> Response:
        path = request.path.rstrip("/") or "/"
        if match := _COMPANY_INFO.fullmatch(path):
            return self._company_info(match.group(1))
        if _RECORD_PAGE.fullmatch(path):
            return self._record_page(request)
        match = _API.fullmatch(path)
        if match is None:
            return page_of_html(404, "404 - File or directory not found.", "")
        self._check_length(request)
        self._check_codebase(*match.groups())
        self._check_credentials(request)
        self._check_rate(now)
        return self._api(request, match.group(2))

    # --- before a request reaches a record

    def _check_length(self, request: Request) -> None:
        if not self._system.switches.refuse_long_urls:
            return
        length = len(f"http://{request.host}{quote(request.path)}?{urlencode(request.query)}")
        if length > LONGEST_URL:
            raise Refused(page_of_html(414, "Request-URI Too Long", "<p>HTTP Error 414.</p>"))

    def _check_codebase(self, codebase: str, rest: str) -> None:
        doubled = "/apis/3.0" in rest.lower()
        if codebase.lower() in (self._system.codebase.lower(), CONSTANT_CODEBASE) and not doubled:
            return
        if doubled and self._system.switches.mode == "cloud":
            raise _cannot_route()
        raise Refused(page_of_html(404, "404 - File or directory not found.", ""))

    def _check_credentials(self, request: Request) -> None:
        system = self._system
        cloud = system.switches.mode == "cloud"
        user, _, private = _basic(request.headers.get("authorization", "")).partition(":")
        company, _, public = user.partition("+")
        if company.lower() != system.company.lower() or (
            request.headers.get("clientid", "").lower() != system.client_id.lower()
        ):
            raise _cannot_route() if cloud else error(401, "Unauthorized", "Authorization has been denied.")
        if (public, private) != (system.public_key, system.private_key):
            if cloud:
                raise Refused(page_of_html(404, "404 - File or directory not found.", ""))
            raise error(401, "ConnectWiseApi", "UserNotAuthenticated")

    def _check_rate(self, now: datetime) -> None:
        limit = self._system.limits.per_minute
        if not limit:
            return
        window = timedelta(seconds=60)
        while self._recent and self._recent[0] <= now - window:
            self._recent.popleft()
        if len(self._recent) >= limit:
            wait = max(1, math.ceil((self._recent[0] + window - now).total_seconds()))
            message = f"Too many requests. Please try again in {wait} seconds."
            body = json.dumps({"error": "ConnectWiseAPI", "message": message}).encode()
            raise Refused(Response(429, {"Content-Type": _JSON, "Retry-After": str(wait)}, body))
        self._recent.append(now)

    # --- the API

    def _api(self, request: Request, path: str) -> Response:
        system = self._system
        if request.method != "GET":
            if request.method not in ("POST", "PUT", "PATCH", "DELETE"):
                raise error(405, "MethodNotAllowed", f"The method {request.method} is not allowed.")
            system.writes.append(request)
            raise _forbidden()
        forbidden = (prefix.lower().rstrip("/") for prefix in system.switches.forbidden_paths)
        if any(f"{path.lower()}/".startswith(f"{prefix}/") for prefix in forbidden):
            system.reads[path] += 1
            raise _forbidden()
        if path.lower() == "/system/info":
            system.reads["/system/info"] += 1
            return _answer(encode(self._info()))
        if report := _REPORTS.fullmatch(path):
            return self._report(request, *report.groups())
        for route in _ROUTES:
            if found := route.pattern.fullmatch(path):
                system.reads[route.template] += 1
                ids = [int(number) for number in found.groups()]
                return self._read(request, route, ids)
        raise error(404, "NotFound", f"The resource '{path}' was not found.")

    def _report(self, request: Request, name: str | None, tail: str | None) -> Response:
        """The list of reports, one report, its columns or the count of its rows. There are pages, and no ids."""
        system = self._system
        if name is None:
            system.reads["/system/reports"] += 1
            return _answer(encode([{"name": reports.ORDER_LINES}]))
        if name.lower() != reports.ORDER_LINES.lower():
            raise error(404, "NotFound", f"Report {name} not found")
        system.reads[f"/system/reports/{reports.ORDER_LINES}{(tail or '').lower()}"] += 1
        columns = reports.chosen(request.param("columns"))
        if (tail or "").lower() == "/columns":
            return _answer(encode(reports.definitions(columns)))
        text = request.param("conditions")
        conditions = Conditions(text, reports.FIELDS, system.switches.unfilterable) if text else None
        found = [
            row
            for order, row in reports.rows(system)
            if not self._hidden(order) and (conditions is None or conditions.test(row))
        ]
        if (tail or "").lower() == "/count":
            return _answer(encode({"count": len(found)}))
        if request.headers.get("pagination-type", "").lower() == "forward-only":
            raise error(400, "ConnectWiseApi", "Forward-only pagination is not supported by reports.")
        shown, link = self._page(request, reports.FIELDS, found)
        body = {
            "column_definitions": reports.definitions(columns),
            "row_values": [[row[column] for column in columns] for row in shown],
        }
        return _answer(encode(body), {"Link": link} if link else {})

    def _read(self, request: Request, route: _Route, ids: list[int]) -> Response:
        resource = route.resource
        table = self._system.tables[resource.table]
        parent: int | None = None
        if resource.parent:
            parent = ids[0]
            parents = self._system.tables[resource.parent]
            if parent not in parents or self._hidden(parents.records[parent]):
                raise error(404, "NotFound", f"{_NOUNS[resource.parent]} {parent} not found")
        if route.tail == "/{id}":
            record = table.records.get(ids[-1])
            below = parent is None or (record is not None and table.parent_of(record) == parent)
            if record is None or not below or self._hidden(record):
                raise error(404, "NotFound", f"{resource.noun} {ids[-1]} not found")
            return _answer(self._body(table, record, request))
        for name in ("childConditions", "customFieldConditions"):
            if request.param(name):
                raise BadQuery(f"The sandbox does not simulate {name}.")
        text = request.param("conditions")
        conditions = Conditions(text, resource.fields, self._system.switches.unfilterable) if text else None
        if route.tail == "/count":
            return _answer(encode({"count": sum(1 for _ in self._select(table, conditions, parent))}))
        if request.headers.get("pagination-type", "").lower() == "forward-only":
            return self._forward(request, resource, table, conditions, parent)
        return self._navigable(request, resource, table, conditions, parent)

    def _select(
        self, table: Table, conditions: Conditions | None, parent: int | None, above: int = 0
    ) -> Sequence[Record] | Any:
        """The records that a request may see, lazily, in the order of their ids."""
        found = table.select(conditions, above)
        if parent is not None:
            meets = conditions.test if conditions is not None else lambda _record: True
            found = (row for row in table.of(parent) if row["id"] > above and meets(row))
        if self._system.switches.role_hides_locations:
            return (record for record in found if not self._hidden(record))
        return found

    def _forward(
        self, request: Request, resource: Resource, table: Table, conditions: Conditions | None, parent: int | None
    ) -> Response:
        if not self._system.switches.forward_only_supported:
            raise error(400, "ConnectWiseApi", f"Forward-only pagination is not supported by {resource.path}.")
        if request.param("orderBy"):
            raise BadQuery("orderBy cannot be used with forward-only pagination.")
        size, page_id = self._page_size(request), _whole(request, "pageId", 0)
        records = list(islice(self._select(table, conditions, parent, page_id), size))
        last = records[-1]["id"] if records else page_id
        link = f'<{_address(request, {"pageSize": size, "pageId": last})}>; rel="next"'
        return self._list(request, table, records, link)

    def _navigable(
        self, request: Request, resource: Resource, table: Table, conditions: Conditions | None, parent: int | None
    ) -> Response:
        records, link = self._page(request, resource.fields, list(self._select(table, conditions, parent)))
        return self._list(request, table, records, link)

    def _page(self, request: Request, fields: Fields, everything: list[Record]) -> tuple[list[Record], str]:
        """The page that a request asks for, and the links to the others."""
        size, page = self._page_size(request), _whole(request, "page", 1)
        if page < 1:
            raise BadQuery("page must be 1 or more.")
        if by := request.param("orderBy"):
            everything = order(by, fields)(everything)
        pages = max(1, math.ceil(len(everything) / size))
        links = []
        if page < pages:
            links += [("next", page + 1), ("last", pages)]
        if page > 1:
            links += [("first", 1), ("prev", min(page - 1, pages))]
        link = ", ".join(
            f'<{_address(request, {"pageSize": size, "page": number})}>; rel="{name}"' for name, number in links
        )
        return everything[(page - 1) * size : page * size], link

    def _page_size(self, request: Request) -> int:
        size = _whole(request, "pageSize", DEFAULT_PAGE)
        if size < 1:
            raise BadQuery("pageSize must be 1 or more.")
        if size > LARGEST_PAGE and self._system.switches.large_page == "refuse":
            raise BadQuery(f"pageSize must not be above {LARGEST_PAGE}.")
        return min(size, LARGEST_PAGE)

    def _list(self, request: Request, table: Table, records: Sequence[Record], link: str) -> Response:
        body = b"[" + b",".join([self._body(table, record, request) for record in records]) + b"]"
        return _answer(body, {"Link": link} if link else {})

    def _body(self, table: Table, record: Record, request: Request) -> bytes:
        fields = request.param("fields")
        return encode(project(record, fields)) if fields else table.json_of(record["id"])

    def _hidden(self, record: Record) -> bool:
        """Whether the role's locations leave this record out."""
        hidden = self._system.switches.role_hides_locations
        location = record.get("location")
        return bool(hidden) and (
            record.get("locationId") in hidden or (isinstance(location, dict) and location.get("id") in hidden)
        )

    # --- what is no list

    def _company_info(self, company: str) -> Response:
        system = self._system
        if company.lower() != system.company.lower():
            return _answer(b"null")
        version = system.codebase.strip("/").removeprefix("v").replace("_", ".")
        return _answer(
            encode(
                {
                    "CompanyName": system.company_name,
                    "Codebase": system.codebase,
                    "VersionCode": f"v{version}",
                    "VersionNumber": f"v{version}.10333",
                    "CompanyID": system.company,
                    "IsCloud": str(system.switches.mode == "cloud"),
                }
            )
        )

    def _info(self) -> Record:
        system = self._system
        version = system.codebase.strip("/").replace("_", ".")
        return {
            "version": f"{version}.10333",
            "isCloud": system.switches.mode == "cloud",
            "serverTimeZone": system.time_zone,
            "licenseBits": [{"name": "GLInterface", "activeFlag": True}, {"name": "Inventory", "activeFlag": True}],
            "cloudRegion": "AU",
            "maxWorkFlowRecordsAllowed": 1000,
        }

    def _record_page(self, request: Request) -> Response:
        """What a person sees who follows a link to an invoice or a purchase order."""
        number = request.param("recid") or ""
        shown = _PAGES.get(request.param("recordType") or "")
        if shown is None or not number.isdigit() or int(number) not in self._system.tables[shown.table]:
            return page_of_html(404, "This record does not exist or has been deleted.", "")
        record = self._system.tables[shown.table].records[int(number)]
        content = [f"<p>{_text(self._system.company_name)}</p><table>"]
        content += [
            f"<tr><th>{label}</th><td>{_text(_name(record.get(field)))}</td></tr>" for label, field in shown.header
        ]
        content.append("</table><table><tr>" + "".join(f"<th>{label}</th>" for label in ("Kind", *shown.columns)))
        content.append("</tr>")
        for kind, columns in shown.rows.items():
            for row in self._system.tables[kind].of(int(number)):
                cells = "".join(f"<td>{_text(row.get(column))}</td>" for column in columns)
                content.append(f"<tr><td>{kind.replace('_', ' ')}</td>{cells}</tr>")
        content.append("</table><table>")
        content += [f"<tr><th>{label}</th><td>{_text(record.get(label))}</td></tr>" for label in shown.totals]
        content.append("</table>")
        title = f"{shown.title} {_CONTROL.sub(' ', str(record.get(shown.number)))}"
        return page_of_html(200, title, "".join(content))


@dataclass(frozen=True)
class _Page:
    """What the page of a kind of record shows; `rows` are the columns of each kind of row, `columns` their headings."""

    title: str
    table: str
    number: str
    header: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    totals: tuple[str, ...]


_INVOICE_ROWS = {
    "time": ("notes", "invoiceHours", "hourlyRate", "extendedInvoiceAmount"),
    "product": ("description", "quantity", "price", "extPrice"),
    "expense": ("notes", "quantity", "amount", "invoiceAmount"),
}
_TOTALS = (
    *("serviceTotal", "serviceAdjustmentAmount", "expenseTotal", "productTotal", "agreementAmount"),
    *("previousProgressApplied", "downpaymentApplied", "subtotal", "salesTax", "total"),
    *("payments", "credits", "balance"),
)
_PAGES = {
    "InvoiceFV": _Page(
        "Invoice",
        "invoice",
        "invoiceNumber",
        (
            ("Company", "company"),
            ("Status", "status"),
            ("Type", "type"),
            ("Location", "location"),
            ("Date", "date"),
            ("Due", "dueDate"),
            ("Agreement", "agreement"),
            ("Customer PO", "customerPO"),
        ),
        ("Text", "Quantity", "Price", "Amount"),
        _INVOICE_ROWS,
        _TOTALS,
    ),
    "PurchaseOrderFV": _Page(
        "Purchase Order",
        "purchase_order",
        "poNumber",
        (
            ("Vendor", "vendorCompany"),
            ("Status", "status"),
            ("Location", "location"),
            ("Date", "poDate"),
            ("Closed", "dateClosed"),
            ("Vendor invoice", "vendorInvoiceNumber"),
            ("Invoiced", "vendorInvoiceDate"),
            ("Terms", "terms"),
        ),
        ("Text", "Ordered", "Received", "Status", "Packing slip", "Cost", "Amount"),
        {
            "purchase_order_line": (
                "description",
                "quantity",
                "receivedQuantity",
                "receivedStatus",
                "packingSlip",
                "unitCost",
                "extCost",
            ),
        },
        ("subTotal", "salesTax", "freightCost", "freightTaxTotal", "total"),
    ),
}
"""By the record type that a link names."""


def _answer(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(200, {"Content-Type": _JSON, **(headers or {})}, body)


def _cannot_route() -> Refused:
    body = b"Cannot route. Codebase/company is invalid"
    return Refused(Response(400, {"Content-Type": "text/plain"}, body))


def _forbidden() -> Refused:
    return error(403, "Security", "You do not have security permission to perform this action.")


def _basic(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _whole(request: Request, name: str, default: int) -> int:
    text = request.param(name)
    if not text:
        return default
    if not text.isdecimal():
        raise BadQuery(f"The value '{text}' is not valid for {name}.")
    return int(text)


def _address(request: Request, paging: dict[str, int]) -> str:
    """The request's own address with other paging; the page comes last, as ConnectWise writes it."""
    kept = [(name, value) for name, value in request.query if name.lower() not in ("page", "pagesize", "pageid")]
    return f"http://{request.host}{quote(request.path)}?{urlencode([*kept, *paging.items()])}"


def _name(reference: object) -> object:
    return reference.get("name") if isinstance(reference, dict) else reference


def _text(value: object) -> str:
    return "" if value is None else html.escape(_CONTROL.sub(" ", str(value)))
