"""Writing documents to Xero so that whatever is killed, lost or repeated, each is there once.

The order never changes: store the request, send its exact bytes, match the answer, bind and record in one
transaction. When an answer is missing or unclear, the records are looked up before anything else is done with them.
Every family that creates documents comes through here.

| what a call ends with | its records |
|---|---|
| an answer, accepted | bound, posted |
| an answer, refused | rejected; when their number is taken, looked up |
| an answer that cannot be told apart | looked up; what is not there goes out alone |
| a definite no to all of it | split in halves until the one that is meant stands alone |
| no answer, or an unclear one | looked up; what is not there goes out once more under a new key, then in halves |
| the same, of bills, whose numbers need not be unique | looked up; as long as nothing is there, the same bytes again |
| a limit, or nobody answers the look-up either | stay unsettled, deferred; the next cycle begins with them |
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from blocks.audit import orders, requests, runs
from blocks.audit.requests import Occupied, RowOfRequest, StoredRequest
from blocks.audit.runs import Result, Standing
from blocks.failures import LimitReached, Unreachable
from blocks.xero.client import KEY_LASTS, BatchRefused, Element, FateUnknown
from mappings import checks
from mappings.kinds import BILL, PURCHASE_ORDER, Kind
from mappings.links import order_of
from mappings.merging import LastWrite
from mappings.money import plain
from mappings.outcomes import WAITING, Hold, Outcome, Reason
from mappings.plans import Adopt, Bound, Create, Take, decide, is_ours, likeness, names_order
from mappings.shares import orders_on
from mappings.sweeping import edited
from mappings.xero import Document, Found, fold
from tasks.cycle import Cycle, Entry
from tasks.policies import load_key

Row = RowOfRequest[Document]
Request = StoredRequest[Document]

BATCH = 50
"""Documents per call (xero.md, 3.3)."""
ADOPTED = 400
"""Documents that are bound in one transaction, where nothing is written to Xero."""
ROUNDS = 8
"""How often one record is sent in one cycle, looked up each time: enough to halve a batch down to the one document
that Xero stumbles over.
"""
SENDS = 3
"""How often a call is tried again where Xero would take its documents twice; it is asked for them in between."""
OUTAGE = 4
"""So many writes in a row without a clear answer are no single document's fault."""

PARAMETERS = "summarizeErrors=false&unitdp=4"
"""Of every write of documents."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Documents of one organisation that are to be sent; `rounds` counts how often their fate was in doubt.

    `instead`: records whose document was removed in Xero and is made anew.
    """

    documents: Sequence[Document]
    rounds: int = 0
    instead: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Settled:
    """What became of a request: outcomes (stored), and what has to be sent again under a new key."""

    results: list[Result] = field(default_factory=list)
    again: list[_Batch] = field(default_factory=list)
    in_doubt: bool = False


# Writing


def create(cycle: Cycle, creates: Sequence[Create]) -> list[Result]:
    """Write new documents of one organisation, at most 50; every one of them ends in an outcome that is stored.

    Left without an outcome is only what was never sent because Xero stopped answering: the cycle then fails as a
    whole. Raises NotConfigured (the connection itself is refused), LeaseLost, AuditUnusable.
    """
    results: list[Result] = []
    organisation = creates[0].document.organisation
    instead = frozenset(each.document.connectwise_id for each in creates if each.anew)
    waiting = deque([_Batch([each.document for each in creates], instead=instead)])
    in_a_row = 0
    while waiting:
        batch = waiting.popleft()
        if organisation in cycle.closed or batch.rounds >= ROUNDS:
            results += put_off(cycle, batch.documents, batch.rounds)
            continue
        settled = _attempt(cycle, batch)
        results += settled.results
        waiting.extend(settled.again)
        in_a_row = in_a_row + 1 if settled.in_doubt else 0
        if in_a_row == OUTAGE:
            cycle.close(organisation, Unreachable(f"Xero gives no clear answer to any write to {organisation}."))
    _remember(cycle, [result for result in results if result.outcome is Outcome.POSTED], creates)
    return results


