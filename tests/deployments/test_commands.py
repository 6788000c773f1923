"""The commands as a user types them, against a real Prefect server: what they print, write and end with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks.doors import block_name
from deployments import server
from deployments.config import PROJECT
from tests.deployments.conftest import Place, run_tieout

pytestmark = pytest.mark.server


@contextmanager
def edited(kind: Any, name: str, **changes: Any) -> Iterator[None]:
    """A block edited as ops would in the UI."""
    with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}):
        block = kind.load(name)
        for field, value in changes.items():
            setattr(block, field, value)
        block.save(name, overwrite=True)
    yield


def told(done: Any) -> dict[str, Any]:
    """The JSON that a command printed."""
    assert done.stdout, done.stderr
    return cast(dict[str, Any], json.loads(done.stdout))


def one_sentence(done: Any, code: int, *words: str) -> None:
    """The command ended with this code and said these words, without a traceback."""
    assert done.returncode == code, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    assert "Traceback" not in done.stdout + done.stderr
    for each in words:
        assert each in done.stdout + done.stderr, (each, done.stdout, done.stderr)
    assert "sandbox-private" not in done.stdout + done.stderr
    assert "sandbox-secret" not in done.stdout + done.stderr


def test_the_first_day_of_an_installation(prefect_server: str, place: Place) -> None:
    """Set-up, plan, first cycle, second cycle, exceptions, audit: each agrees with the others and with the story."""
    setup = place.tieout("setup", "--json")
    assert setup.returncode == 0, setup.stderr
    families = ("invoices", "credit_notes", "payments", "purchase_orders")
    names = (*families, "sweep", "reconcile", "unmapped-vendors", "margin", "force-sync")
    assert told(setup)["deployments"] == [f"{place.name}-{name}" for name in names]
    assert place.tieout("setup", "--json").stdout == setup.stdout
    margin = httpx.get(f"{prefect_server}/deployments/name/report/{place.name}-margin").json()
    assert margin["parameters"] == {"installation": place.name, "params": {"report": "margin"}}

    plan = place.tieout("plan", "--json")
    assert plan.returncode == 3, plan.stderr
    planned = told(plan)

    first = place.tieout("sync", "--json")
    assert first.returncode == 3, first.stderr
    ended = ("posted", "updated", "unchanged", "held", "rejected", "deferred", "skipped")
    by_name = {family["family"]: family for family in told(first)["families"]}
    assert list(by_name) == ["invoices", "credit_notes"]
    for family in by_name.values():
        assert family["read"] == sum(family[name] for name in ended)
    # One of the two is applied to an invoice that is a draft in Xero, as it is itself.
    assert [by_name["credit_notes"][name] for name in ("read", "posted", "deferred")] == [3, 2, 1]
    held = {each["reference"]: each["reason"] for each in told(first)["exceptions"]}
    assert held == place.story.expected

    of_kind = {
        kind: {each["reference"] for each in planned["writes"] if each["document"] == kind}
        for kind in ("invoice", "credit_note")
    }
    written = of_kind["invoice"]
    notes = [each for books in place.xero.organisations.values() for each in books.credit_notes()]
    assert {each["CreditNoteNumber"] for each in notes} == of_kind["credit_note"] == set(place.story.credit_memos)
    memos = [place.connectwise.record("invoice", place.story.invoices[each]) for each in place.story.credit_memos]
    assert sum(each["Total"] for each in notes) == -sum(each["total"] for each in memos)
    posted = {
        each["InvoiceNumber"]
        for books in place.xero.organisations.values()
        for each in books.invoices(type="ACCREC")
        if each.get("Url")
    }
    # The dry run cannot know that Xero will say the number is taken; it says everything else.
    assert written - {place.story.keys["number_taken"], *place.story.adopted} == posted
    assert {each["reference"] for each in planned["holds"]} == held.keys() - {place.story.keys["number_taken"]}

    second = place.tieout("sync", "--json")
    again = told(second)["families"]
    assert [(each["posted"], each["calls"]["connectwise"]) for each in again] == [(0, 1), (0, 2)]
    # Whether the two documents are approved by now.
    assert again[1]["calls"]["xero"] == 2

    listed = place.tieout("exceptions", "--json")
    assert listed.returncode == 3
    assert {each["reference"]: each["reason"] for each in told(listed)["exceptions"]} == held
    assert {"since", "first_run", "last_run", "fix", "message"} <= told(listed)["exceptions"][0].keys()

    reference = min(posted)
    audited = told(place.tieout("audit", "--reference", reference, "--json"))
    # Why this account? The outcome names the rows that decided, and what they said then.
    assert [each["outcome"] for each in audited["outcomes"]] == ["posted"]
    assert any(row.startswith("accounts.csv row ") and ",sales," in row for row in audited["outcomes"][0]["rows"])
    assert "accounts.csv row " in place.tieout("audit", "--reference", reference).stdout
    exchanges = audited["exchanges"]
    assert [each["method"] for each in exchanges] == ["PUT"]
    assert reference in exchanges[0]["request"] and exchanges[0]["status"] == 200
    everything = place.tieout("audit", "--json").stdout
    for secret in ("sandbox-private", "sandbox-secret", "sandbox-refresh-", "Authorization"):
        assert secret not in everything


def test_what_ops_changed_on_the_server_stays(prefect_server: str, place: Place) -> None:
    """Deploy after ops edited, paused, added and deleted schedules, changed parameters and paused deployments.

    Of every deployment; a second deploy, as after the next update, changes nothing either.
    """
    assert place.tieout("setup").returncode == 0
    query = {"deployments": {"name": {"like_": f"{place.name}-"}}, "sort": "NAME_ASC"}

    def deployed() -> list[dict[str, Any]]:
        found = httpx.post(f"{prefect_server}/deployments/filter", json=query).raise_for_status().json()
        return [each for each in found if each["name"].startswith(f"{place.name}-")]

    first = {each["name"].removeprefix(f"{place.name}-"): each for each in deployed()}
    names = [each["name"] for each in yaml.safe_load((PROJECT / "prefect.yaml").read_text("utf-8"))["deployments"]]
    assert sorted(first) == sorted(names)
    seeded = [(each["slug"], each["schedule"]["cron"]) for each in first["invoices"]["schedules"]]
    assert seeded == [("every-six-hours", "0 */6 * * *")]

    def change(method: str, address: str, body: object = None) -> None:
        """One whose SQLite is locked says 503, and every client of it asks again."""
        for _ in range(20):
            answer = httpx.request(method, f"{prefect_server}/deployments/{address}", json=body, timeout=60)
            if answer.status_code != 503:
                break
            time.sleep(1)
        answer.raise_for_status()

    edited = {"schedule": {"cron": "0 * * * *", "timezone": "Australia/Sydney"}}
    for name, each in first.items():
        # Three more without a slug, as people add them: one is edited, one paused, one deleted again.
        added = [{"schedule": {"cron": f"{n} 4 * * 0", "timezone": "UTC"}, "active": True} for n in (5, 6, 7)]
        change("POST", f"{each['id']}/schedules", added)
        listed = httpx.get(f"{prefect_server}/deployments/{each['id']}/schedules").json()
        for schedule in listed:
            if schedule["slug"] or schedule["schedule"]["cron"].startswith("5"):
                change("PATCH", f"{each['id']}/schedules/{schedule['id']}", edited)
            elif schedule["schedule"]["cron"].startswith("6"):
                change("PATCH", f"{each['id']}/schedules/{schedule['id']}", {"active": False})
            else:
                change("DELETE", f"{each['id']}/schedules/{schedule['id']}")
        of_a_period = name in ("reconcile", "unmapped-vendors", "margin")
        params = {"first": "2026-02-01"} if of_a_period else {"mode": "plan"}
        parameters = {"installation": place.name, "params": params}
        change("PATCH", each["id"], {"parameters": parameters, "paused": name != "invoices"})
    before = [_ops(each) for each in deployed()]

    for _ in range(2):
        assert place.tieout("deploy").returncode == 0
        assert [_ops(each) for each in deployed()] == before


def test_the_first_schedule_stays_deleted_or_paused(prefect_server: str, place: Place) -> None:
    """Whoever does not want it deletes it, or pauses the deployment; a deploy does not bring it back."""
    assert place.tieout("setup").returncode == 0
    address = f"{prefect_server}/deployments/name/sync-invoices/{place.name}-invoices"
    found = httpx.get(address).json()
    base = f"{prefect_server}/deployments/{found['id']}"
    (schedule,) = found["schedules"]
    httpx.patch(f"{base}/schedules/{schedule['id']}", json={"active": False}).raise_for_status()
    assert place.tieout("deploy").returncode == 0
    assert [each["active"] for each in httpx.get(address).json()["schedules"]] == [False]

    httpx.delete(f"{base}/schedules/{schedule['id']}").raise_for_status()
    httpx.patch(base, json={"paused": True}).raise_for_status()
    assert place.tieout("deploy").returncode == 0
    after = httpx.get(address).json()
    assert (after["schedules"], after["paused"]) == ([], True)


def _ops(deployment: dict[str, Any]) -> dict[str, Any]:
    """What belongs to ops in a deployment."""
    kept = {name: deployment[name] for name in ("name", "parameters", "paused", "work_pool_name")}
    fields = ("id", "schedule", "active", "slug", "parameters")
    schedules = [{name: each[name] for name in fields} for each in deployment["schedules"]]
    return kept | {"schedules": sorted(schedules, key=lambda each: str(each["id"]))}


def test_bad_input_gets_one_sentence_and_nothing_is_written(prefect_server: str, place: Place) -> None:
    """Credentials, tables, families, references, a locked database: the cure is named, the code is the contract's."""
    from blocks.connectwise.credentials import ConnectWiseCredentials

    assert place.tieout("setup").returncode == 0
    one_sentence(place.tieout("sync", "purchase_orders"), 2, "purchase_orders is off in policy.toml")
    one_sentence(place.tieout("sync", "invoices", "--reference", "99999999"), 2, "no invoice '99999999'")
    accounts = place.tables / "accounts.csv"
    text = accounts.read_text(encoding="utf-8")
    accounts.write_text(text.replace("account_code", "acount_code"), encoding="utf-8")
    one_sentence(place.tieout("sync"), 2, "accounts.csv, row 1", "account_code")
    accounts.write_text(text, encoding="utf-8")
    connectwise = block_name(place.name, "connectwise")
    with edited(ConnectWiseCredentials, connectwise, private_key=SecretStr("wrong")):
        one_sentence(place.tieout("sync"), 2, "401", "private_key")
    with edited(ConnectWiseCredentials, connectwise, url="http://not-loopback.example/apis/3.0"):
        one_sentence(place.tieout("sync"), 2, connectwise, "Prefect UI")
    assert not any(
        each.get("Url") for books in place.xero.organisations.values() for each in books.invoices(type="ACCREC")
    )


