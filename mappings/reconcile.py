"""The tie-out statement: what each side has, every difference named, and what is left, which has to be 0.00.

A document is followed on its way: as ConnectWise has it now, as we mapped it when we wrote it last, as it was to be in
Xero then, as Xero answered, as Xero has it now. Each step that moves money needs evidence of its own: an open reason, a
change that the next cycle reads, a cent on a line, a hand in Xero. A step without evidence gets no name. What is left
over is reckoned from the sums of both sides alone, so a document that nobody looked at, or a wrong name, shows too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.money import CENT, ZERO, plain
from mappings.outcomes import Outcome, Reason
from mappings.xero import DEAD

NOT_ROUTED = "(not routed)"
"""Stands for the organisation of a record that no cycle has sent anywhere yet."""
NOT_READ_YET = "not_read_yet"
LIFECYCLE = "lifecycle"
"""The finer name of what waits because the signed lifecycle asks for no bill yet."""


class Kind(StrEnum):
    """The name of a difference; the guide has an entry for each."""

    HELD = "held"
    REJECTED = "rejected"
    WAITING = "waiting"
    SKIPPED = "skipped"
    ROUNDING = "rounding"
    HAND_EDIT = "hand_edit"
    ADOPTED = "adopted"
    MOVED = "moved"
    MISSING_IN_CONNECTWISE = "missing_in_connectwise"
    ONLY_IN_XERO = "only_in_xero"

    @property
    def words(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ").replace("xero", "Xero").replace("connectwise", "ConnectWise")


@dataclass(frozen=True, slots=True)
class Period:
    """Business dates from `start` to `end`, both included."""

    start: date
    end: date

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end


@dataclass(frozen=True, slots=True, order=True)
class Heading:
    """What one row of the statement is about; `month` is '2026-03'. Currencies are never added up."""

    family: str
    organisation: str
    currency: str
    month: str


@dataclass(frozen=True, slots=True)
class Figure:
    """What a document counts as on one side: `total` in `currency`, in the month of `date`."""

    organisation: str
    currency: str
    date: date
    total: Decimal

    @property
    def month(self) -> str:
        """The month whose row it belongs to."""
        return f"{self.date:%Y-%m}"


def _same(before: Figure | None, after: Figure | None) -> bool:
    """Whether both count as the same in the same row: the day within a month moves no money."""
    return _counted(before) == _counted(after)


def _counted(figure: Figure | None) -> tuple[str, str, str, Decimal] | None:
    return (figure.organisation, figure.currency, figure.month, figure.total) if figure else None


@dataclass(frozen=True, slots=True)
class Sourced:
    """A record as ConnectWise has it now. `figure` is None while it is not due to be in Xero.

    `open_status` is its billing status while it is not closed; `pending` says that it is new or changed since it was
    last dealt with, and that the next cycle will read it; `asked` is why lifecycle.csv asks for nothing, in a sentence.
    """

    connectwise_id: int
    reference: str
    figure: Figure | None
    open_status: str = ""
    pending: bool = False
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """How the last cycle that dealt with a record left it."""

    outcome: Outcome
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What the audit knows of a document: as we mapped it when we wrote it last, and as Xero answered that.

    `taken_over`: it was there before, and we never wrote it. `lines` is how many lines Xero answered with. `agreed` is
    what it was to be in Xero: ours (None), but for what stays a person's. `her_tax`: a tax type of hers stands on a
    line, and net of tax the document is ours. Of bills: `left_tax`: policy leaves the tax of a line to her, and net of
    tax it is ConnectWise's; `taken_back`: a person said that Xero is settled after all of it was taken back.
    """

    connectwise_id: int
    reference: str
    ours: Figure
    answered: Figure
    taken_over: bool = False
    lines: int = 0
    agreed: Figure | None = None
    her_tax: bool = False
    left_tax: bool = False
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Booked:
    """A document as Xero has it now. `linked`: the record that our link on it names."""

    xero_id: str
    number: str
    figure: Figure
    status: str
    linked: int | None = None

    @property
    def live(self) -> bool:
        """False once it is voided or deleted: it counts no more."""
        return self.status not in DEAD


