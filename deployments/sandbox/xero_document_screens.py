"""What a person does with documents and money in Xero's own screens, and what a test reads off them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from deployments.sandbox import xero_payments
from deployments.sandbox.xero_allocations import allocate, take_off
from deployments.sandbox.xero_books import (
    ZERO,
    Account,
    Allocation,
    Batch,
    Books,
    Document,
    Line,
    Payment,
    PurchaseOrder,
    Undo,
    fold,
)
from deployments.sandbox.xero_invoices import NEXT, settle, settled_refusal, write
from deployments.sandbox.xero_json import ms_date, rounded, to_date, to_decimal
from deployments.sandbox.xero_kinds import CREDIT_NOTE, INVOICE, KINDS, OVERPAYMENT, PREPAYMENT, Kind
from deployments.sandbox.xero_lines import tax_on, totals, tracking_json
from deployments.sandbox.xero_shapes import batch_json, document_json, payment_json

_LIVE = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "BILLED")
Amount = Decimal | str | int


class DocumentScreens(Books):
    """Documents, payments and credits by hand. A rule that forbids something is a ValueError with its text."""

    # --- documents --------------------------------------------------------------------------------------------

    def enter_invoice(self, **document: Any) -> dict[str, Any]:
        """Key an invoice or a bill by hand: API field names, and the rules of the screen (as for the API)."""
        return self._enter(INVOICE, document)

    def enter_bill(self, supplier_id: str, reference: str = "", **document: Any) -> dict[str, Any]:
        """Key a supplier's bill: what its screen calls Reference is the API's InvoiceNumber (reference 1.1).

        Everything else by its API name, as for `enter_invoice`.
        """
        given = {"Type": "ACCPAY", "Contact": {"ContactID": supplier_id}, "InvoiceNumber": reference}
        return self._enter(INVOICE, given | document)

    def enter_credit_note(self, **document: Any) -> dict[str, Any]:
        """Key a credit note by hand, ours (ACCRECCREDIT) or a supplier's (ACCPAYCREDIT)."""
        return self._enter(CREDIT_NOTE, document)

    def _enter(self, kind: Kind, document: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            undo: Undo = []
            outcome, made = write(self, kind, document, undo, app=None, upsert=False, unit_places=4)
            self.insist(outcome.errors, undo)
            return document_json(self, made, "one", 4)

    def edit(self, document_id: str, **fields: Any) -> dict[str, Any]:
        """Change any field or the lines (API field names) past every rule, and leave a new UpdatedDateUTC.

        RoundingAmount moves the total away from the sum of the lines, as the screen allows.
        """
        with self.lock:
            before = self._document(document_id)
            undo: Undo = []
            outcome, made = write(
                self, before.kind, fields, undo, app=None, upsert=True, target=before, unit_places=4, person=True
            )
            self.insist(outcome.errors, undo)
            return document_json(self, made, "one", 4)

    def approve(self, document_id: str) -> dict[str, Any]:
        """Approve a draft or a submitted document; one that lacks an account or a due date has to get it first."""
        return self._move(document_id, "AUTHORISED")

    def void(self, document_id: str) -> dict[str, Any]:
        """Void an approved document."""
        return self._move(document_id, "VOIDED")

    def delete(self, document_id: str) -> dict[str, Any]:
        """Delete a draft or a submitted document."""
        return self._move(document_id, "DELETED")

    def _move(self, document_id: str, status: str) -> dict[str, Any]:
        with self.lock:
            before = self._document(document_id)
            if status == "VOIDED" and before.settled:
                raise ValueError(settled_refusal(before.kind, status))
            if status not in NEXT[before.status]:
                raise ValueError(f"a document that is {before.status} cannot become {status}")
            if status == "AUTHORISED":
                return self.edit(document_id, Status=status)
            after = replace(before, status=status, updated=self.now())
            settle(self, after)
            self.store_of(after.kind).put(after)
            return document_json(self, after, "one", 4)

    def prepay(self, contact_id: str, amount: Amount, *, account: str = "200", **fields: Any) -> dict[str, Any]:
        """Receive money in advance (`sales=False`: spend it), including tax by the account's rate.

        Further fields: `date`, `reference`, `number`, `currency`, `rate`, `sales`.
        """
        return self._receive(PREPAYMENT, contact_id, amount, account, "Inclusive", fields)

    def overpay(self, contact_id: str, amount: Amount, *, account: str = "", **fields: Any) -> dict[str, Any]:
        """Receive more than was due (`sales=False`: spend it); it stands in receivables or payables, without tax.

        Further fields as for `prepay`.
        """
        code = account or ("610" if fields.get("sales", True) else "800")
        return self._receive(OVERPAYMENT, contact_id, amount, code, "NoTax", fields)

    def _receive(
        self, kind: Kind, contact_id: str, amount: Amount, code: str, amount_types: str, fields: dict[str, Any]
    ) -> dict[str, Any]:
        with self.lock:
            if self.contacts.get(contact_id) is None:
                raise KeyError(contact_id)
            account = self._account(code)
            sales = bool(fields.pop("sales", True))
            on = to_date(fields.pop("date"), "date") if fields.get("date") is not None else self.today()
            currency = str(fields.pop("currency", self.base_currency))
            rate = fields.pop("rate", None)
            total = rounded(to_decimal(amount, "amount"))
            if total <= ZERO:
                raise ValueError("the amount must be greater than zero")
            tax_type = "NONE" if amount_types == "NoTax" else account.tax_type
            line = Line(self.new_id(), kind.title, Decimal(1), total, total, account, tax_type)
            line.tax_amount = tax_on(self, line, amount_types)
            made = Document(
                self.new_id(),
                kind.types[0 if sales else 1],
                on,
                self.now(),
                contact_id.lower(),
                "AUTHORISED",
                fields.pop("number", None),
                fields.pop("reference", None),
                line_amount_types=amount_types,
                currency=currency,
                rate=Decimal(rate) if rate is not None else self.day_rate(currency, on),
                lines=[line],
            )
            if fields:
                raise TypeError(f"unknown fields: {', '.join(fields)}")
            if kind is PREPAYMENT:
                made.reference = made.number or made.reference  # spec: it returns the number
            made.subtotal, made.tax, made.total = totals(made.lines, amount_types)
            self.store_of(kind).put(made)
            return document_json(self, made, "one", 4)

    # --- payments ---------------------------------------------------------------------------------------------

    def pay(
        self,
        document_id: str,
        amount: Amount,
        date: object = None,
        account: str = "090",
        reference: str = "",
        *,
        rate: Amount | None = None,
        bank_amount: Amount | None = None,
        reconciled: bool = False,
    ) -> dict[str, Any]:
        """Record a payment of an approved invoice or bill; the document as it is then."""
        with self.lock:
            self._pay(document_id, amount, date, account, reference, rate, bank_amount, reconciled, None, [])
            return document_json(self, self._document(document_id), "one", 4)

    def refund(
        self, credit_id: str, amount: Amount, date: object = None, account: str = "090", reference: str = ""
    ) -> dict[str, Any]:
        """Pay a credit note, a prepayment or an overpayment back in cash; the credit as it is then."""
        with self.lock:
            if self._document(credit_id).kind is INVOICE:
                raise ValueError("an invoice is paid, not refunded")
            return self.pay(credit_id, amount, date, account, reference)

    def _pay(
        self,
        document_id: str,
        amount: Amount,
        date: object,
        account: str,
        reference: str,
        rate: Amount | None,
        bank_amount: Amount | None,
        reconciled: bool,
        batch_id: str | None,
        undo: Undo,
    ) -> Payment:
        document, used = self._document(document_id), self._account(account)
        if not xero_payments.takes_payments(used):
            raise ValueError(xero_payments.NO_ACCOUNT)
        made, errors = xero_payments.pay(
            self,
            document,
            used,
            rounded(to_decimal(amount, "amount")),
            to_date(date, "date") if date is not None else self.today(),
            undo,
            reference=reference,
            rate=Decimal(rate) if rate is not None else None,
            bank_amount=Decimal(bank_amount) if bank_amount is not None else None,
            reconciled=reconciled,
            batch_id=batch_id,
            person=True,
        )
        self.insist(errors, undo)
        assert made is not None
        return made

    def remove_payment(self, payment_id: str) -> dict[str, Any]:
        """Remove one payment, also one of a batch or a reconciled one; the payment as it is then."""
        with self.lock:
            self.insist(xero_payments.delete(self, self._payment(payment_id), [], person=True), [])
            return payment_json(self, self._payment(payment_id), True)

    def remove_payments(self, document_id: str) -> dict[str, Any]:
        """Take all payments off a document again."""
        with self.lock:
            for one in self.payments_of(self._document(document_id).document_id):
                self.remove_payment(one.payment_id)
            return document_json(self, self._document(document_id), "one", 4)

    def reconcile(self, payment_id: str, reconciled: bool = True) -> dict[str, Any]:
        """Match a payment with a line of the bank statement, or undo that."""
        with self.lock:
            before = self._payment(payment_id)
            if before.status == "DELETED":
                raise ValueError("a payment that was deleted cannot be reconciled")
            after = replace(before, reconciled=reconciled, updated=self.now())
            self.all_payments.put(after)
            return payment_json(self, after, True)

    def batch_payment(
        self, amounts: Mapping[str, Amount], date: object = None, account: str = "090", reference: str = ""
    ) -> dict[str, Any]:
        """Pay several invoices, or several bills, in one sum: amounts by document id."""
        with self.lock:
            documents = [self._document(key) for key in amounts]
            if not documents or len({one.type for one in documents}) != 1 or documents[0].kind is not INVOICE:
                raise ValueError("a batch pays invoices only, or bills only")
            batch_id = self.new_id()
            undo: Undo = []
            made = [
                self._pay(key, amount, date, account, reference, None, None, False, batch_id, undo)
                for key, amount in amounts.items()
            ]
            kind = "RECBATCH" if documents[0].sales else "PAYBATCH"
            ids = tuple(one.payment_id for one in made)
            batch = Batch(batch_id, kind, made[0].account, made[0].paid_on, ids, self.now(), reference)
            self.all_batches.put(batch)
            return batch_json(self, batch)

    def remove_batch(self, batch_id: str) -> dict[str, Any]:
        """Remove a batch with all of its payments."""
        with self.lock:
            batch = self.all_batches.get(batch_id)
            if batch is None:
                raise KeyError(batch_id)
            for one in self.all_payments.find("batch", batch.batch_id):
                if one.status != "DELETED":
                    self.remove_payment(one.payment_id)
            after = replace(batch, status="DELETED", updated=self.now())
            self.all_batches.put(after)
            return batch_json(self, after)

    # --- allocations ------------------------------------------------------------------------------------------

    def allocate(
        self, credit_id: str, invoice_id: str, amount: Amount | None = None, date: object = None
    ) -> dict[str, Any]:
        """Set a credit note, a prepayment or an overpayment against an invoice: an amount, or as much as fits."""
        with self.lock:
            credit, invoice = self._document(credit_id), self._document(invoice_id)
            if credit.kind is INVOICE or invoice.kind is not INVOICE:
                raise ValueError("a credit is allocated to an invoice or a bill")
            wanted = rounded(to_decimal(amount, "amount")) if amount is not None else min(credit.due, invoice.due)
            on = to_date(date, "date") if date is not None else None
            undo: Undo = []
            made, errors = allocate(self, credit, invoice, wanted, on, undo, person=True)
            self.insist(errors, undo)
            assert made is not None
            return _allocation(made)

    def unallocate(self, allocation_id: str) -> None:
        """Take an allocation off again."""
        with self.lock:
            found = self.all_allocations.get(allocation_id)
            if found is None:
                raise KeyError(allocation_id)
            take_off(self, found, [])

    # --- what a test reads ------------------------------------------------------------------------------------

    def invoices(self, type: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All invoices and bills, API shaped, by type, number, date and age; `live` leaves out voided and deleted."""
        return self._all_of(INVOICE, type, live)

    def bills(self, reference: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All bills, or those with this Reference on their screen (the InvoiceNumber, which many may share)."""
        found = self._all_of(INVOICE, "ACCPAY", live)
        return [one for one in found if reference is None or fold(one["InvoiceNumber"]) == fold(reference)]

    def credit_notes(self, type: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All credit notes, like `invoices`."""
        return self._all_of(CREDIT_NOTE, type, live)

    def _all_of(self, kind: Kind, type: str | None, live: bool) -> list[dict[str, Any]]:
        with self.lock:
            found = [
                (position, one)
                for position, one in enumerate(self.store_of(kind))
                if (type is None or one.type == type) and (not live or one.status in _LIVE)
            ]
            found.sort(key=lambda pair: (pair[1].type, pair[1].number or "", pair[1].dated, pair[0]))
            return [document_json(self, one, "one", 4) for _position, one in found]

    def invoice(self, invoice_id: str) -> dict[str, Any]:
        """One invoice or bill, API shaped."""
        return self._one_of(INVOICE, invoice_id)

    def credit_note(self, credit_note_id: str) -> dict[str, Any]:
        """One credit note, API shaped."""
        return self._one_of(CREDIT_NOTE, credit_note_id)

    def _one_of(self, kind: Kind, document_id: str) -> dict[str, Any]:
        with self.lock:
            found = self._document(document_id)
            if found.kind is not kind:
                raise KeyError(document_id)
            return document_json(self, found, "one", 4)

    def document(self, document_id: str) -> dict[str, Any]:
        """One document of any family, API shaped."""
        with self.lock:
            return document_json(self, self._document(document_id), "one", 4)

    def invoice_by_number(self, number: str, type: str | None = None) -> dict[str, Any] | None:
        """The newest invoice or bill with this number, a live one before a voided one; None when there is none."""
        return self._by_number(INVOICE, number, type)

    def credit_note_by_number(self, number: str, type: str | None = None) -> dict[str, Any] | None:
        """The newest credit note with this number, like `invoice_by_number`."""
        return self._by_number(CREDIT_NOTE, number, type)

    def _by_number(self, kind: Kind, number: str, type: str | None) -> dict[str, Any] | None:
        with self.lock:
            same = self.store_of(kind).find("any_number", fold(number))
            found = [one for one in same if type in (None, one.type)]
            best = min(reversed(found), key=lambda one: one.status not in _LIVE, default=None)
            return document_json(self, best, "one", 4) if best is not None else None

    def payments(self, document_id: str | None = None, live: bool = True) -> list[dict[str, Any]]:
        """All payments, or those of one document, oldest first; `live` leaves out deleted ones."""
        with self.lock:
            found = self.all_payments.find("document", document_id.lower()) if document_id else self.all_payments
            return [payment_json(self, one, True) for one in found if not live or one.status != "DELETED"]

    def allocations(self, document_id: str | None = None) -> list[dict[str, Any]]:
        """All allocations, or those of one credit or one invoice: AllocationID, Amount, Date and both ids."""
        with self.lock:
            key = (document_id or "").lower()
            return [_allocation(one) for one in self.all_allocations if key in ("", one.credit_id, one.invoice_id)]

    def _document(self, document_id: str) -> Document:
        document = self.document_of(document_id)
        if document is None:
            raise KeyError(document_id)
        return document

    def _payment(self, payment_id: str) -> Payment:
        payment = self.all_payments.get(payment_id)
        if payment is None:
            raise KeyError(payment_id)
        return payment

    def _account(self, code: str) -> Account:
        account = self.account_by_code(code)
        if account is None:
            raise KeyError(code)
        return account

    @staticmethod
    def insist(errors: list[str], undo: Undo) -> None:
        """Take everything back and raise ValueError when there are errors."""
        if errors:
            for step in reversed(undo):
                step()
            raise ValueError("; ".join(errors))

    def snapshot(self, live: bool = False) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """All documents and purchase orders by type and number, without ids, times and order, to compare two worlds."""
        with self.lock:
            picture: dict[str, dict[str, list[dict[str, Any]]]] = {}
            every: Iterable[Document] = (one for kind in KINDS for one in self.store_of(kind))
            for one in (*every, *self.orders):
                if live and one.status not in _LIVE:
                    continue
                picture.setdefault(one.type, {}).setdefault(one.number or "", []).append(self._picture(one))
            return {
                kind: {number: sorted(same, key=repr) for number, same in sorted(by_number.items())}
                for kind, by_number in sorted(picture.items())
            }

    def _picture(self, one: Document) -> dict[str, Any]:
        contact = self.contacts.get(one.contact_id)
        delivery = one.delivery_date if isinstance(one, PurchaseOrder) else None
        return {
            **({"delivery_date": delivery.isoformat()} if delivery is not None else {}),
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
            "payments": sorted((ms_date(part.paid_on), str(part.amount)) for part in self.payments_of(one.document_id)),
            "allocations": sorted(self._partners(one)),
        }

    def _partners(self, one: Document) -> list[tuple[str, str, str]]:
        """What was set against a document: the other side's type and number, and the amount."""
        invoice = one.kind is INVOICE
        found = []
        for part in self.all_allocations.find("invoice" if invoice else "credit", one.document_id):
            other = self._document(part.credit_id if invoice else part.invoice_id)
            found.append((other.type, other.number or "", str(part.amount)))
        return found


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _allocation(one: Allocation) -> dict[str, Any]:
    return {
        "AllocationID": one.allocation_id,
        "Amount": one.amount,
        "Date": ms_date(one.dated),
        "CreditID": one.credit_id,
        "InvoiceID": one.invoice_id,
    }
