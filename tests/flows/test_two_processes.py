"""Two cycles at once in two real processes, on one audit database: no copy, no loss, and the limits hold for both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.audit.tables import BINDINGS, RECORDS, REQUEST_ROWS
from deployments.sandbox.server import serve
from deployments.sandbox.xero import Limits
from tests.flows.one_cycle import Plan, start
from tests.worlds import Clock, World

INVOICES = 110
BATCH = 5
PER_WINDOW = 12
WINDOW = 2
"""Seconds: a minute, scaled down so that the limit binds and nobody waits for long."""


class RealClock(Clock):
    """The real time; sleeping is sleeping."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Stage:
    world: World
    plan: Plan

    def cycles(self, *plans: Plan) -> list[dict[str, Any]]:
        """Run a cycle of each plan, all at once; their summaries."""
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.flows.one_cycle"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in plans
        ]
        for process, plan in zip(processes, plans, strict=True):
            assert process.stdin is not None
            process.stdin.write(start(plan))
            process.stdin.close()
            process.stdin = None
        answers = []
        for process in processes:
            out, problems = process.communicate(timeout=600)
            assert process.returncode == 0, problems
            answers.append(json.loads(out.strip().splitlines()[-1]))
        return answers

    def busiest_window(self) -> int:
        """The most calls to Xero's API that began within one window, by the simulator's own log."""
        began = sorted(
            call.started.timestamp() for call in self.world.to_xero.calls if call.path.startswith("/api.xro")
        )
        return max(sum(moment <= other < moment + WINDOW for other in began) for moment in began)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    world = World(tmp_path, clock=RealClock()).ready_to_buy()
    world.xero.limits = Limits(
        per_minute=PER_WINDOW, concurrent=5, per_day=5000, window_seconds=WINDOW, window="sliding"
    )
    for number in range(INVOICES):
        world.add_invoice(f"{40000 + number}", date=date(2026, 3, 2))
    with (
        serve(world.to_connectwise) as connectwise,
        serve(world.to_xero, latency=lambda: 0.02) as xero,
    ):
        plan = Plan(
            connectwise,
            xero,
            world.tenants,
            str(world.tables),
            world.audit_address,
            str(tmp_path / "tokens.json"),
            PER_WINDOW,
            WINDOW,
            BATCH,
        )
        yield Stage(world, plan)


def settled(stage: Stage) -> None:
    """All there, each once, all bound, nothing in doubt; and the limits were kept, though they were felt."""
    world = stage.world
    numbers = [f"{40000 + number}" for number in range(INVOICES)]
    assert sorted(each["InvoiceNumber"] for each in world.books.invoices(live=False)) == numbers
    assert sorted(row["reference"] for row in world.rows(BINDINGS)) == numbers
    assert sorted(row["reference"] for row in world.rows(RECORDS)) == numbers
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))
    statistics = world.xero.statistics
    assert statistics.refused_429 == 0
    assert statistics.most_in_flight <= 5
    assert PER_WINDOW - 2 <= stage.busiest_window() <= PER_WINDOW
    assert world.connectwise.writes == []


def test_the_second_cycle_waits_for_the_first_and_finds_nothing_left_to_do(stage: Stage) -> None:
    first, second = sorted(stage.cycles(stage.plan, stage.plan), key=lambda told: str(told["said"]).count("waiting"))
    assert (first["posted"], second["posted"]) == (INVOICES, 0)
    assert (second["unchanged"], second["calls"]["xero"]) == (INVOICES, 0)
    assert any("is being worked on by invoices cycle" in said for said in second["said"])
    assert stage.world.xero.identity.refreshes == 1
    settled(stage)


def test_even_without_the_lease_nothing_is_doubled_or_lost(stage: Stage) -> None:
    """Both write at the very same time: the unique indexes are the guard."""
    told = stage.cycles(replace(stage.plan, lease="one"), replace(stage.plan, lease="other"))
    assert not any(each.get("failed") for each in told)
    # Whatever one of them left in doubt because the other one had it in hand is settled by the next ordinary cycle.
    last = stage.cycles(stage.plan)[0]
    assert not last.get("failed") and last["deferred"] == 0
    settled(stage)
    assert stage.world.xero.identity.refreshes == 1


ORDERS = 20


