"""The simulated Xero behaves like Xero, as far as public sources say how Xero behaves."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from deployments.sandbox.server import serve
from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero import Limits, SimulatedXero, XeroSwitches
from tests.sandbox.xero_client import (
    START,
    ZERO_GUID,
    Client,
    Json,
    Moving,
    World,
    bill,
    bill_line,
    check,
    contact_id,
    line,
    loaded,
    messages,
    official,
    sale,
    token_call,
)

# --- identity -----------------------------------------------------------------------------------------------------


def test_a_refresh_gives_half_an_hour_of_access_and_a_new_refresh_token(client: Client) -> None:
    """The pair rotates on every refresh."""
    status, body = token_call(client.xero, grant_type="refresh_token", refresh_token=client.refresh)
    assert (status, body["expires_in"], body["token_type"]) == (200, 1800, "Bearer")
    assert body["refresh_token"] not in ("sandbox-refresh-0", client.refresh)


def test_a_used_refresh_token_works_for_thirty_minutes_more(client: Client, clock: Moving) -> None:
    """A lost reply to a refresh does not cost the connection, if the client is back within the grace."""
    clock.advance(minutes=29)
    status, body = token_call(client.xero, grant_type="refresh_token", refresh_token="sandbox-refresh-0")
    assert status == 200
    assert token_call(client.xero, grant_type="refresh_token", refresh_token=body["refresh_token"])[0] == 200
    clock.advance(minutes=2)
    late = token_call(client.xero, grant_type="refresh_token", refresh_token="sandbox-refresh-0")
    assert late == (400, {"error": "invalid_grant"})


def test_a_refresh_token_dies_after_sixty_days_without_use(client: Client, clock: Moving) -> None:
    """An app that slept for too long must ask for consent again."""
    clock.advance(days=61)
    answer = token_call(client.xero, grant_type="refresh_token", refresh_token=client.refresh)
    assert answer == (400, {"error": "invalid_grant"})


def test_the_token_endpoint_names_each_kind_of_mistake(client: Client) -> None:
    """Every mistake is a 400 with its own word."""
    good = {"grant_type": "refresh_token", "refresh_token": client.refresh}
    assert token_call(client.xero, None, **good) == (400, {"error": "invalid_request"})
    assert token_call(client.xero, "sandbox-client:wrong", **good) == (400, {"error": "invalid_client"})
    assert token_call(client.xero, "nobody:sandbox-secret", **good) == (400, {"error": "invalid_client"})
    assert token_call(client.xero, ":", **good) == (400, {"error": "invalid_request"})
    assert token_call(client.xero, grant_type="client_credentials") == (400, {"error": "unauthorized_client"})
    assert token_call(client.xero, grant_type="refresh_token", refresh_token="?") == (400, {"error": "invalid_grant"})
    json_body = client.xero(Request.build("POST", "/connect/token", "", {"Content-Type": "application/json"}, b"{}"))
    assert (json_body.status, loaded(json_body)) == (400, {"error": "invalid_request"})


def test_a_code_is_exchanged_once_for_the_right_redirect_and_verifier(client: Client) -> None:
    """The authorization code grant with PKCE."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    scopes = ("accounting.invoices", "offline_access")
    there = "http://localhost/back"

    def exchange(code: str, redirect: str = there, proof: str = verifier) -> tuple[int, Json]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": proof}
        return token_call(client.xero, None, client_id="sandbox-client", **form)

    code = client.xero.issue_code(there, scopes, challenge)
    assert exchange(client.xero.issue_code(there, scopes, challenge), "http://elsewhere/")[0] == 400
    assert exchange(client.xero.issue_code(there, scopes, challenge), proof="w" * 43)[0] == 400
    status, body = exchange(code)
    assert status == 200
    assert body["scope"] == "accounting.invoices offline_access"
    assert exchange(code) == (400, {"error": "invalid_grant"})
    again = token_call(
        client.xero, None, client_id="sandbox-client", grant_type="refresh_token", refresh_token=body["refresh_token"]
    )
    assert again[0] == 200


def test_the_consent_page_sends_the_browser_back_with_a_code_and_the_state(client: Client) -> None:
    """A demo can walk through the whole consent."""
    query = {
        "response_type": "code",
        "client_id": "sandbox-client",
        "redirect_uri": "http://localhost/back",
        "scope": "accounting.invoices offline_access",
        "state": "s1",
    }
    answer = client.xero(Request.build("GET", "/identity/connect/authorize", urllib.parse.urlencode(query)))
    back = urllib.parse.urlsplit(answer.headers["Location"])
    given = dict(urllib.parse.parse_qsl(back.query))
    assert (answer.status, back.path, given["state"]) == (302, "/back", "s1")
    form = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": "http://localhost/back"}
    assert token_call(client.xero, **form)[0] == 200


