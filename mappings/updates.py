"""An edit of a posted record: written, already there, or held with both values and the correction in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from shlex import quote

from mappings.kinds import BILL, INVOICE, PURCHASE_ORDER
from mappings.merging import LastWrite, Merged, merge, shown, untouched
from mappings.money import ZERO, plain
from mappings.outcomes import Hold, Reason, XeroList
from mappings.plans import Bound, Take
from mappings.policy import Decisions
from mappings.posted import Posted
from mappings.xero import Document, Found, Line, write_json

EDITABLE = ("DRAFT", "SUBMITTED")
"""Statuses of a bill that nobody has approved yet."""
MOST_WORDS = 6
"""So many changes are told in a sentence; the plan lists all."""


@dataclass(frozen=True)
class Update:
    """Write an edit to a document that is in Xero. `theirs` is how it stood there when this was decided."""

    document: Document
    bound: Bound
    last: LastWrite
    theirs: Found
    take: Take = ""

    @cached_property
    def merged(self) -> Merged:
        """What is written of it."""
        return merge(self.document, self.last, Posted.read(self.theirs), self.take)

    @property
    def content(self) -> str:
        """The element of the write, as text."""
        return write_json(self.merged.body)

    @property
    def deletes(self) -> bool:
        """Whether it deletes the document: a purchase order that was cancelled."""
        return self.document.status == "DELETED"

    @property
    def is_step(self) -> bool:
        """Whether it only raises the status of a purchase order, and changes nothing on it."""
        return not self.deletes and all(change.name == "Status" for change in self.merged.changes)


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing (more) is to be written: what stands in Xero is the base from now on.

    `line_ids` are those of our lines, `total` is what Xero is expected to have. `written`: it was our own write of
    which the answer was lost that brought it there.
    """

    document: Document
    found: Found
    line_ids: Mapping[str, str]
    total: Decimal
    written: bool = False


def decide_update(
    document: Document,
    bound: Bound,
    last: LastWrite,
    theirs: Found | None,
    decisions: Decisions,
    lock_date: dt.date | None,
    take: Take = "",
    in_doubt: bool = False,
) -> Update | Settled | Hold:
    """The action for a posted record that is not as it was last written.

    `theirs` is its document as read from Xero now (None: Xero does not show it); `in_doubt`: the answer to our last
    write of it was lost.
    """
    if theirs is None:
        return removed(document, last, None)
    update = Update(document, bound, last, theirs, take)
    if take == "theirs":
        return Settled(document, theirs, update.merged.line_ids, theirs.total)
    if not theirs.live and update.deletes:
        # Done: by our write, of which no answer came, or by a person who was quicker.
        return Settled(document, theirs, {}, theirs.total, in_doubt)
    if not theirs.live:
        return removed(document, last, theirs)
    if not update.merged.changes and not update.merged.clashes:
        total = expected_total(update, theirs)
        return Settled(document, theirs, update.merged.line_ids, total, in_doubt and changed_since(document, bound))
    return _obstacle(update, decisions, lock_date) or update


def changed_since(document: Document, bound: Bound) -> bool:
    """Whether there was anything to write; what was changed and changed back before it arrived is as it was."""
    return document.fingerprint != bound.fingerprint


def expected_total(update: Update, answer: Found) -> Decimal:
    """What Xero has to have after a write: our total; with a person's tax type on a line our subtotal, taxed so.

    Where no line of ours changed, what was agreed before: ours, or the version that a person decided for.
    """
    posted, old = Posted.read(answer), update.last.document
    if update.merged.her_tax and posted.subtotal == update.document.subtotal:
        return answer.total
    if old is not None and old.lines == update.document.lines:
        return update.bound.total
    return update.document.total


def removed(document: Document, last: LastWrite, theirs: Found | None) -> Hold:
    """A document that a person deleted or voided stays so."""
    how = f"somebody {theirs.status.lower()} it" if theirs is not None else "Xero does not show it any more"
    burnt = "give it another number in ConnectWise, since Xero never frees that of a deleted one; then "
    return Hold(
        Reason.REMOVED_IN_XERO,
        document.number,
        f"{document.organisation} had {last.answer.number or document.number} for this record, and {how}.",
        "Nothing, if that was meant (`--take theirs` closes this exception). To have it posted again: "
        f"{burnt if document.kind is PURCHASE_ORDER else ''}{_command(document, '--recreate')}.",
    )


