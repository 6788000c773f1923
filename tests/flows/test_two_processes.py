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
    world = World(tmp_path, clock=RealClock()).ready()
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


FAMILIES = ("invoices", "credit_notes", "payments")
PAID = 60


def test_all_families_at_once_keep_the_limits_and_pay_each_invoice_once(stage: Stage) -> None:
    """Each in a process of its own, on one organisation: invoices and credit notes are new, and older ones are paid."""
    world = stage.world
    world.policy(
        '[families]\ncredit_notes = "on"\npayments = "on"\n[sales]\ninvoice_status = "authorised"\n'
        "[brake]\nolder_than_days = 0\n"
    )
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    assert stage.cycles(stage.plan)[0]["posted"] == INVOICES
    invoices = world.connectwise.tables["invoice"].records
    numbers = list(invoices)
    for number in numbers[:PAID]:
        world.connectwise.add_payment(number, "100.00")
    for number in range(30):
        world.add_invoice(f"{50000 + number}", date=date(2026, 3, 2))
        world.add_credit_memo(f"{60000 + number}", date=date(2026, 3, 2))
    plans = [replace(stage.plan, family=family) for family in FAMILIES]
    told = stage.cycles(*plans, replace(stage.plan, family="payments", lease="other"))
    assert not any(each.get("failed") for each in told)
    assert [each["posted"] for each in told[:2]] == [30, 30]
    # What one of the two cycles of payments had in hand is settled by the next ordinary one.
    last = stage.cycles(replace(stage.plan, family="payments"))[0]
    assert not last.get("failed") and last["deferred"] == 0
    there = world.invoices()
    for number in numbers:
        paid = world.books.payments(there[invoices[number]["invoiceNumber"]]["InvoiceID"])
        assert [each["Amount"] for each in paid] == ([100] if number in numbers[:PAID] else [])
    assert len(world.credit_notes()) == 30
    assert sum(each["posted"] for each in (*told[2:], last)) == PAID
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))
    statistics = world.xero.statistics
    assert statistics.refused_429 == 0 and statistics.most_in_flight <= 5
    assert stage.busiest_window() <= PER_WINDOW
    assert world.connectwise.writes == []
