"""What settles invoices, in the order that never changes:

settle earlier -> window -> changed and open invoices -> their payments where amounts differ -> beside Xero -> decide ->
write -> outcome -> watermark

A payment need not bump its invoice in ConnectWise (connectwise.md, 4.4). So a cycle reads what changed and what is
open, and asks by id for what was open and is listed no more; rows are read only where an amount differs from what was
seen last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from blocks.audit import requests, runs, settlements
from blocks.audit import watermarks as watermark_rows
from blocks.audit.runs import Result, Standing
from blocks.audit.settlements import Glance, Kept
from blocks.connectwise.client import Pages
from flows.cycle import (
    OVERLAP,
    WAITING_PAGE,
    Selection,
    UnknownReference,
    check_counts,
    fail_where_unreachable,
    move_watermark,
)
from flows.planning import digest_of
from flows.updates import RESEND_AFTER, take_for
from mappings.kinds import INVOICE
from mappings.money import ZERO, plain, to_cents, total
from mappings.outcomes import WAITING, Hold, Outcome, Reason, XeroList
from mappings.payments import Case, Pay, Paying, Unpay, Written, decide_payments, recognised, with_details
from mappings.plans import Bound, Take
from mappings.receivables import Receivable
from tasks import payments as paying
from tasks.calls import Calls
from tasks.cycle import Cycle, Entry
from tasks.invoices import Reading
from tasks.payments import (
    Deciding,
    Detailing,
    Loading,
    Payment,
    Settling,
    extract_owed,
    extract_payments,
    is_open,
    load_payments,
    map_payments,
    owed_of,
    recalled,
    seen_of,
)
from tasks.posting import BATCH

ROWS_AT_ONCE = 100
"""Invoices per task run that reads payments: each costs a call."""
ONE_BY_ONE = 100
"""Up to so many invoices each is decided on in a task run of its own, named by its number; above, in chunks."""
CHUNK = 250
ACCEPTED = "accepted"
"""The value of an invoice of which a person said that what is paid in Xero is right, although it differs."""


@dataclass(slots=True)
class _Window:
    """What a cycle has looked at so far: the newest change and the time of the read among it.

    `paid` is what a sweep saw as paid on each invoice. `back` are the payments of ours that are to be removed, which
    wait until it is known how many they are; `taken` the invoices of which some were.
    """

    ids: set[int] = field(default_factory=set)
    highest: datetime | None = None
    began: datetime | None = None
    paid: dict[int, Decimal] | None = None
    back: list[tuple[Settling, Payment]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)


def settle_payments(cycle: Cycle, calls: Calls, selection: Selection) -> None:
    """One cycle of payments. Raises CannotGoOn, LeaseLost, AuditUnusable, each a sentence; nothing is half-written."""
    named = _named(cycle, selection)
    if cycle.writing:
        paying.settle_earlier(cycle)
    seen = watermark_rows.read(cycle.doors.audit, cycle.family)
    window = _Window(paid={} if selection.sweep else None)
    if selection.named:
        _look_at(cycle, calls, named, window, forced=True)
    else:
        for pages, label, counts in _lists(cycle, selection, seen.position):
            while not pages.done:
                page = calls.one(extract_owed, Reading(cycle.family, pages, [label]))
                if counts:
                    window.began = window.began or page.at
                _look_at(cycle, calls, page.records, window, forced=selection.forced, newest=counts)
        _look_at_the_unlisted(cycle, calls, window)
        if window.paid is not None:
            _look_at_what_differs(cycle, calls, window, window.paid)
        _take_up_waiting(cycle, calls, window)
    _take_back(cycle, calls, window)
    fail_where_unreachable(cycle)
    check_counts(cycle)
    if cycle.writing and not selection.special:
        move_watermark(cycle, seen, window.highest, window.began)


# ConnectWise


def _named(cycle: Cycle, selection: Selection) -> list[dict[str, Any]]:
    """The raw headers of the invoices that were asked for. Raises UnknownReference before anything is done."""
    client = cycle.doors.connectwise
    ids: list[int] = list(selection.ids or ())
    for reference in selection.references:
        text = reference.strip()
        if text.lower().startswith("id:") and text[3:].strip().isdigit():
            found = [int(text[3:])]
        else:
            found = [record["id"] for record in client.invoices_by_number(text)]
        shown = client.owed_by_id(found) if found else []
        if not shown:
            raise UnknownReference(
                f"ConnectWise has no invoice {reference!r} (or the API member may not see it); nothing was done."
            )
        ids += [record["id"] for record in shown]
    return client.owed_by_id(list(dict.fromkeys(ids))) if ids else []


def _lists(cycle: Cycle, selection: Selection, position: datetime | None) -> Iterator[tuple[Pages, str, bool]]:
    """The lists of a cycle, each with its name and whether it counts for the watermark."""
    client = cycle.doors.connectwise
    if selection.special or position is None:
        start = selection.since or cycle.start_date
        cycle.say(f"reading how invoices dated {start} or later are settled")
        yield client.owed_dated_from(start), f"from {start}", True
        return
    since = position - OVERLAP
    cycle.say(f"reading how invoices are settled that changed since {since:%Y-%m-%d %H:%M:%S} UTC, or are open")
    yield client.owed_changed_since(since), f"since {since:%Y-%m-%d %H-%M}", True
    yield client.owed_open(cycle.start_date), "open", False


def _look_at(
    cycle: Cycle,
    calls: Calls,
    headers: Sequence[dict[str, Any]],
    window: _Window,
    *,
    forced: bool = False,
    newest: bool = False,
) -> None:
    """Decide by the amounts on a header whether an invoice's payments have to be read; carry those on."""
    todo: list[Settling] = []
    results: list[Result] = []
    glances: list[Glance] = []
    found = [owed_of(raw) for raw in headers]
    ids = [each[0].connectwise_id if isinstance(each, tuple) else each.connectwise_id for each in found]
    standings = runs.standings(cycle.doors.audit, cycle.family, ids)
    before = settlements.glances(cycle.doors.audit, cycle.family, ids)
    for each in found:
        if isinstance(each, tuple):
            results.append(cycle.hold(*each))
            continue
        owed = each.owed
        if newest and (changed := owed.info.last_updated) is not None:
            window.highest = max(window.highest or changed, changed)
        if owed.id in window.ids:
            continue
        window.ids.add(owed.id)
        if window.paid is not None and to_cents(owed.payments):
            window.paid[owed.id] = to_cents(owed.payments)
        standing, glance = standings.get(owed.id), before.get(owed.id)
        waits = standing is not None and standing.outcome in WAITING
        if not _concerns_us(cycle, owed, standing):
            continue
        if standing is None and not to_cents(owed.payments):
            # Nothing was ever paid. Kept all the same, so that it is missed when it leaves the list of open ones.
            if is_open(owed):
                glances.append(Glance(owed.id, owed.invoice_number, seen_of(owed), True))
        elif standing is None or standing.seen != seen_of(owed) or forced:
            todo.append(each)
        elif not waits and glance is not None and glance.is_open != is_open(owed):
            glances.append(Glance(owed.id, owed.invoice_number, standing.seen, is_open(owed)))
    cycle.counts["read"] += len(results)
    cycle.record(results)
    if cycle.writing:
        settlements.note(cycle.doors.audit, cycle.family, cycle.run_id, glances, cycle.now(), cycle.lease)
    _carry(cycle, calls, window, _with_rows(cycle, calls, todo), standings)


