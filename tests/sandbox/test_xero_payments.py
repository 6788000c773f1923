"""The simulated Xero treats payments, refunds and batches as Xero does, as far as public sources say."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from deployments.sandbox.wire import ConnectionCut, Fault, Faulty, Request
from tests.sandbox.xero_client import (
    ZERO_GUID,
    Client,
    Json,
    Moving,
    World,
    approved,
    approved_bill,
    approved_credit,
    check,
    contact_id,
    credit,
    loaded,
    messages,
    official,
    sale,
    supplier_credit,
    token_call,
)

FULL = Decimal("23.10")


def payment(invoice_id: str, amount: Any = FULL, **fields: Any) -> Json:
    """A payment of an invoice from the bank account, as a client would send it."""
    paid: Json = {"Invoice": {"InvoiceID": invoice_id}, "Account": {"Code": "090"}}
    return {**paid, "Date": "2026-09-20", "Amount": amount, **fields}


def put(client: Client, element: Json) -> Json:
    """Create one payment, refused or not."""
    return client.wrote("PUT", "/Payments", element)[0]


def made(client: Client, element: Json) -> Json:
    """Create one payment that must be accepted."""
    return client.accepted("PUT", "/Payments", element)


def listed(client: Client, **query: Any) -> list[Json]:
    """The payments of a list."""
    return cast(list[Json], client.read("/Payments", **query)["Payments"])


def delete(client: Client, payment_id: str, status: str = "DELETED") -> list[str]:
    """Delete a payment; what Xero says against it."""
    answer = client.send("POST", f"/Payments/{payment_id}", None, {"Payments": [{"Status": status}]})
    body = loaded(answer)
    if answer.status == 200:
        assert body["Payments"][0]["Status"] == "DELETED"
        return []
    return messages(body["Elements"][0])


# --- paying -------------------------------------------------------------------------------------------------------


def test_a_payment_lowers_what_is_due_and_the_last_one_makes_the_invoice_paid(client: Client) -> None:
    """It is told in full by itself, and without status and account inside the invoice."""
    invoice = approved(client, "A-1")
    first = made(client, payment(invoice, "3.10", Reference="EFT 1"))
    assert (first["Status"], first["PaymentType"], first["Amount"]) == ("AUTHORISED", "ACCRECPAYMENT", Decimal("3.1"))
    assert (first["BankAmount"], first["CurrencyRate"], first["IsReconciled"]) == (Decimal("3.1"), 1, False)
    assert (first["Account"]["Code"], first["Invoice"]["InvoiceID"], first["HasAccount"]) == ("090", invoice, True)
    part = client.invoice(invoice)
    assert (part["Status"], part["AmountDue"], part["AmountPaid"]) == ("AUTHORISED", 20, Decimal("3.1"))
    assert part["Payments"] == [
        {
            "PaymentID": first["PaymentID"],
            "Date": "/Date(1789862400000+0000)/",
            "Amount": Decimal("3.1"),
            "Reference": "EFT 1",
            "CurrencyRate": 1,
            "HasAccount": False,
            "HasValidationErrors": False,
        }
    ]
    made(client, payment(invoice, 20, Date="2026-09-22"))
    whole = client.invoice(invoice)
    assert (whole["Status"], whole["AmountDue"]) == ("PAID", 0)
    assert whole["FullyPaidOnDate"] == "/Date(1790035200000+0000)/"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Amount": "23.11"}, "Payment amount exceeds the amount outstanding on this document"),
        ({"Amount": 0}, "The payment amount must be greater than zero"),
        ({"Amount": None}, "The Amount field is mandatory."),
        ({"Date": None}, "The Date field is mandatory."),
        (
            {"Invoice": {"InvoiceID": ZERO_GUID}},
            "An existing Invoice with the specified InvoiceID could not be found",
        ),
        (
            {"Invoice": None},
            "A payment must have exactly one of Invoice, CreditNote, Prepayment and Overpayment",
        ),
        (
            {"CreditNote": {"CreditNoteID": ZERO_GUID}},
            "A payment must have exactly one of Invoice, CreditNote, Prepayment and Overpayment",
        ),
        ({"Reference": "x" * 256}, "Reference must not be longer than 255 characters."),
        ({"Status": "DELETED"}, "A new payment must have the status AUTHORISED"),
        ({"BankAmount": 20}, "The BankAmount must be the Amount where the currencies are the same"),
    ],
)
def test_a_refused_payment_says_why_and_has_the_zero_guid(client: Client, fields: Json, message: str) -> None:
    """Nothing is paid."""
    invoice = approved(client)
    refused = put(client, payment(invoice, **fields))
    assert (messages(refused), refused["StatusAttributeString"]) == ([message], "ERROR")
    assert (refused["PaymentID"], refused["HasValidationErrors"]) == (ZERO_GUID, True)
    assert (client.invoice(invoice)["AmountPaid"], listed(client)) == (0, [])


@pytest.mark.parametrize(
    ("account", "good"),
    [("090", True), ("855", True), ("200", False), ("999", False), ("OLD", False), ("", False)],
)
def test_the_account_is_a_bank_or_takes_payments_and_is_active(client: Client, account: str, good: bool) -> None:
    """By code or by id."""
    client.organisation.add_account("OLD", "Old bank", "BANK", status="ARCHIVED")
    answer = put(client, payment(approved(client), Account={"Code": account}))
    assert (messages(answer) == []) == good
    ids = {one["Code"]: one["AccountID"] for one in client.read("/Accounts")["Accounts"]}
    if account in ids:
        again = put(client, payment(approved(client), Account={"AccountID": ids[account]}))
        assert (messages(again) == []) == good


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "VOIDED", "PAID"])
def test_only_an_authorised_document_can_be_paid(client: Client, status: str) -> None:
    """The text is the one that Xero's users quote."""
    invoice = client.made(sale(client, Status="AUTHORISED" if status in ("VOIDED", "PAID") else status))["InvoiceID"]
    if status == "VOIDED":
        client.organisation.void(invoice)
    if status == "PAID":
        client.organisation.pay(invoice, FULL)
    assert "Payments can only be made against Authorised documents" in messages(put(client, payment(invoice, 1)))


