"""Account, item, tax type and tracking of each line: what the tables say, what Xero has, and what neither does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mappings.coding import Coding, short
from mappings.connectwise import Department, Location
from mappings.csv_tables import NOTHING, Value
from mappings.lines import Draft
from mappings.outcomes import Hold, Reason, XeroList
from mappings.policy import Decisions
from mappings.related import Related
from mappings.xero import Books, Item, Line
from tests.mappings.samples import FILES, account, books, category, item, tables, tax_rate

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
TAXES = "organisation,side,tax_code,taxable,tax_type\n"
TRACKING = "organisation,side,source,value,tracking_category,option\n"
GST = Value(5, ("GST",))


def draft(kind: str = "product", price: str = "99.00", **fields: Any) -> Draft:
    given: dict[str, Any] = {"key": f"{kind}:1", "description": "USB-C dock", "quantity": Decimal(1), "taxable": True}
    given |= {"unit_amount": Decimal(price), "amount": Decimal(price), "kind": kind}
    return Draft(**given | fields)


def coding(
    changes: Mapping[str, str] | None = None,
    there: Books | None = None,
    side: str = "sales",
    related: Related | None = None,
    **header: Any,
) -> Coding:
    return Coding(
        "Sydney", side, tables(changes), there or books(), Decisions(), related or Related(),
        **{"tax_code": GST} | header,
    )  # fmt: skip


def coded(found: Coding, line: Draft | None = None) -> Line:
    result = found.line(line or draft())
    assert found.problems == []
    return result


def problem(found: Coding, line: Draft | None = None) -> Hold:
    found.line(line or draft())
    (only,) = found.problems
    return only


# A line


def test_a_line_is_priced_into_the_books() -> None:
    """Account, tax type, and the tax that Xero will compute; the rows that said so are kept."""
    found = coding()
    assert coded(found) == Line(
        "product:1", "USB-C dock", Decimal(1), Decimal("99.00"), Decimal("99.00"), "200", "", "OUTPUT", Decimal("9.90")
    )
    assert [str(row) for row in found.rows] == ["accounts.csv row 2", "taxes.csv row 2"]


def test_a_line_like_one_before_is_coded_the_same_in_another_document() -> None:
    """Its rows are among those that the document used, its tax is of its own amount, and no table is asked again."""
    first, second = coding(), coding()
    second.known = first.known
    coded(first)
    second.tables = tables({"accounts.csv": ACCOUNTS})
    line = coded(second, draft(key="product:2", description="Dock", price="10.00"))
    assert line == Line(
        "product:2", "Dock", Decimal(1), Decimal("10.00"), Decimal("10.00"), "200", "", "OUTPUT", Decimal("1.00")
    )
    assert second.rows == first.rows


@pytest.mark.parametrize(
    "own",
    [
        {"kind": "service"},
        {"taxable": False},
        {"category": (Value(1, ("Cloud",)),)},
        {"item": Value(2, ("DOCK",))},
        {"work_type": Value(3, ("Project",))},
        {"staff": Value(4, ("zoe",))},
        {"department": Value(5, ("Sales",))},
        {"location": Value(6, ("Perth",))},
        {"category_unknown": "catalogue item DOCK"},
    ],
)
def test_a_line_that_differs_in_anything_that_codes_it_is_coded_for_itself(own: dict[str, Any]) -> None:
    """Each of these may lead to another row."""
    found = coding()
    coded(found)
    found.line(draft(**own))
    assert len(found.known) == 2


@pytest.mark.parametrize(
    "header",
    [
        {"organisation": "Perth"},
        {"side": "purchases"},
        {"tax_code": Value(7, ("FRE",))},
        {"department": Value(5, ("Sales",))},
        {"location": Value(6, ("Perth",))},
        {"leave_gaps": True},
    ],
)
def test_a_line_of_another_kind_of_document_is_coded_for_itself(header: dict[str, Any]) -> None:
    """So may each of these, which is the document's."""
    found = coding()
    coded(found)
    other = replace(found, tables=tables({"accounts.csv": ACCOUNTS}), rows=[], problems=[], **header)
    other.line(draft())
    assert other.problems


