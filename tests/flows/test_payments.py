"""Payments from end to end: as much is paid in Xero as ConnectWise says, whoever paid it, and never more."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.wire import Fault, Request
from flows.family import SyncForm, run_family
from flows.planning import approved_writes, plan_of
from mappings.xero import parse_date
from tasks.calls import PlainCalls
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


POLICY = '[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"\n'
REPLACE = POLICY + '[payments]\non_decrease = "replace"\n'


def several_rows(world: World) -> None:
    """A ConnectWise that keeps each payment as a row of its own."""
    world.connectwise.switches = replace(world.connectwise.switches, one_payment_per_invoice=False)


def payment_id(world: World, number: str = "40001", place: int = 0) -> str:
    """The id of a payment in Xero."""
    found: str = world.books.payments(world.invoices()[number]["InvoiceID"])[place]["PaymentID"]
    return found


def credit(world: World, amount: str, number: str = "40001") -> None:
    """A person enters a credit note in Xero, and sets it against the invoice."""
    invoice = world.invoices()[number]
    note = world.books.enter_credit_note(
        Type="ACCRECCREDIT",
        Contact={"ContactID": invoice["Contact"]["ContactID"]},
        Date=world.clock().date(),
        Status="AUTHORISED",
        LineItems=[
            {
                "Description": "Credit",
                "Quantity": 1,
                "UnitAmount": amount,
                "AccountCode": "200",
                "TaxType": "EXEMPTOUTPUT",
            }
        ],
    )
    world.books.allocate(note["CreditNoteID"], invoice["InvoiceID"], amount)


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


# How they are found


@pytest.mark.parametrize("bumps", [True, False])
@pytest.mark.parametrize("one_row", [True, False])
def test_a_second_payment_is_found_and_paid_whatever_is_not_confirmed_of_connectwise(
    world: World, bumps: bool, one_row: bool
) -> None:
    """A child may move its parent's time or not, and there may be one row per invoice or many."""
    world.connectwise.switches = replace(
        world.connectwise.switches, child_bumps_parent=bumps, one_payment_per_invoice=one_row
    )
    first = world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    assert pay(world) == {"40001": "posted"}
    second = world.later(days=1).connectwise.add_payment(40001, "230.00", day("2026-02-25"))
    assert pay(world) == {"40001": "updated"}
    assert payments(world) == [
        (f"CW-{first}-1", Decimal(100)),
        (f"CW-{first}-2" if one_row else f"CW-{second}-1", Decimal(230)),
    ]
    assert [each["DateString"][:10] if "DateString" in each else each["Date"] for each in dated(world)] == [
        "2026-02-20",
        "2026-02-25",
    ]
    assert pay(world.later(days=1)) == {} and world.invoices()["40001"]["Status"] == "PAID"


def dated(world: World) -> list[dict[str, Any]]:
    """The payments of 40001 in the order of their dates."""
    found = world.books.payments(world.invoices()["40001"]["InvoiceID"])
    for each in found:
        each["DateString"] = str(parse_date(each["Date"]))
    return sorted(found, key=lambda each: each["DateString"])


@pytest.mark.parametrize("one_row", [True, False])
def test_rows_are_read_only_where_an_amount_differs(world: World, one_row: bool) -> None:
    """A hundred open invoices cost two lists; one payment costs one more call."""
    world.connectwise.switches = replace(world.connectwise.switches, one_payment_per_invoice=one_row)
    for number in range(100):
        world.add_invoice(f"5{number:04}", id=50000 + number)
    world.cycle()
    pay(world)
    world.later().connectwise.add_payment(50007, "10.00")
    with world.watching() as seen:
        assert pay(world) == {"50007": "posted"}
    assert seen.connectwise.count("GET /finance/invoices") == 2
    assert [call for call in seen.connectwise if call.endswith("/payments")] == ["GET /finance/invoices/50007/payments"]
    assert seen.xero == ["GET /Invoices", "GET /Organisation", "PUT /Payments"]


def test_a_filter_on_the_balance_that_connectwise_refuses_is_a_sentence(world: World) -> None:
    """Not every field that is shown can be filtered (connectwise.md, 4.2)."""
    pay(world)
    world.connectwise.switches = replace(world.connectwise.switches, unfilterable=frozenset({"balance"}))
    summary = world.later().cycle(family=FAMILY)
    assert summary.failed.endswith(".") and "balance" in summary.failed


