"""What goes wrong with ConnectWise, row by row (fact sheet, sections 1, 2 and 15): class, sentence, attempts, waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import httpx
import pytest
import respx
from pydantic import SecretStr

from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.failures import CannotGoOn, NotConfigured, Unreachable
from blocks.limiter import Limiter
from blocks.wire import Retries
from tests.blocks.support import (
    Answer,
    Server,
    answer,
    assert_no_secret,
    connectwise,
    failing,
    is_a_sentence,
    kept_text,
    no_secret_logged,
    told,
)
from tests.worlds import Clock

CODEBASE = {"Codebase": "v4_6_release/"}
LOGIN_PAGE = b"<!doctype html><html><body>Please sign in</body></html>"


@dataclass(frozen=True)
class Row:
    """One row of the table: what comes back, what is raised, what the sentence says, how often it is tried."""

    answer: Answer
    kind: type[CannotGoOn]
    words: tuple[str, ...]
    calls: int


TABLE = {
    "401, code Unauthorized": Row(
        answer(401, {"code": "Unauthorized", "message": "Authorization has been denied.", "errors": None}),
        NotConfigured, ("refuses the keys of company 'acme'", "401 Authorization has been denied", "private_key"), 1,
    ),
    "401, UserNotAuthenticated": Row(
        answer(401, {"code": "ConnectWiseApi", "message": "UserNotAuthenticated"}),
        NotConfigured, ("refuses the keys", "401 UserNotAuthenticated", "client_id"), 1,
    ),
    "401 without a body": Row(answer(401), NotConfigured, ("(401)", "public_key"), 1),
    "403, no right to this list": Row(
        answer(403, {"code": "Security", "message": "You do not have security permission to perform this action."}),
        NotConfigured, ("may not read /finance/taxCodes", "Inquire All"), 1,
    ),
    "the api- prefix is missing": Row(
        answer(403, {"code": "Security", "message": "SSL is required.", "errors": None}),
        NotConfigured, ("SSL is required", "must begin with https://api-"), 1,
    ),
    "400, plain text of the gateway": Row(
        answer(400, b"Cannot route. Codebase/company is invalid", Content_Type="text/plain"),
        NotConfigured, ("cannot route the call (400 Cannot route. Codebase/company is invalid)", "client_id"), 1,
    ),
    "400, conditions that are not understood": Row(
        answer(
            400,
            {
                "code": "InvalidObject",
                "message": "object is invalid",
                "errors": [{"code": "X", "message": "Expected a boolean value."}, "odd"],
            },
        ),
        Unreachable, ("refused /finance/taxCodes (400 object is invalid: Expected a boolean value.)", "`tieout audit`"),
        1,
    ),
    "404 on cloud, bad keys": Row(
        answer(404, LOGIN_PAGE, Content_Type="text/html"),
        NotConfigured, ("does not know /finance/taxCodes (404)", "check [connectwise] url, company and keys"), 1,
    ),
    "404 with words": Row(
        answer(404, {"code": "NotFound", "message": "Ticket 1 not found"}),
        NotConfigured, ("(404 Ticket 1 not found)",), 1,
    ),
    "302 to a login page": Row(
        answer(302, LOGIN_PAGE, Location="https://sso.example.net/login?state=1"),
        NotConfigured, ("sends us on to https://sso.example.net instead", "begins with api-"), 1,
    ),
    "a web page with 200": Row(
        answer(200, b"\xef\xbb\xbf\r\n" + LOGIN_PAGE, Content_Type="text/html"),
        Unreachable, ("at api-au.example.net answered", "a web page instead of data", "begins with api-"), 4,
    ),
    "JSON cut short": Row(answer(200, b'[{"id": 1}, {"id"'), Unreachable, ("cut short or no JSON",), 4),
    "JSON cut short after a brace": Row(answer(200, b'[{"id": 1}'), Unreachable, ("cut short or no JSON",), 4),
    "an empty body": Row(answer(200, b""), Unreachable, ("cut short or no JSON",), 4),
    "bytes that are no text": Row(answer(200, b"\xff\xfe\x00["), Unreachable, ("cut short or no JSON",), 4),
    "JSON without a bottom": Row(answer(200, b"[" * 100_000), Unreachable, ("cut short or no JSON",), 4),
    "null": Row(answer(200, b"null"), Unreachable, ("not a list of records",), 1),
    "one record for a list": Row(answer(200, {"id": 1}), Unreachable, ("not a list of records",), 1),
    "204": Row(answer(204), Unreachable, ("refused /finance/taxCodes (204)",), 1),
    "405": Row(answer(405, {"code": "MethodNotAllowed", "message": "No."}), Unreachable, ("(405 No.)",), 1),
    "429 with its odd body": Row(
        answer(
            429, {"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 7 seconds."},
            Retry_After="7",
        ),
        Unreachable, ("refuses more calls for now (429)",), 4,
    ),
    "500, their spelling": Row(
        answer(500, {"code": "ConnectWiseApi", "message": "A timeout has occured. Please try again."}),
        Unreachable, ("an error of its own (500 A timeout has occured. Please try again.)",), 4,
    ),
    "503 with a page": Row(answer(503, LOGIN_PAGE), Unreachable, ("an error of its own (503)",), 4),
    "502 in plain text": Row(answer(502, b"Bad\r\nGateway"), Unreachable, ("(502 Bad Gateway)",), 4),
    "connection refused": Row(
        failing(httpx.ConnectError, "[Errno 111] Connection refused"),
        Unreachable, ("at api-au.example.net does not answer (Connection refused)", "[connectwise] url"), 4,
    ),
    "no such host": Row(
        failing(httpx.ConnectError, "[Errno -2] Name or service not known"),
        Unreachable, ("does not answer (Name or service not known)", "the network"), 4,
    ),
    "no time to connect": Row(failing(httpx.ConnectTimeout), Unreachable, ("does not answer (timed out)",), 4),
    "no time to answer": Row(failing(httpx.ReadTimeout), Unreachable, ("does not answer (timed out)",), 4),
    "the connection is cut": Row(
        failing(httpx.RemoteProtocolError, "Server disconnected without sending a response."),
        Unreachable, ("Server disconnected",), 4,
    ),
    "an answer that cannot be unpacked": Row(
        failing(httpx.DecodingError, "Error -3 while decompressing data"), Unreachable, ("decompressing",), 4
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_every_failure_ends_in_one_sentence_with_the_cure_and_no_secret_anywhere(
    name: str, exchanges: Exchanges, audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    """The right class and exit code, the operator's words, bounded attempts; nothing leaks into log, audit or error."""
    row = TABLE[name]
    lists = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal lists
        if "/login/" in request.url.path:
            return httpx.Response(200, json=CODEBASE)
        lists += 1
        return row.answer(request)

    with no_secret_logged(caplog), pytest.raises(row.kind) as caught:
        connectwise(serve, exchanges=exchanges).tax_codes()
    sentence = str(caught.value)
    assert is_a_sentence(sentence), sentence
    assert all(words in sentence for words in row.words), sentence
    assert caught.value.exit_code == (2 if row.kind is NotConfigured else 1)
    assert lists == row.calls
    assert_no_secret(told(caught.value), kept_text(audit), repr(caught.value))


