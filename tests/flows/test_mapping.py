"""The client's tables and decisions, through whole cycles: what they make of invoices in Xero, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import OUTCOMES
from deployments.sandbox.xero import XeroSwitches
from tests.worlds import OTHER_TENANT, Seen, World

ONE_READ = ["GET /finance/invoices"]
ROWS = ["GET /expense/entries", "GET /procurement/products", "GET /time/entries"]
WRITTEN = ["GET /Organisation", "PUT /Invoices"]
ROUTES = "location,department,company,staff,tag,organisation\n"
ACCOUNTS = "organisation,side,kind,category,item,account_code,item_code\n"
TAXES = "organisation,side,tax_code,taxable,tax_type\n"
TRACKING = "organisation,side,source,value,tracking_category,option\n"
CONTACTS = "organisation,role,company,contact_id,account_number,contact_name\n"
RATES = "currency,base,date,rate\n"
START = "start_date = 2026-01-01\n[currency]\n"
HOUR: dict[str, Any] = {"invoiceHours": 1, "hourlyRate": 150}


def lines(world: World, number: str, organisation: str = "Sydney") -> list[dict[str, Any]]:
    """The lines of an invoice in Xero, without ids."""
    found: list[dict[str, Any]] = world.snapshot()[organisation]["ACCREC"][number][0]["lines"]
    return found


def tracked(world: World, number: str) -> list[dict[str, str]]:
    """The tracking of each line, by category."""
    return [dict(line["tracking"]) for line in lines(world, number)]


def proposed(world: World, file: str) -> str:
    """The line that the one cure of the open exceptions says to paste into a file."""
    fixes: set[str] = {each["fix"] for each in world.exceptions()}
    assert len(fixes) == 1
    return fixes.pop().removeprefix(f"Add to {file}: ")


def outcomes(world: World, **form: Any) -> dict[str, str]:
    """How each record ends in the next cycle."""
    return world.outcomes(world.later().cycle(**form))


@pytest.fixture
def tracking(world: World) -> World:
    """Xero tracks teams and regions; ConnectWise has two departments, two offices and two people."""
    for name in ("Service Desk", "Projects"):
        world.connectwise.add_department(name)
    world.connectwise.add_location("Hobart", id=13)
    world.connectwise.add_member("jane", "Jane", "Doe")
    world.connectwise.add_member("tom", "Tom", "Ray")
    world.books.add_tracking_category("Team", ["Support", "Delivery"])
    world.books.add_tracking_category("Region", ["Mainland", "Tasmania"])
    world.write(
        "tracking.csv",
        f"{TRACKING}"
        ",sales,department,Service Desk,team,support\n"
        ",sales,department,Projects,Team,Delivery\n"
        ",sales,location,Sydney,Region,Mainland\n"
        ",sales,location,Hobart,Region,Tasmania\n",
    )
    return world


@pytest.fixture
def shop(world: World) -> World:
    """A catalogue of three items, in two categories that accounts.csv tells apart, one by its subcategory."""
    for item, category, subcategory in (
        ("NB14", "Hardware", "Workstations"),
        ("SW24", "Hardware", "Network"),
        ("MAIL", "Cloud", "Licences"),
    ):
        world.connectwise.add_catalog_item(item, category=category, subcategory=subcategory, price=Decimal(100))
    world.write(
        "accounts.csv",
        f"{ACCOUNTS},sales,product,,,200,\n,sales,product,Hardware,,202,\n,sales,product,Network,,203,\n"
        ",sales,service,,,201,\n",
    )
    return world


def sell(world: World, number: str, *items: str) -> int:
    """An invoice over one piece of each item."""
    return world.add_invoice(number, time=(), products=[{"catalogItem": item} for item in items])


# Tracking


def test_a_lines_own_place_comes_before_the_headers(tracking: World) -> None:
    """By reference on time and products, by id on expenses; a flat amount has only the header's. Xero's spelling."""
    projects = {"department": "Projects", "location": "Hobart"}
    tracking.add_invoice(
        "40001",
        department="Service Desk",
        time=[HOUR, HOUR | projects],
        products=[{"price": 10}, {"price": 10, "businessUnit": "Projects"}],
        expenses=[{"amount": 5}, {"amount": 5, "businessUnitId": 2, "locationId": 13}],
        agreementAmount=400,
    )
    with tracking.watching() as seen:
        tracking.cycle()
    header = {"Team": "Support", "Region": "Mainland"}
    own = {"Team": "Delivery", "Region": "Tasmania"}
    assert tracked(tracking, "40001") == [header, own, header, own, header, {**header, "Team": "Delivery"}, header]
    assert seen.connectwise.count("GET /system/departments") == 1 == seen.connectwise.count("GET /system/locations")
    assert seen.xero.count("GET /TrackingCategories") == 1
    with tracking.later().watching() as seen:
        tracking.cycle()
    assert seen.idle


def test_a_blank_option_is_deliberately_none(tracking: World) -> None:
    """The department says that there is no team, so nobody asks the member of staff for one."""
    tracking.write(
        "tracking.csv",
        f"{TRACKING},sales,staff,,Team,\n,sales,department,,Team,Support\n,sales,location,,Region,Mainland\n",
    )
    tracking.add_invoice("40001", department="Service Desk", time=[HOUR | {"member": "jane"}])
    tracking.cycle()
    assert tracked(tracking, "40001") == [{"Region": "Mainland"}]


def test_what_a_line_is_and_who_did_it_come_before_where(tracking: World) -> None:
    """Category or work type, then staff, then department; the catalogue is read for it, and only for products."""
    tracking.connectwise.add_catalog_item("MAIL", category="Cloud", subcategory="Licences", price=Decimal(7))
    tracking.policy('[tracking]\nunmapped = "leave_out"')
    tracking.write("tracking.csv", TRACKING)
    for source, value, option in (
        ("category", "Cloud", "Delivery"), ("category", "Tolls", "Delivery"), ("work_type", "Project", "Delivery"),
        ("staff", "tom", "Delivery"), ("department", "", "Support"),
    ):  # fmt: skip
        tracking.paste("tracking.csv", f",sales,{source},{value},Team,{option}")
    tracking.add_invoice(
        "40001",
        department="Service Desk",
        time=[HOUR | {"workType": "Project", "member": "jane"}, HOUR | {"member": "tom"}, HOUR | {"member": "jane"}],
        expenses=[{"type": "Tolls", "amount": 5}, {"type": "Meals", "amount": 5}],
        products=[{"catalogItem": "MAIL"}, {"price": 3}],
    )
    with tracking.watching() as seen:
        tracking.cycle()
    teams = [line["Team"] for line in tracked(tracking, "40001")]
    assert teams == ["Delivery", "Delivery", "Support", "Delivery", "Support", "Delivery", "Support"]
    assert seen.connectwise.count("GET /procurement/catalog") == 1


def test_a_value_without_a_row_is_not_asked_for_where_an_earlier_source_has_settled_it(tracking: World) -> None:
    """Jane has no row, but what she did has; for other work of hers somebody has to say."""
    tracking.write("tracking.csv", f"{TRACKING},sales,work_type,Project,Team,Delivery\n,sales,staff,tom,Team,Support\n")
    tracking.policy('[tracking]\nunmapped = {work_type = "leave_out"}')
    tracking.add_invoice("40001", time=[HOUR | {"workType": "Project", "member": "jane"}])
    tracking.add_invoice("40002", time=[HOUR | {"workType": "Support", "member": "jane"}])
    assert tracking.outcomes(tracking.cycle()) == {"40001": "posted", "40002": "held: missing_tracking"}
    assert tracked(tracking, "40001") == [{"Team": "Delivery"}]
    assert proposed(tracking, "tracking.csv").startswith("Sydney,sales,staff,jane,")


def test_a_value_without_a_row_holds_and_the_pasted_line_lands_exactly_those_invoices(tracking: World) -> None:
    """What is told is one line to paste; while it is not, cycles are idle; then nothing but the write is called."""
    tracking.connectwise.add_department("Cabling")
    tracking.add_invoice("40001", department="Projects")
    tracking.add_invoice("40002", department="Cabling")
    tracking.add_invoice("40003", department="Projects", time=[HOUR, HOUR | {"department": "Cabling"}])
    held = {"40001": "posted", "40002": "held: missing_tracking", "40003": "held: missing_tracking"}
    assert tracking.outcomes(tracking.cycle()) == held
    with tracking.later().watching() as seen:
        tracking.cycle()
    assert seen.idle
    line = proposed(tracking, "tracking.csv")
    assert line == 'Sydney,sales,department,Cabling,<tracking_category>,"<option, or blank for none>"'
    filled = line.replace("<tracking_category>", "Team").replace('"<option, or blank for none>"', "Delivery")
    tracking.paste("tracking.csv", filled)
    before = tracking.invoices()["40001"]
    with tracking.later().watching() as seen:
        assert tracking.outcomes(tracking.cycle()) == {"40001": "unchanged", "40002": "posted", "40003": "posted"}
    assert seen.connectwise == ONE_READ and seen.xero == WRITTEN
    assert tracked(tracking, "40002") == [{"Team": "Delivery", "Region": "Mainland"}]
    assert tracking.invoices()["40001"] == before and tracking.exceptions() == []


@pytest.mark.parametrize("policy", ['unmapped = "leave_out"', 'unmapped = {department = "leave_out"}'])
def test_a_value_without_a_row_may_be_left_out(tracking: World, policy: str) -> None:
    """By policy for all sources or for one; the other source still counts."""
    tracking.policy(f"[tracking]\n{policy}")
    tracking.connectwise.add_department("Cabling")
    tracking.add_invoice("40001", department="Cabling")
    assert tracking.outcomes(tracking.cycle()) == {"40001": "posted"}
    assert tracked(tracking, "40001") == [{"Region": "Mainland"}]


def test_a_source_is_in_use_in_those_organisations_alone_that_its_rows_name(both: World) -> None:
    """Sydney tracks by location; nobody asks Perth, which has no tracking category at all."""
    both.books.add_tracking_category("Region", ["East"])
    both.write("tracking.csv", f"{TRACKING}Sydney,sales,location,Sydney,Region,East\n")
    both.add_invoice("40001")
    both.add_invoice("40002", location="Perth")
    assert both.outcomes(both.cycle()) == {"40001": "posted", "40002": "posted"}
    assert tracked(both, "40001") == [{"Region": "East"}]
    assert lines(both, "40002", "Perth")[0]["tracking"] == []


def test_an_archived_option_holds_until_it_is_restored(tracking: World) -> None:
    """Each cycle asks Xero for its tracking categories and for nothing else."""
    tracking.books.archive_option("Team", "Delivery")
    tracking.add_invoice("40001", department="Projects")
    tracking.add_invoice("40002", department="Service Desk")
    assert tracking.outcomes(tracking.cycle()) == {"40001": "held: missing_tracking", "40002": "posted"}
    assert "which Sydney has archived" in tracking.exceptions()[0]["message"]
    with tracking.later().watching() as seen:
        tracking.cycle()
    assert seen.connectwise == ONE_READ and seen.xero == ["GET /TrackingCategories"]
    tracking.books.restore_option("Team", "Delivery")
    with tracking.later().watching() as seen:
        assert tracking.outcomes(tracking.cycle()) == {"40001": "posted", "40002": "unchanged"}
    assert seen.xero == ["GET /TrackingCategories", *WRITTEN]
    assert tracked(tracking, "40001") == [{"Team": "Delivery", "Region": "Mainland"}]


def test_an_option_archived_since_the_lists_were_read_is_told_by_its_row(tracking: World) -> None:
    """Xero refuses the line; the lists are read anew and tell why."""
    tracking.add_invoice("40001", department="Projects")
    tracking.cycle()
    tracking.books.archive_option("Team", "Delivery")
    tracking.add_invoice("40002", department="Projects")
    assert outcomes(tracking)["40002"] == "rejected: refused_by_xero"
    assert outcomes(tracking)["40002"] == "held: missing_tracking"
    assert "tracking.csv row 3" in tracking.exceptions()[0]["message"]


@pytest.mark.parametrize("cured", [True, False])
def test_an_option_that_xero_leaves_out_without_a_word_is_told_until_somebody_sets_it(
    tracking: World, cured: bool
) -> None:
    """The total is right, and still something is missing: posted, and an exception that stays."""
    tracking.xero.switches = XeroSwitches(unknown_tracking="ignore")
    tracking.add_invoice("40001", department="Projects")
    tracking.cycle()
    tracking.books.archive_option("Team", "Delivery")
    tracking.add_invoice("40002", department="Projects")
    assert outcomes(tracking)["40002"] == "posted: missing_tracking"
    assert "Xero left out tracking: Team/Delivery" in tracking.exceptions()[0]["message"]
    assert outcomes(tracking)["40002"] == "unchanged: missing_tracking"
    if cured:
        tracking.books.restore_option("Team", "Delivery")
        invoice = tracking.invoices()["40002"]
        lines = [{**line, "Tracking": [{"Name": "Team", "Option": "Delivery"}]} for line in invoice["LineItems"]]
        tracking.books.edit(invoice["InvoiceID"], LineItems=lines)
    tracking.later().cycle()
    assert bool(tracking.exceptions()) is not cured


# Categories of products


def test_the_catalogue_chooses_accounts_with_one_read_that_is_kept_for_a_day(shop: World) -> None:
    """Subcategory before category before none; a new item is one more read, and after a day all are read anew."""
    sell(shop, "40001", "NB14", "SW24", "MAIL")
    sell(shop, "40002", "SW24", "NB14")
    with shop.watching() as seen:
        shop.cycle()
    assert [line["account"] for line in lines(shop, "40001")] == ["202", "203", "200"]
    assert [line["account"] for line in lines(shop, "40002")] == ["203", "202"]
    assert seen.connectwise.count("GET /procurement/catalog") == 1
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen.idle
    sell(shop, "40003", "NB14")
    with shop.later().watching() as seen:
        shop.cycle()
    assert "GET /procurement/catalog" not in seen.connectwise and seen.xero == WRITTEN
    shop.connectwise.add_catalog_item("DOCK", category="Hardware", subcategory="Peripherals", price=Decimal(50))
    sell(shop, "40004", "DOCK", "NB14")
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen.connectwise.count("GET /procurement/catalog") == 1
    assert [line["account"] for line in lines(shop, "40004")] == ["202", "202"]
    shop.connectwise.edit_catalog_item("NB14", category="Cloud")
    sell(shop, "40005", "NB14", "DOCK")
    with shop.later(days=1).watching() as seen:
        shop.cycle()
    assert seen.connectwise.count("GET /procurement/catalog") == 1
    assert [line["account"] for line in lines(shop, "40005")] == ["200", "202"]
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen.idle


def test_a_list_that_no_row_asks_for_is_not_read(shop: World) -> None:
    """Neither the catalogue where rows name single items, nor what Xero keeps for tracking, items and currencies."""
    shop.write("accounts.csv", f"{ACCOUNTS},sales,product,,,200,\n,sales,product,,NB14,202,\n")
    sell(shop, "40001", "NB14", "SW24")
    with shop.watching() as seen:
        shop.cycle()
    assert [line["account"] for line in lines(shop, "40001")] == ["202", "200"]
    assert sorted(seen.connectwise) == sorted([*ONE_READ, *ROWS, "GET /finance/taxCodes"])
    assert not {"GET /TrackingCategories", "GET /Items", "GET /Currencies"} & set(seen.xero)


def test_a_held_invoice_over_catalogued_products_costs_no_read(shop: World) -> None:
    """Its items are known from its first cycle on."""
    shop.write("accounts.csv", f"{ACCOUNTS},sales,product,Hardware,,202,\n")
    sell(shop, "40001", "NB14", "MAIL")
    assert shop.outcomes(shop.cycle()) == {"40001": "held: missing_account"}
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen.idle
    line = proposed(shop, "accounts.csv")
    assert line == "Sydney,sales,product,Licences,MAIL,<account_code>,"
    shop.paste("accounts.csv", line.replace("<account_code>", "205"))
    shop.books.add_account("205", "Cloud", "REVENUE")
    assert outcomes(shop) == {"40001": "posted"}
    assert [line["account"] for line in lines(shop, "40001")] == ["202", "205"]


def test_the_type_of_an_agreement_chooses_the_account_of_its_amount(world: World) -> None:
    """Read once for all of its invoices."""
    managed = world.connectwise.add_agreement("Acme - Managed", "Managed Services", "ACME")
    backup = world.connectwise.add_agreement("Acme - Backup", "Backup", "ACME")
    world.write(
        "accounts.csv", f"{ACCOUNTS},sales,agreement,,,200,\n,sales,agreement,managed services,,203,\n,sales,,,,201,\n"
    )
    for number, agreement in (("40001", managed), ("40002", backup), ("40003", managed)):
        world.add_invoice(number, type="Agreement", agreement=agreement, agreementAmount=900, time=())
    with world.watching() as seen:
        world.cycle()
    accounts = {number: lines(world, number)[0]["account"] for number in world.invoices()}
    assert accounts == {"40001": "203", "40002": "200", "40003": "203"}
    assert seen.connectwise.count("GET /finance/agreements") == 1


# Items


def test_an_item_that_xero_lacks_holds_until_it_is_there(shop: World) -> None:
    """Each cycle asks for the items alone; the line is sent with item and account."""
    shop.write("accounts.csv", f"{ACCOUNTS},sales,product,,,200,\n,sales,product,,NB14,,NB-14\n")
    sell(shop, "40001", "NB14", "SW24")
    sell(shop, "40002", "SW24")
    assert shop.outcomes(shop.cycle()) == {"40001": "held: missing_item", "40002": "posted"}
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen.connectwise == ONE_READ and seen.xero == ["GET /Items"]
    shop.books.add_item("NB-14", "Notebook", sales_price="999", sales_account="202")
    with shop.later().watching() as seen:
        assert shop.outcomes(shop.cycle()) == {"40001": "posted", "40002": "unchanged"}
    assert seen.xero == ["GET /Items", *WRITTEN]
    sold, other = lines(shop, "40001")
    assert (sold["item"], sold["account"], sold["unit_amount"]) == ("NB-14", "202", "100")
    assert (other["item"], other["account"]) == (None, "200")


# Exchange rates


@pytest.fixture
def abroad(world: World) -> World:
    """Sydney keeps its books in AUD, Auckland in NZD; both take USD, and neither taxes what is sold abroad."""
    world.connectwise.add_location("Auckland", id=14)
    for code in ("AUD", "NZD", "USD"):
        world.connectwise.add_currency(code)
    books = world.add_organisation(
        "Auckland", OTHER_TENANT, country="NZ", base_currency="NZD", currencies=("NZD", "AUD", "USD")
    )
    books.add_contact("Acme Pty Ltd", account_number="ACME01")
    world.books.add_currency("USD")
    world.write("organisations.csv", f"{ROUTES}Sydney,,,,,Sydney\nAuckland,,,,,Auckland\n")
    world.write("taxes.csv", f"{TAXES}Sydney,sales,,no,EXEMPTOUTPUT\nAuckland,sales,,no,ZERORATED\n")
    world.policy('[currency]\nsource = "rates_table"')
    return world


def bill(world: World, number: str, place: str, currency: str, **fields: Any) -> int:
    """An untaxed invoice of an office in some currency."""
    return world.add_invoice(number, location=place, currency=currency, taxCode=None, taxableFlag=False, **fields)


def rate(world: World, number: str, organisation: str = "Sydney") -> Decimal:
    """The rate of an invoice in Xero: its currency per 1 of the organisation's own."""
    return Decimal(str(world.invoices(organisation)[number]["CurrencyRate"]))


