"""`tieout demo`: a simulated MSP, both systems, a Prefect server, and the cycles of a small story; and `sandbox`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments import server
from deployments.printing import exceptions, out
from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios import Scenario, load
from deployments.sandbox.server import serve
from deployments.sandbox.server import serve_forever as serve_sandbox
from deployments.sandbox.xero import Limits, SimulatedXero


def run_sandbox(connectwise_port: int, xero_port: int, scenario: str) -> None:
    """Both simulated systems on loopback, until stopped."""
    connectwise, xero = SimulatedConnectWise(), SimulatedXero()
    story = load(scenario, connectwise, xero)
    print(f"ConnectWise: http://127.0.0.1:{connectwise_port}/v4_6_release/apis/3.0")
    print(f"             company {connectwise.company_name}, keys sandbox-public / sandbox-private")
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
    console.print(f"Prefect server: {server.ui_url()}\n")

    _step(console, "tieout setup", "saves the blocks, registers the deployments with their first schedules")
    _tieout(console, config, "setup")

    _step(console, "tieout sync", "the first cycle: everything since the start date")
    first = _sync(console, config)
    console.print()
    exceptions(console, first["exceptions"])
    told = {f"{each['reference']} ({each['reason']})" for each in first["exceptions"]}
    wrong = _unlike("held", told, {f"{number} ({reason})" for number, reason in story.expected.items()})

    _step(
        console,
        "tieout sync",
        "once more, nothing changed: one read in ConnectWise, and Xero is asked only for what a held record waits for",
    )
    _sync(console, config)

    held = {each["reference"] for each in first["exceptions"]}
    by_table = [cure for cure in story.cures if cure.number in held and cure.where == "tables"]
    elsewhere = [cure for cure in story.cures if cure.number in held and cure.where != "tables"]

    _step(console, "the bookkeeper", "fills in what the tables lack")
    for cure in by_table:
        console.print(f"  {cure.number}: {escape(cure.says)}")
        console.print(f"         {escape(cure.file)}: {escape(cure.line)}", style="green", soft_wrap=True)
        cure.apply(tables)
    _step(console, "tieout sync", f"the next cycle posts those {len(by_table)} and touches nothing else")
    before = _numbers(story, xero)
    _sync(console, config)
    wrong += _unlike("posted", _numbers(story, xero) - before, {cure.number for cure in by_table})

    # Somebody has not got round to it yet: the end shows what waits, and what to do about it.
    *cured, left = elsewhere
    _step(console, "everybody else", "puts right what they can, in ConnectWise and in Xero")
    for cure in cured:
        console.print(f"  {cure.number}: {escape(cure.says)}")
        cure.apply(tables)
    _step(console, "tieout sync", "and the cycle after that posts these")
    last = _sync(console, config)
    console.print()
    exceptions(console, last["exceptions"])

    console.print("\n[bold]Where everything ended[/bold]")
    _books(console, story, xero)
    wrong += _unlike("held at the end", {each["reference"] for each in last["exceptions"]}, {left.number})
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


def _tieout(console: Console, config: Path, *words: str) -> None:
    """Run a command as a user would; what it prints is part of the story."""
    done = subprocess.run(  # noqa: S603  (our own interpreter and constant words)
        [sys.executable, "-m", "deployments.cli", *words, "--config", str(config)],
        env=server.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    console.print(escape(done.stdout.rstrip()))
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")


def _sync(console: Console, config: Path) -> dict[str, Any]:
    import json

    from deployments.printing import families

    done = subprocess.run(  # noqa: S603  (our own interpreter and constant words)
        [sys.executable, "-m", "deployments.cli", "sync", "--json", "--config", str(config)],
        env=server.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 3):
        raise SystemExit(f"sync ended with {done.returncode}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    families(console, told["families"])
    return told


def _books(console: Console, story: Scenario, xero: SimulatedXero) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("Xero organisation", "invoices", "total"):
        table.add_column(name, justify="left" if name == "Xero organisation" else "right")
    for name, tenant in story.organisations.items():
        documents = xero.organisations[tenant].invoices(type="ACCREC")
        money: dict[str, Any] = {}
        for document in documents:
            currency = document["CurrencyCode"]
            money[currency] = money.get(currency, 0) + document["Total"]
        sums = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(money.items()))
        table.add_row(name, str(len(documents)), sums)
    console.print(table)


def _numbers(story: Scenario, xero: SimulatedXero) -> set[str]:
    """The numbers of all sales invoices in Xero."""
    books = (xero.organisations[tenant] for tenant in story.organisations.values())
    return {each["InvoiceNumber"] for one in books for each in one.invoices(type="ACCREC")}


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
        numbers = [each["InvoiceNumber"] for each in xero.organisations[tenant].invoices(type="ACCREC")]
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
