"""Both systems as they are now, side by side with what the audit knows: the reading behind the tie-out statement.

Nothing is written to either system, and the audit keeps no more than the calls themselves. Xero is read first: what a
cycle posts meanwhile is then looked up by its id. A document takes a few hundred bytes while it waits for its record.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from blocks.audit import orders, requests, runs, settlements
from blocks.audit import watermarks as watermark_rows
from blocks.audit.orders import Order, PostedBill
from blocks.audit.runs import Standing
from blocks.audit.settlements import Kept
from blocks.doors import Doors
from blocks.failures import CannotGoOn, LimitReached, NotConfigured, Unreachable
from flows.billing import SWEPT
from flows.cycle import OVERLAP
from flows.settling import ACCEPTED
from mappings import bills, vendor_invoices
from mappings.billing import Billed, left_over
from mappings.connectwise import SourceBill
from mappings.invoices import is_credit, starts_too_early
from mappings.kinds import CREDIT_NOTE, FAMILY_SHOWN, INVOICE, KINDS, kept_as
from mappings.lifecycle import State, objections, unsigned
from mappings.links import bill_key, nth_of, order_of, record_shown, xero_link
from mappings.merging import LastWrite, keeps_her_tax
from mappings.money import ZERO, to_cents, total
from mappings.outcomes import WAITING, XeroList
from mappings.plans import Bound
from mappings.policy import Policy
from mappings.receivables import Receivable
from mappings.received import Due, dated, due_of, gross_of, net_of, not_asked_for
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
from mappings.related import Related
from mappings.updates import EDITABLE
from mappings.xero import Found
from tasks.cycle import Entry
from tasks.invoices import header_of
from tasks.lists import Lists
from tasks.purchase_orders import Header, Ordered, with_lines
from tasks.purchase_orders import header_of as order_header_of
from tasks.settlements import Settling, Side, owed_of

FAMILIES = ("invoices", "credit_notes", "payments", "purchase_orders")
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
                if kept in READINGS:
                    statements.append(READINGS[kept](doors, kept, period, begins, say).done())
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
        shown = FAMILY_SHOWN.get(family, family)
        self.statement = Reconciliation(shown, period)
        self.lists = Lists(doors, [XeroList.ORGANISATION])
        self.lists.keeps = False
        self.books = self.lists.books(doors.tenants)
        self.names = {tenant_id: name for name, tenant_id in doors.tenants.items()}
        self.documents: dict[tuple[str, str], Booked] = {}
        position = watermark_rows.read(doors.audit, shown).position
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
        self._explain_what_nobody_has()

    def _explain_what_nobody_has(self) -> None:
        """What is left of Xero's documents: of no record, or linked to one that has another document or none."""
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
        self._explain_all(pairs)

    def _explain_all(self, pairs: Iterable[Pair]) -> None:
        """Explain what differs, with what was written and answered of it."""
        different = [pair for pair in pairs if not pair.agrees]
        ids = [pair.written.connectwise_id for pair in different if pair.written is not None]
        lasts = requests.last_writes(self.doors.audit, self.family, ids)
        for pair in different:
            if pair.written is not None:
                number = pair.written.connectwise_id
                pair = replace(pair, written=self._answered(pair, lasts[number]))
            self._explain(pair)

    def _answered(self, pair: Pair, last: LastWrite) -> Written:
        assert pair.written is not None, "only what is bound was answered"
        return _with_answer(pair.written, last, self.doors.site.link(self.family, pair.written.connectwise_id))

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


@dataclass(frozen=True, slots=True)
class _Laid:
    """An order beside its bills: those that are bound, and as they stand in Xero; with what the audit knows of it all.

    `ordered` is None where ConnectWise does not show the order, or shows what cannot be read (`reference`).
    """

    ordered: Ordered | None
    reference: str | None
    posted: Sequence[PostedBill]
    there: Mapping[int, Booked | None]
    known: Order | None
    standing: Standing | None
    standings: Mapping[int, Standing]

    @property
    def billed(self) -> list[Billed]:
        """What its bills hold by our records; what an adopted one is for that we did not write yet is all the rest."""
        assert self.ordered is not None, "only of an order that can be read"
        own = self.ordered.id
        rest = left_over(self.ordered.source, [each.held_of(own) for each in self.posted])
        found: list[Billed] = []
        for each in self.posted:
            document, booked = each.last.document, self.there[each.key]
            held = each.held_of(own) if document is not None else rest
            editable = booked is not None and booked.status in EDITABLE
            receipt = document.receipt if document is not None else ""
            gone, lead = booked is not None and not booked.live, each.lead if each.lead != own else 0
            found.append(Billed(nth_of(each.key), receipt, held, editable, gone, lead))
        return found

    def told(self, *first: int) -> Known | None:
        """Why it waits: the word on these bills, else on the order, else on any bill. How it ended, where it does not.

        A bill's own outcome comes before that of its order. What is on no bill yet waits with those that would take it.
        """
        own = [self.standings.get(key) for key in first]
        takes = [] if first else [each for key, each in self.standings.items() if self._takes_more(key)]
        found = [each for each in (*own, self.standing, *takes) if each is not None]
        waits = (each for each in found if each.outcome in WAITING)
        one = next(waits, found[0] if found else None)
        return Known(one.outcome, one.reason, one.message) if one is not None else None

    def _takes_more(self, key: int) -> bool:
        """Whether more may come onto a bill: it is not there yet, or is a draft."""
        booked = self.there.get(key)
        return key not in self.there or (booked is not None and booked.status in EDITABLE)


