"""One vendor invoice over several purchase orders, `one_bill`: what is received of them shares a bill, once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.connectwise import client
from blocks.failures import NotConfigured
from deployments.sandbox.wire import Fault
from flows.checking import check_mappings
from flows.reporting import make_report
from tests.flows.test_bills import said, totals, with_perth
from tests.flows.test_reconcile_bills import named, reconcile, sums
from tests.worlds import World

INVOICED = "organisation,state,event,status\n,reversed,hold,\n,vendor_invoice_received,draft_bill,draft\n"
ON = '[families]\npurchase_orders = "on"\n[purchases]\nvendor_invoice_grouping = "one_bill"\n'


def buying(folder: Path) -> World:
    """A world in which one vendor invoice is one bill."""
    world = World(folder).ready_to_buy()
    world.policy(ON)
    world.sign(INVOICED)
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return buying(tmp_path)


def received(world: World, number: str, invoice: str = "INV-9", quantity: int = 10, **fields: Any) -> int:
    """An order of ten switches, of which so many were received, with its vendor's invoice."""
    order = world.add_order(number, **fields)
    receive(world, order, quantity)
    if invoice:
        world.connectwise.enter_vendor_invoice(order, invoice)
    return order


def receive(world: World, order: int, quantity: int) -> None:
    """Receive the first open line of an order up to this quantity."""
    line = next(
        line
        for line in sorted(world.connectwise.rows("purchase_order_line", order), key=lambda one: one["id"])
        if line["receivedStatus"] == "Waiting"
    )
    if quantity >= line["quantity"]:
        world.connectwise.receive_line(line["id"], quantity)
    elif quantity:
        world.connectwise.receive_part(line["id"], quantity)


def texts(bill: dict[str, Any]) -> list[str]:
    """What the lines of a bill say."""
    return [line["Description"] for line in bill["LineItems"]]


def reasons(world: World) -> dict[str, str]:
    """The open exceptions: what is told of which reference."""
    return {row["reference"]: row["reason"] for row in world.exceptions()}


def test_the_orders_of_a_vendor_invoice_share_one_bill(world: World) -> None:
    first = received(world, "PO1")
    received(world, "PO2", quantity=4)
    received(world, "PO3", "INV-10")
    assert said(world) == {"read": 2, "posted": 2}
    assert totals(world) == {"PO1, PO2 / INV-9": 1400, "PO3 / INV-10": 1000}
    bill = next(bill for bill in world.bills() if bill["InvoiceNumber"].startswith("PO1"))
    assert texts(bill) == ["Purchase order PO1", "SWITCH", "Purchase order PO2", "SWITCH"]
    assert bill["Reference"] == "PO1, PO2"
    assert f"recid={first}" in bill["Url"]
    assert bill["TotalTax"] == Decimal("140.00")
    assert said(world.later()) == {"read": 3, "unchanged": 3}
    assert said(world.later(), force=True)["unchanged"] == 2
    assert len(world.bills()) == 2


