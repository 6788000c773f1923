"""From a closed ConnectWise invoice to the same invoice in Xero: one pure function, everything it needs an argument.

What makes an invoice makes a credit note, too (credit_notes.py): it is an invoice of ConnectWise with a negative total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mappings import contacts
from mappings.coding import Coding
from mappings.connectwise import Currency, CustomField, Invoice, SourceInvoice
from mappings.csv_tables import NOTHING, AmbiguousRows, Row, Value
from mappings.kinds import INVOICE, Kind
from mappings.lines import Taxability, clean, drafts_of, length_in_xero
from mappings.money import to_cents
from mappings.namesakes import Namesakes, several
from mappings.outcomes import Hold, Reason, XeroList, merge
from mappings.policy import filled
from mappings.rates import Rate, rate_for
from mappings.related import Related
from mappings.surroundings import Surroundings, Tables
from mappings.xero import Books, Contact, Document, Line, NewContact

LONGEST_NUMBER = 255
SIDE = "sales"


def is_credit(header: Invoice) -> bool:
    """A total below zero, to the cent, makes a credit note, whatever the type says (design 5)."""
    return to_cents(header.total) < 0


ROUTING_COLUMNS = {name: name for name in ("location", "department", "company", "staff")}
"""Columns of organisations.csv that name records of ConnectWise."""


def organisation_of(
    source: SourceInvoice, tables: Tables, related: Related, namesakes: Namesakes
) -> tuple[str, Row] | Hold:
    """The organisation that organisations.csv routes this record to, and the row that did it."""
    if related.lacks("sales_orders", source.header.sales_order):
        order = source.header.sales_order
        shown = (order.identifier or order.name or order.id) if order else ""
        return Hold(
            Reason.MISSING_ORGANISATION,
            str(shown),
            f"The sales representative decides here, and ConnectWise does not show the sales order {shown}.",
            "Let the API member see the sales order (it may have been deleted), or choose another rule for staff under "
            "[routing] in policy.toml.",
        )
    routes: list[tuple[str, Row]] = []
    for staff in _staff(source, tables, related):
        route = _route(source, tables, staff)
        if not isinstance(route, Hold):
            route = several(route[1], ROUTING_COLUMNS, namesakes) or route
        if isinstance(route, Hold):
            return route
        routes.append(route)
    first, *others = routes
    for other in others:
        if other[0] != first[0]:
            return Hold(
                Reason.AMBIGUOUS_MAPPING,
                f"{first[0]}/{other[0]}",
                "The time of this record was entered by people of different organisations: "
                f"{first[1]} says {first[0]}, {other[1]} says {other[0]}.",
                'Give their rows in organisations.csv the same organisation, or set staff = "first_time_entry" under '
                "[routing] in policy.toml.",
            )
    return first


def _route(source: SourceInvoice, tables: Tables, staff: Value) -> tuple[str, Row] | Hold:
    header = source.header
    keys = {
        "location": Value.of(header.location, header.location_id),
        "department": Value.of(header.department, header.department_id),
        "company": Value.of(header.company),
        "staff": staff,
        "tag": tag(header.custom_fields, tables.policy.routing.tag_field),
    }
    return route(keys, tables)


def route(keys: Mapping[str, Value], tables: Tables) -> tuple[str, Row] | Hold:
    """The organisation that organisations.csv gives for these values of its columns, and the row that did it."""
    location = keys["location"]
    try:
        row = tables.organisations.find(**keys)
    except AmbiguousRows as error:
        return Hold(
            Reason.AMBIGUOUS_MAPPING,
            location.shown(),
            f"{error.first} and {error.second} both fit this record.",
            f"Make {error.first} or {error.second} more specific, or remove one.",
        )
    if row is None:
        line = tables.organisations.line(location=location.shown(), organisation="<organisation>")
        return Hold(
            Reason.MISSING_ORGANISATION,
            location.shown(),
            f"No row of organisations.csv fits the location {location.shown()}.",
            f"Add to organisations.csv: {line}",
        )
    if not row.values["organisation"]:
        return Hold(
            Reason.MISSING_ORGANISATION,
            location.shown(),
            f"{row} fits the location {location.shown()}, but names no organisation.",
            f"Fill organisation in {row}.",
        )
    return row.values["organisation"], row


def to_xero_invoice(source: SourceInvoice, surroundings: Surroundings) -> Document | Hold:
    """The Xero invoice for a closed invoice of zero or more, or every reason why it cannot be one yet.

    All amounts are in the invoice's own currency. The totals of the result are what Xero will compute; they equal
    the header's to the cent, or the record is held.
    """
    return sales_document(INVOICE, source, surroundings)


def sales_document(kind: Kind, source: SourceInvoice, surroundings: Surroundings) -> Document | Hold:
    """The same for either kind of sales document."""
    routed = organisation_of(source, surroundings.tables, surroundings.related, surroundings.namesakes)
    if isinstance(routed, Hold):
        return routed
    organisation, row = routed
    there = connected(organisation, row, surroundings)
    if isinstance(there, Hold):
        return there
    return _Mapping(kind, source, surroundings, organisation, *there, [row]).document()


def connected(organisation: str, routing_row: Row, surroundings: Surroundings) -> tuple[str, Books] | Hold:
    """The tenant and the books of an organisation that a row names."""
    tenant_id = surroundings.tenants.get(organisation)
    books = surroundings.books.get(organisation)
    if tenant_id is None or books is None:
        known = ", ".join(sorted(surroundings.tenants)) or "none"
        return Hold(
            Reason.MISSING_ORGANISATION,
            organisation,
            f"{routing_row} names the organisation {organisation!r}, which is not connected (connected: {known}).",
            f"Correct organisation in {routing_row}, or add {organisation!r} to the organisations in tieout.toml.",
        )
    return tenant_id, books


class DocumentMapping:
    """What is the same for every kind of document: collects all problems, so that a bookkeeper sees them at once.

    `learnt` is the company whose contact was found by rule (0: by none).
    """

    def __init__(
        self,
        kind: Kind,
        surroundings: Surroundings,
        organisation: str,
        tenant_id: str,
        books: Books,
        rows: list[Row],
    ) -> None:
        self.kind = kind
        self.surroundings = surroundings
        self.tables = surroundings.tables
        self.related = surroundings.related
        self.decisions = surroundings.tables.policy.decisions(organisation)
        self.organisation = organisation
        self.tenant_id = tenant_id
        self.books = books
        self.rows = rows
        self.problems: list[Hold] = []
        self.learnt = 0

    def check_lock_date(self, date_: date) -> None:
        """Note a problem where the books are closed on this day."""
        lock = self.books.organisation.lock_date
        if lock is not None and date_ <= lock:
            self.problems.append(
                Hold(
                    Reason.PERIOD_LOCKED,
                    date_.isoformat(),
                    f"The {self.kind.source} is dated {date_}, and {self.organisation} is locked up to and including "
                    f"{lock}.",
                    waits_on=(XeroList.ORGANISATION,),
                )
            )

    def currency(self, given: Currency) -> str:
        """The code of a document's currency; '' and a problem where ConnectWise names none."""
        base = self.books.organisation.base_currency
        currency = given.currency_code.strip().upper()
        if not currency and (given.id is not None or given.name):
            self.problems.append(
                Hold(
                    Reason.CURRENCY_NOT_ENABLED,
                    given.name or f"currency {given.id}",
                    f"The currency {given.name or given.id} of the {self.kind.source} has no code in ConnectWise.",
                    "Give the currency its three-letter code in ConnectWise (System, Setup Tables, Currency).",
                )
            )
            return ""
        # A tenant that never switched on currencies leaves the field out: everything is in the base currency.
        currency = currency or base
        if currency == base:
            return currency
        if currency not in self.books.currencies:
            self.problems.append(
                Hold(
                    Reason.CURRENCY_NOT_ENABLED,
                    currency,
                    f"The {self.kind.source} is in {currency}, which is not switched on in {self.organisation}.",
                    f"Add {currency} in Xero (Settings, Currencies).",
                    waits_on=(XeroList.CURRENCIES,),
                )
            )
        return currency

    def rate(self, currency: str, on: date, custom_fields: Sequence[tuple[str, Sequence[CustomField]]]) -> Rate | None:
        """The exchange rate of a foreign document, None for one in the organisation's own currency."""
        base = self.books.organisation.base_currency
        if currency in ("", base):
            return None
        found = rate_for(currency, base, on, self.decisions.currency, self.tables.rates, custom_fields)
        if isinstance(found, Hold):
            self.problems.append(found)
            return None
        if found.row is not None:
            self.rows.append(found.row)
        return found

    def coding(self, side: str, **header: Any) -> Coding:
        """A coding of the lines of this document; `header` is what the header says (the last fields of Coding)."""
        return Coding(
            self.organisation,
            side,
            self.tables,
            self.books,
            self.decisions,
            self.related,
            self.surroundings.namesakes,
            known=self.surroundings.coded,
            **header,
        )

    def insist_on_length(self, number: str, setting: str) -> None:
        """Note a problem where Xero would refuse the number for its length: cut off, it could be another's."""
        if length_in_xero(number) > LONGEST_NUMBER:
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    number[:60],
                    f"The number {number[:60]}... is longer than the {LONGEST_NUMBER} characters that Xero takes.",
                    f"Shorten the number in ConnectWise, or {setting} in policy.toml.",
                )
            )

    def found_contact(
        self, found: tuple[Contact, Row | None] | NewContact | Hold, company_id: int
    ) -> Contact | NewContact | None:
        """Take in what was found of a company's contact: the row that named it, or that it is to be remembered."""
        if isinstance(found, Hold):
            self.problems.append(found)
            return None
        if isinstance(found, NewContact):
            self.learnt = found.connectwise_id
            return found
        contact, row = found
        if row is not None:
            self.rows.append(row)
            if doubt := several(row, {"company": "company"}, self.surroundings.namesakes):
                self.problems.append(doubt)
        else:
            self.learnt = company_id
        return contact


