"""What was mailed is remembered, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, select, text

from blocks.audit import leases, mailed, runs
from blocks.audit.database import MIGRATIONS, Audit, LeaseLost, open_audit
from blocks.audit.runs import Result
from blocks.audit.tables import EXCEPTIONS
from mappings.notices import Notice, notices
from mappings.outcomes import Outcome, Reason
from tests.worlds import Clock

WEEK = timedelta(days=7)


def held(number: int, **fields: Any) -> Result:
    given: dict[str, Any] = {
        "organisation": "Sydney", "reason": Reason.MISSING_TAX, "value": "GST", "message": "No row.", "fix": "Add one.",
        "amount": "110.00", "currency": "AUD", "connectwise_url": f"https://cw.example/{number}", "xero_url": "",
    }  # fmt: skip
    return Result("invoices", number, f"400{number:02}", Outcome.HELD, **given | fields)


def posted(number: int, **fields: Any) -> Result:
    return replace(
        held(number), outcome=Outcome.POSTED, reason=None, xero_url=f"https://xero.example/{number}", **fields
    )


def tell(audit: Audit, clock: Clock) -> list[Notice]:
    known = mailed.with_endings(audit, "invoices", mailed.cases(audit, "invoices"))
    return notices("invoices", known, clock(), WEEK)


def test_what_was_noted_is_quiet_until_it_is_resolved_and_then_told_once(any_audit: Audit, clock: Clock) -> None:
    lease = leases.take(any_audit, "mail:invoices", "", clock())
    runs.record(any_audit, "run-1", [held(1), held(2, organisation="")], clock())
    for notice in tell(any_audit, clock):
        mailed.note(any_audit, notice, clock(), lease)
    assert tell(any_audit, clock) == []

    clock.advance(hours=6)
    runs.record(any_audit, "run-2", [held(1), posted(2)], clock())
    (notice,) = tell(any_audit, clock)
    # It had no organisation when it was mailed, and ended in Sydney.
    assert (notice.organisation, [case.reference for case in notice.resolved]) == ("Sydney", ["40002"])
    assert notice.resolved[0].xero_url == "https://xero.example/2"
    mailed.note(any_audit, notice, clock(), lease)
    assert tell(any_audit, clock) == []

    clock.advance(days=7)
    (notice,) = tell(any_audit, clock)
    assert [case.connectwise_url for case in notice.told] == ["https://cw.example/1"]


def test_a_mail_is_noted_by_the_holder_of_the_lease_alone(any_audit: Audit, clock: Clock) -> None:
    lease = leases.take(any_audit, "mail:invoices", "", clock())
    runs.record(any_audit, "run-1", [held(1)], clock())
    (notice,) = tell(any_audit, clock)
    leases.take(any_audit, "mail:invoices", "another", clock() + leases.LASTS * 2)
    with pytest.raises(LeaseLost):
        mailed.note(any_audit, notice, clock(), lease)
    assert tell(any_audit, clock) == [notice]


def test_more_records_than_fit_into_one_question_are_all_told_with_their_pages(any_audit: Audit, clock: Clock) -> None:
    runs.record(any_audit, "run-1", [held(number) for number in range(1, 1001)], clock())
    (notice,) = tell(any_audit, clock)
    assert len(notice.told) == 1000
    assert all(case.connectwise_url == f"https://cw.example/{case.connectwise_id}" for case in notice.told)
    mailed.note(any_audit, notice, clock(), leases.take(any_audit, "mail:invoices", "", clock()))
    assert tell(any_audit, clock) == []


def test_other_families_are_not_told(any_audit: Audit, clock: Clock) -> None:
    runs.record(any_audit, "run-1", [replace(held(1), family="payments")], clock())
    assert tell(any_audit, clock) == []


def test_the_exceptions_of_an_older_tieout_come_along_and_nobody_was_told_of_them(any_url: str, clock: Clock) -> None:
    """Their partial unique index as well: one open exception per record."""
    engine = create_engine(any_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        columns = {
            "family": "invoices", "organisation": "", "reference": "40001", "connectwise_id": 1, "part": "",
            "outcome": "held", "reason": "missing_tax", "value": "", "amount": "1.00", "currency": "AUD",
            "message": "x", "fix": "y", "since": clock(), "first_run": "r", "last_run": "r",
        }  # fmt: skip
        connection.execute(insert(EXCEPTIONS).values(**columns))
        connection.execute(text("INSERT INTO installation (id, set_up_on) VALUES ('i', '2026-01-01')"))
    engine.dispose()
    audit = open_audit(any_url)
    (notice,) = tell(audit, clock)
    assert [case.reference for case in notice.told] == ["40001"]
    with audit.reading() as connection:
        assert connection.execute(select(EXCEPTIONS.c.mailed_at)).scalar_one() is None
    audit.close()