def _attempt(cycle: Cycle, batch: _Batch) -> _Settled:
    """One request for one batch, stored before it is sent."""
    path = cycle.kind.collection
    elements = ",".join(document.sent for document in batch.documents)
    try:
        request = requests.store(
            cycle.doors.audit,
            cycle.run_id,
            "PUT",
            f"{path}?{PARAMETERS}",
            f'{{"{path}":[{elements}]}}'.encode(),
            batch.documents,
            cycle.now(),
            cycle.lease,
            instead=sorted(batch.instead),
        )
    except Occupied:
        return _without_occupied(cycle, batch)
    return _send(cycle, request, batch.rounds)


def _without_occupied(cycle: Cycle, batch: _Batch) -> _Settled:
    """Some record was bound meanwhile (an earlier attempt of this very task, another cycle), or is in doubt."""
    audit, ids = cycle.doors.audit, [document.connectwise_id for document in batch.documents]
    bound = requests.bound(audit, cycle.family, ids)
    standings = runs.standings(audit, cycle.family, ids)
    in_doubt = requests.unsettled_ids(audit, cycle.family)
    told: list[Result] = []
    known: list[Result] = []
    free: list[Document] = []
    for document in batch.documents:
        number, entry = document.connectwise_id, entry_of(cycle, document)
        if number in bound:
            here = standings[number].run_id == cycle.run_id if number in standings else False
            outcome = Outcome.POSTED if here and standings[number].outcome is Outcome.POSTED else Outcome.UNCHANGED
            result = cycle.result(entry, outcome, None, document, bound[number].xero_id)
            (told if outcome is Outcome.POSTED else known).append(result)
        elif number in in_doubt:
            known.append(cycle.hold(entry, Hold(Reason.UNSETTLED), document))
        else:
            free.append(document)
    _record(cycle, known)
    return _Settled(told + known, [_Batch(free, batch.rounds, batch.instead)] if free else [])


def sent(cycle: Cycle, request: StoredRequest[Any], *, repeats: bool = True) -> list[Element]:
    """Send a stored request, byte for byte (`repeats`: see XeroClient.write).

    Raises FateUnknown, BatchRefused, LimitReached.
    """
    return cycle.doors.xero.write(
        request.tenant_id,
        request.method,
        request.path,
        request.body,
        request.idempotency_key,
        [row.reference for row in request.rows],
        request.stored_at,
        repeats=repeats,
    )


def _send(cycle: Cycle, request: Request, rounds: int) -> _Settled:
    """Send a stored request and take in its answer, whatever it is: the table at the head of this file."""
    try:
        elements = sent(cycle, request, repeats=cycle.kind.unique)
    except BatchRefused as refused:
        return _refused(cycle, request, refused.words, rounds)
    except FateUnknown as unknown:
        settled = _looked_up(cycle, request, request.rows, rounds, str(unknown))
        settled.in_doubt = True
        return settled
    except LimitReached as limit:
        # An attempt before this one may have got through without an answer, so the rows stay unsettled.
        cycle.close(request.organisation, limit)
        return _Settled(deferred(cycle, [row.document for row in request.rows], limit_hold(limit)))
    return _answered(cycle, request, elements, rounds)


def _answered(cycle: Cycle, request: Request, elements: Sequence[Element], rounds: int) -> _Settled:
    """Bind what was accepted, record what was refused, in one transaction; look up what is still unclear."""
    matched, unclear = match(request.rows, elements)
    accepted = [(row.document, element.found) for row, element in matched if element.accepted]
    refused = [(row, "; ".join(element.errors)) for row, element in matched if not element.accepted]
    taken = {row.connectwise_id: words for row, words in refused if number_is_taken(words)}
    results = [_posted(cycle, document, found) for document, found in accepted]
    results += rejected(cycle, [(row.document, words) for row, words in refused if row.connectwise_id not in taken])
    _commit(cycle, request, accepted, results, [result.connectwise_id for result in results], "answered")
    settled = _Settled(results)
    for rows, why in (
        ([row for row, _ in refused if row.connectwise_id in taken], "its number is taken"),
        (unclear, "an answer could not be told apart"),
    ):
        if rows:
            more = _looked_up(cycle, request, rows, rounds, why, taken, answered=True)
            settled.results += more.results
            # Alone, Xero's words can only mean one record.
            settled.again += [_Batch([document], batch.rounds) for batch in more.again for document in batch.documents]
    return settled


