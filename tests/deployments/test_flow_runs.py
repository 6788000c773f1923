"""A cycle as a Prefect flow run: what people find in the UI, through the API that the UI reads."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.deployments.conftest import Place

pytestmark = pytest.mark.server


def wait_for(read: Any, enough: Any) -> Any:
    """Prefect records task runs a moment after they end; ask until they are there."""
    import time

    found = read()
    for _ in range(100):
        if enough(found):
            return found
        time.sleep(0.2)
        found = read()
    return found


def latest_run(api: str) -> dict[str, Any]:
    """The flow run that began last; what schedules have laid out for tomorrow has not begun."""
    begun = {"flow_runs": {"start_time": {"is_null_": False}}, "sort": "START_TIME_DESC", "limit": 1}
    found = httpx.post(f"{api}/flow_runs/filter", json=begun).json()
    return dict(found[0])


def task_names(api: str, run: dict[str, Any], at_least: int) -> list[str]:
    query = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
    found = wait_for(
        lambda: httpx.post(f"{api}/task_runs/filter", json=query).json(), lambda rows: len(rows) >= at_least
    )
    return [str(each["name"]) for each in found]


def artifacts(api: str, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    query = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    return {each["key"] or each["type"]: each for each in httpx.post(f"{api}/artifacts/filter", json=query).json()}


def test_a_run_is_read_by_references_and_its_links_open(prefect_server: str, place: Place) -> None:
    """Run and task names carry references; the outcome table links into both systems; few records have a task each."""
    assert place.tieout("setup").returncode == 0
    assert place.tieout("sync", "invoices").returncode == 3
    run = latest_run(prefect_server)
    assert re.fullmatch(r"invoices \d{4}-\d\d-\d\d \d\d:\d\d", run["name"])
    assert run["state_name"] == "Completed"
    names = task_names(prefect_server, run, 6)
    assert any(re.fullmatch(r"load \d+ \.\. \d+ \(50\)", name) for name in names), names
    assert len(names) < 1000

    made = artifacts(prefect_server, run)
    table = next(each for key, each in made.items() if key.endswith("-outcomes"))
    rows = json.loads(table["data"]) if isinstance(table["data"], str) else table["data"]
    assert [rows[0][name] for name in ("outcome",)] == ["held"], "those that need people come first"
    posted = next(row for row in rows if row["outcome"] == "posted")
    for column in ("ConnectWise", "Xero"):
        address = re.fullmatch(r"\[open\]\((.+)\)", posted[column])
        assert address, posted
        page = httpx.get(address[1])
        assert page.status_code == 200 and posted["reference"] in page.text
    summary = next(each for key, each in made.items() if key.endswith("-summary"))["data"]
    assert "## What to do" in summary and "Add to organisations.csv" in summary.replace("\\", "")

    number = sorted(place.story.invoices)[5]
    assert place.tieout("sync", "invoices", "--reference", number).returncode in (0, 3)
    forced = latest_run(prefect_server)
    assert forced["name"] == f"invoices {number}"
    assert f"map {number}" in task_names(prefect_server, forced, 3)


def test_the_links_of_a_credit_note_open_in_both_systems(prefect_server: str, place: Place) -> None:
    assert place.tieout("setup").returncode == 0
    assert place.tieout("sync", "credit_notes").returncode == 0
    run = latest_run(prefect_server)
    assert re.fullmatch(r"credit_notes \d{4}-\d\d-\d\d \d\d:\d\d", run["name"])
    made = artifacts(prefect_server, run)
    table = made[f"{place.name}-credit-notes-outcomes"]["data"]
    rows = json.loads(table) if isinstance(table, str) else table
    # What one of them is applied to is not in Xero yet.
    waiting = dict.fromkeys(place.story.credited, "deferred")
    posted = dict.fromkeys(place.story.credit_memos, "posted")
    assert {row["reference"]: row["outcome"] for row in rows} == posted | waiting
    for row in [row for row in rows if row["reference"] in posted]:
        for column in ("ConnectWise", "Xero"):
            address = re.fullmatch(r"\[open\]\((.+)\)", row[column])
            assert address, row
            page = httpx.get(address[1])
            assert page.status_code == 200 and row["reference"] in page.text
            assert column == "ConnectWise" or "Credit Note" in page.text
    assert made[f"{place.name}-credit-notes-summary"]["data"].startswith("# Credit notes")

    number = place.story.credit_memos[0]
    place.connectwise.edit_invoice(place.story.invoices[number], customerPO="PO-9")
    forced = place.tieout("sync", "credit_notes", "--reference", number, "--json")
    assert forced.returncode == 0, forced.stderr
    (family,) = json.loads(forced.stdout)["families"]
    # With it what waits for it: it is applied to an invoice that is a draft in Xero.
    assert [family[name] for name in ("family", "read", "updated", "deferred")] == ["credit_notes", 2, 1, 1]
    assert latest_run(prefect_server)["name"] == f"credit_notes {number}"
    unknown = place.tieout("sync", "credit_notes", "--reference", "99999999")
    assert (unknown.returncode, "no credit memo '99999999'" in unknown.stdout + unknown.stderr) == (2, True)


def test_payments_and_allocations_are_read_in_the_artifacts_of_their_runs(prefect_server: str, place: Place) -> None:
    """What was paid and allocated, what waits, each with links to the invoice in both systems."""
    (place.tables / "payment_accounts.csv").write_text(
        "organisation,currency,payment_account,account_code\n,,,090\n", encoding="utf-8"
    )
    policy = place.tables / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace('payments = "off"', 'payments = "on"'), encoding="utf-8")
    assert place.tieout("setup").returncode == 0
    assert place.tieout("sync", "invoices").returncode == 3
    assert place.tieout("sync", "credit_notes").returncode == 0
    place.story.approve()
    for family, ends in (
        ("credit_notes", dict.fromkeys(place.story.credited, "posted")),
        (
            "payments",
            dict.fromkeys(place.story.paid, "posted") | dict.fromkeys(place.story.unapproved, "deferred"),
        ),
    ):
        # The invoice whose total cannot be read is told of by payments, too.
        done = place.tieout("sync", family, "--json")
        assert done.returncode == (3 if family == "payments" else 0), done.stdout + done.stderr
        made = artifacts(prefect_server, latest_run(prefect_server))
        name = f"{place.name}-{family.replace('_', '-')}"
        table = made[f"{name}-outcomes"]["data"]
        rows = json.loads(table) if isinstance(table, str) else table
        unreadable = {place.story.keys["unreadable"]: "held"} if family == "payments" else {}
        assert {row["reference"]: row["outcome"] for row in rows} == ends | unreadable
        for row in [row for row in rows if row["reference"] in ends]:
            for column in ("ConnectWise", "Xero"):
                address = re.fullmatch(r"\[open\]\((.+)\)", row[column] or "")
                assert address, row
                page = httpx.get(address[1])
                assert page.status_code == 200 and row["reference"] in page.text
        assert made[f"{name}-summary"]["data"].startswith(f"# {family.replace('_', ' ').capitalize()}")


def test_bills_are_read_in_the_artifacts_of_their_run(prefect_server: str, place: Place) -> None:
    """Each bill with the lifecycle's row, and links to the order in ConnectWise and the bill in Xero."""
    policy = place.tables / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace('purchase_orders = "off"', 'purchase_orders = "on"'), encoding="utf-8")
    assert 'purchase_orders = "on"' in policy.read_text(encoding="utf-8")
    assert place.tieout("setup").returncode == 0
    refused = place.tieout("sync", "purchase_orders", "--json")
    assert refused.returncode == 2
    assert "lifecycle init" in json.loads(refused.stdout)["families"][0]["failed"]
    assert latest_run(prefect_server)["state_type"] == "FAILED"
    assert place.tieout("lifecycle", "init", "--preset", "goods_receipt").returncode == 0
    for role, name in place.story.signers.items():
        assert place.tieout("lifecycle", "sign", "--name", name, "--role", role).returncode == 0
    for each in place.story.deliveries[0]:
        each.act(place.tables)
    ends = {each.number: each.ends.partition(":")[0] for each in place.story.deliveries[0]}
    done = place.tieout("sync", "purchase_orders", "--json")
    assert done.returncode == (3 if "held" in ends.values() else 0), done.stdout + done.stderr
    made = artifacts(prefect_server, latest_run(prefect_server))
    name = f"{place.name}-purchase-orders"
    table = made[f"{name}-outcomes"]["data"]
    rows = {row["reference"]: row for row in (json.loads(table) if isinstance(table, str) else table)}
    assert {number: rows[number]["outcome"] for number in ends} == ends
    for number, end in ends.items():
        for column in ("ConnectWise", "Xero") if end == "posted" else ("ConnectWise",):
            address = re.fullmatch(r"\[open\]\((.+)\)", rows[number][column] or "")
            assert address, rows[number]
            page = httpx.get(address[1])
            assert page.status_code == 200 and number in page.text
    assert made[f"{name}-summary"]["data"].startswith("# Purchase orders")