def test_a_problem_is_told_of_every_line_that_has_it() -> None:
    """Only what is in order is remembered."""
    found = coding({"accounts.csv": ACCOUNTS})
    found.line(draft(description="Dock"))
    found.line(draft(description="Cable"))
    assert [hold.message.partition("(")[2] for hold in found.problems] == ["line 'Dock').", "line 'Cable')."]


def test_a_description_alone_needs_neither_account_nor_tax_nor_tracking() -> None:
    """It is asked of no table."""
    empty = {"accounts.csv": ACCOUNTS, "taxes.csv": TAXES, "tracking.csv": TRACKING + ",,location,x,Region,North\n"}
    found = coding(empty, location=Value(11, ("Sydney",)))
    line = coded(found, draft(quantity=None, unit_amount=None, amount=Decimal(0)))
    assert line == Line("product:1", "USB-C dock")
    assert found.rows == []


def test_every_problem_of_a_line_is_told() -> None:
    """A missing account does not hide a missing tax type or tracking option."""
    empty = {"accounts.csv": ACCOUNTS, "taxes.csv": TAXES, "tracking.csv": TRACKING + ",,location,x,Region,North\n"}
    found = coding(empty, location=Value(11, ("Sydney",)))
    line = found.line(draft())
    assert [each.reason for each in found.problems] == [
        Reason.MISSING_ACCOUNT, Reason.MISSING_TAX, Reason.MISSING_TRACKING,
    ]  # fmt: skip
    assert line == Line("product:1", "USB-C dock", Decimal(1), Decimal("99.00"), Decimal("99.00"))


def test_rows_of_the_other_side_do_not_count() -> None:
    """A bill is never coded by rows for sales."""
    found = coding(side="purchases")
    found.line(draft())
    assert [each.fix for each in found.problems] == [
        "Add to accounts.csv: Sydney,purchases,product,,,<account_code>,",
        "Add to taxes.csv: Sydney,purchases,GST,yes,<tax_type>",
    ]


# Which row: category and item


CLOUD = (Value(31, ("Cloud",)), Value(30, ("Services",)))
DOCK = Value(301, ("DOCK-USBC",))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (draft(category=CLOUD, item=DOCK), "204"),
        (draft(category=CLOUD), "202"),
        (draft(category=(Value(32, ("On premises",)), Value(30, ("Services",)))), "203"),
        (draft(category=(NOTHING, Value(30))), "200"),
        (draft(category=(Value(31),)), "200"),
        (draft(item=Value(302, ("DOCK-USBC",))), "204"),
        (draft(), "200"),
        (draft("agreement", category=(Value(1, ("Gold",)),)), "201"),
        (draft("agreement"), "200"),
    ],
)
def test_subcategory_before_category_and_an_item_before_both(line: Draft, code: str) -> None:
    """The contract's order; an agreement by its type."""
    text = (
        ACCOUNTS + ",sales,,,,200,\n,sales,agreement,Gold,,201,\n,sales,product,Cloud,,202,\n"
        ",sales,product,Services,,203,\nSydney,sales,product,,DOCK-USBC,204,\n"
    )
    chart = [account(str(number)) for number in range(200, 205)]
    assert coded(coding({"accounts.csv": text}, books(accounts=chart)), line).account_code == code


def test_two_rows_that_fit_equally_well_are_both_named() -> None:
    """Nobody can say which is meant, so nobody guesses."""
    text = ACCOUNTS + ",sales,product,Cloud,,200,\n,sales,product,,DOCK-USBC,870,\n"
    found = problem(coding({"accounts.csv": text}), draft(category=CLOUD, item=DOCK))
    assert (found.reason, found.value) == (Reason.AMBIGUOUS_MAPPING, "product/Cloud/DOCK-USBC")
    assert found.message == "accounts.csv row 2 and accounts.csv row 3 both fit the line 'USB-C dock'."
    assert found.fix == "Make accounts.csv row 2 or accounts.csv row 3 more specific, or remove one."


