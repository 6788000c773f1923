"""What Xero holds and what it is told: lists as they come, documents that survive being stored digit for digit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import read_json
from mappings.invoices import to_xero_invoice
from mappings.kinds import KINDS
from mappings.posted import Posted
from mappings.xero import (
    Account,
    Contact,
    Document,
    Found,
    Item,
    Line,
    NewContact,
    Organisation,
    TaxRate,
    TrackingCategory,
    fold,
    parse_date,
    predicted_tax,
    write_json,
)
from tests.mappings.samples import account, expense, found, invoice, mapped, product, surroundings, tax_rate, time

DOCUMENT = mapped(to_xero_invoice(invoice([time()], [product()], [expense()]), surroundings()))

NUMBERS = st.decimals(-(10**10), 10**10, allow_nan=False, allow_infinity=False, places=4)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINES = st.builds(
    Line,
    key=TEXTS,
    description=TEXTS,
    quantity=st.none() | NUMBERS,
    unit_amount=st.none() | NUMBERS,
    amount=NUMBERS,
    account_code=TEXTS,
    item_code=TEXTS,
    tax_type=TEXTS,
    tax=NUMBERS,
    tax_amount=st.none() | NUMBERS,
    tracking=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
)
DOCUMENTS = st.builds(
    Document,
    family=st.sampled_from(sorted(KINDS)),
    connectwise_id=st.integers(1, 2**31),
    reference=TEXTS,
    organisation=TEXTS,
    tenant_id=TEXTS,
    type=TEXTS,
    number=TEXTS,
    contact_id=TEXTS,
    contact_name=TEXTS,
    date=st.dates(),
    due_date=st.dates(),
    currency=TEXTS,
    currency_rate=st.none() | NUMBERS,
    document_reference=TEXTS,
    url=TEXTS,
    status=TEXTS,
    lines=st.lists(LINES, max_size=4).map(tuple),
    rows_used=st.lists(TEXTS, max_size=3).map(tuple),
)


# Documents


@given(DOCUMENTS)
def test_a_document_survives_being_stored_as_text(document: Document) -> None:
    """What was sent can be read back as it was: every digit, every zero at the end, every character."""
    again = Document.from_text(document.to_text())
    assert again == document
    assert again.to_text() == document.to_text()
    assert write_json(again.body()) == write_json(document.body())


def test_stored_numbers_are_exact() -> None:
    """12.50 stays 12.50, and 1 stays 1."""
    line = Line("time:1", "Work", Decimal(1), Decimal("12.50"), Decimal("12.50"), tax=Decimal("1.250"))
    document = replace(DOCUMENT, lines=(line,), currency_rate=Decimal("0.652200"))
    assert '["time:1","Work",1,12.50,12.50,"","","",1.250,null,[]]' in document.to_text()
    assert '"currency_rate":0.652200' in document.to_text()


def test_the_body_is_written_digit_for_digit() -> None:
    """The exact bytes are stored and sent: numbers as they are, text as it is."""
    assert (
        write_json({"a": Decimal("1.10"), "b": Decimal("33.3333"), "c": "Zoë — 客"})
        == '{"a":1.10,"b":33.3333,"c":"Zoë — 客"}'
    )
    assert read_json(write_json(DOCUMENT.body())) == DOCUMENT.body()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(), max_size=8)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Anything that JSON can say, halves of surrogate pairs and numbers of any length, too."""


