"""`tieout demo`: a simulated MSP, both systems, a Prefect server, and the cycles of a small story; and `sandbox`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments import server
from deployments.config import read_config
from deployments.printing import counted, exceptions, out, plan
from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios import Delivery, Scenario, load
from deployments.sandbox.server import serve
from deployments.sandbox.server import serve_forever as serve_sandbox
from deployments.sandbox.xero import Limits, SimulatedXero
from mappings.kinds import KINDS
from mappings.outcomes import Outcome


def run_sandbox(connectwise_port: int, xero_port: int, scenario: str) -> None:
    """Both simulated systems on loopback, until stopped."""
    connectwise, xero = SimulatedConnectWise(), SimulatedXero()
    story = load(scenario, connectwise, xero)
    print(f"ConnectWise: http://127.0.0.1:{connectwise_port}/v4_6_release/apis/3.0")
    print(f"             company {connectwise.company}, keys sandbox-public / sandbox-private")
    print(f"             client id {connectwise.client_id}")
    print(f"Xero:        http://127.0.0.1:{xero_port}  client sandbox-client / sandbox-secret, token sandbox-refresh-0")
    for name, tenant in story.organisations.items():
        print(f"             organisation {name}: tenant {tenant}")
    print("Stop with Ctrl-C.", flush=True)
    serve_sandbox({connectwise_port: connectwise, xero_port: xero})


def run_demo(keep: bool) -> int:
    """Tell the story. 0 when every step ended as it should."""
    console = out()
    folder = Path(tempfile.mkdtemp(prefix="tieout-demo-"))
    processes: list[subprocess.Popen[bytes]] = []
    with server.ended_by_signals(), ExitStack() as stack:
        if not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(_stop_all, processes)
        try:
            return _tell(console, stack, folder, processes, keep)
        except KeyboardInterrupt:
            console.print("Stopped.")
            return 130
        except Untrue as problem:
            console.print(f"[red]{escape(str(problem))}[/red]", soft_wrap=True)
            return 1


def _tell(
    console: Console, stack: ExitStack, folder: Path, processes: list[subprocess.Popen[bytes]], keep: bool
) -> int:
    began = time.monotonic()
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{server.free_port()}/api"
    os.environ.pop("PREFECT_UI_URL", None)
    console.print("[bold]tieout demo[/bold]: two simulated systems, a real Prefect server, all on this machine.\n")
    log = folder / "prefect-server.log"
    prefect = server.start_server(log)
    processes.append(prefect)

    connectwise, xero = SimulatedConnectWise(), SimulatedXero()
    xero.limits = Limits()
    story = load("msp", connectwise, xero)
    tables = story.copy_tables(folder / "tables")
    connectwise_url = stack.enter_context(serve(connectwise))
    xero_url = stack.enter_context(serve(xero))
    config = _write_config(folder, story, connectwise_url, xero_url, tables)
    console.print(
        f"An MSP with {len(story.invoices)} invoices in ConnectWise and {len(story.organisations)} Xero organisations; "
        f"{len(story.troubles)} of the invoices have something the matter with them."
    )
    server.wait_until_it_answers(prefect, log, say=lambda text: console.print(f"[dim]{text}[/dim]"))
    console.print(f"Prefect server: {server.ui_url()}")

    stage = _Stage(console, config, tables, story, xero)
    acts = (_first_act, _second_act, _third_act, _fourth_act, _fifth_act)
    wrong = [words for act in acts for words in act(stage)]
    wrong += _doubled(story, xero)
    for words in wrong:
        console.print(f"[red]{escape(words)}[/red]")
    run = _latest_run()
    console.print(f"\nThe last run in the Prefect UI: {server.ui_url(f'/runs/flow-run/{run}')}" if run else "")
    console.print(f"{time.monotonic() - began:.0f} s in all.")
    if keep:
        form = server.ui_url(f"/deployments/deployment/{_deployment('force-sync/force-sync')}/run")
        processes.append(server.start_worker("tieout", folder / "prefect-worker.log"))
        console.print(
            f"\nServer, worker and both systems stay up. Try, in another terminal:\n"
            f"  export PREFECT_API_URL={server.api_url()}\n  tieout sync --config {config}\n"
            f"Or force some records from a form, once as a plan and then written: {form}\n"
            f"State is in {folder}. Stop with Ctrl-C."
        )
        while prefect.poll() is None:
            time.sleep(1)
    else:
        console.print("The server is stopped now; `tieout demo --keep` leaves it up to look around.")
    return 1 if wrong else 0


@dataclass(frozen=True)
class _Stage:
    """Where the story is played: the installation, and what its own claims are checked against."""

    console: Console
    config: Path
    tables: Path
    story: Scenario
    xero: SimulatedXero


def _first_act(stage: _Stage) -> list[str]:
    """Posting: what goes through, what is held and why, and what people do about that. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    _step(console, "tieout setup", "saves the blocks, registers the deployments with their first schedules")
    _tieout(stage, "setup")

    _step(console, "tieout sync", "the first cycle: everything since the start date")
    first = _sync(stage)
    console.print()
    exceptions(console, first["exceptions"])
    told = {f"{each['reference']} ({each['reason']})" for each in first["exceptions"]}
    wrong = _unlike("held", told, {f"{number} ({reason})" for number, reason in story.expected.items()})
    wrong += _unlike("a credit note in Xero", _credit_notes(stage), set(story.credit_memos))

    _step(
        console,
        "tieout sync",
        "once more, nothing changed: one read in ConnectWise for each list, and Xero is asked only for what a held "
        "record waits for",
    )
    again = _sync(stage)
    wrong += _unlike_counts(again, posted=0, updated=0, connectwise={"invoices": 1, "credit_notes": 2})

    held = {each["reference"] for each in first["exceptions"]}
    cures = [cure for cure in story.cures if cure.number in held]
    for who, what, of_these, then in (
        ("the bookkeeper", "pastes what the tables lack", "tables", "the next cycle posts those, and nothing else"),
        ("colleagues", "put right the rest, in ConnectWise and in Xero", "", "the cycle after that posts these"),
    ):
        _step(console, who, what)
        chosen = [cure for cure in cures if (cure.where == "tables") == bool(of_these)]
        for cure in chosen:
            if cure.file:
                console.print(f"  {cure.number}  {cure.file}: [green]{escape(cure.line)}[/green]", soft_wrap=True)
            else:
                console.print(f"  {cure.number}  {escape(cure.says)}")
            cure.apply(stage.tables)
        before = _numbers(stage)
        _step(console, "tieout sync", then)
        last = _sync(stage)
        # Whoever cured a number by another one posts that.
        wrong += _unlike_counts(last, posted=len(chosen), updated=0)
        if of_these:
            wrong += _unlike("posted", _numbers(stage) - before, {cure.number for cure in chosen})
    console.print("Nothing is held any more.")
    return wrong + _unlike("held after the first act", {each["reference"] for each in last["exceptions"]}, set())