def test_the_same_payment_twice_pays_twice_while_something_is_due(client: Client) -> None:
    """Only an idempotency key, or nothing due, keeps it from that."""
    invoice = approved(client)
    body = payment(invoice, 10)
    for key in ("k1", "k1", "k2"):
        assert client.send("PUT", "/Payments", None, body, Idempotency_Key=key).status == 200
    assert [one["Amount"] for one in listed(client)] == [10, 10]
    assert client.send("PUT", "/Payments", None, body).status == 400
    assert client.invoice(invoice)["AmountDue"] == Decimal("3.1")


def test_a_lost_answer_is_repeated_safely_only_with_its_key(client: Client) -> None:
    """The work was done; without the key it is done again."""
    invoice = approved(client)
    faulty = Faulty(client.xero, client.clock)
    faulty.plan = lambda request, number: Fault("after") if request.method == "PUT" and number == 1 else None
    content = json.dumps(payment(invoice, 5), default=float).encode()
    headers = {"Authorization": f"Bearer {client.token}", "Xero-tenant-id": client.organisation.tenant_id}

    def send(key: str) -> int:
        named = {**headers, "Accept": "application/json", "Idempotency-Key": key}
        return faulty(Request.build("PUT", "/api.xro/2.0/Payments", "", named, content)).status

    with pytest.raises(ConnectionCut):
        send("k1")
    assert (send("k1"), client.invoice(invoice)["AmountPaid"]) == (200, 5)
    assert (send("k2"), client.invoice(invoice)["AmountPaid"]) == (200, 10)


def test_many_threads_pay_no_more_than_is_due(client: Client) -> None:
    """Two of eight find room."""
    invoice = approved(client)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _one: client.send("PUT", "/Payments", None, payment(invoice, 10)).status, range(8))
        assert sorted(answers) == [200, 200, 400, 400, 400, 400, 400, 400]
    assert client.invoice(invoice)["AmountDue"] == Decimal("3.1")


