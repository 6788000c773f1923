"""OAuth tokens: rotation, one refresh for all, saved before use, lost answers, and what ends a connection."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from blocks.audit import leases
from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.failures import CannotGoOn, NotConfigured, Unreachable
from blocks.wire import Retries
from blocks.xero import credentials
from blocks.xero.credentials import BlockTokenStore, MemoryTokenStore, XeroCredentials
from blocks.xero.tokens import SCOPES, TokenKeeper, Tokens
from deployments.sandbox.wire import Fault, Faulty
from deployments.sandbox.xero import SimulatedXero
from tests.blocks.support import (
    CANARIES,
    Answer,
    Server,
    answer,
    assert_no_secret,
    failing,
    good_tokens,
    is_a_sentence,
    keeper,
    kept_text,
    new_tokens,
    no_secret_logged,
    told,
)
from tests.worlds import Clock, transport


class Store(MemoryTokenStore):
    """A token store that remembers what it was asked to save, and fails as often as it is told."""

    def __init__(self, tokens: Tokens | None = None, fails: int = 0) -> None:
        super().__init__(tokens)
        self.saved: list[Tokens] = []
        self.fails = fails

    def save(self, tokens: Tokens) -> None:
        if self.fails:
            self.fails -= 1
            raise Unreachable("The Prefect server does not answer.")
        self.saved.append(tokens)
        super().save(tokens)


def expired(clock: Clock) -> Tokens:
    """Tokens whose access token has ended, with a refresh token."""
    return Tokens(SecretStr("canary-access-0"), clock() - timedelta(minutes=1), SecretStr("canary-refresh-0"))


def form(request: httpx.Request) -> dict[str, str]:
    """The form that was posted."""
    return {name: values[0] for name, values in parse_qs(request.content.decode(), strict_parsing=True).items()}


def refreshed_with(server: Server) -> list[str]:
    """The refresh tokens that were used, in turn."""
    return [form(request)["refresh_token"] for request in server.requests]


def test_a_refresh_is_a_form_with_basic_credentials(audit: Audit, clock: Clock) -> None:
    """POST to /connect/token: grant, refresh token, and the app's id and secret in the header, not in the form."""
    server = Server(new_tokens(1))
    assert keeper(audit, clock, server, Store(expired(clock))).access_token().get_secret_value() == "canary-access-1"
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", "https://identity.example.com/connect/token")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    coded = request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(coded).decode() == "app-1:canary-secret"
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "canary-refresh-0"}


def test_a_token_with_odd_characters_survives_the_form(audit: Audit, clock: Clock) -> None:
    """It is percent-encoded; a plus is not a blank."""
    server = Server(new_tokens(1))
    store = Store(Tokens(refresh=SecretStr("a+b/c=&d é")))
    keeper(audit, clock, server, store).access_token()
    assert refreshed_with(server) == ["a+b/c=&d é"]


def test_a_good_token_is_used_until_a_minute_before_its_end(audit: Audit, clock: Clock) -> None:
    """No call while it is good; one refresh as soon as it could end on the way."""
    server = Server(new_tokens(1))
    tokens = keeper(audit, clock, server, Store(good_tokens(clock)))
    clock.advance(minutes=28, seconds=59)
    assert tokens.access_token().get_secret_value() == "canary-access-0"
    assert server.requests == []
    clock.advance(seconds=1)
    assert tokens.access_token().get_secret_value() == "canary-access-1"
    assert tokens.access_token().get_secret_value() == "canary-access-1"
    assert len(server.requests) == 1


def test_every_refresh_token_is_used_once_and_the_new_one_kept(audit: Audit, clock: Clock) -> None:
    """They rotate: three renewals use three tokens, each from the answer before."""
    server = Server(new_tokens(1), new_tokens(2), new_tokens(3))
    store = Store(expired(clock))
    tokens = keeper(audit, clock, server, store)
    for _ in range(3):
        tokens.access_token()
        clock.advance(minutes=40)
    assert refreshed_with(server) == ["canary-refresh-0", "canary-refresh-1", "canary-refresh-2"]
    assert [each.refresh.get_secret_value() for each in store.saved if each.refresh] == [
        "canary-refresh-1", "canary-refresh-2", "canary-refresh-3"
    ]  # fmt: skip


