"""The sweep of bills: what no ordinary cycle can see of orders and their bills, told by name, and nothing undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.worlds import World, answers


def sweep(world: World, **form: Any) -> dict[str, str]:
    """Run a sweep a day later; how each record ended that it has a word for."""
    summary = world.later(days=1).cycle(sweep=True, **form)
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def told(world: World) -> dict[str, str]:
    """The open exceptions: reason by reference."""
    return {each["reference"]: each["reason"] for each in world.exceptions()}


def switch(world: World, **switches: Any) -> None:
    """Throw switches of the simulated ConnectWise."""
    world.connectwise.switches = replace(world.connectwise.switches, **switches)


def bought(world: World, number: str, **fields: Any) -> int:
    """An order of which everything was received, and that is closed."""
    order = world.add_order(number, **fields)
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.connectwise.close_purchase_order(order)
    return order


def bill(world: World, number: str) -> dict[str, Any]:
    """A live bill, by its number."""
    (found,) = [each for each in world.bills() if each["InvoiceNumber"] == number]
    return found


@pytest.fixture
def three(tmp_path: Any) -> World:
    """Three closed orders with their draft bills."""
    world = World(tmp_path).ready_to_buy()
    for place in (1, 2, 3):
        bought(world, f"PO{place}", id=place)
    world.cycle()
    return world


# Nothing amiss


def test_a_sweep_of_two_sides_that_agree_writes_nothing_and_has_nothing_to_say(three: World) -> None:
    before = three.snapshot()
    with three.later().watching() as seen:
        assert sweep(three) == {}
    assert seen.xero == ["GET /Invoices"]
    assert not [call for call in seen.connectwise if not call.startswith("GET ")]
    assert (three.exceptions(), three.snapshot()) == ([], before)


# ConnectWise


@pytest.mark.parametrize("bumps", [False, True])
def test_goods_of_a_closed_order_that_were_taken_back_are_found(three: World, bumps: bool) -> None:
    switch(three, child_bumps_parent=bumps)
    three.books.approve(bill(three, "PO1")["InvoiceID"])
    before = three.snapshot()
    three.later().connectwise.unreceive_line(three.order_lines(1)[0])
    three.later().cycle()
    assert told(three) == ({"PO1": "receipt_reversed"} if bumps else {})
    sweep(three)
    assert told(three) == {"PO1": "receipt_reversed"}
    assert three.snapshot() == before


@pytest.mark.parametrize("bumps", [False, True])
def test_a_draft_from_which_a_part_was_taken_back_shrinks(three: World, bumps: bool) -> None:
    switch(three, child_bumps_parent=bumps)
    three.later().connectwise.unreceive_line(three.order_lines(1)[0], 4)
    three.later().cycle()
    assert bill(three, "PO1")["SubTotal"] == (400 if bumps else 1000)
    sweep(three)
    assert bill(three, "PO1")["SubTotal"] == 400
    assert (told(three), sweep(three)) == ({}, {})


def test_what_was_billed_long_ago_is_not_read_again(three: World) -> None:
    sweep(three.later(days=40))
    three.later(days=30)
    with three.watching() as seen:
        sweep(three)
    assert not [call for call in seen.connectwise if call.endswith("/lineitems")]


@pytest.mark.parametrize("approved", [False, True])
def test_a_deleted_order_is_held_and_its_bill_left_as_it_is(three: World, approved: bool) -> None:
    if approved:
        three.books.approve(bill(three, "PO1")["InvoiceID"])
    before = three.snapshot()
    three.connectwise.delete_purchase_order(1)
    three.later().cycle()
    assert told(three) == {}
    assert sweep(three) == {"PO1": "held: source_deleted"}
    assert sweep(three) == {"PO1": "held: source_deleted"}
    assert three.snapshot() == before


def test_an_order_of_a_location_that_the_role_hides_is_not_called_deleted(three: World) -> None:
    before = three.snapshot()
    switch(three, role_hides_locations=frozenset([11]))
    assert set(sweep(three).values()) == {"held: source_hidden"}
    assert three.snapshot() == before
    switch(three, role_hides_locations=frozenset())
    sweep(three)
    assert (told(three), three.snapshot()) == ({}, before)


# Xero


@pytest.mark.parametrize("how", ["delete", "void"])
def test_a_bill_that_a_person_removed_is_told_and_stays_so(three: World, how: str) -> None:
    first = bill(three, "PO1")["InvoiceID"]
    if how == "void":
        three.books.approve(first)
    getattr(three.books, how)(first)
    before = three.snapshot()
    three.later().cycle()
    assert told(three) == {}
    assert sweep(three) == {"PO1": "held: removed_in_xero"}
    (exception,) = three.exceptions()
    assert exception["amount"] == "1100.00"
    assert "`tieout sync purchase_orders --reference PO1 --recreate`" in exception["fix"]
    three.later().cycle()
    sweep(three)
    assert told(three) == {"PO1": "removed_in_xero"}
    assert three.snapshot() == before


def test_the_bill_of_a_receipt_is_told_under_its_own_name(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy()
    world.sign(
        "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
    )
    order = world.add_order("PO9")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    world.connectwise.receive_line(rest, slip="S2")
    world.cycle()
    world.books.delete(bill(world, "PO9 / S2")["InvoiceID"])
    sweep(world)
    (exception,) = world.exceptions()
    assert (exception["reference"], exception["part"], exception["amount"]) == ("PO9", "S2", "770.00")
    assert [each["InvoiceNumber"] for each in world.bills()] == ["PO9 / S1"]


def test_a_removed_bill_is_made_anew_when_asked_and_forgotten_when_accepted(three: World) -> None:
    for number in ("PO1", "PO2"):
        three.books.delete(bill(three, number)["InvoiceID"])
    sweep(three)
    three.later().cycle(references=["PO1"], recreate=True)
    three.later().cycle(references=["PO2"], take="theirs")
    assert told(three) == {}
    assert sorted(each["InvoiceNumber"] for each in three.bills()) == ["PO1", "PO3"]
    assert sweep(three) == {}


def test_money_that_a_person_changed_on_a_bill_is_told_until_it_is_put_right(three: World) -> None:
    first = bill(three, "PO1")
    line = first["LineItems"][1]
    hers = {"LineItemID": line["LineItemID"], "Description": "SWITCH", "Quantity": 9, "UnitAmount": 100}
    coded = {"AccountCode": line["AccountCode"], "TaxType": line["TaxType"]}
    three.books.edit(first["InvoiceID"], LineItems=[first["LineItems"][0], hers | coded])
    before = three.snapshot()
    assert sweep(three) == {"PO1": "unchanged: edited_in_xero"}
    assert "LineAmount of 'SWITCH' was changed in Xero from 1000.00 to 900.00" in three.exceptions()[0]["message"]
    three.later().cycle()
    assert three.snapshot() == before
    three.books.edit(first["InvoiceID"], LineItems=[first["LineItems"][0], hers | coded | {"Quantity": 10}])
    three.later().cycle()
    assert told(three) == {}


def test_what_a_person_may_change_on_a_bill_is_nothing_to_tell(three: World) -> None:
    first = bill(three, "PO1")
    line = {name: value for name, value in first["LineItems"][1].items() if name != "TaxAmount"}
    changed = line | {"Description": "A switch", "AccountCode": "310"}
    three.books.edit(
        first["InvoiceID"], InvoiceNumber="INV-991", DueDate="2026-04-30", LineItems=[first["LineItems"][0], changed]
    )
    assert sweep(three) == {}


def test_a_bill_dated_before_the_start_date_is_looked_at_too(three: World) -> None:
    three.connectwise.enter_vendor_invoice(1, "V-1", three.clock().date().replace(year=2025))
    three.later().cycle(allow_many=True)
    (early,) = [each for each in three.bills() if "V-1" in each["InvoiceNumber"]]
    assert str(early["DateString"]).startswith("2025")
    three.books.delete(early["InvoiceID"])
    sweep(three)
    assert told(three) == {"PO1": "removed_in_xero"}


def test_bills_that_xero_does_not_show_are_one_exception_where_they_are_many(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy()
    for place in range(8):
        bought(world, f"PO{place}")
    world.cycle()
    before = world.snapshot()
    nothing = answers(200, b'{"Invoices": []}')
    world.to_xero.plan = lambda request, _number: nothing if request.path.endswith("/Invoices") else None
    assert sweep(world) == {}
    (exception,) = world.exceptions()
    assert (exception["reason"], exception["value"]) == ("source_hidden", "8 of 8")
    world.to_xero.plan = lambda _request, _number: None
    sweep(world)
    assert (told(world), world.snapshot()) == ({}, before)


def test_many_orders_that_connectwise_does_not_show_change_nothing(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy()
    for place in range(8):
        bought(world, f"PO{place}")
    world.cycle()
    before = world.snapshot()
    switch(world, role_hides_locations=frozenset([11]))
    sweep(world)
    assert set(told(world).values()) == {"source_hidden"}
    assert world.snapshot() == before


def test_a_dry_run_of_a_sweep_tells_the_same_and_keeps_nothing(three: World) -> None:
    three.books.delete(bill(three, "PO1")["InvoiceID"])
    summary = three.later(days=1).cycle(sweep=True, mode="plan")
    assert not summary.failed and summary.cycle is not None
    assert [(each.reference, str(each.reason)) for each in summary.cycle.told if each.reason] == [
        ("PO1", "removed_in_xero")
    ]
    assert three.exceptions() == []


@pytest.mark.parametrize("gone", ["order", "bill", "money", "receipt"])
def test_a_sweep_never_writes_to_either_system(three: World, gone: str) -> None:
    """Whatever is missing or was changed, but for drafts that follow what was taken back."""
    first = bill(three, "PO1")
    three.books.approve(first["InvoiceID"])
    match gone:
        case "order":
            three.connectwise.delete_purchase_order(1)
        case "bill":
            three.books.void(first["InvoiceID"])
        case "money":
            three.books.edit(first["InvoiceID"], Date=three.clock().date().replace(day=1))
        case "receipt":
            three.connectwise.unreceive_line(three.order_lines(1)[0])
    with three.later().watching() as seen:
        sweep(three)
        sweep(three)
    assert len(told(three)) == 1
    assert {call.split()[0] for call in (*seen.connectwise, *seen.xero)} == {"GET"}