def test_several_payments_in_one_call_are_kept_or_refused_together(client: Client) -> None:
    """As summarizeErrors says; POST knows no such parameter."""
    invoice = approved(client)
    body = {"Payments": [payment(invoice, 20), payment(invoice, 20)]}
    assert client.send("PUT", "/Payments", None, body).status == 400
    assert client.send("POST", "/Payments", {"summarizeErrors": "false"}, body).status == 400
    assert client.invoice(invoice)["AmountDue"] == FULL
    answers = client.wrote("PUT", "/Payments", *body["Payments"])
    assert [one["StatusAttributeString"] for one in answers] == ["OK", "ERROR"]
    assert client.send("POST", "/Payments", None, payment(invoice, 1)).status == 200
    assert client.invoice(invoice)["AmountDue"] == Decimal("2.1")


def test_sales_documents_can_be_named_by_number_and_bills_cannot(client: Client) -> None:
    """The numbers of suppliers are not unique."""
    approved(client, "A-1")
    approved_bill(client, "B-1")
    approved_credit(client, "CN-1")
    for named in ({"Invoice": {"InvoiceNumber": "a-1"}}, {"Invoice": None, "InvoiceNumber": "A-1"}):
        assert messages(put(client, {**payment("", 1), **named})) == []
    assert messages(put(client, {**payment("", 1), "Invoice": None, "CreditNoteNumber": "CN-1"})) == []
    assert messages(put(client, {**payment("", 1), "Invoice": {"InvoiceNumber": "B-1"}}))


def test_a_locked_period_refuses_payments_and_their_deletion(client: Client) -> None:
    """The date of the payment counts, not that of the invoice."""
    invoice = approved(client)
    paid = made(client, payment(invoice, 1))["PaymentID"]
    client.organisation.set_lock_date(date(2026, 9, 30))
    text = "The payment date cannot be before the period lock date, currently set at 30-Sep-2026"
    assert messages(put(client, payment(invoice, 1))) == [text]
    assert delete(client, paid) == [text]
    made(client, payment(invoice, 1, Date="2026-10-01"))


def test_a_bill_is_paid_and_credits_are_refunded(client: Client) -> None:
    """Whatever is paid is shown as the Invoice of its payment, under a type of its own."""
    note = approved_credit(client, "CN-1")
    supplier = client.accepted("PUT", "/CreditNotes", supplier_credit(client, Status="AUTHORISED"))["CreditNoteID"]
    organisation = client.organisation
    advance = organisation.prepay(contact_id(client), FULL)["PrepaymentID"]
    surplus = organisation.overpay(contact_id(client, "S-1"), FULL, sales=False)["OverpaymentID"]
    for kind, key, paid_as, shown in (
        ("Invoice", approved_bill(client), "ACCPAYPAYMENT", "ACCPAY"),
        ("CreditNote", note, "ARCREDITPAYMENT", "ACCRECCREDIT"),
        ("CreditNote", supplier, "APCREDITPAYMENT", "ACCPAYCREDIT"),
        ("Prepayment", advance, "ARPREPAYMENTPAYMENT", "ARPREPAYMENT"),
        ("Overpayment", surplus, "APOVERPAYMENTPAYMENT", "APOVERPAYMENT"),
    ):
        paid = made(client, {**payment("", 3), "Invoice": None, kind: {f"{kind}ID": key}})
        assert (paid["PaymentType"], paid["Invoice"]["Type"], paid["Invoice"]["InvoiceID"]) == (
            paid_as,
            shown,
            key,
        )
        document = client.one(f"{kind}s", key)
        assert document["AmountDue" if kind == "Invoice" else "RemainingCredit"] == Decimal("20.1")
        assert [one["PaymentID"] for one in document["Payments"]] == [paid["PaymentID"]]
        made(client, {**payment("", "20.10"), "Invoice": None, kind: {f"{kind}ID": key}})
        assert client.one(f"{kind}s", key)["Status"] == "PAID"


