"""Runs, outcomes, records and exceptions: what happened to every record, in one short transaction per batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.among import among
from blocks.audit.database import Audit, Held, ManyRows, pack, unpack
from blocks.audit.tables import EXCEPTIONS, OUTCOMES, RECORDS, RUNS
from mappings.kinds import FAMILY_SHOWN, kept_as
from mappings.links import BILLS_PER_ORDER, BY_BILL, bill_key, record_shown
from mappings.outcomes import EXPLANATIONS, MISSING, SAID_OF_POSTED, WAITING, Outcome, Reason


def _upsert(insert_into: Any) -> Any:
    columns = (
        "reference", "organisation", "seen", "outcome", "reason", "waits_on", "value", "message", "body", "run_id",
        "tried_at", "copy_of",
    )  # fmt: skip
    return insert_into.on_conflict_do_update(
        index_elements=["family", "connectwise_id"],
        set_={
            **{name: insert_into.excluded[name] for name in columns},
            "location_id": func.coalesce(insert_into.excluded.location_id, RECORDS.c.location_id),
            "is_open": func.coalesce(insert_into.excluded.is_open, RECORDS.c.is_open),
        },
    )


# What each batch is recorded with, put together once.
INSERT_OUTCOMES = ManyRows(lambda _dialect: insert(OUTCOMES))
UPSERT_RECORDS = ManyRows(
    lambda dialect: _upsert({"sqlite": sqlite, "postgresql": postgresql}[dialect.name].insert(RECORDS))
)
OPEN_EXCEPTIONS = select(EXCEPTIONS.c.id, EXCEPTIONS.c.connectwise_id, EXCEPTIONS.c.part, EXCEPTIONS.c.reason).where(
    EXCEPTIONS.c.family == bindparam("family"),
    EXCEPTIONS.c.resolved_at.is_(None),
    among(EXCEPTIONS.c.connectwise_id, "ids"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """How one record ended, with everything that is kept of it.

    `seen` is the digest of the header as dealt with; `copy` the record as JSON, kept only while it waits.
    `waits_on` names lists of Xero; `amount` is in `currency`; `tried_at` is of an earlier try that still stands.
    `location` is the id of ConnectWise's (0: none), None where this cycle does not know it. `is_open`: something of an
    invoice is due. `payment_id` is the one row of its payments that the reason is about.
    """

    family: str
    connectwise_id: int
    reference: str
    outcome: Outcome
    organisation: str = ""
    reason: Reason | None = None
    value: str = ""
    message: str = ""
    fix: str = ""
    amount: str = ""
    currency: str = ""
    xero_id: str = ""
    connectwise_url: str = ""
    xero_url: str = ""
    rows_used: Sequence[str] = ()
    waits_on: Sequence[str] = ()
    seen: str = ""
    body: str = ""
    copy: str = ""
    part: str = ""
    tried_at: datetime | None = None
    location: int | None = None
    is_open: bool | None = None
    payment_id: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a record stands from earlier cycles."""

    connectwise_id: int
    seen: str
    outcome: Outcome
    reason: str
    waits_on: tuple[str, ...]
    body: str
    tried_at: datetime
    copy: str
    organisation: str
    reference: str
    value: str
    message: str
    run_id: str
    location: int | None


def open_run(audit: Audit, run_id: str, family: str, mode: str, flow_run_id: str, fence: int, now: datetime) -> None:
    """Note that a cycle has begun."""
    with audit.transaction() as connection:
        connection.execute(
            insert(RUNS).values(
                id=run_id, family=family, mode=mode, state="running", flow_run_id=flow_run_id, fence=fence,
                started_at=now, counts="{}", message="",
            )
        )  # fmt: skip


def close_run(audit: Audit, run_id: str, state: str, counts: dict[str, Any], message: str, now: datetime) -> None:
    """Note how a cycle ended."""
    with audit.transaction() as connection:
        connection.execute(
            update(RUNS)
            .where(RUNS.c.id == run_id)
            .values(state=state, counts=json.dumps(counts), message=message, ended_at=now)
        )


