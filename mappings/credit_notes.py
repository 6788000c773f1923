"""From a closed ConnectWise invoice with a negative total, whatever its type, to a credit note in Xero (design 5)."""

from __future__ import annotations

from mappings.connectwise import SourceInvoice
from mappings.invoices import sales_document
from mappings.kinds import CREDIT_NOTE
from mappings.outcomes import Hold
from mappings.surroundings import Surroundings
from mappings.xero import Document


def to_xero_credit_note(source: SourceInvoice, surroundings: Surroundings) -> Document | Hold:
    """The Xero credit note for a closed record below zero, or every reason why it cannot be one yet.

    Its amounts are positive, in the record's own currency: what ConnectWise takes off, Xero's credit note gives. The
    totals of the result are what Xero will compute; they equal the header's to the cent, or the record is held.
    """
    return sales_document(CREDIT_NOTE, source, surroundings)