def test_each_organisation_has_the_rate_of_its_own_base_currency(abroad: World) -> None:
    """The latest that is not after the invoice's date; one in the base currency needs none."""
    abroad.write(
        "rates.csv",
        f"{RATES}USD,AUD,2026-02-01,0.61\nUSD,AUD,2026-03-02,0.65\nUSD,AUD,2026-03-03,0.99\n"
        "USD,NZD,2026-03-01,0.595\nAUD,NZD,2026-02-20,0.92\n",
    )
    bill(abroad, "40001", "Sydney", "USD")
    bill(abroad, "40002", "Sydney", "USD", date=date(2026, 2, 28))
    bill(abroad, "40003", "Sydney", "AUD")
    bill(abroad, "40004", "Auckland", "USD")
    bill(abroad, "40005", "Auckland", "AUD")
    bill(abroad, "40006", "Auckland", "NZD")
    abroad.cycle()
    rates = [rate(abroad, number) for number in ("40001", "40002", "40003")]
    rates += [rate(abroad, number, "Auckland") for number in ("40004", "40005", "40006")]
    assert rates == [Decimal(each) for each in ("0.65", "0.61", "1", "0.595", "0.92", "1")]
    used = {row["reference"]: row["rows_used"].splitlines() for row in abroad.rows(OUTCOMES)}
    assert "rates.csv row 3: USD,AUD,2026-03-02,0.65" in used["40001"]
    assert "rate 0.65: rates.csv row 3 of 2026-03-02" in used["40001"]
    assert not any("rate" in row for row in used["40003"])


