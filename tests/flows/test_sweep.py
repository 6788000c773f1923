"""The completeness sweep: what no ordinary cycle can see, told by name, and nothing done out of absence."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import RECORDS, RUNS, WATERMARKS
from deployments.sandbox.wire import Fault, Request
from flows.planning import plan_of
from tests.worlds import LOST, World, answers


def sweep(world: World, **form: Any) -> dict[str, str]:
    """Run a sweep a day later; how each record ended that it has a word for."""
    summary = world.later(days=1).cycle(sweep=True, **form)
    assert not summary.failed, summary.failed
    return world.outcomes(summary)


def told(world: World) -> dict[str, str]:
    """The open exceptions: reason by reference."""
    return {each["reference"]: each["reason"] for each in world.exceptions()}


def hide(world: World, *locations: int) -> None:
    """Take locations out of the role of the API member."""
    world.connectwise.switches = replace(world.connectwise.switches, role_hides_locations=frozenset(locations))


@pytest.fixture
def three(world: World) -> World:
    """Three posted invoices of one location."""
    for number in ("40001", "40002", "40003"):
        world.add_invoice(number)
    world.cycle()
    return world


def number_of(world: World, reference: str) -> int:
    """The ConnectWise id of a record that a cycle has seen."""
    (found,) = [row["connectwise_id"] for row in world.rows(RECORDS) if row["reference"] == reference]
    return int(found)


def xero_id(world: World, number: str, organisation: str = "") -> str:
    found: str = world.invoices(organisation)[number]["InvoiceID"]
    return found


# Nothing amiss


def test_a_sweep_of_two_sides_that_agree_writes_nothing_and_has_nothing_to_say(three: World) -> None:
    before = three.snapshot()
    with three.later().watching() as seen:
        summary = three.cycle(sweep=True)
    assert three.outcomes(summary) == {}
    assert (summary.counts["read"], summary.counts["unchanged"]) == (3, 3)
    assert seen.connectwise == [
        "GET /finance/invoices", "GET /time/entries", "GET /expense/entries", "GET /procurement/products",
    ]  # fmt: skip
    assert seen.xero == ["GET /Invoices"]
    assert (three.exceptions(), three.snapshot()) == ([], before)


def test_a_sweep_leaves_the_watermark_where_it_is(three: World) -> None:
    before = three.rows(WATERMARKS)
    three.add_invoice("40004")
    assert sweep(three)["40004"] == "posted"
    assert three.rows(WATERMARKS) == before


def test_it_is_noted_as_a_sweep_and_the_next_looks_for_rows_since_it_began(three: World) -> None:
    sweep(three)
    assert sorted(row["mode"] for row in three.rows(RUNS)) == ["sweep", "write"]
    three.later(hours=1)
    sweep(three)
    asked = [call for call in three.to_connectwise.calls if call.path.endswith("/time/entries")][-1]
    assert ("conditions", "lastUpdated>=[2026-03-03T08:50:00Z]") in asked.query


# What no cycle saw


def test_a_record_that_no_cycle_ever_saw_is_posted(both: World) -> None:
    both.add_invoice("40001")
    both.later().add_invoice("40002", location="Perth")
    hide(both, 11)
    both.cycle()
    hide(both)
    both.later().cycle()
    assert both.invoices("Sydney") == {}
    assert sweep(both) == {"40001": "posted"}


@pytest.mark.parametrize("bumps", [False, True])
def test_a_row_that_changed_without_its_invoice_is_found(three: World, bumps: bool) -> None:
    sweep(three)
    three.connectwise.switches = replace(three.connectwise.switches, child_bumps_parent=bumps)
    row = three.connectwise.rows("time", number_of(three, "40001"))[0]["id"]
    three.later().connectwise.edit_row("time", row, notes="In other words")
    three.cycle()
    assert (three.invoices()["40001"]["LineItems"][0]["Description"] == "In other words") is bumps
    sweep(three)
    assert three.invoices()["40001"]["LineItems"][0]["Description"] == "In other words"
    assert sweep(three) == {}


def test_a_row_of_a_held_record_that_changed_without_its_invoice_is_found(world: World) -> None:
    world.write(
        "accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n,sales,service,Remote,,200,\n"
    )
    number = world.add_invoice("40001")
    sweep(world)
    assert told(world) == {"40001": "missing_account"}
    world.connectwise.switches = replace(world.connectwise.switches, child_bumps_parent=False)
    world.later().connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], workType="Remote")
    world.cycle()
    assert told(world) == {"40001": "missing_account"}
    assert sweep(world) == {"40001": "posted"}
    assert told(world) == {}
    assert len(world.books.invoices(type="ACCREC")) == 1


# Missing in ConnectWise


@pytest.mark.parametrize(
    ("status", "cure"),
    [("DRAFT", "Delete the draft"), ("AUTHORISED", "Void the invoice"), ("PAID", "Enter a credit note")],
)
def test_a_deleted_record_is_held_and_its_document_left_as_it_is(three: World, status: str, cure: str) -> None:
    first = xero_id(three, "40001")
    if status != "DRAFT":
        three.books.approve(first)
    if status == "PAID":
        three.books.pay(first, Decimal("330.00"))
    three.connectwise.delete_invoice(number_of(three, "40001"))
    three.later().cycle()
    assert told(three) == {}
    before = three.snapshot()
    assert sweep(three) == {"40001": "held: source_deleted"}
    (exception,) = three.exceptions()
    assert exception["fix"].startswith(cure)
    assert exception["amount"] == "330.00"
    assert three.snapshot() == before
    # An ordinary cycle has no more to say, makes no call for it, and does not close it.
    with three.later().watching() as seen:
        three.cycle()
    assert seen.idle
    assert told(three) == {"40001": "source_deleted"}
    assert sweep(three) == {"40001": "held: source_deleted"}


def test_the_exception_is_closed_when_a_person_removes_the_document_too(three: World) -> None:
    three.connectwise.delete_invoice(number_of(three, "40001"))
    sweep(three)
    three.books.delete(xero_id(three, "40001"))
    sweep(three)
    assert told(three) == {}
    assert sweep(three) == {}


@pytest.mark.parametrize("named", ["40001", "id:", ""])
def test_the_exception_is_closed_for_good_when_a_person_says_that_the_document_stays(three: World, named: str) -> None:
    number = number_of(three, "40001")
    three.connectwise.delete_invoice(number)
    sweep(three)
    reference = f"id:{number}" if named == "id:" else named
    summary = three.later().cycle(take="theirs", references=[reference] if named else [], sweep=not named)
    assert three.outcomes(summary) == {"40001": "skipped: source_deleted"}
    assert told(three) == {}
    assert sweep(three) == {}
    assert told(three) == {}


def test_a_record_that_is_shown_again_goes_on_as_before(three: World) -> None:
    hide(three, 11)
    sweep(three)
    assert set(told(three).values()) == {"source_hidden"}
    hide(three)
    sweep(three)
    assert told(three) == {}
    three.later().connectwise.edit_invoice(number_of(three, "40001"), customerPO="PO-9")
    three.cycle()
    assert three.invoices()["40001"]["Reference"] == "PO-9"


def test_a_record_that_was_never_posted_stops_waiting_when_it_was_deleted(world: World) -> None:
    world.add_invoice("40001")
    world.connectwise.add_company("NEW", "New Co")
    number = world.add_invoice("40002", company="NEW")
    world.cycle()
    assert told(world) == {"40002": "missing_contact"}
    world.connectwise.delete_invoice(number)
    world.later().cycle()
    assert told(world) == {"40002": "missing_contact"}
    assert sweep(world) == {"40002": "skipped: source_deleted"}
    assert told(world) == {}


def test_a_role_that_hides_a_location_does_not_look_like_deletion(both: World) -> None:
    both.policy('[deleted]\ndraft = "delete"')
    for number in ("40001", "40002"):
        both.add_invoice(number)
    for number in ("40003", "40004"):
        both.add_invoice(number, location="Perth")
    both.cycle()
    hide(both, 12)
    before = both.snapshot()
    assert sweep(both) == {"40003": "held: source_hidden", "40004": "held: source_hidden"}
    assert both.snapshot() == before


def test_only_what_connectwise_says_itself_is_a_deletion(three: World) -> None:
    """A web page of a gateway, a refusal, an answer without JSON: all of it may be there."""
    three.policy('[deleted]\ndraft = "delete"')
    number = number_of(three, "40001")
    three.connectwise.delete_invoice(number)
    for answer in (answers(404, b"<html>404</html>"), answers(403, b'{"code":"Security","message":"No."}')):

        def plan(request: Request, _number: int, answer: Fault = answer) -> Fault | None:
            return answer if request.path.endswith(f"/finance/invoices/{number}") else None

        three.to_connectwise.plan = plan
        assert sweep(three) == {"40001": "held: source_hidden"}
    three.to_connectwise.plan = lambda _request, _number: None
    assert sweep(three)["40001"] == "updated"


def test_too_many_missing_at_once_are_one_exception_and_nothing_is_touched(world: World) -> None:
    world.policy('[deleted]\ndraft = "delete"')
    world.connectwise.add_location("Perth", id=12)
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\n,,,,,Sydney\n")
    numbers = [world.add_invoice(f"4000{place}") for place in range(8)]
    world.cycle()
    for number in numbers[:4]:
        world.connectwise.delete_invoice(number)
    before = world.snapshot()
    assert sweep(world) == {}
    (exception,) = world.exceptions()
    assert (exception["reason"], exception["value"]) == ("source_hidden", "4 of 8")
    assert world.snapshot() == before
    summary = world.later().cycle()
    assert summary.exit_code == 3
    # Three at once are few enough.
    world.add_invoice("40009")
    world.cycle()
    world.connectwise.switches = replace(world.connectwise.switches)
    sweep(world)
    assert len(world.exceptions()) == 1


def test_the_exception_for_all_is_closed_when_they_are_shown_again(world: World) -> None:
    for place in range(5):
        world.add_invoice(f"4000{place}")
    world.cycle()
    hide(world, 11)
    sweep(world)
    assert [each["value"] for each in world.exceptions()] == ["5 of 5"]
    hide(world)
    sweep(world)
    assert world.exceptions() == []


# Deleting by policy


def test_by_policy_the_unedited_draft_of_a_deleted_record_is_deleted(three: World) -> None:
    three.policy('[deleted]\ndraft = "delete"')
    three.connectwise.delete_invoice(number_of(three, "40001"))
    assert sweep(three) == {"40001": "updated"}
    assert sorted(three.invoices()) == ["40002", "40003"]
    assert told(three) == {}
    assert sweep(three) == {}


def test_a_dry_run_of_a_sweep_lists_the_deletion_and_does_nothing(three: World) -> None:
    three.policy('[deleted]\ndraft = "delete"')
    three.connectwise.delete_invoice(number_of(three, "40001"))
    before = three.snapshot()
    summary = three.later().cycle(sweep=True, mode="plan")
    assert summary.cycle is not None
    (write,) = plan_of([summary.cycle])["writes"]
    assert (write["action"], write["reference"], write["fields"]) == (
        "delete", "40001", [{"name": "Status", "from": "DRAFT", "to": "DELETED"}],
    )  # fmt: skip
    assert plan_of([summary.cycle])["accounts"][0]["net"] == "-300.00"
    assert three.snapshot() == before


@pytest.mark.parametrize("what", ["approved", "description", "account", "locked", "old"])
def test_a_draft_that_a_person_touched_or_may_not_touch_is_not_deleted(three: World, what: str) -> None:
    first = xero_id(three, "40001")
    line = three.invoices()["40001"]["LineItems"][0]
    three.policy('[deleted]\ndraft = "delete"\n[brake]\nolder_than_days = 10')
    match what:
        case "approved":
            three.books.approve(first)
        case "description":
            three.books.edit(first, LineItems=[line | {"Description": "Hers"}])
        case "account":
            three.books.edit(first, LineItems=[line | {"AccountCode": "260"}])
        case "locked":
            three.books.set_lock_date(three.clock().date())
        case "old":
            three.later(days=20)
    three.connectwise.delete_invoice(number_of(three, "40001"))
    outcomes = sweep(three)
    assert outcomes["40001"] == "held: source_deleted"
    assert "40001" in three.invoices()


@pytest.mark.parametrize("fault", [LOST, Fault("before"), answers(500, b"{}"), answers(500, b"{}", when="after")])
def test_a_deletion_whose_answer_is_lost_is_looked_at_and_never_said_of_what_is_still_there(
    three: World, fault: Fault
) -> None:
    three.policy('[deleted]\ndraft = "delete"')
    three.connectwise.delete_invoice(number_of(three, "40001"))
    three.xero_fails("POST", "/Invoices", fault)
    sweep(three)
    assert ("40001" in three.invoices()) == ("40001" in told(three))
    sweep(three)
    assert "40001" not in three.invoices()
    assert told(three) == {}
    sweep(three)
    assert told(three) == {}


# Missing or changed in Xero


@pytest.mark.parametrize("how", ["delete", "void"])
def test_a_document_that_a_person_removed_is_told_and_stays_so(three: World, how: str) -> None:
    first = xero_id(three, "40001")
    if how == "void":
        three.books.approve(first)
    getattr(three.books, how)(first)
    three.later().cycle()
    assert told(three) == {}
    assert sweep(three) == {"40001": "held: removed_in_xero"}
    # Its mapping is looked at again, with the lists of the day; after that nothing is asked for it.
    three.cycle()
    with three.later().watching() as seen:
        three.cycle()
    assert seen.idle
    assert told(three) == {"40001": "removed_in_xero"}
    sweep(three)
    assert told(three) == {"40001": "removed_in_xero"}
    assert "40001" not in three.invoices()


@pytest.mark.parametrize("mode", ["write", "plan"])
def test_a_document_is_looked_at_also_when_rows_of_its_record_were(three: World, mode: str) -> None:
    """Rows that say the same as before leave the document alone, and somebody may have removed it."""
    sweep(three)
    three.connectwise.switches = replace(three.connectwise.switches, child_bumps_parent=False)
    row = three.connectwise.rows("time", number_of(three, "40001"))[0]
    three.later().connectwise.edit_row("time", row["id"], notes=row["notes"])
    three.books.delete(xero_id(three, "40001"))
    summary = three.later(days=1).cycle(sweep=True, mode=mode)
    if mode == "write":
        assert told(three) == {"40001": "removed_in_xero"}
    else:
        assert summary.cycle is not None
        assert [each["reason"] for each in plan_of([summary.cycle])["holds"]] == ["removed_in_xero"]


def test_a_removed_document_is_made_anew_when_asked_and_forgotten_when_accepted(three: World) -> None:
    three.books.delete(xero_id(three, "40001"))
    three.books.delete(xero_id(three, "40002"))
    sweep(three)
    three.later().cycle(references=["40001"], recreate=True)
    three.later().cycle(references=["40002"], take="theirs")
    assert told(three) == {}
    assert sorted(three.invoices()) == ["40001", "40003"]
    assert sweep(three) == {}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("price", "LineAmount of 'Work for 40001' was changed in Xero from 300.00 to 250.00"),
        ("line", "Line 'Work for 40001' was changed in Xero from 300.00 to (none)"),
        ("contact", "Contact was changed in Xero"),
        ("date", "Date was changed in Xero from 2026-03-02 to 2026-02-20"),
        ("tax", "a tax type was changed"),
    ],
)
def test_money_that_a_person_changed_in_xero_is_told_of_the_posted_document(
    three: World, what: str, words: str
) -> None:
    first = xero_id(three, "40001")
    line = three.invoices()["40001"]["LineItems"][0]
    match what:
        case "price":
            new = {"UnitAmount": Decimal(125), "LineAmount": None, "TaxAmount": None}
            three.books.edit(first, LineItems=[{k: v for k, v in (line | new).items() if v is not None}])
        case "line":
            three.books.edit(
                first, LineItems=[{"Description": "Other", "Quantity": 1, "UnitAmount": 90, "AccountCode": "200"}]
            )
        case "contact":
            three.books.edit(first, Contact={"ContactID": three.books.add_contact("Other")["ContactID"]})
        case "date":
            three.books.edit(first, Date="2026-02-20")
        case "tax":
            kept = {k: v for k, v in line.items() if k != "TaxAmount"}
            three.books.edit(first, LineItems=[kept | {"TaxType": "EXEMPTOUTPUT"}])
    before = three.snapshot()
    assert sweep(three) == {"40001": "unchanged: edited_in_xero"}
    (exception,) = three.exceptions()
    assert words in exception["message"]
    assert three.snapshot() == before
    # Looked at by every cycle until it is put right, and told again by no sweep as if it were new.
    three.later().cycle()
    sweep(three)
    (again,) = three.exceptions()
    assert again["id"] == exception["id"]


@pytest.mark.parametrize("named", [True, False])
def test_a_person_says_whose_version_of_the_money_counts(three: World, named: bool) -> None:
    for number in ("40001", "40002"):
        line = {
            k: v for k, v in three.invoices()[number]["LineItems"][0].items() if k not in ("LineAmount", "TaxAmount")
        }
        three.books.edit(xero_id(three, number), LineItems=[line | {"UnitAmount": Decimal(125)}])
    sweep(three)
    assert set(told(three)) == {"40001", "40002"}
    three.later().cycle(take="theirs", references=["40001"] if named else [])
    assert set(told(three)) == ({"40002"} if named else set())
    assert three.invoices()["40001"]["Total"] == Decimal("275.00")
    if named:
        three.later().cycle(take="ours", references=["40002"])
        assert three.invoices()["40002"]["Total"] == Decimal("330.00")
    assert sweep(three) == {}
    assert told(three) == {}


def test_money_that_a_person_put_right_again_closes_the_exception(three: World) -> None:
    first = xero_id(three, "40001")
    line = {k: v for k, v in three.invoices()["40001"]["LineItems"][0].items() if k not in ("LineAmount", "TaxAmount")}
    three.books.edit(first, LineItems=[line | {"UnitAmount": Decimal(125)}])
    sweep(three)
    three.books.edit(first, LineItems=[line])
    three.later().cycle()
    assert told(three) == {}


def test_what_a_person_may_change_is_nothing_to_tell(three: World) -> None:
    line = three.invoices()["40001"]["LineItems"][0]
    hers = {"Description": "Hers", "AccountCode": "260"}
    three.books.edit(xero_id(three, "40001"), LineItems=[line | hers], Reference="HER-REF")
    assert sweep(three) == {}


def test_an_organisation_that_cannot_be_read_says_nothing_about_its_documents(both: World) -> None:
    number = both.add_invoice("40001", location="Perth")
    both.add_invoice("40002", location="Perth")
    both.cycle()
    both.connectwise.delete_invoice(number)
    both.to_xero.plan = lambda request, _number: (
        answers(429, b"{}", {"Retry-After": "50000", "X-Rate-Limit-Problem": "day"})
        if request.headers.get("xero-tenant-id", request.headers.get("Xero-tenant-id", "")).startswith("2222")
        else None
    )
    assert sweep(both) == {}
    assert told(both) == {}
    both.to_xero.plan = lambda _request, _number: None
    assert sweep(both) == {"40001": "held: source_deleted"}


def test_documents_that_xero_does_not_show_at_all_are_one_exception_where_they_are_many(world: World) -> None:
    for place in range(5):
        world.add_invoice(f"4000{place}")
    world.cycle()
    for each in world.books.invoices(type="ACCREC"):
        world.books.documents.remove(each["InvoiceID"])
    sweep(world)
    (exception,) = world.exceptions()
    assert (exception["organisation"], exception["value"]) == ("Sydney", "5 of 5")


def test_a_question_that_connectwise_refuses_fails_the_run_after_the_rest_was_done(three: World) -> None:
    three.connectwise.delete_invoice(number_of(three, "40001"))

    def plan(request: Request, _number: int) -> Fault | None:
        return answers(400, b'{"code":"InvalidQuery","message":"No."}') if request.path.endswith("/entries") else None

    three.to_connectwise.plan = plan
    summary = three.later(days=1).cycle(sweep=True)
    assert summary.failed.startswith("ConnectWise refused /time/entries")
    assert three.outcomes(summary) == {"40001": "held: source_deleted"}
    assert [row["state"] for row in three.rows(RUNS) if row["mode"] == "sweep"] == ["failed"]


@pytest.mark.parametrize("form", [{"references": ["40001"]}, {"since": "2026-02-01", "force": True}])
def test_a_sweep_is_of_everything(three: World, form: dict[str, Any]) -> None:
    summary = three.cycle(sweep=True, **form)
    assert summary.exit_code == 2
    assert "A sweep is of everything" in summary.failed
