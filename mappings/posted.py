"""A document as it stands in Xero, field by field, and which of its lines came from which of ours."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mappings.money import ZERO, total
from mappings.xero import Document, Found, Line, fold, parse_date

Tracking = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PostedLine:
    """One line as Xero has it, before tax, in the document's currency; a description alone has no `quantity`."""

    id: str
    description: str
    quantity: Decimal | None
    unit_amount: Decimal | None
    amount: Decimal
    discount: Decimal
    account_code: str
    item_code: str
    tax_type: str
    tax: Decimal
    tracking: Tracking

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> PostedLine:
        """From an element of `LineItems`."""
        return cls(
            id=given.get("LineItemID") or "",
            description=given.get("Description") or "",
            quantity=_number(given.get("Quantity")),
            unit_amount=_number(given.get("UnitAmount")),
            amount=_number(given.get("LineAmount")) or ZERO,
            discount=_number(given.get("DiscountAmount")) or _number(given.get("DiscountRate")) or ZERO,
            account_code=given.get("AccountCode") or "",
            item_code=given.get("ItemCode") or "",
            tax_type=given.get("TaxType") or "",
            tax=_number(given.get("TaxAmount")) or ZERO,
            tracking=tuple((each.get("Name") or "", each.get("Option") or "") for each in given.get("Tracking") or []),
        )

    @property
    def price(self) -> tuple[Decimal, Decimal, Decimal]:
        """Quantity, unit price and amount; all zero where the line is but a description, or over nothing."""
        if not self.amount and not self.discount:
            return ZERO, ZERO, ZERO
        return self.quantity or ZERO, self.unit_amount or ZERO, self.amount


@dataclass(frozen=True, slots=True)
class Posted:
    """A document as Xero has it. Amounts in its own currency; `rate` in its units per one of the base's.

    `paid` and `credited` of an invoice or a bill are what it was settled by; of a credit note what was refunded and
    what was allocated to invoices. `due_date` of a purchase order is its delivery date. People see a bill's `number` as
    its Reference, and its `reference` not at all, if Xero keeps that (xero.md, 1.1).
    """

    xero_id: str
    number: str
    contact_id: str
    contact_name: str
    date: dt.date | None
    due_date: dt.date | None
    currency: str
    rate: Decimal | None
    reference: str
    url: str
    status: str
    amount_types: str
    lines: tuple[PostedLine, ...]
    subtotal: Decimal
    total: Decimal
    paid: Decimal
    credited: Decimal
    attachments: bool

    @classmethod
    def read(cls, found: Found) -> Posted:
        """Everything that an answer of `/Invoices`, `/CreditNotes` or `/PurchaseOrders` says of the document."""
        given = found.content

        def summed(names: Sequence[str], amount: str) -> Decimal:
            return total(_number(each.get(amount)) or ZERO for name in names for each in given.get(name) or [])

        if "CreditNoteID" in given:
            paid, credited = summed(["Payments"], "Amount"), summed(["Allocations"], "Amount")
        else:
            # Prepayments and overpayments count as paid, also where a list shows them and AmountPaid does not.
            applied = summed(["Prepayments", "Overpayments"], "AppliedAmount")
            paid = max(_number(given.get("AmountPaid")) or ZERO, applied)
            credited = _number(given.get("AmountCredited")) or ZERO
        return cls(
            xero_id=found.xero_id,
            number=found.number,
            contact_id=found.contact_id,
            contact_name=found.contact_name,
            date=found.date,
            due_date=parse_date(
                given.get("DueDateString")
                or given.get("DueDate")
                or given.get("DeliveryDateString")
                or given.get("DeliveryDate")
            ),
            currency=found.currency,
            rate=_number(given.get("CurrencyRate")),
            reference=given.get("Reference") or "",
            url=found.url,
            status=found.status,
            amount_types=given.get("LineAmountTypes") or "",
            lines=tuple(PostedLine.parse(each) for each in given.get("LineItems") or []),
            subtotal=_number(given.get("SubTotal")) or ZERO,
            total=found.total,
            paid=paid,
            credited=credited,
            attachments=bool(given.get("HasAttachments")),
        )

    def line(self, line_id: str) -> PostedLine | None:
        """The line with this id."""
        return next((each for each in self.lines if each.id == line_id), None)


def _number(given: Any) -> Decimal | None:
    if isinstance(given, Decimal):
        return given
    return None if given is None or given == "" else Decimal(str(given))


def price_of(line: Line) -> tuple[Decimal, Decimal, Decimal]:
    """What `PostedLine.price` is of the same line in Xero."""
    return (line.quantity or ZERO, line.unit_amount or ZERO, line.amount) if line.amount else (ZERO, ZERO, ZERO)


ALIKE: Sequence[tuple[Callable[[Line], Hashable], Callable[[PostedLine], Hashable]]] = (
    (
        lambda line: (price_of(line), fold(line.description), line.account_code),
        lambda line: (line.price, fold(line.description), line.account_code),
    ),
    (
        lambda line: (price_of(line), fold(line.description)),
        lambda line: (line.price, fold(line.description)),
    ),
    (price_of, lambda line: line.price),
)
"""By what a line of ours is known among Xero's, the surest first: Xero promises no order."""


def paired(ours: Sequence[Line], theirs: Sequence[PostedLine]) -> dict[str, PostedLine]:
    """Which of Xero's lines each of ours (by its key) is, as far as content tells; equal lines in their order."""
    pairs: dict[str, PostedLine] = {}
    left = list(theirs)
    surest, of_surest = ALIKE[0]
    if len(ours) == len(left) and all(surest(one) == of_surest(other) for one, other in zip(ours, left, strict=True)):
        # As it mostly is; below, the same lines would be paired.
        return {one.key: other for one, other in zip(ours, left, strict=True)}
    for of_ours, of_theirs in ALIKE:
        if not left:
            break
        alike: dict[Hashable, deque[PostedLine]] = defaultdict(deque)
        for each in left:
            alike[of_theirs(each)].append(each)
        for line in ours:
            if line.key not in pairs and (same := alike.get(of_ours(line))):
                pairs[line.key] = same.popleft()
        used = set(map(id, pairs.values()))
        left = [each for each in left if id(each) not in used]
    return pairs


def line_ids(document: Document, answer: Found, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our key of each line -> its LineItemID, for updates that keep the lines (design 4).

    `known` are those that were there before the write that was answered; the others are told by their content.
    """
    lines = [PostedLine.parse(each) for each in answer.content.get("LineItems") or []]
    there = {line.id for line in lines if line.id}
    ids = {line.key: known[line.key] for line in document.lines if known and known.get(line.key) in there}
    left = [line for line in lines if line.id and line.id not in ids.values()]
    return ids | {
        key: line.id for key, line in paired([line for line in document.lines if line.key not in ids], left).items()
    }
