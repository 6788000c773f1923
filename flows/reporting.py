"""The reading behind the purchase reports. Nothing is written anywhere but into the audit.

What changed since the last cycle of purchase orders, and what is open, is read as a cycle does; of all other orders the
audit knows which are worth a look, and those are read anew. Where no cycle runs (the family is off, the lifecycle is
not signed, or there was none yet), all orders since the start date are read. Xero is asked for what a report needs. The
audit keeps the calls themselves, and what bills each line on as it was traced.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from prefect import Task

from blocks.audit import contacts, onbilling, orders, requests, runs
from blocks.audit import watermarks as watermark_rows
from blocks.audit.orders import PostedBill
from blocks.connectwise.client import Pages
from blocks.doors import Doors
from blocks.failures import CannotGoOn, LimitReached, NotConfigured
from flows.billing import Billing
from flows.cycle import OVERLAP, Selection
from flows.onbilling import Tracing, digest_of
from mappings import bills as bill_mapping
from mappings.billing import FREIGHT, Billed, value_of
from mappings.connectwise import PurchaseOrder, SourceBill, SourcePurchaseOrder
from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.lifecycle import states_of, unsigned
from mappings.links import nth_of
from mappings.margins import InBills, charges, margin, purchase_match
from mappings.money import ZERO, to_cents, total
from mappings.outcomes import WAITING, Hold, Reason, XeroList
from mappings.posted import Posted
from mappings.related import Related, Wanted
from mappings.reports import (
    COLUMNS,
    WORTH_A_LOOK,
    Glance,
    InXero,
    Ours,
    Report,
    Row,
    Theirs,
    Unbilled,
    invoiced_not_received,
    paid_not_received,
    parallel_run,
    received_without_bill,
    unbilled,
    unmapped_vendor,
    vendor_problem,
    what_lifecycle_says,
    written_value,
)
from mappings.updates import EDITABLE
from mappings.xero import Document, Found
from tasks.calls import PlainCalls
from tasks.cycle import Cycle, Entry
from tasks.invoices import MapBatch
from tasks.lists import Lists, needed_by
from tasks.purchase_orders import Header, Ordered, header_of, with_lines

FAMILY = "purchase_orders"
CHUNK = 100
"""Orders whose lines are read at once, a call for each."""
R = TypeVar("R")
Item = TypeVar("Item")


def make_report(
    name: str,
    open_doors: Callable[[str], Doors],
    start: date | None,
    end: date | None,
    say: Callable[[str], None],
) -> Report:
    """A report by its name; `start` and `end` are the period of a parallel run.

    Raises NotConfigured for a name or a period that cannot be, CannotGoOn where a system cannot be reached: half a
    report would look like a whole one.
    """
    if name not in COLUMNS:
        raise NotConfigured(f"There is no report {name!r}; there are {', '.join(COLUMNS)}.")
    if (start or end) and name != "parallel-run":
        raise NotConfigured(f"{name} is of what stands now; leave --from and --to away.")
    doors = open_doors(uuid.uuid4().hex)
    try:
        return _ParallelRun(doors, say).report(start, end) if name == "parallel-run" else _Reading(doors, say).of(name)
    except LimitReached as problem:
        raise CannotGoOn(f"{problem}; make the report again then.") from problem
    finally:
        doors.audit.close()


class _Reading:
    """One report of what stands now."""

    def __init__(self, doors: Doors, say: Callable[[str], None]) -> None:
        self.doors = doors
        self.say = say
        self.audit = doors.audit
        self.tables = doors.tables.read()
        self.lists = Lists(doors, [XeroList.ORGANISATION, XeroList.CONTACTS])
        self.lists.keeps = False
        self.start_date = self.tables.policy.starts(FAMILY, self.audit.set_up_on)
        self.stopped = self._why_no_cycle()

    def of(self, name: str) -> Report:
        """The report with this name."""
        if name in ("margin", "purchase-match"):
            return self._on_billing(name)
        worth_a_look = WORTH_A_LOOK[name]
        if name == "unmapped-vendors":
            return self._unmapped(name, self._unbilled(worth_a_look))
        if name == "received-without-bill":
            rows = self._explained(self._unbilled(worth_a_look))
        elif name == "invoiced-not-received":
            found = (invoiced_not_received(source) for source, _ in self._orders(worth_a_look))
            rows = [row for row in found if row is not None]
        else:
            rows = self._paid(worth_a_look)
        return Report(name, _in_order(rows))

    def _why_no_cycle(self) -> str:
        """Why no cycle makes bills; '' where one does."""
        if self.tables.policy.families.purchase_orders == "off":
            return "Purchase orders are off in policy.toml ([families])."
        return unsigned(self.tables.lifecycle, self.tables.signatures)

    # Orders

    def _orders(self, worth_a_look: Callable[[Glance], bool]) -> Iterator[tuple[SourcePurchaseOrder, list[PostedBill]]]:
        """The orders that are worth a look, as they are now, each with its bills."""
        seen: set[int] = set()
        for pages in self._lists():
            while not pages.done:
                found = [header_of(raw) for raw in pages.fetch().records]
                for chunk in _chunks(self._to_be_read(found, seen)):
                    seen |= {each.order.id for each in chunk}
                    for source, bills in self._whole(chunk):
                        invoice = source.header.vendor_invoice_number
                        number, value = source.header.id, to_cents(value_of(source.lines))
                        if worth_a_look(_glance(number, value, bills, invoice)):
                            yield source, bills
        for known in _chunks([each for each in orders.everything(self.audit) if each.connectwise_id not in seen]):
            posted = self._bills([each.connectwise_id for each in known])
            wanted: list[int] = []
            for each in known:
                own, value = posted.get(each.connectwise_id, []), Decimal(each.received_value)
                if worth_a_look(_glance(each.connectwise_id, value, own, each.vendor_invoice_number)):
                    wanted.append(each.connectwise_id)
            if wanted:
                found = [header_of(raw) for raw in self.doors.connectwise.purchase_orders_by_id(wanted)]
                yield from self._whole(self._readable(found))

    def _lists(self) -> Iterator[Pages]:
        """What may have changed since the last cycle; all since the start date, where no cycle runs."""
        client, position = self.doors.connectwise, watermark_rows.read(self.audit, FAMILY).position
        if self.stopped or position is None:
            self.say(f"reading purchase orders dated {self.start_date} or later")
            yield client.purchase_orders_dated_from(self.start_date)
            return
        self.say("reading purchase orders that changed since the last cycle, or are open")
        yield client.purchase_orders_changed_since(position - OVERLAP)
        yield client.purchase_orders_open()

    def _readable(self, found: Iterable[Header | tuple[Entry, Hold]]) -> list[Header]:
        """Headers. One that cannot be read is an exception of the cycle's; here it is only said."""
        headers: list[Header] = []
        for each in found:
            if isinstance(each, Header):
                headers.append(each)
            else:
                self.say(each[1].message)
        return headers

    def _to_be_read(self, found: Iterable[Header | tuple[Entry, Hold]], seen: set[int]) -> list[Header]:
        """Of orders that a list shows those whose lines are read, as in a cycle.

        Not those from before the start date, which are nobody's business, nor closed ones that are as they were.
        """
        headers = [each for each in self._readable(found) if each.order.id not in seen]
        known = orders.known(self.audit, [each.order.id for each in headers])
        todo: list[Header] = []
        for each in headers:
            order, before = each.order, known.get(each.order.id)
            if before is None:
                wanted = order.po_date is None or order.po_date >= self.start_date
            else:
                wanted = not order.closed_flag or before.seen != each.seen
            if wanted:
                todo.append(each)
        return todo

    def _whole(self, headers: Sequence[Header]) -> Iterator[tuple[SourcePurchaseOrder, list[PostedBill]]]:
        """Orders with their lines and bills."""
        ids = [each.order.id for each in headers]
        lines = self.doors.connectwise.purchase_order_lines(ids)
        bills = self._bills(ids)
        for each in headers:
            found = with_lines(each, lines[each.order.id]) if each.order.id in lines else None
            if isinstance(found, Ordered):
                yield found.source, bills.get(found.id, [])
            elif found is not None:
                self.say(found[1].message)

    def _bills(self, ids: Sequence[int]) -> dict[int, list[PostedBill]]:
        """The bills of these orders, without those that a person removed in Xero and that are still to be explained."""
        standings = orders.bill_standings(self.audit, ids)
        removed = {
            key
            for found in standings.values()
            for key, standing in found.items()
            if standing.reason == Reason.REMOVED_IN_XERO
        }
        bills = orders.bills(self.audit, ids)
        return {number: [each for each in own if each.key not in removed] for number, own in bills.items()}

    # Received without a bill

    def _unbilled(self, worth_a_look: Callable[[Glance], bool]) -> list[Unbilled]:
        found: list[Unbilled] = []
        for source, bills in self._orders(worth_a_look):
            left = unbilled(source, [each.held_of(source.header.id) for each in bills])
            if left is not None:
                found.append(left)
        return found

    def _explained(self, found: Sequence[Unbilled]) -> list[Row]:
        """Rows with why: what the cycle said of the order, that no cycle runs, else what the lifecycle says."""
        said: dict[int | str, list[str]] = defaultdict(list)
        for each in runs.open_exceptions(self.audit, [FAMILY]):
            # What is said of a bill that is there is no reason why another one is not.
            if each["outcome"] in WAITING or each["reason"] == Reason.REMOVED_IN_XERO:
                said[each["connectwise_id"]].append(each["message"])
                # Of a bill that orders share it is said once, with all their numbers.
                for number in each["reference"].split(", ")[1:]:
                    said[number].append(each["message"])
        rows: list[Row] = []
        for one in found:
            header = one.source.header
            reasons = dict.fromkeys((*said[header.id], *said[header.po_number]))
            told = [*reasons, *filter(None, [self.stopped])]
            rows.append(received_without_bill(one, " ".join(told) or self._by_lifecycle(one.source)))
        return rows

    def _by_lifecycle(self, source: SourcePurchaseOrder) -> str:
        header = source.header
        status_id = header.status.id
        status = self.lists.purchase_order_statuses([status_id] if status_id else []).get(status_id or 0)
        routed = self._route(header)
        # Something is received, so it does not matter whether anything is billed.
        states = states_of(source, status, billed=False, paid=False)
        rows = self.tables.lifecycle.fired(routed if isinstance(routed, str) else "", states)
        return what_lifecycle_says(states[0], rows)

    def _route(self, header: PurchaseOrder) -> str | Hold:
        """The organisation that the tables send an order to."""
        bare = SourceBill(header=header, n=1)
        names = self.lists.namesakes(bill_mapping.names_of([bare]))
        routed = bill_mapping.organisation_of(bare, self.tables, Related(), names)
        return routed if isinstance(routed, Hold) else routed[0]

    # Vendors

    def _unmapped(self, name: str, found: Sequence[Unbilled]) -> Report:
        """Orders whose vendor is no contact for certain; the notes are the cures.

        Without those that no row routes: in which organisation the vendor has to be a contact is not known.
        """
        vendors = (each.source.header.vendor_company.id for each in found)
        related = self.lists.related(Wanted(companies={number for number in vendors if number is not None}))
        known = contacts.known(self.audit, related.companies)
        rows: list[Row] = []
        cures: list[str] = []
        for each in found:
            organisation = self._route(each.source.header)
            if isinstance(organisation, Hold) or organisation not in self.doors.tenants:
                continue
            problem = self._problem(each.source.header, organisation, related, known)
            if problem is not None:
                rows.append(unmapped_vendor(each, problem))
                cures.append(f"{problem.message} {problem.fix}")
        return Report(name, _in_order(rows), tuple(dict.fromkeys(cures)))

    def _problem(
        self, header: PurchaseOrder, organisation: str, related: Related, known: Mapping[tuple[str, int], str]
    ) -> Hold | None:
        """Why the vendor is no contact; the list of contacts is read anew before that is said."""

        def problem() -> Hold | None:
            vendor = header.vendor_company.id or 0
            return vendor_problem(
                header,
                related.companies.get(vendor),
                organisation,
                self.tables.contacts,
                self.lists.books([organisation])[organisation],
                known.get((self.doors.tenants[organisation], vendor), ""),
                self.tables.policy.decisions(organisation).contacts.create == "create",
            )

        found = problem()
        if found is not None and found.waits_on and self.lists.renew(organisation, found.waits_on):
            found = problem()
        return found

    # Paid and not received

    def _paid(self, worth_a_look: Callable[[Glance], bool]) -> list[Row]:
        found = list(self._orders(worth_a_look))
        there = _in_xero(self.doors, [bill for _, bills in found for bill in bills])
        rows: list[Row] = []
        for source, bills in found:
            order = source.header.id
            stands = [_stands(each, order, there[each.bound.xero_id]) for each in bills if each.bound.xero_id in there]
            rows += paid_not_received(source, stands)
        return rows

    # What was billed on

    def _on_billing(self, name: str) -> Report:
        """Orders with what bills them on: traced anew, and kept in the audit.

        Of closed orders that are as they were the audit has the lines; all others are read.
        """
        sources, hidden = self._all_orders()
        tracing = Tracing(self.doors, self.say)
        kept = onbilling.digests(self.audit)
        self.say("reading products and invoices")
        fresh = [each for each in sources if kept.get(each.header.id) != digest_of(each)]
        traced = tracing.trace(fresh, hidden, everything=True)
        charged_for = charges(traced.products.values(), traced.invoices)
        if name == "margin":
            return margin(sources, traced.traces, charged_for, *traced.words)
        # A bill that several orders share is there for each of them.
        bills = {bill.key: bill for own in self._bills([each.header.id for each in sources]).values() for bill in own}
        in_bills = _held_by(bills.values(), _in_xero(self.doors, bills.values()))
        return purchase_match(sources, in_bills, traced.traces, charged_for, *traced.words)

    def _all_orders(self) -> tuple[list[SourcePurchaseOrder], list[int]]:
        """Every order since the start date, by id, and those that are known and not shown any more."""
        whole: dict[int, SourcePurchaseOrder] = {}
        seen: set[int] = set()
        for pages in self._lists():
            while not pages.done:
                found = [header_of(raw) for raw in pages.fetch().records]
                for chunk in _chunks(self._to_be_read(found, seen)):
                    seen |= {each.order.id for each in chunk}
                    whole |= {source.header.id: source for source, _ in self._whole(chunk)}
        kept = {each.header.id: each for each in onbilling.kept_orders(self.audit)}
        known = {each.connectwise_id for each in orders.everything(self.audit)} | kept.keys()
        hidden: list[int] = []
        for ids in _chunks(sorted(known - seen)):
            shown = self._readable(header_of(raw) for raw in self.doors.connectwise.purchase_orders_by_id(ids))
            as_they_were = [each for each in shown if each.order.closed_flag and _is(each, kept.get(each.order.id))]
            whole |= {each.order.id: kept[each.order.id] for each in as_they_were}
            whole |= {
                source.header.id: source for source, _ in self._whole([e for e in shown if e not in as_they_were])
            }
            hidden += sorted(set(ids) - {each.order.id for each in shown})
        return [whole[number] for number in sorted(whole)], hidden


