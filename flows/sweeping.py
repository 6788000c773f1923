"""The completeness sweep: everything since the start date on both sides, whatever the watermark says (design 5).

The cycle has read all headers by now, so records that no cycle ever saw are on their way. What is left: rows that
changed without their invoice, records that ConnectWise does not show any more, and documents that people changed or
removed in Xero. Nothing is written because something is absent, but where ConnectWise says for certain that a record
was deleted and policy asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, TypeVar

from blocks.audit import requests, runs, sweeps
from blocks.audit.runs import Result, Standing
from blocks.audit.sweeps import Known
from flows import updates
from flows.planning import digest_of, key_of
from mappings.kinds import BILL, OTHER
from mappings.money import plain
from mappings.outcomes import MISSING, WAITING, Hold, Outcome, Reason, XeroList
from mappings.plans import Bound
from mappings.sweeping import Remove, all_at_once, edited, gone_from_xero, may_be_deleted, missing, too_many
from mappings.xero import Found
from tasks import posting, removals
from tasks.cycle import Cycle, Entry

CHUNK = 1000
OVERLAP = timedelta(minutes=10)
"""Rows are looked for from this much before the last sweep began, by our clock."""
Raw = dict[str, Any]
Whole = Callable[[Sequence[int]], list[Entry]]
Item = TypeVar("Item")


@dataclass(slots=True)
class Listed:
    """What ConnectWise listed in this sweep: the ids of its records, and the locations that they are of."""

    ids: set[int] = field(default_factory=set)
    locations: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Steps:
    """What the cycle does with records that the sweep comes upon.

    `take_up` carries records like any that were just read (`anew`: also those that look as before), `whole` reads
    records with their lines and nothing more.
    """

    take_up: Callable[[Sequence[Raw], bool], None]
    whole: Whole


@dataclass(slots=True)
class _Books:
    """What the sweep found in Xero, by record.

    `beside` are the documents of records that ConnectWise does not show; `dead` those that a person removed; `absent`
    the records whose document Xero does not show; `edited` those whose money a person changed. `known` counts the
    documents that were looked for, `looked_at` are the organisations that were read to their end.
    """

    beside: dict[int, Found] = field(default_factory=dict)
    dead: dict[int, Found] = field(default_factory=dict)
    absent: dict[str, list[int]] = field(default_factory=dict)
    edited: list[int] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    looked_at: set[str] = field(default_factory=set)


def sweep(cycle: Cycle, listed: Listed, steps: Steps) -> None:
    """Look for everything that an ordinary cycle cannot see. Raises what its readings raise."""
    _rows_that_changed(cycle, listed, steps)
    gone, known = _not_shown(cycle, listed, steps)
    books = _beside_xero(cycle, gone, steps.whole)
    _tell_missing(cycle, gone, known, listed, books, steps)


def sweep_documents(cycle: Cycle, whole: Whole) -> None:
    """Look for what people changed or removed in Xero of bills, or of purchase orders.

    What ConnectWise does not show is told of its orders. `cycle` is that of the documents. Raises what its readings
    raise.
    """
    _beside_xero(cycle, {}, whole)


def _beside_xero(cycle: Cycle, gone: Mapping[int, Known], whole: Whole) -> _Books:
    """Compare what every organisation has with what was written, and say what people removed or changed."""
    books = _Books()
    for organisation, tenant_id in cycle.doors.tenants.items():
        cycle.say(f"comparing what {organisation} has in Xero since {cycle.start_date} with what was written")

        def read(organisation: str = organisation, tenant_id: str = tenant_id) -> None:
            _compare(cycle, organisation, tenant_id, gone, books)

        cycle.reach(organisation, read)
    _tell_removed(cycle, books, whole)
    edited_now = runs.standings(cycle.doors.audit, cycle.family, books.edited)
    _record(cycle, posting.compare_again(cycle, list(map(Entry.known, edited_now.values())), frozenset(edited_now)))
    return books


def accept(cycle: Cycle, standings: Iterable[Standing]) -> None:
    """Close the exceptions of records that ConnectWise does not show: a person says that Xero stays as it is."""
    _record(cycle, [_accepted(cycle, standing) for standing in standings])


def _record(cycle: Cycle, results: Sequence[Result]) -> None:
    """Store and count outcomes of records that were read here."""
    cycle.counts["read"] += len(results)
    cycle.record(results)


def _untouched(cycle: Cycle, standing: Standing) -> bool:
    """Whether this cycle has not dealt with the record already, and is not about to."""
    number = standing.connectwise_id
    return (
        standing.run_id != cycle.run_id
        and number not in cycle.dealt_with
        and all(entry.connectwise_id != number for entry, _ in cycle.pending)
    )


def _unwritten(cycle: Cycle, standing: Standing) -> bool:
    """Whether this cycle has left the document of a record as it was, so that it still is to be looked at."""
    if _untouched(cycle, standing):
        return True
    number = standing.connectwise_id
    told = standing.run_id == cycle.run_id and standing.outcome is Outcome.UNCHANGED
    return told or any(one.connectwise_id == number and one.outcome is Outcome.UNCHANGED for one in cycle.told)


# ConnectWise


def _rows_that_changed(cycle: Cycle, listed: Listed, steps: Steps) -> None:
    """Read the invoices again of which a row changed since the last sweep: their headers may look as before."""
    audit = cycle.doors.audit
    last = sweeps.last_sweep(audit, cycle.family)
    since = last - OVERLAP if last is not None else datetime.combine(audit.set_up_on, time(), UTC)
    cycle.say(f"looking for rows changed since {since:%Y-%m-%d %H:%M} UTC")
    changed: list[int] = []

    def read() -> None:
        changed.extend(sorted(cycle.doors.connectwise.invoices_with_rows_changed_since(since) & listed.ids))

    # A role or a server that refuses this question fails the run in the end; the rest of the sweep is worth having.
    cycle.reach("the rows of invoices", read)
    for chunk in _chunks(changed):
        standings = runs.standings(audit, cycle.family, chunk)
        before = [number for number, standing in standings.items() if _untouched(cycle, standing)]
        # What was not billable before is none of ours for its rows.
        ours = [number for number in before if standings[number].outcome is not Outcome.SKIPPED]
        steps.take_up(cycle.doors.connectwise.invoices_by_id(ours) if ours else [], True)


def _not_shown(cycle: Cycle, listed: Listed, steps: Steps) -> tuple[dict[int, Known], int]:
    """Records that are posted or wait, and that ConnectWise shows neither in its list nor by their ids.

    With how many there are that it should show.
    """
    gone: dict[int, Known] = {}
    count, after = 0, -1
    while page := sweeps.known(cycle.doors.audit, cycle.family, cycle.start_date, after, CHUNK):
        after = page[-1].standing.connectwise_id
        count += len(page)
        absent = {
            each.standing.connectwise_id: each
            for each in page
            if each.standing.connectwise_id not in listed.ids and _untouched(cycle, each.standing)
        }
        if absent:
            shown = cycle.doors.connectwise.invoices_by_id(list(absent))
            steps.take_up(shown, False)
            found = {record.get("id") for record in shown}
            gone |= {number: each for number, each in absent.items() if number not in found}
    return gone, count


def _tell_missing(
    cycle: Cycle, gone: Mapping[int, Known], known: int, listed: Listed, books: _Books, steps: Steps
) -> None:
    """Say of each record that ConnectWise does not show what that means; of many at once no more than that."""
    audit = cycle.doors.audit
    bound = requests.bound(audit, cycle.family, list(gone))
    # An organisation that was not read says nothing about its documents.
    open_ = {
        number: each.standing
        for number, each in gone.items()
        if not each.posted or bound[number].organisation in books.looked_at
    }
    over = [number for number in open_ if number in books.beside and not books.beside[number].live]
    told = [_both_gone(cycle, open_[number], bound[number]) for number in over if open_[number].reason]
    _record(cycle, told)
    left = {number: standing for number, standing in open_.items() if number not in over and not is_accepted(standing)}
    new = [number for number, standing in left.items() if standing.reason not in MISSING]
    many = too_many(len(new), known)
    tell_of_all(cycle, "", all_at_once(cycle.kind.word, len(new), known, "ConnectWise"), many)
    removes: list[tuple[Remove, Standing]] = []
    for number, standing in left.items():
        if many and number in new:
            continue
        if cycle.take == "theirs" and standing.reason in MISSING:
            _record(cycle, [_accepted(cycle, standing)])
            continue
        shown = cycle.doors.connectwise.invoice(number)
        if shown.record is not None:
            steps.take_up([shown.record], True)
            continue
        certain = shown.gone and standing.location in listed.locations
        if number not in bound:
            # Nothing of it is in Xero: it only stops waiting, and only when it was deleted for certain.
            if certain and standing.reason != Reason.UNSETTLED:
                _record(cycle, [_never_posted(cycle, standing)])
            continue
        theirs = books.beside.get(number)
        remove = _removal(cycle, number, bound[number], theirs) if certain else None
        if remove is not None:
            removes.append((remove, standing))
        else:
            hold = missing(cycle.kind, standing.reference, number, bound[number], theirs, certain)
            _record(cycle, [_told(cycle, standing, hold, bound[number], theirs)])
    cycle.counts["read"] += len(removes)
    removals.remove(cycle, removes)


def _removal(cycle: Cycle, number: int, bound: Bound, theirs: Found | None) -> Remove | None:
    """The deletion of a draft that policy asks for; None where it is not to be, or not to be without a person."""
    decisions = cycle.tables.policy.decisions(bound.organisation)
    # Lock dates are people's to change at any time.
    renewed = partial(cycle.lists.renew, bound.organisation, [XeroList.ORGANISATION])
    if theirs is None or decisions.deleted.draft == "hold" or not cycle.reach(bound.organisation, renewed):
        return None
    last = requests.last_writes(cycle.doors.audit, cycle.family, [number])[number]
    lock = cycle.lists.books([bound.organisation])[bound.organisation].organisation.lock_date
    if last.document is None or not may_be_deleted(last, bound, theirs, decisions, lock):
        return None
    if updates.is_old(cycle, last.document, bound):
        return None
    remove = Remove(last.document, bound, theirs)
    known = cycle.approved is None or cycle.approved.get(key_of(remove)) == digest_of(remove)
    return remove if known else None


def is_accepted(standing: Standing) -> bool:
    """Whether a person has said that the document stays as it is."""
    return standing.outcome is Outcome.SKIPPED and standing.reason in MISSING


def _accepted(cycle: Cycle, standing: Standing) -> Result:
    hold = Hold(
        Reason(standing.reason), "accepted", f"{standing.message} A person said that Xero stays as it is.", skip=True
    )
    return cycle.hold(Entry.known(standing), hold, organisation=standing.organisation)


def _both_gone(cycle: Cycle, standing: Standing, bound: Bound) -> Result:
    return cycle.result(
        Entry.known(standing), Outcome.UNCHANGED, xero_id=bound.xero_id, organisation=bound.organisation
    )


def _never_posted(cycle: Cycle, standing: Standing) -> Result:
    message = f"{standing.reference} was deleted in ConnectWise before it was posted; nothing of it is in Xero."
    # Without `seen`, so that it counts as new should ConnectWise show it again.
    entry = replace(Entry.known(standing), seen="")
    return cycle.hold(entry, Hold(Reason.SOURCE_DELETED, "", message, skip=True), organisation=standing.organisation)


def _told(cycle: Cycle, standing: Standing, hold: Hold, bound: Bound, theirs: Found | None) -> Result:
    result = cycle.hold(Entry.known(standing), hold, organisation=bound.organisation)
    return _with_document(cycle, result, bound, theirs)


def _with_document(cycle: Cycle, result: Result, bound: Bound, theirs: Found | None) -> Result:
    """The result with the document that it is about."""
    total, currency = (theirs.total, theirs.currency) if theirs is not None else (bound.total, bound.currency)
    return replace(
        result,
        xero_id=bound.xero_id,
        xero_url=cycle.xero_url(bound.organisation, bound.xero_id),
        amount=plain(total),
        currency=currency,
    )


def tell_of_all(cycle: Cycle, organisation: str, hold: Hold, still: bool) -> None:
    """One exception for many records; resolved by the first sweep that does not find them missing."""
    result = Result(
        cycle.family, 0, "many", Outcome.HELD, organisation, hold.reason, hold.value, hold.message, hold.fix,
        part=organisation,
    )  # fmt: skip
    if cycle.writing:
        runs.tell_of_all(cycle.doors.audit, cycle.run_id, result, still, cycle.now(), cycle.lease)
    elif still:
        cycle.told.append(result)
    if still:
        cycle.say(hold.message)


# Xero


def _compare(cycle: Cycle, organisation: str, tenant_id: str, gone: Mapping[int, Known], books: _Books) -> None:
    """Lay every document of an organisation beside what was written. Raises LimitReached, Unreachable."""
    audit, xero = cycle.doors.audit, cycle.doors.xero
    seen: set[str] = set()
    for found in xero.documents_since(tenant_id, cycle.kind, cycle.start_date):
        seen |= {each.xero_id for each in found}
        owners = requests.owners(audit, tenant_id, [each.xero_id for each in found])
        owned = {owners[each.xero_id][1]: each for each in found if each.xero_id in owners}
        _judge(cycle, owned, gone, books)
    absent: list[int] = []
    # A vendor's invoice may be older than the order that it is for.
    since = date.min if cycle.kind is BILL else cycle.start_date
    count, after = 0, -1
    while page := sweeps.documents(audit, cycle.family, tenant_id, since, after, CHUNK):
        after = page[-1][0]
        count += len(page)
        unlisted = {xero_id: number for number, xero_id in page if xero_id not in seen}
        there = xero.documents_by_id(tenant_id, cycle.kind, list(unlisted)) if unlisted else {}
        _judge(cycle, {unlisted[xero_id]: each for xero_id, each in there.items()}, gone, books)
        absent += [number for xero_id, number in unlisted.items() if xero_id not in there and number not in gone]
    books.absent[organisation] = absent
    books.known[organisation] = count
    books.looked_at.add(organisation)


def _judge(cycle: Cycle, owned: Mapping[int, Found], gone: Mapping[int, Known], books: _Books) -> None:
    """Sort documents by what a person did to them since they were written."""
    books.beside |= {number: theirs for number, theirs in owned.items() if number in gone}
    numbers = [number for number in owned if number not in gone]
    audit = cycle.doors.audit
    standings = runs.standings(audit, cycle.family, numbers)
    # Whatever waits is looked at for its own reason, by every cycle.
    quiet = [n for n in numbers if standings[n].outcome not in WAITING and _unwritten(cycle, standings[n])]
    quiet = _without_replaced(cycle, quiet, standings)
    bound = requests.bound(audit, cycle.family, quiet)
    for number, last in requests.last_writes(audit, cycle.family, quiet).items():
        theirs = owned[number]
        if not theirs.live:
            if last.answer.live:
                books.dead[number] = theirs
        elif edited(cycle.kind, standings[number].reference, bound[number], last, theirs) is not None:
            books.edited.append(number)


def _without_replaced(cycle: Cycle, numbers: Sequence[int], standings: Mapping[int, Standing]) -> list[int]:
    """Without the records that have become the other kind of document: theirs of this kind was voided for that."""
    if cycle.family not in OTHER:
        return list(numbers)
    skipped = [number for number in numbers if standings[number].outcome is Outcome.SKIPPED]
    replaced = requests.bound(cycle.doors.audit, OTHER[cycle.family].family, skipped)
    return [number for number in numbers if number not in replaced]


def _tell_removed(cycle: Cycle, books: _Books, whole: Whole) -> None:
    """Hold the records whose documents people removed; of very many that are simply not shown say no more than that."""
    removed: dict[int, Found | None] = dict(books.dead)
    for organisation, absent in books.absent.items():
        standings = runs.standings(cycle.doors.audit, cycle.family, absent)
        new = [n for n in absent if standings[n].outcome not in WAITING and _unwritten(cycle, standings[n])]
        new = _without_replaced(cycle, new, standings)
        many = too_many(len(new), books.known[organisation])
        tell_of_all(
            cycle, organisation, all_at_once(cycle.kind.word, len(new), books.known[organisation], organisation), many
        )
        if not many:
            removed |= dict.fromkeys(new)
    for chunk in _chunks(sorted(removed)):
        bound = requests.bound(cycle.doors.audit, cycle.family, chunk)
        lasts = requests.last_writes(cycle.doors.audit, cycle.family, chunk)
        results: list[Result] = []
        for entry in whole(chunk):
            number = entry.connectwise_id
            hold = gone_from_xero(cycle.kind, bound[number], lasts[number], removed[number])
            result = cycle.hold(entry, hold, organisation=bound[number].organisation)
            written = lasts[number].document
            result = replace(result, part=written.receipt if written is not None else "")
            results.append(_with_document(cycle, result, bound[number], removed[number]))
        _record(cycle, results)


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