def has_completed(audit: Audit, family: str) -> bool:
    """Whether any cycle of a family has come to its end."""
    query = select(RUNS.c.id).where(RUNS.c.family == family, RUNS.c.state == "completed").limit(1)
    with audit.reading() as connection:
        return connection.execute(query).first() is not None


def record(audit: Audit, run_id: str, results: Iterable[Result], now: datetime, lease: Held | None = None) -> None:
    """Store the outcomes of a batch, in a transaction of its own."""
    kept = list(results)
    if kept:
        with audit.transaction(lease) as connection:
            record_in(connection, run_id, kept, now)


def record_in(connection: Connection, run_id: str, results: Sequence[Result], now: datetime) -> None:
    """Store the outcomes of a batch inside the caller's transaction: outcome rows, standing, exceptions."""
    INSERT_OUTCOMES.carry_out(
        connection,
        [
            {
                "run_id": run_id, "family": r.family, "connectwise_id": r.connectwise_id, "part": r.part,
                "reference": r.reference, "organisation": r.organisation, "outcome": r.outcome.value,
                "reason": r.reason.value if r.reason else "", "value": r.value, "amount": r.amount,
                "currency": r.currency, "xero_id": r.xero_id, "connectwise_url": r.connectwise_url,
                "xero_url": r.xero_url, "message": r.message, "rows_used": "\n".join(r.rows_used), "at": now,
            }
            for r in results
        ],
    )  # fmt: skip
    _keep_standing(connection, run_id, results, now)
    _keep_exceptions(connection, run_id, results, now)


def wait_in(connection: Connection, run_id: str, results: Sequence[Result], now: datetime) -> None:
    """Note that records wait, should this run be killed before it can say how they ended; nobody is told of that."""
    _keep_standing(connection, run_id, results, now)


def _keep_standing(connection: Connection, run_id: str, results: Sequence[Result], now: datetime) -> None:
    UPSERT_RECORDS.carry_out(
        connection,
        [
            {
                "family": r.family, "connectwise_id": r.connectwise_id, "reference": r.reference,
                "organisation": r.organisation, "seen": r.seen, "outcome": r.outcome.value,
                "reason": r.reason.value if r.reason else "", "waits_on": ",".join(r.waits_on), "body": r.body,
                "value": r.value, "message": r.message,
                "run_id": run_id, "tried_at": r.tried_at or now,
                "copy_of": pack(r.copy) if r.copy and r.outcome in WAITING else None,
                "location_id": r.location,
                "is_open": r.is_open,
            }
            for r in results
        ],
    )  # fmt: skip


def is_exception(result: Result) -> bool:
    """Whether people are told: a reason that needs them, or one of Xero's answers that keeps a document waiting.

    A record that merely waits for its own turn (reopened, not approved yet) is none, and neither is one that policy
    says to skip (contract, 1 and 5).
    """
    if result.reason is None or result.outcome is Outcome.SKIPPED:
        return False
    return EXPLANATIONS[result.reason].needs_people or result.reason in (Reason.UNSETTLED, Reason.DAY_LIMIT)


def tell_of_all(audit: Audit, run_id: str, result: Result, still: bool, now: datetime, lease: Held | None) -> None:
    """Open (`still`), or resolve, an exception that is of many records at once and of none by itself."""
    with audit.transaction(lease) as connection:
        _keep_exceptions(connection, run_id, [result if still else replace(result, reason=None)], now)


def _keep_exceptions(connection: Connection, run_id: str, results: Sequence[Result], now: datetime) -> None:
    ids = [r.connectwise_id for r in results]
    open_now: dict[tuple[int, str], Any] = {}
    for row in connection.execute(OPEN_EXCEPTIONS, {"family": results[0].family, "ids": ids}):
        open_now[(row.connectwise_id, _part(results[0].family, row.part))] = row
    for r in results:
        known = open_now.get((r.connectwise_id, _part(r.family, r.part)))
        reason = r.reason.value if r.reason else ""
        values = {
            "organisation": r.organisation, "reference": r.reference, "value": r.value, "amount": r.amount,
            "currency": r.currency, "message": r.message, "fix": r.fix, "last_run": run_id,
            "payment_id": r.payment_id,
        }  # fmt: skip
        if known is not None and is_exception(r) and known.reason == reason:
            connection.execute(update(EXCEPTIONS).where(EXCEPTIONS.c.id == known.id).values(**values))
            continue
        if known is not None:
            # Cured, or its place is taken by another problem: `last_run` stays the last one that saw it.
            connection.execute(update(EXCEPTIONS).where(EXCEPTIONS.c.id == known.id).values(resolved_at=now))
        if is_exception(r):
            connection.execute(
                insert(EXCEPTIONS).values(
                    family=r.family, connectwise_id=r.connectwise_id, part=r.part, outcome=r.outcome.value,
                    reason=reason, since=now, first_run=run_id, **values,
                )
            )  # fmt: skip


