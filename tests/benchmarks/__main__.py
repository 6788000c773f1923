"""`python -m tests.benchmarks`: what a cycle of ours costs, beside a bare loop that does the same work, how long a
first load takes under Xero's limits and what a kill repeats, and what mapping alone costs, with short and long tables.

Prints tables; nothing here passes or fails by time. It fails when the books of two competitors differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from deployments.sandbox.scenarios.bulk_world import ORGANISATIONS
from tests.benchmarks import processes
from tests.benchmarks.bare_loop import BATCH
from tests.benchmarks.client import Cost, Task
from tests.benchmarks.first_load import SLOW as SLOW_ANSWERS
from tests.benchmarks.first_load import Load, Loaded
from tests.benchmarks.mapping import CHUNK, Speed, Work
from tests.benchmarks.orders import Ordered
from tests.benchmarks.payments import Paid
from tests.benchmarks.world import Size

KINDS = {"bare": "bare loop", "dlt": "dlt", "plain": "ours, plain calls", "prefect": "ours, Prefect flow"}
CYCLES = ("first", "idle")
SLOW = (0.05, 0.15)
NONE = (0.0, 0.0)
PER_MINUTE = 60
TABLE_ROWS = (10, 1_000, 100_000)
READ_ONCE = ("Organisation", "Accounts", "TaxRates", "Contacts", "Invoices")
"""What a first cycle reads of each organisation: its lists, a page of each, and which documents are there already."""
DLT = ("dlt>=1.5,<2", "httpx>=0.28,<0.29", "simplejson>=3.19,<5")
"""dlt, and what the bare loop's mapping needs, which it shares."""
MOST_MEMORY = 1.3
"""How much more of it ten times as many invoices may take."""
VALUES = {False: "the same few thousand values", True: "a new company and item in each"}


@dataclass(frozen=True)
class Case:
    """One competitor in one situation."""

    size: Size
    kind: str
    cycle: str


@dataclass(frozen=True)
class Figures:
    """What one run (or the median of several) of a case came to. Seconds and bytes.

    `cpu` is the cycle's alone, `cpu_of_process` with start, imports, and what is done at exit.
    """

    connectwise: float
    xero: float
    writes: float
    refused: float
    wall: float
    cpu: float
    cpu_of_process: float
    peak: float


class BooksDiffer(Exception):
    """Two competitors left different books: the comparison means nothing."""


def main(arguments: list[str]) -> int:
    """Run what is asked for, print the table, write the JSON."""
    asked = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    sizes = [Size(count, latency=latency) for count in asked.invoices for latency in (NONE, SLOW)]
    if asked.large:
        sizes.append(Size(asked.large))
    found: dict[Case, list[Figures]] = {}
    speeds = _mapping_alone(asked.mapping, console) if asked.mapping else {}
    limits: dict[str, float] | None = None
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, ExitStack() as running:
        folder = Path(name)
        if sizes or asked.limits:
            running.enter_context(processes.prefect_server(folder))
        interpreters = _interpreters(asked.dlt, folder, console)
        asked.kinds = [*asked.kinds, *interpreters]
        for size in sizes:
            large = size.invoices > 5_000
            # Plain calls only tell what Prefect costs beside them, and that the smaller worlds say, too.
            kinds = [kind for kind in asked.kinds if not (large and kind == "plain")]
            books: dict[str, str] = {}
            for turn in range(asked.repeat):
                # Each begins in turn, so that none profits from its place.
                for kind in [*kinds[turn % len(kinds) :], *kinds[: turn % len(kinds)]]:
                    _progress(console, size, kind, turn, asked.repeat)
                    for case, figures in _round(size, kind, folder, books, interpreters.get(kind, sys.executable)):
                        found.setdefault(case, []).append(figures)
            if len(set(books.values())) > 1:
                raise BooksDiffer(f"the books of {', '.join(books)} differ at {size}")
        if asked.limits:
            limits = _under_limits(folder, console)
    loads = _first_loads(asked.first_load, console) if asked.first_load else {}
    paid = _paid(asked.payments, console) if asked.payments else None
    ordered = _ordered(asked.orders, console) if asked.orders else []
    medians = {case: _median(all_of) for case, all_of in found.items()}
    if medians or limits:
        _print(console, medians, {case: len(all_of) for case, all_of in found.items()}, limits)
    if medians:
        _print_bars(console, medians)
    _print_the_rest(console, loads, paid, ordered, speeds)
    if asked.json:
        told = _as_json(medians, found, limits) | {
            "first_load": [asdict(load) | asdict(loads[load]) for load in loads],
            "payments": asdict(paid) if paid else None,
            "orders": [asdict(cycle) for cycle in ordered],
            "mapping": [asdict(work) | asdict(speeds[work]) for work in speeds],
        }
        Path(asked.json).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


