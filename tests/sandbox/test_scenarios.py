"""The worlds that demos and benchmarks are built on: believable, the same every time, and wrong only on purpose."""

from __future__ import annotations

import copy
import csv
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios import NAMES, Scenario, generate, load
from deployments.sandbox.xero import SimulatedXero

CENT = Decimal("0.01")
DAYS = [
    datetime(2026, 11, 21, 22, 0, tzinfo=UTC),
    datetime(2024, 2, 29, 0, 5, tzinfo=UTC),
    datetime(2031, 1, 1, tzinfo=UTC),
]
# The columns of contract.md, section 3.
COLUMNS = {
    "organisations.csv": "location,department,company,staff,tag,organisation",
    "accounts.csv": "organisation,side,kind,category,item,account_code,item_code",
    "taxes.csv": "organisation,side,tax_code,taxable,tax_type",
    "contacts.csv": "organisation,role,company,contact_id,account_number,contact_name",
    "tracking.csv": "organisation,side,source,value,tracking_category,option",
    "rates.csv": "currency,base,date,rate",
    "payment_accounts.csv": "organisation,currency,payment_account,account_code",
}
KINDS = "product service expense agreement adjustment progress special down_payment freight rounding"
# Per cent by tax type: what Xero would compute for the tables' tax types.
RATES = {"OUTPUT": 10, "OUTPUT2": 15, "EXEMPTOUTPUT": 0, "ZERORATED": 0, "EXEMPTEXPORT": 0}
RATES |= {"INPUT": 10, "INPUT2": 15, "EXEMPTEXPENSES": 0, "NONE": 0}


class World:
    """A scenario with the two systems it was built in."""

    def __init__(self, now: datetime) -> None:
        self.today = now.date()
        self.connectwise = SimulatedConnectWise(lambda: now)
        self.xero = SimulatedXero(lambda: now)
        self.scenario = load("msp", self.connectwise, self.xero)

    def invoice(self, number: str) -> dict[str, Any]:
        return self.connectwise.record("invoice", self.scenario.invoices[number])

    def rows(self, number: str, kind: str) -> list[dict[str, Any]]:
        return self.connectwise.rows(kind, self.scenario.invoices[number])

    def told(self, key: str) -> dict[str, Any]:
        return self.invoice(self.scenario.keys[key])

    def books(self, name: str) -> Any:
        return self.xero.organisations[self.scenario.organisations[name]]

    @property
    def good(self) -> list[str]:
        """Invoices that should simply be posted."""
        left_out = {*self.scenario.expected, *self.scenario.open, *self.scenario.credit_memos, *self.scenario.early}
        return [number for number in self.scenario.invoices if number not in left_out]


@pytest.fixture(scope="module", params=DAYS, ids=lambda day: f"{day:%Y-%m-%d}")
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers_of(amounts: Iterator[Any]) -> Decimal:
    return sum(amounts, Decimal(0))


# --- the whole


def test_the_world_has_the_size_of_eight_weeks(world: World) -> None:
    """About 120 invoices of 30 customers in four places, most of them closed."""
    scenario = world.scenario
    assert 115 <= len(scenario.invoices) <= 130
    assert 28 <= len(world.connectwise.tables["company"]) <= 36
    assert len(world.connectwise.tables["purchase_order"]) == len(scenario.orders) == 4
    assert len(world.connectwise.tables["location"]) == 4
    assert (len(scenario.open), len(scenario.credit_memos), len(scenario.early)) == (8, 2, 1)
    assert len(scenario.troubles) == 14 and len(scenario.expected) == 12 and len(scenario.adopted) == 1
    closed = [number for number in scenario.invoices if world.invoice(number)["status"]["isClosed"]]
    assert set(scenario.invoices) - set(closed) == set(scenario.open)


def test_the_same_day_tells_the_same_story() -> None:
    """Nothing is left to chance: ids, numbers, amounts and texts are alike in every run."""
    first, second = World(DAYS[0]), World(DAYS[0])
    for table in ("invoice", "time", "product", "expense", "payment", "company"):
        assert first.connectwise.tables[table].records == second.connectwise.tables[table].records
    assert first.xero.organisations.keys() == second.xero.organisations.keys()
    assert first.scenario.expected == second.scenario.expected


