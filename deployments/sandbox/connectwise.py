"""A simulated ConnectWise Manage: people act on it by its methods, programs read it by HTTP.

It knows nothing of the program that reads it. What is not confirmed about the real system is a switch, so that both
answers can be tried. Not one write is accepted: each is refused for want of permission and kept in `writes`.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from deployments.sandbox import connectwise_books as books
from deployments.sandbox.connectwise_http import Front
from deployments.sandbox.connectwise_purchasing import Purchasing
from deployments.sandbox.connectwise_query import Record
from deployments.sandbox.connectwise_tenant import (
    ROWS,
    ConnectWiseSwitches,
    Given,
    amounts_given,
    as_json,
    set_fields,
)
from deployments.sandbox.wire import Clock, Request, Response, utc_now

__all__ = ["ConnectWiseSwitches", "Limits", "SimulatedConnectWise"]

_USUAL = ConnectWiseSwitches()
COMPANY_FIELDS = ("company", "billToCompany", "shipToCompany", "vendor", "vendorCompany", "customerCompany")
"""The fields in which records name a company."""
_NAMING_COMPANIES = ("invoice", *ROWS, "catalog_item", "company", "agreement", "sales_order", "purchase_order")
_FILL = {"time": books.fill_time, "product": books.fill_product, "expense": books.fill_expense}


@dataclass
class Limits:
    """Calls allowed before 429; 0 = no limit."""

    per_minute: int = 1000


class SimulatedConnectWise(Purchasing):
    """One tenant. Call it with a `Request`; its other methods are what people do in its screens."""

    def __init__(
        self,
        clock: Clock = utc_now,
        switches: ConnectWiseSwitches = _USUAL,
        company: str = "sandbox",
        public_key: str = "sandbox-public",
        private_key: str = "sandbox-private",
        client_id: str = "00000000-0000-4000-8000-000000000001",
        codebase: str = "v2025_1/",
    ) -> None:
        super().__init__(clock, switches)
        self.company = company
        self.public_key = public_key
        self.private_key = private_key
        self.client_id = client_id
        self.codebase = codebase
        self.company_name = "Sandbox"
        self.time_zone = "AUS Eastern Standard Time"
        self.limits = Limits()
        self.reads: Counter[str] = Counter()
        """Calls by address, with ids as `{id}`."""
        self.writes: list[Request] = []
        """Every call that tried to write; all were refused."""
        self._front = Front(self)
        for name, closed in (("New", False), ("Ready for review", False), ("Closed", True), ("Closed - Emailed", True)):
            self.add_billing_status(name, closed=closed)
        for name, days in (("Due on receipt", 0), ("Net 14", 14), ("Net 30", 30)):
            self.add_billing_term(name, days)
        for name in ("New", "Sent to Vendor", "On Order", "Backordered"):
            self.add_purchase_order_status(name)
        self.add_purchase_order_status("Received In Full", closed=True, default_closed=True)
        self.add_purchase_order_status("Cancelled", closed=True)

    def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        with self._lock:
            return self._front.answer(request)

    def record(self, kind: str, number: int) -> Record:
        """A copy of one record as it stands (`invoice`, `time`, `payment`, `company`, `purchase_order`...)."""
        with self._lock:
            return copy.deepcopy(self._get(kind, number))

    def rows(self, kind: str, invoice: int) -> list[Record]:
        """Copies of the rows or payments of one invoice, or of the `purchase_order_line`s of one purchase order."""
        with self._lock:
            return copy.deepcopy(self.tables[kind].of(invoice))

    # --- companies

    def add_company(
        self,
        identifier: str,
        name: str,
        account_number: str = "",
        vendor_identifier: str = "",
        id: int | None = None,
        **fields: Any,
    ) -> int:
        """A company: a customer, a supplier or both. Its tax code, currency and bill-to are its invoices' defaults."""
        with self._lock:
            vendor = bool(vendor_identifier)
            record: Record = {"id": self.tables["company"].new_id(id), "identifier": identifier, "name": name}
            record |= {"status": {"id": 1, "name": "Active"}, "accountNumber": account_number}
            record |= {"vendorIdentifier": vendor_identifier, "deletedFlag": False, "isVendorFlag": vendor}
            record["types"] = [{"id": 4, "name": "Vendor"}] if vendor else [{"id": 1, "name": "Customer"}]
            record |= self._values("company", fields)
            self._refer("company", record, identifier=identifier, name=name)
            return self._insert("company", record)

    def edit_company(self, company: Given, **fields: Any) -> None:
        """Change fields of a company. Its invoices show them at once, though nobody touched the invoices."""
        with self._lock:
            record = self._get("company", company)
            for invoice in self.tables["invoice"]:
                if "accountNumber" in fields and (invoice.get("company") or {}).get("id") == record["id"]:
                    invoice["accountNumber"] = fields["accountNumber"]
            set_fields(record, self._values("company", fields))
            self._touch("company", record)
            self._refer("company", record, identifier=record.get("identifier"), name=record.get("name"))
            for table in _NAMING_COMPANIES:
                self.tables[table].changed()

    def rename_company(self, company: Given, name: str, identifier: str | None = None) -> None:
        """Give a company another name (and, rarely, another identifier)."""
        fields = {"name": name} if identifier is None else {"name": name, "identifier": identifier}
        self.edit_company(company, **fields)

    def merge_company(self, from_id: Given, into_id: Given, follow: Collection[str] = COMPANY_FIELDS) -> None:
        """Merge a company into another: it is gone, and what named it in the fields that `follow` names the other.

        Which fields of a real record follow is not confirmed; one that does not keeps naming what is not there.
        """
        with self._lock:
            gone, kept = self._get("company", from_id), self._get("company", into_id)
            old, new = self._references["company", gone["id"]], self._references["company", kept["id"]]
            for table in _NAMING_COMPANIES:
                for record in self.tables[table]:
                    named = [name for name in follow if record.get(name) is old]
                    for name in named:
                        record[name] = new
                    if table == "invoice" and "company" in named:
                        record["accountNumber"] = kept["accountNumber"]
                    if named:
                        self.tables[table].changed(record["id"])
                        if self.switches.merge_bumps_records:
                            self._stamp(record)
            self.tables["company"].remove(gone["id"])
            del self._references["company", gone["id"]]

    def delete_company(self, company: Given) -> None:
        """Delete a company: it keeps its place and carries the flag."""
        today = self._today()
        self.edit_company(company, deletedFlag=True, dateDeleted=today, deletedBy=self.user)

    # --- invoices and their rows

    def add_invoice(self, **fields: Any) -> int:
        """A new invoice, fields in ConnectWise's names; amounts not given follow from the rows.

        `time`, `products` and `expenses` are lists of rows. Without `status` it is open.
        """
        with self._lock:
            rows = {"time": fields.pop("time", ()), "product": fields.pop("products", ())}
            rows["expense"] = fields.pop("expenses", ())
            number = self.tables["invoice"].new_id(fields.pop("id", None))
            company = self.tables["company"].records.get(self._find("company", fields.get("company", "")) or 0, {})
            values = self._values("invoice", fields)
            when = fields.get("date", self._today())
            record: Record = {"id": number, "invoiceNumber": str(number), "type": "Standard"}
            record["date"] = as_json("date", when)
            record["status"] = self._reference("invoice", "status", "New")
            record["billToCompany"] = values.get("company")
            record["accountNumber"] = company.get("accountNumber", "")
            record |= {name: company[name] for name in ("billToCompany", "taxCode", "currency") if name in company}
            record["billingTerms"] = self._reference("invoice", "billingTerms", "Net 14")
            if isinstance(when, date):
                record["dueDate"] = as_json("dueDate", when + timedelta(days=14))
            record |= {"reference": "", "customerPO": "", "specialInvoiceFlag": False}
            for name in ("previousProgressApplied", "serviceAdjustmentAmount", "agreementAmount", "downpaymentApplied"):
                record[name] = books.ZERO
            record |= values
            record.setdefault("taxableFlag", record.get("taxCode") is not None)
            record = {name: value for name, value in record.items() if value is not None}
            self._fixed["invoice", number] = amounts_given(fields)
            self._stamp(record, created=True)
            self.tables["invoice"].add(record)
            self._references["invoice", number] = self._invoice_reference(record)
            for kind, listed in rows.items():
                for row in listed:
                    self._insert_row(kind, record, row)
            self._total_up(record)
            return number

    @staticmethod
    def _invoice_reference(invoice: Record) -> Record:
        names = {"identifier": "invoiceNumber", "billingType": "type", "invoiceDate": "date"}
        return {"id": invoice["id"], **{name: invoice.get(source) for name, source in names.items()}}

    def edit_invoice(self, invoice: int, **fields: Any) -> None:
        """Change fields of an invoice. An amount given stays as given; None takes a field away, or has it computed."""
        with self._lock:
            record = self._get("invoice", invoice)
            set_fields(record, self._values("invoice", fields))
            self._fixed["invoice", invoice] = self._fixed["invoice", invoice] - fields.keys() | amounts_given(fields)
            if {"invoiceNumber", "date", "type"} & fields.keys():
                self._references["invoice", invoice].update(self._invoice_reference(record))
                for table in (*ROWS, "payment"):
                    for row in self.tables[table].of(invoice):
                        self.tables[table].changed(row["id"])
            self._total_up(record)
            self._touch("invoice", record)

    def close_invoice(self, invoice: int, status: Given = "Closed") -> None:
        """Set a closed billing status."""
        self.edit_invoice(invoice, status=status, closedBy=self.user)

    def reopen_invoice(self, invoice: int, status: Given = "New") -> None:
        """Set an open billing status again."""
        self.edit_invoice(invoice, status=status, closedBy=None)

    def delete_invoice(self, invoice: int) -> None:
        """Delete an invoice; its rows become unbilled, its payments go with it. No trace is left."""
        with self._lock:
            if self._applied_from(invoice):
                raise ValueError("a credit memo that was applied cannot be deleted")
            for kind in ROWS:
                for row in self.tables[kind].of(invoice):
                    self._move_row(kind, row["id"], None)
                    self._touch(kind, row)
            for row in self.tables["payment"].of(invoice):
                self.delete_row("payment", row["id"])
            self.tables["invoice"].remove(invoice)
            del self._references["invoice", invoice]

    def add_row(self, kind: str, invoice: int, **fields: Any) -> int:
        """Bill one more row (`time`, `product` or `expense`) on an invoice."""
        with self._lock:
            record = self._get("invoice", invoice)
            number = self._insert_row(kind, record, fields)
            self._child_changed(record)
            return number

    def add_product(self, company: Given, **fields: Any) -> int:
        """Sell something to a company that is not on an invoice yet; `edit_row(..., invoice=...)` bills it later.

        Its sales order, ticket or project by ConnectWise's names, as everything else.
        """
        with self._lock:
            return self._insert_row("product", None, {"company": company, **fields})

    def edit_row(self, kind: str, row: int, **fields: Any) -> None:
        """Change a row (`time`, `product`, `expense`) or a `payment`."""
        with self._lock:
            if "invoice" in fields:
                self._move_row(kind, row, fields.pop("invoice"))
            record = self._get(kind, row)
            before = record.get("credit")
            set_fields(record, self._values(kind, fields))
            if kind in _FILL:
                self._fixed[kind, row] = self._fixed[kind, row] - fields.keys() | amounts_given(fields)
                _FILL[kind](record, self._fixed[kind, row])
            self._touch(kind, record)
            self._row_changed(record)
            if before is not None and before is not record.get("credit"):
                self._row_changed({"credit": before})

    def delete_row(self, kind: str, row: int) -> None:
        """Delete a row or a payment."""
        with self._lock:
            self._row_changed(self.tables[kind].remove(row))

    def _move_row(self, kind: str, row: int, invoice: int | None) -> None:
        """Bill a row on another invoice, or on none."""
        record = self.tables[kind].remove(row)
        if before := record.pop("invoice", None):
            self.tables[kind].add(record)
            self._row_changed({"invoice": before})
            self.tables[kind].remove(row)
        if invoice is not None:
            record["invoice"] = self._references["invoice", invoice]
        self.tables[kind].add(record)

    def _insert_row(self, kind: str, invoice: Record | None, given: Mapping[str, Any]) -> int:
        fields = dict(given)
        number = self.tables[kind].new_id(fields.pop("id", None))
        row: Record = {"id": number, **self._row_defaults(kind, invoice or {}, fields), **self._values(kind, fields)}
        if invoice is not None:
            row["invoice"] = self._references["invoice", invoice["id"]]
        self._fixed[kind, number] = amounts_given(fields)
        _FILL[kind](row, self._fixed[kind, number])
        return self._insert(kind, row)

    def _row_defaults(self, kind: str, invoice: Record, fields: Mapping[str, Any]) -> Record:
        row: Record = {"company": invoice.get("company"), "billableOption": "Billable"}
        row |= {name: invoice[name] for name in ("ticket", "project", "agreement") if name in invoice}
        day = str(invoice.get("date", ""))[:10]
        row |= {"locationId": invoice.get("locationId"), "businessUnitId": invoice.get("departmentId")}
        if kind == "product":
            row |= {"location": invoice.get("location"), "businessUnit": invoice.get("department")}
            row |= {"quantity": Decimal(1), "cancelledFlag": False, "productClass": "NonInventory"}
            item = self._find("catalog_item", fields.get("catalogItem", ""))
            if item is not None:
                shown = self.tables["catalog_item"].records[item]
                names = ("description", "customerDescription", "price", "cost", "taxableFlag", "productClass")
                row |= {name: shown[name] for name in names if name in shown}
            row.setdefault("taxableFlag", True)
            return row
        row |= {"chargeToType": "ProjectTicket" if "project" in invoice else "ServiceTicket", "status": "Billed"}
        if kind == "time":
            row |= {"location": invoice.get("location"), "department": invoice.get("department"), "invoiceFlag": True}
            return row | {"timeStart": f"{day}T01:00:00Z", "timeEnd": f"{day}T02:00:00Z"}
        return row | {"date": f"{day}T00:00:00Z", "currency": invoice.get("currency")}

    def _row_changed(self, row: Record) -> None:
        for reference in (row.get("invoice"), row.get("credit")):
            invoice = self.tables["invoice"].records.get(reference["id"]) if isinstance(reference, dict) else None
            if invoice is not None:
                self._child_changed(invoice)

    def _child_changed(self, invoice: Record) -> None:
        self._total_up(invoice)
        if self.switches.child_bumps_parent:
            self._touch("invoice", invoice)

    def _total_up(self, invoice: Record) -> None:
        number = invoice["id"]
        code = invoice.get("taxCode")
        applied = self._applied_from(number) if invoice.get("type") == "CreditMemo" else books.ZERO
        books.total_up(
            invoice,
            {kind: self.tables[kind].of(number) for kind in ROWS},
            self.tables["payment"].of(number),
            self.tables["tax_code"].records.get(code.get("id", 0)) if isinstance(code, dict) else None,
            self._fixed["invoice", number],
            self.switches.adjustments_inside_service_total,
            applied,
        )
        self.tables["invoice"].changed(number)

    def _applied_from(self, memo: int) -> Decimal:
        rows = (row for row in self.tables["payment"] if (row.get("credit") or {}).get("id") == memo)
        return sum((books.amount_of(row, "amount") for row in rows), books.ZERO)

    # --- payments

    def add_payment(self, invoice: int, amount: Decimal | int | str, date: date | None = None) -> int:
        """Enter a cash payment; where there can be one only, it is added to the one that is there."""
        with self._lock:
            record = self._get("invoice", invoice)
            when = date or self._today()
            cash = [row for row in self.tables["payment"].of(invoice) if "credit" not in row]
            if cash and self.switches.one_payment_per_invoice:
                self.edit_row("payment", cash[0]["id"], amount=cash[0]["amount"] + Decimal(amount), paymentDate=when)
                return int(cash[0]["id"])
            return self._insert_payment(record, Decimal(amount), when)

    def apply_credit(self, memo_id: int, invoice_id: int, amount: Decimal | int | str, date: date | None = None) -> int:
        """Apply a part of a closed credit memo to an invoice: no more than remains of it, nor than is owed."""
        with self._lock:
            memo, record = self._get("invoice", memo_id), self._get("invoice", invoice_id)
            if memo.get("type") != "CreditMemo" or not memo["status"].get("isClosed"):
                raise ValueError("only a closed credit memo can be applied")
            if not books.ZERO < Decimal(amount) <= min(-memo["balance"], record["balance"]):
                raise ValueError("the amount is more than remains of the credit memo, or than the invoice's balance")
            number = self._insert_payment(record, Decimal(amount), date or self._today(), memo)
            self._child_changed(memo)
            return number

    def change_payment(self, payment: int, amount: Decimal | int | str, date: date | None = None) -> None:
        """Change the amount of a payment, or of what a credit memo gives: a delta under the same id."""
        self.edit_row("payment", payment, amount=Decimal(amount), paymentDate=date or self._today())

    def remove_payment(self, payment: int) -> None:
        """Remove a cash payment. No trace is left of the row."""
        with self._lock:
            if "credit" in self._get("payment", payment):
                raise ValueError("the row is the application of a credit memo")
            self.delete_row("payment", payment)

    def uncredit(self, payment: int) -> None:
        """Take the application of a credit memo back; the memo can be applied again."""
        with self._lock:
            if "credit" not in self._get("payment", payment):
                raise ValueError("the row is a cash payment")
            self.delete_row("payment", payment)

    def _insert_payment(self, invoice: Record, amount: Decimal, when: date, memo: Record | None = None) -> int:
        row: Record = {
            "id": self.tables["payment"].new_id(),
            "type": "Credit" if memo else "Payment",
            "source": "Default",
        }
        row["invoice"] = self._references["invoice", invoice["id"]]
        if memo is not None:
            row["credit"] = self._references["invoice", memo["id"]]
        row |= {"amount": amount, "paymentDate": as_json("paymentDate", when), "appliedBy": self.user}
        number = self._insert("payment", row)
        self._child_changed(invoice)
        return number
