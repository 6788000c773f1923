"""One cycle of one family: what every step of it needs to know, handed from step to step."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal, Protocol

import simplejson

from blocks.audit import runs
from blocks.audit.leases import HeldLease
from blocks.audit.runs import Result, Standing
from blocks.doors import Doors
from blocks.failures import LimitReached, Unreachable
from mappings.allocations import Allocating
from mappings.billing import bill_value
from mappings.connectwise import Invoice, SourceBill, SourceInvoice, SourceOrder
from mappings.kinds import KINDS, Kind
from mappings.linked_transactions import Link
from mappings.links import xero_link
from mappings.money import plain
from mappings.orders import order_value
from mappings.outcomes import EXPLANATIONS, WAITING, Hold, Outcome
from mappings.payments import Paying
from mappings.plans import Adopt, Create, Take
from mappings.surroundings import Tables
from mappings.sweeping import Remove
from mappings.updates import Settled, Update
from mappings.xero import Document, Found
from tasks.lists import Lists

Mode = Literal["write", "plan"]


class SuccessCache(Protocol):
    """Remembers successes under a key, for a retry of the same run; the audit is the guard, this is convenience."""

    @property
    def full(self) -> bool:
        """True when nothing more is kept of this run."""
        ...

    def keep(self, key: str, value: dict[str, str], /) -> None:
        """Remember a success."""
        ...


class NoCache:
    """A cache that forgets: everything must work with it."""

    full = True

    def keep(self, _key: str, _value: dict[str, str], /) -> None:
        """Forget."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record on its way through a cycle: the raw rows as read, and the header once it is understood."""

    connectwise_id: int
    reference: str
    raw: dict[str, Any]
    header: Invoice | None = None
    seen: str = ""
    source: SourceInvoice | SourceBill | SourceOrder | None = None

    @classmethod
    def known(cls, standing: Standing) -> Entry:
        """A record that is not read again: no more of it than the audit knows."""
        return cls(standing.connectwise_id, standing.reference, {}, seen=standing.seen)

    @property
    def copy(self) -> str:
        """The record as JSON text, for as long as it waits; '' for one of which no more than the id is known."""
        return simplejson.dumps(self.raw, use_decimal=True) if self.raw else ""


