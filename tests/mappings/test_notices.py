"""What a mail tells: what is new, due again or done, grouped by its cure, and quiet when nothing changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.notices import Case, Notice, causes, notices
from mappings.outcomes import EXPLANATIONS, Reason

NOW = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
ROW = "Add to accounts.csv: Sydney,sales,expense,Tolls,,<account_code>,"


def case(number: int, **fields: object) -> Case:
    """An exception of one invoice, never mailed."""
    given: dict[str, object] = {
        "id": number, "connectwise_id": number, "part": "", "reference": f"400{number:02}", "organisation": "Sydney",
        "reason": "missing_account", "value": "expense/Tolls", "message": "No row fits expense Tolls.", "fix": ROW,
        "amount": "10.00", "currency": "AUD",
    }  # fmt: skip
    return Case(**given | fields)  # type: ignore[arg-type]


def mailed(known: Case, ago: timedelta = timedelta(hours=6)) -> Case:
    """The same, told by a mail."""
    return replace(known, mailed_at=NOW - ago, mailed_as=known.saying)


def resolved(known: Case) -> Case:
    return replace(known, resolved=True)


def tell(*cases: Case) -> list[Notice]:
    return notices("invoices", cases, NOW, WEEK)


def told(notice: Notice) -> dict[str, list[str]]:
    """References by what is said of them."""
    return {
        "new": [each.reference for cause in notice.new for each in cause.cases],
        "repeated": [each.reference for cause in notice.repeated for each in cause.cases],
        "resolved": [each.reference for each in notice.resolved],
    }


def test_nothing_is_told_when_nothing_changed() -> None:
    assert tell() == []
    assert tell(mailed(case(1)), mailed(case(2), WEEK - timedelta(seconds=1))) == []


def test_what_was_not_mailed_yet_is_new_and_what_was_is_counted_only() -> None:
    (notice,) = tell(case(1), mailed(case(2)))
    assert told(notice) == {"new": ["40001"], "repeated": [], "resolved": []}
    assert notice.silent == 1


def test_what_is_still_open_after_the_days_of_repetition_is_told_again() -> None:
    (notice,) = tell(mailed(case(1), WEEK), mailed(case(2)))
    assert told(notice) == {"new": [], "repeated": ["40001"], "resolved": []}


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"reason": "missing_tax"}, True),
        ({"value": "expense/Parking"}, True),
        ({"message": "accounts.csv row 14 names account 265, which is archived in Sydney."}, True),
        ({"message": "The limit is used up until about 2026-03-09 18:00 UTC."}, False),
        ({"amount": "11.00"}, False),
    ],
)
def test_an_exception_that_says_something_else_is_new_and_other_figures_alone_are_not(
    change: dict[str, str], new: bool
) -> None:
    known = mailed(case(1, message="The limit is used up until about 2026-03-08 12:00 UTC."))
    assert bool(tell(replace(known, **change))) is new  # type: ignore[arg-type]


def test_what_was_resolved_after_a_mail_is_told_once_for_each_record() -> None:
    """It waited for one thing, then for another: the bookkeeper has one invoice less to think of."""
    first, second = mailed(case(1)), mailed(case(2, connectwise_id=1, reference="40001", reason="missing_tax"))
    (notice,) = tell(resolved(first), resolved(second))
    assert told(notice) == {"new": [], "repeated": [], "resolved": ["40001"]}
    assert notice.settled == (1, 2)
    assert notice.resolved[0].reason == "missing_tax"


def test_a_record_that_waits_for_something_else_now_is_not_resolved() -> None:
    (notice,) = tell(resolved(mailed(case(1))), case(2, connectwise_id=1, reference="40001", reason="missing_tax"))
    assert told(notice) == {"new": ["40001"], "repeated": [], "resolved": []}
    assert notice.settled == ()


def test_another_part_of_the_record_that_is_done_is_told() -> None:
    """Two receipts of one purchase order are two things to do."""
    (notice,) = tell(resolved(mailed(case(1, part="R1"))), mailed(case(2, connectwise_id=1, part="R2")))
    assert len(notice.resolved) == 1


def test_each_organisation_has_a_mail_of_its_own_and_so_has_what_is_not_routed_yet() -> None:
    found = tell(case(1), case(2, organisation="Perth"), case(3, organisation=""), case(4))
    assert [notice.subject for notice in found] == [
        "tieout: 1 new exception, not routed yet (invoices)",
        "tieout: 1 new exception in Perth (invoices)",
        "tieout: 2 new exceptions in Sydney (invoices)",
    ]


def test_the_subject_counts_what_is_new_what_is_open_and_what_is_done() -> None:
    due, done = mailed(case(2), WEEK), resolved(mailed(case(3)))
    assert [tell(*each)[0].subject for each in ([case(1), due, done], [due, done], [done], [due], [due, case(1)])] == [
        "tieout: 1 new exception, 1 still open, 1 resolved in Sydney (invoices)",
        "tieout: 1 exception still open, 1 resolved in Sydney (invoices)",
        "tieout: 1 exception resolved in Sydney (invoices)",
        "tieout: 1 exception still open in Sydney (invoices)",
        "tieout: 1 new exception, 1 still open in Sydney (invoices)",
    ]
    (notice,) = notices("credit_notes", [due, replace(due, id=9, connectwise_id=9)], NOW, WEEK)
    assert notice.subject == "tieout: 2 exceptions still open in Sydney (credit notes)"


# Grouped by cause


def test_records_with_the_same_cure_are_one_cause_and_their_money_is_added_per_currency() -> None:
    (cause,) = causes([case(1, amount="1000.10"), case(2, amount="0.20"), case(3, amount="-7.00", currency="EUR")])
    assert [each.reference for each in cause.cases] == ["40001", "40002", "40003"]
    assert cause.sums == {"AUD": Decimal("1000.30"), "EUR": Decimal("-7.00")}
    assert cause.money == "1,000.30 AUD, -7.00 EUR"
    assert cause.message == "No row fits expense Tolls." and cause.alike


def test_records_that_differ_in_words_are_explained_together_and_each_in_its_own() -> None:
    (cause,) = causes([case(1, message="Line 'Two tunnels'."), case(2, message="Line 'A bridge'.")])
    assert cause.message == EXPLANATIONS[Reason.MISSING_ACCOUNT].sentence
    assert not cause.alike


def test_other_cures_and_other_reasons_are_other_causes() -> None:
    assert len(causes([case(1), case(2, fix="Another row."), case(3, reason="missing_tax")])) == 3


def test_the_most_money_comes_first_and_then_the_most_records() -> None:
    found = causes(
        [
            case(1, fix="little"),
            case(2, fix="much", amount="-5000.00", currency="NZD"),
            case(3, fix="unknown", amount="", currency=""),
            case(4, fix="as little, twice", amount="5.00"),
            case(5, fix="as little, twice", amount="5.00"),
        ]
    )
    assert [cause.fix for cause in found] == ["much", "as little, twice", "little", "unknown"]
    assert found[-1].money == "1 of unknown amount"


def test_sums_are_exact() -> None:
    many = [case(number, amount="0.01") for number in range(1001)]
    (cause,) = causes([*many, case(2000, amount="90071992547409.93")])
    assert cause.money == "90,071,992,547,419.94 AUD"


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 10)), max_size=12))
def test_every_exception_is_told_kept_quiet_or_settled_and_never_twice(
    drawn: list[tuple[int, bool, bool, int]],
) -> None:
    cases = []
    for number, (record, done, was_mailed, days) in enumerate(drawn):
        one = case(number, connectwise_id=record, reference=str(record))
        one = mailed(one, timedelta(days=days)) if was_mailed or done else one
        cases.append(resolved(one) if done else one)
    found = tell(*cases)
    ids = [each.id for notice in found for each in notice.told] + [one for notice in found for one in notice.settled]
    assert len(ids) == len(set(ids))
    still = {each.connectwise_id for each in cases if not each.resolved}
    assert {each.id for each in cases if not each.resolved and each.mailed_at is None} <= set(ids)
    assert {each.id for each in cases if each.resolved} & set(ids) == {
        each.id for each in cases if each.resolved and each.connectwise_id not in still
    }
    assert not found or sum(notice.silent for notice in found) + sum(len(notice.told) for notice in found) == sum(
        not each.resolved for each in cases
    )
