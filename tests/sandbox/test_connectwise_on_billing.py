"""What the simulated ConnectWise shows of a cost that is billed on: sold products, sales orders, and one report."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deployments.sandbox.connectwise import ConnectWiseSwitches, SimulatedConnectWise
from tests.sandbox.test_connectwise import SPEC, Reader, Watch, _specification, closed, furnish

PRODUCTS = "/procurement/products"
REPORT = "/system/reports/PurchaseOrderWithLineItems"
LINE, ORDER, PRODUCT = "Purchase_Detail_RecID", "Purchase_Header_RecID", "IV_Product_RecID"


def tenant(**switches: Any) -> Reader:
    """A reader of a small tenant with a vendor and a sales order of Acme's."""
    system = SimulatedConnectWise(Watch(), ConnectWiseSwitches(**switches))
    furnish(system)
    system.add_company("DELL", "Dell", vendor_identifier="V-1")
    system.add_sales_order("ACME", id=801)
    return Reader(system)


@pytest.fixture
def reader() -> Reader:
    """A reader of that tenant as it is usually set up."""
    return tenant()


def ordered(system: SimulatedConnectWise, *quantities: int, **fields: Any) -> list[int]:
    """An order at Dell of so many cables each on a line of its own; the ids of the lines."""
    lines = [{"product": "CABLE", "quantity": quantity, "unitCost": 12} for quantity in quantities]
    order = system.add_purchase_order(vendorCompany="DELL", lines=lines, **fields)
    return [int(line["id"]) for line in system.rows("purchase_order_line", order)]


def sold(system: SimulatedConnectWise, quantity: int = 5, **fields: Any) -> int:
    """Cables sold to Acme and not invoiced yet."""
    return system.add_product("ACME", catalogItem="CABLE", quantity=quantity, **fields)


def report(reader: Reader, **query: Any) -> list[dict[str, Any]]:
    """The rows of the report by the names of its columns."""
    body = reader.read(REPORT, **query)
    names = [next(iter(one)) for one in body["column_definitions"]]
    return [dict(zip(names, row, strict=True)) for row in body["row_values"]]


# --- sold products


def test_a_product_is_sold_before_it_is_invoiced_and_billed_later(reader: Reader) -> None:
    """With its sales order, ticket, project, vendor and customer; the row is the same one before and after."""
    names: dict[str, Any] = {"salesOrder": 801, "ticket": "New office", "project": "Move", "vendor": "DELL"}
    row = sold(reader.system, price=20, cost=12, **names)
    before = reader.read(f"{PRODUCTS}/{row}")
    assert (before["company"]["identifier"], before["salesOrder"]["id"], before["vendor"]["name"]) == (
        "ACME",
        801,
        "Dell",
    )
    assert (before["ticket"]["summary"], before["project"]["name"]) == ("New office", "Move")
    assert [before[name] for name in ("quantity", "price", "cost", "extPrice", "extCost")] == [5, 20, 12, 100, 60]
    assert (before["catalogItem"]["identifier"], before["description"]) == ("CABLE", "Cable")
    assert "invoice" not in before
    invoice = closed(reader.system)
    reader.system.edit_row("product", row, invoice=invoice)
    assert reader.read(f"{PRODUCTS}/{row}")["invoice"]["id"] == invoice
    assert reader.read(f"/finance/invoices/{invoice}")["productTotal"] == 100


def test_products_are_found_by_sales_order_invoice_item_and_customer(reader: Reader) -> None:
    """Together and apart; a product that is on no invoice is found by that, too."""
    on_order = sold(reader.system, salesOrder=801)
    alone = sold(reader.system)
    invoice = closed(reader.system, products=[{"catalogItem": "CABLE", "salesOrder": 801}])
    (billed,) = (row["id"] for row in reader.system.rows("product", invoice))
    item = reader.read("/procurement/catalog")[0]["id"]

    def found(conditions: str) -> list[int]:
        return [one["id"] for one in reader.read(PRODUCTS, conditions=conditions, fields="id,invoice")]

    assert found("salesOrder/id in (801,802)") == [on_order, billed]
    assert found(f"invoice/id in ({invoice})") == [billed]
    assert found(f"catalogItem/id = {item}") == [on_order, alone, billed]
    assert found(f'catalogItem/id = {item} and company/identifier = "ACME" and salesOrder/id = null') == [alone]
    assert found("invoice/id = null") == [on_order, alone]