def _print_the_rest(
    console: Console, loads: dict[Load, Loaded], paid: Paid | None, ordered: list[Ordered], speeds: dict[Work, Speed]
) -> None:
    if loads:
        _print_first_loads(console, loads)
    if paid:
        _print_paid(console, paid)
    if ordered:
        _print_ordered(console, ordered)
    if speeds:
        _print_mapping(console, speeds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--invoices", type=int, nargs="*", default=[500, 5_000], help="how many in each world")
    parser.add_argument("--mapping", type=int, default=50_000, help="how many to map in memory; 0 leaves that out")
    parser.add_argument("--large", type=int, default=50_000, help="so many besides, without latency; 0 leaves that out")
    parser.add_argument(
        "--first-load", type=int, default=50_000, help="how many in a first load under limits; 0 leaves that out"
    )
    parser.add_argument("--payments", type=int, default=5_000, help="how many invoices are paid; 0 leaves that out")
    parser.add_argument("--orders", type=int, default=1_000, help="how many open purchase orders; 0 leaves that out")
    parser.add_argument("--limits", action="store_true", help="also 5,000 under 60 calls a minute (takes minutes)")
    parser.add_argument("--dlt", action="store_true", help="also dlt, installed from PyPI into a folder of its own")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case; the table shows medians")
    ours = [kind for kind in KINDS if kind != "dlt"]
    parser.add_argument("--kinds", nargs="+", choices=ours, default=ours, help="only these competitors")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run")
    return parser


def _progress(console: Console, size: Size, kind: str, turn: int, repeats: int) -> None:
    _say(console, f"{_situation(size)}: {KINDS[kind]} ({turn + 1} of {repeats})")


def _say(console: Console, sentence: str) -> None:
    if console.is_terminal:
        console.print(sentence, style="dim")
    else:
        print(sentence, file=sys.stderr, flush=True)


def _interpreters(with_dlt: bool, folder: Path, console: Console) -> dict[str, str]:
    """The Python of each competitor that is not a part of the project; none where it cannot be had."""
    if not with_dlt:
        return {}
    try:
        return {"dlt": processes.python_with(folder / "dlt", *DLT)}
    except RuntimeError as error:
        console.print(f"There are no figures for dlt, because it could not be installed from PyPI ({error}).")
        return {}


def _round(
    size: Size, kind: str, folder: Path, books: dict[str, str], python: str = sys.executable
) -> list[tuple[Case, Figures]]:
    """A first cycle and an idle one of one competitor in a fresh world."""
    done: list[tuple[Case, Figures]] = []
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        processes.world(size) as world,
    ):
        task = task_for(world.place, Path(own), size)
        if kind == "prefect":
            _save(task)
        for cycle in CYCLES:
            cost, cpu = processes.measured(kind, task, Path(own), python)
            told = world.told()
            if told["documents"] != size.invoices:
                raise BooksDiffer(f"{KINDS[kind]} left {told['documents']} of {size.invoices} documents: {cost.counts}")
            done.append((Case(size, kind, cycle), _figures(cost, cpu, told["calls"])))
        books[kind] = told["books"]
    return done


