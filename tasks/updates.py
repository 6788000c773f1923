"""Writing edits to documents that are in Xero, so that whatever is killed, lost or repeated, none is lost or mixed up.

The order is that of new documents (posting.py): store the request, send its exact bytes, match the answer by id, note
it and record the outcome in one transaction. When an answer is missing or unclear, the documents are read again and
decided on anew: what arrived is noted, what did not goes out once more, and what a person changed meanwhile counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from blocks.audit import requests, runs
from blocks.audit.requests import Occupied, Rebinding, StoredRequest
from blocks.audit.runs import Result
from blocks.failures import LimitReached, Unreachable
from blocks.xero.client import BatchRefused, Element, FateUnknown
from mappings import checks
from mappings.outcomes import Hold, Outcome, Reason
from mappings.updates import Settled, Update, decide_update, expected_total
from mappings.xero import Document, Found
from tasks.cycle import Cycle
from tasks.policies import load_key
from tasks.posting import (
    OUTAGE,
    PARAMETERS,
    ROUNDS,
    deferred,
    entry_of,
    limit_hold,
    number_is_taken,
    put_off,
    rejected,
    rejected_body,
    sent,
)

Request = StoredRequest[Document]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Updates of one organisation that are to be sent; `rounds` counts how often their fate was in doubt."""

    updates: Sequence[Update]
    rounds: int = 0


@dataclass(slots=True)
class _Ended:
    """What became of a request: outcomes (stored), and what has to be sent again under a new key."""

    results: list[Result] = field(default_factory=list)
    again: list[_Batch] = field(default_factory=list)
    in_doubt: bool = False


def update(cycle: Cycle, updates: Sequence[Update]) -> list[Result]:
    """Write edits to documents of one organisation, at most 50; every one of them ends in an outcome that is stored.

    Left without an outcome is only what was never sent because Xero stopped answering. Raises NotConfigured, LeaseLost,
    AuditUnusable.
    """
    results: list[Result] = []
    organisation = updates[0].document.organisation
    waiting = deque([_Batch(updates)])
    in_a_row = 0
    while waiting:
        batch = waiting.popleft()
        if organisation in cycle.closed or batch.rounds >= ROUNDS:
            results += put_off(cycle, [each.document for each in batch.updates], batch.rounds)
            continue
        ended = _attempt(cycle, batch)
        results += ended.results
        waiting.extend(ended.again)
        in_a_row = in_a_row + 1 if ended.in_doubt else 0
        if in_a_row == OUTAGE:
            cycle.close(organisation, Unreachable(f"Xero gives no clear answer to any write to {organisation}."))
    _remember(cycle, results, updates)
    return results


def _attempt(cycle: Cycle, batch: _Batch) -> _Ended:
    """One request for one batch, stored before it is sent."""
    path = cycle.kind.collection
    elements = ",".join(each.content for each in batch.updates)
    try:
        request = requests.store(
            cycle.doors.audit,
            cycle.run_id,
            "POST",
            f"{path}?{PARAMETERS}",
            f'{{"{path}":[{elements}]}}'.encode(),
            [each.document for each in batch.updates],
            cycle.now(),
            cycle.lease,
            updating={each.document.connectwise_id: each.bound.writes for each in batch.updates},
        )
    except Occupied:
        return _without_occupied(cycle, batch)
    try:
        answer = sent(cycle, request)
    except BatchRefused as refused:
        return _refused(cycle, request, batch, refused.words)
    except FateUnknown as unknown:
        ended = _read_again(cycle, request, batch.updates, batch.rounds, str(unknown))
        ended.in_doubt = True
        return ended
    except LimitReached as limit:
        # An attempt before this one may have got through without an answer, so the rows stay unsettled.
        cycle.close(request.organisation, limit)
        return _Ended(deferred(cycle, [each.document for each in batch.updates], limit_hold(limit)))
    return _answered(cycle, request, batch, answer)