def _concerns_us(cycle: Cycle, owed: Any, standing: Standing | None) -> bool:
    """Whether it is an invoice (a credit is settled by being applied) that belongs to this family's time."""
    if standing is not None:
        return True
    return to_cents(owed.total) >= 0 and owed.date >= cycle.start_date


def _with_rows(cycle: Cycle, calls: Calls, invoices: Sequence[Settling]) -> list[Settling]:
    """The same invoices with their payments; unreadable ones are recorded and left out."""
    cycle.counts["read"] += len(invoices)
    whole: list[Settling] = []
    unreadable: list[Result] = []
    for start in range(0, len(invoices), ROWS_AT_ONCE):
        for found in calls.one(extract_payments, Detailing(cycle, invoices[start : start + ROWS_AT_ONCE])):
            if isinstance(found, tuple):
                unreadable.append(cycle.hold(*found))
            else:
                whole.append(found)
    cycle.record(unreadable)
    return whole


def _look_at_the_unlisted(cycle: Cycle, calls: Calls, window: _Window) -> None:
    """Invoices that were open and are listed no more: paid off without a word, or deleted (a sweep tells)."""
    after = -1
    while ids := settlements.open_ids(cycle.doors.audit, cycle.family, after, WAITING_PAGE):
        after = ids[-1]
        unlisted = [number for number in ids if number not in window.ids]
        if unlisted:
            _look_at(cycle, calls, cycle.doors.connectwise.owed_by_id(unlisted), window)


