"""What ConnectWise says, read at the edge: every digit kept, absence understood, nonsense refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mappings.connectwise import (
    LEVELS,
    Company,
    ExpenseEntry,
    Invoice,
    Product,
    SourceInvoice,
    TaxCode,
    TimeEntry,
    describe,
    fields_of,
    read_json,
    seen_digest,
)
from mappings.xero import write_json
from tests.mappings.samples import HEADER, invoice, raw_invoice, time

SMALLEST = {"id": 1, "company": {"id": 2}, "date": "2026-03-02T00:00:00Z", "subtotal": 0, "total": 0}


def header(**fields: Any) -> Invoice:
    return Invoice.model_validate({**SMALLEST, **fields})


@given(st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=9))
def test_json_numbers_keep_every_digit(number: Decimal) -> None:
    """Reading and writing money as JSON changes nothing about it, zeros at the end included."""
    text = f'{{"amount":{number:f}}}'
    assert str(read_json(text)["amount"]) == str(number)
    assert read_json(write_json(read_json(text)))["amount"].as_tuple() == number.as_tuple()


@pytest.mark.parametrize("text", ["1.10", "0.1", "1e2", "147350.0", "0.30000000000000004"])
def test_fractional_numbers_are_decimals(text: str) -> None:
    """A float never exists, not even for a moment."""
    assert read_json(text) == Decimal(text)
    assert isinstance(read_json(text), Decimal)


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    """JSON may hold half an emoji; no database, no digest and no request could carry it."""
    read = read_json(rb'{"notes": ["\ud83d\ude00 fine", "\ud83d broken"], "n": 1.50}')
    assert read == {"notes": ["😀 fine", "\ufffd broken"], "n": Decimal("1.50")}
    assert read_json(b'"\xed\xa0\x80"') == "\ufffd"


@pytest.mark.parametrize(
    "text", ["2026-03-02T00:00:00Z", "2026-03-02T23:59:59Z", "2026-03-02", "2026-03-02T00:00:00+13:00"]
)
def test_business_dates_are_never_shifted(text: str) -> None:
    """ConnectWise writes a business date as midnight Z; whatever zone follows, the day stays."""
    assert header(date=text).date == date(2026, 3, 2)


def test_an_empty_due_date_is_none() -> None:
    """Absent, null and blank mean the same."""
    assert {header().due_date, header(dueDate=None).due_date, header(dueDate="").due_date} == {None}


def test_what_is_absent_or_null_means_nothing_here() -> None:
    """ConnectWise leaves null properties out; both forms are read alike."""
    nulls = dict.fromkeys(("invoiceNumber", "salesTax", "serviceTotal", "billToCompany", "location", "customerPO"))
    assert header(**nulls) == header()
    assert header().service_total == 0
    assert header().invoice_number == ""


def test_flags_that_are_absent_are_off() -> None:
    """Not closed, not taxed, not special, not cancelled."""
    row = Product.model_validate({"id": 1, "invoice": {"id": 2}})
    flags = (header().status.is_closed, header().taxable_flag, header().special_invoice_flag)
    assert flags == (False, False, False)
    assert (row.taxable_flag, row.cancelled_flag) == (False, False)
    assert not Company(id=1).deleted_flag


def test_records_are_values() -> None:
    """Equal when they say the same, and never changed after they were read."""
    assert len({header(), header(), header(total=1)}) == 2


def test_unknown_fields_are_ignored() -> None:
    """A new field is no breaking change of ConnectWise's."""
    assert header(brandNewField={"a": 1}) == header()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("company", None),
        ("date", None),
        ("date", "soon"),
        ("date", ""),
        ("subtotal", None),
        ("total", None),
        ("total", "see attachment"),
        ("total", float("nan")),
        ("total", float("inf")),
        ("total", True),
        ("total", Decimal("1E+30")),
        ("subtotal", Decimal(10000000000)),
        ("serviceTotal", Decimal("-1E+400")),
        ("status", "Closed"),
    ],
)
def test_a_record_without_what_a_document_needs_is_unreadable(field: str, value: object) -> None:
    """Nothing is guessed: a missing or impossible figure is an error of this record."""
    with pytest.raises(ValidationError) as caught:
        header(**{field: value})
    assert str(caught.value.errors()[0]["loc"][0]) == field


