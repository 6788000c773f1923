"""Coverage: which values no row covers, and how many records and how much money wait for each."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from mappings.coverage import HeldRecord, coverage
from mappings.outcomes import Hold, Reason, merge
from mappings.policy import Policy, read_policy

TOLLS = Hold(Reason.MISSING_ACCOUNT, "expense/Tolls", "No row fits.", "Add a row.")
SILVERLEAF = Hold(Reason.MISSING_CONTACT, "Silverleaf", "No contact.", "Create it.")
LOCKED = Hold(Reason.PERIOD_LOCKED, "2026-03-02")
DAY = date(2026, 3, 2)


def held(
    number: int,
    *problems: Hold,
    organisation: str = "Sydney",
    day: date = DAY,
    amount: str = "110.00",
    currency: str = "AUD",
) -> HeldRecord:
    """A record with these problems."""
    return HeldRecord("invoices", number, organisation, day, Decimal(amount), currency, merge(problems))


def test_records_and_money_that_wait_for_a_value_are_added_up() -> None:
    """Per currency, and never over two organisations."""
    found = coverage(
        [
            held(1, TOLLS),
            held(2, TOLLS, amount="90.50"),
            held(3, TOLLS, amount="20.00", currency="EUR"),
            held(4, TOLLS, organisation="Perth"),
        ],
        Policy(),
    )
    assert [(one.organisation, one.value, one.records, one.amounts) for one in found] == [
        ("Perth", "expense/Tolls", 1, {"AUD": Decimal("110.00")}),
        ("Sydney", "expense/Tolls", 3, {"AUD": Decimal("200.50"), "EUR": Decimal("20.00")}),
    ]
    assert {(one.message, one.fix) for one in found} == {("No row fits.", "Add a row.")}


def test_a_record_with_two_problems_waits_for_both() -> None:
    """It counts with its whole total under each; what no table cures is left out."""
    found = coverage([held(1, LOCKED, TOLLS, SILVERLEAF), held(2, LOCKED)], Policy())
    assert [(one.reason, one.records) for one in found] == [
        (Reason.MISSING_CONTACT, 1),
        (Reason.MISSING_ACCOUNT, 1),
    ]


def test_a_record_counts_once_for_a_value_whatever_its_cures() -> None:
    """Two rows name the same account that is gone: both are to be corrected, and one record waits."""
    twice = [Hold(Reason.MISSING_ACCOUNT, "999", f"Row {row}.", f"Correct row {row}.") for row in (2, 3)]
    (found,) = coverage([held(1, *twice)], Policy())
    assert (found.records, found.amounts, found.fix) == (
        1,
        {"AUD": Decimal("110.00")},
        "Correct row 2.\nCorrect row 3.",
    )


def test_one_rate_stands_for_all_days_for_which_it_is_good() -> None:
    """A line for the earliest day, and one for the first day after its rate has become too old."""
    policy = read_policy(b"[currency]\nmax_age_days = 7\n")
    days = [DAY + timedelta(days=days) for days in (9, 0, 7, 15, 16)]
    records = [
        held(number, Hold(Reason.MISSING_RATE, "EUR", "No rate.", f"Add {day}."), day=day, currency="EUR")
        for number, day in enumerate(days)
    ]
    (found,) = coverage(records, policy)
    assert found.records == 5
    assert found.fix.splitlines() == ["Add 2026-03-02.", "Add 2026-03-11."]
