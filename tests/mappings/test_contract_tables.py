"""The mapping tables rule by rule, as the contract (section 3) states them: every rule on every table and column.

What a single table does in detail is in test_csv_tables.py, and each family's own use of them in its own tests.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from mappings.connectwise import Reference, SourceInvoice
from mappings.csv_tables import (
    ACCOUNTS,
    CONTACTS,
    LAYOUTS,
    NOTHING,
    ORGANISATIONS,
    PAYMENT_ACCOUNTS,
    RATES,
    TAXES,
    TRACKING,
    AmbiguousRows,
    Layout,
    Table,
    TablesUnusable,
    Value,
    read_table,
)
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Hold, Reason
from mappings.surroundings import read_tables
from mappings.xero import Document
from tests.mappings.samples import (
    FILES,
    books,
    category,
    contact,
    held,
    invoice,
    item,
    mapped,
    product,
    surroundings,
    tables,
    time,
)

COLUMNS = {
    ORGANISATIONS: ("location", "department", "company", "staff", "tag", "organisation"),
    ACCOUNTS: ("organisation", "side", "kind", "category", "item", "account_code", "item_code"),
    TAXES: ("organisation", "side", "tax_code", "taxable", "tax_type"),
    TRACKING: ("organisation", "side", "source", "value", "tracking_category", "option"),
    CONTACTS: ("organisation", "role", "company", "contact_id", "account_number", "contact_name"),
    PAYMENT_ACCOUNTS: ("organisation", "currency", "payment_account", "account_code"),
    RATES: ("currency", "base", "date", "rate"),
}
"""The table of tables in the contract."""
FEW_WORDS = {
    (ACCOUNTS, "side"): ("sales", "purchases"),
    (TAXES, "side"): ("sales", "purchases"),
    (TRACKING, "side"): ("sales", "purchases"),
    (ACCOUNTS, "kind"): (
        "product", "service", "expense", "agreement", "adjustment", "progress", "special", "down_payment", "freight",
        "rounding",
    ),
    (TAXES, "taxable"): ("yes", "no"),
    (TRACKING, "source"): ("category", "work_type", "staff", "department", "location"),
    (CONTACTS, "role"): ("customer", "supplier"),
}  # fmt: skip
"""Columns that know a few words of ours; the others hold what the client's records hold."""
KEYS = [(layout, name) for layout in LAYOUTS for name in layout.keys]
RECORDS = [(layout, name) for layout, name in KEYS if (layout, name) not in FEW_WORDS]


def written(layout: Layout, *rows: dict[str, str]) -> bytes:
    """A file with these cells, all others blank; the value columns are filled."""
    out = io.StringIO()
    columns = (*layout.keys, *layout.values)
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({**dict.fromkeys(columns, ""), **dict.fromkeys(layout.values, "x"), **row})
    return out.getvalue().encode()


def table(layout: Layout, *rows: dict[str, str]) -> Table:
    return read_table(layout, written(layout, *rows))


def found(layout: Layout, cells: list[str], column: str, value: Value) -> int | None:
    """The row of those with these cells in one column that fits a value there."""
    row = table(layout, *({column: cell} for cell in cells)).find(**{column: value})
    return None if row is None else row.number


def told(files: dict[str, bytes]) -> list[str]:
    with pytest.raises(TablesUnusable) as caught:
        read_tables(files)
    return [str(problem) for problem in caught.value.problems]


def ids(case: Any) -> str:
    return case.file if isinstance(case, Layout) else str(case)


# Files and columns


def test_the_tables_have_the_columns_of_the_contract() -> None:
    """Changing one breaks people's files."""
    assert {layout: (*layout.keys, *layout.values) for layout in (*LAYOUTS, RATES)} == COLUMNS
    assert {layout.file for layout in COLUMNS if layout.required} == {"organisations.csv", "accounts.csv", "taxes.csv"}


@pytest.mark.parametrize("missing", list(COLUMNS), ids=ids)
def test_three_tables_are_required_and_any_other_missing_file_is_an_empty_table(missing: Layout) -> None:
    """Said of the folder as a whole."""
    files = {layout.file: written(layout) for layout in COLUMNS if layout is not missing}
    if missing.required:
        assert told(files) == [f"{missing.file}: the file is missing; `tieout setup` writes one"]
    else:
        assert read_tables(files).digest