def _part(family: str, part: str) -> str:
    """Which exceptions of one record are apart: a bill has one, whatever its receipt is called by now."""
    return "" if family in BY_BILL else part


def standings(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, Standing]:
    """Where these records stand; those never seen are absent."""
    found: dict[int, Standing] = {}
    with audit.reading() as connection:
        rows = connection.execute(
            select(*STANDING).where(
                RECORDS.c.family == family,
                among(RECORDS.c.connectwise_id, ids),
            )
        )
        found.update((row.connectwise_id, standing_of(row)) for row in rows)
    return found


STANDING = (
    RECORDS.c.connectwise_id, RECORDS.c.seen, RECORDS.c.outcome, RECORDS.c.reason, RECORDS.c.waits_on, RECORDS.c.body,
    RECORDS.c.tried_at, RECORDS.c.copy_of, RECORDS.c.organisation, RECORDS.c.reference, RECORDS.c.value,
    RECORDS.c.message, RECORDS.c.run_id, RECORDS.c.location_id,
)  # fmt: skip


def waiting(audit: Audit, family: str, run_id: str, after: int, limit: int) -> list[Standing]:
    """The next records, by id, that an earlier cycle left waiting and this run has not dealt with.

    Without those that ConnectWise does not show any more: only a sweep can say more of them.
    """
    with audit.reading() as connection:
        rows = connection.execute(
            select(*STANDING)
            .where(
                RECORDS.c.family == family,
                RECORDS.c.outcome.in_([outcome.value for outcome in WAITING]),
                RECORDS.c.reason.not_in([reason.value for reason in MISSING]),
                RECORDS.c.run_id != run_id,
                RECORDS.c.connectwise_id > after,
            )
            .order_by(RECORDS.c.connectwise_id)
            .limit(limit)
        )
        return [standing_of(row) for row in rows]


def missing(audit: Audit, family: str, reference: str) -> list[Standing]:
    """Where records stand that a sweep missed in ConnectWise, by their number or `id:N`."""
    with audit.reading() as connection:
        rows = connection.execute(
            select(*STANDING).where(
                RECORDS.c.family == family,
                RECORDS.c.reason.in_([reason.value for reason in MISSING]),
                RECORDS.c.outcome.in_([outcome.value for outcome in WAITING]),
                _is_record(RECORDS, reference),
            )
        )
        return [standing_of(row) for row in rows]


def _is_record(table: Table, reference: str) -> ColumnElement[bool]:
    """A record by its number, or by `id:N`."""
    text = reference.strip()
    by_id = text[3:].strip() if text.lower().startswith("id:") else ""
    if not by_id.isdigit():
        return table.c.reference == text
    number, is_bill = int(by_id), table.c.family.in_(BY_BILL)
    of_order = table.c.connectwise_id.between(bill_key(number, 1), bill_key(number, BILLS_PER_ORDER - 1))
    return ((table.c.connectwise_id == number) & ~is_bill) | (of_order & is_bill)


def count_waiting(audit: Audit, family: str, reason: Reason, value: str) -> int:
    """How many records wait for this reason with this value."""
    waits = (RECORDS.c.family == family, RECORDS.c.reason == reason.value, RECORDS.c.value == value)
    query = select(func.count()).where(*waits, RECORDS.c.outcome.in_([outcome.value for outcome in WAITING]))
    with audit.reading() as connection:
        return int(connection.execute(query).scalar_one())


