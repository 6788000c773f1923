"""Credit notes without an answer: no link tells which are ours, so the number does, and the content after it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from deployments.sandbox.wire import Fault, Request
from tests.flows.test_credit_notes import FAMILY, cycle, enter, xero_id
from tests.worlds import LOST, TIMED_OUT, World, answers

EXPIRED = {"minutes": 7}
"""After so long Xero has forgotten the key, and the documents have to be looked up."""


def lose_the_answer(world: World, arrives: bool = True) -> None:
    """A cycle whose write gets no answer (and perhaps never arrives), and that cannot ask what became of it."""
    written: list[Request] = []

    def plan(request: Request, _number: int) -> Fault | None:
        if written:
            return TIMED_OUT
        if request.method == "PUT" and request.path.endswith("/CreditNotes"):
            written.append(request)
            return LOST if arrives else TIMED_OUT
        return None

    world.to_xero.plan = plan
    world.cycle(family=FAMILY)
    assert written
    world.to_xero.plan = lambda _request, _number: None


def after(world: World, **form: Any) -> dict[str, str]:
    """The next cycle, once the key is forgotten."""
    summary = world.later(**EXPIRED).cycle(family=FAMILY, **form)
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def ids(world: World) -> dict[str, str]:
    return {number: each["CreditNoteID"] for number, each in world.credit_notes().items()}


@pytest.mark.parametrize("minutes", [0, 7])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_doubles_and_loses_nothing(world: World, arrives: bool, minutes: float) -> None:
    for number in ("CM-1", "CM-2"):
        world.add_credit_memo(number)
    lose_the_answer(world, arrives)
    world.clock.advance(minutes=minutes)
    world.cycle(family=FAMILY)
    assert sorted(world.credit_notes()) == ["CM-1", "CM-2"] and len(world.books.credit_notes()) == 2
    assert world.exceptions() == []
    with world.later().watching() as seen:
        world.cycle(family=FAMILY)
    assert seen.only_lists(2)


def test_within_a_cycle_a_lost_answer_is_looked_up_by_number_in_one_call(world: World) -> None:
    for number in range(10):
        world.add_credit_memo(f"CM-{number}")
    world.xero_fails("PUT", "/CreditNotes", *[LOST] * 4)
    with world.watching() as seen:
        cycle(world)
    assert [call for call in seen.xero if "CreditNotes" in call] == [*["PUT /CreditNotes"] * 4, "GET /CreditNotes"]
    assert len(world.books.credit_notes()) == 10


def test_one_that_was_renumbered_meanwhile_is_known_by_its_content(world: World) -> None:
    world.add_credit_memo("CM-1")
    lose_the_answer(world)
    there = xero_id(world)
    world.books.edit(there, CreditNoteNumber="HERS-1")
    after(world)
    assert ids(world) == {"HERS-1": there} and world.exceptions() == []
    cycle(world)
    assert ids(world) == {"HERS-1": there}


def test_of_two_alike_the_renumbered_one_is_found_and_the_other_keeps_its_own(world: World) -> None:
    """Same customer, date and total: what has the number of one of them is that one."""
    for number in ("CM-1", "CM-2"):
        world.add_credit_memo(number)
    lose_the_answer(world)
    before = ids(world)
    world.books.edit(before["CM-1"], CreditNoteNumber="HERS-1")
    after(world)
    assert world.exceptions() == []
    assert ids(world) == {"HERS-1": before["CM-1"], "CM-2": before["CM-2"]}


def test_of_two_alike_that_were_both_renumbered_each_gets_one(world: World) -> None:
    for number in ("CM-1", "CM-2"):
        world.add_credit_memo(number)
    lose_the_answer(world)
    for place, there in enumerate(ids(world).values()):
        world.books.edit(there, CreditNoteNumber=f"HERS-{place}")
    after(world)
    assert sorted(world.credit_notes()) == ["HERS-0", "HERS-1"] and len(world.books.credit_notes()) == 2
    assert world.exceptions() == []


def test_of_two_alike_of_which_one_was_refused_the_other_one_is_not_taken_for_both(world: World) -> None:
    """Only one is in Xero, under another number; the second is written, and both are there once."""
    for number in ("CM-1", "CM-2"):
        world.add_credit_memo(number)
    lose_the_answer(world)
    before = ids(world)
    world.books.edit(before["CM-1"], CreditNoteNumber="HERS-1")
    world.books.edit(before["CM-2"], CreditNoteNumber="GONE-2", Date="2026-01-05")
    after(world)
    assert {"HERS-1", "CM-2"} <= set(world.credit_notes())


@pytest.mark.parametrize("arrives", [True, False])
def test_one_that_looks_like_another_records_is_not_taken_for_it(world: World, arrives: bool) -> None:
    """The same credit every month, on the same day: the first is bound, so it is nobody else's."""
    world.add_credit_memo("CM-1")
    world.cycle(family=FAMILY)
    world.add_credit_memo("CM-2")
    lose_the_answer(world, arrives)
    after(world)
    assert sorted(world.credit_notes()) == ["CM-1", "CM-2"] and world.exceptions() == []


