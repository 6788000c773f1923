"""The tie-out statement: what each difference is called, and that nothing without evidence gets a name."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.outcomes import Outcome
from mappings.reconcile import (
    NOT_ROUTED,
    Booked,
    Figure,
    Heading,
    Kind,
    Known,
    Pair,
    Period,
    Reconciliation,
    Sourced,
    Statement,
    Tally,
    Written,
    explain,
)

MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))
FEBRUARY_ON = Period(date(2026, 2, 1), date(2026, 3, 31))
POSTED = Known(Outcome.POSTED)
HELD = Known(Outcome.HELD, "changed_after_posting", "40001 changed after it was posted.")


def figure(
    total: str = "330.00", day: str = "2026-03-02", currency: str = "AUD", organisation: str = "Sydney"
) -> Figure:
    """What a document counts as."""
    return Figure(organisation, currency, date.fromisoformat(day), Decimal(total))


def sourced(given: Figure | None = None, **fields: Any) -> Sourced:
    """A record as ConnectWise has it."""
    return Sourced(1, "40001", given, **fields)


def booked(given: Figure | None = None, status: str = "DRAFT", **fields: Any) -> Booked:
    """A document as Xero has it."""
    return Booked("x-1", "40001", given or figure(), status, **fields)


def written(ours: Figure | None = None, answered: Figure | None = None, lines: int = 3, **fields: Any) -> Written:
    """What was written, and what Xero answered."""
    ours = ours or figure()
    return Written(1, "40001", ours, answered or ours, lines=lines, **fields)


def told(pair: Pair, period: Period = MARCH) -> list[tuple[str, str, str, int, str]]:
    """Kind, reason, month, count and amount of each difference."""
    return [
        (each.kind.value if each.kind else "", each.reason, each.heading.month, each.count, str(each.amount))
        for each in explain(pair, "invoices", period)
    ]


TAKEN_AWAY, ADDED = (-1, "-330.00"), (1, "330.00")


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        # On both sides the same, however it came to that.
        (Pair(sourced(figure()), booked(), written(), POSTED), []),
        (Pair(sourced(figure("440")), booked(figure("440.00")), written(), HELD), []),
        (Pair(sourced(figure(day="2026-03-30")), booked(), written(), POSTED), []),
        (Pair(sourced(), booked(status="VOIDED"), written(), POSTED), []),
        # Due, and not in Xero.
        (Pair(sourced(figure(), pending=True)), [("waiting", "not_read_yet", *TAKEN_AWAY)]),
        (
            Pair(sourced(figure()), known=Known(Outcome.HELD, "missing_account", "No row fits.")),
            [("held", "missing_account", *TAKEN_AWAY)],
        ),
        (
            Pair(sourced(figure()), known=Known(Outcome.REJECTED, "refused_by_xero", "Xero refused it.")),
            [("rejected", "refused_by_xero", *TAKEN_AWAY)],
        ),
        (
            Pair(sourced(figure()), known=Known(Outcome.DEFERRED, "day_limit", "Tomorrow.")),
            [("waiting", "day_limit", *TAKEN_AWAY)],
        ),
        (
            Pair(sourced(figure("0")), known=Known(Outcome.SKIPPED, "zero_total")),
            [("skipped", "zero_total", -1, "0")],
        ),
        (Pair(sourced(figure()), unsettled=True), [("waiting", "unsettled", *TAKEN_AWAY)]),
        # Due, not in Xero, and nothing says why.
        (Pair(sourced(figure())), [("", "", *TAKEN_AWAY)]),
        (Pair(sourced(figure()), known=Known(Outcome.SKIPPED)), [("", "", *TAKEN_AWAY)]),
        (Pair(sourced(figure()), known=Known(Outcome.SKIPPED, "zero_total")), [("", "", *TAKEN_AWAY)]),
        (Pair(sourced(figure("0")), known=Known(Outcome.SKIPPED)), [("", "", -1, "0")]),
        (Pair(sourced(figure()), known=POSTED), [("", "", *TAKEN_AWAY)]),
        (Pair(sourced(figure()), known=Known(Outcome.UNCHANGED)), [("", "", *TAKEN_AWAY)]),
        # In Xero, and no record of ConnectWise is bound to it.
        (Pair(xero=booked()), [("only_in_xero", "", *ADDED)]),
        (Pair(xero=booked(status="DELETED")), []),
        (Pair(xero=booked(linked=7)), [("only_in_xero", "linked", *ADDED)]),
        (Pair(xero=booked(linked=7), unsettled=True), [("waiting", "unsettled", *ADDED)]),
        (Pair(xero=booked(linked=7), second=True), [("", "", *ADDED)]),
        # ConnectWise has moved on since the last write.
        (Pair(sourced(figure("440"), pending=True), booked(), written()), [("waiting", "not_read_yet", 0, "-110.00")]),
        (Pair(sourced(figure("440")), booked(), written(), HELD), [("held", "changed_after_posting", 0, "-110.00")]),
        (Pair(sourced(open_status="New"), booked(), written(), POSTED), [("waiting", "waits_for_close", *ADDED)]),
        (Pair(None, booked(), written(), POSTED), [("missing_in_connectwise", "", *ADDED)]),
        (
            Pair(sourced(), booked(), written(), Known(Outcome.HELD, "sign_changed", "It is -55.00 now.")),
            [("held", "sign_changed", *ADDED)],
        ),
        # It has not, and still they differ.
        (Pair(sourced(figure("330.01")), booked(), written(), POSTED), [("", "", 0, "-0.01")]),
        (Pair(sourced(figure("440")), booked(), written(), Known(Outcome.UNCHANGED)), [("", "", 0, "-110.00")]),
        (Pair(sourced(), booked(), written(), POSTED), [("", "", *ADDED)]),
        # A person's tax type stays, or her version; what else Xero made of it is told apart from that.
        (
            Pair(
                sourced(figure()),
                booked(figure("300")),
                written(None, figure("300"), agreed=figure("300"), her_tax=True),
            ),
            [("hand_edit", "tax_type", 0, "-30.00")],
        ),
        (
            Pair(sourced(figure()), booked(figure("280")), written(None, figure("280"), agreed=figure("280"))),
            [("hand_edit", "taken", 0, "-50.00")],
        ),
        (
            Pair(
                sourced(figure()),
                booked(figure("310")),
                written(None, figure("310"), agreed=figure("300"), her_tax=True),
            ),
            [("hand_edit", "tax_type", 0, "-30.00"), ("", "", 0, "10")],
        ),
        # Xero made something else of it than was sent.
        (
            Pair(sourced(figure()), booked(figure("330.03")), written(answered=figure("330.03")), POSTED),
            [("rounding", "total_differs", 0, "0.03")],
        ),
        (
            Pair(sourced(figure()), booked(figure("330.04")), written(answered=figure("330.04")), POSTED),
            [("", "", 0, "0.04")],
        ),
        (
            Pair(sourced(figure()), booked(figure("330.00", currency="NZD")), written(answered=figure(currency="NZD"))),
            [("", "", *TAKEN_AWAY), ("", "", *ADDED)],
        ),
        # Somebody changed it in Xero.
        (Pair(sourced(figure()), booked(figure("300.00")), written(), POSTED), [("hand_edit", "edited", 0, "-30.00")]),
        (Pair(sourced(figure()), booked(status="VOIDED"), written(), POSTED), [("hand_edit", "voided", *TAKEN_AWAY)]),
        (Pair(sourced(figure()), booked(status="DELETED"), written(), POSTED), [("hand_edit", "deleted", *TAKEN_AWAY)]),
        (
            Pair(sourced(figure()), booked(figure("300.00")), written(), POSTED, unsettled=True),
            [("waiting", "unsettled", 0, "-30.00")],
        ),
        (
            Pair(sourced(figure()), booked(figure(currency="NZD")), written(), POSTED),
            [("hand_edit", "edited", *TAKEN_AWAY), ("hand_edit", "edited", *ADDED)],
        ),
        # Xero does not show it any more: nobody can do that by hand.
        (Pair(sourced(figure()), None, written(), POSTED), [("", "", *TAKEN_AWAY)]),
        # It was there before.
        (
            Pair(sourced(figure()), booked(figure("300")), written(answered=figure("300"), taken_over=True), POSTED),
            [("adopted", "", 0, "-30.00")],
        ),
        # Several things at once, each by its own name.
        (
            Pair(sourced(figure("440")), booked(figure("331.00")), written(answered=figure("330.01")), HELD),
            [
                ("held", "changed_after_posting", 0, "-110.00"),
                ("rounding", "total_differs", 0, "0.01"),
                ("hand_edit", "edited", 0, "0.99"),
            ],
        ),
        (
            Pair(None, booked(figure("330.50")), written(), POSTED),
            [("missing_in_connectwise", "", *ADDED), ("hand_edit", "edited", 0, "0.50")],
        ),
    ],
)
def test_a_difference_is_called_what_there_is_evidence_of(
    pair: Pair, expected: list[tuple[str, str, int, str]]
) -> None:
    """Each with its reason, count and amount; '' where no cause can be shown."""
    assert told(pair) == [(kind, reason, "2026-03", count, amount) for kind, reason, count, amount in expected]


@pytest.mark.parametrize(
    ("pair", "cause"),
    [
        (Pair(sourced(figure()), booked(figure(day="2026-02-27")), written(), POSTED), "hand_edit"),
        (
            Pair(sourced(figure(), pending=True), booked(figure(day="2026-02-27")), written(figure(day="2026-02-27"))),
            "waiting",
        ),
        (Pair(sourced(figure()), booked(figure(day="2026-02-27")), written(figure(day="2026-02-27")), HELD), "held"),
        (
            Pair(
                sourced(figure()),
                booked(figure(day="2026-02-27")),
                written(answered=figure(day="2026-02-27"), taken_over=True),
                POSTED,
            ),
            "adopted",
        ),
    ],
)
def test_what_stands_in_another_month_is_taken_from_one_row_and_added_to_the_other(pair: Pair, cause: str) -> None:
    """As moved, with the cause as its reason; a period that ends between the two shows its own half."""
    assert told(pair, FEBRUARY_ON) == [("moved", cause, "2026-03", *TAKEN_AWAY), ("moved", cause, "2026-02", *ADDED)]
    assert told(pair) == [("moved", cause, "2026-03", *TAKEN_AWAY)]


def test_a_month_that_differs_without_a_cause_has_no_name() -> None:
    """Moving alone is no explanation."""
    pair = Pair(sourced(figure()), booked(figure(day="2026-02-27")), written(figure(day="2026-02-27")), POSTED)
    assert [kind for kind, *_ in told(pair, FEBRUARY_ON)] == ["", ""]


def test_a_record_is_named_by_its_number_its_ids_and_both_figures() -> None:
    """Whatever side it is missing on."""
    (each,) = explain(Pair(sourced(figure("440")), booked(), written(), HELD), "invoices", MARCH)
    assert (each.reference, each.connectwise_id, each.xero_id) == ("40001", 1, "x-1")
    assert each.message == "40001 changed after it was posted: 440.00 AUD of 2026-03-02 -> 330.00 AUD of 2026-03-02."
    (nobodys,) = explain(Pair(xero=booked()), "invoices", MARCH)
    assert (nobodys.reference, nobodys.connectwise_id) == ("40001", None)


# The whole


def statement(pairs: list[Pair], period: Period = FEBRUARY_ON) -> Statement:
    """The statement of some documents, counted and explained as the reading does it."""
    made = Reconciliation("invoices", period)
    for pair in pairs:
        made.count_connectwise(pair.here)
        if pair.xero is not None:
            made.count_xero(pair.xero)
        made.add(explain(pair, "invoices", period))
    return made.statement()


def test_the_rows_are_per_organisation_currency_and_month() -> None:
    """Currencies are never added up, and what is not routed yet comes last."""
    found = statement(
        [
            Pair(sourced(figure(organisation=NOT_ROUTED, currency=""), pending=True)),
            Pair(sourced(figure()), booked(), written()),
            Pair(sourced(figure("10")), booked(figure("10")), written(figure("10"))),
            Pair(sourced(figure(currency="NZD")), booked(figure(currency="NZD")), written()),
            Pair(sourced(figure(day="2026-02-28")), booked(figure(day="2026-02-28")), written()),
            Pair(sourced(figure(day="2026-04-01")), booked(figure(day="2026-04-01")), written()),
        ]
    )
    assert [(row.heading, row.connectwise.count, row.xero.count) for row in found.rows] == [
        (Heading("invoices", "Sydney", "AUD", "2026-02"), 1, 1),
        (Heading("invoices", "Sydney", "AUD", "2026-03"), 2, 2),
        (Heading("invoices", "Sydney", "NZD", "2026-03"), 1, 1),
        (Heading("invoices", NOT_ROUTED, "", "2026-03"), 1, 0),
    ]
    assert found.rows[1].connectwise == found.rows[1].xero == Tally(2, Decimal(340))
    assert found.tied_out


def test_a_document_that_nobody_explains_shows_in_the_sums() -> None:
    """What is left over is reckoned from both sides, not from the list of differences."""
    made = Reconciliation("invoices", MARCH)
    made.count_connectwise(figure())
    (row,) = made.statement().rows
    assert row.unexplained == Tally(1, Decimal(330))
    assert not made.statement().tied_out
    assert made.statement().verdict == "Not tied out: unexplained 330.00 AUD (1) in Sydney, 2026-03."


def test_a_document_of_nothing_counts_too() -> None:
    """One too many on a side is no tie-out, even when it moves no money."""
    made = Reconciliation("invoices", MARCH)
    made.count_connectwise(figure("0.00"))
    assert not made.statement().tied_out


def test_a_name_for_money_that_does_not_differ_shows_in_the_sums() -> None:
    """Explaining too much is found like explaining too little."""
    made = Reconciliation("invoices", MARCH)
    made.count_connectwise(figure())
    made.count_xero(booked())
    made.add(explain(Pair(xero=booked()), "invoices", MARCH))
    (row,) = made.statement().rows
    assert row.unexplained == Tally(1, Decimal(330))


def test_two_documents_without_a_cause_that_cancel_out_are_not_tied_out() -> None:
    """Their sum is 0.00, and still both are wrong."""
    one = Pair(sourced(figure("331")), booked(), written(), POSTED)
    other = Pair(sourced(figure("329")), booked(), written(), POSTED)
    found = statement([one, other])
    assert not any(row.unexplained for row in found.rows)
    assert not found.tied_out
    assert found.verdict == "Not tied out: unexplained 0.00 in sum, but 2 differences that cancel out have no cause."


def test_differences_come_with_most_money_first() -> None:
    """In whatever direction."""
    found = statement([Pair(xero=booked(figure(total))) for total in ("5", "900", "70")])
    assert [each.amount for each in found.differences] == [900, 70, 5]


def test_every_name_is_explained_in_the_guide() -> None:
    """In the table of its chapter, in the order of the code, and no other."""
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    chapter = guide.partition("## Tying out the month\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", chapter, flags=re.MULTILINE)
    assert rows == ["difference", *(kind.words for kind in Kind)]


# Whatever happens


@dataclass
class Life:
    """One document: ConnectWise, the audit and Xero change one after the other, and the evidence goes along."""

    pair: Pair

    def posted(self) -> None:
        """A cycle writes what ConnectWise has."""
        source = self.pair.connectwise
        if source is not None and source.figure is not None and self.pair.written is None:
            self.pair = Pair(
                replace(source, pending=False), booked(source.figure), written(source.figure), Known(Outcome.POSTED)
            )

    def edited_in_connectwise(self, to: Figure) -> None:
        """Somebody changes the record; no cycle has read it yet."""
        if self.pair.connectwise is not None:
            self.pair = replace(self.pair, connectwise=sourced(to, pending=True))

    def read_and_held(self) -> None:
        """A cycle reads the change, and holds it."""
        source = self.pair.connectwise
        if source is not None and source.pending:
            self.pair = replace(self.pair, connectwise=replace(source, pending=False), known=HELD)

    def reopened(self) -> None:
        """Somebody reopens it."""
        if self.pair.connectwise is not None:
            self.pair = replace(self.pair, connectwise=sourced(open_status="New", pending=True))

    def deleted_in_connectwise(self) -> None:
        """It is gone without a trace."""
        self.pair = replace(self.pair, connectwise=None)

    def rounded(self, cents: int) -> None:
        """Xero answers a cent or two more or less."""
        known, there = self.pair.written, self.pair.xero
        if known is not None and there is not None and known.ours == known.answered == there.figure:
            made = replace(known.ours, total=known.ours.total + Decimal(cents) / 100)
            self.pair = replace(self.pair, written=replace(known, answered=made), xero=replace(there, figure=made))

    def edited_in_xero(self, to: Figure) -> None:
        """Somebody changes it in Xero."""
        if self.pair.xero is not None:
            self.pair = replace(self.pair, xero=replace(self.pair.xero, figure=to))

    def voided(self) -> None:
        """Somebody voids it."""
        if self.pair.xero is not None:
            self.pair = replace(self.pair, xero=replace(self.pair.xero, status="VOIDED"))


figures = st.builds(
    Figure,
    st.sampled_from(["Sydney", "Perth"]),
    st.sampled_from(["AUD", "NZD"]),
    st.dates(date(2026, 1, 15), date(2026, 4, 15)),
    st.decimals(0, 1000, places=2),
)
events = st.one_of(
    st.sampled_from(["posted", "read_and_held", "reopened", "deleted_in_connectwise", "voided"]).map(
        lambda name: (name,)
    ),
    st.tuples(st.sampled_from(["edited_in_connectwise", "edited_in_xero"]), figures),
    st.tuples(st.just("rounded"), st.integers(-3, 3)),
)


@st.composite
def lives(draw: st.DrawFn) -> Pair:
    """A document after a random history, in which everything that happened left its evidence."""
    if draw(st.integers(0, 9)) == 0:
        return Pair(xero=booked(draw(figures)))
    life = Life(Pair(sourced(draw(figures), pending=True)))
    for name, *arguments in draw(st.lists(events, max_size=6)):
        getattr(life, name)(*arguments)
    if life.pair.connectwise is None and life.pair.written is None:
        return Pair()
    return life.pair


@given(st.lists(lives(), max_size=12))
def test_whatever_happens_with_evidence_ties_out(pairs: list[Pair]) -> None:
    """Random histories of both sides: ConnectWise and the named differences make Xero, row by row."""
    found = statement(pairs)
    assert found.unexplained == []
    for row in found.rows:
        assert row.unexplained == Tally()
    assert found.tied_out


@given(st.lists(lives(), max_size=8), figures, st.sampled_from([Decimal("0.01"), Decimal("-0.01"), Decimal(50)]))
def test_a_cent_too_many_is_always_found(pairs: list[Pair], at: Figure, amount: Decimal) -> None:
    """Posted, unchanged on both sides since, and yet not the same: in the sums, and the document is named."""
    at = replace(at, date=date(2026, 3, 2), total=abs(at.total) + 100)
    wrong = Pair(sourced(replace(at, total=at.total + amount)), booked(at), written(at), POSTED)
    found = statement([*pairs, wrong])
    rows = {row.heading: row.unexplained for row in found.rows if row.unexplained}
    assert rows == {Heading("invoices", at.organisation, at.currency, "2026-03"): Tally(0, amount)}
    assert [(each.amount, each.connectwise_id) for each in found.unexplained] == [(amount, 1)]
    assert not found.tied_out


anything = st.builds(
    Pair,
    st.none()
    | st.builds(
        Sourced, st.just(1), st.just("40001"), st.none() | figures, st.sampled_from(["", "New"]), st.booleans()
    ),
    st.none()
    | st.builds(
        Booked, st.just("x"), st.just("1"), figures, st.sampled_from(["DRAFT", "VOIDED"]), st.none() | st.just(7)
    ),
    st.none() | st.builds(Written, st.just(1), st.just("40001"), figures, figures, st.booleans(), st.integers(0, 5)),
    st.none() | st.builds(Known, st.sampled_from(Outcome), st.sampled_from(["", "zero_total", "day_limit"])),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(anything, max_size=12))
def test_the_records_without_a_cause_make_up_what_is_unexplained(pairs: list[Pair]) -> None:
    """Whatever state the three are in, also one that should never be: the list and the sums say the same."""
    found = statement(pairs)
    listed: dict[Heading, Tally] = defaultdict(Tally)
    for each in found.unexplained:
        listed[each.heading] += Tally(each.count, each.amount)
    assert {row.heading: row.unexplained for row in found.rows if row.unexplained} == {
        heading: tally for heading, tally in listed.items() if tally
    }


@given(st.lists(anything, max_size=12))
def test_the_sums_of_a_row_are_those_of_its_records(pairs: list[Pair]) -> None:
    """Per name: nobody has to trust a sum whose records are not listed."""
    found = statement(pairs)
    sums: dict[tuple[Heading, Kind | None], Tally] = defaultdict(Tally)
    for each in found.differences:
        sums[each.heading, each.kind] += Tally(each.count, each.amount)
    assert dict(sums) == {(row.heading, kind): tally for row in found.rows for kind, tally in row.named.items()}
