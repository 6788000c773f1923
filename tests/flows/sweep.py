"""The crash sweep: a cycle that is killed at one place, or given one bad answer, and what its successors make of it.

A case runs in a process of its own, forked from a warmed one (the theatre, which nothing but this has ever run in),
with both simulated systems inside. The cycle that is to be killed runs in a child of that process and talks to the
simulators over a pipe, so that they and their state survive the kill. Afterwards undisturbed cycles follow, and Xero
must look as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sqlite3
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.engine.default import DefaultDialect

from blocks.audit.database import open_audit
from blocks.audit.tables import BINDINGS, PURCHASE_ORDERS, RECORDS, REQUEST_ROWS, REQUESTS
from blocks.xero.tokens import Tokens
from deployments.sandbox.wire import ConnectionCut, Fault, Request, Response
from deployments.sandbox.xero import XeroSwitches
from mappings.outcomes import WAITING
from tests.worlds import LOST, OTHER_TENANT, TIMED_OUT, TIMED_OUT_AFTER, World, answers

ACCOUNTS = """organisation,side,kind,category,item,account_code,item_code
,sales,service,,,200,
,sales,expense,,,260,
,sales,product,,,270,
"""


# The story: a dozen records in two organisations, some of them troublesome


def first_act(world: World) -> None:
    """Everything is new: records that land, wait, are refused, are in Xero already, or are not to be posted."""
    world.write("accounts.csv", ACCOUNTS)
    world.connectwise.add_location("Hobart", id=13)
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    # Sydney makes contacts that are missing, Perth waits for them.
    world.policy('[organisation."Sydney".contacts]\ncreate = "create"\n')
    world.connectwise.add_company("MADE", "Made To Order", account_number="MADE01")
    world.add_invoice("40008", company="MADE")
    for number, place in (("40001", "Sydney"), ("40002", "Sydney"), ("41001", "Perth"), ("41002", "Perth")):
        world.add_invoice(number, location=place)
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    for number, amount in (("40003", "300"), ("40004", "999")):
        world.add_invoice(number)
        world.books.enter_invoice(
            Type="ACCREC",
            InvoiceNumber=number,
            Contact={"ContactID": contact},
            Date=world.clock().date(),
            DueDate=world.clock().date(),
            LineItems=[{"Description": "By hand", "Quantity": 1, "UnitAmount": amount, "AccountCode": "200"}],
        )
    world.add_invoice("Ä-1", location="Perth")
    world.add_invoice("41003", location="Perth", company="NEW")
    world.add_invoice("42001", location="Hobart")
    world.add_invoice("40005", rate="0")
    world.add_invoice("40006", status="New")
    world.add_invoice("40007", hours="-1")


def second_act(world: World) -> None:
    """Six hours after the first cycle: cures, changes, new records, and some that Xero will refuse."""
    world.later()
    with (world.tables / "organisations.csv").open("a") as table:
        table.write("Hobart,,,,,Perth\n")
    perth = world.xero.organisations[world.tenants["Perth"]]
    perth.add_contact("Newcomer", account_number="NEW01")
    hand = next(each for each in world.books.invoices("ACCREC") if str(each["SubTotal"]) == "999.00")
    world.books.edit(hand["InvoiceID"], InvoiceNumber="H-1")
    for organisation in world.xero.organisations.values():
        organisation.archive_account("260")
        organisation.archive_account("270")
    world.connectwise.add_company("ALSO", "Also Made")
    world.add_invoice("40014", company="ALSO")
    for number, place in (("40011", "Sydney"), ("41011", "Perth"), ("41012", "Perth")):
        world.add_invoice(number, location=place)
    world.add_invoice("40012", time=[], expenses=[{"amount": 50, "notes": "Taxi"}])
    world.add_invoice("40013", time=[], products=[{"quantity": 1, "price": 20, "description": "Cable"}])
    world.connectwise.add_row("time", 39001, invoiceHours=1, hourlyRate=100, notes="More")
    world.connectwise.edit_invoice(39001)
    world.connectwise.reopen_invoice(39002)


def posted_act(world: World) -> None:
    """Nine invoices that are about to be edited."""
    world.policy('[organisation."Sydney".contacts]\ncreate = "create"\n')
    two_rows = [{"invoiceHours": hours, "hourlyRate": 100, "notes": f"Row {hours}"} for hours in (1, 2)]
    for number in ("40001", "40002", "40003", "40004", "40005", "40006", "40007"):
        world.add_invoice(number, time=two_rows)
    for number in ("41001", "41002"):
        world.add_invoice(number, location="Perth", time=two_rows)


def edits_act(world: World) -> None:
    """Six hours later: edits on both sides, two of them held, beside new invoices and a contact to be made."""
    world.later()
    connectwise, invoices = world.connectwise, world.invoices()

    def edit(number: int, **fields: Any) -> None:
        connectwise.edit_row("time", connectwise.rows("time", number)[0]["id"], **fields)
        connectwise.edit_invoice(number)

    def by_hand(number: str, **fields: Any) -> None:
        lines = [{"LineItemID": line["LineItemID"]} for line in invoices[number]["LineItems"]]
        world.books.edit(invoices[number]["InvoiceID"], LineItems=[lines[0] | fields, lines[1]])

    edit(39001, invoiceHours=3, notes="Longer than thought")
    connectwise.add_row("time", 39002, invoiceHours=1, hourlyRate=80, notes="More")
    connectwise.edit_invoice(39002, customerPO="PO-9")
    by_hand("40003", Description="In her words", AccountCode="260")
    edit(39003, invoiceHours=4)
    world.books.approve(invoices["40004"]["InvoiceID"])
    connectwise.delete_row("time", connectwise.rows("time", 39004)[0]["id"])
    connectwise.edit_invoice(39004, invoiceNumber="40014")
    by_hand("40005", Description="In her words")
    edit(39005, notes="In his words")
    world.books.approve(invoices["40006"]["InvoiceID"])
    world.books.pay(invoices["40006"]["InvoiceID"], "10")
    edit(39006, hourlyRate=90)
    for in_perth in (39008, 39009):
        edit(in_perth, hourlyRate=110)
    connectwise.add_company("MADE", "Made To Order", account_number="MADE01")
    world.add_invoice("40011", company="MADE")
    for number, place in (("40012", "Sydney"), ("41011", "Perth")):
        world.add_invoice(number, location=place)


def hand_act(world: World) -> None:
    """While nobody knows whether an edit arrived, a person changes a line that it sends."""
    invoice = next(each for each in world.books.invoices("ACCREC") if each["InvoiceNumber"] == "40001")
    lines = [{"LineItemID": line["LineItemID"]} for line in invoice["LineItems"]]
    world.books.edit(invoice["InvoiceID"], LineItems=[lines[0] | {"AccountCode": "260"}, lines[1]])


def plain_act(world: World) -> None:
    """Nothing but new records that land, in both organisations."""
    for number, place in (("40001", "Sydney"), ("40002", "Sydney"), ("40003", "Sydney"), ("41001", "Perth")):
        world.add_invoice(number, location=place)


def memos_act(world: World) -> None:
    """Credit memos that are about to be posted, two of them alike but for their numbers."""
    world.policy('[organisation."Sydney".contacts]\ncreate = "create"\n')
    world.write("accounts.csv", ACCOUNTS)
    for number in ("CM-01", "CM-02", "CM-03", "CM-04", "CM-05"):
        world.add_credit_memo(number)
    world.add_credit_memo("CM-41", "70", location="Perth")
    world.add_invoice("40001")


def credits_act(world: World) -> None:
    """Six hours later: edits on both sides, and new memos; alike, adopted, in conflict, refused, to a new customer."""
    world.later()
    connectwise, notes = world.connectwise, world.credit_notes()
    ids = {raw["invoiceNumber"]: number for number, raw in connectwise.tables["invoice"].records.items()}

    def edit(number: str, price: str) -> None:
        connectwise.edit_row("product", connectwise.rows("product", ids[number])[0]["id"], price=Decimal(price))
        connectwise.edit_invoice(ids[number])

    edit("CM-01", "-120")
    edit("CM-41", "-75")
    world.books.approve(notes["CM-02"]["CreditNoteID"])
    connectwise.edit_invoice(ids["CM-02"], invoiceNumber="CM-22", customerPO="PO-9")
    world.books.edit(notes["CM-03"]["CreditNoteID"], Reference="HERS")
    connectwise.edit_invoice(ids["CM-03"], customerPO="OURS")
    world.books.approve(notes["CM-04"]["CreditNoteID"])
    world.books.refund(notes["CM-04"]["CreditNoteID"], "10")
    edit("CM-04", "-90")
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    for number, amount in (("CM-13", "100"), ("CM-14", "99")):
        world.add_credit_memo(number)
        world.books.enter_credit_note(
            Type="ACCRECCREDIT",
            CreditNoteNumber=number,
            Contact={"ContactID": contact},
            Date=world.clock().date(),
            LineItems=[{"Description": "By hand", "Quantity": 1, "UnitAmount": amount, "AccountCode": "200"}],
        )
    world.books.archive_account("260")
    world.add_invoice("CM-16", time=[], expenses=[{"amount": -50, "notes": "Taxi"}])
    connectwise.add_company("MADE", "Made To Order", account_number="MADE01")
    world.add_credit_memo("CM-15", company="MADE")
    for number, place in (("CM-11", "Sydney"), ("CM-12", "Sydney"), ("CM-42", "Perth"), ("CM-43", "Perth")):
        world.add_credit_memo(number, location=place)
    world.add_invoice("40002", hours="-1")
    world.add_invoice("40003")


def paid_act(world: World) -> None:
    """Eleven approved invoices, some of them with a payment that the next cycle writes."""
    world.policy(
        '[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"\n[payments]\non_decrease = "replace"\n'
    )
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    for number in range(40001, 40009):
        world.add_invoice(str(number), id=number)
    for number in range(41001, 41004):
        world.add_invoice(str(number), id=number, location="Perth")
    world.cycle()
    for number in (40001, 40002, 40003, 40004, 41001, 41003):
        world.connectwise.add_payment(number, "100.00")


def payments_act(world: World) -> None:
    """Six hours later: raised, lowered, taken off; new ones, paid by others, too much, and one without its invoice."""
    world.later()
    connectwise = world.connectwise
    rows = {number: connectwise.rows("payment", number)[0]["id"] for number in (40001, 40002, 40003, 41001, 41003)}
    connectwise.change_payment(rows[40001], "150.00")
    connectwise.change_payment(rows[40002], "70.00")
    connectwise.remove_payment(rows[40003])
    connectwise.change_payment(rows[41001], "130.00")
    connectwise.change_payment(rows[41003], "60.00")
    connectwise.add_payment(40005, "330.00")
    world.books.pay(world.invoices()["40006"]["InvoiceID"], "330.00")
    connectwise.add_payment(40006, "330.00")
    connectwise.add_payment(40007, "400.00")
    connectwise.add_payment(41002, "20.00")
    world.add_invoice("40009", id=40009)
    connectwise.add_payment(40009, "10.00")


def applied_act(world: World) -> None:
    """Approved invoices and credit notes in both organisations, and credits that the next cycle allocates."""
    world.policy('[sales]\ninvoice_status = "authorised"\ncredit_note_status = "authorised"\n')
    for number in range(40001, 40007):
        world.add_invoice(str(number), id=number)
        world.add_credit_memo(f"CM-{number}", id=number + 10000)
    world.add_invoice("41001", id=41001, location="Perth")
    world.add_credit_memo("CM-41001", id=51001, location="Perth")
    world.cycle(family="invoices")
    world.cycle(family="credit_notes")
    for memo, number, amount in (
        (50001, 40001, "60"), (50002, 40002, "110"), (50003, 40003, "50"), (50003, 40004, "60"), (51001, 41001, "70"),
    ):  # fmt: skip
        world.connectwise.apply_credit(memo, number, amount)


def allocations_act(world: World) -> None:
    """Six hours later: raised, lowered, taken off; a new memo on its way, over two invoices, more than is due."""
    world.later()
    connectwise = world.connectwise
    rows = {number: connectwise.rows("payment", number)[0]["id"] for number in (40001, 40002, 40003, 41001)}
    connectwise.change_payment(rows[40001], "100")
    connectwise.change_payment(rows[40002], "70")
    connectwise.uncredit(rows[40003])
    connectwise.change_payment(rows[41001], "30")
    world.books.pay(world.invoices()["40005"]["InvoiceID"], "300")
    connectwise.apply_credit(50004, 40005, "110")
    connectwise.apply_credit(50005, 40004, "20")
    connectwise.apply_credit(50005, 40006, "80")
    world.add_credit_memo("CM-7", id=50007)
    connectwise.apply_credit(50007, 40006, "110")
    world.add_invoice("40008", id=40008)
    connectwise.apply_credit(50006, 40008, "40")


BY_PLACE = """organisation,state,event,status
Sydney,fully_received,draft_bill,
Perth,partially_received,bill_per_receipt,
Perth,fully_received,bill_per_receipt,
,reversed,hold,
Sydney,vendor_invoice_received,update_bill_from_vendor_invoice,
"""


def ordered_act(world: World) -> None:
    """Purchase orders of which some were received: Sydney makes a bill of a whole order, Perth one of each receipt."""
    world.policy(
        '[families]\npurchase_orders = "on"\n[purchases]\nfreight = "full_close"\n'
        '[organisation."Sydney".contacts]\ncreate = "create"\n'
    )
    world.sign(BY_PLACE)
    connectwise = world.connectwise
    connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT).add_contact("Netgear Distribution", account_number="V-77")
    world.paste("organisations.csv", "Perth,,,,,Perth")
    # An account that will be archived, so that Xero refuses what is booked to it.
    connectwise.add_catalog_item("ODD", cost=Decimal(7))
    world.paste("accounts.csv", ",purchases,product,,ODD,310,")
    for number in range(1, 10):
        world.add_order(f"PO{number}", ("SWITCH", "10", "100"), ("CABLE", "4", "2.50"), id=number)
    for number in range(31, 36):
        world.add_order(f"PO{number}", id=number, location="Perth")
    for number in (1, 2, 3, 4, 5):
        receive(world, number)
    for number in (31, 32, 33, 34):
        connectwise.receive_part(world.order_lines(number)[0], 3, slip=f"S{number}")


def receive(world: World, order: int, slip: str = "") -> None:
    """Everything on an order arrives."""
    for line in world.connectwise.rows("purchase_order_line", order):
        if line["receivedStatus"] == "Waiting":
            world.connectwise.receive_line(line["id"], slip=slip)


def bills_act(world: World) -> None:
    """Six hours later: price, freight, vendor invoice; more on a draft's slip and on an approved one's, taken back.

    And new orders: received in full and in part, keyed by hand (alike, and not), refused, of a supplier to be made.
    """
    world.later()
    connectwise = world.connectwise
    there = {bill["InvoiceNumber"]: bill["InvoiceID"] for bill in world.bills()}
    in_perth = world.xero.organisations[world.tenants["Perth"]]
    perth = {bill["InvoiceNumber"]: bill["InvoiceID"] for bill in in_perth.bills()}

    connectwise.edit_order_line(world.order_lines(1)[0], unitCost=Decimal(90))
    connectwise.edit_purchase_order(2, freightCost=Decimal(15))
    connectwise.close_purchase_order(2)
    connectwise.enter_vendor_invoice(3, "INV-3")
    world.books.approve(there["PO4"])
    connectwise.unreceive_line(world.order_lines(4)[0], left=8)
    lines = [{"LineItemID": line["LineItemID"]} for line in world.books.invoice(there["PO5"])["LineItems"]]
    world.books.edit(there["PO5"], LineItems=[*lines[:-1], lines[-1] | {"AccountCode": "400"}])
    connectwise.unreceive_line(world.order_lines(5)[0], left=6)

    connectwise.receive_part(world.order_lines(31)[-1], 2, slip="S31")
    connectwise.receive_part(world.order_lines(32)[-1], 2, slip="S99")
    in_perth.approve(perth["PO33 / S33"])
    receive(world, 33, "S33")
    connectwise.unreceive_line(world.order_lines(34)[0])
    connectwise.receive_part(world.order_lines(35)[0], 4)

    supplier = world.books.contacts.find("name", "netgear distribution")[0].contact_id
    for number, price in ((6, "100"), (7, "55")):
        hand = [{"Description": "By hand", "Quantity": 10, "UnitAmount": price, "AccountCode": "300"}]
        if number == 6:
            hand.append({"Description": "By hand", "Quantity": 4, "UnitAmount": "2.50", "AccountCode": "300"})
        world.books.enter_bill(supplier, f"PO{number}", Date=world.clock().date(), LineItems=hand)
        receive(world, number)
    receive(world, 8)
    world.add_order("PO10", ("ODD", "2", "7"), id=10)
    world.add_order("PO11", id=11)
    for organisation in world.xero.organisations.values():
        organisation.archive_account("310")
    connectwise.add_company("MADE", "Made To Order", vendor_identifier="V-99")
    world.add_order("PO12", id=12, vendorCompany="MADE")
    for number in (10, 11, 12):
        receive(world, number)


FULL = """organisation,state,event,status
,raised,draft_po,
Perth,raised,draft_po+approve_po,
,partially_received,update_po+bill_per_receipt,
,fully_received,update_po+bill_per_receipt,
,cancelled,delete_po,
,reversed,hold,
"""


def raised_act(world: World) -> None:
    """Purchase orders that are about to be raised in Xero: drafts in Sydney, approved ones in Perth."""
    ordered_act(world)
    world.sign(FULL)
    for number in (10, 11):
        world.add_order(f"PO{number}", id=number)


def orders_act(world: World) -> None:
    """Six hours later: quantities, vendors and numbers change; received, cancelled; approved, billed, edited by hand.

    And new orders: raised, keyed by hand (alike, and another supplier's), of a burnt number, refused, of a supplier to
    be made.
    """
    world.later()
    connectwise = world.connectwise
    there = {order["PurchaseOrderNumber"]: order["PurchaseOrderID"] for order in world.books.purchase_orders()}

    connectwise.edit_order_line(world.order_lines(6)[0], quantity=Decimal(12))
    world.books.approve_purchase_order(there["PO6"])
    connectwise.cancel_purchase_order(7)
    receive(world, 8, "S8")
    connectwise.receive_part(world.order_lines(9)[0], 3, slip="S9")
    world.books.approve_purchase_order(there["PO10"])
    world.books.copy_to_bill(there["PO10"])
    receive(world, 10, "S10")
    world.books.edit_purchase_order(there["PO11"], Reference="keep")
    connectwise.cancel_purchase_order(11)
    connectwise.edit_purchase_order(35, poNumber="PO350")

    supplier = world.books.contacts.find("name", "netgear distribution")[0].contact_id
    other = world.books.add_contact("Dell Australia")["ContactID"]
    hand = [{"Description": "By hand", "Quantity": 10, "UnitAmount": "100", "AccountCode": "300"}]
    for number, whose in ((12, supplier), (13, other), (14, supplier)):
        made = world.books.enter_purchase_order(whose, f"PO{number}", Date=world.clock().date(), LineItems=hand)
        world.add_order(f"PO{number}", id=number)
        if number == 14:
            world.books.delete_purchase_order(made["PurchaseOrderID"])
    for number in (15, 16, 17):
        world.add_order(f"PO{number}", id=number)
    world.add_order("PO18", ("ODD", "2", "7"), id=18)
    for organisation in world.xero.organisations.values():
        organisation.archive_account("310")
    connectwise.add_company("MADE", "Made To Order", vendor_identifier="V-99")
    world.add_order("PO19", id=19, vendorCompany="MADE")
    for number in (36, 37):
        world.add_order(f"PO{number}", id=number, location="Perth")


def billed_act(world: World) -> None:
    """Purchase orders by a lifecycle that bills what was received in full: raised, part and fully received, billed."""
    for number in range(1, 9):
        world.add_order(f"PO{number}", id=number)
    for number in (3, 4):
        receive(world, number)
    for number in (5, 6):
        world.connectwise.receive_part(world.order_lines(number)[0], 3, slip=f"S{number}")


def signed_act(world: World) -> None:
    """Six hours later another lifecycle is signed: the orders go to Xero, and each receipt is billed.

    More has come, and the price of what is on a draft has changed.
    """
    world.later()
    receive(world, 7)
    world.connectwise.edit_order_line(world.order_lines(3)[0], unitCost=Decimal(90))
    world.sign(FULL)


def invoiced_act(world: World) -> None:
    """Purchase orders that share vendors' invoices, and so share bills; one of each kind of what comes next."""
    world.policy(
        '[families]\npurchase_orders = "on"\n[purchases]\nvendor_invoice_grouping = "one_bill"\n'
        'freight = "full_close"\n'
    )
    world.sign("organisation,state,event,status\n,reversed,hold,\n,vendor_invoice_received,draft_bill,draft\n")
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT).add_contact("Netgear Distribution", account_number="V-77")
    world.paste("organisations.csv", "Perth,,,,,Perth")
    for number in range(1, 13):
        world.add_order(f"PO{number}", ("SWITCH", "10", "100"), ("CABLE", "4", "2.50"), id=number)
    for number in (31, 32):
        world.add_order(f"PO{number}", id=number, location="Perth")
    for number, invoice in ((1, "INV-1"), (2, "inv-1"), (3, "INV-3"), (4, "INV-3"), (5, "INV-5"), (6, "INV-5")):
        world.connectwise.receive_line(world.order_lines(number)[0])
        world.connectwise.enter_vendor_invoice(number, invoice)


