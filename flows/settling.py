"""What settles invoices, in the order that never changes:

settle earlier -> window -> changed and open invoices -> their rows where amounts differ -> beside Xero -> decide ->
write -> what is taken back -> outcome -> watermark

A payment need not bump its invoice in ConnectWise (connectwise.md, 4.4). So a cycle reads what changed and what is
open, and asks by id for what was open and is listed no more; rows are read only where an amount differs from what was
seen last. Money and credit memos go the same way; what differs is in `paying.py` and `allocating.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from blocks.audit import requests, runs, settlements
from blocks.audit import watermarks as watermark_rows
from blocks.audit.runs import Result, Standing
from blocks.audit.settlements import Glance, Kept
from blocks.connectwise.client import Pages
from blocks.failures import LimitReached
from flows.cycle import (
    OVERLAP,
    WAITING_PAGE,
    Selection,
    UnknownReference,
    check_counts,
    fail_where_unreachable,
    move_watermark,
)
from flows.updates import RESEND_AFTER, take_for
from mappings.kinds import FAMILY_SHOWN, INVOICE
from mappings.money import plain, to_cents
from mappings.outcomes import WAITING, Hold, Outcome, Reason, XeroList
from mappings.plans import Bound, Take
from mappings.policy import Decisions
from mappings.receivables import Receivable
from mappings.xero import Books, Found
from tasks.calls import Calls
from tasks.cycle import Cycle, Entry
from tasks.invoices import Reading
from tasks.posting import limit_hold
from tasks.settlements import Detailing, Settling, Side, extract_owed, extract_payments, owed_of, recalled

ROWS_AT_ONCE = 100
"""Invoices per task run that reads rows: each costs a call."""
ONE_BY_ONE = 100
"""Up to so many invoices each is decided on in a task run of its own, named by its number; above, in chunks."""
CHUNK = 250
ACCEPTED = "accepted"
"""The value of an invoice of which a person said that what settles it in Xero is right, although it differs."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the audit knew of some invoices before Xero was asked: what we wrote, and the highest instalments of it."""

    kept: Mapping[int, Sequence[Kept]]
    used: Mapping[int, Mapping[int, int]]


