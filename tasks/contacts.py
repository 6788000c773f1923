"""Contacts that documents wait for: created in batches where policy allows it, each company once.

The order is that of documents: a request is stored, sent, answered, settled. A row per company and organisation may be
unsettled at a time, so two families that need the same contact do not both make it. What is unclear is looked up in
the list of contacts, by number and name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from blocks.audit import requests
from blocks.audit.contacts import remember_in
from blocks.audit.requests import Occupied, StoredRequest
from blocks.audit.runs import Result
from blocks.failures import LimitReached
from blocks.xero.client import KEY_LASTS, BatchRefused, Element, FateUnknown
from mappings.contacts import same_contact
from mappings.outcomes import Hold, Outcome, Reason, XeroList
from mappings.plans import Create
from mappings.updates import Update
from mappings.xero import Document, NewContact, fold, write_json
from tasks.cycle import Cycle
from tasks.posting import BATCH, entry_of, rejected_body, sent

PATH = "Contacts?summarizeErrors=false"
Request = StoredRequest[NewContact]
Made = dict[int, str | Hold]
"""Per company the id of its contact, or why it has none."""


Write = TypeVar("Write", Create, Update)


def with_contacts(cycle: Cycle, writes: Sequence[Write]) -> tuple[list[Write], list[Result]]:
    """The same documents with their contacts in place; those without one are put off, and their outcome is stored."""
    organisation = writes[0].document.organisation
    wanted = {one.connectwise_id: one for each in writes if (one := each.document.new_contact) is not None}
    if not wanted:
        return list(writes), []
    made: Made = {}
    cycle.reach(organisation, lambda: made.update(_made(cycle, list(wanted.values()))))
    ready: list[Write] = []
    results: list[Result] = []
    for each in writes:
        document = each.document
        contact = made.get(document.new_contact.connectwise_id) if document.new_contact else document.contact_id
        if isinstance(contact, str):
            ready.append(replace(each, document=replace(document, contact_id=contact, new_contact=None)))
        elif isinstance(contact, Hold):
            results.append(_put_off(cycle, document, contact))
        elif isinstance(closed := cycle.closed.get(organisation), LimitReached):
            results.append(_put_off(cycle, document, Hold(Reason.DAY_LIMIT, message=f"{closed}.")))
    return ready, cycle.record(results)


def _put_off(cycle: Cycle, document: Document, hold: Hold) -> Result:
    """The outcome of a document whose contact could not be made."""
    entry = entry_of(cycle, document)
    if hold.reason is Reason.REFUSED_BY_XERO:
        return cycle.result(entry, Outcome.REJECTED, hold, document, body=rejected_body(cycle, document))
    return cycle.hold(entry, hold, document)


def _made(cycle: Cycle, wanted: Sequence[NewContact]) -> Made:
    """Make these contacts of one organisation. Raises LimitReached, Unreachable; what is open is settled later."""
    made = _there(cycle, wanted)
    waiting = deque([[one for one in wanted if one.connectwise_id not in made]])
    while waiting:
        rest = waiting.popleft()
        for start in range(0, len(rest), BATCH):
            batch = rest[start : start + BATCH]
            try:
                made |= _attempt(cycle, batch)
            except BatchRefused as refused:
                # A definite no to all of it: halves find the one that is meant.
                middle = len(batch) // 2
                if middle:
                    waiting.extend([batch[:middle], batch[middle:]])
                else:
                    made[batch[0].connectwise_id] = _refused(batch[0], refused.words)
    return made


def _attempt(cycle: Cycle, batch: Sequence[NewContact]) -> Made:
    try:
        request = requests.store(
            cycle.doors.audit,
            cycle.run_id,
            "PUT",
            PATH,
            write_json({"Contacts": [one.body() for one in batch]}).encode(),
            batch,
            cycle.now(),
            cycle.lease,
        )
    except Occupied:
        # Another family is making one of them at this very moment.
        return {one.connectwise_id: Hold(Reason.UNSETTLED) for one in batch}
    try:
        return _answered(cycle, request, sent(cycle, request))
    except BatchRefused:
        _settle(cycle, request, {}, "refused")
        raise
    except FateUnknown:
        return _looked_up(cycle, request)


def _answered(cycle: Cycle, request: Request, elements: Sequence[Element]) -> Made:
    """Take in what Xero says of each, found by its name (unique among active contacts) or number."""
    by_name = {fold(row.document.name): row.document for row in request.rows}
    by_number = {fold(row.document.account_number): row.document for row in request.rows if row.document.account_number}
    made: Made = {}
    for element in elements:
        one = by_name.get(fold(element.found.contact_name)) or by_number.get(fold(element.found.number))
        if one is not None and one.connectwise_id not in made:
            refused = _refused(one, "; ".join(element.errors))
            made[one.connectwise_id] = element.found.xero_id if element.accepted else refused
    if len(made) < len(request.rows):
        return _looked_up(cycle, request)
    _settle(cycle, request, made, "answered")
    cycle.lists.add_contacts(request.organisation, [each.found.text for each in elements if each.accepted])
    return made


def _looked_up(cycle: Cycle, request: Request) -> Made:
    """What became of a request without a clear answer: the list of contacts tells. Raises LimitReached, Unreachable."""
    cycle.lists.read_again(request.organisation, XeroList.CONTACTS)
    wanted = [row.document for row in request.rows]
    made = _there(cycle, wanted)
    _settle(cycle, request, made, "looked up")
    return {one.connectwise_id: Hold(Reason.UNSETTLED) for one in wanted} | made


def settle_earlier(cycle: Cycle) -> None:
    """What an interrupted cycle left open: sent again under its key while that lasts, else looked up."""
    organisations = {tenant_id: name for name, tenant_id in cycle.doors.tenants.items()}
    for request in requests.unsettled(cycle.doors.audit, NewContact.family):
        organisation = organisations.get(request.tenant_id)
        if organisation is not None:
            cycle.reach(organisation, partial(_settle_one, cycle, organisation, request))


def _settle_one(cycle: Cycle, organisation: str, request: Request) -> None:
    cycle.lists.books([organisation])
    try:
        if cycle.now() - request.stored_at < KEY_LASTS:
            _answered(cycle, request, sent(cycle, request))
        else:
            _looked_up(cycle, request)
    except BatchRefused:
        _settle(cycle, request, {}, "refused")
    except FateUnknown:
        _looked_up(cycle, request)


def _there(cycle: Cycle, wanted: Sequence[NewContact]) -> Made:
    """Those that the list of contacts has."""
    books = cycle.lists.books([wanted[0].organisation])[wanted[0].organisation]
    found = {one.connectwise_id: same_contact(one, books) for one in wanted}
    return {number: contact.contact_id for number, contact in found.items() if contact is not None}


def _settle(cycle: Cycle, request: Request, made: Mapping[int, str | Hold], how: str) -> None:
    """Settle all of a request, and remember the contacts that it made."""
    now = cycle.now()
    with cycle.doors.audit.transaction(cycle.lease) as connection:
        learnt = [(request.tenant_id, number, contact) for number, contact in made.items() if isinstance(contact, str)]
        remember_in(connection, learnt, now)
        requests.settle_in(connection, request, [row.connectwise_id for row in request.rows], how, now)


def _refused(one: NewContact, words: str) -> Hold:
    number = f" with the account number {one.account_number}" if one.account_number else ""
    return Hold(
        Reason.REFUSED_BY_XERO,
        words,
        f"Xero refused to create the contact {one.name!r} in {one.organisation}: {words.rstrip('.')}.",
        f"Create the contact in Xero by hand{number}, or name an existing one in contacts.csv.",
    )
