"""The tie-out statement of payments: what is paid on each invoice on either side, and a name for every difference."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import REQUESTS
from flows.reconciling import reconcile_families
from mappings.reconcile import Statement
from tests.flows.sweep import FAULTS
from tests.flows.test_payments import FAMILY, POLICY, REPLACE, pay, payment_id, world
from tests.worlds import World, day

__all__ = ["world"]


def reconcile(world: World, start: date | None = None, end: date | None = None) -> Statement:
    """The statement of payments."""
    (found,) = reconcile_families([FAMILY], world.doors, start, end, lambda _sentence: None)
    return found


def named(found: Statement) -> dict[str, str]:
    """What each differing invoice is called, with the amount: '' where no cause can be shown."""
    return {
        each.reference: f"{': '.join(filter(None, (each.kind, each.reason)))} {each.amount:.2f}"
        for each in (*found.differences, *found.unexplained)
    }


def invoice_id(world: World, number: str = "40001") -> str:
    found: str = world.invoices()[number]["InvoiceID"]
    return found


def test_what_is_paid_on_both_sides_ties_out_by_the_month_of_the_invoice(world: World) -> None:
    """Whoever paid, and whenever."""
    world.add_invoice("40002", id=40002, date=day("2026-02-10"))
    world.add_invoice("40003", id=40003)
    world.cycle()
    world.connectwise.add_payment(40001, "100.00")
    world.connectwise.add_payment(40002, "330.00")
    world.books.pay(invoice_id(world, "40002"), "330.00")
    pay(world)
    found = reconcile(world)
    assert found.tied_out and named(found) == {}
    assert [
        (row.heading.organisation, row.heading.currency, row.heading.month, row.connectwise.count, row.xero.amount)
        for row in found.rows
    ] == [("Sydney", "AUD", "2026-02", 1, Decimal(330)), ("Sydney", "AUD", "2026-03", 1, Decimal(100))]


def test_what_is_not_paid_in_xero_says_why(world: World) -> None:
    """Waiting for its invoice, for approval, for the next cycle; held."""
    world.policy('[families]\npayments = "on"')
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.add_invoice("40003", id=40003)
    for number, amount in ((40001, "400.00"), (40002, "20.00"), (40003, "30.00")):
        world.connectwise.add_payment(number, amount)
    pay(world)
    world.later().add_invoice("40004", id=40004)
    world.cycle()
    world.connectwise.add_payment(40004, "40.00")
    found = reconcile(world)
    assert named(found) == {
        "40001": "held: overpayment -400.00",
        "40002": "waiting: waits_for_approval -20.00",
        "40003": "waiting: waits_for_invoice -30.00",
        "40004": "waiting: not_read_yet -40.00",
    }
    assert found.tied_out
    (told,) = (each for each in found.differences if each.reference == "40001")
    assert told.connectwise_url and told.xero_url and told.message.endswith("only 330.00 is due: 400.00 -> 0.00 AUD.")


def test_hands_in_xero_are_named(world: World) -> None:
    """Paid, removed, voided; part of it held by then or not."""
    for number in (40002, 40003, 40004):
        world.add_invoice(str(number), id=number)
    world.cycle()
    for number in (40002, 40003, 40004):
        world.connectwise.add_payment(number, "50.00")
    pay(world)
    world.books.pay(invoice_id(world), "60.00")
    world.books.remove_payment(payment_id(world, "40002"))
    world.books.remove_payment(payment_id(world, "40003"))
    world.books.void(invoice_id(world, "40003"))
    expected = {
        "40001": "hand_edit: paid 60.00",
        "40002": "hand_edit: removed -50.00",
        "40003": "hand_edit: voided -50.00",
    }
    assert named(reconcile(world)) == expected and reconcile(world).tied_out
    pay(world.later(), sweep=True)
    held = dict.fromkeys(("40002", "40003"), "held: removed_in_xero -50.00")
    assert named(reconcile(world)) == expected | held
    pay(world.later(), take="theirs")
    taken = dict.fromkeys(("40002", "40003"), "hand_edit: taken -50.00")
    assert named(reconcile(world)) == expected | taken and reconcile(world).tied_out


def test_less_in_connectwise_is_held_or_has_not_been_read_yet(world: World) -> None:
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.later().connectwise.change_payment(row, "70.00")
    assert named(reconcile(world)) == {"40001": "waiting: not_read_yet 30.00"}
    pay(world)
    assert named(reconcile(world)) == {"40001": "held: payment_lowered 30.00"}
    world.policy(REPLACE)
    pay(world.later())
    assert reconcile(world).rows[0].xero.amount == 70 and named(reconcile(world)) == {}


def test_a_write_without_an_answer_waits(world: World) -> None:
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("PUT", "/Payments", *[FAULTS["time-out"]()] * 4)
    world.cycle(family=FAMILY)
    assert any(row["settled_at"] is None for row in world.rows(REQUESTS))
    assert named(reconcile(world)) == {"40001": "waiting: unsettled -100.00"}


def test_an_invoice_that_connectwise_does_not_show_any_more_is_named(world: World) -> None:
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.connectwise.delete_invoice(40001)
    assert named(reconcile(world)) == {"40001": "missing_in_connectwise 100.00"}


def test_payments_that_are_off_are_skipped(world: World) -> None:
    world.policy(POLICY + '[payments]\ndirection = "off"\n')
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    assert named(reconcile(world)) == {"40001": "skipped: direction -100.00"}


def test_what_nobody_wrote_and_nothing_explains_is_unexplained(world: World) -> None:
    """Somebody made the amount of our own payment smaller, which Xero has no way to do."""
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    payments: Any = world.books.all_payments
    (payment,) = world.books.payments(invoice_id(world))
    world.books.remove_payment(payment["PaymentID"])
    assert len(list(payments)) == 1
    world.books.pay(invoice_id(world), "30.00", reference="CW-999-1")
    found = reconcile(world)
    assert named(found) == {"40001": "hand_edit: removed -70.00"}
    world.books.pay(invoice_id(world), "20.00")
    assert found.tied_out and reconcile(world).rows[0].xero.amount == 50


def test_what_no_cycle_will_ever_read_is_unexplained(world: World) -> None:
    """Paid off before anybody looked, unlisted since, and older than what the next cycle reads."""
    pay(world)
    world.later(days=2).add_invoice("40002", id=40002)
    pay(world)
    world.connectwise.tables["invoice"].records[40001]["payments"] = Decimal("330.00")
    world.connectwise.tables["invoice"].records[40001]["balance"] = Decimal("0.00")
    audit = world.audit()
    with audit.transaction() as connection:
        connection.exec_driver_sql("UPDATE records SET is_open = 0 WHERE family = 'payments'")
    audit.close()
    found = reconcile(world)
    assert not found.tied_out and named(found) == {"40001": " 330.00"}, named(found)


@pytest.mark.parametrize("when", ["in", "out"])
def test_the_period_is_that_of_the_invoices(world: World, when: str) -> None:
    """Not of the payments."""
    world.connectwise.add_payment(40001, "100.00", day("2026-02-20"))
    pay(world)
    found = reconcile(world, day("2026-03-01")) if when == "in" else reconcile(world, None, day("2026-02-28"))
    assert [row.xero.count for row in found.rows] == ([1] if when == "in" else [])
    assert found.tied_out


def test_credits_and_what_people_invoice_themselves_are_no_part_of_it(world: World) -> None:
    world.add_credit_memo("40009", id=40009)
    contact = world.invoices()["40001"]["Contact"]["ContactID"]
    line = {"Description": "By hand", "Quantity": 1, "UnitAmount": "50", "AccountCode": "200"}
    own = world.books.enter_invoice(
        Type="ACCREC", Contact={"ContactID": contact}, InvoiceNumber="H-1", Date=world.clock().date(),
        DueDate=world.clock().date(), LineItems=[line], Status="AUTHORISED",
    )  # fmt: skip
    world.books.pay(own["InvoiceID"], "10.00")
    pay(world)
    assert reconcile(world).rows == []


def test_it_reads_each_list_once_and_writes_nothing(world: World) -> None:
    world.connectwise.add_payment(40001, "100.00")
    pay(world)
    with world.watching() as seen:
        reconcile(world)
    assert seen.connectwise == ["GET /finance/invoices"]
    assert seen.xero == ["GET /Invoices"]
