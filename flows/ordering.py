"""The purchase orders in Xero of one cycle: made and changed before their bills, marked as billed after them.

An order's own document stands beside its bills: what becomes of one never stops the other. It says billed only when the
bills that it speaks of are in Xero, so that is looked at when all of them have an outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from blocks.audit import orders, requests, runs, sweeps
from blocks.audit.orders import PostedBill
from blocks.audit.runs import Standing
from flows.cycle import ONE_BY_ONE, WAITING_PAGE, carry, create_rest
from flows.sweeping import Whole, sweep_documents
from mappings.allocations import Allocating
from mappings.billing import Firing
from mappings.connectwise import SourceOrder
from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.lifecycle import PO_EVENTS, Event, State
from mappings.linked_transactions import Link
from mappings.links import order_of
from mappings.money import plain
from mappings.orders import DELETED, Placed, all_billed, only_its_status, wanted_order
from mappings.outcomes import SAID_OF_POSTED, WAITING, Hold, Outcome
from mappings.payments import Paying
from mappings.plans import Bound
from mappings.shares import share_of
from mappings.xero import Document, Found
from tasks.calls import Calls
from tasks.cycle import Cycle, Entry
from tasks.purchase_orders import Ordered


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An order whose status may be raised at the end of the cycle.

    `live`: whether each bill that it had at the beginning was live in Xero then, by the bill's id there. `quiet`: of
    its own document nothing was said so far.
    """

    ordered: Ordered
    firing: Firing
    live: Mapping[str, bool]
    quiet: bool


