"""The simulated Xero treats credit notes and their allocations as Xero does, as far as public sources say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from deployments.sandbox.wire import Response
from tests.sandbox.xero_client import (
    ZERO_GUID,
    Client,
    Json,
    Moving,
    World,
    approved,
    approved_bill,
    approved_credit,
    bill_line,
    check,
    contact_id,
    credit,
    line,
    loaded,
    messages,
    sale,
    supplier_credit,
    token_call,
)

FULL = Decimal("23.10")


def put(client: Client, element: Json, **query: Any) -> Json:
    """Create one credit note, refused or not."""
    return client.wrote("PUT", "/CreditNotes", element, **query)[0]


def post(client: Client, element: Json, **query: Any) -> Json:
    """Update or create one credit note, refused or not."""
    return client.wrote("POST", "/CreditNotes", element, **query)[0]


def shown(client: Client, credit_id: str) -> Json:
    """One credit note."""
    return client.one("CreditNotes", credit_id)


def allocate(client: Client, credit_id: str, invoice_id: str, amount: Any, **fields: Any) -> Json:
    """Allocate once, refused or not."""
    element = {"Amount": amount, "Invoice": {"InvoiceID": invoice_id}, "Date": "2026-09-14", **fields}
    return client.wrote("PUT", f"/CreditNotes/{credit_id}/Allocations", element)[0]


def refused_whole(response: Response) -> list[str]:
    """The messages of a 400 that refused everything."""
    assert response.status == 400, response.body
    return [text for element in loaded(response)["Elements"] for text in messages(element)]


# --- writing ------------------------------------------------------------------------------------------------------


def test_a_credit_note_comes_back_with_totals_and_what_remains_of_it(client: Client) -> None:
    """It has no Url, no due date of its own and nothing allocated."""
    made = put(client, credit(client, "CN-1", Status="AUTHORISED", Reference="r", Url="https://cw.example/1"))
    assert (made["StatusAttributeString"], made["HasErrors"], made["Status"]) == ("OK", False, "AUTHORISED")
    assert (made["SubTotal"], made["TotalTax"], made["Total"]) == (21, Decimal("2.1"), FULL)
    assert (made["RemainingCredit"], made["Allocations"], made["Payments"]) == (FULL, [], [])
    assert (made["CreditNoteNumber"], made["Reference"], made["CurrencyRate"]) == ("CN-1", "r", 1)
    assert not {"Url", "DueDate", "AmountDue", "InvoiceID", "InvoiceNumber"} & made.keys()


def test_a_type_and_a_contact_make_a_draft_credit_note(client: Client) -> None:
    """Lines are needed only when it is approved."""
    made = put(client, {"Type": "ACCRECCREDIT", "Contact": {"ContactID": contact_id(client)}})
    assert (messages(made), made["Status"], made["Total"], made["LineItems"]) == ([], "DRAFT", 0, [])
    refused = post(client, {"CreditNoteID": made["CreditNoteID"], "Status": "AUTHORISED"})
    assert messages(refused) == ["One or more line items must be specified"]


def test_sales_credit_numbers_are_made_and_are_unique_and_suppliers_are_neither(client: Client) -> None:
    """They are counted apart from invoices."""
    client.made(sale(client, "CN-0002"))
    numbers = [put(client, credit(client))["CreditNoteNumber"] for _time in range(2)]
    assert numbers == ["CN-0001", "CN-0002"]
    again = put(client, credit(client, "cn-0001"))
    assert (messages(again), again["CreditNoteID"]) == (["Credit Note # must be unique."], ZERO_GUID)
    same = [put(client, supplier_credit(client, "S-9")) for _time in range(2)]
    assert same[0]["CreditNoteID"] != same[1]["CreditNoteID"]
    assert put(client, supplier_credit(client))["CreditNoteNumber"] == ""


def test_post_updates_the_credit_note_with_the_id_or_the_number(client: Client) -> None:
    """An id that Xero never gave is 404, as for invoices."""
    made = put(client, credit(client, "CN-7"))
    by_number = post(client, credit(client, "CN-7", Reference="by number"))
    by_id = post(client, {"CreditNoteID": made["CreditNoteID"], "CreditNoteNumber": "CN-8"})
    assert by_number["CreditNoteID"] == by_id["CreditNoteID"] == made["CreditNoteID"]
    assert (by_id["CreditNoteNumber"], by_id["Reference"]) == ("CN-8", "by number")
    path = f"/CreditNotes/{made['CreditNoteID']}"
    changed = loaded(client.send("POST", path, None, {"CreditNotes": [{"Reference": "by path"}]}))
    assert changed["CreditNotes"][0]["Reference"] == "by path"
    assert client.send("POST", "/CreditNotes", None, credit(client, CreditNoteID=ZERO_GUID[:-1] + "9")).status == 404


@pytest.mark.parametrize(("switch", "same"), [("any_contact", True), ("same_contact", False)])
def test_post_overwrites_a_suppliers_credit_note_with_the_same_number(world: World, switch: str, same: bool) -> None:
    """As with bills, whether the contact counts is a switch."""
    client = world(bill_match=switch)
    first = put(client, supplier_credit(client, "S-9"))
    assert post(client, supplier_credit(client, "S-9", Reference="r"))["CreditNoteID"] == first["CreditNoteID"]
    other = post(client, supplier_credit(client, "S-9", Contact={"ContactID": contact_id(client)}))
    assert (other["CreditNoteID"] == first["CreditNoteID"]) == same


@pytest.mark.parametrize(("switch", "kept"), [("persist", "r"), ("drop", "")])
def test_a_suppliers_credit_note_keeps_or_loses_its_reference(world: World, switch: str, kept: str) -> None:
    """As a bill does; ours keeps it always."""
    client = world(bill_reference=switch)
    assert put(client, supplier_credit(client, Reference="r"))["Reference"] == kept
    assert put(client, credit(client, Reference="r"))["Reference"] == "r"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Contact": None}, "A Contact must be specified for this type of transaction"),
        ({"LineItems": [line(AccountCode="999")]}, "Account code '999' is not a valid code for this document."),
        ({"LineItems": [line(TaxType="INPUT")]}, "The TaxType code 'INPUT' cannot be used with account code '200'."),
        ({"LineItems": [line(DiscountRate=5)]}, "Discounts may not be applied to ACCRECCREDIT invoices."),
        ({"LineItems": [line(UnitAmount=-1)]}, "The total of the document must not be negative."),
        ({"CurrencyCode": "EUR"}, "Organisation is not subscribed to currency EUR"),
        ({"Status": "VOIDED"}, "Credit Note not of valid status for modification"),
    ],
)
def test_a_credit_note_is_held_to_the_rules_of_invoices(client: Client, fields: Json, message: str) -> None:
    """The same lines, tax, currencies and statuses."""
    refused = put(client, credit(client, **fields))
    assert (messages(refused), refused["StatusAttributeString"]) == ([message], "ERROR")
    assert (refused["HasErrors"], refused["CreditNoteID"]) == (True, ZERO_GUID)


def test_an_invoice_type_is_no_credit_note(client: Client) -> None:
    """The other way round neither."""
    assert loaded(client.send("PUT", "/CreditNotes", None, credit(client, Type="ACCREC")))["ErrorNumber"] == 14
    assert loaded(client.send("PUT", "/Invoices", None, sale(client, Type="ACCRECCREDIT")))["ErrorNumber"] == 14


def test_by_default_one_bad_credit_note_refuses_the_whole_request(client: Client) -> None:
    """With summarizeErrors=false the good one stays."""
    body = {"CreditNotes": [credit(client, "CN-1"), credit(client, "CN-2", CurrencyCode="EUR")]}
    assert refused_whole(client.send("PUT", "/CreditNotes", None, body))
    assert client.read("/CreditNotes")["CreditNotes"] == []
    client.send("PUT", "/CreditNotes", {"summarizeErrors": "false"}, body)
    assert [one["CreditNoteNumber"] for one in client.read("/CreditNotes")["CreditNotes"]] == ["CN-1"]


def test_a_locked_period_refuses_a_credit_note(client: Client) -> None:
    """Creating it and voiding it."""
    made = approved_credit(client)
    client.organisation.set_lock_date(date(2026, 9, 14))
    text = "The document date cannot be before the period lock date, currently set at 14-Sep-2026"
    assert messages(put(client, credit(client))) == [text]
    assert messages(post(client, {"CreditNoteID": made, "Status": "VOIDED"})) == [text]


def test_the_same_key_makes_one_credit_note(client: Client) -> None:
    """As for every other write."""
    answers = [client.send("PUT", "/CreditNotes", None, credit(client), Idempotency_Key="k1") for _time in range(2)]
    assert answers[0].body == answers[1].body
    assert len(client.read("/CreditNotes")["CreditNotes"]) == 1


def test_credit_notes_need_the_scope_of_invoices(client: Client) -> None:
    """Their allocations too; prepayments need that of payments."""
    client.xero.identity.allowed_scopes = frozenset({"accounting.payments"})
    code = client.xero.issue_code("http://localhost/back", ["accounting.payments"])
    answer = token_call(client.xero, grant_type="authorization_code", code=code, redirect_uri="http://localhost/back")
    client.token = answer[1]["access_token"]
    assert client.send("GET", "/CreditNotes").status == 401
    assert client.send("PUT", f"/CreditNotes/{ZERO_GUID}/Allocations").status == 401
    for allowed in ("/Prepayments", "/Overpayments", "/Payments", "/BatchPayments"):
        assert client.send("GET", allowed).status == 200
    assert client.send("GET", "/Invoices").status == 401


def test_sent_is_for_approved_credit_notes_and_may_be_read_only(world: World) -> None:
    """The description says both."""
    client, strict = world(), world(credit_note_sent_settable=False)
    assert put(client, credit(client, SentToContact=True, Status="AUTHORISED"))["SentToContact"]
    assert not put(client, credit(client, SentToContact=True))["SentToContact"]
    assert not put(strict, credit(strict, SentToContact=True, Status="AUTHORISED"))["SentToContact"]


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(client: Client, clock: Moving) -> Client:
    """Three credit notes, five minutes apart."""
    for element in (
        credit(client, "CN-A", Reference="one", Date="2026-09-01", Status="AUTHORISED"),
        credit(client, "CN-B", LineItems=[line(UnitAmount=100)]),
        supplier_credit(client, "CN-A", Status="AUTHORISED"),
    ):
        client.accepted("PUT", "/CreditNotes", element)
        clock.advance(minutes=5)
    return client


def numbers(client: Client, **query: Any) -> list[str]:
    """Type and number of a list, in its order."""
    return [
        f"{one['Type'][3:6]} {one['CreditNoteNumber']}" for one in client.read("/CreditNotes", **query)["CreditNotes"]
    ]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('Type=="ACCPAYCREDIT"', ["PAY CN-A"]),
        ('CreditNoteNumber=="cn-a"', ["REC CN-A", "PAY CN-A"]),
        ('Status=="DRAFT" AND Contact.Name=="Acme Pty Ltd"', ["REC CN-B"]),
        ('Reference=="one"', ["REC CN-A"]),
        ("Date<DateTime(2026,09,10)", ["REC CN-A"]),
        ("RemainingCredit>100", ["REC CN-B"]),
    ],
)
def test_where_finds_credit_notes(shelf: Client, where: str, found: list[str]) -> None:
    """The fields are those of a credit note; AmountDue is none."""
    assert numbers(shelf, where=where) == found
    assert shelf.send("GET", "/CreditNotes", {"where": "AmountDue>1"}).status == 400


def test_lists_of_credit_notes_are_paged_ordered_and_incremental(shelf: Client) -> None:
    """Lines come with a page or by id only."""
    assert numbers(shelf, order="Total DESC") == ["REC CN-B", "REC CN-A", "PAY CN-A"]
    second = shelf.read("/CreditNotes", page=2, pageSize=2)
    assert second["pagination"] == {"page": 2, "pageSize": 2, "pageCount": 2, "itemCount": 3}
    assert [len(one["LineItems"]) for one in second["CreditNotes"]] == [1]
    assert [one["LineItems"] for one in shelf.read("/CreditNotes")["CreditNotes"]] == [[], [], []]
    since = shelf.send("GET", "/CreditNotes", None, None, If_Modified_Since="2026-09-14T09:33:00")
    assert len(loaded(since)["CreditNotes"]) == 2


def test_a_credit_note_is_found_by_id_or_by_number(shelf: Client) -> None:
    """Ours before a supplier's; an invoice is none."""
    found = shown(shelf, "cn-a")
    assert (found["Type"], shown(shelf, found["CreditNoteID"])["LineItems"]) == ("ACCRECCREDIT", found["LineItems"])
    invoice = approved(shelf, "INV-1")
    for path in (f"/CreditNotes/{invoice}", "/CreditNotes/INV-1", f"/Invoices/{found['CreditNoteID']}"):
        assert shelf.send("GET", path).status == 404
    assert all(one["Type"] in ("ACCREC", "ACCPAY") for one in shelf.invoices())


