"""The client's tables against the books of each organisation: what every row names, and whether Xero would take it.

A row whose organisation is blank is checked against every organisation that it may meet: those that organisations.csv
leads to, but for the ones that have a row of their own with the same other keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from mappings.csv_tables import RATES, Row, Table, TableProblem
from mappings.money import plain
from mappings.outcomes import XeroList
from mappings.payments import refused
from mappings.policy import FILE as POLICY_FILE
from mappings.policy import Families
from mappings.surroundings import FILES, Tables
from mappings.tracking import MOST
from mappings.xero import CLASSES, Account, Books, Contact, ContactBook, TaxRate, TrackingCategory, fold


class Severity(StrEnum):
    """A problem holds every record that comes upon it; a note is odd, and may be meant."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding(TableProblem):
    """What a row of a well-formed table names wrongly, for which organisation, and what to do.

    `waits_on`: the lists of Xero that were asked; when one of them is read anew, the finding may be gone.
    """

    organisation: str
    fix: str
    severity: Severity = Severity.PROBLEM
    waits_on: tuple[XeroList, ...] = ()


USUAL = {"sales": frozenset({"REVENUE"}), "purchases": frozenset({"EXPENSE", "ASSET"})}
USUAL_TOO = {
    "down_payment": frozenset({"ASSET", "LIABILITY"}),
    "progress": frozenset({"ASSET", "LIABILITY"}),
    "expense": frozenset({"EXPENSE"}),
    "freight": frozenset({"EXPENSE", "REVENUE"}),
    "rounding": frozenset({"EXPENSE", "REVENUE"}),
}
"""Classes of account that a side's lines usually go to, and those that are as usual for lines of a kind."""


def usual_classes(side: str, kind: str) -> frozenset[str]:
    """The classes of account (REVENUE, EXPENSE, ...) where nobody would be surprised to find such a line."""
    return USUAL[side] | USUAL_TOO.get(kind, frozenset())


def check_tables(tables: Tables, books: Mapping[str, Books]) -> list[Finding]:
    """Everything that is wrong or odd, by file, row and column. `books` are those of all configured organisations."""
    return _Check(tables, books).findings()


