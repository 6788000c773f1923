"""One cycle of a family, in the order that never changes:

lease -> window -> extract -> map -> bindings -> plan -> requests stored -> load -> bind -> outcome -> watermark

New documents go out page by page; edits of posted ones at the end, when the brake knows how many there are.

Records travel in pages, so memory does not grow with their number. Whatever is read ends in an outcome; the count is
checked before the watermark moves.
"""

from __future__ import annotations

import gc
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from prefect import Task

from blocks.audit import contacts, requests, runs
from blocks.audit import watermarks as watermark_rows
from blocks.audit.runs import Result, Standing
from blocks.audit.watermarks import Watermark, WatermarkMoved
from blocks.failures import CannotGoOn, LimitReached, NotConfigured, Unreachable
from flows import creates, sweeping, updates
from flows.planning import digest_of, key_of
from flows.sifting import by_header, posted_elsewhere, sift
from flows.sweeping import Listed, Steps
from mappings.kinds import CREDIT_NOTE
from mappings.outcomes import WAITING, Hold, Outcome, Reason, XeroList
from mappings.plans import Adopt, Create, Unchanged
from mappings.sources import SOURCES
from mappings.surroundings import Surroundings
from mappings.updates import Settled, Update
from mappings.xero import Document
from tasks import posting
from tasks import updates as updating
from tasks.calls import Calls
from tasks.contacts import settle_earlier as settle_contacts
from tasks.contacts import with_contacts
from tasks.cycle import Cycle, Entry
from tasks.invoices import (
    Detailing,
    Loading,
    MapBatch,
    Reading,
    extract_invoices,
    extract_lines,
    from_copy,
    header_of,
    load_invoices,
    map_invoices,
    map_many,
    update_invoices,
)

OVERLAP = timedelta(minutes=10)
"""Read again from this much before the watermark: `lastUpdated` is in whole seconds (connectwise.md, 4.4)."""
ONE_BY_ONE = 100
"""Up to so many records each is mapped in a task run of its own, named by its number; above, in chunks."""
MAP_CHUNK = 1000
WAITING_PAGE = 500
CALLS_PER_TASK_AFTER = 2
"""After so many full pages a load task carries several calls: a task run costs as much CPU as a third of a call's work,
and a flow run stays below 1,000 of them.
"""
CALLS_PER_TASK = 8
"""So many at least, which takes two pages of new documents."""
AT_ONCE = 5
"""Load tasks at once: as many calls as Xero takes at once."""
DETAIL_CHUNK = 1000
Action = Adopt | Create | Hold | Settled | Unchanged | Update
WAITS_ON_A_DOCUMENT = (Reason.NUMBER_CONFLICT, Reason.ADOPTED_DIFFERS)
"""Reasons that only a change of a document in Xero cures: each cycle looks for just that."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a cycle is asked to look at: nothing special (the window), some references or ids, or all since a date.

    `sweep`: everything since the start date, and both sides compared.
    """

    references: Sequence[str] = ()
    force: bool = False
    since: date | None = None
    ids: Sequence[int] | None = None
    sweep: bool = False

    @property
    def special(self) -> bool:
        """True when the watermark is neither used nor moved."""
        return self.forced or self.sweep

    @property
    def forced(self) -> bool:
        """True when records are looked at again that are as they were."""
        return self.named or self.force or self.since is not None

    @property
    def named(self) -> bool:
        """True when single records were asked for."""
        return bool(self.references) or self.ids is not None


class UnknownReference(NotConfigured):
    """ConnectWise has no record with a reference that was asked for."""


class OutcomesMissing(CannotGoOn):
    """Some record that was read ended without an outcome: a defect of ours, said aloud before the watermark moves."""


