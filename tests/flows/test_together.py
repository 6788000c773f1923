"""Cycles that meet: the lease, its fencing number, and the watermark that both would move."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from blocks.audit import leases, requests, runs, watermarks
from blocks.audit.database import Audit, LeaseLost
from blocks.audit.tables import BINDINGS, LEASES, OUTCOMES, REQUEST_ROWS, REQUESTS, RUNS
from blocks.audit.watermarks import WatermarkMoved
from deployments.sandbox.wire import Fault, Request
from mappings.outcomes import Outcome
from mappings.xero import Document, Found
from tests.worlds import World, answers

LEASE = "sync:invoices"


def on_first_put(world: World, act: Callable[[], object]) -> None:
    """Do something while the first write of a cycle is on its way."""

    def plan(request: Request, _number: int) -> Fault | None:
        if request.method == "PUT":
            world.to_xero.plan = lambda _request, _number: None
            act()
        return None

    world.to_xero.plan = plan


def position(world: World) -> datetime | None:
    audit = world.audit()
    try:
        return watermarks.read(audit, "invoices").position
    finally:
        audit.close()


# The lease


def test_a_second_cycle_waits_for_the_first_and_says_for_whom(world: World) -> None:
    world.add_invoice("40001")
    audit = world.audit()
    lease = leases.take(audit, LEASE, "invoices cycle 12345678", world.clock(), timedelta(seconds=40))
    summary = world.cycle()
    assert summary.counts == {"read": 1, "posted": 1}
    assert any("invoices cycle 12345678" in said and "waiting" in said for said in world.said)
    with pytest.raises(LeaseLost):
        requests.keep_found(audit, "t", "invoices", [(1, found("1"))], lease)
    audit.close()


def test_a_cycle_that_has_waited_long_enough_gives_up_with_a_sentence(world: World) -> None:
    world.add_invoice("40001")
    audit = world.audit()
    leases.take(audit, LEASE, "invoices cycle 12345678", world.clock(), timedelta(hours=1))
    started = world.clock()
    summary = world.cycle(wait_seconds=20, references=["40001"])
    assert "is being worked on by invoices cycle 12345678" in summary.failed and summary.exit_code == 1
    assert world.clock() - started <= timedelta(seconds=21)
    assert world.invoices() == {}
    audit.close()


def test_a_dry_run_waits_for_nobody(world: World) -> None:
    world.add_invoice("40001")
    audit = world.audit()
    leases.take(audit, LEASE, "a cycle", world.clock(), timedelta(hours=1))
    started = world.clock()
    assert not world.cycle(mode="plan").failed
    assert world.clock() == started
    audit.close()


@pytest.mark.parametrize("name", [LEASE, "token:sandbox-client"])
def test_the_lease_of_a_process_that_died_is_taken_over_at_once(world: World, name: str) -> None:
    world.add_invoice("40001")
    child = os.fork()
    if not child:
        leases.take(world.audit(), name, "a cycle that will be killed", world.clock(), timedelta(hours=1))
        os._exit(0)
    os.waitpid(child, 0)
    assert [row["what"] for row in world.rows(LEASES)] == ["a cycle that will be killed"]
    started = world.clock()
    assert world.cycle().counts == {"read": 1, "posted": 1}
    assert world.clock() == started


def test_a_lease_of_another_machine_is_waited_for_until_it_runs_out(world: World, monkeypatch: Any) -> None:
    world.add_invoice("40001")
    audit = world.audit()
    monkeypatch.setattr(leases, "this_process", lambda: "elsewhere|pid:[1]|1")
    leases.take(audit, LEASE, "a cycle elsewhere", world.clock())
    monkeypatch.undo()
    started = world.clock()
    assert world.cycle().counts == {"read": 1, "posted": 1}
    assert timedelta(seconds=59) <= world.clock() - started <= timedelta(seconds=61)
    assert "on elsewhere" in world.said[0]
    audit.close()


def test_the_lease_is_given_back_also_by_a_cycle_that_failed(world: World) -> None:
    world.to_connectwise.plan = lambda _request, _number: answers(500)
    assert world.cycle().failed
    assert [row["holder"] for row in world.rows(LEASES)] == [""]


def test_the_heartbeat_keeps_a_lease_and_never_takes_one_back(world: World) -> None:
    audit, now = world.audit(), world.clock()
    with leases.hold(audit, LEASE, "a long cycle", world.clock, lasts=timedelta(seconds=0.12)) as lease:
        world.clock.advance(hours=1)
        beat = world.clock() + timedelta(seconds=0.12)
        for _ in range(200):
            if world.rows(LEASES)[0]["expires_at"] == beat:
                break
            time.sleep(0.01)
        assert world.rows(LEASES)[0]["expires_at"] == beat > now
        world.clock.advance(hours=1)
        other = leases.take(audit, LEASE, "another", world.clock() + timedelta(hours=1))
        assert other.fence == lease.fence + 1
    assert world.rows(LEASES)[0]["what"] == "another"
    audit.close()


# Fencing


def test_a_cycle_that_lost_its_lease_commits_nothing_more_and_nothing_is_doubled(world: World) -> None:
    numbers = [f"400{number:02}" for number in range(60)]
    for number in numbers:
        world.add_invoice(number)
    other: list[Any] = []

    def pause_and_be_overtaken() -> None:
        world.clock.advance(minutes=2)
        other.append(world.cycle())

    on_first_put(world, pause_and_be_overtaken)
    first = world.cycle()
    assert "taken over" in first.failed
    assert other[0].counts["posted"] == 60 and not other[0].failed
    assert sorted(each["InvoiceNumber"] for each in world.books.invoices(live=False)) == numbers
    assert {row["run_id"] for row in world.rows(OUTCOMES) if row["outcome"] == "posted"} == {other[0].run_id}
    assert len(world.rows(BINDINGS)) == 60
    states = {row["id"]: row["state"] for row in world.rows(RUNS)}
    assert states == {first.run_id: "failed", other[0].run_id: "completed"}
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))


def document(number: int) -> Document:
    day = datetime(2026, 3, 2, tzinfo=UTC).date()
    return Document(
        "invoices", number, str(number), "Sydney", "t", "ACCREC", str(number), "c", "Acme", day, day, "AUD", None, "",
        f"http://localhost/{number}", "DRAFT", (),
    )  # fmt: skip


def found(xero_id: str) -> Found:
    return Found.parse({"InvoiceID": xero_id, "Total": "0", "LineItems": []})


@pytest.fixture
def audit(world: World) -> Any:
    opened = world.audit()
    yield opened
    opened.close()


def test_every_kind_of_commit_refuses_a_lease_that_is_lost(world: World, audit: Audit) -> None:
    now = world.clock()
    ours = leases.take(audit, LEASE, "ours", now)
    leases.take(audit, LEASE, "theirs", now + timedelta(minutes=2))
    seen = watermarks.read(audit, "invoices")
    result = runs.Result("invoices", 1, "1", Outcome.POSTED)
    attempts: list[Callable[[], object]] = [
        lambda: requests.store(audit, "run", "PUT", "Invoices", b"{}", [document(1)], now, ours),
        lambda: requests.keep_found(audit, "t", "invoices", [(1, found("1"))], ours),
        lambda: runs.record(audit, "run", [result], now, ours),
        lambda: watermarks.move(audit, seen, now, now, ours),
    ]
    for attempt in attempts:
        with pytest.raises(LeaseLost):
            attempt()
    assert world.rows(REQUESTS) == world.rows(OUTCOMES) == [] and position(world) is None


# The guards below the lease


def test_a_record_in_doubt_is_in_no_second_request(world: World, audit: Audit) -> None:
    now = world.clock()
    first = requests.store(audit, "a", "PUT", "Invoices", b"{}", [document(1), document(2)], now, None)
    with pytest.raises(requests.Occupied):
        requests.store(audit, "b", "PUT", "Invoices", b"{}", [document(2), document(3)], now, None)
    assert [row["connectwise_id"] for row in world.rows(REQUEST_ROWS)] == [1, 2]
    with audit.transaction() as connection:
        requests.settle_in(connection, first, [2], "answered", now)
    requests.store(audit, "b", "PUT", "Invoices", b"{}", [document(2), document(3)], now, None)
    assert requests.unsettled_ids(audit, "invoices") == {1, 2, 3}


def test_a_record_that_is_bound_is_in_no_request_that_creates(world: World, audit: Audit) -> None:
    now = world.clock()
    with audit.transaction() as connection:
        requests.bind_in(connection, [(document(1), found("x"))], False, now)
    with pytest.raises(requests.Occupied):
        requests.store(audit, "b", "PUT", "Invoices", b"{}", [document(1), document(2)], now, None)
    assert world.rows(REQUESTS) == world.rows(REQUEST_ROWS) == []


def test_one_document_is_never_two_records_and_one_record_never_two_documents(world: World, audit: Audit) -> None:
    def bind(number: int, xero_id: str) -> None:
        with audit.transaction() as connection:
            requests.bind_in(connection, [(document(number), found(xero_id))], False, world.clock())

    bind(1, "x")
    bind(1, "x")
    for number, xero_id in ((1, "y"), (2, "x")):
        with pytest.raises(IntegrityError):
            bind(number, xero_id)
    assert [(row["connectwise_id"], row["xero_id"]) for row in world.rows(BINDINGS)] == [(1, "x")]


def test_a_task_that_is_run_again_writes_nothing_again(world: World, monkeypatch: Any) -> None:
    """A load task that died after its first call: what it has written is known, and only the rest is sent."""
    from tasks import posting

    for number in range(3):
        world.add_invoice(f"4000{number}")
    real, calls = posting.create, []

    def twice(cycle: Any, creates: Any) -> Any:
        calls.append(real(cycle, creates[:2]))
        return real(cycle, creates)

    monkeypatch.setattr(posting, "create", twice)
    with world.watching() as seen:
        assert world.cycle().counts == {"read": 3, "posted": 3}
    assert len(calls) == 1 and seen.xero.count("PUT /Invoices") == 2
    assert sorted(row["outcome"] for row in world.rows(OUTCOMES)) == ["posted"] * 3


# The watermark


def test_the_watermark_is_the_newest_change_that_was_seen(world: World) -> None:
    with world.connectwise.at(world.clock() - timedelta(hours=2)):
        world.add_invoice("40001")
    newest = world.clock() - timedelta(hours=1)
    with world.connectwise.at(newest):
        world.add_invoice("40002")
    world.cycle()
    assert position(world) == newest


def test_the_watermark_is_never_later_than_the_start_of_the_read_by_connectwises_own_clock(world: World) -> None:
    with world.connectwise.at(world.clock() + timedelta(hours=1)):
        world.add_invoice("40001")
    world.cycle()
    assert position(world) == world.clock()


def test_the_watermark_never_goes_back_and_stays_when_nothing_changed(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    first = position(world)
    world.later().cycle()
    assert position(world) == first
    world.connectwise.delete_invoice(39001)
    with world.connectwise.at(world.clock() - timedelta(hours=6, minutes=5)):
        world.add_invoice("40002")
    assert world.cycle().counts == {"read": 1, "posted": 1}
    assert position(world) == first


def test_a_watermark_that_ops_reset_meanwhile_stays_where_they_put_it(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    wanted = world.clock() - timedelta(days=30)
    world.later().add_invoice("40002")

    def reset() -> None:
        audit = world.audit()
        watermarks.move(audit, watermarks.read(audit, "invoices"), wanted, world.clock())
        audit.close()

    on_first_put(world, reset)
    summary = world.cycle()
    assert not summary.failed and summary.counts["posted"] == 1
    assert position(world) == wanted
    assert any("was moved meanwhile" in said for said in world.said)


def test_the_watermark_moves_by_compare_and_set(world: World, audit: Audit) -> None:
    now = world.clock()
    nothing = watermarks.read(audit, "invoices")
    first = watermarks.move(audit, nothing, now, now)
    with pytest.raises(WatermarkMoved):
        watermarks.move(audit, nothing, now, now)
    second = watermarks.move(audit, first, now + timedelta(hours=1), now)
    with pytest.raises(WatermarkMoved):
        watermarks.move(audit, first, now, now)
    assert watermarks.read(audit, "invoices") == second and second.version == 2


def test_a_cycle_that_ends_early_leaves_the_watermark_and_reads_the_same_again(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    first = position(world)
    world.later().add_invoice("40002")

    def take_over() -> None:
        world.clock.advance(minutes=2)
        leases.take(world.audit(), LEASE, "another", world.clock())

    on_first_put(world, take_over)
    assert "taken over" in world.cycle().failed
    assert position(world) == first
    assert world.later().cycle().counts == {"read": 2, "unchanged": 1, "posted": 1}
