"""Random histories of payments: people pay, correct and remove in both systems, cycles run, are killed, lose answers.

In the end as much is paid in Xero as ConnectWise says, or more by others, or the difference has a name that fits;
what people entered or reconciled is never touched; and no cycle ever paid more than ConnectWise said. `make test` plays
a few histories, always the same; `make sweep` plays many, new ones each time.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from blocks.audit.tables import RECORDS, REQUEST_ROWS
from deployments.sandbox.wire import Fault, Request
from flows.family import Summary
from flows.reconciling import reconcile_families
from mappings.outcomes import WAITING
from mappings.payments import part_of
from tests.flows.history import DEAD, Killer
from tests.flows.sweep import FAULTS
from tests.flows.test_histories import FOLDER, PLAIN, TIMES, UNCLEAR, WHICH
from tests.worlds import World

Raw = dict[str, Any]
AMOUNTS = st.sampled_from([Decimal(100), Decimal("33.35"), Decimal(330), Decimal("0.01"), Decimal(400)])
ZERO = Decimal(0)


class PaymentHistories(RuleBasedStateMachine):
    """What people and cycles do about a few invoices of 330.00, one after the other."""

    @initialize(
        one_row=st.booleans(), bumps=st.booleans(), replaces=st.booleans(), approved=st.booleans(), paid=AMOUNTS
    )
    def begin(self, one_row: bool, bumps: bool, replaces: bool, approved: bool, paid: Decimal) -> None:
        """Three invoices, two of them in Xero; one of these is paid."""
        self.folder = Path(tempfile.mkdtemp(prefix="tieout-payments-", dir=FOLDER))
        self.world = World(self.folder, consents_again=True).ready()
        self.world.connectwise.switches = replace(
            self.world.connectwise.switches, one_payment_per_invoice=one_row, child_bumps_parent=bumps
        )
        self.world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
        self.approved = approved
        self.gone: set[str] = set()
        self.accepted: dict[int, Decimal] = {}
        self.numbers: list[int] = []
        self.policy(replaces)
        for _ in range(2):
            self.new()
        self.cycle("invoices")
        self.world.connectwise.add_payment(self.numbers[0], paid)
        self.new()
        self.cycle("payments")

    def teardown(self) -> None:
        """However it went, the systems agree in the end."""
        try:
            if sys.exc_info()[0] is None:
                self.settle()
        finally:
            if hasattr(self, "folder"):
                shutil.rmtree(self.folder)

    # What there is

    def rows(self, number: int) -> list[Raw]:
        """What was paid in money, row by row."""
        return [row for row in self.world.connectwise.rows("payment", number) if "credit" not in row]

    def level(self, number: int) -> Decimal:
        """What ConnectWise says was paid."""
        found: Decimal = sum((row["amount"] for row in self.rows(number)), ZERO)
        return found

    def invoice(self, number: int) -> Raw | None:
        """The invoice in Xero, a dead one too."""
        found = [
            each for each in self.world.books.invoices("ACCREC", live=False) if each["InvoiceNumber"] == f"{number}"
        ]
        return found[0] if found else None

    def payments(self, number: int) -> list[Raw]:
        """The live payments on it."""
        invoice = self.invoice(number)
        return self.world.books.payments(invoice["InvoiceID"]) if invoice else []

    def ours(self, number: int) -> Decimal:
        """What we paid of it; people give their payments no reference of ours."""
        found: Decimal = sum((each["Amount"] for each in self.payments(number) if part_of(each["Reference"])), ZERO)
        return found

    def paid(self, number: int) -> Decimal:
        """What is paid on it, by anybody."""
        found: Decimal = sum((each["Amount"] for each in self.payments(number)), ZERO)
        return found

    def on_invoice(self, which: int, act: Callable[[int, Raw], object], *statuses: str) -> None:
        found = [(number, one) for number in self.numbers if (one := self.invoice(number))]
        found = [each for each in found if each[1]["Status"] in (statuses or ("AUTHORISED", "PAID"))]
        if found:
            act(*found[which % len(found)])

    # Cycles

    def cycle(self, family: str, quiet: bool = True, **form: Any) -> Summary:
        """A cycle, and every promise that can be seen after one."""
        before = self.before()
        summary = self.world.cycle(family=family, **form)
        if quiet:
            assert not summary.failed, summary.failed
        self.compare(before)
        return summary

    def there(self) -> dict[str, Raw]:
        """All live payments, without what else there is to say of their invoices."""
        found = [each for number in self.numbers for each in self.payments(number)]
        return {each["PaymentID"]: {name: each[name] for name in each.keys() - {"Invoice"}} for each in found}

    def before(self) -> tuple[dict[str, Raw], dict[int, Decimal]]:
        return self.there(), {number: self.ours(number) for number in self.numbers}

    def compare(self, before: tuple[dict[str, Raw], dict[int, Decimal]]) -> None:
        payments, ours = before
        now = self.there()
        for key, was in payments.items():
            if not part_of(was["Reference"]) or was["IsReconciled"]:
                assert now.get(key) == was, "what people entered or reconciled was touched"
        for key in now.keys() - payments.keys():
            assert part_of(now[key]["Reference"]), "a payment came without a reference of ours"
        references = [each["Reference"] for each in now.values() if part_of(each["Reference"])]
        assert len(references) == len(set(references)), "a payment is there twice"
        for number in self.numbers:
            if self.ours(number) > ours[number]:
                assert self.ours(number) <= self.level(number), "more was paid by us than ConnectWise says"
                assert self.paid(number) <= self.level(number), "more was paid than ConnectWise says"

    def settle(self) -> None:
        """Quiet cycles and a sweep; then both sides agree or say why not, and one more writes nothing."""
        for sweep in (False, True, False):
            self.world.later(hours=25)
            self.cycle("invoices")
            self.cycle("payments", sweep=sweep)
        assert all(row["settled_at"] for row in self.world.rows(REQUEST_ROWS)), "a request is unsettled"
        standings = {
            row["connectwise_id"]: row
            for row in self.world.rows(RECORDS)
            if row["family"] == "payments" and row["outcome"] in {each.value for each in WAITING}
        }
        for number in self.numbers:
            level, ours, paid = self.level(number), self.ours(number), self.paid(number)
            if number in standings:
                told = standings[number]
                assert self.fits(number, told["reason"]), f"{number} is no case of {told['reason']}: {told['message']}"
            elif self.accepted.get(number) != level:
                assert paid >= level and ours <= level, f"{number}: {level} in ConnectWise, {paid} in Xero, unsaid"
        (statement,) = reconcile_families(["payments"], self.world.doors, None, None, lambda _text: None)
        assert statement.tied_out, (statement.verdict, statement.unexplained)
        with self.world.later().watching() as seen:
            self.cycle("payments", sweep=True)
        assert not [call for call in seen.xero if not call.startswith("GET")], seen.xero

    def fits(self, number: int, reason: str) -> bool:
        """Whether an exception says what is the case."""
        invoice, level, ours, paid = self.invoice(number), self.level(number), self.ours(number), self.paid(number)
        dead = invoice is not None and invoice["Status"] in DEAD
        cases = {
            "waits_for_invoice": invoice is None,
            "waits_for_approval": invoice is not None and invoice["Status"] == "DRAFT" and level > 0,
            "paid_elsewhere": ours < paid < level,
            "payment_lowered": ours > level and not self.replaces,
            "reconciled_in_xero": ours > level and any(each["IsReconciled"] for each in self.payments(number)),
            "removed_in_xero": (dead and level > 0) or (f"{number}" in self.gone and paid < level),
            "overpayment": invoice is not None and level - paid > invoice["AmountDue"],
        }
        return cases.get(reason, False)

    # People in ConnectWise

    @rule()
    def new(self) -> None:
        if len(self.numbers) < 5:
            number = 40001 + len(self.numbers)
            self.numbers.append(self.world.add_invoice(f"{number}", id=number))

    @rule(which=WHICH, amount=AMOUNTS, cycle=st.booleans())
    def pay(self, which: int, amount: Decimal, cycle: bool) -> None:
        self.world.clock.advance(seconds=7)
        number = self.numbers[which % len(self.numbers)]
        if self.level(number) + amount <= 730:
            self.world.connectwise.add_payment(number, amount)
        if cycle:
            self.cycle("payments")

    @rule(which=WHICH, row=WHICH, amount=AMOUNTS, cycle=st.booleans())
    def change(self, which: int, row: int, amount: Decimal, cycle: bool) -> None:
        self.world.clock.advance(seconds=7)
        rows = self.rows(self.numbers[which % len(self.numbers)])
        if rows:
            self.world.connectwise.change_payment(rows[row % len(rows)]["id"], amount)
        if cycle:
            self.cycle("payments")

    @rule(which=WHICH, row=WHICH, again=st.booleans(), cycle=st.booleans())
    def unpay(self, which: int, row: int, again: bool, cycle: bool) -> None:
        """A payment is removed, and perhaps entered once more."""
        self.world.clock.advance(seconds=7)
        number = self.numbers[which % len(self.numbers)]
        rows = self.rows(number)
        if rows:
            gone = rows[row % len(rows)]
            self.world.connectwise.remove_payment(gone["id"])
            if again:
                self.world.connectwise.add_payment(number, gone["amount"])
        if cycle:
            self.cycle("payments")

    # People in Xero

    @rule(which=WHICH)
    def approve(self, which: int) -> None:
        self.on_invoice(which, lambda _number, one: self.world.books.approve(one["InvoiceID"]), "DRAFT")

    @rule(which=WHICH, amount=AMOUNTS)
    def hand_pay(self, which: int, amount: Decimal) -> None:
        def pay(_number: int, one: Raw) -> None:
            self.world.books.pay(one["InvoiceID"], min(amount, one["AmountDue"]))

        self.on_invoice(which, pay, "AUTHORISED")

    @rule(which=WHICH, place=WHICH, what=st.sampled_from(["remove", "remove", "reconcile"]))
    def hand_on_payment(self, which: int, place: int, what: str) -> None:
        """A person removes any payment, or reconciles it."""

        def change(number: int, _one: Raw) -> None:
            found = self.payments(number)
            if not found:
                return
            payment = found[place % len(found)]
            if what == "reconcile":
                self.world.books.reconcile(payment["PaymentID"])
            else:
                self.world.books.remove_payment(payment["PaymentID"])
                if part_of(payment["Reference"]):
                    self.gone.add(f"{number}")

        self.on_invoice(which, change)

    @rule(which=WHICH)
    def void(self, which: int) -> None:
        def void(_number: int, one: Raw) -> None:
            if not one["AmountPaid"] and not one["AmountCredited"]:
                self.world.books.void(one["InvoiceID"])

        self.on_invoice(which, void, "AUTHORISED")

    # Policy and decisions

    @rule(replaces=st.booleans())
    def policy(self, replaces: bool) -> None:
        self.replaces = replaces
        self.world.policy(
            f'[families]\npayments = "on"\n[sales]\ninvoice_status = "{"authorised" if self.approved else "draft"}"\n'
            f'[payments]\non_decrease = "{"replace" if replaces else "hold"}"\n[brake]\nolder_than_days = 0\n'
        )

    @rule(which=WHICH, how=st.sampled_from(["ours", "theirs", "recreate"]))
    def decide(self, which: int, how: str) -> None:
        """A person decides about an exception, once she has seen it."""
        waiting = sorted(each["connectwise_id"] for each in self.world.exceptions() if each["family"] == "payments")
        if not waiting:
            return
        number = waiting[which % len(waiting)]
        form: Raw = {"recreate": True} if how == "recreate" else {"take": how}
        self.cycle("payments", references=[f"id:{number}"], **form)
        if how == "theirs":
            self.accepted[number] = self.level(number)

    # Cycles

    @rule(passes=TIMES)
    def time_passes(self, passes: timedelta) -> None:
        self.world.later(seconds=passes.total_seconds())

    @rule(family=st.sampled_from(["invoices", "payments", "payments"]), sweep=st.booleans())
    def any_cycle(self, family: str, sweep: bool) -> None:
        self.cycle(family, sweep=sweep)

    @rule()
    def force(self) -> None:
        self.cycle("payments", force=True)

    @rule()
    def rehearse(self) -> None:
        """A dry run changes nothing anywhere."""
        before, rows = self.before(), self.world.rows(RECORDS)
        assert not self.world.cycle(family="payments", mode="plan").failed
        assert self.before() == before and self.world.rows(RECORDS) == rows

    @rule(at=st.integers(4, 40), after=st.booleans(), sweep=st.booleans(), passes=TIMES)
    def killed(self, at: int, after: bool, sweep: bool, passes: timedelta) -> None:
        before = self.before()
        with Killer(self.world, at, after).at_work():
            self.world.cycle(family="payments", sweep=sweep)
        self.compare(before)
        self.world.later(seconds=passes.total_seconds())

    @rule(
        first=st.integers(1, 6), calls=st.sampled_from([1, 2, 99]), fault=st.sampled_from(UNCLEAR), forget=st.booleans()
    )
    def fault_in_xero(self, first: int, calls: int, fault: str, forget: bool) -> None:
        """Calls go wrong, and perhaps Xero forgets every key."""
        system, switches = self.world.to_xero, self.world.xero.switches
        begins = len(system.calls) + first
        self.world.xero.switches = replace(switches, forget_keys=forget)

        def plan(_request: Request, number: int) -> Fault | None:
            return FAULTS[fault]() if begins <= number < begins + calls else None

        system.plan = plan
        self.cycle("payments", quiet=False)
        system.plan = lambda _request, _number: None
        self.cycle("payments")
        self.world.xero.switches = switches


def test_a_few_histories_of_payments_end_in_agreement_or_in_words() -> None:
    """The same ones in every run."""
    run_state_machine_as_test(
        PaymentHistories, settings=settings(PLAIN, derandomize=True, max_examples=20, stateful_step_count=25)
    )


@pytest.mark.sweep
def test_long_many_histories_of_payments_end_in_agreement_or_in_words() -> None:
    """New ones in every run; what reproduces a failure is printed with it."""
    run_state_machine_as_test(PaymentHistories, settings=settings(PLAIN, max_examples=300, stateful_step_count=50))
