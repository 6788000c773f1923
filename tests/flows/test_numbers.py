"""Invoice numbers: two records with one number, numbers that change after posting, and numbers that others have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).ready()


def held(world: World) -> dict[int, str]:
    """The reason of each open exception, by record."""
    return {each["connectwise_id"]: each["reason"] for each in world.exceptions()}


def renumber(world: World, record: int, number: str) -> None:
    world.later().connectwise.edit_invoice(record, invoiceNumber=number)


def ids(world: World) -> dict[str, str]:
    """The document of each number in Xero."""
    return {number: each["InvoiceID"] for number, each in world.invoices().items()}


@pytest.mark.parametrize("together", [True, False])
def test_of_two_records_with_one_number_one_is_posted_and_the_other_waits_for_a_number(
    world: World, together: bool
) -> None:
    """Read by one cycle or by two: which of them was first is not said, but none is lost and none is twice."""
    first = world.add_invoice("40001")
    if not together:
        world.cycle()
        world.later()
    second = world.add_invoice("40001", hours="3")
    world.cycle()
    (waits,) = held(world)
    assert held(world) == {waits: "number_conflict"} and waits in (first, second)
    assert together or waits == second
    told = world.exceptions()[0]
    assert "that of another ConnectWise record" in told["message"] and "another number in ConnectWise" in told["fix"]
    world.later().cycle()
    assert len(world.books.invoices()) == 1
    renumber(world, waits, "40001-A")
    assert "posted" in world.outcomes(world.cycle()).values()
    assert world.exceptions() == []
    assert sorted(each["Total"] for each in world.books.invoices()) == [330, 495]


def test_a_number_that_was_taken_is_followed_to_once_it_is_free(world: World) -> None:
    """The record that has it gets another one; the edit that waited needs no second hand."""
    first, second = world.add_invoice("40001"), world.add_invoice("40002")
    world.cycle()
    before = ids(world)
    renumber(world, first, "40002")
    world.cycle()
    assert held(world) == {first: "number_conflict"}
    renumber(world, second, "40003")
    for _ in range(2):
        world.cycle()
        world.later()
    assert world.exceptions() == []
    assert ids(world) == {"40002": before["40001"], "40003": before["40002"]}


def test_numbers_that_are_swapped_are_held_with_a_way_out(world: World) -> None:
    """Neither can go first; a third number for one of them settles both."""
    first, second = world.add_invoice("40001"), world.add_invoice("40002")
    world.cycle()
    before = ids(world)
    world.later().connectwise.edit_invoice(first, invoiceNumber="40002")
    world.connectwise.edit_invoice(second, invoiceNumber="40001")
    world.cycle()
    assert held(world) == dict.fromkeys((first, second), "number_conflict")
    assert ids(world) == before
    renumber(world, first, "40009")
    world.cycle()
    world.later().cycle()
    assert world.exceptions() == []
    assert ids(world) == {"40009": before["40001"], "40001": before["40002"]}


def test_a_new_record_with_a_number_that_an_edit_frees_is_posted_by_the_next_cycle(world: World) -> None:
    """New documents go out before edits, so this one comes too early by one cycle."""
    first = world.add_invoice("40001")
    world.cycle()
    before = ids(world)["40001"]
    renumber(world, first, "40001-OLD")
    world.add_invoice("40001", hours="3")
    world.cycle()
    world.later().cycle()
    assert world.exceptions() == []
    now = ids(world)
    assert now.keys() == {"40001", "40001-OLD"} and now["40001-OLD"] == before


def test_of_two_edits_to_one_number_one_follows_and_the_other_is_told(world: World) -> None:
    """The number is free when both are decided on; Xero gives it to one."""
    records = [world.add_invoice(number) for number in ("40001", "40002")]
    world.cycle()
    world.later()
    for record in records:
        world.connectwise.edit_invoice(record, invoiceNumber="40009", customerPO="PO-9")
    world.cycle()
    (waits,) = held(world)
    assert held(world) == {waits: "number_conflict"}
    assert "40009" in ids(world) and len(ids(world)) == 2
    renumber(world, waits, "40010")
    world.cycle()
    assert world.exceptions() == []
    assert {each["Reference"] for each in world.books.invoices()} == {"PO-9"}
    assert ids(world).keys() == {"40009", "40010"}


def test_a_number_that_a_person_changed_in_xero_stays_hers(world: World) -> None:
    """ConnectWise says nothing new about it; where it does, she decides."""
    number = world.add_invoice("40001")
    world.cycle()
    xero_id = ids(world)["40001"]
    world.books.edit(xero_id, InvoiceNumber="HERS-1")
    world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert ids(world) == {"HERS-1": xero_id}
    renumber(world, number, "40001-A")
    world.cycle()
    assert held(world) == {number: "edited_in_xero"}
