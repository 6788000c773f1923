"""The mail of the golden files, with everything in it that a mail can hold; run as a module it writes them anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mappings.notices import Case, Notice, notices
from tasks.mail import rendered

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
RUN = "https://prefect.example.com/runs/flow-run/6a0c7c1e"
XERO = "https://go.xero.com/app/!aBc1d/invoicing/view"


def example() -> Notice:
    """Two new causes (one with differing words, one with too many records to name), one repeated, one resolved."""
    tolls = "Add to accounts.csv: Sydney,sales,expense,Tolls,,<account_code>,"
    said = "No row of accounts.csv fits kind expense, category Tolls (line '{}')."
    cure = "Create the contact in Xero,\nor add a row to contacts.csv."
    contact = "No contact in Xero could be matched to 'Harbour & Sons <Pty> Ltd'."
    cases = [
        _case(1, "missing_account", said.format("Two tunnels, there and back"), tolls, "93.06"),
        _case(2, "missing_account", said.format("Harbour <b>bridge</b> & back"), tolls, "1204.50"),
        _case(3, "missing_account", said.format("Ferry"), tolls, "-7.00", currency="EUR"),
        *(_case(number, "missing_contact", contact, cure, "1.00") for number in range(10, 33)),
        _mailed(_case(40, "unreadable_record", "It has no company.", "Open it in ConnectWise.", "", ""), days=9),
        _mailed(_case(41, "period_locked", "2025-12-31 is locked in Sydney.", "Unlock the period.", "10.00"), days=1),
        _mailed(_case(42, "missing_tax", "x", "y", "110.00", resolved=True, xero_url=f"{XERO}/42"), days=1),
    ]
    (notice,) = notices("invoices", cases, NOW, timedelta(days=7))
    return notice


def _case(
    number: int, reason: str, message: str, fix: str, amount: str, currency: str = "AUD", resolved: bool = False,
    xero_url: str = "",
) -> Case:  # fmt: skip
    return Case(
        number, number, "", f"400{number:02}", "Sydney", reason, "", message, fix, amount, currency, resolved,
        connectwise_url=f"https://au.example.com/openrecord?recordType=InvoiceFV&recid={number}", xero_url=xero_url,
    )  # fmt: skip


def _mailed(case: Case, days: int) -> Case:
    return replace(case, mailed_at=NOW - timedelta(days=days), mailed_as=case.saying)


def main() -> None:
    """Write the golden files."""
    GOLDEN.mkdir(exist_ok=True)
    for name, text in zip(("exceptions.txt", "exceptions.html"), rendered(example(), 7, RUN), strict=True):
        (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
