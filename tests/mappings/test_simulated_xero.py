"""What we predict is what the simulated Xero computes: the same arithmetic, written twice and apart."""

from __future__ import annotations

import base64
import json
import urllib.parse
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deployments.sandbox.wire import Request
from deployments.sandbox.xero import Limits, SimulatedXero
from deployments.sandbox.xero_books import TaxRate
from mappings.bills import to_xero_bill
from mappings.connectwise import SourceBill, SourceInvoice
from mappings.credit_notes import to_xero_credit_note
from mappings.invoices import is_credit, to_xero_invoice
from mappings.outcomes import Hold, Reason
from mappings.xero import Document, Found, write_json
from tests.mappings.goldens import NAMES, mapped_anew, world
from tests.mappings.orders import bill, line, order
from tests.mappings.samples import ACME, SYDNEY, cents, expense, invoice, mapped, product, time

MISSING = {"206": "Project Services", "265": "Recovered Expenses"}
"""Accounts of the golden tables that a new simulated organisation does not have."""
NETGEAR = "aaaaaaaa-0000-4000-8000-000000000002"


class Poster:
    """Creates documents in a simulated organisation, one call each, and reads what it made of them."""

    def __init__(self) -> None:
        self.xero = SimulatedXero(clock=lambda: datetime(2026, 3, 2, 9, tzinfo=UTC))
        self.xero.limits = Limits.none()
        organisation = self.xero.add_organisation("Sydney", tenant_id=SYDNEY)
        organisation.add_contact("Acme Pty Ltd", account_number="ACME01", contact_id=ACME)
        organisation.add_contact("Netgear Distribution", account_number="V-77", contact_id=NETGEAR)
        for code, name in MISSING.items():
            organisation.add_account(code, name, "REVENUE")
        everything = frozenset({"Assets", "Equity", "Expenses", "Liabilities", "Revenue"})
        organisation.tax_rates["TAX001"] = TaxRate(
            "TAX001", "NY Sales Tax", Decimal("8.875"), everything, "ACTIVE", "OUTPUT"
        )
        organisation.add_currency("NZD")
        organisation.add_item("DOCK", sales_price="1", sales_account="200", sales_tax="EXEMPTOUTPUT")
        organisation.add_item("LEASE", sales_price="1", sales_account="203")
        organisation.add_item("RACK", purchase_price="1", purchase_account="310", purchase_tax="INPUT")
        organisation.add_tracking_category("Region", ["East", "West"])
        organisation.add_tracking_category("Team", ["Service desk", "Projects"])
        form = {"grant_type": "refresh_token", "refresh_token": "sandbox-refresh-0"}
        basic = base64.b64encode(b"sandbox-client:sandbox-secret").decode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {basic}"}
        answer = self.xero(Request.build("POST", "/connect/token", "", headers, urllib.parse.urlencode(form).encode()))
        self.headers = {
            "Authorization": f"Bearer {json.loads(answer.body)['access_token']}",
            "Xero-tenant-id": SYDNEY,
            "Accept": "application/json",
        }
        self.numbers = count(1)

    def created(self, document: Document) -> tuple[Found, dict[str, Any]]:
        """The document as it was accepted, under a number of its own."""
        document = replace(document, number=f"T{next(self.numbers)}")
        query = "summarizeErrors=false&unitdp=4"
        collection = document.kind.collection
        body = write_json({collection: [document.body()]}).encode()
        answer = self.xero(Request.build("PUT", f"/api.xro/2.0/{collection}", query, self.headers, body))
        (element,) = json.loads(answer.body, parse_float=Decimal)[collection]
        assert not element.get("ValidationErrors"), element["ValidationErrors"]
        return Found.parse(element), element


@pytest.fixture(scope="module")
def poster() -> Poster:
    """One simulated organisation for all."""
    return Poster()


