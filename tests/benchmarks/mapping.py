"""One measured process: the pure mapping of many invoices, with tables of a given length, and nothing else.

`python -m tests.benchmarks.mapping '{"rows": 1000}'` writes one line of JSON. Records are made in chunks that the clock
does not see, and each chunk is forgotten once it is mapped; no file, database or network is touched.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from mappings.connectwise import CatalogItem, Reference, SourceInvoice
from mappings.csv_tables import ACCOUNTS, CONTACTS, ORGANISATIONS, TAXES, TRACKING, Layout
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Hold
from mappings.related import Related, for_mapping, for_routing
from mappings.surroundings import Surroundings, read_tables
from mappings.xero import Document
from tests.benchmarks.client import cpu_seconds, peak_memory
from tests.mappings.samples import account, books, category, contact, expense, invoice, product, surroundings
from tests.mappings.samples import time as entry

CHUNK = 1000
"""Records that a cycle maps with the same surroundings."""
COMPANIES, ITEMS, PEOPLE = 2_000, 400, 40
USED: dict[Layout, list[str]] = {
    ORGANISATIONS: ["Sydney,,,,,Sydney"],
    ACCOUNTS: [f",sales,{kind},,,200," for kind in ("product", "service", "expense", "agreement")]
    + [",sales,product,Cloud,,201,", "Sydney,sales,service,Project,,202,"],
    TAXES: [",sales,,yes,OUTPUT", ",sales,,no,EXEMPTOUTPUT"],
    TRACKING: [",,department,Services,Team,Desk", ",,location,Sydney,Region,North"],
    CONTACTS: [",,C7,,A7,"],
}
"""The rows that records use; all others of a table are of the same kinds and fit nothing."""
UNUSED: dict[Layout, tuple[str, ...]] = {
    ORGANISATIONS: (",,NOBODY-{},,,Sydney", "Sydney,,NOBODY-{},,,Sydney"),
    ACCOUNTS: (",sales,product,,NOTHING-{},200,", "Sydney,sales,service,NOTHING-{},,200,"),
    TAXES: (",sales,NOTHING-{},yes,OUTPUT", "Sydney,sales,NOTHING-{},yes,OUTPUT"),
    TRACKING: (",,department,NOWHERE-{},Team,Desk", ",sales,location,NOWHERE-{},Region,North"),
    CONTACTS: (",,NOBODY-{},,A1,", "Sydney,customer,NOBODY-{},,A1,"),
}


@dataclass(frozen=True)
class Work:
    """How much is mapped. `rows` in each of the tables; `new`: every record has a company and items of its own."""

    records: int = 50_000
    rows: int = 1_000
    new: bool = False


@dataclass(frozen=True)
class Speed:
    """What it took: wall and CPU seconds of the mapping alone, resident bytes before the first record and at most.

    `first` are the wall seconds of the first chunk, in which tables are asked what they ask themselves only once;
    `documents` is a digest of all that was made, `reading` the seconds that reading the tables took.
    """

    documents: str
    wall: float
    cpu: float
    first: float
    reading: float
    before: int
    peak: int


def main(work: Work) -> Speed:
    """Map all of it; fails when a single record is held."""
    began = time.perf_counter()
    world = _world(work.rows)
    reading = time.perf_counter() - began
    raw = _raw()
    before, wall, cpu, first, digest = peak_memory(), 0.0, 0.0, 0.0, hashlib.sha256()
    for start in range(0, work.records, CHUNK):
        sources = [_source(raw, number, work.new) for number in range(start, min(start + CHUNK, work.records))]
        items = _items(sources)
        began, used = time.perf_counter(), cpu_seconds()
        found = list(_mapped(sources, world, items))
        wall, cpu = wall + time.perf_counter() - began, cpu + cpu_seconds() - used
        first = first or wall
        for document in found:
            assert isinstance(document, Document), document.message
            digest.update(document.content.encode())
    return Speed(digest.hexdigest(), wall, cpu, first, reading, before, peak_memory())


def _mapped(
    sources: list[SourceInvoice], world: Surroundings, items: dict[int, CatalogItem]
) -> Iterable[Document | Hold]:
    """As a cycle does it: what else is needed is asked for, then each document is made."""
    tables = world.tables
    wanted = for_mapping(sources, tables.policy, tables.accounts, tables.tracking)
    wanted |= for_routing(sources, tables.policy, tables.organisations)
    related = Related(world.related.tax_codes, catalog_items={number: items[number] for number in wanted.catalog_items})
    chunk = replace(world, related=related)
    return (to_xero_invoice(source, chunk) for source in sources)


def _world(rows: int) -> Surroundings:
    """Tables of this many rows each, and the books of an organisation with two thousand customers."""
    files = {"policy.toml": b'[tracking]\nunmapped = "leave_out"\n'}
    for layout, used in USED.items():
        unused = (UNUSED[layout][number % 2].format(number) for number in range(rows - len(used)))
        files[layout.file] = "\n".join((",".join((*layout.keys, *layout.values)), *used, *unused)).encode()
    usual = surroundings(
        sydney=books(
            contacts=[contact(number, f"Customer {number}", f"A{number}") for number in range(COMPANIES)],
            accounts=[account(code) for code in ("200", "201", "202")],
            tracking=[category("Region", "North"), category("Team", "Desk")],
        )
    )
    return replace(usual, tables=read_tables(files))


def _raw() -> SourceInvoice:
    """An invoice of three lines, as most are."""
    return invoice(
        [entry("1.5", "185", workType={"id": 4, "name": "Project"})],
        [product("2", "99.95")],
        [expense()],
        department={"id": 21, "identifier": "SERV", "name": "Services"},
    )


def _source(like: SourceInvoice, number: int, new: bool) -> SourceInvoice:
    """Another invoice of the same amounts: its own number and rows, and one of many companies, items and people."""
    company = number if new else number % COMPANIES
    catalogued = number if new else number % ITEMS
    header = like.header.model_copy(
        update={
            "id": number,
            "invoice_number": f"B{number:06d}",
            "company": Reference(id=company, identifier=f"C{company}", name=f"Company {company}"),
            "account_number": f"A{number % COMPANIES}",
        }
    )
    person = Reference(id=number % PEOPLE, identifier=f"p{number % PEOPLE}")
    rows: dict[str, Any] = {
        "time": like.time[0].model_copy(update={"id": number, "member": person}),
        "products": like.products[0].model_copy(
            update={"id": number, "catalog_item": Reference(id=catalogued, identifier=f"I{catalogued}")}
        ),
        "expenses": like.expenses[0].model_copy(update={"id": number, "member": person}),
    }
    return like.model_copy(update={"header": header} | {name: (row,) for name, row in rows.items()})


def _items(sources: Iterable[SourceInvoice]) -> dict[int, CatalogItem]:
    """The catalogue's entries of some invoices."""
    cloud = Reference(id=1, name="Cloud")
    ids = {row.catalog_item.id for source in sources for row in source.products if row.catalog_item}
    return {number: CatalogItem(id=number, category=cloud) for number in ids if number is not None}


if __name__ == "__main__":
    print(json.dumps(asdict(main(Work(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))))))
