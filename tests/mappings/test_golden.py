"""Golden documents: whole invoices as ConnectWise gives them, and exactly what Xero is sent for each."""

from __future__ import annotations

import difflib

import pytest

from mappings.connectwise import read_json
from tests.mappings.goldens import FOLDER, NAMES, document_text, kept_path, source
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
    """The kept amounts are the header's, mirrored in a credit note, so that nobody regenerates a wrong one."""
    header, kept = source(name).header, read_json(kept_path(name).read_bytes())
    sign = -1 if kept["body"]["Type"] == "ACCRECCREDIT" else 1
    assert (sign < 0) is (header.total < 0)
    assert kept["predicted"] == {
        "subtotal": sign * cents(header.subtotal),
        "tax": sign * cents(header.sales_tax),
        "total": sign * cents(header.total),
    }


def test_every_golden_document_has_both_sides() -> None:
    """And there are the cases that design section 4 speaks of."""
    assert {path.name.partition(".")[0] for path in FOLDER.glob("*.xero.json")} == set(NAMES)
    assert len(NAMES) == 28