@dataclass(frozen=True, slots=True)
class Pair:
    """One document: both sides as they are now, and what the audit knows of it. None: not there.

    `unsettled`: a write of it was sent whose answer is not known yet. `second`: the link on it names a record that is
    bound to another document.
    """

    connectwise: Sourced | None = None
    xero: Booked | None = None
    written: Written | None = None
    known: Known | None = None
    unsettled: bool = False
    second: bool = False

    @property
    def here(self) -> Figure | None:
        """What it counts as in ConnectWise."""
        return self.connectwise.figure if self.connectwise else None

    @property
    def there(self) -> Figure | None:
        """What it counts as in Xero."""
        return self.xero.figure if self.xero and self.xero.live else None

    @property
    def agrees(self) -> bool:
        """Whether both sides count the same: then nothing needs a name, however they came to it."""
        return _same(self.here, self.there)


@dataclass(frozen=True, slots=True)
class Difference:
    """What one document adds to a row on the way from ConnectWise's sum to Xero's.

    `kind` is None where no cause can be shown; `reason` is the finer name of the cause.
    """

    heading: Heading
    kind: Kind | None
    reason: str
    count: int
    amount: Decimal
    reference: str
    connectwise_id: int | None
    xero_id: str
    message: str
    connectwise_url: str = ""
    xero_url: str = ""


@dataclass(frozen=True, slots=True)
class _Cause:
    kind: Kind | None
    reason: str
    message: str


# One document


def explain(pair: Pair, family: str, period: Period) -> list[Difference]:
    """The differences of one document, each with the cause that there is evidence of; none where both sides agree."""
    if pair.agrees:
        return []
    here, there = pair.here, pair.there
    steps: list[tuple[Figure | None, Figure | None, Callable[[Pair], _Cause]]]
    if pair.written is None:
        steps = [(here, None, _not_posted), (None, there, _not_bound)]
    else:
        ours, answered = pair.written.ours, pair.written.answered
        agreed = pair.written.agreed or ours
        steps = [
            (here, ours, _since_written),
            (ours, agreed, _as_agreed),
            (agreed, answered, _as_answered),
            (answered, there, _since_answered),
        ]
    found: list[Difference] = []
    for before, after, cause in steps:
        if not _same(before, after):
            found += _told(pair, family, period, before, after, cause(pair))
    return found


def _told(
    pair: Pair, family: str, period: Period, before: Figure | None, after: Figure | None, cause: _Cause
) -> list[Difference]:
    """A step as what it takes from one row and adds to another, or both in one."""
    reference = next(side.reference for side in (pair.connectwise, pair.written) if side) if _record(pair) else ""
    message = cause.message
    if before and after:
        message = f"{message.rstrip('.')}: {_shown(before)} -> {_shown(after)}."
        if cause.kind and _only_the_month(before, after):
            cause = _Cause(Kind.MOVED, cause.kind.value, message)
    sums: dict[Heading, tuple[int, Decimal]] = {}
    for figure, sign in ((before, -1), (after, 1)):
        if figure is not None and figure.date in period:
            heading = heading_of(family, figure)
            count, amount = sums.get(heading, (0, ZERO))
            sums[heading] = (count + sign, amount + sign * figure.total)
    return [
        Difference(
            heading,
            cause.kind,
            cause.reason,
            count,
            amount,
            reference or (pair.xero.number if pair.xero else ""),
            _record(pair),
            pair.xero.xero_id if pair.xero else "",
            message,
        )
        for heading, (count, amount) in sums.items()
    ]


def _record(pair: Pair) -> int | None:
    side = pair.connectwise or pair.written
    return side.connectwise_id if side else None


def _only_the_month(before: Figure, after: Figure) -> bool:
    return before.month != after.month and (before.organisation, before.currency, before.total) == (
        after.organisation,
        after.currency,
        after.total,
    )


def heading_of(family: str, figure: Figure) -> Heading:
    """The row that a figure belongs to."""
    return Heading(family, figure.organisation, figure.currency, figure.month)


WAITS = {Outcome.HELD: Kind.HELD, Outcome.REJECTED: Kind.REJECTED, Outcome.DEFERRED: Kind.WAITING}


def _waits(pair: Pair) -> _Cause | None:
    """Why a record is not in Xero as ConnectWise has it: what any cycle would say of it, or has said."""
    if pair.unsettled:
        return _Cause(Kind.WAITING, Reason.UNSETTLED.value, "A write was sent and its answer is not known yet.")
    source = pair.connectwise
    if source is not None and source.open_status:
        return _Cause(
            Kind.WAITING, Reason.WAITS_FOR_CLOSE.value, f"It was reopened in ConnectWise (status {source.open_status})."
        )
    if source is not None and source.pending:
        words = "New in ConnectWise" if pair.known is None else "Changed in ConnectWise since it was last dealt with"
        return _Cause(Kind.WAITING, NOT_READ_YET, f"{words}; the next cycle reads it.")
    if pair.known is not None and pair.known.outcome in WAITS:
        return _Cause(WAITS[pair.known.outcome], pair.known.reason, pair.known.message)
    if source is not None and source.asked:
        return _Cause(Kind.WAITING, LIFECYCLE, source.asked)
    return None


