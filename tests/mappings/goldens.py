"""The golden documents: pairs of a ConnectWise invoice with its rows and the Xero document that it becomes.

`NAME.connectwise.json` is written by people, `NAME.xero.json` by `python -m tests.mappings.regenerate` and then
reviewed by its amounts. All of them are mapped with the tables beside them.
"""

from __future__ import annotations

from pathlib import Path

import simplejson

from mappings.connectwise import SourceInvoice, read_json
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Hold
from mappings.surroundings import Surroundings, read_tables
from tests.mappings.samples import SITE, SYDNEY, account, books, surroundings

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.connectwise.json"))


def world() -> Surroundings:
    """The tables beside the documents, and the books of Sydney."""
    revenue = [account(code) for code in ("200", "201", "203", "206", "260", "265")]
    liabilities = [account("860", kind="EXPENSE"), account("870", kind="LIABILITY", Type="CURRLIAB")]
    usual = surroundings()
    return Surroundings(
        tables=read_tables({path.name: path.read_bytes() for path in (FOLDER / "tables").iterdir()}),
        tenants={"Sydney": SYDNEY},
        books={"Sydney": books(accounts=[*revenue, *liabilities])},
        site=SITE,
        related=usual.related,
    )


def source(name: str) -> SourceInvoice:
    """The ConnectWise side of a pair."""
    return SourceInvoice.model_validate(read_json((FOLDER / f"{name}.connectwise.json").read_bytes()))


def document_text(name: str) -> str:
    """What the ConnectWise side becomes now: the predicted amounts, and the body that Xero is sent."""
    result = to_xero_invoice(source(name), world())
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