def _second_act(stage: _Stage) -> list[str]:
    """What was posted changes: what follows, what stays a person's, and what is refused. Gives what is untrue of it."""
    console, edits = stage.console, stage.story.edits
    follow = {edit.number for edit in edits if not edit.held}
    _step(console, "time goes by", "and three invoices change after they were posted")
    for edit in edits:
        console.print(f"  {edit.number}  {escape(edit.says)}")
        edit.act()

    _step(console, "tieout plan", "what the next cycle would do about it, field by field: old -> new")
    before = _snapshot(stage)
    planned = json.loads(_run(stage, "plan", "--json"))
    plan(console, planned)
    wrong = [] if _snapshot(stage) == before else ["the plan was to write nothing, and something was written"]
    updates = {each["reference"] for each in planned["writes"] if each["action"] == "update"}
    wrong += _unlike("planned as an update", updates, follow)
    wrong += _unlike("planned otherwise", {each["reference"] for each in planned["writes"]} - updates, set())

    _step(console, "tieout sync", "writes exactly that")
    told = _sync(stage)
    wrong += _unlike_counts(told, posted=0, updated=len(follow))
    for edit in edits:
        console.print(f"  {edit.number}  {edit.document()['Total']:,.2f} in Xero: {escape(edit.ends)}")
        wrong += [] if edit.stands_so else [f"{edit.number} is not as it was to be in Xero"]
    found = {each["reference"]: each for each in told["exceptions"]}
    wrong += _unlike(
        "held at the end",
        {f"{number} ({each['reason']})" for number, each in found.items()},
        {f"{edit.number} ({edit.held})" for edit in edits if edit.held},
    )
    for edit in edits:
        said = " ".join(found[edit.number][name] for name in ("message", "fix")) if edit.number in found else ""
        wrong += [f"{edit.number} was to be held with the words {words!r}" for words in edit.words if words not in said]
    return wrong