def shared_act(world: World) -> None:
    """Six hours later: more and less of orders on drafts and approved bills, late orders, one number that changes, and
    new bills that orders share: one with freight, one beside a bill that a person keyed, one in Perth."""
    world.later()
    connectwise = world.connectwise
    there = {bill["InvoiceNumber"]: bill["InvoiceID"] for bill in world.bills()}
    connectwise.receive_line(world.order_lines(2)[1])
    world.books.approve(there["PO3, PO4 / INV-3"])
    connectwise.receive_line(world.order_lines(3)[1])
    connectwise.unreceive_line(world.order_lines(4)[0], left=8)
    connectwise.enter_vendor_invoice(6, "INV-6")
    for number, invoice in (
        (7, "INV-1"),
        (8, "INV-8"),
        (9, "INV-8"),
        (10, "INV-10"),
        (11, "INV-10"),
        (12, "INV-3"),
        (31, "INV-8"),
        (32, "INV-8"),
    ):
        receive(world, number)
        connectwise.enter_vendor_invoice(number, invoice)
    connectwise.edit_purchase_order(9, freightCost=Decimal(15))
    connectwise.close_purchase_order(9)
    supplier = world.books.contacts.find("name", "netgear distribution")[0].contact_id
    hand = [{"Description": "By hand", "Quantity": 1, "UnitAmount": "55", "AccountCode": "300"}]
    world.books.enter_bill(supplier, "PO11", Date=world.clock().date(), LineItems=hand)


