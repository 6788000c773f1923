"""What was paid in ConnectWise against what is paid in Xero, invoice by invoice.

A payment is a level (design 5): what counts is how much was paid on an invoice in all, since ConnectWise may raise the
amount of one row as well as add another. Who entered a payment in Xero is told by our references.

| paid in Xero (of it ours) against ConnectWise | what happens |
|---|---|
| as much, or more, of it not more by us | nothing, whoever paid |
| less, and nobody else paid | a payment of the difference, by the rows that it belongs to |
| less, and others paid as well | held: nobody but a person knows whose money is whose |
| less, and a payment of ours was removed in Xero | held: it stays removed until somebody says otherwise |
| more than ConnectWise says, by us | held, or by policy our newest are removed and the rest is written again |
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from mappings.connectwise import Owed, PaymentRow
from mappings.csv_tables import AmbiguousRows, Row, Value
from mappings.money import ZERO, plain, to_cents, total
from mappings.outcomes import Hold, Reason, XeroList, merge
from mappings.plans import Take
from mappings.rates import rate_for
from mappings.receivables import Receivable
from mappings.surroundings import Tables
from mappings.xero import Books, write_json

FAMILY = "payments"


@dataclass(frozen=True, slots=True)
class Pay:
    """One payment that is to be written. `row` is ConnectWise's, `instalment` counts what was written for that row.

    `amount` in the invoice's currency, `currency_rate` in its units per one of the base's. `paid` is the account.
    """

    connectwise_id: int
    row: int
    instalment: int
    reference: str
    organisation: str
    tenant_id: str
    invoice_xero_id: str
    account_code: str
    date: dt.date
    amount: Decimal
    currency: str
    currency_rate: Decimal | None = None
    rows_used: tuple[str, ...] = ()

    family = FAMILY
    url = ""

    @property
    def part(self) -> str:
        """Which payment of the invoice this is."""
        return f"{self.row}-{self.instalment}"

    @property
    def number(self) -> str:
        """Its Reference in Xero: what it is known by when the answer to its write is lost."""
        return reference_of(self.row, self.instalment)

    @property
    def total(self) -> Decimal:
        """What it pays."""
        return self.amount

    def body(self) -> dict[str, Any]:
        """The payment as the API takes it (xero.md, section 10)."""
        body: dict[str, Any] = {
            "Invoice": {"InvoiceID": self.invoice_xero_id},
            "Account": {"Code": self.account_code},
            "Date": self.date.isoformat(),
            "Amount": self.amount,
            "Reference": self.number,
        }
        if self.currency_rate is not None:
            body["CurrencyRate"] = self.currency_rate
        return body

    @property
    def fingerprint(self) -> str:
        """A digest of what is sent."""
        return hashlib.blake2b(write_json(self.body()).encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        return write_json({each.name: _as_text(getattr(self, each.name)) for each in fields(self)})

    @classmethod
    def from_text(cls, text: str) -> Pay:
        """What `to_text` wrote."""
        given = json.loads(text, parse_float=Decimal)
        rate = given["currency_rate"]
        return cls(
            **given
            | {
                "date": dt.date.fromisoformat(given["date"]),
                "amount": Decimal(given["amount"]),
                "currency_rate": Decimal(rate) if rate is not None else None,
                "rows_used": tuple(given["rows_used"]),
            }
        )


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


_REFERENCE = re.compile(r"CW-(\d+)-(\d+)")


def reference_of(row: int, instalment: int) -> str:
    """The Reference of a payment of ours: ConnectWise's row, and how many times it was paid on."""
    return f"CW-{row}-{instalment}"


def part_of(reference: str) -> str | None:
    """Which payment of an invoice a Reference of ours means; None for anybody else's."""
    found = _REFERENCE.fullmatch(reference.strip())
    return f"{found[1]}-{found[2]}" if found else None


@dataclass(frozen=True, slots=True)
class Written:
    """A payment that we wrote: which row it was for, and as what it was accepted. In the invoice's currency.

    `fast`: it is reconciled, or part of a batch, and cannot be removed.
    """

    part: str
    xero_id: str
    amount: Decimal
    date: dt.date
    fast: bool = False

    @property
    def row(self) -> int:
        """ConnectWise's row."""
        return int(self.part.partition("-")[0])

    @property
    def instalment(self) -> int:
        """Which of the row's payments it is."""
        return int(self.part.partition("-")[2])


