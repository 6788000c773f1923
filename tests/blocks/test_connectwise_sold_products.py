"""Reading what on-billing needs: sold products in few calls, and the system report by its columns' names."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.connectwise.client import PAGE_SIZE
from blocks.failures import NotConfigured, Unreachable
from tests.blocks.support import Server, answer, connectwise, utc
from tests.blocks.test_connectwise_client import asked


def test_many_sales_orders_are_asked_for_in_few_addresses_that_are_not_too_long() -> None:
    server = Server(answer(200, []))
    connectwise(server).sold_products("salesOrder/id", range(10_000, 11_000))
    assert 3 <= len(server.requests) <= 12
    assert all(len(str(request.url)) < 2000 for request in server.requests)
    conditions = [asked(request)["conditions"] for request in server.requests]
    found = [int(number) for each in conditions for number in each.partition("(")[2].rstrip(")").split(",")]
    assert found == list(range(10_000, 11_000))


def test_catalogue_items_are_asked_for_with_the_day_from_which_they_count() -> None:
    server = Server(answer(200, []))
    connectwise(server).sold_products("catalogItem/id", range(10_000, 11_000), utc("2026-03-01"))
    assert all(len(str(request.url)) < 2000 for request in server.requests)
    assert asked(server.requests[0])["conditions"].endswith(") and lastUpdated>=[2026-03-01T00:00:00Z]")


def test_nothing_is_asked_for_nothing() -> None:
    server = Server(answer(200, []))
    assert connectwise(server).sold_products("salesOrder/id", []) == []
    assert connectwise(server).system_report("R", ["a"], "a", []) == []
    assert not server.requests


def test_the_columns_of_a_report_are_the_keys_of_their_definitions() -> None:
    definitions = [{"Purchase_Header_RecID": {"type": "Numeric"}}, {"PO_Number": {"type": "Text"}}]
    server = Server(answer(200, definitions))
    assert connectwise(server).system_report_columns("R") == ["Purchase_Header_RecID", "PO_Number"]
    assert str(server.requests[0].url).endswith("/system/reports/R/columns")


def rows(*values: int) -> dict[str, Any]:
    return {"column_definitions": [{"id": {}}, {"n": {}}], "row_values": [[each, 1] for each in values]}


def test_a_report_is_read_page_by_page_by_its_columns() -> None:
    server = Server(answer(200, rows(*range(PAGE_SIZE))), answer(200, rows(5000)))
    found = connectwise(server).system_report("R", ["id", "n"], "id", [7])
    assert (len(found), found[-1]) == (PAGE_SIZE + 1, {"id": 5000, "n": 1})
    assert [asked(request)["page"] for request in server.requests] == ["1", "2"]
    assert asked(server.requests[0])["conditions"] == "id in (7)"
    assert asked(server.requests[0])["columns"] == "id,n"


def test_a_report_that_knows_no_pages_is_read_once() -> None:
    server = Server(answer(200, rows(*range(PAGE_SIZE))))
    assert len(connectwise(server).system_report("R", ["id"], "id", [7])) == PAGE_SIZE
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_role_without_the_report_is_a_sentence(status: int) -> None:
    server = Server(answer(status, {"code": "Forbidden", "message": "no"}))
    client = connectwise(server)
    for call in (lambda: client.system_report_columns("R"), lambda: client.system_report("R", ["a"], "a", [1])):
        with pytest.raises(NotConfigured):
            call()


def test_something_else_than_a_report_is_no_empty_report() -> None:
    with pytest.raises(Unreachable):
        connectwise(Server(answer(200, {"rows": []}))).system_report("R", ["a"], "a", [1])
