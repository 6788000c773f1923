"""A purchase report as a terminal shows it, as CSV for a spreadsheet, and as JSON."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.statements import cell
from mappings.reports import NUMBERS, TOTALS, Report, Row


def report(console: Console, given: Report) -> None:
    """A line per row, and below them what to do."""
    if not given.rows:
        console.print(f"{given.name}: nothing to show.")
        return
    console.print(_table(given.columns, given.rows))
    if given.totals:
        console.print("\nBy customer and order (without an order: all of the customer's)")
        console.print(_table(TOTALS[given.name], given.totals))
    for note in given.notes:
        console.print(f"\n{note}", markup=False, soft_wrap=True, style="green")


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in columns))
    return table


def as_json(given: Report) -> dict[str, Any]:
    """`report --json`; money as strings (contract, section 5). Totals and notes where a report has totals."""
    return {
        "report": given.name,
        "columns": list(given.columns),
        "rows": [{name: row[name] for name in given.columns} for row in given.rows],
    } | ({"totals": [dict(row) for row in given.totals], "notes": list(given.notes)} if given.name in TOTALS else {})


def write_csv(path: Path, given: Report) -> None:
    """The rows for a spreadsheet; no cell is a formula. Raises OSError."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(given.columns)
        writer.writerows([cell(row[name]) for name in given.columns] for row in given.rows)
