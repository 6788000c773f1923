"""Purchase orders in the simulated ConnectWise: raising, receiving, closing, and what of it a program can see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from deployments.sandbox.connectwise import ConnectWiseSwitches, SimulatedConnectWise
from deployments.sandbox.connectwise_fields import RESOURCES
from deployments.sandbox.wire import Request
from tests.sandbox.test_connectwise import SPEC, Reader, Watch, _specification, closed, furnish

ORDERS = "/procurement/purchaseorders"
STATUSES = "/procurement/purchaseorderstatuses"
SCHEMAS = {
    ORDERS: "PurchaseOrder",
    f"{ORDERS}/{{id}}/lineitems": "PurchaseOrderLineItem",
    STATUSES: "PurchaseOrderStatus",
    "/finance/billingTerms": "BillingTerm",
}


@pytest.fixture
def watch() -> Watch:
    """A clock that stands still."""
    return Watch()


def tenant(watch: Watch, **switches: Any) -> Reader:
    """A reader of a small tenant with two vendors, under some switches."""
    system = SimulatedConnectWise(watch, ConnectWiseSwitches(**switches))
    furnish(system)
    system.add_company("DELL", "Dell", vendor_identifier="V-1", taxCode="GST", currency="AUD", billingTerms="Net 30")
    system.add_company("INGRAM", "Ingram Micro", vendor_identifier="V-2")
    system.add_catalog_item("LAPTOP", "Laptop 14", cost=Decimal("1200.50"), vendorSku="L-14", unitOfMeasure="Box")
    return Reader(system)


@pytest.fixture
def reader(watch: Watch) -> Reader:
    """A reader of that tenant as it is usually set up."""
    return tenant(watch)


def raised(system: SimulatedConnectWise, *lines: dict[str, Any], **fields: Any) -> int:
    """An order of five cables at 12.00 from Dell, 10 % tax on top, unless told otherwise."""
    usual = {"product": "CABLE", "quantity": 5, "unitCost": 12}
    return system.add_purchase_order(**{"vendorCompany": "DELL", "lines": lines or [usual], **fields})


def only_line(system: SimulatedConnectWise, order: int) -> int:
    """The id of the one line of an order."""
    (line,) = system.rows("purchase_order_line", order)
    return int(line["id"])


def shown(reader: Reader, order: int, *names: str) -> list[tuple[Any, ...]]:
    """Some fields of the lines of an order, as a program reads them."""
    return [tuple(line.get(name) for name in names) for line in reader.read(f"{ORDERS}/{order}/lineitems")]


RECEIPT = ("quantity", "receivedQuantity", "receivedStatus", "closedFlag")
AMOUNTS = ("subTotal", "salesTax", "freightCost", "freightTaxTotal", "total")


def amounts(system: SimulatedConnectWise, order: int) -> list[Decimal]:
    """The amounts of an order's header."""
    record = system.record("purchase_order", order)
    return [record[name] for name in AMOUNTS]


# --- raising and editing


def test_an_order_takes_terms_tax_and_currency_from_its_vendor(reader: Reader) -> None:
    """What it says itself comes first; it is open, dated today, and numbered."""
    order = reader.read(f"{ORDERS}/{raised(reader.system)}")
    assert (order["id"], order["poNumber"], order["poDate"]) == (77, "77", "2026-03-10T00:00:00Z")
    assert (order["status"]["name"], order["closedFlag"], order["enteredBy"]) == ("New", False, "jdoe")
    assert (order["terms"]["name"], order["taxCode"]["name"], order["taxPoFlag"]) == ("Net 30", "GST", True)
    assert (order["vendorCompany"]["identifier"], order["currency"]["currencyCode"]) == ("DELL", "AUD")
    assert {"dateClosed", "closedBy", "vendorInvoiceDate", "customerCompany"}.isdisjoint(order)
    plain = reader.read(f"{ORDERS}/{raised(reader.system, vendorCompany='INGRAM')}")
    assert (plain["terms"]["name"], plain["taxPoFlag"]) == ("Due on receipt", False)
    assert {"taxCode", "currency"}.isdisjoint(plain)
    own = reader.read(f"{ORDERS}/{raised(reader.system, terms='Net 14', taxPoFlag=False, poNumber='PO-9')}")
    assert (own["terms"]["name"], own["taxPoFlag"], own["poNumber"]) == ("Net 14", False, "PO-9")