def test_a_list_of_ids_is_for_invoices_unless_the_switch_says_so(world: World) -> None:
    """The description of credit notes has no IDs, and an unknown parameter is ignored."""
    for known, count in ((False, 2), (True, 1)):
        client = world(credit_note_ids_filter=known)
        made = [approved_credit(client) for _time in range(2)]
        assert len(client.read("/CreditNotes", IDs=made[0])["CreditNotes"]) == count


# --- allocations --------------------------------------------------------------------------------------------------


def test_an_allocation_lowers_both_sides(client: Client) -> None:
    """And is shown on both, with its id on the credit note only."""
    invoice, note = approved(client, "A-1"), approved_credit(client, "CN-1")
    reply = allocate(client, note, invoice, "3.10")
    assert (reply["StatusAttributeString"], reply["Amount"]) == ("OK", Decimal("3.1"))
    assert (reply["Invoice"]["InvoiceID"], reply["CreditNote"]["CreditNoteID"]) == (invoice, note)
    assert "AllocationID" not in reply
    paid, used = client.invoice(invoice), shown(client, note)
    assert (paid["AmountDue"], paid["AmountCredited"], paid["AmountPaid"], paid["Status"]) == (
        20,
        Decimal("3.1"),
        0,
        "AUTHORISED",
    )
    assert [(one["CreditNoteNumber"], one["AppliedAmount"]) for one in paid["CreditNotes"]] == [
        ("CN-1", Decimal("3.1"))
    ]
    assert (used["RemainingCredit"], used["Status"]) == (20, "AUTHORISED")
    assert [(one["Amount"], one["Invoice"]["InvoiceNumber"]) for one in used["Allocations"]] == [
        (Decimal("3.1"), "A-1")
    ]
    assert used["Allocations"][0]["AllocationID"]


