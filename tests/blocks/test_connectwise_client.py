"""Reading ConnectWise: what is asked, how lists are paged, and where the API is found."""

from __future__ import annotations

import base64
import inspect
import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from blocks.connectwise.client import PAGE_SIZE, ConnectWiseClient, Page, Pages, Shown
from blocks.failures import NotConfigured, Unreachable
from blocks.wire import Wire
from deployments.sandbox.connectwise import ConnectWiseSwitches, SimulatedConnectWise
from mappings.connectwise import Company, ExpenseEntry, Invoice, Product, TaxCode, TimeEntry
from tests.blocks.support import Answer, Server, answer, connectwise, is_a_sentence, utc
from tests.worlds import Clock, transport

CODEBASE = {"CompanyName": "Acme", "Codebase": "v2025_1/", "IsCloud": "True"}


def asked(request: httpx.Request) -> dict[str, str]:
    """The query of a request, each parameter once."""
    found = parse_qs(request.url.query.decode(), keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def listed(numbers: range, path: str = "/finance/invoices") -> Callable[[httpx.Request], httpx.Response]:
    """A server with these ids that pages as ConnectWise does in forward-only mode."""

    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith(path)
        after = int(asked(request).get("pageId", 0))
        found = [number for number in numbers if number > after][:PAGE_SIZE]
        return httpx.Response(200, json=[{"id": number} for number in found])

    return serve


def ids_of(pages: Pages) -> list[Any]:
    return [record.get("id") for page in pages for record in page.records]


# What every call carries

CALLS: dict[str, Callable[[ConnectWiseClient], Any]] = {
    "invoices_changed_since": lambda client: list(client.invoices_changed_since(utc("2026-03-01"))),
    "invoices_dated_from": lambda client: list(client.invoices_dated_from(date(2026, 1, 1))),
    "invoices_by_id": lambda client: client.invoices_by_id([1, 2]),
    "purchase_orders_changed_since": lambda client: list(client.purchase_orders_changed_since(utc("2026-03-01"))),
    "purchase_orders_open": lambda client: list(client.purchase_orders_open()),
    "purchase_orders_dated_from": lambda client: list(client.purchase_orders_dated_from(date(2026, 1, 1))),
    "purchase_orders_by_id": lambda client: client.purchase_orders_by_id([1, 2]),
    "purchase_orders_by_number": lambda client: client.purchase_orders_by_number("PO-1"),
    "purchase_order": lambda client: client.purchase_order(1),
    "purchase_order_lines": lambda client: client.purchase_order_lines([1, 2]),
    "purchase_order_statuses": lambda client: client.purchase_order_statuses(),
    "sold_products": lambda client: client.sold_products("salesOrder/id", [1, 2]),
    "sold_products_changed_since": lambda client: list(client.sold_products_changed_since(utc("2026-03-01"))),
    "system_report": lambda client: client.system_report("R", ["a"], "a", [1, 2]),
    "system_report_columns": lambda client: client.system_report_columns("R"),
    "billing_terms": lambda client: client.billing_terms(),
    "invoices_by_number": lambda client: client.invoices_by_number("40001"),
    "invoice": lambda client: client.invoice(1),
    "invoice_rows": lambda client: client.invoice_rows([1, 2]),
    "invoices_with_rows_changed_since": lambda client: client.invoices_with_rows_changed_since(utc("2026-03-01")),
    "owed_changed_since": lambda client: list(client.owed_changed_since(utc("2026-03-01"))),
    "owed_dated_from": lambda client: list(client.owed_dated_from(date(2026, 1, 1), date(2026, 1, 31))),
    "owed_open": lambda client: list(client.owed_open(date(2026, 1, 1))),
    "owed_by_id": lambda client: client.owed_by_id([1, 2]),
    "payments_of": lambda client: client.payments_of([1, 2]),
    "tax_codes": lambda client: client.tax_codes(),
    "related": lambda client: client.related(Company, [1, 2]),
    "calls": lambda client: client.calls,
}
"""Every public way into the client, with arguments to try it."""


@pytest.mark.parametrize("name", [name for name, _ in inspect.getmembers(ConnectWiseClient) if name[0] != "_"])
def test_only_get_is_ever_sent_with_keys_and_client_id_on_every_call(name: str) -> None:
    """All public methods: GET without a body, Basic credentials of company and keys, clientId, JSON wanted."""
    server = Server(answer(200, {"column_definitions": [], "row_values": []} if name == "system_report" else []))
    CALLS[name](connectwise(server))
    assert bool(server.requests) == (name != "calls")
    for request in server.requests:
        assert request.method == "GET"
        assert request.content == b""
        credentials = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert credentials == "acme+canary-public:canary-private"
        assert request.headers["clientId"] == "0a1b2c3d-0000-4000-8000-000000000001"
        assert request.headers["Accept"] == "application/json"
        # One record by its own address is no list, and a report has pages of its own.
        bare = name in ("invoice", "purchase_order", "system_report", "system_report_columns")
        assert request.headers.get("pagination-type") == (None if bare else "forward-only")
        assert "orderBy" not in asked(request)


# What is missing


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        (answer(404, {"code": "NotFound", "message": "Invoice 7 not found"}), True),
        (answer(404, {"code": "Other", "message": "The invoice was not found."}), True),
        (answer(404, {"code": "InvalidCompany", "message": "Cannot route."}), False),
        (answer(404, b"<html>Not Found</html>"), False),
        (answer(403, {"code": "Security", "message": "No permission."}), False),
        (answer(401, {"code": "Unauthorized", "message": "No."}), False),
        (answer(200, {"id": 8}), False),
    ],
)
def test_only_connectwises_own_words_say_that_a_record_is_gone(given: Answer, gone: bool) -> None:
    assert connectwise(Server(given)).invoice(7) == Shown(None, gone)