@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_attempts_are_bounded_by_the_configuration_one_included(attempts: int) -> None:
    """`[http] attempts = 1` means: once and no more."""
    server = Server(answer(500))
    naps: list[float] = []
    with pytest.raises(Unreachable):
        connectwise(server, retries=Retries(attempts, sleep=naps.append)).tax_codes()
    assert len(server.requests) == attempts
    assert len(naps) == attempts - 1


@pytest.mark.parametrize(
    ("first", "slept"),
    [
        (answer(429, {"error": "ConnectWiseAPI"}, Retry_After="7"), [7.0]),
        (
            answer(429, b"", Retry_After="Mon, 02 Mar 2026 09:00:09 GMT", Date="Mon, 02 Mar 2026 09:00:00 GMT"),
            [9.0],
        ),
        (answer(503, b"", Retry_After="20"), [20.0]),
        (answer(429, b"", Retry_After="-5"), [0.0]),
    ],
)
def test_the_wait_that_was_asked_for_is_kept_and_then_the_call_succeeds(first: Answer, slept: list[float]) -> None:
    """Retry-After in seconds and as a date, after 429 and after 503."""
    naps: list[float] = []
    client = connectwise(Server(first, answer(200, [{"id": 1}])), retries=Retries(sleep=naps.append))
    assert client.tax_codes() == [{"id": 1}]
    assert naps == slept


@pytest.mark.parametrize("bad", [answer(429), answer(429, b"", Retry_After="soon"), answer(500)])
def test_without_a_usable_retry_after_the_wait_is_ours_with_jitter(bad: Answer) -> None:
    """Half a second to begin with, doubled, between half and all of it."""
    naps: list[float] = []
    with pytest.raises(Unreachable):
        connectwise(Server(bad), retries=Retries(sleep=naps.append)).tax_codes()
    assert [0.25 <= naps[0] <= 0.5, 0.5 <= naps[1] <= 1, 1 <= naps[2] <= 2] == [True] * 3


