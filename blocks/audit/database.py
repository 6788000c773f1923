"""The audit database: one connection pool, short transactions, migrations, and sentences for what goes wrong."""

from __future__ import annotations

import sqlite3
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from isal import isal_zlib
from sqlalchemy import URL, Connection, Dialect, Engine, Insert, bindparam, create_engine, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from blocks.audit.tables import INSTALLATION, LEASES, Installation

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
"""How long a write waits for another program's."""
CONNECT_SECONDS = 10
"""How long PostgreSQL may take to take a connection."""


# Statements that are carried out with every call are put together once: that costs as much as to carry them out.
FENCE = select(LEASES.c.fence).where(LEASES.c.name == bindparam("name")).with_for_update()


class AuditUnusable(Exception):
    """The audit database cannot be opened or written. The message is for the operator."""


class LeaseLost(Exception):
    """Another cycle has taken over this family; this one must not write any more."""


class Held(Protocol):
    """What a transaction checks before it commits: a lease that must still be ours."""

    @property
    def name(self) -> str:
        """The lease's name."""
        ...

    @property
    def fence(self) -> int:
        """Its fencing number when it was taken."""
        ...


class Audit:
    """The open audit database. Safe to use from several threads; every method of the neighbours takes one."""

    def __init__(self, engine: Engine, installation: Installation) -> None:
        self.engine = engine
        # SQLite has one writer; threads that wait here go on at once, those that wait there sleep and try again.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        self.id = installation.id
        self.set_up_on = installation.set_up_on

    @contextmanager
    def transaction(self, lease: Held | None = None) -> Iterator[Connection]:
        """A short write transaction. With `lease` it checks first that the lease is still held (else LeaseLost).

        No network call belongs inside.
        """
        with _in_words(self.engine), self._turn, self.engine.begin() as connection:
            if lease is not None:
                fence = connection.execute(FENCE, {"name": lease.name}).scalar()
                if fence != lease.fence:
                    raise LeaseLost(f"another cycle has taken over {lease.name}; this one stops")
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading; it never waits for a writer."""
        with _in_words(self.engine), self.engine.connect() as connection:
            yield connection.execution_options(tieout_reading=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_audit(url: str, create: bool = True) -> Audit:
    """Open (and, with `create`, make or migrate) the audit database at `url`.

    SQLite runs with WAL and full synchronisation: a request must be on disk before it is sent. Raises AuditUnusable
    with a sentence.
    """
    engine = _engine(url, create)
    try:
        with _in_words(engine):
            return Audit(engine, _installation(engine, create))
    except BaseException:
        engine.dispose()
        raise


def _installation(engine: Engine, create: bool) -> Installation:
    """This database's own identity, once it is at the newest version."""
    newest, known = _revisions()
    with engine.connect().execution_options(tieout_reading=True) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None and not create:
        raise AuditUnusable(_absent(shown(engine)))
    if current is not None and current not in known:
        raise AuditUnusable(
            f"The audit database at {shown(engine)} was made by a newer tieout; use that one, or newer."
        )
    if current != newest:
        _migrate(engine)
    with engine.connect().execution_options(tieout_reading=True) as connection:
        found = connection.execute(select(INSTALLATION.c.id, INSTALLATION.c.set_up_on)).one()
    return Installation(id=found.id, set_up_on=found.set_up_on)


@cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """The newest revision, and all that this version knows."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def _absent(place: str) -> str:
    return f"There is no audit database at {place} yet; run `tieout setup` first."


def _engine(url: str, create: bool) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Its own error quotes the address, and that may hold a password.
        raise AuditUnusable(
            "The [audit] url is not the address of a database; it should look like sqlite:////folder/audit.db."
        ) from None
    if parsed.drivername == "sqlite":
        return _sqlite(parsed, create)
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(
            parsed,
            connect_args={"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in parsed.query else {},
            pool_size=8,
            max_overflow=16,
            pool_pre_ping=True,
        )
    raise AuditUnusable(f"The [audit] url must be sqlite:/// or postgresql+psycopg://, not {parsed.drivername}://.")


def _sqlite(url: URL, create: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise AuditUnusable("The [audit] url must name a file: a database in memory would forget what was posted.")
    try:
        path = Path(url.database).expanduser()
        if not create and not path.exists():
            raise AuditUnusable(_absent(str(path)))
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise AuditUnusable(
            f"The folder of the audit database at {url.database} cannot be used ({words}); check [audit] url."
        ) from error
    engine = create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        pool_size=8,
        max_overflow=16,
        # What one connection writes empties the others' page caches: whoever wrote last writes next.
        pool_use_lifo=True,
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by _begin_sqlite, not by the driver's own guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        # Refused at once, whatever the timeout, while another program switches the same new file.
        patient = Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            ),
            stop=stop_after_delay(BUSY_SECONDS),
            wait=wait_random(0.01, 0.05),
            reraise=True,
        )
        # Of a new file: in pages of the usual 4 KB each binding takes one, half of which stays empty.
        cursor.execute("PRAGMA page_size=16384")
        patient(cursor.execute, "PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-16000")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A write transaction takes its lock at once: one that reads first and then writes would fail instead of waiting.
    reading = connection.get_execution_options().get("tieout_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


_migrating = threading.Lock()


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _migrating, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two workers may start at once; whoever comes second finds the work done.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7460811)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if connection.execute(select(INSTALLATION.c.id)).first() is None:
            connection.execute(insert(INSTALLATION).values(id=uuid.uuid4().hex, set_up_on=datetime.now(UTC).date()))


class ManyRows:
    """An insert of many rows, put together once.

    SQLAlchemy works out each value of each row in Python loops of its own, which costs more than what SQLite then does.
    Here the columns' types are asked for the values, and the driver gets the rows as they are (docs/decisions/0008).
    """

    def __init__(self, insert_into: Callable[[Dialect], Insert]) -> None:
        self._insert_into = insert_into
        self._known: dict[tuple[str, ...], _Prepared] = {}

    def carry_out(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows, each with the same columns."""
        if not rows:
            return
        dialect, columns = connection.dialect, tuple(rows[0])
        known = self._known.get((dialect.name, *columns))
        if known is None:
            known = self._known[(dialect.name, *columns)] = _Prepared.of(self._insert_into(dialect), dialect, columns)
        connection.exec_driver_sql(known.text, known.values(rows))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement as the driver takes it: its parameters in their order, each with what its type makes of a value."""

    text: str
    parameters: Sequence[tuple[str, Callable[[Any], Any] | None]]
    positional: bool

    @classmethod
    def of(cls, statement: Insert, dialect: Dialect, columns: Sequence[str]) -> _Prepared:
        """Compiled for a kind of database. What the table itself would fill in must be in the rows."""
        compiled = statement.inline().compile(dialect=dialect, column_keys=list(columns))
        assert set(compiled.binds) == set(columns), "a column is filled in by SQLAlchemy"
        names = compiled.positiontup if compiled.positional else list(columns)
        kinds = {name: parameter.type.dialect_impl(dialect) for name, parameter in compiled.binds.items()}
        return cls(
            str(compiled), [(name, kinds[name].bind_processor(dialect)) for name in names or ()], compiled.positional
        )

    def values(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        made = [[row[name] if of is None else of(row[name]) for name, of in self.parameters] for row in rows]
        if self.positional:
            return [tuple(row) for row in made]
        names = [name for name, _ in self.parameters]
        return [dict(zip(names, row, strict=True)) for row in made]


@contextmanager
def _in_words(engine: Engine) -> Iterator[None]:
    """Turn the database's own errors into sentences; others, and broken rules of our own tables, pass."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise AuditUnusable(_sentence(engine, str(error.orig))) from error


SENTENCES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("readonly", "read-only", "read only"),
        "The audit database at {place} is read-only; give this user the right to write to the file and its folder.",
    ),
    (("locked",), "The audit database at {place} stayed locked by another program for {seconds} s; close that one."),
    (
        ("unable to open",),
        "The audit database at {place} cannot be opened; check [audit] url and the rights on its folder.",
    ),
    (
        ("not a database", "malformed"),
        "The file at {place} is not a usable SQLite database; restore it from a backup or choose another file.",
    ),
    (("is full", "no space left"), "The disk of the audit database at {place} is full; make room there."),
    (
        ("password", "authentication", 'fatal:  role "', "no pg_hba.conf entry"),
        "The audit database at {place} refused the user or password; check [audit] url.",
    ),
    (
        ('fatal:  database "',),
        "The server has no audit database at {place}; create it, or check the name in [audit] url.",
    ),
    (
        ("permission denied",),
        "The audit database at {place} does not let this user in or write; grant it all rights on its schema.",
    ),
    (
        ("refused", "could not connect", "connection failed", "resolve", "timeout", "closed the connection"),
        "The audit database at {place} does not answer; check that the server runs and that [audit] url is right.",
    ),
)
"""What stands in a database's own message, and what people are told; the first that fits."""


def _sentence(engine: Engine, words: str) -> str:
    lowered = words.lower()
    for marks, sentence in SENTENCES:
        if any(mark in lowered for mark in marks):
            return sentence.format(place=shown(engine), seconds=BUSY_SECONDS)
    return f"The audit database at {shown(engine)} failed ({' '.join(words.split())[:300] or 'no message'})."


def shown(engine: Engine) -> str:
    """The database's address for people: no password."""
    url = engine.url
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def pack(text: str | bytes) -> bytes:
    """Compress a body for keeping, as zlib does."""
    # Level 2 is as small as 1, and quicker where there is little to compress.
    return isal_zlib.compress(text.encode() if isinstance(text, str) else text, 2)


def unpack(kept: bytes | None) -> str:
    """The text of a kept body; '' where its time is over."""
    return "" if kept is None else zlib.decompress(kept).decode("utf-8", "replace")
