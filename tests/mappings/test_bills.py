"""One bill as a Xero document: supplier, number, dates, accounts, tax and tracking of what an order received."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.billing import FREIGHT
from mappings.bills import for_mapping, names_of, organisation_of, suppliers, to_xero_bill
from mappings.connectwise import CatalogItem, Company, Department, Location, Reference, SourceBill, SourcePurchaseOrder
from mappings.outcomes import Hold, Reason, XeroList
from mappings.related import Related
from mappings.surroundings import Surroundings
from mappings.xero import Books, Document, Line, NewContact
from tests.mappings.orders import bill, line, order
from tests.mappings.samples import (
    SITE,
    SYDNEY,
    account,
    books,
    category,
    cents,
    contact,
    held,
    item,
    mapped,
    tables,
    tax_rate,
)
from tests.mappings.samples import surroundings as around

NETGEAR = contact(2, "Netgear Distribution", "V-77")
BUYING = {
    "accounts.csv": "organisation,side,kind,category,item,account_code,item_code\n"
    ",sales,product,,,200,\n,purchases,product,,,300,\n,purchases,freight,,,425,\n",
    "taxes.csv": "organisation,side,tax_code,taxable,tax_type\n"
    ",sales,,yes,OUTPUT\n,purchases,,yes,INPUT\n,purchases,,no,EXEMPTEXPENSES\n",
}
NO_ACCOUNT = {"accounts.csv": "organisation,side,kind,category,item,account_code,item_code\n,sales,product,,,200,\n"}
NO_TAX = {"taxes.csv": "organisation,side,tax_code,taxable,tax_type\n,sales,,yes,OUTPUT\n"}
VENDOR = Company(id=201, identifier="NETGEAR", name="Netgear Distribution", vendor_identifier="V-77")
TWO_MARCH = date(2026, 3, 2)


def sydney(**changes: Any) -> Books:
    """Books that can buy."""
    given_: dict[str, Any] = {
        "contacts": [NETGEAR],
        "accounts": [
            account("300", kind="EXPENSE", Type="DIRECTCOSTS", TaxType="INPUT"),
            account("310", kind="EXPENSE", Type="DIRECTCOSTS", TaxType="INPUT"),
            account("425", kind="EXPENSE", Type="EXPENSE", TaxType="INPUT"),
            account("630", kind="ASSET", Type="INVENTORY", TaxType="EXEMPTEXPENSES"),
        ],
        "tax_rates": [tax_rate("INPUT", "10"), tax_rate("EXEMPTEXPENSES", "0"), tax_rate("OUTPUT", "10")],
    }
    return books(**given_ | changes)


def world(
    changes: Mapping[str, str] | None = None,
    *,
    policy: str = "",
    companies: Iterable[Company] = (VENDOR,),
    **given_: Any,
) -> Surroundings:
    files = BUYING | ({"policy.toml": policy} if policy else {}) | dict(changes or {})
    own = given_.pop("sydney", None) or sydney()
    return around(files, sydney=own, companies=companies, **given_)


def more(file: str, *rows: str) -> dict[str, str]:
    """A table for purchases with rows below its own."""
    return {file: BUYING[file] + "".join(f"{row}\n" for row in rows)}


def received(*lines: Mapping[str, Any], **fields: Any) -> SourcePurchaseOrder:
    """An order, by default of one line that was received in full."""
    return order(*(lines or [line(received=10)]), **fields)


def made(source: SourceBill, surroundings: Surroundings | None = None) -> Document:
    return mapped(to_xero_bill(source, surroundings or world()))


def refused(source: SourceBill, surroundings: Surroundings | None = None) -> Hold:
    return held(to_xero_bill(source, surroundings or world()))


def goods(document: Document) -> list[Line]:
    """The lines below the one that names the order."""
    first, *lines = document.lines
    assert (first.key, first.quantity, first.account_code) == ("order", None, "")
    return lines


def of(raw: SourcePurchaseOrder, **fields: Any) -> SourceBill:
    return bill(raw, **fields)


# The whole of it


def test_what_was_received_becomes_a_bill() -> None:
    document = made(of(received(line(received=4)), due_days=30, cited=("lifecycle.csv, row 4: fully_received",)))
    assert document.body() == {
        "Type": "ACCPAY",
        "InvoiceNumber": "PO7",
        "Contact": {"ContactID": NETGEAR.contact_id},
        "Date": "2026-03-02",
        "DueDate": "2026-04-01",
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": "AUD",
        "Reference": "PO7",
        "Url": SITE.link("bills", 7001),
        "Status": "DRAFT",
        "LineItems": [
            {"Description": "Purchase order PO7"},
            {
                "Description": "Item 1",
                "Quantity": Decimal(4),
                "UnitAmount": Decimal(100),
                "AccountCode": "300",
                "TaxType": "INPUT",
            },
        ],
    }
    assert [document.subtotal, document.tax, document.total] == [400, 40, 440]
    assert (document.family, document.connectwise_id, document.reference) == ("bills", 7001, "PO7")
    assert (document.organisation, document.tenant_id, document.company_id) == ("Sydney", SYDNEY, 201)
    assert (document.receipt, document.billed) == ("", (("line:1", Decimal(4)),))
    assert [row.partition(":")[0] for row in document.rows_used] == [
        "lifecycle.csv, row 4",
        "organisations.csv row 2",
        "accounts.csv row 3",
        "taxes.csv row 3",
    ]


def test_each_bill_of_an_order_leads_to_it_by_an_address_of_its_own() -> None:
    first, second = (made(of(received(), n=n)) for n in (1, 2))
    assert (first.url, second.url) == (SITE.link("purchase_orders", 7), SITE.link("purchase_orders", 7) + "#2")
    assert (first.connectwise_id, second.connectwise_id) == (7001, 7002)


def test_lines_stand_in_the_order_of_their_numbers_and_only_as_far_as_the_bill_holds_them() -> None:
    source = received(line(1, received=4, lineNumber=2), line(2, received=3, lineNumber=1), line(3, received=5))
    document = made(of(source, quantities={"line:1": 2, "line:2": 3}))
    assert {each.key: each.quantity for each in goods(document)} == {"line:2": 3, "line:1": 2}
    assert [each.key for each in goods(document)] == ["line:2", "line:1"]


@pytest.mark.parametrize(
    ("receipt", "title"),
    [("", "Purchase order PO7"), ("S1", "Purchase order PO7, receipt S1"), ("freight", "Purchase order PO7")],
)
def test_the_first_line_names_order_and_receipt(receipt: str, title: str) -> None:
    document = made(of(received(), receipt=receipt))
    assert (document.lines[0].description, document.receipt) == (title, receipt)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Item 1"),
        ({"description": "  "}, "ITEM-1"),
        ({"description": "", "product": None}, "Product"),
        ({"description": "a\r\nb\x00"}, "a\nb"),
        ({"description": "x" * 6000}, "x" * 3899 + "…"),
    ],
)
def test_a_line_is_described_by_what_it_says_of_itself(fields: dict[str, Any], text: str) -> None:
    (bought,) = goods(made(of(received(line(received=10, **fields)))))
    assert bought.description == text


# Number


@pytest.mark.parametrize(
    ("template", "receipt", "invoice", "number"),
    [
        ("", "", "", "PO7"),
        ("", "S1", "", "PO7 / S1"),
        ("", "", "INV-9", "PO7 / INV-9"),
        ("", "S1", "INV-9", "PO7 / S1 / INV-9"),
        ("", " S  1 ", "  INV\t9 ", "PO7 / S 1 / INV 9"),
        ("{vendor_invoice_number}: {po_number}", "S1", "", "PO7"),
        ("{vendor_invoice_number}: {po_number}", "S1", "INV-9", "INV-9: PO7"),
        ("{receipt} {vendor_invoice_number} of {po_number}", "", "INV-9", "INV-9 of PO7"),
        ("Bill {po_number}", "S1", "INV-9", "Bill PO7"),
        # Braces of a vendor's are no fields.
        ("", "{receipt}", "{po_number}", "PO7 / {receipt} / {po_number}"),
    ],
)
def test_what_is_not_known_drops_out_of_the_number_with_its_separator(
    template: str, receipt: str, invoice: str, number: str
) -> None:
    policy = f'[purchases]\nbill_number = "{template}"\n' if template else ""
    source = of(received(vendorInvoiceNumber=invoice), receipt=receipt)
    assert made(source, world(policy=policy)).number == number


def test_the_reference_is_the_order_whatever_the_number() -> None:
    source = of(received(vendorInvoiceNumber="INV-9"), receipt="S1")
    document = made(source, world(policy='[purchases]\nbill_number = "X {po_number}"\n'))
    assert (document.number, document.document_reference, document.reference) == ("X PO7", "PO7", "PO7")


@pytest.mark.parametrize("number", ["", "   ", "\x00"])
def test_an_order_without_a_number_is_held(number: str) -> None:
    problem = refused(of(received(poNumber=number)))
    assert (problem.reason, problem.value) == (Reason.UNREADABLE_RECORD, "poNumber")
    assert problem.message == "The purchase order with the id 7 has no number in ConnectWise."


@pytest.mark.parametrize(("length", "fits"), [(249, True), (250, False), (400, False)])
def test_a_number_that_xero_would_not_take_is_held_and_never_cut(length: int, fits: bool) -> None:
    """255 characters is the most, of which 'PO7 / ' takes six."""
    result = to_xero_bill(of(received(), receipt="x" * length), world())
    if fits:
        assert len(mapped(result).number) == 255
    else:
        problem = held(result)
        assert problem.reason is Reason.UNREADABLE_RECORD
        assert "is longer than the 255 characters that Xero takes" in problem.message
        assert "bill_number under [purchases] in policy.toml" in problem.fix


# Dates


@pytest.mark.parametrize(
    ("fields", "days", "expected"),
    [
        ({"vendorInvoiceDate": "2026-03-20T00:00:00Z"}, ["2026-03-02"], date(2026, 3, 20)),
        # Before anything came, too.
        ({"vendorInvoiceDate": "2026-02-27T00:00:00Z", "dateClosed": "2026-03-30T00:00:00Z"}, [], date(2026, 2, 27)),
        ({"dateClosed": "2026-03-30T00:00:00Z"}, ["2026-03-02", "2026-03-09", None], date(2026, 3, 9)),
        ({"dateClosed": "2026-03-30T00:00:00Z"}, [None], date(2026, 3, 30)),
    ],
)
def test_a_bill_is_dated_by_the_vendor_then_by_the_last_receipt_then_by_the_close(
    fields: dict[str, Any], days: list[str | None], expected: date
) -> None:
    lines = [
        line(number, received=10, dateReceived=f"{day}T00:00:00Z" if day else None)
        for number, day in enumerate(days or [None], start=1)
    ]
    document = made(of(received(*lines, **fields)))
    assert (document.date, document.due_date) == (expected, expected)


def test_the_days_of_what_is_on_another_bill_do_not_count() -> None:
    source = received(line(received=10), line(2, received=10, dateReceived="2026-03-09T00:00:00Z"))
    assert made(of(source, quantities={"line:1": 10})).date == TWO_MARCH


def test_a_bill_without_any_date_is_held_and_never_dated_today() -> None:
    source = of(received(line(received=10, dateReceived=None), currency={"id": 2, "currencyCode": "NZD"}))
    surroundings = world(policy='[currency]\nsource = "rates_table"\n', sydney=sydney(currencies=("AUD", "NZD")))
    problem = refused(source, surroundings)
    # Nor is a rate asked for a day that nobody knows.
    assert (problem.reason, problem.value, problem.merged) == (Reason.UNREADABLE_RECORD, "dateReceived", ())
    assert problem.message.startswith("PO7 has neither a vendor invoice date nor a day on which anything was received")


@pytest.mark.parametrize(("days", "due"), [(None, 2), (0, 2), (14, 16), (-5, 2)])
def test_a_bill_is_due_by_the_orders_terms_and_never_before_its_date(days: int | None, due: int) -> None:
    assert made(of(received(), due_days=days)).due_date == date(2026, 3, due)


KEPT = ("PO7 / S1", date(2026, 2, 10), date(2026, 2, 24))


@pytest.mark.parametrize("approved", [True, False])
def test_a_bill_that_does_not_follow_any_more_keeps_number_and_dates(approved: bool) -> None:
    source = received(vendorInvoiceNumber="INV-9", vendorInvoiceDate="2026-03-20T00:00:00Z")
    document = made(of(source, receipt="S1", kept=KEPT, approved=approved, due_days=30))
    assert (document.number, document.date, document.due_date) == KEPT


def test_a_bill_that_keeps_its_dates_needs_none_of_the_order() -> None:
    source = received(line(received=10, dateReceived=None), poNumber="PO7")
    assert made(of(source, kept=KEPT)).date == KEPT[1]


def test_the_rate_is_that_of_the_day_which_a_bill_keeps() -> None:
    document = made(of(received(currency={"currencyCode": "NZD"}), kept=KEPT), abroad())
    assert (document.date, document.currency_rate) == (KEPT[1], Decimal("1.08"))


# Lock dates


@pytest.mark.parametrize(("lock", "stops"), [(date(2026, 3, 1), False), (TWO_MARCH, True), (date(2026, 4, 1), True)])
def test_a_bill_of_a_locked_period_is_held(lock: date, stops: bool) -> None:
    result = to_xero_bill(of(received()), world(sydney=sydney(lock_date=lock)))
    assert isinstance(result, Hold) is stops
    if stops:
        problem = held(result)
        assert (problem.reason, problem.waits_on) == (Reason.PERIOD_LOCKED, (XeroList.ORGANISATION,))
        assert problem.message == (
            f"The purchase order is dated 2026-03-02, and Sydney is locked up to and including {lock}."
        )


@pytest.mark.parametrize(
    ("kept", "lock", "stops"),
    [(KEPT, date(2026, 2, 10), True), (KEPT, date(2026, 2, 9), False), (None, date(2026, 2, 10), False)],
)
def test_the_lock_is_compared_with_the_date_that_a_draft_keeps(
    kept: tuple[str, date, date] | None, lock: date, stops: bool
) -> None:
    result = to_xero_bill(of(received(), kept=kept), world(sydney=sydney(lock_date=lock)))
    assert isinstance(result, Hold) is stops


def test_an_approved_bill_does_not_wait_for_a_lock() -> None:
    """Nothing is written to it: what changed since is told for what it is, not as a lock."""
    document = made(of(received(), kept=KEPT, approved=True), world(sydney=sydney(lock_date=date(2026, 3, 31))))
    assert document.date == KEPT[1]


# Supplier


def test_the_supplier_is_found_by_its_vendor_number() -> None:
    other = contact(3, "Another name", "V-77")
    document = made(of(received()), world(sydney=sydney(contacts=[other])))
    assert (document.contact_id, document.company_id) == (other.contact_id, 201)


def test_a_supplier_without_a_vendor_number_is_found_by_its_id() -> None:
    numbered = contact(3, "Another name", "201")
    bare = VENDOR.model_copy(update={"vendor_identifier": "  "})
    document = made(of(received()), world(sydney=sydney(contacts=[numbered, contact(4, "x", "")]), companies=[bare]))
    assert document.contact_id == numbered.contact_id


def test_a_customers_account_number_is_nothing_to_a_supplier() -> None:
    customer = contact(3, "Another name", "ACC-1")
    company = VENDOR.model_copy(update={"account_number": "ACC-1", "vendor_identifier": ""})
    problem = refused(of(received()), world(sydney=sydney(contacts=[customer]), companies=[company]))
    assert problem.reason is Reason.MISSING_CONTACT


def test_a_supplier_is_found_by_its_exact_name_where_no_number_says_otherwise() -> None:
    named = contact(3, "netgear  distribution")
    assert made(of(received()), world(sydney=sydney(contacts=[named]))).contact_id == named.contact_id
    numbered = contact(3, "Netgear Distribution", "V-78")
    assert refused(of(received()), world(sydney=sydney(contacts=[numbered]))).reason is Reason.MISSING_CONTACT


def test_contacts_csv_comes_first_and_its_row_for_suppliers() -> None:
    shop, other = contact(3, "Netgear Shop", "N-1"), contact(4, "Netgear as customer", "N-2")
    rows = {
        "contacts.csv": "organisation,role,company,contact_id,account_number,contact_name\n"
        ",customer,NETGEAR,,N-2,\n,supplier,NETGEAR,,N-1,\n"
    }
    document = made(of(received()), world(rows, sydney=sydney(contacts=[NETGEAR, shop, other])))
    assert (document.contact_id, document.company_id) == (shop.contact_id, 0)
    assert any(row.startswith("contacts.csv row 3") for row in document.rows_used)


def test_the_contact_that_a_supplier_had_before_stays_its_own() -> None:
    before = contact(3, "Netgear, renamed")
    surroundings = replace(world(sydney=sydney(contacts=[before])), known_contacts={(SYDNEY, 201): before.contact_id})
    assert made(of(received()), surroundings).contact_id == before.contact_id


def test_a_supplier_without_a_contact_is_held_with_the_row_to_paste() -> None:
    problem = refused(of(received()), world(sydney=sydney(contacts=[])))
    assert (problem.reason, problem.value) == (Reason.MISSING_CONTACT, "Netgear Distribution")
    assert problem.waits_on == (XeroList.CONTACTS,)
    assert "add to contacts.csv: Sydney,supplier,NETGEAR,,,<the contact's name in Xero>" in problem.fix


def test_a_supplier_without_a_contact_is_created_where_policy_says_so() -> None:
    document = made(of(received()), world(policy='[contacts]\ncreate = "create"\n', sydney=sydney(contacts=[])))
    assert document.contact_id == ""
    assert document.new_contact == NewContact(SYDNEY, "Sydney", 201, "Netgear Distribution", "V-77")


@pytest.mark.parametrize("companies", [(), (VENDOR.model_copy(update={"deleted_flag": True}),)])
def test_a_vendor_that_was_merged_or_deleted_is_held(companies: tuple[Company, ...]) -> None:
    problem = refused(of(received()), world(companies=companies))
    assert (problem.reason, problem.value) == (Reason.COMPANY_MERGED, "Netgear Distribution")
    assert problem.message.startswith("The supplier of PO7 is Netgear Distribution, which ConnectWise does not have")


def test_an_order_without_a_vendor_is_held() -> None:
    problem = refused(of(received(vendorCompany={})))
    assert (problem.reason, problem.value) == (Reason.UNREADABLE_RECORD, "vendorCompany")
    assert problem.message == "PO7 has no vendor in ConnectWise."


def test_goods_that_go_straight_to_a_customer_are_billed_by_the_vendor_and_routed_by_the_customer() -> None:
    customer = {"id": 101, "identifier": "ACME", "name": "Acme Pty Ltd"}
    source = of(received(dropShipCustomerFlag=True, customerCompany=customer, location={"id": 99, "name": "Away"}))
    rows = {"organisations.csv": "location,department,company,staff,tag,organisation\n,,ACME,,,Sydney\n"}
    assert made(source, world(rows)).contact_name == "Netgear Distribution"
    assert refused(source).reason is Reason.MISSING_ORGANISATION


# Organisation


@pytest.mark.parametrize(
    ("row", "fields", "fits"),
    [
        ("Sydney,,,,,Sydney", {}, True),
        ("11,,,,,Sydney", {"location": None, "locationId": 11}, True),
        (",Sales,,,,Sydney", {"businessUnit": {"id": 21, "identifier": "SALES", "name": "Sales"}}, True),
        (",21,,,,Sydney", {"businessUnitId": 21}, True),
        (",,,amoss,,Sydney", {"enteredBy": "AMoss"}, True),
        (",,,amoss,,Sydney", {"enteredBy": "  "}, False),
        (",,NETGEAR,,,Sydney", {}, False),
        (",,,,east,Sydney", {"customFields": [{"id": 1, "caption": "Books", "value": "East"}]}, True),
    ],
)
def test_an_order_is_routed_by_what_its_header_says(row: str, fields: dict[str, Any], fits: bool) -> None:
    """The company is the customer's: a vendor sells to every organisation."""
    rows = {"organisations.csv": f"location,department,company,staff,tag,organisation\n{row}\n"}
    result = to_xero_bill(of(received(**fields)), world(rows, policy='[routing]\ntag_field = "Books"\n'))
    assert isinstance(result, Document) is fits
    if not fits:
        assert held(result).reason is Reason.MISSING_ORGANISATION


