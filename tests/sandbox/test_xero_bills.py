"""The simulated Xero treats suppliers' bills as Xero does, as far as public sources say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from deployments.sandbox.wire import Request
from tests.sandbox.xero_client import (
    Client,
    Json,
    Moving,
    World,
    approved_bill,
    bill,
    bill_line,
    check,
    contact_id,
    line,
    loaded,
    messages,
    sale,
    supplier_credit,
)

FULL = Decimal("23.10")
URL = "https://au.myconnectwise.net/v4_6_release/services/system_io/router/openrecord.rails?recid=9001"
NOT_MODIFIABLE = "Invoice not of valid status for modification"
PAID = "This document cannot be edited as it has a payment or credit note allocated to it."


def supplier(client: Client) -> str:
    """The id of the supplier."""
    return contact_id(client, "S-1")


def totals(client: Client, invoice_id: str) -> tuple[Any, ...]:
    """Status, total, what was paid and what is due."""
    one = client.invoice(invoice_id)
    return one["Status"], one["Total"], one["AmountPaid"], one["AmountDue"]


# --- numbers ------------------------------------------------------------------------------------------------------


def test_put_with_a_used_number_makes_another_bill_of_the_same_or_another_supplier(client: Client) -> None:
    """What people read as Reference is not unique; one call may carry it several times."""
    first, second = client.write("PUT", bill(client, "PO-7"), bill(client, "po-7"))
    other = client.made(bill(client, "PO-7", Contact={"Name": "Supplier Two"}))
    assert len({one["InvoiceID"] for one in (first, second, other)}) == 3
    assert client.numbers(InvoiceNumbers="PO-7") == ["PO-7", "PO-7", "po-7"]


def test_post_by_number_edits_a_bill_and_post_by_id_another_of_that_number(client: Client) -> None:
    """The newest of them, where there are several: which one Xero takes is not known."""
    old, new = (client.made(bill(client, "PO-7"))["InvoiceID"] for _ in range(2))
    assert client.post(bill(client, "PO-7", Date="2026-09-15"))["InvoiceID"] == new
    assert client.post({"InvoiceID": old, "Date": "2026-09-16"})["InvoiceID"] == old
    assert [client.invoice(one)["DateString"][:10] for one in (old, new)] == ["2026-09-16", "2026-09-15"]


@pytest.mark.parametrize("number", [None, "", "   "])
def test_bills_without_a_number_are_never_taken_for_one_another(client: Client, number: str | None) -> None:
    """Neither on create nor on update by number; none is made up for them."""
    made = [client.made(bill(client, number)) for _ in range(2)] + [client.post(bill(client, number))]
    assert len({one["InvoiceID"] for one in made}) == 3
    assert [one["InvoiceNumber"] for one in made] == ["", "", ""]


def test_a_number_may_be_taken_off_a_bill_again(client: Client) -> None:
    made = client.made(bill(client, "PO-7"))["InvoiceID"]
    assert client.post({"InvoiceID": made, "InvoiceNumber": ""})["InvoiceNumber"] == ""
    assert client.numbers(InvoiceNumbers="PO-7") == []


def test_a_bill_and_a_sales_invoice_with_one_number_never_meet(client: Client) -> None:
    """Neither clash nor match, whichever comes first."""
    for made, like in ((bill, sale), (sale, bill)):
        number = f"N-{made.__name__}"
        first = client.made(made(client, number))
        assert client.made(like(client, number))["InvoiceID"] != first["InvoiceID"]
        assert client.post(made(client, number))["InvoiceID"] == first["InvoiceID"]


@pytest.mark.parametrize(("number", "good"), [("x" * 255, True), ("x" * 256, False), ("Bücher", False)])
def test_a_number_is_at_most_255_letters_of_ascii(client: Client, number: str, good: bool) -> None:
    assert bool(messages(client.put(bill(client, number)))) is not good


# --- the header ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("switch", "kept"), [("persist", "PO-7"), ("drop", "")])
def test_a_reference_is_kept_or_dropped_without_a_word_on_create_and_on_update(
    world: World, switch: str, kept: str
) -> None:
    """Lists and searches know as much of it as the bill does."""
    client = world(bill_reference=switch)
    created = client.made(bill(client, "S-100", Reference="PO-7"))
    updated = client.post({"InvoiceID": client.made(bill(client, "S-101"))["InvoiceID"], "Reference": "PO-7"})
    assert [one["Reference"] for one in (created, updated)] == [kept, kept]
    assert messages(updated) == []
    found = ["S-100", "S-101"] if kept else []
    assert client.numbers(SearchTerm="po-7") == found
    assert client.numbers(where='Type=="ACCPAY" AND Reference=="PO-7"') == found


def test_a_bill_keeps_its_link_dates_and_currency(client: Client) -> None:
    """The rate is in units of its currency for one of the base."""
    given = {"Url": f"{URL}#2", "PlannedPaymentDate": "2026-10-01", "CurrencyCode": "USD", "CurrencyRate": 0.6512}
    shown = client.invoice(client.made(bill(client, "PO-7", **given))["InvoiceID"])
    assert (shown["Url"], shown["CurrencyCode"], shown["CurrencyRate"]) == (f"{URL}#2", "USD", Decimal("0.6512"))
    dates = [shown[name] for name in ("DateString", "DueDateString")]
    assert dates == ["2026-09-14T00:00:00", "2026-10-14T00:00:00"]
    assert shown["PlannedPaymentDate"].startswith("/Date(")
    assert "SentToContact" not in shown


def test_without_a_rate_a_foreign_bill_gets_that_of_its_day(client: Client) -> None:
    client.organisation.set_day_rate("USD", "0.7", date(2026, 9, 14))
    assert client.made(bill(client, CurrencyCode="USD"))["CurrencyRate"] == Decimal("0.7")
    assert messages(client.put(bill(client, CurrencyCode="EUR"))) == ["Organisation is not subscribed to currency EUR"]


@pytest.mark.parametrize("status", ["SUBMITTED", "AUTHORISED"])
def test_a_bill_that_is_more_than_a_draft_has_a_due_date_and_accounts(client: Client, status: str) -> None:
    """A draft may lack both."""
    bare = bill(client, "PO-7", LineItems=[{"Description": "Dock", "Quantity": 1, "UnitAmount": 5}])
    del bare["DueDate"]
    made = client.made(bare)["InvoiceID"]
    for answer in (client.post({"InvoiceID": made, "Status": status}), client.put({**bare, "Status": status})):
        assert sorted(message.split()[0] for message in messages(answer)) == ["Account", "The"]
        assert any("DueDate" in message for message in messages(answer))


def test_a_contact_becomes_a_supplier_and_an_archived_one_gets_no_bill(client: Client) -> None:
    """Nor may a bill of it be sent with its contact."""
    made = client.made(bill(client))
    assert (made["Contact"]["IsSupplier"], made["Contact"]["IsCustomer"]) == (True, False)
    client.organisation.archive_contact(supplier(client))
    for answer in (client.put(bill(client)), client.post({"InvoiceID": made["InvoiceID"], **bill(client)})):
        (message,) = messages(answer)
        assert message.startswith("The specified contact details matched an archived contact.")


@pytest.mark.parametrize("year_end", [False, True])
def test_a_locked_period_takes_no_bill_no_edit_and_no_void(client: Client, year_end: bool) -> None:
    """Neither into it nor out of it."""
    there, later = approved_bill(client, "PO-7"), client.made(bill(client, "PO-8", Date="2026-09-15"))["InvoiceID"]
    client.organisation.set_lock_date(date(2026, 9, 14), year_end)
    word = "end of year lock date" if year_end else "period lock date"
    for answer in (
        client.put(bill(client, "PO-9")),
        client.post({"InvoiceID": there, "Date": "2026-09-15"}),
        client.post({"InvoiceID": there, "Status": "VOIDED"}),
        client.post({"InvoiceID": later, "Date": "2026-09-14"}),
    ):
        assert messages(answer) == [f"The document date cannot be before the {word}, currently set at 14-Sep-2026"]
    assert not messages(client.post({"InvoiceID": later, "Reference": "x"}))


# --- lines --------------------------------------------------------------------------------------------------------


def test_a_bill_takes_lines_of_every_kind(client: Client) -> None:
    """Priced, of text alone, negative, tracked, at four decimals."""
    client.organisation.add_tracking_category("Region", ["North", "South"])
    lines = [
        bill_line(Tracking=[{"Name": "region", "Option": "north"}]),
        {"Description": "PO-7, receipt PS-1"},
        line(Quantity=3, UnitAmount=0.3333, AccountCode="720"),
        line(UnitAmount=-1, AccountCode="855", TaxType="BASEXCLUDED"),
    ]
    shown = client.invoice(client.made(bill(client, LineItems=lines), unitdp=4)["InvoiceID"], unitdp=4)
    assert [(one["LineAmount"], one["TaxAmount"], one.get("TaxType")) for one in shown["LineItems"]] == [
        (21, Decimal("2.1"), "INPUT"),
        (0, 0, None),
        (1, Decimal("0.1"), "INPUT"),
        (-2, 0, "BASEXCLUDED"),
    ]
    assert [(one["Name"], one["Option"]) for one in shown["LineItems"][0]["Tracking"]] == [("Region", "North")]
    assert "AccountCode" not in shown["LineItems"][1]
    assert (shown["SubTotal"], shown["TotalTax"], shown["Total"]) == (20, Decimal("2.2"), Decimal("22.2"))


def test_a_bill_may_not_come_to_less_than_nothing(client: Client) -> None:
    """That would be a supplier's credit note."""
    assert messages(client.put(bill(client, LineItems=[bill_line(UnitAmount=-1)])))
    assert client.made(bill(client, LineItems=[bill_line(UnitAmount=0)], Status="AUTHORISED"))["Total"] == 0


