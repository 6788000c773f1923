"""Which bills a purchase order should have: what was received and is not billed yet, each quantity once (design 6).

ConnectWise has no receipts, only lines whose received quantity grows (connectwise.md, 11.4). So nothing here knows
events: what was received of a line, less what all bills of the order hold of it, is what is to be billed. Clones,
edited packing slips, reopening and running again change neither side, and cannot bill twice.

| received against billed | what becomes of it |
|---|---|
| more, and a bill event fires | onto its draft (the order's, or that receipt's), else a further bill |
| more, and none fires | waits |
| less | off the drafts, the newest first; then off approved bills, which only says so: they are held |
| a line that was billed is not shown any more | held: absence is no reversal |
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from shlex import quote

from mappings.connectwise import PurchaseOrder, PurchaseOrderLine, SourceBill, SourcePurchaseOrder
from mappings.lifecycle import Event, State, ordered, received
from mappings.money import ZERO, to_cents
from mappings.outcomes import Hold, Reason
from mappings.shares import key_on

FREIGHT = "freight"
"""The key of an order's freight among the lines of its bills. Its quantity is 1."""
ONE = Decimal(1)
BILL_EVENTS = (Event.DRAFT_BILL, Event.BILL_PER_RECEIPT)


def line_key(line: PurchaseOrderLine) -> str:
    """Our key of a line, the same for as long as the line is there."""
    return f"line:{line.id}"


@dataclass(frozen=True, slots=True)
class Billed:
    """A bill of an order as our records hold it, and whether it may be changed where it is now.

    `quantities` of this order, by line key. `n` counts the bills of an order from 1; `receipt` is its packing slip,
    else R1, R2; '' for a bill of all that was received. `editable`: it is a draft, or waits for approval, in Xero.
    `gone`: a person deleted or voided it; what it billed stays billed until it is taken back in ConnectWise. `lead` is
    the other order under which a bill is kept that several share (0: this one); `closed`: nothing more goes onto it.
    """

    n: int
    receipt: str
    quantities: Mapping[str, Decimal]
    editable: bool
    gone: bool = False
    lead: int = 0
    closed: bool = False


@dataclass(slots=True)
class Wanted:
    """What one bill of an order should hold of it."""

    n: int
    receipt: str
    quantities: dict[str, Decimal] = field(default_factory=dict)
    is_new: bool = False
    editable: bool = True
    gone: bool = False
    lead: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Firing:
    """What the signed lifecycle says of an order: the events of the rows that fired, their status, and their text.

    `answered` is the same state by state, as it is kept with the order (lifecycle_change.py).
    """

    state: State
    events: frozenset[Event] = frozenset()
    status: str = ""
    cited: tuple[str, ...] = ()
    answered: str = ""

    @property
    def bill(self) -> Event | None:
        """The event that makes bills; None where nothing does."""
        return next((event for event in BILL_EVENTS if event in self.events), None)

    @property
    def follows_vendor_invoice(self) -> bool:
        """Whether the vendor invoice's number and date go onto drafts that are there already."""
        return Event.UPDATE_BILL_FROM_VENDOR_INVOICE in self.events or self.bill is not None


def over_received(source: SourcePurchaseOrder) -> list[tuple[str, Decimal, Decimal]]:
    """Products of which more was received than ordered: name, ordered, received.

    Over all lines of a product: a receipt in parts clones lines, and what comes on top of a full receipt may stand on
    a line with the quantity 0 (connectwise.md, 11.4).
    """
    ordered: dict[str, Decimal] = defaultdict(lambda: ZERO)
    got: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for line in source.lines:
        name = (line.product.identifier if line.product else "") or line.description or f"line {line.id}"
        # What was received in part may still say the whole quantity, and its clone says the rest again.
        ended = line.canceled_flag or line.received_status.startswith("PartiallyReceive")
        ordered[name] += min(line.quantity, received(line)) if ended else line.quantity
        got[name] += received(line)
    return [(name, ordered[name], got[name]) for name in got if got[name] > ordered[name]]


