"""The tie-out statement against both systems: what people do on either side is found, named, and costs few calls."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, delete

from blocks.audit.tables import (
    BINDINGS,
    EXCEPTIONS,
    FOUND_DOCUMENTS,
    KEPT_LISTS,
    OUTCOMES,
    RECORDS,
    RUNS,
    WATERMARKS,
)
from blocks.failures import CannotGoOn, NotConfigured, Unreachable
from blocks.xero.client import XeroClient
from deployments.sandbox.wire import Fault, Request
from flows.reconciling import reconcile_families
from mappings.reconcile import NOT_ROUTED, Statement
from tests.worlds import LOST, World, answers, day

TOLLS: list[dict[str, Any]] = [{"type": "Tolls", "amount": 11, "notes": "Tunnel"}]


def reconcile(world: World, start: str = "", end: str = "") -> Statement:
    """The statement of invoices."""
    (found,) = reconcile_families(
        ["invoices"], world.doors, day(start) if start else None, day(end) if end else None, lambda _sentence: None
    )
    return found


def named(found: Statement) -> dict[str, str]:
    """What each differing record is called, with the amount: '' where no cause can be shown."""
    return {
        each.reference: f"{': '.join(filter(None, (each.kind, each.reason)))} {each.amount:.2f}"
        for each in (*found.differences, *found.unexplained)
    }


def told(found: Statement) -> list[str]:
    """Kind, reason, count and amount of each named difference."""
    return sorted(f"{each.kind} {each.reason} {each.count} {each.amount:.2f}" for each in found.differences)


def sums(found: Statement) -> dict[tuple[str, str], tuple[int, int, str]]:
    """Documents on both sides and the unexplained amount, per organisation and month."""
    return {
        (row.heading.organisation, row.heading.month): (
            row.connectwise.count,
            row.xero.count,
            f"{row.unexplained.amount:.2f}",
        )
        for row in found.rows
    }


def xero_id(world: World, number: str) -> str:
    """The id of a live invoice in Xero."""
    found: str = world.invoices()[number]["InvoiceID"]
    return found


def forget(world: World, *tables: Table) -> None:
    """Empty tables of the audit."""
    audit = world.audit()
    with audit.transaction() as connection:
        for table in tables:
            connection.execute(delete(table))
    audit.close()


def test_what_was_posted_and_left_alone_ties_out(both: World) -> None:
    """Two organisations, two months, one row each, and nothing to say."""
    for number, place, on in (
        ("40001", "Sydney", "2026-02-10"),
        ("40002", "Sydney", "2026-03-01"),
        ("40003", "Perth", "2026-03-01"),
    ):
        both.add_invoice(number, location=place, date=day(on))
    both.add_invoice("40004", status="New")
    both.cycle()
    found = reconcile(both)
    assert sums(found) == {
        ("Perth", "2026-03"): (1, 1, "0.00"),
        ("Sydney", "2026-02"): (1, 1, "0.00"),
        ("Sydney", "2026-03"): (1, 1, "0.00"),
    }
    assert [row.connectwise.amount for row in found.rows] == [Decimal(330)] * 3
    assert found.tied_out and named(found) == {}


def test_what_is_not_in_xero_says_why(world: World) -> None:
    """Held and rejected by their reasons; what no cycle has read yet, new or changed, waits."""
    world.add_invoice("40001", expenses=TOLLS)
    world.write("accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n,sales,service,,,200,\n")
    world.add_invoice("40002", taxCode=None, taxableFlag=False)
    opened = world.add_invoice("40003", status="New")
    world.books.delete_tax_rate("EXEMPTOUTPUT")
    world.cycle()
    world.later()
    world.connectwise.close_invoice(opened)
    world.add_invoice("40004")
    found = reconcile(world)
    assert named(found) == {
        "40001": "held: missing_account -342.10",
        "40002": "held: missing_tax -300.00",
        "40003": "waiting: not_read_yet -330.00",
        "40004": "waiting: not_read_yet -330.00",
    }
    # Nobody knows yet where they belong.
    assert {each.heading.organisation for each in found.differences if each.kind == "waiting"} == {NOT_ROUTED}
    assert found.tied_out


def test_what_xero_refused_is_rejected(world: World) -> None:
    """With Xero's words."""
    world.add_invoice("40001")
    refusal = b'{"Message":"No","Elements":[{"ValidationErrors":[{"Message":"No such thing"}]}]}'
    world.xero_fails("PUT", "/Invoices", answers(400, refusal))
    world.cycle()
    assert named(reconcile(world)) == {"40001": "rejected: refused_by_xero -330.00"}


