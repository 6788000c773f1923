"""What commands print: tables in a terminal, plain lines where the output is piped, JSON where it is asked for."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.outcomes import Outcome

WIDE = 160
"""Columns where the output goes into a pipe or a file, and nobody's window is to be filled."""


def out() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def err() -> Console:
    """Where progress and problems go."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else WIDE, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


@contextmanager
def progress(quiet: bool) -> Iterator[None]:
    """Show what a cycle says while it runs: one moving line in a terminal, plain lines in a pipe."""
    if quiet:
        yield
        return
    console = err()
    logger = logging.getLogger("prefect.flow_runs")
    if console.is_terminal:
        with console.status("starting") as status:
            handler = _Saying(lambda text: status.update(escape(text)))
            logger.addHandler(handler)
            try:
                yield
            finally:
                logger.removeHandler(handler)
        return
    handler = _Saying(lambda text: console.print(escape(text)))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Saying(logging.Handler):
    """Passes on what the cycle itself says; warnings about single records come in the tables afterwards."""

    def __init__(self, say: Any) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.INFO and not getattr(record, "from_prefect", False):
            text = record.getMessage()
            if not text.startswith(("Beginning flow run", "Finished in state", "View at ")):
                self._say(text)


def families(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per family: what became of its records, calls and seconds."""
    table = Table(title=None, box=None, pad_edge=False)
    for name in (
        "family",
        "read",
        *(outcome.value for outcome in Outcome),
        "ConnectWise calls",
        "Xero calls",
        "seconds",
    ):
        table.add_column(name, justify="left" if name == "family" else "right")
    for row in rows:
        table.add_row(
            row["family"],
            str(row["read"]),
            *(str(row[outcome.value]) for outcome in Outcome),
            str(row["calls"]["connectwise"]),
            str(row["calls"]["xero"]),
            f"{row['seconds']:.1f}",
        )
    console.print(table)
    for row in rows:
        if row.get("failed"):
            console.print(f"[red]{row['family']} failed:[/red] {escape(row['failed'])}")


def exceptions(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """What is held, why, and what to do: a short paragraph each, since the cure may hold a line to be pasted."""
    if not found:
        console.print("Nothing is held.")
        return
    console.print(f"[bold]{len(found)} held[/bold], with what to do about each:")
    for each in found:
        name = each["reference"] or f"id:{each['connectwise_id']}"
        facts = [each["organisation"], f"{each['amount']} {each['currency']}".strip(), each["reason"]]
        if each["outcome"] != "held":
            facts.append(each["outcome"])
        console.print(f"\n[bold]{escape(name)}[/bold]  [dim]{escape(' · '.join(fact for fact in facts if fact))}[/dim]")
        console.print(_indented(each["message"]), markup=False, soft_wrap=True)
        console.print(_indented(each["fix"]), markup=False, soft_wrap=True, style="green")


def _indented(text: str) -> str:
    """Two blanks in front of each line; a line of a table in it must not be broken, so nothing is wrapped here."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def plan(console: Console, given: Mapping[str, Any]) -> None:
    """The dry run: every write, the money per account, and what would be held."""
    table = Table(box=None, pad_edge=False)
    for name in ("action", "document", "reference", "organisation", "total"):
        table.add_column(name, justify="right" if name == "total" else "left")
    for write in given["writes"]:
        table.add_row(
            write["action"], write["document"], escape(write["reference"]), escape(write["organisation"]),
            f"{write['total']} {write['currency']}",
        )  # fmt: skip
    if given["writes"]:
        console.print(table)
        accounts = Table(box=None, pad_edge=False)
        for name in ("organisation", "account", "net", "tax"):
            accounts.add_column(name, justify="right" if name in ("net", "tax") else "left")
        for row in given["accounts"]:
            accounts.add_row(escape(row["organisation"]), row["account_code"], row["net"], row["tax"])
        console.print(accounts)
    console.print(
        f"{len(given['writes'])} to write, {given['unchanged']} unchanged, {len(given['holds'])} would be held. "
        f"Plan {given['plan_id'][:12]}; nothing was written."
    )
    if given["holds"]:
        exceptions(console, given["holds"])