def _is(header: Header, kept: SourcePurchaseOrder | None) -> bool:
    """Whether an order is as it was when its lines were kept."""
    return kept is not None and kept.header == header.order


def _held_by(bills: Iterable[PostedBill], there: Mapping[str, Found]) -> dict[str, InBills]:
    """What the live bills hold of each line, by its order's own key, as they stand in Xero."""
    held: dict[str, InBills] = defaultdict(InBills)
    for bill in bills:
        document, found = bill.last.document, there.get(bill.bound.xero_id)
        if document is None or found is None or not found.live:
            continue
        posted, written = Posted.read(found), {line.key: line for line in document.lines}
        for key, quantity in document.billed:
            line, own = posted.line(bill.last.lines.get(key, "")), key.rpartition("/")[2]
            if own == FREIGHT or line is None or key not in written:
                continue
            # A line whose price has too many decimals went as one at its amount: it is told by what it was written for.
            as_written = line.quantity == written[key].quantity
            held[own].quantity += quantity if as_written else line.quantity or ZERO
            held[own].amount += line.amount
    return held


def _glance(order: int, received: Decimal, bills: Sequence[PostedBill], vendor_invoice_number: str) -> Glance:
    return Glance(received, total(_value(each, order) for each in bills), bool(bills), vendor_invoice_number)


