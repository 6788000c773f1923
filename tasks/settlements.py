"""Extract for what settles invoices, money and credit memos alike: how much, and by which rows."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from blocks.connectwise.client import Page
from mappings.connectwise import Owed, PaymentRow, describe, read_json
from mappings.money import plain, to_cents, total
from mappings.outcomes import Hold, Reason
from tasks.cycle import Cycle, Entry
from tasks.invoices import Reading
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, worth_a_retry

Side = Literal["payments", "credits"]


@dataclass(frozen=True, slots=True)
class Settling:
    """One invoice on its way through a cycle of what settles it: its figures, and its rows once they are read.

    `side` says by what: money ("payments") or credit memos ("credits"), the names that ConnectWise has for both sums.
    """

    side: Side
    owed: Owed
    header: Mapping[str, Any]
    rows: tuple[PaymentRow, ...] = ()
    raw_rows: Sequence[Mapping[str, Any]] = ()

    @property
    def connectwise_id(self) -> int:
        """The invoice's id."""
        return self.owed.id

    @property
    def reference(self) -> str:
        """The invoice's number."""
        return self.owed.invoice_number

    @property
    def amount(self) -> Decimal:
        """How much of the invoice is settled by this side, to the cent, in the invoice's currency."""
        return to_cents(self.owed.payments if self.side == "payments" else self.owed.credits)

    @property
    def is_open(self) -> bool:
        """Whether anything of it is due."""
        return to_cents(self.owed.balance) != 0

    @property
    def seen(self) -> str:
        """What of the header decides whether its rows have to be read."""
        return plain(self.amount)

    @property
    def own_rows(self) -> tuple[PaymentRow, ...]:
        """The rows of this side."""
        return tuple(row for row in self.rows if (row.credit is None) is (self.side == "payments"))

    @property
    def entry(self) -> Entry:
        """The record as the cycle keeps it: with its rows for as long as it waits."""
        raw = {"header": self.header, "rows": self.raw_rows}
        return Entry(self.owed.id, self.owed.invoice_number, raw, seen=self.seen)


def owed_of(side: Side, raw: dict[str, Any]) -> Settling | tuple[Entry, Hold]:
    """A raw header; with the reason where it cannot be read."""
    try:
        return Settling(side, Owed.model_validate(raw), raw)
    except ValidationError as error:
        number, reference = describe(raw)
        own = number or -zlib.crc32(simplejson.dumps(raw, use_decimal=True, sort_keys=True).encode())
        return Entry(own, reference, {"header": raw}), _unreadable(reference, error)


def with_rows(each: Settling, raw: Sequence[dict[str, Any]]) -> Settling | tuple[Entry, Hold]:
    """The same invoice with its rows; with the reason where one cannot be read, or they do not make the header."""
    try:
        rows = tuple(PaymentRow.model_validate(row) for row in raw)
    except ValidationError as error:
        return replace(each, raw_rows=raw).entry, _unreadable(each.reference, error)
    whole = replace(each, rows=rows, raw_rows=raw)
    made = to_cents(total(row.amount for row in whole.own_rows))
    if made != each.amount:
        done = "paid" if each.side == "payments" else "credited"
        return whole.entry, Hold(
            Reason.LINES_INCOMPLETE,
            plain(made),
            f"ConnectWise says on {each.reference} that {plain(each.amount)} was {done}, but its payments make "
            f"{plain(made)}.",
            "Open the payments of the invoice in ConnectWise; the next cycle reads them again.",
        )
    return whole


def recalled(side: Side, copy: str) -> Settling | tuple[Entry, Hold]:
    """A waiting invoice from its stored copy; one that was kept without its rows has none."""
    raw = read_json(copy)
    found = owed_of(side, raw["header"])
    return found if isinstance(found, tuple) or "rows" not in raw else with_rows(found, raw["rows"])


def _unreadable(number: str, error: ValidationError) -> Hold:
    first = error.errors(include_url=False)[0]
    where = "/".join(str(part) for part in first["loc"])
    return Hold(
        Reason.UNREADABLE_RECORD,
        where,
        f"The payments of invoice {number or '(without a number)'}: {where} cannot be read ({first['msg']}).",
        f"Correct {where} in ConnectWise.",
    )


class Detailing:
    """Invoices whose payments are read."""

    verb = "read payments of"

    def __init__(self, cycle: Cycle, invoices: Sequence[Settling]) -> None:
        self.cycle = cycle
        self.invoices = invoices
        self.references = [each.reference for each in invoices]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_owed(batch: Reading) -> Page:
    """The next page of invoices with how they are settled, raw."""
    return batch.pages.fetch()


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def extract_payments(batch: Detailing) -> list[Settling | tuple[Entry, Hold]]:
    """The same invoices with their payments. Where these do not make the header, it changed meanwhile: once more."""
    client = batch.cycle.doors.connectwise
    rows = client.payments_of([each.connectwise_id for each in batch.invoices])
    found = [with_rows(each, rows[each.connectwise_id]) for each in batch.invoices]
    moved = [
        each
        for each, outcome in zip(batch.invoices, found, strict=True)
        if isinstance(outcome, tuple) and outcome[1].reason is Reason.LINES_INCOMPLETE
    ]
    if not moved:
        return found
    ids = [each.connectwise_id for each in moved]
    again = {each["id"]: owed_of(moved[0].side, each) for each in client.owed_by_id(ids)}
    rows = client.payments_of(ids)
    renewed = {
        number: with_rows(header, rows[number])
        for number, header in again.items()
        if not isinstance(header, tuple) and number in rows
    }
    return [renewed.get(each.connectwise_id, outcome) for each, outcome in zip(batch.invoices, found, strict=True)]