def match(rows: Sequence[Row], elements: Sequence[Element]) -> tuple[list[tuple[Row, Element]], list[Row]]:
    """Pair the rows of a request with the elements of its answer, by link, then by number; and the rows left over.

    Rows and elements that are left over belong together when the counts agree and there is one of each, or Xero
    refuses all of them in the same words. Never by position: the order of an answer is not promised (xero.md, 3.3).
    """
    by_url = {row.url: row for row in rows}
    by_number = {fold(row.number): row for row in rows}
    pairs: dict[int, tuple[Row, Element]] = {}
    strangers: list[Element] = []
    ambiguous: set[int] = set()
    for element in elements:
        row = by_url.get(element.found.url) or by_number.get(fold(element.found.number))
        if row is None:
            strangers.append(element)
        elif row.connectwise_id in pairs:
            ambiguous.add(row.connectwise_id)
        else:
            pairs[row.connectwise_id] = (row, element)
    for connectwise_id in ambiguous:
        del pairs[connectwise_id]
    left = [row for row in rows if row.connectwise_id not in pairs]
    alike = len({element.errors for element in strangers}) == 1 and not any(each.accepted for each in strangers)
    if len(elements) == len(rows) and len(left) == len(strangers) and (alike or len(left) == 1):
        return [*pairs.values(), *zip(left, strangers, strict=True)], []
    return list(pairs.values()), left


def _refused(cycle: Cycle, request: Request, words: str, rounds: int) -> _Settled:
    """A definite no to the whole call: nothing was written."""
    ids = [row.connectwise_id for row in request.rows]
    documents = [row.document for row in request.rows]
    if len(documents) > 1:
        return _Settled(_sent_anew(cycle, request, documents, "refused, split"), _halves(documents, rounds))
    if number_is_taken(words):
        return _looked_up(cycle, request, request.rows, rounds, words, {ids[0]: words})
    results = rejected(cycle, [(documents[0], words)])
    _commit(cycle, request, [], results, ids, "refused")
    return _Settled(results)


def _looked_up(
    cycle: Cycle,
    request: Request,
    rows: Sequence[Row],
    rounds: int,
    why: str,
    taken: Mapping[int, str] | None = None,
    answered: bool = False,
) -> _Settled:
    """Look the records of these rows up, and settle them by what is there.

    `taken`: those that Xero refused because of their number, with its words; they were not written. The fate of the
    others is unknown, so a document with our link is the one that we wrote. `answered`: Xero is done with the call.
    """
    documents = [row.document for row in rows]
    there: dict[int, InXero] = {}
    # People have had the time to give a document another number since an earlier cycle wrote it.
    by_link = request.run_id != cycle.run_id
    if not cycle.reach(request.organisation, lambda: there.update(look(cycle, documents, by_link=by_link))):
        closed = cycle.closed[request.organisation]
        hold = limit_hold(closed) if isinstance(closed, LimitReached) else Hold(Reason.UNSETTLED, why)
        return _Settled(deferred(cycle, documents, hold))
    bindings: list[tuple[Document, Found]] = []
    taken_over: list[tuple[Document, Found]] = []
    results: list[Result] = []
    absent: list[Document] = []
    refused: list[tuple[Document, str]] = []
    for document in documents:
        words = (taken or {}).get(document.connectwise_id)
        found = there[document.connectwise_id]
        written = [other for other in found.own if other.live and is_ours(document, other)]
        if words is None and len(written) == 1:
            bindings.append((document, written[0]))
            results.append(_posted(cycle, document, written[0]))
            continue
        action = choose(cycle, document, found, refused=words is not None)
        if isinstance(action, Adopt):
            # Our own link on it: we wrote it, and its answer was lost long ago. Where there is no link, a refusal says
            # that this write did not make it.
            written_by_us = is_ours(document, action.found) and (words is None or cycle.kind.linked)
            (bindings if written_by_us else taken_over).append((document, action.found))
            outcome = Outcome.POSTED if written_by_us else Outcome.UNCHANGED
            results.append(cycle.result(entry_of(cycle, document), outcome, None, document, action.found.xero_id))
        elif isinstance(action, Hold):
            results.append(cycle.hold(entry_of(cycle, document), action, document))
        elif words is not None:
            refused.append((document, words))
        else:
            absent.append(document)
    results += rejected(cycle, refused)
    ids = [result.connectwise_id for result in results]
    _commit(cycle, request, bindings, results, ids, "looked up", taken_over)
    if absent and not answered and not cycle.kind.unique and cycle.now() - request.stored_at < KEY_LASTS:
        return _on_its_way(cycle, request, absent, results, rounds, why)
    results += _sent_anew(cycle, request, absent, "looked up, not there")
    if rounds == 0 or len(absent) < 2:
        # The first time it may have been anything; a single document that fails again is put off.
        return _Settled(results, [_Batch(absent, 1 if rounds == 0 else ROUNDS)] if absent else [])
    return _Settled(results, _halves(absent, rounds + 1))


