"""Reading Xero: what is asked, paging, look-ups by number, limits and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.failures import CannotGoOn, LimitReached, NotConfigured, Unreachable
from blocks.wire import Retries
from blocks.xero.client import XeroClient, ids_per_call
from blocks.xero.credentials import MemoryTokenStore, XeroCredentials
from deployments.sandbox.xero import Limits, Organisation, SimulatedXero
from mappings.kinds import CREDIT_NOTE, INVOICE
from mappings.xero import fold
from tests.blocks.support import (
    TENANT,
    Answer,
    Server,
    answer,
    assert_no_secret,
    failing,
    is_a_sentence,
    keeper,
    kept_text,
    new_tokens,
    no_secret_logged,
    told,
    xero,
    xero_limiter,
)
from tests.worlds import Clock, transport


def query(request: httpx.Request) -> dict[str, str]:
    """The query of a request, each parameter once."""
    found = parse_qs(request.url.query.decode(), keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def envelope(key: str, *elements: Any, **more: Any) -> Answer:
    """A good answer."""
    return answer(200, {"Status": "OK", key: list(elements)} | more)


READS: dict[str, tuple[str, Callable[[XeroClient], Any]]] = {
    "organisation": ("Organisations", lambda client: client.organisation(TENANT)),
    "accounts": ("Accounts", lambda client: client.accounts(TENANT)),
    "tax_rates": ("TaxRates", lambda client: client.tax_rates(TENANT)),
    "currencies": ("Currencies", lambda client: client.currencies(TENANT)),
    "contacts": ("Contacts", lambda client: client.contacts(TENANT)),
    "documents_since": ("Invoices", lambda client: list(client.documents_since(TENANT, INVOICE, date(2026, 1, 1)))),
    "documents_by_id": ("Invoices", lambda client: client.documents_by_id(TENANT, INVOICE, ["a"])),
    "documents_by_number": ("Invoices", lambda client: client.documents_by_number(TENANT, INVOICE, ["40001", "4,1"])),
}


@pytest.mark.parametrize("name", READS)
def test_every_read_names_the_organisation_wants_json_and_carries_the_token(
    name: str, audit: Audit, clock: Clock
) -> None:
    """Xero-tenant-id, Accept (XML is the default) and the bearer token; GET, and no Idempotency-Key."""
    key, call = READS[name]
    server = Server(envelope(key, {"Name": "x"}), envelope(key))
    call(xero(audit, clock, server))
    for request in server.requests:
        assert request.method == "GET"
        assert request.headers["Xero-tenant-id"] == TENANT
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Authorization"] == "Bearer canary-access-0"
        assert "Idempotency-Key" not in request.headers
        if "Invoices" in request.url.path:
            assert query(request)["unitdp"] == "4"


@pytest.mark.parametrize(
    ("custom", "tenant", "sent"), [(False, TENANT, TENANT), (False, "", ""), (True, TENANT, TENANT), (True, "", None)]
)
def test_only_a_custom_connection_may_leave_the_organisation_unnamed(
    audit: Audit, clock: Clock, custom: bool, tenant: str, sent: str | None
) -> None:
    """It has exactly one; any other app always says which."""
    server = Server(envelope("Accounts"))
    xero(audit, clock, server, custom_connection=custom).accounts(tenant)
    assert server.requests[0].headers.get("Xero-tenant-id") == sent


# Paging


def paged(elements: list[dict[str, Any]], path: str, pagination: bool = True, at_most: int = 1000) -> Answer:
    """A server of a list, `page` and `pageSize` as Xero has them."""

    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/api.xro/2.0/{path}"
        asked = query(request)
        size, page = min(int(asked["pageSize"]), at_most), int(asked["page"])
        found = elements[(page - 1) * size : page * size]
        body: dict[str, Any] = {path: found}
        if pagination:
            body["pagination"] = {"page": page, "pageSize": size, "pageCount": -(-len(elements) // size)}
        return httpx.Response(200, json=body)

    return serve


@pytest.mark.parametrize("pagination", [True, False])
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_lists_are_read_to_their_end(audit: Audit, clock: Clock, count: int, pagination: bool) -> None:
    """By the page count where Xero gives one, else until a page is short."""
    contacts = [{"ContactID": str(number)} for number in range(count)]
    server = Server(paged(contacts, "Contacts", pagination))
    assert xero(audit, clock, server).contacts(TENANT) == contacts
    assert all(query(request)["pageSize"] == "1000" for request in server.requests)
    assert len(server.requests) == (max(-(-count // 1000), 1) if pagination else count // 1000 + 1)


def test_a_server_that_gives_smaller_pages_than_asked_for_is_read_to_its_end_all_the_same(
    audit: Audit, clock: Clock
) -> None:
    """A page of 100 where 1,000 were asked for is not the whole list when the page count says otherwise."""
    contacts = [{"ContactID": str(number)} for number in range(350)]
    assert xero(audit, clock, Server(paged(contacts, "Contacts", at_most=100))).contacts(TENANT) == contacts


def test_the_same_page_for_ever_comes_to_a_clear_end(audit: Audit, clock: Clock) -> None:
    """A server that does not know `page` would be read for ever."""
    page = [{"ContactID": str(number)} for number in range(1000)]
    server = Server(answer(200, {"Contacts": page}))
    with pytest.raises(Unreachable, match="same page of Contacts again and again"):
        xero(audit, clock, server).contacts(TENANT)
    assert len(server.requests) == 2


@pytest.mark.parametrize("since", [datetime(2026, 3, 2, 19, 15, 42, 987654, timezone(timedelta(hours=10))), None])
def test_if_modified_since_is_whole_seconds_of_utc_without_an_offset(
    audit: Audit, clock: Clock, since: datetime | None
) -> None:
    """Milliseconds or an offset would make Xero ignore the header without a word."""
    server = Server(envelope("Contacts"))
    xero(audit, clock, server).contacts(TENANT, since)
    assert server.requests[0].headers.get("If-Modified-Since") == ("2026-03-02T09:15:42" if since else None)
    assert query(server.requests[0])["includeArchived"] == "true"


def test_amounts_are_decimals_from_the_text(audit: Audit, clock: Clock) -> None:
    """A total of 1234567890.10 keeps its digits, and its document is kept as text with them."""
    body = b'{"Invoices": [{"InvoiceID": "a", "Type": "ACCREC", "InvoiceNumber": "40001", "Total": 1234567890.10}]}'
    found = xero(audit, clock, Server(answer(200, body))).documents_by_number(TENANT, INVOICE, ["40001"])
    assert found["40001"][0].total == Decimal("1234567890.10")
    assert "1234567890.10" in found["40001"][0].text


def test_sales_are_read_in_an_order_that_edits_do_not_change(audit: Audit, clock: Clock) -> None:
    """By default Xero orders by the time of the last change: what is touched meanwhile would jump over a page."""
    server = Server(envelope("Invoices"))
    list(xero(audit, clock, server).documents_since(TENANT, INVOICE, date(2026, 1, 9)))
    asked = query(server.requests[0])
    assert asked["order"] == "InvoiceID"
    assert asked["where"] == 'Type=="ACCREC" AND Date>=DateTime(2026,01,09)'
    list(xero(audit, clock, server).documents_since(TENANT, INVOICE, date(2026, 1, 9), date(2026, 2, 1)))
    assert query(server.requests[1])["where"] == f"{asked['where']} AND Date<=DateTime(2026,02,01)"


def test_documents_are_read_by_id_in_batches_of_fifty(audit: Audit, clock: Clock) -> None:
    """With `page`, without which no lines would come; none for none."""
    server = Server(envelope("Invoices"))
    client = xero(audit, clock, server)
    client.documents_by_id(TENANT, INVOICE, [f"{number:036}" for number in range(60)])
    asked = [query(request) for request in server.requests]
    assert [(len(each["IDs"].split(",")), each["page"]) for each in asked] == [(50, "1"), (10, "1")]
    assert client.documents_by_id(TENANT, INVOICE, []) == {} and len(server.requests) == 2


# Look-ups by number


def test_numbers_are_looked_up_in_batches_of_fifty_each_asked_once(audit: Audit, clock: Clock) -> None:
    """120 numbers are three calls; a number that is given twice is asked for once; nothing is asked for none."""
    server = Server(envelope("Invoices"))
    client = xero(audit, clock, server)
    numbers = [str(40000 + number) for number in range(120)]
    client.documents_by_number(TENANT, INVOICE, [*numbers, *numbers[:7]])
    batches = [query(request)["InvoiceNumbers"].split(",") for request in server.requests]
    assert [len(batch) for batch in batches] == [50, 50, 20]
    assert [number for batch in batches for number in batch] == numbers
    assert client.documents_by_number(TENANT, INVOICE, []) == {}
    assert client.documents_by_number(TENANT, INVOICE, ["", "  "]) == {}
    assert len(server.requests) == 3


def books(clock: Clock) -> tuple[SimulatedXero, Organisation]:
    """A simulated Xero with one organisation and one customer."""
    system = SimulatedXero(clock=clock)
    system.limits = Limits.none()
    return system, system.add_organisation("Sydney", tenant_id=TENANT)


def simulated(system: SimulatedXero, audit: Audit, clock: Clock, **settings: Any) -> XeroClient:
    """A client from the credentials block in front of the simulated Xero."""
    block = XeroCredentials(
        client_id="sandbox-client", client_secret=SecretStr("sandbox-secret"), organisations={"Sydney": TENANT},
        api_url="http://localhost", identity_url="http://localhost",
        configured_refresh_token=SecretStr("sandbox-refresh-0"), **settings,
    )  # fmt: skip
    return block.get_client(MemoryTokenStore(), audit, "run-1", clock, transport=transport(system), sleep=clock.sleep)


def enter(organisation: Organisation, contact: str, number: str, **fields: Any) -> dict[str, Any]:
    """An invoice that a person enters."""
    return organisation.enter_invoice(
        **{
            "Type": "ACCREC",
            "InvoiceNumber": number,
            "Contact": {"ContactID": contact},
            "Date": "2026-03-01",
            "DueDate": "2026-03-31",
            "LineItems": [{"Description": "x", "Quantity": 1, "UnitAmount": "10.00", "AccountCode": "200"}],
        }
        | fields
    )


ODD = ("4,1", "4,2", "O'Brien, 7", '24" rack, no. 3', "40 001", "a&b=c", "100%", "40+01", "INV-é", " blank ends ")


def test_numbers_with_commas_quotes_and_blank_ends_are_found_and_no_others(audit: Audit, clock: Clock) -> None:
    """A comma separates numbers in the list that Xero takes; such numbers are asked for by themselves."""
    from deployments.sandbox.xero import XeroSwitches

    system, organisation = books(clock)
    system.switches = XeroSwitches(ascii_numbers=False)
    contact = organisation.add_contact("Acme")["ContactID"]
    for number in (*ODD, "4", "1", "7", "24"):
        enter(organisation, contact, number)
    found = simulated(system, audit, clock).documents_by_number(TENANT, INVOICE, ODD)
    assert set(found) == {fold(number) for number in ODD}
    assert all(len(documents) == 1 for documents in found.values())


# Credit notes: their list takes neither ids nor numbers as parameters, so both are conditions


def test_credit_notes_are_asked_for_by_conditions_that_fit_into_an_address(audit: Audit, clock: Clock) -> None:
    server = Server(envelope("CreditNotes"))
    client = xero(audit, clock, server)
    ids = [f"{number:08}-0000-4000-8000-000000000001" for number in range(60)]
    client.documents_by_id(TENANT, CREDIT_NOTE, [*ids, *ids[:5]])
    asked = [query(request) for request in server.requests]
    parts = [each["where"].split(" OR ") for each in asked]
    assert [part for one in parts for part in one] == [f'CreditNoteID==Guid("{each}")' for each in ids]
    assert max(map(len, parts)) == ids_per_call(CREDIT_NOTE) > 20 and ids_per_call(INVOICE) == 50
    assert {(each["page"], each["order"]) for each in asked} == {("1", "CreditNoteID")}
    client.documents_by_number(TENANT, CREDIT_NOTE, [f"CM-{number}" for number in range(120)])
    assert all(len(str(request.url)) < 2000 for request in server.requests)
    assert client.documents_by_id(TENANT, CREDIT_NOTE, []) == {}
    assert client.documents_by_number(TENANT, CREDIT_NOTE, ["", "  "]) == {}


def test_credit_notes_are_found_whatever_their_number_says_and_no_others(audit: Audit, clock: Clock) -> None:
    """A quote cannot stand in a condition for certain; a comma can. Suppliers' credit notes are none of ours."""
    from deployments.sandbox.xero import XeroSwitches

    system, organisation = books(clock)
    system.switches = XeroSwitches(ascii_numbers=False)
    contact = organisation.add_contact("Acme")["ContactID"]
    made = {}
    for number in (*ODD, "4", "1", "7", "24"):
        given = {"Type": "ACCRECCREDIT", "CreditNoteNumber": number, "Contact": {"ContactID": contact}}
        made[number] = organisation.enter_credit_note(**given, Date="2026-03-01")["CreditNoteID"]
    organisation.enter_credit_note(Type="ACCPAYCREDIT", CreditNoteNumber="4,1", Contact={"ContactID": contact})
    organisation.delete(made["4,2"])
    client = simulated(system, audit, clock)
    found = client.documents_by_number(TENANT, CREDIT_NOTE, ODD)
    assert {number: [each.xero_id for each in documents] for number, documents in found.items()} == {
        fold(number): [made[number]] for number in ODD
    }
    assert found["4,2"][0].status == "DELETED"
    assert client.documents_by_id(TENANT, CREDIT_NOTE, list(made.values())).keys() == set(made.values())
    since = [each for page in client.documents_since(TENANT, CREDIT_NOTE, date(2026, 1, 1)) for each in page]
    assert {each.xero_id for each in since} == set(made.values())


