"""The lines of a document: reading them from a request, their arithmetic and their checks (Xero docs: invoices)."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from deployments.sandbox.xero_books import ZERO, Account, Books, Line
from deployments.sandbox.xero_json import BadBody, rounded, to_decimal, to_guid, to_text

LARGEST = Decimal("9999999999.99")
HUNDRED = Decimal(100)
_AMOUNT_FIELDS = ("Quantity", "UnitAmount", "LineAmount", "DiscountRate", "DiscountAmount", "ItemCode")
_NOT_ON_LINES = frozenset({"DEBTORS", "CREDITORS"})


@dataclass
class LineRules:
    """What the document around the lines says about them."""

    books: Books
    document_type: str
    sales: bool
    discounts: bool
    amount_types: str
    unit_places: int
    complete: bool
    errors: list[str] = field(default_factory=list)

    def refuse(self, message: str) -> None:
        """Note an error once."""
        if message not in self.errors:
            self.errors.append(message)


def read_lines(rules: LineRules, sent: object, before: list[Line], settled: bool) -> list[Line]:
    """The lines after the request: a known LineItemID updates, no id creates, an unmentioned line goes."""
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise BadBody("LineItems must be a list of objects")
    known = {line.line_id: line for line in before}
    lines: list[Line] = []
    foreign: list[str] = []
    for element in sent:
        line_id = element.get("LineItemID")
        previous = None
        if line_id and before:
            line_id = to_guid(line_id, "LineItemID")
            previous = known.pop(line_id, None)
            if previous is None:
                foreign.append(line_id)
        if settled and previous is None and not foreign:
            rules.refuse("To update fields on a paid invoice line item, you must supply a LineItemID")
        lines.append(read_line(rules, element, previous))
    if foreign:
        rules.refuse(f"Could not find line item(s) with the following id(s): {', '.join(foreign)}")
    if settled and known:
        rules.refuse("This document cannot be edited as it has a payment or credit note allocated to it.")
    return lines


def read_line(rules: LineRules, element: dict[str, Any], before: Line | None) -> Line:
    """One line from the request, on top of what it was."""
    line = copy(before) if before is not None else Line(rules.books.new_id())
    sent = {key: value for key, value in element.items() if value is not None}
    if "Description" in sent:
        line.description = to_text(sent["Description"], "Description")
    if len(line.description) > 4000:
        rules.refuse("The description of a line item must not be longer than 4000 characters.")
    _read_item(rules, sent, line)
    _read_account(rules, sent, line)
    if "Tracking" in sent:
        line.tracking = _read_tracking(rules, sent["Tracking"])
    if not line.description.strip():
        rules.refuse("The description field is mandatory for each line item.")
    mentioned = any(key in sent for key in _AMOUNT_FIELDS)
    if line.account is None and line.quantity is None and not mentioned:
        return line  # a line of text only
    priced = mentioned or line.quantity is None
    if priced:
        _read_amounts(rules, sent, line)
    _read_tax(rules, sent, line, priced or before is None)
    return line


def _read_item(rules: LineRules, sent: dict[str, Any], line: Line) -> None:
    code = to_text(sent["ItemCode"], "ItemCode").strip() if "ItemCode" in sent else ""
    if not code:
        return
    item = rules.books.items.get(code.casefold())
    if item is None:
        rules.refuse(f"Item code {code} is not valid")
        return
    line.item_code = item.code
    side = item.sales if rules.sales else item.purchase
    if not line.description:
        line.description = item.description if rules.sales else item.purchase_description
    for name, key in (("UnitPrice", "UnitAmount"), ("AccountCode", "AccountCode"), ("TaxType", "TaxType")):
        if side.get(name) is not None and (key != "UnitAmount" or "LineAmount" not in sent):
            sent.setdefault(key, side[name])


def _read_account(rules: LineRules, sent: dict[str, Any], line: Line) -> None:
    books = rules.books
    account: Account | None = None
    shown = ""
    if sent.get("AccountCode") not in (None, ""):
        shown = to_text(sent["AccountCode"], "AccountCode").strip()
        account = books.account_by_code(shown)
    elif sent.get("AccountID"):
        shown = to_guid(sent["AccountID"], "AccountID")
        account = books.accounts.get(shown)
    else:
        return
    if account is None or account.type == "BANK" or account.system in _NOT_ON_LINES:
        rules.refuse(f"Account code '{shown}' is not a valid code for this document.")
        return
    if account.status != "ACTIVE":
        rules.refuse(_archived(account))
        return
    line.account = account


def _read_amounts(rules: LineRules, sent: dict[str, Any], line: Line) -> None:
    def number(name: str) -> Decimal | None:
        return to_decimal(sent[name], name) if sent.get(name) is not None else None

    quantity, unit, total = number("Quantity"), number("UnitAmount"), number("LineAmount")
    if line.quantity is not None:  # an update that mentions one of the three keeps the others
        quantity = line.quantity if quantity is None and (unit is not None or total is None) else quantity
        unit = line.unit_amount if unit is None and total is None else unit
    _read_discount(rules, line, number("DiscountRate"), number("DiscountAmount"))
    if quantity is not None:
        quantity = rounded(quantity, 4)
    if unit is not None:
        unit = rounded(unit, rules.unit_places)
    share = (HUNDRED - (line.discount_rate or ZERO)) / HUNDRED
    off = line.discount_amount or ZERO
    if total is not None and (quantity is None or unit is None):
        total = rounded(total)
        if quantity is None and unit is None:
            quantity = Decimal(1)
        if quantity is None and unit is not None:
            quantity = rounded((total + off) / share / unit, 4) if unit and share else Decimal(1)
        elif quantity is not None:
            unit = rounded((total + off) / share / quantity, rules.unit_places) if quantity and share else ZERO
        line.line_amount = total
    else:
        quantity = Decimal(1) if quantity is None else quantity
        unit = ZERO if unit is None else unit
        line.line_amount = rounded(quantity * unit * share - off)
        if total is not None and rounded(total) != line.line_amount:
            rules.refuse(f"The line total {rounded(total)} does not match the expected line total {line.line_amount}")
    line.quantity, line.unit_amount = quantity, unit
    if abs(line.line_amount) > LARGEST or abs(unit or ZERO) > LARGEST or abs(quantity or ZERO) >= Decimal(10) ** 13:
        rules.refuse("The amount of a line item is larger than the largest amount that can be recorded.")


def _read_discount(rules: LineRules, line: Line, rate: Decimal | None, amount: Decimal | None) -> None:
    if not rate and not amount:
        if rate is not None or amount is not None:
            line.discount_rate = line.discount_amount = None
        return
    if not rules.discounts:
        rules.refuse(f"Discounts may not be applied to {rules.document_type} invoices.")
        return
    if rate is not None and not ZERO <= rate <= HUNDRED:
        rules.refuse("The discount rate must be between 0 and 100.")
        return
    # The line amount can follow one of them only; an amount is the more exact of the two.
    line.discount_amount = rounded(amount) if amount else None
    line.discount_rate = rounded(rate, 4) if rate and not amount else None


def _read_tax(rules: LineRules, sent: dict[str, Any], line: Line, recompute: bool) -> None:
    if line.account is None and rules.complete:
        rules.refuse("Account code or ID must be specified")
    if "TaxType" in sent and sent["TaxType"] != "":
        wanted = to_text(sent["TaxType"], "TaxType").strip().upper()
        recompute = recompute or wanted != line.tax_type
        line.tax_type = wanted
    elif line.tax_type is None and line.account is not None:
        line.tax_type = line.account.tax_type
        recompute = True
    if rules.amount_types == "NoTax":
        line.tax_type, line.tax_amount = "NONE", ZERO
        return
    check_tax(rules, line)
    if sent.get("TaxAmount") is not None:
        line.tax_amount = rounded(to_decimal(sent["TaxAmount"], "TaxAmount"))
        if rules.books.switches.tax_amount_capped and abs(line.tax_amount) > abs(line.unit_amount or ZERO):
            rules.refuse("The TaxAmount of a line item must not be larger than its UnitAmount.")
    elif recompute:
        line.tax_amount = tax_on(rules.books, line, rules.amount_types)


def check_tax(rules: LineRules, line: Line) -> None:
    """Refuse a tax rate that is unknown, deleted, or not for this class of account."""
    if line.tax_type is None:
        return
    rate = rules.books.tax_rates.get(line.tax_type)
    if rate is None or rate.status != "ACTIVE":
        rules.refuse(
            f"The TaxType code '{line.tax_type}' does not exist or cannot be used for this type of transaction."
        )
    elif line.account is not None and not rate.fits(line.account):
        rules.refuse(f"The TaxType code '{line.tax_type}' cannot be used with account code '{line.account.code}'.")


def check_complete(rules: LineRules, lines: list[Line]) -> None:
    """What approval asks of lines that the request does not mention."""
    for line in lines:
        if line.quantity is None and line.account is None:
            continue
        if line.account is None:
            rules.refuse("Account code or ID must be specified")
        elif line.account.status != "ACTIVE":
            rules.refuse(_archived(line.account))
        if rules.amount_types != "NoTax":
            check_tax(rules, line)


def _archived(account: Account) -> str:
    return (
        f"Account code '{account.code}' has been archived, or has been deleted. "
        "Each line item must reference a valid account."
    )


def tax_on(books: Books, line: Line, amount_types: str) -> Decimal:
    """The tax of one line, rounded by itself."""
    rate = books.tax_rates.get(line.tax_type or "")
    if rate is None or amount_types == "NoTax":
        return ZERO
    if amount_types == "Inclusive":
        return rounded(line.line_amount * rate.percent / (HUNDRED + rate.percent))
    return rounded(line.line_amount * rate.percent / HUNDRED)


def _read_tracking(rules: LineRules, sent: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise BadBody("Tracking must be a list of objects")
    if len(sent) > 2:
        rules.refuse("A line item may have a maximum of two tracking categories.")
        return ()
    found: list[tuple[str, str]] = []
    for element in sent:
        pair = _find_tracking(rules, element)
        if pair is None:
            continue
        if any(pair[0] == other[0] for other in found):
            rules.refuse("A tracking category may be used only once on a line item.")
        else:
            found.append(pair)
    return tuple(found)


def _find_tracking(rules: LineRules, element: dict[str, Any]) -> tuple[str, str] | None:
    name, option_name = element.get("Name"), element.get("Option")
    category_id, option_id = element.get("TrackingCategoryID"), element.get("TrackingOptionID")
    wanted_category = to_guid(category_id, "TrackingCategoryID") if category_id else None
    wanted_option = to_guid(option_id, "TrackingOptionID") if option_id else None
    for category in rules.books.tracking:
        if category.status != "ACTIVE":
            continue
        named = isinstance(name, str) and name.strip().casefold() == category.name.casefold()
        if not (category.category_id == wanted_category if wanted_category else named):
            continue
        for option in category.options:
            if option.status != "ACTIVE":
                continue
            said = isinstance(option_name, str) and option_name.strip().casefold() == option.name.casefold()
            if option.option_id == wanted_option if wanted_option else said:
                return category.category_id, option.option_id
        if rules.books.switches.unknown_tracking == "refuse":
            rules.refuse(
                f"The tracking option '{option_name or option_id}' is not an active option of {category.name}."
            )
        return None
    if rules.books.switches.unknown_tracking == "refuse":
        rules.refuse(f"There is no ACTIVE tracking category with the name '{name or category_id}'")
    return None


def totals(lines: list[Line], amount_types: str) -> tuple[Decimal, Decimal, Decimal]:
    """Subtotal, tax and total of the lines."""
    amount = sum((line.line_amount for line in lines), ZERO)
    tax = sum((line.tax_amount for line in lines), ZERO)
    if amount_types == "Inclusive":
        return rounded(amount - tax), rounded(tax), rounded(amount)
    return rounded(amount), rounded(tax), rounded(amount + tax)


def line_json(books: Books, line: Line, unit_places: int, written: bool = False) -> dict[str, Any]:
    """A line as the API shows it."""
    shown: dict[str, Any] = {}
    if line.item_code is not None:
        item = books.items.get(line.item_code.casefold())
        shown["ItemCode"] = line.item_code
        if item is not None:
            shown["Item"] = {"ItemID": item.item_id, "Name": item.name, "Code": item.code}
    shown["Description"] = line.description
    if line.unit_amount is not None:
        shown["UnitAmount"] = rounded(line.unit_amount, unit_places)
    if line.tax_type is not None:
        shown["TaxType"] = line.tax_type
    shown["TaxAmount"] = rounded(line.tax_amount)
    shown["LineAmount"] = rounded(line.line_amount)
    if line.account is not None:
        shown["AccountCode"] = line.account.code
    shown["Tracking"] = tracking_json(books, line)
    if line.quantity is not None:
        shown["Quantity"] = line.quantity
    if line.discount_rate is not None:
        shown["DiscountRate"] = line.discount_rate
    if line.discount_amount is not None:
        shown["DiscountAmount"] = line.discount_amount
    shown["LineItemID"] = line.line_id
    if line.account is not None:
        shown["AccountID"] = line.account.account_id
    if written:
        shown["ValidationErrors"] = []
    return shown


def tracking_json(books: Books, line: Line) -> list[dict[str, Any]]:
    """The tracking of a line as the API shows it, under the names of today."""
    shown = []
    for category_id, option_id in line.tracking:
        category = next(one for one in books.tracking if one.category_id == category_id)
        option = next(one for one in category.options if one.option_id == option_id)
        shown.append(
            {
                "Name": category.name,
                "Option": option.name,
                "TrackingCategoryID": category_id,
                "TrackingOptionID": option_id,
            }
        )
    return shown
