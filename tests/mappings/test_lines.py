"""The lines of a document: the header's parts are the truth, rows their detail, to the cent (design, section 4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.connectwise import Agreement, CatalogItem, Reference, SourceInvoice
from mappings.csv_tables import NOTHING, Value
from mappings.lines import FOUR_PLACES, LONGEST_DESCRIPTION, Draft, Taxability, clean, drafts_of, place_cents
from mappings.outcomes import Hold, Reason
from mappings.related import Related
from tests.mappings.samples import cents, expense, held, invoice, product, time

ALL = Taxability(services=True, expenses=True, products=True)
CAP = Decimal("0.02")


def drafts(source: SourceInvoice, taxability: Taxability = ALL, cap: Decimal = CAP) -> list[Draft]:
    result = drafts_of(source, taxability, cap, Related())
    assert not isinstance(result, Hold), result.message
    return result


def hold(source: SourceInvoice, cap: Decimal = CAP) -> Hold:
    found = held(drafts_of(source, ALL, cap, Related()))
    assert found.reason is Reason.LINES_INCOMPLETE
    return found


def shown(source: SourceInvoice) -> list[tuple[str, str, str, str | None, str | None, str]]:
    """Key, kind, description, quantity, price and amount of each line, as text."""
    return [
        (
            each.key,
            each.kind,
            each.description,
            None if each.quantity is None else str(each.quantity),
            None if each.unit_amount is None else str(each.unit_amount),
            str(each.amount),
        )
        for each in drafts(source)
    ]


# Which lines come of which parts

CASES: dict[str, tuple[SourceInvoice, list[tuple[str, str, str, str | None, str | None, str]]]] = {
    "rows that add up go as rows": (
        invoice([time("1.5", "160")], [product("2", "99.95")], [expense("17.60")]),
        [
            ("time:9001", "service", "Work", "1.5", "160", "240.00"),
            ("expense:4001", "expense", "Parking at the site", "1", "17.6", "17.60"),
            ("product:7001", "product", "USB-C dock", "2", "99.95", "199.90"),
        ],
    ),
    "less than one of something goes as it is": (
        invoice([time("0.25", "160")], [product("0.5", "99.95", extPrice=Decimal("49.98"))]),
        [
            ("time:9001", "service", "Work", "0.25", "160", "40.00"),
            ("product:7001", "product", "USB-C dock", "0.5", "99.95", "49.98"),
        ],
    ),
    "a part without rows goes as one line": (
        invoice(serviceTotal="500", expenseTotal="20", productTotal="30"),
        [
            ("flat:service", "service", "Services", "1", "500.00", "500.00"),
            ("flat:expense", "expense", "Expenses", "1", "20.00", "20.00"),
            ("flat:product", "product", "Products", "1", "30.00", "30.00"),
        ],
    ),
    "flat parts have lines of their own": (
        invoice(
            agreementAmount="1200", serviceAdjustmentAmount="-50", previousProgressApplied="300",
            downpaymentApplied="100", serviceTotal="1000",
        ),
        [
            ("flat:service", "service", "Services", "1", "1000.00", "1000.00"),
            ("flat:agreement", "agreement", "Agreement", "1", "1200.00", "1200.00"),
            ("flat:adjustment", "adjustment", "Service adjustment", "1", "-50.00", "-50.00"),
            ("flat:progress", "progress", "Less progress already billed", "1", "-300.00", "-300.00"),
            ("flat:down_payment", "down_payment", "Less down payment", "1", "-100.00", "-100.00"),
        ],
    ),
    "rows of nothing describe": (
        invoice([time(extendedInvoiceAmount=0, notes="Covered"), time("1", "80", number=9002)]),
        [
            ("time:9001", "service", "Covered", None, None, "0"),
            ("time:9002", "service", "Work", "1", "80", "80.00"),
        ],
    ),
    "a fixed fee is one line, described by its rows": (
        invoice(
            [time(extendedInvoiceAmount=0, notes="Design"), time(extendedInvoiceAmount=0, number=9002)],
            serviceTotal="900",
        ),
        [
            ("flat:service", "service", "Services", "1", "900.00", "900.00"),
            ("time:9001", "service", "Design", None, None, "0"),
            ("time:9002", "service", "Work", None, None, "0"),
        ],
    ),
    "rows that cancel out go as rows": (
        invoice([time("1", "80"), time("-1", "80", number=9002, notes="Taken back")]),
        [
            ("time:9001", "service", "Work", "1", "80", "80.00"),
            ("time:9002", "service", "Taken back", "1", "-80", "-80.00"),
        ],
    ),
    "a negative quantity becomes a negative price": (
        invoice([time()], [product("-2", "10")]),
        [
            ("time:9001", "service", "Work", "2", "150", "300.00"),
            ("product:7001", "product", "USB-C dock", "2", "-10", "-20.00"),
        ],
    ),
    "twice negative is positive": (
        invoice([], [product("-2", "-10")]),
        [("product:7001", "product", "USB-C dock", "2", "10", "20.00")],
    ),
    "no charge is shown at nothing": (
        invoice([time(), time(number=9002, billableOption="NoCharge", notes="On the house")], serviceTotal="300"),
        [
            ("time:9001", "service", "Work", "2", "150", "300.00"),
            ("time:9002", "service", "On the house", None, None, "0"),
        ],
    ),
    "no charge is shown at nothing, whatever amount its row has": (
        invoice(
            [time()],
            [product("1", "99", billableOption="NoCharge")],
            [expense("20", billableOption="NoCharge")],
            productTotal="0",
            expenseTotal="0",
        ),
        [
            ("time:9001", "service", "Work", "2", "150", "300.00"),
            ("expense:4001", "expense", "Parking at the site", None, None, "0"),
            ("product:7001", "product", "USB-C dock", None, None, "0"),
        ],
    ),
    "do not bill is not shown": (
        invoice(
            [time(), time(number=9002, billableOption="DoNotBill", notes="Our own mistake")],
            [product(billableOption="DoNotBill")], [expense(billableOption="DoNotBill")],
            serviceTotal="300", productTotal="0", expenseTotal="0",
        ),
        [("time:9001", "service", "Work", "2", "150", "300.00")],
    ),
    "cancelled products are not there": (
        invoice([], [product("1", "10"), product("1", "99", number=7002, cancelledFlag=True)], productTotal="10"),
        [("product:7001", "product", "USB-C dock", "1", "10", "10.00")],
    ),
    "seven decimals that make the amount at four": (
        invoice([], [product("10", "1.2345678")]),
        [("product:7001", "product", "USB-C dock", "10", "1.2346", "12.35")],
    ),
    "seven decimals that do not": (
        invoice([], [product("5000", "0.0125678")]),
        [("product:7001", "product", "USB-C dock (5000 x 0.0125678)", "1", "62.84", "62.84")],
    ),
    "an amount that was typed over": (
        invoice([time("1.5", "160", extendedInvoiceAmount=Decimal(200))]),
        [("time:9001", "service", "Work (1.5 x 160)", "1", "200.00", "200.00")],
    ),
    "a price that was typed over": (
        invoice([], [product("3", "10", extPrice=Decimal(26))]),
        [("product:7001", "product", "USB-C dock (3 x 10)", "1", "26.00", "26.00")],
    ),
    "a price with more decimals than anybody reads": (
        invoice([], [product("1000", "0.012567812345678")]),
        [("product:7001", "product", "USB-C dock (1000 x 0.0125678123)", "1", "12.57", "12.57")],
    ),
    "a discount": (
        invoice([], [product("3", "10", extPrice=Decimal(25), discount=Decimal(5))]),
        [("product:7001", "product", "USB-C dock (3 x 10)", "1", "25.00", "25.00")],
    ),
    "no amount on the row: hours x rate, quantity x price less discount": (
        invoice(
            [time("1.25", "80") | {"extendedInvoiceAmount": None}],
            [product("3", "10") | {"extPrice": None, "discount": Decimal(5)}],
            serviceTotal="100", productTotal="25",
        ),
        [
            ("time:9001", "service", "Work", "1.25", "80", "100.00"),
            ("product:7001", "product", "USB-C dock (3 x 10)", "1", "25.00", "25.00"),
        ],
    ),
    "a special invoice is one amount": (
        invoice(specialInvoiceFlag=True, type="Miscellaneous", subtotal=Decimal(450)),
        [("flat:special", "special", "Amount", "1", "450.00", "450.00")],
    ),
    "a special invoice with products that make it": (
        invoice([], [product("2", "225")], specialInvoiceFlag=True, productTotal="0", subtotal=Decimal(450)),
        [("product:7001", "product", "USB-C dock", "2", "225", "450.00")],
    ),
    "a special invoice with products that only describe it": (
        invoice([], [product("2", "0")], specialInvoiceFlag=True, type="Miscellaneous", subtotal=Decimal(450)),
        [
            ("flat:special", "special", "Amount", "1", "450.00", "450.00"),
            ("product:7001", "product", "USB-C dock", None, None, "0"),
        ],
    ),
    "a down payment is deferred": (
        invoice(specialInvoiceFlag=True, type="DownPayment", subtotal=Decimal(2000)),
        [("flat:special", "down_payment", "Down payment", "1", "2000.00", "2000.00")],
    ),
    "a down payment on a down payment": (
        invoice(specialInvoiceFlag=True, type="DownPayment", serviceTotal="2000", downpaymentApplied="500"),
        [
            ("flat:service", "down_payment", "Down payment", "1", "2000.00", "2000.00"),
            ("flat:down_payment", "down_payment", "Less down payment", "1", "-500.00", "-500.00"),
        ],
    ),
    "a down payment by its service total": (
        invoice(specialInvoiceFlag=True, type="DownPayment", serviceTotal="2000"),
        [("flat:service", "down_payment", "Down payment", "1", "2000.00", "2000.00")],
    ),
    "a down payment described by products is deferred too": (
        invoice([], [product("2", "1000")], specialInvoiceFlag=True, type="DownPayment"),
        [("product:7001", "down_payment", "USB-C dock", "2", "1000", "2000.00")],
    ),
    "an adjustment outside the service total": (
        invoice([time("2", "100")], serviceAdjustmentAmount="-20"),
        [
            ("time:9001", "service", "Work", "2", "100", "200.00"),
            ("flat:adjustment", "adjustment", "Service adjustment", "1", "-20.00", "-20.00"),
        ],
    ),
    "an adjustment inside the service total": (
        invoice([time("2", "100")], serviceTotal="180", serviceAdjustmentAmount="-20", subtotal=Decimal(180)),
        [
            ("time:9001", "service", "Work", "2", "100", "200.00"),
            ("flat:adjustment", "adjustment", "Service adjustment", "1", "-20.00", "-20.00"),
        ],
    ),
    "nothing at all": (
        invoice(),
        [("nothing", "special", "Nothing to charge", None, None, "0")],
    ),
    "rows below a cent add up to a cent": (
        invoice(
            [time("1", "0.004", number=number, extendedInvoiceAmount=Decimal("0.004")) for number in (1, 2)]
            + [time("1", "10", number=3)],
            serviceTotal="10.01",
        ),
        [
            ("time:1", "service", "Work", None, None, "0"),
            ("time:2", "service", "Work", None, None, "0"),
            ("time:3", "service", "Work", "1", "10", "10.00"),
            ("rounding", "rounding", "Rounding", "1", "0.01", "0.01"),
        ],
    ),
    "a header with more than two decimals": (
        invoice(serviceTotal="10.0004", subtotal=Decimal("10.0002"), tax="1.0004", total=Decimal("11.0007")),
        [("flat:service", "service", "Services", "1", "10.00", "10.00")],
    ),
    "an adjustment inside a service total with more than two decimals": (
        invoice(
            [time("2", "100")], serviceTotal="180.0004", serviceAdjustmentAmount="-20.0001",
            subtotal=Decimal("180.0003"),
        ),
        [
            ("time:9001", "service", "Work", "2", "100", "200.00"),
            ("flat:adjustment", "adjustment", "Service adjustment", "1", "-20.00", "-20.00"),
        ],
    ),
    "parts of the header with more than two decimals": (
        invoice(serviceTotal="10.005", expenseTotal="10.005", subtotal=Decimal("20.01")),
        [
            ("flat:service", "service", "Services", "1", "10.01", "10.01"),
            ("flat:expense", "expense", "Expenses", "1", "10.01", "10.01"),
            ("rounding", "rounding", "Rounding", "1", "-0.01", "-0.01"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_part_of_the_header_goes_out(case: str) -> None:
    """As its rows when they add up to it, as one line when it has none."""
    source, lines = CASES[case]
    assert shown(source) == lines


@pytest.mark.parametrize("case", CASES)
def test_lines_always_add_up_to_the_subtotal_of_the_header(case: str) -> None:
    """And no two lines of a document share a key: Xero's line ids are kept by it."""
    source, _ = CASES[case]
    found = drafts(source)
    assert sum((each.amount for each in found), Decimal(0)) == cents(source.header.subtotal)
    assert len({each.key for each in found}) == len(found) > 0