@pytest.mark.parametrize(
    ("layout", "column"), [(layout, name) for layout in COLUMNS for name in COLUMNS[layout]], ids=ids
)
def test_a_missing_column_is_told_with_file_row_and_column(layout: Layout, column: str) -> None:
    """A note column is always allowed, any other is not."""
    files = {each.file: written(each) for each in COLUMNS}
    names = [name for name in COLUMNS[layout] if name != column]
    files[layout.file] = ",".join([*names, "note"]).encode()
    assert told(files) == [f"{layout.file}, row 1, column {column}: the column is missing"]
    files[layout.file] = ",".join([*names, column, "note"]).encode()
    assert read_tables(files).digest
    files[layout.file] = ",".join([*names, column, "remark"]).encode()
    assert told(files)[0].startswith(f"{layout.file}, row 1, column remark: unknown column; allowed: ")


@pytest.mark.parametrize(
    ("layout", "column"), [(layout, name) for layout in COLUMNS for name in COLUMNS[layout]], ids=ids
)
@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", " =x"])
def test_a_cell_that_looks_like_a_formula_is_told_with_file_row_and_column(
    layout: Layout, column: str, cell: str
) -> None:
    """A spreadsheet would have run it; in a note it is harmless."""
    files = {each.file: written(each) for each in COLUMNS}
    files[layout.file] = written(layout, {column: cell})
    assert told(files) == [f"{layout.file}, row 2, column {column}: looks like a formula: {cell.strip()}"]
    files[layout.file] = written(layout, {column: "=" + "x" * 50})
    assert told(files) == [f"{layout.file}, row 2, column {column}: looks like a formula: ={'x' * 39}"]


@pytest.mark.parametrize("layout", list(COLUMNS), ids=ids)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_another_encoding_is_told_with_file_row_and_column(layout: Layout, mark: bytes) -> None:
    """Latin-1, as an old spreadsheet saves it; a byte order mark in front of UTF-8 is fine."""
    files = {each.file: mark + written(each) for each in COLUMNS}
    assert read_tables(files).digest
    last = COLUMNS[layout][-1]
    files[layout.file] += ("," * (len(COLUMNS[layout]) - 1)).encode() + "Zoë\n".encode("latin-1")
    assert told(files) == [f"{layout.file}, row 2, column {last}: not UTF-8; save the sheet as 'CSV UTF-8'"]


@pytest.mark.parametrize("layout", list(COLUMNS), ids=ids)
def test_two_rows_with_the_same_keys_are_an_error_of_the_table(layout: Layout) -> None:
    """Whatever their values and notes are; blank and `*` are the same key."""
    given = {"currency": "NZD", "base": "AUD", "date": "2026-03-01", "rate": "1.1"} if layout is RATES else {}
    twin = given if layout is RATES else dict.fromkeys(layout.keys, "*")
    files = {each.file: written(each) for each in COLUMNS}
    other = dict.fromkeys(layout.values, "2")
    files[layout.file] = written(layout, given | other, twin)
    first = COLUMNS[layout][0]
    assert told(files) == [f"{layout.file}, row 3, column {first}: the same keys as row 2; remove one of them"]


@pytest.mark.parametrize(("layout", "column"), list(FEW_WORDS), ids=ids)
def test_a_column_of_few_words_knows_these_in_any_case_and_no_others(layout: Layout, column: str) -> None:
    """A typing error there would make a row that never fits."""
    files = {each.file: written(each) for each in COLUMNS}
    for word in (*FEW_WORDS[layout, column], "", "*"):
        files[layout.file] = written(layout, {column: word.upper()})
        assert read_tables(files).digest
    allowed = ", ".join(FEW_WORDS[layout, column])
    for word in ("other", "(none)", "7"):
        files[layout.file] = written(layout, {column: word})
        assert told(files) == [
            f"{layout.file}, row 2, column {column}: {word!r} is none of {allowed}, or blank"
        ]  # fmt: skip


def test_an_unknown_key_of_the_policy_is_told_among_the_problems_of_the_tables() -> None:
    """One round of corrections for the whole folder."""
    files = {each.file: written(each) for each in COLUMNS}
    files["rates.csv"] = b"currency,base,date,rate\nNZD,AUD,yesterday,1\n"
    files["taxes.csv"] = written(TAXES, {"tax_type": "=x"})
    files["policy.toml"] = b"[sales]\ninvoce_status = 'draft'\n"
    problems = told(files)
    assert [problem.partition(",")[0].partition(":")[0] for problem in problems] == [
        "taxes.csv", "rates.csv", "policy.toml",
    ]  # fmt: skip
    assert "unknown key sales.invoce_status" in problems[2]


# Which cell fits

