"""The client's tables: what they may contain, what is wrong with them, and which row fits (contract, section 3)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from mappings.connectwise import Reference
from mappings.csv_tables import (
    ACCOUNTS,
    CONTACTS,
    LAYOUTS,
    MOST_REMEMBERED,
    NOTHING,
    ORGANISATIONS,
    TAXES,
    AmbiguousRows,
    Layout,
    Row,
    Table,
    TablesUnusable,
    Value,
    read_table,
)


def organisations(*rows: str) -> Table:
    header = ",".join((*ORGANISATIONS.keys, *ORGANISATIONS.values))
    return read_table(ORGANISATIONS, "\n".join((header, *rows)).encode())


def place(number: int | None = 11, name: str = "Sydney", identifier: str = "") -> Value:
    return Value.of(Reference(id=number, name=name, identifier=identifier))


def number_of(table: Table, **wanted: Value | tuple[Value, ...]) -> int | None:
    row = table.find(**wanted)
    return row.number if row else None


def problems_of(layout: Layout, content: bytes | None) -> list[str]:
    with pytest.raises(TablesUnusable) as caught:
        read_table(layout, content)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


# Which cell fits


@pytest.mark.parametrize(
    ("cell", "fits"),
    [
        ("Sydney", True),
        ("SYDNEY", True),
        ("  sydney  ", True),
        ("syd", True),
        ("11", True),
        ("011", True),
        ("", True),
        ("*", True),
        ("Sydney office", False),
        ("12", False),
        ("(none)", False),
        ("Syd*", False),
    ],
)
def test_a_cell_fits_by_id_identifier_or_name(cell: str, fits: bool) -> None:
    """Digits are the id, other text the identifier or the name without regard to case, blank and `*` anything."""
    table = organisations(f"{cell},,,,,Sydney")
    assert (table.find(location=place(11, "Sydney", "SYD")) is not None) is fits


@pytest.mark.parametrize(("cell", "fits"), [("", True), ("*", True), ("(none)", True), ("(NONE)", True), ("11", False)])
def test_an_empty_value_fits_blank_and_none_only(cell: str, fits: bool) -> None:
    """`(none)` is how a table speaks of a record that has nothing there."""
    table = organisations(f"{cell},,,,,Sydney")
    assert (table.find(location=NOTHING) is not None) is fits
    assert (table.find() is not None) is fits


def test_digits_never_fit_a_name_that_looks_like_a_number() -> None:
    """A location called '12' with the id 11 is meant by 11, and 12 is another one."""
    assert organisations("12,,,,,Sydney").find(location=place(11, "12")) is None
    assert organisations("11,,,,,Sydney").find(location=place(11, "12")) is not None


def test_a_value_without_an_id_is_text_digits_or_not() -> None:
    """A tag or an organisation has no id; '2024' means itself."""
    assert organisations(",,,,2024,Sydney").find(tag=Value.text("2024")) is not None


@pytest.mark.parametrize("name", ["(none)", "*", " "])
def test_a_name_that_means_something_else_in_a_cell_is_no_name(name: str) -> None:
    """A company really called '(none)' is not the same as no company."""
    assert organisations("(none),,,,,Sydney").find(location=place(11, name)) is None
    assert place(11, name).shown() == "11"


@pytest.mark.parametrize("name", ["٣", "²", "Ⅷ", "３"])
def test_only_plain_digits_are_an_id(name: str) -> None:
    """A figure of another script is a name like any other."""
    assert organisations(f"{name},,,,,Sydney").find(location=place(11, name)) is not None
    assert place(11, name).shown() == name


def test_an_id_may_be_nothing_but_zeros() -> None:
    """000 is 0, and not any id."""
    assert organisations("000,,,,,Sydney").find(location=place(0, "")) is not None
    assert organisations("000,,,,,Sydney").find(location=place()) is None


def test_a_value_is_made_of_what_the_record_has() -> None:
    """A reference, a bare id beside it or instead of it, a text, or nothing at all."""
    sydney = Reference(name="Sydney", identifier="SYD")
    assert Value.of(None) == Value.of(Reference()) == Value.text("") == NOTHING
    assert Value.of(None, 11) == Value.of(Reference(), 11) == Value(11)
    assert Value.of(sydney, 11) == Value(11, ("SYD", "Sydney"))
    assert Value.of(Reference(id=12, name="Perth"), 11) == Value(12, ("Perth",))


def test_a_tag_called_none_is_a_tag() -> None:
    """And not the absence of one."""
    table = organisations(",,,,(none),One", ",,,,*,Two")
    assert number_of(table, tag=Value.text("(none)")) == 3
    assert number_of(table, tag=NOTHING) == 2


def test_blanks_inside_a_name_count_once() -> None:
    """Two blanks, a tab and a non-breaking space are what people cannot see."""
    assert organisations("North  Sydney,,,,,Sydney").find(location=place(11, "north\u00a0sydney")) is not None


def test_very_many_digits_are_an_id_that_nobody_has() -> None:
    """A pasted bar code stops nothing."""
    assert organisations(f"{'9' * 5000},,,,,Sydney").find(location=place()) is None


# Which row wins


def test_the_most_specific_row_wins() -> None:
    """The number of cells that are neither blank nor `*` decides, wherever the row stands."""
    table = organisations("Sydney,Projects,,,,Three", ",,,,,One", "Sydney,*,,,,Two", "Sydney,Projects,ACME,,,Four")
    department = Value.of(Reference(id=4, name="Projects"))
    acme = Value.of(Reference(id=101, identifier="ACME"))
    assert number_of(table) == 3
    assert number_of(table, location=place()) == 4
    assert number_of(table, location=place(), department=department) == 2
    assert number_of(table, location=place(), department=department, company=acme) == 5
    assert number_of(table, department=department) == 3


def test_a_tie_names_both_rows() -> None:
    """Nobody can say which of two equally specific rows is meant, so nobody guesses."""
    table = organisations("Sydney,,,,,One", ",Projects,,,,Two")
    with pytest.raises(AmbiguousRows) as caught:
        table.find(location=place(), department=Value.of(Reference(id=4, name="Projects")))
    assert (caught.value.first.number, caught.value.second.number) == (2, 3)
    assert str(caught.value) == "organisations.csv row 2 and organisations.csv row 3"


def test_a_row_by_id_and_a_row_by_name_tie() -> None:
    """Both fit the same record equally well."""
    with pytest.raises(AmbiguousRows):
        organisations("11,,,,,One", "Sydney,,,,,Two").find(location=place())


def test_a_tie_of_losers_does_not_matter() -> None:
    """A more specific third row settles it."""
    table = organisations("Sydney,,,,,One", ",Projects,,,,Two", "Sydney,Projects,,,,Three")
    assert number_of(table, location=place(), department=Value.of(Reference(id=4, name="Projects"))) == 4


def test_one_row_that_fits_twice_is_no_tie() -> None:
    """Identifier and name may be the same word."""
    assert number_of(organisations("Sydney,,,,,One"), location=place(11, "Sydney", "SYDNEY")) == 2


def test_none_is_more_specific_than_blank() -> None:
    """A row for records without a department beats the row for all."""
    table = organisations("Sydney,,,,,One", "Sydney,(none),,,,Two")
    assert number_of(table, location=place()) == 3
    assert number_of(table, location=place(), department=Value.of(Reference(id=4, name="Projects"))) == 2


def accounts(*rows: str) -> Table:
    return read_table(
        ACCOUNTS, "\n".join(("organisation,side,kind,category,item,account_code,item_code", *rows)).encode()
    )


WORK_TYPE, WORK_ROLE = Value.of(Reference(id=1, name="Remote")), Value.of(Reference(id=2, name="Engineer"))


@pytest.mark.parametrize(
    ("category", "row"),
    [
        ((WORK_TYPE, WORK_ROLE), 2),
        ((WORK_ROLE, WORK_TYPE), 3),
        ((NOTHING, WORK_ROLE), 3),
        ((WORK_TYPE, NOTHING), 2),
        ((Value.text("Onsite"), WORK_ROLE), 3),
        ((Value.text("Onsite"), Value.text("Apprentice")), 4),
        ((NOTHING, NOTHING), 5),
        ((NOTHING,), 5),
    ],
)
def test_alternatives_are_tried_in_their_order(category: tuple[Value, ...], row: int) -> None:
    """Work type before work role, subcategory before category; `(none)` only when all of them are empty."""
    table = accounts(
        ",sales,service,Remote,,201,", ",sales,service,Engineer,,202,", ",sales,service,,,200,",
        ",sales,service,(none),,203,",
    )  # fmt: skip
    assert number_of(table, side=Value.text("sales"), kind=Value.text("service"), category=category) == row


def test_specificity_beats_the_order_of_alternatives() -> None:
    """A row with more cells wins even if it fits by the second alternative."""
    table = accounts(",sales,service,Remote,,201,", "Sydney,sales,service,Engineer,,202,")
    wanted = {"organisation": Value.text("Sydney"), "side": Value.text("sales"), "kind": Value.text("service")}
    assert number_of(table, category=(WORK_TYPE, WORK_ROLE), **wanted) == 3


def test_a_row_that_fits_by_two_alternatives_counts_by_the_first() -> None:
    """'Remote' is both here, so it fits as well as the row for the work type's id: nobody can say which is meant."""
    table = accounts(",sales,service,Remote,,201,", ",sales,service,1,,202,")
    both = (Value(1, ("Remote",)), Value(2, ("Remote",)))
    with pytest.raises(AmbiguousRows):
        table.find(side=Value.text("sales"), kind=Value.text("service"), category=both)


