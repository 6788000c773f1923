"""`tieout reconcile` and its deployment: what people see, save and are told of the tie-out statement."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from deployments import server
from deployments.config import PROJECT
from deployments.statements import COLUMNS, as_json, statement, write_csv
from mappings.outcomes import Outcome
from mappings.reconcile import Booked, Figure, Known, Pair, Period, Reconciliation, Sourced, Statement, Written, explain
from tasks.statements import statement_summary, statement_table
from tests.deployments.conftest import Place
from tests.deployments.test_flow_runs import artifacts, latest_run

MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))


def figure(total: str, day: int = 2, organisation: str = "Sydney") -> Figure:
    """What a document counts as in March."""
    return Figure(organisation, "AUD", date(2026, 3, day), Decimal(total))


def made(*pairs: Pair, unreadable: tuple[str, ...] = ()) -> Statement:
    """The statement of some documents."""
    collected = Reconciliation("invoices", MARCH, list(unreadable))
    for pair in pairs:
        collected.count_connectwise(pair.here)
        if pair.xero is not None:
            collected.count_xero(pair.xero)
        collected.add(explain(pair, "invoices", MARCH))
    return collected.statement()


def held(number: str, total: str, message: str = "No row fits.", organisation: str = "Sydney") -> Pair:
    """A record that is not posted."""
    known = Known(Outcome.HELD, "missing_account", message)
    return Pair(Sourced(int(number), number, figure(total, organisation=organisation)), known=known)


def nobodys(number: str, total: str) -> Pair:
    """A document that somebody entered by hand."""
    return Pair(xero=Booked(f"x-{number}", number, figure(total), "DRAFT"))


def lost(number: str, total: str) -> Pair:
    """A record that nothing is known of."""
    return Pair(Sourced(int(number), number, figure(total)))


def printed(given: Statement, width: int = 100) -> list[str]:
    """The lines that a terminal shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    statement(console, given)
    return cast(io.StringIO, console.file).getvalue().splitlines()


def saved(folder: Path, given: Statement) -> list[dict[str, str]]:
    """The lines of the CSV, as a spreadsheet reads them."""
    write_csv(folder / "statement.csv", [given])
    with (folder / "statement.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_terminal_shows_a_line_per_month_and_one_per_name() -> None:
    """Both sides, the differences and what is unexplained; below it the records, most money first, and the verdict."""
    found = made(held("40001", "330.00"), held("40002", "1234.50"), nobodys("[HAND]", "100"), unreadable=("40009",))
    assert [line.rstrip() for line in printed(found)] == [
        "Invoices dated 2026-03-01 to 2026-03-31",
        "                 ConnectWise    differences     Xero  unexplained",
        "Sydney AUD",
        "2026-03        2    1,564.50 -1   -1,464.50 1 100.00         0.00",
        "  held                       -2   -1,564.50",
        "  only in Xero                1      100.00",
        "",
        "Differences, most money first:",
        "  40002  held · missing_account · -1234.50 AUD · Sydney · 2026-03",
        "    No row fits.",
        "  40001  held · missing_account · -330.00 AUD · Sydney · 2026-03",
        "    No row fits.",
        "  [HAND]  only in Xero · 100.00 AUD · Sydney · 2026-03",
        "    No ConnectWise record belongs to it.",
        "1 of ConnectWise's records cannot be read and are not counted: 40009.",
        "",
        "Tied out: unexplained is 0.00 everywhere.",
    ]


def test_the_statement_of_purchase_orders_says_that_it_is_of_their_bills() -> None:
    """It is by the dates of the bills, not of the orders."""
    (title, *_) = printed(Statement("purchase_orders", MARCH, []))
    assert title == "Bills of purchase orders dated 2026-03-01 to 2026-03-31"


def test_what_is_unexplained_comes_first_with_its_records() -> None:
    """The verdict says where, and how much."""
    lines = printed(made(held("40001", "9999"), lost("40002", "330.00")))
    assert lines.index("Unexplained, and no cause could be shown:") < lines.index("Differences, most money first:")
    assert lines[-1] == "Not tied out: unexplained 330.00 AUD (1) in Sydney, 2026-03."


def test_large_figures_fit_into_a_hundred_columns() -> None:
    """Fifty documents of nearly ten million each, and the longest of the names."""
    there = figure("9999999.99")
    gone = Pair(None, Booked("x", "1", there, "PAID"), Written(1, "1", there, there), Known(Outcome.POSTED))
    row = made(*[gone] * 50, lost("2", "1.00")).rows[0]
    lines = printed(Statement("invoices", MARCH, [row]))
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if "  missing in ConnectWise" in line and "499,999,999.50" in line]


