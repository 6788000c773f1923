"""What becomes of invoices, cycle after cycle: everything once, nothing lost, and no call too many."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from blocks.audit.tables import (
    BINDINGS,
    EXCEPTIONS,
    FOUND_DOCUMENTS,
    INSTALLATION,
    KEPT_LISTS,
    OUTCOMES,
    RECORDS,
    REQUEST_ROWS,
    REQUESTS,
    RUNS,
    WATERMARKS,
)
from deployments.sandbox.connectwise import ConnectWiseSwitches
from deployments.sandbox.wire import Fault, Request, Response
from deployments.sandbox.xero import XeroSwitches
from mappings.outcomes import Outcome
from mappings.plans import Adopt, Create
from tests.worlds import World

ONE_READ = ["GET /finance/invoices"]


class Remembered:
    """A success cache that can be looked into."""

    full = False

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}

    def keep(self, key: str, value: dict[str, str], /) -> None:
        self.kept[key] = value


def lose_audit(world: World) -> None:
    """The audit database is gone, with whatever belongs to it."""
    for path in world.folder.glob("audit.db*"):
        path.unlink()


def total(world: World, number: str) -> str:
    return str(world.invoices()[number]["Total"])


# Once


def test_a_closed_invoice_lands_once_with_its_link_and_its_total(world: World) -> None:
    number = world.add_invoice("40001", hours="2", rate="150")
    summary = world.cycle()
    assert summary.counts["posted"] == 1 and not summary.failed
    invoice = world.invoices()["40001"]
    assert str(invoice["Total"]) == "330.00" and invoice["Status"] == "DRAFT"
    assert invoice["Url"].endswith(f"recid={number}&companyName=sandbox")


def test_a_second_cycle_makes_one_read_and_no_call_to_xero_and_writes_nothing(world: World) -> None:
    for number in range(12):
        world.add_invoice(f"400{number:02}")
    world.cycle()
    before = world.snapshot()
    with world.later().watching() as seen:
        summary = world.cycle()
    assert seen.idle
    assert world.snapshot() == before
    assert summary.counts == {"read": 12, "unchanged": 12}


def test_an_empty_cache_changes_nothing_of_that(world: World) -> None:
    for number in range(3):
        world.add_invoice(f"4000{number}")
    cache = Remembered()
    world.cycle(cache=cache)
    assert len(cache.kept) == 3
    with world.later().watching() as seen:
        world.cycle(cache=Remembered())
    assert seen.idle


def test_forcing_reads_everything_again_and_writes_nothing_that_is_there(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    with world.later().watching() as seen:
        summary = world.cycle(force=True)
    assert summary.counts == {"read": 1, "unchanged": 1}
    assert seen.xero == []


def test_a_document_that_a_person_voided_or_deleted_in_xero_stays_so(world: World) -> None:
    for number in ("40001", "40002"):
        world.add_invoice(number)
    world.cycle()
    world.books.delete(world.invoices()["40001"]["InvoiceID"])
    world.books.approve(world.invoices()["40002"]["InvoiceID"])
    world.books.void(world.invoices()["40002"]["InvoiceID"])
    for force in (False, True):
        world.later().cycle(force=force)
        assert world.invoices() == {}


def test_the_load_keys_of_an_edit_and_of_its_reversal_are_never_shared(world: World) -> None:
    """165 -> 170 -> 165 with a warm cache: three writes, and no success of an earlier one stands in for a later one."""
    number = world.add_invoice("40001", hours="1", rate="150")
    cache = Remembered()
    world.cycle(cache=cache)
    row = world.connectwise.rows("time", number)[0]["id"]
    for rate, expected in (("154.55", "170.01"), ("150", "165.00")):
        world.later()
        world.connectwise.edit_row("time", row, hourlyRate=Decimal(rate))
        world.connectwise.edit_invoice(number)
        assert world.outcomes(world.cycle(cache=cache)) == {"40001": "updated"}
        assert total(world, "40001") == expected
    assert len(cache.kept) == 3


# The audit was lost


def test_after_the_audit_was_lost_documents_are_found_by_their_links_and_nothing_is_doubled(both: World) -> None:
    for number, place in (("40001", "Sydney"), ("40002", "Perth"), ("40003", "Perth")):
        both.add_invoice(number, location=place)
    both.cycle()
    before = both.snapshot()
    lose_audit(both)
    with both.later().watching() as seen:
        summary = both.cycle()
    assert summary.counts == {"read": 3, "unchanged": 3}
    assert both.snapshot() == before
    assert not [call for call in seen.xero if not call.startswith("GET")]
    assert all(row["adopted"] for row in both.rows(BINDINGS))
    with both.later().watching() as seen:
        both.cycle()
    assert seen.idle


def test_even_a_document_that_a_person_renumbered_is_found_by_its_link(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    world.books.edit(world.invoices()["40001"]["InvoiceID"], InvoiceNumber="A-1")
    lose_audit(world)
    assert world.later().cycle().counts == {"read": 1, "unchanged": 1}
    assert list(world.invoices()) == ["A-1"]


def test_what_a_person_had_removed_before_the_audit_was_lost_is_not_written_again(world: World) -> None:
    for number in ("40001", "40002"):
        world.add_invoice(number)
    world.cycle()
    world.books.delete(world.invoices()["40001"]["InvoiceID"])
    world.books.approve(world.invoices()["40002"]["InvoiceID"])
    world.books.void(world.invoices()["40002"]["InvoiceID"])
    lose_audit(world)
    assert set(world.outcomes(world.later().cycle()).values()) == {"held: removed_in_xero"}
    with world.later().watching() as seen:
        assert world.cycle().counts == {"read": 2, "held": 2}
    assert seen.idle
    assert world.invoices() == {}
    world.later().cycle(force=True)
    assert world.invoices() == {}


def test_a_document_of_ours_that_differs_is_held_until_both_agree_and_looked_at_by_each_cycle(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    invoice = world.invoices()["40001"]
    line = {**invoice["LineItems"][0], "UnitAmount": "160", "LineAmount": "320", "TaxAmount": "32"}
    world.books.edit(invoice["InvoiceID"], LineItems=[line])
    lose_audit(world)
    assert world.outcomes(world.later().cycle()) == {"40001": "held: adopted_differs"}
    with world.later().watching() as seen:
        world.cycle()
    assert seen.xero == ["GET /Invoices"] and seen.connectwise == ONE_READ
    world.books.edit(
        invoice["InvoiceID"], LineItems=[{**line, "UnitAmount": "150", "LineAmount": "300", "TaxAmount": "30"}]
    )
    assert world.outcomes(world.later().cycle()) == {"40001": "unchanged"}
    assert world.exceptions() == []
    assert len(world.invoices()) == 1


# A number that is taken


def by_hand(world: World, number: str, amount: str = "300", **fields: Any) -> dict[str, Any]:
    """An invoice that somebody typed into Xero."""
    contact = world.invoices() and next(iter(world.invoices().values()))["Contact"]["ContactID"]
    contacts = [each for each in world.books.contacts if each.name == "Acme Pty Ltd"]
    given: dict[str, Any] = {
        "Type": "ACCREC",
        "InvoiceNumber": number,
        "Contact": {"ContactID": contact or contacts[0].contact_id},
        "Date": world.clock().date(),
        "DueDate": world.clock().date(),
        "LineItems": [{"Description": "By hand", "Quantity": 1, "UnitAmount": amount, "AccountCode": "200"}],
    }
    return world.books.enter_invoice(**given | fields)


def test_the_same_sale_entered_by_hand_is_adopted(world: World) -> None:
    by_hand(world, "40001")
    world.add_invoice("40001")
    before = world.snapshot()
    assert world.outcomes(world.cycle()) == {"40001": "unchanged"}
    assert world.snapshot() == before
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


def test_another_sale_with_the_number_is_held_and_costs_one_look_a_cycle(world: World) -> None:
    hand = by_hand(world, "40001", amount="999")
    world.add_invoice("40001")
    assert world.outcomes(world.cycle()) == {"40001": "held: number_conflict"}
    with world.later().watching() as seen:
        assert world.outcomes(world.cycle()) == {"40001": "held: number_conflict"}
    assert seen.xero == ["GET /Invoices"] and seen.connectwise == ONE_READ
    world.books.edit(hand["InvoiceID"], InvoiceNumber="H-1")
    assert world.outcomes(world.later().cycle()) == {"40001": "posted"}
    assert sorted(world.invoices()) == ["40001", "H-1"]
    assert world.exceptions() == []


def test_what_a_person_let_stand_is_expected_to_have_her_total_from_then_on(world: World) -> None:
    """A later edit of another field is written, and her total is no difference that anybody has to be told of."""
    by_hand(world, "40001", amount="999")
    number = world.add_invoice("40001")
    world.cycle()
    assert world.outcomes(world.later().cycle(take="theirs", references=["40001"])) == {"40001": "unchanged"}
    world.later()
    world.connectwise.edit_invoice(number, customerPO="PO-9")
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert world.invoices()["40001"]["Reference"] == "PO-9"
    assert (total(world, "40001"), world.exceptions()) == ("1098.90", [])


def test_a_hand_made_draft_that_is_deleted_frees_its_number(world: World) -> None:
    hand = by_hand(world, "40001", amount="999")
    world.add_invoice("40001")
    world.cycle()
    world.books.delete(hand["InvoiceID"])
    assert world.outcomes(world.later().cycle()) == {"40001": "posted"}


@pytest.mark.parametrize("blocks", [True, False])
def test_a_voided_invoice_may_keep_its_number_and_is_not_asked_for_twice(world: World, blocks: bool) -> None:
    world.xero.switches = XeroSwitches(voided_number_blocks=blocks)
    hand = by_hand(world, "40001", Status="AUTHORISED")
    world.books.void(hand["InvoiceID"])
    world.add_invoice("40001")
    expected = "held: number_conflict" if blocks else "posted"
    assert world.outcomes(world.cycle()) == {"40001": expected}
    with world.later().watching() as seen:
        world.cycle()
    assert not [call for call in seen.xero if call.startswith("PUT")]


def test_policy_may_hold_what_is_there_already(world: World) -> None:
    world.policy('[adopt]\nexisting = "hold"')
    by_hand(world, "40001")
    world.add_invoice("40001")
    assert world.outcomes(world.cycle()) == {"40001": "held: number_conflict"}
    world.policy("")
    assert world.outcomes(world.later().cycle()) == {"40001": "unchanged"}


def test_two_records_with_one_number_are_never_taken_for_the_same(world: World) -> None:
    """The second would agree in contact, currency and total: adopting the first one's document would lose it."""
    first, second = world.add_invoice("40001"), world.add_invoice("40001")
    world.cycle()
    told = {row["connectwise_id"]: row["reason"] for row in world.rows(OUTCOMES)}
    assert sorted(told.values()) == ["", "number_conflict"]
    assert len(world.rows(BINDINGS)) == 1
    held = next(number for number, reason in told.items() if reason)
    world.later()
    world.connectwise.edit_invoice(held, invoiceNumber="40001-B")
    world.cycle()
    assert sorted(world.invoices()) == ["40001", "40001-B"]
    assert {row["connectwise_id"] for row in world.rows(BINDINGS)} == {first, second}