def _on_its_way(
    cycle: Cycle, request: Request, absent: list[Document], results: list[Result], rounds: int, why: str
) -> _Settled:
    """Documents that Xero would take twice, and that may still arrive: nothing stops a second one of a bill.

    As long as the key is good, only the same bytes go out under it, and only while none of them is there: a key that
    Xero has lost doubles nothing. After that all is decided anew.
    """
    whole = len(json.loads(request.body)[cycle.kind.collection]) == len(absent)
    if whole and rounds < SENDS:
        return _send(cycle, request, rounds + 1)
    return _Settled(results + deferred(cycle, absent, Hold(Reason.UNSETTLED, why)))


def _halves(documents: Sequence[Document], rounds: int) -> list[_Batch]:
    middle = len(documents) // 2
    return [_Batch(documents[:middle], rounds), _Batch(documents[middle:], rounds)]


def _sent_anew(cycle: Cycle, request: Request, documents: Sequence[Document], how: str) -> list[Result]:
    """Settle rows of which nothing came, so that they may go out again under a new key.

    In an earlier cycle's request they belong to records that may not come by any more: those wait from now on,
    unless they waited before.
    """
    waits: list[Result] = []
    if request.run_id != cycle.run_id:
        new = [document for document in documents if document.connectwise_id not in cycle.entries]
        waits = [cycle.hold(entry_of(cycle, document), Hold(Reason.UNSETTLED), document) for document in new]
    _commit(cycle, request, [], waits, [document.connectwise_id for document in documents], how)
    return waits


# What is in Xero


@dataclass(frozen=True, slots=True)
class InXero:
    """The documents that a look-up found for one record: its own (or nobody's), and those of other records."""

    own: Sequence[Found]
    others: Sequence[Found] = ()


