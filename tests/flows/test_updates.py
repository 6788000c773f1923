"""Edits of posted invoices: what follows, what a person keeps, what is held with both values and a way out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import OUTCOMES
from deployments.sandbox.wire import Request
from tests.worlds import LOST, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).ready()


def posted(world: World, **fields: Any) -> tuple[int, str]:
    """An invoice that is in Xero: its ids in both systems."""
    number = world.add_invoice("40001", **fields)
    world.cycle()
    return number, world.invoices()["40001"]["InvoiceID"]


def edit(world: World, number: int, **fields: Any) -> None:
    """Change the first time entry, and bump the invoice."""
    world.later()
    world.connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], **fields)
    world.connectwise.edit_invoice(number)


def held(world: World, reason: str) -> dict[str, Any]:
    """The one exception, of this reason."""
    (told,) = world.exceptions()
    assert told["reason"] == reason, told
    return told


def links_of(world: World, xero_id: str) -> int:
    """How many outcomes lead people to this document."""
    return sum(row["xero_id"] == xero_id and xero_id in row["xero_url"] for row in world.rows(OUTCOMES))


def line(world: World, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = world.invoices()["40001"]["LineItems"][place]
    return found


# What follows


@pytest.mark.parametrize("approved", [False, True])
def test_an_edit_follows_into_a_draft_and_into_an_unpaid_approved_invoice(world: World, approved: bool) -> None:
    number, xero_id = posted(world)
    if approved:
        world.books.approve(xero_id)
    before = line(world)["LineItemID"]
    edit(world, number, invoiceHours=3, notes="Longer than thought")
    with world.watching() as seen:
        assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert [call for call in seen.xero if "Invoices" in call] == ["GET /Invoices", "POST /Invoices"]
    now = world.invoices()["40001"]
    assert (now["Total"], now["Status"]) == (Decimal("495.00"), "AUTHORISED" if approved else "DRAFT")
    assert line(world)["LineItemID"] == before
    assert line(world)["Description"] == "Longer than thought"
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_lines_keep_their_ids_while_others_come_and_go(world: World) -> None:
    number, _ = posted(world)
    first = line(world)["LineItemID"]
    world.later()
    more = world.connectwise.add_row("time", number, invoiceHours=1, hourlyRate=100, notes="More")
    world.connectwise.edit_invoice(number)
    world.cycle()
    second = line(world, 1)["LineItemID"]
    assert line(world)["LineItemID"] == first
    world.later()
    world.connectwise.delete_row("time", world.connectwise.rows("time", number)[0]["id"])
    world.connectwise.edit_row("time", more, hourlyRate=110)
    world.connectwise.edit_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert [each["LineItemID"] for each in world.invoices()["40001"]["LineItems"]] == [second]


def test_header_fields_follow_and_leave_the_lines_alone(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"Description": "In her words"}])
    world.later().connectwise.edit_invoice(number, customerPO="PO-9", dueDate=world.clock().date())
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert world.invoices()["40001"]["Reference"] == "PO-9"
    assert line(world)["Description"] == "In her words"


def test_a_number_that_was_edited_follows(world: World) -> None:
    number, xero_id = posted(world)
    world.later().connectwise.edit_invoice(number, invoiceNumber="40001-A")
    assert world.outcomes(world.cycle()) == {"40001-A": "updated"}
    assert world.invoices()["40001-A"]["InvoiceID"] == xero_id


def test_a_number_that_another_document_has_is_held_without_a_write(world: World) -> None:
    number, _ = posted(world)
    world.add_invoice("40002")
    world.later().cycle()
    world.later().connectwise.edit_invoice(number, invoiceNumber="40002")
    with world.watching() as seen:
        world.cycle()
    assert held(world, "number_conflict")["connectwise_id"] == number
    assert "POST /Invoices" not in seen.xero


# What stays a person's


def test_fields_that_only_a_person_changed_stay_hers(world: World) -> None:
    number, xero_id = posted(world)
    hers = {"Description": "In her words", "AccountCode": "260"}
    world.books.edit(xero_id, Reference="HER-REF", LineItems=[line(world) | hers])
    edit(world, number, invoiceHours=3)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    now = world.invoices()["40001"]
    assert (now["Total"], now["Reference"]) == (Decimal("495.00"), "HER-REF")
    assert {name: line(world)[name] for name in hers} == hers
    # And so at the next edit: what she kept is not taken for a change of ours.
    edit(world, number, invoiceHours=4)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert {name: line(world)[name] for name in hers} == hers


def test_what_she_kept_through_an_edit_is_not_overwritten_by_a_later_one(world: World) -> None:
    """Her account stayed when the hours followed; when ours changes as well, she decides."""
    number, xero_id = posted(world)
    world.books.edit(xero_id, Reference="HERS", LineItems=[line(world) | {"AccountCode": "260"}])
    edit(world, number, invoiceHours=3)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    world.paste("accounts.csv", "Sydney,sales,service,,,201,")
    world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    world.cycle()
    told = held(world, "edited_in_xero")["message"]
    assert "Reference is PO-9 in ConnectWise (was (none)) and HERS in Xero" in told
    assert "AccountCode of 'Work for 40001' is 201 in ConnectWise (was 200) and 260 in Xero" in told
    world.later().cycle(references=["40001"], take="ours")
    assert (world.invoices()["40001"]["Reference"], line(world)["AccountCode"]) == ("PO-9", "201")


def test_a_price_that_a_person_decided_for_is_not_overwritten_by_a_later_edit(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"UnitAmount": 140, "LineAmount": None, "TaxAmount": None}])
    edit(world, number, invoiceHours=3)
    world.cycle()
    world.later().cycle(references=["40001"], take="theirs")
    # Something else follows; the price is hers until ConnectWise says something new about it.
    world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    edit(world, number, invoiceHours=4)
    world.cycle()
    assert "is 600.00 in ConnectWise (was 450.00) and 280.00 in Xero" in held(world, "edited_in_xero")["message"]
    # Another line brings ours back no more than a change of this one.
    edit(world, number, invoiceHours=3)
    world.connectwise.add_row("time", number, invoiceHours=1, hourlyRate=100, notes="More")
    world.connectwise.edit_invoice(number)
    world.cycle()
    assert "was changed in Xero from 450.00 to 280.00" in held(world, "edited_in_xero")["message"]
    world.connectwise.delete_row("time", world.connectwise.rows("time", number)[1]["id"])
    edit(world, number, invoiceHours=4)
    world.cycle()
    assert line(world)["LineAmount"] == Decimal("280.00")
    world.later().cycle(references=["40001"], take="ours")
    assert line(world)["LineAmount"] == Decimal("600.00")


def test_a_line_that_a_person_decided_to_leave_out_does_not_come_back(world: World) -> None:
    more = [{"invoiceHours": each, "hourlyRate": 100, "notes": f"Part {each}"} for each in (1, 2)]
    number, xero_id = posted(world, time=more)
    world.books.edit(xero_id, LineItems=[line(world)])
    edit(world, number, notes="In other words")
    world.cycle()
    held(world, "edited_in_xero")
    world.later().cycle(references=["40001"], take="theirs")
    assert world.exceptions() == []
    edit(world, number, notes="In others again")
    world.cycle()
    held(world, "edited_in_xero")
    assert [each["Description"] for each in world.invoices()["40001"]["LineItems"]] == ["Part 1"]


def test_her_tax_type_stays_and_the_document_ties_out_net_of_tax(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"TaxType": "EXEMPTOUTPUT", "TaxAmount": None}])
    edit(world, number, invoiceHours=3)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    now = world.invoices()["40001"]
    assert (now["SubTotal"], line(world)["TaxType"]) == (Decimal("450.00"), "EXEMPTOUTPUT")
    assert world.exceptions() == []


def test_both_changed_the_same_field_and_a_person_decides(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"Description": "In her words"}])
    edit(world, number, notes="In his words")
    world.cycle()
    told = held(world, "edited_in_xero")
    for words in ("In his words", "In her words", "Work for 40001"):
        assert words in told["message"]
    assert "--take ours" in told["fix"] and "--take theirs" in told["fix"]
    assert line(world)["Description"] == "In her words"
    assert world.later().cycle(references=["40001"], take="ours").counts["updated"] == 1
    assert line(world)["Description"] == "In his words"
    assert world.exceptions() == []


def test_taking_theirs_closes_the_exception_and_writes_nothing(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"Description": "In her words"}])
    edit(world, number, notes="In his words")
    world.cycle()
    with world.later().watching() as seen:
        world.cycle(take="theirs")
    assert "POST /Invoices" not in seen.xero
    assert world.exceptions() == []
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_a_price_that_a_person_changed_holds_every_update(world: World) -> None:
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"UnitAmount": 140, "LineAmount": None, "TaxAmount": None}])
    world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    world.cycle()
    assert "was changed in Xero from 300.00 to 280.00" in held(world, "edited_in_xero")["message"]


def test_a_line_that_a_person_added_holds_and_is_there_afterwards(world: World) -> None:
    number, xero_id = posted(world)
    added = {"Description": "Hers", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200", "TaxType": "OUTPUT"}
    world.books.edit(xero_id, LineItems=[line(world), added])
    edit(world, number, invoiceHours=3)
    world.cycle()
    held(world, "edited_in_xero")
    assert line(world, 1)["Description"] == "Hers"


# What is not edited


def test_a_paid_invoice_is_held_with_the_correction_in_words(world: World) -> None:
    number, xero_id = posted(world)
    world.books.approve(xero_id)
    world.books.pay(xero_id, Decimal(100))
    edit(world, number, invoiceHours=1)
    world.cycle()
    told = held(world, "paid_in_xero")
    assert "total 330.00 AUD -> 165.00 AUD" in told["message"]
    assert "100.00 AUD of it is paid" in told["message"]
    assert "Enter a credit note of 165.00 AUD for 40001" in told["fix"]
    assert [links_of(world, xero_id), links_of(world, "")] == [2, 0]
    # Undone in ConnectWise: nothing is left to say.
    edit(world, number, invoiceHours=2)
    assert world.outcomes(world.cycle()) == {"40001": "unchanged"}
    assert world.exceptions() == []


def test_an_approved_invoice_is_left_alone_where_policy_says_so(world: World) -> None:
    world.policy('[sales]\non_edit_authorised = "hold"\n')
    number, xero_id = posted(world)
    world.books.approve(xero_id)
    edit(world, number, invoiceHours=3)
    world.cycle()
    assert "further invoice of 165.00 AUD" in held(world, "authorised_in_xero")["fix"]


def test_a_locked_period_holds_an_edit_that_moves_out_of_it_too(world: World) -> None:
    number, _ = posted(world)
    world.books.set_lock_date(world.clock().date())
    world.later(days=2).connectwise.edit_invoice(number, date=world.clock().date(), dueDate=world.clock().date())
    world.cycle()
    assert "locked up to and including" in held(world, "period_locked")["message"]


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_a_removed_document_stays_removed_until_somebody_wants_it_again(world: World, status: str) -> None:
    number, xero_id = posted(world)
    if status == "VOIDED":
        world.books.approve(xero_id)
        world.books.void(xero_id)
    else:
        world.books.delete(xero_id)
    edit(world, number, invoiceHours=3)
    world.cycle()
    assert f"somebody {status.lower()} it" in held(world, "removed_in_xero")["message"]
    world.later().cycle()
    assert world.invoices() == {}
    if status == "DELETED":
        assert world.later().cycle(references=["40001"], recreate=True).counts["posted"] == 1
        assert world.invoices()["40001"]["InvoiceID"] != xero_id
        assert world.exceptions() == []


# The brake


def test_more_edits_than_the_brake_allows_are_all_held_and_new_documents_go_on(world: World) -> None:
    world.policy("[brake]\nupdates = 2\n")
    numbers = [world.add_invoice(f"4000{each}") for each in range(1, 4)]
    world.cycle()
    for number in numbers:
        edit(world, number, invoiceHours=3)
    world.add_invoice("40009")
    told = world.outcomes(world.cycle())
    assert told == {"40001": "held: brake", "40002": "held: brake", "40003": "held: brake", "40009": "posted"}
    assert links_of(world, "") == 0
    assert "330.00 AUD -> 495.00 AUD" in world.exceptions()[0]["message"]
    with world.later().watching() as seen:
        assert world.cycle().counts["held"] == 3
    assert not [call for call in seen.xero if "Invoices" in call]
    assert world.later().cycle(allow_many=True).counts["updated"] == 3
    assert world.exceptions() == []


def test_as_many_edits_as_the_brake_allows_go_out(world: World) -> None:
    world.policy("[brake]\nupdates = 2\n")
    numbers = [world.add_invoice(f"4000{each}") for each in range(1, 3)]
    world.cycle()
    for number in numbers:
        edit(world, number, invoiceHours=3)
    assert world.cycle().counts["updated"] == 2


def test_an_old_document_is_not_changed_unasked(world: World) -> None:
    world.later(days=10)
    number, _ = posted(world, date=world.clock().date() - timedelta(days=61))
    edit(world, number, invoiceHours=3)
    world.cycle()
    assert "older than 60 days" in held(world, "brake")["message"]
    with world.later().watching() as seen:
        world.cycle()
    assert seen.xero == []
    assert world.later().cycle(references=["40001"], allow_many=True).counts["updated"] == 1


# What goes wrong on the way


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_was_lost_leads_to_one_edit(world: World, arrived: bool) -> None:
    number, _ = posted(world)
    world.later()
    world.connectwise.add_row("time", number, invoiceHours=1, hourlyRate=100, notes="More")
    world.connectwise.edit_invoice(number)
    faults = [LOST] * 4 if arrived else [type(LOST)("before")] * 4
    world.xero_fails("POST", "/Invoices", *faults)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    now = world.invoices()["40001"]
    assert (now["Total"], len(now["LineItems"])) == (Decimal("440.00"), 2)
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_an_edit_that_xero_refuses_is_told_and_not_sent_again_at_once(world: World) -> None:
    number, _ = posted(world)
    world.books.archive_account("200")
    edit(world, number, invoiceHours=3)
    told = world.outcomes(world.cycle())["40001"]
    assert told in ("held: missing_account", "rejected: refused_by_xero")
    assert world.invoices()["40001"]["Total"] == Decimal("330.00")


def test_routing_changed_after_posting_is_held_with_both_places(tmp_path: Path) -> None:
    both = World(tmp_path).ready_twice()
    number, _ = posted(both)
    both.later().connectwise.edit_invoice(number, location="Perth")
    both.cycle()
    told = held(both, "organisation_changed")
    assert "Sydney" in told["message"] and "Perth" in told["message"]
    assert both.invoices("Perth") == {}


# What people do in ConnectWise


def test_reopened_and_closed_again_with_an_edit(world: World) -> None:
    number, _ = posted(world)
    world.later().connectwise.reopen_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "deferred: waits_for_close"}
    edit(world, number, invoiceHours=3)
    assert world.outcomes(world.cycle()) == {"40001": "deferred: waits_for_close"}
    world.later().connectwise.close_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert world.invoices()["40001"]["Total"] == Decimal("495.00")


def test_reopened_and_closed_again_as_it_was(world: World) -> None:
    number, _ = posted(world)
    before = world.snapshot()
    world.later().connectwise.reopen_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "deferred: waits_for_close"}
    world.later().connectwise.close_invoice(number)
    with world.watching() as seen:
        assert world.outcomes(world.cycle()) == {"40001": "unchanged"}
    assert not [call for call in seen.xero if "Invoices" in call]
    assert (world.exceptions(), world.snapshot()) == ([], before)


def test_batching_in_connectwise_is_no_edit(world: World) -> None:
    """Batched, unbatched, batched again: the record moves, the document does not."""
    number, _ = posted(world)
    for batch in ({"id": 7, "name": "B-7"}, None, {"id": 7, "name": "B-7"}):
        world.later().connectwise.edit_invoice(number, glBatch=batch)
        with world.watching() as seen:
            world.cycle()
        assert "POST /Invoices" not in seen.xero
    assert world.exceptions() == []


@pytest.mark.parametrize("bumps", [True, False])
def test_an_edited_row_is_followed_whether_or_not_it_bumps_its_invoice(world: World, bumps: bool) -> None:
    """Where it does not, a forced cycle finds it: nothing of the invoice says that it changed since."""
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=bumps)
    number, _ = posted(world)
    row = world.connectwise.rows("time", number)[0]["id"]
    world.later().connectwise.edit_row("time", row, notes="In other words")
    assert world.cycle().counts.get("updated", 0) == int(bumps)
    world.later().cycle(force=True)
    assert line(world)["Description"] == "In other words"


def test_an_edit_while_the_cycle_runs_is_left_to_the_next_one(world: World) -> None:
    number = world.add_invoice("40001")

    def meanwhile(request: Request, _number: int) -> None:
        if request.method == "PUT":
            world.clock.advance(seconds=5)
            world.connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=3)
            world.connectwise.edit_invoice(number)

    world.to_xero.plan = meanwhile
    assert world.outcomes(world.cycle()) == {"40001": "posted"}
    world.to_xero.plan = lambda _request, _number: None
    assert world.outcomes(world.later().cycle()) == {"40001": "updated"}
    assert world.invoices()["40001"]["Total"] == Decimal("495.00")


def test_an_edit_while_another_is_written_is_left_to_the_next_cycle(world: World) -> None:
    """Of either side: what ConnectWise says since is not lost, and her field is not taken for ours."""
    number, xero_id = posted(world)
    edit(world, number, invoiceHours=3)

    def meanwhile(request: Request, _number: int) -> None:
        if request.method == "POST" and request.path.endswith("/Invoices"):
            world.clock.advance(seconds=5)
            world.connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=4)
            world.connectwise.edit_invoice(number, customerPO="PO-9")
            world.books.edit(xero_id, DueDate="2026-03-31")

    world.to_xero.plan = meanwhile
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    world.to_xero.plan = lambda _request, _number: None
    assert world.outcomes(world.later().cycle()) == {"40001": "updated"}
    now = world.invoices()["40001"]
    assert (now["Total"], now["Reference"], now["DueDateString"][:10]) == (Decimal("660.00"), "PO-9", "2026-03-31")


def test_a_row_that_changed_the_amount_without_its_invoice_is_found_by_force(world: World) -> None:
    """No cycle can read it by itself; what is forced follows, whichever way it is forced."""
    number, _ = posted(world)
    world.later().add_invoice("40002")
    world.cycle()
    row = world.connectwise.rows("time", number)[0]["id"]
    for hours, form in ((3, {"references": ["40001"]}), (4, {"force": True})):
        world.later().connectwise.edit_row("time", row, invoiceHours=hours)
        world.cycle()
        assert world.invoices()["40001"]["Total"] == Decimal(165 * (hours - 1))
        assert world.outcomes(world.cycle(**form))["40001"] == "updated"
        assert world.invoices()["40001"]["Total"] == Decimal(165 * hours)


def test_an_edit_that_was_undone_while_it_waited_for_a_row_leaves_no_exception(world: World) -> None:
    """The row of tracking.csv is there again, and nothing is left to write."""
    table, row = "organisation,side,source,value,tracking_category,option\n", ",sales,department,Desk,Region,East\n"
    world.connectwise.add_department("Desk")
    world.books.add_tracking_category("Region", ["East"])
    world.write("tracking.csv", table + row)
    number, _ = posted(world, department="Desk")
    world.write("tracking.csv", table + row.replace("Desk", "Nobody's"))
    edit(world, number, invoiceHours=3)
    world.cycle()
    held(world, "missing_tracking")
    edit(world, number, invoiceHours=2)
    world.cycle()
    world.write("tracking.csv", table + row)
    assert world.outcomes(world.later().cycle()) == {"40001": "unchanged"}
    assert world.exceptions() == []


def test_a_total_below_zero_never_becomes_an_edit(world: World) -> None:
    number, _ = posted(world)
    edit(world, number, invoiceHours=-1)
    world.cycle()
    held(world, "sign_changed")
    assert world.invoices()["40001"]["Total"] == Decimal("330.00")


def test_a_policy_that_skips_zero_totals_does_not_hide_a_posted_invoice(world: World) -> None:
    world.policy('[sales]\nzero_total = "skip"\n')
    number, _ = posted(world)
    edit(world, number, hourlyRate=0)
    world.cycle()
    assert "It was posted before" in held(world, "zero_total")["message"]


# Entered by hand


def by_hand(world: World, amount: str) -> str:
    """The same invoice, keyed by a bookkeeper in one line of her own."""
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    made: dict[str, Any] = world.books.enter_invoice(
        Type="ACCREC",
        InvoiceNumber="40001",
        Contact={"ContactID": contact},
        Date=world.clock().date(),
        DueDate=world.clock().date(),
        LineItems=[{"Description": "All of it", "Quantity": 1, "UnitAmount": amount, "AccountCode": "260"}],
    )
    return str(made["InvoiceID"])


def test_a_document_that_was_taken_over_keeps_her_lines_when_something_else_changes(world: World) -> None:
    xero_id = by_hand(world, "300")
    number, _ = posted(world)
    assert world.invoices()["40001"]["InvoiceID"] == xero_id
    world.later().connectwise.edit_invoice(number, customerPO="PO-9")
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert (world.invoices()["40001"]["Reference"], line(world)["Description"]) == ("PO-9", "All of it")
    # Which of her lines a changed row would be is not known.
    edit(world, number, invoiceHours=3)
    world.cycle()
    held(world, "edited_in_xero")
    assert line(world)["AccountCode"] == "260"


@pytest.mark.parametrize(("take", "ends"), [("ours", "330.00"), ("theirs", "1098.90")])
def test_a_document_that_differs_is_taken_over_as_a_person_says(world: World, take: str, ends: str) -> None:
    xero_id = by_hand(world, "999")
    posted(world)
    held(world, "number_conflict")
    summary = world.later().cycle(take=take)
    assert not summary.failed
    assert world.exceptions() == []
    now = world.invoices()["40001"]
    assert (now["InvoiceID"], now["Total"]) == (xero_id, Decimal(ends))
    with world.later().watching() as seen:
        world.cycle()
    assert not [call for call in seen.xero if "Invoices" in call]


def test_a_word_for_all_counts_only_where_a_person_could_have_seen_it(world: World) -> None:
    """A conflict that this very cycle finds has been seen by nobody."""
    number, xero_id = posted(world)
    world.books.edit(xero_id, LineItems=[line(world) | {"Description": "In her words"}])
    edit(world, number, notes="In his words")
    world.cycle(take="ours")
    held(world, "edited_in_xero")
    assert line(world)["Description"] == "In her words"
