"""The three-way comparison: nothing that only a person changed is lost, nothing that only we changed is forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoices import to_xero_invoice
from mappings.merging import LastWrite, Merged, merge
from mappings.plans import Take
from mappings.posted import Posted, line_ids
from mappings.xero import Document, Found
from tests.mappings.samples import expense, invoice, mapped, surroundings, time

OLD = mapped(to_xero_invoice(invoice([time(), time("1", "100", number=9002)], [], [expense()]), surroundings()))
HEADER = ("Reference", "DueDate", "InvoiceNumber")
LINE = ("Description", "AccountCode", "TaxType", "Tracking")


def answer(document: Document, **changes: Any) -> dict[str, Any]:
    """What Xero has after it took the document, with its own ids."""
    body: dict[str, Any] = json.loads(json.dumps(document.body(), default=str))
    lines = [
        line.body()
        | {"LineItemID": f"line-{line.key}", "LineAmount": line.amount, "TaxAmount": line.tax}
        | {"Tracking": [{"Name": name, "Option": option} for name, option in line.tracking]}
        for line in document.lines
    ]
    return (
        body | {"InvoiceID": "1", "Total": document.total, "SubTotal": document.subtotal, "LineItems": lines} | changes
    )


def merged(new: Document, theirs: dict[str, Any], take: Take = "", old: Document = OLD) -> Merged:
    base = Found.parse(answer(old))
    return merge(new, LastWrite(old, base, line_ids(old, base)), Posted.read(Found.parse(theirs)), take)


OURS: dict[str, Any] = {
    "Reference": ("document_reference", "OUR-REF"),
    "DueDate": ("due_date", date(2026, 3, 28)),
    "InvoiceNumber": ("number", "40001-B"),
    "Description": ("description", "Our words"),
    "AccountCode": ("account_code", "270"),
    "TaxType": ("tax_type", "BASEXCLUDED"),
    "Tracking": ("tracking", (("Region", "North"),)),
}
THEIRS: dict[str, Any] = {
    "Reference": "HER-REF",
    "DueDate": "2026-12-31",
    "InvoiceNumber": "HER-1",
    "Description": "Her words",
    "AccountCode": "299",
    "TaxType": "EXEMPTOUTPUT",
    "Tracking": [{"Name": "Region", "Option": "South"}],
}


def edited(names: set[str]) -> Document:
    """Our document with these fields changed; those of a line on its first one."""
    header = dict(OURS[name] for name in names if name in HEADER)
    line = dict(OURS[name] for name in names if name in LINE)
    return replace(OLD, lines=(replace(OLD.lines[0], **line), *OLD.lines[1:]), **header)


def by_hand(names: set[str]) -> dict[str, Any]:
    """Xero's document after a person changed these fields."""
    theirs = answer(OLD)
    for name in names:
        if name == "DueDate":
            theirs["DueDateString"] = f"{THEIRS[name]}T00:00:00"
        (theirs if name in HEADER else theirs["LineItems"][0])[name] = THEIRS[name]
    return theirs


@given(st.sets(st.sampled_from(HEADER + LINE)), st.sets(st.sampled_from(HEADER + LINE)))
def test_each_field_goes_to_who_changed_it_and_to_a_person_where_both_did(ours: set[str], hers: set[str]) -> None:
    """For every combination of changes: ours alone are written, hers alone stay, both clash."""
    found = merged(edited(ours), by_hand(hers))
    named = {clash.name.split(" of ")[0] for clash in found.clashes}
    assert named == ours & hers
    assert {change.name.split(" of ")[0] for change in found.changes} == ours - hers
    if not named:
        line = found.body.get("LineItems", [{}])[0]
        for name in hers & set(LINE):
            assert not line or line[name] == THEIRS[name]
        assert not hers & set(HEADER) & found.body.keys()
        assert found.her_tax == ("TaxType" in hers)
        assert "TaxAmount" not in line if "TaxType" in hers else True


@given(st.sets(st.sampled_from(HEADER + LINE), min_size=1), st.sets(st.sampled_from(HEADER + LINE)))
def test_taking_ours_decides_the_clashes_and_nothing_else(ours: set[str], hers: set[str]) -> None:
    """What only she changed stays hers even then."""
    found = merged(edited(ours), by_hand(hers), "ours")
    assert found.clashes == []
    assert {change.name.split(" of ")[0] for change in found.changes} == ours


def test_a_write_that_arrived_leaves_nothing_to_do() -> None:
    """Its answer was lost; the new line has an id that nobody told us."""
    more = replace(OLD.lines[0], key="time:9009", description="More", amount=Decimal("75.00"), unit_amount=Decimal(75))
    new = replace(OLD, lines=(*OLD.lines[1:], more))
    found = merged(new, answer(new))
    assert (found.changes, found.clashes) == ([], [])
    assert found.line_ids["time:9009"] == "line-time:9009"


