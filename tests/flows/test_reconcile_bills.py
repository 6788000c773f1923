"""The tie-out statement of bills: what was received beside what Xero has for it, and a name for every difference."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete

from blocks.audit.tables import BINDINGS, RECORDS, REQUESTS
from deployments.sandbox.wire import Fault, Request
from flows.reconciling import reconcile_families
from mappings.lifecycle import PRESETS
from mappings.reconcile import NOT_ROUTED, Statement
from tests.worlds import LOST, World, answers, day

PER_RECEIPT = (
    "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
    ",reversed,hold,\n"
)
FAMILY = "purchase_orders"


@pytest.fixture
def world(tmp_path: Any) -> World:
    """A world that buys, and makes a draft bill when everything was received."""
    return World(tmp_path).ready_to_buy()


def reconcile(world: World, start: str = "", end: str = "") -> Statement:
    """The statement of bills."""
    (found,) = reconcile_families(
        [FAMILY], world.doors, day(start) if start else None, day(end) if end else None, lambda _sentence: None
    )
    return found


def named(found: Statement) -> dict[str, str]:
    """What each differing order is called, with the amount: '' where no cause can be shown."""
    return {
        each.reference: f"{': '.join(filter(None, (each.kind, each.reason)))} {each.amount:.2f}"
        for each in (*found.differences, *found.unexplained)
    }


def sums(found: Statement) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Both sides and what is unexplained, per organisation and month."""
    return {
        (row.heading.organisation, row.heading.month): (
            f"{row.connectwise.amount:.2f}",
            f"{row.xero.amount:.2f}",
            f"{row.unexplained.amount:.2f}",
        )
        for row in found.rows
    }


def bought(world: World, number: str, *lines: tuple[str, str, str], **fields: Any) -> int:
    """An order of which everything was received."""
    order = world.add_order(number, *lines, **fields)
    for line in world.order_lines(order):
        world.connectwise.receive_line(line)
    return order


def bill(world: World, number: str) -> dict[str, Any]:
    """A live bill, by its number."""
    (found,) = [each for each in world.bills() if each["InvoiceNumber"] == number]
    return found


def switch(world: World, **switches: Any) -> None:
    """Throw switches of the simulated ConnectWise."""
    world.connectwise.switches = replace(world.connectwise.switches, **switches)


# What agrees


def test_what_was_received_and_billed_ties_out_by_the_month_of_the_bill(world: World) -> None:
    """With tax and freight, in parts or whole; what is only ordered is no part of it."""
    world.sign(PER_RECEIPT)
    order = world.add_order("PO1", ("SWITCH", "10", "99.99"), ("CABLE", "7", "2.333"))
    first, second = world.order_lines(order)
    rest = world.connectwise.receive_part(first, 3, slip="S1", date=day("2026-02-10")) or 0
    world.connectwise.receive_line(second, slip="S1", date=day("2026-02-10"))
    world.cycle()
    world.connectwise.receive_line(rest, slip="S2")
    closed = bought(world, "PO2", freightCost=Decimal("25.50"), taxFreightFlag=True)
    world.connectwise.close_purchase_order(closed)
    world.add_order("PO3")
    world.later().cycle()
    found = reconcile(world)
    assert sums(found) == {
        ("Sydney", "2026-02"): ("347.93", "347.93", "0.00"),
        ("Sydney", "2026-03"): ("1897.97", "1897.97", "0.00"),
    }
    assert found.family == FAMILY and found.tied_out and named(found) == {}
    assert [(row.connectwise.count, row.xero.count) for row in found.rows] == [(1, 1), (2, 2)]
    assert list(sums(reconcile(world, "2026-03-01"))) == [("Sydney", "2026-03")]
    assert list(sums(reconcile(world, "", "2026-02-28"))) == [("Sydney", "2026-02")]


