"""The client's mapping tables: read, checked, and looked up by specificity (contract, section 3).

A table maps a few key columns to a few value columns. A blank or `*` cell fits everything, `(none)` only an empty
value, digits only an id, other text an identifier or a name without regard to case. The row with the most filled
cells wins. A look-up costs the same for ten rows as for ten thousand: rows are kept in one dictionary per set of
filled columns.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from mappings.connectwise import Reference

ANY = ""
NONE = "(none)"
FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet would run; a record whose name begins so is named by its id."""


@dataclass(frozen=True, slots=True)
class TableProblem:
    """What is wrong with a table, and where; `row` counts as a spreadsheet does (the header is row 1)."""

    file: str
    row: int
    column: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}, row {self.row}" if self.row else self.file
        return f"{place}, column {self.column}: {self.message}" if self.column else f"{place}: {self.message}"


class TablesUnusable(Exception):
    """The tables (or policy.toml) cannot be used as they are. Nothing has been written anywhere."""

    def __init__(self, problems: list[TableProblem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's file name and its columns; `words` are the only ones that some of its key columns know."""

    file: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    required: bool = False
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()


SIDES = ("side", ("sales", "purchases"))
KINDS = (
    "product", "service", "expense", "agreement", "adjustment", "progress", "special", "down_payment", "freight",
    "rounding",
)  # fmt: skip

ORGANISATIONS = Layout(
    "organisations.csv", ("location", "department", "company", "staff", "tag"), ("organisation",), required=True
)
ACCOUNTS = Layout(
    "accounts.csv",
    ("organisation", "side", "kind", "category", "item"),
    ("account_code", "item_code"),
    required=True,
    words=(SIDES, ("kind", KINDS)),
)
TAXES = Layout(
    "taxes.csv",
    ("organisation", "side", "tax_code", "taxable"),
    ("tax_type",),
    required=True,
    words=(SIDES, ("taxable", ("yes", "no"))),
)
TRACKING = Layout(
    "tracking.csv",
    ("organisation", "side", "source", "value"),
    ("tracking_category", "option"),
    words=(SIDES, ("source", ("category", "work_type", "staff", "department", "location"))),
)
CONTACTS = Layout(
    "contacts.csv",
    ("organisation", "role", "company"),
    ("contact_id", "account_number", "contact_name"),
    words=(("role", ("customer", "supplier")),),
)

PAYMENT_ACCOUNTS = Layout("payment_accounts.csv", ("organisation", "currency", "payment_account"), ("account_code",))

RATES = Layout("rates.csv", ("currency", "base", "date"), ("rate",))

LAYOUTS = (ORGANISATIONS, ACCOUNTS, TAXES, TRACKING, CONTACTS, PAYMENT_ACCOUNTS)
"""Tables that are looked up by specificity; rates.csv is looked up by date (mappings/rates.py)."""


class Value(NamedTuple):
    """What a record holds in one key column: an id and the texts by which people know it. Both empty: nothing.

    A named tuple: answers are remembered by the values that were asked for, and its hash is not worked out in Python.
    """

    id: int | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, reference: Reference | None, id_alone: int | None = None) -> Value:
        """The value of a ConnectWise reference (or of a bare id, where the reference itself was left out)."""
        if reference is None:
            return NOTHING if id_alone is None else cls(id_alone)
        return _value(reference.id if reference.id is not None else id_alone, reference.identifier, reference.name)

    @classmethod
    @lru_cache(maxsize=1024)  # a few words (sides, kinds, organisations), asked for with every line
    def text(cls, text: str) -> Value:
        """A value that is nothing but a text."""
        return cls(None, (text,) if text else ())

    @property
    def known(self) -> bool:
        """False where the record holds nothing."""
        return self.id is not None or bool(self.texts)

    def cells(self) -> tuple[str, ...]:
        """The cells that fit this value, each in the form in which the index keeps them.

        Digits fit the id alone; a value without an id (an organisation, a tag) is all text, digits or not.
        """
        if self == NOTHING:
            return (NONE,)
        if self.id is None:
            return tuple(_cell(text) for text in self.texts if fold_cell(text) != NONE)
        return (str(self.id), *filter(None, map(_spelling, self.texts)))

    def shown(self) -> str:
        """What a person types into the cell to mean this value: the identifier, else the name, else the id."""
        typed = (" ".join(text.split()) for text in self.texts if _spelling(text) and not text.startswith(FORMULA))
        return next(typed, NONE if self == NOTHING else str(self.id) if self.id is not None else self.texts[0])


NOTHING = Value()
"""The value of a column in which the record holds nothing."""


@lru_cache(maxsize=4096)  # most records name the same companies, people and items
def _value(number: int | None, *texts: str) -> Value:
    return Value(number, tuple(text for text in texts if text))


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    file: str
    number: int
    values: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.file} row {self.number}"

    @cached_property
    def cited(self) -> str:
        """The row with what it says: the file may be another one by the time somebody asks."""
        return f"{self}: {' '.join(','.join(self.values.values()).split())}"


