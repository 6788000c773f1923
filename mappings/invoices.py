"""From a closed ConnectWise invoice to the same invoice in Xero: one pure function, everything it needs an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from mappings import contacts
from mappings.connectwise import Invoice, SourceInvoice
from mappings.csv_tables import NOTHING, AmbiguousRows, Row, Table, Value
from mappings.lines import Draft, Taxability, clean, drafts_of, place_cents
from mappings.money import ZERO, plain, to_cents, total
from mappings.outcomes import Hold, Reason, XeroList, merge
from mappings.policy import filled
from mappings.surroundings import Surroundings, Tables
from mappings.xero import CLASSES, Books, Contact, Document, Line, TaxRate, predicted_tax

FAMILY = "invoices"
LONGEST_NUMBER = 255
SIDE = "sales"


def is_credit(header: Invoice) -> bool:
    """A total below zero, to the cent, makes a credit note, whatever the type says (design 5)."""
    return to_cents(header.total) < 0


def organisation_of(source: SourceInvoice, tables: Tables) -> tuple[str, Row] | Hold:
    """The organisation that organisations.csv routes this record to, and the row that did it."""
    header = source.header
    location = Value.of(header.location, header.location_id)
    try:
        row = tables.organisations.find(
            location=location,
            department=Value.of(header.department, header.department_id),
            company=Value.of(header.company),
            staff=_staff(source),
            tag=_tag(header, tables.policy.routing.tag_field),
        )
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
    routed = organisation_of(source, surroundings.tables)
    if isinstance(routed, Hold):
        return routed
    organisation, routing_row = routed
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
    return _Mapping(source, surroundings, organisation, tenant_id, books, [routing_row]).document()


class _Mapping:
    """One run of the mapping: collects every problem, so that a bookkeeper sees all of them at once."""

    def __init__(
        self,
        source: SourceInvoice,
        surroundings: Surroundings,
        organisation: str,
        tenant_id: str,
        books: Books,
        rows: list[Row],
    ) -> None:
        self.source = source
        self.header = source.header
        self.surroundings = surroundings
        self.tables = surroundings.tables
        self.decisions = surroundings.tables.policy.decisions(organisation)
        self.organisation = organisation
        self.tenant_id = tenant_id
        self.books = books
        self.rows = rows
        self.problems: list[Hold] = []

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
        currency = self._currency()
        contact = self._contact()
        lines = self._lines()
        if zero and self.decisions.sales.zero_total == "hold":
            self.problems.append(Hold(Reason.ZERO_TOTAL, "0.00"))
        self._check_lock_date()
        if self.problems or contact is None:
            return merge(self.problems)
        return Document(
            family=FAMILY,
            connectwise_id=header.id,
            reference=header.invoice_number if clean(header.invoice_number) else number,
            organisation=self.organisation,
            tenant_id=self.tenant_id,
            type="ACCREC",
            number=number,
            contact_id=contact.contact_id,
            contact_name=contact.name,
            date=header.date,
            # Xero refuses a document that is due before its date; one without a due date is due at once.
            due_date=max(header.due_date or header.date, header.date),
            currency=currency,
            currency_rate=None,
            document_reference=clean(self._filled(self.decisions.sales.reference), LONGEST_NUMBER),
            url=self.surroundings.site.link(FAMILY, header.id),
            # An approved document over nothing would count as paid at once: a person decides (policy `zero_total`).
            status="DRAFT" if zero else self.decisions.sales.invoice_status.upper(),
            lines=tuple(lines),
            rows_used=tuple(dict.fromkeys(str(row) for row in self.rows)),
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

    def _number(self) -> str:
        template = self.decisions.sales.invoice_number
        number = clean(self._filled(template))
        if "{invoice_number}" in template and not clean(self.header.invoice_number):
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    "invoiceNumber",
                    f"The invoice with the id {self.header.id} has no number in ConnectWise.",
                    "Give the invoice a number in ConnectWise.",
                )
            )
        elif len(number) > LONGEST_NUMBER:
            # Cut off, it could be another document's number.
            self.problems.append(
                Hold(
                    Reason.UNREADABLE_RECORD,
                    number[:60],
                    f"The number {number[:60]}... is longer than the {LONGEST_NUMBER} characters that Xero takes.",
                    "Shorten the number in ConnectWise, or invoice_number under [sales] in policy.toml.",
                )
            )
        return number

    def _check_lock_date(self) -> None:
        lock, date_ = self.books.organisation.lock_date, self.header.date
        if lock is not None and date_ <= lock:
            self.problems.append(
                Hold(
                    Reason.PERIOD_LOCKED,
                    date_.isoformat(),
                    f"The invoice is dated {date_}, and {self.organisation} is locked up to and including {lock}.",
                    waits_on=(XeroList.ORGANISATION,),
                )
            )

    def _currency(self) -> str:
        base = self.books.organisation.base_currency
        given = self.header.currency
        currency = given.currency_code.strip().upper()
        if not currency and (given.id is not None or given.name):
            self.problems.append(
                Hold(
                    Reason.CURRENCY_NOT_ENABLED,
                    given.name or f"currency {given.id}",
                    f"The currency {given.name or given.id} of the invoice has no code in ConnectWise.",
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
                    f"The invoice is in {currency}, which is not switched on in {self.organisation}.",
                    f"Add {currency} in Xero (Settings, Currencies).",
                    waits_on=(XeroList.CURRENCIES,),
                )
            )
        if self.decisions.currency.source != "xero_day_rate":
            self.problems.append(
                Hold(
                    Reason.MISSING_RATE,
                    currency,
                    f"The invoice is in {currency} and the books of {self.organisation} are in {base}; no rate between "
                    "them is known.",
                )
            )
        return currency

    def _contact(self) -> Contact | None:
        header = self.header
        company = header.billed_company if self.decisions.contacts.bill_to else header.company
        if company.id == header.company.id:
            account_number = header.account_number
        else:
            # The header carries the number of its own company, not of the one that pays.
            payer = self.surroundings.companies.get(company.id or 0)
            account_number = payer.account_number if payer else ""
        found = contacts.resolve(
            company, account_number, "customer", self.organisation, self.tables.contacts, self.books
        )
        if isinstance(found, Hold):
            self.problems.append(found)
            return None
        contact, row = found
        if row is not None:
            self.rows.append(row)
        return contact

    def _lines(self) -> list[Line]:
        header = self.header
        code = self.surroundings.tax_codes.get(header.tax_code.id or 0) if header.tax_code else None
        taxability = Taxability(
            services=header.taxable_flag and (code is None or code.taxes_services),
            expenses=header.taxable_flag and (code is None or code.taxes_expenses),
            products=header.taxable_flag,
        )
        drafts = drafts_of(self.source, taxability, self.decisions.tax.rounding_cap)
        if isinstance(drafts, Hold):
            self.problems.append(drafts)
            return []
        before = len(self.problems)
        lines = [self._line(draft) for draft in drafts]
        # While a line lacks its tax type, the tax of all of them says nothing.
        return lines if len(self.problems) > before else self._with_tax_of_header(lines)

    def _line(self, draft: Draft) -> Line:
        if draft.quantity is None:
            return Line(draft.key, draft.description)
        account = self._account(draft)
        rate = self._tax_rate(draft)
        code = account.values["account_code"] if account else ""
        if account and rate:
            self._check_tax_on_account(rate, code)
        return Line(
            key=draft.key,
            description=draft.description,
            quantity=draft.quantity,
            unit_amount=draft.unit_amount,
            amount=draft.amount,
            account_code=code,
            item_code=account.values["item_code"] if account else "",
            tax_type=rate.tax_type if rate else "",
            tax=predicted_tax(draft.amount, rate.rate) if rate else ZERO,
        )

    def _account(self, draft: Draft) -> Row | None:
        """The row that names a usable account for a line."""
        row = self._row(
            self.tables.accounts,
            draft,
            Reason.MISSING_ACCOUNT,
            kind=Value.text(draft.kind),
            category=draft.category,
            item=draft.item,
        )
        if row is None:
            return None
        code = row.values["account_code"]
        if not code:
            self.problems.append(
                Hold(
                    Reason.MISSING_ACCOUNT,
                    draft.kind,
                    f"{row} names no account (line {_short(draft)}).",
                    f"Fill account_code in {row}.",
                )
            )
            return None
        account = self.books.accounts.get(code)
        refusal = "does not exist" if account is None else account.refusal
        if refusal:
            self.problems.append(
                Hold(
                    Reason.MISSING_ACCOUNT,
                    code,
                    f"{row} names account {code}, which {refusal} in {self.organisation}.",
                    f"Correct account_code in {row}, or the account in Xero.",
                    (XeroList.ACCOUNTS,),
                )
            )
            return None
        return row

    def _tax_rate(self, draft: Draft) -> TaxRate | None:
        """The tax rate that taxes.csv and Xero know for a line."""
        taxable = Value.text("yes" if draft.taxable else "no")
        tax_code = Value.of(self.header.tax_code)
        row = self._row(self.tables.taxes, draft, Reason.MISSING_TAX, tax_code=tax_code, taxable=taxable)
        if row is None:
            return None
        tax_type = row.values["tax_type"]
        rate = self.books.tax_rates.get(tax_type)
        if rate is not None and rate.status == "ACTIVE":
            return rate
        active = [f"{each.tax_type} ({each.name})" for each in self.books.tax_rates.values() if each.status == "ACTIVE"]
        there = f"{self.organisation} has {', '.join(active) or 'none'}."
        if tax_type:
            gone = "does not have any more" if rate else "does not have"
            self.problems.append(
                Hold(
                    Reason.MISSING_TAX,
                    tax_type,
                    f"{row} names the tax type {tax_type!r}, which {self.organisation} {gone}.",
                    f"Correct tax_type in {row}. {there}",
                    (XeroList.TAX_RATES,),
                )
            )
        else:
            self.problems.append(
                Hold(Reason.MISSING_TAX, "", f"{row} names no tax type.", f"Fill tax_type in {row}. {there}")
            )
        return None

    def _check_tax_on_account(self, rate: TaxRate, code: str) -> None:
        wanted = CLASSES.get(self.books.accounts[code].account_class)
        if wanted and wanted not in rate.applies_to:
            self.problems.append(
                Hold(
                    Reason.MISSING_TAX,
                    rate.tax_type,
                    f"Xero does not allow the tax type {rate.tax_type} on account {code} ({wanted.lower()}).",
                    "Choose another tax type in taxes.csv, or another account in accounts.csv.",
                    (XeroList.TAX_RATES, XeroList.ACCOUNTS),
                )
            )

    def _row(self, table: Table, draft: Draft, missing: Reason, **wanted: Value | tuple[Value, ...]) -> Row | None:
        """The row of a table that fits a line; the problem is noted where there is none, or more than one."""
        keys = {"organisation": Value.text(self.organisation), "side": Value.text(SIDE), **wanted}
        try:
            row = table.find(**keys)
        except AmbiguousRows as error:
            self.problems.append(
                Hold(
                    Reason.AMBIGUOUS_MAPPING,
                    "/".join(_named(wanted).values()),
                    f"{error.first} and {error.second} both fit the line {_short(draft)}.",
                    f"Make {error.first} or {error.second} more specific, or remove one.",
                )
            )
            return None
        if row is None:
            names = _named(wanted)
            blank = f"<{table.layout.values[0]}>"
            line = table.line(**_named(keys), **{table.layout.values[0]: blank})
            self.problems.append(
                Hold(
                    missing,
                    "/".join(names.values()),
                    f"No row of {table.layout.file} fits "
                    + ", ".join(f"{name} {value}" for name, value in names.items())
                    + f" (line {_short(draft)}).",
                    f"Add to {table.layout.file}: {line}",
                )
            )
            return None
        self.rows.append(row)
        return row

    def _with_tax_of_header(self, lines: list[Line]) -> list[Line]:
        """Make the lines' tax add up to the header's, by single cents; or hold with both figures."""
        wanted = to_cents(self.header.sales_tax)
        taxable = [
            place for place, line in enumerate(lines) if line.tax_type and self.books.tax_rates[line.tax_type].rate
        ]
        placed = place_cents(
            [lines[place].tax for place in taxable], [lines[place].amount for place in taxable], wanted
        )
        if placed is None:
            predicted = total(line.tax for line in lines)
            used = ", ".join(dict.fromkeys(line.tax_type for line in lines if line.tax_type)) or "no tax type"
            self.problems.append(
                Hold(
                    Reason.TAX_DIFFERS,
                    plain(wanted),
                    f"ConnectWise says {plain(wanted)} tax; {used} in {self.organisation} would make it "
                    f"{plain(predicted)}.",
                )
            )
            return lines
        for place, tax in zip(taxable, placed, strict=True):
            if tax != lines[place].tax:
                lines[place] = replace(lines[place], tax=tax, tax_amount=tax)
        return lines


def _named(keys: Mapping[str, Value | tuple[Value, ...]]) -> dict[str, str]:
    """The keys that hold something, as people write them; of alternatives the first."""
    found: dict[str, str] = {}
    for name, given in keys.items():
        values = given if isinstance(given, tuple) else (given,)
        shown = next((value.shown() for value in values if value != NOTHING), "")
        if shown:
            found[name] = shown
    return found


def _short(draft: Draft) -> str:
    """A line as a message names it: the beginning of its description."""
    first, *more = draft.description.splitlines()
    return repr(first if len(first) <= 60 and not more else first[:60].rstrip() + "…")


def starts_too_early(header: Invoice, start: date) -> bool:
    """True for records from before the family's first business date: they are skipped (design 4)."""
    return header.date < start


def _staff(source: SourceInvoice) -> Value:
    """The member of the first time entry (lowest id): the default of `routing.staff`."""
    entries = sorted(source.time, key=lambda entry: entry.id)
    return Value.of(entries[0].member) if entries else NOTHING


def _tag(header: Invoice, caption: str) -> Value:
    for custom in header.custom_fields or ():
        if caption and custom.caption.casefold() == caption.casefold() and custom.value is not None:
            return Value.text(str(custom.value).strip())
    return NOTHING