@given(JSON)
def test_json_is_the_same_whoever_writes_it(value: Any) -> None:
    """Fingerprints are of this text: with another writer every posted document would look like an edit."""
    assert write_json(value) == simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("value", [date(2026, 3, 2), Line("time:1", "Work"), {1, 2}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """A date or a record of ours that slipped in is a defect, not a text."""
    with pytest.raises(TypeError):
        write_json({"a": value})


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_number_that_json_cannot_say_is_refused(number: str) -> None:
    """Xero could not read it."""
    with pytest.raises(ValueError):
        write_json([Decimal(number)])


def test_a_contact_that_is_yet_to_be_made_is_no_part_of_what_is_stored() -> None:
    """By the time the document is written the contact has its id."""
    new = NewContact("t", "Sydney", 101, "Acme", "ACME01")
    document = replace(DOCUMENT, new_contact=new, company_id=101)
    assert Document.from_text(document.to_text()) == replace(document, new_contact=None)
    assert (new.family, new.reference, new.number, new.part, new.url) == ("contacts", "Acme", "ACME01", "t", "")


def test_a_document_that_was_stored_before_companies_were_learnt_is_read_without_one() -> None:
    """A request that was stored by an older version is settled by this one."""
    text = replace(DOCUMENT, company_id=101).to_text()
    assert text.count(',"company_id":101') == 1
    again = Document.from_text(text.replace(',"company_id":101', ""))
    assert (again.company_id, again.part) == (0, "")


def test_totals_are_the_sums_of_the_lines() -> None:
    """Each line to the cent, then summed, as Xero does."""
    assert DOCUMENT.subtotal == sum(line.amount for line in DOCUMENT.lines) == Decimal("416.60")
    assert DOCUMENT.tax == sum(line.tax for line in DOCUMENT.lines) == Decimal("41.66")
    assert DOCUMENT.total == Decimal("458.26")


def test_a_description_alone_has_neither_amount_nor_account() -> None:
    """It is a comment on the document."""
    assert Line("time:1", "Covered by the agreement").body() == {"Description": "Covered by the agreement"}


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"item_code": "DOCK"}, {"ItemCode": "DOCK"}),
        ({"tax_amount": Decimal("1.01")}, {"TaxAmount": Decimal("1.01")}),
        ({"tax_amount": Decimal("0.00")}, {"TaxAmount": Decimal("0.00")}),
        (
            {"tracking": (("Region", "North"), ("Team", "Desk"))},
            {"Tracking": [{"Name": "Region", "Option": "North"}, {"Name": "Team", "Option": "Desk"}]},
        ),
        ({}, {}),
    ],
)
def test_a_line_sends_what_it_has(changes: dict[str, Any], sent: dict[str, Any]) -> None:
    """Item code, tax amount and tracking only where there is one; LineAmount never, Xero computes it."""
    body = replace(DOCUMENT.lines[0], **changes).body()
    assert {name: body[name] for name in ("ItemCode", "TaxAmount", "Tracking", "LineAmount") if name in body} == sent


def test_a_rate_is_sent_only_where_one_is_known() -> None:
    """Units of the document's currency per 1 of the base."""
    assert "CurrencyRate" not in DOCUMENT.body()
    assert replace(DOCUMENT, currency_rate=Decimal("1.0875")).body()["CurrencyRate"] == Decimal("1.0875")


OWN = {
    "status", "connectwise_id", "reference", "organisation", "tenant_id", "contact_name", "rows_used",
    "company_id", "new_contact", "receipt", "billed", "source", "orders", "late",
}  # fmt: skip
CHANGED: dict[str, Any] = {
    "family": "credit_notes",
    "type": "ACCPAY",
    "number": "x",
    "contact_id": "x",
    "date": date(2026, 1, 1),
    "due_date": date(2026, 12, 1),
    "currency": "NZD",
    "currency_rate": Decimal("1.1"),
    "document_reference": "x",
    "url": "https://x.example",
    "lines": DOCUMENT.lines[:1],
}


def test_the_fingerprint_is_of_what_xero_holds() -> None:
    """Status, bookkeeping of ours and the contact's name are no part of it; everything else is."""
    assert {field.name for field in fields(Document)} == OWN | set(CHANGED)
    for name in OWN:
        value: Any = 7 if name == "connectwise_id" else "other"
        other = replace(DOCUMENT, **{name: value})
        assert other.fingerprint == DOCUMENT.fingerprint, name
    for name, value in CHANGED.items():
        assert replace(DOCUMENT, **{name: value}).fingerprint != DOCUMENT.fingerprint, name


@pytest.mark.parametrize(
    "name",
    ["description", "quantity", "unit_amount", "account_code", "item_code", "tax_type", "tax_amount", "tracking"],
)
def test_the_fingerprint_sees_every_field_of_a_line(name: str) -> None:
    """A changed line is a changed document."""
    line = DOCUMENT.lines[0]
    value: Any = Decimal(7) if name in ("quantity", "unit_amount", "tax_amount") else "other"
    value = (("Region", "North"),) if name == "tracking" else value
    changed = replace(DOCUMENT, lines=(replace(line, **{name: value}), *DOCUMENT.lines[1:]))
    assert changed.fingerprint != DOCUMENT.fingerprint