# --- currencies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "bank", "rate"),
    [
        ({}, "20", "0.5"),
        ({"CurrencyRate": "0.4"}, "25", "0.4"),
        ({"BankAmount": "12.5"}, "12.5", "0.8"),
        ({"BankAmount": "12.5", "CurrencyRate": "0.4"}, "12.5", "0.8"),
    ],
)
def test_a_foreign_invoice_is_paid_in_its_own_currency(client: Client, fields: Json, bank: str, rate: str) -> None:
    """Amount in its currency, BankAmount in the account's; the latter goes before a rate, the rate before the day's."""
    client.organisation.set_day_rate("USD", "0.5", date(2026, 9, 20))
    invoice = approved(client, CurrencyCode="USD", CurrencyRate="0.6")
    paid = made(client, payment(invoice, 10, **fields))
    assert (paid["Amount"], paid["BankAmount"], paid["CurrencyRate"]) == (10, Decimal(bank), Decimal(rate))
    shown = client.invoice(invoice)
    assert (shown["AmountPaid"], shown["Payments"][0]["CurrencyRate"]) == (10, Decimal(rate))


def test_an_account_pays_documents_of_its_own_currency_or_is_in_the_base_currency(client: Client) -> None:
    """A dollar account pays no invoice in another currency."""
    client.organisation.add_account("095", "Dollars", "BANK", currency="USD")
    foreign, own = approved(client, CurrencyCode="USD"), approved(client)
    paid = made(client, payment(foreign, 10, Account={"Code": "095"}, CurrencyRate="0.7"))
    assert (paid["BankAmount"], paid["CurrencyRate"]) == (10, Decimal("0.7"))
    assert messages(put(client, payment(own, 10, Account={"Code": "095"}))) == [
        "A document in AUD cannot be paid from an account in USD"
    ]


# --- deleting -----------------------------------------------------------------------------------------------------


def test_a_deleted_payment_stays_in_lists_and_leaves_the_invoice_due(client: Client, clock: Moving) -> None:
    """It is gone from the invoice; both have changed."""
    invoice = approved(client)
    paid = made(client, payment(invoice))["PaymentID"]
    clock.advance(minutes=5)
    assert delete(client, paid) == []
    document = client.invoice(invoice)
    assert (document["Status"], document["AmountDue"], document["Payments"]) == ("AUTHORISED", FULL, [])
    assert [(one["PaymentID"], one["Status"]) for one in listed(client)] == [(paid, "DELETED")]
    changed = client.send("GET", "/Payments", None, None, If_Modified_Since="2026-09-14T09:33:00")
    assert len(loaded(changed)["Payments"]) == 1
    assert delete(client, paid) == ["The payment has been deleted already"]
    assert client.send("POST", f"/Payments/{ZERO_GUID}", None, {"Status": "DELETED"}).status == 404


def test_a_payment_cannot_be_changed(client: Client) -> None:
    """Neither by its address nor by its id in the body, which makes no second payment either."""
    paid = made(client, payment(approved(client), 1))["PaymentID"]
    text = "A payment cannot be changed; it can only be sent the Status DELETED"
    assert delete(client, paid, "AUTHORISED") == [text]
    again = client.send("POST", "/Payments", None, {**payment(approved(client), 2), "PaymentID": paid})
    assert messages(loaded(again)["Elements"][0]) == [text]
    assert len(listed(client)) == 1


def test_a_reconciled_payment_is_deleted_only_when_the_switch_says_so(world: World) -> None:
    """A person can take the match back first."""
    for deletable in (False, True):
        client = world(reconciled_payment_deletable=deletable)
        paid = made(client, payment(approved(client), 1, IsReconciled=True))
        assert paid["IsReconciled"]
        assert (delete(client, paid["PaymentID"]) == []) == deletable
        if not deletable:
            client.organisation.reconcile(paid["PaymentID"], False)
            assert delete(client, paid["PaymentID"]) == []