SYDNEY = Value.of(Reference(id=11, identifier="SYD", name="Sydney"))
FITS = {
    "blank": ("", SYDNEY, True),
    "blank, nothing there": ("", NOTHING, True),
    "star": ("*", SYDNEY, True),
    "star, nothing there": ("*", NOTHING, True),
    "none, nothing there": ("(none)", NOTHING, True),
    "none in capitals": ("(None)", NOTHING, True),
    "none": ("(none)", SYDNEY, False),
    "id": ("11", SYDNEY, True),
    "id with noughts": ("0011", SYDNEY, True),
    "another id": ("1", SYDNEY, False),
    "identifier": ("syd", SYDNEY, True),
    "name": (" SYDNEY ", SYDNEY, True),
    "the beginning of a name": ("Sydn", SYDNEY, False),
    "nothing there": ("Sydney", NOTHING, False),
    "folded": ("STRASSE", Value(1, ("Straße",)), True),
    "an id, but the name is digits": ("7", Value(11, ("7",)), False),
    "digits in a text": ("7a", Value(11, ("7A",)), True),
}


@pytest.mark.parametrize(("layout", "column"), RECORDS, ids=ids)
@pytest.mark.parametrize("case", FITS)
def test_a_cell_fits_a_record_by_id_identifier_or_name(layout: Layout, column: str, case: str) -> None:
    """Blank or `*` is any, `(none)` only an empty value, digits the id alone, other text identifier or name."""
    cell, value, fits = FITS[case]
    assert found(layout, [cell], column, value) == (2 if fits else None)


@pytest.mark.parametrize(("layout", "column"), list(FEW_WORDS), ids=ids)
def test_a_word_of_ours_fits_itself_and_blank_fits_every_word(layout: Layout, column: str) -> None:
    """In any case."""
    first, *others = FEW_WORDS[layout, column]
    for cell in ("", "*", first, first.upper()):
        assert found(layout, [cell], column, Value.text(first)) == 2
        assert found(layout, [cell], column, Value.text(others[0])) == (2 if cell in ("", "*") else None)


# Which row wins


@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
def test_the_row_with_the_most_filled_cells_wins(layout: Layout) -> None:
    """The organisation counts as any other column; `*` counts as little as blank; the order of rows does not."""
    words = {name: FEW_WORDS.get((layout, name), ("Sydney",))[0] for name in layout.keys}
    wanted = {name: Value.text(word) for name, word in words.items()}
    rows = [dict(list(words.items())[:filled]) for filled in range(len(layout.keys) + 1)]
    for number in range(len(rows)):
        given = [dict.fromkeys(layout.keys, "*") | row for row in rows[: number + 1]]
        for order, best in ((given, number + 2), (given[::-1], 2)):
            row = table(layout, *order).find(**wanted)
            assert row is not None
            assert row.number == best


@pytest.mark.parametrize("layout", LAYOUTS, ids=ids)
def test_a_tie_names_both_rows(layout: Layout) -> None:
    """Each column is worth as much as any other."""
    words = {name: FEW_WORDS.get((layout, name), ("Sydney",))[0] for name in layout.keys}
    wanted = {name: Value.text(word) for name, word in words.items()}
    for one in layout.keys:
        for other in layout.keys:
            if one == other:
                continue
            with pytest.raises(AmbiguousRows) as caught:
                table(layout, {one: words[one]}, {other: words[other]}).find(**wanted)
            assert str(caught.value) == f"{layout.file} row 2 and {layout.file} row 3"


# A whole invoice

TWO_LINES = invoice([time(workType={"id": 1, "name": "Remote"})], [product()])
RICH = books(
    contacts=(contact(1, "Acme Pty Ltd", "ACME01"), contact(2, "Other", "OTHER", "ARCHIVED")),
    items=[item("DOCK")],
    tracking=[category("Region", "North", archived=["West"])],
)


def result(changes: dict[str, str], source: SourceInvoice = TWO_LINES) -> Document | Hold:
    return to_xero_invoice(source, surroundings(changes, sydney=RICH))


