"""Coding: which account, item, tax type and tracking each line of a document gets. All families share it.

A coding belongs to one document. It collects every row that was used and every problem, so that a bookkeeper sees all
of them at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from mappings.csv_tables import NONE, NOTHING, AmbiguousRows, Row, Table, Value
from mappings.lines import Draft, place_cents
from mappings.money import CENT, ZERO, plain, total
from mappings.namesakes import Namesakes, several
from mappings.outcomes import Hold, Reason, XeroList
from mappings.policy import Decisions, UnmappedTracking
from mappings.related import Related
from mappings.surroundings import Tables
from mappings.tracking import in_use, track
from mappings.xero import CLASSES, Books, Line, TaxRate, predicted_tax

LEFT_OUT = UnmappedTracking.model_validate("leave_out")
"""What becomes of values without a row in tracking.csv where gaps are left to the bookkeeper."""


@dataclass(frozen=True, slots=True)
class Coded:
    """What a line is coded with. `computed` is the rate that Xero computes its tax by, also where none is sent."""

    account: str
    item: str
    rate: TaxRate | None
    computed: TaxRate | None
    tracking: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...] = ()


@dataclass
class Coding:
    """Codes the lines of one document of one organisation. `side` is sales or purchases.

    `tax_code`, `department` and `location` are the header's; a line's own department and location come before them.
    `leave_gaps`: what taxes.csv and tracking.csv have no row for stays blank instead of being a problem, for the
    bookkeeper to fill in on the draft (contract 4: draft_gaps). `known` is shared by all documents that are coded in
    the same surroundings: the lines of one MSP ask the same few questions thousands of times.
    """

    organisation: str
    side: str
    tables: Tables
    books: Books
    decisions: Decisions
    related: Related
    namesakes: Namesakes = field(default_factory=dict)
    tax_code: Value = NOTHING
    department: Value = NOTHING
    location: Value = NOTHING
    leave_gaps: bool = False
    known: dict[Hashable, Coded] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    problems: list[Hold] = field(default_factory=list)

    def line(self, draft: Draft) -> Line:
        """The line as Xero gets it. What is missing is blank, and among the problems."""
        if draft.quantity is None:
            return Line(draft.key, draft.description)
        coded = self._known_or_coded(draft)
        return Line(
            key=draft.key,
            description=draft.description,
            quantity=draft.quantity,
            unit_amount=draft.unit_amount,
            amount=draft.amount,
            account_code=coded.account,
            item_code=coded.item,
            tax_type=coded.rate.tax_type if coded.rate else "",
            tax=predicted_tax(draft.amount, coded.computed.rate) if coded.computed else ZERO,
            tracking=coded.tracking,
        )

    def _known_or_coded(self, draft: Draft) -> Coded:
        """The coding of a line; of one like it that was in order it is remembered, with the rows that it used."""
        asked = (
            self.organisation, self.side, self.leave_gaps, self.tax_code, self.department, self.location, draft.kind,
            draft.taxable, draft.category, draft.item, draft.work_type, draft.staff, draft.department, draft.location,
            draft.category_unknown,
        )  # fmt: skip
        coded = self.known.get(asked)
        if coded is not None:
            self.rows += coded.rows
            return coded
        rows, problems = len(self.rows), len(self.problems)
        coded = self._coded(draft)
        if len(self.problems) == problems:
            self.known[asked] = replace(coded, rows=tuple(self.rows[rows:]))
        return coded

    def _coded(self, draft: Draft) -> Coded:
        account, item = self._account(draft)
        default = self._default_rate(account, item) if self.leave_gaps and account else None
        # A gap that Xero would fill with a rate nobody can foresee, or not at all, is a problem all the same.
        rate = self._tax_rate(draft, gap=self.leave_gaps and (default is not None or not account))
        if account and rate:
            self._check_tax_on_account(rate, account)
        return Coded(account, item, rate, rate or default, self._tracking(draft))

    def with_tax(self, lines: list[Line], wanted: Decimal, rounded: Decimal = ZERO) -> list[Line]:
        """Make the lines' tax add up to the header's (to the cent) by single cents; or a problem with both figures.

        `rounded` is by how much `wanted`, itself worked out from rounded tax, may be off beyond a cent for each line:
        within that, the tax that Xero computes stands.
        """
        taxable = [
            place for place, line in enumerate(lines) if line.tax_type and self.books.tax_rates[line.tax_type].rate
        ]
        placed = place_cents(
            [lines[place].tax for place in taxable], [lines[place].amount for place in taxable], wanted
        )
        if placed is None:
            predicted = total(line.tax for line in lines)
            if abs(predicted - wanted) <= rounded + CENT * len(taxable):
                return lines
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

    def _account(self, draft: Draft) -> tuple[str, str]:
        """The codes of the account and the item of a line; '' where there is none (a problem, for an account)."""
        row = self._row(
            self.tables.accounts,
            draft,
            Reason.MISSING_ACCOUNT,
            kind=Value.text(draft.kind),
            category=draft.category,
            item=draft.item,
        )
        if row is None or self._unknown_category(draft, row):
            return "", ""
        code, item_code = row.values["account_code"], row.values["item_code"]
        if item_code:
            item = self.books.items.get(item_code)
            usable = item is not None and (item.sold if self.side == "sales" else item.purchased)
            if item is None or not usable:
                verb = "sell" if self.side == "sales" else "buy"
                state = "does not have" if item is None else f"does not {verb}"
                self._missing(
                    Reason.MISSING_ITEM,
                    item_code,
                    XeroList.ITEMS,
                    f"{row} names the item {item_code}, which {self.organisation} {state}.",
                    f"Correct item_code in {row}, or the item in Xero.",
                )
                return "", ""
            # Sent with its account all the same: Xero's own default for the item may change between two cycles.
            code = code or (item.sales_account if self.side == "sales" else item.purchases_account)
        if not code:
            self.problems.append(
                Hold(
                    Reason.MISSING_ACCOUNT,
                    draft.kind,
                    f"{row} names no account (line {short(draft)}).",
                    f"Fill account_code in {row}.",
                )
            )
            return "", ""
        account = self.books.accounts.get(code)
        refusal = "does not exist" if account is None else account.refusal
        if refusal:
            self._missing(
                Reason.MISSING_ACCOUNT,
                code,
                XeroList.ACCOUNTS,
                f"{row} names account {code}, which {refusal} in {self.organisation}.",
                f"Correct account_code in {row}, or the account in Xero.",
            )
            return "", ""
        return code, item_code

    def _unknown_category(self, draft: Draft, row: Row) -> bool:
        """Whether the category of a line is not known, so that another row of accounts.csv might fit it better."""
        certain = row.values["item"] not in ("", "*", NONE) or not self.tables.accounts.uses("category")
        if certain or not draft.category_unknown:
            return False
        self.problems.append(_hidden(Reason.MISSING_ACCOUNT, draft, self.tables.accounts.layout.file))
        return True

    def _tax_rate(self, draft: Draft, gap: bool) -> TaxRate | None:
        """The tax rate that taxes.csv and Xero know for a line; with `gap`, that there is no row is no problem."""
        wanted = {"tax_code": self.tax_code, "taxable": Value.text("yes" if draft.taxable else "no")}
        row = self._row(self.tables.taxes, draft, None if gap else Reason.MISSING_TAX, **wanted)
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
            self._missing(
                Reason.MISSING_TAX,
                tax_type,
                XeroList.TAX_RATES,
                f"{row} names the tax type {tax_type!r}, which {self.organisation} {gone}.",
                f"Correct tax_type in {row}. {there}",
            )
        else:
            self.problems.append(
                Hold(Reason.MISSING_TAX, "", f"{row} names no tax type.", f"Fill tax_type in {row}. {there}")
            )
        return None

    def _default_rate(self, code: str, item_code: str) -> TaxRate | None:
        """The rate that Xero takes for a line that names none: its item's, else its account's (xero.md, 7.1).

        None: Xero has none that could stand there.
        """
        item = self.books.items.get(item_code)
        own = (item.sales_tax_type if self.side == "sales" else item.purchases_tax_type) if item else ""
        rate = self.books.tax_rates.get(own or self.books.accounts[code].tax_type)
        return rate if rate and rate.status == "ACTIVE" and not self._not_allowed_on(rate, code) else None

    def _not_allowed_on(self, rate: TaxRate, code: str) -> str:
        """The class of an account that a rate cannot be used with; '' where it can."""
        wanted = CLASSES.get(self.books.accounts[code].account_class, "")
        return "" if wanted in rate.applies_to else wanted

    def _check_tax_on_account(self, rate: TaxRate, code: str) -> None:
        if wanted := self._not_allowed_on(rate, code):
            self.problems.append(
                Hold(
                    Reason.MISSING_TAX,
                    rate.tax_type,
                    f"Xero does not allow the tax type {rate.tax_type} on account {code} ({wanted.lower()}).",
                    "Choose another tax type in taxes.csv, or another account in accounts.csv.",
                    (XeroList.TAX_RATES, XeroList.ACCOUNTS),
                )
            )

    def _tracking(self, draft: Draft) -> tuple[tuple[str, str], ...]:
        if not self.tables.tracking.rows:
            return ()
        found = track(
            {
                # The category of time is its work type, which is a source of its own.
                "category": NOTHING if draft.kind == "service" else draft.category,
                "work_type": draft.work_type,
                "staff": draft.staff,
                "department": self.related.department(draft.department if draft.department.known else self.department),
                "location": self.related.location(draft.location if draft.location.known else self.location),
            },
            self.organisation,
            self.side,
            short(draft),
            self.tables.tracking,
            LEFT_OUT if self.leave_gaps else self.decisions.tracking.unmapped,
            self.books,
        )
        if draft.category_unknown and "category" in in_use(self.tables.tracking):
            self.problems.append(_hidden(Reason.MISSING_TRACKING, draft, self.tables.tracking.layout.file))
        for row, source in found.rows:
            self.rows.append(row)
            if doubt := several(row, {"value": source}, self.namesakes):
                self.problems.append(doubt)
        self.problems += found.problems
        return tuple(found.options)

    def _row(
        self, table: Table, draft: Draft, missing: Reason | None, **wanted: Value | tuple[Value, ...]
    ) -> Row | None:
        """The row of a table that fits a line; the problem is noted where there is none, or more than one.

        `missing` is the reason where there is none; None: that is no problem.
        """
        keys = {"organisation": Value.text(self.organisation), "side": Value.text(self.side), **wanted}
        try:
            row = table.find(**keys)
        except AmbiguousRows as error:
            self.problems.append(
                Hold(
                    Reason.AMBIGUOUS_MAPPING,
                    "/".join(_named(wanted).values()),
                    f"{error.first} and {error.second} both fit the line {short(draft)}.",
                    f"Make {error.first} or {error.second} more specific, or remove one.",
                )
            )
            return None
        if row is None:
            if missing is None:
                return None
            names = _named(wanted)
            blank = f"<{table.layout.values[0]}>"
            line = table.line(**_named(keys), **{table.layout.values[0]: blank})
            self.problems.append(
                Hold(
                    missing,
                    "/".join(names.values()),
                    f"No row of {table.layout.file} fits "
                    + ", ".join(f"{name} {value}" for name, value in names.items())
                    + f" (line {short(draft)}).",
                    f"Add to {table.layout.file}: {line}",
                )
            )
            return None
        self.rows.append(row)
        if "tax_code" in wanted and (doubt := several(row, {"tax_code": "tax_code"}, self.namesakes)):
            self.problems.append(doubt)
        return row

    def _missing(self, reason: Reason, value: str, waits_on: XeroList, message: str, fix: str) -> None:
        """A row names something that the organisation lacks: correcting either of the two is the cure."""
        self.problems.append(Hold(reason, value, message, fix, (waits_on,)))


def _hidden(reason: Reason, draft: Draft, file: str) -> Hold:
    """The category of a line hangs on a record that ConnectWise does not show."""
    what = draft.category_unknown
    return Hold(
        reason,
        what,
        f"The category of the line {short(draft)} is not known: ConnectWise does not show its {what}.",
        f"Let the API member see the {what} (it may have been deleted), or take the categories out of {file}.",
    )


def _named(keys: Mapping[str, Value | tuple[Value, ...]]) -> dict[str, str]:
    """The keys that hold something, as people write them; of alternatives the first."""
    found: dict[str, str] = {}
    for name, given in keys.items():
        values = (given,) if isinstance(given, Value) else given
        shown = next((value.shown() for value in values if value != NOTHING), "")
        if shown:
            found[name] = shown
    return found


def short(draft: Draft) -> str:
    """A line as a message names it: the beginning of its description."""
    first, *more = draft.description.splitlines()
    return repr(first if len(first) <= 60 and not more else first[:60].rstrip() + "…")
