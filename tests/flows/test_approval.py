"""Which plans wait for a person: the rule of `[approval]` in policy.toml."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from blocks.failures import NotConfigured
from flows.approval import NotApproved, approved_now, is_asked_for, may_be_asked_for, moved
from flows.family import SyncForm, run_family
from flows.planning import Approved, digest_of
from mappings.policy import Approval
from tasks.calls import PlainCalls
from tasks.cycle import Cycle
from tests.worlds import World


def rehearsed(world: World, **form: Any) -> Cycle:
    """A dry run of the next cycle."""
    cycle = world.cycle(mode="plan", **form).cycle
    assert cycle is not None
    return cycle


def writes(cycle: Cycle) -> list[Any]:
    return [each for each in cycle.planned if hasattr(each, "document")]


@pytest.mark.parametrize(
    ("when", "first", "may"),
    [
        ("never", True, False),
        ("first_cycle", True, True),
        ("first_cycle", False, False),
        ("always", False, True),
        ("over_limit", False, True),
    ],
)
def test_a_plan_is_made_first_only_where_it_may_be_asked_for(when: Any, first: bool, may: bool) -> None:
    assert may_be_asked_for(Approval(when=when), first) is may


def test_nothing_to_write_is_nothing_to_ask() -> None:
    assert not is_asked_for(Approval(when="always"), [])
    assert not is_asked_for(Approval(when="over_limit"), [])


def test_money_is_all_of_a_new_document_and_the_difference_of_an_edit(world: World) -> None:
    number = world.add_invoice("40001")
    assert moved(writes(rehearsed(world))) == {"AUD": Decimal("330.00")}
    world.cycle()
    row = world.connectwise.rows("time", number)[0]["id"]
    world.later().connectwise.edit_row("time", row, invoiceHours=1)
    world.connectwise.edit_invoice(number)
    plan = writes(rehearsed(world))
    assert moved(plan) == {"AUD": Decimal("165.00")}
    for over, asked in (("164.99", True), ("165.00", False)):
        assert is_asked_for(Approval(when="over_limit", over=Decimal(over)), plan) is asked


def run(world: World, ask: Any) -> Any:
    """A cycle that asks."""
    return run_family("invoices", SyncForm(), world.doors, PlainCalls(), lambda _text: None, ask=ask)


def test_only_what_was_approved_is_written_and_the_rest_waits_for_the_next_plan(world: World) -> None:
    world.policy('[approval]\nwhen = "always"')
    for number in ("40001", "40002"):
        world.add_invoice(number)

    def first_only(rehearsal: Cycle, _rule: Approval) -> Approved:
        one = next(each for each in writes(rehearsal) if each.document.number == "40001")
        return {(one.document.connectwise_id, ""): digest_of(one)}

    summary = run(world, first_only)
    assert world.outcomes(summary) == {"40001": "posted", "40002": "deferred: plan_moved"}
    assert list(world.invoices()) == ["40001"]


def test_a_refused_plan_writes_nothing_and_the_next_cycle_asks_again(world: World) -> None:
    world.policy('[approval]\nwhen = "always"')
    world.add_invoice("40001")
    asked: list[int] = []

    def refuse(rehearsal: Cycle, _rule: Approval) -> Approved:
        asked.append(len(writes(rehearsal)))
        raise NotApproved("The plan was refused; nothing was written.")

    for _ in range(2):
        summary = run(world, refuse)
        assert summary.failed == "The plan was refused; nothing was written."
    assert (asked, world.invoices()) == ([1, 1], {})


def test_a_first_cycle_is_asked_about_once(world: World) -> None:
    world.policy('[approval]\nwhen = "first_cycle"')
    world.add_invoice("40001")
    asked: list[int] = []

    def agree(rehearsal: Cycle, _rule: Approval) -> Approved:
        asked.append(len(writes(rehearsal)))
        return {(each.document.connectwise_id, ""): digest_of(each) for each in writes(rehearsal)}

    run(world, agree)
    world.later().add_invoice("40002")
    run(world, agree)
    assert (asked, sorted(world.invoices())) == ([1], ["40001", "40002"])


def test_an_approved_plan_releases_the_brake(world: World) -> None:
    world.policy('[brake]\nupdates = 1\n[approval]\nwhen = "always"')
    ids = [world.add_invoice(number) for number in ("40001", "40002", "40003")]

    def agree(rehearsal: Cycle, _rule: Approval) -> Approved:
        return {(each.document.connectwise_id, ""): digest_of(each) for each in writes(rehearsal)}

    run(world, agree)
    for number in ids:
        world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    summary = run(world, agree)
    assert set(world.outcomes(summary).values()) == {"updated"}


def test_without_a_deployment_nobody_can_be_asked(world: World) -> None:
    world.add_invoice("40001")
    with pytest.raises(NotConfigured, match="has plans of invoices approved by a person"):
        approved_now(rehearsed(world), Approval(when="always"), lambda _plan: None)