LINKS = """[families]
purchase_orders = "on"
[sales]
invoice_status = "authorised"
[purchases]
bill_status = "authorised"
"""


def sell(world: World, number: int, quantity: int = 10) -> None:
    """A customer orders a product, is invoiced for it, and it is bought for her."""
    sales = world.connectwise.add_sales_order("ACME")
    product = {"catalogItem": "SWITCH", "quantity": quantity, "price": 150, "taxableFlag": True, "salesOrder": sales}
    world.add_invoice(f"4000{number}", time=[], products=[product | {"description": "Switch"}])
    world.add_order(f"PO{number}", id=number)
    for line in world.order_lines(number):
        world.connectwise.edit_order_line(line, salesOrder=[sales])
    receive(world, number)


def sold_act(world: World) -> None:
    """Approved bills of products that are on approved invoices; links are off."""
    world.policy(LINKS)
    world.sign("organisation,state,event,status\n,fully_received,draft_bill,\n,reversed,hold,\n")
    for number in (1, 2, 3):
        sell(world, number)
    sell(world, 4, 4)
    world.cycle(family="invoices")


def links_act(world: World) -> None:
    """Six hours later: links are on; one was made by hand, one match is not certain, and more was sold and bought."""
    world.later()
    world.policy(f"{LINKS}on_billing_links = true\n")
    for number in (5, 6):
        sell(world, number)
    world.cycle(family="invoices")
    bill = next(each for each in world.bills() if each["InvoiceNumber"] == "PO1")
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    world.books.assign_expense(bill["InvoiceID"], bill["LineItems"][-1]["LineItemID"], contact)