def test_a_record_that_every_cycle_passed_by_stays_unexplained(world: World) -> None:
    """Older than what the next cycle reads, and never seen: nothing will ever read it by itself."""
    world.policy("")
    world.write("policy.toml", "start_date = 2026-02-01\n")
    world.add_invoice("39999", date=day("2026-01-20"))
    world.add_invoice("40001")
    world.cycle()
    world.later(hours=1)
    world.add_invoice("40002")
    world.cycle()
    # The start date is moved back only now.
    world.write("policy.toml", "start_date = 2026-01-01\n")
    found = reconcile(world)
    assert named(found) == {"39999": " 330.00"}
    assert "sync --force" in found.unexplained[0].message
    assert not found.tied_out
    world.cycle(force=True)
    assert reconcile(world).tied_out


def test_what_changed_just_before_the_watermark_is_read_by_the_next_cycle(world: World) -> None:
    """Cycles overlap: a record that came up late, with a time a little earlier, waits and is not lost."""
    world.add_invoice("40001")
    world.cycle()
    with world.connectwise.at(world.clock() - timedelta(minutes=5)):
        world.add_invoice("40002")
    assert named(reconcile(world)) == {"40002": "waiting: not_read_yet -330.00"}
    assert world.outcomes(world.later(hours=1).cycle())["40002"] == "posted"


def test_what_was_taken_over_as_it_was_is_adopted(world: World) -> None:
    """Entered by hand before, with the date of another month: both months say so."""
    world.books.enter_invoice(
        Type="ACCREC", Contact={"Name": "Acme Pty Ltd"}, InvoiceNumber="40001", Date="2026-02-27", DueDate="2026-03-09",
        LineItems=[{"Description": "Work", "Quantity": 2, "UnitAmount": 150, "AccountCode": "200"}],
    )  # fmt: skip
    world.add_invoice("40001")
    assert world.outcomes(world.cycle()) == {"40001": "unchanged"}
    assert told(reconcile(world)) == ["moved adopted -1 -330.00", "moved adopted 1 330.00"]


