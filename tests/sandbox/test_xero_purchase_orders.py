"""The simulated Xero treats purchase orders as Xero does, as far as public sources say."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from deployments.sandbox.wire import Request
from deployments.sandbox.xero import Limits
from tests.sandbox.xero_client import (
    ZERO_GUID,
    Client,
    Json,
    Moving,
    World,
    bill_line,
    check,
    contact_id,
    line,
    loaded,
    messages,
    official,
)

ORDERS = "/PurchaseOrders"
NO_CONTACT = "A Contact must be specified for this type of transaction"
USED = "Order number must be unique"
BAD_STATUS = "PurchaseOrder status change is invalid"
DELETED = "Deleted PurchaseOrders cannot be updated"
STATUSES = ["DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED"]


def order(client: Client, number: str | None = None, **fields: Any) -> Json:
    """An order of 23.10 at the supplier, as a client would send it."""
    document: Json = {
        "Contact": {"ContactID": contact_id(client, "S-1")},
        "Date": "2026-09-14",
        "LineItems": [bill_line()],
        **fields,
    }
    if number is not None:
        document["PurchaseOrderNumber"] = number
    return document


def made(client: Client, number: str | None = None, **fields: Any) -> Json:
    """An order that is there."""
    return client.accepted("PUT", ORDERS, order(client, number, **fields))


def put(client: Client, element: Json) -> Json:
    """Create one order, refused or not."""
    return client.wrote("PUT", ORDERS, element)[0]


def post(client: Client, element: Json) -> Json:
    """Update or create one order, refused or not."""
    return client.wrote("POST", ORDERS, element)[0]


def get(client: Client, key: str) -> Json:
    """One order by id or number."""
    return client.one("PurchaseOrders", key)


def listed(client: Client, **query: Any) -> list[str]:
    """The numbers of a list, as they come."""
    return [one["PurchaseOrderNumber"] for one in client.read(ORDERS, **query)["PurchaseOrders"]]


# --- numbers ------------------------------------------------------------------------------------------------------


def test_put_creates_and_a_missing_number_is_made_up(client: Client) -> None:
    """A draft by default, dated today where the organisation is, with the totals of its lines."""
    first = made(client, Date=None)
    assert (first["PurchaseOrderNumber"], first["Status"], first["Type"]) == ("PO-0001", "DRAFT", "PURCHASEORDER")
    assert (first["SubTotal"], first["TotalTax"], first["Total"]) == (21, Decimal("2.1"), Decimal("23.1"))
    assert first["DateString"] == "2026-09-14T00:00:00"
    assert made(client)["PurchaseOrderNumber"] == "PO-0002"
    assert get(client, first["PurchaseOrderID"])["LineItems"] == first["LineItems"]


@pytest.mark.parametrize("status", STATUSES)
def test_put_with_a_number_that_an_order_has_or_ever_had_is_refused_with_the_zero_guid(
    client: Client, status: str
) -> None:
    """Also that of another supplier, in other case, and of a deleted order: its number is burnt."""
    first = made(client, "PO-7")["PurchaseOrderID"]
    if status != "DRAFT":
        post(client, {"PurchaseOrderID": first, "Status": status})
    other = order(client, " po-7", Contact={"ContactID": contact_id(client)})
    answer = put(client, other)
    assert (messages(answer), answer["PurchaseOrderID"]) == ([USED], ZERO_GUID)
    assert (answer["StatusAttributeString"], answer["HasErrors"]) == ("ERROR", True)
    whole = client.send("PUT", ORDERS, None, {"PurchaseOrders": [other]})
    assert whole.status == 400
    assert messages(loaded(whole)["Elements"][0]) == [USED]
    assert listed(client) == ["PO-7"]


@pytest.mark.parametrize("status", STATUSES[:4])
def test_post_with_a_live_number_edits_that_order_whoever_supplies_it(client: Client, status: str) -> None:
    """And reports success: the trap that a client must look out for."""
    theirs = made(client, "PO-7", Status=status)
    mine = order(client, "po-7", Contact={"ContactID": contact_id(client)}, LineItems=[bill_line(Quantity=1)])
    answer = post(client, mine | {"Status": status})
    assert not messages(answer)
    assert answer["PurchaseOrderID"] == theirs["PurchaseOrderID"]
    assert (answer["Contact"]["Name"], answer["SubTotal"]) == ("Acme Pty Ltd", Decimal("10.5"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(None, [DELETED]), ("DRAFT", [BAD_STATUS, DELETED]), ("DELETED", [DELETED]), ("BILLED", [BAD_STATUS, DELETED])],
)
@pytest.mark.parametrize("by_id", [True, False])
def test_post_onto_a_deleted_order_is_refused_whatever_it_says(
    client: Client, status: str | None, said: list[str], by_id: bool
) -> None:
    """By number the answer does not even tell the id of the deleted one."""
    key = made(client, "PO-7")["PurchaseOrderID"]
    post(client, {"PurchaseOrderID": key, "Status": "DELETED"})
    named = {"PurchaseOrderID": key} if by_id else {}
    answer = post(client, order(client, "PO-7", Status=status, **named))
    assert messages(answer) == said
    assert answer["PurchaseOrderID"] == (key if by_id else ZERO_GUID)
    assert get(client, "PO-7")["Status"] == "DELETED"


def test_post_without_a_match_creates_and_with_an_unknown_id_finds_nothing(client: Client) -> None:
    """Neither by path nor in the body."""
    assert post(client, order(client, "PO-7"))["PurchaseOrderNumber"] == "PO-7"
    unknown = "11111111-2222-3333-4444-555555555555"
    body = {"PurchaseOrders": [order(client, "PO-8", PurchaseOrderID=unknown)]}
    for path in (ORDERS, f"{ORDERS}/{unknown}"):
        answer = client.send("POST", path, {"summarizeErrors": "false"}, body)
        assert (answer.status, answer.body) == (404, b"")


def test_a_rename_in_the_update_that_deletes_frees_the_number(client: Client) -> None:
    """The one way to use a number again; a rename onto a used one is refused."""
    key = made(client, "PO-7")["PurchaseOrderID"]
    renamed = {"PurchaseOrderID": key, "PurchaseOrderNumber": "PO-7-VOID-1", "Status": "DELETED"}
    shown = post(client, order(client) | renamed)
    assert (shown["PurchaseOrderNumber"], shown["Status"]) == ("PO-7-VOID-1", "DELETED")
    again = made(client, "PO-7")["PurchaseOrderID"]
    assert messages(post(client, {"PurchaseOrderID": again, "PurchaseOrderNumber": "po-7-void-1"})) == [USED]
    assert messages(put(client, order(client, "PO-7-VOID-1"))) == [USED]
    assert get(client, "PO-7")["PurchaseOrderID"] == again


def test_a_batch_keeps_the_good_orders_only_without_summarised_errors(client: Client) -> None:
    """Two of one number in a batch: the second is refused."""
    pair = [order(client, "PO-7"), order(client, "PO-7")]
    assert client.send("PUT", ORDERS, None, {"PurchaseOrders": pair}).status == 400
    assert listed(client) == []
    answers = client.wrote("PUT", ORDERS, *pair)
    assert [one["StatusAttributeString"] for one in answers] == ["OK", "ERROR"]
    assert listed(client) == ["PO-7"]
    fifty = [order(client, f"PO-{number}") for number in range(100, 150)]
    assert len(client.wrote("PUT", ORDERS, *fifty)) == 50
    assert len({one["PurchaseOrderID"] for one in client.wrote("POST", ORDERS, *fifty)}) == 50
    assert len(listed(client, pageSize=1000)) == 51


# --- the header ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [None, {}, {"Name": "Supplier One"}, {"Name": "Nobody"}, {"ContactNumber": "S-9"}, {"ContactID": ZERO_GUID}],
)
def test_an_order_needs_a_contact_that_is_there_and_never_makes_one(client: Client, named: Json | None) -> None:
    """A name is not enough."""
    before = len(client.read("/Contacts")["Contacts"])
    assert NO_CONTACT in messages(put(client, order(client, Contact=named)))
    assert len(client.read("/Contacts")["Contacts"]) == before


def test_an_order_is_for_a_contact_by_id_or_number_and_not_for_an_archived_one(client: Client) -> None:
    """What else is said of the contact changes nothing of it."""
    shown = made(client, Contact={"ContactNumber": "s-1", "Name": "Another Name"})
    assert shown["Contact"]["Name"] == "Supplier One"
    client.organisation.archive_contact(shown["Contact"]["ContactID"])
    for answer in (put(client, order(client)), post(client, order(client, shown["PurchaseOrderNumber"]))):
        assert messages(answer)[0].startswith("The specified contact details matched an archived contact.")
    gone = post(client, {"PurchaseOrderID": shown["PurchaseOrderID"], "Status": "DELETED"})
    assert gone["Status"] == "DELETED"


@pytest.mark.parametrize("needed", [False, True])
def test_an_update_may_or_may_not_have_to_name_its_contact(world: World, needed: bool) -> None:
    """Not confirmed, so it is a switch."""
    client = world(order_update_needs_contact=needed)
    key = made(client, "PO-7")["PurchaseOrderID"]
    assert messages(post(client, {"PurchaseOrderID": key, "Status": "DELETED"})) == ([NO_CONTACT] if needed else [])
    assert messages(post(client, order(client, "PO-7"))) == ([] if needed else [DELETED])


def test_an_order_keeps_its_dates_texts_and_currency(client: Client) -> None:
    """An unknown field, such as Url, is ignored; a currency has to be subscribed to."""
    given = {
        "DeliveryDate": "2026-09-20",
        "ExpectedArrivalDate": "2026-09-21",
        "Reference": "SO-9",
        "CurrencyCode": "USD",
        "CurrencyRate": 0.6512,
        "AttentionTo": "Stores",
        "DeliveryAddress": "1 Quay St\nSydney",
        "Telephone": "02 5550 0000",
        "DeliveryInstructions": "Ring twice",
    }
    shown = get(client, made(client, "PO/7", **given, Url="https://example.com/")["PurchaseOrderID"])
    assert {name: shown[name] for name in given if not name.endswith("Date")} == {
        name: Decimal("0.6512") if name == "CurrencyRate" else value
        for name, value in given.items()
        if not name.endswith("Date")
    }
    assert shown["DeliveryDateString"] == "2026-09-20T00:00:00"
    assert [shown[name][:6] for name in ("Date", "DeliveryDate", "ExpectedArrivalDate")] == ["/Date("] * 3
    assert "Url" not in shown and "DueDate" not in shown
    assert get(client, "po/7")["PurchaseOrderID"] == shown["PurchaseOrderID"]
    refused = messages(put(client, order(client, CurrencyCode="EUR", DeliveryInstructions="x" * 501)))
    assert [message.split()[0] for message in refused] == ["DeliveryInstructions", "Organisation"]


def test_only_an_approved_or_billed_order_is_marked_as_sent(client: Client) -> None:
    """On another one it is a warning."""
    shown = made(client, "PO-7", Status="AUTHORISED", SentToContact=True)
    assert shown["SentToContact"] is True
    warned = client.wrote("PUT", ORDERS, order(client, SentToContact=True))[0]
    assert (warned["StatusAttributeString"], warned["SentToContact"]) == ("WARNING", False)
    assert "SentToContact" in warned["Warnings"][0]["Message"]


def test_the_time_of_the_contact_inside_an_order_is_local_time_marked_as_utc(client: Client) -> None:
    """A recorded quirk: ten hours ahead in Sydney; in a bill it is right."""
    right = client.one("Contacts", contact_id(client, "S-1"))["UpdatedDateUTC"]
    wrong = made(client)["Contact"]["UpdatedDateUTC"]

    def moment(text: str) -> timedelta:
        return timedelta(milliseconds=int(text[6:-7]))

    assert moment(wrong) - moment(right) == timedelta(hours=10)


def test_a_locked_period_does_not_hold_an_order(client: Client) -> None:
    """It moves no figure of the books (not confirmed)."""
    client.organisation.set_lock_date(client.clock().date())
    key = made(client, "PO-7")["PurchaseOrderID"]
    assert not messages(post(client, {"PurchaseOrderID": key, "Status": "BILLED"}))


# --- lines --------------------------------------------------------------------------------------------------------


def test_lines_count_with_four_decimals_without_asking(client: Client) -> None:
    """Unlike those of a bill; lines of text and negative ones are lines, too."""
    client.organisation.add_tracking_category("Region", ["North"])
    lines = [
        line(Quantity=3, UnitAmount=0.3333, AccountCode="720", Tracking=[{"Name": "Region", "Option": "North"}]),
        {"Description": "As quoted"},
        line(UnitAmount=-0.1, AccountCode="855", TaxType="BASEXCLUDED"),
        line(UnitAmount=10, AccountCode="310", DiscountRate=10),
    ]
    shown = get(client, made(client, LineItems=lines)["PurchaseOrderID"])
    assert [(one.get("UnitAmount"), one["LineAmount"], one["TaxAmount"]) for one in shown["LineItems"]] == [
        (Decimal("0.3333"), 1, Decimal("0.1")),
        (None, 0, 0),
        (Decimal("-0.1"), Decimal("-0.2"), 0),
        (10, 18, Decimal("1.8")),
    ]
    assert shown["LineItems"][0]["Tracking"][0]["Option"] == "North"
    assert (shown["SubTotal"], shown["Total"]) == (Decimal("18.8"), Decimal("20.7"))
    assert (shown["IsDiscounted"], shown["TotalDiscount"]) == (True, 2)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"LineItems": []}, "line items"),
        ({"LineItems": None}, "line items"),
        ({"LineItems": [bill_line(UnitAmount=-1)]}, "negative"),
        ({"LineItems": [line(AccountCode="999")]}, "Account code '999' is not a valid code"),
        ({"LineItems": [line(AccountCode="210")]}, "has been archived"),
        ({"LineItems": [bill_line(TaxType="OUTPUT")]}, "TaxType code 'OUTPUT' cannot be used"),
        ({"LineItems": [bill_line(LineAmount=5)]}, "line total"),
        ({"LineItems": [bill_line(ItemCode="NONE")]}, "Item code NONE"),
        ({"LineItems": [{"Quantity": 1, "UnitAmount": 2}]}, "description field"),
        ({"LineItems": [{"Description": "Dock", "Quantity": 1}], "Status": "AUTHORISED"}, "Account code or ID"),
    ],
)
def test_lines_are_checked_as_those_of_bills_are(client: Client, fields: Json, word: str) -> None:
    """Nothing is stored when one is refused."""
    (message, *_more) = messages(put(client, order(client, **fields)))
    assert word in message
    assert listed(client) == []


@pytest.mark.parametrize("status", STATUSES[:4])
def test_lines_are_known_by_their_ids(client: Client, status: str) -> None:
    """With its id a line is updated, without one it is made, unmentioned it goes; no lines at all changes none."""
    shown = made(client, "PO-7", Status=status, LineItems=[bill_line(), bill_line(Description="Second")])
    first, second = (one["LineItemID"] for one in shown["LineItems"])
    same = post(client, {"PurchaseOrderID": shown["PurchaseOrderID"], "DeliveryDate": "2026-10-01"})["LineItems"]
    assert [one["LineItemID"] for one in same] == [first, second]
    lines = [{"LineItemID": second, "Quantity": 1}, bill_line(Description="Third")]
    after = post(client, {"PurchaseOrderID": shown["PurchaseOrderID"], "LineItems": lines})
    assert [(one["Description"], one["LineAmount"]) for one in after["LineItems"]] == [
        ("Second", Decimal("10.5")),
        ("Third", 21),
    ]
    assert after["LineItems"][0]["LineItemID"] == second
    gone = post(client, {"PurchaseOrderID": shown["PurchaseOrderID"], "LineItems": [bill_line(LineItemID=first)]})
    assert messages(gone) == [f"Could not find line item(s) with the following id(s): {first}"]
    assert len(get(client, "PO-7")["LineItems"]) == 2
    anew = post(client, {"PurchaseOrderID": shown["PurchaseOrderID"], "LineItems": [bill_line()]})["LineItems"]
    assert anew[0]["LineItemID"] not in {one["LineItemID"] for one in after["LineItems"]}


# --- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [*STATUSES, "VOIDED"])
def test_any_status_but_deleted_may_be_given_at_birth(client: Client, status: str) -> None:
    """An unknown one is no purchase order at all."""
    answer = client.send(
        "PUT", ORDERS, {"summarizeErrors": "false"}, {"PurchaseOrders": [order(client, Status=status)]}
    )
    if status == "VOIDED":
        assert (answer.status, loaded(answer)["ErrorNumber"]) == (400, 14)
        return
    (one,) = loaded(answer)["PurchaseOrders"]
    assert messages(one) == ([BAD_STATUS] if status == "DELETED" else [])
    assert one["Status"] == status


@pytest.mark.parametrize(
    ("start", "goals"),
    [
        ("DRAFT", {"DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED"}),
        ("SUBMITTED", {"DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED"}),
        ("AUTHORISED", {"AUTHORISED", "BILLED", "DELETED"}),
        ("BILLED", {"AUTHORISED", "BILLED", "DELETED"}),
    ],
)
@pytest.mark.parametrize("goal", STATUSES)
@pytest.mark.parametrize("billable", [True, False])
def test_an_order_moves_only_along_the_known_ways(
    world: World, start: str, goals: set[str], goal: str, billable: bool
) -> None:
    """Reference 8; whether an order is billed without approval is a switch."""
    client = world(unapproved_order_billable=billable)
    key = made(client, "PO-7", Status=start)["PurchaseOrderID"]
    good = goal in goals and (billable or goal != "BILLED" or start in ("AUTHORISED", "BILLED"))
    assert messages(post(client, {"PurchaseOrderID": key, "Status": goal})) == ([] if good else [BAD_STATUS])
    assert get(client, key)["Status"] == (goal if good else start)


def test_an_order_moves_no_figure_of_the_books(client: Client) -> None:
    """Approved or billed: no invoice, no bill, nothing to pay, and its supplier is what it was."""
    made(client, "PO-7", Status="AUTHORISED")
    key = made(client, "PO-8", Status="BILLED")["PurchaseOrderID"]
    assert client.invoices() == []
    assert client.one("Contacts", "S-1")["IsSupplier"] is False
    assert client.send("GET", f"/Invoices/{key}").status == 404
    with pytest.raises(KeyError):
        client.organisation.pay(key, 1)


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(client: Client, clock: Moving) -> Client:
    """Orders in every status, a minute apart."""
    for number, status in enumerate(STATUSES[:4], 1):
        made(client, f"PO-{number}", Status=status, Date=f"2026-09-{number:02}")
        clock.advance(minutes=1)
    key = made(client, "PO-5", Date="2026-09-05")["PurchaseOrderID"]
    clock.advance(minutes=1)
    post(client, {"PurchaseOrderID": key, "Status": "DELETED"})
    return client


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"Status": "AUTHORISED"}, [3]),
        ({"status": "deleted"}, [5]),
        ({"DateFrom": "2026-09-02", "DateTo": "2026-09-04"}, [2, 3, 4]),
        ({"DateTo": "2026-09-01"}, [1]),
        ({"order": "PurchaseOrderNumber DESC"}, [5, 4, 3, 2, 1]),
        ({"order": "Date DESC", "pageSize": 2, "page": 2}, [3, 2]),
        ({"where": 'PurchaseOrderNumber=="PO-1"'}, [1, 2, 3, 4, 5]),
        ({"IDs": ZERO_GUID, "Statuses": "DRAFT", "searchTerm": "PO-1"}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_list_knows_few_questions_and_ignores_the_others(shelf: Client, query: Json, found: list[int]) -> None:
    """There is no `where` here, and nobody says so."""
    assert listed(shelf, **query) == [f"PO-{number}" for number in found]


@pytest.mark.parametrize("query", [{"Status": "VOIDED"}, {"DateFrom": "soon"}, {"pageSize": 1001}, {"page": 0}])
def test_a_list_refuses_what_it_cannot_read(shelf: Client, query: Json) -> None:
    assert shelf.send("GET", ORDERS, query).status == 400


def test_a_list_comes_in_pages_with_lines_even_when_nobody_asks(client: Client) -> None:
    """A hundred by default, a thousand at most."""
    for start in range(0, 150, 50):
        client.wrote("PUT", ORDERS, *(order(client, f"PO-{start + number:03}") for number in range(50)))
    body = client.read(ORDERS)
    assert body["pagination"] == {"page": 1, "pageSize": 100, "pageCount": 2, "itemCount": 150}
    assert len(body["PurchaseOrders"]) == 100
    assert all(one["LineItems"][0]["LineItemID"] for one in body["PurchaseOrders"])
    assert len(client.read(ORDERS, page=2)["PurchaseOrders"]) == 50
    assert len(client.read(ORDERS, pageSize=1000)["PurchaseOrders"]) == 150


def test_a_list_is_asked_for_what_changed_since_a_moment(shelf: Client, clock: Moving) -> None:
    """With milliseconds the question is ignored."""
    moment = (clock() - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S")
    for asked, count in ((moment, 2), (f"{moment}.000", 5)):
        answer = shelf.send("GET", ORDERS, {}, If_Modified_Since=asked)
        assert len(loaded(answer)["PurchaseOrders"]) == count


def test_an_order_answers_by_id_and_by_number_also_when_it_was_deleted(shelf: Client) -> None:
    assert get(shelf, "po-5")["Status"] == "DELETED"
    assert get(shelf, get(shelf, "PO-5")["PurchaseOrderID"].upper())["PurchaseOrderNumber"] == "PO-5"
    for path in (f"{ORDERS}/PO-55", f"{ORDERS}/{ZERO_GUID}"):
        assert (shelf.send("GET", path).status, shelf.send("GET", path).body) == (404, b"")
    assert shelf.send("DELETE", f"{ORDERS}/PO-1").status == 501


def test_a_post_to_the_address_of_an_order_changes_it(client: Client) -> None:
    """Without the number in the body, and refused as a whole."""
    key = made(client, "PO-7")["PurchaseOrderID"]
    shown = client.send("POST", f"{ORDERS}/{key}", None, {"PurchaseOrders": [{"AttentionTo": "Stores"}]})
    assert loaded(shown)["PurchaseOrders"][0]["AttentionTo"] == "Stores"
    refused = client.send(
        "POST", f"{ORDERS}/{key}", {"summarizeErrors": "false"}, {"Status": "SUBMITTED", "Contact": {}}
    )
    assert refused.status == 400
    assert get(client, key)["Status"] == "DRAFT"


def test_keys_limits_and_scopes_hold_for_orders_as_for_everything(client: Client) -> None:
    """A repeated call is answered again and not done again; one too many is a 429."""
    body = {"PurchaseOrders": [order(client)]}
    first, second = (client.send("PUT", ORDERS, {}, body, Idempotency_Key="k1") for _ in range(2))
    assert first.body == second.body
    assert listed(client) == ["PO-0001"]
    assert client.send("POST", ORDERS, {}, body, Idempotency_Key="k1").status == 400
    client.clock.advance(minutes=2)
    client.xero.limits = Limits(per_minute=1)
    client.read(ORDERS)
    assert client.send("GET", ORDERS).status == 429
    client.clock.advance(minutes=2)
    assert client.send("GET", ORDERS, Authorization="").status == 401


# --- people -------------------------------------------------------------------------------------------------------


def test_people_key_edit_approve_bill_and_delete_an_order(client: Client) -> None:
    organisation = client.organisation
    shown = organisation.enter_purchase_order(contact_id(client, "S-1"), "PO-7", LineItems=[bill_line()])
    key = shown["PurchaseOrderID"]
    assert (shown["Status"], shown["PurchaseOrderNumber"]) == ("DRAFT", "PO-7")
    client.clock.advance(minutes=1)
    changed = {"LineItemID": shown["LineItems"][0]["LineItemID"], "Quantity": 3}
    edited = organisation.edit_purchase_order(key, LineItems=[changed], DeliveryDate="2026-10-01")
    assert edited["SubTotal"] == Decimal("31.5")
    assert edited["UpdatedDateUTC"] > shown["UpdatedDateUTC"]
    with pytest.raises(ValueError, match="DRAFT cannot become BILLED"):
        organisation.mark_as_billed(key)
    assert organisation.approve_purchase_order(key)["Status"] == "AUTHORISED"
    assert organisation.mark_as_billed(key)["Status"] == "BILLED"
    assert organisation.unmark_as_billed(key)["Status"] == "AUTHORISED"
    assert organisation.delete_purchase_order(key)["Status"] == "DELETED"
    for act in (organisation.delete_purchase_order, organisation.edit_purchase_order):
        with pytest.raises(ValueError, match=r"DELETED|Deleted"):
            act(key)
    assert organisation.purchase_orders() == []
    assert [one["PurchaseOrderID"] for one in organisation.purchase_orders("po-7", live=False)] == [key]
    with pytest.raises(ValueError, match=USED):
        organisation.enter_purchase_order(contact_id(client, "S-1"), "PO-7", LineItems=[bill_line()])


def test_people_copy_an_order_to_a_draft_bill_that_bears_its_number(client: Client) -> None:
    """The lines are those of the order, the order is billed; other orders may join it on one bill."""
    organisation = client.organisation
    organisation.add_tracking_category("Region", ["North"])
    lines = [
        bill_line(UnitAmount=0.3333, Tracking=[{"Name": "Region", "Option": "North"}]),
        {"Description": "As quoted"},
        bill_line(Quantity=3, UnitAmount=10, DiscountRate=10, TaxType="EXEMPTEXPENSES"),
    ]
    one = made(client, "PO-7", CurrencyCode="USD", Reference="SO-1", LineItems=lines)["PurchaseOrderID"]
    two = made(client, "PO-8", CurrencyCode="USD")["PurchaseOrderID"]
    with pytest.raises(ValueError, match="approved"):
        organisation.copy_to_bill(one)
    for key in (one, two):
        organisation.approve_purchase_order(key)
    bill = organisation.copy_to_bill(one)
    assert (bill["Type"], bill["Status"], bill["InvoiceNumber"], bill["Reference"]) == ("ACCPAY", "DRAFT", "PO-7", "")
    assert (bill["CurrencyCode"], bill["Contact"]["Name"], bill.get("Url")) == ("USD", "Supplier One", None)
    ordered = organisation.purchase_order(one)
    assert ordered["Status"] == "BILLED"
    assert (bill["SubTotal"], bill["TotalTax"]) == (ordered["SubTotal"], ordered["TotalTax"])
    names = ("Description", "Quantity", "LineAmount", "TaxAmount", "AccountCode", "Tracking")
    for mine, theirs in zip(bill["LineItems"], ordered["LineItems"], strict=True):
        assert [mine.get(name) for name in names] == [theirs.get(name) for name in names]
    both = organisation.copy_to_bill(one, two, mark_billed=False)
    assert (both["InvoiceNumber"], len(both["LineItems"])) == ("PO-7, PO-8", 4)
    assert organisation.purchase_order(two)["Status"] == "AUTHORISED"
    assert len(organisation.bills("PO-7")) == 1


def test_orders_are_in_the_picture_that_two_worlds_are_compared_by(client: Client) -> None:
    made(client, "PO-7", DeliveryDate="2026-10-01")
    (shown,) = client.organisation.snapshot(live=True)["PURCHASEORDER"]["PO-7"]
    assert (shown["status"], shown["total"], shown["delivery_date"]) == ("DRAFT", "23.10", "2026-10-01")


@pytest.mark.parametrize("behind_login", [True, False])
def test_the_page_of_an_order_shows_what_is_ordered_and_where_it_goes(client: Client, behind_login: bool) -> None:
    """At both addresses; lists of the organisation and of the supplier lead there."""
    shown = made(client, "PO-7 <1>", DeliveryDate="2026-10-01", AttentionTo="Stores", Reference="SO-1")
    path = f"/Accounts/Payable/PurchaseOrders/Edit/{shown['PurchaseOrderID']}/"
    code = client.organisation.short_code
    asked = Request.build("GET", path)
    if behind_login:
        asked = Request.build("GET", "/organisationlogin/default.aspx", f"shortcode={code}&redirecturl={path}")
    answer = client.xero(asked)
    page = answer.body.decode()
    assert answer.status == 200
    assert "<h1>Purchase Order PO-7 &lt;1&gt;</h1>" in page
    assert all(text in page for text in ("Supplier One", "2026-10-01", "Stores", "SO-1", "23.10", "DRAFT"))
    for there in (f"/app/{code}", f"/app/{code}/contacts/contact/{shown['Contact']['ContactID']}"):
        assert path in client.xero(Request.build("GET", there)).body.decode()
    unknown = path.replace(shown["PurchaseOrderID"], ZERO_GUID)
    assert client.xero(Request.build("GET", unknown)).status == 404


# --- the official description and client --------------------------------------------------------------------------


def test_orders_are_as_the_official_description_says(client: Client, description: Json) -> None:
    """Replies, refusals, pages."""
    dates = {"DeliveryDate": "2026-10-01", "ExpectedArrivalDate": "2026-10-02"}
    good = order(client, "PO-7", Status="AUTHORISED", Reference="SO-1", AttentionTo="Stores", **dates)
    bodies = {"PurchaseOrders": [good, order(client, "PO-7"), order(client, SentToContact=True)]}
    written = loaded(client.send("PUT", ORDERS, {"summarizeErrors": "false"}, bodies))
    assert [one["StatusAttributeString"] for one in written["PurchaseOrders"]] == ["OK", "ERROR", "WARNING"]
    check(description, "PurchaseOrders", written)
    check(description, "PurchaseOrders", client.read(f"{ORDERS}/PO-7"))
    check(description, "PurchaseOrders", client.read(ORDERS))


def test_xeros_own_client_raises_reads_bills_and_deletes_an_order(client: Client, base_url: str) -> None:
    """With its own parsing of every answer."""
    from xero_python.accounting import Contact, LineItem, PurchaseOrder, PurchaseOrders

    api, tenant = official(client, base_url), client.organisation.tenant_id
    item = LineItem(description="Dock", quantity=2, unit_amount=10.5, account_code="310")
    sent = PurchaseOrder(
        contact=Contact(contact_id=contact_id(client, "S-1")), line_items=[item], purchase_order_number="PO-7"
    )
    first = api.create_purchase_orders(tenant, PurchaseOrders(purchase_orders=[sent])).purchase_orders[0]
    assert (first.purchase_order_number, first.total) == ("PO-7", Decimal("23.1"))
    api.update_purchase_order(
        tenant, first.purchase_order_id, PurchaseOrders(purchase_orders=[PurchaseOrder(status="BILLED")])
    )
    assert cast(Any, api.get_purchase_order_by_number(tenant, "PO-7").purchase_orders[0]).status == "BILLED"
    found = api.get_purchase_orders(tenant, status="BILLED", page_size=10)
    assert [one.purchase_order_id for one in found.purchase_orders] == [first.purchase_order_id]