def _save(task: Task) -> None:
    from tests.benchmarks.installation import save

    save(task)


def task_for(place: dict[str, Any], folder: Path, size: Size) -> Task:
    """What a client in this world is told; its tables and databases are in `folder`."""
    from deployments.sandbox.scenarios.scenario import HERE, Scenario
    from mappings import connectwise as lists

    tables = Scenario(
        "bulk", HERE / "bulk" / "tables", datetime.fromisoformat(place["start_date"]).date(), place["organisations"]
    ).copy_tables(folder / "tables")
    organisations: dict[str, str] = place["organisations"]
    if size.one_organisation:
        first = next(iter(organisations))
        (tables / "organisations.csv").write_text(
            f"location,department,company,staff,tag,organisation\n,,,,,{first}\n", encoding="utf-8"
        )
        organisations = dict.fromkeys(organisations, organisations[first])
    address = f"{place['connectwise']}/v4_6_release/apis/3.0"
    fields: dict[str, type[lists.ConnectWiseRecord]] = {
        "headers": lists.Invoice,
        "time": lists.TimeEntry,
        "expenses": lists.ExpenseEntry,
        "products": lists.Product,
    }
    return Task(
        installation="bench",
        connectwise=address,
        xero=place["xero"],
        organisations=place["organisations"],
        tables=str(tables),
        audit=str(folder / "audit.db"),
        per_minute=size.per_minute and 58,
        concurrent=5 if size.per_minute else 0,
        bare={
            "connectwise": address,
            "company": "sandbox",
            "user": "sandbox+sandbox-public",
            "password": "sandbox-private",
            "client_id": "00000000-0000-4000-8000-000000000001",
            "xero": place["xero"],
            "xero_client": "sandbox-client",
            "xero_secret": "sandbox-secret",
            "refresh_token": "sandbox-refresh-0",
            "organisations": organisations,
            "start_date": place["start_date"],
            "fields": {kind: lists.fields_of(record) for kind, record in fields.items()},
            "outbox": str(folder / "outbox.db"),
        },
    )


def _figures(cost: Cost, cpu: float, calls: dict[str, int]) -> Figures:
    return Figures(
        calls.get("connectwise", 0),
        calls.get("xero", 0),
        calls.get("writes", 0),
        calls.get("429", 0),
        cost.wall,
        cost.cpu,
        cpu,
        cost.peak,
    )


def _median(runs: list[Figures]) -> Figures:
    return Figures(*(median(values) for values in zip(*(asdict(run).values() for run in runs), strict=True)))


