"""What a person does with purchase orders in Xero's own screens, and what a test reads off them."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.xero_books import PurchaseOrder, Undo, fold
from deployments.sandbox.xero_document_screens import DocumentScreens
from deployments.sandbox.xero_invoices import write as write_document
from deployments.sandbox.xero_kinds import INVOICE
from deployments.sandbox.xero_lines import tracking_json
from deployments.sandbox.xero_linked_transactions import link_json
from deployments.sandbox.xero_linked_transactions import write as write_link
from deployments.sandbox.xero_purchase_orders import order_json, write
from deployments.sandbox.xero_shapes import document_json


class PurchaseScreens(DocumentScreens):
    """Purchase orders by hand. A rule that forbids something is a ValueError with its text."""

    def enter_purchase_order(self, supplier_id: str, number: str = "", **order: Any) -> dict[str, Any]:
        """Key an order by hand: API field names; a number is made up where none is given."""
        with self.lock:
            given = {"Contact": {"ContactID": supplier_id}, "PurchaseOrderNumber": number or None}
            return self._write_order(given | order, None)

    def edit_purchase_order(self, order_id: str, **fields: Any) -> dict[str, Any]:
        """Change any field or the lines of an order (API field names), whatever its status; not of a deleted one."""
        with self.lock:
            return self._write_order(fields, self._order(order_id))

    def approve_purchase_order(self, order_id: str) -> dict[str, Any]:
        """Approve a draft or a submitted order; a line that lacks an account has to get it first."""
        return self._move_order(order_id, "AUTHORISED", ("DRAFT", "SUBMITTED"))

    def delete_purchase_order(self, order_id: str) -> dict[str, Any]:
        """Delete an order in any status. Its number stays taken for ever."""
        return self._move_order(order_id, "DELETED", ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED"))

    def mark_as_billed(self, order_id: str) -> dict[str, Any]:
        """Mark an approved order as billed, which makes no bill (Xero help: mark a purchase order as billed)."""
        return self._move_order(order_id, "BILLED", ("AUTHORISED",))

    def unmark_as_billed(self, order_id: str) -> dict[str, Any]:
        """Make a billed order an approved one again (Xero help, same page)."""
        return self._move_order(order_id, "AUTHORISED", ("BILLED",))

    def copy_to_bill(self, *order_ids: str, mark_billed: bool = True) -> dict[str, Any]:
        """Copy approved or billed orders of one supplier to one draft bill; the bill.

        Its Reference box (the API's InvoiceNumber) takes the numbers of the orders, its lines are all of theirs as
        they are. `mark_billed` is the tick box of that screen (Xero help: create a bill from purchase orders). How
        several numbers are parted there is not known: with a comma here.
        """
        with self.lock:
            orders = [self._order(key) for key in order_ids]
            if len({(one.contact_id, one.currency, one.line_amount_types) for one in orders}) != 1:
                raise ValueError("the orders on a bill have one supplier, one currency and one way of tax")
            if any(one.status not in ("AUTHORISED", "BILLED") for one in orders):
                raise ValueError("only an approved or a billed purchase order is copied to a bill")
            first = orders[0]
            bill = {
                "Type": "ACCPAY",
                "Contact": {"ContactID": first.contact_id},
                "InvoiceNumber": ", ".join(one.number or "" for one in orders),
                "CurrencyCode": first.currency,
                "LineAmountTypes": first.line_amount_types,
                "LineItems": [line for one in orders for line in self._copied_lines(one)],
            }
            undo: Undo = []
            outcome, made = write_document(self, INVOICE, bill, undo, app=None, upsert=False, unit_places=4)
            self.insist(outcome.errors, undo)
            for one in orders:
                if mark_billed and one.status == "AUTHORISED":
                    self.mark_as_billed(one.document_id)
            return document_json(self, made, "one", 4)

    def _copied_lines(self, order: PurchaseOrder) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        for line in order.lines:
            if line.quantity is None:
                lines.append({"Description": line.description})
                continue
            # A bill takes no discount, so of such a line the reduced amount is what counts.
            price = {"LineAmount": line.line_amount} if line.discount else {"UnitAmount": line.unit_amount}
            lines.append(
                {
                    "Description": line.description,
                    "Quantity": line.quantity,
                    **price,
                    "AccountCode": line.account.code if line.account is not None else None,
                    "TaxType": line.tax_type,
                    "TaxAmount": line.tax_amount,
                    "ItemCode": line.item_code,
                    "Tracking": tracking_json(self, line),
                }
            )
        return lines

    # --- billable expenses ------------------------------------------------------------------------------------

    def assign_expense(
        self, bill_id: str, line_id: str, customer_id: str, invoice_id: str = "", invoice_line_id: str = ""
    ) -> dict[str, Any]:
        """Bill a line of a bill on to a customer, and put it on a line of his invoice; the linked transaction."""
        with self.lock:
            fields = {
                "SourceTransactionID": bill_id,
                "SourceLineItemID": line_id,
                "ContactID": customer_id,
                "TargetTransactionID": invoice_id,
                "TargetLineItemID": invoice_line_id,
            }
            undo: Undo = []
            outcome, made = write_link(self, fields, undo)
            self.insist(outcome.errors, undo)
            assert made is not None
            return link_json(self, made)

    def unassign_expense(self, linked_transaction_id: str) -> None:
        """Take a link away again."""
        with self.lock:
            self.links.remove(linked_transaction_id.lower())

    # --- what a test reads ------------------------------------------------------------------------------------

    def purchase_orders(self, number: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All orders, or the one with this number, API shaped, by number; `live` leaves out deleted ones."""
        with self.lock:
            found = self.orders.find("number", fold(number)) if number is not None else list(self.orders)
            found = [one for one in found if not live or one.status != "DELETED"]
            return [order_json(self, one) for one in sorted(found, key=lambda one: one.number or "")]

    def purchase_order(self, order_id: str) -> dict[str, Any]:
        """One order, API shaped."""
        with self.lock:
            return order_json(self, self._order(order_id))

    def linked_transactions(self, document_id: str = "") -> list[dict[str, Any]]:
        """All linked transactions, or those of one bill or one invoice, API shaped, oldest first."""
        with self.lock:
            found = self.links.find("document", document_id.lower()) if document_id else self.links
            return [link_json(self, one) for one in found]

    def _order(self, order_id: str) -> PurchaseOrder:
        found = self.orders.get(order_id)
        if found is None:
            raise KeyError(order_id)
        return found

    def _move_order(self, order_id: str, status: str, sources: tuple[str, ...]) -> dict[str, Any]:
        with self.lock:
            before = self._order(order_id)
            if before.status not in sources:
                raise ValueError(f"a purchase order that is {before.status} cannot become {status}")
            return self._write_order({"Status": status}, before)

    def _write_order(self, fields: dict[str, Any], before: PurchaseOrder | None) -> dict[str, Any]:
        undo: Undo = []
        outcome, made = write(self, fields, undo, app=None, upsert=False, target=before, person=True)
        self.insist(outcome.errors, undo)
        return order_json(self, made)