def taken(element: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What Xero made of each line: text, amount, tax, account, item and tracking."""
    return [
        (
            line["Description"],
            line["LineAmount"],
            line["TaxAmount"],
            line.get("AccountCode", ""),
            line.get("ItemCode", ""),
            {(one["Name"], one["Option"]) for one in line["Tracking"]},
        )
        for line in element["LineItems"]
    ]


def foreseen(document: Document) -> list[tuple[Any, ...]]:
    """The same as predicted."""
    return [
        (line.description, line.amount, line.tax, line.account_code, line.item_code, set(line.tracking))
        for line in document.lines
    ]


@pytest.mark.parametrize("name", NAMES)
def test_golden_documents_are_accepted_at_the_predicted_total(poster: Poster, name: str) -> None:
    """Line by line: the amount, the tax, and every description as it was sent."""
    document = mapped(mapped_anew(name))
    answer, element = poster.created(document)
    assert (answer.total, answer.status) == (document.total, document.status)
    assert (element["SubTotal"], element["TotalTax"]) == (document.subtotal, document.tax)
    assert taken(element) == foreseen(document)
    assert element["CurrencyRate"] == (document.currency_rate or 1)


PRICE = st.decimals(Decimal(-99), Decimal(9999), allow_nan=False, allow_infinity=False, places=7) | st.just(Decimal(0))
HOURS = st.decimals(Decimal(-2), Decimal(40), allow_nan=False, allow_infinity=False, places=4) | st.just(Decimal(0))
FLAT = st.just(Decimal(0)) | st.decimals(Decimal(-500), Decimal(5000), allow_nan=False, allow_infinity=False, places=2)
PEOPLE = st.sampled_from([None, {"id": 6, "identifier": "amoss"}, {"id": 9, "identifier": "nobody"}])
PLACES = st.sampled_from([None, 14, 15])
DEPARTMENTS = st.sampled_from([None, 22, 23])
ITEMS = st.sampled_from(
    [(301, "DOCK-USBC"), (311, "M365-ARCHIVE"), (312, "M365"), (313, "AZURE"), (321, "NB-14-LEASE"), (322, "DOCK-PRO")]
)
TEXT = st.text(max_size=20) | st.sampled_from(["=1+1", "x" * 4001, "😀" * 2100, "a\r\nb\x00", "שלום"])
CODES = {5: (Decimal(10), True, True), 7: (Decimal("8.875"), False, True)}
"""Tax code: its rate, and whether it taxes services and expenses (see the golden tables)."""
DATED = {"2026-01-20": False, "2026-02-10": True, "2026-03-02": True, "2026-04-03": True, "2026-04-04": False}
"""Dates of documents, and whether rates.csv has a rate for them that is not too old."""


@st.composite
def any_invoice(draw: st.DrawFn, credit: bool = False) -> tuple[SourceInvoice, int]:
    """An invoice with every kind of line, and by how many cents its tax is not the sum times the rate.

    `credit`: most of them are below zero.
    """
    work = [
        time(
            draw(HOURS), draw(PRICE), number=n, notes=draw(TEXT), member=draw(PEOPLE), locationId=draw(PLACES),
            businessUnitId=draw(DEPARTMENTS), billableOption=draw(st.sampled_from(["Billable", "NoCharge"])),
        )
        for n in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    sold = []
    for n in range(draw(st.integers(0, 4))):
        number, identifier = draw(ITEMS)
        sold.append(
            product(
                draw(st.integers(-3, 5000)), draw(PRICE), number=n, taxableFlag=draw(st.booleans()),
                customerDescription=draw(TEXT), catalogItem={"id": number, "identifier": identifier},
                locationId=draw(PLACES), businessUnitId=draw(DEPARTMENTS),
            )
        )  # fmt: skip
    spent = [
        expense(cents(draw(PRICE)), number=n, member=draw(PEOPLE), locationId=draw(PLACES))
        for n in range(draw(st.integers(0, 2)))
    ]
    for row in work:
        if row["billableOption"] == "NoCharge":
            row["extendedInvoiceAmount"] = Decimal(0)
    flat = [
        draw(FLAT)
        for _ in ("agreementAmount", "serviceAdjustmentAmount", "previousProgressApplied", "downpaymentApplied")
    ]
    rows_make = sum((row["extendedInvoiceAmount"] for row in work), Decimal(0))
    rows_make += sum((row["extPrice"] for row in sold), Decimal(0)) + sum(
        (row["invoiceAmount"] for row in spent), Decimal(0)
    )
    # Lines of both signs are wanted; what the whole document makes decides its kind, and a flat amount sees to that.
    lift = -2 * (rows_make + flat[0] + flat[1] - flat[2] - flat[3])
    flat[0] += min(Decimal(0), lift) if credit else max(Decimal(0), lift)
    code, taxed = draw(st.sampled_from(sorted(CODES))), draw(st.booleans())
    percent, services, costs = CODES[code]
    billed = sum((row["extendedInvoiceAmount"] for row in work), flat[0] + flat[1] - flat[2] - flat[3])
    paid_out = sum((row["invoiceAmount"] for row in spent), Decimal(0))
    base = billed * services + paid_out * costs + sum(row["extPrice"] for row in sold if row["taxableFlag"])
    off = draw(st.just(0) | st.integers(-3, 3))
    tax = (cents(base * percent / 100) if taxed else Decimal(0)) + Decimal(off) / 100
    source = invoice(
        work, sold, spent, tax=tax, taxableFlag=taxed, taxCode={"id": code, "identifier": {5: "GST", 7: "NY"}[code]},
        agreementAmount=flat[0], serviceAdjustmentAmount=flat[1], previousProgressApplied=flat[2],
        downpaymentApplied=flat[3], agreement=draw(st.sampled_from([None, {"id": 601}])),
        currency={"currencyCode": draw(st.sampled_from(["AUD", "NZD"]))},
        date=f"{draw(st.sampled_from(sorted(DATED)))}T00:00:00Z", dueDate=None,
        department=draw(st.sampled_from([None, {"id": 21, "identifier": "SERV", "name": "Services"}])),
    )  # fmt: skip
    return source, off


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(any_invoice())
def test_any_mapped_document_is_accepted_at_the_predicted_total(
    poster: Poster, drawn: tuple[SourceInvoice, int]
) -> None:
    """Items, tracking, currencies, several rates, lines of nothing and less: equal to the cent, or held for a reason.

    Held means: no rate for that day, or tax that is off by more than a cent per taxable line.
    """
    record, off = drawn
    assume(record.header.total >= 0)
    agrees(poster, to_xero_invoice(record, world()), record, off)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(any_invoice(credit=True))
def test_any_mapped_credit_note_is_accepted_at_the_predicted_total(
    poster: Poster, drawn: tuple[SourceInvoice, int]
) -> None:
    """The same below zero, where all amounts have the other sign and the cents of tax are placed alike."""
    record, off = drawn
    assume(is_credit(record.header))
    agrees(poster, to_xero_credit_note(record, world()), record, off, sign=-1)


def agrees(poster: Poster, result: Document | Hold, record: SourceInvoice, off: int, sign: int = 1) -> None:
    """What Xero makes of a mapped document is what was predicted, and what ConnectWise says."""
    foreign = record.header.currency.currency_code != "AUD"
    if foreign and not DATED[record.header.date.isoformat()]:
        assert isinstance(result, Hold)
        assert result.reason is Reason.MISSING_RATE
        return
    if isinstance(result, Hold):
        assert result.reason is Reason.TAX_DIFFERS
        assert off
        return
    answer, element = poster.created(result)
    assert answer.total == result.total == sign * cents(record.header.total)
    assert (element["SubTotal"], element["TotalTax"]) == (
        sign * cents(record.header.subtotal),
        sign * cents(record.header.sales_tax),
    )
    assert taken(element) == foreseen(result)
    assert answer.currency == record.header.currency.currency_code
    assert element["CurrencyRate"] == (result.currency_rate or 1)
    assert (result.currency_rate is not None) is foreign


COST = st.decimals(Decimal(-20), Decimal(900), allow_nan=False, places=6) | st.just(Decimal(0))
BOUGHT = st.sampled_from([(301, "DOCK-USBC"), (311, "M365-ARCHIVE"), (331, "RACK-42U"), (332, "NUTS")])
UNMAPPED = 9
"""A tax code that the golden tables have no row for: on a draft it is left to the bookkeeper."""


@st.composite
def any_bill(draw: st.DrawFn) -> SourceBill:
    """A bill of a part or all of some lines, and of freight, whose taxes may be off. One line is on another bill."""
    code = draw(st.sampled_from([5, 5, UNMAPPED]))
    lines, held = [], {}
    for n in range(draw(st.integers(0, 5))):
        number, identifier = draw(BOUGHT)
        quantity = draw(st.integers(1, 500) | st.decimals(Decimal("0.1"), Decimal(50), places=2, allow_nan=False))
        row = line(
            n, quantity, 1, draw(COST), description=draw(TEXT), product={"id": number, "identifier": identifier},
            lineNumber=draw(st.integers(0, 3)),
        )  # fmt: skip
        row["tax"] = (row["tax"] + Decimal(draw(st.just(0) | st.integers(-3, 3))) / 100) * draw(
            st.sampled_from([1, 1, 0])
        )
        lines.append(row)
        held[f"line:{n}"] = draw(st.just(Decimal(quantity)) | st.integers(1, 40).map(Decimal))
    freight = draw(st.just(Decimal(0)) | st.decimals(Decimal(1), Decimal(90), places=2, allow_nan=False))
    freight_tax = cents(freight / 10) * draw(st.sampled_from([0, 1]))
    if freight or not held:
        held["freight"] = Decimal(1)
    return bill(
        order(
            *lines, line(99, received=1), freightCost=freight, freightTaxTotal=freight_tax,
            taxCode={"id": code, "name": "GST" if code == 5 else "Deferred"},
            currency={"currencyCode": draw(st.sampled_from(["AUD", "NZD"]))}, businessUnitId=draw(DEPARTMENTS),
            vendorInvoiceDate=f"{draw(st.sampled_from(sorted(DATED)))}T00:00:00Z",
            vendorInvoiceNumber=draw(st.sampled_from(["", "INV-9"])),
        ),
        held,
        n=draw(st.integers(1, 3)),
        receipt=draw(st.sampled_from(["", "S1", "R2"])),
        status=draw(st.sampled_from(["", "draft", "submitted", "authorised"])),
        due_days=draw(st.none() | st.integers(0, 60)),
    )  # fmt: skip


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(any_bill())
def test_any_mapped_bill_is_accepted_at_the_predicted_total(poster: Poster, source: SourceBill) -> None:
    """Parts of lines, freight, currencies, what costs nothing, what is left blank: to the cent, or held for a reason.

    Held means: no rate for that day, no tax type where it is no draft, or tax that is off by more than a cent per
    taxable line, and by more than what was rounded off the tax of a line of which more came than was ordered.
    """
    header, held = source.header, dict(source.quantities)
    # Each line's amount, and its tax as ConnectWise has it.
    parts = [
        (cents(each.unit_cost * held[f"line:{each.id}"]), each.tax * held[f"line:{each.id}"] / each.quantity)
        for each in source.lines
        if f"line:{each.id}" in held
    ]
    if "freight" in held:
        parts.append((header.freight_cost, header.freight_tax_total))
    subtotal, wanted = sum(amount for amount, _ in parts), cents(sum((tax for _, tax in parts), Decimal(0)))
    assume(subtotal >= 0)
    taxed = [amount for amount, tax in parts if amount and tax]
    gaps = header.tax_code is not None and header.tax_code.id == UNMAPPED and bool(taxed)
    foreign = header.currency.currency_code != "AUD"
    result = to_xero_bill(source, world())
    if foreign and header.vendor_invoice_date and not DATED[header.vendor_invoice_date.isoformat()]:
        assert isinstance(result, Hold)
        assert result.reason is Reason.MISSING_RATE
        return
    if gaps and source.status not in ("", "draft"):
        assert isinstance(result, Hold)
        assert result.reason is Reason.MISSING_TAX
        return
    foreseen_tax = sum((cents(amount / 10) for amount in taxed), Decimal(0))
    those = [each for each in source.lines if f"line:{each.id}" in held and each.tax]
    times = [held[f"line:{each.id}"] / each.quantity for each in those]
    rounded = Decimal("0.005") * sum((each - 1 for each in times if each > 1), Decimal(0))
    off, cents_each = abs(wanted - foreseen_tax), Decimal("0.01") * len(taxed)
    if not gaps and off > cents_each + rounded:
        assert isinstance(result, Hold)
        assert result.reason is Reason.TAX_DIFFERS
        return
    document = mapped(result)
    assume(document.total >= 0)
    answer, element = poster.created(document)
    assert (answer.total, answer.status) == (document.total, document.status)
    assert (element["SubTotal"], element["TotalTax"]) == (
        subtotal,
        foreseen_tax if gaps or off > cents_each else wanted,
    )
    assert taken(element) == foreseen(document)
    assert answer.currency == header.currency.currency_code
    assert element["CurrencyRate"] == (document.currency_rate or 1)