def test_invoices_and_their_payments_from_before_the_start_date_are_nobodys_business(world: World) -> None:
    """As the invoices themselves."""
    world.add_invoice("39999", id=39999, date=day("2025-12-31"))
    world.connectwise.add_payment(39999, "10.00")
    assert pay(world) == {} and world.exceptions() == []


def test_a_credit_memo_has_no_payments_of_its_own(world: World) -> None:
    """It is settled by being applied, and a refund of one is a person's."""
    world.add_credit_memo("40009", id=40009)
    assert pay(world) == {} and world.exceptions() == []


def test_a_payment_that_is_taken_off_while_nobody_looks_is_found_on_the_closed_invoice(world: World) -> None:
    """Paid off, it is on no list; then it is open again and back on one."""
    world.policy(REPLACE)
    row = world.connectwise.add_payment(40001, "330.00")
    pay(world)
    pay(world.later(days=1))
    world.connectwise.remove_payment(row)
    assert pay(world.later(days=1)) == {"40001": "unchanged"}
    assert paid(world) == 0


# Rows and levels


def test_several_rows_go_with_their_own_dates_and_accounts(world: World) -> None:
    several_rows(world)
    world.books.add_account("092", "Card clearing", "CURRENT", enable_payments=True)
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n,,Card,092\n")
    first = world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    second = world.connectwise.add_payment(40001, "30.00", day("2026-02-21"))
    world.connectwise.edit_row("payment", second, paymentAccount="Card")
    pay(world)
    there = {each["Reference"]: each["Account"]["Code"] for each in dated(world)}
    assert there == {f"CW-{first}-1": "090", f"CW-{second}-1": "092"}
    world.connectwise.change_payment(first, "120.00", day("2026-02-20"))
    assert pay(world.later()) == {"40001": "updated"}
    assert paid(world) == 150 and len(payments(world)) == 3


def test_a_row_that_is_removed_and_entered_again_is_not_paid_again(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.connectwise.remove_payment(row)
    world.connectwise.add_payment(40001, "100.00")
    pay(world.later())
    world.connectwise.add_payment(40001, "20.00")
    pay(world.later())
    assert paid(world) == 120 and world.exceptions() == []


def test_one_of_several_rows_is_removed_and_by_policy_so_is_as_much_in_xero(world: World) -> None:
    several_rows(world)
    world.policy(REPLACE)
    first = world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    second = world.connectwise.add_payment(40001, "50.00", day("2026-02-22"))
    pay(world)
    world.connectwise.remove_payment(first)
    assert pay(world.later()) == {"40001": "updated"}
    # The newest goes first, and what is missing then belongs to the row that is left.
    assert paid(world) == 50
    assert all(reference.startswith(f"CW-{second}-") for reference, _ in payments(world)) or len(payments(world)) == 1


def test_a_payment_in_both_systems_is_there_once(world: World) -> None:
    """Paid in Xero by hand to the cent, as ConnectWise says: nothing to do, however often it is looked at."""
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "330.00")
    world.connectwise.add_payment(40001, "330.00")
    assert pay(world) == {"40001": "unchanged"}
    assert pay(world.later(), force=True) == {"40001": "unchanged"}
    assert len(payments(world)) == 1


@pytest.mark.parametrize("what", ["prepay", "overpay"])
def test_money_that_was_applied_in_xero_counts_as_paid(world: World, what: str) -> None:
    """A prepayment or an overpayment, wholly or in part."""
    invoice = world.invoices()["40001"]
    made = getattr(world.books, what)(invoice["Contact"]["ContactID"], "100.00")
    key = made["PrepaymentID" if what == "prepay" else "OverpaymentID"]
    world.books.allocate(key, invoice["InvoiceID"], "60.00")
    world.connectwise.add_payment(40001, "60.00")
    assert pay(world) == {"40001": "unchanged"}
    world.connectwise.add_payment(40001, "40.00")
    assert pay(world.later()) == {"40001": "held: paid_elsewhere"}
    assert pay(world.later(), take="ours") == {"40001": "posted"}
    assert paid(world) == 100


