"""Deleting drafts whose record was deleted in ConnectWise: the one thing that is ever taken out of Xero unasked.

Only by policy, only an unedited draft, and only after ConnectWise itself said that the record is gone (design 5). Like
every write it is stored first; what became of it when no answer comes, the document itself tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from blocks.audit import requests, runs
from blocks.audit.requests import Occupied, StoredRequest
from blocks.audit.runs import Result, Standing
from blocks.failures import LimitReached
from blocks.xero.client import BatchRefused, Element, FateUnknown
from mappings.money import plain
from mappings.outcomes import Hold, Outcome, Reason
from mappings.sweeping import Remove, missing
from mappings.xero import Document, Found
from tasks.cycle import Cycle, Entry
from tasks.posting import BATCH, PARAMETERS, sent

Each = tuple[Remove, Standing]


def remove(cycle: Cycle, removes: Sequence[Each]) -> None:
    """Delete drafts, or plan to; every one of them ends in an outcome that is stored and counted."""
    if not cycle.writing:
        cycle.planned.extend(each for each, _ in removes)
        cycle.counts["planned"] += len(removes)
        cycle.dealt_with.update(each.document.connectwise_id for each, _ in removes)
        return
    by_organisation: dict[str, list[Each]] = defaultdict(list)
    for each in removes:
        by_organisation[each[0].bound.organisation].append(each)
    for organisation, group in by_organisation.items():
        for start in range(0, len(group), BATCH):
            batch = group[start : start + BATCH]
            if not cycle.reach(organisation, lambda batch=batch: _write(cycle, batch)):  # type: ignore[misc]  # mypy and defaults
                _not_now(cycle, batch)


def _write(cycle: Cycle, batch: Sequence[Each]) -> None:
    """One request. Raises LimitReached, Unreachable; its rows stay unsettled then, and the next cycle looks."""
    path = cycle.kind.collection
    elements = ",".join(each.content for each, _ in batch)
    try:
        request = requests.store(
            cycle.doors.audit,
            cycle.run_id,
            "POST",
            f"{path}?{PARAMETERS}",
            f'{{"{path}":[{elements}]}}'.encode(),
            [each.document for each, _ in batch],
            cycle.now(),
            cycle.lease,
            updating={each.document.connectwise_id: each.bound.writes for each, _ in batch},
        )
    except Occupied:
        _not_now(cycle, batch)
        return
    try:
        answer = sent(cycle, request)
    except BatchRefused as refused:
        _commit(cycle, request, [_not_taken(cycle, each, refused.words) for each in batch], "refused")
        return
    except FateUnknown:
        _look(cycle, request, batch)
        return
    by_id = {element.found.xero_id.lower(): element for element in answer}
    if all(_is_clear(by_id.get(each.bound.xero_id.lower())) for each, _ in batch):
        results = [_answered(cycle, each, by_id[each[0].bound.xero_id.lower()]) for each in batch]
        _commit(cycle, request, results, "answered")
    else:
        _look(cycle, request, batch)


def _is_clear(element: Element | None) -> bool:
    return element is not None and (not element.accepted or not element.found.live)


def _answered(cycle: Cycle, each: Each, element: Element) -> Result:
    if element.accepted:
        return _removed(cycle, each, element.found)
    return _not_taken(cycle, each, "; ".join(element.errors))


def _look(cycle: Cycle, request: StoredRequest[Document], batch: Sequence[Each]) -> None:
    """The answer was lost: the documents tell."""
    ids = [each.bound.xero_id for each, _ in batch]
    there = cycle.doors.xero.documents_by_id(request.tenant_id, cycle.kind, ids)
    results = [
        _removed(cycle, each, found)
        if (found := there.get(each[0].bound.xero_id)) is not None and not found.live
        else _still_there(cycle, each)
        for each in batch
    ]
    _commit(cycle, request, results, "read again")


def _commit(cycle: Cycle, request: StoredRequest[Document], results: Sequence[Result], how: str) -> None:
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        requests.settle_in(connection, request, [each.connectwise_id for each in results], how, cycle.now())
        runs.record_in(connection, cycle.run_id, results, cycle.now())
    cycle.count(results)


def _removed(cycle: Cycle, each: Each, found: Found) -> Result:
    write, standing = each
    organisation = write.bound.organisation
    result = cycle.result(
        Entry.known(standing), Outcome.UPDATED, xero_id=write.bound.xero_id, organisation=organisation
    )
    message = (
        f"{standing.reference} was deleted in ConnectWise; its draft in {organisation} ({plain(write.theirs.total)} "
        f"{write.theirs.currency}) was deleted too, as [deleted] in policy.toml says."
    )
    return replace(result, message=message, amount=plain(found.total), currency=found.currency)


def _still_there(cycle: Cycle, each: Each) -> Result:
    write, standing = each
    hold = missing(cycle.kind, standing.reference, standing.connectwise_id, write.bound, write.theirs, certain=True)
    result = cycle.hold(Entry.known(standing), hold, organisation=write.bound.organisation)
    return replace(result, amount=plain(write.theirs.total), currency=write.theirs.currency)


def _not_taken(cycle: Cycle, each: Each, words: str) -> Result:
    """Xero refused: told as what it is, a record that is gone and a document that is not."""
    result = _still_there(cycle, each)
    return replace(result, message=f"{result.message} Xero refused to delete it: {words.rstrip('.')}.")


def _not_now(cycle: Cycle, batch: Sequence[Each]) -> None:
    """Nothing was sent, or what became of it is not known: the next cycle goes on."""
    organisation = batch[0][0].bound.organisation
    closed = cycle.closed.get(organisation)
    hold = Hold(Reason.DAY_LIMIT, message=f"{closed}.") if isinstance(closed, LimitReached) else Hold(Reason.UNSETTLED)
    cycle.record([cycle.hold(Entry.known(standing), hold, organisation=organisation) for _, standing in batch])