# Without a server


def test_commands_that_need_a_server_say_how_to_start_one(place: Place) -> None:
    """No server answers: exit 2, and the command that starts one."""
    nowhere = f"http://127.0.0.1:{server.free_port()}/api"
    for command in ("sync", "setup", "deploy"):
        one_sentence(place.tieout(command, PREFECT_API_URL=nowhere), 2, "tieout serve", nowhere)


def test_an_audit_that_is_not_there_yet_is_said(place: Place) -> None:
    """Asking for exceptions before the first set-up makes no file and says what to do."""
    one_sentence(place.tieout("exceptions"), 2, "no audit database", "tieout setup")
    assert not (place.folder / "audit.db").exists()


def test_wrong_usage_ends_with_two(tmp_path: Path) -> None:
    """Unknown options and missing files are usage errors."""
    assert run_tieout("sync", "--colour").returncode == 2
    one_sentence(run_tieout("exceptions", "--config", str(tmp_path / "none.toml")), 2, "no configuration file")


def test_a_plan_works_without_a_prefect_server(place: Place, tmp_path: Path) -> None:
    """The dry run reads both systems with what the configuration says, and keeps the renewed token where it belongs."""
    env = {
        "PREFECT_API_URL": f"http://127.0.0.1:{server.free_port()}/api",
        "PREFECT_HOME": str(tmp_path / "prefect-home"),
    }
    done = place.tieout("plan", "--json", "--out", str(tmp_path / "plan.json"), **env)
    assert done.returncode == 3, done.stderr
    assert told(done)["plan_id"] == json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["plan_id"]
    assert len(told(done)["writes"]) > 90
    assert place.connectwise.writes == []
    assert "ERROR" not in done.stderr and "Traceback" not in done.stderr
    place.rewrite("sandbox-refresh-0", "used-up-long-ago")
    assert told(place.tieout("plan", "--json", **env))["plan_id"] == told(done)["plan_id"]
