"""Purchase orders become bills: what was received, once, for the right money, by the signed lifecycle."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import OUTCOMES
from deployments.sandbox.wire import Fault, Response
from flows.planning import plan_of
from mappings.lifecycle import PRESETS, read_lifecycle
from mappings.links import bill_key
from tests.worlds import OTHER_TENANT, World


@pytest.fixture
def world(tmp_path: Any) -> World:
    """A world that buys, and makes a draft bill when everything was received."""
    return World(tmp_path).ready_to_buy()


@pytest.fixture
def by_receipt(tmp_path: Any) -> World:
    """The same with a bill for each receipt."""
    world = World(tmp_path).ready_to_buy()
    world.sign(
        "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
        ",reversed,hold,\n,vendor_invoice_received,update_bill_from_vendor_invoice,\n"
    )
    return world


def said(world: World, **cycle: Any) -> dict[str, int]:
    """Run a cycle; how many records ended how."""
    summary = world.cycle(**cycle)
    assert not summary.failed, summary.failed
    return {name: count for name, count in summary.counts.items() if count}


def totals(world: World) -> dict[str, Decimal]:
    """What each live bill comes to, before tax, by its number."""
    return {bill["InvoiceNumber"]: Decimal(str(bill["SubTotal"])) for bill in world.bills()}


def test_an_order_that_is_received_in_full_becomes_one_draft_bill(world: World) -> None:
    order = world.add_order("PO7")
    assert said(world) == {"read": 1, "skipped": 1}
    world.connectwise.receive_line(world.order_lines(order)[0], slip="S1")
    assert said(world.later()) == {"read": 1, "posted": 1}
    (bill,) = world.bills()
    assert (bill["InvoiceNumber"], bill["Status"], bill["SubTotal"], bill["TotalTax"]) == (
        "PO7", "DRAFT", Decimal("1000.00"), Decimal("100.00"),
    )  # fmt: skip
    assert said(world.later()) == {"read": 1, "unchanged": 1}
    assert len(world.bills()) == 1


def test_three_part_receipts_make_exactly_three_bills(by_receipt: World) -> None:
    world = by_receipt
    order = world.add_order("PO8")
    line = world.order_lines(order)[0]
    rest = world.connectwise.receive_part(line, 3, slip="S1") or 0
    assert said(world) == {"read": 1, "posted": 1}
    rest = world.connectwise.receive_part(rest, 3, slip="S2") or 0
    assert said(world.later()) == {"read": 2, "posted": 1, "unchanged": 1}
    world.connectwise.receive_line(rest, slip="S3")
    assert said(world.later()) == {"read": 3, "posted": 1, "unchanged": 2}
    assert totals(world) == {"PO8 / S1": 300, "PO8 / S2": 300, "PO8 / S3": 400}


# Reading


def test_only_open_orders_and_what_changed_cost_calls(world: World) -> None:
    """An idle cycle: a read of each of the two lists, one more for each open order, none of Xero (promise 12)."""
    for number in range(3):
        world.add_order(f"PO{number}")
    done = world.add_order("PO9")
    world.connectwise.receive_line(world.order_lines(done)[0], close=True)
    world.connectwise.close_purchase_order(done)
    said(world)
    world.later()
    world.connectwise.edit_purchase_order(done)
    said(world)
    world.later()
    summary = world.cycle()
    assert summary.calls == {"connectwise": 2 + 3, "xero": 0}
    assert (summary.counts["read"], summary.counts["unchanged"]) == (4, 4)


@pytest.mark.parametrize("bumps", [False, True])
def test_a_receipt_is_seen_whether_or_not_it_moves_its_order(tmp_path: Any, bumps: bool) -> None:
    world = World(tmp_path).ready_to_buy()
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=bumps)
    order = world.add_order("PO7")
    said(world)
    world.later(days=3)
    world.connectwise.receive_line(world.order_lines(order)[0])
    said(world)
    assert totals(world) == {"PO7": 1000}


def test_an_order_that_left_the_list_of_open_ones_is_read_by_its_id(tmp_path: Any) -> None:
    """Received and closed between two cycles, by a system whose list of changes misses it."""
    world = World(tmp_path).ready_to_buy()
    order = world.add_order("PO7")
    said(world)
    world.later(days=2)
    world.add_order("PO8")
    said(world)
    world.clock.advance(days=-1)
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.connectwise.close_purchase_order(order)
    world.clock.advance(days=1)
    said(world.later())
    assert totals(world) == {"PO7": 1000}


def test_what_another_lifecycle_left_alone_is_billed_once_the_table_says_so(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy("manual")
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0], close=True)
    world.connectwise.close_purchase_order(order)
    assert said(world) == {"read": 1, "skipped": 1}
    assert world.to_xero.calls == []
    world.sign(PRESETS["goods_receipt"])
    assert said(world.later(days=2)) == {"read": 1, "posted": 1}


# The lifecycle


def test_unsigned_or_altered_nothing_is_asked_of_either_system(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.paste("lifecycle.csv", "Sydney,raised,none,")
    summary = world.cycle()
    assert "finance lead" in summary.failed
    assert "tieout lifecycle sign" in summary.failed
    assert summary.exit_code == 2
    assert (world.to_connectwise.calls, world.to_xero.calls) == ([], [])


def test_each_outcome_shows_the_row_that_fired_and_the_hash(world: World) -> None:
    order = world.add_order("PO7")
    waiting = world.add_order("PO8")
    world.connectwise.receive_line(world.order_lines(order)[0])
    said(world)
    rows = {row["connectwise_id"]: row["rows_used"] for row in world.rows(OUTCOMES)}
    digest = read_lifecycle((world.tables / "lifecycle.csv").read_bytes()).digest
    assert set(rows) == {bill_key(order, 1), waiting}
    assert "fully_received" in rows[bill_key(order, 1)]
    assert "raised" in rows[waiting]
    assert all(digest in text for text in rows.values())


def test_the_status_of_a_bill_is_that_of_the_row_that_makes_it(world: World) -> None:
    world.sign(
        "organisation,state,event,status\n,fully_received,draft_bill,submitted\n"
        ",vendor_invoice_received,update_bill_from_vendor_invoice,authorised\n"
    )
    order = world.add_order("PO7")
    world.connectwise.enter_vendor_invoice(order, "INV-9")
    world.connectwise.receive_line(world.order_lines(order)[0])
    said(world)
    assert [(bill["InvoiceNumber"], bill["Status"]) for bill in world.bills()] == [("PO7 / INV-9", "SUBMITTED")]


def with_perth(world: World) -> None:
    """A second organisation, with the same vendor, and what is bought in Perth goes there."""
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT).add_contact("Netgear Distribution", account_number="V-77")
    world.paste("organisations.csv", "Perth,,,,,Perth")


def test_organisations_may_have_lifecycles_of_their_own(world: World) -> None:
    with_perth(world)
    world.sign(
        "organisation,state,event,status\n,fully_received,draft_bill,\nPerth,partially_received,bill_per_receipt,\n"
        "Perth,fully_received,bill_per_receipt,\n"
    )
    for number, place in (("PO7", "Sydney"), ("PO8", "Perth")):
        order = world.add_order(number, location=place)
        world.connectwise.receive_part(world.order_lines(order)[0], 4, slip="S1")
    assert said(world) == {"read": 2, "posted": 1, "skipped": 1}
    assert [bill["InvoiceNumber"] for bill in world.bills("Perth")] == ["PO8 / S1"]


def test_an_order_that_moves_to_another_organisation_after_its_bill_is_held(world: World) -> None:
    with_perth(world)
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    said(world)
    world.connectwise.edit_purchase_order(order, location="Perth")
    (exception,) = world.later().cycle().exceptions
    assert exception["reason"] == "organisation_changed"
    assert (len(world.bills("Sydney")), len(world.bills("Perth"))) == (1, 0)


def test_a_bill_in_a_locked_period_waits_for_the_period(world: World) -> None:
    world.books.set_lock_date(date(2026, 2, 28))
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0], date=date(2026, 2, 20))
    (exception,) = world.cycle().exceptions
    assert exception["reason"] == "period_locked"
    world.books.set_lock_date(None)
    assert said(world.later())["posted"] == 1


def test_while_xero_is_out_of_reach_nothing_is_half_written_and_nothing_is_lost(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.to_xero.plan = lambda _request, _number: Fault("before", Response(503, {}, b"offline"))
    assert world.cycle().failed
    world.to_xero.plan = lambda _request, _number: None
    assert said(world.later())["posted"] == 1
    assert totals(world) == {"PO7": 1000}


def test_a_state_that_the_table_holds_is_told_with_its_row(world: World) -> None:
    world.sign("organisation,state,event,status\n,fully_received,hold,\n")
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    assert said(world) == {"read": 1, "held": 1}
    (exception,) = world.cycle().exceptions
    assert (exception["reason"], exception["reference"], exception["connectwise_id"]) == (
        "lifecycle_hold",
        "PO7",
        order,
    )
    assert exception["amount"] == "1000.00"


def test_an_invoiced_order_of_which_nothing_came_is_held_where_the_invoice_makes_the_bill(tmp_path: Any) -> None:
    world = World(tmp_path).ready_to_buy()
    world.sign("organisation,state,event,status\n,vendor_invoice_received,bill_per_receipt,\n")
    order = world.add_order("PO7")
    world.connectwise.enter_vendor_invoice(order, "INV-9")
    summary = world.cycle()
    (exception,) = summary.exceptions
    assert exception["reason"] == "invoiced_not_received"
    world.connectwise.receive_line(world.order_lines(order)[0], slip="S1")
    assert said(world.later()) == {"read": 1, "posted": 1}
    assert totals(world) == {"PO7 / S1 / INV-9": 1000}
    assert not world.cycle().exceptions


# Drafts and approved bills


def test_a_draft_follows_its_order(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.connectwise.edit_order_line(line, unitCost=Decimal(90))
    world.connectwise.enter_vendor_invoice(order, "INV-9", date(2026, 2, 20))
    assert said(world.later()) == {"read": 1, "updated": 1}
    (bill,) = world.bills()
    assert (bill["InvoiceNumber"], bill["SubTotal"], bill["DateString"][:10]) == (
        "PO7 / INV-9", Decimal("900.00"), "2026-02-20",
    )  # fmt: skip


def test_the_bookkeepers_account_tax_and_tracking_stay_on_a_draft(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    (bill,) = world.bills()
    lines = [dict(each) for each in bill["LineItems"]]
    lines[1] |= {"AccountCode": "429", "TaxType": "EXEMPTEXPENSES", "TaxAmount": 0}
    world.books.edit(bill["InvoiceID"], LineItems=lines)
    world.connectwise.edit_order_line(line, unitCost=Decimal(90))
    assert said(world.later()) == {"read": 1, "updated": 1}
    (bill,) = world.bills()
    assert (bill["LineItems"][1]["AccountCode"], bill["LineItems"][1]["TaxType"], bill["SubTotal"]) == (
        "429", "EXEMPTEXPENSES", Decimal("900.00"),
    )  # fmt: skip


def test_a_draft_shrinks_when_goods_are_taken_back(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.connectwise.unreceive_line(line, left=4)
    assert said(world.later()) == {"read": 1, "updated": 1}
    assert totals(world) == {"PO7": 400}


def test_a_draft_of_which_nothing_is_left_is_held_until_a_person_removes_it(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.connectwise.unreceive_line(line)
    summary = world.later().cycle()
    (exception,) = summary.exceptions
    assert (exception["reason"], exception["receipt"]) == ("receipt_reversed", "")
    assert totals(world) == {"PO7": 1000}
    world.books.delete(world.bills()[0]["InvoiceID"])
    assert not world.later().cycle().exceptions
    assert world.bills() == []
    world.connectwise.receive_line(line)
    assert said(world.later())["posted"] == 1
    assert totals(world) == {"PO7": 1000}


@pytest.mark.parametrize("left", [0, 4])
def test_goods_taken_back_after_approval_are_held_with_the_supplier_credit(world: World, left: int) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    (bill,) = world.bills()
    world.books.approve(bill["InvoiceID"])
    world.connectwise.unreceive_line(line, left=left)
    summary = world.later().cycle()
    (exception,) = summary.exceptions
    assert exception["reason"] == "receipt_reversed"
    assert "supplier credit" in exception["fix"]
    if left:
        assert "660.00 AUD" in exception["fix"]
    assert totals(world) == {"PO7": 1000}
    assert not world.later().cycle(references=["PO7"], take="theirs").exceptions
    assert said(world.later()) == {"read": 2, "unchanged": 2} or said(world.later()) == {"read": 1, "unchanged": 1}
    # Received again, it is billed again: the credit took the first bill back.
    world.connectwise.receive_line(line)
    assert said(world.later())["posted"] == 1
    assert [bill["SubTotal"] for bill in world.bills()] == [1000, 1000 - 100 * left]


def test_more_received_after_approval_makes_a_further_bill(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.books.approve(world.bills()[0]["InvoiceID"])
    world.connectwise.add_order_line(order, product="CABLE", quantity=Decimal(4), unitCost=Decimal(5))
    assert said(world.later()).get("posted", 0) == 0
    world.connectwise.receive_line(world.order_lines(order)[1])
    assert said(world.later())["posted"] == 1
    assert sorted(bill["SubTotal"] for bill in world.bills()) == [Decimal("20.00"), Decimal("1000.00")]


def test_an_approved_bill_is_never_edited(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.books.approve(world.bills()[0]["InvoiceID"])
    before = world.snapshot()
    world.connectwise.edit_order_line(line, unitCost=Decimal(90))
    summary = world.later().cycle()
    (exception,) = summary.exceptions
    assert exception["reason"] == "authorised_in_xero"
    assert "1100.00 AUD" in exception["message"]
    assert "990.00 AUD" in exception["message"]
    assert "110.00 AUD" in exception["fix"]
    assert world.snapshot() == before


def test_a_bill_that_a_person_voided_is_not_made_again(world: World) -> None:
    order = world.add_order("PO7")
    line = world.order_lines(order)[0]
    world.connectwise.receive_line(line)
    said(world)
    world.books.delete(world.bills()[0]["InvoiceID"])
    for force in (False, True):
        world.later().cycle(force=force)
        assert world.bills() == []


# What is in Xero already


def test_a_bill_keyed_by_hand_for_the_same_order_is_adopted(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    keyed = key_bill(world, "po7 , PO9", "1000")
    assert said(world) == {"read": 1, "unchanged": 1}
    assert [bill["InvoiceID"] for bill in world.bills()] == [keyed["InvoiceID"]]


@pytest.mark.parametrize("number", ["PO77", "PO7-A", "XPO7"])
def test_a_bill_for_another_order_is_no_reason_not_to_make_this_one(world: World, number: str) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    key_bill(world, number, "1000")
    assert said(world) == {"read": 1, "posted": 1}


def test_a_bill_keyed_by_hand_with_another_total_is_held_with_both(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    key_bill(world, "PO7", "900")
    summary = world.cycle()
    (exception,) = summary.exceptions
    assert exception["reason"] == "adopted_differs"
    assert "1100.00" in exception["message"]
    assert "990.00" in exception["message"]
    assert len(world.bills()) == 1


@pytest.mark.parametrize("status", ["DRAFT", "AUTHORISED"])
def test_a_bill_keyed_by_hand_follows_the_order_when_a_person_says_so_unless_it_is_approved(
    world: World, status: str
) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    keyed = key_bill(world, "PO7", "900")
    if status == "AUTHORISED":
        world.books.approve(keyed["InvoiceID"])
    world.cycle()
    for _ in range(3):
        world.later().cycle(references=["PO7"], take="ours")
        world.later().cycle()
        (bill,) = world.bills()
        assert bill["SubTotal"] == (1000 if status == "DRAFT" else 900)


def key_bill(world: World, number: str, amount: str) -> dict[str, Any]:
    """A person keys a supplier's bill in Xero."""
    (contact,) = [each for each in world.books.contacts if each.name == "Netgear Distribution"]
    return world.books.enter_invoice(
        Type="ACCPAY",
        Contact={"ContactID": contact.contact_id},
        InvoiceNumber=number,
        Date="2026-03-01",
        DueDate="2026-03-31",
        LineItems=[{"Description": "Switches", "Quantity": 1, "UnitAmount": amount, "AccountCode": "300"}],
    )