def _third_act(stage: _Stage) -> list[str]:
    """Money: what is paid and credited follows, once the documents are approved. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    _step(console, "the bookkeeper", "switches payments on, and says in payment_accounts.csv where the money goes")
    policy = stage.tables / "policy.toml"
    policy.write_text(
        policy.read_text(encoding="utf-8").replace('payments = "off"', 'payments = "on"'), encoding="utf-8"
    )
    (stage.tables / "payment_accounts.csv").write_text(
        "organisation,currency,payment_account,account_code,note\n,,,090,the business account\n", encoding="utf-8"
    )
    console.print(
        f"  Then she approves what customers have paid, and the credit notes; all but {story.unapproved[0]}, to which "
        "she has not come yet."
    )
    story.approve()
    _step(console, "tieout sync", "pays in Xero what is paid in ConnectWise, and allocates what is credited")
    first = _sync(stage)
    wrong = _unlike_counts(first, posted=len(story.paid) + len(story.credited) - len(story.unapproved), deferred=1)
    console.print(f"  {story.unapproved[0]}  waits for its approval, without a word: a draft cannot be paid.")

    _step(console, "time goes by", "and some of the money moves")
    for money in story.money:
        console.print(f"  {money.number}  {escape(money.says)}")
        money.act()
    held = {each["reference"] for each in first["exceptions"]}
    _step(console, "tieout sync", "follows, as far as it may")
    last = _sync(stage)
    for money in story.money:
        console.print(f"  {money.number}  {escape(money.told)}")
    wrong += _unlike_counts(last, posted=0, updated=sum(money.ends == "updated" for money in story.money))
    told = {f"{each['reference']}: {each['reason']}" for each in last["exceptions"] if each["reference"] not in held}
    wrong += _unlike("held", told, {f"{m.number}: {m.ends.partition(': ')[2]}" for m in story.money if ":" in m.ends})

    _step(console, "both systems", "what is due on these invoices, side by side")
    explained = {money.number: "held" for money in story.money if ":" in money.ends}
    explained |= dict.fromkeys(story.unapproved, "a draft in Xero")
    table = Table(box=None)
    for name in ("invoice", "due in ConnectWise", "due in Xero", ""):
        table.add_column(name, justify="left" if name in ("invoice", "") else "right")
    for number, (ours, theirs) in story.balances().items():
        why = explained.get(number, "")
        table.add_row(number, f"{ours:,.2f}", f"{theirs:,.2f}", "equal" if ours == theirs else why or "different")
        wrong += [f"{number} was to be due with {ours} in both systems"] if ours != theirs and not why else []
    console.print(table)

    _step(console, "tieout reconcile", "both systems read anew; every difference has to have a name")
    try:
        _tieout(stage, "reconcile", may_end_with=(0,))
    except Untrue as problem:
        wrong.append(f"the books were to tie out: {problem}")
    return wrong


def _fourth_act(stage: _Stage) -> list[str]:
    """Purchase orders: by a signed table what is received becomes bills, once. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    _step(console, "the bookkeeper", "switches purchase orders on")
    policy = stage.tables / "policy.toml"
    policy.write_text(
        policy.read_text(encoding="utf-8").replace('purchase_orders = "off"', 'purchase_orders = "on"'),
        encoding="utf-8",
    )
    _step(console, "tieout lifecycle init --preset goods_receipt", "the table that says what happens to them, and when")
    _run(stage, "lifecycle", "init", "--preset", "goods_receipt")
    table = stage.tables / "lifecycle.csv"
    _show_rows(console, table.read_text(encoding="utf-8").splitlines()[1:])
    wrong = _both_sign(stage)
    first, *later = story.deliveries
    wrong += _deliver(stage, first)

    _step(console, "the operator", "wants a bill for each receipt, and changes two rows")
    text = table.read_text(encoding="utf-8")
    for was, becomes in story.lifecycle.items():
        wrong += [] if was in text else [f"lifecycle.csv was to have the row {was}"]
        text = text.replace(was, becomes)
    table.write_text(text, encoding="utf-8")
    _show_rows(console, story.lifecycle.values())
    before = _snapshot(stage)
    _step(console, "tieout sync purchase_orders", "is refused: nobody has signed this")
    refused = json.loads(_run(stage, "sync", "purchase_orders", "--json", may_end_with=(2,)))
    console.print(f"  {escape(refused['families'][0]['failed'])}", soft_wrap=True)
    wrong += [] if _snapshot(stage) == before else ["nothing was to be written by a table that nobody has signed"]
    wrong += _both_sign(stage)
    for deliveries in later:
        wrong += _deliver(stage, deliveries)
    return wrong + _bills(stage)