def run_cycle(cycle: Cycle, calls: Calls, selection: Selection, then: Callable[[], None] = lambda: None) -> None:
    """Carry out one cycle. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence; nothing is half-written.

    `then` is what the family does besides with what was read: the watermark moves when that is done, too.
    """
    named, accepted = _named(cycle, selection)
    if cycle.writing:
        _settle_earlier(cycle)
    sweeping.accept(cycle, accepted)
    seen = watermark_rows.read(cycle.doors.audit, cycle.family)
    listed = Listed() if selection.sweep else None
    highest: datetime | None = None
    began: datetime | None = None
    for number, (headers, at, last_page) in enumerate(_pages(cycle, calls, selection, named, seen)):
        began = began or at
        if cycle.kind is CREDIT_NOTE:
            cycle.credited += [raw for raw in headers if raw.get("credits") or cycle.named]
        newest = _carry_page(cycle, calls, headers, selection.forced, listed, number, last_page)
        highest = max((time for time in (highest, newest) if time is not None), default=None)
        # Garbage that refers to itself (Prefect's futures do) is looked for where there is least to look through.
        gc.collect(1)
    create_rest(cycle, calls)
    if listed is not None:
        sweeping.sweep(cycle, listed, Steps(partial(_take_up, cycle, calls), partial(_whole, cycle, calls)))
        create_rest(cycle, calls)
    if not selection.named:
        _take_up_waiting(cycle, calls)
        _take_up_differing(cycle, calls)
    create_rest(cycle, calls)
    update_pending(cycle, calls)
    fail_where_unreachable(cycle)
    check_counts(cycle)
    then()
    if cycle.writing and not selection.special:
        move_watermark(cycle, seen, highest, began)


def _carry_page(
    cycle: Cycle,
    calls: Calls,
    headers: Sequence[dict[str, Any]],
    anew: bool,
    listed: Listed | None,
    number: int,
    last_page: bool,
) -> datetime | None:
    """Carry one page of the list; the newest change among its records. Nothing of the page is in use afterwards."""
    sifted = sift(cycle, headers, anew, listed)
    few = number == 0 and last_page and len(sifted.todo) <= ONE_BY_ONE
    whole = _with_lines(cycle, calls, sifted.todo)
    carry(cycle, calls, whole, sifted.standings, few, number >= CALLS_PER_TASK_AFTER)
    return sifted.newest


def _settle_earlier(cycle: Cycle) -> None:
    """What an interrupted cycle left open comes first: nothing new is written for a record in doubt."""
    settle_contacts(cycle)
    in_doubt = list(requests.unsettled_ids(cycle.doors.audit, cycle.family))
    if not in_doubt:
        return
    cycle.say("settling what an interrupted cycle left open")
    for standing in runs.standings(cycle.doors.audit, cycle.family, in_doubt).values():
        if standing.outcome in WAITING and standing.copy:
            found = from_copy(standing.copy)
            cycle.entries[standing.connectwise_id] = found[0] if isinstance(found, tuple) else found
    results = posting.settle_earlier(cycle)
    cycle.entries = {}
    cycle.counts["read"] += len(results)
    cycle.count(results)
    cycle.settled = {result.connectwise_id: result.outcome for result in results}


# Extract


def _named(cycle: Cycle, selection: Selection) -> tuple[list[dict[str, Any]], list[Standing]]:
    """The raw headers of the references that were asked for. Raises UnknownReference before anything is done.

    With those of which ConnectWise shows nothing, and a person says that their documents stay as they are.
    """
    client = cycle.doors.connectwise
    found: dict[int, dict[str, Any]] = {}
    accepted: list[Standing] = []
    if selection.ids:
        found.update({record["id"]: record for record in client.invoices_by_id(selection.ids)})
    for reference in selection.references:
        text = reference.strip()
        if text.lower().startswith("id:") and text[3:].strip().isdigit():
            records = client.invoices_by_id([int(text[3:])])
        else:
            records = client.invoices_by_number(text)
        missing = [] if records or cycle.take != "theirs" else runs.missing(cycle.doors.audit, cycle.family, text)
        if not records and not missing:
            raise UnknownReference(
                f"ConnectWise has no {cycle.kind.source} {reference!r} (or the API member may not see it); nothing was "
                "done."
            )
        accepted += missing
        found.update({record["id"]: record for record in records})
    return list(found.values()), accepted


