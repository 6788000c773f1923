"""A small client of the simulated Xero for its tests, and the official description to hold answers against."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero import Organisation, SimulatedXero

SPEC = Path(__file__).resolve().parents[3] / "shared" / "specs" / "xero_accounting.yaml"
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
START = datetime(2026, 9, 14, 9, 30, 0, 250_000, tzinfo=UTC)
Json = dict[str, Any]


class Moving:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)


class Client:
    """A small client of one organisation, without any cleverness."""

    def __init__(self, xero: SimulatedXero, organisation: Organisation, clock: Moving) -> None:
        self.xero = xero
        self.organisation = organisation
        self.clock = clock
        self.token = ""
        self.refresh = "sandbox-refresh-0"

    def sign_in(self) -> None:
        """Get an access token with the refresh token at hand."""
        status, body = token_call(self.xero, grant_type="refresh_token", refresh_token=self.refresh)
        assert status == 200, body
        self.token, self.refresh = body["access_token"], body["refresh_token"]

    def send(self, method: str, path: str, query: Json | None = None, body: Any = None, **headers: str) -> Response:
        """One call; header names with underscores for dashes, an empty value leaves a header out."""
        named = {
            "Authorization": f"Bearer {self.token}",
            "Xero-tenant-id": self.organisation.tenant_id,
            "Accept": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body, default=float).encode()
        raw = urllib.parse.urlencode(query or {})
        kept = {name: value for name, value in named.items() if value}
        return self.xero(Request.build(method, f"/api.xro/2.0{path}", raw, kept, content))

    def read(self, path: str, **query: Any) -> Json:
        """A GET that must succeed."""
        response = self.send("GET", path, query)
        assert response.status == 200, response.body
        found: Json = loaded(response)
        return found

    def invoices(self, **query: Any) -> list[Json]:
        """The invoices of a list."""
        return cast(list[Json], self.read("/Invoices", **query)["Invoices"])

    def numbers(self, **query: Any) -> list[str]:
        """Their numbers, sorted."""
        return sorted(one["InvoiceNumber"] for one in self.invoices(**query))

    def write(self, method: str, *elements: Json, **query: Any) -> list[Json]:
        """Write invoices with summarizeErrors=false; the elements of the answer."""
        response = self.send(method, "/Invoices", {"summarizeErrors": "false", **query}, {"Invoices": list(elements)})
        assert response.status == 200, response.body
        return cast(list[Json], loaded(response)["Invoices"])

    def put(self, element: Json, **query: Any) -> Json:
        """Create one invoice, refused or not."""
        return self.write("PUT", element, **query)[0]

    def made(self, element: Json, **query: Any) -> Json:
        """Create one invoice that must be accepted."""
        shown = self.put(element, **query)
        assert not shown["HasErrors"], messages(shown)
        return shown

    def post(self, element: Json, **query: Any) -> Json:
        """Update or create one invoice, refused or not."""
        return self.write("POST", element, **query)[0]

    def invoice(self, invoice_id: str, **query: Any) -> Json:
        """One invoice by its id."""
        return self.one("Invoices", invoice_id, **query)

    def one(self, collection: str, key: str, **query: Any) -> Json:
        """One record of any collection."""
        return cast(Json, self.read(f"/{collection}/{key}", **query)[collection][0])

    def wrote(self, method: str, path: str, *elements: Json, **query: Any) -> list[Json]:
        """Write elements of any collection with summarizeErrors=false; those of the answer."""
        collection = path.rpartition("/")[2]
        response = self.send(method, path, {"summarizeErrors": "false", **query}, {collection: list(elements)})
        assert response.status == 200, response.body
        return cast(list[Json], loaded(response)[collection])

    def accepted(self, method: str, path: str, element: Json, **query: Any) -> Json:
        """Write one element that must be accepted."""
        shown = self.wrote(method, path, element, **query)[0]
        assert shown["StatusAttributeString"] == "OK", messages(shown)
        return shown


def loaded(response: Response) -> Any:
    """The JSON of an answer, with exact fractions."""
    return json.loads(response.body, parse_float=Decimal)


def messages(element: Json) -> list[str]:
    """What is wrong with an element."""
    return [one["Message"] for one in element.get("ValidationErrors", [])]


def token_call(
    xero: SimulatedXero, basic: str | None = "sandbox-client:sandbox-secret", **form: str
) -> tuple[int, Json]:
    """One call to the token endpoint."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if basic is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
    body = urllib.parse.urlencode(form).encode()
    response = xero(Request.build("POST", "/connect/token", "", headers, body))
    return response.status, loaded(response)


def line(**fields: Any) -> Json:
    """A line of 21.00 plus tax."""
    return {"Description": "Hours", "Quantity": 2, "UnitAmount": 10.5, "AccountCode": "200", **fields}


def bill_line(**fields: Any) -> Json:
    """A bill line of 21.00 plus tax."""
    return line(AccountCode="310", **fields)


def contact_id(client: Client, number: str = "C-1") -> str:
    """The id of a contact by its number."""
    return cast(str, client.read(f"/Contacts/{number}")["Contacts"][0]["ContactID"])


def sale(client: Client, number: str | None = None, **fields: Any) -> Json:
    """A sales invoice as a client would send it."""
    document: Json = {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact_id(client)},
        "Date": "2026-09-14",
        "DueDate": "2026-10-14",
        "LineItems": [line()],
        **fields,
    }
    if number is not None:
        document["InvoiceNumber"] = number
    return document


