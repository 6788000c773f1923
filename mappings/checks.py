"""Checks of a posted document against Xero's answer: each takes both and gives the problems that it sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mappings.money import plain
from mappings.outcomes import Hold, Reason
from mappings.xero import Document, Found, fold


def total_agrees(document: Document, answer: Found) -> Hold | None:
    """The total and the currency that Xero answers are those that were predicted (promise 3)."""
    if (answer.total, answer.currency) == (document.total, document.currency):
        return None
    return Hold(
        Reason.TOTAL_DIFFERS,
        plain(answer.total),
        f"{document.reference} was posted: ConnectWise says {plain(document.total)} {document.currency}, Xero made it "
        f"{plain(answer.total)} {answer.currency}.",
    )


TRACKING_CURE = "Restore the option in Xero, or correct tracking.csv; then set the tracking of this document in Xero."


def tracking_agrees(document: Document, answer: Found) -> Hold | None:
    """Every option that was sent is there: one that was archived meanwhile may be left out without a word."""
    sent = sorted((fold(name), fold(option)) for line in document.lines for name, option in line.tracking)
    if not sent:
        return None
    lost = Counter(sent) - Counter(answer.tracking)
    if not lost:
        return None
    spelt = {
        (fold(name), fold(option)): f"{name}/{option}" for line in document.lines for name, option in line.tracking
    }
    listed = ", ".join(spelt[each] for each in lost)
    return Hold(
        Reason.MISSING_TRACKING,
        listed,
        f"{document.reference} was posted, and Xero left out tracking: {listed}.",
        TRACKING_CURE,
    )


AFTER_POSTING: Sequence[Callable[[Document, Found], Hold | None]] = (total_agrees, tracking_agrees)


def after_posting(document: Document, answer: Found) -> list[Hold]:
    """All problems of a document that Xero has accepted; it stays posted, and people are told."""
    return [problem for check in AFTER_POSTING if (problem := check(document, answer)) is not None]