@pytest.mark.parametrize(
    ("account", "tax_type", "tax"),
    [
        ("310", None, "2.1"),
        ("310", "", "2.1"),
        ("404", None, "0"),
        ("310", "EXEMPTEXPENSES", "0"),
        ("720", "CAPEXINPUT", "2.1"),
        ("870", None, "2.1"),
        ("310", "OUTPUT", None),
        ("310", "EXEMPTOUTPUT", None),
        ("310", "GSTONIMPORTS", None),
        ("720", "GSTONIMPORTS", None),
        ("200", "INPUT", None),
        ("310", "NOSUCH", None),
    ],
)
def test_the_tax_of_a_line_is_the_accounts_own_or_one_that_the_account_allows(
    client: Client, account: str, tax_type: str | None, tax: str | None
) -> None:
    """No tax type, or an empty one, is the account's default."""
    element = bill(client, LineItems=[line(AccountCode=account, **({} if tax_type is None else {"TaxType": tax_type}))])
    answer = client.put(element)
    if tax is None:
        (message,) = messages(answer)
        assert f"'{tax_type}'" in message
        return
    assert not messages(answer)
    assert answer["TotalTax"] == Decimal(tax)


def test_an_item_on_a_bill_brings_what_it_is_bought_at(client: Client) -> None:
    """Price, account, tax and text for purchases, where the line does not say otherwise."""
    client.organisation.add_item(
        "DOCK", sales_price="99", sales_account="200", purchase_price="60", purchase_account="300",
        purchase_tax="EXEMPTEXPENSES", purchase_description="Dock, bought",
    )  # fmt: skip
    lines = [{"ItemCode": "DOCK"}, {"ItemCode": "DOCK", "UnitAmount": 55, "AccountCode": "310", "TaxType": "INPUT"}]
    found = client.made(bill(client, LineItems=lines))["LineItems"]
    assert [[one[name] for name in ("Description", "UnitAmount", "AccountCode", "TaxType")] for one in found] == [
        ["Dock, bought", 60, "300", "EXEMPTEXPENSES"],
        ["Dock, bought", 55, "310", "INPUT"],
    ]


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "AUTHORISED"])
def test_lines_are_known_by_their_ids_until_the_bill_is_paid(client: Client, status: str) -> None:
    """With its id a line is updated, without one it is made, unmentioned it goes; no lines at all changes none."""
    made = client.made(bill(client, Status=status, LineItems=[bill_line(), bill_line(Description="Second")]))
    first, second = (one["LineItemID"] for one in made["LineItems"])
    same = client.post({"InvoiceID": made["InvoiceID"], "InvoiceNumber": "PO-7"})["LineItems"]
    assert [one["LineItemID"] for one in same] == [first, second]
    lines = [{"LineItemID": second, "Quantity": 1}, bill_line(Description="Third")]
    after = client.post({"InvoiceID": made["InvoiceID"], "LineItems": lines})
    assert [(one["Description"], one["LineAmount"]) for one in after["LineItems"]] == [
        ("Second", Decimal("10.5")),
        ("Third", 21),
    ]
    assert after["LineItems"][0]["LineItemID"] == second
    gone = client.post({"InvoiceID": made["InvoiceID"], "LineItems": [bill_line(LineItemID=first)]})
    assert messages(gone) == [f"Could not find line item(s) with the following id(s): {first}"]


