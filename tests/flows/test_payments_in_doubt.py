"""Payments when calls go wrong: nothing is paid or taken back twice, nothing is lost, one refusal stops one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import REQUEST_ROWS, REQUESTS
from deployments.sandbox.wire import Fault, Request
from tasks.payments import SENDS
from tests.flows.sweep import FAULTS
from tests.flows.test_payments import FAMILY, paid, pay, payments, world
from tests.worlds import LOST, World, answers

__all__ = ["world"]

UNCLEAR = sorted(set(FAULTS) - {"token expired", "429 for the day", "answer lost, key forgotten"})
POSTS = '[families]\npayments = "on"\n[payments]\non_decrease = "replace"'


def forget_keys(world: World) -> None:
    """Xero recognises no Idempotency-Key any more: what is sent again is done again."""
    world.xero.switches = replace(world.xero.switches, forget_keys=True)


def nothing_in_doubt(world: World) -> bool:
    """Whether every request is settled."""
    return all(row["settled_at"] for row in [*world.rows(REQUEST_ROWS), *world.rows(REQUESTS)])


def cycles(world: World, minutes: float) -> None:
    """The cycle that is disturbed, and the two after it."""
    world.cycle(family=FAMILY)
    for each in (minutes, 360):
        summary = world.later(minutes=each).cycle(family=FAMILY)
        assert not summary.failed, summary.failed


@pytest.mark.parametrize(("forgotten", "minutes"), [(False, 7), (True, 1)])
@pytest.mark.parametrize("fault", UNCLEAR)
def test_whatever_xero_answers_a_payment_is_made_once(
    world: World, fault: str, forgotten: bool, minutes: float
) -> None:
    """Also when Xero recognises no key: before anything is sent again, the invoice is asked."""
    if forgotten:
        forget_keys(world)
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("PUT", "/Payments", FAULTS[fault]())
    cycles(world, minutes)
    assert paid(world) == 100 and len(payments(world)) == 1
    assert nothing_in_doubt(world) and world.exceptions() == []


@pytest.mark.parametrize(("forgotten", "minutes"), [(False, 7), (True, 1)])
@pytest.mark.parametrize("fault", UNCLEAR)
def test_whatever_xero_answers_a_payment_is_taken_back_once_and_the_rest_is_written(
    world: World, fault: str, forgotten: bool, minutes: float
) -> None:
    """A removal that is sent again is refused, and that is no sign that a person removed the payment."""
    row = world.connectwise.add_payment(40001, "100.00")
    pay(world)
    world.policy(POSTS)
    world.later().connectwise.change_payment(row, "70.00")
    if forgotten:
        forget_keys(world)
    payment = world.books.payments(world.invoices()["40001"]["InvoiceID"])[0]["PaymentID"]
    world.xero_fails("POST", f"/Payments/{payment}", FAULTS[fault]())
    cycles(world, minutes)
    assert payments(world) == [(f"CW-{row}-2", Decimal(70))]
    assert nothing_in_doubt(world) and world.exceptions() == []


def test_a_lost_answer_to_a_batch_of_which_a_part_arrived_pays_the_rest_once(world: World) -> None:
    """A 5xx in mid-batch can leave some elements created (xero.md, 3.3)."""
    for number in (40002, 40003):
        world.add_invoice(str(number), id=number)
    world.cycle()
    forget_keys(world)
    for number in (40001, 40002, 40003):
        world.connectwise.add_payment(number, "100.00")

    def half(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT" and request.path.endswith("/Payments"):
            world.to_xero.plan = lambda _request, _number: None
            invoice = world.invoices()["40002"]["InvoiceID"]
            row = world.connectwise.rows("payment", 40002)[0]["id"]
            world.books.pay(invoice, "100.00", reference=f"CW-{row}-1")
            return answers(500, b'{"Title": "An error occurred", "Status": 500}')
        return None

    world.to_xero.plan = half
    cycles(world, 1)
    for each in ("40001", "40002", "40003"):
        assert paid(world, each) == 100 and len(payments(world, each)) == 1
    assert nothing_in_doubt(world) and world.exceptions() == []


def test_a_limit_of_the_day_defers_and_the_next_day_pays_once(world: World) -> None:
    """No sleeping, no exception, exit code 0."""
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("PUT", "/Payments", FAULTS["429 for the day"]())
    summary = world.cycle(family=FAMILY)
    assert world.outcomes(summary) == {"40001": "deferred: day_limit"}
    assert summary.exit_code == 0
    world.later(days=1).cycle(family=FAMILY)
    world.later().cycle(family=FAMILY)
    assert len(payments(world)) == 1 and nothing_in_doubt(world)


def test_a_limit_of_the_day_while_reading_defers_what_was_to_be_decided(world: World) -> None:
    """And the other organisation's payments go on."""
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("GET", "/Invoices", FAULTS["429 for the day"]())
    assert pay(world) == {"40001": "deferred: day_limit"}
    assert pay(world.later(days=1)) == {"40001": "posted"}


