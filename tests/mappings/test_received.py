"""What an order comes to on ConnectWise's side of the statement: bill by bill, and what is on no bill yet."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.billing import FREIGHT, Billed
from mappings.bills import to_xero_bill
from mappings.connectwise import SourcePurchaseOrder
from mappings.lifecycle import PRESETS, State, read_lifecycle
from mappings.outcomes import Outcome
from mappings.received import dated, due_of, gross_of, net_of, not_asked_for
from mappings.reconcile import Booked, Figure, Known, Pair, Period, Sourced, Written, explain
from mappings.xero import Document
from tests.mappings.orders import bill, line, order
from tests.mappings.test_bills import world


def held(n: int, quantities: dict[str, object], state: str = "draft") -> Billed:
    """A bill that is there: a draft, approved, or gone."""
    whole = {key: Decimal(str(value)) for key, value in quantities.items()}
    return Billed(n, "", whole, state == "draft", state == "gone")


def due(source: SourcePurchaseOrder, *there: Billed, freight: str = "never") -> tuple[dict[int, str], str]:
    """What each bill should hold, and what is on none, as text."""
    found = due_of(source, there, freight)
    return {n: shown(each) for n, each in found.bills.items()}, shown(found.unbilled)


def shown(quantities: object) -> str:
    assert isinstance(quantities, dict)
    return ", ".join(f"{key} {value.normalize():f}" for key, value in sorted(quantities.items()))


# Which bill holds what


def test_what_was_received_is_laid_on_the_bills_that_hold_it() -> None:
    source = order(line(received=10), line(2, received=3), line(3))
    assert due(source) == ({}, "line:1 10, line:2 3")
    assert due(source, held(1, {"line:1": 4}, "approved")) == ({1: "line:1 4"}, "line:1 6, line:2 3")


def test_what_was_taken_back_comes_off_what_is_gone_then_drafts_then_approved_bills() -> None:
    there = [held(1, {"line:1": 4}, "approved"), held(2, {"line:1": 3}), held(3, {"line:1": 3}, "gone")]
    assert due(order(line(received=8)), *there) == ({1: "line:1 4", 2: "line:1 3", 3: "line:1 1"}, "")
    assert due(order(line(received=2)), *there) == ({1: "line:1 2", 2: "", 3: ""}, "")


def test_of_a_line_that_is_not_shown_any_more_nothing_is_due() -> None:
    assert due(order(line(2, received=3)), held(1, {"line:1": 4, "line:2": 3})) == ({1: "line:2 3"}, "")


@pytest.mark.parametrize(
    ("rule", "closed", "received", "expected"),
    [
        ("never", True, 10, "line:1 10"),
        ("first_bill", False, 10, "freight 1, line:1 10"),
        ("first_bill", True, 0, ""),
        ("full_close", False, 10, "line:1 10"),
        ("full_close", True, 10, "freight 1, line:1 10"),
        ("full_close", True, 0, ""),
        ("separate_bill", True, 10, "freight 1, line:1 10"),
    ],
)
def test_freight_is_due_when_policy_bills_it(rule: str, closed: bool, received: int, expected: str) -> None:
    source = order(line(received=received), freightCost=Decimal(30), closedFlag=closed)
    assert due(source, freight=rule) == ({}, expected)
    assert due(source, held(1, {FREIGHT: 1, "line:1": received}), freight=rule)[1] == ""


# How much that is


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.decimals(Decimal("0.01"), Decimal(900), places=4, allow_nan=False),
            st.integers(0, 40),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    st.decimals(0, 50, places=2, allow_nan=False),
)
def test_it_is_what_the_bill_is_mapped_to_whenever_that_is_not_held(
    rows: list[tuple[int, Decimal, int, bool]], freight: Decimal
) -> None:
    """To the cent: lines that were not rounded, parts of a line's tax, freight."""
    lines = [
        line(n, ordered, ordered, cost, **({} if taxed else {"tax": Decimal(0)}))
        for n, (ordered, cost, _, taxed) in enumerate(rows, start=1)
    ]
    source = order(*lines, freightCost=freight)
    quantities = {f"line:{n}": Decimal(min(part, ordered)) for n, (ordered, _, part, _) in enumerate(rows, start=1)}
    quantities = {key: part for key, part in quantities.items() if part} | ({FREIGHT: Decimal(1)} if freight else {})
    found = to_xero_bill(bill(source, quantities), world())
    if isinstance(found, Document):
        assert (found.subtotal, found.total) == (net_of(source, quantities), gross_of(source, quantities))