def test_numbers_with_commas_and_quotes_are_found_again(world: World) -> None:
    for number in ("4,001", 'B "7"', "C, D"):
        world.add_invoice(number)
    world.xero_fails("PUT", "/Invoices", *[Fault("after")] * 4)
    world.cycle()
    world.later().cycle()
    assert sorted(world.invoices()) == ["4,001", 'B "7"', "C, D"]
    assert len(world.books.invoices(live=False)) == 3
    assert {row["settled_at"] is not None for row in world.rows(REQUEST_ROWS)} == {True}


# Records that wait


def test_a_fixed_row_lands_exactly_the_held_ones_with_no_needless_call(world: World) -> None:
    world.connectwise.add_location("Hobart", id=13)
    world.add_invoice("40001")
    for number in ("40002", "40003"):
        world.add_invoice(number, location="Hobart")
    summary = world.cycle()
    assert summary.counts == {"read": 3, "posted": 1, "held": 2}
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle
    with (world.tables / "organisations.csv").open("a") as table:
        table.write("Hobart,,,,,Sydney\n")
    with world.later().watching() as seen:
        summary = world.cycle()
    assert world.outcomes(summary) == {"40001": "unchanged", "40002": "posted", "40003": "posted"}
    assert seen.connectwise == ONE_READ
    assert seen.xero == ["GET /Organisation", "PUT /Invoices"]


