"""Payments and refunds: paying an invoice or a bill, paying back a credit, and deleting a payment.

Rules: reference 10 (Xero docs: payments) and spec, /Payments. Texts that the reference does not quote are ours. There
is no unique key: the same call sent twice pays twice while something is due.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from deployments.sandbox.xero_books import ZERO, Account, Books, Document, Payment, Undo, fold
from deployments.sandbox.xero_call import Outcome
from deployments.sandbox.xero_invoices import move
from deployments.sandbox.xero_json import rounded, to_bool, to_date, to_decimal, to_guid, to_text
from deployments.sandbox.xero_kinds import CREDIT_NOTE, INVOICE, KINDS, Kind
from deployments.sandbox.xero_shapes import payment_json, refused_payment

EXCEEDS = "Payment amount exceeds the amount outstanding on this document"
NOT_AUTHORISED = "Payments can only be made against Authorised documents"
ONE_TARGET = "A payment must have exactly one of Invoice, CreditNote, Prepayment and Overpayment"
NO_ACCOUNT = "The Account of a payment must be of type BANK, or have payments enabled, and be active"
MANDATORY = ("Date", "Amount")


def create(books: Books, element: dict[str, Any], undo: Undo) -> Outcome:
    """Apply one element of PUT or POST /Payments."""
    sent = {key: value for key, value in element.items() if value is not None}
    errors: list[str] = []
    document = _target(books, sent, errors)
    account = _account(books, sent)
    if account is None:
        errors.append(NO_ACCOUNT)
    errors += [f"The {name} field is mandatory." for name in MANDATORY if name not in sent]
    reference = to_text(sent.get("Reference", ""), "Reference")
    if len(reference) > 255:
        errors.append("Reference must not be longer than 255 characters.")
    if str(sent.get("Status", "AUTHORISED")).upper() != "AUTHORISED":
        errors.append("A new payment must have the status AUTHORISED")
    if document is None or account is None or errors:
        return Outcome(refused_payment(sent), errors)
    made, errors = pay(
        books,
        document,
        account,
        rounded(to_decimal(sent["Amount"], "Amount")),
        to_date(sent["Date"], "Date"),
        undo,
        reference=reference,
        rate=_number(sent, "CurrencyRate"),
        bank_amount=_number(sent, "BankAmount"),
        reconciled=to_bool(sent.get("IsReconciled", False), "IsReconciled"),
    )
    if made is None:
        return Outcome(refused_payment(sent), errors)
    return Outcome(payment_json(books, made, True))


def _number(sent: dict[str, Any], name: str) -> Decimal | None:
    return to_decimal(sent[name], name) if name in sent else None


def _target(books: Books, sent: dict[str, Any], errors: list[str]) -> Document | None:
    """What is to be paid: by id, or by the number of a sales document (suppliers' numbers are not unique)."""
    named: list[tuple[Kind, dict[str, Any]]] = []
    for kind in KINDS:
        given = sent.get(kind.name)
        if isinstance(given, dict) and given:
            named.append((kind, given))
        elif kind in (INVOICE, CREDIT_NOTE) and sent.get(kind.number_name):
            named.append((kind, sent))
    if len(named) != 1:
        errors.append(ONE_TARGET)
        return None
    kind, given = named[0]
    found = None
    if given.get(kind.id_name):
        found = books.store_of(kind).get(to_guid(given[kind.id_name], kind.id_name))
    elif given.get(kind.number_name):
        number = to_text(given[kind.number_name], kind.number_name)
        same = books.store_of(kind).find("number", (kind.types[0], fold(number)))
        found = min(reversed(same), key=lambda one: one.status in ("VOIDED", "DELETED"), default=None)
    if found is None:
        errors.append(f"An existing {kind.title} with the specified {kind.id_name} could not be found")
    return found


def _account(books: Books, sent: dict[str, Any]) -> Account | None:
    given = sent.get("Account")
    account = None
    if isinstance(given, dict) and given.get("AccountID"):
        account = books.accounts.get(to_guid(given["AccountID"], "AccountID"))
    elif isinstance(given, dict) and given.get("Code"):
        account = books.account_by_code(to_text(given["Code"], "Code").strip())
    elif sent.get("Code"):
        account = books.account_by_code(to_text(sent["Code"], "Code").strip())
    return account if account is not None and takes_payments(account) else None


def takes_payments(account: Account) -> bool:
    """Whether payments can be made from or to an account (Xero docs: payments)."""
    return account.status == "ACTIVE" and (account.type == "BANK" or account.enable_payments)


def pay(
    books: Books,
    document: Document,
    account: Account,
    amount: Decimal,
    paid_on: date,
    undo: Undo,
    *,
    reference: str = "",
    rate: Decimal | None = None,
    bank_amount: Decimal | None = None,
    reconciled: bool = False,
    batch_id: str | None = None,
    person: bool = False,
) -> tuple[Payment | None, list[str]]:
    """Pay a document, or a credit back, or say why not. Lock dates do not hold a person."""
    errors = [] if document.status == "AUTHORISED" else [NOT_AUTHORISED]
    if amount <= ZERO:
        errors.append("The payment amount must be greater than zero")
    elif amount > document.due:
        errors.append(EXCEEDS)
    if not person:
        errors += books.locked(paid_on, "payment")
    in_bank, used, refusal = _exchanged(books, document.currency, account, amount, paid_on, rate, bank_amount)
    if refusal:
        errors.append(refusal)
    if errors:
        return None, errors
    made = Payment(
        books.new_id(),
        document.document_id,
        document.kind,
        document.sales,
        amount,
        in_bank,
        used,
        paid_on,
        account,
        books.now(),
        reference,
        reconciled=reconciled,
        batch_id=batch_id,
    )
    books.all_payments.put(made, undo)
    move(books, document, undo, paid=amount)
    return made, []


def _exchanged(
    books: Books,
    currency: str,
    account: Account,
    amount: Decimal,
    paid_on: date,
    rate: Decimal | None,
    bank_amount: Decimal | None,
) -> tuple[Decimal, Decimal, str]:
    """The amount in the account's currency, the rate, and why not (reference 4.1: BankAmount before CurrencyRate)."""
    base = books.base_currency
    held_in = account.currency or base
    if rate is not None and rate <= ZERO:
        return amount, Decimal(1), "The CurrencyRate must be greater than zero."
    if bank_amount is not None and bank_amount <= ZERO:
        return amount, Decimal(1), "The BankAmount must be greater than zero."
    if held_in == currency:
        if bank_amount is not None and rounded(bank_amount) != amount:
            return amount, Decimal(1), "The BankAmount must be the Amount where the currencies are the same"
        used = Decimal(1) if currency == base else rate or books.day_rate(currency, paid_on)
        return amount, rounded(used, 6), ""
    if held_in != base:
        return amount, Decimal(1), f"A document in {currency} cannot be paid from an account in {held_in}"
    if bank_amount is not None:
        return rounded(bank_amount), rounded(amount / rounded(bank_amount), 6), ""
    used = rounded(rate or books.day_rate(currency, paid_on), 6)
    return rounded(amount / used), used, ""


def delete(books: Books, payment: Payment, undo: Undo, person: bool = False) -> list[str]:
    """Delete a payment, or say why not. It stays in lists with that status; its document is due again."""
    errors = []
    if payment.status == "DELETED":
        errors.append("The payment has been deleted already")
    if not person:
        if payment.batch_id is not None:
            errors.append("The payment is part of a batch payment and cannot be deleted by itself")
        if payment.reconciled and not books.switches.reconciled_payment_deletable:
            errors.append("The payment has been reconciled and cannot be deleted")
        errors += books.locked(payment.paid_on, "payment")
    if errors:
        return errors
    books.all_payments.put(replace(payment, status="DELETED", reconciled=False, updated=books.now()), undo)
    document = books.store_of(payment.kind).get(payment.document_id)
    if document is not None:
        move(books, document, undo, paid=-payment.amount)
    return []