def test_an_order_has_a_place_and_a_customer_to_ship_to(reader: Reader) -> None:
    """Departments are called business unit here; both are repeated as bare ids."""
    number = raised(reader.system, location="Perth", businessUnit=1, customerCompany="ACME", dropShipCustomerFlag=True)
    order = reader.read(f"{ORDERS}/{number}")
    assert (order["location"]["name"], order["locationId"], order["businessUnitId"]) == ("Perth", 14, 1)
    assert order["businessUnit"]["name"] == "Service Desk"
    assert (order["customerCompany"]["identifier"], order["dropShipCustomerFlag"]) == ("ACME", True)


def test_a_line_takes_its_fields_from_the_catalogue_item_it_names(reader: Reader) -> None:
    """Text, cost, unit and the vendor's number, unless given; lines are numbered in their order."""
    number = raised(
        reader.system, {"product": "LAPTOP", "quantity": 2}, {"product": "CABLE", "unitCost": Decimal("2.5")}
    )
    laptop, cable = reader.read(f"{ORDERS}/{number}/lineitems")
    assert laptop["product"].pop("_info")["catalog_href"].endswith(f"/procurement/catalog/{laptop['product']['id']}")
    assert laptop["product"] == {"id": 2, "identifier": "LAPTOP", "serializedFlag": False}
    assert (laptop["description"], laptop["unitCost"], laptop["extCost"]) == ("Laptop 14", Decimal("1200.5"), 2401)
    assert (laptop["vendorSku"], laptop["unitOfMeasure"]["name"], laptop["lineNumber"]) == ("L-14", "Box", 1)
    assert (cable["unitCost"], cable["quantity"], cable["unitOfMeasure"]["name"]) == (Decimal("2.5"), 1, "Each")
    assert (cable["lineNumber"], cable["purchaseOrderId"], cable["purchaseOrderNumber"]) == (2, number, str(number))
    assert (cable["receivedStatus"], cable["receivedQuantity"], cable["closedFlag"]) == ("Waiting", 0, False)


def test_what_a_person_cannot_enter_is_refused(reader: Reader) -> None:
    """No vendor, no product, unknown names, half a piece received, and a closed flag without a status."""
    system = reader.system
    order = raised(system)
    for act in (
        lambda: system.add_purchase_order(lines=[]),
        lambda: raised(system, vendorCompany="NOBODY"),
        lambda: raised(system, {"quantity": 1}),
        lambda: raised(system, {"product": "NOTHING"}),
        lambda: raised(system, status="Lost"),
        lambda: raised(system, closedFlag=True),
        lambda: system.edit_purchase_order(order, closedFlag=True),
        lambda: system.edit_order_line(only_line(system, order), receivedQuantity=Decimal("1.5")),
        lambda: system.cancel_purchase_order(order, status="Received In Full"),
        lambda: system.cancel_purchase_order(order, status="On Order"),
    ):
        with pytest.raises(ValueError):
            act()


def test_the_amounts_of_an_order_follow_its_lines(reader: Reader) -> None:
    """Tax for each line by the order's code and flag; freight and its tax on top; cancelled lines count for nothing."""
    system = reader.system
    number = raised(system, {"product": "CABLE", "quantity": 3, "unitCost": Decimal("0.45")}, {"product": "LAPTOP"})
    assert amounts(system, number) == [Decimal("1201.85"), Decimal("120.19"), 0, 0, Decimal("1322.04")]
    assert shown(reader, number, "extCost", "tax") == [
        (Decimal("1.35"), Decimal("0.14")),
        (Decimal("1200.5"), Decimal("120.05")),
    ]
    system.edit_purchase_order(number, freightCost=Decimal("15.50"))
    assert amounts(system, number)[2:] == [Decimal("15.50"), 0, Decimal("1337.54")]
    system.edit_purchase_order(number, taxFreightFlag=True)
    assert amounts(system, number)[2:] == [Decimal("15.50"), Decimal("1.55"), Decimal("1339.09")]
    added = system.add_order_line(number, product="CABLE", quantity=10, unitCost=1)
    assert amounts(system, number)[:2] == [Decimal("1211.85"), Decimal("121.19")]
    system.cancel_line(added, "no longer made")
    assert amounts(system, number)[:2] == [Decimal("1201.85"), Decimal("120.19")]
    system.delete_order_line(system.rows("purchase_order_line", number)[0]["id"])
    assert amounts(system, number)[:2] == [Decimal("1200.50"), Decimal("120.05")]
    system.edit_purchase_order(number, taxPoFlag=False)
    assert amounts(system, number) == [Decimal("1200.50"), 0, Decimal("15.50"), Decimal("1.55"), Decimal("1217.55")]


def test_a_tax_code_for_labour_alone_taxes_no_order(reader: Reader) -> None:
    """Orders are of products."""
    assert amounts(reader.system, raised(reader.system, taxCode="LABOUR"))[1] == 0


