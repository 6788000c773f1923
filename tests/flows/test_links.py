"""Linked transactions: a certain match becomes one link in Xero, once, after both documents are approved."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.database import unpack
from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
from flows.family import Summary
from flows.planning import plan_of
from mappings.linked_transactions import FAMILY
from tests.worlds import LOST, OTHER_TENANT, TIMED_OUT, World, answers

LINKS = (
    '[families]\npurchase_orders = "on"\n[sales]\ninvoice_status = "authorised"\n'
    '[purchases]\nbill_status = "authorised"\non_billing_links = true'
)
"""Both documents are approved as they are made."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world that buys, and links what is certainly billed on."""
    world = World(tmp_path).ready_to_buy()
    world.policy(LINKS)
    # The status of bills is left to policy.
    world.sign("organisation,state,event,status\n,fully_received,draft_bill,\n,reversed,hold,\n")
    return world


def sold(world: World, number: str, quantity: str = "10", order: int | None = None, **fields: Any) -> int:
    """An invoice of one product, sold by this sales order, posted to Xero."""
    product = {"catalogItem": "SWITCH", "quantity": Decimal(quantity), "price": Decimal(150), "taxableFlag": True}
    product |= {"description": "Switch"} | ({"salesOrder": order} if order else {})
    invoice = world.add_invoice(number, time=[], products=[product], **fields)
    cycle(world, family="invoices")
    return invoice


def received(world: World, number: str, sales_order: int | None = None, **fields: Any) -> int:
    order = world.add_order(number, **fields)
    for line in world.order_lines(order):
        if sales_order:
            world.connectwise.edit_order_line(line, salesOrder=[sales_order])
        world.connectwise.receive_line(line)
    return order


def bought_and_sold(world: World, number: str = "7", **fields: Any) -> int:
    """An order whose product is on a customer's invoice, for certain."""
    sales = world.connectwise.add_sales_order("ACME")
    sold(world, f"4000{number}", order=sales)
    return received(world, f"PO{number}", sales, **fields)


def cycle(world: World, **form: Any) -> Summary:
    summary = world.cycle(**form)
    assert not summary.failed, summary.failed
    return summary


def links(world: World) -> list[tuple[str, str, str]]:
    """The links in Xero: the line of the bill, that of the invoice, and how Xero calls it."""
    return [
        (each["SourceLineItemID"], each.get("TargetLineItemID", ""), each["Status"])
        for each in world.books.linked_transactions()
    ]


def lines(world: World, bill: int = 0) -> tuple[str, str]:
    """The lines that belong together: of the bill, and of the invoice."""
    (invoice,) = world.invoices().values()
    return world.bills()[bill]["LineItems"][-1]["LineItemID"], invoice["LineItems"][0]["LineItemID"]


def calls(world: World, **form: Any) -> list[str]:
    """The calls about links of a cycle."""
    with world.watching() as seen:
        cycle(world, **form)
    return [call for call in seen.xero if "LinkedTransactions" in call]


def test_a_certain_match_is_linked_line_to_line_once(world: World) -> None:
    bought_and_sold(world)
    assert calls(world) == ["GET /LinkedTransactions", "PUT /LinkedTransactions"]
    bill, invoice = lines(world)
    assert links(world) == [(bill, invoice, "BILLED")]
    for _ in range(2):
        with world.watching() as seen:
            cycle(world.later())
        assert seen.xero == [], "idle"
    assert len(links(world)) == 1


def test_a_link_always_names_target_and_line_and_never_a_contact(world: World) -> None:
    bought_and_sold(world)
    cycle(world)
    (row,) = [row for row in world.rows(BINDINGS) if row["family"] == FAMILY]
    (request,) = [each for each in world.rows(REQUESTS) if each["family"] == FAMILY]
    sent = json.loads(unpack(request["body"]))
    assert sorted(sent) == ["SourceLineItemID", "SourceTransactionID", "TargetLineItemID", "TargetTransactionID"]
    assert all(sent.values())
    assert row["xero_id"] == world.books.linked_transactions()[0]["LinkedTransactionID"]


def test_it_is_told_as_an_outcome_of_the_order(world: World) -> None:
    bought_and_sold(world)
    summary = cycle(world)
    assert world.outcomes(summary) == {"PO7": "posted"}
    assert (summary.counts["posted"], summary.counts["read"]) == (2, 2), "the bill, and its link"


def test_without_the_policy_nothing_is_read_or_linked(world: World) -> None:
    world.policy(LINKS.replace("on_billing_links = true", ""))
    bought_and_sold(world)
    with world.watching() as seen:
        cycle(world)
    assert not [call for call in seen.xero if "Linked" in call]
    assert not [call for call in seen.connectwise if "products" in call or "reports" in call]


