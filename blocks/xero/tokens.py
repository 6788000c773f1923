"""OAuth tokens: an access token for half an hour, a refresh token that changes at every use (xero.md, section 2).

Losing the newest refresh token means that a person has to consent again. So a refresh happens under a lease, reads
the store again after taking it (another process may have been first), and saves before the new token is used.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr

from blocks.audit.database import Audit
from blocks.audit.leases import LeaseTaken, hold
from blocks.failures import NotConfigured, Unreachable
from blocks.wire import NoAnswer, Retries, TryAgain, Wire, retry_after
from blocks.xero.failures import envelope

SCOPES = "offline_access accounting.invoices accounting.payments accounting.contacts accounting.settings.read"
EARLY = timedelta(seconds=60)
"""A token is renewed this long before it ends, so that it does not end on the way."""

USUAL_LIFE = 1800
"""Seconds that an access token is good for when the answer does not say."""
LEASE_WAIT = 90
"""Seconds to wait for another process's refresh."""

NEXT_CYCLE = "The next cycle tries again."

Grant = Literal["authorization_code", "client_credentials"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the store holds: the access token with its end (UTC), and the refresh token that comes next."""

    access: SecretStr | None = None
    expires_at: datetime | None = None
    refresh: SecretStr | None = None


class TokenStore(Protocol):
    """Where tokens live: the XeroCredentials block."""

    def load(self) -> Tokens:
        """The newest tokens, read afresh."""
        ...

    def save(self, tokens: Tokens) -> None:
        """Keep new tokens; when this returns they must survive a crash."""
        ...


class TokenKeeper:
    """Hands out an access token that is good now. Safe to use from several threads and processes."""

    def __init__(
        self,
        store: TokenStore,
        identity_url: str,
        client_id: str,
        client_secret: SecretStr,
        grant: Grant,
        fallback: SecretStr | None,
        wire: Wire,
        audit: Audit,
        clock: Callable[[], datetime],
        *,
        retries: Retries = Retries(),  # noqa: B008  (frozen)
    ) -> None:
        self._store = store
        self._url = f"{identity_url.rstrip('/')}/connect/token"
        self._basic = b64encode(f"{client_id}:{client_secret.get_secret_value()}".encode()).decode()
        self._grant = grant
        self._fallback = fallback
        self._wire = wire
        self._audit = audit
        self._clock = clock
        self._retries = retries
        self._lease = f"token:{client_id}"
        self._lock = threading.Lock()
        self._known = Tokens()

    def access_token(self, refused: SecretStr | None = None) -> SecretStr:
        """A token that is good now; `refused` is one that Xero did not accept any more."""
        with self._lock:
            if not self._good(self._known, refused):
                self._known = self._store.load()
            if not self._good(self._known, refused):
                self._known = self._renew(refused)
            if self._known.access is None:
                raise AssertionError("a renewal gave no access token")
            return self._known.access

    def redeem(self, code: SecretStr, redirect_uri: str, verifier: SecretStr) -> SecretStr:
        """The access token that a consent's code is exchanged for; saved with its refresh token before it is used.

        `redirect_uri` is where the code was sent to, `verifier` what the PKCE challenge was made of (RFC 7636).
        """
        with self._lock, self._alone():
            try:
                given = self._request(
                    "Run `tieout connect xero` again.",
                    grant_type="authorization_code", code=code.get_secret_value(), redirect_uri=redirect_uri,
                    code_verifier=verifier.get_secret_value(),
                )  # fmt: skip
            except _InvalidGrant:
                raise NotConfigured(
                    "Xero no longer accepts the code of this consent: it is good for five minutes, and once. Run "
                    "`tieout connect xero` again."
                ) from None
            if given.access is None or given.refresh is None:
                raise NotConfigured(
                    f"Xero gave no refresh token for this consent: the app needs all of the scopes {SCOPES}."
                )
            self._keep(given)
            self._known = given
            return given.access

    def _good(self, tokens: Tokens, refused: SecretStr | None) -> bool:
        if tokens.access is None or tokens.expires_at is None or tokens.access == refused:
            return False
        return self._clock() < tokens.expires_at - EARLY

    def _renew(self, refused: SecretStr | None) -> Tokens:
        with self._alone():
            stored = self._store.load()
            if self._good(stored, refused):
                return stored
            renewed = self._ask(stored)
            self._keep(renewed)
            return renewed

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with hold(
                self._audit, self._lease, "a token refresh", self._clock, wait_seconds=LEASE_WAIT,
                sleep=self._retries.sleep,
            ):  # fmt: skip
                yield
        except LeaseTaken as taken:
            raise Unreachable(
                f"Xero's token is being renewed elsewhere for more than {LEASE_WAIT} s ({taken}); the next cycle "
                "tries again."
            ) from taken

    def _keep(self, renewed: Tokens) -> None:
        self._retries.run(lambda: self._save(renewed))

    def _save(self, renewed: Tokens) -> None:
        try:
            self._store.save(renewed)
        except Unreachable as error:
            # The token it replaces is good for half an hour more: not to be lost for a moment's outage.
            raise TryAgain(str(error)) from error

    def _ask(self, stored: Tokens) -> Tokens:
        if self._grant == "client_credentials":
            # No refresh token is given here; whoever has the id and the secret asks again.
            return self._request(
                NEXT_CYCLE, grant_type="client_credentials", scope=SCOPES.replace("offline_access ", "")
            )
        tried: list[SecretStr] = []
        for token in (stored.refresh, self._fallback):
            if token is None or not token.get_secret_value() or token in tried:
                continue
            tried.append(token)
            try:
                renewed = self._request(NEXT_CYCLE, grant_type="refresh_token", refresh_token=token.get_secret_value())
            except _InvalidGrant:
                continue
            return renewed if renewed.refresh else replace(renewed, refresh=token)
        raise NotConfigured(
            "Xero no longer accepts the refresh token: the connection has ended or was never made. Run "
            "`tieout connect xero` to consent again."
            if tried
            else "There is no refresh token for Xero yet. Run `tieout connect xero`, or set [xero] refresh_token."
        )

    def _request(self, cure: str, **form: str) -> Tokens:
        # A refresh whose answer was lost may be repeated: the previous token is good for 30 more minutes.
        return self._retries.run(lambda: self._once(urlencode(form).encode(), cure))

    def _once(self, body: bytes, cure: str) -> Tokens:
        headers = {
            "Authorization": f"Basic {self._basic}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        host = urlsplit(self._url).netloc
        try:
            response = self._wire.send("POST", self._url, headers=headers, body=body)
        except NoAnswer as error:
            raise TryAgain(
                f"Xero's identity server at {host} does not answer ({error}); check [xero] identity_url and the "
                f"network. {cure}"
            ) from error
        given = envelope(response) or {}
        status = response.status_code
        if status == 200 and isinstance(given.get("access_token"), str):
            return self._tokens_of(given)
        if status in (200, 408, 429) or status >= 500:
            raise TryAgain(
                f"Xero's identity server at {host} gives no usable answer ({status}); check [xero] identity_url. "
                f"{cure}",
                retry_after(response),
            )
        error_code = str(given.get("error") or "")
        if error_code == "invalid_grant":
            raise _InvalidGrant
        advice = {
            "invalid_client": "check [xero] client_id and client_secret",
            "unauthorized_client": "check that [xero] grant fits the app (a custom connection: client_credentials)",
            "invalid_scope": f"the app needs all of the scopes {SCOPES}",
        }.get(error_code, "check [xero] client_id, client_secret and identity_url")
        raise NotConfigured(
            f"Xero's identity server at {host} refuses this app ({status} {error_code or 'without a reason'}): "
            f"{advice}."
        )

    def _tokens_of(self, given: dict[str, Any]) -> Tokens:
        seconds, refresh = given.get("expires_in"), given.get("refresh_token")
        return Tokens(
            SecretStr(given["access_token"]),
            self._clock() + timedelta(seconds=seconds if isinstance(seconds, int) else USUAL_LIFE),
            SecretStr(refresh) if refresh and isinstance(refresh, str) else None,
        )


class _InvalidGrant(Exception):
    """The refresh token is of no use any more."""