def test_an_amount_that_is_typed_over_stays_until_it_is_computed_again(reader: Reader) -> None:
    """The tax of a line, the sums of the header; None has them computed."""
    system = reader.system
    number = raised(system, {"product": "CABLE", "quantity": 5, "unitCost": 12, "tax": Decimal("5.99")}, total=70)
    assert amounts(system, number) == [60, Decimal("5.99"), 0, 0, 70]
    system.edit_order_line(only_line(system, number), quantity=6)
    assert amounts(system, number) == [72, Decimal("5.99"), 0, 0, 70]
    system.edit_order_line(only_line(system, number), tax=None)
    system.edit_purchase_order(number, total=None)
    assert amounts(system, number) == [72, Decimal("7.20"), 0, 0, Decimal("79.20")]


def test_an_edited_number_shows_on_the_lines(reader: Reader) -> None:
    """And a renamed vendor and item on the order and its lines, without an edit of theirs."""
    system = reader.system
    number = raised(system)
    system.edit_purchase_order(number, poNumber="PO-1")
    assert shown(reader, number, "purchaseOrderNumber") == [("PO-1",)]
    reader.read(ORDERS)
    system.rename_company("DELL", "Dell Technologies")
    system.edit_catalog_item("CABLE", identifier="CABLE-2")
    (line,) = reader.read(f"{ORDERS}/{number}/lineitems")
    assert line["product"]["identifier"] == "CABLE-2"
    assert reader.read(ORDERS)[0]["vendorCompany"]["name"] == "Dell Technologies"


def test_a_merged_vendor_or_customer_becomes_the_other(reader: Reader) -> None:
    """Both fields in which an order names a company follow."""
    number = raised(reader.system, customerCompany="ZENO")
    reader.system.merge_company("DELL", "INGRAM")
    reader.system.merge_company("ZENO", "ACME")
    order = reader.read(f"{ORDERS}/{number}")
    assert [order[name]["identifier"] for name in ("vendorCompany", "customerCompany")] == ["INGRAM", "ACME"]


def test_a_line_can_name_the_sales_orders_that_it_is_for(reader: Reader) -> None:
    """By id; a program reads references."""
    sold = reader.system.add_sales_order("ACME")
    number = raised(reader.system, {"product": "CABLE", "salesOrder": [sold]})
    ((orders,),) = shown(reader, number, "salesOrder")
    assert [(each["id"], each["identifier"]) for each in orders] == [(sold, str(sold))]


def test_a_company_says_what_it_is_called_as_a_vendor(reader: Reader) -> None:
    """`vendorIdentifier`; a customer has none."""
    found = {one["identifier"]: one["vendorIdentifier"] for one in reader.read("/company/companies")}
    assert found == {"ACME": "", "ZENO": "", "DELL": "V-1", "INGRAM": "V-2"}


# --- receiving


def test_a_line_is_received_in_full(reader: Reader, watch: Watch) -> None:
    """With date and packing slip; it is closed only when the person says so, and the order stays open."""
    system = reader.system
    number = raised(system)
    line = only_line(system, number)
    watch.move(minutes=1)
    system.receive_line(line, slip="PS-1", date=date(2026, 3, 4))
    received = reader.read(f"{ORDERS}/{number}/lineitems/{line}")
    assert [received[name] for name in RECEIPT] == [5, 5, "FullyReceived", False]
    assert (received["packingSlip"], received["dateReceived"]) == ("PS-1", "2026-03-04T00:00:00Z")
    assert received["_info"]["lastUpdated"] == "2026-03-10T12:01:00Z"
    system.receive_line(line, close=True)
    assert shown(reader, number, *RECEIPT) == [(5, 5, "FullyReceived", True)]
    assert reader.read(f"{ORDERS}/{number}")["closedFlag"] is False
    assert amounts(system, number) == [60, 6, 0, 0, 66]


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_part_is_received_and_a_new_line_cloned_for_the_rest(watch: Watch, shrinks: bool) -> None:
    """By switch the first line keeps what came or what was ordered; the new one has its own id and no receipt."""
    reader = tenant(watch, clone_shrinks_quantity=shrinks)
    system = reader.system
    number = raised(system)
    line = only_line(system, number)
    rest = system.receive_part(line, 3, slip="PS-1", date=date(2026, 3, 4), close=True)
    names = ("id", "lineNumber", *RECEIPT, "packingSlip", "dateReceived")
    assert shown(reader, number, *names) == [
        (line, 1, 3 if shrinks else 5, 3, "PartiallyReceiveCloneRest", True, "PS-1", "2026-03-04T00:00:00Z"),
        (rest, 2, 2, 0, "Waiting", False, "", None),
    ]
    assert rest != line
    assert shown(reader, number, "description", "unitCost") == [("Cable", 12)] * 2
    assert amounts(system, number)[:2] == ([60, 6] if shrinks else [84, Decimal("8.40")])


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_part_is_received_and_the_rest_cancelled(watch: Watch, shrinks: bool) -> None:
    """The line is done, though less came than was ordered; no new one is made."""
    reader = tenant(watch, cancel_shrinks_quantity=shrinks)
    number = raised(reader.system)
    assert reader.system.receive_part(only_line(reader.system, number), 3, "cancel") is None
    assert shown(reader, number, *RECEIPT, "canceledFlag") == [
        (3 if shrinks else 5, 3, "PartiallyReceiveCancelRest", False, False)
    ]