class _Check:
    """One check of all tables. Accounts come before taxes, which depend on what the accounts are."""

    def __init__(self, tables: Tables, books: Mapping[str, Books]) -> None:
        self.tables = tables
        self.books = books
        self.found: list[Finding] = []
        self.accounts: dict[tuple[str, str], list[Account]] = defaultdict(list)
        routed = {row.values["organisation"] for row in tables.organisations.rows}
        self.reached = [name for name in books if name in routed] or list(books)

    def findings(self) -> list[Finding]:
        self._organisations()
        self._policy()
        for row, organisation, side in self._sides(self.tables.accounts):
            self._account(row, organisation, side)
        for row, organisation, side in self._sides(self.tables.taxes):
            self._tax(row, organisation, side)
        self._tracking()
        self._contacts()
        for row, organisation in self._met(self.tables.payment_accounts):
            self._payment_account(row, organisation)
        self._rates()
        place = {name: number for number, name in enumerate(FILES)}
        distinct = dict.fromkeys(self.found)
        return sorted(distinct, key=lambda one: (place[one.file], one.row, one.column, one.organisation))

    # Which organisations and sides a row meets

    def _sides(self, table: Table) -> Iterator[tuple[Row, str, str]]:
        """Each row with each organisation and side that it may meet."""
        in_use = ("sales", "purchases") if self.tables.policy.families.purchase_orders == "on" else ("sales",)
        for row, organisation in self._met(table):
            side = _cell(row, "side")
            for each in (side,) if side else in_use:
                yield row, organisation, each

    def _met(self, table: Table) -> Iterator[tuple[Row, str]]:
        """Each row with each organisation that it may meet; one that names an unknown organisation meets none."""
        others = [name for name in table.layout.keys if name != "organisation"]
        own: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row in table.rows:
            own[tuple(_cell(row, name) for name in others)].add(_cell(row, "organisation"))
        for row in table.rows:
            named = _cell(row, "organisation")
            settled = own[tuple(_cell(row, name) for name in others)]
            if not named:
                yield from ((row, name) for name in self.reached if fold(name) not in settled)
                continue
            known = [name for name in self.books if fold(name) == named]
            if not known:
                self._unknown_organisation(row)
            yield from ((row, name) for name in known)

    def _unknown_organisation(self, row: Row) -> None:
        name = row.values["organisation"]
        self._add(
            row,
            "organisation",
            "",
            f"{row} names the organisation {name!r}, which is not connected.",
            f"Correct organisation in {row} (connected: {_listed(self.books)}), or add {name!r} to the organisations "
            "in tieout.toml.",
        )

    def _add(
        self,
        row: Row,
        column: str,
        organisation: str,
        message: str,
        fix: str,
        *waits_on: XeroList,
        severity: Severity = Severity.PROBLEM,
    ) -> None:
        self.found.append(Finding(row.file, row.number, column, message, organisation, fix, severity, waits_on))

    def _note(self, row: Row, column: str, organisation: str, message: str, fix: str) -> None:
        self._add(row, column, organisation, message, fix, severity=Severity.NOTE)

    # Each file

    def _organisations(self) -> None:
        for row in self.tables.organisations.rows:
            name = row.values["organisation"]
            if not name:
                self._add(
                    row,
                    "organisation",
                    "",
                    f"{row} names no organisation.",
                    f"Fill organisation in {row} (connected: {_listed(self.books)}).",
                )
            elif name not in self.books:
                self._unknown_organisation(row)

    def _policy(self) -> None:
        policy = self.tables.policy
        row = Row(POLICY_FILE, 0, {})
        for name in policy.organisation:
            if name not in self.books:
                self._add(
                    row,
                    "organisation",
                    "",
                    f"{POLICY_FILE} decides for the organisation {name!r}, which is not connected.",
                    f"Correct the name in {POLICY_FILE} (connected: {_listed(self.books)}).",
                )
        on = [name for name in Families.model_fields if getattr(policy.families, name) == "on"]
        start = min((policy.starts(family, date.max) for family in on), default=date.max)
        for organisation in self.reached:
            lock = self.books[organisation].organisation.lock_date
            if lock is not None and start <= lock:
                self._note(
                    row,
                    "start_date",
                    organisation,
                    f"{organisation} is locked up to and including {lock}; records dated from {start} to that day are "
                    "held.",
                    "Nothing, if those are in the books already; otherwise unlock the period in Xero, or choose a "
                    "later start_date.",
                )

    def _account(self, row: Row, organisation: str, side: str) -> None:
        books = self.books[organisation]
        code, item_code, column = row.values["account_code"], row.values["item_code"], "account_code"
        if item_code:
            item = books.items.get(item_code)
            if item is None or not (item.sold if side == "sales" else item.purchased):
                verb = "sell" if side == "sales" else "buy"
                state = "does not have" if item is None else f"does not {verb}"
                self._add(
                    row,
                    "item_code",
                    organisation,
                    f"{row} names the item {item_code}, which {organisation} {state}.",
                    f"Correct item_code in {row}, or the item in Xero.",
                    XeroList.ITEMS,
                )
                return
            if not code:
                code, column = item.sales_account if side == "sales" else item.purchases_account, "item_code"
        if not code:
            less = f", and neither does the item {item_code} in {organisation}" if item_code else ""
            self._add(
                row,
                "account_code",
                organisation if item_code else "",
                f"{row} names no account{less}.",
                f"Fill account_code in {row}.",
                *([XeroList.ITEMS] if item_code else []),
            )
            return
        account = books.accounts.get(code)
        refusal = "does not exist" if account is None else account.refusal
        if account is None or refusal:
            through = f" through the item {item_code}" if column == "item_code" else ""
            self._add(
                row,
                column,
                organisation,
                f"{row} names account {code}{through}, which {refusal} in {organisation}.",
                f"Correct {column} in {row}, or the account in Xero.",
                XeroList.ACCOUNTS,
            )
            return
        self.accounts[(organisation, side)].append(account)
        if account.account_class and account.account_class not in usual_classes(side, _cell(row, "kind")):
            what = " ".join(filter(None, (side, _cell(row, "kind").replace("_", " "))))
            self._note(
                row,
                column,
                organisation,
                f"{row} leads {what} to account {code} {account.name}, whose class in {organisation} is "
                f"{account.account_class.lower()}.",
                f"Nothing, if that is meant; otherwise correct {column} in {row}.",
            )

    def _tax(self, row: Row, organisation: str, side: str) -> None:
        books, tax_type = self.books[organisation], row.values["tax_type"]
        if not tax_type:
            self._add(row, "tax_type", "", f"{row} names no tax type.", f"Fill tax_type in {row}.")
            return
        rate = books.tax_rates.get(tax_type)
        if rate is None or rate.status != "ACTIVE":
            gone = "does not have any more" if rate else "does not have"
            meant = [
                f"{one.tax_type} ({one.name})"
                for one in books.tax_rates.values()
                if one.status == "ACTIVE" and fold(tax_type) in (fold(one.tax_type), fold(one.name))
            ]
            hint = f": {_listed(meant)}" if meant else ""
            self._add(
                row,
                "tax_type",
                organisation,
                f"{row} names the tax type {tax_type!r}, which {organisation} {gone}.",
                f"Correct tax_type in {row}{hint}.",
                XeroList.TAX_RATES,
            )
            return
        accounts = list(dict.fromkeys(self.accounts[(organisation, side)]))
        allowed = [account for account in accounts if _may_stand(rate, account)]
        if accounts and not allowed:
            self._add(
                row,
                "tax_type",
                organisation,
                f"{organisation} allows the tax type {tax_type} on no account that {side} lead to "
                f"({_listed(account.code for account in accounts)}).",
                f"Choose another tax type in {row}, or other accounts in accounts.csv.",
                XeroList.TAX_RATES,
                XeroList.ACCOUNTS,
            )
            return
        # A code of its own without tax (exports), and lines that are not taxable, differ from the accounts by intent.
        if _cell(row, "taxable") == "no" or (_cell(row, "tax_code") and not rate.rate):
            return
        usual = _default_rates(allowed, books)
        if usual and rate.rate not in usual:
            self._note(
                row,
                "tax_type",
                organisation,
                f"{row} gives {tax_type}, which is {_percent(rate.rate)}; in {organisation} the accounts that {side} "
                f"lead to have {_listed(map(_percent, sorted(usual)))} by default.",
                f"Nothing, if that is meant; otherwise correct tax_type in {row}.",
            )

    def _tracking(self) -> None:
        in_use: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
        for row, organisation, side in self._sides(self.tables.tracking):
            category = self._category(row, organisation)
            if category is not None and row.values["option"]:
                in_use[(organisation, side)].setdefault(category.name, row)
        for (organisation, side), categories in in_use.items():
            for row in list(categories.values())[MOST:]:
                self._add(
                    row,
                    "tracking_category",
                    organisation,
                    f"Rows for {side} in {organisation} name {len(categories)} tracking categories "
                    f"({_listed(categories)}); Xero takes {MOST} on a line.",
                    f"Leave {MOST} tracking categories in {row.file}.",
                    XeroList.TRACKING,
                )

    def _category(self, row: Row, organisation: str) -> TrackingCategory | None:
        """The tracking category of a row, with an option that can be used; None (and a finding) where it has none."""
        books, wanted, option = self.books[organisation], row.values["tracking_category"], row.values["option"]
        if not wanted:
            if option:
                self._add(
                    row,
                    "tracking_category",
                    "",
                    f"{row} names the option {option!r} of no tracking category.",
                    f"Fill tracking_category in {row}.",
                )
            return None
        category = books.tracking.get(fold(wanted))
        if category is None or category.status != "ACTIVE":
            state = "does not have" if category is None else "has archived"
            active = _listed(one.name for one in books.tracking.values() if one.status == "ACTIVE")
            self._add(
                row,
                "tracking_category",
                organisation,
                f"{row} names the tracking category {wanted!r}, which {organisation} {state}.",
                f"Correct tracking_category in {row} ({organisation} has {active}), or add it in Xero.",
                XeroList.TRACKING,
            )
            return None
        name, status = category.options.get(fold(option), ("", ""))
        if option and status != "ACTIVE":
            state, cure = ("has archived", "restore") if name else ("does not have", "add")
            self._add(
                row,
                "option",
                organisation,
                f"{row} names the option {option!r} of {category.name}, which {organisation} {state}.",
                f"Correct option in {row}, or {cure} it in Xero.",
                XeroList.TRACKING,
            )
            return None
        return category

    def _contacts(self) -> None:
        met: dict[int, list[str]] = defaultdict(list)
        rows = {row.number: row for row in self.tables.contacts.rows}
        for row, organisation in self._met(self.tables.contacts):
            met[row.number].append(organisation)
        for number, organisations in met.items():
            self._contact(rows[number], organisations)

    def _contact(self, row: Row, organisations: Sequence[str]) -> None:
        column = next((name for name in ("contact_id", "account_number", "contact_name") if row.values[name]), "")
        if not column:
            self._add(
                row,
                "contact_name",
                "",
                f"{row} names no contact.",
                f"Fill contact_id, account_number or contact_name in {row}.",
            )
            return
        value = row.values[column]
        troubles: dict[str, str] = {}
        for organisation in organisations:
            contacts = self.books[organisation].contacts
            look = {
                "contact_id": contacts.with_id,
                "account_number": contacts.numbered,
                "contact_name": contacts.named,
            }[column]
            if trouble := _contact_trouble(look(value), contacts, organisation):
                troubles[organisation] = trouble
        # A blank organisation covers them all; a company that one of them knows may be nobody's customer elsewhere.
        somewhere = len(troubles) < len(organisations)
        for organisation, trouble in troubles.items():
            self._add(
                row,
                column,
                organisation,
                f"{row} names {column} {value!r}; {trouble}.",
                f"Fill organisation in {row} if the company is billed elsewhere only; otherwise correct {column}."
                if somewhere
                else f"Correct {column} in {row}, or the contact in Xero.",
                XeroList.CONTACTS,
                severity=Severity.NOTE if somewhere else Severity.PROBLEM,
            )

    def _payment_account(self, row: Row, organisation: str) -> None:
        books, code = self.books[organisation], row.values["account_code"]
        if not code:
            self._add(row, "account_code", "", f"{row} names no account.", f"Fill account_code in {row}.")
            return
        named, base = _cell(row, "currency").upper(), books.organisation.base_currency
        account = books.accounts.get(code)
        kept_in = account.currency if account else ""
        refusal = refused(code, named or kept_in or base, books)
        if refusal:
            self._add(
                row,
                "account_code",
                organisation,
                f"{row} names the account {code}, which {organisation} {refusal}.",
                f"Correct account_code in {row}, or the account in Xero (a bank account, or one with payments "
                "enabled).",
                XeroList.ACCOUNTS,
            )
            return
        if kept_in not in ("", base) and not named:
            self._note(
                row,
                "currency",
                organisation,
                f"{row} leads payments in every currency to the account {code}, which {organisation} keeps in "
                f"{kept_in}.",
                f"Fill currency in {row}, and give {base} a row of its own.",
            )

    def _rates(self) -> None:
        for (currency, base), rates in self.tables.rates.pairs.items():
            row = min((row for _, _, row in rates), key=lambda one: one.number)
            using = [name for name in self.reached if self.books[name].organisation.base_currency == base]
            if not using:
                self._note(
                    row,
                    "base",
                    "",
                    f"{row} gives a rate to {base}, in which no organisation keeps its books.",
                    f"Correct base in {RATES.file}, or remove the rows.",
                )
            if any(currency in self.books[name].currencies for name in using):
                continue
            for organisation in using:
                self._add(
                    row,
                    "currency",
                    organisation,
                    f"{row} gives a rate of {currency}, which is not switched on in {organisation}.",
                    f"Add {currency} in Xero (Settings, Currencies), or remove the rows.",
                    XeroList.CURRENCIES,
                )