def consent(xero: SimulatedXero, **changed: str) -> Response:
    """What the browser gets for a good request to consent, with something changed."""
    query = {
        "response_type": "code",
        "client_id": "sandbox-client",
        "redirect_uri": "http://localhost:8765/callback",
        "scope": "accounting.invoices offline_access",
        "state": "s1",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    return xero(Request.build("GET", "/identity/connect/authorize", urllib.parse.urlencode(query | changed)))


def test_a_user_who_declines_is_sent_back_with_access_denied(client: Client) -> None:
    """No code, but the state."""
    client.xero.identity.user = "declines"
    answer = consent(client.xero)
    assert answer.headers["Location"] == "http://localhost:8765/callback?error=access_denied&state=s1"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"client_id": "nobody"}, "unauthorized_client : Unknown client"),
        ({"redirect_uri": "http://localhost:8765/callback/"}, "Invalid redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1:8765/callback"}, "Invalid redirect_uri"),
        ({"redirect_uri": "http://tieout.example.com/callback"}, "Invalid redirect_uri"),
        ({"scope": "accounting.transactions"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"response_type": "token"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_what_is_wrong_with_the_request_itself_ends_on_an_error_screen(
    client: Client, changed: dict[str, str], words: str
) -> None:
    """The app never hears of it; a registered address of http has the host localhost, and is compared as a whole."""
    client.xero.identity.redirect_uris = frozenset(
        {"http://localhost:8765/callback", "http://127.0.0.1:8765/callback", "http://tieout.example.com/callback"}
    )
    answer = consent(client.xero, **changed)
    assert (answer.status, "Location" in answer.headers) == (500, False)
    assert words in answer.body.decode()
    assert consent(client.xero).status == 302


def test_an_unassigned_scope_may_also_be_sent_back(client: Client) -> None:
    """The other setting of the switch."""
    client.xero.identity.scope_refusal = "callback"
    assert "error=invalid_scope&state=s1" in consent(client.xero, scope="accounting.nonsense").headers["Location"]


def test_nobody_consents_to_a_custom_connection(clock: Moving) -> None:
    """Its app has no such grant."""
    assert consent(SimulatedXero(clock, custom_connection=True)).status == 500


def test_a_custom_connection_needs_no_refresh_token_and_no_tenant(clock: Moving) -> None:
    """Client credentials give access to the one organisation of the app."""
    xero = SimulatedXero(clock, custom_connection=True)
    client = Client(xero, xero.add_organisation("Harbour IT"), clock)
    status, body = token_call(xero, grant_type="client_credentials", scope="accounting.settings.read")
    assert status == 200
    assert "refresh_token" not in body
    client.token = body["access_token"]
    assert client.send("GET", "/Organisation", None, None, Xero_tenant_id="").status == 200
    assert client.send("GET", "/Invoices", None, None, Xero_tenant_id="").status == 401
    bad = token_call(xero, grant_type="client_credentials", scope="accounting.transactions")
    assert bad == (400, {"error": "invalid_scope"})
    refused = token_call(xero, grant_type="refresh_token", refresh_token="sandbox-refresh-0")
    assert refused == (400, {"error": "unauthorized_client"})


def test_connections_lists_what_the_app_may_reach(client: Client) -> None:
    """The list is bare, camelCase, and shrinks when a connection is deleted."""
    bearer = {"Authorization": f"Bearer {client.token}"}
    one = loaded(client.xero(Request.build("GET", "/connections", "", bearer)))[0]
    assert (one["tenantId"], one["tenantType"]) == (client.organisation.tenant_id, "ORGANISATION")
    assert one["tenantName"] == "Harbour IT"
    assert client.xero(Request.build("DELETE", f"/connections/{one['id']}", "", bearer)).status == 204
    assert loaded(client.xero(Request.build("GET", "/connections", "", bearer))) == []
    assert client.send("GET", "/Organisation").status == 403
    assert client.xero(Request.build("GET", "/connections")).status == 401


# --- the gate -----------------------------------------------------------------------------------------------------


def test_an_expired_token_is_told_from_a_wrong_one(client: Client, clock: Moving) -> None:
    """Both are 401 problem JSON, with another Detail."""
    wrong = client.send("GET", "/Organisation", None, None, Authorization="Bearer nonsense")
    assert (wrong.status, loaded(wrong)["Detail"]) == (401, "AuthenticationUnsuccessful")
    clock.advance(seconds=1800)
    late = client.send("GET", "/Organisation")
    assert late.status == 401
    assert loaded(late)["Detail"].startswith("TokenExpired:")
    assert loaded(late)["Type"] is None


def test_a_missing_or_unknown_tenant_is_403(client: Client) -> None:
    """A healthy token does not help with the wrong tenant."""
    for tenant in ("", ZERO_GUID):
        refused = client.send("GET", "/Organisation", None, None, Xero_tenant_id=tenant)
        assert (refused.status, loaded(refused)["Title"]) == (403, "Forbidden")


def test_the_tenant_id_is_compared_without_case(client: Client) -> None:
    """A GUID is a GUID."""
    tenant = client.organisation.tenant_id.upper()
    assert client.send("GET", "/Organisation", None, None, Xero_tenant_id=tenant).status == 200


def test_a_client_that_does_not_ask_for_json_gets_xml(client: Client) -> None:
    """XML is the default."""
    answer = client.send("GET", "/Currencies", None, None, Accept="*/*")
    assert answer.headers["Content-Type"].startswith("text/xml")
    assert b"<Response><Id>" in answer.body
    assert b"<Currency><Code>AUD</Code>" in answer.body


def test_an_unknown_path_is_an_empty_404(client: Client) -> None:
    """Not even the content type is JSON."""
    for path in ("/Nonsense", "/Invoices/" + ZERO_GUID, "/Contacts/nobody"):
        answer = client.send("GET", path)
        assert (answer.status, answer.body) == (404, b"")
        assert answer.headers["Content-Type"].startswith("text/html")


def test_a_token_without_the_scope_is_refused(client: Client) -> None:
    """Reading needs the read scope or the full one, writing the full one."""
    code = client.xero.issue_code("http://localhost/", ("accounting.invoices.read",))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/"}
    document = sale(client)
    client.token = token_call(client.xero, **form)[1]["access_token"]
    assert client.send("GET", "/Invoices").status == 200
    refused = client.send("PUT", "/Invoices", None, {"Invoices": [document]})
    assert refused.status == 401
    assert "insufficient_scope" in refused.headers["WWW-Authenticate"]
    assert client.send("GET", "/Contacts").status == 401


def test_unknown_query_parameters_are_ignored(client: Client) -> None:
    """ModifiedAfter is not a parameter, and nobody says so."""
    client.made(sale(client, "A-1"))
    assert client.numbers(ModifiedAfter="2099-01-01") == ["A-1"]


# --- limits -------------------------------------------------------------------------------------------------------


def test_the_sixty_first_call_in_a_minute_is_an_empty_429(client: Client, clock: Moving) -> None:
    """It says which limit and for how long, and has no body."""
    client.xero.limits = Limits()
    clock.advance(minutes=2)
    left = [client.send("GET", "/Currencies").headers["X-MinLimit-Remaining"] for _ in range(60)]
    assert left[0] == "59"
    assert left[-1] == "0"
    clock.advance(seconds=34.2)
    refused = client.send("GET", "/Currencies")
    assert (refused.status, refused.body) == (429, b"")
    assert "Content-Type" not in refused.headers
    assert refused.headers["X-Rate-Limit-Problem"] == "minute"
    assert refused.headers["Retry-After"] == "26"
    assert {"X-DayLimit-Remaining", "X-AppMinLimit-Remaining"} <= refused.headers.keys()
    clock.advance(seconds=26)
    assert client.send("GET", "/Currencies").status == 200
    assert client.xero.statistics.refused_429 == 1
    assert client.xero.statistics.most_per_minute == 61


def test_a_sliding_window_frees_a_call_when_the_oldest_is_a_minute_old(client: Client, clock: Moving) -> None:
    """The other reading of the minute limit."""
    client.xero.limits = Limits(per_minute=2, window="sliding")
    assert client.send("GET", "/Currencies").status == 200
    clock.advance(seconds=30)
    assert client.send("GET", "/Currencies").status == 200
    assert client.send("GET", "/Currencies").headers["Retry-After"] == "30"
    clock.advance(seconds=30)
    assert client.send("GET", "/Currencies").status == 200


def test_the_day_limit_names_itself_and_waits_for_hours(client: Client, clock: Moving) -> None:
    """A client must not sleep through it as if it were the minute limit."""
    client.xero.limits = Limits(per_day=3)
    clock.advance(days=2)
    client.sign_in()
    for _ in range(3):
        assert client.send("GET", "/Currencies").status == 200
    refused = client.send("GET", "/Currencies")
    assert refused.headers["X-Rate-Limit-Problem"] == "day"
    assert int(refused.headers["Retry-After"]) > 80_000


def test_each_tenant_has_its_own_minute(client: Client, clock: Moving) -> None:
    """One busy organisation does not slow the other."""
    client.xero.limits = Limits(per_minute=1)
    other = Client(client.xero, client.xero.add_organisation("Second"), clock)
    other.token = client.token
    clock.advance(minutes=2)
    assert client.send("GET", "/Currencies").status == 200
    assert client.send("GET", "/Currencies").status == 429
    assert other.send("GET", "/Currencies").status == 200


def test_the_sixth_call_in_flight_is_refused(client: Client) -> None:
    """A server that lets time pass holds calls in flight with enter and leave."""
    client.xero.limits = Limits()
    headers = {"Authorization": f"Bearer {client.token}", "Xero-tenant-id": client.organisation.tenant_id}
    held = [Request.build("GET", "/api.xro/2.0/Currencies", "", headers) for _ in range(6)]
    for request in held:
        client.xero.enter(request)
    answers = [client.xero(request) for request in held]
    assert [one.status for one in answers] == [200] * 5 + [429]
    assert answers[5].headers["X-Rate-Limit-Problem"] == "concurrent"
    assert "Retry-After" not in answers[5].headers
    for request in held:
        client.xero.leave(request)
    assert client.send("GET", "/Currencies").status == 200
    assert client.xero.statistics.most_in_flight == 6


def test_a_call_that_a_server_entered_is_counted_once(client: Client) -> None:
    """Entering, answering and leaving is one call."""
    before = client.xero.statistics.calls
    headers = {"Authorization": f"Bearer {client.token}", "Xero-tenant-id": client.organisation.tenant_id}
    request = Request.build("GET", "/api.xro/2.0/Currencies", "", headers)
    client.xero.enter(request)
    client.xero(request)
    client.xero.leave()
    assert client.xero.statistics.calls == before + 1
    assert client.xero.statistics.most_in_flight == 1


# --- idempotency --------------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_first_answer_again(client: Client) -> None:
    """Nothing is processed the second time."""
    body = {"Invoices": [sale(client)]}
    first = client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    again = client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    assert first.body == again.body
    assert len(client.invoices()) == 1
    assert client.xero.idempotent_replays == 1


def test_a_key_is_forgotten_after_six_minutes(client: Client, clock: Moving) -> None:
    """After that the same call is executed again: the duplicate that look-ups must prevent."""
    body = {"Invoices": [sale(client)]}
    client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    clock.advance(minutes=6)
    client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    assert len(client.invoices()) == 2


def test_a_key_with_another_body_is_refused(client: Client) -> None:
    """The 400 is a problem, not the usual envelope."""
    client.send("PUT", "/Invoices", None, {"Invoices": [sale(client, "A-1")]}, Idempotency_Key="k1")
    refused = client.send("PUT", "/Invoices", None, {"Invoices": [sale(client, "A-2")]}, Idempotency_Key="k1")
    assert refused.status == 400
    assert loaded(refused)["Detail"] == "Idempotency Key: k1 is used with a different request."
    assert "Message" not in loaded(refused)


def test_a_key_of_more_than_128_characters_is_refused(client: Client) -> None:
    """And nothing is created."""
    body = {"Invoices": [sale(client)]}
    assert client.send("PUT", "/Invoices", None, body, Idempotency_Key="k" * 129).status == 400
    assert client.send("PUT", "/Invoices", None, body, Idempotency_Key="k" * 128).status == 200
    assert len(client.invoices()) == 1


def test_a_key_is_shared_by_all_tenants_of_the_app(client: Client, clock: Moving) -> None:
    """The trap: without the tenant in the key, one organisation's answer is given for another."""
    second = Client(client.xero, client.xero.add_organisation("Second"), clock)
    second.token = client.token
    body = {"Invoices": [sale(client, "A-1", Contact={"Name": "Shared"})]}
    client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    second.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    assert second.invoices() == []


@pytest.mark.parametrize("cached", [True, False])
def test_a_refusal_is_kept_under_its_key_when_the_switch_says_so(world: World, cached: bool) -> None:
    """A retry after the cause is mended still meets the old error."""
    client = world(cache_4xx=cached)
    client.organisation.set_lock_date(date(2026, 12, 31))
    body = {"Invoices": [sale(client)]}
    assert client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1").status == 400
    client.organisation.set_lock_date(None)
    again = client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    assert again.status == (400 if cached else 200)


def test_a_key_store_that_forgets_lets_the_same_call_run_twice(world: World) -> None:
    """The key is a help, not a guarantee."""
    client = world(forget_keys=True)
    body = {"Invoices": [sale(client)]}
    for _ in range(2):
        client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1")
    assert len(client.invoices()) == 2


def test_a_key_store_that_is_down_answers_500_and_does_nothing(client: Client) -> None:
    """Until it is back, only calls without a key go through; switches may change while the world runs."""
    body = {"Invoices": [sale(client)]}
    client.xero.switches = XeroSwitches(key_store_down=True)
    assert client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1").status == 500
    assert client.invoices() == []
    client.xero.switches = XeroSwitches()
    assert client.send("PUT", "/Invoices", None, body, Idempotency_Key="k1").status == 200


def test_a_key_is_ignored_on_reading(client: Client) -> None:
    """GET is never answered from the store."""
    assert client.send("GET", "/Invoices", None, None, Idempotency_Key="k1").status == 200
    client.made(sale(client))
    again = client.send("GET", "/Invoices", None, None, Idempotency_Key="k1")
    assert len(loaded(again)["Invoices"]) == 1


# --- settings -----------------------------------------------------------------------------------------------------


def test_an_organisation_shows_its_country_currency_and_locks(client: Client) -> None:
    """What a client needs to know before it sends anything."""
    client.organisation.set_lock_date(date(2026, 6, 30))
    one = client.read("/Organisation")["Organisations"][0]
    assert (one["BaseCurrency"], one["CountryCode"], one["Version"]) == ("AUD", "AU", "AU")
    assert one["PeriodLockDate"] == "/Date(1782777600000+0000)/"
    assert one["OrganisationID"] == client.organisation.tenant_id
    assert one["ShortCode"].startswith("!")
    actions = {one["Name"]: one["Status"] for one in client.read("/Organisation/Actions")["Actions"]}
    assert actions["CreateApprovedBill"] == "ALLOWED"


def test_the_chart_has_system_accounts_a_bank_and_an_archived_account(client: Client) -> None:
    """Enough to go wrong in every usual way."""
    accounts = {one["Code"]: one for one in client.read("/Accounts")["Accounts"]}
    assert accounts["610"]["SystemAccount"] == "DEBTORS"
    assert accounts["800"]["SystemAccount"] == "CREDITORS"
    assert accounts["090"]["Type"] == "BANK"
    assert accounts["210"]["Status"] == "ARCHIVED"
    assert accounts["200"]["TaxType"] == "OUTPUT"
    active = client.read("/Accounts", where='Status=="ACTIVE" AND Class=="REVENUE"')["Accounts"]
    assert {one["Code"] for one in active} >= {"200", "260"}
    assert all(one["Class"] == "REVENUE" for one in active)


@pytest.mark.parametrize(
    ("country", "sale_type", "percent"), [("AU", "OUTPUT", 10), ("NZ", "OUTPUT2", 15), ("UK", "OUTPUT2", 20)]
)
def test_each_country_has_its_own_tax_rates(world: World, country: str, sale_type: str, percent: int) -> None:
    """The same code means another rate elsewhere, and deleted rates are listed."""
    client = world(country=country)
    rates = {one["TaxType"]: one for one in client.read("/TaxRates")["TaxRates"]}
    assert rates[sale_type]["EffectiveRate"] == percent
    assert rates[sale_type]["CanApplyToExpenses"] is False
    assert (country == "NZ") == any(one["Status"] == "DELETED" for one in rates.values())


def test_archived_tracking_is_listed_only_on_request(client: Client) -> None:
    """Options that nobody may use any more are hidden."""
    client.organisation.add_tracking_category("Region", ["North", "South"])
    client.organisation.archive_option("Region", "South")
    shown = client.read("/TrackingCategories")["TrackingCategories"][0]
    assert [one["Name"] for one in shown["Options"]] == ["North"]
    whole = client.read("/TrackingCategories", includeArchived="true")["TrackingCategories"][0]
    assert [one["Status"] for one in whole["Options"]] == ["ACTIVE", "ARCHIVED"]
    client.organisation.restore_option("Region", "South")
    shown = client.read("/TrackingCategories")["TrackingCategories"][0]
    assert [one["Name"] for one in shown["Options"]] == ["North", "South"]
    client.organisation.add_tracking_category("Second", [])
    with pytest.raises(ValueError, match="two active"):
        client.organisation.add_tracking_category("Third", [])


def test_items_are_found_by_code(client: Client) -> None:
    """Items come as one list, or one by one."""
    client.organisation.add_item("HOUR", sales_price="150", sales_account="200")
    assert client.read("/Items")["Items"][0]["SalesDetails"] == {"UnitPrice": 150, "AccountCode": "200"}
    assert client.read("/Items/hour")["Items"][0]["Code"] == "HOUR"


def test_a_currency_can_be_added(client: Client) -> None:
    """PUT /Currencies subscribes the organisation."""
    assert messages(client.put(sale(client, CurrencyCode="EUR"))) == ["Organisation is not subscribed to currency EUR"]
    assert client.send("PUT", "/Currencies", None, {"Code": "EUR", "Description": "Euro"}).status == 200
    assert client.made(sale(client, CurrencyCode="EUR"))["CurrencyCode"] == "EUR"


# --- contacts -----------------------------------------------------------------------------------------------------


def put_contact(client: Client, method: str = "PUT", **fields: Any) -> Json:
    """Write one contact."""
    response = client.send(method, "/Contacts", {"summarizeErrors": "false"}, {"Contacts": [fields]})
    return cast(Json, loaded(response)["Contacts"][0])


def test_an_active_name_cannot_be_used_twice(client: Client) -> None:
    """Whatever its case, and with the text that Xero has for it."""
    refused = put_contact(client, Name="ACME Pty Ltd")
    assert refused["ContactID"] == ZERO_GUID
    text = (
        "The contact name ACME Pty Ltd is already assigned to another contact. "
        "The contact name must be unique across all active contacts."
    )
    assert messages(refused) == [text]
    whole = client.send("PUT", "/Contacts", None, {"Contacts": [{"Name": "Acme Pty Ltd"}]})
    assert whole.status == 400
    assert loaded(whole)["Elements"][0]["HasValidationErrors"] is True
    client.organisation.archive_contact(contact_id(client))
    assert put_contact(client, Name="Acme Pty Ltd")["HasValidationErrors"] is False


def test_post_updates_the_contact_with_the_same_number_or_name(client: Client) -> None:
    """POST is an upsert."""
    acme = contact_id(client)
    assert put_contact(client, "POST", ContactNumber="c-1", Name="Acme Renamed")["ContactID"] == acme
    assert put_contact(client, "POST", Name="acme renamed", AccountNumber="X")["ContactID"] == acme
    assert put_contact(client, "POST", Name="Someone New")["ContactID"] != acme


def test_an_archived_contact_cannot_be_edited_by_the_api(client: Client) -> None:
    """Archiving by the API works once, and is final for the API."""
    acme = contact_id(client)
    assert put_contact(client, "POST", ContactID=acme, ContactStatus="ARCHIVED")["ContactStatus"] == "ARCHIVED"
    refused = put_contact(client, "POST", ContactID=acme, ContactStatus="ACTIVE")
    assert refused["StatusAttributeString"] == "ERROR"
    assert messages(refused)[0].startswith("The specified contact details matched an archived contact.")
    names = [one["Name"] for one in client.read("/Contacts")["Contacts"]]
    assert "Acme Pty Ltd" not in names
    everyone = client.read("/Contacts", includeArchived="true")["Contacts"]
    assert "Acme Pty Ltd" in [one["Name"] for one in everyone]


def test_contacts_are_found_by_name_number_id_and_search(client: Client) -> None:
    """In any case of letters."""
    acme = contact_id(client)
    by_name = client.read("/Contacts", where='Name=="ACME PTY LTD"')["Contacts"]
    assert [one["ContactID"] for one in by_name] == [acme]
    assert [one["ContactID"] for one in client.read("/Contacts", IDs=f"{acme},{ZERO_GUID}")["Contacts"]] == [acme]
    assert [one["Name"] for one in client.read("/Contacts", searchTerm="supplier")["Contacts"]] == ["Supplier One"]
    paged = client.read("/Contacts", page=2, pageSize=1)
    assert paged["pagination"] == {"page": 2, "pageSize": 1, "pageCount": 2, "itemCount": 2}
    assert [one["Name"] for one in paged["Contacts"]] == ["Supplier One"]


def test_a_contact_is_checked_field_by_field(client: Client) -> None:
    """Names, lengths and addresses of mail."""
    assert messages(put_contact(client, Name="A", EmailAddress="no mail")) == ["Email address must be valid."]
    assert messages(put_contact(client, Name="<b>"))
    assert messages(put_contact(client, Name="x" * 256))
    assert messages(put_contact(client, Name="B", ContactNumber="x" * 51))
    assert messages(put_contact(client, AccountNumber="1"))[0].startswith("The Contact must contain at least 1")
    assert put_contact(client, Name="  Two   Words ")["Name"] == "Two Words"


def test_a_document_with_a_bare_name_makes_a_contact(client: Client) -> None:
    """A known name is found, a new one is created, and documents make customers and suppliers."""
    made = client.made(sale(client, Contact={"Name": "Walk In"}))
    assert made["Contact"]["Name"] == "Walk In"
    assert made["Contact"]["IsCustomer"] is True
    assert (
        client.made(sale(client, Contact={"Name": "walk in"}))["Contact"]["ContactID"] == made["Contact"]["ContactID"]
    )
    assert client.made(bill(client))["Contact"]["IsSupplier"] is True
    assert messages(client.put(sale(client, Contact={})))[0].startswith("The Contact must contain at least 1")
    assert messages(client.put(sale(client, Contact=None))) == [
        "A Contact must be specified for this type of transaction"
    ]


def test_further_contact_fields_in_a_document_change_the_contact(client: Client) -> None:
    """The trap: people whom the document does not mention are dropped."""
    acme = contact_id(client)
    put_contact(client, "POST", ContactID=acme, ContactPersons=[{"FirstName": "Ann", "EmailAddress": "a@b.co"}])
    client.made(sale(client))
    assert len(client.organisation.contact(acme)["ContactPersons"]) == 1
    client.made(sale(client, Contact={"ContactID": acme, "EmailAddress": "new@acme.example"}))
    assert client.organisation.contact(acme)["EmailAddress"] == "new@acme.example"
    assert client.organisation.contact(acme)["ContactPersons"] == []


def test_a_contact_of_a_refused_document_is_not_made(client: Client) -> None:
    """Nothing of a refused element stays."""
    client.put(sale(client, Contact={"Name": "Never"}, LineItems=[line(AccountCode="999")]))
    assert client.read("/Contacts", searchTerm="never")["Contacts"] == []


# --- invoices: create and answer ----------------------------------------------------------------------------------


def test_an_invoice_comes_back_with_totals_dates_and_ids(client: Client) -> None:
    """The shape of a successful create."""
    response = client.send("PUT", "/Invoices", None, {"Invoices": [sale(client, "A-1", Status="AUTHORISED")]})
    assert response.status == 200
    body = loaded(response)
    assert body["Status"] == "OK"
    assert body["DateTimeUTC"] == "/Date(1789378200250)/"
    one = body["Invoices"][0]
    assert "StatusAttributeString" not in one
    assert (one["SubTotal"], one["TotalTax"], one["Total"]) == (21, Decimal("2.1"), Decimal("23.1"))
    assert (one["Date"], one["DateString"]) == ("/Date(1789344000000+0000)/", "2026-09-14T00:00:00")
    assert one["UpdatedDateUTC"] == "/Date(1789378200250+0000)/"
    assert one["UpdatedDateUTCString"] == "2026-09-14T09:30:00Z"
    assert one["LineItems"][0]["LineItemID"]
    assert one["LineItems"][0]["TaxType"] == "OUTPUT"
    assert (one["CurrencyCode"], one["CurrencyRate"], one["AmountDue"]) == ("AUD", 1, Decimal("23.1"))
    assert b'"Total":23.1,' in response.body


def test_a_single_document_needs_no_list_around_it(client: Client) -> None:
    """Both forms of the body are taken."""
    assert client.send("PUT", "/Invoices", None, sale(client)).status == 200
    assert len(client.invoices()) == 1


@pytest.mark.parametrize("body", [b"", {}, {"Invoices": []}, {"Bills": [{"Type": "ACCREC"}]}, []])
def test_a_body_with_nothing_in_it_is_error_17(client: Client, body: Any) -> None:
    """Empty, misnamed, or a bare list."""
    answer = client.send("PUT", "/Invoices", None, body)
    assert answer.status == 400
    assert (loaded(answer)["ErrorNumber"], loaded(answer)["Type"]) == (17, "NoDataProcessedException")


@pytest.mark.parametrize(
    "fields",
    [{"Date": "14/09/2026"}, {"Type": "BILL"}, {"Status": "APPROVED"}, {"LineItems": {}}, {"CurrencyRate": "x"}],
)
def test_a_field_of_the_wrong_shape_is_error_14(client: Client, fields: Json) -> None:
    """The whole request is refused, whatever summarizeErrors says."""
    body = {"Invoices": [sale(client), sale(client, **fields)]}
    answer = client.send("PUT", "/Invoices", {"summarizeErrors": "false"}, body)
    assert (answer.status, loaded(answer)["ErrorNumber"]) == (400, 14)
    assert client.invoices() == []


def test_broken_json_is_error_14(client: Client) -> None:
    """Also for what is nearly JSON."""
    for body in (b"{", b'{"Invoices": [NaN]}', b"\xff"):
        assert loaded(client.send("PUT", "/Invoices", None, body))["ErrorNumber"] == 14


def test_by_default_one_bad_element_refuses_the_whole_request(client: Client) -> None:
    """A 400 with the bad elements in it, and nothing saved."""
    body = {"Invoices": [sale(client, "A-1"), sale(client, "A-2", LineItems=[line(AccountCode="999")])]}
    answer = client.send("PUT", "/Invoices", None, body)
    assert answer.status == 400
    assert loaded(answer)["ErrorNumber"] == 10
    assert loaded(answer)["Message"] == "A validation exception occurred"
    assert [messages(one) for one in loaded(answer)["Elements"]] == [
        ["Account code '999' is not a valid code for this document."]
    ]
    assert client.invoices() == []


def test_without_summary_the_good_elements_stay_and_the_bad_have_the_zero_guid(client: Client) -> None:
    """HTTP 200 hides the failure: only the element tells."""
    good, bad = client.write("PUT", sale(client, "A-1"), sale(client, "A-2", LineItems=[line(AccountCode="999")]))
    assert (good["StatusAttributeString"], good["HasErrors"]) == ("OK", False)
    assert (bad["StatusAttributeString"], bad["HasErrors"]) == ("ERROR", True)
    assert bad["InvoiceID"] == ZERO_GUID
    assert "InvoiceNumber" not in bad
    assert client.numbers() == ["A-1"]


def test_the_answer_may_come_in_another_order(world: World) -> None:
    """No order is promised."""
    client = world(answer_order="reversed", refused_echoes_number=True)
    shown = client.write("PUT", sale(client, "A-1"), sale(client, "A-2", LineItems=[]))
    assert [one["InvoiceNumber"] for one in shown] == ["A-2", "A-1"]


def test_a_sales_number_is_unique_whatever_its_case(client: Client) -> None:
    """Also within one request."""
    client.made(sale(client, "A-1"))
    assert messages(client.put(sale(client, "a-1 "))) == ["Invoice # must be unique."]
    twice = client.write("PUT", sale(client, "A-2"), sale(client, "A-2"))
    assert [one["StatusAttributeString"] for one in twice] == ["OK", "ERROR"]


def test_a_sales_invoice_without_a_number_gets_the_next_free_one(client: Client) -> None:
    """Automatic numbers step over those that are taken."""
    client.made(sale(client, "INV-0002"))
    made = [client.made(sale(client))["InvoiceNumber"] for _ in range(2)]
    assert made == ["INV-0001", "INV-0003"]


def test_a_deleted_number_is_free_again_and_a_voided_one_is_not(client: Client) -> None:
    """By default; the second half is a switch."""
    client.organisation.delete(client.made(sale(client, "A-1"))["InvoiceID"])
    again = client.made(sale(client, "A-1", Status="AUTHORISED"))
    client.organisation.void(again["InvoiceID"])
    assert messages(client.put(sale(client, "A-1"))) == ["Invoice # must be unique."]


def test_a_voided_number_is_free_when_the_switch_says_so(world: World) -> None:
    """The other reading."""
    client = world(voided_number_blocks=False)
    client.organisation.void(client.made(sale(client, "A-1", Status="AUTHORISED"))["InvoiceID"])
    assert client.made(sale(client, "A-1"))["InvoiceNumber"] == "A-1"


def test_a_bill_number_is_not_unique(client: Client) -> None:
    """Three PUTs make three bills."""
    for _ in range(3):
        client.made(bill(client, "PO-7"))
    assert client.numbers(InvoiceNumbers="PO-7") == ["PO-7"] * 3
    assert client.made(bill(client))["InvoiceNumber"] == ""


@pytest.mark.parametrize(("switch", "kept"), [("persist", "PO-7"), ("drop", "")])
def test_a_bill_keeps_or_loses_its_reference(world: World, switch: str, kept: str) -> None:
    """Unconfirmed, so a client must live with both."""
    client = world(bill_reference=switch)
    made = client.made(bill(client, "S-100", Reference="PO-7"))
    assert made["Reference"] == kept
    assert client.numbers(where='Reference=="po-7"') == (["S-100"] if kept else [])
    assert client.made(sale(client, Reference="R"))["Reference"] == "R"


# --- invoices: what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"LineItems": [line(AccountCode="800")]}, "Account code '800' is not a valid code for this document."),
        ({"LineItems": [line(AccountCode="090")]}, "Account code '090' is not a valid code for this document."),
        (
            {"LineItems": [line(AccountCode="210")]},
            "Account code '210' has been archived, or has been deleted. Each line item must reference a valid account.",
        ),
        ({"LineItems": [line(TaxType="INPUT")]}, "The TaxType code 'INPUT' cannot be used with account code '200'."),
        (
            {"LineItems": [line(TaxType="NOPE")]},
            "The TaxType code 'NOPE' does not exist or cannot be used for this type of transaction.",
        ),
        ({"LineItems": [line(Description="")]}, "The description field is mandatory for each line item."),
        (
            {"LineItems": [line(LineAmount=1, Quantity=1, UnitAmount=100)]},
            "The line total 1.00 does not match the expected line total 100.00",
        ),
        ({"LineItems": [line(ItemCode="NOPE")]}, "Item code NOPE is not valid"),
        ({"Url": "example.com/x"}, "Url must be a valid absolute url"),
        ({"Url": "https://go.xero.com/x"}, "Url must be a valid absolute url"),
        ({"CurrencyCode": "EUR"}, "Organisation is not subscribed to currency EUR"),
        ({"LineItems": []}, "One or more line items must be specified"),
        (
            {"Contact": {"ContactID": "11111111-1111-1111-1111-111111111111"}},
            "An existing Contact with the specified ContactID could not be found",
        ),
    ],
)
def test_a_refusal_says_what_xero_says(client: Client, fields: Json, message: str) -> None:
    """The texts are those that others have met."""
    assert messages(client.put(sale(client, **fields))) == [message]