@pytest.mark.parametrize(("known", "words"), [("", "there is none"), ("USD,AUD,2026-01-29,0.6\n", "more than 31 days")])
def test_a_rate_that_is_missing_or_too_old_holds_until_its_line_is_pasted(
    abroad: World, known: str, words: str
) -> None:
    """Thirty-one days at most, by default; the line lacks nothing but the figure."""
    abroad.write("rates.csv", f"{RATES}{known}")
    bill(abroad, "40001", "Sydney", "USD")
    bill(abroad, "40002", "Sydney", "AUD")
    assert abroad.outcomes(abroad.cycle()) == {"40001": "held: missing_rate", "40002": "posted"}
    told = abroad.exceptions()[0]
    assert words in told["message"]
    assert told["fix"] == "Add to rates.csv: USD,AUD,2026-03-02,<USD per 1 AUD>"
    with abroad.later().watching() as seen:
        abroad.cycle()
    assert seen.idle
    abroad.paste("rates.csv", "USD,AUD,2026-03-02,0.6543")
    with abroad.later().watching() as seen:
        assert abroad.outcomes(abroad.cycle()) == {"40001": "posted", "40002": "unchanged"}
    assert seen.connectwise == ONE_READ and seen.xero == WRITTEN
    assert rate(abroad, "40001") == Decimal("0.6543")


