"""One cycle of purchase orders: what was received becomes bills by the signed lifecycle. The order never changes:

signed? -> settle earlier -> window -> changed and open orders -> their lines -> bills beside Xero -> the orders' own
documents (ordering.py) -> what each bill should hold -> map, plan, write (as every document) -> orders that are billed
-> orders noted -> watermark

A receipt need not bump its order in ConnectWise (connectwise.md, 11.4). So a cycle reads what changed and what is open,
asks by id for what was open and is listed no more, and reads the lines of all of them; a bill is looked at only where
something differs from what was dealt with last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from blocks.audit import orders, requests, runs
from blocks.audit import watermarks as watermark_rows
from blocks.audit.orders import Order, PostedBill
from blocks.audit.runs import Result, Standing
from blocks.connectwise.client import Pages
from blocks.failures import LimitReached, NotConfigured
from flows import sweeping
from flows.cycle import (
    CALLS_PER_TASK_AFTER,
    ONE_BY_ONE,
    OVERLAP,
    WAITING_PAGE,
    Selection,
    UnknownReference,
    carry,
    check_counts,
    create_rest,
    fail_where_unreachable,
    move_watermark,
    update_pending,
)
from flows.linking import Linking
from flows.ordering import Orders
from flows.updates import take_for
from mappings import bills as bill_mapping
from mappings.billing import (
    BILL_EVENTS,
    Billed,
    Firing,
    Wanted,
    bills_of,
    left_over,
    ordered_value,
    plain_quantity,
    source_of,
    value_of,
)
from mappings.connectwise import PurchaseOrder, SourceBill
from mappings.kinds import BILL
from mappings.lifecycle import Event, State, objections, receipt_state, states_of, unsigned
from mappings.lifecycle_change import Answered
from mappings.links import BILLS_PER_ORDER, bill_key, nth_of, order_of, record_shown
from mappings.money import plain, to_cents
from mappings.outcomes import MISSING, SAID_OF_POSTED, WAITING, Hold, Outcome, Reason
from mappings.related import Related
from mappings.sweeping import all_at_once, too_many
from mappings.updates import EDITABLE
from mappings.xero import Found
from tasks import posting
from tasks.calls import Calls
from tasks.contacts import settle_earlier as settle_contacts
from tasks.cycle import Cycle, Entry
from tasks.invoices import Reading
from tasks.purchase_orders import (
    Detailing,
    Header,
    Ordered,
    extract_purchase_order_lines,
    extract_purchase_orders,
    header_of,
    recalled,
)

LINES_AT_ONCE = 100
"""Orders per task run that reads lines: each costs a call."""
SWEPT = timedelta(days=60)
"""A sweep reads orders again that were raised or received, or of which a bill was written, since: what is received or
taken back may bump nothing (design 6).
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An order with what decides on its bills: those that are there, how they stand in Xero, and the lifecycle's word.

    `organisation` is where the tables send it; '' where they do not say.
    """

    ordered: Ordered
    posted: Sequence[PostedBill]
    there: Mapping[str, Found]
    organisation: str
    firing: Firing

    @property
    def billed(self) -> list[Billed]:
        """Its bills as our records hold them, each with whether it may be changed."""
        held = [dict(each.last.document.billed) for each in self.posted if each.last.document is not None]
        # A person's bill that we took over to change it, and did not yet: what it is for is all that no other bill has.
        rest = left_over(self.ordered.source, held)
        return [self._billed(each, rest) for each in self.posted]

    def _billed(self, each: PostedBill, rest: Mapping[str, Decimal]) -> Billed:
        written, theirs = each.last.document, self.there.get(each.bound.xero_id)
        quantities = dict(written.billed) if written is not None else rest
        receipt = written.receipt if written is not None else ""
        gone = theirs is not None and not theirs.live
        return Billed(nth_of(each.key), receipt, quantities, theirs is not None and theirs.status in EDITABLE, gone)


class Billing:
    """One cycle of purchase orders. `bills` is the same cycle for the documents that are made of them.

    `seen` are the orders that were dealt with; `again` those whose lines a sweep reads although they look as before.
    `hidden` are those that ConnectWise does not show, each with whether it says itself that there is no such order;
    `noted` is how orders stand once all their bills have an outcome.
    """

    def __init__(self, cycle: Cycle, calls: Calls, selection: Selection) -> None:
        self.cycle = cycle
        self.calls = calls
        self.selection = selection
        self.audit = cycle.doors.audit
        self.bills = cycle.beside(BILL.family)
        self.orders = Orders(cycle, calls, selection.forced)
        self.linking = Linking(cycle, calls, selection)
        self.lifecycle = cycle.tables.lifecycle
        self.seen: set[int] = set()
        self.locations: set[int] = set()
        self.again: frozenset[int] = frozenset()
        self.hidden: dict[int, tuple[Order, bool]] = {}
        self.noted: dict[int, Order] = {}
        self.highest: datetime | None = None
        self.began: datetime | None = None

    def run(self) -> None:
        """The whole of it. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence; nothing is half-written."""
        problems = objections(self.lifecycle)[:1] or [unsigned(self.lifecycle, self.cycle.tables.signatures)]
        if problems[0]:
            raise NotConfigured(problems[0])
        try:
            self._run()
        finally:
            self.cycle.counts += self.bills.counts + self.orders.cycle.counts + self.linking.cycle.counts

    def _run(self) -> None:
        cycle, selection = self.cycle, self.selection
        named, accepted = self._named()
        if cycle.writing:
            self._settle_earlier()
        sweeping.accept(cycle, accepted)
        position = watermark_rows.read(self.audit, cycle.family)
        if selection.sweep:
            since = cycle.now() - SWEPT
            self.again = frozenset(
                [*orders.billed_since(self.audit, since), *orders.moved_since(self.audit, since.date())]
            )
        number = 0
        if selection.named:
            self._look_at(named, forced=True)
        else:
            for pages, label, counts in self._lists(position.position):
                while not pages.done:
                    page = self.calls.one(extract_purchase_orders, Reading(cycle.family, pages, [label]))
                    if counts:
                        self.began = self.began or page.at
                    self._look_at(page.records, forced=selection.forced, changed=counts, many=number)
                    number += 1
            self._look_at_the_unlisted()
            if selection.sweep:
                self.orders.sweep(partial(self._documents_whole, order_of=int))
                sweeping.sweep_documents(self.bills, self._whole)
            self._take_up_waiting()
            self._take_up_differing()
            self._tell_hidden()
        update_pending(self.orders.cycle, self.calls)
        create_rest(self.bills, self.calls)
        update_pending(self.bills, self.calls)
        self.orders.finish()
        self.linking.run()
        fail_where_unreachable(cycle)
        for each in (self.bills, self.orders.cycle, self.linking.cycle, cycle):
            check_counts(each)
        if cycle.writing:
            orders.keep(self.audit, self.noted.values(), cycle.now(), cycle.lease)
            if not selection.special:
                move_watermark(cycle, position, self.highest, self.began)

    # What an earlier cycle left behind

    def _settle_earlier(self) -> None:
        """What an interrupted cycle left open comes first: nothing new is written for an order in doubt."""
        settle_contacts(self.cycle)
        for documents in (self.orders.cycle, self.bills):
            if not requests.unsettled_ids(self.audit, documents.family):
                continue
            self.cycle.say("settling what an interrupted cycle left open")
            results = posting.settle_earlier(documents)
            documents.counts["read"] += len(results)
            documents.count(results)
            documents.settled = {result.connectwise_id: result.outcome for result in results}

    # ConnectWise

    def _named(self) -> tuple[list[dict[str, Any]], list[Standing]]:
        """The raw headers of the orders that were asked for. Raises UnknownReference before anything is done.

        With those of which ConnectWise shows nothing, and a person says that their bills stay as they are.
        """
        client, selection = self.cycle.doors.connectwise, self.selection
        found: dict[int, dict[str, Any]] = {}
        accepted: list[Standing] = []
        if selection.ids:
            found.update({record["id"]: record for record in client.purchase_orders_by_id(selection.ids)})
        for reference in selection.references:
            text = reference.strip()
            if text.lower().startswith("id:") and text[3:].strip().isdigit():
                records = client.purchase_orders_by_id([int(text[3:])])
            else:
                records = client.purchase_orders_by_number(text)
            missing: list[Standing] = []
            if not records and self.cycle.take == "theirs":
                missing = runs.missing(self.audit, self.cycle.family, text)
            if not records and not missing:
                raise UnknownReference(
                    f"ConnectWise has no purchase order {reference!r} (or the API member may not see it); nothing was "
                    "done."
                )
            accepted += missing
            found.update({record["id"]: record for record in records})
        return list(found.values()), accepted

    def _lists(self, position: datetime | None) -> Iterator[tuple[Pages, str, bool]]:
        """The lists of a cycle, each with its name and whether it is the one of what changed."""
        cycle, client = self.cycle, self.cycle.doors.connectwise
        if self.selection.special or position is None:
            start = self.selection.since or cycle.start_date
            cycle.say(f"reading purchase orders dated {start} or later")
            yield client.purchase_orders_dated_from(start), f"from {start}", True
            return
        since = position - OVERLAP
        cycle.say(f"reading purchase orders changed since {since:%Y-%m-%d %H:%M:%S} UTC, or open")
        yield client.purchase_orders_changed_since(since), f"since {since:%Y-%m-%d %H-%M}", True
        yield client.purchase_orders_open(), "open", False

    def _look_at_the_unlisted(self) -> None:
        """Orders that the lists do not show, and that are to be looked at all the same.

        What was open and is listed no more; what another lifecycle decided on; in a sweep what was billed lately.
        """
        wanted = set(orders.open_ids(self.audit)) | set(orders.decided_by_another(self.audit, self.lifecycle.digest))
        left = sorted((wanted | self.again) - self.seen)
        for start in range(0, len(left), WAITING_PAGE):
            chunk = left[start : start + WAITING_PAGE]
            shown = self.cycle.doors.connectwise.purchase_orders_by_id(chunk)
            self._look_at(shown)
            self._look_for_hidden(set(chunk) - {raw["id"] for raw in shown})

    def _look_for_hidden(self, ids: Iterable[int]) -> None:
        """Orders that ConnectWise's lists do not show: shown by their own address after all, or noted as hidden."""
        for number, order in orders.known(self.audit, sorted(ids)).items():
            if number in self.seen:
                continue
            shown = self.cycle.doors.connectwise.purchase_order(number)
            if shown.record is not None:
                self._look_at([shown.record])
                continue
            self.seen.add(number)
            self.hidden[number] = order, shown.gone

    def _tell_hidden(self) -> None:
        """Say of each order that ConnectWise does not show what that means; of many at once no more than that.

        Deleted, or hidden from the API member: nothing is undone.
        """
        cycle, ids = self.cycle, list(self.hidden)
        standings = runs.standings(self.audit, cycle.family, ids)
        bills = orders.bills(self.audit, ids)
        there, closed = self._in_xero([one for group in bills.values() for one in group])
        posted = {number: [one.bound for one in group] for number, group in bills.items()}
        placed = self.orders.placed(ids)
        for number, one in placed.items():
            posted.setdefault(number, []).append(one.bound)
        there |= self.orders.in_xero(placed.values(), closed)
        new = [n for n in posted if n not in standings or standings[n].reason not in MISSING]
        known = orders.count(self.audit)
        many = too_many(len(new), known)
        sweeping.tell_of_all(cycle, "", all_at_once(BILL.source, len(new), known, "ConnectWise"), many)
        results: list[Result] = []
        for number, (order, gone) in self.hidden.items():
            bound, standing = posted.get(number, []), standings.get(number)
            entry = Entry(number, order.reference, {}, seen=order.seen)
            dead = [one for one in bound if one.xero_id in there and not there[one.xero_id].live]
            if (many and number in new) or any(one.organisation in closed for one in bound):
                continue
            if len(dead) == len(bound):
                # Nothing of it is in Xero (any more), so nobody has to do anything.
                results.append(cycle.result(entry, Outcome.UNCHANGED if bound else Outcome.SKIPPED))
            elif standing is not None and sweeping.is_accepted(standing):
                pass
            elif standing is not None and cycle.take == "theirs" and standing.reason in MISSING:
                sweeping.accept(cycle, [standing])
            else:
                certain = gone and order.location_id in self.locations
                reason = Reason.SOURCE_DELETED if certain else Reason.SOURCE_HIDDEN
                message = (
                    f"ConnectWise does not show the purchase order {order.reference} any more; what is in Xero for it "
                    "stays."
                )
                results.append(cycle.hold(entry, Hold(reason, order.reference, message)))
                continue
            self.noted[number] = replace(order, is_open=False)
        cycle.counts["read"] += len(results)
        cycle.record(results)

    def _look_at(
        self, headers: Sequence[dict[str, Any]], *, forced: bool = False, changed: bool = False, many: int = 0
    ) -> None:
        """Decide by the header which orders' lines are to be read; carry those on."""
        cycle = self.cycle
        found = [header_of(raw) for raw in headers]
        unreadable = [cycle.hold(*each) for each in found if isinstance(each, tuple)]
        cycle.counts["read"] += len(unreadable)
        cycle.record(unreadable)
        understood = [each for each in found if isinstance(each, Header)]
        self.locations |= {each.order.at_location for each in understood}
        known = orders.known(self.audit, [each.order.id for each in understood])
        ids = [each.order.id for each in understood]
        waits = runs.standings(self.audit, cycle.family, ids)
        unfinished = {
            order_of(key)
            for key, standing in orders.bill_standings(self.audit, ids).items()
            if _waits(standing) or standing.reason in SAID_OF_POSTED
        } | self.orders.unfinished(ids)
        todo: list[Header] = []
        for each in understood:
            number, order = each.order.id, known.get(each.order.id)
            at = each.order.info.last_updated
            if changed and at is not None:
                self.highest = max(self.highest or at, at)
            if number in self.seen:
                continue
            if order is None and _too_early(each.order, cycle):
                continue
            self.seen.add(number)
            shown_again = number in waits and waits[number].reason in MISSING
            as_before = order is not None and order.seen == each.seen and order.lifecycle == self.lifecycle.digest
            if as_before and each.order.closed_flag and not (forced or shown_again or number in self.again):
                # A closed order of which nothing changed: a sweep looks at its lines.
                if not _waits(waits.get(number)) and number not in unfinished:
                    cycle.counts["read"] += 1
                    cycle.count([cycle.result(Entry(number, each.order.po_number, {}), Outcome.UNCHANGED)])
                else:
                    # Taken up with everything that waits, from its copy.
                    self.seen.discard(number)
                continue
            todo.append(each)
        self._carry(self._with_lines(todo), forced, many)

    def _with_lines(self, headers: Sequence[Header]) -> list[Ordered]:
        """The same orders with their lines; unreadable ones are recorded and left out."""
        whole: list[Ordered] = []
        unreadable: list[Result] = []
        for start in range(0, len(headers), LINES_AT_ONCE):
            batch = Detailing(self.cycle, headers[start : start + LINES_AT_ONCE])
            for found in self.calls.one(extract_purchase_order_lines, batch):
                if isinstance(found, tuple):
                    unreadable.append(self.cycle.hold(*found))
                else:
                    whole.append(found)
        self.cycle.counts["read"] += len(unreadable)
        self.cycle.record(unreadable)
        return whole

    def _whole(self, keys: Sequence[int]) -> list[Entry]:
        """These bills with their orders and lines, as what waits is kept; without those that ConnectWise does not show.

        What cannot be read of them is recorded.
        """
        return self._documents_whole(keys, order_of)

    def _documents_whole(self, keys: Sequence[int], order_of: Callable[[int], int]) -> list[Entry]:
        """The same of documents that are told by such keys."""
        shown = self.cycle.doors.connectwise.purchase_orders_by_id(sorted(set(map(order_of, keys))))
        headers = [found for raw in shown if isinstance(found := header_of(raw), Header)]
        whole = {each.id: each for each in self._with_lines(headers)}
        return [
            Entry(key, each.number, each.raw, seen=each.header.seen)
            for key in keys
            if (each := whole.get(order_of(key))) is not None
        ]

    def _take_up_waiting(self) -> None:
        """Every order of which something waits, from its stored copy; what has none is read again."""
        cycle = self.cycle
        for family in (cycle.family, self.orders.cycle.family, BILL.family):
            after = -(2**40)
            while page := runs.waiting(self.audit, family, cycle.run_id, after, WAITING_PAGE):
                after = page[-1].connectwise_id
                whole: dict[int, Ordered] = {}
                bare: list[int] = []
                for standing in page:
                    number = order_of(standing.connectwise_id) if family == BILL.family else standing.connectwise_id
                    if number in self.seen or number in whole:
                        continue
                    ordered = recalled(standing.copy) if standing.copy else None
                    if ordered is not None:
                        whole[number] = ordered
                    else:
                        bare.append(number)
                bare = [number for number in dict.fromkeys(bare) if number not in whole]
                if bare:
                    shown = cycle.doors.connectwise.purchase_orders_by_id(bare)
                    self._look_at(shown, forced=True)
                    self._look_for_hidden(set(bare) - {raw["id"] for raw in shown})
                self.seen |= whole.keys()
                self._carry(list(whole.values()), True, 0)

    def _take_up_differing(self) -> None:
        """Posted documents of which something was said: people may have corrected them since."""
        for documents in (self.orders.cycle, self.bills):
            standings = [
                each
                for each in runs.differing(self.audit, documents.family, documents.run_id)
                if each.connectwise_id not in documents.dealt_with
                and record_shown(documents.family, each.connectwise_id) not in self.seen
            ]
            entries = [Entry.known(each) for each in standings]
            documents.counts["read"] += len(entries)
            documents.record(posting.compare_again(documents, entries))

    # Bills

    def _carry(self, ordered: Sequence[Ordered], forced: bool, many: int) -> None:
        """Decide on the bills of these orders beside what stands in Xero, and write what is missing or changed."""
        if not ordered:
            return
        self.linking.see(ordered)
        cycle, bills = self.cycle, self.bills
        ids = [each.id for each in ordered]
        known = orders.known(self.audit, ids)
        posted = orders.bills(self.audit, ids)
        bill_standings: dict[int, dict[int, Standing]] = defaultdict(dict)
        for key, standing in orders.bill_standings(self.audit, ids).items():
            bill_standings[order_of(key)][key] = standing
        standings = runs.standings(self.audit, cycle.family, ids)
        of_orders, unfinished = self.orders.standings(ids), self.orders.unfinished(ids)
        todo: list[Ordered] = []
        for each in ordered:
            before = known.get(each.id)
            quiet = each.id not in unfinished and not any(
                _waits(standing) or standing.reason in SAID_OF_POSTED for standing in bill_standings[each.id].values()
            )
            if (
                not forced
                and quiet
                and not _waits(standings.get(each.id))
                and before is not None
                and before.content == each.source.digest
                and before.lifecycle == self.lifecycle.digest
            ):
                # An open order as it was: no row for it in each of many cycles.
                cycle.counts["read"] += 1
                cycle.count([cycle.result(each.entry, Outcome.UNCHANGED)])
                if before.seen != each.header.seen or before.is_open is each.source.header.closed_flag:
                    self.noted[each.id] = replace(
                        before, seen=each.header.seen, is_open=not each.source.header.closed_flag
                    )
            else:
                todo.append(each)
        there, closed = self._in_xero([one for each in todo for one in posted.get(each.id, ())])
        terms = cycle.lists.billing_terms(
            {each.source.header.terms.id for each in todo if each.source.header.terms and each.source.header.terms.id}
        ) if todo else {}  # fmt: skip
        entries: list[Entry] = []
        placed = self.orders.placed([each.id for each in todo])
        for each in todo:
            bound = posted.get(each.id, [])
            if any(one.bound.organisation in closed for one in bound):
                self._put_off(each, closed, bound)
                continue
            organisation = self._organisation_of(each)
            case = Case(each, bound, there, organisation, self._firing(each, organisation, bound, there))
            due_days = each.source.header.terms and terms.get(each.source.header.terms.id or 0)
            told = self.orders.take(
                each, case.firing, placed.get(each.id), of_orders.get(each.id), bound, there,
                bill_standings[each.id].values(),
            )  # fmt: skip
            entries += self._entries(
                case, due_days.due_days if due_days else None, standings.get(each.id), bill_standings[each.id], told
            )
            self.noted[each.id] = _order(each, case.firing, self.lifecycle.digest)
        self.orders.write(of_orders, few=not many, many=many >= CALLS_PER_TASK_AFTER)
        bills.counts["read"] += len(entries)
        few = len(entries) <= ONE_BY_ONE and not many
        carry(
            bills, self.calls, entries, {key: one for group in bill_standings.values() for key, one in group.items()},
            few, many >= CALLS_PER_TASK_AFTER,
        )  # fmt: skip

    def _in_xero(self, posted: Sequence[PostedBill]) -> tuple[dict[str, Found], set[str]]:
        """How these bills stand in Xero now, by id; and the organisations that could not be asked."""
        groups: dict[str, list[PostedBill]] = defaultdict(list)
        for each in posted:
            groups[each.bound.organisation].append(each)
        there: dict[str, Found] = {}
        closed: set[str] = set()
        for organisation, group in sorted(groups.items()):
            tenant_id, xero_ids = group[0].bound.tenant_id, [each.bound.xero_id for each in group]
            if tenant_id not in self.cycle.doors.tenants.values():
                continue

            def read(tenant_id: str = tenant_id, xero_ids: Sequence[str] = xero_ids) -> None:
                there.update(self.cycle.doors.xero.documents_by_id(tenant_id, BILL, xero_ids))

            if not self.cycle.reach(organisation, read):
                closed.add(organisation)
        return there, closed

    def _put_off(self, each: Ordered, closed: Iterable[str], posted: Sequence[PostedBill]) -> None:
        """Leave an order whose bills could not be looked at to a later cycle."""
        problem = next(self.cycle.closed[one.bound.organisation] for one in posted if one.bound.organisation in closed)
        if isinstance(problem, LimitReached):
            self.cycle.counts["read"] += 1
            self.cycle.record([self.cycle.hold(each.entry, posting.limit_hold(problem))])

    def _organisation_of(self, each: Ordered) -> str:
        bare = SourceBill(header=each.source.header, n=1)
        names = self.cycle.lists.namesakes(bill_mapping.names_of([bare]))
        routed = bill_mapping.organisation_of(bare, self.cycle.tables, Related(), names)
        return routed[0] if isinstance(routed, tuple) else ""

    def _firing(
        self, each: Ordered, organisation: str, posted: Sequence[PostedBill], there: Mapping[str, Found]
    ) -> Firing:
        """What the signed lifecycle says of this order."""
        source = each.source
        status_id = source.header.status.id
        status = self.cycle.lists.purchase_order_statuses([status_id] if status_id else []).get(status_id or 0)
        written = [one.last.document for one in posted if one.last.document is not None]
        billed = any(document.billed for document in written)
        stand = [there[one.bound.xero_id] for one in posted if one.bound.xero_id in there]
        paid = bool(stand) and all(found.status == "PAID" for found in stand if found.live)
        states = states_of(source, status, billed=billed, paid=paid)
        rows = self.lifecycle.fired(organisation, states)
        events = frozenset(event for row in rows for event in row.events)
        status_word = next((row.status for row in rows if set(row.events) & set(BILL_EVENTS)), "")
        cited = (*(row.cited for row in rows), f"lifecycle.csv, SHA-256 {self.lifecycle.digest}")
        answered = Answered.by(self.lifecycle, organisation, states)
        return Firing(receipt_state(source, status, billed), events, status_word, cited, answered.to_text())

    def _entries(
        self,
        case: Case,
        due_days: int | None,
        standing: Standing | None,
        standings: Mapping[int, Standing],
        told: bool,
    ) -> list[Entry]:
        """The bills of an order that are to be mapped; what is decided without them is recorded.

        `told`: the order's own document says something of it already.
        """
        each, cycle = case.ordered, self.cycle
        wanted = self._wanted(case)
        if isinstance(wanted, Hold):
            self._told(each, case.firing, wanted)
            return []
        entries: list[Entry] = []
        quiet: list[Result] = []
        documents = {nth_of(one.key): one for one in case.posted}
        for one in wanted:
            key, bound = bill_key(each.id, one.n), documents.get(one.n)
            written = bound.last.document if bound is not None else None
            if bound is not None and self._is_over(one, bound, standings.get(key)):
                quiet.append(self._settled(case, one, bound))
                continue
            known = (written.number, written.date, written.due_date or written.date) if written is not None else None
            source = source_of(each.source, one, case.firing, due_days, known)
            if not one.quantities and bound is None:
                continue
            if written is not None and source.is_as(written.source) and not self._looked_at_again(standings.get(key)):
                # What the tables say by now is for bills that are still to be made.
                quiet.append(self._as_before(case, bound, written.receipt))
                continue
            entries.append(Entry(key, each.number, each.raw, seen=each.header.seen, source=source))
        there = {entry.connectwise_id for entry in entries} | {result.connectwise_id for result in quiet}
        # Waited, and is not to be any more: taken back before it was posted.
        quiet += [
            self.bills.result(Entry(key, each.number, {}), Outcome.SKIPPED)
            for key, one in standings.items()
            if key not in there and _waits(one) and nth_of(key) not in documents
        ]
        self.bills.counts["read"] += len(quiet)
        self.bills.record(quiet)
        if not entries and not quiet and not told:
            self._told(each, case.firing, None)
        elif _waits(standing) and cycle.writing:
            # What was said of the order itself is over; its bills say the rest.
            over = replace(cycle.result(each.entry, Outcome.UNCHANGED), rows_used=case.firing.cited)
            runs.record(self.audit, cycle.run_id, [over], cycle.now(), cycle.lease)
        return entries

    def _wanted(self, case: Case) -> list[Wanted] | Hold:
        """What each bill of the order should hold; or why nothing can be said of it."""
        source, firing = case.ordered.source, case.firing
        header = source.header
        received = value_of(source.lines)
        if not received and firing.bill is not None and firing.state in (State.RAISED, State.CANCELLED):
            return Hold(
                Reason.INVOICED_NOT_RECEIVED,
                header.vendor_invoice_number,
                f"{header.po_number} has the vendor invoice {header.vendor_invoice_number}, but nothing of it was "
                "received, so there is no bill.",
            )
        purchases = self.cycle.tables.policy.decisions(case.organisation).purchases
        wanted = bills_of(source, firing, case.billed, purchases.freight, purchases.over_receipt)
        if isinstance(wanted, list) and any(one.n >= BILLS_PER_ORDER for one in wanted):
            return Hold(
                Reason.UNREADABLE_RECORD,
                header.po_number,
                f"{header.po_number} would have more than {BILLS_PER_ORDER - 1} bills.",
                "Raise another purchase order for what is still to come.",
            )
        if isinstance(wanted, list) and Event.HOLD in firing.events and firing.state is not State.REVERSED:
            return Hold(
                Reason.LIFECYCLE_HOLD,
                firing.state.value,
                f"{header.po_number} is {firing.state.value.replace('_', ' ')} ({plain(to_cents(received))} received), "
                f"and {firing.cited[0]} says to hold it.",
            )
        return wanted

    def _is_over(self, one: Wanted, bound: PostedBill, standing: Standing | None) -> bool:
        """Whether nothing is left to do in Xero about a bill from which something was taken back."""
        written = bound.last.document
        if written is None:
            return False
        if one.gone:
            return not one.quantities or one.quantities != dict(written.billed)
        return not one.quantities and (not written.billed or take_for(self.bills, standing) == "theirs")

    def _looked_at_again(self, standing: Standing | None) -> bool:
        """Whether a posted bill is mapped anew although ConnectWise says nothing new of it."""
        told = standing is not None and (_waits(standing) or standing.reason in SAID_OF_POSTED)
        return told or self.cycle.forced or self.selection.forced

    def _as_before(self, case: Case, bound: PostedBill | None, receipt: str) -> Result:
        assert bound is not None
        entry = Entry(bound.key, case.ordered.number, {}, seen=case.ordered.header.seen)
        result = self.bills.result(
            entry, Outcome.UNCHANGED, xero_id=bound.bound.xero_id, organisation=bound.bound.organisation
        )
        return replace(
            result, part=receipt, rows_used=case.firing.cited, amount=plain(bound.bound.total),
            currency=bound.bound.currency,
        )  # fmt: skip

    def _settled(self, case: Case, one: Wanted, bound: PostedBill) -> Result:
        """Note that a bill holds no more than this: a person removed it, or entered the supplier credit."""
        written = bound.last.document
        assert written is not None
        if self.cycle.writing:
            left = replace(written, billed=tuple(sorted(one.quantities.items())))
            with self.audit.transaction(self.cycle.lease) as connection:
                orders.note_billed_in(connection, bound.key, left)
        return self._as_before(case, bound, written.receipt)

    def _told(self, each: Ordered, firing: Firing, hold: Hold | None) -> None:
        """An order of which no bill says anything: held, or left alone by its row of the lifecycle."""
        cycle = self.cycle
        result = cycle.hold(each.entry, hold) if hold is not None else cycle.result(each.entry, Outcome.SKIPPED)
        header = each.source.header
        amount = plain(to_cents(value_of(each.source.lines)))
        cycle.counts["read"] += 1
        cycle.record(
            [
                replace(
                    result, rows_used=firing.cited, value=result.value or firing.state.value, amount=amount,
                    currency=header.currency.currency_code, location=header.at_location,
                )
            ]
        )  # fmt: skip


