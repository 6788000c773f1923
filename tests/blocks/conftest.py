"""Fixtures of the tests of the doors: a clock, an audit database, and PostgreSQL where there is one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from blocks.audit.database import Audit, open_audit
from blocks.audit.exchanges import Exchanges
from tests.worlds import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def empty_audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated audit database in SQLite, to be copied."""
    path = tmp_path_factory.mktemp("audit") / "empty.db"
    open_audit(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def audit(empty_audit: Path, tmp_path: Path) -> Iterator[Audit]:
    """An empty audit database in SQLite."""
    path = shutil.copy(empty_audit, tmp_path / "audit.db")
    database = open_audit(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def exchanges(audit: Audit, clock: Clock) -> Exchanges:
    return Exchanges(audit, "run-1", clock)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The address of a schema of its own in the PostgreSQL database that TIEOUT_TEST_POSTGRES names."""
    address = os.environ.get("TIEOUT_TEST_POSTGRES")
    if not address:
        pytest.skip("TIEOUT_TEST_POSTGRES names no PostgreSQL database")
    schema = f"tieout_{uuid.uuid4().hex}"
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    own = make_url(address).update_query_dict({"options": f"-csearch_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that is not there yet, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/any.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def any_audit(request: pytest.FixtureRequest) -> Iterator[Audit]:
    """An empty audit database, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("audit")
        return
    database = open_audit(request.getfixturevalue("postgres_url"))
    yield database
    database.close()