def test_the_story_moves_with_the_calendar_and_does_not_change() -> None:
    """Every part of it is as many days back on any day, and for the same amount."""
    first, later = World(DAYS[0]), World(DAYS[0] + timedelta(days=7))
    assert first.scenario.keys.keys() == later.scenario.keys.keys()
    for key in first.scenario.keys:
        one, other = first.told(key), later.told(key)
        assert date.fromisoformat(one["date"][:10]) + timedelta(days=7) == date.fromisoformat(other["date"][:10])
        assert one["total"] == other["total"]


def test_dates_lie_in_the_eight_weeks_before_today(world: World) -> None:
    """But for the one before the start date; nothing was touched in the future, ids follow the dates."""
    scenario = world.scenario
    assert scenario.start_date == world.today - timedelta(days=56)
    days = {number: date.fromisoformat(world.invoice(number)["date"][:10]) for number in scenario.invoices}
    assert [number for number, day in days.items() if day < scenario.start_date] == list(scenario.early)
    assert max(days.values()) <= world.today
    assert list(days.values()) == sorted(days.values())
    now = world.connectwise.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert all(world.invoice(number)["_info"]["lastUpdated"] <= now for number in days)


def test_the_header_of_every_invoice_holds(world: World) -> None:
    """Its parts make the subtotal, subtotal and tax the total, and the balance is what is not paid."""
    for number in world.scenario.invoices:
        invoice = world.invoice(number)
        if number == world.scenario.keys["unreadable"]:
            continue
        names = ("serviceTotal", "expenseTotal", "productTotal", "agreementAmount", "serviceAdjustmentAmount")
        parts = numbers_of(invoice[name] for name in names)
        parts -= invoice["previousProgressApplied"] + invoice["downpaymentApplied"]
        lump = invoice["specialInvoiceFlag"] and parts == 0
        assert lump or parts == invoice["subtotal"], number
        assert invoice["subtotal"] + invoice["salesTax"] == invoice["total"], number
        assert invoice["total"] - invoice["payments"] - invoice["credits"] == invoice["balance"], number


def test_rows_add_up_to_their_part_of_the_header(world: World) -> None:
    """Wherever there are priced rows; but for the invoice whose trouble that is."""
    amounts = {"time": "extendedInvoiceAmount", "product": "extPrice", "expense": "invoiceAmount"}
    parts = {"time": "serviceTotal", "product": "productTotal", "expense": "expenseTotal"}
    for number in world.scenario.invoices:
        for kind, name in amounts.items():
            total = numbers_of(row[name] for row in world.rows(number, kind))
            agrees = total in (0, world.invoice(number)[parts[kind]])
            assert agrees != (kind == "product" and number == world.scenario.keys["rows_differ"]), (number, kind)


def taxed_lines(world: World, number: str) -> list[tuple[Decimal, bool]]:
    """Amount and taxability of the lines that an invoice would have in Xero."""
    invoice = world.invoice(number)
    flag = invoice["taxableFlag"]
    lines = [(row["extPrice"], flag and row["taxableFlag"]) for row in world.rows(number, "product")]
    lines += [(row["extendedInvoiceAmount"], flag) for row in world.rows(number, "time")]
    lines += [(row["invoiceAmount"], flag) for row in world.rows(number, "expense")]
    if not any(amount for amount, _ in lines[len(world.rows(number, "product")) :]):
        lines.append((invoice["serviceTotal"], flag))
    lines += [(invoice[name], flag) for name in ("agreementAmount", "serviceAdjustmentAmount")]
    lines += [(-invoice[name], flag) for name in ("previousProgressApplied", "downpaymentApplied")]
    if not any(amount for amount, _ in lines):
        lines.append((invoice["subtotal"], flag))
    return [(amount, taxed) for amount, taxed in lines if amount]


def test_tax_is_what_rounding_per_line_gives_or_within_a_cent_a_line(world: World) -> None:
    """For every invoice to be posted; a few need cents placed, so that somebody has to place them."""
    rates = {"GST": Decimal(10), "GST-NZ": Decimal(15), "EXPORT": Decimal(0)}
    off = 0
    for number in world.good:
        invoice = world.invoice(number)
        rate = rates[invoice["taxCode"]["name"]] if "taxCode" in invoice else Decimal(0)
        taxes = [
            (amount * rate / 100).quantize(CENT, ROUND_HALF_UP) for amount, taxed in taxed_lines(world, number) if taxed
        ]
        difference = abs(sum(taxes, Decimal(0)) - invoice["salesTax"])
        assert difference <= CENT * len(taxes), number
        off += difference != 0
    assert 5 <= off <= 30


