"""The pure decision on payments: as much is paid in Xero as ConnectWise says, and never more by us."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import Owed, PaymentRow
from mappings.money import to_cents, total
from mappings.outcomes import Hold, Reason, XeroList
from mappings.payments import (
    Case,
    Pay,
    Paying,
    Unpay,
    Written,
    decide_payments,
    part_of,
    read_write,
    recognised,
    reference_of,
    with_details,
)
from mappings.plans import Take
from mappings.receivables import Applied, By, Receivable
from mappings.xero import Books
from tests.mappings.samples import SYDNEY, account, books, held, tables

DAY = date(2026, 3, 2)
HEADER = "organisation,currency,payment_account,account_code\n"
TO_BANK = {"payment_accounts.csv": HEADER + ",,,090\n"}
REPLACE = '[payments]\non_decrease = "replace"\n'
CHART = [
    account("090", kind="ASSET", Type="BANK", Name="Cheque account"),
    account("091", kind="ASSET", Type="BANK", Name="Savings", CurrencyCode="NZD"),
    account("200"),
    account("201", EnablePaymentsToAccount=True),  # type: ignore[arg-type]  # Xero's answer has a boolean here
    account("999", kind="ASSET", Type="BANK", Status="ARCHIVED"),
]


def row(number: int, amount: str | int | Decimal, on: date | None = DAY, own: str = "") -> PaymentRow:
    """A cash row of ConnectWise."""
    return PaymentRow(id=number, amount=Decimal(amount), payment_date=on, payment_account=own)


def ours(number: int, amount: str | int | Decimal, instalment: int = 1, on: date = DAY, fast: bool = False) -> Written:
    """A payment that we wrote for a row."""
    return Written(f"{number}-{instalment}", f"P-{number}-{instalment}", Decimal(amount), on, fast)


def shown(each: Written) -> Applied:
    """A payment of ours as the invoice in Xero shows it."""
    return Applied("payment", each.xero_id, each.amount, each.date, reference_of(each.row, each.instalment))


def others(amount: str | int | Decimal, by: By = "payment", number: int = 1) -> Applied:
    """Money, or a credit, that somebody else applied."""
    return Applied(by, f"X-{by}-{number}", Decimal(amount), DAY, "Deposit")


def case(
    rows: Sequence[PaymentRow] = (),
    written: Sequence[Written] = (),
    by_others: Sequence[Applied] = (),
    *,
    gone: Iterable[Written] = (),
    whole: str | int | Decimal = "330.00",
    status: str = "",
    currency: str = "AUD",
    files: dict[str, str] | None = None,
    policy: str = "",
    sydney: Books | None = None,
    used: dict[int, int] | None = None,
    take: Take = "",
    recreate: bool = False,
) -> Case:
    """An invoice of 330.00 in Sydney. `written` are our payments that stand, `gone` those that somebody removed."""
    applied = (*(shown(each) for each in written), *by_others)
    due = Decimal(whole) - total(each.amount for each in applied)
    counted = {each.row: each.instalment for each in sorted((*gone, *written), key=lambda one: one.instalment)}
    return Case(
        Owed(id=39001, invoice_number="40001", date=DAY, total=Decimal(whole)),
        rows,
        Receivable(
            "I-1", "40001", status or ("AUTHORISED" if due else "PAID"), "C-1", currency, Decimal(whole), due, DAY,
            applied,
        ),
        "Sydney",
        SYDNEY,
        [*written, *gone],
        used if used is not None else counted,
        tables({**TO_BANK, "policy.toml": policy, **(files or {})}),
        sydney or books(accounts=CHART, currencies=("AUD", "NZD")),
        take,
        recreate,
    )  # fmt: skip


def paid(decided: Paying | Hold | None) -> list[tuple[str, Decimal]]:
    """What is to be paid, by Reference."""
    assert isinstance(decided, Paying) and not decided.unpays, decided
    return [(each.number, each.amount) for each in decided.pays]


def taken_back(decided: Paying | Hold | None) -> list[str]:
    """What is to be removed, by Reference, in the order in which it is."""
    assert isinstance(decided, Paying) and not decided.pays, decided
    return [each.number for each in decided.unpays]


# The level


def test_nothing_paid_is_nothing_to_do() -> None:
    """And so is as much on both sides."""
    assert decide_payments(case()) is None
    assert decide_payments(case([row(501, 100)], [ours(501, 100)])) is None


def test_a_first_payment_has_its_rows_date_amount_and_account() -> None:
    """And a Reference that is known again: the row, and how many times it was paid on."""
    decided = decide_payments(case([row(501, "100.00", date(2026, 2, 20))]))
    assert isinstance(decided, Paying)
    (pay,) = decided.pays
    assert pay.body() == {
        "Invoice": {"InvoiceID": "I-1"},
        "Account": {"Code": "090"},
        "Date": "2026-02-20",
        "Amount": Decimal("100.00"),
        "Reference": "CW-501-1",
    }
    assert pay.rows_used == ("payment_accounts.csv row 2: ,,,090",)


def test_a_raised_row_is_paid_once_more_by_the_difference() -> None:
    """The same row, the next instalment."""
    assert paid(decide_payments(case([row(501, 150)], [ours(501, 100)]))) == [("CW-501-2", Decimal("50.00"))]


def test_a_second_row_is_a_payment_of_its_own() -> None:
    """With its own date."""
    later = DAY + timedelta(days=3)
    decided = decide_payments(case([row(501, 100), row(502, 30, later)], [ours(501, 100)]))
    assert isinstance(decided, Paying)
    assert [(each.number, each.amount, each.date) for each in decided.pays] == [("CW-502-1", Decimal(30), later)]


def test_several_rows_are_several_payments_with_their_own_dates_and_accounts() -> None:
    """The row's own account counts where the table knows it."""
    files = {"payment_accounts.csv": HEADER + ",,,090\nSydney,,Clearing,201\n"}
    rows = [row(501, 100, DAY), row(502, 30, DAY + timedelta(days=1), own="Clearing")]
    decided = decide_payments(case(rows, files=files))
    assert isinstance(decided, Paying)
    assert [(each.number, each.account_code, str(each.date)) for each in decided.pays] == [
        ("CW-501-1", "090", "2026-03-02"),
        ("CW-502-1", "201", "2026-03-03"),
    ]