def _take_up_waiting(cycle: Cycle, calls: Calls, window: _Window) -> None:
    """Everything that an earlier cycle left waiting, from its stored copy; what has none is read again."""
    after = -(2**40)
    while page := runs.waiting(cycle.doors.audit, cycle.family, cycle.run_id, after, WAITING_PAGE):
        after = page[-1].connectwise_id
        standings = {each.connectwise_id: each for each in page if each.connectwise_id not in cycle.dealt_with}
        whole: list[Settling] = []
        bare: list[int] = []
        results: list[Result] = []
        for number, standing in standings.items():
            found = recalled(standing.copy) if standing.copy else None
            if found is None:
                bare.append(number)
            elif isinstance(found, tuple):
                # Its rows did not make its header when it was read: they may now.
                bare.append(number)
            else:
                whole.append(found)
        shown = [owed_of(raw) for raw in cycle.doors.connectwise.owed_by_id(bare)] if bare else []
        results += [cycle.hold(*each) for each in shown if isinstance(each, tuple)]
        there = [each for each in shown if not isinstance(each, tuple)]
        gone = set(bare) - {each.connectwise_id for each in there} - {each.connectwise_id for each in results}
        results += [_not_shown(cycle, standings[number]) for number in gone]
        cycle.counts["read"] += len(whole) + len(results)
        cycle.record(results)
        _carry(cycle, calls, window, [*whole, *_with_rows(cycle, calls, there)], standings)


def _not_shown(cycle: Cycle, standing: Standing) -> Result:
    hold = Hold(Reason.SOURCE_HIDDEN, standing.reference, f"ConnectWise does not show {standing.reference} any more.")
    return cycle.hold(Entry.known(standing), hold, organisation=standing.organisation)


def _look_at_what_differs(cycle: Cycle, calls: Calls, window: _Window, paid: Mapping[int, Decimal]) -> None:
    """A sweep: invoices on which less is paid in Xero than ConnectWise says, or more by us."""
    for organisation, tenant_id in cycle.doors.tenants.items():
        cycle.say(f"comparing what is paid on the invoices of {organisation} since {cycle.start_date}")
        different: list[int] = []
        cycle.reach(organisation, partial(_differing, cycle, tenant_id, paid, different))
        for start in range(0, len(different), ROWS_AT_ONCE):
            ids = different[start : start + ROWS_AT_ONCE]
            headers = cycle.doors.connectwise.owed_by_id(ids)
            _look_at(cycle, calls, headers, _Window(back=window.back), forced=True)


def _differing(cycle: Cycle, tenant_id: str, paid: Mapping[int, Decimal], different: list[int]) -> None:
    for page in cycle.doors.xero.documents_since(tenant_id, INVOICE, cycle.start_date):
        owners = requests.owners(cycle.doors.audit, tenant_id, [each.xero_id for each in page])
        there = {
            owners[each.xero_id][1]: Receivable.read(each)
            for each in page
            if each.xero_id in owners and owners[each.xero_id][0] == INVOICE.family
        }
        ours = settlements.parts(cycle.doors.audit, cycle.family, list(there))
        standings = runs.standings(cycle.doors.audit, cycle.family, list(there))
        for number, invoice in there.items():
            standing = standings.get(number)
            waits = standing is not None and (standing.outcome in WAITING or standing.run_id == cycle.run_id)
            live = {each.xero_id.lower() for each in invoice.applied}
            mine = total(each.total for each in ours.get(number, ()) if each.xero_id.lower() in live)
            wanted = paid.get(number, ZERO)
            if not waits and number not in cycle.dealt_with and (invoice.paid < wanted or mine > wanted):
                different.append(number)