@dataclass(frozen=True)
class Act:
    """What happens before the cycle that is disturbed; where it goes on, a cycle runs between the two parts."""

    begins: Callable[[World], None]
    goes_on: Callable[[World], None] | None = None
    family: str = "invoices"
    set_up: Callable[[World], World] = World.ready_twice


ACTS = {
    "first": Act(first_act),
    "later": Act(first_act, second_act),
    "edits": Act(posted_act, edits_act),
    "credits": Act(memos_act, credits_act, "credit_notes"),
    "plain": Act(plain_act),
    "payments": Act(paid_act, payments_act, "payments"),
    "allocations": Act(applied_act, allocations_act, "credit_notes"),
    "bills": Act(ordered_act, bills_act, "purchase_orders", World.ready_to_buy),
    "purchase_orders": Act(raised_act, orders_act, "purchase_orders", World.ready_to_buy),
    "signed": Act(billed_act, signed_act, "purchase_orders", World.ready_to_buy),
    "shared": Act(invoiced_act, shared_act, "purchase_orders", World.ready_to_buy),
    "links": Act(sold_act, links_act, "purchase_orders", World.ready_to_buy),
}


# One case


@dataclass(frozen=True)
class Case:
    """What goes wrong in one cycle: a kill at an event, or a fault at a call to Xero.

    `minutes` pass before the next cycle; `kill_again_at` kills that one too; `switches` are Xero's throughout.
    `always_two`: run a second cycle also where the first has made everything good. `by_hand`: a person changes one of
    the documents that are being edited, before the next cycle.
    """

    what: str
    kill_at: int = 0
    fault_at: int = 0
    fault: str = ""
    minutes: float = 0
    kill_again_at: int = 0
    always_two: bool = False
    by_hand: bool = False
    switches: XeroSwitches = field(default_factory=XeroSwitches)


