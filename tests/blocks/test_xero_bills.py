"""Bills in Xero: looked up by their suppliers, read, and written, whatever number they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.database import Audit
from blocks.xero.client import Element, XeroClient
from deployments.sandbox.xero import Organisation, SimulatedXero, XeroSwitches
from mappings.kinds import BILL, INVOICE
from mappings.links import ConnectWiseSite, bill_key
from mappings.posted import Posted, line_ids
from mappings.xero import Document, Found, Line, predicted_tax, write_json
from tests.blocks.support import TENANT, Server, xero
from tests.blocks.test_xero_client import books, enter, envelope, paged, query, simulated
from tests.worlds import Clock

SITE = ConnectWiseSite.of("https://api-au.myconnectwise.net/v4_6_release/apis/3.0", "brightwater")
PATH = "Invoices?summarizeErrors=false&unitdp=4"
SUPPLIERS = [f"{number:08}-0000-4000-8000-00000000000a" for number in range(120)]


def numbers(pages: Iterator[list[Found]]) -> list[str]:
    """The numbers of all documents of all pages, sorted."""
    return sorted(found.number for page in pages for found in page)


# The bills of suppliers


def test_bills_are_asked_for_by_fifty_suppliers_a_call_in_full_pages_with_lines(audit: Audit, clock: Clock) -> None:
    """Each supplier once, however it is written; no address is too long; in an order that edits do not change."""
    server = Server(envelope("Invoices"))
    asked = [*SUPPLIERS, SUPPLIERS[0].upper(), ""]
    assert list(xero(audit, clock, server).bills_of(TENANT, asked)) == []
    calls = [query(request) for request in server.requests]
    assert [len(each["ContactIDs"].split(",")) for each in calls] == [50, 50, 20]
    assert [each for call in calls for each in call["ContactIDs"].split(",")] == SUPPLIERS
    assert {(each["where"], each["order"], each["page"], each["pageSize"], each["unitdp"]) for each in calls} == {
        ('Type=="ACCPAY"', "InvoiceID", "1", "1000", "4")
    }
    longest = max(len(str(request.url)) for request in server.requests)
    assert longest - len("https://api.example.com") + len("https://api.xero.com") < 2000


def test_without_a_supplier_nothing_is_asked(audit: Audit, clock: Clock) -> None:
    """An empty list in a query would be no condition at all: every bill there is."""
    server = Server(envelope("Invoices"))
    assert list(xero(audit, clock, server).bills_of(TENANT, ["", ""])) == []
    assert server.requests == []


def test_the_bills_of_two_suppliers_are_read_with_lines_the_dead_ones_too(audit: Audit, clock: Clock) -> None:
    """A bill of ours that a person removed stays removed, so it has to be seen. No sales, no bill of another."""
    system, organisation = books(clock)
    one, two, other = (organisation.add_contact(name)["ContactID"] for name in ("One", "Two", "Other"))
    for contact, number, status in (
        (one, "draft", "DRAFT"),
        (two, "draft", "DRAFT"),
        (one, "submitted", "SUBMITTED"),
        (one, "approved", "AUTHORISED"),
        (two, "paid", "AUTHORISED"),
        (two, "voided", "AUTHORISED"),
        (one, "deleted", "DRAFT"),
        (one, "", "DRAFT"),
        (other, "of another", "DRAFT"),
    ):
        made = enter(organisation, contact, number, Type="ACCPAY", Status=status, LineItems=[bought()])["InvoiceID"]
        if number == "paid":
            organisation.pay(made, "11.00")
        elif number == "voided":
            organisation.void(made)
        elif number == "deleted":
            organisation.delete(made)
    enter(organisation, one, "sale")
    found = [each for page in simulated(system, audit, clock).bills_of(TENANT, [one.upper(), two]) for each in page]
    live = ["", "approved", "draft", "draft", "paid", "submitted"]
    assert sorted(each.number for each in found) == sorted([*live, "deleted", "voided"])
    assert {each.contact_id for each in found} == {one, two}
    assert all(Posted.read(each).lines[0].id for each in found)


def test_many_bills_are_read_to_the_last_page_and_what_is_none_is_left_out(audit: Audit, clock: Clock) -> None:
    """Whatever Xero makes of the conditions: a page with nothing but sales is no end."""
    rest = [{"Type": "ACCREC", "Status": "VOIDED"}, {"Type": "ACCREC", "Status": "DRAFT"}] * 500
    live = {"Type": "ACCPAY", "Status": "PAID"}
    documents = [{"InvoiceID": str(n), **one} for n, one in enumerate([live, *rest[1:], *rest, live])]
    pages = list(xero(audit, clock, Server(paged(documents, "Invoices"))).bills_of(TENANT, SUPPLIERS[:1]))
    assert [[each.xero_id for each in page] for page in pages] == [["0"], ["2000"]]


# The other look-ups


def bought(**fields: Any) -> dict[str, Any]:
    """A line of 10.00 plus tax that is bought."""
    return {"Description": "Dock", "Quantity": 1, "UnitAmount": "10.00", "AccountCode": "310"} | fields


@pytest.fixture
def shelf(audit: Audit, clock: Clock) -> tuple[XeroClient, Organisation, dict[str, str]]:
    """A client, and bills of two suppliers, some with one number, one of them dead; and a sale with that number."""
    system, organisation = books(clock)
    one, two = (organisation.add_contact(name)["ContactID"] for name in ("One", "Two"))
    made = {}
    for name, contact, number, dated in (
        ("first", one, "PO-7", "2026-03-01"),
        ("second", two, "po-7", "2026-03-02"),
        ("dead", one, "PO-7", "2026-03-03"),
        ("receipt", one, "PO-7 / PS-1, part / S-100", "2026-03-04"),
        ("longer", one, "PO-77", "2025-12-31"),
    ):
        given = enter(organisation, contact, number, Type="ACCPAY", Date=dated, LineItems=[bought()])
        made[name] = given["InvoiceID"]
    organisation.delete(made["dead"])
    made["sale"] = enter(organisation, one, "PO-7")["InvoiceID"]
    return simulated(system, audit, clock), organisation, made


def test_all_bills_of_a_number_are_found_dead_ones_too_and_no_sale(
    shelf: tuple[XeroClient, Organisation, dict[str, str]],
) -> None:
    """The number is the whole of it: commas and slashes are part of it."""
    client, _, made = shelf
    found = client.documents_by_number(TENANT, BILL, ["PO-7", "PO-7 / PS-1, part / S-100", "PO-8"])
    assert {number: {each.xero_id for each in bills} for number, bills in found.items()} == {
        "po-7": {made["first"], made["second"], made["dead"]},
        "po-7 / ps-1, part / s-100": {made["receipt"]},
    }
    sales = client.documents_by_number(TENANT, INVOICE, ["PO-7"])
    assert [each.xero_id for each in sales["po-7"]] == [made["sale"]]


def test_bills_are_read_by_id_and_by_date_with_their_lines(
    shelf: tuple[XeroClient, Organisation, dict[str, str]],
) -> None:
    client, _, made = shelf
    wanted = [made["first"].upper(), made["dead"]]
    by_id = client.documents_by_id(TENANT, BILL, wanted)
    assert [(key, by_id[key].status) for key in wanted] == [(wanted[0], "DRAFT"), (wanted[1], "DELETED")]
    assert Posted.read(by_id[wanted[0]]).lines[0].account_code == "310"
    since = client.documents_since(TENANT, BILL, date(2026, 1, 1), date(2026, 3, 3))
    assert numbers(since) == ["PO-7", "PO-7", "po-7"]


# What is read of a bill


def test_a_bill_is_read_with_what_was_paid_and_credited(audit: Audit, clock: Clock) -> None:
    """Its number, its link to the order, its dates; money by hand and a supplier's credit note."""
    system, organisation = books(clock)
    organisation.add_tracking_category("Region", ["North"])
    contact = organisation.add_contact("One")["ContactID"]
    link = SITE.link("bills", bill_key(9001, 2))
    lines = [bought(Tracking=[{"Name": "Region", "Option": "North"}]), {"Description": "Receipt PS-1"}]
    made = enter(
        organisation, contact, "PO-7 / PS-1", Type="ACCPAY", Status="AUTHORISED", LineItems=lines, Url=link
    )["InvoiceID"]  # fmt: skip
    note = organisation.enter_credit_note(
        Type="ACCPAYCREDIT", Contact={"ContactID": contact}, Status="AUTHORISED",
        LineItems=[bought(UnitAmount="1.00")],
    )["CreditNoteID"]  # fmt: skip
    organisation.allocate(note, made)
    organisation.pay(made, "4.00")
    found = simulated(system, audit, clock).documents_by_id(TENANT, BILL, [made])[made]
    assert (found.type, found.number, found.live, found.total) == ("ACCPAY", "PO-7 / PS-1", True, Decimal("11.00"))
    assert SITE.record_of(found.url) == ("bills", bill_key(9001, 2))
    bill = Posted.read(found)
    assert (str(bill.paid), str(bill.credited), bill.status) == ("4.0", "1.1", "AUTHORISED")
    assert (bill.date, bill.due_date, bill.contact_name) == (date(2026, 3, 1), date(2026, 3, 31), "One")
    priced, text = bill.lines
    assert (priced.tax_type, str(priced.tax), priced.tracking) == ("INPUT", "1.0", (("Region", "North"),))
    assert (text.description, text.quantity, text.account_code) == ("Receipt PS-1", None, "")