def look(
    cycle: Cycle,
    documents: Sequence[Document],
    known: Mapping[int, Sequence[Found]] | None = None,
    by_link: bool = False,
) -> dict[int, InXero]:
    """Look documents of one organisation up by number, and by the numbers of those `known` from an earlier look.

    `by_link`: what is not there is also looked for by our link (or, of a kind without one, by its content), among all
    documents since its date. Raises LimitReached, Unreachable.
    """
    if cycle.kind is BILL:
        return _look_among_bills(cycle, documents)
    tenant_id, xero = documents[0].tenant_id, cycle.doors.xero
    seen = {number: list(found) for number, found in (known or {}).items()}
    numbers = [document.number for document in documents]
    numbers += [found.number for group in seen.values() for found in group if found.number]
    by_number = xero.documents_by_number(tenant_id, cycle.kind, list(dict.fromkeys(numbers)))
    fresh = {found.xero_id: found for group in by_number.values() for found in group}
    asked = {fold(number) for number in numbers}
    lost = [document for document in documents if not by_number.get(fold(document.number))]
    if by_link and lost:
        for page in xero.documents_since(tenant_id, cycle.kind, min(document.date for document in lost)):
            fresh |= {found.xero_id: found for found in page if any(is_ours(each, found) for each in lost)}
    bound = requests.owners(cycle.doors.audit, tenant_id, list(fresh))
    # Without a link documents may look alike: what is bound, or has another one's number, is that other one.
    free = [found for found in fresh.values() if found.xero_id not in bound and fold(found.number) not in asked]
    alike = {} if cycle.kind.linked else _alike(lost, free)
    there: dict[int, InXero] = {}
    for document in documents:
        # What was seen before and bears another number again is not in the answer: as it was seen.
        candidates = {found.xero_id: fresh.get(found.xero_id, found) for found in seen.get(document.connectwise_id, ())}
        candidates |= {found.xero_id: found for found in by_number.get(fold(document.number), ())}
        linked = [found for found in fresh.values() if cycle.kind.linked and found.url == document.url]
        candidates |= {found.xero_id: found for found in (*linked, *alike.get(document.connectwise_id, ()))}
        record = (document.family, document.connectwise_id)
        own: list[Found] = []
        others: list[Found] = []
        for found in candidates.values():
            owner = bound.get(found.xero_id) or cycle.doors.site.record_of(found.url)
            (own if owner in (None, record) else others).append(found)
        there[document.connectwise_id] = InXero(own, others)
    return there


def _look_among_bills(cycle: Cycle, documents: Sequence[Document]) -> dict[int, InXero]:
    """Look for bills among all live bills of their suppliers: their numbers need not be unique (design 5).

    Other bills of one of the same orders, which our records know, are neither ours nor in the way.
    """
    tenant_id = documents[0].tenant_id
    there = {document.connectwise_id: InXero([]) for document in documents}
    asked = sorted({document.contact_id for document in documents if document.contact_id})
    fresh = [found for page in cycle.doors.xero.bills_of(tenant_id, asked) for found in page] if asked else []
    bound = requests.owners(cycle.doors.audit, tenant_id, [found.xero_id for found in fresh])
    numbers = _numbers_of_orders(cycle, documents) if fresh else {}
    shared = orders.sharing(cycle.doors.audit, [key for _, key in bound.values()])
    for document in documents:
        record = (document.family, document.connectwise_id)
        on_it = _orders_on(document)
        names = {*(document.orders or (document.reference,)), *(name for n in on_it for name in numbers.get(n, ()))}
        own: list[Found] = []
        others: list[Found] = []
        for found in fresh:
            owner = bound.get(found.xero_id) or cycle.doors.site.record_of(found.url)
            if owner == record:
                own.append(found)
            elif found.live and found.contact_id.lower() == document.contact_id.lower() and names_order(found, *names):
                if owner is None:
                    own.append(found)
                elif on_it.isdisjoint(shared.get(owner[1]) or {order_of(owner[1])}):
                    others.append(found)
        there[document.connectwise_id] = InXero(own, others)
    return there


def _orders_on(document: Document) -> set[int]:
    """The orders that a bill is for: the one that it is kept under, and those that share it."""
    lead = order_of(document.connectwise_id)
    return {lead} | orders_on(dict(document.billed), lead)


def _numbers_of_orders(cycle: Cycle, documents: Sequence[Document]) -> dict[int, set[str]]:
    """By order, what its purchase order in Xero was called when we wrote it, and is called now.

    A bill that a person copied from it there bears that number, which the template or she herself may have changed.
    """
    audit, tenant_id = cycle.doors.audit, documents[0].tenant_id
    ids = sorted({number for document in documents for number in _orders_on(document)})
    bound = {
        number: one
        for number, one in requests.bound(audit, PURCHASE_ORDER.family, ids).items()
        if one.tenant_id == tenant_id
    }
    if not bound:
        return {}
    lasts = requests.last_writes(audit, PURCHASE_ORDER.family, list(bound))
    there = cycle.doors.xero.documents_by_id(tenant_id, PURCHASE_ORDER, [one.xero_id for one in bound.values()])
    return {
        number: {lasts[number].answer.number} | ({there[one.xero_id].number} if one.xero_id in there else set())
        for number, one in bound.items()
    }