def test_a_row_that_was_removed_and_entered_again_is_not_paid_again() -> None:
    """Its id is new and the level is the old one."""
    assert decide_payments(case([row(502, 100)], [ours(501, 100)])) is None


def test_a_row_that_was_entered_again_with_more_is_paid_the_difference() -> None:
    """What was written for the old row counts for the level."""
    assert paid(decide_payments(case([row(502, 130)], [ours(501, 100)]))) == [("CW-502-1", Decimal(30))]


def test_money_that_moved_from_row_to_row_is_not_paid_again() -> None:
    """One row lowered, another raised by as much."""
    assert decide_payments(case([row(501, 40), row(502, 60)], [ours(501, 100)])) is None


def test_a_negative_row_makes_the_level_lower() -> None:
    """A refund that somebody entered as a row is no payment, and less is paid."""
    assert paid(decide_payments(case([row(501, 100), row(502, -30)]))) == [("CW-501-1", Decimal(70))]


def test_an_instalment_that_was_once_used_is_never_used_again() -> None:
    """Also when nothing came of it: its Reference may be in Xero all the same."""
    assert paid(decide_payments(case([row(501, 100)], used={501: 3}))) == [("CW-501-4", Decimal(100))]


@pytest.mark.parametrize("by", ["payment", "prepayment", "overpayment"])
def test_what_others_paid_counts_whatever_it_was_paid_with(by: By) -> None:
    """Whoever entered it: as much is paid as ConnectWise says."""
    assert decide_payments(case([row(501, 100)], by_others=[others(100, by)])) is None
    assert decide_payments(case([row(501, 100)], by_others=[others(130, by)])) is None


def test_part_paid_by_others_is_held_with_both_figures() -> None:
    """Nobody but a person knows whether hers is part of ours."""
    hold = held(decide_payments(case([row(501, 100)], by_others=[others(60)])))
    assert (hold.reason, hold.value) == (Reason.PAID_ELSEWHERE, "60.00")
    assert hold.message == (
        "100.00 AUD is paid on 40001 in ConnectWise and 60.00 in Sydney, of which 60.00 was entered by somebody else."
    )
    assert "40.00 AUD" in hold.fix and "--take ours" in hold.fix


