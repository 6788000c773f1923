"""Extract, map and load for invoices and credit notes: thin tasks over the clients and the pure mapping.

What they return of many records is a UserList: in a list, Prefect notes of each of them in which task run it was made.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import UserList
from collections.abc import Sequence
from typing import Any

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy
from pydantic import ValidationError

from blocks.audit.runs import Result
from blocks.connectwise.client import Page, Pages
from mappings.connectwise import Invoice, SourceInvoice, describe, read_json, seen_digest
from mappings.outcomes import Hold, Reason
from mappings.plans import Create
from mappings.sources import SOURCES
from mappings.surroundings import Surroundings
from mappings.updates import Update
from mappings.xero import Document
from tasks import posting, updates
from tasks.cycle import Cycle, Entry
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, map_key, worth_a_retry


class Reading:
    """A list that is being read, page by page. (A plain class: Prefect does not look inside.)"""

    def __init__(self, family: str, pages: Pages, references: Sequence[str]) -> None:
        self.verb = f"read {family.replace('_', ' ')}"
        self.pages = pages
        self.references = references


class Detailing:
    """Headers whose rows are read."""

    verb = "read lines of"

    def __init__(self, cycle: Cycle, entries: Sequence[Entry]) -> None:
        self.cycle = cycle
        self.entries = entries
        self.references = [entry.reference for entry in entries]


class MapBatch:
    """Records to be mapped in the same surroundings; `digest` names all arguments of the mapping."""

    verb = "map"

    def __init__(self, family: str, installation: str, entries: Sequence[Entry], surroundings: Surroundings) -> None:
        self.family = family
        self.installation = installation
        self.entries = entries
        self.surroundings = surroundings
        self.references = [entry.reference for entry in entries]

    @property
    def digest(self) -> str:
        """Names every argument of this mapping."""
        digest = hashlib.sha256(self.surroundings.digest.encode())
        for entry in self.entries:
            if entry.source is not None:
                digest.update(entry.source.digest.encode())
        return digest.hexdigest()


class Loading:
    """New documents, or edits, of one organisation: one call, or several where a run is large."""

    verb = "load"

    def __init__(self, cycle: Cycle, writes: Sequence[Create] | Sequence[Update]) -> None:
        self.cycle = cycle
        self.writes: Sequence[Any] = writes
        self.references = [each.document.reference for each in writes]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_invoices(batch: Reading) -> Page:
    """The next page of invoice headers, raw."""
    return batch.pages.fetch()


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_lines(batch: Detailing) -> Sequence[Entry | tuple[Entry, Hold]]:
    """The same records with their time, expenses and products; with a reason where a row cannot be read."""
    rows = batch.cycle.doors.connectwise.invoice_rows([entry.connectwise_id for entry in batch.entries])
    return UserList(
        whole_of(
            entry,
            time=rows.time.get(entry.connectwise_id, []),
            expenses=rows.expenses.get(entry.connectwise_id, []),
            products=rows.products.get(entry.connectwise_id, []),
        )
        for entry in batch.entries
    )


@task(
    task_run_name=batch_name,
    cache_policy=CacheKeyFnPolicy(cache_key_fn=map_key),
    persist_result=True,
    result_serializer="compressed/pickle",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def map_invoices(batch: MapBatch) -> Sequence[Document | Hold]:
    """The Xero document of each record, or why there is none yet."""
    to_xero = SOURCES[batch.family].to_xero
    return UserList(to_xero(entry.source, batch.surroundings) for entry in batch.entries if entry.source is not None)


map_many = map_invoices.with_options(cache_policy=NO_CACHE, persist_result=False)
"""The same for a chunk of a large run: mapping again is quicker than reading it back (docs/decisions/0007)."""


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def load_invoices(batch: Loading) -> Sequence[Result]:
    """Write new invoices of one organisation; each success is cached under its own key."""
    results: UserList[Result] = UserList()
    for start in range(0, len(batch.writes), posting.BATCH):
        results += posting.create(batch.cycle, batch.writes[start : start + posting.BATCH])
    return results


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def update_invoices(batch: Loading) -> Sequence[Result]:
    """Write edits of invoices of one organisation; each success is cached under its own key."""
    return UserList(updates.update(batch.cycle, batch.writes))


def header_of(raw: dict[str, Any]) -> Entry | tuple[Entry, Hold]:
    """A raw header as an entry; with the reason where it cannot be read."""
    connectwise_id, number = describe(raw)
    try:
        header = Invoice.model_validate(raw)
    except ValidationError as error:
        # Without an id it still needs one of its own to be told apart by: a negative one, ConnectWise has none.
        own = connectwise_id or -zlib.crc32(simplejson.dumps(raw, use_decimal=True, sort_keys=True).encode())
        return Entry(own, number, {"header": raw}), unreadable("invoice", number, error)
    return Entry(header.id, header.invoice_number, {"header": raw}, header, seen_digest(header))


def from_copy(text: str) -> Entry | tuple[Entry, Hold]:
    """A waiting record from its stored copy. One that was kept without its rows has no `source`: they must be read."""
    raw = read_json(text)
    header = raw.pop("header")
    return understood(header, **raw) if raw else header_of(header)


def understood(raw_header: dict[str, Any], **rows: list[dict[str, Any]]) -> Entry | tuple[Entry, Hold]:
    """A header with its rows as one record; with the reason where any of them cannot be read."""
    found = header_of(raw_header)
    if isinstance(found, tuple):
        entry, hold = found
        return Entry(entry.connectwise_id, entry.reference, {"header": raw_header, **rows}, None, entry.seen), hold
    return whole_of(found, **rows)


def whole_of(entry: Entry, **rows: list[dict[str, Any]]) -> Entry | tuple[Entry, Hold]:
    """A record whose header is understood, with its rows."""
    raw = entry.raw | rows
    whole = Entry(entry.connectwise_id, entry.reference, raw, entry.header, entry.seen)
    try:
        source = SourceInvoice.model_validate({"header": entry.header, **rows})
    except ValidationError as error:
        return whole, unreadable("invoice", entry.reference, error)
    return Entry(entry.connectwise_id, entry.reference, raw, entry.header, entry.seen, source)


def unreadable(record: str, number: str, error: ValidationError) -> Hold:
    """Why a record cannot be read: the first field that is not as ConnectWise says it is, and what it says."""
    first = error.errors(include_url=False)[0]
    field = "/".join(str(part) for part in first["loc"])
    given = str(first.get("input"))[:60]
    return Hold(
        Reason.UNREADABLE_RECORD,
        field,
        f"{record.capitalize()} {number or '(without a number)'}: {field} cannot be read ({first['msg']}; it says "
        f"{given!r}).",
        f"Correct {field} of the {record} in ConnectWise.",
    )