def differing(audit: Audit, family: str, run_id: str) -> list[Standing]:
    """Posted records of which something was said when they were last looked at, by an earlier cycle."""
    said = [reason.value for reason in SAID_OF_POSTED]
    with audit.reading() as connection:
        rows = connection.execute(
            select(*STANDING)
            .join_from(
                EXCEPTIONS,
                RECORDS,
                (RECORDS.c.family == EXCEPTIONS.c.family) & (RECORDS.c.connectwise_id == EXCEPTIONS.c.connectwise_id),
            )
            .where(
                EXCEPTIONS.c.family == family,
                EXCEPTIONS.c.resolved_at.is_(None),
                EXCEPTIONS.c.reason.in_(said),
                RECORDS.c.reason.in_(said),
                RECORDS.c.outcome.not_in([outcome.value for outcome in WAITING]),
                RECORDS.c.run_id != run_id,
            )
            .order_by(RECORDS.c.connectwise_id)
        )
        return [standing_of(row) for row in rows]


def standing_of(row: Any) -> Standing:
    """The standing in a row of the columns of STANDING."""
    return Standing(
        row.connectwise_id,
        row.seen,
        Outcome(row.outcome),
        row.reason,
        tuple(name for name in row.waits_on.split(",") if name),
        row.body,
        row.tried_at,
        unpack(row.copy_of),
        row.organisation,
        row.reference,
        row.value,
        row.message,
        row.run_id,
        row.location_id,
    )


def open_exceptions(audit: Audit, families: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All open exceptions in the shape of contract section 5, oldest first."""
    query = select(EXCEPTIONS).where(EXCEPTIONS.c.resolved_at.is_(None))
    if families:
        query = query.where(EXCEPTIONS.c.family.in_([name for family in families for name in kept_as(family)]))
    with audit.reading() as connection:
        rows = connection.execute(query.order_by(EXCEPTIONS.c.since, EXCEPTIONS.c.id)).all()
    return [
        {
            "family": FAMILY_SHOWN.get(row.family, row.family),
            "organisation": row.organisation,
            "reference": row.reference,
            "connectwise_id": record_shown(row.family, row.connectwise_id) or None,
            # Of many records at once the part says which organisation, and there is one exception for all.
            "receipt": row.part if row.connectwise_id else "",
            "payment_id": row.payment_id,
            "outcome": row.outcome,
            "reason": row.reason,
            "value": row.value,
            "message": row.message,
            "fix": row.fix,
            "amount": row.amount,
            "currency": row.currency,
            "since": row.since.isoformat(),
            "first_run": row.first_run,
            "last_run": row.last_run,
        }
        for row in rows
    ]


def outcomes_of(audit: Audit, run_id: str, limit: int) -> list[dict[str, Any]]:
    """The outcomes of one run for its table: those that need people first, then in the order of their numbers."""
    told: list[Literal["held", "rejected", "deferred", "posted", "updated", "unchanged", "skipped"]] = [
        "rejected", "held", "deferred", "posted", "updated", "unchanged", "skipped",
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    with audit.reading() as connection:
        for outcome in told:
            if len(rows) >= limit:
                break
            found = connection.execute(
                select(OUTCOMES)
                .where(OUTCOMES.c.run_id == run_id, OUTCOMES.c.outcome == outcome)
                .order_by(OUTCOMES.c.reference, OUTCOMES.c.id)
                .limit(limit - len(rows))
            )
            rows.extend(dict(row) for row in found.mappings())
    return rows


def history(audit: Audit, reference: str) -> list[dict[str, Any]]:
    """How a record ended in every cycle that dealt with it, oldest first, with the table rows that decided.

    `reference` is its number, or `id:N`.
    """
    query = select(OUTCOMES).where(_is_record(OUTCOMES, reference)).order_by(OUTCOMES.c.id)
    with audit.reading() as connection:
        return [
            {
                "at": row.at.isoformat(),
                "run_id": row.run_id,
                "family": row.family,
                "organisation": row.organisation,
                "reference": row.reference,
                "connectwise_id": record_shown(row.family, row.connectwise_id),
                "outcome": row.outcome,
                "reason": row.reason,
                "message": row.message,
                "amount": row.amount,
                "currency": row.currency,
                "xero_id": row.xero_id or None,
                "rows": row.rows_used.splitlines(),
            }
            for row in connection.execute(query)
        ]
