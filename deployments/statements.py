"""The tie-out statement as a terminal shows it, as CSV for a spreadsheet, and as JSON."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.money import plain
from mappings.reconcile import Difference, Heading, Row, Statement, Tally

MOST = 20
"""Differences that are shown below a statement; the CSV has all."""
COLUMNS = (
    "family", "organisation", "currency", "month", "line", "reason", "count", "amount", "reference", "connectwise_id",
    "xero_id", "message", "connectwise_url", "xero_url",
)  # fmt: skip
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def statement(console: Console, given: Statement) -> None:
    """A block per organisation and currency, a line per month with its differences; below it which records they are."""
    title = (
        "Bills of purchase orders" if given.family == "purchase_orders" else given.family.replace("_", " ").capitalize()
    )
    console.print(f"[bold]{title} dated {given.period.start} to {given.period.end}[/bold]")
    if given.rows:
        console.print(_table(given.rows))
    else:
        console.print("Nothing on either side.")
    _listed(console, "Unexplained, and no cause could be shown:", given.unexplained)
    _listed(console, "Differences, most money first:", given.differences)
    if given.unreadable:
        named = ", ".join(given.unreadable[:MOST]) + (" ..." if len(given.unreadable) > MOST else "")
        words = f"{len(given.unreadable)} of ConnectWise's records cannot be read and are not counted: {named}."
        console.print(words, markup=False, soft_wrap=True)
    console.print(f"\n[{'green' if given.tied_out else 'red'}]{escape(given.verdict)}[/]", soft_wrap=True)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for name in ("ConnectWise", "differences", "Xero", "unexplained"):
        table.add_column("", justify="right")
        table.add_column(name, justify="right", no_wrap=True)
    for (organisation, currency), months in groupby(
        rows, key=lambda row: (row.heading.organisation, row.heading.currency)
    ):
        table.add_row(f"[bold]{escape(' '.join(filter(None, (organisation, currency))))}[/bold]")
        for row in months:
            named = sum(row.named.values(), Tally())
            table.add_row(
                row.heading.month, *_cells(row.connectwise), *(_cells(named) if row.named else ("", "")),
                *_cells(row.xero), *_cells(row.unexplained), style="" if not row.unexplained else "red",
            )  # fmt: skip
            for kind, tally in row.named.items():
                table.add_row(f"  {kind.words}", "", "", *_cells(tally), style="dim")
    return table


def _cells(tally: Tally) -> tuple[str, str]:
    """A count ('' for none: moved money alone) and an amount with its thousands apart."""
    return str(tally.count or ""), f"{tally.amount:,.2f}"


def _listed(console: Console, title: str, found: Sequence[Difference]) -> None:
    if not found:
        return
    console.print(f"\n{title}")
    for each in found[:MOST]:
        name = each.reference or f"id:{each.connectwise_id}"
        facts = [
            each.kind.words if each.kind else "",
            each.reason,
            f"{plain(each.amount)} {each.heading.currency}".strip(),
            each.heading.organisation,
            each.heading.month,
        ]
        shown = " · ".join(fact for fact in facts if fact)
        console.print(f"  [bold]{escape(name)}[/bold]  [dim]{escape(shown)}[/dim]", soft_wrap=True)
        console.print(f"    {' '.join(each.message.split())}", markup=False, soft_wrap=True)
    if len(found) > MOST:
        console.print(f"  and {len(found) - MOST} more; --csv has them all.")


# For other programs


def as_json(statements: Sequence[Statement]) -> dict[str, Any]:
    """`reconcile --json`; money as strings."""
    return {
        "tied_out": all(each.tied_out for each in statements),
        "families": [
            {
                "family": each.family,
                "from": each.period.start.isoformat(),
                "to": each.period.end.isoformat(),
                "rows": [
                    {
                        **_heading(row.heading),
                        "connectwise": _tally(row.connectwise),
                        "differences": {kind.value: _tally(tally) for kind, tally in row.named.items()},
                        "xero": _tally(row.xero),
                        "unexplained": _tally(row.unexplained),
                    }
                    for row in each.rows
                ],
                "differences": [_difference(one) for one in each.differences],
                "unexplained": [_difference(one) for one in each.unexplained],
                "unreadable": list(each.unreadable),
            }
            for each in statements
        ],
    }


def _heading(given: Heading) -> dict[str, str]:
    return {"organisation": given.organisation, "currency": given.currency, "month": given.month}


def _tally(given: Tally) -> dict[str, Any]:
    return {"count": given.count, "amount": plain(given.amount)}


def _difference(given: Difference) -> dict[str, Any]:
    return {
        **_heading(given.heading),
        "kind": given.kind.value if given.kind else None,
        "reason": given.reason,
        "count": given.count,
        "amount": plain(given.amount),
        "reference": given.reference,
        "connectwise_id": given.connectwise_id,
        "xero_id": given.xero_id or None,
        "message": given.message,
        "connectwise_url": given.connectwise_url,
        "xero_url": given.xero_url,
    }


def write_csv(path: Path, statements: Sequence[Statement]) -> None:
    """One line per sum and per differing document, to be filtered or turned into a pivot table by `line`.

    The sums of a row are the lines `connectwise`, `xero` and `unexplained`; a difference stands under its name, a
    document without a cause under `of unexplained`. Raises OSError.
    """
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for given in statements:
            writer.writerows([cell(value) for value in line] for line in _lines(given))


def _lines(given: Statement) -> Iterator[tuple[object, ...]]:
    for row in given.rows:
        for name, tally in (("connectwise", row.connectwise), ("xero", row.xero), ("unexplained", row.unexplained)):
            yield (*_key(row.heading), name, "", tally.count, plain(tally.amount), *[""] * 6)
    for each in (*given.differences, *given.unexplained):
        yield (
            *_key(each.heading), each.kind.value if each.kind else "of unexplained", each.reason, each.count,
            plain(each.amount), each.reference, each.connectwise_id, each.xero_id, each.message, each.connectwise_url,
            each.xero_url,
        )  # fmt: skip


def _key(given: Heading) -> tuple[str, ...]:
    return given.family, given.organisation, given.currency, given.month


def cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula (contract, section 5)."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(text) else text