def test_an_allocation_of_everything_makes_both_paid_and_its_removal_undoes_that(client: Client, clock: Moving) -> None:
    """Both documents have changed, for an incremental read too."""
    invoice, note = approved(client), approved_credit(client, Date="2026-09-20")
    allocate(client, note, invoice, FULL, Date="2026-09-21")
    for document in (client.invoice(invoice), shown(client, note)):
        assert (document["Status"], document["FullyPaidOnDate"]) == ("PAID", "/Date(1789948800000+0000)/")
    clock.advance(minutes=5)
    allocation = shown(client, note)["Allocations"][0]["AllocationID"]
    path = f"/CreditNotes/{note}/Allocations/{allocation}"
    gone = client.send("DELETE", path)
    assert gone.status == 200
    assert loaded(gone) == {
        "AllocationID": allocation,
        "Date": "/Date(1789948800000+0000)/",
        "Invoice": {"InvoiceID": invoice},
        "IsDeleted": True,
    }
    assert client.send("DELETE", path).status == 404
    for collection, key in (("Invoices", invoice), ("CreditNotes", note)):
        changed = loaded(client.send("GET", f"/{collection}", None, None, If_Modified_Since="2026-09-14T09:33:00"))
        assert [one["Status"] for one in changed[collection]] == ["AUTHORISED"]
        assert "FullyPaidOnDate" not in client.one(collection, key)
    assert shown(client, note)["Allocations"] == client.invoice(invoice)["CreditNotes"] == []


