"""`tieout mappings check` and `suggest`: what they say of the tables is what the next cycle does with them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from blocks.audit.tables import EXCEPTIONS, FOUND_DOCUMENTS, KEPT_LISTS, OUTCOMES, RECORDS, RUNS, WATERMARKS
from blocks.failures import CannotGoOn, NotConfigured, Unreachable
from deployments import printing, server
from deployments.printing import check_as_json, suggestions_as_json
from flows.checking import Checked, check_mappings
from mappings.outcomes import UNCOVERED
from mappings.table_checks import Severity
from tests.deployments.conftest import Place
from tests.worlds import World, answers

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
TRACKING = "organisation,side,source,value,tracking_category,option\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The smallest complete world."""
    return World(tmp_path).ready()


def check(world: World, since: date | None = None) -> Checked:
    """A check of a world."""
    return check_mappings(["invoices"], world.doors, since, lambda _sentence: None)


def waiting(checked: Checked) -> dict[tuple[str, str], int]:
    """How many records wait for each reason and value."""
    return {(one.reason.value, one.value): one.records for one in checked.uncovered}


def paste(world: World, checked: Checked) -> None:
    """What a person does: below the other rows of each file, the header first where the file is new."""
    for each in checked.suggestions:
        path = world.tables / each.file
        text = path.read_text(encoding="utf-8") if path.exists() else f"{each.header}\n"
        if each.line not in text:
            path.write_text(f"{text}{each.line}\n", encoding="utf-8")


def troubled(world: World) -> World:
    """Five invoices, each with a value that no row covers, and one that is covered."""
    xero, connectwise = world.books, world.connectwise
    xero.add_account("265", "Tolls and parking", "REVENUE", tax_type="OUTPUT")
    xero.add_tracking_category("Region", ["Sydney Helpdesk", "Projects"])
    xero.add_contact("Silverleaf Landscape", account_number="SILVER")
    connectwise.add_location("Sydney South", id=13)
    connectwise.add_company("SILVERLEAF", "Silverleaf Landscapes")
    for name in ("Projects", "Helpdesk"):
        connectwise.add_department(name)
    connectwise.add_tax_code("EXPORT", "Export", 0)
    world.write("accounts.csv", f"{ACCOUNTS},sales,service,,,200,\n,sales,expense,Parking,,265,\n")
    world.write("tracking.csv", f"{TRACKING},sales,department,Projects,Region,Projects\n")
    world.write(
        "taxes.csv", "organisation,side,tax_code,taxable,tax_type\n,sales,GST,yes,OUTPUT\n,sales,,no,EXEMPTOUTPUT\n"
    )
    world.add_invoice("40000", department="Projects")
    for number in ("40001", "40002"):
        world.add_invoice(number, expenses=[{"type": "Tolls", "amount": 11, "notes": "Tunnel"}])
    world.add_invoice("40003", company="SILVERLEAF")
    world.add_invoice("40004", location="Sydney South")
    world.add_invoice("40005", department="Helpdesk")
    world.add_invoice("40006", taxCode="EXPORT")
    return world


def test_what_the_check_names_is_what_the_cycle_holds_until_it_is_pasted(world: World) -> None:
    """The same reasons, values and records; with the suggested lines in the tables, both have nothing left to say."""
    checked = check(troubled(world))
    assert waiting(checked) == {
        ("missing_organisation", "Sydney South"): 1,
        ("missing_contact", "Silverleaf Landscapes"): 1,
        ("missing_account", "expense/Tolls"): 2,
        ("missing_tracking", "department/Helpdesk"): 1,
        ("missing_tax", "EXPORT/yes"): 1,
    }
    assert (checked.records, checked.findings, checked.clean) == (7, [], False)
    world.cycle()
    held = [(each["reason"], each["value"]) for each in world.exceptions()]
    assert {key: held.count(key) for key in held} == waiting(checked)

    assert sorted((one.file, one.line) for one in checked.suggestions) == [
        ("accounts.csv", "Sydney,sales,expense,Tolls,,265,"),
        ("contacts.csv", "Sydney,customer,SILVERLEAF,,,Silverleaf Landscape"),
        ("organisations.csv", "Sydney South,,,,,Sydney"),
        ("taxes.csv", "Sydney,sales,EXPORT,yes,EXEMPTEXPORT"),
        ("tracking.csv", "Sydney,sales,department,Helpdesk,Region,Sydney Helpdesk"),
    ]
    paste(world, checked)
    after = check(world.later())
    assert (after.findings, after.uncovered, after.clean) == ([], [], True)
    posted = {number for number, told in world.outcomes(world.cycle()).items() if told == "posted"}
    assert posted == {f"4000{number}" for number in range(1, 7)}
    assert sorted(world.invoices()) == [f"4000{number}" for number in range(7)]


