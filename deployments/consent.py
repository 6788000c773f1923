"""`tieout connect xero`: a person consents in the browser, the tokens go into the block, the organisations are listed.

The authorization code flow with PKCE (RFC 6749, 4.1; RFC 7636; Xero docs: OAuth 2.0). Why there is no OAuth library in
it: docs/decisions/0010-consent.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks.audit.block import AuditDatabase
from blocks.audit.exchanges import Exchanges
from blocks.doors import block_name, utc_now
from blocks.failures import NotConfigured, Unreachable
from blocks.wire import NoAnswer, Retries, TryAgain, Wire, retry_after
from blocks.xero.credentials import BlockTokenStore, NoSuchBlock, XeroCredentials
from blocks.xero.tokens import SCOPES, TokenKeeper, Tokens
from deployments.config import Config
from deployments.server import answers, api_url, is_local, temporary_server

PATH = "/callback"
CUSTOM = (
    "A custom connection (grant = client_credentials) needs no consent: tieout asks for its tokens with client_id and "
    "client_secret."
)
AGAIN = "Run `tieout connect xero` again."


@dataclass(frozen=True, slots=True)
class Connection:
    """An organisation that this app may reach; `configured_as` is its name in tieout.toml, '' where it has none."""

    tenant_id: str
    name: str
    configured_as: str


@dataclass(frozen=True, slots=True)
class Connected:
    """What Xero lists after a consent, and what of tieout.toml is not among it (name -> tenant id)."""

    connections: list[Connection]
    missing: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The shape of `tieout connect xero --json`."""
        return {
            "connections": [
                {"tenant_id": each.tenant_id, "name": each.name, "configured": bool(each.configured_as)}
                for each in self.connections
            ]
        }

    def in_words(self) -> str:
        """The organisations, what is missing, and the lines to paste into tieout.toml."""
        lines = ["Xero is connected. This app may reach:", ""]
        for each in self.connections:
            known = f"in tieout.toml as {each.configured_as}" if each.configured_as else "not in tieout.toml"
            lines.append(f"  {each.tenant_id}  {each.name} ({known})")
        for name, tenant_id in self.missing.items():
            lines += ["", f"{name} ({tenant_id}) is in tieout.toml and not connected: choose it the next time you run"]
            lines += ["`tieout connect xero`, or correct its tenant_id."]
        others = [each for each in self.connections if not each.configured_as]
        if others:
            lines += [
                "",
                "To sync one that is not in tieout.toml, paste its lines there and run `tieout setup`; the name is",
            ]
            lines += ["what the mapping tables call it:"]
        for each in others:
            # A JSON string is a TOML string.
            lines += ["", "[[organisation]]", f"name = {json.dumps(each.name, ensure_ascii=False)}"]
            lines += [f"tenant_id = {json.dumps(each.tenant_id)}"]
        return "\n".join(lines)


def connect(
    config: Config,
    *,
    port: int,
    wait_seconds: float,
    browse: Callable[[str], object],
    say: Callable[[str], None],
) -> Connected:
    """Have a person consent, save the tokens, list the organisations. NotConfigured says what to do when it fails.

    `browse` opens the address in a browser, `say` tells what happens meanwhile.
    """
    if config.xero is not None and config.xero.grant == "client_credentials":
        raise NotConfigured(CUSTOM)
    name = block_name(config.prefect.name, "xero")
    try:
        with _Listener.on(port) as callback, _prefect(say):
            app = _app(config, name)
            database = _load(AuditDatabase, block_name(config.prefect.name, "audit"))
            with closing((database or AuditDatabase(url=config.audit_url())).open()) as audit:
                exchanges = Exchanges(audit, uuid.uuid4().hex, utc_now)
                retries = Retries(app.attempts, app.max_wait_seconds)
                with httpx.Client(timeout=app.timeout_seconds, follow_redirects=False) as http:
                    keeper = TokenKeeper(
                        _BlockOfTheApp(name, app),
                        app.identity_url,
                        app.client_id,
                        app.client_secret,
                        app.grant,
                        None,
                        Wire("xero_identity", http, None, exchanges),
                        audit,
                        utc_now,
                        retries=retries,
                    )
                    token = _consent(app, keeper, callback, wait_seconds, browse, say)
                    found = _organisations(Wire("xero", http, None, exchanges), app.api_url, token, retries)
    except Unreachable as error:
        # Nobody tries again by himself here: whoever ran the command is sitting in front of it.
        raise NotConfigured(str(error)) from error
    if not found:
        raise NotConfigured(f"Xero gave its consent, but no organisation was chosen. {AGAIN}")
    wanted = {each.name: each.tenant_id for each in config.organisation} or dict(app.organisations)
    names = {tenant_id.lower(): name for name, tenant_id in wanted.items()}
    return Connected(
        [Connection(tenant_id, name, names.get(tenant_id.lower(), "")) for tenant_id, name in found.items()],
        {name: tenant_id for name, tenant_id in wanted.items() if tenant_id.lower() not in map(str.lower, found)},
    )