def _fifth_act(stage: _Stage) -> list[str]:
    """The orders themselves, invoices over several of them, and what is billed on. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    _step(console, "the operator", "wants the orders in Xero, too, and takes the table full_lifecycle")
    table = stage.tables / "lifecycle.csv"
    table.unlink()
    _run(stage, "lifecycle", "init", "--preset", "full_lifecycle")
    _show_rows(console, table.read_text(encoding="utf-8").splitlines()[1:])
    _step(console, "tieout lifecycle verify", "before they sign: which orders does the new table touch?")
    _tieout(stage, "lifecycle", "verify", may_end_with=(3,))
    wrong = _both_sign(stage)
    for deliveries in story.placed:
        wrong += _deliver(stage, deliveries)
    wrong += _orders(stage)
    wrong += _shared(stage)
    wrong += _billed_on(stage)
    _five_questions(stage)
    return wrong


def _orders(stage: _Stage) -> list[str]:
    """Every purchase order in Xero with the bills that bear its number. Gives what is untrue of them."""
    console, story = stage.console, stage.story
    _step(console, "Xero", "its purchase orders, and the bills that bear their numbers")
    books = next(stage.xero.organisations[tenant] for tenant in story.organisations.values())
    table = Table(box=None)
    for name in ("order", "supplier", "net", "status", "bills"):
        table.add_column(name, justify="right" if name == "net" else "left")
    orders = books.purchase_orders()
    for order in orders:
        number = order["PurchaseOrderNumber"]
        bills = ", ".join(bill["InvoiceNumber"] for bill in books.bills() if bill["Reference"] == number)
        supplier = order["Contact"]["Name"]
        table.add_row(escape(number), escape(supplier), f"{order['SubTotal']:,.2f}", order["Status"], escape(bills))
    console.print(table)
    found = {f"{each['PurchaseOrderNumber']} for {each['Contact']['Name']}, {each['Status']}" for each in orders}
    expected = {f"{number} for {supplier}, {status}" for number, (supplier, status) in story.placed_orders.items()}
    return _unlike("a purchase order in Xero", found, expected)


def _shared(stage: _Stage) -> list[str]:
    """The bills of one supplier's invoice over two orders, and how each names the other. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    first, second = (story.purchases[key] for key in ("shared_first", "shared_second"))
    _step(console, "Xero", f"the supplier's invoice {first.vendor_invoice} is over two orders: a bill for each of them")
    books = next(stage.xero.organisations[tenant] for tenant in story.organisations.values())
    wrong: list[str] = []
    for one, other in ((first, second), (second, first)):
        (bill,) = (bill for bill in books.bills() if bill["Reference"] == one.number)
        notes = [line["Description"] for line in bill["LineItems"] if "Quantity" not in line]
        console.print(f"  {escape(bill['InvoiceNumber'])}, {bill['SubTotal']:,.2f}")
        for note in notes:
            console.print(f"    [dim]{escape(note)}[/dim]")
        if not any(other.number in note for note in notes):
            wrong.append(f"the bill of {one.number} was to name {other.number}")
    return wrong