def _not_posted(pair: Pair) -> _Cause:
    """Due, and no document is bound to it."""
    found = _waits(pair)
    if found is not None:
        return found
    if pair.known is None:
        return _Cause(
            None, "", "No cycle has seen it, and the next one reads only what changed since: `tieout sync --force`."
        )
    if pair.known.outcome is Outcome.SKIPPED:
        zero = (
            pair.connectwise is not None and pair.connectwise.figure is not None and not pair.connectwise.figure.total
        )
        if zero and pair.known.reason == Reason.ZERO_TOTAL:
            return _Cause(Kind.SKIPPED, pair.known.reason, "Its total is 0.00, and policy says to skip such records.")
        return _Cause(None, "", "A cycle skipped it, and by today's policy it is due: `tieout sync --force`.")
    return _Cause(None, "", f"The audit calls it {pair.known.outcome}, and knows no document of it.")


def _not_bound(pair: Pair) -> _Cause:
    """In Xero, and no record is bound to it."""
    if pair.unsettled:
        return _Cause(Kind.WAITING, Reason.UNSETTLED.value, "Written by us; its answer was not recorded yet.")
    linked = pair.xero.linked if pair.xero else None
    if pair.second:
        return _Cause(None, "", f"It links to id:{linked}, whose document is another one: two for one record.")
    if linked is not None:
        return _Cause(Kind.ONLY_IN_XERO, "linked", f"It links to id:{linked}, and the audit knows nothing of it.")
    return _Cause(Kind.ONLY_IN_XERO, "", "No ConnectWise record belongs to it.")


def _since_written(pair: Pair) -> _Cause:
    """From ConnectWise's figure to the one that we wrote."""
    if pair.connectwise is None:
        return _Cause(
            Kind.MISSING_IN_CONNECTWISE, "", "ConnectWise does not show it: deleted, or hidden from the API member."
        )
    words = "It differs from what was written, and nothing says that it changed since or why it waits."
    return _waits(pair) or _left_to_people(pair) or _Cause(None, "", words)


def _left_to_people(pair: Pair) -> _Cause | None:
    """What policy or a person's word leaves to people on a bill."""
    if pair.written is not None and pair.written.taken_back:
        words = "All of it was taken back in ConnectWise, and a person said that Xero is settled (--take theirs)."
        return _Cause(Kind.HAND_EDIT, "taken", words)
    if pair.written is not None and pair.written.left_tax:
        words = "Policy leaves the tax of its lines to people (draft_gaps); net of tax it agrees."
        return _Cause(Kind.SKIPPED, "draft_gaps", words)
    return None


def _as_agreed(pair: Pair) -> _Cause:
    """From the figure that we mapped to the one that it was to be in Xero; only a person makes them differ."""
    if pair.written is not None and pair.written.her_tax:
        return _Cause(
            Kind.HAND_EDIT, "tax_type", "Somebody changed a tax type in Xero, and it stays; net of tax it agrees."
        )
    return _Cause(Kind.HAND_EDIT, "taken", "Somebody decided for the version in Xero (--take theirs).")


def _as_answered(pair: Pair) -> _Cause:
    """From the figure that it was to be in Xero to the one that Xero made of it."""
    written = pair.written
    assert written is not None, "only what is bound was answered"
    ours, answered = written.agreed or written.ours, written.answered
    if written.taken_over:
        return _Cause(Kind.ADOPTED, "", "It was in Xero before, and was taken over as it is there.")
    same_row = heading_of("", ours) == heading_of("", answered)
    if same_row and abs(answered.total - ours.total) <= CENT * written.lines:
        return _Cause(
            Kind.ROUNDING, Reason.TOTAL_DIFFERS.value, "Xero rounded otherwise, no more than a cent per line."
        )
    return _Cause(None, "", "Xero answered our write with another figure, and it is more than rounding.")


