"""Opening the audit database, what it is made of, and one sentence for each thing that can be wrong with it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, inspect, make_url, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import SQLModel

from blocks.audit import database
from blocks.audit.database import Audit, AuditUnusable, LeaseLost, open_audit, pack, unpack
from blocks.audit.leases import take
from blocks.audit.requests import INSERT_BINDINGS
from blocks.audit.tables import BINDINGS, INSTALLATION, KEPT_LISTS, LEASES
from tests.blocks.support import is_a_sentence, told
from tests.worlds import Clock


def refusal(url: str, create: bool = True) -> str:
    """What is told of a database that cannot be opened: always one sentence."""
    with pytest.raises(AuditUnusable) as caught:
        open_audit(url, create)
    assert is_a_sentence(str(caught.value)), str(caught.value)
    return str(caught.value)


def failing(audit: Audit, work: Callable[[Connection], object] = lambda _connection: None) -> str:
    """What is told of a transaction that fails: always one sentence."""
    with pytest.raises(AuditUnusable) as caught, audit.transaction() as connection:
        work(connection)
    assert is_a_sentence(str(caught.value)), str(caught.value)
    return str(caught.value)


# Opening


def test_opening_makes_migrates_and_remembers_who_it_is(any_url: str) -> None:
    """The first opening creates everything; later ones find the same identity and day."""
    first = open_audit(any_url)
    first.close()
    again = open_audit(any_url, create=False)
    assert (again.id, again.set_up_on) == (first.id, first.set_up_on)
    assert len(first.id) == 32
    assert abs((first.set_up_on - datetime.now(UTC).date()).days) <= 1
    again.close()


def test_a_folder_that_is_not_there_is_made_and_the_home_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///~/.tieout/audit.db` is the default: below the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_audit("sqlite:///~/.tieout/deep/audit.db").close()
    assert (tmp_path / ".tieout/deep/audit.db").is_file()


@pytest.mark.parametrize("name", ["plain.db", "50% of it.db", "a b ü.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """Blanks, percent signs and letters of other languages."""
    folder = tmp_path / "100%"
    audit = open_audit(f"sqlite:///{folder}/{name}")
    with audit.reading() as connection:
        assert connection.execute(select(INSTALLATION.c.id)).scalar_one() == audit.id
    audit.close()
    assert (folder / name).is_file()


def _open_at_once(url: str, barrier: Any, found: Any) -> None:
    barrier.wait(timeout=60)
    try:
        audit = open_audit(url)
        audit.close()
        found.put(audit.id)
    except BaseException as error:  # noqa: BLE001  (told to the parent, which fails)
        found.put(repr(error))


def test_processes_that_open_a_new_database_at_once_all_get_the_same_one(any_url: str) -> None:
    """Two workers start together: one creates it, the others find it; never two identities."""
    forked = multiprocessing.get_context("fork")
    barrier, found = forked.Barrier(8), forked.Queue()
    processes = [forked.Process(target=_open_at_once, args=(any_url, barrier, found)) for _ in range(8)]
    for process in processes:
        process.start()
    ids = {found.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(timeout=60)
    audit = open_audit(any_url)
    assert ids == {audit.id}
    with audit.reading() as connection:
        assert len(connection.execute(select(INSTALLATION.c.id)).all()) == 1
    audit.close()


def test_an_old_database_is_brought_up_to_date(any_url: str) -> None:
    """One that has no tables yet but a table of versions is migrated like a new one."""
    open_audit(any_url).close()
    audit = open_audit(any_url)
    with audit.transaction() as connection:
        for table in reversed(SQLModel.metadata.sorted_tables):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql("DELETE FROM alembic_version")
    audit.close()
    open_audit(any_url).close()


def test_a_database_of_a_newer_tieout_is_left_alone(any_url: str) -> None:
    """Its revision is unknown here: writing to it could break it."""
    audit = open_audit(any_url)
    with audit.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    audit.close()
    assert "made by a newer tieout" in refusal(any_url)


def test_the_migrations_make_exactly_what_the_models_say(any_audit: Audit) -> None:
    """Alembic's own comparison of tables, columns, types, indexes and constraints finds no difference."""
    with any_audit.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "target_metadata": SQLModel.metadata}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
        names = set(inspect(connection).get_table_names())
    assert names == {table.name for table in SQLModel.metadata.sorted_tables} | {"alembic_version"}