def test_rows_with_impossible_amounts_are_unreadable() -> None:
    """A row is judged as its header is."""
    with pytest.raises(ValidationError):
        TimeEntry.model_validate({"id": 1, "invoice": {"id": 2}, "extendedInvoiceAmount": Decimal("1E+40")})


def test_amounts_with_an_exponent_are_read() -> None:
    """1.65E+2 is 165."""
    assert header(total=read_json("1.65E+2")).total == 165


def test_the_payer_is_the_bill_to_company_where_there_is_one() -> None:
    """Else it is the company itself."""
    assert header().billed_company.id == 2
    assert header(billToCompany={"id": 9}).billed_company.id == 9


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["Services", "Expenses"])
def test_a_tax_code_taxes_what_any_of_its_six_levels_taxes(level: str, kind: str) -> None:
    """And nothing else."""
    code = TaxCode.model_validate({"id": 5, "identifier": "GST", f"level{level}{kind}Flag": True})
    assert (code.taxes_services, code.taxes_expenses) == (kind == "Services", kind == "Expenses")


def test_a_tax_code_without_flags_taxes_neither() -> None:
    """Null flags are no flags; a flag given by its own name is kept."""
    assert not TaxCode.model_validate({"id": 5, "levelOneServicesFlag": None}).taxes_services
    assert TaxCode(id=5, taxes_services=True).taxes_services
    with pytest.raises(ValidationError):
        TaxCode.model_validate("GST")


def test_the_digest_of_a_record_follows_its_content() -> None:
    """The same record twice has one digest; any change of header or row has another."""
    same = {invoice([time()]).digest for _ in range(3)}
    others = {invoice([time(notes="Other")]).digest, invoice([time(3)]).digest, invoice([time()], reference="x").digest}
    assert len(same) == 1
    assert len(same | others) == 4


def test_what_was_seen_includes_when_it_changed() -> None:
    """A touched record is looked at again even if its header reads the same."""
    first = header(_info={"lastUpdated": "2026-03-02T09:00:00Z"})
    assert seen_digest(first) == seen_digest(header(_info={"lastUpdated": "2026-03-02T09:00:00Z"}))
    assert seen_digest(first) != seen_digest(header(_info={"lastUpdated": "2026-03-02T09:00:01Z"}))


def test_a_record_survives_being_kept_as_json() -> None:
    """A waiting record is mapped again from its stored copy: it must be the same record, digit for digit."""
    raw = raw_invoice(
        [time("1.25", "33.3333333")], customFields=[{"id": 1, "caption": "Tag", "value": Decimal("7.10")}]
    )
    again = read_json(write_json(raw))
    assert SourceInvoice.model_validate(again) == SourceInvoice.model_validate(raw)


@pytest.mark.parametrize(
    ("record", "some"),
    [
        (Invoice, {"id", "_info", "customerPO", "billToCompany", "salesTax", "status"}),
        (TimeEntry, {"id", "invoice", "extendedInvoiceAmount"}),
        (ExpenseEntry, {"id", "invoice", "invoiceAmount"}),
        (Product, {"id", "invoice", "extPrice", "cancelledFlag"}),
    ],
)
def test_only_the_fields_that_are_read_are_asked_for(record: type[Invoice], some: set[str]) -> None:
    """By ConnectWise's own names, each once, with no path below a field."""
    names = fields_of(record).split(",")
    assert some <= set(names)
    assert len(names) == len(set(names)) == len(record.model_fields)
    assert not any("/" in name or "_" in name.lstrip("_") for name in names)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (HEADER, (39001, "40001")),
        ({"id": True, "invoiceNumber": None, "poNumber": "PO7"}, (None, "PO7")),
        ({}, (None, "")),
        ({"id": "39001"}, (None, "")),
    ],
)
def test_even_an_unreadable_record_is_named_as_well_as_possible(
    raw: dict[str, Any], named: tuple[int | None, str]
) -> None:
    """Its id and number are taken for what they are, or not at all."""
    assert describe(raw) == named
