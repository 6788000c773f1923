"""A plain, large world for benchmarks: two organisations, every invoice mappable, nothing wrong with any."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios.scenario import HERE, Scenario
from deployments.sandbox.xero import SimulatedXero

ORGANISATIONS = {
    "Bulk Harbour": "b01c0000-0000-4000-8000-0000000000b1",
    "Bulk Valley": "b01c0000-0000-4000-8000-0000000000b2",
}
COMPANIES = 200
DAYS = 28


def generate(
    connectwise: SimulatedConnectWise, xero: SimulatedXero, invoices: int = 5000, rows: int = 3, seed: int = 1
) -> Scenario:
    """Build `invoices` closed invoices of the last four weeks with `rows` rows each; the same for the same seed."""
    random = Random(seed)
    now = connectwise.clock()
    today = now.date()
    places: list[tuple[int, list[int]]] = []
    scenario = Scenario("bulk", HERE / "bulk" / "tables", today - timedelta(days=DAYS), dict(ORGANISATIONS))
    with connectwise.at(now - timedelta(hours=1)):
        tax_code = connectwise.add_tax_code("GST", "GST 10 %", 10, xref="OUTPUT")
        currency = connectwise.add_currency("AUD", "Australian dollar")
        department = connectwise.add_department("Service Desk")
        items = [
            connectwise.add_catalog_item(f"PART-{part}", f"Part {part}", price=Decimal(995 + 137 * part) / 100)
            for part in range(20)
        ]
        for name, tenant in ORGANISATIONS.items():
            organisation = xero.add_organisation(name, tenant_id=tenant)
            location = connectwise.add_location(name.removeprefix("Bulk "))
            companies: list[int] = []
            for count in range(COMPANIES // len(ORGANISATIONS)):
                number = f"{name[5]}{count:04d}"
                customer = f"{name} Customer {count}"
                companies.append(connectwise.add_company(number, customer, number, taxCode=tax_code, currency=currency))
                organisation.add_contact(customer, account_number=number)
            places.append((location, companies))
        for count in range(invoices):
            location, companies = places[count % len(places)]
            number = f"B{count + 1:06d}"
            scenario.invoices[number] = connectwise.add_invoice(
                invoiceNumber=number,
                company=companies[random.randrange(len(companies))],
                location=location,
                department=department,
                date=today - timedelta(days=random.randrange(DAYS)),
                status="Closed",
                **_rows(random, rows, items),
            )
    return scenario


def _rows(random: Random, rows: int, items: list[int]) -> dict[str, Any]:
    """Time, products and expenses in turn."""
    kinds: dict[str, list[dict[str, Any]]] = {"time": [], "products": [], "expenses": []}
    for row in range(rows):
        if row % 3 == 0:
            hours = Decimal(random.randint(1, 32)) / 4
            kinds["time"].append({"actualHours": hours, "hourlyRate": Decimal(160), "notes": f"Ticket work {row}"})
        elif row % 3 == 1:
            kinds["products"].append({"catalogItem": random.choice(items), "quantity": random.randint(1, 9)})
        else:
            amount = Decimal(random.randint(100, 9999)) / 100
            kinds["expenses"].append({"type": "Travel", "amount": amount, "notes": f"Trip {row}"})
    return kinds