def test_approval_needs_an_account_and_a_due_date(client: Client) -> None:
    """A draft does not."""
    bare = line()
    del bare["AccountCode"]
    document = sale(client, LineItems=[bare], DueDate=None)
    made = client.made(document)
    refused = client.post({"InvoiceID": made["InvoiceID"], "Status": "AUTHORISED"})
    assert refused["InvoiceID"] == made["InvoiceID"]
    assert messages(refused)[0] == "Account code or ID must be specified"
    assert "DueDate" in messages(refused)[1]
    assert client.invoice(made["InvoiceID"])["Status"] == "DRAFT"


def test_fields_have_a_longest_length(client: Client) -> None:
    """Numbers, references and descriptions."""
    assert messages(client.put(sale(client, "x" * 256)))
    assert messages(client.put(sale(client, Reference="x" * 256)))
    assert messages(client.put(sale(client, LineItems=[line(Description="x" * 4001)])))
    assert messages(client.put(sale(client, "Nº 1")))
    assert client.made(sale(client, "x" * 255, Reference="y" * 255, LineItems=[line(Description="x" * 4000)]))


def test_discounts_are_for_sales_only(client: Client) -> None:
    """A rate or an amount, taken off before the tax."""
    refused = client.put(bill(client, LineItems=[bill_line(DiscountRate=10)]))
    assert messages(refused) == ["Discounts may not be applied to ACCPAY invoices."]
    rate = client.made(sale(client, LineItems=[line(Quantity=1, UnitAmount=100, DiscountRate=10, LineAmount=90)]))
    assert (rate["SubTotal"], rate["TotalTax"], rate["TotalDiscount"]) == (90, 9, 10)
    assert rate["IsDiscounted"] is True
    amount = client.made(sale(client, LineItems=[line(Quantity=2, UnitAmount=50, DiscountAmount=25)]))
    assert amount["SubTotal"] == 75
    assert messages(client.put(sale(client, LineItems=[line(DiscountRate=101)])))


