"""The simulated ConnectWise: what people do in it, and what a program reads of that."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pyconnectwise import ConnectWiseManageAPIClient
from pyconnectwise.exceptions import AuthenticationFailedException, PermissionsFailedException

from deployments.sandbox.connectwise import ConnectWiseSwitches, SimulatedConnectWise
from deployments.sandbox.connectwise_store import encode
from deployments.sandbox.scenarios import load
from deployments.sandbox.server import serve
from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero import SimulatedXero

SPEC = Path(__file__).parents[2].parent / "shared" / "specs" / "connectwise_manage.json"
API = "/v4_6_release/apis/3.0"
NOON = datetime(2026, 3, 10, 12, 0, 0, 654321, tzinfo=UTC)


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Reader:
    """A program that reads ConnectWise."""

    def __init__(self, system: SimulatedConnectWise) -> None:
        self.system = system

    def headers(self, **more: str) -> dict[str, str]:
        user = f"{self.system.company}+{self.system.public_key}:{self.system.private_key}"
        key = base64.b64encode(user.encode()).decode()
        return {"Authorization": f"Basic {key}", "clientId": self.system.client_id, **more}

    def ask(self, path: str, forward: bool = False, **query: Any) -> Response:
        more = {"pagination-type": "forward-only"} if forward else {}
        return self.system(Request.build("GET", API + path, urlencode(query), self.headers(**more)))

    def read(self, path: str, forward: bool = False, **query: Any) -> Any:
        answer = self.ask(path, forward, **query)
        assert answer.status == 200, answer.body
        return json.loads(answer.body, parse_float=Decimal)

    def numbers(self, conditions: str) -> set[str]:
        return {one["invoiceNumber"] for one in self.read("/finance/invoices", conditions=conditions, pageSize=1000)}

    def refusal(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.ask(path, **query)
        assert answer.status == 400
        return dict(json.loads(answer.body))


def furnish(system: SimulatedConnectWise) -> None:
    """A small tenant: one office, two customers, two tax codes, a catalogue."""
    system.add_location("Sydney", id=11)
    system.add_location("Perth", id=14)
    system.add_department("Service Desk")
    system.add_tax_code("GST", "GST 10 %", 10)
    system.add_tax_code("LABOUR", "Labour only", "12.5", expenses=False, products=False)
    system.add_currency("AUD")
    system.add_catalog_item("CABLE", "Cable", category="Hardware", subcategory="Cables", price=Decimal("8.75"), cost=3)
    system.add_company("ACME", "Acme Anvils", "C1", taxCode="GST", currency="AUD")
    system.add_company("ZENO", "Zeno Races")


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
def system(clock: Watch) -> SimulatedConnectWise:
    made = SimulatedConnectWise(clock)
    furnish(made)
    return made


@pytest.fixture
def reader(system: SimulatedConnectWise) -> Reader:
    return Reader(system)


def closed(system: SimulatedConnectWise, **fields: Any) -> int:
    """A closed invoice of Acme's."""
    defaults = {"company": "ACME", "location": "Sydney", "department": 1, "status": "Closed", "date": date(2026, 3, 2)}
    return system.add_invoice(**{**defaults, **fields})


# --- the door


def test_company_info_is_told_without_credentials(system: SimulatedConnectWise) -> None:
    """Anybody learns the codebase; an unknown company is null."""
    answer = system(Request.build("GET", "/login/companyinfo/SANDBOX/"))
    assert json.loads(answer.body)["Codebase"] == "v2025_1/"
    assert json.loads(answer.body)["IsCloud"] == "False"
    assert system(Request.build("GET", "/login/companyinfo/other")).body == b"null"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v4_6_release/apis/3.0/system/info", 200),
        ("/v2025_1/apis/3.0/system/info", 200),
        ("/V2025_1/APIs/3.0/SYSTEM/Info/", 200),
        ("/v2024_1/apis/3.0/system/info", 404),
        ("/v4_6_release/apis/3.0/v4_6_release/apis/3.0/system/info", 404),
        ("/v4_6_release/apis/3.0/system/nothing", 404),
        ("/elsewhere", 404),
    ],
)
def test_the_api_answers_below_the_current_and_the_constant_codebase(reader: Reader, path: str, status: int) -> None:
    """Case and a trailing slash do not matter; an outdated codebase is not found."""
    assert reader.system(Request.build("GET", path, "", reader.headers())).status == status


def test_the_codebase_changes_with_an_upgrade(reader: Reader) -> None:
    """After an upgrade only the new codebase and the constant one answer."""
    reader.system.codebase = "v2025_2/"
    old = Request.build("GET", "/v2025_1/apis/3.0/system/info", "", reader.headers())
    assert reader.system(old).status == 404
    assert reader.read("/system/info")["version"] == "v2025.2.10333"


WRONG: list[tuple[dict[str, str], int, int]] = [
    ({"public_key": "wrong"}, 401, 404),
    ({"private_key": "wrong"}, 401, 404),
    ({"company": "wrong"}, 401, 400),
    ({"client_id": ""}, 401, 400),
    ({"client_id": "00000000-0000-4000-8000-00000000ffff"}, 401, 400),
]


@pytest.mark.parametrize(("change", "on_premise", "cloud"), WRONG)
def test_wrong_credentials_are_refused_as_the_mode_says(change: dict[str, str], on_premise: int, cloud: int) -> None:
    """On-premise: 401 with JSON. Cloud: the gateway's plain text or HTML."""
    for mode, status in (("on_premise", on_premise), ("cloud", cloud)):
        system = SimulatedConnectWise(switches=ConnectWiseSwitches(mode=mode))  # type: ignore[arg-type]  # by name
        guest = Reader(SimulatedConnectWise(**change))  # type: ignore[arg-type]  # all of them are strings
        answer = system(Request.build("GET", f"{API}/system/info", "", guest.headers()))
        assert answer.status == status
        if mode == "on_premise":
            assert set(json.loads(answer.body)) == {"code", "message", "errors"}
        else:
            assert "json" not in answer.headers["Content-Type"]
            assert status != 400 or answer.body == b"Cannot route. Codebase/company is invalid"


def test_no_credentials_at_all_are_refused(system: SimulatedConnectWise) -> None:
    """Neither an absent nor a mangled Authorization header gets in."""
    for header in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic %%%"}):
        assert system(Request.build("GET", f"{API}/system/info", "", header)).status == 401


def test_too_many_calls_are_told_to_wait(reader: Reader, clock: Watch) -> None:
    """The 429 has its own odd body and a Retry-After, after which calls are answered again."""
    reader.system.limits.per_minute = 3
    clock.move(seconds=0)
    for _ in range(3):
        reader.read("/system/info")
        clock.move(seconds=10)
    refused = reader.ask("/system/info")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    body = json.loads(refused.body)
    assert body == {"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 30 seconds."}
    clock.move(seconds=30)
    assert reader.ask("/system/info").status == 200


def test_a_role_can_forbid_a_path(reader: Reader) -> None:
    """403 with the Security code, for that path and what is below it alone."""
    reader.system.switches = ConnectWiseSwitches(forbidden_paths=frozenset({"/system/members"}))
    refused = reader.ask("/system/members")
    assert (refused.status, json.loads(refused.body)["code"]) == (403, "Security")
    assert reader.ask("/system/info").status == 200