def test_the_fingerprint_is_of_this_very_text() -> None:
    """It is stored by one version and compared by the next: another text would look like an edit of every document."""
    document = replace(DOCUMENT, lines=(*DOCUMENT.lines[:1], Line("time:2", "Covered")), url="https://cw.example/1")
    assert document.content == (
        '{"Type":"ACCREC","InvoiceNumber":"40001","Contact":{"ContactID":"aaaaaaaa-0000-4000-8000-000000000001"},'
        '"Date":"2026-03-02","DueDate":"2026-03-16","LineAmountTypes":"Exclusive","CurrencyCode":"AUD",'
        '"Reference":"PO-77","Url":"https://cw.example/1","LineItems":[{"Description":"Work","Quantity":2,'
        '"UnitAmount":150,"AccountCode":"200","TaxType":"OUTPUT"},{"Description":"Covered"}]}'
    )
    assert document.fingerprint == hashlib.blake2b(document.content.encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("amount", "rate", "tax"),
    [
        ("240.00", "10", "24.00"),
        ("0.05", "10", "0.01"),
        ("0.04", "10", "0.00"),
        ("-0.05", "10", "-0.01"),
        ("99.99", "8.875", "8.87"),
        ("100", "0", "0.00"),
        ("9999999999.99", "15", "1500000000.00"),
    ],
)
def test_tax_of_a_line_is_predicted_to_the_cent(amount: str, rate: str, tax: str) -> None:
    """Amount times rate per cent, halves away from zero."""
    assert str(predicted_tax(Decimal(amount), Decimal(rate))) == tax


# Dates and texts