def test_money_is_added_up_and_a_record_counts_under_each_of_its_values(world: World) -> None:
    """With its whole total, as ConnectWise has it; a document in another currency apart."""
    tolls = [{"type": "Tolls", "amount": 11, "notes": "Tunnel"}]
    troubled(world).connectwise.add_currency("EUR", "Euro")
    both = world.add_invoice("40010", company="SILVERLEAF", expenses=tolls)
    euro = world.add_invoice("40011", currency="EUR", expenses=tolls)
    world.cycle()
    found = {one.value: one for one in check(world).uncovered}

    def totals(*numbers: int) -> Decimal:
        return sum((world.connectwise.record("invoice", number)["total"] for number in numbers), Decimal(0))

    ids = {row["reference"]: row["connectwise_id"] for row in world.rows(RECORDS)}
    assert found["Silverleaf Landscapes"].amounts == {"AUD": totals(ids["40003"], both)}
    assert found["expense/Tolls"].amounts == {"AUD": totals(ids["40001"], ids["40002"], both), "EUR": totals(euro)}
    assert found["EUR"].records == 1


def test_a_check_writes_nothing_and_looks_at_no_document_in_xero(world: World) -> None:
    """Neither in the audit nor in either system; it reads each list once, and the records with their rows."""
    troubled(world)
    tables = (RUNS, RECORDS, OUTCOMES, EXCEPTIONS, WATERMARKS, KEPT_LISTS, FOUND_DOCUMENTS)
    before = {table.name: world.rows(table) for table in tables}
    with world.watching() as seen:
        check(world)
    assert {table.name: world.rows(table) for table in tables} == before
    assert {call.split()[0] for call in (*seen.connectwise, *seen.xero)} == {"GET"}
    assert "GET /Invoices" not in seen.xero
    assert {call: seen.xero.count(call) for call in seen.xero} == {
        "GET /Organisation": 1,
        "GET /Accounts": 1,
        "GET /TaxRates": 1,
        "GET /Contacts": 1,
        "GET /TrackingCategories": 1,
    }


def test_lists_that_a_cycle_read_within_a_day_are_not_read_again(world: World) -> None:
    """Unless a row names what they lack: then that list alone is read anew, and what was added meanwhile is there."""
    world.add_invoice("40001")
    world.cycle()
    with world.later().watching() as seen:
        assert check(world).clean
    assert seen.xero == []
    world.books.add_account("265", "Tolls and parking", "REVENUE", tax_type="OUTPUT")
    world.write("accounts.csv", f"{ACCOUNTS},sales,,,,200,\n,sales,expense,,,265,\n")
    with world.later().watching() as seen:
        assert check(world).clean
    assert seen.xero == ["GET /Accounts"]


def test_lists_that_are_older_than_a_day_are_read_again(world: World) -> None:
    """Also one that is asked for rates alone: a currency that was switched off since is a problem."""
    world.connectwise.add_currency("EUR", "Euro")
    world.books.add_currency("EUR")
    world.add_invoice("40001", currency="EUR")
    world.write("rates.csv", "currency,base,date,rate\nEUR,AUD,2026-03-01,0.6\n")
    world.policy('[currency]\nsource = "rates_table"')
    world.cycle()
    assert check(world).clean
    del world.books.currencies["EUR"]
    assert [(one.file, one.column) for one in check(world.later(hours=25)).findings] == [("rates.csv", "currency")]


