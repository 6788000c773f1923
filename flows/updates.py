"""Edits of posted records: decided on beside what stands in Xero, and let through by the brake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta
from shlex import quote
from typing import Any

from blocks.audit import requests, runs
from blocks.audit.runs import Result, Standing
from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.merging import LastWrite
from mappings.money import plain
from mappings.orders import DELETED, deleted_by_us
from mappings.outcomes import WAITING, Hold, Outcome, Reason, XeroList
from mappings.plans import Bound, Create, Take, Unchanged, organisation_changed
from mappings.updates import Settled, Update, decide_update, in_words
from mappings.xero import Document, Found, fold
from tasks import posting
from tasks import updates as updating
from tasks.cycle import Cycle, Entry

RESEND_AFTER = timedelta(days=1)
Action = Unchanged | Update | Settled | Create | Hold | Result
Remap = Callable[[Sequence[int]], Mapping[int, Document | Hold]]


def take_for(cycle: Cycle, standing: Standing | None) -> Take:
    """Whose version a person chose for this record: one that she named, or that was held where she could see it."""
    told = standing is not None and (standing.outcome in WAITING or standing.reason == Reason.EDITED_IN_XERO)
    return cycle.take if cycle.named or told else ""


def is_asked(cycle: Cycle, standing: Standing) -> bool:
    """Whether a person decides now about a posted document that she changed in Xero."""
    return standing.reason == Reason.EDITED_IN_XERO and bool(take_for(cycle, standing))


def recreates(cycle: Cycle, standing: Standing | None) -> bool:
    """Whether a person wants the removed document of this record made anew."""
    seen = standing is not None and standing.reason == Reason.REMOVED_IN_XERO
    return cycle.recreate and (cycle.named or seen)


def without_reading(
    cycle: Cycle, entry: Entry, mapped: Document | Hold, known: Bound, routed: str, standing: Standing | None
) -> Unchanged | Hold | None:
    """The action for a posted record that can be told without a look into Xero; None: it takes one."""
    if isinstance(mapped, Hold):
        if routed and cycle.doors.tenants.get(routed, known.tenant_id) != known.tenant_id:
            return Hold(
                Reason.ORGANISATION_CHANGED,
                routed,
                f"{entry.reference} was posted to {known.organisation}; the tables now send it to {routed}.",
            )
        if mapped.skip:
            return Hold(mapped.reason, mapped.value, f"{mapped.message} It was posted before, and stays as it is.")
        return mapped
    if mapped.tenant_id != known.tenant_id:
        return organisation_changed(mapped, known)
    removed = standing is not None and standing.reason == Reason.REMOVED_IN_XERO
    asked = bool(take_for(cycle, standing)) or recreates(cycle, standing)
    decides = asked and standing is not None and (removed or is_asked(cycle, standing))
    # While its total had the other sign, or policy skipped it, nobody looked at its document; the cure of the former is
    # to void it.
    away = standing is not None and (standing.outcome is Outcome.SKIPPED or standing.reason == Reason.SIGN_CHANGED)
    # An edit of which no answer came may have arrived, and have been undone in ConnectWise since.
    in_doubt = standing is not None and standing.outcome in WAITING and standing.reason == Reason.UNSETTLED
    if mapped.fingerprint == known.fingerprint and not decides and not away and not in_doubt:
        # What is voided stays voided: that takes no second look.
        return _again(standing) if removed and standing is not None else Unchanged(mapped, known.xero_id)
    if standing is not None and not asked and standing.seen == entry.seen and standing.reason == Reason.BRAKE:
        return _brake_stays(cycle, mapped, known, standing)
    return None


def _again(standing: Standing) -> Hold:
    return Hold(Reason(standing.reason), standing.value, standing.message)


def _brake_stays(cycle: Cycle, document: Document, known: Bound, standing: Standing) -> Hold | None:
    """Held by the brake before, and it would be again: nothing is read for it."""
    if _released(cycle):
        return None
    limit = cycle.tables.policy.brake.updates
    value = _too_many(limit)
    many = limit and runs.count_waiting(cycle.doors.audit, cycle.family, Reason.BRAKE, value) > limit
    return _again(standing) if many or is_old(cycle, document, known) else None


def decide_posted(
    cycle: Cycle,
    organisation: str,
    documents: Mapping[int, Document],
    entries: Mapping[int, Entry],
    standings: Mapping[int, Standing],
    remap: Remap,
    decided: MutableMapping[int, Any],
) -> None:
    """Decide on posted records of one organisation that are not as they were last written.

    Reads their documents, 50 per call. Raises LimitReached, Unreachable; what was decided by then stays decided.
    """
    numbers = list(documents)
    tenant_id = documents[numbers[0]].tenant_id
    bound = requests.bound(cycle.doors.audit, cycle.family, numbers)
    there = cycle.doors.xero.documents_by_id(tenant_id, cycle.kind, [bound[number].xero_id for number in numbers])
    actions = _decide(cycle, organisation, documents, bound, there, standings)
    writes = [number for number, action in actions.items() if isinstance(action, Update)]
    # Lock dates are people's to change at any time: read once per cycle before anything is written.
    if writes and cycle.kind.posts and cycle.lists.renew(organisation, [XeroList.ORGANISATION]):
        again = remap(writes)
        actions |= {number: one for number, one in again.items() if isinstance(one, Hold)}
        fresh = {number: one for number, one in again.items() if isinstance(one, Document)}
        actions |= _decide(cycle, organisation, fresh, bound, there, standings)
    _hold_taken_numbers(cycle, tenant_id, actions)
    _look_for_burnt_numbers(cycle, actions)
    for number, action in actions.items():
        decided[number] = _not_again(cycle, entries[number], action, standings.get(number))


def _decide(
    cycle: Cycle,
    organisation: str,
    documents: Mapping[int, Document],
    bound: Mapping[int, Bound],
    there: Mapping[str, Found],
    standings: Mapping[int, Standing],
) -> dict[int, Action]:
    lasts = requests.last_writes(cycle.doors.audit, cycle.family, list(documents))
    decisions = cycle.tables.policy.decisions(organisation)
    lock = cycle.lists.books([organisation])[organisation].organisation.lock_date
    actions: dict[int, Action] = {}
    for number, document in documents.items():
        standing = standings.get(number)
        theirs = there.get(bound[number].xero_id)
        in_doubt = standing is not None and standing.reason == Reason.UNSETTLED
        take = take_for(cycle, standing)
        anew = recreates(cycle, standing) or _deleted_by_us(lasts[number], document)
        if anew and theirs is not None and not theirs.live:
            actions[number] = Create(document, bound[number].writes, anew=True)
        else:
            actions[number] = decide_update(
                document, bound[number], lasts[number], theirs, decisions, lock, take, in_doubt
            )
    return actions


def _deleted_by_us(last: LastWrite, document: Document) -> bool:
    """Whether the document is a purchase order that we deleted, and that is wanted again."""
    return document.kind is PURCHASE_ORDER and document.status != DELETED and deleted_by_us(last)


def _look_for_burnt_numbers(cycle: Cycle, actions: dict[int, Action]) -> None:
    """Hold purchase orders that would be made anew under a number that Xero has: also that of a deleted one."""
    anew = {number: action.document for number, action in actions.items() if isinstance(action, Create)}
    if not anew or cycle.kind is not PURCHASE_ORDER:
        return
    there = posting.look(cycle, list(anew.values()))
    for number, document in anew.items():
        found = [*there[number].own, *there[number].others]
        action = posting.choose(cycle, document, there[number])
        if isinstance(action, Hold):
            actions[number] = action
        elif found:
            actions[number] = Hold(
                Reason.NUMBER_CONFLICT,
                document.number,
                f"{document.reference} is to be made anew, and {document.organisation} already has "
                f"{found[0].number} ({plain(found[0].total)} {found[0].currency} for {found[0].contact_name}).",
                f"Give {document.reference} another number in ConnectWise, or renumber the one in Xero.",
            )


def _hold_taken_numbers(cycle: Cycle, tenant_id: str, actions: dict[int, Action]) -> None:
    """A number that another live document has is not asked for: Xero would refuse the whole edit."""
    if cycle.kind is BILL:
        # Several suppliers may use the same number (xero.md, 1.3).
        return
    renumbered = {
        number: action
        for number, action in actions.items()
        if isinstance(action, Update) and cycle.kind.number in action.merged.body and not action.deletes
    }
    if not renumbered:
        return
    numbers = [one.document.number for one in renumbered.values()]
    there = cycle.doors.xero.documents_by_number(tenant_id, cycle.kind, numbers)
    for number, action in renumbered.items():
        document = action.document
        others = [
            found
            for found in there.get(fold(document.number), ())
            # Xero never frees the number of a deleted purchase order.
            if (found.live or cycle.kind is PURCHASE_ORDER) and found.xero_id.lower() != action.bound.xero_id.lower()
        ]
        if others:
            actions[number] = Hold(
                Reason.NUMBER_CONFLICT,
                document.number,
                f"{action.theirs.number} got the number {document.number} in ConnectWise, and {document.organisation} "
                f"already has another document with it ({others[0].contact_name}).",
                "Give one of the two records another number in ConnectWise.",
            )


def _not_again(cycle: Cycle, entry: Entry, action: Action, standing: Standing | None) -> Action:
    """An edit that Xero refused goes out again when something about it changed, when forced, or once a day."""
    if (
        isinstance(action, Update)
        and not cycle.forced
        and standing is not None
        and standing.outcome is Outcome.REJECTED
        and standing.body == updating.refused_body(cycle, action)
        and cycle.now() - standing.tried_at < RESEND_AFTER
    ):
        return cycle.result(
            entry,
            Outcome.REJECTED,
            _again(standing),
            action.document,
            body=standing.body,
            tried_at=standing.tried_at,
        )
    return action


# The brake


def _released(cycle: Cycle) -> bool:
    # A plan shows what the brake would hold, so that it can be approved.
    return cycle.allow_many or cycle.approved is not None or not cycle.writing


def is_old(cycle: Cycle, document: Document, known: Bound) -> bool:
    """Whether the brake leaves this document alone because of its date."""
    days = cycle.tables.policy.brake.older_than_days
    return bool(days) and min(document.date, known.date) < cycle.now().date() - timedelta(days=days)


def pass_brake(cycle: Cycle, edits: Sequence[tuple[Entry, Update]]) -> list[Update]:
    """The edits that may go out now. Others wait for the end of the cycle, or are held.

    How many posted documents a cycle would change is known at its end only; until then edits wait, never more of them
    than the brake allows.
    """
    if _released(cycle):
        return [each for _, each in edits]
    limit = cycle.tables.policy.brake.updates
    held: list[Result] = []
    # That an order was approved, or is billed, changes nothing of what it says.
    free = [each for _, each in edits if each.is_step]
    for entry, each in edits:
        if each.is_step:
            continue
        if cycle.braked or is_old(cycle, each.document, each.bound):
            held.append(_braked(cycle, entry, each))
        elif not limit:
            free.append(each)
        else:
            cycle.pending.append((entry, each))
            cycle.dealt_with.add(entry.connectwise_id)
        if limit and len(cycle.pending) > limit:
            cycle.braked = True
            held += [_braked(cycle, waiting, one) for waiting, one in cycle.pending]
            cycle.pending = []
    cycle.record(held)
    return free


def _too_many(limit: int) -> str:
    return f"more than {limit} at once"


def _braked(cycle: Cycle, entry: Entry, each: Update) -> Result:
    document, brake = each.document, cycle.tables.policy.brake
    if is_old(cycle, document, each.bound):
        value = f"dated {min(document.date, each.bound.date)}"
        why = f"It is {value}, and what is older than {brake.older_than_days} days is not changed unasked"
    else:
        value = _too_many(brake.updates)
        why = f"This cycle would change more than {brake.updates} posted documents, so it changes none of them"
    family = cycle.kind.asked_as
    hold = Hold(
        Reason.BRAKE,
        value,
        f"{document.reference} changed in ConnectWise after it was posted: {in_words(each)}. {why}.",
        f"Look at `tieout plan {family}`; then release it with `tieout sync {family} --reference "
        f"{quote(document.reference)} --allow-many`, or all of them with `tieout sync {family} --allow-many`.",
    )
    held, bound = cycle.hold(entry, hold, document), each.bound
    return replace(held, xero_id=bound.xero_id, xero_url=cycle.xero_url(bound.organisation, bound.xero_id))