def test_a_total_may_not_be_negative_but_a_line_may(client: Client) -> None:
    """Returns are negative lines."""
    back = line(Quantity=-1, UnitAmount=5)
    assert client.made(sale(client, LineItems=[line(), back]))["Total"] == Decimal("17.6")
    assert messages(client.put(sale(client, LineItems=[back])))


def test_a_locked_period_refuses_create_edit_and_void(client: Client) -> None:
    """On or before the day of the lock, with the day in the text."""
    made = client.made(sale(client, "A-1", Status="AUTHORISED"))
    client.organisation.set_lock_date(date(2026, 9, 14))
    text = "The document date cannot be before the period lock date, currently set at 14-Sep-2026"
    assert messages(client.put(sale(client))) == [text]
    assert messages(client.post({"InvoiceID": made["InvoiceID"], "Reference": "x"})) == [text]
    assert messages(client.post({"InvoiceID": made["InvoiceID"], "Status": "VOIDED"})) == [text]
    assert client.made(sale(client, Date="2026-09-15"))
    client.organisation.set_lock_date(None)
    client.organisation.set_lock_date(date(2026, 9, 14), year_end=True)
    assert "end of year lock date" in messages(client.put(sale(client)))[0]


def test_a_lock_may_let_drafts_through(world: World) -> None:
    """The other reading of a lock date."""
    client = world(lock_blocks_drafts=False)
    client.organisation.set_lock_date(date(2026, 9, 14))
    made = client.made(sale(client))
    assert messages(client.post({"InvoiceID": made["InvoiceID"], "Status": "AUTHORISED"}))