def test_a_held_record_with_another_payer_costs_no_read_either(world: World) -> None:
    world.add_customer("HEAD", "Head Office", "HEAD01")
    world.add_invoice("40001", billToCompany="HEAD", location="Sydney")
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\n")
    world.cycle()
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n")
    with world.later().watching() as seen:
        world.cycle()
    assert seen.connectwise == ONE_READ
    assert world.invoices()["40001"]["Contact"]["Name"] == "Head Office"


@pytest.mark.parametrize(
    ("trouble", "asked"),
    [
        ("contact", "GET /Contacts"),
        ("account", "GET /Accounts"),
        ("archived", "GET /Contacts"),
        ("currency", "GET /Currencies"),
    ],
)
def test_what_waits_for_something_in_xero_asks_for_just_that(world: World, trouble: str, asked: str) -> None:
    world.add_invoice("40000")
    world.cycle()
    world.later(days=1)
    contact = world.books.contacts.find("name", "acme pty ltd")[0].contact_id
    if trouble == "contact":
        world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
        world.add_invoice("40001", company="NEW")
    elif trouble == "account":
        world.write("accounts.csv", (world.tables / "accounts.csv").read_text().replace(",200,", ",288,"))
        world.add_invoice("40001")
    elif trouble == "currency":
        world.policy('[currency]\nsource = "xero_day_rate"')
        world.connectwise.add_currency("USD", "US dollar")
        world.add_invoice("40001", currency="USD")
    else:
        world.books.archive_contact(contact)
        world.add_invoice("40001")
    assert world.outcomes(world.cycle())["40001"].startswith("held")
    for _ in range(2):
        with world.later().watching() as seen:
            assert world.cycle().counts == {"read": 1, "held": 1}
        assert seen.xero == [asked] and seen.connectwise == ONE_READ
    if trouble == "contact":
        world.books.add_contact("Newcomer", account_number="NEW01")
    elif trouble == "account":
        world.books.add_account("288", "Services", "REVENUE")
    elif trouble == "currency":
        world.books.add_currency("USD")
    else:
        world.books.restore_contact(contact)
    with world.later().watching() as seen:
        assert world.cycle().counts == {"read": 1, "posted": 1}
    assert seen.xero == [asked, "GET /Organisation", "PUT /Invoices"]


