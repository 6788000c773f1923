"""Rates of foreign documents: from where policy says, with the source, or held (contract 3 and 4)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import CustomField
from mappings.csv_tables import TablesUnusable
from mappings.outcomes import Hold, Reason
from mappings.policy import Currency
from mappings.rates import Rate, RateTable, at_six_places, number_of, rate_for, read_rates
from tests.mappings.samples import held

DAY = date(2026, 3, 2)
HEADER = "currency,base,date,rate\n"
ROWS = "NZD,AUD,2026-02-01,1.0825\nNZD,AUD,2026-03-01,1.0875\nNZD,AUD,2026-04-01,1.1\nUSD,AUD,2026-03-01,0.6524\n"


def read(text: str) -> RateTable:
    return read_rates((HEADER + text).encode())


def asked(
    source: str = "rates_table",
    text: str = ROWS,
    on: date = DAY,
    fields: list[tuple[str, list[CustomField]]] | None = None,
    currency: str = "NZD",
    **policy: Any,
) -> Rate | Hold:
    given_policy = Currency.model_validate({"source": source, **policy})
    return rate_for(currency, "AUD", on, given_policy, read(text), fields or [])


def rate(*given_: Any, **more: Any) -> Rate:
    found = asked(*given_, **more)
    assert isinstance(found, Rate), found
    return found


def problems(content: bytes) -> list[str]:
    with pytest.raises(TablesUnusable) as caught:
        read_rates(content)
    return [str(problem) for problem in caught.value.problems]


# rates.csv


@pytest.mark.parametrize(
    ("on", "row"),
    [("2026-02-01", 2), ("2026-02-28", 2), ("2026-03-01", 3), ("2026-03-31", 3), ("2026-04-01", 4), ("2026-04-30", 4)],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_latest_rate_that_is_not_after_the_document_counts(on: str, row: int, turned: bool) -> None:
    """The day itself counts; the order of the file does not."""
    lines = ROWS.splitlines(keepends=True)
    found = rate(text="".join(reversed(lines) if turned else lines), on=date.fromisoformat(on))
    values = {2: "1.0825", 3: "1.0875", 4: "1.1"}
    assert found.row is not None
    assert (str(found.value), found.row.number) == (values[row], 5 - row + 2 if turned else row)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_rates_may_rise_and_fall(order: tuple[int, ...]) -> None:
    """The date decides, never the figure, wherever a row stands."""
    lines = ["NZD,AUD,2026-01-31,1.12\n", "NZD,AUD,2026-02-28,1.05\n", "NZD,AUD,2026-03-31,1.09\n"]
    text = "".join(lines[place] for place in order)
    days = {"2026-02-27": "1.12", "2026-03-02": "1.05", "2026-04-01": "1.09"}
    assert {day: str(rate(text=text, on=date.fromisoformat(day)).value) for day in days} == days


def test_a_rate_says_where_it_came_from() -> None:
    """The row and its date stand in the source, which is recorded with the document."""
    found = rate()
    assert (found.source, found.value) == ("rates.csv row 3 of 2026-03-01", Decimal("1.0875"))


@pytest.mark.parametrize(
    ("currency", "base"), [("USD", "AUD"), ("AUD", "NZD"), ("NZD", "USD"), ("GBP", "AUD"), ("", "AUD")]
)
def test_a_rate_belongs_to_its_pair(currency: str, base: str) -> None:
    """A rate of another pair, or the other way round, is never used."""
    found = read("NZD,AUD,2026-03-01,1.0875\n").latest(currency, base, DAY)
    assert found is None


@pytest.mark.parametrize(("days", "fits"), [(0, True), (30, True), (31, True), (32, False), (400, False)])
def test_a_rate_grows_too_old(days: int, fits: bool) -> None:
    """`max_age_days` counts from the rate's day to the document's; the last day is in."""
    found = asked(text="NZD,AUD,2026-03-02,1.0875\n", on=DAY + timedelta(days))
    assert isinstance(found, Rate) is fits
    if not fits:
        assert held(found).message == (
            f"rates.csv has no rate of NZD per AUD for {DAY + timedelta(days)}: the latest, in rates.csv row 2, is of "
            "2026-03-02, which is more than 31 days before."
        )


@pytest.mark.parametrize(("age", "days", "fits"), [(0, 0, True), (0, 1, False), (400, 400, True)])
def test_how_old_a_rate_may_be_is_policy(age: int, days: int, fits: bool) -> None:
    """Nought means the day itself."""
    found = asked(text="NZD,AUD,2026-03-02,1.0875\n", on=DAY + timedelta(days), max_age_days=age)
    assert isinstance(found, Rate) is fits


def test_a_document_before_the_first_rate_is_held_with_the_line_to_paste() -> None:
    """With the file's own columns, and what the figure means."""
    found = held(asked(text="NZD,AUD,2026-03-03,1.0875\n"))
    assert (found.reason, found.value, found.waits_on) == (Reason.MISSING_RATE, "NZD", ())
    assert found.message == "rates.csv has no rate of NZD per AUD for 2026-03-02: there is none up to that day."
    assert found.fix == "Add to rates.csv: NZD,AUD,2026-03-02,<NZD per 1 AUD>"


