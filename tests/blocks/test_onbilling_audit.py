"""What the audit keeps of on-billing: orders as they were read, and what bills each line on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from blocks.audit import onbilling
from blocks.audit.database import Audit
from mappings.connectwise import PurchaseOrder, PurchaseOrderLine, Reference, SourcePurchaseOrder
from mappings.onbilling import Certainty, Trace

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def order(number: int, cost: str = "100.10") -> SourcePurchaseOrder:
    line = PurchaseOrderLine(
        id=number * 10,
        product=Reference(id=1, identifier="SWITCH"),
        quantity=Decimal("2.5"),
        unit_cost=Decimal(cost),
        sales_order=[Reference(id=801)],
    )
    header = PurchaseOrder(id=number, po_number=f"PO{number}", po_date=date(2026, 3, 1), vendor_company=Reference(id=9))
    return SourcePurchaseOrder(header=header, lines=(line,))


def trace(line: int, product: int, quantity: str = "2.5", certainty: Certainty = Certainty.CERTAIN) -> Trace:
    return Trace(line // 10, line, product, 39001, Decimal(quantity), certainty, "same sales order 801")


def test_an_order_comes_back_as_it_was_read_and_the_newest_reading_counts(any_audit: Audit) -> None:
    for cost in ("100.10", "99.90"):
        onbilling.keep_orders(any_audit, [(order(7, cost), f"digest {cost}")], [], NOW, None)
    assert onbilling.kept_orders(any_audit) == [order(7, "99.90")]
    assert onbilling.digests(any_audit) == {7: "digest 99.90"}


def test_an_order_that_is_not_shown_is_noted_and_one_that_was_read_before_stays(any_audit: Audit) -> None:
    onbilling.keep_orders(any_audit, [(order(7), "digest")], [8], NOW, None)
    onbilling.keep_orders(any_audit, [], [7, 8], NOW, None)
    assert onbilling.digests(any_audit) == {7: "digest", 8: ""}
    assert onbilling.kept_orders(any_audit) == [order(7)]


def test_what_is_known_of_lines_is_replaced_and_of_no_others(any_audit: Audit) -> None:
    onbilling.keep_traces(any_audit, [70, 80], [trace(70, 1, "1.5"), trace(70, 2, "1"), trace(80, 3)], NOW, None)
    onbilling.keep_traces(any_audit, [70], [trace(70, 2, certainty=Certainty.LIKELY)], NOW, None)
    assert onbilling.traces(any_audit) == [trace(70, 2, certainty=Certainty.LIKELY), trace(80, 3)]
    assert onbilling.traces(any_audit, [8]) == [trace(80, 3)]
    assert onbilling.traces(any_audit, []) == []


def test_many_lines_are_no_trouble(any_audit: Audit) -> None:
    lines = list(range(10, 20_000, 10))
    onbilling.keep_traces(any_audit, lines, [trace(line, 1) for line in lines], NOW, None)
    onbilling.keep_traces(any_audit, lines, [], NOW, None)
    assert onbilling.traces(any_audit, range(2000)) == []