def test_one_list_is_read_once_however_many_records_wait_for_it(world: World) -> None:
    world.add_invoice("40010")
    world.cycle()
    world.later()
    for number in range(5):
        world.connectwise.add_company(f"NEW{number}", f"Newcomer {number}", account_number=f"NEW{number}")
        world.add_invoice(f"4000{number}", company=f"NEW{number}")
    world.cycle()
    world.books.add_contact("Newcomer 3", account_number="NEW3")
    with world.later().watching() as seen:
        summary = world.cycle()
    assert summary.counts == {"read": 5, "held": 4, "posted": 1}
    assert seen.xero == ["GET /Contacts", "GET /Organisation", "PUT /Invoices"]


def test_a_locked_period_holds_until_it_is_unlocked(world: World) -> None:
    world.books.set_lock_date(world.clock().date())
    world.add_invoice("40001")
    assert world.outcomes(world.cycle()) == {"40001": "held: period_locked"}
    with world.later().watching() as seen:
        world.cycle()
    assert seen.xero == ["GET /Organisation"]
    world.books.set_lock_date(None)
    assert world.outcomes(world.later().cycle()) == {"40001": "posted"}


def test_a_period_locked_since_the_lists_were_read_is_seen_before_the_write(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    world.later().books.set_lock_date(world.clock().date())
    world.add_invoice("40002")
    with world.watching() as seen:
        assert world.outcomes(world.cycle()) == {"40001": "unchanged", "40002": "held: period_locked"}
    assert seen.xero == ["GET /Organisation"]


def test_exceptions_keep_their_age_and_end_when_they_are_cured(world: World) -> None:
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_invoice("40001", company="NEW")
    first = world.cycle()
    since = world.exceptions()[0]["since"]
    second = world.later().cycle()
    open_now = world.exceptions()
    assert len(open_now) == 1
    assert (open_now[0]["first_run"], open_now[0]["last_run"]) == (first.run_id, second.run_id)
    assert open_now[0]["since"] == since and open_now[0]["amount"] == "330.00"
    assert [each["reason"] for each in second.exceptions] == ["missing_contact"] and second.exit_code == 3
    world.books.add_contact("Newcomer", account_number="NEW01")
    third = world.later().cycle()
    assert world.exceptions() == [] and third.exit_code == 0
    told = world.exceptions(all_of_them=True)[0]
    assert told["resolved_at"] is not None and told["last_run"] == second.run_id and told["since"] == since


def test_another_reason_is_another_exception(world: World) -> None:
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\n")
    world.books.set_lock_date(world.clock().date())
    world.add_invoice("40001")
    world.cycle()
    world.write("organisations.csv", "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n")
    world.later().cycle()
    told = [(each["reason"], each["resolved_at"] is None) for each in world.exceptions(all_of_them=True)]
    assert told == [("missing_organisation", False), ("period_locked", True)]


# What Xero refused


def refuse(world: World) -> int:
    """An invoice that Xero refuses: its account was archived after the lists were read."""
    world.add_invoice("40000")
    world.cycle()
    world.later(hours=1).books.archive_account("200")
    number = world.add_invoice("40001")
    summary = world.cycle()
    assert world.outcomes(summary) == {"40000": "unchanged", "40001": "rejected: refused_by_xero"}
    assert "archived" in world.exceptions()[0]["message"] and summary.exit_code == 3
    return number


def test_after_a_refusal_the_lists_are_read_anew_once_and_may_tell_why(world: World) -> None:
    refuse(world)
    with world.later(hours=1).watching() as seen:
        summary = world.cycle()
    assert world.outcomes(summary)["40001"] == "held: missing_account"
    assert sorted(set(seen.xero)) == ["GET /Accounts", "GET /Contacts", "GET /Organisation", "GET /TaxRates"]
    with world.later(hours=1).watching() as seen:
        world.cycle()
    assert seen.xero == ["GET /Accounts"]


def refused_for_its_number(world: World) -> int:
    """An invoice that Xero refuses for a reason that no list can tell."""
    number = world.add_invoice("Ä-1")
    assert world.outcomes(world.cycle()) == {"Ä-1": "rejected: refused_by_xero"}
    # The lists are read anew once; they tell nothing new.
    world.later(hours=1).cycle()
    return number


def test_a_refused_document_is_not_sent_again_while_nothing_changed(world: World) -> None:
    refused_for_its_number(world)
    for _ in range(3):
        with world.later(hours=1).watching() as seen:
            assert world.cycle().counts == {"read": 1, "rejected": 1}
        assert seen.idle
    assert world.exceptions()[0]["message"].startswith("Xero refused Ä-1")


def test_a_mere_touch_in_connectwise_does_not_send_it_again(world: World) -> None:
    number = refused_for_its_number(world)
    world.later(hours=1).connectwise.edit_invoice(number)
    with world.watching() as seen:
        assert world.cycle().counts == {"read": 1, "rejected": 1}
    assert seen.xero == []


def test_it_is_sent_again_after_a_day_when_forced_and_when_it_changed(world: World) -> None:
    number = refused_for_its_number(world)
    with world.later(hours=24).watching() as seen:
        world.cycle()
    assert seen.xero.count("PUT /Invoices") == 1
    with world.later(hours=1).watching() as seen:
        world.cycle(references=[f"id:{number}"])
    assert seen.xero.count("PUT /Invoices") == 1
    with world.later(hours=1).watching() as seen:
        world.cycle(force=True)
    assert seen.xero.count("PUT /Invoices") == 1
    world.later(hours=1).connectwise.edit_invoice(number, invoiceNumber="A-1")
    assert world.outcomes(world.cycle()) == {"A-1": "posted"}


def test_it_is_sent_again_when_its_rows_changed_or_a_list_of_xero(world: World) -> None:
    refused_for_its_number(world)
    world.write("accounts.csv", (world.tables / "accounts.csv").read_text().replace(",200,", ",201,"))
    with world.later(hours=1).watching() as seen:
        world.cycle()
    assert seen.xero.count("PUT /Invoices") == 1
    with world.later(hours=1).watching() as seen:
        world.cycle()
    assert "PUT /Invoices" not in seen.xero
    # Another record makes the contacts be read, and they have changed.
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_invoice("40009", company="NEW")
    world.books.add_contact("Somebody else")
    with world.later(hours=1).watching() as seen:
        world.cycle()
    assert seen.xero == ["GET /Contacts", "GET /Organisation", "PUT /Invoices"]


# What people do in ConnectWise afterwards


def test_a_change_after_posting_follows(world: World) -> None:
    number = world.add_invoice("40001")
    world.cycle()
    world.later().connectwise.add_row("time", number, invoiceHours=1, hourlyRate=100, notes="More")
    world.connectwise.edit_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "updated"}
    assert total(world, "40001") == "440.00"


