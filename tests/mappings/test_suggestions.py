"""Lines to paste: filled in where one name in Xero is near and no other is, else left open with the nearest named."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from mappings.coverage import Uncovered
from mappings.outcomes import Reason
from mappings.suggestions import Suggestion, suggestions
from mappings.xero import Books
from tests.mappings.samples import account, books, category, contact, tables, tax_rate

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
ORGANISATIONS = "Add to organisations.csv: {},,,,,<organisation>"
ACCOUNT = "Add to accounts.csv: Sydney,sales,{},<account_code>,"
TAX = "Add to taxes.csv: Sydney,sales,{},<tax_type>"
TRACKING = 'Add to tracking.csv: Sydney,sales,{},<tracking_category>,"<option, or blank for none>"'
CONTACT = "Create it in Xero, or add to contacts.csv: Sydney,customer,{},,,<the contact's name in Xero>"


def sydney() -> Books:
    """Books with names to be found."""
    return books(
        accounts=[
            account("200", Name="Sales"),
            account("265", Name="Parking and tolls"),
            account("266", Name="Project work", Status="ARCHIVED"),
            account("429", Name="Parking", kind="EXPENSE", Type="EXPENSE"),
            account("201", Name="Remote support"),
            account("202", Name="Onsite support"),
        ],
        tax_rates=[
            tax_rate("OUTPUT", "10", Name="GST on Income"),
            tax_rate("EXEMPTOUTPUT", "0", Name="GST Free Income"),
            tax_rate("EXEMPTEXPORT", "0", Name="GST Free Exports"),
            tax_rate("INPUT", "10", Name="GST on Expenses", CanApplyToRevenue=False),
            tax_rate("OLD", "0", "DELETED", Name="Export"),
        ],
        contacts=[
            contact(1, "Silverleaf Landscape", "SILVER"),
            contact(2, "Dunmore and Daughters", "D1", "ARCHIVED"),
            contact(3, "Kestrel Aviation"),
            contact(4, "Lantern Dental"),
            contact(5, "Lantern Dental"),
            contact(6, "+Plus Physio"),
        ],
        tracking=[
            category("Region", "North Sydney", "South", archived=["Helpdesk"]),
            category("Team", "The Helpdesk", "-Helpdesk"),
        ],
    )


def suggested(fix: str, value: str = "", changes: Mapping[str, str] | None = None) -> Suggestion:
    """The one suggestion for a cure."""
    waiting = Uncovered(Reason.MISSING_ACCOUNT, value, "Sydney", 1, {"AUD": Decimal(1)}, "It waits.", fix)
    given = {
        "accounts.csv": f"{ACCOUNTS},sales,expense,Parking,,265,\n,sales,service,Project,,200,\n",
        **(changes or {}),
    }
    (found,) = suggestions([waiting], tables(given), {"Sydney": sydney(), "Perth West": sydney()})
    assert found.uncovered is waiting
    return found


@pytest.mark.parametrize(
    ("fix", "value", "line"),
    [
        (ORGANISATIONS.format("Perth"), "Perth", "Perth,,,,,Perth West"),
        (ACCOUNT.format("expense,Tolls,"), "", "Sydney,sales,expense,Tolls,,265,"),
        (ACCOUNT.format("service,Remote,"), "", "Sydney,sales,service,Remote,,201,"),
        (TAX.format("GST,yes"), "", "Sydney,sales,GST,yes,OUTPUT"),
        (TAX.format("EXPORT,yes"), "", "Sydney,sales,EXPORT,yes,EXEMPTEXPORT"),
        (TRACKING.format("department,Helpdesk"), "", "Sydney,sales,department,Helpdesk,Team,The Helpdesk"),
        (CONTACT.format("SILVER"), "Silverleaf Landscapes", "Sydney,customer,SILVER,,,Silverleaf Landscape"),
        (CONTACT.format("PLUS"), "Plus Physio", f"Sydney,customer,PLUS,{contact(6, '').contact_id},,"),
    ],
)
def test_a_near_name_is_filled_in(fix: str, value: str, line: str) -> None:
    """With its score beside it; a name that a table could not hold goes by its id."""
    found = suggested(fix, value)
    assert found.line == line
    assert found.candidates[0].score >= 90
    assert set(found.candidates[0].cells.values()) <= set(next(csv.reader([found.line])))


@pytest.mark.parametrize(
    ("fix", "value", "nearest"),
    [
        (ORGANISATIONS.format("Hobart"), "Hobart", []),
        (ACCOUNT.format("service,Support,"), "", ["201 Remote support", "202 Onsite support"]),
        (ACCOUNT.format("service,Project work,"), "", []),
        (TAX.format("GSTFREE,yes"), "", ["EXEMPTOUTPUT", "EXEMPTEXPORT"]),
        (TAX.format("GST,no"), "", ["EXEMPTOUTPUT", "EXEMPTEXPORT"]),
        (CONTACT.format("DUNMORE"), "Dunmore & Daughters", []),
        (CONTACT.format("KESTREL"), "Kestrel Holdings", ["Kestrel Aviation"]),
        (CONTACT.format("LANTERN"), "Lantern Dental", ["Lantern Dental", "Lantern Dental"]),
    ],
)
def test_what_is_not_near_or_not_alone_stays_open(fix: str, value: str, nearest: list[str]) -> None:
    """The nearest are named; archived, deleted and inapplicable things are not among them."""
    found = suggested(fix, value)
    assert "<" in found.line
    assert fix.endswith(found.line)
    named = [one.name for one in found.candidates if one.score > 60]
    assert [name.startswith(start) for name, start in zip(named, nearest, strict=True)] == [True] * len(nearest)


def test_contacts_of_one_name_are_told_apart_by_their_ids() -> None:
    """So that a person can choose, and paste the id."""
    found = suggested(CONTACT.format("LANTERN"), "Lantern Dental")
    assert [dict(one.cells) for one in found.candidates[:2]] == [
        {"contact_id": contact(number, "").contact_id} for number in (4, 5)
    ]
    assert all(str(one.cells["contact_id"]) in one.name for one in found.candidates[:2])


def test_an_option_is_looked_for_where_rows_of_its_source_lead() -> None:
    """Departments lead to Region; an option of another category, however near, is another matter."""
    led = {
        "tracking.csv": "organisation,side,source,value,tracking_category,option\n,,department,Field,Region,South\n"
        ",,staff,tom,Team,The Helpdesk\n"
    }
    assert suggested(TRACKING.format("department,North"), changes=led).line.endswith("Region,North Sydney")
    assert suggested(TRACKING.format("department,Helpdesk"), changes=led).candidates == ()


@pytest.mark.parametrize(
    ("rows", "keys"),
    [
        ("", ",,"),
        (",sales,service,Remote,,201,\nSydney,purchases,product,Hardware,DOCK,429,\n", ",,"),
        (",sales,product,Cloud,,200,\n", "Hardware,,"),
        ("Sydney,sales,product,,LIC,200,\n", ",DOCK,"),
        (",,,Cloud,,200,\n,,product,*,LIC,200,\n", "Hardware,DOCK,"),
    ],
)
def test_a_line_for_accounts_is_as_special_as_the_rows_that_are_there(rows: str, keys: str) -> None:
    """A catalogue of five hundred items does not make five hundred rows where others go by category, or by nothing."""
    found = suggested(ACCOUNT.format("product,Hardware,DOCK"), changes={"accounts.csv": ACCOUNTS + rows})
    assert found.line == f"Sydney,sales,product,{keys}<account_code>,"


def test_lines_have_the_columns_of_the_clients_own_file() -> None:
    """In their order, the note's too; where there is no file yet, those that it is to have."""
    own = {"contacts.csv": "note,company,role,organisation,contact_id,account_number,contact_name\n"}
    fix = "add to contacts.csv: ,SILVER,customer,Sydney,,,<the contact's name in Xero>"
    found = suggested(fix, "Silverleaf Landscapes", own)
    assert found.header == "note,company,role,organisation,contact_id,account_number,contact_name"
    assert found.line == ",SILVER,customer,Sydney,,,Silverleaf Landscape"
    assert suggested(CONTACT.format("X")).header == "organisation,role,company,contact_id,account_number,contact_name"


