"""Bills that several purchase orders share: which of their quantities are whose.

A bill is kept under one order, its lead. What it holds of another one has that order's id before its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal


def key_on(lead: int, order: int, key: str) -> str:
    """The key of an order's line, or freight, on a bill that is kept under the order `lead`, which may be another."""
    return key if order == lead else f"{order}/{key}"


def share_of(quantities: Mapping[str, Decimal], lead: int, order: int) -> dict[str, Decimal]:
    """What a bill that is kept under the order `lead` holds of an order, by the order's own keys."""
    shares: dict[str, Decimal] = {}
    for key, quantity in quantities.items():
        other, slash, own = key.rpartition("/")
        if other == ("" if order == lead else str(order)) and bool(slash) is (order != lead):
            shares[own] = quantity
    return shares


def orders_on(quantities: Mapping[str, Decimal], lead: int) -> set[int]:
    """The orders of which a bill holds anything."""
    return {int(other) if other else lead for other in (key.rpartition("/")[0] for key in quantities)}
