"""`tieout connect xero`: a consent from the browser to the tokens in the block, and every way in which it can end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from typer.testing import CliRunner

from blocks.audit.block import AuditDatabase
from blocks.audit.database import Audit, open_audit
from blocks.audit.exchanges import read as read_exchanges
from blocks.audit.leases import hold
from blocks.audit.tables import LEASES
from blocks.doors import block_name, utc_now
from blocks.failures import NotConfigured
from blocks.saved import edit_saved
from blocks.xero import credentials
from blocks.xero.credentials import BlockTokenStore, NoSuchBlock, XeroCredentials
from blocks.xero.tokens import SCOPES, Tokens
from deployments import cli, consent
from deployments.config import PROJECT, Config, read_config
from deployments.consent import Connected, connect
from deployments.sandbox.server import serve
from deployments.sandbox.wire import Response
from deployments.sandbox.xero import SimulatedXero
from deployments.server import free_port
from tests.deployments.conftest import Place
from tests.worlds import OTHER_TENANT, TENANT, World

SECRETS = ("sandbox-secret", "eyJ")
"""The app's secret, and how every access token begins; the one of the test itself is added."""


class Browser:
    """Somebody's browser: goes to the address and follows Xero back; `pages` is what it showed."""

    def __init__(self, before: Callable[[str, dict[str, str]], object] | None = None) -> None:
        self._before = before or (lambda _address, _asked: None)
        self.pages: list[httpx.Response] = []
        self.asked: dict[str, str] = {}
        self.codes: list[str] = []

    def __call__(self, address: str) -> None:
        """Go there; `before` is done first, with what the address asks for."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self._before(address, self.asked)
        page = httpx.get(address)
        while page.has_redirect_location:
            back = page.headers["Location"]
            self.codes += parse_qs(urlsplit(back).query).get("code", [])
            page = httpx.get(back)
        self.pages.append(page)


@dataclass
class Installation:
    """A configuration, the blocks of a Prefect server in memory, and the simulated Xero on a socket."""

    world: World
    url: str
    blocks: dict[str, XeroCredentials]
    port: int = field(default_factory=free_port)
    said: list[str] = field(default_factory=list)
    on_save: Callable[[], object] = lambda: None

    @property
    def xero(self) -> SimulatedXero:
        """The simulated Xero."""
        return self.world.xero

    @property
    def folder(self) -> Path:
        """Where tieout.toml and the audit database are."""
        return self.world.folder

    def config(self, more: str = "", **xero: str) -> Path:
        """tieout.toml with one organisation, and nothing of ConnectWise."""
        keys = {
            "api_url": self.url, "identity_url": self.url, "login_url": self.url, "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
        } | xero  # fmt: skip
        path = self.folder / "tieout.toml"
        path.write_text(
            "[xero]\n"
            + "".join(f'{name} = "{value}"\n' for name, value in keys.items())
            + f'[audit]\nurl = "sqlite:///{self.folder}/audit.db"\n[http]\nattempts = 1\n'
            + (more or f'[[organisation]]\nname = "Sydney"\ntenant_id = "{TENANT}"\n'),
            encoding="utf-8",
        )
        return path

    def connect(self, browser: Callable[[str], object], wait: float = 20, more: str = "", **xero: str) -> Connected:
        """The command's work, with this browser."""
        return connect(
            read_config(self.config(more, **xero)),
            port=self.port,
            wait_seconds=wait,
            browse=browser,
            say=self.said.append,
        )

    def fails(self, words: str, browser: Callable[[str], object], **how: Any) -> None:
        """It ends with a sentence and the code 2, shows no secret, and leaves no tokens."""
        with pytest.raises(NotConfigured, match=words) as caught:
            self.connect(browser, **how)
        sentence = str(caught.value)
        assert caught.value.exit_code == 2
        assert "\n" not in sentence and sentence[0].isupper() and sentence.endswith("."), sentence
        assert not self.blocks
        self.shows_no_secret(sentence)

    @property
    def tokens(self) -> Tokens:
        """What the block holds."""
        return BlockTokenStore("default-xero").load()

    @contextmanager
    def audit(self) -> Iterator[Audit]:
        """The audit database."""
        opened = open_audit(f"sqlite:///{self.folder}/audit.db")
        yield opened
        opened.close()

    def shows_no_secret(self, *texts: str, but: tuple[str, ...] = ()) -> None:
        """Neither these texts, what was said, nor the audit holds a secret."""
        with self.audit() as audit:
            kept = json.dumps(read_exchanges(audit))
        refresh = self.tokens.refresh if self.blocks else None
        secrets = (*SECRETS, *but, *([refresh.get_secret_value()] if refresh else []))
        for text in (*texts, *self.said, kept):
            assert not [secret for secret in secrets if secret in text], text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An app with one organisation, nothing set up yet, and a Prefect server that answers."""
    world = World(tmp_path)
    world.add_organisation("Harbour IT Sydney", TENANT)
    with serve(world.xero) as url:
        made = Installation(world, url, {})
        world.xero.identity.redirect_uris = frozenset({f"http://localhost:{made.port}/callback"})

        def load(name: str) -> XeroCredentials:
            if name not in made.blocks:
                raise ValueError(f"Unable to find block document named {name}")
            return made.blocks[name].model_copy()

        def save(self: XeroCredentials, name: str, overwrite: bool) -> None:
            assert overwrite
            made.on_save()
            made.blocks[name] = self.model_copy()

        def edit(kind: type[XeroCredentials], name: str, fields: dict[str, Any]) -> None:
            save(kind.model_validate(dict(load(name)) | fields), name, overwrite=True)

        def no_audit(name: str) -> AuditDatabase:
            raise ValueError(f"Unable to find block document named {name}")

        monkeypatch.setattr(consent, "answers", lambda _url: True)
        monkeypatch.setattr(XeroCredentials, "load", load)
        monkeypatch.setattr(XeroCredentials, "save", save)
        monkeypatch.setattr(credentials, "edit_saved", edit)
        monkeypatch.setattr(AuditDatabase, "load", no_audit)
        yield made


# How it goes well


def test_a_consent_puts_tokens_into_the_block_and_lists_the_organisations(here: Installation) -> None:
    """Before the first set-up: the block is made, its tokens work, and nothing secret is shown or kept elsewhere."""
    browser = Browser()
    connected = here.connect(browser)
    assert connected.as_json() == {
        "connections": [{"tenant_id": TENANT, "name": "Harbour IT Sydney", "configured": True}]
    }
    assert "Harbour IT Sydney (in tieout.toml as Sydney)" in connected.in_words()
    assert browser.pages[0].status_code == 200
    assert "You can close this window" in browser.pages[0].text
    block = here.blocks["default-xero"]
    assert (block.client_id, block.attempts) == ("sandbox-client", 1)
    with here.audit() as audit:
        client = block.get_client(BlockTokenStore("default-xero"), audit, "run-1", utc_now)
        assert client.organisation(TENANT)["Name"] == "Harbour IT Sydney"
    here.shows_no_secret(connected.in_words(), but=(browser.codes[0],))


def test_the_address_asks_for_exactly_what_the_contract_says(here: Installation) -> None:
    """Scopes, S256 challenge, a state of its own each time, and the redirect address of the chosen port."""
    first, second = Browser(), Browser()
    here.connect(first)
    here.connect(second)
    assert first.asked.keys() == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"
    }  # fmt: skip
    assert first.asked["scope"] == SCOPES
    assert first.asked["code_challenge_method"] == "S256"
    assert first.asked["redirect_uri"] == f"http://localhost:{here.port}/callback"
    assert first.asked["state"] != second.asked["state"]
    assert first.asked["code_challenge"] != second.asked["code_challenge"]
    assert len(first.asked["state"]) >= 43


def test_the_tokens_are_saved_under_the_lease_of_refreshes_and_what_ops_edited_stays(here: Installation) -> None:
    """An edit in the Prefect UI while the person consents is not undone; no refresh can come in between."""
    here.connect(Browser())
    holders: list[str] = []

    def look() -> None:
        with here.audit() as audit, audit.reading() as connection:
            holders.extend(connection.scalars(select(LEASES.c.what).where(LEASES.c.name == "token:sandbox-client")))

    def edit(_address: str, _asked: dict[str, str]) -> None:
        here.blocks["default-xero"].per_minute = 7

    before = here.tokens
    here.on_save = look
    here.connect(Browser(edit))
    assert holders == ["a token refresh"]
    assert here.blocks["default-xero"].per_minute == 7
    assert here.tokens.refresh != before.refresh


def test_a_refresh_elsewhere_is_waited_for(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cycle that renews its token at this moment does not overwrite what the consent brought."""
    monkeypatch.setattr("blocks.xero.tokens.LEASE_WAIT", 0)
    with here.audit() as audit, hold(audit, "token:sandbox-client", "a token refresh", utc_now):
        here.fails("being renewed elsewhere", Browser())


