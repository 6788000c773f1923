"""The tables against the books: for each check a row that is right and one that is not (contract, sections 1 and 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from mappings.outcomes import XeroList
from mappings.table_checks import Finding, Severity, check_tables
from mappings.xero import Account, Books, Organisation
from tests.mappings.samples import FILES, account, books, category, contact, item, tables, tax_rate

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
TAXES = "organisation,side,tax_code,taxable,tax_type\n"
TRACKING = "organisation,side,source,value,tracking_category,option\n"
CONTACTS = "organisation,role,company,contact_id,account_number,contact_name\n"
RATES = "currency,base,date,rate\n"
ROUTES = "location,department,company,staff,tag,organisation\n"
REVENUE_ONLY: dict[str, Any] = {f"CanApplyTo{name}": False for name in ("Assets", "Equity", "Expenses", "Liabilities")}


def chart() -> list[Account]:
    """Accounts of each sort."""
    return [
        account("200", TaxType="OUTPUT"),
        account("429", kind="EXPENSE", Type="EXPENSE", Name="General Expenses"),
        account("870", kind="LIABILITY", Type="CURRLIAB"),
        account("999", Status="ARCHIVED"),
        account("090", kind="ASSET", Type="BANK"),
        account("610", kind="ASSET", Type="CURRENT", SystemAccount="DEBTORS"),
    ]


def sydney(**fields: Any) -> Books:
    """Books with something of everything."""
    given: dict[str, Any] = {
        "accounts": chart(),
        "tax_rates": [
            tax_rate("OUTPUT", "10", **REVENUE_ONLY),
            tax_rate("EXEMPTOUTPUT", "0", **REVENUE_ONLY),
            tax_rate("TAX001", "8.25"),
            tax_rate("INPUT", "10", CanApplyToRevenue=False, CanApplyToLiabilities=False),
            tax_rate("OLD", "12.5", "DELETED"),
        ],
        "contacts": [
            contact(1, "Acme Pty Ltd", "ACME01"),
            contact(2, "Gone Pty Ltd", "GONE01", "ARCHIVED"),
            replace(contact(5, "Merged Pty Ltd", status="ARCHIVED"), merged_into=contact(1, "").contact_id),
            contact(3, "Twin", "TWIN"),
            contact(4, "Twin", "TWIN"),
        ],
        "items": [
            item("DOCK", SalesDetails={"AccountCode": "200"}),
            item("BARE"),
            item("BOUGHT", IsSold=False),
            item("STALE", SalesDetails={"AccountCode": "999"}),
        ],
        "tracking": [
            category("Region", "North", archived=["South"]),
            category("Team", "Field"),
            category("Office", "Sydney"),
            category("Old", "Past", status="ARCHIVED"),
        ],
        "currencies": ("AUD", "NZD"),
    }
    return books(**given | fields)


def perth(**fields: Any) -> Books:
    """The books of a second organisation."""
    return replace(sydney(**fields), organisation=Organisation("Perth", "AUD", "!per"))


BOTH = f"{ROUTES}Sydney,,,,,Sydney\nPerth,,,,,Perth\n"


def findings(changes: Mapping[str, str], **others: Books) -> list[Finding]:
    """What is found in the smallest tables with some of them replaced."""
    return check_tables(tables(changes), {"Sydney": sydney()} | others)


def told(found: Iterable[Finding], severity: Severity = Severity.PROBLEM) -> list[tuple[str, int, str, str]]:
    """Where the problems (or notes) are: file, row, column, organisation."""
    return [(each.file, each.row, each.column, each.organisation) for each in found if each.severity is severity]


def accounts(row: str) -> dict[str, str]:
    return {"accounts.csv": f"{ACCOUNTS},sales,,,,200,\n{row}\n"}


def taxes(row: str) -> dict[str, str]:
    return {"taxes.csv": f"{TAXES},sales,,yes,OUTPUT\n{row}\n"}


def tracking(*rows: str) -> dict[str, str]:
    return {"tracking.csv": TRACKING + "".join(f"{row}\n" for row in rows)}


def contacts(row: str) -> dict[str, str]:
    return {"contacts.csv": f"{CONTACTS}{row}\n"}


def rates(*rows: str) -> dict[str, str]:
    return {"rates.csv": RATES + "".join(f"{row}\n" for row in rows)}


GOOD = [
    {},
    accounts("Sydney,sales,product,,,200,"),
    accounts("sydney,sales,product,,,200,"),
    accounts("Sydney,sales,product,,,200,DOCK"),
    accounts("Sydney,sales,product,,,,DOCK"),
    accounts("Sydney,purchases,product,,,429,"),
    accounts(",sales,down_payment,,,870,"),
    accounts(",sales,expense,,,429,"),
    taxes("Sydney,sales,EXPORT,yes,EXEMPTOUTPUT"),
    taxes("Sydney,sales,,no,EXEMPTOUTPUT"),
    tracking("Sydney,sales,department,Helpdesk,Region,North"),
    tracking(",sales,department,Helpdesk,region,NORTH", ",,staff,,Team,Field"),
    tracking("Sydney,sales,department,Helpdesk,Region,"),
    tracking(",sales,staff,,Region,North", ",sales,location,,Team,Field", ",sales,department,,Office,"),
    contacts("Sydney,customer,ACME,,,acme pty ltd"),
    contacts("Sydney,,ACME,,ACME01,"),
    contacts("Sydney,,ACME,AAAAAAAA-0000-4000-8000-000000000001,,"),
    rates("NZD,AUD,2026-03-02,1.0825"),
    {"policy.toml": '[organisation."Sydney".sales]\ninvoice_status = "authorised"\n'},
]


@pytest.mark.parametrize("changes", GOOD)
def test_a_row_that_xero_would_take_is_not_mentioned(changes: Mapping[str, str]) -> None:
    """Neither as a problem nor as a note."""
    assert findings(changes) == []


BAD: list[tuple[dict[str, str], str, int, str, list[str]]] = [
    ({"organisations.csv": f"{ROUTES}Sydney,,,,,Sydni\n"}, "organisations.csv", 2, "organisation", ["Sydni", "Sydney"]),
    ({"organisations.csv": f"{ROUTES}Sydney,,,,,sydney\n"}, "organisations.csv", 2, "organisation", ["not connected"]),
    ({"organisations.csv": f"{ROUTES}Sydney,,,,,\n"}, "organisations.csv", 2, "organisation", ["names no"]),
    (accounts("Sydni,sales,product,,,200,"), "accounts.csv", 3, "organisation", ["Sydni"]),
    (accounts("(none),sales,product,,,200,"), "accounts.csv", 3, "organisation", ["(none)"]),
    (accounts("Sydney,sales,product,,,,"), "accounts.csv", 3, "account_code", ["names no account"]),
    (accounts("Sydney,sales,product,,,201,"), "accounts.csv", 3, "account_code", ["201", "does not exist"]),
    (accounts("Sydney,sales,product,,,999,"), "accounts.csv", 3, "account_code", ["999", "is archived"]),
    (accounts("Sydney,sales,product,,,090,"), "accounts.csv", 3, "account_code", ["bank account"]),
    (accounts("Sydney,sales,product,,,610,"), "accounts.csv", 3, "account_code", ["system account"]),
    (accounts("Sydney,sales,product,,,,DECK"), "accounts.csv", 3, "item_code", ["DECK", "does not have"]),
    (accounts("Sydney,sales,product,,,200,BOUGHT"), "accounts.csv", 3, "item_code", ["does not sell"]),
    (accounts("Sydney,sales,product,,,,BARE"), "accounts.csv", 3, "account_code", ["BARE"]),
    (accounts("Sydney,sales,product,,,,STALE"), "accounts.csv", 3, "item_code", ["999", "STALE"]),
    (taxes("Sydney,sales,GST,yes,"), "taxes.csv", 3, "tax_type", ["names no tax type"]),
    (taxes("Sydney,sales,GST,yes,OUTPUT9"), "taxes.csv", 3, "tax_type", ["OUTPUT9", "does not have"]),
    (taxes("Sydney,sales,GST,yes,OLD"), "taxes.csv", 3, "tax_type", ["OLD", "any more"]),
    (taxes("Sydney,sales,GST,yes,OUTPUT 10 %"), "taxes.csv", 3, "tax_type", [": OUTPUT (OUTPUT 10 %)"]),
    (taxes("Sydney,sales,GST,yes,INPUT"), "taxes.csv", 3, "tax_type", ["no account that sales lead to (200, 870)"]),
    (tracking("Sydney,sales,staff,,Regoin,North"), "tracking.csv", 2, "tracking_category", ["Regoin", "Region"]),
    (tracking("Sydney,sales,staff,,Regoin,"), "tracking.csv", 2, "tracking_category", ["does not have"]),
    (tracking("Sydney,sales,staff,,Old,Past"), "tracking.csv", 2, "tracking_category", ["has archived"]),
    (tracking("Sydney,sales,staff,,,North"), "tracking.csv", 2, "tracking_category", ["no tracking category"]),
    (tracking("Sydney,sales,staff,,Region,East"), "tracking.csv", 2, "option", ["East", "add"]),
    (tracking("Sydney,sales,staff,,Region,South"), "tracking.csv", 2, "option", ["archived", "restore"]),
    (
        tracking("Sydney,sales,staff,,Region,North", ",sales,location,,Team,Field", ",sales,department,,Office,Sydney"),
        "tracking.csv", 4, "tracking_category", ["3 tracking categories", "Region, Team, Office", "takes 2"],
    ),
    (contacts("Sydney,,ACME,,,Acne Pty Ltd"), "contacts.csv", 2, "contact_name", ["no contact"]),
    (contacts("Sydney,,ACME,,ACME02,Acme Pty Ltd"), "contacts.csv", 2, "account_number", ["ACME02", "no contact"]),
    (contacts("Sydney,,ACME,aaaa,,"), "contacts.csv", 2, "contact_id", ["aaaa"]),
    (contacts("Sydney,,TWIN,,,twin"), "contacts.csv", 2, "contact_name", ["2 contacts"]),
    (contacts("Sydney,,GONE,,GONE01,"), "contacts.csv", 2, "account_number", ["Gone Pty Ltd", "is archived"]),
    (contacts("Sydney,,OLD,,,Merged Pty Ltd"), "contacts.csv", 2, "contact_name", ["merged into 'Acme Pty Ltd'"]),
    (contacts("Sydney,,ACME,,,"), "contacts.csv", 2, "contact_name", ["names no contact"]),
    (rates("NZD,AUD,2026-03-02,1.0825", "EUR,AUD,2026-03-02,0.6"), "rates.csv", 3, "currency", ["EUR", "Currencies"]),
    (rates("EUR,AUD,2026-03-02,0.6", "EUR,AUD,2026-01-02,0.6"), "rates.csv", 2, "currency", ["EUR"]),
    ({"policy.toml": '[organisation."Sydni".sales]\n'}, "policy.toml", 0, "organisation", ["Sydni", "Sydney"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "file", "row", "column", "words"), BAD)
def test_a_row_that_xero_would_refuse_is_named_with_its_place(
    changes: Mapping[str, str], file: str, row: int, column: str, words: list[str]
) -> None:
    """One problem, where it stands, with what is wrong and what to do in sentences."""
    (found,) = findings(changes)
    assert (found.file, found.row, found.column, found.severity) == (file, row, column, Severity.PROBLEM)
    assert str(found).startswith(f"{file}, row {row}, column {column}: " if row else f"{file}, column {column}: ")
    for word in words:
        assert word in found.message + found.fix
    for sentence in (found.message, found.fix):
        assert sentence.endswith(".")


ODD: list[tuple[dict[str, str], str, int, str, list[str]]] = [
    (accounts("Sydney,sales,product,,,429,"), "accounts.csv", 3, "account_code", ["sales product", "expense"]),
    (accounts("Sydney,purchases,,,,200,"), "accounts.csv", 3, "account_code", ["purchases", "revenue"]),
    (taxes("Sydney,sales,GST,yes,TAX001"), "taxes.csv", 3, "tax_type", ["8.25 %", "10 % by default"]),
    (rates("NZD,FJD,2026-03-02,1.3"), "rates.csv", 2, "base", ["FJD"]),
]


@pytest.mark.parametrize(("changes", "file", "row", "column", "words"), ODD)
def test_what_is_odd_and_may_be_meant_is_a_note(
    changes: Mapping[str, str], file: str, row: int, column: str, words: list[str]
) -> None:
    """An account of an unusual class, a rate that the accounts do not have: said, and no problem."""
    (found,) = findings(changes)
    assert (found.file, found.row, found.column, found.severity) == (file, row, column, Severity.NOTE)
    for word in words:
        assert word in found.message


def test_a_period_that_is_locked_after_the_start_date_is_a_note() -> None:
    """Records of that time would be held; a start date behind the lock says nothing."""
    locked = sydney(lock_date=date(2026, 3, 31))
    early = {"policy.toml": "start_date = 2026-03-01\n"}
    (found,) = findings(early, Sydney=locked)
    assert (found.file, found.column, found.organisation) == ("policy.toml", "start_date", "Sydney")
    assert found.severity is Severity.NOTE
    assert "2026-03-31" in found.message
    assert findings({"policy.toml": "start_date = 2026-04-01\n"}, Sydney=locked) == []
    assert findings({}, Sydney=locked) == []


def test_a_blank_organisation_is_checked_against_all_that_it_may_meet() -> None:
    """Both organisations are reached; the one with a row of its own for the same keys never meets the blank one."""
    poor = perth(accounts=[account("300"), account("870", kind="LIABILITY", Type="CURRLIAB")])
    one_row = {"organisations.csv": BOTH, "accounts.csv": f"{ACCOUNTS},sales,product,,,200,\n"}
    assert told(findings(one_row, Perth=poor)) == [("accounts.csv", 2, "account_code", "Perth")]
    own_row = one_row | {"accounts.csv": f"{ACCOUNTS},sales,product,,,200,\nperth,sales,Product,,,300,\n"}
    assert told(findings(own_row, Perth=poor)) == []
    other_keys = one_row | {"accounts.csv": f"{ACCOUNTS},sales,product,,,200,\nPerth,sales,service,,,300,\n"}
    assert told(findings(other_keys, Perth=poor)) == [("accounts.csv", 2, "account_code", "Perth")]


def test_an_organisation_that_nothing_is_routed_to_meets_no_blank_row() -> None:
    """It is connected, and no record goes there; a row that names it is checked all the same."""
    poor = perth(accounts=[])
    assert findings({}, Perth=poor) == []
    named = {"accounts.csv": f"{ACCOUNTS}Perth,sales,product,,,200,\n"}
    assert told(findings(named, Perth=poor)) == [("accounts.csv", 2, "account_code", "Perth")]


def test_a_blank_side_means_purchases_only_where_purchase_orders_are_on() -> None:
    """An item that is not bought is no problem for whoever does not buy through us."""
    changes = {"accounts.csv": f"{ACCOUNTS},,product,,,200,SOLD\n", "taxes.csv": f"{TAXES},sales,,,OUTPUT\n"}
    only_sold = sydney(items=[item("SOLD", IsPurchased=False)])
    assert findings(changes, Sydney=only_sold) == []
    buying = changes | {"policy.toml": '[families]\npurchase_orders = "on"\n'}
    assert told(findings(buying, Sydney=only_sold)) == [("accounts.csv", 2, "item_code", "Sydney")]
    # What is wrong on both sides is said once.
    gone = buying | {"accounts.csv": f"{ACCOUNTS},,product,,,201,\n"}
    assert told(findings(gone)) == [("accounts.csv", 2, "account_code", "Sydney")]


def test_one_account_on_which_a_tax_type_may_stand_is_enough() -> None:
    """Rows are not paired line by line: what meets what is only known of records."""
    mixed = {"accounts.csv": f"{ACCOUNTS},sales,product,,,870,\n,sales,service,,,200,\n"}
    assert told(findings(mixed)) == []
    liabilities = {"accounts.csv": f"{ACCOUNTS},sales,down_payment,,,870,\n"}
    assert told(findings(liabilities)) == [
        ("taxes.csv", 2, "tax_type", "Sydney"),
        ("taxes.csv", 3, "tax_type", "Sydney"),
    ]


def test_a_contact_that_another_organisation_knows_is_a_note() -> None:
    """A row without an organisation covers all of them, and the company may be nobody's customer elsewhere."""
    changes = {"organisations.csv": BOTH} | contacts(",,ACME,,ACME01,")
    stranger = perth(contacts=[])
    (found,) = findings(changes, Perth=stranger)
    assert (found.organisation, found.severity) == ("Perth", Severity.NOTE)
    assert "Fill organisation" in found.fix
    nobody = findings(changes, Perth=stranger, Sydney=sydney(contacts=[]))
    assert told(nobody) == [
        ("contacts.csv", 2, "account_number", "Perth"),
        ("contacts.csv", 2, "account_number", "Sydney"),
    ]


