"""Payments: as much is paid on an invoice in Xero as ConnectWise says, whoever paid it, and never more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from blocks.audit import requests, runs, settlements
from blocks.audit.runs import Result, Standing
from blocks.audit.settlements import Kept
from flows.cycle import Selection
from flows.planning import digest_of
from flows.settling import CHUNK, ONE_BY_ONE, Noted, Settlement
from mappings.kinds import INVOICE
from mappings.money import total
from mappings.outcomes import Hold, Outcome, Reason
from mappings.payments import Case, Pay, Paying, Written, decide_payments, recognised, with_details
from mappings.plans import Bound
from mappings.policy import Decisions
from mappings.receivables import Receivable
from tasks import payments as paying
from tasks.calls import Calls
from tasks.cycle import Cycle
from tasks.payments import Deciding, Loading, Payment, load_payments, map_payments
from tasks.posting import BATCH
from tasks.settlements import Settling


class Payments(Settlement):
    """One cycle of payments. `back` are payments of ours to be removed, until it is known how many they are."""

    side = "payments"
    what = "payments"

    def __init__(self, cycle: Cycle, calls: Calls, selection: Selection) -> None:
        super().__init__(cycle, calls, selection)
        self.back: list[Payment] = []

    def settle_earlier(self) -> None:
        """Find out what became of every request that an earlier cycle left open."""
        paying.settle_earlier(self.cycle)

    def is_off(self, decisions: Decisions) -> bool:
        """Whether policy leaves payments to people."""
        return decisions.payments.direction == "off"

    def differs(self, there: Receivable, wanted: Decimal, live: Decimal) -> bool:
        """Less is paid than ConnectWise says, or more by us; what others paid besides is their own affair."""
        return there.paid < wanted or live > wanted

    def live(self, there: Mapping[int, Receivable]) -> dict[int, Decimal]:
        """How much of what we paid on these invoices is there still."""
        ours = settlements.parts(self.audit, self.cycle.family, list(there))
        return {
            number: total(each.total for each in kept if _is_live(there[number], each.xero_id))
            for number, kept in ours.items()
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
        """Decide, and write what is missing; what is to be taken back waits for the brake."""
        cases: dict[int, Case] = {}

        def read() -> None:
            cases.update(self._cases(organisation, invoices, bound, there, standings, noted))

        if not self.cycle.reach(organisation, read):
            self.put_off(organisation, invoices, bound)
            return
        pays: list[Payment] = []
        results: list[Result] = []
        for each, action in zip(invoices, self._decided(list(cases.values())), strict=True):
            number = each.connectwise_id
            outcome = self._planned(each, action, cases[number], bound[number], standings.get(number))
            if isinstance(outcome, Payment):
                pays.append(outcome)
            elif outcome is not None:
                results.append(outcome)
        self.cycle.record(results)
        batches = [Loading(self.cycle, batch) for batch in _batches(pays)]
        if batches:
            for written in self.calls.several(load_payments, batches):
                self.cycle.count(written)

    def _decided(self, cases: Sequence[Case]) -> list[Paying | Hold | None]:
        size = 1 if len(cases) <= ONE_BY_ONE else CHUNK
        actions: list[Paying | Hold | None] = []
        for start in range(0, len(cases), size):
            decided: list[Paying | Hold | None] = self.calls.one(map_payments, Deciding(cases[start : start + size]))
            actions += decided
        # What they wait for in Xero may be there since its lists were read, or a period locked.
        holds = [action for action in actions if isinstance(action, Hold)]
        writes = any(isinstance(action, Paying) for action in actions)
        books = self.renewed(cases[0].organisation, holds, writes, cases[0].books)
        if books is not None:
            renewed = [replace(case, books=books) for case in cases]
            actions = map_payments.fn(Deciding(renewed))
        return actions

    def _planned(
        self, each: Settling, action: Paying | Hold | None, case: Case, known: Bound, standing: Standing | None
    ) -> Payment | Result | None:
        """What is written now, or how the invoice ends; None: a plan, or something to take back."""
        cycle = self.cycle
        if action is None:
            accepted = case.take == "theirs" and decide_payments(replace(case, take="")) is not None
            return self.result(each, known, Outcome.UNCHANGED, accepted)
        if isinstance(action, Hold):
            return self.hold(each, known, action)
        first = not case.ours and each.connectwise_id not in self.taken
        write = Payment(each, action.pays or action.unpays, first, case.used)
        if cycle.approved is not None and not all(
            cycle.approved.get((one.connectwise_id, one.part)) == digest_of(one) for one in write.writes
        ):
            return self.hold(each, known, Hold(Reason.PLAN_MOVED))
        stays = self.refused_before(each, known, paying.body_of(cycle, write.writes), standing)
        if stays is not None:
            return stays
        if not cycle.writing:
            cycle.planned.append(action)
            cycle.counts["planned"] += 1
            cycle.dealt_with.add(each.connectwise_id)
            return None
        if action.unpays:
            old = self.too_old(each, min(one.written.date for one in action.unpays))
            if old is not None:
                return self.hold(each, known, old)
            self.back.append(write)
            cycle.dealt_with.add(each.connectwise_id)
            return None
        if cycle.recreate:
            self._give_up_removed(case)
        return write

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
        books = cycle.lists.books([organisation])[organisation]
        cases: dict[int, Case] = {}
        for each in invoices:
            number, standing = each.connectwise_id, standings.get(each.connectwise_id)
            ours = [_written(one) for one in noted.kept.get(number, ())]
            strangers = recognised(there[number], ours, each.own_rows)
            if strangers and cycle.writing:
                self._adopt(each, bound[number], there[number], strangers)
            ours += strangers
            instalments = dict(noted.used.get(number, {}))
            for one in ours:
                instalments[one.row] = max(instalments.get(one.row, 0), one.instalment)
            recreate = cycle.recreate and (
                cycle.named or (standing is not None and standing.reason == Reason.REMOVED_IN_XERO)
            )
            case = Case(
                each.owed, each.own_rows, there[number], organisation, bound[number].tenant_id, ours, instalments,
                cycle.tables, books, self.take(each, standing), recreate,
            )  # fmt: skip
            cases[number] = self._with_details(case)
        return cases

    def _with_details(self, case: Case) -> Case:
        """With what only a payment's own page says, where payments of ours may have to be taken back."""
        live = [each for each in case.ours if _is_live(case.there, each.xero_id)]
        if total(each.amount for each in live) <= case.target:
            return case
        xero = self.cycle.doors.xero
        # A payment that Xero shows no page of is not one to be removed.
        pages = {each.xero_id: xero.payment(case.tenant_id, each.xero_id) or {"IsReconciled": True} for each in live}
        return replace(case, ours=[with_details(each, pages.get(each.xero_id, {})) for each in case.ours])

    def _adopt(self, each: Settling, known: Bound, there: Receivable, strangers: Sequence[Written]) -> None:
        """Bind payments that bear our Reference: this audit is new, or the answer to their write was lost."""
        rows = [
            (
                Pay(
                    each.connectwise_id, one.row, one.instalment, each.reference, known.organisation, known.tenant_id,
                    there.xero_id, "", one.date, one.amount, there.currency,
                ),
                one.xero_id,
                "{}",
            )
            for one in strangers
        ]  # fmt: skip
        with self.audit.transaction(self.cycle.lease) as connection:
            settlements.bind_in(connection, rows, self.cycle.now())

    def _give_up_removed(self, case: Case) -> None:
        """Forget payments that a person removed and now wants to have again: new ones take their place."""
        gone = [each.part for each in case.ours if not _is_live(case.there, each.xero_id)]
        if gone:
            with self.audit.transaction(self.cycle.lease) as connection:
                settlements.unbind_in(connection, self.cycle.family, {case.owed.id: gone})

    def take_back(self) -> None:
        """Remove payments of ours where policy says so, as far as the brake lets it through; then pay what is left."""
        back, self.back = self.back, []
        if not back:
            return
        invoices = [each.settling for each in back]
        ids = [each.connectwise_id for each in invoices]
        bound = requests.bound(self.audit, INVOICE.family, ids)
        if self.too_many(invoices, bound):
            return
        again = [each.settling for each in back if paying.take_back(self.cycle, each)]
        self.taken |= {each.connectwise_id for each in again}
        self.carry(again, runs.standings(self.audit, self.cycle.family, ids))
        # Decided on anew, and still too much: the next cycle goes on.
        left, self.back = self.back, []
        hold = Hold(Reason.UNSETTLED)
        self.cycle.record([self.hold(one.settling, bound[one.settling.connectwise_id], hold) for one in left])


def _written(kept: Kept) -> Written:
    return Written(kept.part, kept.xero_id, kept.total, kept.date)


def _is_live(there: Receivable, payment_id: str) -> bool:
    return any(each.by == "payment" and each.xero_id.lower() == payment_id.lower() for each in there.applied)


def _batches(pays: Sequence[Payment]) -> Iterator[list[Payment]]:
    """At most 50 payments per call; those of one invoice stay together."""
    batch: list[Payment] = []
    size = 0
    for each in pays:
        if batch and size + len(each.writes) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each.writes)
    if batch:
        yield batch
