"""How the simulated ConnectWise arrives at the amounts of an invoice and its rows, and of a purchase order.

The rule of the header: service + expense + product + agreement + service adjustment - progress applied - down payment
applied = subtotal; subtotal + sales tax = total; total - payments - credits = balance. Sales tax is computed once per
invoice, as rate x taxable sum, and rounded to the cent once. An amount that a person typed over stays as typed.

A purchase order: the lines' extended costs = subtotal, their tax = sales tax; subtotal + sales tax + freight + tax on
freight = total. Which of these the real total holds is not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from decimal import ROUND_HALF_UP, Decimal

from deployments.sandbox.connectwise_query import Record

ZERO = Decimal(0)
CENT = Decimal("0.01")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MONEY = _names(
    "serviceTotal expenseTotal productTotal previousProgressApplied serviceAdjustmentAmount agreementAmount"
    " downpaymentApplied subtotal total remainingDownpayment salesTax payments credits balance"
    " subTotal freightCost freightTaxTotal unitCost tax"
    " quantity price cost extPrice extCost discount margin quantityCancelled listPrice"
    " actualHours hoursDeduct hoursBilled invoiceHours hourlyRate agreementHours agreementAdjustment adjustment"
    " extendedInvoiceAmount amount invoiceAmount billAmount invoiceBalance invoiceTotal sequenceNumber"
    " levelOneRate levelTwoRate levelThreeRate levelFourRate levelFiveRate levelSixRate"
)
"""Fields that ConnectWise writes as decimal numbers."""

LEVELS = ("One", "Two", "Three", "Four", "Five", "Six")


_PARTS = ("serviceTotal", "expenseTotal", "productTotal", "agreementAmount", "serviceAdjustmentAmount")


def cents(amount: Decimal) -> Decimal:
    """Rounded to two decimals, halves away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def amount_of(record: Record, name: str) -> Decimal:
    """One amount of a record; what is absent or no number counts as zero."""
    value = record.get(name)
    return value if isinstance(value, Decimal) else Decimal(value) if type(value) is int else ZERO


def fill_time(row: Record, fixed: Container[str]) -> None:
    """Hours that an agreement covers are not invoiced; the rest is hours x rate."""
    covered = "agreementHours" in row or "agreementAmount" in row
    if "agreementHours" not in row and "agreementAmount" in row:
        row["agreementHours"] = amount_of(row, "actualHours")
    if "invoiceHours" not in fixed:
        row["invoiceHours"] = amount_of(row, "actualHours") - (amount_of(row, "agreementHours") if covered else ZERO)
    if "hoursBilled" not in fixed:
        row["hoursBilled"] = row["invoiceHours"]
    if "extendedInvoiceAmount" not in fixed:
        amount = cents(amount_of(row, "invoiceHours") * amount_of(row, "hourlyRate")) + amount_of(row, "adjustment")
        row["extendedInvoiceAmount"] = amount if row.get("billableOption", "Billable") == "Billable" else ZERO


def fill_product(row: Record, fixed: Container[str]) -> None:
    """Extended amounts are quantity x unit amount, less the row's discount."""
    quantity = amount_of(row, "quantity")
    if "extPrice" not in fixed:
        row["extPrice"] = cents(quantity * amount_of(row, "price")) - amount_of(row, "discount")
    if "extCost" not in fixed:
        row["extCost"] = cents(quantity * amount_of(row, "cost"))


def fill_expense(row: Record, fixed: Container[str]) -> None:
    """An expense is invoiced at its amount, less what an agreement covers."""
    if "billAmount" not in fixed:
        row["billAmount"] = amount_of(row, "amount")
    if "invoiceAmount" not in fixed:
        amount = amount_of(row, "billAmount") - amount_of(row, "agreementAmount")
        row["invoiceAmount"] = amount if row.get("billableOption", "Billable") == "Billable" else ZERO


def billed(kind: str, row: Record) -> Decimal:
    """What one row puts on the invoice."""
    if kind == "time":
        return amount_of(row, "extendedInvoiceAmount")
    if kind == "expense":
        return amount_of(row, "invoiceAmount")
    if row.get("cancelledFlag") or row.get("billableOption", "Billable") != "Billable":
        return ZERO
    return amount_of(row, "extPrice") - amount_of(row, "agreementAmount")


