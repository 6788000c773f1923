"""Addresses that people open: a record in ConnectWise, a document in Xero. Ours are recognised again by them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urlsplit

OPEN_RECORD = "/v4_6_release/services/system_io/router/openrecord.rails"
RECORD_TYPES = {
    **dict.fromkeys(("allocations", "credit_notes", "payments", "invoices"), "InvoiceFV"),
    **dict.fromkeys(("links", "purchase_orders", "orders", "bills"), "PurchaseOrderFV"),
}
"""What ConnectWise calls the records of each family. The last of those that share a type is the one whose documents
carry our link in Xero."""
BY_BILL = ("bills", "links")
"""Families whose records are kept under the key of a bill."""
BILLS_PER_ORDER = 1000
"""ConnectWise has no bills: ours are numbered within their purchase order, from 1, and there are fewer than this."""


def bill_key(order_id: int, n: int) -> int:
    """The id under which the n-th bill (from 1) of a purchase order is kept; ValueError where there can be none."""
    if not 1 <= n < BILLS_PER_ORDER:
        raise ValueError(f"A purchase order has its bills numbered from 1 to {BILLS_PER_ORDER - 1}, not {n}.")
    return order_id * BILLS_PER_ORDER + n


def order_of(key: int) -> int:
    """The id of the purchase order that a bill belongs to."""
    return key // BILLS_PER_ORDER


def record_shown(family: str, connectwise_id: int) -> int:
    """The id by which people know a record: of a bill, that of its purchase order."""
    return order_of(connectwise_id) if family in BY_BILL else connectwise_id


def nth_of(key: int) -> int:
    """Which bill of its purchase order it is, from 1."""
    return key % BILLS_PER_ORDER


@dataclass(frozen=True, slots=True)
class ConnectWiseSite:
    """The ConnectWise that people see: the address without `api-`, and the company they log in to."""

    address: str
    company: str

    @classmethod
    def of(cls, api_url: str, company: str) -> ConnectWiseSite:
        """From the API address: api-au.myconnectwise.net is seen at au.myconnectwise.net (connectwise.md, 1)."""
        parts = urlsplit(api_url)
        return cls(f"{parts.scheme}://{parts.netloc.lower().removeprefix('api-')}", company)

    def link(self, family: str, connectwise_id: int) -> str:
        """The page of one record; goes into the Xero document's Url, so it must never change for a record.

        A bill's is that of its purchase order; a fragment, which opens the same page, tells its later bills apart.
        """
        record, fragment = connectwise_id, ""
        if family in BY_BILL:
            record, nth = order_of(connectwise_id), nth_of(connectwise_id)
            fragment = f"#{nth}" if nth != 1 else ""
        query = {"recordType": RECORD_TYPES[family], "recid": str(record)}
        # Xero refuses any Url with its own name in it (xero.md, 7.1).
        if "xero" not in self.company.lower():
            query["companyName"] = self.company
        return f"{self.address}{OPEN_RECORD}?{urlencode(query)}{fragment}"

    def record_of(self, link: str) -> tuple[str, int] | None:
        """The family and id that one of our links names; None for anybody else's address, readable or not."""
        families = {record_type: family for family, record_type in RECORD_TYPES.items()}
        try:
            parts = urlsplit(link)
            query = parse_qs(parts.query)
            family = families.get(query.get("recordType", [""])[0])
            number = int(query.get("recid", [""])[0])
            if family == "bills":
                number = bill_key(number, int(parts.fragment or 1))
        except ValueError:
            return None
        if family is None or number < 0 or self.link(family, number) != link:
            return None
        return family, number


XERO_PAGES = {
    "invoices": "/app/{code}/invoicing/view/{id}",
    # A payment is looked at on the invoice that it pays.
    "payments": "/app/{code}/invoicing/view/{id}",
    "allocations": "/app/{code}/invoicing/view/{id}",
    "credit_notes": "/organisationlogin/default.aspx?shortcode={code}"
    "&redirecturl=/AccountsPayable/ViewCreditNote.aspx?creditNoteID={id}",
    # What an order became is looked at on its bill.
    **dict.fromkeys(
        ("purchase_orders", "bills", "links"),
        "/organisationlogin/default.aspx?shortcode={code}&redirecturl=/AccountsPayable/Edit.aspx?InvoiceID={id}",
    ),
    "orders": "/organisationlogin/default.aspx?shortcode={code}"
    "&redirecturl=/Accounts/Payable/PurchaseOrders/Edit/{id}/",
}
"""The page that shows a family's documents (xero.md, section 12)."""


def xero_link(api_url: str, short_code: str, family: str, xero_id: str) -> str:
    """The page of a document in Xero; below the API's own address when that is a sandbox."""
    base = "https://go.xero.com" if urlsplit(api_url).hostname == "api.xero.com" else api_url.rstrip("/")
    return base + XERO_PAGES[family].format(code=quote(short_code, safe="!"), id=xero_id)