def test_sqlite_writes_ahead_and_synchronises_fully(audit: Audit) -> None:
    """A request must be on disk before it is sent, on every connection of the pool."""
    with ExitStack() as several:
        for _ in range(3):
            connection = several.enter_context(audit.reading())
            pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                       ("journal_mode", "synchronous", "foreign_keys")}  # fmt: skip
            assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_new_file_has_pages_that_hold_several_documents(audit: Audit) -> None:
    """In pages of 4 KB every binding takes one of its own, and half of each stays empty."""
    with audit.reading() as connection:
        assert connection.execute(text("PRAGMA page_size")).scalar() == 16384


def test_a_file_with_smaller_pages_is_used_as_it_is(tmp_path: Path) -> None:
    """Those that were made before have them."""
    with closing(sqlite3.connect(tmp_path / "audit.db")) as connection:
        connection.execute("PRAGMA page_size=4096")
        connection.execute("PRAGMA journal_mode=WAL")
    audit = open_audit(f"sqlite:///{tmp_path}/audit.db")
    with audit.transaction() as connection:
        assert connection.execute(text("PRAGMA page_size")).scalar() == 4096
    audit.close()


def test_reading_does_not_wait_for_a_writer(audit: Audit) -> None:
    """A page of the audit can be shown while a cycle writes, and shows what was committed."""
    with audit.transaction() as writing:
        writing.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=datetime.now(UTC), body=b""))
        with audit.reading() as reading:
            assert reading.execute(select(KEPT_LISTS.c.name)).all() == []
    with audit.reading() as reading:
        assert reading.execute(select(KEPT_LISTS.c.name)).all() == [("y",)]


def test_writers_wait_for_each_other_and_lose_nothing(any_audit: Audit) -> None:
    """Eight threads that read and then write the same row: every step is there."""
    now = datetime.now(UTC)
    with any_audit.transaction() as connection:
        connection.execute(insert(LEASES).values(name="n", holder="", what="", fence=0, taken_at=now, expires_at=now))

    def count() -> None:
        for _ in range(10):
            with any_audit.transaction() as connection:
                row = select(LEASES.c.fence).where(LEASES.c.name == "n").with_for_update()
                fence = connection.execute(row).scalar_one()
                connection.execute(LEASES.update().values(fence=fence + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with any_audit.reading() as connection:
        assert connection.execute(select(LEASES.c.fence)).scalar_one() == 80


def test_a_failed_transaction_leaves_nothing(any_audit: Audit) -> None:
    """All or nothing."""

    def fail(connection: Connection) -> None:
        connection.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=datetime.now(UTC), body=b""))
        raise KeyError

    with pytest.raises(KeyError), any_audit.transaction() as connection:
        fail(connection)
    with any_audit.reading() as connection:
        assert connection.execute(select(KEPT_LISTS.c.name)).all() == []


def test_a_broken_rule_of_our_own_tables_passes_as_it_is(any_audit: Audit) -> None:
    """The unique indexes are the guard: whoever meets one has to know that it was one."""
    row = {"scope": "x", "name": "y", "read_at": datetime.now(UTC), "body": b""}
    with any_audit.transaction() as connection:
        connection.execute(insert(KEPT_LISTS).values(**row))
    with pytest.raises(IntegrityError), any_audit.transaction() as connection:
        connection.execute(insert(KEPT_LISTS).values(**row))


def test_a_transaction_of_a_lease_that_was_taken_over_writes_nothing(any_audit: Audit, clock: Clock) -> None:
    """The fencing number is checked inside the transaction."""
    ours = take(any_audit, "sync:invoices", "a cycle", clock())
    clock.advance(minutes=2)
    theirs = take(any_audit, "sync:invoices", "another cycle", clock())
    with any_audit.transaction(theirs):
        pass
    with pytest.raises(LeaseLost, match="another cycle has taken over"), any_audit.transaction(ours) as connection:
        connection.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=clock(), body=b""))
    with any_audit.reading() as connection:
        assert connection.execute(select(KEPT_LISTS.c.name)).all() == []