FAULTS: dict[str, Callable[[], Fault]] = {
    "answer lost": lambda: LOST,
    "answer lost, key forgotten": lambda: LOST,
    "429 for a minute": lambda: answers(429, b"", {"Retry-After": "26", "X-Rate-Limit-Problem": "minute"}),
    "429 for the day": lambda: answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"}),
    "500": lambda: answers(500, b'{"Title": "An error occurred", "Status": 500}'),
    "500 after the work": lambda: answers(500, b'{"Title": "An error occurred", "Status": 500}', when="after"),
    "503": lambda: answers(503, b"The Xero API is temporarily unavailable", {"Content-Type": "text/plain"}),
    "time-out": lambda: TIMED_OUT,
    "time-out after the work": lambda: TIMED_OUT_AFTER,
    "web page": lambda: answers(200, b"<html>Login</html>", {"Content-Type": "text/html"}, when="after"),
    "cut short": lambda: answers(200, b'{"Id": "5", "Status": "OK", "Invoi', when="after"),
    "token expired": lambda: answers(401, b'{"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired"}'),
}
"""What can go wrong with one call to Xero or its identity service."""


Change = Callable[[pytest.MonkeyPatch], None]
"""Something that is patched in the theatre for the time of a play; a function of a module, so that it can be sent."""


class Theatre:
    """A world at the beginning of an act (one of ACTS), in a process that was started for it alone.

    Tests that ran before have left threads behind, and a process with threads cannot be forked safely.
    """

    def __init__(self, folder: Path, act: str, schema: Schema | None = None) -> None:
        self.act = act
        self._line, theirs = Pipe()
        self._process = get_context("spawn").Process(target=_perform, args=(theirs, folder, act, schema), daemon=False)
        self._process.start()
        theirs.close()
        told = self._told()
        self.events: list[str] = told["events"]
        self.calls: list[str] = told["calls"]

    def play(self, cases: Sequence[Case], *changes: Change) -> list[str]:
        """Run all cases, some at once; what went wrong, a line each."""
        self._line.send(("play", list(cases), changes))
        problems: list[str] = self._told()
        return problems

    def rehearse(self, switches: XeroSwitches) -> tuple[list[str], list[str]]:
        """The events and the calls to Xero of an undisturbed cycle, with a Xero that behaves in this way."""
        self._line.send(("rehearse", switches, ()))
        told = self._told()
        return told["events"], told["calls"]

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.join()

    def _told(self) -> Any:
        try:
            answer = self._line.recv()
        except EOFError:
            answer = "the theatre ended without a word"
        if isinstance(answer, str):
            pytest.fail(answer)
        return answer


