"""Purchase orders themselves in Xero: raised, followed, approved, billed and deleted, and never anybody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit import mailed
from blocks.audit.tables import BINDINGS, OUTCOMES
from flows.planning import plan_of
from mappings.lifecycle import PRESETS, read_lifecycle
from tasks.reports import outcome_row
from tests.worlds import OTHER_TENANT, World, answers

HEAD = "organisation,state,event,status\n"
DIRECT = (
    HEAD + ",raised,draft_po,\n,partially_received,update_po+bill_per_receipt,draft\n"
    ",fully_received,update_po+bill_per_receipt,draft\n,cancelled,delete_po,\n,reversed,hold,\n"
)
"""As full_lifecycle, with the bills at the receipts."""


@pytest.fixture
def world(tmp_path: Any) -> World:
    """A world that buys, with everything of the full lifecycle."""
    return World(tmp_path).ready_to_buy("full_lifecycle")


@pytest.fixture
def direct(world: World) -> World:
    """The same with the bills at the receipts."""
    world.sign(DIRECT)
    return world


def said(world: World, **cycle: Any) -> dict[str, int]:
    """Run a cycle; how many records ended how."""
    summary = world.cycle(**cycle)
    assert not summary.failed, summary.failed
    return {name: count for name, count in summary.counts.items() if count}


def placed(world: World, live: bool = True) -> list[tuple[str, str, Any]]:
    """Number, status and total before tax of the orders in Xero, by number."""
    return [
        (each["PurchaseOrderNumber"], each["Status"], Decimal(str(each["SubTotal"])))
        for each in world.books.purchase_orders(live=live)
    ]


def the_order(world: World) -> dict[str, Any]:
    """The one live order in Xero."""
    (order,) = world.books.purchase_orders()
    return order


def told(world: World) -> dict[str, str]:
    """The reason of each open exception, by reference."""
    return {row["reference"]: row["reason"] for row in world.exceptions()}


def receive(world: World, order: int, slip: str = "S1") -> None:
    """Receive everything that is left of an order."""
    for line in world.order_lines(order):
        if world.connectwise.record("purchase_order_line", line)["receivedStatus"] == "Waiting":
            world.connectwise.receive_line(line, slip=slip)


def vendor(world: World) -> str:
    """The supplier's contact in Xero."""
    return str(next(iter(world.books.contacts.find("name", "netgear distribution"))).contact_id)


# Raised


def test_an_order_that_is_raised_becomes_a_draft_with_what_is_ordered(world: World) -> None:
    order = world.add_order("PO7", ("SWITCH", "10", "100"), ("CABLE", "4", "2.505"), vendorOrderNumber="SO-55")
    first, second = world.order_lines(order)
    world.connectwise.edit_order_line(first, expectedShipDate=date(2026, 3, 9))
    world.connectwise.edit_order_line(second, expectedShipDate=date(2026, 3, 20), expectedArrivalDate=date(2026, 3, 24))
    assert said(world) == {"read": 1, "posted": 1}
    made = the_order(world)
    assert (made["PurchaseOrderNumber"], made["Reference"], made["Status"]) == ("PO7", "SO-55", "DRAFT")
    assert (made["DateString"][:10], made["DeliveryDateString"][:10]) == ("2026-03-02", "2026-03-24")
    assert (made["Contact"]["Name"], made["CurrencyCode"]) == ("Netgear Distribution", "AUD")
    assert [
        (line["Description"], line["Quantity"], line["UnitAmount"], line["AccountCode"], line["TaxType"])
        for line in made["LineItems"]
    ] == [("SWITCH", 10, 100, "300", "INPUT"), ("CABLE", 4, Decimal("2.505"), "300", "INPUT")]
    assert (made["SubTotal"], made["TotalTax"]) == (Decimal("1010.02"), Decimal("101.00"))
    assert world.bills() == []
    with world.watching() as seen:
        assert said(world.later()) == {"read": 1, "unchanged": 1}
    assert seen.xero == []


