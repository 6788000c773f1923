"""What a cycle decides on by the header alone: which records need no more reading, and what becomes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from blocks.audit import requests, runs
from blocks.audit.runs import Result, Standing
from flows.sweeping import Listed
from mappings.connectwise import Invoice, describe
from mappings.invoices import is_credit, starts_too_early
from mappings.kinds import CREDIT_NOTE, INVOICE, OTHER, Kind
from mappings.outcomes import MISSING, SAID_OF_POSTED, WAITING, Hold, Outcome, Reason
from mappings.plans import Bound
from tasks.cycle import Cycle, Entry
from tasks.invoices import header_of


@dataclass(frozen=True, slots=True)
class Sifted:
    """A page after a look at its headers: what has to be read and mapped, and the newest change of all."""

    todo: list[Entry]
    standings: Mapping[int, Standing]
    newest: datetime | None


def sift(cycle: Cycle, headers: Sequence[dict[str, Any]], forced: bool, listed: Listed | None = None) -> Sifted:
    """Decide by the header alone what needs no more reading, and record it; the rest goes on.

    A sweep (`listed`) notes what it sees, and counts what is as it was without a row for each.
    """
    found = [header_of(raw) for raw in headers]
    # Of all that was read, also what is none of this family's: else its watermark would stay behind the list.
    changes = [each.header.info.last_updated for each in found if isinstance(each, Entry) and each.header is not None]
    if listed is not None:
        listed.ids |= {number for raw in headers if (number := describe(raw)[0]) is not None}
        read = [each.header for each in found if not isinstance(each, tuple)]
        listed.locations |= {header.at_location for header in read if header is not None}
    ids = [(each[0] if isinstance(each, tuple) else each).connectwise_id for each in found]
    standings = runs.standings(cycle.doors.audit, cycle.family, ids)
    if cycle.kind is CREDIT_NOTE and not cycle.named:
        # Most of what ConnectWise lists are invoices, which are none of this family's.
        found = [each for each in found if _is_credit_or_was(cycle, each, standings)]
    cycle.counts["read"] += len(found)
    entries = [each for each in found if not isinstance(each, tuple)]
    results = [cycle.hold(*each) for each in found if isinstance(each, tuple)]
    as_before: list[Result] = []
    ids = [entry.connectwise_id for entry in entries]
    bound = requests.bound(cycle.doors.audit, cycle.family, ids)
    anew: list[Entry] = []
    for entry in entries:
        standing = standings.get(entry.connectwise_id)
        known = bound.get(entry.connectwise_id)
        if standing is None or standing.seen != entry.seen or standing.reason in MISSING or forced:
            anew.append(entry)
        elif standing.outcome in WAITING or standing.reason in SAID_OF_POSTED:
            # Unfinished, and in ConnectWise as it was: taken up with all the others like it, from its copy.
            cycle.counts["read"] -= 1
            continue
        else:
            # Skipped before: a start date or a policy that was changed since takes `force` to be looked at again.
            if known is None or standing.outcome is Outcome.SKIPPED:
                same = cycle.result(entry, Outcome.SKIPPED)
            else:
                same = cycle.result(entry, Outcome.UNCHANGED, xero_id=known.xero_id, organisation=known.organisation)
            (results if listed is None else as_before).append(same)
    elsewhere = posted_elsewhere(cycle, anew)
    todo: list[Entry] = []
    for entry in anew:
        early = by_header(cycle, entry, entry.connectwise_id in bound, elsewhere)
        if early is None:
            todo.append(entry)
        else:
            results.append(early)
    cycle.record(results)
    cycle.count(as_before)
    return Sifted(todo, standings, max((change for change in changes if change is not None), default=None))


def _is_credit_or_was(cycle: Cycle, found: Entry | tuple[Entry, Hold], standings: Mapping[int, Standing]) -> bool:
    """Whether a record concerns the family of credit notes. What cannot be read is told once, with the invoices."""
    if isinstance(found, tuple):
        return found[0].connectwise_id in standings or cycle.tables.policy.families.invoices == "off"
    return found.connectwise_id in standings or (found.header is not None and is_credit(found.header))


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other family of sales documents has of the same records.

    `bound` are documents that stand in the way, `in_doubt` writes without an answer; `replaced` are records of that
    family whose document of this one is dead, as it should be.
    """

    bound: Mapping[int, Bound]
    in_doubt: Collection[int]
    replaced: Collection[int]


