"""From a closed ConnectWise invoice to the Xero invoice, to the cent, or every reason why not yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mappings.connectwise import Company, Invoice, Reference, SalesOrder, SourceInvoice, TaxCode
from mappings.csv_tables import LAYOUTS
from mappings.invoices import is_credit, organisation_of, starts_too_early, to_xero_invoice
from mappings.outcomes import Hold, Reason, XeroList
from mappings.related import Related
from mappings.surroundings import Surroundings
from mappings.xero import Document, NewContact
from tests.mappings.samples import (
    FILES,
    HEADER,
    KINDS,
    SYDNEY,
    account,
    books,
    cents,
    contact,
    expense,
    held,
    invoice,
    item,
    mapped,
    product,
    surroundings,
    tables,
    tax_rate,
    time,
)


def document(source: SourceInvoice | None = None, world: Surroundings | None = None) -> Document:
    return mapped(to_xero_invoice(source or invoice([time()]), world or surroundings()))


def hold(source: SourceInvoice | None = None, world: Surroundings | None = None) -> Hold:
    return held(to_xero_invoice(source or invoice([time()]), world or surroundings()))


def policy(text: str) -> Surroundings:
    return surroundings({"policy.toml": text})


# The document


def test_an_ordinary_invoice_becomes_an_ordinary_invoice() -> None:
    """Everything that Xero is told about it, and what we keep beside."""
    found = document()
    assert found.body() == {
        "Type": "ACCREC",
        "InvoiceNumber": "40001",
        "Contact": {"ContactID": "aaaaaaaa-0000-4000-8000-000000000001"},
        "Date": "2026-03-02",
        "DueDate": "2026-03-16",
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": "AUD",
        "Reference": "PO-77",
        "Url": "https://au.myconnectwise.net/v4_6_release/services/system_io/router/openrecord.rails"
        "?recordType=InvoiceFV&recid=39001&companyName=brightwater",
        "Status": "DRAFT",
        "LineItems": [
            {
                "Description": "Work",
                "Quantity": Decimal(2),
                "UnitAmount": Decimal(150),
                "AccountCode": "200",
                "TaxType": "OUTPUT",
            }
        ],
    }
    assert (found.connectwise_id, found.reference, found.tenant_id) == (39001, "40001", SYDNEY)
    assert (found.organisation, found.contact_name) == ("Sydney", "Acme Pty Ltd")
    assert (found.subtotal, found.tax, found.total) == (Decimal("300.00"), Decimal("30.00"), Decimal("330.00"))
    assert found.rows_used == (
        "organisations.csv row 2: Sydney,,,,,Sydney",
        "accounts.csv row 3: ,sales,service,,,200,",
        "taxes.csv row 2: ,sales,,yes,OUTPUT",
    )


def test_the_same_input_gives_the_same_document() -> None:
    """Mapping has no clock, no randomness and no memory (promise 11)."""
    source, world = invoice([time()], [product()], [expense()]), surroundings()
    assert document(source, world) == document(source, world) == document(source, surroundings())


@pytest.mark.parametrize(
    ("template", "number"),
    [
        ("{invoice_number}", "40001"),
        ("INV-{invoice_number}", "INV-40001"),
        ("{company} {id}", "ACME 39001"),
        ("{date}/{invoice_number} {customer_po}", "2026-03-02/40001 PO-77"),
    ],
)
def test_the_number_follows_the_template(template: str, number: str) -> None:
    """Policy decides how numbers look; `reference` is always the number that people know."""
    found = document(world=policy(f'[sales]\ninvoice_number = "{template}"\n'))
    assert (found.number, found.reference) == (number, "40001")


@pytest.mark.parametrize("number", ["", None, "   ", "\x07"])
@pytest.mark.parametrize("template", ["{invoice_number}", "INV-{invoice_number}"])
def test_an_invoice_without_a_number_is_held(number: str | None, template: str) -> None:
    """A prefix alone is no number: the second such invoice would collide with the first."""
    found = hold(invoice([time()], invoiceNumber=number), policy(f'[sales]\ninvoice_number = "{template}"\n'))
    assert (found.reason, found.value) == (Reason.UNREADABLE_RECORD, "invoiceNumber")
    assert found.message == "The invoice with the id 39001 has no number in ConnectWise."


@pytest.mark.parametrize("number", ["", "\x07"])
def test_a_number_by_id_needs_no_number(number: str) -> None:
    """Then the record is called by it."""
    found = document(invoice([time()], invoiceNumber=number), policy('[sales]\ninvoice_number = "CW{id}"\n'))
    assert (found.number, found.reference) == ("CW39001", "CW39001")


def test_a_number_is_cleaned_as_any_text() -> None:
    """No control characters, one line, one blank between words."""
    assert document(invoice([time()], invoiceNumber=" 40\x07001\r\n  A ")).number == "40001 A"


def test_a_number_that_is_too_long_is_held_not_cut() -> None:
    """Cut off, it could be another invoice's number."""
    assert document(invoice([time()], invoiceNumber="9" * 255)).number == "9" * 255
    # An emoji counts as two, as everywhere in Xero.
    assert hold(invoice([time()], invoiceNumber="9" * 254 + "🧾")).reason is Reason.UNREADABLE_RECORD
    assert document(invoice([time()], invoiceNumber="9" * 253 + "🧾")).number.endswith("🧾")
    found = hold(invoice([time()], invoiceNumber="9" * 256))
    assert (found.reason, found.value) == (Reason.UNREADABLE_RECORD, "9" * 60)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("PO\r\n 7\x00", "PO 7"),
        ("", ""),
        (None, ""),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("😀" * 127, "😀" * 127),
        ("😀" * 128, "😀" * 127 + "…"),
        ("Größe – 客", "Größe – 客"),
        ("{id}", "{id}"),
        ("=1+1", "=1+1"),
        ("\x01\x02", ""),
    ],
)
def test_the_reference_is_one_line_that_fits(given: str, sent: str) -> None:
    """It is the customer's own text: cleaned and shortened, never interpreted."""
    assert document(invoice([time()], customerPO=given)).document_reference == sent


@pytest.mark.parametrize(
    ("due", "sent"),
    [
        ("2026-03-16T00:00:00Z", date(2026, 3, 16)),
        ("2026-03-02T00:00:00Z", date(2026, 3, 2)),
        (None, date(2026, 3, 2)),
        ("", date(2026, 3, 2)),
        ("2026-02-28T00:00:00Z", date(2026, 3, 2)),
        ("0001-01-01T00:00:00Z", date(2026, 3, 2)),
    ],
)
def test_an_invoice_is_due_on_its_date_or_later(due: str | None, sent: date) -> None:
    """Xero refuses a due date before the date and an approved invoice without one; today is never a date of ours."""
    assert document(invoice([time()], dueDate=due)).due_date == sent


