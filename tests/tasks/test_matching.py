"""Pairing the rows of a request with the elements of its answer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.audit.requests import RowOfRequest
from blocks.xero.client import Element
from mappings.xero import EMPTY_ID, Document, Found
from tasks.posting import Row, match

DAY = date(2026, 3, 2)


def row(number: int, name: str = "") -> Row:
    name = name or f"4000{number}"
    url = f"http://localhost/{number}"
    document = Document(
        "invoices", number, name, "Sydney", "t", "ACCREC", name, "c", "Acme", DAY, DAY, "AUD", None, "", url, "DRAFT",
        (),
    )  # fmt: skip
    return RowOfRequest(number, "", name, name, url, "", document)


def accepted(of: Row, number: str = "", url: str | None = None) -> Element:
    given = {
        "InvoiceID": f"id-{of.connectwise_id}",
        "InvoiceNumber": number or of.number,
        "Url": of.url if url is None else url,
        "Total": Decimal(1),
    }
    return Element(Found.parse(given), ())


def refused(words: str, number: str = "") -> Element:
    return Element(Found.parse({"InvoiceID": EMPTY_ID, "InvoiceNumber": number, "Total": Decimal(1)}), (words,))


def pairs(found: list[tuple[Row, Element]]) -> dict[int, str]:
    return {row.connectwise_id: element.found.xero_id for row, element in found}


@given(st.permutations(range(6)), st.sets(st.integers(0, 5), max_size=3), st.booleans())
def test_whatever_the_order_every_document_belongs_to_its_own_row(
    order: list[int], bad: set[int], echoed: bool
) -> None:
    rows = [row(number) for number in range(6)]
    elements = [
        refused("no", rows[number].number if echoed else "") if number in bad else accepted(rows[number])
        for number in order
    ]
    found, left = match(rows, elements)
    assert left == []
    assert pairs(found) == {number: EMPTY_ID if number in bad else f"id-{number}" for number in range(6)}


@given(st.permutations(range(5)))
def test_refusals_in_different_words_and_without_a_name_belong_to_nobody(order: list[int]) -> None:
    rows = [row(number) for number in range(5)]
    elements = [accepted(rows[number]) if number < 3 else refused(f"words {number}") for number in order]
    found, left = match(rows, elements)
    assert pairs(found) == {0: "id-0", 1: "id-1", 2: "id-2"}
    assert left == rows[3:]


def test_the_last_of_both_belong_together_only_when_the_counts_agree() -> None:
    rows = [row(1), row(2)]
    stranger = accepted(rows[1], number="changed", url="")
    assert pairs(match(rows, [accepted(rows[0]), stranger])[0]) == {1: "id-1", 2: "id-2"}
    for elements in ([stranger], [accepted(rows[0]), stranger, stranger], []):
        found, left = match(rows, elements)
        assert rows[1] in left and 2 not in pairs(found)


def test_numbers_count_as_xero_compares_them() -> None:
    rows = [row(1, "inv 1"), row(2, "inv 2")]
    elements = [accepted(rows[0], number="INV  1", url=""), accepted(rows[1], number="INV 2", url="")]
    assert pairs(match(rows, elements)[0]) == {1: "id-1", 2: "id-2"}


@pytest.mark.parametrize("first", [True, False])
def test_two_elements_for_one_row_tell_nothing_about_it(first: bool) -> None:
    rows = [row(1), row(2)]
    elements = [accepted(rows[0]), accepted(rows[0])]
    found, left = match(rows, elements if first else elements[::-1])
    assert found == [] and left == rows


def test_two_rows_with_one_number_are_told_apart_by_their_links() -> None:
    rows = [row(1, "A"), row(2, "A")]
    found, left = match(rows, [refused("Invoice # must be unique."), accepted(rows[0])])
    assert left == [] and pairs(found) == {1: "id-1", 2: EMPTY_ID}


def test_an_accepted_stranger_is_never_guessed() -> None:
    rows = [row(1), row(2)]
    strangers = [accepted(rows[0], number="x", url=""), accepted(rows[1], number="y", url="")]
    assert match(rows, strangers) == ([], rows)