# Exceptions, and the way out


def test_an_unmapped_vendor_is_held_and_lands_once_the_row_is_there(world: World) -> None:
    world.connectwise.add_company("OTHER", "Other Supplies", vendor_identifier="V-99")
    order = world.add_order("PO7", vendorCompany="OTHER")
    world.connectwise.receive_line(world.order_lines(order)[0], close=True)
    world.connectwise.close_purchase_order(order)
    summary = world.cycle()
    (exception,) = summary.exceptions
    assert (exception["family"], exception["reason"], exception["connectwise_id"]) == (
        "purchase_orders", "missing_contact", order,
    )  # fmt: skip
    calls = len(world.to_connectwise.calls)
    world.later().cycle()
    assert len(world.to_connectwise.calls) - calls == 2, "a closed order that waits is mapped from its copy"
    world.write("contacts.csv", "organisation,role,company,contact_id,account_number,contact_name\n")
    world.paste("contacts.csv", ",supplier,OTHER,,,Netgear Distribution")
    assert said(world.later())["posted"] == 1
    assert not world.cycle().exceptions


def test_one_unreadable_order_never_stops_the_others(world: World) -> None:
    order, broken = world.add_order("PO7"), world.add_order("PO8")
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.connectwise.tables["purchase_order"].records[broken]["vendorCompany"] = None
    summary = world.cycle()
    assert {each["reference"]: each["reason"] for each in summary.exceptions} == {"PO8": "unreadable_record"}
    assert totals(world) == {"PO7": 1000}


