"""What people read of a cycle: money is summed per currency, and a customer's name is text, not markup."""

from __future__ import annotations

from typing import Any

from tasks.reports import artifact_key, linked_outcomes, outcome_row, plan_summary, planned_row, waiting_by_reason


def waits(reason: str, amount: str, currency: str) -> dict[str, Any]:
    return {"reason": reason, "amount": amount, "currency": currency}


def test_money_that_waits_is_summed_per_reason_and_currency() -> None:
    assert waiting_by_reason(
        [
            waits("missing_contact", "1000.10", "AUD"),
            waits("tax_differs", "5.00", "NZD"),
            waits("missing_contact", "0.20", "AUD"),
            waits("missing_contact", "-7.00", "EUR"),
        ]
    ) == [("missing_contact", 3, "1,000.30 AUD, -7.00 EUR"), ("tax_differs", 1, "5.00 NZD")]


def test_what_a_record_that_cannot_be_read_is_worth_is_not_known() -> None:
    assert waiting_by_reason([waits("unreadable_record", "", "")]) == [("unreadable_record", 1, "unknown")]
    assert waiting_by_reason([]) == []


def test_sums_of_money_are_exact() -> None:
    cents = [waits("tax_differs", "0.01", "AUD")] * 1001 + [waits("tax_differs", "90071992547409.93", "AUD")]
    assert waiting_by_reason(cents) == [("tax_differs", 1002, "90,071,992,547,419.94 AUD")]


def test_a_row_links_to_both_systems_where_there_is_something_to_link_to() -> None:
    row = {"reference": "24101", "organisation": "Sydney", "outcome": "posted", "reason": "", "message": ""}
    links = {"connectwise_url": "https://cw.example/1", "xero_url": ""}
    assert outcome_row({**row, **links, "amount": "10.00", "currency": "AUD"}) == {
        "reference": "24101",
        "organisation": "Sydney",
        "outcome": "posted",
        "reason": None,
        "ConnectWise": "[open](https://cw.example/1)",
        "Xero": None,
        "amount": "10.00 AUD",
        "what": None,
    }


def test_the_key_of_an_artifact_has_the_letters_that_prefect_allows() -> None:
    assert artifact_key("North & Co", "credit_notes") == "north-co-credit-notes"


def test_a_plan_is_read_by_what_it_would_do_and_what_it_would_hold() -> None:
    """Changes show both values; a contact has no page of this family; a hold says why."""

    def link(family: str, number: int) -> str:
        return f"https://cw.example/{family}/{number}"

    write = {
        "family": "invoices", "organisation": "Sydney", "reference": "24101", "connectwise_id": 7, "action": "update",
        "document": "invoice", "total": "495.00", "currency": "AUD",
        "fields": [{"name": "Total", "from": "330.00", "to": "495.00"}, {"name": "Date", "from": None, "to": "2026"}],
        "kept": [{"name": "DueDate", "from": "2026-03-09", "to": "2026-03-31"}],
    }  # fmt: skip
    shown = planned_row(write, link)
    assert (shown["plan"], shown["amount"], shown["what"]) == (
        "update invoice",
        "495.00 AUD",
        "Total: 330.00 -> 495.00; Date: (none) -> 2026; stays as changed in Xero: DueDate: 2026-03-09 -> 2026-03-31",
    )
    assert shown["ConnectWise"] == "[open](https://cw.example/invoices/7)"
    assert planned_row({**write, "document": "contact"}, link)["ConnectWise"] is None
    hold = {
        "family": "invoices", "organisation": "", "reference": "24102", "connectwise_id": 8, "outcome": "held",
        "reason": "missing_rate", "message": "No rate.", "fix": "Add <one>, then `tieout sync --force`.",
        "amount": "1.00", "currency": "EUR",
    }  # fmt: skip
    shown = planned_row(hold, link)
    assert (shown["plan"], shown["reason"], shown["what"]) == ("hold", "missing_rate", "No rate.")

    account = {"organisation": "Sydney", "account_code": "200", "net": "450.00", "tax": "45.00"}
    plan = {"plan_id": "abc", "writes": [write], "holds": [hold], "unchanged": 3, "accounts": [account]}
    told = plan_summary("invoices", plan, link)
    assert "* **24101** update invoice · Sydney · 495.00 AUD [ConnectWise](<https://cw.example/invoices/7>)" in told
    assert "    * Total: 330.00 -\\> 495.00\n" in told
    assert "    * stays as changed in Xero: DueDate: 2026-03-09 -\\> 2026-03-31\n" in told
    assert "1 to write, 3 unchanged, 1 would be held. Nothing was written" in told
    assert "| Sydney | 200 | 450.00 | 45.00 |" in told
    assert "* **24102** (missing_rate): No rate. Add \\<one\\>, then `tieout sync --force`." in told


def test_the_summary_repeats_outcomes_with_links_that_every_version_of_the_ui_shows() -> None:
    row = {"reference": "24_101", "organisation": "A|B", "outcome": "posted", "amount": "10.00", "currency": "AUD"}
    links = {"connectwise_url": "https://cw.example/1?a=b", "xero_url": ""}
    last = linked_outcomes([row | links]).splitlines()[-1]
    assert last == "| 24\\_101 | A\\|B | posted | 10.00 AUD | [ConnectWise](<https://cw.example/1?a=b>) |  |"
    assert linked_outcomes([]) == ""


def test_a_bill_is_shown_with_its_receipt_and_with_the_row_and_hash_of_the_lifecycle() -> None:
    """Several bills belong to one order; what made each of them is read beside it (design 6)."""
    fired = ("lifecycle.csv row 3: ,partially_received,bill_per_receipt,draft", "lifecycle.csv, SHA-256 2c65")
    row = {
        "reference": "PO7", "part": "S1", "organisation": "Sydney", "outcome": "posted", "reason": "",
        "amount": "330.00",
        "currency": "AUD", "connectwise_url": "", "xero_url": "", "message": "",
        "rows_used": "\n".join([*fired, "accounts.csv row 9: ,purchases,product,,,300,"]),
    }  # fmt: skip
    shown = outcome_row(row)
    assert (shown["reference"], shown["what"]) == ("PO7 / S1", " · ".join(fired))
    assert "| PO7 / S1 |" in linked_outcomes([row])
    held = outcome_row(row | {"message": "Taken back.", "part": ""})
    assert (held["reference"], held["what"]) == ("PO7", " · ".join(["Taken back.", *fired]))
