"""The tie-out statement as people read it in the Prefect UI: a table of its rows, and a summary with the records."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from mappings.money import plain
from mappings.reconcile import Difference, Kind, Row, Statement, Tally
from tasks.reports import artifact_key, escaped

MOST_RECORDS = 100
"""Records in the summary, most money first; `tieout reconcile --csv` has them all."""


class Stating:
    """A statement to be shown. (A plain class: Prefect does not look inside.)"""

    def __init__(self, installation: str, statement: Statement) -> None:
        self.installation = installation
        self.statement = statement


@task(task_run_name="show statement", cache_policy=NO_CACHE, persist_result=False)
def show_statement(batch: Stating) -> None:
    """Create the artifacts of a statement; their keys stay, so that the UI has the months side by side."""
    given = batch.statement
    key = artifact_key(batch.installation, f"reconcile-{given.family}")
    words = f"{given.family} dated {given.period.start} to {given.period.end}"
    create_table_artifact(
        key=f"{key}-statement", table=statement_table(given), description=f"Tie-out of {words}. {given.verdict}"
    )
    create_markdown_artifact(key=f"{key}-summary", markdown=statement_summary(given), description="Summary")


def statement_table(given: Statement) -> list[dict[str, str | int]]:
    """The rows of the UI's table; money is text, and every name of a difference that occurs has a column."""
    kinds = [kind for kind in Kind if any(kind in row.named for row in given.rows)]
    return [
        {
            "organisation": row.heading.organisation,
            "currency": row.heading.currency,
            "month": row.heading.month,
            "in ConnectWise": row.connectwise.count,
            "ConnectWise": plain(row.connectwise.amount),
            **{kind.words: _cell(row.named.get(kind)) for kind in kinds},
            "in Xero": row.xero.count,
            "Xero": plain(row.xero.amount),
            "unexplained": _cell(row.unexplained),
        }
        for row in given.rows
    ]


def _cell(tally: Tally | None) -> str:
    return f"{plain(tally.amount)} ({tally.count})" if tally is not None else ""


def statement_summary(given: Statement) -> str:
    """The markdown summary: the verdict, the sums of each row, and the records of every difference with their links."""
    lines = [
        f"# Tie-out of {given.family.replace('_', ' ')}",
        "",
        f"Dated {given.period.start} to {given.period.end}. **{escaped(given.verdict)}**",
        "",
        "Money, and behind it the number of documents.",
        "",
        "| organisation | month | ConnectWise | differences | | Xero | unexplained |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for row in given.rows:
        lines += _row(row)
    lines += _listed("No cause could be shown", given.unexplained)
    lines += _listed("Differences", given.differences)
    if given.unreadable:
        named_ones = escaped(", ".join(given.unreadable[:MOST_RECORDS]))
        lines += [
            "",
            f"{len(given.unreadable)} of ConnectWise's records cannot be read and are not counted: {named_ones}",
        ]
    return "\n".join(lines)


def _row(row: Row) -> list[str]:
    """A month on one line; further names of differences are on lines of their own below it."""
    heading = row.heading
    named = [(kind.words, _shown(tally)) for kind, tally in row.named.items()]
    (name, amount), *more = named or [("", "")]
    shown = [_shown(row.connectwise), name, amount, _shown(row.xero), f"**{_shown(row.unexplained)}**"]
    # A narrow column would break a month at its hyphen, and an amount before its count.
    month = heading.month.replace("-", "\u2011")
    cells = [escaped(f"{heading.organisation} {heading.currency}".strip()), month, *shown]
    lines = [cells, *(["", "", "", each, money, "", ""] for each, money in more)]
    return [f"| {' | '.join(each)} |" for each in lines]


def _shown(tally: Tally) -> str:
    return f"{tally.amount:,.2f}\u00a0({tally.count})" if tally.count else f"{tally.amount:,.2f}"


def _listed(title: str, found: Sequence[Difference]) -> list[str]:
    if not found:
        return []
    lines = ["", f"## {title}", ""]
    for each in found[:MOST_RECORDS]:
        links = [("ConnectWise", each.connectwise_url), ("Xero", each.xero_url)]
        shown = " ".join(f"[{name}]({url})" for name, url in links if url)
        named = ", ".join(filter(None, (each.kind.words if each.kind else "", escaped(each.reason))))
        lines.append(
            f"* **{escaped(each.reference)}** {plain(each.amount)} {each.heading.currency}, "
            f"{escaped(each.heading.organisation)} {each.heading.month}"
            + (f" ({named})" if named else "")
            + f": {escaped(' '.join(each.message.split()))} {shown}".rstrip()
        )
    if len(found) > MOST_RECORDS:
        lines.append(f"* and {len(found) - MOST_RECORDS} more; `tieout reconcile --csv` has them all.")
    return lines
