"""What people read of a cycle in the Prefect UI: a table of outcomes, a summary, and progress while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from blocks.audit import runs
from mappings.outcomes import Outcome
from tasks.cycle import Cycle

MOST_ROWS = 1000
"""Rows of the outcome table; exceptions come first, the audit has them all."""


class Reporting:
    """A finished cycle to be reported. (A plain class: Prefect does not look inside.)"""

    def __init__(
        self, cycle: Cycle, exceptions: Sequence[Mapping[str, Any]], seconds: float, findings: Sequence[str] = ()
    ) -> None:
        self.cycle = cycle
        self.exceptions = exceptions
        self.seconds = seconds
        self.findings = findings


@task(task_run_name="report", cache_policy=NO_CACHE, persist_result=False)
def report(batch: Reporting) -> None:
    """Create the artifacts of a cycle."""
    cycle = batch.cycle
    rows = runs.outcomes_of(cycle.doors.audit, cycle.run_id, MOST_ROWS)
    key = artifact_key(cycle.doors.installation, cycle.family)
    create_table_artifact(
        key=f"{key}-outcomes",
        table=[outcome_row(row) for row in rows],
        description=f"Outcomes of {cycle.family}, those that need people first."
        + (f" The first {MOST_ROWS}; `tieout audit --run {cycle.run_id}` has all." if len(rows) == MOST_ROWS else ""),
    )
    create_markdown_artifact(key=f"{key}-summary", markdown=summary(batch), description="Summary")


def artifact_key(installation: str, family: str) -> str:
    """Artifact keys are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{installation}-{family}".lower()).strip("-")


def outcome_row(row: Mapping[str, Any]) -> dict[str, str | None]:
    """One outcome as a row of the UI's table; links are markdown, money is text."""
    return {
        "reference": row["reference"],
        "organisation": row["organisation"] or None,
        "outcome": row["outcome"],
        "reason": row["reason"] or None,
        "ConnectWise": f"[open]({row['connectwise_url']})" if row["connectwise_url"] else None,
        "Xero": f"[open]({row['xero_url']})" if row["xero_url"] else None,
        "amount": f"{row['amount']} {row['currency']}".strip() or None,
        # Last, because it is long and the table scrolls sideways.
        "what": row["message"] or None,
    }


def summary(batch: Reporting) -> str:
    """The markdown summary: counts, findings, what waits and for how much money, and the cure of each cause."""
    cycle, asked, exceptions = batch.cycle, batch.cycle.doors, batch.exceptions
    counts = ", ".join(
        f"{cycle.counts[outcome.value]} {outcome.value}" for outcome in Outcome if cycle.counts[outcome.value]
    )
    lines = [
        f"# {cycle.family.replace('_', ' ').capitalize()}",
        "",
        f"{cycle.counts['read']} records read: {counts or 'nothing to do'}.",
        "",
        f"{asked.connectwise.calls} calls to ConnectWise, {asked.xero.calls} to Xero, {batch.seconds:.1f} s.",
        "",
        f"Run `{cycle.run_id}`.",
        *(f"\n**{escaped(finding)}**" for finding in batch.findings),
    ]
    if exceptions:
        lines += ["", "## What waits", "", "| reason | records | money |", "|---|---|---|"]
        lines += [f"| {reason} | {count} | {money} |" for reason, count, money in waiting_by_reason(exceptions)]
        lines += ["", "## What to do", ""]
        for each in exceptions[:100]:
            fix = escaped(str(each["fix"])).replace("\n", "<br>")
            lines.append(
                f"* **{escaped(str(each['reference']))}** ({each['reason']}): {escaped(str(each['message']))} {fix}"
            )
    return "\n".join(lines)


def waiting_by_reason(exceptions: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    """How many records wait for each reason, and how much money, per currency."""
    if not exceptions:
        return []
    frame = pd.DataFrame(
        {
            "reason": [each["reason"] for each in exceptions],
            "currency": [each["currency"] for each in exceptions],
            # Hundredths as whole numbers: a sum of floats is no sum of money.
            "cents": [_cents(str(each["amount"])) for each in exceptions],
        }
    )
    grouped = frame.groupby(["reason", "currency"], sort=True)["cents"].agg(["size", "sum"]).reset_index()
    found: dict[str, tuple[int, list[str]]] = {}
    for reason, currency, size, cents in grouped.itertuples(index=False, name=None):
        count, money = found.get(reason, (0, []))
        amount = f"{'-' if cents < 0 else ''}{abs(int(cents)) // 100:,}.{abs(int(cents)) % 100:02} {currency}"
        # A record that could not be read has no currency, and its amount is not known.
        found[reason] = (count + int(size), [*money, amount if currency else "unknown"])
    return [(reason, count, ", ".join(money)) for reason, (count, money) in found.items()]


def _cents(amount: str) -> int:
    return int((Decimal(amount or "0") * 100).to_integral_value())


def escaped(text: str) -> str:
    """Text that is no markdown."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


class Progress:
    """The progress artifact of a flow run: shown in the run's graph while it runs."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._id: Any = None
        self._told = 0.0

    def at(self, done: int, known: int) -> None:
        """`done` of `known` records have an outcome: told at most once a second."""
        now = time.monotonic()
        if known and now - self._told >= 1:
            self._told = now
            self._tell(min(100.0, 100.0 * done / known))

    def end(self) -> None:
        """All of them have one."""
        self._tell(100.0)

    def _tell(self, percent: float) -> None:
        if self._id is None:
            self._id = create_progress_artifact(percent, description=f"{self._family}: records with an outcome")
        else:
            update_progress_artifact(self._id, percent)
