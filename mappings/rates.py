"""Exchange rates: ConnectWise exposes none, so each comes from where policy says, and says where it came from.

A rate is in units of the document's currency per one unit of the organisation's base currency, as Xero's CurrencyRate
is (xero.md, 4.1), with at most six decimals.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from mappings.connectwise import CustomField
from mappings.csv_tables import RATES, Row, TableProblem, TablesUnusable, read_rows, same_keys
from mappings.money import ZERO
from mappings.outcomes import Hold, Reason
from mappings.policy import Currency

SIX_PLACES = Decimal("0.000001")
LARGEST = Decimal(10) ** 12
"""CurrencyRate has 18 digits, six of them decimals (xero.md, 4)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate and where it came from; `value` None: Xero takes its own rate of the day."""

    value: Decimal | None
    source: str
    row: Row | None = None


@dataclass(frozen=True)
class RateTable:
    """rates.csv: per pair of currencies the rates in the order of their dates."""

    columns: tuple[str, ...] = ()
    pairs: dict[tuple[str, str], list[tuple[date, Decimal, Row]]] = field(default_factory=dict)

    def latest(self, currency: str, base: str, on: date) -> tuple[date, Decimal, Row] | None:
        """The latest rate of a pair that is not after this date."""
        rates = self.pairs.get((currency, base), [])
        place = bisect.bisect_right(rates, on, key=lambda rate: rate[0])
        return rates[place - 1] if place else None


def read_rates(content: bytes | None) -> RateTable:
    """Parse rates.csv (None: there is none). Raises TablesUnusable with every problem of the file."""
    columns, rows, problems = read_rows(RATES, content)
    table = RateTable(columns)
    known: dict[tuple[str, str, date], Row] = {}
    for row in rows:
        found = _read(row)
        if isinstance(found, TableProblem):
            problems.append(found)
            continue
        currency, base, on, rate = found
        twin = known.setdefault((currency, base, on), row)
        if twin is row:
            bisect.insort(table.pairs.setdefault((currency, base), []), (on, rate, row), key=lambda one: one[0])
        else:
            problems.append(same_keys(row, twin))
    if problems:
        raise TablesUnusable(sorted(problems, key=lambda problem: problem.row))
    return table


def _read(row: Row) -> tuple[str, str, date, Decimal] | TableProblem:
    def wrong(column: str, words: str) -> TableProblem:
        return TableProblem(row.file, row.number, column, f"{row.values[column]!r} {words}")

    currency, base = row.values["currency"].upper(), row.values["base"].upper()
    for column, code in (("currency", currency), ("base", base)):
        if not (len(code) == 3 and code.isascii() and code.isalpha()):
            return wrong(column, "is no currency code of three letters")
    if currency == base:
        return wrong("base", "is the currency itself")
    try:
        on = date.fromisoformat(row.values["date"])
    except ValueError:
        return wrong("date", "is no date; write it as 2026-01-31")
    given = number_of(row.values["rate"])
    rate = at_six_places(given) if given else None
    if rate is None:
        return wrong("rate", "is no rate; write it as 1.0825")
    return currency, base, on, rate


def number_of(given: Any) -> Decimal | None:
    """A number as a person or a custom field gives it, if it or its reciprocal may be a rate; else None."""
    try:
        number = Decimal(str(given).strip())
    except InvalidOperation:
        return None
    return number if not isinstance(given, bool) and number.is_finite() and 1 / LARGEST < number < LARGEST else None


def at_six_places(rate: Decimal) -> Decimal | None:
    """A rate as Xero keeps it; None where nothing of it is left, or it is too large."""
    rounded = rate.quantize(SIX_PLACES, rounding=ROUND_HALF_UP) if rate < LARGEST else ZERO
    return Decimal(format(rounded.normalize(), "f")) if rounded else None


def rate_for(
    currency: str,
    base: str,
    on: date,
    policy: Currency,
    table: RateTable,
    custom_fields: Sequence[tuple[str, Sequence[CustomField]]],
) -> Rate | Hold:
    """The rate of a foreign document dated `on`, by the source that policy names; or why there is none.

    `custom_fields` are those of the document and then of its company, each with the name of its bearer.
    """
    if policy.source == "xero_day_rate":
        return Rate(None, "Xero's rate of the day")
    if policy.source == "rates_table":
        return _from_table(currency, base, on, policy.max_age_days, table)
    if policy.source == "custom_field":
        return _from_field(currency, base, policy, custom_fields)
    return Hold(
        Reason.MISSING_RATE,
        currency,
        f"The document is in {currency} and the books are in {base}; policy names no source for a rate between them.",
        'Set source under [currency] in policy.toml: "rates_table", "custom_field", or "xero_day_rate" to let Xero '
        "take its own rate of the day.",
    )


def _from_table(currency: str, base: str, on: date, max_age_days: int, table: RateTable) -> Rate | Hold:
    found = table.latest(currency, base, on)
    if found is not None and (on - found[0]).days <= max_age_days:
        return Rate(found[1], f"{found[2]} of {found[0]}", found[2])
    known = (
        f"the latest, in {found[2]}, is of {found[0]}, which is more than {max_age_days} days before"
        if found
        else "there is none up to that day"
    )
    cells = {"currency": currency, "base": base, "date": on.isoformat(), "rate": f"<{currency} per 1 {base}>"}
    line = ",".join(cells.get(name, "") for name in table.columns or (*RATES.keys, *RATES.values))
    return Hold(
        Reason.MISSING_RATE,
        currency,
        f"{RATES.file} has no rate of {currency} per {base} for {on}: {known}.",
        f"Add to {RATES.file}: {line}",
    )


def _from_field(
    currency: str, base: str, policy: Currency, custom_fields: Sequence[tuple[str, Sequence[CustomField]]]
) -> Rate | Hold:
    for bearer, fields in custom_fields:
        given = next((one.value for one in fields if one.caption.casefold() == policy.field.casefold()), None)
        if given is None or not str(given).strip():
            continue
        number = number_of(given)
        if number is not None and policy.meaning == "base_per_foreign":
            number = 1 / number
        rate = at_six_places(number) if number else None
        if rate is None:
            return Hold(
                Reason.MISSING_RATE,
                str(given)[:60],
                f"{policy.field!r} of the {bearer} says {str(given)[:60]!r}, and that is no exchange rate.",
                f"Correct {policy.field!r} of the {bearer} in ConnectWise.",
            )
        return Rate(rate, f"{policy.field!r} of the {bearer}")
    bearers = " and ".join(bearer for bearer, _ in custom_fields)
    way = f"{currency} per 1 {base}" if policy.meaning == "foreign_per_base" else f"{base} per 1 {currency}"
    return Hold(
        Reason.MISSING_RATE,
        currency,
        f"The document is in {currency} and the books are in {base}; {policy.field!r} is empty ({bearers}).",
        f"Fill {policy.field!r} in ConnectWise: {way}.",
    )
