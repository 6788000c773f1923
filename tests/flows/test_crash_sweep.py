"""Killed before and after every call and every commit, and every kind of bad answer to every call: nothing is doubled,
nothing is lost, and at most two further cycles make it as if nothing had happened.

`make test` plays what differs from its neighbours; `make sweep` plays everything, more than once, and over PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from deployments.sandbox.xero import XeroSwitches
from tests.flows.sweep import FAULTS, Case, Schema, Theatre

ACTS = {
    "first": 50,
    "later": 50,
    "edits": 25,
    "credits": 25,
    "payments": 50,
    "allocations": 50,
    "bills": 50,
    "purchase_orders": 50,
    "signed": 15,
    "shared": 25,
    "links": 25,
}
"""How many kills there are to be at least."""
ONLY_HERE = (
    "POST Invoices", "PUT CreditNotes", "POST CreditNotes", "PUT Payments", "POST one of Payments", "PUT Allocations",
    "DELETE one of Allocations", "PUT PurchaseOrders", "POST PurchaseOrders", "PUT LinkedTransactions",
)  # fmt: skip
"""Writes that not every act has: these get every bad answer, whichever act they are in."""
DISTINCT = {
    "PUT Invoices": tuple(FAULTS),
    "POST Invoices": tuple(FAULTS),
    "PUT CreditNotes": tuple(FAULTS),
    "POST CreditNotes": tuple(FAULTS),
    "PUT Payments": tuple(FAULTS),
    "POST one of Payments": tuple(FAULTS),
    "PUT Allocations": tuple(FAULTS),
    "DELETE one of Allocations": tuple(FAULTS),
    "PUT PurchaseOrders": tuple(FAULTS),
    "POST PurchaseOrders": tuple(FAULTS),
    "PUT LinkedTransactions": tuple(FAULTS),
    "GET LinkedTransactions": ("answer lost", "503", "cut short", "429 for the day", "token expired"),
    "PUT Contacts": ("answer lost", "500 after the work", "503", "web page", "429 for the day"),
    "GET Invoices": ("answer lost", "503", "cut short", "429 for the day", "token expired"),
    "GET CreditNotes": ("answer lost", "503", "cut short", "429 for the day", "token expired"),
    "GET PurchaseOrders": ("answer lost", "503", "cut short", "429 for the day", "token expired"),
    "GET one of PurchaseOrders": ("answer lost", "503", "cut short", "429 for the day", "token expired"),
    "POST token": ("answer lost", "503", "cut short"),
}
"""The bad answers that differ from one another, by the call that gets them; the lists are all alike."""
LISTS = ("503", "429 for the day")
MINUTES = (0, 7)
"""What passes between a kill and the next cycle: nothing, or so much that Xero has forgotten the key."""


@pytest.fixture(scope="module", params=ACTS)
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """The world at the beginning of an act, with its audit in SQLite."""
    with closing(Theatre(tmp_path_factory.mktemp("sweep"), request.param)) as theatre:
        yield theatre


@pytest.fixture(scope="module", params=ACTS)
def postgres_theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """The same with its audit in PostgreSQL."""
    address = os.environ.get("TIEOUT_TEST_POSTGRES")
    if not address:
        pytest.skip("TIEOUT_TEST_POSTGRES names no PostgreSQL database")
    schema = Schema(address)
    try:
        with closing(Theatre(tmp_path_factory.mktemp("sweep"), request.param, schema)) as theatre:
            yield theatre
    finally:
        schema.drop()


EDITS = pytest.mark.parametrize("theatre", ["edits"], indirect=True)
"""Only for the act with edits."""


def kill(number: int, what: str, minutes: float = 0, **more: Any) -> Case:
    return Case(f"killed {what} (event {number}), {minutes} minutes", kill_at=number, minutes=minutes, **more)


def bad_answer(number: int, what: str, fault: str, **more: Any) -> Case:
    later = 24 * 60 if "day" in fault else 0
    return Case(f"{fault} at call {number} ({what})", fault_at=number, fault=fault, minutes=later, **more)


def writes(what: str) -> bool:
    """Whether an event is a write to Xero, or keeps what one needs."""
    return any(word in what for word in ("PUT", "POST", "DELETE", "request")) and "token" not in what


def test_an_undisturbed_cycle_writes_several_times_and_stores_each_request_first(theatre: Theatre) -> None:
    assert sum("PUT" in event for event in theatre.events) >= 4
    assert "before the commit of requests, request_rows" in theatre.events


def test_killed_at_every_call_and_commit_of_a_cycle(theatre: Theatre) -> None:
    """Nothing outlives a kill but what was sent or committed: before one event is after the one before it.

    The kept exchanges change nothing of what follows: a kill after their commit is one just after the call.
    """
    cases = [
        kill(number, what, minutes)
        for number, what in enumerate(theatre.events, 1)
        if what.startswith("after") and "exchanges" not in what and number > played_before(theatre)
        for minutes in MINUTES
        if minutes == MINUTES[number // 2 % 2] or writes(what)
    ]
    assert len(cases) > ACTS[theatre.act]
    assert theatre.play(cases) == []


def played_before(theatre: Theatre) -> int:
    """The last event that the other acts have as well: edits begin with a look at what is to be edited."""
    looks = {
        "edits": "before GET Invoices",
        "credits": "before GET CreditNotes",
        "bills": "before GET lineitems",
        "purchase_orders": "before GET lineitems",
        "signed": "before GET lineitems",
        "links": "before GET columns",
    }
    return theatre.events.index(looks[theatre.act]) if theatre.act in looks else 0


UNCLEAR = ("answer lost", "500 after the work", "time-out after the work", "web page", "cut short")
"""Bad answers to a call that was carried out all the same."""
KEYED = ("PUT Payments", "POST one of Payments", "PUT Allocations", "DELETE one of Allocations")
"""Writes that nothing but their key keeps from being done twice."""


@pytest.mark.parametrize("theatre", ["payments", "allocations"], indirect=True)
def test_money_moves_once_though_xero_has_forgotten_every_key(theatre: Theatre) -> None:
    """Nothing but its key tells Xero that a payment was sent before: what is in doubt is looked for first."""
    forgetful = XeroSwitches(forget_keys=True)
    cases = [
        kill(number, what, minutes, switches=forgetful)
        for number, what in enumerate(theatre.events, 1)
        if what in [f"after {each}" for each in KEYED]
        for minutes in MINUTES
    ]
    cases += [
        bad_answer(number, what, fault, switches=forgetful)
        for number, what in enumerate(theatre.calls, 1)
        if what in KEYED
        for fault in ("answer lost", "500 after the work", "time-out after the work", "cut short")
    ]
    assert len(cases) > 20
    assert theatre.play(cases) == []


@pytest.mark.parametrize("theatre", ["bills"], indirect=True)
def test_a_receipt_is_billed_once_though_xero_has_forgotten_every_key(theatre: Theatre) -> None:
    """Xero takes a bill's number any number of times: only a look among the supplier's bills tells what arrived."""
    forgetful = XeroSwitches(forget_keys=True)
    cases = [
        kill(number, what, minutes, switches=forgetful)
        for number, what in enumerate(theatre.events, 1)
        if what in ("after PUT Invoices", "after POST Invoices", "before PUT Invoices")
        for minutes in MINUTES
    ]
    cases += [
        bad_answer(number, what, fault, switches=forgetful)
        for number, what in enumerate(theatre.calls, 1)
        if what in ("PUT Invoices", "POST Invoices")
        for fault in UNCLEAR
    ]
    assert len(cases) > 20
    assert theatre.play(cases) == []


@pytest.mark.parametrize("theatre", ["links"], indirect=True)
def test_a_line_is_linked_once_though_xero_has_forgotten_every_key(theatre: Theatre) -> None:
    """Xero links a line any number of times: only a look at the bill's links tells what arrived."""
    forgetful = XeroSwitches(forget_keys=True)
    cases = [
        kill(number, what, minutes, switches=forgetful)
        for number, what in enumerate(theatre.events, 1)
        if what in ("after PUT LinkedTransactions", "before PUT LinkedTransactions")
        for minutes in MINUTES
    ]
    cases += [
        bad_answer(number, what, fault, switches=forgetful)
        for number, what in enumerate(theatre.calls, 1)
        if what == "PUT LinkedTransactions"
        for fault in UNCLEAR
    ]
    assert len(cases) > 20
    assert theatre.play(cases) == []


