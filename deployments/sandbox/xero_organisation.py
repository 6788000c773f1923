"""What a person sets up in Xero's own screens: accounts, rates, tracking, items and contacts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from deployments.sandbox.xero_books import Account, Contact, Item, TrackingCategory, TrackingOption, Undo, fold
from deployments.sandbox.xero_chart import CLASS_OF_TYPE
from deployments.sandbox.xero_contacts import contact_json, save
from deployments.sandbox.xero_purchase_screens import PurchaseScreens
from deployments.sandbox.xero_settings import account_json


class Organisation(PurchaseScreens):
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
        currency: str | None = None,
    ) -> dict[str, Any]:
        """Add an account to the chart; only a bank account has a currency."""
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
                (currency or self.base_currency) if type == "BANK" else None,
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
