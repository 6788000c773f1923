"""The decision on allocations: for each pair of credit memo and invoice as much as ConnectWise applied, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.allocations import (
    Allocate,
    Allocated,
    Allocating,
    Case,
    Credit,
    Unallocate,
    decide_allocations,
    read_write,
)
from mappings.connectwise import Owed, PaymentRow
from mappings.kinds import CREDIT_NOTE
from mappings.outcomes import Reason
from mappings.payments import Written
from mappings.receivables import Applied, Receivable
from mappings.xero import Found

MEMO, OTHER = 50001, 50002
DAY = date(2026, 3, 2)


def row(amount: str, memo: int = MEMO, number: int = 901, paid: str = "2026-03-02") -> PaymentRow:
    return PaymentRow.model_validate(
        {"id": number, "amount": Decimal(amount), "paymentDate": f"{paid}T00:00:00Z", "credit": {"id": memo}}
    )


def note(remaining: str = "110", memo: int = MEMO, allocated: tuple[Allocated, ...] = (), **fields: Any) -> Credit:
    made = Credit(
        "c" if memo == MEMO else "d", "t", f"CM-{memo}", "AUTHORISED", "acme", "AUD", DAY, Decimal(remaining), allocated
    )
    return replace(made, **fields)


def on(amount: str, xero_id: str = "a1", invoice: str = "i", dated: date = DAY) -> Allocated:
    return Allocated(xero_id, invoice, Decimal(amount), dated)


def case(*rows: PaymentRow, credits: dict[int, Credit] | None = None, due: str = "330", **fields: Any) -> Case:
    there = Receivable("i", "40001", "AUTHORISED", "acme", "AUD", Decimal(330), Decimal(due), DAY, ())
    owed = Owed.model_validate({"id": 40001, "invoiceNumber": "40001", "date": "2026-03-02", "total": 330})
    known = {MEMO: note(), OTHER: note(memo=OTHER)} if credits is None else credits
    return replace(Case(owed, rows, there, "Sydney", "t", (), {}, known), **fields)


def written(action: Allocating) -> list[tuple[str, Decimal]]:
    return [(each.part, each.amount) for each in action.allocates]


def reasons(action: Allocating) -> list[Reason]:
    return [hold.reason for hold in action.holds]


def test_what_is_applied_is_allocated() -> None:
    action = decide_allocations(case(row("60")))
    (write,) = action.allocates
    assert write.body() == {"Amount": Decimal(60), "Date": "2026-03-02", "Invoice": {"InvoiceID": "i"}}
    assert (write.credit_xero_id, write.part, action.holds) == ("c", f"{MEMO}-1", ())


def test_rows_of_one_memo_are_one_allocation_and_each_memo_has_its_own() -> None:
    action = decide_allocations(case(row("60"), row("20", number=902), row("30", OTHER, 903)))
    assert written(action) == [(f"{MEMO}-1", Decimal(80)), (f"{OTHER}-1", Decimal(30))]


@pytest.mark.parametrize(
    ("remaining", "due", "expected"), [("50", "330", "50"), ("110", "40", "40"), ("110", "330", "60")]
)
def test_the_least_of_row_remaining_credit_and_amount_due_is_allocated(remaining: str, due: str, expected: str) -> None:
    action = decide_allocations(case(row("60"), credits={MEMO: note(remaining)}, due=due))
    assert written(action) == [(f"{MEMO}-1", Decimal(expected))]
    assert reasons(action) == ([] if expected == "60" else [Reason.OVERPAYMENT])


def test_what_is_due_is_shared_by_two_memos() -> None:
    action = decide_allocations(case(row("60"), row("60", OTHER, 902), due="100"))
    assert [amount for _, amount in written(action)] == [60, 40]
    assert reasons(action) == [Reason.OVERPAYMENT]


def test_nothing_left_is_told_and_nothing_is_written() -> None:
    action = decide_allocations(case(row("60"), credits={MEMO: note("0", status="PAID")}))
    assert (action.allocates, reasons(action)) == ((), [Reason.OVERPAYMENT])


def test_a_credit_note_that_is_not_posted_is_waited_for_and_the_other_goes() -> None:
    action = decide_allocations(case(row("60"), row("30", OTHER, 902), credits={OTHER: note(memo=OTHER)}))
    assert written(action) == [(f"{OTHER}-1", Decimal(30))]
    assert reasons(action) == [Reason.WAITS_FOR_CREDIT_NOTE]


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED"])
def test_drafts_wait_for_approval(status: str) -> None:
    one = case(row("60"), credits={MEMO: note(status=status)})
    assert reasons(decide_allocations(one)) == [Reason.WAITS_FOR_APPROVAL]
    other = replace(case(row("60")), there=replace(one.there, status=status))
    assert reasons(decide_allocations(other)) == [Reason.WAITS_FOR_APPROVAL]


@pytest.mark.parametrize("unlike", [{"contact_id": "other"}, {"currency": "NZD"}, {"tenant_id": "elsewhere"}])
def test_unlike_documents_are_not_allocated(unlike: dict[str, Any]) -> None:
    action = decide_allocations(case(row("60"), credits={MEMO: note(**unlike)}))
    assert (action.allocates, reasons(action)) == ((), [Reason.CANNOT_ALLOCATE])
    assert next(iter(unlike.values())) in action.holds[0].message


def test_a_locked_period_holds_and_a_later_day_goes() -> None:
    assert reasons(decide_allocations(case(row("60"), lock=DAY))) == [Reason.PERIOD_LOCKED]
    assert decide_allocations(case(row("60", paid="2026-03-03"), lock=DAY)).allocates


def test_as_much_as_is_there_is_left_alone_whoever_allocated_it() -> None:
    assert decide_allocations(case(row("60"), credits={MEMO: note("50", allocated=(on("60"),))})) == Allocating()
    more = case(row("40"), credits={MEMO: note("50", allocated=(on("60"),))})
    assert decide_allocations(more) == Allocating()


def test_what_the_invoice_shows_counts_too() -> None:
    one = case(row("60"))
    there = replace(one.there, applied=(Applied("credit_note", "C", Decimal(60)),))
    assert decide_allocations(replace(one, there=there)) == Allocating()


def test_a_raised_row_adds_the_difference() -> None:
    ours = [Written(f"{MEMO}-1", "a1", Decimal(60), DAY)]
    one = case(row("100"), credits={MEMO: note("50", allocated=(on("60"),))}, ours=ours, used={MEMO: 1})
    assert written(decide_allocations(one)) == [(f"{MEMO}-2", Decimal(40))]


def test_a_lowered_row_takes_ours_off_first_the_newest_and_only_as_much_as_is_needed() -> None:
    ours = [Written(f"{MEMO}-1", "on i", Decimal(60), DAY), Written(f"{MEMO}-2", "on i", Decimal(20), DAY)]
    credit = note("30", allocated=(on("60", "a1"), on("20", "a2")))
    action = decide_allocations(case(row("60"), credits={MEMO: credit}, ours=ours, used={MEMO: 2}))
    assert [(each.allocation_id, each.amount) for each in action.unallocates] == [("a2", Decimal(20))]
    assert action.allocates == ()
    gone = decide_allocations(case(credits={MEMO: credit}, ours=ours, used={MEMO: 2}))
    assert [each.allocation_id for each in gone.unallocates] == ["a2", "a1"]


def test_what_others_allocated_is_never_taken_off() -> None:
    credit = note("50", allocated=(on("60"),))
    assert decide_allocations(case(credits={MEMO: credit})) == Allocating()


def test_in_a_locked_period_nothing_is_taken_off() -> None:
    ours = [Written(f"{MEMO}-1", "a1", Decimal(60), DAY)]
    one = case(credits={MEMO: note("50", allocated=(on("60"),))}, ours=ours, lock=DAY)
    action = decide_allocations(one)
    assert (action.unallocates, reasons(action)) == ((), [Reason.PERIOD_LOCKED])


def test_what_a_person_took_off_stays_off_until_she_wants_it() -> None:
    ours = [Written(f"{MEMO}-1", "a1", Decimal(60), DAY)]
    one = case(row("60"), ours=ours, used={MEMO: 1})
    assert reasons(decide_allocations(one)) == [Reason.REMOVED_IN_XERO]
    assert written(decide_allocations(replace(one, recreate=True))) == [(f"{MEMO}-2", Decimal(60))]
    assert decide_allocations(replace(one, take="theirs")) == Allocating()


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_dead_documents_are_told(status: str) -> None:
    one = case(row("60"), credits={MEMO: note(status=status)})
    assert reasons(decide_allocations(one)) == [Reason.REMOVED_IN_XERO]
    assert reasons(decide_allocations(replace(case(row("60")), there=replace(one.there, status=status)))) == [
        Reason.REMOVED_IN_XERO
    ]


AMOUNTS = st.integers(0, 20000).map(lambda cents: Decimal(cents) / 100)


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from([MEMO, OTHER])), max_size=5), AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_never_more_than_applied_remaining_or_due(
    applied: list[tuple[Decimal, int]], left: Decimal, right: Decimal, due: Decimal, there: Decimal
) -> None:
    rows = [row(str(amount), memo, number) for number, (amount, memo) in enumerate(applied)]
    credits = {MEMO: note(str(left), allocated=(on(str(there)),)), OTHER: note(str(right), OTHER)}
    action = decide_allocations(case(*rows, credits=credits, due=str(due)))
    assert sum((each.amount for each in action.allocates), Decimal(0)) <= due
    for each in action.allocates:
        wanted = sum((amount for amount, memo in applied if memo == each.memo), Decimal(0))
        assert 0 < each.amount <= credits[each.memo].remaining
        assert each.amount + (there if each.memo == MEMO else 0) <= wanted
    assert action.unallocates == ()


def test_both_kinds_of_writes_survive_being_stored() -> None:
    (allocate,) = decide_allocations(case(row("60.10"))).allocates
    assert read_write(allocate.to_text()) == allocate and isinstance(read_write(allocate.to_text()), Allocate)
    ours = [Written(f"{MEMO}-1", "a1", Decimal("60.10"), DAY)]
    one = case(credits={MEMO: note(allocated=(on("60.10"),))}, ours=ours)
    (off,) = decide_allocations(one).unallocates
    assert read_write(off.to_text()) == off and isinstance(read_write(off.to_text()), Unallocate)


def test_a_credit_note_is_read_as_xero_shows_it() -> None:
    given_ = {
        "CreditNoteID": "c", "CreditNoteNumber": "CM-1", "Type": CREDIT_NOTE.type, "Status": "AUTHORISED",
        "Contact": {"ContactID": "acme"}, "CurrencyCode": "AUD", "DateString": "2026-03-02T00:00:00", "Total": "110.00",
        "Allocations": [{"AllocationID": "a1", "Amount": Decimal("60.00"), "Invoice": {"InvoiceID": "i"}}],
    }  # fmt: skip
    read = Credit.read(Found.parse(given_), "t")
    assert (read.remaining, [each.amount for each in read.on("I")]) == (Decimal("50.00"), [Decimal("60.00")])
    assert Credit.read(Found.parse({**given_, "RemainingCredit": Decimal("20.00")}), "t").remaining == 20