def test_the_rest_of_a_rest_is_cloned_again(reader: Reader) -> None:
    """Three deliveries on three slips are three lines; what was ordered and what came add up."""
    system = reader.system
    number = raised(system)
    second = system.receive_part(only_line(system, number), 2, slip="A")
    assert second is not None
    third = system.receive_part(second, 1, slip="B")
    assert third is not None
    system.receive_line(third, slip="C")
    assert shown(reader, number, "quantity", "receivedQuantity", "packingSlip", "lineNumber") == [
        (2, 2, "A", 1),
        (1, 1, "B", 2),
        (2, 2, "C", 3),
    ]
    assert amounts(system, number) == [60, 6, 0, 0, 66]


@given(st.integers(2, 500), st.integers(1, 499), st.decimals(0, 99, places=2), st.sampled_from(["clone", "cancel"]))
def test_a_typed_tax_is_shared_with_the_rest_to_the_cent(ordered: int, came: int, tax: Decimal, rest: Any) -> None:
    """Splitting a line neither makes nor loses a cent of its tax."""
    came = min(came, ordered - 1)
    system = tenant(Watch()).system
    number = raised(system, {"product": "CABLE", "quantity": ordered, "unitCost": 1, "tax": tax})
    system.receive_part(only_line(system, number), came, rest)
    rows = system.rows("purchase_order_line", number)
    assert amounts(system, number)[:2] == [ordered, tax]
    assert sum(row["quantity"] for row in rows) == ordered
    assert all(row["tax"] >= 0 for row in rows)


def test_more_can_come_than_was_ordered(reader: Reader) -> None:
    """The ordered quantity stays, and the order's amounts with it."""
    number = raised(reader.system)
    reader.system.receive_line(only_line(reader.system, number), 7)
    assert shown(reader, number, *RECEIPT) == [(5, 7, "FullyReceived", False)]
    assert amounts(reader.system, number)[0] == 60


def test_a_part_of_what_was_received_already_makes_a_line_of_quantity_zero(reader: Reader) -> None:
    """The received line stays as it is."""
    system = reader.system
    number = raised(system)
    line = only_line(system, number)
    system.receive_line(line, slip="PS-1", close=True)
    system.receive_part(line, 2, slip="PS-2")
    assert shown(reader, number, *RECEIPT, "packingSlip", "extCost") == [
        (5, 5, "FullyReceived", True, "PS-1", 60),
        (0, 0, "Waiting", False, "", 0),
    ]
    with pytest.raises(ValueError, match="no rest"):
        system.receive_part(line, 2, "cancel")


@pytest.mark.parametrize(("ordered", "says"), [("2.5", b"2"), ("0.75", b"0"), ("3", b"3"), ("-2", b"-2")])
def test_the_received_quantity_is_a_whole_number_even_where_the_ordered_one_is_not(
    reader: Reader, ordered: str, says: bytes
) -> None:
    """Decimals are lost; the ordered quantity has them, and is written as a number with decimals."""
    number = raised(reader.system, {"product": "CABLE", "quantity": Decimal(ordered), "unitCost": 10})
    reader.system.receive_line(only_line(reader.system, number))
    body = reader.ask(f"{ORDERS}/{number}/lineitems").body
    assert b'"receivedQuantity":' + says + b"," in body
    assert f'"quantity":{Decimal(ordered):.2f}'.rstrip("0").encode() in body
    assert reader.system.record("purchase_order", number)["subTotal"] == Decimal(ordered) * 10


@pytest.mark.parametrize("part", [0, -1, 5, 6])
def test_a_part_is_neither_nothing_nor_everything(reader: Reader, part: int) -> None:
    """And nothing has changed when a person tries."""
    number = raised(reader.system)
    before = reader.read(f"{ORDERS}/{number}/lineitems")
    with pytest.raises(ValueError, match="less than was ordered"):
        reader.system.receive_part(only_line(reader.system, number), part)
    assert reader.read(f"{ORDERS}/{number}/lineitems") == before


