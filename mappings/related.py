"""Other ConnectWise records that invoices point to: which ones a mapping needs, and what they say.

Only what some row or decision of the client asks for is read: who gives no categories needs no catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from mappings.connectwise import (
    Agreement,
    CatalogItem,
    Company,
    CustomField,
    Department,
    Location,
    Reference,
    SalesOrder,
    SourceInvoice,
    TaxCode,
)
from mappings.csv_tables import Table, Value
from mappings.policy import Policy
from mappings.tracking import in_use


@dataclass(frozen=True)
class Related:
    """Records by id. One that was asked for and is not there (gone, or hidden from the API member) is in `gone`.

    What such a record would have said is not known: it must not be taken for nothing.
    """

    tax_codes: Mapping[int, TaxCode] = field(default_factory=dict)
    companies: Mapping[int, Company] = field(default_factory=dict)
    catalog_items: Mapping[int, CatalogItem] = field(default_factory=dict)
    agreements: Mapping[int, Agreement] = field(default_factory=dict)
    sales_orders: Mapping[int, SalesOrder] = field(default_factory=dict)
    locations: Mapping[int, Location] = field(default_factory=dict)
    departments: Mapping[int, Department] = field(default_factory=dict)
    gone: frozenset[tuple[str, int]] = frozenset()

    def lacks(self, which: str, reference: Reference | None) -> bool:
        """Whether the record of this list that is referred to was asked for and not there."""
        return reference is not None and (which, reference.id) in self.gone

    def location(self, own: Value) -> Value:
        """A location with its name, where a row gives no more than its id."""
        found = self.locations.get(own.id or 0)
        return Value(own.id, (found.name,)) if found and not own.texts else own

    def department(self, own: Value) -> Value:
        """A department with its name."""
        found = self.departments.get(own.id or 0)
        return Value(own.id, (found.identifier, found.name)) if found and not own.texts else own


@dataclass
class Wanted:
    """Ids of the records that a mapping of some invoices needs, per list; `tax_codes` is read whole."""

    tax_codes: bool = False
    companies: set[int] = field(default_factory=set)
    catalog_items: set[int] = field(default_factory=set)
    agreements: set[int] = field(default_factory=set)
    sales_orders: set[int] = field(default_factory=set)
    locations: set[int] = field(default_factory=set)
    departments: set[int] = field(default_factory=set)

    def __or__(self, other: Wanted) -> Wanted:
        """Both together."""
        return Wanted(**{each.name: getattr(self, each.name) | getattr(other, each.name) for each in fields(self)})


def for_routing(sources: Iterable[SourceInvoice], policy: Policy, organisations: Table) -> Wanted:
    """What is needed to say which organisation each invoice belongs to."""
    wanted = Wanted()
    if policy.routing.staff == "sales_rep" and organisations.uses("staff"):
        for source in sources:
            _add(wanted.sales_orders, source.header.sales_order)
    return wanted


def for_mapping(sources: Iterable[SourceInvoice], policy: Policy, accounts: Table, tracking: Table) -> Wanted:
    """What is needed to map invoices whose organisation is known."""
    wanted = Wanted()
    used = in_use(tracking)
    by_category = {
        kind: bool(accounts.named("category", kind=Value.text(kind)) - {"", "*"}) for kind in ("product", "agreement")
    }
    by_field = "custom_field" in {one.currency.source for one in (policy, *policy.organisation.values())}
    captions = {one.currency.field for one in (policy, *policy.organisation.values())}
    for source in sources:
        header = source.header
        if header.billed_company.id != header.company.id:
            _add(wanted.companies, header.billed_company)
        if by_field and header.currency.currency_code and not _filled(header.custom_fields or (), captions):
            _add(wanted.companies, header.company)
        wanted.tax_codes |= header.tax_code is not None and header.taxable_flag
        if "category" in used or by_category["product"]:
            for product in source.products:
                _add(wanted.catalog_items, product.catalog_item)
        if "category" in used or by_category["agreement"]:
            _add(wanted.agreements, header.agreement)
        for location, location_id, department, department_id in _places(source):
            if "location" in used:
                _bare(wanted.locations, location, location_id)
            if "department" in used:
                _bare(wanted.departments, department, department_id)
    return wanted


def _places(source: SourceInvoice) -> Iterable[tuple[Reference | None, int | None, Reference | None, int | None]]:
    """Location and department of the header and of every row, each with its id."""
    header = source.header
    yield header.location, header.location_id, header.department, header.department_id
    for entry in source.time:
        yield entry.location, entry.location_id, entry.department, entry.business_unit_id
    for product in source.products:
        yield product.location, product.location_id, product.business_unit, product.business_unit_id
    for expense in source.expenses:
        yield None, expense.location_id, None, expense.business_unit_id


def _filled(fields: Iterable[CustomField], captions: Iterable[str]) -> bool:
    wanted = {caption.casefold() for caption in captions}
    return any(one.caption.casefold() in wanted and one.value not in (None, "") for one in fields)


def _add(ids: set[int], reference: Reference | None) -> None:
    if reference is not None and reference.id is not None:
        ids.add(reference.id)


def _bare(ids: set[int], reference: Reference | None, number: int | None) -> None:
    """An id that stands without a name."""
    if number is not None and not (reference is not None and reference.name):
        ids.add(number)