def test_every_missing_row_is_told_at_once_and_all_of_them_are_needed(abroad: World) -> None:
    """Two causes, one line to paste for each; one of them alone frees nothing, and costs nothing."""
    abroad.books.add_tracking_category("Team", ["Support"])
    abroad.write("tracking.csv", f"{TRACKING},sales,location,Perth,Team,Support\n")
    abroad.write("rates.csv", RATES)
    bill(abroad, "40001", "Sydney", "USD")
    assert abroad.outcomes(abroad.cycle())["40001"].startswith("held: missing_")
    rate_line, tracking_line = abroad.exceptions()[0]["fix"].splitlines()
    assert rate_line.startswith("Add to rates.csv: USD,AUD,2026-03-02,")
    assert tracking_line.startswith("Add to tracking.csv: Sydney,sales,location,Sydney,")
    abroad.paste("rates.csv", "USD,AUD,2026-03-02,0.65")
    with abroad.later().watching() as seen:
        assert abroad.outcomes(abroad.cycle()) == {"40001": "held: missing_tracking"}
    assert seen.idle
    abroad.paste("tracking.csv", "Sydney,sales,location,Sydney,Team,Support")
    assert outcomes(abroad) == {"40001": "posted"}


def test_xeros_own_rate_is_taken_only_where_policy_says_so_and_the_record_says_that(abroad: World) -> None:
    """No rate is sent, and what Xero made of it is Xero's."""
    abroad.policy('[currency]\nsource = "xero_day_rate"')
    abroad.books.set_day_rate("USD", "0.6777")
    bill(abroad, "40001", "Sydney", "USD")
    abroad.cycle()
    assert rate(abroad, "40001") == Decimal("0.6777")
    assert "Xero's rate of the day" in abroad.rows(OUTCOMES)[0]["rows_used"]