def test_the_line_to_paste_names_the_first_alternative() -> None:
    """The subcategory, and the item, so that it fits this line and no other."""
    found = problem(coding({"accounts.csv": ACCOUNTS}), draft(category=CLOUD, item=DOCK))
    assert found.value == "product/Cloud/DOCK-USBC"
    assert found.message == (
        "No row of accounts.csv fits kind product, category Cloud, item DOCK-USBC (line 'USB-C dock')."
    )
    assert found.fix == "Add to accounts.csv: Sydney,sales,product,Cloud,DOCK-USBC,<account_code>,"
    without = problem(coding({"accounts.csv": ACCOUNTS}), draft(category=(NOTHING, Value(30, ("Services",)))))
    assert without.value == "product/Services"
    assert problem(coding({"taxes.csv": TAXES}), draft(taxable=False)).value == "GST/no"


# Items

SOLD = item("DOCK", SalesDetails={"AccountCode": "200"}, PurchaseDetails={"AccountCode": "300"})
STOCK = item("STOCK", InventoryAssetAccountCode="630", PurchaseDetails={"AccountCode": "300", "COGSAccountCode": "310"})
CHART = [account("200"), account("300", kind="EXPENSE"), account("630", kind="ASSET"), account("870", kind="LIABILITY")]


@pytest.mark.parametrize(
    ("side", "cells", "codes"),
    [
        ("sales", "870,DOCK", ("870", "DOCK")),
        ("sales", ",DOCK", ("200", "DOCK")),
        ("purchases", ",DOCK", ("300", "DOCK")),
        ("purchases", ",STOCK", ("630", "STOCK")),
        ("sales", "200,", ("200", "")),
    ],
)
def test_an_item_goes_along_with_its_account(side: str, cells: str, codes: tuple[str, str]) -> None:
    """The row's own account first, else the item's for this side: it is sent, whatever Xero's default becomes."""
    files = {"accounts.csv": f"{ACCOUNTS},,product,,,{cells}\n", "taxes.csv": TAXES + ",,,,OUTPUT\n"}
    found = coding(files, books(accounts=CHART, items=[SOLD, STOCK]), side)
    line = coded(found)
    assert (line.account_code, line.item_code) == codes