def test_an_answer_without_a_new_refresh_token_keeps_the_old_one(audit: Audit, clock: Clock) -> None:
    """Losing the only one would end the connection."""
    store = Store(expired(clock))
    keeper(audit, clock, Server(new_tokens(1, refresh_token=None)), store).access_token()
    assert store.load().refresh == SecretStr("canary-refresh-0")


@pytest.mark.parametrize(("given", "seconds"), [(600, 600), (None, 1800), ("soon", 1800)])
def test_a_token_lasts_as_long_as_the_answer_says(audit: Audit, clock: Clock, given: object, seconds: int) -> None:
    """Half an hour where it does not say."""
    store = Store(expired(clock))
    keeper(audit, clock, Server(new_tokens(1, expires_in=given)), store).access_token()
    assert store.load().expires_at == clock() + timedelta(seconds=seconds)


def test_new_tokens_are_saved_before_they_are_used(audit: Audit, clock: Clock) -> None:
    """When saving fails for good nobody gets the token: one that is used and lost ends the connection."""
    store = Store(expired(clock), fails=99)
    with pytest.raises(Unreachable, match="Prefect server"):
        keeper(audit, clock, Server(new_tokens(1)), store).access_token()
    assert store.load().refresh == SecretStr("canary-refresh-0")


def test_saving_is_tried_again_without_another_refresh(audit: Audit, clock: Clock) -> None:
    """A moment's outage of the Prefect server does not cost the new token."""
    server = Server(new_tokens(1), answer(400, {"error": "invalid_grant"}))
    store = Store(expired(clock), fails=2)
    assert keeper(audit, clock, server, store).access_token().get_secret_value() == "canary-access-1"
    assert len(server.requests) == 1
    assert store.load().refresh == SecretStr("canary-refresh-1")


# One refresh for all


def test_two_keepers_make_one_refresh(audit: Audit, clock: Clock) -> None:
    """Two processes whose token ended at once: the second one waits for the first one's and finds it in the store."""
    store = Store(expired(clock))
    both = threading.Barrier(2, timeout=10)
    server = Server(new_tokens(1), new_tokens(2))
    found: list[str] = []

    def ask() -> None:
        tokens = keeper(audit, clock, server, store, retries=Retries(sleep=lambda _seconds: None))
        both.wait()
        found.append(tokens.access_token().get_secret_value())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert found == ["canary-access-1", "canary-access-1"]
    assert (len(server.requests), len(store.saved)) == (1, 1)


def test_the_store_is_read_again_after_the_lease_was_taken(audit: Audit, clock: Clock) -> None:
    """What another process saved while we waited is used; our own refresh does not happen."""
    store = Store(expired(clock))
    server = Server(new_tokens(9))

    def sleep(_seconds: float) -> None:
        clock.advance(seconds=1)
        if not store.saved:
            store.save(good_tokens(clock, "canary-access-theirs"))
            theirs.close()

    with ExitStack() as theirs:
        theirs.enter_context(leases.hold(audit, "token:app-1", "a token refresh", clock))
        tokens = keeper(audit, clock, server, store, retries=Retries(sleep=sleep))
        assert elsewhere(tokens.access_token) == SecretStr("canary-access-theirs")
    assert server.requests == []


def elsewhere(ask: Callable[[], SecretStr]) -> SecretStr | Exception:
    """What another thread gets: a lease that this thread holds is taken for it."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask)
        error = future.exception(timeout=20)
        assert error is None or isinstance(error, Exception)
        return error or future.result()


def test_a_refresh_that_never_ends_elsewhere_is_a_sentence(audit: Audit, clock: Clock) -> None:
    """After a minute and a half of waiting for another process's lease."""
    with leases.hold(audit, "token:app-1", "a token refresh", clock, lasts=timedelta(hours=1)):
        tokens = keeper(audit, clock, Server(new_tokens(1)), Store(expired(clock)))
        error = elsewhere(tokens.access_token)
    assert isinstance(error, Unreachable)
    assert "being renewed elsewhere for more than 90 s" in str(error)
    assert is_a_sentence(str(error))


