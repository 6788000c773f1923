"""A draft of which nothing was left, and which a person therefore deleted: it is over, whatever comes later."""

from __future__ import annotations

from typing import Any

from tests.worlds import World


def test_what_is_received_again_after_its_empty_draft_was_deleted_is_billed_without_a_word_about_the_old_one(
    tmp_path: Any,
) -> None:
    """She did what was asked of her; the further bill is the only one, and nothing is held."""
    world = World(tmp_path).ready_to_buy()
    (line,) = world.order_lines(world.add_order("PO1"))
    world.connectwise.receive_line(line)
    world.cycle()
    world.connectwise.unreceive_line(line)
    world.later().cycle()
    assert [each["reason"] for each in world.exceptions()] == ["receipt_reversed"]
    world.books.delete(world.bills()[0]["InvoiceID"])
    world.later().cycle()
    assert world.exceptions() == []
    world.connectwise.receive_line(line)
    assert world.later().cycle().counts["posted"] == 1
    assert world.exceptions() == []
    assert [bill["SubTotal"] for bill in world.bills()] == [1000]