def test_less_than_was_ordered_is_not_everything(reader: Reader) -> None:
    """It has to be received as a part."""
    number = raised(reader.system)
    with pytest.raises(ValueError, match="receive a part"):
        reader.system.receive_line(only_line(reader.system, number), 4)


@pytest.mark.parametrize(("left", "slip"), [(0, None), (2, "PS-1")])
def test_a_receipt_can_be_taken_back(reader: Reader, left: int, slip: str | None) -> None:
    """All of it or a part: the line waits and is open again; without any receipt it has no slip and no date."""
    number = raised(reader.system)
    line = only_line(reader.system, number)
    reader.system.receive_line(line, slip="PS-1", close=True)
    reader.system.unreceive_line(line, left)
    assert shown(reader, number, *RECEIPT, "packingSlip") == [(5, left, "Waiting", False, slip)]
    assert (shown(reader, number, "dateReceived") == [(None,)]) == (left == 0)
    for wrong in (left, left + 1, -1):
        with pytest.raises(ValueError, match="taken back"):
            reader.system.unreceive_line(line, wrong)


def test_any_combination_of_old_data_can_be_made(reader: Reader) -> None:
    """Received but open, closed but waiting, exported, in part without a split."""
    number = raised(
        reader.system,
        {"product": "CABLE", "quantity": 20, "receivedQuantity": 20, "receivedStatus": "FullyReceived"},
        {"product": "CABLE", "quantity": 3, "closedFlag": True, "batchedFlag": True},
        {"product": "CABLE", "quantity": 4},
    )
    reader.system.edit_order_line(reader.system.rows("purchase_order_line", number)[2]["id"], receivedQuantity=1)
    assert shown(reader, number, *RECEIPT, "batchedFlag") == [
        (20, 20, "FullyReceived", False, False),
        (3, 0, "Waiting", True, True),
        (4, 1, "Waiting", False, False),
    ]


def test_a_cancelled_line_stays_and_says_who_and_why(reader: Reader) -> None:
    """With one l, unlike on products."""
    number = raised(reader.system)
    reader.system.cancel_line(only_line(reader.system, number), "no longer made")
    (line,) = reader.read(f"{ORDERS}/{number}/lineitems")
    assert (line["canceledFlag"], line["canceledBy"], line["canceledReason"]) == (True, "jdoe", "no longer made")
    assert line["dateCanceledUtc"] == "2026-03-10T12:00:00Z"


# --- closing


def test_the_statuses_are_those_of_a_live_tenant(reader: Reader) -> None:
    """Four open ones, the default closed one, and one that is closed but not by default."""
    found = {one["name"]: (one["closedFlag"], one["defaultClosedFlag"]) for one in reader.read(STATUSES)}
    assert found == {
        **dict.fromkeys(("New", "Sent to Vendor", "On Order", "Backordered"), (False, False)),
        "Received In Full": (True, True),
        "Cancelled": (True, False),
    }
    assert [one["name"] for one in reader.read(STATUSES, conditions="defaultFlag = true")] == ["New"]


def test_the_closed_flag_follows_the_status(reader: Reader, watch: Watch) -> None:
    """Closing sets flag, person and date; another closed status keeps the date; reopening takes them away."""
    system = reader.system
    number = raised(system)

    def state(act: Callable[..., None], *given: Any) -> tuple[Any, ...]:
        watch.move(hours=1)
        act(number, *given)
        order = reader.read(f"{ORDERS}/{number}")
        found = (order["status"]["name"], order["closedFlag"], order.get("dateClosed"), order.get("cancelReason"))
        assert order["_info"]["lastUpdated"] == watch().strftime("%Y-%m-%dT%H:%M:%SZ")
        return found if order.get("closedBy") == ("jdoe" if order["closedFlag"] else None) else ()

    assert state(system.close_purchase_order) == ("Received In Full", True, "2026-03-10T13:00:00Z", None)
    assert state(system.cancel_purchase_order, "late") == ("Cancelled", True, "2026-03-10T13:00:00Z", "late")
    assert state(system.reopen_purchase_order, "On Order") == ("On Order", False, None, None)
    assert state(system.close_purchase_order)[2] == "2026-03-10T16:00:00Z"
    assert shown(reader, number, *RECEIPT) == [(5, 0, "Waiting", False)]


def test_a_tenant_has_statuses_of_its_own(reader: Reader) -> None:
    """What they are called means nothing."""
    reader.system.add_purchase_order_status("Dead", closed=True)
    number = raised(reader.system, status="Dead", dateClosed=date(2026, 1, 5))
    order = reader.read(f"{ORDERS}/{number}")
    assert (order["closedFlag"], order["dateClosed"]) == (True, "2026-01-05T00:00:00Z")