@pytest.mark.parametrize("status", ["draft", "submitted", "authorised"])
def test_the_status_on_creation_is_policy(status: str) -> None:
    """Draft, submitted or authorised, per organisation."""
    world = policy(f'[sales]\ninvoice_status = "draft"\n[organisation.Sydney.sales]\ninvoice_status = "{status}"\n')
    assert document(world=world).status == status.upper()


# Zero


@pytest.mark.parametrize(
    ("choice", "status"), [("", "AUTHORISED"), ('zero_total = "draft"', "AUTHORISED"), ('zero_total = "hold"', None)]
)
def test_an_invoice_over_nothing_is_a_draft_or_held(choice: str, status: str | None) -> None:
    """Approved, it would count as paid at once: whatever the usual status, a person looks at it first."""
    world = policy(f'[sales]\ninvoice_status = "authorised"\n{choice}\n')
    assert document(world=world).status == "AUTHORISED"
    result = to_xero_invoice(invoice([time(extendedInvoiceAmount=0)], tax=0), world)
    if status is None:
        assert (held(result).reason, held(result).value, held(result).skip) == (Reason.ZERO_TOTAL, "0.00", False)
    else:
        assert mapped(result).status == "DRAFT"
        assert mapped(result).total == 0
        assert [line.body() for line in mapped(result).lines] == [{"Description": "Work"}]


def test_less_than_half_a_cent_is_nothing() -> None:
    """0.004 is 0.00 in the books, and treated so."""
    found = document(invoice(serviceTotal="0.004", tax=0), policy('[sales]\ninvoice_status = "authorised"\n'))
    assert found.status == "DRAFT"
    assert found.total == 0


def test_an_invoice_over_nothing_is_skipped_where_policy_says_so() -> None:
    """Nobody is asked about it, whatever else is the matter with it."""
    found = hold(invoice(accountNumber="nobody", tax=0), policy('[sales]\nzero_total = "skip"\n'))
    assert (found.reason, found.value, found.skip) == (Reason.ZERO_TOTAL, "0.00", True)
    assert not isinstance(to_xero_invoice(invoice([time()]), policy('[sales]\nzero_total = "skip"\n')), Hold)


def test_an_invoice_without_a_single_line_still_says_something() -> None:
    """Xero wants at least one line item; a description alone is one."""
    found = document(invoice(tax=0))
    assert found.body()["LineItems"] == [{"Description": "Nothing to charge"}]
    assert found.total == 0


@pytest.mark.parametrize(
    ("total", "credit"), [("-0.01", True), ("-0.004", False), ("0", False), ("-0.0", False), ("5", False)]
)
def test_the_sign_of_the_total_to_the_cent_makes_a_credit(total: str, credit: bool) -> None:
    """Whatever the invoice's type says (design, section 5)."""
    header = invoice([time()], total=Decimal(total), type="CreditMemo").header
    assert is_credit(header) is credit


def test_records_from_before_the_start_are_too_early() -> None:
    """The first day itself is in."""
    header = Invoice.model_validate({**HEADER, "subtotal": 0, "total": 0})
    assert starts_too_early(header, date(2026, 3, 3))
    assert not starts_too_early(header, date(2026, 3, 2))


# Which organisation

ROUTES = "location,department,company,staff,tag,organisation\n"


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ("Sydney,,,,,Sydney", {}),
        ("11,,,,,Sydney", {"location": None, "locationId": 11}),
        ("(none),,,,,Sydney", {"location": None}),
        (",Projects,,,,Sydney", {"department": {"id": 4, "name": "Projects"}}),
        (",4,,,,Sydney", {"departmentId": 4}),
        (",,ACME,,,Sydney", {}),
        (",,,Ada,,Sydney", {}),
        (",,,,North,Sydney", {"customFields": [{"id": 9, "caption": "books", "value": " North "}]}),
        (",,,,7,Sydney", {"customFields": [{"id": 9, "caption": "Books", "value": 7}]}),
    ],
)
def test_a_record_is_routed_by_any_of_its_columns(row: str, fields: dict[str, Any]) -> None:
    """Location, department, company, staff of the first time entry, and the tag in the custom field of the policy."""
    rows = [time(number=9002, member={"id": 2, "name": "Tom"}), time(number=9001, member={"id": 1, "name": "Ada"})]
    world = tables({"organisations.csv": ROUTES + row, "policy.toml": '[routing]\ntag_field = "Books"\n'})
    found = organisation_of(invoice(rows, **fields), world, Related(), {})
    assert not isinstance(found, Hold)
    assert found[0] == "Sydney"


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ([{"caption": "Books", "value": "North"}], True),
        ([{"caption": "Other", "value": "x"}, {"caption": "BOOKS", "value": "North"}], True),
        ([{"caption": "Other", "value": "North"}], False),
        ([{"caption": "Books", "value": None}], False),
        ([{"caption": "Books", "value": " "}], False),
        (None, False),
    ],
)
def test_the_tag_is_in_the_custom_field_that_policy_names(fields: list[dict[str, Any]] | None, fits: bool) -> None:
    """By its caption; another field, or an empty one, is no tag."""
    rows = ROUTES + ",,,,North,Sydney\n,,,,(none),Melbourne\n"
    world = tables({"organisations.csv": rows, "policy.toml": '[routing]\ntag_field = "Books"\n'})
    found = organisation_of(invoice([time()], customFields=fields), world, Related(), {})
    assert not isinstance(found, Hold)
    assert found[0] == ("Sydney" if fits else "Melbourne")


def test_without_a_tag_field_nothing_is_a_tag() -> None:
    """Not even a custom field without a caption."""
    world = tables({"organisations.csv": ROUTES + ",,,,North,Sydney\n,,,,(none),Melbourne\n"})
    found = organisation_of(invoice([time()], customFields=[{"caption": "", "value": "North"}]), world, Related(), {})
    assert not isinstance(found, Hold)
    assert found[0] == "Melbourne"


@pytest.mark.parametrize("staff", ["", "Tom"])
def test_without_time_or_tag_those_columns_hold_nothing(staff: str) -> None:
    """A row for a person or a tag does not fit an invoice of products."""
    world = tables({"organisations.csv": f"{ROUTES},,,{staff or '(none)'},(none),Sydney\n"})
    result = organisation_of(invoice([], [product()]), world, Related(), {})
    assert isinstance(result, Hold) is bool(staff)


ADA, TOM, NEW = {"id": 1, "identifier": "ada"}, {"id": 2, "identifier": "tom"}, {"id": 3, "identifier": "new"}
BY_STAFF = ROUTES + ",,,ada,,Sydney\n,,,tom,,Auckland\n,,,(none),,Perth\n"
ORDER = {"salesOrder": {"id": 501}}
SOLD_BY_TOM = SalesOrder(id=501, sales_rep=Reference(id=2, identifier="tom"))
FIRST_SOLD_BY_TOM = SalesOrder(id=1, sales_rep=Reference(id=2, identifier="tom"))