# --- statuses and payments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "goals"),
    [
        ("DRAFT", {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
        ("SUBMITTED", {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
        ("AUTHORISED", {"AUTHORISED", "VOIDED"}),
        ("VOIDED", set()),
        ("DELETED", set()),
    ],
)
@pytest.mark.parametrize("goal", ["DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED"])
def test_a_bill_moves_only_along_the_known_ways(client: Client, start: str, goals: set[str], goal: str) -> None:
    """Reference 7.2, every pair of statuses."""
    born = {"VOIDED": "AUTHORISED", "DELETED": "DRAFT"}.get(start, start)
    made = client.made(bill(client, "PO-7", Status=born))["InvoiceID"]
    if born != start:
        client.post({"InvoiceID": made, "Status": start})
    answer = client.post({"InvoiceID": made, "Status": goal})
    assert messages(answer) == ([] if goal in goals else [NOT_MODIFIABLE])
    assert client.invoice(made)["Status"] == (goal if goal in goals else start)


def test_a_payment_by_hand_shows_on_the_bill_until_it_is_removed(client: Client) -> None:
    """Part of it leaves it approved, the rest makes it paid; taking one off makes it due again."""
    made = approved_bill(client, "PO-7")
    client.organisation.pay(made, 3, date(2026, 9, 20))
    assert totals(client, made) == ("AUTHORISED", FULL, 3, Decimal("20.1"))
    shown = client.organisation.pay(made, "20.10", date(2026, 9, 21))
    assert totals(client, made) == ("PAID", FULL, FULL, 0)
    assert "FullyPaidOnDate" in shown
    first, second = client.organisation.payments(made)
    assert [one["PaymentType"] for one in (first, second)] == ["ACCPAYPAYMENT"] * 2
    assert [one["Amount"] for one in client.invoice(made)["Payments"]] == [3, Decimal("20.1")]
    client.organisation.remove_payment(second["PaymentID"])
    assert totals(client, made) == ("AUTHORISED", FULL, 3, Decimal("20.1"))
    assert client.numbers(where='Type=="ACCPAY" AND AmountPaid>0') == ["PO-7"]


def test_only_an_approved_bill_is_paid_and_never_more_than_is_due(client: Client) -> None:
    draft = client.made(bill(client))["InvoiceID"]
    with pytest.raises(ValueError, match="Authorised"):
        client.organisation.pay(draft, 1)
    with pytest.raises(ValueError, match="exceeds"):
        client.organisation.pay(approved_bill(client), "23.11")


def test_a_suppliers_credit_note_settles_a_bill_as_a_payment_does(client: Client) -> None:
    made = approved_bill(client, "PO-7")
    note = client.accepted("PUT", "/CreditNotes", supplier_credit(client, Status="AUTHORISED"))["CreditNoteID"]
    client.organisation.allocate(note, made)
    shown = client.invoice(made)
    assert (shown["Status"], shown["AmountCredited"], shown["AmountPaid"]) == ("PAID", FULL, 0)


@pytest.mark.parametrize("amount", ["5", "23.10"])
@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"InvoiceNumber": "PO-7 / S-100"}, True),
        ({"Reference": "PO-7"}, True),
        ({"DueDate": "2026-11-14"}, True),
        ({"PlannedPaymentDate": "2026-11-14"}, True),
        ({"Url": URL}, True),
        ({"Contact": {"Name": "Supplier Two"}}, True),
        ({"Date": "2026-09-15"}, False),
        ({"CurrencyCode": "USD"}, False),
        ({"LineAmountTypes": "NoTax"}, False),
        ({"line": {"Description": "Edited"}}, True),
        ({"line": {"AccountCode": "300"}}, True),
        ({"line": {"Tracking": [{"Name": "Region", "Option": "North"}]}}, True),
        ({"line": {"Quantity": 3}}, False),
        ({"line": {"UnitAmount": 1}}, False),
        ({"line": {"TaxType": "EXEMPTEXPENSES"}}, False),
        ({"line": {"TaxAmount": 2}}, False),
    ],
)
@pytest.mark.parametrize("editable", [True, False])
def test_a_paid_or_part_paid_bill_takes_few_edits_or_none(
    world: World, amount: str, fields: Json, allowed: bool, editable: bool
) -> None:
    """Reference 7.4: the newer page, and the older one."""
    client = world(paid_bill_editable=editable)
    client.organisation.add_tracking_category("Region", ["North"])
    made = client.made(bill(client, "PO-7", Status="AUTHORISED"))
    client.organisation.pay(made["InvoiceID"], amount)
    before = client.invoice(made["InvoiceID"])
    sent: dict[str, Any] = {"InvoiceID": made["InvoiceID"], **fields}
    if "line" in sent:
        sent["LineItems"] = [{"LineItemID": made["LineItems"][0]["LineItemID"], **sent.pop("line")}]
    answer = client.post(sent)
    if allowed and editable:
        assert messages(answer) == []
        assert answer["AmountDue"] == before["AmountDue"]
    else:
        assert messages(answer) == [PAID]
        assert client.invoice(made["InvoiceID"]) == before


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "VOIDED"])
def test_a_part_paid_bill_keeps_its_status(client: Client, status: str) -> None:
    """And so it cannot be taken away, before its payment is."""
    made = approved_bill(client)
    client.organisation.pay(made, 5)
    assert messages(client.post({"InvoiceID": made, "Status": status})) == [
        f"The status {status} cannot be applied to the invoice because it has payments or credit notes allocated to it."
    ]
    client.organisation.remove_payments(made)
    assert not messages(client.post({"InvoiceID": made, "Status": "VOIDED"}))


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(client: Client, clock: Moving) -> Client:
    """Bills of two suppliers in every status, a minute apart, and a sales invoice to one of the two."""
    two = {"ContactID": client.organisation.add_contact("Supplier Two", contact_number="S-2")["ContactID"]}
    one = {"ContactID": supplier(client)}
    organisation = client.organisation
    made = {}
    every: dict[str, Json] = {
        "PO-1": {"Reference": "alpha"},
        "PO-2": {"Status": "SUBMITTED", "Contact": two},
        "PO-3": {"Status": "AUTHORISED", "Date": "2026-08-01"},
        "PO-4": {"Status": "AUTHORISED"},
        "PO-5": {"Status": "AUTHORISED", "Reference": "Alphabet"},
        "PO-6": {},
    }
    for number, fields in every.items():
        made[number] = client.made(bill(client, number, **fields))["InvoiceID"]
        clock.advance(minutes=1)
    client.made(sale(client, "INV-1", Contact=one))
    organisation.pay(made["PO-4"], FULL)
    organisation.void(made["PO-5"])
    organisation.delete(made["PO-6"])
    return client


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"where": 'Type=="ACCPAY"'}, ["PO-1", "PO-2", "PO-3", "PO-4", "PO-5", "PO-6"]),
        ({"where": 'Type=="ACCPAY" AND Status!="VOIDED" AND Status!="DELETED"'}, ["PO-1", "PO-2", "PO-3", "PO-4"]),
        ({"Statuses": "VOIDED,DELETED"}, ["PO-5", "PO-6"]),
        ({"Statuses": "SUBMITTED", "where": 'Type=="ACCPAY"'}, ["PO-2"]),
        ({"SearchTerm": "ALPHA"}, ["PO-1", "PO-5"]),
        ({"SearchTerm": "po-", "Statuses": "PAID"}, ["PO-4"]),
        ({"where": "Date<DateTime(2026,09,01)"}, ["PO-3"]),
        ({"InvoiceNumbers": "PO-2,po-3,PO-9"}, ["PO-2", "PO-3"]),
    ],
)
def test_lists_find_the_bills_that_they_are_asked_for(shelf: Client, query: Json, found: list[str]) -> None:
    assert shelf.numbers(**query) == found