# Times and bodies


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.datetimes(
        datetime(1990, 1, 1),  # noqa: DTZ001  (hypothesis adds the zone)
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_times_come_back_as_the_same_moment_aware_and_in_utc(any_audit: Audit, at: datetime) -> None:
    """Whatever zone they went in with, to the microsecond."""
    with any_audit.transaction() as connection:
        connection.execute(KEPT_LISTS.delete())
        connection.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=at, body=b""))
        found = connection.execute(select(KEPT_LISTS.c.read_at)).scalar_one()
    assert found == at
    assert found.utcoffset() == timedelta(0)


def test_times_are_compared_as_moments(any_audit: Audit) -> None:
    """A condition in another zone meets the same rows."""
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with any_audit.transaction() as connection:
        connection.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=at, body=b""))
        same = at.astimezone(timezone(timedelta(hours=10)))
        assert connection.execute(select(KEPT_LISTS.c.name).where(KEPT_LISTS.c.read_at == same)).all() == [("y",)]


def test_a_time_without_a_zone_is_refused(any_audit: Audit) -> None:
    """It could mean anything."""
    naive = datetime(2026, 3, 2, 9)  # noqa: DTZ001
    with pytest.raises(StatementError, match="a time without a zone"), any_audit.transaction() as connection:
        connection.execute(insert(KEPT_LISTS).values(scope="x", name="y", read_at=naive, body=b""))


def bindings(count: int) -> list[dict[str, Any]]:
    """Rows with a value of each kind that the audit keeps."""
    at = datetime(2026, 3, 2, 9, 30, 1, 5, tzinfo=timezone(timedelta(hours=10)))
    return [
        {
            "family": "invoices", "connectwise_id": 2**40 + number, "part": "", "tenant_id": "t", "organisation": "Ü",
            "xero_id": f"x{number}", "reference": "it's 100% :name", "fingerprint": "", "writes": number,
            "total": "10.50", "currency": "AUD", "date": date(2026, 3, 2), "adopted": bool(number % 2), "lines": "{}",
            "base": b"\x00\xff", "written": None if number % 2 else b"", "bound_at": at,
        }
        for number in range(count)
    ]  # fmt: skip


def test_many_rows_are_kept_as_single_ones_are(any_audit: Audit) -> None:
    """They go past SQLAlchemy's own loops, and every type has its say all the same."""
    kept: list[list[Any]] = []
    columns = [column for column in BINDINGS.c if column.name != "id"]
    for carry_out in (
        lambda connection, rows: [connection.execute(insert(BINDINGS).values(**row)) for row in rows],
        INSERT_BINDINGS.carry_out,
    ):
        with any_audit.transaction() as connection:
            carry_out(connection, bindings(250))
            kept.append([tuple(row) for row in connection.execute(select(*columns).order_by(BINDINGS.c.writes))])
            connection.execute(BINDINGS.delete())
    assert kept[0] == kept[1]
    assert len(kept[0]) == 250


def test_of_many_rows_none_is_kept_when_one_cannot_be(any_audit: Audit) -> None:
    """A time without a zone, or a second one of the same record."""
    naive, twice = bindings(3), [*bindings(3), bindings(1)[0]]
    naive[2]["bound_at"] = datetime(2026, 3, 2)  # noqa: DTZ001
    for rows, error, words in (
        (naive, ValueError, "a time without a zone"),
        (twice, IntegrityError, "(?i)unique"),
    ):
        with pytest.raises(error, match=words), any_audit.transaction() as connection:
            INSERT_BINDINGS.carry_out(connection, rows)
    with any_audit.reading() as connection:
        assert connection.execute(select(BINDINGS)).all() == []


@given(st.text() | st.binary())
def test_a_packed_body_is_the_same_text_again(body: str | bytes) -> None:
    """Compressed; bytes that are no text are shown as well as can be."""
    given_bytes = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    assert unpack(pack(given_bytes)) == given_bytes.decode("utf-8", "replace")
    assert unpack(None) == ""