def _under_limits(folder: Path, console: Console) -> dict[str, float]:
    """5,000 invoices of one organisation under the real limits, in real time.

    With two organisations, each with its own limit, all would fit into the first minute.
    """
    size = Size(5_000, latency=SLOW, per_minute=PER_MINUTE, one_organisation=True)
    _progress(console, size, "prefect", 0, 1)
    (_, figures), _idle = _round(size, "prefect", folder, {})
    floor = 60.0 * ((figures.xero - 1) // PER_MINUTE)
    return asdict(figures) | {"floor": floor, "ratio": figures.wall / floor}


def _first_loads(invoices: int, console: Console) -> dict[Load, Loaded]:
    """A first load of one organisation under Xero's limits, undisturbed and killed in the middle."""
    loads: dict[Load, Loaded] = {}
    for load in (Load(invoices), Load(invoices, killed=True, answers=SLOW_ANSWERS)):
        _say(console, f"first load of {invoices:,} invoices under limits{', killed in the middle' * load.killed}")
        loads[load] = processes.loaded(load)
    return loads


def _paid(payments: int, console: Console) -> Paid:
    _say(console, f"{payments:,} payments on as many invoices")
    return processes.paid(payments)


def _ordered(orders: int, console: Console) -> list[Ordered]:
    _say(console, f"{orders:,} open purchase orders")
    return processes.ordered(orders)


def _mapping_alone(records: int, console: Console) -> dict[Work, Speed]:
    """The same records with tables of each length, in a process each; longer tables must not change a document."""
    speeds: dict[Work, Speed] = {}
    for new in VALUES:
        for rows in TABLE_ROWS:
            _say(console, f"mapping {records:,} invoices with tables of {rows:,} rows")
            work = Work(records, rows, new)
            speeds[work] = processes.mapped(work)
    if len({speed.documents for speed in speeds.values()}) > len(VALUES):
        raise BooksDiffer("the length of the tables changed what was mapped")
    return speeds


def _print_mapping(console: Console, speeds: dict[Work, Speed]) -> None:
    records = next(iter(speeds)).records
    table = Table(title=f"Mapping alone: {records:,} invoices of three lines, in memory", title_justify="left")
    for column in ("rows in each table", *(f"{rows:,}" for rows in TABLE_ROWS)):
        table.add_column(column, justify="left" if column == "rows in each table" else "right", no_wrap=True)
    for new, name in VALUES.items():
        these = [speeds[Work(records, rows, new)] for rows in TABLE_ROWS]
        table.add_section()
        table.add_row(name, *[""] * len(these), style="bold")
        table.add_row("  records a second", *(f"{records / speed.wall:,.0f}" for speed in these))
        table.add_row("  CPU microseconds a record", *(f"{1e6 * speed.cpu / records:.0f}" for speed in these))
        if records > CHUNK:
            later = (f"{(records - CHUNK) / (speed.wall - speed.first):,.0f}" for speed in these)
            table.add_row(f"  records a second after the first {CHUNK:,}", *later)
            table.add_row(f"  seconds for the first {CHUNK:,}", *(f"{speed.first:.2f}" for speed in these))
        table.add_row("  peak MB before the first record", *(f"{speed.before / 1e6:.0f}" for speed in these))
        table.add_row("  peak MB", *(f"{speed.peak / 1e6:.0f}" for speed in these))
        table.add_row("  seconds to read the tables", *(f"{speed.reading:.2f}" for speed in these))
    console.print(table)
    console.print(f"{conditions()}. One run each; five tables of that length; records are made outside the figures.")


def _situation(size: Size) -> str:
    low, high = (f"{1000 * edge:.0f}" for edge in size.latency)
    limit = f", {size.per_minute} calls a minute" if size.per_minute else ""
    return f"{size.invoices:,} invoices, {f'{low} to {high} ms' if size.latency[1] else 'no'} latency{limit}"


def conditions() -> str:
    """Where these figures come from."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}, "
        f"Prefect {version('prefect')}, SQLite {sqlite3.sqlite_version}; both systems simulated in a process of their "
        "own, Prefect server with SQLite in another, on the same cores; no limits on calls"
    )


def _print(
    console: Console, medians: dict[Case, Figures], runs: dict[Case, int], limits: dict[str, float] | None
) -> None:
    for cycle in CYCLES:
        table = Table(
            title=f"{'First cycle: everything is new' if cycle == 'first' else 'Idle cycle: nothing changed'}",
            title_justify="left",
        )
        columns = (
            "", "CW calls", "Xero calls", "writes", "wall s", "CPU s", "process CPU s", "peak MB", "wall : bare",
            "CPU : bare", "runs",
        )  # fmt: skip
        for column in columns:
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for size in dict.fromkeys(case.size for case in medians):
            table.add_section()
            table.add_row(_situation(size), *[""] * (len(columns) - 1), style="bold")
            base = medians.get(Case(size, "bare", cycle))
            for kind, name in KINDS.items():
                case = Case(size, kind, cycle)
                if case in medians:
                    table.add_row(f"  {name}", *_cells(medians[case], base), str(runs[case]))
        console.print(table)
    if limits is not None:
        console.print(
            f"Under {PER_MINUTE} calls a minute and 5 at once, one organisation, 5,000 invoices: {limits['xero']:.0f} "
            f"Xero calls, {limits['refused']:.0f} answers 429, {limits['wall']:.1f} s; the limit alone takes "
            f"{limits['floor']:.0f} s (ratio {limits['ratio']:.2f})."
        )
    console.print(f"{conditions()}. Medians of the runs named. Wall and CPU are of the cycle in the client "
                  "process, imports left out; process CPU is with them; peak is resident memory.")  # fmt: skip


def _print_bars(console: Console, medians: dict[Case, Figures]) -> None:
    """What a cycle may cost, and what it cost: calls, memory and CPU of each size without latency."""
    sizes = [case.size for case in medians if case.kind == "prefect" and case.cycle == "first"]
    sizes = [size for size in sizes if size.latency == NONE]
    if not sizes:
        return
    table = Table(title="What a Prefect flow run may cost, and what it cost, without latency", title_justify="left")
    table.add_column("")
    for size in sizes:
        table.add_column(f"{size.invoices:,} invoices", justify="right", no_wrap=True)
    firsts = [medians[Case(size, "prefect", "first")] for size in sizes]
    idles = [medians[Case(size, "prefect", "idle")] for size in sizes]
    bares = [medians.get(Case(size, "bare", "first")) for size in sizes]
    table.add_row(
        "writes to Xero : one for each 50 of an organisation",
        *(f"{cost.writes:.0f} : {_fewest_writes(size)}" for size, cost in zip(sizes, firsts, strict=True)),
    )
    reads = len(READ_ONCE) * len(ORGANISATIONS)
    table.add_row("reads of Xero : its lists once", *(f"{cost.xero - cost.writes:.0f} : {reads}" for cost in firsts))
    table.add_row(
        "reads of ConnectWise : the bare loop's",
        *(_against(cost, bare) for cost, bare in zip(firsts, bares, strict=True)),
    )
    table.add_row(
        "idle cycle, calls to ConnectWise, to Xero : 1, 0",
        *(f"{cost.connectwise:.0f}, {cost.xero:.0f} : 1, 0" for cost in idles),
    )
    table.add_row("answers 429 : 0", *(f"{cost.refused:.0f} : 0" for cost in firsts))
    table.add_row(
        "CPU ms an invoice",
        *(f"{1e3 * cost.cpu / size.invoices:.2f}" for size, cost in zip(sizes, firsts, strict=True)),
    )
    table.add_row(
        "CPU : the bare loop's (the aim is 2)",
        *(f"{cost.cpu / bare.cpu:.2f}" if bare else "" for cost, bare in zip(firsts, bares, strict=True)),
    )
    others = [medians.get(Case(size, "dlt", "first")) for size in sizes]
    if any(others):
        table.add_row(
            "CPU : dlt's (at most 1)",
            *(f"{cost.cpu / other.cpu:.2f}" if other else "" for cost, other in zip(firsts, others, strict=True)),
        )
    table.add_row(
        f"peak memory : that of {sizes[0].invoices:,} (at most {MOST_MEMORY})",
        *(f"{cost.peak / firsts[0].peak:.2f}" for cost in firsts),
    )
    console.print(table)


def _against(cost: Figures, bare: Figures | None) -> str:
    return f"{cost.connectwise:.0f}" + (f" : {bare.connectwise:.0f}" if bare else "")


def _fewest_writes(size: Size) -> int:
    """Calls of fifty, for each organisation by itself: the bulk's invoices take turns."""
    shares = 1 if size.one_organisation else len(ORGANISATIONS)
    return sum(-(-len(range(first, size.invoices, shares)) // BATCH) for first in range(shares))


def _print_first_loads(console: Console, loads: dict[Load, Loaded]) -> None:
    limits = "60 calls a minute, 5 at once, 5,000 a day"
    for load, seen in loads.items():
        low, high = (f"{1000 * edge:.0f}" for edge in load.answers)
        console.print(
            f"First load of {load.invoices:,} invoices of one organisation ({limits}; answers in {low} to {high} ms"
            f"{'; killed in the middle and run again' if load.killed else ''}): {seen.calls:,} Xero calls, "
            f"{seen.writes:,} of them writes with {seen.sent:,} invoices in all, {seen.documents:,} documents, each "
            f"number once; {seen.refused} answers 429, at most {seen.busiest_minute} calls in a minute and "
            f"{seen.at_once} at once."
        )
        if load.killed:
            console.print(
                f"  Killed after {seen.posted:,} were posted and {seen.in_doubt} were under way; {seen.repeated} of "
                f"those had arrived and were sent again under their old key. The run after it made "
                f"{seen.second_calls:,} Xero calls, {seen.second_writes:,} of them writes. Simulated time of both "
                f"{seen.seconds:,.0f} s; the limit alone takes {seen.floor:,.0f} s, and up to 120 s the dead "
                "process's places are kept."
            )
        else:
            console.print(
                f"  Simulated time {seen.seconds:,.0f} s; the limit alone takes {seen.floor:,.0f} s (ratio "
                f"{seen.seconds / seen.floor:.2f}). {seen.tasks} tasks, {seen.cpu:.0f} s CPU in the client."
            )
    console.print("One run each, plain calls; the clock leaps over waiting, and the client's CPU seconds pass on it.")


def _print_paid(console: Console, paid: Paid) -> None:
    console.print(
        f"{paid.payments:,} payments on as many approved invoices: {paid.writes} writes to Xero (one for each 50 is "
        f"{-(-paid.payments // BATCH)}), {paid.reads} reads (the invoices, 50 in a call, and the lock date once: "
        f"{paid.fewest_reads}), {paid.rows_read:,} reads of payments and {paid.lists_read} pages of lists in "
        f"ConnectWise; {paid.wall:.1f} s, {paid.cpu:.1f} s CPU, both simulated systems included. The idle cycle after "
        f"it: {paid.idle_connectwise} pages of lists in ConnectWise, {paid.idle_xero} calls to Xero."
    )


def _print_ordered(console: Console, ordered: list[Ordered]) -> None:
    table = Table(title=f"{ordered[0].orders:,} open purchase orders, full_lifecycle", title_justify="left")
    for name in ("cycle", "CW calls", "writes : fewest", "reads of Xero", "wall s", "CPU s"):
        table.add_column(name, justify="left" if name in ("cycle", "reads of Xero") else "right")
    for cycle in ordered:
        reads = ", ".join(f"{count} {name.removeprefix('GET ')}" for name, count in cycle.reads.items())
        table.add_row(
            cycle.name,
            f"{cycle.connectwise:,}",
            f"{sum(cycle.writes.values())} : {cycle.fewest_writes}",
            reads or "none",
            f"{cycle.wall:.1f}",
            f"{cycle.cpu:.1f}",
        )
    console.print(table)
    console.print("One run; the lines of each open order are a call to ConnectWise. Seconds include both systems.")


def _cells(figures: Figures, base: Figures | None) -> list[str]:
    return [
        f"{figures.connectwise:.0f}",
        f"{figures.xero:.0f}",
        f"{figures.writes:.0f}",
        f"{figures.wall:.2f}",
        f"{figures.cpu:.2f}",
        f"{figures.cpu_of_process:.2f}",
        f"{figures.peak / 1e6:.0f}",
        f"{figures.wall / base.wall:.2f}" if base else "",
        f"{figures.cpu / base.cpu:.2f}" if base else "",
    ]


def _as_json(
    medians: dict[Case, Figures], found: dict[Case, list[Figures]], limits: dict[str, float] | None
) -> dict[str, Any]:
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "conditions": conditions(),
        "cases": [
            asdict(case) | {"median": asdict(medians[case]), "runs": [asdict(run) for run in runs]}
            for case, runs in found.items()
        ],
        "limits": limits,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
