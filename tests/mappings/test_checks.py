"""What Xero made of a posted document is what was predicted (promise 3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mappings.checks import after_posting
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Reason
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
