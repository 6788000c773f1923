"""From a record below zero to a credit note: the same as an invoice, with the amounts mirrored."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mappings.connectwise import SourceInvoice
from mappings.credit_notes import to_xero_credit_note
from mappings.invoices import to_xero_invoice
from mappings.kinds import BILL, CREDIT_NOTE, INVOICE, KINDS, OTHER, PURCHASE_ORDER
from mappings.outcomes import Reason
from mappings.plans import is_ours, likeness
from mappings.surroundings import Surroundings
from mappings.xero import Document, Found
from tests.mappings.samples import (
    account,
    books,
    category,
    expense,
    held,
    invoice,
    mapped,
    product,
    surroundings,
    tax_rate,
    time,
)


def memo(*products: dict[str, Any], tax: object = None, **fields: Any) -> SourceInvoice:
    """A credit memo of these products (of one over 100.00)."""
    rows = products or (product(1, "-100"),)
    given: dict[str, Any] = {"type": "CreditMemo", "specialInvoiceFlag": True}
    return invoice([], rows, tax=tax, **given | fields)


def document(source: SourceInvoice | None = None, world: Surroundings | None = None) -> Document:
    return mapped(to_xero_credit_note(source or memo(), world or surroundings()))


def found(one: Document, **changes: Any) -> Found:
    """The credit note as Xero answers it."""
    given = {
        "CreditNoteID": "bbbbbbbb-0000-4000-8000-000000000001",
        "Type": one.type,
        "CreditNoteNumber": one.number,
        "Reference": one.document_reference,
        "Contact": {"ContactID": one.contact_id, "Name": one.contact_name},
        "CurrencyCode": one.currency,
        "Status": one.status,
        "DateString": f"{one.date}T00:00:00",
        "Total": one.total,
    }
    return Found.parse(given | changes)


def test_a_credit_note_says_what_an_invoice_would_with_its_own_names() -> None:
    """No due date and no link: a credit note has neither."""
    made = document()
    assert (made.family, made.type, made.kind) == ("credit_notes", "ACCRECCREDIT", CREDIT_NOTE)
    assert list(made.body()) == [
        "Type", "CreditNoteNumber", "Contact", "Date", "LineAmountTypes", "CurrencyCode", "Reference", "Status",
        "LineItems",
    ]  # fmt: skip
    assert (made.subtotal, made.tax, made.total) == (Decimal("100.00"), Decimal("10.00"), Decimal("110.00"))


def test_amounts_are_mirrored_and_quantities_stay_positive() -> None:
    rows = [product(-2, "50"), product(1, "-30", number=7002), product(1, "20", number=7003)]
    lines = document(memo(*rows)).lines
    assert [f"{line.quantity} x {line.unit_amount} = {line.amount:.0f}" for line in lines] == [
        "2 x 50 = 100", "1 x 30 = 30", "1 x -20 = -20",
    ]  # fmt: skip


def test_a_line_of_text_stays_one() -> None:
    """Also work that was covered by an agreement."""
    covered = time(1, 100, billableOption="NoCharge", extendedInvoiceAmount=Decimal(0))
    source = invoice([covered], [product(1, "-100")])
    lines = document(source).lines
    assert [line.body() for line in lines if line.quantity is None] == [{"Description": "Work"}]


@pytest.mark.parametrize(("tax", "placed"), [("-6.03", [None] * 3), ("-6.02", [None, None, Decimal("3.00")])])
def test_cents_of_tax_are_placed_on_the_largest_line(tax: str, placed: list[Decimal | None]) -> None:
    rows = [product(-1, price, number=7000 + n) for n, price in enumerate(("10.05", "20.05", "30.05"))]
    made = document(memo(*rows, tax=tax))
    assert [line.tax_amount for line in made.lines] == placed
    assert made.tax == -Decimal(tax)


def test_tax_that_is_off_by_more_is_held_with_positive_figures() -> None:
    told = held(to_xero_credit_note(memo(tax="-8"), surroundings()))
    assert told.reason is Reason.TAX_DIFFERS
    assert "8.00" in told.message and "10.00" in told.message and "-" not in told.message.split("tax")[-1][:12]


def test_what_is_mapped_twice_is_the_same_and_no_invoice() -> None:
    """A fingerprint that an invoice of the same record could have would hide a change of the sign."""
    assert document() == document() and document().fingerprint == document().fingerprint
    there = mapped(to_xero_invoice(invoice([], [product(1, "100")]), surroundings()))
    assert there.fingerprint != document().fingerprint


@pytest.mark.parametrize("status", ["draft", "submitted", "authorised"])
def test_the_status_on_creation_is_policy_of_its_own(status: str) -> None:
    world = surroundings({"policy.toml": f'[sales]\ncredit_note_status = "{status}"\n'})
    assert document(world=world).status == status.upper()
    assert mapped(to_xero_invoice(invoice([time()]), world)).status == "DRAFT"


@pytest.mark.parametrize(
    ("template", "number"), [("{invoice_number}", "40001"), ("CN-{invoice_number}", "CN-40001"), ("CN{id}", "CN39001")]
)
def test_the_number_follows_its_own_template(template: str, number: str) -> None:
    world = surroundings({"policy.toml": f'[sales]\ncredit_note_number = "{template}"\n'})
    assert document(world=world).number == number


def test_a_number_that_is_too_long_names_the_setting_that_made_it() -> None:
    world = surroundings({"policy.toml": f'[sales]\ncredit_note_number = "{"x" * 250}{{invoice_number}}{{id}}"\n'})
    assert "credit_note_number under [sales]" in held(to_xero_credit_note(memo(), world)).fix


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"location": {"id": 12, "name": "Perth"}}, Reason.MISSING_ORGANISATION),
        ({"company": {"id": 102, "identifier": "BETA", "name": "Beta"}, "accountNumber": ""}, Reason.MISSING_CONTACT),
        ({"currency": {"id": 3, "currencyCode": "NZD", "name": "NZ dollar"}}, Reason.CURRENCY_NOT_ENABLED),
        ({"invoiceNumber": ""}, Reason.UNREADABLE_RECORD),
        ({"productTotal": "-95"}, Reason.LINES_INCOMPLETE),
    ],
)
def test_whatever_holds_an_invoice_holds_a_credit_note(case: dict[str, Any], reason: Reason) -> None:
    told = held(to_xero_credit_note(memo(**case), surroundings()))
    assert told.reason is reason
    assert "invoice" not in told.message or reason in (Reason.LINES_INCOMPLETE, Reason.UNREADABLE_RECORD)


def test_a_locked_period_holds_it_and_says_what_it_is() -> None:
    told = held(to_xero_credit_note(memo(), surroundings(sydney=books(lock_date=date(2026, 3, 31)))))
    assert (told.reason, told.message.startswith("The credit memo is dated 2026-03-02")) == (Reason.PERIOD_LOCKED, True)


def test_tables_tax_and_tracking_count_as_for_an_invoice() -> None:
    world = surroundings(
        {
            "accounts.csv": "organisation,side,kind,category,item,account_code,item_code\n"
            ",sales,product,,,200,\n,sales,product,,DOCK-USBC,260,\n,sales,expense,,,265,\n",
            "tracking.csv": "organisation,side,source,value,tracking_category,option\n"
            ",sales,location,Sydney,Region,East\n",
        },
        sydney=books(
            accounts=[account(code) for code in ("200", "260", "265")],
            tax_rates=[tax_rate("OUTPUT", "10"), tax_rate("EXEMPTOUTPUT", "0")],
            tracking=[category("Region", "East")],
        ),
    )
    rows = [
        product(1, "-100"),
        product(1, "-20", number=7002, catalogItem={"id": 9, "identifier": "X"}, taxableFlag=False),
    ]
    source = invoice([], rows, [expense("-5")], tax="-10.50")
    lines = {line.key: line for line in document(source, world).lines}
    assert {key: (line.account_code, line.tax_type) for key, line in lines.items()} == {
        "expense:4001": ("265", "OUTPUT"), "product:7001": ("260", "OUTPUT"), "product:7002": ("200", "EXEMPTOUTPUT"),
    }  # fmt: skip
    assert {line.tracking for line in lines.values()} == {(("Region", "East"),)}


def test_a_foreign_one_carries_its_rate() -> None:
    world = surroundings(
        {
            "rates.csv": "currency,base,date,rate\nNZD,AUD,2026-03-01,1.0825\n",
            "policy.toml": '[currency]\nsource = "rates_table"\n',
        },
        sydney=books(currencies=("AUD", "NZD")),
    )
    made = document(memo(currency={"id": 3, "currencyCode": "NZD", "name": "NZ dollar"}), world)
    assert (made.currency, made.body()["CurrencyRate"]) == ("NZD", Decimal("1.0825"))


# How one of ours is known without a link


def test_one_of_ours_is_known_by_its_content_whatever_its_number() -> None:
    made = document()
    assert is_ours(made, found(made)) and is_ours(made, found(made, CreditNoteNumber="HERS-1"))
    assert is_ours(made, found(made, Reference=f" {made.document_reference.lower()} "))
    assert likeness(made) == likeness(found(made))


@pytest.mark.parametrize(
    "change",
    [
        {"Total": Decimal("110.01")},
        {"DateString": "2026-03-03T00:00:00"},
        {"CurrencyCode": "NZD"},
        {"Reference": "Other"},
        {"Type": "ACCPAYCREDIT"},
        {"Contact": {"ContactID": "cccccccc-0000-4000-8000-000000000001", "Name": "Beta"}},
    ],
)
def test_anything_that_differs_makes_it_somebody_elses(change: dict[str, Any]) -> None:
    assert not is_ours(document(), found(document(), **change))


def test_an_invoice_is_known_by_its_link_alone() -> None:
    made = mapped(to_xero_invoice(invoice([time()]), surroundings()))
    alike = Found.parse(
        {
            "InvoiceID": "b", "Type": made.type, "InvoiceNumber": made.number,
            "CurrencyCode": made.currency, "DateString": f"{made.date}T00:00:00", "Total": made.total,
            "Reference": made.document_reference, "Contact": {"ContactID": made.contact_id},
        }
    )  # fmt: skip
    assert not is_ours(made, alike)
    assert is_ours(made, replace(alike, url=made.url, total=Decimal(1)))


def test_each_kind_has_its_family_and_the_other_one() -> None:
    assert KINDS == {"invoices": INVOICE, "credit_notes": CREDIT_NOTE, "bills": BILL, "orders": PURCHASE_ORDER}
    assert OTHER == {"invoices": CREDIT_NOTE, "credit_notes": INVOICE}