def test_the_line_to_paste_follows_the_columns_of_the_file_and_lets_the_document_through() -> None:
    """A note column stays empty; the rate is the only thing to fill in."""
    header = "note,rate,date,base,currency\n"
    empty = read_rates(header.encode())
    policy = Currency(source="rates_table")
    fix = held(rate_for("NZD", "AUD", DAY, policy, empty, [])).fix
    line = fix.partition("rates.csv: ")[2]
    assert line == ",<NZD per 1 AUD>,2026-03-02,AUD,NZD"
    pasted = read_rates((header + line.replace("<NZD per 1 AUD>", "1.0875")).encode())
    assert isinstance(rate_for("NZD", "AUD", DAY, policy, pasted, []), Rate)
    missing = held(rate_for("NZD", "AUD", DAY, policy, read_rates(None), []))
    assert missing.fix == "Add to rates.csv: NZD,AUD,2026-03-02,<NZD per 1 AUD>"


def test_a_file_may_look_as_spreadsheets_save_it() -> None:
    """A byte order mark, Windows line ends, notes, lower case, zeros at the end, blank rows."""
    content = b"\xef\xbb\xbfCurrency,base,date,rate,note\r\nnzd,aud,2026-03-01,1.087500,=why not\r\n,,,,\r\n"
    found = read_rates(content).latest("NZD", "AUD", DAY)
    assert found is not None
    assert (found[0], str(found[1]), found[2].number) == (date(2026, 3, 1), "1.0875", 2)


