"""What people were mailed of exceptions: read under a lease, noted only after the mail server took the mail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update

from blocks.audit.among import among
from blocks.audit.database import Audit, Held
from blocks.audit.tables import EXCEPTIONS, OUTCOMES
from mappings.kinds import kept_as
from mappings.notices import Case, Notice


def cases(audit: Audit, family: str) -> list[Case]:
    """All that there is to tell of a family: what is open, and what is resolved and was mailed while it was open.

    A resolved one belongs to the organisation in which its record ended: it may have had none when it was mailed.
    """
    with audit.reading() as connection:
        rows = connection.execute(
            select(EXCEPTIONS)
            .where(
                EXCEPTIONS.c.family.in_(kept_as(family)),
                or_(
                    EXCEPTIONS.c.resolved_at.is_(None),
                    EXCEPTIONS.c.mailed_at.is_not(None) & EXCEPTIONS.c.resolved_mailed_at.is_(None),
                ),
            )
            .order_by(EXCEPTIONS.c.since, EXCEPTIONS.c.id)
        ).all()
        return [_case(row) for row in rows]


def with_endings(audit: Audit, family: str, told: Iterable[Case]) -> list[Case]:
    """The same cases with what the last outcome of each record knows: its pages in both systems, its organisation."""
    known = list(told)
    with audit.reading() as connection:
        endings = _endings(connection, family, sorted({case.connectwise_id for case in known}))
        kept = _families(connection, [case.id for case in known])
    return [_ended(case, endings.get((kept[case.id], case.connectwise_id, case.part))) for case in known]


def note(audit: Audit, notice: Notice, now: datetime, lease: Held) -> None:
    """Note that the mail server took this mail; LeaseLost when somebody else mails by now."""
    with audit.transaction(lease) as connection:
        if notice.told:
            connection.execute(
                update(EXCEPTIONS)
                .where(EXCEPTIONS.c.id == bindparam("of"))
                .values(mailed_at=now, mailed_as=bindparam("saying")),
                [{"of": case.id, "saying": case.saying} for case in notice.told],
            )
        if notice.settled:
            connection.execute(
                update(EXCEPTIONS).where(EXCEPTIONS.c.id == bindparam("of")).values(resolved_mailed_at=now),
                [{"of": each} for each in notice.settled],
            )


def _case(row: Any) -> Case:
    return Case(
        row.id, row.connectwise_id, row.part, row.reference, row.organisation, row.reason, row.value, row.message,
        row.fix, row.amount, row.currency, row.resolved_at is not None, row.mailed_at, row.mailed_as or "",
    )  # fmt: skip


def _ended(case: Case, ending: Any) -> Case:
    if ending is None:
        return case
    organisation = ending.organisation if case.resolved and ending.organisation else case.organisation
    return replace(case, organisation=organisation, connectwise_url=ending.connectwise_url, xero_url=ending.xero_url)


def _families(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Under which family each exception is kept: an order's bill, and its own document, may have the id of another."""
    found: dict[int, str] = {}
    query = select(EXCEPTIONS.c.id, EXCEPTIONS.c.family).where(among(EXCEPTIONS.c.id, ids))
    found |= {row.id: row.family for row in connection.execute(query)}
    return found


def _endings(connection: Connection, family: str, ids: Sequence[int]) -> dict[tuple[str, int, str], Any]:
    """The last outcome of each record, by the family under which it is kept."""
    found: dict[tuple[str, int, str], Any] = {}
    last = (
        select(func.max(OUTCOMES.c.id))
        .where(OUTCOMES.c.family.in_(kept_as(family)), among(OUTCOMES.c.connectwise_id, ids))
        .group_by(OUTCOMES.c.family, OUTCOMES.c.connectwise_id, OUTCOMES.c.part)
    )
    for row in connection.execute(
        select(
            OUTCOMES.c.family, OUTCOMES.c.connectwise_id, OUTCOMES.c.part, OUTCOMES.c.organisation,
            OUTCOMES.c.connectwise_url, OUTCOMES.c.xero_url,
        ).where(OUTCOMES.c.id.in_(last))
    ):  # fmt: skip
        found[(row.family, row.connectwise_id, row.part)] = row
    return found