def test_a_document_that_xero_gives_twice_counts_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages shift when documents are added while they are read."""
    world.add_invoice("40001")
    world.cycle()
    once = XeroClient.documents_since
    monkeypatch.setattr(XeroClient, "documents_since", lambda *given: [*once(*given), *once(*given)])
    assert sums(reconcile(world)) == {("Sydney", "2026-03"): (1, 1, "0.00")}


def test_what_changes_in_connectwise_after_posting_waits_and_is_then_held(world: World) -> None:
    """First nobody has read it, then a cycle has and says why not; a corrected document is none of its business."""
    world.policy('[sales]\non_edit_authorised = "hold"\n')
    number = world.add_invoice("40001")
    world.cycle()
    world.books.approve(xero_id(world, "40001"))
    world.later()
    world.connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=3)
    world.connectwise.edit_invoice(number, customerPO="PO 7")
    assert named(reconcile(world)) == {"40001": "waiting: not_read_yet -165.00"}
    world.cycle()
    assert named(reconcile(world)) == {"40001": "held: authorised_in_xero -165.00"}
    world.books.edit(
        xero_id(world, "40001"),
        LineItems=[
            {"Description": "Work", "Quantity": 3, "UnitAmount": 150, "AccountCode": "200", "TaxType": "OUTPUT"}
        ],
    )
    assert named(reconcile(world)) == {}


def test_a_reopened_invoice_waits_for_its_close(world: World) -> None:
    """It counts in Xero alone, whether or not a cycle has seen it."""
    number = world.add_invoice("40001")
    world.cycle()
    world.later()
    world.connectwise.reopen_invoice(number)
    for _ in range(2):
        found = reconcile(world)
        assert named(found) == {"40001": "waiting: waits_for_close 330.00"}
        assert sums(found) == {("Sydney", "2026-03"): (0, 1, "0.00")}
        world.cycle()


def test_hands_in_xero_are_named(world: World) -> None:
    """Another total, voided, deleted, moved to another month or out of the period altogether."""
    for number in ("40001", "40002", "40003", "40004", "40005"):
        world.add_invoice(number)
    world.cycle()
    books = world.books
    line = {"Description": "x", "Quantity": 1, "UnitAmount": 100, "AccountCode": "200", "TaxType": "OUTPUT"}
    books.edit(xero_id(world, "40001"), LineItems=[line])
    books.delete(xero_id(world, "40002"))
    books.approve(xero_id(world, "40003"))
    books.void(xero_id(world, "40003"))
    books.edit(xero_id(world, "40004"), Date="2026-02-27")
    books.edit(xero_id(world, "40005"), Date="2025-12-31")
    found = reconcile(world)
    assert named(found) == {
        "40001": "hand_edit: edited -220.00",
        "40002": "hand_edit: deleted -330.00",
        "40003": "hand_edit: voided -330.00",
        "40004": "moved: hand_edit -330.00",
        "40005": "moved: hand_edit -330.00",
    }
    assert sums(found) == {("Sydney", "2026-02"): (0, 1, "0.00"), ("Sydney", "2026-03"): (5, 1, "0.00")}
    # Each half of a move alone, too: the other one lies outside the period.
    assert named(reconcile(world, "2026-02-01", "2026-02-28")) == {"40004": "moved: hand_edit 330.00"}
    assert reconcile(world, "2026-03-01").tied_out


@pytest.mark.parametrize(
    ("price", "expected"),
    [(b"300.01", "rounding: total_differs 0.01"), (b"300.02", " -0.02"), (b"301", " -1.10")],
    ids=["a cent", "two", "more"],
)
def test_xeros_own_cent_is_rounding_and_more_is_not(world: World, price: bytes, expected: str) -> None:
    """What was predicted and what Xero answered differ: a cent on a line with money is named, more than that is not."""
    rows = [{"invoiceHours": 1, "hourlyRate": rate, "notes": "Work"} for rate in (300, 0)]
    world.add_invoice("40001", time=rows)

    def off(request: Request, _number: int) -> Fault | None:
        if request.method != "PUT":
            return None
        body = request.body.replace(b'"UnitAmount":300', b'"UnitAmount":' + price)
        return Fault("before", world.xero(Request(request.method, request.path, request.query, request.headers, body)))

    world.to_xero.plan = off
    assert world.outcomes(world.cycle()) == {"40001": "posted: total_differs"}
    found = reconcile(world)
    assert named(found) == {"40001": expected}
    assert found.tied_out is expected.startswith("rounding")


def test_a_tax_type_that_a_person_keeps_through_an_edit_of_ours_is_named(world: World) -> None:
    """What we wrote ties out net of tax only: the tax is hers, before and after the next edit."""
    number = world.add_invoice("40001")
    world.cycle()
    hers = world.invoices()["40001"]["LineItems"][0] | {"TaxType": "EXEMPTOUTPUT", "TaxAmount": None}
    world.books.edit(xero_id(world, "40001"), LineItems=[hers])
    assert named(reconcile(world)) == {"40001": "hand_edit: edited -30.00"}
    world.later().connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=3)
    world.connectwise.edit_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    found = reconcile(world)
    assert named(found) == {"40001": "hand_edit: tax_type -45.00"}
    assert found.tied_out
    # Another hand afterwards is a cause of its own.
    other = world.invoices()["40001"]["LineItems"][0] | {"UnitAmount": 140, "LineAmount": None, "TaxAmount": None}
    world.books.edit(xero_id(world, "40001"), LineItems=[other])
    assert told(reconcile(world)) == ["hand_edit edited 0 -30.00", "hand_edit tax_type 0 -45.00"]


def test_a_version_of_xero_that_a_person_decided_for_is_named(world: World) -> None:
    """Its amount and its date are hers, by her word."""
    number = world.add_invoice("40001")
    world.cycle()
    hers = world.invoices()["40001"]["LineItems"][0] | {"UnitAmount": 140, "LineAmount": None, "TaxAmount": None}
    world.books.edit(xero_id(world, "40001"), LineItems=[hers], Date="2026-02-27")
    world.later().connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], invoiceHours=3)
    world.connectwise.edit_invoice(number)
    world.cycle()
    assert told(reconcile(world)) == [
        "hand_edit edited -1 -330.00",
        "hand_edit edited 1 308.00",
        "held edited_in_xero 0 -165.00",
    ]
    world.later().cycle(references=["40001"], take="theirs")
    found = reconcile(world)
    assert told(found) == ["hand_edit taken -1 -495.00", "hand_edit taken 1 308.00"]
    assert found.tied_out


def test_a_document_that_nobody_in_connectwise_knows_is_only_in_xero(world: World) -> None:
    """With its number; a bill is none of it."""
    line = {"Description": "x", "Quantity": 1, "UnitAmount": 100, "AccountCode": "200"}
    contact = {"Name": "Acme Pty Ltd"}
    for kind, number in (("ACCREC", "HAND-1"), ("ACCPAY", "BILL-1")):
        world.books.enter_invoice(
            Type=kind, Contact=contact, InvoiceNumber=number, Date="2026-03-01", DueDate="2026-03-09", LineItems=[line]
        )
    found = reconcile(world)
    assert named(found) == {"HAND-1": "only_in_xero 110.00"}
    assert found.tied_out
    assert found.differences[0].xero_url and not found.differences[0].connectwise_url


def test_a_second_document_for_one_record_is_not_explained(world: World) -> None:
    """Two with our link, and one record: that is what must never be."""
    world.add_invoice("40001")
    world.cycle()
    line = {"Description": "x", "Quantity": 1, "UnitAmount": 100, "AccountCode": "200"}
    world.books.enter_invoice(
        Type="ACCREC", Contact={"Name": "Acme Pty Ltd"}, InvoiceNumber="40001-A", Date="2026-03-01",
        DueDate="2026-03-09", LineItems=[line], Url=world.invoices()["40001"]["Url"],
    )  # fmt: skip
    found = reconcile(world)
    assert named(found) == {"40001-A": " -110.00"}
    assert not found.tied_out


def test_a_document_whose_audit_was_lost_is_only_in_xero_until_a_cycle_finds_it(world: World) -> None:
    """Its record waits for the next cycle, which adopts it."""
    world.add_invoice("40001")
    world.cycle()
    forget(world, BINDINGS, RECORDS, WATERMARKS)
    found = reconcile(world)
    assert told(found) == ["only_in_xero linked 1 330.00", "waiting not_read_yet -1 -330.00"]
    assert found.tied_out


def test_a_record_that_is_gone_is_asked_for_by_id_before_that_is_said(world: World) -> None:
    """Deleted is missing; moved to a date outside the period is not."""
    gone, moved = world.add_invoice("40001"), world.add_invoice("40002")
    world.cycle()
    world.later()
    world.connectwise.delete_invoice(gone)
    world.connectwise.edit_invoice(moved, date=day("2026-02-20"))
    with world.watching() as seen:
        found = reconcile(world, "2026-03-01")
    assert named(found) == {"40001": "missing_in_connectwise 330.00", "40002": "moved: waiting 330.00"}
    assert seen.connectwise == ["GET /finance/invoices"] * 2
    # Before the start date it is not due any more.
    world.connectwise.edit_invoice(moved, date=day("2025-12-20"))
    assert named(reconcile(world))["40002"] == "waiting: not_read_yet 330.00"


def test_a_change_that_connectwise_does_not_tell_of_is_unexplained(world: World) -> None:
    """A row changed and left its invoice's time of change alone: no cycle reads it, and so no name is true of it."""
    number = world.add_invoice("40001")
    world.cycle()
    world.later(hours=1)
    world.add_invoice("40002")
    world.cycle()
    world.connectwise.edit_row("time", world.connectwise.rows("time", number)[0]["id"], hourlyRate=Decimal("150.01"))
    found = reconcile(world)
    assert named(found) == {"40001": " 0.02"}
    assert not found.tied_out
    world.cycle(references=["40001"])
    assert named(reconcile(world)) == {}


