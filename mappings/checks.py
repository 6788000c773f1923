"""Checks of a posted document against Xero's answer: each takes both and gives the problems that it sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from shlex import quote

from mappings.money import plain
from mappings.outcomes import Hold, Reason
from mappings.updates import Update, expected_total
from mappings.xero import Document, Found, fold


def total_agrees(document: Document, answer: Found) -> Hold | None:
    """The total and the currency that Xero answers are those that were predicted (promise 3)."""
    return _total_is(document, answer, document.total, "posted")


def _total_is(document: Document, answer: Found, expected: Decimal, done: str) -> Hold | None:
    if (answer.total, answer.currency) == (expected, document.currency):
        return None
    return Hold(
        Reason.TOTAL_DIFFERS,
        plain(answer.total),
        f"{document.reference} was {done}: ConnectWise says {plain(document.total)} {document.currency}, Xero made it "
        f"{plain(answer.total)} {answer.currency}.",
    )


TRACKING_CURE = "Restore the option in Xero, or correct tracking.csv; then set the tracking of this document in Xero."


def tracking_agrees(document: Document, answer: Found) -> Hold | None:
    """Every option that was sent is there: one that was archived meanwhile may be left out without a word."""
    return _tracking_is(document, answer, [each for line in document.lines for each in line.tracking], "posted")


def _tracking_is(document: Document, answer: Found, sent: Sequence[tuple[str, str]], done: str) -> Hold | None:
    if not sent:
        return None
    spelt = {(fold(name), fold(option)): f"{name}/{option}" for name, option in sent}
    lost = Counter((fold(name), fold(option)) for name, option in sent) - Counter(answer.tracking)
    if not lost:
        return None
    listed = ", ".join(spelt[each] for each in lost)
    return Hold(
        Reason.MISSING_TRACKING,
        listed,
        f"{document.reference} was {done}, and Xero left out tracking: {listed}.",
        TRACKING_CURE,
    )


def stands_alone(document: Document, _answer: Found) -> Hold | None:
    """A bill that came after another one of the same vendor's invoice, with which it was not merged, is told of."""
    if not document.late:
        return None
    seen = f"`tieout sync {document.kind.asked_as} --reference {quote(document.reference)}`"
    return Hold(
        Reason.VENDOR_INVOICE_SPLIT,
        document.number,
        document.late,
        "Compare the vendor's invoice with both bills, and put the lines onto one of them in Xero by hand if you want. "
        f"Then say that it is seen with {seen}.",
    )


AFTER_POSTING: Sequence[Callable[[Document, Found], Hold | None]] = (total_agrees, tracking_agrees, stands_alone)


def after_posting(document: Document, answer: Found) -> list[Hold]:
    """All problems of a document that Xero has accepted; it stays posted, and people are told."""
    return [problem for check in AFTER_POSTING if (problem := check(document, answer)) is not None]


def after_update(update: Update, answer: Found) -> list[Hold]:
    """All problems of an edit that Xero has accepted. With a person's tax type it has to agree net of tax."""
    document = update.document
    sent = [
        (each["Name"], each["Option"])
        for line in update.merged.body.get("LineItems", ())
        for each in line.get("Tracking", ())
    ]
    problems = (
        _total_is(document, answer, expected_total(update, answer), "updated"),
        _tracking_is(document, answer, sent, "updated"),
    )
    return [problem for problem in problems if problem is not None]