class Settlement(ABC):
    """One cycle of what settles invoices, by money or by credit memos.

    `ids` are the invoices that it has looked at, `swept` what a sweep saw on their headers. `taken` are the invoices of
    which something of ours was taken back in this cycle. `what` is what people call it.
    """

    side: ClassVar[Side]
    what: ClassVar[str]
    has_watermark: ClassVar[bool] = True

    def __init__(self, cycle: Cycle, calls: Calls, selection: Selection) -> None:
        self.cycle = cycle
        self.calls = calls
        self.selection = selection
        self.audit = cycle.doors.audit
        self.ids: set[int] = set()
        self.swept: dict[int, Decimal] = {}
        self.taken: set[int] = set()
        self.highest: datetime | None = None
        self.began: datetime | None = None

    def run(self) -> None:
        """The whole of it. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence; nothing is half-written."""
        cycle, selection = self.cycle, self.selection
        named = self._named()
        if cycle.writing:
            self.settle_earlier()
        seen = watermark_rows.read(self.audit, cycle.family)
        if selection.named:
            self.look_at(named, forced=True)
            if self.side == "credits":
                # A credit memo was named, perhaps: what it is applied to, and waits for it, is taken up.
                self._take_up_waiting({raw["id"] for raw in named})
        else:
            for pages, label, counts in self.lists(seen.position):
                while not pages.done:
                    page = self.calls.one(extract_owed, Reading(self.what, pages, [label]))
                    if counts:
                        self.began = self.began or page.at
                    self.look_at(page.records, forced=selection.forced, changed=counts)
            self._look_at_the_unlisted()
            if selection.sweep:
                self._look_at_what_differs()
            self._take_up_waiting()
        self.take_back()
        fail_where_unreachable(cycle)
        check_counts(cycle)
        if cycle.writing and not selection.special and self.has_watermark:
            move_watermark(cycle, seen, self.highest, self.began)

    # What money and credit memos do each in their way

    @abstractmethod
    def settle_earlier(self) -> None:
        """Find out what became of every request that an earlier cycle left open."""

    @abstractmethod
    def is_off(self, decisions: Decisions) -> bool:
        """Whether policy leaves it to people."""

    @abstractmethod
    def settle(
        self,
        organisation: str,
        invoices: Sequence[Settling],
        bound: Mapping[int, Bound],
        there: Mapping[int, Receivable],
        standings: Mapping[int, Standing],
        noted: Noted,
    ) -> None:
        """Decide on invoices of one organisation, and write what is missing. Each ends in an outcome."""

    @abstractmethod
    def take_back(self) -> None:
        """Take back what was written and is no more in ConnectWise, as far as the brake lets it through."""

    @abstractmethod
    def differs(self, there: Receivable, wanted: Decimal, live: Decimal) -> bool:
        """Whether a sweep has to look at an invoice: `wanted` by its header; `live` is what of ours is there."""

    # ConnectWise

    def _named(self) -> list[dict[str, Any]]:
        """The raw headers of the invoices that were asked for. Raises UnknownReference before anything is done."""
        client = self.cycle.doors.connectwise
        ids: list[int] = list(self.selection.ids or ())
        for reference in self.selection.references:
            text = reference.strip()
            if text.lower().startswith("id:") and text[3:].strip().isdigit():
                found = [int(text[3:])]
            else:
                found = [record["id"] for record in client.invoices_by_number(text)]
            shown = client.owed_by_id(found) if found else []
            # What a credit memo's number means was found out with the credit notes.
            if not shown and self.side == "payments":
                raise UnknownReference(
                    f"ConnectWise has no invoice {reference!r} (or the API member may not see it); nothing was done."
                )
            ids += [record["id"] for record in shown]
        return client.owed_by_id(list(dict.fromkeys(ids))) if ids else []

    def lists(self, position: datetime | None) -> Iterator[tuple[Pages, str, bool]]:
        """The lists of a cycle, each with its name and whether it is the one of what changed."""
        cycle, client = self.cycle, self.cycle.doors.connectwise
        if self.selection.special or position is None:
            start = self.selection.since or cycle.start_date
            cycle.say(f"reading {self.what} on invoices dated {start} or later")
            yield client.owed_dated_from(start), f"from {start}", True
            return
        since = position - OVERLAP
        cycle.say(f"reading {self.what} on invoices changed since {since:%Y-%m-%d %H:%M:%S} UTC, or open")
        yield client.owed_changed_since(since), f"since {since:%Y-%m-%d %H-%M}", True
        yield client.owed_open(cycle.start_date), "open", False

    def look_at(self, headers: Sequence[dict[str, Any]], *, forced: bool = False, changed: bool = False) -> None:
        """Decide by the amounts on a header whether an invoice's rows have to be read; carry those on.

        `changed`: the headers are of the list of what changed, so that what waits may have rows that it did not have.
        """
        cycle = self.cycle
        todo: list[Settling] = []
        glances: list[Glance] = []
        found = [owed_of(self.side, raw) for raw in headers]
        ids = [each[0].connectwise_id if isinstance(each, tuple) else each.connectwise_id for each in found]
        standings = runs.standings(self.audit, cycle.family, ids)
        before = settlements.glances(self.audit, cycle.family, ids)
        results = [cycle.hold(*each) for each in found if isinstance(each, tuple)]
        for each in found:
            if isinstance(each, tuple):
                continue
            number, standing = each.connectwise_id, standings.get(each.connectwise_id)
            at = each.owed.info.last_updated
            if changed and at is not None:
                self.highest = max(self.highest or at, at)
            if (number in self.ids and not forced) or not self._is_ours(each, standing):
                continue
            self.ids.add(number)
            if self.selection.sweep:
                self.swept[number] = each.amount
            waits = standing is not None and standing.outcome in WAITING
            if standing is None and not each.amount:
                # Nothing was ever settled. Kept all the same, so that it is missed when it is listed as open no more.
                if each.is_open:
                    glances.append(Glance(number, each.reference, each.seen, True))
            elif standing is None or standing.seen != each.seen or forced or (waits and changed):
                todo.append(each)
            elif number in before and before[number].is_open != each.is_open:
                glances.append(Glance(number, each.reference, standing.seen, each.is_open))
        cycle.counts["read"] += len(results)
        cycle.record(results)
        if cycle.writing:
            settlements.note(self.audit, cycle.family, cycle.run_id, glances, cycle.now(), cycle.lease)
        self.carry(self._with_rows(todo), standings)

    def _is_ours(self, each: Settling, standing: Standing | None) -> bool:
        """Whether it is an invoice (a credit is settled by being applied) of this family's time."""
        if standing is not None:
            return True
        return to_cents(each.owed.total) >= 0 and each.owed.date >= self.cycle.start_date

    def _with_rows(self, invoices: Sequence[Settling]) -> list[Settling]:
        """The same invoices with their rows; unreadable ones are recorded and left out."""
        self.cycle.counts["read"] += len(invoices)
        whole: list[Settling] = []
        unreadable: list[Result] = []
        for start in range(0, len(invoices), ROWS_AT_ONCE):
            batch = Detailing(self.cycle, invoices[start : start + ROWS_AT_ONCE])
            for found in self.calls.one(extract_payments, batch):
                if isinstance(found, tuple):
                    unreadable.append(self.cycle.hold(*found))
                else:
                    whole.append(found)
        self.cycle.record(unreadable)
        return whole

    def _look_at_the_unlisted(self) -> None:
        """Invoices that were open and are listed no more: settled without a word, or deleted (a sweep tells)."""
        after = -1
        while ids := settlements.open_ids(self.audit, self.cycle.family, after, WAITING_PAGE):
            after = ids[-1]
            unlisted = [number for number in ids if number not in self.ids]
            if unlisted:
                self.look_at(self.cycle.doors.connectwise.owed_by_id(unlisted))

    def _take_up_waiting(self, memos: Collection[int] = ()) -> None:
        """Everything that an earlier cycle left waiting, from its stored copy; what has none is read again.

        `memos`: only what waits for one of these credit memos.
        """
        cycle, after = self.cycle, -(2**40)
        while page := runs.waiting(self.audit, cycle.family, cycle.run_id, after, WAITING_PAGE):
            after = page[-1].connectwise_id
            standings = {each.connectwise_id: each for each in page if each.connectwise_id not in cycle.dealt_with}
            if memos:
                standings = {number: each for number, each in standings.items() if self._waits_for(each, memos)}
            copies = {number: recalled(self.side, each.copy) for number, each in standings.items() if each.copy}
            whole = [each for each in copies.values() if not isinstance(each, tuple)]
            # Without its rows, or with rows that did not make its header when they were read: they may now.
            bare = list(standings.keys() - {each.connectwise_id for each in whole})
            found = [owed_of(self.side, raw) for raw in cycle.doors.connectwise.owed_by_id(bare)] if bare else []
            there = [each for each in found if not isinstance(each, tuple)]
            results = [cycle.hold(*each) for each in found if isinstance(each, tuple)]
            gone = set(bare) - {each.connectwise_id for each in there} - {each.connectwise_id for each in results}
            results += [self._not_shown(standings[number]) for number in sorted(gone)]
            cycle.counts["read"] += len(whole) + len(results)
            cycle.record(results)
            self.carry([*whole, *self._with_rows(there)], standings)

    def _waits_for(self, standing: Standing, memos: Collection[int]) -> bool:
        found = recalled(self.side, standing.copy) if standing.copy else None
        rows = found.own_rows if isinstance(found, Settling) else ()
        return any(row.credit is not None and row.credit.id in memos for row in rows)

    def _not_shown(self, standing: Standing) -> Result:
        message = f"ConnectWise does not show {standing.reference} any more."
        hold = Hold(Reason.SOURCE_HIDDEN, standing.reference, message)
        return self.cycle.hold(Entry.known(standing), hold, organisation=standing.organisation)

    def _look_at_what_differs(self) -> None:
        """A sweep: invoices that are settled otherwise in Xero than ConnectWise says, whatever was seen before."""
        cycle = self.cycle
        for organisation, tenant_id in cycle.doors.tenants.items():
            cycle.say(f"comparing {self.what} on the invoices of {organisation} since {cycle.start_date}")
            different: list[int] = []
            cycle.reach(organisation, partial(self._differing, tenant_id, different))
            for start in range(0, len(different), ROWS_AT_ONCE):
                ids = different[start : start + ROWS_AT_ONCE]
                self.look_at(cycle.doors.connectwise.owed_by_id(ids), forced=True)

    def _differing(self, tenant_id: str, different: list[int]) -> None:
        cycle = self.cycle
        for page in cycle.doors.xero.documents_since(tenant_id, INVOICE, cycle.start_date):
            owners = requests.owners(self.audit, tenant_id, [each.xero_id for each in page])
            there = {
                owners[each.xero_id][1]: Receivable.read(each)
                for each in page
                if owners.get(each.xero_id, ("", 0))[0] == INVOICE.family
            }
            standings = runs.standings(self.audit, cycle.family, list(there))
            live = self.live(there)
            for number, invoice in there.items():
                standing = standings.get(number)
                told = standing is not None and (standing.outcome in WAITING or standing.run_id == cycle.run_id)
                if told or number in cycle.dealt_with:
                    continue
                if self.differs(invoice, self.swept.get(number, Decimal(0)), live.get(number, Decimal(0))):
                    different.append(number)

    @abstractmethod
    def live(self, there: Mapping[int, Receivable]) -> dict[int, Decimal]:
        """How much of what we wrote on these invoices is there still."""

    # Beside Xero

    def carry(self, invoices: Sequence[Settling], standings: Mapping[int, Standing]) -> None:
        """Decide on invoices beside what stands in Xero, and write what is missing. Each ends in an outcome."""
        if not invoices:
            return
        cycle = self.cycle
        bound = requests.bound(self.audit, INVOICE.family, [each.connectwise_id for each in invoices])
        results: list[Result] = []
        groups: dict[str, list[Settling]] = defaultdict(list)
        for each in invoices:
            known = bound.get(each.connectwise_id)
            if known is None:
                results.append(self._without_document(each))
            elif known.tenant_id not in cycle.doors.tenants.values():
                results.append(self.hold(each, known, _not_connected(known)))
            elif self.is_off(cycle.tables.policy.decisions(known.organisation)):
                results.append(self.result(each, known, Outcome.SKIPPED))
            else:
                groups[known.organisation].append(each)
        cycle.record(results)
        for organisation, group in sorted(groups.items()):
            for start in range(0, len(group), CHUNK):
                self._settle_group(organisation, group[start : start + CHUNK], bound, standings)

    def _settle_group(
        self,
        organisation: str,
        group: Sequence[Settling],
        bound: Mapping[int, Bound],
        standings: Mapping[int, Standing],
    ) -> None:
        """Read, decide, write.

        First it is noted what was written so far, and what of it is in doubt; only then is Xero asked. What is bound
        by then, and not there, was removed by somebody; and what another process writes in between is told by a higher
        instalment (blocks.audit.requests).
        """
        found: dict[str, Found] = {}
        cycle, numbers = self.cycle, [each.connectwise_id for each in group]
        noted = Noted(
            settlements.parts(self.audit, cycle.family, numbers), settlements.used(self.audit, cycle.family, numbers)
        )
        in_doubt = requests.unsettled_ids(self.audit, cycle.family) if cycle.writing else set()
        unclear = [each for each in group if each.connectwise_id in in_doubt]
        cycle.record([self.hold(each, bound[each.connectwise_id], Hold(Reason.UNSETTLED)) for each in unclear])
        group = [each for each in group if each.connectwise_id not in in_doubt]
        if not group:
            return
        ids = [bound[each.connectwise_id].xero_id for each in group]

        def read() -> None:
            cycle.lists.books([organisation])
            waited_for = {name for each in group for name in _waits_on(standings.get(each.connectwise_id))}
            cycle.lists.renew(organisation, sorted(waited_for))
            tenant_id = bound[group[0].connectwise_id].tenant_id
            found.update(cycle.doors.xero.documents_by_id(tenant_id, INVOICE, ids))

        if not cycle.reach(organisation, read):
            self.put_off(organisation, group, bound)
            return
        shown = [each for each in group if bound[each.connectwise_id].xero_id in found]
        hidden = [each for each in group if bound[each.connectwise_id].xero_id not in found]
        known = {each.connectwise_id: bound[each.connectwise_id] for each in hidden}
        cycle.record([self.hold(each, one := known[each.connectwise_id], _not_in_xero(one)) for each in hidden])
        there = {each.connectwise_id: Receivable.read(found[bound[each.connectwise_id].xero_id]) for each in shown}
        if shown:
            self.settle(organisation, shown, bound, there, standings, noted)

    def put_off(self, organisation: str, group: Sequence[Settling], bound: Mapping[int, Bound]) -> None:
        """Leave invoices of an organisation whose part of the cycle is over to a later cycle."""
        problem = self.cycle.closed[organisation]
        if isinstance(problem, LimitReached):
            hold = limit_hold(problem)
            self.cycle.record([self.hold(each, bound[each.connectwise_id], hold) for each in group])
        else:
            # Xero does not answer: they stand as they did, the cycle fails, and the watermark stays where it is.
            self.cycle.counts["read"] -= len(group)

    # The brake, and what was refused before

    @property
    def released(self) -> bool:
        """Whether a person has let everything through."""
        return self.cycle.allow_many or self.cycle.approved is not None

    def too_old(self, each: Settling, oldest: date) -> Hold | None:
        """What was settled long ago is not taken back unasked."""
        days = self.cycle.tables.policy.brake.older_than_days
        if self.released or not days or oldest >= self.cycle.now().date() - timedelta(days=days):
            return None
        why = f"What would be taken back is of {oldest}, and what is older than {days} days is not changed unasked."
        return self._braked(each, f"dated {oldest}", why)

    def too_many(self, invoices: Sequence[Settling], bound: Mapping[int, Bound]) -> bool:
        """Whether so much would be taken back at once that nothing is; told of each then."""
        limit = self.cycle.tables.policy.brake.updates
        if not limit or len(invoices) <= limit or self.released:
            return False
        why = f"This cycle would take something back on more than {limit} invoices, so it takes back nothing."
        value = f"more than {limit} at once"
        self.cycle.record(
            [self.hold(each, bound[each.connectwise_id], self._braked(each, value, why)) for each in invoices]
        )
        return True

    def _braked(self, each: Settling, value: str, why: str) -> Hold:
        family = FAMILY_SHOWN.get(self.cycle.family, self.cycle.family)
        return Hold(
            Reason.BRAKE,
            value,
            f"Less is settled on {each.reference} in ConnectWise than was written to Xero. {why}",
            f"Look at `tieout plan {family}`; then release it with `tieout sync {family} --reference {each.reference} "
            f"--allow-many`, or all of them with `tieout sync {family} --allow-many`.",
        )

    def refused_before(self, each: Settling, known: Bound, body: str, standing: Standing | None) -> Result | None:
        """What Xero refused goes out again when something about it changed, when forced, or once a day."""
        if (
            standing is None
            or self.cycle.forced
            or standing.outcome is not Outcome.REJECTED
            or standing.body != body
            or self.cycle.now() - standing.tried_at >= RESEND_AFTER
        ):
            return None
        result = self.hold(each, known, Hold(Reason(standing.reason), standing.value, standing.message))
        return replace(
            result, outcome=Outcome.REJECTED, body=body, tried_at=standing.tried_at, copy=each.entry.copy
        )  # fmt: skip

    def take(self, each: Settling, standing: Standing | None) -> Take:
        """Whose version a person chose; what she accepted of Xero's stays accepted until ConnectWise says otherwise."""
        accepted = standing is not None and standing.value == ACCEPTED and standing.seen == each.seen
        return take_for(self.cycle, standing) or ("theirs" if accepted else "")

    def renewed(self, organisation: str, holds: Iterable[Hold], writes: bool, before: Books) -> Books | None:
        """The books with the lists that held invoices wait for read anew; None where nothing in them is other.

        With `writes` also the lock dates: they are people's to change at any time.
        """
        names = [XeroList.ORGANISATION] * writes + [name for hold in holds for name in hold.waits_on]
        if names:
            self.cycle.reach(organisation, partial(self.cycle.lists.renew, organisation, list(dict.fromkeys(names))))
        books = self.cycle.lists.books([organisation])[organisation]
        return books if books.digest != before.digest else None

    # Outcomes

    def _without_document(self, each: Settling) -> Result:
        """Its invoice is not in Xero: it waits where there is something to write, else it is nobody's business."""
        currency = each.owed.currency.currency_code
        if each.amount:
            hold = Hold(
                Reason.WAITS_FOR_INVOICE,
                each.reference,
                f"{plain(each.amount)} {currency} of {each.reference} is settled, but the invoice is not in Xero "
                "yet.".replace("  ", " "),
            )
            result = self.cycle.hold(each.entry, hold)
        else:
            result = self.cycle.result(each.entry, Outcome.UNCHANGED)
        return replace(result, amount=plain(each.amount), currency=currency, is_open=each.is_open)

    def result(self, each: Settling, known: Bound, outcome: Outcome, accepted: bool = False) -> Result:
        """How one invoice ended. `accepted`: it differs, and a person said that Xero is right."""
        result = self.cycle.result(each.entry, outcome, xero_id=known.xero_id, organisation=known.organisation)
        return replace(
            result, amount=plain(each.amount), currency=known.currency, is_open=each.is_open,
            value=ACCEPTED if accepted else "",
        )  # fmt: skip

    def hold(self, each: Settling, known: Bound, hold: Hold) -> Result:
        """Why one invoice waits."""
        result = self.cycle.hold(each.entry, hold, organisation=known.organisation)
        rows = each.own_rows
        return replace(
            result, amount=plain(each.amount), currency=known.currency, is_open=each.is_open, xero_id=known.xero_id,
            xero_url=self.cycle.xero_url(known.organisation, known.xero_id),
            payment_id=rows[0].id if len(rows) == 1 else None,
        )  # fmt: skip


def _waits_on(standing: Standing | None) -> Iterable[XeroList]:
    return [XeroList(name) for name in standing.waits_on] if standing is not None else []


def _not_connected(bound: Bound) -> Hold:
    message = f"The invoice is in {bound.organisation}, which is not connected any more."
    return Hold(Reason.WAITS_FOR_INVOICE, bound.organisation, message)


def _not_in_xero(bound: Bound) -> Hold:
    return Hold(
        Reason.REMOVED_IN_XERO,
        bound.reference,
        f"{bound.organisation} does not show the invoice {bound.reference} any more, so nothing can be settled on it.",
    )
