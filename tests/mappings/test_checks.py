"""What Xero made of a posted document is what was predicted (promise 3)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mappings.checks import after_posting
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Reason
from mappings.xero import Found
from tests.mappings.samples import found, invoice, mapped, surroundings, time

DOCUMENT = mapped(to_xero_invoice(invoice([time()]), surroundings()))


@pytest.mark.parametrize("total", ["330", "330.00", "330.0000"])
def test_an_answer_with_the_predicted_total_is_fine(total: str) -> None:
    """However many zeros Xero writes."""
    assert after_posting(DOCUMENT, found(DOCUMENT, Total=Decimal(total))) == []


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"Total": Decimal("330.01")}, "330.01 AUD"),
        ({"Total": Decimal("329.99")}, "329.99 AUD"),
        ({"Total": Decimal(0)}, "0.00 AUD"),
        ({"CurrencyCode": "NZD"}, "330.00 NZD"),
    ],
)
def test_an_answer_with_another_total_is_told_with_both(changes: dict[str, Any], made: str) -> None:
    """The document is there; people are told at once, to the cent."""
    (problem,) = after_posting(DOCUMENT, found(DOCUMENT, **changes))
    assert problem.reason is Reason.TOTAL_DIFFERS
    assert problem.value == made.split()[0]
    assert problem.message == f"40001 was posted: ConnectWise says 330.00 AUD, Xero made it {made}."


TRACKED = replace(
    DOCUMENT,
    lines=(
        replace(DOCUMENT.lines[0], tracking=(("Region", "North"), ("Team", "Desk"))),
        replace(DOCUMENT.lines[0], tracking=(("Region", "North"),)),
    ),
)


def tracked(*lines: list[tuple[str, str]]) -> Found:
    """The answer to it, with this tracking on its lines."""
    items = [{"Tracking": [{"Name": name, "Option": option} for name, option in line]} for line in lines]
    return found(TRACKED, LineItems=items)


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        ([[("Region", "North"), ("Team", "Desk")], [("Region", "North")]], None),
        ([[("region", "NORTH")], [("Team", "Desk"), ("Region", "North")]], None),
        ([[("Region", "North"), ("Team", "Desk"), ("More", "Still")], [("Region", "North")]], None),
        ([[("Region", "North"), ("Team", "Desk")], []], "Region/North"),
        ([[], []], "Region/North, Team/Desk"),
        ([], "Region/North, Team/Desk"),
        ([[("Region", "South"), ("Team", "Desk")], [("Region", "South")]], "Region/North"),
    ],
)
def test_tracking_that_xero_left_out_is_told(lines: list[list[tuple[str, str]]], lost: str | None) -> None:
    """Each option as often as it was sent, on whatever line the answer shows it."""
    problems = after_posting(TRACKED, tracked(*lines))
    assert [(problem.reason, problem.value) for problem in problems] == (
        [] if lost is None else [(Reason.MISSING_TRACKING, lost)]
    )


def test_without_tracking_nothing_is_missed() -> None:
    assert after_posting(DOCUMENT, found(DOCUMENT, LineItems=[{"Tracking": [{"Name": "Region", "Option": "N"}]}])) == []