ITEM_HELD: dict[str, tuple[Iterable[Item], str, Reason, str, str, str, tuple[XeroList, ...]]] = {
    "an item that Xero does not have": (
        [SOLD], "200,DOCKS", Reason.MISSING_ITEM, "DOCKS",
        "accounts.csv row 2 names the item DOCKS, which Sydney does not have.",
        "Correct item_code in accounts.csv row 2, or the item in Xero.", (XeroList.ITEMS,),
    ),
    "an item that is not sold": (
        [item("DOCK", IsSold=False)], "200,DOCK", Reason.MISSING_ITEM, "DOCK",
        "accounts.csv row 2 names the item DOCK, which Sydney does not sell.",
        "Correct item_code in accounts.csv row 2, or the item in Xero.", (XeroList.ITEMS,),
    ),
    "an item without an account": (
        [item("DOCK")], ",DOCK", Reason.MISSING_ACCOUNT, "product",
        "accounts.csv row 2 names no account (line 'USB-C dock').", "Fill account_code in accounts.csv row 2.", (),
    ),
    "an item whose account is gone": (
        [item("DOCK", SalesDetails={"AccountCode": "999"})], ",DOCK", Reason.MISSING_ACCOUNT, "999",
        "accounts.csv row 2 names account 999, which does not exist in Sydney.",
        "Correct account_code in accounts.csv row 2, or the account in Xero.", (XeroList.ACCOUNTS,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ITEM_HELD)
def test_an_item_that_cannot_be_used_is_held(case: str) -> None:
    """With the row to correct and the list of Xero that could cure it; nothing half of it is sent."""
    items, cells, *told = ITEM_HELD[case]
    found = coding({"accounts.csv": f"{ACCOUNTS},,product,,,{cells}\n"}, books(items=items))
    only = problem(found)
    assert [only.reason, only.value, only.message, only.fix, only.waits_on] == told
    line = found.line(draft())
    assert (line.account_code, line.item_code) == ("", "")


def test_on_the_other_side_it_must_be_bought() -> None:
    """An item may be sold and not bought, or bought and not sold."""
    files = {"accounts.csv": f"{ACCOUNTS},,product,,,200,DOCK\n", "taxes.csv": TAXES + ",,,,OUTPUT\n"}
    only_sold = books(items=[item("DOCK", IsPurchased=False)])
    assert coded(coding(files, only_sold)).item_code == "DOCK"
    assert problem(coding(files, only_sold, "purchases")).message.endswith("which Sydney does not buy.")
    assert coded(coding(files, books(items=[item("DOCK", IsSold=False)]), "purchases")).item_code == "DOCK"


# Tax types


@pytest.mark.parametrize(
    ("line", "tax_code", "tax_type"),
    [
        (draft(), GST, "OUTPUT"),
        (draft(taxable=False), GST, "EXEMPTOUTPUT"),
        (draft(), Value(6, ("Export",)), "EXPORT"),
        (draft(taxable=False), Value(6, ("Export",)), "EXPORT"),
        (draft(), Value(6), "OUTPUT"),
        (draft(), NOTHING, "REDUCED"),
        (draft(taxable=False), NOTHING, "EXEMPTOUTPUT"),
    ],
)
def test_the_tax_type_follows_the_tax_code_and_the_line(line: Draft, tax_code: Value, tax_type: str) -> None:
    """`(none)` is a document without a tax code."""
    text = (
        TAXES + ",sales,,yes,OUTPUT\n,sales,,no,EXEMPTOUTPUT\nSydney,sales,Export,,EXPORT\n,sales,(none),yes,REDUCED\n"
    )
    rates = [tax_rate("OUTPUT", "10"), tax_rate("EXEMPTOUTPUT", "0"), tax_rate("EXPORT", "0"), tax_rate("REDUCED", "5")]
    found = coded(coding({"taxes.csv": text}, books(tax_rates=rates), tax_code=tax_code), line)
    assert found.tax_type == tax_type
    percent = {"OUTPUT": "9.90", "REDUCED": "4.95"}
    assert found.tax == Decimal(percent.get(tax_type, "0"))


CLASSES = ["ASSET", "EQUITY", "EXPENSE", "LIABILITY", "REVENUE"]


@pytest.mark.parametrize("own", CLASSES)
@pytest.mark.parametrize("forbidden", ["Assets", "Equity", "Expenses", "Liabilities", "Revenue"])
def test_a_tax_type_must_be_allowed_on_the_class_of_the_account(own: str, forbidden: str) -> None:
    """As Xero has it; both cures are named, and both lists could bring one."""
    refuses: dict[str, Any] = {f"CanApplyTo{forbidden}": False}
    there = books(accounts=[account("200", kind=own)], tax_rates=[tax_rate("OUTPUT", "10", **refuses)])
    found = coding(there=there)
    found.line(draft())
    if CLASSES.index(own) != ["Assets", "Equity", "Expenses", "Liabilities", "Revenue"].index(forbidden):
        assert found.problems == []
        return
    (only,) = found.problems
    assert (only.reason, only.value) == (Reason.MISSING_TAX, "OUTPUT")
    assert only.message == f"Xero does not allow the tax type OUTPUT on account 200 ({forbidden.lower()})."
    assert only.waits_on == (XeroList.TAX_RATES, XeroList.ACCOUNTS)


def test_two_rates_on_one_document_are_summed_and_cents_placed_on_the_largest_taxed_line() -> None:
    """Lines whose rate is nothing take no cents, however large they are."""
    text = TAXES + ",sales,,no,EXEMPTOUTPUT\n,sales,Export,yes,OUTPUT\n,sales,GST,yes,REDUCED\n"
    there = books(tax_rates=[tax_rate("OUTPUT", "10"), tax_rate("EXEMPTOUTPUT", "0"), tax_rate("REDUCED", "2.5")])
    found = coding({"taxes.csv": text}, there)
    lines = [found.line(draft(price="10.00")), found.line(draft(price="30.10"))]
    lines.append(found.line(draft(price="999.00", taxable=False)))
    found.tax_code = Value(6, ("Export",))
    lines.append(found.line(draft(price="20.00")))
    assert [str(line.tax) for line in lines] == ["0.25", "0.75", "0.00", "2.00"]
    placed = found.with_tax(list(lines), Decimal("2.98"))
    assert [(str(line.tax), line.tax_amount) for line in placed] == [
        ("0.25", None), ("0.74", Decimal("0.74")), ("0.00", None), ("1.99", Decimal("1.99")),
    ]  # fmt: skip
    assert sum(line.tax for line in placed) == Decimal("2.98")
    assert found.problems == []
    assert found.with_tax(list(lines), Decimal("3.04")) == lines
    assert found.problems[0].message == (
        "ConnectWise says 3.04 tax; REDUCED, EXEMPTOUTPUT, OUTPUT in Sydney would make it 3.00."
    )


def test_an_organisation_without_a_single_active_tax_rate_is_said_to_have_none() -> None:
    """Instead of an empty list of names."""
    found = problem(coding(there=books(tax_rates=[tax_rate("OUTPUT", "10", "DELETED")])))
    assert found.message == "taxes.csv row 2 names the tax type 'OUTPUT', which Sydney does not have any more."
    assert found.fix == "Correct tax_type in taxes.csv row 2. Sydney has none."


# Purchases

BOUGHT = {
    "accounts.csv": f"{ACCOUNTS},purchases,product,,,310,\n,purchases,product,Hardware,,720,\n",
    "taxes.csv": f"{TAXES},purchases,,yes,INPUT\n,purchases,,no,EXEMPTEXPENSES\n,sales,,,OUTPUT\n",
}
IMPORTS: dict[str, Any] = {f"CanApplyTo{name}": False for name in ("Assets", "Expenses", "Revenue")}
PURCHASES = books(
    accounts=[account("310", kind="EXPENSE", TaxType="INPUT"), account("720", kind="ASSET", TaxType="CAPEXINPUT")],
    tax_rates=[
        tax_rate("INPUT", "10", CanApplyToRevenue=False),
        tax_rate("CAPEXINPUT", "10", CanApplyToRevenue=False),
        tax_rate("EXEMPTEXPENSES", "0", CanApplyToRevenue=False),
        tax_rate("OUTPUT", "10", CanApplyToExpenses=False),
        tax_rate("GSTONIMPORTS", "0", **IMPORTS),
    ],
)
HARDWARE = (Value(31, ("Hardware",)),)


@pytest.mark.parametrize(
    ("line", "coded_as"),
    [
        (draft(), ("310", "INPUT", "9.90")),
        (draft(taxable=False), ("310", "EXEMPTEXPENSES", "0.00")),
        (draft(category=HARDWARE), ("720", "INPUT", "9.90")),
    ],
)
def test_what_is_bought_goes_to_expenses_or_assets_under_a_purchase_tax_type(
    line: Draft, coded_as: tuple[str, str, str]
) -> None:
    """By the rows for purchases alone."""
    found = coded(coding(BOUGHT, PURCHASES, "purchases"), line)
    assert (found.account_code, found.tax_type, str(found.tax)) == coded_as


@pytest.mark.parametrize("kind", ["ASSET", "EQUITY", "EXPENSE", "LIABILITY", "REVENUE"])
def test_a_bill_may_use_an_account_of_any_class(kind: str) -> None:
    """A supplier may be paid for a deposit, for a loan, or give revenue back; what is odd, the check of tables says."""
    there = books(accounts=[account("310", kind=kind)], tax_rates=[tax_rate("INPUT", "10")])
    assert coded(coding(BOUGHT, there, "purchases")).account_code == "310"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"Type": "BANK"}, "is a bank account"),
        ({"SystemAccount": "CREDITORS"}, "is a system account"),
        ({"Status": "ARCHIVED"}, "is archived"),
    ],
)
def test_a_bill_never_uses_the_bank_what_is_payable_or_what_is_archived(fields: dict[str, str], refusal: str) -> None:
    there = books(accounts=[account("310", kind="LIABILITY", **fields)], tax_rates=[tax_rate("INPUT", "10")])
    found = problem(coding(BOUGHT, there, "purchases"))
    assert (found.reason, found.value) == (Reason.MISSING_ACCOUNT, "310")
    assert found.message == f"accounts.csv row 2 names account 310, which {refusal} in Sydney."


