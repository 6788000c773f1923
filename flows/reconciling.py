"""Both systems as they are now, side by side with what the audit knows: the reading behind the tie-out statement.

Nothing is written to either system, and the audit keeps no more than the calls themselves. Xero is read first: what a
cycle posts meanwhile is then looked up by its id. A document takes a few hundred bytes while it waits for its record.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from blocks.audit import requests, runs, settlements
from blocks.audit import watermarks as watermark_rows
from blocks.audit.runs import Standing
from blocks.audit.settlements import Kept
from blocks.doors import Doors
from blocks.failures import CannotGoOn, LimitReached, NotConfigured, Unreachable
from flows.cycle import OVERLAP
from flows.settling import ACCEPTED
from mappings.invoices import is_credit, starts_too_early
from mappings.kinds import CREDIT_NOTE, FAMILY_SHOWN, INVOICE, KINDS, kept_as
from mappings.links import xero_link
from mappings.merging import LastWrite, keeps_her_tax
from mappings.money import ZERO, to_cents, total
from mappings.outcomes import XeroList
from mappings.plans import Bound
from mappings.policy import Policy
from mappings.receivables import Receivable
from mappings.reconcile import (
    CREDITS,
    MONEY,
    NOT_ROUTED,
    Booked,
    Difference,
    Figure,
    Heading,
    Known,
    PaidOn,
    Pair,
    Period,
    Reconciliation,
    Settled,
    Sourced,
    Statement,
    Written,
    explain,
    explain_paid,
)
from mappings.xero import Found
from tasks.cycle import Entry
from tasks.invoices import header_of
from tasks.lists import Lists
from tasks.settlements import Settling, Side, owed_of

FAMILIES = ("invoices", "credit_notes", "payments")
"""The families that have a statement."""
CHUNK = 1000
SIDES: dict[str, Side] = {"payments": "payments", "allocations": "credits"}
"""Statements of what settles invoices, and by what."""
Item = TypeVar("Item")


def reconcile_families(
    families: Sequence[str],
    open_doors: Callable[[str], Doors],
    start: date | None,
    end: date | None,
    say: Callable[[str], None],
) -> list[Statement]:
    """The statement of each family, from `start` (its start date) to `end` (today).

    Raises CannotGoOn where a system cannot be reached: half a statement would look like a tied-out one; so would none.
    """
    without = [family for family in families if family not in FAMILIES]
    if without or not families:
        what = f"of {', '.join(without)} in this version" if without else "of any family that is on in policy.toml"
        raise NotConfigured(f"There is no statement {what}; nothing was done.")
    doors = open_doors(uuid.uuid4().hex)
    try:
        policy = doors.tables.read().policy
        statements: list[Statement] = []
        for family in families:
            begins = policy.starts(family, doors.audit.set_up_on)
            period = _period(family, begins, start, end or doors.clock().date())
            for kept in kept_as(family):
                if kept == "allocations" and not _allocates(policy, doors):
                    continue
                reading = _ReadingSettled if kept in SIDES else _Reading
                statements.append(reading(doors, kept, period, begins, say).done())
        return statements
    except LimitReached as problem:
        raise CannotGoOn(f"{problem}; reconcile again then.") from problem
    finally:
        doors.audit.close()


def _allocates(policy: Policy, doors: Doors) -> bool:
    return any(policy.decisions(name).sales.allocate_credits for name in doors.tenants)


def _period(family: str, begins: date, start: date | None, last: date) -> Period:
    """What was asked for, from the start date on: records from before it are never posted."""
    first = max(start or begins, begins)
    if start is not None and start > last:
        raise NotConfigured(f"The period ends on {last}, before it starts on {start}; nothing was done.")
    if first > last:
        raise NotConfigured(
            f"The start date of {family} is {begins} (policy.toml), after the end of the period, {last}; there is "
            "nothing to reconcile."
        )
    return Period(first, last)


class _Reading:
    """One family's reading; `documents` are those of Xero that no record was found for so far, by tenant and id."""

    def __init__(self, doors: Doors, family: str, period: Period, start_date: date, say: Callable[[str], None]) -> None:
        self.doors = doors
        self.family = family
        self.kind = KINDS[family]
        self.period = period
        self.start_date = start_date
        self.say = say
        self.statement = Reconciliation(family, period)
        lists = Lists(doors, [XeroList.ORGANISATION])
        lists.keeps = False
        self.books = lists.books(doors.tenants)
        self.names = {tenant_id: name for name, tenant_id in doors.tenants.items()}
        self.documents: dict[tuple[str, str], Booked] = {}
        position = watermark_rows.read(doors.audit, family).position
        self.reads_from = position - OVERLAP if position is not None else None
        self.unsettled = requests.unsettled_ids(doors.audit, family)

    def done(self) -> Statement:
        """Read both sides, pair them, and see to what is left on either."""
        shown = f"dated {self.period.start} to {self.period.end}"
        for name, tenant_id in self.doors.tenants.items():
            self.say(f"reading what {name} has in Xero, {shown}")
            for page in self.doors.xero.documents_since(tenant_id, self.kind, self.period.start, self.period.end):
                self._keep(tenant_id, page)
        self.say(f"reading {self.family} in ConnectWise, {shown}")
        for records in self.doors.connectwise.invoices_dated_from(self.period.start, self.period.end):
            self._pair(records.records, [])
        self._pair_the_rest()
        return self.statement.statement()

    def _keep(self, tenant_id: str, found: Iterable[Found]) -> None:
        for document in found:
            booked = self._booked(tenant_id, document)
            if (tenant_id, booked.xero_id) not in self.documents:
                self.documents[tenant_id, booked.xero_id] = booked
                self.statement.count_xero(booked)

    def _booked(self, tenant_id: str, found: Found) -> Booked:
        """A document of Xero, without all that no statement needs."""
        if found.date is None:
            raise Unreachable(f"Xero's answer has a document without a date ({found.number or found.xero_id}).")
        record = self.doors.site.record_of(found.url)
        return Booked(
            found.xero_id,
            found.number,
            Figure(self.names[tenant_id], found.currency, found.date, found.total),
            found.status,
            record[1] if record and record[0] == self.family else None,
        )

    def _pair_the_rest(self) -> None:
        """What Xero has and ConnectWise's list does not: moved, gone, or nobody's."""
        by_tenant: dict[str, list[str]] = defaultdict(list)
        for tenant_id, xero_id in self.documents:
            by_tenant[tenant_id].append(xero_id)
        for tenant_id, xero_ids in by_tenant.items():
            for chunk in _chunks(xero_ids):
                owners = requests.owners(self.doors.audit, tenant_id, chunk)
                ids = [number for family, number in owners.values() if family == self.family]
                self._pair(self.doors.connectwise.invoices_by_id(ids), ids)
        for documents in _chunks(list(self.documents.values())):
            bound = requests.bound(self.doors.audit, self.family, [n for one in documents if (n := one.linked)])
            for each in documents:
                unsettled = each.linked in self.unsettled
                self._explain(Pair(xero=each, unsettled=unsettled, second=each.linked in bound))

    def _pair(self, records: Sequence[dict[str, Any]], asked: Sequence[int]) -> None:
        """Compare records, and those that were `asked` for and are not there, with what is bound to them."""
        entries = [found[0] if isinstance(found := header_of(raw), tuple) else found for raw in records]
        by_id = {entry.connectwise_id: entry for entry in entries}
        ids = list(dict.fromkeys([*by_id, *asked]))
        audit = self.doors.audit
        standings = runs.standings(audit, self.family, ids)
        bound = requests.bound(audit, self.family, ids)
        self._look_up(bound.values())
        pairs = [self._paired(number, by_id.get(number), bound.get(number), standings.get(number)) for number in ids]
        for pair in pairs:
            if pair.connectwise is not None:
                self.statement.count_connectwise(pair.connectwise.figure)
        different = [pair for pair in pairs if not pair.agrees]
        ids = [pair.written.connectwise_id for pair in different if pair.written is not None]
        lasts = requests.last_writes(audit, self.family, ids)
        for pair in different:
            if pair.written is not None:
                number = pair.written.connectwise_id
                link = self.doors.site.link(self.family, number)
                pair = replace(pair, written=_with_answer(pair.written, lasts[number], link))
            self._explain(pair)

    def _look_up(self, bound: Iterable[Bound]) -> None:
        """Documents that the list of the period does not have: dated elsewhere by now, or posted this very minute."""
        missing: dict[str, list[str]] = defaultdict(list)
        for each in bound:
            if each.tenant_id in self.names and (each.tenant_id, each.xero_id) not in self.documents:
                missing[each.tenant_id].append(each.xero_id)
        for tenant_id, xero_ids in missing.items():
            self._keep(tenant_id, list(self.doors.xero.documents_by_id(tenant_id, self.kind, xero_ids).values()))

    def _paired(self, number: int, entry: Entry | None, bound: Bound | None, standing: Standing | None) -> Pair:
        return Pair(
            self._sourced(entry, bound, standing) if entry is not None else None,
            self.documents.pop((bound.tenant_id, bound.xero_id), None) if bound else None,
            self._written(number, bound) if bound else None,
            Known(standing.outcome, standing.reason, standing.message) if standing else None,
            number in self.unsettled,
        )

    def _sourced(self, entry: Entry, bound: Bound | None, standing: Standing | None) -> Sourced:
        header = entry.header
        if header is None:
            self.statement.unreadable.append(entry.reference or f"id:{entry.connectwise_id}")
            return Sourced(entry.connectwise_id, entry.reference, None)
        changed = header.info.last_updated
        figure = None
        ours = is_credit(header) is (self.kind is CREDIT_NOTE)
        if header.status.is_closed and ours and not starts_too_early(header, self.start_date):
            organisation = self._name(bound) if bound else (standing.organisation if standing else "")
            currency = header.currency.currency_code.strip().upper() or (bound.currency if bound else "")
            figure = Figure(
                organisation or NOT_ROUTED,
                currency or (self.books[organisation].organisation.base_currency if organisation in self.books else ""),
                header.date,
                abs(to_cents(header.total)),
            )
        return Sourced(
            entry.connectwise_id,
            entry.reference,
            figure,
            open_status="" if header.status.is_closed else header.status.name or "open",
            pending=(standing is None or standing.seen != entry.seen) and self._will_be_read(changed),
        )

    def _will_be_read(self, changed: datetime | None) -> bool:
        """Whether the next cycle reads what was changed then."""
        return self.reads_from is None or (changed is not None and changed >= self.reads_from)

    def _written(self, number: int, bound: Bound) -> Written:
        """What we wrote; Xero's answer, which is large, is only read where the sides differ."""
        ours = Figure(self._name(bound), bound.currency, bound.date, bound.total)
        return Written(number, bound.reference, ours, ours, taken_over=bound.writes == 0)

    def _name(self, bound: Bound) -> str:
        """The organisation's name today; that of one that is not connected any more as it was."""
        return self.names.get(bound.tenant_id, bound.organisation)

    def _explain(self, pair: Pair) -> None:
        self.statement.add(
            replace(
                each,
                connectwise_url=self.doors.site.link(self.family, each.connectwise_id)
                if each.connectwise_id is not None
                else "",
                xero_url=self._xero_url(pair) if each.xero_id else "",
            )
            for each in explain(pair, self.family, self.period)
        )

    def _xero_url(self, pair: Pair) -> str:
        assert pair.xero is not None, "only a document has an id"
        short_code = self.books[pair.xero.figure.organisation].organisation.short_code
        return xero_link(self.doors.xero.api_url, short_code, self.family, pair.xero.xero_id)


