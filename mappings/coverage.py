"""Which values of the records no table covers, and how many records and how much money wait for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from mappings.money import total
from mappings.outcomes import UNCOVERED, Hold, Reason
from mappings.policy import Policy


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record that mapping held: whose it is (organisation '': nobody knows yet), its total, and all its problems."""

    family: str
    connectwise_id: int
    organisation: str
    date: date
    amount: Decimal
    currency: str
    hold: Hold


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A value that no row covers in an organisation, and what waits for it: each record with its whole total.

    `fix` may be several sentences. A record that waits for two values counts under both.
    """

    reason: Reason
    value: str
    organisation: str
    records: int
    amounts: Mapping[str, Decimal]
    message: str
    fix: str


def coverage(held: Iterable[HeldRecord], policy: Policy) -> list[Uncovered]:
    """The values that are not covered, in the order of the reasons, each organisation's together."""
    groups: dict[tuple[Reason, str, str], list[tuple[HeldRecord, Hold]]] = defaultdict(list)
    for record in sorted(held, key=lambda one: (one.date, one.family, one.connectwise_id)):
        for problem in record.hold.problems:
            if problem.reason in UNCOVERED:
                groups[(problem.reason, record.organisation, problem.value)].append((record, problem))
    order = list(Reason)
    return [
        _uncovered(*key, found, policy)
        for key, found in sorted(groups.items(), key=lambda group: (order.index(group[0][0]), *group[0][1:]))
    ]


def _uncovered(
    reason: Reason, organisation: str, value: str, found: Sequence[tuple[HeldRecord, Hold]], policy: Policy
) -> Uncovered:
    records = {(record.family, record.connectwise_id): record for record, _ in found}.values()
    if reason is Reason.MISSING_RATE:
        found = _as_rates_last(found, timedelta(days=policy.decisions(organisation).currency.max_age_days))
    return Uncovered(
        reason,
        value,
        organisation,
        len(records),
        {
            currency: total(record.amount for record in records if record.currency == currency)
            for currency in sorted({record.currency for record in records})
        },
        found[0][1].message,
        "\n".join(dict.fromkeys(problem.fix for _, problem in found)),
    )


def _as_rates_last(found: Sequence[tuple[HeldRecord, Hold]], good_for: timedelta) -> list[tuple[HeldRecord, Hold]]:
    """The earliest date, and every one for which the rate before it would be too old: one line for each is enough."""
    kept = [found[0]]
    for record, problem in found[1:]:
        if record.date - kept[-1][0].date > good_for:
            kept.append((record, problem))
    return kept
