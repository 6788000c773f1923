"""Requests and bindings: what makes a write safe to repeat.

A request is stored before it is sent: its exact bytes, its key, and a row for every record in it. While a row is
unsettled no other request can carry that record (a unique index). Settling binds what Xero answered, in one
transaction, before anything else can fail.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from blocks.audit.among import among
from blocks.audit.contacts import remember_in
from blocks.audit.database import Audit, Held, ManyRows, pack, unpack
from blocks.audit.settlements import used_in
from blocks.audit.tables import BINDINGS, FOUND_DOCUMENTS, REQUEST_ROWS, REQUESTS
from mappings import allocations, linked_transactions, payments
from mappings.allocations import Allocate, Unallocate
from mappings.linked_transactions import Link
from mappings.merging import LastWrite
from mappings.payments import Pay, Unpay
from mappings.plans import Bound
from mappings.posted import line_ids
from mappings.xero import Document, Found, NewContact, write_json

Carried = TypeVar("Carried", Document, NewContact, Pay | Unpay, Allocate | Unallocate, Link)
"""What a request can carry."""
READERS: dict[str, Callable[[str], Any]] = {
    NewContact.family: NewContact.from_text,
    payments.FAMILY: payments.read_write,
    allocations.FAMILY: allocations.read_write,
    linked_transactions.FAMILY: Link.from_text,
}
"""Families whose requests carry something else than documents."""


@dataclass(frozen=True, slots=True)
class RowOfRequest(Generic[Carried]):
    """One record inside a stored request, as it was mapped when the request was stored."""

    connectwise_id: int
    part: str
    reference: str
    number: str
    url: str
    fingerprint: str
    document: Carried

    @classmethod
    def of(cls, carried: Carried) -> RowOfRequest[Carried]:
        """The row of a record."""
        return cls(
            carried.connectwise_id, carried.part, carried.reference, carried.number, carried.url, carried.fingerprint,
            carried,
        )  # fmt: skip


# What each write is stored and settled with, put together once.
INSERT_REQUEST = insert(REQUESTS)
INSERT_ROWS = ManyRows(lambda _dialect: insert(REQUEST_ROWS))
INSERT_BINDINGS = ManyRows(lambda _dialect: insert(BINDINGS))
BOUND = select(BINDINGS.c.connectwise_id, BINDINGS.c.part, BINDINGS.c.writes, BINDINGS.c.xero_id).where(
    BINDINGS.c.family == bindparam("family"), among(BINDINGS.c.connectwise_id, "ids")
)
SETTLE_ROWS = (
    update(REQUEST_ROWS)
    .where(
        REQUEST_ROWS.c.request_id == bindparam("request"),
        among(REQUEST_ROWS.c.connectwise_id, "ids"),
        REQUEST_ROWS.c.settled_at.is_(None),
    )
    .values(settled_at=bindparam("now"))
)
UNSETTLED_ROW = (
    select(REQUEST_ROWS.c.id)
    .where(REQUEST_ROWS.c.request_id == bindparam("request"), REQUEST_ROWS.c.settled_at.is_(None))
    .limit(1)
)
SETTLE_REQUEST = (
    update(REQUESTS)
    .where(REQUESTS.c.id == bindparam("request"))
    .values(settled_at=bindparam("now"), how=bindparam("words"))
)
FORGET_FOUND = delete(FOUND_DOCUMENTS).where(among(FOUND_DOCUMENTS.c.xero_id, "ids"))


class Occupied(Exception):
    """A record of a request sits in another unsettled request, or is bound already: nothing was stored."""


@dataclass(frozen=True, slots=True)
class StoredRequest(Generic[Carried]):
    """A write call as it was stored; `body` are the exact bytes of every attempt."""

    id: str
    run_id: str
    family: str
    tenant_id: str
    organisation: str
    method: str
    path: str
    idempotency_key: str
    body: bytes
    stored_at: datetime
    rows: tuple[RowOfRequest[Carried], ...]


def store(
    audit: Audit,
    run_id: str,
    method: str,
    path: str,
    body: bytes,
    documents: Sequence[Carried],
    now: datetime,
    lease: Held | None,
    *,
    updating: Mapping[int, int] | None = None,
    instead: Sequence[int] = (),
    used: Mapping[int, Mapping[int, int]] | None = None,
) -> StoredRequest[Carried]:
    """Store a request with its rows. Raises Occupied, and nothing is stored.

    Without `updating` its records must not be bound yet. With it they must be, and written exactly so many times as
    it says. `instead`: records whose binding is given up, because a person wants their removed document made anew.
    `used`: by record, the highest instalment of each of its rows when it was decided on. Where there is a higher one by
    now, somebody else has written to it since, and it has to be decided anew.
    """
    first = documents[0]
    rows = tuple(RowOfRequest.of(document) for document in documents)
    # Xero recommends four joined UUIDs and refuses more than 128 characters; one UUID is as unique and the id as well.
    request = StoredRequest(
        uuid.uuid4().hex, run_id, first.family, first.tenant_id, first.organisation, method, path, uuid.uuid4().hex,
        body, now, rows,
    )  # fmt: skip
    try:
        with audit.transaction(lease) as connection:
            if used is not None:
                _insist_on(connection, first.family, used, {(row.connectwise_id, row.part) for row in rows})
            _insert(connection, request)
            if instead:
                given_up = (BINDINGS.c.family == first.family, among(BINDINGS.c.connectwise_id, instead))
                connection.execute(delete(BINDINGS).where(*given_up))
            # Only now, with our rows in place: who bound one of these records has settled its own row before, and
            # who has not bound it yet cannot store a row beside ours any more.
            bound = connection.execute(BOUND, {"family": first.family, "ids": [row.connectwise_id for row in rows]})
            carried = {(row.connectwise_id, row.part) for row in rows}
            there = {(row.connectwise_id, row.part): row.writes for row in bound}
            writes = {key: count for key, count in there.items() if key in carried}
            if writes != {key: count for key in carried if (count := (updating or {}).get(key[0])) is not None}:
                raise Occupied
    except IntegrityError as error:
        raise Occupied from error
    return request


def _insist_on(
    connection: Connection, family: str, used: Mapping[int, Mapping[int, int]], ours: set[tuple[int, str]]
) -> None:
    ids = list(used)
    # Two that write to one invoice at once do it one after the other: its own binding is there, and holds the second.
    connection.execute(select(BINDINGS.c.id).where(among(BINDINGS.c.connectwise_id, ids)).with_for_update())
    for number, now in used_in(connection, family, ids, ours).items():
        if any(instalment > used[number].get(row, 0) for row, instalment in now.items()):
            raise Occupied


def _insert(connection: Connection, request: StoredRequest[Any]) -> None:
    connection.execute(
        INSERT_REQUEST,
        {
            "id": request.id, "run_id": request.run_id, "family": request.family, "tenant_id": request.tenant_id,
            "organisation": request.organisation, "method": request.method, "path": request.path, "how": "",
            "idempotency_key": request.idempotency_key, "stored_at": request.stored_at, "body": pack(request.body),
        },
    )  # fmt: skip
    INSERT_ROWS.carry_out(
        connection,
        [
            {
                "request_id": request.id, "tenant_id": request.tenant_id, "family": request.family,
                "connectwise_id": row.connectwise_id, "part": row.part, "reference": row.reference,
                "number": row.number, "url": row.url, "fingerprint": row.fingerprint,
                "document": _packed(row.document.to_text()),
            }
            for row in request.rows
        ],
    )  # fmt: skip


@lru_cache(maxsize=512)
def _packed(text: str) -> bytes:
    """A document as it is kept: with its request first, with its binding a moment later."""
    return pack(text)


def unsettled(audit: Audit, family: str) -> list[StoredRequest[Any]]:
    """All requests of a family whose fate is unknown, oldest first, with their unsettled rows."""
    read = READERS.get(family, Document.from_text)
    with audit.reading() as connection:
        requests = connection.execute(
            select(REQUESTS)
            .where(REQUESTS.c.family == family, REQUESTS.c.settled_at.is_(None))
            .order_by(REQUESTS.c.stored_at, REQUESTS.c.id)
        ).all()
        found = []
        for request in requests:
            rows = connection.execute(
                select(REQUEST_ROWS)
                .where(REQUEST_ROWS.c.request_id == request.id, REQUEST_ROWS.c.settled_at.is_(None))
                .order_by(REQUEST_ROWS.c.id)
            ).all()
            found.append(
                StoredRequest(
                    request.id, request.run_id, request.family, request.tenant_id, request.organisation,
                    request.method, request.path, request.idempotency_key, unpack(request.body).encode(),
                    request.stored_at,
                    tuple(
                        RowOfRequest(
                            row.connectwise_id, row.part, row.reference, row.number, row.url, row.fingerprint,
                            read(unpack(row.document)),
                        )
                        for row in rows
                    ),
                )
            )  # fmt: skip
    return found


def unsettled_ids(audit: Audit, family: str) -> set[int]:
    """The records that sit in an unsettled request and must not be written by another one."""
    with audit.reading() as connection:
        return set(
            connection.execute(
                select(REQUEST_ROWS.c.connectwise_id).where(
                    REQUEST_ROWS.c.family == family,
                    REQUEST_ROWS.c.settled_at.is_(None),
                )
            ).scalars()
        )


def settle_in(
    connection: Connection, request: StoredRequest[Any], connectwise_ids: Iterable[int], how: str, now: datetime
) -> None:
    """Settle some rows of a request; the request itself is settled with its last row."""
    ids = list(connectwise_ids)
    if ids:
        connection.execute(SETTLE_ROWS, {"request": request.id, "ids": ids, "now": now})
    if connection.execute(UNSETTLED_ROW, {"request": request.id}).first() is None:
        connection.execute(SETTLE_REQUEST, {"request": request.id, "now": now, "words": how})


def bind_in(
    connection: Connection,
    pairs: Sequence[tuple[Document, Found]],
    adopted: bool,
    now: datetime,
    *,
    ours: bool = True,
) -> None:
    """Bind records to the documents that Xero answered with.

    `ours` False: they are not as we would write them, and an edit has to follow.
    """
    if not pairs:
        return
    known = {
        row.connectwise_id: row.xero_id
        for row in connection.execute(
            BOUND, {"family": pairs[0][0].family, "ids": [document.connectwise_id for document, _ in pairs]}
        )
    }
    rows = [
        {
            "family": document.family, "connectwise_id": document.connectwise_id, "part": "",
            "tenant_id": document.tenant_id, "organisation": document.organisation, "xero_id": found.xero_id,
            "reference": document.reference, "fingerprint": document.fingerprint if ours else "",
            "writes": 0 if adopted else 1,
            # Of what a person let stand as it is, hers is the total that Xero is expected to have.
            "total": format(found.total if adopted and ours else document.total, "f"),
            "currency": document.currency, "date": document.date,
            "adopted": adopted, "lines": write_json(line_ids(document, found)), "base": pack(found.text),
            "written": _packed(document.to_text()) if ours else None, "bound_at": now,
        }
        for document, found in pairs
        # An answer settled a second time after a crash; anything else must break the unique constraints, loudly.
        if known.get(document.connectwise_id) != found.xero_id
    ]  # fmt: skip
    INSERT_BINDINGS.carry_out(connection, rows)
    remember_in(connection, _learnt([document for document, _ in pairs]), now)
    connection.execute(FORGET_FOUND, {"ids": [found.xero_id for _, found in pairs]})


@dataclass(frozen=True, slots=True)
class Rebinding:
    """What a bound record was written as, or (`written` False) what is taken for its base from now on.

    `line_ids` are the lines that were there before, `total` and `date` are what Xero is expected to have. What was not
    written counts with the currency that it has in Xero.
    """

    document: Document
    found: Found
    line_ids: Mapping[str, str]
    total: Decimal
    date: date
    written: bool


def rebind_in(connection: Connection, rebindings: Sequence[Rebinding], now: datetime) -> None:
    """Note the newest state of bound records."""
    for each in rebindings:
        document = each.document
        connection.execute(
            update(BINDINGS)
            .where(
                BINDINGS.c.family == document.family,
                BINDINGS.c.connectwise_id == document.connectwise_id,
                BINDINGS.c.part == document.part,
            )
            .values(
                fingerprint=document.fingerprint,
                reference=document.reference,
                writes=BINDINGS.c.writes + int(each.written),
                total=format(each.total, "f"),
                currency=(document.currency if each.written else each.found.currency) or document.currency,
                date=each.date,
                lines=write_json(line_ids(document, each.found, each.line_ids)),
                base=pack(each.found.text),
                written=pack(document.to_text()),
                bound_at=now,
            )
        )
    remember_in(connection, _learnt([each.document for each in rebindings]), now)


def _learnt(documents: Sequence[Document]) -> list[tuple[str, int, str]]:
    """The contacts that were found by rule."""
    return [(each.tenant_id, each.company_id, each.contact_id) for each in documents if each.company_id]


def bound(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, Bound]:
    """The bindings of these records."""
    found: dict[int, Bound] = {}
    with audit.reading() as connection:
        for row in connection.execute(
            select(
                BINDINGS.c.connectwise_id, BINDINGS.c.tenant_id, BINDINGS.c.organisation, BINDINGS.c.xero_id,
                BINDINGS.c.reference, BINDINGS.c.fingerprint, BINDINGS.c.writes, BINDINGS.c.total,
                BINDINGS.c.currency, BINDINGS.c.date,
            ).where(BINDINGS.c.family == family, among(BINDINGS.c.connectwise_id, ids))
        ):  # fmt: skip
            found[row.connectwise_id] = Bound(
                row.tenant_id, row.organisation, row.xero_id, row.reference, row.fingerprint, row.writes,
                Decimal(row.total), row.currency, row.date,
            )  # fmt: skip
    return found


def bases(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, Found]:
    """The documents of these records as Xero last answered them."""
    found: dict[int, Found] = {}
    with audit.reading() as connection:
        for row in connection.execute(
            select(BINDINGS.c.connectwise_id, BINDINGS.c.base).where(
                BINDINGS.c.family == family, among(BINDINGS.c.connectwise_id, ids)
            )
        ):
            found[row.connectwise_id] = Found.parse(_read(unpack(row.base)))
    return found


def last_writes(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, LastWrite]:
    """Our document, Xero's answer and the ids of the lines as of the last write of each bound record."""
    found: dict[int, LastWrite] = {}
    with audit.reading() as connection:
        for row in connection.execute(
            select(BINDINGS.c.connectwise_id, BINDINGS.c.base, BINDINGS.c.written, BINDINGS.c.lines).where(
                BINDINGS.c.family == family, among(BINDINGS.c.connectwise_id, ids)
            )
        ):
            found[row.connectwise_id] = LastWrite(
                Document.from_text(unpack(row.written)) if row.written is not None else None,
                Found.parse(_read(unpack(row.base))),
                json.loads(row.lines),
            )
    return found


