"""Random histories of all that settles an invoice: money and credit memos, in both systems, in any order of families.

In the end what is due agrees in both systems, or the difference has a name that fits; no cycle ever paid or allocated
more than ConnectWise says. `make test` plays a few histories, always the same; `make sweep` plays many new ones.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from blocks.audit.tables import RECORDS, REQUEST_ROWS
from flows.family import Summary
from mappings.outcomes import WAITING
from tests.flows.history import DEAD
from tests.flows.test_histories import PLAIN, WHICH
from tests.flows.test_payment_histories import ZERO, PaymentHistories, Raw

MEMO = 50001
PARTS = st.sampled_from([Decimal(60), Decimal("33.35"), Decimal(110), Decimal("0.01")])
FAMILIES = ("invoices", "credit_notes", "payments")


class MoneyHistories(PaymentHistories):
    """The histories of payments, with two credit memos of 110.00 that are applied, changed and taken off."""

    memos: tuple[int, ...] = ()

    # What there is

    def applied(self, memo: int, number: int) -> Decimal:
        """What ConnectWise says of one memo on one invoice."""
        rows = self.world.connectwise.rows("payment", number)
        found: Decimal = sum((row["amount"] for row in rows if (row.get("credit") or {}).get("id") == memo), ZERO)
        return found

    def note(self, memo: int) -> Raw | None:
        """The credit note in Xero, a dead one too."""
        number = f"CM-{memo}"
        found = [each for each in self.world.books.credit_notes(live=False) if each["CreditNoteNumber"] == number]
        return found[0] if found else None

    def allocated(self, memo: int, number: int) -> Decimal:
        """What is allocated of it to the invoice, by anybody."""
        note, invoice = self.note(memo), self.invoice(number)
        if note is None or invoice is None:
            return ZERO
        found: Decimal = sum(
            (
                each["Amount"]
                for each in self.world.books.allocations(invoice["InvoiceID"])
                if each["CreditID"] == note["CreditNoteID"]
            ),
            ZERO,
        )
        return found

    def pairs(self) -> dict[tuple[int, int], Decimal]:
        return {(memo, number): self.allocated(memo, number) for memo in self.memos for number in self.numbers}

    # Cycles

    def cycle(self, family: str, quiet: bool = True, **form: Any) -> Summary:
        """A cycle, after which no pair has more than ConnectWise says, unless people gave it more."""
        before = self.pairs()
        summary = super().cycle(family, quiet, **form)
        for pair, amount in self.pairs().items():
            if amount > before.get(pair, ZERO):
                assert amount <= self.applied(*pair), f"more of {pair} was allocated than ConnectWise says"
        return summary

    def settle(self) -> None:
        """Quiet cycles and a sweep; then both sides agree or say why not, and one more writes nothing."""
        for sweep in (False, True, False):
            self.world.later(hours=25)
            for family in FAMILIES:
                self.cycle(family, sweep=sweep and family != "invoices")
        assert all(row["settled_at"] for row in self.world.rows(REQUEST_ROWS)), "a request is unsettled"
        waiting = {
            (row["family"], row["connectwise_id"]): row
            for row in self.world.rows(RECORDS)
            if row["outcome"] in {each.value for each in WAITING}
        }
        for number in self.numbers:
            level, ours, paid = self.level(number), self.ours(number), self.paid(number)
            told = waiting.get(("payments", number))
            if told is not None:
                assert self.fits(number, told["reason"]), f"{number} is no case of {told['reason']}: {told['message']}"
            elif self.accepted.get(number) != level:
                assert paid >= level and ours <= level, f"{number}: {level} in ConnectWise, {paid} in Xero, unsaid"
            self.credits_agree(number, waiting.get(("allocations", number)))
        with self.world.later().watching() as seen:
            for family in FAMILIES:
                self.cycle(family)
        assert not [call for call in seen.xero if not call.startswith("GET")], seen.xero

    def credits_agree(self, number: int, told: Raw | None) -> None:
        short = [memo for memo in self.memos if self.allocated(memo, number) < self.applied(memo, number)]
        if told is None:
            assert not short or number in self.accepted_credits, f"{number}: {short} not allocated, unsaid"
            return
        invoice = self.invoice(number)
        notes = [self.note(memo) for memo in self.memos]
        dead = [one for one in [invoice, *notes] if one is not None and one["Status"] in DEAD]
        drafts = [one for one in [invoice, *notes] if one is not None and one["Status"] == "DRAFT"]
        full = invoice is not None and (not invoice["AmountDue"] or any(n and not n["RemainingCredit"] for n in notes))
        short_of = invoice is not None and any(
            self.applied(memo, number) - self.allocated(memo, number)
            > min(invoice["AmountDue"], (self.note(memo) or {"RemainingCredit": ZERO})["RemainingCredit"])
            for memo in short
        )
        fits = {
            "waits_for_invoice": invoice is None,
            "waits_for_credit_note": any(self.note(memo) is None for memo in short),
            "waits_for_approval": bool(drafts),
            "removed_in_xero": bool(dead) or number in self.taken_off,
            "overpayment": full or short_of,
        }
        assert fits.get(told["reason"], False), f"{number} is no case of {told['reason']}: {told['message']}"

    def begin_credits(self) -> None:
        if not self.memos:
            self.memos = (MEMO, MEMO + 1)
            self.taken_off: set[int] = set()
            self.accepted_credits: set[int] = set()
            for memo in self.memos:
                self.world.add_credit_memo(f"CM-{memo}", id=memo)

    # People in ConnectWise

    @rule(which=WHICH, memo=WHICH, amount=PARTS, cycle=st.booleans())
    def credit(self, which: int, memo: int, amount: Decimal, cycle: bool) -> None:
        self.begin_credits()
        self.world.clock.advance(seconds=7)
        number, one = self.numbers[which % len(self.numbers)], self.memos[memo % 2]
        left = -self.world.connectwise.record("invoice", one)["balance"]
        due = self.world.connectwise.record("invoice", number)["balance"]
        if ZERO < amount <= min(left, due):
            self.world.connectwise.apply_credit(one, number, amount)
        if cycle:
            self.cycle("credit_notes")

    @rule(which=WHICH, place=WHICH, half=st.booleans(), cycle=st.booleans())
    def uncredit(self, which: int, place: int, half: bool, cycle: bool) -> None:
        """A credit is taken off the invoice again, or half of it."""
        self.begin_credits()
        self.world.clock.advance(seconds=7)
        number = self.numbers[which % len(self.numbers)]
        rows = [row for row in self.world.connectwise.rows("payment", number) if "credit" in row]
        if rows:
            row = rows[place % len(rows)]
            if half and row["amount"] > Decimal("0.02"):
                self.world.connectwise.change_payment(row["id"], (row["amount"] / 2).quantize(Decimal("0.01")))
            else:
                self.world.connectwise.uncredit(row["id"])
        if cycle:
            self.cycle("credit_notes")

    # People in Xero

    @rule(memo=WHICH)
    def approve_note(self, memo: int) -> None:
        self.begin_credits()
        note = self.note(self.memos[memo % 2])
        if note is not None and note["Status"] == "DRAFT":
            self.world.books.approve(note["CreditNoteID"])

    @rule(which=WHICH, memo=WHICH, amount=PARTS)
    def hand_allocate(self, which: int, memo: int, amount: Decimal) -> None:
        self.begin_credits()
        note = self.note(self.memos[memo % 2])

        def allocate(_number: int, one: Raw) -> None:
            assert note is not None
            fits = min(amount, one["AmountDue"], note["RemainingCredit"])
            if fits > 0:
                self.world.books.allocate(note["CreditNoteID"], one["InvoiceID"], fits)

        if note is not None and note["Status"] == "AUTHORISED":
            self.on_invoice(which, allocate, "AUTHORISED")

    @rule(which=WHICH, place=WHICH)
    def hand_unallocate(self, which: int, place: int) -> None:
        """A person takes any allocation off."""
        self.begin_credits()

        def take_off(number: int, one: Raw) -> None:
            found = self.world.books.allocations(one["InvoiceID"])
            if found:
                self.world.books.unallocate(found[place % len(found)]["AllocationID"])
                self.taken_off.add(number)

        self.on_invoice(which, take_off)

    @rule(family=st.sampled_from(FAMILIES), sweep=st.booleans())
    def any_family(self, family: str, sweep: bool) -> None:
        self.begin_credits()
        self.cycle(family, sweep=sweep)

    @rule(which=WHICH, how=st.sampled_from(["ours", "theirs", "recreate"]))
    def decide_credit(self, which: int, how: str) -> None:
        """A person decides about an exception of an allocation, once she has seen it."""
        waiting = sorted(each["connectwise_id"] for each in self.world.exceptions() if each["family"] == "allocations")
        if not waiting:
            return
        number = waiting[which % len(waiting)]
        form: Raw = {"recreate": True} if how == "recreate" else {"take": how}
        self.cycle("credit_notes", references=[f"id:{number}"], **form)
        if how == "theirs":
            self.accepted_credits.add(number)


def test_a_few_histories_of_money_end_in_agreement_or_in_words() -> None:
    """The same ones in every run."""
    run_state_machine_as_test(
        MoneyHistories, settings=settings(PLAIN, derandomize=True, max_examples=15, stateful_step_count=30)
    )


@pytest.mark.sweep
def test_long_many_histories_of_money_end_in_agreement_or_in_words() -> None:
    """New ones in every run; what reproduces a failure is printed with it."""
    run_state_machine_as_test(MoneyHistories, settings=settings(PLAIN, max_examples=300, stateful_step_count=50))