def test_an_archived_contact_is_refused(client: Client) -> None:
    """By id; by name a new contact comes, unless the switch says otherwise."""
    acme = contact_id(client)
    client.organisation.archive_contact(acme)
    assert messages(client.put(bill(client, Contact={"ContactID": acme})))
    made = client.made(bill(client, Contact={"Name": "Acme Pty Ltd"}))
    assert made["Contact"]["ContactID"] != acme


def test_an_archived_contact_is_refused_by_name_too_when_the_switch_says_so(world: World) -> None:
    """The other reading."""
    client = world(archived_name_matches=True)
    client.organisation.archive_contact(contact_id(client))
    assert messages(client.put(bill(client, Contact={"Name": "Acme Pty Ltd"})))


def test_tracking_is_by_name_or_id_and_at_most_two(client: Client) -> None:
    """Names without case; unknown and archived options are refused by name."""
    region = client.organisation.add_tracking_category("Region", ["North", "South"])
    ids = {
        "TrackingCategoryID": region["TrackingCategoryID"],
        "TrackingOptionID": region["Options"][1]["TrackingOptionID"],
    }
    named = {"Name": "region", "Option": "NORTH"}
    made = client.made(sale(client, LineItems=[line(Tracking=[named]), line(Tracking=[ids])]))
    assert [one["Tracking"][0]["Option"] for one in made["LineItems"]] == ["North", "South"]
    assert messages(client.put(sale(client, LineItems=[line(Tracking=[{"Name": "Region", "Option": "East"}])])))
    assert messages(client.put(sale(client, LineItems=[line(Tracking=[{"Name": "Team", "Option": "A"}])]))) == [
        "There is no ACTIVE tracking category with the name 'Team'"
    ]
    assert messages(client.put(sale(client, LineItems=[line(Tracking=[named] * 3)])))
    client.organisation.archive_option("Region", "North")
    assert messages(client.put(sale(client, LineItems=[line(Tracking=[named])])))


def test_unknown_tracking_may_be_dropped_without_a_word(world: World) -> None:
    """The other reading."""
    client = world(unknown_tracking="ignore")
    made = client.made(sale(client, LineItems=[line(Tracking=[{"Name": "Team", "Option": "A"}])]))
    assert made["LineItems"][0]["Tracking"] == []


# --- invoices: money ----------------------------------------------------------------------------------------------


def test_tax_is_rounded_line_by_line_half_away_from_zero(client: Client) -> None:
    """Three lines of 0.05 carry 0.01 each, not 0.02 together."""
    cents = line(Quantity=1, UnitAmount="0.05")
    made = client.made(sale(client, LineItems=[cents, cents, cents]))
    assert (made["SubTotal"], made["TotalTax"], made["Total"]) == (Decimal("0.15"), Decimal("0.03"), Decimal("0.18"))
    mixed = client.made(sale(client, LineItems=[line(), line(Quantity=-1, UnitAmount="0.05")]))
    assert mixed["LineItems"][1]["TaxAmount"] == Decimal("-0.01")


def test_unit_amounts_have_two_decimals_unless_four_are_asked_for(client: Client) -> None:
    """Both when written and when read."""
    document = sale(client, LineItems=[line(Quantity=1000, UnitAmount="0.1234")])
    two = client.made(document)
    assert (two["LineItems"][0]["UnitAmount"], two["SubTotal"]) == (Decimal("0.12"), 120)
    four = client.made(document, unitdp=4)
    assert (four["LineItems"][0]["UnitAmount"], four["SubTotal"]) == (Decimal("0.1234"), Decimal("123.4"))
    assert client.invoice(four["InvoiceID"])["LineItems"][0]["UnitAmount"] == Decimal("0.12")
    assert client.invoice(four["InvoiceID"], unitdp=4)["LineItems"][0]["UnitAmount"] == Decimal("0.1234")


def test_a_line_amount_is_checked_against_the_rounded_unit_amount(client: Client) -> None:
    """3 x 0.335 is 1.02 with two decimals and 1.01 with four."""
    exact = sale(client, LineItems=[line(Quantity=3, UnitAmount="0.335", LineAmount="1.01")])
    assert messages(client.put(exact)) == ["The line total 1.01 does not match the expected line total 1.02"]
    assert client.made(exact, unitdp=4)["SubTotal"] == Decimal("1.01")


def test_a_missing_quantity_or_price_follows_from_the_line_amount(client: Client) -> None:
    """Any one or two of the three are enough."""
    only = {"Description": "Fee", "AccountCode": "200"}
    lines = [
        {**only, "LineAmount": "12.5"},
        {**only, "LineAmount": "12.5", "Quantity": 5},
        {**only, "LineAmount": "12.5", "UnitAmount": "2.5"},
        {**only, "UnitAmount": "12.5"},
    ]
    made = client.made(sale(client, LineItems=lines))["LineItems"]
    got = [(one["Quantity"], one["UnitAmount"], one["LineAmount"]) for one in made]
    amount = Decimal("12.5")
    assert got == [(1, amount, amount), (5, Decimal("2.5"), amount), (5, Decimal("2.5"), amount), (1, amount, amount)]


def test_amounts_may_include_the_tax_or_have_none(client: Client) -> None:
    """LineAmountTypes decides how lines become totals."""
    lines = [line(Quantity=1, UnitAmount=100)]
    inclusive = client.made(sale(client, LineAmountTypes="Inclusive", LineItems=lines))
    assert (inclusive["SubTotal"], inclusive["TotalTax"], inclusive["Total"]) == (
        Decimal("90.91"),
        Decimal("9.09"),
        100,
    )
    none = client.made(sale(client, LineAmountTypes="NoTax", LineItems=lines))
    assert (none["Total"], none["LineItems"][0]["TaxType"]) == (100, "NONE")


def test_a_tax_amount_that_is_sent_is_kept(client: Client) -> None:
    """The override exists, though a client is asked to avoid it."""
    made = client.made(sale(client, LineItems=[line(TaxAmount="2.11")]))
    assert (made["TotalTax"], made["Total"]) == (Decimal("2.11"), Decimal("23.11"))


def test_a_tax_amount_may_be_capped_by_the_unit_amount(world: World) -> None:
    """The documentation to the letter."""
    client = world(tax_amount_capped=True)
    assert messages(client.put(sale(client, LineItems=[line(Quantity=1000, TaxAmount="1050")])))


def test_an_item_brings_its_price_account_and_text(client: Client) -> None:
    """What the line says itself goes first."""
    client.organisation.add_item("HOUR", description="An hour", sales_price="150", sales_account="200")
    made = client.made(sale(client, LineItems=[{"ItemCode": "hour"}, {"ItemCode": "HOUR", "UnitAmount": 99}]))
    first, second = made["LineItems"]
    assert (first["Description"], first["UnitAmount"], first["AccountCode"]) == ("An hour", 150, "200")
    assert second["UnitAmount"] == 99


def test_a_line_may_be_text_only(client: Client) -> None:
    """Even when the document is approved."""
    made = client.made(sale(client, Status="AUTHORISED", LineItems=[{"Description": "September"}, line()]))
    assert made["Total"] == Decimal("23.1")
    assert "AccountCode" not in made["LineItems"][0]


def test_a_foreign_document_gets_the_day_rate_unless_it_brings_its_own(client: Client) -> None:
    """Foreign units for one base unit; a strange rate is a warning, and the document is saved."""
    client.organisation.set_day_rate("USD", "0.66", date(2026, 9, 14))
    assert client.made(sale(client, CurrencyCode="USD"))["CurrencyRate"] == Decimal("0.66")
    assert client.made(sale(client, CurrencyCode="USD", CurrencyRate="0.7"))["CurrencyRate"] == Decimal("0.7")
    odd = client.made(sale(client, CurrencyCode="USD", CurrencyRate="1.52"))
    assert odd["StatusAttributeString"] == "WARNING"
    assert odd["Warnings"]
    assert client.made(sale(client, CurrencyRate="0.5"))["CurrencyRate"] == 1


def test_no_digit_is_lost_on_the_way(client: Client) -> None:
    """Numbers that a float could not hold."""
    made = client.send("PUT", "/Invoices", None, sale(client, LineItems=[line(Quantity=1, UnitAmount="9999999999.99")]))
    assert b'"LineAmount":9999999999.99,' in made.body
    assert b'"Total":10999999999.99,' in made.body


def test_a_missing_date_is_today_where_the_organisation_is(client: Client, clock: Moving) -> None:
    """In Sydney the next day has begun."""
    clock.now = datetime(2026, 9, 14, 20, 0, tzinfo=UTC)
    client.sign_in()
    assert client.made(sale(client, Date=None))["DateString"] == "2026-09-15T00:00:00"


def test_a_zero_total_may_be_paid_at_once(world: World) -> None:
    """Or stay authorised."""
    free = [line(UnitAmount=0)]
    plain, other = world(), world(zero_total_is_paid=True)
    assert plain.made(sale(plain, Status="AUTHORISED", LineItems=free))["Status"] == "AUTHORISED"
    assert other.made(sale(other, Status="AUTHORISED", LineItems=free))["Status"] == "PAID"


# --- invoices: upsert and update ----------------------------------------------------------------------------------


def test_post_of_a_used_bill_number_overwrites_that_bill(client: Client) -> None:
    """The trap that cost others their payables."""
    first = client.made(bill(client, "PO-7"))
    again = client.post(bill(client, "po-7", LineItems=[bill_line(UnitAmount=99)]))
    assert again["InvoiceID"] == first["InvoiceID"]
    assert len(client.invoices()) == 1
    assert client.post(bill(client, "PO-8"))["InvoiceID"] != first["InvoiceID"]
    assert client.post(sale(client, "PO-7"))["InvoiceID"] != first["InvoiceID"]