def custom(value: Any, caption: str = "Exchange Rate") -> list[dict[str, Any]]:
    """A custom field of ConnectWise."""
    return [{"id": 3, "caption": caption, "type": "Number", "entryMethod": "EntryField", "value": value}]


@pytest.mark.parametrize(
    ("meaning", "own", "companys"), [("foreign_per_base", "0.64", "0.8"), ("base_per_foreign", "1.5625", "1.25")]
)
def test_a_custom_field_gives_the_rate_of_the_invoice_or_of_its_company(
    abroad: World, meaning: str, own: str, companys: str
) -> None:
    """The invoice's own first. Companies are read once, and only for invoices whose own field is empty."""
    abroad.policy(f'[currency]\nsource = "custom_field"\nmeaning = "{meaning}"')
    abroad.connectwise.edit_company("ACME", customFields=custom("0.8"))
    bill(abroad, "40001", "Sydney", "USD", customFields=custom(Decimal("0.64")))
    with abroad.watching() as seen:
        abroad.cycle()
    assert "GET /company/companies" not in seen.connectwise
    bill(abroad, "40002", "Sydney", "USD", customFields=custom(None))
    bill(abroad, "40003", "Auckland", "USD")
    with abroad.later().watching() as seen:
        abroad.cycle()
    assert seen.connectwise.count("GET /company/companies") == 1
    assert (rate(abroad, "40001"), rate(abroad, "40002")) == (Decimal(own), Decimal(companys))
    assert rate(abroad, "40003", "Auckland") == Decimal(companys)