def _since_answered(pair: Pair) -> _Cause:
    """From what Xero answered our last write with to what it has now."""
    if pair.unsettled:
        return _Cause(Kind.WAITING, Reason.UNSETTLED.value, "A write was sent and its answer is not known yet.")
    if pair.xero is None:
        words = "not even as voided or deleted; or its organisation is not in tieout.toml any more"
        return _Cause(None, "", f"Xero does not show the document any more, {words}.")
    if not pair.xero.live:
        done = pair.xero.status.lower()
        return _Cause(Kind.HAND_EDIT, done, f"Somebody {done} it in Xero.")
    return _Cause(Kind.HAND_EDIT, "edited", "Somebody changed it in Xero after it was written.")


def _shown(figure: Figure) -> str:
    return f"{plain(figure.total)} {figure.currency} of {figure.date}"


# What is paid


@dataclass(frozen=True, slots=True)
class Settled:
    """What an invoice is settled by, in words: what was done, what is written for it, and what policy calls it."""

    done: str
    written: str
    policy: str


MONEY = Settled("paid", "a payment", "direction")
CREDITS = Settled("credited", "an allocation", "allocate_credits")


@dataclass(frozen=True, slots=True)
class PaidOn:
    """What is paid on one invoice: `here` in ConnectWise (None: it does not show the invoice), `there` in Xero.

    Amounts in the currency of the row. Of `there`, `ours` was written by us; `removed` are payments of ours that
    somebody took off. `status` is the invoice's in Xero ('': it is not there). `pending`: the next cycle looks at it.
    `accepted`: a person said that Xero is right. `by` names what it is settled by.
    """

    connectwise_id: int
    reference: str
    heading: Heading
    here: Decimal | None
    there: Decimal = ZERO
    ours: Decimal = ZERO
    removed: Decimal = ZERO
    xero_id: str = ""
    status: str = ""
    known: Known | None = None
    pending: bool = False
    unsettled: bool = False
    accepted: bool = False
    by: Settled = MONEY


def explain_paid(paid: PaidOn) -> Difference | None:
    """The difference of what is paid on one invoice, with the cause that there is evidence of; None: both agree."""
    here = paid.here or ZERO
    if paid.there == here:
        return None
    cause = _why_paid(paid, paid.there - here)
    currency = paid.heading.currency
    return Difference(
        paid.heading,
        cause.kind,
        cause.reason,
        bool(paid.there) - bool(here),
        paid.there - here,
        paid.reference,
        paid.connectwise_id,
        paid.xero_id,
        f"{cause.message.rstrip('.')}: {plain(here)} -> {plain(paid.there)} {currency}".rstrip() + ".",
    )


def _why_paid(paid: PaidOn, gap: Decimal) -> _Cause:
    if paid.here is None:
        return _Cause(
            Kind.MISSING_IN_CONNECTWISE, "", "ConnectWise does not show it: deleted, or hidden from the API member."
        )
    if paid.unsettled:
        return _Cause(Kind.WAITING, Reason.UNSETTLED.value, "A write was sent and its answer is not known yet.")
    if paid.pending:
        return _Cause(
            Kind.WAITING,
            NOT_READ_YET,
            f"{paid.by.done.capitalize()} otherwise than when it was last dealt with; the next cycle reads it.",
        )
    if paid.known is not None and paid.known.outcome in WAITS:
        return _Cause(WAITS[paid.known.outcome], paid.known.reason, paid.known.message)
    if paid.known is not None and paid.known.outcome is Outcome.SKIPPED:
        return _Cause(Kind.SKIPPED, paid.by.policy, "Policy leaves that to people in this organisation.")
    if paid.accepted:
        return _Cause(Kind.HAND_EDIT, "taken", f"Somebody decided for what is {paid.by.done} in Xero (--take theirs).")
    if ZERO < gap <= paid.there - paid.ours:
        words = f"Somebody entered {paid.by.written} in Xero that ConnectWise does not have."
        return _Cause(Kind.HAND_EDIT, paid.by.done, words)
    if gap < ZERO and paid.status in DEAD:
        done = paid.status.lower()
        return _Cause(Kind.HAND_EDIT, done, f"Somebody {done} the invoice in Xero.")
    if gap < ZERO and paid.removed >= -gap:
        return _Cause(Kind.HAND_EDIT, "removed", f"Somebody removed {paid.by.written} of ours in Xero.")
    return _Cause(None, "", "It differs, and nothing says that it changed since or why it waits.")


# The whole statement