def test_several_organisations_are_told_apart_and_the_missing_one_is_named(here: Installation) -> None:
    """Which are in tieout.toml, which of it are not connected, and lines to paste that are TOML whatever the name."""
    auckland, missing = "aaaaaaaa-0000-4000-8000-00000000000f", "33333333-3333-4333-8333-333333333333"
    here.xero.add_organisation("Harbour IT Auckland", tenant_id=auckland)
    here.xero.add_organisation('Caf\u00e9 "Nord" \\ Co', tenant_id=OTHER_TENANT)
    sections = "".join(
        f'[[organisation]]\nname = "{name}"\ntenant_id = "{tenant}"\n'
        for name, tenant in {"Sydney": TENANT, "Auckland": auckland.upper(), "Perth": missing}.items()
    )
    connected = here.connect(Browser(), more=sections)
    assert [(each.configured_as, each.tenant_id) for each in connected.connections] == [
        ("Sydney", TENANT), ("Auckland", auckland), ("", OTHER_TENANT)
    ]  # fmt: skip
    assert [each["configured"] for each in connected.as_json()["connections"]] == [True, True, False]
    assert connected.missing == {"Perth": missing}
    words = connected.in_words()
    assert f"Perth ({missing}) is in tieout.toml and not connected" in words
    pasted = tomllib.loads(words[words.index("[[organisation]]") :])
    assert pasted == {"organisation": [{"name": 'Caf\u00e9 "Nord" \\ Co', "tenant_id": OTHER_TENANT}]}


