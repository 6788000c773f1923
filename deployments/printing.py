"""What commands print: tables in a terminal, plain lines where the output is piped, JSON where it is asked for."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mappings.money import plain
from mappings.outcomes import Outcome
from mappings.table_checks import Severity

if TYPE_CHECKING:
    from flows.checking import Checked
    from mappings.coverage import Uncovered
    from mappings.suggestions import Suggestion

WIDE = 160
"""Columns where the output goes into a pipe or a file, and nobody's window is to be filled."""
MOST_VALUES = 5
"""Values that are named under one suggested line; a catalogue may have hundreds."""


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
    """The dry run: every write, edits field by field, the money per account, and what would be held."""
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
        for write in given["writes"]:
            _changes(console, write)
        accounts = Table(box=None, pad_edge=False)
        for name in ("organisation", "account", "net", "tax"):
            accounts.add_column(name, justify="right" if name in ("net", "tax") else "left")
        for row in given["accounts"]:
            accounts.add_row(escape(row["organisation"]), row["account_code"], row["net"], row["tax"])
        if given["accounts"]:
            console.print()
            console.print(accounts)
        console.print()
        for each in given["calls"]:
            told = f"{counted(each['writes'], 'write')} to and {counted(each['reads'], 'read')} of Xero."
            console.print(f"{escape(each['organisation'])}: {told}")
    console.print(
        f"{len(given['writes'])} to write, {given['unchanged']} unchanged, {len(given['holds'])} would be held. "
        f"Plan {given['plan_id'][:12]}; nothing was written."
    )
    if given["braked"]:
        console.print(
            f"[bold]The brake would hold {len(given['braked'])} of them[/bold] in an ordinary cycle; "
            "`tieout sync --plan FILE` or --allow-many releases them."
        )
    if given["holds"]:
        console.print()
        exceptions(console, given["holds"])


def _changes(console: Console, write: Mapping[str, Any]) -> None:
    """What an edit changes, field by field, and what stays as a person made it; a new document is all new."""
    if write["action"] != "update":
        return
    console.print(f"\n[bold]{escape(write['reference'])}[/bold]  [dim]{escape(write['organisation'])}[/dim]")
    for field in write["fields"]:
        console.print(f"  {_field(field)}", markup=False, soft_wrap=True)
    for field in write["kept"]:
        console.print(f"  stays as changed in Xero: {_field(field)}", markup=False, soft_wrap=True, style="dim")


def _field(field: Mapping[str, Any]) -> str:
    return " ".join(f"{field['name']}: {field['from'] or '(none)'} -> {field['to'] or '(none)'}".split())


def check(console: Console, checked: Checked) -> None:
    """What is wrong with the tables, by file and row; then each value that no row covers, with what waits for it."""
    for file, found in groupby(checked.findings, key=lambda one: one.file):
        console.print(f"[bold]{file}[/bold]")
        for each in found:
            place = f"row {each.row}, {each.column}" if each.row else each.column
            facts = [place, each.organisation, "note" if each.severity is Severity.NOTE else ""]
            console.print(f"  {escape(' · '.join(filter(None, facts)))}")
            console.print(_indented(_indented(each.message)), markup=False, soft_wrap=True)
            console.print(_indented(_indented(each.fix)), markup=False, soft_wrap=True, style="green")
        console.print()
    problems = sum(each.severity is Severity.PROBLEM for each in checked.findings)
    notes = len(checked.findings) - problems
    console.print(f"Rows: {counted(problems, 'problem')}, {counted(notes, 'note')}.")
    looked = f"{counted(checked.records, 'record')} dated {checked.since} or later"
    if not checked.uncovered:
        console.print(f"Coverage: {looked}, every value covered.")
        return
    console.print(f"Coverage: {looked}, {counted(len(checked.uncovered), 'value')} not covered.")
    for value in checked.uncovered:
        _uncovered(console, value)
    console.print("\n`tieout mappings suggest` shows the lines to paste, filled in as far as the names in Xero allow.")


def _uncovered(console: Console, given: Uncovered) -> None:
    name = given.value or "(blank)"
    console.print(f"\n[bold]{escape(name)}[/bold]  [dim]{escape(_waiting(given))}[/dim]")
    console.print(_indented(given.message), markup=False, soft_wrap=True)
    console.print(_indented(given.fix), markup=False, soft_wrap=True, style="green")