def _pages(
    cycle: Cycle, calls: Calls, selection: Selection, named: list[dict[str, Any]], seen: Watermark
) -> Iterator[tuple[list[dict[str, Any]], datetime | None, bool]]:
    """Raw headers, page by page, with ConnectWise's time and whether it is the last page."""
    client = cycle.doors.connectwise
    if selection.named:
        yield named, None, True
        return
    # What credit memos are applied to is read along with them.
    settled = cycle.kind is CREDIT_NOTE
    if selection.special or seen.position is None:
        start = selection.since or cycle.start_date
        cycle.say(f"reading {cycle.family} dated {start} or later")
        pages, label = client.invoices_dated_from(start, settled=settled), f"from {start}"
    else:
        since = seen.position - OVERLAP
        cycle.say(f"reading {cycle.family} changed since {since:%Y-%m-%d %H:%M:%S} UTC")
        pages, label = client.invoices_changed_since(since, settled), f"since {since:%Y-%m-%d %H-%M}"
    while not pages.done:
        page = calls.one(extract_invoices, Reading(cycle.family, pages, [label]))
        yield page.records, page.at, pages.done


def _with_lines(cycle: Cycle, calls: Calls, entries: Sequence[Entry]) -> list[Entry]:
    """The same records with their lines; unreadable ones are recorded and left out."""
    whole: list[Entry] = []
    unreadable: list[Result] = []
    for start in range(0, len(entries), DETAIL_CHUNK):
        for found in calls.one(extract_lines, Detailing(cycle, entries[start : start + DETAIL_CHUNK])):
            if isinstance(found, tuple):
                unreadable.append(cycle.hold(*found))
            else:
                whole.append(found)
    cycle.record(unreadable)
    return whole


def _take_up(cycle: Cycle, calls: Calls, headers: Sequence[dict[str, Any]], anew: bool) -> None:
    """Carry records that a sweep came upon, or that a person wants to be looked at; `anew` also those as before."""
    if headers:
        sifted = sift(cycle, headers, anew)
        whole = _with_lines(cycle, calls, sifted.todo)
        carry(cycle, calls, whole, sifted.standings, len(whole) <= ONE_BY_ONE, False)


def _whole(cycle: Cycle, calls: Calls, ids: Sequence[int]) -> list[Entry]:
    """These records with their lines; what cannot be read of them is recorded."""
    found = [header_of(raw) for raw in cycle.doors.connectwise.invoices_by_id(ids)]
    unreadable = [cycle.hold(*each) for each in found if isinstance(each, tuple)]
    cycle.counts["read"] += len(unreadable)
    cycle.record(unreadable)
    entries = [each for each in found if not isinstance(each, tuple)]
    whole = _with_lines(cycle, calls, entries)
    cycle.counts["read"] += len(entries) - len(whole)
    return whole


def _take_up_waiting(cycle: Cycle, calls: Calls) -> None:
    """Everything that an earlier cycle left waiting, from its stored copy: no call, unless it waits on Xero."""
    after = -(2**40)
    for number in itertools.count():
        page = runs.waiting(cycle.doors.audit, cycle.family, cycle.run_id, after, WAITING_PAGE)
        if not page:
            return
        after = page[-1].connectwise_id
        standings = {each.connectwise_id: each for each in page if each.connectwise_id not in cycle.dealt_with}
        cycle.counts["read"] += len(standings)
        bound = requests.bound(cycle.doors.audit, cycle.family, list(standings))
        todo: list[Entry] = []
        results: list[Result] = []
        recalled = list(_recalled(cycle, standings, bound))
        elsewhere = posted_elsewhere(cycle, [each for each in recalled if not isinstance(each, tuple)])
        for found in recalled:
            if isinstance(found, tuple):
                results.append(cycle.hold(*found, organisation=standings[found[0].connectwise_id].organisation))
                continue
            early = by_header(cycle, found, found.connectwise_id in bound, elsewhere)
            if early is None:
                todo.append(found)
            else:
                results.append(early)
        cycle.record(results)
        whole = [entry for entry in todo if entry.source is not None]
        whole += _with_lines(cycle, calls, [entry for entry in todo if entry.source is None])
        carry(cycle, calls, whole, standings, len(whole) <= ONE_BY_ONE, number >= CALLS_PER_TASK_AFTER)