def _waits(standing: Standing | None) -> bool:
    return standing is not None and standing.outcome in WAITING


def _too_early(order: PurchaseOrder, cycle: Cycle) -> bool:
    """Orders from before the family's first business date are skipped (design 4)."""
    return order.po_date is not None and order.po_date < cycle.start_date


def _order(each: Ordered, firing: Firing, lifecycle: str) -> Order:
    """How an order stands now."""
    header, lines = each.source.header, each.source.lines
    received = [line.date_received for line in lines if line.received_quantity and line.date_received is not None]
    return Order(
        connectwise_id=header.id,
        reference=header.po_number,
        ordered_on=header.po_date,
        vendor_id=header.vendor_company.id or 0,
        vendor_identifier=header.vendor_company.identifier,
        vendor=header.vendor_company.name or header.vendor_company.identifier,
        currency=header.currency.currency_code,
        state=firing.state.value,
        is_open=not header.closed_flag,
        ordered_value=plain_quantity(to_cents(ordered_value(lines))),
        received_value=plain_quantity(to_cents(value_of(lines))),
        received_on=max(received, default=None),
        vendor_invoice_number=header.vendor_invoice_number,
        location_id=header.at_location,
        seen=each.header.seen,
        content=each.source.digest,
        lifecycle=lifecycle,
        answered=firing.answered,
    )
