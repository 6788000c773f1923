"""The kinds of sales documents that Xero keeps apart, and what its API calls their parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document.

    `word` is what people call it (`source` in ConnectWise), `type` its Type, `collection` its endpoint, `id` and
    `number` the names of those fields. `linked`: it carries our link in `Url`, and is asked for by lists of ids and of
    numbers; a credit note has neither (spec: /Invoices and /CreditNotes). `due`: it has a due date.
    """

    family: str
    word: str
    source: str
    type: str
    collection: str
    id: str
    number: str
    linked: bool = True
    due: bool = True


INVOICE = Kind("invoices", "invoice", "invoice", "ACCREC", "Invoices", "InvoiceID", "InvoiceNumber")
CREDIT_NOTE = Kind(
    "credit_notes", "credit note", "credit memo", "ACCRECCREDIT", "CreditNotes", "CreditNoteID", "CreditNoteNumber",
    linked=False, due=False,
)  # fmt: skip
OTHER = {INVOICE.family: CREDIT_NOTE, CREDIT_NOTE.family: INVOICE}
"""The kind that a record of a family becomes when the sign of its total changes."""
KINDS = {kind.family: kind for kind in (INVOICE, CREDIT_NOTE)}
"""The kind of document that each family posts."""
FAMILY_SHOWN = {"allocations": "credit_notes"}
"""The family that people know, of records that are kept apart: allocations belong to credit notes."""


def kept_as(family: str) -> tuple[str, ...]:
    """The names under which the records of a family are kept: its own, and those of what belongs to it."""
    return (family, *(kept for kept, shown in FAMILY_SHOWN.items() if shown == family))