def test_after_set_up_the_block_is_what_counts(here: Installation) -> None:
    """A secret that was changed in the Prefect UI is used, not the old one of the file."""
    here.blocks["default-xero"] = XeroCredentials(
        client_id="sandbox-client", client_secret=SecretStr("sandbox-secret"), organisations={"Harbour": TENANT},
        api_url=here.url, identity_url=here.url, login_url=here.url,
    )  # fmt: skip
    connected = here.connect(Browser(), client_secret="the-old-one")
    assert connected.connections[0].configured_as == "Sydney"
    assert here.tokens.refresh is not None


# Strays


def test_a_stray_or_forged_callback_is_told_so_and_the_right_one_is_waited_for(here: Installation) -> None:
    """Another page's code, a denial without our state, a favicon: none of them ends the consent."""
    pages: list[httpx.Response] = []

    def stray(_address: str, asked: dict[str, str]) -> None:
        back = asked["redirect_uri"]
        pages.extend(
            httpx.get(address)
            for address in (
                f"{back}?code=forged&state=guessed",
                f"{back}?code=forged",
                f"{back}?error=access_denied&state={asked['state'][:-1]}%C3%A9",
                f"{back}?code=forged&state=",
                back.replace("/callback", "/favicon.ico"),
            )
        )

    assert here.connect(Browser(stray)).connections
    assert [page.status_code for page in pages] == [400, 400, 400, 400, 404]
    assert all("another attempt, or was made up" in page.text for page in pages[:4])


def test_a_connection_that_says_nothing_does_not_keep_the_browser_out(here: Installation) -> None:
    """Browsers open connections ahead of need and leave them idle."""
    with socket.socket() as idle:
        connected = here.connect(Browser(lambda _address, _asked: idle.connect(("127.0.0.1", here.port))))
    assert connected.connections


def test_the_page_runs_nothing_and_passes_its_address_on_to_nobody(here: Installation) -> None:
    """What stands in the address is the code."""
    browser = Browser()
    here.connect(browser)
    headers = browser.pages[0].headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'"


# How it ends otherwise


def test_a_declined_consent_says_so_on_both_sides(here: Installation) -> None:
    """access_denied comes back with the state."""
    here.xero.identity.user = "declines"
    browser = Browser()
    here.fails("the consent was declined. Run `tieout connect xero` again", browser)
    assert "the consent was declined" in browser.pages[0].text


