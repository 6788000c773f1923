"""The reports on what was billed on, against both systems: margin, and the match of each line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import ON_BILLING, OUTCOMES, RECORDS, REQUESTS, TRACED_ORDERS
from deployments.sandbox.wire import Fault, Request, Response
from flows.reporting import make_report
from mappings.reports import COLUMNS, TOTALS, Report
from tests.worlds import World

OFF = '[families]\npurchase_orders = "off"'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that buys."""
    return World(tmp_path).ready_to_buy()


def report(world: World, name: str) -> Report:
    """A report: it only reads, and writes no more than what was traced."""
    before = world.snapshot(), [world.rows(table) for table in (OUTCOMES, RECORDS, REQUESTS)]
    with world.watching() as seen:
        made = make_report(name, world.doors, None, None, lambda _text: None)
    assert (world.snapshot(), [world.rows(table) for table in (OUTCOMES, RECORDS, REQUESTS)]) == before
    assert all(call.startswith("GET") for call in [*seen.xero, *seen.connectwise])
    assert all(tuple(row) == COLUMNS[name] for row in made.rows)
    assert all(tuple(row) == TOTALS[name] for row in made.totals)
    return made


def rows(world: World, name: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in report(world, name).rows]


def sold(world: World, number: str, quantity: str, price: str, order: int | None = None, **fields: Any) -> int:
    """An invoice of one product, sold by this sales order."""
    product = {"catalogItem": "SWITCH", "quantity": Decimal(quantity), "price": Decimal(price), "taxableFlag": True}
    product |= {"description": "Switch"} | ({"salesOrder": order} if order else {})
    return world.add_invoice(number, time=[], products=[product | fields.pop("product", {})], **fields)


def received(world: World, number: str, *lines: tuple[str, str, str], sales_order: int | None = None, **f: Any) -> int:
    order = world.add_order(number, *lines, **f)
    for line in world.order_lines(order):
        if sales_order:
            world.connectwise.edit_order_line(line, salesOrder=[sales_order])
        world.connectwise.receive_line(line)
    return order


def test_what_was_bought_for_a_sales_order_is_billed_on_for_certain_and_the_rest_was_never_charged(
    world: World,
) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    order = received(world, "PO7", sales_order=sales)
    other = received(world, "PO8", ("CABLE", "100", "2.50"))
    invoice = sold(world, "40001", "10", "150", sales)
    made = report(world, "margin")
    assert made.rows == (
        {
            "po_number": "PO7", "po_connectwise_id": order, "invoice_number": "40001",
            "invoice_connectwise_id": invoice, "cost": "1000.00", "revenue": "1500.00", "margin": "500.00",
            "certainty": "certain", "customer": "Acme Pty Ltd", "cost_currency": "", "revenue_currency": "",
        },
        {
            "po_number": "PO8", "po_connectwise_id": other, "invoice_number": "", "invoice_connectwise_id": None,
            "cost": "250.00", "revenue": "0.00", "margin": "-250.00", "certainty": "", "customer": "",
            "cost_currency": "", "revenue_currency": "",
        },
    )  # fmt: skip
    assert "Bought but never charged: 250.00, on PO8." in made.notes
    assert [(each["customer"], each["po_number"], each["margin"], each["never_charged"]) for each in made.totals] == [
        ("", "", "-250.00", "250.00"),
        ("", "PO8", "-250.00", "250.00"),
        ("Acme Pty Ltd", "", "500.00", "0.00"),
        ("Acme Pty Ltd", "PO7", "500.00", "0.00"),
    ]


def test_a_part_that_was_billed_on_leaves_the_rest_never_charged_and_is_no_more_than_likely(world: World) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    received(world, "PO7", sales_order=sales)
    sold(world, "40001", "4", "150", sales)
    columns = ("invoice_number", "cost", "revenue", "certainty")
    assert rows(world, "margin", *columns) == [
        ("40001", "400.00", "600.00", "likely"), ("", "600.00", "0.00", ""),
    ]  # fmt: skip


def test_what_is_sold_and_not_invoiced_yet_is_never_charged_so_far(world: World) -> None:
    received(world, "PO7")
    assert rows(world, "margin", "po_number", "invoice_number", "cost") == [("PO7", "", "1000.00")]


