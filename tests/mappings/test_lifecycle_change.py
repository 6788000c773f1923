"""What another lifecycle would do with the orders that are known: said before anybody signs it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.lifecycle import PRESETS, Lifecycle, State, read_lifecycle
from mappings.lifecycle_change import Answered, KnownOrder, changes

TABLES = {name: read_lifecycle(text.encode()) for name, text in PRESETS.items()}
RECEIPT_STATES = (
    State.RAISED, State.PARTIALLY_RECEIVED, State.FULLY_RECEIVED, State.CANCELLED, State.REVERSED,
)  # fmt: skip


def order(
    reference: str,
    *states: State,
    by: Lifecycle,
    organisation: str = "",
    is_open: bool = False,
    unbilled: bool = False,
    has_bill: bool = False,
    has_order: bool = False,
) -> KnownOrder:
    """An order in these states as a cycle under this table left it."""
    return KnownOrder(
        reference, Answered.by(by, organisation, states), is_open, unbilled, has_bill=has_bill, has_order=has_order
    )


def told(after: str, orders: Iterable[KnownOrder]) -> list[str]:
    return [str(change) for change in changes(TABLES[after], list(orders))]


def test_the_same_table_touches_nothing() -> None:
    for table in TABLES.values():
        known = [
            order(state, state, by=table, is_open=True, unbilled=True, has_bill=True, has_order=True)
            for state in RECEIPT_STATES
        ]
        assert changes(table, known) == []


def test_from_nothing_to_bills_every_order_with_something_to_bill_is_named() -> None:
    manual = TABLES["manual"]
    known = [
        order("PO1", State.RAISED, by=manual, is_open=True),
        order("PO3", State.FULLY_RECEIVED, by=manual, unbilled=True),
        order("PO2", State.FULLY_RECEIVED, by=manual, is_open=True, unbilled=True),
        order("PO4", State.CANCELLED, by=manual),
        order("PO5", State.FULLY_RECEIVED, by=manual, has_bill=True),
    ]
    (said,) = told("goods_receipt", known)
    assert said == (
        "PO2, PO3: everything on an order has been received; until now nothing is done, from now on a draft bill is "
        "made for all that was received and not yet billed."
    )


def test_an_order_that_is_billed_and_closed_is_touched_by_no_bill_event() -> None:
    known = [order("PO1", State.FULLY_RECEIVED, by=TABLES["goods_receipt"], has_bill=True)]
    assert told("manual", known) == []


def test_each_state_of_an_order_is_compared_by_itself() -> None:
    both = (State.FULLY_RECEIVED, State.VENDOR_INVOICE_RECEIVED)
    known = [order("PO1", *both, by=TABLES["goods_receipt"], is_open=True, has_bill=True)]
    said = told("full_lifecycle", known)
    assert len(said) == 2
    assert said[0].startswith("PO1: everything on an order has been received; until now a draft bill is made")
    assert said[0].endswith("from now on nothing is done.")
    assert said[1].endswith("from now on a draft bill is made for each receipt that is not yet billed.")


def test_a_purchase_order_in_xero_makes_events_about_it_act() -> None:
    goods, full = TABLES["goods_receipt"], TABLES["full_lifecycle"]
    known = [
        order("PO1", State.CANCELLED, by=goods, has_order=True),
        order("PO2", State.CANCELLED, by=goods),
        order("PO3", State.RAISED, by=goods, is_open=True),
    ]
    assert [change.references for change in changes(full, known)] == [("PO3",), ("PO1",)]


def test_rows_of_an_organisation_count_for_its_orders_alone() -> None:
    manual = TABLES["manual"]
    table = read_lifecycle(b"organisation,state,event,status\nPerth,fully_received,draft_bill,\n")
    known = [
        order("PO1", State.FULLY_RECEIVED, by=manual, organisation="Sydney", unbilled=True),
        order("PO2", State.FULLY_RECEIVED, by=manual, organisation="perth", unbilled=True),
    ]
    assert [change.references for change in changes(table, known)] == [("PO2",)]


def test_another_status_of_the_bill_is_a_difference() -> None:
    manual = read_lifecycle(b"organisation,state,event,status\n,fully_received,draft_bill,draft\n")
    table = read_lifecycle(b"organisation,state,event,status\n,fully_received,draft_bill,authorised\n")
    known = [order("PO1", State.FULLY_RECEIVED, by=manual, unbilled=True)]
    (change,) = changes(table, known)
    assert "until now a draft bill is made" in str(change)
    assert "from now on an approved bill is made" in str(change)


@pytest.mark.parametrize("name", TABLES)
@given(states=st.lists(st.sampled_from(State), unique=True), organisation=st.text())
def test_what_was_answered_survives_being_kept(name: str, states: list[State], organisation: str) -> None:
    answered = Answered.by(TABLES[name], organisation, states)
    assert Answered.from_text(answered.to_text()) == answered