@EDITS
def test_a_person_edits_what_an_edit_without_an_answer_is_about(theatre: Theatre) -> None:
    """It is read again and decided anew, however young: sent again as it was, it would undo what she did."""
    cases = [
        kill(number, what, minutes, by_hand=True)
        for number, what in enumerate(theatre.events, 1)
        if "POST Invoices" in what
        for minutes in MINUTES
    ]
    assert len(cases) == 8
    assert theatre.play(cases) == []


def test_every_kind_of_bad_answer_to_every_call(theatre: Theatre) -> None:
    first = theatre.act == "first"
    cases = [
        bad_answer(number, what, fault)
        for number, what in enumerate(theatre.calls, 1)
        for place, fault in enumerate(DISTINCT.get(what, LISTS if first else ()))
        if first or what in ONLY_HERE or place % 3 == number % 3
    ]
    assert len(cases) > 25
    assert theatre.play(cases) == []


def test_killed_around_every_write_with_the_audit_in_postgresql(postgres_theatre: Theatre) -> None:
    cases = [
        kill(number, what, MINUTES[number // 2 % 2])
        for number, what in enumerate(postgres_theatre.events, 1)
        if "PUT" in what
        or any(f"POST {name}" in what for name in ("Invoices", "CreditNotes", "PurchaseOrders"))
        or "POST one" in what
        or "DELETE" in what
        or "bindings" in what
        or what == "after the commit of requests, request_rows"
    ]
    assert postgres_theatre.play(cases) == []


# The long part


@pytest.mark.sweep
@pytest.mark.parametrize("minutes", [0, 4, 7])
def test_long_killed_at_every_event(theatre: Theatre, minutes: int) -> None:
    cases = [kill(number, what, minutes, always_two=True) for number, what in enumerate(theatre.events, 1)]
    assert theatre.play(cases) == []


SWITCHES = {
    "as documented": XeroSwitches(),
    "answers in reversed order": XeroSwitches(answer_order="reversed"),
    "refusals with their numbers": XeroSwitches(refused_echoes_number=True),
    "keys without 4xx": XeroSwitches(cache_4xx=False),
    "keys always forgotten": XeroSwitches(forget_keys=True),
}


@pytest.mark.sweep
@pytest.mark.parametrize("switches", SWITCHES)
def test_long_every_bad_answer_whatever_is_not_confirmed_of_xero(theatre: Theatre, switches: str) -> None:
    _, calls = theatre.rehearse(SWITCHES[switches])
    cases = [
        bad_answer(number, what, fault, switches=SWITCHES[switches], always_two=True)
        for number, what in enumerate(calls, 1)
        for fault in FAULTS
    ]
    assert theatre.play(cases) == []


@pytest.mark.sweep
@pytest.mark.parametrize("switches", list(SWITCHES)[1:])
def test_long_killed_whatever_is_not_confirmed_of_xero(theatre: Theatre, switches: str) -> None:
    events, _ = theatre.rehearse(SWITCHES[switches])
    cases = [
        kill(number, what, MINUTES[number // 2 % 2], switches=SWITCHES[switches])
        for number, what in enumerate(events, 1)
    ]
    assert theatre.play(cases) == []


@pytest.mark.sweep
@pytest.mark.parametrize("minutes", MINUTES)
def test_long_killed_twice_in_a_row(theatre: Theatre, minutes: int) -> None:
    cases = [
        kill(first, what, minutes, kill_again_at=second)
        for first, what in enumerate(theatre.events, 1)
        if writes(what)
        for second in range(5, len(theatre.events), 6)
    ]
    assert theatre.play(cases) == []


@pytest.mark.sweep
@EDITS
@pytest.mark.parametrize("minutes", [0, 4, 7])
def test_long_a_person_edits_after_a_kill_at_any_event(theatre: Theatre, minutes: int) -> None:
    cases = [
        kill(number, what, minutes, by_hand=True, always_two=True) for number, what in enumerate(theatre.events, 1)
    ]
    assert theatre.play(cases) == []


@pytest.mark.sweep
def test_long_killed_at_every_event_with_the_audit_in_postgresql(postgres_theatre: Theatre) -> None:
    cases = [
        kill(number, what, MINUTES[number // 2 % 2], always_two=True)
        for number, what in enumerate(postgres_theatre.events, 1)
    ]
    assert postgres_theatre.play(cases) == []
