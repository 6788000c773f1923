"""The simulated Xero links bill lines to what they are billed on with, as far as public sources say."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from deployments.sandbox.wire import Request
from tests.sandbox.xero_client import (
    ZERO_GUID,
    Client,
    Json,
    World,
    bill,
    bill_line,
    check,
    contact_id,
    line,
    loaded,
    messages,
    official,
    sale,
)

LINKS = "/LinkedTransactions"
WRONG_SOURCE = "The SourceLineItemID and SourceTransactionID do not match"
WRONG_CONTACT = "The ContactID and the TargetTransaction ContactID do not match"


class Pair(NamedTuple):
    """A bill and an invoice of two lines each, and the customer."""

    bill: Json
    sale: Json
    customer: str

    def link(self, at: int = 0, to: int | None = 0) -> Json:
        """A linked transaction as a client would send it: from a bill line to an invoice line, or to none."""
        found = {"SourceTransactionID": self.bill["InvoiceID"], "SourceLineItemID": self.line("bill", at)}
        if to is not None:
            found |= {"TargetTransactionID": self.sale["InvoiceID"], "TargetLineItemID": self.line("sale", to)}
        return found

    def line(self, side: str, at: int) -> str:
        """The id of a line."""
        document = self.bill if side == "bill" else self.sale
        return str(document["LineItems"][at]["LineItemID"])


def pair(client: Client, status: str = "AUTHORISED", sold: str | None = None) -> Pair:
    """A bill and an invoice in given statuses."""
    lines = [bill_line(), bill_line(Description="Second")]
    bought = client.made(bill(client, "PO-7", Status=status, LineItems=lines))
    lines = [line(), line(Description="Second")]
    return Pair(bought, client.made(sale(client, "INV-7", Status=sold or status, LineItems=lines)), contact_id(client))


@pytest.fixture
def both(client: Client) -> Pair:
    """Both approved."""
    return pair(client)


def send(client: Client, method: str, path: str, body: Any, **headers: str) -> Json:
    """One call that must succeed; its one link."""
    answer = client.send(method, path, {}, body, **headers)
    assert answer.status == 200, answer.body
    (shown,) = loaded(answer)["LinkedTransactions"]
    found: Json = shown
    return found


def refused(client: Client, method: str, path: str, body: Any) -> list[str]:
    """Why a call is refused."""
    answer = client.send(method, path, {"summarizeErrors": "false"}, body)
    assert answer.status == 400, answer.body
    return messages(loaded(answer)["Elements"][0])


def listed(client: Client, **query: Any) -> list[Json]:
    """The links of a list."""
    found: list[Json] = client.read(LINKS, **query)["LinkedTransactions"]
    return found


# --- creating -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("listed_body", [True, False])
def test_a_link_is_made_from_a_bill_line_to_an_invoice_line(
    client: Client, both: Pair, method: str, listed_body: bool
) -> None:
    """Alone or in a list; the customer is the invoice's. Nothing else moves."""
    body = {"LinkedTransactions": [both.link()]} if listed_body else both.link()
    shown = send(client, method, LINKS, body)
    assert (shown["Status"], shown["Type"], shown["SourceTransactionTypeCode"]) == (
        "BILLED",
        "BILLABLEEXPENSE",
        "ACCPAY",
    )
    assert {name: shown[name] for name in both.link()} == both.link()
    assert shown["ContactID"] == both.customer
    assert client.one("LinkedTransactions", shown["LinkedTransactionID"]) == shown
    assert client.invoice(both.bill["InvoiceID"])["UpdatedDateUTC"] == both.bill["UpdatedDateUTC"]


def test_of_a_list_only_the_first_link_is_made_unless_a_switch_says_otherwise(world: World) -> None:
    """And nobody says so: the endpoint is for one at a time, by what was reported."""
    for switch, count in (("first", 1), ("all", 2)):
        client = world(linked_transaction_lists=switch)
        both = pair(client)
        body = {"LinkedTransactions": [both.link(), both.link(1, 1)]}
        answer = client.send("PUT", LINKS, {}, body)
        assert (answer.status, len(loaded(answer)["LinkedTransactions"])) == (200, count)
        assert len(client.organisation.linked_transactions()) == count