@pytest.mark.parametrize("tax_type", ["OUTPUT", "GSTONIMPORTS"])
@pytest.mark.parametrize("leave_gaps", [False, True])
def test_a_tax_type_of_sales_or_of_imports_alone_is_held_on_an_expense(tax_type: str, leave_gaps: bool) -> None:
    """A row that is wrong is no gap."""
    files = BOUGHT | {"taxes.csv": f"{TAXES},purchases,,,{tax_type}\n"}
    found = problem(coding(files, PURCHASES, "purchases", leave_gaps=leave_gaps))
    assert found.message == f"Xero does not allow the tax type {tax_type} on account 310 (expenses)."


# Gaps that are left for the bookkeeper (policy: draft_gaps)

GAPS = BOUGHT | {
    "taxes.csv": f"{TAXES},purchases,Other,,INPUT\n",
    "tracking.csv": f"{TRACKING},,location,x,Region,North\n",
}


@pytest.mark.parametrize(
    ("line", "code", "tax"), [(draft(), "310", "9.90"), (draft(category=HARDWARE, taxable=False), "720", "9.90")]
)
def test_a_line_whose_tax_and_tracking_have_no_row_is_left_blank_and_taxed_as_its_account_is(
    line: Draft, code: str, tax: str
) -> None:
    """Xero fills in the account's own rate: the total is foreseen, and nothing of it is sent."""
    found = coding(GAPS, PURCHASES, "purchases", leave_gaps=True, location=Value(11, ("Sydney",)))
    left = coded(found, line)
    assert (left.account_code, left.tax_type, str(left.tax), left.tracking) == (code, "", tax, ())
    assert not {"TaxType", "TaxAmount", "Tracking"} & left.body().keys()
    assert [str(row) for row in found.rows] == [f"accounts.csv row {2 if code == '310' else 3}"]