def test_scopes_that_the_app_may_not_ask_for_are_named(here: Installation) -> None:
    """Where Xero sends invalid_scope back."""
    here.xero.identity.allowed_scopes -= {"accounting.payments"}
    here.xero.identity.scope_refusal = "callback"
    here.fails(f"invalid_scope.*{SCOPES}", Browser())


def test_another_error_is_quoted_and_harmless_on_the_page(here: Installation) -> None:
    """Whatever Xero may think of; it cannot put anything into the page or the terminal."""
    pages: list[httpx.Response] = []

    def back(address: str) -> None:
        asked = parse_qs(urlsplit(address).query)
        given = {"error": "<b>server_error</b>\x1b[2J", "state": asked["state"][0]}
        pages.append(httpx.get(asked["redirect_uri"][0], params=given))

    here.fails("server_error", back)
    assert "<b>" not in pages[0].text and "&lt;b&gt;server_error" in pages[0].text
    assert "\x1b" not in pages[0].text


@pytest.mark.parametrize("wrong", ["redirect", "scope", "client"])
def test_what_xero_shows_on_its_own_page_is_in_the_sentence_of_the_time_limit(here: Installation, wrong: str) -> None:
    """A wrong redirect address, scope or client id never comes back: nobody came, and what to check is named."""
    if wrong == "redirect":
        here.xero.identity.redirect_uris = frozenset({"http://localhost:1/callback"})
    elif wrong == "scope":
        here.xero.identity.allowed_scopes -= {"accounting.payments"}
    browser = Browser()
    client = "somebody-else" if wrong == "client" else "sandbox-client"
    here.fails(
        f"within 0 s.*http://localhost:{here.port}/callback must be among its redirect URIs.*client id must be {client}"
        f".*{SCOPES}.*Run `tieout connect xero` again",
        browser, wait=0.1, client_id=client,
    )  # fmt: skip
    assert browser.pages[0].status_code == 500


def test_a_code_that_came_too_late_or_twice_is_no_use(here: Installation) -> None:
    """Five minutes, once."""

    def slowly(address: str) -> None:
        back = httpx.get(address).headers["Location"]
        here.world.clock.advance(minutes=6)
        httpx.get(back)

    here.fails("no longer accepts the code of this consent.*`tieout connect xero`", slowly)

    def somebody_else_was_first(address: str) -> None:
        back = httpx.get(address).headers["Location"]
        here.xero.identity._codes.clear()
        httpx.get(back)

    here.fails("no longer accepts the code of this consent", somebody_else_was_first)


def test_a_wrong_client_secret_is_named(here: Installation) -> None:
    """The code is good, the app is not who it says."""
    here.fails("invalid_client.*check .xero. client_id and client_secret", Browser(), client_secret="canary-wrong")
    assert "canary-wrong" not in "".join(here.said)


def test_an_identity_server_that_does_not_answer_is_named(here: Installation) -> None:
    """Nobody tries again by himself: the sentence names the command, and the code is 2."""
    nobody = f"http://127.0.0.1:{free_port()}"
    here.fails("identity server at 127.0.0.1.*does not answer.*`tieout connect xero`", Browser(), identity_url=nobody)


def test_a_port_that_is_taken_is_named_before_anybody_is_sent_anywhere(here: Installation) -> None:
    """With the other port to register."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", here.port))
        taken.listen()
        here.fails(f"Port {here.port} .*--port.*http://localhost:PORT/callback", Browser())
    assert here.said == []


@pytest.mark.parametrize("tenants", [[], [{"tenantId": TENANT, "tenantName": "Books & Co", "tenantType": "PRACTICE"}]])
def test_a_consent_without_an_organisation_is_said(here: Installation, tenants: list[dict[str, str]]) -> None:
    """The list is empty, or holds an accountant's practice, which has no books."""
    with (
        serve(lambda _request: Response(200, {}, json.dumps(tenants).encode())) as url,
        pytest.raises(NotConfigured, match=r"no organisation was chosen\. Run `tieout connect xero` again"),
    ):
        here.connect(Browser(), api_url=url)


