"""Decide and load for payments: thin tasks over the clients and the pure decision.

A payment has no number that Xero keeps unique, and the same call sent twice pays twice (xero.md, trap 5). So the rule
for doubt is stricter than for documents: what was sent and not answered is looked for on the invoice before anything
else. What is not there goes out again only as the same bytes under the same key; after that key's life all is decided
anew. So a key that Xero has lost doubles nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection

from blocks.audit import requests, runs, settlements
from blocks.audit.requests import Occupied, StoredRequest
from blocks.audit.runs import Result
from blocks.failures import LimitReached
from blocks.xero.client import KEY_LASTS, BatchRefused, Element, FateUnknown
from mappings.kinds import INVOICE
from mappings.money import plain, total
from mappings.outcomes import Hold, Outcome, Reason
from mappings.payments import Case, Pay, Paying, Unpay, decide_payments, part_of
from mappings.receivables import Receivable
from tasks.cycle import Cycle
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, load_key, worth_a_retry
from tasks.posting import limit_hold, sent
from tasks.settlements import Settling

Write = Pay | Unpay
SENDS = 4
"""How often a call is tried where no answer comes; between two attempts the invoices are asked."""
Request = StoredRequest[Any]


# Decide


class Deciding:
    """Invoices whose payments are decided on, in both systems as they are now."""

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
def map_payments(batch: Deciding) -> list[Paying | Hold | None]:
    """What is to be written for each invoice. Never cached: it stands on what Xero says this minute."""
    return [decide_payments(case) for case in batch.cases]


# Load


@dataclass(frozen=True, slots=True)
class Payment:
    """What is to be written for one invoice in one call, and the record that it comes from.

    `used`: the highest instalment of each row when it was decided on.
    """

    settling: Settling
    writes: Sequence[Write]
    first: bool
    used: Mapping[int, int]

    @property
    def amount(self) -> str:
        """What it comes to, in the invoice's currency."""
        return plain(total(each.amount for each in self.writes if isinstance(each, Pay)))


class Loading:
    """Payments of one organisation: one call."""

    verb = "load"

    def __init__(self, cycle: Cycle, payments: Sequence[Payment]) -> None:
        self.cycle = cycle
        self.payments = payments
        self.references = [each.settling.reference for each in payments]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def load_payments(batch: Loading) -> list[Result]:
    """Write payments of one organisation; each success is cached under its own key."""
    return pay(batch.cycle, batch.payments)


def pay(cycle: Cycle, payments: Sequence[Payment]) -> list[Result]:
    """Write payments on invoices of one organisation; every invoice ends in an outcome that is stored."""
    waiting = [list(payments)]
    results: list[Result] = []
    while waiting:
        batch = waiting.pop(0)
        results += _attempt(cycle, batch, waiting)
    return results


def _attempt(cycle: Cycle, batch: list[Payment], waiting: list[list[Payment]]) -> list[Result]:
    """One request, stored before it is sent. A definite no to several of them is split until one stands alone."""
    organisation = batch[0].writes[0].organisation
    if organisation in cycle.closed:
        return _deferred(cycle, batch, closed(cycle, organisation))
    pays = [write for each in batch for write in each.writes]
    body = simplejson.dumps({"Payments": [each.body() for each in pays]}, use_decimal=True, separators=(",", ":"))
    try:
        request = requests.store(
            cycle.doors.audit, cycle.run_id, "PUT", "Payments?summarizeErrors=false", body.encode(), pays,
            cycle.now(), cycle.lease, used={each.settling.connectwise_id: each.used for each in batch},
        )  # fmt: skip
    except Occupied:
        # Written meanwhile by an earlier attempt of this very task, or in doubt: the next cycle looks.
        return _deferred(cycle, batch, Hold(Reason.UNSETTLED))
    try:
        elements = _sent(cycle, request)
    except BatchRefused as refused:
        if len(batch) > 1:
            _settle(cycle, request, [each.settling.connectwise_id for each in batch], "refused, split")
            middle = len(batch) // 2
            waiting += [batch[:middle], batch[middle:]]
            return []
        results = [_rejected(cycle, batch[0], refused.words)]
        _commit(cycle, request, [], results, "refused")
        return results
    except FateUnknown as unknown:
        return _looked_up(cycle, request, batch, str(unknown))
    except LimitReached as limit:
        # An attempt before this one may have got through without an answer, so the rows stay unsettled.
        cycle.close(organisation, limit)
        return _deferred(cycle, batch, limit_hold(limit))
    return _answered(cycle, request, batch, elements)