def test_a_record_that_is_shown_by_its_address_is_there() -> None:
    assert connectwise(Server(answer(200, {"id": 7}))).invoice(7) == Shown({"id": 7}, False)


def test_rows_tell_the_invoices_that_they_changed_each_once() -> None:
    """Three lists; a row without an invoice is not billed yet."""
    server = Server(answer(200, [{"id": 1, "invoice": {"id": 7}}, {"id": 2}, {"id": 3, "invoice": {"id": 7}}]))
    assert connectwise(server).invoices_with_rows_changed_since(utc("2026-03-01")) == {7}
    assert [request.url.path.rpartition("3.0")[2] for request in server.requests] == [
        "/time/entries", "/expense/entries", "/procurement/products",
    ]  # fmt: skip
    assert {asked(request)["conditions"] for request in server.requests} == {"lastUpdated>=[2026-03-01T00:00:00Z]"}


def test_the_count_of_calls_includes_every_attempt() -> None:
    """A call that was tried twice counts twice."""
    client = connectwise(Server(answer(500, {"message": "x"}), answer(200, [])))
    client.tax_codes()
    assert client.calls == 2


@pytest.mark.parametrize(
    ("call", "conditions"),
    [
        (lambda c: c.invoices_changed_since(utc("2026-03-01T09:15:30.999")), "lastUpdated>=[2026-03-01T09:15:30Z]"),
        (
            lambda c: c.invoices_changed_since(datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=10)))),
            "lastUpdated>=[2026-02-28T23:00:00Z]",
        ),
        (lambda c: c.invoices_dated_from(date(2026, 1, 31)), "date>=[2026-01-31T00:00:00Z]"),
        (
            lambda c: c.invoices_dated_from(date(2026, 1, 31), date(2026, 2, 28)),
            "date>=[2026-01-31T00:00:00Z] and date<[2026-03-01T00:00:00Z]",
        ),
    ],
)
def test_times_in_conditions_are_whole_seconds_of_utc_in_brackets(
    call: Callable[[ConnectWiseClient], Pages], conditions: str
) -> None:
    """The grammar of the fact sheet, 4.2: UTC, no offset, no fractions."""
    server = Server(answer(200, []))
    list(call(connectwise(server)))
    assert asked(server.requests[0])["conditions"] == conditions


