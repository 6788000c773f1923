"""The three-way comparison behind every update of a posted document.

Three versions are laid side by side, field by field: ours as last written and as it is now, and Xero's as it answered
that write (the base) and as it stands. What only we changed is written; what only a person changed stays; what both
changed differently is held. Identity and money (contact, currency, date, lines, quantities, prices) are stricter:
changed in Xero alone, they hold the update too (design 4).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any

from mappings.kinds import Kind
from mappings.money import ZERO, plain, to_cents
from mappings.plans import Take
from mappings.posted import Posted, PostedLine, paired, price_of
from mappings.xero import Document, Found, Line, fold


@dataclass(frozen=True, slots=True)
class LastWrite:
    """What is known of the last write: our document then, Xero's answer, and the LineItemID of each of our lines.

    `document` is None for what was bound before it was kept, and for a document that is not ours yet.
    """

    document: Document | None
    answer: Found
    lines: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that a write changes. Values as the API has them; None: not there."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name} {shown(self.before)} -> {shown(self.after)}"


@dataclass(frozen=True, slots=True)
class Clash:
    """One field that cannot simply follow ConnectWise, because a person changed it in Xero.

    `base` is what our last write left there, `theirs` what stands there, `ours` what ConnectWise makes of it now.
    """

    name: str
    base: Any
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        if self.ours == self.base:
            return f"{self.name} was changed in Xero from {shown(self.base)} to {shown(self.theirs)}"
        here = f"{shown(self.ours)} in ConnectWise (was {shown(self.base)})"
        return f"{self.name} is {here} and {shown(self.theirs)} in Xero"


def keeps_her_tax(last: LastWrite) -> bool:
    """Whether the last write left a person's tax type on a line, so that the document is ours net of tax only."""
    if last.document is None:
        return False
    answered = Posted.read(last.answer)
    by_id = {line.id: line for line in answered.lines}
    hers = any(
        there.tax_type and not _same(line.tax_type, there.tax_type)
        for line in last.document.lines
        if line.quantity is not None and (there := by_id.get(last.lines.get(line.key, ""))) is not None
    )
    return hers and answered.subtotal == last.document.subtotal


def shown(value: Any) -> str:
    """A value for people."""
    if value is None or value == "" or value == ():
        return "(none)"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return " + ".join("/".join(pair) for pair in value)
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _same(one: Any, other: Any) -> bool:
    """Equal as far as Xero and people care."""
    if isinstance(one, str) and isinstance(other, str):
        return fold(one) == fold(other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return sorted(map(_folded, one)) == sorted(map(_folded, other))
    return bool(one == other)


def _folded(pair: tuple[str, str]) -> tuple[str, str]:
    return fold(pair[0]), fold(pair[1])


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the header: its name in the API, how each side says it, and whether a person's change of it holds."""

    name: str
    ours: Callable[[Document], Any]
    theirs: Callable[[Posted], Any]
    strict: bool = False


HEADER = (
    _Field("Number", lambda one: one.number, lambda one: one.number),
    _Field("Contact", lambda one: one.contact_id.lower(), lambda one: one.contact_id.lower(), True),
    _Field("Date", lambda one: one.date, lambda one: one.date, True),
    _Field("DueDate", lambda one: one.due_date, lambda one: one.due_date),
    _Field("CurrencyCode", lambda one: one.currency, lambda one: one.currency, True),
    _Field("CurrencyRate", lambda one: one.currency_rate, lambda one: one.rate),
    _Field("Reference", lambda one: one.document_reference, lambda one: one.reference),
    _Field("Url", lambda one: one.url, lambda one: one.url),
    _Field("LineAmountTypes", lambda _one: "Exclusive", lambda one: one.amount_types or "Exclusive", True),
)


@cache
def _header_of(kind: Kind) -> tuple[_Field, ...]:
    """The fields that the header of this kind of document has, as Xero calls them there."""
    names = {"Number": kind.number, "DueDate": kind.due, "Url": "Url" if kind.linked else ""}
    return tuple(replace(each, name=name) for each in HEADER if (name := names.get(each.name, each.name)))


@dataclass(frozen=True, slots=True)
class _LineField:
    """A field of a line that a person may change without holding anything."""

    name: str
    ours: Callable[[Line], Any]
    theirs: Callable[[PostedLine], Any]


LINE = (
    _LineField("Description", lambda one: one.description, lambda one: one.description),
    _LineField("AccountCode", lambda one: one.account_code, lambda one: one.account_code),
    _LineField("ItemCode", lambda one: one.item_code, lambda one: one.item_code),
    _LineField("TaxType", lambda one: one.tax_type, lambda one: one.tax_type),
    _LineField("Tracking", lambda one: one.tracking, lambda one: one.tracking),
)
PRICE = ("Quantity", "UnitAmount", "LineAmount")


@dataclass(slots=True)
class Merged:
    """The outcome of laying the versions side by side.

    `changes` are what a write has to change (empty: nothing is left to write), `clashes` what a person has to decide,
    `kept` what a person changed since our last write and stays so. `body` is the element of the write, `line_ids` the
    LineItemID of each of our lines that is there already, `moved` account, net and tax that the write adds or takes
    away. `her_tax`: a line has another tax type than ours, so the document ties out net of tax.
    """

    changes: list[FieldChange] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    kept: list[FieldChange] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    line_ids: dict[str, str] = field(default_factory=dict)
    moved: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)
    her_tax: bool = False

    @property
    def in_words(self) -> str:
        """The changes, for people."""
        return "; ".join(map(str, self.changes)) or "nothing that Xero shows"