def _billed_on(stage: _Stage) -> list[str]:
    """What customers pay for what was bought. Gives what is untrue of it."""
    console, story = stage.console, stage.story
    _step(console, "tieout report margin", "what was bought, who pays for it, and what nobody was charged for")
    _tieout(stage, "report", "margin")
    rows = json.loads(_run(stage, "report", "margin", "--json"))["rows"]
    wrong: list[str] = []
    for one in story.purchases.values():
        mine = [row for row in rows if row["po_number"] == one.number]
        charged = {row["invoice_number"] for row in mine if row["certainty"] == "certain"}
        wrong += _unlike(f"certainly billed on of {one.number}", charged, {one.invoice} if one.invoice else set())
    never = story.purchases["never_charged"].number
    if any(row["invoice_number"] for row in rows if row["po_number"] == never):
        wrong.append(f"nobody was to be charged for {never}")
    return wrong


def _five_questions(stage: _Stage) -> None:
    """What people ask first, each answered by documents and by the log that anyone can call up."""
    from blocks.audit.database import open_audit
    from blocks.audit.runs import history

    console, story = stage.console, stage.story
    parts, _, sent_back, *_ = story.orders
    whole, _, renumbered = story.placed_orders
    questions = (
        (whole, "Which state made the bill, and how is that changed? The row below; edit it, and both sign again."),
        (parts, "What of part, part and full receipt? A bill for each; what is on one is on no other."),
        (
            story.purchases["shared_first"].number,
            "One supplier's invoice over two orders? A bill for each, with its number, which names the other order.",
        ),
        (sent_back, "What of a reversal after approval? The bill stays; the supplier credit to enter is named."),
        (
            renumbered,
            "An order that does not go through? Held, with what to do; it goes on by itself once that is done.",
        ),
    )
    _step(console, "five questions", "and where their answers stand; the lines are those of `tieout audit --reference`")
    audit = open_audit(read_config(stage.config).audit_url().get_secret_value(), create=False)
    for number, question in questions:
        console.print(f"\n{escape(question)}", soft_wrap=True)
        said: set[tuple[str, str]] = set()
        for each in history(audit, f"id:{story.orders[number]}"):
            if each["message"] and (each["outcome"], each["message"]) in said:
                # What is held says the same in each cycle.
                continue
            said.add((each["outcome"], each["message"]))
            why = f": {each['message']}" if each["message"] else ""
            rows = "; ".join(row for row in each["rows"] if row.startswith("lifecycle.csv row"))
            by = f"  [dim]{escape(rows)}[/dim]" if rows else ""
            name = KINDS[each["family"]].word if each["family"] in KINDS else "order"
            console.print(
                f"  {each['at'][:16]}  {each['reference']}  {name} {each['outcome']}{escape(why)}{by}", soft_wrap=True
            )
    audit.close()


def _both_sign(stage: _Stage) -> list[str]:
    """Operator and finance lead sign the table as it stands. Gives what is untrue of it."""
    signed = ""
    for role, name in stage.story.signers.items():
        _step(stage.console, f'tieout lifecycle sign --name "{name}" --role {role}', "after reading it")
        signed = _run(stage, "lifecycle", "sign", "--name", name, "--role", role).splitlines()[-1]
    stage.console.print(f"  {escape(signed)}", soft_wrap=True)
    return [] if " is signed by " in signed else ["both signatures were to be enough"]


def _deliver(stage: _Stage, deliveries: Sequence[Delivery]) -> list[str]:
    """What happens to the orders before a cycle, and the cycle. Gives what is untrue of it."""
    console = stage.console
    _step(console, "time goes by", "and this becomes of what was ordered")
    for each in deliveries:
        console.print(f"  {each.number}  {escape(each.says)}")
        if each.line:
            console.print(f"           [green]{escape(each.line)}[/green]", soft_wrap=True)
        each.act(stage.tables)
    _step(console, "tieout sync purchase_orders", "by the signed table")
    told = _sync(stage, "purchase_orders")
    for each in deliveries:
        console.print(f"  {each.number}  {escape(each.told)}")
    found = {each["reference"]: each for each in told["exceptions"]}
    ends = [each.ends.partition(": ") for each in deliveries]
    outcomes = [outcome for outcome, _, _ in ends]
    several = [word for outcome in outcomes for word in outcome.split(", ")]
    wrong = _unlike_counts(told, posted=several.count("posted"), updated=several.count("updated"))
    for each, (_, _, reason) in zip(deliveries, ends, strict=True):
        held = found.get(each.number, {"reason": "", "message": "", "fix": ""})
        said = f"{held['message']} {held['fix']}"
        if held["reason"] != reason:
            wrong.append(f"{each.number} was to be held for {reason or 'nothing'}, and is for {held['reason']}")
        wrong += [f"{each.number} was to be held with the words {words!r}" for words in each.words if words not in said]
    new = [found[each.number] for each in deliveries if each.number in found]
    if new:
        console.print()
        exceptions(console, new)
    return wrong