def test_a_person_may_say_that_the_rest_is_to_be_paid() -> None:
    """Never more than the difference."""
    assert paid(decide_payments(case([row(501, 100)], by_others=[others(60)], take="ours"))) == [
        ("CW-501-1", Decimal(40))
    ]


@pytest.mark.parametrize(
    "one",
    [
        case([row(501, 100)], by_others=[others(60)]),
        case([row(501, 50)], [ours(501, 100)]),
        case([row(501, 100)], gone=[ours(501, 100)]),
        case([row(501, 400)]),
        case([row(501, 100)], status="VOIDED"),
    ],
)
def test_a_person_may_say_that_xero_is_right(one: Case) -> None:
    """Then nothing is written, and nothing is held."""
    assert isinstance(decide_payments(one), Hold)
    assert decide_payments(replace(one, take="theirs")) is None


def test_a_credit_is_no_payment() -> None:
    """It makes less due; the payment is still missing."""
    assert paid(decide_payments(case([row(501, 100)], by_others=[others(200, "credit_note")]))) == [
        ("CW-501-1", Decimal(100))
    ]


def test_more_than_is_due_is_held() -> None:
    """Xero takes no more than that; an overpayment is entered by a person."""
    hold = held(decide_payments(case([row(501, 100)], by_others=[others(300, "credit_note")])))
    assert (hold.reason, hold.value) == (Reason.OVERPAYMENT, "70.00")
    assert "only 30.00 is due" in hold.message


def test_a_draft_waits_for_approval_and_says_for_how_much() -> None:
    """Whether it is submitted or not."""
    for status in ("DRAFT", "SUBMITTED"):
        hold = held(decide_payments(case([row(501, 100)], status=status)))
        assert (hold.reason, hold.value) == (Reason.WAITS_FOR_APPROVAL, status)


def test_a_voided_invoice_with_a_payment_is_told() -> None:
    """Without one it is nobody's business."""
    hold = held(decide_payments(case([row(501, 100)], status="VOIDED")))
    assert hold.reason is Reason.REMOVED_IN_XERO and "somebody voided that invoice" in hold.message
    assert decide_payments(case(status="VOIDED")) is None


def test_fractions_of_a_cent_are_held_and_never_half_written() -> None:
    """Three rows of 0.004 make a cent, and no row has one to pay."""
    for rows in ([row(501 + n, "0.004") for n in range(3)], [row(501 + n, "0.004") for n in range(3)] + [row(1, 10)]):
        hold = held(decide_payments(case(rows)))
        assert (hold.reason, hold.value) == (Reason.UNREADABLE_RECORD, "0.01")


# Less than before


def test_a_lowered_row_is_held_by_default_and_names_the_newest_payment() -> None:
    """Nothing is taken back unasked."""
    hold = held(decide_payments(case([row(501, 70)], [ours(501, 60), ours(501, 40, 2)])))
    assert (hold.reason, hold.value) == (Reason.PAYMENT_LOWERED, "30.00")
    assert hold.message == "100.00 AUD was written to Sydney as paid on 40001, and ConnectWise says 70.00 now."
    assert "CW-501-2 of 40.00 AUD" in hold.fix


@pytest.mark.parametrize("how", [{"policy": REPLACE}, {"take": "ours"}])
def test_by_policy_or_word_the_newest_are_taken_back_until_it_is_not_too_much(how: dict[str, Any]) -> None:
    """By date, then row, then instalment; the older ones stay, and the rest is written when these are gone."""
    written = [ours(501, 60), ours(501, 40, 2, DAY + timedelta(days=1)), ours(502, 50, 1, DAY + timedelta(days=2))]
    assert taken_back(decide_payments(case([row(501, 70)], written, **how))) == ["CW-502-1", "CW-501-2"]
    assert taken_back(decide_payments(case([], written, **how))) == ["CW-502-1", "CW-501-2", "CW-501-1"]


def test_after_that_the_rest_is_written_anew() -> None:
    """As a new instalment."""
    assert paid(decide_payments(case([row(501, 70)], [ours(501, 60)], used={501: 2}, policy=REPLACE))) == [
        ("CW-501-3", Decimal(10))
    ]


def test_reconciled_payments_stay_and_older_ones_make_room_where_they_can() -> None:
    """The newest that can be removed are."""
    newest = ours(502, 50, on=DAY + timedelta(days=2), fast=True)
    assert taken_back(decide_payments(case([row(502, 50)], [ours(501, 60), newest], policy=REPLACE))) == ["CW-501-1"]
    hold = held(decide_payments(case([row(502, 30)], [ours(501, 60), newest], policy=REPLACE)))
    assert (hold.reason, hold.value) == (Reason.RECONCILED_IN_XERO, "20.00")