class _ReadingSettled:
    """What is paid on the invoices of a period, or credited. An invoice's date in ConnectWise decides its month.

    Of Xero's invoices those count that are bound to a record: what people invoice and are paid for there by themselves
    is no business of ours. `there` are the ones that no record was found for so far, by tenant and id.
    """

    def __init__(self, doors: Doors, family: str, period: Period, start_date: date, say: Callable[[str], None]) -> None:
        self.doors = doors
        self.family = family
        self.side = SIDES[family]
        self.period = period
        self.start_date = start_date
        self.say = say
        self.statement = Reconciliation(family, period)
        lists = Lists(doors, [XeroList.ORGANISATION])
        lists.keeps = False
        self.books = lists.books(doors.tenants)
        self.names = {tenant_id: name for name, tenant_id in doors.tenants.items()}
        self.there: dict[tuple[str, str], Receivable] = {}
        position = watermark_rows.read(doors.audit, FAMILY_SHOWN.get(family, family)).position
        self.reads_from = position - OVERLAP if position is not None else None
        self.unsettled = requests.unsettled_ids(doors.audit, family)

    @property
    def by(self) -> Settled:
        """What the invoices are settled by, in words."""
        return MONEY if self.side == "payments" else CREDITS

    def done(self) -> Statement:
        """Read both sides, compare them invoice by invoice, and see to what ConnectWise does not list."""
        shown = f"dated {self.period.start} to {self.period.end}"
        for name, tenant_id in self.doors.tenants.items():
            self.say(f"reading what is {self.by.done} on the invoices of {name} {shown}")
            for page in self.doors.xero.documents_since(tenant_id, INVOICE, self.period.start, self.period.end):
                self._keep(tenant_id, page)
        self.say(f"reading what is {self.by.done} on the invoices of ConnectWise {shown}")
        pages = self.doors.connectwise.owed_dated_from(self.period.start, self.period.end)
        while not pages.done:
            self._compare(pages.fetch().records, [])
        for chunk in _chunks(list(self.there)):
            for tenant_id in self.names:
                owners = requests.owners(self.doors.audit, tenant_id, [key[1] for key in chunk if key[0] == tenant_id])
                ids = [number for family, number in owners.values() if family == INVOICE.family]
                self._compare(self.doors.connectwise.owed_by_id(ids), ids)
        return self.statement.statement()

    def _keep(self, tenant_id: str, found: Iterable[Found]) -> None:
        self.there |= {(tenant_id, each.xero_id): Receivable.read(each) for each in found}

    def _compare(self, records: Sequence[dict[str, Any]], asked: Sequence[int]) -> None:
        """Compare invoices, and those that were `asked` for and are not there."""
        audit = self.doors.audit
        owed: dict[int, Settling] = {}
        for raw in records:
            each = owed_of(self.side, raw)
            if isinstance(each, Settling):
                owed[each.connectwise_id] = each
            else:
                self.statement.unreadable.append(each[0].reference or f"id:{each[0].connectwise_id}")
        ids = list(dict.fromkeys([*owed, *asked]))
        bound = requests.bound(audit, INVOICE.family, ids)
        self._look_up(bound.values())
        standings = runs.standings(audit, self.family, ids)
        ours = settlements.parts(audit, self.family, ids)
        open_ones = {number for number, each in settlements.glances(audit, self.family, ids).items() if each.is_open}
        for number in ids:
            document = bound.get(number)
            there = self.there.pop((document.tenant_id, document.xero_id), None) if document else None
            paid = self._paid(
                number, owed.get(number), document, there, standings.get(number), ours.get(number, []),
                number in open_ones,
            )  # fmt: skip
            if paid is not None:
                self.statement.count_paid(paid)
                self._tell(explain_paid(paid))

    def _look_up(self, bound: Iterable[Bound]) -> None:
        missing: dict[str, list[str]] = defaultdict(list)
        for each in bound:
            if each.tenant_id in self.names and (each.tenant_id, each.xero_id) not in self.there:
                missing[each.tenant_id].append(each.xero_id)
        for tenant_id, xero_ids in missing.items():
            self._keep(tenant_id, self.doors.xero.documents_by_id(tenant_id, INVOICE, xero_ids).values())

    def _paid(
        self,
        number: int,
        each: Settling | None,
        bound: Bound | None,
        there: Receivable | None,
        standing: Standing | None,
        kept: Sequence[Kept],
        was_open: bool,
    ) -> PaidOn | None:
        """One invoice as the statement counts it; None where it is not the statement's business."""
        on = each.owed.date if each else there.date if there else None
        early = each is not None and (each.owed.date < self.start_date or to_cents(each.owed.total) < 0)
        if on is None or on not in self.period or (early and standing is None):
            return None
        organisation = self.names.get(bound.tenant_id, bound.organisation) if bound else ""
        organisation = organisation or (standing.organisation if standing else "") or NOT_ROUTED
        currency = (bound.currency if bound else "") or (
            each.owed.currency.currency_code.strip().upper() if each else ""
        )
        settled, ours, removed = self._settled(there, kept)
        return PaidOn(
            number,
            each.reference if each else bound.reference if bound else "",
            Heading(self.family, organisation, currency, f"{on:%Y-%m}"),
            each.amount if each else None,
            settled,
            ours,
            removed,
            there.xero_id if there else "",
            there.status if there else "",
            Known(standing.outcome, standing.reason, standing.message) if standing else None,
            each is not None
            and (standing is None or standing.seen != each.seen)
            and (was_open or each.is_open or self._is_new(each)),
            number in self.unsettled,
            standing is not None and standing.value == ACCEPTED,
            self.by,
        )

    def _settled(self, there: Receivable | None, kept: Sequence[Kept]) -> tuple[Decimal, Decimal, Decimal]:
        """What the invoice is settled by in Xero; how much of it is ours, and how much of ours was removed."""
        written = total(one.total for one in kept)
        if there is None or not there.live:
            return ZERO, ZERO, written
        if self.side == "credits":
            # Which allocation is whose shows on the credit notes alone; what is there is ours as far as it goes.
            ours = min(written, there.credited)
            return there.credited, ours, written - ours
        live = {one.xero_id.lower() for one in there.applied}
        ours = total(one.total for one in kept if one.xero_id.lower() in live)
        return there.paid, ours, written - ours

    def _is_new(self, each: Settling) -> bool:
        changed = each.owed.info.last_updated
        return self.reads_from is None or (changed is not None and changed >= self.reads_from)

    def _tell(self, difference: Difference | None) -> None:
        if difference is None:
            return
        number = difference.connectwise_id
        assert number is not None, "each is about an invoice"
        name = difference.heading.organisation
        short_code = self.books[name].organisation.short_code if name in self.books else ""
        api_url = self.doors.xero.api_url
        self.statement.add(
            [
                replace(
                    difference,
                    connectwise_url=self.doors.site.link(self.family, number),
                    xero_url=xero_link(api_url, short_code, self.family, difference.xero_id)
                    if difference.xero_id
                    else "",
                )
            ]
        )


def _with_answer(written: Written, last: LastWrite, link: str) -> Written:
    """What we wrote with what Xero answered. Whatever does not bear our link was there before, and is not our work."""
    answer, document, agreed = last.answer, last.document, written.ours
    lines = json.loads(answer.text).get("LineItems") or []
    return replace(
        written,
        ours=replace(agreed, currency=document.currency, date=document.date, total=document.total)
        if document is not None
        else agreed,
        agreed=agreed,
        answered=replace(
            agreed,
            currency=answer.currency or agreed.currency,
            date=answer.date or agreed.date,
            total=answer.total,
        ),
        her_tax=keeps_her_tax(last),
        taken_over=written.taken_over or answer.url != link,
        lines=sum(1 for line in lines if line.get("LineAmount")),
    )


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