@pytest.mark.parametrize(
    ("credited", "invoiced", "amount"),
    [(10, 100, "11.01"), (100, 10, "11.01"), (10, 10, "0"), (10, 10, "-1")],
)
def test_more_than_there_is_cannot_be_allocated(client: Client, credited: int, invoiced: int, amount: str) -> None:
    """The smaller of what remains and what is due is the limit; nothing changes."""
    note = approved_credit(client, LineItems=[line(Quantity=1, UnitAmount=credited)])
    invoice = approved(client, LineItems=[line(Quantity=1, UnitAmount=invoiced)])
    reply = allocate(client, note, invoice, amount)
    assert (reply["StatusAttributeString"], len(messages(reply))) == ("ERROR", 1)
    assert client.invoice(invoice)["AmountCredited"] == 0
    assert messages(allocate(client, note, invoice, "11.00")) == []


def test_the_same_allocation_twice_allocates_twice_while_there_is_room(client: Client) -> None:
    """Only an idempotency key, or no room, keeps it from that."""
    invoice, note = approved(client), approved_credit(client)
    body = {"Amount": 10, "Invoice": {"InvoiceID": invoice}, "Date": "2026-09-14"}
    path = f"/CreditNotes/{note}/Allocations"
    for key in ("k1", "k1", "k2"):
        assert client.send("PUT", path, None, body, Idempotency_Key=key).status == 200
    assert len(shown(client, note)["Allocations"]) == 2
    assert client.send("PUT", path, None, body).status == 400
    assert client.invoice(invoice)["AmountDue"] == Decimal("3.1")