def test_a_role_can_hide_locations_silently(reader: Reader) -> None:
    """Hidden records are absent from lists and counts, by id, and with their payments."""
    seen, hidden = closed(reader.system), closed(reader.system, location="Perth")
    reader.system.switches = ConnectWiseSwitches(role_hides_locations=frozenset({14}))
    assert [one["id"] for one in reader.read("/finance/invoices")] == [seen]
    assert reader.read("/finance/invoices/count") == {"count": 1}
    assert reader.ask(f"/finance/invoices/{hidden}").status == 404
    assert reader.ask(f"/finance/invoices/{hidden}/payments").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_write_is_refused_and_kept(reader: Reader, method: str) -> None:
    """Nobody writes to ConnectWise; who tries is found out."""
    number = closed(reader.system)
    before = reader.read(f"/finance/invoices/{number}")
    request = Request.build(method, f"{API}/finance/invoices/{number}", "", reader.headers(), b"{}")
    assert reader.system(request).status == 403
    assert reader.system.writes == [request]
    assert reader.read(f"/finance/invoices/{number}") == before


def test_an_unknown_verb_is_refused(reader: Reader) -> None:
    """405, and it counts as no write."""
    assert reader.system(Request.build("TRACE", f"{API}/system/info", "", reader.headers())).status == 405
    assert not reader.system.writes


def test_an_address_above_2000_characters_is_refused_with_html(reader: Reader) -> None:
    """414, unless the switch allows it."""
    conditions = f"id in ({','.join(str(number) for number in range(39000, 39400))})"
    refused = reader.ask("/finance/invoices", conditions=conditions)
    assert (refused.status, refused.headers["Content-Type"].split(";")[0]) == (414, "text/html")
    reader.system.switches = ConnectWiseSwitches(refuse_long_urls=False)
    assert reader.read("/finance/invoices", conditions=conditions) == []


def test_every_answer_has_the_servers_time_and_a_request_id(reader: Reader) -> None:
    """Date comes from the simulated clock; errors have the same headers."""
    for answer in (reader.ask("/system/info"), reader.ask("/nothing")):
        assert answer.headers["Date"] == "Tue, 10 Mar 2026 12:00:00 GMT"
        assert answer.headers["api-current-version"] == "2025.8"
    assert reader.ask("/x").headers["x-cw-request-id"] != reader.ask("/x").headers["x-cw-request-id"]


def test_reads_are_counted_by_address(reader: Reader) -> None:
    """Ids are folded into one, and refused calls do not count."""
    number = closed(reader.system)
    for path in ("/finance/invoices", f"/finance/Invoices/{number}/", f"/finance/invoices/{number}/payments"):
        reader.read(path)
    reader.system(Request.build("GET", f"{API}/finance/invoices"))
    assert reader.system.reads == {
        "/finance/invoices": 1,
        "/finance/invoices/{id}": 1,
        "/finance/invoices/{id}/payments": 1,
    }


# --- records as JSON


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("165", "165.0"),
        ("165.00", "165.0"),
        ("0", "0.0"),
        ("-0.10", "-0.1"),
        ("12.3456789", "12.3456789"),
        ("0.0000001", "0.0000001"),
        ("1E+3", "1000.0"),
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.1234567890123456789", "0.1234567890123456789"),
    ],
)
def test_money_is_written_as_a_number_with_every_digit(value: str, written: str) -> None:
    """At least one decimal, no exponent, nothing lost."""
    assert encode({"total": Decimal(value)}) == f'{{"total":{written}}}'.encode()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=-(10**15), max_value=10**15))
def test_any_amount_survives_the_wire(value: Decimal) -> None:
    """What is read back is what was kept."""
    assert json.loads(encode([value]), parse_float=Decimal) == [value]


def test_null_fields_are_left_out_and_empty_ones_are_not(reader: Reader) -> None:
    """An empty account number is "", an absent agreement is no key; ids are whole numbers."""
    number = closed(reader.system, company="ZENO")
    invoice = reader.read(f"/finance/invoices/{number}")
    assert (invoice["id"], invoice["accountNumber"]) == (number, "")
    assert {"agreement", "taxCode", "closedBy"}.isdisjoint(invoice)
    assert None not in invoice.values()


def test_info_and_references_are_as_connectwise_writes_them(reader: Reader) -> None:
    """`_info` holds strings, times in whole UTC seconds; a reference names its record and links to it."""
    invoice = reader.read(f"/finance/invoices/{closed(reader.system)}")
    assert invoice["_info"]["lastUpdated"] == "2026-03-10T12:00:00Z"
    assert invoice["status"]["isClosed"] is True
    assert invoice["date"] == "2026-03-02T00:00:00Z"
    assert invoice["currency"]["currencyCode"] == "AUD"
    link = invoice["company"].pop("_info")["company_href"]
    assert link.endswith(f"/company/companies/{invoice['company']['id']}")
    assert invoice["company"] == {"id": 101, "identifier": "ACME", "name": "Acme Anvils"}


def test_text_where_a_number_belongs_stays_text(reader: Reader) -> None:
    """A broken import can be simulated: a total that is no number."""
    invoice = reader.read(f"/finance/invoices/{closed(reader.system, total='see note')}")
    assert invoice["total"] == "see note"


def test_control_characters_and_unicode_survive_the_wire(reader: Reader) -> None:
    """JSON escapes what it must and nothing more."""
    notes = 'a\x00\x07\x1b[31m "q" \\ \r\n\x85 Kōwhai 東 🙂'
    number = closed(reader.system, time=[{"actualHours": 1, "hourlyRate": 100, "notes": notes}])
    assert reader.read("/time/entries", conditions=f"invoice/id={number}")[0]["notes"] == notes


@lru_cache
def _specification() -> dict[str, Any]:
    """The API description with its promises about answers alone: known properties, types, enums."""
    spec = json.loads(SPEC.read_text(encoding="utf-8"))
    for schema in spec["components"]["schemas"].values():
        schema.pop("required", None)  # means: required to create
        if schema.get("properties"):
            schema["additionalProperties"] = False
    return dict(spec)


LISTS = {
    "/finance/invoices": "Invoice",
    "/finance/agreements": "Agreement",
    "/finance/billingStatuses": "BillingStatus",
    "/finance/taxCodes": "TaxCode",
    "/finance/currencies": "Finance.Currency",
    "/procurement/products": "ProductItem",
    "/procurement/catalog": "CatalogItem",
    "/time/entries": "TimeEntry",
    "/expense/entries": "ExpenseEntry",
    "/sales/orders": "Order",
    "/company/companies": "Company",
    "/system/locations": "Location",
    "/system/info/locations": "LocationInfo",
    "/system/departments": "Department",
}