def test_a_longer_wait_than_a_cycles_ends_the_cycle_at_once() -> None:
    """Retry-After: 3600 is neither slept nor ignored."""
    server = Server(answer(429, b"", Retry_After="3600"))
    naps: list[float] = []
    with pytest.raises(Unreachable, match="refuses more calls"):
        connectwise(server, retries=Retries(sleep=naps.append)).tax_codes()
    assert (len(server.requests), naps) == (1, [])


def test_a_pause_that_was_asked_for_holds_for_every_other_client_too(audit: Audit, clock: Clock) -> None:
    """One client is told to wait; another one, in any process, waits as well, or stops when it is too long."""

    def limiter() -> Limiter:
        return Limiter(
            audit, "ConnectWise", "connectwise:acme", per_minute=600, concurrent=5, clock=clock, sleep=clock.sleep
        )

    once = Retries(1, sleep=clock.sleep)
    with pytest.raises(Unreachable):
        connectwise(Server(answer(429, b"", Retry_After="30")), retries=once, limiter=limiter()).tax_codes()
    began = clock()
    connectwise(Server(answer(200, [])), retries=once, limiter=limiter()).tax_codes()
    assert (clock() - began).total_seconds() == 30

    with pytest.raises(Unreachable):
        connectwise(Server(answer(429, b"", Retry_After="7200")), retries=once, limiter=limiter()).tax_codes()
    server = Server(answer(200, []))
    with pytest.raises(Unreachable, match=r"ConnectWise's limit of calls is used up until about 2026-03-02 11:00 UTC"):
        connectwise(server, retries=once, limiter=limiter()).tax_codes()
    assert server.requests == []


def test_a_failure_is_cured_by_a_later_attempt_without_a_trace_in_the_result() -> None:
    """HTML, a cut body, 500 and a cut connection in a row, then the real answer."""
    server = Server(
        answer(200, LOGIN_PAGE), answer(200, b"[{"), answer(500), failing(httpx.ReadError), answer(200, [{"id": 7}])
    )
    client = connectwise(server, retries=Retries(5, sleep=lambda _seconds: None))
    assert client.tax_codes() == [{"id": 7}]


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        (failing(httpx.ConnectError, "[Errno 111] Connection refused"), Unreachable, "does not answer"),
        (answer(200, LOGIN_PAGE), Unreachable, "a web page instead of data"),
        (answer(302, b"", Location="/maintenance"), NotConfigured, "does not know the company"),
        (answer(500), Unreachable, "an error of its own"),
    ],
)
def test_discovery_fails_in_the_same_way(bad: Answer, kind: type[CannotGoOn], words: str) -> None:
    """The look-up of the codebase is a call like any other: retried, bounded, a sentence."""
    with pytest.raises(kind, match=words) as caught:
        connectwise(Server(bad), url="https://api-au.example.net")
    assert is_a_sentence(str(caught.value))


def test_one_failing_list_of_several_fails_the_reading_of_rows() -> None:
    """Half of an invoice's rows would pass for all of them."""

    def serve(request: httpx.Request) -> httpx.Response:
        if "/expense/" in request.url.path:
            return httpx.Response(403, json={"code": "Security", "message": "No."})
        return httpx.Response(200, json=[])

    with pytest.raises(NotConfigured, match="may not read /expense/entries"):
        connectwise(serve).invoice_rows([1, 2])


@respx.mock(base_url="https://api-au.example.net/v4_6_release/apis/3.0")
def test_a_client_from_the_credentials_block_goes_the_same_way(
    respx_mock: respx.MockRouter, audit: Audit, clock: Clock
) -> None:
    """On the network's own transport: 429, the wait that was asked for, then the records."""
    route = respx_mock.get("/finance/invoices")
    route.side_effect = [httpx.Response(429, headers={"Retry-After": "1"}), httpx.Response(200, json=[{"id": 1}])]
    block = ConnectWiseCredentials(
        url="https://api-au.example.net/v4_6_release/apis/3.0/", company="acme", public_key=SecretStr("canary-public"),
        private_key=SecretStr("canary-private"), client_id="0a1b2c3d-0000-4000-8000-000000000001",
    )  # fmt: skip
    began = clock()
    client = block.get_client(audit, "run-1", clock, sleep=clock.sleep)
    assert client.invoices_dated_from(date(2026, 1, 1)).fetch().records == [{"id": 1}]
    assert (route.call_count, clock() - began) == (2, timedelta(seconds=1))
    assert_no_secret(kept_text(audit))
