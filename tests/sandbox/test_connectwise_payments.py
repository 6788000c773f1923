"""Payments and credit memos in the simulated ConnectWise: rows, balances, and what of it a program can see."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from deployments.sandbox.connectwise import ConnectWiseSwitches, Limits, SimulatedConnectWise
from tests.sandbox.test_connectwise import Reader, Watch, closed, furnish, header_holds

HOUR = [{"actualHours": 1, "hourlyRate": 100}]


@pytest.fixture
def watch() -> Watch:
    """A clock that stands still."""
    return Watch()


def tenant(watch: Watch, **switches: Any) -> Reader:
    """A reader of a small tenant under some switches."""
    system = SimulatedConnectWise(watch, ConnectWiseSwitches(**switches))
    furnish(system)
    return Reader(system)


def memo_of(system: SimulatedConnectWise, subtotal: int = -60, **fields: Any) -> int:
    """A closed credit memo; 10 % tax comes on top."""
    return closed(system, type="CreditMemo", specialInvoiceFlag=True, subtotal=subtotal, **fields)


def balances(reader: Reader, *numbers: int) -> list[Decimal]:
    """The balances of invoices as a program reads them."""
    return [reader.read(f"/finance/invoices/{number}")["balance"] for number in numbers]


def test_a_payment_changes_its_amount_under_the_same_id(watch: Watch) -> None:
    """More and less; the row's own time of change moves."""
    reader = tenant(watch)
    number = closed(reader.system, time=HOUR)
    row = reader.system.add_payment(number, 30)
    for amount, left in (("80.50", "29.5"), (10, "100")):
        watch.move(minutes=1)
        reader.system.change_payment(row, amount, date(2026, 3, 9))
        assert balances(reader, number) == [Decimal(left)]
    shown = reader.read(f"/finance/invoices/{number}/payments")
    assert [(one["id"], one["amount"], one["type"]) for one in shown] == [(row, 10, "Payment")]
    assert shown[0]["_info"]["lastUpdated"] == "2026-03-10T12:02:00Z"


def test_a_removed_payment_leaves_no_trace_but_the_balance(watch: Watch) -> None:
    """The other rows stay."""
    reader = tenant(watch, one_payment_per_invoice=False)
    number = closed(reader.system, time=HOUR)
    rows = [reader.system.add_payment(number, amount) for amount in (30, 40)]
    reader.system.remove_payment(rows[0])
    assert [one["id"] for one in reader.read(f"/finance/invoices/{number}/payments")] == rows[1:]
    assert balances(reader, number) == [70]
    assert header_holds(reader.system.record("invoice", number))


def test_a_credit_memo_shows_what_remains_of_it_as_its_own_balance(watch: Watch) -> None:
    """Over several invoices, after a change of the amount, and after it was taken back."""
    reader = tenant(watch)
    system = reader.system
    one, other, memo = closed(system, time=HOUR), closed(system, time=HOUR), memo_of(system)
    first, second = system.apply_credit(memo, one, 20), system.apply_credit(memo, other, "46")
    assert balances(reader, one, other, memo) == [90, 64, 0]
    system.change_payment(second, 6)
    assert balances(reader, one, other, memo) == [90, 104, -40]
    system.uncredit(first)
    assert balances(reader, one, other, memo) == [110, 104, -60]
    shown = reader.read(f"/finance/invoices/{memo}")
    assert (shown["total"], shown["credits"], shown["payments"]) == (-66, -6, 0)
    assert all(header_holds(system.record("invoice", number)) for number in (one, other))


def test_another_memo_can_take_the_place_of_the_first(watch: Watch) -> None:
    """Both memos follow."""
    reader = tenant(watch)
    system = reader.system
    number, one, other = closed(system, time=HOUR), memo_of(system), memo_of(system)
    row = system.apply_credit(one, number, 20)
    system.edit_row("payment", row, credit=other)
    assert balances(reader, number, one, other) == [90, -66, -46]


def test_no_more_is_applied_than_remains_and_is_owed(watch: Watch) -> None:
    """And a row is taken back as what it is."""
    system = tenant(watch).system
    number, memo = closed(system, time=HOUR), memo_of(system, -200)
    for amount in (0, "110.01", 300):
        with pytest.raises(ValueError, match="more than remains"):
            system.apply_credit(memo, number, amount)
    row, paid = system.apply_credit(memo, number, 100), system.add_payment(number, 10)
    with pytest.raises(ValueError, match="credit memo"):
        system.remove_payment(row)
    with pytest.raises(ValueError, match="cash"):
        system.uncredit(paid)
    with pytest.raises(ValueError, match="applied"):
        system.delete_invoice(memo)