@lru_cache
def _world() -> Reader:
    system = SimulatedConnectWise()
    scenario = load("msp", system, SimulatedXero())
    system.edit_invoice(scenario.invoices[scenario.keys["unreadable"]], total=None)
    return Reader(system)


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
@pytest.mark.parametrize(("path", "schema"), LISTS.items())
def test_answers_fit_the_api_description(path: str, schema: str) -> None:
    """Every field of every record is one that ConnectWise has, and of its type."""
    spec = _specification()
    rule = {"components": spec["components"], "type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
    records = json.loads(_world().ask(path, pageSize=1000).body)
    assert records
    Draft202012Validator(rule).validate(records)


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
def test_single_answers_fit_the_api_description() -> None:
    """`/system/info`, a count, and the payments of an invoice."""
    spec, reader = _specification(), _world()
    paid = reader.read("/finance/invoices", conditions="payments>0", fields="id")[0]["id"]
    credited = reader.read("/finance/invoices", conditions="credits>0", fields="id")[0]["id"]
    for path, schema in (
        ("/system/info", {"$ref": "#/components/schemas/Info"}),
        ("/finance/invoices/count", {"$ref": "#/components/schemas/Count"}),
        (f"/finance/invoices/{paid}/payments", {"items": {"$ref": "#/components/schemas/InvoicePayment"}}),
        (f"/finance/invoices/{credited}/payments", {"items": {"$ref": "#/components/schemas/InvoicePayment"}}),
    ):
        answer = json.loads(reader.ask(path).body)
        assert answer
        Draft202012Validator({"components": spec["components"], **schema}).validate(answer)


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
def test_texts_keep_to_the_longest_length_that_connectwise_has() -> None:
    """The limits stand in the description's prose; no record of the scenario is longer."""
    for path, schema in LISTS.items():
        properties = _specification()["components"]["schemas"][schema]["properties"]
        limits = {
            name: int(found[1])
            for name, rule in properties.items()
            if (found := re.search(r"Max length: (\d+)", rule.get("description", "")))
        }
        for record in json.loads(_world().ask(path, pageSize=1000).body):
            for name, limit in limits.items():
                assert len(record.get(name, "")) <= limit, (path, name, record[name])


# --- conditions


@pytest.fixture
def shelf(system: SimulatedConnectWise, clock: Watch) -> Reader:
    """Five invoices that differ in everything that conditions can ask for."""
    closed(system, invoiceNumber="A1", subtotal=100, salesTax=10)
    clock.move(hours=1)
    system.add_invoice(invoiceNumber="A2", company="ZENO", location="Perth", date=date(2026, 3, 9), subtotal=50)
    clock.move(hours=1)
    closed(system, invoiceNumber="B[1]", customerPO="PO 100%", type="Agreement", subtotal=0)
    clock.move(hours=1)
    closed(system, invoiceNumber="B2", customerPO="po_7", type="CreditMemo", subtotal=-5, salesTax=0)
    clock.move(hours=1)
    closed(system, invoiceNumber="C1", company="ZENO", customerPO='say "x"', taxableFlag=True, subtotal=Decimal("1E+2"))
    return Reader(system)


CONDITIONS: list[tuple[str, str]] = [
    ("id = 39001", "A1"),
    ("id=39001 or id=39002", "A1 A2"),
    ("id in (39001, 39003,39005)", "A1 B[1] C1"),
    ("id not in (39001,39003)", "A2 B2 C1"),
    ("id > 39003 and id<39005", "B2"),
    ("id >= 39005", "C1"),
    ("id = 5 or (id > 39001 and id <= 39003)", "A2 B[1]"),
    ("(id = 39001 or id = 39002) and company/id = 102", "A2"),
    ("id = 39001 and id = 39002", ""),
    ("id > 39001 or id = 39001", "A1 A2 B[1] B2 C1"),
    ('invoiceNumber = "a1"', "A1"),
    ("invoiceNumber = 'A1'", "A1"),
    ('invoiceNumber != "A1"', "A2 B[1] B2 C1"),
    ('invoiceNumber in ("A1","c1")', "A1 C1"),
    ('invoiceNumber like "A*"', "A1 A2"),
    ('invoiceNumber like "*1"', "A1 C1"),
    ('invoiceNumber like "A"', ""),
    ('invoiceNumber like "B[[]1]"', "B[1]"),
    ('invoiceNumber like "[AC]1"', "A1 C1"),
    ('invoiceNumber not like "A*"', "B[1] B2 C1"),
    ('invoiceNumber contains "[1"', "B[1]"),
    ('customerPO contains "po"', "B[1] B2"),
    ('customerPO not contains "po"', "A1 A2 C1"),
    ('customerPO like "po_7"', "B2"),
    ("customerPO = 'say \"x\"'", "C1"),
    ('customerPO = ""', "A1 A2"),
    ('type = "CreditMemo"', "B2"),
    ('type in ("agreement","creditmemo")', "B[1] B2"),
    ("status/isClosed = true", "A1 B[1] B2 C1"),
    ("status/isClosed = False", "A2"),
    ('status/name="New"', "A2"),
    ("taxableFlag = TRUE", "A1 B[1] B2 C1"),
    ("taxableFlag != true", "A2"),
    ("company/id = 102", "A2 C1"),
    ('company/identifier = "acme"', "A1 B[1] B2"),
    ('Company/Name like "*races" and STATUS/ISCLOSED = true', "C1"),
    ("company/id in (101) and not type = 'Standard'", "B[1] B2"),
    ("not (company/id = 101 or id = 39002)", "C1"),
    ("taxCode = null", "A2 C1"),
    ("taxCode != null", "A1 B[1] B2"),
    ("taxCode/id = 1", "A1 B[1] B2"),
    ("taxCode/id != 7", "A1 B[1] B2"),
    ("not taxCode/id = 7", "A1 B[1] B2"),
    ("total > 50", "A1 C1"),
    ("total = 110.00", "A1"),
    ("total < 0", "B2"),
    ("total >= -5 and total <= 50", "A2 B[1] B2"),
    ("date = [2026-03-09]", "A2"),
    ("date < [2026-03-09T00:00:00Z]", "A1 B[1] B2 C1"),
    ("date >= [2026-03-01] and date <= [2026-03-05]", "A1 B[1] B2 C1"),
    ("lastUpdated >= [2026-03-10T14:00:00Z]", "B[1] B2 C1"),
    ("lastUpdated > [2026-03-10T14:00:00Z]", "B2 C1"),
    ("_info/lastUpdated>=[2026-03-10T15:00:00.250Z] and id > 0", "B2 C1"),
    ("_info/lastUpdated < [2026-03-10T13:00]", "A1"),
    ("lastUpdated != [2026-03-10T12:00:00Z]", "A2 B[1] B2 C1"),
]


@pytest.mark.parametrize(("conditions", "numbers"), CONDITIONS)
def test_conditions_choose_the_records(shelf: Reader, conditions: str, numbers: str) -> None:
    """Each rule of the grammar, by the invoice numbers that it leaves."""
    assert shelf.numbers(conditions) == set(numbers.split())
    assert shelf.read("/finance/invoices/count", conditions=conditions) == {"count": len(numbers.split())}


REFUSED: list[tuple[str, str]] = [
    ("closedFlag = true", "No property or field 'closedFlag'"),
    ("company/nothing = 1", "No property or field"),
    ("id/name = 1", "No property or field"),
    ("customFields = null", "No property or field"),
    ("taxableFlag = 1", "Expected a boolean value, not a numeric. String values should be enclosed"),
    ("id = '5'", "Expected a numeric value, not a string"),
    ("invoiceNumber = 5", "Expected a string value, not a numeric"),
    ("date = '2026-03-01'", "Expected a datetime value, not a string"),
    ("id = [2026-03-01]", "Expected a numeric value, not a datetime"),
    ("date = [yesterday]", "not a valid UTC DateTime"),
    ("date = [2026-02-30]", "not a valid UTC DateTime"),
    ("date = [2026-03-01T00:00:00+10:00]", "not a valid UTC DateTime"),
    ("date >= now-30d", "Syntax error"),
    ("id", "is not an operator"),
    ("id =", "Syntax error"),
    ("= 5", "Syntax error"),
    ("id = 5 and", "Syntax error"),
    ("id = 5 id = 6", "Syntax error"),
    ("(id = 5", "expected ')'"),
    ("id = 5)", "Syntax error"),
    ("id in 5", "expected '('"),
    ("id in (5", "expected ')'"),
    ("id in ()", "Syntax error"),
    ("id in (null)", "null cannot be a member"),
    ("id > null", "null can only be compared"),
    ("id like '5'", "needs a string field"),
    ("invoiceNumber like 5", "needs a string field"),
    ("id not = 5", "is not an operator"),
    ("id *= 5", "Syntax error"),
    ('invoiceNumber = "a\\"b"', "Syntax error"),
    ("company = 5", "is a reference"),
]


@pytest.mark.parametrize(("conditions", "message"), REFUSED)
def test_conditions_that_cannot_be_are_refused(shelf: Reader, conditions: str, message: str) -> None:
    """400, with a message that says which rule was broken."""
    body = shelf.refusal("/finance/invoices", conditions=conditions)
    assert message in body["message"]
    assert body["errors"] is None


def test_a_switch_makes_fields_unfilterable(shelf: Reader) -> None:
    """A field can exist and still be refused in conditions."""
    shelf.system.switches = ConnectWiseSwitches(unfilterable=frozenset({"balance", "status/isClosed"}))
    for conditions in ("balance > 0", "id > 0 and status/isclosed = true"):
        assert "cannot be used in conditions" in shelf.refusal("/finance/invoices", conditions=conditions)["message"]
    assert shelf.numbers("total < 0") == {"B2"}


def test_filters_that_are_not_simulated_are_refused(shelf: Reader) -> None:
    """Better a refusal than a filter that is silently not there."""
    for name in ("childConditions", "customFieldConditions"):
        assert name in shelf.refusal("/finance/invoices", **{name: "x=1"})["message"]


def test_rows_are_found_by_their_invoices(system: SimulatedConnectWise, reader: Reader) -> None:
    """`invoice/id in (..)` gives the rows of just those invoices, whatever else is asked."""
    rows = [{"actualHours": 1, "hourlyRate": 100, "notes": text} for text in ("one", "two")]
    first, second, third = (closed(system, time=rows) for _ in range(3))
    found = reader.read("/time/entries", conditions=f"invoice/id in ({third},{first}) and notes='two'", forward=True)
    assert [row["invoice"]["id"] for row in found] == [first, third]
    assert reader.read("/time/entries", conditions=f"invoice/id = {second} and invoice/id={first}") == []
    assert len(reader.read("/time/entries", conditions=f"invoice/id={second} or notes='one'")) == 4


# --- lists in pages


def _pages(reader: Reader, path: str, forward: bool, **query: Any) -> list[list[Any]]:
    """All pages, following the Link header as clients do."""
    pages: list[list[Any]] = []
    query = {**query}
    while len(pages) < 200:
        answer = reader.ask(path, forward, **query)
        assert answer.status == 200, answer.body
        page = json.loads(answer.body)
        found = re.search(r'<([^>]*)>; rel="next"', answer.headers.get("Link", ""))
        if forward and not page:
            return pages
        pages.append(page)
        if not found:
            return pages
        query = dict(parse_qsl(urlsplit(found[1]).query))
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 20, 21, 1000])
def test_paging_gives_every_record_once(system: SimulatedConnectWise, forward: bool, size: int) -> None:
    """In both modes, whatever the page size, with the conditions kept from page to page."""
    wanted = [closed(system, subtotal=count) for count in range(21)]
    pages = _pages(Reader(system), "/finance/invoices", forward, pageSize=size, conditions="total > 1 and id > 0")
    assert [one["id"] for page in pages for one in page] == wanted[1:]
    assert all(len(page) <= size for page in pages)