# What can be wrong


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is not the address of a database"),
        ("audit.db", "is not the address of a database"),
        ("postgresql+psycopg//tieout:canary-secret@db/audit", "is not the address of a database"),
        ("postgresql+psycopg://tieout:canary-secret@db:many/audit", "is not the address of a database"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql://tieout:canary-secret@db/audit", "must be sqlite:/// or postgresql+psycopg://, not mysql://"),
        ("postgresql://tieout:canary-secret@db/audit", "postgresql+psycopg://, not postgresql://"),
        ("postgresql+psycopg3://tieout:canary-secret@db/audit", "not postgresql+psycopg3://"),
        ("postgresql+asyncpg://tieout:canary-secret@db/audit", "not postgresql+asyncpg://"),
        ("sqlite+aiosqlite:///audit.db", "not sqlite+aiosqlite://"),
    ],
)
def test_a_wrong_address_is_told_without_the_password_in_it(url: str, words: str) -> None:
    """Unknown systems and drivers, and what is no address at all."""
    with pytest.raises(AuditUnusable) as caught:
        open_audit(url)
    assert words in str(caught.value)
    assert is_a_sentence(str(caught.value))
    assert "canary" not in told(caught.value)


def test_a_home_that_does_not_exist_is_a_sentence() -> None:
    """`~nobody-of-that-name/audit.db`."""
    assert "cannot be used" in refusal("sqlite:///~nobody-of-that-name/audit.db")


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    """Somebody's spreadsheet at the wrong path must survive."""
    path = tmp_path / "audit.db"
    path.write_bytes(b"PK\x03\x04" + b"spreadsheet" * 500)
    before = path.read_bytes()
    assert "is not a usable SQLite database" in refusal(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_damaged_database_is_told(tmp_path: Path, empty_audit: Path) -> None:
    """The header is right, what follows is not."""
    path = tmp_path / "audit.db"
    whole = empty_audit.read_bytes()
    path.write_bytes(whole[:1000] + b"\xff" * (len(whole) - 1000))
    assert "restore it from a backup" in refusal(f"sqlite:///{path}")


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path, create: bool) -> None:
    """It cannot be opened."""
    (tmp_path / "audit.db").mkdir()
    assert "cannot be opened" in refusal(f"sqlite:///{tmp_path}/audit.db", create)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    """The folder cannot be made there."""
    (tmp_path / "data").write_text("")
    assert "folder of the audit database" in refusal(f"sqlite:///{tmp_path}/data/audit.db")