def _alike(lost: Sequence[Document], free: Sequence[Found]) -> dict[int, Sequence[Found]]:
    """Which of the documents in Xero may be these, by content.

    Where several of ours are alike it does not matter which of them is which, so each gets one; the rest is not there.
    With more in Xero than of ours nobody can tell, and each gets all.
    """
    groups: dict[tuple[object, ...], list[Document]] = defaultdict(list)
    for document in lost:
        groups[likeness(document)].append(document)
    alike: dict[int, Sequence[Found]] = {}
    for key, group in groups.items():
        found = [each for each in free if each.live and likeness(each) == key]
        several = len(found) > len(group)
        for place, document in enumerate(group):
            alike[document.connectwise_id] = found if several else found[place : place + 1]
    return alike


def choose(
    cycle: Cycle, document: Document, there: InXero, refused: bool = False, take: Take = ""
) -> Adopt | Create | Hold:
    """What to do with an unbound document in view of what is in Xero: adopt, hold, or create.

    `refused`: Xero says that the number is taken. Only then does a voided or deleted document that is not ours count:
    some keep their number, some free it, and only trying tells.
    """
    taken = [other for other in there.others if other.live]
    # Of purchase orders it is known: Xero never frees the number of a deleted one (xero.md, section 8).
    kept = refused or cycle.kind is PURCHASE_ORDER
    own = [other for other in there.own if kept or other.live or other.url == document.url]
    if cycle.kind is PURCHASE_ORDER:
        own += [other for other in there.others if not other.live]
    if taken and not any(other.live for other in own):
        return Hold(
            Reason.NUMBER_CONFLICT,
            document.number,
            f"{document.organisation} has a document {taken[0].number} already: that of another ConnectWise record.",
            "Give one of the two records another number in ConnectWise.",
        )
    return decide(document, own, cycle.tables.policy.decisions(document.organisation), take)


def adopt(cycle: Cycle, adoptions: Sequence[Adopt]) -> list[Result]:
    """Bind documents that are in Xero already; nothing is written there."""
    results: list[Result] = []
    for start in range(0, len(adoptions), ADOPTED):
        chunk = adoptions[start : start + ADOPTED]
        done = [
            cycle.result(entry_of(cycle, each.document), Outcome.UNCHANGED, None, each.document, each.found.xero_id)
            for each in chunk
        ]
        with cycle.doors.audit.transaction(cycle.lease) as connection:
            requests.bind_in(connection, [(each.document, each.found) for each in chunk], True, cycle.now())
            runs.record_in(connection, cycle.run_id, done, cycle.now())
        results += done
    return results


def bind_to_overwrite(cycle: Cycle, adoptions: Sequence[Adopt]) -> None:
    """Bind documents that an edit is about to follow; until it has, they count as never written by us."""
    if adoptions:
        with cycle.doors.audit.transaction(cycle.lease) as connection:
            pairs = [(each.document, each.found) for each in adoptions]
            requests.bind_in(connection, pairs, True, cycle.now(), ours=False)