def _sent(cycle: Cycle, request: Request) -> list[Element]:
    """Send a request, and again while nothing of it is on the invoices. Raises FateUnknown, BatchRefused, LimitReached.

    A client that repeats a call by itself trusts its key alone.
    """
    for left in range(SENDS - 1, -1, -1):
        try:
            return sent(cycle, request, repeats=False)
        except FateUnknown:
            if not left or _seen(cycle, request) != []:
                raise
    raise AssertionError("the last attempt raises")


def _answered(cycle: Cycle, request: Request, batch: Sequence[Payment], elements: Sequence[Element]) -> list[Result]:
    """Bind what was accepted, record what was refused; an invoice of which anything is unclear is looked up."""
    answers = match([write for each in batch for write in each.writes], elements)
    bindings: list[tuple[Write, Element]] = []
    results: list[Result] = []
    unclear: list[Payment] = []
    for each in batch:
        known = [(write, answers.get(write.part)) for write in each.writes]
        if any(element is None for _, element in known):
            unclear.append(each)
            continue
        accepted = [(write, element) for write, element in known if element is not None and element.accepted]
        refused = [element for _, element in known if element is not None and not element.accepted]
        bindings += accepted
        if refused:
            results.append(_rejected(cycle, each, "; ".join(dict.fromkeys(w for one in refused for w in one.errors))))
        else:
            results.append(_paid(cycle, each, accepted[0][1].found.xero_id))
    written = [(write, element.found.xero_id, element.found.text) for write, element in bindings]
    _commit(cycle, request, written, results, "answered")
    _remember(cycle, [write for write, _ in bindings])
    return results + (_looked_up(cycle, request, unclear, "an answer could not be told apart") if unclear else [])


def match(writes: Sequence[Write], elements: Sequence[Element]) -> dict[str, Element]:
    """Which element of an answer belongs to which payment, by its part: by Reference, and by invoice where one is left.

    A refused element may say little: what is left over belongs together when all of it is refused in the same words.
    Never by position: the order of an answer is not promised (xero.md, 3.3).
    """
    left = {write.number: write for write in writes}
    found: dict[str, Element] = {}
    strangers: list[Element] = []
    for element in elements:
        write = left.pop(element.found.number, None)
        if write is None:
            strangers.append(element)
        else:
            found[write.part] = element
    alike = len({element.errors for element in strangers}) == 1 and not any(each.accepted for each in strangers)
    if len(strangers) == len(left) and (alike or len(left) == 1):
        found |= {write.part: element for write, element in zip(left.values(), strangers, strict=True)}
    return found


def _looked_up(cycle: Cycle, request: Request, batch: Sequence[Payment], why: str) -> list[Result]:
    """No clear answer: the invoices tell what arrived. What did not may still be under way, so it stays unsettled."""
    there: dict[str, Receivable] = {}
    writes = [write for each in batch for write in each.writes]
    if not cycle.reach(request.organisation, partial(_read, cycle, request.tenant_id, writes, there)):
        return _deferred(cycle, batch, closed(cycle, request.organisation, why))
    results: list[Result] = []
    for each in batch:
        invoice = there.get(each.writes[0].invoice_xero_id)
        arrived = [(write, xero_id, "{}") for write in each.writes if invoice and (xero_id := _arrived(write, invoice))]
        if len(arrived) == len(each.writes):
            done = [_paid(cycle, each, arrived[0][1])]
            _commit(cycle, request, arrived, done, "looked up")
            results += done
        else:
            results += _deferred(cycle, [each], Hold(Reason.UNSETTLED, why))
    return results


def take_back(cycle: Cycle, each: Payment) -> bool:
    """Remove payments of ours from one invoice, one call each. True when all are gone, so that the rest can follow.

    Until it is decided on anew the invoice counts as unsettled, whatever kills us meanwhile.
    """
    results = [
        result for write in each.writes if isinstance(write, Unpay) and (result := _take_one(cycle, each, write))
    ]
    cycle.count(results[:1])
    return not results


