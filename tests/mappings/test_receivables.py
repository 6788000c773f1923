"""An invoice as something that is owed: what Xero says was paid on it, by whatever means (xero.md, 9 and 10)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.receivables import Applied, Receivable
from mappings.xero import Found

PAYMENT: dict[str, Any] = {
    "PaymentID": "P-1",
    "Date": "/Date(1772409600000+0000)/",
    "Amount": Decimal("100.00"),
    "Reference": "CW-501-1",
}


def receivable(**fields: Any) -> Receivable:
    """An approved invoice of 330.00, as Xero would answer it."""
    document = {
        "InvoiceID": "I-1", "InvoiceNumber": "40001", "Type": "ACCREC", "Status": "AUTHORISED",
        "Contact": {"ContactID": "C-1", "Name": "Acme"}, "CurrencyCode": "AUD",
        "DateString": "2026-03-02T00:00:00", "Total": Decimal("330.00"), "AmountDue": Decimal("330.00"),
    }  # fmt: skip
    return Receivable.read(Found.parse(document | fields))


def test_a_payment_is_read_with_its_date_amount_and_reference() -> None:
    """Nested in an invoice it has no status: everything that is there is alive."""
    found = receivable(Payments=[PAYMENT], AmountDue=Decimal("230.00"))
    assert found.applied == (Applied("payment", "P-1", Decimal("100.00"), date(2026, 3, 2), "CW-501-1"),)
    assert (found.paid, found.due, found.total) == (Decimal(100), Decimal(230), Decimal(330))


def test_a_payment_that_says_that_it_is_deleted_does_not_count() -> None:
    """Should an answer show one after all."""
    assert receivable(Payments=[PAYMENT | {"Status": "DELETED"}]).applied == ()


@pytest.mark.parametrize(
    ("name", "of_it"),
    [
        ("Prepayments", {"PrepaymentID": "X-1", "AppliedAmount": Decimal("40.00"), "Total": Decimal("500.00")}),
        ("Overpayments", {"OverpaymentID": "X-1", "AppliedAmount": Decimal("40.00"), "Total": Decimal("500.00")}),
    ],
)
def test_prepayments_and_overpayments_are_money_with_what_was_applied(name: str, of_it: dict[str, Any]) -> None:
    """Not with their own totals: the rest of them is still the customer's."""
    assert receivable(**{name: [of_it], "AmountDue": Decimal("290.00")}).paid == 40


def test_a_credit_note_is_no_money() -> None:
    """It makes less due, and nothing paid; how much of it is here is told by its id, however that is spelt."""
    credit = {"CreditNoteID": "AB-1", "AppliedAmount": Decimal("30.00"), "Total": Decimal("50.00")}
    found = receivable(CreditNotes=[credit], AmountDue=Decimal("300.00"))
    assert found.paid == 0 and found.due == 300
    assert found.credited_by("ab-1") == 30 and found.credited_by("other") == 0


def test_what_an_answer_does_not_list_is_told_by_what_is_no_longer_due() -> None:
    """Some means of paying may be one that no list here knows."""
    assert receivable(AmountDue=Decimal("130.00")).paid == 200


def test_an_answer_without_what_is_due_is_reckoned_from_what_it_lists() -> None:
    """Total less everything that was applied."""
    credit = {"CreditNoteID": "AB-1", "AppliedAmount": Decimal("30.00")}
    assert receivable(AmountDue=None, Payments=[PAYMENT], CreditNotes=[credit]).due == 200


@pytest.mark.parametrize(
    ("status", "live", "approved"),
    [
        ("DRAFT", True, False),
        ("SUBMITTED", True, False),
        ("AUTHORISED", True, True),
        ("PAID", True, True),
        ("VOIDED", False, False),
        ("DELETED", False, False),
    ],
)
def test_money_goes_on_approved_invoices_only(status: str, live: bool, approved: bool) -> None:
    """A draft is alive and takes none."""
    found = receivable(Status=status)
    assert (found.live, found.approved) == (live, approved)


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_nothing_is_paid_on_a_dead_invoice_although_nothing_of_it_is_due(status: str) -> None:
    """Xero says 0.00 is due on it."""
    assert receivable(Status=status, AmountDue=Decimal("0.00")).paid == 0


AMOUNTS = st.integers(0, 5000).map(lambda cents: Decimal(cents) / 100)


@given(payments=st.lists(AMOUNTS, max_size=4), credits=st.lists(AMOUNTS, max_size=3), listed=st.booleans())
def test_paid_and_credited_and_due_make_the_total(
    payments: list[Decimal], credits: list[Decimal], listed: bool
) -> None:
    """Whether or not the answer lists what was paid."""
    whole = Decimal("400.00")
    found = receivable(
        Total=whole,
        AmountDue=whole - sum(payments) - sum(credits),
        Payments=[{"PaymentID": f"P-{place}", "Amount": amount} for place, amount in enumerate(payments) if listed],
        CreditNotes=[{"CreditNoteID": f"C-{place}", "AppliedAmount": amount} for place, amount in enumerate(credits)],
    )
    credited = sum((found.credited_by(f"C-{place}") for place in range(len(credits))), Decimal(0))
    assert found.paid + credited + found.due == whole
    assert found.paid == sum(payments)


def test_amounts_are_read_to_the_last_digit() -> None:
    """Never by way of a float."""
    paid = receivable(Total=Decimal("9999999999.99"), AmountDue=Decimal("0.01"))
    assert paid.paid == Decimal("9999999999.98")
