"""What should happen to each mapped document: a value that can be printed, counted and stored before any write.

`decide` (for what is new) and `updates.decide_update` (for what is posted) are where that is decided, for a dry run and
a real one alike.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from mappings.kinds import BILL, PURCHASE_ORDER
from mappings.money import plain
from mappings.outcomes import Hold, Reason
from mappings.policy import Decisions
from mappings.xero import Document, Found, fold

Take = Literal["", "ours", "theirs"]
"""Whose version counts where both systems differ; '' while no person has said so."""


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


@dataclass(frozen=True, slots=True)
class Create:
    """Write a new document. `writes` counts the writes of this record so far: part of the cache key of the load.

    `anew`: a person asked for it in place of the one that was removed in Xero.
    """

    document: Document
    writes: int = 0
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Adopt:
    """Bind a document that is in Xero already; writes nothing there.

    `overwrite`: a person said that ConnectWise's version counts, so an update of it follows.
    """

    document: Document
    found: Found
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Ours equals what we last wrote: nothing to do, nothing to read."""

    document: Document
    xero_id: str


def is_ours(document: Document, found: Found) -> bool:
    """Whether a document in Xero is the one that a write of ours, of which no answer came, has made.

    Our link says so. A kind of document that carries none is told by all that we wrote of it but its number, which
    people may change.
    """
    if document.kind.linked:
        return found.url == document.url
    return likeness(document) == likeness(found)


def likeness(one: Document | Found) -> tuple[object, ...]:
    """What a document is told by where it carries no link of ours, and its number may have been changed."""
    reference = one.document_reference if isinstance(one, Document) else one.reference
    return one.type, one.contact_id.lower(), one.date, one.currency, one.total, fold(reference)


_JOINTS = re.compile(r" / |[,;]")
"""What people and Xero's own copy-to-bill join several numbers with (design 5)."""


def names_order(found: Found, *numbers: str) -> bool:
    """Whether a supplier's bill says in its number or reference that it is for this purchase order.

    By any of the order's numbers, as the whole of it or as one part: PO7 is not PO77 (design 5).
    """
    wanted = {fold(number) for number in numbers} - {""}
    return any(
        fold(part) in wanted for text in (found.number, found.reference) for part in (text, *_JOINTS.split(text))
    )


def organisation_changed(document: Document, bound: Bound) -> Hold:
    """A posted document is never live in two organisations (design 5)."""
    return Hold(
        Reason.ORGANISATION_CHANGED,
        document.organisation,
        f"{document.reference} was posted to {bound.organisation}; the tables now send it to {document.organisation}.",
    )


def decide(document: Document, found: Sequence[Found], decisions: Decisions, take: Take = "") -> Adopt | Create | Hold:
    """The action for a document that is not bound yet.

    `found` are the documents in Xero that bear our link, or its number after Xero refused it. `take`: whose version
    counts where one of them differs.
    """
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
    others_order = document.kind is PURCHASE_ORDER and other.contact_id.lower() != document.contact_id.lower()
    # Another supplier's order is never written to, whoever asks for it (xero.md, trap 2).
    if take and len(candidates) == 1 and not others_order:
        return Adopt(document, other, take == "ours" and bool(_differences(document, other)))
    if not ours and (decisions.adopt.existing == "hold" or len(live) > 1):
        there = ", ".join(
            f"{each.number} ({plain(each.total)} {each.currency} for {each.contact_name})" for each in live
        )
        return Hold(Reason.NUMBER_CONFLICT, document.number, f"{document.organisation} already has {there}.")
    differences = _differences(document, other)
    if not differences:
        return Adopt(document, other)
    # A supplier's bill was looked for by its order: it is for the same goods, and its number is no conflict.
    reason = Reason.ADOPTED_DIFFERS if ours or document.kind is BILL else Reason.NUMBER_CONFLICT
    return Hold(
        reason,
        document.number,
        f"{document.organisation} already has {other.number}, and it differs: {'; '.join(differences)}.",
    )


def _buried(document: Document, dead: Sequence[Found]) -> Hold:
    """All that was found is voided or deleted: ours stays so, and somebody else's keeps its number."""
    # A purchase order carries no link: whose it was cannot be told.
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
        f"Give the {document.kind.source} another number in ConnectWise, or renumber the {_done(other)} document in "
        "Xero."
        if document.kind is not PURCHASE_ORDER
        else f"Give {document.reference} another number in ConnectWise, or change purchase_order_number under "
        "[purchases] in policy.toml: Xero never frees the number of a deleted purchase order.",
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
