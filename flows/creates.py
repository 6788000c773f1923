"""New documents: decided on in view of what is in Xero already, so that none is made twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from blocks.audit import requests
from blocks.audit.runs import Result, Standing
from flows import updates
from mappings.kinds import PURCHASE_ORDER
from mappings.merging import LastWrite, further
from mappings.outcomes import Hold, Outcome, Reason, XeroList
from mappings.plans import Adopt, Create
from mappings.updates import Settled, Update, decide_update
from mappings.xero import Document
from tasks import posting
from tasks import updates as updating
from tasks.cycle import Cycle, Entry


def as_before(cycle: Cycle, entry: Entry, document: Document, standing: Standing | None) -> Hold | Result | None:
    """The outcome of a document for which nothing has changed that could give it another one; None: go on.

    A refused document goes out again when something about it changed, when forced, or once a day. One that a person
    removed in Xero stays removed.
    """
    if standing is None or cycle.forced:
        return None
    if standing.reason == Reason.REMOVED_IN_XERO and standing.value == document.number and not cycle.recreate:
        return Hold(Reason.REMOVED_IN_XERO, standing.value, standing.message)
    if (
        standing.outcome is Outcome.REJECTED
        and standing.body == posting.rejected_body(cycle, document)
        and cycle.now() - standing.tried_at < updates.RESEND_AFTER
    ):
        hold = Hold(Reason(standing.reason), standing.value, standing.message)
        return cycle.result(entry, Outcome.REJECTED, hold, document, body=standing.body, tried_at=standing.tried_at)
    return None


def decide_new(
    cycle: Cycle,
    organisation: str,
    documents: Mapping[int, Document],
    unclear: Collection[int],
    standings: Mapping[int, Standing],
    remap: updates.Remap,
    decided: MutableMapping[int, Any],
) -> None:
    """Decide on documents of one organisation that are not bound, in view of what is in Xero already.

    `unclear`: records for which Xero has to be asked. Raises LimitReached, Unreachable; what was decided by then stays
    decided.
    """
    _look_before_first_write(cycle, organisation)
    linked = requests.found_documents(cycle.doors.audit, cycle.family, list(documents))
    linked |= {number: cycle.linked[number] for number in documents if number in cycle.linked}
    # What an earlier cycle found may have been changed or removed since.
    old = () if cycle.lists.just_searched(organisation, cycle.family) else linked
    asked = [
        document
        for number, document in documents.items()
        # Who keys a supplier's bill by hand tells nobody, and the number of an order stays taken for ever: each of both
        # is looked for before it is made (design 5).
        if number in unclear or number in old or cycle.kind.sought
    ]
    there = posting.look(cycle, asked, linked) if asked else {}
    creates: dict[int, Create] = {}
    adopted: set[str] = set()
    for number, document in documents.items():
        in_xero = there.get(number) or posting.InXero(linked.get(number, ()))
        # One bill that a person keyed may fit two receipts of its order: it is one of them, and not the other.
        in_xero = replace(in_xero, own=[found for found in in_xero.own if found.xero_id not in adopted])
        standing = standings.get(number)
        take = updates.take_for(cycle, standing)
        action = posting.choose(cycle, document, in_xero, take=take)
        if isinstance(action, Create) and standing is not None:
            # A dead document may keep its number or free it. Where trying told already, it is not tried again.
            buried = posting.choose(cycle, document, in_xero, refused=True)
            if isinstance(buried, Hold) and buried.message == standing.message:
                action = buried
        elif (
            isinstance(action, Hold) and action.reason is Reason.REMOVED_IN_XERO and updates.recreates(cycle, standing)
        ):
            action = Create(document)
        if isinstance(action, Create):
            creates[number] = action
            continue
        if isinstance(action, Adopt):
            adopted.add(action.found.xero_id)
            action = _as_it_stands(action)
        decided[number] = action
    # Lock dates are people's to change at any time: read once per cycle before anything is written.
    if creates and cycle.kind.posts and cycle.lists.renew(organisation, [XeroList.ORGANISATION]):
        again = remap(list(creates))
        decided.update({number: one if isinstance(one, Hold) else Create(one) for number, one in again.items()})
    else:
        decided.update(creates)


def _as_it_stands(action: Adopt) -> Adopt:
    """An adopted purchase order counts with the status that it has: raising it is a write of its own."""
    document, status = action.document, action.found.status
    if document.kind is not PURCHASE_ORDER or further(document.status, status) == status:
        return action
    return replace(action, document=replace(document, status=status))


def _look_before_first_write(cycle: Cycle, organisation: str) -> None:
    """Once per organisation: see which documents bear our links already (this audit is new, or another was lost).

    Documents of a kind without a link are found by their numbers, when Xero refuses those.
    """
    if not cycle.kind.linked or cycle.kind.sought:
        return
    tenant_id = cycle.doors.tenants[organisation]
    if cycle.lists.was_searched(organisation, cycle.family, cycle.start_date):
        return
    cycle.say(f"looking for documents of ours that are in {organisation} already")
    for page in cycle.doors.xero.documents_since(tenant_id, cycle.kind, cycle.start_date):
        bound = requests.owners(cycle.doors.audit, tenant_id, [document.xero_id for document in page])
        ours = [
            (record[1], document)
            for document in page
            if document.xero_id not in bound
            and (record := cycle.doors.site.record_of(document.url)) is not None
            and record[0] == cycle.family
        ]
        if cycle.writing:
            requests.keep_found(cycle.doors.audit, tenant_id, cycle.family, ours, cycle.lease)
        else:
            for number, document in ours:
                cycle.linked.setdefault(number, []).append(document)
    cycle.lists.mark_searched(organisation, cycle.family, cycle.start_date)


def overwrite(cycle: Cycle, adoptions: Sequence[Adopt]) -> list[tuple[Entry, Update]]:
    """Documents that a person gave over to ConnectWise's version: bound first, then edited like any other."""
    posting.bind_to_overwrite(cycle, adoptions)
    ids = [each.document.connectwise_id for each in adoptions]
    bound = requests.bound(cycle.doors.audit, cycle.family, ids)
    edits: list[tuple[Entry, Update]] = []
    for each in adoptions:
        document = each.document
        organisation = document.organisation
        action = decide_update(
            document,
            bound[document.connectwise_id],
            LastWrite(None, each.found, {}),
            each.found,
            cycle.tables.policy.decisions(organisation),
            cycle.lists.books([organisation])[organisation].organisation.lock_date,
            "ours",
        )
        entry = posting.entry_of(cycle, document)
        if isinstance(action, Update):
            edits.append((entry, action))
        elif isinstance(action, Settled):
            cycle.count(updating.settle(cycle, [action]))
        else:
            cycle.record([cycle.hold(entry, action, document)])
    return edits