def test_lines_that_need_no_name_of_xero_stay_as_they_are() -> None:
    """A rate is for a person to know; a contact that took another's place is named already."""
    rate = "Add to rates.csv: EUR,AUD,2026-03-02,<rate> (EUR per 1 AUD)"
    assert suggested(rate, "EUR").line == f"EUR,AUD,{date(2026, 3, 2)},<rate>"
    survivor = "If that is the same customer, add to contacts.csv: Sydney,customer,GONE,,,Kestrel Aviation"
    found = suggested(survivor, "Gone")
    assert (found.line, found.candidates) == ("Sydney,customer,GONE,,,Kestrel Aviation", ())


def test_a_cure_without_a_line_has_no_suggestion_and_several_lines_have_one_each() -> None:
    """What is put right in a row that is there, in Xero or in ConnectWise is not for pasting."""
    waiting = Uncovered(Reason.MISSING_ITEM, "DECK", "Sydney", 1, {}, "It waits.", "Correct item_code in row 3.")
    assert suggestions([waiting], tables(), {"Sydney": sydney()}) == []
    lines = "\n".join(f"Add to rates.csv: EUR,AUD,2026-03-0{day},<rate> (EUR per 1 AUD)" for day in (1, 9))
    both = suggestions([replace(waiting, fix=lines)], tables(), {"Sydney": sydney()})
    assert [one.line for one in both] == ["EUR,AUD,2026-03-01,<rate>", "EUR,AUD,2026-03-09,<rate>"]


PAYMENT_ACCOUNT = "Add to payment_accounts.csv: Sydney,AUD,{},<account>"


def paid_into(own: str, *takers: tuple[str, str]) -> Suggestion:
    """The suggestion for a payment's own account, in an organisation where these accounts take payments."""
    bank = [account(code, Name=name, Type="BANK", kind="ASSET") for code, name in takers]
    waiting = Uncovered(
        Reason.MISSING_PAYMENT_ACCOUNT, own, "Sydney", 1, {"AUD": Decimal(1)}, "It waits.", PAYMENT_ACCOUNT.format(own)
    )
    (found,) = suggestions([waiting], tables(), {"Sydney": books(accounts=[account("200"), *bank])})
    return found


def test_the_only_account_that_takes_payments_is_put_into_the_line() -> None:
    """Whatever the payment's own account is called."""
    assert paid_into("", ("090", "Business Account")).line == "Sydney,AUD,,090"
    assert paid_into("", ("090", "Business Account")).header == "organisation,currency,payment_account,account_code"


def test_of_several_accounts_the_one_with_the_payments_own_name_is() -> None:
    """And where there is none, the cell stays open."""
    both = ("090", "Business Account"), ("611", "WisePay clearing")
    assert paid_into("WisePay clearing", *both).line == "Sydney,AUD,WisePay clearing,611"
    assert paid_into("", *both).line == "Sydney,AUD,,<account>"
    assert paid_into("").candidates == ()
