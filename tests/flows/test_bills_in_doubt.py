"""Bills without an answer, and bills that people key or approve meanwhile: each receipt is billed once.

Xero takes the number of a bill any number of times (xero.md, 1.3), so no refusal ever helps: what is in doubt is known
by our link, and what people keyed by the number of the order.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
from deployments.sandbox.wire import Fault, Request
from tests.flows.sweep import FAULTS
from tests.worlds import LOST, TIMED_OUT, World, answers

PER_RECEIPT = (
    "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
    ",reversed,hold,\n,vendor_invoice_received,update_bill_from_vendor_invoice,\n"
)
EXPIRED = {"minutes": 7}
"""After so long Xero has forgotten the key, and the bills have to be looked up."""
UNCLEAR = sorted(set(FAULTS) - {"token expired", "429 for the day", "answer lost, key forgotten"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that makes a draft bill when everything was received."""
    return World(tmp_path).ready_to_buy()


@pytest.fixture
def by_receipt(tmp_path: Path) -> World:
    """A world that makes a bill for each receipt."""
    world = World(tmp_path).ready_to_buy()
    world.sign(PER_RECEIPT)
    return world


def received(world: World, number: str, **fields: Any) -> int:
    """An order of ten switches at 100.00, all of which came."""
    order = world.add_order(number, **fields)
    world.connectwise.receive_line(world.order_lines(order)[0])
    return order


def keyed(world: World, number: str, amount: str = "1000", supplier: str = "netgear distribution", **more: Any) -> str:
    """A bill that a person keyed by hand; its id."""
    contact = world.books.contacts.find("name", supplier)[0].contact_id
    line = {"Description": "By hand", "Quantity": 1, "UnitAmount": amount, "AccountCode": "300"}
    return str(
        world.books.enter_bill(contact, number, Date=world.clock().date(), LineItems=[line], **more)["InvoiceID"]
    )


def cycle(world: World, **form: Any) -> dict[str, str]:
    """A cycle six hours later; how each record ended."""
    summary = world.later().cycle(**form)
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def numbers(world: World) -> list[str]:
    return sorted(bill["InvoiceNumber"] for bill in world.bills())


def bound(world: World) -> dict[int, str]:
    """Which bill each key is bound to."""
    return {row["connectwise_id"]: row["xero_id"] for row in world.rows(BINDINGS) if row["family"] == "bills"}


def nothing_in_doubt(world: World) -> bool:
    return all(row["settled_at"] for row in [*world.rows(REQUEST_ROWS), *world.rows(REQUESTS)])


def lose_the_answer(world: World, arrives: bool = True, method: str = "PUT") -> None:
    """A cycle whose write gets no answer (and perhaps never arrives), and that cannot ask what became of it."""
    written: list[Request] = []

    def plan(request: Request, _number: int) -> Fault | None:
        if written:
            return TIMED_OUT
        if request.method == method and request.path.endswith("/Invoices"):
            written.append(request)
            return LOST if arrives else TIMED_OUT
        return None

    world.to_xero.plan = plan
    world.cycle()
    assert written
    world.to_xero.plan = lambda _request, _number: None


def after(world: World) -> None:
    """The next cycle, once the key is forgotten."""
    summary = world.later(**EXPIRED).cycle()
    assert not summary.failed, summary.failed


# No answer


