"""A purchase report as a terminal shows it, as CSV for a spreadsheet, and as JSON."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.statements import cell
from mappings.reports import MONEY, Report


def report(console: Console, given: Report) -> None:
    """A line per row, and below them what to do."""
    if not given.rows:
        console.print(f"{given.name}: nothing to show.")
        return
    table = Table(box=None, pad_edge=False)
    for name in given.columns:
        table.add_column(name, justify="right" if name in MONEY else "left", overflow="fold")
    for row in given.rows:
        table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in given.columns))
    console.print(table)
    for note in given.notes:
        console.print(f"\n{note}", markup=False, soft_wrap=True, style="green")


def as_json(given: Report) -> dict[str, Any]:
    """`report --json`; money as strings (contract, section 5)."""
    return {
        "report": given.name,
        "columns": list(given.columns),
        "rows": [{name: row[name] for name in given.columns} for row in given.rows],
    }


def write_csv(path: Path, given: Report) -> None:
    """The rows for a spreadsheet; no cell is a formula. Raises OSError."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(given.columns)
        writer.writerows([cell(row[name]) for name in given.columns] for row in given.rows)