def test_more_alike_in_xero_than_of_ours_wait_for_a_person(world: World) -> None:
    """One of them is ours and renumbered, the other was entered by hand; nobody can tell which."""
    world.add_credit_memo("CM-1")
    lose_the_answer(world)
    world.books.edit(xero_id(world), CreditNoteNumber="HERS-1")
    enter(world, "HAND-1")
    assert after(world)["CM-1"] == "held: number_conflict"
    assert len(world.books.credit_notes()) == 2
    # Its number given back, it is known again.
    world.books.edit(xero_id(world, "HERS-1"), CreditNoteNumber="CM-1")
    assert cycle(world)["CM-1"] == "unchanged"
    assert len(world.books.credit_notes()) == 2 and world.exceptions() == []


@pytest.mark.parametrize(
    "fault",
    [
        lambda: answers(500, b'{"Title": "An error occurred", "Status": 500}', when="after"),
        lambda: answers(503, b"The Xero API is temporarily unavailable", {"Content-Type": "text/plain"}),
        lambda: answers(200, b"<html>Login</html>", {"Content-Type": "text/html"}, when="after"),
        lambda: answers(429, b"", {"Retry-After": "26", "X-Rate-Limit-Problem": "minute"}),
    ],
)
def test_whatever_is_answered_there_is_one_of_each(world: World, fault: Callable[[], Fault]) -> None:
    for number in ("CM-1", "CM-2", "CM-3"):
        world.add_credit_memo(number)
    world.xero_fails("PUT", "/CreditNotes", fault())
    for _ in range(3):
        world.cycle(family=FAMILY)
        world.later(**EXPIRED)
    assert sorted(each["CreditNoteNumber"] for each in world.books.credit_notes()) == ["CM-1", "CM-2", "CM-3"]
    assert world.exceptions() == []


def test_an_edit_without_an_answer_is_read_again(world: World) -> None:
    number = world.add_credit_memo("CM-1")
    world.cycle(family=FAMILY)
    world.later().connectwise.edit_invoice(number, customerPO="PO 7")
    world.xero_fails("POST", "/CreditNotes", LOST)
    assert world.outcomes(world.cycle(family=FAMILY)) == {"CM-1": "updated"}
    assert world.credit_notes()["CM-1"]["Reference"] == "PO 7"
    assert world.credit_notes()["CM-1"]["Total"] == Decimal("110.00")


def test_one_that_xero_refuses_leaves_the_others_alone(world: World) -> None:
    """An account that was archived a moment ago: the batch is answered one by one."""
    world.write(
        "accounts.csv",
        "organisation,side,kind,category,item,account_code,item_code\n,sales,product,,,200,\n,sales,service,,,260,\n",
    )
    world.add_credit_memo("CM-1")
    world.cycle(family=FAMILY)
    world.books.archive_account("260")
    world.add_credit_memo("CM-2")
    world.add_invoice("40001", hours="-1")
    assert {"CM-2": "posted", "40001": "rejected: refused_by_xero"}.items() <= cycle(world).items()
    assert sorted(world.credit_notes()) == ["CM-1", "CM-2"]