def test_the_bills_of_several_suppliers_are_found_together(shelf: Client) -> None:
    """With what else the same contacts have, unless the type is asked for."""
    one, two = contact_id(shelf, "S-1"), contact_id(shelf, "S-2")
    both = {"ContactIDs": f"{one},{two.upper()}"}
    assert shelf.numbers(ContactIDs=two) == ["PO-2"]
    assert "INV-1" in shelf.numbers(**both)
    asked = {**both, "where": 'Type=="ACCPAY"', "Statuses": "DRAFT,SUBMITTED,AUTHORISED,PAID"}
    assert shelf.numbers(**asked) == ["PO-1", "PO-2", "PO-3", "PO-4"]


def test_pages_of_bills_are_counted_ordered_and_come_with_lines(shelf: Client) -> None:
    """A bare list has none."""
    asked = {"where": 'Type=="ACCPAY"', "order": "InvoiceNumber DESC"}
    body = shelf.read("/Invoices", **asked, page=2, pageSize=4)
    assert body["pagination"] == {"page": 2, "pageSize": 4, "pageCount": 2, "itemCount": 6}
    assert [one["InvoiceNumber"] for one in body["Invoices"]] == ["PO-2", "PO-1"]
    assert all(one["LineItems"][0]["LineItemID"] for one in body["Invoices"])
    assert not any(one["LineItems"] for one in shelf.invoices(**asked))
    ids = ",".join(one["InvoiceID"] for one in body["Invoices"])
    named = shelf.invoices(IDs=ids, page=1)
    assert [len(one["LineItems"]) for one in named] == [1, 1]


