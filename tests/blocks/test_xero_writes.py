"""Writing to Xero: the same bytes under the same key, every element read, and doubt called doubt."""

from __future__ import annotations

import contextlib
import itertools
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges, read
from blocks.failures import LimitReached, NotConfigured
from blocks.wire import Retries
from blocks.xero.client import KEY_LASTS, BatchRefused, Element, FateUnknown, XeroClient
from blocks.xero.credentials import MemoryTokenStore
from deployments.sandbox.wire import Fault, Faulty
from deployments.sandbox.xero import Limits, SimulatedXero
from mappings.xero import EMPTY_ID
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
    told,
    xero,
    xero_limiter,
)
from tests.blocks.test_xero_client import simulated
from tests.worlds import Clock, transport

KEY = "8f14e45fceea167a5a36dedd4bea2543"
PATH = "Invoices?summarizeErrors=false&unitdp=4"
BODY = '{"Invoices":[{"InvoiceNumber":"40001","Reference":"Bücher, \u201cNo. 7\u201d"}]}'.encode()
ID = "0c2a1d3e-0000-4000-8000-000000000001"


def written(*elements: Any) -> Answer:
    """A good answer to a write."""
    return answer(200, {"Status": "OK", "Invoices": list(elements)})


def document(number: str = "40001", **fields: Any) -> dict[str, Any]:
    """An accepted document."""
    return {
        "InvoiceID": ID, "Type": "ACCREC", "InvoiceNumber": number, "Total": 330, "Status": "DRAFT",
        "StatusAttributeString": "OK", "HasErrors": False,
    } | fields  # fmt: skip


def refused(number: str = "40001", *messages: str, **fields: Any) -> dict[str, Any]:
    """A refused new document: the zero id, and reasons."""
    errors = [{"Message": message} for message in messages]
    return (
        document(number, InvoiceID=EMPTY_ID, StatusAttributeString="ERROR", HasErrors=True, ValidationErrors=errors)
        | fields
    )


def write(client: XeroClient, clock: Clock, method: str = "PUT", age: float = 0, body: bytes = BODY) -> list[Element]:
    """Send one stored request."""
    return client.write(TENANT, method, PATH, body, KEY, ["40001"], clock() - timedelta(seconds=age))


def test_a_write_goes_out_as_it_was_stored(audit: Audit, clock: Clock, exchanges: Exchanges) -> None:
    """Method, path with its parameters, key, bytes, organisation; and the exchange names the records."""
    server = Server(written(document()))
    write(xero(audit, clock, server, exchanges=exchanges), clock)
    (request,) = server.requests
    assert request.method == "PUT"
    assert str(request.url) == f"https://api.example.com/api.xro/2.0/{PATH}"
    assert request.content == BODY
    assert request.headers["Idempotency-Key"] == KEY
    assert len(request.headers["Idempotency-Key"]) <= 128
    assert request.headers["Xero-tenant-id"] == TENANT
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    (row,) = read(audit, reference="40001")
    assert (row["method"], row["request"], row["status"]) == ("PUT", BODY.decode(), 200)


# Every element


@pytest.mark.parametrize(
    ("element", "accepted", "errors"),
    [
        (document(), True, ()),
        (document(StatusAttributeString=None, HasErrors=None), True, ()),
        (document(StatusAttributeString="WARNING", Warnings=[{"Message": "Odd rate."}]), True, ()),
        (document(HasErrors=True, ValidationErrors=[]), True, ()),
        (refused("40001", "Account code '9' is not valid.", "Account code '9' is not valid."), False,
         ("Account code '9' is not valid.",)),
        (refused("40001"), False, ("Xero refused it without a message",)),
        (refused("40001", StatusAttributeString=None), False, ("Xero refused it without a message",)),
        (refused("40001", "Header.", LineItems=[{"ValidationErrors": [{"Message": "Line 2."}]}]), False,
         ("Header.", "Line 2.")),
        ({"ValidationErrors": [{"Message": "No date."}], "StatusAttributeString": "ERROR"}, False, ("No date.",)),
    ],
    ids=[
        "accepted", "accepted in few words", "with a warning", "has errors, says OK", "refused", "without a message",
        "without message and status", "a line is refused", "refused without number and id",
    ],
)  # fmt: skip
def test_each_element_is_accepted_or_refused_with_reasons(
    audit: Audit, clock: Clock, element: dict[str, Any], accepted: bool, errors: tuple[str, ...]
) -> None:
    """HTTP 200 hides refusals: the id, the status and the messages of every element decide."""
    found, other = write(xero(audit, clock, Server(written(element, document("40002", InvoiceID="1")))), clock)
    assert (found.accepted, found.errors) == (accepted, errors)
    assert other.accepted


