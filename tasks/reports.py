"""What people read of a cycle in the Prefect UI: a table of outcomes, a summary, and progress while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
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
from blocks.doors import Doors
from mappings.kinds import PURCHASE_ORDER
from mappings.outcomes import Outcome
from tasks.cycle import Cycle

MOST_ROWS = 1000
"""Rows of the outcome table; exceptions come first, the audit has them all."""
MOST_LINKED = 100
"""Rows that the summary repeats with links."""


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
    create_markdown_artifact(
        key=f"{key}-summary",
        markdown=summary(batch) + linked_outcomes(rows[:MOST_LINKED]),
        description="Summary",
    )


class PlanReporting:
    """The plan of a dry run to be reported, in the shape of contract section 5."""

    def __init__(self, doors: Doors, family: str, plan: Mapping[str, Any]) -> None:
        self.doors = doors
        self.family = family
        self.plan = plan


@task(task_run_name="report the plan", cache_policy=NO_CACHE, persist_result=False)
def report_plan(batch: PlanReporting) -> None:
    """Create the artifacts of a dry run."""
    plan, link = batch.plan, batch.doors.site.link
    rows = [planned_row(each, link) for each in [*plan["holds"], *plan["writes"]][:MOST_ROWS]]
    key = artifact_key(batch.doors.installation, batch.family)
    create_table_artifact(
        key=f"{key}-plan",
        table=rows,
        description=f"What a cycle of {batch.family} would write or hold, those that need people first."
        + (f" The first {MOST_ROWS}; `tieout plan` has all." if len(rows) == MOST_ROWS else ""),
    )
    create_markdown_artifact(
        key=f"{key}-plan-summary", markdown=plan_summary(batch.family, plan, link), description="Plan"
    )


def artifact_key(installation: str, family: str) -> str:
    """Artifact keys are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{installation}-{family}".lower()).strip("-")


def outcome_row(row: Mapping[str, Any]) -> dict[str, str | None]:
    """One outcome as a row of the UI's table; links are markdown, money is text."""
    return {
        "reference": _reference(row),
        "organisation": row["organisation"] or None,
        "outcome": row["outcome"],
        "reason": row["reason"] or None,
        "amount": f"{row['amount']} {row['currency']}".strip() or None,
        # Prefect's newer UI shows a link as its bare text, which is wide.
        "ConnectWise": f"[open]({row['connectwise_url']})" if row["connectwise_url"] else None,
        "Xero": f"[open]({row['xero_url']})" if row["xero_url"] else None,
        # Last, because it is long and the table scrolls sideways.
        "what": " · ".join(text for text in (row["message"], *_decided_by(row)) if text) or None,
    }


def _reference(row: Mapping[str, Any]) -> str:
    """The number of a record; of one of several bills of an order with the receipt that it is for.

    An order's own document says that it is that: its bill may be called by the same number.
    """
    part = row.get("part") or (PURCHASE_ORDER.word if row.get("family") == PURCHASE_ORDER.family else "")
    return f"{row['reference']} / {part}" if part else str(row["reference"])


def _decided_by(row: Mapping[str, Any]) -> list[str]:
    """The rows of the signed lifecycle that fired, and its hash: finance wants to see them with each bill."""
    return [text for text in (row.get("rows_used") or "").splitlines() if text.startswith("lifecycle.csv")]