def _perform(line: Connection, folder: Path, act: str, schema: Schema | None) -> None:
    """The life of the theatre's process: warm up, tell what an undisturbed cycle does, play what is asked for."""
    try:
        troupe = _Troupe(folder, act, schema)
        line.send(troupe.rehearsal)
        with contextlib.suppress(EOFError):
            while True:
                what, given, changes = line.recv()
                with pytest.MonkeyPatch.context() as patch:
                    for change in changes:
                        change(patch)
                    line.send(getattr(troupe, what)(given))
    except Exception:  # noqa: BLE001  (the test that waits for an answer gets to read it)
        line.send(traceback.format_exc())


class _Troupe:
    """A warmed world at the beginning of an act, and how it looks after an undisturbed cycle."""

    def __init__(self, folder: Path, act: str, schema: Schema | None) -> None:
        self.folder = folder
        self.act = act
        self.schema = schema
        _warm_up(folder / "warm")
        begun = ACTS[act]
        self.world = begun.set_up(World(folder / "stage", audit_url=schema.url if schema else ""))
        self.family = begun.family
        begun.begins(self.world)
        if begun.goes_on is not None:
            self.world.cycle(family=self.family)
            begun.goes_on(self.world)
        if not schema:
            # A log that was not merged would be left out of the copies.
            with closing(sqlite3.connect(self.world.folder / "audit.db")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.rehearsal = self.rehearse(XeroSwitches())
        self.pictures = {False: self.rehearsal["picture"]}
        if act == "edits":
            self.pictures[True] = self.rehearse(XeroSwitches(), by_hand=True)["picture"]

    def rehearse(self, switches: XeroSwitches, by_hand: bool = False) -> dict[str, Any]:
        """What an undisturbed cycle does, and how things look afterwards."""
        line, pid = _fork(lambda: self._in(lambda world: _rehearse(world, self.family, switches, by_hand), "rehearsal"))
        rehearsal: dict[str, Any] | str = _received(line, pid)
        assert not isinstance(rehearsal, str), rehearsal
        return rehearsal

    def open(self, name: str) -> World:
        """The world as this process has it, with an audit database of its own."""
        if self.schema:
            self.world.audit_url = self.schema.copy(f"{self.schema.name}_{os.getpid()}")
        else:
            (self.folder / name).mkdir()
            shutil.copyfile(self.world.folder / "audit.db", self.folder / name / "audit.db")
            self.world.audit_url = f"sqlite:///{self.folder / name}/audit.db"
        return self.world

    def close(self, name: str) -> None:
        """Drop what `open` made."""
        if self.schema:
            self.schema.drop(self.world.audit_url)
        else:
            shutil.rmtree(self.folder / name)

    def play(self, cases: Sequence[Case]) -> list[str]:
        """Run all cases, as many at once as there are processors; what went wrong, a line each."""
        waiting = list(enumerate(cases))
        running: dict[Connection, tuple[int, Case]] = {}
        problems: list[str] = []
        at_once = os.cpu_count() or 1
        while waiting or running:
            while waiting and len(running) < at_once:
                number, case = waiting.pop(0)
                name = f"case-{number}"
                line, pid = _fork(lambda case=case, name=name: self._case(case, name))  # type: ignore[misc]
                running[line] = (pid, case)
            for ready in wait(list(running)):
                line = cast(Connection, ready)
                pid, case = running.pop(line)
                problem = _received(line, pid)
                if problem:
                    problems.append(f"{case.what}: {problem}")
        return problems

    def _case(self, case: Case, name: str) -> Any:
        return self._in(lambda world: _play(world, self.family, case, self.pictures[case.by_hand]), name)

    def _in(self, act: Callable[[World], Any], name: str) -> Any:
        world = self.open(name)
        try:
            return act(world)
        finally:
            self.close(name)


@dataclass(frozen=True)
class Picture:
    """How things stand after a cycle: everything in Xero, which records are bound to what, and which ones wait.

    An order is known by how it stood (`orders`); something was said of it only where it had to wait, or became no bill.
    """

    xero: dict[str, Any]
    contacts: dict[str, list[str]]
    bound: dict[int, str]
    waiting: frozenset[int]
    known: frozenset[int]
    paid: dict[str, list[str]]
    orders: dict[int, tuple[str, str, str]]
    links: list[tuple[str, str, str]]

    @classmethod
    def of(cls, world: World) -> Picture:
        """Take it."""
        numbers: dict[str, str] = {}
        for organisation in world.xero.organisations.values():
            for each in organisation.invoices(live=False):
                numbers[each["InvoiceID"]] = f"{organisation.name} {each['InvoiceNumber']}"
            for each in organisation.credit_notes(live=False):
                numbers[each["CreditNoteID"]] = f"{organisation.name} {each['CreditNoteNumber']}"
            for each in organisation.purchase_orders(live=False):
                numbers[each["PurchaseOrderID"]] = f"{organisation.name} {each['PurchaseOrderNumber']}"
        records = world.rows(RECORDS)
        return cls(
            world.snapshot(),
            {
                organisation.name: sorted(each.name for each in organisation.contacts)
                for organisation in world.xero.organisations.values()
            },
            {
                row["connectwise_id"]: numbers.get(row["xero_id"], "nothing")
                for row in world.rows(BINDINGS)
                if row["family"] != "links"
            },
            frozenset(row["connectwise_id"] for row in records if row["outcome"] in WAITING),
            frozenset(row["connectwise_id"] for row in records if row["family"] != "purchase_orders"),
            {
                f"{organisation.name} {each['InvoiceNumber']}": sorted(
                    # Which attempt of a row's payment it is makes no difference.
                    f"{one['Reference'].rpartition('-')[0]} {one['Amount']}"
                    for one in organisation.payments(each["InvoiceID"])
                )
                for organisation in world.xero.organisations.values()
                for each in organisation.invoices()
                if each["AmountPaid"]
            },
            {
                row["connectwise_id"]: (row["state"], row["received_value"], row["content"])
                for row in world.rows(PURCHASE_ORDERS)
            },
            sorted(
                (
                    numbers[each["SourceTransactionID"]],
                    numbers.get(each.get("TargetTransactionID", ""), ""),
                    each["Status"],
                )
                for organisation in world.xero.organisations.values()
                for each in organisation.linked_transactions()
            ),
        )

    def differences(self, other: Picture) -> list[str]:
        """What is different in `other`, in words."""
        found = []
        kinds = ("ACCREC", "ACCRECCREDIT", "ACCPAY", "PURCHASEORDER")
        for name, kind in [(name, kind) for name in self.xero for kind in kinds]:
            mine, theirs = self.xero[name].get(kind, {}), other.xero[name].get(kind, {})
            found += [f"{number} is missing in {name}" for number in sorted(mine.keys() - theirs.keys())]
            found += [f"{number} is too much in {name}" for number in sorted(theirs.keys() - mine.keys())]
            found += [
                f"{number} is there {len(theirs[number])} times in {name}, not {len(mine[number])}"
                if len(theirs[number]) != len(mine[number])
                else f"{number} differs in {name}"
                for number in sorted(mine.keys() & theirs.keys())
                if mine[number] != theirs[number]
            ]
        for what in ("contacts", "bound", "waiting", "known", "paid", "orders", "links"):
            if getattr(self, what) != getattr(other, what):
                found.append(f"{what}: {getattr(other, what)} instead of {getattr(self, what)}")
        return found


def _warm_up(folder: Path) -> None:
    """Play all acts once in this very process: whatever is imported or compiled once, every fork has already."""
    for name in (
        "later",
        "edits",
        "credits",
        "payments",
        "allocations",
        "bills",
        "purchase_orders",
        "signed",
        "shared",
        "links",
    ):
        act = ACTS[name]
        world = act.set_up(World(folder / name))
        act.begins(world)
        world.cycle(family=act.family)
        if act.goes_on is not None:
            act.goes_on(world)
        world.cycle(family=act.family)
        world.later().cycle(family=act.family)
    Picture.of(world)
    gc.collect()
    gc.freeze()


def _rehearse(world: World, family: str, switches: XeroSwitches, by_hand: bool) -> dict[str, Any]:
    """The undisturbed cycle, in a child like all others: its events, its calls to Xero, and the picture after it."""
    world.xero.switches = switches
    told = _in_child(world, family, 0)
    calls = [f"{call.method} {_last(call.path)}" for call in world.to_xero.calls[told["before"] :]]
    if by_hand:
        hand_act(world)
    for _ in range(2):
        summary = world.later().cycle(family=family)
        assert not summary.failed, summary.failed
    return {"events": told["events"], "calls": calls, "picture": Picture.of(world)}


def _play(world: World, family: str, case: Case, expected: Picture) -> str:
    """Let the thing go wrong, run two more cycles, and say what is not as it should be ('' when all is well)."""
    world.xero.switches = case.switches
    if case.kill_at:
        told = _in_child(world, family, case.kill_at)
        if not told["killed"]:
            return f"the cycle ended before event {case.kill_at}: {told}"
    elif not _with_fault(world, family, case):
        return f"the cycle ended before call {case.fault_at}"
    world.clock.advance(minutes=case.minutes)
    if case.by_hand:
        hand_act(world)
    if case.kill_again_at:
        _in_child(world, family, case.kill_again_at)
        world.clock.advance(minutes=case.minutes)
    problems: list[str] = []
    for _ in range(2):
        summary = world.cycle(family=family)
        if summary.failed:
            return f"a later cycle failed: {summary.failed}"
        problems = expected.differences(Picture.of(world))
        if any(row["settled_at"] is None for row in [*world.rows(REQUEST_ROWS), *world.rows(REQUESTS)]):
            problems.append("a request is unsettled")
        if not problems and not case.always_two:
            break
        world.later()
    return "; ".join(problems)


def _with_fault(world: World, family: str, case: Case) -> bool:
    first = len(world.to_xero.calls)

    def plan(request: Request, number: int) -> Fault | None:
        if number != first + case.fault_at:
            return None
        if case.fault == "answer lost, key forgotten":
            world.xero.switches = replace(world.xero.switches, forget_keys=True)
        if case.fault == "token expired":
            world.xero.identity._access.clear()
            return None
        return FAULTS[case.fault]()

    world.to_xero.plan = plan
    world.cycle(family=family)
    world.to_xero.plan = lambda _request, _number: None
    return len(world.to_xero.calls) >= first + case.fault_at


def _last(path: str) -> str:
    """What a call is about, without the id of anything."""
    named = next((name for name in ("Payments", "Allocations", "PurchaseOrders") if f"/{name}/" in path), "")
    return f"one of {named}" if named else path.rpartition("/")[2]


# The child that is killed


class _Line:
    """The child's end of the pipe: one question at a time, from whatever thread."""

    def __init__(self, connection: Connection, kill_at: int) -> None:
        self._connection = connection
        self._kill_at = kill_at
        self._lock = threading.RLock()
        self.events: list[str] = []

    def ask(self, *question: Any) -> Any:
        """Ask the parent, where the simulators live."""
        with self._lock:
            self._connection.send(question)
            answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @contextmanager
    def event(self, what: str) -> Iterator[None]:
        """Something that a kill may come just before, or just after."""
        with self._lock:
            self._tick(f"before {what}")
            yield
            self._tick(f"after {what}")

    def _tick(self, what: str) -> None:
        self.events.append(what)
        if len(self.events) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)