@pytest.mark.parametrize("bumps", [False, True])
def test_payments_and_credits_may_or_may_not_move_the_invoice(watch: Watch, bumps: bool) -> None:
    """Entering, changing and removing; the memo moves with its invoice."""
    reader = tenant(watch, child_bumps_parent=bumps)
    system = reader.system
    number, memo = closed(system, time=HOUR), memo_of(system)

    def after(act: Any, *given: Any) -> tuple[int, list[bool]]:
        watch.move(minutes=1)
        moment = watch().strftime("%Y-%m-%dT%H:%M:00Z")
        made = act(*given)
        found = [reader.read(f"/finance/invoices/{one}")["_info"]["lastUpdated"] for one in (number, memo)]
        return made, [stamp[:16] == moment[:16] for stamp in found]

    row, moved = after(system.add_payment, number, 10)
    assert moved == [bumps, False]
    assert after(system.change_payment, row, 20)[1] == [bumps, False]
    assert after(system.remove_payment, row)[1] == [bumps, False]
    credit, moved = after(system.apply_credit, memo, number, 10)
    assert moved == [bumps, bumps]
    assert after(system.uncredit, credit)[1] == [bumps, bumps]


def test_the_payments_of_an_invoice_are_paged_and_read_one_by_one(watch: Watch) -> None:
    """By both ways of paging; below another invoice there is no such payment."""
    reader = tenant(watch, one_payment_per_invoice=False)
    system = reader.system
    number, other = closed(system, time=HOUR), closed(system, time=HOUR)
    rows = [system.add_payment(number, amount) for amount in (1, 2, 3)]
    path = f"/finance/invoices/{number}/payments"
    assert [one["id"] for one in reader.read(path, pageSize=2, page=2)] == rows[2:]
    assert [one["id"] for one in reader.read(path, True, pageSize=2, pageId=rows[1])] == rows[2:]
    assert [one["amount"] for one in reader.read(path, orderBy="amount desc")] == [3, 2, 1]
    assert [one["amount"] for one in reader.read(path, conditions="amount > 1", fields="amount")] == [2, 3]
    assert reader.read(f"{path}/{rows[0]}")["amount"] == 1
    assert reader.ask(f"/finance/invoices/{other}/payments/{rows[0]}").status == 404
    assert reader.ask(f"{path}/1").status == 404
    assert reader.ask(f"{path}/count").status == 404
    assert reader.read(f"/finance/invoices/{other}/payments") == []
    assert reader.system.reads["/finance/invoices/{id}/payments/{id}"] == 3


def test_invoices_are_found_by_their_balance(watch: Watch) -> None:
    """Open ones, settled ones, and memos of which something remains; a role may be forbidden the field."""
    reader = tenant(watch)
    system = reader.system
    opened = closed(system, invoiceNumber="OPEN", time=HOUR)
    paid = closed(system, invoiceNumber="PAID", time=HOUR)
    credited = closed(system, invoiceNumber="CREDITED", time=HOUR)
    memo_of(system, invoiceNumber="MEMO")
    used = memo_of(system, -100, invoiceNumber="USED")
    system.add_payment(opened, "109.99")
    system.add_payment(paid, 110)
    system.apply_credit(used, credited, 110)
    assert reader.numbers("balance != 0") == {"OPEN", "MEMO"}
    assert reader.numbers("balance = 0") == {"PAID", "CREDITED", "USED"}
    assert reader.numbers("balance < 0 and type = 'CreditMemo'") == {"MEMO"}
    assert reader.numbers("payments != 0 or credits != 0") == {"OPEN", "PAID", "CREDITED", "USED"}
    strict = tenant(watch, unfilterable=frozenset({"balance"}))
    assert strict.ask("/finance/invoices", conditions="balance != 0").status == 400


def test_thousands_of_payments_and_credits_stay_fast(watch: Watch) -> None:
    """Five thousand invoices with a payment, five hundred memos applied: made and read in seconds."""
    reader = tenant(watch)
    reader.system.limits = Limits(0)
    system = reader.system
    started = time.perf_counter()
    for index in range(5000):
        number = closed(system, time=HOUR)
        system.add_payment(number, 10)
        if index % 10 == 0:
            system.apply_credit(memo_of(system), number, 5)
    assert len(reader.read("/finance/invoices", conditions="balance != 0", pageSize=1000)) == 1000
    for number in range(39001, 40001):
        reader.read(f"/finance/invoices/{number}/payments")
    assert time.perf_counter() - started < 30