def test_the_good_invoices_are_of_all_sorts(world: World) -> None:
    """Sizes, types, texts and prices that a mapping has to cope with."""
    good = world.good
    sizes = [sum(len(world.rows(number, kind)) for kind in ("time", "product", "expense")) for number in good]
    assert max(sizes) >= 20 and sizes.count(0) >= 3 and sizes.count(1) >= 5
    types = Counter(world.invoice(number)["type"] for number in good)
    assert {"Standard", "Agreement", "Progress", "DownPayment", "Miscellaneous"} == set(types)
    assert types["Agreement"] >= 10
    invoices = [world.invoice(number) for number in good]
    assert any(not invoice["taxableFlag"] for invoice in invoices)
    assert any(invoice["serviceAdjustmentAmount"] for invoice in invoices)
    assert any(invoice["agreementAmount"] and invoice["productTotal"] for invoice in invoices)
    assert {invoice["currency"]["currencyCode"] for invoice in invoices} == {"AUD", "NZD"}
    assert {invoice["location"]["name"] for invoice in invoices} == {"Sydney", "Melbourne", "Auckland"}
    products = [row for number in good for row in world.rows(number, "product")]
    places = {-int(row["price"].normalize().as_tuple().exponent) for row in products}
    assert {1, 2, 4, 7} <= places
    mixed = [{row["taxableFlag"] for row in world.rows(number, "product")} for number in good]
    assert {True, False} in mixed
    assert any(row["price"] == 0 for row in products)
    times = [row for number in good for row in world.rows(number, "time")]
    assert any(row["extendedInvoiceAmount"] == 0 and row["agreementAmount"] for row in times)
    assert max(len(row["notes"]) for row in times) > 4000
    names = "".join(invoice["company"]["name"] for invoice in invoices)
    assert not names.isascii()
    assert world.told("zero")["total"] == 0
    assert world.told("parent_pays")["billToCompany"]["identifier"] == "KESTRELHLD"


def test_some_invoices_are_paid_and_a_credit_memo_is_used(world: World) -> None:
    """In full, in part, and by credit."""
    invoices = [world.invoice(number) for number in world.scenario.invoices]
    paid = [invoice for invoice in invoices if invoice["payments"]]
    assert any(invoice["balance"] == 0 for invoice in paid) and any(invoice["balance"] > 0 for invoice in paid)
    assert sum(invoice["credits"] > 0 for invoice in invoices) == 1
    assert world.told("credit_products")["balance"] == 0
    for number in world.scenario.credit_memos:
        assert world.invoice(number)["total"] < 0 and world.invoice(number)["type"] == "CreditMemo"


# --- the troubles


def test_every_trouble_has_its_story_and_is_closed(world: World) -> None:
    """A sentence for each, and no other invoice is expected to be held."""
    scenario = world.scenario
    assert set(scenario.expected) <= set(scenario.troubles) <= set(scenario.invoices)
    assert all(story.endswith(".") for story in scenario.troubles.values())
    assert all(world.invoice(number)["status"]["isClosed"] for number in scenario.troubles)
    assert Counter(scenario.expected.values()) == {
        "missing_contact": 2,
        "contact_archived": 1,
        "missing_account": 1,
        "missing_tracking": 1,
        "missing_rate": 1,
        "lines_incomplete": 1,
        "tax_differs": 1,
        "missing_organisation": 1,
        "number_conflict": 1,
        "period_locked": 1,
        "unreadable_record": 1,
    }


def contacts_of(world: World, number: str) -> list[str]:
    """The statuses of the contacts in Xero that bear the account number of an invoice's customer."""
    wanted = world.invoice(number)["accountNumber"]
    organisations = world.xero.organisations.values()
    return [one.status for books in organisations for one in books.contacts if one.account_number == wanted]


def test_the_contacts_are_missing_archived_or_doubled(world: World) -> None:
    """For three of the troubles, and for nobody else who is not found by name or by contacts.csv."""
    keys = world.scenario.keys
    assert contacts_of(world, keys["no_contact"]) == []
    assert contacts_of(world, keys["archived_contact"]) == ["ARCHIVED"]
    assert contacts_of(world, keys["two_contacts"]) == ["ACTIVE", "ACTIVE"]
    by_name = {"GREENWAY", "PAPERBARK", "JASPER"}
    for number in world.good:
        invoice = world.invoice(number)
        found = [] if invoice["accountNumber"] == "" else contacts_of(world, number)
        assert found == ["ACTIVE"] or invoice["company"]["identifier"] in by_name, number