def _recalled(
    cycle: Cycle, standings: Mapping[int, Standing], bound: Collection[int]
) -> Iterator[Entry | tuple[Entry, Hold]]:
    """Waiting records from their copies; those of which an interrupted cycle left no copy are read again."""
    bare = [number for number, standing in standings.items() if not standing.copy]
    read = {record["id"]: record for record in cycle.doors.connectwise.invoices_by_id(bare)} if bare else {}
    for number, standing in standings.items():
        if standing.copy:
            yield from_copy(standing.copy)
        elif number in read:
            yield header_of(read[number])
        elif number in bound:
            # What that means is for the next sweep to say.
            yield (
                Entry(number, standing.reference, {}),
                Hold(
                    Reason.SOURCE_HIDDEN,
                    standing.reference,
                    f"ConnectWise does not show {standing.reference} any more.",
                ),
            )
        else:
            yield (
                Entry(number, standing.reference, {}),
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "",
                    f"A cycle was interrupted while it wrote {standing.reference}; nothing of it is in Xero, and "
                    "ConnectWise does not show the record any more.",
                    "Nothing, if it was deleted; otherwise let the API member see it again.",
                ),
            )


def _take_up_differing(cycle: Cycle, calls: Calls) -> None:
    """Posted documents of which something was said: people may have corrected them since, or say now what counts."""
    standings = [
        each
        for each in runs.differing(cycle.doors.audit, cycle.family, cycle.run_id)
        if each.connectwise_id not in cycle.dealt_with
    ]
    decided = [each.connectwise_id for each in standings if updates.is_asked(cycle, each)]
    if decided:
        _take_up(cycle, calls, cycle.doors.connectwise.invoices_by_id(decided), True)
    entries = [Entry.known(each) for each in standings if each.connectwise_id not in decided]
    cycle.counts["read"] += len(entries)
    cycle.record(posting.compare_again(cycle, entries))


# Map, plan, load


def carry(
    cycle: Cycle,
    calls: Calls,
    entries: Sequence[Entry],
    standings: Mapping[int, Standing],
    few: bool,
    many: bool,
) -> None:
    """Map records, decide what is to be done with each, and do it. Every record ends in an outcome."""
    if not entries:
        return
    routed = _routed(cycle, entries)
    mapped = _mapped(cycle, calls, entries, routed, standings, few)
    decided = _decided(cycle, mapped, routed, standings)
    results: list[Result] = []
    told_before: list[Entry] = []
    todo: dict[type, list[tuple[Entry, Any]]] = defaultdict(list)
    for entry in entries:
        number = entry.connectwise_id
        action = _approved(cycle, decided.get(number) or _put_off(cycle, routed[number]))
        if isinstance(action, Hold):
            document = mapped[number][1] if number in mapped else None
            document = document if isinstance(document, Document) else None
            results.append(cycle.hold(entry, action, document, organisation=routed[number]))
        elif isinstance(action, Unchanged):
            if number in standings and standings[number].reason:
                told_before.append(entry)
            else:
                results.append(cycle.result(entry, Outcome.UNCHANGED, None, action.document, action.xero_id))
        elif isinstance(action, Result):
            results.append(action)
        elif action is not None:
            todo[type(action)].append((entry, action))
    cycle.record([*_linked(cycle, results), *posting.compare_again(cycle, told_before)])
    if cycle.writing:
        cycle.entries = {entry.connectwise_id: entry for entry in entries}
        _write(cycle, calls, todo, many)
        cycle.entries = {}
        return
    planned = [action for kind in (Create, Adopt, Settled, Update) for _, action in todo[kind]]
    cycle.dealt_with.update(routed)
    cycle.planned.extend(planned)
    cycle.counts["planned"] += len(planned)