def test_conditions_for_ids_and_rows_are_lists() -> None:
    """`id in (...)` for records, `invoice/id in (...)` for rows of several invoices."""
    server = Server(answer(200, []))
    client = connectwise(server)
    client.related(Company, [3, 5])
    client.invoice_rows([7, 8])
    found = {urlsplit(str(r.url)).path.rpartition("3.0")[2]: asked(r)["conditions"] for r in server.requests}
    assert found == {
        "/company/companies": "id in (3,5)",
        "/time/entries": "invoice/id in (7,8)",
        "/expense/entries": "invoice/id in (7,8)",
        "/procurement/products": "invoice/id in (7,8)",
    }


def test_nothing_is_asked_for_no_ids() -> None:
    """An empty `in ()` would be an error, and there is nothing to know."""
    server = Server(answer(200, []))
    client = connectwise(server)
    rows = client.invoice_rows([])
    assert (client.invoices_by_id([]), client.related(Company, []), rows.time, rows.products) == ([], [], {}, {})
    assert server.requests == []


# Numbers that people chose


@pytest.mark.parametrize(
    ("number", "conditions"),
    [
        ("40001", 'invoiceNumber="40001"'),
        ("  40001 ", 'invoiceNumber="40001"'),
        ("O'Brien & Sons 100% + _x*", 'invoiceNumber="O\'Brien & Sons 100% + _x*"'),
        ('24" rack 7', 'invoiceNumber contains " rack 7"'),
        ("A\\B-10", 'invoiceNumber contains "B-10"'),
        ("INV[2026]", 'invoiceNumber contains "2026"'),
    ],
)
def test_a_number_is_looked_for_without_anything_that_would_have_to_be_escaped(number: str, conditions: str) -> None:
    """How a quote or bracket is escaped is undocumented: the longest part without is asked for, and compared here."""
    server = Server(answer(200, [{"id": 1, "invoiceNumber": number.strip()}, {"id": 2, "invoiceNumber": "another"}]))
    found = connectwise(server).invoices_by_number(number)
    assert [record["id"] for record in found] == [1]
    assert asked(server.requests[0])["conditions"] == conditions


@pytest.mark.parametrize("number", ["", "  ", '"', '"[]\\'])
def test_a_number_of_nothing_that_can_be_asked_for_is_not_found(number: str) -> None:
    """It must not turn into a condition that everything meets."""
    server = Server(answer(200, [{"id": 1}]))
    assert connectwise(server).invoices_by_number(number) == []
    assert server.requests == []


