"""Purchase orders without an answer: none is made twice, and none says what is not so.

Xero refuses a number that it ever had (xero.md, section 8), so a second one of the same number cannot come about; an
order that carries another number, or is in another supplier's name, can.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
from deployments.sandbox.wire import Fault, Request
from tests.flows.sweep import FAULTS
from tests.flows.test_purchase_orders import DIRECT, placed, receive, the_first, told
from tests.worlds import LOST, TIMED_OUT, World

UNCLEAR = sorted(set(FAULTS) - {"token expired", "429 for the day", "answer lost, key forgotten"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with the full lifecycle, and the bills at the receipts."""
    world = World(tmp_path).ready_to_buy("full_lifecycle")
    world.sign(DIRECT)
    return world


def nothing_in_doubt(world: World) -> bool:
    return all(row["settled_at"] for row in [*world.rows(REQUEST_ROWS), *world.rows(REQUESTS)])


def lose_the_answer(world: World, method: str, arrives: bool = True) -> None:
    """A cycle whose write of orders gets no answer, and that cannot ask what became of it."""
    written: list[Request] = []

    def plan(request: Request, _number: int) -> Fault | None:
        if written:
            return TIMED_OUT
        if request.method == method and request.path.endswith("/PurchaseOrders"):
            written.append(request)
            return LOST if arrives else TIMED_OUT
        return None

    world.to_xero.plan = plan
    world.cycle()
    assert written
    world.to_xero.plan = lambda _request, _number: None


def settled(world: World) -> None:
    """The next cycle has settled all, and the one after it asks nothing of Xero."""
    summary = world.cycle()
    assert not summary.failed, summary.failed
    assert nothing_in_doubt(world) and told(world) == {}
    with world.later().watching() as seen:
        world.cycle()
    assert seen.xero == []