def owners(audit: Audit, tenant_id: str, xero_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Whose documents these are: family and record of those that are bound."""
    found: dict[str, tuple[str, int]] = {}
    with audit.reading() as connection:
        for row in connection.execute(
            select(BINDINGS.c.xero_id, BINDINGS.c.family, BINDINGS.c.connectwise_id).where(
                BINDINGS.c.tenant_id == tenant_id, among(BINDINGS.c.xero_id, xero_ids)
            )
        ):
            found[row.xero_id] = (row.family, row.connectwise_id)
    return found


def keep_found(
    audit: Audit, tenant_id: str, family: str, found: Sequence[tuple[int, Found]], lease: Held | None
) -> None:
    """Keep documents that bear our link but have no binding: they are looked at before any create."""
    if not found:
        return
    with audit.transaction(lease) as connection:
        insert_or_not = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(FOUND_DOCUMENTS)
        connection.execute(
            insert_or_not.on_conflict_do_nothing(),
            [
                {
                    "tenant_id": tenant_id, "xero_id": document.xero_id, "family": family,
                    "connectwise_id": connectwise_id, "body": pack(document.text),
                }
                for connectwise_id, document in found
            ],
        )  # fmt: skip


def found_documents(audit: Audit, family: str, ids: Sequence[int]) -> dict[int, list[Found]]:
    """The kept documents of these records that bear our link, not bound yet."""
    found: dict[int, list[Found]] = {}
    with audit.reading() as connection:
        for row in connection.execute(
            select(FOUND_DOCUMENTS.c.connectwise_id, FOUND_DOCUMENTS.c.body).where(
                FOUND_DOCUMENTS.c.family == family,
                among(FOUND_DOCUMENTS.c.connectwise_id, ids),
            )
        ):
            found.setdefault(row.connectwise_id, []).append(Found.parse(_read(unpack(row.body))))
    return found


def _read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)