@dataclass(frozen=True, slots=True)
class Tally:
    """A number of documents and their money."""

    count: int = 0
    amount: Decimal = ZERO

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.count + other.count, self.amount + other.amount)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.count - other.count, self.amount - other.amount)

    def __bool__(self) -> bool:
        return bool(self.count or self.amount)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: both sides as they were counted, and the sum of the differences of each name."""

    heading: Heading
    connectwise: Tally
    named: Mapping[Kind, Tally]
    xero: Tally

    @property
    def unexplained(self) -> Tally:
        """ConnectWise and the named differences, less Xero: what no name accounts for."""
        return sum(self.named.values(), self.connectwise) - self.xero


@dataclass(frozen=True)
class Statement:
    """The statement of one family over a period.

    `differences` are those with a name, `unexplained` those of documents for which no cause can be shown (their amounts
    signed as in the rows), `unreadable` the records of ConnectWise that could not be counted at all.
    """

    family: str
    period: Period
    rows: Sequence[Row]
    differences: Sequence[Difference] = ()
    unexplained: Sequence[Difference] = ()
    unreadable: Sequence[str] = ()

    @property
    def tied_out(self) -> bool:
        """True when nothing is unexplained; two unexplained differences that cancel out are two all the same."""
        return not self.unexplained and not any(row.unexplained for row in self.rows)

    @property
    def verdict(self) -> str:
        """The statement in a sentence."""
        if self.tied_out:
            return "Tied out: unexplained is 0.00 everywhere."
        rows = [
            f"{plain(row.unexplained.amount)} {row.heading.currency} ({row.unexplained.count}) in "
            f"{row.heading.organisation}, {row.heading.month}"
            for row in self.rows
            if row.unexplained
        ]
        cancelling = f"0.00 in sum, but {len(self.unexplained)} differences that cancel out have no cause"
        return f"Not tied out: unexplained {'; '.join(rows) or cancelling}."


@dataclass
class Reconciliation:
    """Collects a statement: both sides are counted as they are read, the differences come from the pairs."""

    family: str
    period: Period
    unreadable: list[str] = field(default_factory=list)
    _connectwise: dict[Heading, Tally] = field(default_factory=dict)
    _xero: dict[Heading, Tally] = field(default_factory=dict)
    _differences: list[Difference] = field(default_factory=list)

    def count_connectwise(self, figure: Figure | None) -> None:
        """Count a record that was read from ConnectWise, if it is due and in the period."""
        self._count(self._connectwise, figure)

    def count_xero(self, document: Booked) -> None:
        """Count a document that was read from Xero, if it is live and in the period."""
        self._count(self._xero, document.figure if document.live else None)

    def count_paid(self, paid: PaidOn) -> None:
        """Count what is paid on one invoice, on either side."""
        for side, amount in ((self._connectwise, paid.here), (self._xero, paid.there)):
            if amount:
                side[paid.heading] = side.get(paid.heading, Tally()) + Tally(1, amount)

    def _count(self, side: dict[Heading, Tally], figure: Figure | None) -> None:
        if figure is not None and figure.date in self.period:
            heading = heading_of(self.family, figure)
            side[heading] = side.get(heading, Tally()) + Tally(1, figure.total)

    def add(self, differences: Iterable[Difference]) -> None:
        """Add the differences of some documents."""
        self._differences += differences

    def statement(self) -> Statement:
        """All that was counted and added, with the records in the order of their money."""
        named: dict[Heading, dict[Kind, Tally]] = defaultdict(dict)
        for each in self._differences:
            if each.kind is not None:
                before = named[each.heading].get(each.kind, Tally())
                named[each.heading][each.kind] = before + Tally(each.count, each.amount)
        headings = self._connectwise.keys() | self._xero.keys() | {each.heading for each in self._differences}
        ordered = sorted(self._differences, key=lambda one: (-abs(one.amount), one.heading, one.reference))
        return Statement(
            self.family,
            self.period,
            [
                Row(
                    heading,
                    self._connectwise.get(heading, Tally()),
                    {kind: named[heading][kind] for kind in Kind if kind in named[heading]},
                    self._xero.get(heading, Tally()),
                )
                # What is not routed yet comes last.
                for heading in sorted(headings, key=lambda one: (one.organisation == NOT_ROUTED, one))
            ],
            [each for each in ordered if each.kind is not None],
            [_as_unexplained(each) for each in ordered if each.kind is None],
            tuple(self.unreadable),
        )


def _as_unexplained(each: Difference) -> Difference:
    """Turned round: what Xero lacks is left over on ConnectWise's side."""
    return Difference(
        each.heading, None, "", -each.count, -each.amount, each.reference, each.connectwise_id, each.xero_id,
        each.message, each.connectwise_url, each.xero_url,
    )  # fmt: skip