def test_every_line_that_stays_is_sent_with_its_own_id() -> None:
    """Added, changed and removed rows in one edit."""
    changed = replace(OLD.lines[1], quantity=Decimal(3), amount=Decimal("300.00"), tax=Decimal("30.00"))
    more = replace(OLD.lines[0], key="time:9009", description="More")
    found = merged(replace(OLD, lines=(changed, OLD.lines[2], more)), answer(OLD))
    ids = [line.get("LineItemID") for line in found.body["LineItems"]]
    assert ids == [f"line-{OLD.lines[1].key}", f"line-{OLD.lines[2].key}", None]
    assert found.clashes == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"UnitAmount": "140", "LineAmount": "280"}, "LineAmount"),
        ({"DiscountRate": "10", "LineAmount": "270"}, "Discount"),
        ({"TaxAmount": "29.99"}, "TaxAmount"),
    ],
)
def test_money_that_a_person_changed_on_a_line_clashes_with_any_edit(change: dict[str, str], name: str) -> None:
    """Also where our edit is of something else."""
    theirs = answer(OLD)
    theirs["LineItems"][0] |= change
    (clash,) = merged(edited({"Reference"}), theirs).clashes
    assert clash.name.startswith(name)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"Contact": {"ContactID": "somebody-else", "Name": "Beta"}}, "Contact"),
        ({"DateString": "2026-05-05T00:00:00"}, "Date"),
        ({"CurrencyCode": "NZD"}, "CurrencyCode"),
        ({"LineAmountTypes": "Inclusive"}, "LineAmountTypes"),
    ],
)
def test_identity_that_a_person_changed_clashes_with_any_edit(change: dict[str, Any], name: str) -> None:
    """Who, when and in which money: never followed silently, never overwritten silently."""
    (clash,) = merged(edited({"Reference"}), answer(OLD) | change).clashes
    assert clash.name == name


def test_texts_that_differ_by_blanks_or_case_are_the_same() -> None:
    """Xero trims; a person who only did that has changed nothing."""
    theirs = answer(OLD)
    theirs["LineItems"][0]["Description"] = f"  {OLD.lines[0].description.upper()} "
    assert merged(edited({"Description"}), theirs).clashes == []


# What she decided before the last write


def kept(theirs: dict[str, Any], new: Document, take: Take = "") -> Merged:
    """An edit after a write (or a word) that left Xero's version as it is: what stands there is the base."""
    last = LastWrite(OLD, Found.parse(theirs), line_ids(OLD, Found.parse(answer(OLD))))
    return merge(new, last, Posted.read(Found.parse(theirs)), take)


@given(st.sets(st.sampled_from(HEADER + LINE), min_size=1))
def test_what_a_write_left_as_hers_is_still_hers_at_the_next_edit(hers: set[str]) -> None:
    """It came back in Xero's answer to our write, and is no less hers for that."""
    found = kept(by_hand(hers), edited(hers))
    assert {clash.name.split(" of ")[0] for clash in found.clashes} == hers
    assert found.changes == []
    assert {change.name.split(" of ")[0] for change in kept(by_hand(hers), edited(hers), "ours").changes} == hers


def test_a_price_that_a_person_decided_on_is_not_undone_by_an_edit_of_another_line() -> None:
    """All lines are sent when one has changed, so the others have to be as she left them."""
    theirs = answer(OLD)
    theirs["LineItems"][1] |= {"UnitAmount": "140", "LineAmount": "140"}
    (clash,) = kept(theirs, edited({"Description"})).clashes
    assert clash.name.startswith("LineAmount")
    assert kept(theirs, edited({"Reference"})).clashes == []


def test_a_line_that_a_person_took_out_does_not_come_back_with_an_edit_of_another() -> None:
    theirs = answer(OLD)
    del theirs["LineItems"][1]
    (clash,) = kept(theirs, edited({"Description"})).clashes
    assert (clash.name[:4], clash.theirs) == ("Line", None)
    assert kept(theirs, edited({"Reference"})).clashes == []


@pytest.mark.parametrize("name", LINE)
def test_a_row_that_is_gone_does_not_take_her_edit_of_its_line_with_it(name: str) -> None:
    """Both changed it: ConnectWise by removing it, she by her edit."""
    gone = replace(OLD, lines=OLD.lines[1:])
    (clash,) = merged(gone, by_hand({name})).clashes
    assert clash.name.startswith(name)
    assert kept(by_hand({name}), gone).clashes
    assert merged(gone, by_hand({name}), "ours").clashes == []