def _without_occupied(cycle: Cycle, batch: _Batch) -> _Ended:
    """Some record was written meanwhile (an earlier attempt of this very task), or is in doubt."""
    audit, ids = cycle.doors.audit, [each.document.connectwise_id for each in batch.updates]
    bound = requests.bound(audit, cycle.family, ids)
    in_doubt = requests.unsettled_ids(audit, cycle.family)
    told: list[Result] = []
    unclear: list[Document] = []
    free: list[Update] = []
    for each in batch.updates:
        document = each.document
        now = bound.get(document.connectwise_id)
        if now is not None and now.fingerprint == document.fingerprint:
            told.append(cycle.result(entry_of(cycle, document), Outcome.UPDATED, None, document, now.xero_id))
        elif now is None or document.connectwise_id in in_doubt or now.writes != each.bound.writes:
            unclear.append(document)
        else:
            free.append(each)
    return _Ended(told + deferred(cycle, unclear, Hold(Reason.UNSETTLED)), [_Batch(free, batch.rounds)] if free else [])


def _answered(cycle: Cycle, request: Request, batch: _Batch, elements: Sequence[Element]) -> _Ended:
    """Note what was accepted, record what was refused, in one transaction; read again what is still unclear."""
    by_id = {element.found.xero_id.lower(): element for element in elements}
    results: list[Result] = []
    written: list[tuple[Update, Found]] = []
    unclear: list[Update] = []
    for each in batch.updates:
        element = by_id.get(each.bound.xero_id.lower())
        if element is None and len(batch.updates) == len(elements) == 1 and not elements[0].accepted:
            element = elements[0]
        if element is None:
            unclear.append(each)
        elif element.accepted:
            written.append((each, element.found))
        else:
            results += _not_taken(cycle, each, "; ".join(element.errors))
    results += [_updated(cycle, each, found) for each, found in written]
    _commit(cycle, request, [_rebinding(each, found) for each, found in written], results, "answered")
    ended = _Ended(results)
    if unclear:
        more = _read_again(cycle, request, unclear, batch.rounds, "an answer could not be told apart")
        ended.results += more.results
        ended.again += more.again
    return ended


def _refused(cycle: Cycle, request: Request, batch: _Batch, words: str) -> _Ended:
    """A definite no to the whole call: nothing was written."""
    if len(batch.updates) == 1:
        results = _not_taken(cycle, batch.updates[0], words)
        _commit(cycle, request, [], results, "refused")
        return _Ended(results)
    _settle(cycle, request, batch.updates, "refused, split")
    middle = len(batch.updates) // 2
    return _Ended(again=[_Batch(batch.updates[:middle], batch.rounds), _Batch(batch.updates[middle:], batch.rounds)])


def _read_again(cycle: Cycle, request: Request, updates: Sequence[Update], rounds: int, why: str) -> _Ended:
    """Read documents whose fate is unknown, and decide on them as they stand now."""
    there: dict[str, Found] = {}
    ids = [each.bound.xero_id for each in updates]
    if not cycle.reach(
        request.organisation,
        lambda: there.update(cycle.doors.xero.documents_by_id(request.tenant_id, cycle.kind, ids)),
    ):
        closed = cycle.closed[request.organisation]
        hold = limit_hold(closed) if isinstance(closed, LimitReached) else Hold(Reason.UNSETTLED, why)
        return _Ended(deferred(cycle, [each.document for each in updates], hold))
    results: list[Result] = []
    noted: list[Rebinding] = []
    again: list[Update] = []
    for each in updates:
        decisions = cycle.tables.policy.decisions(each.document.organisation)
        theirs = there.get(each.bound.xero_id)
        action = decide_update(each.document, each.bound, each.last, theirs, decisions, None, each.take, True)
        if isinstance(action, Settled):
            results.append(_updated(cycle, each, action.found))
            noted.append(_rebinding(each, action.found))
        elif isinstance(action, Hold):
            results.append(cycle.hold(entry_of(cycle, each.document), action, each.document))
        else:
            again.append(action)
    _commit(cycle, request, noted, results, "read again")
    _settle(cycle, request, again, "read again, not there")
    if rounds == 0 or len(again) < 2:
        return _Ended(results, [_Batch(again, 1 if rounds == 0 else ROUNDS)] if again else [])
    middle = len(again) // 2
    return _Ended(results, [_Batch(again[:middle], rounds + 1), _Batch(again[middle:], rounds + 1)])