@pytest.mark.parametrize(("switch", "same"), [("any_contact", True), ("same_contact", False)])
def test_post_may_match_a_bill_of_another_supplier(world: World, switch: str, same: bool) -> None:
    """Unconfirmed, so a switch."""
    client = world(bill_match=switch)
    first = client.made(bill(client, "PO-7"))
    other = client.post(bill(client, "PO-7", Contact={"Name": "Supplier Two"}))
    assert (other["InvoiceID"] == first["InvoiceID"]) is same


@pytest.mark.parametrize("matches", [True, False])
def test_post_with_the_number_of_a_voided_bill(world: World, matches: bool) -> None:
    """Refused, or a new bill: unconfirmed."""
    client = world(post_matches_voided_bill=matches)
    client.organisation.void(client.made(bill(client, "PO-7", Status="AUTHORISED"))["InvoiceID"])
    answer = client.post(bill(client, "PO-7"))
    assert messages(answer) == (["Invoice not of valid status for modification"] if matches else [])


def test_a_post_that_names_an_unknown_id_is_404(client: Client) -> None:
    """And nothing else of the request is done."""
    body = {"Invoices": [sale(client, "A-1"), {"InvoiceID": "11111111-1111-1111-1111-111111111111"}]}
    assert client.send("POST", "/Invoices", None, body).status == 404
    assert client.send("POST", f"/Invoices/{ZERO_GUID}", None, {"Reference": "x"}).status == 404
    assert client.invoices() == []


def test_lines_with_an_id_are_updated_without_are_added_and_the_rest_goes(client: Client) -> None:
    """And leaving the list out leaves the lines alone."""
    made = client.made(sale(client, LineItems=[line(Description="one"), line(Description="two")]))
    first, _second = (one["LineItemID"] for one in made["LineItems"])
    target = {"InvoiceID": made["InvoiceID"]}
    untouched = client.post({**target, "Reference": "x"})
    assert [one["Description"] for one in untouched["LineItems"]] == ["one", "two"]
    mixed = client.post({**target, "LineItems": [{"LineItemID": first, "UnitAmount": 20}, line(Description="three")]})
    assert [(one["Description"], one["UnitAmount"]) for one in mixed["LineItems"]] == [
        ("one", 20),
        ("three", Decimal("10.5")),
    ]
    assert mixed["LineItems"][0]["LineItemID"] == first
    assert mixed["Total"] == Decimal("67.1")
    renewed = client.post({**target, "LineItems": [line()]})
    assert renewed["LineItems"][0]["LineItemID"] != first


def test_a_foreign_line_id_is_refused_on_update_and_ignored_on_create(client: Client) -> None:
    """Own ids are fine once, and fatal the second time."""
    own = "11111111-1111-1111-1111-111111111111"
    made = client.made(sale(client, LineItems=[line(LineItemID=own)]))
    refused = client.post({"InvoiceID": made["InvoiceID"], "LineItems": [line(LineItemID=own)]})
    assert messages(refused) == [f"Could not find line item(s) with the following id(s): {own}"]


@pytest.mark.parametrize(
    ("start", "goal", "allowed"),
    [
        ("DRAFT", "SUBMITTED", True),
        ("DRAFT", "AUTHORISED", True),
        ("DRAFT", "DELETED", True),
        ("DRAFT", "VOIDED", False),
        ("SUBMITTED", "DRAFT", True),
        ("SUBMITTED", "AUTHORISED", True),
        ("SUBMITTED", "DELETED", True),
        ("AUTHORISED", "AUTHORISED", True),
        ("AUTHORISED", "VOIDED", True),
        ("AUTHORISED", "DELETED", False),
        ("AUTHORISED", "DRAFT", False),
        ("AUTHORISED", "PAID", False),
    ],
)
def test_statuses_change_only_along_the_known_ways(client: Client, start: str, goal: str, allowed: bool) -> None:
    """The table of the documentation."""
    made = client.made(bill(client, Status=start))
    answer = client.post({"InvoiceID": made["InvoiceID"], "Status": goal})
    assert messages(answer) == ([] if allowed else ["Invoice not of valid status for modification"])
    assert client.invoice(made["InvoiceID"])["Status"] == (goal if allowed else start)


@pytest.mark.parametrize("status", ["PAID", "VOIDED", "DELETED"])
def test_a_document_cannot_be_born_dead(client: Client, status: str) -> None:
    """Only three statuses are for new documents."""
    assert messages(client.put(sale(client, Status=status)))


def test_the_reply_to_a_void_still_shows_what_was_due(client: Client) -> None:
    """A later look shows zero; lines and totals stay."""
    made = client.made(bill(client, "B-1", Status="AUTHORISED"))
    reply = client.post({"InvoiceID": made["InvoiceID"], "Status": "VOIDED"})
    assert (reply["Status"], reply["AmountDue"]) == ("VOIDED", Decimal("23.1"))
    later = client.invoice(made["InvoiceID"])
    assert (later["AmountDue"], later["Total"], len(later["LineItems"])) == (0, Decimal("23.1"), 1)
    assert messages(client.post({"InvoiceID": made["InvoiceID"], "Reference": "x"})) == [
        "Invoice not of valid status for modification"
    ]


def test_a_paid_document_allows_a_few_edits_only(client: Client) -> None:
    """Texts, numbers, accounts and tracking; no money, and every line with its id."""
    made = client.made(sale(client, "A-1", Status="AUTHORISED"))
    target = {"InvoiceID": made["InvoiceID"]}
    line_id = {"LineItemID": made["LineItems"][0]["LineItemID"]}
    assert client.organisation.pay(made["InvoiceID"], "3.10")["Status"] == "AUTHORISED"
    paid = client.organisation.pay(made["InvoiceID"], 20)
    assert (paid["Status"], paid["AmountDue"], len(paid["Payments"])) == ("PAID", 0, 2)
    allowed = client.post(
        {**target, "Reference": "new", "LineItems": [{**line_id, "Description": "new", "AccountCode": "260"}]}
    )
    assert (messages(allowed), allowed["Status"]) == ([], "PAID")
    refused = "This document cannot be edited as it has a payment or credit note allocated to it."
    assert messages(client.post({**target, "Date": "2026-09-15"})) == [refused]
    assert refused in messages(client.post({**target, "LineItems": [{**line_id, "UnitAmount": 1}]}))
    assert "To update fields on a paid invoice line item, you must supply a LineItemID" in messages(
        client.post({**target, "LineItems": [line()]})
    )
    assert messages(client.post({**target, "Status": "VOIDED"})) == [
        "The status VOIDED cannot be applied to the invoice because it has payments or credit notes allocated to it."
    ]


def test_a_paid_bill_may_allow_nothing(world: World) -> None:
    """The rule before 2026."""
    client = world(paid_bill_editable=False)
    made = client.made(bill(client, "B-1", Status="AUTHORISED"))
    client.organisation.pay(made["InvoiceID"], 1)
    assert messages(client.post({"InvoiceID": made["InvoiceID"], "Reference": "x"}))
    client.organisation.remove_payments(made["InvoiceID"])
    assert not messages(client.post({"InvoiceID": made["InvoiceID"], "Reference": "x"}))


def test_post_to_one_id_updates_that_document(client: Client) -> None:
    """Errors on this route are always a 400."""
    made = client.made(sale(client, "A-1"))
    path = f"/Invoices/{made['InvoiceID']}"
    good = client.send("POST", path, None, {"Reference": "x"})
    assert loaded(good)["Invoices"][0]["Reference"] == "x"
    bad = client.send("POST", path, {"summarizeErrors": "false"}, {"Status": "VOIDED"})
    assert bad.status == 400
    assert loaded(bad)["Elements"][0]["InvoiceID"] == made["InvoiceID"]


def test_a_change_of_tax_treatment_recomputes_the_lines(client: Client) -> None:
    """Also when the lines are not sent."""
    made = client.made(sale(client))
    changed = client.post({"InvoiceID": made["InvoiceID"], "LineAmountTypes": "NoTax"})
    assert (changed["TotalTax"], changed["Total"]) == (0, 21)


# --- invoices: reading --------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(client: Client, clock: Moving) -> Client:
    """A client with a handful of documents, a minute apart."""
    for element in (
        sale(client, "A-1", Reference="alpha", Status="AUTHORISED"),
        sale(client, "A-2", Reference="Alphabet", Date="2026-08-01"),
        sale(client, "A,3", Reference='say "hi"', Contact={"Name": "O'Neil & Co"}),
        bill(client, "A-1", Reference="PO-1"),
        bill(client, "B-2", LineItems=[bill_line(UnitAmount=100)]),
    ):
        client.made(element)
        clock.advance(minutes=1)
    return client


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('Type=="ACCREC"', ["A,3", "A-1", "A-2"]),
        ('Type="ACCPAY" && InvoiceNumber=="a-1"', ["A-1"]),
        ('InvoiceNumber=="A,3"', ["A,3"]),
        ('Reference=="ALPHA"', ["A-1"]),
        ('Reference!=null AND Reference.StartsWith("alpha")', ["A-1", "A-2"]),
        ('Reference != null AND Reference.EndsWith("BET")', ["A-2"]),
        ('Reference!=null AND Reference.Contains("-1") == true', ["A-1"]),
        (r'Reference=="say \"hi\""', ["A,3"]),
        ('Reference=="say ""hi"""', ["A,3"]),
        ("Reference==null", ["B-2"]),
        ('Contact.Name=="o\'neil & co"', ["A,3"]),
        ('Contact.ContactNumber=="S-1" AND Status=="DRAFT"', ["A-1", "B-2"]),
        ("Date>=DateTime(2026,09,01) AND AmountDue>100", ["B-2"]),
        ("Date<DateTime(2026, 9, 1)", ["A-2"]),
        ('Total>=23.1 AND Total<=23.1 AND NOT (Type=="ACCPAY")', ["A,3", "A-1", "A-2"]),
        ('(InvoiceNumber=="A-2" OR InvoiceNumber=="B-2") AND AmountPaid==0', ["A-2", "B-2"]),
        ('InvoiceNumber=="A-2" || Status=="AUTHORISED"', ["A-1", "A-2"]),
        ("UpdatedDateUTC>=DateTime(2026,9,14,9,34,0)", ["B-2"]),
    ],
)
def test_where_finds_what_it_says(shelf: Client, where: str, found: list[str]) -> None:
    """Comparisons, text methods, dates, nesting; text without case."""
    assert shelf.numbers(where=where) == found


