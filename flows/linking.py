"""Linked transactions at the end of a cycle of purchase orders, where policy has them on (`on_billing_links`).

What bills the lines of orders on is traced again where anything of it changed: the orders' lines, or the products that
were sold. Then what is certain, and not linked yet, is linked as soon as both documents are approved in Xero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from blocks.audit import onbilling, orders, requests, runs, settlements
from blocks.audit import watermarks as watermark_rows
from blocks.audit.orders import PostedBill
from blocks.audit.runs import Result, Standing
from flows.cycle import OVERLAP, WAITING_PAGE, Selection
from flows.onbilling import Traced, Tracing, digest_of
from flows.planning import digest_of as basis_of
from flows.updates import RESEND_AFTER
from mappings.connectwise import SourcePurchaseOrder
from mappings.kinds import BILL, INVOICE, Kind
from mappings.linked_transactions import APPROVED, FAMILY, Link, linkable
from mappings.merging import LastWrite
from mappings.onbilling import Trace
from mappings.outcomes import Outcome
from mappings.plans import Bound
from mappings.posted import Posted
from mappings.xero import Found
from tasks import linked_transactions
from tasks.calls import Calls
from tasks.cycle import Cycle, Entry
from tasks.linked_transactions import Linked, body_of, load_links, result_of
from tasks.linked_transactions import Linking as LinksOfABill
from tasks.purchase_orders import Ordered, header_of, with_lines


class Linking:
    """The links of one cycle of purchase orders. `fresh` are orders that on-billing has not seen as they are now."""

    def __init__(self, cycle: Cycle, calls: Calls, selection: Selection) -> None:
        self.cycle = cycle.beside(FAMILY)
        self.calls = calls
        self.selection = selection
        self.audit = cycle.doors.audit
        self.places = {name for name in cycle.doors.tenants if self._is_on(name)}
        self.known = onbilling.digests(self.audit) if self.places else {}
        self.fresh: dict[int, SourcePurchaseOrder] = {}
        self.seen: set[int] = set()

    def _is_on(self, organisation: str) -> bool:
        return self.cycle.tables.policy.decisions(organisation).purchases.on_billing_links

    def see(self, ordered: Iterable[Ordered]) -> None:
        """Take in orders whose lines this cycle has read."""
        if self.places:
            for each in ordered:
                self.seen.add(each.id)
                if self.known.get(each.id) != digest_of(each.source):
                    self.fresh[each.id] = each.source

    def run(self) -> None:
        """Settle, trace, link. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence."""
        cycle = self.cycle
        if cycle.writing and requests.unsettled_ids(self.audit, FAMILY):
            linked_transactions.settle_earlier(cycle)
        if not self.places:
            return
        traced = self._traced()
        stored = [each for each in onbilling.traces(self.audit) if each.line_id not in traced.lines]
        self._link(linkable([*stored, *traced.traces]))
        if self.selection.sweep and cycle.writing:
            self._tell_removed()
        if cycle.writing and not self.selection.named:
            self._close_what_is_over()

    # What bills lines on

    def _traced(self) -> Traced:
        """Trace what changed since the last cycle with links: orders, and products that were sold meanwhile."""
        hidden = self._read_untraced()
        items: set[int] = set()
        position, began = watermark_rows.read(self.audit, FAMILY), None
        if position.position is not None and not self.selection.named:
            pages = self.cycle.doors.connectwise.sold_products_changed_since(position.position - OVERLAP)
            while not pages.done:
                page = pages.fetch()
                began = began or page.at
                items |= {item for raw in page.records if (item := (raw.get("catalogItem") or {}).get("id"))}
        elif not self.selection.named:
            # The first time everything is traced; products that change meanwhile are within the overlap.
            began = self.cycle.now()
        tracing = Tracing(self.cycle.doors, self.cycle.say, self.cycle.lease, keeps=self.cycle.writing)
        traced = Traced()
        if self.fresh or hidden or items:
            traced = tracing.trace(list(self.fresh.values()), hidden, items)
            for words in traced.words:
                self.cycle.say(words)
        if self.cycle.writing and began is not None:
            watermark_rows.move(self.audit, position, began, self.cycle.now(), self.cycle.lease)
        return traced

    def _read_untraced(self) -> list[int]:
        """Read the lines of orders with bills that on-billing does not know yet; those that are not shown any more."""
        if self.selection.named:
            return []
        everything = {each.connectwise_id for each in orders.everything(self.audit)}
        unknown = sorted(everything - self.known.keys() - self.seen)
        hidden: list[int] = []
        for start in range(0, len(unknown), WAITING_PAGE):
            chunk = unknown[start : start + WAITING_PAGE]
            client = self.cycle.doors.connectwise
            headers = {raw["id"]: header_of(raw) for raw in client.purchase_orders_by_id(chunk)}
            lines = client.purchase_order_lines(sorted(headers))
            for number in chunk:
                header = headers.get(number)
                found = (
                    with_lines(header, lines[number])
                    if header is not None and not isinstance(header, tuple) and number in lines
                    else None
                )
                if isinstance(found, Ordered):
                    self.fresh[number] = found.source
                else:
                    hidden.append(number)
        return hidden

    # What is certain, and not linked yet

    def _link(self, certain: Mapping[int, Trace]) -> None:
        if self.selection.named:
            certain = {line: each for line, each in certain.items() if each.order_id in self.seen}
        groups: dict[str, dict[int, list[Link]]] = defaultdict(lambda: defaultdict(list))
        for link in self._possible(certain):
            groups[link.organisation][link.connectwise_id].append(link)
        for organisation, by_bill in sorted(groups.items()):
            ready = self._ready(organisation, [link for links in by_bill.values() for link in links])
            self._write([links for links in _by_bill(ready).values() if not self._refused_before(links)])

    def _possible(self, certain: Mapping[int, Trace]) -> list[Link]:
        """Links of which both lines are known by their ids, in one organisation that has links on; none made yet."""
        bills = orders.bills(self.audit, sorted({each.order_id for each in certain.values()}))
        keys = [bill.key for own in bills.values() for bill in own]
        made = settlements.parts(self.audit, FAMILY, keys)
        in_doubt = requests.unsettled_ids(self.audit, FAMILY)
        ids = sorted({each.invoice_id for each in certain.values()})
        bound = requests.bound(self.audit, INVOICE.family, ids)
        lasts = requests.last_writes(self.audit, INVOICE.family, list(bound))
        links: list[Link] = []
        for line_id, trace in sorted(certain.items()):
            invoice = bound.get(trace.invoice_id)
            if invoice is None or invoice.organisation not in self.places:
                continue
            target = lasts[trace.invoice_id].lines.get(f"product:{trace.product_id}", "")
            for bill in bills.get(trace.order_id, ()):
                link = _link_of(bill, f"line:{line_id}", line_id, invoice, target, lasts[trace.invoice_id])
                if link is None or bill.key in in_doubt:
                    continue
                if all(each.part != link.part for each in made.get(bill.key, ())):
                    links.append(link)
        return links

    def _ready(self, organisation: str, links: Sequence[Link]) -> list[Link]:
        """Those of which both documents are approved now, and still have both lines."""
        tenant_id = self.cycle.doors.tenants[organisation]
        found: dict[str, Found] = {}

        def read(kind: Kind, ids: Iterable[str]) -> None:
            found.update(self.cycle.doors.xero.documents_by_id(tenant_id, kind, list(dict.fromkeys(ids))))

        if not self.cycle.reach(organisation, partial(read, BILL, [each.source_id for each in links])):
            return []
        near = [each for each in links if _has(found.get(each.source_id), each.source_line_id)]
        if near and not self.cycle.reach(organisation, partial(read, INVOICE, [each.target_id for each in near])):
            return []
        return [each for each in near if _has(found.get(each.target_id), each.target_line_id)]

    def _refused_before(self, links: Sequence[Link]) -> bool:
        """What Xero refused goes out again when something about it changed, when forced, or once a day."""
        standing = runs.standings(self.audit, FAMILY, [links[0].connectwise_id]).get(links[0].connectwise_id)
        refused = standing is not None and standing.outcome is Outcome.REJECTED and standing.body == body_of(links)
        if not refused or self.cycle.forced or standing is None:
            return False
        if self.cycle.now() - standing.tried_at >= RESEND_AFTER:
            return False
        self.cycle.dealt_with.add(links[0].connectwise_id)
        return True

    def _write(self, bills: Sequence[Sequence[Link]]) -> None:
        cycle = self.cycle
        if not cycle.writing:
            for links in bills:
                cycle.planned += links
                cycle.counts["planned"] += 1
                cycle.counts["read"] += 1
            return
        if cycle.approved is not None:
            approved = cycle.approved
            bills = [
                [each for each in links if approved.get((each.connectwise_id, each.part)) == basis_of(each)]
                for links in bills
            ]
        batches = [LinksOfABill(cycle, links) for links in bills if links]
        if not batches:
            return
        done: list[list[Linked]] = self.calls.several(load_links, batches)
        results = [
            result_of(cycle, batch.links, linked, batch.links[0].source_id)
            for batch, linked in zip(batches, done, strict=True)
        ]
        cycle.dealt_with |= {each.connectwise_id for each in results}
        cycle.counts["read"] += len(results)
        cycle.record(results)

    # What is over

    def _tell_removed(self) -> None:
        """A sweep: links of ours that are not in Xero any more stay so, and that is said once."""
        for organisation, tenant_id in self.cycle.doors.tenants.items():
            ours = [each for each in settlements.of_tenant(self.audit, FAMILY, tenant_id) if each.fingerprint]
            if not ours:
                continue
            there: set[str] = set()

            def read(tenant_id: str = tenant_id, there: set[str] = there) -> None:
                there.update(each.xero_id.lower() for each in self.cycle.doors.xero.linked_transactions(tenant_id))

            if not self.cycle.reach(organisation, read):
                continue
            results: list[Result] = []
            gone = [each for each in ours if each.xero_id.lower() not in there]
            for key in dict.fromkeys(each.connectwise_id for each in gone):
                first = next(each for each in gone if each.connectwise_id == key)
                entry = Entry(key, first.reference, {})
                words = f"A link of {first.reference} to a customer's invoice was removed in Xero, and stays so."
                results.append(
                    replace(self.cycle.result(entry, Outcome.UNCHANGED, organisation=organisation), message=words)
                )
            if results:
                with self.audit.transaction(self.cycle.lease) as connection:
                    settlements.note_removed_in(connection, FAMILY, [(each.connectwise_id, each.part) for each in gone])
                self.cycle.dealt_with |= {each.connectwise_id for each in results}
                self.cycle.counts["read"] += len(results)
                self.cycle.record(results)

    def _close_what_is_over(self) -> None:
        """What waited to be linked, and is not to be any more: linked meanwhile, or not certain any more."""
        waiting: list[Standing] = []
        after = -(2**40)
        while page := runs.waiting(self.audit, FAMILY, self.cycle.run_id, after, WAITING_PAGE):
            after = page[-1].connectwise_id
            waiting += page
        in_doubt = requests.unsettled_ids(self.audit, FAMILY)
        made = settlements.parts(self.audit, FAMILY, [each.connectwise_id for each in waiting])
        results = [
            self.cycle.result(
                Entry.known(each),
                Outcome.UNCHANGED if each.connectwise_id in made else Outcome.SKIPPED,
                organisation=each.organisation,
            )
            for each in waiting
            if each.connectwise_id not in self.cycle.dealt_with
            and each.connectwise_id not in in_doubt
            and each.organisation not in self.cycle.closed
        ]
        self.cycle.counts["read"] += len(results)
        self.cycle.record(results)


def _link_of(bill: PostedBill, key: str, line_id: int, invoice: Bound, target: str, last: LastWrite) -> Link | None:
    """The link of one line of a bill; None where a line has no id, or the invoice is elsewhere."""
    document, source = bill.last.document, bill.last.lines.get(key, "")
    if document is None or not source or not target or bill.bound.tenant_id != invoice.tenant_id:
        return None
    if not dict(document.billed).get(key):
        return None
    return Link(
        bill.key, document.reference, document.receipt, bill.bound.organisation, bill.bound.tenant_id, line_id,
        bill.bound.xero_id, source, invoice.xero_id, target, last.answer.number or invoice.reference,
        bill.bound.currency, bill.bound.date,
    )  # fmt: skip


def _has(found: Found | None, line_id: str) -> bool:
    """Whether a document is approved, and has this line."""
    if found is None or found.status not in APPROVED:
        return False
    return any(each.id.lower() == line_id.lower() for each in Posted.read(found).lines)


def _by_bill(links: Iterable[Link]) -> dict[int, list[Link]]:
    groups: dict[int, list[Link]] = defaultdict(list)
    for each in links:
        groups[each.connectwise_id].append(each)
    return groups