def _value(bill: PostedBill, order: int) -> Decimal:
    return written_value(bill.last.document, order) if bill.last.document is not None else ZERO


def _in_xero(doors: Doors, bills: Iterable[PostedBill]) -> dict[str, Found]:
    """Bills as they stand in Xero now, by id; those of organisations that are not connected any more are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for each in bills:
        groups[each.bound.tenant_id].append(each.bound.xero_id)
    there: dict[str, Found] = {}
    for tenant_id, xero_ids in groups.items():
        if tenant_id in doors.tenants.values():
            there |= doors.xero.documents_by_id(tenant_id, BILL, xero_ids)
    return there


def _stands(bill: PostedBill, order: int, found: Found) -> InXero:
    document = bill.last.document
    billed = Billed(
        nth_of(bill.key),
        document.receipt if document else "",
        bill.held_of(order),
        found.status in EDITABLE,
        not found.live,
        bill.lead if bill.lead != order else 0,
    )
    return InXero(billed, found.number, Posted.read(found).paid)


def _in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (str(row["po_number"]), row["connectwise_id"] or 0)))


class _ParallelRun:
    """What a cycle made or would make of the orders of a period, beside the bills that people keyed."""

    def __init__(self, doors: Doors, say: Callable[[str], None]) -> None:
        self.doors = doors
        self.say = say
        self.tables = doors.tables.read()

    def report(self, start: date | None, end: date | None) -> Report:
        """Both sides of the period: from the family's start date to today unless told otherwise."""
        problem = unsigned(self.tables.lifecycle, self.tables.signatures)
        if problem:
            raise NotConfigured(problem)
        begins = self.tables.policy.starts(FAMILY, self.doors.audit.set_up_on)
        first, last = start or begins, end or self.doors.clock().date()
        if first > last:
            since = "" if start else " (the start date of purchase orders in policy.toml; --from names another day)"
            raise NotConfigured(f"The period ends on {last}, before it starts on {first}{since}; nothing was done.")
        documents, ids, held = self._rehearsed(first, last)
        ours = {key: _ours(document, document.total, document.currency) for key, document in documents.items()}
        self.say(f"reading the bills dated {first} to {last} in Xero")
        theirs = self._theirs(first, last, documents.values())
        live = {one.key: one.found for one in theirs if one.key is not None}
        for chunk in _chunks(ids):
            for each in (bill for own in orders.bills(self.doors.audit, chunk).values() for bill in own):
                document, bound = each.last.document, each.bound
                # Everything was taken back, and the bill is gone: that is settled.
                if document is not None and (document.billed or each.key in live):
                    ours.setdefault(each.key, _ours(document, bound.total, bound.currency))
        # Bills of other orders that we made are dated in the period, too.
        others = {one.key for one in theirs if one.asked and one.key is not None} - ours.keys()
        for key, bound in requests.bound(self.doors.audit, BILL.family, sorted(others)).items():
            number = live[key].number
            ours[key] = Ours(bound.tenant_id, key, bound.reference, number, "", bound.total, bound.currency)
        return Report("parallel-run", tuple(parallel_run(list(ours.values()), theirs)), tuple(held))

    def _rehearsed(self, first: date, last: date) -> tuple[dict[int, Document], list[int], list[str]]:
        """A dry run over the orders of the period: the bills that it maps, by key, the orders' ids, and what it holds.

        Without a bill there is nothing to compare, so what would be held is told in sentences.
        """
        self.say(f"reading purchase orders dated {first} to {last}")
        pages = self.doors.connectwise.purchase_orders_dated_from(first, last)
        ids: list[int] = []
        while not pages.done:
            ids += [record["id"] for record in pages.fetch().records]
        listening = _Listening()
        held: dict[str, None] = {}
        lists = Lists(self.doors, needed_by(self.tables))
        lists.keeps = False
        for organisation in self.doors.tenants:
            # What is in Xero is looked at here: the dry run need not search it all.
            lists.mark_searched(organisation, BILL.family, first)
        for chunk in _chunks(ids):
            cycle = Cycle(
                family=FAMILY,
                run_id=uuid.uuid4().hex,
                mode="plan",
                doors=self.doors,
                tables=self.tables,
                lists=lists,
                start_date=first,
                forced=True,
                named=True,
                say=self.say,
            )
            Billing(cycle, listening, Selection(ids=chunk)).run()
            for problem in cycle.closed.values():
                raise problem
            for told in cycle.told:
                of_order = told.family == PURCHASE_ORDER.family
                if told.outcome in WAITING and not of_order and told.connectwise_id not in listening.documents:
                    held[f"{told.reference} would be held ({told.reason}): {told.message} {told.fix}".strip()] = None
        return listening.documents, ids, list(held)

    def _theirs(self, first: date, last: date, documents: Iterable[Document]) -> list[Theirs]:
        """Live bills: those of the period, and others of the same suppliers: people may have dated theirs apart."""
        suppliers: dict[str, list[str]] = defaultdict(list)
        for document in documents:
            suppliers[document.tenant_id].append(document.contact_id)
        theirs: list[Theirs] = []
        for tenant_id in self.doors.tenants.values():
            here: dict[str, tuple[Found, bool]] = {}
            for page in self.doors.xero.documents_since(tenant_id, BILL, first, last):
                here |= {found.xero_id: (found, True) for found in page if found.live}
            for page in self.doors.xero.bills_of(tenant_id, suppliers[tenant_id]):
                for found in page:
                    if found.live:
                        here.setdefault(found.xero_id, (found, False))
            owners: dict[str, tuple[str, int]] = {}
            for chunk in _chunks(list(here)):
                owners |= requests.owners(self.doors.audit, tenant_id, chunk)
            for xero_id, (found, asked) in here.items():
                owner = owners.get(xero_id) or self.doors.site.record_of(found.url)
                key = owner[1] if owner is not None and owner[0] == BILL.family else None
                theirs.append(Theirs(tenant_id, found, key, asked))
        return theirs


class _Listening(PlainCalls):
    """Carries out tasks as they are, and keeps each bill that mapping gave, also where a cycle would hold it then.

    What is held because Xero has another bill of this order is what a parallel run is about.
    """

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[int, Document] = {}

    def one(self, step: Task[[object], R], batch: object) -> R:
        """Carry out one task; what is kept of a mapping is the last that it said of a bill."""
        done = super().one(step, batch)
        if isinstance(batch, MapBatch) and batch.family == BILL.family and isinstance(done, Sequence):
            for entry, outcome in zip(batch.entries, done, strict=True):
                self.documents.pop(entry.connectwise_id, None)
                if isinstance(outcome, Document):
                    self.documents[entry.connectwise_id] = outcome
        return done


def _ours(document: Document, amount: Decimal, currency: str) -> Ours:
    return Ours(
        document.tenant_id, document.connectwise_id, document.reference, document.number, document.contact_id, amount,
        currency,
    )  # fmt: skip


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
