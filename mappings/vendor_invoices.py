"""One vendor invoice over several purchase orders: which orders a vendor's invoice covers, as far as is known.

The same invoice is the same number (trimmed, in any case) of the same vendor. ConnectWise holds number and date on each
order, and no document of the invoice itself (connectwise.md, 11.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mappings.csv_tables import fold_cell
from mappings.lifecycle import BILLING, LIFECYCLE, Lifecycle, State
from mappings.policy import FILE, Policy

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


# Whether policy and lifecycle go together


def objections(lifecycle: Lifecycle, policy: Policy) -> list[str]:
    """Why `one_bill` cannot go with this lifecycle, one sentence for each row or organisation; none when it can.

    One bill for a vendor's invoice can be made once that invoice is there, and not before: what another state had
    billed by then would stand on bills of its own, by the chance of when the cycles ran.
    """
    names: dict[str, str] = {}
    for name in ("", *policy.organisation, *lifecycle.organisations):
        names.setdefault(fold_cell(name), name)
    found: dict[str, None] = {}
    for name in names.values():
        if grouped(policy, name):
            found |= dict.fromkeys(_objections_for(lifecycle, name))
    return list(found)


def grouped(policy: Policy, organisation: str) -> bool:
    """Whether what one vendor's invoice covers shares a bill in this organisation ('': where none is named)."""
    own = next((name for name in policy.organisation if fold_cell(name) == fold_cell(organisation)), organisation)
    return policy.decisions(own).purchases.vendor_invoice_grouping == "one_bill"


def _objections_for(lifecycle: Lifecycle, organisation: str) -> Iterator[str]:
    says = f'{FILE} says vendor_invoice_grouping = "one_bill"'
    billing = [row for row in lifecycle.fired(organisation, tuple(State)) if set(BILLING) & set(row.events)]
    for row in billing:
        if row.state is not State.VENDOR_INVOICE_RECEIVED:
            event = next(event for event in BILLING if event in row.events)
            yield (
                f"{says}, and {row} has {event} at {row.state}, when the vendor's invoice may not be there yet; let "
                'bills be made at vendor_invoice_received alone, or set "bill_per_po".'
            )
    if not billing and any(set(BILLING) & set(row.events) for row in lifecycle.rows):
        place = f" for {organisation}" if organisation else ""
        yield (
            f"{says}, and no row of {LIFECYCLE.file} makes a bill at vendor_invoice_received{place}; add draft_bill "
            'there, or set "bill_per_po".'
        )