def posted_elsewhere(cycle: Cycle, entries: Sequence[Entry]) -> Elsewhere:
    """What the other family of sales documents has posted.

    A record has one document: what was posted as an invoice and is a credit now, or the other way round, waits until a
    person has removed the first.
    """
    audit, other = cycle.doors.audit, OTHER[cycle.family]
    theirs = requests.bound(audit, other.family, [entry.connectwise_id for entry in entries])
    ours = requests.bound(audit, cycle.family, list(theirs))
    asked: dict[tuple[str, Kind], dict[int, Bound]] = defaultdict(dict)
    for entry in entries:
        number = entry.connectwise_id
        if number not in theirs or entry.header is None:
            continue
        if _of_family(cycle, entry.header):
            asked[(theirs[number].organisation, other)][number] = theirs[number]
        elif number in ours:
            asked[(ours[number].organisation, cycle.kind)][number] = ours[number]
    dead: dict[Kind, set[int]] = defaultdict(set)
    for (organisation, kind), group in asked.items():
        cycle.reach(organisation, partial(_look_whether_dead, cycle, kind, group, dead[kind]))
    return Elsewhere(
        {number: each for number, each in theirs.items() if number not in dead[other]},
        requests.unsettled_ids(audit, other.family),
        dead[cycle.kind],
    )


def _look_whether_dead(cycle: Cycle, kind: Kind, group: Mapping[int, Bound], dead: set[int]) -> None:
    """Read documents of one organisation. Raises LimitReached, Unreachable; what is not read counts as live."""
    tenant_id = next(iter(group.values())).tenant_id
    if tenant_id not in cycle.doors.tenants.values():
        return
    there = cycle.doors.xero.documents_by_id(tenant_id, kind, [each.xero_id for each in group.values()])
    dead |= {number for number, each in group.items() if each.xero_id in there and not there[each.xero_id].live}


def _of_family(cycle: Cycle, header: Invoice) -> bool:
    """Whether the sign of the total makes it a document of this family (design 5)."""
    return is_credit(header) is (cycle.kind is CREDIT_NOTE)


def by_header(cycle: Cycle, entry: Entry, posted: bool, elsewhere: Elsewhere) -> Result | None:
    """The outcome of records that need no lines: too old, not closed, of another sign. None: go on."""
    header: Invoice | None = entry.header
    if header is None:
        return None
    ours = _of_family(cycle, header)
    replaced = not ours and entry.connectwise_id in elsewhere.replaced
    if not header.status.is_closed:
        if posted and not replaced:
            return cycle.hold(
                entry,
                Hold(
                    Reason.WAITS_FOR_CLOSE,
                    header.status.name,
                    f"{entry.reference} was reopened in ConnectWise (status {header.status.name}).",
                ),
            )
        return cycle.result(entry, Outcome.SKIPPED)
    if not ours:
        if posted and not replaced:
            message = f"{entry.reference} was posted as {_one(cycle.kind)}; its total is now {header.total}."
            return cycle.hold(entry, Hold(Reason.SIGN_CHANGED, str(header.total), message))
        return cycle.result(entry, Outcome.SKIPPED)
    if entry.connectwise_id in elsewhere.in_doubt:
        return cycle.hold(entry, Hold(Reason.UNSETTLED))
    if (there := elsewhere.bound.get(entry.connectwise_id)) is not None:
        was = _one(OTHER[cycle.family])
        message = (
            f"{entry.reference} was posted to {there.organisation} as {was}, which is still there; its total is now "
            f"{header.total}."
        )
        return cycle.hold(entry, Hold(Reason.SIGN_CHANGED, str(header.total), message))
    if starts_too_early(header, cycle.start_date) and not posted:
        return cycle.result(entry, Outcome.SKIPPED)
    return None


def _one(kind: Kind) -> str:
    return f"an {kind.word}" if kind is INVOICE else f"a {kind.word}"