def test_the_other_troubles_are_as_told(world: World) -> None:
    """Each cause is really there."""
    sydney, auckland = world.books("Brightwater Sydney"), world.books("Brightwater Auckland")
    assert "EUR" in sydney.currencies and world.told("euro")["currency"]["currencyCode"] == "EUR"
    assert world.told("new_department")["department"]["name"] == "Cyber Security"
    assert world.told("no_organisation")["location"]["name"] == "Perth"
    assert world.told("wrong_rate")["salesTax"] == 0 and world.told("wrong_rate")["taxableFlag"]
    assert world.told("unreadable")["total"] == "see attachment"
    assert world.rows(world.scenario.keys["unmapped_expense"], "expense")[0]["type"]["name"] == "Tolls"
    notes = world.rows(world.scenario.keys["control_characters"], "time")[0]["notes"]
    assert {"\x00", "\x07", "\x1b", "\x85"} <= set(notes)
    assert date.fromisoformat(world.told("locked_period")["date"][:10]) <= auckland.lock_date
    for number in world.good:
        invoice = world.invoice(number)
        if invoice["location"]["name"] == "Auckland":
            assert date.fromisoformat(invoice["date"][:10]) > auckland.lock_date, number


def test_two_invoices_were_entered_in_xero_by_hand(world: World) -> None:
    """One alike to the cent, one of another amount; nothing else is in Xero yet."""
    sydney = world.books("Brightwater Sydney")
    alike, other = world.scenario.keys["entered_by_hand"], world.scenario.keys["number_taken"]
    assert world.scenario.adopted == (alike,)
    documents = {one["InvoiceNumber"]: one for one in sydney.invoices()}
    assert set(documents) == {alike, other}
    assert Decimal(str(documents[alike]["Total"])) == world.invoice(alike)["total"]
    assert Decimal(str(documents[other]["Total"])) != world.invoice(other)["total"]
    assert documents[alike]["DateString"][:10] == world.invoice(alike)["date"][:10]
    assert world.books("Brightwater Auckland").invoices() == []


# --- the tables


@pytest.mark.parametrize("name", [*NAMES, "bulk"])
def test_the_tables_have_the_columns_of_the_contract(name: str) -> None:
    """Each file, with a note at most beside them, and nothing that a spreadsheet would run."""
    folder = Path(load.__code__.co_filename).parent / name / "tables"
    files = {path.name for path in folder.iterdir()}
    assert {"organisations.csv", "accounts.csv", "taxes.csv", "policy.toml"} <= files <= {*COLUMNS, "policy.toml"}
    for file in files - {"policy.toml"}:
        header = (folder / file).read_text(encoding="utf-8").splitlines()[0]
        assert header.removesuffix(",note") == COLUMNS[file]
        for row in rows_of(folder / file):
            assert None not in row and None not in row.values()
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    assert {row["kind"] for row in rows_of(folder / "accounts.csv")} <= set(KINDS.split())


def test_the_tables_name_accounts_and_tax_types_that_xero_has(world: World) -> None:
    """In every organisation that a row applies to, active and usable together."""
    tables = world.scenario.tables
    for name in world.scenario.organisations:
        books = world.books(name)
        for row in rows_of(tables / "accounts.csv"):
            account = books.account_by_code(row["account_code"])
            assert account is not None and account.status == "ACTIVE" and account.system is None
            for tax in rows_of(tables / "taxes.csv"):
                if (tax["organisation"], tax["side"]) == (name, row["side"]):
                    rate = books.tax_rates[tax["tax_type"]]
                    assert rate.status == "ACTIVE" and rate.fits(account)
                    assert rate.percent == RATES[tax["tax_type"]]


def test_the_tables_track_what_is_sold_by_teams_and_offices_that_xero_has(world: World) -> None:
    """Every row names an active option; in the organisation that tracks, no good invoice lacks a row."""
    rows = rows_of(world.scenario.tables / "tracking.csv")
    for row in rows:
        category = next(
            one for one in world.books(row["organisation"]).tracking if one.name == row["tracking_category"]
        )
        assert row["option"] in ("", *(option.name for option in category.options))
    known = {row["value"] for row in rows if row["source"] == "department"}
    good = [invoice for number in world.good if (invoice := world.invoice(number))["location"]["name"] != "Auckland"]
    assert {invoice["department"]["name"] for invoice in good} <= known
    work = [row for number in world.good for row in world.rows(number, "time")]
    own = {
        row["department"]["name"] != world.invoice(row["invoice"]["identifier"])["department"]["name"] for row in work
    }
    assert own == {True, False}