def test_without_leave_to_create_it_a_missing_database_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    """Commands that only look must not leave an empty database behind."""
    assert "no audit database at" in refusal(f"sqlite:///{tmp_path}/sub/audit.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_without_leave_to_create_it_an_empty_server_is_told(postgres_url: str) -> None:
    """The same for PostgreSQL: run `tieout setup`."""
    assert "`tieout setup`" in refusal(postgres_url, create=False)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder with an audit database of one's own, and no rights of the superuser, whom no file refuses anything."""
    folder = Path(tempfile.mkdtemp())
    rights = os.geteuid()
    folder.chmod(0o777)
    # Made before the rights are given up: nobody may have no right to read the migrations in this checkout.
    open_audit(f"sqlite:///{folder}/audit.db").close()
    if rights == 0:
        for path in folder.iterdir():
            os.chown(path, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(rights)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_told(as_nobody: Path) -> None:
    """A new database cannot be made there."""
    (as_nobody / "locked").mkdir(mode=0o555)
    assert "cannot be opened; check [audit] url and the rights" in refusal(f"sqlite:///{as_nobody}/locked/audit.db")
    assert "cannot be used (Permission denied)" in refusal(f"sqlite:///{as_nobody}/locked/sub/audit.db")


def test_a_file_that_may_not_be_written_can_be_read_and_a_write_is_told(as_nobody: Path) -> None:
    """The rights were taken away: what is in it is still shown."""
    path = as_nobody / "audit.db"
    path.chmod(0o444)
    audit = open_audit(f"sqlite:///{path}")
    row = {"scope": "x", "name": "y", "read_at": datetime.now(UTC), "body": b""}
    told_as = failing(audit, lambda connection: connection.execute(insert(KEPT_LISTS).values(**row)))
    assert "is read-only; give this user the right to write to the file and its folder" in told_as
    audit.close()


def test_a_file_in_a_folder_that_may_not_be_written_is_told(as_nobody: Path) -> None:
    """SQLite needs two more files beside it."""
    folder = as_nobody / "locked"
    folder.mkdir()
    (as_nobody / "audit.db").rename(folder / "audit.db")
    folder.chmod(0o555)
    assert "write to the file and its folder" in refusal(f"sqlite:///{folder}/audit.db")
    folder.chmod(0o777)


def test_a_database_that_somebody_keeps_locked_is_told(
    tmp_path: Path, empty_audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the busy time, at opening as well as at a write; reading goes on."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    url = f"sqlite:///{shutil.copy(empty_audit, tmp_path / 'audit.db')}"
    audit = open_audit(url)
    new = f"sqlite:///{tmp_path}/new.db"
    with closing(sqlite3.connect(tmp_path / "audit.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "stayed locked by another program for 0.05 s; close that one" in failing(audit)
        open_audit(url).close()
        with audit.reading() as connection:
            assert connection.execute(select(INSTALLATION.c.id)).scalar_one() == audit.id
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "stayed locked" in refusal(new)
    open_audit(new).close()
    audit.close()


def test_a_full_disk_is_told(audit: Audit) -> None:
    """SQLite's own limit of pages stands in for the disk."""

    def write(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        row = {"scope": "x", "name": "y", "read_at": datetime.now(UTC), "body": b"x" * 1_000_000}
        connection.execute(insert(KEPT_LISTS).values(**row))

    assert "is full; make room there" in failing(audit, write)


def test_a_table_that_is_not_there_is_told_in_the_databases_own_words(audit: Audit) -> None:
    """What has no sentence of its own keeps its words, on one line."""
    told_as = failing(audit, lambda connection: connection.execute(text("SELECT 1 FROM nowhere")))
    assert told_as.endswith("failed (no such table: nowhere).")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.set(host="127.0.0.1", port=1), "does not answer; check that the server runs"),
        (lambda url: url.set(host="no-such-host.invalid"), "does not answer; check that the server runs"),
        (lambda url: url.set(database="no_such_database"), "The server has no audit database at"),
    ],
    ids=["nobody listens", "no such host", "no such database"],
)
def test_a_postgresql_that_cannot_be_reached_is_told_without_the_password(
    postgres_url: str, change: Callable[[Any], Any], words: str
) -> None:
    """One sentence, with the address but not what is secret in it."""
    url = change(make_url(postgres_url)).set(password="canary-secret").render_as_string(hide_password=False)
    sentence = refusal(url)
    assert words in sentence
    assert "canary" not in sentence


def test_a_wrong_user_or_password_is_told(postgres_url: str) -> None:
    """Whichever the server refuses first; the sentence is the same."""
    wrong = make_url(postgres_url).set(username="no_such_user", password="canary-secret", host="127.0.0.1")
    sentence = refusal(wrong.render_as_string(hide_password=False))
    assert "refused the user or password" in sentence
    assert "canary" not in sentence


@pytest.mark.parametrize(
    ("words", "told_as"),
    [
        ('connection failed: FATAL:  password authentication failed for user "x"', "refused the user or password"),
        ('connection failed: FATAL:  role "x" does not exist', "refused the user or password"),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "1.2.3.4"', "refused the user or password"),
        ('connection failed: FATAL:  database "x" does not exist', "has no audit database"),
        ("permission denied for schema public\nLINE 1: CREATE TABLE", "grant it all rights"),
        ("connection failed: Connection refused\n\tIs the server running?", "does not answer"),
        ("connection timeout expired", "does not answer"),
        ("failed to resolve host 'db': Name or service not known", "does not answer"),
        ("server closed the connection unexpectedly", "does not answer"),
        ("cannot execute INSERT in a read-only transaction", "is read-only"),
        ('could not extend file "base/1/2": No space left on device', "disk"),
        ("", "failed (no message)"),
    ],
)
def test_the_messages_of_both_databases_find_their_sentence(audit: Audit, words: str, told_as: str) -> None:
    """What PostgreSQL says in cases that are hard to bring about here."""
    sentence = database._sentence(audit.engine, words)
    assert told_as in sentence
    assert is_a_sentence(sentence)


def test_postgresql_gets_ten_seconds_to_take_a_connection_unless_the_address_says_otherwise() -> None:
    """A host that swallows packets must not hang a command."""
    engine = database._engine("postgresql+psycopg://db/audit", create=True)
    arguments = engine.dialect.create_connect_args(engine.url)[1]
    assert "connect_timeout" not in arguments
    assert database.CONNECT_SECONDS == 10
    own = database._engine("postgresql+psycopg://db/audit?connect_timeout=3", create=True)
    assert own.dialect.create_connect_args(own.url)[1]["connect_timeout"] == "3"