@dataclass(frozen=True, slots=True)
class Unpay:
    """A payment of ours that is to be removed, because ConnectWise says that less was paid."""

    connectwise_id: int
    reference: str
    organisation: str
    tenant_id: str
    invoice_xero_id: str
    currency: str
    written: Written

    family = FAMILY
    url = ""

    @property
    def part(self) -> str:
        """Which payment of the invoice it is."""
        return self.written.part

    @property
    def number(self) -> str:
        """Its Reference in Xero."""
        return reference_of(self.written.row, self.written.instalment)

    def body(self) -> dict[str, Any]:
        """What the API takes: a payment is not deleted, it gets that status (xero.md, section 10)."""
        return {"Status": "DELETED"}

    @property
    def fingerprint(self) -> str:
        """A digest of which payment is removed."""
        return hashlib.blake2b(self.written.xero_id.encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        written = {each.name: _as_text(getattr(self.written, each.name)) for each in fields(self.written)}
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "written"}
        return write_json(own | {"written": written})


def read_write(text: str) -> Pay | Unpay:
    """What the `to_text` of either wrote."""
    given = json.loads(text, parse_float=Decimal)
    if "written" not in given:
        return Pay.from_text(text)
    written = given.pop("written")
    return Unpay(
        **given,
        written=Written(
            **written | {"amount": Decimal(written["amount"]), "date": dt.date.fromisoformat(written["date"])}
        ),
    )