def test_what_others_paid_is_never_taken_back() -> None:
    """However much it is."""
    assert decide_payments(case([], by_others=[others(100)], policy=REPLACE)) is None
    assert taken_back(decide_payments(case([], [ours(501, 50)], [others(100)], policy=REPLACE))) == ["CW-501-1"]


def test_a_payment_in_a_locked_period_is_not_taken_back() -> None:
    """Xero would refuse it."""
    sydney = books(accounts=CHART, lock_date=DAY)
    hold = held(decide_payments(case([], [ours(501, 50)], policy=REPLACE, sydney=sydney)))
    assert (hold.reason, hold.value, hold.waits_on) == (
        Reason.PERIOD_LOCKED, "2026-03-02", (XeroList.ORGANISATION,),
    )  # fmt: skip


# Removed by a person


def test_a_payment_that_somebody_removed_stays_removed() -> None:
    """It is named, with what to do."""
    hold = held(decide_payments(case([row(501, 100)], gone=[ours(501, 100)])))
    assert (hold.reason, hold.value) == (Reason.REMOVED_IN_XERO, "CW-501-1")
    assert "--recreate" in hold.fix
    assert paid(decide_payments(case([row(501, 100)], gone=[ours(501, 100)], recreate=True))) == [
        ("CW-501-2", Decimal(100))
    ]


def test_a_removed_payment_that_somebody_entered_again_is_paid() -> None:
    """Whoever paid."""
    assert decide_payments(case([row(501, 100)], by_others=[others(100)], gone=[ours(501, 100)])) is None


def test_a_payment_that_is_gone_on_both_sides_is_done() -> None:
    """A person removed it in both."""
    assert decide_payments(case([], gone=[ours(501, 100)])) is None


# Accounts, dates, rates


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("300", "which Sydney does not have."),
        ("999", "which Sydney has archived."),
        ("200", "which Sydney does not take payments into."),
        ("091", "which Sydney keeps in NZD, and so cannot take AUD into."),
    ],
)
def test_an_account_that_cannot_take_the_payment_is_held_until_the_chart_changes(code: str, words: str) -> None:
    """Missing, archived, not for payments, in another currency."""
    files = {"payment_accounts.csv": HEADER + f",,,{code}\n"}
    hold = held(decide_payments(case([row(501, 100)], files=files)))
    assert (hold.reason, hold.value, hold.waits_on) == (
        Reason.MISSING_PAYMENT_ACCOUNT, code, (XeroList.ACCOUNTS,),
    )  # fmt: skip
    assert hold.message == f"payment_accounts.csv row 2 names the account {code}, {words}"


@pytest.mark.parametrize("own", ["", "WisePay", '=HYPER("x")', "a,b"])
def test_a_missing_row_is_told_as_a_line_that_lets_the_payment_through(own: str) -> None:
    """For the very account that ConnectWise names, or for those without one."""
    one = case([row(501, 100, own=own)], files={"payment_accounts.csv": HEADER + "Perth,,,090\n"})
    hold = held(decide_payments(one))
    assert hold.reason is Reason.MISSING_PAYMENT_ACCOUNT
    line = hold.fix.removeprefix("Add to payment_accounts.csv: ").replace("<account>", "090")
    if own.startswith("="):
        return
    pasted = case([row(501, 100, own=own)], files={"payment_accounts.csv": HEADER + line + "\n"})
    assert paid(decide_payments(pasted)) == [("CW-501-1", Decimal(100))]


def test_two_rows_that_fit_alike_are_both_named() -> None:
    """Nobody guesses which bank account it is."""
    files = {"payment_accounts.csv": HEADER + "Sydney,,,090\n,AUD,,201\n"}
    hold = held(decide_payments(case([row(501, 100)], files=files)))
    assert hold.reason is Reason.AMBIGUOUS_MAPPING and "row 2" in hold.message and "row 3" in hold.message


def test_a_blank_account_is_filled_where_it_stands() -> None:
    """A second row for the same would not help."""
    files = {"payment_accounts.csv": HEADER + "Sydney,,,\n"}
    assert held(decide_payments(case([row(501, 100)], files=files))).fix == (
        "Fill account_code in payment_accounts.csv row 2."
    )


