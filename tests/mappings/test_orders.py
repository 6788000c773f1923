"""A purchase order's own document: what it should be, and as what Xero gets it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.billing import Firing, ordered_value
from mappings.bills import to_xero_bill
from mappings.connectwise import SourceOrder, SourcePurchaseOrder
from mappings.kinds import PURCHASE_ORDER
from mappings.lifecycle import Event, State, objections, read_lifecycle
from mappings.merging import LastWrite, further
from mappings.orders import (
    Placed,
    all_billed,
    deleted_by_us,
    only_its_status,
    order_value,
    ordered_quantities,
    to_xero_order,
    wanted_order,
)
from mappings.outcomes import Hold, Reason
from mappings.plans import Adopt, Bound, Create, decide, names_order
from mappings.policy import Decisions
from mappings.posted import line_ids
from mappings.updates import Settled, Update, decide_update
from mappings.xero import Document, Found, write_json
from tests.mappings.orders import bill, line, order
from tests.mappings.samples import cents, held, mapped
from tests.mappings.test_bills import NO_ACCOUNT, more, world

XERO_ID = "cad45f66-9d54-5726-ad02-7928b43d3496"
DEFAULTS = Decisions()


def ordered_now(raw: SourcePurchaseOrder, **fields: Any) -> SourceOrder:
    """The order as a source, a draft unless told otherwise."""
    given_ = {"header": raw.header, "lines": raw.lines, "quantities": ordered_quantities(raw.lines)} | fields
    return SourceOrder(**given_)


def made(raw: SourcePurchaseOrder, *files: Any, **fields: Any) -> Document:
    return mapped(to_xero_order(ordered_now(raw, **fields), world(*files)))


def answer(document: Document, **changes: Any) -> Found:
    """What Xero has after it took the document, as it answers for itself."""
    lines = [
        {**each.body(), "LineItemID": f"line-{each.key}", "LineAmount": each.amount, "TaxAmount": each.tax}
        for each in document.lines
    ]
    body: dict[str, Any] = {
        **document.body(), "PurchaseOrderID": XERO_ID, "SubTotal": document.subtotal, "Total": document.total,
        "LineItems": lines,
    }  # fmt: skip
    return Found.parse(json.loads(write_json(body | changes), parse_float=Decimal))


def bound(document: Document) -> Bound:
    return Bound(
        document.tenant_id, document.organisation, XERO_ID, document.reference, document.fingerprint, 1, document.total,
        document.currency, document.date,
    )  # fmt: skip


def last(document: Document, **changes: Any) -> LastWrite:
    found = answer(document, **changes)
    return LastWrite(document, found, line_ids(document, found))


def placed(document: Document, **changes: Any) -> Placed:
    return Placed(bound(document), last(document, **changes))


def decided(new: Document, old: Document, take: Any = "", **theirs: Any) -> Update | Settled | Hold:
    return decide_update(new, bound(old), last(old), answer(old, **theirs), DEFAULTS, None, take)


def written(update: Update | Settled | Hold) -> dict[str, Any]:
    assert isinstance(update, Update)
    return update.merged.body


# What is ordered


def test_the_document_holds_what_is_ordered_and_nothing_of_what_came() -> None:
    raw = order(line(1, 10, 3), line(2, 4, 4, "2.505"), vendorOrderNumber="SO-55")
    document = made(raw)
    assert [(one.quantity, one.unit_amount, one.account_code) for one in document.lines] == [
        (Decimal(10), Decimal(100), "300"), (Decimal(4), Decimal("2.505"), "300"),
    ]  # fmt: skip
    assert (document.number, document.document_reference, document.date) == ("PO7", "SO-55", date(2026, 2, 20))
    assert (document.kind, document.connectwise_id, document.status) == (PURCHASE_ORDER, 7, "DRAFT")
    assert document.subtotal == Decimal("1010.02")


@pytest.mark.parametrize(
    ("cut", "counts"),
    [
        ({"receivedStatus": "PartiallyReceiveCloneRest"}, 3),
        ({"receivedStatus": "PartiallyReceiveCancelRest"}, 3),
        ({"receivedStatus": "Waiting", "canceledFlag": True}, 3),
        ({"receivedStatus": "Waiting"}, 10),
    ],
)
def test_what_was_cancelled_or_cloned_counts_as_far_as_it_came(cut: dict[str, Any], counts: int) -> None:
    assert [one.quantity for one in made(order(line(1, 10, 3, **cut))).lines] == [counts]


def test_a_cancelled_line_is_left_out_and_its_delivery_with_it() -> None:
    gone = line(2, 4, canceledFlag=True, expectedArrivalDate="2026-09-01T00:00:00Z")
    document = made(order(line(1, expectedShipDate="2026-03-09T00:00:00Z"), gone))
    assert len(document.lines) == 1 and document.due_date == date(2026, 3, 9)
    assert document.body()["DeliveryDate"] == "2026-03-09"


def test_arrival_is_what_counts_where_both_are_known() -> None:
    both = line(1, expectedShipDate="2026-03-09T00:00:00Z", expectedArrivalDate="2026-03-05T00:00:00Z")
    assert made(order(both)).due_date == date(2026, 3, 5)
    assert made(order(line(1))).due_date is None


def test_the_body_has_neither_a_type_nor_a_link_nor_a_due_date() -> None:
    body = made(order(line(1))).body()
    assert not {"Type", "Url", "DueDate", "DeliveryDate", "InvoiceNumber"} & body.keys()
    assert body["PurchaseOrderNumber"] == "PO7"


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9999), st.booleans()), min_size=1, max_size=6
    )
)
def test_the_document_comes_to_what_is_ordered(rows: list[tuple[int, int, int, bool]]) -> None:
    lines = [
        line(number, many, min(came, many), Decimal(cost) / 100, canceledFlag=off)
        for number, (many, came, cost, off) in enumerate(rows, 1)
    ]
    raw = order(*lines)
    source = ordered_now(raw)
    assert order_value(source) == cents(ordered_value(raw.lines))
    if source.quantities:
        assert abs(made(raw).subtotal - ordered_value(raw.lines)) <= Decimal("0.01") * len(lines)


def test_a_document_survives_being_kept_as_text() -> None:
    for raw in (order(line(1)), order(line(1, expectedShipDate="2026-03-09T00:00:00Z"))):
        document = made(raw)
        assert Document.from_text(document.to_text()) == document


def test_the_template_makes_the_number_and_the_vendors_invoice_has_no_say() -> None:
    policy = '[purchases]\npurchase_order_number = "MSP-{po_number} {vendor_invoice_number}"\n'
    raw = order(line(1), vendorInvoiceNumber="INV-9")
    assert mapped(to_xero_order(ordered_now(raw), world(policy=policy))).number == "MSP-PO7"


@pytest.mark.parametrize(
    ("fields", "reason", "value"),
    [
        ({"poNumber": " "}, Reason.UNREADABLE_RECORD, "poNumber"),
        ({"poDate": None}, Reason.UNREADABLE_RECORD, "poDate"),
        ({"poNumber": "7" * 256}, Reason.UNREADABLE_RECORD, "7" * 60),
        ({"vendorCompany": {"id": None, "name": ""}}, Reason.UNREADABLE_RECORD, "vendorCompany"),
    ],
)
def test_an_order_that_lacks_something_is_held(fields: dict[str, Any], reason: Reason, value: str) -> None:
    hold = held(to_xero_order(ordered_now(order(line(1), **fields)), world()))
    assert (hold.reason, hold.value) == (reason, value)


def test_a_line_without_an_account_holds_it() -> None:
    assert held(to_xero_order(ordered_now(order(line(1))), world(NO_ACCOUNT))).reason is Reason.MISSING_ACCOUNT


def test_a_tax_that_does_not_tie_out_holds_it() -> None:
    raw = order(line(1, tax=Decimal(90)))
    assert held(to_xero_order(ordered_now(raw), world())).reason is Reason.TAX_DIFFERS


def test_what_changes_its_content_and_what_does_not() -> None:
    content = ordered_now(order(line(1, 10))).content
    same = (
        order(line(1, 10, 4)),
        order(line(1, 10, packingSlip="S1")),
        order(line(1, 10), vendorInvoiceNumber="INV-9"),
        order(line(1, 10), closedFlag=True),
        order(line(1, 10), freightCost=Decimal(15)),
    )
    assert {ordered_now(raw).content for raw in same} == {content}
    others = (
        order(line(1, 11)),
        order(line(1, 10, cost=90)),
        order(line(1, 10, expectedShipDate="2026-03-09T00:00:00Z")),
        order(line(1, 10), vendorOrderNumber="SO-1"),
        order(line(1, 10), poDate="2026-02-21T00:00:00Z"),
        order(line(1, 10), poNumber="PO8"),
        order(line(1, 10), line(2)),
    )
    assert len({ordered_now(raw).content for raw in others} | {content}) == len(others) + 1


# What it should be


OLD = made(order(line(1)))


def fires(state: State, *events: Event) -> Firing:
    return Firing(state, frozenset(events), "", ("row 2",))


def wanted(
    firing: Firing, there: Placed | None = None, billed: bool = False, raw: SourcePurchaseOrder | None = None
) -> SourceOrder | Hold | None:
    return wanted_order(raw or order(line(1)), firing, there, billed)


RAISED, PARTLY, FULLY = State.RAISED, State.PARTIALLY_RECEIVED, State.FULLY_RECEIVED
DEAD = replace(OLD, status="DELETED", number="PO7-VOID-7-cad45f66")


@pytest.mark.parametrize(
    ("firing", "there", "billed", "status"),
    [
        (fires(RAISED, Event.DRAFT_PO), None, False, "DRAFT"),
        (fires(RAISED, Event.DRAFT_PO, Event.APPROVE_PO), None, False, "AUTHORISED"),
        (fires(RAISED, Event.UPDATE_PO), None, False, None),
        (fires(RAISED, Event.APPROVE_PO), None, False, None),
        (fires(RAISED, Event.NONE), None, False, None),
        (fires(RAISED, Event.HOLD), None, False, None),
        (fires(PARTLY, Event.UPDATE_PO), placed(OLD), False, "DRAFT"),
        (fires(PARTLY, Event.APPROVE_PO), placed(OLD), False, "AUTHORISED"),
        (fires(PARTLY, Event.NONE), placed(OLD), False, None),
        (fires(PARTLY, Event.HOLD), placed(OLD), False, None),
        (fires(PARTLY, Event.UPDATE_PO), placed(replace(OLD, status="AUTHORISED")), False, "AUTHORISED"),
        (fires(FULLY, Event.UPDATE_PO), placed(OLD), True, "BILLED"),
        (fires(FULLY, Event.MARK_PO_BILLED), placed(OLD), True, "BILLED"),
        (fires(FULLY, Event.MARK_PO_BILLED), placed(OLD), False, None),
        (fires(FULLY, Event.NONE), placed(OLD), True, None),
        (fires(FULLY, Event.DRAFT_BILL), placed(OLD), True, None),
        (fires(PARTLY, Event.UPDATE_PO), placed(OLD), True, "DRAFT"),
        (fires(FULLY, Event.UPDATE_PO), placed(replace(OLD, status="BILLED")), False, "BILLED"),
        (fires(State.CANCELLED, Event.DELETE_PO), placed(OLD), False, "DELETED"),
        (fires(State.CANCELLED, Event.DELETE_PO), None, False, None),
        (fires(State.CANCELLED, Event.DELETE_PO), placed(DEAD), False, None),
        (fires(RAISED, Event.DELETE_PO), placed(OLD), False, None),
        (fires(RAISED, Event.DRAFT_PO), placed(DEAD), False, "DRAFT"),
        (fires(RAISED, Event.UPDATE_PO), placed(DEAD), False, None),
    ],
)
def test_what_an_order_should_be_by_what_fires(
    firing: Firing, there: Placed | None, billed: bool, status: str | None
) -> None:
    found = wanted(firing, there, billed)
    assert not isinstance(found, Hold)
    assert (found.status if found is not None else None) == status


def test_an_order_of_which_nothing_is_ordered_is_not_made_and_one_that_is_there_is_held() -> None:
    nothing = order(line(1, 10, canceledFlag=True))
    assert wanted(fires(RAISED, Event.DRAFT_PO), raw=nothing) is None
    hold = wanted(fires(RAISED, Event.DRAFT_PO), placed(OLD), raw=nothing)
    assert isinstance(hold, Hold) and hold.reason is Reason.LINES_INCOMPLETE


def test_a_deletion_needs_no_table_and_renames() -> None:
    source = wanted(fires(State.CANCELLED, Event.DELETE_PO), placed(OLD))
    assert isinstance(source, SourceOrder)
    document = mapped(to_xero_order(source, world(NO_ACCOUNT)))
    assert document == replace(OLD, status="DELETED", number="PO7-VOID-7-cad45f66", rows_used=document.rows_used)
    assert document.rows_used[0] == "row 2"


def test_a_renamed_number_is_never_longer_than_xero_takes() -> None:
    long = replace(OLD, number="7" * 255)
    source = wanted(fires(State.CANCELLED, Event.DELETE_PO), placed(long))
    assert isinstance(source, SourceOrder)
    number = mapped(to_xero_order(source, world())).number
    assert len(number) == 255 and number.endswith("-VOID-7-cad45f66")


def test_a_step_says_nothing_but_the_status() -> None:
    """Also where the order has changed since: what is held for a person is not written with it."""
    source = ordered_now(order(line(1, 99)), status="BILLED")
    document = mapped(to_xero_order(only_its_status(source, OLD), world(NO_ACCOUNT)))
    assert document == replace(OLD, status="BILLED", rows_used=document.rows_used)


def test_deleted_by_us_is_what_bears_the_name_that_we_gave_it() -> None:
    assert deleted_by_us(last(DEAD))
    assert not deleted_by_us(last(OLD, Status="DELETED"))
    assert not deleted_by_us(LastWrite(DEAD, answer(OLD, Status="DELETED"), {}))
    assert not deleted_by_us(LastWrite(DEAD, answer(OLD), {}))


@pytest.mark.parametrize(
    ("lines", "bills", "billed"),
    [
        ([line(1, 10, 10)], [{"line:1": 10}], True),
        ([line(1, 10, 10)], [{"line:1": 4}, {"line:1": 6}], True),
        ([line(1, 10, 10)], [{"line:1": 9}], False),
        ([line(1, 10, 10)], [], False),
        ([line(1, 10)], [], False),
        ([line(1, 10, 10), line(2, 4)], [{"line:1": 10}], True),
        ([line(1, 10, 10), line(2, 4, 1)], [{"line:1": 10}], False),
    ],
)
def test_billed_is_what_came_and_is_on_a_bill(
    lines: Iterable[Mapping[str, Any]], bills: list[dict[str, int]], billed: bool
) -> None:
    raw = order(*lines, freightCost=Decimal(15))
    assert all_billed(raw, [{key: Decimal(many) for key, many in each.items()} for each in bills]) is billed


# What is written of it


def test_an_edit_names_the_order_by_its_id_and_never_its_number() -> None:
    new = made(order(line(1, 12)))
    body = written(decided(new, OLD))
    assert body["PurchaseOrderID"] == XERO_ID and "PurchaseOrderNumber" not in body and "Status" not in body
    assert [(one["LineItemID"], one["Quantity"]) for one in body["LineItems"]] == [("line-line:1", 12)]


@pytest.mark.parametrize("theirs", ["DRAFT", "SUBMITTED", "AUTHORISED", "BILLED"])
@pytest.mark.parametrize("ours", ["DRAFT", "AUTHORISED", "BILLED"])
def test_a_status_is_raised_and_never_lowered(ours: str, theirs: str) -> None:
    action = decided(replace(OLD, status=ours), OLD, Status=theirs)
    if ours == "DRAFT" or further(ours, theirs) == theirs:
        assert isinstance(action, Settled)
    else:
        body = written(action)
        assert body.keys() == {"PurchaseOrderID", "Status", "Contact"} and body["Status"] == ours
        assert isinstance(action, Update) and action.is_step


def test_a_status_that_was_written_once_is_not_written_again() -> None:
    approved = replace(OLD, status="AUTHORISED")
    new = replace(made(order(line(1, 12))), status="AUTHORISED")
    body = written(
        decide_update(new, bound(approved), last(approved), answer(approved, Status="DRAFT"), DEFAULTS, None)
    )
    assert "Status" not in body and "LineItems" in body


def test_a_deletion_is_one_update_with_what_xero_asks_for() -> None:
    action = decided(DEAD, OLD, Status="AUTHORISED")
    assert isinstance(action, Update) and action.deletes and not action.is_step
    assert action.merged.body == {
        "PurchaseOrderID": XERO_ID,
        "PurchaseOrderNumber": "PO7-VOID-7-cad45f66",
        "Status": "DELETED",
        "Contact": {"ContactID": OLD.contact_id},
        "Date": "2026-02-20",
    }


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ({"Status": "BILLED"}, Reason.BILLED_IN_XERO),
        ({"Reference": "keep"}, Reason.EDITED_IN_XERO),
        ({"DeliveryDate": "2026-09-01"}, Reason.EDITED_IN_XERO),
        ({"PurchaseOrderNumber": "STOCK-1"}, Reason.EDITED_IN_XERO),
        ({"LineItems": []}, Reason.EDITED_IN_XERO),
        ({"HasAttachments": True}, Reason.EDITED_IN_XERO),
    ],
)
def test_nothing_that_a_person_touched_is_deleted(theirs: dict[str, Any], reason: Reason) -> None:
    hold = decided(DEAD, OLD, **theirs)
    assert isinstance(hold, Hold) and hold.reason is reason
    assert "cancelled" in hold.message and "--take theirs" in hold.fix
    again = decided(DEAD, OLD, take="ours", **theirs)
    assert isinstance(again, Hold if reason is Reason.BILLED_IN_XERO else Update)


def test_what_is_deleted_already_is_done() -> None:
    assert isinstance(decided(DEAD, OLD, Status="DELETED"), Settled)


def test_a_billed_order_is_not_changed_and_both_totals_are_told() -> None:
    hold = decided(made(order(line(1, 12))), OLD, Status="BILLED")
    assert isinstance(hold, Hold) and hold.reason is Reason.BILLED_IN_XERO
    assert "1100.00 AUD" in hold.message and "1320.00 AUD" in hold.message


def test_neither_a_lock_nor_approval_stops_an_edit() -> None:
    new = made(order(line(1, 12)))
    action = decide_update(new, bound(OLD), last(OLD), answer(OLD, Status="AUTHORISED"), DEFAULTS, date(2026, 12, 31))
    assert isinstance(action, Update)


# What is there already


def theirs(**changes: Any) -> Found:
    return answer(OLD, **changes)


def test_an_order_that_agrees_is_taken_over() -> None:
    assert decide(OLD, [theirs()], DEFAULTS) == Adopt(OLD, theirs())
    assert decide(OLD, [], DEFAULTS) == Create(OLD)


@pytest.mark.parametrize("take", ["", "ours", "theirs"])
def test_another_suppliers_order_is_never_taken_over(take: Any) -> None:
    other = theirs(Contact={"ContactID": "ffffffff-0000-4000-8000-000000000009", "Name": "Dell"})
    hold = held(decide(OLD, [other], DEFAULTS, take))
    assert hold.reason is Reason.NUMBER_CONFLICT


def test_a_deleted_one_keeps_its_number() -> None:
    hold = held(decide(OLD, [theirs(Status="DELETED")], DEFAULTS))
    assert hold.reason is Reason.NUMBER_CONFLICT and "never frees" in hold.fix


def test_a_bill_names_the_order_by_any_of_its_numbers() -> None:
    bill = Found.parse({"InvoiceID": "1", "Type": "ACCPAY", "InvoiceNumber": "MSP-PO7, MSP-PO9", "Reference": ""})
    assert names_order(bill, "PO7", "msp-po7") and not names_order(bill, "PO7") and not names_order(bill, "", "MSP-PO")


def test_a_bill_says_the_number_that_its_order_has_in_xero_where_that_is_another() -> None:
    policy = '[purchases]\npurchase_order_number = "MSP-{po_number}"\n'
    raw = order(line(1, 10, 10))
    first = [mapped(to_xero_bill(bill(raw), around)).lines[0] for around in (world(), world(policy=policy))]
    assert [one.description for one in first] == ["Purchase order PO7", "Purchase order PO7 (MSP-PO7)"]


# The table


def test_a_status_beside_an_order_that_makes_no_bill_cannot_be_signed() -> None:
    table = read_lifecycle(b"organisation,state,event,status\n,raised,draft_po,authorised\n")
    (sentence,) = objections(table)
    assert "approve_po" in sentence
    fine = b"organisation,state,event,status\n,raised,draft_po,\n,fully_received,update_po+draft_bill,authorised\n"
    assert objections(read_lifecycle(fine)) == []


def test_tables_of_purchases_are_those_of_bills() -> None:
    document = mapped(
        to_xero_order(ordered_now(order(line(1))), world(more("accounts.csv", ",purchases,product,,ITEM-1,310,")))
    )
    assert [one.account_code for one in document.lines] == ["310"]
