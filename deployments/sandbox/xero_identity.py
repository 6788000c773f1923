"""Xero's identity service: tokens, their rotation, and the list of connections (Xero docs: OAuth 2.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import NAMESPACE_URL, uuid5

from deployments.sandbox.wire import Clock, Request, Response
from deployments.sandbox.xero_json import json_answer
from deployments.sandbox.xero_switches import XeroSwitches

ACCESS_SECONDS = 1800
CODE_LIFE = timedelta(minutes=5)
GRACE = timedelta(minutes=30)
UNUSED_LIFE = timedelta(days=60)

_AREAS = ("invoices", "payments", "banktransactions", "manualjournals", "contacts", "settings", "attachments")
GRANULAR = frozenset(f"accounting.{area}{suffix}" for area in _AREAS for suffix in ("", ".read"))
BROAD = frozenset(
    {"accounting.transactions", "accounting.transactions.read", "accounting.reports.read", "accounting.journals.read"}
)
_ALWAYS = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass
class _Refresh:
    """One refresh token. It may be used again for a while after its first use, in case the reply was lost."""

    scopes: frozenset[str]
    issued: datetime
    used: datetime | None = None
    public_client: bool = False


@dataclass(frozen=True)
class _Code:
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str | None
    issued: datetime


@dataclass(frozen=True)
class Grant:
    """What an access token allows."""

    scopes: frozenset[str]
    expires: datetime


class _Refused(Exception):
    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Identity:
    """The token endpoint of one app. Not thread-safe by itself: the simulator holds its lock."""

    def __init__(
        self,
        clock: Clock,
        switches: XeroSwitches,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        custom_connection: bool,
    ) -> None:
        self._clock = clock
        self.client_id = client_id
        self.client_secret = client_secret
        self.custom_connection = custom_connection
        self.allowed_scopes: frozenset[str] = GRANULAR | _ALWAYS | (BROAD if switches.broad_scopes else frozenset())
        self.redirect_uris: frozenset[str] | None = None
        self.user: Literal["agrees", "declines"] = "agrees"
        self.scope_refusal: Literal["page", "callback"] = "page"
        self.refreshes = 0
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._count = 0
        self.auth_event = str(uuid5(NAMESPACE_URL, f"consent/{client_id}"))
        if not custom_connection:
            self._refresh[refresh_token] = _Refresh(self.allowed_scopes, clock())

    def issue_code(
        self, redirect_uri: str, scopes: Iterable[str] | None = None, code_challenge: str | None = None
    ) -> str:
        """The code that a consent would hand to the app (valid once, for five minutes)."""
        wanted = frozenset(scopes) if scopes is not None else self.allowed_scopes
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(redirect_uri, wanted, code_challenge, self._clock())
        return code

    def grant_of(self, token: str) -> Grant | None:
        """What the access token allows, expired or not; None when it was never issued or was revoked."""
        return self._access.get(token)

    def renews(self, refresh_token: str) -> bool:
        """Whether the refresh token is good for new tokens now."""
        token, now = self._refresh.get(refresh_token), self._clock()
        if token is None or now - token.issued > UNUSED_LIFE:
            return False
        return token.used is None or now - token.used <= GRACE

    def revoke_all(self) -> None:
        """Make every token worthless, as when the user takes the app's access away."""
        self._access.clear()
        self._refresh.clear()
        self._codes.clear()

    def authorize(self, request: Request) -> Response:
        """A consent screen whose user answers at once: `user` says how.

        What is wrong with the app's own request ends on an error screen of Xero's, and the app never hears of it:
        client id, redirect address (compared letter for letter) and scopes (Xero docs: OAuth 2.0, troubleshooting).
        `scope_refusal` sends the last one to the app instead, as RFC 6749 (4.1.2.1) has it.
        """
        redirect = request.param("redirect_uri") or ""
        scopes = frozenset((request.param("scope") or "").split())
        challenge = request.param("code_challenge")
        if request.param("client_id") != self.client_id or self.custom_connection:
            return _error_screen("unauthorized_client", "Unknown client or client not enabled")
        if not self._registered(redirect):
            return _error_screen("unauthorized_client", "Invalid redirect_uri")
        if request.param("response_type") != "code" or (challenge and request.param("code_challenge_method") != "S256"):
            return _error_screen("invalid_request", "Invalid response_type or code_challenge_method")
        if not scopes or not scopes <= self.allowed_scopes:
            if self.scope_refusal == "page":
                return _error_screen("invalid_scope", "Invalid scope for client")
            answer = {"error": "invalid_scope"}
        elif self.user == "declines":
            answer = {"error": "access_denied"}
        else:
            answer = {"code": self.issue_code(redirect, scopes, challenge)}
        state = request.param("state")
        if state is not None:
            answer["state"] = state
        separator = "&" if "?" in redirect else "?"
        return Response(302, {"Location": f"{redirect}{separator}{urlencode(answer)}"})

    def _registered(self, redirect: str) -> bool:
        """Whether an app may have this redirect address: https, but for the host `localhost` (Xero docs: PKCE flow)."""
        parts = urlsplit(redirect)
        allowed = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "localhost")
        return allowed and (self.redirect_uris is None or redirect in self.redirect_uris)

    def revoke(self, request: Request) -> bool:
        """POST /connect/revocation; whether the refresh token was known, and all is revoked now."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        if form.get("token") not in self._refresh:
            return False
        self.revoke_all()
        return True

    def token(self, request: Request) -> Response:
        """POST /connect/token."""
        try:
            return json_answer(200, self._token(request), {"Cache-Control": "no-store"})
        except _Refused as refusal:
            return json_answer(400, {"error": refusal.error}, {"Cache-Control": "no-store"})

    def _token(self, request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise _Refused("invalid_request")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        proven = self._client(request, form)
        grant = form.get("grant_type")
        if grant == "refresh_token":
            return self._refreshed(form, proven)
        if grant == "authorization_code":
            return self._exchanged(form, proven)
        if grant == "client_credentials":
            return self._own_credentials(form, proven)
        raise _Refused("unsupported_grant_type" if grant else "invalid_request")

    def _client(self, request: Request, form: dict[str, str]) -> bool:
        """Check who asks. True when the secret was shown; False for a public client, which must use PKCE."""
        header = request.headers.get("authorization", "")
        secret: str | None
        if header.lower().startswith("basic "):
            try:
                name, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(":")
            except ValueError as error:
                raise _Refused("invalid_request") from error
        else:
            name, secret = form.get("client_id", ""), form.get("client_secret")
        if not name:
            raise _Refused("invalid_request")
        if name != self.client_id or (secret is not None and not hmac.compare_digest(secret, self.client_secret)):
            raise _Refused("invalid_client")
        return secret is not None

    def _refreshed(self, form: dict[str, str], proven: bool) -> dict[str, Any]:
        if self.custom_connection:
            raise _Refused("unauthorized_client")
        if not form.get("refresh_token"):
            raise _Refused("invalid_request")
        now = self._clock()
        if not self.renews(form["refresh_token"]):
            raise _Refused("invalid_grant")
        token = self._refresh[form["refresh_token"]]
        if not proven and not token.public_client:
            raise _Refused("invalid_client")
        if token.used is None:
            token.used = now
        self.refreshes += 1
        return self._pair(token.scopes, now, token.public_client)

    def _exchanged(self, form: dict[str, str], proven: bool) -> dict[str, Any]:
        if self.custom_connection:
            raise _Refused("unauthorized_client")
        if not form.get("code"):
            raise _Refused("invalid_request")
        now = self._clock()
        code = self._codes.pop(form["code"], None)
        if code is None or now - code.issued > CODE_LIFE or form.get("redirect_uri") != code.redirect_uri:
            raise _Refused("invalid_grant")
        if code.challenge is not None:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge.rstrip("="):
                raise _Refused("invalid_grant")
        elif not proven:
            raise _Refused("invalid_client")
        if not code.scopes <= self.allowed_scopes:
            raise _Refused("invalid_scope")
        return self._pair(code.scopes, now, not proven)

    def _own_credentials(self, form: dict[str, str], proven: bool) -> dict[str, Any]:
        if not self.custom_connection:
            raise _Refused("unauthorized_client")
        if not proven:
            raise _Refused("invalid_client")
        asked = frozenset(form.get("scope", "").split())
        if not asked <= self.allowed_scopes:
            raise _Refused("invalid_scope")
        return self._pair((asked or self.allowed_scopes) - {"offline_access"}, self._clock(), False)

    def _pair(self, scopes: frozenset[str], now: datetime, public_client: bool) -> dict[str, Any]:
        self._count += 1
        access = self._jwt(scopes, now)
        self._access[access] = Grant(scopes, now + timedelta(seconds=ACCESS_SECONDS))
        body: dict[str, Any] = {
            "access_token": access,
            "expires_in": ACCESS_SECONDS,
            "token_type": "Bearer",
            "scope": " ".join(sorted(scopes)),
        }
        if "openid" in scopes:
            body["id_token"] = self._jwt(frozenset(), now)
        if "offline_access" in scopes:
            refresh = secrets.token_urlsafe(32)
            self._refresh[refresh] = _Refresh(scopes, now, None, public_client)
            body["refresh_token"] = refresh
        self._forget_old(now)
        return body

    def _forget_old(self, now: datetime) -> None:
        """Drop what has been worthless for a day, so that a long run does not grow."""
        if len(self._access) > 200:
            self._access = {k: v for k, v in self._access.items() if now - v.expires < timedelta(days=1)}
            self._refresh = {
                k: v for k, v in self._refresh.items() if v.used is None or now - v.used < timedelta(days=1)
            }

    def _jwt(self, scopes: frozenset[str], now: datetime) -> str:
        def part(content: dict[str, Any]) -> str:
            return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

        claims = {
            "iss": "https://identity.xero.com",
            "client_id": self.client_id,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + ACCESS_SECONDS,
            "xero_userid": str(uuid5(NAMESPACE_URL, f"user/{self.client_id}")),
            "authentication_event_id": self.auth_event,
            "jti": f"{self._count:08d}{secrets.token_hex(8)}",
            "scope": sorted(scopes),
        }
        signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
        digest = hmac.new(self.client_secret.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _error_screen(error: str, why: str) -> Response:
    words = f"<p>Sorry, something went wrong.</p><p>Error code: 500</p><p>Error: {error} : {why}</p>"
    return Response(500, {"Content-Type": "text/html; charset=utf-8"}, words.encode())


def scopes_for(resource: str, writing: bool) -> frozenset[str]:
    """The scopes of which one is enough for a call (Xero docs: scopes)."""
    invoices = {"accounting.invoices", "accounting.transactions"}
    payments = {"accounting.payments", "accounting.transactions"}
    found = {
        "contacts": {"accounting.contacts"},
        "items": {"accounting.settings", *invoices},
        "payments": payments,
        "batchpayments": payments,
        "prepayments": payments,
        "overpayments": payments,
        "invoices": invoices,
        "creditnotes": invoices,
        "purchaseorders": invoices,
        "linkedtransactions": invoices,
    }.get(resource, {"accounting.settings"})
    return frozenset(found if writing else found | {f"{scope}.read" for scope in found})