def test_a_table_without_rows_fits_nothing() -> None:
    """An empty table is a table."""
    assert organisations().find(location=place()) is None


class Counting(dict[Any, Any]):
    """A dictionary that counts how often it is asked."""

    asked = 0

    def get(self, key: Any, default: Any = None, /) -> Any:
        Counting.asked += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("a look-up must not walk through the rows")

    values = items = keys = __iter__  # type: ignore[assignment]


@pytest.mark.parametrize("rows", [10, 10_000])
def test_a_look_up_costs_the_same_for_ten_rows_and_ten_thousand(rows: int) -> None:
    """Counted, not timed: one question per set of filled columns and spelling, and no walk through the rows."""
    table = organisations(
        ",,,,,One", "Sydney,,,,,Two", *(f"Sydney,,C{number},,,Three" for number in range(rows))
    )  # fmt: skip
    table._by_filled = {filled: Counting(index) for filled, index in table._by_filled.items()}
    Counting.asked = 0
    company = Value.of(Reference(id=7, identifier="C7", name="Seventh"))
    assert number_of(table, location=place(), company=company) == 11
    assert Counting.asked <= 3


def test_what_a_table_remembers_is_never_out_of_date_and_never_grows_without_end() -> None:
    """Answers are remembered; a row that is added later still counts, and odd questions push old ones out."""
    table = organisations("Sydney,,,,,One")
    assert number_of(table, location=place()) == number_of(table, location=place()) == 2
    assert number_of(table, location=place(12, "Perth")) is None
    later = Row("organisations.csv", 3, {"organisation": "Two"})
    table.add(("Perth", "", "", "", ""), later)
    assert table.find(location=place(12, "Perth")) is later
    for number in range(MOST_REMEMBERED + 5):
        table.find(company=place(number, f"C{number}"))
    assert len(table._found) <= MOST_REMEMBERED
    assert number_of(table, location=place()) == 2