WRITE_DAY, WRITE_RATE = "write it as 2026-01-31", "write it as 1.0825"
MALFORMED: dict[str, tuple[str, str]] = {
    "no currency": (",AUD,2026-03-01,1.1", "row 2, column currency: '' is no currency code of three letters"),
    "two letters": ("NZ,AUD,2026-03-01,1.1", "row 2, column currency: 'NZ' is no currency code of three letters"),
    "four letters": ("NZD,AUSD,2026-03-01,1.1", "row 2, column base: 'AUSD' is no currency code of three letters"),
    "any currency": ("*,AUD,2026-03-01,1.1", "row 2, column currency: '*' is no currency code of three letters"),
    "figures": ("N2D,AUD,2026-03-01,1.1", "row 2, column currency: 'N2D' is no currency code of three letters"),
    "other letters": ("ÑZD,AUD,2026-03-01,1.1", "row 2, column currency: 'ÑZD' is no currency code of three letters"),
    "no base": ("NZD,,2026-03-01,1.1", "row 2, column base: '' is no currency code of three letters"),
    "itself": ("AUD,aud,2026-03-01,1", "row 2, column base: 'aud' is the currency itself"),
    "no date": ("NZD,AUD,,1.1", "row 2, column date: '' is no date; " + WRITE_DAY),
    "a date as people write it": ("NZD,AUD,1/3/2026,1.1", "row 2, column date: '1/3/2026' is no date; " + WRITE_DAY),
    "a day that does not exist": ("NZD,AUD,2026-02-30,1", "row 2, column date: '2026-02-30' is no date; " + WRITE_DAY),
    "no rate": ("NZD,AUD,2026-03-01,", "row 2, column rate: '' is no rate; " + WRITE_RATE),
    "nothing": ("NZD,AUD,2026-03-01,0", "row 2, column rate: '0' is no rate; " + WRITE_RATE),
    "too little": ("NZD,AUD,2026-03-01,0.0000004", "row 2, column rate: '0.0000004' is no rate; " + WRITE_RATE),
    "too much": ("NZD,AUD,2026-03-01,1000000000000", "row 2, column rate: '1000000000000' is no rate; " + WRITE_RATE),
    "a comma": ('NZD,AUD,2026-03-01,"1,08"', "row 2, column rate: '1,08' is no rate; " + WRITE_RATE),
    "a word": ("NZD,AUD,2026-03-01,NaN", "row 2, column rate: 'NaN' is no rate; " + WRITE_RATE),
    "without end": ("NZD,AUD,2026-03-01,Infinity", "row 2, column rate: 'Infinity' is no rate; " + WRITE_RATE),
    "a minus": ("NZD,AUD,2026-03-01,-1.1", "row 2, column rate: looks like a formula: -1.1"),
    "too many cells": ("NZD,AUD,2026-03-01,1.1,x", "row 2: 5 cells under 4 columns"),
    "the same day twice": (
        "NZD,AUD,2026-03-01,1.1\nnzd,aud,2026-03-01,1.2",
        "row 3, column currency: the same keys as row 2; remove one of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_rate_is_told_with_file_row_and_column(case: str) -> None:
    """Before anything is written."""
    row, told = MALFORMED[case]
    assert problems((HEADER + row).encode()) == [f"rates.csv, {told}"]


def test_every_problem_of_the_file_is_told_at_once_in_the_order_of_its_rows() -> None:
    """Whatever kind of problem each is."""
    text = "NZD,AUD,2026-03-01,x\n=1,AUD,2026-03-01,1\nUSD,AUD,2026-03-01,1\nUSD,AUD,2026-03-01,2\nEUR,EUR,2026-03-01,1"
    rows_ = [problem.split(",")[1] for problem in problems((HEADER + text).encode())]
    assert rows_ == [" row 2", " row 3", " row 5", " row 6"]


def test_a_missing_file_is_an_empty_table() -> None:
    """And a file without its columns is none."""
    assert read_rates(None).latest("NZD", "AUD", DAY) is None
    assert problems(b"currency,base,rate\n") == ["rates.csv, row 1, column date: the column is missing"]


# A custom field


def on_invoice(value: Any, caption: str = "Exchange Rate") -> list[tuple[str, list[CustomField]]]:
    return [("invoice", [CustomField(caption=caption, value=value)]), ("company", [])]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("1.0875", "1.0875"), (" 1.0875 ", "1.0875"), (Decimal("1.0875000"), "1.0875"), (1, "1"), (1.5, "1.5"),
        ("1.08754949", "1.087549"), ("1.0875495", "1.08755"), ("0.0000005", "0.000001"), ("1E+2", "100"),
        ("999999999999", "999999999999"),
    ],
)  # fmt: skip
def test_a_custom_field_gives_the_rate_to_six_decimals(value: Any, sent: str) -> None:
    """As text or as a number, halves away from zero, as Xero keeps it."""
    found = rate("custom_field", fields=on_invoice(value))
    assert (str(found.value), found.source, found.row) == (sent, "'Exchange Rate' of the invoice", None)


@pytest.mark.parametrize(
    ("value", "sent"), [("0.92", "1.086957"), ("2", "0.5"), ("3", "0.333333"), ("1", "1"), ("1000000", "0.000001")]
)
def test_a_rate_that_is_meant_the_other_way_round_is_turned(value: str, sent: str) -> None:
    """base_per_foreign: its reciprocal, to six decimals."""
    found = rate("custom_field", fields=on_invoice(value), meaning="base_per_foreign")
    assert str(found.value) == sent


@pytest.mark.parametrize(
    "value", ["abc", "0", "-1.1", "1,08", "NaN", "Infinity", True, "0.0000004", "1e12", "1e99999", "1e-1000020"]
)
@pytest.mark.parametrize("meaning", ["foreign_per_base", "base_per_foreign"])
def test_what_is_no_rate_is_held_and_not_looked_for_elsewhere(value: Any, meaning: str) -> None:
    """Somebody wrote something there: to pass it over would be a guess."""
    fields = [on_invoice(value)[0], ("company", [CustomField(caption="Exchange Rate", value="1.1")])]
    found = asked("custom_field", fields=fields, meaning=meaning)
    if value == "0.0000004" and meaning == "base_per_foreign":
        assert rate("custom_field", fields=fields, meaning=meaning).value == 2_500_000
        return
    assert (held(found).reason, held(found).value) == (Reason.MISSING_RATE, str(value))
    assert held(found).message == f"'Exchange Rate' of the invoice says {str(value)!r}, and that is no exchange rate."
    assert held(found).fix == "Correct 'Exchange Rate' of the invoice in ConnectWise."