def test_a_reopened_invoice_waits_until_it_is_closed_again(world: World) -> None:
    number = world.add_invoice("40001")
    world.cycle()
    world.later().connectwise.reopen_invoice(number)
    summary = world.cycle()
    assert world.outcomes(summary) == {"40001": "deferred: waits_for_close"} and summary.exit_code == 0
    with world.later().watching() as seen:
        assert world.cycle().counts == {"read": 1, "deferred": 1}
    assert seen.idle
    world.later().connectwise.close_invoice(number)
    assert world.outcomes(world.cycle()) == {"40001": "unchanged"}
    assert len(world.invoices()) == 1


def test_a_sign_that_changes_after_posting_is_held_and_a_credit_that_was_never_posted_is_left_alone(
    world: World,
) -> None:
    number = world.add_invoice("40001")
    world.add_invoice("40002", hours="-2")
    assert world.outcomes(world.cycle()) == {"40001": "posted", "40002": "skipped"}
    row = world.connectwise.rows("time", number)[0]["id"]
    for hours, expected in (("-2", "held: sign_changed"), ("2", "unchanged")):
        world.later().connectwise.edit_row("time", row, invoiceHours=Decimal(hours))
        world.connectwise.edit_invoice(number)
        assert world.outcomes(world.cycle())["40001"] == expected
    assert world.exceptions() == []