def test_a_write_without_an_answer_waits_on_both_sides(world: World) -> None:
    """It is in Xero, the answer was lost, and the look-up as well."""
    world.add_invoice("40001")
    world.xero_fails("PUT", "/Invoices", *[LOST] * 8)
    lost = world.to_xero.plan

    def lost_and_silent(request: Request, number: int) -> Fault | None:
        looked_up = any(name == "InvoiceNumbers" for name, _value in request.query)
        return answers(503) if looked_up else lost(request, number)

    world.to_xero.plan = lost_and_silent
    world.cycle()
    world.to_xero.plan = lambda _request, _number: None
    found = reconcile(world)
    assert told(found) == ["waiting unsettled -1 -330.00", "waiting unsettled 1 330.00"]
    assert found.tied_out
    # A cycle that was killed before it could note anything leaves no more than the request.
    forget(world, RECORDS)
    assert told(reconcile(world)) == told(found)


def test_invoices_of_nothing_are_skipped_where_policy_says_so(world: World) -> None:
    """They count as documents, without money."""
    world.policy('[sales]\nzero_total = "skip"')
    world.add_invoice("40001", hours="0")
    world.cycle()
    found = reconcile(world)
    assert told(found) == ["skipped zero_total -1 0.00"]
    assert found.tied_out


