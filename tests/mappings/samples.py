"""A small, complete world for the pure core: tables, the books of one organisation, and ConnectWise invoices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mappings.connectwise import Company, SourceInvoice, TaxCode
from mappings.links import ConnectWiseSite
from mappings.outcomes import Hold
from mappings.related import Related
from mappings.surroundings import Surroundings, Tables, read_tables
from mappings.xero import (
    Account,
    Books,
    Contact,
    ContactBook,
    Document,
    Found,
    Item,
    Organisation,
    TaxRate,
    TrackingCategory,
)

SYDNEY = "11111111-1111-4111-8111-111111111111"
ACME = "aaaaaaaa-0000-4000-8000-000000000001"
SITE = ConnectWiseSite.of("https://api-au.myconnectwise.net/v4_6_release/apis/3.0", "brightwater")

KINDS = (
    "product", "service", "expense", "agreement", "adjustment", "progress", "special", "down_payment", "rounding",
)  # fmt: skip
FILES = {
    "organisations.csv": "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n",
    "accounts.csv": "organisation,side,kind,category,item,account_code,item_code\n"
    + "".join(f",sales,{kind},,,{'870' if kind == 'down_payment' else '200'},\n" for kind in KINDS),
    "taxes.csv": "organisation,side,tax_code,taxable,tax_type\n,sales,,yes,OUTPUT\n,sales,,no,EXEMPTOUTPUT\n",
}
"""The tables of the smallest useful installation: every kind has an account, both answers to `taxable` a tax type."""


def tables(changes: Mapping[str, str] | None = None) -> Tables:
    """The tables above, some of them replaced (or, like policy.toml, added)."""
    return read_tables({name: text.encode() for name, text in {**FILES, **(changes or {})}.items()})


def account(code: str, *, kind: str = "REVENUE", **fields: str) -> Account:
    """An active account of the chart."""
    given = {"Code": code, "Name": f"Account {code}", "Type": "SALES", "Class": kind, "Status": "ACTIVE"}
    return Account.parse({**given, **fields})


def tax_rate(tax_type: str, rate: str, status: str = "ACTIVE", **fields: object) -> TaxRate:
    """A tax rate that may stand on every class of account unless told otherwise."""
    given = {"TaxType": tax_type, "Name": f"{tax_type} {rate} %", "EffectiveRate": Decimal(rate), "Status": status}
    return TaxRate.parse({**given, **fields})


def item(code: str, **fields: Any) -> Item:
    """An item that is bought and sold."""
    return Item.parse({"Code": code, "Name": f"Item {code}", **fields})


def category(name: str, *options: str, status: str = "ACTIVE", archived: Iterable[str] = ()) -> TrackingCategory:
    """A tracking category with these options."""
    given = [{"Name": each, "Status": "ACTIVE"} for each in options]
    given += [{"Name": each, "Status": "ARCHIVED"} for each in archived]
    return TrackingCategory.parse({"Name": name, "Status": status, "Options": given})


def contact(number: int, name: str, account_number: str = "", status: str = "ACTIVE") -> Contact:
    """A contact whose id ends in `number`."""
    return Contact(f"aaaaaaaa-0000-4000-8000-{number:012}", name, account_number, status)


def books(
    contacts: Iterable[Contact] = (contact(1, "Acme Pty Ltd", "ACME01"),),
    accounts: Iterable[Account] = (account("200"), account("870", kind="LIABILITY", Type="CURRLIAB")),
    tax_rates: Iterable[TaxRate] = (tax_rate("OUTPUT", "10"), tax_rate("EXEMPTOUTPUT", "0")),
    currencies: Iterable[str] = ("AUD",),
    lock_date: date | None = None,
    items: Iterable[Item] = (),
    tracking: Iterable[TrackingCategory] = (),
) -> Books:
    """The books of Sydney."""
    return Books(
        tenant_id=SYDNEY,
        organisation=Organisation("Sydney", "AUD", "!syd", lock_date),
        accounts={each.code: each for each in accounts},
        tax_rates={each.tax_type: each for each in tax_rates},
        currencies=frozenset(currencies),
        contacts=ContactBook.of(contacts),
        digest="books",
        items={each.code: each for each in items},
        tracking={each.name.casefold(): each for each in tracking},
    )


def surroundings(
    changes: Mapping[str, str] | None = None,
    *,
    sydney: Books | None = None,
    tax_codes: Iterable[TaxCode] = (TaxCode(id=5, identifier="GST", taxes_services=True, taxes_expenses=True),),
    companies: Iterable[Company] = (),
    gone: Iterable[tuple[str, int]] = (),
    **related: Iterable[Any],
) -> Surroundings:
    """Everything that a mapping is given beside the record: one organisation, Sydney."""
    lists: dict[str, Any] = {name: {each.id: each for each in records} for name, records in related.items()}
    return Surroundings(
        tables=tables(changes),
        tenants={"Sydney": SYDNEY},
        books={"Sydney": sydney or books()},
        site=SITE,
        related=Related(
            tax_codes={code.id: code for code in tax_codes},
            companies={company.id: company for company in companies},
            gone=frozenset(gone),
            **lists,
        ),
    )


def cents(amount: Decimal) -> Decimal:
    """To the cent, halves away from zero: written here once more, so that tests do not ask the code under test."""
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


HEADER: dict[str, Any] = {
    "id": 39001,
    "invoiceNumber": "40001",
    "type": "Standard",
    "status": {"id": 2, "name": "Closed", "isClosed": True},
    "company": {"id": 101, "identifier": "ACME", "name": "Acme Pty Ltd"},
    "accountNumber": "ACME01",
    "customerPO": "PO-77",
    "date": "2026-03-02T00:00:00Z",
    "dueDate": "2026-03-16T00:00:00Z",
    "location": {"id": 11, "name": "Sydney"},
    "taxableFlag": True,
    "taxCode": {"id": 5, "name": "GST"},
    "currency": {"id": 1, "currencyCode": "AUD", "name": "Australian dollar"},
}
PARTS = ("serviceTotal", "expenseTotal", "productTotal", "agreementAmount", "serviceAdjustmentAmount")
LESS = ("previousProgressApplied", "downpaymentApplied")


def time(hours: object = "2", rate: object = "150", *, number: int = 9001, **fields: Any) -> dict[str, Any]:
    """A time entry as the API gives it; its amount is hours x rate to the cent unless given."""
    given: dict[str, Any] = {
        "id": number,
        "invoice": {"id": 39001},
        "notes": "Work",
        "billableOption": "Billable",
        "invoiceHours": Decimal(str(hours)),
        "hourlyRate": Decimal(str(rate)),
        "extendedInvoiceAmount": cents(Decimal(str(hours)) * Decimal(str(rate))),
    }
    return given | fields


def product(quantity: object = "1", price: object = "99", *, number: int = 7001, **fields: Any) -> dict[str, Any]:
    """A product as the API gives it; its amount is quantity x price to the cent unless given."""
    given: dict[str, Any] = {
        "id": number,
        "invoice": {"id": 39001},
        "catalogItem": {"id": 301, "identifier": "DOCK-USBC"},
        "customerDescription": "USB-C dock",
        "billableOption": "Billable",
        "quantity": Decimal(str(quantity)),
        "price": Decimal(str(price)),
        "extPrice": cents(Decimal(str(quantity)) * Decimal(str(price))),
        "taxableFlag": True,
    }
    return given | fields


def expense(amount: object = "17.60", *, number: int = 4001, **fields: Any) -> dict[str, Any]:
    """An expense as the API gives it."""
    given: dict[str, Any] = {
        "id": number,
        "invoice": {"id": 39001},
        "type": {"id": 3, "name": "Parking"},
        "notes": "Parking at the site",
        "billableOption": "Billable",
        "invoiceAmount": Decimal(str(amount)),
    }
    return given | fields


def raw_invoice(
    times: Iterable[Mapping[str, Any]] = (),
    products: Iterable[Mapping[str, Any]] = (),
    expenses: Iterable[Mapping[str, Any]] = (),
    tax: object = None,
    **fields: Any,
) -> dict[str, Any]:
    """A closed invoice whose header adds up to its rows, with 10 % tax on the sum unless told otherwise."""
    given = [list(times), list(products), list(expenses)]
    header = dict(HEADER)
    for name, rows, amount in zip(
        ("serviceTotal", "productTotal", "expenseTotal"),
        given,
        ("extendedInvoiceAmount", "extPrice", "invoiceAmount"),
        strict=True,
    ):
        header[name] = sum((Decimal(row[amount] or 0) for row in rows), Decimal(0))
    header |= {name: Decimal(value) if name in (*PARTS, *LESS) else value for name, value in fields.items()}
    parts = sum((Decimal(header.get(name) or 0) for name in PARTS), Decimal(0))
    less = sum((Decimal(header.get(name) or 0) for name in LESS), Decimal(0))
    header.setdefault("subtotal", parts - less)
    rate = Decimal("0.1") if header["taxableFlag"] else Decimal(0)
    header.setdefault("salesTax", cents(header["subtotal"] * rate) if tax is None else Decimal(str(tax)))
    header.setdefault("total", Decimal(header["subtotal"]) + Decimal(header["salesTax"]))
    return {"header": header, "time": given[0], "products": given[1], "expenses": given[2]}


def invoice(
    times: Iterable[Mapping[str, Any]] = (),
    products: Iterable[Mapping[str, Any]] = (),
    expenses: Iterable[Mapping[str, Any]] = (),
    tax: object = None,
    **fields: Any,
) -> SourceInvoice:
    """The same as a record."""
    return SourceInvoice.model_validate(raw_invoice(times, products, expenses, tax, **fields))


def mapped(result: Document | Hold) -> Document:
    """The document; fails with the reason when it was held."""
    assert isinstance(result, Document), f"held: {result.reason}: {result.message}"
    return result


def held(result: object) -> Hold:
    """The hold; fails when there is none."""
    assert isinstance(result, Hold), f"not held: {result}"
    return result


def found(document: Document, **changes: Any) -> Found:
    """The document as Xero answers it, with some fields changed."""
    given: dict[str, Any] = {
        "InvoiceID": "bbbbbbbb-0000-4000-8000-000000000001",
        "Type": document.type,
        "InvoiceNumber": document.number,
        "Url": document.url,
        "Contact": {"ContactID": document.contact_id, "Name": document.contact_name},
        "CurrencyCode": document.currency,
        "Status": document.status,
        "DateString": f"{document.date}T00:00:00",
        "Total": document.total,
    }
    return Found.parse(given | changes)