def _obstacle(update: Update, decisions: Decisions, lock_date: dt.date | None) -> Hold | None:
    """Why an edit is not written, with the correction in words; None: nothing stands against it."""
    document, theirs = update.document, Posted.read(update.theirs)
    told = f"{document.reference} changed in ConnectWise after it was posted: {in_words(update)}."
    if document.kind is PURCHASE_ORDER:
        return _order_stands(update, told)
    if document.kind is BILL and theirs.status not in EDITABLE:
        return _approved_bill(update, told)
    if theirs.paid or theirs.credited or theirs.status == "PAID":
        paid, credited = ("is paid", "is credited") if document.kind is INVOICE else ("is refunded", "is allocated")
        done = " and ".join(
            f"{plain(amount)} {theirs.currency} of it {what}"
            for amount, what in ((theirs.paid, paid), (theirs.credited, credited))
            if amount
        )
        return Hold(
            Reason.PAID_IN_XERO,
            plain(theirs.paid + theirs.credited),
            f"{told} In Xero {done or f'it {paid}'}, so it is not changed there.",
            _correction(update),
        )
    if theirs.status == "AUTHORISED" and decisions.sales.on_edit_authorised == "hold":
        return Hold(
            Reason.AUTHORISED_IN_XERO,
            theirs.status,
            f"{told} It is approved in Xero, and policy says to leave approved {document.kind.word}s alone.",
            _correction(update),
        )
    if theirs.status == "AUTHORISED" and document.total == ZERO:
        return Hold(
            Reason.ZERO_TOTAL,
            "0.00",
            f"{told} It is approved in Xero, where a total of 0.00 would count as paid.",
            _correction(update),
        )
    if update.merged.clashes:
        return _clashing(update, told)
    if lock_date is not None and theirs.date is not None and theirs.date <= lock_date:
        return Hold(
            Reason.PERIOD_LOCKED,
            theirs.date.isoformat(),
            f"{told} In Xero it is dated {theirs.date}, and {document.organisation} is locked up to and including "
            f"{lock_date}.",
            "Unlock the period in Xero, or " + _correction(update)[0].lower() + _correction(update)[1:],
            waits_on=(XeroList.ORGANISATION,),
        )
    return None


def _clashing(update: Update, told: str) -> Hold:
    """A person changed the same in Xero: both values, and who decides."""
    both = "; ".join(map(str, update.merged.clashes[:MOST_WORDS]))
    return Hold(
        Reason.EDITED_IN_XERO,
        ", ".join(dict.fromkeys(clash.name for clash in update.merged.clashes))[:200],
        f"{told} A person changed it in Xero as well: {both}.",
        f"Make the two agree by hand; or decide for one: {_command(update.document, '--take ours')} writes what "
        "ConnectWise says, --take theirs leaves Xero as it is.",
    )


def _order_stands(update: Update, told: str) -> Hold | None:
    """Why a purchase order is not changed, or not deleted: it is billed, or a person changed it. None: nothing is."""
    document, theirs = update.document, update.theirs
    number, worth = theirs.number or document.number, f"{plain(theirs.total)} {theirs.currency}"
    done = f"then say that it is done with {_command(document, '--take theirs')}"
    if update.deletes:
        cancelled = f"{document.reference} was cancelled in ConnectWise."
        if theirs.status == "BILLED":
            return Hold(
                Reason.BILLED_IN_XERO,
                number,
                f"{cancelled} {number} in Xero is billed ({worth}), so it is not deleted.",
                f"Look for the bill of {number} in Xero and see to it; {done}.",
            )
        if update.take != "ours" and not untouched(update.last.answer, theirs, any_status=True):
            base = update.last.answer
            return Hold(
                Reason.EDITED_IN_XERO,
                number,
                f"{cancelled} {number} in Xero ({theirs.status.lower()}, {worth}) is not as we left it (it was "
                f"{plain(base.total)} {base.currency}): a person changed it, so it is not deleted.",
                f"Delete {number} in Xero if it is off; or decide: {_command(document, '--take ours')} deletes it, "
                "--take theirs leaves it as it is.",
            )
        return None
    if theirs.status == "BILLED":
        return Hold(
            Reason.BILLED_IN_XERO,
            ", ".join(dict.fromkeys(change.name for change in update.merged.changes))[:200] or number,
            f"{told} {number} in Xero is billed with {worth}; by ConnectWise it would be {plain(document.total)} "
            f"{document.currency}. A billed purchase order is not changed.",
            f"Change {number} in Xero by hand if it matters, {done}; or undo the change in ConnectWise.",
        )
    return _clashing(update, told) if update.merged.clashes else None


