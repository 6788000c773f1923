"""Which part of a credit note belongs to which invoice: what ConnectWise applied against what Xero has allocated.

The link lives only in the credited invoice's payment rows that carry `credit` (connectwise.md, section 6). Like a
payment an allocation is a level, for each pair of credit note and invoice: as much is allocated as ConnectWise
applied, and the least of that, what is left of the credit note, and what is due on the invoice (xero.md, section 9).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from mappings.connectwise import Owed, PaymentRow
from mappings.money import ZERO, plain, to_cents, total
from mappings.outcomes import Hold, Reason, XeroList
from mappings.payments import Written
from mappings.plans import Take
from mappings.receivables import Receivable
from mappings.xero import DEAD, Found, parse_date, write_json

FAMILY = "allocations"


@dataclass(frozen=True, slots=True)
class Allocated:
    """A part of a credit note that is set against an invoice, as the credit note shows it."""

    xero_id: str
    invoice_id: str
    amount: Decimal
    date: dt.date | None


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit note as Xero has it now. Amounts in its own currency; `remaining` is what can still be allocated."""

    xero_id: str
    tenant_id: str
    number: str
    status: str
    contact_id: str
    currency: str
    date: dt.date | None
    remaining: Decimal
    allocations: tuple[Allocated, ...]

    @classmethod
    def read(cls, found: Found, tenant_id: str) -> Credit:
        """From an element of `/CreditNotes` with its allocations (they come with a page)."""
        given = json.loads(found.text, parse_float=Decimal)
        allocations = tuple(_allocated(each) for each in given.get("Allocations") or [] if not each.get("IsDeleted"))
        refunded = total(Decimal(str(each.get("Amount") or 0)) for each in given.get("Payments") or [])
        left = given.get("RemainingCredit")
        return cls(
            found.xero_id, tenant_id, found.number, found.status, found.contact_id, found.currency, found.date,
            Decimal(str(left)) if left is not None
            else found.total - refunded - total(each.amount for each in allocations),
            allocations,
        )  # fmt: skip

    @property
    def live(self) -> bool:
        """False once a person has voided or deleted it."""
        return self.status not in DEAD

    def on(self, invoice_id: str) -> list[Allocated]:
        """Its allocations to one invoice."""
        return [each for each in self.allocations if each.invoice_id.lower() == invoice_id.lower()]

    def less(self, amount: Decimal) -> Credit:
        """The same after another allocation of this amount."""
        return replace(self, remaining=self.remaining - amount)


def _allocated(given: Mapping[str, Any]) -> Allocated:
    return Allocated(
        given.get("AllocationID") or "",
        (given.get("Invoice") or {}).get("InvoiceID") or "",
        Decimal(str(given.get("AppliedAmount") or given.get("Amount") or 0)),
        parse_date(given.get("Date")),
    )