def test_twenty_records_are_listed_and_the_rest_is_counted(tmp_path: Path) -> None:
    """The CSV has them all."""
    found = made(*(held(str(number), str(number)) for number in range(1, 26)))
    lines = printed(found)
    assert "  and 5 more; --csv has them all." in lines
    assert len([line for line in lines if "missing_account" in line]) == 20
    assert len([line for line in saved(tmp_path, found) if line["line"] == "held"]) == 25


def test_the_csv_is_what_a_pivot_table_wants(tmp_path: Path) -> None:
    """One line per sum and per document: by `line` they make the statement, to the cent."""
    lines = saved(tmp_path, made(held("40001", "330.00"), nobodys("HAND-1", "100"), lost("40002", "5.55")))
    assert list(lines[0]) == list(COLUMNS)
    sums: dict[str, Decimal] = {}
    for line in lines:
        assert (line["organisation"], line["currency"], line["month"]) == ("Sydney", "AUD", "2026-03")
        sums[line["line"]] = sums.get(line["line"], Decimal(0)) + Decimal(line["amount"])
    assert {name: str(amount) for name, amount in sums.items()} == {
        "connectwise": "335.55",
        "xero": "100.00",
        "unexplained": "5.55",
        "held": "-330.00",
        "only_in_xero": "100.00",
        "of unexplained": "5.55",
    }
    assert sums["connectwise"] + sums["held"] + sums["only_in_xero"] - sums["unexplained"] == sums["xero"]


