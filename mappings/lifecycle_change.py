"""What another lifecycle does with the orders that are known: whoever signs a table sees them beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mappings.lifecycle import BILLING, WHEN, Event, Lifecycle, State, then

Answer = tuple[tuple[Event, ...], str]
"""The events of a row and its status."""
NOTHING: Answer = ((), "")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a table answers to the states of an order; `organisation` is where the order goes, '' where nobody knows."""

    organisation: str
    answers: Mapping[State, Answer]

    @classmethod
    def by(cls, lifecycle: Lifecycle, organisation: str, states: Iterable[State]) -> Answered:
        """What this table answers to these states. That nothing is to be done and that no row says so are the same."""
        answers: dict[State, Answer] = {}
        for state in states:
            row = next(iter(lifecycle.fired(organisation, [state])), None)
            events = tuple(event for event in row.events if event is not Event.NONE) if row is not None else ()
            answers[state] = (events, row.status if row is not None else "")
        return cls(organisation, answers)

    def to_text(self) -> str:
        """As it is kept with the order."""
        answers = {state.value: ["+".join(events), status] for state, (events, status) in self.answers.items()}
        return json.dumps({"organisation": self.organisation, "answers": answers})

    @classmethod
    def from_text(cls, text: str) -> Answered:
        """What `to_text` wrote."""
        given = json.loads(text)
        answers = {
            State(state): (tuple(map(Event, filter(None, events.split("+")))), status)
            for state, (events, status) in given["answers"].items()
        }
        return cls(given["organisation"], answers)


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order as the last cycle left it: whether it is open, and what there is to act on."""

    reference: str
    answered: Answered
    is_open: bool
    unbilled: bool
    has_bill: bool
    has_order: bool

    def act(self, answer: Answer) -> Answer:
        """What an answer comes to for this order: an event with nothing to act on does nothing (design 6)."""
        events, status = answer
        acting = tuple(event for event in events if self._acts(event))
        return acting, status if set(acting) & {*BILLING} else ""

    def _acts(self, event: Event) -> bool:
        if event in BILLING:
            return self.is_open or self.unbilled
        if event is Event.DRAFT_PO:
            return self.is_open or self.has_order
        if event is Event.UPDATE_BILL_FROM_VENDOR_INVOICE:
            return self.has_bill
        return event is Event.HOLD or self.has_order


@dataclass(frozen=True, slots=True)
class Change:
    """Orders in one state of which another table makes something else."""

    state: State
    before: Answer
    after: Answer
    references: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{', '.join(self.references)}: {WHEN[self.state]}; until now {then(*self.before)}, from now on "
            f"{then(*self.after)}."
        )


def changes(lifecycle: Lifecycle, orders: Sequence[KnownOrder]) -> list[Change]:
    """The orders that this table does something else with than the one by which they were last decided on.

    One entry for each state and difference, states in their order, references sorted. What was billed stays billed
    whatever the table says; here is only what would be done from now on with an order as it stands.
    """
    found: dict[tuple[State, Answer, Answer], list[str]] = {}
    for order in orders:
        now = Answered.by(lifecycle, order.answered.organisation, order.answered.answers)
        for state, answer in order.answered.answers.items():
            before, after = order.act(answer), order.act(now.answers[state])
            if before != after:
                found.setdefault((state, before, after), []).append(order.reference)
    states = tuple(State)
    return [
        Change(state, before, after, tuple(sorted(references)))
        for (state, before, after), references in sorted(found.items(), key=lambda each: states.index(each[0][0]))
    ]
