"""What is paid on one invoice on either side: a difference is called what there is evidence of, or nothing at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.outcomes import Outcome
from mappings.reconcile import Heading, Kind, Known, PaidOn, Period, Reconciliation, explain_paid

ROW = Heading("payments", "Sydney", "AUD", "2026-03")
DONE = Known(Outcome.UNCHANGED)
HELD = Known(Outcome.HELD, "overpayment", "Too much.")


def paid(here: str | None, there: str, ours: str = "0", removed: str = "0", **fields: object) -> PaidOn:
    """An invoice with what is paid on it."""
    one = PaidOn(
        39001, "40001", ROW, None if here is None else Decimal(here), Decimal(there), Decimal(ours), Decimal(removed),
        xero_id="I-1", status="AUTHORISED", known=DONE,
    )  # fmt: skip
    return replace(one, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "kind", "reason"),
    [
        (paid(None, "100", "100"), Kind.MISSING_IN_CONNECTWISE, ""),
        (paid("100", "0", unsettled=True, pending=True, known=HELD), Kind.WAITING, "unsettled"),
        (paid("100", "0", pending=True, known=HELD), Kind.WAITING, "not_read_yet"),
        (paid("400", "0", known=HELD), Kind.HELD, "overpayment"),
        (paid("100", "0", known=Known(Outcome.REJECTED, "refused_by_xero")), Kind.REJECTED, "refused_by_xero"),
        (paid("100", "0", known=Known(Outcome.DEFERRED, "waits_for_invoice")), Kind.WAITING, "waits_for_invoice"),
        (paid("100", "0", known=Known(Outcome.SKIPPED)), Kind.SKIPPED, "direction"),
        (paid("100", "60", accepted=True), Kind.HAND_EDIT, "taken"),
        (paid("100", "160", "100"), Kind.HAND_EDIT, "paid"),
        (paid("0", "60"), Kind.HAND_EDIT, "paid"),
        (paid("100", "0", removed="100"), Kind.HAND_EDIT, "removed"),
        (paid("100", "30", removed="100"), Kind.HAND_EDIT, "removed"),
        (paid("100", "0", status="VOIDED"), Kind.HAND_EDIT, "voided"),
        # Without evidence: more by us than ConnectWise says, less without a removal, nobody ever looked.
        (paid("70", "100", "100"), None, ""),
        (paid("100", "60", "60", removed="30"), None, ""),
        (paid("100", "0", known=None), None, ""),
    ],
)
def test_a_difference_is_called_what_there_is_evidence_of(one: PaidOn, kind: Kind | None, reason: str) -> None:
    """The first that applies."""
    found = explain_paid(one)
    assert found is not None
    assert (found.kind, found.reason) == (kind, reason)
    assert found.amount == one.there - (one.here or 0)


@pytest.mark.parametrize(
    ("here", "there", "count"), [("100", "0", -1), ("0", "100", 1), ("100", "70", 0), (None, "5", 1)]
)
def test_an_invoice_counts_on_the_side_on_which_it_is_paid(here: str | None, there: str, count: int) -> None:
    """Once, however many payments it has."""
    found = explain_paid(paid(here, there))
    assert found is not None and found.count == count


def test_both_figures_are_told() -> None:
    """In the currency of the row."""
    found = explain_paid(paid("100", "160.50", "100"))
    assert found is not None
    assert found.message == ("Somebody entered a payment in Xero that ConnectWise does not have: 100.00 -> 160.50 AUD.")


AMOUNTS = st.sampled_from([Decimal(0), Decimal("33.35"), Decimal(100), Decimal("330.00")])
ONES = st.builds(
    PaidOn,
    st.integers(1, 99),
    st.just("40001"),
    st.sampled_from([ROW, replace(ROW, month="2026-02"), replace(ROW, currency="NZD")]),
    st.none() | AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    known=st.sampled_from([None, DONE, HELD]),
    status=st.sampled_from(["", "AUTHORISED", "VOIDED"]),
    pending=st.booleans(),
)


@given(st.lists(ONES, max_size=6))
def test_what_has_no_cause_is_what_the_sums_leave_over(ones: list[PaidOn]) -> None:
    """The sums of both sides and the list of differences are reckoned apart, and agree."""
    statement = Reconciliation("payments", Period(date(2026, 1, 1), date(2026, 12, 31)))
    for one in ones:
        statement.count_paid(one)
        if (difference := explain_paid(one)) is not None:
            statement.add([difference])
    found = statement.statement()
    for row in found.rows:
        left = [each for each in found.unexplained if each.heading == row.heading]
        assert row.unexplained.amount == sum((each.amount for each in left), Decimal(0))
        assert row.unexplained.count == sum(each.count for each in left)
    assert found.tied_out is not bool(found.unexplained)
