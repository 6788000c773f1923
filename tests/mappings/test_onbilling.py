"""Which invoice line bills a bought line on, and how sure that is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import Invoice, PurchaseOrderLine, Reference, SoldProduct
from mappings.money import ZERO
from mappings.onbilling import Bought, Certainty, Sold, Told, Trace, bought_of, charged, on_billed, sold_of

CERTAIN, LIKELY = Certainty.CERTAIN, Certainty.LIKELY
SWITCH, CABLE, ACME, GLOBEX, NETGEAR, CABLECO = 1, 2, 101, 102, 201, 202
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


def bought(line: int = 1, quantity: str = "10", **fields: object) -> Bought:
    given = {
        "order_id": 77, "item_id": SWITCH, "vendor_id": NETGEAR, "customer_id": 0, "sales_orders": frozenset({801}),
        "ordered_on": MARCH,
    }  # fmt: skip
    return Bought(line_id=line, quantity=Decimal(quantity), **(given | fields))  # type: ignore[arg-type]


def sold(product: int = 7001, quantity: str = "10", **fields: object) -> Sold:
    given = {
        "invoice_id": 39001, "item_id": SWITCH, "sales_order_id": 801, "customer_id": ACME, "vendor_id": 0,
        "invoiced_on": APRIL,
    }  # fmt: skip
    return Sold(product_id=product, quantity=Decimal(quantity), **(given | fields))  # type: ignore[arg-type]


def traced(lines: list[Bought], products: list[Sold], told: list[Told] | None = None) -> dict[tuple[int, int], str]:
    found = on_billed(lines, products, told or [])
    return {(each.line_id, each.product_id): f"{each.quantity} {each.certainty}" for each in found}


def test_sales_order_and_catalogue_item_that_leave_one_product_are_certain() -> None:
    (trace,) = on_billed([bought()], [sold()])
    assert trace == Trace(77, 1, 7001, 39001, Decimal(10), CERTAIN, "same sales order 801, catalogue item")


def test_part_of_what_was_sold_may_come_from_elsewhere() -> None:
    assert traced([bought(quantity="4")], [sold()]) == {(1, 7001): "4 certain"}


def test_clones_of_a_line_share_one_product_for_certain() -> None:
    assert traced([bought(1, "3"), bought(2, "7")], [sold()]) == {(1, 7001): "3 certain", (2, 7001): "7 certain"}


def test_more_bought_than_sold_is_likely_and_the_rest_is_not_billed() -> None:
    assert traced([bought(1, "10")], [sold(quantity="8")]) == {(1, 7001): "8 likely"}


def test_two_lines_that_want_the_same_product_are_no_certainty() -> None:
    assert traced([bought(1), bought(2)], [sold()]) == {(1, 7001): "10 likely"}


def test_two_products_of_one_sales_order_are_likely_each_unit_once() -> None:
    products = [sold(7001, "4"), sold(7002, "6")]
    assert traced([bought()], products) == {(1, 7001): "4 likely", (1, 7002): "6 likely"}


def test_a_line_that_may_also_be_for_another_line_s_only_product_makes_that_one_likely() -> None:
    either = bought(1, sales_orders=frozenset({801, 802}))
    only = bought(2, sales_orders=frozenset({801}))
    found = traced([either, only], [sold(7001), sold(7002, sales_order_id=802)])
    assert set(found.values()) == {"10 likely"}


@pytest.mark.parametrize(
    ("line", "product"),
    [
        (bought(customer_id=GLOBEX), sold()),
        (bought(), sold(vendor_id=CABLECO)),
        (bought(), sold(sales_order_id=802)),
        (bought(), sold(item_id=CABLE)),
        (bought(item_id=0), sold(item_id=0)),
    ],
    ids=["customer", "vendor", "sales order", "item", "no item"],
)
def test_what_contradicts_is_no_match(line: Bought, product: Sold) -> None:
    assert traced([line], [product]) == {}


def test_without_a_sales_order_the_same_item_sold_afterwards_is_likely() -> None:
    stock = bought(sales_orders=frozenset())
    assert traced([stock], [sold(sales_order_id=0)]) == {(1, 7001): "10 likely"}
    assert traced([stock], [sold(sales_order_id=0, invoiced_on=date(2026, 2, 28))]) == {}
    assert traced([replace(stock, ordered_on=None)], [sold(sales_order_id=0)]) == {}


def test_sold_first_and_bought_then_fits_where_the_sales_order_ties_them() -> None:
    assert traced([bought()], [sold(invoiced_on=date(2026, 1, 5))]) == {(1, 7001): "10 certain"}


def test_the_customer_s_own_order_goes_before_stock() -> None:
    stock = bought(1, sales_orders=frozenset(), order_id=70, ordered_on=date(2026, 1, 1))
    hers = bought(2, sales_orders=frozenset(), customer_id=ACME)
    assert traced([stock, hers], [sold(sales_order_id=0)]) == {(2, 7001): "10 likely"}


def test_what_was_ordered_first_is_taken_to_be_sold_first() -> None:
    first, second = bought(1, sales_orders=frozenset()), bought(2, sales_orders=frozenset(), ordered_on=APRIL)
    found = traced([second, first], [sold(sales_order_id=0, quantity="12")])
    assert found == {(1, 7001): "10 likely", (2, 7001): "2 likely"}


def test_what_is_sold_but_not_invoiced_yet_takes_its_share_without_a_trace() -> None:
    waiting = sold(7001, invoice_id=0, invoiced_on=None)
    later = sold(7002, sales_order_id=0, quantity="5")
    assert traced([bought()], [waiting, later]) == {}


def test_the_system_report_is_certain_where_the_quantities_fit() -> None:
    told = [Told(1, 7002, Decimal(10))]
    products = [sold(7001), sold(7002, sales_order_id=0, item_id=CABLE)]
    (trace,) = on_billed([bought()], products, told)
    assert (trace.product_id, trace.certainty, trace.evidence) == (7002, CERTAIN, "the system report names both")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([Told(1, 7001)], {(1, 7001): "10 certain"}),
        ([Told(1, 7001, Decimal(4)), Told(1, 7001, Decimal(4))], {(1, 7001): "10 certain"}),
        ([Told(1, 7001, Decimal(12))], {(1, 7001): "10 likely"}),
        ([Told(9, 7001, Decimal(4)), Told(1, 9999, Decimal(4))], {(1, 7001): "10 certain"}),
    ],
    ids=["without quantity", "a part twice, the rest by sales order", "too many", "of strangers"],
)
def test_what_the_report_says(told: list[Told], found: dict[tuple[int, int], str]) -> None:
    assert traced([bought()], [sold()], told) == found


def test_a_report_without_quantities_that_leaves_two_ways_is_likely() -> None:
    told = [Told(1, 7001), Told(1, 7002), Told(2, 7001), Told(2, 7002)]
    found = traced([bought(1), bought(2)], [sold(7001), sold(7002)], told)
    assert all(each.endswith("likely") for each in found.values())


# What counts


def line(**fields: object) -> PurchaseOrderLine:
    return PurchaseOrderLine.model_validate({"id": 1, "quantity": 10, "receivedQuantity": 0} | fields)


def test_what_was_bought_is_ordered_or_received_and_no_more_than_received_where_nothing_follows() -> None:
    assert bought_of(line()) == 10
    assert bought_of(line(receivedQuantity=12, receivedStatus="FullyReceived")) == 12
    assert bought_of(line(receivedQuantity=3, receivedStatus="PartiallyReceiveCloneRest")) == 3
    assert bought_of(line(canceledFlag=True)) == 0


def product(**fields: object) -> SoldProduct:
    given = {"id": 7001, "invoice": {"id": 39001}, "quantity": 4, "price": 150, "catalogItem": {"id": SWITCH}}
    return SoldProduct.model_validate(given | fields)


INVOICE = Invoice(
    id=39001, company=Reference(id=ACME), date=APRIL, subtotal=Decimal(600), total=Decimal(660), invoice_number="IV1"
)


def test_a_product_is_sold_with_the_date_and_customer_of_its_invoice() -> None:
    found = sold_of(product(), {39001: INVOICE})
    assert found is not None
    assert (found.invoice_id, found.customer_id, found.invoiced_on, found.quantity) == (39001, ACME, APRIL, Decimal(4))
    hidden = sold_of(product(), {})
    assert hidden is not None
    assert hidden.invoice_id == 0, "an invoice that nobody shows is none"


@pytest.mark.parametrize(
    "fields",
    [{"cancelledFlag": True}, {"quantityCancelled": 4}, {"billableOption": "DoNotBill"}, {"price": -150},
     {"quantity": -4}],
    ids=["cancelled", "all of it cancelled", "not to be billed", "credited", "taken back"],
)  # fmt: skip
def test_what_no_customer_pays_for_is_not_sold(fields: dict[str, object]) -> None:
    assert sold_of(product(**fields), {39001: INVOICE}) is None


def test_what_is_on_a_credit_memo_bills_nothing_on() -> None:
    assert sold_of(product(), {39001: INVOICE.model_copy(update={"total": Decimal(-1)})}) is None


def test_the_charge_is_that_of_the_mapped_line() -> None:
    assert charged(product()) == 600
    assert charged(product(extPrice=550)) == 550
    assert charged(product(discount=50)) == 550
    assert charged(product(billableOption="NoCharge")) == 0


# Whatever comes


numbers = st.integers(1, 3)
quantities = st.integers(1, 12).map(Decimal)
dates = st.sampled_from([None, date(2026, 1, 1), MARCH, APRIL])
lines = st.lists(
    st.builds(
        Bought, st.integers(70, 72), st.integers(1, 6), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2),
        st.frozensets(st.integers(801, 803), max_size=2), quantities, dates,
    ),
    max_size=6, unique_by=lambda each: each.line_id,
)  # fmt: skip
products = st.lists(
    st.builds(
        Sold, st.integers(7001, 7006), st.sampled_from([0, 39001, 39002]), st.integers(0, 2),
        st.sampled_from([0, 801, 802, 803]), st.integers(0, 2), st.integers(0, 2), quantities, dates,
    ),
    max_size=6, unique_by=lambda each: each.product_id,
)  # fmt: skip
rows = st.lists(
    st.builds(Told, st.integers(1, 6), st.integers(7001, 7006), st.none() | st.integers(1, 12).map(Decimal)), max_size=4
)


@given(lines, products, rows, st.randoms())
def test_the_order_of_what_is_read_decides_nothing(
    bought: list[Bought], sold: list[Sold], told: list[Told], random: object
) -> None:
    found = on_billed(bought, sold, told)
    mixed = [list(bought), list(sold), list(told)]
    for each in mixed:
        random.shuffle(each)  # type: ignore[attr-defined]
    assert on_billed(*mixed) == found  # type: ignore[arg-type]


@given(lines, products, rows)
def test_no_unit_is_used_twice_on_either_side(bought: list[Bought], sold: list[Sold], told: list[Told]) -> None:
    used: dict[tuple[str, int], Decimal] = defaultdict(lambda: ZERO)
    traces = on_billed(bought, sold, told)
    for each in traces:
        assert each.quantity > 0
        used["line", each.line_id] += each.quantity
        used["product", each.product_id] += each.quantity
    assert all(used["line", each.line_id] <= each.quantity for each in bought)
    assert all(used["product", each.product_id] <= each.quantity for each in sold)
    assert len({(each.line_id, each.product_id) for each in traces}) == len(traces)


@given(lines, products)
def test_certain_without_a_report_means_one_product_of_its_sales_orders(bought: list[Bought], sold: list[Sold]) -> None:
    known = {each.line_id: each for each in bought}
    for trace in on_billed(bought, sold):
        if trace.certainty is CERTAIN:
            line = known[trace.line_id]
            fitting = [
                each for each in sold
                if each.item_id == line.item_id and each.sales_order_id in line.sales_orders
                and line.customer_id in (0, each.customer_id or line.customer_id)
                and line.vendor_id in (0, each.vendor_id or line.vendor_id)
            ]  # fmt: skip
            assert [each.product_id for each in fitting] == [trace.product_id]
            assert trace.quantity == line.quantity
