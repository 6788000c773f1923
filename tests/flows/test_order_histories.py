"""Random histories of purchase orders that are in Xero themselves: raised, changed, received, cancelled, reopened;
people approve, edit, bill, copy and delete them there. In the end each says what is ordered and billed, or the
difference has a name; and what happens to bills stays as true as without them (test_bill_histories.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from blocks.audit.tables import BINDINGS, EXCEPTIONS, PURCHASE_ORDERS, RECORDS
from mappings.connectwise import PurchaseOrderLine
from mappings.lifecycle import ordered
from mappings.merging import STEPS
from mappings.outcomes import WAITING
from tests.flows.history import Raw
from tests.flows.test_bill_histories import HEAD, INVOICED, REVERSED, ZERO, BillHistories
from tests.flows.test_histories import FOLDER, PLAIN, WHICH
from tests.worlds import World

CANCELLED = ",cancelled,delete_po,\n"
TABLES = {
    "receipts": f"{HEAD},raised,draft_po,\n,partially_received,update_po+bill_per_receipt,\n"
    f",fully_received,update_po+bill_per_receipt,\n{CANCELLED}{REVERSED}{INVOICED}",
    "whole": f"{HEAD},raised,draft_po+approve_po,\n,partially_received,draft_po,\n"
    f",fully_received,draft_po+draft_bill,\n{CANCELLED}{REVERSED}{INVOICED}",
    "invoiced": f"{HEAD},raised,draft_po,\n,partially_received,update_po,\n,fully_received,update_po,\n"
    f"{CANCELLED}{REVERSED},vendor_invoice_received,bill_per_receipt,\n",
}
"""As those of the bills, and with the order itself. In each it follows what is ordered, whatever has come."""
FOLLOWS = ("raised", "partially_received", "fully_received")
BILLED, DELETED = "BILLED", "DELETED"


class OrderHistories(BillHistories):
    """What people and cycles do about purchase orders on both sides."""

    @initialize(table=st.sampled_from(sorted(TABLES)), bumps=st.booleans(), shrinks=st.booleans(), closes=st.booleans())
    def begin(self, table: str, bumps: bool, shrinks: bool, closes: bool) -> None:
        """Two orders that are in Xero."""
        self.folder = Path(tempfile.mkdtemp(prefix="tieout-orders-", dir=FOLDER))
        self.world = World(self.folder, consents_again=True).ready_to_buy()
        self.table = table
        self.world.sign(TABLES[table])
        self.world.connectwise.switches = replace(
            self.world.connectwise.switches,
            child_bumps_parent=bumps,
            clone_shrinks_quantity=shrinks,
            auto_close_purchase_orders=closes,
        )
        self.site = self.world.doors().site
        self.numbers: list[int] = []
        self.names: dict[str, int] = {}
        self.hers: dict[str, dict[tuple[str, str], Any]] = {}
        self.keyed: dict[str, int] = {}
        self.accepted: set[int] = set()
        self.gone: set[int] = set()
        self.lines_gone: set[int] = set()
        self.marked: set[str] = set()
        self.edited: set[str] = set()
        self.references: dict[str, str] = {}
        self.other = self.world.books.add_contact("Dell Australia", account_number="V-88")["ContactID"]
        for _ in range(2):
            self.new(10, Decimal(100), True)
        self.cycle()

    # How things stand

    def placed(self) -> dict[str, Raw]:
        """All purchase orders in Xero, deleted ones too, by id; what Xero knows of the supplier changes by itself."""
        return {
            one["PurchaseOrderID"]: one | {"Contact": {"ContactID": one["Contact"]["ContactID"]}}
            for one in self.world.books.purchase_orders(live=False)
        }

    def bound(self) -> dict[str, int]:
        """Which order each of ours is of, by its id in Xero."""
        return {row["xero_id"]: row["connectwise_id"] for row in self.world.rows(BINDINGS) if row["family"] == "orders"}

    def told(self) -> dict[int, list[Raw]]:
        """What is said of each order or of its bills; of their own documents below."""
        rows = {row["id"] for row in self.world.rows(EXCEPTIONS) if row["family"] == "orders"}
        return {
            order: left
            for order, told in super().told().items()
            if (left := [one for one in told if one["id"] not in rows])
        }

    def told_of_documents(self) -> dict[int, Raw]:
        """What is said of the orders' own documents."""
        rows = self.world.rows(EXCEPTIONS)
        return {row["connectwise_id"]: row for row in rows if row["family"] == "orders" and not row["resolved_at"]}

    # Promises

    @contextmanager
    def promises(self, form: Raw) -> Iterator[None]:
        """What holds of bills, and of the orders' own documents."""
        before = self.placed()
        with super().promises(form):
            yield
        now, bound = self.placed(), self.bound()
        assert before.keys() <= now.keys(), "a purchase order is gone from Xero"
        for xero_id, was in before.items():
            one = now[xero_id]
            if was["Status"] in (BILLED, DELETED) or xero_id not in bound or was["Contact"]["ContactID"] == self.other:
                assert one == was, f"{was['PurchaseOrderNumber']} is {was['Status']}, and was changed by us"
            self.rises(xero_id, was["Status"], one["Status"], bound)
            if form.get("take") != "ours" and xero_id in self.references and one["Status"] != DELETED:
                assert one["Reference"] == self.references[xero_id], "her reference was lost"
        for xero_id in now.keys() - before.keys():
            made = now[xero_id]["Status"]
            assert made == "DRAFT" or self.table == "whole" or made == BILLED, f"an order came as {made}"
            if made == BILLED:
                self.rises(xero_id, "DRAFT", made, bound)
        live = [bound[xero_id] for xero_id, one in now.items() if xero_id in bound and one["Status"] != DELETED]
        assert len(live) == len(set(live)), "an order is in Xero twice"
        if form.get("take") == "ours":
            self.references = {key: text for key, text in self.references.items() if now[key]["Reference"] == text}

    def rises(self, xero_id: str, was: str, status: str, bound: dict[str, int]) -> None:
        """A status was changed by us only for a reason that can be seen."""
        assert STEPS.index(was) <= STEPS.index(status), f"{was} was set back to {status}"
        if was == status:
            return
        order = bound[xero_id]
        lines = self.lines(order) if order not in self.gone else []
        if status == "AUTHORISED":
            assert self.table == "whole", "approved without an event"
        elif status == DELETED:
            assert not any(line["receivedQuantity"] for line in lines), "deleted, and something of it was received"
        else:
            received, billed = self.received(order), self.stand().billed(order)
            assert any(received.values()), "billed, and nothing of it was received"
            if not self.by_hand(order, self.stand()) and order not in self.gone:
                left = {key: many for key, many in received.items() if many > billed.get(key, ZERO)}
                # A bill whose lines we do not know yet counts for what it holds.
                assert not left or "" in billed, f"billed, and {left} of {order} is on no live bill"

    def settle(self) -> None:
        """As with bills alone; and each document says what is ordered, or what stands against it is told."""
        super().settle()
        told, now = self.told_of_documents(), self.placed()
        known = {row["connectwise_id"]: row for row in self.world.rows(PURCHASE_ORDERS)}
        waits = {
            row["connectwise_id"]
            for row in self.world.rows(RECORDS)
            if row["family"] == "orders" and row["outcome"] in {each.value for each in WAITING}
        }
        ours = {order: now[xero_id] for xero_id, order in self.bound().items()}
        for order in self.orders():
            one = ours.get(order)
            if order in told:
                assert self.document_fits(order, told[order], one), f"{order}: {told[order]['message']}"
            if order in told or order in waits or order in self.accepted or one is None:
                continue
            self.says_what_is_so(order, known[order]["state"], one)

    def says_what_is_so(self, order: int, state: str, one: Raw) -> None:
        """A document of which nothing is told."""
        number, touched = one["PurchaseOrderNumber"], one["PurchaseOrderID"] in self.edited
        if state == "cancelled":
            assert one["Status"] == DELETED, f"{number} was cancelled and is {one['Status']}"
        if one["Status"] == DELETED or state not in FOLLOWS or touched:
            return
        lines = [PurchaseOrderLine.model_validate(line) for line in self.lines(order)]
        worth = sum((ordered(line) * line.unit_cost for line in lines), ZERO)
        assert abs(one["SubTotal"] - worth) <= Decimal("0.01") * len(lines), f"{number}: {worth} ordered, {one}"
        if one["Status"] != BILLED and state == "fully_received" and not self.told().get(order):
            stand = self.stand()
            received, billed = self.received(order), stand.billed(order)
            waits = {row["connectwise_id"] // 1000 for row in self.waiting() if row["family"] == "bills"}
            done = all(many <= billed.get(key, ZERO) for key, many in received.items())
            assert order in waits or not done or self.by_hand(order, stand), f"{number} is billed, and does not say so"

    def document_fits(self, order: int, told: Raw, one: Raw | None) -> bool:
        """Whether what is said of a document is the case."""
        every = self.placed()
        number = self.header(order)["poNumber"]
        taken = [each for each in every.values() if each["PurchaseOrderNumber"] == number]
        cases = {
            "edited_in_xero": one is not None and one["PurchaseOrderID"] in self.edited,
            "removed_in_xero": one is not None and one["Status"] == DELETED,
            "billed_in_xero": one is not None and one["Status"] == BILLED,
            "number_conflict": bool(taken),
            "total_differs": one is not None and one["PurchaseOrderID"] in self.edited,
            "lines_incomplete": not any(ordered(PurchaseOrderLine.model_validate(line)) for line in self.lines(order)),
        }
        return cases.get(told["reason"], False)

    # People in Xero

    def on_placed(self, which: int, *statuses: str) -> Raw | None:
        found = [one for one in self.placed().values() if one["Status"] in statuses and self.is_bound(one)]
        self.world.clock.advance(seconds=7)
        return found[which % len(found)] if found else None

    def is_bound(self, one: Raw) -> bool:
        """Whether it is one of ours."""
        return one["PurchaseOrderID"] in self.bound()

    @rule(which=WHICH, how=st.sampled_from(["SUBMITTED", "AUTHORISED", BILLED]), cycle=st.booleans())
    def raise_status(self, which: int, how: str, cycle: bool) -> None:
        """A person sends on, approves, or marks as billed."""
        if (one := self.on_placed(which, "DRAFT", "SUBMITTED", "AUTHORISED")) is not None:
            key = one["PurchaseOrderID"]
            if how == BILLED and one["Status"] == "AUTHORISED":
                self.world.books.mark_as_billed(key)
                self.marked.add(key)
            elif how == "AUTHORISED" and one["Status"] != "AUTHORISED":
                self.world.books.approve_purchase_order(key)
            elif how == "SUBMITTED" and one["Status"] == "DRAFT":
                self.world.books.edit_purchase_order(key, Status="SUBMITTED")
        if cycle:
            self.cycle()

    @rule(which=WHICH, what=st.sampled_from(["Reference", "Quantity", "PurchaseOrderNumber"]), cycle=st.booleans())
    def edit_order(self, which: int, what: str, cycle: bool) -> None:
        """A person changes an order in Xero."""
        if (one := self.on_placed(which, "DRAFT", "SUBMITTED", "AUTHORISED")) is not None:
            key = one["PurchaseOrderID"]
            self.edited.add(key)
            if what == "Reference":
                self.references[key] = "call first"
                self.world.books.edit_purchase_order(key, Reference="call first")
            elif what == "PurchaseOrderNumber":
                self.world.books.edit_purchase_order(key, PurchaseOrderNumber=f"H-{key[:6]}")
            else:
                lines = [
                    {"LineItemID": line["LineItemID"], "Quantity": 2, "LineAmount": None, "TaxAmount": None}
                    if line.get("Quantity")
                    else {"LineItemID": line["LineItemID"]}
                    for line in one["LineItems"]
                ]
                self.world.books.edit_purchase_order(key, LineItems=lines)
        if cycle:
            self.cycle()

    @rule(which=WHICH, cycle=st.booleans())
    def delete_order(self, which: int, cycle: bool) -> None:
        """A person deletes an order in Xero."""
        if (one := self.on_placed(which, "DRAFT", "AUTHORISED", BILLED)) is not None:
            self.world.books.delete_purchase_order(one["PurchaseOrderID"])
        if cycle:
            self.cycle()

    @rule(which=WHICH, marks=st.booleans(), cycle=st.booleans())
    def copy_to_bill(self, which: int, marks: bool, cycle: bool) -> None:
        """A person makes the bill of an approved order that has none."""
        one = self.on_placed(which, "AUTHORISED")
        order = self.bound().get(one["PurchaseOrderID"]) if one is not None else None
        taken = frozenset(self.keyed.values()).union(*self.stand().orders.values())
        if one is not None and order is not None and order not in taken and order not in self.gone:
            bill = self.world.books.copy_to_bill(one["PurchaseOrderID"], mark_billed=marks)
            self.world.books.edit(bill["InvoiceID"], DueDate=self.world.clock().date())
            self.keyed[bill["InvoiceID"]] = order
        if cycle:
            self.cycle()

    @rule(which=WHICH)
    def take_a_number(self, which: int) -> None:
        """Another supplier's order gets the number that an order of ours has, or had."""
        if not self.orders():
            return
        number = self.header(self.orders()[which % len(self.orders())])["poNumber"]
        if not self.world.books.purchase_orders(number, live=False):
            line = {"Description": "Laptops", "Quantity": 1, "UnitAmount": 5000, "AccountCode": "300"}
            self.world.books.enter_purchase_order(self.other, number, LineItems=[line])

    @rule(which=WHICH, cycle=st.booleans())
    def cancel(self, which: int, cycle: bool) -> None:
        """An order is cancelled before anything came, or reopened."""

        def change(order: int) -> None:
            closed = self.header(order)["closedFlag"]
            getattr(self.world.connectwise, "reopen_purchase_order" if closed else "cancel_purchase_order")(order)

        self.on_order(which, change)
        if cycle:
            self.cycle()


def test_a_few_histories_of_orders_end_in_agreement_or_in_words() -> None:
    """The same ones in every run."""
    run_state_machine_as_test(
        OrderHistories, settings=settings(PLAIN, derandomize=True, max_examples=15, stateful_step_count=25)
    )


@pytest.mark.sweep
def test_long_many_histories_of_orders_end_in_agreement_or_in_words() -> None:
    """New ones in every run; what reproduces a failure is printed with it."""
    run_state_machine_as_test(OrderHistories, settings=settings(PLAIN, max_examples=300, stateful_step_count=50))
