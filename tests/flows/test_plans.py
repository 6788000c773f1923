"""Plans: every write field by field, and a run that writes exactly that or nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.planning import plan_of
from tests.worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One invoice is posted and was edited since, one is new."""
    world = World(tmp_path).ready()
    number = world.add_invoice("40001")
    world.cycle()
    world.later().connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=3)
    world.connectwise.edit_invoice(number)
    world.add_invoice("40002")
    return world


def plan(world: World, **form: Any) -> dict[str, Any]:
    """The plan, as `tieout plan` makes it."""
    cycle = world.cycle(mode="plan", **form).cycle
    assert cycle is not None
    return plan_of([cycle])


def saved(world: World, content: dict[str, Any]) -> str:
    file = world.folder / "plan.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return str(file)


def test_an_edit_is_planned_field_by_field_with_money_and_calls(world: World) -> None:
    made = plan(world)
    edit = next(each for each in made["writes"] if each["action"] == "update")
    assert (edit["reference"], edit["total"], edit["xero_id"]) == (
        "40001",
        "495.00",
        world.invoices()["40001"]["InvoiceID"],
    )
    name = "of 'Work for 40001'"
    assert edit["fields"] == [
        {"name": f"Quantity {name}", "from": "2", "to": "3"},
        {"name": f"LineAmount {name}", "from": "300.00", "to": "450.00"},
    ]
    # The new one, and what the edit adds.
    assert made["accounts"] == [{"organisation": "Sydney", "account_code": "200", "net": "450.00", "tax": "45.00"}]
    assert made["calls"] == [{"organisation": "Sydney", "writes": 2, "reads": 2}]
    assert world.invoices().keys() == {"40001"}
    assert world.invoices()["40001"]["Total"] == Decimal("330.00")


def test_what_a_person_changed_and_keeps_is_planned_so(world: World) -> None:
    """The money moves on her account and at her tax, and nothing moves where only the header changes."""
    there = world.invoices()["40001"]
    hers = {"AccountCode": "260", "TaxType": "EXEMPTOUTPUT", "TaxAmount": None}
    world.books.edit(there["InvoiceID"], LineItems=[there["LineItems"][0] | hers])
    made = plan(world, references=["40001"])
    (edit,) = made["writes"]
    name = "of 'Work for 40001'"
    assert edit["kept"] == [
        {"name": f"AccountCode {name}", "from": "200", "to": "260"},
        {"name": f"TaxType {name}", "from": "OUTPUT", "to": "EXEMPTOUTPUT"},
    ]
    assert made["accounts"] == [{"organisation": "Sydney", "account_code": "260", "net": "150.00", "tax": "0.00"}]
    world.connectwise.edit_row("time", world.connectwise.rows("time", 39001)[0]["id"], invoiceHours=2)
    world.connectwise.edit_invoice(39001, customerPO="PO-1")
    made = plan(world, references=["40001"])
    assert [field["name"] for field in made["writes"][0]["fields"]] == ["Reference"]
    assert made["accounts"] == []


def test_a_plan_says_what_the_brake_would_hold(world: World) -> None:
    assert plan(world)["braked"] == []
    world.policy("[brake]\nolder_than_days = 0\nupdates = 1\n")
    assert plan(world)["braked"] == []
    number = world.add_invoice("40003")
    world.cycle()
    world.later().connectwise.edit_invoice(number, customerPO="PO-1")
    world.connectwise.edit_invoice(39001, customerPO="PO-2")
    assert plan(world)["braked"] == ["40001", "40003"]


def test_a_plan_is_carried_out_exactly(world: World) -> None:
    file = saved(world, plan(world))
    world.add_invoice("40003")
    summary = world.cycle(plan_file=file)
    assert not summary.failed
    assert world.outcomes(summary) == {"40001": "updated", "40002": "posted"}
    assert world.invoices().keys() == {"40001", "40002"}
    # The window was not touched by it: the next cycle comes upon the third.
    assert world.outcomes(world.later().cycle())["40003"] == "posted"


def test_an_approved_plan_releases_the_brake(world: World) -> None:
    world.policy("[brake]\nupdates = 1\n")
    number = world.add_invoice("40003")
    world.cycle()
    for each in (39001, number):
        world.later().connectwise.edit_invoice(each, customerPO=f"PO-{each}")
    assert world.cycle().counts["held"] == 2
    assert world.cycle(plan_file=saved(world, plan(world))).counts["updated"] == 2
    assert world.exceptions() == []


@pytest.mark.parametrize("side", ["ConnectWise", "Xero", "a new one", "deleted", "tables"])
def test_a_plan_is_refused_whole_when_either_side_has_moved(world: World, side: str) -> None:
    file = saved(world, plan(world))
    xero_id = world.invoices()["40001"]["InvoiceID"]
    if side == "ConnectWise":
        world.connectwise.edit_invoice(39001, customerPO="PO-9")
    elif side == "Xero":
        world.books.edit(xero_id, Reference="HERS")
    elif side == "a new one":
        world.connectwise.edit_invoice(39002, customerPO="PO-9")
    elif side == "deleted":
        world.connectwise.delete_invoice(39002)
    else:
        world.paste("accounts.csv", "Sydney,sales,service,,,260,")
    before = world.snapshot()
    summary = world.cycle(plan_file=file)
    assert summary.exit_code == 2
    assert "nothing was done" in summary.failed
    assert world.snapshot() == before
    # What ConnectWise does not show any more has no number.
    moved = {"a new one": "40002", "deleted": "id:39002", "tables": "40002, 40001"}
    assert f"({moved.get(side, '40001')})" in summary.failed


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ("not there", "cannot be read"),
        ("no JSON", "is no plan"),
        ("edited", "was edited after it was made"),
        ("empty", "nothing to write for invoices"),
    ],
)
def test_a_file_that_is_no_good_plan_is_refused_in_a_sentence(world: World, spoilt: str, words: str) -> None:
    content = plan(world)
    if spoilt == "edited":
        content["writes"][0]["total"] = "1.00"
    elif spoilt == "empty":
        world.cycle()
        content = plan(world.later())
    file = saved(world, content)
    if spoilt == "not there":
        Path(file).unlink()
    elif spoilt == "no JSON":
        Path(file).write_text("Quantity 3", encoding="utf-8")
    summary = world.cycle(plan_file=file)
    assert (summary.exit_code, words in summary.failed) == (2, True), summary.failed