def routed(
    rule: str, rows: list[dict[str, Any]], orders: list[SalesOrder] | None = None, csv: str = BY_STAFF, **fields: Any
) -> str | Hold:
    """The organisation by a rule for staff, or why there is none."""
    world = tables({"organisations.csv": csv, "policy.toml": f'[routing]\nstaff = "{rule}"\n'})
    related = Related(sales_orders={order.id: order for order in orders or ()})
    found = organisation_of(invoice(rows, **fields), world, related, {})
    return found if isinstance(found, Hold) else found[0]


@pytest.mark.parametrize(
    ("rule", "entries", "organisation"),
    [
        ("first_time_entry", [(9002, TOM), (9001, ADA)], "Sydney"),
        ("first_time_entry", [(9001, TOM), (9002, ADA)], "Auckland"),
        ("first_time_entry", [(9001, None), (9002, ADA)], "Perth"),
        ("first_time_entry", [], "Perth"),
        ("all_time_entries", [(9001, ADA), (9002, ADA)], "Sydney"),
        ("all_time_entries", [(9001, None)], "Perth"),
        ("all_time_entries", [], "Perth"),
    ],
)
def test_staff_of_the_time_entries_routes_a_record(
    rule: str, entries: list[tuple[int, dict[str, Any] | None]], organisation: str
) -> None:
    """The entry with the lowest id, in whatever order they were read; or all of them, where they are of one mind."""
    assert routed(rule, [time(number=number, member=member) for number, member in entries]) == organisation


def test_all_time_entries_may_be_of_different_people_in_one_organisation() -> None:
    """They need the same organisation, not the same row."""
    rows = [time(number=9001, member=ADA), time(number=9002, member=TOM)]
    assert routed("all_time_entries", rows, csv=BY_STAFF.replace("Auckland", "Sydney")) == "Sydney"


@pytest.mark.parametrize("turned", [False, True])
def test_time_entries_of_different_organisations_are_held(turned: bool) -> None:
    """Both rows are named, in the order of the entries' ids; the first entry alone would decide by another rule."""
    rows = [time(number=9001, member=ADA), time(number=9002, member=ADA), time(number=9003, member=TOM)]
    found = held(routed("all_time_entries", rows[::-1] if turned else rows))
    assert (found.reason, found.value) == (Reason.AMBIGUOUS_MAPPING, "Sydney/Auckland")
    assert found.message == (
        "The time of this record was entered by people of different organisations: "
        "organisations.csv row 2 says Sydney, organisations.csv row 3 says Auckland."
    )
    assert found.fix == (
        'Give their rows in organisations.csv the same organisation, or set staff = "first_time_entry" under [routing] '
        "in policy.toml."
    )


def test_a_single_time_entry_without_a_row_holds_the_record_where_all_count() -> None:
    """Nobody knows whether that person would agree."""
    rows = [time(number=9001, member=ADA), time(number=9002, member=NEW)]
    assert held(routed("all_time_entries", rows)).reason is Reason.MISSING_ORGANISATION
    assert routed("first_time_entry", rows) == "Sydney"


@pytest.mark.parametrize(
    ("orders", "fields", "organisation"),
    [
        ([SOLD_BY_TOM], ORDER, "Auckland"),
        ([SalesOrder(id=501)], ORDER, "Perth"),
        ([], ORDER, "Perth"),
        ([SOLD_BY_TOM], {}, "Perth"),
        ([SOLD_BY_TOM, FIRST_SOLD_BY_TOM], {"salesOrder": {}}, "Perth"),
        ([SOLD_BY_TOM], {"salesOrder": {"id": 502}}, "Perth"),
    ],
)
def test_the_sales_rep_is_on_the_sales_order(
    orders: list[SalesOrder], fields: dict[str, Any], organisation: str
) -> None:
    """Whoever entered the time; without an order, or without a rep on it, nobody sold it."""
    assert routed("sales_rep", [time(member=ADA)], orders, **fields) == organisation


ORGANISATION_HELD: dict[str, tuple[Any, ...]] = {
    "no row": (
        "Perth,,,,,Sydney", {}, Reason.MISSING_ORGANISATION, "Sydney",
        "No row of organisations.csv fits the location Sydney.",
        "Add to organisations.csv: Sydney,,,,,<organisation>",
    ),
    "no row, no location": (
        "Perth,,,,,Sydney", {"location": None}, Reason.MISSING_ORGANISATION, "(none)",
        "No row of organisations.csv fits the location (none).",
        "Add to organisations.csv: (none),,,,,<organisation>",
    ),
    "a row without an organisation": (
        "Sydney,,,,,", {}, Reason.MISSING_ORGANISATION, "Sydney",
        "organisations.csv row 2 fits the location Sydney, but names no organisation.",
        "Fill organisation in organisations.csv row 2.",
    ),
    "an organisation that is not connected": (
        "Sydney,,,,,Sidney", {}, Reason.MISSING_ORGANISATION, "Sidney",
        "organisations.csv row 2 names the organisation 'Sidney', which is not connected (connected: Sydney).",
        "Correct organisation in organisations.csv row 2, or add 'Sidney' to the organisations in tieout.toml.",
    ),
    "two rows": (
        "Sydney,,,,,Sydney\n,,ACME,,,Sydney", {}, Reason.AMBIGUOUS_MAPPING, "Sydney",
        "organisations.csv row 2 and organisations.csv row 3 both fit this record.",
        "Make organisations.csv row 2 or organisations.csv row 3 more specific, or remove one.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ORGANISATION_HELD)
def test_a_record_that_belongs_nowhere_is_held(case: str) -> None:
    """With the row to correct or the line to paste; nothing else about it is judged yet."""
    rows, fields, *told = ORGANISATION_HELD[case]
    found = hold(invoice([time()], **fields), surroundings({"organisations.csv": ROUTES + rows}))
    assert [found.reason, found.value, found.message, found.fix] == told
    assert found.waits_on == ()


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"tenants": {}}, "none"),
        ({"tenants": {"Melbourne": "2", "Auckland": "1"}}, "Auckland, Melbourne"),
        ({"books": {}}, "Sydney"),
    ],
)
def test_an_organisation_needs_its_connection_and_its_books(changes: dict[str, Any], known: str) -> None:
    """Without either, nothing about the record can be judged."""
    found = hold(world=replace(surroundings(), **changes))
    assert found.reason is Reason.MISSING_ORGANISATION
    assert f"(connected: {known})" in found.message


# Contact

PAYER = {"id": 202, "identifier": "HOLDINGS", "name": "Acme Holdings"}
HOLDINGS = contact(2, "Acme Holdings", "HOLD01")


def test_the_row_that_named_the_contact_is_kept_with_the_document() -> None:
    """Why this contact? is answerable."""
    rows = "organisation,role,company,contact_id,account_number,contact_name\n,,ACME,,ACME01,\n"
    assert "contacts.csv row 2: ,,ACME,,ACME01," in document(world=surroundings({"contacts.csv": rows})).rows_used