def test_where_by_id_needs_the_guid_form(shelf: Client) -> None:
    """A GUID in plain quotes is another type."""
    one = shelf.invoices()[0]
    by_id = f'InvoiceID==Guid("{one["InvoiceID"]}")'
    by_contact = f'Contact.ContactID==Guid("{one["Contact"]["ContactID"].upper()}")'
    assert shelf.numbers(where=by_id) == [one["InvoiceNumber"]]
    assert shelf.numbers(where=by_contact) == ["A-1", "A-2"]
    refused = shelf.send("GET", "/Invoices", {"where": f'InvoiceID=="{one["InvoiceID"]}"'})
    assert loaded(refused)["Message"] == "Operator '==' incompatible with operand types 'Guid' and 'String'"


@pytest.mark.parametrize(
    "where",
    [
        "Nonsense==1",
        'Type=="ACCREC',
        "Type==",
        "(Total>1",
        "Total>1 Total",
        'Reference.Contains("x")',
        'Total.Contains("x")',
        'Guid("x")==InvoiceID',
        "DateTime(2026)>Date",
        "Total",
        "Type LIKE 1",
    ],
)
def test_a_where_that_makes_no_sense_is_a_query_parse_error(shelf: Client, where: str) -> None:
    """Also a text method on a field that is null somewhere."""
    answer = shelf.send("GET", "/Invoices", {"where": where})
    assert (answer.status, loaded(answer)["ErrorNumber"]) == (400, 16)
    assert loaded(answer)["Type"] == "QueryParseException"


def test_explicit_lists_narrow_the_answer(shelf: Client) -> None:
    """A number with a comma cannot be found by its list."""
    ids = [one["InvoiceID"] for one in shelf.invoices()[:2]]
    assert len(shelf.invoices(IDs=",".join(ids))) == 2
    assert shelf.numbers(InvoiceNumbers="a-1,B-2") == ["A-1", "A-1", "B-2"]
    assert shelf.numbers(InvoiceNumbers="A,3") == []
    assert shelf.numbers(Statuses="AUTHORISED,VOIDED") == ["A-1"]
    assert shelf.numbers(ContactIDs=contact_id(shelf, "S-1")) == ["A-1", "B-2"]
    assert shelf.numbers(SearchTerm="ALPHA") == ["A-1", "A-2"]
    assert shelf.numbers(searchTerm="b-") == ["B-2"]
    assert shelf.numbers(InvoiceNumbers="A-1", where='Type=="ACCPAY"') == ["A-1"]


def test_lines_come_with_a_page_or_an_id_only(shelf: Client) -> None:
    """A bare list has none, and that is easy to miss."""
    assert all(one["LineItems"] == [] for one in shelf.invoices())
    assert all(one["LineItems"] for one in shelf.invoices(page=1))
    assert all(one["LineItems"] for one in shelf.invoices(IDs=shelf.invoices()[0]["InvoiceID"]))
    summary = shelf.read("/Invoices", summaryOnly="true")
    assert summary["pagination"]["itemCount"] == 5
    assert "LineItems" not in summary["Invoices"][0]
    assert "Payments" not in summary["Invoices"][0]


def test_pages_are_counted(shelf: Client) -> None:
    """Oldest change first, 100 to a page unless asked otherwise, 1000 at most."""
    body = shelf.read("/Invoices", page=2, pageSize=2)
    assert body["pagination"] == {"page": 2, "pageSize": 2, "pageCount": 3, "itemCount": 5}
    assert [one["InvoiceNumber"] for one in body["Invoices"]] == ["A,3", "A-1"]
    assert shelf.read("/Invoices", page=1)["pagination"]["pageSize"] == 100
    assert shelf.invoices(page=9) == []
    assert "pagination" not in shelf.read("/Invoices")
    assert shelf.send("GET", "/Invoices", {"page": 1, "pageSize": 1001}).status == 400


def test_order_is_by_any_field(shelf: Client) -> None:
    """Several fields, up and down."""
    found = shelf.invoices(order="Type DESC, Date, InvoiceNumber DESC")
    assert [one["InvoiceNumber"] for one in found] == ["A-2", "A-1", "A,3", "B-2", "A-1"]
    assert shelf.send("GET", "/Invoices", {"order": "Nonsense"}).status == 400


def test_if_modified_since_takes_whole_seconds_only(shelf: Client) -> None:
    """With milliseconds or an offset the filter is ignored, and everything comes back."""

    def count(moment: str) -> int:
        return len(loaded(shelf.send("GET", "/Invoices", None, None, If_Modified_Since=moment))["Invoices"])

    assert count("2026-09-14T09:33:00") == 2
    assert count("2026-09-14T09:33:00.000") == 5
    assert count("2026-09-14T09:33:00+00:00") == 5
    assert count("2026-09-14T09:33:00Z") == 5
    assert count("Mon, 14 Sep 2026 09:34:00 GMT") == 1


def test_a_change_by_a_person_is_seen_by_the_next_incremental_read(shelf: Client) -> None:
    """Editing and paying move UpdatedDateUTC."""
    first = next(one for one in shelf.invoices() if one["Reference"] == "alpha")
    shelf.clock.advance(minutes=10)
    since = f"{shelf.clock.now:%Y-%m-%dT%H:%M:%S}"
    shelf.organisation.pay(first["InvoiceID"], 1)
    answer = shelf.send("GET", "/Invoices", None, None, If_Modified_Since=since)
    assert [one["InvoiceID"] for one in loaded(answer)["Invoices"]] == [first["InvoiceID"]]


def test_documents_that_people_keyed_are_not_created_by_my_app(shelf: Client) -> None:
    """createdByMyApp leaves them out."""
    shelf.organisation.enter_invoice(**sale(shelf, "HAND-1"))
    assert "HAND-1" in shelf.numbers()
    assert "HAND-1" not in shelf.numbers(createdByMyApp="true")


def test_one_document_is_found_by_id_or_by_number(shelf: Client) -> None:
    """A sales invoice before a bill; a slash in the number is no trouble."""
    assert shelf.invoice("a-1")["Type"] == "ACCREC"
    assert shelf.invoice("B-2")["Contact"]["ContactStatus"] == "ACTIVE"
    shelf.made(sale(shelf, "2026/09/1"))
    assert shelf.invoice("2026/09/1")["InvoiceNumber"] == "2026/09/1"


# --- people -------------------------------------------------------------------------------------------------------


def test_a_person_may_do_what_the_api_may_not(client: Client) -> None:
    """Edit past every rule, and leave a total that is not the sum of its lines."""
    made = client.made(sale(client, "A-1", Status="AUTHORISED"))
    client.organisation.pay(made["InvoiceID"], "23.10")
    edited = client.organisation.edit(made["InvoiceID"], Reference="by hand", RoundingAmount="0.02")
    assert edited["Reference"] == "by hand"
    assert client.organisation.edit(made["InvoiceID"], LineItems=[line(), line()])["SubTotal"] == 42
    total = client.organisation.edit(client.made(sale(client))["InvoiceID"], RoundingAmount="0.02")["Total"]
    assert total == Decimal("23.12")


def test_a_person_is_told_when_something_cannot_be_done(client: Client) -> None:
    """As a ValueError with the text of the rule."""
    organisation = client.organisation
    made = client.made(sale(client, "A-1"))
    with pytest.raises(ValueError, match="unique"):
        organisation.enter_invoice(**sale(client, "A-1"))
    with pytest.raises(ValueError, match="VOIDED"):
        organisation.void(made["InvoiceID"])
    organisation.approve(made["InvoiceID"])
    with pytest.raises(ValueError, match="exceeds"):
        organisation.pay(made["InvoiceID"], 100)
    with pytest.raises(KeyError):
        organisation.approve(ZERO_GUID)
    with pytest.raises(ValueError, match="active contact"):
        organisation.rename_contact(contact_id(client), "Supplier One")


def test_two_worlds_with_the_same_documents_have_the_same_snapshot(world: World, clock: Moving) -> None:
    """Whatever their order, ids and times."""
    one, other = world(), world()
    other.organisation.add_contact("Somebody before", contact_number="X")
    first = [("A-1", {}), ("A-2", {"Reference": "r"})]
    for number, fields in first:
        one.made(sale(one, number, **fields))
        one.made(bill(one, "PO", LineItems=[bill_line(UnitAmount=len(number) + len(fields))]))
    clock.advance(hours=0.2)
    for number, fields in reversed(first):
        other.made(bill(other, "PO", LineItems=[bill_line(UnitAmount=len(number) + len(fields))]))
        other.made(sale(other, number, **fields))
    assert one.organisation.snapshot() == other.organisation.snapshot()
    assert set(one.organisation.snapshot()) == {"ACCPAY", "ACCREC"}
    other.organisation.edit(other.invoice("A-1")["InvoiceID"], Reference="changed")
    assert one.organisation.snapshot() != other.organisation.snapshot()


def test_ids_are_the_same_in_every_run(world: World) -> None:
    """So that a failing test can be read again."""
    ids = [made["InvoiceID"] for made in (client.made(sale(client)) for client in (world(), world()))]
    assert ids[0] == ids[1]


def test_live_documents_are_those_that_are_neither_voided_nor_deleted(client: Client) -> None:
    """And readers come in a fixed order."""
    for number in ("C", "A", "B"):
        client.made(sale(client, number))
    client.organisation.delete(client.invoice("A")["InvoiceID"])
    assert [one["InvoiceNumber"] for one in client.organisation.invoices("ACCREC")] == ["B", "C"]
    assert len(client.organisation.invoices(live=False)) == 3
    found = client.organisation.invoice_by_number("a")
    assert found is not None
    assert found["Status"] == "DELETED"
    assert client.organisation.invoice_by_number("nothing") is None