def _may_stand(rate: TaxRate, account: Account) -> bool:
    wanted = CLASSES.get(account.account_class)
    return wanted is None or wanted in rate.applies_to


def _default_rates(accounts: Sequence[Account], books: Books) -> set[Decimal]:
    """The rates that these accounts have by default in Xero."""
    return {books.tax_rates[each.tax_type].rate for each in accounts if each.tax_type in books.tax_rates}


def _contact_trouble(found: Sequence[Contact], contacts: ContactBook, organisation: str) -> str:
    """Why these are not the one active contact that is wanted; '' when they are."""
    active = sum(contact.status == "ACTIVE" for contact in found)
    if active == 1:
        return ""
    if found and not active:
        survivors = contacts.with_id(found[0].merged_into)
        merged = f": it was merged into {survivors[0].name!r}" if survivors else ""
        return f"that contact, {found[0].name!r}, is archived in {organisation}{merged}"
    return f"{organisation} has {f'{active} contacts' if active else 'no contact'} with it"


def _cell(row: Row, name: str) -> str:
    """A key cell as the look-up takes it; '' for any."""
    text = fold(row.values[name])
    return "" if text == "*" else text


def _percent(rate: Decimal) -> str:
    return f"{plain(rate).rstrip('0').rstrip('.')} %"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