def test_several_allocations_in_one_call_are_kept_or_refused_together(client: Client) -> None:
    """As summarizeErrors says."""
    note, one, other = approved_credit(client), approved(client), approved(client)
    elements = [{"Amount": 20, "Invoice": {"InvoiceID": key}, "Date": "2026-09-14"} for key in (one, other)]
    path = f"/CreditNotes/{note}/Allocations"
    assert refused_whole(client.send("PUT", path, None, {"Allocations": elements}))
    assert (shown(client, note)["RemainingCredit"], shown(client, note)["Allocations"]) == (FULL, [])
    reply = client.wrote("PUT", path, *elements)
    assert [element["StatusAttributeString"] for element in reply] == ["OK", "ERROR"]
    assert shown(client, note)["RemainingCredit"] == Decimal("3.1")


def test_an_allocation_needs_two_approved_documents_of_one_contact_one_side_and_one_currency(client: Client) -> None:
    """Each other pair is refused, and so is an unknown invoice."""
    note = approved_credit(client)
    other = client.made(sale(client, Status="AUTHORISED", Contact={"Name": "Other"}))["InvoiceID"]
    foreign = approved(client, CurrencyCode="USD")
    draft = client.made(sale(client))["InvoiceID"]
    for invoice in (other, foreign, draft, approved_bill(client), ZERO_GUID, note):
        assert messages(allocate(client, note, invoice, 1)), invoice
    raw = put(client, credit(client))["CreditNoteID"]
    assert messages(allocate(client, raw, approved(client), 1)) == ["Credit Note not of valid status for allocation"]
    assert messages(allocate(client, note, ZERO_GUID, 1)) == [
        "An existing Invoice with the specified InvoiceID could not be found"
    ]
    supplier = client.accepted("PUT", "/CreditNotes", supplier_credit(client, Status="AUTHORISED"))["CreditNoteID"]
    assert messages(allocate(client, supplier, approved_bill(client), 1)) == []


def test_allocations_respect_lock_dates(client: Client) -> None:
    """Their own date counts, not that of the documents."""
    note, invoice = approved_credit(client), approved(client)
    allocate(client, note, invoice, 1, Date="2026-09-20")
    client.organisation.set_lock_date(date(2026, 9, 30))
    assert messages(allocate(client, note, invoice, 1)) == [
        "The allocation date cannot be before the period lock date, currently set at 30-Sep-2026"
    ]
    path = f"/CreditNotes/{note}/Allocations/{shown(client, note)['Allocations'][0]['AllocationID']}"
    assert client.send("DELETE", path).status == 400
    assert messages(allocate(client, note, invoice, 1, Date="2026-10-01")) == []


def test_an_allocation_is_taken_off_by_the_address_of_its_own_credit_note(client: Client) -> None:
    """Below another one there is no such allocation."""
    note, other, invoice = approved_credit(client), approved_credit(client), approved(client)
    allocate(client, note, invoice, 1)
    key = shown(client, note)["Allocations"][0]["AllocationID"]
    assert client.send("DELETE", f"/CreditNotes/{other}/Allocations/{key}").status == 404
    assert client.send("DELETE", f"/CreditNotes/{note}/Allocations/{ZERO_GUID}").status == 404
    assert client.invoice(invoice)["AmountCredited"] == 1


def test_the_date_of_an_allocation_may_be_the_later_of_the_documents(world: World) -> None:
    """The documentation calls it read-only, the schema wants it."""
    for switch, day in (("sent", "/Date(1789603200000+0000)/"), ("later", "/Date(1789344000000+0000)/")):
        client = world(allocation_date=switch)
        note, invoice = approved_credit(client, Date="2026-09-01"), approved(client)
        assert allocate(client, note, invoice, 1, Date="2026-09-17")["Date"] == day
        without = client.send(
            "PUT", f"/CreditNotes/{note}/Allocations", None, {"Amount": 1, "Invoice": {"InvoiceID": invoice}}
        )
        assert loaded(without)["Allocations"][0]["Date"] == "/Date(1789344000000+0000)/"