def test_nothing_that_only_was_ordered_is_a_cost_yet(world: World) -> None:
    world.add_order("PO7")
    assert report(world, "margin").rows == ()


def test_unlike_currencies_are_shown_and_not_subtracted(world: World) -> None:
    for code in ("USD", "AUD"):
        world.connectwise.add_currency(code)
    sales = world.connectwise.add_sales_order("ACME")
    received(world, "PO7", sales_order=sales, currency="USD")
    sold(world, "40001", "10", "150", sales, currency="AUD")
    made = report(world, "margin")
    (row,) = made.rows
    assert (row["cost"], row["cost_currency"], row["revenue"], row["revenue_currency"], row["margin"]) == (
        "1000.00", "USD", "1500.00", "AUD", "",
    )  # fmt: skip
    assert any("PO7 are of different currencies" in note for note in made.notes)
    assert {each["margin"] for each in made.totals} == {""}


def test_what_was_traced_is_kept_and_made_anew_each_time(world: World) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    order = received(world, "PO7", sales_order=sales)
    invoice = sold(world, "40001", "10", "150", sales)
    for _ in range(2):
        report(world, "margin")
        (kept,) = world.rows(ON_BILLING)
        assert (kept["order_id"], kept["invoice_id"], kept["quantity"], kept["certainty"], kept["evidence"]) == (
            order, invoice, "10", "certain", f"same sales order {sales}, catalogue item",
        )  # fmt: skip
        assert [row["connectwise_id"] for row in world.rows(TRACED_ORDERS)] == [order]
    world.connectwise.edit_order_line(world.order_lines(order)[0], salesOrder=[])
    report(world, "margin")
    (kept,) = world.rows(ON_BILLING)
    assert kept["certainty"] == "likely", "the same item sold afterwards is all that is left"


def test_products_are_read_in_a_few_calls_and_closed_orders_once(world: World) -> None:
    for number in range(30):
        sales = world.connectwise.add_sales_order("ACME")
        order = received(world, f"PO{number}", sales_order=sales)
        world.connectwise.close_purchase_order(order)
        sold(world, f"4{number:04}", "10", "150", sales)
    cycle(world)
    with world.watching() as seen:
        first = report(world, "margin")
    assert len([call for call in seen.connectwise if call == "GET /procurement/products"]) <= 4
    with world.watching() as seen:
        assert report(world, "margin") == first
    assert not [call for call in seen.connectwise if call.endswith("/lineitems")]
    assert {row["certainty"] for row in first.rows} == {"certain"}


def cycle(world: World) -> None:
    summary = world.cycle()
    assert not summary.failed, summary.failed


def test_an_order_that_comes_later_and_wants_the_same_product_leaves_nothing_certain(world: World) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    world.connectwise.close_purchase_order(received(world, "PO7", sales_order=sales))
    sold(world, "40001", "10", "150", sales)
    cycle(world)
    assert rows(world, "margin", "po_number", "certainty") == [("PO7", "certain")]
    received(world.later(), "PO8", sales_order=sales)
    assert rows(world, "margin", "po_number", "invoice_number", "certainty") == [
        ("PO7", "40001", "likely"), ("PO8", "", ""),
    ]  # fmt: skip


# The system report


def test_the_simulated_report_names_line_and_product(world: World) -> None:
    order = received(world, "PO7")
    for number in ("40001", "40002"):
        invoice = sold(world, number, "5", "150")
        product = world.connectwise.rows("product", invoice)[0]["id"]
        world.connectwise.buy_for(world.order_lines(order)[0], product)
    assert rows(world, "margin", "invoice_number", "cost", "certainty") == [
        ("40001", "500.00", "certain"), ("40002", "500.00", "certain"),
    ]  # fmt: skip


def system_report(world: World, *names: str, rows: list[list[Any]], status: int = 200) -> None:
    """Have ConnectWise answer its system report so."""
    definitions = [{name: {"type": "Numeric"}} for name in names]

    def plan(request: Request, _number: int) -> Fault | None:
        if "/system/reports/" not in request.path:
            return None
        body: Any = definitions if request.path.endswith("/columns") else {
            "column_definitions": definitions, "row_values": rows,
        }  # fmt: skip
        if status != 200:
            body = {"code": "Forbidden", "message": "You do not have security permission to perform this action."}
        return Fault("before", Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode()))

    world.to_connectwise.plan = plan


