"""Addresses: ours are recognised again, somebody else's never are, and none of them holds what Xero refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.links import BILLS_PER_ORDER, ConnectWiseSite, bill_key, nth_of, order_of, xero_link

API = "/v4_6_release/apis/3.0"
SITE = ConnectWiseSite.of(f"https://api-au.myconnectwise.net{API}", "brightwater")
LINK = (
    "https://au.myconnectwise.net/v4_6_release/services/system_io/router/openrecord.rails"
    "?recordType=InvoiceFV&recid=39001&companyName=brightwater"
)
ORDER = LINK.replace("InvoiceFV", "PurchaseOrderFV").replace("39001", "9001")


@pytest.mark.parametrize(
    ("api", "seen"),
    [
        ("https://api-au.myconnectwise.net", "https://au.myconnectwise.net"),
        ("https://API-AU.MyConnectWise.net", "https://au.myconnectwise.net"),
        ("https://api-staging.connectwisedev.com", "https://staging.connectwisedev.com"),
        ("https://psa.example.com", "https://psa.example.com"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_people_see_the_site_without_the_api_prefix(api: str, seen: str) -> None:
    """On a port of this machine too."""
    assert ConnectWiseSite.of(api + API, "brightwater").address == seen


def test_the_link_of_a_record_never_changes() -> None:
    """It is how our documents are found again: letter for letter."""
    assert SITE.link("invoices", 39001) == LINK


@given(
    st.integers(1, 2**31 - 1),
    st.text(min_size=1, max_size=20),
    st.sampled_from(["https://x.example", "http://127.0.0.1:1"]),
)
def test_our_own_links_are_recognised(number: int, company: str, host: str) -> None:
    """Whatever the company is called; and no link holds the name that Xero refuses in a Url."""
    site = ConnectWiseSite.of(host + API, company)
    link = site.link("invoices", number)
    assert site.record_of(link) == ("invoices", number)
    assert "xero" not in link.lower()


@pytest.mark.parametrize("company", ["Xerox Partners", "myXERO", "xero"])
def test_a_company_with_xero_in_its_name_is_left_out_of_the_link(company: str) -> None:
    """Xero refuses any Url with its own name in it."""
    site = ConnectWiseSite.of(f"https://psa.example.com{API}", company)
    assert site.link("invoices", 7).endswith("?recordType=InvoiceFV&recid=7")
    assert site.record_of(site.link("invoices", 7)) == ("invoices", 7)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://example.com/invoice/1",
        LINK.replace("au.my", "eu.my"),
        LINK.replace("https", "http"),
        LINK.replace("brightwater", "someoneelse"),
        LINK.replace("InvoiceFV", "ServiceFV"),
        LINK.replace("39001", "x"),
        LINK.replace("39001", "²"),
        LINK.replace("39001", "٣"),
        LINK.replace("39001", "039001"),
        LINK.replace("39001", "-39001"),
        LINK.replace("39001", "9" * 5000),
        LINK.replace("39001", ""),
        LINK + "&more=1",
        LINK + "#top",
        LINK + "#2",
        ORDER.replace("9001", "-9001"),
        ORDER.replace("brightwater", "someoneelse"),
        ORDER + "#",
        ORDER + "#0",
        ORDER + "#1",
        ORDER + "#02",
        ORDER + "#-2",
        ORDER + "#²",
        ORDER + "#1000",
        ORDER + "#top",
        LINK.replace("openrecord", "other"),
        "https://[broken",
        "mailto:somebody@example.com",
    ],
)
def test_somebody_elses_address_is_not_ours(link: str) -> None:
    """Another site, company, kind of record or tool: never taken for this record, and never an error."""
    assert SITE.record_of(link) is None


BILLS = st.integers(1, BILLS_PER_ORDER - 1)


@given(st.integers(0, 2**40), BILLS)
def test_a_bill_is_known_by_its_order_and_its_place_in_it(order_id: int, n: int) -> None:
    """One number for both, and no other bill has it."""
    key = bill_key(order_id, n)
    assert (order_of(key), nth_of(key)) == (order_id, n)


@pytest.mark.parametrize("n", [-1, 0, 1000, 1001])
def test_there_is_no_bill_before_the_first_and_none_that_would_be_another_orders(n: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 999, not {n}"):
        bill_key(9001, n)


def test_a_bill_leads_to_its_order_and_later_bills_are_told_apart_by_a_fragment() -> None:
    """Letter for letter: it is how our bills are found again."""
    assert SITE.link("purchase_orders", 9001) == SITE.link("bills", bill_key(9001, 1)) == ORDER
    assert SITE.link("bills", bill_key(9001, 2)) == f"{ORDER}#2"
    assert SITE.link("bills", bill_key(9001, 12)) == f"{ORDER}#12"


@given(st.integers(1, 2**31 - 1), BILLS, st.sampled_from(["brightwater", "Xerox Partners", "a b&c"]))
def test_the_link_of_a_bill_is_recognised_as_that_very_bill(order_id: int, n: int, company: str) -> None:
    """The plain page of an order is its first bill: only bills carry such a link in Xero."""
    site = ConnectWiseSite.of(f"https://psa.example.com{API}", company)
    assert site.record_of(site.link("bills", bill_key(order_id, n))) == ("bills", bill_key(order_id, n))
    assert site.record_of(site.link("purchase_orders", order_id)) == ("bills", bill_key(order_id, 1))


def test_a_xero_document_is_opened_where_it_lives() -> None:
    """In Xero itself, or below the address of a simulated one; the `!` of a short code stays."""
    assert (
        xero_link("https://api.xero.com", "!syd", "invoices", "abc")
        == "https://go.xero.com/app/!syd/invoicing/view/abc"
    )
    assert xero_link("https://api.xero.com", "!syd", "credit_notes", "abc") == (
        "https://go.xero.com/organisationlogin/default.aspx?shortcode=!syd"
        "&redirecturl=/AccountsPayable/ViewCreditNote.aspx?creditNoteID=abc"
    )
    for family in ("bills", "purchase_orders"):
        assert xero_link("https://api.xero.com", "!syd", family, "abc") == (
            "https://go.xero.com/organisationlogin/default.aspx?shortcode=!syd"
            "&redirecturl=/AccountsPayable/Edit.aspx?InvoiceID=abc"
        )
    sandbox = "http://127.0.0.1:9001"
    assert xero_link(f"{sandbox}/", "!syd", "invoices", "abc") == f"{sandbox}/app/!syd/invoicing/view/abc"
    assert (
        xero_link("https://notxero.com", "a/b", "invoices", "abc") == "https://notxero.com/app/a%2Fb/invoicing/view/abc"
    )
