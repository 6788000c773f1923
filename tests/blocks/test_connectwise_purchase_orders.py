"""Reading purchase orders: what is asked, line by line of each order, and what comes back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest

from blocks.connectwise.client import PAGE_SIZE, ConnectWiseClient, Pages, Shown
from deployments.sandbox.connectwise import SimulatedConnectWise
from mappings.connectwise import BillingTerm, Company, PurchaseOrder, PurchaseOrderLine, PurchaseOrderStatus
from tests.blocks.support import Answer, Server, answer, connectwise, utc
from tests.blocks.test_connectwise_client import asked, ids_of, simulated
from tests.worlds import Clock

ORDERS = "/procurement/purchaseorders"


def paths(server: Server) -> list[str]:
    """Below the address of the API, what was asked for."""
    return [request.url.path.rpartition("3.0")[2] for request in server.requests]


CALLS: dict[str, Callable[[ConnectWiseClient], Any]] = {
    "purchase_orders_changed_since": lambda client: list(client.purchase_orders_changed_since(utc("2026-03-01"))),
    "purchase_orders_open": lambda client: list(client.purchase_orders_open()),
    "purchase_orders_dated_from": lambda client: list(client.purchase_orders_dated_from(date(2026, 1, 1))),
    "purchase_orders_by_id": lambda client: client.purchase_orders_by_id([1, 2]),
    "purchase_orders_by_number": lambda client: client.purchase_orders_by_number("PO-1"),
    "purchase_order": lambda client: client.purchase_order(1),
    "purchase_order_lines": lambda client: client.purchase_order_lines([1, 2]),
    "purchase_order_statuses": lambda client: client.purchase_order_statuses(),
    "billing_terms": lambda client: client.billing_terms(),
}
"""Every way to purchase orders, with arguments to try it."""


@pytest.mark.parametrize("name", CALLS)
def test_only_get_is_ever_sent_with_keys_and_client_id_on_every_call(name: str) -> None:
    """GET without a body, Basic credentials of company and keys, clientId; lists forward-only and in no other order."""
    server = Server(answer(200, []))
    CALLS[name](connectwise(server))
    assert server.requests
    for request in server.requests:
        assert (request.method, request.content) == ("GET", b"")
        credentials = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert credentials == "acme+canary-public:canary-private"
        assert request.headers["clientId"] == "0a1b2c3d-0000-4000-8000-000000000001"
        # One record by its own address is no list.
        one = name == "purchase_order"
        assert request.headers.get("pagination-type") == (None if one else "forward-only")
        assert asked(request).get("pageSize") == (None if one else "1000")
        assert "orderBy" not in asked(request)


@pytest.mark.parametrize(
    ("call", "conditions"),
    [
        (
            lambda c: c.purchase_orders_changed_since(utc("2026-03-01T09:15:30.999")),
            "lastUpdated>=[2026-03-01T09:15:30Z]",
        ),
        (lambda c: c.purchase_orders_open(), "closedFlag=false"),
        (lambda c: c.purchase_orders_dated_from(date(2026, 1, 31)), "poDate>=[2026-01-31T00:00:00Z]"),
        (
            lambda c: c.purchase_orders_dated_from(date(2026, 1, 31), date(2026, 2, 28)),
            "poDate>=[2026-01-31T00:00:00Z] and poDate<[2026-03-01T00:00:00Z]",
        ),
    ],
)
def test_lists_of_orders_are_asked_for_by_one_condition(
    call: Callable[[ConnectWiseClient], Pages], conditions: str
) -> None:
    """When they changed, whether they are open, or the days of their dates, the last one included."""
    server = Server(answer(200, []))
    list(call(connectwise(server)))
    assert paths(server) == [ORDERS]
    assert asked(server.requests[0])["conditions"] == conditions


@pytest.mark.parametrize(
    ("number", "conditions"),
    [
        ("  PO-7 ", 'poNumber="PO-7"'),
        ('PO "7-10"', 'poNumber contains "7-10"'),
        ("PO[2026]", 'poNumber contains "2026"'),
    ],
)
def test_an_order_is_looked_for_by_its_very_number(number: str, conditions: str) -> None:
    """PO-7 is not PO-77: what comes back is compared, whatever the condition could not say."""
    listed = [{"id": 1, "poNumber": number.strip().lower()}, {"id": 2, "poNumber": f"{number.strip()}7"}, {"id": 3}]
    server = Server(answer(200, listed))
    assert [record["id"] for record in connectwise(server).purchase_orders_by_number(number)] == [1]
    assert (paths(server), asked(server.requests[0])["conditions"]) == ([ORDERS], conditions)


@pytest.mark.parametrize("number", ["", "  ", '"'])
def test_a_number_of_nothing_that_can_be_asked_for_is_not_found(number: str) -> None:
    """It must not turn into a condition that everything meets."""
    server = Server(answer(200, [{"id": 1}]))
    assert connectwise(server).purchase_orders_by_number(number) == []
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (answer(200, {"id": 7}), Shown({"id": 7}, False)),
        (answer(200, {"id": 8}), Shown(None, False)),
        (answer(404, {"code": "NotFound", "message": "PurchaseOrder 7 not found"}), Shown(None, True)),
        (answer(404, {"code": "InvalidCompany", "message": "Cannot route."}), Shown(None, False)),
        (answer(404, b"<html>Not Found</html>"), Shown(None, False)),
        (answer(403, {"code": "Security", "message": "No permission."}), Shown(None, False)),
    ],
)
def test_only_connectwises_own_words_say_that_an_order_is_gone(given: Answer, shown: Shown) -> None:
    """Anything else leaves it open."""
    server = Server(given)
    assert connectwise(server).purchase_order(7) == shown
    assert paths(server) == [f"{ORDERS}/7"]


def test_lines_are_asked_for_order_by_order_and_paged_to_their_end() -> None:
    """Each order has its own, those without lines too; a full page is followed by another question."""
    lines = {5: range(1, 2 * PAGE_SIZE + 2), 6: range(0), 7: range(9001, 9003)}

    def serve(request: httpx.Request) -> httpx.Response:
        order = int(request.url.path.split("/")[-2])
        after = int(asked(request).get("pageId", 0))
        found = [number for number in lines[order] if number > after][:PAGE_SIZE]
        return httpx.Response(200, json=[{"id": number} for number in found])

    server = Server(serve)
    found = connectwise(server).purchase_order_lines([5, 6, 7])
    assert {order: [line["id"] for line in rows] for order, rows in found.items()} == {
        order: list(numbers) for order, numbers in lines.items()
    }
    assert sorted(paths(server)) == [f"{ORDERS}/{order}/lineitems" for order in (5, 5, 5, 6, 7)]
    assert not any("conditions" in asked(request) for request in server.requests)


def test_nothing_is_asked_for_no_orders() -> None:
    """There is nothing to know."""
    server = Server(answer(200, []))
    client = connectwise(server)
    assert (client.purchase_orders_by_id([]), client.purchase_order_lines([])) == ([], {})
    assert server.requests == []


def test_many_orders_are_asked_for_in_addresses_of_bearable_length() -> None:
    """Every id once; the headers alone name more than thirty fields."""
    server = Server(answer(200, []))
    connectwise(server).purchase_orders_by_id(range(100_000, 101_000))
    conditions = [asked(request)["conditions"] for request in server.requests]
    assert all(len(address) < 2000 for address in server.addresses)
    assert ",".join(text.removeprefix("id in (").removesuffix(")") for text in conditions) == ",".join(
        map(str, range(100_000, 101_000))
    )


# Against the simulated ConnectWise


def shop() -> tuple[SimulatedConnectWise, ConnectWiseClient]:
    """A tenant with a vendor, and a client in front of it."""
    system = SimulatedConnectWise(clock=Clock())
    system.limits.per_minute = 0
    system.add_location("Sydney", id=11)
    system.add_department("Service Desk")
    system.add_tax_code("GST", "GST", 10)
    system.add_currency("AUD")
    system.add_catalog_item("CABLE", "Cable", cost=Decimal("12.10"))
    system.add_company("ACME", "Acme Pty Ltd")
    system.add_company("DELL", "Dell", vendor_identifier="V-1", taxCode="GST", currency="AUD")
    return system, simulated(system)


def ordered(system: SimulatedConnectWise, **fields: Any) -> int:
    """An order of five cables and a half."""
    lines = [{"product": "CABLE", "quantity": Decimal("5.5"), "serialNumbers": "S1"}]
    return system.add_purchase_order(**{"vendorCompany": "DELL", "lines": lines, **fields})


def test_the_fields_that_are_asked_for_are_all_that_a_record_needs() -> None:
    """Records read with `fields` are the same as records of everything that ConnectWise has."""
    system, client = shop()
    rate = {"id": 3, "caption": "Exchange Rate", "type": "Number", "entryMethod": "EntryField", "numberOfDecimals": 4}
    number = ordered(
        system, poNumber="PO-1", location="Sydney", businessUnit=1, customerCompany="ACME", terms="Net 30",
        dropShipCustomerFlag=True, freightCost=15, taxFreightFlag=True, freightPackingSlip="PS-1",
        vendorOrderNumber="SO-1", customFields=[rate | {"value": "1.5"}],
    )  # fmt: skip
    line = system.rows("purchase_order_line", number)[0]["id"]
    system.receive_part(line, 3, slip="PS-1", close=True)
    system.enter_vendor_invoice(number, "INV-1")
    system.close_purchase_order(number)
    whole = PurchaseOrder.model_validate(system.record("purchase_order", number))
    (by_id,) = client.purchase_orders_by_id([number])
    (by_number,) = client.purchase_orders_by_number("po-1")
    shown = client.purchase_order(number)
    assert not shown.gone
    for given in (by_id, by_number, shown.record):
        assert PurchaseOrder.model_validate(given) == whole
    lines = [PurchaseOrderLine.model_validate(each) for each in client.purchase_order_lines([number])[number]]
    assert lines == [PurchaseOrderLine.model_validate(each) for each in system.rows("purchase_order_line", number)]
    assert [each.quantity for each in lines] == [Decimal(3), Decimal("2.5")]
    (company,) = client.related(Company, [by_id["vendorCompany"]["id"]])
    assert Company.model_validate(company).vendor_identifier == "V-1"


def test_open_orders_are_those_that_are_not_closed_whatever_their_status_is_called() -> None:
    """Closed and cancelled ones come by what changed, and by their dates."""
    system, client = shop()
    opened, closed, cancelled, late = (ordered(system, poDate=date(2026, 1, day)) for day in (1, 2, 3, 4))
    system.close_purchase_order(closed)
    system.cancel_purchase_order(cancelled)
    system.edit_purchase_order(late, status="Backordered")
    assert ids_of(client.purchase_orders_open()) == [opened, late]
    assert ids_of(client.purchase_orders_changed_since(system.clock())) == [opened, closed, cancelled, late]
    assert ids_of(client.purchase_orders_dated_from(date(2026, 1, 2), date(2026, 1, 3))) == [closed, cancelled]
    assert ids_of(client.purchase_orders_dated_from(date(2026, 1, 3))) == [cancelled, late]


def test_an_order_that_was_deleted_is_missing_from_lists_and_gone_by_its_address() -> None:
    """Nothing else is left of it."""
    system, client = shop()
    number = ordered(system)
    system.delete_purchase_order(number)
    assert client.purchase_orders_by_id([number]) == []
    assert client.purchase_order(number) == Shown(None, True)


def test_statuses_and_terms_are_read_as_the_tenant_has_them() -> None:
    """What is closed, which one is the default closed one, and days until due."""
    _, client = shop()
    statuses = {one.name: one for one in map(PurchaseOrderStatus.model_validate, client.purchase_order_statuses())}
    flags = {name: (one.closed_flag, one.default_closed_flag) for name, one in statuses.items()}
    assert len(flags) == 6
    assert (flags["New"], flags["Received In Full"], flags["Cancelled"]) == (
        (False, False),
        (True, True),
        (True, False),
    )
    terms = [BillingTerm.model_validate(one) for one in client.billing_terms()]
    assert {one.name: one.due_days for one in terms} == {"Due on receipt": 0, "Net 14": 14, "Net 30": 30}
