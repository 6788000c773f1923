"""The purchase reports against both systems: what they show, what they cost, and that they write nothing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import (
    BINDINGS,
    CONTACTS,
    EXCEPTIONS,
    FOUND_DOCUMENTS,
    INSTALLATION,
    KEPT_LISTS,
    OUTCOMES,
    PURCHASE_ORDERS,
    RECORDS,
    REQUEST_ROWS,
    REQUESTS,
    RUNS,
    WATERMARKS,
)
from blocks.failures import CannotGoOn, NotConfigured, Unreachable
from flows.reporting import make_report
from mappings.lifecycle import PRESETS
from mappings.reports import COLUMNS, Report, Row
from tests.worlds import LOST, World, answers, day

STATE = (BINDINGS, CONTACTS, EXCEPTIONS, FOUND_DOCUMENTS, INSTALLATION, KEPT_LISTS, OUTCOMES, PURCHASE_ORDERS, RECORDS,
         REQUEST_ROWS, REQUESTS, RUNS, WATERMARKS)  # fmt: skip
"""Everything in the audit but the exchanges themselves, and what the limiter and the token's lease leave behind."""
PER_RECEIPT = (
    "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
    ",reversed,hold,\n"
)
OFF = '[families]\npurchase_orders = "off"'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that buys, and makes a draft bill when everything was received."""
    return World(tmp_path).ready_to_buy()


def report(world: World, name: str, start: str = "", end: str = "") -> Report:
    """A report, which must not write anything: neither into the books nor into the audit."""
    world.audit().close()
    before = world.snapshot(), {table.name: world.rows(table) for table in STATE}
    with world.watching() as seen:
        made = make_report(
            name, world.doors, day(start) if start else None, day(end) if end else None, lambda _text: None
        )
    assert (world.snapshot(), {table.name: world.rows(table) for table in STATE}) == before
    assert all(call.startswith("GET") for call in [*seen.xero, *seen.connectwise])
    assert all(tuple(row) == COLUMNS[name] for row in made.rows)
    return made


def rows(world: World, name: str, **period: str) -> list[Row]:
    return list(report(world, name, **period).rows)


def cycle(world: World, **form: Any) -> None:
    summary = world.cycle(**form)
    assert not summary.failed, summary.failed


def received_order(world: World, number: str, *lines: tuple[str, str, str], **fields: Any) -> int:
    """An order of which everything was received."""
    order = world.add_order(number, *lines, **fields)
    for line in world.order_lines(order):
        world.connectwise.receive_line(line, date=fields.get("poDate"))
    return order


def stranger(world: World) -> None:
    """A vendor that is no contact in Xero."""
    world.connectwise.add_company("CABLECO", "Cable Company", vendor_identifier="V-99")


def key_bill(world: World, reference: str, amount: str, vendor: str = "Netgear Distribution", **fields: Any) -> str:
    """A bill that a person keyed: one line before tax of ten per cent."""
    contact = next(each for each in world.books.contacts if each.name == vendor)
    line = {
        "Description": "Goods",
        "Quantity": 1,
        "UnitAmount": Decimal(amount),
        "AccountCode": "300",
        "TaxType": "INPUT",
    }
    on = world.clock().date().isoformat()
    given = {"Date": on, "DueDate": on, "LineItems": [line], "LineAmountTypes": "Exclusive"}
    found: str = world.books.enter_bill(contact.contact_id, reference, **given | fields)["InvoiceID"]
    return found


# Received without a bill


def test_a_part_receipt_waits_for_the_rest_and_the_report_says_by_which_row(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_part(world.order_lines(order)[0], 3, date=date(2026, 3, 1))
    cycle(world)
    (row,) = rows(world, "received-without-bill")
    assert row == {
        "po_number": "PO7",
        "connectwise_id": order,
        "vendor": "Netgear Distribution",
        "received_value": "300.00",
        "currency": row["currency"],
        "since": "2026-03-01",
        "why": "No bill is made of an order that is partially received (lifecycle.csv row 3: "
        ",partially_received,none,).",
    }


def test_what_is_billed_is_not_shown_and_a_price_that_changed_makes_nothing_unbilled(world: World) -> None:
    order = received_order(world, "PO7")
    cycle(world)
    assert rows(world, "received-without-bill") == []
    world.books.approve(world.bills()[0]["InvoiceID"])
    world.connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    cycle(world.later())
    assert rows(world, "received-without-bill") == []


def test_what_is_held_says_what_the_cycle_said(world: World) -> None:
    world.write("accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n,sales,service,,,200,\n")
    received_order(world, "PO7")
    cycle(world)
    (row,) = rows(world, "received-without-bill")
    messages = [each["message"] for each in world.exceptions()]
    assert messages and row["why"] == " ".join(messages)


def test_of_a_part_that_is_billed_the_report_says_how_much_is_not(world: World) -> None:
    world.sign(PER_RECEIPT)
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    cycle(world)
    world.connectwise.receive_line(rest or 0, slip="S2")
    (row,) = rows(world, "received-without-bill")
    assert row["received_value"] == "1000.00"
    assert str(row["why"]).startswith("700.00 of it is not billed. The next cycle makes the bill (lifecycle.csv row")


def test_a_bill_that_a_person_deleted_in_xero_bills_nothing(world: World) -> None:
    order = received_order(world, "PO7")
    cycle(world)
    world.books.delete(world.bills()[0]["InvoiceID"])
    world.connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    cycle(world.later(), force=True)
    (row,) = rows(world, "received-without-bill")
    assert "deleted" in str(row["why"]), row


def test_before_go_live_everything_since_the_start_date_is_read_and_the_switch_is_the_reason(world: World) -> None:
    world.policy(OFF)
    received_order(world, "PO7")
    received_order(world, "OLD", poDate=date(2025, 12, 31))
    world.connectwise.close_purchase_order(received_order(world, "PO8"))
    found = rows(world, "received-without-bill")
    assert [(row["po_number"], row["why"]) for row in found] == [
        ("PO7", "Purchase orders are off in policy.toml ([families])."),
        ("PO8", "Purchase orders are off in policy.toml ([families])."),
    ]


def test_an_unsigned_lifecycle_is_the_reason_with_who_has_to_sign(world: World) -> None:
    received_order(world, "PO7")
    world.write("lifecycle.csv", PRESETS["manual"])
    (row,) = rows(world, "received-without-bill")
    assert "sign" in str(row["why"]) and "finance lead" in str(row["why"])


def test_orders_from_before_the_start_date_are_nobodys_business_however_lately_they_were_received(world: World) -> None:
    world.add_order("PO1")
    cycle(world)
    received_order(world.later(), "OLD", poDate=date(2025, 12, 31))
    received_order(world, "PO7")
    assert [row["po_number"] for row in rows(world, "received-without-bill")] == ["PO7"]


def test_closed_orders_that_did_not_change_are_not_read_again(world: World) -> None:
    """Only what the audit says is worth a look, beside what a cycle reads in any case."""
    for number in range(5):
        world.connectwise.close_purchase_order(received_order(world, f"PO{number}"))
    cycle(world)
    cycle(world.later(days=1))
    with world.watching() as seen:
        make_report("received-without-bill", world.doors, None, None, lambda _text: None)
    assert [call for call in seen.connectwise if "lineitems" in call] == []
    assert seen.xero == []


# Vendors


def test_a_vendor_that_is_no_contact_is_shown_with_reason_and_cure_until_it_is_one(world: World) -> None:
    stranger(world)
    order = received_order(world, "PO7", vendorCompany="CABLECO")
    received_order(world, "PO8")
    cycle(world)
    made = report(world, "unmapped-vendors")
    (row,) = made.rows
    assert {**row, "vendor_id": 0} == {
        "vendor_id": 0,
        "vendor_identifier": "CABLECO",
        "vendor": "Cable Company",
        "po_number": "PO7",
        "connectwise_id": order,
        "received_value": "1000.00",
        "reason": "missing_contact",
    }
    (cure,) = made.notes
    assert "V-99" in cure and "add to contacts.csv: Sydney,supplier,CABLECO" in cure
    world.books.add_contact("Cable Company", account_number="V-99")
    assert rows(world, "unmapped-vendors") == [], "the list of contacts is read anew before anything is said"


@pytest.mark.parametrize("how", ["off", "manual"])
def test_before_go_live_it_shows_what_would_be_unmapped(world: World, how: str) -> None:
    stranger(world)
    received_order(world, "PO7", vendorCompany="CABLECO")
    received_order(world, "PO8")
    world.add_order("PO9", vendorCompany="CABLECO")
    if how == "off":
        world.policy(OFF)
    else:
        world.sign(PRESETS["manual"])
        cycle(world)
    assert [(row["po_number"], row["reason"]) for row in rows(world, "unmapped-vendors")] == [
        ("PO7", "missing_contact")
    ]


def test_an_archived_contact_is_a_vendor_to_see_to_and_one_that_will_be_made_is_not(world: World) -> None:
    stranger(world)
    world.books.add_contact("Cable Company", account_number="V-99", status="ARCHIVED")
    received_order(world, "PO7", vendorCompany="CABLECO")
    cycle(world)
    assert [row["reason"] for row in rows(world, "unmapped-vendors")] == ["contact_archived"]
    world.connectwise.add_company("NEWCO", "New Company", vendor_identifier="V-100")
    received_order(world, "PO8", vendorCompany="NEWCO")
    world.policy('[families]\npurchase_orders = "on"\n[contacts]\ncreate = "create"')
    assert [row["po_number"] for row in rows(world, "unmapped-vendors")] == ["PO7"]


# Invoiced, or paid, and not received


def test_a_vendor_invoice_without_goods_is_shown_with_what_was_ordered(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.enter_vendor_invoice(order, "INV-1", date(2026, 3, 1))
    other = received_order(world, "PO8")
    world.connectwise.enter_vendor_invoice(other, "INV-2", date(2026, 3, 1))
    world.add_order("PO9")
    for when in ("before any cycle", "after one"):
        assert rows(world, "invoiced-not-received") == [
            {
                "po_number": "PO7",
                "connectwise_id": order,
                "vendor": "Netgear Distribution",
                "vendor_invoice_number": "INV-1",
                "ordered_value": "1000.00",
            }
        ], when
        cycle(world)


def test_goods_that_went_back_after_their_bill_was_paid_are_shown(world: World) -> None:
    order = received_order(world, "PO7")
    received_order(world, "PO8")
    cycle(world)
    for bill in world.bills():
        world.books.approve(bill["InvoiceID"])
        world.books.pay(bill["InvoiceID"], Decimal(500))
    assert rows(world, "paid-not-received") == []
    world.connectwise.unreceive_line(world.order_lines(order)[0], left=4)
    assert rows(world, "paid-not-received") == [
        {
            "po_number": "PO7",
            "connectwise_id": order,
            "bill_number": "PO7",
            "paid": "500.00",
            "received_value": "400.00",
        }
    ]
    world.connectwise.unreceive_line(world.order_lines(order)[0])
    cycle(world.later())
    assert [row["received_value"] for row in rows(world, "paid-not-received")] == ["0.00"]


def test_of_two_bills_the_newer_one_is_for_what_went_back(world: World) -> None:
    world.sign(PER_RECEIPT)
    order = world.add_order("PO8")
    line = world.order_lines(order)[0]
    rest = world.connectwise.receive_part(line, 3, slip="S1") or 0
    cycle(world)
    world.connectwise.receive_line(rest, slip="S2")
    cycle(world.later())
    first, second = sorted(world.bills(), key=lambda bill: str(bill["InvoiceNumber"]))
    for bill in (first, second):
        world.books.approve(bill["InvoiceID"])
    world.books.pay(first["InvoiceID"], Decimal(330))
    world.connectwise.unreceive_line(rest)
    assert rows(world, "paid-not-received") == [], "what is paid is here"
    world.books.pay(second["InvoiceID"], Decimal(100))
    assert [(row["bill_number"], row["paid"]) for row in rows(world, "paid-not-received")] == [("PO8 / S2", "100.00")]


def test_bills_are_read_fifty_a_call(world: World) -> None:
    found = [received_order(world, f"PO{number}") for number in range(60)]
    cycle(world)
    for order in found:
        world.connectwise.unreceive_line(world.order_lines(order)[0])
    with world.watching() as seen:
        make_report("paid-not-received", world.doors, None, None, lambda _text: None)
    assert len(seen.xero) == 2


# The parallel run


def verdicts(world: World, **period: str) -> dict[str, tuple[str, str, str, str]]:
    return {
        str(row["reference"]): (str(row["verdict"]), str(row["ours"]), str(row["theirs"]), str(row["difference"]))
        for row in rows(world, "parallel-run", **period)
    }


@pytest.mark.parametrize("family", ["off", "on"])
def test_a_parallel_run_lays_what_the_sync_would_make_beside_what_people_keyed(world: World, family: str) -> None:
    world.policy(f'[families]\npurchase_orders = "{family}"')
    for number in ("PO7", "PO77", "PO8", "PO9"):
        received_order(world, number)
    world.add_order("PO10")
    key_bill(world, "PO7, INV-1", "1000")
    key_bill(world, "po8", "900")
    key_bill(world, "RENT", "50")
    key_bill(world, "PO-VOID", "50", Status="DRAFT")
    world.books.delete(next(bill["InvoiceID"] for bill in world.bills() if bill["InvoiceNumber"] == "PO-VOID"))
    assert verdicts(world) == {
        "PO7": ("matched", "1100.00", "1100.00", "0.00"),
        "PO77": ("only_sync", "1100.00", "", "1100.00"),
        "PO8": ("different", "1100.00", "990.00", "110.00"),
        "PO9": ("only_sync", "1100.00", "", "1100.00"),
        "RENT": ("only_xero", "", "55.00", "-55.00"),
    }


def test_another_suppliers_bill_that_names_the_order_is_another_bill(world: World) -> None:
    world.books.add_contact("Somebody Else")
    received_order(world, "PO7")
    key_bill(world, "PO7", "1000", vendor="Somebody Else")
    found = rows(world, "parallel-run")
    assert sorted(str(row["verdict"]) for row in found) == ["only_sync", "only_xero"]


def test_what_the_sync_made_already_is_known_by_its_record_whatever_people_renamed(world: World) -> None:
    order = received_order(world, "PO7")
    cycle(world)
    (bill,) = world.bills()
    world.books.edit(bill["InvoiceID"], InvoiceNumber="RENAMED", Reference="", Url="https://example.com/")
    (row,) = rows(world, "parallel-run")
    assert (row["verdict"], row["connectwise_id"], row["ours"], row["theirs"]) == (
        "matched", order, "1100.00", "1100.00",
    )  # fmt: skip
    line = bill["LineItems"][-1]
    world.books.edit(bill["InvoiceID"], LineItems=[line | {"UnitAmount": 90, "LineAmount": None, "TaxAmount": None}])
    (row,) = rows(world, "parallel-run")
    assert (row["verdict"], row["difference"]) == ("different", "110.00")
    world.books.delete(bill["InvoiceID"])
    (row,) = rows(world, "parallel-run")
    assert (row["verdict"], row["theirs"]) == ("only_sync", "")


def test_a_bill_that_people_dated_outside_the_period_is_found_all_the_same(world: World) -> None:
    received_order(world, "PO7", poDate=date(2026, 2, 27))
    key_bill(world, "PO7", "1000")
    key_bill(world, "LATER", "10")
    assert verdicts(world, start="2026-02-01", end="2026-02-28") == {"PO7": ("matched", "1100.00", "1100.00", "0.00")}


def test_a_bill_of_ours_for_an_earlier_order_is_no_surprise(world: World) -> None:
    order = received_order(world, "PO7", poDate=date(2026, 2, 27))
    world.connectwise.enter_vendor_invoice(order, "INV-1", date(2026, 3, 2))
    cycle(world)
    assert verdicts(world, start="2026-03-01", end="2026-03-31") == {
        "PO7 / INV-1": ("matched", "1100.00", "1100.00", "0.00")
    }
    received_order(world, "PO8", poDate=date(2026, 3, 3))
    assert verdicts(world, start="2026-03-03", end="2026-03-31") == {"PO8": ("only_sync", "1100.00", "", "1100.00")}


def test_a_bill_that_was_taken_back_and_removed_is_over(world: World) -> None:
    order = received_order(world, "PO7")
    cycle(world)
    world.connectwise.unreceive_line(world.order_lines(order)[0])
    world.books.delete(world.bills()[0]["InvoiceID"])
    cycle(world.later())
    assert verdicts(world) == {}


def test_each_bill_is_compared_once(world: World) -> None:
    """Three receipts of one order, keyed as one bill by people."""
    world.sign(PER_RECEIPT)
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    world.connectwise.receive_line(rest or 0, slip="S2")
    key_bill(world, "PO8", "700")
    assert verdicts(world) == {
        "PO8 / S1": ("only_sync", "330.00", "", "330.00"),
        "PO8 / S2": ("matched", "770.00", "770.00", "0.00"),
    }


def test_a_bill_that_would_be_held_is_told_of_since_there_is_nothing_to_compare(world: World) -> None:
    stranger(world)
    received_order(world, "PO7", vendorCompany="CABLECO")
    made = report(world, "parallel-run")
    assert made.rows == ()
    (note,) = made.notes
    assert note.startswith("PO7 would be held (missing_contact): Sydney has no contact for Cable Company")


def test_a_parallel_run_needs_a_signed_lifecycle_and_a_period_that_can_be(world: World) -> None:
    with pytest.raises(NotConfigured, match="before it starts"):
        report(world, "parallel-run", start="2026-03-02", end="2026-03-01")
    world.policy("[start_dates]\npurchase_orders = 2027-01-01")
    with pytest.raises(NotConfigured, match="--from names another day"):
        report(world, "parallel-run")
    assert report(world, "parallel-run", start="2026-01-01").rows == ()
    world.write("lifecycle.csv", PRESETS["manual"])
    with world.watching() as seen, pytest.raises(NotConfigured, match="finance lead") as refused:
        report(world, "parallel-run")
    assert refused.value.exit_code == 2 and (seen.xero, seen.connectwise) == ([], [])


# What cannot be


def test_a_report_that_is_not_known_lists_those_that_are(world: World) -> None:
    with pytest.raises(NotConfigured, match=r"no report 'profit'; there are unmapped-vendors, .*parallel-run"):
        make_report("profit", world.doors, None, None, lambda _text: None)
    with pytest.raises(NotConfigured, match="--from"):
        make_report("unmapped-vendors", world.doors, day("2026-03-01"), None, lambda _text: None)


@pytest.mark.parametrize("name", ["parallel-run", "paid-not-received"])
def test_half_a_report_is_none(world: World, name: str) -> None:
    order = received_order(world, "PO7")
    cycle(world)
    world.connectwise.unreceive_line(world.order_lines(order)[0])
    world.xero_fails("GET", "/Invoices", *[LOST] * 20)
    with pytest.raises(Unreachable):
        report(world, name)
    world.xero_fails("GET", "/Invoices", answers(429, headers={"X-Rate-Limit-Problem": "day", "Retry-After": "40000"}))
    with pytest.raises(CannotGoOn, match="make the report again then"):
        report(world, name)


def test_an_order_that_cannot_be_read_is_said_and_the_others_are_shown(world: World) -> None:
    world.policy(OFF)
    order = received_order(world, "PO7")
    received_order(world, "PO8")
    world.connectwise.edit_order_line(world.order_lines(order)[0], unitCost="a lot")
    said: list[str] = []
    made = make_report("received-without-bill", world.doors, None, None, said.append)
    assert [row["po_number"] for row in made.rows] == ["PO8"]
    assert any("PO7" in text and "cannot be read" in text for text in said)