def test_the_system_report_says_which_product_a_line_was_bought_for(world: World) -> None:
    order = received(world, "PO7")
    sold(world, "40001", "10", "150")
    other = sold(world, "40002", "10", "200")
    (line,) = world.order_lines(order)
    product = world.connectwise.rows("product", other)[0]["id"]
    system_report(
        world, "purchase_Header_recid", "purchase_detail_recid", "IV_Product_RecID", rows=[[order, line, product]]
    )
    assert rows(world, "margin", "invoice_number", "certainty") == [("40002", "certain")]


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (("purchase_header_recid", "purchase_detail_recid", "quantity"), 200, "has no column for product"),
        (("purchase_header_recid",), 403, "was not read"),
        (("purchase_header_recid",), 404, "was not read"),
    ],
)
def test_without_the_system_report_sales_orders_are_the_evidence_and_the_report_says_so(
    world: World, names: tuple[str, ...], status: int, words: str
) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    received(world, "PO7", sales_order=sales)
    sold(world, "40001", "10", "150", sales)
    system_report(world, *names, rows=[], status=status)
    made = report(world, "margin")
    assert [row["certainty"] for row in made.rows] == ["certain"]
    assert words in made.notes[0]


# The match of each line


MATCH = ("po_number", "line", "ordered", "received", "billed", "price_variance", "quantity_variance", "on_billed")


def test_each_line_shows_ordered_received_billed_and_billed_on(world: World) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    order = received(world, "PO7", ("SWITCH", "10", "100"), ("CABLE", "4", "2.50"), sales_order=sales)
    sold(world, "40001", "10", "150", sales)
    assert rows(world, "purchase-match", *MATCH) == [
        ("PO7", 1, "10", "10", "0", "0.00", "-10", "10"), ("PO7", 2, "4", "4", "0", "0.00", "-4", "0"),
    ]  # fmt: skip
    cycle(world)
    made = report(world, "purchase-match")
    assert [tuple(row[name] for name in MATCH) for row in made.rows] == [
        ("PO7", 1, "10", "10", "10", "0.00", "0", "10"), ("PO7", 2, "4", "4", "4", "0.00", "0", "0"),
    ]  # fmt: skip
    assert [row["customer"] for row in made.rows] == ["Acme Pty Ltd"] * 2
    assert not any("not billed as received" in note for note in made.notes)
    assert made.totals[0]["customer"] == "Acme Pty Ltd"
    assert (made.totals[0]["received_value"], made.totals[0]["billed_value"]) == ("1010.00", "1010.00")
    assert made.rows[0]["po_connectwise_id"] == order


def test_a_price_and_a_quantity_that_a_person_changed_on_the_bill_are_variances(world: World) -> None:
    received(world, "PO7")
    cycle(world)
    (bill,) = world.bills()
    first, second = bill["LineItems"]
    edited = second | {"Quantity": 8, "UnitAmount": 110, "LineAmount": None, "TaxAmount": None}
    world.books.edit(bill["InvoiceID"], LineItems=[first, edited])
    made = report(world, "purchase-match")
    assert [tuple(row[name] for name in MATCH[4:7]) for row in made.rows] == [("8", "80.00", "-2")]
    assert any("1 of 1 lines are not billed as received" in note for note in made.notes)
    world.books.delete(bill["InvoiceID"])
    assert rows(world, "purchase-match", "billed") == [("0",)], "a removed bill bills nothing"


def test_a_line_received_in_parts_is_ordered_once(world: World) -> None:
    order = world.add_order("PO7")
    world.connectwise.receive_part(world.order_lines(order)[0], 3)
    found = rows(world, "purchase-match", "ordered", "received")
    assert found == [("3", "3"), ("7", "0")]


def test_bills_are_read_fifty_a_call(world: World) -> None:
    for number in range(60):
        received(world, f"PO{number}")
    cycle(world)
    with world.watching() as seen:
        report(world, "purchase-match")
    assert len(seen.xero) == 2


def test_reports_work_where_the_family_is_off(world: World) -> None:
    received(world, "PO7")
    world.policy(OFF)
    assert rows(world, "margin", "po_number") == [("PO7",)]
    assert rows(world, "purchase-match", "po_number") == [("PO7",)]