@pytest.mark.parametrize(("status", "body"), [(503, b""), (200, b"<html>"), (200, b'{"a": 1}'), (403, b"{}")])
def test_tokens_are_kept_although_the_organisations_cannot_be_listed(
    here: Installation, status: int, body: bytes
) -> None:
    """They are saved before anything else is asked; the sentence says that Xero is connected."""
    with (
        serve(lambda _request: Response(status, {}, body)) as url,
        pytest.raises(NotConfigured, match=f"Xero is connected, but .* gives no readable list .*{status}") as caught,
    ):
        here.connect(Browser(), api_url=url)
    assert here.tokens.refresh is not None
    here.shows_no_secret(str(caught.value))


def test_a_custom_connection_needs_no_consent(here: Installation) -> None:
    """In the file or in the block."""
    here.fails("needs no consent", Browser(), grant="client_credentials")
    here.blocks["default-xero"] = XeroCredentials(
        client_id="sandbox-client", client_secret=SecretStr("x"), grant="client_credentials", organisations={"A": ""}
    )
    with pytest.raises(NotConfigured, match="needs no consent"):
        here.connect(Browser())


def test_tokens_of_one_app_never_get_into_the_block_of_another(here: Installation) -> None:
    """The file was changed and not set up yet."""
    here.blocks["default-xero"] = XeroCredentials(client_id="the-old-app", client_secret=SecretStr("x"))
    with pytest.raises(NotConfigured, match=r"two different Xero apps.*`tieout setup`"):
        here.connect(Browser())
    assert here.tokens == Tokens()


