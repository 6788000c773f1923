"""Prefect's own server on PostgreSQL: set-up and a cycle, as users run them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from deployments import server
from tests.deployments.conftest import Place

pytestmark = pytest.mark.server


@pytest.fixture
def own_database() -> Iterator[str]:
    """The address of a PostgreSQL database of the test's own, for asyncpg."""
    address = os.environ.get("TIEOUT_TEST_POSTGRES")
    if not address:
        pytest.skip("TIEOUT_TEST_POSTGRES names no PostgreSQL database")
    name = f"tieout_prefect_{uuid.uuid4().hex}"
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    own = make_url(address).set(drivername="postgresql+asyncpg", database=name)
    yield own.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture
def server_on_postgres(own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The API address of a Prefect server whose runs, blocks and schedules are in PostgreSQL."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.free_port()}/api")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", own_database)
    process = server.start_server(tmp_path / "server.log")
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL")
    try:
        server.wait_until_it_answers(process, tmp_path / "server.log")
        yield os.environ["PREFECT_API_URL"]
    finally:
        server.stop(process)


def test_set_up_and_a_cycle_with_prefect_on_postgresql(
    server_on_postgres: str, own_database: str, place: Place
) -> None:
    """The story ends as it does on SQLite, and the run, its artifacts and the blocks are in PostgreSQL."""
    assert place.tieout("setup").returncode == 0
    done = place.tieout("sync", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert {each["reference"]: each["reason"] for each in told["exceptions"]} == place.story.expected
    posted = [
        each["InvoiceNumber"]
        for books in place.xero.organisations.values()
        for each in books.invoices(type="ACCREC")
        if each.get("Url")
    ]
    assert told["families"][0]["posted"] == len(posted) == len(set(posted)) > 90

    runs = httpx.post(f"{server_on_postgres}/flow_runs/filter", json={"limit": 5, "sort": "START_TIME_ASC"}).json()
    assert [run["state_name"] for run in runs] == ["Completed"] * 2
    assert [run["name"].split()[0] for run in runs] == ["invoices", "credit_notes"]
    engine = create_engine(make_url(own_database).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT name FROM flow_run WHERE state_type = 'COMPLETED'")).scalars().all()
        keys = connection.execute(text("SELECT key FROM artifact WHERE key IS NOT NULL")).scalars().all()
        blocks = connection.execute(text("SELECT name FROM block_document")).scalars().all()
    engine.dispose()
    assert set(stored) == {run["name"] for run in runs}
    assert {f"{place.name}-invoices-outcomes", f"{place.name}-invoices-summary"} <= set(keys)
    assert {f"{place.name}-xero", f"{place.name}-watermark-invoices"} <= set(blocks)