def bills_of(
    source: SourcePurchaseOrder, firing: Firing, billed: Sequence[Billed], freight: str, over_receipt: str
) -> list[Wanted] | Hold:
    """Every bill that the order has or should have, with what it should hold; or why nothing can be said of it.

    `freight` and `over_receipt` are the policy's words. `billed` are its bills, the oldest first. The result names each
    of them, and new ones after them.
    """
    header = source.header
    lines = {line_key(line): line for line in source.lines}
    gone = sorted({key for each in billed for key in each.quantities} - lines.keys() - {FREIGHT})
    if gone:
        return Hold(
            Reason.LINES_INCOMPLETE,
            ", ".join(gone),
            f"{header.po_number}: ConnectWise does not show {len(gone)} line(s) any more that are on its bills "
            f"({', '.join(key.partition(':')[2] for key in gone)}).",
            "Let the API member see the lines; if they were deleted, enter a supplier credit in Xero for what was not "
            "received, or restore them in ConnectWise.",
        )
    returned = [line for line in source.lines if line.received_quantity < 0]
    if returned:
        line = returned[0]
        return Hold(
            Reason.UNREADABLE_RECORD,
            f"line {line.line_number or line.id}",
            f"{header.po_number}: {plain_quantity(line.received_quantity)} was received of line "
            f"{line.line_number or line.id} ({line.description or 'without a description'}), and a bill cannot take "
            "goods back.",
            "Enter a supplier credit for what went back in Xero, and take the line off the order in ConnectWise, so "
            "that the rest of it can be billed.",
        )
    wanted = [
        Wanted(
            each.n, each.receipt, dict(each.quantities), False, each.editable, each.gone, each.lead,
            each.closed or not each.editable,
        )
        for each in billed
    ]  # fmt: skip
    surplus = _settle_differences(lines, wanted)
    if firing.bill is None or Event.HOLD in firing.events:
        return wanted
    if over_receipt == "hold" and (surplus and (over := over_received(source))):
        told = "; ".join(f"{name}: ordered {plain_quantity(want)}, received {plain_quantity(got)}"
                         for name, want, got in over)  # fmt: skip
        return Hold(
            Reason.OVER_RECEIPT,
            ", ".join(name for name, _, _ in over)[:200],
            f"More was received on {header.po_number} than was ordered ({told}).",
        )
    if firing.bill is Event.DRAFT_BILL:
        if surplus:
            _onto(wanted, "", surplus)
    else:
        for receipt, group in _by_receipt(source, surplus, wanted):
            _onto(wanted, receipt, group)
    _place_freight(header, firing, wanted, freight)
    return wanted