NO_TIME = invoice([], [product()])
LACKING: dict[str, tuple[str, str, Reason]] = {
    "an account": ("accounts.csv", ",sales,service,Remote,,999,\n", Reason.MISSING_ACCOUNT),
    "an item": ("accounts.csv", ",sales,service,Remote,,200,LAMP\n", Reason.MISSING_ITEM),
    "an archived option": ("tracking.csv", ",,work_type,Remote,Region,West\n", Reason.MISSING_TRACKING),
    "a tracking category": ("tracking.csv", ",,work_type,Remote,Team,Desk\n", Reason.MISSING_TRACKING),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_row_with_a_code_that_xero_lacks_holds_only_the_records_that_use_it(case: str) -> None:
    """The table is fine and the cycle runs; the other invoice is posted."""
    file, row, reason = LACKING[case]
    header = FILES.get(file) or ",".join(COLUMNS[TRACKING]) + "\n"
    changes = {file: header + row}
    assert held(result(changes)).reason is reason
    assert mapped(result(changes, NO_TIME)).lines[0].account_code == "200"


def test_a_tax_type_or_a_contact_that_xero_lacks_holds_only_the_records_that_use_it() -> None:
    """By tax code, by company."""
    taxes = {"taxes.csv": FILES["taxes.csv"] + ",sales,Export,yes,GONE\n"}
    assert held(result(taxes, invoice([time()], taxCode={"id": 6, "name": "Export"}))).reason is Reason.MISSING_TAX
    assert mapped(result(taxes)).lines[0].tax_type == "OUTPUT"
    rows = {"contacts.csv": ",".join(COLUMNS[CONTACTS]) + "\n,,BETA,,,Other\n"}
    beta = invoice([time()], company={"id": 102, "identifier": "BETA", "name": "Beta"}, accountNumber="")
    assert held(result(rows, beta)).reason is Reason.CONTACT_ARCHIVED
    assert mapped(result(rows)).contact_name == "Acme Pty Ltd"


def test_an_organisation_that_is_not_connected_holds_only_its_records() -> None:
    """The next location is posted."""
    changes = {"organisations.csv": FILES["organisations.csv"] + "Perth,,,,,Perth\n"}
    assert held(result(changes, invoice([time()], location={"id": 12, "name": "Perth"}))).value == "Perth"
    assert mapped(result(changes)).organisation == "Sydney"


@pytest.mark.parametrize("name", ["=1+1", "+61 2 5550 0000", "-5 % off", "@home", '=HYPERLINK("x","y")'])
def test_a_record_whose_name_looks_like_a_formula_can_be_addressed_by_what_is_pasted(name: str) -> None:
    """The line names it by its id; pasted into the file it is read, is no formula, and lets the record through."""
    files = {
        "organisations.csv": ",".join(COLUMNS[ORGANISATIONS]) + "\n",
        "accounts.csv": ",".join(COLUMNS[ACCOUNTS]) + "\n",
        "taxes.csv": ",".join(COLUMNS[TAXES]) + "\n",
        "tracking.csv": ",".join(COLUMNS[TRACKING]) + "\n,,location,Nowhere,Region,North\n",
        "contacts.csv": ",".join(COLUMNS[CONTACTS]) + "\n",
    }
    source = invoice(
        [time(workType={"id": 71, "name": name})],
        [product(catalogItem={"id": 72, "identifier": name})],
        company={"id": 73, "identifier": name, "name": name}, accountNumber="",
        location={"id": 74, "name": name}, taxCode={"id": 75, "name": name},
    )  # fmt: skip
    answers = {
        "<organisation>": "Sydney", "<account_code>": "200", "<tax_type>": "OUTPUT", "<tracking_category>": "Region",
        "<option, or blank for none>": "North", "<the contact's name in Xero>": "Acme Pty Ltd",
    }  # fmt: skip
    pasted: list[str] = []
    for _ in range(3):
        found_ = result(files, source)
        if isinstance(found_, Document):
            break
        for fix in found_.fix.splitlines():
            file, _, line = fix.partition("dd to ")[2].partition(": ")
            for blank, answer in answers.items():
                line = line.replace(blank, answer)
            pasted.append(line)
            files[file] += line + "\n"
    document = mapped(result(files, source))
    assert document.contact_name == "Acme Pty Ltd"
    assert [line.tracking for line in document.lines] == [(("Region", "North"),)] * 2
    numbers = {cell for line in pasted for cell in next(csv.reader([line])) if cell.isdigit() and len(cell) == 2}
    assert numbers == {"71", "72", "73", "74", "75"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in pasted for cell in next(csv.reader([line])))


def test_a_tag_has_no_id_and_so_one_like_a_formula_cannot_be_addressed_but_by_a_blank() -> None:
    """It is text alone; a row for any tag, or for none, is still possible."""
    policy = {"policy.toml": '[routing]\ntag_field = "Books"\n'}
    source = invoice([time()], customFields=[{"caption": "Books", "value": "=North"}])
    rows = ",".join(COLUMNS[ORGANISATIONS]) + "\nSydney,,,,,Sydney\nSydney,,,,(none),Perth\n"
    assert mapped(result({**policy, "organisations.csv": rows}, source)).organisation == "Sydney"


def test_tables_are_read_anew_and_a_corrected_row_counts_at_once() -> None:
    """Nothing of the earlier table is remembered."""
    wrong = {"taxes.csv": FILES["taxes.csv"].replace("OUTPUT", "GONE")}
    assert tables(wrong).digest != tables().digest
    assert held(result(wrong)).reason is Reason.MISSING_TAX
    assert mapped(result({})).lines[0].tax_type == "OUTPUT"