def test_a_long_text_in_the_field_is_shortened() -> None:
    """Sixty characters of it are enough for a message."""
    found = held(asked("custom_field", fields=on_invoice("x" * 61)))
    assert found.value == "x" * 60
    assert f"says '{'x' * 60}', and" in found.message


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_field_of_the_document_leaves_it_to_the_company(empty: Any) -> None:
    """The document first, then the company; the source says which."""
    fields = [on_invoice(empty)[0], ("company", [CustomField(caption="exchange rate", value="1.1")])]
    found = rate("custom_field", fields=fields)
    assert (found.value, found.source) == (Decimal("1.1"), "'Exchange Rate' of the company")
    both = [on_invoice("1.2")[0], fields[1]]
    assert rate("custom_field", fields=both).value == Decimal("1.2")


def test_the_field_is_the_one_that_policy_names() -> None:
    """By its caption in any case; another field is not it."""
    fields = on_invoice("1.1", caption="fx RATE")
    assert rate("custom_field", fields=fields, field="FX Rate").value == Decimal("1.1")
    assert isinstance(asked("custom_field", fields=fields), Hold)


@pytest.mark.parametrize(
    ("meaning", "way"), [("foreign_per_base", "NZD per 1 AUD"), ("base_per_foreign", "AUD per 1 NZD")]
)
def test_an_empty_field_is_held_with_what_to_fill_in(meaning: str, way: str) -> None:
    """Which field, on which records, and which way round."""
    found = held(asked("custom_field", fields=on_invoice(None), meaning=meaning))
    assert (found.reason, found.value) == (Reason.MISSING_RATE, "NZD")
    assert found.message == (
        "The document is in NZD and the books are in AUD; 'Exchange Rate' is empty (invoice and company)."
    )
    assert found.fix == f"Fill 'Exchange Rate' in ConnectWise: {way}."


# Elsewhere


def test_xeros_own_rate_is_taken_only_when_policy_says_so() -> None:
    """No figure is sent, and the source is said all the same."""
    assert rate("xero_day_rate") == Rate(None, "Xero's rate of the day")


def test_without_a_source_a_foreign_document_is_held() -> None:
    """ConnectWise has no rate, and nobody guesses one: neither from the table nor from a field."""
    found = held(asked("none", fields=on_invoice("1.1")))
    assert (found.reason, found.value) == (Reason.MISSING_RATE, "NZD")
    assert found.message == (
        "The document is in NZD and the books are in AUD; policy names no source for a rate between them."
    )
    assert found.fix == (
        'Set source under [currency] in policy.toml: "rates_table", "custom_field", or "xero_day_rate" to let Xero '
        "take its own rate of the day."
    )


@pytest.mark.parametrize("source", ["rates_table", "custom_field", "xero_day_rate"])
def test_only_the_source_of_the_policy_is_asked(source: str) -> None:
    """A rate that is known elsewhere is not taken instead."""
    text = "" if source == "rates_table" else ROWS
    fields = on_invoice(None) if source == "custom_field" else on_invoice("1.1")
    found = asked(source, text=text, fields=fields)
    assert isinstance(found, Hold) is (source != "xero_day_rate")


# Any number


@pytest.mark.parametrize(
    ("number", "kept"), [("999999999999", "999999999999"), ("1000000000000", None), ("1E-7", None)]
)
def test_a_rate_has_eighteen_digits_at_most(number: str, kept: str | None) -> None:
    """Six of them decimals: what does not fit is none."""
    found = at_six_places(Decimal(number))
    assert (None if found is None else str(found)) == kept


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.text(max_size=8) | st.booleans() | st.none())
def test_a_number_is_positive_finite_and_not_too_large_or_it_is_none(value: Any) -> None:
    """Whatever a person types."""
    number = number_of(value)
    assert number is None or (number.is_finite() and 0 < number < 10**12 and 0 < 1 / number < 10**12)


@given(st.decimals(Decimal("1e-9"), Decimal("1e13"), allow_nan=False, allow_infinity=False))
def test_a_rate_moves_by_half_a_millionth_at_most(number: Decimal) -> None:
    """Written without exponent; where nothing of it is left, or it is too much, it is no rate."""
    found = at_six_places(number)
    if found is None:
        assert number < Decimal("0.0000005") or number >= 10**12
        return
    assert abs(Fraction(found) - Fraction(number)) <= Fraction(1, 2_000_000)
    assert number < 10**12
    assert "E" not in str(found)
    assert found == at_six_places(found)