# --- people -------------------------------------------------------------------------------------------------------


def test_people_key_edit_approve_pay_and_void_a_bill(client: Client) -> None:
    """What the screen calls Reference is the number; a draft takes any edit."""
    organisation = client.organisation
    organisation.add_tracking_category("Region", ["North"])
    made = organisation.enter_bill(supplier(client), "S-100", DueDate="2026-10-14", LineItems=[bill_line()])
    assert (made["Type"], made["InvoiceNumber"], made["Reference"], made["Status"]) == ("ACCPAY", "S-100", "", "DRAFT")
    key = made["InvoiceID"]
    changed = {"AccountCode": "720", "TaxType": "CAPEXINPUT", "Tracking": [{"Name": "Region", "Option": "North"}]}
    edited = organisation.edit(key, LineItems=[{"LineItemID": made["LineItems"][0]["LineItemID"], **changed}])
    shown = edited["LineItems"][0]
    assert [shown["AccountCode"], shown["TaxType"], shown["Tracking"][0]["Option"]] == ["720", "CAPEXINPUT", "North"]
    assert organisation.approve(key)["Status"] == "AUTHORISED"
    assert organisation.pay(key, FULL)["Status"] == "PAID"
    with pytest.raises(ValueError, match="VOIDED cannot be applied"):
        organisation.void(key)
    organisation.remove_payments(key)
    assert organisation.void(key)["Status"] == "VOIDED"
    assert [one["InvoiceID"] for one in organisation.bills(live=False)] == [key]
    assert organisation.bills() == []