STEPS = ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED")
"""The statuses of a purchase order, in the order in which it comes through them (xero.md, section 8)."""


def further(one: str, other: str) -> str:
    """The status of a purchase order that comes later; one that is not known comes last."""
    return max(one, other, key=_step)


def _step(status: str) -> int:
    return STEPS.index(status) if status in STEPS else len(STEPS)


def untouched(answer: Found, theirs: Found, *, any_status: bool = False) -> bool:
    """Whether a document stands as Xero answered our last write, in everything that a person could have changed.

    `any_status`: its status may be another one.
    """
    before, now = Posted.read(answer), Posted.read(theirs)
    if (before.total, now.attachments) != (now.total, False) or (before.status != now.status and not any_status):
        return False
    if not all(_same(each.theirs(before), each.theirs(now)) for each in HEADER):
        return False
    there = {line.id: line for line in now.lines}
    return there.keys() == {line.id for line in before.lines} and all(
        (line.price, line.tax) == (there[line.id].price, there[line.id].tax)
        and all(_same(each.theirs(line), each.theirs(there[line.id])) for each in LINE)
        for line in before.lines
    )


def merge(new: Document, last: LastWrite, theirs: Posted, take: Take = "") -> Merged:
    """Lay all versions side by side. With `take` "ours" a clash is decided for ConnectWise."""
    return _Merging(new, last, theirs, take == "ours").done()


