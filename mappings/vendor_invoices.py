"""One vendor invoice over several purchase orders: which orders a vendor's invoice covers, as far as is known.

The same invoice is the same number (trimmed, in any case) of the same vendor. ConnectWise holds number and date on each
order, and no document of the invoice itself (connectwise.md, 11.1).
"""

from __future__ import annotations

from collections import defaultdict

Key = tuple[int, str]
"""What a vendor's invoice is known by: the vendor's company id, and the number as it is compared."""


def invoice_key(vendor_id: int, number: str) -> Key | None:
    """What an order's vendor invoice is known by; None where there is no vendor or no number."""
    folded = " ".join(number.split()).casefold()
    return (vendor_id, folded) if vendor_id and folded else None


class VendorInvoices:
    """The orders of each vendor's invoice, by their ids, each with its number; the latest word on an order counts."""

    def __init__(self) -> None:
        self._key_of: dict[int, Key] = {}
        self._covered: dict[Key, dict[int, str]] = defaultdict(dict)

    def note(self, order_id: int, reference: str, vendor_id: int, number: str) -> None:
        """Note which invoice an order has now."""
        key, before = invoice_key(vendor_id, number), self._key_of.pop(order_id, None)
        if before is not None:
            del self._covered[before][order_id]
        if key is not None:
            self._key_of[order_id] = key
            self._covered[key][order_id] = reference

    def covered_with(self, order_id: int) -> dict[int, str]:
        """The other orders that the invoice of this one covers, by id, each with its number; the lowest id first."""
        key = self._key_of.get(order_id)
        covered = self._covered[key] if key is not None else {}
        return {number: covered[number] for number in sorted(covered) if number != order_id}


def in_words(number: str, others: str) -> str:
    """What a bill says of the other orders that the vendor's invoice covers; '' where there are none."""
    if not others:
        return ""
    word = "purchase orders" if ", " in others else "purchase order"
    return f"The vendor's invoice {' '.join(number.split())} also covers the {word} {others}."