def _take_one(cycle: Cycle, each: Payment, write: Unpay) -> Result | None:
    """Remove one payment; the outcome of the invoice where that was not to be, stored."""
    if write.organisation in cycle.closed:
        return _deferred(cycle, [each], closed(cycle, write.organisation))[0]
    try:
        request = requests.store(
            cycle.doors.audit, cycle.run_id, "POST", f"Payments/{write.written.xero_id}",
            simplejson.dumps(write.body()).encode(), [write], cycle.now(), cycle.lease,
            updating={write.connectwise_id: 1},
        )  # fmt: skip
    except Occupied:
        return _deferred(cycle, [each], Hold(Reason.UNSETTLED))[0]
    words = "no answer"
    try:
        elements = _sent(cycle, request)
        if elements and elements[0].accepted:
            _gone(cycle, each, write, request, "answered")
            return None
        words = "; ".join(word for element in elements for word in element.errors) or words
    except BatchRefused as refused:
        words = refused.words
    except LimitReached as limit:
        cycle.close(write.organisation, limit)
        return _deferred(cycle, [each], limit_hold(limit))[0]
    except FateUnknown as unknown:
        # Its removal shows on the invoice; where it does not yet, the next cycle settles it by that.
        there: dict[str, Receivable] = {}
        cycle.reach(write.organisation, partial(_read, cycle, request.tenant_id, [write], there))
        if write.invoice_xero_id in there and _arrived(write, there[write.invoice_xero_id]):
            _gone(cycle, each, write, request, "looked up")
            return None
        return _deferred(cycle, [each], Hold(Reason.UNSETTLED, str(unknown)))[0]
    rejected = _rejected(cycle, each, words)
    _commit(cycle, request, [], [rejected], "refused")
    return rejected


def _gone(cycle: Cycle, each: Payment, write: Unpay, request: Request, how: str) -> None:
    """A payment was taken back; until the rest is decided the invoice counts as unsettled."""
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        _note_in(connection, cycle, [(write, "", "")])
        requests.settle_in(connection, request, [write.connectwise_id], how, cycle.now())
        waits = _result(cycle, each.settling, write, Hold(Reason.UNSETTLED))
        runs.wait_in(connection, cycle.run_id, [waits], cycle.now())


# What an interrupted cycle left open


def settle_earlier(cycle: Cycle) -> None:
    """Find out what became of every request that an earlier cycle left open; what did not arrive is decided on anew.

    The invoices tell. What is on none of them and younger than five minutes goes out again: the same bytes under the
    same key. A part of one that is there and young waits until it is old: its other part may still be on its way.
    """
    connected = set(cycle.doors.tenants.values())
    for request in requests.unsettled(cycle.doors.audit, cycle.family):
        if request.organisation in cycle.closed or request.tenant_id not in connected:
            continue
        young = cycle.now() - request.stored_at < KEY_LASTS
        arrived = _seen(cycle, request)
        again = young and arrived == [] and _is_whole(request)
        if again:
            arrived = _sent_again(cycle, request)
        if arrived is None or (young and not again and len(arrived) < len(request.rows)):
            continue
        with cycle.doors.audit.transaction(cycle.lease) as connection:
            _note_in(connection, cycle, arrived)
            ids = [row.connectwise_id for row in request.rows]
            requests.settle_in(connection, request, ids, "sent again" if again else "looked up", cycle.now())


def _is_whole(request: Request) -> bool:
    """Whether nothing of it is settled yet: its bytes carry all of it."""
    return len(simplejson.loads(request.body).get("Payments", [None])) == len(request.rows)


Arrived = tuple[Write, str, str]
"""A write that has reached Xero, with the id of its payment and what Xero answered."""


def _sent_again(cycle: Cycle, request: Request) -> list[Arrived] | None:
    """The same bytes under the same key; None: it is still not known what became of them."""
    writes = [row.document for row in request.rows]
    try:
        answers = match(writes, _sent(cycle, request))
    except BatchRefused:
        return []
    except FateUnknown:
        return None
    except LimitReached as limit:
        cycle.close(request.organisation, limit)
        return None
    if len(answers) < len(writes):
        return None
    found = [(write, answers[write.part]) for write in writes]
    return [(write, each.found.xero_id, each.found.text) for write, each in found if each.accepted]


def _seen(cycle: Cycle, request: Request) -> list[Arrived] | None:
    """What the invoices show of a request whose key is not good any more; None: Xero could not be asked."""
    writes: list[Write] = [row.document for row in request.rows]
    there: dict[str, Receivable] = {}
    if not cycle.reach(request.organisation, partial(_read, cycle, request.tenant_id, writes, there)):
        return None
    return [
        (write, xero_id, "{}")
        for write in writes
        if (invoice := there.get(write.invoice_xero_id)) is not None and (xero_id := _arrived(write, invoice))
    ]


def _read(cycle: Cycle, tenant_id: str, writes: Sequence[Write], there: dict[str, Receivable]) -> None:
    found = cycle.doors.xero.documents_by_id(tenant_id, INVOICE, [each.invoice_xero_id for each in writes])
    there |= {xero_id: Receivable.read(each) for xero_id, each in found.items()}