def _share(
    laid: _Laid, due: Mapping[int, Due | None], bill: PostedBill
) -> tuple[Ordered, Mapping[str, Decimal]] | None:
    """What a bill should hold of an order; None where that is not known."""
    order = laid.ordered
    found = due[order.id] if order is not None else None
    if order is None or found is None:
        return None
    return order, found.bills.get(nth_of(bill.key) if bill.lead == order.id else bill.key, {})


class _ReadingBills(_Reading):
    """What was received of purchase orders, and the bills that are for it. A bill's date decides its month.

    ConnectWise has no bills: an order counts there as what was received of it, laid on the bills that hold it; what is
    on none of them yet counts by the date that its bill would have. Of Xero's bills those count that are bound, or
    carry our link: what suppliers send besides is no business of ours.

    The lines of an order cost a call. They are read of every order that may have a bill in the period, or lack one:
    those that are open, wait, have one in Xero, or are not as the audit knows them, and those that were received,
    invoiced or closed since the period began. `wanted` are such orders as far as the audit and Xero know, `seen` those
    that were looked at so far, `laid` those of them that were laid beside their bills.
    """

    def __init__(self, doors: Doors, family: str, period: Period, start_date: date, say: Callable[[str], None]) -> None:
        super().__init__(doors, family, period, start_date, say)
        tables = doors.tables.read()
        self.tables = tables
        against = objections(tables.lifecycle) or vendor_invoices.objections(tables.lifecycle, tables.policy)
        self.unsigned = next(iter(against), "") or unsigned(tables.lifecycle, tables.signatures)
        self.lately = frozenset(orders.billed_since(doors.audit, doors.clock() - SWEPT))
        self.wanted = set(orders.open_ids(doors.audit))
        self.seen: set[int] = set()
        self.laid: set[int] = set()

    def done(self) -> Statement:
        """Read both sides, lay each order beside its bills, and see to what ConnectWise does not list."""
        shown = f"dated {self.period.start} to {self.period.end}"
        for name, tenant_id in self.doors.tenants.items():
            self.say(f"reading the bills that {name} has in Xero, {shown}")
            for page in self.doors.xero.documents_since(tenant_id, self.kind, self.period.start, self.period.end):
                self._keep_ours(tenant_id, page)
        self._add_waiting()
        self.say(f"reading purchase orders dated {self.start_date} or later, and the lines of those with bills {shown}")
        pages = self.doors.connectwise.purchase_orders_dated_from(self.start_date)
        while not pages.done:
            self._lay(pages.fetch().records, [])
        for chunk in _chunks(sorted(self.wanted - self.seen)):
            self._lay(self.doors.connectwise.purchase_orders_by_id(chunk), chunk)
        self._explain_what_nobody_has()
        return self.statement.statement()

    def _keep_ours(self, tenant_id: str, page: Sequence[Found]) -> None:
        owners = requests.owners(self.doors.audit, tenant_id, [each.xero_id for each in page])
        self.wanted |= {order_of(key) for _, key in owners.values()}
        links = {each.xero_id: self.doors.site.record_of(each.url) for each in page}
        ours = [each for each in page if each.xero_id in owners or (links[each.xero_id] or ("",))[0] == self.family]
        self._keep(tenant_id, ours)

    def _add_waiting(self) -> None:
        for family in kept_as(FAMILY_SHOWN[self.family]):
            after = -(2**40)
            while page := runs.waiting(self.doors.audit, family, "", after, CHUNK):
                after = page[-1].connectwise_id
                self.wanted |= {record_shown(family, each.connectwise_id) for each in page}

    def _lay(self, records: Sequence[dict[str, Any]], asked: Sequence[int]) -> None:
        """Lay orders beside their bills; also those that were `asked` for and are not there."""
        found = [order_header_of(raw) for raw in records]
        headers = {each.order.id: each for each in found if isinstance(each, Header) and each.order.id not in self.laid}
        known = orders.known(self.doors.audit, [*headers, *asked])
        concerned = {number for number, each in headers.items() if self._concerns(each, known.get(number))}
        beside = self._beside({*concerned, *asked}) - {*asked, *self.laid}
        elsewhere = sorted(beside - headers.keys())
        if elsewhere:
            others = [order_header_of(raw) for raw in self.doors.connectwise.purchase_orders_by_id(elsewhere)]
            headers |= {each.order.id: each for each in others if isinstance(each, Header)}
            known |= orders.known(self.doors.audit, elsewhere)
            found += others
            asked = [*asked, *(number for number in elsewhere if number not in headers)]
        read = sorted(concerned | (beside & headers.keys()))
        lines = self.doors.connectwise.purchase_order_lines(read)
        whole = [with_lines(headers[number], lines[number]) for number in read if number in lines]
        unreadable = [each[0] for each in (*found, *whole) if isinstance(each, tuple)]
        names = {each.connectwise_id: each.reference or f"id:{each.connectwise_id}" for each in unreadable}
        self.statement.unreadable += names.values()
        self.seen |= headers.keys() | names.keys() | set(asked)
        ordered = {each.id: each for each in whole if isinstance(each, Ordered)}
        audit = self.doors.audit
        ids = list(dict.fromkeys([*read, *names, *asked]))
        self.laid |= set(ids)
        if ids:
            posted = orders.bills(audit, ids)
            standings = runs.standings(audit, FAMILY_SHOWN[self.family], ids)
            of_bills = orders.bill_standings(audit, ids)
            unique = {each.key: each for group in posted.values() for each in group}
            self._look_up(each.bound for each in unique.values())
            booked = {
                key: self.documents.pop((one.bound.tenant_id, one.bound.xero_id), None) for key, one in unique.items()
            }
            laid: dict[int, _Laid] = {}
            for number in ids:
                bills = posted.get(number, [])
                laid[number] = _Laid(
                    ordered.get(number), names.get(number), bills, {one.key: booked[one.key] for one in bills},
                    known.get(number), standings.get(number), of_bills.get(number, {}),
                )  # fmt: skip
            due = {number: self._due(one) for number, one in laid.items()}
            pairs = list(self._bills(laid, due))
            for number, one in laid.items():
                left = due[number]
                if left is not None and left.unbilled:
                    pairs.append(self._unbilled(one, left.unbilled))
            for pair in pairs:
                self.statement.count_connectwise(pair.here)
            self._explain_all(pairs)

    def _beside(self, ids: set[int]) -> set[int]:
        """These orders, and all that a chain of shared bills joins to them."""
        more = orders.beside(self.doors.audit, sorted(ids))
        return more if more == ids else self._beside(more)

    def _concerns(self, each: Header, known: Order | None) -> bool:
        """Whether the order may have a bill in the period, or lack one."""
        header = each.order
        if header.id in self.wanted:
            return True
        if known is None:
            return header.po_date is None or header.po_date >= self.start_date
        days = (known.received_on, header.vendor_invoice_date, header.date_closed)
        since = any(day is not None and day >= self.period.start for day in days)
        return since or known.seen != each.seen or not header.closed_flag

    def _bills(self, laid: Mapping[int, _Laid], due: Mapping[int, Due | None]) -> Iterator[Pair]:
        """The bills of orders, each once, beside what was received of what it holds of every order that is on it."""
        done: set[int] = set()
        for one, each in ((order, bill) for order in laid.values() for bill in order.posted):
            if each.key in done:
                continue
            done.add(each.key)
            key, document = each.key, each.last.document
            written = self._written(key, each.bound)
            source = None
            parts = [laid[number] for number in sorted(each.on_it) if number in laid]
            shares = [share for part in parts if (share := _share(part, due, each)) is not None]
            if len(shares) == len(each.on_it):
                name = document.reference if document is not None and document.orders else shares[0][0].number
                figure = self._figure(shares, self._name(each.bound), each.bound.date)
                pending = any(map(self._is_pending, parts))
                source = Sourced(key, name, figure, pending=pending, asked=self.unsigned)
                if document is not None:
                    gaps = any(line.quantity is not None and not line.tax_type for line in document.lines)
                    net = total(net_of(order.source, held) for order, held in shares)
                    left = gaps and document.subtotal == net
                    written = replace(written, left_tax=left, taken_back=not document.billed)
            elif unreadable := [part.reference for part in parts if part.reference is not None]:
                source = Sourced(key, unreadable[0], None)
            yield Pair(source, one.there[key], written, one.told(key), key in self.unsettled)

    def _unbilled(self, laid: _Laid, quantities: Mapping[str, Decimal]) -> Pair:
        """What was received of an order and is on none of its bills."""
        order, known = laid.ordered, laid.known
        assert order is not None, "only of an order that can be read"
        organisation = self._organisation(laid)
        on = dated(order.source, quantities) or self.period.end
        figure = self._figure([(order, quantities)], organisation or NOT_ROUTED, on)
        asked = self.unsigned
        # Of an order that changed since it was dealt with last its state is not known here.
        if not asked and known is not None and known.content == order.source.digest:
            has_vendor_invoice = bool(known.vendor_invoice_number.strip())
            asked = not_asked_for(self.tables.lifecycle, organisation, State(known.state), has_vendor_invoice)
        key = bill_key(order.id, 1)
        source = Sourced(key, order.number, figure, pending=self._is_pending(laid), asked=asked)
        in_doubt = self.unsettled & (laid.standings.keys() - laid.there.keys())
        return Pair(source, known=laid.told(), unsettled=bool(in_doubt))

    def _due(self, laid: _Laid) -> Due | None:
        if laid.ordered is None:
            return None
        freight = self.tables.policy.decisions(self._organisation(laid)).purchases.freight
        return due_of(laid.ordered.source, laid.billed, freight)

    def _figure(
        self, shares: Sequence[tuple[Ordered, Mapping[str, Decimal]]], organisation: str, on: date
    ) -> Figure | None:
        """What so much of these orders comes to; None where it is nothing."""
        if not any(quantities for _, quantities in shares):
            return None
        currency = shares[0][0].source.header.currency.currency_code.strip().upper()
        if not currency and organisation in self.books:
            currency = self.books[organisation].organisation.base_currency
        return Figure(organisation, currency, on, total(gross_of(order.source, held) for order, held in shares))

    def _organisation(self, laid: _Laid) -> str:
        """Where its bills are, else where the tables send them; '' where they do not say."""
        if laid.posted:
            return self._name(laid.posted[0].bound)
        assert laid.ordered is not None, "only of an order that can be read"
        bare = SourceBill(header=laid.ordered.source.header, n=1)
        names = self.lists.namesakes(bills.names_of([bare]))
        routed = bills.organisation_of(bare, self.tables, Related(), names)
        return routed[0] if isinstance(routed, tuple) else ""

    def _is_pending(self, laid: _Laid) -> bool:
        """Whether the order is not as it was dealt with last, and the next cycle (or sweep) reads it."""
        order, known = laid.ordered, laid.known
        assert order is not None, "only of an order that can be read"
        header, digest = order.source.header, self.tables.lifecycle.digest
        if self.unsigned or (known is not None and (known.content, known.lifecycle) == (order.source.digest, digest)):
            return False
        decided_by_another = known is not None and known.lifecycle != digest
        is_open = not header.closed_flag or (known is not None and known.is_open)
        # Of a closed order whose header is as it was a cycle reads no lines.
        changed = known is None or known.seen != order.header.seen
        read = changed and self._will_be_read(header.info.last_updated)
        return is_open or decided_by_another or read or header.id in self.lately

    def _answered(self, pair: Pair, last: LastWrite) -> Written:
        """Of a bill that is gone, all that ConnectWise has of it is what Xero lacks."""
        assert pair.written is not None, "only what is bound was answered"
        if pair.here is not None and pair.xero is not None and not pair.xero.live:
            return replace(pair.written, ours=pair.here, answered=pair.here)
        return super()._answered(pair, last)

    def _explain(self, pair: Pair) -> None:
        family = FAMILY_SHOWN[self.family]
        for each in explain(pair, family, self.period):
            number = order_of(each.connectwise_id) if each.connectwise_id is not None else None
            self.statement.add(
                [
                    replace(
                        each,
                        connectwise_id=number,
                        connectwise_url=self.doors.site.link(family, number) if number is not None else "",
                        xero_url=self._xero_url(pair) if each.xero_id else "",
                    )
                ]
            )


READINGS: dict[str, type[_Reading] | type[_ReadingSettled]] = {
    **dict.fromkeys(("invoices", "credit_notes"), _Reading),
    **dict.fromkeys(("payments", "allocations"), _ReadingSettled),
    "bills": _ReadingBills,
}
"""How each family is read. Purchase orders themselves are nothing in Xero."""


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
