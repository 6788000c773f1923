"""Extract for purchase orders: headers page by page, and the lines of each order, which is a call each.

Their bills are mapped and loaded by the tasks of every document (tasks/invoices.py).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from blocks.connectwise.client import Page
from mappings.connectwise import PurchaseOrder, SourcePurchaseOrder, describe, read_json
from mappings.outcomes import Hold
from tasks.cycle import Cycle, Entry
from tasks.invoices import Reading, unreadable
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, worth_a_retry


@dataclass(frozen=True, slots=True)
class Header:
    """A header that is understood, as it was read. `seen` names its content, when it was changed included."""

    order: PurchaseOrder
    raw: dict[str, Any]

    @property
    def seen(self) -> str:
        """A digest of the header as it was read."""
        return hashlib.blake2b(self.order.model_dump_json().encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Ordered:
    """A purchase order with its lines."""

    header: Header
    source: SourcePurchaseOrder
    raw_lines: Sequence[dict[str, Any]]

    @property
    def id(self) -> int:
        """Its id in ConnectWise."""
        return self.source.header.id

    @property
    def number(self) -> str:
        """Its number."""
        return self.source.header.po_number

    @property
    def raw(self) -> dict[str, Any]:
        """The record as it is kept for as long as it waits."""
        return {"header": self.header.raw, "lines": list(self.raw_lines)}

    @property
    def entry(self) -> Entry:
        """The record as the cycle keeps it."""
        return Entry(self.id, self.number, self.raw, seen=self.header.seen)


class Detailing:
    """Orders whose lines are read."""

    verb = "read lines of"

    def __init__(self, cycle: Cycle, headers: Sequence[Header]) -> None:
        self.cycle = cycle
        self.headers = headers
        self.references = [each.order.po_number for each in headers]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_purchase_orders(batch: Reading) -> Page:
    """The next page of purchase orders' headers, raw."""
    return batch.pages.fetch()


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_purchase_order_lines(batch: Detailing) -> list[Ordered | tuple[Entry, Hold]]:
    """The same orders with their lines; with a reason where a line cannot be read.

    Without those that were deleted since their headers were read: the next cycle misses them.
    """
    lines = batch.cycle.doors.connectwise.purchase_order_lines([each.order.id for each in batch.headers])
    return [with_lines(each, lines[each.order.id]) for each in batch.headers if each.order.id in lines]


def header_of(raw: dict[str, Any]) -> Header | tuple[Entry, Hold]:
    """A raw header; with the reason where it cannot be read."""
    try:
        return Header(PurchaseOrder.model_validate(raw), raw)
    except ValidationError as error:
        number, reference = describe(raw)
        own = number or -zlib.crc32(simplejson.dumps(raw, use_decimal=True, sort_keys=True).encode())
        return Entry(own, reference, {"header": raw}), unreadable("purchase order", reference, error)


def with_lines(header: Header, raw: Sequence[dict[str, Any]]) -> Ordered | tuple[Entry, Hold]:
    """An order with its lines; with the reason where one cannot be read."""
    try:
        source = SourcePurchaseOrder.model_validate({"header": header.order, "lines": list(raw)})
    except ValidationError as error:
        entry = Entry(header.order.id, header.order.po_number, {"header": header.raw}, seen=header.seen)
        return entry, unreadable("purchase order", header.order.po_number, error)
    lines = tuple(sorted(source.lines, key=lambda line: line.id))
    return Ordered(header, SourcePurchaseOrder(header=source.header, lines=lines), raw)


def recalled(copy: str) -> Ordered | None:
    """A waiting order from its stored copy; None where that was kept without its lines, or cannot be read."""
    raw = read_json(copy)
    header = header_of(raw["header"]) if "lines" in raw else None
    found = with_lines(header, raw["lines"]) if isinstance(header, Header) else None
    return found if isinstance(found, Ordered) else None
