"""The audit's tables: our own record of what was read, written, decided and refused.

Tables are not domain types (SQLModel does not validate them): they are filled from validated values and live here
only. Rows of `outcomes` and `exchanges` are added, never edited. Times are UTC and aware; money is text.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Index, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is aware and in UTC on both sides, also where the database forgets zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (SQLAlchemy calls it so)
        """Refuse a naive time, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was about to be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (SQLAlchemy calls it so)
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def _time(nullable: bool = False, index: bool = False) -> Any:
    return Column(UtcDateTime, nullable=nullable, index=index)


def _long_text() -> Any:
    return Column(Text, nullable=False, default="")


class Installation(SQLModel, table=True):
    """One row: the identity of this audit database, part of every cache key, and the day of the first set-up."""

    __tablename__ = "installation"

    id: str = Field(primary_key=True)
    set_up_on: date


class Run(SQLModel, table=True):
    """One cycle of a family."""

    __tablename__ = "runs"

    id: str = Field(primary_key=True)
    family: str = Field(index=True)
    mode: str
    state: str
    flow_run_id: str = ""
    fence: int = 0
    started_at: datetime = Field(sa_column=_time())
    ended_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    counts: str = Field(default="{}", sa_column=_long_text())
    message: str = Field(default="", sa_column=_long_text())


class Record(SQLModel, table=True):
    """Where one ConnectWise record stands: how it last ended, and its copy for as long as it has to wait.

    `seen` is the digest of the header as dealt with; `waits_on` the lists of Xero whose change could free it; `body`
    and `tried_at` what Xero refused, and when. `location_id` is ConnectWise's (0: none; null: not known),
    `is_open` whether anything of an invoice was due (null: a family that does not ask).
    """

    __tablename__ = "records"
    __table_args__ = (Index("ix_records_waiting", "family", "outcome"),)

    family: str = Field(primary_key=True)
    connectwise_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    reference: str = Field(index=True)
    organisation: str = ""
    seen: str = ""
    outcome: str
    reason: str = ""
    waits_on: str = ""
    value: str = ""
    message: str = Field(default="", sa_column=_long_text())
    body: str = ""
    run_id: str = ""
    tried_at: datetime = Field(sa_column=_time())
    copy_of: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    location_id: int | None = None
    is_open: bool | None = None


class Binding(SQLModel, table=True):
    """This ConnectWise record (or this part of it) is that Xero document.

    `written` is our mapped document as last written (its `fingerprint` alone tells whether it changed), `base` Xero's
    answer to it, `lines` our key of each line and its LineItemID, `writes` how often it was written, `total` what Xero
    is expected to have. Two unique constraints are the guard against copies: one document per record, one record per
    document.
    """

    __tablename__ = "bindings"
    __table_args__ = (
        UniqueConstraint("family", "connectwise_id", "part", name="uq_bindings_record"),
        UniqueConstraint("tenant_id", "xero_id", "part", name="uq_bindings_document"),
    )

    id: int | None = Field(default=None, primary_key=True)
    family: str
    connectwise_id: int = Field(sa_type=BigInteger)
    part: str = ""
    tenant_id: str
    organisation: str
    xero_id: str
    reference: str
    fingerprint: str
    writes: int
    total: str
    currency: str
    date: date
    adopted: bool = False
    lines: str = Field(default="{}", sa_column=_long_text())
    base: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    written: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    bound_at: datetime = Field(sa_column=_time())


class KnownContact(SQLModel, table=True):
    """The contact that a ConnectWise company is in one organisation, as found by rule or made; never from a table."""

    __tablename__ = "contacts"

    tenant_id: str = Field(primary_key=True)
    company_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    contact_id: str
    known_since: datetime = Field(sa_column=_time())