def linked_outcomes(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first outcomes in markdown, with links: Prefect's newer UI shows those of a table artifact as bare text."""
    if not rows:
        return ""
    lines = [
        "",
        "",
        "## Outcomes",
        "",
        "| reference | organisation | outcome | amount | | |",
        "|---|---|---|---:|---|---|",
    ]
    for row in rows:
        links = [
            f"[{name}](<{row[column]}>)" if row[column] else ""
            for name, column in (("ConnectWise", "connectwise_url"), ("Xero", "xero_url"))
        ]
        texts = [escaped(text) for text in (_reference(row), row["organisation"], row["outcome"])]
        cells = [*texts, f"{row['amount']} {row['currency']}".strip(), *links]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def planned_row(row: Mapping[str, Any], link: Callable[[str, int], str]) -> dict[str, str | None]:
    """One write or hold of a plan as a row of the UI's table."""
    held = "outcome" in row
    changes = "" if held else "; ".join(_changes(row))
    # A contact's id is its company's, and that page is not of this family.
    linked = row.get("document") != "contact"
    return {
        "reference": row["reference"],
        "organisation": row["organisation"] or None,
        "plan": "hold" if held else f"{row['action']} {row['document'].replace('_', ' ')}",
        "reason": row["reason"] if held else None,
        "amount": f"{row['amount' if held else 'total']} {row['currency']}".strip() or None,
        "ConnectWise": f"[open]({link(row['family'], row['connectwise_id'])})" if linked else None,
        "what": (row["message"] if held else changes) or None,
    }


def _changes(row: Mapping[str, Any]) -> list[str]:
    """What an edit changes, field by field, and what stays as a person made it; a new document is all new."""
    if row["action"] != "update":
        return []
    changes = [_change(field) for field in row["fields"]]
    return changes + [f"stays as changed in Xero: {_change(field)}" for field in row["kept"]]


def _change(field: Mapping[str, Any]) -> str:
    return f"{field['name']}: {field['from'] or '(none)'} -> {field['to'] or '(none)'}"


def plan_summary(family: str, plan: Mapping[str, Any], link: Callable[[str, int], str]) -> str:
    """The markdown summary of a plan: how many writes and holds, the money per account, each write, what to do."""
    counts = f"{len(plan['writes'])} to write, {plan['unchanged']} unchanged, {len(plan['holds'])} would be held."
    lines = [
        f"# Plan of {family.replace('_', ' ')}",
        "",
        f"{counts} Nothing was written: the same form with the mode *write* does it.",
        "",
        f"Plan `{plan['plan_id'][:12]}`.",
    ]
    if plan["accounts"]:
        lines += ["", "## Money per account", "", "| organisation | account | net | tax |", "|---|---|---:|---:|"]
        lines += [
            f"| {escaped(each['organisation'])} | {escaped(each['account_code'])} | {each['net']} | {each['tax']} |"
            for each in plan["accounts"]
        ]
    return "\n".join([*lines, *_to_write(plan["writes"], link), *_what_to_do(plan["holds"])])


def _to_write(writes: Sequence[Mapping[str, Any]], link: Callable[[str, int], str]) -> list[str]:
    """The first writes, edits first, since they are what somebody looks at a plan for."""
    lines = ["", "## What would be written", ""] if writes else []
    for each in sorted(writes, key=lambda one: one["action"] != "update")[:MOST_LINKED]:
        row = planned_row(each, link)
        facts = " · ".join(escaped(str(row[name])) for name in ("plan", "organisation", "amount") if row[name])
        shown = f" [ConnectWise](<{link(each['family'], each['connectwise_id'])}>)" if row["ConnectWise"] else ""
        lines.append(f"* **{escaped(each['reference'])}** {facts}{shown}")
        lines += [f"    * {escaped(change)}" for change in _changes(each)]
    if len(writes) > MOST_LINKED:
        lines.append(f"* and {len(writes) - MOST_LINKED} more, in the table.")
    return lines


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
    return "\n".join([*lines, *_what_to_do(exceptions)])


def _what_to_do(exceptions: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["", "## What to do", ""] if exceptions else []
    for each in exceptions[:100]:
        fix = _with_commands(str(each["fix"])).replace("\n", "<br>")
        lines.append(
            f"* **{escaped(str(each['reference']))}** ({each['reason']}): {escaped(str(each['message']))} {fix}"
        )
    return lines


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


def _with_commands(text: str) -> str:
    """A cure as markdown: what is to be typed is set apart, and nothing else is markup."""
    parts = re.split(r"`(tieout [^`\n]*)`", text)
    return "".join(f"`{part}`" if place % 2 else escaped(part) for place, part in enumerate(parts))


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
