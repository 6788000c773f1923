"""`among`: a column holds one of many values, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Select, select
from sqlalchemy.dialects import sqlite

from blocks.audit.among import among
from blocks.audit.contacts import known, remember_in
from blocks.audit.database import Audit
from blocks.audit.requests import BOUND
from blocks.audit.tables import BINDINGS, CONTACTS

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_more_values_than_a_statement_takes_parameters(any_audit: Audit) -> None:
    kept = {("t", number): f"c{number}" for number in (1, 40_000, 70_000)}
    with any_audit.transaction() as connection:
        remember_in(connection, [(tenant, number, contact) for (tenant, number), contact in kept.items()], NOW)
    # PostgreSQL takes 65,535 parameters, SQLite 32,766.
    assert known(any_audit, range(1, 70_001)) == kept
    assert known(any_audit, range(2, 40_000)) == {}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], []),
        (["it's", "100%"], ["100%", "it's"]),
        (['a "quoted" one', "[1]"], ['a "quoted" one', "[1]"]),
        (["Größe", "1"], ["Größe"]),
    ],
)
def test_texts_are_the_same_to_the_letter(any_audit: Audit, wanted: list[str], found: list[str]) -> None:
    texts = ["it's", "100%", 'a "quoted" one', "[1]", "Größe", "other"]
    with any_audit.transaction() as connection:
        remember_in(connection, [("t", number, text) for number, text in enumerate(texts, 1)], NOW)
    query = select(CONTACTS.c.contact_id).where(among(CONTACTS.c.contact_id, wanted))
    with any_audit.reading() as connection:
        assert sorted(connection.execute(query).scalars()) == sorted(found)


@pytest.mark.parametrize(
    "query",
    [BOUND, select(BINDINGS.c.id).where(BINDINGS.c.family == "invoices", among(BINDINGS.c.connectwise_id, [1, 2]))],
)
def test_sqlite_searches_the_index_for_the_values(audit: Audit, query: Select[tuple[object]]) -> None:
    compiled = query.compile(dialect=sqlite.dialect())
    with audit.reading() as connection:
        given = ("[1, 2]",) * len(compiled.positiontup or ())
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", given).all()
    assert "(family=? AND connectwise_id=?)" in plan[0][3]
