"""The lifecycle of purchase orders: states by fields alone, the table that answers them, and who signed it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import PurchaseOrder, PurchaseOrderLine, PurchaseOrderStatus, Reference, SourcePurchaseOrder
from mappings.csv_tables import TablesUnusable
from mappings.lifecycle import (
    PRESETS,
    Event,
    Lifecycle,
    LifecycleRow,
    Role,
    Signature,
    State,
    objections,
    prose,
    read_lifecycle,
    read_signatures,
    receipt_state,
    received,
    signed_text,
    states_of,
    unsigned,
)

HEADER = "organisation,state,event,status\n"
DAY = date(2026, 3, 1)


def line(quantity: str, got: int = 0, status: str = "Waiting", **more: Any) -> PurchaseOrderLine:
    """A line of an order as ConnectWise gives it."""
    return PurchaseOrderLine(
        id=1, quantity=Decimal(quantity), received_quantity=Decimal(got), received_status=status, **more
    )


def order(*lines: PurchaseOrderLine, **header: Any) -> SourcePurchaseOrder:
    return SourcePurchaseOrder(header=PurchaseOrder(id=77, vendor_company=Reference(id=9), **header), lines=lines)


STATUSES: dict[str, PurchaseOrderStatus | None] = {
    "unknown": None,
    "open": PurchaseOrderStatus(id=1, name="Received In Full"),
    "completed": PurchaseOrderStatus(id=2, name="Cancelled", closed_flag=True, default_closed_flag=True),
    "abandoned": PurchaseOrderStatus(id=3, name="New", closed_flag=True),
}
"""Their names say the opposite on purpose."""

# What each kind of line means to somebody in the warehouse: was anything received, and is more to come?
KINDS: dict[str, tuple[PurchaseOrderLine, bool, bool]] = {
    "waiting": (line("5"), False, True),
    "partly received": (line("5", 2), True, True),
    "partly received with decimals": (line("5.5", 5), True, True),
    "fully received": (line("5", 5, "FullyReceived"), True, False),
    "fully received, status not": (line("5", 5), True, False),
    "fully received with decimals": (line("2.5", 2, "FullyReceived"), True, False),
    "over-received": (line("5", 6, "FullyReceived"), True, False),
    "closed short": (line("5", 2, closed_flag=True), True, False),
    "closed with nothing": (line("5", closed_flag=True), False, False),
    "part received, rest cancelled": (line("5", 3, "PartiallyReceiveCancelRest"), True, False),
    "part received, rest cloned, shrunk": (line("3", 3, "PartiallyReceiveCloneRest"), True, False),
    "part received, rest cloned, not shrunk": (line("5", 3, "PartiallyReceiveCloneRest"), True, False),
    "clone of quantity 0": (line("0"), False, False),
    "clone of quantity 0, received": (line("0", 1), True, False),
    "cancelled": (line("5", canceled_flag=True), False, False),
    "cancelled after a part": (line("5", 2, canceled_flag=True), True, False),
}


def expected(closed: bool, status: str, kinds: Sequence[str], billed: bool) -> State:
    """The rule of connectwise.md, 11.6, said over what the lines mean."""
    something_came = any(KINDS[kind][1] for kind in kinds)
    more_to_come = any(KINDS[kind][2] for kind in kinds)
    if closed:
        more_to_come = False
    if something_came:
        return State.PARTIALLY_RECEIVED if more_to_come else State.FULLY_RECEIVED
    if billed:
        return State.REVERSED
    if status == "abandoned" or (status == "completed" and closed):
        return State.CANCELLED
    if kinds and set(kinds) == {"cancelled"}:
        return State.CANCELLED
    return State.RAISED


@pytest.mark.parametrize("billed", [False, True], ids=["not billed", "billed"])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("closed", [False, True], ids=["header open", "header closed"])
def test_every_combination_has_the_state_of_the_rule(closed: bool, status: str, billed: bool) -> None:
    """No line, and every one, two or three kinds of lines, in every header, status and billed."""
    for number in range(4):
        for kinds in combinations_with_replacement(KINDS, number):
            for turned in {kinds, kinds[::-1]}:
                source = order(*(KINDS[kind][0] for kind in turned), closed_flag=closed)
                found = receipt_state(source, STATUSES[status], billed)
                assert found is expected(closed, status, kinds, billed), turned


def state(*kinds: str, status: str = "open", closed: bool = False, billed: bool = False) -> str:
    source = order(*(KINDS[kind][0] for kind in kinds), closed_flag=closed)
    return receipt_state(source, STATUSES[status], billed).value


def test_an_order_is_raised_until_something_comes() -> None:
    assert state() == state("waiting") == state("waiting", "cancelled") == "raised"
    assert state("waiting", "clone of quantity 0") == "raised"


def test_an_order_without_lines_is_raised_while_it_is_open_and_cancelled_once_it_is_closed() -> None:
    assert state(closed=False) == "raised"
    assert state(closed=True, status="completed") == state(closed=True, status="abandoned") == "cancelled"


def test_a_part_with_its_rest_on_a_clone_is_partial_until_the_clone_is_received() -> None:
    """Whether the first line shrinks is not confirmed (connectwise.md, 11.4); neither answer may keep it open."""
    for first in ("part received, rest cloned, shrunk", "part received, rest cloned, not shrunk"):
        assert state(first, "waiting") == "partially_received"
        assert state(first, "fully received") == "fully_received"


def test_an_order_is_fully_received_whether_or_not_it_is_closed() -> None:
    """Closing by itself is a setting of the tenant."""
    assert state("fully received") == state("fully received", closed=True, status="completed") == "fully_received"


def test_closing_an_order_ends_the_lines_that_still_wait() -> None:
    assert state("partly received", "waiting", closed=True, status="completed") == "fully_received"
    assert state("partly received", "waiting", closed=True, status="abandoned") == "fully_received"
    assert state("partly received", "waiting", closed=True, status="open") == "fully_received"
    assert state("partly received", "waiting", closed=False, status="completed") == "partially_received"


def test_an_order_is_cancelled_by_its_status_by_its_lines_or_by_closing_it_empty() -> None:
    assert state("waiting", status="abandoned") == "cancelled"
    assert state("cancelled", "cancelled") == "cancelled"
    assert state("waiting", status="completed", closed=True) == "cancelled"


def test_an_order_closed_in_a_status_that_nobody_knows_is_not_taken_for_cancelled() -> None:
    """A cancelled order is deleted in Xero, and nothing is deleted because something is missing."""
    assert state("waiting", status="unknown", closed=True) == "raised"


def test_what_was_received_before_the_order_was_cancelled_counts() -> None:
    assert state("fully received", "waiting", status="abandoned") == "partially_received"
    assert state("fully received", "cancelled", status="abandoned") == "fully_received"


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_that_was_billed_and_then_sent_back_is_reversed_and_never_cancelled(status: str) -> None:
    """Cancelled or not: cancelling deletes in Xero, and there is a bill to be looked at."""
    for kinds in ([], ["waiting"], ["cancelled"]):
        for closed in (False, True):
            assert state(*kinds, status=status, closed=closed, billed=True) == "reversed"


def test_names_of_statuses_mean_nothing() -> None:
    source = order(line("5"))
    for status in filter(None, STATUSES.values()):
        renamed = status.model_copy(update={"name": "Anything"})
        assert receipt_state(source, renamed, billed=False) is receipt_state(source, status, billed=False)


# How much of a line was received


@pytest.mark.parametrize(
    ("quantity", "got", "status", "words"),
    [
        ("5", 3, "Waiting", "3"),
        ("5", 5, "FullyReceived", "5"),
        ("5", 3, "FullyReceived", "3"),
        ("5", 7, "FullyReceived", "7"),
        ("2.5", 2, "FullyReceived", "2.5"),
        ("2.5", 3, "FullyReceived", "2.5"),
        ("2.4", 2, "FullyReceived", "2.4"),
        ("2.4", 3, "FullyReceived", "3"),
        ("2.6", 3, "FullyReceived", "2.6"),
        ("2.5", 1, "FullyReceived", "1"),
        ("0.4", 0, "FullyReceived", "0.4"),
        ("0.4", 0, "Waiting", "0"),
        ("2.5", 2, "Waiting", "2"),
        ("2.5", 2, "PartiallyReceiveCloneRest", "2"),
        ("2.5", 2, "PartiallyReceiveCancelRest", "2"),
        ("5", -1, "Waiting", "0"),
        ("-2", -2, "FullyReceived", "0"),
        ("-2.5", -2, "FullyReceived", "0"),
    ],
)
def test_received_is_the_whole_number_but_for_decimals_that_it_lost(
    quantity: str, got: int, status: str, words: str
) -> None:
    assert received(line(quantity, got, status)) == Decimal(words)


# All states of an order


def test_the_vendor_invoice_and_the_payment_come_beside_the_receipt_state_and_after_it() -> None:
    source = order(line("5", 5, "FullyReceived"), vendor_invoice_number="INV-9")
    assert states_of(source, None, billed=True, paid=True) == (
        State.FULLY_RECEIVED,
        State.VENDOR_INVOICE_RECEIVED,
        State.PAID,
    )
    assert states_of(source, None, billed=True, paid=False) == (State.FULLY_RECEIVED, State.VENDOR_INVOICE_RECEIVED)


def test_a_blank_vendor_invoice_number_is_none() -> None:
    assert states_of(order(vendor_invoice_number="  "), None, billed=False, paid=False) == (State.RAISED,)


# lifecycle.csv


def read(text: str) -> Lifecycle:
    return read_lifecycle((HEADER + text).encode())


def problems(text: str) -> list[str]:
    with pytest.raises(TablesUnusable) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_row_is_read_with_its_place_and_says_it() -> None:
    (row,) = read("\n Sydney ,Fully_Received, update_po + Draft_Bill ,Authorised\n").rows
    events = (Event.UPDATE_PO, Event.DRAFT_BILL)
    assert row == LifecycleRow("Sydney", State.FULLY_RECEIVED, events, "authorised", 3)
    assert str(row) == "lifecycle.csv row 3"
    assert row.cited == "lifecycle.csv row 3: Sydney,fully_received,update_po+draft_bill,authorised"


def test_no_file_is_a_table_without_rows() -> None:
    assert read_lifecycle(None) == Lifecycle()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (",received,none,\n", "row 2, column state", "'received' is not known; allowed: raised, partially_received"),
        (",,none,\n", "row 2, column state", "one is missing; allowed: raised"),
        (",*,none,\n", "row 2, column state", "'*' is not known"),
        (",raised,bill,\n", "row 2, column event", "'bill' is not known; allowed: none, draft_po"),
        (",raised,,\n", "row 2, column event", "one is missing; allowed: none"),
        (",raised,draft_po+,\n", "row 2, column event", "one is missing; allowed: none"),
        (",raised,draft_po+draft_po,\n", "row 2, column event", "draft_po is there twice"),
        (",raised,none+draft_po,\n", "row 2, column event", "none stands alone"),
        (",raised,draft_po+hold,\n", "row 2, column event", "hold stands alone"),
        (",raised,none,paid\n", "row 2, column status", "'paid' is not known; allowed: draft, submitted, authorised"),
        ("A b,raised,none,\n\na  B,RAISED,hold,\n", "row 4, column organisation", "the same keys as row 2"),
        (",raised,none,\n*,raised,none,\n", "row 3, column organisation", "the same keys as row 2"),
        (",raised,=1,\n", "row 2, column event", "looks like a formula"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_row_and_column(text: str, place: str, words: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"lifecycle.csv, {place}: {words}")


def test_every_problem_of_the_file_is_told_at_once() -> None:
    found = problems(",paid,x,\n,raised,none,x\n=,raised,none,\n")
    assert [problem.split(":")[0] for problem in found] == [
        "lifecycle.csv, row 2, column event",
        "lifecycle.csv, row 3, column status",
        "lifecycle.csv, row 4, column organisation",
    ]


def test_a_missing_column_is_told() -> None:
    with pytest.raises(TablesUnusable, match="row 1, column status: the column is missing"):
        read_lifecycle(b"organisation,state,event\n")


def test_a_row_of_the_organisation_fires_before_one_of_any_in_the_order_of_the_states() -> None:
    table = read(",paid,none,\n*,fully_received,draft_bill,\nSydney,fully_received,hold,\n")
    states = (State.FULLY_RECEIVED, State.VENDOR_INVOICE_RECEIVED, State.PAID)
    assert [row.number for row in table.fired("sydney ", states)] == [4, 2]
    assert [row.number for row in table.fired("Auckland", states)] == [3, 2]
    assert [row.number for row in table.fired("Auckland", states[::-1])] == [2, 3]


def test_a_state_without_a_row_does_nothing() -> None:
    assert read("Sydney,paid,none,\n").fired("Auckland", tuple(State)) == ()


# Its hash

ROWS = [
    ["", "raised", "draft_po", ""],
    ["", "fully_received", "update_po+draft_bill", "draft"],
    ["Sydney", "fully_received", "hold", ""],
    ["Head Office", "paid", "none", ""],
]


def text_of(rows: Sequence[Sequence[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


@given(st.randoms(use_true_random=False))
def test_order_case_blanks_and_notes_do_not_change_the_hash(chance: random.Random) -> None:
    """What the table decides is signed, not how somebody typed it."""
    rows = [
        [cell.upper() if chance.random() < 0.5 else f"  {cell.replace(' ', '   ')} " for cell in row] for row in ROWS
    ]
    for row in rows:
        row[0] = chance.choice(["", "*"]) if not row[0].strip() else row[0]
        events = row[2].split("+")
        chance.shuffle(events)
        row[2] = chance.choice(["+", " + "]).join(events)
    chance.shuffle(rows)
    noted = "\ufeffstate,note,event,status,organisation\n\n" + "".join(
        f"{state_},because {number},{event},{status},{organisation}\n"
        for number, (organisation, state_, event, status) in enumerate(rows)
    )
    assert read_lifecycle(noted.encode()).digest == read(text_of(ROWS)).digest


def test_whatever_the_table_decides_changes_the_hash() -> None:
    same = read(text_of(ROWS)).digest
    others = [
        *(ROWS[:place] + ROWS[place + 1 :] for place in range(len(ROWS))),
        [*ROWS, ["", "paid", "none", ""]],
        [["Perth", *ROWS[0][1:]], *ROWS[1:]],
        [["", "partially_received", *ROWS[0][2:]], *ROWS[1:]],
        [["", "raised", "none", ""], *ROWS[1:]],
        [["", "raised", "draft_po", "draft"], *ROWS[1:]],
    ]
    digests = {read(text_of(rows)).digest for rows in others}
    assert len(digests | {same}) == len(others) + 1
    assert len(same) == 64


# Presets


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_answers_every_state_and_makes_sense(name: str) -> None:
    table = read_lifecycle(PRESETS[name].encode())
    assert [row.state for row in table.rows] == list(State)
    assert objections(table) == []


def test_the_presets_are_the_three_of_the_design() -> None:
    decided = {
        name: {
            row.state.value: "+".join(row.events)
            for row in read_lifecycle(text.encode()).rows
            if row.events != (Event.NONE,)
        }
        for name, text in PRESETS.items()
    }
    assert decided == {
        "manual": {},
        "goods_receipt": {
            "fully_received": "draft_bill",
            "reversed": "hold",
            "vendor_invoice_received": "update_bill_from_vendor_invoice",
        },
        "full_lifecycle": {
            "raised": "draft_po",
            "partially_received": "update_po",
            "fully_received": "update_po",
            "cancelled": "delete_po",
            "reversed": "hold",
            "vendor_invoice_received": "bill_per_receipt",
        },
    }


# Whether it makes sense


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        *(
            (f",{state_},{event},\n", [f"lifecycle.csv row 2 has {event} at {state_}, when "])
            for state_ in ("raised", "cancelled", "reversed", "paid")
            for event in ("draft_bill", "bill_per_receipt")
        ),
        (
            ",fully_received,draft_bill+bill_per_receipt,\n",
            ["lifecycle.csv row 2 has both draft_bill and bill_per_receipt, two bills for one receipt; keep one"],
        ),
        (
            ",partially_received,bill_per_receipt,\n,fully_received,draft_bill,\n",
            ["lifecycle.csv row 3 has draft_bill and lifecycle.csv row 2 has bill_per_receipt, so on which bill"],
        ),
        *(
            (f",{state_},delete_po,\n", [f"lifecycle.csv row 2 has delete_po at {state_}; a purchase order is deleted"])
            for state_ in State
            if state_ is not State.CANCELLED
        ),
        *(
            (
                f",fully_received,{event},\n",
                [f"lifecycle.csv row 2 has {event}, but no row has draft_po, so there is no"],
            )
            for event in ("update_po", "approve_po", "mark_po_billed")
        ),
        (
            ",vendor_invoice_received,update_bill_from_vendor_invoice,\n",
            ["lifecycle.csv row 2 has update_bill_from_vendor_invoice, but no row has draft_bill or bill_per_receipt"],
        ),
        (",cancelled,delete_po,\n", []),
        (",raised,draft_po,\n,fully_received,update_po+approve_po+mark_po_billed,\n", []),
        (",partially_received,draft_bill,\n,fully_received,draft_bill,\n,vendor_invoice_received,draft_bill,\n", []),
        (",fully_received,draft_bill,\n,vendor_invoice_received,update_bill_from_vendor_invoice,\n", []),
        (",fully_received,update_bill_from_vendor_invoice,\n,partially_received,bill_per_receipt,\n", []),
        (",paid,hold,\n", []),
        ("", []),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_row(text: str, sentences: list[str]) -> None:
    found = objections(read(text))
    assert len(found) == len(sentences), found
    for sentence, start in zip(found, sentences, strict=True):
        assert sentence.startswith(start)
        assert sentence.endswith(".")


def test_hold_beside_other_events_is_refused_however_the_row_was_made() -> None:
    row = LifecycleRow("", State.FULLY_RECEIVED, (Event.DRAFT_BILL, Event.HOLD), "", 2)
    (sentence,) = objections(Lifecycle((row,)))
    assert "has hold beside other events" in sentence


def test_the_two_ways_to_bill_may_live_in_different_organisations() -> None:
    general = ",fully_received,draft_bill,\n"
    assert objections(read(f"{general}Sydney,fully_received,bill_per_receipt,\n")) == []
    (sentence,) = objections(read(f"{general}Sydney,partially_received,bill_per_receipt,\n"))
    assert sentence.startswith("lifecycle.csv row 2 has draft_bill and lifecycle.csv row 3 has bill_per_receipt")
    assert sentence.endswith(" for Sydney.")


def test_a_row_of_an_organisation_can_take_away_what_a_general_row_needs() -> None:
    """Told once and without a name where it is wrong for all, by name where it is wrong for one."""
    general = ",raised,draft_po,\n,fully_received,update_po,\n"
    (sentence,) = objections(read(f"{general}Sydney,raised,none,\n"))
    assert sentence.startswith("lifecycle.csv row 3 has update_po, but no row has draft_po")
    assert sentence.endswith(" for Sydney.")
    (once,) = objections(read(",fully_received,update_po,\nSydney,paid,none,\n"))
    assert "Sydney" not in once


# How it reads


def test_the_usual_table_reads_as_a_finance_lead_would_say_it() -> None:
    assert prose(read_lifecycle(PRESETS["goods_receipt"].encode())) == [
        "When an order has been placed and nothing of it has been received, nothing is done.",
        "When a part of an order has been received and more is to come, nothing is done.",
        (
            "When everything on an order has been received, a draft bill is made for all that was received and not yet "
            "billed."
        ),
        "When an order is cancelled or closed before anything of it was received, nothing is done.",
        (
            "When nothing of an order is received any more although some of it was billed, the order is held for a "
            "person to decide, and nothing is written for it."
        ),
        (
            "When the number of the vendor's invoice has been entered on an order, the vendor's invoice number and "
            "date are put on the bills in Xero."
        ),
        "When the bills of an order have been paid in Xero, nothing is done.",
    ]


def test_what_an_organisation_does_otherwise_is_said_on_both_sides() -> None:
    found = prose(read(",raised,draft_po,\nSydney,raised,none,\nPerth,raised,draft_po+approve_po,\n"))
    assert found[0].startswith("Except for Sydney and Perth, when an order has been placed")
    assert found[1].startswith("When a part of an order")
    assert found[7:] == [
        "For Sydney, when an order has been placed and nothing of it has been received, nothing is done.",
        (
            "For Perth, when an order has been placed and nothing of it has been received, a draft purchase order is "
            "made in Xero and the purchase order in Xero is approved."
        ),
    ]


def test_a_state_without_a_row_is_said_too() -> None:
    found = prose(read(",fully_received,bill_per_receipt,authorised\n"))
    assert len(found) == len(State)
    assert found[2].endswith("an approved bill is made for each receipt that is not yet billed.")
    assert found[0].endswith("nothing is done, since no row says otherwise.")
    assert prose(Lifecycle()) == ["Nothing is done for any order, since lifecycle.csv has no rows."]


def test_a_blank_status_is_said_to_be_the_policys() -> None:
    found = prose(read(",fully_received,draft_bill,\n,vendor_invoice_received,draft_bill,submitted\n"))
    assert ", a bill, in the status that policy.toml says, is made for all that was received" in found[2]
    assert ", a bill that waits for approval is made for all that was received" in found[5]


@pytest.mark.parametrize("event", Event)
def test_every_event_has_its_words(event: Event) -> None:
    (said,) = {prose(Lifecycle((LifecycleRow("", State.RAISED, (event,), "", 2),)))[0]}
    assert "{" not in said
    assert "_" not in said


# Who has signed it

TABLE = read_lifecycle(PRESETS["goods_receipt"].encode())
OPERATOR = Signature(Role.OPERATOR, "Ann", DAY, TABLE.digest)
LEAD = Signature(Role.FINANCE_LEAD, "Bob", DAY, TABLE.digest)


def old(signature: Signature) -> Signature:
    return Signature(signature.role, signature.name, signature.date, "0" * 64)


def test_a_table_that_both_have_signed_is_signed() -> None:
    assert unsigned(TABLE, (OPERATOR, LEAD)) == unsigned(TABLE, (LEAD, OPERATOR)) == ""


@pytest.mark.parametrize(
    ("signatures", "start", "asked"),
    [
        ((), "lifecycle.csv has not been signed by the operator and the finance lead; ", Role),
        ((OPERATOR,), "lifecycle.csv has not been signed by the finance lead; ", [Role.FINANCE_LEAD]),
        ((LEAD,), "lifecycle.csv has not been signed by the operator; ", [Role.OPERATOR]),
        (
            (old(OPERATOR), LEAD),
            "lifecycle.csv was changed after operator Ann signed it on 2026-03-01; ",
            [Role.OPERATOR],
        ),
        (
            (OPERATOR, old(LEAD)),
            "lifecycle.csv was changed after finance lead Bob signed it on 2026-03-01; ",
            [Role.FINANCE_LEAD],
        ),
        (
            (old(OPERATOR), old(LEAD)),
            "lifecycle.csv was changed after operator Ann signed it on 2026-03-01 and finance lead Bob signed it on",
            Role,
        ),
        (
            (old(OPERATOR),),
            "lifecycle.csv was changed after operator Ann signed it on 2026-03-01 and has not been signed by the fin",
            Role,
        ),
        (
            (OPERATOR, Signature(Role.FINANCE_LEAD, " ANN ", DAY, TABLE.digest)),
            "lifecycle.csv has been signed by Ann in both roles, and it takes two people; ",
            [Role.FINANCE_LEAD],
        ),
    ],
)
def test_otherwise_it_says_who_must_sign_what_and_how(
    signatures: tuple[Signature, ...], start: str, asked: Sequence[Role]
) -> None:
    said = unsigned(TABLE, signatures)
    assert said.startswith(start), said
    assert TABLE.digest[:12] in said
    for role in Role:
        assert (f"tieout lifecycle sign --name NAME --role {role}`" in said) == (role in asked)


def test_a_table_without_rows_cannot_be_signed() -> None:
    empty = Lifecycle()
    both = [Signature(role, name, DAY, empty.digest) for role, name in zip(Role, ("Ann", "Bob"), strict=True)]
    assert "tieout lifecycle init" in unsigned(empty, both)


NAMES = st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(lambda text: text and text.isprintable())


@given(NAMES, NAMES, st.dates())
def test_signatures_come_back_from_the_file_as_they_were_written(ann: str, bob: str, on: date) -> None:
    """Whatever people are called, quotes and backslashes included."""
    operator = Signature(Role.OPERATOR, ann, on, TABLE.digest)
    lead = Signature(Role.FINANCE_LEAD, bob, on, "f" * 64)
    assert read_signatures(signed_text([lead, operator]).encode()) == (operator, lead)
    assert read_signatures(signed_text([lead]).encode()) == (lead,)


def test_without_the_file_nobody_has_signed() -> None:
    assert read_signatures(None) == read_signatures(signed_text([]).encode()) == ()


SIGNED = signed_text([OPERATOR])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff", "not UTF-8"),
        (b"[operator", "not readable as TOML"),
        (b"[owner]\n", "unknown section owner; allowed: operator, finance_lead"),
        (b"operator = 1\n", "[operator] needs name, date, sha256"),
        (b"[operator]\nname = 'Ann'\n", "[operator] needs name, date, sha256"),
        (f"{SIGNED}mail = 'x'\n".encode(), "[operator] needs name, date, sha256, and nothing else"),
        (SIGNED.replace('"Ann"', '" "').encode(), "[operator] name = ' ' is no name"),
        (SIGNED.replace('"Ann"', "7").encode(), "[operator] name = 7 is no name"),
        (SIGNED.replace("2026-03-01", '"2026-03-01"').encode(), "[operator] date = '2026-03-01' is no date"),
        (SIGNED.replace("2026-03-01", "2026-03-01T09:00:00").encode(), "is no date"),
        (SIGNED.replace(TABLE.digest, TABLE.digest[:-1]).encode(), "is no SHA-256"),
        (SIGNED.replace(TABLE.digest, TABLE.digest + "0").encode(), "is no SHA-256"),
    ],
)
def test_a_file_of_signatures_that_cannot_be_read_says_where(content: bytes, words: str) -> None:
    with pytest.raises(TablesUnusable) as caught:
        read_signatures(content)
    (problem,) = caught.value.problems
    assert problem.file == "lifecycle.signed.toml"
    assert words in str(problem)