def test_copied_tables_carry_the_start_date(world: World, tmp_path: Path) -> None:
    """The shipped ones have none, since it moves."""
    copied = world.scenario.copy_tables(tmp_path / "tables")
    shipped = tomllib.loads((world.scenario.tables / "policy.toml").read_text(encoding="utf-8"))
    policy = tomllib.loads((copied / "policy.toml").read_text(encoding="utf-8"))
    assert policy == {"start_date": world.scenario.start_date, **shipped}
    for file in ("accounts.csv", "contacts.csv"):
        assert (copied / file).read_bytes() == (world.scenario.tables / file).read_bytes()


def test_every_cure_takes_its_cause_away(tmp_path: Path) -> None:
    """In the tables, in ConnectWise or in Xero."""
    world = World(DAYS[0])
    scenario = world.scenario
    tables = scenario.copy_tables(tmp_path)
    assert {cure.number for cure in scenario.cures} == set(scenario.expected)
    assert Counter(cure.where for cure in scenario.cures) == {"tables": 6, "connectwise": 3, "xero": 3}
    for cure in scenario.cures:
        assert cure.says.endswith(".")
        cure.apply(tables)
    assert rows_of(tables / "organisations.csv")[-1]["location"] == "Perth"
    assert rows_of(tables / "contacts.csv")[-1]["contact_name"] == "Lantern Street Dental Pty Ltd"
    tolls = [row for row in rows_of(tables / "accounts.csv") if row["category"] == "Tolls"]
    assert [(row["kind"], row["account_code"]) for row in tolls] == [("expense", "265")]
    assert rows_of(tables / "tracking.csv")[-1]["value"] == "Cyber Security"
    rate = rows_of(tables / "rates.csv")[-1]
    assert (rate["currency"], rate["base"]) == ("EUR", "AUD") and Decimal(rate["rate"]) > 0
    assert rate["date"] == world.told("euro")["date"][:10]
    export = [row["tax_type"] for row in rows_of(tables / "taxes.csv") if row["tax_code"] == "EXPORT"]
    assert export == ["EXEMPTEXPORT"]
    assert contacts_of(world, scenario.keys["no_contact"]) == ["ACTIVE"]
    assert contacts_of(world, scenario.keys["archived_contact"]) == ["ACTIVE"]
    assert world.books("Brightwater Auckland").lock_date is None
    assert world.told("rows_differ")["productTotal"] == Decimal("935.00")
    assert world.told("unreadable")["total"] == Decimal("184.00")
    assert world.told("number_taken")["invoiceNumber"].endswith("-A")


def test_what_is_edited_later_has_no_other_trouble(world: World) -> None:
    """Each edit is of an invoice that is posted as it is, and says what people did and how it ends."""
    edits = world.scenario.edits
    assert {edit.held for edit in edits} == {"", "paid_in_xero"}
    for edit in edits:
        assert edit.number in world.good and world.invoice(edit.number)["total"] > 0
        assert edit.says.endswith(".") and edit.ends.endswith(".")
        assert bool(edit.words) == bool(edit.held)


def test_what_was_ordered_has_not_come_yet_and_has_a_supplier_each(world: World) -> None:
    """All orders are open, after the start date and in the catalogue; one supplier alone is not found in Xero."""
    connectwise, sydney = world.connectwise, world.books("Brightwater Sydney")
    found: dict[str, list[str]] = {}
    for number, order in world.scenario.orders.items():
        header = connectwise.record("purchase_order", order)
        assert not header["closedFlag"] and header["poNumber"] == number
        assert date.fromisoformat(header["poDate"][:10]) > world.scenario.start_date
        for line in connectwise.rows("purchase_order_line", order):
            assert line["receivedStatus"] == "Waiting" and line["unitCost"] > 0 and line["tax"] > 0
        vendor = connectwise.record("company", header["vendorCompany"]["id"])
        bears = [one.name for one in sydney.contacts if one.account_number == vendor["vendorIdentifier"]]
        found.setdefault(vendor["name"], bears)
    assert sorted(map(len, found.values())) == [0, 1, 1]
    assert not sydney.bills()