def compare_again(cycle: Cycle, entries: Sequence[Entry], edited_now: Collection[int] = ()) -> list[Result]:
    """Unchanged records of which something was said before, or is to be now. Nothing is stored.

    Where Xero's total was not the predicted one, tracking was left out, or a person changed the document, Xero is asked
    whether it has been put right since. `edited_now`: records whose documents a sweep found changed.
    """
    ids = [entry.connectwise_id for entry in entries]
    audit = cycle.doors.audit
    bound = requests.bound(audit, cycle.family, ids)
    lasts = requests.last_writes(audit, cycle.family, ids)
    standings = runs.standings(audit, cycle.family, ids)
    said = {
        number: Reason.EDITED_IN_XERO.value
        if number in edited_now
        # Held for another edit of hers, which nothing of ours stands against any more: nothing is said of that.
        else ""
        if number not in standings or standings[number].outcome in WAITING
        else standings[number].reason
        for number in ids
    }
    wrong: dict[str, list[int]] = defaultdict(list)
    for number in ids:
        if lasts[number].answer.total != bound[number].total or said[number] in (
            Reason.MISSING_TRACKING,
            Reason.EDITED_IN_XERO,
        ):
            wrong[bound[number].organisation].append(number)
    now: dict[str, Found] = {}
    for organisation, numbers in sorted(wrong.items()):
        tenant_id, xero_ids = bound[numbers[0]].tenant_id, [bound[number].xero_id for number in numbers]
        cycle.reach(organisation, partial(_look_again, cycle, tenant_id, xero_ids, now))
    results: list[Result] = []
    for entry in entries:
        number = entry.connectwise_id
        hold = _still_wrong(
            cycle.kind, entry.reference, bound[number], lasts[number], now, said[number], standings.get(number)
        )
        result = cycle.result(
            entry, Outcome.UNCHANGED, hold, xero_id=bound[number].xero_id, organisation=bound[number].organisation
        )
        results.append(replace(result, amount=plain(bound[number].total), currency=bound[number].currency))
    return results


def _look_again(cycle: Cycle, tenant_id: str, xero_ids: Sequence[str], now: dict[str, Found]) -> None:
    now.update(cycle.doors.xero.documents_by_id(tenant_id, cycle.kind, xero_ids))


def _still_wrong(
    kind: Kind,
    reference: str,
    bound: Bound,
    last: LastWrite,
    now: Mapping[str, Found],
    said: str,
    standing: Standing | None,
) -> Hold | None:
    """What is still to be said of a posted document, as it is in Xero now (or was, where it could not be read)."""
    theirs = now.get(bound.xero_id, last.answer)
    if said == Reason.EDITED_IN_XERO:
        if bound.xero_id not in now and standing is not None:
            return Hold(Reason.EDITED_IN_XERO, standing.value, standing.message)
        return edited(kind, reference, bound, last, theirs) if theirs.live else None
    if theirs.total != bound.total:
        return Hold(
            Reason.TOTAL_DIFFERS,
            plain(theirs.total),
            f"{reference} was posted: ConnectWise says {plain(bound.total)} {bound.currency}, Xero has "
            f"{plain(theirs.total)}.",
        )
    # Whatever a person made of the tracking since, she has seen it.
    if standing is not None and said == Reason.MISSING_TRACKING and theirs.tracking == last.answer.tracking:
        return Hold(Reason.MISSING_TRACKING, standing.value, standing.message, checks.TRACKING_CURE)
    return None


# What an earlier cycle left behind


def settle_earlier(cycle: Cycle) -> list[Result]:
    """Settle what an interrupted cycle left behind, before anything new is written.

    Younger than five minutes: the same bytes under the same key get the first answer again. Older: looked up. What
    is not there waits to be planned anew, by this cycle or, where it does not come by, by the next one. An update is
    always planned anew: what stands in Xero tells whether it arrived, and a person may have changed it since.
    """
    results: list[Result] = []
    connected = set(cycle.doors.tenants.values())
    for request in requests.unsettled(cycle.doors.audit, cycle.family):
        if request.organisation in cycle.closed or request.tenant_id not in connected:
            continue
        if request.method == "POST":
            results += _sent_anew(cycle, request, [row.document for row in request.rows], "to be compared")
        elif cycle.kind.unique and cycle.now() - request.stored_at < KEY_LASTS:
            results += _send(cycle, request, 0).results
        else:
            results += _looked_up(cycle, request, request.rows, 0, "an earlier cycle got no answer").results
    return results


# Outcomes


def _commit(
    cycle: Cycle,
    request: Request,
    bindings: Sequence[tuple[Document, Found]],
    results: Sequence[Result],
    settled: Iterable[int],
    how: str,
    taken_over: Sequence[tuple[Document, Found]] = (),
) -> None:
    """Bindings, outcomes and the settling of their rows: one transaction, before anything else can fail."""
    now, ids = cycle.now(), list(settled)
    if not ids:
        return
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        requests.bind_in(connection, bindings, False, now)
        requests.bind_in(connection, taken_over, True, now)
        requests.settle_in(connection, request, ids, how, now)
        if results:
            runs.record_in(connection, cycle.run_id, results, now)


