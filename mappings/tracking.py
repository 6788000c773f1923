"""Which tracking options a line gets: sources in their order, two categories at most (contract 3: tracking.csv).

A source is in use when any row names it. For one category of Xero the first source that has a row wins, and a blank
option there is deliberately none. A value without a row follows policy, unless an earlier source has settled every
category that rows of this source lead to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappings.csv_tables import NOTHING, TRACKING, AmbiguousRows, Row, Table, Value
from mappings.outcomes import Hold, Reason, XeroList
from mappings.policy import UnmappedTracking
from mappings.xero import Books, fold

SOURCES = ("category", "work_type", "staff", "department", "location")
MOST = 2
"""Tracking categories on one line (xero.md, 5)."""


def in_use(table: Table) -> frozenset[str]:
    """The sources that any row names; a row for any source names them all."""
    named = table.named("source")
    return frozenset(SOURCES) if named & {"", "*"} else named


Sources = Mapping[str, Value | tuple[Value, ...]]
"""What a line holds for each source; alternatives are tried in their order."""


@dataclass
class Tracked:
    """The options of one line as (category, option) in Xero's own spelling, the rows that gave them, and problems.

    Each row stands with the source that it was found by.
    """

    options: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[Row, str]] = field(default_factory=list)
    problems: list[Hold] = field(default_factory=list)


def track(
    sources: Sources, organisation: str, side: str, line: str, table: Table, unmapped: UnmappedTracking, books: Books
) -> Tracked:
    """The tracking of one line (`line`: how messages name it)."""
    found = Tracked()
    chosen: dict[str, tuple[Row, str]] = {}
    for source in SOURCES:
        keys = {"organisation": Value.text(organisation), "side": Value.text(side), "source": Value.text(source)}
        leads_to = table.named("tracking_category", **keys)
        if not leads_to:
            continue
        given = sources.get(source, NOTHING)
        try:
            row = table.find(**keys, value=given)
        except AmbiguousRows as error:
            found.problems.append(
                Hold(
                    Reason.AMBIGUOUS_MAPPING,
                    _shown(given),
                    f"{error.first} and {error.second} both fit the {source} {_shown(given)} of the line {line}.",
                    f"Make {error.first} or {error.second} more specific, or remove one.",
                )
            )
            continue
        if row is not None:
            chosen.setdefault(fold(row.values["tracking_category"]), (row, source))
        elif _shown(given) and getattr(unmapped, source) == "hold" and not leads_to <= chosen.keys():
            found.problems.append(_unmapped(source, _shown(given), organisation, side, line, table))
    for row, source in chosen.values():
        found.rows.append((row, source))
        if row.values["option"]:
            option = _option(row, organisation, books)
            if isinstance(option, Hold):
                found.problems.append(option)
            else:
                found.options.append(option)
    if len(found.options) > MOST:
        rows = ", ".join(str(row) for row, _ in found.rows)
        found.problems.append(
            Hold(
                Reason.MISSING_TRACKING,
                ", ".join(category for category, _ in found.options),
                f"The line {line} would get {len(found.options)} tracking categories ({rows}); Xero takes {MOST}.",
                f"Leave {MOST} tracking categories in {TRACKING.file}.",
            )
        )
    return found


def _shown(given: Value | tuple[Value, ...]) -> str:
    """The value as people write it; of alternatives the first; '' where there is none."""
    values = (given,) if isinstance(given, Value) else given
    return next((value.shown() for value in values if value != NOTHING), "")


def _unmapped(source: str, value: str, organisation: str, side: str, line: str, table: Table) -> Hold:
    pasted = table.line(
        organisation=organisation,
        side=side,
        source=source,
        value=value,
        tracking_category="<tracking_category>",
        option="<option, or blank for none>",
    )
    return Hold(
        Reason.MISSING_TRACKING,
        f"{source}/{value}",
        f"No row of {TRACKING.file} fits the {source} {value} (line {line}).",
        f"Add to {TRACKING.file}: {pasted}",
    )


def _option(row: Row, organisation: str, books: Books) -> tuple[str, str] | Hold:
    """The option that a row names, as Xero spells it; or why Xero would not take it."""
    wanted, option = row.values["tracking_category"], row.values["option"]
    category = books.tracking.get(fold(wanted))
    if category is None or category.status != "ACTIVE":
        state = "does not have" if category is None else "has archived"
        active = ", ".join(sorted(one.name for one in books.tracking.values() if one.status == "ACTIVE")) or "none"
        return Hold(
            Reason.MISSING_TRACKING,
            wanted,
            f"{row} names the tracking category {wanted!r}, which {organisation} {state}.",
            f"Correct tracking_category in {row} ({organisation} has {active}), or add it in Xero.",
            (XeroList.TRACKING,),
        )
    name, status = category.options.get(fold(option), ("", ""))
    if status != "ACTIVE":
        state = "has archived" if name else "does not have"
        return Hold(
            Reason.MISSING_TRACKING,
            f"{category.name}/{option}",
            f"{row} names the option {option!r} of {category.name}, which {organisation} {state}.",
            f"Correct option in {row}, or {'restore' if name else 'add'} it in Xero.",
            (XeroList.TRACKING,),
        )
    return category.name, name
