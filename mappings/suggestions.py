"""Lines to paste for values that no table covers, with the nearest names in Xero. Suggested to a person, never written.

A cell is filled in where one name is close and no other is as close; otherwise it stays `<...>` and the nearest are
named beside it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz, utils

from mappings.coverage import Uncovered
from mappings.csv_tables import (
    ACCOUNTS,
    CONTACTS,
    FORMULA,
    LAYOUTS,
    ORGANISATIONS,
    PAYMENT_ACCOUNTS,
    RATES,
    TAXES,
    TRACKING,
    Table,
)
from mappings.payments import refused
from mappings.surroundings import Tables
from mappings.table_checks import usual_classes
from mappings.xero import CLASSES, Books, TaxRate, fold

CLOSE = 90
"""A score (of 100) from which a name is put into the line: near enough for a person to read it over."""
NEAR = 50
SHOWN = 3
"""As many candidates are named, and none that is further away than NEAR."""
PASTE = re.compile(r"\badd to (\S+\.csv): (.+?)(?: \([A-Z]{3} per 1 [A-Z]{3}\))?$", re.IGNORECASE | re.MULTILINE)
"""The line in the cure of a held record."""

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in Xero that a line may mean: its name for people, how near it is (0 to 100), the cells that say it."""

    name: str
    score: int
    cells: Cells


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A line for a file (its columns in `header`), for an uncovered value, and the nearest candidates, best first."""

    file: str
    header: str
    line: str
    uncovered: Uncovered
    candidates: tuple[Candidate, ...]


def suggestions(uncovered: Iterable[Uncovered], tables: Tables, books: Mapping[str, Books]) -> list[Suggestion]:
    """A suggestion for every line that a cure asks for. A value whose cure is in Xero or ConnectWise has none."""
    return [
        _suggestion(file, line, each, tables, books)
        for each in uncovered
        for file, line in dict.fromkeys(PASTE.findall(each.fix))
    ]


def _suggestion(file: str, line: str, uncovered: Uncovered, tables: Tables, books: Mapping[str, Books]) -> Suggestion:
    columns = _columns(file, tables)
    cells = dict(zip(columns, next(csv.reader([line])), strict=True))
    if file == ACCOUNTS.file:
        cells |= dict.fromkeys(_too_special(cells, tables.accounts), "")
    named = _candidates(file, cells, uncovered.value, tables, books) if "<" in line else []
    if named and named[0].score >= max([CLOSE, *(other.score + 1 for other in named[1:2])]):
        left = {name: "" if cell.startswith("<") else cell for name, cell in cells.items()}
        cells = left | dict(named[0].cells)
    return Suggestion(file, _written(columns), _written(cells.values()), uncovered, tuple(named[:SHOWN]))


def _columns(file: str, tables: Tables) -> tuple[str, ...]:
    """The columns of a file as they stand there; where there is no such file yet, those that it is to have."""
    if file == RATES.file:
        return tables.rates.columns or (*RATES.keys, *RATES.values)
    layout = next(one for one in LAYOUTS if one.file == file)
    kept = (
        tables.organisations, tables.accounts, tables.taxes, tables.tracking, tables.contacts, tables.payment_accounts,
    )  # fmt: skip
    columns = next(table.columns for table in kept if table.layout is layout)
    return columns or (*layout.keys, *layout.values)


def _too_special(cells: Cells, accounts: Table) -> list[str]:
    """The columns that no other row for such lines fills: who has no rows by item is not given one for each item."""
    alike = [
        row
        for row in accounts.rows
        if all(fold(row.values[name]) in ("", "*", fold(cells[name])) for name in ("organisation", "side", "kind"))
    ]
    return [name for name in ("category", "item") if all(row.values[name] in ("", "*") for row in alike)]


def _written(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def _candidates(file: str, cells: Cells, value: str, tables: Tables, books: Mapping[str, Books]) -> list[Candidate]:
    """What the open cells of a line may mean, nearest first."""
    if file == ORGANISATIONS.file:
        return _nearest([cells["location"]], ((name, name, {"organisation": name}) for name in books))
    ours = books.get(cells.get("organisation", ""))
    if ours is None:
        return []
    if file == CONTACTS.file:
        return _nearest([value], _contacts(ours), fuzz.token_sort_ratio)
    if file == ACCOUNTS.file:
        own = [cells["item"], cells["category"]]
        return _nearest(own if any(own) else [cells["kind"]], _accounts(cells, ours))
    if file == TAXES.file:
        return _tax_types(cells, ours)
    if file == PAYMENT_ACCOUNTS.file:
        return _payment_accounts(cells, ours)
    if file == TRACKING.file:
        return _nearest([cells["value"]], _options(cells, ours, tables))
    return []


Choices = Iterable[tuple[str, str, Cells]]
"""What may be meant: the name that is compared, the name that people are shown, and the cells that name it."""


def _nearest(wanted: Iterable[str], choices: Choices, scorer: Callable[..., float] = fuzz.WRatio) -> list[Candidate]:
    """The choices that are near any of the wanted names, nearest first; equally near ones stay in their order."""
    texts = [text for text in wanted if text]
    scored = [
        Candidate(
            shown,
            round(max((scorer(text, name, processor=utils.default_process) for text in texts), default=0)),
            cells,
        )
        for name, shown, cells in choices
        # A cell that looks like a formula cannot stand in a table.
        if not any(cell.startswith(FORMULA) for cell in cells.values())
    ]
    return sorted((one for one in scored if one.score >= NEAR), key=lambda one: -one.score)


def _contacts(books: Books) -> Choices:
    """The active contacts; one whose name is not its own alone, or no cell, goes by its id."""
    for contact in books.contacts.by_id.values():
        if contact.status != "ACTIVE":
            continue
        namesakes = [one for one in books.contacts.named(contact.name) if one.status == "ACTIVE"]
        by_name = len(namesakes) == 1 and not contact.name.startswith(FORMULA)
        number = contact.account_number or "none"
        yield (
            contact.name,
            f"{contact.name} (account number {number}{'' if by_name else f', contact_id {contact.contact_id}'})",
            {"contact_name": contact.name} if by_name else {"contact_id": contact.contact_id},
        )


def _accounts(cells: Cells, books: Books) -> Choices:
    """The accounts that such a line may go to and usually does."""
    usual = usual_classes(cells["side"], cells["kind"])
    for account in books.accounts.values():
        if account.code and not account.refusal and account.account_class in usual:
            yield account.name, f"{account.code} {account.name}", {"account_code": account.code}


def _payment_accounts(cells: Cells, books: Books) -> list[Candidate]:
    """The accounts that take such a payment, by the payment's own account; the only one is as near as can be."""
    currency = cells["currency"]
    fitting = [each for each in books.accounts.values() if each.code and not refused(each.code, currency, books)]
    choices = [(one.name, f"{one.code} {one.name}", {"account_code": one.code}) for one in fitting]
    if len(choices) == 1:
        ((_, shown, named),) = choices
        return [Candidate(shown, 100, named)]
    return _nearest([cells["payment_account"]], choices)


