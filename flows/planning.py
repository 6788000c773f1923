"""The dry run as JSON: what a real run of the same cycle would write, hold and leave alone (contract, section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from blocks.audit.runs import Result, is_exception
from mappings.money import ZERO, plain
from mappings.outcomes import Outcome
from mappings.plans import Create, plan_id
from mappings.xero import Document, write_json
from tasks.cycle import Cycle


def plan_of(cycles: Sequence[Cycle]) -> dict[str, Any]:
    """The plan of some dry runs; `plan_id` is a hash of everything else in it."""
    creates = [each for cycle in cycles for each in cycle.planned if isinstance(each, Create)]
    told = [result for cycle in cycles for result in cycle.told]
    money: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for each in creates:
        for line in each.document.lines:
            if line.account_code:
                sums = money[(each.document.organisation, line.account_code)]
                sums[0] += line.amount
                sums[1] += line.tax
    content = {
        "writes": [*_contacts(creates), *(_write(each.document) for each in creates)],
        "holds": [_hold(result) for result in told if is_exception(result)],
        "unchanged": sum(1 for result in told if result.outcome is Outcome.UNCHANGED)
        + sum(1 for cycle in cycles for each in cycle.planned if not isinstance(each, Create)),
        "accounts": [
            {"organisation": organisation, "account_code": code, "net": plain(net), "tax": plain(tax)}
            for (organisation, code), (net, tax) in sorted(money.items())
        ],
    }
    return {"plan_id": plan_id(content), **content}


def _contacts(creates: Sequence[Create]) -> list[dict[str, Any]]:
    """The contacts that are made first, each once."""
    made = {(one.tenant_id, one.connectwise_id): one for each in creates if (one := each.document.new_contact)}
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
        }
        for one in made.values()
    ]


def _write(document: Document) -> dict[str, Any]:
    body = document.body()
    if document.new_contact is not None:
        body["Contact"] = {"Name": document.new_contact.name}
    return {
        "family": document.family,
        "organisation": document.organisation,
        "reference": document.reference,
        "connectwise_id": document.connectwise_id,
        "receipt": "",
        "action": "create",
        "document": "invoice",
        "xero_id": None,
        "total": plain(document.total),
        "currency": document.currency,
        "fields": [
            {"name": name, "from": None, "to": value if isinstance(value, str) else write_json(value)}
            for name, value in body.items()
        ],
    }


def _hold(result: Result) -> dict[str, Any]:
    return {
        "family": result.family,
        "organisation": result.organisation,
        "reference": result.reference,
        "connectwise_id": result.connectwise_id,
        "receipt": result.part,
        "payment_id": None,
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