def settle(cycle: Cycle, settled: Sequence[Settled]) -> list[Result]:
    """Take what stands in Xero for the base: our own write whose answer was lost, or a person's version."""
    if not settled:
        return []
    results = [
        cycle.result(
            entry_of(cycle, each.document),
            Outcome.UPDATED if each.written else Outcome.UNCHANGED,
            None,
            each.document,
            each.found.xero_id,
        )
        for each in settled
    ]
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        noted = [
            Rebinding(
                each.document,
                each.found,
                each.line_ids,
                each.total,
                each.found.date or each.document.date,
                written=each.written,
            )
            for each in settled
        ]
        requests.rebind_in(connection, noted, cycle.now())
        runs.record_in(connection, cycle.run_id, results, cycle.now())
    return results


def refused_body(cycle: Cycle, each: Update) -> str:
    """Names what an update would send, for a comparison with what was refused."""
    return rejected_body(cycle, each.document, each.content)


def _not_taken(cycle: Cycle, each: Update, words: str) -> list[Result]:
    """An update that Xero refused."""
    results = rejected(cycle, [(each.document, words)], {each.document.connectwise_id: refused_body(cycle, each)})
    if not number_is_taken(words):
        return results
    message = (
        f"{each.document.organisation} has a document {each.document.number} already, so the number stays as it was."
    )
    return [replace(result, reason=Reason.NUMBER_CONFLICT, message=message) for result in results]


def _updated(cycle: Cycle, each: Update, found: Found) -> Result:
    problems = [] if each.deletes else checks.after_update(each, found)
    hold = problems[0] if problems else None
    result = cycle.result(entry_of(cycle, each.document), Outcome.UPDATED, hold, each.document, found.xero_id)
    return replace(result, message=_deleted(each)) if each.deletes else result


def _deleted(each: Update) -> str:
    """What is told of a purchase order that was deleted; its number there is another one from then on."""
    document = each.document
    return (
        f"{document.reference} was cancelled in ConnectWise; its purchase order in {document.organisation} was deleted "
        f"too, and is called {document.number} there."
    )


def _rebinding(each: Update, found: Found) -> Rebinding:
    # A date that we did not write is as it stands there: ours, or a person's.
    on = each.document.date if "Date" in each.merged.body else found.date or each.document.date
    return Rebinding(each.document, found, each.merged.line_ids, expected_total(each, found), on, written=True)


def _commit(cycle: Cycle, request: Request, noted: Sequence[Rebinding], results: Sequence[Result], how: str) -> None:
    """Bindings, outcomes and the settling of their rows: one transaction, before anything else can fail."""
    if not results:
        return
    now = cycle.now()
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        requests.rebind_in(connection, noted, now)
        requests.settle_in(connection, request, [result.connectwise_id for result in results], how, now)
        runs.record_in(connection, cycle.run_id, results, now)


def _settle(cycle: Cycle, request: Request, updates: Sequence[Update], how: str) -> None:
    """Settle rows of which nothing came, so that they may go out again under a new key."""
    if updates:
        with cycle.doors.audit.transaction(cycle.lease) as connection:
            ids = [each.document.connectwise_id for each in updates]
            requests.settle_in(connection, request, ids, how, cycle.now())


def _remember(cycle: Cycle, results: Sequence[Result], updates: Sequence[Update]) -> None:
    """Cache each success under its own key."""
    if cycle.cache.full:
        return
    by_id = {each.document.connectwise_id: each for each in updates}
    for result in results:
        each = by_id.get(result.connectwise_id)
        if each is not None and result.outcome is Outcome.UPDATED:
            audit = cycle.doors.audit
            key = load_key(cycle.doors.installation, audit.id, each.bound.writes, each.document, each.content.encode())
            cycle.cache.keep(key, {"xero_id": result.xero_id, "reference": result.reference})
