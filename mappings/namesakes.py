"""Text in a table that means several ConnectWise records (contract 3): two companies of one name are two customers.

A name in a cell is meant for one record. Which ids bear a name is learnt from the invoices themselves, as they come by;
where two do, the row is an error for both of them, and an id in the cell settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from mappings.connectwise import Reference, SourceInvoice
from mappings.csv_tables import Row, fold_cell, is_id
from mappings.outcomes import Hold, Reason

Names = dict[str, dict[int, tuple[str, ...]]]
"""Per kind (a column of the tables) the texts by which each record is known, by id."""
Namesakes = Mapping[tuple[str, str], tuple[int, ...]]
"""Kind and folded text -> the ids of all records that are known by it; only where there are several."""


def names_of(sources: Iterable[SourceInvoice]) -> Names:
    """Every location, department, company, person and tax code that these invoices name."""
    found: Names = {}
    for source in sources:
        header = source.header
        note(found, "location", header.location)
        note(found, "department", header.department)
        note(found, "company", header.company)
        note(found, "company", header.bill_to_company)
        note(found, "tax_code", header.tax_code)
        for entry in source.time:
            note(found, "staff", entry.member)
            note(found, "location", entry.location)
            note(found, "department", entry.department)
        for expense in source.expenses:
            note(found, "staff", expense.member)
        for product in source.products:
            note(found, "location", product.location)
            note(found, "department", product.business_unit)
    return found


def note(names: Names, kind: str, reference: Reference | None) -> None:
    """Note by which texts a record is known."""
    if reference is not None and reference.id is not None and (reference.identifier or reference.name):
        names.setdefault(kind, {})[reference.id] = _texts(reference.identifier, reference.name)


@lru_cache(maxsize=4096)  # most records name the same locations, companies and people
def _texts(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def namesakes_in(names: Names) -> dict[tuple[str, str], tuple[int, ...]]:
    """The texts that belong to more than one record."""
    bearers: dict[tuple[str, str], set[int]] = {}
    for kind, records in names.items():
        for number, texts in records.items():
            for text in texts:
                bearers.setdefault((kind, fold_cell(text)), set()).add(number)
    return {key: tuple(sorted(ids)) for key, ids in bearers.items() if len(ids) > 1}


def several(row: Row, columns: Mapping[str, str], namesakes: Namesakes) -> Hold | None:
    """The hold of a record that a row fits by a text which means several records; None where all is clear.

    `columns` maps the columns of the row to the kind of record that stands there.
    """
    if not namesakes:
        return None
    for column, kind in columns.items():
        cell = row.values[column]
        ids = () if is_id(cell) else namesakes.get((kind, fold_cell(cell)), ())
        if ids:
            listed = " and ".join(map(str, ids))
            return Hold(
                Reason.AMBIGUOUS_MAPPING,
                cell,
                f"{row} says {cell!r} for the {kind.replace('_', ' ')}, and in ConnectWise several bear that name "
                f"(ids {listed}).",
                f"Write the id of the one that is meant into {column} of {row}, and add a row for each other one.",
            )
    return None
