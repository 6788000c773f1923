"""A name in a table is meant for one record: where two bear it, both wait for an id."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.connectwise import SourceInvoice
from mappings.invoices import to_xero_invoice
from mappings.namesakes import names_of, namesakes_in
from mappings.outcomes import Reason
from mappings.surroundings import Surroundings
from tests.mappings.samples import (
    books,
    category,
    contact,
    expense,
    held,
    invoice,
    mapped,
    product,
    surroundings,
    time,
)

TWINS: dict[str, dict[str, Any]] = {
    "location": {"location": {"id": 11, "name": "Sydney"}},
    "department": {"department": {"id": 2, "name": "Desk"}},
    "company": {"company": {"id": 101, "identifier": "ACME", "name": "Acme Pty Ltd"}},
    "tax_code": {"taxCode": {"id": 5, "name": "GST"}},
}
"""The header fields of one record; the twin of each has the same name and another id."""


def world(files: dict[str, str], *namesakes: str, **more: Any) -> Surroundings:
    """The usual world, in which these texts (kind/text) mean two records."""
    usual = surroundings(files, **more)
    known = {tuple(each.split("/")): (1, 2) for each in namesakes}
    return Surroundings(
        usual.tables,
        usual.tenants,
        usual.books,
        usual.site,
        usual.related,
        namesakes=known,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", TWINS)
def test_two_records_of_one_name_are_namesakes_and_one_record_twice_is_not(kind: str) -> None:
    first = invoice([time()], **TWINS[kind])
    (field, reference), *_ = TWINS[kind].items()
    twin: Any = {"id": 999, "identifier": "OTHER", "name": reference["name"].upper()}
    fields: dict[str, Any] = {field: twin}
    second = invoice([time()], **fields)
    assert namesakes_in(names_of([first, first])) == {}
    found = namesakes_in(names_of([first, second]))
    assert found == {(kind, reference["name"].lower()): (reference["id"], 999)}


TWIN = {"id": 999, "identifier": "TWIN", "name": "Same name"}
PLACES: dict[str, tuple[str, SourceInvoice]] = {
    "the payer": ("company", invoice([time()], billToCompany=TWIN)),
    "who entered time": ("staff", invoice([time(member=TWIN)])),
    "where time was worked": ("location", invoice([time(location=TWIN)])),
    "the department of time": ("department", invoice([time(department=TWIN)])),
    "who spent money": ("staff", invoice([], [], [expense(member=TWIN)])),
    "where a product was sold": ("location", invoice([], [product(location=TWIN)])),
    "the department of a product": ("department", invoice([], [product(businessUnit=TWIN)])),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_of_an_invoice_that_names_a_record_counts(place: str) -> None:
    """A header, a payer, and each row."""
    kind, source = PLACES[place]
    names = names_of([source])
    assert names[kind][999] == ("TWIN", "Same name")
    names[kind] |= {998: ("same NAME",)}
    assert namesakes_in(names) == {(kind, "same name"): (998, 999)}


def test_what_has_no_text_or_no_id_is_nobodys_namesake() -> None:
    """A missing identifier is no name that two share, an id alone says nothing, a name alone is of no record."""
    sources = [
        invoice([time(location={"id": number, "name": name})], location={"name": "Sydney"})
        for number, name in ((11, "Sydney"), (12, "Perth"), (11, ""))
    ]
    names = names_of(sources)
    assert names["location"] == {11: ("Sydney",), 12: ("Perth",)}
    assert namesakes_in(names) == {}


def test_digits_in_a_cell_are_an_id_whoever_is_called_so() -> None:
    """Two locations called 11 do not make the row for the id 11 doubtful."""
    files = {"organisations.csv": "location,department,company,staff,tag,organisation\n11,,,,,Sydney\n"}
    assert mapped(to_xero_invoice(invoice([time()]), world(files, "location/11")))


def test_a_record_that_was_renamed_has_its_new_name_alone() -> None:
    """What is known of an id is what was read of it last."""
    names = names_of([invoice([time()], company={"id": 101, "name": "Acme"})])
    for kind, records in names_of([invoice([time()], company={"id": 101, "name": "Acme Group"})]).items():
        names[kind] |= records
    names["company"] |= {7: ("Acme",)}
    assert namesakes_in(names) == {}


ROWS: dict[str, tuple[dict[str, str], str, str]] = {
    "organisations.csv, location": (
        {"organisations.csv": "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n"},
        "location/sydney",
        "organisations.csv row 2 says 'Sydney' for the location",
    ),
    "contacts.csv, company": (
        {
            "contacts.csv": "organisation,role,company,contact_id,account_number,contact_name\n"
            ",,Acme Pty Ltd,,,Acme Pty Ltd\n"
        },
        "company/acme pty ltd",
        "contacts.csv row 2 says 'Acme Pty Ltd' for the company",
    ),
    "taxes.csv, tax code": (
        {"taxes.csv": "organisation,side,tax_code,taxable,tax_type\n,sales,,no,EXEMPTOUTPUT\n,sales,gst,yes,OUTPUT\n"},
        "tax_code/gst",
        "taxes.csv row 3 says 'gst' for the tax code",
    ),
    "tracking.csv, location": (
        {
            "tracking.csv": "organisation,side,source,value,tracking_category,option\n"
            ",sales,location,Sydney,Region,North\n"
        },
        "location/sydney",
        "tracking.csv row 2 says 'Sydney' for the location",
    ),
    "tracking.csv, the source in capitals": (
        {
            "tracking.csv": "organisation,side,source,value,tracking_category,option\n"
            ",sales,LOCATION,Sydney,Region,North\n"
        },
        "location/sydney",
        "tracking.csv row 2 says 'Sydney' for the location",
    ),
    "tracking.csv, any source": (
        {"tracking.csv": "organisation,side,source,value,tracking_category,option\n,sales,,Sydney,Region,North\n"},
        "location/sydney",
        "tracking.csv row 2 says 'Sydney' for the location",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_fits_by_a_shared_name_holds_the_record(case: str) -> None:
    files, namesake, words = ROWS[case]
    usual = {"organisations.csv": "location,department,company,staff,tag,organisation\n11,,,,,Sydney\n"}
    more: dict[str, Any] = {"sydney": books(tracking=[category("Region", "North")])}
    found = held(to_xero_invoice(invoice([time()]), world(usual | files, namesake, **more)))
    assert found.reason is Reason.AMBIGUOUS_MAPPING
    assert words in found.message and "(ids 1 and 2)" in found.message
    assert mapped(to_xero_invoice(invoice([time()]), world(usual | files, "company/somebody else", **more)))


def test_an_id_in_the_cell_settles_it() -> None:
    files = {
        "organisations.csv": "location,department,company,staff,tag,organisation\n11,,,,,Sydney\n",
        "contacts.csv": "organisation,role,company,contact_id,account_number,contact_name\n,,101,,,Acme Pty Ltd\n",
    }
    assert mapped(to_xero_invoice(invoice([time()]), world(files, "location/sydney", "company/acme pty ltd")))


def test_a_name_that_no_row_uses_troubles_nobody() -> None:
    """Two customers of one name with numbers of their own: the numbers tell."""
    sydney = books(contacts=[contact(1, "Acme Pty Ltd", "ACME01")])
    usual = {"organisations.csv": "location,department,company,staff,tag,organisation\n11,,,,,Sydney\n"}
    assert mapped(to_xero_invoice(invoice([time()], [product()]), world(usual, "company/acme pty ltd", sydney=sydney)))
