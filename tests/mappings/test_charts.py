"""The charts of the reports: what they show, and that whatever stands in a name stays text."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

from mappings.charts import MOST_BARS, chart_of
from mappings.reports import Report, Row


def total(number: str, cost: str, revenue: str, customer: str = "Acme") -> Row:
    return {
        "customer": customer, "po_number": number, "cost": cost, "revenue": revenue, "margin": "", "never_charged": "",
        "cost_currency": "AUD", "revenue_currency": "AUD",
    }  # fmt: skip


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_each_order_has_a_bar_for_cost_and_one_for_revenue_the_largest_first() -> None:
    totals = (total("", "1200.00", "1500.00"), total("PO8", "200.00", "0.00"), total("PO7", "1000.00", "1500.00"))
    shown = texts(chart_of(Report("margin", (), (), totals)))
    assert shown == [
        "Cost and Revenue by order", "Cost", "Revenue", "PO7 · Acme", "1,000.00 AUD", "1,500.00 AUD", "PO8 · Acme",
        "200.00 AUD", "0.00 AUD",
    ]  # fmt: skip


def test_bars_are_as_long_as_their_amounts() -> None:
    root = ElementTree.fromstring(chart_of(Report("margin", (), (), (total("PO7", "500.00", "-1000.00"),))))
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("x") == "250"]
    assert [int(each.get("width", "")) for each in bars] == [230, 460]
    assert [each.get("stroke-dasharray") for each in bars] == [None, "3 2"], "what is below zero is hatched"


def test_only_the_largest_are_shown_and_it_is_said() -> None:
    totals = tuple(total(f"PO{n}", str(Decimal(n)), "0") for n in range(1, 41))
    shown = texts(chart_of(Report("margin", (), (), totals)))
    assert shown[0] == f"Cost and Revenue by order, the {MOST_BARS} largest of 40"
    assert sum(1 for each in shown if each.startswith("PO")) == MOST_BARS


def test_a_name_cannot_become_markup() -> None:
    shown = texts(chart_of(Report("margin", (), (), (total("PO7", "1", "1", "</text><script>&"),))))
    assert "PO7 · </text><script>&" in shown


def test_a_report_without_totals_has_no_chart() -> None:
    assert chart_of(Report("margin", ())) == ""
    assert chart_of(Report("unmapped-vendors", ())) == ""