def test_the_reply_may_carry_the_id_of_the_allocation(world: World) -> None:
    """By the example it does not."""
    client = world(allocation_id_in_reply=True)
    note = approved_credit(client)
    assert (
        allocate(client, note, approved(client), 1)["AllocationID"]
        == (shown(client, note)["Allocations"][0]["AllocationID"])
    )


def test_what_is_allocated_can_be_neither_voided_nor_changed(client: Client) -> None:
    """On both sides; a text may change."""
    note, invoice = approved_credit(client), approved(client)
    allocate(client, note, invoice, 1)
    assert messages(post(client, {"CreditNoteID": note, "Status": "VOIDED"})) == [
        "The status VOIDED cannot be applied to the credit note because it has payments or credits allocated to it."
    ]
    assert messages(client.post({"InvoiceID": invoice, "Status": "VOIDED"})) == [
        "The status VOIDED cannot be applied to the invoice because it has payments or credit notes allocated to it."
    ]
    assert messages(post(client, {"CreditNoteID": note, "LineItems": [line(UnitAmount=1)]}))
    assert messages(post(client, {"CreditNoteID": note, "Reference": "new"})) == []
    with pytest.raises(ValueError, match="VOIDED"):
        client.organisation.void(note)


def test_a_voided_credit_note_has_nothing_left(client: Client) -> None:
    """Its reply still shows what there was, as for invoices; its lines stay."""
    note = approved_credit(client)
    assert post(client, {"CreditNoteID": note, "Status": "VOIDED"})["RemainingCredit"] == FULL
    later = shown(client, note)
    assert (later["RemainingCredit"], later["Total"], len(later["LineItems"])) == (0, FULL, 1)


def test_allocations_have_no_list_and_no_other_call(client: Client) -> None:
    """They are read on their credit note."""
    note = approved_credit(client)
    path = f"/CreditNotes/{note}/Allocations"
    assert client.send("GET", path).status == client.send("POST", path).status == 501
    assert client.send("PUT", f"/CreditNotes/{ZERO_GUID}/Allocations", None, {"Amount": 1}).status == 404
    assert loaded(client.send("PUT", path, None, {"Allocations": []}))["ErrorNumber"] == 17


# --- by hand ------------------------------------------------------------------------------------------------------


def test_people_key_approve_edit_and_delete_credit_notes(client: Client) -> None:
    """With the methods that serve invoices too."""
    organisation = client.organisation
    made = organisation.enter_credit_note(**credit(client, "CN-1"))
    note = made["CreditNoteID"]
    assert organisation.approve(note)["Status"] == "AUTHORISED"
    assert organisation.edit(note, LineItems=[line(), line()])["RemainingCredit"] == 2 * FULL
    assert organisation.void(note)["Status"] == "VOIDED"
    draft = organisation.enter_credit_note(**supplier_credit(client, LineItems=[bill_line()]))
    assert organisation.delete(draft["CreditNoteID"])["Status"] == "DELETED"
    assert organisation.credit_notes() == []
    assert len(organisation.credit_notes(live=False)) == 2
    found = organisation.credit_note_by_number("cn-1")
    assert found is not None and found["CreditNoteID"] == note


def test_people_allocate_and_take_it_back(client: Client) -> None:
    """As much as fits, or an amount; the snapshot tells the difference."""
    organisation = client.organisation
    note, invoice = approved_credit(client, "CN-1"), approved(client, LineItems=[line(Quantity=1, UnitAmount=10)])
    before = organisation.snapshot()
    made = organisation.allocate(note, invoice)
    assert (made["Amount"], organisation.document(invoice)["Status"]) == (11, "PAID")
    assert organisation.snapshot()["ACCREC"] != before["ACCREC"]
    assert organisation.allocations(note) == organisation.allocations(invoice) == [made]
    organisation.unallocate(made["AllocationID"])
    assert organisation.snapshot() == before
    with pytest.raises(ValueError, match="exceeds"):
        organisation.allocate(note, invoice, "11.01")
    with pytest.raises(ValueError, match="to an invoice"):
        organisation.allocate(invoice, note)