def test_people_find_all_bills_of_one_reference_and_delete_a_draft(client: Client) -> None:
    organisation = client.organisation
    two = [organisation.enter_bill(supplier(client), text, LineItems=[bill_line()]) for text in ("PO-7", "po-7 ")]
    organisation.enter_bill(supplier(client), "PO-77", LineItems=[bill_line()])
    client.made(sale(client, "PO-7"))
    assert len(organisation.bills("PO-7")) == 2
    assert organisation.delete(two[0]["InvoiceID"])["Status"] == "DELETED"
    assert [one["InvoiceID"] for one in organisation.bills("PO-7")] == [two[1]["InvoiceID"]]


@pytest.mark.parametrize(("lacking", "word"), [("DueDate", "DueDate"), ("LineItems", "Account code")])
def test_a_person_cannot_approve_a_bill_before_it_is_complete(client: Client, lacking: str, word: str) -> None:
    """What was left open on a draft is filled first."""
    whole = {"DueDate": "2026-10-14", "LineItems": [bill_line()]}
    bare = [{"Description": "Dock", "Quantity": 2, "UnitAmount": 10.5}]
    given = whole | ({"LineItems": bare} if lacking == "LineItems" else {"DueDate": None})
    made = client.organisation.enter_bill(supplier(client), "S-100", **given)["InvoiceID"]
    with pytest.raises(ValueError, match=word):
        client.organisation.approve(made)
    assert client.invoice(made)["Status"] == "DRAFT"
    client.organisation.edit(made, **{lacking: whole[lacking]})
    assert client.organisation.approve(made)["Total"] == FULL


