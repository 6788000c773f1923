"""The story of the MSP, as the demo plays it: every claim that it makes is true."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from deployments.lifecycle import begin, sign
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


def test_what_was_ordered_in_the_story_is_billed_as_told(tmp_path: Path) -> None:
    """Nothing while the table is unsigned, or was changed since; then each receipt once, and what is held has words."""
    world = World(tmp_path, clock=Clock(datetime(2026, 11, 22, 9, 0, tzinfo=UTC)), family="purchase_orders")
    story = load("msp", world.connectwise, world.xero)
    story.copy_tables(world.tables)
    world.tenants = story.organisations
    table = begin(world.tables, "goods_receipt")
    for place, deliveries in enumerate(story.deliveries):
        if place == 1:
            text = table.read_text(encoding="utf-8")
            for was, becomes in story.lifecycle.items():
                assert was in text
                text = text.replace(was, becomes)
            table.write_text(text, encoding="utf-8")
        if place < 2:
            assert ("has not been signed", "was changed after")[place] in world.cycle().failed
            for role, name in story.signers.items():
                sign(world.tables, world.tenants, name, role, date(2026, 11, 22))
        for each in deliveries:
            each.act(world.tables)
        told = world.outcomes(world.later().cycle())
        assert {each.number: told[each.number] for each in deliveries} == {
            each.number: each.ends for each in deliveries
        }
        held = {each["reference"]: each["message"] + each["fix"] for each in world.exceptions()}
        for each in deliveries:
            assert all(words in held[each.number] for words in each.words), held[each.number]
    bills = world.bills("Brightwater Sydney")
    assert {each["InvoiceNumber"]: (Decimal(each["SubTotal"]), each["Status"]) for each in bills} == story.bills
    assert len(bills) == len(story.bills)
