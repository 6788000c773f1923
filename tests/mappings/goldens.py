"""The golden documents: pairs of a ConnectWise invoice with its rows, or of a purchase order (alone, or with what one
bill of it holds), and the Xero document that it becomes.

`NAME.connectwise.json` is written by people, `NAME.xero.json` by `python -m tests.mappings.regenerate` and then
reviewed by its amounts. All of them are mapped with the tables beside them.
"""

from __future__ import annotations

from pathlib import Path

import simplejson

from mappings.bills import to_xero_bill
from mappings.connectwise import (
    Agreement,
    CatalogItem,
    Company,
    Department,
    Location,
    Reference,
    SourceBill,
    SourceInvoice,
    SourceOrder,
    TaxCode,
    read_json,
)
from mappings.credit_notes import to_xero_credit_note
from mappings.invoices import is_credit, to_xero_invoice
from mappings.orders import ordered_quantities, to_xero_order
from mappings.outcomes import Hold
from mappings.related import Related
from mappings.surroundings import Surroundings, read_tables
from mappings.xero import Document
from tests.mappings.samples import SITE, SYDNEY, account, books, category, contact, item, tax_rate

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.connectwise.json"))


RELATED = Related(
    tax_codes={
        5: TaxCode(id=5, identifier="GST", taxes_services=True, taxes_expenses=True),
        7: TaxCode(id=7, identifier="NY", taxes_expenses=True),
    },
    catalog_items={
        311: CatalogItem(id=311, subcategory=Reference(id=43, name="Archive"), category=Reference(id=40, name="Cloud")),
        312: CatalogItem(
            id=312, subcategory=Reference(id=41, name="Microsoft 365"), category=Reference(id=40, name="Cloud")
        ),
        313: CatalogItem(id=313, subcategory=Reference(id=42, name="Azure"), category=Reference(id=40, name="Cloud")),
    },
    companies={
        201: Company(id=201, identifier="NETGEAR", name="Netgear Distribution", vendor_identifier="V-77"),
    },
    agreements={601: Agreement(id=601, type=Reference(id=8, name="Backup"))},
    locations={14: Location(id=14, name="Parramatta")},
    departments={22: Department(id=22, identifier="PROJ", name="Projects")},
)
"""What the documents point to: tax codes, the vendor, places in the catalogue, an agreement's type, names of places."""


def world() -> Surroundings:
    """The tables beside the documents, and the books of Sydney."""
    revenue = [account(code) for code in ("200", "201", "202", "203", "206", "260", "265")]
    liabilities = [account("860", kind="EXPENSE"), account("870", kind="LIABILITY", Type="CURRLIAB")]
    costs = [account(code, kind="EXPENSE", Type="DIRECTCOSTS", TaxType="INPUT") for code in ("300", "310", "425")]
    sydney = books(
        contacts=[contact(1, "Acme Pty Ltd", "ACME01"), contact(2, "Netgear Distribution", "V-77")],
        accounts=[*revenue, *liabilities, *costs],
        tax_rates=[
            tax_rate("OUTPUT", "10"),
            tax_rate("EXEMPTOUTPUT", "0"),
            tax_rate("TAX001", "8.875"),
            tax_rate("INPUT", "10", CanApplyToRevenue=False),
            tax_rate("EXEMPTEXPENSES", "0", CanApplyToRevenue=False),
        ],
        currencies=("AUD", "NZD"),
        items=[
            item("DOCK"),
            item("LEASE", SalesDetails={"AccountCode": "203"}),
            item("RACK", PurchaseDetails={"AccountCode": "310", "TaxType": "INPUT"}),
        ],
        tracking=[category("Region", "East", "West"), category("Team", "Service desk", "Projects")],
    )
    return Surroundings(
        tables=read_tables({path.name: path.read_bytes() for path in (FOLDER / "tables").iterdir()}),
        tenants={"Sydney": SYDNEY},
        books={"Sydney": sydney},
        site=SITE,
        related=RELATED,
    )


def source(name: str) -> SourceInvoice | SourceBill | SourceOrder:
    """The ConnectWise side of a pair. What has lines of its own is an order; `n` says which bill of it this is."""
    given = read_json((FOLDER / f"{name}.connectwise.json").read_bytes())
    if "n" in given:
        return SourceBill.model_validate(given)
    if "lines" in given:
        order = SourceOrder.model_validate(given)
        return order.model_copy(update={"quantities": ordered_quantities(order.lines)})
    return SourceInvoice.model_validate(given)


def mapped_anew(name: str) -> Document | Hold:
    """What the mapping makes of the ConnectWise side: an order, a bill, an invoice, or below zero a credit note."""
    found = source(name)
    if isinstance(found, SourceOrder):
        return to_xero_order(found, world())
    if isinstance(found, SourceBill):
        return to_xero_bill(found, world())
    return (to_xero_credit_note if is_credit(found.header) else to_xero_invoice)(found, world())


def document_text(name: str) -> str:
    """What the ConnectWise side becomes now: the predicted amounts, and the body that Xero is sent."""
    result = mapped_anew(name)
    if isinstance(result, Hold):
        return f"held: {result.reason}: {result.message}\n{result.fix}\n"
    shown = {
        "predicted": {"subtotal": result.subtotal, "tax": result.tax, "total": result.total},
        "body": result.body(),
    }
    return simplejson.dumps(shown, use_decimal=True, ensure_ascii=False, indent=2) + "\n"


def kept_path(name: str) -> Path:
    """The Xero side of a pair."""
    return FOLDER / f"{name}.xero.json"