# Paging


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 2500])
def test_lists_are_read_in_pages_of_a_thousand_until_one_is_short_or_empty(count: int) -> None:
    """The next page begins after the last id; a full page is followed by another question, whatever Link says."""
    server = Server(listed(range(1, count + 1)))
    assert ids_of(connectwise(server).invoices_dated_from(date(2026, 1, 1))) == list(range(1, count + 1))
    assert len(server.requests) == count // 1000 + 1
    assert all(asked(request)["pageSize"] == "1000" for request in server.requests)
    assert [asked(request).get("pageId") for request in server.requests] == [
        None, *(str(1000 * page) for page in range(1, count // 1000 + 1))
    ]  # fmt: skip


def test_the_time_of_a_page_is_that_of_connectwises_own_clock() -> None:
    """The Date header of the answer, for the watermark; None where there is none."""
    dated = connectwise(Server(answer(200, [], Date="Mon, 02 Mar 2026 09:00:00 GMT"))).invoices_dated_from(date.min)
    assert dated.fetch().at == utc("2026-03-02T09:00:00")
    assert connectwise(Server(answer(200, []))).invoices_dated_from(date.min).fetch().at is None


def test_a_failed_page_can_be_fetched_again_without_losing_one() -> None:
    """A retry of the task gets the page that failed, not the one after it."""
    good = listed(range(1, 1501))
    failing = iter([False, True, False])
    server = Server(lambda request: httpx.Response(401) if next(failing) else good(request))
    pages = connectwise(server).invoices_dated_from(date.min)
    first = pages.fetch()
    with pytest.raises(NotConfigured):
        pages.fetch()
    assert not pages.done
    assert len(first.records) + len(pages.fetch().records) == 1500
    assert pages.done


def by_id(numbers: list[int], honours_conditions: bool = True) -> Callable[[httpx.Request], httpx.Response]:
    """A server that ignores the forward-only mode: always the first page, in its own order, unless asked by id."""

    def serve(request: httpx.Request) -> httpx.Response:
        query = asked(request)
        after = re.search(r"id>(\d+)$", query.get("conditions", ""))
        found = numbers
        if honours_conditions and query.get("orderBy") == "id asc":
            found = sorted(number for number in numbers if not after or number > int(after[1]))
        return httpx.Response(200, json=[{"id": number} for number in found[:PAGE_SIZE]])

    return serve


@pytest.mark.parametrize(
    "numbers",
    [
        list(range(1, 2501)),
        # In the order of something else that looks like the order of ids for a whole page.
        [*range(1, 500), *range(501, 2501), 500],
        list(range(2500, 0, -1)),
        list(range(1, 1001)),
    ],
    ids=["by id", "nearly by id", "newest first", "one full page"],
)
def test_where_the_page_mode_is_ignored_every_record_is_read_once_by_id(numbers: list[int]) -> None:
    """The same page again, or ids out of order, mean that the mode is unknown: begin again with `id >`."""
    server = Server(by_id(numbers))
    found = ids_of(connectwise(server).invoices_dated_from(date(2026, 1, 1)))
    assert Counter(found) == Counter(numbers)
    last = server.requests[-1]
    assert "pagination-type" not in last.headers
    assert "pageId" not in asked(last)
    assert asked(last)["conditions"].startswith("(date>=[2026-01-01T00:00:00Z]) and id>")


@pytest.mark.parametrize("numbers", [list(range(1, 1001)), list(range(1000, 0, -1))])
def test_the_same_page_for_ever_comes_to_a_clear_end(numbers: list[int]) -> None:
    """A list that honours neither the mode nor conditions on ids cannot be read safely, and is not read for ever."""
    server = Server(by_id(numbers, honours_conditions=False))
    with pytest.raises(Unreachable, match="same page again and again") as caught:
        list(connectwise(server).invoices_dated_from(date(2026, 1, 1)))
    assert is_a_sentence(str(caught.value))
    assert len(server.requests) <= 4


def test_a_short_list_needs_no_order() -> None:
    """One short page is all there is, whatever its order: no further call."""
    server = Server(by_id([3, 1, 2]))
    assert ids_of(connectwise(server).invoices_dated_from(date.min)) == [3, 1, 2]
    assert len(server.requests) == 1


def test_a_list_that_refuses_the_page_mode_is_read_by_id() -> None:
    """Some endpoints answer 400 to forward-only paging; the same records come by `id >`."""
    system = SimulatedConnectWise(switches=ConnectWiseSwitches(forward_only_supported=False))
    for number in range(1100):
        system.add_tax_code(f"T{number}", f"Tax {number}", 10)
    client = simulated(system)
    assert len({record["id"] for record in client.tax_codes()}) == 1100
    assert client.calls == 3


@pytest.mark.parametrize("stranger", [None, "x", 7, [1]])
def test_what_is_no_record_is_an_unreadable_one_and_does_not_end_the_list(stranger: object) -> None:
    """A page of a thousand with one oddity is still a full page: the records after it are not lost."""
    first: list[object] = [{"id": number} for number in range(1, 1000)]
    server = Server(answer(200, [*first, stranger]), answer(200, [{"id": 1000}]))
    pages = connectwise(server).invoices_dated_from(date.min)
    assert pages.fetch().records[-1] == {}
    assert not pages.done
    assert pages.fetch().records == [{"id": 1000}]


def test_a_full_page_without_ids_cannot_be_followed() -> None:
    """Without ids there is no next page to ask for: better an error than a part that passes for the whole."""
    server = Server(answer(200, [{"invoiceNumber": "1"}] * 1000))
    with pytest.raises(Unreachable, match="without ids"):
        list(connectwise(server).invoices_dated_from(date.min))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 4000), unique=True, max_size=3000).map(sorted))
