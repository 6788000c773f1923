"""Load for what credit notes are applied to: a call for each credit note, and one for each allocation taken off.

Nothing in Xero tells one allocation from another that is like it. So the rule for doubt is that of payments: what was
sent and not answered is looked for on the credit note first. What is not there goes out again only as the same bytes
under the same key, and is decided on anew after that key's life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.audit import requests, runs, settlements
from blocks.audit.requests import Occupied, StoredRequest
from blocks.audit.runs import Result
from blocks.failures import LimitReached
from blocks.xero.client import KEY_LASTS, BatchRefused, Element, FateUnknown
from mappings.allocations import Allocate, Allocating, Case, Credit, Unallocate, decide_allocations
from mappings.kinds import CREDIT_NOTE
from mappings.money import plain
from mappings.outcomes import Hold, Reason
from tasks.cycle import Cycle
from tasks.payments import SENDS
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, worth_a_retry
from tasks.posting import limit_hold, sent
from tasks.settlements import Settling

Write = Allocate | Unallocate
Request = StoredRequest[Any]


class Deciding:
    """Invoices whose allocations are decided on, one after the other: they may share what is left of a credit note."""

    verb = "map"

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.references = [case.owed.invoice_number for case in cases]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def map_allocations(batch: Deciding) -> list[Allocating]:
    """What is to be written for each invoice. Never cached: it stands on what Xero says this minute."""
    credits: dict[int, Credit] = {}
    decided: list[Allocating] = []
    for case in batch.cases:
        credits = {**case.credits, **{memo: one for memo, one in credits.items() if memo in case.credits}}
        decided.append(decide_allocations(replace(case, credits=credits)))
        for each in decided[-1].allocates:
            credits[each.memo] = credits[each.memo].less(each.amount)
    return decided


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one write: done, or why not; `refused` in Xero's own words."""

    write: Write
    hold: Hold | None = None
    refused: str = ""


class Loading:
    """Allocations of one credit note: one call. `settlings` are the invoices that they are for.

    `used`: by invoice, the highest instalment of each memo as far as those who decided on it know, theirs included.
    """

    verb = "allocate"

    def __init__(
        self,
        cycle: Cycle,
        settlings: Sequence[Settling],
        writes: Sequence[Allocate],
        used: Mapping[int, Mapping[int, int]],
    ) -> None:
        self.cycle = cycle
        self.used = used
        self.settlings = {each.connectwise_id: each for each in settlings}
        self.writes = writes
        self.references = [each.reference for each in writes]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def load_allocations(batch: Loading) -> list[Written]:
    """Allocate one credit note to its invoices. Until all of an invoice is written it counts as unsettled."""
    cycle, writes = batch.cycle, batch.writes
    first = writes[0]
    if first.organisation in cycle.closed:
        return _put_off(cycle, writes)
    body = {"Allocations": [each.body() for each in writes]}
    try:
        request = requests.store(
            cycle.doors.audit, cycle.run_id, "PUT",
            f"CreditNotes/{first.credit_xero_id}/Allocations?summarizeErrors=false",
            simplejson.dumps(body, use_decimal=True, separators=(",", ":")).encode(), writes, cycle.now(), cycle.lease,
            used={each.connectwise_id: batch.used[each.connectwise_id] for each in writes},
        )  # fmt: skip
    except Occupied:
        return [Written(each, Hold(Reason.UNSETTLED)) for each in writes]
    try:
        elements = _sent(cycle, request)
    except BatchRefused as refused:
        if len(writes) > 1:
            # Which of them is meant is not said: each goes alone.
            _settle(cycle, request, [], "refused, split")
            return [
                one
                for each in writes
                for one in load_allocations.fn(Loading(cycle, list(batch.settlings.values()), [each], batch.used))
            ]
        _settle(cycle, request, [], "refused")
        return [Written(first, refused=refused.words)]
    except FateUnknown as unknown:
        arrived = _seen(cycle, request) or []
        if len(arrived) < len(writes):
            return [Written(each, Hold(Reason.UNSETTLED, str(unknown))) for each in writes]
        _settle(cycle, request, arrived, "looked up", [batch.settlings[each.connectwise_id] for each in writes])
        return [Written(each) for each in writes]
    except LimitReached as limit:
        cycle.close(first.organisation, limit)
        return _put_off(cycle, writes)
    answers = match(writes, elements)
    if len(answers) < len(writes):
        return [Written(each, Hold(Reason.UNSETTLED, "an answer could not be told apart")) for each in writes]
    done = [
        (each, answers[_key(each)].found.xero_id, answers[_key(each)].found.text)
        for each in writes
        if answers[_key(each)].accepted
    ]
    _settle(cycle, request, done, "answered", [batch.settlings[each.connectwise_id] for each, _, _ in done])
    return [
        Written(each) if answers[_key(each)].accepted else Written(each, refused="; ".join(answers[_key(each)].errors))
        for each in writes
    ]