def test_a_rate_serves_the_organisation_that_has_the_currency() -> None:
    """Others with the same base currency need not have switched it on."""
    changes = {"organisations.csv": BOTH} | rates("NZD,AUD,2026-03-02,1.0825")
    assert findings(changes, Perth=perth(currencies=["AUD"])) == []
    neither = findings(changes, Sydney=sydney(currencies=["AUD"]), Perth=perth(currencies=["AUD"]))
    assert told(neither) == [("rates.csv", 2, "currency", "Perth"), ("rates.csv", 2, "currency", "Sydney")]


def test_a_problem_says_which_list_of_xero_could_have_cured_it() -> None:
    """That list is read anew before the problem is told; a row that names nothing needs no list."""
    assert [one.waits_on for one in findings(accounts("Sydney,sales,product,,,201,"))] == [(XeroList.ACCOUNTS,)]
    assert [one.waits_on for one in findings(accounts("Sydney,sales,product,,,,"))] == [()]


def test_findings_stand_in_the_order_of_files_and_rows() -> None:
    """As a person works through them."""
    found = findings(
        {
            "accounts.csv": f"{ACCOUNTS}Sydney,sales,product,,,201,\nSydni,sales,product,,,200,\n,sales,,,,200,\n",
            "organisations.csv": f"{FILES['organisations.csv']}Perth,,,,,Pearth\n",
            **contacts("Sydney,,ACME,,,Acne"),
        }
    )
    assert [(each.file, each.row) for each in found] == [
        ("organisations.csv", 3),
        ("accounts.csv", 2),
        ("accounts.csv", 3),
        ("contacts.csv", 2),
    ]