# --- pages --------------------------------------------------------------------------------------------------------


def test_deep_links_lead_to_a_page_that_escapes_what_it_shows(client: Client) -> None:
    """Invoice, bill and contact."""
    nasty = "<script>alert(1)</script>"
    made = client.made(sale(client, "A-1", Reference=nasty, Url='https://cw.example/?a="b"', LineItems=[line()]))
    owed = client.made(bill(client, "B-1", LineItems=[bill_line(Description=nasty)]))
    code = client.organisation.short_code

    def shown(path: str, query: str = "") -> str:
        answer = client.xero(Request.build("GET", path, query))
        assert answer.status == 200
        return answer.body.decode()

    invoice = shown(f"/app/{code}/invoicing/view/{made['InvoiceID']}")
    assert "Invoice A-1" in invoice
    assert "Acme Pty Ltd" in invoice
    query = f"shortcode={code}&redirecturl=/AccountsPayable/Edit.aspx?InvoiceID={owed['InvoiceID']}"
    paper = shown("/organisationlogin/default.aspx", query)
    assert "Bill B-1" in paper
    note = client.organisation.enter_credit_note(
        Type="ACCRECCREDIT", Contact={"ContactID": contact_id(client)}, CreditNoteNumber="CN-7", LineItems=[line()]
    )
    query = f"shortcode={code}&redirecturl=/AccountsPayable/ViewCreditNote.aspx?creditNoteID={note['CreditNoteID']}"
    assert "Credit Note CN-7" in shown("/organisationlogin/default.aspx", query)
    assert nasty not in invoice + paper
    assert "&lt;script&gt;" in invoice
    assert '"b"' not in invoice
    assert "AC-1" in shown(f"/app/{code}/contacts/contact/{contact_id(client)}")
    home = shown(f"/app/{code}")
    assert "Bill B-1" in home and query.replace("&", "&amp;") in home
    assert client.xero(Request.build("GET", f"/app/{code}/invoicing/view/{ZERO_GUID}")).status == 404


# --- together -----------------------------------------------------------------------------------------------------


def test_many_threads_can_write_at_once(client: Client) -> None:
    """No document is lost, no number is given twice."""
    client.xero.limits = Limits.none()
    document = sale(client)
    gate = threading.Barrier(8)

    def work(_index: int) -> None:
        gate.wait()
        for _ in range(20):
            client.made(document)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    numbers = client.numbers()
    assert len(numbers) == len(set(numbers)) == 160


def test_thousands_of_documents_are_found_as_fast_as_a_few(client: Client) -> None:
    """Look-ups go by an index: five thousand documents, a thousand look-ups, a few seconds."""
    element = sale(client)
    started = time.perf_counter()
    for batch in range(100):
        numbers = [f"N-{batch * 50 + index}" for index in range(50)]
        client.write("PUT", *({**element, "InvoiceNumber": one, "Reference": f"R{one}"} for one in numbers))
    for index in range(0, 5000, 10):
        assert client.numbers(where=f'Type=="ACCREC" AND Reference=="RN-{index}"') == [f"N-{index}"]
        assert client.numbers(InvoiceNumbers=f"N-{index}") == [f"N-{index}"]
    assert time.perf_counter() - started < 20


# --- the official description -------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", ["AU", "NZ", "UK", "US"])
def test_settings_are_as_the_official_description_says(world: World, description: Json, country: str) -> None:
    """Every list, in every country."""
    client = world(country=country)
    client.organisation.add_tracking_category("Region", ["North"])
    client.organisation.add_item("HOUR", sales_price="150", sales_account="200", purchase_price="80")
    client.organisation.set_lock_date(date(2025, 6, 30))
    for path, name in (
        ("/Organisation", "Organisations"),
        ("/Organisation/Actions", "Actions"),
        ("/Accounts", "Accounts"),
        ("/TaxRates", "TaxRates"),
        ("/TrackingCategories", "TrackingCategories"),
        ("/Currencies", "Currencies"),
        ("/Items", "Items"),
        ("/Contacts", "Contacts"),
    ):
        check(description, name, client.read(path))


def test_documents_are_as_the_official_description_says(client: Client, description: Json) -> None:
    """Lists, pages, single ones, replies and refusals."""
    client.organisation.add_tracking_category("Region", ["North"])
    client.organisation.add_item("HOUR", sales_price="150", sales_account="200")
    lines = [line(Tracking=[{"Name": "Region", "Option": "North"}], DiscountRate=5), {"ItemCode": "HOUR"}]
    document = sale(client, "A-1", Status="AUTHORISED", LineItems=lines, Url="https://cw.example/1", CurrencyCode="USD")
    body = {"Invoices": [document, bill(client, "B-1", PlannedPaymentDate="2026-10-01"), sale(client, "A-1")]}
    written = loaded(client.send("PUT", "/Invoices", {"summarizeErrors": "false"}, body))
    assert [one["StatusAttributeString"] for one in written["Invoices"]] == ["OK", "OK", "ERROR"]
    check(description, "Invoices", written)
    made = written["Invoices"][0]["InvoiceID"]
    client.organisation.pay(made, written["Invoices"][0]["Total"])
    check(description, "Invoices", client.read(f"/Invoices/{made}"))
    for query in ({}, {"page": 1}, {"summaryOnly": "true"}):
        check(description, "Invoices", client.read("/Invoices", **query))
    refused = loaded(client.send("PUT", "/Invoices", None, {"Invoices": [sale(client, "A-1")]}))
    open_element = {
        **description["$defs"],
        "Element": {**description["$defs"]["Element"], "additionalProperties": True},
    }
    check({"$defs": open_element}, "Error", refused)


# --- a client that other people wrote -----------------------------------------------------------------------------


def test_the_official_python_client_can_do_a_round(client: Client, base_url: str) -> None:
    """Token, settings, create, refuse, update, find, page: over a socket, with its own parsing."""
    from xero_python.accounting import Contact, Invoice, Invoices, LineItem
    from xero_python.exceptions import AccountingBadRequestException, NotFoundException
    from xero_python.identity import IdentityApi

    api = official(client, base_url)
    tenant = client.organisation.tenant_id
    connections = IdentityApi(api.api_client, base_url=base_url).get_connections()
    assert [one.tenant_id for one in connections] == [tenant]
    assert api.get_organisations(tenant).organisations[0].name == "Harbour IT"
    assert {one.tax_type for one in api.get_tax_rates(tenant).tax_rates} >= {"OUTPUT", "INPUT"}
    assert api.get_accounts(tenant, where='Code=="200"').accounts[0].tax_type == "OUTPUT"

    one_line = LineItem(description="Hours", quantity=2.0, unit_amount=10.5, account_code="200")
    contact = Contact(contact_id=contact_id(client))
    dates = {"date": date(2026, 9, 14), "due_date": date(2026, 10, 14)}
    good = Invoice(type="ACCREC", contact=contact, invoice_number="P-1", line_items=[one_line], **dates)
    bad = Invoice(type="ACCREC", contact=contact, invoice_number="P-1", line_items=[one_line], **dates)
    reply = api.create_invoices(
        tenant, Invoices(invoices=[good, bad]), idempotency_key="round-1", summarize_errors=False, unitdp=4
    )
    first, second = reply.invoices
    assert (first.total, first.status, first.status_attribute_string) == (Decimal("23.1"), "DRAFT", "OK")
    assert first.date == date(2026, 9, 14)
    assert first.updated_date_utc == START
    assert second.has_errors
    assert second.validation_errors[0].message == "Invoice # must be unique."
    with pytest.raises(AccountingBadRequestException) as refusal:
        api.create_invoices(tenant, Invoices(invoices=[bad]), summarize_errors=True)
    assert refusal.value.reason == "Invoice # must be unique."

    approved = api.update_invoice(tenant, first.invoice_id, Invoices(invoices=[Invoice(status="AUTHORISED")]))
    assert approved.invoices[0].status == "AUTHORISED"
    page = api.get_invoices(
        tenant, where='Type=="ACCREC" AND InvoiceNumber=="p-1"', page=1, page_size=10, order="UpdatedDateUTC ASC"
    )
    assert (page.pagination.item_count, page.invoices[0].line_items[0].line_amount) == (1, 21)
    assert api.get_invoices(tenant, invoice_numbers=["P-1", "P-2"]).invoices[0].invoice_id == first.invoice_id
    assert api.get_contacts(tenant, search_term="acme").contacts[0].contact_number == "C-1"
    with pytest.raises(NotFoundException):
        api.get_invoice(tenant, ZERO_GUID)


def test_a_server_that_takes_its_time_fills_the_five_places(client: Client) -> None:
    """Seven calls at once over a socket: two of them are refused."""
    client.xero.limits = Limits()
    headers = {"Authorization": f"Bearer {client.token}", "Xero-tenant-id": client.organisation.tenant_id}

    def status(url: str) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return cast(int, answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    with serve(client.xero, latency=lambda: 0.6) as url, ThreadPoolExecutor(7) as pool:
        found = sorted(pool.map(status, [f"{url}/api.xro/2.0/Currencies"] * 7))
    assert found == [200] * 5 + [429] * 2
    assert client.xero.statistics.most_in_flight == 6
    assert client.xero.statistics.refused_429 == 2


def test_a_socket_answers_the_same_as_a_call(client: Client, base_url: str) -> None:
    """The handler does not know which of the two it serves."""
    headers = {
        "Authorization": f"Bearer {client.token}",
        "Xero-tenant-id": client.organisation.tenant_id,
        "Accept": "application/json",
    }
    asked = urllib.request.Request(f"{base_url}/api.xro/2.0/Accounts", headers=headers)
    with urllib.request.urlopen(asked) as answer:
        over_socket = json.loads(answer.read(), parse_float=Decimal)
        assert answer.headers["X-MinLimit-Remaining"]
    assert over_socket["Accounts"] == client.read("/Accounts")["Accounts"]
