"""A changed table is for bills that are still to be made: what is posted was coded by the one of its day."""

from __future__ import annotations

from typing import Any

from tests.worlds import World


def test_a_changed_row_does_not_hold_an_approved_bill_when_more_is_received(tmp_path: Any) -> None:
    """Nothing of the first bill changed in ConnectWise, so there is nothing for anybody to do about it."""
    world = World(tmp_path).ready_to_buy()
    world.sign(
        "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
    )
    line = world.order_lines(world.add_order("PO8"))[0]
    rest = world.connectwise.receive_part(line, 3, slip="S1") or 0
    world.cycle()
    (first,) = world.bills()
    world.books.approve(first["InvoiceID"])
    accounts = (world.tables / "accounts.csv").read_text(encoding="utf-8")
    world.write("accounts.csv", accounts.replace(",purchases,product,,,300,", ",purchases,product,,,310,"))
    world.connectwise.receive_line(rest, slip="S2")
    world.later().cycle()
    assert [bill["InvoiceNumber"] for bill in world.bills()] == ["PO8 / S1", "PO8 / S2"]
    assert world.exceptions() == []