def test_a_force_sync_names_orders_and_an_unknown_one_does_nothing(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    assert world.cycle(references=["PO99"]).exit_code == 2
    assert said(world, references=["po7"]) == {"read": 1, "posted": 1}
    assert said(world, references=[f"id:{order}"]) == {"read": 1, "unchanged": 1}


def test_a_dry_run_writes_nothing_and_a_plan_is_carried_out(world: World, tmp_path: Any) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0])
    before = world.snapshot()
    summary = world.cycle(mode="plan")
    assert summary.cycle is not None
    plan = plan_of([summary.cycle])
    assert world.snapshot() == before
    (write,) = plan["writes"]
    assert (write["family"], write["document"], write["action"], write["connectwise_id"]) == (
        "purchase_orders", "bill", "create", order,
    )  # fmt: skip
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    assert said(world, plan_file=str(file))["posted"] == 1
    assert totals(world) == {"PO7": 1000}


def test_orders_from_before_the_start_date_are_left_to_people(world: World) -> None:
    order = world.add_order("PO7", poDate=date(2025, 12, 31))
    world.connectwise.receive_line(world.order_lines(order)[0])
    assert said(world) == {}
    assert world.bills() == []


def test_freight_is_billed_once_when_the_order_is_closed(world: World) -> None:
    order = world.add_order("PO7", freightCost=Decimal(25))
    world.connectwise.receive_line(world.order_lines(order)[0])
    said(world)
    assert totals(world) == {"PO7": 1000}
    world.connectwise.close_purchase_order(order)
    said(world.later())
    assert totals(world) == {"PO7": 1025}
    said(world.later())
    assert totals(world) == {"PO7": 1025}


@pytest.mark.parametrize("approved", [False, True])
def test_an_order_that_is_reopened_and_closed_again_keeps_its_one_bill(world: World, approved: bool) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_line(world.order_lines(order)[0], close=True)
    world.connectwise.close_purchase_order(order)
    said(world)
    if approved:
        world.books.approve(world.bills()[0]["InvoiceID"])
    world.later()
    before = world.snapshot()
    for act in (world.connectwise.reopen_purchase_order, world.connectwise.close_purchase_order):
        act(order)
        said(world)
        world.later()
        assert world.snapshot() == before
    assert world.exceptions() == []