def _linked(cycle: Cycle, results: Sequence[Result]) -> list[Result]:
    """The same; what is held of a posted record leads people to its document, where they are to look."""
    bound = requests.bound(
        cycle.doors.audit, cycle.family, [each.connectwise_id for each in results if each.reason and not each.xero_id]
    )
    return [
        replace(each, xero_id=there.xero_id, xero_url=cycle.xero_url(there.organisation, there.xero_id))
        if (there := bound.get(each.connectwise_id)) is not None and not each.xero_id
        else each
        for each in results
    ]


def _write(cycle: Cycle, calls: Calls, todo: Mapping[type, list[tuple[Entry, Any]]], many: bool) -> None:
    """Carry out what was decided."""
    adoptions: list[Adopt] = [each for _, each in todo[Adopt]]
    cycle.count(posting.adopt(cycle, [each for each in adoptions if not each.overwrite]))
    edits = [*todo[Update], *creates.overwrite(cycle, [each for each in adoptions if each.overwrite])]
    cycle.count(updating.settle(cycle, [each for _, each in todo[Settled]]))
    _create(cycle, calls, todo[Create], many)
    _load(cycle, calls, update_invoices, updates.pass_brake(cycle, edits), posting.BATCH)


def _create(cycle: Cycle, calls: Calls, new: Sequence[tuple[Entry, Create]], many: bool) -> None:
    """Write new documents by whole calls. What does not fill one goes out with those of the next page, or at the end:

    else each page would cost a call too many for every organisation, and those count.
    """
    groups: dict[str, list[tuple[Entry, Create]]] = defaultdict(list)
    for entry, each in [*cycle.gathered, *new]:
        groups[each.document.organisation].append((entry, each))
    whole: list[tuple[Entry, Create]] = []
    cycle.gathered = []
    for group in groups.values():
        full = len(group) - len(group) % posting.BATCH
        whole += group[:full]
        cycle.gathered += group[full:]
    if many and len(whole) < CALLS_PER_TASK * AT_ONCE * posting.BATCH:
        cycle.gathered += whole
        return
    cycle.entries |= {entry.connectwise_id: entry for entry, _ in whole}
    _load(cycle, calls, load_invoices, [each for _, each in whole], _spread(len(whole)) if many else posting.BATCH)


def _spread(documents: int) -> int:
    """How many documents a load task of a large run takes.

    Few task runs, but as many at once as there may be calls at once: an answer may take seconds.
    """
    return posting.BATCH * max(math.ceil(documents / posting.BATCH / AT_ONCE), 1)


def create_rest(cycle: Cycle, calls: Calls) -> None:
    """Write the new documents that no further page makes a whole call of."""
    rest, cycle.gathered = cycle.gathered, []
    cycle.entries = {entry.connectwise_id: entry for entry, _ in rest}
    _load(cycle, calls, load_invoices, [each for _, each in rest], _spread(len(rest)))
    cycle.entries = {}


def update_pending(cycle: Cycle, calls: Calls) -> None:
    """Write the edits that waited until the cycle knew how many there are."""
    cycle.entries = {entry.connectwise_id: entry for entry, _ in cycle.pending}
    _load(cycle, calls, update_invoices, [edit for _, edit in cycle.pending], posting.BATCH)
    cycle.entries = {}