def test_a_payment_in_a_locked_period_waits_for_the_lock_date() -> None:
    """By its own date, not by the invoice's."""
    sydney = books(accounts=CHART, lock_date=DAY)
    hold = held(decide_payments(case([row(501, 100)], sydney=sydney)))
    assert (hold.reason, hold.value) == (Reason.PERIOD_LOCKED, "2026-03-02")
    after = [row(501, 100, DAY + timedelta(days=1))]
    assert paid(decide_payments(case(after, sydney=sydney))) == [("CW-501-1", Decimal(100))]


def test_a_payment_without_a_date_is_held() -> None:
    """Never dated today."""
    hold = held(decide_payments(case([row(501, 100, None)])))
    assert (hold.reason, hold.value) == (Reason.UNREADABLE_RECORD, "paymentDate")


def test_one_bad_row_holds_the_whole_invoice_and_every_problem_is_told() -> None:
    """Half of what was paid would look like all of it."""
    files = {"payment_accounts.csv": HEADER + ",,Known,090\n"}
    rows = [row(501, 10, None), row(502, 20, own="Known"), row(503, 30, own="Other")]
    hold = held(decide_payments(case(rows, files=files)))
    assert [each.reason for each in hold.problems] == [Reason.MISSING_PAYMENT_ACCOUNT, Reason.UNREADABLE_RECORD]


def test_a_foreign_payment_has_the_rate_of_its_own_day() -> None:
    """Not that of the invoice's."""
    files = {"rates.csv": "currency,base,date,rate\nNZD,AUD,2026-03-01,1.08\nNZD,AUD,2026-03-05,1.09\n"}
    policy = '[currency]\nsource = "rates_table"\n'
    rows = [row(501, 10), row(502, 20, date(2026, 3, 6))]
    decided = decide_payments(case(rows, currency="NZD", files=files, policy=policy))
    assert isinstance(decided, Paying)
    assert [str(each.body()["CurrencyRate"]) for each in decided.pays] == ["1.08", "1.09"]
    assert "rates.csv row 3 of 2026-03-05" in decided.pays[1].rows_used[1]


def test_a_foreign_payment_without_a_rate_is_held_and_with_xeros_has_none() -> None:
    """By the same policy as documents."""
    assert held(decide_payments(case([row(501, 10)], currency="NZD"))).reason is Reason.MISSING_RATE
    decided = decide_payments(case([row(501, 10)], currency="NZD", policy='[currency]\nsource = "xero_day_rate"\n'))
    assert isinstance(decided, Paying)
    assert "CurrencyRate" not in decided.pays[0].body()


def test_a_bank_account_of_the_currency_or_of_the_base_takes_a_foreign_payment() -> None:
    """Others do not."""
    files = {"payment_accounts.csv": HEADER + ",NZD,,091\n,,,090\n"}
    policy = '[currency]\nsource = "xero_day_rate"\n'
    decided = decide_payments(case([row(501, 10)], currency="NZD", files=files, policy=policy))
    assert isinstance(decided, Paying) and decided.pays[0].account_code == "091"


# References and texts


def test_a_reference_of_ours_is_read_back_and_nobody_elses() -> None:
    """With or without blanks around it."""
    assert part_of(reference_of(501, 2)) == "501-2"
    assert part_of("  CW-501-2 ") == "501-2"
    for text in ("", "CW-501", "cw-501-2", "CW-501-2-3", "XCW-501-2", "CW-a-1", "CW-501-2 Acme"):
        assert part_of(text) is None


def test_what_is_written_reads_back_from_its_text() -> None:
    """It is kept with the request that carries it, and taken up again from there."""
    decided = decide_payments(
        case([row(501, "100.10")], currency="NZD", policy='[currency]\nsource = "xero_day_rate"\n')
    )
    assert isinstance(decided, Paying)
    for pay in (decided.pays[0], replace(decided.pays[0], currency_rate=Decimal("1.0825"))):
        assert read_write(pay.to_text()) == pay
        assert Pay.from_text(pay.to_text()) == pay
    lowered = decide_payments(case([], [ours(501, "100.10", fast=False)], policy=REPLACE))
    assert isinstance(lowered, Paying)
    (unpay,) = lowered.unpays
    again = read_write(unpay.to_text())
    assert isinstance(again, Unpay) and again == unpay
    assert again.body() == {"Status": "DELETED"} and again.part == "501-1"