def test_a_page_has_25_records_unless_asked_otherwise(system: SimulatedConnectWise, reader: Reader) -> None:
    """At most 1,000 can be asked for; more is refused or silently cut, as the switch says."""
    for _ in range(30):
        closed(system)
    assert len(reader.read("/finance/invoices")) == 25
    assert "pageSize" in reader.refusal("/finance/invoices", pageSize=1001)["message"]
    system.switches = ConnectWiseSwitches(large_page="clamp")
    assert len(reader.read("/finance/invoices", pageSize=5000)) == 30


@pytest.mark.parametrize("query", [{"pageSize": 0}, {"pageSize": "x"}, {"page": 0}, {"page": -1}])
def test_pages_that_cannot_be_are_refused(reader: Reader, query: dict[str, Any]) -> None:
    """400 for a page or a size that is no counting number."""
    assert reader.ask("/finance/invoices", **query).status == 400


def test_the_link_header_names_the_pages_around(system: SimulatedConnectWise, reader: Reader) -> None:
    """next and last but on the last page, first and prev but on the first; none when one page holds all."""
    for _ in range(5):
        closed(system)

    def links(**query: Any) -> dict[str, str]:
        header = reader.ask("/finance/invoices", **query).headers.get("Link", "")
        return {name: address for address, name in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}

    assert set(links(pageSize=2)) == {"next", "last"}
    assert set(links(pageSize=2, page=2)) == {"next", "last", "first", "prev"}
    assert set(links(pageSize=2, page=3)) == {"first", "prev"}
    assert set(links(pageSize=5)) == set()
    following = links(pageSize=2, page=2, conditions="id > 0")["next"]
    assert following.startswith(f"http://localhost{API}/finance/invoices?")
    assert following.endswith("pageSize=2&page=3")
    assert dict(parse_qsl(urlsplit(following).query))["conditions"] == "id > 0"
    assert reader.read("/finance/invoices", pageSize=2, page=9) == []


def test_forward_only_paging_ignores_the_page_and_always_links(system: SimulatedConnectWise, reader: Reader) -> None:
    """Every answer names the last id, the empty one too; `page` has no effect and orderBy is refused."""
    ids = [closed(system) for _ in range(3)]
    answer = reader.ask("/finance/invoices", forward=True, pageSize=2, page=5)
    assert [one["id"] for one in json.loads(answer.body)] == ids[:2]
    assert answer.headers["Link"].endswith(f'pageId={ids[1]}>; rel="next"')
    assert reader.ask("/finance/invoices", forward=True, pageId=ids[2]).headers["Link"].count(f"pageId={ids[2]}") == 1
    assert reader.ask("/finance/invoices", forward=True, orderBy="id asc").status == 400


def test_forward_only_paging_stands_changes_in_between(system: SimulatedConnectWise, reader: Reader) -> None:
    """A record deleted behind the cursor moves nothing; one added ahead of it is found."""
    ids = [closed(system) for _ in range(4)]
    first = reader.read("/finance/invoices", forward=True, pageSize=2, pageId=0)
    system.delete_invoice(ids[0])
    added = closed(system)
    second = reader.read("/finance/invoices", forward=True, pageSize=9, pageId=first[-1]["id"])
    assert [one["id"] for one in second] == [*ids[2:], added]


