"""The rows of the purchase reports: what each shows of an order and its bills, and which bills are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.billing import FREIGHT, Billed
from mappings.connectwise import Company
from mappings.csv_tables import CONTACTS, read_table
from mappings.kinds import BILL
from mappings.lifecycle import State, read_lifecycle
from mappings.links import bill_key
from mappings.outcomes import Hold
from mappings.reports import (
    COLUMNS,
    WORTH_A_LOOK,
    Glance,
    InXero,
    Ours,
    Theirs,
    invoiced_not_received,
    paid_not_received,
    parallel_run,
    received_without_bill,
    unbilled,
    unmapped_vendor,
    vendor_problem,
    what_lifecycle_says,
    written_value,
)
from mappings.xero import Document, Found, Line
from tests.mappings.orders import line, order
from tests.mappings.samples import books, contact

Quantities = dict[str, Decimal]


def quantities(**held: object) -> Quantities:
    """Quantities by line key: `line1=3` is three of line 1."""
    return {name.replace("line", "line:"): Decimal(str(value)) for name, value in held.items()}


# Which orders are worth a look

LOOKS: dict[str, tuple[Glance, set[str]]] = {
    "nothing received, nothing billed": (Glance(Decimal(0), Decimal(0), False, ""), set()),
    "received and not billed": (
        Glance(Decimal(10), Decimal(0), False, ""), {"unmapped-vendors", "received-without-bill"},
    ),
    "received and billed": (Glance(Decimal(10), Decimal(10), True, "INV"), set()),
    "billed and taken back": (Glance(Decimal(0), Decimal(10), True, ""), {"paid-not-received"}),
    "a bill of nothing but freight": (Glance(Decimal(0), Decimal(0), True, ""), {"paid-not-received"}),
    "a price that rose or fell": (
        Glance(Decimal(9), Decimal(10), True, ""), {"unmapped-vendors", "received-without-bill", "paid-not-received"},
    ),
    "invoiced and not received": (Glance(Decimal(0), Decimal(0), False, "INV"), {"invoiced-not-received"}),
    "a vendor invoice of blanks": (Glance(Decimal(0), Decimal(0), False, "  "), set()),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOKS)
def test_an_order_is_worth_a_look_for_the_reports_that_may_show_it(case: str) -> None:
    glance, expected = LOOKS[case]
    assert {name for name, worth_a_look in WORTH_A_LOOK.items() if worth_a_look(glance)} == expected


def document(*lines: Line, billed: Quantities) -> Document:
    """A bill as it was written."""
    return Document(
        BILL.family, bill_key(7, 1), "PO7", "Sydney", "t", BILL.type, "PO7", "c", "Netgear", date(2026, 3, 2),
        date(2026, 3, 2), "AUD", None, "PO7", "", "DRAFT", lines, billed=tuple(sorted(billed.items())),
    )  # fmt: skip


def written(key: str, quantity: object, amount: object) -> Line:
    return Line(key, "Goods", quantity=Decimal(str(quantity)), amount=Decimal(str(amount)), tax=Decimal(99))


def test_what_a_bill_holds_is_its_lines_without_freight_tax_and_text() -> None:
    whole = document(
        Line("order", "Purchase order PO7"),
        written("line:1", 3, 300),
        written("line:2", 1, "33.33"),
        Line("line:3", "Free of charge (2 at no cost)"),
        written(FREIGHT, 1, 50),
        billed=quantities(line1=3, line2=7, line3=2) | {FREIGHT: Decimal(1)},
    )
    assert written_value(whole) == Decimal("333.33"), "seven of line 2 went as one at their amount"
    assert written_value(replace(whole, billed=(("line:1", Decimal(1)),))) == 100
    assert written_value(replace(whole, billed=())) == 0


# Received without a bill


def test_what_is_received_less_what_is_billed_is_valued_at_todays_cost_and_dated_by_its_own_lines() -> None:
    source = order(
        line(1, 10, 10, cost="2.505", dateReceived="2026-03-05T00:00:00Z"),
        line(2, 5, 5, dateReceived="2026-03-09T00:00:00Z"),
        line(3, 4, 0),
        line(4, 1, 1, cost=0),
    )
    found = unbilled(source, [quantities(line1=3, line2=2), quantities(line1=4, line2=3)])
    assert found is not None
    assert (found.value, found.since) == (Decimal("7.52"), date(2026, 3, 5))
    row = received_without_bill(found, "Because.")
    assert row == {
        "po_number": "PO7",
        "connectwise_id": 7,
        "vendor": "Netgear Distribution",
        "received_value": "525.05",
        "currency": "AUD",
        "since": "2026-03-05",
        "why": "7.52 of it is not billed. Because.",
    }


def test_an_order_that_is_billed_or_has_more_billed_than_received_is_not_shown() -> None:
    source = order(line(1, 10, 3))
    assert unbilled(source, [quantities(line1=3)]) is None
    assert unbilled(source, [quantities(line1=5)]) is None
    assert unbilled(order(line(1, 10, 0)), []) is None
    assert unbilled(order(line(1, 2, 2, cost=0)), []) is None, "what costs nothing needs no bill"


def test_with_nothing_billed_the_reason_stands_alone_and_a_day_that_is_not_known_is_blank() -> None:
    found = unbilled(order(line(1, 2, 2, dateReceived=None), vendorCompany={"id": 9, "identifier": "X"}), [])
    assert found is not None
    row = received_without_bill(found, "Because.")
    assert (row["why"], row["since"], row["vendor"]) == ("Because.", "", "X")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4))
def test_what_is_not_billed_is_never_below_zero_and_never_more_than_was_received(parts: list[tuple[int, int]]) -> None:
    source = order(*(line(number, 20, came) for number, (came, _) in enumerate(parts, start=1)))
    held = {f"line:{number}": Decimal(billed) for number, (_, billed) in enumerate(parts, start=1)}
    found = unbilled(source, [held])
    assert (found.value if found else 0) == sum(100 * max(came - billed, 0) for came, billed in parts)


ROWS = b"""organisation,state,event,status
,partially_received,none,
,fully_received,draft_bill,draft
,vendor_invoice_received,update_bill_from_vendor_invoice,
,reversed,hold,
"""


SAYS: dict[str, tuple[list[State], str]] = {
    "it makes a bill": (
        [State.FULLY_RECEIVED],
        "The next cycle makes the bill (lifecycle.csv row 3: ,fully_received,draft_bill,draft).",
    ),
    "it makes none": (
        [State.PARTIALLY_RECEIVED, State.VENDOR_INVOICE_RECEIVED],
        (
            "No bill is made of an order that is partially received (lifecycle.csv row 2: ,partially_received,none,; "
            "lifecycle.csv row 4: ,vendor_invoice_received,update_bill_from_vendor_invoice,)."
        ),
    ),
    "it holds": (
        [State.REVERSED],
        "The order is reversed, and a person has to decide (lifecycle.csv row 5: ,reversed,hold,).",
    ),
    "it is silent": (
        [State.CANCELLED],
        "lifecycle.csv has no row for an order that is cancelled, so no bill is made.",
    ),
}


@pytest.mark.parametrize("case", SAYS)
def test_the_lifecycle_says_why_there_is_no_bill(case: str) -> None:
    states, words = SAYS[case]
    assert what_lifecycle_says(states[0], read_lifecycle(ROWS).fired("Sydney", states)) == words


# Vendors

NETGEAR = Company.model_validate({"id": 201, "identifier": "NETGEAR", "name": "Netgear Distribution"})


def problem(company: Company | None, *contacts: object, create: bool = False) -> Hold | None:
    there = books(contacts=list(contacts))  # type: ignore[arg-type]
    header = order(line(1, 1, 1)).header
    return vendor_problem(header, company, "Sydney", read_table(CONTACTS, None), there, "", create)


def test_a_vendor_is_looked_for_by_its_vendor_number_else_its_id() -> None:
    numbered = NETGEAR.model_copy(update={"vendor_identifier": " V-77 "})
    assert problem(numbered, contact(1, "Other name", "V-77")) is None
    assert problem(numbered, contact(1, "Other name", "201")) is not None
    assert problem(NETGEAR, contact(1, "Other name", "201")) is None
    assert problem(NETGEAR, contact(1, "Netgear Distribution")) is None, "by its name"


def test_a_vendor_without_contact_says_its_reason_and_one_that_would_be_made_is_no_problem() -> None:
    found = problem(NETGEAR)
    left = unbilled(order(line(1, 2, 2)), [])
    assert found is not None and left is not None
    assert unmapped_vendor(left, found) == {
        "vendor_id": 201,
        "vendor_identifier": "NETGEAR",
        "vendor": "Netgear Distribution",
        "po_number": "PO7",
        "connectwise_id": 7,
        "received_value": "200.00",
        "reason": "missing_contact",
    }
    assert problem(NETGEAR, create=True) is None
    assert (archived := problem(NETGEAR, contact(1, "Netgear Distribution", "", "ARCHIVED"))) is not None
    assert archived.reason == "contact_archived"


def test_a_vendor_that_connectwise_does_not_have_any_more_is_merged() -> None:
    for gone in (None, NETGEAR.model_copy(update={"deleted_flag": True})):
        found = problem(gone, contact(1, "Netgear Distribution"))
        assert found is not None and found.reason == "company_merged"


# Invoiced, or paid, and not received


def test_an_invoice_counts_where_nothing_at_all_is_received() -> None:
    row = invoiced_not_received(order(line(1, 10, 0), line(2, 1, 0, "5.50"), vendorInvoiceNumber="INV-1"))
    assert row == {
        "po_number": "PO7",
        "connectwise_id": 7,
        "vendor": "Netgear Distribution",
        "vendor_invoice_number": "INV-1",
        "ordered_value": "1005.50",
    }
    assert invoiced_not_received(order(line(1, 10, 0), vendorInvoiceNumber=" ")) is None
    assert invoiced_not_received(order(line(1, 10, 0), line(2, 1, 1), vendorInvoiceNumber="INV-1")) is None


def there(n: int, paid: object, held: Quantities, *, draft: bool = False, gone: bool = False) -> InXero:
    """A bill of the order as it stands in Xero."""
    return InXero(Billed(n, f"S{n}", held, draft, gone), f"PO7 / S{n}", Decimal(str(paid)))


PAID: dict[str, tuple[int, list[InXero], list[str]]] = {
    "all that is billed is here": (10, [there(1, 110, quantities(line1=10))], []),
    "some of it went back": (7, [there(1, 110, quantities(line1=10))], ["PO7 / S1"]),
    "all of it went back, and nothing is paid": (0, [there(1, 0, quantities(line1=10))], []),
    "the newest bill is for what went back": (
        7, [there(1, 77, quantities(line1=7)), there(2, 33, quantities(line1=3))], ["PO7 / S2"],
    ),
    "the newest bill is not paid": (7, [there(1, 77, quantities(line1=7)), there(2, 0, quantities(line1=3))], []),
    "a draft gives way first": (
        7, [there(1, 0, quantities(line1=3), draft=True), there(2, 77, quantities(line1=7))], [],
    ),
    "a bill that was voided gives way first": (
        7, [there(1, 0, quantities(line1=3), gone=True), there(2, 77, quantities(line1=7))], [],
    ),
    "freight was paid, and nothing came": (0, [there(1, 55, {FREIGHT: Decimal(1)})], ["PO7 / S1"]),
    "the supplier credit was entered": (0, [there(1, 110, {})], []),
}  # fmt: skip


@pytest.mark.parametrize("case", PAID)
def test_a_paid_bill_is_shown_that_holds_more_than_is_received(case: str) -> None:
    came, bills, expected = PAID[case]
    rows = paid_not_received(order(line(1, 10, came)), bills)
    assert [row["bill_number"] for row in rows] == expected
    assert all(row["received_value"] == f"{100 * came}.00" and row["connectwise_id"] == 7 for row in rows)


def test_a_line_that_is_not_shown_is_no_reversal() -> None:
    assert paid_not_received(order(line(2, 10, 10)), [there(1, 110, quantities(line1=10))]) == []


# The parallel run


def ours(n: int, total: object = 110, *, of: int = 7, contact_id: str = "C", currency: str = "AUD") -> Ours:
    """A bill that the sync made, or would make."""
    return Ours("T", bill_key(of, n), f"PO{of}", f"PO{of} / S{n}", contact_id, Decimal(str(total)), currency)


def theirs(
    number: str, total: object = 110, *, key: int | None = None, contact_id: str = "c", currency: str = "AUD",
    asked: bool = True, tenant: str = "T",
) -> Theirs:  # fmt: skip
    """A bill in Xero."""
    found = Found(
        f"x-{number}", BILL.type, number, "", contact_id, "Netgear", currency, "DRAFT", date(2026, 3, 2),
        Decimal(str(total)), "{}",
    )  # fmt: skip
    return Theirs(tenant, found, key, asked)


def compared(made: list[Ours], keyed: list[Theirs]) -> list[tuple[object, ...]]:
    """Reference, verdict and the three amounts."""
    rows = parallel_run(made, keyed)
    assert all(tuple(row) == COLUMNS["parallel-run"] and row["document"] == "bill" for row in rows)
    return [tuple(row[name] for name in ("reference", "verdict", "ours", "theirs", "difference")) for row in rows]


def test_bills_of_the_same_order_and_supplier_are_matched_or_different() -> None:
    assert compared([ours(1)], [theirs("INV-9; po7")]) == [("PO7 / S1", "matched", "110.00", "110.00", "0.00")]
    assert compared([ours(1)], [theirs("PO7", 99)]) == [("PO7 / S1", "different", "110.00", "99.00", "11.00")]
    assert compared([ours(1)], [theirs("PO7", currency="USD")]) == [("PO7 / S1", "different", "110.00", "110.00", "")]


@pytest.mark.parametrize(
    "keyed",
    [theirs("PO77"), theirs("PO7", contact_id="other"), theirs("PO7", tenant="U"), theirs("PO7", key=bill_key(8, 1))],
    ids=["another number", "another supplier", "another organisation", "another order by our link"],
)
def test_what_is_not_certainly_the_same_is_missing_on_either_side(keyed: Theirs) -> None:
    verdicts = {row[1] for row in compared([ours(1)], [keyed])}
    assert verdicts == {"only_sync", "only_xero"}


def test_a_contact_that_is_still_to_be_made_has_no_bills() -> None:
    found = compared([ours(1, contact_id="")], [theirs("PO7", contact_id="")])
    assert [row[1] for row in found] == ["only_xero", "only_sync"]


def test_our_link_or_record_comes_before_the_same_total_and_that_before_the_name_alone() -> None:
    made = [ours(1, 330), ours(2, 770), ours(3, 50)]
    keyed = [theirs("PO7 all", 1, key=bill_key(7, 2)), theirs("PO7", 50), theirs("PO7 / x", 300)]
    assert compared(made, keyed) == [
        ("PO7 / S1", "different", "330.00", "300.00", "30.00"),
        ("PO7 / S2", "different", "770.00", "1.00", "769.00"),
        ("PO7 / S3", "matched", "50.00", "50.00", "0.00"),
    ]


def test_a_bill_from_outside_the_period_is_matched_but_never_missed() -> None:
    assert compared([ours(1)], [theirs("PO7", asked=False), theirs("RENT", asked=False)]) == [
        ("PO7 / S1", "matched", "110.00", "110.00", "0.00")
    ]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from([10, 20])), unique_by=lambda one: one[:2]),
    st.lists(st.tuples(st.sampled_from(["PO1", "PO2, PO3", "PO3 / 1", "RENT"]), st.sampled_from([10, 20]))),
)
def test_every_bill_of_either_side_is_counted_once(
    made: list[tuple[int, int, int]], keyed: list[tuple[str, int]]
) -> None:
    """So the sums of the report are those of both systems."""
    rows = parallel_run(
        [ours(n, amount, of=of) for of, n, amount in made], [theirs(number, amount) for number, amount in keyed]
    )
    sums = {side: sum(Decimal(str(row[side])) for row in rows if row[side] != "") for side in ("ours", "theirs")}
    assert sums == {"ours": sum(one[2] for one in made), "theirs": sum(one[1] for one in keyed)}
    assert sum(Decimal(str(row["difference"])) for row in rows) == sums["ours"] - sums["theirs"]
    for row in rows:
        assert (row["verdict"] == "matched") == (row["ours"] == row["theirs"])