def test_what_cannot_be_read_is_said(world: World) -> None:
    """Its total is not known, so it is in no sum."""
    world.add_invoice("40001", total="see attachment")
    found = reconcile(world)
    assert (found.unreadable, found.rows) == (("40001",), [])


def test_credits_and_records_from_before_the_start_are_no_part_of_it(world: World) -> None:
    """A period that begins earlier begins at the start date."""
    world.add_invoice("39999", date=day("2025-12-20"))
    world.add_invoice("40001", hours="-1")
    world.cycle()
    found = reconcile(world, "2025-01-01")
    assert found.rows == [] and found.period.start == date(2026, 1, 1)


def test_a_currency_that_connectwise_leaves_out_is_the_organisations_own(world: World) -> None:
    """And a foreign one has rows of its own."""
    world.add_invoice("40001", expenses=TOLLS)
    world.write("accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n,sales,service,,,200,\n")
    world.connectwise.add_currency("EUR", "Euro")
    world.add_invoice("40002", currency="EUR")
    world.cycle()
    found = reconcile(world)
    assert [(row.heading.organisation, row.heading.currency) for row in found.rows] == [
        ("Sydney", "AUD"),
        ("Sydney", "EUR"),
    ]


def test_an_organisation_that_was_renamed_is_one_row(world: World) -> None:
    """Bindings bear the name of their day; the tenant is the same."""
    world.add_invoice("40001")
    world.cycle()
    world.tenants["Sydney and Coast"] = world.tenants.pop("Sydney")
    assert sums(reconcile(world)) == {("Sydney and Coast", "2026-03"): (1, 1, "0.00")}


def test_an_organisation_that_is_not_connected_any_more_is_unexplained(both: World) -> None:
    """What it has cannot be read, so nothing is said of it."""
    both.add_invoice("40001", location="Perth")
    both.cycle()
    del both.tenants["Perth"]
    found = reconcile(both)
    assert named(found) == {"40001": " 330.00"}
    assert sums(found) == {("Perth", "2026-03"): (1, 0, "330.00")}


def test_it_reads_each_list_once_and_writes_nothing(both: World) -> None:
    """One list per organisation and one of ConnectWise; the audit's records stay as they were."""
    for number in range(40001, 40006):
        both.add_invoice(str(number), location=("Sydney", "Perth")[number % 2])
    both.cycle()
    both.later(days=2)
    tables = (RUNS, RECORDS, BINDINGS, OUTCOMES, EXCEPTIONS, WATERMARKS, KEPT_LISTS, FOUND_DOCUMENTS)
    before = [both.rows(table) for table in tables], both.snapshot()
    with both.watching() as seen:
        assert reconcile(both).tied_out
    assert seen.connectwise == ["GET /finance/invoices"]
    # Base currency and short code, a day old by now.
    assert sorted(seen.xero) == ["GET /Invoices"] * 2 + ["GET /Organisation"] * 2
    assert before == ([both.rows(table) for table in tables], both.snapshot())