class AmbiguousRows(Exception):
    """Two rows fit equally well."""

    def __init__(self, first: Row, second: Row) -> None:
        self.first = first
        self.second = second
        super().__init__(f"{first} and {second}")


MOST_REMEMBERED = 10_000
"""Answers that a table remembers: lines of one MSP ask the same few questions thousands of times."""


@dataclass
class Table:
    """A table, indexed for look-up; `columns` as they stand in the client's file."""

    layout: Layout
    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    _by_filled: dict[tuple[int, ...], dict[tuple[str, ...], Row]] = field(default_factory=dict)
    _known_cells: dict[int, set[str]] = field(default_factory=dict)
    _found: dict[tuple[Value | tuple[Value, ...], ...], Row | None] = field(default_factory=dict)
    _named: dict[tuple[str, tuple[tuple[str, Value], ...]], frozenset[str]] = field(default_factory=dict)

    def add(self, keys: tuple[str, ...], row: Row) -> Row | None:
        """Index a row; returns the row that has the same keys already, if there is one."""
        cells = tuple(_cell(text) for text in keys)
        filled = tuple(column for column, cell in enumerate(cells) if cell != ANY)
        key = tuple(cells[column] for column in filled)
        index = self._by_filled.setdefault(filled, {})
        if key in index:
            return index[key]
        index[key] = row
        for column in filled:
            self._known_cells.setdefault(column, set()).add(cells[column])
        self._found.clear()
        self._named.clear()
        self.rows.append(row)
        return None

    def uses(self, column: str) -> bool:
        """Whether any row has something in this key column."""
        return self.layout.keys.index(column) in self._known_cells

    def named(self, column: str, **wanted: Value) -> frozenset[str]:
        """Every value (case folded) that rows which may fit these keys have in a value column."""
        asked = (column, tuple(wanted.items()))
        if asked not in self._named:
            cells = {name: (ANY, *value.cells()) for name, value in wanted.items()}
            self._named[asked] = frozenset(
                fold_cell(row.values[column])
                for row in self.rows
                if all(_cell(row.values[name]) in fitting for name, fitting in cells.items())
            )
        return self._named[asked]

    def find(self, **wanted: Value | tuple[Value, ...]) -> Row | None:
        """The most specific row that fits, or None. Several values for a column are tried in their order.

        Raises AmbiguousRows when two rows fit equally well.
        """
        asked = tuple([wanted.get(name, NOTHING) for name in self.layout.keys])
        try:
            return self._found[asked]
        except KeyError:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            found = self._found[asked] = self._find(wanted)
            return found

    def _find(self, wanted: Mapping[str, Value | tuple[Value, ...]]) -> Row | None:
        fitting: list[list[tuple[int, str]]] = []
        for column, name in enumerate(self.layout.keys):
            given = wanted.get(name, NOTHING)
            known = self._known_cells.get(column, ())
            alternatives = (given,) if isinstance(given, Value) else given
            alternatives = tuple(value for value in alternatives if value != NOTHING) or (NOTHING,)
            fitting.append(
                [(rank, cell) for rank, value in enumerate(alternatives) for cell in value.cells() if cell in known]
            )
        best: dict[int, tuple[int, Row]] = {}
        most = -1
        for filled, index in self._by_filled.items():
            if len(filled) < most:
                continue
            for choice in itertools.product(*(fitting[column] for column in filled)):
                row = index.get(tuple(cell for _, cell in choice))
                if row is None:
                    continue
                if len(filled) > most:
                    most, best = len(filled), {}
                rank = sum(place for place, _ in choice)
                known_rank = best.get(row.number)
                if known_rank is None or rank < known_rank[0]:
                    best[row.number] = (rank, row)
        if not best:
            return None
        ranked = sorted(best.values(), key=lambda entry: (entry[0], entry[1].number))
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            raise AmbiguousRows(ranked[0][1], ranked[1][1])
        return ranked[0][1]

    def line(self, **cells: str) -> str:
        """The line that a person pastes below this table, with what is known filled in."""
        out = io.StringIO()
        columns = self.columns or (*self.layout.keys, *self.layout.values)
        csv.writer(out, lineterminator="").writerow(cells.get(name, "") for name in columns)
        return out.getvalue()


