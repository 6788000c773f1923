"""Allocations from end to end: what ConnectWise applied of a credit memo is allocated in Xero, once, in any order."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit import mailed
from deployments.sandbox.wire import Fault, Request
from flows.planning import plan_of
from flows.reconciling import reconcile_families
from mappings.reconcile import Statement
from tests.worlds import LOST, World, answers

FAMILY = "credit_notes"
INVOICE, MEMO = 40001, 50001


@pytest.fixture
def world(tmp_path: Any) -> World:
    """One invoice of 330.00 and one credit memo of 110.00, posted and approved."""
    world = World(tmp_path).ready()
    world.policy('[sales]\ninvoice_status = "authorised"\ncredit_note_status = "authorised"')
    world.add_invoice("40001", id=INVOICE)
    world.add_credit_memo("CM-1", id=MEMO)
    world.cycle()
    world.cycle(family=FAMILY)
    return world


def credit(world: World, **form: Any) -> dict[str, str]:
    """A cycle of credit notes, and how each record ended that did not stay as it was."""
    summary = world.cycle(family=FAMILY, **form)
    assert summary.failed == "", summary.failed
    return {number: told for number, told in world.outcomes(summary).items() if told != "unchanged"}


def credited(world: World, number: str = "40001") -> Decimal:
    """What is credited on an invoice in Xero."""
    return Decimal(world.invoices()[number]["AmountCredited"])


def left(world: World, number: str = "CM-1") -> Decimal:
    """What is left of a credit note in Xero."""
    return Decimal(world.credit_notes()[number]["RemainingCredit"])


def test_what_is_applied_is_allocated_and_the_rest_stays(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    assert credit(world)["40001"] == "posted"
    assert (credited(world), left(world)) == (Decimal("60.00"), Decimal("50.00"))


def test_a_second_cycle_allocates_nothing_and_asks_nothing_of_xero(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    with world.watching() as seen:
        credit(world.later())
    assert seen.xero == [] and seen.connectwise == ["GET /finance/invoices"] * 2
    assert credited(world) == 60


def test_one_credit_note_over_two_invoices_is_one_call(world: World) -> None:
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    world.connectwise.apply_credit(MEMO, 40002, "50.00")
    with world.watching() as seen:
        credit(world)
    assert sum(1 for call in seen.xero if call.startswith("PUT") and call.endswith("/Allocations")) == 1
    assert list(map(int, (credited(world), credited(world, "40002"), left(world)))) == [60, 50, 0]


def test_two_credit_notes_on_one_invoice(world: World) -> None:
    world.add_credit_memo("CM-2", "50", id=50002)
    world.connectwise.apply_credit(MEMO, INVOICE, "110.00")
    world.connectwise.apply_credit(50002, INVOICE, "55.00")
    assert credit(world) == {"CM-2": "posted", "40001": "posted"}
    assert list(map(int, (credited(world), left(world), left(world, "CM-2")))) == [165, 0, 0]


def test_an_allocation_before_its_credit_note_waits_and_no_order_matters(tmp_path: Any) -> None:
    world = World(tmp_path).ready()
    world.add_invoice("40001", id=INVOICE)
    world.add_credit_memo("CM-1", id=MEMO)
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    assert credit(world) == {"CM-1": "posted", "40001": "deferred: waits_for_invoice"}
    world.cycle()
    assert credit(world.later()) == {"40001": "deferred: waits_for_approval"}
    world.books.approve(world.invoices()["40001"]["InvoiceID"])
    assert credit(world.later()) == {"40001": "deferred: waits_for_approval"}
    world.books.approve(world.credit_notes()["CM-1"]["CreditNoteID"])
    assert credit(world.later()) == {"40001": "posted"}
    assert credited(world) == 60 and world.exceptions() == []


def test_a_removed_row_takes_the_allocation_off(world: World) -> None:
    row = world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    world.connectwise.uncredit(row)
    assert credit(world.later()) == {}
    assert list(map(int, (credited(world), left(world)))) == [0, 110]


def test_a_lowered_row_is_allocated_anew(world: World) -> None:
    row = world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    world.connectwise.change_payment(row, "40.00")
    assert credit(world.later()) == {"40001": "updated"}
    assert list(map(int, (credited(world), left(world)))) == [40, 70]


def test_a_raised_row_adds_the_difference(world: World) -> None:
    row = world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    world.connectwise.change_payment(row, "100.00")
    assert credit(world.later()) == {"40001": "updated"}
    assert list(map(int, (credited(world), left(world)))) == [100, 10]


def test_what_a_person_took_off_stays_off_until_it_is_wanted(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    (one,) = world.books.allocations(world.invoices()["40001"]["InvoiceID"])
    world.books.unallocate(one["AllocationID"])
    assert credit(world.later(), sweep=True) == {"40001": "held: removed_in_xero"}
    assert credit(world.later(), recreate=True) == {"40001": "updated"}
    assert credited(world) == 60


def test_what_a_person_allocated_is_not_allocated_again(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    world.books.allocate(world.credit_notes()["CM-1"]["CreditNoteID"], world.invoices()["40001"]["InvoiceID"], "60.00")
    assert credit(world) == {}
    assert credited(world) == 60


def test_no_more_than_is_due_is_allocated_and_the_rest_is_told(world: World) -> None:
    world.books.pay(world.invoices()["40001"]["InvoiceID"], "300.00")
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    assert credit(world) == {"40001": "held: overpayment"}
    assert list(map(int, (credited(world), left(world)))) == [30, 80]
    assert credit(world.later()) == {"40001": "held: overpayment"}


@pytest.mark.parametrize("fault", [LOST, Fault("before"), Fault("after", timed_out=True)])
@pytest.mark.parametrize("minutes", [1, 7, 360])
def test_a_lost_answer_never_allocates_twice(world: World, fault: Fault, minutes: int) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "30.00")
    world.xero_fails("PUT", "/Allocations", *[fault] * 4)
    world.cycle(family=FAMILY)
    world.later(minutes=minutes).cycle(family=FAMILY)
    world.later().cycle(family=FAMILY)
    assert list(map(int, (credited(world), left(world)))) == [30, 80]
    assert world.exceptions() == []


def test_an_invoice_that_is_credited_without_a_word_is_found(world: World) -> None:
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=False)
    credit(world.later())
    world.later(days=1)
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    assert credit(world)["40001"] == "posted"


def test_an_exception_of_an_allocation_is_one_of_credit_notes(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    world.books.void(world.credit_notes()["CM-1"]["CreditNoteID"])
    summary = world.cycle(family=FAMILY)
    (told,) = summary.exceptions
    assert (told["family"], told["reference"], told["reason"]) == ("credit_notes", "40001", "removed_in_xero")
    assert summary.exit_code == 3


def test_policy_leaves_allocations_to_people(world: World) -> None:
    world.policy("[sales]\nallocate_credits = false")
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    credit(world)
    assert credited(world) == 0


# What ties out, and what is told


def statement(world: World) -> Statement:
    """The statement of what is credited."""
    *_, found = reconcile_families([FAMILY], world.doors, None, None, lambda _sentence: None)
    return found


def test_what_is_credited_ties_out_or_is_named(world: World) -> None:
    world.add_invoice("40002", id=40002)
    world.add_invoice("40003", id=40003)
    world.add_invoice("40004", id=40004)
    world.cycle()
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    world.connectwise.apply_credit(MEMO, 40002, "50.00")
    credit(world)
    found = statement(world)
    assert found.tied_out and found.differences == []
    assert [(row.heading.family, int(row.connectwise.amount), int(row.xero.amount)) for row in found.rows] == [
        ("allocations", 110, 110)
    ]
    (one,) = world.books.allocations(world.invoices()["40002"]["InvoiceID"])
    world.books.unallocate(one["AllocationID"])
    note = world.credit_notes()["CM-1"]["CreditNoteID"]
    world.books.allocate(note, world.invoices()["40003"]["InvoiceID"], "20.00")
    world.add_credit_memo("CM-2", id=50002)
    world.connectwise.apply_credit(50002, 40004, "30.00")
    found = statement(world)
    assert found.tied_out
    assert {each.reference: f"{each.kind}: {each.reason} {each.amount:.2f}" for each in found.differences} == {
        "40002": "hand_edit: removed -50.00",
        "40003": "hand_edit: credited 20.00",
        "40004": "waiting: not_read_yet -30.00",
    }


def test_a_month_in_which_policy_leaves_allocations_to_people_has_no_statement_of_them(world: World) -> None:
    world.policy("[sales]\nallocate_credits = false")
    assert [one.family for one in reconcile_families([FAMILY], world.doors, None, None, print)] == [FAMILY]


def test_an_exception_of_an_allocation_is_mailed_with_those_of_credit_notes(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    world.books.void(world.credit_notes()["CM-1"]["CreditNoteID"])
    world.cycle(family=FAMILY)
    audit = world.audit()
    try:
        (case,) = mailed.with_endings(audit, FAMILY, mailed.cases(audit, FAMILY))
    finally:
        audit.close()
    assert (case.reference, case.reason) == ("40001", "removed_in_xero")
    assert case.xero_url.endswith(world.invoices()["40001"]["InvoiceID"])
    assert case.connectwise_url.endswith(f"recid={INVOICE}&companyName=sandbox")


def test_allocations_wait_for_approval_like_everything_else(world: World) -> None:
    """A plan that is carried out writes exactly what it says; what became possible since waits for the next one."""
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    plan = world.cycle(family=FAMILY, mode="plan").cycle
    assert plan is not None
    (write,) = plan_of([plan])["writes"]
    assert (write["family"], write["action"], write["document"], write["total"]) == (
        "credit_notes", "allocate", "allocation", "60.00",
    )  # fmt: skip
    assert credited(world) == 0
    path = world.folder / "plan.json"
    path.write_text(json.dumps(plan_of([plan])), encoding="utf-8")
    assert credit(world, plan_file=str(path)) == {"40001": "posted"}
    assert credited(world) == 60
    again = world.cycle(family=FAMILY, plan_file=str(path))
    assert again.exit_code == 2 and "changed since the plan was made" in again.failed


def test_a_refused_allocation_is_told_in_xeros_words_and_not_sent_again_unchanged(world: World) -> None:
    world.connectwise.apply_credit(MEMO, INVOICE, "60.00")
    body = json.dumps(
        {"Elements": [{"ValidationErrors": [{"Message": "Not today"}]}], "Type": "ValidationException"}
    ).encode()
    world.xero_fails("PUT", "/Allocations", answers(400, body))
    assert credit(world) == {"40001": "rejected: refused_by_xero"}
    with world.watching() as seen:
        assert credit(world.later()) == {"40001": "rejected: refused_by_xero"}
    assert not [call for call in seen.xero if call.startswith("PUT")]
    assert credit(world.later(hours=25)) == {"40001": "posted"}


def test_a_named_memo_takes_up_what_waits_for_it(world: World) -> None:
    world.connectwise.add_company("NEW", "Newcomer")
    world.add_credit_memo("CM-2", id=50002, company="NEW")
    world.connectwise.apply_credit(50002, INVOICE, "30.00")
    assert credit(world)["40001"] == "deferred: waits_for_credit_note"
    world.connectwise.edit_invoice(50002, company="ACME", billToCompany="ACME")
    assert credit(world, references=["CM-2"])["40001"] == "posted"


def test_more_than_policy_allows_is_not_taken_off_at_once(world: World) -> None:
    world.policy('[sales]\ninvoice_status = "authorised"\ncredit_note_status = "authorised"\n[brake]\nupdates = 1\n')
    world.add_invoice("40002", id=40002)
    world.cycle()
    rows = [world.connectwise.apply_credit(MEMO, number, "30.00") for number in (INVOICE, 40002)]
    credit(world)
    for row in rows:
        world.connectwise.uncredit(row)
    assert credit(world.later()) == {"40001": "held: brake", "40002": "held: brake"}
    assert credit(world.later(), allow_many=True) == {}
    assert int(left(world)) == 110 and world.exceptions() == []


def test_a_cycle_that_ends_before_its_allocations_reads_the_invoices_again(world: World) -> None:
    """A credit that settles all of an invoice takes it off the list of open ones: only what changed shows it."""
    world.add_credit_memo("CM-2", "300", id=50002)
    world.add_invoice("40002", id=40002)
    world.cycle()
    world.connectwise.apply_credit(50002, 40002, "330.00")

    def plan(request: Request, _number: int) -> Fault | None:
        return answers(500) if request.path.endswith("/payments") else None

    world.to_connectwise.plan = plan
    assert world.cycle(family=FAMILY).failed
    world.to_connectwise.plan = lambda _request, _number: None
    world.later(hours=3).add_invoice("40003")
    assert credit(world)["40002"] == "posted"
    assert int(credited(world, "40002")) == 330
