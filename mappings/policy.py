"""policy.toml: the decisions of an MSP, each with a default, unknown keys and values refused (contract, section 4)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mappings.csv_tables import TableProblem, TablesUnusable

FILE = "policy.toml"

Status = Literal["draft", "submitted", "authorised"]
Switch = Literal["on", "off"]
Unmapped = Literal["hold", "leave_out"]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Families(Section):
    """Which record families run."""

    invoices: Switch = "on"
    credit_notes: Switch = "on"
    payments: Switch = "off"
    purchase_orders: Switch = "off"


class StartDates(Section):
    """A start date of its own for a family; without one, the general `start_date` holds."""

    invoices: date | None = None
    credit_notes: date | None = None
    payments: date | None = None
    purchase_orders: date | None = None


class Routing(Section):
    """Whose staff routes a record, and which custom field carries the tag."""

    staff: Literal["first_time_entry", "all_time_entries", "sales_rep"] = "first_time_entry"
    tag_field: str = ""


SALES_FIELDS = ("invoice_number", "id", "company", "date", "customer_po")
PURCHASE_FIELDS = ("po_number", "receipt", "vendor_invoice_number")
BRACKETS = {"(": ")", "[": "]"}
FIELD = re.compile(r"\{([^{}]*)\}")


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its `{fields}` replaced, each once: braces inside a value stay as they are."""
    return FIELD.sub(lambda found: values[found[1]], template)


def filled_where_known(template: str, values: Mapping[str, str]) -> str:
    """A template of which what is not known drops out, with the separator before it (after it, for the first)."""
    texts = FIELD.split(template)
    told, first = texts[0], True
    for place in range(1, len(texts), 2):
        value = " ".join(values[texts[place]].split())
        separator = texts[place - 1] if place > 1 else ""
        if value:
            told += ("" if first else separator) + value
            first = False
        elif separator[-1:] in BRACKETS:
            # What was opened before it is closed after it.
            texts[place + 1] = texts[place + 1].removeprefix(BRACKETS[separator[-1:]])
    return (told + texts[-1]).strip()


def _template(allowed: tuple[str, ...], telling_apart: tuple[str, ...] = ()) -> AfterValidator:
    """Templates hold known fields only; one that numbers documents needs a field that tells them apart."""

    def check(template: str) -> str:
        named = FIELD.findall(template)
        if not set(named) <= set(allowed) or set("{}") & set(FIELD.sub("", template)):
            raise ValueError(f"{template!r} is no template; allowed fields: {_braced(allowed, ', ')}")
        if telling_apart and not set(named) & set(telling_apart):
            needed = _braced(telling_apart, " or ")
            raise ValueError(f"{template!r} would give every document the same number; it needs {needed}")
        return template

    return AfterValidator(check)


def _braced(names: tuple[str, ...], joint: str) -> str:
    return joint.join(f"{{{name}}}" for name in names)


SalesText = Annotated[str, _template(SALES_FIELDS)]
SalesNumber = Annotated[str, _template(SALES_FIELDS, ("invoice_number", "id"))]
PurchaseNumber = Annotated[str, _template(PURCHASE_FIELDS, ("po_number",))]


class Sales(Section):
    """Invoices and credit notes to customers."""

    invoice_status: Status = "draft"
    credit_note_status: Status = "draft"
    invoice_number: SalesNumber = "{invoice_number}"
    credit_note_number: SalesNumber = "{invoice_number}"
    reference: SalesText = "{customer_po}"
    zero_total: Literal["draft", "hold", "skip"] = "draft"
    on_edit_authorised: Literal["update", "hold"] = "update"
    allocate_credits: bool = True


class Purchases(Section):
    """Bills and purchase orders."""

    bill_status: Status = "draft"
    bill_number: PurchaseNumber = "{po_number} / {receipt} / {vendor_invoice_number}"
    purchase_order_number: PurchaseNumber = "{po_number}"
    over_receipt: Literal["bill", "hold"] = "bill"
    freight: Literal["full_close", "first_bill", "separate_bill", "never"] = "full_close"
    vendor_invoice_grouping: Literal["bill_per_po", "one_bill"] = "bill_per_po"
    draft_gaps: Literal["hold", "leave"] = "hold"
    on_billing_links: bool = False


class Payments(Section):
    """Payments from customers."""

    direction: Literal["connectwise_to_xero", "off"] = "connectwise_to_xero"
    on_decrease: Literal["hold", "replace"] = "hold"


class Contacts(Section):
    """Whether a missing contact is created, and whether the bill-to company counts."""

    create: Literal["hold", "create"] = "hold"
    bill_to: bool = True


class UnmappedTracking(Section):
    """What happens to a value without a row in tracking.csv, per source; one word in the file stands for all five."""

    category: Unmapped = "hold"
    work_type: Unmapped = "hold"
    staff: Unmapped = "hold"
    department: Unmapped = "hold"
    location: Unmapped = "hold"

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given not in get_args(Unmapped):
            allowed = " or ".join(repr(word) for word in get_args(Unmapped))
            raise ValueError(f"{given!r} is not known; allowed: {allowed}, or one of them per source")
        return dict.fromkeys(cls.model_fields, given)