def left_over(source: SourcePurchaseOrder, held: Sequence[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """What was received, and freight where there is any, less what these bills hold; by line key, above zero."""
    all_of_it = {line_key(line): received(line) for line in source.lines}
    if source.header.freight_cost:
        all_of_it[FREIGHT] = ONE
    rest = {key: got - sum((each.get(key, ZERO) for each in held), ZERO) for key, got in all_of_it.items()}
    return {key: quantity for key, quantity in rest.items() if quantity > 0}


def plain_quantity(value: Decimal) -> str:
    """A quantity for people: no zeros at its end, no exponent."""
    return format(value.normalize(), "f")


def _settle_differences(lines: Mapping[str, PurchaseOrderLine], wanted: Sequence[Wanted]) -> dict[str, Decimal]:
    """Take off the bills what is received no more; give what is received and on no bill yet."""
    surplus: dict[str, Decimal] = {}
    # What is gone first, then drafts, the newest of them first: what a person has approved is only told of.
    newest_first = list(reversed(wanted))
    order = sorted(newest_first, key=lambda each: (not each.gone, not each.editable))
    for key, line in lines.items():
        difference = received(line) - sum((each.quantities.get(key, ZERO) for each in wanted), ZERO)
        if difference > 0:
            surplus[key] = difference
        for each in order:
            if difference >= 0:
                break
            taken = min(each.quantities.get(key, ZERO), -difference)
            if taken:
                difference += taken
                each.quantities[key] -= taken
                if not each.quantities[key]:
                    del each.quantities[key]
                    if each.gone and each.quantities.keys() == {FREIGHT}:
                        # With its goods the freight of a removed bill went back, too.
                        each.quantities.clear()
    return surplus


def _by_receipt(
    source: SourcePurchaseOrder, surplus: Mapping[str, Decimal], wanted: Sequence[Wanted]
) -> list[tuple[str, dict[str, Decimal]]]:
    """What is to be billed, receipt by receipt: by packing slip, else by the day on which it was received."""
    groups: dict[tuple[str, str], dict[str, Decimal]] = {}
    slips: dict[tuple[str, str], str] = {}
    for line in sorted(source.lines, key=lambda each: (each.date_received is None, each.date_received, each.id)):
        if (key := line_key(line)) in surplus:
            slip = " ".join(line.packing_slip.split())
            group = (slip.casefold(), "" if slip else str(line.date_received or ""))
            slips.setdefault(group, slip)
            groups.setdefault(group, {})[key] = surplus[key]
    count = _last_number(wanted)
    receipts: list[tuple[str, dict[str, Decimal]]] = []
    for group, quantities in groups.items():
        there = [each for each in wanted if slips[group] and _same_slip(each.receipt, slips[group])]
        if any(not each.closed for each in there):
            receipts.append((next(each.receipt for each in reversed(there) if not each.closed), quantities))
            continue
        count += 1
        name = slips[group] or f"R{count}"
        # More on a slip whose bill is approved already makes a further bill, and that needs a name of its own.
        receipts.append((f"{name} ({len(there) + 1})" if there else name, quantities))
    return receipts


def _same_slip(receipt: str, slip: str) -> bool:
    return re.fullmatch(re.escape(slip.casefold()) + r"( \(\d+\))?", receipt.casefold()) is not None


def _onto(wanted: list[Wanted], receipt: str, quantities: Mapping[str, Decimal]) -> None:
    """Put quantities onto the draft of a receipt ('': the newest draft of the order), or onto a new bill."""
    takes = [
        each for each in wanted if not each.closed and (each.receipt == receipt if receipt else each.receipt != FREIGHT)
    ]
    if not takes:
        takes = [Wanted(_last_number(wanted) + 1, receipt, is_new=True)]
        wanted += takes
    for key, quantity in quantities.items():
        takes[-1].quantities[key] = takes[-1].quantities.get(key, ZERO) + quantity


def _last_number(wanted: Sequence[Wanted]) -> int:
    """The highest number of the bills that are the order's own; 0 where it has none."""
    return max((each.n for each in wanted if not each.lead), default=0)


def _place_freight(header: PurchaseOrder, firing: Firing, wanted: list[Wanted], rule: str) -> None:
    """Freight once: with everything received and the order closed, or with its first bill, or on one of its own."""
    if rule == "never" or not header.freight_cost or any(FREIGHT in each.quantities for each in wanted):
        return
    if rule == "first_bill":
        if wanted:
            _onto([wanted[0]] if not wanted[0].closed else wanted, "", {FREIGHT: ONE})
        return
    if not header.closed_flag or firing.state is not State.FULLY_RECEIVED:
        return
    if rule == "separate_bill":
        wanted.append(Wanted(_last_number(wanted) + 1, FREIGHT, {FREIGHT: ONE}, is_new=True))
        return
    _onto(wanted, "", {FREIGHT: ONE})


def bill_value(bill: SourceBill) -> Decimal:
    """What a bill holds, in its orders' currency, before tax, to the cent."""
    value = ZERO
    for order in bill.orders:
        costs = {line_key(line): line.unit_cost for line in order.lines} | {FREIGHT: order.header.freight_cost}
        value += sum((many * costs.get(key, ZERO) for key, many in bill.held_of(order).items()), ZERO)
    return to_cents(value)


def value_of(lines: Sequence[PurchaseOrderLine]) -> Decimal:
    """What was received of these lines, in the order's currency, before tax and freight, unrounded."""
    return sum((received(line) * line.unit_cost for line in lines), ZERO)


def ordered_value(lines: Sequence[PurchaseOrderLine]) -> Decimal:
    """What is ordered, in the order's currency, before tax and freight, unrounded."""
    return sum((ordered(line) * line.unit_cost for line in lines), ZERO)


@dataclass(slots=True)
class Pooled:
    """What one bill should hold of every order that is on it, by the order's id. It is kept under the order `lead`."""

    lead: int
    n: int
    receipt: str
    shares: dict[int, Wanted] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether it is not there yet."""
        return all(each.is_new for each in self.shares.values())

    @property
    def editable(self) -> bool:
        """Whether it may be changed where it is now."""
        return all(each.editable for each in self.shares.values())

    @property
    def gone(self) -> bool:
        """Whether a person deleted or voided it."""
        return any(each.gone for each in self.shares.values())

    @property
    def quantities(self) -> dict[str, Decimal]:
        """All that it should hold, by the keys that it has on the bill."""
        return {
            key_on(self.lead, order, key): quantity
            for order, each in self.shares.items()
            for key, quantity in each.quantities.items()
        }


def pooled(wanted: Mapping[int, Sequence[Wanted]], group_of: Mapping[int, Hashable]) -> list[Pooled]:
    """The bills of several orders, by the orders' ids, each bill once: those that are there, and new ones.

    New bills of orders that have the same group become one, which is kept under the lowest id among them; an order
    without a group has its own. Bills that are there are never merged; a bill of a receipt, or of freight, is alone.
    """
    bills: dict[tuple[int, int], Pooled] = {}
    leads: dict[Hashable, Pooled] = {}
    for order in sorted(wanted):
        for each in wanted[order]:
            group = group_of.get(order) if each.is_new and not each.receipt else None
            lead = each.lead or order
            bill = leads.get(group) if group is not None else None
            if bill is None:
                bill = bills.setdefault((lead, each.n), Pooled(lead, each.n, each.receipt))
            if group is not None:
                leads[group] = bill
            bill.shares[order] = each
    return list(bills.values())


def source_of(
    source: SourcePurchaseOrder,
    each: Pooled | Wanted,
    firing: Firing,
    due_days: int | None,
    written: tuple[str, date, date] | None,
    note: str = "",
    noted: str = "",
    shared: Sequence[SourcePurchaseOrder] = (),
    late: str = "",
) -> SourceBill:
    """One bill as the mapping gets it; `source` is the order that it is kept under, `shared` are the others on it.

    `written`: number, date and due date that it has, if it is there. `note` is what it should say of other orders that
    the vendor's invoice covers, `noted` what it says of them; `late` what people are told once it is posted.
    """
    follows = each.editable and firing.follows_vendor_invoice
    return SourceBill(
        header=source.header,
        lines=source.lines,
        n=each.n,
        receipt=each.receipt,
        quantities=tuple(sorted(each.quantities.items())),
        status=firing.status,
        cited=firing.cited,
        due_days=due_days,
        kept=None if written is None or follows else written,
        approved=not each.editable,
        note=note if written is None or follows else noted,
        shared=tuple(shared),
        late=late,
    )


def nothing_left(bill: SourceBill, number: str) -> Hold:
    """A bill from which everything was taken back: a person decides about it."""
    order = bill.reference
    done = f"then say that it is done with `tieout sync purchase_orders --reference {quote(order)} --take theirs`"
    return Hold(
        Reason.RECEIPT_REVERSED,
        number,
        f"Everything on the {'approved bill' if bill.approved else 'draft bill'} {number} of {order} was taken back in "
        "ConnectWise.",
        f"Enter a supplier credit for the whole of {number} in Xero, {done}; or receive the goods again in ConnectWise."
        if bill.approved
        else f"Delete the draft {number} in Xero if the goods went back; or receive them again in ConnectWise.",
    )