def test_a_refused_token_is_renewed_although_it_looks_good(audit: Audit, clock: Clock) -> None:
    """Xero said 401: the stored one is not used again, however long it should last."""
    server = Server(new_tokens(1))
    tokens = keeper(audit, clock, server, Store(good_tokens(clock)))
    refused = tokens.access_token()
    assert tokens.access_token(refused=refused).get_secret_value() == "canary-access-1"


def test_a_refused_token_that_another_process_replaced_needs_no_refresh(audit: Audit, clock: Clock) -> None:
    """Two threads get 401 with the same token: the second one is given what the first one got."""
    server = Server(new_tokens(1), new_tokens(2))
    tokens = keeper(audit, clock, server, Store(good_tokens(clock)))
    refused = tokens.access_token()
    tokens.access_token(refused=refused)
    assert tokens.access_token(refused=refused).get_secret_value() == "canary-access-1"
    assert len(server.requests) == 1


# Lost answers and dead tokens


@pytest.mark.parametrize(
    "lost", [failing(httpx.ReadTimeout), failing(httpx.ReadError), answer(200, b"{"), answer(200, {}), answer(503)]
)
def test_a_lost_answer_is_asked_for_again_with_the_same_token(audit: Audit, clock: Clock, lost: Answer) -> None:
    """The previous token is good for half an hour more: the same form, and the new pair."""
    server = Server(lost, new_tokens(1))
    store = Store(expired(clock))
    assert keeper(audit, clock, server, store).access_token().get_secret_value() == "canary-access-1"
    assert server.requests[0].content == server.requests[1].content
    assert store.load().refresh == SecretStr("canary-refresh-1")


def test_the_simulated_identity_server_forgives_a_lost_answer(audit: Audit, clock: Clock) -> None:
    """Rotation took place, the answer was lost: within the grace the old token still gives a pair."""
    system = SimulatedXero(clock=clock)
    faulty = Faulty(system, clock)
    faulty.plan = lambda _request, number: Fault("after") if number == 1 else None
    store = Store(Tokens(refresh=SecretStr("sandbox-refresh-0")))
    block = XeroCredentials(
        client_id="sandbox-client", client_secret=SecretStr("sandbox-secret"), organisations={"Sydney": "1"},
        identity_url="http://localhost", api_url="http://localhost",
    )  # fmt: skip
    system.add_organisation("Sydney", tenant_id="1")
    client = block.get_client(store, audit, "run-1", clock, transport=transport(faulty), sleep=clock.sleep)
    assert client.organisation("1")["Name"] == "Sydney"
    assert len(store.saved) == 1
    clock.advance(hours=1)
    client.organisation("1")
    assert len(store.saved) == 2


def test_the_configured_token_is_used_when_the_stored_one_is_refused(audit: Audit, clock: Clock) -> None:
    """invalid_grant for the stored one; the one of the configuration is tried, and its successor stored."""
    server = Server(answer(400, {"error": "invalid_grant"}), new_tokens(1))
    store = Store(expired(clock))
    configured = SecretStr("canary-configured")
    assert keeper(audit, clock, server, store, fallback=configured).access_token() == SecretStr("canary-access-1")
    assert refreshed_with(server) == ["canary-refresh-0", "canary-configured"]
    assert store.load().refresh == SecretStr("canary-refresh-1")


def test_the_configured_token_is_used_when_nothing_is_stored(audit: Audit, clock: Clock) -> None:
    """The first cycle after set-up."""
    server = Server(new_tokens(1))
    keeper(audit, clock, server, Store(), fallback=SecretStr("canary-configured")).access_token()
    assert refreshed_with(server) == ["canary-configured"]


def test_no_dead_token_is_tried_twice(audit: Audit, clock: Clock) -> None:
    """Stored and configured are the same: one call, then the sentence."""
    server = Server(answer(400, {"error": "invalid_grant"}))
    with pytest.raises(NotConfigured, match=r"no longer accepts the refresh token.*`tieout connect xero`"):
        keeper(audit, clock, server, Store(expired(clock)), fallback=SecretStr("canary-refresh-0")).access_token()
    assert len(server.requests) == 1


