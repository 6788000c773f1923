"""What goes wrong outside: every family ends in one sentence with its cure, the contract's code, and no write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from blocks.audit.block import AuditDatabase
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import Doors, open_doors
from blocks.tables import MappingTables
from blocks.xero.credentials import MemoryTokenStore, XeroCredentials
from flows.family import Summary, SyncForm, run_family
from tasks.calls import PlainCalls
from tests.worlds import TENANT, World, transport

Change = Callable[[dict[str, object], dict[str, object]], None]


def answer(status: int, body: bytes, kind: str = "application/json") -> httpx.MockTransport:
    """A system that always answers the same."""
    return httpx.MockTransport(lambda _request: httpx.Response(status, headers={"Content-Type": kind}, content=body))


def refuse(request: httpx.Request) -> httpx.Response:
    """A port where nobody listens."""
    raise httpx.ConnectError("[Errno 111] Connection refused", request=request)


def cycle(
    world: World,
    connectwise: dict[str, object] | None = None,
    xero: dict[str, object] | None = None,
    to_connectwise: httpx.BaseTransport | None = None,
    to_xero: httpx.BaseTransport | None = None,
    audit: str = "",
) -> Summary:
    """One cycle with something changed."""

    def opened(run_id: str) -> Doors:
        return open_doors(
            "test",
            run_id,
            connectwise=ConnectWiseCredentials.model_validate(
                {
                    "url": "http://localhost/v4_6_release/apis/3.0",
                    "company": "sandbox",
                    "public_key": "sandbox-public",
                    "private_key": "sandbox-private",
                    "client_id": "00000000-0000-4000-8000-000000000001",
                    "attempts": 2,
                }
                | (connectwise or {})
            ),
            xero=XeroCredentials.model_validate(
                {
                    "client_id": "sandbox-client",
                    "client_secret": "sandbox-secret",
                    "organisations": world.tenants,
                    "api_url": "http://localhost",
                    "identity_url": "http://localhost",
                    "configured_refresh_token": "sandbox-refresh-0",
                    "attempts": 2,
                }
                | (xero or {})
            ),
            audit=AuditDatabase(url=SecretStr(audit or f"sqlite:///{world.folder}/audit.db")),
            tables=MappingTables(directory=str(world.tables)),
            store=MemoryTokenStore(),
            clock=world.clock,
            sleep=world.clock.sleep,
            transports=(
                to_connectwise or transport(world.to_connectwise),
                to_xero or transport(world.to_xero),
            ),
        )

    return run_family("invoices", SyncForm(), opened, PlainCalls(1), lambda _sentence: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One invoice that could be posted."""
    made = World(tmp_path).ready()
    made.add_invoice("40001")
    return made


HTML = b"<html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"connectwise": {"private_key": "wrong"}}, 2, ["401", "private_key"]),
        ({"connectwise": {"company": "nobody"}}, 2, ["company"]),
        ({"connectwise": {"url": "http://localhost/v9999_1/apis/3.0"}}, 0, []),
        ({"to_connectwise": answer(200, HTML, "text/html")}, 1, ["web page", "[connectwise] url"]),
        ({"to_connectwise": answer(200, b'[{"id": 1, "invoiceNumber": "4000')}, 1, ["cut short"]),
        ({"to_connectwise": answer(400, b"Cannot route. Codebase/company is invalid", "text/plain")}, 2, ["route"]),
        ({"to_connectwise": httpx.MockTransport(refuse)}, 1, ["does not answer", "[connectwise] url"]),
        ({"xero": {"organisations": {"Sydney": "99999999-9999-4999-8999-999999999999"}}}, 1, ["tieout connect xero"]),
        ({"xero": {"client_secret": "wrong"}}, 1, ["client_secret"]),
        ({"xero": {"configured_refresh_token": "stale"}}, 1, ["tieout connect xero"]),
        ({"to_xero": answer(200, HTML, "text/html")}, 1, []),
        ({"to_xero": httpx.MockTransport(refuse)}, 1, ["does not answer"]),
        ({"audit": "mysql://localhost/x"}, 2, ["sqlite:///"]),
        ({"audit": "nonsense"}, 2, ["[audit] url"]),
    ],
)
def test_each_mishap_is_one_sentence_with_its_cure(
    world: World, changed: dict[str, object], code: int, words: list[str]
) -> None:
    """No secret in it, and nothing in Xero afterwards (an outdated codebase alone is found anew and goes on)."""
    summary = cycle(world, **changed)  # type: ignore[arg-type]
    assert summary.exit_code == code, summary.failed
    assert bool(summary.failed) == bool(code)
    for each in words:
        assert each in summary.failed
    for secret in ("sandbox-private", "sandbox-secret", "sandbox-refresh", "stale"):
        assert secret not in summary.failed
    assert ("40001" in world.invoices()) == (code == 0)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("accounts.csv", "organisation,side,kind\n", ["accounts.csv, row 1", "account_code"]),
        ("taxes.csv", None, ["taxes.csv", "tieout setup"]),
        (
            "contacts.csv",
            'organisation,role,company,contact_id,account_number,contact_name\n"open,,,\n',
            ["contacts.csv"],
        ),
        ("policy.toml", "[brakes]\nupdates = 3\n", ["policy.toml", "brakes", "allowed"]),
        ("policy.toml", "start_date = tomorrow\n", ["policy.toml", "TOML"]),
    ],
)
def test_tables_that_cannot_be_used_stop_before_any_call(
    world: World, name: str, text: str | None, words: list[str]
) -> None:
    """File, row and column are named; neither system is asked anything."""
    if text is None:
        (world.tables / name).unlink()
    else:
        world.write(name, text)
    summary = cycle(world)
    assert summary.exit_code == 2
    for each in words:
        assert each in summary.failed
    assert summary.calls == {"connectwise": 0, "xero": 0}


def test_a_read_only_audit_stops_before_anything_is_written(world: World) -> None:
    """What cannot be stored first is not sent."""
    path = world.folder / "audit.db"
    assert cycle(world, to_connectwise=answer(200, b"[]")).exit_code == 0
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    uri = f"sqlite:///file:{path}?mode=ro&uri=true"
    summary = cycle(world, audit=uri)
    assert summary.exit_code in (1, 2) and summary.failed
    assert "40001" not in world.invoices()
    assert TENANT in world.xero.organisations
