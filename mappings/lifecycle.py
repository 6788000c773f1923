"""What happens to a purchase order, and when: its states, the table that answers them, and who has signed that table.

The states follow from fields alone, never from names (connectwise.md, 11.4 to 11.6). The answer to them is a decision
of two people, lifecycle.csv; their signatures are over its hash, so a table that was changed is one that nobody signed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from mappings.connectwise import PurchaseOrder, PurchaseOrderLine, PurchaseOrderStatus, SourcePurchaseOrder
from mappings.csv_tables import Layout, Row, TableProblem, TablesUnusable, fold_cell, read_rows, same_keys
from mappings.money import ZERO

LIFECYCLE = Layout("lifecycle.csv", ("organisation", "state"), ("event", "status"))
SIGNED_FILE = "lifecycle.signed.toml"
STATUSES = ("draft", "submitted", "authorised")


class State(StrEnum):
    """What may be true of an order: one receipt state (the first five) and, beside it, the last two."""

    RAISED = "raised"
    PARTIALLY_RECEIVED = "partially_received"
    FULLY_RECEIVED = "fully_received"
    CANCELLED = "cancelled"
    REVERSED = "reversed"
    VENDOR_INVOICE_RECEIVED = "vendor_invoice_received"
    PAID = "paid"


class Event(StrEnum):
    """What a row may ask for."""

    NONE = "none"
    DRAFT_PO = "draft_po"
    UPDATE_PO = "update_po"
    APPROVE_PO = "approve_po"
    MARK_PO_BILLED = "mark_po_billed"
    DELETE_PO = "delete_po"
    DRAFT_BILL = "draft_bill"
    BILL_PER_RECEIPT = "bill_per_receipt"
    UPDATE_BILL_FROM_VENDOR_INVOICE = "update_bill_from_vendor_invoice"
    HOLD = "hold"


class Role(StrEnum):
    """Who signs."""

    OPERATOR = "operator"
    FINANCE_LEAD = "finance_lead"

    @property
    def words(self) -> str:
        """As people say it."""
        return self.value.replace("_", " ")


# What the fields say


def received(line: PurchaseOrderLine) -> Decimal:
    """How much of a line was received, in the line's own unit; never below zero.

    ConnectWise keeps it as a whole number (connectwise.md, 11.3): where a fully received line ordered 2.5 and says 2
    or 3, it is the 2.5.
    """
    whole = line.received_quantity
    if line.received_status == "FullyReceived" and whole in _whole_numbers_of(line.quantity):
        return max(line.quantity, ZERO)
    return max(whole, ZERO)


def _whole_numbers_of(quantity: Decimal) -> tuple[Decimal, Decimal]:
    """What is left of a quantity without its decimals: cut, and rounded."""
    return quantity.to_integral_value(ROUND_DOWN), quantity.to_integral_value(ROUND_HALF_UP)


ENDED = ("FullyReceived", "PartiallyReceiveCancelRest", "PartiallyReceiveCloneRest")
"""Statuses of a line after which nothing more comes on it; the rest of a cloned one is expected on its clone."""


def ordered(line: PurchaseOrderLine) -> Decimal:
    """How much of a line is ordered: of one that is cancelled, or whose rest is, as much as was received.

    A line that was received in part and cloned for the rest may still say the whole quantity; the clone says the rest.
    """
    cut = line.canceled_flag or line.received_status in ("PartiallyReceiveCloneRest", "PartiallyReceiveCancelRest")
    return received(line) if cut else line.quantity


def _outstanding(line: PurchaseOrderLine) -> bool:
    """Whether more is to come on this line."""
    ended = line.canceled_flag or line.closed_flag or line.received_status in ENDED
    return not ended and line.quantity > received(line)


def receipt_state(source: SourcePurchaseOrder, status: PurchaseOrderStatus | None, billed: bool) -> State:
    """The one receipt state of an order. `billed`: our records hold a billed quantity for it.

    | anything received | billed | the order | state |
    |---|---|---|---|
    | no | yes | any | reversed |
    | no | no | its status is closed and not the default closed one | cancelled |
    | no | no | closed in the default closed status: nothing will come | cancelled |
    | no | no | has lines, and all are cancelled | cancelled |
    | no | no | any other: open, without lines, or closed in a status that is not known | raised |
    | yes | any | closed, in whatever status: nothing more will come, and what came is to be paid | fully_received |
    | yes | any | more is to come on no line | fully_received |
    | yes | any | more is to come on some line | partially_received |

    The first row that fits decides. Received counts on every line, cancelled ones and clones included. More is to come
    on a line with more ordered than received that is neither cancelled nor closed, nor ended by its status. Source:
    connectwise.md, 11.2, 11.4 and 11.6.
    """
    header, lines = source.header, source.lines
    abandoned = status is not None and status.closed_flag and not status.default_closed_flag
    completed = header.closed_flag and status is not None and status.closed_flag and status.default_closed_flag
    if any(received(line) for line in lines):
        more = not header.closed_flag and any(_outstanding(line) for line in lines)
        return State.PARTIALLY_RECEIVED if more else State.FULLY_RECEIVED
    if billed:
        return State.REVERSED
    all_cancelled = bool(lines) and all(line.canceled_flag for line in lines)
    return State.CANCELLED if abandoned or completed or all_cancelled else State.RAISED


def states_of(
    source: SourcePurchaseOrder, status: PurchaseOrderStatus | None, *, billed: bool, paid: bool
) -> tuple[State, ...]:
    """Every state of an order, its receipt state first. `paid` is Xero's word: ConnectWise has none for it."""
    states = [receipt_state(source, status, billed)]
    if _has_vendor_invoice(source.header):
        states.append(State.VENDOR_INVOICE_RECEIVED)
    if paid:
        states.append(State.PAID)
    return tuple(states)


