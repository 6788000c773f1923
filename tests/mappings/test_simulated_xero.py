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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.sandbox.wire import Request
from deployments.sandbox.xero import Limits, SimulatedXero
from mappings.invoices import to_xero_invoice
from mappings.outcomes import Hold
from mappings.xero import Document, Found, write_json
from tests.mappings.goldens import NAMES, source, world
from tests.mappings.samples import ACME, SYDNEY, cents, expense, invoice, mapped, product, time

MISSING = {"206": "Project Services", "265": "Recovered Expenses"}
"""Accounts of the golden tables that a new simulated organisation does not have."""


class Poster:
    """Creates documents in a simulated organisation, one call each, and reads what it made of them."""

    def __init__(self) -> None:
        self.xero = SimulatedXero(clock=lambda: datetime(2026, 3, 2, 9, tzinfo=UTC))
        self.xero.limits = Limits.none()
        organisation = self.xero.add_organisation("Sydney", tenant_id=SYDNEY)
        organisation.add_contact("Acme Pty Ltd", account_number="ACME01", contact_id=ACME)
        for code, name in MISSING.items():
            organisation.add_account(code, name, "REVENUE")
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
        body = write_json({"Invoices": [document.body()]}).encode()
        answer = self.xero(Request.build("PUT", "/api.xro/2.0/Invoices", query, self.headers, body))
        (element,) = json.loads(answer.body, parse_float=Decimal)["Invoices"]
        assert not element["HasErrors"], element["ValidationErrors"]
        return Found.parse(element), element


@pytest.fixture(scope="module")
def poster() -> Poster:
    """One simulated organisation for all."""
    return Poster()


@pytest.mark.parametrize("name", NAMES)
def test_golden_documents_are_accepted_at_the_predicted_total(poster: Poster, name: str) -> None:
    """Line by line: the amount, the tax, and every description as it was sent."""
    document = mapped(to_xero_invoice(source(name), world()))
    answer, element = poster.created(document)
    assert (answer.total, answer.status) == (document.total, document.status)
    assert (element["SubTotal"], element["TotalTax"]) == (document.subtotal, document.tax)
    lines = [(line["Description"], line["LineAmount"], line["TaxAmount"]) for line in element["LineItems"]]
    assert lines == [(line.description, line.amount, line.tax) for line in document.lines]


PRICE = st.decimals(Decimal(-99), Decimal(9999), allow_nan=False, allow_infinity=False, places=7)
HOURS = st.decimals(Decimal(-2), Decimal(40), allow_nan=False, allow_infinity=False, places=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    times=st.lists(st.tuples(HOURS, PRICE), max_size=4),
    products=st.lists(st.tuples(st.integers(1, 5000), PRICE, st.booleans()), max_size=4),
    expenses=st.lists(PRICE.map(cents), max_size=2),
    off=st.integers(-3, 3),
)
def test_any_mapped_document_is_accepted_at_the_predicted_total(
    poster: Poster,
    times: list[tuple[Decimal, Decimal]],
    products: list[tuple[int, Decimal, bool]],
    expenses: list[Decimal],
    off: int,
) -> None:
    """Fine prices, negative rows, several rates, tax that is a few cents off: equal to the cent, or held."""
    work = [time(hours, rate, number=n) for n, (hours, rate) in enumerate(times)]
    sold = [product(number, price, number=n, taxableFlag=taxed) for n, (number, price, taxed) in enumerate(products)]
    spent = [expense(amount, number=n) for n, amount in enumerate(expenses)]
    taxed = sum((row["extendedInvoiceAmount"] for row in work), sum(expenses, Decimal(0)))
    taxed += sum((row["extPrice"] for row in sold if row["taxableFlag"]), Decimal(0))
    record = invoice(work, sold, spent, tax=cents(taxed / 10) + Decimal(off) / 100)
    result = to_xero_invoice(record, world())
    if isinstance(result, Hold) or result.total < 0:
        return
    answer, _ = poster.created(result)
    assert answer.total == result.total == cents(record.header.total)