def test_page_numbers_skip_a_record_when_one_is_deleted(system: SimulatedConnectWise, reader: Reader) -> None:
    """The trap of the default mode: what is deleted on page 1 hides a record of page 2."""
    ids = [closed(system) for _ in range(4)]
    reader.read("/finance/invoices", pageSize=2, page=1)
    system.delete_invoice(ids[0])
    assert [one["id"] for one in reader.read("/finance/invoices", pageSize=2, page=2)] == ids[3:]


def test_a_switch_takes_forward_only_paging_away(reader: Reader) -> None:
    """Some real lists do not have it: 400."""
    reader.system.switches = ConnectWiseSwitches(forward_only_supported=False)
    assert reader.ask("/finance/invoices", forward=True).status == 400
    assert reader.ask("/finance/invoices").status == 200


@pytest.mark.parametrize(
    ("by", "numbers"),
    [
        ("id desc", "C1 B2 B[1] A2 A1"),
        ("invoiceNumber", "A1 A2 B2 B[1] C1"),
        ("company/name desc, id asc", "A2 C1 A1 B[1] B2"),
        ("total desc,invoiceNumber desc", "A1 C1 A2 B[1] B2"),
        ("taxCode/id asc, id desc", "C1 A2 B2 B[1] A1"),
        ("lastUpdated desc", "C1 B2 B[1] A2 A1"),
    ],
)
def test_order_by_sorts(shelf: Reader, by: str, numbers: str) -> None:
    """By one field or several, nested ones too; what is absent comes first."""
    assert [one["invoiceNumber"] for one in shelf.read("/finance/invoices", orderBy=by)] == numbers.split()


@pytest.mark.parametrize("by", ["nothing", "id up", "id asc desc", "company", ""])
def test_order_by_that_cannot_be_is_refused(shelf: Reader, by: str) -> None:
    """400; an empty orderBy is none."""
    assert shelf.ask("/finance/invoices", orderBy=by).status == (400 if by else 200)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ("id", {"id": 39001}),
        ("ID,Company/Identifier", {"id": 39001, "company": {"identifier": "ACME"}}),
        ("status/name, status/isClosed", {"status": {"name": "Closed", "isClosed": True}}),
        ("_info/lastUpdated", {"_info": {"lastUpdated": "2026-03-10T12:00:00Z"}}),
        ("closedFlag,total", {"total": Decimal("110.0")}),
        ("agreement/name", {}),
    ],
)  # fmt: skip
def test_fields_leave_only_what_was_asked_for(shelf: Reader, fields: str, answer: dict[str, Any]) -> None:
    """Nested ones too; what does not exist is silently absent. Lists and single records alike."""
    assert shelf.read("/finance/invoices", fields=fields, conditions="id=39001") == [answer]
    assert shelf.read("/finance/invoices/39001", fields=fields) == answer


def test_an_unknown_id_is_not_found(reader: Reader) -> None:
    """404 with ConnectWise's sentence."""
    answer = reader.ask("/finance/invoices/7")
    assert answer.status == 404
    assert json.loads(answer.body) == {"code": "NotFound", "message": "Invoice 7 not found", "errors": None}


@pytest.mark.parametrize("path", [*LISTS, "/system/members"])
def test_every_list_has_a_count_and_single_records(path: str) -> None:
    """One machinery behind all of them."""
    reader = _world()
    records = reader.read(path, pageSize=1000, fields="id")
    assert reader.read(f"{path}/count") == {"count": len(records)}
    assert reader.read(f"{path}/{records[0]['id']}")["id"] == records[0]["id"]


# --- amounts


def test_the_header_follows_from_the_rows(system: SimulatedConnectWise) -> None:
    """Service, products and expenses are sums of their rows; tax once; total and balance from those."""
    number = closed(
        system,
        time=[{"actualHours": Decimal("1.5"), "hourlyRate": 160}, {"actualHours": 1, "hourlyRate": Decimal("99.99")}],
        products=[{"catalogItem": "CABLE", "quantity": 3}, {"catalogItem": "CABLE", "taxableFlag": False}],
        expenses=[{"type": "Parking", "amount": Decimal("12.30")}],
        agreementAmount=100,
        serviceAdjustmentAmount=-20,
        downpaymentApplied=Decimal("30.00"),
    )
    invoice = system.record("invoice", number)
    assert invoice["serviceTotal"] == Decimal("339.99")
    assert invoice["productTotal"] == Decimal("35.00")
    assert invoice["expenseTotal"] == Decimal("12.30")
    assert invoice["subtotal"] == Decimal("437.29")
    assert invoice["salesTax"] == Decimal("42.85")  # 10 % of 437.29 less the untaxed 8.75, rounded once
    assert invoice["total"] == invoice["balance"] == Decimal("480.14")


def header_holds(invoice: dict[str, Any], inside: bool = False) -> bool:
    """The rule of the header, to the last digit."""
    parts = sum(invoice[name] for name in ("serviceTotal", "expenseTotal", "productTotal", "agreementAmount"))
    parts += 0 if inside else invoice["serviceAdjustmentAmount"]
    return bool(
        parts - invoice["previousProgressApplied"] - invoice["downpaymentApplied"] == invoice["subtotal"]
        and invoice["subtotal"] + invoice["salesTax"] == invoice["total"]
        and invoice["total"] - invoice["payments"] - invoice["credits"] == invoice["balance"]
    )


AMOUNTS = st.decimals(min_value=-1000, max_value=1000, places=2)


@given(
    rows=st.lists(st.tuples(st.integers(-50, 50), st.decimals(0, 500, places=4), st.booleans()), max_size=8),
    parts=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS),
    paid=AMOUNTS,
    inside=st.booleans(),
)
def test_the_header_holds_whatever_is_entered(
    rows: list[tuple[int, Decimal, bool]], parts: tuple[Decimal, Decimal, Decimal, Decimal], paid: Decimal, inside: bool
) -> None:
    """The parts make the subtotal, subtotal and tax the total, and the balance is what is left."""
    system = SimulatedConnectWise(switches=ConnectWiseSwitches(adjustments_inside_service_total=inside))
    furnish(system)
    products = [{"quantity": count, "price": price, "taxableFlag": taxed} for count, price, taxed in rows]
    names = ("agreementAmount", "serviceAdjustmentAmount", "previousProgressApplied", "downpaymentApplied")
    number = closed(system, products=products, **dict(zip(names, parts, strict=True)))
    system.add_payment(number, paid)
    invoice = system.record("invoice", number)
    assert header_holds(invoice, inside)
    assert invoice["productTotal"] == sum((row["extPrice"] for row in system.rows("product", number)), Decimal(0))


def test_sales_tax_is_computed_once_per_header(system: SimulatedConnectWise) -> None:
    """Ten rows of 0.45 are taxed as 4.50, not ten times as 0.45."""
    number = closed(system, products=[{"quantity": 1, "price": Decimal("0.45")}] * 10)
    per_line = 10 * (Decimal("0.45") / 10).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert system.record("invoice", number)["salesTax"] == Decimal("0.45")
    assert per_line == Decimal("0.50")