def test_pages_give_every_id_once_and_in_order(numbers: list[int]) -> None:
    """Whatever ids there are: none twice, none missing."""

    def read(after: int | None, _by_id: bool) -> Page:
        return Page([{"id": number} for number in numbers if number > (after or 0)][:PAGE_SIZE], None)

    assert ids_of(Pages(read)) == numbers


# Many ids


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(1, 10**12),
    step=st.integers(1, 10**6),
    count=st.integers(1, 3000),
    repeats=st.integers(0, 3),
    base=st.integers(0, 200),
    forward=st.booleans(),
)
def test_no_address_reaches_2000_characters_and_every_id_is_asked_exactly_once(
    first: int, step: int, count: int, repeats: int, base: int, forward: bool
) -> None:
    """Thousands of ids of any length, given more than once, in either mode of paging, behind a long address."""
    ids = list(range(first, first + step * count, step))
    asked_for: Counter[int] = Counter()
    longest = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal longest
        longest = max(longest, len(str(request.url)))
        if not forward and "pagination-type" in request.headers:
            return httpx.Response(400, json={"message": "Forward-only pagination is not supported here."})
        if "/time/" in request.url.path:
            inside = re.search(r"invoice/id in \(([\d,]+)\)", asked(request)["conditions"])
            assert inside is not None
            asked_for.update(int(number) for number in inside[1].split(","))
        return httpx.Response(200, json=[])

    url = f"https://api-au.example.net/{'x' * base}/apis/3.0"
    connectwise(serve, url=url).invoice_rows(ids + ids[:1] * repeats)
    assert longest < 2000
    assert asked_for == Counter(ids)


@pytest.mark.parametrize("forward", [True, False])
def test_the_address_of_a_second_page_is_no_longer_than_allowed_either(forward: bool) -> None:
    """What is added to ask for the next page, with ids of any length, has its room kept free."""
    last = 2**63 - 1000
    longest = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal longest
        longest = max(longest, len(str(request.url)))
        if not forward and "pagination-type" in request.headers:
            return httpx.Response(400, json={"message": "Forward-only pagination is not supported here."})
        first = "pageId" not in asked(request) and " and id>" not in asked(request)["conditions"]
        rows = [{"id": last + number, "invoice": {"id": 1}} for number in range(PAGE_SIZE if first else 0)]
        return httpx.Response(200, json=rows)

    for length in (1, 4, 7, 12):
        connectwise(serve).invoice_rows(range(10 ** (length - 1), 10 ** (length - 1) + 400))
    assert 1900 < longest < 2000


def test_rows_of_many_invoices_are_paged_and_grouped_by_invoice() -> None:
    """One call serves many invoices, is read to its end, and each row goes to its own invoice."""
    owners = {row: 1 + row % 3 for row in range(1, 2301)}

    def serve(request: httpx.Request) -> httpx.Response:
        if "/time/" not in request.url.path:
            return httpx.Response(200, json=[])
        after = int(asked(request).get("pageId", 0))
        rows = [{"id": row, "invoice": {"id": owner}} for row, owner in owners.items() if row > after]
        return httpx.Response(200, json=rows[:PAGE_SIZE])

    server = Server(serve)
    rows = connectwise(server).invoice_rows([1, 2, 3, 4])
    assert {owner: {row["id"] for row in found} for owner, found in rows.time.items()} == {
        wanted: {row for row, owner in owners.items() if owner == wanted} for wanted in (1, 2, 3)
    }
    assert (rows.expenses, rows.products) == ({}, {})
    assert len(server.requests) == 5