def test_the_page_of_a_bill_names_its_supplier_and_shows_its_number_as_the_reference(client: Client) -> None:
    """The API's own Reference is not on the screen."""
    made = client.made(bill(client, "PO-7 <1>", Reference="unseen", Url=f"{URL}#2"))["InvoiceID"]
    code = client.organisation.short_code
    address = f"/AccountsPayable/Edit.aspx?InvoiceID={made}"
    asked = Request.build("GET", "/organisationlogin/default.aspx", f"shortcode={code}&redirecturl={address}")
    page = client.xero(asked).body.decode()
    assert "<h1>Bill PO-7 &lt;1&gt;</h1>" in page
    assert "<th>Supplier</th>" in page and "Supplier One" in page and f"{URL}#2" in page
    assert "<tr><th>Reference</th><td>PO-7 &lt;1&gt;</td></tr>" in page
    assert "unseen" not in page
    sheet = client.xero(Request.build("GET", f"/app/{code}/invoicing/view/{client.made(sale(client))['InvoiceID']}"))
    assert "<th>Contact</th>" in sheet.body.decode()


# --- the official description -------------------------------------------------------------------------------------


def test_bills_are_as_the_official_description_says(client: Client, description: Json) -> None:
    """Replies, refusals, pages, a paid one."""
    client.organisation.add_tracking_category("Region", ["North"])
    lines = [bill_line(Tracking=[{"Name": "Region", "Option": "North"}]), {"Description": "PO-7"}]
    good = bill(client, "PO-7", Reference="PO-7", Url=URL, Status="AUTHORISED", LineItems=lines, CurrencyCode="USD")
    bodies = {"Invoices": [good, bill(client, LineItems=[bill_line(TaxType="OUTPUT")])]}
    written = loaded(client.send("PUT", "/Invoices", {"summarizeErrors": "false"}, bodies))
    assert [one["StatusAttributeString"] for one in written["Invoices"]] == ["OK", "ERROR"]
    check(description, "Invoices", written)
    made = written["Invoices"][0]["InvoiceID"]
    client.organisation.pay(made, FULL)
    for path, query in ((f"/Invoices/{made}", {}), ("/Invoices", {"page": 1}), ("/Invoices", {"summaryOnly": "true"})):
        check(description, "Invoices", client.read(path, **query))