def test_a_tax_code_taxes_the_kinds_that_it_says(system: SimulatedConnectWise) -> None:
    """Labour only: neither products nor expenses are taxed."""
    rows: dict[str, Any] = {"time": [{"actualHours": 1, "hourlyRate": 100}], "products": [{"price": 50}]}
    number = closed(system, taxCode="LABOUR", expenses=[{"amount": 10}], **rows)
    assert system.record("invoice", number)["salesTax"] == Decimal("12.50")


def test_an_exempt_invoice_has_no_tax(system: SimulatedConnectWise) -> None:
    """Without a tax code, or with the header's flag off."""
    rows = [{"actualHours": 1, "hourlyRate": 100}]
    for fields in ({"company": "ZENO"}, {"taxableFlag": False}, {"taxCode": None}):
        assert system.record("invoice", closed(system, time=rows, **fields))["salesTax"] == 0


def test_an_amount_that_is_typed_over_stays_until_it_is_computed_again(system: SimulatedConnectWise) -> None:
    """Even when the rows change; None has it computed."""
    number = closed(system, products=[{"price": 50}], productTotal=80)
    system.add_row("product", number, price=5)
    assert system.record("invoice", number)["productTotal"] == 80
    assert system.record("invoice", number)["subtotal"] == 80
    system.edit_invoice(number, productTotal=None)
    assert system.record("invoice", number)["productTotal"] == Decimal("55.00")


def test_a_special_invoice_can_be_one_amount(system: SimulatedConnectWise) -> None:
    """A subtotal without any part, taxed as a whole."""
    invoice = system.record("invoice", closed(system, type="CreditMemo", specialInvoiceFlag=True, subtotal=-240))
    assert (invoice["serviceTotal"], invoice["salesTax"], invoice["total"]) == (
        0,
        Decimal("-24.00"),
        Decimal("-264.00"),
    )


def test_rows_follow_from_their_own_fields(system: SimulatedConnectWise) -> None:
    """Hours x rate, quantity x price (seven decimals, rounded to the cent), what an agreement covers at nothing."""
    number = closed(
        system,
        time=[{"actualHours": 2, "hourlyRate": 160, "agreementAmount": 320}, {"actualHours": 1, "hourlyRate": 9}],
        products=[
            {"price": Decimal("0.1234567"), "quantity": 1040},
            {"price": 100, "billableOption": "NoCharge"},
            {"price": 100, "cancelledFlag": True},
        ],
        expenses=[{"type": "Travel", "amount": 10, "agreementAmount": 4}],
    )
    covered, billed = system.rows("time", number)
    assert (covered["invoiceHours"], covered["extendedInvoiceAmount"]) == (0, 0)
    assert billed["extendedInvoiceAmount"] == 9
    assert system.rows("product", number)[0]["extPrice"] == Decimal("128.39")
    invoice = system.record("invoice", number)
    assert [invoice[name] for name in ("serviceTotal", "productTotal", "expenseTotal")] == [9, Decimal("128.39"), 6]


# --- what people do


@pytest.mark.parametrize("bumps", [False, True])
def test_editing_a_row_changes_the_invoice_and_may_bump_it(clock: Watch, bumps: bool) -> None:
    """The header's amounts follow at once; its `lastUpdated` only where the switch says so."""
    system = SimulatedConnectWise(clock, ConnectWiseSwitches(child_bumps_parent=bumps))
    furnish(system)
    reader = Reader(system)
    number = closed(system, time=[{"actualHours": 1, "hourlyRate": 100}])
    row = system.rows("time", number)[0]["id"]
    reader.read(f"/finance/invoices/{number}")
    clock.move(minutes=5)
    system.edit_row("time", row, actualHours=2)
    after = reader.read(f"/finance/invoices/{number}")
    assert after["total"] == Decimal("220.0")
    assert after["_info"]["lastUpdated"] == ("2026-03-10T12:05:00Z" if bumps else "2026-03-10T12:00:00Z")
    assert reader.read(f"/time/entries/{row}")["_info"]["lastUpdated"] == "2026-03-10T12:05:00Z"


def test_rows_can_be_added_removed_and_moved(system: SimulatedConnectWise) -> None:
    """Both invoices follow."""
    first, second = closed(system, expenses=[{"amount": 10}]), closed(system)
    row = system.rows("expense", first)[0]["id"]
    system.edit_row("expense", row, invoice=second)
    assert [system.record("invoice", one)["expenseTotal"] for one in (first, second)] == [0, 10]
    added = system.add_row("expense", second, amount=5)
    system.delete_row("expense", row)
    assert [one["id"] for one in system.rows("expense", second)] == [added]
    assert system.record("invoice", second)["subtotal"] == 5


def test_a_product_takes_its_fields_from_the_catalogue_item_it_names(system: SimulatedConnectWise) -> None:
    """Price, text and taxability come from the catalogue unless given; without an item there is nothing to take."""
    number = closed(system, products=[{"catalogItem": "CABLE", "quantity": 2}, {"price": 50}])
    cable, loose = system.rows("product", number)
    assert (cable["description"], cable["price"], cable["extPrice"]) == ("Cable", Decimal("8.75"), Decimal("17.50"))
    assert {"catalogItem", "description", "cost"}.isdisjoint(loose)


def test_closing_and_reopening_change_the_status(reader: Reader, clock: Watch) -> None:
    """Only `isClosed` matters; each is an edit."""
    number = reader.system.add_invoice(company="ACME", time=[{"actualHours": 1, "hourlyRate": 100}])
    seen = []
    for act in (reader.system.close_invoice, reader.system.reopen_invoice):
        clock.move(minutes=1)
        act(number)
        invoice = reader.read(f"/finance/invoices/{number}")
        seen.append((invoice["status"]["isClosed"], "closedBy" in invoice, invoice["_info"]["lastUpdated"][11:16]))
    assert seen == [(True, True, "12:01"), (False, False, "12:02")]


def test_an_edited_number_shows_on_the_rows(reader: Reader) -> None:
    """Rows name their invoice by its number of the day."""
    number = closed(reader.system, time=[{"actualHours": 1, "hourlyRate": 100}])
    reader.read("/time/entries")
    reader.system.edit_invoice(number, invoiceNumber="NEW-1")
    assert reader.read("/time/entries")[0]["invoice"]["identifier"] == "NEW-1"


def test_a_deleted_invoice_leaves_no_trace(reader: Reader) -> None:
    """404 by id, absent from lists; its rows are unbilled, its payments gone."""
    number = closed(reader.system, time=[{"actualHours": 1, "hourlyRate": 100}])
    reader.system.add_payment(number, 5)
    reader.system.delete_invoice(number)
    assert reader.ask(f"/finance/invoices/{number}").status == 404
    assert reader.read("/finance/invoices") == []
    assert "invoice" not in reader.read("/time/entries")[0]
    assert len(reader.system.tables["payment"]) == 0