@pytest.mark.parametrize("closes", [True, False])
def test_an_order_may_close_by_itself_when_everything_was_received(watch: Watch, closes: bool) -> None:
    """By switch: not before the last line that is not cancelled, and not because all were cancelled."""
    reader = tenant(watch, auto_close_purchase_orders=closes)
    system = reader.system
    number = raised(system, *({"product": "CABLE", "quantity": 5} for _ in range(3)))
    first, second, third = (line["id"] for line in system.rows("purchase_order_line", number))

    def is_closed() -> bool:
        order = reader.read(f"{ORDERS}/{number}")
        assert (order["status"]["name"] == "Received In Full") is order["closedFlag"]
        return bool(order["closedFlag"])

    system.receive_line(first)
    system.cancel_line(second)
    assert not is_closed()
    rest = system.receive_part(third, 2)
    assert rest is not None and not is_closed()
    system.receive_part(rest, 1, "cancel")
    assert is_closed() is closes
    empty = raised(system)
    system.cancel_line(only_line(system, empty))
    assert reader.read(f"{ORDERS}/{empty}")["closedFlag"] is False


def test_the_vendors_invoice_is_one_number_and_one_date(reader: Reader) -> None:
    """A second one takes the place of the first; it moves the order."""
    number = raised(reader.system)
    reader.system.enter_vendor_invoice(number, "INV-1", date(2026, 3, 6))
    reader.system.enter_vendor_invoice(number, "INV-2")
    order = reader.read(f"{ORDERS}/{number}")
    assert (order["vendorInvoiceNumber"], order["vendorInvoiceDate"]) == ("INV-2", "2026-03-10T00:00:00Z")


def test_a_deleted_order_leaves_no_trace(reader: Reader) -> None:
    """404 for it and its lines; other orders keep theirs."""
    number, other = raised(reader.system), raised(reader.system)
    reader.system.delete_purchase_order(number)
    assert reader.ask(f"{ORDERS}/{number}").status == 404
    assert reader.ask(f"{ORDERS}/{number}/lineitems").status == 404
    assert [one["id"] for one in reader.read(ORDERS)] == [other]
    assert len(reader.system.tables["purchase_order_line"]) == 1


@pytest.mark.parametrize("bumps", [False, True])
def test_a_change_of_a_line_may_or_may_not_move_the_order(watch: Watch, bumps: bool) -> None:
    """Whatever is done to a line; an edit of the header always does."""
    reader = tenant(watch, child_bumps_parent=bumps)
    system = reader.system
    number = raised(system)
    line = only_line(system, number)

    def moved(act: Callable[..., Any], *given: Any, **fields: Any) -> bool:
        watch.move(minutes=1)
        act(*given, **fields)
        stamp = reader.read(f"{ORDERS}/{number}")["_info"]["lastUpdated"]
        return bool(stamp == watch().strftime("%Y-%m-%dT%H:%M:%SZ"))

    assert moved(system.edit_order_line, line, unitCost=13) is bumps
    assert moved(system.receive_part, line, 2) is bumps
    assert moved(system.receive_part, line + 1, 1, "cancel") is bumps
    assert moved(system.unreceive_line, line) is bumps
    assert moved(system.receive_line, line) is bumps
    assert moved(system.receive_part, line, 1) is bumps
    assert moved(system.cancel_line, line + 2) is bumps
    assert moved(system.add_order_line, number, product="CABLE") is bumps
    assert moved(system.delete_order_line, line) is bumps
    assert moved(system.edit_purchase_order, number, internalNotes="x")


# --- what a program reads


def test_orders_are_found_by_conditions(reader: Reader, watch: Watch) -> None:
    """By state, date, number and when they changed."""
    system = reader.system
    raised(system, poNumber="A", poDate=date(2026, 1, 31))
    watch.move(hours=1)
    raised(system, poNumber="B", poDate=date(2026, 2, 1), vendorInvoiceNumber="INV-7")
    system.close_purchase_order(raised(system, poNumber="C", vendorCompany="INGRAM", location="Perth"))

    def found(conditions: str) -> str:
        count = reader.read(f"{ORDERS}/count", conditions=conditions)["count"]
        numbers = "".join(one["poNumber"] for one in reader.read(ORDERS, conditions=conditions))
        assert count == len(numbers)
        return numbers

    assert found("closedFlag=false") == "AB"
    assert found("closedFlag = true") == "C"
    assert found("lastUpdated>=[2026-03-10T13:00:00Z]") == "BC"
    assert found("poDate>=[2026-02-01T00:00:00Z] and poDate<[2026-03-01T00:00:00Z]") == "B"
    assert found('poNumber="b"') == "B"
    assert found("id in (77,79)") == "AC"
    assert found("vendorCompany/id = 104 or status/name = 'New'") == "ABC"
    assert found("vendorInvoiceNumber != ''") == "B"
    assert found("locationId = 14") == "C"
    assert found("total > 60 and taxCode != null") == "AB"


