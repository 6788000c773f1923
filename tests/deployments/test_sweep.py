"""The sweep as people run it: the nightly flow as a worker starts it, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deployments.config import PROJECT
from tests.deployments.conftest import Place
from tests.deployments.test_flow_runs import artifacts, latest_run

pytestmark = pytest.mark.server


def run_sweep(installation: str, **params: str) -> dict[str, str]:
    """A run of the flow, in a process of its own: the type and the message of its state."""
    code = (
        "import json, sys; from flows.sweep import SweepForm, sweep; given = json.load(sys.stdin); "
        "state = sweep(params=SweepForm(**given['params']), installation=given['installation'], return_state=True); "
        "print(json.dumps({'type': state.type.value, 'message': state.message}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"installation": installation, "params": params}),
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_nightly_sweep_tells_of_a_deleted_invoice_in_its_run(prefect_server: str, place: Place) -> None:
    assert place.tieout("setup").returncode == 0
    assert place.tieout("sync").returncode == 3
    tenant = next(iter(place.story.organisations.values()))
    posted = {each["InvoiceNumber"] for each in place.xero.organisations[tenant].invoices(type="ACCREC")}
    number = min(posted)
    place.connectwise.delete_invoice(place.story.invoices[number])

    rehearsal = run_sweep(place.name, mode="plan")
    assert rehearsal["type"] == "COMPLETED"
    held = json.loads(place.tieout("exceptions", "--json").stdout)["exceptions"]
    assert number not in {each["reference"] for each in held}, "a dry run writes nothing"

    assert run_sweep(place.name)["type"] == "COMPLETED"
    run = latest_run(prefect_server)
    assert run["name"].startswith("sweep ")
    made = artifacts(prefect_server, run)
    assert any(key.endswith("-credit-notes-summary") for key in made)
    summary = next(each for key, each in made.items() if key.endswith("-invoices-summary"))["data"]
    assert f"{number} was deleted in ConnectWise" in summary.replace("\\", "")
    held = json.loads(place.tieout("exceptions", "--json").stdout)["exceptions"]
    assert {each["reference"]: each["reason"] for each in held}[number] == "source_deleted"

    # The same as a command; and what a person decides closes it.
    swept = json.loads(place.tieout("sync", "--sweep", "--json").stdout)
    assert number in {each["reference"] for each in swept["exceptions"]}
    taken = place.tieout("sync", "invoices", "--reference", number, "--take", "theirs", "--json")
    assert number not in {each["reference"] for each in json.loads(taken.stdout)["exceptions"]}
    assert number in {each["InvoiceNumber"] for each in place.xero.organisations[tenant].invoices(type="ACCREC")}


def test_a_sweep_that_cannot_begin_says_so_in_a_sentence(prefect_server: str, place: Place) -> None:
    told = run_sweep("nobody")
    assert told["type"] == "FAILED"
    assert "tieout setup" in told["message"]
    refused = place.tieout("sync", "--sweep", "--reference", "40001")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--sweep is of everything" in refused.stderr