def _bills(stage: _Stage) -> list[str]:
    """Every bill in Xero with the row of the lifecycle that made it. Gives what is untrue of them."""
    from blocks.audit.database import open_audit
    from blocks.audit.runs import history

    console, story = stage.console, stage.story
    audit = open_audit(read_config(stage.config).audit_url().get_secret_value(), create=False)
    rows: dict[str, str] = {}
    for number in story.orders:
        for outcome in history(audit, number):
            if outcome["outcome"] == "posted":
                rows[outcome["xero_id"]] = next(row for row in outcome["rows"] if row.startswith("lifecycle.csv row"))
    audit.close()
    _step(console, "Xero", "the bills of suppliers, and for each the row that made it (`tieout audit --reference`)")
    books = (stage.xero.organisations[tenant] for tenant in story.organisations.values())
    bills = [bill for one in books for bill in one.bills()]
    table = Table(box=None)
    for name in ("bill", "net", "status", "made by"):
        table.add_column(name, justify="right" if name == "net" else "left")
    for bill in bills:
        made_by = escape(rows.get(bill["InvoiceID"], ""))
        table.add_row(escape(bill["InvoiceNumber"]), f"{bill['SubTotal']:,.2f}", bill["Status"], made_by)
    console.print(table)
    found = {f"{bill['InvoiceNumber']} over {bill['SubTotal']:.2f}, {bill['Status']}" for bill in bills}
    expected = {f"{number} over {net:.2f}, {status}" for number, (net, status) in story.bills.items()}
    wrong = _unlike("a bill in Xero", found, expected)
    wrong += [] if len(bills) == len(story.bills) else [f"{len(bills)} bills are in Xero, not {len(story.bills)}"]
    return wrong + [
        f"no row says why there is {each['InvoiceNumber']}" for each in bills if not rows.get(each["InvoiceID"])
    ]


def _show_rows(console: Console, rows: Iterable[str]) -> None:
    """Rows of a table, as they stand in the file."""
    for row in rows:
        console.print(f"  [green]{escape(row)}[/green]", soft_wrap=True)