def test_without_leave_to_do_so_no_gap_is_left() -> None:
    """The same line."""
    found = coding(GAPS, PURCHASES, "purchases", location=Value(11, ("Sydney",)))
    found.line(draft())
    assert [each.reason for each in found.problems] == [Reason.MISSING_TAX, Reason.MISSING_TRACKING]


def test_rows_that_are_there_are_used_where_gaps_may_be_left() -> None:
    """A gap is what the tables do not say, and nothing else."""
    files = BOUGHT | {"tracking.csv": NORTH_IN_SYDNEY}
    there = replace(PURCHASES, tracking={"region": REGION})
    found = coding(files, there, "purchases", leave_gaps=True, location=Value(11, ("Sydney",)))
    line = coded(found, draft(taxable=False))
    assert (line.tax_type, str(line.tax), line.tracking) == ("EXEMPTEXPENSES", "0.00", (("Region", "North"),))


@pytest.mark.parametrize(
    ("files", "reason", "value"),
    [
        ({"accounts.csv": ACCOUNTS}, Reason.MISSING_ACCOUNT, "product"),
        ({"accounts.csv": f"{ACCOUNTS},purchases,,,,999,\n"}, Reason.MISSING_ACCOUNT, "999"),
        ({"taxes.csv": f"{TAXES},purchases,,,NOSUCH\n"}, Reason.MISSING_TAX, "NOSUCH"),
        ({"taxes.csv": f"{TAXES},purchases,,,\n"}, Reason.MISSING_TAX, ""),
        ({"taxes.csv": f"{TAXES},purchases,GST,,INPUT\n,purchases,,yes,INPUT\n"}, Reason.AMBIGUOUS_MAPPING, "GST/yes"),
        ({"tracking.csv": f"{TRACKING},,location,Sydney,Region,West\n"}, Reason.MISSING_TRACKING, "Region/West"),
        ({"tracking.csv": f"{TRACKING},,location,Sydney,Team,North\n"}, Reason.MISSING_TRACKING, "Team"),
    ],
)
def test_what_is_wrong_or_ambiguous_is_held_where_gaps_may_be_left(
    files: dict[str, str], reason: Reason, value: str
) -> None:
    """Also a missing account: no bill can do without."""
    there = replace(PURCHASES, tracking={"region": REGION})
    found = problem(
        coding(GAPS | files, there, "purchases", leave_gaps=True, location=Value(11, ("Sydney",))),
    )
    assert (found.reason, found.value) == (reason, value)