def test_the_policy_is_each_organisation_s_own(world: World) -> None:
    world.policy(
        LINKS.replace("on_billing_links = true", "") + '\n[organisation."Perth".purchases]\non_billing_links = true'
    )
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT)
    bought_and_sold(world)
    cycle(world)
    assert links(world) == []


def test_switched_on_later_it_links_what_was_posted_before(world: World) -> None:
    world.policy(LINKS.replace("on_billing_links = true", ""))
    order = bought_and_sold(world)
    world.connectwise.close_purchase_order(order)
    cycle(world)
    world.policy(LINKS)
    cycle(world.later())
    assert len(links(world)) == 1


# Safeguards: only what is certain, only what is approved


def test_a_likely_match_is_never_linked(world: World) -> None:
    sold(world, "40001")
    received(world, "PO7")
    sales = world.connectwise.add_sales_order("ACME")
    sold(world, "40002", "4", order=sales)
    received(world, "PO8", sales)
    cycle(world)
    cycle(world.later())
    assert links(world) == []


def test_a_line_that_two_products_bill_on_has_no_one_target(world: World) -> None:
    order = received(world, "PO7")
    (line,) = world.order_lines(order)
    for number in ("40001", "40002"):
        invoice = sold(world, number, "5")
        world.connectwise.buy_for(line, world.connectwise.rows("product", invoice)[0]["id"])
    cycle(world)
    assert links(world) == []


@pytest.mark.parametrize("waits", ["bill", "invoice"])
def test_a_draft_is_linked_once_it_is_approved(world: World, waits: str) -> None:
    sales, bill = ("authorised", "draft") if waits == "bill" else ("draft", "authorised")
    world.policy(
        LINKS.replace('invoice_status = "authorised"', f'invoice_status = "{sales}"').replace(
            'bill_status = "authorised"', f'bill_status = "{bill}"'
        )
    )
    bought_and_sold(world)
    cycle(world)
    assert calls(world.later()) == [] and links(world) == []
    document = world.bills()[0] if waits == "bill" else next(iter(world.invoices().values()))
    world.books.approve(document["InvoiceID"])
    cycle(world.later())
    assert [status for _, _, status in links(world)] == ["BILLED"]


def test_what_is_paid_already_is_linked_too(world: World) -> None:
    bought_and_sold(world)
    world.policy(LINKS.replace("on_billing_links = true", ""))
    cycle(world)
    world.books.pay(world.bills()[0]["InvoiceID"], "1100")
    world.policy(LINKS)
    cycle(world.later())
    assert len(links(world)) == 1


def test_an_invoice_that_comes_after_the_bill_is_linked_when_it_comes(world: World) -> None:
    sales = world.connectwise.add_sales_order("ACME")
    order = received(world, "PO7", sales)
    world.connectwise.close_purchase_order(order)
    cycle(world)
    sold(world.later(), "40001", order=sales)
    cycle(world)
    assert len(links(world)) == 1


def test_an_invoice_in_another_organisation_is_no_target(world: World) -> None:
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT).add_contact("Acme Pty Ltd", account_number="ACME01")
    world.paste("organisations.csv", "Perth,,,,,Perth")
    sales = world.connectwise.add_sales_order("ACME")
    sold(world, "40001", order=sales, location="Perth")
    received(world, "PO7", sales)
    cycle(world)
    assert links(world) == []


def test_each_receipt_of_a_line_is_linked_to_the_one_invoice_line(world: World) -> None:
    world.sign(
        "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
        ",reversed,hold,\n"
    )
    sales = world.connectwise.add_sales_order("ACME")
    sold(world, "40001", order=sales)
    order = world.add_order("PO7")
    world.connectwise.edit_order_line(world.order_lines(order)[0], salesOrder=[sales])
    rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1")
    cycle(world)
    world.connectwise.edit_order_line(rest or 0, salesOrder=[sales])
    world.connectwise.receive_line(rest or 0, slip="S2")
    cycle(world.later())
    assert sorted(links(world)) == sorted((*lines(world, place), "BILLED") for place in (0, 1))


# What people do


def test_a_link_that_a_person_made_is_not_doubled_and_stays(world: World) -> None:
    world.policy(LINKS.replace("on_billing_links = true", ""))
    bought_and_sold(world)
    cycle(world)
    bill, _ = lines(world)
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    world.books.assign_expense(world.bills()[0]["InvoiceID"], bill, contact)
    before = world.books.linked_transactions()
    world.policy(LINKS)
    summary = cycle(world.later())
    assert world.books.linked_transactions() == before
    assert world.outcomes(summary) == {"PO7": "unchanged"}
    cycle(world.later())
    assert world.books.linked_transactions() == before


def test_a_link_that_a_person_removed_stays_removed_and_a_sweep_says_so_once(world: World) -> None:
    bought_and_sold(world)
    cycle(world)
    world.books.unassign_expense(world.books.linked_transactions()[0]["LinkedTransactionID"])
    cycle(world.later())
    told = [world.outcomes_by_id(cycle(world.later(), sweep=True)) for _ in range(2)]
    assert links(world) == []
    assert [sum(1 for _, number in each if number == 77001) for each in told] == [1, 0], "once"