class _Remote:
    """A simulated system at the other end of the line."""

    def __init__(self, line: _Line, name: str) -> None:
        self._line = line
        self._name = name

    def __call__(self, request: Request) -> Response:
        with self._line.event(f"{request.method} {_last(request.path)}"):
            answer: Response = self._line.ask(self._name, request)
            return answer


class _RemoteTokens:
    """The token store at the other end of the line."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def load(self) -> Tokens:
        tokens: Tokens = self._line.ask("load")
        return tokens

    def save(self, tokens: Tokens) -> None:
        with self._line.event("saving the tokens"):
            self._line.ask("save", tokens)


def _in_child(world: World, family: str, kill_at: int) -> dict[str, Any]:
    """Run a cycle in a child that is killed at an event (0: not at all), and serve it until its end."""
    before = len(world.to_xero.calls)
    line, pid = _fork_with_line(lambda connection: _cycle_in_child(world, family, connection, kill_at))
    told: dict[str, Any] = {"killed": False, "before": before}
    handlers = {"connectwise": world.to_connectwise, "xero": world.to_xero}
    while True:
        try:
            what, *given = line.recv()
        except (EOFError, OSError):
            break
        if what == "done":
            told |= given[0]
            continue
        try:
            if what in handlers:
                line.send(handlers[what](given[0]))
            elif what == "sleep":
                world.clock.advance(seconds=given[0])
                line.send(None)
            elif what == "load":
                line.send(world.tokens.load())
            else:
                world.tokens.save(given[0])
                line.send(None)
        except ConnectionCut as cut:
            line.send(cut)
        except BrokenPipeError:
            break
    line.close()
    _, status = os.waitpid(pid, 0)
    told["killed"] = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not told["killed"] and "events" not in told:
        raise AssertionError(f"the cycle's process ended by itself: {told}")
    return told


def _cycle_in_child(world: World, family: str, connection: Connection, kill_at: int) -> None:
    line = _Line(connection, kill_at)
    world.to_connectwise = _Remote(line, "connectwise")  # type: ignore[assignment]
    world.to_xero = _Remote(line, "xero")  # type: ignore[assignment]
    world.tokens = _RemoteTokens(line)  # type: ignore[assignment]
    advance = world.clock.advance

    def sleep(seconds: float) -> None:
        advance(seconds=seconds)
        line.ask("sleep", seconds)

    world.clock.sleep = sleep  # type: ignore[method-assign]
    _watch_commits(line)
    summary = world.cycle(family=family)
    connection.send(("done", {"events": line.events, "failed": summary.failed}))


def _watch_commits(line: _Line) -> None:
    """Every commit becomes two events, named by the tables that were written."""
    written = threading.local()
    real = DefaultDialect.do_commit

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.split(None, 3)
        if words[0] in ("INSERT", "UPDATE", "DELETE"):
            written.tables = [*getattr(written, "tables", ()), words[1] if words[0] == "UPDATE" else words[2]]

    def commit(self: DefaultDialect, connection: Any) -> None:
        tables = dict.fromkeys(getattr(written, "tables", ()))
        written.tables = []
        with line.event(f"the commit of {', '.join(tables) or 'nothing'}"):
            real(self, connection)  # type: ignore[no-untyped-call]

    event.listen(Engine, "before_cursor_execute", note)
    DefaultDialect.do_commit = commit  # type: ignore[method-assign]


# Processes


def _fork(act: Callable[[], Any]) -> tuple[Connection, int]:
    """Carry out `act` in a process of its own; its result comes over the line."""

    def tell(connection: Connection) -> None:
        connection.send(act())

    return _fork_with_line(tell)


def _fork_with_line(act: Callable[[Connection], None]) -> tuple[Connection, int]:
    if threading.active_count() > 1:
        raise AssertionError(f"no process with threads is forked: {threading.enumerate()}")
    ours, theirs = Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    try:
        gc.disable()
        ours.close()
        act(theirs)
    except BaseException:  # noqa: BLE001  (whatever it is, it must not come back into the test runner of the parent)
        theirs.send(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def _received(line: Connection, pid: int) -> Any:
    try:
        answer = line.recv()
    except EOFError:
        answer = "the process ended without a word"
    line.close()
    os.waitpid(pid, 0)
    return answer


# PostgreSQL


class Schema:
    """A schema with an audit of its own in a PostgreSQL database, and copies of it."""

    def __init__(self, address: str) -> None:
        self._address = make_url(address)
        self.name = f"tieout_{uuid.uuid4().hex[:12]}"
        self.url = self._make(self.name)
        open_audit(self.url).close()

    def copy(self, name: str) -> str:
        """Another schema with the same tables, rules and rows; its numbers go on where these stopped."""
        url = self._make(name)
        with create_engine(self._address).begin() as connection:
            tables = inspect(connection).get_table_names(schema=self.name)
            for table in tables:
                connection.exec_driver_sql(f"CREATE TABLE {name}.{table} (LIKE {self.name}.{table} INCLUDING ALL)")
                connection.exec_driver_sql(f"INSERT INTO {name}.{table} SELECT * FROM {self.name}.{table}")
        return url

    def drop(self, url: str = "") -> None:
        """Drop a copy, or this one."""
        name = str(make_url(url).query["options"]).partition("=")[2] if url else self.name
        with create_engine(self._address).begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    def _make(self, name: str) -> str:
        with create_engine(self._address).begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        own = self._address.update_query_dict({"options": f"-csearch_path={name}"})
        return own.render_as_string(hide_password=False)


__all__ = ["FAULTS", "Case", "Schema", "Theatre"]