def entry_of(cycle: Cycle, document: Document) -> Entry:
    """The record that a document was made from; of an interrupted cycle's perhaps no more than its number."""
    known = cycle.entries.get(document.connectwise_id)
    return known or Entry(document.connectwise_id, document.reference, {})


def _posted(cycle: Cycle, document: Document, found: Found) -> Result:
    problems = checks.after_posting(document, found)
    hold = problems[0] if problems else None
    return cycle.result(entry_of(cycle, document), Outcome.POSTED, hold, document, found.xero_id)


def rejected(
    cycle: Cycle, refused: Sequence[tuple[Document, str]], bodies: Mapping[int, str] | None = None
) -> list[Result]:
    """Documents of one organisation that Xero refused, each with its words; `bodies` name what was refused."""
    if not refused:
        return []
    organisation = refused[0][0].organisation
    ids = [document.connectwise_id for document, _ in refused]
    before = runs.standings(cycle.doors.audit, cycle.family, ids)
    if any(number not in before or before[number].outcome is not Outcome.REJECTED for number in ids):
        # What we know of the organisation may be out of date: the next cycle reads it anew, once.
        cycle.lists.expire(organisation)
    return [
        cycle.result(
            entry_of(cycle, document),
            Outcome.REJECTED,
            Hold(
                Reason.REFUSED_BY_XERO,
                words,
                f"Xero refused {document.reference} in {organisation}: {words.rstrip('.')}.",
            ),
            document,
            body=(bodies or {}).get(document.connectwise_id) or rejected_body(cycle, document),
        )
        for document, words in refused
    ]


def rejected_body(cycle: Cycle, document: Document, content: str = "") -> str:
    """What was refused, and as the organisation was then: the same again would be refused again.

    `content` of an update, which says more than the document.
    """
    sent = hashlib.blake2b(content.encode(), digest_size=16).hexdigest() if content else document.fingerprint
    return f"{sent}:{cycle.lists.books([document.organisation])[document.organisation].digest}"


def put_off(cycle: Cycle, documents: Sequence[Document], rounds: int) -> list[Result]:
    """What is not sent (any more) in this cycle; `rounds` is how often it was."""
    closed = cycle.closed.get(documents[0].organisation)
    if isinstance(closed, LimitReached):
        return deferred(cycle, documents, limit_hold(closed))
    if closed is not None and not rounds:
        # Never sent, and the cycle fails for it: they stand as they did, and the watermark stays where it is.
        return []
    return deferred(cycle, documents, Hold(Reason.UNSETTLED))


def limit_hold(limit: LimitReached) -> Hold:
    """The wait for more calls."""
    return Hold(Reason.DAY_LIMIT, message=f"{limit}.")


def deferred(cycle: Cycle, documents: Sequence[Document], hold: Hold) -> list[Result]:
    """Documents that wait, stored as such."""
    return _record(cycle, [cycle.hold(entry_of(cycle, document), hold, document) for document in documents])


def _record(cycle: Cycle, results: list[Result]) -> list[Result]:
    """Store outcomes that settle no request."""
    runs.record(cycle.doors.audit, cycle.run_id, results, cycle.now(), cycle.lease)
    return results


def _remember(cycle: Cycle, posted: Sequence[Result], creates: Sequence[Create]) -> None:
    if cycle.cache.full:
        return
    by_id = {each.document.connectwise_id: each for each in creates}
    for result in posted:
        each = by_id.get(result.connectwise_id)
        if each is not None:
            audit, body = cycle.doors.audit, each.document.sent.encode()
            key = load_key(cycle.doors.installation, audit.id, each.writes, each.document, body)
            cycle.cache.keep(key, {"xero_id": result.xero_id, "reference": result.reference})


def number_is_taken(words: str) -> bool:
    """Whether Xero refuses a number that another document has."""
    return "must be unique" in words.lower()
