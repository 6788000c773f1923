"""What should happen to each mapped document: a value that can be printed, counted and stored before any write.

`decide` is the one place where that is decided, for a dry run and a real one alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mappings.money import plain
from mappings.outcomes import Hold, Reason
from mappings.policy import Decisions
from mappings.xero import Document, Found


@dataclass(frozen=True, slots=True)
class Bound:
    """What the audit knows of a record that has a document in Xero: which one, and as what we last wrote it."""

    tenant_id: str
    organisation: str
    xero_id: str
    reference: str
    fingerprint: str
    writes: int
    total: Decimal
    currency: str
    date: date
    base: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Write a new document. `writes` counts the writes of this record so far: part of the cache key of the load."""

    document: Document
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Adopt:
    """Bind a document that is in Xero already; writes nothing there."""

    document: Document
    found: Found


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Ours equals what we last wrote: nothing to do, nothing to read."""

    document: Document
    xero_id: str


Action = Create | Adopt | Unchanged | Hold


def decide(document: Document, bound: Bound | None, found: Sequence[Found], decisions: Decisions) -> Action:
    """The action for one document.

    `bound` is its binding, `found` the documents in Xero that bear our link, or its number after Xero refused it.
    """
    return _against_found(document, found, decisions) if bound is None else _against_binding(document, bound)


def _against_binding(document: Document, bound: Bound) -> Unchanged | Hold:
    if bound.tenant_id != document.tenant_id:
        return Hold(
            Reason.ORGANISATION_CHANGED,
            document.organisation,
            f"{document.reference} was posted to {bound.organisation}; the tables now send it to "
            f"{document.organisation}.",
        )
    if bound.fingerprint == document.fingerprint:
        return Unchanged(document, bound.xero_id)
    changes = []
    if bound.total != document.total or bound.currency != document.currency:
        changes.append(f"total {plain(bound.total)} {bound.currency} -> {plain(document.total)} {document.currency}")
    if bound.date != document.date:
        changes.append(f"date {bound.date} -> {document.date}")
    if bound.reference != document.reference:
        changes.append(f"number {bound.reference} -> {document.reference}")
    what = "; ".join(changes) or "its lines or texts; the totals are the same"
    return Hold(
        Reason.CHANGED_AFTER_POSTING,
        plain(document.total),
        f"{document.reference} changed after it was posted: {what}.",
    )


def _against_found(document: Document, found: Sequence[Found], decisions: Decisions) -> Adopt | Create | Hold:
    # A supplier's bill may bear any number: it is no rival of a sales document.
    rivals = [other for other in found if other.type == document.type or other.url == document.url]
    if not rivals:
        return Create(document)
    live = [other for other in rivals if other.live]
    ours = [other for other in live if other.url == document.url]
    if len(ours) > 1:
        return Hold(
            Reason.NUMBER_CONFLICT,
            document.number,
            f"{len(ours)} documents in {document.organisation} link to this record: "
            + ", ".join(sorted(other.number or other.xero_id for other in ours))
            + ".",
            "Void the ones that are too many in Xero.",
        )
    candidates = ours or live
    if not candidates:
        return _buried(document, rivals)
    other = candidates[0]
    if not ours and (decisions.adopt.existing == "hold" or len(live) > 1):
        there = ", ".join(
            f"{each.number} ({plain(each.total)} {each.currency} for {each.contact_name})" for each in live
        )
        return Hold(Reason.NUMBER_CONFLICT, document.number, f"{document.organisation} already has {there}.")
    differences = _differences(document, other)
    if not differences:
        return Adopt(document, other)
    reason = Reason.ADOPTED_DIFFERS if ours else Reason.NUMBER_CONFLICT
    return Hold(
        reason,
        document.number,
        f"{document.organisation} already has {other.number}, and it differs: {'; '.join(differences)}.",
    )


def _buried(document: Document, dead: Sequence[Found]) -> Hold:
    """All that was found is voided or deleted: ours stays so, and somebody else's keeps its number."""
    ours = next((other for other in dead if other.url == document.url), None)
    other = ours or dead[0]
    what = f"{document.organisation} has {other.number}"
    if ours is not None:
        return Hold(
            Reason.REMOVED_IN_XERO,
            document.number,
            f"{what} for this record, and somebody {_done(other)} it.",
        )
    return Hold(
        Reason.NUMBER_CONFLICT,
        document.number,
        f"{what} already ({plain(other.total)} {other.currency} for {other.contact_name}); it was {_done(other)}, but "
        "keeps its number.",
        f"Give the invoice another number in ConnectWise, or renumber the {_done(other)} document in Xero.",
    )


def _done(dead: Found) -> str:
    return dead.status.lower()


def _differences(document: Document, other: Found) -> list[str]:
    """What must agree before a document is taken for the same one (design 4): type, contact, currency, total."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("type", document.type, other.type),
        ("contact", document.contact_id.lower(), other.contact_id.lower()),
        ("currency", document.currency, other.currency),
        ("total", document.total, other.total),
    )
    shown = {
        "contact": (document.contact_name, other.contact_name),
        "total": (plain(document.total), plain(other.total)),
    }
    return [
        f"{name} {shown.get(name, (ours, theirs))[0]} in ConnectWise, {shown.get(name, (ours, theirs))[1]} in Xero"
        for name, ours, theirs in pairs
        if ours != theirs
    ]


def plan_id(content: object) -> str:
    """The hash of a plan's contents (contract, section 5)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
