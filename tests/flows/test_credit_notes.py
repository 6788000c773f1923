"""Credit notes from end to end: what is below zero in ConnectWise is a credit note in Xero, once, to the cent."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import OUTCOMES, RECORDS
from flows.planning import plan_of, read_plan
from flows.reconciling import reconcile_families
from mappings.reconcile import Statement
from tests.flows.test_exception_mail import cycle as cycle_with_mail
from tests.postbox import Postbox, postbox, text_of
from tests.worlds import World, day

FAMILY = "credit_notes"


def cycle(world: World, **form: Any) -> dict[str, str]:
    """A cycle of credit notes six hours later; how each record ended."""
    summary = world.later().cycle(family=FAMILY, **form)
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def posted(world: World, **fields: Any) -> tuple[int, str]:
    """A credit memo of 110.00 that is in Xero: its ids in both systems."""
    number = world.add_credit_memo("CM-1", **fields)
    assert cycle(world) == {"CM-1": "posted"}
    return number, xero_id(world)


def xero_id(world: World, number: str = "CM-1") -> str:
    found: str = world.credit_notes()[number]["CreditNoteID"]
    return found


def reprice(world: World, number: int, price: str, **fields: Any) -> None:
    """Change the price of the only product, and bump the memo."""
    world.later()
    world.connectwise.edit_row("product", world.connectwise.rows("product", number)[0]["id"], price=Decimal(price))
    world.connectwise.edit_invoice(number, **fields)


def held(world: World, reason: str) -> dict[str, Any]:
    """The one exception, of this reason."""
    (told,) = world.exceptions()
    assert (told["reason"], told["family"]) == (reason, FAMILY), told
    return told


def enter(world: World, number: str = "CM-1", amount: str = "100", **fields: Any) -> str:
    """A credit note that somebody keys in by hand; its id."""
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    line = {"Description": "By hand", "Quantity": 1, "UnitAmount": amount, "AccountCode": "200", "TaxType": "OUTPUT"}
    given = {
        "Type": "ACCRECCREDIT", "CreditNoteNumber": number, "Contact": {"ContactID": contact},
        "Date": world.clock().date(), "LineItems": [line],
    }  # fmt: skip
    made: str = world.books.enter_credit_note(**given | fields)["CreditNoteID"]
    return made


# What becomes a credit note


def test_a_credit_memo_becomes_a_credit_note_of_positive_amounts(world: World) -> None:
    world.add_credit_memo("CM-1", "100")
    assert cycle(world) == {"CM-1": "posted"}
    note = world.credit_notes()["CM-1"]
    assert (note["Total"], note["TotalTax"], note["Status"]) == (Decimal("110.00"), Decimal("10.00"), "DRAFT")
    (line,) = note["LineItems"]
    assert (line["Quantity"], line["UnitAmount"], line["LineAmount"]) == (1, 100, 100)
    assert world.invoices() == {}


def test_any_record_below_zero_is_a_credit_note_whatever_its_type(world: World) -> None:
    """With lines of both signs, which keep their meaning: what is billed comes off the credit."""
    products = [
        {"quantity": 1, "price": -200, "taxableFlag": True, "description": "Returned"},
        {"quantity": 2, "price": 25, "taxableFlag": False, "description": "Restocking"},
    ]
    world.add_invoice("40001", time=[], products=products)
    world.add_invoice("40002", hours="-2")
    assert cycle(world) == {"40001": "posted", "40002": "posted"}
    notes = world.credit_notes()
    assert (notes["40001"]["SubTotal"], notes["40001"]["Total"]) == (Decimal("150.00"), Decimal("170.00"))
    assert [(line["Quantity"], line["UnitAmount"]) for line in notes["40001"]["LineItems"]] == [(1, 200), (2, -25)]
    assert notes["40002"]["Total"] == Decimal("330.00")


def test_an_invoice_is_no_matter_of_credit_notes_and_a_credit_none_of_invoices(world: World) -> None:
    world.add_invoice("40001")
    world.add_credit_memo("CM-1")
    assert cycle(world) == {"CM-1": "posted"}
    assert world.invoices() == {}
    assert world.outcomes(world.cycle()) == {"40001": "posted", "CM-1": "skipped"}
    assert (list(world.invoices()), list(world.credit_notes())) == (["40001"], ["CM-1"])


@pytest.mark.parametrize(
    ("choice", "outcome"), [("draft", "posted"), ("hold", "held: zero_total"), ("skip", "skipped")]
)
def test_a_credit_memo_over_nothing_follows_the_rule_of_invoices(world: World, choice: str, outcome: str) -> None:
    world.policy(f'[sales]\nzero_total = "{choice}"\n')
    world.add_credit_memo("CM-0", "0")
    assert cycle(world) == {}
    assert world.outcomes(world.cycle())["CM-0"].startswith(outcome)
    assert (list(world.invoices()), world.credit_notes()) == (["CM-0"] if choice == "draft" else [], {})


def test_an_open_or_early_credit_memo_is_skipped(world: World) -> None:
    world.add_credit_memo("CM-1", status="New")
    world.add_credit_memo("CM-2", date=day("2025-12-31"))
    summary = world.cycle(family=FAMILY, references=["CM-1", "CM-2"])
    assert set(world.outcomes(summary).values()) == {"skipped"}
    assert world.credit_notes() == {}


@pytest.mark.parametrize("status", ["draft", "submitted", "authorised"])
def test_its_status_number_and_reference_are_policy_of_its_own(world: World, status: str) -> None:
    world.policy(
        f'[sales]\ncredit_note_status = "{status}"\ncredit_note_number = "CN{{id}}"\ninvoice_status = "draft"\n'
    )
    number = world.add_credit_memo("CM-1", customerPO="PO 7")
    assert cycle(world) == {"CM-1": "posted"}
    (note,) = world.credit_notes().values()
    assert (note["CreditNoteNumber"], note["Status"]) == (f"CN{number}", status.upper())
    assert note["Reference"] == "PO 7"


def test_each_organisation_gets_its_own(both: World) -> None:
    both.add_credit_memo("CM-1")
    both.add_credit_memo("CM-2", location="Perth")
    assert cycle(both) == {"CM-1": "posted", "CM-2": "posted"}
    assert (list(both.credit_notes("Sydney")), list(both.credit_notes("Perth"))) == (["CM-1"], ["CM-2"])


def test_a_customer_that_is_missing_is_made_where_policy_says_so(world: World) -> None:
    world.policy('[contacts]\ncreate = "create"\n')
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_credit_memo("CM-1", company="NEW")
    assert cycle(world) == {"CM-1": "posted"}
    assert world.credit_notes()["CM-1"]["Contact"]["Name"] == "Newcomer"


# Once, and for nothing when nothing happens


def test_the_second_cycle_asks_nothing_of_xero(world: World) -> None:
    world.add_credit_memo("CM-1")
    world.add_invoice("40001")
    cycle(world)
    with world.watching() as seen:
        assert cycle(world) in ({}, {"CM-1": "unchanged"})
    assert seen.only_lists(2)
    assert len(world.books.credit_notes()) == 1


def test_forgetting_the_window_loads_nothing_twice(world: World) -> None:
    world.add_credit_memo("CM-1")
    cycle(world)
    assert cycle(world, force=True) == {"CM-1": "unchanged"}
    assert len(world.books.credit_notes()) == 1


def test_where_there_are_only_invoices_the_next_cycle_reads_no_more_than_what_is_new(world: World) -> None:
    """The watermark follows the list that was read, not what of it is of this family."""
    for number in range(5):
        world.add_invoice(f"4000{number}")
    assert cycle(world) == {}
    with world.watching() as seen:
        assert cycle(world) == {}
    assert seen.only_lists(2)
    asked = [call for call in world.to_connectwise.calls if call.path.endswith("/finance/invoices")][-2]
    assert any(name == "conditions" and "lastUpdated>=" in value for name, value in asked.query)


def test_a_long_list_of_invoices_leaves_no_rows_in_this_family(world: World) -> None:
    """A row for each would be fifty thousand, each night again. That they are open is known once, for allocations."""
    for number in range(2500):
        world.connectwise.add_invoice(
            invoiceNumber=f"{50000 + number}", company="ACME", location="Sydney", status="Closed",
            date=world.clock().date(), agreementAmount=Decimal(100),
        )  # fmt: skip
    world.add_credit_memo("CM-1")
    assert cycle(world) == {"CM-1": "posted"}
    cycle(world, sweep=True)
    records = [row for row in world.rows(RECORDS) if row["family"] == FAMILY]
    assert {row["reference"] for row in (*records, *world.rows(OUTCOMES))} == {"CM-1"}


def test_one_bad_record_stops_no_other(world: World) -> None:
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    for number, fields in {"CM-1": {}, "CM-2": {"company": "NEW"}, "CM-3": {}}.items():
        world.add_credit_memo(number, **fields)
    broken = world.add_credit_memo("CM-4")
    world.connectwise.edit_invoice(broken, productTotal=Decimal(-95))
    assert cycle(world) == {
        "CM-1": "posted", "CM-2": "held: missing_contact", "CM-3": "posted", "CM-4": "held: lines_incomplete",
    }  # fmt: skip
    assert {each["reference"]: each["amount"] for each in world.exceptions()}.keys() == {"CM-2", "CM-4"}
    world.books.add_contact("Newcomer", account_number="NEW01")
    assert cycle(world)["CM-2"] == "posted"


def test_what_cannot_be_read_is_told_once(world: World) -> None:
    """With the invoices; where those are off, here."""
    world.add_credit_memo("CM-1")
    number = world.add_credit_memo("CM-2")
    world.connectwise.edit_invoice(number, total="see attachment")
    assert cycle(world) == {"CM-1": "posted"}
    assert world.outcomes(world.cycle())["CM-2"] == "held: unreadable_record"
    world.policy('[families]\ninvoices = "off"\n')
    assert cycle(world, force=True)["CM-2"] == "held: unreadable_record"


def test_the_table_links_into_both_systems(world: World) -> None:
    number, _ = posted(world)
    (row,) = world.rows(OUTCOMES)
    code = world.books.short_code
    assert row["xero_url"] == (
        f"http://localhost/organisationlogin/default.aspx?shortcode={code}"
        f"&redirecturl=/AccountsPayable/ViewCreditNote.aspx?creditNoteID={xero_id(world)}"
    )
    assert f"recid={number}" in row["connectwise_url"]


# Edits


def test_an_edit_follows_into_the_draft(world: World) -> None:
    number, _ = posted(world)
    before = world.credit_notes()["CM-1"]["LineItems"][0]["LineItemID"]
    reprice(world, number, "-120", customerPO="PO 7")
    with world.watching() as seen:
        assert cycle(world) == {"CM-1": "updated"}
    assert [call for call in seen.xero if "CreditNotes" in call] == ["GET /CreditNotes", "POST /CreditNotes"]
    note = world.credit_notes()["CM-1"]
    assert (note["Total"], note["Reference"]) == (Decimal("132.00"), "PO 7")
    assert note["LineItems"][0]["LineItemID"] == before
    with world.watching() as seen:
        cycle(world)
    assert seen.only_lists(2)


def test_a_date_that_changes_follows_without_a_due_date(world: World) -> None:
    number, _ = posted(world)
    world.connectwise.edit_invoice(number, date=day("2026-02-20"), dueDate=day("2026-02-25"))
    assert cycle(world) == {"CM-1": "updated"}
    assert world.credit_notes()["CM-1"]["DateString"].startswith("2026-02-20")
    world.connectwise.edit_invoice(number, dueDate=day("2026-02-28"))
    with world.watching() as seen:
        assert cycle(world) == {"CM-1": "unchanged"}
    assert not [call for call in seen.xero if "CreditNotes" in call]


def test_an_approved_one_that_nobody_used_follows_or_stays_as_policy_says(world: World) -> None:
    number, there = posted(world)
    world.books.approve(there)
    reprice(world, number, "-120")
    assert cycle(world) == {"CM-1": "updated"}
    assert world.credit_notes()["CM-1"]["Total"] == Decimal("132.00")
    world.policy('[sales]\non_edit_authorised = "hold"\n')
    reprice(world, number, "-150")
    cycle(world)
    told = held(world, "authorised_in_xero")
    assert "leave approved credit notes alone" in told["message"]
    assert "Enter a further credit note of 33.00 AUD beside CM-1" in told["fix"]


@pytest.mark.parametrize("how", ["allocated", "refunded"])
def test_one_that_was_used_is_held_with_the_correction_in_words(world: World, how: str) -> None:
    number, there = posted(world)
    world.books.approve(there)
    if how == "allocated":
        world.add_invoice("40001")
        world.cycle()
        invoice = world.invoices()["40001"]["InvoiceID"]
        world.books.approve(invoice)
        world.books.allocate(there, invoice, Decimal(40))
    else:
        world.books.refund(there, Decimal(40))
    reprice(world, number, "-80")
    cycle(world)
    told = held(world, "paid_in_xero")
    assert "total 110.00 AUD -> 88.00 AUD" in told["message"]
    assert f"In Xero 40.00 AUD of it is {how}, so it is not changed there" in told["message"]
    assert "Enter an invoice of 22.00 AUD for CM-1" in told["fix"]
    assert world.credit_notes()["CM-1"]["Total"] == Decimal("110.00")
    reprice(world, number, "-100")
    assert cycle(world) == {"CM-1": "unchanged"}
    assert world.exceptions() == []


@pytest.mark.parametrize(("take", "reference"), [("ours", "OURS"), ("theirs", "HERS")])
def test_both_changed_it_and_a_person_decides(world: World, take: str, reference: str) -> None:
    number, there = posted(world)
    world.books.edit(there, Reference="HERS")
    world.connectwise.edit_invoice(number, customerPO="OURS")
    assert cycle(world) == {"CM-1": "held: edited_in_xero"}
    assert "tieout sync credit_notes --reference CM-1 --take ours" in held(world, "edited_in_xero")["fix"]
    cycle(world, references=["CM-1"], take=take)
    assert world.credit_notes()["CM-1"]["Reference"] == reference
    assert world.exceptions() == []


@pytest.mark.parametrize("status", ["DELETED", "VOIDED"])
def test_a_removed_one_stays_removed_until_somebody_wants_it_again(world: World, status: str) -> None:
    number, there = posted(world)
    if status == "VOIDED":
        world.books.approve(there)
        world.books.void(there)
    else:
        world.books.delete(there)
    reprice(world, number, "-120")
    cycle(world)
    told = held(world, "removed_in_xero")
    assert f"somebody {status.lower()} it" in told["message"]
    assert "tieout sync credit_notes --reference CM-1 --recreate" in told["fix"]
    cycle(world)
    assert world.credit_notes() == {}
    if status == "DELETED":
        assert cycle(world, references=["CM-1"], recreate=True) == {"CM-1": "posted"}
        assert world.credit_notes()["CM-1"]["Total"] == Decimal("132.00")
        assert world.exceptions() == []


def test_a_number_that_was_edited_follows_unless_another_one_has_it(world: World) -> None:
    number, there = posted(world)
    world.connectwise.edit_invoice(number, invoiceNumber="CM-1-A")
    assert cycle(world) == {"CM-1-A": "updated"}
    assert xero_id(world, "CM-1-A") == there
    enter(world, "CM-2", "70")
    world.connectwise.edit_invoice(number, invoiceNumber="CM-2")
    with world.watching() as seen:
        cycle(world)
    assert "POST /CreditNotes" not in seen.xero
    assert "already has another document with it" in held(world, "number_conflict")["message"]


def test_an_invoice_may_have_the_number_of_a_credit_note(world: World) -> None:
    """They are different lists in Xero."""
    world.add_invoice("77")
    world.add_credit_memo("77")
    assert cycle(world) == {"77": "posted"}
    world.cycle()
    assert (list(world.invoices()), list(world.credit_notes())) == (["77"], ["77"])


def test_the_brake_counts_credit_notes_too(world: World) -> None:
    world.policy("[brake]\nupdates = 1\n")
    numbers = [world.add_credit_memo(f"CM-{each}") for each in (1, 2)]
    cycle(world)
    for number in numbers:
        reprice(world, number, "-120")
    assert cycle(world) == {"CM-1": "held: brake", "CM-2": "held: brake"}
    assert "tieout sync credit_notes --allow-many" in world.exceptions()[0]["fix"]
    assert cycle(world, allow_many=True) == {"CM-1": "updated", "CM-2": "updated"}


# What is in Xero already


def test_one_that_was_entered_by_hand_and_agrees_is_taken_over(world: World) -> None:
    there = enter(world)
    world.add_credit_memo("CM-1")
    assert cycle(world) == {"CM-1": "unchanged"}
    assert xero_id(world) == there and len(world.books.credit_notes()) == 1
    with world.watching() as seen:
        cycle(world)
    assert seen.only_lists(2)


@pytest.mark.parametrize("take", ["ours", "theirs"])
def test_one_that_differs_waits_for_a_person(world: World, take: str) -> None:
    there = enter(world, amount="70")
    world.add_credit_memo("CM-1")
    cycle(world)
    assert "total 110.00 in ConnectWise, 77.00 in Xero" in held(world, "number_conflict")["message"]
    cycle(world)
    assert cycle(world, references=["CM-1"], take=take)["CM-1"] == {"ours": "updated", "theirs": "unchanged"}[take]
    assert world.credit_notes()["CM-1"]["Total"] == Decimal({"ours": "110.00", "theirs": "77.00"}[take])
    assert xero_id(world) == there and world.exceptions() == []


def test_a_lost_audit_posts_nothing_twice(world: World) -> None:
    """Without a link the number tells; Xero takes none twice."""
    posted(world)
    again = World(world.folder / "again", clock=world.clock)
    again.connectwise, again.xero, again.tenants = world.connectwise, world.xero, world.tenants
    again.to_connectwise, again.to_xero, again.tokens = world.to_connectwise, world.to_xero, world.tokens
    again.tables = world.tables
    assert cycle(again) == {"CM-1": "unchanged"}
    assert len(world.books.credit_notes()) == 1


# What people are told


def test_the_plan_calls_it_a_credit_note_and_is_carried_out_exactly(world: World) -> None:
    world.add_credit_memo("CM-1")
    done = world.cycle(family=FAMILY, mode="plan").cycle
    assert done is not None
    made = plan_of([done])
    (write,) = made["writes"]
    assert (write["family"], write["action"], write["document"]) == (FAMILY, "create", "credit_note")
    assert (write["total"], write["currency"]) == ("110.00", "AUD")
    assert world.credit_notes() == {}
    file = world.folder / "plan.json"
    file.write_text(json.dumps(made), encoding="utf-8")
    assert cycle(world, plan_file=str(file)) == {"CM-1": "posted"}


def test_a_plan_moves_money_the_other_way_than_an_invoice(world: World) -> None:
    """The accounts of a plan of both families show what is left of them."""
    world.add_invoice("40001")
    world.add_credit_memo("CM-1")
    cycles = [world.cycle(family=family, mode="plan").cycle for family in ("invoices", FAMILY)]
    made = plan_of([each for each in cycles if each is not None])
    assert [each["document"] for each in made["writes"]] == ["invoice", "credit_note"]
    assert made["accounts"] == [{"organisation": "Sydney", "account_code": "200", "net": "200.00", "tax": "20.00"}]


def test_a_plan_of_both_families_is_carried_out_family_by_family(world: World) -> None:
    world.add_invoice("40001")
    world.add_credit_memo("CM-1")
    cycles = [world.cycle(family=family, mode="plan").cycle for family in ("invoices", FAMILY)]
    file = world.folder / "plan.json"
    file.write_text(json.dumps(plan_of([each for each in cycles if each is not None])), encoding="utf-8")
    assert list(read_plan(str(file))) == ["invoices", FAMILY]
    world.connectwise.edit_invoice(39002, customerPO="PO 7")
    assert world.outcomes(world.cycle(plan_file=str(file))) == {"40001": "posted"}
    moved = world.cycle(family=FAMILY, plan_file=str(file))
    assert "changed since the plan was made (CM-1)" in moved.failed and world.credit_notes() == {}


def test_the_calls_of_a_plan_are_those_of_each_family(world: World) -> None:
    """Documents of two kinds never share a call; credit notes are read fewer at a time."""
    numbers = [world.add_credit_memo(f"CM-{each:02}") for each in range(30)]
    cycle(world)
    world.policy("[brake]\nupdates = 0\n")
    for number in numbers:
        world.connectwise.edit_invoice(number, customerPO="PO 7")
    world.add_invoice("40001")
    world.add_credit_memo("CM-99")
    cycles = [world.later().cycle(family=family, mode="plan").cycle for family in ("invoices", FAMILY)]
    assert plan_of([each for each in cycles if each is not None])["calls"] == [
        {"organisation": "Sydney", "writes": 3, "reads": 4}
    ]
    with world.watching() as seen:
        cycle(world)
    assert [call for call in seen.xero if call == "GET /CreditNotes"] == ["GET /CreditNotes"] * 2
    assert sorted(call for call in seen.xero if call[:3] != "GET") == ["POST /CreditNotes", "PUT /CreditNotes"]


def test_its_exceptions_are_mailed_under_its_own_name(world: World) -> None:
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_credit_memo("CM-1", company="NEW")
    with postbox() as box:
        assert mails(world, box) == ["1 new exception in Sydney (credit notes)"]
        assert "CM-1" in text_of(box.mails[0])
        world.books.add_contact("Newcomer", account_number="NEW01")
        assert mails(world.later(), box) == ["1 exception resolved in Sydney (credit notes)"]
        assert "ViewCreditNote.aspx" in text_of(box.mails[1])


def mails(world: World, box: Postbox) -> list[str]:
    return cycle_with_mail(world, box, family=FAMILY)


# The sweep


def told(world: World) -> dict[str, str]:
    return {each["reference"]: each["reason"] for each in world.exceptions()}


def test_a_sweep_of_two_sides_that_agree_has_nothing_to_say(world: World) -> None:
    posted(world)
    world.add_invoice("40001")
    world.cycle()
    assert cycle(world, sweep=True) == {}
    with world.watching() as seen:
        cycle(world, sweep=True)
    assert seen.xero == ["GET /CreditNotes", "GET /Invoices"]


@pytest.mark.parametrize(
    ("status", "cure"),
    [("DRAFT", "Delete the draft"), ("AUTHORISED", "Void the credit note"), ("PAID", "Enter an invoice of 110.00")],
)
def test_a_sweep_tells_of_a_deleted_record(world: World, status: str, cure: str) -> None:
    world.add_credit_memo("CM-2")
    number, there = world.add_credit_memo("CM-1"), ""
    cycle(world)
    there = xero_id(world)
    if status != "DRAFT":
        world.books.approve(there)
    if status == "PAID":
        world.books.refund(there, Decimal(110))
    world.connectwise.delete_invoice(number)
    before = world.snapshot()
    assert cycle(world, sweep=True) == {"CM-1": "held: source_deleted"}
    assert held(world, "source_deleted")["fix"].startswith(cure)
    assert world.snapshot() == before
    assert cycle(world, references=["CM-1"], take="theirs") == {"CM-1": "skipped: source_deleted"}
    assert world.exceptions() == []


def test_by_policy_the_draft_of_a_deleted_record_is_deleted(world: World) -> None:
    world.policy('[deleted]\ndraft = "delete"\n')
    world.add_credit_memo("CM-2")
    number = world.add_credit_memo("CM-1")
    cycle(world)
    world.connectwise.delete_invoice(number)
    assert cycle(world, sweep=True) == {"CM-1": "updated"}
    assert list(world.credit_notes()) == ["CM-2"]


def test_a_sweep_tells_what_people_did_in_xero(world: World) -> None:
    for number in ("CM-1", "CM-2"):
        world.add_credit_memo(number)
    cycle(world)
    world.books.delete(xero_id(world, "CM-2"))
    line = world.credit_notes()["CM-1"]["LineItems"][0]
    world.books.edit(xero_id(world), LineItems=[line | {"UnitAmount": 90, "LineAmount": None, "TaxAmount": None}])
    cycle(world, sweep=True)
    assert told(world) == {"CM-1": "edited_in_xero", "CM-2": "removed_in_xero"}
    fixes = {each["reference"]: each["fix"] for each in world.exceptions()}
    assert "tieout sync credit_notes --reference CM-1 --take theirs" in fixes["CM-1"]
    assert "tieout sync credit_notes --reference CM-2 --recreate" in fixes["CM-2"]


def test_many_that_are_missing_at_once_are_one_exception(world: World) -> None:
    numbers = [world.add_credit_memo(f"CM-{each}") for each in range(5)]
    cycle(world)
    for number in numbers[1:]:
        world.connectwise.delete_invoice(number)
    cycle(world, sweep=True)
    (only,) = world.exceptions()
    assert "4 of 5 posted credit notes" in only["message"]


def description(world: World) -> str:
    found: str = world.credit_notes()["CM-1"]["LineItems"][0]["Description"]
    return found


def test_a_row_that_changed_without_its_memo_is_found(world: World) -> None:
    number, _ = posted(world)
    cycle(world, sweep=True)
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=False)
    row = world.connectwise.rows("product", number)[0]["id"]
    world.later().connectwise.edit_row("product", row, description="In other words")
    cycle(world)
    assert description(world) == "Credit"
    assert cycle(world, sweep=True) == {"CM-1": "updated"}
    assert description(world) == "In other words"


# The statement


def statement(world: World) -> Statement:
    (found, _allocations) = reconcile_families([FAMILY], world.doors, None, None, lambda _sentence: None)
    return found


def test_the_statement_counts_credit_notes_with_positive_amounts(world: World) -> None:
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_invoice("40001")
    world.add_credit_memo("CM-1")
    world.add_credit_memo("CM-2", "50")
    world.add_credit_memo("CM-3", "10", company="NEW")
    cycle(world)
    world.cycle()
    enter(world, "HAND", "30")
    line = world.credit_notes()["CM-2"]["LineItems"][0]
    world.books.edit(
        xero_id(world, "CM-2"), LineItems=[line | {"UnitAmount": 40, "LineAmount": None, "TaxAmount": None}]
    )
    found = statement(world)
    (row,) = found.rows
    assert (row.connectwise.count, row.connectwise.amount) == (3, Decimal("176.00"))
    assert (row.xero.count, row.xero.amount) == (3, Decimal("187.00"))
    assert sorted((each.kind, each.reference, f"{each.amount:.2f}") for each in found.differences) == [
        ("hand_edit", "CM-2", "-11.00"), ("held", "CM-3", "-11.00"), ("only_in_xero", "HAND", "33.00"),
    ]  # fmt: skip
    assert found.tied_out and row.unexplained.amount == 0


def test_new_ones_wait_for_their_cycle_in_the_statement(world: World) -> None:
    world.add_credit_memo("CM-1")
    found = statement(world)
    assert [(each.kind, each.reason) for each in found.differences] == [("waiting", "not_read_yet")]
    assert found.tied_out
