"""An invoice in Xero as something that is owed: how much, and by what it was settled so far."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from mappings.money import ZERO, total
from mappings.xero import DEAD, Found, parse_date

By = Literal["payment", "credit_note", "prepayment", "overpayment"]
"""What can settle an invoice (xero.md, 9 and 10)."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One payment, or a part of a credit note, prepayment or overpayment, on an invoice. In the invoice's currency."""

    by: By
    xero_id: str
    amount: Decimal
    date: dt.date | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Receivable:
    """An invoice as Xero has it now. Amounts in its own currency; `due` is what is left to pay."""

    xero_id: str
    number: str
    status: str
    contact_id: str
    currency: str
    total: Decimal
    due: Decimal
    date: dt.date | None
    applied: tuple[Applied, ...]

    @classmethod
    def read(cls, found: Found) -> Receivable:
        """From an element of `/Invoices`, which shows everything on it that is alive (xero.md, section 10)."""
        given = json.loads(found.text, parse_float=Decimal)
        applied = (
            *(_payment(each) for each in given.get("Payments") or [] if each.get("Status") != "DELETED"),
            *(_part("credit_note", "CreditNoteID", each) for each in given.get("CreditNotes") or []),
            *(_part("prepayment", "PrepaymentID", each) for each in given.get("Prepayments") or []),
            *(_part("overpayment", "OverpaymentID", each) for each in given.get("Overpayments") or []),
        )
        due = given.get("AmountDue")
        return cls(
            found.xero_id,
            found.number,
            found.status,
            found.contact_id,
            found.currency,
            found.total,
            Decimal(str(due)) if due is not None else found.total - total(each.amount for each in applied),
            found.date,
            applied,
        )

    @property
    def paid(self) -> Decimal:
        """What was paid in money, whoever entered it: payments, and prepayments and overpayments that were applied.

        What an answer does not list is told by what is no longer due; of a voided or deleted one nothing is due either.
        """
        if not self.live:
            return ZERO
        listed = total(each.amount for each in self.applied if each.by != "credit_note")
        credited = total(each.amount for each in self.applied if each.by == "credit_note")
        return max(listed, self.total - self.due - credited)

    @property
    def credited(self) -> Decimal:
        """What credit notes take off it; of a voided or deleted one nothing."""
        return total(each.amount for each in self.applied if each.by == "credit_note") if self.live else ZERO

    @property
    def live(self) -> bool:
        """False once a person has voided or deleted it."""
        return self.status not in DEAD

    @property
    def approved(self) -> bool:
        """Whether money can be applied to it."""
        return self.status in ("AUTHORISED", "PAID")

    def credited_by(self, credit_note_id: str) -> Decimal:
        """How much of one credit note is allocated to it."""
        return total(
            each.amount
            for each in self.applied
            if each.by == "credit_note" and each.xero_id.lower() == credit_note_id.lower()
        )


def _payment(given: Mapping[str, Any]) -> Applied:
    return Applied(
        "payment",
        given.get("PaymentID") or "",
        Decimal(str(given.get("Amount") or 0)),
        parse_date(given.get("Date")),
        given.get("Reference") or "",
    )


def _part(by: By, name: str, given: Mapping[str, Any]) -> Applied:
    amount = given.get("AppliedAmount")
    return Applied(by, given.get(name) or "", Decimal(str(amount)) if amount is not None else ZERO)