class Orders:
    """The documents of the orders that a cycle of purchase orders looks at; `cycle` is theirs, with its own counts."""

    def __init__(self, cycle: Cycle, calls: Calls, forced: bool) -> None:
        self.cycle = cycle.beside(PURCHASE_ORDER.family)
        self.calls = calls
        self.audit = cycle.doors.audit
        self.forced = forced or cycle.forced
        self._entries: list[Entry] = []
        self._awaited: dict[int, _Awaited] = {}

    def standings(self, ids: Sequence[int]) -> dict[int, Standing]:
        """Where the documents of these orders stand; also of those that are not there yet."""
        return runs.standings(self.audit, self.cycle.family, ids)

    def placed(self, ids: Sequence[int]) -> dict[int, Placed]:
        """The documents of these orders that are bound."""
        bound = requests.bound(self.audit, self.cycle.family, ids)
        lasts = requests.last_writes(self.audit, self.cycle.family, list(bound))
        return {number: Placed(one, lasts[number]) for number, one in bound.items()}

    def unfinished(self, ids: Sequence[int]) -> set[int]:
        """Those of these orders whose document waits, or of which something was said."""
        return {number for number, standing in self.standings(ids).items() if _told(standing)}

    def in_xero(self, placed: Iterable[Placed], closed: set[str]) -> dict[str, Found]:
        """How these documents stand in Xero now, by id; adds to `closed` the organisations that could not be asked."""
        groups: dict[str, list[Bound]] = defaultdict(list)
        for one in placed:
            groups[one.bound.organisation].append(one.bound)
        there: dict[str, Found] = {}
        for organisation, group in sorted(groups.items()):
            tenant_id, ids = group[0].tenant_id, [one.xero_id for one in group]
            if tenant_id in self.cycle.doors.tenants.values():
                read = partial(self._read, tenant_id, ids, there)
                if not self.cycle.reach(organisation, read):
                    closed.add(organisation)
        return there

    def _read(self, tenant_id: str, ids: Sequence[str], there: dict[str, Found]) -> None:
        there.update(self.cycle.doors.xero.documents_by_id(tenant_id, PURCHASE_ORDER, ids))

    def sweep(self, whole: Whole) -> None:
        """Look for what people changed or removed of them in Xero; nothing is read where there are none."""
        tenants = self.cycle.doors.tenants.values()
        if any(sweeps.documents(self.audit, self.cycle.family, tenant_id, date.min, -1, 1) for tenant_id in tenants):
            sweep_documents(self.cycle, whole)

    # Before the bills

    def take(
        self,
        ordered: Ordered,
        firing: Firing,
        placed: Placed | None,
        standing: Standing | None,
        posted: Sequence[PostedBill],
        there: Mapping[str, Found],
        bill_standings: Iterable[Standing],
    ) -> bool:
        """Decide on the document of an order, to be written with those of the same page.

        `posted` are its bills, `there` how they stand in Xero. False: nothing is said of the order by this document.
        """
        live = {one.bound.xero_id: (at := there.get(one.bound.xero_id)) is not None and at.live for one in posted}
        billed = not any(map(_waits, bill_standings)) and _all_billed(ordered, posted, live)
        wanted = wanted_order(ordered.source, firing, placed, billed)
        number, quiet = ordered.id, False
        if isinstance(wanted, Hold):
            self.cycle.counts["read"] += 1
            self.cycle.record([self.cycle.hold(ordered.entry, wanted, placed.last.document if placed else None)])
            return True
        if wanted is None and (Event.HOLD in firing.events or (placed is None and not _waits(standing))):
            # A person decides, or there is nothing to speak of.
            return placed is not None and Event.HOLD not in firing.events
        if wanted is not None:
            written = placed.written if placed is not None else None
            if (
                written is not None
                and written.status != DELETED
                and not wanted.written
                and wanted.content == written.source
                and not (self.forced or _told(standing))
            ):
                # What the tables say by now is for documents that are still to be made.
                quiet = wanted.status == written.status
                wanted = only_its_status(wanted, written)
            if not quiet:
                self._entries.append(
                    Entry(number, ordered.number, ordered.raw, seen=ordered.header.seen, source=wanted)
                )
            if firing.events & set(PO_EVENTS) and (
                firing.state is State.FULLY_RECEIVED or Event.APPROVE_PO in firing.events
            ):
                self._awaited[number] = _Awaited(ordered, firing, live, quiet)
                return True
        if wanted is None or quiet:
            self._as_it_is(ordered, firing, placed)
        return True

    def write(self, standings: Mapping[int, Standing], *, few: bool, many: bool) -> None:
        """Write what was decided on, before any bill of the same orders is written."""
        entries, self._entries = self._entries, []
        self.cycle.counts["read"] += len(entries)
        carry(self.cycle, self.calls, entries, standings, few and len(entries) <= ONE_BY_ONE, many)
        create_rest(self.cycle, self.calls)

    def _as_it_is(self, ordered: Ordered, firing: Firing, placed: Placed | None) -> None:
        """A document about which nothing is to be done; one that is not there waited, and is not to be any more."""
        entry = Entry(ordered.id, ordered.number, {}, seen=ordered.header.seen)
        result = self.cycle.result(entry, Outcome.SKIPPED)
        if placed is not None:
            one = placed.bound
            result = self.cycle.result(entry, Outcome.UNCHANGED, xero_id=one.xero_id, organisation=one.organisation)
            result = replace(result, amount=plain(one.total), currency=one.currency)
        self.cycle.counts["read"] += 1
        self.cycle.record([replace(result, rows_used=firing.cited)])

    # After the bills

    def finish(self) -> None:
        """Raise the status of orders whose bills are all there by now; the others are as before."""
        numbers = sorted(self._awaited)
        for start in range(0, len(numbers), WAITING_PAGE):
            self._raise(numbers[start : start + WAITING_PAGE])

    def _raise(self, numbers: Sequence[int]) -> None:
        cycle = self.cycle
        placed, standings = self.placed(numbers), self.standings(numbers)
        billed = self._billed_by_now(numbers)
        busy = self._planned(cycle.family)
        entries: list[Entry] = []
        for number in numbers:
            awaited, one, standing = self._awaited[number], placed.get(number), standings.get(number)
            ordered, written = awaited.ordered, one.written if one is not None else None
            wanted = wanted_order(ordered.source, awaited.firing, one, number in billed)
            if (
                isinstance(wanted, SourceOrder)
                and written is not None
                and wanted.status != written.status
                # What waits of its own document comes first: a person, or another cycle.
                and number not in busy
                and not _waits(standing)
            ):
                source = only_its_status(wanted, written)
                entries.append(Entry(number, ordered.number, ordered.raw, seen=ordered.header.seen, source=source))
                if cycle.writing and standing is not None and standing.run_id == cycle.run_id:
                    # It counts once, by its later outcome.
                    cycle.settled[number] = standing.outcome
            elif awaited.quiet:
                self._as_it_is(ordered, awaited.firing, one)
        cycle.counts["read"] += len(entries)
        carry(cycle, self.calls, entries, standings, len(entries) <= ONE_BY_ONE, False)

    def _billed_by_now(self, numbers: Sequence[int]) -> set[int]:
        """Those of these orders of which all that was received is on live bills in Xero, and none of them waits."""
        posted = orders.bills(self.audit, numbers)
        standings = orders.bill_standings(self.audit, numbers)
        waits = {key for group in standings.values() for key, standing in group.items() if _waits(standing)}
        planned: dict[int, Document] = {}
        if not self.cycle.writing:
            # A dry run stores nothing: what it would write is there, what it would hold is not.
            ended = {
                each.connectwise_id: each.outcome in WAITING for each in self.cycle.told if each.family == BILL.family
            }
            planned = self._planned(BILL.family)
            waits = {key for key in waits if key not in planned and key not in ended}
            waits |= {key for key, still in ended.items() if still}
        found: set[int] = set()
        waiting = {order_of(key) for key in waits}
        waiting |= {number for number in numbers if waits & standings.get(number, {}).keys()}
        for number in numbers:
            live = self._awaited[number].live
            held = {
                one.key: one.held_of(number)
                for one in posted.get(number, ())
                if one.last.document is not None and live.get(one.bound.xero_id, one.last.answer.live)
            }
            held |= {key: share_of(dict(one.billed), order_of(key), number) for key, one in planned.items()}
            if number not in waiting and all_billed(self._awaited[number].ordered.source, held.values()):
                found.add(number)
        return found

    def _planned(self, family: str) -> dict[int, Document]:
        """The documents of a family that a dry run would write so far, by record."""
        documents = (each.document for each in self.cycle.planned if not isinstance(each, (Paying, Allocating, Link)))
        return {one.connectwise_id: one for one in documents if one.family == family}


def _waits(standing: Standing | None) -> bool:
    return standing is not None and standing.outcome in WAITING


def _told(standing: Standing | None) -> bool:
    return standing is not None and (_waits(standing) or standing.reason in SAID_OF_POSTED)


def _all_billed(ordered: Ordered, posted: Sequence[PostedBill], live: Mapping[str, bool]) -> bool:
    held = [
        one.held_of(ordered.id)
        for one in posted
        if one.last.document is not None and live.get(one.bound.xero_id, False)
    ]
    return all_billed(ordered.source, held)
