"""`python -m tests.benchmarks`: what a cycle of ours costs, beside a bare loop that does the same work, and what
mapping alone costs, with short and with long tables.

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

from tests.benchmarks import processes
from tests.benchmarks.client import Cost, Task
from tests.benchmarks.mapping import CHUNK, Speed, Work
from tests.benchmarks.world import Size

KINDS = {"bare": "bare loop", "plain": "ours, plain calls", "prefect": "ours, Prefect flow"}
CYCLES = ("first", "idle")
SLOW = (0.05, 0.15)
NONE = (0.0, 0.0)
PER_MINUTE = 60
TABLE_ROWS = (10, 1_000, 100_000)
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
        sizes.append(Size(50_000))
    found: dict[Case, list[Figures]] = {}
    speeds = _mapping_alone(asked.mapping, console) if asked.mapping else {}
    limits: dict[str, float] | None = None
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name, ExitStack() as running:
        folder = Path(name)
        if sizes or asked.limits:
            running.enter_context(processes.prefect_server(folder))
        for size in sizes:
            repeats = 1 if size.invoices > 5_000 else asked.repeat
            books: dict[str, str] = {}
            for turn in range(repeats):
                # Each begins in turn, so that none profits from its place.
                for kind in [*asked.kinds[turn % len(asked.kinds) :], *asked.kinds[: turn % len(asked.kinds)]]:
                    _progress(console, size, kind, turn, repeats)
                    for case, figures in _round(size, kind, folder, books):
                        found.setdefault(case, []).append(figures)
            if len(set(books.values())) > 1:
                raise BooksDiffer(f"the books of {', '.join(books)} differ at {size}")
        if asked.limits:
            limits = _under_limits(folder, console)
    medians = {case: _median(all_of) for case, all_of in found.items()}
    if medians or limits:
        _print(console, medians, {case: len(all_of) for case, all_of in found.items()}, limits)
    if speeds:
        _print_mapping(console, speeds)
    if asked.json:
        told = _as_json(medians, found, limits) | {"mapping": [asdict(work) | asdict(speeds[work]) for work in speeds]}
        Path(asked.json).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--invoices", type=int, nargs="*", default=[500, 5_000], help="how many in each world")
    parser.add_argument("--mapping", type=int, default=50_000, help="how many to map in memory; 0 leaves that out")
    parser.add_argument("--large", action="store_true", help="also 50,000 invoices, once, without latency")
    parser.add_argument("--limits", action="store_true", help="also 5,000 under 60 calls a minute (takes minutes)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case; the table shows medians")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only these competitors")
    parser.add_argument("--json", metavar="FILE", help="write every figure of every run")
    return parser


def _progress(console: Console, size: Size, kind: str, turn: int, repeats: int) -> None:
    if console.is_terminal:
        console.print(f"{_situation(size)}: {KINDS[kind]} ({turn + 1} of {repeats})", style="dim")
    else:
        print(f"{_situation(size)}: {KINDS[kind]} ({turn + 1} of {repeats})", file=sys.stderr, flush=True)


def _round(size: Size, kind: str, folder: Path, books: dict[str, str]) -> list[tuple[Case, Figures]]:
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
            cost, cpu = processes.measured(kind, task, Path(own))
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


def _mapping_alone(records: int, console: Console) -> dict[Work, Speed]:
    """The same records with tables of each length, in a process each; longer tables must not change a document."""
    speeds: dict[Work, Speed] = {}
    for new in VALUES:
        for rows in TABLE_ROWS:
            if console.is_terminal:
                console.print(f"mapping {records:,} invoices with tables of {rows:,} rows", style="dim")
            else:
                print(f"mapping {records:,} invoices with tables of {rows:,} rows", file=sys.stderr, flush=True)
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