def test_a_record_that_the_tables_now_send_elsewhere_is_held_and_both_places_are_named(both: World) -> None:
    number = both.add_invoice("40001", location="Sydney")
    both.cycle()
    both.later().connectwise.edit_invoice(number, location="Perth")
    assert both.outcomes(both.cycle()) == {"40001": "held: organisation_changed"}
    assert "Sydney" in both.exceptions()[0]["message"] and "Perth" in both.exceptions()[0]["message"]
    assert both.invoices("Perth") == {}
    both.later().connectwise.edit_invoice(number, location="Sydney")
    assert both.outcomes(both.cycle()) == {"40001": "unchanged"}


# Records that are not ours to post


def test_open_and_early_records_are_skipped_and_credits_are_another_familys(world: World) -> None:
    world.add_invoice("40001", status="New")
    world.add_invoice("40002", date=date(2025, 12, 31))
    number = world.add_invoice("40003", date=date(2026, 1, 1))
    world.cycle()
    assert list(world.invoices()) == ["40003"]
    world.later().connectwise.close_invoice(number - 2)
    world.cycle()
    assert sorted(world.invoices()) == ["40001", "40003"]


def test_an_unreadable_record_is_one_outcome_and_not_the_end_of_the_page(world: World) -> None:
    for number in ("40001", "40002", "40003"):
        world.add_invoice(number)
    world.connectwise.edit_invoice(39002, total="n/a")
    summary = world.cycle()
    assert world.outcomes(summary) == {"40001": "posted", "40002": "held: unreadable_record", "40003": "posted"}
    assert "total" in world.exceptions()[0]["message"]
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle
    world.later().connectwise.edit_invoice(39002, total=None)
    assert world.outcomes(world.cycle())["40002"] == "posted"


def test_an_unreadable_row_holds_its_invoice_alone(world: World) -> None:
    for number in ("40001", "40002"):
        world.add_invoice(number)
    row = world.connectwise.rows("time", 39002)[0]["id"]
    world.connectwise.edit_row("time", row, hourlyRate="much")
    assert world.outcomes(world.cycle()) == {"40001": "posted", "40002": "held: unreadable_record"}


@pytest.mark.parametrize("forward_only", [True, False])
def test_more_than_a_page_is_read_to_its_end(world: World, forward_only: bool) -> None:
    world.connectwise.switches = ConnectWiseSwitches(forward_only_supported=forward_only)
    for number in range(1003):
        world.add_invoice(f"{50000 + number}", status="New")
    world.add_invoice("60001")
    summary = world.cycle()
    assert summary.counts == {"read": 1004, "skipped": 1003, "posted": 1}


def test_a_page_full_of_invoices_lands_in_batches_of_fifty(world: World) -> None:
    for number in range(1010):
        world.add_invoice(f"{50000 + number}", hours="1", rate="1")
    with world.watching() as seen:
        summary = world.cycle(at_once=3)
    assert summary.counts == {"read": 1010, "posted": 1010}
    assert seen.xero.count("PUT /Invoices") == 21
    assert len(world.invoices()) == 1010


# Policy


