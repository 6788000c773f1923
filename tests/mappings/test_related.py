"""Which other ConnectWise records a mapping needs: only those that a row or a decision of the client asks for."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.connectwise import Department, Location, SourceInvoice
from mappings.csv_tables import NOTHING, Value
from mappings.related import Related, Wanted, for_mapping, for_routing
from tests.mappings.samples import FILES, expense, invoice, product, tables, time

TRACKING = "organisation,side,source,value,tracking_category,option\n"
PARIS = {"billToCompany": {"id": 202, "identifier": "PARIS", "name": "Paris"}}


def full(**fields: Any) -> SourceInvoice:
    """An invoice whose every row points to something, by id alone where the API does so."""
    return invoice(
        [time(workType={"id": 1, "name": "Remote"}, locationId=12, businessUnitId=22)],
        [product(locationId=13, businessUnitId=23)],
        [expense(locationId=14, businessUnitId=24)],
        **{
            "agreement": {"id": 601, "name": "Gold"}, "salesOrder": {"id": 501}, "locationId": 11, "departmentId": 21,
            "location": None, "department": None, **fields,
        },
    )  # fmt: skip


def wanted(source: SourceInvoice, **files: str) -> Wanted:
    found = tables({name.replace("_", "."): text for name, text in files.items()})
    return for_mapping([source], found.policy, found.accounts, found.tracking)


# For the organisation


@pytest.mark.parametrize(
    ("rule", "rows", "ids"),
    [
        ("sales_rep", ",,,Ada,,Sydney\n", {501}),
        ("sales_rep", "Sydney,,,,,Sydney\n", set()),
        ("first_time_entry", ",,,Ada,,Sydney\n", set()),
        ("all_time_entries", ",,,Ada,,Sydney\n", set()),
    ],
)
def test_sales_orders_are_needed_where_their_rep_routes_the_record(rule: str, rows: str, ids: set[int]) -> None:
    """Where policy says so, and some row names staff."""
    given = tables(
        {
            "organisations.csv": "location,department,company,staff,tag,organisation\n" + rows,
            "policy.toml": f'[routing]\nstaff = "{rule}"\n',
        }
    )
    found = for_routing([full(), full(salesOrder=None), full(salesOrder={})], given.policy, given.organisations)
    assert found == Wanted(sales_orders=ids)


# For the lines


def test_who_asks_for_nothing_reads_nothing_but_the_tax_codes() -> None:
    """The smallest installation: no categories, no tracking, no foreign currency of its own source."""
    assert wanted(full()) == Wanted(tax_codes=True)
    assert wanted(full(taxableFlag=False)) == Wanted()
    assert not Wanted().tax_codes
    assert wanted(full(taxCode=None)) == Wanted()


ACCOUNTS = FILES["accounts.csv"]


@pytest.mark.parametrize(
    ("row", "items", "agreements"),
    [
        (",sales,product,Cloud,,200,\n", {301}, set()),
        (",sales,PRODUCT,Cloud,,200,\n", {301}, set()),
        (",sales,agreement,Gold,,200,\n", set(), {601}),
        (",sales,,Cloud,,200,\n", {301}, {601}),
        (",sales,*,Cloud,,200,\n", {301}, {601}),
        (",sales,service,Remote,,200,\n", set(), set()),
        (",sales,product,*,DOCK-USBC,200,\n", set(), set()),
        (",sales,agreement,*,601,200,\n", set(), set()),
    ],
)
def test_categories_of_accounts_csv_ask_for_the_catalogue_and_the_agreements(
    row: str, items: set[int], agreements: set[int]
) -> None:
    """A product's category is in the catalogue, an agreement's type on the agreement."""
    found = wanted(full(), accounts_csv=ACCOUNTS + row)
    assert (found.catalog_items, found.agreements) == (items, agreements)


SOURCES = {
    "category": Wanted(tax_codes=True, catalog_items={301}, agreements={601}),
    "work_type": Wanted(tax_codes=True),
    "staff": Wanted(tax_codes=True),
    "department": Wanted(tax_codes=True, departments={21, 22, 23, 24}),
    "location": Wanted(tax_codes=True, locations={11, 12, 13, 14}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_of_tracking_asks_for_its_records(source: str) -> None:
    """Names of locations and departments stand on few rows; tables may speak of them by name."""
    assert wanted(full(), tracking_csv=f"{TRACKING},,{source},x,Region,North\n") == SOURCES[source]
    assert wanted(full(), tracking_csv=f"{TRACKING},,{source.upper()},x,Region,North\n") == SOURCES[source]


@pytest.mark.parametrize("source", ["", "*"])
def test_a_row_for_any_source_asks_for_all_of_them(source: str) -> None:
    """Everything that any of the five could need."""
    found = wanted(full(), tracking_csv=f"{TRACKING},,{source},x,Region,North\n")
    everything = Wanted()
    for each in SOURCES.values():
        everything |= each
    assert found == everything


def test_a_place_that_has_its_name_already_is_not_read() -> None:
    """An id with its name beside it needs no look-up; a reference without a name does."""
    named: dict[str, Any] = {"location": {"id": 11, "name": "Sydney"}, "department": {"id": 21, "name": "Projects"}}
    source = invoice([time(locationId=12, location={"id": 12, "name": ""})], **named, locationId=11, departmentId=21)
    found = wanted(source, tracking_csv=f"{TRACKING},,location,x,Region,North\n,,department,x,Team,Desk\n")
    assert (found.locations, found.departments) == ({12}, set())


def test_the_payer_is_read_where_it_is_another_company() -> None:
    """Its account number is not on the header."""
    assert wanted(full(**PARIS)).companies == {202}
    assert wanted(full(billToCompany={"id": 101, "identifier": "ACME"})).companies == set()


RATE = "Exchange Rate"


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({}, True),
        ({"customFields": []}, True),
        ({"customFields": [{"caption": RATE, "value": None}]}, True),
        ({"customFields": [{"caption": RATE, "value": ""}]}, True),
        ({"customFields": [{"caption": "Other", "value": "1.1"}]}, True),
        ({"customFields": [{"caption": "EXCHANGE rate", "value": "1.1"}]}, False),
        ({"currency": {}}, False),
    ],
)
def test_a_company_is_read_for_its_rate_where_the_document_has_none(fields: dict[str, Any], read: bool) -> None:
    """Only where policy names a custom field, for the organisation or for all."""
    for policy in ("[currency]\n", '[organisation."Sydney".currency]\n'):
        found = wanted(full(**fields), policy_toml=f'{policy}source = "custom_field"\n')
        assert found.companies == ({101} if read else set())
    assert wanted(full(**fields), policy_toml='[currency]\nsource = "rates_table"\n').companies == set()


def test_what_several_invoices_need_is_read_together() -> None:
    """Each id once."""
    given = tables({"accounts.csv": ACCOUNTS + ",sales,product,Cloud,,200,\n"})
    sources = [
        full(),
        invoice([], [product(catalogItem={"id": 302}), product(catalogItem={"id": 301}), product(catalogItem=None)]),
        full(**PARIS),
    ]
    found = for_mapping(sources, given.policy, given.accounts, given.tracking)
    assert found == Wanted(tax_codes=True, companies={202}, catalog_items={301, 302})
    assert Wanted(companies={1}) | Wanted(tax_codes=True, companies={2}) == Wanted(tax_codes=True, companies={1, 2})


# What they say


@pytest.mark.parametrize(
    ("own", "named"),
    [
        (Value(11), Value(11, ("Sydney",))),
        (Value(11, ("Here",)), Value(11, ("Here",))),
        (Value(12), Value(12)),
        (Value.text("Sydney"), Value.text("Sydney")),
        (NOTHING, NOTHING),
    ],
)
def test_an_id_alone_gets_its_name(own: Value, named: Value) -> None:
    """A location by its name, a department by identifier and name; what is known or unknown stays as it is."""
    related = Related(
        locations={number: Location(id=number, name="Sydney") for number in (1, 11)},
        departments={number: Department(id=number, identifier="SYD", name="Sydney") for number in (1, 11)},
    )
    assert related.location(own) == named
    department = Value(11, ("SYD", "Sydney")) if own == Value(11) else named
    assert related.department(own) == department
