"""What ConnectWise says of an order that it does not show any more can be closed, as for every other record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.flows.test_bills_sweep import bill, sweep, three, told
from tests.worlds import World

__all__ = ["three"]


@pytest.mark.parametrize("named", ["PO1", "id:1", ""])
def test_the_exception_is_closed_for_good_when_a_person_says_that_the_bill_stays(three: World, named: str) -> None:
    three.connectwise.delete_purchase_order(1)
    sweep(three)
    assert told(three) == {"PO1": "source_deleted"}
    summary = three.later().cycle(take="theirs", references=[named] if named else [], sweep=not named)
    assert not summary.failed, summary.failed
    assert told(three) == {}
    sweep(three)
    assert told(three) == {}


def test_the_exception_is_closed_when_a_person_removes_the_bill_too(three: World) -> None:
    three.connectwise.delete_purchase_order(1)
    sweep(three)
    three.books.delete(bill(three, "PO1")["InvoiceID"])
    sweep(three)
    assert told(three) == {}


def test_of_many_orders_that_are_missing_at_once_one_exception_tells(tmp_path: Path) -> None:
    """A role that hides a location must not look like deletion (design 5)."""
    world = World(tmp_path).ready_to_buy()
    for number in range(1, 6):
        order = world.add_order(f"PO{number}")
        world.connectwise.receive_line(world.order_lines(order)[0])
    world.cycle()
    hide = world.connectwise.switches
    world.connectwise.switches = replace(hide, role_hides_locations=frozenset({11}))
    sweep(world)
    (exception,) = world.exceptions()
    assert exception["reason"] == "source_hidden"
    assert "5 of 5 posted purchase orders" in exception["message"]
    assert len(world.bills()) == 5
    world.connectwise.switches = hide
    sweep(world)
    assert world.exceptions() == []


def test_what_is_received_on_a_closed_order_without_touching_it_is_found_by_the_sweep(tmp_path: Path) -> None:
    world = World(tmp_path).ready_to_buy()
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=False)
    order = world.add_order("PO1", ("SWITCH", "10", "100"), ("CABLE", "2", "5"))
    switches, cables = world.order_lines(order)
    world.connectwise.cancel_line(switches)
    world.connectwise.close_purchase_order(order)
    world.cycle()
    world.later(days=2)
    world.connectwise.receive_line(cables)
    world.cycle()
    assert world.bills() == []
    sweep(world)
    assert [bill["SubTotal"] for bill in world.bills()] == [10]