class _Merging:
    """One run of the three-way comparison."""

    def __init__(self, new: Document, last: LastWrite, theirs: Posted, ours_win: bool) -> None:
        self.new = new
        self.old = last.document
        self.base = Posted.read(last.answer)
        self.theirs = theirs
        self.ours_win = ours_win
        self.ids = last.lines
        self.merged = Merged()

    def done(self) -> Merged:
        kind = self.new.kind
        body: dict[str, Any] = {kind.id: self.theirs.xero_id}
        self.merged.body = body
        if self.new.status == "DELETED":
            self._delete(body)
            return self.merged
        for each in _header_of(kind):
            self._header(each, body)
        if not kind.posts:
            self._status(body)
        self._lines(body)
        if not kind.posts:
            # Whether Xero takes an update without it is not known; it is needed for a new one (xero.md, section 8).
            body.setdefault("Contact", {"ContactID": self.theirs.contact_id})
        return self.merged

    def _delete(self, body: dict[str, Any]) -> None:
        """Delete a purchase order, and rename it: Xero never frees the number of a deleted one (xero.md, section 8)."""
        for name, theirs, ours in (
            (self.new.kind.number, self.theirs.number, self.new.number),
            ("Status", self.theirs.status, self.new.status),
        ):
            if theirs != ours:
                body[name] = ours
                self.merged.changes.append(FieldChange(name, theirs, ours))
        # Xero takes it with these two; whether with less is not known.
        body["Contact"] = {"ContactID": self.theirs.contact_id}
        body["Date"] = _as_sent(self.theirs.date)

    def _header(self, each: _Field, body: dict[str, Any]) -> None:
        new, theirs, base = each.ours(self.new), each.theirs(self.theirs), each.theirs(self.base)
        if new is None:
            # A rate that we do not say is Xero's own affair.
            return
        old = base if self.old is None else each.ours(self.old)
        value = self._decided(each.name, old, new, base, theirs, each.strict)
        if _same(value, theirs):
            return
        body[each.name] = {"ContactID": self.new.contact_id} if each.name == "Contact" else _as_sent(value)
        if each.name == "Contact":
            self.merged.changes.append(
                FieldChange("Contact", self.theirs.contact_name or theirs, self.new.contact_name)
            )
        else:
            self.merged.changes.append(FieldChange(each.name, theirs, value))

    def _status(self, body: dict[str, Any]) -> None:
        """Raise the status of a purchase order where ours is raised; what people made of it is never set back."""
        new, theirs = self.new.status, self.theirs.status
        old = self.old.status if self.old is not None else self.base.status
        if new == old or further(new, theirs) == theirs:
            return
        body["Status"] = new
        self.merged.changes.append(FieldChange("Status", theirs, new))

    def _decided(self, name: str, old: Any, new: Any, base: Any, theirs: Any, strict: bool = False) -> Any:
        """The value that a field ends with; clashes and kept ones are noted on the way."""
        if _same(new, theirs):
            return theirs
        changed_here, changed_there = not _same(new, old), not _same(theirs, base)
        if changed_here and not changed_there and not _same(theirs, old):
            # What she changed before our last write stayed then, and is hers for as long as she leaves it so.
            changed_there, base = True, old
        if changed_there and (changed_here or strict):
            if self.ours_win:
                return new
            self.merged.clashes.append(Clash(name, base, theirs, new if changed_here else base))
            return theirs
        if changed_here:
            return new
        # Never ours: changed in Xero, or different from the start (a document that was entered by hand).
        if changed_there:
            self.merged.kept.append(FieldChange(name, base, theirs))
        return theirs

    # Lines

    def _lines(self, body: dict[str, Any]) -> None:
        pairs = self._pairs()
        self.merged.line_ids = {key: line.id for key, line in pairs.items()}
        clashes = self._line_clashes(pairs)
        if clashes and not self.ours_win:
            self.merged.clashes += clashes
            return
        # Lines that nobody edited in ConnectWise are not sent: Xero leaves them as they are (xero.md, 7.3), and so
        # does a write that overtakes a person's.
        if not clashes and not self._lines_changed() and "LineAmountTypes" not in body:
            self.merged.her_tax = any(
                line.quantity is not None and line.key in pairs and not _same(line.tax_type, pairs[line.key].tax_type)
                for line in self.new.lines
            )
            return
        before = {line.key: line for line in self.old.lines} if self.old else {}
        base = {line.id: line for line in self.base.lines}
        bodies: list[dict[str, Any]] = []
        moved = [(gone.account_code, -gone.amount, -gone.tax) for gone in self.theirs.lines]
        count = len(self.merged.changes)
        for line in self.new.lines:
            there = pairs.get(line.key)
            if there is None:
                self.merged.changes.append(FieldChange(f"Line {shown(line.description)!r}", None, plain(line.amount)))
                bodies.append(line.body())
                moved.append((line.account_code, line.amount, line.tax))
            else:
                element = self._line(line, before.get(line.key), base.get(there.id), there)
                bodies.append(element)
                moved.append((element.get("AccountCode", ""), line.amount, _tax(line, there, element)))
        known = {line.id for line in pairs.values()}
        self.merged.changes += [
            FieldChange(f"Line {shown(gone.description)!r}", plain(gone.amount), None)
            for gone in self.theirs.lines
            if gone.id not in known
        ]
        if len(self.merged.changes) > count or "LineAmountTypes" in body:
            body["LineItems"] = bodies
            self.merged.moved = moved

    def _pairs(self) -> dict[str, PostedLine]:
        """Which of Xero's lines, as they stand, each of ours is: by id, and what has no id by its content."""
        if self.old is None:
            return paired(self.new.lines, self.theirs.lines)
        by_id = {line.id: line for line in self.theirs.lines}
        unknown = [line for line in self.old.lines if line.key not in self.ids]
        ids = dict(self.ids)
        if unknown:
            left = [line for line in self.base.lines if line.id not in self.ids.values()]
            ids |= {key: line.id for key, line in paired(unknown, left).items()}
        pairs = {line.key: by_id[ids[line.key]] for line in self.new.lines if ids.get(line.key) in by_id}
        # A write of which no answer came may be there all the same: its new lines bear ids that nobody told us.
        seen = {line.id for line in pairs.values()} | {line.id for line in self.base.lines}
        fresh = [line for line in self.theirs.lines if line.id not in seen]
        return pairs | paired([line for line in self.new.lines if line.key not in pairs], fresh)

    def _line_clashes(self, pairs: Mapping[str, PostedLine]) -> list[Clash]:
        """What a person changed of the lines, their quantities, prices or tax amounts."""
        theirs = {line.id: line for line in self.theirs.lines}
        before = {line.key: line for line in self.old.lines} if self.old and self._lines_changed() else {}
        ours = {there.id: line for line in self.new.lines if (there := pairs.get(line.key)) is not None}
        clashes: list[Clash] = []
        for line in self.base.lines:
            there, own = theirs.get(line.id), ours.get(line.id)
            if there is not None:
                clashes += _money_clashes(line, there, own, before.get(own.key) if own else None)
                if own is None:
                    clashes += self._edited_before_removal(line, there)
            elif not self._arrived(pairs):
                clashes.append(Clash(f"Line {shown(line.description)!r}", plain(line.amount), None, plain(line.amount)))
        base = {line.id for line in self.base.lines}
        clashes += [
            Clash(f"Line {shown(there.description)!r}", None, plain(there.amount), None)
            for there in self.theirs.lines
            if there.id not in base and there.id not in ours
        ]
        if not clashes and self._lines_changed():
            clashes += self._left_out(pairs)
        # Entered by hand, or answered without lines: which of them is which of ours is not known.
        if not clashes and self._lines_changed() and self._strangers(pairs):
            now = ", ".join(f"{shown(line.description)} {plain(line.amount)}" for line in self.new.lines)
            clashes.append(Clash("Lines", _listed(self.base.lines), _listed(self.theirs.lines), now))
        return clashes

    def _arrived(self, pairs: Mapping[str, PostedLine]) -> bool:
        """Every line of ours is there at our price and no other: an earlier write got through after all."""
        return len(pairs) == len(self.new.lines) == len(self.theirs.lines) and all(
            pairs[line.key].price == price_of(line) for line in self.new.lines
        )

    def _lines_changed(self) -> bool:
        return self.old is None or self.old.lines != self.new.lines

    def _strangers(self, pairs: Mapping[str, PostedLine]) -> bool:
        """Whether there are lines in Xero that none of ours, old or new, is known to be."""
        known = {line.id for line in pairs.values()} | set(self.ids.values())
        if self.old is not None:
            known |= {line.id for line in paired(self.old.lines, self.base.lines).values()}
        return any(line.id not in known for line in self.theirs.lines)

    def _left_out(self, pairs: Mapping[str, PostedLine]) -> list[Clash]:
        """Lines of ours that a person took out and decided to leave out: a write of lines would bring them back."""
        if self.old is None:
            return []
        known = self.ids.keys() | paired(self.old.lines, self.base.lines).keys()
        out = {line.key for line in self.old.lines if line.key not in known or self.ids.get(line.key) in self._taken()}
        return [
            Clash(f"Line {shown(line.description)!r}", plain(line.amount), None, plain(line.amount))
            for line in self.new.lines
            if line.key in out and line.key not in pairs
        ]

    def _taken(self) -> set[str]:
        """Lines that were not there any more when we last noted how the document stands in Xero."""
        return set(self.ids.values()) - {line.id for line in self.base.lines}

    def _edited_before_removal(self, base: PostedLine, there: PostedLine) -> list[Clash]:
        """What a person changed of a line whose row is gone in ConnectWise: her words would go with it."""
        by_id = {self.ids[line.key]: line for line in (self.old.lines if self.old else ()) if line.key in self.ids}
        old = by_id.get(base.id)
        clashes: list[Clash] = []
        for each in LINE:
            theirs, was = each.theirs(there), each.theirs(base)
            ours = each.ours(old) if old is not None and old.quantity is not None else was
            if not _same(theirs, was) or not _same(theirs, ours):
                clashes.append(Clash(f"{each.name} of {shown(base.description)!r}", ours, theirs, None))
        return clashes

    def _line(self, line: Line, old: Line | None, base: PostedLine | None, there: PostedLine) -> dict[str, Any]:
        """The element of a line that is there already, under its own id."""
        values: dict[str, Any] = {}
        for each in LINE:
            ours, theirs = each.ours(line), each.theirs(there)
            name = _named(line, each.name)
            if line.quantity is None and each.name != "Description":
                # A description alone says nothing of the rest.
                values[each.name] = theirs
                continue
            was = each.theirs(base) if base is not None else theirs
            values[each.name] = self._decided(name, was if old is None else each.ours(old), ours, was, theirs)
            if not _same(values[each.name], theirs):
                self.merged.changes.append(FieldChange(name, theirs, values[each.name]))
        changed = price_of(line) != there.price
        if changed:
            self.merged.changes += [
                FieldChange(_named(line, name), _figure(name, a), _figure(name, b))
                for name, a, b in zip(PRICE, there.price, price_of(line), strict=True)
                if a != b
            ]
        body: dict[str, Any] = {"LineItemID": there.id, "Description": values["Description"]}
        if line.quantity is None and not (there.account_code or there.amount):
            return body
        body["Quantity"] = line.quantity if line.quantity is not None else ZERO
        body["UnitAmount"] = line.unit_amount if line.unit_amount is not None else ZERO
        body["AccountCode"], body["TaxType"] = values["AccountCode"], values["TaxType"]
        if values["ItemCode"] or there.item_code:
            body["ItemCode"] = values["ItemCode"]
        if not _same(values["TaxType"], line.tax_type):
            # A person's tax type: the tax is Xero's to compute, and the document ties out net of tax.
            self.merged.her_tax = True
        elif line.tax_amount is not None or (old is not None and old.tax_amount is not None):
            body["TaxAmount"] = line.tax
        body["Tracking"] = [{"Name": name, "Option": option} for name, option in values["Tracking"]]
        return body


