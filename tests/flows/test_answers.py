"""Whatever Xero answers, or does not: each document is there once, and every record ends in an outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS, WATERMARKS
from deployments.sandbox.wire import Fault, Request, Response
from deployments.sandbox.xero import Limits, XeroSwitches
from tests.worlds import LOST, OTHER_TENANT, TENANT, TIMED_OUT, TIMED_OUT_AFTER, World, answers

ACCOUNTS = """organisation,side,kind,category,item,account_code,item_code
,sales,service,,,200,
,sales,expense,,,260,
,sales,product,,,270,
"""
"""Time goes to one account, expenses and products to others, which a test can archive."""


def add(world: World, count: int, first: int = 40001, **fields: Any) -> list[str]:
    numbers = [str(number) for number in range(first, first + count)]
    for number in numbers:
        world.add_invoice(number, **fields)
    return numbers


def add_bad(world: World, *numbers: str) -> None:
    """Invoices that Xero will refuse: their account is archived after the lists were read."""
    for number in numbers:
        world.add_invoice(number, time=[], expenses=[{"amount": 50, "notes": "Taxi"}])


def all_once(world: World, numbers: list[str]) -> None:
    """Each number is there exactly once, dead ones included, and nothing is in doubt any more."""
    assert sorted(each["InvoiceNumber"] for each in world.books.invoices(live=False)) == sorted(numbers)
    assert {row["reference"] for row in world.rows(BINDINGS)} == set(numbers)
    assert all(row["settled_at"] for row in world.rows(REQUEST_ROWS))
    assert all(row["settled_at"] for row in world.rows(REQUESTS))


@pytest.fixture
def known(world: World) -> World:
    """A world whose lists have been read, with an account that is archived since."""
    world.write("accounts.csv", ACCOUNTS)
    world.add_invoice("40000")
    world.cycle()
    world.later(hours=1)
    for code in ("260", "270"):
        world.books.archive_account(code)
    return world


# Some elements are refused


@pytest.mark.parametrize("order", ["request", "reversed"])
@pytest.mark.parametrize("echo", [True, False])
def test_one_bad_element_does_not_stop_the_others(known: World, order: Any, echo: bool) -> None:
    known.xero.switches = XeroSwitches(answer_order=order, refused_echoes_number=echo)
    good = add(known, 4)
    add_bad(known, "40099")
    with known.watching() as seen:
        told = known.outcomes(known.cycle())
    assert told["40099"] == "rejected: refused_by_xero" and {told[number] for number in good} == {"posted"}
    assert seen.xero.count("PUT /Invoices") == 1
    all_once(known, ["40000", *good])


@pytest.mark.parametrize("order", ["request", "reversed"])
def test_refused_elements_that_cannot_be_told_apart_are_sent_alone(known: World, order: Any) -> None:
    known.xero.switches = XeroSwitches(answer_order=order)
    good = add(known, 3)
    add_bad(known, "40097", "40098")
    known.add_invoice("40099", time=[], products=[{"quantity": 1, "price": 20, "description": "Cable"}])
    with known.watching() as seen:
        told = known.outcomes(known.cycle())
    assert {number for number, outcome in told.items() if outcome.startswith("rejected")} == {"40097", "40098", "40099"}
    assert seen.xero == ["GET /Organisation", "PUT /Invoices", "GET /Invoices", *["PUT /Invoices"] * 3]
    words = {each["reference"]: each["value"] for each in known.exceptions()}
    assert "'260'" in words["40097"] and "'260'" in words["40098"] and "'270'" in words["40099"]
    all_once(known, ["40000", *good])


def test_elements_that_are_refused_in_the_same_words_need_not_be_told_apart(known: World) -> None:
    good = add(known, 30)
    bad = [str(number) for number in range(40070, 40090)]
    add_bad(known, *bad)
    with known.watching() as seen:
        told = known.outcomes(known.cycle())
    assert {number for number, outcome in told.items() if outcome == "rejected: refused_by_xero"} == set(bad)
    assert seen.xero == ["GET /Organisation", "PUT /Invoices"]
    all_once(known, ["40000", *good])


def test_an_answer_in_reversed_order_binds_each_record_to_its_own_document(world: World) -> None:
    world.xero.switches = XeroSwitches(answer_order="reversed")
    numbers = add(world, 7)
    world.cycle()
    ids = {each["InvoiceID"]: each["InvoiceNumber"] for each in world.books.invoices()}
    assert {ids[row["xero_id"]]: row["reference"] for row in world.rows(BINDINGS)} == dict(
        zip(numbers, numbers, strict=True)
    )


# The whole call is refused


def refusing(world: World, *numbers: str) -> None:
    """Xero refuses every call that carries one of these invoices, as a whole."""
    body = json.dumps({"ErrorNumber": 14, "Type": "PostDataInvalidException", "Message": "LineItems must be a list"})

    def plan(request: Request, _number: int) -> Fault | None:
        bad = request.method == "PUT" and any(f'"{number}"'.encode() in request.body for number in numbers)
        return answers(400, body.encode()) if bad else None

    world.to_xero.plan = plan


def test_a_whole_call_that_is_refused_is_split_until_the_bad_one_stands_alone(world: World) -> None:
    numbers = add(world, 8)
    refusing(world, "40003")
    with world.watching() as seen:
        told = world.outcomes(world.cycle())
    assert told["40003"] == "rejected: refused_by_xero"
    assert [number for number in numbers if told[number] != "posted"] == ["40003"]
    assert seen.xero.count("PUT /Invoices") == 7
    assert "LineItems must be a list" in world.exceptions()[0]["message"]
    all_once(world, [number for number in numbers if number != "40003"])


def test_a_split_that_is_interrupted_goes_on_in_the_next_cycle(world: World) -> None:
    numbers = add(world, 4)
    refusing(world, "40003")
    inner, puts = world.to_xero.plan, 0

    def plan(request: Request, number: int) -> Fault | None:
        nonlocal puts
        puts += request.method == "PUT"
        if puts >= 2 and request.path.endswith("/Invoices"):
            return answers(503, b"offline")
        return inner(request, number)

    world.to_xero.plan = plan
    assert world.cycle().failed
    world.to_xero.plan = inner
    told = world.outcomes(world.later().cycle())
    assert told["40003"] == "rejected: refused_by_xero"
    all_once(world, [number for number in numbers if number != "40003"])


# Answers that are lost or cannot be read


TROUBLES: dict[str, Callable[[], Fault]] = {
    "answer lost": lambda: LOST,
    "time-out": lambda: TIMED_OUT,
    "time-out after": lambda: TIMED_OUT_AFTER,
    "500": lambda: answers(500, b'{"Title": "An error occurred", "Status": 500}'),
    "500 after": lambda: answers(500, b'{"Title": "An error occurred", "Status": 500}', when="after"),
    "503": lambda: answers(503, b"The Xero API is temporarily unavailable", {"Content-Type": "text/plain"}),
    "web page": lambda: answers(200, b"<html>Login</html>", {"Content-Type": "text/html"}, when="after"),
    "cut short": lambda: answers(200, b'{"Id": "5", "Status": "OK", "Invoi', when="after"),
    "no documents": lambda: answers(200, b'{"Id": "5", "Status": "OK"}', when="after"),
    "minute": lambda: answers(429, b"", {"Retry-After": "26", "X-Rate-Limit-Problem": "minute"}),
}


@pytest.mark.parametrize("forget", [False, True], ids=["keys kept", "keys forgotten"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_unclear_answer_to_a_write_is_cured_within_the_cycle(world: World, trouble: str, forget: bool) -> None:
    world.xero.switches = XeroSwitches(forget_keys=forget)
    numbers = add(world, 3)
    world.xero_fails("PUT", "/Invoices", TROUBLES[trouble]())
    summary = world.cycle()
    assert summary.counts == {"read": 3, "posted": 3}
    all_once(world, numbers)


@pytest.mark.parametrize("times", [4, 7])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_many_unclear_answers_are_cured_by_two_more_cycles_at_the_latest(
    world: World, trouble: str, times: int
) -> None:
    numbers = add(world, 3)
    world.xero_fails("PUT", "/Invoices", *[TROUBLES[trouble]() for _ in range(times)])
    summary = world.cycle()
    assert sum(summary.counts.get(name, 0) for name in ("posted", "deferred")) == 3
    if summary.counts.get("deferred"):
        assert {each["reason"] for each in world.exceptions()} == {"unsettled"}
    for _ in range(2):
        world.later().cycle()
    all_once(world, numbers)
    assert world.exceptions() == []


@pytest.mark.parametrize("fault", ["500", "time-out", "web page"])
def test_a_document_that_xero_stumbles_over_does_not_keep_the_others_waiting(world: World, fault: str) -> None:
    numbers = add(world, 50)
    bad = "40017"

    def plan(request: Request, _number: int) -> Fault | None:
        stumbles = request.method == "PUT" and f'"{bad}"'.encode() in request.body
        spoilt = TROUBLES[fault]()
        return Fault("before", spoilt.answer, spoilt.timed_out) if stumbles else None

    world.to_xero.plan = plan
    summary = world.cycle()
    assert not summary.failed and summary.counts == {"read": 50, "posted": 49, "deferred": 1}
    assert [each["reference"] for each in world.exceptions()] == [bad]
    world.to_xero.plan = lambda _request, _number: None
    assert world.later().cycle().counts["posted"] == 1
    all_once(world, numbers)


def test_a_xero_that_answers_no_write_is_an_outage_and_not_asked_for_ever(world: World) -> None:
    numbers = add(world, 400)
    world.to_xero.plan = lambda request, _number: answers(500) if request.method == "PUT" else None
    with world.watching() as seen:
        summary = world.cycle()
    assert "no clear answer to any write to Sydney" in summary.failed and summary.exit_code == 1
    assert seen.xero.count("PUT /Invoices") == 4
    world.to_xero.plan = lambda _request, _number: None
    assert world.later().cycle().counts["posted"] == 400
    all_once(world, numbers)


def test_half_of_a_batch_written_before_a_500_is_found_and_the_rest_is_sent(world: World) -> None:
    numbers = add(world, 6)

    def half(request: Request, _number: int) -> Fault | None:
        if request.method != "PUT":
            return None
        world.to_xero.plan = lambda _request, _number: None
        elements = json.loads(request.body)["Invoices"][:3]
        headers = {name: value for name, value in request.headers.items() if name != "idempotency-key"}
        body = json.dumps({"Invoices": elements}).encode()
        world.xero(Request("PUT", request.path, request.query, headers, body))
        return answers(500)

    world.to_xero.plan = half
    with world.watching() as seen:
        assert world.cycle().counts == {"read": 6, "posted": 6}
    assert seen.xero[-3:] == ["PUT /Invoices", "GET /Invoices", "PUT /Invoices"]
    all_once(world, numbers)


def test_a_store_of_keys_that_is_down_defers_and_nothing_is_doubled(world: World) -> None:
    numbers = add(world, 2)
    world.xero.switches = XeroSwitches(key_store_down=True)
    assert world.cycle().counts == {"read": 2, "deferred": 2}
    world.xero.switches = XeroSwitches()
    assert world.later().cycle().counts == {"read": 2, "posted": 2}
    all_once(world, numbers)


def test_a_document_written_without_an_answer_and_renumbered_by_a_person_is_found_by_its_link(world: World) -> None:
    add(world, 1)
    sent = False

    def plan(request: Request, _number: int) -> Fault | None:
        nonlocal sent
        sent |= request.method == "PUT"
        if sent and request.path.endswith("/Invoices"):
            return LOST if request.method == "PUT" else answers(503)
        return None

    world.to_xero.plan = plan
    assert world.cycle().counts == {"read": 1, "deferred": 1}
    world.to_xero.plan = lambda _request, _number: None
    world.books.edit(world.invoices()["40001"]["InvoiceID"], InvoiceNumber="A-1")
    assert world.later().cycle().counts == {"read": 1, "posted": 1}
    assert list(world.invoices()) == ["A-1"]


def test_what_was_posted_without_an_answer_is_compared_like_everything_else(world: World) -> None:
    add(world, 1)

    def off_and_lost(request: Request, _number: int) -> Fault | None:
        if request.method != "PUT":
            return None
        world.to_xero.plan = lambda _request, _number: None
        body = request.body.replace(b'"UnitAmount":150', b'"UnitAmount":150.01')
        world.xero(Request(request.method, request.path, request.query, request.headers, body))
        return answers(500)

    world.to_xero.plan = off_and_lost
    assert world.outcomes(world.cycle()) == {"40001": "posted: total_differs"}
    assert world.exceptions()[0]["reason"] == "total_differs"


# Nobody answers


def test_an_outage_of_xero_fails_the_family_with_a_sentence_and_loses_nothing(world: World) -> None:
    world.add_invoice("40000")
    world.cycle()
    numbers = add(world.later(), 120)
    before = world.rows(WATERMARKS)
    world.to_xero.plan = lambda request, _number: answers(503, b"The Xero API is currently offline for maintenance")
    started = world.clock()
    summary = world.cycle()
    assert "The next cycle tries again" in summary.failed and summary.exit_code == 1
    assert world.rows(WATERMARKS) == before
    assert world.clock() - started < timedelta(minutes=2)
    world.to_xero.plan = lambda _request, _number: None
    assert world.later().cycle().counts["posted"] == 120
    all_once(world, ["40000", *numbers])


def test_an_outage_in_mid_load_leaves_the_rest_alone(world: World) -> None:
    numbers = add(world, 230)
    puts = 0

    def plan(request: Request, _number: int) -> Fault | None:
        nonlocal puts
        puts += request.method == "PUT"
        return TIMED_OUT if puts > 1 and request.path.endswith("/Invoices") else None

    world.to_xero.plan = plan
    started = world.clock()
    summary = world.cycle()
    assert summary.failed and summary.counts["posted"] == 50 and summary.counts["deferred"] == 50
    assert world.clock() - started < timedelta(minutes=2)
    assert len(world.rows(REQUESTS)) == 2
    world.to_xero.plan = lambda _request, _number: None
    summary = world.later().cycle()
    assert summary.counts["posted"] == 180 and summary.counts["unchanged"] == 50
    all_once(world, numbers)


def test_an_outage_of_one_organisation_does_not_stop_the_other(both: World) -> None:
    for number, place in (("40001", "Sydney"), ("40002", "Perth")):
        both.add_invoice(number, location=place)
    down = {"xero-tenant-id": TENANT}
    both.to_xero.plan = lambda request, _number: (
        answers(503, b"This organisation is offline") if down.items() <= request.headers.items() else None
    )
    summary = both.cycle()
    assert summary.failed and list(both.invoices("Perth")) == ["40002"]
    assert both.rows(WATERMARKS) == []
    both.to_xero.plan = lambda _request, _number: None
    assert both.outcomes(both.later().cycle()) == {"40001": "posted", "40002": "unchanged"}


# Limits


def test_a_minute_limit_is_waited_out_as_xero_says(world: World) -> None:
    numbers = add(world, 60)
    world.xero_fails("PUT", "/Invoices", None, TROUBLES["minute"]())
    started = world.clock()
    assert world.cycle().counts == {"read": 60, "posted": 60}
    assert timedelta(seconds=26) <= world.clock() - started < timedelta(seconds=30)
    all_once(world, numbers)


DAY = answers(429, b"", {"Retry-After": "66975", "X-Rate-Limit-Problem": "day"})


@pytest.mark.parametrize("path", ["/Organisation", "/Accounts", "/Contacts", "/Invoices"])
def test_a_day_limit_defers_and_a_later_cycle_takes_it_up_without_anybody_sleeping(world: World, path: str) -> None:
    numbers = add(world, 120)
    world.to_xero.plan = lambda request, _number: DAY if request.path.endswith(path) else None
    started = world.clock()
    summary = world.cycle()
    assert not summary.failed and summary.counts == {"read": 120, "deferred": 120}
    assert {each["reason"] for each in world.exceptions()} == {"day_limit"} and summary.exit_code == 0
    assert world.clock() - started < timedelta(seconds=10)
    assert len(world.rows(REQUESTS)) <= 1
    # Until then no cycle asks in vain.
    with world.later(hours=6).watching() as seen:
        assert world.cycle().counts == {"read": 120, "deferred": 120}
    assert seen.xero == []
    world.to_xero.plan = lambda _request, _number: None
    assert world.later(hours=18).cycle().counts == {"read": 120, "posted": 120}
    all_once(world, numbers)
    assert world.exceptions() == []


def test_a_day_limit_in_mid_load_defers_the_rest(world: World) -> None:
    numbers = add(world, 230)
    world.xero_fails("PUT", "/Invoices", None, None, DAY)
    summary = world.cycle()
    assert summary.counts == {"read": 230, "posted": 100, "deferred": 130}
    assert len(world.rows(REQUESTS)) == 3
    assert {each["reason"] for each in world.exceptions()} == {"day_limit"}
    assert world.later(hours=20).cycle().counts["posted"] == 130
    all_once(world, numbers)


def test_a_day_limit_met_while_looking_up_leaves_what_is_posted_posted(known: World) -> None:
    good = add(known, 3)
    add_bad(known, "40098")
    known.add_invoice("40099", time=[], products=[{"quantity": 1, "price": 20, "description": "Cable"}])
    known.xero_fails("GET", "/Invoices", DAY)
    told = known.outcomes(known.cycle())
    assert {told[number] for number in good} == {"posted"}
    assert told["40098"] == told["40099"] == "deferred: day_limit"
    told = known.outcomes(known.later(hours=24).cycle())
    assert told["40098"].startswith(("rejected", "held")) and told["40099"].startswith(("rejected", "held"))
    all_once(known, ["40000", *good])


def test_a_day_limit_of_one_organisation_is_not_the_others(both: World) -> None:
    for number, place in (("40001", "Sydney"), ("40002", "Perth")):
        both.add_invoice(number, location=place)
    both.to_xero.plan = lambda request, _number: DAY if request.headers.get("xero-tenant-id") == OTHER_TENANT else None
    assert both.outcomes(both.cycle()) == {"40001": "posted", "40002": "deferred: day_limit"}


def test_under_real_limits_there_is_no_429_of_our_own_making(tmp_path: Any) -> None:
    world = World(tmp_path, per_minute=58, concurrent=5).ready()
    world.xero.limits = Limits(per_minute=60, concurrent=5, per_day=5000)
    numbers = add(world, 3100, hours="1", rate="1")
    started = world.clock()
    world.cycle()
    assert world.xero.statistics.refused_429 == 0
    assert world.clock() - started >= timedelta(seconds=60)
    assert len(world.invoices()) == len(numbers)


# Tokens


def test_a_token_that_ends_in_mid_load_is_renewed_and_the_same_bytes_go_out(world: World) -> None:
    numbers = add(world, 120)
    puts = 0

    def plan(request: Request, _number: int) -> Fault | None:
        nonlocal puts
        puts += request.method == "PUT"
        if request.method == "PUT" and puts == 2:
            for grant in list(world.xero.identity._access):
                del world.xero.identity._access[grant]
        return None

    world.to_xero.plan = plan
    with world.watching() as seen:
        assert world.cycle().counts == {"read": 120, "posted": 120}
    assert seen.identity == 2
    all_once(world, numbers)


@pytest.mark.parametrize("fault", [LOST, TIMED_OUT_AFTER, answers(500, when="after"), answers(200, b"{", when="after")])
def test_a_refresh_whose_answer_was_lost_is_repeated(world: World, fault: Fault) -> None:
    numbers = add(world, 2)
    world.xero_fails("POST", "/connect/token", fault)
    assert world.cycle().counts == {"read": 2, "posted": 2}
    world.later(hours=2).add_invoice("40009")
    world.xero_fails("POST", "/connect/token", fault)
    assert world.cycle().counts["posted"] == 1
    all_once(world, [*numbers, "40009"])


def test_an_organisation_that_is_no_longer_connected_ends_with_what_to_do(world: World) -> None:
    add(world, 1)
    world.books.connected = False
    summary = world.cycle()
    assert "tieout connect xero" in summary.failed
    world.books.connected = True
    assert world.later().cycle().counts == {"read": 1, "posted": 1}


def test_every_exchange_of_a_cycle_is_kept(world: World) -> None:
    from blocks.audit.tables import EXCHANGES

    add(world, 2)
    world.xero_fails("PUT", "/Invoices", LOST)
    with world.watching() as seen:
        summary = world.cycle()
    kept = [row for row in world.rows(EXCHANGES) if row["run_id"] == summary.run_id]
    assert len(kept) == len(seen.connectwise) + len(seen.xero) + seen.identity
    assert [row["status"] for row in kept if row["method"] == "PUT"] == [None, 200]


def test_a_plain_response_type_is_enough_for_the_sandbox() -> None:
    """The faults of these tests answer with bare responses: they must look like answers, not like our own types."""
    assert answers(503, b"x").answer == Response(503, {}, b"x")