def test_a_list_with_one_bad_link_makes_none(world: World) -> None:
    """There is no summarizeErrors here."""
    client = world(linked_transaction_lists="all")
    both = pair(client)
    bad = both.link() | {"SourceLineItemID": ZERO_GUID}
    assert refused(client, "PUT", LINKS, {"LinkedTransactions": [both.link(), bad]}) == [WRONG_SOURCE]
    assert listed(client) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"SourceLineItemID": None}, WRONG_SOURCE),
        ({"SourceTransactionID": None}, WRONG_SOURCE),
        ({"SourceLineItemID": ZERO_GUID}, WRONG_SOURCE),
        ({"SourceTransactionID": ZERO_GUID}, WRONG_SOURCE),
        ({"SourceLineItemID": "sale line"}, WRONG_SOURCE),
        ({"SourceTransactionID": "sale", "SourceLineItemID": "sale line"}, "ACCPAY"),
        ({"TargetLineItemID": ZERO_GUID}, "TargetLineItemID"),
        ({"TargetTransactionID": None}, "TargetLineItemID"),
        ({"TargetTransactionID": "bill", "TargetLineItemID": "bill line"}, "ACCREC"),
        ({"ContactID": "supplier"}, WRONG_CONTACT),
        ({"ContactID": ZERO_GUID}, "Contact"),
    ],
)
def test_a_link_is_refused_when_its_parts_do_not_belong_together(
    client: Client, both: Pair, change: Json, word: str
) -> None:
    """With a 400 and the zero GUID; nothing is made."""
    named = {
        "sale": both.sale["InvoiceID"],
        "sale line": both.line("sale", 0),
        "bill": both.bill["InvoiceID"],
        "bill line": both.line("bill", 1),
        "supplier": contact_id(client, "S-1"),
    }
    body = both.link() | {name: named.get(value, value) for name, value in change.items()}
    said = refused(client, "PUT", LINKS, body)
    assert any(word in message for message in said)
    assert client.organisation.linked_transactions() == []


def test_an_order_and_a_dead_document_are_no_end_of_a_link(client: Client, both: Pair) -> None:
    """A purchase order never, a voided bill or invoice no longer."""
    order = client.organisation.enter_purchase_order(contact_id(client, "S-1"), LineItems=[bill_line()])
    named = {
        "SourceTransactionID": order["PurchaseOrderID"],
        "SourceLineItemID": order["LineItems"][0]["LineItemID"],
    }
    assert refused(client, "PUT", LINKS, named) == [WRONG_SOURCE]
    for document in (both.sale, both.bill):
        client.organisation.void(document["InvoiceID"])
        assert "not of valid status" in refused(client, "PUT", LINKS, both.link())[0]


def test_the_same_line_may_be_linked_twice_and_several_to_one_line(client: Client, both: Pair) -> None:
    """A doubled link is a client's own fault, and is seen."""
    for body in (both.link(), both.link(), both.link(1, 0)):
        send(client, "PUT", LINKS, body)
    assert len(listed(client, TargetTransactionID=both.sale["InvoiceID"])) == 3


def test_a_repeated_call_with_its_key_links_once(client: Client, both: Pair) -> None:
    """The key is used up as everywhere."""
    first, second = (send(client, "PUT", LINKS, both.link(), Idempotency_Key="k1") for _ in range(2))
    assert first == second
    assert len(listed(client)) == 1
    other = client.send("PUT", LINKS, {}, both.link(1), Idempotency_Key="k1")
    assert (other.status, len(listed(client))) == (400, 1)


# --- updating and deleting ----------------------------------------------------------------------------------------


def test_a_link_gets_its_customer_and_then_its_invoice(client: Client, both: Pair) -> None:
    """At its own address, or by its id; its source stays what it was."""
    made = send(client, "PUT", LINKS, both.link(to=None))
    assert (made["Status"], "ContactID" in made, "TargetTransactionID" in made) == ("APPROVED", False, False)
    path = f"{LINKS}/{made['LinkedTransactionID']}"
    client.clock.advance(minutes=1)
    named = send(client, "POST", path, {"ContactID": both.customer})
    assert (named["ContactID"], named["Status"]) == (both.customer, "APPROVED")
    assert named["UpdatedDateUTC"] > made["UpdatedDateUTC"]
    whole = both.link(1, 1) | {"LinkedTransactionID": made["LinkedTransactionID"]}
    target = send(client, "POST", LINKS, {"LinkedTransactions": [whole]})
    assert (target["Status"], target["TargetLineItemID"]) == ("BILLED", both.line("sale", 1))
    assert target["SourceLineItemID"] == both.line("bill", 0)
    assert refused(client, "POST", path, {"ContactID": contact_id(client, "S-1")}) == [WRONG_CONTACT]
    assert listed(client) == [target]


