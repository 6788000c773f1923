"""One cycle of purchase orders: what was received becomes bills by the signed lifecycle. The order never changes:

signed? -> settle earlier -> window -> changed and open orders -> their lines -> bills beside Xero -> the orders' own
documents (ordering.py) -> what each bill should hold -> map, plan, write (as every document) -> orders that are billed
-> orders noted -> watermark

A receipt need not bump its order in ConnectWise (connectwise.md, 11.4). So a cycle reads what changed and what is open,
asks by id for what was open and is listed no more, and reads the lines of all of them; a bill is looked at only where
something differs from what was dealt with last.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import simplejson

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
from mappings import vendor_invoices
from mappings.billing import (
    BILL_EVENTS,
    FREIGHT,
    Billed,
    Firing,
    Pooled,
    Wanted,
    bills_of,
    left_over,
    ordered_value,
    plain_quantity,
    pooled,
    source_of,
    value_of,
)
from mappings.connectwise import PurchaseOrder, SourceBill, read_json
from mappings.kinds import BILL
from mappings.lifecycle import Event, State, objections, receipt_state, states_of, unsigned
from mappings.lifecycle_change import Answered
from mappings.links import BILLS_PER_ORDER, bill_key, nth_of, order_of, record_shown
from mappings.money import plain, to_cents
from mappings.outcomes import MISSING, SAID_OF_POSTED, WAITING, Hold, Outcome, Reason
from mappings.received import net_of
from mappings.related import Related
from mappings.reports import written_value
from mappings.shares import key_on
from mappings.sweeping import all_at_once, too_many
from mappings.updates import EDITABLE, Settled
from mappings.vendor_invoices import Key, VendorInvoices, in_words, invoice_key
from mappings.xero import Found
from tasks import posting
from tasks import updates as updating
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
Group = tuple[str, str, Key]
"""Organisation, currency and vendor's invoice: what orders that share a new bill have in common."""
SWEPT = timedelta(days=60)
"""A sweep reads orders again that were raised or received, or of which a bill was written, since: what is received or
taken back may bump nothing (design 6).
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An order with what decides on its bills: those that are there, how they stand in Xero, and the lifecycle's word.

    `organisation` is where the tables send it; '' where they do not say. `closed` are the keys of bills onto which
    nothing more may go, `due_days` those of its terms.
    """

    ordered: Ordered
    posted: Sequence[PostedBill]
    there: Mapping[str, Found]
    organisation: str
    firing: Firing
    closed: frozenset[int] = frozenset()
    due_days: int | None = None

    @property
    def billed(self) -> list[Billed]:
        """What its bills hold of it by our records, each with whether it may be changed; the oldest first."""
        own = self.ordered.id
        held = [each.held_of(own) for each in self.posted if each.last.document is not None]
        # A person's bill that we took over to change it, and did not yet: what it is for is all that no other bill has.
        rest = left_over(self.ordered.source, held)
        return [self._billed(each, rest) for each in self.posted]

    def _billed(self, each: PostedBill, rest: Mapping[str, Decimal]) -> Billed:
        own, written, theirs = self.ordered.id, each.last.document, self.there.get(each.bound.xero_id)
        return Billed(
            nth_of(each.key),
            written.receipt if written is not None else "",
            each.held_of(own) if written is not None else rest,
            theirs is not None and theirs.status in EDITABLE,
            theirs is not None and not theirs.live,
            each.lead if each.lead != own else 0,
            each.key in self.closed,
        )

    @property
    def invoice(self) -> Key | None:
        """What its vendor's invoice is known by."""
        header = self.ordered.source.header
        return invoice_key(header.vendor_company.id or 0, header.vendor_invoice_number)


@dataclass(frozen=True, slots=True)
class Together:
    """Orders of which one cannot be decided without the others, as far as they share bills or a vendor's invoice.

    `on_bill` are the orders on each bill that is there, by its key, `doubtful` those on bills whose fate is unknown;
    `standings` is where the orders stand, `of_bills` where their bills do. `stays` are orders that ConnectWise does not
    show, and of which a person has said that their bills stay.
    """

    cases: Mapping[int, Case]
    posted: Mapping[int, PostedBill]
    on_bill: Mapping[int, frozenset[int]]
    doubtful: Mapping[int, frozenset[int]]
    standings: Mapping[int, Standing]
    of_bills: Mapping[int, Standing]
    stays: frozenset[int]