@pytest.mark.parametrize("fallback", [None, SecretStr("")])
def test_without_any_refresh_token_nothing_is_asked(audit: Audit, clock: Clock, fallback: SecretStr | None) -> None:
    """The sentence says how to get one."""
    server = Server(new_tokens(1))
    with pytest.raises(NotConfigured, match=r"There is no refresh token for Xero yet\. Run `tieout connect xero`"):
        keeper(audit, clock, server, Store(), fallback=fallback).access_token()
    assert server.requests == []


# The code of a consent


CODE, VERIFIER = SecretStr("canary-access-code"), SecretStr("canary-secret-verifier")


def redeemed(tokens: TokenKeeper) -> SecretStr:
    """The access token for a code."""
    return tokens.redeem(CODE, "http://localhost:8765/callback", VERIFIER)


def test_a_code_is_exchanged_with_its_verifier_and_both_tokens_are_stored(
    audit: Audit, clock: Clock, exchanges: Exchanges
) -> None:
    """The form of RFC 6749 and RFC 7636 with the app's Basic credentials; the audit holds neither code nor verifier."""
    server = Server(new_tokens(1))
    store = Store(expired(clock))
    tokens = keeper(audit, clock, server, store, exchanges=exchanges)
    assert redeemed(tokens) == SecretStr("canary-access-1")
    assert form(server.requests[0]) == {
        "grant_type": "authorization_code",
        "code": CODE.get_secret_value(),
        "redirect_uri": "http://localhost:8765/callback",
        "code_verifier": VERIFIER.get_secret_value(),
    }
    assert server.requests[0].headers["Authorization"].startswith("Basic ")
    assert store.load().refresh == SecretStr("canary-refresh-1")
    assert tokens.access_token() == SecretStr("canary-access-1")
    assert len(server.requests) == 1
    assert_no_secret(kept_text(audit))