@pytest.mark.parametrize("value", [None, "", "n/a", 0, "-1"])
def test_a_custom_field_that_says_no_rate_holds(abroad: World, value: Any) -> None:
    """Empty or nonsense alike, until somebody fills it."""
    abroad.policy('[currency]\nsource = "custom_field"')
    number = bill(abroad, "40001", "Sydney", "USD", customFields=custom(value))
    assert abroad.outcomes(abroad.cycle()) == {"40001": "held: missing_rate"}
    with abroad.later().watching() as seen:
        abroad.cycle()
    assert seen.idle
    abroad.later().connectwise.edit_invoice(number, customFields=custom("0.7"))
    assert abroad.outcomes(abroad.cycle()) == {"40001": "posted"}
    assert rate(abroad, "40001") == Decimal("0.7")


# Routing by staff


@pytest.fixture
def staffed(both: World) -> World:
    """Jane works for Sydney, Tom for Perth; what is nobody's goes to Sydney."""
    both.connectwise.add_member("jane", "Jane", "Doe")
    both.connectwise.add_member("tom", "Tom", "Ray")
    both.write("organisations.csv", f"{ROUTES},,,jane,,Sydney\n,,,Tom Ray,,Perth\n,,,(none),,Sydney\n")
    return both


def where(world: World) -> dict[str, list[str]]:
    """The numbers in each organisation."""
    return {name: list(world.invoices(name)) for name in ("Sydney", "Perth")}


def by(*members: str) -> list[dict[str, Any]]:
    """An hour of each of these people, in the order in which they entered it."""
    return [HOUR | {"member": member} for member in members]


def test_the_first_time_entry_says_whose_invoice_it_is(staffed: World) -> None:
    """The one with the lowest id; without time it is nobody's."""
    staffed.add_invoice("40001", time=by("tom", "jane"))
    staffed.add_invoice("40002", time=by("jane", "tom"))
    staffed.add_invoice("40003", time=(), products=[{"price": 9}])
    staffed.cycle()
    assert where(staffed) == {"Sydney": ["40002", "40003"], "Perth": ["40001"]}


def test_all_time_entries_have_to_agree_where_policy_says_so(staffed: World) -> None:
    """They may be of different people of one organisation; else the invoice is held, and both rows are named."""
    staffed.policy('[routing]\nstaff = "all_time_entries"')
    staffed.connectwise.add_member("una", "Una", "Lee")
    staffed.paste("organisations.csv", ",,,una,,Perth")
    staffed.add_invoice("40001", time=by("tom", "una", "tom"))
    staffed.add_invoice("40002", time=by("tom", "jane"))
    assert staffed.outcomes(staffed.cycle()) == {"40001": "posted", "40002": "held: ambiguous_mapping"}
    assert where(staffed) == {"Sydney": [], "Perth": ["40001"]}
    message = staffed.exceptions()[0]["message"]
    assert "organisations.csv row 3 says Perth" in message and "organisations.csv row 2 says Sydney" in message
    staffed.policy("")
    assert outcomes(staffed) == {"40001": "unchanged", "40002": "posted"}
    assert where(staffed) == {"Sydney": [], "Perth": ["40001", "40002"]}