def test_orders_on_different_pages_share_a_bill(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    for number in ("PO1", "PO2", "PO3"):
        received(world, number)
    said(world)
    assert totals(world) == {"PO1, PO2, PO3 / INV-9": 3000}


@pytest.mark.parametrize("approved", [False, True])
def test_an_order_that_comes_later_has_a_bill_of_its_own_and_is_reported(world: World, approved: bool) -> None:
    received(world, "PO1")
    received(world, "PO2")
    said(world)
    if approved:
        world.books.approve(world.bills()[0]["InvoiceID"])
    late = received(world.later(), "PO3")
    assert said(world)["posted"] == 1
    assert totals(world) == {"PO1, PO2 / INV-9": 2000, "PO3 / INV-9": 1000}
    (exception,) = world.exceptions()
    assert (exception["reason"], exception["reference"], exception["outcome"]) == (
        "vendor_invoice_split", "PO3", "posted",
    )  # fmt: skip
    assert "is on the bill PO1, PO2 / INV-9 of PO1, PO2 already" in exception["message"]
    assert texts(world.bills()[1])[1] == "The vendor's invoice INV-9 also covers the purchase orders PO1, PO2."
    note = "The vendor's invoice INV-9 also covers the purchase order PO3."
    assert (note in texts(world.bills()[0])) is not approved
    said(world.later())
    assert len(world.bills()) == 2
    # She has seen it.
    said(world.later(), references=["PO3"])
    assert world.exceptions() == []
    assert late


def test_what_comes_on_an_order_goes_onto_the_draft_that_it_shares_else_onto_a_further_bill(world: World) -> None:
    received(world, "PO1", quantity=4)
    second = received(world, "PO2", quantity=4)
    said(world)
    receive(world.later(), second, 2)
    said(world)
    assert totals(world) == {"PO1, PO2 / INV-9": 1000}
    world.books.approve(world.bills()[0]["InvoiceID"])
    receive(world.later(), second, 4)
    said(world)
    assert totals(world) == {"PO1, PO2 / INV-9": 1000, "PO2 / INV-9": 400}
    assert world.exceptions() == [], "a further bill of an order that is on the first is no surprise"
    said(world.later(), sweep=True)
    assert len(world.bills()) == 2


@pytest.mark.parametrize("approved", [False, True])
def test_what_is_taken_back_of_one_order_comes_off_the_bill_that_it_shares(world: World, approved: bool) -> None:
    received(world, "PO1")
    second = received(world, "PO2")
    said(world)
    if approved:
        world.books.approve(world.bills()[0]["InvoiceID"])
    world.later().connectwise.unreceive_line(world.order_lines(second)[0], 3)
    said(world)
    if not approved:
        assert totals(world) == {"PO1, PO2 / INV-9": 1300}
        return
    assert totals(world) == {"PO1, PO2 / INV-9": 2000}
    assert reasons(world) == {"PO1, PO2": "receipt_reversed"}
    (exception,) = world.exceptions()
    assert "--reference 'PO1, PO2' --take theirs" in exception["fix"]
    said(world.later(), references=["PO1, PO2"], take="theirs")
    assert world.exceptions() == []
    receive_again = world.order_lines(second)[0]
    world.connectwise.receive_line(receive_again, 10)
    said(world.later())
    assert totals(world) == {"PO1, PO2 / INV-9": 2000, "PO2 / INV-9": 700}


def test_an_order_of_which_all_goes_back_leaves_the_draft_to_the_others(world: World) -> None:
    first = received(world, "PO1")
    received(world, "PO2")
    said(world)
    world.later().connectwise.unreceive_line(world.order_lines(first)[0], 0)
    said(world)
    assert totals(world) == {"PO2 / INV-9": 1000}
    (bill,) = world.bills()
    assert texts(bill)[0] == "Purchase order PO2"
    said(world.later())
    assert world.exceptions() == []


def test_another_organisation_or_currency_is_a_bill_each_and_nothing_is_said(world: World) -> None:
    with_perth(world)
    world.policy(ON + '[currency]\nsource = "xero_day_rate"')
    world.books.add_currency("USD")
    world.connectwise.add_currency("USD")
    received(world, "PO1")
    received(world, "PO2", location="Perth")
    received(world, "PO3")
    for number in ("PO4", "PO5"):
        received(world, number, currency="USD")
    said(world)
    assert totals(world) == {"PO1, PO3 / INV-9": 2000, "PO4, PO5 / INV-9": 2000}
    assert [bill["CurrencyCode"] for bill in world.bills()] == ["AUD", "USD"]
    assert [bill["InvoiceNumber"] for bill in world.bills("Perth")] == ["PO2 / INV-9"]
    assert world.exceptions() == []


def test_freight_is_once_for_each_order(world: World) -> None:
    world.policy(ON.replace('"one_bill"', '"one_bill"\nfreight = "first_bill"'))
    for number in ("PO1", "PO2"):
        received(world, number, freightCost=Decimal(25))
    said(world)
    assert totals(world) == {"PO1, PO2 / INV-9": 2050}
    assert texts(world.bills()[0]).count("Freight") == 2
    said(world.later())
    assert totals(world) == {"PO1, PO2 / INV-9": 2050}


def test_account_tax_and_tracking_of_each_line_are_by_its_own_order(world: World) -> None:
    world.connectwise.add_location("Newcastle", id=13)
    world.paste("organisations.csv", "Newcastle,,,,,Sydney")
    world.connectwise.add_tax_code("FREE", "FREE", 0)
    received(world, "PO1")
    received(world, "PO2", location="Newcastle", taxCode="FREE")
    said(world)
    (bill,) = world.bills()
    taxes = [line["TaxType"] for line in bill["LineItems"] if line.get("Quantity")]
    assert taxes == ["INPUT", "EXEMPTEXPENSES"]
    assert bill["TotalTax"] == 100


def test_policy_and_lifecycle_have_to_go_together(world: World) -> None:
    received(world, "PO1")
    world.sign("organisation,state,event,status\n,fully_received,draft_bill,draft\n")
    summary = world.cycle()
    assert summary.exit_code == 2
    assert 'vendor_invoice_grouping = "one_bill"' in summary.failed and "fully_received" in summary.failed
    assert (world.to_connectwise.calls, world.to_xero.calls) == ([], [])


def test_a_bill_for_each_receipt_is_one_for_the_invoice_where_policy_says_so(world: World) -> None:
    world.sign(INVOICED.replace("draft_bill", "bill_per_receipt"))
    first = received(world, "PO1", quantity=3)
    receive(world, first, 3)
    received(world, "PO2")
    said(world)
    assert len(world.bills()) == 1


@pytest.mark.parametrize("to", ["bill_per_po", "one_bill"])
def test_another_grouping_merges_and_divides_nothing(tmp_path: Path, to: str) -> None:
    world = buying(tmp_path)
    other = "one_bill" if to == "bill_per_po" else "bill_per_po"
    world.policy(ON.replace("one_bill", other))
    orders = [received(world, number, quantity=4) for number in ("PO1", "PO2")]
    said(world)
    before = {bill["InvoiceID"]: bill["InvoiceNumber"] for bill in world.bills()}
    world.policy(ON.replace("one_bill", to))
    said(world.later(), force=True)
    assert {bill["InvoiceID"]: bill["InvoiceNumber"] for bill in world.bills()} == before
    for order in orders:
        receive(world, order, 6)
    said(world.later())
    assert before.keys() == {bill["InvoiceID"] for bill in world.bills()}, "onto the drafts that are there"
    assert sum(totals(world).values()) == 2000


@pytest.mark.parametrize("posted", [False, True])
def test_an_order_whose_number_shows_only_after_all_lists_comes_later(world: World, posted: bool) -> None:
    """Its change is older than the list of changes reaches, as where a system's clock is off."""
    first = received(world, "PO1", quantity=4) if posted else 0
    second = world.add_order("PO2")
    said(world)
    world.later(days=2)
    world.add_order("PO3")
    said(world)
    world.clock.advance(days=-1)
    receive(world, second, 10)
    world.connectwise.enter_vendor_invoice(second, "INV-9")
    world.connectwise.close_purchase_order(second)
    world.clock.advance(days=1)
    if posted:
        receive(world, first, 6)
    else:
        received(world, "PO1")
    said(world.later())
    assert totals(world) == {"PO1 / INV-9": 1000, "PO2 / INV-9": 1000}
    assert reasons(world) == {"PO2": "vendor_invoice_split"}
    before = world.snapshot()
    said(world.later(), sweep=True)
    assert world.snapshot() == before


# What a bill by hand, a killed cycle or a missing order makes of it


@pytest.mark.parametrize("number", ["PO2", "PO1, PO2", "INV-9 / PO2"])
def test_a_bill_that_a_person_keyed_for_one_of_the_orders_is_not_doubled(world: World, number: str) -> None:
    received(world, "PO1")
    received(world, "PO2")
    supplier = world.books.contacts.find("name", "netgear distribution")[0].contact_id
    amount = 2000 if "PO1" in number else 1000
    world.books.enter_bill(
        supplier,
        number,
        Date=world.clock().date(),
        DueDate=world.clock().date(),
        LineItems=[{"Description": "Switches", "Quantity": Decimal(1), "UnitAmount": Decimal(amount),
                    "AccountCode": "300", "TaxType": "INPUT"}],
    )  # fmt: skip
    said(world)
    assert len(world.bills()) == 1
    assert reasons(world) == ({} if "PO1" in number else {"PO1, PO2": "adopted_differs"})
    said(world.later())
    assert len(world.bills()) == 1


@pytest.mark.parametrize("change", ["", "lower", "bill_per_po", "lost", "back"])
def test_while_the_fate_of_a_shared_bill_is_unknown_none_of_its_orders_gets_another(world: World, change: str) -> None:
    """It may still be on its way, whoever would lead the bill by now; nothing but the same bytes goes out."""
    lower = world.add_order("PO0") if change == "lower" else 0
    first, second = received(world, "PO1"), received(world, "PO2")
    sent: list[bytes] = []

    def plan(request: Any, _number: int) -> Fault | None:
        if request.method != "PUT" or not request.path.endswith("/Invoices"):
            return None
        sent.append(request.body)
        return Fault("before") if request.body == sent[0] else None

    world.to_xero.plan = plan
    world.cycle()
    if change == "lower":
        receive(world, lower, 10)
        world.connectwise.enter_vendor_invoice(lower, "INV-9")
    elif change == "bill_per_po":
        world.policy(ON.replace("one_bill", "bill_per_po"))
    elif change == "lost":
        world.connectwise.enter_vendor_invoice(second, "INV-10")
    elif change == "back":
        world.connectwise.unreceive_line(world.order_lines(first)[0], 0)
    world.later(minutes=1).cycle()
    assert len(sent) > 1
    assert set(sent) == {sent[0]}, "an order whose bill is in doubt got another one"
    world.to_xero.plan = lambda _request, _number: None
    for _ in range(2):
        said(world.later(minutes=20))
    assert (
        totals(world)
        == {
            "": {"PO1, PO2 / INV-9": 2000},
            "lower": {"PO0, PO1, PO2 / INV-9": 3000},
            "bill_per_po": {"PO1 / INV-9": 1000, "PO2 / INV-9": 1000},
            "lost": {"PO1 / INV-9": 1000, "PO2 / INV-10": 1000},
            "back": {"PO2 / INV-9": 1000},
        }[change]
    )
    assert reasons(world) == ({"PO1": "invoiced_not_received"} if change == "back" else {})


def test_an_order_that_connectwise_hides_leaves_the_bill_as_it_is(world: World) -> None:
    first, second = received(world, "PO1", quantity=4), received(world, "PO2")
    said(world)
    world.later().connectwise.delete_purchase_order(second)
    receive(world, first, 6)
    said(world)
    assert totals(world) == {"PO1, PO2 / INV-9": 1400}
    assert reasons(world)["PO1"] == "lines_incomplete"
    said(world.later(), sweep=True)
    told = reasons(world)
    assert told["PO2"] == "source_deleted", told
    assert totals(world) == {"PO1, PO2 / INV-9": 1400}
    said(world.later(), references=["PO2"], take="theirs")
    said(world.later())
    assert totals(world) == {"PO1, PO2 / INV-9": 1400, "PO1 / INV-9": 600}
    assert reasons(world) == {}


def test_orders_that_do_not_fit_on_one_bill_any_more_are_held(world: World) -> None:
    received(world, "PO1")
    second = received(world, "PO2")
    said(world)
    world.later().connectwise.enter_vendor_invoice(second, "INV-10", date(2026, 3, 1))
    said(world)
    assert totals(world) == {"PO1, PO2 / INV-9": 2000}
    assert reasons(world) == {"PO1, PO2": "vendor_invoice_split"}
    world.connectwise.enter_vendor_invoice(second, "INV-9")
    said(world.later())
    assert reasons(world) == {}


def test_what_one_order_waits_for_the_bill_waits_for(world: World) -> None:
    world.policy(ON.replace('"one_bill"', '"one_bill"\nover_receipt = "hold"'))
    received(world, "PO1")
    received(world, "PO2", quantity=12)
    said(world)
    assert world.bills() == []
    assert set(reasons(world).values()) == {"over_receipt"}
    world.policy(ON)
    said(world.later())
    assert totals(world) == {"PO1, PO2 / INV-9": 2200}
    assert world.exceptions() == []


def test_a_removed_bill_stays_so_and_is_made_again_for_all_its_orders(world: World) -> None:
    received(world, "PO1")
    received(world, "PO2")
    said(world)
    world.books.delete(world.bills()[0]["InvoiceID"])
    said(world.later(), sweep=True)
    assert world.bills() == []
    assert reasons(world) == {"PO1, PO2": "removed_in_xero"}
    said(world.later(), references=["PO2"], recreate=True)
    assert totals(world) == {"PO1, PO2 / INV-9": 2000}
    said(world.later(), sweep=True)
    assert len(world.bills()) == 1


def test_a_removed_bill_is_told_of_the_orders_that_are_left_where_connectwise_hides_its_lead(world: World) -> None:
    first = received(world, "PO1")
    received(world, "PO2")
    said(world)
    world.books.delete(world.bills()[0]["InvoiceID"])
    world.connectwise.delete_purchase_order(first)
    said(world.later(), sweep=True)
    assert reasons(world) == {"PO1, PO2": "removed_in_xero"}
    said(world.later())
    assert reasons(world) == {"PO1, PO2": "removed_in_xero"}
    said(world.later(), references=["PO2"], take="theirs")
    assert world.exceptions() == []
    said(world.later(), sweep=True)
    assert (world.bills(), world.exceptions()) == ([], [])


def test_a_dry_run_plans_the_bill_once(world: World) -> None:
    received(world, "PO1")
    received(world, "PO2")
    summary = world.cycle(mode="plan")
    assert summary.counts["planned"] == 1
    assert world.bills() == []


# What is told of it


def statement(world: World) -> tuple[dict[str, str], dict[tuple[str, str], tuple[str, str, str]]]:
    """The tie-out statement of bills: what differs, and both sides by organisation and month."""
    found = reconcile(world)
    return named(found), sums(found)


def test_the_statement_has_a_shared_bill_once_with_what_came_of_all_its_orders(world: World) -> None:
    received(world, "PO1")
    second = received(world, "PO2", freightCost=Decimal(25))
    said(world)
    assert statement(world) == ({}, {("Sydney", "2026-03"): ("2200.00", "2200.00", "0.00")})
    world.books.approve(world.bills()[0]["InvoiceID"])
    world.connectwise.unreceive_line(world.order_lines(second)[0], 8)
    said(world.later())
    differing, both = statement(world)
    assert differing == {"PO1, PO2": "held: receipt_reversed 220.00"}
    assert both == {("Sydney", "2026-03"): ("1980.00", "2200.00", "0.00")}


def test_the_statement_reads_the_orders_beside_one_whose_month_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its list shows them on other pages, or does not show one at all."""
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    orders = [received(world, number) for number in ("PO1", "PO2", "PO3")]
    for order in orders:
        world.connectwise.close_purchase_order(order)
    said(world)
    assert statement(world) == ({}, {("Sydney", "2026-03"): ("3300.00", "3300.00", "0.00")})
    world.connectwise.delete_purchase_order(orders[1])
    differing, both = statement(world)
    assert both[("Sydney", "2026-03")][1:] == ("3300.00", "0.00")
    assert list(differing) == ["PO1, PO2 / INV-9"] or len(differing) == 1


def rows(world: World, name: str) -> list[dict[str, Any]]:
    """A purchase report of this world."""
    return [dict(row) for row in make_report(name, world.doors, None, None, lambda _text: None).rows]


def test_the_reports_know_what_is_on_a_shared_bill(world: World) -> None:
    received(world, "PO1")
    second = received(world, "PO2")
    said(world)
    assert rows(world, "received-without-bill") == []
    (bill,) = world.bills()
    world.books.approve(bill["InvoiceID"])
    world.books.pay(bill["InvoiceID"], bill["Total"])
    assert rows(world, "paid-not-received") == []
    world.connectwise.unreceive_line(world.order_lines(second)[0], 3)
    (row,) = rows(world, "paid-not-received")
    assert (row["po_number"], row["bill_number"], row["received_value"]) == ("PO2", "PO1, PO2 / INV-9", "300.00")


def test_what_waits_on_a_shared_bill_is_why_each_of_its_orders_has_none(world: World) -> None:
    received(world, "PO1")
    received(world, "PO2")
    table = (world.tables / "accounts.csv").read_text()
    world.write("accounts.csv", table.replace(",purchases,product,,,300,\n", ""))
    said(world)
    assert reasons(world) == {"PO1, PO2": "missing_account"}
    assert [row["po_number"] for row in rows(world, "received-without-bill")] == ["PO1", "PO2"]
    assert all("account" in row["why"] for row in rows(world, "received-without-bill"))
    world.write("accounts.csv", table)
    said(world.later())
    assert totals(world) == {"PO1, PO2 / INV-9": 2000}
    assert world.exceptions() == []


def test_a_parallel_run_lays_a_shared_bill_beside_the_one_that_people_keyed(world: World) -> None:
    received(world, "PO1")
    received(world, "PO2")
    supplier = world.books.contacts.find("name", "netgear distribution")[0].contact_id
    world.books.enter_bill(
        supplier,
        "PO2; PO1",
        Date=world.clock().date(),
        DueDate=world.clock().date(),
        LineItems=[{"Description": "Switches", "Quantity": Decimal(20), "UnitAmount": Decimal(100),
                    "AccountCode": "300", "TaxType": "INPUT"}],
    )  # fmt: skip
    (row,) = rows(world, "parallel-run")
    assert (row["reference"], row["verdict"], row["difference"]) == ("PO1, PO2 / INV-9", "matched", "0.00")
    said(world)
    assert [row["verdict"] for row in rows(world, "parallel-run")] == ["matched"]
    assert len(world.bills()) == 1


def test_a_check_of_the_tables_says_that_policy_and_lifecycle_do_not_go_together(world: World) -> None:
    world.sign("organisation,state,event,status\n,fully_received,draft_bill,draft\n")
    with pytest.raises(NotConfigured, match='vendor_invoice_grouping = "one_bill"'):
        check_mappings(["purchase_orders"], world.doors, None, lambda _text: None)