def test_a_credit_that_is_applied_between_two_reads_is_seen_before_anything_is_paid(world: World) -> None:
    """The payment fits beside it, or is held."""
    credit(world, "200.00")
    world.connectwise.add_payment(40001, "130.00")
    assert pay(world) == {"40001": "posted"}
    assert payments(world)[0][1] == 130 and world.invoices()["40001"]["Status"] == "PAID"
    world.connectwise.add_payment(40001, "10.00")
    assert pay(world.later()) == {"40001": "held: overpayment"}


def test_a_credit_that_is_applied_while_the_payment_is_written_is_refused_by_xero_and_then_held(world: World) -> None:
    """Never more than is due."""
    world.connectwise.add_payment(40001, "200.00")

    def meanwhile(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT":
            world.to_xero.plan = lambda _request, _number: None
            credit(world, "200.00")
        return None

    world.to_xero.plan = meanwhile
    assert pay(world) == {"40001": "rejected: refused_by_xero"}
    assert pay(world.later()) == {"40001": "held: overpayment"}


# Dates, accounts, currencies


def test_a_payment_in_a_locked_period_waits_for_the_lock_date(world: World) -> None:
    """Asked for anew by each cycle, and cured by one."""
    world.books.set_lock_date(day("2026-02-28"))
    world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    assert pay(world) == {"40001": "held: period_locked"}
    world.books.set_lock_date(None)
    assert pay(world.later()) == {"40001": "posted"}


def test_a_new_account_is_found_although_the_chart_was_read_today(world: World) -> None:
    """What a row names and Xero's list lacks is asked for once more before anything is held."""
    pay(world)
    world.books.add_account("615", "Clearing", "CURRENT", enable_payments=True)
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,615\n")
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "posted"}


def test_an_account_that_takes_no_payments_is_held_until_it_does(world: World) -> None:
    """The chart is asked again by each cycle while the payment waits."""
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,200\n")
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "held: missing_payment_account"}
    world.books.add_account("615", "Clearing", "CURRENT", enable_payments=True)
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,615\n")
    assert pay(world.later()) == {"40001": "posted"}
    assert dated(world)[0]["Account"]["Code"] == "615"


def test_a_foreign_payment_goes_with_the_rate_of_its_own_day(world: World) -> None:
    """Not that of the invoice."""
    world.policy(POLICY + '[currency]\nsource = "rates_table"\n')
    world.write("rates.csv", "currency,base,date,rate\nNZD,AUD,2026-02-01,1.08\nNZD,AUD,2026-03-10,1.1\n")
    world.books.add_currency("NZD")
    world.connectwise.add_currency("NZD")
    world.add_invoice("40002", id=40002, currency="NZD")
    world.cycle()
    world.later(days=10).connectwise.add_payment(40002, "100.00", day("2026-03-11"))
    assert pay(world) == {"40002": "posted"}
    (payment,) = world.books.payments(world.invoices()["40002"]["InvoiceID"])
    assert (payment["CurrencyRate"], payment["Amount"]) == (Decimal("1.1"), Decimal("100.00"))


# What people do in Xero, and what they decide


def test_the_payments_of_a_batch_are_never_taken_back(world: World) -> None:
    """Not ours alone any more, and Xero would refuse it."""
    world.policy(REPLACE)
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.books.remove_payment(payment_id(world))
    world.books.batch_payment({world.invoices()["40001"]["InvoiceID"]: "100.00"})
    world.connectwise.remove_payment(row)
    assert pay(world.later()) == {"40001": "unchanged"}
    assert paid(world) == 100


def test_a_person_who_copies_our_reference_breaks_nothing(world: World) -> None:
    """She removed our payment and entered it anew, with its reference: hers is not ours, and it counts."""
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.books.remove_payment(payment_id(world))
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "100.00", reference=f"CW-{row}-1")
    assert pay(world.later(), force=True) == {"40001": "unchanged"}
    world.policy(REPLACE)
    world.connectwise.remove_payment(row)
    pay(world.later())
    assert paid(world) == 100


