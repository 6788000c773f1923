"""Bills that orders share: no line twice, nothing lost, nothing merged that is there; and which lifecycle it needs."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.billing import FREIGHT, Billed, Firing, Pooled, Wanted, bills_of, pooled
from mappings.lifecycle import PRESETS, Event, State, read_lifecycle
from mappings.outcomes import Hold
from mappings.policy import read_policy
from mappings.shares import key_on, orders_on, share_of
from mappings.vendor_invoices import objections
from tests.mappings.orders import line, order

DRAFT = Firing(State.FULLY_RECEIVED, frozenset({Event.DRAFT_BILL}))
ONE_BILL = '[purchases]\nvendor_invoice_grouping = "one_bill"\n'
INVOICED = "organisation,state,event,status\n,vendor_invoice_received,draft_bill,draft\n"
KEYS = st.sampled_from([FREIGHT, "line:1", "line:77"])
QUANTITIES = st.dictionaries(KEYS, st.integers(1, 9).map(Decimal))


@given(st.dictionaries(st.integers(1, 12), QUANTITIES, min_size=1))
def test_what_a_bill_holds_of_an_order_is_read_back_from_it(shares: dict[int, dict[str, Decimal]]) -> None:
    lead = min(shares)
    whole = {key_on(lead, one, key): many for one, held in shares.items() for key, many in held.items()}
    assert len(whole) == sum(map(len, shares.values())), "two orders' keys are never alike"
    assert all(share_of(whole, lead, one) == held for one, held in shares.items())
    assert orders_on(whole, lead) == {one for one, held in shares.items() if held}


# One step of a history: the order, what is received of it from now on, its vendor's invoice, whether all is approved.
STEPS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 10), st.sampled_from(["", "A", "B"]), st.booleans()), max_size=25
)


@given(STEPS)
def test_whatever_comes_and_goes_each_receipt_is_on_one_bill_and_no_bill_is_merged(
    steps: list[tuple[int, int, str, bool]],
) -> None:
    received: dict[int, int] = dict.fromkeys(range(1, 5), 0)
    invoice: dict[int, str] = dict.fromkeys(range(1, 5), "")
    bills: dict[tuple[int, int], dict[str, Decimal]] = {}
    approved: set[tuple[int, int]] = set()
    for number, quantity, letter, approve in steps:
        received[number], invoice[number] = quantity, letter
        approved |= bills.keys() if approve else set()
        wanted: dict[int, list[Wanted]] = {}
        for one in received:
            mine = [
                Billed(n, "", share_of(held, lead, one), (lead, n) not in approved, lead=lead if lead != one else 0)
                for (lead, n), held in bills.items()
                if lead == one or share_of(held, lead, one)
            ]
            source = order(line(one, received=received[one]), id=one)
            firing = DRAFT if invoice[one] else Firing(State.FULLY_RECEIVED)
            found = bills_of(source, firing, mine, "never", "bill")
            assert not isinstance(found, Hold)
            wanted[one] = found
        before = {identity: orders_on(held, identity[0]) for identity, held in bills.items()}
        groups = {one: letter for one, letter in invoice.items() if letter}
        for bill in pooled(wanted, groups):
            identity = bill.lead, bill.n
            if bill.quantities or identity in bills:
                bills[identity] = bill.quantities
            if bill.is_new and bill.quantities:
                assert identity not in before, "a new bill under the key of one that is there"
                assert bill.lead == min(bill.shares)
                assert len({invoice[one] for one in bill.shares}) == 1
            elif identity in before:
                assert orders_on(bill.quantities, bill.lead) <= before[identity] | {bill.lead}, "merged"
        billed: dict[int, Decimal] = defaultdict(Decimal)
        for (lead, _), held in bills.items():
            for one in received:
                billed[one] += share_of(held, lead, one).get(f"line:{one}", Decimal(0))
        for one, quantity in received.items():
            if invoice[one]:
                assert billed[one] == quantity, "each receipt once"
            assert billed[one] <= quantity


def test_freight_of_its_own_and_bills_of_receipts_stay_alone() -> None:
    new = {
        1: [Wanted(1, "", {"line:1": Decimal(1)}, is_new=True), Wanted(2, FREIGHT, {FREIGHT: Decimal(1)}, is_new=True)],
        2: [Wanted(3, "", {"line:2": Decimal(1)}, is_new=True), Wanted(4, "S1", {"line:3": Decimal(1)}, is_new=True)],
        3: [Wanted(1, "", {"line:4": Decimal(1)}, is_new=True)],
    }
    bills = pooled(new, {1: "A", 2: "A"})
    assert [(bill.lead, bill.n, sorted(bill.shares)) for bill in bills] == [
        (1, 1, [1, 2]), (1, 2, [1]), (2, 4, [2]), (3, 1, [3]),
    ]  # fmt: skip
    assert bills[0].quantities == {"line:1": Decimal(1), "2/line:2": Decimal(1)}


def test_a_shared_bill_may_be_changed_only_while_it_is_a_draft_for_all() -> None:
    draft = Wanted(1, "", {"line:1": Decimal(1)}, editable=True)
    assert Pooled(1, 1, "", {1: draft}).editable
    assert not Pooled(1, 1, "", {1: draft, 2: Wanted(1, "", {}, editable=False, lead=1)}).editable


# Policy and lifecycle


def against(lifecycle: str, policy: str = ONE_BILL) -> list[str]:
    return objections(read_lifecycle(lifecycle.encode()), read_policy(policy.encode()))


@pytest.mark.parametrize("event", ["draft_bill", "bill_per_receipt"])
def test_one_bill_goes_with_a_bill_when_the_vendor_invoice_is_there_and_nowhere_else(event: str) -> None:
    fits = INVOICED.replace("draft_bill", event)
    assert against(fits) == []
    (sentence,) = against(f"{fits},fully_received,{event},\n")
    assert f"lifecycle.csv row 3 has {event} at fully_received" in sentence
    (sentence,) = against(f"{INVOICED.splitlines()[0]}\n,partially_received,{event},\n")
    assert "partially_received" in sentence
    assert against(f"{fits},fully_received,{event},\n", "") == [], "bill_per_po goes with any"


@pytest.mark.parametrize(("preset", "fits"), [("manual", True), ("goods_receipt", False), ("full_lifecycle", True)])
def test_of_the_presets_those_go_with_one_bill_that_bill_by_the_vendor_invoice_or_not_at_all(
    preset: str, fits: bool
) -> None:
    assert (against(PRESETS[preset]) == []) is fits


def test_an_organisation_is_looked_at_by_its_own_policy_and_its_own_rows() -> None:
    own = '[organisation."Perth".purchases]\nvendor_invoice_grouping = "one_bill"\n'
    general = "organisation,state,event,status\n,fully_received,draft_bill,\n"
    (sentence,) = against(general, own)
    assert "row 2 has draft_bill at fully_received" in sentence
    perth = "perth,fully_received,none,\nperth,vendor_invoice_received,draft_bill,\n"
    assert against(general + perth, own) == []
    (sentence,) = against(f"{general}perth,fully_received,none,\n", own)
    assert "at vendor_invoice_received for Perth" in sentence
