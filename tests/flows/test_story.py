"""The story of the MSP, as the demo plays it: every claim that it makes is true."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from deployments.sandbox.scenarios import load
from flows.planning import plan_of
from flows.reconciling import reconcile_families
from tests.worlds import Clock, World


def test_the_story_comes_true_from_the_first_cycle_to_the_statement(tmp_path: Path) -> None:
    """Held as told, cured as told; then edits that follow, fields that stay a person's, one that is refused."""
    world = World(tmp_path, clock=Clock(datetime(2026, 11, 22, 9, 0, tzinfo=UTC)))
    story = load("msp", world.connectwise, world.xero)
    story.copy_tables(world.tables)
    world.tenants = story.organisations
    world.cycle()
    assert {each["reference"]: each["reason"] for each in world.exceptions()} == story.expected
    for cure in story.cures:
        cure.apply(world.tables)
    assert world.later().cycle().counts["posted"] == len(story.expected)
    assert world.exceptions() == []

    assert not any(edit.stands_so for edit in story.edits)
    for edit in story.edits:
        edit.act()
    follow = {edit.number for edit in story.edits if not edit.held}
    before = world.snapshot()
    cycle = world.later().cycle(mode="plan").cycle
    assert cycle is not None and world.snapshot() == before
    assert {(each["action"], each["reference"]) for each in plan_of([cycle])["writes"]} == {
        ("update", number) for number in follow
    }
    outcomes = world.outcomes(world.cycle())
    assert {number for number, outcome in outcomes.items() if outcome == "updated"} == follow
    assert all(edit.stands_so for edit in story.edits)
    held = {each["reference"]: each for each in world.exceptions()}
    assert {number: each["reason"] for number, each in held.items()} == {
        edit.number: edit.held for edit in story.edits if edit.held
    }
    for edit in story.edits:
        for words in edit.words:
            assert words in held[edit.number]["message"] + held[edit.number]["fix"]

    (statement,) = reconcile_families(["invoices"], world.later().doors, None, None, lambda _sentence: None)
    assert statement.tied_out


def test_the_money_of_the_story_ends_equal_or_explained(tmp_path: Path) -> None:
    """Payments and credits follow once their documents are approved; what is raised, lowered and taken off, too."""
    world = World(tmp_path, clock=Clock(datetime(2026, 11, 22, 9, 0, tzinfo=UTC)))
    story = load("msp", world.connectwise, world.xero)
    story.copy_tables(world.tables)
    world.tenants = story.organisations
    for family in ("invoices", "credit_notes"):
        world.cycle(family=family)
    for cure in story.cures:
        cure.apply(world.tables)
    world.later()
    for family in ("invoices", "credit_notes"):
        world.cycle(family=family)
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    story.approve()
    told: dict[str, str] = {}
    for family in ("credit_notes", "payments"):
        told |= world.outcomes(world.later().cycle(family=family))
    expected = dict.fromkeys((*story.paid, *story.credited), "posted")
    expected |= dict.fromkeys(story.unapproved, "deferred: waits_for_approval")
    assert {number: told[number] for number in expected} == expected
    for money in story.money:
        money.act()
    for family in ("credit_notes", "payments"):
        told |= world.outcomes(world.later().cycle(family=family))
    assert {money.number: told[money.number] for money in story.money} == {
        money.number: money.ends for money in story.money
    }
    different = {number for number, (ours, theirs) in story.balances().items() if ours != theirs}
    assert different == {*story.unapproved, *(money.number for money in story.money if ":" in money.ends)}