def test_an_organisation_that_is_not_connected_is_held() -> None:
    rows = {"organisations.csv": "location,department,company,staff,tag,organisation\nSydney,,,,,Perth\n"}
    assert "which is not connected (connected: Sydney)" in refused(of(received()), world(rows)).message


def test_a_name_that_means_several_records_holds_the_order() -> None:
    twice = organisation_of(of(received()), tables(BUYING), Related(), {("location", "sydney"): (11, 12)})
    assert held(twice).reason is Reason.AMBIGUOUS_MAPPING


# Accounts


MICROSOFT = CatalogItem(
    id=301, subcategory=Reference(id=41, name="Microsoft 365"), category=Reference(id=40, name="Cloud")
)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",purchases,product,Cloud,,310,", "310"),
        (",purchases,product,Microsoft 365,,310,", "310"),
        (",purchases,product,,ITEM-1,310,", "310"),
        ("Sydney,purchases,product,,,310,", "310"),
        (",purchases,product,,ITEM-2,310,", "300"),
        (",sales,product,Cloud,,310,", "300"),
    ],
)
def test_the_account_of_a_line_is_that_of_its_category_or_item(row: str, code: str) -> None:
    document = made(of(received()), world(more("accounts.csv", row), catalog_items=[MICROSOFT]))
    assert [each.account_code for each in goods(document)] == [code]