def _load(
    cycle: Cycle, calls: Calls, step: Task[[Loading], Sequence[Result]], writes: Sequence[Create | Update], size: int
) -> None:
    """Write documents, those of each organisation by themselves, `size` per task."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for each in writes:
        groups[each.document.organisation].append(each)
    batches: list[Loading] = []
    for group in groups.values():
        ready, _ = with_contacts(cycle, group)
        batches += [Loading(cycle, ready[start : start + size]) for start in range(0, len(ready), size)]
    if batches:
        for written in calls.several(step, batches):
            cycle.count(written)


def _approved(cycle: Cycle, action: Action | Result | None) -> Action | Result | None:
    """With an approved plan only what stands in it is written, and exactly so."""
    if cycle.approved is None or not isinstance(action, (Adopt, Create, Settled, Update)):
        return action
    if cycle.approved.get(key_of(action)) == digest_of(action):
        return action
    return Hold(Reason.PLAN_MOVED)


def _put_off(cycle: Cycle, organisation: str) -> Hold | None:
    """Why a record of an organisation whose part of the cycle is over is put off.

    None: Xero does not answer. The record stays as it stands, the cycle fails, and the watermark does not move.
    """
    problem = cycle.closed[organisation]
    return Hold(Reason.DAY_LIMIT, message=f"{problem}.") if isinstance(problem, LimitReached) else None


Mapped = dict[int, tuple[Entry, Document | Hold]]


def _mapped(
    cycle: Cycle,
    calls: Calls,
    entries: Sequence[Entry],
    routed: Mapping[int, str],
    standings: Mapping[int, Standing],
    few: bool,
) -> Mapped:
    """Map all; then renew what the held ones wait for in Xero, once per cycle, and map those again.

    Records of organisations that cannot be reached, and whose books are not known, are left out.
    """
    for organisation in sorted({name for name in routed.values() if name}):
        cycle.reach(organisation, partial(cycle.lists.books, [organisation]))
    for entry in entries:
        standing = standings.get(entry.connectwise_id)
        if standing is not None and standing.waits_on:
            names = tuple(XeroList(name) for name in standing.waits_on)
            cycle.reach(standing.organisation, partial(cycle.lists.renew, standing.organisation, names))
    known = cycle.lists.books(())
    ready = [
        entry
        for entry in entries
        if routed[entry.connectwise_id] in known or routed[entry.connectwise_id] not in cycle.closed
    ]
    mapped = _map(cycle, calls, ready, few)
    stale: list[Entry] = []
    before = {name: books.digest for name, books in known.items()}
    for entry, outcome in mapped.values():
        names = outcome.waits_on if isinstance(outcome, Hold) else (XeroList.CONTACTS,) if outcome.new_contact else ()
        if names:
            organisation = routed[entry.connectwise_id]
            cycle.reach(organisation, partial(cycle.lists.renew, organisation, names))
            stale.append(entry)
    # One list serves many records: whoever was mapped before it was renewed is mapped again.
    if any(books.digest != before.get(name) for name, books in cycle.lists.books(()).items()):
        mapped |= _map(cycle, calls, stale, few)
    return mapped


def _map(cycle: Cycle, calls: Calls, entries: Sequence[Entry], few: bool) -> Mapped:
    surroundings = _surroundings(cycle, entries)
    size = 1 if few else MAP_CHUNK
    outcomes: list[Document | Hold] = []
    for start in range(0, len(entries), size):
        batch = MapBatch(cycle.family, cycle.doors.installation, entries[start : start + size], surroundings)
        found: Sequence[Document | Hold] = calls.one(map_invoices if few else map_many, batch)
        outcomes += found
    return {entry.connectwise_id: (entry, outcome) for entry, outcome in zip(entries, outcomes, strict=True)}


def _surroundings(cycle: Cycle, entries: Sequence[Entry]) -> Surroundings:
    sources = [entry.source for entry in entries if entry.source is not None]
    tables, rules = cycle.tables, SOURCES[cycle.family]
    wanted = rules.for_mapping(sources, tables) | rules.for_routing(sources, tables)
    return Surroundings(
        tables=tables,
        tenants=cycle.doors.tenants,
        books=dict(cycle.lists.books(())),
        site=cycle.doors.site,
        related=cycle.lists.related(wanted),
        known_contacts=contacts.known(cycle.doors.audit, rules.parties(sources)),
        namesakes=cycle.lists.namesakes({}),  # what these records name was noted when they were routed
    )


def _routed(cycle: Cycle, entries: Sequence[Entry]) -> dict[int, str]:
    """The organisation of each record; '' where there is none."""
    sources = [entry.source for entry in entries if entry.source is not None]
    rules = SOURCES[cycle.family]
    related = cycle.lists.related(rules.for_routing(sources, cycle.tables))
    namesakes = cycle.lists.namesakes(rules.names_of(sources))
    routed: dict[int, str] = {}
    for entry in entries:
        source = entry.source
        found = rules.organisation_of(source, cycle.tables, related, namesakes) if source is not None else None
        routed[entry.connectwise_id] = found[0] if isinstance(found, tuple) else ""
    return routed


def _decided(
    cycle: Cycle, mapped: Mapped, routed: Mapping[int, str], standings: Mapping[int, Standing]
) -> dict[int, Action | Result]:
    """The plan: an action (or, where all stays as it was, the outcome) for every record.

    Records of an organisation that cannot be reached, and that need it, are left out.
    """
    bound = requests.bound(cycle.doors.audit, cycle.family, list(mapped))
    in_doubt = requests.unsettled_ids(cycle.doors.audit, cycle.family)
    decided: dict[int, Action | Result] = {}
    new: dict[str, dict[int, Document]] = defaultdict(dict)
    posted: dict[str, dict[int, Document]] = defaultdict(dict)
    for number, (entry, outcome) in mapped.items():
        standing = standings.get(number)
        if number in bound:
            known = updates.without_reading(cycle, entry, outcome, bound[number], routed[number], standing)
            if known is not None:
                decided[number] = known
            elif number in in_doubt and cycle.writing:
                decided[number] = Hold(Reason.UNSETTLED)
            elif isinstance(outcome, Document):
                posted[bound[number].organisation][number] = outcome
        elif isinstance(outcome, Hold):
            decided[number] = outcome
        elif number in in_doubt and cycle.writing:
            decided[number] = Hold(Reason.UNSETTLED)
        else:
            stays = creates.as_before(cycle, entry, outcome, standing)
            if stays is None:
                new[outcome.organisation][number] = outcome
            else:
                decided[number] = stays
    for organisation, documents in sorted(new.items()):
        unclear = {
            number
            for number in documents
            if number in in_doubt or (number in standings and standings[number].reason in WAITS_ON_A_DOCUMENT)
        }
        remap = partial(_map_again, cycle, mapped)
        step = partial(creates.decide_new, cycle, organisation, documents, unclear, standings, remap, decided)
        cycle.reach(organisation, step)
    for organisation, documents in sorted(posted.items()):
        entries = {number: mapped[number][0] for number in documents}
        remap = partial(_map_again, cycle, mapped)
        decide = partial(updates.decide_posted, cycle, organisation, documents, entries, standings, remap, decided)
        cycle.reach(organisation, decide)
    return decided


def _map_again(cycle: Cycle, mapped: Mapped, numbers: Sequence[int]) -> dict[int, Document | Hold]:
    """The same records mapped once more, after something about their organisation was found to have changed."""
    entries = [mapped[number][0] for number in numbers]
    batch = MapBatch(cycle.family, cycle.doors.installation, entries, _surroundings(cycle, entries))
    again: Sequence[Document | Hold] = map_invoices.fn(batch)
    mapped |= {entry.connectwise_id: (entry, one) for entry, one in zip(entries, again, strict=True)}
    return dict(zip(numbers, again, strict=True))


# The end


def fail_where_unreachable(cycle: Cycle) -> None:
    """Say that an organisation could not be reached, after all others had their turn."""
    for problem in cycle.closed.values():
        if isinstance(problem, Unreachable):
            raise problem


def check_counts(cycle: Cycle) -> None:
    """Records read = outcomes recorded (promise 2)."""
    ended = sum(cycle.counts[outcome.value] for outcome in Outcome) + cycle.counts["planned"]
    if ended != cycle.counts["read"]:
        raise OutcomesMissing(
            f"{cycle.counts['read']} {cycle.family} were read but {ended} outcomes recorded; the watermark stays where "
            "it was. This is a defect of tieout: please report it."
        )


def move_watermark(cycle: Cycle, seen: Watermark, highest: datetime | None, began: datetime | None) -> None:
    """To the lesser of the newest change seen and the start of the read by ConnectWise's clock; never back."""
    if highest is None:
        return
    position = min(highest, began) if began is not None else highest
    if seen.position is None or position > seen.position:
        try:
            watermark_rows.move(cycle.doors.audit, seen, position, cycle.now(), cycle.lease)
        except WatermarkMoved:
            # Ops reset it while this cycle ran: theirs is the later word, and the next cycle reads from there.
            cycle.say(f"the watermark of {cycle.family} was moved meanwhile; it stays where it was put")
