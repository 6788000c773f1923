"""A record that ConnectWise does not show is not the same as none: what it would have said holds the invoice."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.invoices import to_xero_invoice
from mappings.outcomes import Reason
from tests.mappings.samples import books, category, held, invoice, mapped, product, surroundings, time

ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
BY_CATEGORY = ACCOUNTS + ",sales,product,,,200,\n,sales,product,Hardware,,200,\n,sales,agreement,Gold,,200,\n"
TRACKING = "organisation,side,source,value,tracking_category,option\n"
ITEM = ("catalog_items", 51)
AGREEMENT = ("agreements", 7)
ORDER = ("sales_orders", 9)


def with_item(**fields: Any) -> Any:
    return invoice([], [product(catalogItem={"id": 51, "identifier": "DOCK"})], **fields)


def under_agreement() -> Any:
    return invoice(agreementAmount=100, agreement={"id": 7, "name": "Managed services"})


def test_a_catalogue_item_that_is_not_shown_has_no_known_category() -> None:
    found = held(to_xero_invoice(with_item(), surroundings({"accounts.csv": BY_CATEGORY}, gone=[ITEM])))
    assert (found.reason, found.value) == (Reason.MISSING_ACCOUNT, "catalogue item DOCK")
    assert "ConnectWise does not show its catalogue item DOCK" in found.message
    assert mapped(to_xero_invoice(with_item(), surroundings({"accounts.csv": BY_CATEGORY})))


def test_an_agreement_that_is_not_shown_has_no_known_type() -> None:
    world = surroundings({"accounts.csv": f"{BY_CATEGORY},sales,agreement,,,200,\n"}, gone=[AGREEMENT])
    found = held(to_xero_invoice(under_agreement(), world))
    assert (found.reason, found.value) == (Reason.MISSING_ACCOUNT, "agreement Managed services")


def test_a_row_for_the_item_itself_needs_no_category() -> None:
    world = surroundings({"accounts.csv": f"{BY_CATEGORY},sales,product,,DOCK,200,\n"}, gone=[ITEM])
    assert mapped(to_xero_invoice(with_item(), world))


def test_without_categories_in_the_table_nobody_asks() -> None:
    world = surroundings({"accounts.csv": f"{ACCOUNTS},sales,product,,,200,\n"}, gone=[ITEM])
    assert mapped(to_xero_invoice(with_item(), world))


@pytest.mark.parametrize("source", ["category", "", "*"])
def test_tracking_by_category_waits_for_it_too(source: str) -> None:
    files = {
        "accounts.csv": f"{ACCOUNTS},sales,product,,,200,\n",
        "tracking.csv": f"{TRACKING},sales,{source},Hardware,Region,North\n",
    }
    sydney = books(tracking=[category("Region", "North")])
    found = held(to_xero_invoice(with_item(), surroundings(files, sydney=sydney, gone=[ITEM])))
    assert found.reason is Reason.MISSING_TRACKING
    assert any("its catalogue item DOCK" in each.message and "tracking.csv" in each.fix for each in found.problems)


@pytest.mark.parametrize(("rule", "reason"), [("sales_rep", Reason.MISSING_ORGANISATION), ("first_time_entry", None)])
def test_a_sales_order_that_is_not_shown_routes_nothing(rule: str, reason: Reason | None) -> None:
    """Only what was asked for can be missing: the other rules never ask for it."""
    world = surroundings({"policy.toml": f'[routing]\nstaff = "{rule}"\n'}, gone=[ORDER] if rule == "sales_rep" else [])
    result = to_xero_invoice(invoice([time()], salesOrder={"id": 9, "identifier": "SO-9"}), world)
    if reason is None:
        assert mapped(result)
    else:
        assert held(result).reason is reason and "does not show the sales order SO-9" in held(result).message