def _arrived(write: Write, invoice: Receivable) -> str:
    """The id of the payment, where the invoice shows that a write was carried out; else ''."""
    live = [each for each in invoice.applied if each.by == "payment"]
    if isinstance(write, Unpay):
        gone = all(each.xero_id.lower() != write.written.xero_id.lower() for each in live)
        return write.written.xero_id if gone else ""
    return next((each.xero_id for each in live if part_of(each.reference) == write.part), "")


def _note_in(connection: Connection, cycle: Cycle, arrived: Sequence[Arrived]) -> None:
    """Bind payments that were written, give up those that were taken back."""
    paid = [(write, xero_id, text) for write, xero_id, text in arrived if isinstance(write, Pay)]
    settlements.bind_in(connection, paid, cycle.now())
    for write, _, _ in arrived:
        if isinstance(write, Unpay):
            settlements.unbind_in(connection, cycle.family, {write.connectwise_id: [write.part]})


# Outcomes


def _paid(cycle: Cycle, each: Payment, xero_id: str) -> Result:
    outcome = Outcome.POSTED if each.first else Outcome.UPDATED
    result = cycle.result(
        each.settling.entry, outcome, xero_id=each.writes[0].invoice_xero_id, organisation=each.writes[0].organisation
    )
    used = tuple(dict.fromkeys(row for write in each.writes if isinstance(write, Pay) for row in write.rows_used))
    return replace(
        result, amount=each.amount, currency=each.writes[0].currency, rows_used=used,
        is_open=each.settling.is_open, payment_id=None, value=xero_id,
    )  # fmt: skip


def _result(cycle: Cycle, settling: Settling, write: Write, hold: Hold) -> Result:
    result = cycle.hold(settling.entry, hold, organisation=write.organisation)
    amount = plain(settling.amount)
    return replace(result, amount=amount, currency=write.currency, is_open=settling.is_open)


def _rejected(cycle: Cycle, each: Payment, words: str) -> Result:
    """A payment that Xero refused, with its words; the same again waits until something about it changes."""
    write = each.writes[0]
    hold = Hold(
        Reason.REFUSED_BY_XERO,
        words,
        f"Xero refused the payment of {each.amount} {write.currency} on {each.settling.reference} in "
        f"{write.organisation}: {words.rstrip('.')}.",
    )
    result = _result(cycle, each.settling, write, hold)
    return replace(result, outcome=Outcome.REJECTED, body=body_of(cycle, each.writes), copy=each.settling.entry.copy)


def body_of(cycle: Cycle, writes: Sequence[Write]) -> str:
    """Names what was refused, and the organisation as it was then: the same again would be refused again.

    Its next attempt is another instalment, and that is no other payment.
    """
    books = cycle.lists.books([writes[0].organisation])[writes[0].organisation]
    same = [replace(each, instalment=0) if isinstance(each, Pay) else each for each in writes]
    return f"{'+'.join(sorted(each.fingerprint for each in same))}:{books.digest}"


def _deferred(cycle: Cycle, batch: Sequence[Payment], hold: Hold) -> list[Result]:
    """Invoices that wait, stored as such."""
    results = [_result(cycle, each.settling, each.writes[0], hold) for each in batch]
    runs.record(cycle.doors.audit, cycle.run_id, results, cycle.now(), cycle.lease)
    return results


def closed(cycle: Cycle, organisation: str, why: str = "") -> Hold:
    """Why nothing more is written to an organisation whose part of the cycle is over."""
    problem = cycle.closed[organisation]
    return limit_hold(problem) if isinstance(problem, LimitReached) else Hold(Reason.UNSETTLED, why)


def _commit(
    cycle: Cycle,
    request: Request,
    written: Sequence[tuple[Write, str, str]],
    results: Sequence[Result],
    how: str,
) -> None:
    """Bindings, outcomes and the settling of their rows: one transaction, before anything else can fail."""
    if not results:
        return
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        _note_in(connection, cycle, written)
        requests.settle_in(connection, request, [each.connectwise_id for each in results], how, cycle.now())
        runs.record_in(connection, cycle.run_id, results, cycle.now())


def _settle(cycle: Cycle, request: Request, ids: Sequence[int], how: str) -> None:
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        requests.settle_in(connection, request, ids, how, cycle.now())


def _remember(cycle: Cycle, written: Sequence[Write]) -> None:
    if cycle.cache.full:
        return
    for each in written:
        assert isinstance(each, Pay)
        body = simplejson.dumps(each.body(), use_decimal=True).encode()
        key = load_key(cycle.doors.installation, cycle.doors.audit.id, each.instalment, each, body)
        cycle.cache.keep(key, {"reference": each.reference, "payment": each.number})
