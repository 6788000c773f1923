"""Credit notes from end to end: what is below zero in ConnectWise is a credit note in Xero, once, to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.worlds import LOST, World

FAMILY = "credit_notes"


@pytest.fixture
def world(tmp_path: Any) -> World:
    return World(tmp_path).ready()


def test_a_credit_memo_becomes_a_credit_note_of_positive_amounts(world: World) -> None:
    world.add_credit_memo("CM-1", "100")
    summary = world.cycle(family=FAMILY)
    assert summary.failed == "" and world.outcomes(summary) == {"CM-1": "posted"}
    note = world.credit_notes()["CM-1"]
    assert (note["Total"], note["TotalTax"], note["Status"]) == (Decimal("110.00"), Decimal("10.00"), "DRAFT")
    (line,) = note["LineItems"]
    assert (line["Quantity"], line["UnitAmount"], line["LineAmount"]) == (1, 100, 100)
    assert world.invoices() == {}


def test_the_second_cycle_asks_nothing_of_xero(world: World) -> None:
    world.add_credit_memo("CM-1")
    world.cycle(family=FAMILY)
    with world.watching() as seen:
        world.later().cycle(family=FAMILY)
    assert seen.idle


def test_a_lost_answer_does_not_double_a_credit_note(world: World) -> None:
    world.add_credit_memo("CM-1")
    world.xero_fails("PUT", "/CreditNotes", LOST)
    world.cycle(family=FAMILY)
    world.later().cycle(family=FAMILY)
    assert list(world.credit_notes()) == ["CM-1"]


def test_an_invoice_is_no_matter_of_credit_notes(world: World) -> None:
    world.add_invoice("40001")
    summary = world.cycle(family=FAMILY)
    assert summary.counts == {"read": 0} and world.invoices() == {} and world.credit_notes() == {}


def test_an_edit_follows_into_the_draft(world: World) -> None:
    memo = world.add_credit_memo("CM-1", "100")
    world.cycle(family=FAMILY)
    (row,) = world.connectwise.rows("product", memo)
    world.connectwise.edit_row("product", row["id"], price=Decimal(-120))
    world.connectwise.edit_invoice(memo, customerPO="PO 7")
    summary = world.later().cycle(family=FAMILY)
    assert world.outcomes(summary) == {"CM-1": "updated"}
    note = world.credit_notes()["CM-1"]
    assert (note["Total"], note["Reference"]) == (Decimal("132.00"), "PO 7")
    assert note["LineItems"][0]["LineItemID"]
