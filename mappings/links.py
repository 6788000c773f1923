"""Addresses that people open: a record in ConnectWise, a document in Xero. Ours are recognised again by them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urlsplit

OPEN_RECORD = "/v4_6_release/services/system_io/router/openrecord.rails"
RECORD_TYPES = dict.fromkeys(("allocations", "credit_notes", "payments", "invoices"), "InvoiceFV")
"""What ConnectWise calls the records of each family. The last of those that share a type is the one whose documents
carry our link in Xero."""


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
        """The page of one record; goes into the Xero document's Url, so it must never change for a record."""
        query = {"recordType": RECORD_TYPES[family], "recid": str(connectwise_id)}
        # Xero refuses any Url with its own name in it (xero.md, 7.1).
        if "xero" not in self.company.lower():
            query["companyName"] = self.company
        return f"{self.address}{OPEN_RECORD}?{urlencode(query)}"

    def record_of(self, link: str) -> tuple[str, int] | None:
        """The family and id that one of our links names; None for anybody else's address, readable or not."""
        try:
            query = parse_qs(urlsplit(link).query)
        except ValueError:
            return None
        families = {record_type: family for family, record_type in RECORD_TYPES.items()}
        family = families.get(query.get("recordType", [""])[0])
        found = query.get("recid", [""])[0]
        if family is None or not found.isdecimal() or self.link(family, int(found)) != link:
            return None
        return family, int(found)


XERO_PAGES = {
    "invoices": "/app/{code}/invoicing/view/{id}",
    # A payment is looked at on the invoice that it pays.
    "payments": "/app/{code}/invoicing/view/{id}",
    "allocations": "/app/{code}/invoicing/view/{id}",
    "credit_notes": "/organisationlogin/default.aspx?shortcode={code}"
    "&redirecturl=/AccountsPayable/ViewCreditNote.aspx?creditNoteID={id}",
}
"""The page that shows a family's documents (xero.md, section 12)."""


def xero_link(api_url: str, short_code: str, family: str, xero_id: str) -> str:
    """The page of a document in Xero; below the API's own address when that is a sandbox."""
    base = "https://go.xero.com" if urlsplit(api_url).hostname == "api.xero.com" else api_url.rstrip("/")
    return base + XERO_PAGES[family].format(code=quote(short_code, safe="!"), id=xero_id)