@pytest.mark.parametrize("status", ["draft", "submitted", "authorised"])
def test_the_status_is_policys(world: World, status: str) -> None:
    world.policy(f'[sales]\ninvoice_status = "{status}"')
    world.add_invoice("40001")
    world.cycle()
    assert world.invoices()["40001"]["Status"] == status.upper()


def test_the_status_may_differ_by_organisation(both: World) -> None:
    both.policy('[organisation."Perth".sales]\ninvoice_status = "authorised"')
    both.add_invoice("40001", location="Sydney")
    both.add_invoice("40002", location="Perth")
    both.cycle()
    assert both.invoices("Sydney")["40001"]["Status"] == "DRAFT"
    assert both.invoices("Perth")["40002"]["Status"] == "AUTHORISED"


@pytest.mark.parametrize(
    ("policy", "expected"), [("draft", "posted"), ("hold", "held: zero_total"), ("skip", "skipped: zero_total")]
)
def test_zero_totals_are_policys(world: World, policy: str, expected: str) -> None:
    world.policy(f'[sales]\nzero_total = "{policy}"')
    world.add_invoice("40001", rate="0")
    assert world.outcomes(world.cycle()) == {"40001": expected}
    assert len(world.exceptions()) == (1 if policy == "hold" else 0)
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle
    if policy == "hold":
        world.policy("")
        assert world.outcomes(world.later().cycle()) == {"40001": "posted"}


# What people ask for


def test_a_reference_is_read_whatever_the_watermark_and_never_moves_it(world: World) -> None:
    world.add_invoice("40001")
    world.cycle()
    with world.connectwise.at(world.clock() - timedelta(days=3)):
        old = world.add_invoice("40002")
    world.add_invoice("40003")
    before = world.rows(WATERMARKS)
    assert world.outcomes(world.later().cycle(references=["40002"])) == {"40002": "posted"}
    assert world.outcomes(world.later().cycle(references=[f" id:{old} "])) == {"40002": "unchanged"}
    assert world.rows(WATERMARKS) == before
    assert sorted(world.invoices()) == ["40001", "40002"]


def test_an_unknown_reference_ends_with_2_and_nothing_is_done(world: World) -> None:
    world.add_invoice("40001")
    for reference in ("49999", "id:77"):
        summary = world.cycle(references=["40001", reference])
        assert summary.exit_code == 2 and reference in summary.failed
    assert world.invoices() == {} and world.rows(OUTCOMES) == []


def test_force_reads_from_the_start_date_and_since_from_that_day(world: World) -> None:
    world.add_invoice("40000")
    world.cycle()
    with world.connectwise.at(world.clock() - timedelta(days=3)):
        world.add_invoice("40001", date=date(2026, 2, 1))
        world.add_invoice("40002", date=date(2026, 2, 20))
    world.later().add_invoice("40003")
    world.cycle()
    assert sorted(world.invoices()) == ["40000", "40003"]
    world.cycle(force=True, since=date(2026, 2, 10))
    assert sorted(world.invoices()) == ["40000", "40002", "40003"]
    world.cycle(force=True)
    assert sorted(world.invoices()) == ["40000", "40001", "40002", "40003"]


# The dry run

STATE = (BINDINGS, EXCEPTIONS, FOUND_DOCUMENTS, INSTALLATION, KEPT_LISTS, OUTCOMES, RECORDS, REQUEST_ROWS, REQUESTS,
         RUNS, WATERMARKS)  # fmt: skip
"""Everything in the audit but the exchanges themselves, and what the limiter and the token's lease leave behind."""


def planned(world: World) -> tuple[set[str], dict[str, str]]:
    """What a dry run would create, and how it would end for the others."""
    summary = world.cycle(mode="plan")
    assert summary.cycle is not None and not summary.failed, summary.failed
    creates = {each.document.reference for each in summary.cycle.planned if isinstance(each, Create)}
    others = {
        each.reference: f"{each.outcome}: {each.reason}" if each.reason else str(each.outcome)
        for each in summary.cycle.told
    }
    adopted = {each.document.reference: "unchanged" for each in summary.cycle.planned if isinstance(each, Adopt)}
    return creates, others | adopted


def troubled(world: World) -> None:
    """A bit of everything."""
    world.connectwise.add_location("Hobart", id=13)
    world.connectwise.add_company("NEW", "Newcomer", account_number="NEW01")
    world.add_invoice("40001")
    world.add_invoice("40002", location="Perth")
    world.add_invoice("40003", location="Hobart")
    world.add_invoice("40004", company="NEW")
    world.add_invoice("40005", status="New")