def test_the_sales_rep_is_the_one_of_the_sales_order(staffed: World) -> None:
    """Whoever worked on it; orders are read in one call and kept. Without an order, or a rep, it is nobody's."""
    staffed.policy('[routing]\nstaff = "sales_rep"')
    tom = staffed.connectwise.add_sales_order("ACME", "tom")
    jane = staffed.connectwise.add_sales_order("ACME", "jane")
    house = staffed.connectwise.add_sales_order("ACME")
    for number, order in (("40001", tom), ("40002", jane), ("40003", house), ("40004", None), ("40005", tom)):
        staffed.add_invoice(number, time=by("jane"), salesOrder=order)
    with staffed.watching() as seen:
        staffed.cycle()
    assert where(staffed) == {"Sydney": ["40002", "40003", "40004"], "Perth": ["40001", "40005"]}
    assert seen.connectwise.count("GET /sales/orders") == 1
    staffed.add_invoice("40006", salesOrder=tom)
    with staffed.later().watching() as seen:
        staffed.cycle()
    assert "GET /sales/orders" not in seen.connectwise and "40006" in where(staffed)["Perth"]


# What ConnectWise does not show


HIDDEN: dict[str, tuple[int, dict[str, Any], str, str]] = {
    "catalog_item": (1, {"products": [{"catalogItem": "NB14"}]}, "missing_account", "/procurement/catalog"),
    "agreement": (61, {"agreement": 61, "agreementAmount": 900}, "missing_account", "/finance/agreements"),
    "sales_order": (801, {"salesOrder": 801}, "missing_organisation", "/sales/orders"),
    "department": (
        1, {"expenses": [{"amount": 5, "businessUnitId": 1}]}, "missing_tracking", "/system/departments",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_connectwise_does_not_show_is_not_taken_for_nothing(shop: World, kind: str) -> None:
    """Though there are rows for no category, no seller and no department. Each cycle asks for just that."""
    shop.connectwise.add_member("tom", "Tom", "Ray")
    shop.connectwise.add_department("Projects")
    shop.connectwise.add_agreement("Managed", "Managed Services", "ACME")
    shop.connectwise.add_sales_order("ACME", "tom")
    shop.books.add_tracking_category("Team", ["Delivery"])
    shop.policy('[routing]\nstaff = "sales_rep"')
    shop.write("organisations.csv", f"{ROUTES},,,(none),,Sydney\n,,,tom,,Sydney\n")
    for line in (",sales,agreement,,,200,", ",sales,agreement,Managed Services,,203,", ",sales,expense,,,201,"):
        shop.paste("accounts.csv", line)
    shop.write("tracking.csv", f"{TRACKING},sales,department,(none),Team,\n,sales,department,Projects,Team,Delivery\n")
    number, fields, reason, path = HIDDEN[kind]
    shop.add_invoice("40001", **{"time": (), **fields})
    hidden = shop.connectwise.tables[kind].remove(number)
    assert shop.outcomes(shop.cycle()) == {"40001": f"held: {reason}"}
    with shop.later().watching() as seen:
        shop.cycle()
    assert seen == Seen(["GET /finance/invoices", f"GET {path}"])
    shop.connectwise.tables[kind].add(hidden)
    assert shop.outcomes(shop.later().cycle()) == {"40001": "posted"}


# Corrected tables


CORRECTED = {
    "organisations.csv": (f"{ROUTES}Sidney,,,,,Sydney\n", "missing_organisation", f"{ROUTES}Sydney,,,,,Sydney\n"),
    "accounts.csv": (f"{ACCOUNTS},sales,service,,,,\n", "missing_account", f"{ACCOUNTS},sales,service,,,201,\n"),
    "taxes.csv": (f"{TAXES},sales,GST,yes,EXEMPTOUTPUT\n", "tax_differs", f"{TAXES},sales,GST,yes,OUTPUT\n"),
    "tracking.csv": (
        f"{TRACKING},sales,location,Perth,Team,Support\n",
        "missing_tracking",
        f"{TRACKING},sales,location,Sydney,Team,Support\n",
    ),
    "contacts.csv": (f"{CONTACTS},,ACME,,,\n", "missing_contact", f"{CONTACTS},,ACME,,,Acme Pty Ltd\n"),
    "rates.csv": (f"{RATES}NZD,AUD,2026-03-09,1.08\n", "missing_rate", f"{RATES}NZD,AUD,2026-02-09,1.08\n"),
    "policy.toml": (f"{START}source = 'none'\n", "missing_rate", f"{START}source = 'rates_table'\n"),
}


@pytest.mark.parametrize("file", CORRECTED)
def test_a_corrected_row_counts_in_the_next_cycle_and_leaves_what_is_posted_alone(world: World, file: str) -> None:
    """In whatever file: no restart, no read of the record, nothing from Xero but what a write needs."""
    wrong, reason, right = CORRECTED[file]
    world.books.add_tracking_category("Team", ["Support"])
    world.books.add_currency("NZD")
    world.connectwise.add_currency("NZD")
    foreign = file in ("rates.csv", "policy.toml")
    if foreign:
        world.write("rates.csv", f"{RATES}NZD,AUD,2026-02-09,1.08\n")
        world.policy('[currency]\nsource = "rates_table"')
    world.add_invoice("40000", currency="NZD" if foreign else None)
    assert world.outcomes(world.cycle()) == {"40000": "posted"}
    world.write(file, wrong)
    world.add_invoice("40001", currency="NZD" if foreign else None)
    assert outcomes(world) == {"40000": "unchanged", "40001": f"held: {reason}"}
    world.write(file, right)
    with world.later().watching() as seen:
        assert world.outcomes(world.cycle())["40001"] == "posted"
    assert seen.connectwise == ONE_READ
    assert seen.xero == WRITTEN
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_a_corrected_row_changes_no_posted_invoice(tracking: World) -> None:
    """Only what is held is mapped anew; the books keep what a person may have relied on."""
    tracking.add_invoice("40001", department="Projects")
    tracking.cycle()
    before = tracking.snapshot()
    table = (tracking.tables / "tracking.csv").read_text()
    tracking.write("tracking.csv", table.replace("Team,Delivery", "Team,Support"))
    with tracking.later().watching() as seen:
        tracking.cycle()
    assert seen.idle and tracking.snapshot() == before


def test_the_rows_that_a_record_used_are_kept_with_its_outcome(tracking: World) -> None:
    """As they read then: each once, though two lines used it, whatever the file says later."""
    tracking.write("contacts.csv", f"{CONTACTS},,ACME,,,Acme Pty Ltd\n")
    tracking.add_invoice("40001", department="Projects", time=[HOUR, HOUR])
    tracking.cycle()
    tracking.write("tracking.csv", TRACKING)
    kept = [row["rows_used"].splitlines() for row in tracking.rows(OUTCOMES)]
    assert kept == [
        [
            "organisations.csv row 2: Sydney,,,,,Sydney",
            "contacts.csv row 2: ,,ACME,,,Acme Pty Ltd",
            "accounts.csv row 3: ,sales,service,,,200,",
            "taxes.csv row 2: ,sales,,yes,OUTPUT",
            "tracking.csv row 3: ,sales,department,Projects,Team,Delivery",
            "tracking.csv row 4: ,sales,location,Sydney,Region,Mainland",
        ]
    ]


# Companies that were merged


@pytest.mark.parametrize("gone", ["merged", "deleted"])
def test_a_payer_that_is_gone_holds_until_the_invoice_names_another(world: World, gone: str) -> None:
    """An invoice that still names the company that is gone; the one that took its place is a person's to choose."""
    world.add_customer("HEAD", "Head Office", "HEAD01")
    world.add_customer("GROUP", "Group", "GROUP01")
    number = world.add_invoice("40001", billToCompany="HEAD")
    if gone == "merged":
        world.connectwise.merge_company("HEAD", "GROUP", follow=())
    else:
        world.connectwise.delete_company("HEAD")
    assert world.outcomes(world.cycle()) == {"40001": "held: company_merged"}
    assert "Head Office" in world.exceptions()[0]["message"]
    with world.later().watching() as seen:
        world.cycle()
    assert seen == Seen(["GET /finance/invoices", "GET /company/companies"])
    world.later().connectwise.edit_invoice(number, billToCompany="GROUP")
    assert world.outcomes(world.cycle()) == {"40001": "posted"}
    assert world.invoices()["40001"]["Contact"]["Name"] == "Group"


@pytest.mark.parametrize("bumps", [True, False])
def test_an_invoice_that_followed_its_company_into_another_goes_to_the_others_contact(
    world: World, bumps: bool
) -> None:
    """Held for want of a contact before, and found by the survivor's number, whether or not ConnectWise says so."""
    world.connectwise.switches = replace(world.connectwise.switches, merge_bumps_records=bumps)
    world.connectwise.add_company("OLD", "Old Name", account_number="OLD01")
    world.add_invoice("40001", company="OLD")
    assert world.outcomes(world.cycle()) == {"40001": "held: missing_contact"}
    world.later().add_invoice("40000")
    world.cycle()
    world.later().connectwise.merge_company("OLD", "ACME")
    told = world.outcomes(world.cycle())["40001"]
    assert told == ("posted" if bumps else "held: missing_contact")
    assert outcomes(world, references=["40001"]) == {"40001": "unchanged" if bumps else "posted"}
    assert world.invoices()["40001"]["Contact"]["Name"] == "Acme Pty Ltd"