@pytest.mark.parametrize(("switch", "kept"), [("persist", "PO-7"), ("drop", "")])
def test_the_reference_of_a_bill_is_read_where_xero_keeps_it(
    audit: Audit, clock: Clock, switch: Any, kept: str
) -> None:
    system, organisation = books(clock)
    system.switches = XeroSwitches(bill_reference=switch)
    contact = organisation.add_contact("One")["ContactID"]
    enter(organisation, contact, "S-100", Type="ACCPAY", Reference="PO-7", LineItems=[bought()])
    ((found,),) = simulated(system, audit, clock).bills_of(TENANT, [contact])
    assert (found.reference, Posted.read(found).reference) == (kept, kept)


# Writing


def ours(contact: str, **fields: Any) -> Document:
    """A bill of ours: a line of text, one with its tax type, and one that is left to the bookkeeper."""
    price, net = Decimal("12.3456"), Decimal("37.04")
    given: dict[str, Any] = {
        "family": BILL.family, "connectwise_id": bill_key(9001, 1), "reference": "PO-7", "organisation": "Sydney",
        "tenant_id": TENANT, "type": BILL.type, "number": "PO-7", "contact_id": contact, "contact_name": "One",
        "date": date(2026, 3, 1), "due_date": date(2026, 3, 31), "currency": "AUD", "currency_rate": None,
        "document_reference": "PO-7", "url": SITE.link("bills", bill_key(9001, 1)), "status": "DRAFT",
        "lines": (
            Line("order", "Purchase order PO-7"),
            Line("line:1", "Dock", Decimal(3), price, net, "720", "", "CAPEXINPUT", predicted_tax(net, Decimal(10))),
            Line("line:2", "Cable", Decimal(3), price, net, "310", "", "", predicted_tax(net, Decimal(10))),
        ),
    }  # fmt: skip
    return Document(**given | fields)