def test_what_a_column_names_is_never_out_of_date() -> None:
    """Only rows that may fit count, and a row that is added later counts too."""
    table = accounts(",sales,product,Cloud,,200,", "Sydney,sales,service,Remote,,201,", ",,,*,,202,")
    assert table.named("category", kind=Value.text("product")) == {"cloud", "*"}
    assert table.named("category", kind=Value.text("service"), organisation=Value.text("Perth")) == {"*"}
    cells = ("", "sales", "product", "Azure", "")
    table.add(cells, Row("accounts.csv", 5, dict(zip(ACCOUNTS.keys, cells, strict=True))))
    assert table.named("category", kind=Value.text("product")) == {"cloud", "*", "azure"}
    assert table.uses("category")
    assert not table.uses("item")


# What is wrong with a file

GOOD = b"location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.replace(b"organisation\nSydney,,,,,Sydney", b"organisation,note\nSydney,,,,,Sydney,=why not"),
        b"Organisation , STAFF,tag,location,department,company\nSydney,,,Sydney,,\n",
        GOOD.rstrip(b"\n"),
        GOOD + b"\n,,,,,\n   \n",
    ],
    ids=["plain", "byte order mark", "windows", "old mac", "note", "order and case", "no last line end", "blank rows"],
)
def test_a_table_may_look_as_spreadsheets_save_it(content: bytes) -> None:
    """Marks, line ends, order of columns, notes and blank rows do not matter."""
    table = read_table(ORGANISATIONS, content)
    assert [row.values["organisation"] for row in table.rows] == ["Sydney"]
    assert number_of(table, location=place()) == 2


