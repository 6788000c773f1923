"""Xero's linked transactions: a line of a bill that is billed on by a line of a customer's invoice (xero.md, 8.2).

A link is only made where it is certain what bills a line on, both documents are approved and both lines are known by
their ids. It always names the target's transaction and line: with a contact alone Xero would offer the cost on any
invoice of that customer. A link moves no money.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from mappings.money import ZERO
from mappings.onbilling import Certainty, Trace
from mappings.xero import Found, write_json

FAMILY = "links"
APPROVED = frozenset({"AUTHORISED", "PAID"})
"""Statuses in which both documents of a link have to be."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to be made, of one line of one bill (`connectwise_id` is the bill's key) to one line of an invoice.

    `reference` is the order's number, `receipt` what people call the bill; `currency` and `date` are the bill's.
    """

    connectwise_id: int
    reference: str
    receipt: str
    organisation: str
    tenant_id: str
    line_id: int
    source_id: str
    source_line_id: str
    target_id: str
    target_line_id: str
    invoice_number: str
    currency: str
    date: dt.date

    family = FAMILY
    number = ""
    url = ""

    @property
    def part(self) -> str:
        """Names the source of the link. One source has one link, whatever becomes of its target."""
        return f"{self.line_id}:{self.source_line_id}"

    @property
    def total(self) -> Decimal:
        """A link moves nothing."""
        return ZERO

    @property
    def fingerprint(self) -> str:
        """A digest of what is sent."""
        return hashlib.blake2b(write_json(self.body()).encode(), digest_size=16).hexdigest()

    def body(self) -> dict[str, str]:
        """The link as the API takes it on create."""
        return {
            "SourceTransactionID": self.source_id,
            "SourceLineItemID": self.source_line_id,
            "TargetTransactionID": self.target_id,
            "TargetLineItemID": self.target_line_id,
        }

    def is_made_by(self, found: Found) -> bool:
        """Whether this is the link, or another one of the same source."""
        given = json.loads(found.text)
        wanted = {name: value.lower() for name, value in self.body().items()}
        return {name: str(given.get(name) or "").lower() for name in wanted} == wanted

    def to_text(self) -> str:
        """All of it as text, to be kept with the request that carries it."""
        return write_json(asdict(self) | {"date": self.date.isoformat()})

    @classmethod
    def from_text(cls, text: str) -> Link:
        """What `to_text` wrote."""
        given = json.loads(text)
        return cls(**given | {"date": dt.date.fromisoformat(given["date"])})


def found_link(given: Mapping[str, Any]) -> Found:
    """From an element of `/LinkedTransactions`; its number is the id of the bill's line."""
    return Found(
        given.get("LinkedTransactionID") or "", "LINK", given.get("SourceLineItemID") or "", "",
        given.get("ContactID") or "", "", "", given.get("Status") or "", None, ZERO, write_json(given),
    )  # fmt: skip


def linkable(traces: Iterable[Trace]) -> dict[int, Trace]:
    """By line the one certain trace of it; a line that several products bill on has no one target."""
    of_line: dict[int, list[Trace]] = defaultdict(list)
    for each in traces:
        of_line[each.line_id].append(each)
    return {
        line_id: found[0]
        for line_id, found in of_line.items()
        if len(found) == 1 and found[0].certainty is Certainty.CERTAIN
    }