def written(
    system: SimulatedXero, audit: Audit, clock: Clock, method: str, key: str, *bodies: dict[str, Any]
) -> list[Element]:
    """Send bills through the client."""
    body = write_json({"Invoices": list(bodies)}).encode()
    return simulated(system, audit, clock).write(TENANT, method, PATH, body, key, ["PO-7"], clock())


@pytest.mark.parametrize("switch", ["persist", "drop"])
def test_a_bill_is_written_at_the_total_that_was_foreseen(audit: Audit, clock: Clock, switch: Any) -> None:
    """Also where a line says no tax type: Xero takes that of the account."""
    system, organisation = books(clock)
    system.switches = XeroSwitches(bill_reference=switch)
    bill = ours(organisation.add_contact("One")["ContactID"])
    (element,) = written(system, audit, clock, "PUT", "key-1", bill.body())
    assert element.accepted
    assert (element.found.total, element.found.number) == (bill.total, "PO-7")
    assert SITE.record_of(element.found.url) == ("bills", bill_key(9001, 1))
    posted = Posted.read(element.found)
    assert [(line.tax_type, line.tax) for line in posted.lines[1:]] == [
        ("CAPEXINPUT", Decimal("3.7")), ("INPUT", Decimal("3.7")),
    ]  # fmt: skip
    ids = line_ids(bill, element.found)
    assert ids == {line.key: there.id for line, there in zip(bill.lines, posted.lines, strict=True)}