class _Mapping(DocumentMapping):
    """One run of the mapping of a sales document."""

    def __init__(
        self,
        kind: Kind,
        source: SourceInvoice,
        surroundings: Surroundings,
        organisation: str,
        tenant_id: str,
        books: Books,
        rows: list[Row],
    ) -> None:
        super().__init__(kind, surroundings, organisation, tenant_id, books, rows)
        self.source = source
        self.header = source.header

    def document(self) -> Document | Hold:
        header = self.header
        zero = to_cents(header.total) == 0
        if zero and self.decisions.sales.zero_total == "skip":
            return Hold(
                Reason.ZERO_TOTAL,
                "0.00",
                f"The total of {header.invoice_number} is 0.00, and policy says to skip such invoices.",
                skip=True,
            )
        number = self._number()
        currency = self.currency(header.currency)
        company = self.related.companies.get(header.company.id or 0)
        fields = (company.custom_fields if company else None) or ()
        rate = self.rate(currency, header.date, [("invoice", header.custom_fields or ()), ("company", fields)])
        contact = self._contact()
        lines = self._lines()
        if zero and self.decisions.sales.zero_total == "hold":
            self.problems.append(Hold(Reason.ZERO_TOTAL, "0.00"))
        self.check_lock_date(header.date)
        if self.problems or contact is None:
            return merge(self.problems)
        return Document(
            family=self.kind.family,
            connectwise_id=header.id,
            reference=header.invoice_number if clean(header.invoice_number) else number,
            organisation=self.organisation,
            tenant_id=self.tenant_id,
            type=self.kind.type,
            number=number,
            contact_id=contact.contact_id if isinstance(contact, Contact) else "",
            contact_name=contact.name,
            date=header.date,
            # Xero refuses a document that is due before its date; one without a due date is due at once.
            due_date=max(header.due_date or header.date, header.date),
            currency=currency,
            currency_rate=rate.value if rate else None,
            document_reference=clean(self._filled(self.decisions.sales.reference), LONGEST_NUMBER),
            url=self.surroundings.site.link(self.kind.family, header.id),
            # An approved document over nothing would count as paid at once: a person decides (policy `zero_total`).
            status="DRAFT" if zero else self._status().upper(),
            lines=tuple(lines),
            rows_used=(
                *dict.fromkeys([row.cited for row in {(row.file, row.number): row for row in self.rows}.values()]),
                *([f"rate {rate.value or ''}: {rate.source}".replace(" :", ":")] if rate else []),
            ),
            company_id=self.learnt,
            new_contact=contact if isinstance(contact, NewContact) else None,
        )

    def _filled(self, template: str) -> str:
        """A template of the policy, filled in; always one line."""
        header = self.header
        values = {
            "invoice_number": header.invoice_number,
            "id": str(header.id),
            "company": header.company.identifier,
            "date": header.date.isoformat(),
            "customer_po": header.customer_po,
        }
        return " ".join(filled(template, values).split())

    def _status(self) -> str:
        sales = self.decisions.sales
        return sales.invoice_status if self.kind is INVOICE else sales.credit_note_status

    def _number(self) -> str:
        sales = self.decisions.sales
        setting = "invoice_number" if self.kind is INVOICE else "credit_note_number"
        template = sales.invoice_number if self.kind is INVOICE else sales.credit_note_number
        number = clean(self._filled(template))
        if "{invoice_number}" in template and not clean(self.header.invoice_number):
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "invoiceNumber",
                    f"The {self.kind.source} with the id {self.header.id} has no number in ConnectWise.",
                    f"Give the {self.kind.source} a number in ConnectWise.",
                )
            )
        else:
            self.insist_on_length(number, f"{setting} under [sales]")
        return number

    def _contact(self) -> Contact | NewContact | None:
        """The contact that pays, or the one that is to be made for it; `learnt` is the company it was found for."""
        header = self.header
        company = header.billed_company if self.decisions.contacts.bill_to else header.company
        if company.id == header.company.id:
            account_number = header.account_number
        else:
            # The header carries the number of its own company, not of the one that pays.
            payer = self.related.companies.get(company.id or 0)
            if payer is None or payer.deleted_flag:
                self.problems.append(
                    Hold(
                        Reason.COMPANY_MERGED,
                        company.name or str(company.id),
                        f"The {self.kind.source} bills {company.name or company.identifier or company.id}, which "
                        "ConnectWise does not have any more (or the API member may not see): merged into another "
                        "company, or deleted.",
                        f"Choose the right bill-to company on the {self.kind.source} in ConnectWise.",
                    )
                )
                return None
            account_number = payer.account_number
        found = contacts.resolve(
            company,
            account_number,
            "customer",
            self.organisation,
            self.tables.contacts,
            self.books,
            self.surroundings.known_contacts.get((self.tenant_id, company.id or 0), ""),
            create=self.decisions.contacts.create == "create",
        )
        return self.found_contact(found, company.id or 0)

    def _lines(self) -> list[Line]:
        header = self.header
        code = self.related.tax_codes.get(header.tax_code.id or 0) if header.tax_code else None
        taxability = Taxability(
            services=header.taxable_flag and (code is None or code.taxes_services),
            expenses=header.taxable_flag and (code is None or code.taxes_expenses),
            products=header.taxable_flag,
        )
        drafts = drafts_of(self.source, taxability, self.decisions.tax.rounding_cap, self.related)
        if isinstance(drafts, Hold):
            self.problems.append(drafts)
            return []
        tax = to_cents(header.sales_tax)
        if self.kind is not INVOICE:
            # What ConnectWise takes off, Xero's credit note gives: the same amounts with the other sign (xero.md, 9).
            drafts, tax = [draft.mirrored for draft in drafts], -tax
        coding = self.coding(
            SIDE,
            tax_code=Value.of(header.tax_code),
            department=Value.of(header.department, header.department_id),
            location=Value.of(header.location, header.location_id),
        )
        lines = [coding.line(draft) for draft in drafts]
        # While a line lacks its tax type, the tax of all of them says nothing.
        if not coding.problems:
            lines = coding.with_tax(lines, tax)
        self.rows += coding.rows
        self.problems += coding.problems
        return lines


def starts_too_early(header: Invoice, start: date) -> bool:
    """True for records from before the family's first business date: they are skipped (design 4)."""
    return header.date < start


def _staff(source: SourceInvoice, tables: Tables, related: Related) -> list[Value]:
    """Whose record it is, by policy; several people where all of them have to agree. Never empty."""
    if not tables.organisations.uses("staff"):
        return [NOTHING]
    entries = sorted(source.time, key=lambda entry: entry.id)
    rule = tables.policy.routing.staff
    if rule == "sales_rep":
        order = related.sales_orders.get(source.header.sales_order.id or 0) if source.header.sales_order else None
        return [Value.of(order.sales_rep) if order else NOTHING]
    if rule == "all_time_entries":
        return list(dict.fromkeys(Value.of(entry.member) for entry in entries)) or [NOTHING]
    return [Value.of(entries[0].member) if entries else NOTHING]


def tag(custom_fields: Sequence[CustomField] | None, caption: str) -> Value:
    """The tag in the custom field of this caption; nothing where policy names none."""
    for custom in custom_fields or ():
        if caption and custom.caption.casefold() == caption.casefold() and custom.value is not None:
            return Value.text(str(custom.value).strip())
    return NOTHING