@pytest.mark.parametrize(("one", "rows"), [(True, [70]), (False, [30, 40])])
def test_payments_lower_the_balance(clock: Watch, one: bool, rows: list[int]) -> None:
    """By switch a second payment raises the first one's amount, or is a row of its own."""
    system = SimulatedConnectWise(clock, ConnectWiseSwitches(one_payment_per_invoice=one))
    furnish(system)
    number = closed(system, time=[{"actualHours": 1, "hourlyRate": 100}])
    system.add_payment(number, 30, date(2026, 3, 5))
    system.add_payment(number, 40, date(2026, 3, 9))
    payments = Reader(system).read(f"/finance/invoices/{number}/payments")
    assert [payment["amount"] for payment in payments] == rows
    assert payments[-1]["paymentDate"] == "2026-03-09T00:00:00Z"
    invoice = system.record("invoice", number)
    assert (invoice["payments"], invoice["total"], invoice["balance"]) == (70, 110, 40)
    system.delete_row("payment", payments[0]["id"])
    assert system.record("invoice", number)["payments"] == sum(rows[1:])


def test_a_credit_memo_is_applied_to_an_invoice(system: SimulatedConnectWise) -> None:
    """The invoice's credits rise and its balance falls; what remains of the memo is its own balance."""
    rows = [{"actualHours": 1, "hourlyRate": 100}]
    number = closed(system, time=rows)
    memo = system.add_invoice(company="ACME", type="CreditMemo", specialInvoiceFlag=True, subtotal=-60)
    with pytest.raises(ValueError, match="closed"):
        system.apply_credit(memo, number, 50)
    system.close_invoice(memo)
    row = system.apply_credit(memo, number, 50)
    payment = Reader(system).read(f"/finance/invoices/{number}/payments")[0]
    assert (payment["id"], payment["credit"]["id"], payment["amount"]) == (row, memo, 50)
    invoice, credit = system.record("invoice", number), system.record("invoice", memo)
    assert (invoice["total"], invoice["credits"], invoice["balance"]) == (110, 50, 60)
    assert (credit["total"], credit["balance"]) == (-66, -16)
    assert header_holds(invoice)
    system.delete_row("payment", row)
    assert system.record("invoice", memo)["balance"] == -66


def test_a_renamed_company_shows_its_new_name_everywhere(reader: Reader, clock: Watch) -> None:
    """On invoices and rows at once, without an edit of theirs; the company itself was edited."""
    number = closed(reader.system, time=[{"actualHours": 1, "hourlyRate": 100}])
    reader.read("/finance/invoices")
    clock.move(minutes=1)
    reader.system.rename_company("ACME", "Acme & Sons")
    invoice = reader.read(f"/finance/invoices/{number}")
    assert (invoice["company"]["name"], invoice["_info"]["lastUpdated"]) == ("Acme & Sons", "2026-03-10T12:00:00Z")
    assert reader.read("/time/entries")[0]["company"]["name"] == "Acme & Sons"
    assert reader.read("/company/companies/101")["_info"]["lastUpdated"] == "2026-03-10T12:01:00Z"


def test_a_new_account_number_shows_on_the_invoices(reader: Reader) -> None:
    """The invoice carries its company's number of the day."""
    number = closed(reader.system)
    reader.system.edit_company("ACME", accountNumber="C9")
    assert reader.read(f"/finance/invoices/{number}")["accountNumber"] == "C9"


def test_a_merged_company_disappears_into_the_other(reader: Reader) -> None:
    """Its id is gone, and its invoices name the other."""
    number = closed(reader.system, company="ZENO")
    reader.system.merge_company("ZENO", "ACME")
    invoice = reader.read(f"/finance/invoices/{number}")
    assert (invoice["company"]["id"], invoice["billToCompany"]["name"]) == (101, "Acme Anvils")
    assert reader.ask("/company/companies/102").status == 404
    assert reader.read("/company/companies/count") == {"count": 1}


@pytest.mark.parametrize("follow", [(), ("company",), ("billToCompany",)])
def test_what_of_a_record_follows_a_merge_is_up_to_the_caller(reader: Reader, follow: tuple[str, ...]) -> None:
    """What does not follow keeps naming the company that is gone."""
    number = closed(reader.system, company="ZENO")
    reader.read("/finance/invoices")
    reader.system.merge_company("ZENO", "ACME", follow)
    invoice = reader.read(f"/finance/invoices/{number}")
    for name in ("company", "billToCompany"):
        assert invoice[name]["name"] == ("Acme Anvils" if name in follow else "Zeno Races")
    assert invoice["accountNumber"] == ("C1" if "company" in follow else "")
    assert [one["id"] for one in reader.read("/company/companies", conditions="id in (101, 102)")] == [101]


def test_an_agreement_gives_its_type(reader: Reader) -> None:
    """As a reference on the agreement, as text on the invoices and rows that name it."""
    agreement = reader.system.add_agreement("Acme - Managed", "Managed Services", "ACME", billAmount=900)
    number = closed(reader.system, agreement="Acme - Managed", agreementAmount=900, products=[{"price": 5}])
    found = reader.read("/finance/agreements", conditions=f"id in ({agreement})")[0]
    assert (found["type"]["name"], found["company"]["identifier"]) == ("Managed Services", "ACME")
    assert found["startDate"] == "2026-03-10T00:00:00Z"
    for shown in (reader.read(f"/finance/invoices/{number}"), reader.read("/procurement/products")[0]):
        assert (shown["agreement"]["id"], shown["agreement"]["type"]) == (agreement, "Managed Services")


def test_a_sales_order_gives_who_sold_it(reader: Reader) -> None:
    """By the order that an invoice names; the invoice itself names nobody."""
    reader.system.add_member("jdoe", "Jane", "Doe")
    order, house = reader.system.add_sales_order("ACME", "jdoe"), reader.system.add_sales_order("ACME")
    number = closed(reader.system, salesOrder=order)
    named = reader.read(f"/finance/invoices/{number}")["salesOrder"]
    assert (named["id"], named["identifier"]) == (order, str(order))
    sold, unsold = reader.read("/sales/orders", conditions=f"id in ({order},{house})")
    assert sold["salesRep"]["identifier"] == "jdoe" and "salesRep" not in unsold


def test_an_edited_catalogue_item_shows_its_new_category(reader: Reader, clock: Watch) -> None:
    """What a row took from it before stays on the row."""
    closed(reader.system, products=[{"catalogItem": "CABLE"}])
    before = reader.read("/procurement/products")
    clock.move(minutes=1)
    reader.system.edit_catalog_item("CABLE", category="Consumables", subcategory=None, price=9)
    item = reader.read("/procurement/catalog")[0]
    assert (item["category"]["name"], item["price"], "subcategory" in item) == ("Consumables", 9, False)
    assert item["_info"]["lastUpdated"] == "2026-03-10T12:01:00Z"
    assert reader.read("/procurement/products") == before


def test_rows_have_their_own_place_and_people(reader: Reader) -> None:
    """Time and products by reference, expenses by id; what a row does not say comes from its invoice."""
    reader.system.add_department("Projects")
    reader.system.add_member("jdoe", "Jane", "Doe")
    own = {"location": "Perth", "department": "Projects", "member": "jdoe"}
    closed(
        reader.system,
        time=[{**own, "actualHours": 1, "hourlyRate": 9}, {"actualHours": 1, "hourlyRate": 9}],
        products=[{"location": "Perth", "businessUnit": "Projects", "price": 5}, {"price": 5}],
        expenses=[{"locationId": 14, "businessUnitId": 2, "member": "jdoe", "amount": 3}, {"amount": 3}],
    )
    for path, department in (("/time/entries", "department"), ("/procurement/products", "businessUnit")):
        special, plain = reader.read(path)
        assert [special[name]["name"] for name in ("location", department)] == ["Perth", "Projects"]
        assert (special["locationId"], special["businessUnitId"]) == (14, 2)
        assert (plain["locationId"], plain["businessUnitId"]) == (11, 1)
    expense, plain = reader.read("/expense/entries")
    assert (expense["locationId"], expense["businessUnitId"], expense["member"]["name"]) == (14, 2, "Jane Doe")
    assert (plain["locationId"], plain["businessUnitId"]) == (11, 1) and "location" not in plain
    assert reader.read("/time/entries")[0]["member"]["identifier"] == "jdoe"