def _tax(line: Line, there: PostedLine, element: Mapping[str, Any]) -> Decimal:
    """What Xero will have as the tax of a line: with a person's tax type, as much of its amount as it is now."""
    if _same(element.get("TaxType", line.tax_type), line.tax_type):
        return line.tax
    return to_cents(line.amount * there.tax / there.amount) if there.amount else ZERO


def _named(line: Line, name: str) -> str:
    return f"{name} of {shown(line.description)!r}"


def _figure(name: str, value: Decimal) -> str:
    """An amount with its cents; a quantity or unit price without zeros at its end."""
    return plain(value) if name == "LineAmount" else format(value.normalize() + ZERO, "f")


def _listed(lines: Sequence[PostedLine]) -> str:
    return ", ".join(f"{shown(line.description)} {plain(line.amount)}" for line in lines)


def _money_clashes(base: PostedLine, there: PostedLine, ours: Line | None, old: Line | None) -> list[Clash]:
    """What a person changed of one line's price, discount or tax amount; nothing where it is what ours is now.

    `old` is our line as last written, where any line of ours is to be written.
    """
    name = shown(base.description)
    if ours is not None and old is not None and there.price == base.price != price_of(old):
        # She decided for her price, and a write of lines would bring ours back.
        if price_of(ours) == there.price:
            return []
        return [Clash(f"LineAmount of {name!r}", plain(old.amount), plain(there.amount), plain(ours.amount))]
    if there.price != base.price:
        if ours is not None and there.price == price_of(ours):
            return []
        what = "Discount" if there.discount != base.discount else "LineAmount"
        now = ours.amount if ours is not None else ZERO
        return [Clash(f"{what} of {name!r}", plain(base.amount), plain(there.amount), plain(now))]
    if _same(there.tax_type, base.tax_type) and there.tax != base.tax and (ours is None or there.tax != ours.tax):
        return [Clash(f"TaxAmount of {name!r}", plain(base.tax), plain(there.tax), plain(base.tax))]
    return []


def _as_sent(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value
