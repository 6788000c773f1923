"""A plan that waits for a person: a real run that is suspended, looked at, approved or refused, and goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments import server
from tests.deployments.conftest import Place, placed
from tests.deployments.test_flow_runs import artifacts

pytestmark = pytest.mark.server
PATIENCE = 240


@pytest.fixture(scope="module")
def house(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One installation, set up, with a worker on its pool."""
    folder = tmp_path_factory.mktemp("approval")
    with placed(folder) as made:
        assert made.tieout("setup").returncode == 0
        worker = server.start_worker(f"{made.name}-tieout", folder / "worker.log")
        try:
            yield made
        finally:
            server.stop(worker)


def say(place: Place, text: str) -> None:
    """Put a section into policy.toml."""
    path = place.tables / "policy.toml"
    kept = path.read_text(encoding="utf-8").partition("[approval]")[0]
    path.write_text(f"{kept}\n[approval]\n{text}\n", encoding="utf-8")


def ask(method: str, address: str, body: object = None) -> Any:
    """A call to the server. One whose SQLite is locked says 503, and every client of it asks again."""
    for _ in range(20):
        answer = httpx.request(method, address, json=body, timeout=60)
        if answer.status_code != 503:
            break
        time.sleep(1)
    return answer.raise_for_status().json()


def start(api: str, place: Place) -> str:
    deployment = ask("GET", f"{api}/deployments/name/sync-invoices/{place.name}-invoices")
    return str(ask("POST", f"{api}/deployments/{deployment['id']}/create_flow_run", {})["id"])


def wait_for(api: str, run: str, *states: str) -> dict[str, Any]:
    """The run, once it is in one of these states."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found: dict[str, Any] = ask("GET", f"{api}/flow_runs/{run}")
        if found["state_name"] in states:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{found['state_name']}: {found['state']['message']}")


def resume(api: str, run: str, approve: bool) -> None:
    ask("POST", f"{api}/flow_runs/{run}/resume", {"run_input": {"approve": approve}})


def numbers(place: Place) -> set[str]:
    books = (place.xero.organisations[tenant] for tenant in place.story.organisations.values())
    return {each["InvoiceNumber"] for one in books for each in one.invoices(type="ACCREC")}


def test_a_plan_waits_until_a_person_approves_it_and_another_one_is_refused(prefect_server: str, house: Place) -> None:
    say(house, 'when = "always"')
    before = numbers(house)
    # In the foreground nobody can be asked; a plan file is the way.
    refused = house.tieout("sync")
    assert refused.returncode == 2
    assert "tieout plan invoices --out plan.json" in " ".join(refused.stdout.split())
    assert numbers(house) == before

    first = start(prefect_server, house)
    wait_for(prefect_server, first, "Suspended")
    made = artifacts(prefect_server, {"id": first})
    assert any(key.endswith("-plan") for key in made)
    assert numbers(house) == before

    second = start(prefect_server, house)
    told = wait_for(prefect_server, second, "Failed", "Suspended")
    assert "waits for the approval of its plan already" in told["state"]["message"]

    resume(prefect_server, first, approve=True)
    wait_for(prefect_server, first, "Completed")
    posted = numbers(house)
    assert len(posted) > len(before)

    # Nothing to write is nothing to ask.
    third = start(prefect_server, house)
    wait_for(prefect_server, third, "Completed")

    number = min(posted & set(house.story.invoices))
    house.connectwise.edit_invoice(house.story.invoices[number], customerPO="PO-77")
    fourth = start(prefect_server, house)
    wait_for(prefect_server, fourth, "Suspended")
    resume(prefect_server, fourth, approve=False)
    told = wait_for(prefect_server, fourth, "Failed")
    assert "was refused; nothing was written" in told["state"]["message"]
    books = (house.xero.organisations[tenant] for tenant in house.story.organisations.values())
    assert not any(each.get("Reference") == "PO-77" for one in books for each in one.invoices(type="ACCREC"))


def test_a_plan_that_moved_is_asked_for_again(prefect_server: str, house: Place, tmp_path: Path) -> None:
    say(house, 'when = "always"')
    number = min(numbers(house) & set(house.story.invoices))
    house.connectwise.edit_invoice(house.story.invoices[number], customerPO="PO-88")
    run = start(prefect_server, house)
    wait_for(prefect_server, run, "Suspended")
    house.connectwise.edit_invoice(house.story.invoices[number], customerPO="PO-99")
    resume(prefect_server, run, approve=True)
    # It goes on, finds another plan, and waits again.
    wait_for(prefect_server, run, "Running", "Pending", "Completed")
    wait_for(prefect_server, run, "Suspended")
    resume(prefect_server, run, approve=True)
    wait_for(prefect_server, run, "Completed")
    books = (house.xero.organisations[tenant] for tenant in house.story.organisations.values())
    found = {each["InvoiceNumber"]: each for one in books for each in one.invoices(type="ACCREC")}
    assert found[number].get("Reference") == "PO-99"


def test_with_a_limit_only_more_money_is_asked_for(prefect_server: str, house: Place) -> None:
    say(house, 'when = "over_limit"\nover = "100.00"')
    number = min(numbers(house) & set(house.story.invoices))
    house.connectwise.edit_invoice(house.story.invoices[number], customerPO="PO-1")
    run = start(prefect_server, house)
    wait_for(prefect_server, run, "Completed")
    books = (house.xero.organisations[tenant] for tenant in house.story.organisations.values())
    found = {each["InvoiceNumber"]: each for one in books for each in one.invoices(type="ACCREC")}
    assert found[number].get("Reference") == "PO-1"