def test_the_lines_of_an_order_are_paged_and_read_one_by_one(reader: Reader) -> None:
    """Per order only, in both modes; below another order there is no such line."""
    system = reader.system
    number, other = raised(system, *({"product": "CABLE", "quantity": n} for n in (1, 2, 3))), raised(system)
    ids = [line["id"] for line in system.rows("purchase_order_line", number)]
    path = f"{ORDERS}/{number}/lineitems"
    assert [one["id"] for one in reader.read(path, pageSize=2, page=2)] == ids[2:]
    assert [one["id"] for one in reader.read(path, True, pageSize=2, pageId=ids[0])] == ids[1:]
    assert reader.ask(path, True, pageSize=2).headers["Link"].endswith(f'pageId={ids[1]}>; rel="next"')
    assert [one["quantity"] for one in reader.read(path, orderBy="quantity desc")] == [3, 2, 1]
    assert reader.read(path, conditions="quantity>1", fields="quantity") == [{"quantity": 2}, {"quantity": 3}]
    assert reader.read(f"{path}/count") == {"count": 3}
    assert reader.read(f"{path}/{ids[0]}")["quantity"] == 1
    assert reader.ask(f"{ORDERS}/{other}/lineitems/{ids[0]}").status == 404
    assert reader.ask(f"{path}/1").status == 404
    unknown = reader.ask(f"{ORDERS}/7/lineitems")
    assert json.loads(unknown.body)["message"] == "PurchaseOrder 7 not found"
    assert reader.system.reads[f"{ORDERS}/{{id}}/lineitems"] == 6


def test_orders_are_paged_forward_only(reader: Reader) -> None:
    """As other lists."""
    ids = [raised(reader.system) for _ in range(3)]
    assert [one["id"] for one in reader.read(ORDERS, True, pageSize=2)] == ids[:2]
    assert [one["id"] for one in reader.read(ORDERS, True, pageSize=2, pageId=ids[1])] == ids[2:]
    assert reader.ask(ORDERS, True, orderBy="id asc").status == 400


def test_a_role_can_hide_the_orders_of_a_location_with_their_lines(reader: Reader) -> None:
    """From lists and counts, by id, and below it."""
    seen, hidden = raised(reader.system, location="Sydney"), raised(reader.system, location="Perth")
    reader.system.switches = ConnectWiseSwitches(role_hides_locations=frozenset({14}))
    assert [one["id"] for one in reader.read(ORDERS)] == [seen]
    assert reader.read(f"{ORDERS}/count") == {"count": 1}
    for path in (f"{ORDERS}/{hidden}", f"{ORDERS}/{hidden}/lineitems", f"{ORDERS}/{hidden}/lineitems/count"):
        assert reader.ask(path).status == 404
    assert len(reader.read(f"{ORDERS}/{seen}/lineitems")) == 1


def test_a_role_can_forbid_orders_and_not_their_statuses(reader: Reader) -> None:
    """The one path begins like the other: only what is below the forbidden one is forbidden with it."""
    number = raised(reader.system)
    reader.system.switches = ConnectWiseSwitches(forbidden_paths=frozenset({ORDERS}))
    for path in (ORDERS, f"{ORDERS}/{number}", f"{ORDERS}/{number}/lineitems", f"{ORDERS}/count"):
        assert reader.ask(path).status == 403
    assert reader.ask(STATUSES).status == 200
    reader.system.switches = ConnectWiseSwitches(forbidden_paths=frozenset({STATUSES}))
    assert (reader.ask(ORDERS).status, reader.ask(STATUSES).status) == (200, 403)


def test_a_switch_makes_fields_of_orders_unfilterable(reader: Reader) -> None:
    """The open ones can then not be asked for."""
    reader.system.switches = ConnectWiseSwitches(unfilterable=frozenset({"closedFlag"}))
    assert reader.ask(ORDERS, conditions="closedFlag=false").status == 400
    assert reader.ask(ORDERS, conditions="id > 0").status == 200