# Both sides, decision


def _carry(
    cycle: Cycle, calls: Calls, window: _Window, invoices: Sequence[Settling], standings: Mapping[int, Standing]
) -> None:
    """Decide on invoices beside what stands in Xero, and write what is missing. Each ends in an outcome."""
    if not invoices:
        return
    bound = requests.bound(cycle.doors.audit, INVOICE.family, [each.connectwise_id for each in invoices])
    results: list[Result] = []
    groups: dict[str, list[Settling]] = defaultdict(list)
    for each in invoices:
        number = each.connectwise_id
        if number not in bound:
            results.append(_without_document(cycle, each))
        elif bound[number].tenant_id not in cycle.doors.tenants.values():
            results.append(_hold(cycle, each, bound[number], _not_connected(bound[number])))
        elif cycle.tables.policy.decisions(bound[number].organisation).payments.direction == "off":
            results.append(_result(cycle, each, bound[number], Outcome.SKIPPED))
        else:
            groups[bound[number].organisation].append(each)
    cycle.record(results)
    for organisation, group in sorted(groups.items()):
        for start in range(0, len(group), CHUNK):
            _settle_group(cycle, calls, window, organisation, group[start : start + CHUNK], bound, standings)


def _settle_group(
    cycle: Cycle,
    calls: Calls,
    window: _Window,
    organisation: str,
    group: Sequence[Settling],
    bound: Mapping[int, Bound],
    standings: Mapping[int, Standing],
) -> None:
    """Invoices of one organisation: read as they are in Xero, decided on, written.

    First it is noted what was written so far, and what of it is in doubt; only then is Xero asked. What another process
    writes in between is told by a higher instalment (blocks.audit.requests).
    """
    cases: dict[int, Case] = {}
    used = settlements.used(cycle.doors.audit, cycle.family, [each.connectwise_id for each in group])
    in_doubt = requests.unsettled_ids(cycle.doors.audit, cycle.family) if cycle.writing else set()
    unsettled = [each for each in group if each.connectwise_id in in_doubt]
    cycle.record([_hold(cycle, each, bound[each.connectwise_id], Hold(Reason.UNSETTLED)) for each in unsettled])
    group = [each for each in group if each.connectwise_id not in in_doubt]
    if not group:
        return
    if cycle.reach(organisation, partial(_read, cycle, organisation, group, bound, standings, used, cases)):
        _write(cycle, calls, window, group, cases, bound, standings)
        return
    problem = paying.closed(cycle, organisation)
    if problem.reason is Reason.DAY_LIMIT:
        cycle.record([_hold(cycle, each, bound[each.connectwise_id], problem) for each in group])
    else:
        # Xero does not answer: they stand as they did, the cycle fails, and the watermark stays where it is.
        cycle.counts["read"] -= len(group)


def _read(
    cycle: Cycle,
    organisation: str,
    invoices: Sequence[Settling],
    bound: Mapping[int, Bound],
    standings: Mapping[int, Standing],
    used: Mapping[int, Mapping[int, int]],
    cases: dict[int, Case],
) -> None:
    """Everything that decides on these invoices. Raises LimitReached, Unreachable."""
    ids = [each.connectwise_id for each in invoices]
    tenant_id = bound[ids[0]].tenant_id
    # Lock dates are people's to change at any time: read once per cycle before anything is decided.
    cycle.lists.books([organisation])
    cycle.lists.renew(organisation, [XeroList.ORGANISATION])
    for number in ids:
        standing = standings.get(number)
        if standing is not None and standing.waits_on:
            cycle.lists.renew(organisation, [XeroList(name) for name in standing.waits_on])
    books = cycle.lists.books([organisation])[organisation]
    # Before Xero is asked: what is bound by then, and not there, was removed by somebody.
    kept = settlements.parts(cycle.doors.audit, cycle.family, ids)
    found = cycle.doors.xero.documents_by_id(tenant_id, INVOICE, [bound[number].xero_id for number in ids])
    for each in invoices:
        number = each.connectwise_id
        document = found.get(bound[number].xero_id)
        if document is None:
            continue
        there = Receivable.read(document)
        ours = [_written_of(one) for one in kept.get(number, ())]
        strangers = recognised(there, ours, each.cash)
        if strangers and cycle.writing:
            _adopt(cycle, each, bound[number], there, strangers)
        ours += strangers
        standing = standings.get(number)
        case = Case(
            each.owed, each.cash, there, organisation, tenant_id, ours, _instalments(used.get(number, {}), ours),
            cycle.tables, books, _take(cycle, each, standing), cycle.recreate and _was_removed(cycle, standing),
        )  # fmt: skip
        cases[number] = _with_details(cycle, case)


