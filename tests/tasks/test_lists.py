"""Reference lists: read when needed, kept for a day, renewed at most once a cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import pytest

from blocks.audit.tables import KEPT_LISTS
from blocks.doors import Doors
from blocks.failures import Unreachable
from mappings.connectwise import Company
from mappings.outcomes import XeroList
from mappings.related import Wanted
from tasks.lists import Lists
from tests.worlds import World, answers

EVERYTHING = ["GET /Organisation", "GET /Accounts", "GET /TaxRates", "GET /Contacts"]


@pytest.fixture
def world(tmp_path: object) -> World:
    return World(tmp_path).ready()  # type: ignore[arg-type]


@pytest.fixture
def doors(world: World) -> Iterator[Doors]:
    opened = world.doors()
    yield opened
    opened.audit.close()


def companies(lists: Lists, ids: list[int]) -> Mapping[int, Company]:
    return lists.related(Wanted(companies=set(ids))).companies


def read(world: World, lists: Lists) -> list[str]:
    """What it costs to have the books."""
    with world.watching() as seen:
        lists.books(["Sydney"])
    return seen.xero


def test_the_books_are_read_once_and_kept_for_a_day(world: World, doors: Doors) -> None:
    lists = Lists(doors)
    assert read(world, lists) == EVERYTHING
    assert read(world, lists) == []
    assert read(world.later(hours=23), Lists(doors)) == []
    assert read(world.later(hours=1), Lists(doors)) == EVERYTHING


def test_after_a_refusal_they_are_read_anew(world: World, doors: Doors) -> None:
    lists = Lists(doors)
    read(world, lists)
    lists.expire("Sydney")
    assert read(world, lists) == []
    assert read(world, Lists(doors)) == EVERYTHING


def test_a_list_is_renewed_once_a_cycle_and_says_whether_it_changed(world: World, doors: Doors) -> None:
    read(world, Lists(doors))
    lists = Lists(doors)
    before = lists.books(["Sydney"])["Sydney"].digest
    assert lists.renew("Sydney", [XeroList.ACCOUNTS]) is False
    world.books.archive_account("200")
    assert lists.renew("Sydney", [XeroList.ACCOUNTS]) is False, "once a cycle"
    lists = Lists(doors)
    lists.books(["Sydney"])
    assert lists.renew("Sydney", [XeroList.ACCOUNTS]) is True
    after = lists.books(())["Sydney"]
    assert after.digest != before and after.accounts["200"].status == "ARCHIVED"


def test_what_was_renewed_counts_even_when_the_next_list_cannot_be_had(world: World, doors: Doors) -> None:
    lists = Lists(doors)
    read(world, lists)
    lists = Lists(doors)
    lists.books(["Sydney"])
    world.books.archive_account("200")
    world.xero_fails("GET", "/TaxRates", *[answers(503)] * 4)
    with pytest.raises(Unreachable):
        lists.renew("Sydney", [XeroList.ACCOUNTS, XeroList.TAX_RATES])
    assert lists.books(())["Sydney"].accounts["200"].status == "ARCHIVED"


def test_of_contacts_only_the_changed_ones_are_asked_for(world: World, doors: Doors) -> None:
    read(world, Lists(doors))
    world.later().books.add_contact("Newcomer", account_number="NEW01")
    lists = Lists(doors)
    lists.books(["Sydney"])
    assert lists.renew("Sydney", [XeroList.CONTACTS]) is True
    contacts = lists.books(())["Sydney"].contacts
    assert contacts.by_number["new01"][0].name == "Newcomer" and "acme01" in contacts.by_number
    # What moves with every document is not kept, so it is no change.
    world.add_invoice("40001")
    lists = Lists(doors)
    lists.books(["Sydney"])
    assert lists.renew("Sydney", [XeroList.CONTACTS]) is False


def test_companies_are_read_once_a_day_and_those_that_are_gone_once_a_cycle(world: World, doors: Doors) -> None:
    head = world.connectwise.add_company("HEAD", "Head Office", account_number="H1")
    branch = world.connectwise.add_company("BRANCH", "Branch", account_number="B1")
    with world.watching() as seen:
        assert companies(Lists(doors), [head, 999])[head].account_number == "H1"
    assert seen.connectwise == ["GET /company/companies"]
    lists = Lists(doors)
    with world.later().watching() as seen:
        assert list(companies(lists, [head, 999])) == [head]
        assert list(companies(lists, [head, 999])) == [head]
        assert list(companies(lists, [branch])) == [branch]
        assert list(companies(lists, [head, branch])) == [head, branch]
    # 999 once more (it may have been restored), then the one that was never read.
    assert seen.connectwise == ["GET /company/companies"] * 2
    world.connectwise.edit_company(head, accountNumber="H2")
    assert companies(Lists(doors), [head])[head].account_number == "H1"
    world.later(hours=18)
    assert companies(Lists(doors), [head])[head].account_number == "H2"


def test_tax_codes_are_read_once_a_day(world: World, doors: Doors) -> None:
    with world.watching() as seen:
        Lists(doors).tax_codes()
        Lists(doors).tax_codes()
    assert seen.connectwise == ["GET /finance/taxCodes"]


def test_a_dry_run_keeps_nothing(world: World, doors: Doors) -> None:
    lists = Lists(doors)
    lists.keeps = False
    read(world, lists)
    lists.tax_codes()
    companies(lists, [1])
    lists.mark_searched("Sydney", "invoices", date(2026, 1, 1))
    assert lists.was_searched("Sydney", "invoices", date(2026, 1, 1))
    assert world.rows(KEPT_LISTS) == []


def test_an_earlier_start_date_makes_the_search_be_done_again(world: World, doors: Doors) -> None:
    lists = Lists(doors)
    lists.mark_searched("Sydney", "invoices", date(2026, 1, 1))
    assert lists.just_searched("Sydney", "invoices")
    lists = Lists(doors)
    assert not lists.just_searched("Sydney", "invoices")
    assert lists.was_searched("Sydney", "invoices", date(2026, 1, 1))
    assert lists.was_searched("Sydney", "invoices", date(2026, 2, 1))
    assert not lists.was_searched("Sydney", "invoices", date(2025, 12, 1))
    assert not lists.was_searched("Sydney", "payments", date(2026, 1, 1))
