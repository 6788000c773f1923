"""Purchase orders as ConnectWise gives them, for the tests of bills."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mappings.billing import line_key
from mappings.connectwise import SourceBill, SourcePurchaseOrder
from tests.mappings.samples import cents

ORDER: dict[str, Any] = {
    "id": 7,
    "poNumber": "PO7",
    "poDate": "2026-02-20T00:00:00Z",
    "status": {"id": 2, "name": "On Order"},
    "closedFlag": False,
    "vendorCompany": {"id": 201, "identifier": "NETGEAR", "name": "Netgear Distribution"},
    "location": {"id": 11, "name": "Sydney"},
    "taxCode": {"id": 5, "name": "GST"},
    "taxPoFlag": True,
    "currency": {"id": 1, "currencyCode": "AUD", "name": "Australian dollar"},
}


def line(
    number: int = 1, quantity: object = "10", received: object = 0, cost: object = "100", **fields: Any
) -> dict[str, Any]:
    """A line of an order: so many ordered and received, at this cost each; 10 % tax on all that was ordered.

    What was received was so on 2 March, and in full where that is as much as was ordered, unless told otherwise.
    """
    ordered, came, each = Decimal(str(quantity)), Decimal(str(received)), Decimal(str(cost))
    given: dict[str, Any] = {
        "id": number,
        "lineNumber": number,
        "product": {"id": 300 + number, "identifier": f"ITEM-{number}"},
        "description": f"Item {number}",
        "quantity": ordered,
        "receivedQuantity": came,
        "receivedStatus": "FullyReceived" if came and came >= ordered else "Waiting",
        "unitCost": each,
        "extCost": cents(ordered * each),
        "tax": cents(ordered * each * Decimal("0.1")),
    }
    if came:
        given["dateReceived"] = "2026-03-02T00:00:00Z"
    return given | fields


def raw_order(*lines: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """An open order, as the API gives it, with its lines."""
    return {"header": ORDER | fields, "lines": list(lines)}


def order(*lines: Mapping[str, Any], **fields: Any) -> SourcePurchaseOrder:
    """The same as a record."""
    return SourcePurchaseOrder.model_validate(raw_order(*lines, **fields))


def bill(source: SourcePurchaseOrder, quantities: Mapping[str, object] | None = None, **fields: Any) -> SourceBill:
    """A bill of an order: its first, of all that was received, unless told otherwise."""
    whole = {line_key(each): each.received_quantity for each in source.lines if each.received_quantity}
    held = whole if quantities is None else {key: Decimal(str(value)) for key, value in quantities.items()}
    return SourceBill(
        **({"header": source.header, "lines": source.lines, "n": 1, "quantities": tuple(sorted(held.items()))} | fields)
    )