def test_two_payments_with_one_reference_are_one_of_ours(world: World) -> None:
    """After the audit was lost nobody knows which; the level is what counts."""
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "20.00", reference=f"CW-{row}-1")
    for path in world.folder.glob("audit.db*"):
        path.unlink()
    world.later().cycle()
    assert pay(world) == {"40001": "unchanged"}
    assert paid(world) == 120


@pytest.mark.parametrize("what", ["removed", "elsewhere", "lowered", "voided"])
def test_what_a_person_accepts_stays_accepted_until_connectwise_says_otherwise(world: World, what: str) -> None:
    """--take theirs: no sweep and no forced read tells it again, and nothing is written."""
    row = world.connectwise.add_payment(40001, "100.00")
    invoice = world.invoices()["40001"]["InvoiceID"]
    if what == "elsewhere":
        world.books.pay(invoice, "60.00")
    pay(world)
    if what in ("removed", "voided"):
        world.books.remove_payment(payment_id(world))
    if what == "lowered":
        world.connectwise.change_payment(row, "70.00")
    if what == "voided":
        world.books.void(invoice)
    (held,) = set(pay(world.later(), force=True).values())
    assert held.startswith("held: ") and len(world.exceptions()) == 1
    assert pay(world.later(), references=["40001"], take="theirs") == {"40001": "unchanged"}
    assert world.exceptions() == []
    for form in ({"sweep": True}, {"force": True}, {"references": ["40001"]}, {}):
        pay(world.later(), **form)
        assert world.exceptions() == [], form
    world.connectwise.change_payment(row, "90.00")
    assert set(pay(world.later()).values()) == {held} or what == "lowered"


def test_a_sweep_finds_a_payment_that_a_person_removed_and_one_that_covers_it_again(world: World) -> None:
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.books.remove_payment(payment_id(world))
    assert pay(world.later()) == {}
    assert pay(world.later(), sweep=True) == {"40001": "held: removed_in_xero"}
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "100.00")
    assert pay(world.later()) == {"40001": "unchanged"} and world.exceptions() == []


def test_a_sweep_finds_a_paid_invoice_that_a_person_voided(world: World) -> None:
    """Of a voided invoice nothing is due, and nothing is paid on it for that."""
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    invoice = world.invoices()["40001"]["InvoiceID"]
    world.books.remove_payments(invoice)
    world.books.void(invoice)
    assert pay(world.later(), sweep=True) == {"40001": "held: removed_in_xero"}
    (told,) = world.exceptions()
    assert "somebody voided that invoice" in told["message"]


def test_a_sweep_of_what_agrees_writes_nothing_and_says_nothing(world: World) -> None:
    """Paid by us, by others, credited, not paid: as much in Xero as ConnectWise says, or more."""
    for number in (40002, 40003, 40004):
        world.add_invoice(str(number), id=number)
    world.cycle()
    world.connectwise.add_payment(40001, "100.00")
    world.connectwise.add_payment(40002, "50.00")
    world.books.pay(world.invoices()["40002"]["InvoiceID"], "50.00")
    world.books.pay(world.invoices()["40003"]["InvoiceID"], "50.00")
    credit(world, "50.00", "40004")
    pay(world)
    with world.watching() as seen:
        assert pay(world.later(), sweep=True) == {}
    assert not [call for call in seen.xero if not call.startswith("GET")]


# The brake, plans, approval


def many(world: World, count: int) -> list[int]:
    """As many invoices with a payment each; the rows."""
    for number in range(count):
        world.add_invoice(f"5{number:04}", id=50000 + number)
    world.cycle()
    rows = [world.connectwise.add_payment(50000 + number, "10.00") for number in range(count)]
    pay(world)
    return rows


def test_more_take_backs_than_the_brake_allows_are_none(world: World) -> None:
    """New payments go on; a word, or an approved plan, releases the rest."""
    world.policy(REPLACE)
    for row in many(world, 26):
        world.connectwise.remove_payment(row)
    world.connectwise.add_payment(40001, "100.00")
    outcomes = pay(world.later())
    assert outcomes.pop("40001") == "posted" and set(outcomes.values()) == {"held: brake"} and len(outcomes) == 26
    assert pay(world.later(), references=["50000"], allow_many=True) == {"50000": "unchanged"}
    assert set(pay(world.later()).values()) == {"unchanged"} and paid(world, "50001") == 0