@pytest.mark.parametrize(
    ("bill_to", "companies", "name"),
    [
        ("true", [Company(id=202, account_number="HOLD01")], "Acme Holdings"),
        ("true", [], None),
        ("true", [Company(id=202, account_number="HOLD01", deleted_flag=True)], None),
        ("false", [], "Acme Pty Ltd"),
    ],
)
def test_the_payer_is_found_by_its_own_number(bill_to: str, companies: list[Company], name: str | None) -> None:
    """The number on the header is the company's, not the payer's; a payer that is gone was merged or deleted."""
    world = surroundings(
        {"policy.toml": f"[contacts]\nbill_to = {bill_to}\n"},
        sydney=books(contacts=(contact(1, "Acme Pty Ltd", "ACME01"), HOLDINGS)),
        companies=companies,
    )
    result = to_xero_invoice(invoice([time()], billToCompany=PAYER), world)
    assert (held(result).reason is Reason.COMPANY_MERGED) if name is None else mapped(result).contact_name == name


@pytest.mark.parametrize(
    ("payer", "value", "named"),
    [
        (PAYER, "Acme Holdings", "Acme Holdings"),
        ({"id": 202, "identifier": "HOLDINGS"}, "202", "HOLDINGS"),
        ({"id": 202}, "202", "202"),
        ({"name": "Acme Holdings"}, "Acme Holdings", "Acme Holdings"),
    ],
)
def test_a_payer_that_is_gone_is_named_as_well_as_it_is_known(payer: dict[str, Any], value: str, named: str) -> None:
    """By its name, else its identifier, else its id."""
    others = [Company(id=1, account_number="ACME01")]
    found = hold(invoice([time()], billToCompany=payer), surroundings(companies=others))
    assert (found.reason, found.value) == (Reason.COMPANY_MERGED, value)
    assert found.message == (
        f"The invoice bills {named}, which ConnectWise does not have any more (or the API member may not see): merged "
        "into another company, or deleted."
    )


def test_a_contact_is_learnt_for_the_company_that_it_was_found_for() -> None:
    """For the one that pays; what a person wrote into contacts.csv is not learnt, since it may change there."""
    assert document().company_id == 101
    rows = "organisation,role,company,contact_id,account_number,contact_name\n,,ACME,,ACME01,\n"
    assert document(world=surroundings({"contacts.csv": rows})).company_id == 0
    assert document(invoice([time()], company={"identifier": "ACME", "name": "Acme Pty Ltd"})).company_id == 0
    world = surroundings(sydney=books(contacts=(HOLDINGS,)), companies=[Company(id=202, account_number="HOLD01")])
    assert document(invoice([time()], billToCompany=PAYER), world).company_id == 202


def test_what_a_company_was_before_counts_in_its_own_organisation() -> None:
    """Known by the organisation and the company's id; another company's contact is not taken."""
    renamed = books(contacts=(contact(3, "Acme Group"),))
    nameless = invoice([time()], company={"identifier": "ACME", "name": "Acme Pty Ltd"})
    for key, source, found in (
        ((SYDNEY, 101), invoice([time()]), True),
        (("other", 101), invoice([time()]), False),
        ((SYDNEY, 102), invoice([time()]), False),
        ((SYDNEY, 1), nameless, False),
    ):
        world = replace(surroundings(sydney=renamed), known_contacts={key: contact(3, "").contact_id})
        result = to_xero_invoice(source, world)
        assert isinstance(result, Document) is found
        if found:
            assert (mapped(result).contact_name, mapped(result).company_id) == ("Acme Group", 101)


def test_a_missing_contact_is_made_only_where_policy_says_so() -> None:
    """The document then carries the contact that is to be made, and no id yet; what is made is learnt too."""
    nobody = books(contacts=())
    assert hold(world=surroundings(sydney=nobody)).reason is Reason.MISSING_CONTACT
    made = document(world=surroundings({"policy.toml": '[contacts]\ncreate = "create"\n'}, sydney=nobody))
    assert made.new_contact == NewContact(SYDNEY, "Sydney", 101, "Acme Pty Ltd", "ACME01")
    assert (made.contact_id, made.contact_name, made.company_id) == ("", "Acme Pty Ltd", 101)
    assert document().new_contact is None


# Currency


def test_a_missing_currency_is_the_base_currency() -> None:
    """A tenant that never switched on currencies leaves the field out."""
    assert {document(invoice([time()], currency=given)).currency for given in ({}, {"currencyCode": " aud "})} == {
        "AUD"
    }