def test_a_gap_on_an_item_is_filled_by_the_items_own_tax_for_purchases(audit: Audit, clock: Clock) -> None:
    """What Coding foresees of it."""
    system, organisation = books(clock)
    organisation.add_item("DOCK", sales_tax="OUTPUT", purchase_account="310", purchase_tax="EXEMPTEXPENSES")
    line = Line("line:1", "Dock", Decimal(1), Decimal(10), Decimal("10.00"), "310", "DOCK")
    bill = ours(organisation.add_contact("One")["ContactID"], lines=(line,))
    (element,) = written(system, audit, clock, "PUT", "key-1", bill.body())
    assert (element.found.total, Posted.read(element.found).lines[0].tax_type) == (bill.total, "EXEMPTEXPENSES")


def test_two_bills_of_one_number_are_two_and_an_update_reaches_the_one_that_it_names(
    audit: Audit, clock: Clock
) -> None:
    """Created with PUT, changed by id with its lines' ids: the other stays as it is."""
    system, organisation = books(clock)
    first = ours(organisation.add_contact("One")["ContactID"])
    key = bill_key(9001, 2)
    second = replace(first, connectwise_id=key, url=SITE.link("bills", key))
    one, two = written(system, audit, clock, "PUT", "key-1", first.body(), second.body())
    assert one.found.xero_id != two.found.xero_id
    ids = line_ids(first, one.found)
    lines = [{"LineItemID": ids["line:1"], "Quantity": 1, "UnitAmount": "5.00"}]
    (changed,) = written(
        system, audit, clock, "POST", "key-2", {"InvoiceID": one.found.xero_id, "LineItems": lines}
    )  # fmt: skip
    assert (changed.accepted, changed.found.xero_id, changed.found.total) == (True, one.found.xero_id, Decimal("5.50"))
    assert organisation.invoice(two.found.xero_id)["Total"] == second.total
    assert len(organisation.bills("PO-7")) == 2


def test_a_refused_bill_stands_alone_and_says_why(audit: Audit, clock: Clock) -> None:
    """The other one of the call is written."""
    system, organisation = books(clock)
    good = ours(organisation.add_contact("One")["ContactID"])
    bad = replace(good, lines=(replace(good.lines[2], tax_type="OUTPUT"),))
    refused, accepted = written(system, audit, clock, "PUT", "key-1", bad.body(), good.body())
    assert refused.errors == ("The TaxType code 'OUTPUT' cannot be used with account code '310'.",)
    assert (refused.accepted, accepted.accepted) == (False, True)
    assert len(organisation.bills()) == 1