def test_bills_of_people_are_no_part_of_it(world: World) -> None:
    bought(world, "PO1")
    world.cycle()
    supplier = bill(world, "PO1")["Contact"]["ContactID"]
    line = {"Description": "Rent", "Quantity": 1, "UnitAmount": 500, "AccountCode": "300"}
    world.books.enter_bill(supplier, "RENT-3", Date="2026-03-02", DueDate="2026-03-02", LineItems=[line])
    assert sums(reconcile(world)) == {("Sydney", "2026-03"): ("1100.00", "1100.00", "0.00")}


def test_goods_that_were_taken_back_from_a_draft_leave_both_sides(world: World) -> None:
    order = bought(world, "PO1")
    world.cycle()
    world.connectwise.unreceive_line(world.order_lines(order)[0], 4)
    assert named(reconcile(world)) == {"PO1": "waiting: not_read_yet 660.00"}
    world.sign(PER_RECEIPT)
    world.later().cycle()
    found = reconcile(world)
    assert sums(found) == {("Sydney", "2026-03"): ("440.00", "440.00", "0.00")} and named(found) == {}


# What is not in Xero


def test_what_is_not_billed_says_why(world: World) -> None:
    """Held, waiting for the state that the lifecycle bills at, or for the next cycle."""
    bought(world, "PO1", vendorCompany=world.connectwise.add_company("NEW", "New Vendor"))
    partly = world.add_order("PO2")
    world.connectwise.receive_part(world.order_lines(partly)[0], 4)
    world.cycle()
    bought(world.later(), "PO3")
    found = reconcile(world)
    assert named(found) == {
        "PO1": "held: missing_contact -1100.00",
        "PO2": "waiting: lifecycle -440.00",
        "PO3": "waiting: not_read_yet -1100.00",
    }
    assert found.tied_out and sums(found) == {("Sydney", "2026-03"): ("2640.00", "0.00", "0.00")}
    (told,) = [each for each in found.differences if each.reference == "PO2"]
    assert told.connectwise_id == partly and f"recid={partly}" in told.connectwise_url
    assert "partially received" in told.message and "lifecycle.csv row 3" in told.message


def test_an_order_that_was_open_when_it_was_read_last_is_read_by_the_next_cycle(world: World) -> None:
    """Whatever its closing says of when it was changed."""
    order = world.add_order("PO1")
    world.later(days=1).add_order("PO2")
    world.cycle()
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.connectwise.tables["purchase_order"].records[order]["closedFlag"] = True
    assert named(reconcile(world)) == {"PO1": "waiting: not_read_yet -1100.00"}


def test_what_came_late_on_an_order_that_was_closed_before_the_period_is_read(world: World) -> None:
    switch(world, child_bumps_parent=True)
    order = world.add_order("PO1")
    world.connectwise.close_purchase_order(order)
    world.cycle()
    world.later(days=40).connectwise.receive_line(world.order_lines(order)[0])
    assert named(reconcile(world, "2026-04-01")) == {"PO1": "waiting: not_read_yet -1100.00"}


def test_orders_count_though_their_own_dates_were_moved_before_the_start_date(world: World) -> None:
    """One that waits, and one that is open."""
    waits = bought(world, "PO1", vendorCompany=world.connectwise.add_company("NEW", "New Vendor"))
    world.connectwise.close_purchase_order(waits)
    partly = world.add_order("PO2")
    world.connectwise.receive_part(world.order_lines(partly)[0], 4)
    world.cycle()
    for order in (waits, partly):
        world.later().connectwise.edit_purchase_order(order, poDate=day("2025-12-30"))
    world.cycle()
    assert named(reconcile(world)) == {"PO1": "held: missing_contact -1100.00", "PO2": "waiting: lifecycle -440.00"}


def test_an_order_that_the_tables_send_nowhere_has_a_row_of_its_own(world: World) -> None:
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\nPerth,,,,,Sydney\n")
    bought(world, "PO1")
    world.cycle()
    found = reconcile(world)
    assert list(sums(found)) == [(NOT_ROUTED, "2026-03")] and found.tied_out