def test_each_delivery_says_what_happens_and_how_it_ends(world: World) -> None:
    """Sentences, an outcome, and words for each that is held; two people sign."""
    scenario = world.scenario
    for delivery in [each for cycle in scenario.deliveries for each in cycle]:
        assert delivery.number in scenario.orders
        assert delivery.says.endswith(".") and delivery.told.endswith(".")
        assert bool(delivery.words) == delivery.ends.startswith("held")
    assert set(scenario.signers) == {"operator", "finance_lead"} and len(set(scenario.signers.values())) == 2
    assert sum(number.split(" / ")[0] == next(iter(scenario.orders)) for number in scenario.bills) == 3


def test_what_is_bought_later_is_not_there_before_and_touches_no_invoice() -> None:
    """Two orders share a supplier's invoice; of the others, an invoice of the story bills one on, and none the last."""
    world = World(DAYS[0])
    connectwise, scenario = world.connectwise, world.scenario
    purchases, invoices = scenario.purchases, copy.deepcopy(connectwise.tables["invoice"].records)
    assert not {one.number for one in purchases.values()} & {*scenario.orders}
    for one in purchases.values():
        assert one.says.endswith(".")
        one.act()
        header = connectwise.record("purchase_order", scenario.orders[one.number])
        lines = connectwise.rows("purchase_order_line", header["id"])
        assert {line["receivedStatus"] for line in lines} == {"FullyReceived"}
        assert (header["subTotal"], header["vendorInvoiceNumber"]) == (one.cost, one.vendor_invoice)
    first, second = purchases["shared_first"], purchases["shared_second"]
    assert first.vendor_invoice == second.vendor_invoice != purchases["sold_on"].vendor_invoice
    vendors = {
        connectwise.record("purchase_order", scenario.orders[one.number])["vendorCompany"]["identifier"]
        for one in (first, second)
    }
    assert vendors == {"NETWAVE"}
    bought = {
        key: [
            connectwise.record("product", product)
            for line in connectwise.rows("purchase_order_line", scenario.orders[one.number])
            for product, _quantity in connectwise.demands_of(line["id"])
        ]
        for key, one in purchases.items()
    }
    sold, never = purchases["sold_on"], purchases["never_charged"]
    assert {row["invoice"]["identifier"] for row in bought["sold_on"]} == {sold.invoice}
    assert sum(row["extPrice"] for row in bought["sold_on"]) == sold.revenue > sold.cost
    assert [("invoice" in row, row["company"]["identifier"]) for row in bought["never_charged"]] == [(False, "QUILL")]
    assert not never.invoice and not never.revenue
    assert not bought["shared_first"] and not bought["shared_second"]
    assert connectwise.tables["invoice"].records == invoices


def test_an_unknown_scenario_is_refused() -> None:
    """With the names that are known."""
    with pytest.raises(ValueError, match="msp"):
        load("other", SimulatedConnectWise(), SimulatedXero())


# --- bulk


def bulk(seed: int = 1) -> tuple[SimulatedConnectWise, SimulatedXero, Scenario]:
    connectwise, xero = SimulatedConnectWise(lambda: DAYS[0]), SimulatedXero(lambda: DAYS[0])
    return connectwise, xero, generate(connectwise, xero, invoices=200, rows=4, seed=seed)


def test_bulk_has_as_many_invoices_and_rows_as_asked_for() -> None:
    """All closed, dated on or after the start date, spread over two organisations."""
    connectwise, xero, scenario = bulk()
    assert len(scenario.invoices) == len(connectwise.tables["invoice"]) == 200
    for number in scenario.invoices.values():
        invoice = connectwise.record("invoice", number)
        assert invoice["status"]["isClosed"] and invoice["total"] > 0
        assert date.fromisoformat(invoice["date"][:10]) >= scenario.start_date
        assert sum(len(connectwise.rows(kind, number)) for kind in ("time", "product", "expense")) == 4
    assert set(xero.organisations) == set(scenario.organisations.values())


def test_bulk_is_mappable_throughout() -> None:
    """Each customer has one contact, each location a row; nothing is expected to be held."""
    connectwise, xero, scenario = bulk()
    routes = {row["location"]: row["organisation"] for row in rows_of(scenario.tables / "organisations.csv")}
    for number in scenario.invoices.values():
        invoice = connectwise.record("invoice", number)
        books = xero.organisations[scenario.organisations[routes[invoice["location"]["name"]]]]
        assert [one.account_number for one in books.contacts].count(invoice["accountNumber"]) == 1
    assert not scenario.expected and not scenario.troubles


def test_bulk_is_the_same_for_the_same_seed() -> None:
    """And another for another."""
    first, same, other = (bulk(seed)[0].tables["invoice"].records for seed in (1, 1, 2))
    assert first == same
    assert first != other