def test_a_payment_of_a_batch_cannot_be_deleted_by_itself(client: Client) -> None:
    """It names its batch; a person removes the batch as a whole."""
    organisation = client.organisation
    one, other = approved(client), approved(client)
    batch = organisation.batch_payment({one: 5, other: FULL}, date="2026-09-20", reference="Run 1")
    key = batch["BatchPaymentID"]
    found = listed(client, where=f'BatchPaymentID==Guid("{key}")')
    assert {(part["BatchPaymentID"], part["BatchPayment"]["Type"]) for part in found} == {(key, "RECBATCH")}
    assert client.invoice(other)["Status"] == "PAID"
    assert delete(client, found[0]["PaymentID"]) == [
        "The payment is part of a batch payment and cannot be deleted by itself"
    ]
    shown = client.one("BatchPayments", key)
    assert (shown["TotalAmount"], shown["Status"], len(shown["Payments"])) == (Decimal("28.1"), "AUTHORISED", 2)
    organisation.remove_batch(key)
    assert [part["Status"] for part in listed(client)] == ["DELETED", "DELETED"]
    assert client.read("/BatchPayments")["BatchPayments"][0]["Status"] == "DELETED"
    assert client.invoice(other)["Status"] == "AUTHORISED"


def test_a_batch_that_cannot_be_paid_pays_nothing(client: Client) -> None:
    """All or nothing, and invoices and bills do not mix."""
    one, other = approved(client), approved(client)
    with pytest.raises(ValueError, match="exceeds"):
        client.organisation.batch_payment({one: 5, other: 100})
    with pytest.raises(ValueError, match="or bills only"):
        client.organisation.batch_payment({one: 5, approved_bill(client): 5})
    assert listed(client) == []


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def till(client: Client, clock: Moving) -> Client:
    """Payments of two invoices and a refund; the first one deleted."""
    one, other, note = approved(client, "A-1"), approved(client, "A-2"), approved_credit(client, "CN-1")
    for key, amount, day in ((one, 1, "2026-09-20"), (one, 2, "2026-09-21"), (other, 3, "2026-09-22")):
        made(client, payment(key, amount, Date=day, Reference=f"R{amount}"))
        clock.advance(minutes=1)
    made(client, {**payment("", 4), "Invoice": None, "CreditNote": {"CreditNoteID": note}})
    clock.advance(minutes=1)
    client.organisation.remove_payment(listed(client, where="Amount==1")[0]["PaymentID"])
    return client


@pytest.mark.parametrize(
    ("where", "amounts"),
    [
        ('Status=="AUTHORISED"', [2, 3, 4]),
        ('PaymentType=="ARCREDITPAYMENT"', [4]),
        ("Date>=DateTime(2026,09,21)", [2, 3]),
        ('Invoice.InvoiceNumber=="a-1" AND Status!="DELETED"', [2]),
        ('Account.Code=="090" AND Reference=="R3"', [3]),
        ("IsReconciled==true", []),
    ],
)
def test_where_finds_payments(till: Client, where: str, amounts: list[int]) -> None:
    """Deleted ones too, unless it says otherwise."""
    assert [one["Amount"] for one in listed(till, where=where, order="Amount")] == amounts


def test_payments_are_found_by_the_id_of_what_they_pay(till: Client) -> None:
    """Also those of a credit note, which stands where an invoice does."""
    for collection, number, amounts in (("Invoices", "A-1", [2, 1]), ("CreditNotes", "CN-1", [4])):
        document = till.one(collection, number)
        key = document.get("InvoiceID") or document["CreditNoteID"]
        assert [one["Amount"] for one in listed(till, where=f'Invoice.InvoiceID==Guid("{key}")')] == amounts


def test_lists_of_payments_are_paged_ordered_and_incremental(till: Client) -> None:
    """The oldest change comes first; the deleted payment changed last."""
    assert [one["Amount"] for one in listed(till)] == [2, 3, 4, 1]
    second = till.read("/Payments", page=2, pageSize=3, order="Date DESC")
    assert second["pagination"] == {"page": 2, "pageSize": 3, "pageCount": 2, "itemCount": 4}
    assert len(second["Payments"]) == 1
    assert "Name" not in second["Payments"][0]["Account"]
    since = till.send("GET", "/Payments", None, None, If_Modified_Since="2026-09-14T09:33:00")
    assert [one["Amount"] for one in loaded(since)["Payments"]] == [4, 1]
    assert till.send("GET", "/Payments", {"where": "Invoice.Total>1"}).status == 400


