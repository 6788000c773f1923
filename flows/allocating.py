"""Allocations: as much of a credit note is allocated to an invoice in Xero as ConnectWise applied to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from blocks.audit import requests, runs, settlements
from blocks.audit.runs import Result, Standing
from blocks.connectwise.client import Pages
from flows.cycle import Selection
from flows.planning import digest_of
from flows.settling import Noted, Settlement
from mappings.allocations import Allocate, Allocating, Case, Credit, Unallocate, decide_allocations
from mappings.kinds import CREDIT_NOTE, INVOICE
from mappings.money import plain, total
from mappings.outcomes import Hold, Outcome, Reason, merge
from mappings.payments import Written as Part
from mappings.plans import Bound
from mappings.policy import Decisions
from mappings.receivables import Receivable
from tasks import credit_notes as allocating
from tasks.calls import Calls
from tasks.credit_notes import Deciding, Loading, Written, load_allocations, map_allocations
from tasks.cycle import Cycle
from tasks.settlements import Settling


class Allocations(Settlement):
    """One cycle of allocations.

    `credited` are the headers of changed invoices with credits, read with credit notes; `known` the invoices to which
    we had allocated something before.
    """

    side = "credits"
    what = "credits"
    has_watermark = False

    def __init__(
        self, cycle: Cycle, calls: Calls, selection: Selection, credited: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(cycle, calls, selection)
        self.credited = credited
        self.back: list[tuple[Settling, Allocating]] = []
        self.known: set[int] = set()

    def settle_earlier(self) -> None:
        """Find out what became of every request that an earlier cycle left open."""
        allocating.settle_earlier(self.cycle)

    def is_off(self, decisions: Decisions) -> bool:
        """Whether policy leaves allocations to people."""
        return not decisions.sales.allocate_credits

    def lists(self, _position: datetime | None) -> Iterator[tuple[Pages, str, bool]]:
        """What changed was read with the credit notes; what is open is listed here."""
        if self.credited:
            self.look_at(self.credited, forced=self.selection.forced, changed=True)
        if not self.selection.special:
            yield self.cycle.doors.connectwise.owed_open(self.cycle.start_date), "open", False

    def differs(self, there: Receivable, wanted: Decimal, live: Decimal) -> bool:
        """Less is credited than ConnectWise says, or more by us; what others allocated besides is their own affair."""
        return there.credited < wanted or live > wanted

    def live(self, there: Mapping[int, Receivable]) -> dict[int, Decimal]:
        """How much of what we allocated to these invoices can be there still."""
        ours = settlements.parts(self.audit, self.cycle.family, list(there))
        return {
            number: min(total(each.total for each in kept), there[number].credited) for number, kept in ours.items()
        }

    def settle(
        self,
        organisation: str,
        invoices: Sequence[Settling],
        bound: Mapping[int, Bound],
        there: Mapping[int, Receivable],
        standings: Mapping[int, Standing],
        noted: Noted,
    ) -> None:
        """Decide, and write what is missing; what is to be taken off waits for the brake."""
        cases: dict[int, Case] = {}

        def read() -> None:
            cases.update(self._cases(organisation, invoices, bound, there, standings, noted))

        if not self.cycle.reach(organisation, read):
            self.put_off(organisation, invoices, bound)
            return
        self.known |= {number for number, case in cases.items() if case.ours}
        results: list[Result] = []
        todo: list[tuple[Settling, Allocating]] = []
        decided = self._decided(organisation, list(cases.values()))
        for each, action in zip(invoices, decided, strict=True):
            number = each.connectwise_id
            outcome = self._planned(each, action, cases[number], bound[number], standings.get(number))
            if outcome is not None:
                results.append(outcome)
            elif self.cycle.writing and action.allocates:
                if self.cycle.recreate:
                    self._give_up_removed(cases[each.connectwise_id])
                todo.append((each, action))
        self.cycle.record(results)
        self._allocate(todo, bound, cases)

    def _decided(self, organisation: str, cases: Sequence[Case]) -> list[Allocating]:
        before = self.cycle.lists.books([organisation])[organisation]
        decided: list[Allocating] = self.calls.one(map_allocations, Deciding(cases))
        holds = [hold for action in decided for hold in action.holds]
        writes = any(action.allocates or action.unallocates for action in decided)
        books = self.renewed(organisation, holds, writes, before)
        if books is not None:
            lock = books.organisation.lock_date
            decided = map_allocations.fn(Deciding([replace(case, lock=lock) for case in cases]))
        return decided

    def _planned(
        self, each: Settling, action: Allocating, case: Case, known: Bound, standing: Standing | None
    ) -> Result | None:
        """How the invoice ends; None: something is (or in a plan would be) written, or taken off."""
        cycle = self.cycle
        writes: list[Allocate | Unallocate] = [*action.unallocates, *action.allocates]
        if not writes:
            if action.holds:
                return self.hold(each, known, merge(action.holds))
            accepted = case.take == "theirs" and decide_allocations(replace(case, take="")) != Allocating()
            return self.result(each, known, Outcome.UNCHANGED, accepted)
        if cycle.approved is not None and not all(
            cycle.approved.get((one.connectwise_id, one.part)) == digest_of(one) for one in writes
        ):
            return self.hold(each, known, Hold(Reason.PLAN_MOVED))
        stays = self.refused_before(each, known, self._body(writes), standing)
        if stays is not None:
            return stays
        if not cycle.writing:
            cycle.planned.append(action)
            cycle.counts["planned"] += 1
            cycle.dealt_with.add(each.connectwise_id)
            return None
        if action.unallocates:
            old = self.too_old(each, min(one.date for one in action.unallocates))
            if old is not None:
                return self.hold(each, known, old)
            self.back.append((each, action))
            cycle.dealt_with.add(each.connectwise_id)
        return None

    def _body(self, writes: Sequence[Allocate | Unallocate]) -> str:
        """Names what would be sent, for a comparison with what was refused."""
        books = self.cycle.lists.books([writes[0].organisation])[writes[0].organisation]
        return f"{'+'.join(sorted(each.fingerprint for each in writes))}:{books.digest}"

    def _cases(
        self,
        organisation: str,
        invoices: Sequence[Settling],
        bound: Mapping[int, Bound],
        there: Mapping[int, Receivable],
        standings: Mapping[int, Standing],
        noted: Noted,
    ) -> dict[int, Case]:
        """Everything that decides on these invoices. Raises LimitReached, Unreachable."""
        cycle = self.cycle
        ours = {
            number: [Part(one.part, one.xero_id, one.total, one.date) for one in found]
            for number, found in noted.kept.items()
        }
        memos = {row.credit.id for each in invoices for row in each.own_rows if row.credit and row.credit.id}
        memos |= {one.row for found in ours.values() for one in found}
        credits = self._credits(sorted(memos))
        lock = cycle.lists.books([organisation])[organisation].organisation.lock_date
        cases: dict[int, Case] = {}
        for each in invoices:
            number, standing = each.connectwise_id, standings.get(each.connectwise_id)
            recreate = cycle.recreate and (
                cycle.named or (standing is not None and standing.reason == Reason.REMOVED_IN_XERO)
            )
            cases[number] = Case(
                each.owed, each.own_rows, there[number], organisation, bound[number].tenant_id, ours.get(number, []),
                noted.used.get(number, {}), credits, lock, self.take(each, standing), recreate,
            )  # fmt: skip
        return cases

    def _credits(self, memos: Sequence[int]) -> dict[int, Credit]:
        """The credit notes of these memos as they are in Xero now."""
        posted = requests.bound(self.audit, CREDIT_NOTE.family, memos)
        by_tenant: dict[str, dict[str, int]] = defaultdict(dict)
        for memo, each in posted.items():
            by_tenant[each.tenant_id][each.xero_id] = memo
        credits: dict[int, Credit] = {}
        for tenant_id, ids in by_tenant.items():
            found = self.cycle.doors.xero.documents_by_id(tenant_id, CREDIT_NOTE, list(ids))
            credits |= {ids[xero_id]: Credit.read(each, tenant_id) for xero_id, each in found.items()}
        return credits

    def _allocate(
        self, todo: Sequence[tuple[Settling, Allocating]], bound: Mapping[int, Bound], cases: Mapping[int, Case]
    ) -> None:
        """Write allocations, those of one credit note in one call, and record how each invoice ended."""
        by_credit: dict[str, list[Allocate]] = defaultdict(list)
        settlings = {each.connectwise_id: each for each, _ in todo}
        used = {
            each.connectwise_id: {
                **cases[each.connectwise_id].used, **{write.memo: write.instalment for write in action.allocates}
            }
            for each, action in todo
        }  # fmt: skip
        for _, action in todo:
            for write in action.allocates:
                by_credit[write.credit_xero_id].append(write)
        batches = [Loading(self.cycle, list(settlings.values()), writes, used) for writes in by_credit.values()]
        if not batches:
            return
        written: dict[int, list[Written]] = defaultdict(list)
        for group in self.calls.several(load_allocations, batches):
            for one in group:
                written[one.write.connectwise_id].append(one)
        self.cycle.record(
            [
                self._ended(each, action, written[each.connectwise_id], bound[each.connectwise_id])
                for each, action in todo
            ]
        )

    def _ended(self, each: Settling, action: Allocating, written: Sequence[Written], known: Bound) -> Result:
        """How an invoice ended of which something was sent: Xero's refusal first, then what waits."""
        refused = [one for one in written if one.refused]
        if refused:
            words = "; ".join(dict.fromkeys(one.refused for one in refused))
            hold = Hold(
                Reason.REFUSED_BY_XERO,
                words,
                f"Xero refused to allocate {plain(total(one.write.amount for one in refused))} {known.currency} to "
                f"{each.reference} in {known.organisation}: {words.rstrip('.')}.",
            )
            writes: list[Allocate | Unallocate] = [*action.unallocates, *action.allocates]
            return replace(
                self.hold(each, known, hold), outcome=Outcome.REJECTED, body=self._body(writes), copy=each.entry.copy
            )
        holds = [one.hold for one in written if one.hold is not None] + list(action.holds)
        if holds:
            return self.hold(each, known, merge(holds))
        done = [one.write for one in written]
        changed = each.connectwise_id in self.taken or each.connectwise_id in self.known
        result = self.result(each, known, Outcome.UPDATED if changed else Outcome.POSTED)
        return replace(result, amount=plain(total(one.amount for one in done)))

    def _give_up_removed(self, case: Case) -> None:
        """Forget allocations that a person took off and now wants to have again."""
        gone = [
            each.part
            for each in case.ours
            if (credit := case.credits.get(each.row)) is not None
            and all(one.amount != each.amount for one in credit.on(case.there.xero_id))
        ]
        if gone:
            with self.audit.transaction(self.cycle.lease) as connection:
                settlements.unbind_in(connection, self.cycle.family, {case.owed.id: gone})

    def take_back(self) -> None:
        """Take allocations of ours off, as far as the brake lets it through; then allocate what is left."""
        back, self.back = self.back, []
        if not back:
            return
        invoices = [each for each, _ in back]
        ids = [each.connectwise_id for each in invoices]
        bound = requests.bound(self.audit, INVOICE.family, ids)
        if self.too_many(invoices, bound):
            return
        again: list[Settling] = []
        results: list[Result] = []
        for each, action in back:
            written = [allocating.take_off(self.cycle, each, write) for write in action.unallocates]
            if all(one.hold is None and not one.refused for one in written):
                again.append(each)
            else:
                results.append(self._ended(each, action, written, bound[each.connectwise_id]))
        self.cycle.record(results)
        self.taken |= {each.connectwise_id for each in again}
        self.carry(again, runs.standings(self.audit, self.cycle.family, ids))
        left, self.back = self.back, []
        hold = Hold(Reason.UNSETTLED)
        self.cycle.record([self.hold(each, bound[each.connectwise_id], hold) for each, _ in left])