def test_a_minute_limit_is_waited_for_within_the_cycle(world: World) -> None:
    """Refused before it was looked at: the same bytes go out again."""
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("PUT", "/Payments", *[FAULTS["429 for a minute"]()] * 2)
    assert pay(world) == {"40001": "posted"}
    assert len(payments(world)) == 1


def test_an_organisation_that_does_not_answer_fails_the_cycle_and_is_read_again(world: World) -> None:
    """Its invoices stand as they did, and the watermark stays where it is."""
    world.connectwise.add_payment(40001, "100.00")
    world.xero_fails("GET", "/Invoices", *[FAULTS["503"]()] * 4)
    assert world.cycle(family=FAMILY).failed
    assert pay(world.later()) == {"40001": "posted"}


def test_a_refused_payment_in_a_batch_is_rejected_with_xeros_words_and_the_others_are_paid(world: World) -> None:
    """Xero says which; it is not sent again until something about it changes, or a day has passed."""
    world.add_invoice("40002", id=40002)
    world.cycle()
    for number in (40001, 40002):
        world.connectwise.add_payment(number, "100.00")
    invoice = world.invoices()["40002"]["InvoiceID"]

    def credit_meanwhile(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT" and request.path.endswith("/Payments"):
            world.to_xero.plan = lambda _request, _number: None
            world.books.pay(invoice, "300.00")
        return None

    world.to_xero.plan = credit_meanwhile
    summary = world.cycle(family=FAMILY)
    assert world.outcomes(summary) == {"40001": "posted", "40002": "rejected: refused_by_xero"}
    (told,) = world.exceptions()
    assert "100.00 AUD on 40002 in Sydney" in told["message"] and summary.exit_code == 3
    # Looked at again: somebody else has paid enough.
    assert pay(world.later()) == {"40002": "unchanged"}
    assert paid(world, "40002") == 300 and world.exceptions() == []


def test_what_xero_refuses_is_not_sent_again_every_cycle(world: World) -> None:
    """Once a day, or when something about it changed."""
    world.connectwise.add_payment(40001, "100.00")
    refusal = b'{"Type":"ValidationException","Elements":[{"ValidationErrors":[{"Message":"No such thing"}]}]}'
    world.xero_fails("PUT", "/Payments", answers(400, refusal))
    assert pay(world) == {"40001": "rejected: refused_by_xero"}
    with world.watching() as seen:
        assert pay(world.later(hours=1)) == {"40001": "rejected: refused_by_xero"}
    assert "PUT /Payments" not in seen.xero
    assert pay(world.later(days=1)) == {"40001": "posted"}


def test_a_refused_batch_is_split_until_one_stands_alone(world: World) -> None:
    """A definite no to the whole call leaves nothing of it behind."""
    numbers = range(40001, 40005)
    for number in numbers:
        if number != 40001:
            world.add_invoice(str(number), id=number)
    world.cycle()
    for number in numbers:
        world.connectwise.add_payment(number, "100.00")
    bad = world.invoices()["40003"]["InvoiceID"].encode()

    def refuse(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT" and request.path.endswith("/Payments") and bad in request.body:
            return answers(400, b'{"Message":"No","Elements":[{"ValidationErrors":[{"Message":"Not this one"}]}]}')
        return None

    world.to_xero.plan = refuse
    assert pay(world) == {
        "40001": "posted",
        "40002": "posted",
        "40003": "rejected: refused_by_xero",
        "40004": "posted",
    }


@pytest.mark.parametrize("order", ["request", "reversed"])
def test_answers_are_matched_by_reference_in_whatever_order(world: World, order: Any) -> None:
    """No order is promised (xero.md, trap 33)."""
    world.xero.switches = replace(world.xero.switches, answer_order=order)
    for number in range(40002, 40006):
        world.add_invoice(str(number), id=number)
    world.cycle()
    for number in range(40001, 40006):
        world.connectwise.add_payment(number, f"{number - 40000}.00")
    assert set(pay(world).values()) == {"posted"}
    assert [paid(world, str(number)) for number in range(40001, 40006)] == [1, 2, 3, 4, 5]
    assert pay(world.later(), force=True) == {str(number): "unchanged" for number in range(40001, 40006)}


def test_an_answer_that_cannot_be_told_apart_is_looked_up(world: World) -> None:
    """Its elements say nothing of whose they are; the invoices do."""
    world.add_invoice("40002", id=40002)
    world.cycle()
    for number in (40001, 40002):
        world.connectwise.add_payment(number, "100.00")
    nameless = (
        b'{"Payments":[{"PaymentID":"33333333-3333-4333-8333-333333333333","Amount":100},'
        b'{"PaymentID":"44444444-4444-4444-8444-444444444444","Amount":100}]}'
    )
    world.xero_fails("PUT", "/Payments", answers(200, nameless, {"Content-Type": "application/json"}, when="after"))
    assert pay(world) == {"40001": "posted", "40002": "posted"}
    assert pay(world.later(), force=True) == {"40001": "unchanged", "40002": "unchanged"}
    assert len(payments(world)) == len(payments(world, "40002")) == 1


def test_a_payment_that_arrives_after_it_was_looked_for_is_found_before_anything_is_paid(world: World) -> None:
    """A slow Xero: the call was cut, nothing was there, and then it is."""
    world.connectwise.add_payment(40001, "100.00")
    row = world.connectwise.rows("payment", 40001)[0]["id"]
    world.xero_fails("PUT", "/Payments", *[Fault("before", timed_out=True)] * SENDS)
    world.cycle(family=FAMILY)
    assert payments(world) == []
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "100.00", reference=f"CW-{row}-1")
    for minutes in (1, 360):
        world.later(minutes=minutes).cycle(family=FAMILY)
    assert payments(world) == [(f"CW-{row}-1", Decimal(100))] and nothing_in_doubt(world)


def test_while_a_payment_is_in_doubt_nothing_else_is_paid_on_its_invoice(world: World) -> None:
    """Raised meanwhile: first it is known what became of the first one."""
    row = world.connectwise.add_payment(40001, "100.00")
    written: list[str] = []

    def silent(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT":
            written.append(request.path)
            return LOST
        return FAULTS["503"]() if written and request.path.endswith("/Invoices") else None

    world.to_xero.plan = silent
    assert world.cycle(family=FAMILY).failed
    world.connectwise.change_payment(row, "150.00")
    assert world.later(minutes=1).cycle(family=FAMILY).failed
    assert len(written) == 1 and paid(world) == 100
    world.to_xero.plan = lambda _request, _number: None
    for _ in range(2):
        world.later().cycle(family=FAMILY)
    assert payments(world) == [(f"CW-{row}-1", Decimal(100)), (f"CW-{row}-2", Decimal(50))]
    assert world.exceptions() == [] and nothing_in_doubt(world)


def test_the_request_is_stored_before_it_is_sent_with_its_own_key(world: World) -> None:
    """The exact bytes, one row per payment, settled with the answer."""
    world.connectwise.add_payment(40001, "100.00")
    seen: list[tuple[int, bytes]] = []

    def look(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT":
            seen.append((len([row for row in world.rows(REQUEST_ROWS) if row["family"] == FAMILY]), request.body))
        return None

    world.to_xero.plan = look
    pay(world)
    assert [count for count, _ in seen] == [1]
    assert b'"Reference":"CW-' in seen[0][1] and nothing_in_doubt(world)
