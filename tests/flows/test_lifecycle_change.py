"""Another lifecycle is signed in mid-life: no second bill, none lost, and whom it touches is told beforehand."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from blocks.audit import orders
from mappings.lifecycle import PRESETS, read_lifecycle
from mappings.lifecycle_change import changes
from tests.worlds import World


def in_every_state(world: World) -> dict[str, int]:
    """An order in each state that comes about without a bill, by its number."""
    made = {
        name: world.add_order(name)
        for name in ("RAISED", "PART", "FULL", "FULL OPEN", "CANCELLED", "INVOICED", "PART INVOICED")
    }
    systems = world.connectwise
    for name in ("PART", "PART INVOICED"):
        systems.receive_part(world.order_lines(made[name])[0], 3, slip="S1")
    for name in ("FULL", "FULL OPEN", "INVOICED"):
        systems.receive_line(world.order_lines(made[name])[0], slip="S1")
    systems.close_purchase_order(made["FULL"])
    systems.cancel_purchase_order(made["CANCELLED"])
    for name in ("INVOICED", "PART INVOICED"):
        systems.enter_vendor_invoice(made[name], f"V-{name}")
    return made


def with_bills_in_every_state(world: World) -> dict[str, int]:
    """Orders whose bill (where the table makes one) is approved, paid, removed, or its goods taken back."""
    made = {name: world.add_order(name) for name in ("APPROVED", "PAID", "REMOVED", "REVERSED")}
    for name, order in made.items():
        world.connectwise.receive_line(world.order_lines(order)[0], slip="S1")
        world.connectwise.enter_vendor_invoice(order, f"V-{name}")
    cycle(world)
    for bill in world.bills():
        number = bill["Reference"]
        if number in ("APPROVED", "PAID"):
            world.books.approve(bill["InvoiceID"])
        if number == "PAID":
            world.books.pay(bill["InvoiceID"], bill["Total"])
        if number == "REMOVED":
            world.books.delete(bill["InvoiceID"])
    world.connectwise.unreceive_line(world.order_lines(made["REVERSED"])[0])
    return made


def cycle(world: World) -> dict[str, str]:
    """One cycle; how each record ended in it."""
    summary = world.later().cycle()
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def billed(world: World) -> dict[str, Decimal]:
    """What the live bills of each order come to, before tax."""
    sums: dict[str, Decimal] = {}
    for bill in world.bills():
        sums[bill["Reference"]] = sums.get(bill["Reference"], Decimal(0)) + Decimal(str(bill["SubTotal"]))
    return sums


def received(world: World, made: dict[str, int]) -> dict[str, Decimal]:
    """What was received of each order, before tax."""
    lines = {name: world.connectwise.rows("purchase_order_line", order) for name, order in made.items()}
    return {
        name: sum((line["receivedQuantity"] * line["unitCost"] for line in group), Decimal(0))
        for name, group in lines.items()
    }


def touched(world: World, preset: str) -> set[str]:
    """The orders that `tieout lifecycle verify` names for this table."""
    audit = world.audit()
    try:
        found = changes(read_lifecycle(PRESETS[preset].encode()), orders.as_left(audit))
    finally:
        audit.close()
    return {reference for change in found for reference in change.references}


@pytest.mark.parametrize(("before", "after"), list(permutations(PRESETS, 2)))
def test_no_second_bill_and_none_lost(tmp_path: Any, before: str, after: str) -> None:
    world = World(tmp_path).ready_to_buy(before)
    made = in_every_state(world) | with_bills_in_every_state(world)
    cycle(world)
    there, named = {bill["InvoiceID"]: bill for bill in world.bills()}, touched(world, after)

    world.sign(PRESETS[after])
    ended = cycle(world)

    written = {number for number, outcome in ended.items() if outcome.startswith(("posted", "updated"))}
    assert written <= named
    now = {bill["InvoiceID"]: bill for bill in world.bills()}
    assert {number: now.get(number) for number in there} == there
    assert not {outcome for outcome in cycle(world).values() if outcome.startswith(("posted", "updated"))}

    # Everything arrives, and every vendor's invoice: each thing is on one bill, whichever table wrote it.
    for name in ("RAISED", "PART", "PART INVOICED"):
        for line in world.connectwise.rows("purchase_order_line", made[name]):
            if line["receivedStatus"] == "Waiting":
                world.connectwise.receive_line(line["id"], slip="S2")
        world.connectwise.enter_vendor_invoice(made[name], f"V-{name}")
    for preset in (after, before, after):
        world.sign(PRESETS[preset])
        cycle(world)
        cycle(world)
        sums, got = billed(world), received(world, made)
        assert {name: total for name, total in sums.items() if total > got[name]}.keys() <= {"REVERSED"}
    if "manual" not in (before, after):
        whole = made.keys() - {"CANCELLED", "REMOVED", "REVERSED"}
        assert {name: sums.get(name) for name in whole} == {name: got[name] for name in whole}