@pytest.mark.parametrize(
    "element",
    [
        document(StatusAttributeString="ERROR"),
        document(HasErrors=True, StatusAttributeString=None),
        document(ValidationErrors=[{"Message": "No."}]),
        document(InvoiceID=EMPTY_ID),
        {},
        document(Total="a lot"),
        document(Contact="Acme"),
    ],
    ids=["refused with an id", "has errors and an id", "a message and an id", "fine without an id", "empty",
         "unreadable total", "unreadable contact"],
)  # fmt: skip
def test_an_answer_that_contradicts_itself_means_looking_the_records_up(
    audit: Audit, clock: Clock, element: dict[str, Any]
) -> None:
    """Refused and yet there, neither, or unreadable: a new document may stand in Xero, only a look tells."""
    with pytest.raises(FateUnknown):
        write(xero(audit, clock, Server(written(document("40002"), element))), clock)


def test_a_refused_update_has_the_id_of_its_document_and_is_refused_all_the_same(audit: Audit, clock: Clock) -> None:
    """Only a new document has no id when it is refused."""
    element = document(StatusAttributeString="ERROR", ValidationErrors=[{"Message": "Not of valid status."}])
    (found,) = write(xero(audit, clock, Server(written(element))), clock, method="POST")
    assert (found.accepted, found.errors) == (False, ("Not of valid status.",))


@pytest.mark.parametrize("body", [{"Status": "OK"}, {"Invoices": None}, {"Invoices": {}}, {"Elements": []}])
def test_a_success_without_documents_is_doubt(audit: Audit, clock: Clock, body: dict[str, Any]) -> None:
    """The envelope without the collection says nothing about what was written."""
    with pytest.raises(FateUnknown, match="has no Invoices"):
        write(xero(audit, clock, Server(answer(200, body))), clock)


# What the answer means for the request


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (answer(400, {"Elements": [{"ValidationErrors": [{"Message": "Bad account."}]}]}), "Bad account."),
        (answer(400, {"Message": "No data has been processed"}), "No data has been processed"),
        (answer(404), "HTTP 404 without a message"),
        (answer(413, b"<html>"), "HTTP 413 without a message"),
    ],
)
def test_a_definite_no_to_the_whole_call_is_said_at_once(audit: Audit, clock: Clock, bad: Answer, words: str) -> None:
    """Nothing was written: one attempt, Xero's words, and the batch may be split."""
    server = Server(bad)
    with pytest.raises(BatchRefused) as caught:
        write(xero(audit, clock, server), clock)
    assert (caught.value.words, len(server.requests)) == (words, 1)


@pytest.mark.parametrize(
    "bad",
    [
        answer(500),
        answer(502, b"<html>"),
        answer(503, b"offline"),
        answer(400, {"Detail": "Idempotency Key: k is used with a different request."}),
    ],
)
def test_an_error_of_xeros_own_is_doubt_and_the_write_is_not_repeated(audit: Audit, clock: Clock, bad: Answer) -> None:
    """Part of it may be applied, and its key would replay the error for minutes: look the records up."""
    server = Server(bad)
    with pytest.raises(FateUnknown):
        write(xero(audit, clock, server), clock)
    assert len(server.requests) == 1