def test_an_order_line_names_its_sales_orders_and_no_product(reader: Reader) -> None:
    """The sold product that a line buys stands on neither record."""
    (line,) = ordered(reader.system, 5)
    reader.system.edit_order_line(line, salesOrder=[801])
    row = sold(reader.system, salesOrder=801)
    before = reader.read(f"{PRODUCTS}/{row}")
    reader.system.buy_for(line, row)
    (shown,) = reader.read("/procurement/purchaseorders/77/lineitems")
    assert [one["id"] for one in shown["salesOrder"]] == [801]
    assert shown["product"]["identifier"] == "CABLE"
    assert reader.read(f"{PRODUCTS}/{row}") == before


def test_several_orders_of_a_vendor_may_bear_one_vendor_invoice_number(reader: Reader) -> None:
    """And are found by it."""
    for quantity in (1, 2):
        ordered(reader.system, quantity)
    for order in (77, 78):
        reader.system.enter_vendor_invoice(order, "INV-500", date(2026, 3, 9))
    found = reader.read("/procurement/purchaseorders", conditions='vendorInvoiceNumber = "inv-500"')
    assert [one["id"] for one in found] == [77, 78]


# --- the report


def test_the_report_says_which_line_buys_which_product(reader: Reader) -> None:
    """A row for each of them; a line that buys none has one, too."""
    one, two, three = ordered(reader.system, 5, 4, 3)
    first, second = sold(reader.system), sold(reader.system, 2)
    reader.system.buy_for(one, first, 3)
    reader.system.buy_for(one, second)
    reader.system.buy_for(two, first, 2)
    rows = report(reader)
    assert [(row[LINE], row[PRODUCT]) for row in rows] == [(one, first), (one, second), (two, first), (three, None)]
    assert {row[ORDER] for row in rows} == {77}
    assert [row["Quantity"] for row in rows] == [5, 5, 4, 3]
    assert rows[0]["PO_Number"] == "77" and rows[0]["Item_ID"] == "CABLE" and rows[0]["itemunitcost"] == 12
    assert (rows[0]["Received"], rows[0]["Received_Qty"], rows[0]["received_status"]) == (False, 0, "Waiting")
    reader.system.not_buy_for(one, second)
    reader.system.delete_row("product", first)
    assert [(row[LINE], row[PRODUCT]) for row in report(reader)] == [(one, None), (two, None), (three, None)]


def test_the_quantity_of_the_report_is_the_lines_or_that_of_the_link() -> None:
    """Not known, so it is a switch."""
    for switch, quantities in (("of_the_line", [5, 3]), ("of_the_link", [2, 3])):
        reader = tenant(report_quantity=switch)
        line, _other = ordered(reader.system, 5, 3)
        reader.system.buy_for(line, sold(reader.system), 2)
        assert [row["Quantity"] for row in report(reader)] == quantities


def test_the_report_follows_receipts_and_a_cloned_rest_buys_nothing(reader: Reader) -> None:
    """Which of the two lines keeps the product is not confirmed."""
    (line,) = ordered(reader.system, 5)
    row = sold(reader.system)
    reader.system.buy_for(line, row)
    rest = reader.system.receive_part(line, 2, slip="PS-1")
    found = report(reader)
    assert [(one[LINE], one[PRODUCT]) for one in found] == [(line, row), (rest, None)]
    assert [(one["Received"], one["Received_Qty"]) for one in found] == [(True, 2), (False, 0)]
    assert found[0]["received_status"] == "PartiallyReceiveCloneRest"
    reader.system.delete_order_line(line)
    assert [one[LINE] for one in report(reader)] == [rest]