def test_terms_say_after_how_many_days_a_document_is_due(reader: Reader) -> None:
    """Invoices and orders name the same terms."""
    reader.system.add_billing_term("Net 45", 45)
    found = {one["name"]: (one["id"], one["dueDays"]) for one in reader.read("/finance/billingTerms")}
    assert found == {"Due on receipt": (1, 0), "Net 14": (2, 14), "Net 30": (3, 30), "Net 45": (4, 45)}
    invoice = reader.read(f"/finance/invoices/{closed(reader.system)}")
    assert (invoice["billingTerms"]["id"], invoice["billingTerms"]["name"]) == (2, "Net 14")
    assert reader.read("/finance/billingTerms/count") == {"count": 4}
    assert reader.read(f"{STATUSES}/count") == {"count": 6}
    assert reader.read(f"{STATUSES}/1")["name"] == "New"


def _well_used() -> tuple[Reader, int]:
    """A tenant in which everything was done to an order once."""
    reader = tenant(Watch())
    system = reader.system
    rate = {"id": 3, "caption": "Exchange Rate", "type": "Number", "entryMethod": "EntryField", "numberOfDecimals": 4}
    number = raised(
        system,
        {"product": "CABLE", "quantity": 5, "warehouse": "Main", "expectedShipDate": date(2026, 3, 20)},
        {"product": "LAPTOP", "quantity": Decimal("2.5"), "salesOrder": [system.add_sales_order("ACME")]},
        {"product": "LAPTOP"},
        location="Sydney", businessUnit=1, customerCompany="ACME", dropShipCustomerFlag=True, freightCost=10,
        taxFreightFlag=True, freightPackingSlip="PS-1", warehouse="Main", customFields=[rate],
    )  # fmt: skip
    first, second, third = (line["id"] for line in system.rows("purchase_order_line", number))
    system.receive_part(first, 3, slip="PS-1")
    system.receive_line(second, slip="PS-2", close=True)
    system.cancel_line(third, "no")
    system.enter_vendor_invoice(number, "INV-1")
    system.close_purchase_order(number)
    system.cancel_purchase_order(raised(system), "late")
    return reader, number


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
@pytest.mark.parametrize(("template", "schema"), SCHEMAS.items())
def test_answers_fit_the_api_description(template: str, schema: str) -> None:
    """Every field of every record is one that ConnectWise has, of its type and no longer than it may be."""
    spec, (reader, number) = _specification(), _well_used()
    rule = {"components": spec["components"], "type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}
    records = json.loads(reader.ask(template.replace("{id}", str(number)), pageSize=1000).body)
    assert len(records) > 1
    Draft202012Validator(rule).validate(records)
    for name, property_ in spec["components"]["schemas"][schema]["properties"].items():
        if limit := re.search(r"Max length: (\d+)", property_.get("description", "")):
            assert all(len(record.get(name, "")) <= int(limit[1]) for record in records)


@pytest.mark.skipif(not SPEC.exists(), reason=f"NOT CHECKED AGAINST THE API DESCRIPTION: {SPEC} is absent")
@pytest.mark.parametrize(("template", "schema"), SCHEMAS.items())
def test_conditions_know_just_the_fields_of_the_api_description(template: str, schema: str) -> None:
    """A field that ConnectWise has can be asked for by its kind; another is refused."""
    kinds = {"integer": "number", "number": "number", "string": "text", "boolean": "boolean", "array": "array"}
    (fields,) = (resource.fields for resource in RESOURCES if resource.path == template)
    described = {
        name: "date" if rule.get("format") == "date-time" else kinds.get(rule.get("type", ""), "reference")
        for name, rule in _specification()["components"]["schemas"][schema]["properties"].items()
        if name != "_info"
    }
    assert fields == described


def test_the_record_page_shows_an_order_to_people() -> None:
    """What a link of a bill leads to: vendor, lines with what was received, sums; every text escaped."""
    system = SimulatedConnectWise()
    system.add_company("EVIL", "<b>Vendor</b>", vendor_identifier="V-1")
    system.add_catalog_item("SWITCH", cost=Decimal(100))
    line = {"product": "SWITCH", "quantity": Decimal(2), "description": "Switch <i>"}
    number = system.add_purchase_order(poNumber="PO-1", vendorCompany="EVIL", lines=[line])
    system.receive_line(system.rows("purchase_order_line", number)[0]["id"], slip="S-77")
    path = "/v4_6_release/services/system_io/router/openrecord.rails"
    page = system(Request.build("GET", path, f"recordType=PurchaseOrderFV&recid={number}&companyName=sandbox"))
    text = page.body.decode()
    assert page.status == 200
    for shown in ("Purchase Order PO-1", "&lt;b&gt;Vendor", "Switch &lt;i&gt;", "FullyReceived", "S-77", "200"):
        assert shown in text, shown
    assert system(Request.build("GET", path, "recordType=PurchaseOrderFV&recid=9999")).status == 404