UNREADABLE = {
    "cut": failing(httpx.ReadError),
    "timed out": failing(httpx.ReadTimeout),
    "refused": failing(httpx.ConnectError, "[Errno 111] Connection refused"),
    "spoilt": failing(httpx.DecodingError, "Error -3"),
    "a web page": answer(200, b"<html>"),
    "half": answer(200, b'{"Invoices": [{"Invoice'),
    "empty": answer(200, b""),
    "302": answer(302, b"", Location="https://sso.example.com/"),
    "409": answer(409),
    "minute limit": answer(429, b"", Retry_After="5"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_without_a_readable_answer_the_same_bytes_go_out_under_the_same_key(
    name: str, audit: Audit, clock: Clock
) -> None:
    """The key gets the first answer again, whatever became of the call: the second attempt settles it."""
    server = Server(UNREADABLE[name], written(document()))
    (found,) = write(xero(audit, clock, server), clock)
    assert found.accepted
    first, second = server.requests
    assert first.content == second.content == BODY
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == KEY
    assert (first.method, first.url) == (second.method, second.url)


@pytest.mark.parametrize("name", UNREADABLE)
def test_without_any_readable_answer_the_fate_is_unknown(
    name: str, audit: Audit, clock: Clock, exchanges: Exchanges
) -> None:
    """After the last attempt: doubt, in a sentence without secrets, and the same bytes every time."""
    server = Server(UNREADABLE[name])
    with pytest.raises(FateUnknown) as caught:
        write(xero(audit, clock, server, exchanges=exchanges), clock)
    assert {request.content for request in server.requests} == {BODY}
    assert {request.headers["Idempotency-Key"] for request in server.requests} == {KEY}
    assert len(server.requests) == 4
    assert is_a_sentence(str(caught.value)), str(caught.value)
    assert_no_secret(told(caught.value), kept_text(audit))


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("name", sorted(UNREADABLE.keys() - {"minute limit"}))
def test_what_is_not_to_be_repeated_goes_out_once(name: str, expired: bool, audit: Audit, clock: Clock) -> None:
    """What may have been carried out is looked for before anything else; a refused token is no such thing."""
    server = Server(*([answer(401)] if expired else []), UNREADABLE[name], written(document()))
    client = xero(audit, clock, server, tokens=keeper(audit, clock, Server(new_tokens(1))))
    with pytest.raises(FateUnknown):
        client.write(TENANT, "PUT", PATH, BODY, KEY, ["40001"], clock(), repeats=False)
    assert len(server.requests) == 1 + expired


def test_what_is_not_to_be_repeated_waits_for_a_minute_limit(audit: Audit, clock: Clock) -> None:
    """That call was refused before it was looked at."""
    server = Server(UNREADABLE["minute limit"], written(document()))
    (found,) = xero(audit, clock, server).write(TENANT, "PUT", PATH, BODY, KEY, ["40001"], clock(), repeats=False)
    assert found.accepted and len(server.requests) == 2


def test_with_one_attempt_configured_there_is_one(audit: Audit, clock: Clock) -> None:
    """`[http] attempts = 1`: an unanswered write is doubt at once."""
    server = Server(failing(httpx.ReadTimeout), written(document()))
    with pytest.raises(FateUnknown):
        write(xero(audit, clock, server, retries=Retries(1, sleep=clock.sleep)), clock)
    assert len(server.requests) == 1


def test_an_expired_token_means_one_refresh_and_the_same_bytes(audit: Audit, clock: Clock) -> None:
    """401 comes before the request is looked at: nothing was written, the key is still good."""
    server = Server(answer(401), written(document()))
    identity = Server(new_tokens(1))
    write(xero(audit, clock, server, tokens=keeper(audit, clock, identity)), clock)
    first, second = server.requests
    assert (first.content, first.headers["Idempotency-Key"]) == (second.content, second.headers["Idempotency-Key"])
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer canary-access-0", "Bearer canary-access-1"
    ]  # fmt: skip
    assert len(identity.requests) == 1


def test_a_token_that_is_refused_twice_is_not_refreshed_for_ever(audit: Audit, clock: Clock) -> None:
    """One refresh for one call; then it is a matter for people."""
    server, identity = Server(answer(401)), Server(new_tokens(1))
    with pytest.raises(NotConfigured, match="`tieout connect xero`"):
        write(xero(audit, clock, server, tokens=keeper(audit, clock, identity)), clock)
    assert (len(server.requests), len(identity.requests)) == (2, 1)


def test_a_disconnected_organisation_is_named_with_the_cure(audit: Audit, clock: Clock) -> None:
    """403 with a healthy token: people disconnected the app, retrying never helps."""
    server = Server(answer(403, {"Detail": "AuthenticationUnsuccessful"}))
    with pytest.raises(NotConfigured, match=f"organisation {TENANT} .*`tieout connect xero`"):
        write(xero(audit, clock, server), clock)
    assert len(server.requests) == 1


def test_a_day_limit_defers_and_nothing_is_sent_again(audit: Audit, clock: Clock) -> None:
    """429 for the day: not processed, left to a later cycle."""
    server = Server(answer(429, b"", X_Rate_Limit_Problem="day", Retry_After="77000"))
    with pytest.raises(LimitReached, match="day limit"):
        write(xero(audit, clock, server, limiter=xero_limiter(audit, clock)), clock)
    assert len(server.requests) == 1


# The age of a key


@pytest.mark.parametrize(("age", "sent"), [(0, 1), (299, 1), (300, 0), (3600, 0)])
def test_nothing_is_sent_under_a_key_older_than_five_minutes(audit: Audit, clock: Clock, age: float, sent: int) -> None:
    """Xero forgets a key six minutes after its first call: then the same bytes would make a second document."""
    server = Server(written(document()))
    client = xero(audit, clock, server)
    if sent:
        write(client, clock, age=age)
    else:
        with pytest.raises(FateUnknown, match="too old"):
            write(client, clock, age=age)
    assert len(server.requests) == sent


def test_waiting_between_attempts_ages_the_key_too(audit: Audit, clock: Clock) -> None:
    """Retry-After: 60 three times, begun at four minutes: the attempt after the fifth minute is not made."""
    server = Server(answer(429, b"", Retry_After="45"))
    with pytest.raises(FateUnknown, match="too old"):
        write(xero(audit, clock, server), clock, age=240)
    assert len(server.requests) == 2


def test_waiting_for_a_place_among_the_calls_ages_the_key_too(audit: Audit, clock: Clock) -> None:
    """The limiter lets it through after the fifth minute: it is not sent."""
    limiter = xero_limiter(audit, clock, per_minute=2)
    server = Server(written(document()))
    client = xero(audit, clock, server, limiter=limiter)
    for _ in range(2):
        write(client, clock)
    with pytest.raises(FateUnknown, match="too old"):
        write(client, clock, age=280)
    assert len(server.requests) == 2
    assert clock() - timedelta(seconds=20) > Clock()()


def test_a_pause_that_was_told_to_another_process_ages_the_key_too(audit: Audit, clock: Clock) -> None:
    """Waiting out somebody else's Retry-After counts as well."""
    xero_limiter(audit, clock).pause(TENANT, 50, "limit of calls")
    server = Server(written(document()))
    with pytest.raises(FateUnknown, match="too old"):
        write(xero(audit, clock, server, limiter=xero_limiter(audit, clock)), clock, age=260)
    assert server.requests == []


def test_waiting_for_a_new_token_ages_the_key_too(audit: Audit, clock: Clock) -> None:
    """A refresh that takes long, after a 401: the repetition is not sent."""

    def slow(request: httpx.Request) -> httpx.Response:
        clock.advance(seconds=40)
        return new_tokens(1)(request)

    server = Server(answer(401), written(document()))
    with pytest.raises(FateUnknown, match="too old"):
        write(xero(audit, clock, server, tokens=keeper(audit, clock, slow)), clock, age=270)
    assert len(server.requests) == 1


EXAMPLES = itertools.count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    age=st.floats(0, 400),
    steps=st.lists(st.tuples(st.sampled_from(["cut", "minute", "page", "401"]), st.floats(0, 90)), max_size=8),
)
def test_however_time_passes_no_attempt_is_made_after_the_fifth_minute(
    audit: Audit, age: float, steps: list[tuple[str, float]]
) -> None:
    """Slow answers, waits, refreshes and limits in any order: every request that arrives is young enough."""
    clock = Clock()
    tenant = f"tenant-{next(EXAMPLES)}"  # pauses of one example do not reach the next
    stored_at = clock() - timedelta(seconds=age)
    arrivals: list[timedelta] = []
    script = iter(steps)

    def serve(request: httpx.Request) -> httpx.Response:
        arrivals.append(clock() - stored_at)
        what, seconds = next(script, ("good", 0.0))
        clock.advance(seconds=seconds)
        if what == "cut":
            raise httpx.ReadError("", request=request)
        if what == "minute":
            return httpx.Response(429, headers={"Retry-After": str(seconds)})
        return httpx.Response(401) if what == "401" else httpx.Response(200, json={"Invoices": [document()]})

    configured = SecretStr("canary-configured")
    tokens = keeper(audit, clock, Server(new_tokens(1)), MemoryTokenStore(), fallback=configured)
    retries = Retries(6, 60, sleep=clock.sleep)
    client = xero(audit, clock, serve, tokens=tokens, limiter=xero_limiter(audit, clock), retries=retries)
    with contextlib.suppress(FateUnknown, LimitReached, NotConfigured):
        client.write(tenant, "PUT", PATH, BODY, KEY, ["40001"], stored_at)
    assert all(arrival < KEY_LASTS for arrival in arrivals)