# The fields that are asked for


def simulated(system: SimulatedConnectWise, base: str = "/v4_6_release/apis/3.0") -> ConnectWiseClient:
    """A client in front of the simulated ConnectWise."""
    return ConnectWiseClient(
        f"http://localhost{base}", system.company, SecretStr(system.public_key), SecretStr(system.private_key),
        system.client_id, Wire("connectwise", httpx.Client(transport=transport(system)), None, None),
    )  # fmt: skip


def test_the_fields_that_are_asked_for_are_all_that_a_record_needs() -> None:
    """Records read with `fields` are the same as records of everything that ConnectWise has."""
    system = SimulatedConnectWise(clock=Clock())
    system.add_location("Sydney", id=11)
    system.add_tax_code("GST", "GST", 10)
    system.add_company("ACME", "Acme Pty Ltd", account_number="ACME01")
    number = system.add_invoice(
        invoiceNumber="40001", company="ACME", location="Sydney", date=date(2026, 3, 1), taxCode="GST",
        taxableFlag=True, status="Closed", customerPO="PO 7", reference="Ref",
        time=[{"invoiceHours": "2", "hourlyRate": "150.10", "notes": "Work"}],
        products=[{"quantity": "3", "price": "10.95", "description": "Cable", "taxableFlag": True}],
        expenses=[{"invoiceAmount": "12.50", "notes": "Taxi"}],
    )  # fmt: skip
    client = simulated(system)
    (header,) = client.invoices_by_id([number])
    rows = client.invoice_rows([number])
    assert Invoice.model_validate(header) == Invoice.model_validate(system.record("invoice", number))
    for record, kind, found in (
        (TimeEntry, "time", rows.time),
        (ExpenseEntry, "expense", rows.expenses),
        (Product, "product", rows.products),
    ):
        (given_row,) = found[number]
        (whole,) = system.rows(kind, number)
        assert record.model_validate(given_row) == record.model_validate(whole)
    (company,) = client.related(Company, [header["company"]["id"]])
    assert Company.model_validate(company) == Company.model_validate(system.record("company", company["id"]))
    (code,) = client.tax_codes()
    assert TaxCode.model_validate(code) == TaxCode.model_validate(system.record("tax_code", code["id"]))


def test_amounts_come_out_digit_for_digit() -> None:
    """Fractional numbers are Decimals from the JSON text; floats never exist."""
    body = b'[{"id": 1, "total": 1234567890.10, "subtotal": 0.1, "salesTax": 1e2}]'
    (record,) = connectwise(Server(answer(200, body))).invoices_by_id([1])
    assert (record["total"], record["subtotal"]) == (Decimal("1234567890.10"), Decimal("0.1"))
    assert str(record["total"]) == "1234567890.10"
    assert not any(isinstance(value, float) for value in record.values())


def test_a_byte_order_mark_before_the_data_is_no_obstacle() -> None:
    """Some gateways put one there."""
    body = b'\xef\xbb\xbf [{"id": 1}] \r\n'
    assert connectwise(Server(answer(200, body))).invoices_by_id([1]) == [{"id": 1}]


# Where the API is


def discovering(*answers: Any) -> Server:
    """A server that answers discovery with the codebase, and lists with the given answers in turn."""
    lists = iter(answers)

    def serve(request: httpx.Request) -> httpx.Response:
        if "/login/companyinfo/" in request.url.path:
            return httpx.Response(200, json=CODEBASE)
        found: Callable[[httpx.Request], httpx.Response] = next(lists)
        return found(request)

    return Server(serve)


@pytest.mark.parametrize(
    "url", ["https://api-au.example.net", "https://api-au.example.net/", "https://api-au.example.net/v2024_3"]
)
def test_the_codebase_is_looked_up_where_the_address_is_only_a_host(url: str) -> None:
    """Discovery goes to the host that people see, without credentials; the API is below the codebase it names."""
    server = discovering(answer(200, []))
    connectwise(server, url=url).tax_codes()
    discovery, listing = server.requests
    assert str(discovery.url) == "https://au.example.net/login/companyinfo/acme"
    assert "Authorization" not in discovery.headers
    assert str(listing.url).startswith("https://api-au.example.net/v2025_1/apis/3.0/finance/taxCodes?")
    assert "Authorization" in listing.headers