@pytest.mark.parametrize(
    ("bad", "kind", "words", "calls"),
    [
        (answer(400, {"error": "invalid_grant"}), NotConfigured, "good for five minutes, and once", 1),
        (answer(400, {"error": "invalid_client"}), NotConfigured, "client_id and client_secret", 1),
        (new_tokens(1, refresh_token=None), NotConfigured, "no refresh token.*offline_access", 1),
        (failing(httpx.ConnectError, "[Errno 111] Connection refused"), Unreachable, "`tieout connect xero` again", 4),
        (answer(503), Unreachable, "`tieout connect xero` again", 4),
    ],
)
def test_a_code_that_is_no_use_is_a_sentence_and_the_stored_tokens_stay(
    audit: Audit, clock: Clock, bad: Answer, kind: type[CannotGoOn], words: str, calls: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Whoever consents reads it at once: no cycle tries again for them."""
    before = expired(clock)
    store, server = Store(before), Server(bad)
    with no_secret_logged(caplog), pytest.raises(kind, match=words) as caught:
        redeemed(keeper(audit, clock, server, store))
    assert is_a_sentence(str(caught.value))
    assert "next cycle" not in str(caught.value)
    assert_no_secret(told(caught.value))
    assert len(server.requests) == calls
    assert store.load() == before


def test_tokens_of_a_consent_are_stored_before_they_are_used(audit: Audit, clock: Clock) -> None:
    """Like those of a refresh: when saving fails for good nobody gets them, and a moment's outage costs nothing."""
    store = Store(expired(clock), fails=99)
    with pytest.raises(Unreachable, match="Prefect server"):
        redeemed(keeper(audit, clock, Server(new_tokens(1)), store))
    store.fails = 2
    assert redeemed(keeper(audit, clock, Server(new_tokens(1)), store)) == SecretStr("canary-access-1")


# Custom connections


def test_a_custom_connection_asks_with_its_own_credentials_and_scopes_in_the_body(audit: Audit, clock: Clock) -> None:
    """client_credentials: no refresh token comes back, none is used; it asks again when the token has ended."""
    server = Server(new_tokens(1, refresh_token=None), new_tokens(2, refresh_token=None))
    tokens = keeper(audit, clock, server, Store(), grant="client_credentials")
    assert tokens.access_token() == SecretStr("canary-access-1")
    clock.advance(minutes=30)
    assert tokens.access_token() == SecretStr("canary-access-2")
    asked = form(server.requests[0])
    assert asked["grant_type"] == "client_credentials"
    assert set(asked["scope"].split()) == set(SCOPES.split()) - {"offline_access"}
    assert "refresh_token" not in asked


def test_a_custom_connection_works_against_the_simulated_xero(audit: Audit, clock: Clock) -> None:
    """Through the block, without naming a tenant."""
    system = SimulatedXero(clock=clock, custom_connection=True)
    system.add_organisation("Only", tenant_id="1")
    block = XeroCredentials(
        client_id="sandbox-client", client_secret=SecretStr("sandbox-secret"), grant="client_credentials",
        organisations={"Only": ""}, identity_url="http://localhost", api_url="http://localhost",
    )  # fmt: skip
    client = block.get_client(Store(), audit, "run-1", clock, transport=transport(system), sleep=clock.sleep)
    assert client.organisation("")["Name"] == "Only"


# What ends it

ERRORS: dict[str, tuple[Answer, type[CannotGoOn], str, int]] = {
    "invalid_grant": (answer(400, {"error": "invalid_grant"}), NotConfigured, "`tieout connect xero`", 1),
    "invalid_request": (answer(400, {"error": "invalid_request"}), NotConfigured, "client_secret and identity_url", 1),
    "invalid_client": (answer(400, {"error": "invalid_client"}), NotConfigured, "client_id and client_secret", 1),
    "unauthorized_client": (answer(400, {"error": "unauthorized_client"}), NotConfigured, r"\[xero\] grant fits", 1),
    "invalid_scope": (answer(400, {"error": "invalid_scope"}), NotConfigured, "all of the scopes offline_access", 1),
    "another": (answer(400, {"error": "odd"}), NotConfigured, r"\(400 odd\)", 1),
    "no reason": (answer(401), NotConfigured, r"\(401 without a reason\)", 1),
    "404": (answer(404, b"<html>"), NotConfigured, "identity_url", 1),
    "302": (answer(302, b"", Location="https://sso.example.com"), NotConfigured, r"\(302 without a reason\)", 1),
    "429": (answer(429, b"", Retry_After="3"), Unreachable, r"\(429\)", 4),
    "500": (answer(500, b"<html>"), Unreachable, r"\(500\)", 4),
    "a web page": (answer(200, b"<html>"), Unreachable, r"no usable answer \(200\)", 4),
    "null": (answer(200, b"null"), Unreachable, r"\(200\)", 4),
    "a token that is none": (answer(200, {"access_token": 7}), Unreachable, r"\(200\)", 4),
    "refused": (failing(httpx.ConnectError, "[Errno 111] Connection refused"), Unreachable, "Connection refused", 4),
    "timed out": (failing(httpx.ConnectTimeout), Unreachable, r"identity.example.com does not answer \(timed out\)", 4),
}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_the_identity_server_is_a_sentence_without_a_secret(
    name: str, audit: Audit, clock: Clock, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    """The cure, the class, bounded attempts; no token in log, audit, traceback or repr."""
    bad, kind, words, calls = ERRORS[name]
    server = Server(bad)
    tokens = keeper(audit, clock, server, Store(expired(clock)), exchanges=exchanges)
    with no_secret_logged(caplog), pytest.raises(kind, match=words) as caught:
        tokens.access_token()
    assert is_a_sentence(str(caught.value)), str(caught.value)
    assert len(server.requests) == calls
    assert_no_secret(told(caught.value), repr(caught.value), repr(tokens), kept_text(audit))


@pytest.mark.parametrize("grant", ["authorization_code", "client_credentials"])
def test_secrets_stay_out_of_exchanges_logs_and_reprs_when_all_goes_well(
    grant: str, audit: Audit, clock: Clock, exchanges: Exchanges, caplog: pytest.LogCaptureFixture
) -> None:
    """The exchange is kept: who asked, and that there was an answer; every token in it is redacted."""
    store = Store(expired(clock))
    server = Server(new_tokens(1, id_token="canary-access-id", scope="offline_access"))
    tokens = keeper(audit, clock, server, store, grant=grant, exchanges=exchanges)  # type: ignore[arg-type]
    with no_secret_logged(caplog):
        token = tokens.access_token()
    text = kept_text(audit)
    assert "POST https://identity.example.com/connect/token 200" in text
    assert '"access_token": "(redacted)"' in text
    assert "offline_access" in text
    assert_no_secret(text, repr(tokens), repr(token), repr(store.load()), str(store.load()))


# The store that is the block


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> dict[str, XeroCredentials]:
    """Blocks that are loaded and saved in memory."""
    kept = {"default-xero": XeroCredentials(client_id="app-1", client_secret=SecretStr("canary-secret"))}

    def edit(kind: type[XeroCredentials], name: str, fields: dict[str, Any]) -> None:
        kept[name] = kind.model_validate(dict(kept[name]) | json.loads(json.dumps(fields)))

    monkeypatch.setattr(XeroCredentials, "load", lambda name: kept[name].model_copy())
    monkeypatch.setattr(credentials, "edit_saved", edit)
    return kept


def test_the_block_keeps_tokens_and_what_ops_edited_meanwhile(block: dict[str, XeroCredentials], clock: Clock) -> None:
    """Saving changes the tokens alone: an edit in the UI is not undone, and no refresh token is thrown away."""
    store = BlockTokenStore("default-xero")
    assert store.load() == Tokens()
    block["default-xero"].per_minute = 10
    tokens = good_tokens(clock)
    store.save(tokens)
    assert (block["default-xero"].per_minute, store.load()) == (10, tokens)
    store.save(Tokens(SecretStr("canary-access-1"), clock(), None))
    assert store.load() == Tokens(SecretStr("canary-access-1"), clock(), SecretStr("canary-refresh-0"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to reach API at http://127.0.0.1:4200/api"),
        httpx.ConnectError("All connection attempts failed"),
        httpx.ReadTimeout(""),
    ],
)
def test_a_prefect_server_that_does_not_answer_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, clock: Clock
) -> None:
    """Loading and saving tokens need it; its own errors are not for operators."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(credentials.XeroCredentials, "load", fail)
    monkeypatch.setattr(credentials, "edit_saved", fail)
    store = BlockTokenStore("default-xero")
    for call in (store.load, lambda: store.save(good_tokens(clock))):
        with pytest.raises(Unreachable, match="The Prefect server, where Xero's tokens are kept") as caught:
            call()
        assert is_a_sentence(str(caught.value))


def invalid() -> RuntimeError:
    """What Prefect raises for a block that is stored but no longer makes sense."""
    try:
        XeroCredentials(client_id="app-1", client_secret=SecretStr(CANARIES[2]), organisations={"Sydney": ""})
    except ValidationError as error:
        cause = error
    found = RuntimeError("Unable to load block")
    found.__cause__ = cause
    return found


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("Unable to find block document named default-xero"), "run `tieout setup`"),
        (invalid(), "correct it in the Prefect UI"),
    ],
)
def test_a_block_that_is_gone_or_was_edited_into_nonsense_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """While a cycle runs: it is a matter for people, not for the next cycle."""

    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(credentials.XeroCredentials, "load", fail)
    with pytest.raises(NotConfigured, match=words) as caught:
        BlockTokenStore("default-xero").load()
    assert is_a_sentence(str(caught.value))
    assert_no_secret(told(caught.value))


def test_a_time_that_was_typed_in_without_a_zone_counts_as_utc(audit: Audit, clock: Clock) -> None:
    """Ops may edit the block; a naive time must not end a cycle."""
    block = XeroCredentials(
        client_id="app-1", client_secret=SecretStr("canary-secret"), access_token=SecretStr("canary-access-0"),
        access_token_expires_at=(clock() + timedelta(minutes=30)).replace(tzinfo=None),
    )  # fmt: skip
    store = Store(Tokens(block.access_token, block.access_token_expires_at))
    tokens: TokenKeeper = keeper(audit, clock, Server(new_tokens(1)), store)
    assert tokens.access_token() == SecretStr("canary-access-0")
