"""The dry run as JSON: what a real run of the same cycle would write, hold and leave alone (contract, section 5)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from blocks.audit.runs import Result, is_exception
from blocks.failures import NotConfigured
from blocks.xero.client import LOOK_UP, calls_by_id
from flows.updates import is_old
from mappings.allocations import Allocate, Allocating, Unallocate
from mappings.connectwise import read_json
from mappings.kinds import BILL, CREDIT_NOTE, FAMILY_SHOWN, INVOICE, PURCHASE_ORDER, Kind
from mappings.linked_transactions import Link
from mappings.links import order_of, record_shown
from mappings.merging import FieldChange
from mappings.money import ZERO, plain
from mappings.outcomes import Outcome
from mappings.payments import Pay, Paying, Unpay
from mappings.plans import Adopt, Create, plan_id
from mappings.posted import Posted
from mappings.sweeping import Remove
from mappings.updates import Settled, Update
from mappings.xero import Document, write_json
from tasks.cycle import Cycle

Written = Create | Update | Remove
Write = Written | Pay | Unpay | Allocate | Unallocate | Link
PART = (Pay, Unpay, Allocate, Unallocate, Link)
"""Writes of a part of what settles an invoice, or of a link: they name themselves what others say of a document."""
ACTIONS: dict[type[Write], str] = {
    Create: "create", Update: "update", Remove: "delete", Pay: "pay", Unpay: "unpay", Allocate: "allocate",
    Unallocate: "unallocate", Link: "link",
}  # fmt: skip
"""What the plan calls each kind of write."""
ITSELF = "purchase_order"
"""The part of an order that its own document is, in a plan."""


def plan_of(cycles: Sequence[Cycle]) -> dict[str, Any]:
    """The plan of some dry runs; `plan_id` is a hash of everything else in it.

    `accounts` is what the writes move: all of a new document, of an edit the difference. `calls` is what they cost of
    Xero's limits, per organisation: a write per 50 new and per 50 edited documents, and a read before the latter.
    """
    writes = [each for cycle in cycles for each in writes_in(cycle)]
    told = [result for cycle in cycles for result in cycle.told]
    content = {
        "writes": [*_contacts(writes), *map(write_of, writes)],
        "holds": [_hold(result) for result in told if is_exception(result)],
        "unchanged": sum(1 for result in told if result.outcome is Outcome.UNCHANGED)
        + sum(1 for cycle in cycles for each in cycle.planned if not isinstance(each, (*ACTIONS, Paying, Allocating))),
        "accounts": _accounts(writes),
        "calls": _calls(writes),
        "braked": [each.document.reference for cycle in cycles for each in _braked(cycle)],
    }
    return {"plan_id": plan_id(content), **content}


def writes_in(cycle: Cycle) -> list[Write]:
    """Every write that a dry run has planned, one by one."""
    writes: list[Write] = []
    for each in cycle.planned:
        if isinstance(each, Paying):
            writes += [*each.unpays, *each.pays]
        elif isinstance(each, Allocating):
            writes += [*each.unallocates, *each.allocates]
        elif isinstance(each, (Create, Update, Remove, Link)):
            writes.append(each)
    return writes


def key_of(each: Write | Adopt | Settled) -> tuple[int, str]:
    """The record and the part of it that a write is of.

    Bills have ids of their own, which may be those of orders: a purchase order is a part of its record.
    """
    one = each if isinstance(each, PART) else each.document
    if isinstance(one, Document) and one.kind is PURCHASE_ORDER:
        return one.connectwise_id, ITSELF
    return one.connectwise_id, one.part


Approved = dict[tuple[int, str], str]
"""The basis of each write that a plan allows, by record and part."""


def records_in(approved: Approved, family: str) -> list[int]:
    """The ids in ConnectWise of the records that a plan of a family writes: of a bill, that of its order."""
    if family != BILL.asked_as:
        return [number for number, _ in approved]
    return list(dict.fromkeys(number if part == ITSELF else order_of(number) for number, part in approved))


class PlanMoved(NotConfigured):
    """A plan that cannot be carried out as it stands; nothing was done."""


def approved_writes(file: str, family: str) -> Approved:
    """The writes of a family in a plan file. Raises PlanMoved when it is no plan, was edited, or says nothing of it."""
    approved = read_plan(file).get(family)
    if not approved:
        raise PlanMoved(f"The plan {file} has nothing to write for {family}; nothing was done.")
    return approved


def read_plan(file: str) -> dict[str, Approved]:
    """The writes in a plan file, by family. Raises PlanMoved when it is no plan, or was edited."""
    by_family: dict[str, dict[tuple[int, str], str]] = defaultdict(dict)
    try:
        plan = read_json(Path(file).expanduser().read_bytes())
        content = {name: value for name, value in plan.items() if name != "plan_id"}
        for each in content["writes"]:
            # A bill is told by its place in its order (its receipt is what people call it), a link by its line.
            own = (
                (int(each["record"]), str(each.get("part", "")))
                if "record" in each
                else (int(each["connectwise_id"]), str(each["receipt"]))
            )
            own = (own[0], ITSELF) if each.get("document") == ITSELF else own
            by_family[each["family"]][own] = str(each["basis"])
    except OSError as error:
        raise PlanMoved(f"The plan {file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanMoved(f"{file} is no plan; `tieout plan --out {file}` makes one.") from error
    if plan.get("plan_id") != plan_id(content):
        raise PlanMoved(f"The plan {file} was edited after it was made; nothing was done. Make a new one.")
    return dict(by_family)


def compare_plans(approved: Approved, rehearsal: Cycle) -> None:
    """Raises PlanMoved, with the records that are not any more as they were when the plan was made."""
    now = {key_of(each): each for each in writes_in(rehearsal)}
    moved = [key for key, basis in approved.items() if key not in now or digest_of(now[key]) != basis]
    if moved:
        references = {result.connectwise_id: result.reference for result in rehearsal.told}
        references |= {number: write_of(each)["reference"] for (number, _), each in now.items()}
        names = ", ".join(references.get(number, f"id:{number}") for number, _ in moved[:5])
        more = f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        raise PlanMoved(
            f"ConnectWise, Xero or the tables changed since the plan was made ({names}{more}); nothing was done. "
            "Make a new plan."
        )


def digest_of(action: Adopt | Settled | Write) -> str:
    """Names a write and what it stands on: the record as mapped, and the document in Xero as it was then."""
    if not isinstance(action, (Adopt, Settled)):
        return write_of(action)["basis"]  # type: ignore[no-any-return]  # always text
    return ""


def _braked(cycle: Cycle) -> list[Update]:
    """The edits that the brake would hold in an ordinary cycle."""
    edits = [each for each in cycle.planned if isinstance(each, Update) and not each.is_step]
    young = [each for each in edits if not is_old(cycle, each.document, each.bound)]
    limit = cycle.tables.policy.brake.updates
    if cycle.allow_many:
        return []
    return edits if limit and len(young) > limit else [each for each in edits if each not in young]


def _moved(each: Write) -> Iterable[tuple[str, Decimal, Decimal]]:
    """The account, net and tax of what a write moves, line by line."""
    if isinstance(each, Pay):
        return [(each.account_code, each.amount, ZERO)]
    if isinstance(each, (Unpay, Allocate, Unallocate, Link)):
        # An allocation or a link moves nothing between accounts; and which account a payment went to is not kept.
        return []
    if not each.document.kind.posts:
        return []
    if isinstance(each, Update):
        return each.merged.moved
    if isinstance(each, Remove):
        return [(line.account_code, -line.amount, -line.tax) for line in Posted.read(each.theirs).lines]
    return [(line.account_code, line.amount, line.tax) for line in each.document.lines]


def _accounts(writes: Sequence[Write]) -> list[dict[str, str]]:
    money: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for each in writes:
        # A credit note takes back what an invoice brings.
        sign = -1 if not isinstance(each, PART) and each.document.kind is CREDIT_NOTE else 1
        for code, net, tax in _moved(each):
            if code:
                sums = money[(_organisation(each), code)]
                sums[0] += sign * net
                sums[1] += sign * tax
    return [
        {"organisation": organisation, "account_code": code, "net": plain(net), "tax": plain(tax)}
        for (organisation, code), (net, tax) in sorted(money.items())
        if net or tax
    ]


def _organisation(each: Write) -> str:
    return each.organisation if isinstance(each, PART) else each.document.organisation


def _calls(writes: Sequence[Write]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, Kind | type[Write]], list[Write]] = defaultdict(list)
    for each in writes:
        groups[_organisation(each), type(each) if isinstance(each, PART) else each.document.kind].append(each)
    calls: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (organisation, kind), group in groups.items():
        written, read = _calls_of(kind, group) if isinstance(kind, Kind) else _calls_of_parts(group)
        calls[organisation][0] += written
        calls[organisation][1] += read
    return [
        {"organisation": organisation, "writes": written, "reads": read}
        for organisation, (written, read) in sorted(calls.items())
    ]


def _calls_of(kind: Kind, writes: Sequence[Write]) -> tuple[int, int]:
    """Writes and reads for documents of one kind: 50 per call; edited ones are looked at before."""
    new = sum(isinstance(each, Create) for each in writes)
    edited = len(writes) - new
    reads = calls_by_id(kind, edited) + kind.posts
    if kind is PURCHASE_ORDER:
        # Each new one is looked for by its number before it is made.
        reads += calls_by_id(kind, new)
    return -(-new // LOOK_UP) - (-edited // LOOK_UP), reads


def _calls_of_parts(writes: Sequence[Write]) -> tuple[int, int]:
    """Writes and reads for what settles invoices.

    Payments go 50 per call, allocations by credit note, and what is taken back alone; invoices are read 50 per call.
    """
    if isinstance(writes[0], Link):
        # One call each; the bills and the invoices are looked at before, and what links each bill has.
        bills = {each.source_id for each in writes if isinstance(each, Link)}
        targets = {each.target_id for each in writes if isinstance(each, Link)}
        looks = -(-len(bills) // LOOK_UP) - (-len(targets) // LOOK_UP)
        return len(writes), looks + len(bills)
    invoices = {each.connectwise_id for each in writes if isinstance(each, PART)}
    reads = 1 + calls_by_id(INVOICE, len(invoices))
    if isinstance(writes[0], Pay):
        return -(-len(writes) // LOOK_UP), reads
    credits = {each.credit_xero_id for each in writes if isinstance(each, (Allocate, Unallocate))}
    reads += calls_by_id(CREDIT_NOTE, len(credits))
    return len(credits) if isinstance(writes[0], Allocate) else len(writes), reads


def _contacts(writes: Sequence[Write]) -> list[dict[str, Any]]:
    """The contacts that are made first, each once."""
    made = {
        (one.tenant_id, one.connectwise_id): one
        for each in writes
        if isinstance(each, (Create, Update)) and (one := each.document.new_contact)
    }
    return [
        {
            "family": one.family,
            "organisation": one.organisation,
            "reference": one.reference,
            "connectwise_id": one.connectwise_id,
            "receipt": "",
            "action": "create",
            "document": "contact",
            "xero_id": None,
            "total": "0.00",
            "currency": "",
            "fields": [{"name": name, "from": None, "to": value} for name, value in one.body().items()],
            "kept": [],
            "basis": one.fingerprint,
        }
        for one in made.values()
    ]


def write_of(each: Write) -> dict[str, Any]:
    """One write, field by field; `kept` is what a person changed in Xero and stays.

    `basis` names what it stands on: it changes when either side has moved.
    """
    if isinstance(each, Link):
        return _link(each)
    if isinstance(each, PART):
        return _part(each)
    document = each.document
    kept: list[dict[str, Any]] = []
    if isinstance(each, Update):
        fields, kept = _fields(each.merged.changes), _fields(each.merged.kept)
        stands_on = each.theirs.text
    elif isinstance(each, Remove):
        fields = [{"name": "Status", "from": each.theirs.status, "to": "DELETED"}]
        stands_on = each.theirs.text
    else:
        body = document.body()
        if document.new_contact is not None:
            body["Contact"] = {"Name": document.new_contact.name}
        fields = [{"name": name, "from": None, "to": _shown(value)} for name, value in body.items()]
        stands_on = ""
    basis = hashlib.blake2b(f"{document.fingerprint}\n{fields}\n{stands_on}".encode(), digest_size=16).hexdigest()
    return {
        "family": document.kind.asked_as,
        "organisation": document.organisation,
        "reference": document.reference,
        "connectwise_id": record_shown(document.family, document.connectwise_id),
        "receipt": document.receipt,
        "action": "delete" if isinstance(each, Update) and each.deletes else ACTIONS[type(each)],
        "document": document.kind.word.replace(" ", "_"),
        "xero_id": None if isinstance(each, Create) else each.bound.xero_id,
        "total": plain(document.total),
        "currency": document.currency,
        "fields": fields,
        "kept": kept,
        "basis": basis,
    } | ({"record": document.connectwise_id} if document.kind is BILL else {})


def _link(each: Link) -> dict[str, Any]:
    """One line of a bill that is to be linked to the line of an invoice."""
    return {
        "family": FAMILY_SHOWN[each.family],
        "organisation": each.organisation,
        "reference": each.reference,
        "connectwise_id": record_shown(each.family, each.connectwise_id),
        "receipt": each.receipt,
        "action": ACTIONS[Link],
        "document": "linked_transaction",
        "xero_id": None,
        "total": plain(each.total),
        "currency": each.currency,
        "fields": [
            {"name": name, "from": None, "to": value}
            for name, value in (each.body() | {"InvoiceNumber": each.invoice_number}).items()
        ],
        "kept": [],
        "basis": each.fingerprint,
        "record": each.connectwise_id,
        "part": each.part,
    }


def _part(each: Pay | Unpay | Allocate | Unallocate) -> dict[str, Any]:
    """One payment or allocation that is to be made, or taken back; `payment_id` is ConnectWise's row."""
    row: int | None = None
    xero_id: str | None = None
    if isinstance(each, (Pay, Allocate)):
        fields = [{"name": name, "from": None, "to": _shown(value)} for name, value in each.body().items()]
        amount, row = each.amount, each.row if isinstance(each, Pay) else None
    elif isinstance(each, Unpay):
        fields = [{"name": "Status", "from": "AUTHORISED", "to": "DELETED"}]
        amount, xero_id, row = each.written.amount, each.written.xero_id, each.written.row
    else:
        fields = [{"name": "Amount", "from": plain(each.amount), "to": None}]
        amount, xero_id = each.amount, each.allocation_id
    if isinstance(each, (Allocate, Unallocate)):
        fields.insert(0, {"name": "CreditNoteNumber", "from": None, "to": each.credit_number})
    return {
        "family": FAMILY_SHOWN.get(each.family, each.family),
        "organisation": each.organisation,
        "reference": each.reference,
        "connectwise_id": each.connectwise_id,
        "receipt": each.part,
        "payment_id": row,
        "action": ACTIONS[type(each)],
        "document": "payment" if isinstance(each, (Pay, Unpay)) else "allocation",
        "xero_id": xero_id,
        "total": plain(amount),
        "currency": each.currency,
        "fields": fields,
        "kept": [],
        "basis": each.fingerprint,
    }


def _fields(changes: Sequence[FieldChange]) -> list[dict[str, Any]]:
    return [{"name": one.name, "from": _shown(one.before), "to": _shown(one.after)} for one in changes]


def _shown(value: Any) -> str | None:
    """A value of a field as text; what is not there as null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else write_json(value)


def _hold(result: Result) -> dict[str, Any]:
    return {
        "family": FAMILY_SHOWN.get(result.family, result.family),
        "organisation": result.organisation,
        "reference": result.reference,
        "connectwise_id": record_shown(result.family, result.connectwise_id),
        "receipt": result.part,
        "payment_id": result.payment_id,
        "outcome": result.outcome.value,
        "reason": result.reason.value if result.reason else "",
        "value": result.value,
        "message": result.message,
        "fix": result.fix,
        "amount": result.amount,
        "currency": result.currency,
        "since": None,
        "first_run": None,
        "last_run": None,
    }