def _take(cycle: Cycle, each: Settling, standing: Standing | None) -> Take:
    """Whose version a person chose; what she accepted of Xero's stays accepted until ConnectWise says otherwise."""
    accepted = standing is not None and standing.value == ACCEPTED and standing.seen == seen_of(each.owed)
    return take_for(cycle, standing) or ("theirs" if accepted else "")


def _written_of(kept: Kept) -> Written:
    return Written(kept.part, kept.xero_id, kept.total, kept.date)


def _instalments(used: Mapping[int, int], ours: Sequence[Written]) -> dict[int, int]:
    instalments = dict(used)
    for each in ours:
        instalments[each.row] = max(instalments.get(each.row, 0), each.instalment)
    return instalments


def _was_removed(cycle: Cycle, standing: Standing | None) -> bool:
    return cycle.named or (standing is not None and standing.reason == Reason.REMOVED_IN_XERO)


def _with_details(cycle: Cycle, case: Case) -> Case:
    """With what only a payment's own page says, where payments of ours may have to be taken back."""
    live = {each.xero_id.lower() for each in case.there.applied}
    standing = [each for each in case.ours if each.xero_id.lower() in live]
    if sum((each.amount for each in standing), to_cents(case.target * 0)) <= case.target:
        return case
    details = [
        with_details(each, cycle.doors.xero.payment(case.tenant_id, each.xero_id) or {"IsReconciled": True})
        if each in standing
        else each
        for each in case.ours
    ]
    return replace(case, ours=details)


def _adopt(cycle: Cycle, each: Settling, bound: Bound, there: Receivable, strangers: Sequence[Written]) -> None:
    """Bind payments that bear our Reference: this audit is new, or the answer to their write was lost."""
    rows = [
        (
            Pay(
                each.connectwise_id, one.row, one.instalment, each.reference, bound.organisation, bound.tenant_id,
                there.xero_id, "", one.date, one.amount, there.currency,
            ),
            one.xero_id,
            "{}",
        )
        for one in strangers
    ]  # fmt: skip
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        settlements.bind_in(connection, rows, cycle.now())


def _write(
    cycle: Cycle,
    calls: Calls,
    window: _Window,
    invoices: Sequence[Settling],
    cases: Mapping[int, Case],
    bound: Mapping[int, Bound],
    standings: Mapping[int, Standing],
) -> None:
    """Decide, and write what is missing; what is to be taken back waits for the brake."""
    known = [each for each in invoices if each.connectwise_id in cases]
    results = [
        _hold(cycle, each, bound[each.connectwise_id], _not_in_xero(bound[each.connectwise_id]))
        for each in invoices
        if each.connectwise_id not in cases
    ]
    actions = _decide(cycle, calls, [cases[each.connectwise_id] for each in known])
    pays: list[Payment] = []
    for each, action in zip(known, actions, strict=True):
        number = each.connectwise_id
        case, standing = cases[number], standings.get(number)
        if action is None:
            accepted = case.take == "theirs" and decide_payments(replace(case, take="")) is not None
            result = _result(cycle, each, bound[number], Outcome.UNCHANGED)
            results.append(replace(result, value=ACCEPTED) if accepted else result)
            continue
        if isinstance(action, Hold):
            results.append(_hold(cycle, each, bound[number], action))
            continue
        write = Payment(
            each, action.pays or action.unpays, first=not case.ours and number not in window.taken, used=case.used
        )
        if not _approved(cycle, write):
            results.append(_hold(cycle, each, bound[number], Hold(Reason.PLAN_MOVED)))
            continue
        stays = _refused_before(cycle, write, standing)
        if stays is not None:
            results.append(stays)
        elif not cycle.writing:
            cycle.planned.append(action)
            cycle.counts["planned"] += 1
            cycle.dealt_with.add(number)
        elif action.unpays:
            old = _is_old(cycle, write)
            if old is not None:
                results.append(_hold(cycle, each, bound[number], old))
            else:
                window.back.append((each, write))
                cycle.dealt_with.add(number)
        else:
            if cycle.recreate:
                _give_up_removed(cycle, case)
            pays.append(write)
    cycle.record(results)
    batches = [Loading(cycle, batch) for batch in _batches(pays)]
    if batches:
        for written in calls.several(load_payments, batches):
            cycle.count(written)


