"""What an exception mail tells: which exceptions are new, due again or resolved, grouped by what cures them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from mappings.money import plain
from mappings.outcomes import EXPLANATIONS, Reason


@dataclass(frozen=True, slots=True)
class Case:
    """One exception of one record, open or resolved, and what was mailed of it (`mailed_as` is its `saying` then).

    `amount` is text in `currency`, '' where it is not known; the addresses are '' where there is nothing to open.
    """

    id: int
    connectwise_id: int
    part: str
    reference: str
    organisation: str
    reason: str
    value: str
    message: str
    fix: str
    amount: str
    currency: str
    resolved: bool = False
    mailed_at: datetime | None = None
    mailed_as: str = ""
    connectwise_url: str = ""
    xero_url: str = ""

    @property
    def saying(self) -> str:
        """A digest of what is the matter: other figures in the message alone do not make it another matter."""
        said = "\n".join((self.reason, self.value, re.sub(r"\d+", "#", self.message)))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def money(self) -> str:
        """'93.06 AUD', or '' where it is not known."""
        return f"{self.amount} {self.currency}".strip()


@dataclass(frozen=True, slots=True)
class Cause:
    """Records that wait for the same thing. `message` is common to all of them, or explains the reason."""

    reason: str
    message: str
    fix: str
    cases: tuple[Case, ...]

    @property
    def alike(self) -> bool:
        """Whether the message says of each record all that there is to say."""
        return all(case.message == self.message for case in self.cases)

    @property
    def sums(self) -> dict[str, Decimal]:
        """The money that waits, per currency."""
        sums: dict[str, Decimal] = {}
        for case in self.cases:
            if case.amount:
                sums[case.currency] = sums.get(case.currency, Decimal(0)) + Decimal(case.amount)
        return dict(sorted(sums.items()))

    @property
    def money(self) -> str:
        """'1,000.30 AUD, -7.00 EUR, 1 of unknown amount'."""
        unknown = sum(not case.amount for case in self.cases)
        told = [f"{_with_commas(amount)} {currency}".strip() for currency, amount in self.sums.items()]
        return ", ".join(told + ([f"{unknown} of unknown amount"] if unknown else []))


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail: what is new, what still waits since an earlier mail, what is done.

    `resolved` has one entry for each record, `settled` the ids of all their exceptions; `silent` counts what is open,
    was mailed before, and is not due again yet.
    """

    family: str
    organisation: str
    new: tuple[Cause, ...]
    repeated: tuple[Cause, ...]
    resolved: tuple[Case, ...]
    settled: tuple[int, ...]
    silent: int

    @property
    def told(self) -> list[Case]:
        """Every open exception that the mail tells of."""
        return [case for cause in (*self.new, *self.repeated) for case in cause.cases]

    @property
    def place(self) -> str:
        """'in Sydney'; for records that have no organisation yet 'not routed yet'."""
        return f" in {self.organisation}" if self.organisation else ", not routed yet"

    @property
    def subject(self) -> str:
        """'tieout: 3 new exceptions, 1 resolved in Sydney (invoices)'."""
        counts = {
            "new exception": sum(len(cause.cases) for cause in self.new),
            "exception still open": sum(len(cause.cases) for cause in self.repeated),
            "exception resolved": len(self.resolved),
        }
        told: list[str] = []
        for words, count in counts.items():
            if count and told:
                told.append(f"{count} {words.removeprefix('exception ')}")
            elif count:
                told.append(f"{count} {words if count == 1 else words.replace('exception', 'exceptions')}")
        return f"tieout: {', '.join(told)}{self.place} ({self.family.replace('_', ' ')})"


def notices(family: str, cases: Iterable[Case], now: datetime, repeat_after: timedelta) -> list[Notice]:
    """One notice for each organisation of which there is something to tell, in the order of their names.

    New is what was not mailed yet, or has something else the matter by now; repeated what was mailed `repeat_after`
    ago or longer. A record that waits for another reason than the one that was mailed is not resolved.
    """
    everything = list(cases)
    waiting = [case for case in everything if not case.resolved]
    still = {(case.connectwise_id, case.part) for case in waiting}
    done = [case for case in everything if case.resolved and (case.connectwise_id, case.part) not in still]
    return [
        notice
        for organisation in sorted({case.organisation for case in (*waiting, *done)})
        if (notice := _notice(family, organisation, waiting, done, now - repeat_after)) is not None
    ]


def _notice(
    family: str, organisation: str, waiting: Sequence[Case], done: Sequence[Case], mailed_before: datetime
) -> Notice | None:
    new: list[Case] = []
    repeated: list[Case] = []
    silent = 0
    for case in waiting:
        if case.organisation != organisation:
            continue
        if case.mailed_at is None or case.mailed_as != case.saying:
            new.append(case)
        elif case.mailed_at <= mailed_before:
            repeated.append(case)
        else:
            silent += 1
    settled = [case for case in done if case.organisation == organisation]
    if not (new or repeated or settled):
        return None
    # A record that waited for one thing after the other is done once.
    resolved = {(case.connectwise_id, case.part): case for case in settled}
    return Notice(
        family, organisation, causes(new), causes(repeated), tuple(resolved.values()),
        tuple(case.id for case in settled), silent,
    )  # fmt: skip


def causes(cases: Collection[Case]) -> tuple[Cause, ...]:
    """Grouped by reason and cure (ten invoices that need the same row are one cause), the most money first.

    Amounts of several currencies are not added up: the largest sum in any one currency decides.
    """
    grouped: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        grouped.setdefault((case.reason, case.fix), []).append(case)
    found = [_cause(reason, fix, alike) for (reason, fix), alike in grouped.items()]
    return tuple(sorted(found, key=lambda cause: (-_weight(cause), -len(cause.cases), cause.reason, cause.fix)))


def _cause(reason: str, fix: str, cases: Sequence[Case]) -> Cause:
    messages = Counter(case.message for case in cases)
    message = cases[0].message if len(messages) == 1 else EXPLANATIONS[Reason(reason)].sentence
    return Cause(reason, message, fix, tuple(sorted(cases, key=lambda case: (case.reference, case.connectwise_id))))


def _weight(cause: Cause) -> Decimal:
    return max((abs(amount) for amount in cause.sums.values()), default=Decimal(0))


def _with_commas(amount: Decimal) -> str:
    whole, _, cents = plain(abs(amount)).partition(".")
    return f"{'-' if amount < 0 else ''}{int(whole):,}.{cents}"