@dataclass(frozen=True, slots=True)
class Allocate:
    """One allocation that is to be written.

    `memo` is ConnectWise's credit memo, `instalment` counts what was allocated of it to this invoice.
    """

    connectwise_id: int
    memo: int
    instalment: int
    reference: str
    credit_number: str
    organisation: str
    tenant_id: str
    invoice_xero_id: str
    credit_xero_id: str
    date: dt.date
    amount: Decimal
    currency: str

    family = FAMILY
    number = ""
    url = ""

    @property
    def part(self) -> str:
        """Which allocation to the invoice this is."""
        return f"{self.memo}-{self.instalment}"

    @property
    def total(self) -> Decimal:
        """What it takes off the invoice."""
        return self.amount

    def body(self) -> dict[str, Any]:
        """The allocation as the API takes it; Date is called read-only and required at once, so it is sent."""
        return {
            "Amount": self.amount,
            "Date": self.date.isoformat(),
            "Invoice": {"InvoiceID": self.invoice_xero_id},
        }

    @property
    def fingerprint(self) -> str:
        """A digest of what is sent, and to which credit note."""
        return hashlib.blake2b(f"{self.credit_xero_id}{write_json(self.body())}".encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        return write_json({each.name: _as_text(getattr(self, each.name)) for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Unallocate:
    """An allocation of ours that is to be taken off again, because ConnectWise applied less, or nothing any more."""

    connectwise_id: int
    reference: str
    credit_number: str
    organisation: str
    tenant_id: str
    invoice_xero_id: str
    credit_xero_id: str
    currency: str
    allocation_id: str
    amount: Decimal
    part: str
    date: dt.date

    family = FAMILY
    number = ""
    url = ""

    @property
    def fingerprint(self) -> str:
        """A digest of which allocation is taken off."""
        return hashlib.blake2b(self.allocation_id.encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        return write_json({each.name: _as_text(getattr(self, each.name)) for each in fields(self)})


def read_write(text: str) -> Allocate | Unallocate:
    """What the `to_text` of either wrote."""
    given = json.loads(text, parse_float=Decimal)
    given |= {"amount": Decimal(given["amount"]), "date": dt.date.fromisoformat(given["date"])}
    return Unallocate(**given) if "allocation_id" in given else Allocate(**given)


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


@dataclass(frozen=True, slots=True)
class Allocating:
    """What is to be written for one invoice, and why something of it waits. All empty: both systems agree."""

    allocates: tuple[Allocate, ...] = ()
    unallocates: tuple[Unallocate, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One invoice with everything that decides on its allocations.

    `rows` are its credit rows, `ours` what we wrote (part `memo-instalment`), `used` how many instalments each memo has
    had on it, `credits` the credit notes in Xero by memo (absent: not posted), `lock` the date up to which the books
    are locked.
    """

    owed: Owed
    rows: Sequence[PaymentRow]
    there: Receivable
    organisation: str
    tenant_id: str
    ours: Sequence[Written]
    used: Mapping[int, int]
    credits: Mapping[int, Credit]
    lock: dt.date | None = None
    take: Take = ""
    recreate: bool = False


def decide_allocations(case: Case) -> Allocating:
    """What to do about each credit memo that is, or was, applied to one invoice."""
    names = {
        row.credit.id: row.credit.identifier or row.credit.name for row in case.rows if row.credit and row.credit.id
    }
    memos = sorted(names.keys() | {each.row for each in case.ours})
    allocates: list[Allocate] = []
    unallocates: list[Unallocate] = []
    holds: list[Hold] = []
    due = case.there.due
    for memo in memos:
        pair = _Pair(case, memo, names.get(memo, "") or f"credit memo {memo}", due)
        found = pair.decided()
        allocates += found.allocates
        unallocates += found.unallocates
        holds += found.holds
        due -= total(each.amount for each in found.allocates)
    # First what is too much goes; what is missing is decided on anew when it is gone.
    return Allocating(() if unallocates else tuple(allocates), tuple(unallocates), tuple(holds))


class _Pair:
    """One credit memo on one invoice."""

    def __init__(self, case: Case, memo: int, name: str, due: Decimal) -> None:
        self.case = case
        self.memo = memo
        self.name = name
        self.due = due
        self.rows = [row for row in case.rows if row.credit is not None and row.credit.id == memo]
        self.target = to_cents(total(row.amount for row in self.rows))
        self.credit = case.credits.get(memo)
        self.ours = [each for each in case.ours if each.row == memo]

    def decided(self) -> Allocating:
        case, credit, there = self.case, self.credit, self.case.there
        if case.take == "theirs":
            return Allocating()
        if credit is None:
            return self._waits(
                Reason.WAITS_FOR_CREDIT_NOTE, self.name, f"The credit note {self.name} is not in Xero yet."
            ) if self.target else Allocating()  # fmt: skip
        if not there.live or not credit.live:
            dead, what = (there, "invoice") if not there.live else (credit, "credit note")
            return self._waits(
                Reason.REMOVED_IN_XERO,
                dead.number,
                f"Somebody {dead.status.lower()} the {what} {dead.number} in {case.organisation}.",
            ) if self.target else Allocating()  # fmt: skip
        standing, removed = self._matched(credit)
        have = max(total(each.amount for each in credit.on(there.xero_id)), there.credited_by(credit.xero_id))
        if total(each.amount for each in standing) > self.target:
            return self._too_much(credit, standing)
        if have >= self.target:
            return Allocating()
        if removed and not case.recreate:
            return self._waits(
                Reason.REMOVED_IN_XERO,
                self.name,
                f"{plain(removed[-1].amount)} {there.currency} of it was allocated in {case.organisation}, and "
                "somebody took that off.",
                f"Take the credit off the invoice in ConnectWise as well, or have it allocated again: `tieout sync "
                f"credit_notes --reference {case.owed.invoice_number} --recreate`.",
            )
        return self._missing(credit, self.target - have)

    def _matched(self, credit: Credit) -> tuple[list[Written], list[Written]]:
        """Which of our allocations stand, under their ids, and which somebody took off.

        An answer to an allocation carries no id (xero.md, section 9), so one is known again by its amount.
        """
        left = credit.on(self.case.there.xero_id)
        standing: list[Written] = []
        removed: list[Written] = []
        for each in self.ours:
            same = next((one for one in left if one.xero_id and one.xero_id.lower() == each.xero_id.lower()), None)
            same = same or next((one for one in left if one.amount == each.amount), None)
            if same is None:
                removed.append(each)
            else:
                left.remove(same)
                standing.append(replace(each, xero_id=same.xero_id, date=same.date or each.date))
        return standing, removed

    def _too_much(self, credit: Credit, standing: Sequence[Written]) -> Allocating:
        case, left = self.case, total(each.amount for each in standing)
        off: list[Unallocate] = []
        for each in sorted(standing, key=lambda one: (one.date, one.instalment), reverse=True):
            if left <= self.target:
                break
            if case.lock is not None and each.date <= case.lock:
                return self._locked(each.date, "be taken off")
            off.append(
                Unallocate(
                    case.owed.id, case.owed.invoice_number, credit.number, case.organisation, case.tenant_id,
                    case.there.xero_id, credit.xero_id, case.there.currency, each.xero_id, each.amount, each.part,
                    each.date,
                )
            )  # fmt: skip
            left -= each.amount
        if any(not each.allocation_id for each in off):
            return self._waits(
                Reason.PAYMENT_LOWERED,
                plain(left),
                f"Less of it is applied in ConnectWise now than was allocated in {case.organisation}, and Xero does "
                "not say by which id the allocation can be taken off.",
                f"Take the allocation of {credit.number} off the invoice in Xero by hand.",
            )
        return Allocating(unallocates=tuple(off))

    def _missing(self, credit: Credit, missing: Decimal) -> Allocating:
        case, there = self.case, self.case.there
        drafts = [
            f"the {what} {one.number}"
            for what, one in (("credit note", credit), ("invoice", there))
            if one.status in ("DRAFT", "SUBMITTED")
        ]
        if drafts:
            told = f"It can be allocated when {' and '.join(drafts)} {'is' if len(drafts) == 1 else 'are'} approved."
            return self._waits(Reason.WAITS_FOR_APPROVAL, drafts[0], told)
        unlike = [
            f"{name} {theirs or '(none)'} on the credit note and {ours or '(none)'} on the invoice"
            for name, theirs, ours in (
                ("organisation", credit.tenant_id, case.tenant_id),
                ("contact", credit.contact_id.lower(), there.contact_id.lower()),
                ("currency", credit.currency, there.currency),
            )
            if theirs != ours
        ]
        if unlike:
            return self._waits(
                Reason.CANNOT_ALLOCATE, self.name, f"Xero allocates only between alike documents: {'; '.join(unlike)}."
            )
        amount = min(missing, credit.remaining, self.due)
        short = f"{plain(credit.remaining)} is left of the credit note, and {plain(self.due)} is due on the invoice."
        over = self._waits(Reason.OVERPAYMENT, plain(missing - max(amount, ZERO)), f"In Xero {short}")
        if amount <= 0:
            return over
        date = max(each for each in (*(row.payment_date for row in self.rows), credit.date, there.date) if each)
        if case.lock is not None and date <= case.lock:
            return self._locked(date, "be allocated")
        write = Allocate(
            case.owed.id, self.memo, case.used.get(self.memo, 0) + 1, case.owed.invoice_number, credit.number,
            case.organisation, case.tenant_id, there.xero_id, credit.xero_id, date, amount, there.currency,
        )  # fmt: skip
        return Allocating((write,), (), over.holds if amount < missing else ())

    def _locked(self, date: dt.date, what: str) -> Allocating:
        return self._waits(
            Reason.PERIOD_LOCKED,
            date.isoformat(),
            f"The allocation of {date} cannot {what}: {self.case.organisation} is locked up to and including "
            f"{self.case.lock}.",
            f"Unlock the period in Xero, or see to the allocation of {self.name} in Xero by hand.",
            (XeroList.ORGANISATION,),
        )

    def _waits(
        self, reason: Reason, value: str, why: str, fix: str = "", waits_on: tuple[XeroList, ...] = ()
    ) -> Allocating:
        told = (
            f"{plain(self.target)} {self.case.there.currency} of {self.name} is applied to "
            f"{self.case.owed.invoice_number} in ConnectWise. {why}"
        )
        return Allocating(holds=(Hold(reason, value, told, fix, waits_on),))
