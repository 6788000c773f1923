"""Payments from end to end: as much is paid in Xero as ConnectWise says, whoever paid it, and never more."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from deployments.sandbox.wire import Fault
from tests.worlds import LOST, World, day

FAMILY = "payments"


@pytest.fixture
def world(tmp_path: Any) -> World:
    """One invoice of 330.00, posted and approved; payments go to the bank account 090."""
    world = World(tmp_path).ready()
    world.policy('[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"')
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    world.add_invoice("40001", id=40001)
    world.cycle()
    return world


def paid(world: World, number: str = "40001") -> Decimal:
    """What is paid on an invoice in Xero."""
    invoice = world.invoices()[number]
    return Decimal(invoice["Total"]) - Decimal(invoice["AmountDue"])


def payments(world: World, number: str = "40001") -> list[tuple[str, Decimal]]:
    """The live payments on an invoice, with their references."""
    found = world.books.payments(world.invoices()[number]["InvoiceID"])
    return [(each["Reference"], Decimal(each["Amount"])) for each in found]


def pay(world: World, **form: Any) -> dict[str, str]:
    """A cycle of payments, and how each record ended."""
    summary = world.cycle(family=FAMILY, **form)
    assert summary.failed == "", summary.failed
    return world.outcomes(summary)


def test_what_is_paid_in_connectwise_is_paid_in_xero_on_the_same_day(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    assert pay(world) == {"40001": "posted"}
    assert payments(world) == [(f"CW-{row}-1", Decimal("100.00"))]
    (payment,) = world.books.payments(world.invoices()["40001"]["InvoiceID"])
    assert payment["Account"]["Code"] == "090"
    assert world.invoices()["40001"]["AmountDue"] == Decimal("230.00")


def test_a_second_cycle_pays_nothing_and_asks_nothing_of_xero(world: World) -> None:
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    with world.watching() as seen:
        assert pay(world.later()) == {}
    assert seen.xero == [] and seen.connectwise == ["GET /finance/invoices"] * 2
    assert paid(world) == 100


def test_a_raised_amount_is_a_payment_of_the_difference(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.connectwise.add_payment(40001, "50.00")  # one row per invoice: it becomes 150
    assert pay(world.later()) == {"40001": "updated"}
    assert payments(world) == [(f"CW-{row}-1", Decimal("100.00")), (f"CW-{row}-2", Decimal("50.00"))]


def test_an_invoice_that_is_paid_off_without_a_word_is_asked_for_by_its_id(world: World) -> None:
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=False)
    pay(world)
    world.later(days=1)
    world.connectwise.add_payment(40001, "330.00")
    assert pay(world) == {"40001": "posted"}
    assert world.invoices()["40001"]["Status"] == "PAID"


def test_a_draft_waits_for_approval_and_is_no_exception(world: World) -> None:
    world.policy('[families]\npayments = "on"')
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.connectwise.add_payment(40002, "10.00")
    summary = world.cycle(family=FAMILY)
    assert world.outcomes(summary) == {"40002": "deferred: waits_for_approval"}
    assert summary.exit_code == 0 and world.exceptions() == []
    world.books.approve(world.invoices()["40002"]["InvoiceID"])
    assert pay(world.later()) == {"40002": "posted"}


def test_an_invoice_that_is_not_in_xero_yet_is_waited_for(world: World) -> None:
    world.add_invoice("40002", id=40002)
    world.connectwise.add_payment(40002, "10.00")
    assert pay(world) == {"40002": "deferred: waits_for_invoice"}
    world.cycle()
    assert pay(world.later()) == {"40002": "posted"}


def test_what_somebody_paid_in_xero_is_not_paid_again(world: World) -> None:
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "100.00")
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "unchanged"}
    assert paid(world) == 100


def test_part_paid_by_others_is_held(world: World) -> None:
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "60.00")
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "held: paid_elsewhere"}
    assert pay(world.later(), take="ours") == {"40001": "posted"}
    assert paid(world) == 100


def test_a_lowered_amount_is_held_and_by_policy_replaced(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.connectwise.change_payment(row, "70.00")
    assert pay(world.later()) == {"40001": "held: payment_lowered"}
    world.policy('[families]\npayments = "on"\n[payments]\non_decrease = "replace"')
    assert pay(world.later()) == {"40001": "updated"}
    assert payments(world) == [(f"CW-{row}-2", Decimal("70.00"))]
    assert pay(world.later()) == {} and world.exceptions() == []


def test_a_removed_payment_of_connectwise_is_removed_by_policy_but_not_when_reconciled(world: World) -> None:
    world.policy('[families]\npayments = "on"\n[payments]\non_decrease = "replace"')
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    (payment,) = world.books.payments(world.invoices()["40001"]["InvoiceID"])
    world.books.reconcile(payment["PaymentID"])
    world.connectwise.remove_payment(row)
    assert pay(world.later()) == {"40001": "held: reconciled_in_xero"}
    world.books.reconcile(payment["PaymentID"], False)
    assert pay(world.later()) == {"40001": "unchanged"}
    assert paid(world) == 0


def test_a_payment_that_a_person_removed_in_xero_stays_removed_until_it_is_wanted(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    (payment,) = world.books.payments(world.invoices()["40001"]["InvoiceID"])
    world.books.remove_payment(payment["PaymentID"])
    assert pay(world.later(), sweep=True) == {"40001": "held: removed_in_xero"}
    assert paid(world) == 0
    assert pay(world.later(), recreate=True) == {"40001": "updated"}
    assert payments(world) == [(f"CW-{row}-2", Decimal("100.00"))]


def test_more_than_is_due_is_held(world: World) -> None:
    world.connectwise.add_payment(40001, "400.00")
    assert pay(world) == {"40001": "held: overpayment"}
    assert paid(world) == 0


def test_a_missing_account_is_told_with_the_line_to_add(world: World) -> None:
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n")
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "held: missing_payment_account"}
    (told,) = world.exceptions()
    line = told["fix"].removeprefix("Add to payment_accounts.csv: ")
    world.paste("payment_accounts.csv", line.replace("<account>", "090"))
    assert pay(world.later()) == {"40001": "posted"}


@pytest.mark.parametrize("fault", [LOST, Fault("before"), Fault("after", timed_out=True)])
@pytest.mark.parametrize("minutes", [1, 7, 360])
def test_a_lost_answer_never_pays_twice(world: World, fault: Fault, minutes: int) -> None:
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("PUT", "/Payments", *[fault] * 4)
    world.cycle(family=FAMILY)
    world.later(minutes=minutes).cycle(family=FAMILY)
    world.later().cycle(family=FAMILY)
    assert paid(world) == 100 and len(payments(world)) == 1
    assert world.exceptions() == []


def test_a_lost_audit_finds_our_payments_by_their_references(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    for path in world.folder.glob("audit.db*"):
        path.unlink()
    world.later().cycle()
    world.connectwise.add_payment(40001, "50.00")
    assert pay(world) == {"40001": "updated"}
    assert payments(world) == [(f"CW-{row}-1", Decimal("100.00")), (f"CW-{row}-2", Decimal("50.00"))]


def test_a_plan_names_each_payment_and_writes_nothing(world: World) -> None:
    from flows.planning import plan_of

    row = world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    summary = world.cycle(family=FAMILY, mode="plan")
    assert summary.cycle is not None and paid(world) == 0
    (write,) = plan_of([summary.cycle])["writes"]
    assert (write["action"], write["document"], write["total"], write["payment_id"]) == (
        "pay",
        "payment",
        "100.00",
        row,
    )


def test_fifty_payments_are_one_call(world: World) -> None:
    for number in range(60):
        world.add_invoice(f"5{number:04}", id=50000 + number)
    world.cycle()
    for number in range(60):
        world.connectwise.add_payment(50000 + number, "10.00")
    with world.watching() as seen:
        pay(world.later())
    assert seen.xero.count("PUT /Payments") == 2
    assert seen.xero.count("GET /Invoices") == 2


def test_a_bad_payment_never_stops_the_others(world: World) -> None:
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.connectwise.add_payment(40001, "100.00")
    world.connectwise.add_payment(40002, "999.00")
    assert pay(world.later()) == {"40001": "posted", "40002": "held: overpayment"}
