"""Money is a Decimal; this is the one place where amounts are rounded and written for people."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
"""The smallest amount that a Xero document carries, whatever the currency (xero.md, section 4)."""

LARGEST = Decimal("9999999999.99")
"""The largest amount that a line of a Xero document carries (xero.md, section 4)."""

ZERO = Decimal(0)


def to_cents(amount: Decimal) -> Decimal:
    """Round to two places, halves away from zero, as Xero does for every line and every line's tax.

    Xero documents two places but not the mode (xero.md, section 4); the answer's total is compared with ours after
    every write, so a tenant that rounds otherwise is found on the first document.
    """
    # Adding zero makes -0.00 an ordinary 0.00.
    return amount.quantize(CENT, rounding=ROUND_HALF_UP) + ZERO


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum (an empty one is 0)."""
    return sum(amounts, ZERO)


def plain(amount: Decimal) -> str:
    """Write an amount without an exponent and with at least two places: 165 -> '165.00', 1E+3 -> '1000.00'."""
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "money is finite"
    return format(abs(amount) if amount == 0 else amount, f".{max(2, -exponent)}f")
