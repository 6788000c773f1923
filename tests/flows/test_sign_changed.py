"""A record whose total changes its sign after posting: one document at a time, and a person removes the first one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from deployments.sandbox.wire import Fault, Request
from flows.reconciling import reconcile_families
from tests.worlds import LOST, World

FAMILIES = ("invoices", "credit_notes")


def cycles(world: World, **form: Any) -> dict[str, dict[str, str]]:
    """A cycle of each family, six hours later; how each record ended in them."""
    world.later()
    ended = {}
    for family in FAMILIES:
        summary = world.cycle(family=family, **form)
        assert not summary.failed, summary.failed
        ended[family] = world.outcomes(summary)
    return ended


def told(world: World) -> dict[str, str]:
    """The reason that each family gives."""
    return {each["family"]: each["reason"] for each in world.exceptions()}


def change(world: World, number: int, hours: str) -> None:
    """Change the hours of the only time entry, and so the total."""
    row = world.connectwise.rows("time", number)[0]["id"]
    world.later().connectwise.edit_row("time", row, invoiceHours=Decimal(hours))
    world.connectwise.edit_invoice(number)


def live(world: World) -> list[tuple[str, int]]:
    """What stands in the books, in cents."""
    found = [("invoice", each["Total"]) for each in world.books.invoices(type="ACCREC")]
    found += [("credit note", each["Total"]) for each in world.books.credit_notes()]
    return [(kind, int(total * 100)) for kind, total in found]


def unexplained(world: World) -> list[Decimal]:
    """What the statements of both families leave over."""
    found = reconcile_families(FAMILIES, world.doors, None, None, lambda _sentence: None)
    return [row.unexplained.amount for each in found for row in each.rows]


def remove(world: World, how: str) -> None:
    """Delete or void whatever stands in the books."""
    documents = [*world.books.invoices(type="ACCREC"), *world.books.credit_notes()]
    for each in documents:
        xero_id = each.get("InvoiceID") or each["CreditNoteID"]
        if how == "DELETED":
            world.books.delete(xero_id)
        else:
            world.books.approve(xero_id)
            world.books.void(xero_id)


WAYS = pytest.mark.parametrize(
    ("before", "after", "first", "second"),
    [("2", "-1", ("invoice", 33000), ("credit note", 16500)), ("-1", "2", ("credit note", 16500), ("invoice", 33000))],
)


@WAYS
@pytest.mark.parametrize("how", ["DELETED", "VOIDED"])
def test_the_other_document_follows_once_the_first_is_removed(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int], how: str
) -> None:
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    assert live(world) == [first]
    change(world, number, after)
    cycles(world)
    assert told(world) == dict.fromkeys(FAMILIES, "sign_changed")
    was = "an invoice" if first[0] == "invoice" else "a credit note"
    for each in world.exceptions():
        assert "40001 was posted" in each["message"] and f"as {was}" in each["message"]
        assert "posts" in each["fix"]
    # However often: both are never live.
    cycles(world)
    assert live(world) == [first]
    assert set(unexplained(world)) == {0}
    remove(world, how)
    cycles(world)
    cycles(world)
    assert live(world) == [second]
    assert told(world) == {}
    assert set(unexplained(world)) <= {0}


@WAYS
def test_afterwards_nothing_is_asked_or_said_of_the_removed_one(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    change(world, number, after)
    cycles(world)
    remove(world, "DELETED")
    for _ in range(3):
        cycles(world)
    for family in FAMILIES:
        with world.later().watching() as seen:
            world.cycle(family=family)
        assert seen.only_lists(1 if family == "invoices" else 2), family
    # Neither by a sweep, nor by reading everything again.
    cycles(world, sweep=True)
    assert told(world) == {}
    cycles(world, force=True)
    assert told(world) == {} and live(world) == [second]
    # And an edit of the second goes to the second.
    change(world, number, f"{after}.5")
    cycles(world)
    assert told(world) == {}
    assert live(world) == [(second[0], second[1] + 8250)]


@WAYS
def test_undone_in_connectwise_it_is_as_it_was(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    change(world, number, after)
    cycles(world)
    change(world, number, before)
    cycles(world)
    assert told(world) == {} and live(world) == [first]
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


@WAYS
def test_undone_after_the_first_was_removed_is_not_taken_for_posted(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    """What a person removed is not written again unasked, and not passed over in silence."""
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    change(world, number, after)
    cycles(world)
    remove(world, "DELETED")
    change(world, number, before)
    cycles(world)
    family = "invoices" if first[0] == "invoice" else "credit_notes"
    assert told(world) == {family: "removed_in_xero"}
    world.later().cycle(family=family, references=["40001"], recreate=True)
    assert live(world) == [first] and told(world) == {}


@WAYS
def test_back_and_forth_there_is_one_document_at_a_time(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    change(world, number, after)
    cycles(world)
    remove(world, "DELETED")
    cycles(world)
    cycles(world)
    change(world, number, before)
    cycles(world)
    assert told(world) == dict.fromkeys(FAMILIES, "sign_changed") and live(world) == [second]
    family = "invoices" if first[0] == "invoice" else "credit_notes"
    remove(world, "DELETED")
    cycles(world)
    assert told(world) == {family: "removed_in_xero"} and live(world) == []
    world.later().cycle(family=family, recreate=True)
    cycles(world)
    assert told(world) == {} and live(world) == [first]


@WAYS
def test_reopened_afterwards_only_the_family_that_has_it_says_so(
    world: World, before: str, after: str, first: tuple[str, int], second: tuple[str, int]
) -> None:
    number = world.add_invoice("40001", hours=before)
    cycles(world)
    change(world, number, after)
    cycles(world)
    remove(world, "DELETED")
    cycles(world)
    cycles(world)
    world.connectwise.reopen_invoice(number)
    ended = cycles(world)
    family = "invoices" if second[0] == "invoice" else "credit_notes"
    assert ended.pop(family) == {"40001": "deferred: waits_for_close"}
    assert list(ended.values()) == [{"40001": "skipped"}]
    world.connectwise.close_invoice(number)
    cycles(world)
    assert told(world) == {} and live(world) == [second]


def test_a_sign_that_changes_while_a_cycle_writes_leaves_no_second_document_unnoticed(world: World) -> None:
    """The invoice was read and is not sent yet; meanwhile it became a credit, and that cycle is faster."""
    number = world.add_invoice("40001")
    world.connectwise.add_row("time", number, invoiceHours=0, hourlyRate=1, notes="Nothing")
    world.cycle(mode="plan")

    def overtake(request: Request, _number: int) -> None:
        if request.path.endswith("/Organisation"):
            world.to_xero.plan = lambda _request, _number: None
            change(world, number, "-1")
            assert world.outcomes(world.cycle(family="credit_notes")) == {"40001": "posted"}

    world.to_xero.plan = overtake
    world.cycle()
    assert live(world) == [("invoice", 33000), ("credit note", 16500)]
    cycles(world)
    assert told(world)["invoices"] == "sign_changed"
    world.books.delete(world.invoices()["40001"]["InvoiceID"])
    cycles(world)
    cycles(world)
    assert told(world) == {} and live(world) == [("credit note", 16500)]


def test_a_write_in_doubt_of_the_first_kind_keeps_the_second_waiting(world: World) -> None:
    """Nobody knows yet whether the invoice arrived: the credit note would be a second document."""
    number = world.add_invoice("40001")
    world.to_xero.plan = _lost_and_unreachable()
    world.cycle()
    world.to_xero.plan = lambda _request, _number: None
    change(world, number, "-1")
    summary = world.cycle(family="credit_notes")
    assert world.outcomes(summary) == {"40001": "deferred: unsettled"}
    assert world.credit_notes() == {}
    cycles(world)
    assert live(world) == [("invoice", 33000)]
    assert told(world) == dict.fromkeys(FAMILIES, "sign_changed")


def _lost_and_unreachable() -> Callable[[Request, int], Fault | None]:
    """The answer to the write is lost, and from then on Xero does not answer."""
    written: list[Request] = []

    def plan(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT" and request.path.endswith("/Invoices"):
            written.append(request)
            return LOST
        return LOST if written else None

    return plan


def test_with_the_other_family_off_it_waits(world: World) -> None:
    number = world.add_invoice("40001")
    world.cycle()
    change(world, number, "-1")
    world.cycle()
    assert told(world) == {"invoices": "sign_changed"}


def test_a_sweep_and_a_forced_cycle_hold_it_just_the_same(world: World) -> None:
    number = world.add_invoice("40001")
    cycles(world)
    change(world, number, "-1")
    cycles(world, sweep=True)
    assert told(world) == dict.fromkeys(FAMILIES, "sign_changed")
    cycles(world, references=["40001"])
    cycles(world, force=True)
    assert told(world) == dict.fromkeys(FAMILIES, "sign_changed")
    assert live(world) == [("invoice", 33000)]