def read_table(layout: Layout, content: bytes | None) -> Table:
    """Parse one CSV file (None: it does not exist). Raises TablesUnusable with every problem of the file."""
    columns, rows, problems = read_rows(layout, content)
    table = Table(layout, columns)
    for row in rows:
        twin = table.add(tuple(row.values[name] for name in layout.keys), row)
        if twin is not None:
            problems.append(same_keys(row, twin))
    if problems:
        raise TablesUnusable(sorted(problems, key=lambda problem: problem.row))
    return table


def same_keys(row: Row, twin: Row) -> TableProblem:
    """Two rows that answer the same question."""
    column = next(iter(row.values))
    return TableProblem(row.file, row.number, column, f"the same keys as row {twin.number}; remove one of them")


def read_rows(layout: Layout, content: bytes | None) -> tuple[tuple[str, ...], list[Row], list[TableProblem]]:
    """The columns of a CSV file as they stand there, its usable rows, and what is wrong with the others.

    Raises TablesUnusable where nothing of it can be read.
    """
    if content is None:
        if layout.required:
            raise TablesUnusable([TableProblem(layout.file, 0, "", "the file is missing; `tieout setup` writes one")])
        return (), [], []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TablesUnusable([_not_utf8(layout, error.object[: error.start])]) from error
    rows: list[Row] = []
    problems: list[TableProblem] = []
    # Rows are counted, not lines: a cell may hold line ends.
    number = 1
    header: list[str] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if unusable := _header_problems(layout, header):
            raise TablesUnusable(unusable)
        for number, cells in enumerate(reader, start=2):
            row = _read_row(layout, header, cells, number)
            if isinstance(row, TableProblem):
                problems.append(row)
            elif row is not None:
                rows.append(row)
    except csv.Error as error:
        # A quote that is never closed swallows all that follows: the row is the one after the last that was whole.
        row_number = number + 1 if header else number
        problems.append(TableProblem(layout.file, row_number, "", f"not readable as CSV: {error}"))
    return tuple(header), rows, problems


def _not_utf8(layout: Layout, before: bytes) -> TableProblem:
    """Where the first byte stands that is no UTF-8; `before` is what precedes it."""
    rows = list(csv.reader(io.StringIO(before.decode("utf-8-sig") + "?", newline="")))
    column = len(rows[-1]) - 1
    name = rows[0][column].strip().lower() if len(rows) > 1 and column < len(rows[0]) else ""
    return TableProblem(layout.file, len(rows), name, "not UTF-8; save the sheet as 'CSV UTF-8'")


def _header_problems(layout: Layout, header: list[str]) -> list[TableProblem]:
    allowed = (*layout.keys, *layout.values)
    if len(header) == 1 and (other := next((mark for mark in (";", "\t") if mark in header[0]), "")):
        found = "semicolons" if other == ";" else "tabs"
        return [TableProblem(layout.file, 1, "", f"the columns are separated by {found}; commas are needed")]
    problems = [TableProblem(layout.file, 1, name, "the column is missing") for name in allowed if name not in header]
    for name in dict.fromkeys(header):
        if name not in (*allowed, "note"):
            listed = ", ".join(allowed)
            shown = name or "(no name)"
            problems.append(TableProblem(layout.file, 1, shown, f"unknown column; allowed: {listed}, note"))
        if header.count(name) > 1:
            problems.append(TableProblem(layout.file, 1, name or "(no name)", "the column is there twice"))
    return problems


def _read_row(layout: Layout, header: list[str], cells: list[str], number: int) -> Row | TableProblem | None:
    """One row; None where it is empty."""
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) > len(header):
        return TableProblem(layout.file, number, "", f"{len(cells)} cells under {len(header)} columns")
    given = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    for name, cell in given.items():
        if name != "note" and cell.startswith(FORMULA):
            return TableProblem(layout.file, number, name, f"looks like a formula: {cell[:40]}")
    values = {name: given.get(name, "") for name in (*layout.keys, *layout.values)}
    for name, words in layout.words:
        if _cell(values[name]) not in (ANY, *words):
            allowed = ", ".join(words)
            return TableProblem(layout.file, number, name, f"{values[name]!r} is none of {allowed}, or blank")
    return Row(layout.file, number, values)


def fold_cell(text: str) -> str:
    """Text as cells are compared: case and runs of blanks do not count."""
    return " ".join(text.casefold().split())


def is_id(text: str) -> bool:
    """Whether a cell means an id: digits and nothing else."""
    return text.isascii() and text.isdigit()


def _spelling(text: str) -> str:
    """The cell that means this text; '' for what means something else there: an id, anything, or nothing."""
    folded = fold_cell(text)
    return "" if folded in ("*", NONE) or is_id(folded) else folded


def _cell(text: str) -> str:
    text = text.strip()
    if text in ("", "*"):
        return ANY
    if is_id(text):
        return text.lstrip("0") or "0"
    return fold_cell(text)