@pytest.mark.parametrize("number", ["=HYPERLINK(1)", "+61 2", "-x", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path, number: str) -> None:
    """People type numbers and names; an amount below zero stays a number."""
    lines = saved(tmp_path, made(held("40001", "330", f"{number} fits nothing"), nobodys(number, "5")))
    assert {line["reference"] for line in lines if line["line"] == "only_in_xero"} == {f"'{number}"}
    (other,) = [line for line in lines if line["line"] == "held"]
    assert (other["amount"], other["message"]) == ("-330.00", f"'{number} fits nothing")


def test_the_json_is_what_the_guide_says() -> None:
    """Money as text; every number that the terminal shows."""
    given = json.loads(json.dumps(as_json([made(held("40001", "330.00"), lost("40002", "5.55"), unreadable=("x",))])))
    assert given["tied_out"] is False
    (family,) = given["families"]
    assert (family["family"], family["from"], family["to"]) == ("invoices", "2026-03-01", "2026-03-31")
    assert family["unreadable"] == ["x"]
    assert family["rows"] == [
        {
            "organisation": "Sydney",
            "currency": "AUD",
            "month": "2026-03",
            "connectwise": {"count": 2, "amount": "335.55"},
            "differences": {"held": {"count": -1, "amount": "-330.00"}},
            "xero": {"count": 0, "amount": "0.00"},
            "unexplained": {"count": 1, "amount": "5.55"},
        }
    ]
    (difference,) = family["differences"]
    (unexplained,) = family["unexplained"]
    assert (difference["kind"], difference["reason"], difference["reference"]) == ("held", "missing_account", "40001")
    assert (unexplained["kind"], unexplained["amount"], unexplained["connectwise_id"]) == (None, "5.55", 40002)
    assert list(difference) == [
        "organisation", "currency", "month", "kind", "reason", "count", "amount", "reference", "connectwise_id",
        "xero_id", "message", "connectwise_url", "xero_url",
    ]  # fmt: skip


def test_the_table_of_the_ui_has_a_column_for_every_name_that_occurs() -> None:
    """In each row, so that the columns stand below one another; what people typed is no markdown in the summary."""
    found = made(held("40001", "330"), held("40002", "5", organisation="Perth"), nobodys("[x](y)", "9"))
    rows = statement_table(found)
    assert [list(row) for row in rows] == [
        [
            "organisation", "currency", "month", "in ConnectWise", "ConnectWise", "held", "only in Xero", "in Xero",
            "Xero", "unexplained",
        ]
    ] * 2  # fmt: skip
    assert [(row["organisation"], row["held"], row["only in Xero"], row["unexplained"]) for row in rows] == [
        ("Perth", "-5.00 (-1)", "", "0.00 (0)"),
        ("Sydney", "-330.00 (-1)", "9.00 (1)", "0.00 (0)"),
    ]
    summary = statement_summary(found)
    assert r"**\[x\](y)** 9.00 AUD" in summary and "**Tied out: unexplained is 0.00 everywhere.**" in summary
    summary = summary.replace("\u2011", "-").replace("\u00a0", " ")
    assert "| Sydney AUD | 2026-03 | 330.00 (1) | held | -330.00 (-1) | 9.00 (1) | **0.00** |" in summary
    assert "\n|  |  |  | only in Xero | 9.00 (1) |  |  |\n" in summary


def run_flow(installation: str, **params: str) -> dict[str, str]:
    """A run of the flow, in a process of its own as a worker starts it: the type and the message of its state."""
    code = (
        "import json, sys; from flows.reconcile import PeriodForm, reconcile; given = json.load(sys.stdin); "
        "state = reconcile(PeriodForm(**given['params']), given['installation'], return_state=True); "
        "print(json.dumps({'type': state.type.value, 'message': state.message}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"installation": installation, "params": params}),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.server
def test_the_command_needs_no_prefect_server(place: Place) -> None:
    """Nothing is posted yet, and all of it waits; a file that cannot be written and dates that cannot be end with 2."""
    env = {
        "PREFECT_API_URL": f"http://127.0.0.1:{server.free_port()}/api",
        "PREFECT_HOME": str(place.folder / "prefect-home"),
    }
    done = place.tieout("reconcile", "--json", **env)
    assert done.returncode == 0, done.stderr
    given = cast(dict[str, Any], json.loads(done.stdout))
    assert given["tied_out"]
    kinds = {each["kind"] for each in given["families"][0]["differences"]}
    assert kinds == {"waiting", "only_in_xero"}
    unwritten = place.tieout("reconcile", "--csv", str(place.folder / "no" / "such.csv"), **env)
    assert unwritten.returncode == 2 and "cannot be written" in unwritten.stderr
    for words in (("--from", "yesterday"), ("--from", "2026-03-01", "--to", "2026-02-01"), ("bills",)):
        refused = place.tieout("reconcile", *words, **env)
        assert refused.returncode == 2, refused.stdout
        assert "Traceback" not in refused.stderr


@pytest.mark.server
def test_the_statement_of_a_first_day(prefect_server: str, place: Place) -> None:
    """After a cycle it ties out, what is held is named; in the UI too; a second document for a record ends with 3."""
    assert place.tieout("setup").returncode == 0
    assert place.tieout("sync").returncode == 3
    file = place.folder / "statement.csv"
    done = place.tieout("reconcile", "--json", "--csv", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    family, credit_notes, allocations = json.loads(done.stdout)["families"]
    assert [each["family"] for each in (family, credit_notes)] == ["invoices", "credit_notes"]
    assert [each["reason"] for each in allocations["differences"]] == ["waits_for_approval"]
    assert credit_notes["differences"] == [] and sum(row["xero"]["count"] for row in credit_notes["rows"]) == 2
    reasons = {each["reference"]: each["reason"] for each in family["differences"] if each["kind"] == "held"}
    assert reasons.items() <= place.story.expected.items() and reasons
    for row in (*family["rows"], *credit_notes["rows"]):
        assert row["unexplained"] == {"count": 0, "amount": "0.00"}
    with file.open(encoding="utf-8-sig", newline="") as written:
        assert {each["line"] for each in csv.DictReader(written)} >= {"connectwise", "xero", "unexplained", "held"}

    assert run_flow(place.name) == {"type": "COMPLETED", "message": "Tied out: unexplained is 0.00 everywhere."}
    run = latest_run(prefect_server)
    assert run["name"] == f"reconcile {run['expected_start_time'][:10]}"
    shown = artifacts(prefect_server, run)
    prefix = f"{place.name}-reconcile-invoices"
    table = json.loads(shown[f"{prefix}-statement"]["data"])
    assert [(row["organisation"], row["month"], row["ConnectWise"]) for row in table] == [
        (row["organisation"], row["month"], row["connectwise"]["amount"]) for row in family["rows"]
    ]
    assert "Tied out" in shown[f"{prefix}-summary"]["data"]

    books = next(books for books in place.xero.organisations.values() if books.invoices(type="ACCREC"))
    # Which document comes first differs from run to run, and the first line of some is nothing but words.
    posted, account = next(
        (each, line["AccountCode"])
        for each in books.invoices(type="ACCREC")
        for line in each["LineItems"]
        if each.get("Url") and "AccountCode" in line
    )
    line = {"Description": "Copy", "Quantity": 1, "UnitAmount": 100, "AccountCode": account}
    books.enter_invoice(
        Type="ACCREC", Contact={"ContactID": posted["Contact"]["ContactID"]}, InvoiceNumber="COPY-1",
        Date=posted["DateString"][:10], DueDate=posted["DateString"][:10], LineItems=[line], Url=posted["Url"],
    )  # fmt: skip
    found = place.tieout("reconcile")
    assert found.returncode == 3
    assert "Not tied out" in found.stdout and "COPY-1" in found.stdout
    day = posted["DateString"][:10]
    state = run_flow(place.name, first=day, last=day)
    assert state["type"] == "FAILED" and state["message"].startswith("Invoices: Not tied out: unexplained -")
    assert latest_run(prefect_server)["name"] == f"reconcile from {day} to {day}"


@pytest.mark.server
def test_an_installation_without_blocks_is_a_sentence_in_the_ui(prefect_server: str) -> None:
    """The run fails with what to do."""
    state = run_flow("nobody")
    assert state["type"] == "FAILED" and "run `tieout setup` first" in state["message"]