def test_without_a_known_day_an_order_has_no_delivery_date(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    assert "DeliveryDate" not in the_order(world)
    world.connectwise.edit_order_line(world.order_lines(order)[0], expectedShipDate=date(2026, 3, 9))
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert the_order(world)["DeliveryDateString"][:10] == "2026-03-09"


def test_an_order_without_lines_waits_for_them_without_a_word(world: World) -> None:
    order = world.add_order("PO7", lines=[])
    assert said(world) == {"read": 1, "skipped": 1}
    world.connectwise.add_order_line(order, product="SWITCH", quantity=Decimal(2), unitCost=Decimal(100))
    assert said(world.later()) == {"read": 1, "posted": 1}
    for line in world.order_lines(order):
        world.connectwise.delete_order_line(line)
    said(world.later())
    assert told(world) == {"PO7": "lines_incomplete"}
    assert placed(world) == [("PO7", "DRAFT", 200)]


def test_a_draft_follows_quantity_price_vendor_date_and_reference(world: World) -> None:
    world.add_vendor("DELL", "Dell Australia", "V-88")
    order = world.add_order("PO7")
    said(world)
    line = world.order_lines(order)[0]
    ids = [each["LineItemID"] for each in the_order(world)["LineItems"]]
    world.connectwise.edit_order_line(line, quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert placed(world) == [("PO7", "DRAFT", 1200)]
    assert [each["LineItemID"] for each in the_order(world)["LineItems"]] == ids
    world.connectwise.edit_order_line(line, unitCost=Decimal(90))
    world.connectwise.edit_purchase_order(
        order, vendorCompany="DELL", poDate=date(2026, 2, 27), vendorOrderNumber="SO-9"
    )
    assert said(world.later()) == {"read": 1, "updated": 1}
    made = the_order(world)
    assert (made["SubTotal"], made["Contact"]["Name"], made["DateString"][:10], made["Reference"]) == (
        1080, "Dell Australia", "2026-02-27", "SO-9",
    )  # fmt: skip


def test_a_receipt_in_parts_doubles_nothing_on_the_order(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    said(world.later())
    assert placed(world) == [("PO7", "DRAFT", 1000)]


def test_a_cancelled_line_leaves_the_order(world: World) -> None:
    order = world.add_order("PO7", ("SWITCH", "10", "100"), ("CABLE", "4", "2.50"))
    said(world)
    world.connectwise.cancel_line(world.order_lines(order)[1])
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert placed(world) == [("PO7", "DRAFT", 1000)]


def test_an_order_first_seen_after_its_receipt_is_not_made_where_only_updates_fire(direct: World) -> None:
    order = direct.add_order("PO7")
    receive(direct, order)
    assert said(direct) == {"read": 1, "posted": 1}
    assert (placed(direct), len(direct.bills())) == ([], 1)


def test_the_number_is_made_by_the_template(world: World) -> None:
    world.policy('[families]\npurchase_orders = "on"\n[purchases]\npurchase_order_number = "MSP-{po_number}"')
    world.add_order("PO7")
    said(world)
    assert [number for number, _, _ in placed(world)] == ["MSP-PO7"]


def test_a_lock_date_does_not_stop_a_purchase_order(world: World) -> None:
    world.books.set_lock_date(date(2026, 3, 31))
    order = world.add_order("PO7")
    assert said(world) == {"read": 1, "posted": 1}
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(2))
    assert said(world.later()) == {"read": 1, "updated": 1}


def test_a_foreign_order_has_its_rate(world: World) -> None:
    world.connectwise.add_currency("NZD")
    world.books.add_currency("NZD")
    world.policy('[families]\npurchase_orders = "on"\n[currency]\nsource = "rates_table"')
    world.add_order("PO7", currency="NZD")
    said(world)
    assert told(world) == {"PO7": "missing_rate"}
    world.write("rates.csv", "currency,base,date,rate\nNZD,AUD,2026-03-01,1.08\n")
    assert said(world.later())["posted"] == 1
    assert (the_order(world)["CurrencyCode"], the_order(world)["CurrencyRate"]) == ("NZD", Decimal("1.08"))


def test_an_order_that_moves_to_another_organisation_is_held(world: World) -> None:
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT).add_contact("Netgear Distribution", account_number="V-77")
    world.paste("organisations.csv", "Perth,,,,,Perth")
    order = world.add_order("PO7")
    said(world)
    world.connectwise.edit_purchase_order(order, location="Perth")
    said(world.later())
    assert told(world) == {"PO7": "organisation_changed"}
    assert len(placed(world)) == 1
    assert world.xero.organisations[OTHER_TENANT].purchase_orders() == []


def test_a_missing_row_holds_the_order_and_the_next_cycle_posts_it(world: World) -> None:
    accounts = (world.tables / "accounts.csv").read_text()
    world.write("accounts.csv", accounts.replace(",purchases,product,,,300,\n", ""))
    world.add_order("PO7")
    assert said(world) == {"read": 1, "held": 1}
    assert told(world) == {"PO7": "missing_account"}
    world.write("accounts.csv", accounts)
    assert said(world.later()) == {"read": 1, "posted": 1}
    assert told(world) == {}


def test_what_waited_as_raised_waits_no_more_once_only_updates_fire(world: World) -> None:
    accounts = (world.tables / "accounts.csv").read_text()
    world.write("accounts.csv", accounts.replace(",purchases,product,,,300,\n", ""))
    order = world.add_order("PO7")
    said(world)
    world.write("accounts.csv", accounts)
    receive(world, order)
    said(world.later())
    assert (placed(world), told(world)) == ([], {})


# What people do in Xero


def test_what_a_person_changed_stays_and_the_rest_follows(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.edit_purchase_order(the_order(world)["PurchaseOrderID"], Reference="call first")
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert (the_order(world)["Reference"], the_order(world)["SubTotal"]) == ("call first", 1200)


@pytest.mark.parametrize(("take", "left"), [("ours", 1200), ("theirs", 1100)])
def test_a_price_that_both_changed_is_held_until_somebody_decides(world: World, take: str, left: int) -> None:
    order = world.add_order("PO7")
    said(world)
    made = the_order(world)
    lines = [dict(each) | {"UnitAmount": 110, "LineAmount": 1100} for each in made["LineItems"]]
    for line in lines:
        line.pop("TaxAmount")
    world.books.edit_purchase_order(made["PurchaseOrderID"], LineItems=lines)
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "held": 1}
    (exception,) = world.exceptions()
    assert exception["reason"] == "edited_in_xero"
    assert "1100.00 in Xero" in exception["message"] and "1200.00 in ConnectWise" in exception["message"]
    said(world.later(), take=take, references=["PO7"])
    assert placed(world) == [("PO7", "DRAFT", left)]
    assert told(world) == {}


@pytest.mark.parametrize("status", ["SUBMITTED", "AUTHORISED"])
def test_the_status_that_a_person_gave_is_never_set_back(world: World, status: str) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.edit_purchase_order(the_order(world)["PurchaseOrderID"], Status=status)
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert placed(world) == [("PO7", status, 1200)]


def test_a_billed_order_that_changes_is_held_with_both_values(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    made = the_order(world)["PurchaseOrderID"]
    world.books.approve_purchase_order(made)
    world.books.mark_as_billed(made)
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "held": 1}
    (exception,) = world.exceptions()
    assert exception["reason"] == "billed_in_xero"
    assert "1100.00 AUD" in exception["message"] and "1320.00 AUD" in exception["message"]
    assert placed(world) == [("PO7", "BILLED", 1000)]
    said(world.later(), take="theirs", references=["PO7"])
    assert told(world) == {}
    assert said(world.later()) == {"read": 1, "unchanged": 1}


def test_a_deleted_order_stays_deleted_and_its_number_is_burnt(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.delete_purchase_order(the_order(world)["PurchaseOrderID"])
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    said(world.later())
    assert told(world) == {"PO7": "removed_in_xero"}
    with world.watching() as seen:
        said(world.later(), recreate=True, references=["PO7"])
    assert not [call for call in seen.xero if call.startswith(("PUT", "POST"))]
    (exception,) = world.exceptions()
    assert exception["reason"] == "number_conflict"
    assert "never frees" in exception["fix"]
    world.connectwise.edit_purchase_order(order, poNumber="PO7B")
    said(world.later(), recreate=True, references=["PO7B"])
    assert placed(world) == [("PO7B", "DRAFT", 1200)]
    assert told(world) == {}


def test_a_sweep_finds_what_people_changed_and_deleted(world: World) -> None:
    for number in ("PO1", "PO2", "PO3"):
        world.add_order(number)
    said(world)
    one, two, _ = world.books.purchase_orders()
    world.books.delete_purchase_order(one["PurchaseOrderID"])
    lines = [dict(each) | {"UnitAmount": 110, "LineAmount": 1100} for each in two["LineItems"]]
    for line in lines:
        line.pop("TaxAmount")
    world.books.edit_purchase_order(two["PurchaseOrderID"], LineItems=lines)
    said(world.later())
    assert told(world) == {}
    said(world.later(), sweep=True)
    assert told(world) == {"PO1": "removed_in_xero", "PO2": "edited_in_xero"}
    said(world.later(), take="theirs", references=["PO1", "PO2"])
    said(world.later(), sweep=True)
    assert "PO2" not in told(world)


def test_an_order_that_is_deleted_in_connectwise_is_told_and_left(world: World) -> None:
    orders = [world.add_order(f"PO{number}") for number in range(1, 5)]
    said(world)
    world.connectwise.delete_purchase_order(orders[0])
    said(world.later())
    assert told(world) == {"PO1": "source_deleted"}
    assert len(placed(world)) == 4
    world.books.delete_purchase_order(the_first(world))
    said(world.later(), sweep=True)
    assert told(world) == {}


def the_first(world: World) -> str:
    """The id of the first live order in Xero."""
    return str(world.books.purchase_orders()[0]["PurchaseOrderID"])


# Looked for before it is made


def test_another_suppliers_order_with_the_number_is_never_written_to(world: World) -> None:
    other = world.books.add_contact("Dell Australia", account_number="V-88")["ContactID"]
    line = {"Description": "Laptops", "Quantity": 1, "UnitAmount": 5000, "AccountCode": "300"}
    theirs = world.books.enter_purchase_order(other, "PO7", LineItems=[line])
    world.add_order("PO7")
    for form in ({}, {"take": "ours", "references": ["PO7"]}, {"take": "theirs", "references": ["PO7"]}):
        with world.watching() as seen:
            said(world.later(), **form)
        assert not [call for call in seen.xero if call.startswith(("PUT", "POST"))]
        assert told(world) == {"PO7": "number_conflict"}
    assert the_order(world) == world.books.purchase_order(theirs["PurchaseOrderID"]) == theirs
    world.books.edit_purchase_order(theirs["PurchaseOrderID"], PurchaseOrderNumber="DELL-1")
    assert said(world.later()) == {"read": 1, "posted": 1}


def test_a_burnt_number_is_held_without_sending_anything(world: World) -> None:
    mine = vendor(world)
    line = {"Description": "SWITCH", "Quantity": 10, "UnitAmount": 100, "AccountCode": "300"}
    dead = world.books.enter_purchase_order(mine, "PO7", LineItems=[line])
    world.books.delete_purchase_order(dead["PurchaseOrderID"])
    order = world.add_order("PO7")
    with world.watching() as seen:
        said(world)
    assert not [call for call in seen.xero if call.startswith(("PUT", "POST"))]
    (exception,) = world.exceptions()
    assert exception["reason"] == "number_conflict" and "another number" in exception["fix"]
    world.connectwise.edit_purchase_order(order, poNumber="PO7B")
    assert said(world.later()) == {"read": 1, "posted": 1}


def test_what_a_person_keyed_is_taken_over_when_it_agrees(world: World) -> None:
    mine = vendor(world)
    line = {"Description": "Switches", "Quantity": 10, "UnitAmount": 100, "AccountCode": "300", "TaxType": "INPUT"}
    world.books.enter_purchase_order(mine, "po7", LineItems=[line], Date="2026-03-02")
    order = world.add_order("PO7")
    with world.watching() as seen:
        assert said(world) == {"read": 1, "unchanged": 1}
    assert not [call for call in seen.xero if call.startswith(("PUT", "POST"))]
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert [(status, total) for _, status, total in placed(world)] == [("DRAFT", 1200)]


def test_what_a_person_keyed_otherwise_waits_for_her(world: World) -> None:
    mine = vendor(world)
    line = {"Description": "Switches", "Quantity": 9, "UnitAmount": 100, "AccountCode": "300", "TaxType": "INPUT"}
    world.books.enter_purchase_order(mine, "PO7", LineItems=[line], Date="2026-03-02")
    world.add_order("PO7")
    said(world)
    assert told(world) == {"PO7": "number_conflict"}
    said(world.later(), take="ours", references=["PO7"])
    assert (placed(world), told(world)) == ([("PO7", "DRAFT", 1000)], {})


def test_two_orders_with_one_number_in_connectwise_make_one_in_xero(world: World) -> None:
    world.connectwise.switches = replace(world.connectwise.switches)
    world.add_order("PO7")
    said(world)
    world.add_order("PO7", ("CABLE", "4", "2.50"))
    said(world.later())
    assert told(world) == {"PO7": "number_conflict"}
    assert placed(world) == [("PO7", "DRAFT", 1000)]


def test_many_new_orders_cost_one_look_and_a_write_for_each_fifty(world: World) -> None:
    orders = [world.add_order(f"PO{number}") for number in range(60)]
    with world.watching() as seen:
        assert said(world) == {"read": 60, "posted": 60}
    assert [call for call in seen.xero if "PurchaseOrders" in call] == [
        "GET /PurchaseOrders",
        "PUT /PurchaseOrders",
        "PUT /PurchaseOrders",
    ]
    for order in orders[:20]:
        world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(2))
    with world.watching() as seen:
        assert said(world.later()) == {"read": 60, "unchanged": 40, "updated": 20}
    assert seen.xero == ["GET /PurchaseOrders", "POST /PurchaseOrders"]


def test_a_new_number_is_written_when_it_is_free_and_held_when_it_is_taken(world: World) -> None:
    order = world.add_order("PO7")
    world.add_order("PO9")
    said(world)
    world.connectwise.edit_purchase_order(order, poNumber="PO8")
    assert said(world.later())["updated"] == 1
    assert [number for number, _, _ in placed(world)] == ["PO8", "PO9"]
    burnt = world.books.purchase_orders("PO9")[0]
    world.books.delete_purchase_order(burnt["PurchaseOrderID"])
    world.connectwise.edit_purchase_order(order, poNumber="PO9")
    said(world.later())
    assert "number_conflict" in {row["reason"] for row in world.exceptions()}
    assert [number for number, _, _ in placed(world)] == ["PO8"]


# Approved, billed, deleted


def test_where_approval_stands_beside_it_an_order_is_made_approved(world: World) -> None:
    world.sign(HEAD + ",raised,draft_po+approve_po,\n")
    world.add_order("PO7")
    said(world)
    assert placed(world) == [("PO7", "AUTHORISED", 1000)]


def test_a_row_that_approves_approves_the_draft_that_is_there(world: World) -> None:
    world.sign(HEAD + ",raised,draft_po,\n,partially_received,approve_po,\n")
    order = world.add_order("PO7")
    said(world)
    world.connectwise.receive_part(world.order_lines(order)[0], 3)
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert placed(world) == [("PO7", "AUTHORISED", 1000)]
    assert said(world.later()) == {"read": 1, "unchanged": 1}


def test_a_draft_that_is_taken_over_is_approved_in_the_same_cycle(world: World) -> None:
    world.sign(HEAD + ",raised,draft_po+approve_po,\n")
    mine = vendor(world)
    line = {"Description": "Switches", "Quantity": 10, "UnitAmount": 100, "AccountCode": "300", "TaxType": "INPUT"}
    world.books.enter_purchase_order(mine, "PO7", LineItems=[line], Date="2026-03-02")
    world.add_order("PO7")
    assert said(world) == {"read": 1, "updated": 1}
    assert placed(world) == [("PO7", "AUTHORISED", 1000)]


def test_an_order_says_billed_when_its_last_receipt_is_billed_and_not_before(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    said(world.later())
    assert placed(world) == [("PO7", "DRAFT", 1000)]
    receive(world, order, "S2")
    with world.watching() as seen:
        assert said(world.later()) == {"read": 3, "posted": 1, "updated": 1, "unchanged": 1}
    assert [call for call in seen.xero if call.startswith(("PUT", "POST"))] == ["PUT /Invoices", "POST /PurchaseOrders"]
    assert placed(world) == [("PO7", "BILLED", 1000)]
    with world.watching() as seen:
        assert said(world.later()) == {"read": 1, "unchanged": 1}
    assert seen.xero == []


def test_a_change_and_the_last_bill_in_one_cycle_are_one_outcome(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    world.connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    receive(world, order)
    assert said(world.later()) == {"read": 2, "posted": 1, "updated": 1}
    assert placed(world) == [("PO7", "BILLED", 900)]


def test_an_order_is_not_billed_while_its_bill_is_not_there(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    receive(world, order)
    world.xero_fails("PUT", "/Invoices", answers(400, b'{"Message": "no"}'))
    said(world.later())
    assert (placed(world), world.bills()) == ([("PO7", "DRAFT", 1000)], [])
    said(world.later(days=2))
    assert (placed(world), len(world.bills())) == ([("PO7", "BILLED", 1000)], 1)


def test_an_order_is_not_billed_while_a_bill_of_it_waits_or_was_removed(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    said(world.later())
    world.books.delete(world.bills()[0]["InvoiceID"])
    receive(world, order, "S2")
    said(world.later())
    assert placed(world) == [("PO7", "DRAFT", 1000)]
    said(world.later(), recreate=True, sweep=True)
    said(world.later(), recreate=True, references=["PO7"])
    assert placed(world) == [("PO7", "BILLED", 1000)]


def test_a_held_order_never_stops_its_bills(direct: World) -> None:
    world = direct
    other = world.books.add_contact("Dell Australia", account_number="V-88")["ContactID"]
    line = {"Description": "Laptops", "Quantity": 1, "UnitAmount": 5000, "AccountCode": "300"}
    world.books.enter_purchase_order(other, "PO7", LineItems=[line])
    world.sign(DIRECT.replace("fully_received,update_po", "fully_received,draft_po"))
    order = world.add_order("PO7")
    receive(world, order)
    assert said(world) == {"read": 2, "held": 1, "posted": 1}
    assert [(bill["InvoiceNumber"], bill["SubTotal"]) for bill in world.bills()] == [("PO7 / S1", 1000)]


def test_an_order_that_xero_refuses_never_stops_its_bills(direct: World) -> None:
    world = direct
    world.sign(DIRECT.replace("fully_received,update_po", "fully_received,draft_po"))
    order = world.add_order("PO7")
    receive(world, order)
    world.xero_fails("PUT", "/PurchaseOrders", answers(400, b'{"Message": "no"}'))
    assert said(world) == {"read": 2, "rejected": 1, "posted": 1}
    said(world.later(days=2))
    assert placed(world) == [("PO7", "BILLED", 1000)]


def test_what_xero_asks_for_with_an_update_is_sent(direct: World) -> None:
    world = direct
    world.xero.switches = replace(world.xero.switches, order_update_needs_contact=True)
    order = world.add_order("PO7")
    said(world)
    world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(2))
    assert said(world.later()) == {"read": 1, "updated": 1}
    receive(world, order)
    said(world.later())
    assert placed(world) == [("PO7", "BILLED", 200)]


def test_a_draft_that_xero_does_not_let_be_billed_waits_for_its_approval(direct: World) -> None:
    world = direct
    world.xero.switches = replace(world.xero.switches, unapproved_order_billable=False)
    order = world.add_order("PO7")
    said(world)
    receive(world, order)
    said(world.later())
    assert told(world) == {"PO7": "refused_by_xero"}
    world.books.approve_purchase_order(the_first(world))
    said(world.later(days=2))
    assert (placed(world), told(world)) == ([("PO7", "BILLED", 1000)], {})


def test_a_cancelled_order_is_deleted_and_frees_its_number(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    made = the_first(world)
    world.connectwise.cancel_purchase_order(order)
    assert said(world.later()) == {"read": 1, "updated": 1}
    (dead,) = placed(world, live=False)
    assert dead == (f"PO7-VOID-{order}-{made[:8]}", "DELETED", 1000)
    row = next(row for row in world.rows(OUTCOMES) if row["outcome"] == "updated")
    assert "was deleted" in row["message"] and "cancelled,delete_po" in row["rows_used"]
    world.later(days=3)
    with world.watching() as seen:
        said(world)
    assert seen.xero == []
    world.add_order("PO7", ("CABLE", "4", "2.50"))
    assert said(world.later())["posted"] == 1
    assert placed(world) == [("PO7", "DRAFT", 10)]


def test_a_reopened_order_is_made_anew_under_its_own_number_and_cancelled_again(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    world.connectwise.reopen_purchase_order(order)
    said(world.later())
    assert placed(world) == [("PO7", "DRAFT", 1000)]
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    dead = [number for number, _, _ in placed(world, live=False)]
    assert len(set(dead)) == 2 and all(number.startswith(f"PO7-VOID-{order}-") for number in dead)
    assert placed(world) == []


@pytest.mark.parametrize("status", ["SUBMITTED", "AUTHORISED"])
def test_a_status_that_people_gave_does_not_keep_a_cancelled_order(world: World, status: str) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.edit_purchase_order(the_first(world), Status=status)
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert placed(world) == []


def test_a_cancelled_order_that_is_billed_in_xero_is_held(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.approve_purchase_order(the_first(world))
    world.books.mark_as_billed(the_first(world))
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert told(world) == {"PO7": "billed_in_xero"}
    said(world.later(), take="ours", references=["PO7"])
    assert placed(world) == [("PO7", "BILLED", 1000)]
    said(world.later(), take="theirs", references=["PO7"])
    assert (placed(world), told(world)) == ([("PO7", "BILLED", 1000)], {})


@pytest.mark.parametrize(("take", "left"), [("ours", 0), ("theirs", 1)])
def test_a_cancelled_order_that_a_person_edited_is_held(world: World, take: str, left: int) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.edit_purchase_order(the_first(world), Reference="keep for stock")
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert told(world) == {"PO7": "edited_in_xero"}
    assert len(placed(world)) == 1
    said(world.later(), take=take, references=["PO7"])
    assert (len(placed(world)), told(world)) == (left, {})


def test_a_cancelled_order_that_a_person_deleted_already_is_done(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.books.delete_purchase_order(the_first(world))
    world.connectwise.cancel_purchase_order(order)
    assert said(world.later()) == {"read": 1, "unchanged": 1}
    world.connectwise.reopen_purchase_order(order)
    said(world.later())
    assert told(world) == {"PO7": "removed_in_xero"}


def test_nothing_is_deleted_because_a_table_no_longer_covers_it(world: World) -> None:
    """The deletion needs none of the tables; but one that is not signed does nothing."""
    order = world.add_order("PO7")
    said(world)
    world.write("accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n")
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert (placed(world), told(world)) == ([], {})


def test_what_the_table_holds_is_left_alone(world: World) -> None:
    order = world.add_order("PO7")
    said(world)
    world.sign(PRESETS["full_lifecycle"].replace("cancelled,delete_po", "cancelled,hold"))
    world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert told(world) == {"PO7": "lifecycle_hold"}
    assert placed(world) == [("PO7", "DRAFT", 1000)]


# Bills that are made from it


@pytest.mark.parametrize("template", ["{po_number}", "MSP-{po_number}"])
def test_a_bill_that_a_person_copied_from_the_order_is_taken_over(direct: World, template: str) -> None:
    world = direct
    world.policy(f'[families]\npurchase_orders = "on"\n[purchases]\npurchase_order_number = "{template}"')
    order = world.add_order("PO7")
    said(world)
    world.books.approve_purchase_order(the_first(world))
    world.books.copy_to_bill(the_first(world))
    receive(world, order)
    said(world.later())
    (bill,) = world.bills()
    assert bill["InvoiceNumber"] == template.format(po_number="PO7")
    assert told(world) == {}
    assert {row["family"] for row in world.rows(BINDINGS)} == {"orders", "bills"}


def test_a_bill_copied_from_an_order_that_was_renumbered_by_hand_is_taken_over(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    world.books.edit_purchase_order(the_first(world), PurchaseOrderNumber="STOCK-1")
    world.books.approve_purchase_order(the_first(world))
    world.books.copy_to_bill(the_first(world))
    receive(world, order)
    said(world.later())
    assert [bill["InvoiceNumber"] for bill in world.bills()] == ["STOCK-1"]


def test_a_copied_bill_of_the_whole_order_beside_a_part_receipt_is_held(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    world.books.approve_purchase_order(the_first(world))
    world.books.copy_to_bill(the_first(world), mark_billed=False)
    world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    said(world.later())
    assert told(world) == {"PO7": "adopted_differs"}
    assert len(world.bills()) == 1


# Plans, outcomes, the brake


def test_a_dry_run_shows_every_write_and_a_real_run_makes_just_those(direct: World, tmp_path: Any) -> None:
    world = direct
    changed, gone, done = (world.add_order(number) for number in ("PO1", "PO2", "PO3"))
    said(world)
    world.connectwise.edit_order_line(world.order_lines(changed)[0], quantity=Decimal(2))
    world.connectwise.cancel_purchase_order(gone)
    receive(world, done)
    world.add_order("PO4")
    before = world.later().snapshot()
    summary = world.cycle(mode="plan")
    assert summary.cycle is not None
    plan = plan_of([summary.cycle])
    writes = {(each["reference"], each["document"], each["action"]): each for each in plan["writes"]}
    assert set(writes) == {
        ("PO1", "purchase_order", "update"),
        ("PO2", "purchase_order", "delete"),
        ("PO3", "bill", "create"),
        ("PO3", "purchase_order", "update"),
        ("PO4", "purchase_order", "create"),
    }
    billed = writes["PO3", "purchase_order", "update"]
    assert billed["fields"] == [{"name": "Status", "from": "DRAFT", "to": "BILLED"}]
    assert billed["family"] == "purchase_orders" and billed["connectwise_id"] == done
    assert {each["account_code"]: each["net"] for each in plan["accounts"]} == {"300": "1000.00"}
    assert world.snapshot() == before
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    assert said(world, plan_file=str(file)) == {"read": 5, "posted": 2, "updated": 3}
    assert placed(world) == [("PO1", "DRAFT", 200), ("PO3", "BILLED", 1000), ("PO4", "DRAFT", 1000)]


def test_a_plan_tells_an_order_from_a_bill_with_the_same_number(direct: World, tmp_path: Any) -> None:
    """The first bill of order 1 is kept as 1001; so is the document of order 1001."""
    world = direct
    first = world.add_order("PO1", id=1)
    world.add_order("PO1001", id=1001)
    receive(world, first)
    summary = world.cycle(mode="plan")
    assert summary.cycle is not None
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_of([summary.cycle])))
    said(world, plan_file=str(file))
    assert (len(world.bills()), placed(world)) == (1, [("PO1001", "DRAFT", 1000)])


def test_every_outcome_has_its_row_its_hash_and_its_page(world: World) -> None:
    world.add_order("PO7")
    said(world)
    (row,) = world.rows(OUTCOMES)
    digest = read_lifecycle((world.tables / "lifecycle.csv").read_bytes()).digest
    assert "raised,draft_po" in row["rows_used"] and digest in row["rows_used"]
    assert f"/Accounts/Payable/PurchaseOrders/Edit/{the_first(world)}/" in row["xero_url"]
    assert (row["family"], row["outcome"], row["amount"]) == ("orders", "posted", "1100.00")


def test_more_changes_than_the_brake_allows_wait_and_what_is_billed_does_not(direct: World) -> None:
    world = direct
    world.policy('[families]\npurchase_orders = "on"\n[brake]\nupdates = 3')
    orders = [world.add_order(f"PO{number}") for number in range(8)]
    said(world)
    for order in orders[:4]:
        world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(2))
    for order in orders[4:]:
        receive(world, order)
    said(world.later())
    assert set(told(world).values()) == {"brake"} and len(told(world)) == 4
    assert [status for _, status, _ in placed(world)] == ["DRAFT"] * 4 + ["BILLED"] * 4
    said(world.later(), allow_many=True)
    assert [total for _, _, total in placed(world)] == [200] * 4 + [1000] * 4


def test_many_cancelled_at_once_are_stopped_by_the_brake(world: World) -> None:
    world.policy('[families]\npurchase_orders = "on"\n[brake]\nupdates = 3')
    orders = [world.add_order(f"PO{number}") for number in range(4)]
    said(world)
    for order in orders:
        world.connectwise.cancel_purchase_order(order)
    said(world.later())
    assert (len(placed(world)), set(told(world).values())) == (4, {"brake"})
    said(world.later(), allow_many=True)
    assert placed(world) == []


# Another lifecycle in mid-life


def test_orders_of_every_state_are_taken_on_by_a_new_lifecycle(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy("goods_receipt")
    raised, partly, fully = (world.add_order(f"PO{number}") for number in range(3))
    world.connectwise.receive_part(world.order_lines(partly)[0], 3, slip="S1")
    receive(world, fully)
    said(world)
    assert (len(world.bills()), placed(world)) == (1, [])
    world.sign(DIRECT)
    said(world.later())
    assert placed(world) == [("PO0", "DRAFT", 1000)]
    assert sorted(bill["SubTotal"] for bill in world.bills()) == [300, 1000]
    receive(world, raised)
    world.sign(PRESETS["goods_receipt"])
    said(world.later())
    assert sorted(bill["SubTotal"] for bill in world.bills()) == [300, 1000, 1000]
    assert placed(world) == [("PO0", "DRAFT", 1000)]


def test_people_are_led_from_an_exception_to_the_page_of_the_document_that_it_is_about(direct: World) -> None:
    """The order, its bill and another order's document may be kept under one number."""
    world = direct
    order = world.add_order("PO1", id=1)
    world.add_order("PO1001", id=1001)
    said(world)
    receive(world, order)
    made = {each["PurchaseOrderNumber"]: each["PurchaseOrderID"] for each in world.books.purchase_orders()}
    world.books.approve_purchase_order(made["PO1001"])
    world.books.mark_as_billed(made["PO1001"])
    world.connectwise.edit_order_line(world.order_lines(1001)[0], quantity=Decimal(12))
    said(world.later())
    audit = world.audit()
    (case,) = mailed.with_endings(audit, "purchase_orders", mailed.cases(audit, "purchase_orders"))
    assert (case.reference, case.reason) == ("PO1001", "billed_in_xero")
    assert case.xero_url.endswith(f"/Accounts/Payable/PurchaseOrders/Edit/{made['PO1001']}/")


def test_the_table_of_outcomes_tells_an_order_from_its_bill(direct: World) -> None:
    world = direct
    order = world.add_order("PO7")
    said(world)
    receive(world, order, "")
    summary = world.later().cycle()
    rows = [outcome_row(row) for row in world.rows(OUTCOMES) if row["run_id"] == summary.run_id]
    assert {row["reference"] for row in rows} == {"PO7 / purchase order", "PO7 / R1"}