def test_payments_need_their_own_scope(client: Client) -> None:
    """That of invoices does not do; reading is enough for a list."""
    for scope, reads, writes in (
        ("accounting.invoices", 401, 401),
        ("accounting.payments.read", 200, 401),
        ("accounting.payments", 200, 400),
    ):
        code = client.xero.issue_code("http://localhost/back", [scope])
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost/back"}
        client.token = token_call(client.xero, **form)[1]["access_token"]
        assert client.send("GET", "/Payments").status == reads
        assert client.send("PUT", "/Payments", None, {"Amount": 1}).status == writes


# --- by hand ------------------------------------------------------------------------------------------------------


def test_people_pay_refund_reconcile_and_remove(client: Client) -> None:
    """Past lock dates, and with the texts of the rules where something cannot be done."""
    organisation = client.organisation
    invoice, note = approved(client), approved_credit(client)
    organisation.set_lock_date(date(2026, 12, 31))
    assert organisation.pay(invoice, FULL, date(2026, 9, 15), reference="by hand")["Status"] == "PAID"
    assert organisation.refund(note, 3)["RemainingCredit"] == Decimal("20.1")
    paid = organisation.payments(invoice)[0]
    assert organisation.reconcile(paid["PaymentID"])["IsReconciled"]
    assert organisation.remove_payment(paid["PaymentID"])["Status"] == "DELETED"
    assert organisation.payments(invoice) == []
    assert len(organisation.payments(live=False)) == 2
    with pytest.raises(ValueError, match="not refunded"):
        organisation.refund(invoice, 1)
    with pytest.raises(ValueError, match="BANK"):
        organisation.pay(invoice, 1, account="200")
    with pytest.raises(ValueError, match="deleted"):
        organisation.reconcile(paid["PaymentID"])
    with pytest.raises(KeyError):
        organisation.remove_payment(ZERO_GUID)


def looked_at(client: Client, address: str) -> str:
    """The page at a deep link of the old screens."""
    query = f"shortcode={client.organisation.short_code}&redirecturl={address}"
    answer = client.xero(Request.build("GET", "/organisationlogin/default.aspx", query))
    assert answer.status == 200
    return answer.body.decode()


def test_deep_links_lead_to_credit_notes_and_payments(client: Client) -> None:
    """With what was paid and allocated, and links to the other side."""
    note, invoice = approved_credit(client, "CN-1"), approved(client, "A<1>")
    client.organisation.allocate(note, invoice, 3)
    client.organisation.pay(invoice, 5, reference="<b>")
    page = looked_at(client, f"/AccountsPayable/ViewCreditNote.aspx?creditNoteID={note}")
    assert "Credit Note CN-1" in page and f"/invoicing/view/{invoice}" in page and "A&lt;1&gt;" in page
    paid = client.organisation.payments(invoice)[0]["PaymentID"]
    shown = looked_at(client, f"/Bank/ViewTransaction.aspx?bankTransactionID={paid}")
    assert "AUD 5" in shown and "&lt;b&gt;" in shown and f"/invoicing/view/{invoice}" in shown
    path = f"/app/{client.organisation.short_code}/invoicing/view/{invoice}"
    sheet = client.xero(Request.build("GET", path)).body.decode()
    assert f"creditNoteID={note}" in sheet and f"bankTransactionID={paid}" in sheet
    home = client.xero(Request.build("GET", f"/app/{client.organisation.short_code}")).body.decode()
    assert "Credit Note CN-1" in home


# --- speed, the official description -----------------------------------------------------------------------


def test_thousands_of_payments_stay_fast(client: Client) -> None:
    """Five thousand paid invoices: made, paged and looked up in seconds."""
    organisation = client.organisation
    element = sale(client, Status="AUTHORISED")
    started = time.perf_counter()
    for batch in range(100):
        numbers = [f"N-{batch * 50 + index}" for index in range(50)]
        for invoice in client.write("PUT", *({**element, "InvoiceNumber": one} for one in numbers)):
            organisation.pay(invoice["InvoiceID"], FULL)
    pages = [client.read("/Payments", page=page, pageSize=1000) for page in range(1, 6)]
    assert [len(page["Payments"]) for page in pages] == [1000] * 5
    for page in pages:
        for one in page["Payments"][::100]:
            found = listed(client, where=f'Invoice.InvoiceID==Guid("{one["Invoice"]["InvoiceID"]}")')
            assert [part["PaymentID"] for part in found] == [one["PaymentID"]]
    assert time.perf_counter() - started < 30