def test_an_item_of_xero_stands_on_the_line_that_buys_it() -> None:
    buys = item("SW", PurchaseDetails={"AccountCode": "310", "TaxType": "INPUT"})
    row = more("accounts.csv", ",purchases,product,,ITEM-1,,SW")
    (bought,) = goods(made(of(received()), world(row, sydney=sydney(items=[buys]))))
    assert (bought.item_code, bought.account_code) == ("SW", "310")
    sold = item("SW", IsPurchased=False)
    assert refused(of(received()), world(row, sydney=sydney(items=[sold]))).reason is Reason.MISSING_ITEM


def test_a_line_without_an_account_is_held_with_the_row_to_paste() -> None:
    problem = refused(of(received()), world(NO_ACCOUNT))
    assert problem.reason is Reason.MISSING_ACCOUNT
    assert "Add to accounts.csv: Sydney,purchases,product,,ITEM-1,<account_code>" in problem.fix


def test_a_category_that_connectwise_does_not_show_holds_the_line() -> None:
    rows = more("accounts.csv", ",purchases,product,Cloud,,310,")
    problem = refused(of(received()), world(rows, gone=[("catalog_items", 301)]))
    assert (problem.reason, problem.value) == (Reason.MISSING_ACCOUNT, "catalogue item ITEM-1")