@pytest.mark.parametrize("minutes", [0, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_doubles_and_loses_nothing(world: World, arrives: bool, minutes: float) -> None:
    for number in ("PO7", "PO77"):
        world.add_order(number)
    lose_the_answer(world, "PUT", arrives)
    world.clock.advance(minutes=minutes)
    settled(world)
    assert placed(world, live=False) == [("PO7", "DRAFT", 1000), ("PO77", "DRAFT", 1000)]


@pytest.mark.parametrize("fault", UNCLEAR)
@pytest.mark.parametrize("act", ["made", "changed", "billed", "deleted"])
def test_each_unclear_answer_is_cleared_up(world: World, act: str, fault: str) -> None:
    order = world.add_order("PO7")
    if act != "made":
        world.cycle()
        world.later()
    if act == "changed":
        world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    elif act == "billed":
        receive(world, order)
    elif act == "deleted":
        world.connectwise.cancel_purchase_order(order)
    world.xero_fails("PUT" if act == "made" else "POST", "/PurchaseOrders", FAULTS[fault]())
    world.cycle()
    settled(world)
    expected: dict[str, list[Any]] = {
        "made": [("PO7", "DRAFT", 1000)],
        "changed": [("PO7", "DRAFT", 1200)],
        "billed": [("PO7", "BILLED", 1000)],
        "deleted": [],
    }
    assert placed(world) == expected[act]
    assert len(placed(world, live=False)) == 1


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("act", ["changed", "billed", "deleted"])
def test_an_update_in_doubt_is_read_again_and_decided_anew(world: World, act: str, arrives: bool) -> None:
    order = world.add_order("PO7")
    world.cycle()
    world.later()
    if act == "changed":
        world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    elif act == "billed":
        receive(world, order)
    else:
        world.connectwise.cancel_purchase_order(order)
    lose_the_answer(world, "POST", arrives)
    world.clock.advance(minutes=7)
    settled(world)
    assert placed(world) == {
        "changed": [("PO7", "DRAFT", 1200)], "billed": [("PO7", "BILLED", 1000)], "deleted": [],
    }[act]  # fmt: skip


def test_a_change_in_doubt_that_is_undone_meanwhile_is_told_and_not_forgotten(world: World) -> None:
    """ConnectWise says again what we last had an answer for, and Xero what was sent since: hers, or ours?"""
    order = world.add_order("PO7")
    world.cycle()
    line = world.order_lines(order)[0]
    world.later().connectwise.edit_order_line(line, quantity=Decimal(12))
    lose_the_answer(world, "POST")
    assert placed(world) == [("PO7", "DRAFT", 1200)]
    world.later().connectwise.edit_order_line(line, quantity=Decimal(10))
    world.cycle()
    assert told(world) == {"PO7": "edited_in_xero"}
    world.later().cycle(take="ours", references=["PO7"])
    settled(world)
    assert placed(world) == [("PO7", "DRAFT", 1000)]


def test_an_order_that_a_person_renumbers_while_it_is_in_doubt_is_known_by_what_it_says(world: World) -> None:
    world.add_order("PO7")
    lose_the_answer(world, "PUT")
    world.books.edit_purchase_order(the_first(world), PurchaseOrderNumber="STOCK-1")
    world.clock.advance(minutes=7)
    settled(world)
    assert placed(world) == [("STOCK-1", "DRAFT", 1000)]


def test_an_order_cancelled_while_it_is_in_doubt_is_deleted(world: World) -> None:
    order = world.add_order("PO7")
    lose_the_answer(world, "PUT")
    world.connectwise.cancel_purchase_order(order)
    world.clock.advance(minutes=7)
    world.cycle()
    settled(world)
    assert placed(world) == []


def test_what_is_billed_is_not_said_while_its_bill_is_in_doubt(world: World) -> None:
    order = world.add_order("PO7")
    world.cycle()
    receive(world.later(), order)
    written: list[Request] = []

    def plan(request: Request, _number: int) -> Fault | None:
        if written and "Invoices" in request.path:
            return TIMED_OUT
        if request.method == "PUT" and request.path.endswith("/Invoices"):
            written.append(request)
            return TIMED_OUT
        return None

    world.to_xero.plan = plan
    world.cycle()
    assert placed(world) == [("PO7", "DRAFT", 1000)]
    world.to_xero.plan = lambda _request, _number: None
    world.clock.advance(minutes=7)
    world.cycle()
    assert placed(world) == [("PO7", "BILLED", 1000)] and len(world.bills()) == 1


def test_a_number_that_is_taken_between_the_look_and_the_write_is_held(world: World) -> None:
    other = world.books.add_contact("Dell Australia", account_number="V-88")["ContactID"]
    line = {"Description": "Laptops", "Quantity": 1, "UnitAmount": 5000, "AccountCode": "300"}
    world.add_order("PO7")
    world.add_order("PO8")

    def plan(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT" and not world.books.purchase_orders("PO7"):
            world.books.enter_purchase_order(other, "PO7", LineItems=[line])
        return None

    world.to_xero.plan = plan
    world.cycle()
    assert told(world) == {"PO7": "number_conflict"}
    assert placed(world) == [("PO7", "DRAFT", 5000), ("PO8", "DRAFT", 1000)]
    assert len([row for row in world.rows(BINDINGS) if row["family"] == "orders"]) == 1


def test_with_a_lost_audit_orders_are_taken_over_and_none_is_doubled(world: World) -> None:
    order = world.add_order("PO7")
    world.add_order("PO8")
    world.cycle()
    (world.folder / "audit.db").unlink()
    for rest in world.folder.glob("audit.db-*"):
        rest.unlink()
    receive(world.later(), order)
    world.sign(DIRECT.replace("fully_received,update_po", "fully_received,draft_po+update_po"))
    world.cycle()
    assert placed(world) == [("PO7", "BILLED", 1000), ("PO8", "DRAFT", 1000)]
    assert len(world.bills()) == 1 and told(world) == {}