def buy(world: World) -> list[int]:
    """Orders of which everything came, in two receipts each."""
    orders = [world.add_order(f"PO{number}", id=number) for number in range(1, ORDERS + 1)]
    for order in orders:
        rest = world.connectwise.receive_part(world.order_lines(order)[0], 3, slip="S1") or 0
        world.connectwise.receive_line(rest, slip="S2")
    return orders


def billed_once(world: World, orders: list[int]) -> None:
    """Two bills for each order, for the money of its receipts, each of them bound."""
    wanted = sorted((f"PO{order} / {slip}", amount) for order in orders for slip, amount in (("S1", 300), ("S2", 700)))
    assert sorted((bill["InvoiceNumber"], bill["SubTotal"]) for bill in world.bills()) == wanted
    keys = [row["connectwise_id"] for row in world.rows(BINDINGS) if row["family"] == "bills"]
    assert sorted(keys) == sorted(order * 1000 + n for order in orders for n in (1, 2))
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))


PER_RECEIPT = (
    "organisation,state,event,status\n,partially_received,bill_per_receipt,\n,fully_received,bill_per_receipt,\n"
)


def test_two_cycles_of_purchase_orders_at_once_bill_each_receipt_once(stage: Stage) -> None:
    """Without the lease, at the very same time. Xero takes a bill's number twice, so nothing but our indexes helps."""
    world = stage.world
    world.sign(PER_RECEIPT)
    orders = buy(world)
    plan = replace(stage.plan, family="purchase_orders")
    told = stage.cycles(replace(plan, lease="one"), replace(plan, lease="other"))
    assert not any(each.get("failed") for each in told)
    # Whatever one of them left in doubt because the other one had it in hand is settled by the next ordinary cycle.
    last = stage.cycles(plan)[0]
    assert not last.get("failed") and last["deferred"] == 0
    assert sum(each["posted"] for each in (*told, last)) == 2 * ORDERS
    billed_once(world, orders)
    assert world.xero.statistics.refused_429 == 0
    assert world.connectwise.writes == []


FAMILIES = ("invoices", "credit_notes", "payments", "purchase_orders")
PAID = 60


def test_all_families_at_once_keep_the_limits_and_pay_and_bill_each_once(stage: Stage) -> None:
    """Each in a process of its own, on one organisation: some documents are new, and older invoices are paid."""
    world = stage.world
    world.policy(
        '[families]\ncredit_notes = "on"\npayments = "on"\npurchase_orders = "on"\n'
        '[sales]\ninvoice_status = "authorised"\n[brake]\nolder_than_days = 0\n'
    )
    world.sign(PER_RECEIPT)
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    assert stage.cycles(stage.plan)[0]["posted"] == INVOICES
    invoices = world.connectwise.tables["invoice"].records
    numbers = list(invoices)
    for number in numbers[:PAID]:
        world.connectwise.add_payment(number, "100.00")
    for number in range(30):
        world.add_invoice(f"{50000 + number}", date=date(2026, 3, 2))
        world.add_credit_memo(f"{60000 + number}", date=date(2026, 3, 2))
    orders = buy(world)
    plans = [replace(stage.plan, family=family) for family in FAMILIES]
    again = [replace(stage.plan, family=family, lease="other") for family in FAMILIES[2:]]
    told = stage.cycles(*plans, *again)
    assert not any(each.get("failed") for each in told)
    assert [each["posted"] for each in told[:2]] == [30, 30]
    # What one of two cycles of a family had in hand is settled by the next ordinary one.
    last, bills = stage.cycles(*plans[2:])
    assert not any(each.get("failed") or each["deferred"] for each in (last, bills))
    there = world.invoices()
    for number in numbers:
        paid = world.books.payments(there[invoices[number]["invoiceNumber"]]["InvoiceID"])
        assert [each["Amount"] for each in paid] == ([100] if number in numbers[:PAID] else [])
    assert len(world.credit_notes()) == 30
    assert sum(each["posted"] for each in (told[2], told[4], last)) == PAID
    billed_once(world, orders)
    statistics = world.xero.statistics
    assert statistics.refused_429 == 0 and statistics.most_in_flight <= 5
    assert stage.busiest_window() <= PER_WINDOW
    assert world.connectwise.writes == []