def _waiting(given: Uncovered) -> str:
    """What waits for a value: 'Sydney · missing_account · 2 records · 93.06 AUD'."""
    money = " + ".join(f"{plain(amount)} {currency}".strip() for currency, amount in given.amounts.items())
    return " · ".join(filter(None, [given.organisation, given.reason.value, counted(given.records, "record"), money]))


def suggestions(console: Console, checked: Checked) -> None:
    """Lines to paste, a block per file that can be copied as it stands, and below it what each of them is about."""
    if not checked.uncovered:
        console.print(f"{counted(checked.records, 'record')}, every value covered: nothing to paste.")
        return
    for file, found in groupby(sorted(checked.suggestions, key=lambda one: one.file), key=lambda one: one.file):
        by_line: dict[str, list[Suggestion]] = {}
        for each in found:
            by_line.setdefault(each.line, []).append(each)
            header = each.header
        console.print(f"[bold]{file}[/bold], columns {escape(header)}:", soft_wrap=True)
        for line in by_line:
            console.print(line, markup=False, soft_wrap=True, style="green")
        for alike in by_line.values():
            _suggested(console, alike)
        console.print()
    for value in _without_line(checked):
        _uncovered(console, value)
    console.print("Look each line over: a near name may be another thing. Nothing was written.")


def _suggested(console: Console, alike: Sequence[Suggestion]) -> None:
    """What one line is about: the values that it would cover, and what in Xero is nearest to the first of them."""
    for each in alike[:MOST_VALUES]:
        console.print(f"  {escape(each.uncovered.value or '(blank)')}  [dim]{escape(_waiting(each.uncovered))}[/dim]")
    if len(alike) > MOST_VALUES:
        console.print(f"  and {counted(len(alike) - MOST_VALUES, 'more value')}")
    nearest = "; ".join(f"{one.name} {one.score}" for one in alike[0].candidates)
    if nearest:
        console.print(f"    nearest in Xero (of 100): {nearest}", markup=False, soft_wrap=True)


def _without_line(checked: Checked) -> list[Uncovered]:
    """What is put right elsewhere: in a row that is there already, in Xero, in ConnectWise."""
    return [each for each in checked.uncovered if not any(one.uncovered is each for one in checked.suggestions)]


def check_as_json(checked: Checked) -> dict[str, Any]:
    """`mappings check --json`."""
    return {
        "problems": [
            {
                "severity": each.severity.value,
                "file": each.file,
                "row": each.row,
                "column": each.column,
                "organisation": each.organisation,
                "message": each.message,
                "fix": each.fix,
            }
            for each in checked.findings
        ],
        "coverage": [_uncovered_as_json(each) for each in checked.uncovered],
        "records": checked.records,
    }


def suggestions_as_json(checked: Checked) -> dict[str, Any]:
    """`mappings suggest --json`; `without_line` are values whose cure is not a line to paste."""
    return {
        "suggestions": [
            {
                "file": each.file,
                "header": each.header,
                "line": each.line,
                **_uncovered_as_json(each.uncovered),
                "candidates": [
                    {"name": one.name, "score": one.score, "cells": dict(one.cells)} for one in each.candidates
                ],
            }
            for each in checked.suggestions
        ],
        "without_line": [_uncovered_as_json(each) for each in _without_line(checked)],
    }


def _uncovered_as_json(given: Uncovered) -> dict[str, Any]:
    return {
        "reason": given.reason.value,
        "value": given.value,
        "organisation": given.organisation,
        "records": given.records,
        "amounts": {currency: plain(amount) for currency, amount in given.amounts.items()},
        "fix": given.fix,
    }


def counted(number: int, what: str) -> str:
    """'1 call', '2 calls'."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def outcome(console: Console, each: Mapping[str, Any]) -> None:
    """How a record ended in one cycle, and which rows of the tables decided it."""
    parts = [each["organisation"], f"{each['amount']} {each['currency']}".strip(), each["reason"], each["message"]]
    told = " · ".join(part for part in parts if part)
    console.print(f"{each['at']}  {each['reference']} {each['outcome']}  {told}", markup=False)
    for row in each["rows"]:
        console.print(f"    {row}", markup=False)