def test_half_a_statement_is_none(world: World) -> None:
    """Where a system does not answer, or Xero's calls of the day are used up, nothing is called tied out."""
    world.add_invoice("40001")
    limit = answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"})
    world.to_xero.plan = lambda request, _number: limit if request.path.endswith("/Invoices") else None
    with pytest.raises(CannotGoOn, match="reconcile again then"):
        reconcile(world)
    world.later(hours=20).to_xero.plan = lambda _request, _number: answers(503)
    with pytest.raises(Unreachable):
        reconcile(world)
    world.to_xero.plan = lambda _request, _number: None
    world.to_connectwise.plan = lambda _request, _number: answers(503)
    with pytest.raises(Unreachable):
        reconcile(world)


def test_a_period_that_cannot_be_says_so(world: World) -> None:
    """Before any call."""
    with world.watching() as seen:
        with pytest.raises(NotConfigured, match="before it starts"):
            reconcile(world, "2026-03-01", "2026-02-01")
        with pytest.raises(NotConfigured, match="start date of invoices is 2026-01-01"):
            reconcile(world, "", "2025-12-31")
    assert seen.xero == seen.connectwise == []


@pytest.mark.parametrize(("families", "words"), [([], "of any family that is on"), (["timesheets"], "of timesheets")])
def test_a_family_without_a_statement_says_so(world: World, families: list[str], words: str) -> None:
    """No statement would look like a tied-out one."""
    with pytest.raises(NotConfigured, match=words):
        reconcile_families(families, world.doors, None, None, lambda _sentence: None)


def test_xero_documents_on_several_pages_are_all_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page."""
    monkeypatch.setattr("blocks.xero.client.PAGE_SIZE", 2)
    monkeypatch.setattr("flows.reconciling.CHUNK", 2)
    for number in range(40001, 40006):
        world.add_invoice(str(number))
    world.cycle()
    assert sums(reconcile(world)) == {("Sydney", "2026-03"): (5, 5, "0.00")}


def test_a_version_of_xeros_that_was_kept_has_a_name(world: World) -> None:
    """Her tax type, which an edit left alone, and a document of which somebody said that Xero's version counts."""
    hers, theirs = world.add_invoice("40001"), world.add_invoice("40002")
    world.cycle()
    for number, change in (("40001", {"TaxType": "EXEMPTOUTPUT"}), ("40002", {"UnitAmount": 100, "LineAmount": None})):
        line = {"LineItemID": world.invoices()[number]["LineItems"][0]["LineItemID"], **change}
        world.books.edit(xero_id(world, number), LineItems=[line])
    for record in (hers, theirs):
        world.later()
        world.connectwise.edit_row("time", world.connectwise.rows("time", record)[0]["id"], invoiceHours=3)
        world.connectwise.edit_invoice(record)
    world.cycle()
    world.later().cycle(references=["40002"], take="theirs")
    found = reconcile(world)
    assert found.tied_out
    assert named(found) == {"40001": "hand_edit: tax_type -45.00", "40002": "hand_edit: taken -275.00"}


def test_a_date_of_xeros_that_was_kept_moves_the_money_under_that_name(world: World) -> None:
    """Both changed the date; a person says that Xero's counts, and an edit of something else leaves it."""
    number = world.add_invoice("40001", date=day("2026-02-20"))
    world.cycle()
    world.books.edit(xero_id(world, "40001"), Date=day("2026-03-01"))
    world.later().connectwise.edit_invoice(number, date=day("2026-02-25"))
    world.cycle()
    world.later().cycle(references=["40001"], take="theirs")
    for reference in ("", "PO-9"):
        world.later().connectwise.edit_invoice(number, customerPO=reference)
        world.cycle()
        found = reconcile(world)
        assert found.tied_out
        assert {f"{each.kind}: {each.reason}" for each in found.differences} == {"moved: hand_edit"}
    assert world.invoices()["40001"]["Reference"] == "PO-9"