@pytest.mark.parametrize("minutes", [0, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_doubles_and_loses_nothing(world: World, arrives: bool, minutes: float) -> None:
    for number in ("PO7", "PO77"):
        received(world, number)
    lose_the_answer(world, arrives)
    world.clock.advance(minutes=minutes)
    world.cycle()
    assert numbers(world) == ["PO7", "PO77"] and world.exceptions() == []
    assert nothing_in_doubt(world)
    with world.later().watching() as seen:
        world.cycle()
    assert seen.xero == []


def test_a_lost_answer_is_found_by_the_link_though_a_person_renumbered_the_bill(world: World) -> None:
    received(world, "PO7")
    lose_the_answer(world)
    (bill,) = world.bills()
    world.books.edit(bill["InvoiceID"], InvoiceNumber="NG-4711", Reference="")
    after(world)
    assert numbers(world) == ["NG-4711"] and bound(world).popitem()[1] == bill["InvoiceID"]
    assert cycle(world) == {} and numbers(world) == ["NG-4711"]


def test_a_lost_answer_is_found_by_the_order_though_a_person_took_the_link_off(world: World) -> None:
    received(world, "PO7")
    lose_the_answer(world)
    (bill,) = world.bills()
    world.books.edit(bill["InvoiceID"], Url=None)
    after(world)
    assert numbers(world) == ["PO7"] and bound(world).popitem()[1] == bill["InvoiceID"]


def test_two_bills_of_one_order_of_which_the_answer_was_lost_are_told_apart_by_the_fragment(by_receipt: World) -> None:
    """The same supplier, day and total; a person gave both another number."""
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 5, slip="S1") or 0
    world.connectwise.receive_line(rest, slip="S2")
    lose_the_answer(world)
    there = {bill["InvoiceNumber"]: bill["InvoiceID"] for bill in world.bills()}
    for place, xero_id in enumerate(there.values()):
        world.books.edit(xero_id, InvoiceNumber=f"HERS-{place}")
    after(world)
    assert numbers(world) == ["HERS-0", "HERS-1"] and world.exceptions() == []
    key = order * 1000
    assert bound(world) == {key + 1: there["PO8 / S1"], key + 2: there["PO8 / S2"]}


@pytest.mark.parametrize("fault", UNCLEAR)
def test_whatever_xero_answers_there_is_one_bill_of_each_receipt(by_receipt: World, fault: str) -> None:
    world = by_receipt
    for number in ("PO7", "PO8"):
        line = world.order_lines(world.add_order(number))[0]
        world.connectwise.receive_part(line, 3, slip="S1")
    world.xero_fails("PUT", "/Invoices", FAULTS[fault]())
    for _ in range(3):
        world.cycle()
        world.later(**EXPIRED)
    assert numbers(world) == ["PO7 / S1", "PO8 / S1"] and world.exceptions() == [] and nothing_in_doubt(world)


@pytest.mark.parametrize("fault", ["answer lost", "time-out after the work", "500 after the work", "web page"])
def test_without_an_answer_a_bill_is_looked_for_before_it_is_sent_again(world: World, fault: str) -> None:
    """Xero may have lost every key, and it takes the same number twice: what is sent again is a second bill."""
    world.xero.switches = replace(world.xero.switches, forget_keys=True)
    received(world, "PO7")
    world.xero_fails("PUT", "/Invoices", FAULTS[fault]())
    world.cycle()
    cycle(world)
    assert numbers(world) == ["PO7"] and world.exceptions() == [] and nothing_in_doubt(world)


def test_what_a_killed_cycle_sent_a_moment_ago_is_looked_for_before_it_is_sent_again(world: World) -> None:
    """Xero may have lost every key meanwhile."""
    received(world, "PO7")
    lose_the_answer(world)
    world.xero.switches = replace(world.xero.switches, forget_keys=True)
    world.later(minutes=1).cycle()
    assert numbers(world) == ["PO7"] and nothing_in_doubt(world)


@pytest.mark.parametrize("minutes", [1, 7])
def test_a_receipt_that_came_while_a_bill_was_in_doubt_is_billed_beside_it_once(
    by_receipt: World, minutes: float
) -> None:
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    lose_the_answer(world)
    world.connectwise.receive_line(rest, slip="S2")
    world.later(minutes=minutes).cycle()
    cycle(world)
    assert numbers(world) == ["PO8 / S1", "PO8 / S2"]
    assert sum(bill["SubTotal"] for bill in world.bills()) == 1000


@pytest.mark.parametrize("minutes", [1, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_more_on_a_draft_of_which_the_answer_was_lost_is_added_once(
    by_receipt: World, arrives: bool, minutes: float
) -> None:
    """The lost write said three, and by now it is five: sent again as it was, or read and raised, it ends at five."""
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    lose_the_answer(world, arrives)
    world.connectwise.receive_part(rest, 2, slip="S1")
    world.later(minutes=minutes).cycle()
    cycle(world)
    assert [(bill["InvoiceNumber"], bill["SubTotal"]) for bill in world.bills()] == [("PO8 / S1", Decimal(500))]
    assert world.exceptions() == []


@pytest.mark.parametrize("minutes", [1, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_what_was_taken_back_while_its_bill_was_in_doubt_is_not_billed_unsaid(
    world: World, arrives: bool, minutes: float
) -> None:
    """Where the bill arrived a person is told; where it did not, it may come and be told, or never come."""
    order = received(world, "PO7")
    lose_the_answer(world, arrives)
    world.connectwise.unreceive_line(world.order_lines(order)[0])
    world.later(minutes=minutes).cycle()
    cycle(world)
    told = {each["reason"] for each in world.exceptions()}
    assert (numbers(world), told) in ((["PO7"], {"receipt_reversed"}), ([], set()))


@pytest.mark.parametrize("minutes", [1, 7])
def test_a_lost_edit_is_read_again_and_lands_once(world: World, minutes: float) -> None:
    order = received(world, "PO7")
    world.cycle()
    world.later().connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    lose_the_answer(world, method="POST")
    world.later(minutes=minutes).cycle()
    assert [bill["SubTotal"] for bill in world.bills()] == [900] and world.exceptions() == []


def test_a_limit_of_the_day_defers_a_bill_and_the_next_day_makes_it_once(world: World) -> None:
    received(world, "PO7")
    world.xero_fails("PUT", "/Invoices", FAULTS["429 for the day"]())
    summary = world.cycle()
    assert world.outcomes(summary) == {"PO7": "deferred: day_limit"} and summary.exit_code == 0
    world.later(days=1)
    assert cycle(world) == {"PO7": "posted"}
    assert cycle(world) == {} and numbers(world) == ["PO7"]


def test_nothing_is_made_while_the_suppliers_bills_cannot_be_read(world: World) -> None:
    """Unknown is no permission."""
    received(world, "PO7")
    keyed(world, "PO7")
    world.to_xero.plan = lambda request, _number: (
        answers(503) if request.method == "GET" and request.path.endswith("/Invoices") else None
    )
    assert world.cycle().failed
    world.to_xero.plan = lambda _request, _number: None
    assert len(world.bills()) == 1
    assert cycle(world) == {"PO7": "unchanged"} and len(world.bills()) == 1


# The audit is gone


def test_a_lost_audit_doubles_no_bill(by_receipt: World) -> None:
    """Each is known again by its link, later ones by its fragment."""
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    world.cycle()
    world.connectwise.receive_line(rest, slip="S2")
    cycle(world)
    before = bound(world)
    assert len(before) == 2
    for path in world.folder.glob("audit.db*"):
        path.unlink()
    world.books.edit(before[order * 1000 + 2], InvoiceNumber="HERS")
    cycle(world)
    assert bound(world) == before and len(world.bills()) == 2


def test_a_lost_audit_bills_nothing_again_that_stands_on_two_bills(world: World) -> None:
    """One was approved, and more came; asked anew it would be one bill of all: a person has to look."""
    order = world.add_order("PO8")
    world.connectwise.receive_line(world.order_lines(order)[0])
    world.cycle()
    world.books.approve(world.bills()[0]["InvoiceID"])
    world.connectwise.add_order_line(order, product="CABLE", quantity=Decimal(4))
    world.connectwise.receive_line(world.order_lines(order)[1])
    cycle(world)
    before = world.snapshot()
    assert len(world.bills()) == 2
    for path in world.folder.glob("audit.db*"):
        path.unlink()
    assert cycle(world) == {"PO8": "held: adopted_differs"}
    cycle(world)
    assert world.snapshot() == before


# Keyed by hand


@pytest.mark.parametrize(
    "number", ["PO7", "po7", " PO7 ", "NG-1 / PO7", "PO7 / NG-1", "PO3, PO7", "PO3;PO7", "PO7,PO3;PO4"]
)
def test_a_bill_keyed_by_hand_between_two_cycles_is_adopted_and_not_doubled(world: World, number: str) -> None:
    order = world.add_order("PO7")
    world.cycle()
    there = keyed(world.later(), number)
    before = world.snapshot()
    world.connectwise.receive_line(world.order_lines(order)[0])
    assert cycle(world) == {"PO7": "unchanged"}
    assert cycle(world) == {}
    assert world.snapshot() == before and bound(world) == {order * 1000 + 1: there}


def test_a_bill_that_names_the_order_as_its_reference_is_adopted(world: World) -> None:
    order = received(world, "PO7")
    there = keyed(world, "NG-4711", Reference="PO7")
    assert cycle(world) == {"PO7": "unchanged"} and bound(world) == {order * 1000 + 1: there}


@pytest.mark.parametrize("number", ["PO77", "PO", "PO-7", "PO7A", "XPO7", "PO7/NG-1", "", "PO70 / PO77"])
def test_po7_is_not_po77(world: World, number: str) -> None:
    received(world, "PO7")
    keyed(world, number)
    assert cycle(world) == {"PO7": "posted"}
    assert numbers(world) == sorted([number, "PO7"])


def test_the_same_number_of_another_supplier_is_no_bill_of_this_order(world: World) -> None:
    world.books.add_contact("Somebody Else")
    received(world, "PO7")
    keyed(world, "PO7", supplier="somebody else")
    assert cycle(world) == {"PO7": "posted"} and numbers(world) == ["PO7", "PO7"]


@pytest.mark.parametrize("ends", ["delete", "void"])
def test_a_bill_that_a_person_keyed_and_took_away_again_is_in_nobodys_way(world: World, ends: str) -> None:
    received(world, "PO7")
    there = keyed(world, "PO7", DueDate=world.clock().date())
    if ends == "void":
        world.books.approve(there)
    getattr(world.books, ends)(there)
    assert cycle(world) == {"PO7": "posted"} and numbers(world) == ["PO7"]


def test_a_bill_by_hand_of_another_amount_is_held_with_both_until_a_person_decides(world: World) -> None:
    order = received(world, "PO7")
    there = keyed(world, "PO7", "990")
    assert cycle(world) == {"PO7": "held: adopted_differs"}
    assert cycle(world) == {"PO7": "held: adopted_differs"}
    assert len(world.bills()) == 1
    assert cycle(world, references=["PO7"], take="theirs") == {"PO7": "unchanged"}
    assert cycle(world) == {}
    assert bound(world) == {order * 1000 + 1: there} and [bill["SubTotal"] for bill in world.bills()] == [990]


def test_two_bills_by_hand_for_one_order_wait_for_a_person(world: World) -> None:
    received(world, "PO7")
    for amount in ("400", "600"):
        keyed(world, "PO7", amount)
    assert cycle(world)["PO7"].startswith("held")
    assert len(world.bills()) == 2


def test_one_bill_by_hand_is_not_taken_for_two_receipts_of_the_same_amount(by_receipt: World) -> None:
    """She keyed one of the two; the other one is made."""
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 5, slip="S1") or 0
    world.connectwise.receive_line(rest, slip="S2")
    keyed(world, "PO8", "500")
    for _ in range(3):
        cycle(world)
    assert len(bound(world)) == len(set(bound(world).values())) == 2
    assert sum(bill["SubTotal"] for bill in world.bills()) == 1000 and world.exceptions() == []


def test_a_receipt_keyed_by_hand_beside_a_bill_of_ours_is_adopted(by_receipt: World) -> None:
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    world.cycle()
    there = keyed(world, "PO8 / NG-2", "700")
    world.connectwise.receive_line(rest, slip="S2")
    cycle(world)
    assert len(world.bills()) == 2 and bound(world)[order * 1000 + 2] == there and world.exceptions() == []


def test_more_after_a_bill_by_hand_was_adopted_goes_onto_it_or_beside_it_once(world: World) -> None:
    """Her draft is raised like one of ours, and what she had on it counts as billed."""
    order = received(world, "PO7")
    keyed(world, "PO7")
    cycle(world)
    world.connectwise.add_order_line(order, product="CABLE", quantity=Decimal(4))
    world.connectwise.receive_line(world.order_lines(order)[1])
    for _ in range(2):
        cycle(world)
    told = [each["reason"] for each in world.exceptions()]
    assert len(world.bills()) == 1
    assert told or sum(bill["SubTotal"] for bill in world.bills()) == 1010


# Approved by hand


def test_a_person_approves_between_two_cycles_and_nothing_is_changed_or_doubled(world: World) -> None:
    received(world, "PO7")
    world.cycle()
    world.books.approve(world.bills()[0]["InvoiceID"])
    before = world.snapshot()
    for form in ({}, {"force": True}, {"sweep": True}, {"references": ["PO7"]}):
        cycle(world, **form)
        assert world.snapshot() == before and world.exceptions() == []


@pytest.mark.parametrize("minutes", [1, 7])
def test_a_person_approves_a_bill_of_which_the_answer_was_lost(world: World, minutes: float) -> None:
    received(world, "PO7")
    lose_the_answer(world)
    world.books.approve(world.bills()[0]["InvoiceID"])
    before = world.snapshot()
    world.later(minutes=minutes).cycle()
    cycle(world)
    assert world.snapshot() == before and len(bound(world)) == 1


@pytest.mark.parametrize("minutes", [1, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_person_approves_a_bill_of_which_an_edit_is_in_doubt(world: World, arrives: bool, minutes: float) -> None:
    """What arrived before her approval is what she approved; what did not is held."""
    order = received(world, "PO7")
    world.cycle()
    world.later().connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))
    lose_the_answer(world, arrives, "POST")
    world.books.approve(world.bills()[0]["InvoiceID"])
    before = world.snapshot()
    world.later(minutes=minutes).cycle()
    cycle(world)
    assert world.snapshot() == before
    assert [each["reason"] for each in world.exceptions()] == ([] if arrives else ["authorised_in_xero"])


def test_a_person_approves_while_a_cycle_is_about_to_edit(world: World) -> None:
    """Between our look and our write, as late as can be: what Xero lets through is at least told afterwards."""
    order = received(world, "PO7")
    world.cycle()
    (bill,) = world.bills()
    world.later().connectwise.edit_order_line(world.order_lines(order)[0], unitCost=Decimal(90))

    def approve(request: Request, _number: int) -> None:
        if request.method == "POST" and request.path.endswith("/Invoices") and world.bills()[0]["Status"] == "DRAFT":
            world.books.approve(bill["InvoiceID"])

    world.to_xero.plan = approve
    world.cycle()
    assert len(world.bills()) == 1 and world.bills()[0]["Status"] == "AUTHORISED"


def test_more_after_approval_is_a_further_bill_and_the_approved_one_stays(by_receipt: World) -> None:
    world = by_receipt
    order = world.add_order("PO8")
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
    world.cycle()
    (bill,) = world.bills()
    world.books.approve(bill["InvoiceID"])
    approved = world.books.invoice(bill["InvoiceID"])
    world.connectwise.receive_line(rest, slip="S1")
    lose_the_answer(world)
    after(world)
    cycle(world)
    assert world.books.invoice(bill["InvoiceID"]) == approved
    assert numbers(world) == ["PO8 / S1", "PO8 / S1 (2)"]
    assert sum(each["SubTotal"] for each in world.bills()) == 1000


@pytest.mark.parametrize("ends", ["delete", "void"])
def test_a_bill_that_a_person_removes_while_it_is_in_doubt_stays_removed(world: World, ends: str) -> None:
    received(world, "PO7")
    lose_the_answer(world)
    (bill,) = world.bills()
    if ends == "void":
        world.books.approve(bill["InvoiceID"])
    getattr(world.books, ends)(bill["InvoiceID"])
    after(world)
    for _ in range(2):
        cycle(world)
    told = [each["reason"] for each in world.exceptions()]
    assert (len(world.bills()), told) == (0, ["removed_in_xero"])