def test_dead_documents_are_found_bills_are_not_and_case_does_not_count(audit: Audit, clock: Clock) -> None:
    """A voided invoice still has its number; a bill with the same number is another thing."""
    system, organisation = books(clock)
    contact = organisation.add_contact("Acme")["ContactID"]
    voided = enter(organisation, contact, "INV-1", Status="AUTHORISED")
    organisation.void(voided["InvoiceID"])
    enter(organisation, contact, "inv-2")
    enter(organisation, contact, "INV-2", Type="ACCPAY")
    found = simulated(system, audit, clock).documents_by_number(TENANT, INVOICE, ["INV-1", "INV-2", "INV-3"])
    assert {number: [each.status for each in documents] for number, documents in found.items()} == {
        "inv-1": ["VOIDED"], "inv-2": ["DRAFT"]
    }  # fmt: skip


def test_a_look_up_of_more_documents_than_a_page_holds_is_read_to_its_end(audit: Audit, clock: Clock) -> None:
    """One number may stand on many bills; the invoice behind them on the second page is found."""
    bills = [{"InvoiceID": f"b{n}", "Type": "ACCPAY", "InvoiceNumber": "40001"} for n in range(130)]
    invoice = {"InvoiceID": "a", "Type": "ACCREC", "InvoiceNumber": "40001"}
    found = xero(audit, clock, Server(paged([*bills, invoice], "Invoices"))).documents_by_number(
        TENANT, INVOICE, ["40001"]
    )
    assert [each.xero_id for each in found["40001"]] == ["a"]


