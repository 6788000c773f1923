"""What the records of each family need before and while they are mapped: a table, so that a cycle asks none by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mappings import bills, orders, related
from mappings.connectwise import SourceInvoice
from mappings.credit_notes import to_xero_credit_note
from mappings.csv_tables import Row
from mappings.invoices import organisation_of, to_xero_invoice
from mappings.kinds import BILL, CREDIT_NOTE, INVOICE, PURCHASE_ORDER
from mappings.namesakes import Names, Namesakes, names_of
from mappings.outcomes import Hold
from mappings.related import Related, Wanted
from mappings.surroundings import Surroundings, Tables
from mappings.xero import Document


@dataclass(frozen=True, slots=True)
class Source:
    """The pure functions of a family. `parties` are the companies whose contacts its documents may be for, by id."""

    to_xero: Callable[[Any, Surroundings], Document | Hold]
    organisation_of: Callable[[Any, Tables, Related, Namesakes], tuple[str, Row] | Hold]
    for_routing: Callable[[Iterable[Any], Tables], Wanted]
    for_mapping: Callable[[Iterable[Any], Tables], Wanted]
    names_of: Callable[[Iterable[Any]], Names]
    parties: Callable[[Iterable[Any]], set[int]]


def _payers(sources: Iterable[SourceInvoice]) -> set[int]:
    paying = (party.id for source in sources for party in (source.header.company, source.header.billed_company))
    return {number for number in paying if number is not None}


def _purchases(to_xero: Callable[[Any, Surroundings], Document | Hold]) -> Source:
    return Source(
        to_xero,
        bills.organisation_of,
        lambda _sources, _tables: Wanted(),
        bills.for_mapping,
        bills.names_of,
        bills.suppliers,
    )


def _sales(to_xero: Callable[[SourceInvoice, Surroundings], Document | Hold]) -> Source:
    return Source(
        to_xero,
        organisation_of,
        lambda sources, tables: related.for_routing(sources, tables.policy, tables.organisations),
        lambda sources, tables: related.for_mapping(sources, tables.policy, tables.accounts, tables.tracking),
        names_of,
        _payers,
    )


SOURCES: Mapping[str, Source] = {
    INVOICE.family: _sales(to_xero_invoice),
    CREDIT_NOTE.family: _sales(to_xero_credit_note),
    BILL.family: _purchases(bills.to_xero_bill),
    PURCHASE_ORDER.family: _purchases(orders.to_xero_order),
}
