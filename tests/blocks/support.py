"""What the tests of the doors have in common: scripted servers, clients in front of them, and what must not leak."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from blocks.audit.database import Audit, unpack
from blocks.audit.exchanges import Exchanges
from blocks.audit.tables import EXCHANGES
from blocks.connectwise.client import ConnectWiseClient
from blocks.limiter import Limiter
from blocks.wire import Retries, Wire
from blocks.xero.client import XeroClient
from blocks.xero.credentials import MemoryTokenStore
from blocks.xero.tokens import Grant, TokenKeeper, Tokens, TokenStore
from tests.worlds import Clock

CANARIES = ("canary-public", "canary-private", "canary-secret", "canary-access", "canary-refresh", "canary-configured")
"""Parts of every secret that these tests hand out."""

TENANT = "11111111-1111-4111-8111-111111111111"

Answer = Callable[[httpx.Request], httpx.Response]


def answer(status: int = 200, body: object = None, **headers: str) -> Answer:
    """An answer: JSON for what is no bytes; `Retry_After="7"` is a header."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx.Response(status, headers=named, content=content)


def failing(error: type[httpx.RequestError], words: str = "") -> Answer:
    """No answer but an error of the network."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error(words, request=request)

    return fail


class Server:
    """Answers with what it was given, in turn (the last answer stays), and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers[min(len(self.requests), len(self._answers)) - 1](request)

    @property
    def addresses(self) -> list[str]:
        """Every address asked, with its query."""
        return [str(request.url) for request in self.requests]


def http(server: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    """An HTTP client, made as the blocks make it, in front of a scripted server."""
    return httpx.Client(timeout=30, follow_redirects=False, transport=httpx.MockTransport(server))


def connectwise(
    server: Callable[[httpx.Request], httpx.Response],
    *,
    url: str = "https://api-au.example.net/v4_6_release/apis/3.0",
    company: str = "acme",
    retries: Retries | None = None,
    limiter: Limiter | None = None,
    exchanges: Exchanges | None = None,
) -> ConnectWiseClient:
    """A ConnectWise client in front of a server. It never sleeps."""
    return ConnectWiseClient(
        url,
        company,
        SecretStr("canary-public"),
        SecretStr("canary-private"),
        "0a1b2c3d-0000-4000-8000-000000000001",
        Wire("connectwise", http(server), limiter, exchanges),
        retries=retries or Retries(sleep=lambda _seconds: None),
    )


def keeper(
    audit: Audit,
    clock: Clock,
    identity: Callable[[httpx.Request], httpx.Response],
    store: TokenStore | None = None,
    *,
    grant: Grant = "authorization_code",
    fallback: SecretStr | None = None,
    retries: Retries | None = None,
    exchanges: Exchanges | None = None,
) -> TokenKeeper:
    """A token keeper in front of an identity server; its tokens are good for half an hour unless a store says more."""
    return TokenKeeper(
        store if store is not None else MemoryTokenStore(good_tokens(clock)),
        "https://identity.example.com",
        "app-1",
        SecretStr("canary-secret"),
        grant,
        fallback,
        Wire("xero_identity", http(identity), None, exchanges),
        audit,
        clock,
        retries=retries or Retries(sleep=clock.sleep),
    )


def good_tokens(clock: Clock, name: str = "canary-access-0") -> Tokens:
    """Tokens that are good for half an hour."""
    return Tokens(SecretStr(name), clock() + timedelta(minutes=30), SecretStr("canary-refresh-0"))


def new_tokens(number: int = 1, **fields: Any) -> Answer:
    """The identity server's answer to a refresh."""
    given = {
        "access_token": f"canary-access-{number}",
        "refresh_token": f"canary-refresh-{number}",
        "expires_in": 1800,
        "token_type": "Bearer",
    }
    return answer(200, given | fields)


def xero(
    audit: Audit,
    clock: Clock,
    server: Callable[[httpx.Request], httpx.Response],
    *,
    tokens: TokenKeeper | None = None,
    retries: Retries | None = None,
    limiter: Limiter | None = None,
    exchanges: Exchanges | None = None,
    custom_connection: bool = False,
) -> XeroClient:
    """A Xero client in front of a server; it refreshes from canary-access-0 to -1. Sleeping moves its clock."""
    return XeroClient(
        "https://api.example.com",
        tokens or keeper(audit, clock, Server(new_tokens(1))),
        Wire("xero", http(server), limiter, exchanges),
        clock=clock,
        custom_connection=custom_connection,
        retries=retries or Retries(sleep=clock.sleep),
    )


def xero_limiter(audit: Audit, clock: Clock, **settings: Any) -> Limiter:
    """A limiter for the Xero app of these tests, without limits of its own unless told otherwise."""
    given: dict[str, Any] = {"per_minute": 0, "concurrent": 0, "clock": clock, "sleep": clock.sleep}
    return Limiter(audit, "Xero", "xero:app-1", **given | settings)


def kept_text(audit: Audit) -> str:
    """All that the audit kept of all exchanges, as one text."""
    with audit.reading() as connection:
        rows = connection.execute(select(EXCHANGES)).all()
    return "\n".join(
        f"{row.method} {row.url} {row.status} {row.error} {row.references} {unpack(row.request)} {unpack(row.response)}"
        for row in rows
    )


def told(error: BaseException) -> str:
    """All that a traceback would show of an error and of what caused it."""
    return "".join(traceback.format_exception(error))


def assert_no_secret(*texts: str) -> None:
    """None of the secrets stands in any of the texts, plain or as the Basic credentials that they make."""
    coded = ("Y2FuYXJ5", "NhbmFyeS", "jYW5hcn")  # "canary" in base64, wherever it begins
    for text in texts:
        assert not [mark for mark in (*CANARIES, *coded) if mark in text], text


def is_a_sentence(text: str) -> bool:
    """One line that begins like a sentence and ends like one, without markup and leftovers of empty words."""
    return "\n" not in text and text[0].isupper() and text.endswith(".") and "<" not in text and "()" not in text


@contextmanager
def no_secret_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is logged inside, at any level, has no secret in it."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert_no_secret(caplog.text)


def utc(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