def test_a_link_is_deleted_and_then_unknown(client: Client, both: Pair) -> None:
    """Without a body, and only once."""
    path = f"{LINKS}/{send(client, 'PUT', LINKS, both.link())['LinkedTransactionID']}"
    answer = client.send("DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    for method, body in (("DELETE", None), ("GET", None), ("POST", {"ContactID": both.customer})):
        assert client.send(method, path, {}, body).status == 404
    assert client.send("POST", LINKS, {}, {"LinkedTransactionID": path.rpartition("/")[2]}).status == 404
    assert client.send("DELETE", LINKS).status == 501
    assert listed(client) == []


@pytest.mark.parametrize("side", ["bill", "sale"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_link_lives_as_long_as_both_of_its_lines(client: Client, both: Pair, side: str, kept: bool) -> None:
    """Lines that are sent without their ids are made anew, and the link is gone."""
    send(client, "PUT", LINKS, both.link())
    other = send(client, "PUT", LINKS, both.link(1, None))
    document = both.bill if side == "bill" else both.sale
    lines = [
        {**({"LineItemID": both.line(side, at)} if kept or at else {}), "Description": "Edited", "Quantity": 3}
        | ({} if kept or at else {"UnitAmount": 1, "AccountCode": "310" if side == "bill" else "200"})
        for at in range(2)
    ]
    assert not messages(client.post({"InvoiceID": document["InvoiceID"], "LineItems": lines}))
    assert len(listed(client)) == (2 if kept else 1)
    assert other["LinkedTransactionID"] in {one["LinkedTransactionID"] for one in listed(client)}


def test_a_refused_update_of_lines_ends_no_link(client: Client, both: Pair) -> None:
    """Nor does one that is taken back with its batch."""
    send(client, "PUT", LINKS, both.link())
    anew = {"InvoiceID": both.bill["InvoiceID"], "LineItems": [bill_line()]}
    bad = {"InvoiceID": both.sale["InvoiceID"], "LineItems": [line(AccountCode="999")]}
    assert client.send("POST", "/Invoices", {}, {"Invoices": [anew, bad]}).status == 400
    assert len(listed(client)) == 1


# --- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bought", "sold", "status"),
    [
        ("DRAFT", None, "DRAFT"),
        ("SUBMITTED", "AUTHORISED", "DRAFT"),
        ("AUTHORISED", None, "APPROVED"),
        ("AUTHORISED", "DRAFT", "ONDRAFT"),
        ("AUTHORISED", "SUBMITTED", "ONDRAFT"),
        ("AUTHORISED", "AUTHORISED", "BILLED"),
    ],
)
def test_the_status_of_a_link_follows_from_its_documents(
    client: Client, bought: str, sold: str | None, status: str
) -> None:
    """Reference 8.2; it cannot be sent."""
    both = pair(client, bought, sold or "AUTHORISED")
    made = send(client, "PUT", LINKS, both.link(to=None if sold is None else 0) | {"Status": "VOIDED"})
    assert made["Status"] == status
    assert listed(client, Status=status) == [made]


def test_a_link_follows_its_documents_until_one_is_voided(client: Client) -> None:
    """Approval, payment, and the end."""
    both = pair(client, "DRAFT")
    made = send(client, "PUT", LINKS, both.link())
    organisation, seen = client.organisation, [made["Status"]]
    acts: list[Any] = [
        lambda: organisation.approve(both.bill["InvoiceID"]),
        lambda: organisation.approve(both.sale["InvoiceID"]),
        lambda: organisation.pay(both.sale["InvoiceID"], both.sale["Total"]),
        lambda: organisation.void(both.bill["InvoiceID"]),
    ]
    for act in acts:
        act()
        seen.append(listed(client)[0]["Status"])
    assert seen == ["DRAFT", "ONDRAFT", "BILLED", "BILLED", "VOIDED"]


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_list_is_asked_by_source_target_customer_and_status(client: Client, both: Pair) -> None:
    """If-Modified-Since is not known here."""
    first = send(client, "PUT", LINKS, both.link())
    second = send(client, "PUT", LINKS, both.link(1, None))
    asked: list[tuple[Json, list[Json]]] = [
        ({}, [first, second]),
        ({"SourceTransactionID": both.bill["InvoiceID"].upper()}, [first, second]),
        ({"TargetTransactionID": both.sale["InvoiceID"]}, [first]),
        ({"ContactID": both.customer, "Status": "BILLED"}, [first]),
        ({"ContactID": both.customer, "Status": "APPROVED"}, []),
        ({"LinkedTransactionID": second["LinkedTransactionID"]}, [second]),
        ({"SourceTransactionID": ZERO_GUID}, []),
    ]
    for query, found in asked:
        assert listed(client, **query) == found
    late = client.send("GET", LINKS, {}, If_Modified_Since="2026-09-15T00:00:00")
    assert len(loaded(late)["LinkedTransactions"]) == 2


def test_a_list_comes_a_hundred_at_a_time_without_a_count(client: Client, both: Pair) -> None:
    """Whatever page size is asked for."""
    for _ in range(101):
        send(client, "PUT", LINKS, both.link())
    body = client.read(LINKS, pageSize=1000)
    assert (len(body["LinkedTransactions"]), "pagination" in body) == (100, False)
    assert [len(listed(client, page=page)) for page in (1, 2, 3)] == [100, 1, 0]
    assert client.send("GET", LINKS, {"page": "0"}).status == 400


# --- people -------------------------------------------------------------------------------------------------------


def test_people_bill_a_cost_on_and_see_it_on_both_pages(client: Client, both: Pair) -> None:
    organisation = client.organisation
    here = both.bill["InvoiceID"], both.line("bill", 0)
    made = organisation.assign_expense(*here, both.customer, both.sale["InvoiceID"], both.line("sale", 0))
    assert listed(client) == [made] == organisation.linked_transactions(both.sale["InvoiceID"])
    with pytest.raises(ValueError, match=WRONG_CONTACT):
        organisation.assign_expense(*here, contact_id(client, "S-1"), both.sale["InvoiceID"])
    code = organisation.short_code
    for mine, title in ((both.bill["InvoiceID"], "Invoice INV-7"), (both.sale["InvoiceID"], "Bill PO-7")):
        page = client.xero(Request.build("GET", f"/app/{code}/invoicing/view/{mine}")).body.decode()
        table = page.partition("<h2>Billable expenses</h2>")[2]
        assert title in table and "BILLED" in table and "Acme Pty Ltd" in table
    organisation.unassign_expense(made["LinkedTransactionID"])
    assert listed(client) == []


# --- the official description and client --------------------------------------------------------------------------


def test_links_are_as_the_official_description_says(client: Client, both: Pair, description: Json) -> None:
    """Replies, lists, a link without a target."""
    for body in (both.link(), both.link(1, None)):
        check(description, "LinkedTransactions", loaded(client.send("PUT", LINKS, {}, body)))
    check(description, "LinkedTransactions", client.read(LINKS))


def test_xeros_own_client_links_reads_and_deletes(client: Client, both: Pair, base_url: str) -> None:
    """With its own parsing of every answer."""
    from xero_python.accounting import LinkedTransaction

    api, tenant = official(client, base_url), client.organisation.tenant_id
    sent = LinkedTransaction(
        source_transaction_id=both.bill["InvoiceID"],
        source_line_item_id=both.line("bill", 0),
        target_transaction_id=both.sale["InvoiceID"],
        target_line_item_id=both.line("sale", 0),
    )
    made = api.create_linked_transaction(tenant, sent).linked_transactions[0]
    assert (made.status, made.contact_id) == ("BILLED", both.customer)
    found = api.get_linked_transactions(tenant, target_transaction_id=both.sale["InvoiceID"]).linked_transactions
    assert [one.linked_transaction_id for one in found] == [made.linked_transaction_id]
    api.delete_linked_transaction(tenant, made.linked_transaction_id)
    assert listed(client) == []