def test_a_company_with_odd_letters_is_asked_for_as_it_is_written() -> None:
    """The company stands in a path: it is percent-encoded."""
    server = discovering()
    connectwise(server, url="https://api-au.example.net", company="acme/co 1")
    assert server.addresses == ["https://au.example.net/login/companyinfo/acme%2Fco%201"]


@pytest.mark.parametrize("unknown", [answer(200, b"null"), answer(404), answer(200, {}), answer(200, {"Codebase": ""})])
def test_an_unknown_company_is_a_sentence_about_the_configuration(
    unknown: Callable[[httpx.Request], httpx.Response],
) -> None:
    """`null`, 404 and an answer without a codebase mean the same: check url and company."""
    with pytest.raises(NotConfigured, match=r"does not know the company 'acme' .*check \[connectwise\] url") as caught:
        connectwise(Server(unknown), url="https://api-au.example.net")
    assert is_a_sentence(str(caught.value))
    assert caught.value.exit_code == 2


def test_after_an_upgrade_the_new_codebase_is_found_once_and_the_call_repeated_once() -> None:
    """404 at the old address: discovery, the same call at the new one, and that one from then on."""
    server = discovering(answer(404), answer(200, []), answer(200, []))
    client = connectwise(server, url="https://api-au.example.net/v2024_3/apis/3.0")
    client.tax_codes()
    client.tax_codes()
    assert [urlsplit(address).path.split("/")[1] for address in server.addresses] == [
        "v2024_3", "login", "v2025_1", "v2025_1"
    ]  # fmt: skip


def test_a_404_that_no_upgrade_explains_ends_after_one_discovery() -> None:
    """The codebase is the one we use: nothing is repeated, and the sentence names keys and company too."""
    server = discovering(answer(404))
    with pytest.raises(NotConfigured, match="wrong keys and a wrong company answer like this too"):
        connectwise(server, url="https://api-au.example.net/v2025_1/apis/3.0").tax_codes()
    assert len(server.requests) == 2


def test_a_404_at_the_new_codebase_too_is_not_followed_any_further() -> None:
    """One discovery and one repetition per call, never a loop."""
    server = discovering(answer(404), answer(404))
    with pytest.raises(NotConfigured):
        connectwise(server).tax_codes()
    assert len(server.requests) == 3


def test_several_threads_that_meet_an_upgrade_look_once_and_all_go_on() -> None:
    """Rows are read by several threads; whoever gets the 404 second uses what the first one found."""
    both = threading.Barrier(3, timeout=10)
    discoveries = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal discoveries
        if "/login/" in request.url.path:
            discoveries += 1
            return httpx.Response(200, json=CODEBASE)
        if "/v2024_3/" in request.url.path:
            both.wait()
            return httpx.Response(404)
        return httpx.Response(200, json=[{"id": 1, "invoice": {"id": 5}}])

    rows = connectwise(serve, url="https://api-au.example.net/v2024_3/apis/3.0").invoice_rows([5])
    assert (len(rows.time[5]), len(rows.expenses[5]), len(rows.products[5])) == (1, 1, 1)
    assert discoveries == 1


def test_the_simulated_connectwise_is_read_in_both_of_its_modes() -> None:
    """On-premise and cloud: the constant codebase, the tenant's own, and discovery all lead to the same records."""
    for mode in ("on_premise", "cloud"):
        system = SimulatedConnectWise(switches=ConnectWiseSwitches(mode=mode))
        system.add_tax_code("GST", "GST", 10)
        for base in ("/v4_6_release/apis/3.0", "/v2025_1/apis/3.0", "/v2023_1/apis/3.0", ""):
            assert len(simulated(system, base).tax_codes()) == 1
