"""Golden documents: whole invoices and orders as ConnectWise gives them, and exactly what Xero is sent for each."""

from __future__ import annotations

import difflib
from decimal import Decimal
from typing import Any

import pytest
import simplejson

from mappings.connectwise import SourceBill, SourceInvoice, SourceOrder, read_json
from mappings.money import ZERO
from mappings.xero import Document
from tests.mappings.goldens import FOLDER, NAMES, document_text, kept_path, mapped_anew, source
from tests.mappings.samples import cents


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_document_is_what_it_was(name: str) -> None:
    """A difference is either a bug or a decision: then regenerate (see goldens.py) and review the amounts."""
    kept, now = kept_path(name).read_text(encoding="utf-8"), document_text(name)
    if kept != now:
        diff = difflib.unified_diff(kept.splitlines(), now.splitlines(), f"{name} (kept)", f"{name} (now)", lineterm="")
        pytest.fail("\n".join(diff), pytrace=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_document_ties_out_with_its_header(name: str) -> None:
    """The kept amounts are the header's, mirrored in a credit note, so that nobody regenerates a wrong one.

    A bill's are worked out anew from what it holds.
    """
    found, kept = source(name), read_json(kept_path(name).read_bytes())
    if not isinstance(found, SourceInvoice):
        assert kept["predicted"] == amounts(found)
        return
    header = found.header
    sign = -1 if kept["body"]["Type"] == "ACCRECCREDIT" else 1
    assert (sign < 0) is (header.total < 0)
    assert kept["predicted"] == {
        "subtotal": sign * cents(header.subtotal),
        "tax": sign * cents(header.sales_tax),
        "total": sign * cents(header.total),
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_text_that_goes_to_xero_is_the_golden_body(name: str) -> None:
    """It is put together from what the fingerprint is of; digit for digit the same, and nothing said twice."""
    document = mapped_anew(name)
    assert isinstance(document, Document)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return {key: str(value) if isinstance(value, Decimal) else value for key, value in pairs}

    sent = simplejson.loads(document.sent, use_decimal=True, object_pairs_hook=once)
    written = simplejson.dumps(document.body(), use_decimal=True)
    assert sent == simplejson.loads(written, use_decimal=True, object_pairs_hook=once)


def amounts(found: SourceBill | SourceOrder) -> dict[str, Decimal]:
    """What a bill or an order comes to: each line to the cent, its share of the line's tax, and a bill's freight."""
    held = dict(found.quantities)
    lines = [(line, held[f"line:{line.id}"]) for line in found.lines if f"line:{line.id}" in held]
    freight = found.header if "freight" in held else None
    subtotal = sum((cents(line.unit_cost * quantity) for line, quantity in lines), ZERO)
    tax = sum((line.tax * quantity / line.quantity for line, quantity in lines), ZERO)
    subtotal += freight.freight_cost if freight else ZERO
    tax = cents(tax + (freight.freight_tax_total if freight else ZERO))
    return {"subtotal": subtotal, "tax": tax, "total": subtotal + tax}


def test_every_golden_document_has_both_sides() -> None:
    """And there are the cases that design section 4 speaks of."""
    assert {path.name.partition(".")[0] for path in FOLDER.glob("*.xero.json")} == set(NAMES)
    kinds = [type(source(name)) for name in NAMES]
    assert [kinds.count(kind) for kind in (SourceInvoice, SourceBill, SourceOrder)] == [28, 4, 2]
