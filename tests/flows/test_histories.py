"""Random histories: people work in both systems, cycles run, are killed, lose their answers; and in the end both sides
agree to the cent or say why not, nobody's edit is lost, and nothing is there twice.

`make test` plays a few histories, always the same; `make sweep` plays many, new ones each time, and prints what
reproduces a failure.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from deployments.sandbox.wire import Fault, Request
from tests.flows.history import CLOSED, DEAD, OPTIONS, PLACES, History
from tests.flows.sweep import FAULTS
from tests.worlds import answers

ROW = st.integers(0, 3)
"""One of what there is: counted round, so that a history keeps its meaning while it is made shorter."""
WHICH = st.sampled_from([0, 0, 0, 1, 2, 3])
"""People like to quarrel about the same invoice."""
HOURS = st.sampled_from([2, 1, 3, 7])
RATES = st.sampled_from([Decimal(150), Decimal("33.35"), Decimal("0.05"), Decimal("99.99")])
ROWS = st.lists(st.tuples(HOURS, RATES), min_size=1, max_size=3)
TIMES = st.sampled_from([timedelta(minutes=1), timedelta(minutes=7), timedelta(hours=6), timedelta(days=1, hours=1)])
UNCLEAR = sorted(set(FAULTS) - {"token expired", "answer lost, key forgotten"})
HER_HEADER = {
    "Reference": st.sampled_from(["HER-1", "HER-2"]),
    "DueDate": st.sampled_from(["2026-05-01", "2026-06-01"]),
}
HER_LINES = {
    "Description": st.sampled_from(["In her words", "In other words"]),
    "AccountCode": st.sampled_from(["200", "260"]),
    "TaxType": st.just("EXEMPTOUTPUT"),
    "Tracking": st.sampled_from([[{"Name": "Region", "Option": each}] for each in OPTIONS]),
    "UnitAmount": st.sampled_from([Decimal(140), Decimal("0.10")]),
}
HERS = st.sampled_from(sorted({**HER_HEADER, **HER_LINES})).flatmap(
    lambda name: st.tuples(st.just(name), {**HER_HEADER, **HER_LINES}[name])
)


ROW_EDITS = st.one_of(
    st.tuples(st.just("invoiceHours"), HOURS.map(Decimal) | st.sampled_from([Decimal("0.00"), Decimal(-9)])),
    st.tuples(st.just("hourlyRate"), RATES),
    st.just(("notes", "")),
)
HEADER_EDITS = st.one_of(
    st.tuples(st.just("customerPO"), st.sampled_from(["PO-1", "PO-2", ""])),
    st.tuples(st.just("date"), st.sampled_from([1, -1, -40])),
    st.tuples(st.just("company"), st.sampled_from(["ACME", "BETA"])),
)


QUARRELS: dict[str, tuple[str, Any]] = {
    "notes": ("Description", "In her own words"),
    "hourlyRate": ("UnitAmount", Decimal("70.00")),
    "customerPO": ("Reference", "HER-3"),
}
"""A field of ConnectWise, and what a person makes of it in Xero."""
ACTS = st.lists(st.sampled_from(["hers", "ours", "other", "cycle"]), min_size=3, max_size=8)


def live(history: History) -> list[tuple[str, dict[str, Any]]]:
    return history.documents(lambda one: one["Status"] not in DEAD)


class Histories(RuleBasedStateMachine):
    """What people and cycles do, one after the other."""

    @initialize(rows=ROWS, closed=st.booleans(), quarrel=st.sampled_from(sorted(QUARRELS)), acts=ACTS)
    def begin(self, rows: list[tuple[int, Decimal]], closed: bool, quarrel: str, acts: list[str]) -> None:
        """Two invoices; about the first, which is posted, two people quarrel at once."""
        self.folder = Path(tempfile.mkdtemp(prefix="tieout-history-", dir=FOLDER))
        self.history = History(self.folder)
        self.history.add("Sydney", rows, True, 1)
        self.history.add("Perth", rows, closed, 0)
        self.history.cycle()
        self.quarrel(0, quarrel, acts)

    @rule(which=WHICH, quarrel=st.sampled_from(sorted(QUARRELS)), acts=ACTS)
    def quarrel(self, which: int, quarrel: str, acts: list[str]) -> None:
        """Two people edit one field of a draft, each in her own system, in any order and with cycles in between."""
        name, value = QUARRELS[quarrel]
        for act in acts:
            drafts = [each for each in live(self.history) if each[1]["Status"] == "DRAFT"]
            if not drafts:
                return
            place, one = drafts[which % len(drafts)]
            number = self.history.record_of(one)
            if act == "cycle":
                self.history.cycle()
            elif act == "hers":
                self.history.hand_edit(place, one, name, 0, value)
            elif number in self.history.records() and act == "other":
                self._edit_row(number, 0, invoiceHours=Decimal(4))
            elif number in self.history.records() and quarrel == "customerPO":
                self.history.bump(number, customerPO="PO-3")
            elif number in self.history.records():
                text = self.history.text()
                self._edit_row(number, 0, **{quarrel: text if quarrel == "notes" else Decimal(80)})

    def teardown(self) -> None:
        """However it went, the systems agree in the end."""
        try:
            # Not while a failure is on its way to whoever reads it.
            if sys.exc_info()[0] is None:
                self.history.settle()
                self.history.settle(exact=True)
                self.history.sweep()
        finally:
            if hasattr(self, "folder"):
                shutil.rmtree(self.folder)

    def record(self, which: int) -> int | None:
        found = self.history.records()
        return found[which % len(found)] if found else None

    def on_record(self, which: int, act: Callable[[int], None]) -> None:
        number = self.record(which)
        if number is not None:
            act(number)

    def on_document(self, which: int, act: Callable[[str, dict[str, Any]], None], *statuses: str) -> None:
        found = [each for each in live(self.history) if not statuses or each[1]["Status"] in statuses]
        if found:
            act(*found[which % len(found)])

    # People in ConnectWise

    @precondition(lambda self: len(self.history.records()) < 5)
    @rule(place=st.sampled_from(PLACES), rows=ROWS, closed=st.booleans(), days=st.sampled_from([0, 1, 40]))
    def new(self, place: str, rows: list[tuple[int, Decimal]], closed: bool, days: int) -> None:
        self.history.add(place, rows, closed, days)

    @rule(which=WHICH, row=ROW, edit=ROW_EDITS, cycle=st.booleans())
    def edit_row(self, which: int, row: int, edit: tuple[str, Any], cycle: bool) -> None:
        """Quantity, price or text."""
        name, value = edit
        self.on_record(
            which,
            lambda number: self._edit_row(number, row, **{name: self.history.text() if name == "notes" else value}),
        )
        self._perhaps(cycle)

    @rule(which=WHICH, edit=HEADER_EDITS, cycle=st.booleans())
    def edit_header(self, which: int, edit: tuple[str, Any], cycle: bool) -> None:
        """Date, customer PO or company."""
        name, value = edit
        fields: dict[str, Any] = {name: value}
        if name == "date":
            day = self.history.world.clock().date() + timedelta(days=value)
            fields = {"date": day, "dueDate": day + timedelta(days=14)}
        elif name == "company":
            fields |= {"billToCompany": value, "accountNumber": f"{value}01"}
        self.on_record(which, lambda number: self.history.bump(number, **fields))
        self._perhaps(cycle)

    def _perhaps(self, cycle: bool) -> None:
        if cycle:
            self.history.cycle()

    def _edit_row(self, number: int, which: int, **fields: Any) -> None:
        rows = self.history.world.connectwise.rows("time", number)
        if rows:
            self.history.world.connectwise.edit_row("time", rows[which % len(rows)]["id"], **fields)
            self.history.bump(number)

    @rule(which=WHICH, like=st.none() | WHICH)
    def edit_number(self, which: int, like: int | None) -> None:
        other = None if like is None else self.record(like)
        self.on_record(which, lambda number: self.history.renumber(number, other))

    @rule(which=WHICH, hours=HOURS, rate=RATES, product=st.booleans())
    def add_row(self, which: int, hours: int, rate: Decimal, product: bool) -> None:
        def add(number: int) -> None:
            connectwise = self.history.world.connectwise
            if product:
                text = self.history.text()
                connectwise.add_row("product", number, quantity=Decimal(hours), price=rate, description=text)
            else:
                connectwise.add_row("time", number, **self.history.row(hours, rate))
            self.history.bump(number)

        self.on_record(which, add)

    @rule(which=WHICH, row=ROW)
    def remove_row(self, which: int, row: int) -> None:
        def remove(number: int) -> None:
            rows = self.history.world.connectwise.rows("time", number)
            if rows:
                self.history.world.connectwise.delete_row("time", rows[row % len(rows)]["id"])
                self.history.bump(number)

        self.on_record(which, remove)

    @rule(which=WHICH, closed=st.booleans())
    def reopen_or_close(self, which: int, closed: bool) -> None:
        fields = {"status": CLOSED, "closedBy": "jdoe"} if closed else {"status": "New", "closedBy": None}
        self.on_record(which, lambda number: self.history.bump(number, **fields))

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        self.on_record(which, self.history.delete)

    # People in Xero

    @rule(which=WHICH, line=ROW, edit=HERS)
    def hand_edit(self, which: int, line: int, edit: tuple[str, Any]) -> None:
        name, value = edit
        statuses = ("DRAFT", "AUTHORISED") if name in ("UnitAmount", "TaxType") else ()
        self.on_document(
            which,
            lambda place, one: (
                None if one["AmountPaid"] and statuses else self.history.hand_edit(place, one, name, line, value)
            ),
            *statuses,
        )

    @rule(which=WHICH, line=st.none() | ROW)
    def lines_by_hand(self, which: int, line: int | None) -> None:
        """A person adds a line of her own (None), or takes one out."""

        def change(place: str, one: dict[str, Any]) -> None:
            if line is None:
                self.history.add_line(place, one)
            elif len(one["LineItems"]) > 1:
                self.history.remove_line(place, one, line)

        self.on_document(which, change, "DRAFT")

    @rule(which=WHICH)
    def approve(self, which: int) -> None:
        self.on_document(which, lambda place, one: self.history.books(place).approve(one["InvoiceID"]), "DRAFT")

    @rule(which=WHICH, wholly=st.booleans())
    def pay(self, which: int, wholly: bool) -> None:
        def pay(place: str, one: dict[str, Any]) -> None:
            due = one["AmountDue"]
            if due > Decimal("0.02"):
                self.history.books(place).pay(one["InvoiceID"], due if wholly else Decimal("0.01"))

        self.on_document(which, pay, "AUTHORISED")

    @rule(which=WHICH)
    def remove_by_hand(self, which: int) -> None:
        def remove(place: str, one: dict[str, Any]) -> None:
            books = self.history.books(place)
            if one["Status"] == "DRAFT":
                books.delete(one["InvoiceID"])
            elif not one["AmountPaid"]:
                books.void(one["InvoiceID"])

        self.on_document(which, remove, "DRAFT", "AUTHORISED")

    @rule(place=st.sampled_from(PLACES), days=st.none() | st.sampled_from([0, 3]))
    def lock(self, place: str, days: int | None) -> None:
        day = None if days is None else self.history.world.clock().date() - timedelta(days=days)
        self.history.books(place).set_lock_date(day)

    # The mapping

    @rule(kind=st.sampled_from(["service", "product"]), code=st.sampled_from(["200", "260", ""]))
    def map_account(self, kind: str, code: str) -> None:
        self.history.map_account(kind, code)
        self.history.cycle()

    @rule(which=WHICH, kind=st.sampled_from(["service", "product"]))
    def map_account_late(self, which: int, kind: str) -> None:
        """An edit waits for a row that somebody took out, and that comes back."""
        code = self.history.tables.accounts[kind]
        self.history.map_account(kind, "")
        self.on_record(which, lambda number: self._edit_row(number, 0, invoiceHours=Decimal(5)))
        self.history.cycle()
        self.history.map_account(kind, code or "200")

    @rule(option=st.sampled_from([*OPTIONS, "", None]))
    def map_tracking(self, option: str | None) -> None:
        self.history.map_option(option)

    @rule(place=st.sampled_from(PLACES), organisation=st.sampled_from([*PLACES, ""]))
    def map_organisation(self, place: str, organisation: str) -> None:
        self.history.route(place, organisation)

    # Cycles

    @rule(passes=TIMES)
    def time_passes(self, passes: timedelta) -> None:
        self.history.world.later(seconds=passes.total_seconds())

    @rule()
    def cycle(self) -> None:
        self.history.cycle()

    @rule()
    def rehearse(self) -> None:
        self.history.rehearsed()

    @rule()
    def force(self) -> None:
        self.history.cycle(force=True)

    @rule()
    def sweep(self) -> None:
        self.history.cycle(sweep=True)

    @rule(on=st.booleans())
    def delete_drafts(self, on: bool) -> None:
        self.history.delete_drafts(on)

    @rule(at=st.integers(4, 45), after=st.booleans(), sweep=st.booleans(), passes=TIMES)
    def killed(self, at: int, after: bool, sweep: bool, passes: timedelta) -> None:
        self.history.killed(at, after, sweep=sweep)
        self.history.world.later(seconds=passes.total_seconds())

    @rule(
        first=st.integers(1, 8),
        calls=st.sampled_from([1, 4, 99]),
        fault=st.sampled_from(UNCLEAR),
        sweep=st.booleans(),
    )
    def fault_in_xero(self, first: int, calls: int, fault: str, sweep: bool) -> None:
        self._with_faults(self.history.world.to_xero, first, calls, FAULTS[fault], sweep)

    @rule(first=st.integers(1, 8), calls=st.sampled_from([1, 99]), sweep=st.booleans())
    def fault_in_connectwise(self, first: int, calls: int, sweep: bool) -> None:
        system = self.history.world.to_connectwise
        self._with_faults(system, first, calls, lambda: answers(503, b"Unavailable"), sweep)

    def _with_faults(self, system: Any, first: int, calls: int, fault: Callable[[], Fault], sweep: bool) -> None:
        begins = len(system.calls) + first

        def plan(_request: Request, number: int) -> Fault | None:
            return fault() if begins <= number < begins + calls else None

        system.plan = plan
        self.history.disturbed(sweep=sweep)
        system.plan = lambda _request, _number: None

    @precondition(lambda self: bool(self.history.records()))
    @rule(first=st.integers(1, 6), which=WHICH)
    def edit_meanwhile(self, first: int, which: int) -> None:
        """Somebody edits in ConnectWise while a cycle runs."""
        system = self.history.world.to_connectwise
        begins = len(system.calls) + first

        def plan(_request: Request, number: int) -> None:
            if number == begins:
                self.on_record(which, lambda one: self._edit_row(one, 0, hourlyRate=Decimal("12.34")))

        system.plan = plan
        self.history.disturbed()
        system.plan = lambda _request, _number: None

    @rule(which=WHICH, whose=st.sampled_from(["ours", "theirs"]))
    def decide(self, which: int, whose: str) -> None:
        """A person decides about an exception, once she has seen it."""
        waiting = sorted(self.history.exceptions().keys() & set(self.history.records()))
        if waiting:
            number = waiting[which % len(waiting)]
            if whose == "theirs":
                self.history.take_theirs(number)
            else:
                self.history.cycle(references=[f"id:{number}"], take="ours")

    @rule(which=WHICH)
    def accept_deletion(self, which: int) -> None:
        told = self.history.exceptions()
        waiting = sorted(n for n in told if n in self.history.deleted and told[n]["reason"].startswith("source_"))
        if waiting:
            self.history.accept(waiting[which % len(waiting)])

    @rule(which=WHICH)
    def recreate(self, which: int) -> None:
        waiting = sorted(self.history.exceptions().keys() & set(self.history.records()))
        if waiting:
            self.history.cycle(references=[f"id:{waiting[which % len(waiting)]}"], recreate=True)


MEMORY = Path("/dev/shm")
FOLDER = str(MEMORY) if MEMORY.is_dir() else None
"""No history pulls the plug, so memory is disk enough."""
PLAIN = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_a_few_histories_end_in_agreement_or_in_words() -> None:
    """The same ones in every run."""
    run_state_machine_as_test(
        Histories, settings=settings(PLAIN, derandomize=True, max_examples=20, stateful_step_count=30)
    )


@pytest.mark.sweep
def test_long_many_histories_end_in_agreement_or_in_words() -> None:
    """New ones in every run; what reproduces a failure is printed with it."""
    run_state_machine_as_test(Histories, settings=settings(PLAIN, max_examples=300, stateful_step_count=50))
