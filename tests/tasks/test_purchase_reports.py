"""The page of a report with totals, as the Prefect UI shows it."""

from __future__ import annotations

import re
from base64 import b64decode

from mappings.reports import Report, Row
from tasks.purchase_reports import MOST_TOTALS, page_of


def total(customer: str, number: str, cost: str = "1000.00") -> Row:
    return {
        "customer": customer, "po_number": number, "cost": cost, "revenue": "1500.00", "margin": "500.00",
        "never_charged": "0.00", "cost_currency": "AUD", "revenue_currency": "AUD",
    }  # fmt: skip


def test_the_page_has_a_chart_the_sentences_and_the_totals_by_customer_and_order() -> None:
    page = page_of(Report("margin", (), ("Mind PO8.",), (total("Acme", ""), total("Acme", "PO7"))))
    picture = re.search(r"!\[margin\]\(data:image/svg\+xml;base64,([^)]+)\)", page)
    assert picture is not None
    assert b64decode(picture[1]).startswith(b"<svg ")
    assert "* Mind PO8." in page
    lines = page.splitlines()
    assert "| Acme | **all orders** | 1000.00 | 1500.00 | 500.00 | 0.00 | AUD | AUD |" in lines
    assert "| Acme | PO7 | 1000.00 | 1500.00 | 500.00 | 0.00 | AUD | AUD |" in lines
    assert "|---|---|---:|---:|---:|---:|---|---|" in lines


def test_a_name_cannot_break_the_table_or_become_a_link() -> None:
    page = page_of(Report("margin", (), (), (total("A|B [x](http://e.x) <b>\n*c*", "PO7"),)))
    assert r"| A\|B \[x\](http://e.x) \<b> \*c\* | PO7 |" in page


def test_a_report_without_rows_says_so_and_a_long_one_how_much_more_there_is() -> None:
    assert "Nothing to show." in page_of(Report("margin", ()))
    many = tuple(total("Acme", f"PO{number}") for number in range(MOST_TOTALS + 3))
    assert page_of(Report("margin", (), (), many)).endswith("and 3 more")