def test_a_wrong_row_is_a_problem_before_any_record_comes_upon_it(world: World) -> None:
    """An account that was archived, with file, row and column; a note alone leaves the check clean."""
    world.write("accounts.csv", f"{ACCOUNTS},sales,,,,200,\nSydney,sales,expense,,,429,\n,sales,product,,,429,\n")
    noted = check(world)
    assert [(one.row, one.severity) for one in noted.findings] == [(4, Severity.NOTE)]
    assert noted.clean
    world.books.archive_account("429")
    checked = check(world)
    assert [(one.file, one.row, one.column) for one in checked.findings] == [
        ("accounts.csv", 3, "account_code"),
        ("accounts.csv", 4, "account_code"),
    ]
    assert not checked.clean and checked.uncovered == []


def test_records_of_the_last_months_are_looked_at(world: World) -> None:
    """Three months, or since a later start date (one that has not come yet says nothing); or as asked."""
    # It is 2 March 2026.
    for number, day in enumerate(("2025-11-20", "2025-12-20", "2026-01-20", "2026-02-20")):
        world.add_invoice(f"4000{number}", date=date.fromisoformat(day))
    for start, since, records in (
        ("2025-06-01", date(2025, 11, 30), 3),
        ("2026-01-01", date(2026, 1, 1), 2),
        ("2026-04-01", date(2025, 11, 30), 3),
    ):
        world.write("policy.toml", f"start_date = {start}\n")
        checked = check(world)
        assert (checked.since, checked.records) == (since, records)
    assert check(world, since=date(2025, 11, 1)).records == 4


def test_tables_that_cannot_be_used_stop_before_any_call(world: World) -> None:
    """With file, row and column."""
    world.write("accounts.csv", f"{ACCOUNTS},sales,,,,200,\n,sales,,,,201,\n")
    with world.watching() as seen, pytest.raises(NotConfigured, match=r"accounts\.csv, row 3, column organisation"):
        check(world)
    assert seen.xero == seen.connectwise == []


def test_half_a_check_is_none(world: World) -> None:
    """Where Xero's calls of the day are used up, or it does not answer, nothing is called clean."""
    world.add_invoice("40001")
    day = answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"})
    world.to_xero.plan = lambda request, _number: day if request.path.endswith("/Contacts") else None
    with pytest.raises(CannotGoOn, match="check again then"):
        check(world)
    # In the middle of the records, too: a euro is looked for in the currencies.
    world.connectwise.add_currency("EUR", "Euro")
    world.add_invoice("40002", currency="EUR")
    world.later(hours=20).to_xero.plan = lambda request, _number: day if request.path.endswith("/Currencies") else None
    with pytest.raises(CannotGoOn, match="check again then"):
        check(world)
    world.later(hours=20).to_xero.plan = lambda _request, _number: answers(503)
    with pytest.raises(Unreachable):
        check(world)


def test_the_json_is_what_the_contract_says(world: World) -> None:
    """Money as text; every number and name that the terminal shows."""
    troubled(world).write(
        "contacts.csv", "organisation,role,company,contact_id,account_number,contact_name\n,,X,,,Nobody\n"
    )
    checked = check(world)
    given = check_as_json(checked)
    (problem,) = given["problems"]
    assert list(problem) == ["severity", "file", "row", "column", "organisation", "message", "fix"]
    assert (problem["severity"], problem["file"], problem["row"]) == ("problem", "contacts.csv", 2)
    assert given["records"] == 7
    assert [list(each) for each in given["coverage"]] == [
        ["reason", "value", "organisation", "records", "amounts", "fix"]
    ] * 5
    # Without an organisation nobody knows the currency, where ConnectWise knows none.
    assert [(each["value"], each["amounts"]) for each in given["coverage"][:2]] == [
        ("Sydney South", {"": "330.00"}),
        ("Silverleaf Landscapes", {"AUD": "330.00"}),
    ]
    proposed = suggestions_as_json(checked)
    assert len(proposed["suggestions"]) == 5 and proposed["without_line"] == []
    assert proposed["suggestions"][0]["candidates"] == [
        {"name": "Sydney", "score": 90, "cells": {"organisation": "Sydney"}}
    ]