# Tax


def test_a_part_receipt_carries_its_share_of_the_lines_tax() -> None:
    """The tax is of all that was ordered, however much came."""
    source = received(line(1, "3", 1, "33.33"), line(2, "10", 4, "2.5", receivedStatus="PartiallyReceiveCloneRest"))
    document = made(of(source))
    assert [each.tax for each in goods(document)] == [Decimal("3.33"), Decimal("1.00")]
    assert not any(each.tax_amount for each in document.lines)


@given(
    st.integers(1, 60),
    st.decimals(Decimal("0.01"), Decimal(900), places=4, allow_nan=False),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_parts_together_are_the_whole_within_a_cent_each(ordered: int, cost: Decimal, parts: list[int]) -> None:
    """Of subtotal and of tax, however often a line is received."""
    source = received(line(quantity=ordered, cost=cost, received=ordered))
    cut: list[int] = []
    for part in [*parts, ordered]:
        cut.append(min(part, ordered - sum(cut)))
    bills_ = [made(bill(source, {"line:1": part}, n=n)) for n, part in enumerate(filter(None, cut), start=1)]
    whole = source.lines[0]
    assert abs(sum(each.subtotal for each in bills_) - ordered * cost) <= Decimal("0.005") * len(bills_)
    assert abs(sum(each.tax for each in bills_) - whole.tax) <= Decimal("0.01") * (len(bills_) + 1)


def test_more_than_ordered_carries_more_than_the_lines_tax() -> None:
    assert made(of(received(line(received=12)))).tax == 120


@pytest.mark.parametrize(("ordered", "came", "cost"), [("1", 10, "0.05"), ("3", 40, "0.05"), ("1", 1000, "0.15")])
def test_what_was_rounded_off_the_tax_of_a_few_does_not_hold_a_bill_of_many(ordered: str, came: int, cost: str) -> None:
    """The tax of one at 0.05 is 0.01 in ConnectWise; of ten it is 0.05 and not 0.10."""
    document = made(of(received(line(quantity=ordered, received=came, cost=cost))))
    (only,) = goods(document)
    assert only.tax == cents(came * Decimal(cost) / 10) and only.tax_amount is None


def test_a_wrong_rate_is_seen_however_much_more_came() -> None:
    """Ten times 1.00 at 15 % instead of 10 %: rounding explains five cents of it, not fifty."""
    problem = refused(of(received(line(quantity="1", received=10, cost="1", tax=Decimal("0.15")))))
    assert (problem.reason, problem.value) == (Reason.TAX_DIFFERS, "1.50")


def test_a_line_without_tax_is_bought_free_of_tax() -> None:
    document = made(of(received(line(received=10), line(2, received=10, tax=Decimal(0)))))
    assert [(each.tax_type, each.tax) for each in goods(document)] == [
        ("INPUT", Decimal(100)),
        ("EXEMPTEXPENSES", Decimal(0)),
    ]


def test_an_order_that_is_not_taxed_at_all_is_bought_free_of_tax() -> None:
    document = made(of(received(line(received=10, tax=None), taxPoFlag=False)))
    assert [each.tax_type for each in goods(document)] == ["EXEMPTEXPENSES"]


@pytest.mark.parametrize(
    ("fields", "tax_type", "tax"),
    [
        ({"product": {"id": 301, "identifier": "ITEM-1"}}, "INPUT", 20),
        ({"product": {"id": 301, "identifier": "ITEM-1"}, "unitCost": Decimal(50)}, "EXEMPTEXPENSES", 0),
        ({"product": {"id": 309, "identifier": "ITEM-9"}}, "EXEMPTEXPENSES", 0),
        ({"product": None}, "EXEMPTEXPENSES", 0),
    ],
)
def test_what_came_on_top_on_a_line_of_nothing_is_taxed_as_the_same_product(
    fields: dict[str, Any], tax_type: str, tax: int
) -> None:
    """A line of quantity 0 has no tax of its own, however it is taxed."""
    document = made(of(received(line(received=10), line(2, 0, 2, **fields)), quantities={"line:2": 2}))
    assert [(each.tax_type, each.tax) for each in goods(document)] == [(tax_type, Decimal(tax))]


def test_tax_that_is_off_by_a_cent_is_placed_on_the_largest_line() -> None:
    source = received(line(received=10, tax=Decimal("100.01")), line(2, "1", 1))
    assert [each.tax_amount for each in goods(made(of(source)))] == [Decimal("100.01"), None]


def test_tax_that_is_off_by_more_is_held_with_both_figures() -> None:
    problem = refused(of(received(line(received=5, tax=Decimal(150)))))
    assert (problem.reason, problem.value) == (Reason.TAX_DIFFERS, "75.00")
    assert problem.message == "ConnectWise says 75.00 tax; INPUT in Sydney would make it 50.00."


def test_the_tax_code_of_the_order_chooses_the_rate() -> None:
    rows = more("taxes.csv", ",purchases,GST,yes,CAPEXINPUT")
    rates = [tax_rate("INPUT", "10"), tax_rate("EXEMPTEXPENSES", "0"), tax_rate("CAPEXINPUT", "10")]
    (bought,) = goods(made(of(received()), world(rows, sydney=sydney(tax_rates=rates))))
    assert bought.tax_type == "CAPEXINPUT"


# Freight


def shipped(*lines: Mapping[str, Any], tax: str = "2.50", **fields: Any) -> SourceBill:
    header = {"freightCost": Decimal(25), "freightTaxTotal": Decimal(tax)} | fields
    return bill(received(*lines, **header), {"line:1": 10, FREIGHT: 1})


def test_freight_is_a_line_of_its_own_with_its_own_account_and_tax() -> None:
    document = made(shipped(freightPackingSlip="F-1"))
    freight = goods(document)[1]
    assert (freight.key, freight.description) == (FREIGHT, "Freight, packing slip F-1")
    assert (freight.account_code, freight.tax_type) == ("425", "INPUT")
    assert [freight.quantity, freight.unit_amount, freight.tax] == [1, 25, Decimal("2.5")]
    assert [document.subtotal, document.tax] == [1025, Decimal("102.50")]


def test_freight_without_tax_is_bought_free_of_tax() -> None:
    freight = goods(made(shipped(tax="0")))[1]
    assert (freight.description, freight.tax_type, freight.tax) == ("Freight", "EXEMPTEXPENSES", Decimal(0))


def test_a_bill_of_freight_alone_needs_a_date_of_the_header() -> None:
    alone = bill(received(freightCost=Decimal(25), dateClosed="2026-03-12T00:00:00Z"), {FREIGHT: 1}, receipt="freight")
    document = made(alone)
    assert (document.number, document.date, document.subtotal) == ("PO7 / freight", date(2026, 3, 12), Decimal(25))
    assert [each.key for each in goods(document)] == [FREIGHT]


# Currency


def abroad(source: str = "rates_table", **changes: Any) -> Surroundings:
    rates = "currency,base,date,rate\nNZD,AUD,2026-02-05,1.08\nNZD,AUD,2026-03-01,1.09\nNZD,AUD,2026-03-15,1.1\n"
    given_: dict[str, Any] = {
        "policy": f'[currency]\nsource = "{source}"\n',
        "sydney": sydney(currencies=("AUD", "NZD")),
    }
    return world({"rates.csv": rates}, **given_ | changes)


def test_a_foreign_bill_has_the_rate_of_its_date_and_says_where_from() -> None:
    document = made(of(received(currency={"id": 2, "currencyCode": "NZD"})), abroad())
    assert (document.currency, document.currency_rate) == ("NZD", Decimal("1.09"))
    assert document.body()["CurrencyRate"] == Decimal("1.09")
    assert document.rows_used[-1] == "rate 1.09: rates.csv row 3 of 2026-03-01"
    later = received(currency={"currencyCode": "NZD"}, vendorInvoiceDate="2026-03-20T00:00:00Z")
    assert made(of(later), abroad()).currency_rate == Decimal("1.1")


@pytest.mark.parametrize(
    ("order_says", "vendor_says", "rate"), [("1.2", "1.3", "1.2"), (None, "1.3", "1.3"), (None, None, "")]
)
def test_a_rate_of_a_custom_field_is_the_orders_or_the_vendors(
    order_says: str | None, vendor_says: str | None, rate: str
) -> None:
    def field_(value: str | None) -> list[dict[str, Any]]:
        return [{"id": 1, "caption": "Exchange Rate", "value": value}]

    vendor = Company.model_validate(VENDOR.model_dump(by_alias=True) | {"customFields": field_(vendor_says)})
    source = of(received(currency={"currencyCode": "NZD"}, customFields=field_(order_says)))
    result = to_xero_bill(source, abroad("custom_field", companies=[vendor]))
    if rate:
        assert mapped(result).currency_rate == Decimal(rate)
    else:
        assert held(result).reason is Reason.MISSING_RATE
        assert "is empty (purchase order and vendor)" in held(result).message


def test_a_foreign_bill_without_a_rate_or_a_currency_switched_on_is_held() -> None:
    source = of(received(currency={"currencyCode": "NZD"}))
    assert refused(source, abroad("none")).reason is Reason.MISSING_RATE
    assert refused(source, abroad(sydney=sydney())).reason is Reason.CURRENCY_NOT_ENABLED


# Quantities and costs


def test_decimals_that_connectwise_lost_stand_on_the_bill() -> None:
    source = received(line(quantity="2.5", received=2, receivedStatus="FullyReceived"))
    (bought,) = goods(made(bill(source, {"line:1": "2.5"})))
    assert [bought.quantity, bought.amount, bought.tax] == [Decimal("2.5"), 250, 25]


@pytest.mark.parametrize(
    ("quantity", "cost", "sent", "text"),
    [
        ("3", "33.3333", ("3", "33.3333"), "Item 1"),
        # At four places it is the same to the cent.
        ("3", "33.33333", ("3", "33.3333"), "Item 1"),
        ("1000", "0.12345", ("1", "123.45"), "Item 1 (1000 x 0.12345)"),
    ],
)
def test_a_cost_with_many_decimals_makes_the_same_money(
    quantity: str, cost: str, sent: tuple[str, str], text: str
) -> None:
    document = made(of(received(line(quantity=quantity, received=quantity, cost=cost))))
    (bought,) = goods(document)
    assert (str(bought.quantity), str(bought.unit_amount), bought.description) == (*sent, text)
    assert document.subtotal == cents(Decimal(quantity) * Decimal(cost))


def test_what_costs_nothing_is_told_with_how_many_there_were() -> None:
    """So that more of it is a change."""
    document = made(of(received(line(received=10), line(2, received=2, cost="0"))))
    free = goods(document)[1]
    assert (free.description, free.quantity) == ("Item 2 (2 at no cost)", None)


def test_a_bill_over_nothing_is_a_draft_whatever_policy_says() -> None:
    """Approved, it would count as paid at once."""
    free = of(received(line(received=10, cost="0")), status="authorised")
    assert (made(free).status, made(free).total) == ("DRAFT", Decimal(0))


# Tracking


TRACKED = "organisation,side,source,value,tracking_category,option\n"


def in_parts(*rows: str) -> dict[str, Any]:
    own = sydney(tracking=[category("Region", "East", "West"), category("Team", "Projects")])
    return {"changes": {"tracking.csv": TRACKED + "".join(f"{row}\n" for row in rows)}, "sydney": own}


@pytest.mark.parametrize(
    ("row", "fields", "options"),
    [
        (",purchases,location,Sydney,Region,East", {}, [("Region", "East")]),
        (",purchases,location,Parramatta,Region,West", {"location": None, "locationId": 14}, [("Region", "West")]),
        (",purchases,department,Projects,Team,Projects", {"businessUnitId": 22}, [("Team", "Projects")]),
        (
            ",purchases,department,PROJ,Team,Projects",
            {"businessUnit": {"id": 22, "identifier": "PROJ"}},
            [("Team", "Projects")],
        ),
        (",purchases,category,Cloud,Region,West", {}, [("Region", "West")]),
        (",purchases,category,Microsoft 365,Region,West", {}, [("Region", "West")]),
        (",sales,location,Sydney,Region,East", {}, []),
    ],
)
def test_lines_are_tracked_by_department_location_and_category(
    row: str, fields: dict[str, Any], options: list[tuple[str, str]]
) -> None:
    parts = in_parts(row)
    surroundings = world(
        parts["changes"] | {"organisations.csv": "location,department,company,staff,tag,organisation\n,,,,,Sydney\n"},
        sydney=parts["sydney"],
        catalog_items=[MICROSOFT],
        locations=[Location(id=14, name="Parramatta")],
        departments=[Department(id=22, identifier="PROJ", name="Projects")],
        policy='[tracking]\nunmapped = "leave_out"\n',
    )
    source = of(received(**fields))
    assert [list(each.tracking) for each in goods(made(source, surroundings))] == [options]


def test_a_value_without_a_row_is_held_by_default() -> None:
    problem = refused(of(received()), world(**in_parts(",purchases,location,Perth,Region,West")))
    assert (problem.reason, problem.value) == (Reason.MISSING_TRACKING, "location/Sydney")


# Gaps that a bookkeeper fills


LEAVES = '[purchases]\ndraft_gaps = "leave"\n'


def test_what_has_no_row_stays_blank_on_a_draft_where_policy_leaves_it() -> None:
    """And the tax foreseen is that of the account, whatever ConnectWise says."""
    parts = in_parts(",purchases,location,Perth,Region,West")
    surroundings = world(NO_TAX | parts["changes"], policy=LEAVES, sydney=parts["sydney"])
    document = made(of(received(line(received=10, tax=Decimal(80)))), surroundings)
    (bought,) = goods(document)
    assert (bought.tax_type, bought.tax, bought.tax_amount, bought.tracking) == ("", Decimal(100), None, ())
    assert "TaxType" not in document.body()["LineItems"][1]


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ("", ""),
        (LEAVES, "submitted"),
        (LEAVES, "authorised"),
        (LEAVES + 'bill_status = "authorised"\n', ""),
    ],
)
def test_what_has_no_row_is_held_where_it_is_no_draft_or_policy_does_not_leave_it(policy: str, status: str) -> None:
    assert refused(of(received(), status=status), world(NO_TAX, policy=policy)).reason is Reason.MISSING_TAX


