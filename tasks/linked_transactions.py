"""Load for linked transactions: one call for each, since Xero works on the first of a list only (xero.md, 8.2).

Nothing in Xero keeps a link from being made twice. So what is on the bill already is read before anything is sent, and
what was sent and not answered is looked for there first. What is not there goes out again only as the same bytes under
the same key, and is decided on anew after that key's life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import simplejson
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.audit import requests, runs, settlements
from blocks.audit.requests import Occupied, StoredRequest
from blocks.audit.runs import Result
from blocks.failures import LimitReached
from blocks.xero.client import KEY_LASTS, BatchRefused, FateUnknown
from mappings.linked_transactions import FAMILY, Link
from mappings.outcomes import Hold, Outcome, Reason
from mappings.xero import Found
from tasks.cycle import Cycle, Entry
from tasks.payments import SENDS
from tasks.policies import RETRIES, RETRY_DELAYS, batch_name, worth_a_retry
from tasks.posting import limit_hold, sent

Request = StoredRequest[Any]


@dataclass(frozen=True, slots=True)
class Linked:
    """What became of one link: made (`found`), or why not; `refused` in Xero's own words.

    `before`: somebody had linked the bill's line already, and that stays as it is.
    """

    link: Link
    found: Found | None = None
    hold: Hold | None = None
    refused: str = ""
    before: bool = False


class Linking:
    """Links of the lines of one bill."""

    verb = "link"

    def __init__(self, cycle: Cycle, links: Sequence[Link]) -> None:
        self.cycle = cycle
        self.links = links
        self.references = [links[0].reference]


@task(
    task_run_name=batch_name,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
)
def load_links(batch: Linking) -> list[Linked]:
    """Link the lines of one bill, each once. Until all of them are, the bill counts as unsettled here."""
    cycle, links = batch.cycle, batch.links
    if links[0].organisation in cycle.closed:
        return _put_off(cycle, links)
    there = _seen(cycle, links[0])
    if there is None:
        return _put_off(cycle, links)
    done: list[Linked] = []
    for link in links:
        known = _known(there, link)
        if known is not None:
            _bind(cycle, link, known)
            done.append(Linked(link, known, before=True))
        elif link.organisation in cycle.closed:
            done += _put_off(cycle, [link])
        else:
            done.append(_make(cycle, link))
    return done


def _make(cycle: Cycle, link: Link) -> Linked:
    try:
        request = requests.store(
            cycle.doors.audit, cycle.run_id, "PUT", "LinkedTransactions",
            simplejson.dumps(link.body(), separators=(",", ":")).encode(), [link], cycle.now(), cycle.lease,
        )  # fmt: skip
    except Occupied:
        return Linked(link, hold=Hold(Reason.UNSETTLED))
    try:
        found = _sent(cycle, request, link)
    except BatchRefused as refused:
        _settle(cycle, request, None, "refused")
        return Linked(link, refused=refused.words)
    except FateUnknown as unknown:
        arrived = _known(_seen(cycle, link) or [], link)
        if arrived is None:
            return Linked(link, hold=Hold(Reason.UNSETTLED, str(unknown)))
        found = arrived
    except LimitReached as limit:
        cycle.close(link.organisation, limit)
        return _put_off(cycle, [link])[0]
    _settle(cycle, request, found, "answered")
    return Linked(link, found)


def _sent(cycle: Cycle, request: Request, link: Link) -> Found:
    """Send one link, and again while nothing of it is to be seen. Raises FateUnknown, BatchRefused, LimitReached."""
    for left in range(SENDS - 1, -1, -1):
        try:
            elements = sent(cycle, request, repeats=False)
        except FateUnknown:
            if not left or _seen(cycle, link) != []:
                raise
            continue
        made = [each for each in elements if each.accepted and link.is_made_by(each.found)]
        if len(made) == 1:
            return made[0].found
        if len(elements) == 1 and elements[0].errors:
            raise BatchRefused("; ".join(elements[0].errors))
        raise FateUnknown("an answer could not be told apart")
    raise AssertionError("the last attempt raises")


def _known(there: Sequence[Found], link: Link) -> Found | None:
    """The link of the same line of the bill, whoever made it; the very same one first."""
    same = [each for each in there if each.number.lower() == link.source_line_id.lower() and each.status != "VOIDED"]
    return next((each for each in same if link.is_made_by(each)), same[0] if same else None)


def _seen(cycle: Cycle, link: Link) -> list[Found] | None:
    """The links of a bill as Xero shows them now; None: it could not be asked."""
    found: list[Found] = []

    def read() -> None:
        found.extend(cycle.doors.xero.linked_transactions(link.tenant_id, link.source_id))

    return found if cycle.reach(link.organisation, read) else None


def _bind(cycle: Cycle, link: Link, found: Found) -> None:
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        settlements.bind_in(connection, [(link, found.xero_id, found.text)], cycle.now())


def _settle(cycle: Cycle, request: Request, found: Found | None, how: str) -> None:
    """Note the link that was made and settle its request, in one transaction."""
    link: Link = request.rows[0].document
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        if found is not None:
            settlements.bind_in(connection, [(link, found.xero_id, found.text)], cycle.now())
            # Should this run be killed before it can say how the bill ended.
            runs.wait_in(connection, cycle.run_id, [result_of(cycle, [link], [], "")], cycle.now())
        requests.settle_in(connection, request, [link.connectwise_id], how, cycle.now())


def _put_off(cycle: Cycle, links: Sequence[Link]) -> list[Linked]:
    problem = cycle.closed.get(links[0].organisation)
    hold = limit_hold(problem) if isinstance(problem, LimitReached) else Hold(Reason.UNSETTLED)
    return [Linked(each, hold=hold) for each in links]


def settle_earlier(cycle: Cycle) -> None:
    """Find out what became of every link that an earlier cycle left open; what is not there is decided on anew.

    One younger than five minutes, and not there, goes out again: the same bytes under the same key.
    """
    connected = set(cycle.doors.tenants.values())
    for request in requests.unsettled(cycle.doors.audit, FAMILY):
        if request.organisation in cycle.closed or request.tenant_id not in connected:
            continue
        link: Link = request.rows[0].document
        there = _seen(cycle, link)
        if there is None:
            continue
        found = _known(there, link)
        if found is not None:
            _settle(cycle, request, found, "looked up")
        elif cycle.now() - request.stored_at < KEY_LASTS:
            try:
                _settle(cycle, request, _sent(cycle, request, link), "sent again")
            except BatchRefused:
                _settle(cycle, request, None, "refused")
            except FateUnknown:
                continue
            except LimitReached as limit:
                cycle.close(request.organisation, limit)
        else:
            _settle(cycle, request, None, "looked up")


def result_of(cycle: Cycle, links: Sequence[Link], linked: Sequence[Linked], xero_id: str) -> Result:
    """How the links of one bill ended: Xero's refusal first, then what waits, then what was made."""
    first = links[0]
    entry = Entry(first.connectwise_id, first.reference, {})
    refused = [each for each in linked if each.refused]
    waiting = [each.hold for each in linked if each.hold is not None]
    if refused:
        words = "; ".join(dict.fromkeys(each.refused for each in refused))
        hold = Hold(
            Reason.REFUSED_BY_XERO,
            words,
            f"Xero refused to link {len(refused)} line(s) of the bill of {first.reference} to the customer's invoice "
            f"{refused[0].link.invoice_number} in {first.organisation}: {words.rstrip('.')}.",
        )
        result = cycle.result(
            entry, Outcome.REJECTED, hold, organisation=first.organisation, body=body_of(links), xero_id=xero_id
        )
    elif waiting or not linked:
        hold = waiting[0] if waiting else Hold(Reason.UNSETTLED)
        result = replace(cycle.hold(entry, hold, organisation=first.organisation), xero_id=xero_id)
    else:
        made = [each for each in linked if not each.before]
        outcome = Outcome.POSTED if made else Outcome.UNCHANGED
        result = cycle.result(entry, outcome, organisation=first.organisation, xero_id=xero_id)
        result = replace(result, message=_told(linked))
    return replace(result, part=first.receipt, currency=first.currency)


def _told(linked: Sequence[Linked]) -> str:
    numbers = ", ".join(dict.fromkeys(each.link.invoice_number for each in linked if not each.before))
    hers = [each for each in linked if each.before and each.found is not None and not each.link.is_made_by(each.found)]
    return " ".join(
        [f"Linked to the customer's invoice {numbers}."] * bool(numbers)
        + [f"{len(hers)} line(s) of the bill were linked otherwise in Xero already, and stay so."] * bool(hers)
    )


def body_of(links: Sequence[Link]) -> str:
    """Names what would be sent, for a comparison with what was refused."""
    return "+".join(sorted(each.fingerprint for each in links))