NONE_ELSE = (
    "expense 0.00, product 0.00, agreement 0.00, adjustment 0.00, progress applied 0.00, down payment applied 0.00"
)
HELD = {
    "rows make less than the part": (
        invoice([], [product("2", "459"), product("2", "8.5", number=7002)], productTotal="1035"),
        "product total",
        "The product total on the header is 1035.00, but its 2 rows make 935.00.",
    ),
    "rows make more than the part": (
        invoice([time("2", "150")], serviceTotal="299.99"),
        "service total",
        "The service total on the header is 299.99, but its row makes 300.00.",
    ),
    "priced rows under a part of zero": (
        invoice([time()], expenses=[expense()], expenseTotal="0"),
        "expense total",
        "The expense total on the header is 0.00, but its row makes 17.60.",
    ),
    "priced time on a special invoice of one amount": (
        invoice([time()], specialInvoiceFlag=True, serviceTotal="0", subtotal=Decimal(450)),
        "service total",
        "The service total on the header is 0.00, but its row makes 300.00.",
    ),
    "products that do not make a special invoice": (
        invoice([], [product("1", "99")], specialInvoiceFlag=True, productTotal="0", subtotal=Decimal(450)),
        "amount",
        "The amount on the header is 450.00, but its row makes 99.00.",
    ),
    "an adjustment inside, and rows that are not the rest": (
        invoice([time("2", "90")], serviceTotal="180", serviceAdjustmentAmount="-20", subtotal=Decimal(180)),
        "service total without the adjustment",
        "The service total without the adjustment on the header is 200.00, but its row makes 180.00.",
    ),
    "parts that do not make the subtotal": (
        invoice([time()], subtotal=Decimal(290)),
        "290.00",
        f"The parts on the header (service 300.00, {NONE_ELSE}) do not make the subtotal 290.00.",
    ),
    "an amount and no part, on an ordinary invoice": (
        invoice(subtotal=Decimal(450)),
        "450.00",
        f"The parts on the header (service 0.00, {NONE_ELSE}) do not make the subtotal 450.00.",
    ),
    "subtotal and tax that do not make the total": (
        invoice([time()], total=Decimal(331)),
        "331.00",
        "To the cent, the subtotal of 300.00 and the tax of 30.00 do not make the total of 331.00 on the header.",
    ),
    "more rounding than the cap": (
        invoice(
            [time("1", "0.335", number=number, extendedInvoiceAmount=Decimal("0.335")) for number in range(1, 7)],
            serviceTotal="2.01",
        ),
        "-0.03",
        "Rounding every row to the cent leaves -0.03 of the subtotal 2.01; a rounding line may carry 0.02 at most.",
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_what_does_not_add_up_is_held_with_the_figures(case: str) -> None:
    """The bookkeeper sees both numbers and which part of the header is meant."""
    source, value, message = HELD[case]
    found = hold(source)
    assert (found.value, found.message) == (value, message)
    assert found.fix


@pytest.mark.parametrize(
    ("rows", "cap", "fine"), [(2, "0.01", True), (2, "0", False), (4, "0.02", True), (4, "0.01", False)]
)
def test_a_rounding_line_stays_within_its_cap(rows: int, cap: str, fine: bool) -> None:
    """Rounding comes last and is small, or the document is held."""
    times = [time("1", "0.335", number=number, extendedInvoiceAmount=Decimal("0.335")) for number in range(rows)]
    source = invoice(times)
    result = drafts_of(source, ALL, Decimal(cap), Related())
    if fine:
        assert not isinstance(result, Hold)
        assert result[-1].key == "rounding"
        assert abs(result[-1].amount) <= Decimal(cap)
    else:
        assert "rounding line" in held(result).message


# Any invoice

AMOUNT = st.decimals(Decimal(-99999), Decimal(99999), allow_nan=False, allow_infinity=False, places=2)
FINE = st.decimals(Decimal(-999), Decimal(999), allow_nan=False, allow_infinity=False, places=7)


@st.composite
def any_invoice(draw: st.DrawFn) -> SourceInvoice:
    """Rows of every kind with fine prices, flat parts, and a header that is exact, rounded or typed over."""
    times = [time(draw(FINE), draw(FINE), number=9000 + n) for n in range(draw(st.integers(0, 4)))]
    products = [product(draw(FINE), draw(FINE), number=7000 + n) for n in range(draw(st.integers(0, 4)))]
    expenses = [expense(draw(st.one_of(AMOUNT, FINE)), number=4000 + n) for n in range(draw(st.integers(0, 3)))]
    fields: dict[str, Any] = {
        name: draw(st.one_of(st.just(Decimal(0)), AMOUNT))
        for name in ("agreementAmount", "serviceAdjustmentAmount", "previousProgressApplied", "downpaymentApplied")
    }
    if draw(st.booleans()):
        fields["productTotal"] = draw(AMOUNT)
    return invoice(times, products, expenses, **fields)


@given(any_invoice())
def test_any_invoice_goes_out_at_its_subtotal_or_is_held(source: SourceInvoice) -> None:
    """Each line's amount is what Xero makes of its quantity and price at four places; a rounding line keeps its cap."""
    result = drafts_of(source, ALL, CAP, Related())
    if isinstance(result, Hold):
        assert result.reason is Reason.LINES_INCOMPLETE
        return
    assert sum((line.amount for line in result), Decimal(0)) == cents(source.header.subtotal)
    for line in result:
        if line.quantity is None or line.unit_amount is None:
            assert line.amount == 0
            assert line.unit_amount is None
            continue
        assert line.quantity == line.quantity.quantize(FOUR_PLACES)
        assert line.unit_amount == line.unit_amount.quantize(FOUR_PLACES)
        assert line.quantity > 0
        assert cents(line.quantity * line.unit_amount) == line.amount == cents(line.amount)
    assert all(abs(line.amount) <= CAP for line in result if line.kind == "rounding")


@pytest.mark.parametrize("part", ["serviceTotal", "expenseTotal", "productTotal", "agreementAmount"])
@given(off=st.integers(1, 10_000), up=st.booleans())
def test_a_header_that_is_off_by_a_cent_or_more_is_never_posted(part: str, off: int, up: bool) -> None:
    """One cent on any part of the header is enough."""
    rows: dict[str, Any] = {"times": [time()], "products": [product()], "expenses": [expense()]}
    right: dict[str, Any] = {
        "serviceTotal": "300",
        "expenseTotal": "17.60",
        "productTotal": "99",
        "agreementAmount": "10",
    }
    wrong = Decimal(right[part]) + Decimal(off) / (100 if up else -100)
    source = invoice(**rows, **right | {part: wrong}, subtotal=Decimal("426.60"))
    assert hold(source)


# Taxability


@pytest.mark.parametrize("services", [True, False])
@pytest.mark.parametrize("expenses", [True, False])
@pytest.mark.parametrize("products", [True, False])
def test_what_is_taxed_follows_the_document_and_each_product(services: bool, expenses: bool, products: bool) -> None:
    """Time and flat amounts by the services, expenses by their own flag, products by theirs within the document's."""
    source = invoice(
        [time()],
        [product(), product(number=7002, taxableFlag=False)],
        [expense()],
        agreementAmount="10",
        previousProgressApplied="1",
        downpaymentApplied="1",
        serviceAdjustmentAmount="1",
    )
    found = {each.key: each.taxable for each in drafts(source, Taxability(services, expenses, products))}
    assert found == {
        "time:9001": services,
        "expense:4001": expenses,
        "product:7001": products,
        "product:7002": False,
        "flat:agreement": services,
        "flat:adjustment": services,
        "flat:progress": services,
        "flat:down_payment": services,
    }


@pytest.mark.parametrize(
    ("part", "field"), [("serviceTotal", "services"), ("expenseTotal", "expenses"), ("productTotal", "products")]
)
def test_a_flat_part_is_taxed_as_its_rows_would_be(part: str, field: str) -> None:
    """One line for all products is taxed when the document taxes products."""
    for taxed in (True, False):
        fields: dict[str, Any] = {part: "50"}
        taxability = Taxability(**{"services": not taxed, "expenses": not taxed, "products": not taxed, field: taxed})
        assert [each.taxable for each in drafts(invoice(**fields), taxability)] == [taxed]


def test_a_rounding_line_is_never_taxed() -> None:
    """It is no sale."""
    assert not drafts(CASES["rows below a cent add up to a cent"][0])[-1].taxable


# Categories


def test_rows_say_what_they_are_in_the_order_in_which_tables_ask() -> None:
    """Work type, then work role; the expense type; the catalogue item."""
    source = invoice(
        [time(workType={"id": 1, "name": "Remote"}, workRole={"id": 2, "name": "Engineer"})],
        [product()],
        [expense()],
        agreementAmount="5",
    )
    work, cost, item, flat = drafts(source)
    assert [each.id for each in work.category] == [1, 2]
    assert [each.texts for each in cost.category] == [("Parking",)]
    assert item.item.texts == ("DOCK-USBC",)
    assert item.category == flat.category == (NOTHING,)


@pytest.mark.parametrize(
    ("points_to", "known"),
    [({"id": 301}, True), ({"id": 302}, False), ({"identifier": "DOCK"}, False), (None, False)],
)
def test_what_a_record_points_to_is_found_by_its_id_alone(points_to: dict[str, Any] | None, known: bool) -> None:
    """A reference without an id points to nothing, whichever ids there are; what is gone says nothing."""
    cloud = Reference(id=40, name="Cloud")
    items = {number: CatalogItem(id=number, category=cloud, subcategory=cloud) for number in (1, 301)}
    agreements = {number: Agreement(id=number, type=cloud) for number in (1, 301)}
    source = invoice([], [product(catalogItem=points_to)], agreement=points_to, agreementAmount="5")
    found = drafts_of(source, ALL, CAP, Related(catalog_items=items, agreements=agreements))
    assert not isinstance(found, Hold)
    categories = {each.kind: each.category for each in found}
    assert categories["product"] == ((Value.of(cloud), Value.of(cloud)) if known else (NOTHING,))
    assert categories["agreement"] == (Value.of(cloud) if known else NOTHING,)


# Texts


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (time(notes=""), "Time"),
        (time(notes=" \x00\x07 ", workType={"id": 1, "name": "Remote"}), "Remote"),
        (time(notes=None, workType={"id": 1, "name": "Remote"}, member={"id": 2, "name": "Ada"}), "Remote - Ada"),
        (time(notes="", workType={"id": 1}, member={"id": 2, "name": "\x01"}), "Time"),
    ],
)
def test_a_line_always_says_something(row: dict[str, Any], text: str) -> None:
    """Xero refuses a line without a description, and one of control characters is none."""
    assert [each.description for each in drafts(invoice([row]))] == [text]