def test_the_same_payment_has_the_same_fingerprint_and_any_other_another() -> None:
    """By what is sent."""
    decided = decide_payments(case([row(501, 100)]))
    assert isinstance(decided, Paying)
    pay = decided.pays[0]
    assert pay.fingerprint == replace(pay, rows_used=()).fingerprint
    for change in ({"amount": Decimal("100.01")}, {"account_code": "091"}, {"instalment": 2}, {"date": date.max}):
        assert replace(pay, **change).fingerprint != pay.fingerprint


# What the audit does not know


def test_payments_that_bear_our_reference_are_recognised_where_connectwise_has_the_row() -> None:
    """Another invoice's reference on this one is a person's own text."""
    there = case([row(501, 100)], [ours(501, 60), ours(777, 40)]).there
    (found,) = recognised(there, [], [row(501, 100)])
    assert (found.part, found.amount, found.xero_id) == ("501-1", Decimal(60), "P-501-1")
    assert recognised(there, [ours(501, 60)], [row(501, 100)]) == []


def test_a_second_payment_with_the_same_reference_is_somebody_elses() -> None:
    """A person copied it: one of the two is ours, the one that the audit knows, else the first."""
    copied = [
        Applied("payment", "P-501-1", Decimal(60), DAY, "CW-501-1"),
        Applied("payment", "X-1", Decimal(40), DAY, "CW-501-1"),
    ]
    there = replace(case().there, applied=tuple(copied))
    assert [each.xero_id for each in recognised(there, [], [row(501, 100)])] == ["P-501-1"]
    assert recognised(there, [ours(501, 60)], [row(501, 100)]) == []
    gone = replace(there, applied=(copied[1],))
    assert recognised(gone, [ours(501, 60)], [row(501, 100)]) == []


@pytest.mark.parametrize(
    ("details", "fast"),
    [
        ({"IsReconciled": True}, True),
        ({"IsReconciled": False}, False),
        ({}, False),
        ({"BatchPayment": {"BatchPaymentID": "B-1"}}, True),
        ({"BatchPaymentID": "B-1"}, True),
    ],
)
def test_a_reconciled_payment_and_one_of_a_batch_are_fast(details: dict[str, Any], fast: bool) -> None:
    """Only a payment's own page says so."""
    assert with_details(ours(501, 60), details).fast is fast


# Whatever the rows, whatever is there

CENTS = st.integers(1, 20000).map(lambda cents: Decimal(cents) / 100)
ROW_SETS = st.lists(st.tuples(CENTS, st.integers(0, 5)), max_size=4).map(
    lambda rows: [row(501 + place, amount, DAY + timedelta(days=days)) for place, (amount, days) in enumerate(rows)]
)
WRITTEN_SETS = st.lists(st.tuples(st.integers(501, 506), CENTS, st.integers(0, 5), st.booleans()), max_size=4).map(
    lambda given: [
        ours(number, amount, place + 1, DAY + timedelta(days=days), fast)
        for place, (number, amount, days, fast) in enumerate(given)
    ]
)
MEANS: tuple[By, ...] = ("payment", "prepayment", "overpayment", "credit_note")
OTHERS_SETS = st.lists(st.tuples(CENTS, st.sampled_from(MEANS)), max_size=3).map(
    lambda given: [others(amount, by, place) for place, (amount, by) in enumerate(given)]
)


def after(one: Case, decided: Paying) -> Case:
    """The same invoice once this has been written."""
    gone = {each.written.xero_id for each in decided.unpays}
    new = [ours(each.row, each.amount, each.instalment, each.date) for each in decided.pays]
    kept = [each for each in one.ours if each.xero_id not in gone]
    applied = [each for each in one.there.applied if each.xero_id not in gone] + [shown(each) for each in new]
    used = dict(one.used)
    for each in new:
        used[each.row] = max(used.get(each.row, 0), each.instalment)
    there = replace(one.there, applied=tuple(applied), due=one.there.total - total(each.amount for each in applied))
    return replace(one, there=there, ours=[*kept, *new], used=used)