@pytest.mark.parametrize("tax_type", ["", "NOSUCH", "GONE", "OUTPUT"])
def test_a_gap_that_xero_could_not_fill_is_held(tax_type: str) -> None:
    """No default on the account, one that is unknown or deleted, or one that Xero does not allow there."""
    rates = [*PURCHASES.tax_rates.values(), tax_rate("GONE", "10", "DELETED")]
    there = books(accounts=[account("310", kind="EXPENSE", TaxType=tax_type)], tax_rates=rates)
    found = problem(coding(GAPS, there, "purchases", leave_gaps=True))
    assert (found.reason, found.fix) == (
        Reason.MISSING_TAX, "Add to taxes.csv: Sydney,purchases,GST,yes,<tax_type>",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("own", "tax"), [({}, "9.90"), ({"TaxType": "EXEMPTEXPENSES"}, "0.00"), ({"TaxType": "OUTPUT"}, None)]
)
def test_the_tax_of_an_item_fills_a_gap_before_that_of_its_account(own: dict[str, str], tax: str | None) -> None:
    """As Xero does (7.1: the item's defaults apply); its tax for sales counts for nothing here."""
    dock = item("DOCK", SalesDetails={"TaxType": "OUTPUT"}, PurchaseDetails={"AccountCode": "310", **own})
    files = GAPS | {"accounts.csv": f"{ACCOUNTS},purchases,,,,,DOCK\n"}
    found = coding(files, replace(PURCHASES, items={"DOCK": dock}), "purchases", leave_gaps=True)
    line = found.line(draft())
    assert (line.account_code, line.item_code, line.tax_type) == ("310", "DOCK", "")
    assert [each.reason for each in found.problems] == ([] if tax else [Reason.MISSING_TAX])
    assert str(line.tax) == (tax or "0")


# Tracking

REGION = category("Region", "North", "South")
NORTH_IN_SYDNEY = TRACKING + ",,location,Sydney,Region,North\n,,location,Perth,Region,South\n"


@pytest.mark.parametrize(
    ("own", "header", "option"),
    [
        (Value(12, ("Perth",)), Value(11, ("Sydney",)), "South"),
        (NOTHING, Value(11, ("Sydney",)), "North"),
        (Value(12), Value(11, ("Sydney",)), "South"),
        (Value(12, ("Perth",)), NOTHING, "South"),
        (NOTHING, Value(11), "North"),
        (Value.text("Perth"), Value(11), "South"),
        (NOTHING, NOTHING, None),
    ],
)
@pytest.mark.parametrize("source", ["location", "department"])
def test_the_lines_own_place_comes_before_the_headers(
    source: str, own: Value, header: Value, option: str | None
) -> None:
    """By name even where the row or the header gives no more than an id."""
    related = Related(
        locations={11: Location(id=11, name="Sydney"), 12: Location(id=12, name="Perth")},
        departments={11: Department(id=11, name="Sydney"), 12: Department(id=12, identifier="Perth")},
    )
    text = NORTH_IN_SYDNEY.replace(",location,", f",{source},")
    on_header: dict[str, Any] = {source: header}
    on_line: dict[str, Any] = {source: own}
    found = coding({"tracking.csv": text}, books(tracking=[REGION]), related=related, **on_header)
    line = coded(found, draft(**on_line))
    assert line.tracking == ((("Region", option),) if option else ())
    assert [str(row) for row in found.rows if row.file == "tracking.csv"] == (
        [f"tracking.csv row {2 if option == 'North' else 3}"] if option else []
    )