@dataclass(frozen=True, slots=True)
class Paying:
    """What is to be written for one invoice: payments, or (first, and alone) the removal of some."""

    pays: tuple[Pay, ...] = ()
    unpays: tuple[Unpay, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One invoice with everything that decides on its payments.

    `rows` are its cash rows, `there` the invoice in Xero, `ours` what we wrote of it, `used` how many instalments each
    row has had so far (also those that are gone).
    """

    owed: Owed
    rows: Sequence[PaymentRow]
    there: Receivable
    organisation: str
    tenant_id: str
    ours: Sequence[Written]
    used: Mapping[int, int]
    tables: Tables
    books: Books
    take: Take = ""
    recreate: bool = False

    @property
    def target(self) -> Decimal:
        """What ConnectWise says was paid in all."""
        return to_cents(total(row.amount for row in self.rows))


def decide_payments(case: Case) -> Paying | Hold | None:
    """What to do about the payments of one invoice; None: both systems agree. The table at the head of this file."""
    target, there = case.target, case.there
    live = {each.xero_id.lower() for each in there.applied if each.by == "payment"}
    standing = [each for each in case.ours if each.xero_id.lower() in live]
    removed = [each for each in case.ours if each.xero_id.lower() not in live]
    ours, have = total(each.amount for each in standing), there.paid
    if case.take == "theirs":
        return None
    if not there.live:
        return _on_a_dead_invoice(case) if target else None
    if ours > target:
        return _too_much(case, standing, ours)
    if have >= target:
        return None
    if not there.approved:
        return Hold(
            Reason.WAITS_FOR_APPROVAL,
            there.status,
            f"{plain(target)} {there.currency} is paid on {case.owed.invoice_number}, which is a draft in "
            f"{case.organisation}: a payment can only be entered on an approved invoice.",
        )
    if removed and not case.recreate:
        gone = max(removed, key=lambda each: (each.date, each.instalment))
        return Hold(
            Reason.REMOVED_IN_XERO,
            reference_of(gone.row, gone.instalment),
            f"{case.organisation} had a payment of {plain(gone.amount)} {there.currency} for "
            f"{case.owed.invoice_number} ({reference_of(gone.row, gone.instalment)}), and somebody removed it.",
            f"Remove the payment in ConnectWise as well, or have it written again: {_command(case, '--recreate')}.",
        )
    if have > ours and case.take != "ours":
        return Hold(
            Reason.PAID_ELSEWHERE,
            plain(have - ours),
            f"{plain(target)} {there.currency} is paid on {case.owed.invoice_number} in ConnectWise and {plain(have)} "
            f"in {case.organisation}, of which {plain(have - ours)} was entered by somebody else.",
            f"Enter the missing {plain(target - have)} {there.currency} in Xero by hand if it was paid besides; or let "
            f"{_command(case, '--take ours')} do it.",
        )
    if target - have > there.due:
        return Hold(
            Reason.OVERPAYMENT,
            plain(target - have - there.due),
            f"{plain(target - have)} {there.currency} more is paid on {case.owed.invoice_number} in ConnectWise than "
            f"in {case.organisation}, where only {plain(there.due)} is due.",
        )
    return _pays(case, standing, target - have)


def _on_a_dead_invoice(case: Case) -> Hold:
    return Hold(
        Reason.REMOVED_IN_XERO,
        case.there.number,
        f"{plain(case.target)} {case.there.currency} is paid on {case.owed.invoice_number} in ConnectWise, and "
        f"somebody {case.there.status.lower()} that invoice in {case.organisation}.",
        "Take the payment off the invoice in ConnectWise, or leave it at that with "
        f"{_command(case, '--take theirs')}; or have the invoice posted again: `tieout sync invoices --reference "
        f"{case.owed.invoice_number} --recreate`.",
    )


def _too_much(case: Case, standing: Sequence[Written], ours: Decimal) -> Paying | Hold:
    """We wrote more than ConnectWise says now: held, or by policy our newest payments are taken back."""
    number, currency = case.owed.invoice_number, case.there.currency
    told = (
        f"{plain(ours)} {currency} was written to {case.organisation} as paid on {number}, and ConnectWise says "
        f"{plain(case.target)} now."
    )
    if case.tables.policy.decisions(case.organisation).payments.on_decrease == "hold" and case.take != "ours":
        newest = max(standing, key=_age)
        return Hold(
            Reason.PAYMENT_LOWERED,
            plain(ours - case.target),
            told,
            f"Remove the payment {reference_of(newest.row, newest.instalment)} of {plain(newest.amount)} {currency} in "
            f"Xero if it was never made, or correct it in ConnectWise; or let {_command(case, '--take ours')} remove "
            "it and write what is right.",
        )
    unpays: list[Unpay] = []
    left = ours
    for each in sorted((one for one in standing if not one.fast), key=_age, reverse=True):
        if left <= case.target:
            break
        unpays.append(
            Unpay(case.owed.id, number, case.organisation, case.tenant_id, case.there.xero_id, currency, each)
        )
        left -= each.amount
    if left > case.target:
        return Hold(
            Reason.RECONCILED_IN_XERO,
            plain(left - case.target),
            f"{told} What is too much is reconciled, or part of a batch, in Xero, so it is not removed.",
        )
    lock = case.books.organisation.lock_date
    locked = [each.written.date for each in unpays if lock is not None and each.written.date <= lock]
    if locked:
        return _locked(case, min(locked), told)
    return Paying(unpays=tuple(unpays))


def _age(written: Written) -> tuple[dt.date, int, int]:
    return written.date, written.row, written.instalment


def _pays(case: Case, standing: Sequence[Written], missing: Decimal) -> Paying | Hold:
    """The missing money as payments of the rows that it belongs to, the newest first; each with its row's date."""
    paid: dict[int, Decimal] = {}
    for each in standing:
        paid[each.row] = paid.get(each.row, ZERO) + each.amount
    pays: list[Pay] = []
    problems: list[Hold] = []
    newest_first = sorted(case.rows, key=lambda row: (row.payment_date or dt.date.min, row.id), reverse=True)
    for row in newest_first:
        amount = min(to_cents(row.amount) - paid.get(row.id, ZERO), missing)
        if amount <= 0:
            continue
        made = _pay(case, row, amount)
        if isinstance(made, Hold):
            problems.append(made)
        else:
            pays.append(made)
        missing -= amount
    if missing > 0:
        number, currency = case.owed.invoice_number, case.there.currency
        problems.append(
            Hold(
                Reason.UNREADABLE_RECORD,
                plain(missing),
                f"The payments on {number} have fractions of a cent: {plain(missing)} {currency} of what they make "
                "belongs to none of them.",
                "Enter the payments of the invoice in whole cents in ConnectWise.",
            )
        )
    if problems:
        return merge(problems)
    return Paying(pays=tuple(reversed(pays)))


def _pay(case: Case, row: PaymentRow, amount: Decimal) -> Pay | Hold:
    """One payment, or why it cannot be written yet."""
    number, currency = case.owed.invoice_number, case.there.currency
    if row.payment_date is None:
        return Hold(
            Reason.UNREADABLE_RECORD,
            "paymentDate",
            f"The payment of {plain(amount)} {currency} on {number} (id {row.id}) has no date in ConnectWise.",
            "Give the payment a date in ConnectWise.",
        )
    lock = case.books.organisation.lock_date
    if lock is not None and row.payment_date <= lock:
        told = f"{plain(amount)} {currency} was paid on {number} on {row.payment_date}."
        return _locked(case, row.payment_date, told)
    account = _account(case, row)
    if isinstance(account, Hold):
        return account
    code, table_row = account
    rate = None
    cited = [table_row.cited]
    base = case.books.organisation.base_currency
    if currency != base:
        decisions = case.tables.policy.decisions(case.organisation)
        fields_of_it = [("invoice", case.owed.custom_fields or ())]
        found = rate_for(currency, base, row.payment_date, decisions.currency, case.tables.rates, fields_of_it)
        if isinstance(found, Hold):
            return found
        rate = found.value
        cited.append(f"rate {rate or ''}: {found.source}".replace(" :", ":"))
    return Pay(
        connectwise_id=case.owed.id,
        row=row.id,
        instalment=case.used.get(row.id, 0) + 1,
        reference=number,
        organisation=case.organisation,
        tenant_id=case.tenant_id,
        invoice_xero_id=case.there.xero_id,
        account_code=code,
        date=row.payment_date,
        amount=amount,
        currency=currency,
        currency_rate=rate,
        rows_used=tuple(cited),
    )


def _account(case: Case, row: PaymentRow) -> tuple[str, Row] | Hold:
    """The account that the money goes to, and the row of payment_accounts.csv that names it."""
    table = case.tables.payment_accounts
    own = Value.text(row.payment_account.strip())
    currency = case.there.currency
    try:
        found = table.find(
            organisation=Value.text(case.organisation), currency=Value.text(currency), payment_account=own
        )
    except AmbiguousRows as error:
        return Hold(
            Reason.AMBIGUOUS_MAPPING,
            own.shown(),
            f"{error.first} and {error.second} both fit the payment.",
            f"Make {error.first} or {error.second} more specific, or remove one.",
        )
    if found is None or not found.values["account_code"]:
        line = table.line(
            organisation=case.organisation, currency=currency,
            payment_account=own.shown() if row.payment_account.strip() else "", account_code="<account>",
        )  # fmt: skip
        return Hold(
            Reason.MISSING_PAYMENT_ACCOUNT,
            own.shown(),
            f"No row of payment_accounts.csv says which account of {case.organisation} a payment in {currency} "
            f"({row.payment_account.strip() or 'without an account of its own'}) goes to.",
            f"Add to payment_accounts.csv: {line}" if found is None else f"Fill account_code in {found}.",
        )
    code = found.values["account_code"]
    problem = refused(code, currency, case.books)
    if problem:
        return Hold(
            Reason.MISSING_PAYMENT_ACCOUNT,
            code,
            f"{found} names the account {code}, which {case.organisation} {problem}.",
            f"Correct account_code in {found}, or the account in Xero (a bank account, or one with payments enabled).",
            waits_on=(XeroList.ACCOUNTS,),
        )
    return code, found


def refused(code: str, currency: str, books: Books) -> str:
    """Why a payment in a currency cannot go to an account: 'which Sydney ...'; '' when it can (xero.md, section 10)."""
    account = books.accounts.get(code)
    if account is None:
        return "does not have"
    if account.status != "ACTIVE":
        return "has archived"
    if not account.takes_payments:
        return "does not take payments into"
    if account.currency not in ("", currency, books.organisation.base_currency):
        return f"keeps in {account.currency}, and so cannot take {currency} into"
    return ""


def _locked(case: Case, date: dt.date, told: str) -> Hold:
    return Hold(
        Reason.PERIOD_LOCKED,
        date.isoformat(),
        f"{told} {case.organisation} is locked up to and including {case.books.organisation.lock_date}, and the "
        f"payment is dated {date}.",
        waits_on=(XeroList.ORGANISATION,),
    )


def _command(case: Case, word: str) -> str:
    return f"`tieout sync payments --reference {case.owed.invoice_number} {word}`"


def recognised(there: Receivable, ours: Sequence[Written], rows: Sequence[PaymentRow]) -> list[Written]:
    """Payments of ours on an invoice that the audit does not know: it is new, or an answer was lost.

    A Reference of ours is only believed where ConnectWise has, or we have written to, that very row; and once: a person
    may copy it when she enters a payment anew, and that one is hers.
    """
    known = {each.xero_id.lower() for each in ours}
    parts = {each.part for each in ours}
    of_this_invoice = {row.id for row in rows} | {each.row for each in ours}
    found: list[Written] = []
    for each in there.applied:
        part = part_of(each.reference)
        if each.by == "payment" and part is not None and part not in parts and each.xero_id.lower() not in known:
            written = Written(part, each.xero_id, each.amount, each.date or dt.date.min)
            if written.row in of_this_invoice:
                found.append(written)
                parts.add(part)
    return found


def with_details(written: Written, details: Mapping[str, Any]) -> Written:
    """The same payment with what only `/Payments/{id}` says of it: whether it can be removed at all."""
    batch = bool(details.get("BatchPayment") or details.get("BatchPaymentID"))
    return replace(written, fast=batch or details.get("IsReconciled") is True)