def test_an_account_is_never_left_to_the_bookkeeper() -> None:
    assert refused(of(received()), world(NO_ACCOUNT | NO_TAX, policy=LEAVES)).reason is Reason.MISSING_ACCOUNT


# Status


@pytest.mark.parametrize(
    ("row", "policy", "status"),
    [
        ("", "", "DRAFT"),
        ("", "submitted", "SUBMITTED"),
        ("", "authorised", "AUTHORISED"),
        ("draft", "authorised", "DRAFT"),
        ("authorised", "draft", "AUTHORISED"),
    ],
)
def test_the_lifecycle_says_the_status_and_policy_where_it_is_silent(row: str, policy: str, status: str) -> None:
    text = f'[purchases]\nbill_status = "{policy}"\n' if policy else ""
    assert made(of(received(), status=row), world(policy=text)).status == status


# What stops it


def test_a_bill_from_which_everything_was_taken_back_is_for_a_person() -> None:
    problem = refused(bill(received(line()), {}, receipt="S1"))
    assert (problem.reason, problem.value) == (Reason.RECEIPT_REVERSED, "PO7 / S1")
    kept = refused(bill(received(line()), {}, kept=KEPT, approved=True))
    assert kept.message == "Everything on the approved bill PO7 / S1 of PO7 was taken back in ConnectWise."


