"""A purchase report as people read it in the Prefect UI: a table."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from mappings.reports import Report
from tasks.reports import artifact_key

MOST_NOTES = 20
"""Sentences about what to do that stand above the table; the command has all."""


class Showing:
    """A report to be shown. (A plain class: Prefect does not look inside.)"""

    def __init__(self, installation: str, report: Report) -> None:
        self.installation = installation
        self.report = report


@task(task_run_name="show report", cache_policy=NO_CACHE, persist_result=False)
def show_report(batch: Showing) -> None:
    """Create the artifact of a report; its key stays, so that the UI has the weeks side by side."""
    given = batch.report
    create_table_artifact(
        key=artifact_key(batch.installation, f"report-{given.name}"),
        table=[{name: row[name] for name in given.columns} for row in given.rows],
        description=" ".join([f"{given.name}: {len(given.rows)} rows.", *given.notes[:MOST_NOTES]]),
    )