def _approved_bill(update: Update, told: str) -> Hold:
    """A bill that somebody has approved is never edited: both values, and what to enter for it (design 3, 6)."""
    document, theirs, old = update.document, update.theirs, update.last.document
    before, now = dict(old.billed) if old is not None else {}, dict(document.billed)
    less = any(quantity < before[key] for key, quantity in now.items() if key in before) or before.keys() - now.keys()
    back = "Some of what it bills was taken back in ConnectWise. " if less else ""
    return Hold(
        Reason.RECEIPT_REVERSED if less else Reason.AUTHORISED_IN_XERO,
        plain(document.total - theirs.total),
        f"{told} {back}Its bill {theirs.number or document.number} in Xero is {theirs.status.lower()} with "
        f"{plain(theirs.total)} {theirs.currency}; by ConnectWise it would be {plain(document.total)} "
        f"{document.currency}. An approved bill is not changed.",
        _correction(update),
    )


def in_words(update: Update) -> str:
    """What changed in ConnectWise since the last write, old and new value of each; the total first."""
    new, old = update.document, update.last.document
    told = []
    if (update.bound.total, update.bound.currency) != (new.total, new.currency):
        told.append(f"total {plain(update.bound.total)} {update.bound.currency} -> {plain(new.total)} {new.currency}")
    if old is None:
        return "; ".join(told) or update.merged.in_words
    party, due = ("supplier", "delivery date") if new.kind is PURCHASE_ORDER else ("customer", "due date")
    for name, before, after in (
        ("number", old.number, new.number),
        (party, old.contact_name, new.contact_name),
        ("date", old.date, new.date),
        (due, old.due_date, new.due_date),
        ("reference", old.document_reference, new.document_reference),
        ("exchange rate", old.currency_rate, new.currency_rate),
        *([] if new.kind.posts else [("status", old.status, new.status)]),
    ):
        if before != after:
            told.append(f"{name} {shown(before)} -> {shown(after)}")
    told += _lines_in_words(old.lines, new.lines)
    more = [f"and {len(told) - MOST_WORDS} more"] if len(told) > MOST_WORDS else []
    return "; ".join(told[:MOST_WORDS] + more) or "the document is the same, and Xero's is not"


def _lines_in_words(old: Sequence[Line], new: Sequence[Line]) -> list[str]:
    before, after = {line.key: line for line in old}, {line.key: line for line in new}
    told = [f"line {shown(line.description)!r} {plain(line.amount)} removed" for line in old if line.key not in after]
    for line in new:
        was = before.get(line.key)
        if was is None:
            told.append(f"line {shown(line.description)!r} {plain(line.amount)} added")
        elif was.amount != line.amount:
            told.append(f"line {shown(line.description)!r} {plain(was.amount)} -> {plain(line.amount)}")
        elif was.description != line.description:
            told.append(f"text {shown(was.description)!r} -> {shown(line.description)!r}")
        elif was != line:
            told.append(f"account, tax or tracking of {shown(line.description)!r}")
    return told


def _correction(update: Update) -> str:
    """What a person does by hand in place of a write that cannot be made."""
    document, theirs = update.document, Posted.read(update.theirs)
    difference = document.total - theirs.total
    number = theirs.number or document.number
    if document.currency != theirs.currency:
        what = f"Enter the change from {theirs.currency} to {document.currency} in Xero by hand"
    elif difference:
        less = {INVOICE: "a credit note", BILL: "a supplier credit"}.get(document.kind, "an invoice")
        what = (
            f"Enter a further {document.kind.word} of {plain(difference)} {document.currency} beside {number} in Xero"
            if difference > 0
            else f"Enter {less} of {plain(-difference)} {document.currency} for {number} in Xero"
        )
    else:
        what = f"Change {number} by hand as far as Xero lets you; the total stays"
    done = f"then say that it is done with {_command(document, '--take theirs')}"
    return f"{what}, {done}; or undo the change in ConnectWise."


def _command(document: Document, word: str) -> str:
    return f"`tieout sync {document.kind.asked_as} --reference {quote(document.reference)} {word}`"