# Against the simulated Xero


def test_an_answer_lost_after_xero_accepted_gets_the_same_document_again(audit: Audit, clock: Clock) -> None:
    """The simulator forgets nothing within six minutes: two attempts, one invoice."""
    system = SimulatedXero(clock=clock)
    system.limits = Limits.none()
    organisation = system.add_organisation("Sydney", tenant_id=TENANT)
    contact = organisation.add_contact("Acme")["ContactID"]
    faulty = Faulty(system, clock)
    faulty.plan = lambda request, _number: (
        Fault("after") if request.method == "PUT" and not any(c.method == "PUT" for c in faulty.calls) else None
    )
    client = simulated(system, audit, clock)
    client._wire.http = httpx.Client(transport=transport(faulty))
    body = json.dumps(
        {
            "Invoices": [
                {
                    "Type": "ACCREC", "InvoiceNumber": "40001", "Contact": {"ContactID": contact},
                    "Date": "2026-03-01", "DueDate": "2026-03-31", "Status": "DRAFT",
                    "LineItems": [{"Description": "x", "Quantity": 1, "UnitAmount": 10, "AccountCode": "200"}],
                },
                {
                    "Type": "ACCREC", "InvoiceNumber": "40002", "Contact": {"ContactID": contact},
                    "Date": "2026-03-01", "DueDate": "2026-03-31", "Status": "AUTHORISED",
                    "LineItems": [{"Description": "x", "Quantity": 1, "UnitAmount": 10, "AccountCode": "9999"}],
                },
            ]
        }
    ).encode()  # fmt: skip
    accepted, turned_down = write(client, clock, body=body)
    assert accepted.accepted
    assert accepted.found.number == "40001"
    assert not turned_down.accepted
    assert turned_down.errors
    assert [each["InvoiceNumber"] for each in organisation.invoices(type="ACCREC")] == ["40001"]
    assert system.idempotent_replays == 1