def test_payments_are_as_the_official_description_says(client: Client, description: Json) -> None:
    """Lists, pages, single ones, batches, replies and refusals."""
    invoice = approved(client, CurrencyCode="USD")
    body = {"Payments": [payment(invoice, 5), payment(invoice, 500)]}
    written = loaded(client.send("PUT", "/Payments", {"summarizeErrors": "false"}, body))
    assert [one["StatusAttributeString"] for one in written["Payments"]] == ["OK", "ERROR"]
    check(description, "Payments", written)
    client.organisation.refund(approved_credit(client), 5)
    batch = client.organisation.batch_payment({approved(client): 5})["BatchPaymentID"]
    for query in ({}, {"page": 1}):
        check(description, "Payments", client.read("/Payments", **query))
    for one in listed(client):
        check(description, "Payments", client.read(f"/Payments/{one['PaymentID']}"))
    for path in ("/BatchPayments", f"/BatchPayments/{batch}"):
        check(description, "BatchPayments", client.read(path))
    gone = client.send("POST", f"/Payments/{written['Payments'][0]['PaymentID']}", None, {"Status": "DELETED"})
    check(description, "Payments", loaded(gone))
    check(description, "CreditNotes", loaded(client.send("PUT", "/CreditNotes", None, credit(client))))


def test_the_official_python_client_can_credit_allocate_pay_and_delete(client: Client, base_url: str) -> None:
    """Over a socket, with its own parsing: also its way of asking for a deletion."""
    from xero_python.accounting import (
        Account,
        Allocation,
        Allocations,
        CreditNote,
        CreditNotes,
        Invoice,
        Payment,
        PaymentDelete,
        Payments,
    )
    from xero_python.exceptions import AccountingBadRequestException

    api, tenant = official(client, base_url), client.organisation.tenant_id
    invoice, note = approved(client, "A-1"), approved_credit(client, "CN-1")
    changed = api.update_credit_note(tenant, note, CreditNotes(credit_notes=[CreditNote(reference="r")]))
    assert (changed.credit_notes[0].reference, changed.credit_notes[0].remaining_credit) == ("r", FULL)

    part = Allocation(amount=Decimal("3.10"), invoice=Invoice(invoice_id=invoice), date=date(2026, 9, 20))
    made = api.create_credit_note_allocation(tenant, note, Allocations(allocations=[part]), summarize_errors=False)
    assert (made.allocations[0].amount, made.allocations[0].date) == (Decimal("3.1"), date(2026, 9, 20))
    found = api.get_credit_notes(tenant, where='Type=="ACCRECCREDIT"', page=1).credit_notes[0]
    assert (found.remaining_credit, found.allocations[0].invoice.invoice_number) == (20, "A-1")

    paid = Payment(
        invoice=Invoice(invoice_id=invoice), account=Account(code="090"), date=date(2026, 9, 21), amount=Decimal(20)
    )
    kept = api.create_payments(tenant, Payments(payments=[paid]), summarize_errors=True).payments[0]
    assert (kept.status, kept.payment_type, kept.invoice.status) == ("AUTHORISED", "ACCRECPAYMENT", "PAID")
    with pytest.raises(AccountingBadRequestException) as refusal:
        api.create_payment(tenant, paid)
    assert refusal.value.reason == "Payments can only be made against Authorised documents"
    whole = api.get_invoice(tenant, invoice).invoices[0]
    assert (whole.amount_credited, whole.amount_paid, whole.fully_paid_on_date) == (
        Decimal("3.1"),
        20,
        date(2026, 9, 21),
    )

    gone = api.delete_payment(tenant, kept.payment_id, PaymentDelete(status="DELETED")).payments[0]
    assert gone.status == "DELETED"
    assert client.invoice(invoice)["AmountDue"] == 20
    with pytest.raises(ValueError, match="amount"):  # it has no place for a reply without the amount, as documented
        api.delete_credit_note_allocations(tenant, note, found.allocations[0].allocation_id)
    assert client.invoice(invoice)["AmountDue"] == FULL
