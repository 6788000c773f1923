"""What a completeness sweep asks the audit: when the last one was, and everything that should be on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, or_, select

from blocks.audit.database import Audit
from blocks.audit.runs import STANDING, Standing, standing_of
from blocks.audit.tables import BINDINGS, RECORDS, RUNS
from mappings.outcomes import WAITING

MODE = "sweep"
"""The mode of a run that sweeps."""


@dataclass(frozen=True, slots=True)
class Known:
    """A record that ConnectWise should have: it is posted, or it waits."""

    standing: Standing
    posted: bool


def last_sweep(audit: Audit, family: str) -> datetime | None:
    """When the last sweep that came to its end began."""
    query = select(func.max(RUNS.c.started_at)).where(
        RUNS.c.family == family, RUNS.c.mode == MODE, RUNS.c.state == "completed"
    )
    with audit.reading() as connection:
        found: datetime | None = connection.execute(query).scalar_one_or_none()
        return found


def known(audit: Audit, family: str, start: date, after: int, limit: int) -> list[Known]:
    """The next records, by id, that are posted with a date of `start` or later, or that wait."""
    query = (
        select(*STANDING, BINDINGS.c.id.label("binding"))
        .join_from(
            RECORDS,
            BINDINGS,
            (RECORDS.c.family == BINDINGS.c.family)
            & (RECORDS.c.connectwise_id == BINDINGS.c.connectwise_id)
            & (BINDINGS.c.part == ""),
            isouter=True,
        )
        .where(
            RECORDS.c.family == family,
            RECORDS.c.connectwise_id > after,
            or_(
                BINDINGS.c.date >= start,
                BINDINGS.c.id.is_(None) & RECORDS.c.outcome.in_([outcome.value for outcome in WAITING]),
            ),
        )
        .order_by(RECORDS.c.connectwise_id)
        .limit(limit)
    )
    with audit.reading() as connection:
        return [Known(standing_of(row), row.binding is not None) for row in connection.execute(query)]


def documents(audit: Audit, family: str, tenant_id: str, start: date, after: int, limit: int) -> list[tuple[int, str]]:
    """The next records, by id, that are posted to one organisation with a date of `start` or later; and as what."""
    query = (
        select(BINDINGS.c.connectwise_id, BINDINGS.c.xero_id)
        .where(
            BINDINGS.c.family == family,
            BINDINGS.c.tenant_id == tenant_id,
            BINDINGS.c.date >= start,
            BINDINGS.c.connectwise_id > after,
        )
        .order_by(BINDINGS.c.connectwise_id)
        .limit(limit)
    )
    with audit.reading() as connection:
        return [(row.connectwise_id, row.xero_id) for row in connection.execute(query)]