class Tracking(Section):
    """Tracking categories of Xero."""

    unmapped: UnmappedTracking = UnmappedTracking()


class Tax(Section):
    """The cap of the rounding line, per document, in the document's currency."""

    rounding_cap: Decimal = Field(default=Decimal("0.02"), ge=0, le=1)


class Currency(Section):
    """Where the rate of a foreign document comes from (ConnectWise has none)."""

    source: Literal["none", "custom_field", "rates_table", "xero_day_rate"] = "none"
    field: str = "Exchange Rate"
    meaning: Literal["foreign_per_base", "base_per_foreign"] = "foreign_per_base"
    max_age_days: int = Field(default=31, ge=0)


class Deleted(Section):
    """What becomes of an unedited draft whose record is gone from ConnectWise."""

    draft: Literal["hold", "delete"] = "hold"


class Adopt(Section):
    """Whether a document that is already in Xero is taken over when it agrees."""

    existing: Literal["adopt", "hold"] = "adopt"


class Brake(Section):
    """How many posted documents one cycle may change, and how old they may be. 0 = no brake."""

    updates: int = Field(default=25, ge=0)
    older_than_days: int = Field(default=60, ge=0)


class Approval(Section):
    """When a person approves a plan before it is written; `over` is an amount of money."""

    when: Literal["never", "first_cycle", "over_limit", "always"] = "never"
    over: Decimal = Field(default=Decimal("0.00"), ge=0)


class AuditPolicy(Section):
    """How long the bodies of exchanges are kept, in days."""

    keep_exchange_days: int = Field(default=90, ge=1)


class Decisions(Section):
    """Every decision that may differ from one organisation to the next."""

    sales: Sales = Sales()
    purchases: Purchases = Purchases()
    payments: Payments = Payments()
    contacts: Contacts = Contacts()
    tracking: Tracking = Tracking()
    tax: Tax = Tax()
    currency: Currency = Currency()
    deleted: Deleted = Deleted()
    adopt: Adopt = Adopt()


class Policy(Decisions):
    """The whole of policy.toml. An empty file is valid: every decision has a default."""

    start_date: date | None = None
    families: Families = Families()
    start_dates: StartDates = StartDates()
    routing: Routing = Routing()
    brake: Brake = Brake()
    approval: Approval = Approval()
    audit: AuditPolicy = AuditPolicy()
    organisation: dict[str, Decisions] = Field(default_factory=dict)

    def decisions(self, organisation: str) -> Decisions:
        """The decisions for one organisation: its own section over the top level, key by key."""
        return self.organisation.get(organisation, self)

    def starts(self, family: str, default: date) -> date:
        """The first business date of a family; `default` is the day of the first set-up."""
        own: date | None = getattr(self.start_dates, family)
        return own or self.start_date or default


def read_policy(content: bytes | None) -> Policy:
    """Parse policy.toml (None: there is none). Raises TablesUnusable with the place and what is allowed there."""
    try:
        given = tomllib.loads((content or b"").decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise TablesUnusable([TableProblem(FILE, 0, "", "not UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise TablesUnusable([TableProblem(FILE, 0, "", f"not readable as TOML: {error}")]) from error
    try:
        # First as it is written, so that every problem is told once and where it stands.
        Policy.model_validate(given)
        return Policy.model_validate(given | {"organisation": _over_defaults(given)})
    except ValidationError as error:
        raise TablesUnusable([_problem(details) for details in error.errors(include_url=False)]) from error


def _over_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Each organisation's own decisions laid over the general ones, key by key."""
    shared = {name: value for name, value in given.items() if name in Decisions.model_fields}
    return {
        name: shared | {section: shared.get(section, {}) | keys for section, keys in own.items()}
        for name, own in given.get("organisation", {}).items()
    }


def _problem(details: Any) -> TableProblem:
    path = [str(part) for part in details["loc"]]
    where = ".".join(path)
    given = details.get("input")
    if details["type"] == "extra_forbidden":
        message = f"unknown key {where}; allowed here: {', '.join(_allowed_keys(path[:-1]))}"
    elif details["type"] == "literal_error":
        message = f"{where} = {given!r} is not known; allowed: {details['ctx']['expected']}"
    elif details["type"] == "value_error":
        message = f"{where}: {details['ctx']['error']}"
    elif details["type"] == "model_type":
        message = f"{where} = {given!r} is a value; a section [{where}] is wanted here"
    else:
        message = f"{where} = {given!r}: {details['msg']}"
    return TableProblem(FILE, 0, "", message)


def _allowed_keys(path: list[str]) -> list[str]:
    """The keys of the section at the end of a path; below `organisation` comes a name of the client's own."""
    section: type[BaseModel] = Policy
    steps = iter(path)
    for name in steps:
        if name == "organisation":
            next(steps)
            section = Decisions
        else:
            section = cast("type[BaseModel]", section.model_fields[name].annotation)
    return list(section.model_fields)