def _tax_types(cells: Cells, books: Books) -> list[Candidate]:
    """The tax types that such a line may have. One without tax is for a taxable line only where none with tax is close.

    (Tax that ConnectWise did not charge would be held all the same.)
    """
    classes = {CLASSES[name] for name in usual_classes(cells["side"], "")}
    may = [rate for rate in books.tax_rates.values() if rate.status == "ACTIVE" and classes & rate.applies_to]

    def nearest(rates: Iterable[TaxRate]) -> list[Candidate]:
        choices = ((one.name, f"{one.tax_type} ({one.name})", {"tax_type": one.tax_type}) for one in rates)
        return _nearest([cells["tax_code"]], choices)

    if cells["taxable"] == "no":
        return nearest(rate for rate in may if not rate.rate)
    taxed = nearest(rate for rate in may if rate.rate)
    return taxed if taxed and taxed[0].score >= CLOSE else nearest(may)


def _options(cells: Cells, books: Books, tables: Tables) -> Choices:
    """The active options of the categories that rows of this source lead to, or of all where there is none yet."""
    led_to = {
        fold(row.values["tracking_category"])
        for row in tables.tracking.rows
        if fold(row.values["source"]) in ("", "*", cells["source"])
    }
    active = [category for category in books.tracking.values() if category.status == "ACTIVE"]
    for category in [one for one in active if fold(one.name) in led_to] or active:
        for option, status in category.options.values():
            if status == "ACTIVE":
                cell = {"tracking_category": category.name, "option": option}
                yield option, f"{category.name}: {option}", cell