@pytest.mark.parametrize("when", ["first", "later", "audit lost"])
def test_a_dry_run_writes_nothing_anywhere_and_plans_what_the_real_run_does(both: World, when: str) -> None:
    troubled(both)
    if when != "first":
        both.cycle()
        both.later().add_invoice("40006")
        both.connectwise.edit_invoice(39005, status="Closed")
        both.books.add_contact("Newcomer", account_number="NEW01")
        with (both.tables / "organisations.csv").open("a") as table:
            table.write("Hobart,,,,,Perth\n")
    if when == "audit lost":
        lose_audit(both)
    both.audit().close()  # made anew where it was lost
    before = both.snapshot(), {table.name: both.rows(table) for table in STATE}
    with both.watching() as seen:
        creates, others = planned(both)
    assert (both.snapshot(), {table.name: both.rows(table) for table in STATE}) == before
    assert all(call.startswith("GET") for call in seen.xero)
    assert planned(both) == (creates, others)
    summary = both.cycle()
    told = both.outcomes(summary)
    assert {number for number, outcome in told.items() if outcome == "posted"} == creates
    assert {number: outcome for number, outcome in told.items() if outcome != "posted"} == others


def test_a_dry_run_looks_at_what_is_in_doubt(world: World) -> None:
    for number in ("40001", "40002"):
        world.add_invoice(number)

    def half(request: Request, _number: int) -> Fault | None:
        if request.method != "PUT":
            return Fault("before", Response(503, {}, b"offline")) if world.xero.statistics.calls > 5 else None
        return Fault("after", Response(500))

    world.to_xero.plan = half
    assert world.cycle().failed
    world.to_xero.plan = lambda _request, _number: None
    assert [row["settled_at"] for row in world.rows(REQUEST_ROWS)] == [None, None]
    assert planned(world.later()) == (set(), {"40001": "unchanged", "40002": "unchanged"})


# Totals


def test_a_total_that_xero_made_otherwise_is_posted_and_told_until_somebody_corrects_it(world: World) -> None:
    world.add_invoice("40001")

    def off_by_a_cent(request: Request, _number: int) -> Fault | None:
        if request.method != "PUT":
            return None
        body = request.body.replace(b'"UnitAmount":150', b'"UnitAmount":150.01')
        answer = world.xero(Request(request.method, request.path, request.query, request.headers, body))
        return Fault("before", answer)

    world.to_xero.plan = off_by_a_cent
    summary = world.cycle()
    world.to_xero.plan = lambda _request, _number: None
    assert world.outcomes(summary) == {"40001": "posted: total_differs"}
    told = world.exceptions()[0]
    assert "330.00" in told["message"] and "330.02" in told["message"] and told["outcome"] == "posted"
    forms: list[dict[str, Any]] = [{}, {"force": True}, {"references": ["40001"]}]
    for form in forms:
        with world.later().watching() as seen:
            assert world.cycle(**form).counts == {"read": 1, "unchanged": 1}
        assert seen.xero == ["GET /Invoices"]
        assert [(each["reason"], each["since"]) for each in world.exceptions()] == [("total_differs", told["since"])]
    # Another problem in between does not make it forgotten.
    for status, reason in (("New", None), ("Closed", "total_differs")):
        world.later().connectwise.edit_invoice(39001, status=status)
        world.cycle()
        assert [each["reason"] for each in world.exceptions()] == ([reason] if reason else [])
    invoice = world.invoices()["40001"]
    line = {**invoice["LineItems"][0], "UnitAmount": "150", "LineAmount": "300", "TaxAmount": "30"}
    world.books.edit(invoice["InvoiceID"], LineItems=[line])
    world.later().cycle()
    assert world.exceptions() == []
    with world.later().watching() as seen:
        world.cycle()
    assert seen.idle


# The count


def test_every_record_that_was_read_has_exactly_one_outcome_in_its_cycle(both: World) -> None:
    troubled(both)
    for _ in range(3):
        summary = both.later().cycle()
        told = [row for row in both.rows(OUTCOMES) if row["run_id"] == summary.run_id]
        assert len(told) == summary.counts["read"] == sum(summary.counts.get(each.value, 0) for each in Outcome)
        assert len({row["connectwise_id"] for row in told}) == len(told)
