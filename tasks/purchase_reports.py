"""A purchase report as people read it in the Prefect UI: a table; with totals also a page with a chart and those."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from mappings.charts import chart_of
from mappings.reports import NUMBERS, TOTALS, Cell, Report
from tasks.reports import artifact_key

MOST_NOTES = 20
"""Sentences about what to do that stand above the table; the command has all."""
MOST_TOTALS = 500
"""Rows of totals on a page; the command has all."""


class Showing:
    """A report to be shown. (A plain class: Prefect does not look inside.)"""

    def __init__(self, installation: str, report: Report) -> None:
        self.installation = installation
        self.report = report


@task(task_run_name="show report", cache_policy=NO_CACHE, persist_result=False)
def show_report(batch: Showing) -> None:
    """Create the artifacts of a report; their keys stay, so that the UI has the weeks side by side."""
    given = batch.report
    create_table_artifact(
        key=artifact_key(batch.installation, f"report-{given.name}"),
        table=[{name: row[name] for name in given.columns} for row in given.rows],
        description=" ".join([f"{given.name}: {len(given.rows)} rows.", *given.notes[:MOST_NOTES]]),
    )
    if given.name in TOTALS:
        create_markdown_artifact(
            key=artifact_key(batch.installation, f"report-{given.name}-totals"),
            markdown=page_of(given),
            description=f"{given.name}: chart, and totals by customer and order",
        )


def page_of(given: Report) -> str:
    """The page of a report with totals: chart, sentences, and the totals by customer and order."""
    chart = chart_of(given)
    # The UI shows no Mermaid, and pictures as data.
    picture = f"![{given.name}](data:image/svg+xml;base64,{b64encode(chart.encode()).decode()})" if chart else ""
    columns = TOTALS[given.name]
    shown = given.totals[:MOST_TOTALS]
    table = _table(columns, shown) if shown else "Nothing to show."
    more = f"and {len(given.totals) - MOST_TOTALS} more" if len(given.totals) > MOST_TOTALS else ""
    notes = "\n".join(f"* {_cell(note)}" for note in given.notes[:MOST_NOTES])
    return "\n\n".join(filter(None, [f"# {given.name}", picture, notes, "## By customer and order", table, more]))


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> str:
    head = f"| {' | '.join(columns)} |"
    rule = f"|{'|'.join('---:' if name in NUMBERS else '---' for name in columns)}|"
    lines = (f"| {' | '.join(_shown(name, row) for name in columns)} |" for row in rows)
    return "\n".join([head, rule, *lines])


def _shown(name: str, row: Mapping[str, Cell]) -> str:
    if name == "po_number" and not row[name]:
        return "**all orders**"
    return _cell(row[name])


def _cell(value: Cell) -> str:
    """Text that no table or markup takes for its own."""
    text = " ".join(str("" if value is None else value).split())
    for sign in ("\\", "|", "*", "_", "`", "<", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return text