def _decide(cycle: Cycle, calls: Calls, cases: Sequence[Case]) -> list[Paying | Hold | None]:
    """Decide on all; then renew the lists of Xero that the held ones wait for, and decide on those again."""
    actions: list[Paying | Hold | None] = []
    size = 1 if len(cases) <= ONE_BY_ONE else CHUNK
    for start in range(0, len(cases), size):
        decided: list[Paying | Hold | None] = calls.one(map_payments, Deciding(cases[start : start + size]))
        actions += decided
    waiting = [place for place, action in enumerate(actions) if isinstance(action, Hold) and action.waits_on]
    if not waiting:
        return actions
    organisation, before = cases[0].organisation, cases[0].books
    names = [name for place in waiting if isinstance(hold := actions[place], Hold) for name in hold.waits_on]
    cycle.reach(organisation, partial(cycle.lists.renew, organisation, names))
    books = cycle.lists.books([organisation])[organisation]
    if books.digest != before.digest:
        for place in waiting:
            actions[place] = calls.one(map_payments, Deciding([replace(cases[place], books=books)]))[0]
    return actions


def _approved(cycle: Cycle, write: Payment) -> bool:
    """Whether an approved plan (where there is one) has all of these writes, exactly so."""
    approved = cycle.approved
    return approved is None or all(
        approved.get((each.connectwise_id, each.part)) == digest_of(each) for each in write.writes
    )


# What is taken back


def _is_old(cycle: Cycle, write: Payment) -> Hold | None:
    """The brake: what was paid long ago is not taken back unasked."""
    days = cycle.tables.policy.brake.older_than_days
    oldest = min(each.written.date for each in write.writes if isinstance(each, Unpay))
    if _released(cycle) or not days or oldest >= cycle.now().date() - timedelta(days=days):
        return None
    why = f"A payment of {oldest} would be removed, and what is older than {days} days is not changed unasked."
    return _braked(cycle, write.settling, f"dated {oldest}", why)


def _released(cycle: Cycle) -> bool:
    return cycle.allow_many or cycle.approved is not None


def _braked(cycle: Cycle, each: Settling, value: str, why: str) -> Hold:
    return Hold(
        Reason.BRAKE,
        value,
        f"Less is paid on {each.reference} in ConnectWise than was written to Xero. {why}",
        f"Look at `tieout plan {cycle.family}`; then release it with `tieout sync {cycle.family} --reference "
        f"{each.reference} --allow-many`, or all of them with `tieout sync {cycle.family} --allow-many`.",
    )


def _take_back(cycle: Cycle, calls: Calls, window: _Window) -> None:
    """Remove payments of ours where policy says so, as far as the brake lets them through; then pay what is left."""
    back, window.back = window.back, []
    if not back:
        return
    limit = cycle.tables.policy.brake.updates
    ids = [each.connectwise_id for each, _ in back]
    bound = requests.bound(cycle.doors.audit, INVOICE.family, ids)
    if limit and len(back) > limit and not _released(cycle):
        why = f"This cycle would take back payments on more than {limit} invoices, so it takes back none."
        value = f"more than {limit} at once"
        cycle.record(
            [_hold(cycle, each, bound[each.connectwise_id], _braked(cycle, each, value, why)) for each, _ in back]
        )
        return
    again = [each for each, write in back if paying.take_back(cycle, write)]
    window.taken |= {each.connectwise_id for each in again}
    _carry(cycle, calls, window, again, runs.standings(cycle.doors.audit, cycle.family, ids))
    if window.back:
        # Decided on anew, and still too much: the next cycle goes on.
        left, window.back = window.back, []
        cycle.record([_hold(cycle, each, bound[each.connectwise_id], Hold(Reason.UNSETTLED)) for each, _ in left])


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