# --- prepayments and overpayments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Prepayment", "Overpayment"])
def test_prepayments_and_overpayments_are_allocated_like_credit_notes(client: Client, kind: str) -> None:
    """They are made by people, and shown in the invoice under their own name."""
    organisation, contact = client.organisation, contact_id(client)
    receive = organisation.prepay if kind == "Prepayment" else organisation.overpay
    made = receive(contact, 30, date="2026-09-10", reference="EFT")
    key, collection = made[f"{kind}ID"], f"{kind}s"
    assert (made["Type"], made["Total"], made["RemainingCredit"]) == (f"RECEIVE-{kind.upper()}", 30, 30)
    invoice = approved(client)
    path = f"/{collection}/{key}/Allocations"
    reply = client.wrote("PUT", path, {"Amount": FULL, "Invoice": {"InvoiceID": invoice}, "Date": "2026-09-14"})[0]
    assert reply[kind][f"{kind}ID"] == key
    paid = client.invoice(invoice)
    assert (paid["Status"], paid["AmountCredited"], paid["CreditNotes"]) == ("PAID", FULL, [])
    assert [(one[f"{kind}ID"], one["AppliedAmount"]) for one in paid[collection]] == [(key, FULL)]
    found = client.one(collection, key)
    assert (found["RemainingCredit"], len(found["Allocations"])) == (Decimal("6.9"), 1)
    assert client.send("DELETE", f"{path}/{found['Allocations'][0]['AllocationID']}").status == 200
    assert client.invoice(invoice)["Status"] == "AUTHORISED"
    listed = client.read(f"/{collection}", page=1, where="RemainingCredit==30")
    assert [len(one["LineItems"]) for one in listed[collection]] == [1]
    assert client.send("PUT", f"/{collection}", None, {"Type": made["Type"]}).status == 501


def test_spent_prepayments_are_for_bills(client: Client) -> None:
    """A sales invoice cannot have one."""
    supplier = contact_id(client, "S-1")
    made = client.organisation.prepay(supplier, 30, sales=False, account="310")
    assert (made["Type"], made["TotalTax"]) == ("SPEND-PREPAYMENT", Decimal("2.73"))
    client.organisation.allocate(made["PrepaymentID"], approved_bill(client), 5)
    ours = client.made(sale(client, Status="AUTHORISED", Contact={"ContactID": supplier}))["InvoiceID"]
    with pytest.raises(ValueError, match="SPEND-PREPAYMENT cannot"):
        client.organisation.allocate(made["PrepaymentID"], ours, 5)


# --- the official description -------------------------------------------------------------------------------------


def test_credits_are_as_the_official_description_says(client: Client, description: Json) -> None:
    """Lists, pages, single ones, replies, and the invoices that show them."""
    bodies = {"CreditNotes": [credit(client, "CN-1", Status="AUTHORISED", CurrencyCode="USD"), credit(client, "CN-1")]}
    written = loaded(client.send("PUT", "/CreditNotes", {"summarizeErrors": "false"}, bodies))
    check(description, "CreditNotes", written)
    note, invoice = written["CreditNotes"][0]["CreditNoteID"], approved(client, CurrencyCode="USD")
    amounts = [{"Amount": amount, "Invoice": {"InvoiceID": invoice}, "Date": "2026-09-14"} for amount in (5, 500)]
    path = f"/CreditNotes/{note}/Allocations"
    replies = loaded(client.send("PUT", path, {"summarizeErrors": "false"}, {"Allocations": amounts}))
    assert [one["StatusAttributeString"] for one in replies["Allocations"]] == ["OK", "ERROR"]
    check(description, "Allocations", replies)
    client.organisation.refund(note, 5)
    for kind, make in (("Prepayments", client.organisation.prepay), ("Overpayments", client.organisation.overpay)):
        made = make(contact_id(client), 30, currency="USD")
        key = cast(str, made[f"{kind[:-1]}ID"])
        client.organisation.allocate(key, invoice, 3)
        client.organisation.refund(key, 3)
        for address, query in ((f"/{kind}", {}), (f"/{kind}", {"page": 1}), (f"/{kind}/{key}", {})):
            check(description, kind, client.read(address, **query))
    for query in ({}, {"page": 1}):
        check(description, "CreditNotes", client.read("/CreditNotes", **query))
    check(description, "CreditNotes", client.read(f"/CreditNotes/{note}"))
    check(description, "Invoices", client.read(f"/Invoices/{invoice}"))