def _has_vendor_invoice(header: PurchaseOrder) -> bool:
    return bool(header.vendor_invoice_number.strip())


# The table


@dataclass(frozen=True, slots=True)
class LifecycleRow:
    """One row: `organisation` '' means any; `events` in the order of Event; `status` '' is as policy says.

    `number` counts as a spreadsheet does (the header is row 1).
    """

    organisation: str
    state: State
    events: tuple[Event, ...]
    status: str
    number: int

    def __str__(self) -> str:
        return f"{LIFECYCLE.file} row {self.number}"

    @property
    def cited(self) -> str:
        """The row with what it says: the file may be another one by the time somebody asks."""
        return f"{self}: {','.join((self.organisation, self.state, '+'.join(self.events), self.status))}"


@dataclass(frozen=True)
class Lifecycle:
    """The whole table; without rows nothing happens to any order."""

    rows: tuple[LifecycleRow, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over what the rows decide: notes, their order in the file, case and blanks have no say."""
        said = sorted([fold_cell(row.organisation), row.state, [*row.events], row.status] for row in self.rows)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def fired(self, organisation: str, states: Sequence[State]) -> tuple[LifecycleRow, ...]:
        """The rows that answer these states of an order, in their order; a state without a row does nothing.

        A row that names the organisation comes before one that leaves it blank. Where one of them says hold, a person
        has to look first, whatever the others say.
        """
        own = fold_cell(organisation)
        found = (self._by_key.get((own, state)) or self._by_key.get(("", state)) for state in states)
        return tuple(row for row in found if row is not None)

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, State], LifecycleRow]:
        return {(fold_cell(row.organisation), row.state): row for row in self.rows}

    @property
    def organisations(self) -> tuple[str, ...]:
        """Those that have rows of their own, as the file first spells them."""
        spelt: dict[str, str] = {}
        for row in self.rows:
            if row.organisation:
                spelt.setdefault(fold_cell(row.organisation), row.organisation)
        return tuple(spelt.values())


def read_lifecycle(content: bytes | None) -> Lifecycle:
    """Parse lifecycle.csv (None: there is none). Raises TablesUnusable with every problem of the file."""
    _, rows, problems = read_rows(LIFECYCLE, content)
    read: list[LifecycleRow] = []
    known: dict[tuple[str, State], Row] = {}
    for row in rows:
        found = _read(row)
        if isinstance(found, TableProblem):
            problems.append(found)
            continue
        twin = known.setdefault((fold_cell(found.organisation), found.state), row)
        if twin is row:
            read.append(found)
        else:
            problems.append(same_keys(row, twin))
    if problems:
        raise TablesUnusable(sorted(problems, key=lambda problem: problem.row))
    return Lifecycle(tuple(read))


def _read(row: Row) -> LifecycleRow | TableProblem:
    def wrong(column: str, words: str) -> TableProblem:
        return TableProblem(row.file, row.number, column, words)

    def unknown(column: str, word: str, allowed: Iterable[str]) -> TableProblem:
        said = f"{word!r} is not known" if word else "one is missing"
        return wrong(column, f"{said}; allowed: {', '.join(allowed)}")

    organisation = " ".join(row.values["organisation"].split())
    state = fold_cell(row.values["state"])
    if state not in tuple(State):
        return unknown("state", state, State)
    words = [fold_cell(word) for word in row.values["event"].split("+")]
    for word in words:
        if word not in tuple(Event):
            return unknown("event", word, Event)
        if words.count(word) > 1:
            return wrong("event", f"{word} is there twice")
        if word in (Event.NONE, Event.HOLD) and len(words) > 1:
            return wrong("event", f"{word} stands alone, without other events")
    status = fold_cell(row.values["status"])
    if status not in ("", *STATUSES):
        return unknown("status", status, (*STATUSES, "or blank for what policy.toml says"))
    events = tuple(event for event in Event if event in words)
    return LifecycleRow("" if organisation == "*" else organisation, State(state), events, status, row.number)


PRESETS: Mapping[str, str] = {
    "manual": """\
organisation,state,event,status,note
,raised,none,,Nothing is written to Xero; the audit and the reports are kept
,partially_received,none,,
,fully_received,none,,
,cancelled,none,,
,reversed,none,,
,vendor_invoice_received,none,,
,paid,none,,
""",
    "goods_receipt": """\
organisation,state,event,status,note
,raised,none,,
,partially_received,none,,
,fully_received,draft_bill,draft,A blank status is what policy.toml says: bill_status below [purchases]
,cancelled,none,,
,reversed,hold,,A person decides what becomes of the bill
,vendor_invoice_received,update_bill_from_vendor_invoice,,
,paid,none,,
""",
    "full_lifecycle": """\
organisation,state,event,status,note
,raised,draft_po,,
,partially_received,update_po,,
,fully_received,update_po,,
,cancelled,delete_po,,
,reversed,hold,,A person decides what becomes of the bill
,vendor_invoice_received,bill_per_receipt,draft,A blank status is what policy.toml says: bill_status below [purchases]
,paid,none,,
""",
}
"""Tables to begin with, as `tieout lifecycle init` writes them (design, section 6)."""


# Whether it makes sense

BILLING = (Event.DRAFT_BILL, Event.BILL_PER_RECEIPT)
NEVER_BILLED: Mapping[State, str] = {
    State.RAISED: "nothing has been received yet",
    State.CANCELLED: "nothing was received, and nothing will come",
    State.REVERSED: "nothing is received any more",
    State.PAID: "that a bill is paid says nothing about what was received",
}
"""States in which no bill is made, and why."""
NEEDS_A_DRAFT_PO = (Event.UPDATE_PO, Event.APPROVE_PO, Event.MARK_PO_BILLED)
PO_EVENTS = (Event.DRAFT_PO, *NEEDS_A_DRAFT_PO)
"""Events that write the purchase order to Xero. Where one of them fires, it is marked as billed when everything is."""


def objections(lifecycle: Lifecycle) -> list[str]:
    """Why this table must not be signed, one sentence each with its row; none when it makes sense.

    A receipt is billed once because billed quantities are recorded per line, whatever the table says; the table is
    refused where it would leave to chance which bill that is. What several rows do together is looked at per
    organisation.
    """
    found = {sentence: "" for row in lifecycle.rows for sentence in _objections_to(row)}
    # The organisations without rows of their own first: what is wrong for them is told without a name.
    for organisation in ("", *lifecycle.organisations):
        place = f" for {organisation}" if organisation else ""
        for sentence in _objections_together(lifecycle.fired(organisation, tuple(State))):
            found.setdefault(sentence, place)
    return [f"{sentence}{place}." for sentence, place in found.items()]


def _objections_to(row: LifecycleRow) -> Iterator[str]:
    for event in row.events:
        if event in BILLING and row.state in NEVER_BILLED:
            yield f"{row} has {event} at {row.state}, when {NEVER_BILLED[row.state]}; take it out"
        if event is Event.DELETE_PO and row.state is not State.CANCELLED:
            yield f"{row} has delete_po at {row.state}; a purchase order is deleted only at cancelled"
    if set(BILLING) <= set(row.events):
        yield f"{row} has both draft_bill and bill_per_receipt, two bills for one receipt; keep one of them"
    if row.status and set(row.events) & set(PO_EVENTS) and not set(row.events) & set(BILLING):
        yield (
            f"{row} has the status {row.status}, which is that of a bill, and makes none; leave it blank, and add "
            "approve_po where the purchase order is to be approved"
        )
    if Event.HOLD in row.events and len(row.events) > 1:
        yield f"{row} has hold beside other events; what is held is left alone, so hold has to stand alone"


def _objections_together(rows: Sequence[LifecycleRow]) -> Iterator[str]:
    """What is wrong between the rows that hold for one organisation."""
    whole, by_receipt = ([row for row in rows if event in row.events] for event in BILLING)
    for one in whole:
        for other in by_receipt:
            if one is not other:
                yield (
                    f"{one} has draft_bill and {other} has bill_per_receipt, so on which bill a receipt lands would "
                    "depend on when the cycles run; use one of the two throughout"
                )
    drafted = any(Event.DRAFT_PO in row.events for row in rows)
    for row in rows:
        for event in row.events:
            if event in NEEDS_A_DRAFT_PO and not drafted:
                yield f"{row} has {event}, but no row has draft_po, so there is no purchase order in Xero"
            if event is Event.UPDATE_BILL_FROM_VENDOR_INVOICE and not (whole or by_receipt):
                yield f"{row} has {event}, but no row has draft_bill or bill_per_receipt, so there is no bill in Xero"


# How it reads

WHEN: Mapping[State, str] = {
    State.RAISED: "an order has been placed and nothing of it has been received",
    State.PARTIALLY_RECEIVED: "a part of an order has been received and more is to come",
    State.FULLY_RECEIVED: "everything on an order has been received",
    State.CANCELLED: "an order is cancelled or closed before anything of it was received",
    State.REVERSED: "nothing of an order is received any more although some of it was billed",
    State.VENDOR_INVOICE_RECEIVED: "the number of the vendor's invoice has been entered on an order",
    State.PAID: "the bills of an order have been paid in Xero",
}
A_BILL: Mapping[str, str] = {
    "": "a bill, in the status that policy.toml says,",
    "draft": "a draft bill",
    "submitted": "a bill that waits for approval",
    "authorised": "an approved bill",
}
THEN: Mapping[Event, str] = {
    Event.NONE: "nothing is done",
    Event.DRAFT_PO: "a draft purchase order is made in Xero",
    Event.UPDATE_PO: "the purchase order in Xero is brought up to date",
    Event.APPROVE_PO: "the purchase order in Xero is approved",
    Event.MARK_PO_BILLED: "the purchase order in Xero is marked as billed once everything is billed",
    Event.DELETE_PO: "the purchase order in Xero is deleted",
    Event.DRAFT_BILL: "{a_bill} is made for all that was received and not yet billed",
    Event.BILL_PER_RECEIPT: "{a_bill} is made for each receipt that is not yet billed",
    Event.UPDATE_BILL_FROM_VENDOR_INVOICE: "the vendor's invoice number and date are put on the bills in Xero",
    Event.HOLD: "the order is held for a person to decide, and nothing is written for it",
}


def prose(lifecycle: Lifecycle) -> list[str]:
    """The table as sentences to be read aloud: what holds in general state by state, then what organisations differ in.

    A state that no row answers has its sentence too: silence is a decision.
    """
    if not lifecycle.rows:
        return [f"Nothing is done for any order, since {LIFECYCLE.file} has no rows."]
    sentences = []
    for organisation in ("", *lifecycle.organisations):
        for state in State:
            row = next(iter(lifecycle.fired(organisation, [state])), None)
            if organisation and not (row and row.organisation):
                continue
            others = [
                name
                for name in lifecycle.organisations
                if not organisation and any(one.organisation for one in lifecycle.fired(name, [state]))
            ]
            place = f"For {organisation}, " if organisation else f"Except for {_listed(others)}, " if others else ""
            words = f"{place}when {WHEN[state]}, {_then(row)}."
            sentences.append(words[0].upper() + words[1:])
    return sentences


def _then(row: LifecycleRow | None) -> str:
    if row is None:
        return "nothing is done, since no row says otherwise"
    return then(row.events, row.status)


def then(events: Sequence[Event], status: str) -> str:
    """What these events do, in words that follow "when ...,"; `status` is the row's."""
    return _listed([THEN[event].format(a_bill=A_BILL[status]) for event in events or (Event.NONE,)])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# Who has signed it


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody's word, in a role, for the table with this digest."""

    role: Role
    name: str
    date: date
    digest: str

    def __str__(self) -> str:
        return f"{self.role.words} {self.name} signed it on {self.date}"


SIGNED_KEYS = ("name", "date", "sha256")
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_signatures(content: bytes | None) -> tuple[Signature, ...]:
    """Parse lifecycle.signed.toml (None: nobody has signed), the operator first.

    Raises TablesUnusable with every problem of the file.
    """
    try:
        given = tomllib.loads((content or b"").decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TablesUnusable([_unusable("not UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise TablesUnusable([_unusable(f"not readable as TOML: {error}")]) from error
    problems = [
        _unusable(f"unknown section {name}; allowed: {', '.join(Role)}") for name in given if name not in tuple(Role)
    ]
    signatures = []
    for role in Role:
        if role in given:
            found = _read_signature(role, given[role])
            if isinstance(found, Signature):
                signatures.append(found)
            else:
                problems.append(found)
    if problems:
        raise TablesUnusable(problems)
    return tuple(signatures)


def _read_signature(role: Role, given: Any) -> Signature | TableProblem:
    if not isinstance(given, dict) or sorted(given) != sorted(SIGNED_KEYS):
        return _unusable(f"[{role}] needs {', '.join(SIGNED_KEYS)}, and nothing else")
    name, on, digest = (given[key] for key in SIGNED_KEYS)
    if not isinstance(name, str) or not name.strip():
        return _unusable(f"[{role}] name = {name!r} is no name")
    if not isinstance(on, date) or isinstance(on, datetime):
        return _unusable(f"[{role}] date = {on!r} is no date; write it as 2026-01-31, without quotes")
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        return _unusable(f"[{role}] sha256 = {digest!r} is no SHA-256 in 64 small hexadecimal digits")
    return Signature(role, name, on, digest)


def _unusable(words: str) -> TableProblem:
    return TableProblem(SIGNED_FILE, 0, "", f"{words}; where in doubt, remove the file and sign again")


def signed_text(signatures: Iterable[Signature]) -> str:
    """lifecycle.signed.toml with these signatures; their names hold printable characters alone."""
    # What JSON escapes in printable text, TOML escapes alike.
    sections = [
        f"\n[{one.role}]\n"
        f"name = {json.dumps(one.name, ensure_ascii=False)}\n"
        f"date = {one.date}\n"
        f'sha256 = "{one.digest}"\n'
        for one in sorted(signatures, key=lambda one: tuple(Role).index(one.role))
    ]
    return "".join(
        (f"# By `tieout lifecycle sign`. Whoever changes {LIFECYCLE.file} asks both to sign again.\n", *sections)
    )


def same_person(one: Signature, other: Signature) -> bool:
    """Whether one person signed twice, by the name: it takes two pairs of eyes."""
    return fold_cell(one.name) == fold_cell(other.name)


def unsigned(lifecycle: Lifecycle, signatures: Sequence[Signature]) -> str:
    """'' when operator and finance lead have signed this very table; else who must sign what, and how."""
    file = LIFECYCLE.file
    if not lifecycle.rows:
        return (
            f"{file} is missing or has no rows, so nobody can have signed it; `tieout lifecycle init` writes one for "
            "operator and finance lead to sign."
        )
    by_role = {signature.role: signature for signature in signatures}
    missing = [role for role in Role if role not in by_role]
    changed = [role for role in Role if role in by_role and by_role[role].digest != lifecycle.digest]
    why = []
    if changed:
        why.append(f"was changed after {_listed([str(by_role[role]) for role in changed])}")
    if missing:
        why.append(f"has not been signed by {_listed([f'the {role.words}' for role in missing])}")
    if why:
        must = [role for role in Role if role in missing or role in changed]
    elif same_person(by_role[Role.OPERATOR], by_role[Role.FINANCE_LEAD]):
        why = [f"has been signed by {by_role[Role.OPERATOR].name} in both roles, and it takes two people"]
        must = [Role.FINANCE_LEAD]
    else:
        return ""
    who = f"{_listed([f'the {role.words}' for role in must])} {'have' if len(must) > 1 else 'has'}"
    how = _listed([f"`tieout lifecycle sign --name NAME --role {role}`" for role in must])
    return (
        f"{file} {' and '.join(why)}; purchase orders wait until {who} read it (`tieout lifecycle show`) and signed it "
        f"as it stands, SHA-256 {lifecycle.digest[:12]}...: {how}."
    )
