"""What is kept of every request and response, how it is found again, and what is never kept."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from blocks.audit import lists
from blocks.audit.database import Audit, unpack
from blocks.audit.exchanges import REDACTED, Exchanges, forget_bodies, read, redact
from blocks.audit.tables import EXCHANGES
from tests.worlds import Clock


def keep(exchanges: Exchanges, **fields: Any) -> None:
    """Keep one exchange, ordinary but for the given fields."""
    usual: dict[str, Any] = {
        "system": "xero", "method": "PUT", "url": "https://api.example.com/x", "request": b'{"a":1}', "status": 200,
        "response": b'{"b":2}', "seconds": 0.25,
    }  # fmt: skip
    exchanges.keep(**usual | fields)


def test_an_exchange_can_be_read_again_as_it_was(any_audit: Audit, clock: Clock) -> None:
    """In the shape of the contract, the oldest first."""
    exchanges = Exchanges(any_audit, "run-1", clock)
    keep(exchanges, references=["40001", "40002"])
    clock.advance(seconds=1)
    keep(exchanges, method="GET", status=None, request=b"", response=b"", error="timed out")
    first, second = read(any_audit)
    assert first == {
        "at": "2026-03-02T09:00:00+00:00", "run_id": "run-1", "system": "xero", "method": "PUT",
        "url": "https://api.example.com/x", "status": 200, "request": '{"a":1}', "response": '{"b":2}',
        "references": ["40001", "40002"], "seconds": 0.25,
    }  # fmt: skip
    assert (second["status"], second["error"], second["response"]) == (None, "timed out", "")
    json.dumps([first, second])


def test_exchanges_are_found_by_run(any_audit: Audit, clock: Clock) -> None:
    """Those of one run, and no others."""
    keep(Exchanges(any_audit, "run-1", clock), references=["1"])
    keep(Exchanges(any_audit, "run-2", clock), references=["2"])
    assert [row["references"] for row in read(any_audit, run_id="run-2")] == [["2"]]
    assert read(any_audit, run_id="run-%") == []
    assert len(read(any_audit, run_id="run-1", reference="1")) == 1
    assert read(any_audit, run_id="run-1", reference="2") == []


ODD = ["40001", "4000", "40001|40002", "100%", "100_", "1001", "a\\b", "a/b", "a b", "Bücher", "é|%_\\", "%41", "A"]


@pytest.mark.parametrize("wanted", ODD)
def test_an_exchange_is_found_by_exactly_its_references(any_audit: Audit, clock: Clock, wanted: str) -> None:
    """Numbers with bars, percent signs, underlines and backslashes find themselves and nothing else."""
    exchanges = Exchanges(any_audit, "run-1", clock)
    for number in ODD:
        keep(exchanges, references=["first", number, "last"])
    found = read(any_audit, reference=wanted)
    assert [row["references"] for row in found] == [["first", wanted, "last"]]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), max_size=5))
def test_any_reference_comes_back_as_it_was(audit: Audit, clock: Clock, references: list[str]) -> None:
    """Whatever people use as a number."""
    keep(Exchanges(audit, "run-1", clock), references=references)
    assert read(audit)[-1]["references"] == references
    assert all(read(audit, reference=reference) for reference in references)


def test_the_case_of_a_reference_does_not_matter(any_audit: Audit, clock: Clock) -> None:
    """People type `inv-1`; the same on both databases."""
    keep(Exchanges(any_audit, "run-1", clock), references=["INV-1"])
    assert len(read(any_audit, reference="inv-1")) == 1


def test_bodies_are_compressed_and_their_hashes_kept(audit: Audit, clock: Clock) -> None:
    """The hash is of what was kept, so that a copy elsewhere can be proved to be the same."""
    body = b'{"Invoices":' + b"[1,2,3]" * 10_000 + b"}"
    keep(Exchanges(audit, "run-1", clock), request=body, response=b"")
    with audit.reading() as connection:
        row = connection.execute(select(EXCHANGES)).one()
    assert len(row.request) < len(body) / 20
    assert unpack(row.request).encode() == body
    assert row.request_hash == hashlib.sha256(body).hexdigest()
    assert (row.response, row.response_hash) == (None, "")


def test_bodies_are_forgotten_after_their_days_and_everything_else_stays(any_audit: Audit, clock: Clock) -> None:
    """Request and response, also of calls that were never answered; hashes, references and addresses remain."""
    exchanges = Exchanges(any_audit, "run-1", clock)
    keep(exchanges, references=["old"])
    keep(exchanges, references=["unanswered"], status=None, response=b"", error="timed out")
    clock.advance(days=30)
    keep(exchanges, references=["new"])
    before = read(any_audit)
    forget_bodies(any_audit, 30, clock())
    assert read(any_audit) == before
    clock.advance(seconds=1)
    forget_bodies(any_audit, 30, clock())
    old, unanswered, new = read(any_audit)
    assert (old["request"], old["response"], unanswered["request"]) == ("", "", "")
    assert (new["request"], new["response"]) == ('{"a":1}', '{"b":2}')
    assert [row["references"] for row in (old, unanswered, new)] == [["old"], ["unanswered"], ["new"]]
    with any_audit.reading() as connection:
        rows = connection.execute(select(EXCHANGES).order_by(EXCHANGES.c.id)).all()
    assert all(row.request_hash == hashlib.sha256(b'{"a":1}').hexdigest() for row in rows)
    assert all(row.request is None and row.response is None for row in rows[:2])


# Secrets

SECRET = ("access_token", "refresh_token", "id_token", "client_secret", "code", "code_verifier", "client_assertion")
VALUES = st.text(min_size=8, max_size=30).filter(lambda text: text.strip() == text and text not in REDACTED)


@settings(max_examples=40, deadline=None)
@given(values=st.fixed_dictionaries(dict.fromkeys(SECRET, VALUES)))
def test_the_values_of_secret_fields_are_gone_from_json_and_forms(values: dict[str, str]) -> None:
    """Whatever characters they have; the fields themselves and their neighbours stay."""
    for indent in (None, 2):
        text = redact(json.dumps(values | {"scope": "offline_access"}, indent=indent))
        assert json.loads(text) == dict.fromkeys(SECRET, REDACTED) | {"scope": "offline_access"}
    form = redact(urlencode({"grant_type": "refresh_token"} | values | {"scope": "x"}))
    assert form == "grant_type=refresh_token&" + "&".join(f"{name}={REDACTED}" for name in values) + "&scope=x"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Illegal header value b'Bearer canary.secret-1_2'", "Illegal header value b'Bearer (redacted)'"),
        ("authorization: basic Y2FuYXJ5OnNlY3JldA==, x", "authorization: basic (redacted), x"),
        ("https://x/callback?code=canary&state=1", "https://x/callback?code=(redacted)&state=1"),
        ('{"Access_Token" : "can\\"ary"}', '{"Access_Token" : "(redacted)"}'),
        ("bearer of bad news", "bearer (redacted) bad news"),
        ("a body without secrets, postcode=2000&x=1", "a body without secrets, postcode=2000&x=1"),
    ],
)
def test_secrets_are_gone_from_addresses_headers_and_errors(text: str, left: str) -> None:
    """Wherever an error may quote them."""
    assert redact(text) == left


def test_what_identity_servers_say_is_kept_without_its_tokens(audit: Audit, clock: Clock) -> None:
    """Request and response; the hash is of the redacted text, since a hash of a secret is a way to guess it."""
    keep(
        Exchanges(audit, "run-1", clock),
        system="xero_identity",
        request=b"grant_type=refresh_token&refresh_token=canary-refresh",
        response=b'{"access_token": "canary-access", "expires_in": 1800}',
        url="https://identity.example.com/x?code=canary-code",
        error="Bearer canary-access",
    )
    (row,) = read(audit)
    assert "canary" not in json.dumps(row)
    assert row["request"] == f"grant_type=refresh_token&refresh_token={REDACTED}"
    with audit.reading() as connection:
        kept = connection.execute(select(EXCHANGES.c.request_hash)).scalar_one()
    assert kept == hashlib.sha256(row["request"].encode()).hexdigest()


def test_bodies_of_the_systems_themselves_are_kept_byte_for_byte(audit: Audit, clock: Clock) -> None:
    """A description may well say `code=1`: the books' own words are not touched."""
    body = '{"Description":"access_token and ?code=1, Basic plan"}'
    keep(Exchanges(audit, "run-1", clock), request=body.encode(), response=body.encode())
    assert (read(audit)[0]["request"], read(audit)[0]["response"]) == (body, body)