def test_the_report_takes_conditions_columns_order_and_pages(reader: Reader) -> None:
    """Columns come in the report's own order, whatever order they are asked for in."""
    lines = [*ordered(reader.system, 5, 4), *ordered(reader.system, 3)]
    row = sold(reader.system)
    reader.system.buy_for(lines[0], row)
    body = reader.read(REPORT, conditions=f"{ORDER} in (77)", columns=f"{LINE}, {PRODUCT.lower()}")
    assert body["column_definitions"] == [
        {PRODUCT: {"type": "Numeric", "isNullable": True, "identityColumn": False}},
        {LINE: {"type": "Numeric", "isNullable": False, "identityColumn": False}},
    ]
    assert body["row_values"] == [[row, lines[0]], [None, lines[1]]]
    assert [one[LINE] for one in report(reader, conditions=f"{PRODUCT} != null")] == [lines[0]]
    assert [one[LINE] for one in report(reader, orderBy=f"{LINE} desc")] == lines[::-1]
    answer = reader.ask(REPORT, pageSize=2, page=1)
    assert 'rel="next"' in answer.headers["Link"]
    assert [len(report(reader, pageSize=2, page=page)) for page in (1, 2, 3)] == [2, 1, 0]
    assert reader.read(f"{REPORT}/count", conditions=f"{ORDER} = 78") == {"count": 1}
    assert len(reader.read(f"{REPORT}/columns")) == 25


@pytest.mark.parametrize(
    "query", [{"columns": "Invoice_Number"}, {"conditions": "salesOrder/id = 801"}, {"pageSize": 1001}, {"page": 0}]
)
def test_the_report_refuses_what_it_does_not_know(reader: Reader, query: Any) -> None:
    assert reader.refusal(REPORT, **query)["code"] == "ConnectWiseApi"


def test_reports_are_listed_and_an_unknown_one_is_not_there(reader: Reader) -> None:
    """Nor is there paging by ids, which rows have not."""
    assert reader.read("/system/reports") == [{"name": "PurchaseOrderWithLineItems"}]
    assert reader.ask("/system/reports/Invoice").status == 404
    assert reader.ask(REPORT, forward=True).status == 400
    assert reader.system.reads[REPORT] == 1


def test_a_role_may_forbid_reports_and_hide_a_location() -> None:
    """The one by a node of its own; orders stay readable."""
    closed_off = tenant(forbidden_paths=frozenset({"/system/reports"}))
    ordered(closed_off.system, 5)
    assert closed_off.ask(REPORT).status == 403
    assert len(closed_off.read("/procurement/purchaseorders")) == 1
    half = tenant(role_hides_locations=frozenset({14}))
    hidden, seen = ordered(half.system, 5, location="Perth"), ordered(half.system, 5, location="Sydney")
    assert [row[LINE] for row in report(half)] == seen != hidden


def test_what_a_person_cannot_enter_is_refused(reader: Reader) -> None:
    (line,) = ordered(reader.system, 5)
    row = sold(reader.system)
    for quantity in (0, -1):
        with pytest.raises(ValueError, match="buys something"):
            reader.system.buy_for(line, row, quantity)
    for wrong in ((line, row + 1), (line + 1, row)):
        with pytest.raises(KeyError):
            reader.system.buy_for(*wrong)


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
def test_the_report_fits_the_api_description(reader: Reader) -> None:
    """But for its cells, which the description calls objects and which are plain values."""
    line, _other = ordered(reader.system, 5, 3)
    reader.system.buy_for(line, sold(reader.system, price=Decimal("9.99")))
    spec = _specification()
    spec["components"]["schemas"]["ReportDataResponse"]["properties"]["row_values"]["items"]["items"] = {}
    rule = {"components": spec["components"], "$ref": "#/components/schemas/ReportDataResponse"}
    found = json.loads(reader.ask(REPORT).body)
    Draft202012Validator(rule).validate(found)
    assert all(isinstance(cell, str | int | float | bool | None) for row in found["row_values"] for cell in row)
