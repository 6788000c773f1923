"""`tieout report` and its deployment: what people see, save and are mailed of the purchase reports."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from rich.console import Console

from blocks.mail import ExceptionMail
from deployments import cli, server
from deployments.config import PROJECT
from deployments.reports import as_json, report, write_csv
from flows.report import ReportForm
from mappings.reports import COLUMNS, Report, Row
from tasks.mail import MOST_ROWS, ReportMailing, mail_report
from tests.deployments.conftest import Place
from tests.deployments.test_flow_runs import artifacts, latest_run
from tests.postbox import Postbox, postbox, text_of

CURE = (
    "Sydney has no contact for Cable <Company>. Create it in Xero, or add to contacts.csv: Sydney,supplier,CABLECO,,,"
)


def vendors(*names: str) -> Report:
    """The report of vendors, an order for each."""
    rows: list[Row] = [
        {
            "vendor_id": 70 + number,
            "vendor_identifier": "CABLECO",
            "vendor": name,
            "po_number": f"PO{number}",
            "connectwise_id": number,
            "received_value": "1000.00",
            "reason": "missing_contact",
        }
        for number, name in enumerate(names, start=1)
    ]
    return Report("unmapped-vendors", tuple(rows), (CURE,) if names else ())


def printed(given: Report) -> list[str]:
    """The lines that a terminal shows."""
    console = Console(file=io.StringIO(), width=120, highlight=False)
    report(console, given)
    return [line.rstrip() for line in cast(io.StringIO, console.file).getvalue().splitlines()]


def test_the_terminal_shows_a_line_per_row_and_what_to_do() -> None:
    assert printed(vendors("Cable [Company]")) == [
        "vendor_id  vendor_identifier  vendor           po_number  connectwise_id  received_value  reason",
        "71         CABLECO            Cable [Company]  PO1        1                      1000.00  missing_contact",
        "",
        CURE,
    ]
    assert printed(vendors()) == ["unmapped-vendors: nothing to show."]


def test_the_json_is_the_contracts() -> None:
    given = json.loads(json.dumps(as_json(vendors("Cable Company"))))
    assert list(given) == ["report", "columns", "rows"]
    assert given["columns"] == list(COLUMNS["unmapped-vendors"])
    assert given["rows"][0]["received_value"] == "1000.00" and given["rows"][0]["connectwise_id"] == 1


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+61 2", "-x", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path, name: str) -> None:
    """People type names and numbers of orders; an amount below zero stays a number."""
    row = {"document": "bill", "reference": name, "connectwise_id": None, "verdict": "only_xero", "ours": ""}
    given = Report("parallel-run", (row | {"theirs": "55.00", "difference": "-55.00"},))
    write_csv(tmp_path / "report.csv", given)
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        (line,) = csv.DictReader(file)
    assert list(line) == list(COLUMNS["parallel-run"])
    assert (line["reference"], line["connectwise_id"], line["difference"]) == (f"'{name}", "", "-55.00")


def test_command_form_and_reports_are_the_same_list() -> None:
    assert cli.REPORTS == tuple(COLUMNS) == get_args(ReportForm.model_fields["report"].annotation)
    assert all(field.description for field in ReportForm.model_fields.values())


# Mail


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


def mailed(given: Report, mail: ExceptionMail) -> list[str]:
    return mail_report.fn(ReportMailing(given, mail, "http://127.0.0.1/runs/flow-run/1"))


def test_the_mail_has_the_rows_and_the_cures_and_names_stay_text(box: Postbox) -> None:
    assert mailed(vendors("Cable <Company>\nBcc: x", "Other"), box.block()) == []
    assert [subject.strip() for subject in box.subjects] == ["tieout: unmapped vendors, 2 rows"]
    text, html = (text_of(box.mails[0], kind) for kind in ("plain", "html"))
    assert "vendor: Cable <Company> Bcc: x\npo_number: PO1" in text.replace("\r\n", "\n")
    assert CURE in " ".join(text.split()) and "/runs/flow-run/1" in text and "tieout report unmapped-vendors" in text
    assert "Cable &lt;Company&gt;" in html and "<Company>" not in html and "/runs/flow-run/1" in html


def test_a_long_report_is_counted_in_the_mail(box: Postbox) -> None:
    mailed(vendors(*["Cable Company"] * (MOST_ROWS + 5)), box.block())
    for kind in ("plain", "html"):
        text = text_of(box.mails[0], kind)
        assert "and 5 more rows" in text and f"PO{MOST_ROWS}" in text and f"PO{MOST_ROWS + 1}" not in text


def test_a_mail_that_the_server_does_not_take_is_a_sentence(box: Postbox) -> None:
    box.says = "451 try later"
    (finding,) = mailed(vendors("Cable Company"), box.block())
    assert "was not sent" in finding and "451 try later" in finding
    box.says = ""
    box.refuses = {"ops@example.com": "550 nobody here"}
    (finding,) = mailed(vendors("Cable Company"), box.block())
    assert "did not reach everybody" in finding


# The command and the deployment


def received(place: Place, number: str) -> int:
    """An order that was received of a vendor whom Xero does not know."""
    place.connectwise.add_company("CABLECO", "Cable Company", vendor_identifier="V-99")
    place.connectwise.add_catalog_item("CABLE-REPORT", cost=Decimal(100))
    order = place.connectwise.add_purchase_order(
        poNumber=number, vendorCompany="CABLECO", location="Sydney", poDate=date.today(),  # noqa: DTZ011
        lines=[{"product": "CABLE-REPORT", "quantity": Decimal(2), "unitCost": Decimal(100), "description": "Cable"}],
    )  # fmt: skip
    (line,) = place.connectwise.rows("purchase_order_line", order)
    place.connectwise.receive_line(line["id"])
    return order


def shown(place: Place, name: str, *words: str, **env: str) -> dict[str, dict[str, Any]]:
    """The rows of `report --json` by their orders."""
    done = place.tieout("report", name, "--json", *words, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["po_number"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.server
def test_the_command_needs_no_prefect_server(place: Place) -> None:
    """What cannot be asked for, or written, ends with 2 and a sentence."""
    env = {
        "PREFECT_API_URL": f"http://127.0.0.1:{server.free_port()}/api",
        "PREFECT_HOME": str(place.folder / "prefect-home"),
    }
    (place.tables / "lifecycle.csv").unlink(missing_ok=True)
    order = received(place, "=REP-1")
    file = place.folder / "report.csv"
    rows = shown(place, "received-without-bill", "--csv", str(file), **env)
    assert (rows["=REP-1"]["connectwise_id"], rows["=REP-1"]["received_value"]) == (order, "200.00")
    with file.open(encoding="utf-8-sig", newline="") as written:
        assert "'=REP-1" in {line["po_number"] for line in csv.DictReader(written)}
    for words, sentence in (
        (("profit",), "There is no report 'profit'; there are unmapped-vendors, "),
        (("unmapped-vendors", "--from", "2026-03-01"), "leave --from and --to away"),
        (("parallel-run", "--from", "2026-03-01", "--to", "2026-03-31"), "sign"),
        (("invoiced-not-received", "--csv", str(place.folder / "no" / "such.csv")), "cannot be written"),
    ):
        refused = place.tieout("report", *words, **env)
        assert refused.returncode == 2, refused.stdout
        assert sentence in refused.stderr and "Traceback" not in refused.stderr


def run_flow(installation: str, **params: str) -> dict[str, str]:
    """A run of the flow, in a process of its own as a worker starts it: the type and the message of its state."""
    code = (
        "import json, sys; from flows.report import ReportForm, report; given = json.load(sys.stdin); "
        "state = report(ReportForm(**given['params']), given['installation'], return_state=True); "
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
def test_the_weekly_run_shows_a_table_and_mails_it_only_when_there_is_something(
    prefect_server: str, place: Place, box: Postbox
) -> None:
    with place.config.open("a", encoding="utf-8") as config:
        config.write(
            f'[mail]\nhost = "127.0.0.1"\nport = {box.port}\nsender = "tieout@example.com"\n'
            'recipients = ["accounts@example.com"]\n'
        )
    assert place.tieout("setup").returncode == 0
    received(place, "REP-1")
    state = run_flow(place.name)
    assert state["type"] == "COMPLETED", state
    run = latest_run(prefect_server)
    assert run["name"] == f"unmapped-vendors {run['expected_start_time'][:10]}"
    table = json.loads(artifacts(prefect_server, run)[f"{place.name}-report-unmapped-vendors"]["data"])
    assert [row["reason"] for row in table if row["po_number"] == "REP-1"] == ["missing_contact"]
    (mail,) = box.mails
    assert "REP-1" in text_of(mail) and f"/runs/flow-run/{run['id']}" in text_of(mail)

    assert run_flow(place.name, report="received-without-bill")["type"] == "COMPLETED"
    assert run_flow(place.name, report="invoiced-not-received") == {"type": "COMPLETED", "message": "0 rows"}
    assert len(box.mails) == 1, "only what somebody has to act on is mailed"
    for books in place.xero.organisations.values():
        books.add_contact("Cable Company", account_number="V-99")
    rows = shown(place, "unmapped-vendors")
    assert "REP-1" not in rows
    assert run_flow(place.name)["message"] == f"{len(rows)} rows"
    assert len(box.mails) == (2 if rows else 1), "no mail for nothing"


@pytest.mark.server
def test_an_installation_without_blocks_is_a_sentence_in_the_ui(prefect_server: str) -> None:
    state = run_flow("nobody")
    assert state["type"] == "FAILED" and "run `tieout setup` first" in state["message"]