@dataclass
class Cycle:
    """The running cycle. Not a value: it counts, and it knows the lease that every commit is checked against.

    `planned`, `told`, `dealt_with` and `linked` are what a dry run (mode "plan") collects instead of writing.
    `settled` are the outcomes of records that this cycle settled out of an earlier one's requests; `closed` the
    organisations whose part of the cycle is over, and why; `gathered` the new documents that do not fill a call yet;
    `credited` the headers of invoices that a cycle of credit notes came upon and that have credits.

    What a person allows: `take` and `recreate` for records that she `named`, or that were held before; `allow_many`
    releases the brake, and so does an approved plan (`approved`: the digest of each write that may go out, by record
    and part; None: no plan). `pending` are the edits that wait until the cycle knows how many there are; once the brake
    is on (`braked`), all are held.
    """

    family: str
    run_id: str
    mode: Mode
    doors: Doors
    tables: Tables
    lists: Lists
    start_date: date
    lease: HeldLease | None = None
    forced: bool = False
    named: bool = False
    take: Take = ""
    recreate: bool = False
    allow_many: bool = False
    approved: Mapping[tuple[int, str], str] | None = None
    cache: SuccessCache = field(default_factory=NoCache)
    say: Callable[[str], None] = logging.getLogger(__name__).info
    progress: Callable[[int, int], None] = lambda _done, _known: None
    counts: Counter[str] = field(default_factory=Counter)
    planned: list[Create | Adopt | Update | Settled | Remove | Paying | Allocating | Link] = field(default_factory=list)
    credited: list[dict[str, Any]] = field(default_factory=list)
    gathered: list[tuple[Entry, Create]] = field(default_factory=list)
    pending: list[tuple[Entry, Update]] = field(default_factory=list)
    braked: bool = False
    told: list[Result] = field(default_factory=list)
    dealt_with: set[int] = field(default_factory=set)
    linked: dict[int, list[Found]] = field(default_factory=dict)
    entries: dict[int, Entry] = field(default_factory=dict)
    settled: dict[int, Outcome] = field(default_factory=dict)
    closed: dict[str, LimitReached | Unreachable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lists.keeps = self.writing

    @cached_property
    def kind(self) -> Kind:
        """The kind of document that this family posts."""
        return KINDS[self.family]

    def beside(self, family: str) -> Cycle:
        """The same cycle for documents of another family, with counts of its own."""
        return replace(
            self,
            family=family,
            counts=Counter(),
            dealt_with=set(),
            settled={},
            entries={},
            gathered=[],
            pending=[],
        )

    def now(self) -> datetime:
        """The cycle's time, UTC and aware."""
        return self.doors.clock()

    @cached_property
    def writing(self) -> bool:
        """False for a dry run: nothing is written anywhere."""
        return self.mode == "write"

    def record(self, results: Iterable[Result]) -> list[Result]:
        """Store outcomes in a transaction of their own, and count them."""
        kept = list(results)
        if self.writing:
            runs.record(self.doors.audit, self.run_id, kept, self.now(), self.lease)
        else:
            # A dry run stores nothing, so it has to remember what it would have stored.
            self.told += kept
            self.dealt_with.update(result.connectwise_id for result in kept)
        self.count(kept)
        return kept

    def count(self, results: Iterable[Result]) -> None:
        """Count outcomes that are stored already.

        A record that this cycle settled first and then came upon again counts once: by its later outcome, unless
        that says no more than that nothing is left to do.
        """
        for result in results:
            earlier = self.settled.pop(result.connectwise_id, None)
            if earlier is not None:
                self.counts["read"] -= 1
                if result.outcome is Outcome.UNCHANGED:
                    continue
                self.counts[earlier.value] -= 1
            self.counts[result.outcome.value] += 1
        self.progress(sum(self.counts[outcome.value] for outcome in Outcome), self.counts["read"])

    def reach(self, organisation: str, step: Callable[[], object]) -> bool:
        """Carry out a step that calls Xero for one organisation; False when it could not be.

        A limit or an outage ends that organisation's part of the cycle and nobody else's: what is left of it is
        left to a later cycle.
        """
        if organisation in self.closed:
            return False
        try:
            step()
        except (LimitReached, Unreachable) as problem:
            self.close(organisation, problem)
            return False
        return True

    def close(self, organisation: str, problem: LimitReached | Unreachable) -> None:
        """End an organisation's part of this cycle."""
        if self.closed.setdefault(organisation, problem) is problem:
            self.say(f"{str(problem).rstrip('.')}; what is left of {organisation} is left to a later cycle")

    def result(
        self,
        entry: Entry,
        outcome: Outcome,
        hold: Hold | None = None,
        document: Document | None = None,
        xero_id: str = "",
        body: str = "",
        tried_at: datetime | None = None,
        organisation: str = "",
    ) -> Result:
        """The outcome of a record with everything that people and later cycles need of it."""
        header = entry.header
        bill = entry.source if isinstance(entry.source, SourceBill) else None
        order = entry.source if isinstance(entry.source, SourceOrder) else None
        organisation = document.organisation if document else organisation
        amount, currency = "", ""
        if document is not None:
            amount, currency = plain(document.total), document.currency
        elif bill is not None:
            amount, currency = plain(bill_value(bill)), bill.header.currency.currency_code
        elif order is not None:
            amount, currency = plain(order_value(order)), order.header.currency.currency_code
        elif header is not None:
            amount, currency = plain(header.total), header.currency.currency_code
        return Result(
            family=self.family,
            connectwise_id=entry.connectwise_id,
            reference=entry.reference,
            outcome=outcome,
            organisation=organisation,
            reason=hold.reason if hold else None,
            value=hold.value if hold else "",
            message=hold.message if hold else "",
            fix=hold.fix if hold else "",
            amount=amount,
            currency=currency,
            xero_id=xero_id,
            connectwise_url=self.doors.site.link(self.family, entry.connectwise_id),
            xero_url=self.xero_url(organisation, xero_id) if xero_id else "",
            rows_used=document.rows_used if document else said.cited if (said := bill or order) else (),
            waits_on=[name.value for name in hold.waits_on] if hold else (),
            seen=entry.seen,
            body=body,
            copy=entry.copy if outcome in WAITING else "",
            tried_at=tried_at,
            location=header.at_location if header is not None else None,
            part=document.receipt if document else bill.receipt if bill else "",
        )

    def hold(self, entry: Entry, hold: Hold, document: Document | None = None, organisation: str = "") -> Result:
        """A record that is not posted, and why: held, deferred where waiting is the cure, or skipped by policy."""
        outcome = Outcome.HELD if EXPLANATIONS[hold.reason].needs_people else Outcome.DEFERRED
        if hold.skip:
            outcome = Outcome.SKIPPED
        return self.result(entry, outcome, hold, document, organisation=organisation)

    def xero_url(self, organisation: str, xero_id: str) -> str:
        """The page of a document in Xero."""
        return xero_link(self.doors.xero.api_url, self.lists.short_code(organisation), self.family, xero_id)
