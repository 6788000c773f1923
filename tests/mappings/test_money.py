"""Amounts: rounded in one place, written without surprises."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.money import LARGEST, plain, to_cents, total

AMOUNTS = st.decimals(-LARGEST, LARGEST, allow_nan=False, allow_infinity=False, places=7)


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("0.005", "0.01"),
        ("0.004999", "0.00"),
        ("-0.005", "-0.01"),
        ("2.675", "2.68"),
        ("1.0049999999999999", "1.00"),
        ("1E+3", "1000.00"),
        ("12.3", "12.30"),
        ("9999999999.994", "9999999999.99"),
    ],
)
def test_halves_are_rounded_away_from_zero(amount: str, rounded: str) -> None:
    """Xero rounds every line so (assumed, and checked on every answer)."""
    assert str(to_cents(Decimal(amount))) == rounded


def test_nothing_is_never_minus_nothing() -> None:
    """-0.00 in a message or a document would puzzle a bookkeeper."""
    assert str(to_cents(Decimal("-0.004"))) == "0.00"
    assert plain(Decimal("-0.000")) == "0.000"


@given(AMOUNTS)
def test_rounding_moves_an_amount_by_half_a_cent_at_most(amount: Decimal) -> None:
    """Whatever the amount, the cent is the nearest one."""
    assert abs(Fraction(to_cents(amount)) - Fraction(amount)) <= Fraction(1, 200)
    assert to_cents(to_cents(amount)) == to_cents(amount)


@given(st.lists(AMOUNTS, max_size=50))
def test_a_sum_is_exact(amounts: list[Decimal]) -> None:
    """No float, no rounding on the way."""
    assert Fraction(total(amounts)) == sum(map(Fraction, amounts), Fraction(0))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("165", "165.00"),
        ("1.5", "1.50"),
        ("1E+3", "1000.00"),
        ("1E+30", "1" + "0" * 30 + ".00"),
        ("0.0000001", "0.0000001"),
        ("-7.25", "-7.25"),
        ("33.3333333", "33.3333333"),
    ],
)
def test_amounts_are_written_in_full(amount: str, text: str) -> None:
    """No exponent, at least two places, and no digit lost."""
    assert plain(Decimal(amount)) == text