def test_a_draft_on_which_only_the_freight_is_left_is_for_a_person() -> None:
    """Once all goods went back; while some are there, freight may well stand alone."""
    back = received(line(), freightCost=Decimal(25), dateClosed="2026-03-12T00:00:00Z")
    assert refused(bill(back, {FREIGHT: 1})).reason is Reason.RECEIPT_REVERSED
    assert made(bill(back, {FREIGHT: 1}, approved=True, kept=KEPT)).subtotal == 25
    assert made(bill(received(freightCost=Decimal(25), dateClosed="2026-03-12T00:00:00Z"), {FREIGHT: 1})).subtotal == 25


def test_a_bookkeeper_sees_every_problem_at_once() -> None:
    source = of(received(line(received=10, dateReceived=None), poNumber="", currency={"currencyCode": "NZD"}))
    problem = refused(source, world(NO_TAX | NO_ACCOUNT, sydney=sydney(contacts=[])))
    assert [each.reason for each in problem.problems] == [
        Reason.UNREADABLE_RECORD,
        Reason.UNREADABLE_RECORD,
        Reason.CURRENCY_NOT_ENABLED,
        Reason.MISSING_CONTACT,
        Reason.MISSING_ACCOUNT,
        Reason.MISSING_TAX,
    ]


# What it asks of ConnectWise


def test_only_what_the_tables_ask_for_is_read() -> None:
    source = of(received(line(), line(2), businessUnitId=22, location=None, locationId=14))
    plain = for_mapping([source], tables(BUYING))
    assert (plain.companies, plain.catalog_items, plain.locations, plain.departments) == ({201}, set(), set(), set())
    categories = for_mapping([source], tables(more("accounts.csv", ",purchases,product,Cloud,,310,")))
    assert categories.catalog_items == {301, 302}
    tracked = {"tracking.csv": TRACKED + ",purchases,location,x,Region,East\n,purchases,department,y,Team,Projects\n"}
    found = for_mapping([source], tables(BUYING | tracked))
    assert (found.locations, found.departments, found.catalog_items) == ({14}, {22}, set())


def test_the_suppliers_of_bills_and_the_names_they_use_are_told() -> None:
    customer = {"id": 101, "identifier": "ACME", "name": "Acme Pty Ltd"}
    sources = [of(received(customerCompany=customer)), of(received(vendorCompany={}))]
    assert suppliers(sources) == {201}
    assert {kind: sorted(known) for kind, known in names_of(sources).items()} == {
        "location": [11],
        "company": [101, 201],
        "tax_code": [5],
    }