@pytest.mark.parametrize(
    ("kind", "source", "options"),
    [
        ("service", "category", ()),
        ("service", "work_type", (("Region", "North"),)),
        ("expense", "category", (("Region", "North"),)),
        ("product", "category", (("Region", "North"),)),
        ("agreement", "category", (("Region", "North"),)),
    ],
)
def test_the_category_of_time_is_its_work_type_a_source_of_its_own(
    kind: str, source: str, options: tuple[tuple[str, str], ...]
) -> None:
    """What accounts.csv calls the category of a service is no category in tracking.csv."""
    same = Value(1, ("Remote",))
    line = draft(kind, category=(same,), work_type=same if kind == "service" else NOTHING)
    files = {"tracking.csv": f"{TRACKING},,{source},Remote,Region,North\n"}
    assert coded(coding(files, books(tracking=[REGION])), line).tracking == options


def test_tracking_may_differ_from_line_to_line_and_by_side() -> None:
    """Amounts are never divided; each line has its own."""
    rows = ",purchases,staff,Ada,Region,South\n,sales,staff,Ada,Region,North\n,sales,staff,Tom,Region,South\n"
    taxes = {"taxes.csv": TAXES + ",,,,OUTPUT\n", "accounts.csv": ACCOUNTS + ",,,,,200,\n"}
    files = {"tracking.csv": TRACKING + rows, **taxes}
    ada, tom = draft(staff=Value(2, ("ada", "Ada Lee"))), draft(staff=Value(3, ("tom", "Tom")))
    sales, purchases = (coding(files, books(tracking=[REGION]), side) for side in ("sales", "purchases"))
    assert [coded(sales, line).tracking for line in (ada, tom)] == [(("Region", "North"),), (("Region", "South"),)]
    assert coded(purchases, ada).tracking == (("Region", "South"),)


@pytest.mark.parametrize(
    ("item_cell", "known"), [("", False), ("*", False), ("(none)", False), ("DOCK-USBC", True), ("301", True)]
)
def test_a_category_that_is_not_shown_does_not_matter_to_a_row_for_the_item(item_cell: str, known: bool) -> None:
    """Any other row might give way to one for the category, if that were known."""
    text = f"{ACCOUNTS},sales,product,Cloud,,870,\n,sales,product,,{item_cell},200,\n"
    own = NOTHING if item_cell == "(none)" else DOCK
    found = coding({"accounts.csv": text})
    line = found.line(draft(item=own, category_unknown="catalogue item DOCK-USBC"))
    assert line.account_code == ("200" if known else "")
    assert bool(found.problems) is not known


def test_a_category_that_is_not_shown_matters_only_where_tracking_asks_for_it() -> None:
    """What hangs on the place of a line is known all the same."""
    hidden = draft(category_unknown="catalogue item DOCK")
    for source, held_back in (("location", False), ("category", True)):
        files = {"tracking.csv": f"{TRACKING},,{source},Sydney,Region,North\n"}
        found = coding(files, books(tracking=[REGION]), location=Value(11, ("Sydney",)))
        found.line(hidden)
        assert bool(found.problems) is held_back


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ("Work", "'Work'"),
        ("x" * 60, f"'{'x' * 60}'"),
        ("x" * 61, f"'{'x' * 60}…'"),
        ("First\nsecond", "'First…'"),
        ("It's", '"It\'s"'),
    ],
)
def test_a_line_is_named_by_the_beginning_of_its_description(description: str, named: str) -> None:
    """One line, sixty characters."""
    assert short(draft(description=description)) == named


def test_the_smallest_tables_know_every_kind_of_a_sales_document() -> None:
    """The sample tables are complete, so that a test that holds is held for its own reason."""
    for kind in ("product", "service", "expense", "agreement", "adjustment", "progress", "special", "rounding"):
        assert coded(coding(), draft(kind)).account_code == "200"
    assert FILES["accounts.csv"].count("\n") == 10