def test_the_sales_of_a_simulated_year_are_read_with_their_lines(audit: Audit, clock: Clock) -> None:
    """From a date on, sales only, dead ones too."""
    system, organisation = books(clock)
    contact = organisation.add_contact("Acme")["ContactID"]
    enter(organisation, contact, "old", Date="2025-12-31")
    enter(organisation, contact, "new")
    enter(organisation, contact, "bill", Type="ACCPAY")
    pages = list(simulated(system, audit, clock).documents_since(TENANT, INVOICE, date(2026, 1, 1)))
    assert [each.number for page in pages for each in page] == ["new"]
    assert '"LineItems":[{' in pages[0][0].text


# What goes wrong

LOGIN_PAGE = b"<!doctype html><html><body>Sign in</body></html>"

FAILURES: dict[str, tuple[Answer, type[CannotGoOn], tuple[str, ...], int]] = {
    "a web page": (answer(200, LOGIN_PAGE), Unreachable, ("gives no readable answer (200)", "[xero] api_url"), 4),
    "cut short": (answer(200, b'{"Accounts": [{'), Unreachable, ("no readable answer",), 4),
    "null": (answer(200, b"null"), Unreachable, ("no readable answer",), 4),
    "another list": (envelope("Invoices"), Unreachable, ("has no Accounts",), 1),
    "302": (answer(302, b"", Location="https://sso.example.com/x"), Unreachable, ("sent on to https://sso",), 4),
    "400": (answer(400, {"Message": "Bad where"}), Unreachable, ("refused /Accounts (400 Bad where)",), 1),
    "403": (
        answer(403, {"Detail": "AuthenticationUnsuccessful"}),
        NotConfigured,
        (f"refuses the organisation {TENANT} (403 AuthenticationUnsuccessful)", "`tieout connect xero`", "tenant_id"),
        1,
    ),
    "401, scope": (
        answer(401, {"Title": "Unauthorized"}, WWW_Authenticate='Bearer error="insufficient_scope"'),
        NotConfigured,
        ("a scope is missing", "`tieout connect xero`"),
        1,
    ),
    "401 with a new token": (answer(401), NotConfigured, ("a token that it has just given us (401)", "api_url"), 2),
    "404": (answer(404), NotConfigured, ("does not know /Accounts (404)", "https://api.xero.com"), 1),
    "429": (answer(429, b"", Retry_After="26", X_Rate_Limit_Problem="minute"), Unreachable, ("(429)",), 4),
    "500": (answer(500), Unreachable, ("an error of its own (500)", "next cycle"), 4),
    "503": (
        answer(503, b"The Xero API is currently offline for maintenance"),
        Unreachable,
        ("(503 The Xero API is currently offline for maintenance)",),
        4,
    ),
    "refused": (
        failing(httpx.ConnectError, "[Errno 111] Connection refused"),
        Unreachable,
        ("(Connection refused)",),
        4,
    ),
    "timed out": (failing(httpx.ReadTimeout), Unreachable, ("api.example.com does not answer (timed out)",), 4),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_of_a_read_ends_in_one_sentence_with_the_cure_and_no_secret_anywhere(
    name: str, audit: Audit, clock: Clock, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    """Right class and exit code, bounded attempts; nothing leaks into log, audit or error."""
    bad, kind, words, calls = FAILURES[name]
    server = Server(bad)
    tokens = keeper(audit, clock, Server(new_tokens(1)), exchanges=exchanges)
    client = xero(audit, clock, server, tokens=tokens, exchanges=exchanges)
    with no_secret_logged(caplog), pytest.raises(kind) as caught:
        client.accounts(TENANT)
    sentence = str(caught.value)
    assert is_a_sentence(sentence), sentence
    assert all(part in sentence for part in words), sentence
    assert caught.value.exit_code == (2 if kind is NotConfigured else 1)
    assert len(server.requests) == calls
    assert_no_secret(told(caught.value), repr(caught.value), kept_text(audit))


def test_an_organisation_list_without_an_organisation_is_no_crash(audit: Audit, clock: Clock) -> None:
    """An envelope with an empty list: a sentence."""
    with pytest.raises(Unreachable, match="without an organisation"):
        xero(audit, clock, Server(envelope("Organisations"))).organisation(TENANT)


@pytest.mark.parametrize("total", ["a lot", "NaN?", {}])
def test_a_document_that_cannot_be_read_is_named(audit: Audit, clock: Clock, total: object) -> None:
    """A number that is none: the sentence says which document."""
    element = {"InvoiceID": "a", "Type": "ACCREC", "InvoiceNumber": "40001", "Total": total, "Date": "/Date(x)/"}
    with pytest.raises(Unreachable, match=r"cannot be read \(40001\)"):
        xero(audit, clock, Server(envelope("Invoices", element))).documents_by_number(TENANT, INVOICE, ["40001"])


def test_an_expired_token_is_renewed_once_and_the_call_repeated_with_the_new_one(audit: Audit, clock: Clock) -> None:
    """401, a refresh, the same call again; the client goes on with the new token."""
    server = Server(answer(401), envelope("Accounts", {"Code": "200"}), envelope("Accounts"))
    identity = Server(new_tokens(1))
    client = xero(audit, clock, server, tokens=keeper(audit, clock, identity))
    assert client.accounts(TENANT) == [{"Code": "200"}]
    client.accounts(TENANT)
    sent = [request.headers["Authorization"][-1] for request in server.requests]
    assert (sent, len(identity.requests)) == (["0", "1", "1"], 1)


@pytest.mark.parametrize("bad", [answer(500), answer(503, b"", Retry_After="12"), answer(200, LOGIN_PAGE)])
def test_a_read_is_tried_again_after_errors_of_xeros_own(audit: Audit, clock: Clock, bad: Answer) -> None:
    """Reading twice harms nobody; Retry-After is kept where there is one."""
    began = clock()
    server = Server(bad, envelope("Accounts", {"Code": "200"}))
    assert xero(audit, clock, server).accounts(TENANT) == [{"Code": "200"}]
    waited = (clock() - began).total_seconds()
    assert waited == 12 if "Retry-After" in bad(httpx.Request("GET", "http://x")).headers else 0.25 <= waited <= 0.5


# Limits


def limited(audit: Audit, clock: Clock, server: Server, **settings: Any) -> XeroClient:
    """A client with a limiter of its own over the shared audit."""
    return xero(audit, clock, server, limiter=xero_limiter(audit, clock, **settings), retries=Retries(1))


def test_a_minute_limit_is_waited_for_by_all_clients_of_this_organisation_and_by_no_other(
    audit: Audit, clock: Clock
) -> None:
    """Retry-After: 26 told to one client; another of the same app and organisation waits it out first."""
    with pytest.raises(Unreachable):
        limited(audit, clock, Server(answer(429, b"", Retry_After="26"))).accounts(TENANT)
    began = clock()
    limited(audit, clock, Server(envelope("Accounts"))).accounts("another")
    assert clock() == began
    limited(audit, clock, Server(envelope("Accounts"))).accounts(TENANT)
    assert clock() - began == timedelta(seconds=26)


@pytest.mark.parametrize(
    ("given", "until"),
    [
        ({"Retry-After": "66975"}, "2026-03-03 03:36"),
        ({}, "2026-03-02 10:00"),
        ({"Retry-After": "1e99"}, "2026-03-03 09:00"),
    ],
)
def test_a_day_limit_defers_at_once_and_for_every_client(
    audit: Audit, clock: Clock, given: dict[str, str], until: str
) -> None:
    """No sleep, no second call, and the sentence says until when; without Retry-After an hour is assumed."""
    began = clock()
    day = answer(429, b"", **{"X-Rate-Limit-Problem": "day"} | given)
    for server in (Server(day), Server(envelope("Accounts"))):
        with pytest.raises(LimitReached, match=f"Xero's day limit is used up until about {until} UTC"):
            limited(audit, clock, server).accounts(TENANT)
    assert server.requests == []
    assert clock() == began
    clock.advance(days=1)
    limited(audit, clock, server).accounts(TENANT)


def test_a_minute_limit_that_lasts_longer_than_a_cycle_waits_defers_too(audit: Audit, clock: Clock) -> None:
    """Whatever the header calls it: nobody sleeps for hours in a worker."""
    server = Server(answer(429, b"", Retry_After="61", X_Rate_Limit_Problem="minute"))
    with pytest.raises(LimitReached, match="limit of calls is used up until about 2026-03-02 09:01 UTC"):
        limited(audit, clock, server).accounts(TENANT)


def test_too_many_at_once_is_tried_again_after_a_short_wait(audit: Audit, clock: Clock) -> None:
    """The concurrent limit comes without Retry-After: our own short waits do."""
    began = clock()
    server = Server(answer(429, b"", X_Rate_Limit_Problem="concurrent"), envelope("Accounts"))
    xero(audit, clock, server, limiter=xero_limiter(audit, clock)).accounts(TENANT)
    assert timedelta(seconds=0.25) <= clock() - began <= timedelta(seconds=0.5)


def test_the_days_reserve_is_kept_for_force_sync(audit: Audit, clock: Clock) -> None:
    """When the header says that only the reserve is left, cycles stop and a forced one goes on."""
    server = Server(answer(200, {"Accounts": []}, X_DayLimit_Remaining="50"))
    limited(audit, clock, server, day_reserve=50).accounts(TENANT)
    with pytest.raises(LimitReached, match="the calls kept for force-sync"):
        limited(audit, clock, server, day_reserve=50).accounts(TENANT)
    limited(audit, clock, server, day_reserve=0).accounts(TENANT)
    assert len(server.requests) == 2


@pytest.mark.parametrize("left", ["51", "", "many", "-1", "²"])
def test_a_day_with_enough_left_or_an_unreadable_figure_stops_nobody(audit: Audit, clock: Clock, left: str) -> None:
    """Only a number at or below the reserve counts."""
    headers = [(b"X-DayLimit-Remaining", left.encode())]
    server = Server(lambda _request: httpx.Response(200, headers=headers, json={"Accounts": []}))
    for _ in range(2):
        limited(audit, clock, server, day_reserve=50).accounts(TENANT)
    assert len(server.requests) == 2


def test_the_simulated_xero_never_sees_more_than_its_limits(audit: Audit, clock: Clock) -> None:
    """130 calls through the limiter of the block: no 429, by the simulator's own count."""
    system, organisation = books(clock)
    system.limits = Limits()
    client = simulated(system, audit, clock)
    for _ in range(130):
        client.accounts(TENANT)
    seen = system.statistics_of(organisation.tenant_id)
    assert (seen.refused_429, seen.calls) == (0, 130)
    assert seen.most_per_minute <= 58