class Billing:
    """One cycle of purchase orders. `bills` is the same cycle for the documents that are made of them.

    `seen` are the orders that were dealt with; `again` those whose lines a sweep reads although they look as before.
    `hidden` are those that ConnectWise does not show, each with whether it says itself that there is no such order;
    `noted` is how orders stand once all their bills have an outcome. `invoices` are the vendors' invoices as the audit
    knows them and as this cycle reads them; `told` is what the bills of orders were last told of the others of theirs.
    `put_by` are orders whose invoice may cover others, which another page may show; None once all lists are read.
    `asked` are the orders that a person named (None: all of them), `decided` those whose bills were decided on.
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
        self.invoices = VendorInvoices()
        self.told: dict[int, str] = {}
        self.put_by: dict[int, bytes] | None = None
        self.asked: frozenset[int] | None = None
        self.decided: set[int] = set()
        self.highest: datetime | None = None
        self.began: datetime | None = None

    def run(self) -> None:
        """The whole of it. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence; nothing is half-written."""
        tables = self.cycle.tables
        against = objections(self.lifecycle) or vendor_invoices.objections(self.lifecycle, tables.policy)
        problems = against[:1] or [unsigned(self.lifecycle, tables.signatures)]
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
        for each in orders.invoiced(self.audit):
            self.invoices.note(each.connectwise_id, each.reference, each.vendor_id, each.vendor_invoice_number)
            self.told[each.connectwise_id] = each.also_covers
        if selection.named:
            self.asked = frozenset(record["id"] for record in named)
            self._look_at(named, forced=True)
        else:
            self.put_by = {}
            for pages, label, counts in self._lists(position.position):
                while not pages.done:
                    page = self.calls.one(extract_purchase_orders, Reading(cycle.family, pages, [label]))
                    if counts:
                        self.began = self.began or page.at
                    self._look_at(page.records, forced=selection.forced, changed=counts, many=number)
                    number += 1
            self._look_at_what_was_put_by(number)
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
        for counted in (self.bills, self.orders.cycle, self.linking.cycle, cycle):
            check_counts(counted)
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
                if not records:
                    # Of a bill that orders share, all numbers are told.
                    every = [client.purchase_orders_by_number(part) for part in text.split(", ")]
                    records = [record for found in every for record in found] if all(every) else []
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

        What was open and is listed no more; what another lifecycle decided on; in a sweep what was billed lately; and
        those whose vendor's invoice covers other orders than when they were dealt with.
        """
        wanted = set(orders.open_ids(self.audit)) | set(orders.decided_by_another(self.audit, self.lifecycle.digest))
        left = sorted((wanted | self.again | self._told_otherwise()) - self.seen)
        asked: set[int] = set()
        while left:
            asked.update(left)
            for start in range(0, len(left), WAITING_PAGE):
                chunk = left[start : start + WAITING_PAGE]
                shown = self.cycle.doors.connectwise.purchase_orders_by_id(chunk)
                self._look_at(shown)
                self._look_for_hidden(set(chunk) - {raw["id"] for raw in shown})
            # What was just read may be on another invoice by now.
            left = sorted(self._told_otherwise() - self.seen - asked)

    def _told_otherwise(self) -> set[int]:
        """The orders whose bills were told of other orders of their vendor's invoice than it covers by now."""
        return {number for number, told in self.told.items() if told != self._also_covers(number)}

    def _note_invoice(self, header: PurchaseOrder) -> None:
        self.invoices.note(header.id, header.po_number, header.vendor_company.id or 0, header.vendor_invoice_number)

    def _also_covers(self, number: int) -> str:
        return ", ".join(dict.fromkeys(self.invoices.covered_with(number).values()))

    def _put_by(self, each: Header, order: Order | None) -> bool:
        """Whether an order is looked at only once all lists are read: another page may name its vendor's invoice."""
        if self.put_by is None or not (each.order.vendor_invoice_number or (order is not None and order.also_covers)):
            return False
        # Compressed: they may be as many as there are orders.
        raw = simplejson.dumps(each.raw, use_decimal=True)
        self.put_by.setdefault(each.order.id, zlib.compress(raw.encode(), 1))
        return True

    def _look_at_what_was_put_by(self, many: int) -> None:
        found, self.put_by = list((self.put_by or {}).values()), None
        for start in range(0, len(found), WAITING_PAGE):
            headers = [read_json(zlib.decompress(each).decode()) for each in found[start : start + WAITING_PAGE]]
            self._look_at(headers, forced=self.selection.forced, many=many)

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
            self.noted[number] = replace(order, is_open=False, also_covers=self._also_covers(number))
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
            number
            for number, found in orders.bill_standings(self.audit, ids).items()
            if any(_waits(standing) or standing.reason in SAID_OF_POSTED for standing in found.values())
        } | self.orders.unfinished(ids)
        ours = [each for each in understood if each.order.id in known or not _too_early(each.order, cycle)]
        for each in ours:
            header = each.order
            self.invoices.note(header.id, header.po_number, header.vendor_company.id or 0, header.vendor_invoice_number)
        if changed:
            times = (each.order.info.last_updated for each in understood)
            self.highest = max((at for at in (self.highest, *times) if at is not None), default=None)
        todo: list[Header] = []
        for each in ours:
            number, order = each.order.id, known.get(each.order.id)
            if number in self.seen or self._put_by(each, order):
                continue
            self.seen.add(number)
            shown_again = number in waits and waits[number].reason in MISSING
            as_before = (
                order is not None
                and order.seen == each.seen
                and order.lifecycle == self.lifecycle.digest
                and order.also_covers == self._also_covers(number)
            )
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
        on_bill = {key: [order_of(key), *sorted(those)] for key, those in orders.sharing(self.audit, keys).items()}
        wanted = sorted({number for those in on_bill.values() for number in those})
        shown = self.cycle.doors.connectwise.purchase_orders_by_id(wanted)
        headers = [found for raw in shown if isinstance(found := header_of(raw), Header)]
        whole = {each.id: each for each in self._with_lines(headers)}
        standings = runs.standings(self.audit, BILL.family, keys)
        return [
            Entry(key, standings[key].reference if key in standings else each.number, each.raw, seen=each.header.seen)
            for key in keys
            # Of a bill that orders share, any of them will do.
            if (each := next((whole[number] for number in on_bill[key] if number in whole), None)) is not None
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
        self.linking.see(ordered)
        todo = self._changed(ordered, forced)
        if not todo:
            return
        together = self._beside_xero(self._together(todo, ordered))
        entries = self._entries(together, self._place(together, many))
        self.bills.counts["read"] += len(entries)
        few = len(entries) <= ONE_BY_ONE and not many
        carry(self.bills, self.calls, entries, together.of_bills, few, many >= CALLS_PER_TASK_AFTER)

    def _place(self, together: Together, many: int) -> set[int]:
        """The orders' own documents, before their bills; gives the orders of which these say something already."""
        of_bills: dict[int, list[Standing]] = defaultdict(list)
        for key, standing in together.of_bills.items():
            for number in together.on_bill.get(key) or {order_of(key)}:
                of_bills[number].append(standing)
        ids = [number for number in together.cases if self._is_asked(number)]
        standings, placed = self.orders.standings(ids), self.orders.placed(ids)
        told: set[int] = set()
        for number in ids:
            case = together.cases[number]
            if self.orders.take(
                case.ordered, case.firing, placed.get(number), standings.get(number), case.posted, case.there,
                of_bills[number],
            ):  # fmt: skip
                told.add(number)
        self.orders.write(standings, few=not many, many=many >= CALLS_PER_TASK_AFTER)
        return told

    def _changed(self, ordered: Sequence[Ordered], forced: bool) -> list[Ordered]:
        """The orders of which something differs from what was dealt with last, or waits; the others are counted."""
        cycle = self.cycle
        ids = [each.id for each in ordered]
        known = orders.known(self.audit, ids)
        bill_standings = orders.bill_standings(self.audit, ids)
        standings = runs.standings(self.audit, cycle.family, ids)
        unfinished = self.orders.unfinished(ids)
        todo: list[Ordered] = []
        for each in ordered:
            before = known.get(each.id)
            quiet = each.id not in unfinished and not any(
                _waits(standing) or standing.reason in SAID_OF_POSTED
                for standing in bill_standings.get(each.id, {}).values()
            )
            if (
                not forced
                and quiet
                and not _waits(standings.get(each.id))
                and before is not None
                and before.content == each.source.digest
                and before.lifecycle == self.lifecycle.digest
                and before.also_covers == self._also_covers(each.id)
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
        return todo

    def _together(self, todo: Sequence[Ordered], at_hand: Sequence[Ordered]) -> dict[int, Ordered]:
        """These orders, by id, with all that share a bill with one of them, or may: without them none can be decided.

        What is not at hand is read. An order that ConnectWise does not show is not among them.
        """
        found = {each.id: each for each in todo}
        known = {each.id: each for each in at_hand}
        fresh, asked = set(found), set(found)
        while fresh:
            beside = orders.beside(self.audit, sorted(fresh))
            for number in fresh & found.keys():
                if self._is_grouped(self._organisation_of(found[number])):
                    beside |= self.invoices.covered_with(number).keys()
            # What a rehearsal decided on already, it has planned.
            fresh = beside - asked - (set() if self.cycle.writing else self.decided)
            asked |= fresh
            found |= {number: known[number] for number in fresh & known.keys()}
            left = sorted(fresh - known.keys())
            if left:
                shown = self.cycle.doors.connectwise.purchase_orders_by_id(left)
                headers = [each for raw in shown if isinstance(each := header_of(raw), Header)]
                for each in headers:
                    self._note_invoice(each.order)
                found |= {each.id: each for each in self._with_lines(headers)}
        if self.cycle.writing and self.decided & found.keys():
            self._take_back_decisions(found.keys())
        if self.asked is None:
            self.seen |= found.keys()
        self.decided |= found.keys()
        return found

    def _take_back_decisions(self, ids: Collection[int]) -> None:
        """Orders that are decided on once more in this cycle, since one of theirs turned up after all lists were read.

        New bills of theirs are written first, so that they are known; edits that still wait are decided anew.
        """
        bills = self.bills
        create_rest(bills, self.calls)
        kept = [each for each in bills.pending if order_of(each[0].connectwise_id) not in ids]
        bills.counts["read"] -= len(bills.pending) - len(kept)
        bills.pending = kept

    def _beside_xero(self, found: Mapping[int, Ordered]) -> Together:
        """Orders beside their bills as they stand in Xero; those whose bills cannot be looked at are put off."""
        cycle, ids = self.cycle, list(found)
        posted = orders.bills(self.audit, ids)
        by_key = {one.key: one for group in posted.values() for one in group}
        noted = orders.sharing(self.audit, [key for key, one in by_key.items() if one.last.document is None])
        on_bill = {key: frozenset(noted.get(key) or one.on_it) for key, one in by_key.items()}
        of_bills = {key: one for group in orders.bill_standings(self.audit, ids).values() for key, one in group.items()}
        absent = sorted(set().union(*on_bill.values()) - found.keys())
        standings = runs.standings(self.audit, cycle.family, [*ids, *absent])
        stays = frozenset(n for n in absent if n in standings and sweeping.is_accepted(standings[n]))
        doubtful = sorted(requests.unsettled_ids(self.audit, BILL.family) & (of_bills.keys() - by_key.keys()))
        there, closed = self._in_xero(list(by_key.values()))
        numbers = {one.source.header.terms.id for one in found.values() if one.source.header.terms is not None}
        terms = cycle.lists.billing_terms({number for number in numbers if number})
        cases: dict[int, Case] = {}
        for number, each in found.items():
            bound = posted.get(number, [])
            if any(one.bound.organisation in closed for one in bound):
                if self._is_asked(number):
                    self._put_off(each, closed, bound)
                continue
            organisation = self._organisation_of(each)
            firing = self._firing(each, organisation, bound, there)
            term = terms.get((each.source.header.terms and each.source.header.terms.id) or 0)
            cases[number] = Case(each, bound, there, organisation, firing, due_days=term.due_days if term else None)
        for number, case in cases.items():
            # Onto what is another vendor's invoice by now, or another order's that nobody shows, goes nothing more.
            shut = {
                one.key
                for one in case.posted
                if on_bill[one.key] & stays
                or len({cases[other].invoice for other in on_bill[one.key] & cases.keys()}) > 1
            }
            cases[number] = replace(case, closed=frozenset(shut))
        in_doubt = {key: frozenset(those) for key, those in orders.sharing(self.audit, doubtful).items()}
        return Together(cases, by_key, on_bill, in_doubt, standings, of_bills, stays)

    def _is_asked(self, *numbers: int) -> bool:
        """Whether any of these orders is meant: all are, unless a person named some."""
        return self.asked is None or not self.asked.isdisjoint(numbers)

    def _is_grouped(self, organisation: str) -> bool:
        return bool(organisation) and vendor_invoices.grouped(self.cycle.tables.policy, organisation)

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
        billed = any(one.held_of(each.id) for one in posted)
        stand = [there[one.bound.xero_id] for one in posted if one.bound.xero_id in there]
        paid = bool(stand) and all(found.status == "PAID" for found in stand if found.live)
        states = states_of(source, status, billed=billed, paid=paid)
        rows = self.lifecycle.fired(organisation, states)
        events = frozenset(event for row in rows for event in row.events)
        if Event.BILL_PER_RECEIPT in events and self._is_grouped(organisation):
            # What one vendor's invoice covers is one bill, whatever it came with.
            events = events - {Event.BILL_PER_RECEIPT} | {Event.DRAFT_BILL}
        status_word = next((row.status for row in rows if set(row.events) & set(BILL_EVENTS)), "")
        cited = (*(row.cited for row in rows), f"lifecycle.csv, SHA-256 {self.lifecycle.digest}")
        answered = Answered.by(self.lifecycle, organisation, states)
        return Firing(receipt_state(source, status, billed), events, status_word, cited, answered.to_text())

    def _entries(self, together: Together, told: Collection[int]) -> list[Entry]:
        """The bills of these orders that are to be mapped; what is decided without them is recorded.

        `told`: orders of which their own documents say something already.
        """
        cases = together.cases
        wanted: dict[int, list[Wanted]] = {}
        holds: dict[int, Hold] = {}
        for number, case in cases.items():
            found = self._wanted(case)
            if isinstance(found, Hold):
                holds[number] = found
            else:
                wanted[number] = found
        groups = {number: group for number, case in cases.items() if (group := self._group_of(case)) is not None}
        entries: list[Entry] = []
        quiet: list[Result] = []
        waits: dict[int, Hold] = {}
        left_alone: set[int] = set()
        dealt_with: set[int] = set()
        for bill in pooled(wanted, groups):
            key = bill_key(bill.lead, bill.n)
            obstacle = self._obstacle(bill, together, holds, groups)
            if obstacle is not None or not together.on_bill.get(key, frozenset()) <= cases.keys():
                left_alone.add(key)
                if bill.gone and self._is_asked(*bill.shares) and self._is_meant_so(key, together):
                    dealt_with.update(bill.shares)
                    continue
                for number, each in bill.shares.items():
                    if obstacle is not None and _moved(cases[number], key, each):
                        waits.setdefault(number, obstacle)
                        self._give_up(cases[number], together, key, each)
                continue
            one = self._decided(bill, together, groups) if self._is_asked(*bill.shares) else None
            if one is None:
                continue
            dealt_with.update(bill.shares)
            if isinstance(one, Entry):
                entries.append(one)
            else:
                quiet.append(one)
        there = {entry.connectwise_id for entry in entries} | {result.connectwise_id for result in quiet}
        for key, standing in together.of_bills.items():
            # Waited, and is not to be any more: taken back before it was posted.
            over = _waits(standing) and not any(key in those for those in (there, together.posted, left_alone))
            lead = order_of(key)
            held = holds.get(lead)
            known = lead in cases and (held is None or held.reason is Reason.INVOICED_NOT_RECEIVED)
            if over and key not in together.doubtful and known and self._is_asked(lead):
                quiet.append(self.bills.result(Entry(key, standing.reference, {}), Outcome.SKIPPED))
                dealt_with.add(lead)
        self.bills.counts["read"] += len(quiet)
        self.bills.record(quiet)
        for number, case in cases.items():
            if self._is_asked(number):
                hold, said = holds.get(number) or waits.get(number), number in dealt_with or number in told
                self._end(case, hold, together.standings.get(number), said)
        return entries

    def _decided(self, bill: Pooled, together: Together, groups: Mapping[int, Group]) -> Entry | Result | None:
        """What is to be mapped of one bill, or how it ends without that; None where there is nothing of it."""
        key, case = bill_key(bill.lead, bill.n), together.cases[bill.lead]
        each, bound, standing = case.ordered, together.posted.get(key), together.of_bills.get(key)
        if not bill.quantities and bound is None:
            return None
        others = [number for number in sorted(bill.shares) if number != bill.lead and bill.shares[number].quantities]
        if others and self.cycle.writing:
            orders.share(self.audit, {key: others}, self.cycle.lease)
        written = bound.last.document if bound is not None else None
        on_it = {bill.lead, *others}
        covered = [name for number, name in self.invoices.covered_with(bill.lead).items() if number not in on_it]
        source = source_of(
            each.source,
            bill,
            case.firing,
            case.due_days,
            (written.number, written.date, written.due_date or written.date) if written is not None else None,
            in_words(each.source.header.vendor_invoice_number, ", ".join(dict.fromkeys(covered))),
            next((line.description for line in written.lines if line.key == bill_mapping.NOTE), "") if written else "",
            [together.cases[number].ordered.source for number in others],
            self._late(bill, together, groups) if bill.is_new else "",
        )
        entry = Entry(key, source.reference, each.raw, seen=each.header.seen, source=source)
        if bound is not None and self._is_over(bill, bound, standing):
            return self._settled(entry, case.firing, bill, bound)
        if written is not None and source.is_as(written.source) and not self._looked_at_again(standing):
            # What the tables say by now is for bills that are still to be made.
            return self._as_before(entry, case.firing, bound, written.receipt)
        return entry

    def _end(self, case: Case, hold: Hold | None, standing: Standing | None, dealt_with: bool) -> None:
        """How an order itself ends, beside its bills; and how it stands from now on."""
        each, cycle = case.ordered, self.cycle
        if hold is not None or not dealt_with:
            self._told(each, case.firing, hold)
        elif _waits(standing) and cycle.writing:
            # What was said of the order itself is over; its bills say the rest.
            over = replace(cycle.result(each.entry, Outcome.UNCHANGED), rows_used=case.firing.cited)
            runs.record(self.audit, cycle.run_id, [over], cycle.now(), cycle.lease)
        self.noted[each.id] = _order(each, case.firing, self.lifecycle.digest, self._also_covers(each.id))

    def _group_of(self, case: Case) -> Group | None:
        """With which orders this one shares new bills; None where it has its own."""
        if case.invoice is None or not self._is_grouped(case.organisation):
            return None
        return case.organisation, case.ordered.source.header.currency.currency_code.strip().upper(), case.invoice

    def _obstacle(
        self, bill: Pooled, together: Together, holds: Mapping[int, Hold], groups: Mapping[int, Group]
    ) -> Hold | None:
        """Why a bill is left as it is, or is not made: one of the orders that belong on it cannot be decided."""
        key, cases = bill_key(bill.lead, bill.n), together.cases
        bound = together.posted.get(key)
        held_of: Callable[[int], dict[str, Decimal]] = bound.held_of if bound is not None else lambda _number: {}
        moved = any(_moved(cases[number], key, each) for number, each in bill.shares.items())
        for other, those in together.doubtful.items():
            if other != key and moved and those & bill.shares.keys() and len(those | bill.shares.keys()) > 1:
                return Hold(Reason.UNSETTLED)
        on_it = together.on_bill.get(key, frozenset())
        absent = on_it - cases.keys()
        fewer = any(each.quantities != held_of(number) for number, each in bill.shares.items())
        for number in sorted(absent if fewer else absent - together.stays):
            known = orders.known(self.audit, [number]).get(number)
            name = known.reference if known is not None else f"id:{number}"
            return Hold(
                Reason.LINES_INCOMPLETE,
                name,
                f"{self._names(bill, together)} shares a bill with {name}, which ConnectWise does not show (any more). "
                "What the bill should hold is not known, and it stays as it is.",
                f"Let the API member see {name}; or, if it was deleted, say that its bills stay with `tieout sync "
                f"purchase_orders --reference id:{number} --take theirs` once that is told of it. Where that is said, "
                "enter the difference in Xero by hand, and say so with the same of this order.",
            )
        group = groups.get(bill.lead) if bill.is_new and not bill.receipt else None
        together_with = {number for number, one in groups.items() if one == group} if group is not None else set()
        for number in sorted((on_it | together_with) & holds.keys()):
            hold = holds[number]
            if number in on_it or hold.reason is not Reason.INVOICED_NOT_RECEIVED:
                name = cases[number].ordered.number
                return replace(
                    hold, message=f"{self._names(bill, together)} shares a bill with {name}. {hold.message}", merged=()
                )
        return None

    def _is_meant_so(self, key: int, together: Together) -> bool:
        """Whether a person says of a removed bill, of which not all orders can be read, that it is meant so; noted."""
        bound, standing = together.posted[key], together.of_bills.get(key)
        written = bound.last.document
        theirs = next((case.there.get(bound.bound.xero_id) for case in together.cases.values()), None)
        says_so = take_for(self.bills, standing) == "theirs" and _waits(standing)
        if not says_so or written is None or theirs is None or not self.cycle.writing:
            return False
        self.bills.counts["read"] += 1
        self.bills.count(updating.settle(self.bills, [Settled(written, theirs, bound.last.lines, theirs.total)]))
        return True

    def _give_up(self, case: Case, together: Together, key: int, each: Wanted) -> None:
        """Note that a bill counts as holding no more of an order than this, where a person says that she saw to it.

        Only of a bill that nobody can decide any more: of one of its orders its bills stay as they are.
        """
        bound = together.posted.get(key)
        written = bound.last.document if bound is not None else None
        if (
            written is None
            or bound is None
            or self.asked is None
            or not self._is_asked(case.ordered.id)
            or self.cycle.take != "theirs"
            or not bound.on_it & together.stays
            or not self.cycle.writing
        ):
            return
        number, lead = case.ordered.id, bound.lead
        others = {one for one in bound.on_it if one != number}
        held = {key_on(lead, one, name): q for one in others for name, q in bound.held_of(one).items()}
        held |= {key_on(lead, number, name): quantity for name, quantity in each.quantities.items()}
        with self.audit.transaction(self.cycle.lease) as connection:
            orders.note_billed_in(connection, key, replace(written, billed=tuple(sorted(held.items()))))

    def _names(self, bill: Pooled, together: Together) -> str:
        return ", ".join(together.cases[number].ordered.number for number in sorted(bill.shares))

    def _late(self, bill: Pooled, together: Together, groups: Mapping[int, Group]) -> str:
        """What people are told of a new bill whose vendor's invoice is on an earlier one; '' where it is on none."""
        group = groups.get(bill.lead)
        if group is None:
            return ""
        for number, case in together.cases.items():
            if groups.get(number) != group or number in bill.shares:
                continue
            for one in case.posted:
                on_it = together.on_bill[one.key]
                if one.held_of(number) and one.last.document is not None and not on_it & bill.shares.keys():
                    document = one.last.document
                    return (
                        f"The vendor's invoice {case.ordered.source.header.vendor_invoice_number} is on the bill "
                        f"{document.number} of {document.reference} already, and a bill that is there is never merged: "
                        f"{self._names(bill, together)} has a bill of its own."
                    )
        return ""

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

    def _is_over(self, one: Pooled, bound: PostedBill, standing: Standing | None) -> bool:
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

    def _as_before(self, entry: Entry, firing: Firing, bound: PostedBill | None, receipt: str) -> Result:
        assert bound is not None
        told = Entry(bound.key, entry.reference, {}, seen=entry.seen)
        result = self.bills.result(
            told, Outcome.UNCHANGED, xero_id=bound.bound.xero_id, organisation=bound.bound.organisation
        )
        return replace(
            result, part=receipt, rows_used=firing.cited, amount=plain(bound.bound.total), currency=bound.bound.currency
        )

    def _settled(self, entry: Entry, firing: Firing, one: Pooled, bound: PostedBill) -> Result:
        """Note that a bill holds no more than this: a person removed it, or entered the supplier credit."""
        written = bound.last.document
        assert written is not None
        if self.cycle.writing:
            left = replace(written, billed=tuple(sorted(one.quantities.items())))
            with self.audit.transaction(self.cycle.lease) as connection:
                orders.note_billed_in(connection, bound.key, left)
        return self._as_before(entry, firing, bound, written.receipt)

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


def _moved(case: Case, key: int, each: Wanted) -> bool:
    """Whether a bill should hold anything else of an order than it does."""
    held = next((one for one in case.posted if one.key == key), None)
    if held is None or held.last.document is None or held.held_of(case.ordered.id) != each.quantities:
        return True
    goods = {name: quantity for name, quantity in each.quantities.items() if name != FREIGHT}
    return written_value(held.last.document, case.ordered.id) != to_cents(net_of(case.ordered.source, goods))


def _waits(standing: Standing | None) -> bool:
    return standing is not None and standing.outcome in WAITING


def _too_early(order: PurchaseOrder, cycle: Cycle) -> bool:
    """Orders from before the family's first business date are skipped (design 4)."""
    return order.po_date is not None and order.po_date < cycle.start_date


def _order(each: Ordered, firing: Firing, lifecycle: str, also_covers: str) -> Order:
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
        also_covers=also_covers,
    )
