"""A bar chart as an SVG picture: text in, text out. It stands on a white ground, so it is read in a dark page, too."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from xml.sax.saxutils import escape

from mappings.reports import Report

COLOURS = ("#b45309", "#2563eb", "#0f766e", "#7c3aed")
MOST_BARS = 15
"""Orders that a chart shows: those with the largest amounts."""
SERIES = {
    "margin": (("cost", "Cost"), ("revenue", "Revenue")),
    "purchase-match": (
        ("ordered_value", "Ordered"), ("received_value", "Received"), ("billed_value", "Billed"),
        ("on_billed_value", "On-billed"),
    ),
}  # fmt: skip
"""Of the reports that have a chart: the columns of their totals that are its bars, each with its name."""
WIDTH, LABELS, BAR, GAP, TOP = 860, 250, 14, 12, 64
FONT = 'font-family="Arial, Helvetica, sans-serif"'


def chart_of(report: Report) -> str:
    """The chart of a report, largest amounts first; '' for one that has none, or nothing to show."""
    series = SERIES.get(report.name, ())
    rows = [
        (
            " · ".join(str(part) for part in (total["po_number"], total["customer"]) if part),
            [Decimal(str(total[column])) for column, _ in series],
            [str(total.get(f"{column}_currency", total.get("currency", ""))) for column, _ in series],
        )
        for total in report.totals
        if total["po_number"]
    ]
    rows.sort(key=lambda row: (-max(map(abs, row[1])), row[0]))
    more = f", the {MOST_BARS} largest of {len(rows)}" if len(rows) > MOST_BARS else ""
    title = f"{' and '.join(name for _, name in series)} by order{more}"
    return bars(title, [name for _, name in series], rows[:MOST_BARS]) if series and rows else ""


def bars(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[Decimal], Sequence[str]]]) -> str:
    """Rows of bars: a label, an amount for each of `names`, and its currency. What is below zero is hatched."""
    longest = max((abs(amount) for _, amounts, _ in rows for amount in amounts), default=Decimal(0)) or Decimal(1)
    room = Decimal(WIDTH - LABELS - 150)
    each = len(names) * BAR + GAP
    height = TOP + len(rows) * each + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 24, title, 15, "bold"),
    ]
    for place, name in enumerate(names):
        left = 16 + place * 110
        parts.append(f'<rect x="{left}" y="36" width="12" height="12" fill="{COLOURS[place]}"/>')
        parts.append(_text(left + 18, 47, name, 12))
    for row, (label, amounts, currencies) in enumerate(rows):
        top = TOP + row * each
        shown = label if len(label) <= 34 else label[:33] + "…"
        parts.append(_text(16, top + len(names) * BAR // 2 + 4, shown, 12))
        for place, amount in enumerate(amounts):
            y, length = top + place * BAR, int(abs(amount) / longest * room)
            colour = COLOURS[place]
            below = f' stroke="{colour}" stroke-dasharray="3 2" fill-opacity="0.25"' if amount < 0 else ""
            size = f'width="{max(length, 1)}" height="{BAR - 3}"'
            parts.append(f'<rect x="{LABELS}" y="{y}" {size} fill="{colour}"{below}/>')
            parts.append(
                _text(LABELS + max(length, 1) + 6, y + BAR - 4, f"{amount:,.2f} {currencies[place]}".strip(), 11)
            )
    return "".join([*parts, "</svg>"])


def _text(x: int, y: int, text: str, size: int, weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" {FONT} font-size="{size}" font-weight="{weight}" fill="#111827">{escape(text)}</text>'
    )