def test_a_short_row_is_filled_up_with_blanks() -> None:
    """A line pasted above a later `note` column has fewer cells."""
    table = read_table(CONTACTS, b"organisation,role,company,contact_id,account_number,contact_name,note\n,,ACME,x\n")
    assert table.rows[0].values["contact_name"] == ""


HEAD = "organisations.csv, row 1, column"
UNKNOWN = "unknown column; allowed: location, department, company, staff, tag, organisation, note"
TWICE = "column location: the same keys as"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (GOOD.replace(b"tag,", b""), [f"{HEAD} tag: the column is missing"]),
        (
            GOOD.replace(b"tag,", b"tags,"),
            [
                f"{HEAD} tag: the column is missing",
                f"{HEAD} tags: {UNKNOWN}",
            ],
        ),
        (GOOD.replace(b"organisation\n", b"organisation,tag\n"), [f"{HEAD} tag: the column is there twice"]),
        (
            GOOD.replace(b"organisation\n", b"organisation,\n"),
            [
                f"{HEAD} (no name): {UNKNOWN}"
            ],
        ),
        (
            GOOD.replace(b",", b";"),
            ["organisations.csv, row 1: the columns are separated by semicolons; commas are needed"],
        ),
        (GOOD.replace(b",", b"\t"), ["organisations.csv, row 1: the columns are separated by tabs; commas are needed"]),
        (GOOD + b"a,b,c,d,e,f,g\n", ["organisations.csv, row 3: 7 cells under 6 columns"]),
        (GOOD + b"=1+1,,,,,Sydney\n", ["organisations.csv, row 3, column location: looks like a formula: =1+1"]),
        (GOOD + b",,+61 2,,,Sydney\n", ["organisations.csv, row 3, column company: looks like a formula: +61 2"]),
        (GOOD + b",,,@home,,Sydney\n", ["organisations.csv, row 3, column staff: looks like a formula: @home"]),
        (GOOD + b",,,,\t-x,Sydney\n", ["organisations.csv, row 3, column tag: looks like a formula: -x"]),
        (
            GOOD + b'\n"Syd\nney",,,,,Sydney\nSYDNEY,*,,,,Sydney\n',
            [f"organisations.csv, row 5, {TWICE} row 2; remove one of them"],
        ),
        (GOOD + b"011,,,,,a\n11,,,,,b\n", [f"organisations.csv, row 4, {TWICE} row 3; remove one of them"]),
        (GOOD + b'"open,,,,,\n', ["organisations.csv, row 3: not readable as CSV: unexpected end of data"]),
        (GOOD + b'"a"b,,,,,\n', ["organisations.csv, row 3: not readable as CSV: ',' expected after '\"'"]),
        (
            GOOD + b"Par\xe9,,,,,Sydney\n",
            ["organisations.csv, row 3, column location: not UTF-8; save the sheet as 'CSV UTF-8'"],
        ),
        (
            b"\xef\xbb\xbf" + GOOD + b'"two\nlines",,Caf\xe9,,,Sydney\n',
            ["organisations.csv, row 3, column company: not UTF-8; save the sheet as 'CSV UTF-8'"],
        ),
        (b'"location\n', ["organisations.csv, row 1: not readable as CSV: unexpected end of data"]),
        (
            GOOD.replace(b"organisation\n", b"organisation,,\n"),
            [f"{HEAD} (no name): {UNKNOWN}", f"{HEAD} (no name): the column is there twice"],
        ),
        (
            b" Location ,department,company,staff,tag,organisation\nPar\xe9\n",
            ["organisations.csv, row 2, column location: not UTF-8; save the sheet as 'CSV UTF-8'"],
        ),
        (
            GOOD + b"a,b,c,d,e,f,\xe9\n",
            ["organisations.csv, row 3: not UTF-8; save the sheet as 'CSV UTF-8'"],
        ),
        (GOOD.decode().encode("utf-16"), ["organisations.csv, row 1: not UTF-8; save the sheet as 'CSV UTF-8'"]),
        (None, ["organisations.csv: the file is missing; `tieout setup` writes one"]),
    ],
)  # fmt: skip
def test_a_malformed_table_is_told_with_file_row_and_column(content: bytes | None, told: list[str]) -> None:
    """Before anything is written; the row counts as a spreadsheet counts, line ends inside cells or not."""
    assert problems_of(ORGANISATIONS, content) == told


