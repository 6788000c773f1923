"""The commands as a user types them, against a real Prefect server: what they print, write and end with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks.doors import block_name
from deployments import server
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
    assert told(setup)["deployments"] == [f"{place.name}-invoices", f"{place.name}-force-sync"]
    assert place.tieout("setup", "--json").stdout == setup.stdout

    plan = place.tieout("plan", "--json")
    assert plan.returncode == 3, plan.stderr
    planned = told(plan)

    first = place.tieout("sync", "--json")
    assert first.returncode == 3, first.stderr
    family = told(first)["families"][0]
    ended = ("posted", "updated", "unchanged", "held", "rejected", "deferred", "skipped")
    assert family["read"] == sum(family[name] for name in ended)
    held = {each["reference"]: each["reason"] for each in told(first)["exceptions"]}
    assert held == place.story.expected

    written = {each["reference"] for each in planned["writes"]}
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
    again = told(second)["families"][0]
    assert (again["posted"], again["calls"]["connectwise"]) == (0, 1)

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
    """Deploy after an edited, an added and a paused schedule, changed parameters and a pause changes none of them."""
    assert place.tieout("setup").returncode == 0
    name = f"{place.name}-invoices"
    found = httpx.get(f"{prefect_server}/deployments/name/sync-invoices/{name}").json()
    assert [(each["slug"], each["schedule"]["cron"]) for each in found["schedules"]] == [
        ("every-six-hours", "0 */6 * * *")
    ]
    schedule = found["schedules"][0]["id"]
    base = f"{prefect_server}/deployments/{found['id']}"
    changed = {"schedule": {"cron": "0 * * * *", "timezone": "Australia/Sydney"}, "active": False}
    httpx.patch(f"{base}/schedules/{schedule}", json=changed).raise_for_status()
    added = [{"schedule": {"cron": "5 4 * * 0", "timezone": "UTC"}, "active": True}]
    httpx.post(f"{base}/schedules", json=added).raise_for_status()
    parameters = {"installation": place.name, "params": {"mode": "plan"}}
    httpx.patch(base, json={"parameters": parameters, "paused": True}).raise_for_status()
    before = httpx.get(base).json()

    assert place.tieout("deploy").returncode == 0

    after = httpx.get(base).json()
    for field in ("schedules", "parameters", "paused", "work_pool_name"):
        kept = [_bare(each) for each in after[field]] if field == "schedules" else after[field]
        was = [_bare(each) for each in before[field]] if field == "schedules" else before[field]
        assert kept == was, field


def _bare(schedule: dict[str, Any]) -> dict[str, Any]:
    return {name: schedule[name] for name in ("id", "schedule", "active", "slug", "parameters")}


def test_bad_input_gets_one_sentence_and_nothing_is_written(prefect_server: str, place: Place) -> None:
    """Credentials, tables, families, references, a locked database: the cure is named, the code is the contract's."""
    from blocks.connectwise.credentials import ConnectWiseCredentials

    assert place.tieout("setup").returncode == 0
    one_sentence(place.tieout("sync", "payments"), 2, "not part of this version")
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
