"""Which contact an invoice goes to, cycle after cycle: renamed on either side, moved, missing, made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.audit.database import unpack
from blocks.audit.tables import CONTACTS, REQUESTS
from deployments.sandbox.wire import Fault
from tests.worlds import LOST, OTHER_TENANT, World, answers

CREATE = '[contacts]\ncreate = "create"\n'


def contact_of(world: World, number: str, organisation: str = "") -> str:
    return str(world.invoices(organisation)[number]["Contact"]["Name"])


def contacts(world: World, organisation: str = "Sydney") -> dict[str, str]:
    """The active contacts of an organisation with their account numbers."""
    books = world.xero.organisations[world.tenants[organisation]]
    return {each.name: each.account_number or "" for each in books.contacts if each.status == "ACTIVE"}


def newcomer(world: World, name: str = "Newcomer", number: str = "NEW01", identifier: str = "NEW") -> World:
    world.connectwise.add_company(identifier, name, account_number=number)
    world.policy(CREATE)
    return world


def made_by(world: World) -> list[list[str]]:
    """The names in each call that created contacts."""
    requests = [row for row in world.rows(REQUESTS) if row["family"] == "contacts"]
    bodies = [json.loads(unpack(row["body"])) for row in sorted(requests, key=lambda row: row["stored_at"])]
    return [[each["Name"] for each in body["Contacts"]] for body in bodies]


# Known before


def test_a_company_that_is_renamed_stays_the_same_customer(world: World) -> None:
    """It had no account number: only its name told, and the name is another one now."""
    world.add_customer("SMALL", "Small Shop", "")
    world.add_invoice("40001", company="SMALL")
    world.cycle()
    world.connectwise.edit_company("SMALL", name="Small Shop and Sons")
    world.add_invoice("40002", company="SMALL")
    assert world.outcomes(world.later().cycle())["40002"] == "posted"
    assert contact_of(world, "40002") == "Small Shop"


def test_a_contact_that_is_renamed_in_xero_stays_the_same_customer(world: World) -> None:
    world.add_customer("SMALL", "Small Shop", "")
    world.add_invoice("40001", company="SMALL")
    world.cycle()
    known = world.rows(CONTACTS)[0]["contact_id"]
    world.books.rename_contact(known, "The Shop")
    world.add_invoice("40002", company="SMALL")
    assert world.outcomes(world.later().cycle())["40002"] == "posted"
    assert contact_of(world, "40002") == "The Shop"


def test_another_contact_that_bears_the_number_now_contradicts_what_was_known(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    known = world.rows(CONTACTS)[0]["contact_id"]
    world.books._change_contact(known, account_number="")
    world.books.add_contact("Acme New", account_number="ACME01")
    world.add_invoice("40002")
    held = world.later(days=1).cycle()
    assert world.outcomes(held)["40002"] == "held: missing_contact"
    assert "'Acme New' bears its account number ACME01" in world.exceptions()[0]["message"]
    world.write(
        "contacts.csv",
        "organisation,role,company,contact_id,account_number,contact_name\nSydney,customer,ACME,,,Acme New\n",
    )
    assert world.outcomes(world.later().cycle())["40002"] == "posted"
    assert contact_of(world, "40002") == "Acme New"


def test_a_contact_that_only_contacts_csv_names_is_not_learnt(world: World) -> None:
    """Whoever takes the row out again gets back what the rule says."""
    world.books.add_contact("Acme West")
    head = "organisation,role,company,contact_id,account_number,contact_name\n"
    world.write("contacts.csv", f"{head},customer,ACME,,,Acme West\n")
    world.add_invoice("40001")
    world.cycle()
    assert contact_of(world, "40001") == "Acme West" and world.rows(CONTACTS) == []
    world.write("contacts.csv", head)
    world.add_invoice("40002")
    world.later().cycle()
    assert contact_of(world, "40002") == "Acme Pty Ltd"


def test_knowing_a_contact_costs_no_call(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


# Made


def test_a_missing_contact_is_made_once_and_its_invoices_follow_in_the_same_cycle(world: World) -> None:
    newcomer(world)
    for number in ("40001", "40002"):
        world.add_invoice(number, company="NEW")
    with world.watching() as seen:
        assert world.outcomes(world.cycle()) == {"40001": "posted", "40002": "posted"}
    assert made_by(world) == [["Newcomer"]]
    assert contacts(world)["Newcomer"] == "NEW01"
    assert contact_of(world, "40001") == contact_of(world, "40002") == "Newcomer"
    # The list was read in this very cycle: nothing newer is to be had.
    assert seen.xero.count("GET /Contacts") == 1
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_without_the_policy_nothing_is_made(world: World) -> None:
    newcomer(world).policy("")
    world.add_invoice("40001", company="NEW")
    assert world.outcomes(world.cycle()) == {"40001": "held: missing_contact"}
    assert made_by(world) == []


def test_many_contacts_go_fifty_to_a_call(world: World) -> None:
    world.policy(CREATE)
    for number in range(120):
        world.connectwise.add_company(f"N{number}", f"Newcomer {number}", account_number=f"NEW{number}")
        world.add_invoice(f"5{number:04}", company=f"N{number}")
    assert world.cycle().counts["posted"] == 120
    assert sorted(map(len, made_by(world))) == [20, 50, 50]


def test_a_contact_is_made_only_for_what_can_be_posted(world: World) -> None:
    """An invoice that is held for something else leaves no trace in Xero."""
    newcomer(world)
    world.write("accounts.csv", "organisation,side,kind,category,item,account_code,item_code\n")
    world.add_invoice("40001", company="NEW")
    assert world.outcomes(world.cycle()) == {"40001": "held: missing_account"}
    assert "Newcomer" not in contacts(world)


def test_one_company_becomes_a_contact_in_each_organisation_that_needs_it(world: World) -> None:
    world.connectwise.add_location("Perth", id=12)
    world.add_organisation("Perth", OTHER_TENANT)
    world.paste("organisations.csv", "Perth,,,,,Perth")
    newcomer(world)
    world.add_invoice("40001", company="NEW")
    world.add_invoice("40002", company="NEW", location="Perth")
    assert world.outcomes(world.cycle()) == {"40001": "posted", "40002": "posted"}
    assert contacts(world)["Newcomer"] == contacts(world, "Perth")["Newcomer"] == "NEW01"


def test_what_resembles_the_company_is_never_doubled(world: World) -> None:
    """A namesake with another number, an archived contact: people decide."""
    newcomer(world)
    world.connectwise.add_company("OLD", "Old Friend", account_number="OLD01")
    world.books.add_contact("Newcomer", account_number="OTHER")
    world.books.add_contact("Old Friend", status="ARCHIVED")
    world.add_invoice("40001", company="NEW")
    world.add_invoice("40002", company="OLD")
    assert world.outcomes(world.cycle()) == {"40001": "held: missing_contact", "40002": "held: contact_archived"}
    assert made_by(world) == []


def test_a_name_is_sent_as_xero_takes_it(world: World) -> None:
    newcomer(world, name="  Smith  <and>\tSons ")
    world.add_invoice("40001", company="NEW")
    world.cycle()
    assert made_by(world) == [["Smith and Sons"]]
    assert world.outcomes(world.later().cycle(references=["40001"])) == {"40001": "unchanged"}


def test_a_dry_run_shows_the_contact_and_makes_none(world: World) -> None:
    newcomer(world)
    world.add_invoice("40001", company="NEW")
    summary = world.cycle(mode="plan")
    assert summary.cycle is not None
    assert [each.document.new_contact.name for each in summary.cycle.planned] == ["Newcomer"]  # type: ignore[union-attr]
    assert made_by(world) == [] and world.rows(CONTACTS) == []


FAULTS: dict[str, Any] = {
    "answer lost": LOST,
    "500 after the work": answers(500, b'{"Title": "An error occurred"}', when="after"),
    "web page after the work": answers(200, b"<html>", {"Content-Type": "text/html"}, when="after"),
    "503": answers(503),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unclear_answer_never_makes_a_second_contact(world: World, fault: str) -> None:
    newcomer(world)
    world.add_invoice("40001", company="NEW")
    world.xero_fails("PUT", "/Contacts", *[FAULTS[fault]] * 4)
    world.cycle()
    world.to_xero.plan = lambda _request, _number: None
    world.later().cycle()
    assert [name for name in contacts(world) if "Newcomer" in name] == ["Newcomer"]
    assert contact_of(world, "40001") == "Newcomer"
    assert all(row["settled_at"] for row in world.rows(REQUESTS))


def test_a_contact_that_xero_refuses_holds_its_own_invoices_alone(world: World) -> None:
    newcomer(world)
    world.connectwise.add_company("BAD", "Bad Name", account_number="BAD01")
    world.add_invoice("40001", company="NEW")
    world.add_invoice("40002", company="BAD")
    refused = b'{"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred"}'

    def no_bad_names(request: Any, _number: int) -> Fault | None:
        bad = request.method == "PUT" and request.path.endswith("/Contacts") and b"Bad Name" in request.body
        return answers(400, refused) if bad else None

    world.to_xero.plan = no_bad_names
    assert world.outcomes(world.cycle()) == {"40001": "posted", "40002": "rejected: refused_by_xero"}
    assert "refused to create the contact 'Bad Name'" in world.exceptions()[0]["message"]
    # Xero has another contact since; after that nothing has changed that could make it take this one.
    world.later().cycle()
    with world.later().watching() as seen:
        world.cycle()
    assert "PUT /Contacts" not in seen.xero
    world.to_xero.plan = lambda _request, _number: None
    assert world.outcomes(world.later(days=1).cycle())["40002"] == "posted"


def test_the_days_limit_puts_contacts_and_their_invoices_off(world: World) -> None:
    newcomer(world)
    world.add_invoice("40001", company="NEW")
    limit = answers(429, b"", {"Retry-After": "60000", "X-Rate-Limit-Problem": "day"})
    world.xero_fails("PUT", "/Contacts", limit)
    assert world.outcomes(world.cycle()) == {"40001": "deferred: day_limit"}
    world.to_xero.plan = lambda _request, _number: None
    assert world.outcomes(world.later(days=1).cycle())["40001"] == "posted"


# Two customers of one name


def test_a_name_in_a_table_that_means_two_companies_holds_both(world: World) -> None:
    """Also when the second one comes along later; an id in the cell settles it."""
    world.connectwise.add_company("TWIN1", "Twin Pty Ltd", account_number="T1", id=701)
    world.connectwise.add_company("TWIN2", "Twin Pty Ltd", account_number="T2", id=702)
    world.books.add_contact("Twin East")
    head = "organisation,role,company,contact_id,account_number,contact_name\n"
    world.write("contacts.csv", f"{head},customer,Twin Pty Ltd,,,Twin East\n")
    world.add_invoice("40001", company="TWIN1")
    assert world.outcomes(world.cycle()) == {"40001": "posted"}
    world.add_invoice("40002", company="TWIN1")
    world.add_invoice("40003", company="TWIN2")
    held = world.outcomes(world.later().cycle())
    assert {held["40002"], held["40003"]} == {"held: ambiguous_mapping"}
    assert "several bear that name (ids 701 and 702)" in world.exceptions()[0]["message"]
    world.write("contacts.csv", f"{head},customer,701,,,Twin East\n")
    told = world.outcomes(world.later().cycle())
    assert (told["40002"], told["40003"]) == ("posted", "held: missing_contact")
    assert contact_of(world, "40002") == "Twin East"