def printed(show: Callable[[Console, Checked], None], checked: Checked) -> list[str]:
    """The lines that a narrow terminal shows."""
    console = Console(file=io.StringIO(), width=40, highlight=False)
    show(console, checked)
    return cast(io.StringIO, console.file).getvalue().splitlines()


def test_the_terminal_shows_problems_by_row_and_what_waits_for_each_value(world: World) -> None:
    """What is to be pasted stands on a line of its own, unbroken; what looks like markup is a name like any other."""
    world.connectwise.add_location("[bold]", id=14)
    world.add_invoice("40010", location="[bold]")
    world.write("contacts.csv", "organisation,role,company,contact_id,account_number,contact_name\n,,X,,,[Nobody]\n")
    checked = check(troubled(world))
    lines = printed(printing.check, checked)
    assert lines[:4] == [
        "contacts.csv",
        "  row 2, contact_name · Sydney",
        "    contacts.csv row 2 names contact_name '[Nobody]'; Sydney has no contact with it.",
        "    Correct contact_name in contacts.csv row 2, or the contact in Xero.",
    ]
    assert "Rows: 1 problem, 0 notes." in lines
    assert "  Add to accounts.csv: Sydney,sales,expense,Tolls,,<account_code>," in lines
    assert any(line.startswith("[bold]  missing_organisation") for line in lines)
    proposed = printed(printing.suggestions, checked)
    assert "Sydney,customer,SILVERLEAF,,,Silverleaf Landscape" in proposed
    assert "[bold],,,,,<organisation>" in proposed


def test_the_terminal_says_so_when_there_is_nothing_to_do(world: World) -> None:
    """In a line each."""
    world.add_invoice("40001")
    checked = check(world)
    assert printed(printing.check, checked)[0] == "Rows: 0 problems, 0 notes."
    assert "".join(printed(printing.suggestions, checked)) == "1 record, every value covered: nothing to paste."


@pytest.mark.server
def test_the_commands_work_without_a_prefect_server(place: Place) -> None:
    """The demo's tables: what the story holds for the tables' sake is named, with what to paste; the exit code is 3."""
    env = {
        "PREFECT_API_URL": f"http://127.0.0.1:{server.free_port()}/api",
        "PREFECT_HOME": str(place.folder / "prefect-home"),
    }
    checked = place.tieout("mappings", "check", "--json", **env)
    assert checked.returncode == 3, checked.stderr
    told = cast(dict[str, Any], json.loads(checked.stdout))
    assert [each for each in told["problems"] if each["severity"] == "problem"] == []
    expected = {reason for reason in place.story.expected.values() if reason in UNCOVERED}
    assert {each["reason"] for each in told["coverage"]} >= expected
    shown = place.tieout("mappings", "suggest", **env)
    assert shown.returncode == 3, shown.stderr
    for each in told["coverage"]:
        assert each["value"] in shown.stdout
    assert "Traceback" not in checked.stderr + shown.stderr


PAID_INTO = "organisation,currency,payment_account,account_code\n"


def test_payments_whose_account_no_row_names_are_counted_with_the_line_to_paste(world: World) -> None:
    """Those that would be written now; what waits for its invoice or its approval, or is paid, waits for no row."""
    world.policy('[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"')
    world.write("payment_accounts.csv", f"{PAID_INTO},,Known,090\n")
    for number in ("40001", "40002", "40003"):
        world.add_invoice(number, id=int(number))
    world.cycle()
    world.add_invoice("40004", id=40004)
    for paid in (40001, 40002, 40003, 40004):
        world.connectwise.add_payment(paid, "100.00")
    world.books.pay(world.invoices()["40003"]["InvoiceID"], "100.00")
    rows = world.rows(RECORDS)

    def check_payments() -> Checked:
        return check_mappings(["invoices", "payments"], world.doors, None, lambda _sentence: None)

    checked = check_payments()
    assert waiting(checked) == {("missing_payment_account", "(none)"): 2}
    assert [one.line for one in checked.suggestions] == ["Sydney,AUD,,<account>"]
    assert world.rows(RECORDS) == rows
    paste(world, checked)
    path = world.tables / "payment_accounts.csv"
    path.write_text(path.read_text().replace("<account>", "090"))
    assert check_payments().clean