def test_products_and_expenses_always_say_something() -> None:
    """The customer's text, else the product's, else the catalogue's, else what it is."""
    texts = [
        product(number=1),
        product(number=2, customerDescription=" ", description="Dock"),
        product(number=3, customerDescription="", description=None),
        product(number=4, customerDescription="", catalogItem=None),
    ]
    costs = [expense(number=1, notes=""), expense(number=2, notes="", type=None)]
    found = [each.description for each in drafts(invoice([], texts, costs))]
    assert found == ["Parking", "Expense", "USB-C dock", "Dock", "DOCK-USBC", "Product"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  Work  ", "Work"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("Log:\x00\x07 \x1b[31mFAILED\x1b[0m disk\x85 2", "Log: [31mFAILED[0m disk 2"),
        ("tab\there", "tab\there"),
        ("\ufffe\uffff\ud800x", "x"),
        ("Übergabe – naïve café 👩\u200d🔧 שלום", "Übergabe – naïve café 👩\u200d🔧 שלום"),
        ("=1+1", "=1+1"),
        ("x" * LONGEST_DESCRIPTION, "x" * LONGEST_DESCRIPTION),
        ("x" * (LONGEST_DESCRIPTION + 1), "x" * (LONGEST_DESCRIPTION - 1) + "…"),
        ("y" + "x " * LONGEST_DESCRIPTION, ("y" + "x " * LONGEST_DESCRIPTION)[: LONGEST_DESCRIPTION - 2] + "…"),
        ("x " * LONGEST_DESCRIPTION, ("x " * LONGEST_DESCRIPTION)[: LONGEST_DESCRIPTION - 1] + "…"),
        ("😀" * LONGEST_DESCRIPTION, "😀" * (LONGEST_DESCRIPTION // 2 - 1) + "…"),
    ],
)  # fmt: skip
def test_text_is_sent_as_xero_can_take_it(text: str, cleaned: str) -> None:
    """One kind of line end, no control characters, 4,000 characters as .NET counts them; nothing else is touched."""
    assert clean(text) == cleaned


@given(st.text(max_size=60), st.integers(1, 30))
def test_clean_text_is_clean_and_short_enough(text: str, longest: int) -> None:
    """Cleaning once is enough, and what it gives can be sent."""
    cleaned = clean(text, longest)
    assert clean(cleaned, longest) == cleaned
    assert len(cleaned.encode("utf-16-le")) <= 2 * longest
    assert "\r" not in cleaned
    assert "\x00" not in cleaned


def test_both_figures_fit_below_a_description_of_any_length() -> None:
    """The figures stay, the text gives way."""
    (line,) = drafts(invoice([], [product("5000", "0.0125678", customerDescription="x" * 5000)]))
    assert line.description.endswith("x… (5000 x 0.0125678)")
    assert len(line.description) == LONGEST_DESCRIPTION


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("😀" * 3000, 1990),
        ("é" * 5000, 3980),
        ("e\u0301" * 2500, 3980),
        ("x\r\n" * 3000, 3979),
        ("\x07" * 5000 + "short", 5),
        ("=" * 5000, 3980),
    ],
)
def test_figures_below_a_long_text_fit_however_xero_counts_its_characters(text: str, kept: int) -> None:
    """An emoji counts as two, a line end as one, a control character as none; no character is cut in half."""
    (line,) = drafts(invoice([], [product("5000", "0.0125678", customerDescription=text)]))
    assert line.description.endswith(" (5000 x 0.0125678)")
    assert len(line.description.encode("utf-16-le")) <= 2 * LONGEST_DESCRIPTION
    shown_text = line.description.removesuffix(" (5000 x 0.0125678)").removesuffix("…")
    assert clean(text).startswith(shown_text)
    assert len(shown_text) == kept


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "'"])
def test_a_text_that_looks_like_a_formula_is_sent_as_it_is(sign: str) -> None:
    """JSON runs no formulas, and the customer reads what was written."""
    text = f"{sign}SUM(A1) | cmd"
    source = invoice(
        [time(notes=text)],
        [product(customerDescription="", description=None, catalogItem={"id": 1, "identifier": text})],
        [expense(notes=text)],
    )
    assert [each.description for each in drafts(source)] == [text] * 3


@given(st.text(max_size=200))
def test_any_note_becomes_a_description(text: str) -> None:
    """Never empty, never longer than Xero takes, and the same for the same note."""
    (line,) = drafts(invoice([time(notes=text)]))
    assert line.description == (clean(text) or "Time")
    assert line.description.strip() == line.description != ""


# Cents of tax

CENTS = st.integers(-100_000, 100_000).map(lambda number: Decimal(number) / 100)


@given(st.lists(st.tuples(CENTS, CENTS), max_size=12), st.integers(-15, 15))
def test_placed_cents_make_the_wanted_sum_and_move_a_line_by_a_cent_at_most(
    lines: list[tuple[Decimal, Decimal]], off: int
) -> None:
    """The sum is exactly what was asked for, or nothing is placed at all."""
    taxes, amounts = [tax for tax, _ in lines], [amount for _, amount in lines]
    wanted = sum(taxes, Decimal(0)) + Decimal(off) / 100
    placed = place_cents(taxes, amounts, wanted)
    if abs(off) > len(lines):
        assert placed is None
        return
    assert placed is not None
    assert sum(placed, Decimal(0)) == wanted
    moved = [abs(new - old) for new, old in zip(placed, taxes, strict=True)]
    assert set(moved) <= {Decimal(0), Decimal("0.01")}
    assert moved.count(Decimal("0.01")) == abs(off)
    # The lines that moved are no smaller than those that stayed.
    by_size = [(abs(amount), move) for amount, move in zip(amounts, moved, strict=True)]
    assert min((size for size, move in by_size if move), default=Decimal("Infinity")) >= max(
        (size for size, move in by_size if not move), default=Decimal(0)
    )


def test_cents_go_to_the_first_of_equally_large_lines() -> None:
    """The same document twice must be placed alike."""
    assert place_cents([Decimal("1.00")] * 3, [Decimal(10)] * 3, Decimal("3.01")) == [
        Decimal("1.01"),
        Decimal("1.00"),
        Decimal("1.00"),
    ]