def test_what_came_on_a_line_of_nothing_is_taxed_as_its_product() -> None:
    product = {"id": 301, "identifier": "ITEM-1"}
    source = order(line(received=10), line(2, 0, 2, product=product, receivedStatus="Waiting", tax=Decimal(0)))
    assert gross_of(source, {"line:2": Decimal(2)}) == 220


def test_its_date_is_that_of_the_vendor_invoice_else_of_the_last_receipt_else_of_the_end() -> None:
    lines = (line(received=10), line(2, received=1, dateReceived="2026-03-09T00:00:00Z"))
    assert dated(order(*lines, vendorInvoiceDate="2026-02-27T00:00:00Z"), ["line:1"]) == date(2026, 2, 27)
    assert dated(order(*lines), ["line:1"]) == date(2026, 3, 2)
    assert dated(order(*lines), ["line:1", "line:2"]) == date(2026, 3, 9)
    ended = order(line(received=10, dateReceived=None), dateClosed="2026-03-11T00:00:00Z")
    assert dated(ended, ["line:1"]) == date(2026, 3, 11)


# Why it waits


@pytest.mark.parametrize(
    ("preset", "state", "invoiced", "asked"),
    [
        ("goods_receipt", State.FULLY_RECEIVED, False, True),
        ("goods_receipt", State.PARTIALLY_RECEIVED, False, False),
        ("goods_receipt", State.PARTIALLY_RECEIVED, True, False),
        ("full_lifecycle", State.FULLY_RECEIVED, False, False),
        ("full_lifecycle", State.PARTIALLY_RECEIVED, True, True),
        ("full_lifecycle", State.REVERSED, True, False),
        ("manual", State.FULLY_RECEIVED, True, False),
    ],
)
def test_what_the_lifecycle_does_not_ask_for_is_said_with_its_row(
    preset: str, state: State, invoiced: bool, asked: bool
) -> None:
    said = not_asked_for(read_lifecycle(PRESETS[preset].encode()), "Sydney", state, invoiced)
    assert bool(said) is not asked
    assert asked or ("lifecycle.csv row" in said and state.value.replace("_", " ") in said)


def test_a_state_without_a_row_is_said_too() -> None:
    table = read_lifecycle(b"organisation,state,event,status\n,fully_received,draft_bill,\n")
    assert "lifecycle.csv has no row" in not_asked_for(table, "", State.PARTIALLY_RECEIVED, False)


MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))
UNCHANGED = Known(Outcome.UNCHANGED)
HELD = Known(Outcome.HELD, "receipt_reversed", "Taken back.")


def figure(total: str) -> Figure:
    return Figure("Sydney", "AUD", date(2026, 3, 2), Decimal(total))


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        # Waits for the lifecycle, unless something else keeps it first.
        (Pair(Sourced(7001, "PO7", figure("110"), asked="No row.")), ("waiting", "lifecycle")),
        (Pair(Sourced(7001, "PO7", figure("110"), asked="No row."), known=HELD), ("held", "receipt_reversed")),
        (Pair(Sourced(7001, "PO7", figure("110"), pending=True, asked="No row.")), ("waiting", "not_read_yet")),
        # Taken back, and a person settled it; while it waits, that.
        (
            Pair(Sourced(7001, "PO7", None), Booked("x", "PO7", figure("110"), "AUTHORISED"),
                 Written(7001, "PO7", figure("110"), figure("110"), taken_back=True), UNCHANGED),
            ("hand_edit", "taken"),
        ),
        (
            Pair(Sourced(7001, "PO7", None), Booked("x", "PO7", figure("110"), "AUTHORISED"),
                 Written(7001, "PO7", figure("110"), figure("110"), taken_back=True), HELD),
            ("held", "receipt_reversed"),
        ),
        # Tax that is left to people.
        (
            Pair(Sourced(7001, "PO7", figure("100")), Booked("x", "PO7", figure("110"), "DRAFT"),
                 Written(7001, "PO7", figure("110"), figure("110"), left_tax=True), UNCHANGED),
            ("skipped", "draft_gaps"),
        ),
        # Nothing of all that: no name.
        (
            Pair(Sourced(7001, "PO7", figure("100")), Booked("x", "PO7", figure("110"), "DRAFT"),
                 Written(7001, "PO7", figure("110"), figure("110")), UNCHANGED),
            ("", ""),
        ),
    ],
)  # fmt: skip
def test_a_difference_of_a_bill_is_called_what_there_is_evidence_of(pair: Pair, expected: tuple[str, str]) -> None:
    (found,) = explain(pair, "purchase_orders", MARCH)
    assert (found.kind.value if found.kind else "", found.reason) == expected
