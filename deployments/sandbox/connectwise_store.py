"""The tables behind the simulated ConnectWise: records by id, the rows of each invoice, and their JSON.

A record is a dict as its JSON would be, with money as Decimal. Its JSON is made once and kept until it changes, since
a benchmark reads the same fifty thousand invoices again and again.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from deployments.sandbox.connectwise_query import Conditions, Record

_LONG_NUMBER = re.compile('"\ue000([^"]*)\ue000"')


class _NeedsExactDigits(Exception):
    """A number whose digits a float does not hold."""


def _number(value: object) -> float:
    """A Decimal as the float that is written with the same digits (`165.0`, `12.3456789`)."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} is no JSON")
    number = float(value)
    text = repr(number)
    if "e" in text or "n" in text or Decimal(text) != value:
        raise _NeedsExactDigits
    return number


def _marked(value: object) -> str:
    """A Decimal as marked text, to be unquoted afterwards."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} is no JSON")
    text = format(value, "f")
    whole, _, decimals = text.partition(".")
    return f"\ue000{whole}.{decimals.rstrip('0') or '0'}\ue000"


_FAST = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_number)
_EXACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_marked)


def encode(value: Any) -> bytes:
    """JSON with every digit of every number, in ConnectWise's habit: at least one decimal for money."""
    try:
        return _FAST.encode(value).encode()
    except _NeedsExactDigits:
        return _LONG_NUMBER.sub(r"\1", _EXACT.encode(value)).encode()


class Table:
    """Records of one kind by id; those that belong to another record, named in the field `parent`, by its id too."""

    def __init__(self, parent: str = "") -> None:
        self.records: dict[int, Record] = {}
        self._ids: list[int] = []
        self._parent = parent
        self._children: dict[int, list[int]] = {}
        self._json: dict[int, bytes] = {}
        self._next = 1

    def __contains__(self, record_id: int) -> bool:
        return record_id in self.records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records.values())

    def __len__(self) -> int:
        return len(self.records)

    def start_at(self, record_id: int) -> None:
        """Give the next new record at least this id."""
        self._next = max(self._next, record_id)

    def new_id(self, wanted: int | None = None) -> int:
        """An id for a new record: the one wanted, or the next."""
        record_id = self._next if wanted is None else wanted
        if record_id in self.records:
            raise ValueError(f"the id {record_id} is taken")
        self._next = max(self._next, record_id + 1)
        return record_id

    def add(self, record: Record) -> None:
        """Take a new record in."""
        record_id = int(record["id"])
        self.records[record_id] = record
        insort(self._ids, record_id)
        if self._parent and (parent := self.parent_of(record)) is not None:
            insort(self._children.setdefault(parent, []), record_id)

    def remove(self, record_id: int) -> Record:
        """Take a record out; nothing is left of it."""
        record = self.records.pop(record_id)
        self._ids.pop(bisect_right(self._ids, record_id) - 1)
        self._json.pop(record_id, None)
        if self._parent and (parent := self.parent_of(record)) is not None:
            self._children[parent].remove(record_id)
        return record

    def parent_of(self, record: Record) -> int | None:
        """The id of the record that this one belongs to: it stands in a reference, or as a bare id."""
        given = record.get(self._parent)
        given = given.get("id") if isinstance(given, dict) else given
        return given if isinstance(given, int) else None

    def changed(self, record_id: int | None = None) -> None:
        """Forget the JSON of one record, or of all of them."""
        if record_id is None:
            self._json.clear()
        else:
            self._json.pop(record_id, None)

    def of(self, parent: int) -> list[Record]:
        """The records that belong to one other, oldest first."""
        return [self.records[record_id] for record_id in self._children.get(parent, ())]

    def json_of(self, record_id: int) -> bytes:
        """The JSON of one record."""
        text = self._json.get(record_id)
        if text is None:
            text = self._json[record_id] = encode(self.records[record_id])
        return text

    def select(self, conditions: Conditions | None, above: int = 0) -> Iterator[Record]:
        """The records that meet the conditions and have an id above the given one, in the order of their ids."""
        for record_id in self._candidates(conditions, above):
            record = self.records[record_id]
            if conditions is None or conditions.test(record):
                yield record

    def _candidates(self, conditions: Conditions | None, above: int) -> Iterable[int]:
        if conditions is not None:
            above = max(above, conditions.above or 0)
            among = conditions.among.get("id")
            if among is not None:
                return sorted(number for one in among if (number := int(one)) in self.records and number > above)
            parents = conditions.among.get(f"{self._parent}/id") if self._parent else None
            if parents is not None:
                rows = (row for parent in parents for row in self._children.get(int(parent), ()) if row > above)
                return sorted(rows)
        # A copy of the tail: the caller may be slow, and a person may add a record meanwhile.
        return self._ids[bisect_right(self._ids, above) :]