def _sent(cycle: Cycle, request: Request) -> list[Element]:
    """Send a request, and again while nothing of it is to be seen. Raises FateUnknown, BatchRefused, LimitReached.

    A client that repeats a call by itself trusts its key alone.
    """
    for left in range(SENDS - 1, -1, -1):
        try:
            return sent(cycle, request, repeats=False)
        except FateUnknown:
            if not left or _seen(cycle, request) != []:
                raise
    raise AssertionError("the last attempt raises")


def match(writes: Sequence[Allocate], elements: Sequence[Element]) -> dict[str, Element]:
    """Which element of an answer belongs to which allocation: by its invoice, of which a call has each but once."""
    left = {each.invoice_xero_id.lower(): each for each in writes}
    found: dict[str, Element] = {}
    strangers: list[Element] = []
    for element in elements:
        write = left.pop(element.found.number.lower(), None)
        if write is None:
            strangers.append(element)
        else:
            found[_key(write)] = element
    if len(left) == len(strangers) == 1:
        found[_key(next(iter(left.values())))] = strangers[0]
    return found


def _key(write: Allocate) -> str:
    """Names one allocation of a call: the invoice, and which of its allocations."""
    return f"{write.connectwise_id}:{write.part}"


def take_off(cycle: Cycle, settling: Settling, write: Unallocate) -> Written:
    """Take one allocation of ours off again."""
    if write.organisation in cycle.closed:
        return _put_off(cycle, [write])[0]
    try:
        request = requests.store(
            cycle.doors.audit, cycle.run_id, "DELETE",
            f"CreditNotes/{write.credit_xero_id}/Allocations/{write.allocation_id}", b"", [write], cycle.now(),
            cycle.lease, updating={write.connectwise_id: 1},
        )  # fmt: skip
    except Occupied:
        return Written(write, Hold(Reason.UNSETTLED))
    try:
        _sent(cycle, request)
    except BatchRefused as refused:
        _settle(cycle, request, [], "refused")
        return Written(write, refused=refused.words)
    except FateUnknown as unknown:
        if not _seen(cycle, request):
            return Written(write, Hold(Reason.UNSETTLED, str(unknown)))
    except LimitReached as limit:
        cycle.close(write.organisation, limit)
        return _put_off(cycle, [write])[0]
    _settle(cycle, request, [(write, "", "")], "answered", [settling])
    return Written(write)


def _put_off(cycle: Cycle, writes: Sequence[Write]) -> list[Written]:
    problem = cycle.closed[writes[0].organisation]
    hold = limit_hold(problem) if isinstance(problem, LimitReached) else Hold(Reason.UNSETTLED)
    return [Written(each, hold) for each in writes]


Done = tuple[Write, str, str]