@given(
    rows=ROW_SETS,
    written=WRITTEN_SETS,
    by_others=OTHERS_SETS,
    policy=st.sampled_from(["", REPLACE]),
    take=st.sampled_from(["", "ours"]),
)
def test_never_more_is_paid_by_us_than_connectwise_says_and_never_more_in_all(
    rows: list[PaymentRow], written: list[Written], by_others: list[Applied], policy: str, take: Take
) -> None:
    """What is written makes the level exactly; what is taken back is ours, loose, and no more than has to be."""
    one = case(rows, written, by_others, whole="100000.00", policy=policy, take=take)
    decided = decide_payments(one)
    if not isinstance(decided, Paying):
        return
    assert bool(decided.pays) != bool(decided.unpays)
    done = after(one, decided)
    mine = total(each.amount for each in done.ours)
    if decided.pays:
        assert mine <= one.target and done.there.paid == one.target
        assert len({each.number for each in decided.pays}) == len(decided.pays)
        assert all(each.amount > 0 for each in decided.pays)
        before = {each.part for each in one.ours}
        assert not before & {each.part for each in decided.pays}
    else:
        assert all(each.written in one.ours and not each.written.fast for each in decided.unpays)
        assert mine <= one.target
        last = decided.unpays[-1].written.amount
        assert mine + last > one.target, "more was taken back than had to be"


@given(rows=ROW_SETS, written=WRITTEN_SETS, by_others=OTHERS_SETS, policy=st.sampled_from(["", REPLACE]))
def test_it_comes_to_an_end(
    rows: list[PaymentRow], written: list[Written], by_others: list[Applied], policy: str
) -> None:
    """Take back, write the rest, done: two writes at most, and then both agree or a person is asked."""
    one = case(rows, written, by_others, whole="100000.00", policy=policy)
    steps = 0
    while isinstance(decided := decide_payments(one), Paying):
        one, steps = after(one, decided), steps + 1
        assert steps <= 2
    if decided is None:
        assert one.there.paid >= one.target or not one.target
        assert total(each.amount for each in one.ours) <= one.target


@given(rows=ROW_SETS, written=WRITTEN_SETS, by_others=OTHERS_SETS, data=st.data())
def test_the_order_of_rows_and_payments_does_not_matter(
    rows: list[PaymentRow], written: list[Written], by_others: list[Applied], data: st.DataObject
) -> None:
    """ConnectWise promises none, and neither does Xero."""
    one = case(rows, written, by_others, whole="100000.00", policy=REPLACE)
    shuffled = replace(
        one,
        rows=data.draw(st.permutations(rows)),
        ours=data.draw(st.permutations(written)),
        there=replace(one.there, applied=tuple(data.draw(st.permutations(one.there.applied)))),
    )
    assert decide_payments(shuffled) == decide_payments(one)


def test_the_order_of_equal_rows_does_not_matter_either() -> None:
    """By date, then by id."""
    rows = [row(501, 10), row(502, 20), row(503, 30)]
    decided = {repr(decide_payments(case(list(each), by_others=[]))) for each in permutations(rows)}
    assert len(decided) == 1


@given(rows=ROW_SETS, written=WRITTEN_SETS, by_others=OTHERS_SETS, policy=st.sampled_from(["", REPLACE]))
def test_every_write_reads_back_from_its_text(
    rows: list[PaymentRow], written: list[Written], by_others: list[Applied], policy: str
) -> None:
    """To the cent, and as the same kind of write."""
    decided = decide_payments(case(rows, written, by_others, whole="100000.00", policy=policy))
    if isinstance(decided, Paying):
        writes: list[Pay | Unpay] = [*decided.pays, *decided.unpays]
        for each in writes:
            assert read_write(each.to_text()) == each
            assert json.loads(each.to_text())


@given(
    amounts=st.lists(st.decimals("0", "50", places=3), min_size=1, max_size=4),
)
def test_fractions_of_a_cent_are_paid_to_the_cent_or_not_at_all(amounts: list[Decimal]) -> None:
    """ConnectWise's numbers are doubles."""
    rows = [row(501 + place, amount) for place, amount in enumerate(amounts)]
    one = case(rows, whole="100000.00")
    decided = decide_payments(one)
    if isinstance(decided, Paying):
        assert total(each.amount for each in decided.pays) == to_cents(sum(amounts, Decimal(0)))
    else:
        assert decided is None if not one.target else held(decided).reason is Reason.UNREADABLE_RECORD
