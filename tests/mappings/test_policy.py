"""policy.toml: every decision has a default, every key is known, and an organisation may differ key by key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mappings.csv_tables import TablesUnusable
from mappings.policy import Decisions, Policy, filled, filled_where_known, read_policy

CONTRACT = """
start_date = 2026-01-01
[families]
invoices = "on"
credit_notes = "on"
payments = "off"
purchase_orders = "off"
[start_dates]
[routing]
staff = "first_time_entry"
tag_field = ""
[sales]
invoice_status = "draft"
credit_note_status = "draft"
invoice_number = "{invoice_number}"
credit_note_number = "{invoice_number}"
reference = "{customer_po}"
zero_total = "draft"
on_edit_authorised = "update"
allocate_credits = true
[purchases]
bill_status = "draft"
bill_number = "{po_number} / {receipt} / {vendor_invoice_number}"
purchase_order_number = "{po_number}"
over_receipt = "bill"
freight = "full_close"
vendor_invoice_grouping = "bill_per_po"
draft_gaps = "hold"
on_billing_links = false
[payments]
direction = "connectwise_to_xero"
on_decrease = "hold"
[contacts]
create = "hold"
bill_to = true
[tracking]
unmapped = "hold"
[tax]
rounding_cap = "0.02"
[currency]
source = "none"
field = "Exchange Rate"
meaning = "foreign_per_base"
max_age_days = 31
[deleted]
draft = "hold"
[adopt]
existing = "adopt"
[brake]
updates = 25
older_than_days = 60
[approval]
when = "never"
over = "0.00"
[audit]
keep_exchange_days = 90
"""
"""Contract, section 4, as it stands there: every key with its default."""

ALLOWED = {
    "families.invoices": ["on", "off"],
    "families.credit_notes": ["on", "off"],
    "families.payments": ["on", "off"],
    "families.purchase_orders": ["on", "off"],
    "routing.staff": ["first_time_entry", "all_time_entries", "sales_rep"],
    "sales.invoice_status": ["draft", "submitted", "authorised"],
    "sales.credit_note_status": ["draft", "submitted", "authorised"],
    "sales.zero_total": ["draft", "hold", "skip"],
    "sales.on_edit_authorised": ["update", "hold"],
    "purchases.bill_status": ["draft", "submitted", "authorised"],
    "purchases.over_receipt": ["bill", "hold"],
    "purchases.freight": ["full_close", "first_bill", "separate_bill", "never"],
    "purchases.vendor_invoice_grouping": ["bill_per_po", "one_bill"],
    "purchases.draft_gaps": ["hold", "leave"],
    "payments.direction": ["connectwise_to_xero", "off"],
    "payments.on_decrease": ["hold", "replace"],
    "contacts.create": ["hold", "create"],
    "tracking.unmapped": ["hold", "leave_out"],
    "currency.source": ["none", "custom_field", "rates_table", "xero_day_rate"],
    "currency.meaning": ["foreign_per_base", "base_per_foreign"],
    "deleted.draft": ["hold", "delete"],
    "adopt.existing": ["adopt", "hold"],
    "approval.when": ["never", "first_cycle", "over_limit", "always"],
}
"""Contract, section 4: the words that a key may hold."""


SALES_FIELDS = "allowed fields: {invoice_number}, {id}, {company}, {date}, {customer_po}"
DECISIONS = "allowed here: sales, purchases, payments, contacts, tracking, tax, currency, deleted, adopt"


def read(text: str) -> Policy:
    return read_policy(text.encode())


def refusal(text: str) -> str:
    with pytest.raises(TablesUnusable) as caught:
        read(text)
    assert all(problem.file == "policy.toml" for problem in caught.value.problems)
    return "\n".join(problem.message for problem in caught.value.problems)


def leaves(given: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name


KEYS = list(leaves(tomllib.loads(CONTRACT)))


def one(key: str, value: str) -> str:
    section, _, name = key.rpartition(".")
    return f"[{section}]\n{name} = {value}\n" if section else f"{name} = {value}\n"


def test_an_empty_file_and_a_missing_one_are_the_defaults_of_the_contract() -> None:
    """The page that people read and the code agree on every default."""
    assert read_policy(None) == read("") == read(CONTRACT).model_copy(update={"start_date": None})
    assert read_policy(b"\xef\xbb\xbf" + CONTRACT.encode()) == read(CONTRACT)


def test_the_contract_knows_every_key_there_is() -> None:
    """And there is no key that the contract does not show."""
    shown = Policy().model_dump(exclude={"organisation", "start_dates"})
    shown["tracking"] = {"unmapped": "hold"}
    assert sorted(leaves(shown)) == sorted(KEYS)


@pytest.mark.parametrize(("key", "word"), [(key, word) for key, words in ALLOWED.items() for word in words])
def test_every_word_of_the_contract_is_accepted(key: str, word: str) -> None:
    """Each allowed value of each key."""
    section, name = key.split(".")
    found = getattr(getattr(read(one(key, f'"{word}"')), section), name)
    assert found == word or set(found.model_dump().values()) == {word}


@pytest.mark.parametrize("key", ALLOWED)
def test_any_other_word_is_refused_with_the_allowed_ones(key: str) -> None:
    """The message names the key, what was written, and what may be written."""
    told = refusal(one(key, '"sometimes"'))
    assert key in told
    assert "'sometimes'" in told
    assert all(repr(word) in told for word in ALLOWED[key])


@pytest.mark.parametrize("section", ["", *sorted({key.rpartition(".")[0] for key in KEYS} - {""})])
def test_an_unknown_key_is_refused_with_the_known_ones(section: str) -> None:
    """A misspelt decision must not be silently ignored, at whatever level it stands."""
    told = refusal(one(f"{section}.zero_totl".lstrip("."), "1"))
    known = [key.rpartition(".")[2] for key in KEYS if key.rpartition(".")[0] == section]
    assert told.startswith(f"unknown key {section}.zero_totl; allowed here: ".replace("key .", "key "))
    assert all(name in told for name in known)
    if section in Decisions.model_fields:
        own = refusal(f'[organisation."North Sydney".{section}]\nzero_totl = 1\n')
        assert own.startswith(f"unknown key organisation.North Sydney.{section}.zero_totl; allowed here: ")
        assert all(name in own for name in known)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('sales = "draft"', "sales = 'draft' is a value; a section [sales] is wanted here"),
        (
            '[organisation]\nSydney = "x"',
            "organisation.Sydney = 'x' is a value; a section [organisation.Sydney] is wanted here",
        ),
        ("[tax]\nrounding_cap = 5", "tax.rounding_cap = 5: Input should be less than or equal to 1"),
        ("[brake]\nupdates = -1", "brake.updates = -1: Input should be greater than or equal to 0"),
        ("[audit]\nkeep_exchange_days = 0", "audit.keep_exchange_days = 0: Input should be greater than or equal to 1"),
        (
            '[sales]\ninvoice_number = "INV"',
            "sales.invoice_number: 'INV' would give every document the same number; it needs {invoice_number} or {id}",
        ),
        (
            '[sales]\nreference = "{po}"',
            "sales.reference: '{po}' is no template; " + SALES_FIELDS,
        ),
        (
            '[sales]\ninvoice_number = "{id"',
            "sales.invoice_number: '{id' is no template; " + SALES_FIELDS,
        ),
        (
            '[purchases]\nbill_number = "{receipt}"',
            "purchases.bill_number: '{receipt}' would give every document the same number; it needs {po_number}",
        ),
        (
            "[tracking]\nunmapped = 'drop'",
            "tracking.unmapped: 'drop' is not known; allowed: 'hold' or 'leave_out', or one of them per source",
        ),
        (
            "[tracking.unmapped]\nplace = 'hold'",
            "unknown key tracking.unmapped.place; allowed here: category, work_type, staff, department, location",
        ),
        (
            "[tracking.unmapped]\nlocation = 'drop'",
            "tracking.unmapped.location = 'drop' is not known; allowed: 'hold' or 'leave_out'",
        ),
        (
            "[organisation.Sydney.families]\ninvoices = 'on'",
            "unknown key organisation.Sydney.families; " + DECISIONS,
        ),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(text: str, told: str) -> None:
    """Where it stands, what it says, what is wanted."""
    assert refusal(text) == told


@pytest.mark.parametrize(("content", "told"), [(b"[sales", "not readable as TOML"), (b"x = '\xe9'", "not UTF-8")])
def test_a_file_that_is_no_toml_is_refused(content: bytes, told: str) -> None:
    """With the place where reading stopped."""
    with pytest.raises(TablesUnusable, match=told):
        read_policy(content)


@pytest.mark.parametrize(
    ("key", "least"),
    [
        ("tax.rounding_cap", 0),
        ("currency.max_age_days", 0),
        ("brake.updates", 0),
        ("brake.older_than_days", 0),
        ("approval.over", 0),
        ("audit.keep_exchange_days", 1),
    ],
)
def test_the_least_that_a_number_may_be(key: str, least: int) -> None:
    """Nothing at all is a decision too; less than that is none."""
    section, name = key.split(".")
    assert getattr(getattr(read(one(key, str(least))), section), name) == least
    assert refusal(one(key, str(least - 1))).startswith(f"{key} = {least - 1}: ")


def test_a_problem_of_the_defaults_is_told_once() -> None:
    """Not once more for every organisation that inherits it."""
    told = refusal("[sales]\nzero_total = 'x'\n[organisation.A.sales]\nreference = ''\n[organisation.B.tax]\n")
    assert told.count("\n") == 0


def test_an_organisation_overrides_key_by_key() -> None:
    """What its section does not name stays as the top level says, and others see nothing of it."""
    policy = read(
        """
        [sales]
        invoice_status = "submitted"
        zero_total = "hold"
        [organisation."Sydney".sales]
        invoice_status = "authorised"
        [organisation."Sydney".tracking]
        unmapped = {location = "leave_out"}
        """
    )
    sydney, melbourne = policy.decisions("Sydney"), policy.decisions("Melbourne")
    assert (sydney.sales.invoice_status, sydney.sales.zero_total) == ("authorised", "hold")
    assert (melbourne.sales.invoice_status, melbourne.sales.zero_total) == ("submitted", "hold")
    assert (sydney.tracking.unmapped.location, sydney.tracking.unmapped.staff) == ("leave_out", "hold")
    assert melbourne.tracking == Policy().tracking
    assert sydney.tax == policy.tax


def test_a_family_starts_on_its_own_day_or_the_general_one_or_that_of_the_set_up() -> None:
    """In that order."""
    policy = read("start_date = 2026-01-01\n[start_dates]\npayments = 2026-04-01\n")
    day = date(2026, 6, 30)
    assert policy.starts("payments", day) == date(2026, 4, 1)
    assert policy.starts("invoices", day) == date(2026, 1, 1)
    assert Policy().starts("invoices", day) == day


def test_amounts_are_exact_with_or_without_quotes() -> None:
    """0.05 in TOML is no float here."""
    assert {read(one("tax.rounding_cap", text)).tax.rounding_cap for text in ("0.05", '"0.05"')} == {Decimal("0.05")}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{invoice_number}", "40001"),
        ("INV-{invoice_number}/{date}", "INV-40001/2026-03-02"),
        ("{customer_po}", "{id} of 7"),
        ("{customer_po}{id}", "{id} of 739001"),
        ("", ""),
    ],
)
def test_templates_are_filled_once(template: str, text: str) -> None:
    """Braces inside a value are a customer's own and stay."""
    values = {"invoice_number": "40001", "id": "39001", "date": "2026-03-02", "customer_po": "{id} of 7"}
    assert filled(template, values) == text


@pytest.mark.parametrize(
    ("template", "invoice", "number"),
    [
        ("{po_number} / {receipt} / {vendor_invoice_number}", "V-1", "PO7 / V-1"),
        ("{po_number} / {receipt} / {vendor_invoice_number}", "", "PO7"),
        ("{vendor_invoice_number} - {po_number}", "", "PO7"),
        ("{po_number} ({vendor_invoice_number})", "V-1", "PO7 (V-1)"),
        ("{po_number} ({vendor_invoice_number})", "", "PO7"),
        ("{po_number} [{vendor_invoice_number}] {receipt}", "", "PO7"),
        ("Bill {po_number}", "", "Bill PO7"),
    ],
)
def test_what_is_not_known_drops_out_of_a_number_with_its_separator(template: str, invoice: str, number: str) -> None:
    """Contract section 4: unknown parts drop out of `bill_number`, and what was opened for them is not closed."""
    values = {"po_number": "PO7", "receipt": "", "vendor_invoice_number": invoice}
    assert filled_where_known(template, values) == number