def _settle(cycle: Cycle, request: Request, done: Sequence[Done], how: str, settlings: Sequence[Settling] = ()) -> None:
    """Note what was done and settle the request, in one transaction; its invoices stay unsettled until all is."""
    waits = [_meanwhile(cycle, each, done[0][0]) for each in {one.connectwise_id: one for one in settlings}.values()]
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        settlements.bind_in(
            connection, [(write, xero_id, text) for write, xero_id, text in done if isinstance(write, Allocate)],
            cycle.now(),
        )  # fmt: skip
        for write, _, _ in done:
            if isinstance(write, Unallocate):
                settlements.unbind_in(connection, cycle.family, {write.connectwise_id: [write.part]})
        ids = [row.connectwise_id for row in request.rows]
        requests.settle_in(connection, request, ids, how, cycle.now())
        if waits:
            runs.wait_in(connection, cycle.run_id, waits, cycle.now())


def _meanwhile(cycle: Cycle, settling: Settling, write: Write) -> Result:
    result = cycle.hold(settling.entry, Hold(Reason.UNSETTLED), organisation=write.organisation)
    return replace(result, amount=plain(settling.amount), currency=write.currency, is_open=settling.is_open)


def settle_earlier(cycle: Cycle) -> None:
    """Find out what became of every request that an earlier cycle left open; what did not arrive is decided on anew.

    The credit notes tell. What is on none of them and younger than five minutes goes out again: the same bytes under
    the same key.
    """
    connected = set(cycle.doors.tenants.values())
    for request in requests.unsettled(cycle.doors.audit, cycle.family):
        if request.organisation in cycle.closed or request.tenant_id not in connected:
            continue
        young = cycle.now() - request.stored_at < KEY_LASTS
        done = _seen(cycle, request)
        again = young and done == []
        if again:
            done = _sent_again(cycle, request)
        # A part of it that is there and young waits: the rest may still be on its way.
        if done is not None and not (young and not again and len(done) < len(request.rows)):
            _settle(cycle, request, done, "sent again" if again else "looked up")


def _sent_again(cycle: Cycle, request: Request) -> list[Done] | None:
    """The same bytes under the same key; None: it is still not known what became of them."""
    writes: list[Write] = [row.document for row in request.rows]
    try:
        elements = _sent(cycle, request)
    except BatchRefused:
        return []
    except FateUnknown:
        return None
    except LimitReached as limit:
        cycle.close(request.organisation, limit)
        return None
    if request.method == "DELETE":
        return [(each, "", "") for each in writes]
    allocates = [each for each in writes if isinstance(each, Allocate)]
    answers = match(allocates, elements)
    if len(answers) < len(allocates):
        return None
    found = [(each, answers[_key(each)]) for each in allocates]
    return [(each, one.found.xero_id, one.found.text) for each, one in found if one.accepted]


def _seen(cycle: Cycle, request: Request) -> list[Done] | None:
    """What the credit note shows of a request whose key is not good any more; None: Xero could not be asked."""
    writes: list[Write] = [row.document for row in request.rows]
    credits: dict[str, Credit] = {}
    if not cycle.reach(request.organisation, partial(_read, cycle, request.tenant_id, writes, credits)):
        return None
    ours = settlements.parts(cycle.doors.audit, cycle.family, [each.connectwise_id for each in writes])
    done: list[Done] = []
    for write in writes:
        credit = credits.get(write.credit_xero_id.lower())
        if credit is None:
            continue
        there = credit.on(write.invoice_xero_id)
        if isinstance(write, Unallocate):
            if all(each.xero_id.lower() != write.allocation_id.lower() for each in there):
                done.append((write, "", ""))
            continue
        # Those that we know of account for as many of the same amount.
        known = sum(
            1
            for each in ours.get(write.connectwise_id, ())
            if each.total == write.amount and each.part.startswith(f"{write.memo}-")
        )
        alike = [each for each in there if each.amount == write.amount]
        if len(alike) > known:
            done.append((write, alike[-1].xero_id or f"on {write.invoice_xero_id}", "{}"))
    return done


def _read(cycle: Cycle, tenant_id: str, writes: Sequence[Write], credits: dict[str, Credit]) -> None:
    ids = list(dict.fromkeys(each.credit_xero_id for each in writes))
    found = cycle.doors.xero.documents_by_id(tenant_id, CREDIT_NOTE, ids)
    credits |= {xero_id.lower(): Credit.read(each, tenant_id) for xero_id, each in found.items()}