def test_an_update_of_both_documents_leaves_the_link(world: World) -> None:
    bought_and_sold(world)
    cycle(world)
    before = links(world)
    (invoice,) = world.connectwise.tables["invoice"].records
    world.connectwise.edit_row(
        "product", world.connectwise.rows("product", invoice)[0]["id"], description="Switch, new"
    )
    world.connectwise.edit_invoice(invoice, customerPO="PO-9")
    cycle(world.later(), family="invoices")
    (bill,) = world.bills()
    ids = [{"LineItemID": line["LineItemID"]} for line in bill["LineItems"]]
    world.books.edit(bill["InvoiceID"], LineItems=[ids[0], ids[1] | {"Description": "In her words"}])
    cycle(world.later(), force=True)
    assert next(iter(world.invoices().values()))["Reference"] == "PO-9"
    assert links(world) == before


# Doubt, limits, refusals


@pytest.mark.parametrize("minutes", [0, 7])
@pytest.mark.parametrize("fault", [LOST, TIMED_OUT, answers(500, b"{}"), answers(500, b"{}", when="after")])
def test_a_link_whose_answer_is_lost_is_there_once(world: World, fault: Any, minutes: int) -> None:
    bought_and_sold(world)
    world.xero_fails("PUT", "/LinkedTransactions", *[fault] * 4)
    world.cycle()
    world.xero_fails("PUT", "/LinkedTransactions")
    world.later(minutes=minutes)
    cycle(world)
    cycle(world.later())
    assert len(links(world)) == 1
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))
    assert world.exceptions() == []


def test_it_is_there_once_though_xero_has_forgotten_the_key(world: World) -> None:
    bought_and_sold(world)
    world.xero.switches = replace(world.xero.switches, forget_keys=True)
    world.xero_fails("PUT", "/LinkedTransactions", LOST)
    cycle(world)
    assert len(links(world)) == 1


def test_a_refused_link_is_told_and_not_sent_again_before_a_day_is_over(world: World) -> None:
    bought_and_sold(world)
    body = b'{"Type":"ValidationException","Message":"A validation exception occurred","Elements":[{"ValidationErrors":'
    body += b'[{"Message":"The ContactID and the TargetTransaction ContactID do not match"}]}]}'
    refusal = answers(400, body, {"Content-Type": "application/json"})
    world.xero_fails("PUT", "/LinkedTransactions", refusal)
    summary = cycle(world)
    (told,) = summary.exceptions
    assert (told["reason"], told["reference"], told["outcome"]) == ("refused_by_xero", "PO7", "rejected")
    assert "40007" in told["message"] and "do not match" in told["message"]
    assert calls(world.later()) == []
    assert world.exceptions()
    cycle(world.later(hours=30))
    assert len(links(world)) == 1 and world.exceptions() == []


def test_the_day_s_limit_leaves_the_rest_to_a_later_cycle(world: World) -> None:
    for number in ("1", "2", "3"):
        bought_and_sold(world, number)
    spent = answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"})
    world.xero_fails("PUT", "/LinkedTransactions", None, spent)
    summary = cycle(world)
    assert len(links(world)) == 1
    assert summary.counts["deferred"] == 2
    assert {each["reason"] for each in world.exceptions()} == {"day_limit"}
    cycle(world.later(hours=24))
    assert len(links(world)) == 3 and world.exceptions() == []


def test_what_is_no_match_any_more_waits_no_longer(world: World) -> None:
    order = bought_and_sold(world)
    spent = answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"})
    world.xero_fails("PUT", "/LinkedTransactions", spent)
    cycle(world)
    assert world.exceptions()
    world.connectwise.edit_order_line(world.order_lines(order)[0], salesOrder=[])
    cycle(world.later(hours=24))
    assert world.exceptions() == [] and links(world) == []


# The plan


def test_a_dry_run_shows_each_link_and_writes_nothing(world: World) -> None:
    world.policy(LINKS.replace("on_billing_links = true", ""))
    bought_and_sold(world)
    cycle(world)
    world.policy(LINKS)
    before = world.snapshot(), world.rows(BINDINGS)
    summary = cycle(world.later(), mode="plan")
    assert (world.snapshot(), world.rows(BINDINGS)) == before and links(world) == []
    assert summary.cycle is not None
    (write,) = plan_of([summary.cycle])["writes"]
    bill, invoice = lines(world)
    assert (write["action"], write["document"], write["reference"]) == ("link", "linked_transaction", "PO7")
    assert {each["name"]: each["to"] for each in write["fields"]}["TargetLineItemID"] == invoice
    assert {each["name"]: each["to"] for each in write["fields"]}["SourceLineItemID"] == bill