FOREIGN = {"id": 2, "currencyCode": "NZD", "name": "New Zealand dollar"}
CURRENCY_HELD: dict[str, tuple[Any, ...]] = {
    "not switched on": (
        FOREIGN, ("AUD",), "xero_day_rate", Reason.CURRENCY_NOT_ENABLED,
        "The invoice is in NZD, which is not switched on in Sydney.", "Add NZD in Xero (Settings, Currencies).",
    ),
    "no rate": (
        FOREIGN, ("AUD", "NZD"), "none", Reason.MISSING_RATE,
        "The document is in NZD and the books are in AUD; policy names no source for a rate between them.", None,
    ),
    "no code, no name": (
        {"id": 3},
        ("AUD",),
        "none",
        Reason.CURRENCY_NOT_ENABLED,
        "The currency 3 of the invoice has no code in ConnectWise.",
        None,
    ),
    "no code, no id": (
        {"name": "French francs"},
        ("AUD",),
        "none",
        Reason.CURRENCY_NOT_ENABLED,
        "The currency French francs of the invoice has no code in ConnectWise.",
        None,
    ),
    "no code": (
        {"id": 3, "name": "French francs"}, ("AUD",), "none", Reason.CURRENCY_NOT_ENABLED,
        "The currency French francs of the invoice has no code in ConnectWise.",
        "Give the currency its three-letter code in ConnectWise (System, Setup Tables, Currency).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CURRENCY_HELD)
def test_a_foreign_invoice_waits_for_its_currency_and_rate(case: str) -> None:
    """Never converted by a guess, and never taken for the base currency."""
    given, currencies, source, reason, message, fix = CURRENCY_HELD[case]
    world = surroundings({"policy.toml": f'[currency]\nsource = "{source}"\n'}, sydney=books(currencies=currencies))
    found = hold(invoice([time()], currency=given), world)
    assert (found.reason, found.message) == (reason, message)
    assert found.value == (given.get("currencyCode") or given.get("name") or "currency 3")
    assert found.fix == fix or fix is None


def test_xeros_own_day_rate_is_taken_only_when_policy_says_so() -> None:
    """No rate is sent then: Xero puts in its own."""
    world = surroundings(
        {"policy.toml": '[currency]\nsource = "xero_day_rate"\n'}, sydney=books(currencies=("AUD", "NZD"))
    )
    body = document(invoice([time()], currency=FOREIGN), world).body()
    assert body["CurrencyCode"] == "NZD"
    assert "CurrencyRate" not in body


RATES = {
    "policy.toml": '[currency]\nsource = "rates_table"\n',
    "rates.csv": "currency,base,date,rate,note\nNZD,AUD,2026-03-01,1.0875,bank\n",
}
NZD_BOOKS = books(currencies=("AUD", "NZD"))


def test_a_foreign_invoice_is_sent_with_its_rate_and_says_where_it_came_from() -> None:
    """Units of the document's currency per 1 of the base, as Xero's CurrencyRate; the row is kept with the outcome."""
    found = document(invoice([time()], currency=FOREIGN), surroundings(RATES, sydney=NZD_BOOKS))
    assert (found.currency, found.body()["CurrencyRate"]) == ("NZD", Decimal("1.0875"))
    # The amounts are the document's own: nothing is converted.
    assert (found.subtotal, found.tax, found.total) == (Decimal("300.00"), Decimal("30.00"), Decimal("330.00"))
    assert "rates.csv row 2: NZD,AUD,2026-03-01,1.0875" in found.rows_used
    assert found.rows_used[-1] == "rate 1.0875: rates.csv row 2 of 2026-03-01"


def test_the_source_of_a_rate_is_kept_where_it_is_no_row_too() -> None:
    """A custom field of the invoice or of its company, or Xero's own rate."""
    by_field = {"policy.toml": '[currency]\nsource = "custom_field"\n'}
    fields = [{"caption": "Exchange Rate", "value": "1.1"}]
    company = Company.model_validate({"id": 101, "customFields": [{"caption": "Exchange Rate", "value": 1.2}]})
    world = surroundings(by_field, sydney=NZD_BOOKS, companies=[company])
    own = document(invoice([time()], currency=FOREIGN, customFields=fields), world)
    assert (own.currency_rate, own.rows_used[-1]) == (
        Decimal("1.1"), "rate 1.1: 'Exchange Rate' of the invoice",
    )  # fmt: skip
    theirs = document(invoice([time()], currency=FOREIGN), world)
    assert (theirs.currency_rate, theirs.rows_used[-1]) == (
        Decimal("1.2"), "rate 1.2: 'Exchange Rate' of the company",
    )  # fmt: skip
    days = surroundings({"policy.toml": '[currency]\nsource = "xero_day_rate"\n'}, sydney=NZD_BOOKS)
    assert document(invoice([time()], currency=FOREIGN), days).rows_used[-1] == "rate: Xero's rate of the day"


def test_a_company_without_an_id_has_no_rate_of_another() -> None:
    """Whichever ids there are."""
    rated = Company.model_validate({"id": 1, "customFields": [{"caption": "Exchange Rate", "value": 1.2}]})
    world = surroundings({"policy.toml": '[currency]\nsource = "custom_field"\n'}, sydney=NZD_BOOKS, companies=[rated])
    nameless = invoice([time()], currency=FOREIGN, company={"identifier": "ACME", "name": "Acme Pty Ltd"})
    assert hold(nameless, world).reason is Reason.MISSING_RATE


@pytest.mark.parametrize("companies", [[], [Company(id=101)], [Company(id=102)]])
def test_a_company_without_a_rate_or_without_a_record_holds_the_invoice(companies: list[Company]) -> None:
    """Where the custom field is the source, and both are empty."""
    world = surroundings(
        {"policy.toml": '[currency]\nsource = "custom_field"\n'}, sydney=NZD_BOOKS, companies=companies
    )
    found = hold(invoice([time()], currency=FOREIGN), world)
    assert (found.reason, found.value) == (Reason.MISSING_RATE, "NZD")


def test_the_base_currency_needs_no_rate_and_no_currency_list() -> None:
    """Whatever policy says about rates, and in whichever case ConnectWise writes the code."""
    for given_policy in ("none", "rates_table", "custom_field"):
        world = surroundings({"policy.toml": f'[currency]\nsource = "{given_policy}"\n'}, sydney=books(currencies=()))
        found = document(invoice([time()], currency={"currencyCode": "aud"}), world)
        assert "CurrencyRate" not in found.body()
        assert not [row for row in found.rows_used if row.startswith("rate")]


@pytest.mark.parametrize(("code", "sent"), [("AUD", Decimal("0.9196")), ("NZD", None)])
def test_the_base_currency_is_the_organisations_own(code: str, sent: Decimal | None) -> None:
    """What is foreign in Sydney is at home in Auckland."""
    rates = "currency,base,date,rate\nAUD,NZD,2026-03-01,0.9196\nNZD,AUD,2026-03-01,1.0875\n"
    auckland = replace(NZD_BOOKS, organisation=replace(NZD_BOOKS.organisation, base_currency="NZD"))
    world = surroundings({**RATES, "rates.csv": rates}, sydney=auckland)
    assert document(invoice([time()], currency={"id": 1, "currencyCode": code}), world).currency_rate == sent


def test_the_documents_own_date_picks_the_rate() -> None:
    """Never today's: the same record gives the same rate whenever it is mapped."""
    rows = "currency,base,date,rate\nNZD,AUD,2026-02-15,1.05\nNZD,AUD,2026-03-02,1.07\nNZD,AUD,2026-03-03,1.09\n"
    world = surroundings({**RATES, "rates.csv": rows}, sydney=NZD_BOOKS)
    for day, rate in (("2026-03-01", "1.05"), ("2026-03-02", "1.07"), ("2026-03-04", "1.09")):
        source = invoice([time()], currency=FOREIGN, date=f"{day}T00:00:00Z")
        assert document(source, world).currency_rate == Decimal(rate)


# Period


@pytest.mark.parametrize(
    ("lock", "open_"), [(date(2026, 3, 1), True), (date(2026, 3, 2), False), (date(2026, 12, 31), False)]
)
def test_a_document_in_a_locked_period_is_held(lock: date, open_: bool) -> None:
    """The record's own date decides; the lock date itself is locked."""
    result = to_xero_invoice(invoice([time()]), surroundings(sydney=books(lock_date=lock)))
    assert isinstance(result, Document) is open_
    if not open_:
        found = held(result)
        assert (found.reason, found.value) == (Reason.PERIOD_LOCKED, "2026-03-02")
        assert found.message == f"The invoice is dated 2026-03-02, and Sydney is locked up to and including {lock}."
        assert found.waits_on == (XeroList.ORGANISATION,)


# Accounts and tax types

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
TAXES = "organisation,side,tax_code,taxable,tax_type\n"
WORK: dict[str, Any] = {"workType": {"id": 1, "name": "Remote"}, "workRole": {"id": 2, "name": "Engineer"}}

ACTIVE = "Sydney has OUTPUT (OUTPUT 10 %), EXEMPTOUTPUT (EXEMPTOUTPUT 0 %), INPUT (INPUT 10 %)."

LINE_HELD: dict[str, tuple[Any, ...]] = {
    "no account": (
        {"accounts.csv": ACCOUNTS + ",purchases,service,,,300,"}, Reason.MISSING_ACCOUNT, "service/Remote",
        "No row of accounts.csv fits kind service, category Remote (line 'Work').",
        "Add to accounts.csv: Sydney,sales,service,Remote,,<account_code>,", (),
    ),
    "a row without an account": (
        {"accounts.csv": ACCOUNTS + ",sales,service,,,,"}, Reason.MISSING_ACCOUNT, "service",
        "accounts.csv row 2 names no account (line 'Work').", "Fill account_code in accounts.csv row 2.", (),
    ),
    "an account that Xero does not have": (
        {"accounts.csv": ACCOUNTS + ",sales,service,,,999,"}, Reason.MISSING_ACCOUNT, "999",
        "accounts.csv row 2 names account 999, which does not exist in Sydney.",
        "Correct account_code in accounts.csv row 2, or the account in Xero.", (XeroList.ACCOUNTS,),
    ),
    "an archived account": (
        {"accounts.csv": ACCOUNTS + ",sales,service,,,201,"}, Reason.MISSING_ACCOUNT, "201",
        "accounts.csv row 2 names account 201, which is archived in Sydney.",
        "Correct account_code in accounts.csv row 2, or the account in Xero.", (XeroList.ACCOUNTS,),
    ),
    "a bank account": (
        {"accounts.csv": ACCOUNTS + ",sales,service,,,090,"}, Reason.MISSING_ACCOUNT, "090",
        "accounts.csv row 2 names account 090, which is a bank account in Sydney.",
        "Correct account_code in accounts.csv row 2, or the account in Xero.", (XeroList.ACCOUNTS,),
    ),
    "accounts receivable": (
        {"accounts.csv": ACCOUNTS + ",sales,service,,,610,"}, Reason.MISSING_ACCOUNT, "610",
        "accounts.csv row 2 names account 610, which is a system account in Sydney.",
        "Correct account_code in accounts.csv row 2, or the account in Xero.", (XeroList.ACCOUNTS,),
    ),
    "two rows for the account": (
        {"accounts.csv": ACCOUNTS + "Sydney,sales,service,,,200,\n,sales,service,Remote,,200,"},
        Reason.AMBIGUOUS_MAPPING, "service/Remote",
        "accounts.csv row 2 and accounts.csv row 3 both fit the line 'Work'.",
        "Make accounts.csv row 2 or accounts.csv row 3 more specific, or remove one.", (),
    ),
    "no tax type": (
        {"taxes.csv": TAXES + ",sales,GST,no,EXEMPTOUTPUT"}, Reason.MISSING_TAX, "GST/yes",
        "No row of taxes.csv fits tax_code GST, taxable yes (line 'Work').",
        "Add to taxes.csv: Sydney,sales,GST,yes,<tax_type>", (),
    ),
    "a row without a tax type": (
        {"taxes.csv": TAXES + ",sales,GST,,"}, Reason.MISSING_TAX, "", "taxes.csv row 2 names no tax type.",
        "Fill tax_type in taxes.csv row 2. " + ACTIVE, (),
    ),
    "a tax rate by its name": (
        {"taxes.csv": TAXES + ",sales,GST,,GST on Income"}, Reason.MISSING_TAX, "GST on Income",
        "taxes.csv row 2 names the tax type 'GST on Income', which Sydney does not have.",
        "Correct tax_type in taxes.csv row 2. " + ACTIVE, (XeroList.TAX_RATES,),
    ),
    "a tax rate that is gone": (
        {"taxes.csv": TAXES + ",sales,GST,,OLDRATE"}, Reason.MISSING_TAX, "OLDRATE",
        "taxes.csv row 2 names the tax type 'OLDRATE', which Sydney does not have any more.",
        "Correct tax_type in taxes.csv row 2. " + ACTIVE, (XeroList.TAX_RATES,),
    ),
    "a tax rate for expenses only": (
        {"taxes.csv": TAXES + ",sales,GST,,INPUT"}, Reason.MISSING_TAX, "INPUT",
        "Xero does not allow the tax type INPUT on account 200 (revenue).",
        "Choose another tax type in taxes.csv, or another account in accounts.csv.",
        (XeroList.TAX_RATES, XeroList.ACCOUNTS),
    ),
    "two rows for the tax": (
        {"taxes.csv": TAXES + ",sales,GST,,OUTPUT\n,sales,5,,OUTPUT"}, Reason.AMBIGUOUS_MAPPING, "GST/yes",
        "taxes.csv row 2 and taxes.csv row 3 both fit the line 'Work'.",
        "Make taxes.csv row 2 or taxes.csv row 3 more specific, or remove one.", (),
    ),
}  # fmt: skip

BOOKS = books(
    accounts=(
        account("200"),
        account("201", Status="ARCHIVED"),
        account("090", Type="BANK", kind="ASSET"),
        account("610", SystemAccount="DEBTORS", kind="ASSET"),
    ),
    tax_rates=(
        tax_rate("OUTPUT", "10"),
        tax_rate("EXEMPTOUTPUT", "0"),
        tax_rate("OLDRATE", "12.5", "DELETED"),
        tax_rate("INPUT", "10", CanApplyToRevenue=False),
    ),
)


@pytest.mark.parametrize("case", LINE_HELD)
def test_one_unmapped_code_holds_the_whole_document(case: str) -> None:
    """With the row to correct or the line to paste, and the lists of Xero that could cure it."""
    changes, *told = LINE_HELD[case]
    found = hold(invoice([time(**WORK)]), surroundings(changes, sydney=BOOKS))
    assert [found.reason, found.value, found.message, found.fix, found.waits_on] == told


ANSWERS = {
    "<account_code>": "200",
    "<organisation>": "Sydney",
    "<the contact's name in Xero>": "Somebody",
    "yes,<tax_type>": "yes,OUTPUT",
    "no,<tax_type>": "no,EXEMPTOUTPUT",
}


@pytest.mark.parametrize("file", ["accounts.csv", "taxes.csv", "organisations.csv", "contacts.csv"])
def test_the_pasted_line_lets_the_record_through(file: str) -> None:
    """What the message says to paste works once its `<...>` is filled in."""
    layout = next(layout for layout in LAYOUTS if layout.file == file)
    source = invoice([time(**WORK)], [product(), product(number=7002, taxableFlag=False)], tax="39.90")
    empty = ",".join((*layout.keys, *layout.values))
    sydney = books(contacts=[contact(1, "Somebody" if file == "contacts.csv" else "Acme Pty Ltd")])
    found = hold(source, surroundings({file: empty}, sydney=sydney))
    lines = [line.partition(f"{file}: ")[2] for line in found.fix.splitlines()]
    pasted = "\n".join([empty, *lines])
    for blank, answer in ANSWERS.items():
        pasted = pasted.replace(blank, answer)
    assert document(source, surroundings({file: pasted}, sydney=sydney)).lines


def test_an_account_of_an_unknown_class_takes_any_tax_type() -> None:
    """What Xero does not say is not held against it."""
    sydney = books(accounts=[account("200", kind="")], tax_rates=[tax_rate("OUTPUT", "10", CanApplyToRevenue=False)])
    assert document(world=surroundings(sydney=sydney)).lines[0].tax_type == "OUTPUT"


def test_accounts_are_chosen_line_by_line() -> None:
    """By kind, category in its order, and item; an item code goes along."""
    world = surroundings(
        {
            "accounts.csv": ACCOUNTS
            + ",sales,service,,,200,\n,sales,service,Engineer,,201,\n,sales,product,,,202,\n"
            + ",sales,product,,DOCK-USBC,203,DOCK\nSydney,sales,expense,Parking,,204,\n,sales,expense,,,200,\n"
        },
        sydney=books(accounts=[account(str(code)) for code in range(200, 205)], items=[item("DOCK")]),
    )
    source = invoice([time(**WORK)], [product(), product(number=7002, catalogItem=None)], [expense()])
    found = document(source, world)
    assert [(line.account_code, line.item_code) for line in found.lines] == [
        ("201", ""),
        ("204", ""),
        ("203", "DOCK"),
        ("202", ""),
    ]
    assert [line.body().get("ItemCode") for line in found.lines] == [None, None, "DOCK", None]
    assert tuple(row.partition(":")[0] for row in found.rows_used) == (
        "organisations.csv row 2",
        "accounts.csv row 3",
        "taxes.csv row 2",
        "accounts.csv row 6",
        "accounts.csv row 5",
        "accounts.csv row 4",
    )


@pytest.mark.parametrize(
    ("header", "code", "services", "expenses", "products"),
    [
        ({}, {}, "EXEMPTOUTPUT", "EXEMPTOUTPUT", "OUTPUT"),
        ({}, {"taxes_services": True}, "OUTPUT", "EXEMPTOUTPUT", "OUTPUT"),
        ({}, {"taxes_expenses": True}, "EXEMPTOUTPUT", "OUTPUT", "OUTPUT"),
        ({}, None, "OUTPUT", "OUTPUT", "OUTPUT"),
        ({"taxCode": None}, {}, "OUTPUT", "OUTPUT", "OUTPUT"),
        (
            {"taxableFlag": False},
            {"taxes_services": True, "taxes_expenses": True},
            "EXEMPTOUTPUT",
            "EXEMPTOUTPUT",
            "EXEMPTOUTPUT",
        ),
    ],
)
def test_each_line_is_taxed_as_connectwise_taxes_it(
    header: dict[str, Any], code: dict[str, bool] | None, services: str, expenses: str, products: str
) -> None:
    """Products by their own flag; time and expenses by the header's flag and, where it is known, the tax code's."""
    codes = [] if code is None else [TaxCode(id=5, **code)]
    wanted = {"time:9001": services, "expense:4001": expenses, "product:7001": products, "product:7002": "EXEMPTOUTPUT"}
    rows: dict[str, Any] = {
        "times": [time("1", "100")],
        "products": [product("1", "10"), product("1", "5", number=7002, taxableFlag=False)],
        "expenses": [expense("20")],
    }
    amounts: dict[str, Any] = {"time:9001": 10, "expense:4001": 2, "product:7001": 1, "product:7002": Decimal("0.5")}
    tax = sum((amounts[key] for key, tax_type in wanted.items() if tax_type == "OUTPUT"), Decimal(0))
    found = document(invoice(**rows, **header, tax=tax), surroundings(tax_codes=codes))
    assert {line.key: line.tax_type for line in found.lines} == wanted


def test_a_tax_code_without_an_id_is_none_of_the_known_ones() -> None:
    """Then nothing is known of what it taxes: the header's flag alone decides."""
    codes = [TaxCode(id=1, identifier="GST"), TaxCode(id=5, identifier="GST")]
    found = document(invoice([time()], taxCode={"name": "GST"}), surroundings(tax_codes=codes))
    assert found.lines[0].tax_type == "OUTPUT"


# Tax to the cent


def test_equal_tax_is_left_to_xero() -> None:
    """No TaxAmount is sent where Xero computes the same."""
    assert all("TaxAmount" not in line for line in document(invoice([time()], [product()])).body()["LineItems"])


def test_single_cents_of_tax_are_placed_on_the_largest_lines() -> None:
    """ConnectWise taxes the sum, Xero each line: three lines of 0.05 differ by a cent and a half."""
    source = invoice(
        [time("1", amount, number=9000 + n) for n, amount in enumerate(("10.05", "20.05", "30.05"))], tax="6.02"
    )
    lines = document(source).lines
    assert [(line.tax, line.tax_amount) for line in lines] == [
        (Decimal("1.01"), None),
        (Decimal("2.01"), None),
        (Decimal("3.00"), Decimal("3.00")),
    ]  # fmt: skip


def test_cents_may_go_to_taxable_lines_whose_own_tax_is_nothing() -> None:
    """Ten lines of 0.04: Xero's tax on each is 0.00, ConnectWise's on the sum is 0.04."""
    source = invoice([time("1", "0.04", number=9000 + n) for n in range(10)], tax="0.04")
    found = document(source)
    assert (found.tax, found.total) == (Decimal("0.04"), Decimal("0.44"))
    assert [str(line.tax_amount) for line in found.lines if line.tax_amount is not None] == ["0.01"] * 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            invoice([time()], tax="30.02"),
            "ConnectWise says 30.02 tax; OUTPUT in Sydney would make it 30.00.",
        ),
        (
            invoice([time()], [product(taxableFlag=False)], tax="39.90"),
            "ConnectWise says 39.90 tax; OUTPUT, EXEMPTOUTPUT in Sydney would make it 30.00.",
        ),
        (
            invoice([time()], taxableFlag=False, tax="30"),
            "ConnectWise says 30.00 tax; EXEMPTOUTPUT in Sydney would make it 0.00.",
        ),
        (
            invoice([time(extendedInvoiceAmount=0)], tax="0.01"),
            "ConnectWise says 0.01 tax; no tax type in Sydney would make it 0.00.",
        ),
        (
            invoice([time()], tax="0"),
            "ConnectWise says 0.00 tax; OUTPUT in Sydney would make it 30.00.",
        ),
    ],
)
def test_tax_that_is_off_by_more_is_held_with_both_figures(source: SourceInvoice, message: str) -> None:
    """More than a cent per taxable line is no rounding: a rate is mapped wrongly."""
    found = hold(source)
    assert (found.reason, found.message) == (Reason.TAX_DIFFERS, message)


