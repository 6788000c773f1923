"""Which orders a vendor's invoice covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mappings.vendor_invoices import VendorInvoices, in_words, invoice_key

ORDERS = st.integers(1, 5)
NOTED = st.lists(st.tuples(ORDERS, st.sampled_from([0, 7, 8]), st.sampled_from(["", " ", "INV-1", " inv-1 ", "INV-2"])))


@given(NOTED)
def test_each_order_is_covered_with_exactly_those_that_have_its_vendor_and_number_now(
    noted: list[tuple[int, int, str]],
) -> None:
    invoices = VendorInvoices()
    now = {}
    for order, vendor, number in noted:
        invoices.note(order, f"PO{order}", vendor, number)
        now[order] = (vendor, number.strip().casefold())
    for order in range(1, 6):
        vendor, number = now.get(order, (0, ""))
        expected = {
            other: f"PO{other}"
            for other in sorted(now)
            if other != order and vendor and number and now[other] == (vendor, number)
        }
        assert invoices.covered_with(order) == expected
        assert list(invoices.covered_with(order)) == sorted(expected)


def test_without_a_vendor_or_a_number_there_is_no_invoice() -> None:
    assert invoice_key(0, "INV-1") is None
    assert invoice_key(7, " \t ") is None
    assert invoice_key(7, " Inv  1 ") == (7, "inv 1")


def test_one_order_or_several_are_named_in_a_sentence() -> None:
    assert in_words("INV-9", "") == ""
    assert in_words(" INV-9", "1002") == "The vendor's invoice INV-9 also covers the purchase order 1002."
    assert in_words("INV-9", "1002, 1003") == "The vendor's invoice INV-9 also covers the purchase orders 1002, 1003."
