"""What people read of a cycle: money is summed per currency, and a customer's name is text, not markup."""

from __future__ import annotations

from typing import Any

from tasks.reports import artifact_key, outcome_row, waiting_by_reason


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