def test_every_problem_of_a_table_is_told_at_once() -> None:
    """One round of corrections, not one per error."""
    assert len(problems_of(ORGANISATIONS, GOOD + b"=a,,,,,x\nSydney,,,,,y\n,,,,,,,z\n")) == 3


def test_an_empty_file_lacks_every_column() -> None:
    """It is no table."""
    assert len(problems_of(ORGANISATIONS, b"")) == 6


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file)
def test_only_the_required_tables_must_exist(layout: Layout) -> None:
    """organisations, accounts and taxes; any other missing file is an empty table."""
    assert layout.required == (layout in (ORGANISATIONS, ACCOUNTS, TAXES))
    if not layout.required:
        assert read_table(layout, None).rows == []


# The line to paste


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (place(11, "Sydney", "SYD"), "SYD"),
        (place(11, "Sydney"), "Sydney"),
        (place(11, "12", "13"), "11"),
        (place(11, "=HYPERLINK(1)"), "11"),
        (place(11, "@Home", "HOME"), "HOME"),
        (place(11, "Two\nlines  here"), "Two lines here"),
        (place(11, ""), "11"),
        (NOTHING, "(none)"),
        (Value.text("2024"), "2024"),
    ],
)
def test_a_value_is_shown_as_a_person_would_type_it(value: Value, typed: str) -> None:
    """And what is typed fits the value again, and is no formula."""
    assert value.shown() == typed
    assert organisations(f'"{typed}",,,,,Sydney').find(location=value, tag=value) is not None


def test_the_line_to_paste_follows_the_columns_of_the_file() -> None:
    """A client may have moved columns or added a note; the line must fit as it is pasted."""
    moved = read_table(ORGANISATIONS, b"note,organisation,location,department,company,staff,tag\n")
    assert moved.line(location="Perth", organisation="Sydney") == ",Sydney,Perth,,,,"
    assert read_table(CONTACTS, None).line(company="A, B & Co") == ',,"A, B & Co",,,'


def test_the_pasted_line_is_read_back_as_it_was_meant() -> None:
    """Commas, quotes and all."""
    table = organisations()
    company = Value.of(Reference(id=5, name='Say "Hi", Ltd'))
    pasted = organisations(table.line(company=company.shown(), organisation="Sydney"))
    assert number_of(pasted, company=company) == 2
    assert next(csv.reader(io.StringIO(table.line(company=company.shown()))))[2] == 'Say "Hi", Ltd'


@pytest.mark.parametrize(
    ("layout", "content", "problem"),
    [
        (
            ACCOUNTS,
            b"organisation,side,kind,category,item,account_code,item_code\n,sale,service,,,200,\n",
            "accounts.csv, row 2, column side: 'sale' is none of sales, purchases, or blank",
        ),
        (
            ACCOUNTS,
            b"organisation,side,kind,category,item,account_code,item_code\n,Sales,products,,,200,\n",
            (
                "accounts.csv, row 2, column kind: 'products' is none of product, service, expense, agreement, "
                "adjustment, progress, special, down_payment, freight, rounding, or blank"
            ),
        ),
        (
            TAXES,
            b"organisation,side,tax_code,taxable,tax_type\n,*,GST,y,OUTPUT\n",
            "taxes.csv, row 2, column taxable: 'y' is none of yes, no, or blank",
        ),
        (
            CONTACTS,
            b"organisation,role,company,contact_id,account_number,contact_name\n,vendor,ACME,,,Acme\n",
            "contacts.csv, row 2, column role: 'vendor' is none of customer, supplier, or blank",
        ),
    ],
)
def test_a_column_with_few_words_knows_no_others(layout: Layout, content: bytes, problem: str) -> None:
    """A typing error there would make a row that never fits, and nobody would hear of it."""
    with pytest.raises(TablesUnusable) as raised:
        read_table(layout, content)
    assert str(raised.value) == problem