# Lists


def test_a_list_is_kept_until_it_is_read_again(any_audit: Audit, clock: Clock) -> None:
    """The newest reading replaces the one before; scopes and names do not mix."""
    assert lists.kept(any_audit, "xero:1", "accounts") is None
    lists.keep(any_audit, "xero:1", "accounts", '[{"Code":"200 – ü"}]', clock())
    clock.advance(hours=1)
    lists.keep(any_audit, "xero:1", "contacts", "[]", clock())
    lists.keep(any_audit, "xero:2", "accounts", "[2]", clock())
    lists.keep(any_audit, "xero:1", "accounts", "[1]", clock())
    found = lists.kept(any_audit, "xero:1", "accounts")
    assert found == lists.Kept("[1]", clock())
    assert lists.kept(any_audit, "xero:2", "accounts") == lists.Kept("[2]", clock())


def test_expired_lists_keep_their_text_and_count_as_old(any_audit: Audit, clock: Clock) -> None:
    """All lists of one scope, and of no other."""
    for scope in ("xero:1", "xero:2"):
        lists.keep(any_audit, scope, "accounts", "[1]", clock())
    long_ago = clock() - timedelta(days=2)
    lists.expire(any_audit, "xero:1", long_ago)
    assert lists.kept(any_audit, "xero:1", "accounts") == lists.Kept("[1]", long_ago)
    assert lists.kept(any_audit, "xero:2", "accounts") == lists.Kept("[1]", clock())


def test_the_runs_of_several_families_are_asked_for_at_once(any_audit: Audit, clock: Clock) -> None:
    """A sync of several families names its runs joined by commas."""
    for run in ("a", "b", "c"):
        keep(Exchanges(any_audit, run, clock))
    assert [each["run_id"] for each in read(any_audit, "a,c")] == ["a", "c"]