def _stop_all(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        server.stop(process)


def _write_config(folder: Path, story: Scenario, connectwise_url: str, xero_url: str, tables: Path) -> Path:
    lines = [
        "[connectwise]",
        f'url = "{connectwise_url}/v4_6_release/apis/3.0"',
        'company = "sandbox"',
        'public_key = "sandbox-public"',
        'private_key = "sandbox-private"',
        'client_id = "00000000-0000-4000-8000-000000000001"',
        "[xero]",
        f'api_url = "{xero_url}"',
        f'identity_url = "{xero_url}"',
        f'login_url = "{xero_url}"',
        'client_id = "sandbox-client"',
        'client_secret = "sandbox-secret"',
        'refresh_token = "sandbox-refresh-0"',
        "[audit]",
        f'url = "sqlite:///{folder / "audit.db"}"',
        "[mappings]",
        f'directory = "{tables}"',
    ]
    for name, tenant in story.organisations.items():
        lines += ["[[organisation]]", f'name = "{name}"', f'tenant_id = "{tenant}"']
    path = folder / "tieout.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _step(console: Console, command: str, what: str) -> None:
    console.print(f"\n[bold]{command}[/bold]  [dim]{what}[/dim]")


class Untrue(Exception):
    """A command of the story ended as it was not meant to."""


def _run(stage: _Stage, *words: str, may_end_with: Collection[int] = (0, 3)) -> str:
    """Run a command as a user would, and give what it printed. Raises Untrue."""
    done = subprocess.run(  # noqa: S603  (our own interpreter and constant words)
        [sys.executable, "-m", "deployments.cli", *words, "--config", str(stage.config)],
        env=server.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in may_end_with:
        said = (done.stderr or done.stdout).strip()
        raise Untrue(f"{' '.join(words)} ended with {done.returncode}: {said}")
    return done.stdout


def _tieout(stage: _Stage, *words: str, may_end_with: Collection[int] = (0, 3)) -> None:
    """Run a command whose own words are part of the story."""
    stage.console.print(escape(_run(stage, *words, may_end_with=may_end_with).rstrip()), soft_wrap=True)


def _sync(stage: _Stage, *families: str) -> dict[str, Any]:
    """One cycle; told in a sentence."""
    told: dict[str, Any] = json.loads(_run(stage, "sync", *families, "--json"))
    for row in told["families"]:
        ended = ", ".join(f"{row[outcome]} {outcome}" for outcome in Outcome if row[outcome])
        calls = row["calls"]
        name = row["family"].replace("_", " ")
        stage.console.print(
            f"{row['read']} {name} read{': ' if ended else ''}{ended}. "
            f"[dim]{counted(calls['connectwise'], 'call')} to ConnectWise, {calls['xero']} to Xero.[/dim]"
        )
    return told


def _numbers(stage: _Stage) -> set[str]:
    """The numbers of all sales invoices in Xero."""
    books = (stage.xero.organisations[tenant] for tenant in stage.story.organisations.values())
    return {each["InvoiceNumber"] for one in books for each in one.invoices(type="ACCREC")}


def _credit_notes(stage: _Stage) -> set[str]:
    """The numbers of all customers' credit notes in Xero."""
    books = (stage.xero.organisations[tenant] for tenant in stage.story.organisations.values())
    return {each["CreditNoteNumber"] for one in books for each in one.credit_notes(type="ACCRECCREDIT")}


def _snapshot(stage: _Stage) -> list[Any]:
    """All that is in Xero."""
    return [stage.xero.organisations[tenant].snapshot() for tenant in stage.story.organisations.values()]


def _unlike_counts(told: Mapping[str, Any], connectwise: Mapping[str, int] | None = None, **counts: int) -> list[str]:
    """What differs from the counts that a cycle was meant to end with, and from each family's calls to ConnectWise."""
    found = {name: sum(row[name] for row in told["families"]) for name in counts}
    for row in told["families"] if connectwise is not None else ():
        what = f"calls of {row['family']} to ConnectWise"
        counts[what], found[what] = (connectwise or {})[row["family"]], row["calls"]["connectwise"]
    return [f"{name} was to be {counts[name]}, and is {found[name]}" for name in counts if found[name] != counts[name]]


def _unlike(what: str, found: set[str], expected: set[str]) -> list[str]:
    """The story's own check: what differs from what it is meant to tell."""
    return [
        *(f"{each} was to be {what}, and is not" for each in sorted(expected - found)),
        *(f"{each} was not to be {what}, and is" for each in sorted(found - expected)),
    ]


def _doubled(story: Scenario, xero: SimulatedXero) -> list[str]:
    """Numbers that are twice in an organisation."""
    doubled: list[str] = []
    for name, tenant in story.organisations.items():
        books = xero.organisations[tenant]
        numbers = [each["InvoiceNumber"] for each in books.invoices(type="ACCREC")]
        numbers += [each["CreditNoteNumber"] for each in books.credit_notes(type="ACCRECCREDIT")]
        doubled += [f"{number} is twice in {name}" for number in set(numbers) if numbers.count(number) > 1]
    return doubled


def _deployment(name: str) -> str:
    import httpx

    return str(httpx.get(f"{server.api_url()}/deployments/name/{name}", timeout=10).raise_for_status().json()["id"])


def _latest_run() -> str:
    import httpx

    answer = httpx.post(
        f"{server.api_url()}/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}, timeout=10
    )
    found: Sequence[dict[str, Any]] = answer.json()
    return str(found[0]["id"]) if found else ""