def test_companies_and_invoices_have_custom_fields(reader: Reader) -> None:
    """With a caption and a value of any sort."""
    rate = {"id": 3, "caption": "Exchange Rate", "type": "Number", "entryMethod": "EntryField", "numberOfDecimals": 4}
    number = closed(reader.system, customFields=[{**rate, "value": Decimal("1.0825")}])
    reader.system.edit_company("ACME", customFields=[{**rate, "value": "1,08"}, {**rate, "id": 4, "caption": "Tag"}])
    assert reader.read(f"/finance/invoices/{number}")["customFields"][0]["value"] == Decimal("1.0825")
    fields = reader.read("/company/companies/101", fields="customFields")["customFields"]
    assert fields[0]["value"] == "1,08" and "value" not in fields[1]


def test_a_deleted_company_carries_the_flag(reader: Reader) -> None:
    """Unlike other records it stays, marked."""
    reader.system.delete_company("ZENO")
    company = reader.read("/company/companies", conditions="deletedFlag = true")[0]
    assert (company["id"], company["dateDeleted"]) == (102, "2026-03-10T00:00:00Z")


def test_a_past_can_be_built(system: SimulatedConnectWise) -> None:
    """What people do inside `at` is stamped with that moment."""
    with system.at(datetime(2026, 1, 5, 3, 4, 5, tzinfo=UTC)):
        number = system.add_invoice(company="ACME")
    invoice = system.record("invoice", number)
    assert invoice["_info"]["lastUpdated"] == "2026-01-05T03:04:05Z"
    assert invoice["date"] == "2026-01-05T00:00:00Z"
    system.edit_invoice(number, reference="x")
    assert system.record("invoice", number)["_info"]["lastUpdated"] == "2026-03-10T12:00:00Z"


def test_a_name_that_nobody_has_is_refused(system: SimulatedConnectWise) -> None:
    """A person cannot pick what is not in the list."""
    for fields in (
        {"company": "NOBODY"},
        {"company": "ACME", "location": "Nowhere"},
        {"company": "ACME", "status": "?"},
    ):
        with pytest.raises(ValueError, match="is called"):
            system.add_invoice(**fields)
    with pytest.raises(KeyError):
        system.edit_invoice(7, reference="x")
    with pytest.raises(ValueError, match="taken"):
        system.add_company("AGAIN", "Again", id=101)


def test_the_record_page_shows_an_invoice_to_people(system: SimulatedConnectWise) -> None:
    """Plain HTML without credentials, every text escaped."""
    system.add_company("EVIL", "<script>alert(1)</script> & Co")
    number = closed(
        system, company="EVIL", invoiceNumber='"9"<b>', time=[{"actualHours": 1, "hourlyRate": 7, "notes": "<i>\x00"}]
    )
    path = "/v4_6_release/services/system_io/router/openrecord.rails"
    page = system(Request.build("GET", path, f"recordType=InvoiceFV&recid={number}&companyName=sandbox"))
    text = page.body.decode()
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co" in text
    assert "&quot;9&quot;&lt;b&gt;" in text and "&lt;i&gt;" in text and "Closed" in text
    assert not re.search(r"<script|<i>|<b>|\x00", text)
    for query in (
        f"recordType=TicketFV&recid={number}",
        "recordType=InvoiceFV&recid=7",
        "recordType=InvoiceFV&recid=x",
        "",
    ):
        assert system(Request.build("GET", path, query)).status == 404


def test_people_and_programs_can_act_at_once(system: SimulatedConnectWise) -> None:
    """Edits and reads from many threads: every answer is whole, and nothing is lost."""
    system.limits.per_minute = 0
    reader = Reader(system)
    ids = [closed(system, time=[{"actualHours": 1, "hourlyRate": 100}]) for _ in range(20)]

    def edit(turn: int) -> object:
        return system.add_row("time", ids[turn % 20], actualHours=1, hourlyRate=100)

    def look(turn: int) -> object:
        found = reader.read("/finance/invoices", forward=turn % 2 == 0, conditions="id > 0", pageSize=100)
        return [header_holds(one) for one in found].count(True) == 20

    acts: list[Callable[[int], object]] = [edit, look]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda turn: acts[turn % 2](turn // 2), range(200)))
    assert sum(system.record("invoice", one)["serviceTotal"] for one in ids) == 120 * 100


# --- a client that other people wrote


class PlainClient(ConnectWiseManageAPIClient):
    """The public client, over plain HTTP on loopback."""

    def _make_request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        return super()._make_request(method, url.replace("https://", "http://"), *args, **kwargs)


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # in the client's own models
def test_the_public_client_reads_a_whole_world() -> None:
    """pyconnectwise finds the codebase, pages through the invoices, filters rows and parses all of it."""
    system = SimulatedConnectWise()
    scenario = load("msp", system, SimulatedXero())
    system.edit_invoice(scenario.invoices[scenario.keys["unreadable"]], total=None)
    with serve(system) as base:
        keys = (system.client_id, system.public_key, system.private_key)
        client = PlainClient(system.company, urlsplit(base).netloc, *keys)
        assert client.codebase == system.codebase
        assert client.system.info.get().version == "v2025.1.10333"
        pages = client.finance.invoices.paginated(1, 50, {"conditions": "id > 0", "orderBy": "id asc"})
        found = list(pages.all())
        assert [one.invoice_number for one in found] == list(scenario.invoices)
        some = [one.id for one in found[:5]]
        rows = client.time.entries.get(params={"conditions": f"invoice/id in ({','.join(map(str, some))})"})
        assert len(rows) == sum(len(system.rows("time", number)) for number in some if number is not None)
        assert client.finance.invoices.count.get().count == len(found)
        first = found[0].id
        assert first is not None
        assert client.finance.invoices.id(first).get().invoice_number == found[0].invoice_number
        with pytest.raises(PermissionsFailedException):
            client.finance.invoices.id(first).delete()
        client.private_key = "wrong"
        with pytest.raises(AuthenticationFailedException):
            client.system.info.get()
    assert [request.method for request in system.writes] == ["DELETE"]


def test_the_next_page_can_be_followed_by_its_address() -> None:
    """Over the socket the Link header names the address that answers."""
    system = SimulatedConnectWise()
    furnish(system)
    ids = [closed(system) for _ in range(3)]
    with serve(system) as base, httpx.Client(headers=Reader(system).headers()) as client:
        first = client.get(f"{base}{API}/finance/invoices", params={"pageSize": 2, "conditions": "id > 0"})
        second = client.get(first.links["next"]["url"])
    assert [one["id"] for page in (first, second) for one in page.json()] == ids