def test_what_another_lifecycle_decided_on_waits_for_the_next_cycle(world: World) -> None:
    world.sign(PRESETS["manual"])
    world.connectwise.close_purchase_order(bought(world, "PO1"))
    world.cycle()
    assert named(reconcile(world)) == {"PO1": "waiting: lifecycle -1100.00"}
    world.sign(PRESETS["goods_receipt"])
    assert named(reconcile(world)) == {"PO1": "waiting: not_read_yet -1100.00"}
    world.later().cycle()
    assert named(reconcile(world)) == {}


def test_nothing_is_billed_while_nobody_signed(world: World) -> None:
    bought(world, "PO1")
    world.cycle()
    bought(world, "PO2")
    world.write("lifecycle.signed.toml", "")
    found = reconcile(world)
    assert named(found) == {"PO2": "waiting: lifecycle -1100.00"}
    assert "has not been signed" in found.differences[0].message


@pytest.mark.parametrize("rule", ["full_close", "first_bill", "separate_bill", "never"])
def test_freight_is_due_when_policy_bills_it(world: World, rule: str) -> None:
    world.sign(PER_RECEIPT)
    world.policy(f'[families]\npurchase_orders = "on"\n[purchases]\nfreight = "{rule}"')
    order = world.add_order("PO1", freightCost=Decimal(30))
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 5) or 0
    world.cycle()
    found = reconcile(world)
    assert found.rows[0].xero.amount == (580 if rule == "first_bill" else 550) and named(found) == {}
    world.connectwise.receive_line(rest)
    world.connectwise.close_purchase_order(order)
    assert named(reconcile(world)) == {
        "PO1": f"waiting: not_read_yet {-580 if rule[0] in 'fs' and rule != 'first_bill' else -550}.00"
    }
    world.later().cycle()
    found = reconcile(world)
    assert found.rows[0].xero.amount == (1100 if rule == "never" else 1130) and named(found) == {}