@pytest.mark.parametrize(
    ("given_", "day"),
    [
        ("/Date(1789344000000+0000)/", date(2026, 9, 14)),
        ("/Date(1789344000000+1300)/", date(2026, 9, 14)),
        ("/Date(1789344000000)/", date(2026, 9, 14)),
        ("/Date(-86400000)/", date(1969, 12, 31)),
        ("/Date(0+0000)/", date(1970, 1, 1)),
        ("2026-09-14T00:00:00", date(2026, 9, 14)),
        ("2026-09-14", date(2026, 9, 14)),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_xeros_dates_are_calendar_dates(given_: object, day: date | None) -> None:
    """Midnight UTC of that day, whatever offset is written behind it."""
    assert parse_date(given_) == day


def test_texts_are_folded_as_people_read_them() -> None:
    """Case and runs of blanks do not count; everything else does."""
    assert fold(" ACME  Pty\u00a0Ltd ") == fold("acme pty ltd")
    assert fold("Straße") == fold("STRASSE")
    assert fold("PO7") != fold("PO77")


# Lists


@pytest.mark.parametrize(
    ("fields_", "refusal"),
    [
        ({}, ""),
        ({"Status": "ARCHIVED"}, "is archived"),
        ({"Type": "BANK"}, "is a bank account"),
        ({"SystemAccount": "DEBTORS"}, "is a system account"),
        ({"SystemAccount": "CREDITORS"}, "is a system account"),
        ({"SystemAccount": "ROUNDING"}, ""),
    ],
)
def test_an_account_says_why_no_line_may_use_it(fields_: dict[str, str], refusal: str) -> None:
    """Archived, bank, receivables and payables."""
    assert account("200", **fields_).refusal == refusal


def test_lists_are_read_as_xero_gives_them() -> None:
    """Each field where it belongs."""
    everything = {"Code": "200", "Name": "Sales", "Type": "REVENUE", "Status": "ARCHIVED", "TaxType": "OUTPUT"}
    assert Account.parse({**everything, "SystemAccount": "GST", "Class": "REVENUE"}) == Account(
        "200", "Sales", "REVENUE", "ARCHIVED", "OUTPUT", "GST", "REVENUE"
    )
    assert Contact.parse({"ContactID": "x", "Name": "Acme", "AccountNumber": "A1", "ContactStatus": "ARCHIVED"}) == (
        Contact("x", "Acme", "A1", "ARCHIVED")
    )
    rate = TaxRate.parse({"TaxType": "OUTPUT", "Name": "GST", "EffectiveRate": Decimal("10.5"), "Status": "DELETED"})
    assert (rate.tax_type, rate.name, rate.rate, rate.status) == ("OUTPUT", "GST", Decimal("10.5"), "DELETED")
    assert "Revenue" not in tax_rate("INPUT", "10", CanApplyToRevenue=False).applies_to
    organisation = Organisation.parse({"Name": "Sydney", "BaseCurrency": "AUD", "ShortCode": "!syd"})
    assert organisation == Organisation("Sydney", "AUD", "!syd")


@pytest.mark.parametrize("value", [{}, None])
def test_what_xero_leaves_out_is_blank_active_and_allowed(value: object) -> None:
    """A bank account may lack a code, a contact its account number; null means the same as nothing."""
    names = (
        "Code Name Type Status TaxType SystemAccount Class ContactID AccountNumber ContactStatus EffectiveRate "
        "BaseCurrency ShortCode PeriodLockDate"
    )
    given_: dict[str, Any] = {} if value == {} else dict.fromkeys(names.split())
    assert Account.parse(given_) == Account("", "", "", "ACTIVE", "", "", "")
    assert Contact.parse(given_) == Contact("", "", "", "ACTIVE")
    assert Organisation.parse(given_) == Organisation("", "", "", None)
    every = frozenset({"Assets", "Equity", "Expenses", "Liabilities", "Revenue"})
    assert TaxRate.parse(given_) == TaxRate("", "", Decimal(0), "ACTIVE", every)


ITEM = {"Code": "DOCK", "Name": "Dock", "IsSold": True, "IsPurchased": False}
SALE, PURCHASE = {"AccountCode": "200", "UnitPrice": 5}, {"AccountCode": "300", "COGSAccountCode": "310"}


@pytest.mark.parametrize(
    ("fields_", "item"),
    [
        (ITEM, Item("DOCK", "Dock", sold=True, purchased=False)),
        (ITEM | {"IsSold": False, "IsPurchased": True}, Item("DOCK", "Dock", sold=False, purchased=True)),
        (ITEM | {"SalesDetails": SALE}, Item("DOCK", "Dock", True, False, "200", "")),
        (ITEM | {"PurchaseDetails": PURCHASE}, Item("DOCK", "Dock", True, False, "", "300")),
        (
            ITEM | {"SalesDetails": SALE, "PurchaseDetails": PURCHASE, "InventoryAssetAccountCode": "630"},
            Item("DOCK", "Dock", True, False, "200", "630"),
        ),
        (ITEM | {"SalesDetails": None, "PurchaseDetails": {"AccountCode": None}}, Item("DOCK", "Dock", True, False)),
        ({"Code": "DOCK"}, Item("DOCK", "", sold=True, purchased=True)),
        ({"Code": None, "Name": None}, Item("", "", sold=True, purchased=True)),
    ],
)
def test_an_item_says_where_it_may_stand_and_on_which_accounts(fields_: dict[str, Any], item: Item) -> None:
    """Sold and bought unless told otherwise; what a tracked item costs goes to its inventory account."""
    assert Item.parse(fields_) == item


def test_a_tracking_category_is_read_with_all_its_options() -> None:
    """Archived ones too, each in Xero's spelling; what is left out is active and without options."""
    options = [{"Name": "North  East", "Status": "ACTIVE"}, {"Name": "West", "Status": "ARCHIVED"}, {"Name": "South"}]
    given_ = {"Name": "Region", "Status": "ARCHIVED", "Options": [*options, {"Name": None, "Status": None}]}
    assert TrackingCategory.parse(given_) == TrackingCategory(
        "Region",
        "ARCHIVED",
        {
            "north east": ("North  East", "ACTIVE"), "west": ("West", "ARCHIVED"), "south": ("South", "ACTIVE"),
            "": ("", "ACTIVE"),
        },
    )  # fmt: skip
    for nothing in ({}, {"Name": None, "Status": None, "Options": None}):
        assert TrackingCategory.parse(nothing) == TrackingCategory("", "ACTIVE", {})


def test_a_line_that_was_stored_before_lines_had_tracking_is_read_without() -> None:
    """A request that was stored by an older version is settled by this one."""
    text = replace(DOCUMENT, lines=(Line("time:1", "Work", Decimal(1), Decimal("12.50"), Decimal("12.50")),)).to_text()
    assert text.count("null,[]]") == 1
    again = Document.from_text(text.replace("null,[]]", "null]"))
    assert again.lines == (Line("time:1", "Work", Decimal(1), Decimal("12.50"), Decimal("12.50")),)


@pytest.mark.parametrize(
    ("locks", "lock"),
    [
        ({}, None),
        ({"PeriodLockDate": "/Date(1767139200000+0000)/"}, date(2025, 12, 31)),
        ({"EndOfYearLockDate": "2025-06-30"}, date(2025, 6, 30)),
        ({"PeriodLockDate": "2025-12-31", "EndOfYearLockDate": "2025-06-30"}, date(2025, 12, 31)),
        ({"PeriodLockDate": "2025-03-31", "EndOfYearLockDate": "2025-06-30"}, date(2025, 6, 30)),
    ],
)
def test_the_later_of_the_two_lock_dates_binds(locks: dict[str, str], lock: date | None) -> None:
    """Whichever of them is set."""
    organisation = Organisation.parse({"Name": "Sydney", "BaseCurrency": "AUD", "ShortCode": "!syd", **locks})
    assert (organisation.base_currency, organisation.short_code, organisation.lock_date) == ("AUD", "!syd", lock)


# Answers


def test_an_answer_is_read_as_it_came() -> None:
    """Its whole text is kept, every digit of it."""
    given_: dict[str, Any] = {
        "InvoiceID": "x", "Type": "ACCREC", "InvoiceNumber": "40001", "Url": "u", "CurrencyCode": "AUD",
        "Contact": {"ContactID": "c", "Name": "Acme"}, "Status": "PAID", "Total": Decimal("330.00"),
        "Date": "/Date(1772409600000+0000)/",
    }  # fmt: skip
    answer = Found.parse(given_)
    assert (answer.xero_id, answer.type, answer.number, answer.url) == ("x", "ACCREC", "40001", "u")
    assert (answer.contact_id, answer.contact_name, answer.currency, answer.status) == ("c", "Acme", "AUD", "PAID")
    assert (answer.date, str(answer.total)) == (date(2026, 3, 2), "330.00")
    assert Found.parse({**given_, "DateString": "2026-03-05T00:00:00"}).date == date(2026, 3, 5)
    assert '"Total":330.00' in answer.text
    assert json.loads(answer.text)["Status"] == "PAID"


def test_an_answer_that_is_kept_beside_its_text_says_the_same() -> None:
    """What is asked of it right after a write is what will be read from the audit later."""
    given_: dict[str, Any] = {
        "InvoiceID": "x", "Total": Decimal("33.00"), "SubTotal": Decimal("30.0"), "Reference": "R",
        "LineItems": [
            {"LineItemID": "1", "Quantity": Decimal("1.50"), "UnitAmount": Decimal("20.0000"), "LineAmount": 30,
             "Tracking": [{"Name": "Region", "Option": "North"}]},
        ],
    }  # fmt: skip
    kept, text = Found.parse(given_, keep=True), Found.parse(given_)
    assert kept == text
    assert (kept.given, text.given) == (given_, None)
    assert (kept.reference, kept.tracking) == (text.reference, text.tracking) == ("R", [("region", "north")])
    assert Posted.read(kept) == Posted.read(text)


def test_a_contact_is_an_answer_too() -> None:
    """Found by its number; it has no total, and no link that could be ours."""
    given_ = {"ContactID": "c", "Name": "Acme", "AccountNumber": "A1", "ContactStatus": "ARCHIVED"}
    answer = Found.of_contact(given_)
    assert (answer.xero_id, answer.type, answer.number, answer.url) == ("c", "CONTACT", "A1", "")
    assert (answer.contact_id, answer.contact_name, answer.status, answer.total) == (
        "c",
        "Acme",
        "ARCHIVED",
        Decimal(0),
    )
    assert json.loads(answer.text) == given_
    assert Contact.parse({**given_, "MergedToContactID": "d"}).merged_into == "d"
    assert Contact.parse({**given_, "MergedToContactID": None}).merged_into == ""


@pytest.mark.parametrize("value", [{}, None])
def test_what_an_answer_leaves_out_is_blank(value: object) -> None:
    """A refused element may come back with almost nothing."""
    names = "InvoiceID Type InvoiceNumber Url Contact CurrencyCode Status DateString Date Total"
    given_: dict[str, Any] = {} if value == {} else dict.fromkeys(names.split())
    answer = Found.parse(given_)
    assert answer == Found("", "", "", "", "", "", "", "", None, Decimal(0), answer.text)
    nameless = Found.parse({**given_, "Contact": {"ContactID": None, "Name": None}})
    assert (nameless.contact_id, nameless.contact_name) == ("", "")


@pytest.mark.parametrize(
    ("status", "live"),
    [("DRAFT", True), ("AUTHORISED", True), ("PAID", True), ("VOIDED", False), ("DELETED", False)],
)
def test_a_voided_or_deleted_document_is_dead(status: str, live: bool) -> None:
    """Anything else is alive."""
    assert found(DOCUMENT, Status=status).live is live
