"""What a person does in Xero's own screens, and what a test reads off one organisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from deployments.sandbox.xero_books import (
    ZERO,
    Account,
    Books,
    Contact,
    Document,
    Item,
    Payment,
    TrackingCategory,
    TrackingOption,
    Undo,
    fold,
)
from deployments.sandbox.xero_chart import CLASS_OF_TYPE
from deployments.sandbox.xero_contacts import contact_json, save
from deployments.sandbox.xero_invoices import NEXT, document_json, settle, write
from deployments.sandbox.xero_json import ms_date, rounded, to_date, to_decimal
from deployments.sandbox.xero_lines import tracking_json
from deployments.sandbox.xero_settings import account_json

_LIVE = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID")


class Organisation(Books):
    """One organisation with its people. Every method may be called while clients use the API."""

    # --- settings ---------------------------------------------------------------------------------------------

    def set_lock_date(self, on: date | None, year_end: bool = False) -> None:
        """Lock everything dated on or before a day, or unlock with None."""
        with self.lock:
            if year_end:
                self.year_end_lock = on
            else:
                self.lock_date = on

    def set_day_rate(self, currency: str, rate: Decimal | str, on: date | None = None) -> None:
        """Set the rate (foreign units for one base unit) of one day, or of every day without its own."""
        with self.lock:
            self.day_rates[currency, on] = Decimal(rate)

    def add_currency(self, code: str, description: str = "") -> None:
        """Subscribe to a currency."""
        with self.lock:
            self.currencies[code] = description or code

    def add_account(
        self,
        code: str,
        name: str,
        type: str,
        tax_type: str | None = None,
        status: str = "ACTIVE",
        enable_payments: bool = False,
    ) -> dict[str, Any]:
        """Add an account to the chart."""
        with self.lock:
            if type not in CLASS_OF_TYPE:
                raise ValueError(f"{type} is no account type")
            if any(one.code == code and one.status == "ACTIVE" for one in self.accounts.values()):
                raise ValueError(f"there is an account {code} already")
            role = {"REVENUE": "sale", "EXPENSE": "buy"}.get(CLASS_OF_TYPE[type], "none")
            account = Account(
                self.new_id(),
                code,
                name,
                type,
                tax_type or self.country.roles[role],
                status,
                enable_payments,
                None,
                self.base_currency if type == "BANK" else None,
                self.now(),
            )
            self.accounts[account.account_id] = account
            return account_json(account)

    def archive_account(self, code: str) -> None:
        """Archive an account."""
        with self.lock:
            account = self.account_by_code(code)
            if account is None:
                raise KeyError(code)
            account.status = "ARCHIVED"
            account.updated = self.now()

    def delete_tax_rate(self, tax_type: str) -> None:
        """Delete a tax rate; it stays in the list with that status."""
        with self.lock:
            self.tax_rates[tax_type].status = "DELETED"

    def add_tracking_category(self, name: str, options: Iterable[str]) -> dict[str, Any]:
        """Add a tracking category with its options (two active ones at most)."""
        with self.lock:
            if sum(one.status == "ACTIVE" for one in self.tracking) >= 2:
                raise ValueError("an organisation has at most two active tracking categories")
            made = [TrackingOption(self.new_id(), option) for option in options]
            category = TrackingCategory(self.new_id(), name, made)
            self.tracking.append(category)
            return {
                "TrackingCategoryID": category.category_id,
                "Name": name,
                "Options": [{"TrackingOptionID": one.option_id, "Name": one.name} for one in made],
            }

    def archive_option(self, category: str, option: str) -> None:
        """Archive one option of a tracking category."""
        self._move_option(category, option, "ARCHIVED")

    def restore_option(self, category: str, option: str) -> None:
        """Bring an archived option back."""
        self._move_option(category, option, "ACTIVE")

    def _move_option(self, category: str, option: str, status: str) -> None:
        with self.lock:
            for one in self.tracking:
                for candidate in one.options:
                    if one.name == category and candidate.name == option:
                        candidate.status = status
                        return
            raise KeyError(f"{category}/{option}")

    def archive_tracking_category(self, category: str) -> None:
        """Archive a tracking category."""
        with self.lock:
            next(one for one in self.tracking if one.name == category).status = "ARCHIVED"

    def add_item(
        self,
        code: str,
        name: str = "",
        description: str = "",
        *,
        sales_price: Decimal | str | None = None,
        sales_account: str | None = None,
        sales_tax: str | None = None,
        purchase_price: Decimal | str | None = None,
        purchase_account: str | None = None,
        purchase_tax: str | None = None,
        purchase_description: str = "",
    ) -> dict[str, Any]:
        """Add a product or service."""

        def side(price: Decimal | str | None, account: str | None, tax: str | None) -> dict[str, Any]:
            both: dict[str, Any] = {} if price is None else {"UnitPrice": Decimal(price)}
            both.update({key: text for key, text in (("AccountCode", account), ("TaxType", tax)) if text is not None})
            return both

        with self.lock:
            item = Item(
                self.new_id(),
                code,
                name or code,
                description or name or code,
                purchase_description or description or name or code,
                side(sales_price, sales_account, sales_tax),
                side(purchase_price, purchase_account, purchase_tax),
                self.now(),
            )
            self.items[code.casefold()] = item
            return {"ItemID": item.item_id, "Code": code, "Name": item.name}

    # --- contacts ---------------------------------------------------------------------------------------------

    def add_contact(
        self,
        name: str,
        account_number: str = "",
        contact_number: str = "",
        status: str = "ACTIVE",
        contact_id: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add a contact; further API fields may follow by name, for example EmailAddress."""
        with self.lock:
            sent = {**fields, "Name": name, "AccountNumber": account_number, "ContactNumber": contact_number}
            errors: list[str] = []
            undo: Undo = []
            contact = save(self, sent, None, undo, errors)
            if errors:
                raise ValueError("; ".join(errors))
            if contact_id is not None or status != "ACTIVE":
                self.contacts.remove(contact.contact_id)
                contact = replace(contact, contact_id=(contact_id or contact.contact_id).lower(), status=status)
                self.contacts.put(contact)
            return contact_json(contact)

    def archive_contact(self, contact_id: str) -> None:
        """Archive a contact, whatever is outstanding."""
        self._change_contact(contact_id, status="ARCHIVED")

    def restore_contact(self, contact_id: str) -> None:
        """Bring an archived contact back, which only a person can."""
        self._change_contact(contact_id, status="ACTIVE")

    def rename_contact(self, contact_id: str, name: str) -> None:
        """Give a contact another name."""
        self._change_contact(contact_id, name=name)

    def contact(self, contact_id: str) -> dict[str, Any]:
        """One contact, API shaped."""
        with self.lock:
            return contact_json(self._contact(contact_id))

    def _contact(self, contact_id: str) -> Contact:
        contact = self.contacts.get(contact_id)
        if contact is None:
            raise KeyError(contact_id)
        return contact

    def _change_contact(self, contact_id: str, **fields: Any) -> None:
        with self.lock:
            contact = replace(self._contact(contact_id), updated=self.now(), **fields)
            others = self.contacts.find("name", fold(contact.name))
            if contact.status == "ACTIVE" and any(
                one.status == "ACTIVE" and one.contact_id != contact.contact_id for one in others
            ):
                raise ValueError(f"there is an active contact {contact.name} already")
            self.contacts.put(contact)

    # --- documents --------------------------------------------------------------------------------------------

    def enter_invoice(self, **document: Any) -> dict[str, Any]:
        """Key an invoice or a bill by hand: API field names, and the rules of the screen (as for the API)."""
        with self.lock:
            undo: Undo = []
            outcome, made = write(self, document, undo, app=None, upsert=False, unit_places=4)
            if outcome.errors:
                for step in reversed(undo):
                    step()
                raise ValueError("; ".join(outcome.errors))
            return document_json(self, made, "one", 4)

    def edit(self, invoice_id: str, **fields: Any) -> dict[str, Any]:
        """Change any field or the lines (API field names) past every rule, and leave a new UpdatedDateUTC.

        RoundingAmount moves the total away from the sum of the lines, as the screen allows.
        """
        with self.lock:
            before = self._document(invoice_id)
            undo: Undo = []
            outcome, made = write(self, fields, undo, app=None, upsert=True, target=before, unit_places=4, person=True)
            if outcome.errors:
                for step in reversed(undo):
                    step()
                raise ValueError("; ".join(outcome.errors))
            return document_json(self, made, "one", 4)

    def approve(self, invoice_id: str) -> dict[str, Any]:
        """Approve a draft or a submitted document."""
        return self._move(invoice_id, "AUTHORISED")

    def void(self, invoice_id: str) -> dict[str, Any]:
        """Void an approved document."""
        return self._move(invoice_id, "VOIDED")

    def delete(self, invoice_id: str) -> dict[str, Any]:
        """Delete a draft or a submitted document."""
        return self._move(invoice_id, "DELETED")

    def _move(self, invoice_id: str, status: str) -> dict[str, Any]:
        with self.lock:
            before = self._document(invoice_id)
            if status not in NEXT[before.status] or (status == "VOIDED" and before.settled):
                raise ValueError(f"a document that is {before.status} cannot become {status}")
            after = replace(before, status=status, updated=self.now())
            settle(self, after)
            self.documents.put(after)
            return document_json(self, after, "one", 4)

    def pay(
        self,
        invoice_id: str,
        amount: Decimal | str | int,
        date: object = None,
        account: str = "090",
        reference: str = "",
    ) -> dict[str, Any]:
        """Record a payment of an approved document from a bank account."""
        with self.lock:
            before = self._document(invoice_id)
            paid = rounded(to_decimal(amount, "amount"))
            if before.status != "AUTHORISED":
                raise ValueError(f"a document that is {before.status} cannot be paid")
            if not ZERO < paid <= before.due:
                raise ValueError("Payment amount exceeds the amount outstanding on this document")
            on = to_date(date, "date") if date is not None else self.today()
            payment = Payment(self.new_id(), paid, on, reference, account, "AUTHORISED", self.now())
            after = replace(before, payments=(*before.payments, payment), paid=before.paid + paid, updated=self.now())
            settle(self, after)
            self.documents.put(after)
            return document_json(self, after, "one", 4)

    def remove_payments(self, invoice_id: str) -> dict[str, Any]:
        """Take all payments off a document again."""
        with self.lock:
            after = replace(self._document(invoice_id), payments=(), paid=ZERO, updated=self.now())
            settle(self, after)
            self.documents.put(after)
            return document_json(self, after, "one", 4)

    def _document(self, invoice_id: str) -> Document:
        document = self.documents.get(invoice_id)
        if document is None:
            raise KeyError(invoice_id)
        return document

    # --- what a test reads ------------------------------------------------------------------------------------

    def invoices(self, type: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All invoices and bills, API shaped, by type, number, date and age; `live` leaves out voided and deleted."""
        with self.lock:
            found = [
                (position, one)
                for position, one in enumerate(self.documents)
                if (type is None or one.type == type) and (not live or one.status in _LIVE)
            ]
            found.sort(key=lambda pair: (pair[1].type, pair[1].number or "", pair[1].dated, pair[0]))
            return [document_json(self, one, "one", 4) for _position, one in found]

    def invoice(self, invoice_id: str) -> dict[str, Any]:
        """One invoice or bill, API shaped."""
        with self.lock:
            return document_json(self, self._document(invoice_id), "one", 4)

    def invoice_by_number(self, number: str, type: str | None = None) -> dict[str, Any] | None:
        """The newest invoice or bill with this number, a live one before a voided one; None when there is none."""
        with self.lock:
            found = [one for one in self.documents.find("any_number", fold(number)) if type in (None, one.type)]
            best = min(reversed(found), key=lambda one: one.status not in _LIVE, default=None)
            return document_json(self, best, "one", 4) if best is not None else None

    def snapshot(self, live: bool = False) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """All documents by type and number, without ids, times and order, so that two worlds can be compared."""
        with self.lock:
            picture: dict[str, dict[str, list[dict[str, Any]]]] = {}
            for one in self.documents:
                if live and one.status not in _LIVE:
                    continue
                picture.setdefault(one.type, {}).setdefault(one.number or "", []).append(self._picture(one))
            return {
                kind: {number: sorted(same, key=repr) for number, same in sorted(by_number.items())}
                for kind, by_number in sorted(picture.items())
            }

    def _picture(self, one: Document) -> dict[str, Any]:
        contact = self.contacts.get(one.contact_id)
        return {
            "contact": contact.name if contact is not None else "",
            "date": one.dated.isoformat(),
            "due_date": one.due_date.isoformat() if one.due_date is not None else None,
            "status": one.status,
            "currency": one.currency,
            "rate": str(one.rate.normalize()),
            "reference": one.reference or "",
            "url": one.url or "",
            "line_amount_types": one.line_amount_types,
            "lines": [
                {
                    "description": line.description,
                    "quantity": _plain(line.quantity),
                    "unit_amount": _plain(line.unit_amount),
                    "account": line.account.code if line.account is not None else None,
                    "tax_type": line.tax_type,
                    "tax_amount": str(rounded(line.tax_amount)),
                    "line_amount": str(rounded(line.line_amount)),
                    "item": line.item_code,
                    "tracking": sorted((part["Name"], part["Option"]) for part in tracking_json(self, line)),
                }
                for line in one.lines
            ],
            "subtotal": str(rounded(one.subtotal)),
            "tax": str(rounded(one.tax)),
            "total": str(rounded(one.total)),
            "paid": str(rounded(one.paid)),
            "credited": str(rounded(one.credited)),
            "payments": sorted((ms_date(part.paid_on), str(part.amount)) for part in one.payments),
        }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"