def sales_tax(invoice: Record, products: Iterable[Record], code: Record | None, adjusted_inside: bool) -> Decimal:
    """The sales tax of one invoice: services and expenses by the code's flags, products by their own."""
    if code is None or not invoice.get("taxableFlag"):
        return ZERO
    service = amount_of(invoice, "serviceTotal") + amount_of(invoice, "agreementAmount")
    if not adjusted_inside:
        service += amount_of(invoice, "serviceAdjustmentAmount")
    service -= amount_of(invoice, "previousProgressApplied") + amount_of(invoice, "downpaymentApplied")
    if not any(amount_of(invoice, name) for name in _PARTS):
        # A special invoice can be one amount and nothing else.
        service = amount_of(invoice, "subtotal")
    rows = list(products)
    product = sum((billed("product", row) for row in rows if row.get("taxableFlag")), ZERO)
    if not rows:
        product = amount_of(invoice, "productTotal")
    tax = ZERO
    for level in LEVELS:
        rate = amount_of(code, f"level{level}Rate") / 100
        if rate:
            base = service if code.get(f"level{level}ServicesFlag") else ZERO
            base += amount_of(invoice, "expenseTotal") if code.get(f"level{level}ExpensesFlag") else ZERO
            base += product if code.get(f"level{level}ProductsFlag") else ZERO
            tax += rate * base
    return cents(tax)


def total_up(
    invoice: Record,
    rows: dict[str, list[Record]],
    payments: Iterable[Record],
    code: Record | None,
    fixed: Container[str],
    adjusted_inside: bool,
    applied_from: Decimal = ZERO,
) -> None:
    """Bring the header in line with its rows and payments, except for what a person fixed.

    `applied_from` is what of this invoice, as a credit memo, was applied to others: it lowers the memo's credits
    below zero, so that its balance is what remains of it.
    """

    def derive(name: str, amount: Callable[[], Decimal]) -> None:
        if name not in fixed:
            invoice[name] = amount()

    def of(*names: str) -> Decimal:
        return sum((amount_of(invoice, name) for name in names), ZERO)

    def rows_of(kind: str) -> Decimal:
        return sum((billed(kind, row) for row in rows[kind]), ZERO)

    adjustment = of("serviceAdjustmentAmount")
    inside, outside = (adjustment, ZERO) if adjusted_inside else (ZERO, adjustment)
    derive("serviceTotal", lambda: rows_of("time") + inside)
    derive("productTotal", lambda: rows_of("product"))
    derive("expenseTotal", lambda: rows_of("expense"))
    parts = ("serviceTotal", "expenseTotal", "productTotal", "agreementAmount")
    derive("subtotal", lambda: of(*parts) + outside - of("previousProgressApplied", "downpaymentApplied"))
    derive("salesTax", lambda: sales_tax(invoice, rows["product"], code, adjusted_inside))
    derive("total", lambda: of("subtotal", "salesTax"))
    amounts = [(amount_of(payment, "amount"), bool(payment.get("credit"))) for payment in payments]
    derive("payments", lambda: sum((amount for amount, credit in amounts if not credit), ZERO))
    derive("credits", lambda: sum((amount for amount, credit in amounts if credit), ZERO) - applied_from)
    derive("balance", lambda: of("total") - of("payments", "credits"))


def products_rate(code: Record | None) -> Decimal:
    """What a tax code adds to products, as a fraction."""
    levels = (level for level in LEVELS if code is not None and code.get(f"level{level}ProductsFlag"))
    return sum((amount_of(code or {}, f"level{level}Rate") / 100 for level in levels), ZERO)


def fill_order_line(line: Record, rate: Decimal, fixed: Container[str]) -> None:
    """The extended cost is quantity x unit cost, whatever was received; `tax` is of the whole line."""
    if "extCost" not in fixed:
        line["extCost"] = cents(amount_of(line, "quantity") * amount_of(line, "unitCost"))
    if "tax" not in fixed:
        line["tax"] = cents(amount_of(line, "extCost") * rate)


def total_up_order(order: Record, lines: Iterable[Record], rate: Decimal, fixed: Container[str]) -> None:
    """Bring the header of a purchase order in line with its lines that are not cancelled."""
    alive = [line for line in lines if not line.get("canceledFlag")]

    def derive(name: str, amount: Decimal) -> None:
        if name not in fixed:
            order[name] = amount

    derive("subTotal", sum((amount_of(line, "extCost") for line in alive), ZERO))
    derive("salesTax", sum((amount_of(line, "tax") for line in alive), ZERO))
    derive("freightTaxTotal", cents(amount_of(order, "freightCost") * rate))
    parts = ("subTotal", "salesTax", "freightCost", "freightTaxTotal")
    derive("total", sum((amount_of(order, name) for name in parts), ZERO))