def test_tax_with_more_than_two_decimals_is_taken_to_the_cent() -> None:
    """30.008 is 30.01, a cent more than Xero's own 30.00."""
    found = document(invoice([time()], tax="30.008"))
    assert (found.tax, found.lines[0].tax_amount) == (Decimal("30.01"), Decimal("30.01"))


def test_lines_of_text_have_no_part_in_the_tax() -> None:
    """Neither in its placing nor in the message about it."""
    rows = [time(), time(number=9002, extendedInvoiceAmount=0, notes="Covered")]
    assert document(invoice(rows, tax="30.01")).tax == Decimal("30.01")
    assert (
        hold(invoice(rows, tax="30.02")).message == "ConnectWise says 30.02 tax; OUTPUT in Sydney would make it 30.00."
    )


# Every problem at once


def test_lines_that_do_not_add_up_are_told_beside_the_rest() -> None:
    """A missing contact does not hide a wrong total."""
    found = hold(invoice([time()], serviceTotal="301"), surroundings(sydney=books(contacts=())))
    assert found.reason is Reason.MISSING_CONTACT
    assert "The service total on the header is 301.00, but its row makes 300.00." in found.message


def test_a_bookkeeper_sees_every_problem_at_once_and_each_only_once() -> None:
    """Ten lines that need the same row are one problem; the lists that could cure it are named together."""
    world = surroundings(
        {"accounts.csv": ACCOUNTS + ",sales,product,,,200,", "taxes.csv": TAXES + ",sales,,,GONE"},
        sydney=books(contacts=(), lock_date=date(2026, 3, 31)),
    )
    source = invoice([time(number=9000 + n, notes=f"Work {n}") for n in range(10)], [product()], currency=FOREIGN)
    found = hold(source, world)
    assert found.reason is Reason.CURRENCY_NOT_ENABLED
    assert [sentence + "." for sentence in found.message.removesuffix(".").split(". ")] == [
        "The invoice is in NZD, which is not switched on in Sydney.",
        "The document is in NZD and the books are in AUD; policy names no source for a rate between them.",
        "Sydney has no contact for Acme Pty Ltd (account number ACME01).",
        "No row of accounts.csv fits kind service (line 'Work 0').",
        "taxes.csv row 2 names the tax type 'GONE', which Sydney does not have.",
        "The invoice is dated 2026-03-02, and Sydney is locked up to and including 2026-03-31.",
    ]
    assert len(found.fix.splitlines()) == 6
    assert set(found.waits_on) == {XeroList.CURRENCIES, XeroList.CONTACTS, XeroList.TAX_RATES, XeroList.ORGANISATION}