def test_an_old_payment_is_not_taken_back_unasked(world: World) -> None:
    world.policy(REPLACE)
    row = world.connectwise.add_payment(40001, "100.00", day("2026-01-05"))
    pay(world)
    world.connectwise.remove_payment(row)
    world.later(days=10)
    assert pay(world) == {"40001": "held: brake"}
    assert pay(world.later(), allow_many=True) == {"40001": "unchanged"}
    assert paid(world) == 0


def saved_plan(world: World) -> str:
    """The plan of payments, in a file."""
    summary = world.cycle(family=FAMILY, mode="plan")
    assert summary.cycle is not None
    file = world.folder / "plan.json"
    file.write_text(json.dumps(plan_of([summary.cycle])), encoding="utf-8")
    return str(file)


def test_a_plan_of_payments_is_carried_out_exactly(world: World) -> None:
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.connectwise.add_payment(40001, "100.00")
    file = saved_plan(world)
    world.connectwise.add_payment(40002, "50.00")
    assert pay(world, plan_file=file) == {"40001": "posted"}
    assert paid(world, "40002") == 0
    assert pay(world.later()) == {"40002": "posted"}


def test_a_plan_of_take_backs_is_carried_out_and_releases_the_brake(world: World) -> None:
    world.policy(REPLACE + "[brake]\nupdates = 1\n")
    for row in many(world, 2):
        world.connectwise.remove_payment(row)
    file = saved_plan(world.later())
    plan = json.loads(Path(file).read_text())
    assert {each["action"] for each in plan["writes"]} == {"unpay"}
    pay(world, plan_file=file)
    assert paid(world, "50000") == paid(world, "50001") == 0


def test_a_plan_that_has_moved_writes_nothing(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    file = saved_plan(world)
    world.connectwise.change_payment(row, "120.00")
    summary = world.later().cycle(family=FAMILY, plan_file=file)
    assert paid(world) == 0
    assert summary.failed or set(world.outcomes(summary).values()) <= {"deferred: plan_moved"}


def test_approval_asks_for_payments_as_for_everything_else(world: World) -> None:
    """Only what was approved is written."""
    world.policy(POLICY + '[approval]\nwhen = "always"\n')
    world.connectwise.add_payment(40001, "100.00")
    asked: list[Any] = []

    def approve(rehearsal: Any, _rule: Any) -> Any:
        asked.append(rehearsal)
        file = world.folder / "plan.json"
        file.write_text(json.dumps(plan_of([rehearsal])), encoding="utf-8")
        return approved_writes(str(file), FAMILY)

    summary = run_family(FAMILY, SyncForm(), world.doors, PlainCalls(), lambda _text: None, ask=approve)
    assert not summary.failed and len(asked) == 1
    assert world.outcomes(summary) == {"40001": "posted"}


# Force-sync


@pytest.mark.parametrize("reference", ["40001", "id:40001"])
def test_an_invoice_is_forced_by_its_number_or_its_id(world: World, reference: str) -> None:
    """Whatever the watermark, which it does not move."""
    pay(world)
    world.add_invoice("40002", id=40002)
    world.cycle()
    for number in (40001, 40002):
        world.connectwise.add_payment(number, "100.00")
    with world.watching() as seen:
        assert pay(world, references=[reference]) == {"40001": "posted"}
    assert seen.xero == ["GET /Invoices", "GET /Organisation", "PUT /Payments"]
    assert pay(world, references=[reference]) == {"40001": "unchanged"}
    assert pay(world.later()) == {"40002": "posted"}


def test_an_unknown_reference_does_nothing(world: World) -> None:
    summary = world.cycle(family=FAMILY, references=["49999"])
    assert "49999" in summary.failed and summary.exit_code == 2


# Off, elsewhere


def test_direction_off_leaves_an_organisation_alone(world: World) -> None:
    world.policy(POLICY + '[payments]\ndirection = "off"\n')
    world.connectwise.add_payment(40001, "100.00")
    assert pay(world) == {"40001": "skipped"}
    assert paid(world) == 0 and world.exceptions() == []
