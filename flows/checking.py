"""The tables against both live systems: what their rows name in Xero, and which values of the records they cover.

Nothing is written anywhere: Xero's lists come from the audit or are read anew, and the records go through the same
reading and mapping as in a dry run.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from prefect import Task

from blocks.doors import Doors
from blocks.failures import CannotGoOn, LimitReached
from flows.cycle import Selection
from flows.family import STEPS
from mappings.coverage import HeldRecord, Uncovered, coverage
from mappings.kinds import KINDS
from mappings.outcomes import Hold, XeroList
from mappings.payments import FAMILY
from mappings.policy import Policy
from mappings.suggestions import Suggestion, suggestions
from mappings.surroundings import Tables
from mappings.table_checks import Finding, Severity, check_tables
from tasks.calls import PlainCalls
from tasks.cycle import Cycle
from tasks.invoices import MapBatch
from tasks.lists import Lists, needed_by
from tasks.payments import Deciding

LAST_MONTHS = timedelta(days=92)
R = TypeVar("R")


@dataclass(frozen=True)
class Checked:
    """What a check found: of the rows, and of `records` records dated on or after `since`."""

    since: date
    records: int
    findings: Sequence[Finding]
    uncovered: Sequence[Uncovered]
    suggestions: Sequence[Suggestion]

    @property
    def clean(self) -> bool:
        """True when nothing would be held for the tables' sake; notes do not count."""
        return not self.uncovered and all(one.severity is Severity.NOTE for one in self.findings)


def check_mappings(
    families: Sequence[str], open_doors: Callable[[str], Doors], since: date | None, say: Callable[[str], None]
) -> Checked:
    """Check every row, then map the records of the last months (or since a day) and see what no row covers.

    Raises CannotGoOn where a system cannot be reached: half a check would look like a clean one.
    """
    doors = open_doors(uuid.uuid4().hex)
    try:
        tables = doors.tables.read()
        lists = Lists(doors, _needed(tables))
        lists.keeps = False
        since = since or _last_months(tables.policy, families, doors)
        findings = _findings(tables, lists, doors)
        listening = Listening()
        for family in families:
            _run(family, tables, lists, doors, since, listening, say)
        uncovered = coverage(listening.held, tables.policy)
        proposed = suggestions(uncovered, tables, lists.books(()))
        return Checked(since, listening.records, findings, uncovered, proposed)
    except LimitReached as problem:
        raise CannotGoOn(f"{problem}; check again then.") from problem
    finally:
        doors.audit.close()


def _needed(tables: Tables) -> tuple[XeroList, ...]:
    """The lists of Xero that the rows name something of."""
    return (*needed_by(tables), *([XeroList.CURRENCIES] if tables.rates.pairs else []))


def _last_months(policy: Policy, families: Sequence[str], doors: Doors) -> date:
    """Three months back, or the start date where that lies between: records from before it are never posted.

    A start date that has not come yet says nothing of what will be needed then.
    """
    today = doors.clock().date()
    earliest = today - LAST_MONTHS
    start = min((policy.starts(family, earliest) for family in families), default=earliest)
    return start if earliest <= start <= today else earliest


def _findings(tables: Tables, lists: Lists, doors: Doors) -> list[Finding]:
    """What is wrong with the rows. A list that lacks what a row names is read anew first: it may be a day old."""
    findings = check_tables(tables, lists.books(doors.tenants))
    doubted: dict[str, list[XeroList]] = defaultdict(list)
    for finding in findings:
        doubted[finding.organisation] += finding.waits_on
    changed = [lists.renew(organisation, names) for organisation, names in doubted.items()]
    return check_tables(tables, lists.books(())) if any(changed) else findings


def _run(
    family: str,
    tables: Tables,
    lists: Lists,
    doors: Doors,
    since: date,
    listening: Listening,
    say: Callable[[str], None],
) -> None:
    """A dry run of a family over all records since a day, without a look at what is in Xero already."""
    cycle = Cycle(
        family=family,
        run_id=uuid.uuid4().hex,
        mode="plan",
        doors=doors,
        tables=tables,
        lists=lists,
        start_date=since,
        forced=True,
        say=say,
    )
    if family in KINDS:
        for organisation in doors.tenants:
            lists.mark_searched(organisation, family, since)
    STEPS[family](cycle, listening, Selection(force=True, since=since))
    for problem in cycle.closed.values():
        raise problem
    listening.tie_to(cycle)


class Listening(PlainCalls):
    """Carries out tasks as they are, and keeps what mapping said of each record last."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], tuple[date | None, Hold | None]] = {}
        self.held: list[HeldRecord] = []

    @property
    def records(self) -> int:
        """How many records were mapped."""
        return len(self._said)

    def one(self, step: Task[[Any], R], batch: object) -> R:
        """Carry out one task; what is kept of a mapping is why it held a record."""
        done = super().one(step, batch)
        if isinstance(batch, MapBatch) and isinstance(done, Sequence):
            for entry, outcome in zip(batch.entries, done, strict=True):
                held = outcome if isinstance(outcome, Hold) else None
                self._said[(batch.family, entry.connectwise_id)] = (entry.header.date if entry.header else None, held)
        if isinstance(batch, Deciding) and isinstance(done, Sequence):
            for case, outcome in zip(batch.cases, done, strict=True):
                self._said[(FAMILY, case.owed.id)] = (case.owed.date, outcome if isinstance(outcome, Hold) else None)
        return done

    def tie_to(self, cycle: Cycle) -> None:
        """After a dry run: the records that mapping held, with organisation and amount as people are told them."""
        for told in cycle.told:
            on, hold = self._said.get((cycle.family, told.connectwise_id), (None, None))
            if on is None or hold is None:
                continue
            books = cycle.lists.books(()).get(told.organisation)
            self.held.append(
                HeldRecord(
                    cycle.family,
                    told.connectwise_id,
                    told.organisation,
                    on,
                    Decimal(told.amount),
                    # Where ConnectWise knows no currencies, everything is in the organisation's own.
                    told.currency or (books.organisation.base_currency if books else ""),
                    hold,
                )
            )