def test_a_write_without_an_answer_waits_and_is_counted_once(world: World) -> None:
    bought(world, "PO1")
    sent: list[Request] = []

    def lost_and_silent(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT":
            sent.append(request)
            return LOST
        return answers(503) if sent else None

    world.to_xero.plan = lost_and_silent
    world.cycle()
    world.to_xero.plan = lambda _request, _number: None
    assert any(row["settled_at"] is None for row in world.rows(REQUESTS))
    found = reconcile(world)
    assert {f"{each.kind}: {each.reason} {each.amount:.2f}" for each in found.differences} == {
        "waiting: unsettled -1100.00", "waiting: unsettled 1100.00",
    }  # fmt: skip
    assert found.tied_out


# What is otherwise in Xero


def test_goods_that_were_taken_back_after_approval_are_named_until_and_after_a_person_settled_it(world: World) -> None:
    for number in ("PO1", "PO2"):
        order = bought(world, number)
        world.cycle()
        world.books.approve(bill(world, number)["InvoiceID"])
        world.later().connectwise.unreceive_line(world.order_lines(order)[0], 4 if number == "PO1" else 0)
    world.later().cycle()
    found = reconcile(world)
    assert named(found) == {"PO1": "held: receipt_reversed 660.00", "PO2": "held: receipt_reversed 1100.00"}
    for number in ("PO1", "PO2"):
        world.later().cycle(references=[number], take="theirs")
    found = reconcile(world)
    assert named(found) == {"PO1": "hand_edit: taken 660.00", "PO2": "hand_edit: taken 1100.00"} and found.tied_out


def test_hands_in_xero_are_named(world: World) -> None:
    """Edited, dated elsewhere, deleted, voided, taxed by a code of her own."""
    for number in ("PO1", "PO2", "PO3", "PO4", "PO5"):
        bought(world, number)
    world.cycle()
    ids = {number: bill(world, number)["InvoiceID"] for number in ("PO1", "PO2", "PO3", "PO4", "PO5")}
    line = {n: v for n, v in bill(world, "PO1")["LineItems"][1].items() if n not in ("TaxAmount", "LineAmount")}
    world.books.edit(ids["PO1"], LineItems=[line | {"UnitAmount": 90}])
    world.books.edit(ids["PO2"], Date="2026-02-20")
    world.books.delete(ids["PO3"])
    world.books.approve(ids["PO4"])
    world.books.void(ids["PO4"])
    coded = {n: v for n, v in bill(world, "PO5")["LineItems"][1].items() if n not in ("TaxAmount", "LineAmount")}
    world.books.edit(ids["PO5"], LineItems=[coded | {"TaxType": "EXEMPTEXPENSES"}])
    found = reconcile(world)
    assert named(found)["PO1"] == "hand_edit: edited -110.00"
    assert {f"{each.kind} {each.amount:.2f}" for each in found.differences if each.reference == "PO2"} == {
        "moved -1100.00", "moved 1100.00",
    }  # fmt: skip
    assert named(found)["PO3"] == "hand_edit: deleted -1100.00"
    assert named(found)["PO4"] == "hand_edit: voided -1100.00"
    assert named(found)["PO5"] == "hand_edit: edited -100.00"
    assert found.tied_out


def test_a_bill_that_was_moved_into_the_period_by_hand_is_named(world: World) -> None:
    """Its order was closed long before, and did not change."""
    world.connectwise.close_purchase_order(bought(world, "PO1"))
    world.cycle()
    world.later(days=40)
    world.books.edit(bill(world, "PO1")["InvoiceID"], Date="2026-04-05")
    assert named(reconcile(world, "2026-04-01")) == {"PO1": "moved: hand_edit 1100.00"}


def test_a_removed_bill_from_which_a_part_was_taken_back_is_one_difference(world: World) -> None:
    order = bought(world, "PO1")
    world.cycle()
    world.books.delete(bill(world, "PO1")["InvoiceID"])
    world.connectwise.unreceive_line(world.order_lines(order)[0], 4)
    world.sign(PER_RECEIPT)
    world.later().cycle()
    assert named(reconcile(world)) == {"PO1": "hand_edit: deleted -440.00"}
    world.connectwise.unreceive_line(world.order_lines(order)[0], 0)
    world.later().cycle()
    assert reconcile(world).tied_out and named(reconcile(world)) == {}


def test_tax_that_policy_leaves_to_people_is_named(world: World) -> None:
    world.policy('[families]\npurchase_orders = "on"\n[purchases]\ndraft_gaps = "leave"')
    world.write("taxes.csv", "organisation,side,tax_code,taxable,tax_type\n")
    order = bought(world, "PO1")
    world.connectwise.edit_purchase_order(order, taxCode=None, taxPoFlag=False)
    world.cycle()
    found = reconcile(world)
    (row,) = found.rows
    assert row.connectwise.amount == 1000 and row.xero.amount == 1100
    assert named(found) == {"PO1": "skipped: draft_gaps 100.00"} and found.tied_out


# What ConnectWise does not show


def test_an_order_that_connectwise_does_not_show_any_more_is_named(world: World) -> None:
    order = bought(world, "PO1")
    world.cycle()
    world.connectwise.delete_purchase_order(order)
    found = reconcile(world)
    assert named(found) == {"PO1": "missing_in_connectwise 1100.00"} and found.tied_out


def test_a_copy_of_our_bill_is_unexplained_and_a_strange_link_is_only_in_xero(world: World) -> None:
    bought(world, "PO1")
    world.cycle()
    ours = bill(world, "PO1")
    line = {"Description": "Copy", "Quantity": 1, "UnitAmount": 10, "AccountCode": "300", "TaxType": "INPUT"}
    for number, url in (("C-1", ours["Url"]), ("C-2", ours["Url"].replace("recid=", "recid=9"))):
        world.books.enter_bill(
            ours["Contact"]["ContactID"], number, Date="2026-03-02", DueDate="2026-03-02", LineItems=[line], Url=url
        )
    found = reconcile(world)
    assert named(found) == {"C-1": " -11.00", "C-2": "only_in_xero: linked 11.00"}
    assert not found.tied_out


def test_what_was_taken_back_long_after_it_was_billed_is_unexplained(world: World) -> None:
    """Of a closed order, without a sign on it: no cycle and no sweep reads its lines again by itself."""
    switch(world, child_bumps_parent=False)
    order = bought(world, "PO1")
    world.connectwise.close_purchase_order(order)
    world.cycle()
    world.later(days=1).connectwise.unreceive_line(world.order_lines(order)[0], 4)
    assert named(reconcile(world)) == {"PO1": "waiting: not_read_yet 660.00"}
    world.later(days=40).cycle(sweep=True, allow_many=True)
    world.connectwise.unreceive_line(world.order_lines(order)[0], 2)
    world.later(days=40).cycle(family="invoices", sweep=True)
    world.later(days=21)
    found = reconcile(world)
    assert named(found) == {"PO1": " -220.00"} and not found.tied_out


def test_what_came_on_an_order_after_it_was_closed_and_that_nothing_reads_is_unexplained(world: World) -> None:
    """Not a matter of the lifecycle, which knew another state of it."""
    order = world.add_order("PO1")
    world.connectwise.close_purchase_order(order)
    world.cycle()
    world.later(days=1).connectwise.receive_line(world.order_lines(order)[0])
    assert named(reconcile(world)) == {"PO1": " 1100.00"}


def test_the_hold_of_one_bill_explains_nothing_of_another(world: World) -> None:
    """The approved bill of a first receipt is held; that the second was never billed has no cause of its own."""
    world.sign(PER_RECEIPT)
    order = world.add_order("PO1")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    world.cycle()
    world.books.approve(bill(world, "PO1 / S1")["InvoiceID"])
    world.connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    world.connectwise.receive_line(rest, slip="S2")
    world.later().cycle()
    assert named(reconcile(world)) == {"PO1": "held: authorised_in_xero 33.00"}
    audit = world.audit()
    with audit.transaction() as connection:
        for table in (BINDINGS, RECORDS):
            connection.execute(delete(table).where(table.c.connectwise_id == order * 1000 + 2))
    audit.close()
    second = bill(world, "PO1 / S2")["InvoiceID"]
    world.books.edit(second, Url="")
    found = reconcile(world)
    assert [f"{each.amount:.2f}" for each in found.unexplained] == ["770.00"] and not found.tied_out


def test_an_order_whose_lines_cannot_be_read_is_held_and_told(world: World) -> None:
    order = bought(world, "PO1")
    world.cycle()
    world.connectwise.tables["purchase_order_line"].records[world.order_lines(order)[0]]["unitCost"] = "much"
    world.later().cycle()
    found = reconcile(world)
    assert named(found) == {"PO1": "held: unreadable_record 1100.00"} and list(found.unreadable) == ["PO1"]


# What it costs


def test_it_reads_the_lines_of_what_the_period_may_concern_and_writes_nothing(world: World) -> None:
    for place in range(3):
        world.connectwise.close_purchase_order(bought(world, f"PO{place}"))
    world.cycle()
    world.later(days=40)
    world.connectwise.close_purchase_order(bought(world, "PO9"))
    world.cycle()
    before = world.snapshot()
    with world.watching() as seen:
        found = reconcile(world, "2026-04-01")
    assert found.tied_out and [row.xero.count for row in found.rows] == [1]
    assert [call for call in seen.connectwise if not call.endswith("/lineitems")] == ["GET /procurement/purchaseorders"]
    assert len(seen.connectwise) == 2
    assert seen.xero == ["GET /Invoices"]
    assert world.snapshot() == before


def test_orders_on_several_pages_are_all_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page."""
    monkeypatch.setattr("blocks.xero.client.PAGE_SIZE", 2)
    monkeypatch.setattr("flows.reconciling.CHUNK", 2)
    for place in range(5):
        bought(world, f"PO{place}")
    world.cycle()
    (row,) = reconcile(world).rows
    assert (row.connectwise.count, row.xero.count, row.unexplained.count) == (5, 5, 0)


def test_xero_that_cannot_be_read_ends_it(world: World) -> None:
    bought(world, "PO1")
    world.cycle()
    world.xero_fails("GET", "/Invoices", *[answers(503)] * 9)
    with pytest.raises(Exception, match="Xero"):
        reconcile(world)
