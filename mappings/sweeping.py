"""What a completeness sweep says of a record that one of the systems does not show, or has otherwise than we left it.

Absence is never taken for an answer (promise 5): what is not shown may be hidden, and many things that are missing at
once are a sign of a changed role or organisation, not of so many deletions (design 5).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from shlex import quote

from mappings.kinds import INVOICE, Kind
from mappings.merging import Clash, LastWrite, merge, untouched
from mappings.money import plain
from mappings.outcomes import Hold, Reason
from mappings.plans import Bound
from mappings.policy import Decisions
from mappings.posted import Posted
from mappings.xero import Document, Found, write_json

FEW = 3
MOST_WORDS = 4
"""So many changes are told in a sentence."""


@dataclass(frozen=True)
class Remove:
    """Delete a draft whose record was deleted in ConnectWise, as policy says. `theirs` is the draft as it stands."""

    document: Document
    bound: Bound
    theirs: Found

    @property
    def content(self) -> str:
        """The element of the write, as text."""
        return write_json({self.document.kind.id: self.bound.xero_id, "Status": "DELETED"})


def too_many(missing: int, known: int) -> bool:
    """Whether so many records are missing at once that nothing may be done about any of them (design 5)."""
    return missing > FEW and missing * 100 > known


def hand_edits(last: LastWrite, theirs: Found) -> list[Clash]:
    """What a person changed in Xero of a document's identity and money since we wrote it.

    What may differ (account, tax type, tracking, text, due date, reference: design 4) is none. Nothing is said of a
    document that was bound before what was written was kept.
    """
    return merge(last.document, last, Posted.read(theirs)).clashes if last.document is not None else []


def edited(kind: Kind, reference: str, bound: Bound, last: LastWrite, theirs: Found) -> Hold | None:
    """What is to be said of a posted document whose money a person changed in Xero; None where she did not."""
    clashes = hand_edits(last, theirs)
    taxed = not clashes and theirs.total not in (bound.total, last.answer.total)
    if not clashes and not taxed:
        return None
    told = "; ".join(map(str, clashes[:MOST_WORDS])) or "a tax type was changed"
    more = f"; and {len(clashes) - MOST_WORDS} more" if len(clashes) > MOST_WORDS else ""
    return Hold(
        Reason.EDITED_IN_XERO,
        plain(theirs.total),
        f"{reference} is posted, and in {bound.organisation} a person changed it since: {told}{more}. Its total is "
        f"{plain(bound.total)} {bound.currency} in ConnectWise and {plain(theirs.total)} {theirs.currency} in Xero.",
        "Make the same change in ConnectWise, or undo it in Xero; or say whose version counts: "
        f"`tieout sync {kind.asked_as} --reference {quote(reference)} --take theirs` leaves Xero as it is, "
        "`--take ours` writes ConnectWise's version.",
    )


def gone_from_xero(kind: Kind, bound: Bound, last: LastWrite, theirs: Found | None) -> Hold:
    """What is to be said of a posted document that a person deleted or voided, or that Xero does not show."""
    how = f"somebody {theirs.status.lower()} it" if theirs is not None else "Xero does not show it any more"
    command = f"`tieout sync {kind.asked_as} --reference {quote(bound.reference)}"
    return Hold(
        Reason.REMOVED_IN_XERO,
        last.answer.number or bound.reference,
        f"{bound.organisation} had {last.answer.number or bound.reference} for this record, and {how}.",
        f"Nothing, if that was meant ({command} --take theirs` closes this exception). To have it posted again: "
        f"{command} --recreate`.",
    )


def missing(kind: Kind, reference: str, number: int, bound: Bound, theirs: Found | None, certain: bool) -> Hold:
    """What is to be said of a posted record that ConnectWise does not show any more.

    `certain`: ConnectWise says itself that there is none, and shows others of the same location.
    """
    if theirs is None:
        there = f"{bound.organisation} does not show its document {bound.xero_id} either"
    else:
        there = (
            f"{bound.organisation} still has {theirs.number or theirs.xero_id} "
            f"({theirs.status}, {plain(theirs.total)} {theirs.currency})"
        )
    stays = f"If it stays as it is, say so with `tieout sync {kind.asked_as} --reference id:{number} --take theirs`."
    if not certain:
        return Hold(
            Reason.SOURCE_HIDDEN,
            reference,
            f"ConnectWise does not show {reference} any more, and whether it was deleted or is only hidden from the "
            f"API member cannot be told; {there}. Nothing was changed.",
            "Look for it in ConnectWise. If it is there, let the role of the API member see its location; if it was "
            f"deleted, {_by_hand(kind, theirs)} {stays}",
        )
    by_hand = _by_hand(kind, theirs)
    return Hold(
        Reason.SOURCE_DELETED,
        reference,
        f"{reference} was deleted in ConnectWise; {there}. Nothing was changed.",
        f"{by_hand[0].upper()}{by_hand[1:]} {stays}",
    )


def _by_hand(kind: Kind, theirs: Found | None) -> str:
    """What a person does with the document of a sale that is off."""
    if theirs is None:
        return "look for the document in Xero."
    if theirs.status in ("DRAFT", "SUBMITTED"):
        return "delete the draft in Xero if the sale is off."
    posted = Posted.read(theirs)
    if posted.paid or posted.credited or theirs.status == "PAID":
        other = "a credit note" if kind is INVOICE else "an invoice"
        return f"enter {other} of {plain(theirs.total)} {theirs.currency} in Xero if the sale is off."
    return f"void the {kind.word} in Xero if the sale is off."


def may_be_deleted(
    last: LastWrite, bound: Bound, theirs: Found, decisions: Decisions, lock_date: dt.date | None
) -> bool:
    """Whether policy lets us delete the draft of a record that was deleted for certain: one that nobody edited."""
    if decisions.deleted.draft != "delete" or theirs.status != "DRAFT" or last.document is None:
        return False
    if lock_date is not None and min(bound.date, theirs.date or bound.date) <= lock_date:
        return False
    return untouched(last.answer, theirs)


def all_at_once(word: str, count: int, known: int, what: str) -> Hold:
    """The one exception for many records that are missing at once; nothing is done about any of them.

    `word` is what people call one of them, `what` the side that does not show them.
    """
    return Hold(
        Reason.SOURCE_HIDDEN,
        f"{count} of {known}",
        f"{what} does not show {count} of {known} posted {word}s any more. That many are hardly deleted at once, "
        "so nothing was changed and none of them is told by itself.",
        "Look whether the role of the API member, its locations, or the connected organisation was changed, and undo "
        "that. If they were really deleted, see to their documents in Xero; the next sweep looks again.",
    )
