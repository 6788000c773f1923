"""What people do with purchase orders in the simulated ConnectWise, from raising one to closing it.

There is no document of a receipt: receiving is a change of a line, or its splitting in two (the line that was received,
and a new one for the rest). An order is closed or open by its status alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from deployments.sandbox import connectwise_books as books
from deployments.sandbox.connectwise_query import Record
from deployments.sandbox.connectwise_tenant import Given, Tenant, amounts_given, as_json, set_fields

_WAITING = {"receivedQuantity": 0, "receivedStatus": "Waiting", "closedFlag": False}
_DEFAULT = 1
"""The id of the status and of the terms that carry the `defaultFlag`."""
_OF_A_RECEIPT = ("dateReceived", "packingSlip", "serialNumbers", "shipDate", "trackingNumber")
"""What a line has from its receipt, and the line for the rest does not."""


class Purchasing(Tenant):
    """The screens of procurement."""

    # --- the order

    def add_purchase_order(self, **fields: Any) -> int:
        """A new purchase order, fields in ConnectWise's names; amounts not given follow from the lines.

        `lines` is a list of lines. Without `status` it is open; tax code, currency and terms are its vendor's.
        """
        with self._lock:
            lines = fields.pop("lines", ())
            if not fields.get("vendorCompany"):
                raise ValueError("a purchase order needs a vendorCompany")
            _refuse_closed_flag(fields)
            number = self.tables["purchase_order"].new_id(fields.pop("id", None))
            values = self._values("purchase_order", fields)
            vendor = self.tables["company"].records.get(values["vendorCompany"].get("id", 0), {})
            record: Record = {"id": number, "poNumber": str(number), "poDate": as_json("poDate", self._today())}
            record["status"] = self._reference("purchase_order", "status", _DEFAULT)
            record["terms"] = vendor.get("billingTerms") or self._reference("purchase_order", "terms", _DEFAULT)
            record |= {name: vendor[name] for name in ("taxCode", "currency") if name in vendor}
            record |= {"freightCost": books.ZERO, "taxFreightFlag": False, "dropShipCustomerFlag": False}
            record |= {"enteredBy": self.user, "vendorOrderNumber": "", "vendorInvoiceNumber": ""}
            record |= values
            record.setdefault("taxPoFlag", record.get("taxCode") is not None)
            record = {name: value for name, value in record.items() if value is not None}
            self._follow_status(record)
            self._fixed["purchase_order", number] = amounts_given(fields)
            self._insert("purchase_order", record)
            order = self.tables["purchase_order"].records[number]
            for line in lines:
                self._insert_line(order, line)
            self._total_up_order(order)
            return number

    def edit_purchase_order(self, order: int, **fields: Any) -> None:
        """Change fields of an order. An amount given stays as given; None takes a field away, or has it computed."""
        with self._lock:
            _refuse_closed_flag(fields)
            record = self._get("purchase_order", order)
            set_fields(record, self._values("purchase_order", fields))
            fixed = self._fixed["purchase_order", order]
            self._fixed["purchase_order", order] = fixed - fields.keys() | amounts_given(fields)
            if "status" in fields:
                self._follow_status(record)
            for line in self.tables["purchase_order_line"].of(order):
                self._fill_line(record, line)
            self._total_up_order(record)
            self._touch("purchase_order", record)

    def enter_vendor_invoice(self, order: int, number: str, date: date | None = None) -> None:
        """Enter the number and date of the vendor's invoice: there is one of each, and no amount."""
        self.edit_purchase_order(order, vendorInvoiceNumber=number, vendorInvoiceDate=date or self._today())

    def close_purchase_order(self, order: int, status: Given | None = None) -> None:
        """Set a closed status: the default closed one, unless told otherwise. Its lines stay as they are."""
        self.edit_purchase_order(order, status=self._default_closed() if status is None else status)

    def cancel_purchase_order(self, order: int, reason: str = "", status: Given = "Cancelled") -> None:
        """Set a closed status that is not the default closed one. Its lines stay as they are."""
        chosen = self._get("purchase_order_status", status)
        if not chosen["closedFlag"] or chosen["defaultClosedFlag"]:
            raise ValueError(f"an order in the status {chosen['name']!r} is not cancelled")
        self.edit_purchase_order(order, status=status, cancelReason=reason)

    def reopen_purchase_order(self, order: int, status: Given = "New") -> None:
        """Set an open status again."""
        self.edit_purchase_order(order, status=status, cancelReason=None)

    def delete_purchase_order(self, order: int) -> None:
        """Delete an order with its lines. No trace is left."""
        with self._lock:
            self._get("purchase_order", order)
            for line in self.tables["purchase_order_line"].of(order):
                self.tables["purchase_order_line"].remove(line["id"])
                self._demands.pop(line["id"], None)
            self.tables["purchase_order"].remove(order)

    def _default_closed(self) -> int:
        statuses = self.tables["purchase_order_status"]
        return next(int(status["id"]) for status in statuses if status["defaultClosedFlag"])

    def _follow_status(self, order: Record) -> None:
        """The closed flag is the status's; a date already there stays while the order stays closed."""
        closed = self._get("purchase_order_status", order["status"])["closedFlag"]
        order["closedFlag"] = closed
        if closed:
            order.setdefault("dateClosed", as_json("dateClosed", self._now()))
            order.setdefault("closedBy", self.user)
        else:
            order.pop("dateClosed", None)
            order.pop("closedBy", None)

    # --- its lines

    def add_order_line(self, order: int, **fields: Any) -> int:
        """Order one more thing."""
        with self._lock:
            record = self._get("purchase_order", order)
            number = self._insert_line(record, fields)
            self._line_changed(record)
            return number

    def edit_order_line(self, line: int, **fields: Any) -> None:
        """Change fields of a line, in whatever combination: old data has them all."""
        with self._lock:
            record = self._get("purchase_order_line", line)
            set_fields(record, self._line_values(fields))
            fixed = self._fixed["purchase_order_line", line]
            self._fixed["purchase_order_line", line] = fixed - fields.keys() | amounts_given(fields)
            self._save_line(record)

    def delete_order_line(self, line: int) -> None:
        """Delete a line."""
        with self._lock:
            record = self._get("purchase_order_line", line)
            self.tables["purchase_order_line"].remove(line)
            self._demands.pop(line, None)
            self._line_changed(self._order_of(record))

    def buy_for(self, line: int, product: int, quantity: Decimal | int | str | None = None) -> None:
        """Say that a line buys a sold product (`product` row), with so much of its quantity: as much as was sold.

        A line may buy several products, and a product may be bought by several lines. Neither record shows it. When
        a part of the line is received and its rest cloned, it stays with the first of the two (not confirmed).
        """
        with self._lock:
            self._get("purchase_order_line", line)
            sold = self._get("product", product)
            bought = sold["quantity"] if quantity is None else Decimal(quantity)
            if bought <= 0:
                raise ValueError("a line buys something of a product, or it does not buy it")
            self._demands.setdefault(line, {})[product] = bought

    def not_buy_for(self, line: int, product: int) -> None:
        """Take that back."""
        with self._lock:
            del self._demands[line][product]

    def demands_of(self, line: int) -> list[tuple[int, Decimal]]:
        """The sold products that a line buys, and how much of each; a deleted product is none any more."""
        found = self._demands.get(line, {}).items()
        return [(product, quantity) for product, quantity in sorted(found) if product in self.tables["product"]]

    def receive_line(
        self, line: int, quantity: int | None = None, slip: str = "", date: date | None = None, close: bool = False
    ) -> None:
        """Receive a line in full. With `quantity`, that is what came of it in all: more than was ordered, perhaps.

        What came is a whole number: of 2.5 ordered it says 2.
        """
        with self._lock:
            record = self._get("purchase_order_line", line)
            came = int(record["quantity"]) if quantity is None else quantity
            if came < record["quantity"].to_integral_value("ROUND_FLOOR"):
                raise ValueError("that is less than was ordered: receive a part of the line")
            self._receive(record, came, "FullyReceived", slip, date, close)
            self._save_line(record)
            self._close_when_received(self._order_of(record))

    def receive_part(
        self,
        line: int,
        quantity: int,
        rest: Literal["clone", "cancel"] = "clone",
        slip: str = "",
        date: date | None = None,
        close: bool = False,
    ) -> int | None:
        """Receive a part of a line: `quantity` is what came of it in all. A cloned rest is a new line: gives its id.

        To receive a part of what was received in full already changes nothing, but makes a line of quantity 0.
        """
        with self._lock:
            record = self._get("purchase_order_line", line)
            order = self._order_of(record)
            if record["receivedStatus"] == "FullyReceived":
                if rest == "cancel":
                    raise ValueError("everything was received: there is no rest to cancel")
                return self._clone(order, record, books.ZERO, {})
            ordered = record["quantity"]
            if not 0 < quantity < ordered:
                raise ValueError("a part is more than nothing, and less than was ordered")
            switches = self.switches
            shrinks = switches.clone_shrinks_quantity if rest == "clone" else switches.cancel_shrinks_quantity
            shares = self._shares(record, quantity / ordered, shrinks)
            if shrinks:
                record["quantity"] = Decimal(quantity)
            status = "PartiallyReceiveCloneRest" if rest == "clone" else "PartiallyReceiveCancelRest"
            self._receive(record, quantity, status, slip, date, close)
            made = self._clone(order, record, ordered - quantity, shares) if rest == "clone" else None
            self._save_line(record)
            self._close_when_received(order)
            return made

    def unreceive_line(self, line: int, left: int = 0) -> None:
        """Take the receipt of a line back, all but `left`: it is open and waits again."""
        with self._lock:
            record = self._get("purchase_order_line", line)
            if not 0 <= left < record["receivedQuantity"]:
                raise ValueError("no more than was received can be taken back, and no less than something")
            record |= _WAITING | {"receivedQuantity": left}
            if not left:
                set_fields(record, dict.fromkeys(("dateReceived", "packingSlip")))
            self._save_line(record)

    def cancel_line(self, line: int, reason: str = "") -> None:
        """Cancel a line: it stays, marked, and no longer counts in the order's amounts."""
        with self._lock:
            record = self._get("purchase_order_line", line)
            now = as_json("dateCanceled", self._now())
            record |= {"canceledFlag": True, "canceledBy": self.user, "canceledReason": reason}
            record |= {"dateCanceled": now, "dateCanceledUtc": now}
            self._save_line(record)
            self._close_when_received(self._order_of(record))

    def _receive(self, line: Record, came: int, status: str, slip: str, day: date | None, close: bool) -> None:
        line |= self._line_values({"receivedQuantity": came, "dateReceived": day or self._today()})
        line |= {"receivedStatus": status, "packingSlip": slip, "closedFlag": close}

    def _shares(self, line: Record, received: Decimal, shrinks: bool) -> dict[str, Decimal]:
        """What of the amounts that a person typed in goes with the rest; a line that shrinks loses it."""
        shares: dict[str, Decimal] = {}
        for name in ("extCost", "tax"):
            if name in self._fixed["purchase_order_line", line["id"]]:
                stays = books.cents(line[name] * received)
                shares[name] = line[name] - stays
                line[name] = stays if shrinks else line[name]
        return shares

    def _clone(self, order: Record, line: Record, quantity: Decimal, amounts: dict[str, Decimal]) -> int:
        """A new line for the rest of another."""
        dropped = ("id", "lineNumber", "_info", "extCost", "tax", *_OF_A_RECEIPT)
        fields = {name: value for name, value in line.items() if name not in dropped}
        number = self._insert_line(order, fields | _WAITING | {"quantity": quantity} | amounts)
        self._fixed["purchase_order_line", number] = set(amounts)
        self._line_changed(order)
        return number

    def _insert_line(self, order: Record, given: Mapping[str, Any]) -> int:
        fields = dict(given)
        if not fields.get("product"):
            raise ValueError("a line of a purchase order needs a product of the catalogue")
        table = self.tables["purchase_order_line"]
        number = table.new_id(fields.pop("id", None))
        values = self._line_values(fields)
        item = self.tables["catalog_item"].records.get(values["product"].get("id", 0), {})
        line: Record = {"id": number, "purchaseOrderId": order["id"], "purchaseOrderNumber": order["poNumber"]}
        line["lineNumber"] = max((other["lineNumber"] for other in table.of(order["id"])), default=0) + 1
        line |= {"description": item.get("description", ""), "unitCost": item.get("cost", books.ZERO)}
        each = self._reference("purchase_order_line", "unitOfMeasure", "Each")
        line["unitOfMeasure"] = item.get("unitOfMeasure", each)
        line |= {"vendorSku": item.get("vendorSku"), "quantity": Decimal(1), **_WAITING, "packingSlip": ""}
        line |= {"canceledFlag": False, "backorderedFlag": False, "batchedFlag": False, "isDetachAvailable": False}
        line |= values
        self._fixed["purchase_order_line", number] = amounts_given(fields)
        self._fill_line(order, line)
        return self._insert("purchase_order_line", line)

    def _line_values(self, fields: Mapping[str, Any]) -> Record:
        values = self._values("purchase_order_line", fields)
        if type(values.get("receivedQuantity", 0)) is not int:
            raise ValueError("the received quantity is a whole number")
        if values.get("salesOrder"):
            sold = (self._reference("purchase_order_line", "salesOrder", each) for each in values["salesOrder"])
            values["salesOrder"] = list(sold)
        return values

    def _save_line(self, line: Record) -> None:
        order = self._order_of(line)
        self._fill_line(order, line)
        self._touch("purchase_order_line", line)
        self._line_changed(order)

    def _line_changed(self, order: Record) -> None:
        self._total_up_order(order)
        if self.switches.child_bumps_parent:
            self._touch("purchase_order", order)

    def _close_when_received(self, order: Record) -> None:
        lines = [line for line in self.tables["purchase_order_line"].of(order["id"]) if not line["canceledFlag"]]
        done = all(line["closedFlag"] or line["receivedStatus"] != "Waiting" for line in lines)
        came = any(line["receivedQuantity"] for line in lines)
        if self.switches.auto_close_purchase_orders and done and came and not order["closedFlag"]:
            self.close_purchase_order(order["id"])

    def _order_of(self, line: Record) -> Record:
        return self.tables["purchase_order"].records[line["purchaseOrderId"]]

    # --- amounts

    def _fill_line(self, order: Record, line: Record) -> None:
        line["purchaseOrderNumber"] = order.get("poNumber")
        rate = self._rate(order) if order.get("taxPoFlag") else books.ZERO
        books.fill_order_line(line, rate, self._fixed["purchase_order_line", line["id"]])
        self.tables["purchase_order_line"].changed(line["id"])

    def _total_up_order(self, order: Record) -> None:
        number = order["id"]
        rate = self._rate(order) if order.get("taxFreightFlag") else books.ZERO
        lines = self.tables["purchase_order_line"].of(number)
        books.total_up_order(order, lines, rate, self._fixed["purchase_order", number])
        self.tables["purchase_order"].changed(number)

    def _rate(self, order: Record) -> Decimal:
        code = order.get("taxCode") or {}
        return books.products_rate(self.tables["tax_code"].records.get(code.get("id", 0)))

    def _now(self) -> datetime:
        return (self._moment or self.clock()).astimezone(UTC)


def _refuse_closed_flag(fields: Mapping[str, Any]) -> None:
    if "closedFlag" in fields:
        raise ValueError("an order is closed and opened by its status")