def _give_up_removed(cycle: Cycle, case: Case) -> None:
    """Forget payments that a person removed and now wants to have again: new ones take their place."""
    live = {each.xero_id.lower() for each in case.there.applied}
    gone = [each.part for each in case.ours if each.xero_id.lower() not in live]
    if gone:
        with cycle.doors.audit.transaction(cycle.lease) as connection:
            settlements.unbind_in(connection, cycle.family, {case.owed.id: gone})


def _refused_before(cycle: Cycle, write: Payment, standing: Standing | None) -> Result | None:
    """What Xero refused goes out again when something about it changed, when forced, or once a day."""
    if (
        standing is None
        or cycle.forced
        or standing.outcome is not Outcome.REJECTED
        or standing.body != paying.body_of(cycle, write.writes)
        or cycle.now() - standing.tried_at >= RESEND_AFTER
    ):
        return None
    hold = Hold(Reason(standing.reason), standing.value, standing.message)
    result = cycle.hold(write.settling.entry, hold, organisation=standing.organisation)
    return replace(
        result, outcome=Outcome.REJECTED, body=standing.body, tried_at=standing.tried_at,
        amount=plain(to_cents(write.settling.owed.payments)), currency=write.writes[0].currency,
        is_open=is_open(write.settling.owed), copy=write.settling.entry.copy,
    )  # fmt: skip


# Outcomes


def _without_document(cycle: Cycle, each: Settling) -> Result:
    """Its invoice is not in Xero: it waits where there is something to pay, and is nobody's business where not."""
    amount = plain(to_cents(each.owed.payments))
    currency = each.owed.currency.currency_code
    if not to_cents(each.owed.payments):
        result = cycle.result(each.entry, Outcome.UNCHANGED)
        return replace(result, amount=amount, currency=currency, is_open=is_open(each.owed))
    hold = Hold(
        Reason.WAITS_FOR_INVOICE,
        each.reference,
        f"{amount} {currency} is paid on {each.reference}, which is not in Xero yet.".replace("  ", " "),
    )
    result = cycle.hold(each.entry, hold)
    return replace(result, amount=amount, currency=currency, is_open=is_open(each.owed))


def _not_connected(bound: Bound) -> Hold:
    return Hold(
        Reason.WAITS_FOR_INVOICE,
        bound.organisation,
        f"The invoice is in {bound.organisation}, which is not connected any more.",
    )


def _not_in_xero(bound: Bound) -> Hold:
    return Hold(
        Reason.REMOVED_IN_XERO,
        bound.reference,
        f"{bound.organisation} does not show the invoice {bound.reference} any more, so nothing can be paid on it.",
    )


def _result(cycle: Cycle, each: Settling, bound: Bound, outcome: Outcome) -> Result:
    result = cycle.result(each.entry, outcome, xero_id=bound.xero_id, organisation=bound.organisation)
    amount = plain(to_cents(each.owed.payments))
    return replace(result, amount=amount, currency=bound.currency, is_open=is_open(each.owed))


def _hold(cycle: Cycle, each: Settling, bound: Bound, hold: Hold) -> Result:
    result = cycle.hold(each.entry, hold, organisation=bound.organisation)
    amount = plain(to_cents(each.owed.payments))
    rows = each.cash
    return replace(
        result, amount=amount, currency=bound.currency, is_open=is_open(each.owed), xero_id=bound.xero_id,
        xero_url=cycle.xero_url(bound.organisation, bound.xero_id),
        payment_id=rows[0].id if len(rows) == 1 else None,
    )  # fmt: skip