PAID_INTO = "organisation,currency,payment_account,account_code\n"
TAKERS = [
    *chart(),
    account("091", kind="ASSET", Type="BANK", CurrencyCode="NZD"),
    account("092", kind="ASSET", Type="BANK", Status="ARCHIVED"),
]


def paid_into(*rows: str, **others: Books) -> list[Finding]:
    changes = {"payment_accounts.csv": PAID_INTO + "".join(f"{row}\n" for row in rows)}
    return findings(changes, Sydney=sydney(accounts=TAKERS), **others)


@pytest.mark.parametrize("row", [",,,090", "Sydney,NZD,,091", ",AUD,WisePay,090", ",NZD,,090"])
def test_a_payment_account_that_xero_would_take_is_no_finding(row: str) -> None:
    """A bank account of the currency, or of the base."""
    assert paid_into(row) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("Sydney,,,300", "names the account 300, which Sydney does not have."),
        ("Sydney,,,092", "names the account 092, which Sydney has archived."),
        ("Sydney,,,200", "names the account 200, which Sydney does not take payments into."),
        ("Sydney,AUD,,091", "names the account 091, which Sydney keeps in NZD, and so cannot take AUD into."),
        ("Sydney,,,", "names no account."),
    ],
)
def test_a_payment_account_that_xero_would_refuse_is_a_problem(row: str, words: str) -> None:
    """In the words in which the payment would be held."""
    (found,) = paid_into(row)
    assert found.message == f"payment_accounts.csv row 2 {words}"
    assert (found.file, found.column, found.severity) == ("payment_accounts.csv", "account_code", Severity.PROBLEM)


def test_a_payment_account_in_a_foreign_currency_for_every_currency_is_a_note() -> None:
    """It may be meant, where the base has a row of its own."""
    (found,) = paid_into("Sydney,,,091")
    assert (found.column, found.severity) == ("currency", Severity.NOTE)


def test_a_payment_account_is_checked_in_every_organisation_that_the_row_meets() -> None:
    """And an organisation that is not connected is told."""
    other = perth(accounts=[each for each in chart() if each.code != "090"])
    changes = {
        "organisations.csv": BOTH,
        "payment_accounts.csv": PAID_INTO + ",,,090\nMelbourne,,,090\n",
    }
    assert told(findings(changes, Perth=other)) == [
        ("payment_accounts.csv", 2, "account_code", "Perth"),
        ("payment_accounts.csv", 3, "organisation", ""),
    ]