def test_wrong_tax_is_told_beside_a_missing_contact() -> None:
    """A problem of the contact does not hide one of the lines."""
    found = hold(invoice([time()], tax="0"), surroundings(sydney=books(contacts=())))
    assert found.reason is Reason.MISSING_CONTACT
    assert "OUTPUT in Sydney would make it 30.00" in found.message


def test_a_long_description_is_shortened_in_messages() -> None:
    """One line, sixty characters."""
    world = surroundings({"accounts.csv": ACCOUNTS})
    assert f"(line '{'x' * 60}')" in hold(invoice([time(notes="x" * 60)]), world).message
    assert f"(line '{'x' * 60}…')" in hold(invoice([time(notes="x" * 61)]), world).message
    assert f"(line '{'x' * 59}…')" in hold(invoice([time(notes="x" * 59 + " and more")]), world).message
    assert "(line 'First…')" in hold(invoice([time(notes="First\nsecond")]), world).message


# Any invoice

PRICE = st.decimals(Decimal(-500), Decimal(5000), allow_nan=False, allow_infinity=False, places=4)
WHOLE = st.integers(-5, 40)


@given(
    times=st.lists(st.tuples(WHOLE, PRICE), max_size=5),
    products=st.lists(st.tuples(WHOLE, PRICE, st.booleans()), max_size=5),
    agreement=PRICE.map(cents),
    off=st.integers(-7, 7),
    rate=st.sampled_from(["10", "15", "8.875", "20", "0"]),
)
def test_a_mapped_document_equals_its_header_to_the_cent_or_is_held(
    times: list[tuple[int, Decimal]],
    products: list[tuple[int, Decimal, bool]],
    agreement: Decimal,
    off: int,
    rate: str,
) -> None:
    """Subtotal, tax and total as Xero will compute them are the header's own, whatever ConnectWise's tax was."""
    rows = [product(count, price, number=n, taxableFlag=taxed) for n, (count, price, taxed) in enumerate(products)]
    work = [time(hours, price, number=n) for n, (hours, price) in enumerate(times)]
    subtotal = sum((each["extendedInvoiceAmount"] for each in work), agreement) + sum(each["extPrice"] for each in rows)
    base = subtotal - sum(each["extPrice"] for each in rows if not each["taxableFlag"])
    tax = cents(base * Decimal(rate) / 100) + Decimal(off) / 100
    assume(subtotal + tax >= 0)
    source = invoice(work, rows, agreementAmount=agreement, tax=tax)
    world = surroundings(sydney=books(tax_rates=(tax_rate("OUTPUT", rate), tax_rate("EXEMPTOUTPUT", "0"))))
    result = to_xero_invoice(source, world)
    if isinstance(result, Hold):
        assert result.reason is Reason.TAX_DIFFERS
        return
    assert (result.subtotal, result.tax, result.total) == (subtotal, tax, subtotal + tax)
    # What Xero computes from what it is sent, in its own arithmetic.
    sent = [line for line in result.body()["LineItems"] if "Quantity" in line]
    amounts = [cents(line["Quantity"] * line["UnitAmount"]) for line in sent]
    rates = {"OUTPUT": Decimal(rate), "EXEMPTOUTPUT": Decimal(0)}
    taxes = [
        line.get("TaxAmount", cents(amount * rates[line["TaxType"]] / 100))
        for line, amount in zip(sent, amounts, strict=True)
    ]
    assert sum(amounts, Decimal(0)) == subtotal
    assert sum(taxes, Decimal(0)) == tax
    assert all("TaxAmount" not in line for line in sent if line["TaxType"] == "EXEMPTOUTPUT")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_line_needs_an_account_of_its_own(kind: str) -> None:
    """Take its row away, and the invoice that has such a line is held."""
    special: dict[str, Any] = {"specialInvoiceFlag": True, "subtotal": Decimal(50)}
    sources = {
        "product": invoice([], [product()]),
        "service": invoice([time()]),
        "expense": invoice([], [], [expense()]),
        "agreement": invoice(agreementAmount="50"),
        "adjustment": invoice(serviceAdjustmentAmount="50"),
        "progress": invoice([time()], previousProgressApplied="50"),
        "special": invoice(type="Miscellaneous", **special),
        "down_payment": invoice(type="DownPayment", **special),
        "rounding": invoice([time("1", "0.004", number=n, extendedInvoiceAmount=Decimal("0.004")) for n in (1, 2)]
                            + [time("1", "10", number=3)], serviceTotal="10.01", taxableFlag=False),
    }  # fmt: skip
    rows = "".join(line + "\n" for line in FILES["accounts.csv"].splitlines() if f",{kind}," not in line)
    assert document(sources[kind]).lines
    found = hold(sources[kind], surroundings({"accounts.csv": rows}))
    assert (found.reason, found.value.partition("/")[0]) == (Reason.MISSING_ACCOUNT, kind)