@pytest.mark.parametrize("error", [RuntimeError("Unable to load block"), httpx.HTTPError("401 Unauthorized")])
def test_a_block_that_cannot_be_read_is_named_before_anybody_is_sent_anywhere(
    here: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Edited into nonsense, or behind a password that is not set here."""

    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(XeroCredentials, "load", fail)
    here.fails("'default-xero' cannot be read.*Prefect UI.*PREFECT_API_AUTH_STRING", Browser())
    assert here.said == []


def test_without_an_app_there_is_nothing_to_connect(here: Installation) -> None:
    """No [xero] in the file and no block."""
    with pytest.raises(NotConfigured, match=r"no \[xero\] section; see docs/set-up.md"):
        connect(Config(), port=here.port, wait_seconds=1, browse=Browser(), say=here.said.append)


def test_without_a_prefect_server_one_runs_for_as_long_as_it_takes(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block is in Prefect's database; where the server is another machine's nothing is begun."""
    used: list[str] = []

    @contextmanager
    def temporary() -> Iterator[str]:
        used.append("started")
        yield "http://127.0.0.1:1/api"
        used.append("stopped")

    monkeypatch.setattr(consent, "answers", lambda _url: False)
    monkeypatch.setattr(consent, "temporary_server", temporary)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:2/api")
    assert here.connect(Browser()).connections
    assert used == ["started", "stopped"]
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.com/api")
    with pytest.raises(NotConfigured, match=r"https://prefect\.example\.com/api, which does not answer"):
        here.connect(Browser())


# What a dead connection does, and how it is mended


def test_a_dead_refresh_token_stops_the_family_with_one_sentence_and_a_consent_mends_it(
    here: Installation, tmp_path: Path
) -> None:
    """Nothing is written, nothing lost and nothing held: the cycle after the consent posts what waited."""
    world = World(tmp_path / "world").ready()
    world.add_invoice("40001")
    assert world.cycle().counts["posted"] == 1
    world.later().add_invoice("40002")
    world.xero.identity.revoke_all()
    dead = world.cycle()
    assert dead.failed == (
        "Xero no longer accepts the refresh token: the connection has ended or was never made. Run `tieout connect "
        "xero` to consent again."
    )
    assert (dead.exit_code, dead.exceptions) == (1, [])
    assert world.invoices().keys() == {"40001"}

    with serve(world.xero) as url:
        here.connect(Browser(), api_url=url, identity_url=url, login_url=url)
    world.tokens.save(here.tokens)
    mended = world.later().cycle()
    assert (mended.failed, mended.exit_code) == ("", 0)
    assert world.invoices().keys() == {"40001", "40002"}


# The command itself


def test_the_command_prints_the_organisations_and_as_json(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address goes to standard error, so that standard output is one JSON document."""
    browser = Browser()
    monkeypatch.setattr("webbrowser.open", browser)
    words = ["connect", "xero", "--config", str(here.config()), "--port", str(here.port)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "Harbour IT Sydney (in tieout.toml as Sydney)" in done.stdout
    assert f"{here.url}/identity/connect/authorize?" in done.stderr
    done = CliRunner().invoke(cli.app, [*words, "--json"])
    assert json.loads(done.stdout)["connections"][0]["configured"] is True
    here.shows_no_secret(done.output, but=tuple(browser.codes))


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "70000"], ["--wait", "0"], ["--wait", "soon"]])
def test_a_port_or_time_that_is_none_is_refused(here: Installation, words: list[str]) -> None:
    """Exit code 2, nothing begun."""
    assert CliRunner().invoke(cli.app, ["connect", "xero", "--config", str(here.config()), *words]).exit_code == 2


class Command:
    """The command in a process of its own, up to the moment where it waits for the browser."""

    def __init__(self, *words: str) -> None:
        # Whoever runs the tests in the background of a script has Ctrl-C ignored, and so would the command.
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", "connect", "xero", "--no-browser", *words],
                env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)
        lines: list[str] = []
        assert self.process.stderr is not None
        while not lines or not lines[-1].startswith("Waiting"):
            line = self.process.stderr.readline()
            assert line, lines
            lines.append(line)
        self.address = next(line.strip() for line in lines if "/identity/connect/authorize?" in line)

    def ended(self) -> tuple[int, str, str]:
        """Its exit code, what it printed, and what it printed to standard error after it began to wait."""
        printed, problems = self.process.communicate(timeout=600)
        return self.process.returncode, printed, problems


@pytest.mark.server
def test_consent_set_up_and_a_cycle_against_a_real_prefect_server(prefect_server: str, place: Place) -> None:
    """A new installation without a refresh token: connect, setup, plan. And Ctrl-C while it waits leaves nothing."""
    xero_url = tomllib.loads(place.config.read_text(encoding="utf-8"))["xero"]["api_url"]
    place.rewrite('refresh_token = "sandbox-refresh-0"', f'login_url = "{xero_url}"')
    port = free_port()
    words = ("--config", str(place.config), "--port", str(port))
    stopped = Command(*words)
    stopped.process.send_signal(signal.SIGINT)
    code, printed, problems = stopped.ended()
    assert code == 130, (code, problems)
    assert printed == "" and "Traceback" not in problems

    command = Command(*words, "--json")
    Browser()(command.address)
    code, printed, problems = command.ended()
    assert code == 0, problems
    tenants = {each["tenant_id"]: each["configured"] for each in json.loads(printed)["connections"]}
    assert tenants == dict.fromkeys(place.story.organisations.values(), True)

    assert place.tieout("setup").returncode == 0
    planned = place.tieout("plan", "--json")
    assert planned.returncode == 3, planned.stderr
    assert cast(dict[str, Any], json.loads(planned.stdout))["writes"]


@pytest.mark.server
def test_a_renewal_changes_the_tokens_alone_on_a_real_prefect_server(prefect_server: str, place: Place) -> None:
    """What ops edit at the same moment stays, and so do the secrets; without a block it says what to do."""
    assert place.tieout("setup").returncode == 0
    name = block_name(place.name, "xero")
    before = cast(XeroCredentials, XeroCredentials.load(name))
    store, ends = BlockTokenStore(name), datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    store.save(Tokens(SecretStr("canary-access-0"), ends, SecretStr("canary-refresh-0")))
    edit_saved(XeroCredentials, name, {"per_minute": 7})
    store.save(Tokens(SecretStr("canary-access-1"), ends + timedelta(minutes=30), None))
    assert store.load() == Tokens(
        SecretStr("canary-access-1"), ends + timedelta(minutes=30), SecretStr("canary-refresh-0")
    )
    now = cast(XeroCredentials, XeroCredentials.load(name))
    assert now.per_minute == 7
    tokens = {"access_token", "access_token_expires_at", "refresh_token", "per_minute"}
    assert {key: value for key, value in now if key not in tokens} == {
        key: value for key, value in before if key not in tokens
    }
    with pytest.raises(NoSuchBlock, match="run `tieout setup`"):
        BlockTokenStore("nobody-xero").save(Tokens(SecretStr("canary-access-0"), ends, None))
