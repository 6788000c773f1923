"""One vendor invoice over several purchase orders, `bill_per_po`: each bill names the other orders of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blocks.connectwise import client
from tests.flows.test_bills import said, with_perth
from tests.worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that buys, and makes a draft bill when everything was received."""
    return World(tmp_path).ready_to_buy()


def received(world: World, number: str, invoice: str = "", **fields: Any) -> int:
    """An order of which everything was received, perhaps with its vendor's invoice."""
    order = world.add_order(number, **fields)
    world.connectwise.receive_line(world.order_lines(order)[0])
    if invoice:
        world.connectwise.enter_vendor_invoice(order, invoice)
    return order


def notes(world: World, organisation: str = "") -> dict[str, str]:
    """What each live bill says of other orders, by the order that it is for."""
    return {
        bill["Reference"]: next(
            (line["Description"] for line in bill["LineItems"] if line["Description"].startswith("The vendor's")), ""
        )
        for bill in world.bills(organisation)
    }


def test_each_bill_names_the_other_orders_of_its_vendor_invoice(world: World) -> None:
    for number in ("PO1", "PO2", "PO3"):
        received(world, number, "INV-9")
    received(world, "PO4", "INV-10")
    assert said(world) == {"read": 4, "posted": 4}
    assert notes(world) == {
        "PO1": "The vendor's invoice INV-9 also covers the purchase orders PO2, PO3.",
        "PO2": "The vendor's invoice INV-9 also covers the purchase orders PO1, PO3.",
        "PO3": "The vendor's invoice INV-9 also covers the purchase orders PO1, PO2.",
        "PO4": "",
    }
    line = next(line for line in world.bills()[0]["LineItems"] if "also covers" in line["Description"])
    assert not line.get("LineAmount") and not line.get("Quantity") and not line.get("AccountCode")
    assert said(world.later()) == {"read": 4, "unchanged": 4}


def test_the_number_is_the_same_whatever_its_blanks_and_case_but_not_that_of_another_vendor(world: World) -> None:
    world.add_vendor("INGRAM", "Ingram Micro", "V-78")
    received(world, "PO1", "Inv-9")
    received(world, "PO2", " INV-9 ")
    received(world, "PO3", "INV-9", vendorCompany="INGRAM")
    said(world)
    assert notes(world) == {
        "PO1": "The vendor's invoice Inv-9 also covers the purchase order PO2.",
        "PO2": "The vendor's invoice INV-9 also covers the purchase order PO1.",
        "PO3": "",
    }


def test_orders_on_different_pages_name_each_other_in_the_same_cycle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    for number in ("PO1", "PO2", "PO3"):
        received(world, number, "INV-9")
    assert said(world) == {"read": 3, "posted": 3}
    assert all(text.endswith(f"{a}, {b}.") for text, a, b in zip(
        notes(world).values(), ("PO2", "PO1", "PO1"), ("PO3", "PO3", "PO2"), strict=True
    ))  # fmt: skip


@pytest.mark.parametrize("closed", [False, True])
def test_a_draft_follows_when_another_order_gets_the_number_or_loses_it(world: World, closed: bool) -> None:
    """Also that of an order which is closed, and of which ConnectWise lists nothing any more."""
    first = received(world, "PO1", "INV-9")
    if closed:
        world.connectwise.close_purchase_order(first)
    said(world)
    assert notes(world) == {"PO1": ""}
    second = received(world.later(days=2), "PO2", "INV-9")
    said(world)
    assert notes(world)["PO1"] == "The vendor's invoice INV-9 also covers the purchase order PO2."
    world.later(days=2).connectwise.enter_vendor_invoice(second, "INV-10")
    assert said(world)["updated"] == 2
    assert notes(world) == {"PO1": "", "PO2": ""}
    with world.later(days=2).watching() as seen:
        said(world)
    assert not seen.xero


def test_an_approved_bill_stays_and_nothing_is_said_of_it(world: World) -> None:
    received(world, "PO1", "INV-9")
    said(world)
    world.books.approve(world.bills()[0]["InvoiceID"])
    before = world.bills()[0]
    received(world.later(), "PO2", "INV-9")
    said(world)
    said(world.later(), sweep=True)
    assert world.bills()[0] == before
    assert world.exceptions() == []
    assert notes(world)["PO2"] == "The vendor's invoice INV-9 also covers the purchase order PO1."


def test_a_bill_names_the_orders_of_another_organisation_too(world: World) -> None:
    """Who compares the vendor's paper with the books has to know where the rest of it is."""
    with_perth(world)
    received(world, "PO1", "INV-9")
    received(world, "PO2", "INV-9", location="Perth")
    said(world)
    assert "PO2" in notes(world)["PO1"] and "PO1" in notes(world, "Perth")["PO2"]


def test_a_draft_that_does_not_follow_the_vendor_invoice_keeps_what_it_says(world: World) -> None:
    first = received(world, "PO1", "INV-9")
    received(world, "PO2", "INV-9")
    said(world)
    before = notes(world)
    world.sign("organisation,state,event,status\n,fully_received,none,\n")
    received(world.later(), "PO3", "INV-9")
    world.connectwise.edit_order_line(world.order_lines(first)[0], description="Switch, 24 ports")
    said(world)
    assert notes(world) == before


def test_what_a_cycle_of_one_named_order_leaves_is_made_up_for_by_the_next(world: World) -> None:
    first = received(world, "PO1", "INV-9")
    world.connectwise.close_purchase_order(first)
    said(world)
    received(world.later(days=2), "PO2", "INV-9")
    said(world, references=["PO2"])
    assert notes(world)["PO1"] == "", "only the named order is written"
    said(world.later(days=2))
    assert "PO2" in notes(world)["PO1"]