def _consent(
    app: XeroCredentials,
    keeper: TokenKeeper,
    callback: _Listener,
    wait_seconds: float,
    browse: Callable[[str], object],
    say: Callable[[str], None],
) -> SecretStr:
    """Send the person to Xero, wait for the way back, and exchange the code for the access token."""
    verifier = SecretStr(secrets.token_urlsafe(64))
    digest = hashlib.sha256(verifier.get_secret_value().encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": callback.address,
        "scope": SCOPES,
        "state": callback.state,
        "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    address = f"{app.login_url}/identity/connect/authorize?{urlencode(asked, quote_via=quote)}"
    say(f"Consent in your browser. If it does not open by itself, go to\n\n{address}\n")
    browse(address)
    say(f"Waiting up to {wait_seconds:.0f} s for Xero to come back to {callback.address}.")
    try:
        given = callback.answers.get(timeout=wait_seconds)
    except Empty:
        raise NotConfigured(
            f"Nobody came back from Xero within {wait_seconds:.0f} s. If Xero showed an error, check the app at its "
            f"developer portal: {callback.address} must be among its redirect URIs, letter for letter, its client id "
            f"must be {app.client_id}, and it needs all of the scopes {SCOPES}. {AGAIN}"
        ) from None
    if not given.get("code"):
        raise NotConfigured(_refusal(given.get("error", "")))
    return keeper.redeem(SecretStr(given["code"]), callback.address, verifier)


def _refusal(error: str) -> str:
    match error:
        case "access_denied":
            return (
                "Xero is not connected: the consent was declined. Run `tieout connect xero` again and allow the "
                "access, as a user who may connect apps to the organisation."
            )
        case "invalid_scope":
            return f"Xero refuses what the app asks for (invalid_scope): it needs all of the scopes {SCOPES}."
    return f"Xero ended the consent with {error[:100]!r} instead of a code. {AGAIN}"


def _organisations(wire: Wire, api_url: str, token: SecretStr, retries: Retries) -> dict[str, str]:
    """The organisations of this app, tenant id -> name, as GET /connections lists them."""
    headers = {"Authorization": f"Bearer {token.get_secret_value()}", "Accept": "application/json"}
    host = urlsplit(api_url).netloc

    def once() -> dict[str, str]:
        try:
            response = wire.send("GET", f"{api_url}/connections", headers=headers)
        except NoAnswer as error:
            raise TryAgain(
                f"Xero is connected, but {host} does not answer ({error}) when asked for the organisations; check "
                f"[xero] api_url and the network. {AGAIN}"
            ) from error
        status = response.status_code
        listed = _listed(response) if status == 200 else None
        if listed is not None:
            return listed
        words = (
            f"Xero is connected, but {host} gives no readable list of its organisations ({status}); check [xero] "
            f"api_url. {AGAIN}"
        )
        if status in (200, 408, 429) or status >= 500:
            raise TryAgain(words, retry_after(response))
        raise NotConfigured(words)

    return retries.run(once)


def _listed(response: httpx.Response) -> dict[str, str] | None:
    try:
        given = response.json()
        return {each["tenantId"]: each["tenantName"] for each in given if each["tenantType"] == "ORGANISATION"}
    except (ValueError, TypeError, KeyError):
        return None


# The way back from the browser


class _Listener(ThreadingHTTPServer):
    """Listens on loopback for Xero's redirect; what it brings is in `answers` once its state was the right one.

    Xero takes http for the host `localhost` alone, and compares the whole address with those of the app.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Callback)
        self.address = f"http://localhost:{port}{PATH}"
        self.state = secrets.token_urlsafe(32)
        self.answers: SimpleQueue[dict[str, str]] = SimpleQueue()

    @classmethod
    @contextmanager
    def on(cls, port: int) -> Iterator[_Listener]:
        """Listen on this port for the body of a `with`."""
        try:
            listener = cls(port)
        except OSError as error:
            raise NotConfigured(
                f"Port {port} of this machine cannot be listened on ({error.strerror}); end what uses it, or give "
                f"another one with --port and add http://localhost:PORT{PATH} to the redirect URIs of the app."
            ) from error
        with listener:
            thread = threading.Thread(target=listener.serve_forever, args=(0.1,), daemon=True)
            thread.start()
            try:
                yield listener
            finally:
                listener.shutdown()
                thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that hangs up is no error of ours."""


class _Callback(BaseHTTPRequestHandler):
    """One request of the browser."""

    server: _Listener
    timeout = 10

    def do_GET(self) -> None:
        """Take Xero's answer; anything that does not know our state is a stray, or forged, and changes nothing."""
        parts = urlsplit(self.path)
        given = dict(parse_qsl(parts.query))
        if parts.path != PATH:
            self._page(404, "There is nothing here.")
        elif not hmac.compare_digest(given.get("state", "").encode(), self.server.state.encode()):
            self._page(
                400,
                "This is not the answer that tieout waits for: it belongs to another attempt, or was made up. Go on "
                "with the address in the terminal.",
            )
        else:
            try:
                if given.get("code"):
                    self._page(200, "Xero has answered. You can close this window; the terminal shows the rest.")
                else:
                    self._page(400, f"{_refusal(given.get('error', ''))} You can close this window.")
            finally:
                self.server.answers.put(given)

    def _page(self, status: int, words: str) -> None:
        page = f'<!doctype html><html lang="en"><title>tieout</title><p>{escape(words)}</p></html>'.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(page)),
            "Content-Security-Policy": "default-src 'none'",
            # The address of this page holds the code.
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the request line holds the code."""


# Where the tokens go


class _BlockOfTheApp(BlockTokenStore):
    """The block of the app; where there is none yet the first tokens make one, and `tieout setup` completes it."""

    def __init__(self, block_name: str, app: XeroCredentials) -> None:
        super().__init__(block_name)
        self._app = app

    def save(self, tokens: Tokens) -> None:
        """Save into the block as it is now."""
        try:
            super().save(tokens)
        except NoSuchBlock:
            self._app.access_token = tokens.access
            self._app.access_token_expires_at = tokens.expires_at
            self._app.refresh_token = tokens.refresh
            self._app.save(self._name, overwrite=True)


@contextmanager
def _prefect(say: Callable[[str], None]) -> Iterator[None]:
    """The Prefect server that answers, else one of our own for as long as this takes (decision 0006)."""
    with ExitStack() as servers:
        url = api_url()
        if not answers(url):
            if not is_local(url):
                raise NotConfigured(
                    f"The tokens for Xero are kept by the Prefect server at {url}, which does not answer."
                )
            say("No Prefect server answers; one is started for as long as this takes.")
            url = servers.enter_context(temporary_server())
        servers.enter_context(temporary_settings({PREFECT_API_URL: url}))
        yield


def _app(config: Config, name: str) -> XeroCredentials:
    """The app as its block describes it; before the first set-up, as tieout.toml does."""
    block = _load(XeroCredentials, name)
    if block is None:
        if config.xero is None:
            raise NotConfigured("The configuration has no [xero] section; see docs/set-up.md.")
        return XeroCredentials(**config.xero.model_dump(exclude={"refresh_token"}), **config.http.model_dump())
    if block.grant == "client_credentials":
        raise NotConfigured(CUSTOM)
    if config.xero is not None and config.xero.client_id != block.client_id:
        raise NotConfigured(
            f"tieout.toml and the block {name!r} name two different Xero apps (client_id); run `tieout setup` to take "
            "the one of the file, or correct the file."
        )
    return block


BlockType = TypeVar("BlockType", bound=Block)


def _load(kind: type[BlockType], name: str) -> BlockType | None:
    try:
        return cast(BlockType, kind.load(name))
    except ValueError:
        return None
    except (RuntimeError, httpx.HTTPError) as error:
        raise NotConfigured(
            f"The block {name!r} cannot be read ({type(error).__name__}); correct it in the Prefect UI, or check "
            "PREFECT_API_AUTH_STRING where the server asks for one."
        ) from error