def bill(client: Client, number: str | None = None, **fields: Any) -> Json:
    """A bill as a client would send it."""
    supplier = {"ContactID": contact_id(client, "S-1")}
    return sale(client, number, **{"Type": "ACCPAY", "Contact": supplier, "LineItems": [bill_line()], **fields})


World = Callable[..., Client]


def official(client: Client, base_url: str) -> Any:
    """Xero's own Python client, signed in over a socket, with its own parsing."""
    from xero_python.accounting import AccountingApi
    from xero_python.api_client import ApiClient
    from xero_python.api_client.configuration import Configuration
    from xero_python.api_client.oauth2 import OAuth2Token, TokenApi

    held: Json = {}
    api_client = ApiClient(
        Configuration(oauth2_token=OAuth2Token("sandbox-client", "sandbox-secret")),
        oauth2_token_getter=lambda: held,
        oauth2_token_saver=held.update,
    )
    tokens = TokenApi(api_client, "sandbox-client", "sandbox-secret")
    tokens.refresh_token_url = f"{base_url}/connect/token"
    held.update(tokens.refresh_token(client.refresh, ["accounting.invoices", "accounting.payments"]))
    return AccountingApi(api_client, base_url=f"{base_url}/api.xro/2.0")


# Fields that Xero answers with and its description does not have (recorded from live organisations).
UNDESCRIBED = {
    "Invoices": {"Id", "Status", "ProviderName", "DateTimeUTC"},
    "Invoice": {"DateString", "DueDateString", "InvoicePaymentServices"},
    "LineItem": {"ValidationErrors"},
    # By the examples of the same description:
    "CreditNote": {"ID", "DateString"},
    "Prepayment": {"ID", "DateString"},
    "Overpayment": {"ID", "DateString"},
    "PurchaseOrder": {"DateString", "DeliveryDateString", "Type", "HasErrors", "IsDiscounted"},
}
COLLECTIONS = {
    "LinkedTransactions",
    "PurchaseOrders",
    "Invoices",
    "Contacts",
    "Accounts",
    "TaxRates",
    "TrackingCategories",
    "Currencies",
    "Items",
    "Organisations",
    "Actions",
    "CreditNotes",
    "Allocations",
    "Payments",
    "BatchPayments",
    "Prepayments",
    "Overpayments",
}


def described() -> Json:
    """The schemas of the official OpenAPI file as JSON Schema, closed against unknown fields."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schemas = yaml.load(SPEC.read_text(encoding="utf-8"), loader)["components"]["schemas"]
    envelope = UNDESCRIBED["Invoices"]

    def converted(node: Any) -> Any:
        if isinstance(node, list):
            return [converted(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return {"$ref": node["$ref"].replace("#/components/schemas/", "#/$defs/")}
        kept = {key: converted(value) for key, value in node.items() if not key.startswith("x-") and key != "example"}
        if kept.pop("nullable", False) and "type" in kept:
            kept["type"] = [kept["type"], "null"]
        return kept

    definitions = converted(schemas)
    for name, schema in definitions.items():
        if "properties" in schema:
            extra = UNDESCRIBED.get(name, set()) | (envelope if f"{name}" in COLLECTIONS else set())
            schema["additionalProperties"] = False
            schema["properties"].update({key: {} for key in extra})
    return {"$defs": definitions}


def check(description: Json, name: str, body: Json) -> None:
    """Validate a body against one schema of the description."""
    plain = json.loads(json.dumps(body, default=float))
    validator = jsonschema.Draft202012Validator(
        {**description, "$ref": f"#/$defs/{name}"}, format_checker=jsonschema.FormatChecker(["uuid"])
    )
    found = sorted(validator.iter_errors(plain), key=str)
    assert not found, [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in found[:5]]


def credit(client: Client, number: str | None = None, **fields: Any) -> Json:
    """A credit note of 21.00 plus tax to a customer, as a client would send it."""
    document = sale(client, None, **{"Type": "ACCRECCREDIT", **fields})
    del document["DueDate"]
    if number is not None:
        document["CreditNoteNumber"] = number
    return document


def supplier_credit(client: Client, number: str | None = None, **fields: Any) -> Json:
    """A supplier's credit note of 21.00 plus tax."""
    supplier = {"ContactID": contact_id(client, "S-1")}
    return credit(client, number, **{"Type": "ACCPAYCREDIT", "Contact": supplier, "LineItems": [bill_line()], **fields})


def approved(client: Client, number: str | None = None, **fields: Any) -> str:
    """The id of a sales invoice of 23.10 that can be paid."""
    return cast(str, client.made(sale(client, number, Status="AUTHORISED", **fields))["InvoiceID"])


def approved_bill(client: Client, number: str | None = None, **fields: Any) -> str:
    """The id of a bill of 23.10 that can be paid."""
    return cast(str, client.made(bill(client, number, Status="AUTHORISED", **fields))["InvoiceID"])


def approved_credit(client: Client, number: str | None = None, **fields: Any) -> str:
    """The id of a credit note of 23.10 that can be allocated."""
    shown = client.accepted("PUT", "/CreditNotes", credit(client, number, Status="AUTHORISED", **fields))
    return cast(str, shown["CreditNoteID"])
