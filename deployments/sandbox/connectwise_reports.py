"""The system reports of the simulated ConnectWise: the one that says which order line buys which sold product.

`GET /system/reports/PurchaseOrderWithLineItems` gives one row per line of a purchase order and sold product that it
buys, and one row with an empty `IV_Product_RecID` for a line that buys none (connectwise.md, 11.7). The names and
kinds of its columns are those that a live tenant listed in 2018 (Available Reports for ConnectWise v2018.6); they may
be others today, so a reader has to find a column by its name. The API's own role node ("API Reports") opens it: the
switch `forbidden_paths` with `/system/reports` closes it (403).

Assumed, not known: `Quantity` is that of the line, whatever part of it went to the product (a switch says otherwise);
with `columns` the answer keeps the report's own order of columns; `columns` with an unknown name is refused; rows
come by line and product; dates are written as the lists write them; no column is marked as an identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from deployments.sandbox.connectwise_query import BadQuery, Fields, Kind, Record

if TYPE_CHECKING:
    from deployments.sandbox.connectwise import SimulatedConnectWise

ORDER_LINES = "PurchaseOrderWithLineItems"
_KINDS: dict[str, Kind] = {"Numeric": "number", "Text": "text", "Boolean": "boolean", "DateTime": "date"}
_COLUMNS: dict[str, tuple[str, bool]] = {
    "Backorder_Flag": ("Boolean", False),
    "Date_Received": ("DateTime", True),
    "Description": ("Text", True),
    "Expected_Ship_Date": ("DateTime", True),
    "IV_Item_RecID": ("Numeric", False),
    "IV_Product_RecID": ("Numeric", True),
    "Item_ID": ("Text", True),
    "Last_Update": ("DateTime", False),
    "Line_Number": ("Numeric", True),
    "PO_Number": ("Text", True),
    "Purchase_Detail_RecID": ("Numeric", False),
    "Purchase_Header_RecID": ("Numeric", False),
    "Quantity": ("Numeric", True),
    "Received": ("Boolean", False),
    "Received_Qty": ("Numeric", True),
    "Serialized_Flag": ("Boolean", True),
    "Time_Zone": ("Text", True),
    "Updated_By": ("Text", True),
    "Vendor_SKU": ("Text", True),
    "itemunitcost": ("Numeric", True),
    "itemuom": ("Text", True),
    "received_status": ("Text", False),
    "shipmethoddescription": ("Text", True),
    "tracking_number": ("Text", True),
    "tracking_url": ("Text", True),
}
"""Name, type, and whether it can be null."""
FIELDS: Fields = {name: _KINDS[kind] for name, (kind, _null) in _COLUMNS.items()}


def definitions(names: list[str]) -> list[dict[str, Any]]:
    """The definitions of some columns: one object with one name each (spec: ReportDataResponse)."""
    return [
        {name: {"type": _COLUMNS[name][0], "isNullable": _COLUMNS[name][1], "identityColumn": False}} for name in names
    ]


def chosen(columns: str | None) -> list[str]:
    """The columns that a request wants, in the report's own order; all when it names none."""
    if not columns:
        return list(_COLUMNS)
    wanted = {name.strip().casefold() for name in columns.split(",") if name.strip()}
    unknown = wanted - {name.casefold() for name in _COLUMNS}
    if unknown:
        raise BadQuery(f"No column '{min(unknown)}' exists in the report {ORDER_LINES}.")
    return [name for name in _COLUMNS if name.casefold() in wanted]


def rows(system: SimulatedConnectWise) -> Iterator[tuple[Record, Record]]:
    """The rows of the report, each with the purchase order that it is of."""
    for line in system.tables["purchase_order_line"]:
        order = system.tables["purchase_order"].records[line["purchaseOrderId"]]
        bought: list[tuple[int | None, Decimal]] = [*system.demands_of(line["id"])]
        for product, quantity in bought or [(None, line["quantity"])]:
            shown = quantity if system.switches.report_quantity == "of_the_link" else line["quantity"]
            yield order, _row(system, line, product, shown)


def _row(system: SimulatedConnectWise, line: Record, product: int | None, quantity: Decimal) -> Record:
    item, info = line.get("product") or {}, line.get("_info") or {}
    return {
        "Backorder_Flag": line["backorderedFlag"],
        "Date_Received": line.get("dateReceived"),
        "Description": line.get("description"),
        "Expected_Ship_Date": line.get("expectedShipDate"),
        "IV_Item_RecID": item.get("id"),
        "IV_Product_RecID": product,
        "Item_ID": item.get("identifier"),
        "Last_Update": info.get("lastUpdated"),
        "Line_Number": line["lineNumber"],
        "PO_Number": line.get("purchaseOrderNumber"),
        "Purchase_Detail_RecID": line["id"],
        "Purchase_Header_RecID": line["purchaseOrderId"],
        "Quantity": quantity,
        "Received": line["receivedStatus"] != "Waiting",
        "Received_Qty": line.get("receivedQuantity"),
        "Serialized_Flag": item.get("serializedFlag"),
        "Time_Zone": system.time_zone,
        "Updated_By": info.get("updatedBy"),
        "Vendor_SKU": line.get("vendorSku"),
        "itemunitcost": line.get("unitCost"),
        "itemuom": (line.get("unitOfMeasure") or {}).get("name"),
        "received_status": line["receivedStatus"],
        "shipmethoddescription": (line.get("shipmentMethod") or {}).get("name"),
        "tracking_number": line.get("trackingNumber"),
        "tracking_url": None,
    }