class WriteRequest(SQLModel, table=True):
    """One write call, stored before it is sent: the exact bytes and the key of its own."""

    __tablename__ = "requests"
    __table_args__ = (Index("ix_requests_open", "family", "settled_at"),)

    id: str = Field(primary_key=True)
    run_id: str
    family: str
    tenant_id: str
    organisation: str
    method: str
    path: str
    idempotency_key: str
    stored_at: datetime = Field(sa_column=_time())
    settled_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    how: str = ""
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class RequestRow(SQLModel, table=True):
    """One record inside a write call. At most one unsettled row per record and part, in whatever organisation."""

    __tablename__ = "request_rows"
    __table_args__ = (
        Index(
            "uq_request_rows_unsettled",
            "family",
            "connectwise_id",
            "part",
            unique=True,
            sqlite_where=text("settled_at IS NULL"),
            postgresql_where=text("settled_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    request_id: str = Field(index=True, foreign_key="requests.id")
    tenant_id: str
    family: str
    connectwise_id: int = Field(sa_type=BigInteger)
    part: str = ""
    reference: str
    number: str
    url: str
    fingerprint: str
    settled_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    document: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class OutcomeRow(SQLModel, table=True):
    """How one record ended in one cycle, with the mapping rows that it used. Added, never edited."""

    __tablename__ = "outcomes"
    __table_args__ = (Index("ix_outcomes_record", "family", "connectwise_id"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(index=True)
    family: str
    connectwise_id: int = Field(sa_type=BigInteger)
    part: str = ""
    reference: str = Field(index=True)
    organisation: str = ""
    outcome: str
    reason: str = ""
    value: str = ""
    amount: str = ""
    currency: str = ""
    xero_id: str = ""
    connectwise_url: str = ""
    xero_url: str = ""
    message: str = Field(default="", sa_column=_long_text())
    rows_used: str = Field(default="", sa_column=_long_text())
    at: datetime = Field(sa_column=_time())


class OpenException(SQLModel, table=True):
    """A reason why a record waits, from its first cycle to the one in which it was resolved.

    `mailed_at` is when a mail server last took a mail that tells of it, `mailed_as` a digest of what it said then,
    `resolved_mailed_at` when one took a mail that says it is resolved.
    """

    __tablename__ = "exceptions"
    __table_args__ = (
        Index(
            "uq_exceptions_open",
            "family",
            "connectwise_id",
            "part",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    family: str
    organisation: str = ""
    reference: str = Field(index=True)
    connectwise_id: int = Field(sa_type=BigInteger)
    part: str = ""
    outcome: str
    reason: str
    value: str = ""
    amount: str = ""
    currency: str = ""
    message: str = Field(default="", sa_column=_long_text())
    fix: str = Field(default="", sa_column=_long_text())
    since: datetime = Field(sa_column=_time())
    first_run: str
    last_run: str
    resolved_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    mailed_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    mailed_as: str | None = None
    resolved_mailed_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    payment_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))


class Exchange(SQLModel, table=True):
    """One request and its answer, secrets redacted, bodies compressed. An unanswered one has no status."""

    __tablename__ = "exchanges"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_column=_time(index=True))
    run_id: str = Field(default="", index=True)
    system: str
    method: str
    url: str = Field(sa_column=Column(Text, nullable=False))
    status: int | None = None
    error: str = ""
    seconds: float = 0.0
    # "|40005|40006|": the numbers concerned, so that one can be found by a plain LIKE.
    references: str = Field(default="", sa_column=_long_text())
    request_hash: str = ""
    response_hash: str = ""
    request: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    response: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class WatermarkRow(SQLModel, table=True):
    """How far a family has been read; moved by compare-and-set on `version`."""

    __tablename__ = "watermarks"

    family: str = Field(primary_key=True)
    position: datetime = Field(sa_column=_time())
    version: int
    moved_at: datetime = Field(sa_column=_time())


class Lease(SQLModel, table=True):
    """Who is at work under a name. `fence` grows with every holder; a holder that was replaced cannot commit."""

    __tablename__ = "leases"

    name: str = Field(primary_key=True)
    holder: str
    what: str = ""
    fence: int
    taken_at: datetime = Field(sa_column=_time())
    expires_at: datetime = Field(sa_column=_time())


class ApiCall(SQLModel, table=True):
    """One call that is under way or still counts towards a limit: the shared limiter's whole memory.

    `app` is whose limit it is (the Xero app, the ConnectWise company), `scope` the organisation in it.
    """

    __tablename__ = "api_calls"
    __table_args__ = (Index("ix_api_calls_window", "app", "scope", "done_at"),)

    id: int | None = Field(default=None, primary_key=True)
    app: str
    scope: str
    taken_at: datetime = Field(sa_column=_time())
    done_at: datetime | None = Field(default=None, sa_column=_time(nullable=True))


class ApiPause(SQLModel, table=True):
    """What a system's headers said: no call before `until`, and how much of the day is left."""

    __tablename__ = "api_pauses"

    app: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    until: datetime | None = Field(default=None, sa_column=_time(nullable=True))
    why: str = ""
    day_remaining: int | None = None
    seen_at: datetime = Field(sa_column=_time())


class KeptList(SQLModel, table=True):
    """A reference list of one of the systems, as last read; renewed daily."""

    __tablename__ = "kept_lists"

    scope: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    read_at: datetime = Field(sa_column=_time())
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class FoundDocument(SQLModel, table=True):
    """A document seen in Xero that bears our link but has no binding (the audit is new, or was lost)."""

    __tablename__ = "found_documents"

    tenant_id: str = Field(primary_key=True)
    xero_id: str = Field(primary_key=True)
    family: str
    connectwise_id: int = Field(sa_type=BigInteger, index=True)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class PurchaseOrderRow(SQLModel, table=True):
    """How a purchase order stood when it was last read and dealt with; what the reports are made of.

    `seen` is the digest of its header, `content` that of header and lines, `lifecycle` that of the signed table it was
    dealt with by, and `answered` what that said of its states. Values are text, in the order's currency, before tax and
    freight. `received_on` is the last day on which anything was received. `also_covers` names the other orders of the
    same vendor invoice, as its bills were told.
    """

    __tablename__ = "purchase_orders"

    connectwise_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    reference: str = Field(index=True)
    ordered_on: date | None = None
    vendor_id: int = 0
    vendor_identifier: str = ""
    vendor: str = ""
    currency: str = ""
    state: str
    is_open: bool = Field(index=True)
    ordered_value: str
    received_value: str
    received_on: date | None = None
    vendor_invoice_number: str = ""
    location_id: int = 0
    seen: str
    content: str
    lifecycle: str
    answered: str
    also_covers: str = ""
    read_at: datetime = Field(sa_column=_time())


class SharedBill(SQLModel, table=True):
    """An order that may be on a bill which is kept under another order; what it has there, the bill itself says."""

    __tablename__ = "shared_bills"

    bill_key: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    order_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False, index=True))


class TracedOrder(SQLModel, table=True):
    """A purchase order as on-billing last read it, with its lines; `digest` names what on-billing reads of it.

    Without a copy ConnectWise did not show it.
    """

    __tablename__ = "traced_orders"

    connectwise_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    digest: str
    read_at: datetime = Field(sa_column=_time())
    copy_of: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class OnBilling(SQLModel, table=True):
    """So many of a purchase order's line are billed on by a product on an invoice; how sure that is, and why.

    `quantity` is text, in the line's unit.
    """

    __tablename__ = "on_billing"

    line_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    product_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    order_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    invoice_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    quantity: str
    certainty: str
    evidence: str = Field(default="", sa_column=_long_text())
    traced_at: datetime = Field(sa_column=_time())


def _table(model: type[SQLModel]) -> Table:
    """The plain table of a model: statements over it are typed, and cost nothing for thousands of rows."""
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
    return table


INSTALLATION = _table(Installation)
RUNS = _table(Run)
RECORDS = _table(Record)
BINDINGS = _table(Binding)
CONTACTS = _table(KnownContact)
REQUESTS = _table(WriteRequest)
REQUEST_ROWS = _table(RequestRow)
OUTCOMES = _table(OutcomeRow)
EXCEPTIONS = _table(OpenException)
EXCHANGES = _table(Exchange)
WATERMARKS = _table(WatermarkRow)
LEASES = _table(Lease)
API_CALLS = _table(ApiCall)
API_PAUSES = _table(ApiPause)
KEPT_LISTS = _table(KeptList)
FOUND_DOCUMENTS = _table(FoundDocument)
PURCHASE_ORDERS = _table(PurchaseOrderRow)
SHARED_BILLS = _table(SharedBill)
TRACED_ORDERS = _table(TracedOrder)
ON_BILLING = _table(OnBilling)
